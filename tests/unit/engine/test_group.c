// SPDX-License-Identifier: Apache-2.0
#include "engine/group.h"
#include "engine/limits.h"
#include "engine/scope.h"
#include "tests/support/testing.h"

static const struct hash_seed SEED = {7, 8};

struct world {
    struct group_set set;
    struct limits_account account;
    struct scope_set scopes;
    const struct realm *realm, *other;
};

static void world_init(struct world *w)
{
    struct scope *scope, *other;

    *w = (struct world){0};
    group_set_init(&w->set, &SEED, &w->account);
    scope_set_init(&w->scopes, &SEED);
    scope = scope_get(&w->scopes, SPAN_LIT("a"), SPAN_LIT("p"));
    other = scope_get(&w->scopes, SPAN_LIT("b"), SPAN_LIT("p"));
    assert_non_null(scope);
    assert_non_null(other);
    w->realm = scope->realm;
    w->other = other->realm;
}

static void world_deinit(struct world *w)
{
    group_set_deinit(&w->set);
    scope_set_deinit(&w->scopes);
    assert_int_equal(w->account.n_bytes, 0);
}

static struct group *get(struct world *w, const struct realm *realm, const char *name)
{
    struct group *g = NULL;

    assert_int_equal(group_get(&w->set, realm, span_of_string(name), &g), 0);
    return g;
}

static void test_members_in_order(void **state)
{
    struct membership m[5] = {0};
    struct future f[5] = {0};
    struct group *g;
    struct world w;
    int i = 0;

    world_init(&w);
    assert_null(group_find(&w.set, w.realm, SPAN_LIT("g")));
    g = get(&w, w.realm, "g");
    assert_int_equal(w.account.n_bytes, group_bytes(g));
    for (int k = 0; k < 5; k++)
        group_join(g, &m[k], &f[k]);
    assert_ptr_equal(get(&w, w.realm, "g"), g);
    group_leave(&m[2]);
    group_tidy(&w.set, g);
    assert_int_equal(g->n, 4);
    LIST_FOREACH (l, &g->members) {
        i += i == 2;
        assert_ptr_equal(LIST_ENTRY(l, struct membership, of_group)->future, &f[i++]);
    }
    for (int k = 0; k < 5; k++)
        if (k != 2)
            group_leave(&m[k]);
    group_tidy(&w.set, g);
    assert_null(group_find(&w.set, w.realm, SPAN_LIT("g")));
    world_deinit(&w);
}

static void test_one_name_in_two_namespaces(void **state)
{
    struct group *a, *b;
    struct world w;

    world_init(&w);
    a = get(&w, w.realm, "g");
    b = get(&w, w.other, "g");
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(group_find(&w.set, w.other, SPAN_LIT("g")), b);
    group_tidy(&w.set, a);
    assert_ptr_equal(group_find(&w.set, w.other, SPAN_LIT("g")), b);
    group_tidy(&w.set, b);
    world_deinit(&w);
}

/* Who waits for a first member keeps the group. */
static void test_expected(void **state)
{
    struct list waiter;
    struct group *g;
    struct world w;

    world_init(&w);
    list_init(&waiter);
    g = get(&w, w.realm, "g");
    list_push_back(&g->expecting, &waiter);
    group_tidy(&w.set, g);
    assert_ptr_equal(group_find(&w.set, w.realm, SPAN_LIT("g")), g);
    list_del(&waiter);
    group_tidy(&w.set, g);
    world_deinit(&w);
}

static void test_many(void **state)
{
    enum { N = 20000 };
    static struct group *groups[N];
    struct world w;
    char name[32];

    world_init(&w);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "group-%d", i);
        groups[i] = get(&w, w.realm, name);
    }
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "group-%d", i);
        assert_ptr_equal(group_find(&w.set, w.realm, span_of_string(name)), groups[i]);
    }
    for (int i = 0; i < N; i++)
        group_tidy(&w.set, groups[i]);
    world_deinit(&w);
}

static void test_fail_each_allocation(void **state)
{
    struct world w;

    world_init(&w);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct group *g = NULL;
        int r = group_get(&w.set, w.realm, SPAN_LIT("g"), &g);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(g == NULL, test_allocation_failed());
        assert_ptr_equal(group_find(&w.set, w.realm, SPAN_LIT("g")), g);
        if (g)
            group_tidy(&w.set, g);
        assert_int_equal(w.account.n_bytes, 0);
        table_deinit(&w.set.table); /* so that the next run starts from nothing again */
        table_init(&w.set.table, &SEED);
    }
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_members_in_order),
            cmocka_unit_test(test_one_name_in_two_namespaces),
            cmocka_unit_test(test_expected),
            cmocka_unit_test(test_many),
            cmocka_unit_test(test_fail_each_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
