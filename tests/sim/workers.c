// SPDX-License-Identifier: Apache-2.0
/* Workers: each event is one thing that one of them does, done to the engine and then to the model. */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int is_leased(const struct model_future *f)
{
    return model_is_leased(f);
}

static int any_leased(struct world *w)
{
    return world_any(w, is_leased);
}

static int any_worker(struct world *w)
{
    int used[MODEL_WORKERS], n = 0;

    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            used[n++] = k;
    return n ? used[world_random(w, (uint64_t)n)] : -1;
}

static void serve(struct world *w, int k, int function)
{
    if (w->model.workers[k].serves >> function & 1)
        return;
    world_fail(w);
    if (!world_done(w, engine_holder_serve(w->e, w->holders[k], w->functions[function])))
        return;
    w->model.workers[k].serves |= UINT32_C(1) << function;
    if (w->functions[function]->ready.n > 0)
        w->must_work[function] = 1;
    world_says(w, "  worker %d serves %d", k, function);
}

void workers_new(struct world *w, uint32_t serves)
{
    int k = 0;

    while (k < MODEL_WORKERS - 1 && w->model.workers[k].is_used)
        k++;
    if (!w->model.workers[k].is_used) {
        world_fail(w);
        if (!world_done(w, engine_holder_new(w->e, SPAN_LIT("worker"), NULL, &w->holders[k])))
            return;
        w->model.workers[k] = (struct model_worker){.is_used = 1};
        world_says(w, "worker %d comes", k);
    }
    for (int f = 0; f < w->model.n_functions; f++)
        if (serves >> f & 1)
            serve(w, k, f);
}

/* A worker comes, perhaps with a function that nobody has heard of; or one learns another function. */
static void event_worker(struct world *w)
{
    char name[32];
    int k = any_worker(w);

    if (world_random(w, 3) == 0 && w->model.n_functions < MODEL_FUNCTIONS) {
        struct function *f =
                engine_function_add(w->e, world_function_name(w->model.n_functions, name), SPAN_LIT(""));

        ASSERT(f && f->index == (uint32_t)w->model.n_functions);
        w->functions[w->model.n_functions++] = f;
    }
    if (k >= 0 && world_random(w, 3) == 0 && w->model.n_functions > 0)
        serve(w, k, (int)world_random(w, (uint64_t)w->model.n_functions));
    else
        workers_new(w, (uint32_t)world_random(w, 1 << MODEL_FUNCTIONS));
}

static void remember_lease(struct world *w, const struct lease *lease, int k)
{
    w->old_leases[w->n_old_leases++ % WORLD_OLD_LEASES] =
            (struct old_lease){.id = lease->future->id,
                               .worker = k,
                               .number = lease->attempt,
                               .epoch = (uint32_t)engine_epoch(w->e)};
}

static void claim(struct world *w, int k, int max)
{
    struct lease *leases[64];
    uint8_t is_armed[MODEL_FUTURES];
    int expected[64], n, failed;
    int64_t limit = world_random(w, 4) ? CLOCK_NEVER : (int64_t)world_random(w, NS_PER_S);
    uint32_t eligible = 0;

    for (int f = 0; f < w->model.n_functions; f++) {
        int64_t mean = w->functions[f]->mean_run_ns;

        if (w->model.workers[k].serves >> f & 1 && (limit == CLOCK_NEVER || (mean >= 0 && mean < limit)))
            eligible |= UINT32_C(1) << f;
    }
    world_fail(w);
    n = engine_claim(w->e, w->holders[k], limit, (uint32_t)max, leases);
    failed = world_failed(w);
    ASSERT(n >= 0 || (n == -ENOMEM && failed));
    n = MAX(n, 0);
    for (int i = 0; failed && i < w->model.n_futures; i++) /* how far it came */
        is_armed[i] = model_is_here(&w->model.futures[i]) && world_future(w, i)->armed == ARMED_WAITING;
    n = model_claim(&w->model, k, eligible, max, failed ? n : max, failed ? is_armed : NULL, expected) == n
                ? n
                : -1;
    ASSERT(n >= 0);
    for (int i = 0; i < n; i++) {
        struct model_future *m = &w->model.futures[expected[i]];

        ASSERT(memcmp(&leases[i]->future->id, &m->id, sizeof(struct id)) == 0);
        ASSERT(m->claim_epoch != engine_epoch(w->e) || leases[i]->attempt > m->claim_number);
        m->claim_epoch = engine_epoch(w->e);
        m->claim_number = leases[i]->attempt;
        remember_lease(w, leases[i], k);
        world_says(w, "worker %d claims %d", k, expected[i]);
    }
}

static void event_claim(struct world *w)
{
    int k = any_worker(w);

    if (k >= 0)
        claim(w, k, 1 + (int)world_random(w, 8));
}

static struct lease *lease_of(struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];
    struct lease *lease =
            engine_lease_find(w->e, w->holders[m->worker], &m->id, m->n_claims, (uint32_t)engine_epoch(w->e));

    ASSERT(lease);
    return lease;
}

static void start(struct world *w, int i)
{
    world_says(w, "worker %d starts %d", w->model.futures[i].worker, i);
    world_fail(w);
    if (world_done(w, engine_start(w->e, lease_of(w, i), w->model.wall)))
        model_start(&w->model, i);
}

static void event_start(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        start(w, i);
}

static struct bytes *make_result(int32_t result, uint32_t n)
{
    struct bytes *data = bytes_new(n);

    memset(data->data, 0, n);
    memcpy(data->data, &result, sizeof result);
    return data;
}

static void finish(struct world *w, int i, int is_error)
{
    int32_t result = (int32_t)world_random(w, 1 << 30);
    uint32_t n = sizeof result + (uint32_t)world_random(w, world_random(w, 50) ? 40 : 3000);
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    struct lease *lease = lease_of(w, i);

    if (is_error)
        finish.error = future_error_new(&(struct future_error){.code = 2, .reason = REASON_FUNCTION_ERROR});
    else
        finish.data = make_result(result, n);
    if (world_random(w, 2))
        finish.usage.wall_ns = (int64_t)world_random(w, NS_PER_S);
    world_says(w, "worker %d finishes %d%s", w->model.futures[i].worker, i, is_error ? " with an error" : "");
    world_fail(w);
    if (world_done(w, engine_finish(w->e, lease, &finish))) {
        ASSERT(!finish.data && !finish.error);
        w->must_revoke[i] = 0;
        model_finish(&w->model, i, is_error, result, n);
    } else {
        bytes_unref(finish.data);
        future_error_unref(finish.error);
    }
}

static void event_finish(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        finish(w, i, world_random(w, 3) == 0);
}

/* Give one lease up: unrun where it has not started, else as lost. */
void workers_give_up(struct world *w, int i)
{
    int is_started = w->model.futures[i].at == AT_RUNNING, function = w->model.futures[i].function;
    struct lease *lease = lease_of(w, i);
    int failed, r = 0;

    world_says(w, "worker %d %s %d", w->model.futures[i].worker, is_started ? "is lost with" : "gives back",
               i);
    world_fail(w);
    if (!is_started && world_random(w, 2))
        engine_release(w->e, lease);
    else
        r = engine_lose(w->e, lease);
    failed = world_failed(w);
    ASSERT(r == 0 || (r == -ENOMEM && failed));
    if (r != 0)
        return;
    if (is_started)
        model_lose(&w->model, i);
    else
        model_release(&w->model, i, !failed || world_future(w, i)->armed == ARMED_NOT);
    w->must_revoke[i] = 0;
    if (w->model.futures[i].at == AT_READY)
        w->must_work[function] = 1;
}

static void event_give_up(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        workers_give_up(w, i);
}

/* A worker dies with all that it holds. */
static void event_worker_lost(struct world *w)
{
    int k = any_worker(w);

    if (k < 0)
        return;
    world_says(w, "worker %d dies", k);
    for (int i = 0; i < w->model.n_futures; i++)
        while (model_is_leased(&w->model.futures[i]) && w->model.futures[i].worker == k)
            workers_give_up(w, i); /* again, if there was no memory */
    w->holders[k] = engine_holder_free(w->e, w->holders[k]);
    w->model.workers[k].is_used = 0;
}

/* Somebody comes with a lease that he had, or believes to have had: found exactly when it is the current one. */
static void event_stale(struct world *w)
{
    struct old_lease old;
    int i, k = any_worker(w), is_current;
    struct lease *lease;

    if (w->n_old_leases == 0 || k < 0)
        return;
    old = w->old_leases[world_random(w, MIN(w->n_old_leases, (uint32_t)WORLD_OLD_LEASES))];
    if (world_random(w, 4) || !w->model.workers[old.worker].is_used)
        old.worker = k;
    if (world_random(w, 4) == 0)
        old.epoch++;
    if (world_random(w, 4) == 0)
        old.number += (uint32_t)world_random(w, 3) - 1;
    i = model_find(&w->model, &old.id);
    is_current = i >= 0 && model_is_leased(&w->model.futures[i]) &&
                 w->model.futures[i].worker == old.worker && w->model.futures[i].n_claims == old.number &&
                 old.epoch == (uint32_t)engine_epoch(w->e);
    lease = engine_lease_find(w->e, w->holders[old.worker], &old.id, old.number, old.epoch);
    world_says(w, "worker %d comes with lease %u of %d: %s", old.worker, old.number, i,
               lease ? "current" : "stale");
    ASSERT(!lease == !is_current);
    if (lease)
        finish(w, i, 0);
}

/* Whatever is reserved or running is finished, and all that is ready is taken. */
void workers_work_all(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (model_is_leased(&w->model.futures[i]))
            finish(w, i, 0);
    workers_new(w, UINT32_MAX);
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            claim(w, k, 32);
}

const struct world_event workers_events[] = {
        {"worker", event_worker, 0, 1, 0},
        {"claim", event_claim, 0, 1, 1},
        {"start", event_start, 0, 1, 0},
        {"finish", event_finish, 0, 1, 1},
        {"give up", event_give_up, 0, 1, 0},
        {"stale", event_stale, 0, 1, 0},
        {"worker lost", event_worker_lost, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
