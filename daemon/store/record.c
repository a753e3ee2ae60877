// SPDX-License-Identifier: Apache-2.0
/*
 * The layout, in the order of the bytes (docs/disk-format.md tells it in tables):
 *
 *   version, state, durability | on_lost << 4: a byte each; flags: varint
 *   revision, submit_time (8 bytes), priority, n_claims, n_losses, the three numbers of the argument
 *   retention, function, namespace, principal, group, peer, tag, traceparent, labels, cancel request
 *   what only some have, in the order of its flags
 *   attempts, newest first; outcome; task
 *   CRC32C of id and all the above: 4 bytes
 *
 * Numbers are little-endian base-128 varints, signed ones in zigzag; times but the first are the distance from
 * submit_time, because that is short; a string is its length and its bytes. What a flag says is not there takes no
 * byte. Enums are the contract's numbers; reasons are their texts, so that the engine's enum may be reordered.
 *
 * Encoding reserves an upper bound first and then cannot fail. record_read.c reads it.
 */
#include "store/record.h"

#include "base/limit.h"
#include "engine/idem.h"
#include "engine/slot.h"
#include "engine/told.h"
#include "store/batch.h"
#include "store/crc32c.h"
#include "store/record_format.h"
#include "store/varint.h"

#include <errno.h>
#include <string.h>

enum {
    RECORD_BYTES_MAX = 1 << 30,
    HEAD_BYTES = 3 + 8 + 60 * VARINT_BYTES + 2 * 8 + 2 * ID_BYTES +
                 RECORD_CRC_BYTES,     /* at least what has a fixed number of numbers */
    ATTEMPT_BYTES = 20 * VARINT_BYTES, /* at least an attempt without its strings, error included */
    REASON_BYTES = 32,                 /* at least the longest text of a reason */
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

static uint8_t *put_double(uint8_t *to, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return put_le(to, bits, sizeof bits);
}

static uint8_t *put_retry(uint8_t *to, const struct retry_policy *p)
{
    to = varint_put(to, p->max_attempts);
    to = varint_put(to, (uint64_t)p->initial_backoff_ns);
    to = varint_put(to, (uint64_t)p->max_backoff_ns);
    to = put_double(to, p->multiplier);
    to = put_double(to, p->jitter);
    to = varint_put(to, p->n_types);
    for (uint32_t i = 0; i < p->n_types; i++)
        to = put_span(to, p->types[i]);
    return to;
}

static uint8_t *put_timing(uint8_t *to, wall_ns_t base, const struct timing *t, uint32_t flags)
{
    if (flags & FLAG_NOT_BEFORE)
        to = put_time(to, base, t->not_before);
    if (flags & FLAG_DEADLINE)
        to = put_time(to, base, t->deadline);
    if (flags & FLAG_TIMEOUT)
        to = varint_put(to, (uint64_t)t->attempt_timeout_ns);
    if (flags & FLAG_RETRY)
        to = put_retry(to, t->retry);
    if (flags & FLAG_BACKOFF) {
        to = put_time(to, base, t->next_try);
        to = varint_put(to, t->n_counted);
    }
    return to;
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

static uint32_t timing_flags(const struct timing *t)
{
    return (t->not_before ? (uint32_t)FLAG_NOT_BEFORE : 0) | (t->deadline ? (uint32_t)FLAG_DEADLINE : 0) |
           (t->attempt_timeout_ns ? (uint32_t)FLAG_TIMEOUT : 0) | (t->retry ? (uint32_t)FLAG_RETRY : 0) |
           (t->next_try || t->n_counted ? (uint32_t)FLAG_BACKOFF : 0);
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
    if (rare && rare->cancel_requested) {
        flags |= FLAG_CANCEL;
        if (rare->cancel_requested->grace_ns != ENGINE_GRACE_NS)
            flags |= FLAG_CANCEL_GRACE;
    }
    if (rare && rare->timing)
        flags |= timing_flags(rare->timing);
    if (rare && rare->depend)
        flags |= FLAG_DEPENDS;
    if (rare && rare->idem)
        flags |= FLAG_KEY;
    if (future_retry_of(f))
        flags |= FLAG_RETRY_OF;
    if (future_retried_by(f))
        flags |= FLAG_RETRIED_BY;
    if (rare && rare->request_id)
        flags |= FLAG_REQUEST_ID;
    if (rare && rare->slot)
        flags |= FLAG_CONCURRENCY_KEY;
    if (rare && rare->fairness_key && !f->outcome)
        flags |= FLAG_FAIRNESS_KEY;
    if (rare && rare->told && (rare->told->n_chunks || rare->told->progress.attempt))
        flags |= FLAG_TOLD;
    return flags;
}

static uint8_t *put_id(uint8_t *to, const struct id *id)
{
    memcpy(to, id->b, ID_BYTES);
    return to + ID_BYTES;
}

static uint8_t *put_depend(uint8_t *to, const struct depend *d)
{
    *to++ = (uint8_t)(d->policy | (d->passes_results ? RECORD_DEPEND_PASSES : 0));
    to = varint_put(to, d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        to = put_id(to, &d->at[i].id);
        *to++ = d->at[i].state;
    }
    return to;
}

static uint8_t *put_key(uint8_t *to, const struct idem *idem)
{
    to = put_span(to, idem_span(idem));
    to = varint_put(to, idem->content_type_at);
    return varint_put(to, idem->content_type_bytes);
}

static uint8_t *put_told(uint8_t *to, const struct told *t)
{
    const struct told_progress *p = &t->progress;

    to = varint_put(to, t->n_chunks);
    to = varint_put(to, p->attempt);
    if (!p->attempt)
        return to;
    to = varint_put(to, p->completed);
    to = varint_put(to, p->total);
    return put_bytes(to, p->message);
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
    if (rare && rare->timing)
        to = put_timing(to, f->submit_time, rare->timing, flags);
    if (flags & FLAG_DEPENDS)
        to = put_depend(to, rare->depend);
    if (flags & FLAG_KEY)
        to = put_key(to, rare->idem);
    if (flags & FLAG_RETRY_OF)
        to = put_id(to, &rare->retry_of);
    if (flags & FLAG_RETRIED_BY)
        to = put_id(to, &rare->retried_by);
    if (flags & FLAG_CONCURRENCY_KEY)
        to = put_bytes(to, rare->slot->key);
    if (flags & FLAG_FAIRNESS_KEY)
        to = put_bytes(to, rare->fairness_key);
    if (flags & FLAG_REQUEST_ID)
        to = put_bytes(to, rare->request_id);
    if (flags & FLAG_CANCEL_GRACE)
        to = varint_put(to, (uint64_t)rare->cancel_requested->grace_ns);
    if (flags & FLAG_TOLD)
        to = put_told(to, rare->told);
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

static size_t retry_bound(const struct retry_policy *p)
{
    size_t n = 0;

    for (uint32_t i = 0; p && i < p->n_types; i++)
        n += VARINT_BYTES + p->types[i].len;
    return n;
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
             len_of(f->rare->request_id) + len_of(f->rare->fairness_key) +
             (f->rare->slot ? len_of(f->rare->slot->key) : 0) +
             (f->rare->told ? len_of(f->rare->told->progress.message) : 0);
    if (future_timing(f))
        n += retry_bound(future_timing(f)->retry);
    if (f->rare && f->rare->depend)
        n += 1 + VARINT_BYTES + f->rare->depend->n * (size_t)RECORD_DEPEND_BYTES;
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
    to = put_le(to, crc, RECORD_CRC_BYTES);
    ASSERT((size_t)(to - start) <= bound);
    buf_commit(out, (size_t)(to - start));
    ret_place->at = (uint32_t)begin;
    ret_place->len = (uint32_t)(to - start);
    return 0;
}
