// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"
#include "model_parts.h"

#include <stdlib.h>
#include <string.h>

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->commit_by = m->lazy_by = CLOCK_NEVER;
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
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
    model_queue(m, f);
    f->label = -1;
    model_note(m, i, m->key_taken_by != i + 1); /* what gives a key and what takes it are in one commit */
    if (f->durability == DURABILITY_DURABLE && m->commit_by == CLOCK_NEVER)
        m->commit_by = m->mono + MODEL_LAZY;
    model_rotate(m, f->function);
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
    int was_ready = f->at == AT_READY;

    f->at = at;
    f->result = result;
    f->reason = reason;
    f->end_time = m->wall;
    f->expire_time = m->wall + (f->retention_ns >= 0                    ? f->retention_ns
                                : f->durability == DURABILITY_EPHEMERAL ? 10 * MODEL_MINUTE
                                                                        : defaults[at]);
    if (was_ready)
        model_rotate(m, f->function);
    model_tell(m, i, 1);
}

void model_start(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->at == AT_RUNNING)
        return;
    f->at = AT_RUNNING;
    f->n_attempts++;
    model_note(m, i, 1);
    model_fire(m, i, 0);
}

void model_finish(struct model *m, int i, int is_error, int32_t result, uint32_t result_bytes)
{
    model_start(m, i);
    m->futures[i].result_bytes = result_bytes;
    if (!is_error)
        model_end(m, i, AT_SUCCEEDED, result, REASON_NONE);
    else if (m->futures[i].is_cancel)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        model_end(m, i, AT_FAILED, 0, REASON_FUNCTION_ERROR);
}

void model_release(struct model *m, int i, int is_disarmed)
{
    if (m->futures[i].is_cancel) {
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
        return;
    }
    model_go_back(m, i);
    if (is_disarmed && m->futures[i].is_armed) {
        m->futures[i].is_armed = 0;
        model_note(m, i, 1);
        model_fire(m, i, 0);
    }
}

/* Its attempt, or what may have been one, is lost. */
void model_lose_attempt(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->is_cancel)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else if (f->on_lost == ON_LOST_FAIL)
        model_end(m, i, AT_FAILED, 0, REASON_OUTCOME_UNKNOWN);
    else if (f->n_losses == 3)
        model_end(m, i, AT_FAILED, 0, REASON_WORKER_LOST);
    else {
        f->n_losses++;
        model_go_back(m, i);
        model_tell(m, i, 0);
    }
}

void model_lose(struct model *m, int i)
{
    if (m->futures[i].at == AT_RESERVED)
        model_release(m, i, 1);
    else
        model_lose_attempt(m, i);
}

void model_cancel(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (model_is_terminal(f) || f->is_cancel)
        return;
    f->is_cancel = 1;
    if (f->at == AT_READY || f->at == AT_ARMED)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
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
