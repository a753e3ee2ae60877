// SPDX-License-Identifier: Apache-2.0
/* What a submission keeps, what it refuses, with each allocation failing in turn; and the IDs that it makes. */
#include "fixture.h"

static void test_submit_keeps_everything(void **state)
{
    struct fixture x;
    struct bytes *task = bytes_dup("the task", 8), *peer = bytes_dup("unix:pid", 8);
    struct engine_submit in;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, task);
    in.peer = peer;
    in.group = SPAN_LIT("g");
    in.tag = SPAN_LIT("t");
    in.traceparent = SPAN_LIT("00-ab");
    in.argument_at = 2;
    in.argument_field_bytes = 4;
    in.argument_bytes = 3;
    in.priority = -9;
    in.durability = DURABILITY_EPHEMERAL;
    in.on_lost = ON_LOST_FAIL;
    in.retention_ns = 77;
    f = fixture_submit(&x, &in);
    assert_ptr_equal(f->task, task);
    assert_int_equal(task->refs, 2);
    assert_ptr_equal(f->peer, peer);
    assert_true(span_eq(future_group(f), SPAN_LIT("g")));
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->tag), SPAN_LIT("t")));
    assert_true(span_eq(SPAN_OF_BYTES(f->rare->traceparent), SPAN_LIT("00-ab")));
    assert_int_equal(f->rare->retention_ns, 77);
    assert_int_equal(f->argument_at, 2);
    assert_int_equal(f->argument_field_bytes, 4);
    assert_int_equal(f->argument_bytes, 3);
    assert_int_equal(f->priority, -9);
    assert_int_equal(f->durability, DURABILITY_EPHEMERAL);
    assert_int_equal(f->on_lost, ON_LOST_FAIL);
    assert_int_equal(f->submit_time, T0);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(id_key(&f->id) >> 12, T0 / NS_PER_MS);
    assert_int_equal(x.scope->n_live, 1);
    fixture_deinit(&x);
    assert_int_equal(task->refs, 1);
    assert_int_equal(peer->refs, 1);
    bytes_unref(task);
    bytes_unref(peer);
}

/* Nothing is kept of what was refused, or of what there was no memory for. */
static void test_submit_refused(void **state)
{
    struct bytes *task = bytes_dup("task", 4);
    struct fixture x;
    struct engine_submit in;
    struct future *f = NULL;

    fixture_init(&x);
    in = fixture_in(&x, task);
    in.function = SPAN_LIT("unheard of");
    assert_int_equal(engine_submit(x.e, &in, &f), ENGINE_E_NO_SUCH_FUNCTION);
    x.e->config.accept_unknown_functions = 1;
    assert_int_equal(engine_submit(x.e, &in, &f), 0);
    assert_int_equal(future_pending_reason(f), PENDING_NO_WORKER);
    x.e->config.limits.max_functions = 2;
    in.function = SPAN_LIT("one too many");
    assert_int_equal(engine_submit(x.e, &in, &f), ENGINE_E_NO_SUCH_FUNCTION);
    in.function = SPAN_LIT("echo");
    x.e->account.limits.max_futures = 1;
    assert_int_equal(engine_submit(x.e, &in, &f), ENGINE_E_FULL_FUTURES);
    assert_int_equal(task->refs, 2);
    assert_int_equal(engine_stats(x.e).n_accepted, 1);
    fixture_deinit(&x);
    bytes_unref(task);
}

/* One submission that needs everything there is, with the @nth allocation failing. Whether that was reached. */
static int submit_failing(uint64_t nth, uint32_t n_before)
{
    struct bytes *task = bytes_dup("task", 4);
    struct future *f = NULL;
    struct fixture x;
    struct waiter w;
    struct engine_submit in;
    int r, failed;

    fixture_init(&x);
    x.e->config.accept_unknown_functions = 1;
    for (uint32_t i = 0; i < n_before; i++)
        fixture_submit_group(&x, "g");
    waiter_init(&w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait_group(x.e, &w, x.scope, SPAN_LIT("g"), n_before + 3), 0);
    in = fixture_in(&x, task);
    in.function = SPAN_LIT("new");
    in.group = n_before ? SPAN_LIT("g") : SPAN_LIT("another");
    in.tag = SPAN_LIT("t");
    in.traceparent = SPAN_LIT("00");
    in.priority = 3;
    in.retention_ns = 5;
    mem_fail_at(nth);
    r = engine_submit(x.e, &in, &f);
    failed = !mem_fail_pending();
    mem_fail_at(0);
    assert_true(r == 0 || (r == -ENOMEM && failed));
    assert_int_equal(f == NULL, r != 0);
    assert_int_equal(task->refs, r == 0 ? 2 : 1);
    assert_int_equal(engine_stats(x.e).n_futures, n_before + (r == 0));
    assert_int_equal(w.n_pending, n_before + (r == 0 && n_before));
    engine_check(x.e);
    if (r != 0)
        assert_int_equal(engine_submit(x.e, &in, &f), 0);
    engine_check(x.e);
    engine_waiter_drop(x.e, &w);
    fixture_deinit(&x);
    bytes_unref(task);
    return failed;
}

static void test_submit_fails_each_allocation(void **state)
{
    static const uint32_t before[] = {0, 1, 63, 64, ORDER_LEAF, 2184, 2185}; /* around what has to grow */

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        uint64_t nth = 1;

        while (submit_failing(nth, before[i]))
            nth++;
        assert_true(nth > 5);
    }
}

/* IDs rise, whatever the clock does, and their random parts differ from start to start. */
static void test_ids(void **state)
{
    struct fixture x;
    struct id last = {0}, first;
    struct test_random random = {test_seed()};

    fixture_init(&x);
    for (int i = 0; i < 10000; i++) {
        struct future *f = fixture_submit(&x, NULL);

        assert_true(id_key(&f->id) > id_key(&last));
        assert_int_equal(f->id.b[6] >> 4, 7);
        assert_memory_not_equal(f->id.b + 9, last.b + 9, 7);
        last = f->id;
        if (i % 10 == 0)
            engine_begin(x.e, ++x.mono,
                         x.wall += (int64_t)test_random_below(&random, 5 * NS_PER_MS) - 2 * NS_PER_MS);
    }
    fixture_deinit(&x);
    fixture_init(&x);
    first = fixture_submit(&x, NULL)->id;
    fixture_deinit(&x);
    x.config.random++;
    assert_int_equal(engine_new(&x.e, &x.config), 0);
    engine_begin(x.e, 1000, T0);
    x.scope = engine_scope(x.e, SPAN_LIT("ns"), SPAN_LIT("alice"));
    assert_non_null(engine_function_add(x.e, SPAN_LIT("echo"), SPAN_LIT("")));
    x.holder = NULL;
    assert_memory_not_equal(fixture_submit(&x, NULL)->id.b + 9, first.b + 9, 7);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_submit_keeps_everything),
            cmocka_unit_test(test_submit_refused),
            cmocka_unit_test(test_submit_fails_each_allocation),
            cmocka_unit_test(test_ids),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
