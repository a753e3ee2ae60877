// SPDX-License-Identifier: Apache-2.0
/* Another priority, other times, another retention: for what waits, is reserved, runs or has ended. */
#include "tests/unit/engine/stored.h"
#include "tests/unit/engine/timed.h"

static int reschedule(struct fixture *x, struct future *f, struct engine_reschedule in)
{
    int r = engine_reschedule(x->e, f, &in);

    engine_check(x->e);
    return r;
}

static void test_priority_of_what_is_ready(void **state)
{
    struct fixture x;
    struct future *a, *b;
    uint64_t revision;

    fixture_init(&x);
    a = fixture_submit(&x, NULL);
    b = fixture_submit(&x, NULL);
    revision = b->revision;
    assert_int_equal(reschedule(&x, b, (struct engine_reschedule){.has_priority = 1, .priority = 5}), 0);
    assert_true(b->revision > revision);
    assert_ptr_equal(fixture_claim(&x)->future, b);
    assert_ptr_equal(fixture_claim(&x)->future, a);
    fixture_deinit(&x);
}

/* What is elsewhere comes back to the new place. */
static void test_priority_of_what_is_not(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct lease *lease;
    struct future *reserved, *delayed, *other;

    fixture_init(&x);
    reserved = fixture_submit(&x, NULL);
    lease = fixture_claim(&x);
    in = fixture_in(&x, NULL);
    in.not_before = T0 + NS_PER_S;
    delayed = fixture_submit(&x, &in);
    other = fixture_submit(&x, NULL);
    assert_int_equal(reschedule(&x, reserved, (struct engine_reschedule){.has_priority = 1, .priority = -1}),
                     0);
    assert_int_equal(reschedule(&x, delayed, (struct engine_reschedule){.has_priority = 1, .priority = 1}),
                     0);
    engine_release(x.e, lease);
    fixture_pass(&x, NS_PER_S);
    assert_ptr_equal(fixture_claim(&x)->future, delayed);
    assert_ptr_equal(fixture_claim(&x)->future, other);
    assert_ptr_equal(fixture_claim(&x)->future, reserved);
    fixture_deinit(&x);
}

static void test_not_before(void **state)
{
    struct fixture x;
    struct lease *lease;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_not_before = 1, .not_before = T0 + NS_PER_S}),
            0);
    assert_int_equal(f->place, PLACE_DELAYED);
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_not_before = 1, .not_before = T0 - 1}),
                     0);
    assert_int_equal(f->place, PLACE_READY);
    lease = fixture_claim(&x); /* reserved: asked back, without being told to end */
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_not_before = 1, .not_before = T0 + NS_PER_S}),
            0);
    assert_int_equal(list_length(&x.e->effects.revokes), 1);
    assert_int_equal(lease->stop, STOP_NOT);
    engine_release(x.e, lease);
    assert_int_equal(f->place, PLACE_DELAYED);
    fixture_pass(&x, NS_PER_S);
    fixture_start(&x); /* runs: holds for what comes after */
    assert_int_equal(
            reschedule(&x, f,
                       (struct engine_reschedule){.has_not_before = 1, .not_before = T0 + 9 * NS_PER_S}),
            0);
    assert_int_equal(f->state, FUTURE_RUNNING);
    assert_int_equal(engine_lose(x.e, f->lease), 0);
    assert_int_equal(f->place, PLACE_DELAYED);
    fixture_deinit(&x);
}

static void test_deadline(void **state)
{
    struct fixture x;
    struct future *f;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_deadline = 1, .deadline = T0 + NS_PER_S}), 0);
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_deadline = 1}), 0);
    fixture_pass(&x, 2 * NS_PER_S);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_deadline = 1, .deadline = x.wall - 1}),
                     0);
    fixture_turn(&x);
    assert_int_equal(f->state, FUTURE_FAILED);
    fixture_deinit(&x);
}

static void test_refused(void **state)
{
    const struct engine_reschedule late = {.has_not_before = 1,
                                           .not_before = T0 + 2 * NS_PER_S,
                                           .has_deadline = 1,
                                           .deadline = T0 + NS_PER_S};
    const struct engine_reschedule later = {.has_not_before = 1, .not_before = T0 + 2 * NS_PER_S};
    struct engine_reschedule priority = {.has_priority = 1, .priority = 1};
    struct fixture x;
    struct engine_submit in;
    uint64_t revision;
    struct future *f;

    fixture_init(&x);
    in = fixture_in(&x, NULL);
    in.deadline = T0 + NS_PER_S;
    f = fixture_submit(&x, &in);
    revision = f->revision;
    assert_int_equal(reschedule(&x, f, late), ENGINE_E_TIMES);
    assert_int_equal(reschedule(&x, f, later), ENGINE_E_TIMES);
    revision--;
    priority.if_revision = &revision;
    assert_int_equal(reschedule(&x, f, priority), ENGINE_E_REVISION);
    assert_int_equal(f->revision, ++revision);
    assert_int_equal(reschedule(&x, f, priority), 0);
    fixture_succeed(&x, fixture_start(&x));
    priority.if_revision = NULL;
    assert_int_equal(reschedule(&x, f, priority), ENGINE_E_TERMINAL);
    fixture_deinit(&x);
}

/* Of what has ended too: longer or shorter than it had, counted from its end. */
static void test_retention(void **state)
{
    struct fixture x;
    struct future *f, *other;
    struct id id, other_id;

    fixture_init(&x);
    f = fixture_submit(&x, NULL);
    fixture_succeed(&x, fixture_start(&x));
    other = fixture_submit(&x, NULL);
    fixture_succeed(&x, fixture_start(&x));
    id = f->id;
    other_id = other->id;
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_retention = 1, .retention_ns = 10 * NS_PER_S}),
            0);
    assert_int_equal(f->outcome->expire_time, T0 + 10 * NS_PER_S);
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_retention = 1, .retention_ns = 20 * NS_PER_S}),
            0);
    fixture_pass(&x, 20 * NS_PER_S - 1);
    assert_non_null(engine_find(x.e, x.scope, &id));
    fixture_pass(&x, 1);
    assert_null(engine_find(x.e, x.scope, &id));
    assert_non_null(engine_find(x.e, x.scope, &other_id));
    f = fixture_submit(&x, NULL); /* and of what has not */
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_retention = 1}), 0);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(f->outcome->expire_time, x.wall);
    fixture_deinit(&x);
}

/* What is finished and may leave memory is counted with what it has got. */
static void test_retention_with_a_store(void **state)
{
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = fixture_submit(&x, NULL);
    fixture_succeed(&x, fixture_start(&x));
    stored_turn(&x);
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_retention = 1, .retention_ns = 7}), 0);
    assert_true(stored_turn(&x) > 0);
    fixture_deinit(&x);
}

/* One that must not run twice and was marked is not about to start any more. */
static void test_marked_ones_are_disarmed(void **state)
{
    struct fixture x;
    struct engine_submit in;
    struct lease *lease;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    in = fixture_in(&x, NULL);
    in.on_lost = ON_LOST_FAIL;
    f = fixture_submit(&x, &in);
    assert_int_equal(engine_claim(x.e, x.holder, CLOCK_NEVER, 1, &lease), 0);
    assert_int_equal(reschedule(&x, f, (struct engine_reschedule){.has_priority = 1, .priority = 3}), 0);
    assert_int_equal(
            reschedule(&x, f, (struct engine_reschedule){.has_not_before = 1, .not_before = T0 + NS_PER_S}),
            0);
    assert_int_equal(f->place, PLACE_ARMED);
    stored_turn(&x);
    assert_int_equal(f->place, PLACE_DELAYED);
    assert_int_equal(f->armed, ARMED_NOT);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    const struct engine_reschedule in = {.has_priority = 1,
                                         .priority = 9,
                                         .has_not_before = 1,
                                         .not_before = T0 + NS_PER_S,
                                         .has_deadline = 1,
                                         .deadline = T0 + 2 * NS_PER_S,
                                         .has_retention = 1,
                                         .retention_ns = 5};
    int has_failed = 1;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct fixture x;
        uint64_t revision;
        struct future *f;
        int r;

        fixture_init(&x);
        f = fixture_submit(&x, NULL);
        revision = f->revision;
        mem_fail_at(nth);
        r = engine_reschedule(x.e, f, &in);
        has_failed = !mem_fail_pending();
        mem_fail_at(0);
        engine_check(x.e);
        assert_int_equal(r, has_failed ? -ENOMEM : 0);
        if (has_failed) {
            assert_int_equal(f->place, PLACE_READY);
            assert_int_equal(f->priority, 0);
            assert_int_equal(f->revision, revision);
            assert_int_equal(engine_reschedule(x.e, f, &in), 0);
        }
        assert_int_equal(f->place, PLACE_DELAYED);
        fixture_succeed(&x, (fixture_pass(&x, NS_PER_S), fixture_start(&x)));
        assert_int_equal(f->outcome->expire_time, x.wall + 5);
        fixture_deinit(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_priority_of_what_is_ready),
            cmocka_unit_test(test_priority_of_what_is_not),
            cmocka_unit_test(test_not_before),
            cmocka_unit_test(test_deadline),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_retention),
            cmocka_unit_test(test_retention_with_a_store),
            cmocka_unit_test(test_marked_ones_are_disarmed),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
