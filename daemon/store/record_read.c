// SPDX-License-Identifier: Apache-2.0
/*
 * Reading what record.c writes. It trusts nothing: a reader that has run out of bytes, or met what no encoder writes, stays
 * broken and everything it reads is 0; that is asked once, at the end.
 */
#include "base/limit.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/crc32c.h"
#include "store/record.h"
#include "store/record_format.h"
#include "store/varint.h"

#include <errno.h>
#include <string.h>

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
            in, MIN((uint64_t)RECORD_ATTEMPTS_MAX, (uint64_t)(in->end - in->at) / RECORD_ATTEMPT_BYTES_MIN));
    if (r->n_attempts == 0)
        return 0;
    r->attempts = mem_zalloc(r->n_attempts * sizeof *r->attempts);
    if (!r->attempts)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_attempts; i++)
        get_attempt(in, r->submit_time, &r->attempts[i]);
    if (r->state == FUTURE_RUNNING && (r->attempts[0].end_time || r->attempts[0].has_error))
        broken(in); /* then it would not run */
    return 0;
}

static double get_double(struct in *in)
{
    uint64_t bits = get_le(in, sizeof bits);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static int64_t get_span_ns(struct in *in)
{
    return (int64_t)get_up_to(in, INT64_MAX);
}

static int get_retry(struct in *in, struct record *r)
{
    struct retry_policy *p = &r->retry;

    p->max_attempts = (uint32_t)get_up_to(in, LIMIT_ATTEMPTS);
    p->initial_backoff_ns = get_span_ns(in);
    p->max_backoff_ns = get_span_ns(in);
    p->multiplier = get_double(in);
    p->jitter = get_double(in);
    p->n_types = (uint32_t)get_up_to(in, LIMIT_RETRY_TYPES);
    if (p->max_attempts == 0 || !(p->multiplier >= 1 && __builtin_isfinite(p->multiplier)) ||
        !(p->jitter >= 0 && p->jitter <= 1))
        broken(in);
    if (p->n_types == 0)
        return 0;
    r->retry_types = mem_zalloc(p->n_types * sizeof *r->retry_types);
    if (!r->retry_types)
        return -ENOMEM;
    p->types = r->retry_types;
    for (uint32_t i = 0; i < p->n_types; i++)
        r->retry_types[i] = get_span(in);
    return 0;
}

/* A time that is only written where there is one. */
static wall_ns_t get_some_time(struct in *in, wall_ns_t base)
{
    wall_ns_t t = get_time(in, base);

    return t ? t : (wall_ns_t)broken(in);
}

static int get_timing(struct in *in, struct record *r, uint64_t flags)
{
    int result = 0;

    if (flags & FLAG_NOT_BEFORE)
        r->not_before = get_some_time(in, r->submit_time);
    if (flags & FLAG_DEADLINE)
        r->deadline = get_some_time(in, r->submit_time);
    if (flags & FLAG_TIMEOUT && (r->attempt_timeout_ns = get_span_ns(in)) == 0)
        broken(in);
    r->has_retry = !!(flags & FLAG_RETRY);
    if (r->has_retry)
        result = get_retry(in, r);
    if (flags & FLAG_BACKOFF) {
        r->next_try = get_time(in, r->submit_time);
        r->n_counted = get_u32(in);
    }
    return result;
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
        (flags & FLAG_CANCEL_GRACE && !r->has_cancel) || (flags & FLAG_RETRIED_BY && !r->has_error) ||
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
    return result == 0 ? get_timing(in, r, flags) : result;
}

static void get_id(struct in *in, struct id *ret)
{
    if ((size_t)(in->end - in->at) < ID_BYTES) {
        broken(in);
        return;
    }
    memcpy(ret->b, in->at, ID_BYTES);
    in->at += ID_BYTES;
}

/* One that is only written where there is one. */
static void get_some_id(struct in *in, struct id *ret)
{
    get_id(in, ret);
    if (id_key(ret) == 0)
        broken(in);
}

static int get_depends(struct in *in, struct record *r)
{
    uint8_t how = (uint8_t)get_le(in, 1);

    r->depend_policy = how & 15;
    r->passes_results = how >> 4;
    r->n_depends = (uint32_t)get_up_to(
            in, MIN((uint64_t)LIMIT_DEPENDS_ON, (uint64_t)(in->end - in->at) / RECORD_DEPEND_BYTES));
    if (r->depend_policy < DEPEND_ON_SUCCESS || r->depend_policy > DEPEND_ON_FAILURE ||
        r->passes_results > 1 || r->n_depends == 0)
        broken(in);
    if (in->is_broken)
        return 0;
    r->depends = mem_zalloc(r->n_depends * sizeof *r->depends);
    if (!r->depends)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->n_depends; i++) {
        get_id(in, &r->depends[i].id);
        r->depends[i].state = (uint8_t)get_le(in, 1);
        if (r->depends[i].state != 0 &&
            (r->depends[i].state < FUTURE_SUCCEEDED || r->depends[i].state > DEPEND_GONE))
            broken(in);
        if (in->is_broken)
            return 0;
    }
    return 0;
}

static void get_told(struct in *in, struct record *r)
{
    r->n_chunks = get_u32(in);
    r->progress.attempt = (uint32_t)get_up_to(in, r->n_claims);
    if (r->progress.attempt) {
        r->progress.completed = get_varint(in);
        r->progress.total = get_varint(in);
        r->progress.message = get_span(in);
    } else if (!r->n_chunks) {
        broken(in);
    }
    if (r->n_chunks > RECORD_CHUNKS_MAX || r->progress.message.len > TOLD_MESSAGE_BYTES)
        broken(in);
}

/* What may be said of the task is checked when that has been read. */
static int get_names(struct in *in, struct record *r, uint64_t flags)
{
    int result = flags & FLAG_DEPENDS ? get_depends(in, r) : 0;

    if (flags & FLAG_KEY) {
        r->key = get_some(in);
        r->content_type_at = get_u32(in);
        r->content_type_bytes = get_u32(in);
    }
    if (flags & FLAG_RETRY_OF)
        get_some_id(in, &r->retry_of);
    if (flags & FLAG_RETRIED_BY)
        get_some_id(in, &r->retried_by);
    if (flags & FLAG_CONCURRENCY_KEY)
        r->concurrency_key = get_some(in);
    if (flags & FLAG_FAIRNESS_KEY)
        r->fairness_key = get_some(in);
    if (flags & FLAG_REQUEST_ID)
        r->request_id = get_some(in);
    if (r->key.len > LIMIT_KEY_BYTES || r->request_id.len > LIMIT_KEY_BYTES ||
        r->concurrency_key.len > LIMIT_KEY_BYTES || r->fairness_key.len > LIMIT_KEY_BYTES)
        broken(in);
    r->cancel_grace_ns = flags & FLAG_CANCEL_GRACE ? get_span_ns(in) : ENGINE_GRACE_NS;
    if (flags & FLAG_TOLD)
        get_told(in, r);
    return result;
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
    if (get_rare(in, r, flags) < 0 || get_names(in, r, flags) < 0 || get_attempts(in, r) < 0)
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

    if (bytes.len < 1 + RECORD_CRC_BYTES)
        return RECORD_E_DAMAGED;
    in = (struct in){.at = bytes.p, .end = bytes.p + bytes.len - RECORD_CRC_BYTES};
    crc = (struct in){.at = in.end, .end = bytes.p + bytes.len};
    if (get_le(&crc, RECORD_CRC_BYTES) !=
        crc32c(crc32c(0, id->b, sizeof id->b), bytes.p, bytes.len - RECORD_CRC_BYTES))
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
    record->depends = mem_free(record->depends);
    record->retry_types = mem_free(record->retry_types);
    record->retry.types = NULL;
}
