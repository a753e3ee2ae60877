// SPDX-License-Identifier: Apache-2.0
/*
 * google.rpc.Status and the details of google/rpc/error_details.proto, by hand. Every text that goes in is cut
 * to its field at a character and made valid UTF-8 there, so what is encoded is always valid proto3, and the
 * sizes below bound what one detail can take.
 */
#include "grpc/status.h"

#include "base/utf8.h"
#include "grpc/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TYPE_PREFIX "type.googleapis.com/google.rpc."

static const char domain[] = "futured";

enum {
    /* the largest detail: a BadRequest full of violations, each with three tags and three lengths */
    DETAIL_MAX_BYTES = STATUS_VIOLATIONS_MAX * (2 * STATUS_TEXT_MAX_BYTES + 16),
    MS_PER_S = 1000,
    NS_IN_MS = 1000000,
};

const char *status_name(enum grpc_code code)
{
    static const char *const names[] = {
            "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
            "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
            "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
            "DATA_LOSS", "UNAUTHENTICATED",
    };

    return (size_t)code < ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

enum grpc_code status_code(uint64_t number)
{
    return number <= GRPC_UNAUTHENTICATED ? (enum grpc_code)number : GRPC_UNKNOWN;
}

/* Bytes of the well-formed character at @p, 0 when there is none. */
static size_t char_len(const char *p, size_t n)
{
    const uint8_t *u = (const uint8_t *)p;

    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (utf8_is_valid(u, len))
            return len;
    return 0;
}

/* Copy the @n bytes at @from to @to, '?' for each byte that is in no character, cut at a character. No NUL
 * gets in: a text ends at the first one. @from may be @to. */
static void put_text(char *to, size_t size, const char *from, size_t n)
{
    size_t at = 0;

    n = n ? strnlen(from, n) : 0;
    if (n == 0) {
        to[0] = '\0';
        return;
    }
    if (LIKELY(n < size && utf8_is_valid((const uint8_t *)from, n))) {
        memmove(to, from, n);
        to[n] = '\0';
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t len = char_len(from + i, n - i);

        if (at + MAX(len, (size_t)1) >= size)
            break;
        if (len == 0) {
            to[at++] = '?';
            i++;
            continue;
        }
        memmove(to + at, from + i, len);
        at += len;
        i += len;
    }
    to[at] = '\0';
}

static void put_string(char *to, size_t size, const char *from)
{
    put_text(to, size, from, strlen(from));
}

/* The formatted text, which may be made of parts of the same status: hence the copy. A character more than
 * fits is formatted, so that a cut is seen as such. */
__attribute__((format(printf, 3, 0))) static void put_formatted(char *to, size_t size, const char *format,
                                                                va_list args)
{
    char text[STATUS_MESSAGE_MAX_BYTES + 8];
    int n = vsnprintf(text, sizeof text, format, args);

    put_text(to, size, text, n < 0 ? 0 : MIN((size_t)n, sizeof text - 1));
}

struct grpc_status *status_clear(struct grpc_status *st, enum grpc_code code)
{
    /* not the whole of it: it is large, and what counts says how much of the rest is there */
    st->code = code;
    st->message[0] = st->reason[0] = '\0';
    st->retry_delay_ms = -1;
    st->n_violations = st->n_metadata = 0;
    st->resource_type[0] = st->resource_name[0] = '\0';
    st->quota_subject[0] = st->quota_description[0] = '\0';
    st->precondition_type[0] = st->precondition_subject[0] = '\0';
    return st;
}

struct grpc_status *status_set(struct grpc_status *st, enum grpc_code code, const char *reason,
                               const char *format, ...)
{
    char message[sizeof st->message];
    va_list args;

    va_start(args, format);
    put_formatted(message, sizeof message, format, args);
    va_end(args);
    status_clear(st, code);
    put_string(st->message, sizeof st->message, message);
    put_string(st->reason, sizeof st->reason, reason);
    return st;
}

struct grpc_status *status_set_message(struct grpc_status *st, struct span message)
{
    put_text(st->message, sizeof st->message, (const char *)message.p, message.len);
    return st;
}

struct grpc_status *status_add_violation(struct grpc_status *st, const char *field, const char *format, ...)
{
    va_list args;

    if (st->n_violations == STATUS_VIOLATIONS_MAX)
        return st;
    put_string(st->violations[st->n_violations].field, sizeof st->violations[0].field, field);
    va_start(args, format);
    put_formatted(st->violations[st->n_violations].description, sizeof st->violations[0].description, format,
                  args);
    va_end(args);
    st->n_violations++;
    return st;
}

struct grpc_status *status_add_metadata(struct grpc_status *st, const char *key, const char *format, ...)
{
    va_list args;

    if (st->n_metadata == STATUS_METADATA_MAX)
        return st;
    put_string(st->metadata[st->n_metadata].key, sizeof st->metadata[0].key, key);
    va_start(args, format);
    put_formatted(st->metadata[st->n_metadata].value, sizeof st->metadata[0].value, format, args);
    va_end(args);
    st->n_metadata++;
    return st;
}

struct grpc_status *status_set_no_memory(struct grpc_status *st)
{
    status_set(st, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
               "memory could not be allocated; nothing was changed");
    return status_set_retry(st, 1000);
}

struct grpc_status *status_set_retry(struct grpc_status *st, int64_t delay_ms)
{
    st->retry_delay_ms = delay_ms;
    return st;
}

struct grpc_status *status_set_resource(struct grpc_status *st, const char *type, const char *name)
{
    put_string(st->resource_type, sizeof st->resource_type, type);
    put_string(st->resource_name, sizeof st->resource_name, name);
    return st;
}

struct grpc_status *status_set_quota(struct grpc_status *st, const char *subject, const char *description)
{
    put_string(st->quota_subject, sizeof st->quota_subject, subject);
    put_string(st->quota_description, sizeof st->quota_description, description);
    return st;
}

struct grpc_status *status_set_precondition(struct grpc_status *st, const char *type, const char *subject)
{
    put_string(st->precondition_type, sizeof st->precondition_type, type);
    put_string(st->precondition_subject, sizeof st->precondition_subject, subject);
    return st;
}

/* --- encoding: each put_ function writes the fields of one message */

/* proto3 leaves out what is empty. */
static uint8_t *put_str(uint8_t *to, uint32_t number, const char *s)
{
    size_t n = strlen(s);

    return n ? wire_put_bytes(to, number, s, n) : to;
}

static size_t str_len(uint32_t number, const char *s)
{
    size_t n = strlen(s);

    return n ? wire_len_field(number, n) : 0;
}

/* A nested message (field @number) of two strings, its fields @fa and @fb. */
static uint8_t *put_pair(uint8_t *to, uint32_t number, uint32_t fa, const char *a, uint32_t fb, const char *b)
{
    to = wire_put_len(to, number, str_len(fa, a) + str_len(fb, b));
    return put_str(put_str(to, fa, a), fb, b);
}

static uint8_t *put_error_info(const struct grpc_status *st, uint8_t *to)
{
    to = put_str(to, 1, st->reason);
    to = put_str(to, 2, domain);
    for (uint32_t i = 0; i < st->n_metadata; i++)
        to = put_pair(to, 3, 1, st->metadata[i].key, 2, st->metadata[i].value);
    return to;
}

static uint8_t *put_retry_info(const struct grpc_status *st, uint8_t *to)
{
    uint64_t s = (uint64_t)st->retry_delay_ms / MS_PER_S;
    uint64_t ns = (uint64_t)st->retry_delay_ms % MS_PER_S * NS_IN_MS;

    to = wire_put_len(to, 1, (s ? wire_uint_field(1, s) : 0) + (ns ? wire_uint_field(2, ns) : 0));
    if (s)
        to = wire_put_uint(to, 1, s);
    return ns ? wire_put_uint(to, 2, ns) : to;
}

static uint8_t *put_bad_request(const struct grpc_status *st, uint8_t *to)
{
    for (uint32_t i = 0; i < st->n_violations; i++)
        to = put_pair(to, 1, 1, st->violations[i].field, 2, st->violations[i].description);
    return to;
}

static uint8_t *put_resource_info(const struct grpc_status *st, uint8_t *to)
{
    return put_str(put_str(to, 1, st->resource_type), 2, st->resource_name);
}

static uint8_t *put_quota_failure(const struct grpc_status *st, uint8_t *to)
{
    return put_pair(to, 1, 1, st->quota_subject, 2, st->quota_description);
}

static uint8_t *put_precondition_failure(const struct grpc_status *st, uint8_t *to)
{
    return put_pair(to, 1, 1, st->precondition_type, 2, st->precondition_subject);
}

/* Append Status.details: an Any of @type with what @put writes. */
static int encode_detail(const struct grpc_status *st, const char *type,
                         uint8_t *(*put)(const struct grpc_status *, uint8_t *), struct buf *out)
{
    uint8_t detail[DETAIL_MAX_BYTES], *to;
    size_t n = (size_t)(put(st, detail) - detail), n_any = str_len(1, type) + wire_len_field(2, n);
    int r;

    ASSERT(n <= sizeof detail);
    r = buf_reserve(out, wire_len_field(3, n_any));
    if (r < 0)
        return r;
    to = wire_put_len(buf_tail(out), 3, n_any);
    to = put_str(to, 1, type);
    to = wire_put_bytes(to, 2, detail, n);
    buf_commit(out, (size_t)(to - buf_tail(out)));
    return 0;
}

int status_encode(const struct grpc_status *st, struct buf *out)
{
    const struct {
        int is_there;
        const char *type;
        uint8_t *(*put)(const struct grpc_status *, uint8_t *);
    } details[] = {
            {1, TYPE_PREFIX "ErrorInfo", put_error_info},
            {st->retry_delay_ms >= 0, TYPE_PREFIX "RetryInfo", put_retry_info},
            {st->n_violations > 0, TYPE_PREFIX "BadRequest", put_bad_request},
            {st->resource_type[0] || st->resource_name[0], TYPE_PREFIX "ResourceInfo", put_resource_info},
            {st->quota_subject[0] || st->quota_description[0], TYPE_PREFIX "QuotaFailure", put_quota_failure},
            {st->precondition_type[0] || st->precondition_subject[0], TYPE_PREFIX "PreconditionFailure",
             put_precondition_failure},
    };
    size_t old_len = buf_len(out);
    uint8_t *to;
    int r;

    r = buf_reserve(out, wire_uint_field(1, st->code) + str_len(2, st->message));
    if (r < 0)
        return r;
    to = buf_tail(out);
    if (st->code)
        to = wire_put_uint(to, 1, st->code);
    to = put_str(to, 2, st->message);
    buf_commit(out, (size_t)(to - buf_tail(out)));
    if (!st->reason[0])
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        if (!details[i].is_there)
            continue;
        r = encode_detail(st, details[i].type, details[i].put, out);
        if (r < 0) {
            out->end = out->start + old_len;
            return r;
        }
    }
    return 0;
}

/* --- decoding: each get_ function reads the fields of one message; unknown fields are skipped */

static void get_text(char *to, size_t size, struct span s)
{
    put_text(to, size, (const char *)s.p, s.len);
}

/* Whether @f is the length-delimited field @number: a known number with another type is skipped as unknown. */
static int is_bytes(const struct wire_field *f, uint32_t number)
{
    return f->number == number && f->type == WIRE_BYTES;
}

/* A message of two strings. Absent ones are set to "". */
static int get_pair(struct span message, uint32_t fa, char *a, size_t a_size, uint32_t fb, char *b,
                    size_t b_size)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r;

    a[0] = b[0] = '\0';
    while ((r = wire_next(&in, &f)) == 0) {
        if (is_bytes(&f, fa))
            get_text(a, a_size, f.bytes);
        else if (is_bytes(&f, fb))
            get_text(b, b_size, f.bytes);
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}

static int get_error_info(struct grpc_status *st, struct span message)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r;

    while ((r = wire_next(&in, &f)) == 0) {
        if (is_bytes(&f, 1))
            get_text(st->reason, sizeof st->reason, f.bytes);
        if (!is_bytes(&f, 3) || st->n_metadata == STATUS_METADATA_MAX)
            continue;
        r = get_pair(f.bytes, 1, st->metadata[st->n_metadata].key, sizeof st->metadata[0].key, 2,
                     st->metadata[st->n_metadata].value, sizeof st->metadata[0].value);
        if (r)
            return r;
        st->n_metadata++;
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}

/* A Duration; negative or beyond int64 milliseconds counts as none. */
static int get_duration_ms(struct span message, int64_t *ret_ms)
{
    struct wire_reader in = wire_reader(message);
    int64_t s = 0, ns = 0, ms;
    struct wire_field f;
    int r;

    while ((r = wire_next(&in, &f)) == 0) {
        if (f.type == WIRE_VARINT && f.number == 1)
            s = (int64_t)f.value;
        else if (f.type == WIRE_VARINT && f.number == 2)
            ns = (int32_t)f.value;
    }
    if (r != WIRE_E_END)
        return STATUS_E_MALFORMED;
    if (s < 0 || ns < 0 || __builtin_mul_overflow(s, (int64_t)MS_PER_S, &ms) ||
        __builtin_add_overflow(ms, ns / NS_IN_MS, &ms))
        ms = -1;
    *ret_ms = ms;
    return 0;
}

static int get_retry_info(struct grpc_status *st, struct span message)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r;

    while ((r = wire_next(&in, &f)) == 0) {
        if (!is_bytes(&f, 1))
            continue;
        r = get_duration_ms(f.bytes, &st->retry_delay_ms);
        if (r)
            return r;
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}

static int get_bad_request(struct grpc_status *st, struct span message)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r;

    while ((r = wire_next(&in, &f)) == 0) {
        if (!is_bytes(&f, 1) || st->n_violations == STATUS_VIOLATIONS_MAX)
            continue;
        r = get_pair(f.bytes, 1, st->violations[st->n_violations].field, sizeof st->violations[0].field, 2,
                     st->violations[st->n_violations].description, sizeof st->violations[0].description);
        if (r)
            return r;
        st->n_violations++;
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}

static int get_resource_info(struct grpc_status *st, struct span message)
{
    return get_pair(message, 1, st->resource_type, sizeof st->resource_type, 2, st->resource_name,
                    sizeof st->resource_name);
}

/* QuotaFailure and PreconditionFailure: of a list of violations the first is kept. */
static int get_first_pair(struct span message, uint32_t fa, char *a, size_t a_size, uint32_t fb, char *b,
                          size_t b_size)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r, is_taken = 0;

    while ((r = wire_next(&in, &f)) == 0) {
        if (!is_bytes(&f, 1) || is_taken)
            continue;
        r = get_pair(f.bytes, fa, a, a_size, fb, b, b_size);
        if (r)
            return r;
        is_taken = 1;
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}

static int get_quota_failure(struct grpc_status *st, struct span message)
{
    return get_first_pair(message, 1, st->quota_subject, sizeof st->quota_subject, 2, st->quota_description,
                          sizeof st->quota_description);
}

static int get_precondition_failure(struct grpc_status *st, struct span message)
{
    return get_first_pair(message, 1, st->precondition_type, sizeof st->precondition_type, 2,
                          st->precondition_subject, sizeof st->precondition_subject);
}

/* One Any of the details: what stands behind the last slash of its type decides. */
static int get_detail(struct grpc_status *st, struct span any)
{
    static const struct {
        struct span type;
        int (*get)(struct grpc_status *, struct span);
    } details[] = {
            {{(const uint8_t *)"ErrorInfo", 9}, get_error_info},
            {{(const uint8_t *)"RetryInfo", 9}, get_retry_info},
            {{(const uint8_t *)"BadRequest", 10}, get_bad_request},
            {{(const uint8_t *)"ResourceInfo", 12}, get_resource_info},
            {{(const uint8_t *)"QuotaFailure", 12}, get_quota_failure},
            {{(const uint8_t *)"PreconditionFailure", 19}, get_precondition_failure},
    };
    static const char package[] = "/google.rpc.";
    const size_t n_package = sizeof package - 1;
    struct span type = {0}, value = {0}, name = {0};
    struct wire_reader in = wire_reader(any);
    struct wire_field f;
    int r;

    while ((r = wire_next(&in, &f)) == 0) {
        if (is_bytes(&f, 1))
            type = f.bytes;
        else if (is_bytes(&f, 2))
            value = f.bytes;
    }
    if (r != WIRE_E_END)
        return STATUS_E_MALFORMED;
    for (size_t i = type.len; i-- > 0 && !name.p;)
        if (type.p[i] == '/')
            name = (struct span){type.p + i, type.len - i};
    if (name.len <= n_package || memcmp(name.p, package, n_package) != 0)
        return 0;
    name = (struct span){name.p + n_package, name.len - n_package};
    for (size_t i = 0; i < ARRAY_LEN(details); i++)
        if (span_eq(name, details[i].type))
            return details[i].get(st, value);
    return 0;
}

int status_decode(struct span message, struct grpc_status *ret)
{
    struct wire_reader in = wire_reader(message);
    struct wire_field f;
    int r;

    status_clear(ret, GRPC_OK);
    while ((r = wire_next(&in, &f)) == 0) {
        if (f.number == 1 && f.type == WIRE_VARINT)
            ret->code = status_code(f.value);
        else if (is_bytes(&f, 2))
            get_text(ret->message, sizeof ret->message, f.bytes);
        else if (is_bytes(&f, 3) && get_detail(ret, f.bytes))
            return STATUS_E_MALFORMED;
    }
    return r == WIRE_E_END ? 0 : STATUS_E_MALFORMED;
}
