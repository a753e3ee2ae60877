// SPDX-License-Identifier: Apache-2.0
#include "engine/waiter.h"

void waiter_init(struct waiter *w, enum waiter_mode mode, uint32_t wanted, void *user)
{
    *w = (struct waiter){.mode = mode, .wanted = wanted, .user = user};
    list_init(&w->answer);
    list_init(&w->pending);
    list_init(&w->done);
    list_init(&w->expecting);
}

int waiter_is_ready(const struct waiter *w)
{
    int is_complete = w->n_pending == 0 && !list_is_linked(&w->expecting);

    switch (w->mode) {
    case WAITER_ALL: return is_complete;
    case WAITER_FIRST_EXCEPTION: return is_complete || w->n_failed > 0;
    case WAITER_COUNT: return is_complete || (uint64_t)w->n_done + w->n_missing >= w->wanted;
    case WAITER_EACH:
    case WAITER_WATCH: return !list_is_empty(&w->done);
    }
    ASSERT(0 && "a mode of the enum");
}

struct edge *waiter_first_done(const struct waiter *w)
{
    struct list *l = list_first(&w->done);

    return l ? LIST_ENTRY(l, struct edge, of_waiter) : NULL;
}

void waiter_seen(struct edge *edge)
{
    ASSERT(edge->waiter->mode == WAITER_WATCH);
    list_del(&edge->of_waiter);
    list_push_back(&edge->waiter->pending, &edge->of_waiter);
}
