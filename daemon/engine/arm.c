// SPDX-License-Identifier: Apache-2.0
#include "engine/arm.h"

#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

void arm_init(struct arm *a)
{
    a->n = 0;
    list_init(&a->waiting);
}

static struct level *level_of(struct engine *e, struct future *f)
{
    struct level *level;
    int r = sched_level(&e->sched, &f->function->ready, f->priority, &level);

    ASSERT(r == 0); /* sched_pop has kept it */
    return level;
}

int arm_best(struct engine *e, struct function *fn)
{
    struct future *f = sched_peek(&fn->ready);
    struct level *level;

    if (LIKELY(f->on_lost != ON_LOST_FAIL) || !e->config.has_store || f->durability != DURABILITY_DURABLE)
        return 0;
    if (f->armed == ARMED_READY)
        return 0;
    if (e->arm.n >= ARM_MAX)
        return ARM_E_FULL;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    f = sched_pop(&e->sched, &fn->ready, &level);
    fn->n_reserved++;
    e->arm.n++;
    list_push_back(&e->arm.waiting, &f->queue);
    f->armed = ARMED_WAITING;
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
        list_del(&f->queue);
        e->arm.n--;
        f->function->n_reserved--;
        sched_return(&e->sched, level_of(e, f), f);
        turn_work(e, f->function);
    }
}

int arm_remove(struct engine *e, struct future *f)
{
    if (f->armed != ARMED_WAITING)
        return 0;
    list_del(&f->queue);
    e->arm.n--;
    f->function->n_reserved--;
    sched_done(&e->sched, level_of(e, f));
    return 1;
}

void arm_disarm(struct engine *e, struct future *f)
{
    if (f->armed == ARMED_NOT || turn_reserve(e) < 0)
        return; /* without memory for the fact the mark stays, which is true of more than has happened */
    f->armed = ARMED_NOT;
    turn_change_lazily(e, f);
}
