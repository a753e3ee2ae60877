// SPDX-License-Identifier: Apache-2.0
#include "engine/place.h"

#include "engine/depend.h"
#include "engine/state.h"
#include "engine/timing.h"
#include "engine/turn.h"

int place_keep(struct engine *e, const struct future *f)
{
    return sched_keep(&e->sched, &f->function->ready, f);
}

void place_drop(struct engine *e, const struct future *f)
{
    sched_done(&e->sched, &f->function->ready, f);
}

static enum place belongs(const struct engine *e, const struct future *f)
{
    const struct timing *t;

    if (LIKELY(!f->rare) || (!f->rare->timing && !f->rare->depend))
        return PLACE_READY;
    if (depend_is_open(f))
        return PLACE_BLOCKED;
    t = f->rare->timing;
    if (!t)
        return PLACE_READY;
    if (t->not_before > e->wall ||
        (t->deadline && t->deadline <= e->wall)) /* which ends it at the next turn */
        return PLACE_DELAYED;
    return t->next_try ? PLACE_BACKOFF : PLACE_READY;
}

void place_put(struct engine *e, struct future *f, int is_back)
{
    ASSERT(f->state == FUTURE_PENDING && !f->lease && f->place == PLACE_NONE);
    f->place = (uint8_t)belongs(e, f);
    timing_update(e, f);
    if (UNLIKELY(f->place != PLACE_READY)) {
        f->function->n_waiting++;
        arm_disarm(e, f); /* it is not about to start any more */
        return;
    }
    (is_back ? sched_return : sched_push)(&e->sched, &f->function->ready, f);
    turn_work(e, f->function);
}

void place_take(struct engine *e, struct future *f)
{
    enum place place = (enum place)f->place;

    ASSERT(place != PLACE_NONE);
    if (UNLIKELY(f->rare) && f->rare->slot)
        slot_leave(e, f);
    f->place = PLACE_NONE;
    if (place == PLACE_READY) {
        sched_remove(&e->sched, &f->function->ready, f);
        return;
    }
    if (place == PLACE_ARMED)
        arm_remove(e, f);
    else if (place != PLACE_PARKED)
        f->function->n_waiting--;
    place_drop(e, f);
}

void place_again(struct engine *e, struct future *f)
{
    if (f->place == PLACE_NONE || f->place == PLACE_ARMED || f->place == belongs(e, f))
        return;
    if (f->place == PLACE_PARKED && belongs(e, f) == PLACE_READY)
        return;                    /* it is ready, but for the slot */
    ASSERT(place_keep(e, f) == 0); /* it has it */
    place_take(e, f);
    place_put(e, f, 1);
}
