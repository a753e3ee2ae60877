// SPDX-License-Identifier: Apache-2.0
/* What two sources say of a function's tasks: copies, the configuration first and field by field, and what is new. */
#include "engine/defaults.h"
#include "tests/unit/engine/fixture.h"

static const struct span types[] = {{(const uint8_t *)"A", 1}, {(const uint8_t *)"Bc", 2}};

static struct retry_policy policy(uint32_t max_attempts)
{
    return (struct retry_policy){.max_attempts = max_attempts,
                                 .initial_backoff_ns = 5,
                                 .max_backoff_ns = 50,
                                 .multiplier = 2,
                                 .jitter = 0.5,
                                 .types = types,
                                 .n_types = 2};
}

static void test_two_sources(void **state)
{
    struct function_defaults none = FUNCTION_DEFAULTS_NONE, said = none, configured = none;
    struct retry_policy retry = policy(3);
    struct defaults d = {0};

    assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &none), 0);
    assert_null(d.all);
    said.durability = DURABILITY_EPHEMERAL;
    said.priority = 4;
    said.attempt_timeout_ns = 100;
    said.retry = &retry;
    assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &said), 1);
    assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &said), 0);
    retry.max_attempts = 9; /* it was copied */
    assert_int_equal(d.all->retry->max_attempts, 3);
    assert_true(span_eq(d.all->retry->types[1], SPAN_LIT("Bc")));
    assert_int_equal(d.all->retention_ns, -1);

    configured.attempt_timeout_ns = 0; /* that says something: none */
    configured.on_lost = ON_LOST_FAIL;
    configured.retention_ns = 7;
    assert_int_equal(defaults_set(&d, DEFAULTS_CONFIGURED, &configured), 1);
    assert_int_equal(d.all->durability, DURABILITY_EPHEMERAL);
    assert_int_equal(d.all->priority, 4);
    assert_int_equal(d.all->attempt_timeout_ns, 0);
    assert_int_equal(d.all->on_lost, ON_LOST_FAIL);
    assert_int_equal(d.all->retention_ns, 7);
    assert_int_equal(d.all->retry->max_attempts, 3);

    assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &none), 1); /* not any more */
    assert_null(d.all->retry);
    assert_int_equal(d.all->durability, 0);
    assert_int_equal(d.all->on_lost, ON_LOST_FAIL);
    assert_int_equal(defaults_set(&d, DEFAULTS_CONFIGURED, &none), 1);
    assert_null(d.all);
    defaults_deinit(&d);
}

/* Each field by itself is something, and a difference. */
static void test_each_field(void **state)
{
    const struct function_defaults none = FUNCTION_DEFAULTS_NONE;
    struct retry_policy retries[8];
    struct function_defaults cases[12];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(retries); i++)
        retries[i] = policy(1);
    retries[1].max_attempts++;
    retries[2].initial_backoff_ns++;
    retries[3].max_backoff_ns++;
    retries[4].multiplier += 1;
    retries[5].jitter /= 2;
    retries[6].n_types--;
    retries[7].types = (const struct span[]){SPAN_LIT("A"), SPAN_LIT("Bd")};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cases[i] = none;
    cases[n++].durability = 1;
    cases[n++].on_lost = 1;
    cases[n++].priority = -1;
    cases[n++].attempt_timeout_ns = 0;
    for (size_t i = 0; i < ARRAY_LEN(retries); i++)
        cases[n++].retry = &retries[i];
    assert_int_equal(n, ARRAY_LEN(cases));
    for (size_t i = 0; i < n; i++) {
        struct defaults d = {0};

        assert_false(defaults_is_nothing(&cases[i]));
        assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &cases[i]), 1);
        assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &cases[i]), 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &cases[(i + 1 + k) % n]), 1);
        defaults_deinit(&d);
    }
    assert_true(defaults_is_nothing(&none));
}

static void test_each_allocation_fails(void **state)
{
    struct retry_policy retry = policy(3), other = policy(4);
    struct function_defaults said = FUNCTION_DEFAULTS_NONE, next = FUNCTION_DEFAULTS_NONE;
    int r = -ENOMEM;

    said.retry = &retry;
    next.retry = &other;
    for (uint64_t nth = 1; r == -ENOMEM; nth++) {
        struct defaults d = {0};

        assert_int_equal(defaults_set(&d, DEFAULTS_SAID, &said), 1);
        mem_fail_at(nth);
        r = defaults_set(&d, DEFAULTS_SAID, &next);
        mem_fail_at(0);
        assert_int_equal(d.all->retry->max_attempts, r == 1 ? 4 : 3);
        assert_int_equal(d.by_source[DEFAULTS_SAID]->retry->max_attempts, r == 1 ? 4 : 3);
        assert_true(r == 1 ? nth == 5 : nth < 5);
        defaults_deinit(&d);
    }
}

/* What a worker says is to be stored, once; what the configuration says is not. */
static void test_stored(void **state)
{
    struct function_defaults said = FUNCTION_DEFAULTS_NONE;
    struct fixture x;

    fixture_init(&x);
    x.e->config.has_store = 1;
    said.priority = 3;
    assert_int_equal(engine_defaults(x.e, x.fn, DEFAULTS_CONFIGURED, &said), 0);
    assert_true(list_is_empty(&x.e->effects.settings));
    assert_int_equal(engine_defaults(x.e, x.fn, DEFAULTS_SAID, &said), 0);
    assert_ptr_equal(list_pop_front(&x.e->effects.settings), &x.fn->gate.new_setting);
    assert_int_equal(engine_defaults(x.e, x.fn, DEFAULTS_SAID, &said), 0);
    assert_true(list_is_empty(&x.e->effects.settings));
    x.e->config.has_store = 0;
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_two_sources),
            cmocka_unit_test(test_each_field),
            cmocka_unit_test(test_each_allocation_fails),
            cmocka_unit_test(test_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
