// SPDX-License-Identifier: Apache-2.0
/*
 * The door: every command in every situation a future can be in, and each of these once more with every allocation
 * failing in turn. Then what the commands have to say by themselves.
 */
#include "engine/engine.h"
#include "fixture.h"

/* --- every command in every situation */

enum at {
    READY,
    RESERVED,
    RESERVED_CANCEL, /* cancel was asked for */
    RUNNING,
    RUNNING_CANCEL,
    LOST, /* back in its queue after a loss */
    SUCCEEDED,
    FAILED,
    CANCELLED,
    N_AT,
    GONE = N_AT,
};

enum command {
    CANCEL,
    ANNOTATE,
    ANNOTATE_OLD, /* if_revision of an older one */
    DELETE,
    DELETE_PINNED,
    RETRY,
    WAIT,
    WAIT_GROUP,
    CLAIM,
    START,
    SUCCEED,
    FAIL,
    RELEASE,
    LOSE,
    N_COMMANDS,
};

enum {
    STALE = ENGINE_E_STALE_LEASE,
    NOT_YET = ENGINE_E_NOT_TERMINAL,
    PINNED = ENGINE_E_PINNED,
    NOT_FAILED = ENGINE_E_NOT_FAILED,
    NONE = 0,
    ONE = 1
};

/* What the command answers, and where the future is then. CLAIM answers how many. A command that needs a lease looks
 * for it first. RELEASE of a started lease is a bug, not a case. */
static const struct {
    int result;
    enum at then;
} EXPECTED[N_COMMANDS][N_AT] = {
        [CANCEL] = {[READY] = {0, CANCELLED},
                    [RESERVED] = {0, RESERVED_CANCEL},
                    [RESERVED_CANCEL] = {0, RESERVED_CANCEL},
                    [RUNNING] = {0, RUNNING_CANCEL},
                    [RUNNING_CANCEL] = {0, RUNNING_CANCEL},
                    [LOST] = {0, CANCELLED},
                    [SUCCEEDED] = {0, SUCCEEDED},
                    [FAILED] = {0, FAILED},
                    [CANCELLED] = {0, CANCELLED}},
        [ANNOTATE] = {[READY] = {0, READY},
                      [RESERVED] = {0, RESERVED},
                      [RESERVED_CANCEL] = {0, RESERVED_CANCEL},
                      [RUNNING] = {0, RUNNING},
                      [RUNNING_CANCEL] = {0, RUNNING_CANCEL},
                      [LOST] = {0, LOST},
                      [SUCCEEDED] = {0, SUCCEEDED},
                      [FAILED] = {0, FAILED},
                      [CANCELLED] = {0, CANCELLED}},
        [ANNOTATE_OLD] = {[READY] = {ENGINE_E_REVISION, READY},
                          [RESERVED] = {ENGINE_E_REVISION, RESERVED},
                          [RESERVED_CANCEL] = {ENGINE_E_REVISION, RESERVED_CANCEL},
                          [RUNNING] = {ENGINE_E_REVISION, RUNNING},
                          [RUNNING_CANCEL] = {ENGINE_E_REVISION, RUNNING_CANCEL},
                          [LOST] = {ENGINE_E_REVISION, LOST},
                          [SUCCEEDED] = {ENGINE_E_REVISION, SUCCEEDED},
                          [FAILED] = {ENGINE_E_REVISION, FAILED},
                          [CANCELLED] = {ENGINE_E_REVISION, CANCELLED}},
        [DELETE] = {[READY] = {NOT_YET, READY},
                    [RESERVED] = {NOT_YET, RESERVED},
                    [RESERVED_CANCEL] = {NOT_YET, RESERVED_CANCEL},
                    [RUNNING] = {NOT_YET, RUNNING},
                    [RUNNING_CANCEL] = {NOT_YET, RUNNING_CANCEL},
                    [LOST] = {NOT_YET, LOST},
                    [SUCCEEDED] = {0, GONE},
                    [FAILED] = {0, GONE},
                    [CANCELLED] = {0, GONE}},
        [DELETE_PINNED] = {[READY] = {NOT_YET, READY},
                           [RESERVED] = {NOT_YET, RESERVED},
                           [RESERVED_CANCEL] = {NOT_YET, RESERVED_CANCEL},
                           [RUNNING] = {NOT_YET, RUNNING},
                           [RUNNING_CANCEL] = {NOT_YET, RUNNING_CANCEL},
                           [LOST] = {NOT_YET, LOST},
                           [SUCCEEDED] = {PINNED, SUCCEEDED},
                           [FAILED] = {PINNED, FAILED},
                           [CANCELLED] = {PINNED, CANCELLED}},
        [RETRY] = {[READY] = {NOT_FAILED, READY},
                   [RESERVED] = {NOT_FAILED, RESERVED},
                   [RESERVED_CANCEL] = {NOT_FAILED, RESERVED_CANCEL},
                   [RUNNING] = {NOT_FAILED, RUNNING},
                   [RUNNING_CANCEL] = {NOT_FAILED, RUNNING_CANCEL},
                   [LOST] = {NOT_FAILED, LOST},
                   [SUCCEEDED] = {NOT_FAILED, SUCCEEDED},
                   [FAILED] = {0, FAILED},
                   [CANCELLED] = {0, CANCELLED}},
        [WAIT] = {[READY] = {0, READY},
                  [RESERVED] = {0, RESERVED},
                  [RESERVED_CANCEL] = {0, RESERVED_CANCEL},
                  [RUNNING] = {0, RUNNING},
                  [RUNNING_CANCEL] = {0, RUNNING_CANCEL},
                  [LOST] = {0, LOST},
                  [SUCCEEDED] = {0, SUCCEEDED},
                  [FAILED] = {0, FAILED},
                  [CANCELLED] = {0, CANCELLED}},
        [WAIT_GROUP] = {[READY] = {0, READY},
                        [RESERVED] = {0, RESERVED},
                        [RESERVED_CANCEL] = {0, RESERVED_CANCEL},
                        [RUNNING] = {0, RUNNING},
                        [RUNNING_CANCEL] = {0, RUNNING_CANCEL},
                        [LOST] = {0, LOST},
                        [SUCCEEDED] = {0, SUCCEEDED},
                        [FAILED] = {0, FAILED},
                        [CANCELLED] = {0, CANCELLED}},
        [CLAIM] = {[READY] = {ONE, RESERVED},
                   [RESERVED] = {NONE, RESERVED},
                   [RESERVED_CANCEL] = {NONE, RESERVED_CANCEL},
                   [RUNNING] = {NONE, RUNNING},
                   [RUNNING_CANCEL] = {NONE, RUNNING_CANCEL},
                   [LOST] = {ONE, RESERVED},
                   [SUCCEEDED] = {NONE, SUCCEEDED},
                   [FAILED] = {NONE, FAILED},
                   [CANCELLED] = {NONE, CANCELLED}},
        [START] = {[READY] = {STALE, READY},
                   [RESERVED] = {0, RUNNING},
                   [RESERVED_CANCEL] = {0, RUNNING_CANCEL},
                   [RUNNING] = {0, RUNNING},
                   [RUNNING_CANCEL] = {0, RUNNING_CANCEL},
                   [LOST] = {STALE, LOST},
                   [SUCCEEDED] = {STALE, SUCCEEDED},
                   [FAILED] = {STALE, FAILED},
                   [CANCELLED] = {STALE, CANCELLED}},
        [SUCCEED] = {[READY] = {STALE, READY},
                     [RESERVED] = {0, SUCCEEDED},
                     [RESERVED_CANCEL] = {0, SUCCEEDED},
                     [RUNNING] = {0, SUCCEEDED},
                     [RUNNING_CANCEL] = {0, SUCCEEDED},
                     [LOST] = {STALE, LOST},
                     [SUCCEEDED] = {STALE, SUCCEEDED},
                     [FAILED] = {STALE, FAILED},
                     [CANCELLED] = {STALE, CANCELLED}},
        [FAIL] = {[READY] = {STALE, READY},
                  [RESERVED] = {0, FAILED},
                  [RESERVED_CANCEL] = {0, CANCELLED},
                  [RUNNING] = {0, FAILED},
                  [RUNNING_CANCEL] = {0, CANCELLED},
                  [LOST] = {STALE, LOST},
                  [SUCCEEDED] = {STALE, SUCCEEDED},
                  [FAILED] = {STALE, FAILED},
                  [CANCELLED] = {STALE, CANCELLED}},
        [RELEASE] = {[READY] = {STALE, READY},
                     [RESERVED] = {0, READY},
                     [RESERVED_CANCEL] = {0, CANCELLED},
                     [LOST] = {STALE, LOST},
                     [SUCCEEDED] = {STALE, SUCCEEDED},
                     [FAILED] = {STALE, FAILED},
                     [CANCELLED] = {STALE, CANCELLED}},
        [LOSE] = {[READY] = {STALE, READY},
                  [RESERVED] = {0, READY},
                  [RESERVED_CANCEL] = {0, CANCELLED},
                  [RUNNING] = {0, LOST},
                  [RUNNING_CANCEL] = {0, CANCELLED},
                  [LOST] = {STALE, LOST},
                  [SUCCEEDED] = {STALE, SUCCEEDED},
                  [FAILED] = {STALE, FAILED},
                  [CANCELLED] = {STALE, CANCELLED}},
};

static enum at where(const struct fixture *x, const struct id *id)
{
    const struct future *f = engine_find(x->e, x->scope, id);
    int is_cancelled;

    if (!f)
        return GONE;
    is_cancelled = f->rare && f->rare->cancel_requested;
    switch ((enum future_state)f->state) {
    case FUTURE_PENDING:
        if (f->lease)
            return is_cancelled ? RESERVED_CANCEL : RESERVED;
        return f->rare && f->rare->n_losses ? LOST : READY;
    case FUTURE_RUNNING: return is_cancelled ? RUNNING_CANCEL : RUNNING;
    case FUTURE_SUCCEEDED: return SUCCEEDED;
    case FUTURE_FAILED: return FAILED;
    case FUTURE_CANCELLED: return CANCELLED;
    }
    return GONE;
}

static void bring(struct fixture *x, struct future *f, enum at at)
{
    struct lease *lease;

    if (at == READY)
        return;
    if (at == CANCELLED) {
        assert_int_equal(engine_cancel(x->e, f, x->scope, SPAN_LIT(""), -1), 0);
        return;
    }
    lease = at == RESERVED || at == RESERVED_CANCEL ? fixture_claim(x) : fixture_start(x);
    if (at == RESERVED_CANCEL || at == RUNNING_CANCEL)
        assert_int_equal(engine_cancel(x->e, f, x->scope, SPAN_LIT(""), -1), 0);
    else if (at == LOST)
        assert_int_equal(engine_lose(x->e, lease), 0);
    else if (at == SUCCEEDED)
        fixture_succeed(x, lease);
    else if (at == FAILED)
        fixture_fail(x, lease);
}

/* What a command needs from outside, made before its allocations are counted. */
struct hands {
    struct labels *labels;
    struct bytes *task;
    struct finish finish;
    struct waiter waiter, pin;
};

static void hands_init(struct hands *h, enum command command)
{
    struct label label = {SPAN_LIT("color"), SPAN_LIT("red")};

    *h = (struct hands){.task = bytes_dup("task", 4)};
    waiter_init(&h->waiter, WAITER_ALL, 0, NULL);
    waiter_init(&h->pin, WAITER_WATCH, 0, NULL);
    if (command == ANNOTATE || command == ANNOTATE_OLD)
        h->labels = labels_new(&label, 1);
    else if (command == SUCCEED)
        h->finish = fixture_result("r");
    else if (command == FAIL)
        h->finish = fixture_error("e");
}

static void hands_deinit(struct fixture *x, struct hands *h)
{
    engine_waiter_drop(x->e, &h->waiter);
    engine_waiter_drop(x->e, &h->pin);
    mem_free(h->labels);
    bytes_unref(h->task);
    bytes_unref(h->finish.data);
    future_error_unref(h->finish.error);
}

static int with_lease(struct fixture *x, struct future *f, enum command command, struct hands *h)
{
    struct lease *lease =
            engine_lease_find(x->e, x->holder, &f->id, f->n_claims, (uint32_t)engine_epoch(x->e));

    if (!lease)
        return STALE;
    switch (command) {
    case START: return engine_start(x->e, lease, x->wall);
    case LOSE: return engine_lose(x->e, lease);
    case RELEASE: engine_release(x->e, lease); return 0;
    default: return engine_finish(x->e, lease, &h->finish);
    }
}

static int run(struct fixture *x, struct future *f, enum command command, struct hands *h)
{
    uint64_t revision = command == ANNOTATE ? f->revision : f->revision - 1;
    struct engine_submit in = fixture_in(x, h->task);
    struct lease *leases[3];
    struct future *again;
    int r;

    switch (command) {
    case CANCEL: return engine_cancel(x->e, f, x->scope, SPAN_LIT("enough"), -1);
    case ANNOTATE:
    case ANNOTATE_OLD:
        r = engine_annotate(x->e, f, h->labels, &revision);
        if (r == 0)
            h->labels = NULL;
        return r;
    case DELETE:
    case DELETE_PINNED: return engine_delete(x->e, f);
    case RETRY: return engine_retry(x->e, f, &in, &again);
    case WAIT: return engine_wait(x->e, &h->waiter, f, NULL, 0);
    case WAIT_GROUP: return engine_wait_group(x->e, &h->waiter, x->scope, SPAN_LIT("g"), 3);
    case CLAIM: return engine_claim(x->e, x->holder, CLOCK_NEVER, 3, leases);
    default: return with_lease(x, f, command, h);
    }
}

/* Once: bring a future there, run the command, with the @nth allocation failing (0 = none). Whether it failed. */
static int run_case(enum command command, enum at at, uint64_t nth)
{
    struct engine_stats before, after;
    struct fixture x;
    struct hands h;
    struct future *f;
    struct id id;
    uint64_t revision;
    int r, failed;

    fixture_init(&x);
    f = fixture_submit_group(&x, "g");
    id = f->id;
    bring(&x, f, at);
    assert_int_equal(where(&x, &id), at);
    hands_init(&h, command);
    if (command == DELETE_PINNED)
        assert_int_equal(engine_wait(x.e, &h.pin, f, NULL, 0), 0);
    fixture_turn(&x);
    revision = f->revision;
    before = engine_stats(x.e);
    mem_fail_at(nth);
    r = run(&x, f, command, &h);
    failed = nth > 0 && !mem_fail_pending();
    mem_fail_at(0);
    after = engine_stats(x.e);
    engine_check(x.e);
    if (failed && r == -ENOMEM) {
        assert_int_equal(where(&x, &id), at);
        assert_int_equal(f->revision, revision);
        assert_int_equal(after.n_edges, before.n_edges);
        assert_memory_equal(after.n_by_state, before.n_by_state, sizeof after.n_by_state);
        assert_int_equal(!h.finish.data, command != SUCCEED); /* what was not taken is still ours */
        assert_int_equal(!h.finish.error, command != FAIL);
        r = run(&x, f, command, &h); /* and then it works */
    }
    assert_int_equal(r, EXPECTED[command][at].result);
    assert_int_equal(where(&x, &id), EXPECTED[command][at].then);
    fixture_turn(&x);
    hands_deinit(&x, &h);
    fixture_deinit(&x);
    return failed;
}

static void test_every_command_everywhere(void **state)
{
    uint32_t n_failures = 0;

    for (int c = 0; c < N_COMMANDS; c++)
        for (int at = 0; at < N_AT; at++) {
            if (c == RELEASE && (at == RUNNING || at == RUNNING_CANCEL))
                continue;
            run_case((enum command)c, (enum at)at, 0);
            for (uint64_t nth = 1; run_case((enum command)c, (enum at)at, nth); nth++)
                n_failures++;
        }
    assert_true(n_failures > 100);
}

/* --- look */

static void test_find_is_of_the_namespace(void **state)
{
    struct fixture x;
    struct scope *bob, *other;
    struct future *f;
    struct id id;

    fixture_init(&x);
    bob = engine_scope(x.e, SPAN_LIT("ns"), SPAN_LIT("bob"));
    other = engine_scope(x.e, SPAN_LIT("another"), SPAN_LIT("alice"));
    f = fixture_submit_group(&x, "g");
    assert_ptr_equal(engine_find(x.e, x.scope, &f->id), f);
    assert_ptr_equal(engine_find(x.e, bob, &f->id), f);
    assert_null(engine_find(x.e, other, &f->id));
    id = f->id;
    id.b[15] ^= 1; /* the same key, another ID */
    assert_null(engine_find(x.e, x.scope, &id));
    assert_int_equal(engine_group_size(x.e, bob, SPAN_LIT("g")), 1);
    assert_int_equal(engine_group_size(x.e, other, SPAN_LIT("g")), 0);
    assert_null(engine_group_first(x.e, other, SPAN_LIT("g")));
    fixture_deinit(&x);
}

/* All futures of one namespace, both ways, with any budget; others' cost budget and do not show. */
static void test_next(void **state)
{
    enum { N = 300 };
    struct fixture x, other;
    struct future *f[N], *got;

    fixture_init(&x);
    other = x;
    other.scope = engine_scope(x.e, SPAN_LIT("another"), SPAN_LIT("bob"));
    for (int i = 0; i < N; i++)
        f[i] = fixture_submit(i % 3 ? &x : &other, NULL);
    for (uint32_t budget = 1; budget < 20; budget += 3)
        for (int desc = 0; desc < 2; desc++) {
            uint64_t key = desc ? UINT64_MAX : 0;
            uint32_t left = budget;
            int i = desc ? N - 1 : 0;

            for (;;) {
                got = engine_next(x.e, x.scope, key, desc, &left, &key);
                if (!got && left > 0)
                    break;
                if (!got) { /* out of budget: go on from there */
                    left = budget;
                    continue;
                }
                if (i % 3 == 0)
                    i += desc ? -1 : 1;
                assert_ptr_equal(got, f[i]);
                assert_int_equal(key, id_key(&f[i]->id));
                i += desc ? -1 : 1;
            }
            assert_true(desc ? i <= 0 : i >= N);
        }
    fixture_deinit(&x);
}

/* Pages while others come and go: what stays is seen exactly once. */
static void test_pages_are_stable(void **state)
{
    enum { N = 200 };
    struct fixture x;
    struct future *f[N];

    fixture_init(&x);
    for (int desc = 0; desc < 2; desc++) {
        uint64_t key = desc ? UINT64_MAX : 0;
        uint32_t budget, n_steady = 0;
        struct future *got;

        for (int i = 0; i < N; i++)
            f[i] = fixture_submit(&x, NULL);
        for (int step = 0;; step++) {
            int victim = step * 7 % N;

            budget = 1;
            got = engine_next(x.e, x.scope, key, desc, &budget, &key);
            if (!got)
                break;
            for (int i = 0; i < N; i += 2)
                n_steady += got == f[i];
            if (victim % 2 && f[victim]) { /* odd ones go, new ones come */
                assert_int_equal(engine_cancel(x.e, f[victim], x.scope, SPAN_LIT(""), -1), 0);
                assert_int_equal(engine_delete(x.e, f[victim]), 0);
                f[victim] = NULL;
            }
            if (step < 50)
                fixture_submit(&x, NULL);
        }
        assert_int_equal(n_steady, N / 2);
    }
    fixture_deinit(&x);
}

static void test_group_walk(void **state)
{
    struct fixture x;
    struct future *f[5], *at;

    fixture_init(&x);
    for (int i = 0; i < 5; i++) {
        f[i] = fixture_submit_group(&x, "g");
        fixture_submit_group(&x, "h");
        fixture_submit(&x, NULL);
    }
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("g")), 5);
    at = engine_group_first(x.e, x.scope, SPAN_LIT("g"));
    for (int i = 0; i < 5; i++, at = engine_group_next(at))
        assert_ptr_equal(at, f[i]);
    assert_null(at);
    assert_null(engine_group_next(fixture_submit(&x, NULL)));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(engine_cancel(x.e, f[i], x.scope, SPAN_LIT(""), -1), 0);
        assert_int_equal(engine_delete(x.e, f[i]), 0);
    }
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("g")), 0);
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("h")), 5);
    fixture_deinit(&x);
}

static void test_functions(void **state)
{
    struct fixture x;
    struct function *second;

    fixture_init(&x);
    second = engine_function_add(x.e, SPAN_LIT("second"), SPAN_LIT(""));
    assert_ptr_equal(engine_function_add(x.e, SPAN_LIT("echo"), SPAN_LIT("")), x.fn);
    assert_ptr_equal(engine_function_find(x.e, SPAN_LIT("second")), second);
    assert_null(engine_function_find(x.e, SPAN_LIT("third")));
    assert_ptr_equal(engine_function_next(x.e, NULL), x.fn);
    assert_ptr_equal(engine_function_next(x.e, x.fn), second);
    assert_null(engine_function_next(x.e, second));
    x.e->config.limits.max_functions = 2;
    assert_null(engine_function_add(x.e, SPAN_LIT("third"), SPAN_LIT("")));
    fixture_deinit(&x);
}

/* What counts say, all along. */
static void test_counts(void **state)
{
    struct fixture x;
    struct engine_stats s;
    struct future *f;

    fixture_init(&x);
    for (int i = 0; i < 6; i++)
        f = fixture_submit(&x, NULL);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    fixture_succeed(&x, fixture_start(&x));
    fixture_fail(&x, fixture_start(&x));
    fixture_start(&x);
    fixture_claim(&x);
    s = engine_stats(x.e);
    assert_int_equal(s.n_futures, 6);
    assert_int_equal(s.n_by_state[FUTURE_PENDING], 2);
    assert_int_equal(s.n_by_state[FUTURE_RUNNING], 1);
    assert_int_equal(s.n_by_state[FUTURE_SUCCEEDED], 1);
    assert_int_equal(s.n_by_state[FUTURE_FAILED], 1);
    assert_int_equal(s.n_by_state[FUTURE_CANCELLED], 1);
    assert_int_equal(x.fn->n_pending, 2);
    assert_int_equal(x.fn->n_reserved, 1);
    assert_int_equal(x.fn->n_running, 1);
    assert_int_equal(engine_delete(x.e, f), 0);
    assert_int_equal(x.fn->n_cancelled, 1); /* ever */
    assert_int_equal(engine_stats(x.e).n_by_state[FUTURE_CANCELLED], 0);
    assert_int_equal(engine_stats(x.e).n_forgotten, 1);
    assert_int_equal(engine_stats(x.e).n_accepted, 6);
    assert_true(engine_stats(x.e).table_slots > 0);
    fixture_deinit(&x);
}

static void test_may_wait(void **state)
{
    struct fixture x;
    struct waiter w;

    fixture_init(&x);
    x.e->account.limits.max_waiter_edges = 1;
    assert_int_equal(engine_may_wait(x.e), 0);
    waiter_init(&w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, fixture_submit(&x, NULL), NULL, 0), 0);
    assert_int_equal(engine_may_wait(x.e), ENGINE_E_FULL_EDGES);
    engine_waiter_drop(x.e, &w);
    assert_int_equal(engine_may_wait(x.e), 0);
    assert_int_equal(engine_wall(x.e), T0);
    fixture_deinit(&x);
}

static void test_new_fails_each_allocation(void **state)
{
    struct engine_config config = engine_config_default();

    FAIL_EACH_ALLOCATION(nth)
    {
        struct engine *e = NULL;
        int r = engine_new(&e, &config);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_null(engine_free(e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_command_everywhere),
            cmocka_unit_test(test_find_is_of_the_namespace),
            cmocka_unit_test(test_next),
            cmocka_unit_test(test_pages_are_stable),
            cmocka_unit_test(test_group_walk),
            cmocka_unit_test(test_functions),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_may_wait),
            cmocka_unit_test(test_new_fails_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
