// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"
#include "model_parts.h"

#include <stdlib.h>
#include <string.h>

void model_init(struct model *m)
{
    m->commit_by = m->lazy_by = m->told_by = CLOCK_NEVER;
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
    for (int k = 0; k < MODEL_SLOTS; k++)
        m->candidates[k] = -1;
}

void model_deinit(struct model *m)
{
    free(m->copies);
}

int model_find(const struct model *m, const struct id *id)
{
    for (int i = m->n_futures - 1; i >= 0; i--)
        if (model_is_here(&m->futures[i]) && memcmp(&m->futures[i].id, id, sizeof *id) == 0)
            return i;
    return -1;
}

/* --- accepted */

int model_submit(struct model *m, const struct model_future *like)
{
    int i = m->n_futures++;
    struct model_future *f = &m->futures[i];

    *f = *like;
    f->at = AT_NOWHERE;
    f->label = f->retry_of ? m->futures[f->retry_of - 1].label : -1;
    model_note(m, i, m->key_taken_by != i + 1 && !f->retry_of); /* with who gives its key, or is retried */
    if (f->durability == DURABILITY_DURABLE && m->commit_by == CLOCK_NEVER)
        m->commit_by = m->mono + MODEL_LAZY;
    model_tie(m, i);
    model_place(m, i, 0);
    model_join(m, i);
    return i;
}

/* --- the life of one task */

void model_end(struct model *m, int i, enum model_at at, int32_t result, enum future_reason reason)
{
    static const int64_t defaults[] = {[AT_SUCCEEDED] = 24 * MODEL_HOUR,
                                       [AT_FAILED] = 168 * MODEL_HOUR,
                                       [AT_CANCELLED] = 168 * MODEL_HOUR};
    struct model_future *f = &m->futures[i];

    ASSERT(f->at == AT_NOWHERE);
    f->at = at;
    f->result = result;
    f->reason = reason;
    f->end_time = m->wall;
    f->expire_time = m->wall + (f->retention_ns >= 0                    ? f->retention_ns
                                : f->durability == DURABILITY_EPHEMERAL ? 10 * MODEL_MINUTE
                                                                        : defaults[at]);
    model_note(m, i, 0);
    model_depends_ended(m, i);
    model_fire(m, i, 1);
}

void model_start(struct model *m, int i, wall_ns_t at)
{
    struct model_future *f = &m->futures[i];

    if (f->at == AT_RUNNING)
        return;
    f->at = AT_RUNNING;
    model_begins(m, i);
    f->n_attempts++;
    f->start_time = MIN(MAX(at, f->submit_time), m->wall);
    f->started_at = m->mono - MIN(MAX(m->wall - f->start_time, INT64_C(0)), m->mono - f->claimed_at);
    model_note(m, i, 1);
    model_fire(m, i, 0);
}

/* What ends a future was asked for, or came, while a worker had it. */
static void end_as_told(struct model *m, int i)
{
    if (m->futures[i].is_cancel)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        model_end(m, i, AT_FAILED, 0, REASON_DEADLINE_EXCEEDED);
}

void model_finish(struct model *m, int i, const struct model_finish *end)
{
    static const enum future_reason reasons[] = {[STOP_TIMEOUT] = REASON_TIMEOUT,
                                                 [STOP_DEADLINE] = REASON_DEADLINE_EXCEEDED,
                                                 [STOP_CANCELLED] = REASON_CANCELLED};
    struct model_future *f = &m->futures[i];
    enum stop stop = f->stop;
    int was_stopped = stop != STOP_NOT && (end->reason == REASON_CANCELLED || end->reason == REASON_CRASHED);

    model_start(m, i, m->wall);
    f->result_bytes = end->result_bytes;
    f->attempt_reason = was_stopped ? reasons[stop] : end->reason;
    model_lease_ended(m, i, 0, f->claimed_at);
    if (end->reason == REASON_NONE) {
        model_end(m, i, AT_SUCCEEDED, end->result, REASON_NONE);
    } else if (f->is_cancel || (was_stopped && f->is_overdue)) {
        end_as_told(m, i);
    } else if (stop != STOP_DEADLINE &&
               model_may_retry(m, f, was_stopped ? stop == STOP_TIMEOUT : end->is_retryable,
                               end->is_listed)) {
        f->is_armed = 0;
        f->n_counted++;
        f->next_try = end->next_try;
        f->next_try_mono = end->next_try_mono;
        model_tell(m, i, 0);
        model_place(m, i, 1);
    } else {
        model_end(m, i, AT_FAILED, 0, f->attempt_reason);
    }
}

void model_release(struct model *m, int i, int is_disarmed)
{
    struct model_future *f = &m->futures[i];

    model_lease_ended(m, i, 1, f->claimed_at);
    if (f->is_cancel || f->is_overdue) {
        end_as_told(m, i);
        return;
    }
    model_place(m, i, 1);
    if (is_disarmed && f->is_armed) {
        f->is_armed = 0;
        model_note(m, i, 1);
        model_fire(m, i, 0);
    }
}

void model_lose_attempt(struct model *m, int i, int is_back, enum model_loss why)
{
    struct model_future *f = &m->futures[i];
    enum future_reason before = f->attempt_reason;

    int is_counted = why != LOSS_BY_KILL && why != LOSS_BY_END;

    if (why != LOSS_UNSTARTED)
        f->attempt_reason = why == LOSS_BY_END ? REASON_SHUTDOWN : REASON_WORKER_LOST;
    if (f->is_cancel || f->is_overdue)
        end_as_told(m, i);
    else if (f->on_lost == ON_LOST_FAIL)
        model_end(m, i, AT_FAILED, 0, REASON_OUTCOME_UNKNOWN);
    else if (f->n_losses == 3 && is_counted)
        model_end(m, i, AT_FAILED, 0, REASON_WORKER_LOST);
    else {
        f->n_losses += is_counted ? 1 : 0;
        if (why == LOSS_BY_CRASH || why == LOSS_BY_KILL) {
            f->n_attempts--;
            f->attempt_reason = before;
        }
        model_tell(m, i, 0);
        model_place(m, i, is_back);
    }
}

void model_lose(struct model *m, int i, enum model_loss why)
{
    if (m->futures[i].at == AT_RESERVED) {
        model_release(m, i, 1);
    } else {
        model_lease_ended(m, i, 0, m->futures[i].claimed_at);
        model_lose_attempt(m, i, 1, why);
    }
}

void model_cancel(struct model *m, int i, int64_t grace_ns)
{
    struct model_future *f = &m->futures[i];

    grace_ns = grace_ns < 0 ? MODEL_GRACE : grace_ns;
    if (model_is_terminal(f))
        return;
    if (model_is_leased(f))
        model_stop(m, i, STOP_CANCELLED, grace_ns);
    if (f->is_cancel)
        return;
    f->is_cancel = 1;
    if (model_is_leased(f)) {
        model_tell(m, i, 0);
    } else {
        model_take(m, i);
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    }
}

void model_retry(struct model *m, int i)
{
    m->futures[i].retried_by = m->n_futures;
    model_tell(m, i, 0);
}

void model_annotate(struct model *m, int i, int label)
{
    m->futures[i].label = label;
    model_tell(m, i, 0);
}

/* --- keys */

int model_holder(const struct model *m, int scope, int key)
{
    for (int i = m->n_futures - 1; i >= 0;
         i--) /* the newest: what has expired on the disk has no key any more */
        if (!m->futures[i].is_gone && m->futures[i].key == key && m->futures[i].scope / 2 == scope / 2)
            return i;
    return -1;
}

void model_give_up(struct model *m, int i, int to)
{
    m->futures[i].key = 0;
    model_tell(m, i, 0);
    m->key_taken_by = to + 1;
}
