// SPDX-License-Identifier: Apache-2.0
/* Lines of expiry: order, clock steps, pins, retention of one's own; and through the engine, turn by turn. */
#include "engine/retention.h"
#include "fixture.h"

#define MINUTE (INT64_C(60) * NS_PER_S)
#define HOUR   (60 * MINUTE)

struct thing {
    struct future f;
    struct outcome outcome;
    struct future_rare rare;
};

static struct future *make(struct retention *r, wall_ns_t expire, int is_custom)
{
    struct thing *t = calloc(1, sizeof *t);

    assert_non_null(t);
    list_init(&t->f.queue);
    t->f.outcome = &t->outcome;
    t->outcome.expire_time = expire;
    if (is_custom) {
        t->rare.future = &t->f;
        t->f.rare = &t->rare;
        assert_int_equal(retention_reserve(r), 0);
    }
    retention_add(r, &t->f);
    return &t->f;
}

static void forget(struct retention *r, struct future *f)
{
    retention_remove(r, f);
    if (f->rare)
        retention_unreserve(r);
    free(CONTAINER_OF(f, struct thing, f));
}

/* Forget what is due at @now; how many. */
static uint32_t sweep(struct retention *r, wall_ns_t now)
{
    uint32_t budget = 1000, n = 0;
    struct future *f;

    while ((f = retention_due(r, now, &budget))) {
        assert_true(f->outcome->expire_time <= now);
        forget(r, f);
        n++;
    }
    return n;
}

static uint32_t lines_in_use(const struct retention *r)
{
    uint32_t n = 0;

    for (int i = 0; i < RETENTION_LINES; i++)
        n += !list_is_empty(&r->lines[i]);
    return n;
}

static void test_line(void **state)
{
    struct retention r;

    retention_init(&r);
    assert_int_equal(retention_next(&r), CLOCK_NEVER);
    for (int i = 1; i <= 10; i++)
        make(&r, (wall_ns_t)i * 10, 0);
    assert_int_equal(lines_in_use(&r), 1);
    assert_int_equal(retention_next(&r), 10);
    assert_int_equal(sweep(&r, 9), 0);
    assert_int_equal(sweep(&r, 10), 1);
    assert_int_equal(sweep(&r, 55), 4);
    assert_int_equal(retention_next(&r), 60);
    assert_int_equal(sweep(&r, 1000), 5);
    retention_deinit(&r);
}

/* Three lengths of retention in any mixture use no more than three lines while the clock runs forward. */
static void test_classes(void **state)
{
    static const int64_t lengths[] = {10 * MINUTE, 24 * HOUR, 168 * HOUR};
    struct test_random random = {test_seed()};
    struct retention r;
    uint32_t n = 0;

    retention_init(&r);
    for (int64_t now = 0; now < 720 * HOUR; now += (int64_t)test_random_below(&random, 20) * MINUTE) {
        make(&r, now + lengths[test_random_below(&random, 3)], 0);
        n++;
        assert_true(lines_in_use(&r) <= 3);
        n -= sweep(&r, now);
        assert_true(retention_next(&r) > now);
    }
    assert_int_equal(sweep(&r, INT64_MAX), MIN(n, 1000U));
    while (sweep(&r, INT64_MAX))
        ;
    retention_deinit(&r);
}

/* The clock goes back and forth: nobody goes early, and with few steps nobody is held up. */
static void test_clock_steps(void **state)
{
    struct test_random random = {test_seed()};

    for (int round = 0; round < 50; round++) {
        struct retention r;
        int64_t now = 1000 * HOUR;

        retention_init(&r);
        for (int step = 0; step < RETENTION_LINES / 2; step++) {
            for (int i = 0; i < 40; i++) {
                make(&r, now + 10 * HOUR, 0);
                now += (int64_t)test_random_below(&random, HOUR);
                sweep(&r, now);
                assert_true(retention_next(&r) > now);
            }
            now -= (int64_t)test_random_below(&random, 100 * HOUR);
        }
        sweep(&r, now + 1000 * HOUR);
        assert_int_equal(retention_next(&r), CLOCK_NEVER);
        retention_deinit(&r);
    }
}

/* More steps back than lines: kept too long is all that may happen. */
static void test_more_steps_than_lines(void **state)
{
    struct retention r;

    retention_init(&r);
    for (int i = 0; i < 2 * RETENTION_LINES; i++)
        make(&r, 1000 - i, 0);
    assert_int_equal(lines_in_use(&r), RETENTION_LINES);
    /* one each of 1000 down to 985 heads a line; behind 985 wait 984 down to 969 */
    assert_int_equal(sweep(&r, 984), 0);
    assert_int_equal(sweep(&r, 985), 1 + RETENTION_LINES);
    assert_int_equal(sweep(&r, 1000), RETENTION_LINES - 1);
    assert_int_equal(lines_in_use(&r), 0);
    retention_deinit(&r);
}

static void test_custom(void **state)
{
    static const int64_t expire[] = {50, 10, 40, 20, 30, 20};
    struct retention r;

    retention_init(&r);
    for (size_t i = 0; i < ARRAY_LEN(expire); i++)
        make(&r, expire[i], 1);
    make(&r, 25, 0);
    assert_int_equal(lines_in_use(&r), 1);
    assert_int_equal(retention_next(&r), 10);
    assert_int_equal(sweep(&r, 20), 3);
    assert_int_equal(sweep(&r, 29), 1);
    assert_int_equal(retention_next(&r), 30);
    assert_int_equal(sweep(&r, 100), 3);
    retention_deinit(&r);
}

/* A pinned one steps aside and does not hold up those behind it. */
static void test_pinned(void **state)
{
    for (int is_custom = 0; is_custom < 2; is_custom++) {
        struct retention r;
        struct future *pinned;

        retention_init(&r);
        pinned = make(&r, 10, is_custom);
        pinned->n_pins = 1;
        make(&r, 10, is_custom);
        assert_int_equal(sweep(&r, 10), 1);
        assert_int_equal(retention_next(&r), CLOCK_NEVER);
        pinned->n_pins = 0;
        retention_unpinned(&r, pinned);
        assert_true(retention_next(&r) <= 10);
        pinned->n_pins = 1; /* and pinned again before anybody looked */
        assert_int_equal(sweep(&r, 10), 0);
        pinned->n_pins = 0;
        retention_unpinned(&r, pinned);
        assert_int_equal(sweep(&r, 10), 1);
        retention_deinit(&r);
    }
}

/* Unpinned before it is due: it never left its line. */
static void test_unpinned_early(void **state)
{
    struct retention r;
    struct future *f;

    retention_init(&r);
    f = make(&r, 10, 0);
    retention_unpinned(&r, f);
    assert_int_equal(retention_next(&r), 10);
    assert_int_equal(sweep(&r, 9), 0);
    assert_int_equal(sweep(&r, 10), 1);
    retention_deinit(&r);
}

/* Put off while it was due, and then the clock goes back. */
static void test_put_off_and_clock_back(void **state)
{
    for (int is_custom = 0; is_custom < 2; is_custom++) {
        struct retention r;
        struct future *f;

        retention_init(&r);
        f = make(&r, 10, is_custom);
        f->n_pins = 1;
        assert_int_equal(sweep(&r, 10), 0);
        f->n_pins = 0;
        retention_unpinned(&r, f);
        assert_int_equal(sweep(&r, 5), 0);
        assert_int_equal(retention_next(&r), 10);
        assert_int_equal(sweep(&r, 10), 1);
        retention_deinit(&r);
    }
}

/* What the store has not been told yet stays for a turn, wherever it stands. */
static void test_facts_wait(void **state)
{
    for (int kind = 0; kind < 3; kind++) {
        struct retention r;
        struct future *f;

        retention_init(&r);
        f = make(&r, 10, kind == 1);
        if (kind == 2) {
            f->n_pins = 1;
            assert_int_equal(sweep(&r, 10), 0);
            f->n_pins = 0;
            retention_unpinned(&r, f);
        }
        f->fact = FACT_NOW;
        assert_int_equal(sweep(&r, 20), 0);
        f->fact = FACT_NONE;
        assert_int_equal(sweep(&r, 20), 1);
        retention_deinit(&r);
    }
}

static void test_budget(void **state)
{
    struct future *pinned[5];
    struct retention r;
    uint32_t budget = 3;

    retention_init(&r);
    for (int i = 0; i < 5; i++) {
        pinned[i] = make(&r, 10, 0);
        pinned[i]->n_pins = 1;
    }
    for (int i = 0; i < 5; i++)
        make(&r, 10, 0);
    assert_null(retention_due(&r, 10, &budget)); /* looking at pinned ones counts too */
    assert_int_equal(budget, 0);
    assert_true(retention_next(&r) <= 10);
    budget = 3;
    assert_non_null(retention_due(&r, 10, &budget));
    assert_int_equal(budget, 0);
    assert_int_equal(sweep(&r, 10), 5);
    for (int i = 0; i < 5; i++) {
        pinned[i]->n_pins = 0;
        retention_unpinned(&r, pinned[i]);
    }
    assert_int_equal(sweep(&r, 10), 5);
    retention_deinit(&r);
}

static void test_reserve_fails(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct retention r;
        int e;

        retention_init(&r);
        e = retention_reserve(&r);
        assert_int_equal(e, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(r.n_custom, e == 0);
        if (e == 0)
            retention_unreserve(&r);
        retention_deinit(&r);
    }
}

/* --- through the engine */

static struct future *submit(struct fixture *x, enum durability durability, int64_t retention)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.durability = durability;
    in.retention_ns = retention;
    return fixture_submit(x, &in);
}

/* Succeeded or failed, durable or not, default or own: each is there to the last nanosecond, and then not. */
static void test_each_class(void **state)
{
    static const struct {
        enum durability durability;
        int is_failure;
        int64_t asked, expected;
    } cases[] = {
            {DURABILITY_EPHEMERAL, 0, -1, 10 * MINUTE},
            {DURABILITY_EPHEMERAL, 1, -1, 10 * MINUTE},
            {DURABILITY_DURABLE, 0, -1, 24 * HOUR},
            {DURABILITY_DURABLE, 1, -1, 168 * HOUR},
            {DURABILITY_DURABLE, 0, 5, 5},
            {DURABILITY_EPHEMERAL, 1, HOUR, HOUR},
            {DURABILITY_DURABLE, 1, 0, 0},
            {DURABILITY_DURABLE, 0, INT64_MAX, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture x;
        struct future *f;
        struct id id;

        fixture_init(&x);
        f = submit(&x, cases[i].durability, cases[i].asked);
        id = f->id;
        if (cases[i].is_failure)
            fixture_fail(&x, fixture_start(&x));
        else
            fixture_succeed(&x, fixture_start(&x));
        assert_ptr_equal(engine_find(x.e, x.scope, &id), f);
        fixture_turn(&x);
        if (cases[i].asked == INT64_MAX) { /* for ever */
            assert_int_equal(future_expire_time(f), CLOCK_NEVER);
            fixture_deinit(&x);
            continue;
        }
        if (cases[i].expected > 0) {
            struct effects *effects = fixture_pass(&x, cases[i].expected - 1);

            assert_ptr_equal(engine_find(x.e, x.scope, &id), f);
            assert_int_equal(future_expire_time(f), x.wall + 1);
            assert_int_equal(effects->next, x.mono + 1);
        }
        assert_int_equal(fixture_pass(&x, cases[i].expected > 0)->next, CLOCK_NEVER);
        assert_null(engine_find(x.e, x.scope, &id));
        assert_int_equal(engine_stats(x.e).n_forgotten, 1);
        fixture_deinit(&x);
    }
}

/* Many due at once: a bounded number a turn, and the engine asks to be called again. */
static void test_bounded_turns(void **state)
{
    enum { N = STATE_FORGET_PER_TURN * 5 / 2 };
    struct fixture x;
    uint64_t left = N;

    fixture_init(&x);
    for (int i = 0; i < N; i++)
        submit(&x, DURABILITY_EPHEMERAL, -1);
    for (int i = 0; i < N; i++)
        fixture_succeed(&x, fixture_start(&x));
    engine_end(x.e);
    while (left > 0) {
        engine_begin(x.e, x.mono, x.wall + 10 * MINUTE);
        left -= MIN(left, (uint64_t)STATE_FORGET_PER_TURN);
        assert_int_equal(engine_stats(x.e).n_futures, left);
        assert_int_equal(engine_end(x.e)->next, left > 0 ? x.mono : CLOCK_NEVER);
        engine_check(x.e);
    }
    fixture_deinit(&x);
}

/* A waiter keeps what it waits for. */
static void test_waiter_pins(void **state)
{
    struct fixture x;
    struct waiter w;
    struct future *f;
    struct id id;

    fixture_init(&x);
    f = submit(&x, DURABILITY_EPHEMERAL, -1);
    id = f->id;
    waiter_init(&w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait(x.e, &w, f, NULL, 0), 0);
    fixture_succeed(&x, fixture_start(&x));
    fixture_turn(&x);
    assert_int_equal(fixture_pass(&x, HOUR)->next, CLOCK_NEVER);
    assert_ptr_equal(engine_find(x.e, x.scope, &id), f);
    assert_int_equal(engine_delete(x.e, f), ENGINE_E_PINNED);
    engine_waiter_drop(x.e, &w);
    fixture_turn(&x);
    assert_null(engine_find(x.e, x.scope, &id));
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_line),           cmocka_unit_test(test_classes),
            cmocka_unit_test(test_clock_steps),    cmocka_unit_test(test_more_steps_than_lines),
            cmocka_unit_test(test_custom),         cmocka_unit_test(test_pinned),
            cmocka_unit_test(test_unpinned_early), cmocka_unit_test(test_put_off_and_clock_back),
            cmocka_unit_test(test_facts_wait),     cmocka_unit_test(test_budget),
            cmocka_unit_test(test_reserve_fails),  cmocka_unit_test(test_each_class),
            cmocka_unit_test(test_bounded_turns),  cmocka_unit_test(test_waiter_pins),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
