// SPDX-License-Identifier: Apache-2.0
/* What the clocks do: not_before and deadlines by wall time, pauses and timeouts by monotonic time. */
#include "base/err.h"
#include "model_parts.h"

void model_stop(struct model *m, int i, enum stop why, int64_t grace_ns)
{
    struct model_future *f = &m->futures[i];
    mono_ns_t kill_at = m->mono + grace_ns;

    if (f->stop >= why && f->kill_at <= kill_at)
        return;
    f->stop = MAX(f->stop, why);
    f->term_at = MIN(f->term_at, m->mono + grace_ns / 2);
    f->kill_at = MIN(f->kill_at, kill_at);
    m->must_revoke[i] = 1;
}

wall_ns_t model_wall_timer(const struct model_future *f)
{
    wall_ns_t at = CLOCK_NEVER;

    if (model_is_terminal(f))
        return at;
    if (f->at == AT_DELAYED)
        at = f->not_before;
    if (f->deadline && !(model_is_leased(f) && f->is_past_deadline))
        at = MIN(at, f->deadline);
    return at;
}

mono_ns_t model_mono_timer(const struct model_future *f)
{
    if (f->at == AT_BACKOFF)
        return f->next_try_mono;
    if (f->at == AT_RUNNING && f->attempt_timeout_ns && !f->is_past_timeout && f->stop != STOP_DEADLINE)
        return f->started_at + f->attempt_timeout_ns;
    return CLOCK_NEVER;
}

/* Who is next; of those at the same time any. -1: nobody is due. */
static int next_due(const struct model *m, int64_t (*timer)(const struct model_future *f), int64_t now)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (model_is_here(f) && timer(f) <= now && (best < 0 || timer(f) < timer(&m->futures[best])))
            best = i;
    }
    return best;
}

static int next_abandoned(const struct model *m)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (model_is_here(f) && !model_is_terminal(f) && f->abandoned &&
            (best < 0 || f->abandoned < m->futures[best].abandoned))
            best = i;
    }
    return best;
}

static void on_mono(struct model *m, int i)
{
    if (m->futures[i].at == AT_BACKOFF) {
        m->futures[i].next_try = 0;
        model_place_again(m, i);
    } else {
        m->futures[i].is_past_timeout = 1;
        model_stop(m, i, STOP_TIMEOUT, MODEL_GRACE);
    }
}

static void on_wall(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (!f->deadline || f->deadline > m->wall) {
        model_place_again(m, i);
    } else if (model_is_leased(f)) {
        f->is_overdue = f->stop != STOP_CANCELLED; /* that it stays */
        f->is_past_deadline = 1;
        model_stop(m, i, STOP_DEADLINE, MODEL_GRACE);
    } else {
        model_take(m, i);
        model_end(m, i, AT_FAILED, 0, REASON_DEADLINE_EXCEEDED);
    }
}

void model_time(struct model *m, model_done_fn is_done, const void *arg)
{
    int i, is_behind;

    while ((i = next_abandoned(m)) >= 0 && is_done(arg, i, MODEL_ABANDONED)) {
        m->futures[i].abandoned = 0;
        model_cancel(m, i, -1);
    }
    is_behind = i >= 0;
    while ((i = next_due(m, model_mono_timer, m->mono)) >= 0)
        on_mono(m, i);
    while (!is_behind && (i = next_due(m, model_wall_timer, m->wall)) >= 0 && is_done(arg, i, MODEL_DUE))
        on_wall(m, i);
}

int model_may_retry(const struct model *m, const struct model_future *f, int is_retryable, int is_listed)
{
    return f->retry.max_attempts && f->n_counted + 1 < f->retry.max_attempts && is_retryable && !is_listed &&
           !(f->deadline && f->deadline <= m->wall);
}

void model_pause_span(const struct model_future *f, int64_t *ret_min, int64_t *ret_max)
{
    double pause = (double)f->retry.initial_backoff_ns;

    for (uint32_t n = 1; n < f->n_counted; n++)
        pause = MIN(pause * f->retry.multiplier, (double)f->retry.max_backoff_ns);
    pause = MIN(pause, (double)f->retry.max_backoff_ns);
    *ret_min = (int64_t)(pause * (1 - f->retry.jitter)) - 1;
    *ret_max = (int64_t)(pause * (1 + f->retry.jitter)) + 1;
}

/* --- Reschedule */

void model_reschedule(struct model *m, int i, const struct engine_reschedule *in)
{
    struct model_future *f = &m->futures[i];

    if (in->has_priority && in->priority != f->priority) {
        int is_queued = f->at == AT_READY || f->at == AT_PARKED;

        if (is_queued)
            model_take(m, i);
        f->priority = in->priority;
        if (is_queued)
            model_place(m, i, 0);
    }
    if (in->has_not_before) {
        f->not_before = in->not_before;
        f->next_try = 0;
    }
    if (in->has_deadline)
        f->deadline = in->deadline;
    if (in->has_not_before || in->has_deadline)
        model_place_again(m, i);
    if (in->has_not_before && in->not_before > m->wall && f->at == AT_RESERVED)
        m->must_revoke[i] = 1;
    if (in->has_retention) {
        f->retention_ns = in->retention_ns;
        if (model_is_terminal(f))
            f->expire_time = f->end_time + in->retention_ns;
    }
    model_tell(m, i, 0);
}
