// SPDX-License-Identifier: Apache-2.0
/* The hash table against a model, its bounds at every size, and what happens without memory. */
#include "engine/table.h"
#include "tests/support/testing.h"

struct item {
    uint64_t hash;
    int key;
};

static int is_key(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const int *)key;
}

static void *find(const struct table *t, const struct item *item)
{
    return table_find(t, item->hash, is_key, &item->key);
}

static const struct hash_seed SEED = {0x123456789abcdef, 0xfedcba9876543210};

static void test_empty(void **state)
{
    struct item item = {.hash = 5, .key = 1};
    struct table t;

    table_init(&t, &SEED);
    assert_null(find(&t, &item));
    table_prefetch(&t, 5);
    assert_int_equal(t.n_slots, 0);
    table_check(&t);
    table_deinit(&t);
}

/* Hashes at both ends, equal ones, neighbours. */
static void test_collisions(void **state)
{
    static const uint64_t hashes[] = {0,          0,          0,         1, 5, 5, 1u << 20, UINT64_MAX - 1,
                                      UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct item items[ARRAY_LEN(hashes)];
    struct table t;

    for (size_t first = 0; first < ARRAY_LEN(hashes); first++) {
        table_init(&t, &SEED);
        for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
            size_t k = (first + i * 7) % ARRAY_LEN(hashes); /* in many orders */

            items[k] = (struct item){.hash = hashes[k], .key = (int)k};
            assert_int_equal(table_insert(&t, hashes[k], &items[k]), 0);
            table_check(&t);
        }
        for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
            size_t k = (first + i * 5) % ARRAY_LEN(hashes);

            assert_ptr_equal(find(&t, &items[k]), &items[k]);
            table_remove(&t, items[k].hash, &items[k]);
            assert_null(find(&t, &items[k]));
            table_check(&t);
        }
        assert_int_equal(t.n_items, 0);
        table_deinit(&t);
    }
}

/* What makes a table bad: everything under a handful of hashes, or in one corner. Slow, but right. */
static void test_clustered(void **state)
{
    enum { N = 6000 };
    static struct item items[N];
    struct test_random random = {test_seed()};

    for (int kind = 0; kind < 3; kind++) {
        struct table t;

        table_init(&t, &SEED);
        for (int i = 0; i < N; i++) {
            uint64_t r = test_random_next(&random);

            items[i].key = i;
            items[i].hash = kind == 0 ? r % 8 * (UINT64_MAX / 8) : kind == 1 ? UINT64_MAX - r % N : r % N;
            assert_int_equal(table_insert(&t, items[i].hash, &items[i]), 0);
        }
        table_check(&t);
        for (int i = 0; i < N; i++)
            assert_ptr_equal(find(&t, &items[i]), &items[i]);
        for (int i = 0; i < N; i++)
            table_remove(&t, items[i].hash, &items[i]);
        table_check(&t);
        table_deinit(&t);
    }
}

/* Random inserts, removals and finds in waves that make it grow and shrink, against the list of what is in. */
static void test_model(void **state)
{
    enum { N = 60000 };
    static struct item items[N];
    static uint8_t is_in[N];
    struct test_random random = {test_seed()};
    struct table t;
    uint64_t n = 0;

    table_init(&t, &SEED);
    for (int step = 0; step < 1200000; step++) {
        size_t i = test_random_below(&random, N);
        int wants_in = test_random_below(&random, 100) < ((step / 150000) % 2 ? 10U : 90U);

        if (is_in[i]) {
            assert_ptr_equal(find(&t, &items[i]), &items[i]);
            if (!wants_in) {
                table_remove(&t, items[i].hash, &items[i]);
                is_in[i] = 0;
                n--;
            }
        } else {
            assert_null(find(&t, &items[i]));
            if (wants_in) {
                items[i] = (struct item){.hash = test_random_next(&random), .key = (int)i};
                assert_int_equal(table_insert(&t, items[i].hash, &items[i]), 0);
                is_in[i] = 1;
                n++;
            }
        }
        assert_int_equal(t.n_items, n);
        if (step % 20000 == 0)
            table_check(&t);
    }
    for (size_t i = 0; i < N; i++) {
        assert_ptr_equal(find(&t, &items[i]), is_in[i] ? &items[i] : NULL);
        if (is_in[i])
            table_remove(&t, items[i].hash, &items[i]);
    }
    assert_true(t.n_slots <= (uint64_t)8 * TABLE_SEGMENT_SLOTS); /* it has shrunk */
    table_check(&t);
    table_deinit(&t);
}

/* A million, one after the other: at no size does an insert move more than TABLE_STEP, or memory jump. And back. */
static void test_million(void **state)
{
    enum { N = 1000000 };
    struct item *items = malloc(N * sizeof *items);
    struct test_random random = {test_seed()};
    struct table t;

    assert_non_null(items);
    table_init(&t, &SEED);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t moved = t.n_moved, slots = t.n_slots;

        items[i] = (struct item){.hash = test_random_next(&random), .key = (int)i};
        assert_int_equal(table_insert(&t, items[i].hash, &items[i]), 0);
        assert_true(t.n_moved - moved <= TABLE_STEP);
        assert_true(t.n_slots <= slots + (uint64_t)2 * TABLE_SEGMENT_SLOTS); /* a new one for each array */
        assert_true(t.n_slots <= (i + 1) * 2 + (uint64_t)4 * TABLE_SEGMENT_SLOTS);
    }
    assert_true(t.n_moved < (uint64_t)3 * N);
    assert_int_equal(t.n_moved_max, TABLE_STEP);
    for (uint64_t i = 0; i < N; i += 7)
        assert_ptr_equal(find(&t, &items[i]), &items[i]);
    table_check(&t);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t moved = t.n_moved;

        table_remove(&t, items[i].hash, &items[i]);
        assert_true(t.n_moved - moved <= TABLE_STEP_MAX);
        assert_true(t.n_slots <= (N - i) * 8 + (uint64_t)8 * TABLE_SEGMENT_SLOTS);
    }
    table_check(&t);
    table_deinit(&t);
    free(items);
}

/* With only half full turns of growing and shrinking around each threshold: never full, never lost. */
static void test_breathing(void **state)
{
    enum { N = 20000 };
    static struct item items[N];
    struct test_random random = {test_seed()};
    struct table t;
    uint64_t first = 0, next = 0;

    table_init(&t, &SEED);
    for (int wave = 0; wave < 60; wave++) {
        uint64_t up = test_random_below(&random, N - (next - first)), down;

        for (uint64_t i = 0; i < up; i++, next++) {
            items[next % N] = (struct item){.hash = test_random_next(&random), .key = (int)next};
            assert_int_equal(table_insert(&t, items[next % N].hash, &items[next % N]), 0);
        }
        down = test_random_below(&random, next - first + 1);
        for (uint64_t i = 0; i < down; i++, first++)
            table_remove(&t, items[first % N].hash, &items[first % N]);
        for (uint64_t i = first; i < next; i++)
            assert_ptr_equal(find(&t, &items[i % N]), &items[i % N]);
        table_check(&t);
    }
    table_deinit(&t);
}

/* Consecutive IDs are neighbours, runs of them are spread, and the seed decides where. */
static void test_hash_id(void **state)
{
    const struct hash_seed other = {SEED.k0 ^ 1, SEED.k1};
    struct test_random random = {test_seed()};
    uint32_t buckets[256] = {0}, n_moved = 0;
    struct table t, u;

    table_init(&t, &SEED);
    table_init(&u, &other);
    for (uint64_t key = UINT64_C(1) << 52; key < (UINT64_C(1) << 52) + 65536; key++) {
        struct id id = id_make(key, test_random_next(&random)), next = id_make(key + 1, 0);
        uint64_t hash = table_hash_id(&t, &id);

        if (key % 4 != 3)
            assert_int_equal(table_hash_id(&t, &next), hash + 1);
        buckets[hash >> 56]++;
        n_moved += (hash >> 56) != (table_hash_id(&u, &id) >> 56);
    }
    for (int i = 0; i < 256; i++) /* 256 expected, in runs of four: a deviation of 32 */
        assert_in_range(buckets[i], 256 - 6 * 32, 256 + 6 * 32);
    assert_true(n_moved > 65536 * 9 / 10);
}

/* IDs as the daemon makes them: many in a millisecond, few, one. */
static void test_ids(void **state)
{
    enum { N = 200000 };
    struct item *items = malloc(N * sizeof *items);
    struct test_random random = {test_seed()};
    uint64_t key = 0;
    struct table t;

    assert_non_null(items);
    table_init(&t, &SEED);
    for (int i = 0; i < N; i++) {
        struct id id;

        key = i % 3 == 0 && test_random_below(&random, 100) == 0 ? ((key >> 12) + 1) << 12 : key + 1;
        id = id_make(key, test_random_next(&random));
        items[i] = (struct item){.hash = table_hash_id(&t, &id), .key = i};
        assert_int_equal(table_insert(&t, items[i].hash, &items[i]), 0);
    }
    table_check(&t);
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(find(&t, &items[i]), &items[i]);
        table_remove(&t, items[i].hash, &items[i]);
    }
    table_deinit(&t);
    free(items);
}

/* Each allocation fails once on the way up: the insert says so or has done without; nothing is lost. */
static void test_fail_each_allocation(void **state)
{
    enum { N = 12000 };
    static struct item items[N];
    struct test_random random = {test_seed()};

    for (int i = 0; i < N; i++)
        items[i] = (struct item){.hash = test_random_next(&random), .key = i};
    FAIL_EACH_ALLOCATION(nth)
    {
        int is_in[N] = {0};
        struct table t;

        table_init(&t, &SEED);
        for (int i = 0; i < N; i++)
            is_in[i] = table_insert(&t, items[i].hash, &items[i]) == 0;
        table_check(&t);
        for (int i = 0; i < N; i++)
            assert_ptr_equal(find(&t, &items[i]), is_in[i] ? &items[i] : NULL);
        table_deinit(&t);
    }
}

/* Without any memory to grow it fills up, then says so, then works again. */
static void test_no_memory_for_long(void **state)
{
    enum { N = 10000 };
    static struct item items[N];
    struct test_random random = {test_seed()};
    struct table t;
    int n = 0;

    table_init(&t, &SEED);
    for (int i = 0; i < N; i++)
        items[i] = (struct item){.hash = test_random_next(&random), .key = i};
    for (; n < 1000; n++)
        assert_int_equal(table_insert(&t, items[n].hash, &items[n]), 0);
    for (;; n++) {
        mem_fail_at(1);
        if (table_insert(&t, items[n].hash, &items[n]) < 0)
            break;
    }
    mem_fail_at(0);
    assert_int_equal(n, TABLE_MIN_SLOTS / 8 * 7);
    table_check(&t);
    for (int i = 0; i < n; i++)
        assert_ptr_equal(find(&t, &items[i]), &items[i]);
    table_remove(&t, items[0].hash, &items[0]);
    for (int i = 1; i < 100; i++) /* shrink a little so that it can start */
        table_remove(&t, items[i].hash, &items[i]);
    for (; n < N; n++)
        assert_int_equal(table_insert(&t, items[n].hash, &items[n]), 0);
    table_check(&t);
    table_deinit(&t);
}

static void remove_what_is_not_in(void *arg)
{
    struct item a = {.hash = 1, .key = 1}, b = {.hash = 1, .key = 2};
    struct table t;

    table_init(&t, &SEED);
    ASSERT(table_insert(&t, a.hash, &a) == 0);
    table_remove(&t, b.hash, &b);
}

static void spoil(void *arg)
{
    struct item items[3] = {{.hash = 1, .key = 1}, {.hash = 1, .key = 2}, {.hash = 9, .key = 3}};
    struct table t;

    table_init(&t, &SEED);
    for (int i = 0; i < 3; i++)
        ASSERT(table_insert(&t, items[i].hash, &items[i]) == 0);
    t.main.segments[0][*(int *)arg].item = NULL; /* a gap in the middle of a sequence */
    table_check(&t);
}

static void test_misuse_aborts(void **state)
{
    int gap = 1;

    test_aborts(remove_what_is_not_in, NULL, "is_out");
    test_aborts(spoil, &gap, "slot_get(a, before).item");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_collisions),
            cmocka_unit_test(test_clustered),
            cmocka_unit_test(test_model),
            cmocka_unit_test(test_million),
            cmocka_unit_test(test_breathing),
            cmocka_unit_test(test_hash_id),
            cmocka_unit_test(test_ids),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_no_memory_for_long),
            cmocka_unit_test(test_misuse_aborts),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
