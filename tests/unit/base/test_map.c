// SPDX-License-Identifier: Apache-2.0
/* The hash map against an array with one slot per possible key, and every allocation failing. */
#include "base/map.h"
#include "tests/support/testing.h"

enum { N_KEYS = 500, KEY_BYTES = 8 };

struct entry {
    struct map_item item;
    uint8_t key[KEY_BYTES];
    size_t len;
    int is_in;
    int n_seen;
};

static struct entry entries[N_KEYS];

/* Distinct keys with shared prefixes, some with NUL bytes in them, and the empty one. */
static void init_entries(void)
{
    memset(entries, 0, sizeof entries);
    for (size_t i = 1; i < N_KEYS; i++) {
        entries[i].len = 2 + i % (KEY_BYTES - 1);
        entries[i].key[0] = (uint8_t)i;
        entries[i].key[1] = (uint8_t)(i >> 8);
    }
}

static struct span key_of(const struct entry *e)
{
    return (struct span){e->key, e->len};
}

static void check(const struct map *m)
{
    uint32_t n = 0;

    for (size_t i = 0; i < N_KEYS; i++) {
        struct entry *e = &entries[i];
        uint8_t copy[KEY_BYTES]; /* the key's content counts, not its address */

        memcpy(copy, e->key, sizeof copy);
        assert_ptr_equal(map_find(m, (struct span){copy, e->len}), e->is_in ? &e->item : NULL);
        e->n_seen = 0;
        n += (uint32_t)e->is_in;
    }
    assert_int_equal(m->n, n);
    MAP_FOREACH (item, m)
        CONTAINER_OF(item, struct entry, item)->n_seen++;
    for (size_t i = 0; i < N_KEYS; i++)
        assert_int_equal(entries[i].n_seen, entries[i].is_in);
    assert_true(m->n_buckets == 0 || (m->n_buckets & (m->n_buckets - 1)) == 0);
    assert_true(m->n <= m->n_buckets);
}

static void test_empty(void **state)
{
    struct hash_seed seed = {1, 2};
    struct map m;

    map_init(&m, &seed);
    assert_null(map_find(&m, SPAN_LIT("x")));
    assert_null(map_find(&m, (struct span){0}));
    assert_null(map_next(&m, NULL));
    map_deinit(&m);
    map_deinit(&m);
    assert_null(map_find(&m, SPAN_LIT("x")));
}

static void test_random_against_model(void **state)
{
    struct test_random r = {test_seed()};

    for (uint32_t round = 0; round < 40; round++) {
        struct hash_seed seed = {test_random_next(&r), test_random_next(&r)};
        uint64_t n_keys = 1 + test_random_below(&r, N_KEYS), weight = 1 + test_random_below(&r, 9);
        struct map m;

        init_entries();
        map_init(&m, &seed);
        for (int i = 0; i < 3000; i++) {
            struct entry *e = &entries[test_random_below(&r, n_keys)];

            if (test_random_below(&r, 10) < weight) {
                struct entry twin = *e;
                int r_insert = map_insert(&m, e->is_in ? &twin.item : &e->item, key_of(e));

                assert_int_equal(r_insert, e->is_in ? MAP_E_EXISTS : 0);
                e->is_in = 1;
            } else if (e->is_in) {
                map_remove(&m, &e->item);
                e->is_in = 0;
            }
            if (i % 100 == 0)
                check(&m);
        }
        check(&m);
        map_deinit(&m);
    }
}

/* Every key that differs from another in one bit or in its length is another key. */
static void test_near_keys_are_distinct(void **state)
{
    static struct {
        struct map_item item;
        uint8_t key[4];
    } near[1 + 32 + 3];
    struct hash_seed seed = {3, 4};
    struct map m;

    memset(near, 0, sizeof near);
    map_init(&m, &seed);
    for (size_t i = 0; i < ARRAY_LEN(near); i++) {
        if (i >= 1 && i <= 32)
            near[i].key[(i - 1) / 8] = (uint8_t)(1 << (i - 1) % 8);
        assert_int_equal(map_insert(&m, &near[i].item, (struct span){near[i].key, i <= 32 ? 4 : i - 33}), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(near); i++)
        assert_ptr_equal(map_find(&m, near[i].item.key), &near[i].item);
    map_deinit(&m);
}

/* All 64 bits of two hashes equal: no test finds such keys, so one item is given another key while it is in.
 */
static void test_equal_hashes(void **state)
{
    struct map_item a, b;
    struct hash_seed seed = {12, 13};
    struct map m;

    map_init(&m, &seed);
    assert_int_equal(map_insert(&m, &a, SPAN_LIT("key")), 0);
    a.key = SPAN_LIT("yek");
    assert_null(map_find(&m, SPAN_LIT("key")));
    assert_int_equal(map_insert(&m, &b, SPAN_LIT("key")), 0);
    assert_true(a.hash == b.hash);
    assert_ptr_equal(map_find(&m, SPAN_LIT("key")), &b);
    map_remove(&m, &a);
    assert_ptr_equal(map_find(&m, SPAN_LIT("key")), &b);
    map_remove(&m, &b);
    assert_null(map_find(&m, SPAN_LIT("key")));
    map_deinit(&m);
}

/* After deinit the map is empty and takes the same items again. */
static void test_deinit_leaves_the_items(void **state)
{
    struct hash_seed seed = {5, 6};
    struct map m;

    init_entries();
    map_init(&m, &seed);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 100; i++) {
            assert_int_equal(map_insert(&m, &entries[i].item, key_of(&entries[i])), 0);
            entries[i].is_in = 1;
        }
        check(&m);
        map_deinit(&m);
        for (size_t i = 0; i < 100; i++)
            entries[i].is_in = 0;
        check(&m);
    }
}

/* The seed decides the places: two seeds, two orders. A map that ignored it would give one. */
static void test_order_depends_on_the_seed(void **state)
{
    size_t orders[2][100];
    int n_differ = 0;

    for (size_t s = 0; s < 2; s++) {
        struct hash_seed seed = {7, s};
        struct map m;
        size_t n = 0;

        init_entries();
        map_init(&m, &seed);
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(map_insert(&m, &entries[i].item, key_of(&entries[i])), 0);
        MAP_FOREACH (item, &m)
            orders[s][n++] = (size_t)(CONTAINER_OF(item, struct entry, item) - entries);
        assert_int_equal(n, 100);
        map_deinit(&m);
    }
    for (size_t i = 0; i < 100; i++)
        n_differ += orders[0][i] != orders[1][i];
    assert_true(n_differ > 50);
}

static void test_fail_each_allocation(void **state)
{
    struct hash_seed seed = {8, 9};

    FAIL_EACH_ALLOCATION(nth)
    {
        unsigned int n_failed = 0;
        struct map m;

        init_entries();
        map_init(&m, &seed);
        for (size_t i = 0; i < N_KEYS; i++) {
            int r = map_insert(&m, &entries[i].item, key_of(&entries[i]));

            if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                check(&m); /* without the new one, with all others */
                n_failed++;
                assert_int_equal(map_insert(&m, &entries[i].item, key_of(&entries[i])), 0);
            }
            entries[i].is_in = 1;
        }
        assert_int_equal(n_failed, test_allocation_failed());
        check(&m);
        map_deinit(&m);
    }
}

static void remove_entry(void *m)
{
    map_remove(m, &entries[0].item);
}

static void test_removing_what_is_not_in_is_a_bug(void **state)
{
    struct hash_seed seed = {10, 11};
    struct map m;

    init_entries();
    map_init(&m, &seed);
    test_aborts(remove_entry, &m, "assertion failed");
    for (size_t i = 1; i < 100; i++)
        assert_int_equal(map_insert(&m, &entries[i].item, key_of(&entries[i])), 0);
    test_aborts(remove_entry, &m, "assertion failed");
    map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_random_against_model),
            cmocka_unit_test(test_near_keys_are_distinct),
            cmocka_unit_test(test_equal_hashes),
            cmocka_unit_test(test_deinit_leaves_the_items),
            cmocka_unit_test(test_order_depends_on_the_seed),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_removing_what_is_not_in_is_a_bug),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
