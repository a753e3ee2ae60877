// SPDX-License-Identifier: Apache-2.0
#include "engine/edge.h"

#include "engine/state.h"

struct edge *edge_new(struct engine *e)
{
    return slab_alloc(&e->edges);
}

static void count_end(struct waiter *w, const struct future *f)
{
    w->n_done++;
    if (f->state == FUTURE_FAILED)
        w->n_failed++;
}

static void answer(struct engine *e, struct waiter *w)
{
    if (!list_is_linked(&w->answer) && waiter_is_ready(w))
        list_push_back(&e->effects.answers, &w->answer);
}

void edge_tie(struct engine *e, struct edge *edge, struct waiter *w, struct future *f, struct bytes *tag,
              uint32_t cookie)
{
    *edge = (struct edge){.waiter = w, .future = f, .tag = bytes_ref(tag), .cookie = cookie};
    edge->next = f->edges;
    edge->pprev = &f->edges;
    if (f->edges)
        f->edges->pprev = &edge->next;
    f->edges = edge;
    f->n_pins++;
    list_init(&edge->of_waiter);
    if (future_is_terminal(f)) {
        list_push_back(&w->done, &edge->of_waiter);
        count_end(w, f);
        answer(e, w);
    } else {
        list_push_back(&w->pending, &edge->of_waiter);
        w->n_pending++;
    }
}

void edge_drop(struct engine *e, struct edge *edge)
{
    struct waiter *w = edge->waiter;
    struct future *f = edge->future;

    list_del(&edge->of_waiter);
    *edge->pprev = edge->next;
    if (edge->next)
        edge->next->pprev = edge->pprev;
    if (future_is_terminal(f)) {
        w->n_done--;
        if (f->state == FUTURE_FAILED)
            w->n_failed--;
    } else {
        w->n_pending--;
    }
    ASSERT(f->n_pins > 0);
    if (--f->n_pins == 0 && future_is_terminal(f))
        retention_unpinned(&e->retention, f);
    if (UNLIKELY(!f->edges) && !future_is_terminal(f))
        timing_alone(e, f);
    bytes_unref(edge->tag);
    slab_free(&e->edges, edge);
    limits_edges_give(&e->account, 1);
}

void edge_spare_drop(struct engine *e, struct waiter *w)
{
    while (w->spare) {
        struct edge *edge = w->spare;

        w->spare = edge->next;
        slab_free(&e->edges, edge);
        limits_edges_give(&e->account, 1);
    }
}

void edge_join(struct engine *e, struct future *f)
{
    struct group *g = f->group->group;

    group_join(g, f->group, f);
    LIST_FOREACH_SAFE (l, &g->expecting) {
        struct waiter *w = LIST_ENTRY(l, struct waiter, expecting);
        struct edge *edge = w->spare;

        if (!scope_may_see(w->scope, f->scope))
            continue;
        w->spare = edge->next;
        edge_tie(e, edge, w, f, NULL, EDGE_JOINED);
        if (!w->spare) /* as many as expected have come; some may have been forgotten since */
            list_del(&w->expecting);
    }
}

void edge_fire(struct engine *e, struct future *f, int is_end)
{
    for (struct edge *edge = f->edges; edge; edge = edge->next) {
        struct waiter *w = edge->waiter;

        if (is_end) {
            w->n_pending--;
            count_end(w, f);
        }
        if (!is_end && w->mode != WAITER_WATCH)
            continue;
        list_del(&edge->of_waiter);
        list_push_back(&w->done, &edge->of_waiter);
        answer(e, w);
    }
}
