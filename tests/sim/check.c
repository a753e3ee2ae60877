// SPDX-License-Identifier: Apache-2.0
/* What the engine says, against the model. */
#include "base/err.h"
#include "world.h"

#include <string.h>

static void check_outcome(const struct model_future *m, const struct future *f)
{
    int32_t result;

    ASSERT(!f->outcome == !model_is_terminal(m));
    if (!f->outcome)
        return;
    ASSERT(f->outcome->end_time == m->end_time && f->outcome->expire_time == m->expire_time);
    if (m->at == AT_SUCCEEDED) {
        ASSERT(f->outcome->data->len == m->result_bytes && !f->outcome->error);
        memcpy(&result, f->outcome->data->data, sizeof result);
        ASSERT(result == m->result);
    } else {
        ASSERT(!f->outcome->data && f->outcome->error->reason == m->reason);
    }
}

static void check_labels(const struct model_future *m, const struct future *f)
{
    int32_t label;

    ASSERT(!f->labels == (m->label < 0));
    if (!f->labels)
        return;
    ASSERT(f->labels->n == 1 && f->labels->at[0].value.len == sizeof label);
    memcpy(&label, f->labels->at[0].value.p, sizeof label);
    ASSERT(label == m->label);
}

/* It is its own task, and has all that came with it. */
static void check_task(const struct model_future *m, const struct future *f)
{
    uint32_t first, last;

    ASSERT(f->task->len == m->task_bytes && f->priority == m->priority && f->on_lost == m->on_lost);
    memcpy(&first, f->task->data, sizeof first);
    memcpy(&last, f->task->data + m->task_bytes - sizeof last, sizeof last);
    ASSERT(first == m->task && last == m->task);
    ASSERT(f->durability == m->durability && !f->group == (m->group < 0));
    ASSERT(span_eq(future_key(f), world_key(m->key)));
}

/* Who sends it again has it, however long it takes, and over any crash that it survives. */
static void check_request(const struct world *w, const struct model_future *m, const struct future *f)
{
    char text[WORLD_REQUEST_BYTES];
    struct span request = world_request(m->task, text);
    const struct id *id;

    if (!request.len || m->retry_of || model_is_terminal(m))
        return;
    id = engine_find_request(w->e, f->scope, request);
    ASSERT(id && memcmp(id, &f->id, sizeof *id) == 0);
}

static void check_lease(const struct world *w, const struct model_future *m, const struct lease *lease)
{
    ASSERT(lease->holder == w->holders[m->worker] && lease->attempt == m->n_claims);
    ASSERT(lease->stop == m->stop && lease->term_at == m->term_at && lease->kill_at == m->kill_at);
    ASSERT(lease->claimed_at == m->claimed_at && (!lease->is_started || lease->started_at == m->started_at));
}

/* No more attempts than were asked for, but for those that were lost, three times and once for all, and those that the end of a
 * daemon has cut off. */
static void check_attempts(const struct model_future *m, const struct future *f)
{
    uint32_t n = 0, n_lost = 0;

    for (const struct attempt *a = f->attempts; a; a = a->next) {
        enum future_reason reason = a->error ? a->error->reason : REASON_NONE;

        n += reason != REASON_WORKER_LOST && reason != REASON_SHUTDOWN ? 1 : 0;
        n_lost += reason == REASON_WORKER_LOST ? 1 : 0;
    }
    ASSERT(n <= MAX(m->retry.max_attempts, 1u) && n_lost <= 4);
    if (f->attempts && f->attempts->end_time)
        ASSERT((f->attempts->error ? f->attempts->error->reason : REASON_NONE) == m->attempt_reason);
    ASSERT((f->attempts && !f->attempts->end_time) == (m->at == AT_RUNNING));
}

static void check_times(const struct model_future *m, const struct future *f)
{
    const struct timing *t = future_timing(f);

    if (!t) {
        ASSERT(!m->not_before && !m->deadline && !m->attempt_timeout_ns && !m->retry.max_attempts);
        return;
    }
    ASSERT(t->not_before == m->not_before && t->deadline == m->deadline && t->n_counted == m->n_counted);
    ASSERT(t->attempt_timeout_ns == m->attempt_timeout_ns && !t->retry == !m->retry.max_attempts);
    if (t->retry)
        ASSERT(t->retry->max_attempts == m->retry.max_attempts &&
               t->retry->initial_backoff_ns == m->retry.initial_backoff_ns &&
               t->retry->max_backoff_ns == m->retry.max_backoff_ns && t->retry->n_types == m->retry.n_types);
    if (m->at == AT_BACKOFF)
        ASSERT(t->next_try == m->next_try && t->next_try_mono == m->next_try_mono);
    if (!model_is_terminal(m))
        ASSERT((t->wall.place ? t->wall.key : CLOCK_NEVER) == model_wall_timer(m) &&
               (t->mono.place ? t->mono.key : CLOCK_NEVER) == model_mono_timer(m));
}

static int names(struct span text, const struct id *id)
{
    char name[ID_TEXT_LEN + 1];

    id_format(id, name);
    return memmem(text.p, text.len, name, ID_TEXT_LEN) != NULL;
}

static void check_depends(const struct world *w, const struct model_future *m, const struct future *f)
{
    const struct depend *d = f->rare->depend;

    ASSERT(d->n == m->n_depends && d->policy == (uint8_t)m->depend_policy &&
           d->passes_results == m->passes_results);
    for (uint32_t k = 0; k < d->n; k++) {
        const struct model_future *u = &w->model.futures[m->depends[k].future];

        ASSERT(memcmp(&d->at[k].id, &u->id, sizeof u->id) == 0 && d->at[k].state == m->depends[k].state);
        if (!model_is_terminal(m) && m->passes_results && !m->depends[k].is_gone)
            ASSERT(d->at[k].upstream == world_future(w, m->depends[k].future));
    }
    if (m->reason == REASON_DEPENDENCY_FAILED)
        ASSERT(names(f->outcome->error->message, &w->model.futures[m->failed_by].id));
}

/* Why @m, which is PENDING, waits. */
enum pending_reason check_pending_reason(const struct world *w, const struct model_future *m)
{
    static const enum pending_reason reasons[] = {[AT_PARKED] = PENDING_LIMITED,
                                                  [AT_DELAYED] = PENDING_DELAYED,
                                                  [AT_BACKOFF] = PENDING_BACKOFF,
                                                  [AT_BLOCKED] = PENDING_BLOCKED,
                                                  [AT_RESERVED] = PENDING_NONE};
    const struct model_function *fn = &w->model.functions[m->function];

    if (reasons[m->at])
        return reasons[m->at];
    if (m->at == AT_READY && fn->is_closed)
        return fn->set.is_paused ? PENDING_PAUSED : PENDING_LIMITED;
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used && w->model.workers[k].serves >> m->function & 1)
            return PENDING_READY;
    return PENDING_NO_WORKER;
}

void check_revision(struct model_future *m, const struct future *f)
{
    if (m->is_changed)
        ASSERT(f->revision > m->revision);
    else
        ASSERT(f->revision == m->revision);
    m->revision = f->revision;
    m->is_changed = 0;
}

/* @id is that of the future at @index - 1; NULL for 0. */
static void check_other(const struct world *w, const struct id *id, int index)
{
    ASSERT(!id == !index);
    if (id)
        ASSERT(memcmp(id, &w->model.futures[index - 1].id, sizeof *id) == 0);
}

/* All bytes are there that were told, in their places and once each. */
static void check_told(const struct model_future *m, const struct future *f)
{
    const struct told *t = future_told(f);
    uint32_t n[2] = {0};

    for (const struct told_chunk *c = t ? t->first : NULL; c; c = c->next) {
        ASSERT(c->offset == n[c->kind] && c->attempt <= m->n_claims);
        for (uint32_t k = 0; k < c->data->len; k++)
            ASSERT(c->data->data[k] == model_told(m->task, c->kind, c->offset + k));
        n[c->kind] += c->data->len;
    }
    ASSERT(memcmp(n, m->n_told, sizeof n) == 0);
    if (m->progress_claim)
        ASSERT(t && t->progress.attempt == m->progress_claim && t->progress.completed == m->progress);
    else
        ASSERT(!t || !t->progress.attempt);
}

static void check_future(struct world *w, int i)
{
    static const enum future_state states[] = {
            [AT_READY] = FUTURE_PENDING,       [AT_ARMED] = FUTURE_PENDING,
            [AT_PARKED] = FUTURE_PENDING,      [AT_DELAYED] = FUTURE_PENDING,
            [AT_BACKOFF] = FUTURE_PENDING,     [AT_BLOCKED] = FUTURE_PENDING,
            [AT_RESERVED] = FUTURE_PENDING,    [AT_RUNNING] = FUTURE_RUNNING,
            [AT_SUCCEEDED] = FUTURE_SUCCEEDED, [AT_FAILED] = FUTURE_FAILED,
            [AT_CANCELLED] = FUTURE_CANCELLED,
    };
    struct model_future *m = &w->model.futures[i];
    const struct future *f = world_future(w, i);
    uint32_t n_attempts = 0;

    ASSERT(f->state == states[m->at] && f->n_pins == m->n_pins + m->n_search_pins &&
           f->n_claims == m->n_claims);
    ASSERT(!f->lease == (m->at != AT_RESERVED && m->at != AT_RUNNING));
    if (f->lease)
        check_lease(w, m, f->lease);
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n_attempts++;
    check_attempts(m, f);
    check_times(m, f);
    if (m->not_before <= w->model.wall)
        m->ripe_for = m->not_before;
    if (m->n_depends)
        check_depends(w, m, f);
    if (m->at < AT_RUNNING)
        ASSERT(future_pending_reason(f) == check_pending_reason(w, m));
    ASSERT((f->armed != ARMED_NOT) == m->is_armed || model_is_terminal(m));
    ASSERT(n_attempts == m->n_attempts && f->function == w->functions[m->function]);
    ASSERT((f->rare && f->rare->cancel_requested) == m->is_cancel);
    ASSERT((f->rare ? f->rare->n_losses : 0u) == m->n_losses);
    check_task(m, f);
    check_request(w, m, f);
    check_outcome(m, f);
    check_labels(m, f);
    check_told(m, f);
    check_other(w, future_retry_of(f), m->retry_of);
    check_other(w, future_retried_by(f), m->retried_by);
    check_revision(m, f);
    ASSERT(f->commit_seq == w->commit_seq[i]);
}

static void check_waiter(struct world *w, int n)
{
    const struct model_waiter *m = &w->model.waiters[n];
    const struct waiter *waiter = &w->waiters[n];
    uint32_t pending, done, failed;

    model_ends(&w->model, m, &pending, &done, &failed);
    ASSERT(waiter->n_pending == pending && waiter->n_done == done && waiter->n_failed == failed);
    ASSERT(!waiter_is_ready(waiter) == !model_is_ready(&w->model, m));
    ASSERT(list_is_linked(&waiter->answer) == m->must_answer);
}

void world_check(struct world *w)
{
    uint64_t n_futures = 0, n_edges = 0, n_promised_edges = 0;
    struct engine_stats stats;

    world_note(w);
    searching_look(w);
    (w->n_events % 8 == 0 ? engine_check : engine_check_most)(w->e);
    for (int i = 0; i < w->model.n_futures; i++)
        if (model_is_here(&w->model.futures[i])) {
            check_future(w, i);
            n_futures++;
        }
    for (int n = 0; n < MODEL_WAITERS; n++) {
        const struct model_waiter *m = &w->model.waiters[n];

        if (!m->is_used)
            continue;
        check_waiter(w, n);
        n_edges += (uint64_t)model_n_edges(m);
        n_promised_edges += m->to_come;
    }
    limits_check(w);
    stats = engine_stats(w->e);
    ASSERT(stats.n_futures == n_futures && stats.n_edges == n_edges + n_promised_edges);
}
