// SPDX-License-Identifier: Apache-2.0
/* The engine over a real store, with a disk that fails on demand: what is said to be durable is there at the next start. */
#include "base/hash.h"
#include "daemon/loader.h"
#include "daemon/net/loop.h"
#include "daemon/persist.h"
#include "engine/slot.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/testing.h"

#include <ftw.h>

#include <sys/stat.h>

struct fixture {
    char parent[64], directory[80];
    struct loop *loop;
    struct engine *e;
    struct persist *persist;
    struct scope *scope;
    struct effects *effects;
    mono_ns_t clock; /* of the loop, far ahead of the real one when a test wants a second to pass */
    uint64_t reserve_bytes;
    enum persist_refusal refusal;
    int n_refusals, n_broken;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static mono_ns_t fake_clock(void *arg)
{
    return ((struct fixture *)arg)->clock;
}

static void on_refusal(void *arg, enum persist_refusal why)
{
    struct fixture *x = arg;

    x->refusal = why;
    x->n_refusals++;
}

static void on_broken(void *arg, int is_corrupt)
{
    struct fixture *x = arg;

    assert_false(is_corrupt);
    x->n_broken++;
}

static int try_start(struct fixture *x)
{
    const struct persist_config config = {.directory = x->directory,
                                          .vfs = FAULT_VFS,
                                          .reserve_bytes = x->reserve_bytes,
                                          .loop = x->loop,
                                          .on_refusal = on_refusal,
                                          .on_broken = on_broken,
                                          .arg = x};
    struct engine_config engine = engine_config_default();
    int r = persist_open(&x->persist, &config);
    int is_complete = 0;

    if (r < 0)
        return r;
    engine.seed = (struct hash_seed){test_seed(), 3};
    engine.random = 7;
    engine.has_store = 1;
    engine.epoch = persist_meta(x->persist)->epoch;
    engine.last_key = persist_meta(x->persist)->k_ceiling;
    engine.max_finished_bytes = UINT64_MAX;
    assert_int_equal(engine_new(&x->e, &engine), 0);
    engine_begin(x->e, clock_mono(), clock_wall());
    assert_int_equal(persist_begin(x->persist, x->e), 0);
    while (!is_complete)
        assert_int_equal(persist_recover(x->persist, &is_complete), 0);
    engine_check(x->e);
    x->scope = engine_scope(x->e, (struct span){0}, (struct span){0});
    assert_non_null(x->scope);
    assert_non_null(engine_function_add(x->e, SPAN_LIT("echo"), SPAN_LIT("says it again")));
    return 0;
}

static void setup(struct fixture *x)
{
    const struct loop_hooks hooks = {.clock = fake_clock, .arg = x};

    *x = (struct fixture){.clock = NS_PER_S};
    fault_reset();
    snprintf(x->parent, sizeof x->parent, "%s/futured-persist-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(x->parent));
    snprintf(x->directory, sizeof x->directory, "%s/state", x->parent);
    assert_int_equal(loop_new(&x->loop, &hooks), 0);
    assert_int_equal(try_start(x), 0);
}

static void stop(struct fixture *x)
{
    x->persist = persist_close(x->persist);
    x->e = engine_free(x->e);
}

static void restart(struct fixture *x)
{
    stop(x);
    assert_int_equal(try_start(x), 0);
}

static void teardown(struct fixture *x)
{
    stop(x);
    loop_free(x->loop);
    nftw(x->parent, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct future *submit_unseen(struct fixture *x, const char *group)
{
    struct engine_submit in = {.scope = x->scope,
                               .function = SPAN_LIT("echo"),
                               .group = span_of_string(group),
                               .task = bytes_dup("task", 4),
                               .durability = DURABILITY_DURABLE,
                               .on_lost = ON_LOST_RETRY,
                               .retention_ns = -1};
    struct future *f = NULL;

    assert_non_null(in.task);
    assert_int_equal(engine_submit(x->e, &in, &f), 0);
    bytes_unref(in.task);
    return f;
}

/* And somebody is about to be shown it. */
static struct future *submit(struct fixture *x, const char *group)
{
    struct future *f = submit_unseen(x, group);

    engine_shown(x->e, f);
    return f;
}

/* The turn's commit; its number. */
static uint64_t commit(struct fixture *x)
{
    x->effects = engine_end(x->e);
    while (list_pop_front(&x->effects->work))
        ;
    assert_int_equal(persist_commit(x->persist, x->effects), 0);
    engine_begin(x->e, clock_mono(), clock_wall());
    return x->effects->commit_seq;
}

static void turn(struct fixture *x)
{
    assert_int_equal(loop_turn(x->loop, LOOP_WAIT), 0);
}

static void wait_durable(struct fixture *x, uint64_t seq)
{
    while (engine_durable_seq(x->e) < seq)
        turn(x);
}

static void finish(struct fixture *x, struct holder *holder)
{
    struct finish finish = {.data = bytes_dup("result", 6), .usage = {-1, -1, -1, -1}};
    struct lease *lease;

    assert_int_equal(engine_claim(x->e, holder, CLOCK_NEVER, 1, &lease), 1);
    assert_int_equal(engine_start(x->e, lease, 0), 0);
    assert_int_equal(engine_finish(x->e, lease, &finish), 0);
}

static struct holder *worker(struct fixture *x)
{
    struct holder *holder;

    assert_int_equal(engine_holder_new(x->e, SPAN_LIT("w"), NULL, &holder), 0);
    assert_int_equal(engine_holder_serve(x->e, holder, engine_function_find(x->e, SPAN_LIT("echo"))), 0);
    return holder;
}

/* Accepted, finished, annotated and deleted, each in a commit of its own: only what is alive comes back. */
static void test_lives(void **state)
{
    struct fixture x;
    struct future *f[3];
    struct holder *holder;
    struct id ids[3];

    setup(&x);
    holder = worker(&x);
    for (int i = 0; i < 3; i++) {
        f[i] = submit(&x, i == 2 ? "g" : "");
        ids[i] = f[i]->id;
    }
    commit(&x);
    finish(&x, holder);
    finish(&x, holder);
    commit(&x);
    assert_int_equal(engine_annotate(x.e, f[0], NULL, NULL), 0);
    assert_int_equal(engine_delete(x.e, f[1]), 0);
    wait_durable(&x, commit(&x));
    engine_holder_free(x.e, holder);
    restart(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 1);
    assert_int_equal(persist_n_recovered(x.persist), 1);
    f[2] = engine_find_any(x.e, &ids[2]);
    assert_non_null(f[2]);
    assert_true(span_eq(future_group(f[2]), SPAN_LIT("g")));
    assert_true(span_eq(SPAN_OF_BYTES(f[2]->task), SPAN_LIT("task")));
    teardown(&x);
}

/* Finished in the turn in which it was accepted: one record, and nothing else of it. */
static void test_finished_at_once(void **state)
{
    struct fixture x;
    struct store_counts counts;
    struct store_view *view;
    struct holder *holder;
    uint64_t seq;

    setup(&x);
    holder = worker(&x);
    wait_durable(&x, commit(&x)); /* keys */
    submit_unseen(&x, "");
    seq = commit(&x);
    assert_false(engine_is_urgent(x.e));
    assert_int_equal(x.effects->n_facts, 0);
    finish(&x, holder);
    assert_int_equal(commit(&x), seq + 1);
    assert_int_equal(x.effects->n_facts, 1);
    wait_durable(&x, seq + 1);
    assert_int_equal(store_view_open(persist_store(x.persist), &view), 0);
    assert_int_equal(store_counts(view, &counts), 0);
    assert_int_equal(counts.n_live, 0);
    assert_int_equal(counts.n_by_state[FUTURE_SUCCEEDED], 1);
    store_view_close(view);
    engine_holder_free(x.e, holder);
    teardown(&x);
}

/* What is not durable is not told to be. */
static void test_durable_when_synced(void **state)
{
    struct fixture x;
    uint64_t seq;

    setup(&x);
    wait_durable(&x, commit(&x));
    submit(&x, "");
    seq = commit(&x);
    assert_true(engine_durable_seq(x.e) < seq); /* only a turn of the loop brings it */
    wait_durable(&x, seq);
    assert_int_equal(engine_durable_seq(x.e), seq);
    teardown(&x);
}

/* Each start has a higher epoch, keys above all of the one before, and knows the functions of it. */
static void test_starts(void **state)
{
    uint64_t epoch = 0, key = 0;
    struct fixture x;

    setup(&x);
    assert_non_null(engine_function_add(x.e, SPAN_LIT("other"), SPAN_LIT("its doc")));
    for (int i = 0; i < 3; i++) {
        const struct function *fn = engine_function_find(x.e, SPAN_LIT("other"));
        uint64_t now = id_key(&submit(&x, "")->id);

        assert_non_null(fn);
        assert_true(span_eq(SPAN_OF_BYTES(fn->doc), SPAN_LIT("its doc")));
        assert_true(now > key);
        assert_true(engine_epoch(x.e) > epoch);
        key = now;
        epoch = engine_epoch(x.e);
        wait_durable(&x, commit(&x));
        restart(&x);
    }
    teardown(&x);
}

/* Pauses and limits are there at the next start, with who, when and why; and gone when they were taken back. Keys hold a task
 * back there as here. */
static void test_settings(void **state)
{
    const struct function_limits limits = {.max_running = 4, .max_pending = UINT64_C(1) << 40, .rate = 0.1};
    struct engine_submit in = {.function = SPAN_LIT("echo"),
                               .durability = DURABILITY_DURABLE,
                               .on_lost = ON_LOST_RETRY,
                               .retention_ns = -1,
                               .concurrency_key = SPAN_LIT("k"),
                               .fairness_key = SPAN_LIT("fair")};
    const struct gate *g;
    struct fixture x;
    struct future *f;
    struct id id;

    setup(&x);
    assert_int_equal(engine_pause(x.e, engine_function_find(x.e, SPAN_LIT("echo")), x.scope, SPAN_LIT("so")),
                     0);
    assert_int_equal(engine_limit(x.e, engine_function_find(x.e, SPAN_LIT("echo")), &limits, 7, x.scope,
                                  SPAN_LIT("because")),
                     0);
    in.scope = x.scope;
    in.task = bytes_dup("task", 4);
    assert_int_equal(engine_submit(x.e, &in, &f), 0);
    id = f->id;
    engine_shown(x.e, f);
    wait_durable(&x, commit(&x));
    assert_true(list_is_empty(&x.effects->settings));
    restart(&x);
    g = &engine_function_find(x.e, SPAN_LIT("echo"))->gate;
    assert_int_equal(g->closed, GATE_PAUSED);
    assert_true(span_eq(SPAN_OF_BYTES(g->paused->why), SPAN_LIT("so")));
    assert_true(g->paused->time > 0);
    assert_int_equal(g->which, 7);
    assert_int_equal(g->limits.max_running, limits.max_running);
    assert_true(g->limits.max_pending == limits.max_pending && g->limits.rate == limits.rate);
    assert_true(span_eq(SPAN_OF_BYTES(g->limits_set->why), SPAN_LIT("because")));
    f = engine_find(x.e, x.scope, &id);
    assert_non_null(f);
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->fairness_key), in.fairness_key));
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->slot->key), in.concurrency_key));
    engine_resume(x.e, engine_function_find(x.e, SPAN_LIT("echo")));
    assert_int_equal(engine_limit(x.e, engine_function_find(x.e, SPAN_LIT("echo")), &limits, FUNCTION_RATE,
                                  x.scope, SPAN_LIT("")),
                     0);
    wait_durable(&x, commit(&x));
    restart(&x);
    g = &engine_function_find(x.e, SPAN_LIT("echo"))->gate;
    assert_null(g->paused);
    assert_int_equal(g->which, 7);
    assert_int_equal(
            engine_limit(x.e, engine_function_find(x.e, SPAN_LIT("echo")), &limits, 0, x.scope, SPAN_LIT("")),
            0);
    wait_durable(&x, commit(&x));
    restart(&x);
    g = &engine_function_find(x.e, SPAN_LIT("echo"))->gate;
    assert_null(g->limits_set);
    assert_int_equal(g->limits.max_running, 0);
    bytes_unref(in.task);
    teardown(&x);
}

/* What workers said of options is there at the next start, until they say otherwise. */
static void test_said_options(void **state)
{
    const struct span types[] = {SPAN_LIT("A")};
    const struct retry_policy retry = {.max_attempts = 3,
                                       .initial_backoff_ns = 1,
                                       .max_backoff_ns = 2,
                                       .multiplier = 1.5,
                                       .jitter = 0,
                                       .types = types,
                                       .n_types = 1};
    struct function_defaults said = FUNCTION_DEFAULTS_NONE;
    const struct function_defaults *d;
    struct fixture x;

    said.retry = &retry;
    said.priority = -7;
    said.durability = DURABILITY_DURABLE;
    said.on_lost = ON_LOST_FAIL;
    said.attempt_timeout_ns = 0;
    said.retention_ns = NS_PER_S + 1;
    setup(&x);
    assert_int_equal(engine_defaults(x.e, engine_function_find(x.e, SPAN_LIT("echo")), DEFAULTS_SAID, &said),
                     0);
    wait_durable(&x, commit(&x));
    restart(&x);
    d = engine_function_find(x.e, SPAN_LIT("echo"))->defaults.all;
    assert_non_null(d);
    assert_int_equal(d->priority, -7);
    assert_int_equal(d->durability, DURABILITY_DURABLE);
    assert_int_equal(d->on_lost, ON_LOST_FAIL);
    assert_true(d->attempt_timeout_ns == 0 && d->retention_ns == said.retention_ns);
    assert_int_equal(d->retry->max_attempts, 3);
    assert_true(d->retry->initial_backoff_ns == 1 && d->retry->max_backoff_ns == 2);
    assert_true(d->retry->multiplier == 1.5 && d->retry->jitter == 0);
    assert_true(d->retry->n_types == 1 && span_eq(d->retry->types[0], types[0]));
    said = FUNCTION_DEFAULTS_NONE;
    assert_int_equal(engine_defaults(x.e, engine_function_find(x.e, SPAN_LIT("echo")), DEFAULTS_SAID, &said),
                     0);
    wait_durable(&x, commit(&x));
    restart(&x);
    assert_null(engine_function_find(x.e, SPAN_LIT("echo"))->defaults.all);
    teardown(&x);
}

/* Until the store has swept once since its start. */
static void wait_swept(struct fixture *x)
{
    while (persist_status(x->persist).committer.n_sweeps < 1)
        assert_int_equal(loop_turn(x->loop, LOOP_NO_WAIT), 0);
}

static int is_on_disk(struct fixture *x, const struct id *id)
{
    struct store_view *view;
    struct store_item *item = NULL;
    int r;

    assert_int_equal(store_view_open(persist_store(x->persist), &view), 0);
    r = store_get(view, id, 0, &item);
    store_item_free(item);
    store_view_close(view);
    assert_true(r == 0 || r == STORE_E_NOT_FOUND);
    return r == 0;
}

/* What is depended on outlives its retention, also on the disk and over restarts; then it is forgotten. */
static void test_pinned_over_restarts(void **state)
{
    struct engine_submit in = {.function = SPAN_LIT("echo"),
                               .durability = DURABILITY_DURABLE,
                               .on_lost = ON_LOST_RETRY,
                               .retention_ns = 0};
    struct future *up, *dependent, *alone;
    struct id ids[3];
    struct holder *holder;
    struct fixture x;

    setup(&x);
    wait_swept(&x);
    holder = worker(&x);
    engine_begin(x.e, clock_mono(), clock_wall() - 3 * 3600 * NS_PER_S); /* their hour is over */
    in.scope = x.scope;
    in.task = bytes_dup("task", 4);
    assert_int_equal(engine_submit(x.e, &in, &up), 0);
    assert_int_equal(engine_submit(x.e, &in, &alone), 0);
    in.upstreams = &up;
    in.n_upstreams = 1;
    in.depend_policy = DEPEND_ON_SUCCESS;
    in.passes_results = 1;
    assert_int_equal(engine_pause(x.e, engine_function_find(x.e, SPAN_LIT("echo")), x.scope, SPAN_LIT("")),
                     0);
    assert_int_equal(engine_submit(x.e, &in, &dependent), 0);
    engine_shown(x.e, dependent); /* so it must be durable */
    engine_resume(x.e, engine_function_find(x.e, SPAN_LIT("echo")));
    ids[0] = up->id;
    ids[1] = alone->id;
    ids[2] = dependent->id;
    finish(&x, holder);
    finish(&x, holder);
    wait_durable(&x, commit(&x));
    engine_holder_free(x.e, holder);
    for (int i = 0; i < 2; i++) {
        restart(&x);
        wait_swept(&x);
        assert_false(is_on_disk(&x, &ids[1]));
        assert_true(is_on_disk(&x, &ids[0]));
        wait_durable(&x, commit(&x));
        up = engine_find_any(x.e, &ids[0]);
        assert_non_null(up);
        assert_int_equal(engine_delete(x.e, up), ENGINE_E_PINNED);
    }
    holder = worker(&x);
    finish(&x, holder);
    for (int i = 0; i < 2; i++) /* nobody needs it any more */
        wait_durable(&x, commit(&x));
    assert_null(engine_find_any(x.e, &ids[0]));
    engine_holder_free(x.e, holder);
    bytes_unref(in.task);
    teardown(&x);
}

/* The disk is full: nothing is lost, nothing is said to be durable, and it goes on by itself when there is room. */
static void test_stalled(void **state)
{
    const struct fault_plan full = {
            .what = FAULT_WRITE, .nth = 1, .n_times = UINT64_MAX, .system_errno = ENOSPC};
    struct fixture x;
    struct id ids[2];
    uint64_t seq;

    setup(&x);
    wait_durable(&x, commit(&x));
    fault_set(&full);
    ids[0] = submit(&x, "")->id;
    seq = commit(&x);
    while (x.refusal != PERSIST_STALLED)
        turn(&x);
    ids[1] = submit(&x, "")->id;
    commit(&x);
    assert_true(engine_durable_seq(x.e) < seq);
    assert_int_equal(x.n_broken, 0);
    fault_set(&(struct fault_plan){0});
    x.clock += 2 * NS_PER_S; /* the timer that tries again */
    while (x.refusal != PERSIST_ACCEPTS) {
        x.clock += NS_PER_S;
        assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0);
    }
    wait_durable(&x, seq + 1);
    restart(&x);
    assert_non_null(engine_find_any(x.e, &ids[0]));
    assert_non_null(engine_find_any(x.e, &ids[1]));
    teardown(&x);
}

/* That it is full is found long after the commit was handed over, and nothing more is: it is tried again all the same. */
static void test_stalled_late(void **state)
{
    const struct fault_plan full = {
            .what = FAULT_WRITE, .nth = 1, .n_times = UINT64_MAX, .system_errno = ENOSPC};
    struct fixture x;
    uint64_t seq;

    setup(&x);
    wait_durable(&x, commit(&x));
    x.clock += 10 * NS_PER_S;
    assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0); /* the timer of that one */
    assert_int_equal(x.refusal, PERSIST_ACCEPTS);
    fault_set(&full);
    submit(&x, "");
    x.clock +=
            10 *
            NS_PER_S; /* the next turn is late for the timer that this sets, and comes before the failure, mostly */
    seq = commit(&x);
    do
        assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0);
    while (x.refusal != PERSIST_STALLED);
    fault_set(&(struct fault_plan){0});
    for (int i = 0; x.refusal != PERSIST_ACCEPTS && i < 100000; i++) {
        x.clock += NS_PER_S;
        assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0);
    }
    assert_int_equal(x.refusal, PERSIST_ACCEPTS);
    wait_durable(&x, seq);
    teardown(&x);
}

/* A sync fails: nobody is told that anything is durable any more, the app is told once. */
static void test_poisoned(void **state)
{
    const struct fault_plan broken = {
            .what = FAULT_SYNC, .nth = 1, .n_times = UINT64_MAX, .system_errno = EIO};
    struct fixture x;
    uint64_t before;

    setup(&x);
    wait_durable(&x, before = commit(&x));
    fault_set(&broken);
    submit(&x, "");
    commit(&x);
    while (!x.n_broken)
        turn(&x);
    assert_int_equal(x.refusal, PERSIST_BROKEN);
    fault_set(&(struct fault_plan){0});
    submit(&x, "");
    commit(&x);
    for (int i = 0; i < 20; i++)
        assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0);
    assert_int_equal(engine_durable_seq(x.e), before);
    assert_int_equal(x.n_broken, 1);
    teardown(&x);
}

static void test_little_space(void **state)
{
    struct fixture x;

    setup(&x);
    assert_int_equal(x.refusal, PERSIST_ACCEPTS);
    x.reserve_bytes = UINT64_MAX;
    restart(&x);
    assert_int_equal(x.refusal, PERSIST_SPACE);
    submit(&x, ""); /* to refuse is the service's; what is accepted is written */
    wait_durable(&x, commit(&x));
    teardown(&x);
}

static void test_locked(void **state)
{
    struct fixture x, other;

    setup(&x);
    other = x;
    assert_int_equal(try_start(&other), -EIO);
    teardown(&x);
}

/* Without memory nothing is handed over, and the next turn's commit is this one too. */
static void test_fail_each_allocation(void **state)
{
    int has_failed = 1;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct fixture x;
        struct id id;
        uint64_t seq;
        int r;

        setup(&x);
        id = submit(&x, "group")->id;
        x.effects = engine_end(x.e);
        seq = x.effects->commit_seq;
        mem_fail_at(nth);
        r = persist_commit(x.persist, x.effects);
        has_failed = test_allocation_failed();
        mem_fail_at(0);
        assert_true(nth > 1 || has_failed);
        if (has_failed) {
            assert_int_equal(r, -ENOMEM);
            assert_int_equal(engine_is_urgent(x.e), 1);
            engine_begin(x.e, clock_mono(), clock_wall());
            assert_int_equal(commit(&x), seq);
        }
        wait_durable(&x, seq);
        restart(&x);
        assert_non_null(engine_find_any(x.e, &id));
        teardown(&x);
    }
}

/* ---- coming back (loader.c) */

struct wish {
    struct futures_wish wish;
    int n_answers, result;
    struct future *future;
};

static void on_loaded(struct futures_wish *wish, int result, struct future *f)
{
    struct wish *w = CONTAINER_OF(wish, struct wish, wish);

    w->n_answers++;
    w->result = result;
    w->future = f;
}

static void test_loaded(void **state)
{
    struct wish wishes[3] = {{.wish = {.on_loaded = on_loaded}},
                             {.wish = {.on_loaded = on_loaded}},
                             {.wish = {.on_loaded = on_loaded}}};
    struct id ids[2], unknown = id_make(5, 5);
    struct futures_loader interface;
    struct loader *loader;
    struct holder *holder;
    struct fixture x;

    setup(&x);
    holder = worker(&x);
    for (int i = 0; i < 2; i++) {
        ids[i] = submit(&x, "")->id;
        finish(&x, holder);
    }
    wait_durable(&x, commit(&x));
    engine_holder_free(x.e, holder);
    restart(&x);
    assert_null(engine_find_any(x.e, &ids[0]));
    assert_int_equal(loader_new(&loader, persist_store(x.persist), x.e, x.loop, &(struct hash_seed){1, 2}),
                     0);
    interface = loader_interface(loader);
    for (int i = 0; i < 2; i++) /* one read for both */
        assert_int_equal(interface.load(interface.context, &ids[0], &wishes[i].wish), 0);
    assert_int_equal(interface.load(interface.context, &unknown, &wishes[2].wish), 0);
    while (!wishes[2].n_answers)
        turn(&x);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wishes[i].n_answers, 1);
        assert_int_equal(wishes[i].result, 0);
        assert_ptr_equal(wishes[i].future, engine_find_any(x.e, &ids[0]));
    }
    assert_true(span_eq(SPAN_OF_BYTES(wishes[0].future->outcome->data), SPAN_LIT("result")));
    assert_int_equal(wishes[2].result, FUTURES_E_NOT_FOUND);
    assert_null(engine_find_any(x.e, &ids[1]));
    assert_int_equal(engine_end(x.e)->n_facts, 0);
    loader_free(loader);
    teardown(&x);
}

/* Deleted, but not on disk yet: it must not come back. */
static void test_deleted_is_not_loaded(void **state)
{
    struct wish wish = {.wish = {.on_loaded = on_loaded}};
    struct futures_loader interface;
    struct loader *loader;
    struct holder *holder;
    struct fixture x;
    struct future *f;
    struct id id;

    setup(&x);
    holder = worker(&x);
    f = submit(&x, "");
    id = f->id;
    finish(&x, holder);
    wait_durable(&x, commit(&x));
    assert_int_equal(loader_new(&loader, persist_store(x.persist), x.e, x.loop, &(struct hash_seed){1, 2}),
                     0);
    interface = loader_interface(loader);
    assert_int_equal(engine_delete(x.e, f), 0);
    assert_int_equal(interface.load(interface.context, &id, &wish.wish), 0);
    loader_turn(loader);
    wait_durable(&x, commit(&x));
    assert_int_equal(wish.n_answers, 0);
    loader_turn(loader);
    while (!wish.n_answers)
        turn(&x);
    assert_int_equal(wish.result, FUTURES_E_NOT_FOUND);
    engine_holder_free(x.e, holder);
    loader_free(loader);
    teardown(&x);
}

/* It has finished and its retention is over, but the disk does not even have that it finished: it is asked for it when it
 * has, and nothing is damaged. */
static void test_expired_before_it_was_stored(void **state)
{
    const struct fault_plan full = {
            .what = FAULT_WRITE, .nth = 1, .n_times = UINT64_MAX, .system_errno = ENOSPC};
    struct wish wish = {.wish = {.on_loaded = on_loaded}};
    struct futures_loader interface;
    struct loader *loader;
    struct holder *holder;
    struct fixture x;
    struct id id;

    setup(&x);
    holder = worker(&x);
    id = submit(&x, "")->id;
    wait_durable(&x, commit(&x));
    fault_set(&full);
    finish(&x, holder);
    commit(&x);
    engine_begin(x.e, clock_mono(), clock_wall() + INT64_C(1000) * 24 * 3600 * NS_PER_S);
    assert_null(engine_find_any(x.e, &id));
    assert_int_equal(loader_new(&loader, persist_store(x.persist), x.e, x.loop, &(struct hash_seed){1, 2}),
                     0);
    interface = loader_interface(loader);
    assert_int_equal(interface.load(interface.context, &id, &wish.wish), 0);
    loader_turn(loader);
    assert_int_equal(wish.n_answers, 0);
    fault_set(&(struct fault_plan){0});
    while (!wish.n_answers) {
        x.clock += NS_PER_S; /* the timer that tries again */
        assert_int_equal(loop_turn(x.loop, LOOP_NO_WAIT), 0);
        loader_turn(loader);
    }
    assert_int_equal(wish.result, FUTURES_E_NOT_FOUND);
    engine_holder_free(x.e, holder);
    loader_free(loader);
    teardown(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_lives),
            cmocka_unit_test(test_finished_at_once),
            cmocka_unit_test(test_durable_when_synced),
            cmocka_unit_test(test_starts),
            cmocka_unit_test(test_settings),
            cmocka_unit_test(test_said_options),
            cmocka_unit_test(test_pinned_over_restarts),
            cmocka_unit_test(test_stalled),
            cmocka_unit_test(test_poisoned),
            cmocka_unit_test(test_little_space),
            cmocka_unit_test(test_locked),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_loaded),
            cmocka_unit_test(test_deleted_is_not_loaded),
            cmocka_unit_test(test_stalled_late),
            cmocka_unit_test(test_expired_before_it_was_stored),
    };

    test_seed();
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
