// SPDX-License-Identifier: Apache-2.0
/* What keeps tasks from being claimed: pauses, max_running, rate; and concurrency keys. */
#include "base/err.h"
#include "model_parts.h"

#include <string.h>

/* --- functions */

uint32_t model_n_claimed(const struct model *m, int function)
{
    uint32_t n = 0;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        n += f->function == function && (model_is_leased(f) || (model_is_here(f) && f->at == AT_ARMED));
    }
    return n;
}

static uint32_t n_reserved(const struct model *m, int function)
{
    uint32_t n = 0;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        n += model_is_here(f) && (f->at == AT_RESERVED || f->at == AT_ARMED) && f->function == function;
    }
    return n;
}

uint64_t model_n_pending(const struct model *m, int function)
{
    uint64_t n = 0;

    for (int i = 0; i < m->n_futures; i++)
        n += model_is_here(&m->futures[i]) && m->futures[i].at < AT_RUNNING &&
             m->futures[i].function == function;
    return n;
}

mono_ns_t model_opens_at(const struct model_function *fn)
{
    return fn->interval_ns ? fn->earned_at - MAX(NS_PER_S - fn->interval_ns, INT64_C(0)) : 0;
}

void model_judge_apart(struct model *m, int function)
{
    struct model_function *fn = &m->functions[function];
    const struct model_settings *set = &fn->set;
    int was_closed = fn->is_closed;

    fn->is_closed = set->is_paused || model_opens_at(fn) > m->mono ||
                    (set->max_running && model_n_claimed(m, function) >= set->max_running);
    if (was_closed && !fn->is_closed && model_has_ready(m, function))
        m->must_work[function] = 1;
}

void model_judge(struct model *m, int function)
{
    model_judge_apart(m, function);
    model_rotate(m, function);
}

/* In no stretch of time there were more starts than the rate allows for that, and for a second more (or one start). */
static void check_rate(const struct model_function *fn)
{
    int64_t interval = fn->interval_ns;

    for (uint32_t k = 0; k < fn->n_starts; k++)
        ASSERT((fn->n_starts - k) * interval <=
               MAX(NS_PER_S, interval) + fn->starts[fn->n_starts - 1] - fn->starts[k]);
}

void model_start_counts(struct model *m, int i)
{
    struct model_function *fn = &m->functions[m->futures[i].function];

    m->futures[i].rate = 0;
    if (!fn->interval_ns)
        return;
    fn->earned_at = MAX(fn->earned_at, m->mono) + fn->interval_ns;
    m->futures[i].rate = fn->n_rates;
    if (fn->n_starts == MODEL_STARTS)
        memmove(fn->starts, fn->starts + 1, --fn->n_starts * sizeof fn->starts[0]);
    fn->starts[fn->n_starts++] = m->mono;
    check_rate(fn);
}

void model_begins(struct model *m, int i)
{
    struct model_function *fn = &m->functions[m->futures[i].function];

    if (fn->interval_ns)
        fn->begun_at = MAX(fn->begun_at, m->mono) + fn->interval_ns;
}

void model_lease_ended(struct model *m, int i, int is_unrun, mono_ns_t claimed_at)
{
    struct model_future *f = &m->futures[i];
    struct model_function *fn = &m->functions[f->function];

    f->at = AT_NOWHERE;
    m->must_revoke[i] = 0;
    if (is_unrun && fn->interval_ns) { /* no further back than what has begun, and what is reserved, allows */
        fn->earned_at = MIN(fn->earned_at, MAX(fn->begun_at, m->mono) +
                                                   (int64_t)n_reserved(m, f->function) * fn->interval_ns);
        for (uint32_t k = 0; f->rate == fn->n_rates && k < fn->n_starts; k++)
            if (fn->starts[k] == claimed_at) {
                memmove(fn->starts + k, fn->starts + k + 1, (--fn->n_starts - k) * sizeof fn->starts[0]);
                break;
            }
    }
    model_judge(m, f->function);
    model_slot_wake(m, f->slot);
}

void model_limits_changed(struct model *m, int function)
{
    struct model_function *fn = &m->functions[function];
    int64_t interval = fn->set.rate > 0 ? (int64_t)((double)NS_PER_S / fn->set.rate + 0.5) : 0;

    if (interval != fn->interval_ns) {
        fn->interval_ns = interval;
        fn->earned_at = MIN(fn->earned_at, m->mono + interval); /* a slow past is no debt */
        fn->begun_at = MIN(fn->begun_at, fn->earned_at);
        fn->n_starts = 0;
        fn->n_rates++;
    }
    model_judge(m, function);
}

void model_open(struct model *m)
{
    int was_opened[MODEL_FUNCTIONS] = {0};

    for (;;) { /* who opens first is served first */
        int first = -1;

        for (int k = 0; k < MODEL_FUNCTIONS; k++) {
            const struct model_function *fn = &m->functions[k];

            if (fn->is_closed && fn->interval_ns && !was_opened[k] && model_opens_at(fn) <= m->mono &&
                (first < 0 || model_opens_at(fn) < model_opens_at(&m->functions[first])))
                first = k;
        }
        if (first < 0)
            return;
        was_opened[first] = 1;
        model_judge(m, first);
    }
}

/* --- concurrency keys: of all with one key only one has the slot, and if nobody has, one may go for it */

int model_slot_holder(const struct model *m, int slot)
{
    for (int i = 0; slot >= 0 && i < m->n_futures; i++)
        if (m->futures[i].slot == slot && model_is_leased(&m->futures[i]))
            return i;
    return -1;
}

void model_slot_park(struct model *m, int i)
{
    m->futures[i].at = AT_PARKED;
    if (m->candidates[m->futures[i].slot] == i)
        m->candidates[m->futures[i].slot] = -1;
}

void model_slot_take(struct model *m, int i)
{
    int slot = m->futures[i].slot;

    if (slot >= 0 && m->candidates[slot] == i)
        m->candidates[slot] = -1;
}

static int best_parked(const struct model *m, int slot)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (model_is_here(f) && f->at == AT_PARKED && f->slot == slot &&
            (best < 0 || f->priority > m->futures[best].priority))
            best = i;
    }
    return best;
}

void model_slot_wake(struct model *m, int slot)
{
    int i;

    while (slot >= 0 && m->candidates[slot] < 0 && model_slot_holder(m, slot) < 0 &&
           (i = best_parked(m, slot)) >= 0) {
        m->futures[i].at = AT_NOWHERE;
        model_place(m, i, 1);
        if (m->futures[i].at == AT_READY)
            m->candidates[slot] = i;
    }
}

void model_slot_leave(struct model *m, int i)
{
    int slot = m->futures[i].slot;

    if (slot < 0)
        return;
    if (m->candidates[slot] == i)
        m->candidates[slot] = -1;
    model_slot_wake(m, slot);
}
