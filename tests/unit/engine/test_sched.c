// SPDX-License-Identifier: Apache-2.0
/* Ready queues: priority, first in first out, coming back, levels that come and go, the rotation. */
#include "engine/future.h"
#include "engine/limits.h"
#include "engine/sched.h"
#include "tests/support/testing.h"

static const struct hash_seed SEED = {1, 2};

struct world {
    struct sched sched;
    struct limits_account account;
    struct ready ready;
};

static void world_init(struct world *w)
{
    *w = (struct world){.account.limits = LIMITS_DEFAULT};
    sched_init(&w->sched, &SEED, &w->account);
    sched_ready_init(&w->sched, &w->ready);
}

static void world_deinit(struct world *w)
{
    sched_ready_deinit(&w->sched, &w->ready);
    assert_int_equal(w->account.n_bytes, 0);
}

static struct future *make(int32_t priority)
{
    struct future *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->priority = priority;
    list_init(&f->queue);
    return f;
}

static int push(struct world *w, struct future *f)
{
    struct level *level;
    int r = sched_level(&w->sched, &w->ready, f->priority, &level);

    if (r == 0)
        sched_push(&w->sched, level, f);
    return r;
}

/* Pop, done at once, and freed; its priority, INT32_MIN for an empty queue. */
static int32_t take(struct world *w)
{
    struct level *level;
    struct future *f = sched_pop(&w->sched, &w->ready, &level);
    int32_t priority;

    if (!f)
        return INT32_MIN;
    priority = f->priority;
    sched_done(&w->sched, level);
    free(f);
    return priority;
}

static void test_first_in_first_out(void **state)
{
    struct future *futures[100];
    struct level *level;
    struct world w;

    world_init(&w);
    for (int i = 0; i < 100; i++)
        assert_int_equal(push(&w, futures[i] = make(7)), 0);
    assert_int_equal(w.ready.n, 100);
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(sched_pop(&w.sched, &w.ready, &level), futures[i]);
        sched_done(&w.sched, level);
        free(futures[i]);
    }
    assert_null(sched_pop(&w.sched, &w.ready, &level));
    assert_int_equal(w.ready.n, 0);
    world_deinit(&w);
}

static void test_priorities(void **state)
{
    static const int32_t in[] = {0, 5, INT32_MIN + 1, 5, -1, INT32_MAX, 0, -1, INT32_MAX};
    static const int32_t out[] = {INT32_MAX, INT32_MAX, 5, 5, 0, 0, -1, -1, INT32_MIN + 1, INT32_MIN};
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        assert_int_equal(push(&w, make(in[i])), 0);
    assert_int_equal(w.ready.by_priority.n, 5);
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        assert_int_equal(take(&w), out[i]);
    assert_int_equal(w.ready.by_priority.n, 1); /* the last one stays */
    world_deinit(&w);
}

/* What comes back goes to the head of its level, the last one back first, and not before higher priorities. */
static void test_return(void **state)
{
    struct future *a = make(1), *b = make(1), *c = make(1), *high = make(2);
    struct level *la, *lb, *level;
    struct world w;

    world_init(&w);
    push(&w, a);
    push(&w, b);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &la), a);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &lb), b);
    assert_ptr_equal(la, lb);
    push(&w, high); /* the level of 1 is empty now, but stays for those who come back */
    push(&w, c);
    sched_return(&w.sched, lb, b);
    sched_return(&w.sched, la, a);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &level), high);
    sched_done(&w.sched, level);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &level), a);
    sched_done(&w.sched, level);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &level), b);
    sched_done(&w.sched, level);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready, &level), c);
    sched_done(&w.sched, level);
    free(a);
    free(b);
    free(c);
    free(high);
    world_deinit(&w);
}

static void test_remove(void **state)
{
    struct future *a = make(1), *b = make(1), *c = make(3);
    struct world w;

    world_init(&w);
    push(&w, a);
    push(&w, b);
    push(&w, c);
    sched_remove(&w.sched, &w.ready, c); /* the only one of its level */
    assert_int_equal(w.ready.levels.n, 1);
    sched_remove(&w.sched, &w.ready, a); /* one of two */
    assert_int_equal(w.ready.n, 1);
    assert_int_equal(take(&w), 1);
    free(a);
    free(c);
    push(&w, a = make(1));
    sched_remove(&w.sched, &w.ready, a);
    assert_false(list_is_linked(&w.ready.rotation));
    free(a);
    assert_int_equal(take(&w), INT32_MIN);
    world_deinit(&w);
}

/* Many priorities, each used once, leave nothing behind. */
static void test_levels_are_freed(void **state)
{
    struct world w;

    world_init(&w);
    for (int32_t i = 0; i < 5000; i++) {
        assert_int_equal(push(&w, make(i * 7919 % 10007)), 0);
        if (i % 3 == 0)
            take(&w);
        assert_true(w.ready.by_priority.n <= w.ready.n + 1);
        assert_int_equal(w.account.n_bytes, w.ready.by_priority.n * sizeof(struct level));
    }
    for (int32_t last = INT32_MAX, next; (next = take(&w)) != INT32_MIN; last = next)
        assert_true(next <= last);
    world_deinit(&w);
}

/* A level that was asked for and not used is given up. */
static void test_tidy(void **state)
{
    struct level *level;
    struct world w;

    world_init(&w);
    assert_int_equal(push(&w, make(1)), 0);
    assert_int_equal(sched_level(&w.sched, &w.ready, 2, &level), 0);
    assert_int_equal(w.ready.by_priority.n, 2);
    sched_done(&w.sched, level);
    assert_int_equal(w.ready.by_priority.n, 1);
    assert_int_equal(sched_level(&w.sched, &w.ready, 1, &level), 0);
    sched_done(&w.sched, level); /* in use */
    assert_int_equal(take(&w), 1);
    world_deinit(&w);
}

/* Who has work stands in the rotation, in the order in which they got it. */
static void test_rotation(void **state)
{
    struct ready other;
    struct level *level;
    struct future *f = make(0);
    struct world w;

    world_init(&w);
    sched_ready_init(&w.sched, &other);
    assert_true(list_is_empty(&w.sched.rotation));
    assert_int_equal(sched_level(&w.sched, &other, 0, &level), 0);
    sched_push(&w.sched, level, f);
    push(&w, make(0));
    push(&w, make(0));
    assert_ptr_equal(list_first(&w.sched.rotation), &other.rotation);
    sched_remove(&w.sched, &other, f);
    assert_ptr_equal(list_first(&w.sched.rotation), &w.ready.rotation);
    take(&w);
    assert_true(list_is_linked(&w.ready.rotation));
    take(&w);
    assert_true(list_is_empty(&w.sched.rotation));
    free(f);
    sched_ready_deinit(&w.sched, &other);
    world_deinit(&w);
}

/* Against a model: the best priority, then the order of entry, what came back before what waited. */
static void test_model(void **state)
{
    enum { N = 200 };
    struct test_random random = {test_seed()};
    struct future *waiting[N] = {0};
    uint64_t entered[N] = {0}, tick = 1000000, back = 1000000; /* entry falls for what comes back */
    struct level *level;
    struct world w;

    world_init(&w);
    for (int step = 0; step < 50000; step++) {
        size_t i = test_random_below(&random, N), best = N;

        if (!waiting[i] && test_random_below(&random, 2)) {
            waiting[i] = make((int32_t)test_random_below(&random, 5));
            entered[i] = ++tick;
            assert_int_equal(push(&w, waiting[i]), 0);
        } else if (waiting[i] && test_random_below(&random, 4) == 0) {
            sched_remove(&w.sched, &w.ready, waiting[i]);
            free(waiting[i]);
            waiting[i] = NULL;
        } else {
            struct future *f = sched_pop(&w.sched, &w.ready, &level);

            for (size_t k = 0; k < N; k++)
                if (waiting[k] &&
                    (best == N || waiting[k]->priority > waiting[best]->priority ||
                     (waiting[k]->priority == waiting[best]->priority && entered[k] < entered[best])))
                    best = k;
            assert_ptr_equal(f, best == N ? NULL : waiting[best]);
            if (!f)
                continue;
            if (test_random_below(&random, 2)) {
                entered[best] = --back;
                sched_return(&w.sched, level, f);
            } else {
                waiting[best] = NULL;
                sched_done(&w.sched, level);
                free(f);
            }
        }
    }
    while (take(&w) != INT32_MIN)
        ;
    world_deinit(&w);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        int n_failed = 0;
        struct world w;

        world_init(&w);
        for (int32_t i = 0; i < 40; i++) {
            struct future *f = make(i);

            if (push(&w, f) < 0) {
                n_failed++;
                free(f);
            }
        }
        assert_int_equal(n_failed, test_allocation_failed());
        assert_int_equal(w.ready.n, 40 - n_failed);
        while (take(&w) != INT32_MIN)
            ;
        world_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_first_in_first_out),
            cmocka_unit_test(test_priorities),
            cmocka_unit_test(test_return),
            cmocka_unit_test(test_remove),
            cmocka_unit_test(test_levels_are_freed),
            cmocka_unit_test(test_tidy),
            cmocka_unit_test(test_rotation),
            cmocka_unit_test(test_model),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
