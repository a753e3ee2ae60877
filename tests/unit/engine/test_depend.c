// SPDX-License-Identifier: Apache-2.0
/* Dependencies: what starts when, what fails and why, what is pinned, chains and fans without depth, what a restart finds. */
#include "engine/depend.h"
#include "engine/restore.h"
#include "tests/unit/engine/fixture.h"

/* A task on @n upstreams; EPHEMERAL unless they are not. */
static struct engine_submit on(struct fixture *x, struct future *const *upstreams, uint32_t n,
                               enum depend_policy policy)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.durability = DURABILITY_EPHEMERAL;
    in.upstreams = upstreams;
    in.n_upstreams = n;
    in.depend_policy = policy;
    return in;
}

static struct future *submit_on(struct fixture *x, struct future *upstream, enum depend_policy policy)
{
    struct engine_submit in = on(x, &upstream, 1, policy);

    return fixture_submit(x, &in);
}

static struct future *ephemeral(struct fixture *x)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.durability = DURABILITY_EPHEMERAL;
    return fixture_submit(x, &in);
}

static void end_as(struct fixture *x, struct future *f, enum future_state state)
{
    if (state == FUTURE_CANCELLED) {
        assert_int_equal(engine_cancel(x->e, f, x->scope, (struct span){0}, -1), 0);
        return;
    }
    while (!f->lease)
        fixture_start(x);
    if (state == FUTURE_SUCCEEDED)
        fixture_succeed(x, f->lease);
    else
        fixture_fail(x, f->lease);
}

/* Each policy, each end of the upstream, before and after the dependent is submitted. */
static void test_policies(void **state)
{
    static const struct {
        enum depend_policy policy;
        int starts[6];
    } rows[] = {
            {DEPEND_ON_SUCCESS, {[FUTURE_SUCCEEDED] = 1}},
            {DEPEND_ON_FINISH, {[FUTURE_SUCCEEDED] = 1, [FUTURE_FAILED] = 1, [FUTURE_CANCELLED] = 1}},
            {DEPEND_ON_FAILURE, {[FUTURE_FAILED] = 1, [FUTURE_CANCELLED] = 1}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (enum future_state at = FUTURE_SUCCEEDED; at <= FUTURE_CANCELLED; at++)
            for (int is_late = 0; is_late < 2; is_late++) {
                struct future *a, *f;
                struct fixture x;
                char id[ID_TEXT_LEN + 1];

                fixture_init(&x);
                a = ephemeral(&x);
                if (is_late)
                    end_as(&x, a, at);
                f = submit_on(&x, a, rows[i].policy);
                assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
                engine_check(x.e);
                if (!is_late) {
                    fixture_turn(&x);
                    assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
                    assert_int_equal(engine_delete(x.e, a), ENGINE_E_NOT_TERMINAL);
                    end_as(&x, a, at);
                }
                assert_int_equal(engine_delete(x.e, a), ENGINE_E_PINNED);
                fixture_turn(&x);
                assert_int_equal(f->rare->depend->at[0].state, at);
                if (rows[i].starts[at]) {
                    assert_int_equal(future_pending_reason(f), PENDING_READY);
                } else {
                    assert_int_equal(f->state, FUTURE_FAILED);
                    assert_int_equal(f->outcome->error->reason, REASON_DEPENDENCY_FAILED);
                    id_format(&a->id, id);
                    assert_non_null(memmem(f->outcome->error->message.p, f->outcome->error->message.len, id,
                                           ID_TEXT_LEN));
                }
                assert_int_equal(engine_delete(x.e, a), 0); /* it is not needed any more */
                fixture_deinit(&x);
            }
}

/* All of several; the first wrong one ends it and lets the others go. */
static void test_several(void **state)
{
    struct future *up[4], *f, *g;
    struct engine_submit in;
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < 3; i++)
        up[i] = ephemeral(&x);
    up[3] = up[0]; /* named twice */
    in = on(&x, up, 4, DEPEND_ON_SUCCESS);
    f = fixture_submit(&x, &in);
    g = fixture_submit(&x, &in);
    for (int i = 0; i < 2; i++) {
        end_as(&x, up[i], FUTURE_SUCCEEDED);
        fixture_turn(&x);
        assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
    }
    assert_int_equal(engine_cancel(x.e, g, x.scope, (struct span){0}, -1), 0);
    engine_check(x.e);
    assert_int_equal(up[2]->n_pins, 1);
    end_as(&x, up[2], FUTURE_FAILED);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_FAILED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(up[i]->n_pins, 0);
    fixture_deinit(&x);
}

/* Outcomes that are passed on stay until the dependent has ended. */
static void test_passed_results(void **state)
{
    struct engine_submit in;
    struct future *a, *f;
    struct fixture x;

    fixture_init(&x);
    a = ephemeral(&x);
    in = on(&x, &a, 1, DEPEND_ON_FINISH);
    in.passes_results = 1;
    f = fixture_submit(&x, &in);
    end_as(&x, a, FUTURE_FAILED);
    fixture_turn(&x);
    assert_int_equal(future_pending_reason(f), PENDING_READY);
    assert_int_equal(engine_delete(x.e, a), ENGINE_E_PINNED);
    fixture_pass(&x, 2 * 600 * NS_PER_S); /* its retention waits */
    fixture_pass(&x, 1);
    assert_ptr_equal(f->rare->depend->at[0].upstream, a);
    end_as(&x, f, FUTURE_SUCCEEDED);
    assert_null(f->rare->depend->at[0].upstream);
    engine_check(x.e);
    fixture_pass(&x, 1);
    fixture_pass(&x, 1);
    assert_int_equal(x.e->n_forgotten, 1);
    fixture_deinit(&x);
}

/* A durable end counts when it is durable, and what came of it goes to the store. */
static void test_resolved_when_durable(void **state)
{
    struct engine_submit in;
    struct effects *effects;
    struct future *a, *f;
    struct fixture x;
    uint64_t seq;

    fixture_init(&x);
    a = fixture_submit(&x, NULL);
    in = on(&x, &a, 1, DEPEND_ON_SUCCESS);
    in.durability = DURABILITY_DURABLE;
    f = fixture_submit(&x, &in);
    fixture_turn(&x);
    end_as(&x, a, FUTURE_SUCCEEDED);
    effects = engine_end(x.e);
    seq = effects->commit_seq;
    engine_begin(x.e, x.mono, x.wall);
    fixture_turn(&x);
    assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
    engine_durable(x.e, seq);
    effects = engine_end(x.e);
    assert_int_equal(future_pending_reason(f), PENDING_READY);
    assert_int_equal(effects->n_facts, 1);
    assert_ptr_equal(effects->facts[0], f);
    assert_false(list_is_empty(&effects->work));
    engine_begin(x.e, x.mono, x.wall);
    fixture_deinit(&x);
}

/* A long chain fails from its head on, and a wide fan at once, a bounded number each turn. */
static void test_chain_and_fan(void **state)
{
    enum { N = 100000 };
    struct future *head, *f;
    struct fixture x;
    uint64_t n_turns;

    for (int is_fan = 0; is_fan < 2; is_fan++) {
        fixture_init(&x);
        head = f = ephemeral(&x);
        for (int i = 0; i < N; i++)
            f = submit_on(&x, is_fan ? head : f, DEPEND_ON_SUCCESS);
        end_as(&x, head, FUTURE_CANCELLED);
        for (n_turns = 0; x.e->n_by_state[FUTURE_PENDING] > 0; n_turns++) {
            uint64_t before = x.e->n_by_state[FUTURE_PENDING];
            struct effects *effects = engine_end(x.e);

            assert_true(before - x.e->n_by_state[FUTURE_PENDING] <= STATE_EDGES_PER_TURN);
            assert_true(x.e->n_by_state[FUTURE_PENDING] == 0 || effects->next == x.mono);
            engine_begin(x.e, x.mono, x.wall);
        }
        assert_true(n_turns <= N / STATE_EDGES_PER_TURN + 1);
        assert_int_equal(x.e->n_by_state[FUTURE_FAILED], N);
        fixture_deinit(&x);
    }
}

static void test_fan_in(void **state)
{
    static struct future *up[LIMIT_DEPENDS_ON];
    struct engine_submit in;
    struct future *f;
    struct fixture x;

    fixture_init(&x);
    for (int i = 0; i < LIMIT_DEPENDS_ON; i++)
        up[i] = ephemeral(&x);
    in = on(&x, up, LIMIT_DEPENDS_ON, DEPEND_ON_FINISH);
    f = fixture_submit(&x, &in);
    for (int i = LIMIT_DEPENDS_ON - 1; i >= 0; i--) {
        assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
        assert_int_equal(engine_cancel(x.e, up[i], x.scope, (struct span){0}, -1), 0);
        engine_end(x.e);
        engine_begin(x.e, x.mono, x.wall);
    }
    assert_int_equal(future_pending_reason(f), PENDING_READY);
    fixture_deinit(&x);
}

static struct restored stored(const struct fixture *x, uint64_t key, struct bytes *task, struct bytes *data)
{
    return (struct restored){
            .id = id_make(key, key),
            .state = data ? FUTURE_SUCCEEDED : FUTURE_PENDING,
            .on_lost = ON_LOST_RETRY,
            .submit_time = x->wall,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .namespace = SPAN_LIT("ns"),
            .principal = SPAN_LIT("alice"),
            .end_time = data ? x->wall : 0,
            .expire_time = data ? x->wall + NS_PER_S : 0,
            .task = task,
            .data = data,
    };
}

/* Open edges are tied again; an upstream that had ended resolves them; one that is gone fails what needs its success. */
static void test_restored(void **state)
{
    struct bytes *task = bytes_dup("task", 4), *data = bytes_dup("data", 4);

    for (int kind = 0; kind < 3; kind++) { /* the upstream lives, had ended, is gone */
        for (enum depend_policy policy = DEPEND_ON_SUCCESS; policy <= DEPEND_ON_FINISH; policy++) {
            struct restored_depend depends[2] = {{id_make(1, 1), 0}, {id_make(9, 9), FUTURE_SUCCEEDED}};
            struct future *a = NULL, *f;
            struct restored in;
            struct fixture x;

            fixture_init(&x);
            x.e->config.limits.max_memory_bytes = x.e->account.limits.max_memory_bytes =
                    1; /* what is needed comes */
            if (kind < 2) {
                in = stored(&x, 1, task, kind ? data : NULL);
                in.is_needed = 1;
                assert_int_equal(engine_restore(x.e, &in, &a), 0);
            }
            in = stored(&x, 10, task, NULL);
            in.depends = depends;
            in.n_depends = 2;
            in.depend_policy = policy;
            assert_int_equal(engine_restore(x.e, &in, &f), 0);
            engine_check(x.e);
            assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
            if (kind == 0) {
                fixture_turn(&x);
                assert_int_equal(future_pending_reason(f), PENDING_BLOCKED);
                end_as(&x, a, FUTURE_SUCCEEDED);
                fixture_turn(&x);
                engine_durable(x.e, engine_shown(x.e, a));
            }
            fixture_turn(&x);
            if (kind == 2 && policy == DEPEND_ON_SUCCESS)
                assert_int_equal(f->state, FUTURE_FAILED);
            else
                assert_int_equal(future_pending_reason(f), PENDING_READY);
            assert_int_equal(f->rare->depend->at[0].state, kind == 2 ? DEPEND_GONE : FUTURE_SUCCEEDED);
            fixture_deinit(&x);
        }
    }
    bytes_unref(task);
    bytes_unref(data);
}

static void test_fail_each_allocation(void **state)
{
    int has_failed = 1;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct engine_submit in;
        struct future *up[2], *f;
        struct fixture x;
        int r;

        fixture_init(&x);
        up[0] = ephemeral(&x);
        up[1] = ephemeral(&x);
        in = on(&x, up, 2, DEPEND_ON_SUCCESS);
        mem_fail_at(nth);
        r = fixture_try_submit(&x, &in, &f);
        has_failed = test_allocation_failed();
        mem_fail_at(0);
        assert_int_equal(r, has_failed ? -ENOMEM : 0);
        engine_check(x.e);
        if (has_failed)
            f = fixture_submit(&x, &in);
        end_as(&x, up[0], FUTURE_CANCELLED);
        mem_fail_at(nth);
        engine_end(x.e);
        has_failed |= test_allocation_failed();
        mem_fail_at(0);
        engine_check(x.e);
        engine_begin(x.e, x.mono, x.wall);
        fixture_turn(&x); /* what could not be done is done later */
        assert_int_equal(f->state, FUTURE_FAILED);
        fixture_deinit(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_policies),       cmocka_unit_test(test_several),
            cmocka_unit_test(test_passed_results), cmocka_unit_test(test_resolved_when_durable),
            cmocka_unit_test(test_chain_and_fan),  cmocka_unit_test(test_fan_in),
            cmocka_unit_test(test_restored),       cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
