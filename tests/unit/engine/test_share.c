// SPDX-License-Identifier: Apache-2.0
/* What a worker takes of one function: its own max_running, and credit for that function alone. */
#include "tests/unit/engine/fixture.h"

enum { FUNCTIONS = 3, TASKS = 40, MAX_LEASES = 16 };

struct scene {
    struct fixture x;
    struct function *fn[FUNCTIONS];
    struct holder *h;
};

static void scene_init(struct scene *s)
{
    fixture_init(&s->x);
    assert_int_equal(engine_holder_new(s->x.e, SPAN_LIT("w"), NULL, &s->h), 0);
    for (int i = 0; i < FUNCTIONS; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%d", i);
        s->fn[i] = engine_function_add(s->x.e, span_of_string(name), (struct span){0});
        assert_non_null(s->fn[i]);
        assert_int_equal(engine_holder_serve(s->x.e, s->h, s->fn[i]), 0);
    }
}

static void submit(struct scene *s, int fn, int n)
{
    for (int i = 0; i < n; i++) {
        struct engine_submit in = fixture_in(&s->x, NULL);

        in.function = SPAN_OF_BYTES(s->fn[fn]->name);
        (void)fixture_submit(&s->x, &in);
    }
}

static int claim(struct scene *s, uint32_t max, struct lease **leases)
{
    return engine_claim(s->x.e, s->h, CLOCK_NEVER, max, leases);
}

static void release_all(struct scene *s)
{
    while (!list_is_empty(&s->h->leases))
        engine_release(s->x.e, LIST_ENTRY(s->h->leases.prev, struct lease, of_holder));
}

static void scene_deinit(struct scene *s)
{
    release_all(s);
    engine_holder_free(s->x.e, s->h);
    fixture_deinit(&s->x);
}

static int n_of(const struct scene *s, int fn)
{
    int n = 0;

    LIST_FOREACH (l, &s->h->leases)
        n += LIST_ENTRY(l, struct lease, of_holder)->future->function == s->fn[fn];
    return n;
}

static void test_never_more(void **state)
{
    struct lease *leases[MAX_LEASES];
    struct scene s;

    scene_init(&s);
    assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[0], 2), 0);
    submit(&s, 0, 5);
    submit(&s, 1, 5);
    assert_int_equal(claim(&s, MAX_LEASES, leases), 7);
    assert_int_equal(n_of(&s, 0), 2);
    assert_int_equal(holder_room(s.h, s.fn[0]), 0);
    assert_int_equal(claim(&s, MAX_LEASES, leases), 0);
    release_all(&s);
    assert_int_equal(holder_room(s.h, s.fn[0]), 2);
    assert_int_equal(claim(&s, MAX_LEASES, leases), 7);
    scene_deinit(&s);
}

/* What was held before the limit was said counts, and is not taken away; without a limit there is none. */
static void test_said_later(void **state)
{
    struct lease *leases[MAX_LEASES];
    struct scene s;

    scene_init(&s);
    submit(&s, 2, 8);
    assert_int_equal(claim(&s, 3, leases), 3);
    assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[2], 2), 0);
    assert_int_equal(claim(&s, 1, leases), 0);
    engine_release(s.x.e, leases[0]);
    assert_int_equal(claim(&s, 1, leases), 0);
    engine_release(s.x.e, leases[1]);
    assert_int_equal(claim(&s, 8, leases), 1);
    assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[2], 0), 0);
    assert_int_equal(claim(&s, 8, leases), 6);
    scene_deinit(&s);
}

/* Who is full is looked at again as soon as one of its leases ends. */
static void test_an_end_is_news(void **state)
{
    struct lease *leases[MAX_LEASES];
    struct scene s;

    scene_init(&s);
    assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[0], 1), 0);
    submit(&s, 0, 2);
    assert_int_equal(claim(&s, 2, leases), 1);
    while (list_pop_front(&s.x.e->effects.work))
        ;
    assert_int_equal(engine_start(s.x.e, leases[0], s.x.wall), 0);
    fixture_succeed(&s.x, leases[0]);
    assert_false(list_is_empty(&s.x.e->effects.work));
    assert_int_equal(claim(&s, 2, leases), 1);
    scene_deinit(&s);
}

static void test_own_credit(void **state)
{
    struct lease *leases[MAX_LEASES];
    struct scene s;

    scene_init(&s);
    for (int i = 0; i < FUNCTIONS; i++)
        submit(&s, i, 5);
    assert_int_equal(engine_share_credit(s.x.e, s.h, s.fn[1], 2), 0);
    assert_int_equal(claim(&s, 2, leases), 2); /* there is no credit for all */
    assert_int_equal(n_of(&s, 1), 2);
    assert_int_equal(engine_share_credit(s.x.e, s.h, s.fn[2], 1), 0);
    s.h->common = 1;
    assert_int_equal(claim(&s, 2, leases), 2);
    assert_int_equal(n_of(&s, 2), 1 + (leases[0]->future->function == leases[1]->future->function));
    assert_int_equal(s.h->common + s.h->own, 0);
    engine_unclaim(s.x.e, leases[1]);
    engine_unclaim(s.x.e, leases[0]);
    assert_int_equal(s.h->common, 1);
    assert_int_equal(holder_own(s.h, s.fn[2]), 1);
    engine_share_uncredit(s.h);
    assert_int_equal(holder_own(s.h, s.fn[2]) + s.h->own, 0);
    scene_deinit(&s);
}

/* Limits and credit by chance: what is claimed is within both, and nothing that could be claimed is left. */
static void test_by_chance(void **state)
{
    struct test_random random = {test_seed()};

    for (int round = 0; round < 300; round++) {
        uint32_t max[FUNCTIONS], own[FUNCTIONS] = {0}, common = (uint32_t)test_random_below(&random, 6);
        int left[FUNCTIONS], n, wanted = 1 + (int)test_random_below(&random, MAX_LEASES);
        struct lease *leases[MAX_LEASES];
        int is_credited = 0;
        struct scene s;

        scene_init(&s);
        for (int i = 0; i < FUNCTIONS; i++) {
            max[i] = (uint32_t)test_random_below(&random, 4);
            own[i] = round % 2 ? (uint32_t)test_random_below(&random, 4) : 0;
            left[i] = (int)test_random_below(&random, 6);
            is_credited |= own[i] != 0;
            assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[i], max[i]), 0);
            assert_int_equal(engine_share_credit(s.x.e, s.h, s.fn[i], own[i]), 0);
            submit(&s, i, left[i]);
        }
        s.h->common = common;
        if (is_credited) /* nobody asks for more than there is credit for */
            wanted = MIN(wanted, (int)(common + s.h->own));
        n = claim(&s, (uint32_t)wanted, leases);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < FUNCTIONS; k++)
                if (leases[i]->future->function == s.fn[k]) {
                    left[k]--;
                    if (own[k])
                        own[k]--;
                    else if (is_credited) {
                        assert_true(common > 0);
                        common--;
                    }
                }
        for (int k = 0; k < FUNCTIONS; k++) {
            uint32_t held = (uint32_t)n_of(&s, k);

            assert_true(!max[k] || held <= max[k]);
            assert_int_equal(holder_own(s.h, s.fn[k]), own[k]);
            if (n < wanted && left[k] && (!max[k] || held < max[k]))
                assert_true(is_credited && !own[k] && !common);
        }
        scene_deinit(&s);
    }
}

static void test_fails_each_allocation(void **state)
{
    struct scene s;

    scene_init(&s);
    mem_fail_at(1);
    assert_int_equal(engine_share_bound(s.x.e, s.h, s.fn[0], 1), -ENOMEM);
    mem_fail_at(1);
    assert_int_equal(engine_share_credit(s.x.e, s.h, s.fn[0], 1), -ENOMEM);
    mem_fail_at(0);
    assert_int_equal(holder_room(s.h, s.fn[0]), UINT32_MAX);
    assert_int_equal(s.h->own, 0);
    scene_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_never_more),     cmocka_unit_test(test_said_later),
            cmocka_unit_test(test_an_end_is_news), cmocka_unit_test(test_own_credit),
            cmocka_unit_test(test_by_chance),      cmocka_unit_test(test_fails_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
