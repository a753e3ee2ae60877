// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DAY (INT64_C(24) * 3600 * NS_PER_S)

enum {
    STEPS_BACK_MAX = 4, /* with three lengths of retention no more lines are needed than there are */
    OVERDUE_MAX = 2,    /* turns that a future may be there after its time */
};

uint64_t world_random(struct world *w, uint64_t n)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % n;
}

void world_says(const struct world *w, const char *format, ...)
{
    va_list args;

    if (!w->is_trace)
        return;
    printf("%6" PRIu64 " %14.6f ", w->n_events, (double)w->mono / (double)NS_PER_S);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void world_fail(struct world *w)
{
    w->is_failing = world_random(w, 40) == 0;
    if (w->is_failing)
        mem_fail_at(1 + world_random(w, 10));
}

int world_failed(struct world *w)
{
    int failed = w->is_failing && !mem_fail_pending();

    mem_fail_at(0);
    w->is_failing = 0;
    if (failed)
        world_says(w, "  (an allocation failed)");
    return failed;
}

int world_done(struct world *w, int r)
{
    int failed = world_failed(w);

    ASSERT(r == 0 || (r == -ENOMEM && failed));
    return r == 0;
}

struct future *world_future(const struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];
    struct future *f = engine_find(w->e, w->scopes[m->scope], &m->id);

    ASSERT(f);
    return f;
}

/* Everything durable that the model has just changed is owed to the store. */
static void note_facts(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].is_changed && w->model.futures[i].durability == DURABILITY_DURABLE) {
            w->is_fact[i] = 1;
            w->commit_seq[i] = w->last_seq + 1;
        }
}

/* --- what the engine says, against the model */

static void check_outcome(const struct model_future *m, const struct future *f)
{
    int32_t result;

    ASSERT(!f->outcome == !model_is_terminal(m));
    if (!f->outcome)
        return;
    ASSERT(f->outcome->end_time == m->end_time && f->outcome->expire_time == m->expire_time);
    if (m->at == AT_SUCCEEDED) {
        ASSERT(f->outcome->data->len == sizeof result && !f->outcome->error);
        memcpy(&result, f->outcome->data->data, sizeof result);
        ASSERT(result == m->result);
    } else {
        ASSERT(!f->outcome->data && f->outcome->error->reason == m->reason);
    }
}

static void check_labels(const struct model_future *m, const struct future *f)
{
    int32_t label;

    ASSERT(!f->labels == (m->label < 0));
    if (!f->labels)
        return;
    ASSERT(f->labels->n == 1 && f->labels->at[0].value.len == sizeof label);
    memcpy(&label, f->labels->at[0].value.p, sizeof label);
    ASSERT(label == m->label);
}

static void check_future(struct world *w, int i)
{
    static const enum future_state states[] = {
            [AT_READY] = FUTURE_PENDING,   [AT_RESERVED] = FUTURE_PENDING,
            [AT_RUNNING] = FUTURE_RUNNING, [AT_SUCCEEDED] = FUTURE_SUCCEEDED,
            [AT_FAILED] = FUTURE_FAILED,   [AT_CANCELLED] = FUTURE_CANCELLED,
    };
    struct model_future *m = &w->model.futures[i];
    const struct future *f = world_future(w, i);
    uint32_t n_attempts = 0;

    ASSERT(f->state == states[m->at] && f->n_pins == m->n_pins && f->n_claims == m->n_claims);
    ASSERT(!f->lease == (m->at != AT_RESERVED && m->at != AT_RUNNING));
    if (f->lease)
        ASSERT(f->lease->holder == w->holders[m->worker] && f->lease->attempt == m->n_claims);
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n_attempts++;
    ASSERT(n_attempts == m->n_attempts && f->function == w->functions[m->function]);
    ASSERT((f->rare && f->rare->cancel_requested) == m->is_cancel);
    check_outcome(m, f);
    check_labels(m, f);
    if (m->is_changed)
        ASSERT(f->revision > m->revision);
    else
        ASSERT(f->revision == m->revision);
    m->revision = f->revision;
    m->is_changed = 0;
    ASSERT(f->commit_seq == w->commit_seq[i]);
}

static void check_waiter(struct world *w, int n)
{
    const struct model_waiter *m = &w->model.waiters[n];
    const struct waiter *waiter = &w->waiters[n];
    uint32_t pending, done, failed;

    model_ends(&w->model, m, &pending, &done, &failed);
    ASSERT(waiter->n_pending == pending && waiter->n_done == done && waiter->n_failed == failed);
    ASSERT(!waiter_is_ready(waiter) == !model_is_ready(&w->model, m));
    ASSERT(list_is_linked(&waiter->answer) == m->must_answer);
}

void world_check(struct world *w)
{
    uint64_t n_futures = 0, n_edges = 0, n_promised_edges = 0;
    struct engine_stats stats;

    note_facts(w);
    engine_check(w->e);
    for (int i = 0; i < w->model.n_futures; i++)
        if (!w->model.futures[i].is_gone) {
            check_future(w, i);
            n_futures++;
        }
    for (int n = 0; n < MODEL_WAITERS; n++) {
        const struct model_waiter *m = &w->model.waiters[n];

        if (!m->is_used)
            continue;
        check_waiter(w, n);
        n_edges += (uint64_t)model_n_edges(m);
        n_promised_edges += m->to_come;
    }
    stats = engine_stats(w->e);
    ASSERT(stats.n_futures == n_futures && stats.n_edges == n_edges + n_promised_edges);
}

/* --- turns */

static void drain_facts(struct world *w, const struct effects *effects, int may_wait)
{
    size_t n = 0;

    for (int i = 0; i < w->model.n_futures; i++)
        n += w->is_fact[i];
    if (!effects->is_commit) {
        ASSERT(effects->n_facts == 0 && effects->commit_seq == w->last_seq);
        ASSERT(n == 0 || may_wait); /* without memory to hand them out they come next time */
        return;
    }
    ASSERT(effects->n_facts == n && effects->commit_seq == ++w->last_seq);
    for (size_t k = 0; k < n; k++) {
        int i = model_find(&w->model, &effects->facts[k]->id);

        ASSERT(i >= 0 && w->is_fact[i] && effects->facts[k]->commit_seq == effects->commit_seq);
        w->is_fact[i] = 0;
    }
}

static void drain_work(struct world *w, struct effects *effects)
{
    struct list *l;

    while ((l = list_pop_front(&effects->work)))
        w->must_work[LIST_ENTRY(l, struct function, work)->index] = 0;
    for (int k = 0; k < w->model.n_functions; k++)
        ASSERT(!w->must_work[k]);
}

static void drain_revokes(struct world *w, struct effects *effects)
{
    struct list *l;

    while ((l = list_pop_front(&effects->revokes))) {
        int i = model_find(&w->model, &LIST_ENTRY(l, struct lease, revoke)->future->id);

        ASSERT(i >= 0 && w->must_revoke[i]);
        w->must_revoke[i] = 0;
    }
    for (int i = 0; i < w->model.n_futures; i++)
        ASSERT(!w->must_revoke[i]);
}

/* Clients take what is ready as fast as they happen to be, and some do other things meanwhile. */
static void drain_answers(struct world *w, struct effects *effects)
{
    struct list *l;

    while ((l = list_pop_front(&effects->answers))) {
        int n = (int)(LIST_ENTRY(l, struct waiter, answer) - w->waiters);

        ASSERT(w->model.waiters[n].is_used && w->model.waiters[n].must_answer);
        w->model.waiters[n].must_answer = 0;
        world_says(w, "  answer to waiter %d", n);
        if (world_random(w, 4) == 0) {
            w->is_draining = 1;
            actors_event(w, (uint32_t)world_random(w, ACTOR_EVENTS));
            w->is_draining = 0;
            w->was_busy_between = 1;
            world_check(w);
        }
    }
    for (int n = 0; n < MODEL_WAITERS; n++)
        ASSERT(!w->model.waiters[n].must_answer);
}

/* The engine asks to be called no later than the next expiry. */
static void check_next(const struct world *w, const struct effects *effects)
{
    for (int i = 0; i < w->model.n_futures; i++) {
        const struct model_future *m = &w->model.futures[i];

        if (m->is_gone || !model_is_terminal(m) || m->n_pins > 0)
            continue;
        ASSERT(effects->next <= MAX(w->mono, w->mono + (m->expire_time - w->model.wall)));
    }
}

/* Who is gone must have been due and unpinned; who is due and unpinned must be gone soon. */
static void sweep(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++) {
        struct model_future *m = &w->model.futures[i];
        int is_due = model_is_terminal(m) && m->expire_time <= w->model.wall && m->n_pins == 0;

        if (m->is_gone)
            continue;
        if (!engine_find(w->e, w->scopes[m->scope], &m->id)) {
            ASSERT(is_due && !w->is_fact[i]);
            world_says(w, "  future %d is forgotten", i);
            m->is_gone = 1;
        } else if (!is_due) {
            m->n_overdue = 0;
        } else if (!w->was_busy_between) {
            ASSERT(m->n_overdue++ < OVERDUE_MAX);
        }
    }
}

void world_turn(struct world *w, int64_t pass_ns, int64_t step_ns)
{
    struct effects *effects;
    int failed;

    world_fail(w);
    effects = engine_end(w->e);
    failed = world_failed(w);
    world_says(w, "turn: %zu facts, commit %" PRIu64, effects->n_facts, effects->commit_seq);
    drain_facts(w, effects, failed);
    check_next(w, effects);
    drain_work(w, effects);
    drain_revokes(w, effects);
    w->was_busy_between = 0;
    drain_answers(w, effects);
    if (w->last_seq > 0)
        engine_durable(w->e, world_random(w, w->last_seq) + 1);
    w->mono += pass_ns;
    if (step_ns < 0 && w->n_steps_back++ >= STEPS_BACK_MAX)
        step_ns = -step_ns;
    w->model.wall += pass_ns + step_ns;
    world_says(w, "  %.6f s pass, the clock steps by %.6f", (double)pass_ns / 1e9, (double)step_ns / 1e9);
    engine_begin(w->e, w->mono, w->model.wall);
    sweep(w);
}

/* --- begin and end */

void world_init(struct world *w, uint64_t seed, int is_trace)
{
    static const uint32_t weights[] = {0, 1, 1, 3, 10};

    memset(w, 0, sizeof *w);
    w->random = seed;
    w->is_trace = is_trace;
    model_init(&w->model);
    w->mono = 1000;
    w->model.wall = INT64_C(1700000000) * NS_PER_S + (int64_t)world_random(w, 1000) * NS_PER_MS;
    w->config = engine_config_default();
    w->config.seed = (struct hash_seed){world_random(w, UINT64_MAX), world_random(w, UINT64_MAX)};
    w->config.random = world_random(w, UINT64_MAX);
    w->config.epoch = 1 + (uint32_t)world_random(w, 5);
    w->config.limits.max_waiter_edges = 200 + world_random(w, 400);
    w->config.limits.max_futures = 40 + world_random(w, 200);
    w->config.accept_unknown_functions = (int)world_random(w, 2);
    ASSERT(engine_new(&w->e, &w->config) == 0);
    engine_begin(w->e, w->mono, w->model.wall);
    for (int i = 0; i < WORLD_SCOPES; i++) {
        w->scopes[i] = engine_scope(w->e, i / 2 ? SPAN_LIT("prod") : SPAN_LIT(""),
                                    i % 2 ? SPAN_LIT("bob") : SPAN_LIT("alice"));
        ASSERT(w->scopes[i]);
    }
    for (size_t k = 0; k < ARRAY_LEN(w->weights); k++) /* each seed is another kind of day */
        w->weights[k] = weights[world_random(w, ARRAY_LEN(weights))];
    w->weights[0] = MAX(w->weights[0], 2u); /* but nothing happens without submissions */
    world_check(w);
}

/* Short turns, long ones, and now and then somebody sets the clock. */
static void event_turn(struct world *w)
{
    static const int64_t spans[] = {
            0, NS_PER_US, NS_PER_MS, NS_PER_S, INT64_C(60) * NS_PER_S, INT64_C(3600) * NS_PER_S, DAY};
    int64_t pass = 0, step = 0;

    if (world_random(w, 3) == 0)
        pass = (int64_t)world_random(w, (uint64_t)spans[world_random(w, ARRAY_LEN(spans))] + 1);
    if (world_random(w, 100) == 0)
        step = (int64_t)world_random(w, 2 * (uint64_t)DAY) - DAY;
    world_turn(w, pass, step);
}

void world_step(struct world *w)
{
    uint64_t sum = 8, pick;
    uint32_t which = 0;

    w->n_events++;
    for (size_t k = 0; k < ACTOR_EVENTS; k++)
        sum += w->weights[k];
    pick = world_random(w, sum);
    while (which < ACTOR_EVENTS && pick >= w->weights[which])
        pick -= w->weights[which++];
    if (which < ACTOR_EVENTS)
        actors_event(w, which);
    else
        event_turn(w);
    world_check(w);
}

static int is_anything_open(const struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (!w->model.futures[i].is_gone && !model_is_terminal(&w->model.futures[i]))
            return 1;
    return 0;
}

void world_finish(struct world *w)
{
    world_says(w, "no more trouble");
    actors_worker_new(w, UINT32_MAX);
    for (int round = 0; is_anything_open(w); round++) { /* every accepted task comes to its end */
        ASSERT(round < MODEL_FUTURES);
        actors_work_all(w);
        world_check(w);
        world_turn(w, NS_PER_S, 0);
        world_check(w);
    }
    for (int n = 0; n < MODEL_WAITERS;
         n++) /* every waiter too: it has been answered, or had nothing to wait for */
        if (w->model.waiters[n].is_used) {
            const struct model_waiter *m = &w->model.waiters[n];

            if (m->mode < WAITER_EACH && m->to_come == 0)
                ASSERT(waiter_is_ready(&w->waiters[n]));
            actors_drop_waiter(w, n);
        }
    for (int round = 0; engine_stats(w->e).n_futures > 0; round++) {
        ASSERT(round < 2 * MODEL_FUTURES);
        world_turn(w, 400 * DAY, 0);
        world_check(w);
    }
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            engine_holder_free(w->e, w->holders[k]);
    engine_check(w->e);
    engine_free(w->e);
}
