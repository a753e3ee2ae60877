// SPDX-License-Identifier: Apache-2.0
/* Clients that wait for futures, and watch them. */
#include "world.h"

#include <errno.h>

static int any_waiter(struct world *w)
{
    int used[MODEL_WAITERS], n = 0;

    for (int k = 0; k < MODEL_WAITERS; k++)
        if (w->model.waiters[k].is_used)
            used[n++] = k;
    return n ? used[world_random(w, (uint64_t)n)] : -1;
}

static void wait_for(struct world *w, int n, int i)
{
    int r;

    if (model_n_edges(&w->model.waiters[n]) >= MODEL_EDGES / 2)
        return; /* the rest is for members of a group */
    world_fail(w);
    r = engine_wait(w->e, &w->waiters[n], world_future(w, i), NULL, (uint32_t)i);
    if (r == ENGINE_E_FULL_EDGES) {
        world_failed(w);
        ASSERT(engine_stats(w->e).n_edges == w->config.limits.max_waiter_edges);
    } else if (world_done(w, r)) {
        model_wait(&w->model, n, i);
        world_says(w, "  waiter %d waits for %d", n, i);
    }
}

static void wait_for_group(struct world *w, int n)
{
    int scope = (int)world_random(w, WORLD_SCOPES), group = (int)world_random(w, WORLD_GROUPS), r;
    uint32_t size = model_group_size(&w->model, scope, group), expect = (uint32_t)world_random(w, 6);

    if (world_random(w, 2))
        expect = 0;
    if (size > MODEL_EDGES / 2)
        return;
    world_fail(w);
    r = engine_wait_group(w->e, &w->waiters[n], w->scopes[scope], world_group(group), expect);
    if (r == ENGINE_E_FULL_EDGES) {
        world_failed(w);
        ASSERT(engine_stats(w->e).n_edges + MAX(size, expect) > w->config.limits.max_waiter_edges);
    } else if (world_done(w, r)) {
        model_wait_group(&w->model, n, scope, group, expect);
        world_says(w, "  waiter %d waits for group %d of %u, expects %u", n, group, size, expect);
    }
}

static int free_waiter(const struct world *w)
{
    for (int n = 0; n < MODEL_WAITERS; n++)
        if (!w->model.waiters[n].is_used)
            return n;
    return -1;
}

static void event_wait(struct world *w)
{
    static const enum waiter_mode modes[] = {WAITER_ALL, WAITER_FIRST_EXCEPTION, WAITER_COUNT, WAITER_EACH,
                                             WAITER_WATCH};
    int n = free_waiter(w), i;
    struct model_waiter *m;

    if (n < 0)
        return;
    m = &w->model.waiters[n];
    m->mode = modes[world_random(w, ARRAY_LEN(modes))];
    m->wanted = (uint32_t)world_random(w, 4);
    m->is_used = 1;
    waiter_init(&w->waiters[n], m->mode, m->wanted, NULL);
    world_says(w, "waiter %d, mode %d, wanted %u", n, (int)m->mode, m->wanted);
    if (world_random(w, 4) == 0) {
        wait_for_group(w, n);
        return;
    }
    for (uint64_t k = world_random(w, 6); k > 0; k--)
        if ((i = world_any_here(w)) >= 0 && (m->mode != WAITER_WATCH || world_future(w, i)->edges == NULL))
            wait_for(w, n, i);
}

/* A stream adds to what it waits for while it reads. */
static void event_wait_more(struct world *w)
{
    int n = any_waiter(w), i = world_any_here(w);

    if (n >= 0 && i >= 0 && w->model.waiters[n].mode == WAITER_EACH)
        wait_for(w, n, i);
}

/* A client takes some of what is ready, and is gone now and then. */
static void event_pull(struct world *w)
{
    int n = any_waiter(w);
    struct edge *edge;

    if (n < 0)
        return;
    if (world_random(w, 6) == 0) {
        world_says(w, "waiter %d goes away", n);
        waiting_drop(w, n);
        return;
    }
    for (uint64_t k = world_random(w, 3) + 1; k > 0 && (edge = waiter_first_done(&w->waiters[n])); k--) {
        int i = model_find(&w->model, &edge->future->id);

        ASSERT(i >= 0);
        world_says(w, "waiter %d takes %d", n, i);
        if (w->model.waiters[n].mode == WAITER_WATCH && !model_is_terminal(&w->model.futures[i])) {
            waiter_seen(edge);
            model_seen(&w->model, n, i);
        } else {
            engine_unwait(w->e, edge);
            model_unwait(&w->model, n, i);
        }
    }
}

void waiting_drop(struct world *w, int n)
{
    engine_waiter_drop(w->e, &w->waiters[n]);
    model_drop(&w->model, n);
}

/* The owner of waiter @n takes a look: what it waits for is shown to it, if it is ready. */
void waiting_answer(struct world *w, int n)
{
    const struct model_waiter *m = &w->model.waiters[n];

    for (int k = 0; k < MODEL_EDGES; k++)
        if (m->edges[k].future >= 0 && world_random(w, 3) == 0)
            shown_future(w, m->edges[k].future);
}

const struct world_event waiting_events[] = {
        {"wait", event_wait, 0, 1, 0},
        {"wait more", event_wait_more, 0, 1, 0},
        {"pull", event_pull, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
