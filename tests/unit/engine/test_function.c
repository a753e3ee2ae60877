// SPDX-License-Identifier: Apache-2.0
#include "engine/function.h"
#include "engine/limits.h"
#include "tests/support/testing.h"

static const struct hash_seed SEED = {5, 6};

struct world {
    struct function_set set;
    struct sched sched;
    struct limits_account account;
};

static void world_init(struct world *w)
{
    *w = (struct world){0};
    sched_init(&w->sched, &SEED, &w->account);
    function_set_init(&w->set, &SEED);
}

static struct function *get(struct world *w, struct span name, struct span doc, uint32_t max)
{
    return function_get(&w->set, &w->sched, name, doc, max);
}

static void test_known_once(void **state)
{
    struct world w;
    struct function *a, *b;

    world_init(&w);
    assert_null(function_find(&w.set, SPAN_LIT("echo")));
    a = get(&w, SPAN_LIT("echo"), SPAN_LIT(""), 10);
    b = get(&w, SPAN_LIT("sleep"), SPAN_LIT("waits"), 10);
    assert_non_null(a);
    assert_int_equal(a->index, 0);
    assert_int_equal(b->index, 1);
    assert_int_equal(a->mean_run_ns, -1);
    assert_null(a->doc);
    assert_ptr_equal(get(&w, SPAN_LIT("echo"), SPAN_LIT("says it again"), 10), a);
    assert_true(span_eq(SPAN_OF_BYTES(a->doc), SPAN_LIT("says it again")));
    assert_ptr_equal(get(&w, SPAN_LIT("echo"), SPAN_LIT("another text"), 10), a);
    assert_true(span_eq(SPAN_OF_BYTES(a->doc), SPAN_LIT("says it again"))); /* who comes first says */
    assert_ptr_equal(function_find(&w.set, SPAN_LIT("sleep")), b);
    assert_null(function_find(&w.set, SPAN_LIT("ech")));
    function_set_deinit(&w.set, &w.sched);
}

/* The one tried first is no more than that. */
static void test_last(void **state)
{
    struct world w;
    struct function *a;

    world_init(&w);
    a = get(&w, SPAN_LIT("a"), SPAN_LIT(""), 10);
    w.set.last = get(&w, SPAN_LIT("b"), SPAN_LIT(""), 10);
    assert_ptr_equal(function_find(&w.set, SPAN_LIT("a")), a);
    assert_ptr_equal(function_find(&w.set, SPAN_LIT("b")), w.set.last);
    assert_null(function_find(&w.set, SPAN_LIT("c")));
    function_set_deinit(&w.set, &w.sched);
}

static void test_limit(void **state)
{
    struct world w;
    char name[32];

    world_init(&w);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(get(&w, span_of_string(name), SPAN_LIT(""), 60) != NULL, i < 60);
    }
    assert_non_null(get(&w, SPAN_LIT("f3"), SPAN_LIT(""), 60));
    for (uint32_t i = 0; i < 60; i++)
        assert_int_equal(w.set.at[i]->index, i);
    function_set_deinit(&w.set, &w.sched);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct world w;
        struct function *f;

        world_init(&w);
        f = get(&w, SPAN_LIT("echo"), SPAN_LIT("doc"), 10);
        assert_int_equal(f == NULL, test_allocation_failed());
        assert_int_equal(w.set.n, f != NULL);
        assert_ptr_equal(function_find(&w.set, SPAN_LIT("echo")), f);
        function_set_deinit(&w.set, &w.sched);
    }
    FAIL_EACH_ALLOCATION(nth)
    {
        struct world w;
        struct function *f, *again;

        mem_fail_at(0);
        world_init(&w);
        f = get(&w, SPAN_LIT("echo"), SPAN_LIT(""), 10);
        mem_fail_at(nth);
        again = get(&w, SPAN_LIT("echo"), SPAN_LIT("doc"), 10);
        assert_ptr_equal(again, test_allocation_failed() ? NULL : f);
        function_set_deinit(&w.set, &w.sched);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known_once),
            cmocka_unit_test(test_last),
            cmocka_unit_test(test_limit),
            cmocka_unit_test(test_fail_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
