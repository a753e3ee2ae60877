// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * protobuf-c as the judge of what is encoded and decoded by hand: it knows the contract by its generated descriptors, so
 * one comparison serves every message. Header only, for use with tests/support/testing.h and target futured-proto.
 *
 *   judge_random   a message of any type with random contents
 *   judge_compare  what a codec table read from some bytes, against what protobuf-c read from them
 *   judge_equal    two messages of protobuf-c with the same contents
 */
#include "base/buf.h"
#include "grpc/codec.h"
#include "tests/support/testing.h"

#include <protobuf-c/protobuf-c.h>

enum {
    JUDGE_NO_DOUBLES = 1, /* judge_random leaves them out: grpc/writer.h has none */
};

static inline int judge_is_of(const ProtobufCMessageDescriptor *d, const char *name)
{
    return strcmp(d->name, name) == 0;
}

static inline void *judge_member(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return (uint8_t *)(uintptr_t)m + f->offset;
}

/* Whether the field is a member of a oneof, and is it now. */
static inline int judge_is_case(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    uint32_t number;

    memcpy(&number, (const uint8_t *)m + f->quantifier_offset, sizeof number);
    return number == f->id;
}

static inline int judge_in_oneof(const ProtobufCFieldDescriptor *f)
{
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* --- random messages; all memory is malloc'ed as protobuf-c would, so free_unpacked frees it */

static inline void *judge_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);

    assert_non_null(p);
    return p;
}

/* UTF-8 of one to four bytes a character, without NUL. */
static inline char *judge_random_text(struct test_random *r)
{
    static const char *const characters[] = {"a", "Z", "0", "-", "é", "ß", "‰", "字", "𝄞", "/", " ", "\t"};
    size_t n = test_random_below(r, test_random_below(r, 20) ? 24 : 400);
    char *text = judge_alloc(4 * n + 1), *at = text;

    while (n--) {
        const char *c = characters[test_random_below(r, ARRAY_LEN(characters))];

        memcpy(at, c, strlen(c));
        at += strlen(c);
    }
    return text;
}

/* Often small, often at a border of varints, sometimes anything. */
static inline uint64_t judge_random_number(struct test_random *r)
{
    return test_random_next(r) >> test_random_below(r, 65) % 64;
}

static inline ProtobufCMessage *judge_random(struct test_random *r, const ProtobufCMessageDescriptor *d,
                                             int flags, int depth);

static inline void judge_random_time(struct test_random *r, ProtobufCMessage *m, int is_duration)
{
    int64_t seconds = (int64_t)(judge_random_number(r) >> 31);
    int32_t nanos = (int32_t)test_random_below(r, 3) ? (int32_t)test_random_below(r, 1000000000) : 0;

    if (test_random_below(r, 4) == 0) {
        seconds = -seconds;
        nanos = is_duration ? -nanos : nanos;
    }
    *(int64_t *)judge_member(m, protobuf_c_message_descriptor_get_field(m->descriptor, 1)) = seconds;
    *(int32_t *)judge_member(m, protobuf_c_message_descriptor_get_field(m->descriptor, 2)) = nanos;
}

static inline void judge_random_value(struct test_random *r, const ProtobufCFieldDescriptor *f, void *to,
                                      int flags, int depth)
{
    uint64_t number = judge_random_number(r);
    ProtobufCBinaryData *bytes = to;

    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)to = number & 1; break;
    case PROTOBUF_C_TYPE_ENUM: *(int *)to = (int)(number & 0x1f); break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32: *(uint32_t *)to = (uint32_t)number; break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)to = number; break;
    case PROTOBUF_C_TYPE_DOUBLE: *(double *)to = (double)(int64_t)number / 8; break;
    case PROTOBUF_C_TYPE_STRING: *(char **)to = judge_random_text(r); break;
    case PROTOBUF_C_TYPE_BYTES:
        bytes->len = test_random_below(r, test_random_below(r, 20) ? 40 : 20000);
        bytes->data = judge_alloc(bytes->len);
        for (size_t i = 0; i < bytes->len; i++)
            bytes->data[i] = (uint8_t)test_random_next(r);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)to = judge_random(r, f->descriptor, flags, depth - 1);
        break;
    default: fail_msg("field %s: a type that the contract does not use", f->name);
    }
}

static inline size_t judge_value_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM: return sizeof(int);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32: return 4;
    default: return 8;
    }
}

static inline void judge_random_repeated(struct test_random *r, ProtobufCMessage *m,
                                         const ProtobufCFieldDescriptor *f, int flags, int depth)
{
    size_t n = test_random_below(r, 4), size = judge_value_size(f);
    uint8_t *values = n ? judge_alloc(n * size) : NULL;

    for (size_t i = 0; i < n; i++)
        judge_random_value(r, f, values + i * size, flags, depth);
    memcpy(judge_member(m, f), &values, sizeof(void *));
    memcpy((uint8_t *)m + f->quantifier_offset, &n, sizeof n);
}

/* judge_random: freed by protobuf_c_message_free_unpacked(m, NULL). Sub-messages down to @depth. */
static inline ProtobufCMessage *judge_random(struct test_random *r, const ProtobufCMessageDescriptor *d,
                                             int flags, int depth)
{
    ProtobufCMessage *m = judge_alloc(d->sizeof_message);

    protobuf_c_message_init(d, m);
    if (judge_is_of(d, "google.protobuf.Duration") || judge_is_of(d, "google.protobuf.Timestamp")) {
        judge_random_time(r, m, judge_is_of(d, "google.protobuf.Duration"));
        return m;
    }
    for (unsigned int i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        uint32_t number = f->id, none = 0;

        if ((f->type == PROTOBUF_C_TYPE_MESSAGE && depth <= 1) ||
            (f->type == PROTOBUF_C_TYPE_DOUBLE && (flags & JUDGE_NO_DOUBLES)))
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            judge_random_repeated(r, m, f, flags, depth);
            continue;
        }
        if (test_random_below(r, 3) == 0)
            continue;
        if (judge_in_oneof(f)) {
            if (memcmp((uint8_t *)m + f->quantifier_offset, &none, sizeof none) != 0)
                continue; /* another member has it */
            memcpy((uint8_t *)m + f->quantifier_offset, &number, sizeof number);
        }
        judge_random_value(r, f, judge_member(m, f), flags, depth);
    }
    return m;
}

/* --- bytes */

/* judge_pack: the encoded message; freed by buf_deinit. */
static inline struct buf judge_pack(const ProtobufCMessage *m)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    struct buf out = {.data = judge_alloc(n), .cap = n, .end = n}; /* not counted by FAIL_EACH_ALLOCATION */

    assert_int_equal(protobuf_c_message_pack(m, out.data), n);
    return out;
}

static inline struct span judge_span(const struct buf *b)
{
    return (struct span){buf_head(b), buf_len(b)};
}

static inline int judge_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    struct buf pa = judge_pack(a), pb = judge_pack(b);
    int equal = span_eq(judge_span(&pa), judge_span(&pb));

    buf_deinit(&pa);
    buf_deinit(&pb);
    return equal;
}

/* Whether @bytes are an encoding of @m. */
static inline int judge_is_encoding(struct span bytes, const ProtobufCMessage *m)
{
    ProtobufCMessage *got = protobuf_c_message_unpack(m->descriptor, NULL, bytes.len,
                                                      bytes.p ? bytes.p : (const uint8_t *)"");
    int equal;

    if (!got)
        return 0;
    equal = judge_equal(got, m);
    protobuf_c_message_free_unpacked(got, NULL);
    return equal;
}

/* --- comparing with a codec table */

#define JUDGE_CHECK(f, x)                                      \
    do {                                                       \
        if (!(x))                                              \
            fail_msg("field %s: not true: %s", (f)->name, #x); \
    } while (0)

/* protobuf-c's strings end at the first NUL; ours do not. */
static inline int judge_same_text(struct span s, const char *text)
{
    size_t n = strlen(text);

    return s.len >= n && (n == 0 || memcmp(s.p, text, n) == 0) && (s.len == n || s.p[n] == 0);
}

/* The time in @m; 0 when it does not fit or is no proper Duration or Timestamp. */
static inline int judge_time(const ProtobufCMessage *m, int64_t *ret_ns)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    int is_duration = judge_is_of(d, "google.protobuf.Duration");
    int64_t seconds = *(int64_t *)judge_member(m, protobuf_c_message_descriptor_get_field(d, 1));
    int32_t nanos = *(int32_t *)judge_member(m, protobuf_c_message_descriptor_get_field(d, 2));
    __int128 ns = (__int128)seconds * 1000000000 + nanos;

    *ret_ns = (int64_t)ns;
    if (nanos <= -1000000000 || nanos >= 1000000000 || (nanos < 0 && (!is_duration || seconds > 0)) ||
        (nanos > 0 && seconds < 0 && is_duration))
        return 0;
    return ns >= INT64_MIN && ns <= INT64_MAX && (__int128)seconds * 1000000000 >= INT64_MIN &&
           (__int128)seconds * 1000000000 <= INT64_MAX;
}

static inline uint64_t judge_number(const ProtobufCFieldDescriptor *f, const void *from)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: return (uint64_t)(*(const protobuf_c_boolean *)from != 0);
    case PROTOBUF_C_TYPE_UINT32: return *(const uint32_t *)from;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32: return (uint64_t)(int64_t) * (const int32_t *)from;
    default: return *(const uint64_t *)from;
    }
}

/* protobuf-c keeps the low 32 bits of what is too large for its type; we keep all, and whoever reads it checks. */
static inline int judge_same_number(const ProtobufCFieldDescriptor *f, uint64_t ours, const void *theirs)
{
    uint64_t number = judge_number(f, theirs);

    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: return (ours != 0) == (number != 0);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32: return (uint32_t)ours == (uint32_t)number;
    case PROTOBUF_C_TYPE_SINT32:
        return (int64_t)ours < INT32_MIN || (int64_t)ours > INT32_MAX || ours == number;
    default: return ours == number;
    }
}

static inline void judge_compare_repeated(const ProtobufCFieldDescriptor *f, uint32_t n,
                                          const ProtobufCMessage *m, struct span bytes)
{
    struct wire_reader r = wire_reader(bytes);
    struct span item;
    size_t n_theirs;
    void **theirs;

    memcpy(&n_theirs, (const uint8_t *)m + f->quantifier_offset, sizeof n_theirs);
    memcpy(&theirs, judge_member(m, f), sizeof theirs);
    JUDGE_CHECK(f, n == n_theirs);
    for (size_t i = 0; i < n_theirs; i++) {
        JUDGE_CHECK(f, codec_each(&r, f->id, &item) == 1);
        if (f->type == PROTOBUF_C_TYPE_STRING)
            JUDGE_CHECK(f, judge_same_text(item, theirs[i]));
        else
            JUDGE_CHECK(f, judge_is_encoding(item, theirs[i]));
    }
    JUDGE_CHECK(f, codec_each(&r, f->id, &item) == 0);
}

static inline void judge_compare_field(const struct codec_row *row, const ProtobufCFieldDescriptor *f,
                                       const void *ours, const ProtobufCMessage *m, struct span bytes)
{
    const void *at = (const char *)ours + row->offset, *theirs = judge_member(m, f);
    const ProtobufCMessage *sub =
            f->type == PROTOBUF_C_TYPE_MESSAGE ? *(ProtobufCMessage *const *)theirs : NULL;
    const struct codec_bytes *b = at;
    const struct codec_time *t = at;
    const struct codec_number *number = at;
    int64_t ns;

    JUDGE_CHECK(f, strcmp(row->name, f->name) == 0);
    switch (row->type) {
    case CODEC_NONE: fail_msg("field %s: a hole", f->name); break;
    case CODEC_UINT: JUDGE_CHECK(f, judge_same_number(f, *(const uint64_t *)at, theirs)); break;
    case CODEC_INT:
    case CODEC_SINT: JUDGE_CHECK(f, judge_same_number(f, (uint64_t) * (const int64_t *)at, theirs)); break;
    case CODEC_DOUBLE: JUDGE_CHECK(f, memcmp(at, theirs, sizeof(double)) == 0); break;
    case CODEC_NUMBER:
        JUDGE_CHECK(f, judge_in_oneof(f) && number->is_set); /* only where presence matters */
        JUDGE_CHECK(f, judge_same_number(f, number->value, theirs));
        break;
    case CODEC_STRING:
        JUDGE_CHECK(f, judge_same_text(*(const struct span *)at, *(char *const *)theirs));
        break;
    case CODEC_BYTES:
        JUDGE_CHECK(f, span_eq(b->data, (struct span){((const ProtobufCBinaryData *)theirs)->data,
                                                      ((const ProtobufCBinaryData *)theirs)->len}));
        break;
    case CODEC_MESSAGE:
        JUDGE_CHECK(f, b->is_set == (sub != NULL));
        JUDGE_CHECK(f, !sub || judge_is_encoding(b->data, sub));
        break;
    case CODEC_DURATION:
    case CODEC_TIMESTAMP:
        JUDGE_CHECK(f, judge_is_of(f->descriptor, row->type == CODEC_DURATION ? "google.protobuf.Duration"
                                                                              : "google.protobuf.Timestamp"));
        JUDGE_CHECK(f, t->is_set == (sub != NULL));
        JUDGE_CHECK(f, !sub || (judge_time(sub, &ns) && ns == t->ns));
        break;
    case CODEC_REPEATED_STRING:
    case CODEC_REPEATED_MESSAGE: judge_compare_repeated(f, *(const uint32_t *)at, m, bytes); break;
    }
    if (row->type == CODEC_BYTES || row->type == CODEC_MESSAGE) {
        struct wire_reader r = wire_reader(b->field);
        struct wire_field whole;

        if (b->is_set) /* the whole field, for splicing */
            JUDGE_CHECK(f, wire_next(&r, &whole) == 0 && whole.number == f->id && r.at == r.end &&
                                   span_eq(whole.bytes, b->data));
    }
}

/* A member of a oneof that is not the one: nothing of it may be seen. Only with @is_strict: where the bytes hold several
 * members, protobuf says the last and we give all. */
static inline void judge_compare_absent(const struct codec_row *row, const ProtobufCFieldDescriptor *f,
                                        const void *ours)
{
    const void *at = (const char *)ours + row->offset;

    switch (row->type) {
    case CODEC_NUMBER: JUDGE_CHECK(f, !((const struct codec_number *)at)->is_set); break;
    case CODEC_STRING: JUDGE_CHECK(f, ((const struct span *)at)->len == 0); break;
    case CODEC_BYTES:
    case CODEC_MESSAGE: JUDGE_CHECK(f, !((const struct codec_bytes *)at)->is_set); break;
    case CODEC_DURATION:
    case CODEC_TIMESTAMP: JUDGE_CHECK(f, !((const struct codec_time *)at)->is_set); break;
    default: fail_msg("field %s: a member of a oneof without presence", f->name);
    }
}

/* judge_compare: fail the test unless @ours, which @table has read from @bytes, says what @m says. Every row must be a
 * field of that name. @is_strict: as above. */
static inline void judge_compare(const struct codec_table *table, const void *ours, const ProtobufCMessage *m,
                                 struct span bytes, int is_strict)
{
    for (uint32_t number = 0; number < table->n_rows; number++) {
        const struct codec_row *row = &table->rows[number];
        const ProtobufCFieldDescriptor *f;

        if (row->type == CODEC_NONE)
            continue;
        f = protobuf_c_message_descriptor_get_field(m->descriptor, number);
        if (!f)
            fail_msg("%s has no field %u, the table calls it %s", m->descriptor->name, number, row->name);
        else if (judge_in_oneof(f) && !judge_is_case(m, f)) {
            if (is_strict)
                judge_compare_absent(row, f, ours);
        } else
            judge_compare_field(row, f, ours, m, bytes);
    }
}

/* judge_table: read @rounds random messages of type @d by @table into @ours (@size bytes) and compare. */
static inline void judge_table(struct test_random *r, const struct codec_table *table,
                               const ProtobufCMessageDescriptor *d, void *ours, size_t size,
                               unsigned int rounds)
{
    while (rounds--) {
        ProtobufCMessage *m = judge_random(r, d, 0, 3);
        struct buf packed = judge_pack(m);
        const char *field = NULL;
        int e;

        memset(ours, 0, size);
        e = codec_read(table, judge_span(&packed), ours, &field);
        if (e)
            fail_msg("%s: field \"%s\" %s", d->name, field, codec_error_text(e));
        judge_compare(table, ours, m, judge_span(&packed), 1);
        buf_deinit(&packed);
        protobuf_c_message_free_unpacked(m, NULL);
    }
}
