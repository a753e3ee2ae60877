// SPDX-License-Identifier: Apache-2.0
#include "engine/explain.h"

#include "engine/state.h"

/* What the gate of @fn says. */
static void look_at_gate(const struct engine *e, const struct function *fn, struct explanation *ret)
{
    const struct gate *g = &fn->gate;

    if (ret->reason != PENDING_LIMITED)
        return;
    if (g->closed & GATE_RATE)
        ret->next_start = clock_add(e->wall, gate_opens_at(g) - e->mono);
    ret->limit = g->closed & GATE_FULL ? EXPLAIN_MAX_RUNNING : EXPLAIN_RATE;
}

void explain_future(struct engine *e, const struct future *f, struct explanation *ret)
{
    *ret = (struct explanation){.reason = future_pending_reason(f)};
    if (f->state != FUTURE_PENDING)
        return;
    if (f->place == PLACE_READY) {
        ret->has_position = 1;
        ret->is_estimate = !sched_position(&e->sched, &f->function->ready, f, &ret->position);
        look_at_gate(e, f->function, ret);
    } else if (f->place == PLACE_PARKED) {
        const struct slot *slot = f->rare->slot;

        ret->limit = EXPLAIN_CONCURRENCY_KEY;
        ret->blocker = slot->holder ? slot->holder : slot->candidate;
    } else if (f->place == PLACE_NONE || f->place == PLACE_ARMED) { /* it is claimed, or about to be */
        ret->has_position = 1;
    } else if (future_timing(f)) {
        const struct timing *t = future_timing(f);

        ret->next_start = f->place == PLACE_BACKOFF   ? t->next_try
                          : f->place == PLACE_DELAYED ? t->not_before
                                                      : 0;
    }
}

void explain_function(struct engine *e, const struct function *fn, struct explanation *ret)
{
    const struct future *next = sched_peek(&fn->ready);

    if (!next && !list_is_empty(&fn->parked))
        next = LIST_ENTRY(fn->parked.next, struct future, queue);
    *ret = (struct explanation){0};
    if (next)
        explain_future(e, next, ret);
}

/* They stand by when they were parked: one of a low priority comes late. */
static const struct future *oldest_parked(const struct function *fn)
{
    const struct future *oldest = NULL;
    uint32_t n = 0;

    LIST_FOREACH (l, &fn->parked) {
        const struct future *f = LIST_ENTRY(l, struct future, queue);

        if (!oldest || id_key(&f->id) < id_key(&oldest->id))
            oldest = f;
        if (++n >= SCHED_LOOK_MAX)
            break;
    }
    return oldest;
}

const struct future *explain_oldest(const struct function *fn)
{
    const struct future *ready = sched_oldest(&fn->ready), *parked = oldest_parked(fn);

    if (!ready || !parked)
        return ready ? ready : parked;
    return id_key(&ready->id) < id_key(&parked->id) ? ready : parked;
}
