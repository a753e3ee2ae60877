// SPDX-License-Identifier: Apache-2.0
/* Clients that pause functions, and limit what of them runs and waits. */
#include "world.h"

#include <stdio.h>

/* Whether the store's state keeps the service from changing a function. */
static int is_refused(const struct world *w)
{
    return world_refuses(w, &(struct model_future){.durability = DURABILITY_DURABLE}, 0);
}

static int any_function(struct world *w)
{
    return w->model.n_functions ? (int)world_random(w, (uint64_t)w->model.n_functions) : -1;
}

/* A reason that no other has. */
static struct span why(int n, char text[16])
{
    snprintf(text, 16, "why %d", n);
    return span_of_string(text);
}

static void event_pause(struct world *w)
{
    int k = any_function(w), by = (int)world_random(w, WORLD_SCOPES), n = (int)w->n_events;
    char text[16];

    if (k < 0 || is_refused(w) || w->is_calm)
        return;
    world_says(w, "function %d is paused", k);
    world_fail(w);
    if (!world_done(w, engine_pause(w->e, w->functions[k], w->scopes[by], why(n, text))))
        return;
    w->model.functions[k].set.is_paused = 1;
    w->model.functions[k].set.paused_by = by;
    w->model.functions[k].set.why_paused = n;
    w->model.functions[k].set.paused_at = w->model.wall;
    w->model.is_urgent = 1;
    model_limits_changed(&w->model, k);
}

void limits_resume(struct world *w, int k)
{
    if (!w->model.functions[k].set.is_paused)
        return;
    world_says(w, "function %d goes on", k);
    engine_resume(w->e, w->functions[k]);
    w->model.functions[k].set.is_paused = 0;
    w->model.is_urgent = 1;
    model_limits_changed(&w->model, k);
}

static void event_resume(struct world *w)
{
    int k = any_function(w);

    if (k >= 0 && !is_refused(w))
        limits_resume(w, k);
}

static void event_limit(struct world *w)
{
    static const double rates[] = {0, 0.1, 0.7, 1, 3, 10, 100};
    int k = any_function(w), by = (int)world_random(w, WORLD_SCOPES), n = (int)w->n_events;
    unsigned int which = (unsigned int)world_random(w, 8);
    struct model_settings *set;
    struct function_limits limits = {
            .max_running = (uint32_t)world_random(w, 5),
            .max_pending = world_random(w, 20),
            .rate = rates[world_random(w, ARRAY_LEN(rates))],
    };
    char text[16];

    if (k < 0 || is_refused(w))
        return;
    if (limits.rate > 0)
        limits.rate += (double)k / 1000; /* no two functions open at the same time */
    world_says(w, "function %d is limited: %x, running %u, pending %u, rate %g", k, which, limits.max_running,
               (unsigned)limits.max_pending, limits.rate);
    world_fail(w);
    if (!world_done(w, engine_limit(w->e, w->functions[k], &limits, which, w->scopes[by], why(n, text))))
        return;
    set = &w->model.functions[k].set;
    set->which = which ? set->which | which : 0;
    if (!which) {
        set->max_running = 0;
        set->max_pending = 0;
        set->rate = 0;
    }
    if (which & FUNCTION_MAX_RUNNING)
        set->max_running = limits.max_running;
    if (which & FUNCTION_MAX_PENDING)
        set->max_pending = limits.max_pending;
    if (which & FUNCTION_RATE)
        set->rate = limits.rate;
    set->limited_by = by;
    set->why_limited = n;
    set->limited_at = w->model.wall;
    w->model.is_urgent = 1;
    model_limits_changed(&w->model, k);
}

static void check_change(const struct world *w, const struct change *c, int by, int n, wall_ns_t at)
{
    char text[16];

    ASSERT(c->time == at && span_eq(SPAN_OF_BYTES(c->who), SPAN_OF_BYTES(w->scopes[by]->principal)));
    ASSERT(span_eq(SPAN_OF_BYTES(c->why), why(n, text)));
}

void limits_check(const struct world *w)
{
    for (int k = 0; k < w->model.n_functions; k++) {
        const struct model_function *fn = &w->model.functions[k];
        const struct model_settings *set = &fn->set;
        const struct gate *g = &w->functions[k]->gate;

        ASSERT(!g->closed == !fn->is_closed && g->n_claimed == model_n_claimed(&w->model, k));
        ASSERT(!g->paused == !set->is_paused && g->which == set->which && !g->limits_set == !set->which);
        if (g->paused)
            check_change(w, g->paused, set->paused_by, set->why_paused, set->paused_at);
        if (g->limits_set)
            check_change(w, g->limits_set, set->limited_by, set->why_limited, set->limited_at);
        ASSERT(g->limits.max_running == set->max_running && g->limits.max_pending == set->max_pending &&
               g->limits.rate == set->rate); /* NOLINT: it is copied */
    }
}

void limits_check_claim(const struct world *w, const struct lease *lease)
{
    const struct function *fn = lease->future->function;
    const struct model_settings *set = &w->model.functions[fn->index].set;

    ASSERT(!set->is_paused);
    ASSERT(!set->max_running || fn->n_reserved + fn->n_running <= set->max_running);
}

const struct world_event limits_events[] = {
        {"pause", event_pause, 0, 1, 0},
        {"resume", event_resume, 0, 1, 0},
        {"limit", event_limit, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
