// SPDX-License-Identifier: Apache-2.0
/* What a turn tells the world: revisions, facts and their numbers, work, revokes, answers; each once. */
#include "engine/turn.h"
#include "tests/unit/engine/stored.h"

static struct future *submit_as(struct fixture *x, enum durability durability)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.durability = durability;
    return fixture_submit(x, &in);
}

static int is_among_facts(const struct effects *effects, const struct future *f)
{
    int n = 0;

    for (size_t i = 0; i < effects->n_facts; i++)
        n += effects->facts[i] == f;
    return n;
}

/* Each change of a durable future makes it a fact of its turn, once; the number rises. */
static void test_facts(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *a, *b;

    fixture_init(&x);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 0);
    assert_int_equal(effects->commit_seq, 0);
    a = submit_as(&x, DURABILITY_DURABLE);
    b = submit_as(&x, DURABILITY_DURABLE);
    assert_int_equal(a->commit_seq, 1);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 2);
    assert_int_equal(effects->commit_seq, 1);
    fixture_succeed(&x, fixture_start(&x)); /* two changes */
    assert_int_equal(a->commit_seq, 2);
    assert_int_equal(b->commit_seq, 1);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 1);
    assert_int_equal(is_among_facts(effects, a), 1);
    assert_int_equal(effects->commit_seq, 2);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 0);
    assert_int_equal(effects->commit_seq, 2);
    fixture_deinit(&x);
}

/* An acceptance that nobody sees waits for company, be it its own end; what somebody sees does not. */
static void test_acceptance_waits(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *f;
    mono_ns_t at;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x); /* keys */
    at = x.mono;
    f = fixture_submit(&x, NULL);
    effects = stored_end(&x);
    assert_int_equal(effects->is_commit, 0);
    assert_true(effects->next <= at + STATE_LAZY_NS);
    x.mono = at + STATE_LAZY_NS - 2;
    stored_begin(&x);
    fixture_submit(&x, NULL); /* does not begin a wait of its own */
    assert_int_equal(stored_end(&x)->is_commit, 0);
    stored_begin(&x);
    effects = stored_end(&x);
    assert_int_equal(effects->is_commit, 1);
    assert_int_equal(effects->n_facts, 2);
    stored_begin(&x);
    assert_int_equal(engine_fact_is_new(f), 0);
    assert_int_equal(x.e->effects.next < at + 3 * STATE_LAZY_NS, 0); /* once */

    f = fixture_submit(&x, NULL);
    assert_int_equal(engine_shown(x.e, f), x.e->commit_seq);
    assert_int_equal(stored_end(&x)->is_commit, 1);
    stored_begin(&x);
    fixture_submit(&x, NULL);
    x.mono += 10 * NS_PER_S;
    stored_begin(&x);
    for (int i = 0; i < 4; i++)
        fixture_succeed(&x, fixture_start(&x));
    effects = stored_end(&x);
    assert_int_equal(effects->n_facts, 4);
    stored_begin(&x);
    f = fixture_submit(&x, NULL);
    assert_int_equal(engine_fact_is_new(f), 1);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(engine_fact_is_new(f), 1);
    effects = engine_end(x.e);
    assert_int_equal(effects->n_facts, 1);
    engine_defer(x.e); /* not taken: still new */
    stored_begin(&x);
    assert_int_equal(engine_fact_is_new(f), 1);
    assert_int_equal(stored_end(&x)->n_facts, 1);
    stored_begin(&x);
    assert_int_equal(engine_fact_is_new(f), 0);
    fixture_deinit(&x);
}

/* The commits that others need go without what nobody has seen, until it has waited long enough. */
static void test_lazy_facts_stay_behind(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *lazy, *shown;
    uint64_t seq;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x); /* keys */
    lazy = fixture_submit(&x, NULL);
    shown = fixture_submit(&x, NULL);
    seq = engine_shown(x.e, shown);
    effects = stored_end(&x);
    assert_int_equal(effects->n_facts, 1);
    assert_ptr_equal(effects->facts[0], shown);
    assert_int_equal(effects->commit_seq, seq);
    engine_check(x.e);
    stored_begin(&x);
    assert_int_equal(engine_shown(x.e, shown), seq);
    assert_int_equal(lazy->commit_seq, seq + 1); /* who is shown it waits for the next one */
    fixture_start(&x);                           /* the older one: its start can wait as well */
    shown = fixture_submit(&x, NULL);
    assert_int_equal(engine_shown(x.e, shown), seq + 1);
    effects = stored_end(&x);
    assert_int_equal(effects->n_facts, 1);
    assert_ptr_equal(effects->facts[0], shown);
    x.mono += STATE_LAZY_NS;
    stored_begin(&x);
    effects = stored_end(&x);
    assert_int_equal(effects->n_facts, 1);
    assert_ptr_equal(effects->facts[0], lazy);
    stored_begin(&x);

    lazy = fixture_submit(&x, NULL);
    seq = engine_shown_any(x.e);
    assert_int_equal(lazy->commit_seq, seq);
    effects = stored_end(&x);
    assert_int_equal(effects->commit_seq, seq);
    assert_int_equal(effects->n_facts, 1);
    assert_ptr_equal(effects->facts[0], lazy);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* Ephemeral ones never wait for the store. */
static void test_ephemeral(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *f;

    fixture_init(&x);
    f = submit_as(&x, DURABILITY_EPHEMERAL);
    fixture_fail(&x, fixture_start(&x));
    assert_int_equal(f->commit_seq, 0);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 0);
    assert_int_equal(effects->commit_seq, 0);
    fixture_deinit(&x);
}

static void durable_before_it_is_made(void *arg)
{
    struct fixture *x = arg;

    engine_durable(x->e, 2);
}

static void test_durable(void **state)
{
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 3; i++) {
        submit_as(&x, DURABILITY_DURABLE);
        if (i < 1)
            fixture_turn(&x);
    }
    assert_int_equal(engine_durable_seq(x.e), 0);
    engine_durable(x.e, 1);
    assert_int_equal(engine_durable_seq(x.e), 1);
    test_aborts(durable_before_it_is_made, &x, "commit_seq < e->commit_seq");
    fixture_turn(&x);
    engine_durable(x.e, 2);
    engine_durable(x.e, 1); /* late news change nothing */
    assert_int_equal(engine_durable_seq(x.e), 2);
    fixture_deinit(&x);
}

/* A fact that is deleted before it was handed out is none. */
static void test_deleted_fact(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *f[5];

    fixture_init(&x);
    for (int i = 0; i < 5; i++) {
        f[i] = submit_as(&x, DURABILITY_DURABLE);
        assert_int_equal(engine_cancel(x.e, f[i], x.scope, SPAN_LIT(""), -1), 0);
    }
    assert_int_equal(engine_delete(x.e, f[0]), 0);
    assert_int_equal(engine_delete(x.e, f[4]), 0);
    assert_int_equal(engine_delete(x.e, f[2]), 0);
    effects = fixture_turn(&x);
    assert_int_equal(effects->n_facts, 2);
    assert_int_equal(is_among_facts(effects, f[1]) + is_among_facts(effects, f[3]), 2);
    fixture_deinit(&x);
}

/* A huge turn's memory is not kept for ever. */
static void test_fact_memory(void **state)
{
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 100000; i++)
        submit_as(&x, DURABILITY_DURABLE);
    assert_int_equal(fixture_turn(&x)->n_facts, 100000);
    for (int i = 0; i < 3; i++) {
        submit_as(&x, DURABILITY_DURABLE);
        engine_end(x.e);
    }
    assert_true(x.e->collected.cap + x.e->handed_out.cap < 10000);
    fixture_deinit(&x);
}

static void test_revisions(void **state)
{
    struct label label = {SPAN_LIT("k"), SPAN_LIT("v")};
    struct fixture x;
    struct future *a, *b;
    uint64_t last, seen[2];

    fixture_init(&x);
    a = submit_as(&x, DURABILITY_DURABLE);
    b = submit_as(&x, DURABILITY_EPHEMERAL);
    assert_true(b->revision > a->revision);
    assert_int_equal(a->revision >> 40, x.config.epoch);
    last = a->revision;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(engine_annotate(x.e, a, labels_new(&label, 1), NULL), 0);
        assert_true(a->revision > last);
        last = a->revision;
    }
    seen[0] = a->revision;
    seen[1] = b->revision;
    fixture_claim(&x); /* reserving shows nothing */
    fixture_turn(&x);
    assert_int_equal(a->revision, seen[0]);
    assert_int_equal(b->revision, seen[1]);
    fixture_deinit(&x);

    fixture_init(&x); /* the next start is above all of the last one */
    x.e->revision = (uint64_t)(x.config.epoch + 1) << 40;
    a = submit_as(&x, DURABILITY_DURABLE);
    assert_true(a->revision > last);
    fixture_deinit(&x);
}

static void test_work(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct function *other;
    struct lease *lease;

    fixture_init(&x);
    submit_as(&x, DURABILITY_EPHEMERAL);
    submit_as(&x, DURABILITY_EPHEMERAL);
    effects = fixture_turn(&x);
    assert_ptr_equal(LIST_ENTRY(list_pop_front(&effects->work), struct function, work), x.fn);
    assert_true(list_is_empty(&effects->work));
    lease = fixture_claim(&x);
    assert_true(list_is_empty(&fixture_turn(&x)->work));
    engine_release(x.e, lease);
    effects = fixture_turn(&x);
    assert_ptr_equal(LIST_ENTRY(list_pop_front(&effects->work), struct function, work), x.fn);
    lease = fixture_start(&x);
    assert_int_equal(engine_lose(x.e, lease), 0);
    effects = fixture_turn(&x);
    assert_non_null(list_pop_front(&effects->work));

    other = engine_function_add(x.e, SPAN_LIT("late"), SPAN_LIT(""));
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0);
    assert_true(list_is_empty(&fixture_turn(&x)->work)); /* a worker, but no tasks */
    fixture_deinit(&x);
}

/* Tasks that nobody serves become work with the first worker that does. */
static void test_work_with_the_worker(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct function *other;
    struct engine_submit in;

    fixture_init(&x);
    other = engine_function_add(x.e, SPAN_LIT("late"), SPAN_LIT(""));
    in = fixture_in(&x, NULL);
    in.function = SPAN_LIT("late");
    assert_int_equal(future_pending_reason(fixture_submit(&x, &in)), PENDING_NO_WORKER);
    effects = fixture_turn(&x);
    while (list_pop_front(&effects->work))
        ;
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0);
    effects = fixture_turn(&x);
    assert_ptr_equal(LIST_ENTRY(list_pop_front(&effects->work), struct function, work), other);
    assert_int_equal(engine_holder_serve(x.e, x.holder, other), 0); /* twice is once */
    assert_int_equal(other->n_holders, 1);
    fixture_deinit(&x);
}

static void test_revokes(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = submit_as(&x, DURABILITY_DURABLE);
    lease = fixture_start(&x);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("enough"), -1), 0);
    effects = fixture_turn(&x);
    assert_ptr_equal(LIST_ENTRY(list_pop_front(&effects->revokes), struct lease, revoke), lease);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("again"), -1), 0);
    assert_true(list_is_empty(&fixture_turn(&x)->revokes)); /* told already */

    fixture_fail(&x, lease);
    f = submit_as(&x, DURABILITY_DURABLE);
    lease = fixture_start(&x);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    fixture_succeed(&x, lease);
    assert_true(list_is_empty(&fixture_turn(&x)->revokes)); /* it has ended meanwhile */
    fixture_deinit(&x);
}

/* Without memory for what has been promised the facts wait for the next turn; nothing is lost. */
static void test_no_memory_to_hand_out(void **state)
{
    struct fixture x;
    struct effects *effects;
    struct future *f;
    struct lease *lease;

    fixture_init(&x);
    f = submit_as(&x, DURABILITY_DURABLE);
    lease = fixture_claim(&x);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    assert_int_equal(x.e->n_promised, 1);
    mem_fail_at(1); /* the other buffer has never been used */
    effects = engine_end(x.e);
    assert_false(mem_fail_pending());
    assert_int_equal(effects->n_facts, 0);
    assert_int_equal(effects->next, x.mono);
    engine_check(x.e);
    engine_begin(x.e, x.mono, x.wall);
    mem_fail_at(1);
    engine_release(x.e, lease); /* must not need any */
    assert_true(mem_fail_pending());
    mem_fail_at(0);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_int_equal(x.e->n_promised, 0);
    effects = fixture_turn(&x);
    assert_int_equal(is_among_facts(effects, f), 1);
    assert_int_equal(effects->commit_seq, f->commit_seq);
    fixture_deinit(&x);
}

/* Any number of promises is kept without memory, through any number of turns. */
static void test_promises(void **state)
{
    enum { N = 300 };
    static struct lease *leases[N];
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < N; i++) {
        struct future *f = submit_as(&x, i % 3 ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL);

        leases[i] = fixture_claim(&x);
        assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
        if (i % 7 == 0)
            fixture_turn(&x);
    }
    assert_int_equal(x.e->n_promised, N * 2 / 3);
    fixture_turn(&x);
    fixture_turn(&x);
    mem_fail_at(1);
    for (int i = 0; i < N; i++)
        engine_release(x.e, leases[i]);
    assert_true(mem_fail_pending());
    mem_fail_at(0);
    assert_int_equal(x.e->n_promised, 0);
    assert_int_equal(fixture_turn(&x)->n_facts, N * 2 / 3);
    fixture_deinit(&x);
}

/* A cancel must find room for its own fact and for the one it promises; around the size of the list either may be what
 * there is no memory for. */
static void test_cancel_without_memory(void **state)
{
    for (int n_before = 60; n_before < 68; n_before++)
        for (uint64_t nth = 1, failed = 1; failed; nth++) {
            struct fixture x;
            struct future *f;
            uint64_t bytes;
            int r;

            fixture_init(&x);
            f = submit_as(&x, DURABILITY_DURABLE);
            fixture_claim(&x);
            for (int i = 1; i < n_before; i++)
                submit_as(&x, DURABILITY_DURABLE);
            bytes = limits_future(f);
            mem_fail_at(nth);
            r = engine_cancel(x.e, f, x.scope, SPAN_LIT("why"), -1);
            failed = !mem_fail_pending();
            mem_fail_at(0);
            engine_check(x.e);
            assert_int_equal(r, failed ? -ENOMEM : 0);
            assert_int_equal(x.e->n_promised, !failed);
            if (failed)
                assert_in_range(limits_future(f), bytes,
                                bytes + sizeof(struct future_rare)); /* that may stay */
            fixture_deinit(&x);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_facts),
            cmocka_unit_test(test_acceptance_waits),
            cmocka_unit_test(test_lazy_facts_stay_behind),
            cmocka_unit_test(test_ephemeral),
            cmocka_unit_test(test_durable),
            cmocka_unit_test(test_deleted_fact),
            cmocka_unit_test(test_fact_memory),
            cmocka_unit_test(test_revisions),
            cmocka_unit_test(test_work),
            cmocka_unit_test(test_work_with_the_worker),
            cmocka_unit_test(test_revokes),
            cmocka_unit_test(test_no_memory_to_hand_out),
            cmocka_unit_test(test_promises),
            cmocka_unit_test(test_cancel_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
