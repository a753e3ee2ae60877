// SPDX-License-Identifier: Apache-2.0
/*
 * The layout, in the order of the bytes (docs/disk-format.md tells it in tables):
 *
 *   version, state, durability | on_lost << 4: a byte each; flags: varint
 *   revision, submit_time (8 bytes), priority, n_claims, n_losses, the three numbers of the argument
 *   retention, function, namespace, principal, group, peer, tag, traceparent, labels, cancel request, idempotency key,
 *   request ID
 *   attempts, newest first; outcome; task
 *   CRC32C of id and all the above: 4 bytes
 *
 * Numbers are little-endian base-128 varints, signed ones in zigzag; times but the first are the distance from
 * submit_time, because that is short; a string is its length and its bytes. What a flag says is not there takes no
 * byte. Enums are the contract's numbers; reasons are their texts, so that the engine's enum may be reordered.
 *
 * Encoding reserves an upper bound first and then cannot fail. Decoding trusts nothing: a reader that has run out of
 * bytes, or met what no encoder writes, stays broken and everything it reads is 0; that is asked once, at the end.
 */
#include "store/record.h"

#include "base/limit.h"
#include "base/mem.h"
#include "engine/idem.h"
#include "store/batch.h"
#include "store/crc32c.h"
#include "store/varint.h"

#include <errno.h>
#include <string.h>

enum {
    CRC_BYTES = 4,
    RECORD_BYTES_MAX = 1 << 30,
    HEAD_BYTES = 3 + 8 + 40 * VARINT_BYTES + CRC_BYTES, /* at least what has a fixed number of numbers */
    ATTEMPT_BYTES = 20 * VARINT_BYTES, /* at least an attempt without its strings, error included */
    ATTEMPT_BYTES_MIN = 8,             /* at most what the shortest takes */
    REASON_BYTES = 32,                 /* at least the longest text of a reason */
};

enum flag {
    FLAG_TASK_IN_BLOB = 1 << 0,
    FLAG_LABELS = 1 << 1,
    FLAG_GROUP = 1 << 2,
    FLAG_PEER = 1 << 3,
    FLAG_TAG = 1 << 4,
    FLAG_TRACEPARENT = 1 << 5,
    FLAG_RETENTION = 1 << 6,
    FLAG_CANCEL = 1 << 7,
    FLAG_OUTCOME = 1 << 8,
    FLAG_DATA = 1 << 9,
    FLAG_DATA_IN_BLOB = 1 << 10,
    FLAG_CONTENT_TYPE = 1 << 11,
    FLAG_ERROR = 1 << 12,
    FLAG_ERROR_IS_SHARED = 1 << 13,
    FLAG_ARMED = 1 << 14,
    FLAG_KEY = 1 << 21,
    FLAG_REQUEST_ID = 1 << 28,
    FLAGS_ALL = ((1 << 15) - 1) | FLAG_KEY | FLAG_REQUEST_ID,
};

enum attempt_flag {
    ATTEMPT_ENDED = 1 << 0,
    ATTEMPT_EXIT_CODE = 1 << 1,
    ATTEMPT_SIGNAL = 1 << 2,
    ATTEMPT_ERROR = 1 << 3,
    ATTEMPT_FLAGS_ALL = (1 << 4) - 1,
};

int record_is_inline(const struct bytes *b)
{
    return !b || b->len <= BATCH_INLINE_BYTES;
}

/* --- writing */

static uint8_t *put_signed(uint8_t *to, int64_t v)
{
    return varint_put(to, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* The distance may overflow: it wraps, and wraps back. */
static uint8_t *put_time(uint8_t *to, wall_ns_t base, wall_ns_t t)
{
    return put_signed(to, (int64_t)((uint64_t)t - (uint64_t)base));
}

/* What may be unknown: < 0. */
static uint8_t *put_maybe(uint8_t *to, int64_t v)
{
    return varint_put(to, v < 0 ? 0 : (uint64_t)v + 1);
}

static uint8_t *put_span(uint8_t *to, struct span s)
{
    to = varint_put(to, s.len);
    if (s.len)
        memcpy(to, s.p, s.len);
    return to + s.len;
}

static uint8_t *put_bytes(uint8_t *to, const struct bytes *b)
{
    return put_span(to, SPAN_OF_BYTES(b));
}

static uint8_t *put_le(uint8_t *to, uint64_t v, uint32_t n)
{
    for (; n > 0; n--, v >>= 8)
        *to++ = (uint8_t)v;
    return to;
}

static uint8_t *put_error(uint8_t *to, const struct future_error *e)
{
    to = put_signed(to, e->code);
    to = varint_put(to, e->retryable ? 1 : 0);
    to = put_span(to, span_of_string(future_reason_text(e->reason)));
    to = put_span(to, e->type);
    to = put_span(to, e->message);
    to = put_span(to, e->traceback);
    to = put_span(to, e->function_reason);
    return put_span(to, e->details);
}

static uint8_t *put_attempt(uint8_t *to, wall_ns_t base, const struct attempt *a)
{
    uint32_t flags = (a->end_time ? (uint32_t)ATTEMPT_ENDED : 0) |
                     (a->has_exit_code ? (uint32_t)ATTEMPT_EXIT_CODE : 0) |
                     (a->has_signal ? (uint32_t)ATTEMPT_SIGNAL : 0) |
                     (a->error ? (uint32_t)ATTEMPT_ERROR : 0);

    to = varint_put(to, flags);
    to = varint_put(to, a->number);
    to = put_time(to, base, a->start_time);
    to = put_bytes(to, a->worker);
    if (flags & ATTEMPT_ENDED)
        to = put_time(to, a->start_time, a->end_time);
    if (flags & ATTEMPT_EXIT_CODE)
        to = put_signed(to, a->exit_code);
    if (flags & ATTEMPT_SIGNAL)
        to = put_signed(to, a->signal);
    to = put_maybe(to, a->usage.user_cpu_ns);
    to = put_maybe(to, a->usage.system_cpu_ns);
    to = put_maybe(to, a->usage.wall_ns);
    to = put_maybe(to, a->usage.max_rss_bytes);
    return a->error ? put_error(to, a->error) : to;
}

static uint8_t *put_labels(uint8_t *to, const struct labels *labels)
{
    to = varint_put(to, labels->n);
    for (uint32_t i = 0; i < labels->n; i++) {
        to = put_span(to, labels->at[i].key);
        to = put_span(to, labels->at[i].value);
    }
    return to;
}

static uint8_t *put_cancel(uint8_t *to, wall_ns_t base, const struct cancel_request *c)
{
    to = put_time(to, base, c->time);
    to = put_bytes(to, c->principal);
    return put_bytes(to, c->reason);
}

static uint8_t *put_outcome(uint8_t *to, const struct future *f, uint32_t flags)
{
    const struct outcome *o = f->outcome;

    to = put_time(to, f->submit_time, o->end_time);
    to = put_time(to, o->end_time, o->expire_time);
    if (flags & FLAG_CONTENT_TYPE)
        to = put_bytes(to, o->content_type);
    if (flags & FLAG_DATA_IN_BLOB)
        to = varint_put(to, o->data->len);
    else if (flags & FLAG_DATA)
        to = put_bytes(to, o->data);
    return flags & FLAG_ERROR && !(flags & FLAG_ERROR_IS_SHARED) ? put_error(to, o->error) : to;
}

static uint32_t outcome_flags(const struct future *f)
{
    const struct outcome *o = f->outcome;
    uint32_t flags = FLAG_OUTCOME;

    if (o->content_type && o->content_type->len)
        flags |= FLAG_CONTENT_TYPE;
    if (o->data)
        flags |= FLAG_DATA;
    if (!record_is_inline(o->data))
        flags |= FLAG_DATA_IN_BLOB;
    if (o->error)
        flags |= FLAG_ERROR;
    if (o->error && f->attempts && f->attempts->error == o->error)
        flags |= FLAG_ERROR_IS_SHARED;
    return flags;
}

static uint32_t flags_of(const struct future *f)
{
    const struct future_rare *rare = f->rare;
    uint32_t flags = f->outcome ? outcome_flags(f) : 0;

    if (!record_is_inline(f->task))
        flags |= FLAG_TASK_IN_BLOB;
    if (f->armed != ARMED_NOT)
        flags |= FLAG_ARMED;
    if (f->labels)
        flags |= FLAG_LABELS;
    if (future_group(f).len)
        flags |= FLAG_GROUP;
    if (f->peer && f->peer->len)
        flags |= FLAG_PEER;
    if (rare && rare->tag && rare->tag->len)
        flags |= FLAG_TAG;
    if (rare && rare->traceparent && rare->traceparent->len)
        flags |= FLAG_TRACEPARENT;
    if (rare && rare->retention_ns >= 0)
        flags |= FLAG_RETENTION;
    if (rare && rare->cancel_requested)
        flags |= FLAG_CANCEL;
    if (rare && rare->idem)
        flags |= FLAG_KEY;
    if (rare && rare->request_id)
        flags |= FLAG_REQUEST_ID;
    return flags;
}

static uint8_t *put_key(uint8_t *to, const struct idem *idem)
{
    to = put_span(to, idem_span(idem));
    to = varint_put(to, idem->content_type_at);
    return varint_put(to, idem->content_type_bytes);
}

static uint8_t *put_rare(uint8_t *to, const struct future *f, uint32_t flags)
{
    const struct future_rare *rare = f->rare;

    if (flags & FLAG_RETENTION)
        to = varint_put(to, (uint64_t)rare->retention_ns);
    if (flags & FLAG_GROUP)
        to = put_span(to, future_group(f));
    if (flags & FLAG_PEER)
        to = put_bytes(to, f->peer);
    if (flags & FLAG_TAG)
        to = put_bytes(to, rare->tag);
    if (flags & FLAG_TRACEPARENT)
        to = put_bytes(to, rare->traceparent);
    if (flags & FLAG_LABELS)
        to = put_labels(to, f->labels);
    if (flags & FLAG_CANCEL)
        to = put_cancel(to, f->submit_time, rare->cancel_requested);
    if (flags & FLAG_KEY)
        to = put_key(to, rare->idem);
    if (flags & FLAG_REQUEST_ID)
        to = put_bytes(to, rare->request_id);
    return to;
}

static uint32_t count_attempts(const struct future *f)
{
    uint32_t n = 0;

    for (const struct attempt *a = f->attempts; a && n < RECORD_ATTEMPTS_MAX; a = a->next)
        n++;
    return n;
}

/* --- how much room that takes at most */

static size_t error_bound(const struct future_error *e)
{
    return e ? REASON_BYTES + e->type.len + e->message.len + e->traceback.len + e->function_reason.len +
                           e->details.len
             : 0;
}

static size_t len_of(const struct bytes *b)
{
    return b ? b->len : 0;
}

static size_t bound_of(const struct future *f)
{
    size_t n = HEAD_BYTES + future_function_name(f).len + future_namespace(f).len + future_principal(f).len +
               future_group(f).len + len_of(f->peer);

    if (record_is_inline(f->task))
        n += f->task->len;
    if (f->labels)
        n += f->labels->bytes + f->labels->n * (size_t)(2 * VARINT_BYTES);
    if (f->rare)
        n += len_of(f->rare->tag) + len_of(f->rare->traceparent) + future_key(f).len +
             len_of(f->rare->request_id);
    if (f->rare && f->rare->cancel_requested)
        n += len_of(f->rare->cancel_requested->principal) + len_of(f->rare->cancel_requested->reason);
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n += ATTEMPT_BYTES + len_of(a->worker) + error_bound(a->error);
    if (f->outcome)
        n += len_of(f->outcome->content_type) + error_bound(f->outcome->error);
    if (f->outcome && record_is_inline(f->outcome->data))
        n += len_of(f->outcome->data);
    return n;
}

/* What record_decode would refuse must not get to the disk: it is a bug of who made it. */
static void assert_readable(const struct future *f)
{
    const struct outcome *o = f->outcome;

    ASSERT(!o == !future_is_terminal(f));
    ASSERT(!o || (!o->data == (f->state != FUTURE_SUCCEEDED) && !o->error == (f->state == FUTURE_SUCCEEDED)));
    ASSERT(f->durability == DURABILITY_DURABLE || f->durability == DURABILITY_EPHEMERAL);
    ASSERT(f->on_lost == ON_LOST_RETRY || f->on_lost == ON_LOST_FAIL);
    ASSERT((uint64_t)f->argument_at + f->argument_field_bytes <= f->task->len);
    ASSERT(future_function_name(f).len > 0 && (!f->labels || f->labels->n <= LIMIT_LABELS));
}

int record_encode(const struct future *f, struct buf *out, struct record_place *ret_place)
{
    size_t bound = bound_of(f), begin = buf_len(out);
    uint32_t flags = flags_of(f), n_attempts = count_attempts(f);
    const struct attempt *a = f->attempts;
    uint8_t *start, *to;
    uint32_t crc;

    assert_readable(f);
    if (bound > RECORD_BYTES_MAX || begin > RECORD_BYTES_MAX)
        return -EMSGSIZE;
    if (buf_reserve(out, bound) < 0)
        return -ENOMEM;
    start = to = buf_tail(out);
    *to++ = RECORD_VERSION;
    *to++ = f->state;
    *to++ = (uint8_t)(f->durability | f->on_lost << 4);
    to = varint_put(to, flags);
    to = varint_put(to, f->revision);
    to = put_le(to, (uint64_t)f->submit_time, 8);
    to = put_signed(to, f->priority);
    to = varint_put(to, f->n_claims);
    to = varint_put(to, f->rare ? f->rare->n_losses : 0);
    to = varint_put(to, f->argument_at);
    to = varint_put(to, f->argument_field_bytes);
    to = varint_put(to, f->argument_bytes);
    to = put_span(to, future_function_name(f));
    ret_place->function_at = (uint32_t)(begin + (size_t)(to - start) - future_function_name(f).len);
    to = put_span(to, future_namespace(f));
    to = put_span(to, future_principal(f));
    to = put_rare(to, f, flags);
    to = varint_put(to, n_attempts);
    for (uint32_t i = 0; i < n_attempts; i++, a = a->next)
        to = put_attempt(to, f->submit_time, a);
    if (f->outcome)
        to = put_outcome(to, f, flags);
    to = flags & FLAG_TASK_IN_BLOB ? varint_put(to, f->task->len) : put_bytes(to, f->task);
    crc = crc32c(crc32c(0, f->id.b, sizeof f->id.b), start, (size_t)(to - start));
    to = put_le(to, crc, CRC_BYTES);
    ASSERT((size_t)(to - start) <= bound);
    buf_commit(out, (size_t)(to - start));
    ret_place->at = (uint32_t)begin;
    ret_place->len = (uint32_t)(to - start);
    return 0;
}

/* --- reading */

struct in {
    const uint8_t *at, *end;
    int is_broken;
};

static uint64_t broken(struct in *in)
{
    in->is_broken = 1;
    in->at = in->end;
    return 0;
}

static uint64_t get_varint(struct in *in)
{
    const uint8_t *behind;
    uint64_t v;

    behind = varint_get(in->at, in->end, &v);
    if (!behind)
        return broken(in);
    in->at = behind;
    return v;
}

static uint64_t get_up_to(struct in *in, uint64_t max)
{
    uint64_t v = get_varint(in);

    return v <= max ? v : broken(in);
}

static uint32_t get_u32(struct in *in)
{
    return (uint32_t)get_up_to(in, UINT32_MAX);
}

static int64_t get_signed(struct in *in)
{
    uint64_t v = get_varint(in);

    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static int32_t get_i32(struct in *in)
{
    int64_t v = get_signed(in);

    return v >= INT32_MIN && v <= INT32_MAX ? (int32_t)v : (int32_t)broken(in);
}

static wall_ns_t get_time(struct in *in, wall_ns_t base)
{
    return (wall_ns_t)((uint64_t)base + (uint64_t)get_signed(in));
}

static int64_t get_maybe(struct in *in)
{
    return (int64_t)(get_up_to(in, (uint64_t)INT64_MAX + 1) - 1);
}

static struct span get_span(struct in *in)
{
    size_t len = get_up_to(in, (uint64_t)(in->end - in->at));
    struct span s = {len ? in->at : NULL, len};

    if (len > (size_t)(in->end - in->at)) { /* the number itself has taken some of them */
        broken(in);
        return (struct span){0};
    }
    in->at += len;
    return s;
}

/* A string that is only written when it is not empty. */
static struct span get_some(struct in *in)
{
    struct span s = get_span(in);

    if (!s.len)
        broken(in);
    return s;
}

static uint64_t get_le(struct in *in, uint32_t n)
{
    uint64_t v = 0;

    if ((size_t)(in->end - in->at) < n)
        return broken(in);
    for (uint32_t i = 0; i < n; i++)
        v |= (uint64_t)in->at[i] << (8 * i);
    in->at += n;
    return v;
}

static void get_error(struct in *in, struct future_error *e)
{
    struct span reason;

    e->code = get_i32(in);
    e->retryable = (int)get_up_to(in, 1);
    reason = get_span(in);
    e->reason = future_reason_parse(reason);
    if (reason.len && e->reason == REASON_NONE)
        broken(in);
    e->type = get_span(in);
    e->message = get_span(in);
    e->traceback = get_span(in);
    e->function_reason = get_span(in);
    e->details = get_span(in);
}

static void get_attempt(struct in *in, wall_ns_t base, struct restored_attempt *a)
{
    uint64_t flags = get_up_to(in, ATTEMPT_FLAGS_ALL);

    a->has_exit_code = !!(flags & ATTEMPT_EXIT_CODE);
    a->has_signal = !!(flags & ATTEMPT_SIGNAL);
    a->has_error = !!(flags & ATTEMPT_ERROR);
    a->number = get_u32(in);
    a->start_time = get_time(in, base);
    a->worker = get_span(in);
    if (flags & ATTEMPT_ENDED)
        a->end_time = get_time(in, a->start_time);
    if (a->has_exit_code)
        a->exit_code = get_i32(in);
    if (a->has_signal)
        a->signal = get_i32(in);
    a->usage.user_cpu_ns = get_maybe(in);
    a->usage.system_cpu_ns = get_maybe(in);
    a->usage.wall_ns = get_maybe(in);
    a->usage.max_rss_bytes = get_maybe(in);
    if (a->has_error)
        get_error(in, &a->error);
    if (flags & ATTEMPT_ENDED && a->end_time == 0) /* 0 would say that it still runs */
        broken(in);
}

static int get_labels(struct in *in, struct record *r)
{
    r->n_labels = (uint32_t)get_up_to(in, LIMIT_LABELS);
    if (r->n_labels == 0)
        return 0;
    r->labels = mem_zalloc(r->n_labels * sizeof *r->labels);
    if (!r->labels)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_labels; i++) {
        r->labels[i].key = get_span(in);
        r->labels[i].value = get_span(in);
    }
    return 0;
}

static int get_attempts(struct in *in, struct record *r)
{
    r->n_attempts = (uint32_t)get_up_to(
            in, MIN((uint64_t)RECORD_ATTEMPTS_MAX, (uint64_t)(in->end - in->at) / ATTEMPT_BYTES_MIN));
    if (r->n_attempts == 0)
        return 0;
    r->attempts = mem_zalloc(r->n_attempts * sizeof *r->attempts);
    if (!r->attempts)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_attempts; i++)
        get_attempt(in, r->submit_time, &r->attempts[i]);
    return 0;
}

static void get_outcome(struct in *in, struct record *r, uint64_t flags)
{
    r->end_time = get_time(in, r->submit_time);
    r->expire_time = get_time(in, r->end_time);
    if (flags & FLAG_CONTENT_TYPE)
        r->content_type = get_some(in);
    if (flags & FLAG_DATA_IN_BLOB) {
        r->data_bytes = get_u32(in);
        if (r->data_bytes <= BATCH_INLINE_BYTES)
            broken(in);
    } else if (flags & FLAG_DATA) {
        r->data = get_span(in);
        r->data_bytes = (uint32_t)r->data.len;
    }
    if (r->error_is_shared) {
        if (r->n_attempts > 0 && r->attempts[0].has_error)
            r->error = r->attempts[0].error;
        else
            broken(in);
    } else if (r->has_error) {
        get_error(in, &r->error);
    }
}

static void get_task(struct in *in, struct record *r)
{
    if (r->task_in_blob) {
        r->task_bytes = get_u32(in);
        if (r->task_bytes <= BATCH_INLINE_BYTES)
            broken(in);
    } else {
        r->task = get_span(in);
        r->task_bytes = (uint32_t)r->task.len;
    }
    if ((uint64_t)r->argument_at + r->argument_field_bytes > r->task_bytes ||
        r->argument_bytes > r->argument_field_bytes ||
        (uint64_t)r->content_type_at + r->content_type_bytes > r->task_bytes)
        broken(in);
}

/* The flags and the three bytes before them, and what can be wrong in them alone. */
static uint64_t get_head(struct in *in, struct record *r)
{
    uint64_t flags;
    uint8_t how;

    r->state = (uint8_t)get_le(in, 1);
    how = (uint8_t)get_le(in, 1);
    r->durability = how & 15;
    r->on_lost = how >> 4;
    flags = get_varint(in);
    if (flags & ~(uint64_t)FLAGS_ALL)
        broken(in);
    r->has_labels = !!(flags & FLAG_LABELS);
    r->has_outcome = !!(flags & FLAG_OUTCOME);
    r->has_data = !!(flags & FLAG_DATA);
    r->has_error = !!(flags & FLAG_ERROR);
    r->error_is_shared = !!(flags & FLAG_ERROR_IS_SHARED);
    r->has_cancel = !!(flags & FLAG_CANCEL);
    r->is_armed = !!(flags & FLAG_ARMED);
    r->task_in_blob = !!(flags & FLAG_TASK_IN_BLOB);
    r->data_in_blob = !!(flags & FLAG_DATA_IN_BLOB);
    if (r->state < FUTURE_PENDING || r->state > FUTURE_CANCELLED ||
        r->has_outcome != (r->state >= FUTURE_SUCCEEDED) || r->has_data != (r->state == FUTURE_SUCCEEDED) ||
        r->has_error != (r->state > FUTURE_SUCCEEDED) || r->error_is_shared > r->has_error ||
        r->data_in_blob > r->has_data || (flags & FLAG_CONTENT_TYPE && !r->has_outcome) ||
        (r->durability != DURABILITY_DURABLE && r->durability != DURABILITY_EPHEMERAL) ||
        (r->on_lost != ON_LOST_RETRY && r->on_lost != ON_LOST_FAIL))
        broken(in);
    return flags;
}

static int get_rare(struct in *in, struct record *r, uint64_t flags)
{
    int result = 0;

    r->retention_ns = flags & FLAG_RETENTION ? (int64_t)get_up_to(in, INT64_MAX) : -1;
    if (flags & FLAG_GROUP)
        r->group = get_some(in);
    if (flags & FLAG_PEER)
        r->peer = get_some(in);
    if (flags & FLAG_TAG)
        r->tag = get_some(in);
    if (flags & FLAG_TRACEPARENT)
        r->traceparent = get_some(in);
    if (r->has_labels)
        result = get_labels(in, r);
    if (r->has_cancel) {
        r->cancel_time = get_time(in, r->submit_time);
        r->cancel_principal = get_span(in);
        r->cancel_reason = get_span(in);
    }
    return result;
}

/* What may be said of the task is checked when that has been read. */
static void get_names(struct in *in, struct record *r, uint64_t flags)
{
    if (flags & FLAG_KEY) {
        r->key = get_some(in);
        r->content_type_at = get_u32(in);
        r->content_type_bytes = get_u32(in);
    }
    if (flags & FLAG_REQUEST_ID)
        r->request_id = get_some(in);
    if (r->key.len > LIMIT_KEY_BYTES || r->request_id.len > LIMIT_KEY_BYTES)
        broken(in);
}

static int get_record(struct in *in, struct record *r)
{
    uint64_t flags = get_head(in, r);

    r->revision = get_varint(in);
    r->submit_time = (wall_ns_t)get_le(in, 8);
    r->priority = get_i32(in);
    r->n_claims = get_u32(in);
    r->n_losses = (uint8_t)get_up_to(in, UINT8_MAX);
    r->argument_at = get_u32(in);
    r->argument_field_bytes = get_u32(in);
    r->argument_bytes = get_u32(in);
    r->function = get_some(in);
    r->namespace = get_span(in);
    r->principal = get_span(in);
    if (get_rare(in, r, flags) < 0)
        return -ENOMEM;
    get_names(in, r, flags);
    if (get_attempts(in, r) < 0)
        return -ENOMEM;
    if (r->has_outcome)
        get_outcome(in, r, flags);
    get_task(in, r);
    return in->is_broken || in->at != in->end ? RECORD_E_DAMAGED : 0;
}

int record_decode(const struct id *id, struct span bytes, struct record *ret)
{
    struct record record = {.id = *id};
    struct in in, crc;
    int r;

    if (bytes.len < 1 + CRC_BYTES)
        return RECORD_E_DAMAGED;
    in = (struct in){.at = bytes.p, .end = bytes.p + bytes.len - CRC_BYTES};
    crc = (struct in){.at = in.end, .end = bytes.p + bytes.len};
    if (get_le(&crc, CRC_BYTES) != crc32c(crc32c(0, id->b, sizeof id->b), bytes.p, bytes.len - CRC_BYTES))
        return RECORD_E_DAMAGED;
    if (get_le(&in, 1) != RECORD_VERSION)
        return bytes.p[0] > RECORD_VERSION ? RECORD_E_VERSION : RECORD_E_DAMAGED;
    r = get_record(&in, &record);
    if (r != 0) {
        record_deinit(&record);
        return r;
    }
    *ret = record;
    return 0;
}

void record_deinit(struct record *record)
{
    record->labels = mem_free(record->labels);
    record->attempts = mem_free(record->attempts);
}
