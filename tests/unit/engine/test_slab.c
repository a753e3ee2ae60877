// SPDX-License-Identifier: Apache-2.0
/* Objects side by side, chunks that come and go. */
#include "engine/slab.h"
#include "tests/support/testing.h"

static void test_objects_are_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {8, 9, 24, 64, 176, 4000, 16000};

    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct slab s;
        void *objects[300];

        slab_init(&s, sizes[k]);
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            objects[i] = slab_alloc(&s);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 8, 0);
            memset(objects[i], (int)i, sizes[k]);
        }
        assert_int_equal(s.n_objects, 300);
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            const uint8_t *p = objects[i];

            for (size_t b = 0; b < sizes[k]; b++)
                assert_int_equal(p[b], (uint8_t)i);
            assert_null(slab_free(&s, objects[i]));
        }
        assert_int_equal(s.n_objects, 0);
        slab_deinit(&s);
    }
}

static void test_freed_objects_are_used_again(void **state)
{
    struct slab s;
    void *a, *b;

    slab_init(&s, 32);
    a = slab_alloc(&s);
    b = slab_alloc(&s);
    slab_free(&s, a);
    assert_ptr_equal(slab_alloc(&s), a);
    assert_int_equal(s.n_chunks, 1);
    slab_free(&s, a);
    slab_free(&s, b);
    assert_null(slab_free(&s, NULL));
    slab_deinit(&s);
}

/* A chunk that empties goes back, but for one. */
static void test_chunks_go_back(void **state)
{
    enum { N = 5000 };
    static void *objects[N];
    struct slab s;
    uint32_t most;

    slab_init(&s, 176);
    for (size_t i = 0; i < N; i++)
        objects[i] = slab_alloc(&s);
    most = s.n_chunks;
    assert_int_equal(most, (N + s.n_per_chunk - 1) / s.n_per_chunk);
    for (size_t i = 0; i < N; i++) {
        uint64_t left;

        slab_free(&s, objects[i]);
        left = s.n_objects;
        assert_true(s.n_empty <= 1);
        assert_true(s.n_chunks <= left / s.n_per_chunk + 3); /* two of them partly filled, one empty */
    }
    assert_int_equal(s.n_chunks, 1);
    for (int i = 0; i < 100; i++) /* around the boundary nothing is allocated and freed */
        slab_free(&s, slab_alloc(&s));
    assert_int_equal(s.n_chunks, 1);
    slab_deinit(&s);
}

/* Random allocations and frees against a model that knows what each object must hold. */
static void test_model(void **state)
{
    enum { N = 3000 };
    static uint64_t *objects[N], values[N];
    struct test_random random = {test_seed()};
    struct slab s;
    uint64_t n = 0;

    slab_init(&s, 40);
    for (int step = 0; step < 200000; step++) {
        size_t i = test_random_below(&random, N);
        int is_growing = (step / 20000) % 2 == 0;

        if (!objects[i] && (is_growing || test_random_below(&random, 4) == 0)) {
            objects[i] = slab_alloc(&s);
            values[i] = test_random_next(&random);
            for (int k = 0; k < 5; k++)
                objects[i][k] = values[i] + (uint64_t)k;
            n++;
        } else if (objects[i]) {
            for (int k = 0; k < 5; k++)
                assert_int_equal(objects[i][k], values[i] + (uint64_t)k);
            objects[i] = slab_free(&s, objects[i]);
            n--;
        }
        assert_int_equal(s.n_objects, n);
    }
    for (size_t i = 0; i < N; i++)
        slab_free(&s, objects[i]);
    slab_deinit(&s);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct slab s;
        void *objects[3];
        int failed = 0;

        slab_init(&s, 8000);
        for (int i = 0; i < 3; i++) {
            objects[i] = slab_alloc(&s);
            failed |= !objects[i];
        }
        assert_int_equal(failed, test_allocation_failed());
        for (int i = 0; i < 3; i++)
            slab_free(&s, objects[i]);
        slab_deinit(&s);
    }
}

static void free_into(void *arg)
{
    struct slab *other = arg, s;

    slab_init(&s, 32);
    slab_free(other, slab_alloc(&s));
}

static void deinit_in_use(void *arg)
{
    struct slab s;

    slab_init(&s, 32);
    ASSERT(slab_alloc(&s));
    slab_deinit(&s);
}

static void test_misuse_aborts(void **state)
{
    struct slab other;

    slab_init(&other, 32);
    test_aborts(free_into, &other, "c->slab == s");
    test_aborts(deinit_in_use, NULL, "s->n_objects == 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_objects_are_aligned_and_apart),
            cmocka_unit_test(test_freed_objects_are_used_again),
            cmocka_unit_test(test_chunks_go_back),
            cmocka_unit_test(test_model),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_misuse_aborts),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
