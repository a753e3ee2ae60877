// SPDX-License-Identifier: Apache-2.0
/* Ready queues: priority, turns by fairness key, first in first out, coming back, levels and lanes that come and go, the
 * rotation. */
#include "engine/limits.h"
#include "engine/sched.h"
#include "engine/scope.h"
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
    sched_deinit(&w->sched);
    assert_int_equal(w->account.n_bytes, 0);
}

enum { PRINCIPALS = 8 };

/* As the engine interns them. */
static struct scope *scope_of(unsigned int principal)
{
    static struct realm realm;
    static _Alignas(struct bytes) uint8_t names[PRINCIPALS][sizeof(struct bytes) + 4];
    static struct scope scopes[PRINCIPALS];
    struct bytes *name;

    assert_true(principal < PRINCIPALS);
    name = (struct bytes *)(void *)names[principal];
    name->refs = 1;
    name->len = 2;
    name->data[0] = 'p';
    name->data[1] = (uint8_t)('0' + principal);
    scopes[principal].realm = &realm;
    scopes[principal].principal = name;
    return &scopes[principal];
}

static struct future *make_of(int32_t priority, unsigned int principal)
{
    struct future *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->priority = priority;
    f->scope = scope_of(principal);
    list_init(&f->queue);
    return f;
}

static struct future *make(int32_t priority)
{
    return make_of(priority, 0);
}

static int push(struct world *w, struct future *f)
{
    int r = sched_keep(&w->sched, &w->ready, f);

    if (r == 0)
        sched_push(&w->sched, &w->ready, f);
    return r;
}

/* Pop, done at once, and freed; its priority, INT32_MIN for an empty queue. */
static int32_t take(struct world *w)
{
    struct future *f = sched_pop(&w->sched, &w->ready);
    int32_t priority;

    if (!f)
        return INT32_MIN;
    priority = f->priority;
    sched_done(&w->sched, &w->ready, f);
    free(f);
    return priority;
}

static void test_first_in_first_out(void **state)
{
    struct future *futures[100];
    struct world w;

    world_init(&w);
    for (int i = 0; i < 100; i++)
        assert_int_equal(push(&w, futures[i] = make(7)), 0);
    assert_int_equal(w.ready.n, 100);
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(sched_pop(&w.sched, &w.ready), futures[i]);
        sched_done(&w.sched, &w.ready, futures[i]);
        free(futures[i]);
    }
    assert_null(sched_pop(&w.sched, &w.ready));
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
    struct world w;

    world_init(&w);
    push(&w, a);
    push(&w, b);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), a);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), b);
    push(&w, high); /* the level of 1 is empty now, but stays for those who hold leases */
    push(&w, c);
    sched_return(&w.sched, &w.ready, b);
    sched_return(&w.sched, &w.ready, a);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), high);
    sched_done(&w.sched, &w.ready, high);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), a);
    sched_done(&w.sched, &w.ready, a);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), b);
    sched_done(&w.sched, &w.ready, b);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), c);
    sched_done(&w.sched, &w.ready, c);
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
        assert_int_equal(w.account.n_bytes, w.ready.by_priority.n * sched_level_bytes());
    }
    for (int32_t last = INT32_MAX, next; (next = take(&w)) != INT32_MIN; last = next)
        assert_true(next <= last);
    world_deinit(&w);
}

/* A level or a lane that was kept and not used is given up. */
static void test_keep(void **state)
{
    struct future *one = make(1), *two = make(2), *other = make_of(1, 1);
    struct world w;

    world_init(&w);
    assert_int_equal(push(&w, one), 0);
    assert_int_equal(sched_keep(&w.sched, &w.ready, two), 0);
    assert_int_equal(w.ready.by_priority.n, 2);
    sched_done(&w.sched, &w.ready, two);
    assert_int_equal(w.ready.by_priority.n, 1);
    assert_int_equal(sched_keep(&w.sched, &w.ready, other), 0);
    assert_int_equal(w.sched.lanes.n_items, 1);
    sched_done(&w.sched, &w.ready, other);
    assert_int_equal(w.sched.lanes.n_items, 0);
    assert_int_equal(sched_keep(&w.sched, &w.ready, one), 0);
    sched_done(&w.sched, &w.ready, one); /* in use */
    assert_int_equal(take(&w), 1);
    free(two);
    free(other);
    world_deinit(&w);
}

/* Who has work stands in the rotation, in the order in which they got it. */
static void test_rotation(void **state)
{
    struct ready other;
    struct future *f = make(0);
    struct world w;

    world_init(&w);
    sched_ready_init(&w.sched, &other);
    assert_true(list_is_empty(&w.sched.rotation));
    assert_int_equal(sched_keep(&w.sched, &other, f), 0);
    sched_push(&w.sched, &other, f);
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

/* Who is held has its tasks, but no turn. */
static void test_hold(void **state)
{
    struct world w;

    world_init(&w);
    push(&w, make(0));
    sched_hold(&w.ready);
    sched_hold(&w.ready);
    assert_true(list_is_empty(&w.sched.rotation));
    push(&w, make(0));
    assert_true(list_is_empty(&w.sched.rotation));
    sched_allow(&w.sched, &w.ready);
    sched_allow(&w.sched, &w.ready);
    assert_ptr_equal(list_first(&w.sched.rotation), &w.ready.rotation);
    take(&w);
    take(&w);
    sched_hold(&w.ready);
    sched_allow(&w.sched, &w.ready);
    assert_true(list_is_empty(&w.sched.rotation)); /* there is nothing to do */
    world_deinit(&w);
}

/* Pop, done at once, and freed; whose it was. */
static unsigned int take_whose(struct world *w)
{
    struct future *f = sched_pop(&w->sched, &w->ready);
    unsigned int whose;

    assert_non_null(f);
    whose = (unsigned int)f->scope->principal->data[1] - '0';
    sched_done(&w->sched, &w->ready, f);
    free(f);
    return whose;
}

/* Somebody with a million tasks and somebody with ten: each of the ten waits for one of the million at most. */
static void test_fairness(void **state)
{
    unsigned int n_foreign = 0, n_own = 0;
    struct world w;

    world_init(&w);
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(push(&w, make_of(0, 0)), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(take_whose(&w), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(push(&w, make_of(0, 1)), 0);
    while (n_own < 10) {
        if (take_whose(&w) == 1)
            n_own++;
        else
            n_foreign++;
    }
    assert_true(n_foreign <= 10);
    for (int i = 0; i < 999900 - (int)n_foreign; i++)
        assert_int_equal(take_whose(&w), 0);
    world_deinit(&w);
}

/* A key that is given, and a principal of the same text, are one; what is set aside was no turn. */
static void test_keys(void **state)
{
    struct future_rare rare = {.fairness_key = scope_of(1)->principal};
    struct future *explicit = make_of(0, 2), *own = make_of(0, 1), *other = make_of(0, 3),
                  *second = make_of(0, 1);
    struct world w;

    world_init(&w);
    explicit->rare = &rare;
    push(&w, explicit);
    push(&w, own);
    push(&w, other);
    push(&w, second);
    assert_int_equal(w.sched.lanes.n_items, 1);
    assert_int_equal(w.account.n_bytes, sched_level_bytes() + sched_lane_bytes());
    assert_ptr_equal(sched_set_aside(&w.sched, &w.ready), explicit);
    assert_ptr_equal(sched_peek(&w.ready), own); /* it is still their turn */
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), own);
    sched_done(&w.sched, &w.ready, own);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), other);
    sched_done(&w.sched, &w.ready, other);
    sched_return(&w.sched, &w.ready, explicit);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), explicit);
    sched_done(&w.sched, &w.ready, explicit);
    assert_ptr_equal(sched_pop(&w.sched, &w.ready), second);
    sched_done(&w.sched, &w.ready, second);
    free(explicit);
    free(own);
    free(other);
    free(second);
    world_deinit(&w);
}

/*
 * Against a model: the best priority, of it the key whose turn it is, of its tasks the one that was submitted first, but
 * that a new one is behind all that are there.
 */
enum { N = 200, LEVELS = 3 };

struct model {
    struct future *waiting[N];
    int turns[LEVELS][PRINCIPALS], n_turns[LEVELS]; /* who has tasks, next one first */
    int n[LEVELS][PRINCIPALS];
};

static int whose(const struct future *f)
{
    return f->scope->principal->data[1] - '0';
}

static void model_enter(struct model *m, size_t i, struct future *f)
{
    m->waiting[i] = f;
    if (m->n[f->priority][whose(f)]++ == 0)
        m->turns[f->priority][m->n_turns[f->priority]++] = whose(f);
}

static void model_leave(struct model *m, size_t i, int is_turn)
{
    const struct future *f = m->waiting[i];
    int *turns = m->turns[f->priority], at = 0, n = m->n_turns[f->priority], has_more;

    has_more = --m->n[f->priority][whose(f)] > 0;
    m->waiting[i] = NULL;
    while (turns[at] != whose(f))
        at++;
    if (has_more && !is_turn)
        return;
    memmove(&turns[at], &turns[at + 1], (size_t)(n - at - 1) * sizeof *turns);
    if (has_more)
        turns[n - 1] = whose(f);
    else
        m->n_turns[f->priority]--;
}

static size_t model_best(const struct model *m)
{
    for (int p = LEVELS - 1; p >= 0; p--) {
        size_t best = N;

        for (size_t i = 0; i < N && m->n_turns[p]; i++)
            if (m->waiting[i] && m->waiting[i]->priority == p && whose(m->waiting[i]) == m->turns[p][0] &&
                (best == N || id_key(&m->waiting[i]->id) < id_key(&m->waiting[best]->id)))
                best = i;
        if (best < N)
            return best;
    }
    return N;
}

static void test_model(void **state)
{
    struct test_random random = {test_seed()};
    struct model m = {0};
    struct future *away[N] = {0}, *f; /* under a lease, or set aside */
    uint64_t key = 1, position;
    struct world w;

    world_init(&w);
    for (int step = 0; step < 100000; step++) {
        size_t i = test_random_below(&random, N), best = model_best(&m);
        uint32_t what = (uint32_t)test_random_below(&random, 8);

        if (m.waiting[i] && what == 0) {
            sched_remove(&w.sched, &w.ready, m.waiting[i]);
            f = m.waiting[i];
            model_leave(&m, i, 0);
            free(f);
        } else if (m.waiting[i] && what == 1) { /* the model gives the place by being asked */
            struct model copy = m;
            uint64_t n = 0;

            assert_int_equal(sched_position(&w.sched, &w.ready, m.waiting[i], &position), 1);
            for (size_t at; (at = model_best(&copy)) != i; n++)
                model_leave(&copy, at, 1);
            assert_int_equal(position, n);
        } else if (!m.waiting[i] && away[i] && what < 4) {
            sched_return(&w.sched, &w.ready, away[i]);
            model_enter(&m, i, away[i]);
            away[i] = NULL;
        } else if (!m.waiting[i] && away[i]) {
            sched_done(&w.sched, &w.ready, away[i]);
            free(away[i]);
            away[i] = NULL;
        } else if (!m.waiting[i] && what < 4) {
            f = make_of((int32_t)test_random_below(&random, LEVELS),
                        (unsigned int)test_random_below(&random, 1 + test_random_below(&random, PRINCIPALS)));
            f->id = id_make(++key, 0);
            assert_int_equal(push(&w, f), 0);
            model_enter(&m, i, f);
        } else {
            int is_turn = what != 7;

            f = (is_turn ? sched_pop : sched_set_aside)(&w.sched, &w.ready);
            assert_ptr_equal(f, best == N ? NULL : m.waiting[best]);
            if (!f)
                continue;
            model_leave(&m, best, is_turn);
            away[best] = f;
        }
        assert_int_equal(w.account.n_bytes, w.ready.by_priority.n * sched_level_bytes() +
                                                    w.sched.lanes.n_items * sched_lane_bytes());
    }
    for (size_t i = 0; i < N; i++)
        if (away[i]) {
            sched_done(&w.sched, &w.ready, away[i]);
            free(away[i]);
        }
    while (take(&w) != INT32_MIN)
        ;
    assert_true(w.sched.lanes.n_items <= 1);
    world_deinit(&w);
}

/* Long queues are not walked to the end: an estimate, which the text of the contract calls so. */
static void test_position_estimate(void **state)
{
    struct future *f[3000];
    uint64_t position;
    struct world w;

    world_init(&w);
    for (int i = 0; i < 3000; i++) {
        f[i] = make(0);
        f[i]->id = id_make((uint64_t)i + 1, 0);
        f[i]->submit_time = 1000 + i;
        push(&w, f[i]);
    }
    assert_int_equal(sched_position(&w.sched, &w.ready, f[SCHED_LOOK_MAX - 1], &position), 1);
    assert_int_equal(position, SCHED_LOOK_MAX - 1);
    assert_int_equal(sched_position(&w.sched, &w.ready, f[2500], &position), 0);
    assert_in_range(position, 2490, 2510);
    assert_ptr_equal(sched_oldest(&w.ready), f[0]);
    while (take(&w) != INT32_MIN)
        ;
    assert_null(sched_oldest(&w.ready));
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
            struct future *f = make_of(i / 4, (unsigned int)i % 4);

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
            cmocka_unit_test(test_keep),
            cmocka_unit_test(test_rotation),
            cmocka_unit_test(test_hold),
            cmocka_unit_test(test_fairness),
            cmocka_unit_test(test_keys),
            cmocka_unit_test(test_model),
            cmocka_unit_test(test_position_estimate),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
