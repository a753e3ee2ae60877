// SPDX-License-Identifier: Apache-2.0
#include "store/match.h"

#include "engine/filter.h"
#include "store/varint.h"

#include <errno.h>
#include <string.h>

static wall_ns_t first_start(const struct record *r)
{
    return r->n_attempts ? r->attempts[r->n_attempts - 1].start_time : 0;
}

static const struct future_error *error_of(const struct record *r)
{
    if (!r->has_error)
        return NULL;
    return r->error_is_shared ? &r->attempts[0].error : &r->error;
}

static int get_text(const struct record *r, enum filter_field field, struct span *ret)
{
    const struct future_error *error = error_of(r);

    switch (field) {
    case FILTER_FUNCTION: *ret = r->function; return 1;
    case FILTER_GROUP: *ret = r->group; return 1;
    case FILTER_TAG: *ret = r->tag; return 1;
    case FILTER_REASON:
        *ret = span_of_string(future_reason_text(error ? error->reason : REASON_NONE));
        return 1;
    case FILTER_TYPE: *ret = error ? error->type : (struct span){0}; return 1;
    case FILTER_ERROR: *ret = error ? error->message : (struct span){0}; return 1;
    case FILTER_IDEMPOTENCY_KEY: *ret = r->key; return 1;
    case FILTER_PRINCIPAL: *ret = r->principal; return 1;
    case FILTER_NAMESPACE: *ret = r->namespace; return 1;
    case FILTER_ARGUMENT:
        if (!r->task.p)
            return 0;
        *ret = (struct span){r->task.p + r->argument_at + r->argument_field_bytes - r->argument_bytes,
                             r->argument_bytes};
        return 1;
    default: return 0;
    }
}

static int get_number(const struct record *r, wall_ns_t now, enum filter_field field, int64_t *ret)
{
    wall_ns_t start = first_start(r), end = r->has_outcome ? r->end_time : 0;

    switch (field) {
    case FILTER_STATE: *ret = r->state; return 1;
    case FILTER_PENDING_REASON: *ret = PENDING_NONE; return 1; /* what waits is in memory */
    case FILTER_PRIORITY: *ret = r->priority; return 1;
    case FILTER_RETRIED: *ret = id_key(&r->retried_by) != 0; return 1;
    case FILTER_SUBMIT_TIME: *ret = r->submit_time; return 1;
    case FILTER_END_TIME: *ret = end; return end != 0;
    case FILTER_ATTEMPTS: *ret = r->n_attempts; return 1;
    case FILTER_START_TIME: *ret = start; return start != 0;
    case FILTER_DURATION: *ret = engine_filter_duration(start, end, now); return *ret >= 0;
    case FILTER_QUEUE_TIME: *ret = engine_filter_queue_time(r->submit_time, start, end, now); return 1;
    default: return 0;
    }
}

static int get_label(const struct record *r, struct span key, struct span *ret)
{
    if (!r->has_labels)
        return filter_task_label(r->task, key, ret);
    for (uint32_t i = 0; i < r->n_labels; i++)
        if (span_eq(r->labels[i].key, key)) {
            *ret = r->labels[i].value;
            return 1;
        }
    return 0;
}

int match_get(const void *record, enum filter_field field, struct span label, uint32_t i,
              struct filter_value *ret)
{
    const struct match_record *subject = record;
    const struct record *r = subject->record;

    if (field == FILTER_WORKER && i < r->n_attempts) {
        ret->text = r->attempts[i].worker;
        return 1;
    }
    if (i > 0)
        return 0;
    switch (field) {
    case FILTER_LABEL: return get_label(r, label, &ret->text);
    case FILTER_ID: ret->id = r->id; return 1;
    case FILTER_RETRY_OF: ret->id = r->retry_of; return id_key(&r->retry_of) != 0;
    default: return get_text(r, field, &ret->text) || get_number(r, subject->now, field, &ret->number);
    }
}

int match_is_wanted(const struct match *m, const struct record *record, uint32_t *cost)
{
    struct match_record with_now = {record, m->now};
    struct filter_subject subject = {match_get, &with_now};

    if (!span_eq(record->namespace, m->namespace) || (record->has_outcome && record->expire_time <= m->now))
        return 0;
    return !m->filter || filter_match(m->filter, &subject, cost);
}

int match_group_key(struct buf *out, struct span namespace, struct span group)
{
    uint8_t *to;

    if (buf_reserve(out, VARINT_BYTES + namespace.len + group.len) < 0)
        return -ENOMEM;
    to = varint_put(buf_tail(out), namespace.len);
    if (namespace.len)
        memcpy(to, namespace.p, namespace.len);
    to += namespace.len;
    if (group.len)
        memcpy(to, group.p, group.len);
    buf_commit(out, (size_t)(to + group.len - buf_tail(out)));
    return 0;
}
