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
        w->model.must_work[function] = 1;
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

static int is_right(enum depend_policy policy, enum model_at at)
{
    if (policy == DEPEND_ON_FINISH)
        return at >= AT_SUCCEEDED;
    return policy == DEPEND_ON_SUCCESS ? at == AT_SUCCEEDED : at == AT_FAILED || at == AT_CANCELLED;
}

/* Whatever the queues say: what must be so of every task that a worker is given. */
static void check_claim(const struct world *w, const struct lease *lease, int i)
{
    const struct model_future *m = &w->model.futures[i];

    ASSERT((m->not_before <= w->model.wall || m->ripe_for == m->not_before) &&
           (!m->deadline || m->deadline > w->model.wall || w->was_behind));
    for (uint32_t k = 0; k < m->n_depends; k++)
        ASSERT(is_right(m->depend_policy, w->model.futures[m->depends[k].future].at) ||
               (m->depends[k].is_gone && m->depend_policy == DEPEND_ON_FINISH));
    for (int n = 0; m->slot >= 0 && n < w->model.n_futures; n++)
        ASSERT(n == i || w->model.futures[n].slot != m->slot || !model_is_here(&w->model.futures[n]) ||
               !world_future(w, n)->lease);
    limits_check_claim(w, lease);
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
    for (int i = 0; i < n; i++)
        check_claim(w, leases[i], model_find(&w->model, &leases[i]->future->id));
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
    wall_ns_t at = w->model.wall - (world_random(w, 2) ? 0 : (int64_t)world_random(w, NS_PER_S));

    world_says(w, "worker %d starts %d", w->model.futures[i].worker, i);
    world_fail(w);
    if (world_done(w, engine_start(w->e, lease_of(w, i), at)))
        model_start(&w->model, i, at);
}

static void event_start(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        start(w, i);
}

static int is_running(const struct model_future *f)
{
    return f->at == AT_RUNNING;
}

static void tell_progress(struct world *w, int i)
{
    const struct told_progress progress = {.completed = 1 + world_random(w, 1000), .total = 1000};
    struct span message = world_random(w, 2) ? SPAN_LIT("on and on") : SPAN_LIT("");
    struct model_future *m = &w->model.futures[i];

    world_fail(w);
    if (!world_done(w, engine_progress(w->e, lease_of(w, i), &progress, message)))
        return;
    m->progress = progress.completed;
    m->progress_claim = m->n_claims;
    model_said(&w->model, i);
}

/* Some bytes, the first of which have been told before, or not. */
static void tell(struct world *w, int i)
{
    struct model_future *m = &w->model.futures[i];
    int kind = (int)world_random(w, 2);
    uint64_t known, again = world_random(w, 4) ? 0 : world_random(w, 20), n = world_random(w, 40);
    uint8_t data[64];
    struct told_piece piece;

    model_speaks(&w->model, i);
    known = m->n_told[kind] - m->told_base[kind];
    again = MIN(again, known);
    for (uint64_t k = 0; k < again + n; k++)
        data[k] = model_told(m->task, kind, m->n_told[kind] - again + k);
    piece = (struct told_piece){.kind = (enum told_kind)kind,
                                .stream = (enum told_stream)(1 + world_random(w, 4)),
                                .offset = known - again,
                                .data = {data, again + n}};
    if (world_random(w, 8) == 0) { /* a gap is refused */
        piece.offset = known + 1 + world_random(w, 3);
        ASSERT(engine_tell(w->e, lease_of(w, i), &piece) == ENGINE_E_TOLD_WRONG);
        return;
    }
    world_fail(w);
    if (!world_done(w, engine_tell(w->e, lease_of(w, i), &piece)) || n == 0)
        return;
    m->n_told[kind] += (uint32_t)n;
    model_said(&w->model, i);
}

/* Who runs tells of it; who has not begun may not. */
static void event_tell(struct world *w)
{
    int i = any_leased(w);
    const struct told_piece piece = {.kind = TOLD_LOG, .stream = TOLD_FROM_LOG, .data = SPAN_LIT("x")};

    if (i < 0)
        return;
    world_says(w, "worker %d tells of %d", w->model.futures[i].worker, i);
    if (!is_running(&w->model.futures[i]))
        ASSERT(engine_tell(w->e, lease_of(w, i), &piece) == ENGINE_E_NOT_STARTED);
    else if (world_random(w, 3) == 0)
        tell_progress(w, i);
    else
        tell(w, i);
}

static struct bytes *make_result(int32_t result, uint32_t n)
{
    struct bytes *data = bytes_new(n);

    memset(data->data, 0, n);
    memcpy(data->data, &result, sizeof result);
    return data;
}

static struct future_error *make_error(const struct model_finish *end)
{
    return future_error_new(&(struct future_error){
            .code = 2,
            .reason = end->reason,
            .retryable = end->is_retryable,
            .type = end->is_listed ? SPAN_LIT("Final") : SPAN_LIT("Error"),
    });
}

/* Another attempt follows: the pause is as long as was asked for. */
static void check_pause(const struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];
    int64_t min, max;

    model_pause_span(m, &min, &max);
    if (m->next_try)
        ASSERT(m->next_try - w->model.wall == m->next_try_mono - w->model.mono &&
               m->next_try - w->model.wall >= min && m->next_try - w->model.wall <= max);
    else
        ASSERT(min <= 0);
}

static void finish(struct world *w, int i, enum future_reason reason)
{
    struct model_future *m = &w->model.futures[i];
    struct model_finish end = {.reason = reason, .result = (int32_t)world_random(w, 1 << 30)};
    struct finish finish = {.usage = {-1, -1, -1, -1}};
    struct lease *lease = lease_of(w, i);
    const struct timing *t = future_timing(lease->future);
    uint32_t n_counted = m->n_counted;

    end.result_bytes = sizeof end.result + (uint32_t)world_random(w, world_random(w, 50) ? 40 : 3000);
    end.is_retryable = reason == REASON_CRASHED || world_random(w, 4) != 0;
    end.is_listed = m->retry.n_types && world_random(w, 4) == 0;
    if (reason != REASON_NONE)
        finish.error = make_error(&end);
    else
        finish.data = make_result(end.result, end.result_bytes);
    if (world_random(w, 2))
        finish.usage.wall_ns = (int64_t)world_random(w, NS_PER_S);
    world_says(w, "worker %d finishes %d: %s", m->worker, i,
               reason == REASON_NONE ? "well" : future_reason_text(reason));
    world_fail(w);
    if (!world_done(w, engine_finish(w->e, lease, &finish))) {
        bytes_unref(finish.data);
        future_error_unref(finish.error);
        return;
    }
    ASSERT(!finish.data && !finish.error);
    end.next_try = t ? t->next_try : 0;
    end.next_try_mono = t ? t->next_try_mono : 0;
    model_finish(&w->model, i, &end);
    if (m->n_counted > n_counted)
        check_pause(w, i);
}

static void finish_somehow(struct world *w, int i)
{
    static const enum future_reason reasons[] = {REASON_NONE,           REASON_NONE,
                                                 REASON_NONE,           REASON_FUNCTION_ERROR,
                                                 REASON_FUNCTION_ERROR, REASON_CRASHED};

    finish(w, i, reasons[world_random(w, ARRAY_LEN(reasons))]);
}

static void event_finish(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        finish_somehow(w, i);
}

/* Give one lease up: unrun where it has not started, else as lost. */
void workers_give_up(struct world *w, int i)
{
    int is_started = w->model.futures[i].at == AT_RUNNING;
    struct lease *lease = lease_of(w, i);
    enum model_loss why = is_started ? (enum model_loss)world_random(w, LOSS_UNSTARTED) : LOSS_OF_WORKER;
    int failed, r = 0;

    world_says(w, "worker %d %s %d", w->model.futures[i].worker, is_started ? "is lost with" : "gives back",
               i);
    world_fail(w);
    if (!is_started && world_random(w, 2))
        engine_release(w->e, lease);
    else if (why == LOSS_OF_WORKER)
        r = engine_lose(w->e, lease);
    else if (why == LOSS_BY_END)
        r = engine_lose_by_end(w->e, lease);
    else
        r = engine_lose_beside(w->e, lease, why == LOSS_BY_KILL);
    failed = world_failed(w);
    ASSERT(r == 0 || (r == -ENOMEM && failed));
    if (r != 0)
        return;
    if (is_started)
        model_lose(&w->model, i, why);
    else
        model_release(&w->model, i, !failed || world_future(w, i)->armed == ARMED_NOT);
}

static void event_give_up(struct world *w)
{
    int i = any_leased(w);

    if (i >= 0)
        workers_give_up(w, i);
}

static int is_told(const struct model_future *f)
{
    return model_is_leased(f) && f->stop != STOP_NOT;
}

/* A worker does as it was told; when the grace is over it is killed. */
static void event_obey(struct world *w)
{
    int i = world_any(w, is_told);

    if (i < 0)
        return;
    if (w->model.futures[i].at == AT_RESERVED)
        workers_give_up(w, i);
    else
        finish(w, i,
               w->model.futures[i].kill_at <= w->model.mono || world_random(w, 2) ? REASON_CRASHED
                                                                                  : REASON_CANCELLED);
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
        finish(w, i, REASON_NONE);
}

/* Whatever is reserved or running is finished, and all that is ready is taken. */
void workers_work_all(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (model_is_leased(&w->model.futures[i]))
            finish_somehow(w, i);
    workers_new(w, UINT32_MAX);
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            claim(w, k, 32);
}

const struct world_event workers_events[] = {
        {"worker", event_worker, 0, 1, 0},
        {"claim", event_claim, 0, 1, 1},
        {"start", event_start, 0, 1, 0},
        {"tell", event_tell, 0, 1, 0},
        {"finish", event_finish, 0, 1, 1},
        {"obey", event_obey, 0, 1, 1},
        {"give up", event_give_up, 0, 1, 0},
        {"stale", event_stale, 0, 1, 0},
        {"worker lost", event_worker_lost, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
