// SPDX-License-Identifier: Apache-2.0
#include "engine/arm.h"

#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

void arm_init(struct arm *a)
{
    a->n = 0;
    list_init(&a->waiting);
}

int arm_best(struct engine *e, struct function *fn, struct future *f)
{
    if (LIKELY(f->on_lost != ON_LOST_FAIL) || !e->config.has_store || f->durability != DURABILITY_DURABLE)
        return 0;
    if (f->armed == ARMED_READY)
        return 0;
    if (e->arm.n >= ARM_MAX)
        return ARM_E_FULL;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    f = sched_set_aside(&e->sched, &fn->ready);
    fn->n_reserved++;
    gate_claimed(e, fn, &fn->gate, 0);
    e->arm.n++;
    list_push_back(&e->arm.waiting, &f->queue);
    f->armed = ARMED_WAITING;
    f->place = PLACE_ARMED;
    turn_change(e, f);
    return ARM_E_ARMED;
}

/* From the end, because each goes to the head of its queue. */
void arm_return(struct engine *e, uint64_t durable_seq)
{
    struct list *l = e->arm.waiting.prev;

    while (l != &e->arm.waiting) {
        struct future *f = LIST_ENTRY(l, struct future, queue);

        l = l->prev;
        if (f->commit_seq > durable_seq)
            continue;
        f->armed = ARMED_READY;
        f->place = PLACE_NONE;
        arm_remove(e, f);
        place_put(e, f, 1);
    }
}

void arm_remove(struct engine *e, struct future *f)
{
    list_del(&f->queue);
    e->arm.n--;
    f->function->n_reserved--;
    gate_ended(e, f->function, &f->function->gate, 0);
}

void arm_disarm(struct engine *e, struct future *f)
{
    if (f->armed == ARMED_NOT || turn_reserve(e) < 0)
        return; /* without memory for the fact the mark stays, which is true of more than has happened */
    f->armed = ARMED_NOT;
    turn_change_lazily(e, f);
}
