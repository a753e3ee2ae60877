// SPDX-License-Identifier: Apache-2.0
/*
 * Clients and workers: each event is one thing that one of them does, done to the engine and then to the model. What a
 * command may answer is known before.
 */
#include "base/mem.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int any_future(struct world *w)
{
    int alive[MODEL_FUTURES], n = 0;

    for (int i = 0; i < w->model.n_futures; i++)
        if (!w->model.futures[i].is_gone)
            alive[n++] = i;
    return n ? alive[world_random(w, (uint64_t)n)] : -1;
}

static int any_leased(struct world *w)
{
    int leased[MODEL_FUTURES], n = 0;

    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].at == AT_RESERVED || w->model.futures[i].at == AT_RUNNING)
            leased[n++] = i;
    return n ? leased[world_random(w, (uint64_t)n)] : -1;
}

static int any_worker(struct world *w)
{
    int used[MODEL_WORKERS], n = 0;

    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            used[n++] = k;
    return n ? used[world_random(w, (uint64_t)n)] : -1;
}

static int any_waiter(struct world *w)
{
    int used[MODEL_WAITERS], n = 0;

    for (int k = 0; k < MODEL_WAITERS; k++)
        if (w->model.waiters[k].is_used)
            used[n++] = k;
    return n ? used[world_random(w, (uint64_t)n)] : -1;
}

static struct span group_name(int group)
{
    static const char *const names[WORLD_GROUPS] = {"red", "green", "blue", "g"};

    return group < 0 ? (struct span){0} : span_of_string(names[group]);
}

static struct span function_name(int k, char name[32])
{
    snprintf(name, 32, "function-%d", k);
    return span_of_string(name);
}

/* --- clients */

static uint64_t n_alive(const struct world *w)
{
    return engine_stats(w->e).n_futures;
}

static struct model_future plan(struct world *w)
{
    struct model_future f = {
            .scope = (int)world_random(w, WORLD_SCOPES),
            .group = (int)world_random(w, 2) ? -1 : (int)world_random(w, WORLD_GROUPS),
            .function = (int)world_random(w, (uint64_t)MIN(w->model.n_functions + 1, (int)MODEL_FUNCTIONS)),
            .priority = world_random(w, 3) ? 0 : (int32_t)world_random(w, 5) - 2,
            .durability = world_random(w, 2) ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL,
            .on_lost = world_random(w, 4) ? ON_LOST_RETRY : ON_LOST_FAIL,
            .retention_ns = -1,
            .worker = -1,
    };

    if (world_random(w, 10) == 0)
        f.retention_ns = (int64_t)world_random(w, 100) * NS_PER_S;
    return f;
}

static void submit_one(struct world *w)
{
    struct model_future plan_ = plan(w);
    struct bytes *task = bytes_dup("task", 4);
    struct future *f = NULL;
    char name[32];
    int is_known = plan_.function < w->model.n_functions, r;
    struct engine_submit in = {
            .scope = w->scopes[plan_.scope],
            .function = function_name(plan_.function, name),
            .group = group_name(plan_.group),
            .task = task,
            .priority = plan_.priority,
            .durability = plan_.durability,
            .on_lost = plan_.on_lost,
            .retention_ns = plan_.retention_ns,
    };

    if (w->model.n_futures == MODEL_FUTURES) {
        bytes_unref(task);
        return;
    }
    if (world_random(w, 5) == 0)
        in.tag = in.traceparent = SPAN_LIT("00-trace");
    world_fail(w);
    r = engine_submit(w->e, &in, &f);
    if (n_alive(w) - (r == 0) >= w->config.limits.max_futures) {
        world_failed(w);
        ASSERT(r == ENGINE_E_FULL_FUTURES);
    } else if (!is_known && !w->config.accept_unknown_functions) {
        world_failed(w);
        ASSERT(r == ENGINE_E_NO_SUCH_FUNCTION);
    } else if (world_done(w, r)) {
        int i;

        if (!is_known)
            w->functions[w->model.n_functions++] = f->function;
        plan_.id = f->id;
        i = model_submit(&w->model, &plan_);
        w->must_work[plan_.function] = 1;
        world_says(w, "submit %d: function %d, priority %d, group %d", i, plan_.function, plan_.priority,
                   plan_.group);
    } else if (!is_known && engine_function_find(w->e, in.function)) {
        w->functions[w->model.n_functions++] =
                engine_function_find(w->e, in.function); /* known all the same */
    }
    bytes_unref(task);
}

static void event_submit(struct world *w)
{
    for (uint64_t n = world_random(w, 4) ? 1 : world_random(w, 12); n > 0; n--)
        submit_one(w);
}

static void event_cancel(struct world *w)
{
    int i = any_future(w), had_lease;

    if (i < 0)
        return;
    had_lease = w->model.futures[i].at == AT_RESERVED || w->model.futures[i].at == AT_RUNNING;
    world_says(w, "cancel %d", i);
    world_fail(w);
    if (!world_done(w, engine_cancel(w->e, world_future(w, i), w->scopes[0], SPAN_LIT("why not"))))
        return;
    if (had_lease && !w->model.futures[i].is_cancel)
        w->must_revoke[i] = 1;
    model_cancel(&w->model, i);
}

static void event_annotate(struct world *w)
{
    int i = any_future(w);
    int32_t value = (int32_t)world_random(w, 1000);
    struct label label = {SPAN_LIT("n"), {(const uint8_t *)&value, sizeof value}};
    uint64_t revision;
    struct labels *labels;
    int r;

    if (i < 0)
        return;
    labels = labels_new(&label, 1);
    revision = w->model.futures[i].revision - world_random(w, 2);
    world_says(w, "annotate %d with %d", i, value);
    world_fail(w);
    r = engine_annotate(w->e, world_future(w, i), labels, &revision);
    if (revision != w->model.futures[i].revision) {
        world_failed(w);
        ASSERT(r == ENGINE_E_REVISION);
        mem_free(labels);
    } else if (world_done(w, r)) {
        model_annotate(&w->model, i, value);
    } else {
        mem_free(labels);
    }
}

static void event_delete(struct world *w)
{
    int i = any_future(w), r;
    struct model_future *m;

    if (i < 0)
        return;
    m = &w->model.futures[i];
    world_says(w, "delete %d", i);
    r = engine_delete(w->e, world_future(w, i));
    ASSERT(r == (!model_is_terminal(m) ? ENGINE_E_NOT_TERMINAL : m->n_pins ? ENGINE_E_PINNED : 0));
    if (r != 0)
        return;
    m->is_gone = m->is_deleted = 1;
    w->is_fact[i] = 0;
}

/* --- waiting */

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
    r = engine_wait_group(w->e, &w->waiters[n], w->scopes[scope], group_name(group), expect);
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
        if ((i = any_future(w)) >= 0 && (m->mode != WAITER_WATCH || world_future(w, i)->edges == NULL))
            wait_for(w, n, i);
}

/* A stream adds to what it waits for while it reads. */
static void event_wait_more(struct world *w)
{
    int n = any_waiter(w), i = any_future(w);

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
        actors_drop_waiter(w, n);
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

void actors_drop_waiter(struct world *w, int n)
{
    engine_waiter_drop(w->e, &w->waiters[n]);
    model_drop(&w->model, n);
}

/* --- lists: who was there all along is seen exactly once, nobody twice */

static void lister_end(struct world *w, struct lister *l)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (l->was_there[i] && !w->model.futures[i].is_gone)
            ASSERT(l->seen[i]);
    l->is_used = 0;
}

static void event_list(struct world *w)
{
    struct lister *l = &w->listers[world_random(w, WORLD_LISTERS)];
    uint32_t budget = 1 + (uint32_t)world_random(w, 10);
    struct future *f;

    if (!l->is_used) {
        memset(l, 0, sizeof *l);
        l->is_used = 1;
        l->scope = (int)world_random(w, WORLD_SCOPES);
        l->is_desc = (int)world_random(w, 2);
        l->key = l->is_desc ? UINT64_MAX : 0;
        for (int i = 0; i < w->model.n_futures; i++)
            l->was_there[i] = !w->model.futures[i].is_gone && w->model.futures[i].scope / 2 == l->scope / 2;
    }
    while ((f = engine_next(w->e, w->scopes[l->scope], l->key, l->is_desc, &budget, &l->key))) {
        int i = model_find(&w->model, &f->id);

        ASSERT(i >= 0 && w->model.futures[i].scope / 2 == l->scope / 2 && !l->seen[i]);
        l->seen[i] = 1;
    }
    if (budget > 0)
        lister_end(w, l);
}

/* --- workers */

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

void actors_worker_new(struct world *w, uint32_t serves)
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
                engine_function_add(w->e, function_name(w->model.n_functions, name), SPAN_LIT(""));

        ASSERT(f && f->index == (uint32_t)w->model.n_functions);
        w->functions[w->model.n_functions++] = f;
    }
    if (k >= 0 && world_random(w, 3) == 0 && w->model.n_functions > 0)
        serve(w, k, (int)world_random(w, (uint64_t)w->model.n_functions));
    else
        actors_worker_new(w, (uint32_t)world_random(w, 1 << MODEL_FUNCTIONS));
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
    ASSERT(model_claim(&w->model, k, eligible, max, failed ? n : max, expected) == n);
    for (int i = 0; i < n; i++) {
        ASSERT(memcmp(&leases[i]->future->id, &w->model.futures[expected[i]].id, sizeof(struct id)) == 0);
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

static void finish(struct world *w, int i, int is_error)
{
    int32_t result = (int32_t)world_random(w, 1 << 30);
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    struct lease *lease = lease_of(w, i);

    if (is_error)
        finish.error = future_error_new(&(struct future_error){.code = 2, .reason = REASON_FUNCTION_ERROR});
    else
        finish.data = bytes_dup(&result, sizeof result);
    if (world_random(w, 2))
        finish.usage.wall_ns = (int64_t)world_random(w, NS_PER_S);
    world_says(w, "worker %d finishes %d%s", w->model.futures[i].worker, i, is_error ? " with an error" : "");
    world_fail(w);
    if (world_done(w, engine_finish(w->e, lease, &finish))) {
        ASSERT(!finish.data && !finish.error);
        w->must_revoke[i] = 0;
        model_finish(&w->model, i, is_error, result);
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
static void give_up(struct world *w, int i)
{
    int is_started = w->model.futures[i].at == AT_RUNNING, function = w->model.futures[i].function;
    struct lease *lease = lease_of(w, i);

    world_says(w, "worker %d %s %d", w->model.futures[i].worker, is_started ? "is lost with" : "gives back",
               i);
    world_fail(w);
    if (!is_started && world_random(w, 2)) {
        engine_release(w->e, lease);
        world_failed(w);
        model_release(&w->model, i);
    } else if (world_done(w, engine_lose(w->e, lease))) {
        model_lose(&w->model, i);
    } else {
        return;
    }
    w->must_revoke[i] = 0;
    if (w->model.futures[i].at == AT_READY)
        w->must_work[function] = 1;
}

static void event_give_up(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        give_up(w, i);
}

/* A worker dies with all that it holds. */
static void event_worker_lost(struct world *w)
{
    int k = any_worker(w);

    if (k < 0)
        return;
    world_says(w, "worker %d dies", k);
    for (int i = 0; i < w->model.n_futures; i++)
        while (!w->model.futures[i].is_gone && w->model.futures[i].worker == k &&
               (w->model.futures[i].at == AT_RESERVED || w->model.futures[i].at == AT_RUNNING))
            give_up(w, i); /* again, if there was no memory */
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
    is_current = i >= 0 && (w->model.futures[i].at == AT_RESERVED || w->model.futures[i].at == AT_RUNNING) &&
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
void actors_work_all(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (!w->model.futures[i].is_gone &&
            (w->model.futures[i].at == AT_RESERVED || w->model.futures[i].at == AT_RUNNING))
            finish(w, i, 0);
    actors_worker_new(w, UINT32_MAX);
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            claim(w, k, 32);
}

void actors_event(struct world *w, uint32_t which)
{
    static void (*const events[ACTOR_EVENTS])(struct world *) = {
            event_submit, event_cancel,  event_annotate, event_delete,      event_wait,  event_wait_more,
            event_pull,   event_list,    event_worker,   event_claim,       event_claim, event_start,
            event_finish, event_give_up, event_stale,    event_worker_lost,
    };

    events[which](w);
}
