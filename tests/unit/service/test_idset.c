// SPDX-License-Identifier: Apache-2.0
/* The set against a model: a sorted list of what was put in. Keys that collide, growth, duplicates, no memory. */
#include "service/idset.h"
#include "tests/support/testing.h"

static const struct hash_seed seed = {11, 22};

static int by_id(const void *a, const void *b)
{
    return id_compare(a, b);
}

static void test_against_model(void **state)
{
    struct test_random rnd = {test_seed()};

    for (unsigned int round = 0; round < 200; round++) {
        uint32_t n_different = 1 + (uint32_t)test_random_below(&rnd, 300), n = 0;
        struct id pool[301], in[301];
        struct idset set;

        for (uint32_t i = 0; i < n_different; i++) /* neighbours in time, and some of equal key */
            pool[i] = id_make(1000 + test_random_below(&rnd, n_different), test_random_next(&rnd));
        idset_init(&set, &seed);
        for (unsigned int i = 0; i < 1000; i++) {
            const struct id *id = &pool[test_random_below(&rnd, n_different)];
            int is_in = n > 0 && bsearch(id, in, n, sizeof *in, by_id);

            assert_int_equal(idset_add(&set, id), is_in ? IDSET_E_EXISTS : 0);
            if (!is_in) {
                in[n++] = *id;
                qsort(in, n, sizeof *in, by_id);
            }
            assert_int_equal(set.n, n);
            assert_true(set.n_slots >= 2 * n ||
                        set.n_slots >= 2 * (n - 1)); /* half empty: looking is short */
            assert_true(set.n_slots <= MAX(16U, 4 * n));
        }
        idset_deinit(&set);
        assert_int_equal(set.n, 0);
    }
}

/* After deinit it is an empty set again, with the same seed. */
static void test_again(void **state)
{
    struct id id = id_make(5, 5);
    struct idset set;

    idset_init(&set, &seed);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(idset_add(&set, &id), 0);
        assert_int_equal(idset_add(&set, &id), IDSET_E_EXISTS);
        idset_deinit(&set);
    }
}

/* Keys 0 and the highest are IDs like any other. */
static void test_ends(void **state)
{
    const struct id ids[] = {id_make(0, 0), id_make(0, UINT64_MAX), id_make((UINT64_C(1) << 60) - 1, 0),
                             id_make((UINT64_C(1) << 60) - 1, UINT64_MAX)};
    struct idset set;

    idset_init(&set, &seed);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(idset_add(&set, &ids[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(idset_add(&set, &ids[i]), IDSET_E_EXISTS);
    idset_deinit(&set);
}

static void test_no_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct idset set;
        uint32_t n = 0;

        idset_init(&set, &seed);
        for (uint64_t key = 1; key <= 100; key++) {
            struct id id = id_make(key, key);
            int r = idset_add(&set, &id);

            if (r == -ENOMEM) { /* nothing is lost, and it works again */
                assert_int_equal(set.n, n);
                r = idset_add(&set, &id);
            }
            assert_int_equal(r, 0);
            n++;
        }
        for (uint64_t key = 1; key <= 100; key++) {
            struct id id = id_make(key, key);

            assert_int_equal(idset_add(&set, &id), IDSET_E_EXISTS);
        }
        idset_deinit(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_against_model),
            cmocka_unit_test(test_again),
            cmocka_unit_test(test_ends),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/idset", tests, NULL, NULL);
}
