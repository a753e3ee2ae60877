// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include "base/mem.h"
#include "daemon/loader.h"

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
    printf("%6" PRIu64 " %14.6f ", w->n_events, (double)w->machine.mono / (double)NS_PER_S);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void world_fail(struct world *w)
{
    w->is_failing = !w->is_calm && world_random(w, 40) == 0;
    mem_fail_at(w->is_failing ? 1 + world_random(w, 10) : 0);
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

int world_any(struct world *w, int (*is)(const struct model_future *f))
{
    int some[MODEL_FUTURES], n = 0;

    for (int i = 0; i < w->model.n_futures; i++)
        if (is(&w->model.futures[i]))
            some[n++] = i;
    return n ? some[world_random(w, (uint64_t)n)] : -1;
}

static int is_here(const struct model_future *f)
{
    return model_is_here(f);
}

int world_any_here(struct world *w)
{
    return world_any(w, is_here);
}

int world_refuses(const struct world *w, const struct model_future *m, int is_new)
{
    if (w->refusal == PERSIST_ACCEPTS || m->durability != DURABILITY_DURABLE)
        return 0;
    return is_new || w->refusal == PERSIST_STALLED || w->refusal == PERSIST_BROKEN;
}

struct span world_group(int group)
{
    static const char *const names[WORLD_GROUPS] = {"red", "green", "blue", "g"};

    return group < 0 ? (struct span){0} : span_of_string(names[group]);
}

struct span world_function_name(int k, char name[32])
{
    snprintf(name, 32, "function-%d", k);
    return span_of_string(name);
}

struct span world_key(int key)
{
    static char names[WORLD_KEYS + 1][8];

    snprintf(names[key], sizeof names[key], "k%d", key);
    return key ? span_of_string(names[key]) : (struct span){0};
}

struct span world_request(uint32_t task, char to[static WORLD_REQUEST_BYTES])
{
    if (task % 2)
        return (struct span){0};
    snprintf(to, WORLD_REQUEST_BYTES, "r%u", task);
    return span_of_string(to);
}

struct future *world_find(const struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];

    return engine_find(w->e, w->scopes[m->scope], &m->id);
}

struct future *world_future(const struct world *w, int i)
{
    struct future *f = world_find(w, i);

    ASSERT(f);
    return f;
}

void world_note(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].is_unnoted && w->model.futures[i].durability == DURABILITY_DURABLE) {
            w->is_fact[i] = 1;
            w->commit_seq[i] = w->last_seq + 1;
            w->model.futures[i].is_unnoted = 0;
        }
}

void world_shows(struct world *w, int i)
{
    world_note(w);
    shown_future(w, i);
}

/* --- turns */

/* Whether the change of future @i is in the commit that is made now. */
static int is_in_commit(const struct world *w, int i)
{
    const struct model *m = &w->model;

    return w->is_fact[i] && (m->futures[i].is_now || m->is_all || m->lazy_by <= w->machine.mono);
}

/* What was said to be urgent is a commit, and nothing else is. */
static void check_commit(struct world *w, const struct effects *effects, int may_wait)
{
    size_t n = 0, n_forgotten = 0;

    if (!effects->is_commit) {
        ASSERT(effects->n_facts == 0 && effects->n_forgotten == 0 && effects->commit_seq == w->last_seq);
        ASSERT(!w->model.is_urgent || may_wait); /* without memory to hand them out they come next time */
        return;
    }
    for (int i = 0; i < w->model.n_futures; i++) {
        n += is_in_commit(w, i) != 0;
        n_forgotten += w->must_forget[i];
    }
    ASSERT(w->model.is_urgent || effects->key_ceiling);
    ASSERT(effects->n_facts == n && effects->commit_seq == w->last_seq + 1);
    ASSERT(!w->has_store || effects->n_forgotten == n_forgotten);
    for (size_t k = 0; k < n; k++) {
        int i = model_find(&w->model, &effects->facts[k]->id);

        ASSERT(i >= 0 && is_in_commit(w, i) && effects->facts[k]->commit_seq == effects->commit_seq);
    }
    if (effects->key_ceiling)
        ASSERT(w->has_store && !w->ceiling_seq && effects->key_ceiling > w->asked_ceiling);
}

/* It has been handed over, or put off and is to come with the next one in any case. */
static void note_commit(struct world *w, const struct effects *effects, int is_taken)
{
    struct model *m = &w->model;
    int n_later = 0;

    for (int i = 0; i < m->n_futures; i++) {
        int is_in = is_in_commit(w, i);

        n_later += w->is_fact[i] && !is_in;
        m->futures[i].is_now = is_in && !is_taken;
        if (is_taken && (is_in || w->must_forget[i]))
            model_commit(m, i, effects->commit_seq);
        if (is_taken && w->is_fact[i] && !is_in)
            w->commit_seq[i] = effects->commit_seq + 1;
        if (is_taken)
            w->must_forget[i] = 0;
        if (is_taken && is_in)
            w->is_fact[i] = 0;
    }
    if (n_later == 0)
        m->lazy_by = m->commit_by = m->told_by = CLOCK_NEVER;
    m->is_all = 0;
    m->is_urgent = !is_taken;
    if (!is_taken)
        return;
    w->last_seq = effects->commit_seq;
    model_commit_functions(m, effects->commit_seq);
    if (effects->key_ceiling) {
        w->asked_ceiling = effects->key_ceiling;
        w->ceiling_seq = effects->commit_seq;
    }
}

/* How far the engine came with what was to do; or, as it had memory enough, that it did it all. */
static int has_come(const void *arg, int i, int what)
{
    const struct world *w = arg;
    const struct future *f = world_future(w, i);

    if (what == MODEL_ABANDONED)
        return f->rare->cancel_requested != NULL;
    if (what == MODEL_DUE)
        return !f->rare->timing->wall.place || f->rare->timing->wall.key > w->model.wall;
    return f->rare->depend->at[what - MODEL_DEPEND].state != 0;
}

static int comes(const void *arg, int i, int what)
{
    return 1;
}

struct effects *world_commit(struct world *w)
{
    struct effects *effects;
    int failed, r = 0;

    w->model.is_urgent |= w->model.commit_by <= w->machine.mono || w->model.told_by <= w->machine.mono;
    world_fail(w);
    effects = engine_end(w->e);
    failed = world_failed(w);
    model_depend(&w->model, w->commit_seq, w->durable_seq, failed ? has_come : comes, w);
    world_note(w);
    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].is_changed && model_is_here(&w->model.futures[i]))
            check_revision(&w->model.futures[i], world_future(w, i));
    world_says(w, effects->is_commit ? "turn: %zu facts, commit %" PRIu64 : "turn", effects->n_facts,
               effects->commit_seq);
    check_commit(w, effects, failed);
    if (!effects->is_commit)
        return effects;
    world_fail(w);
    if (w->has_store)
        r = persist_commit(w->persist, effects);
    failed = world_failed(w);
    ASSERT(r == 0 || (r == -ENOMEM && failed));
    note_commit(w, effects, r == 0);
    if (!w->has_store) {
        engine_durable(w->e, effects->commit_seq);
        world_durable(w, effects->commit_seq);
    }
    return effects;
}

void world_durable(struct world *w, uint64_t seq)
{
    world_says(w, "  durable: %" PRIu64, seq);
    ASSERT(seq >= w->durable_seq && seq <= w->last_seq);
    if (w->has_store)
        ASSERT(seq <= w->disk.content.seq); /* it is on disk before anybody says so */
    w->durable_seq = seq;
    model_durable(&w->model, w->commit_seq, seq);
    if (w->ceiling_seq && seq >= w->ceiling_seq) {
        w->key_ceiling = w->asked_ceiling;
        w->ceiling_seq = 0;
    }
    shown_release(w, seq);
}

static void drain_work(struct world *w, struct effects *effects)
{
    struct list *l;

    while ((l = list_pop_front(&effects->work)))
        w->model.must_work[LIST_ENTRY(l, struct function, work)->index] = 0;
    for (int k = 0; k < w->model.n_functions; k++)
        ASSERT(!w->model.must_work[k]);
}

static void drain_revokes(struct world *w, struct effects *effects)
{
    struct list *l;

    while ((l = list_pop_front(&effects->revokes))) {
        int i = model_find(&w->model, &LIST_ENTRY(l, struct lease, revoke)->future->id);

        ASSERT(i >= 0 && w->model.must_revoke[i]);
        w->model.must_revoke[i] = 0;
    }
    for (int i = 0; i < w->model.n_futures; i++)
        ASSERT(!w->model.must_revoke[i]);
}

/* Something that may happen now. */
static void happen_between(struct world *w)
{
    const struct world_event *event = w->events[world_random(w, w->n_kinds)];

    if (event->is_between)
        event->run(w);
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
        waiting_answer(w, n);
        if (world_random(w, 4) == 0) {
            w->is_draining = 1;
            happen_between(w);
            w->is_draining = 0;
            w->was_busy_between = 1;
            world_check(w);
        }
    }
    for (int n = 0; n < MODEL_WAITERS; n++)
        ASSERT(!w->model.waiters[n].must_answer);
}

/* The engine asks to be called no later than the next expiry, or timer, and than what waits must be committed. */
static void check_next(const struct world *w, const struct effects *effects)
{
    int64_t slack = w->was_behind ? 10 * NS_PER_MS : 0; /* until what had no memory is tried again */

    if (!effects->is_commit)
        ASSERT(effects->next <= w->model.commit_by && effects->next <= w->model.told_by);
    for (int i = 0; i < w->model.n_futures; i++) {
        const struct model_future *m = &w->model.futures[i];

        if (!model_is_here(m))
            continue;
        if (model_is_terminal(m) && !model_is_pinned(m))
            ASSERT(effects->next <= w->machine.mono + MAX(m->expire_time - w->model.wall, INT64_C(0)));
        if (model_wall_timer(m) != CLOCK_NEVER) /* also where the clock is set */
            ASSERT(effects->next <=
                   w->machine.mono + MIN(MAX(model_wall_timer(m) - w->model.wall, slack), NS_PER_S));
        ASSERT(effects->next <= MAX(model_mono_timer(m), w->machine.mono + slack));
    }
    for (int k = 0; k < w->model.n_functions; k++)
        if (model_opens_at(&w->model.functions[k]) > w->machine.mono)
            ASSERT(effects->next <= model_opens_at(&w->model.functions[k]));
}

/* @i has left memory, and is not due: only because the store has it as it is, and nobody looks at it. */
static void check_evicted(const struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];

    ASSERT(w->has_store && model_is_terminal(m) && m->durability == DURABILITY_DURABLE);
    ASSERT(!model_is_pinned(m) && !w->is_fact[i] && w->commit_seq[i] <= w->durable_seq);
}

/* Who is gone must have been due and unpinned; who is due and unpinned must be gone soon. */
static void sweep(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++) {
        struct model_future *m = &w->model.futures[i];
        int is_past = model_is_terminal(m) && m->expire_time <= w->model.wall,
            is_due = is_past && !model_is_pinned(m);

        m->was_due |= is_past;
        if (m->is_out)
            m->is_gone |= is_past;
        if (!model_is_here(m))
            continue;
        if (!world_find(w, i)) {
            if (is_due && !w->is_fact[i]) {
                world_says(w, "  future %d is forgotten", i);
                if (m->durability == DURABILITY_DURABLE && w->commit_seq[i] > w->durable_seq)
                    w->deleted_seq = MAX(w->deleted_seq, w->commit_seq[i]); /* what the disk has is too old */
                m->is_gone = 1;
            } else {
                check_evicted(w, i);
                world_says(w, "  future %d leaves memory", i);
                m->is_gone = m->was_due; /* the disk may have forgotten it before the clock was set back */
            }
            m->is_out = w->has_store && m->durability == DURABILITY_DURABLE;
        } else if (!is_due || w->is_fact[i]) {
            m->n_overdue = 0;
        } else if (!w->was_busy_between) {
            ASSERT(m->n_overdue++ < OVERDUE_MAX);
        }
    }
}

void world_begin(struct world *w)
{
    w->model.wall = w->machine.wall;
    w->model.mono = w->machine.mono;
    world_fail(w);
    engine_begin(w->e, w->machine.mono, w->machine.wall);
    w->was_behind = world_failed(w);
    sweep(w);
    model_time(&w->model, w->was_behind ? has_come : comes, w);
    model_open(&w->model);
}

void world_turn(struct world *w, int64_t pass_ns, int64_t step_ns)
{
    struct effects *effects;

    if (w->loader)
        loader_turn(w->loader);
    effects = world_commit(w);
    check_next(w, effects);
    drain_work(w, effects);
    drain_revokes(w, effects);
    w->was_busy_between = 0;
    drain_answers(w, effects);
    w->machine.mono += pass_ns;
    if (step_ns < 0 && w->n_steps_back++ >= STEPS_BACK_MAX)
        step_ns = -step_ns;
    w->machine.wall += pass_ns + step_ns;
    world_says(w, "  %.6f s pass, the clock steps by %.6f", (double)pass_ns / 1e9, (double)step_ns / 1e9);
    world_begin(w);
    searching_tick(w);
    if (w->has_store)
        machine_timers(&w->machine);
}

/* --- begin and end */

/* Each seed is another kind of day: some things happen often, some never. */
static void add_events(struct world *w, const struct world_event *table)
{
    static const uint32_t weights[] = {0, 1, 1, 3, 10};

    for (; table->name; table++) {
        uint32_t weight = weights[world_random(w, ARRAY_LEN(weights))];

        if (table->needs_store && !w->has_store)
            continue;
        ASSERT(w->n_kinds < WORLD_EVENTS);
        w->events[w->n_kinds] = table;
        w->weights[w->n_kinds++] = MAX(weight, (uint32_t)table->least);
        w->sum += MAX(weight, (uint32_t)table->least);
    }
}

static void on_release(void *arg, uint64_t seq)
{
    world_durable(arg, seq);
}

void world_init(struct world *w, uint64_t seed, int is_trace)
{
    static const uint64_t caches[] = {0, 1000, 10000, UINT64_MAX};
    static const uint32_t some[] = {0, 0, 1, 4, 8};

    memset(w, 0, sizeof *w);
    w->random = seed;
    w->is_trace = is_trace;
    model_init(&w->model);
    disk_init(&w->disk);
    disk_insert(&w->disk);
    w->disk.look_max = 1 + (uint32_t)world_random(w, world_random(w, 2) ? 10 : 200);
    machine_use(&w->machine);
    w->machine.on_release = on_release;
    w->machine.arg = w;
    w->machine.mono = 1000;
    w->machine.wall = INT64_C(1700000000) * NS_PER_S + (int64_t)world_random(w, 1000) * NS_PER_MS;
    w->has_store = w->model.has_store = world_random(w, 3) != 0;
    w->config = engine_config_default();
    w->config.epoch = 1 + (uint32_t)world_random(w, 5);
    w->config.has_store = w->has_store;
    w->config.max_finished_bytes = caches[world_random(w, ARRAY_LEN(caches))];
    w->pace = (uint32_t)world_random(w, 10);
    w->pace = MIN(w->pace, 6u) + 1;
    w->slow_thread = (uint32_t)world_random(w, 6);
    w->slow_watch = (uint32_t)world_random(w, 4);
    w->wants_times = some[world_random(w, ARRAY_LEN(some))];
    w->wants_depends = some[world_random(w, ARRAY_LEN(some))];
    w->wants_keys = some[world_random(w, ARRAY_LEN(some))];
    w->config.limits.max_waiter_edges = 200 + world_random(w, 400);
    w->config.limits.max_futures = 40 + world_random(w, 200);
    w->config.accept_unknown_functions = (int)world_random(w, 2);
    w->model.wall = w->machine.wall;
    w->model.mono = w->machine.mono;
    searching_init(w);
    boot_start(w);
    add_events(w, clients_events);
    add_events(w, times_events);
    add_events(w, limits_events);
    add_events(w, waiting_events);
    add_events(w, finding_events);
    add_events(w, searching_events);
    add_events(w, workers_events);
    add_events(w, trouble_events);
    world_check(w);
}

/* How long until the next of all that waits for a time; CLOCK_NEVER: nothing does. */
static int64_t until_next(const struct world *w)
{
    const struct model *m = &w->model;
    int64_t left = CLOCK_NEVER;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];
        wall_ns_t wall = model_is_here(f) ? model_wall_timer(f) : CLOCK_NEVER;
        mono_ns_t mono = model_is_here(f) ? model_mono_timer(f) : CLOCK_NEVER;

        left = MIN(left, wall == CLOCK_NEVER ? wall : MAX(wall - m->wall, INT64_C(0)));
        left = MIN(left, mono == CLOCK_NEVER ? mono : MAX(mono - m->mono, INT64_C(0)));
        if (model_is_here(f) && model_is_leased(f) && f->kill_at != CLOCK_NEVER)
            left = MIN(left, MAX(f->kill_at - m->mono, INT64_C(0)));
    }
    for (int k = 0; k < m->n_functions; k++)
        if (model_opens_at(&m->functions[k]) > m->mono)
            left = MIN(left, model_opens_at(&m->functions[k]) - m->mono);
    return left;
}

static int is_ended(const struct model_future *f)
{
    return model_is_here(f) && model_is_terminal(f);
}

/* How long until something that waits for its time has come: that time, or the last moment before it. 0: nothing does. */
static int64_t until_something(struct world *w)
{
    int i = world_any(w, is_ended);
    int64_t left = until_next(w);

    if (left == CLOCK_NEVER || (i >= 0 && world_random(w, 2)))
        left = i < 0 ? 0 : w->model.futures[i].expire_time - w->model.wall;
    return MAX(left - (int64_t)world_random(w, 2), INT64_C(0));
}

/* Short turns, long ones, some to the very moment, and now and then somebody sets the clock. */
static void event_turn(struct world *w)
{
    static const int64_t spans[] = {
            0, NS_PER_US, NS_PER_MS, NS_PER_S, INT64_C(60) * NS_PER_S, INT64_C(3600) * NS_PER_S, DAY};
    int64_t pass = 0, step = 0;

    if (world_random(w, 3) == 0)
        pass = (int64_t)world_random(w, (uint64_t)spans[world_random(w, w->pace)] + 1);
    else if (world_random(w, 6) == 0)
        pass = until_something(w);
    if (world_random(w, 100) == 0)
        step = (int64_t)world_random(w, 2 * (uint64_t)DAY) - DAY;
    world_turn(w, pass, step);
}

void world_step(struct world *w)
{
    uint64_t pick = world_random(w, w->sum + 8);
    uint32_t which = 0;

    w->n_events++;
    while (which < w->n_kinds && pick >= w->weights[which])
        pick -= w->weights[which++];
    if (which < w->n_kinds)
        w->events[which]->run(w);
    else
        event_turn(w);
    world_check(w);
}

static int is_open(const struct model_future *f)
{
    return model_is_here(f) && !model_is_terminal(f);
}

/* Whoever is only on disk is there. */
static void look_for_all(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].is_out && !w->model.futures[i].is_gone) {
            finding_get(w, i);
            world_turn(w, 0, 0);
            trouble_settle(w);
            world_check(w);
        }
}

void world_finish(struct world *w)
{
    int64_t left;

    world_says(w, "no more trouble");
    trouble_end(w);
    workers_new(w, UINT32_MAX);
    for (int k = 0; k < w->model.n_functions; k++)
        limits_resume(w, k);
    for (int round = 0; world_any(w, is_open) >= 0; round++) { /* every accepted task comes to its end */
        ASSERT(round < MODEL_FUTURES);
        workers_work_all(w);
        world_check(w);
        left = until_next(w);
        world_turn(w, left == CLOCK_NEVER ? NS_PER_S : left, 0);
        trouble_settle(w);
        world_check(w);
    }
    for (int n = 0; n < MODEL_WAITERS;
         n++) /* every waiter too: it has been answered, or had nothing to wait for */
        if (w->model.waiters[n].is_used) {
            const struct model_waiter *m = &w->model.waiters[n];

            if (m->mode < WAITER_EACH && m->to_come == 0)
                ASSERT(waiter_is_ready(&w->waiters[n]));
            waiting_drop(w, n);
        }
    for (int k = 0; k < WORLD_STRETCHES; k++)
        finding_drop(w, &w->stretches[k]);
    searching_drop_all(w);
    look_for_all(w);
    for (int round = 0; round == 0 || engine_stats(w->e).n_futures > 0; round++) {
        ASSERT(round < 2 * MODEL_FUTURES);
        world_turn(w, 400 * DAY, 0);
        trouble_settle(w);
        world_check(w);
    }
    boot_stop(w);
    ASSERT(!w->has_store || w->disk.content.n_rows == 0); /* and so has the disk forgotten all */
    searching_deinit(w);
    disk_deinit(&w->disk);
    model_deinit(&w->model);
}
