// SPDX-License-Identifier: Apache-2.0
/* The arena: alignment, content that stays, how chunks grow, the limit to the byte, and every allocation
 * failing. */
#include "base/arena.h"
#include "tests/support/testing.h"

enum { ALIGN = _Alignof(max_align_t) };

/* Bytes of one chunk's header: what an arena of one piece uses beyond a piece of a known chunk size. */
static size_t header_bytes(void)
{
    struct arena a;
    size_t n;

    arena_init(&a, 0);
    assert_non_null(arena_alloc(&a, 100000));
    n = a.used_bytes - 100000;
    arena_deinit(&a);
    return n;
}

static void test_init_allocates_nothing(void **state)
{
    struct arena a;

    mem_fail_at(1);
    arena_init(&a, 1000);
    assert_true(mem_fail_pending());
    mem_fail_at(0);
    assert_int_equal(a.used_bytes, 0);
    arena_deinit(&a);
    arena_deinit(&a);
}

static void test_every_size_is_aligned(void **state)
{
    struct arena a;

    arena_init(&a, 0);
    for (size_t n = 0; n <= 4200; n++) {
        uint8_t *p = arena_alloc(&a, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % ALIGN, 0);
        memset(p, 0x5a, n);
    }
    arena_deinit(&a);
}

static void test_zero_bytes_is_not_out_of_memory(void **state)
{
    struct arena a;

    arena_init(&a, 0);
    assert_non_null(arena_alloc(&a, 0)); /* as the first piece */
    arena_deinit(&a);
    arena_init(&a, 0);
    assert_non_null(arena_alloc(&a, 1024));
    assert_non_null(arena_alloc(&a, 0)); /* at the very end of a full chunk */
    arena_deinit(&a);
}

/* Random pieces, each filled with its own pattern: none overlaps another, in any mix of small and large. */
static void test_pieces_keep_their_content(void **state)
{
    enum { N_PIECES = 3000 };
    static struct {
        uint8_t *p;
        size_t n;
    } pieces[N_PIECES];
    struct test_random r = {test_seed()};
    struct arena a;

    arena_init(&a, 0);
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < N_PIECES; i++) {
            size_t most = i % 100 == 99 ? 200000 : i % 10 == 9 ? 5000 : 100;

            pieces[i].n = test_random_below(&r, most);
            pieces[i].p = arena_alloc(&a, pieces[i].n);
            assert_non_null(pieces[i].p);
            memset(pieces[i].p, (int)(i & 0xff), pieces[i].n);
        }
        for (size_t i = 0; i < N_PIECES; i++)
            for (size_t k = 0; k < pieces[i].n; k++)
                if (pieces[i].p[k] != (i & 0xff))
                    fail_msg("piece %zu overwritten at %zu", i, k);
        arena_deinit(&a);
        assert_int_equal(a.used_bytes, 0);
    }
}

/* Many small pieces: chunks double to 64 KiB, so their number is logarithmic at first, then linear. */
static void test_chunks_double_to_a_cap(void **state)
{
    size_t used = 0, largest = 0, n_chunks = 0;
    struct arena a;

    arena_init(&a, 0);
    for (size_t i = 0; i < 65536; i++) {
        assert_non_null(arena_alloc(&a, 16));
        if (a.used_bytes != used) {
            size_t chunk = a.used_bytes - used;

            if (n_chunks > 0 && largest < 60000)
                assert_in_range(chunk, largest + largest / 2, largest * 3);
            largest = MAX(largest, chunk);
            used = a.used_bytes;
            n_chunks++;
        }
    }
    assert_in_range(largest, 64 * 1024, 64 * 1024 + 64);
    assert_in_range(n_chunks, 16, 24); /* 1 MiB in pieces of 64 KiB, and the way there */
    arena_deinit(&a);
}

/* A piece too large for the next chunk has its own; the chunk being filled goes on being filled. */
static void test_large_piece_does_not_end_the_chunk(void **state)
{
    struct arena a;
    uint8_t *before, *after;

    arena_init(&a, 0);
    before = arena_alloc(&a, 16);
    assert_non_null(before);
    assert_non_null(arena_alloc(&a, 1000000));
    after = arena_alloc(&a, 16);
    assert_ptr_equal(after, before + 16);
    arena_deinit(&a);
}

static void test_limit_is_exact(void **state)
{
    size_t header = header_bytes();
    struct arena a;

    for (size_t limit = 1; limit < 3000; limit++) {
        size_t fits = limit > header ? (limit - header) / ALIGN * ALIGN : 0;

        arena_init(&a, limit);
        assert_null(arena_alloc(&a, fits + 1));
        assert_int_equal(a.used_bytes, 0);
        if (fits)
            assert_non_null(arena_alloc(&a, fits));
        assert_true(a.used_bytes <= limit);
        if (fits)
            assert_null(arena_alloc(&a, ALIGN));
        arena_deinit(&a);
        if (fits)
            assert_non_null(arena_alloc(&a, fits)); /* the limit outlives deinit */
        assert_null(arena_alloc(&a, limit + 1));
        arena_deinit(&a);
    }
}

/* Small pieces get all of the limit but the headers: a chunk that would overshoot is made smaller instead. */
static void test_limit_can_be_used_up(void **state)
{
    size_t header = header_bytes();

    for (size_t limit = 1000; limit < 300000; limit += 7777) {
        struct arena a;
        size_t pieces = 0;

        arena_init(&a, limit);
        while (arena_alloc(&a, 16))
            pieces += 16;
        assert_true(a.used_bytes <= limit);
        assert_true(pieces + 16 * (header + ALIGN) > limit);
        arena_deinit(&a);
    }
}

static void test_absurd_sizes(void **state)
{
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX / 2 + 1};
    struct arena a;

    for (int first = 0; first < 2; first++) {
        arena_init(&a, first ? 0 : 4096);
        if (!first)
            assert_non_null(arena_alloc(&a, 1));
        for (size_t i = 0; i < ARRAY_LEN(absurd); i++) {
            assert_null(arena_alloc(&a, absurd[i]));
            assert_null(arena_strndup(&a, "x", absurd[i]));
        }
        arena_deinit(&a);
    }
}

static void test_strndup(void **state)
{
    struct arena a;

    arena_init(&a, 0);
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
    for (size_t n = 0; n < 40; n++) {
        static const char text[] = "0123456789012345678901234567890123456789";
        char *copy = arena_strndup(&a, text, n);

        assert_non_null(copy);
        assert_int_equal(strlen(copy), n);
        assert_memory_equal(copy, text, n);
    }
    arena_deinit(&a);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct arena a;
        int failed = 0;

        arena_init(&a, 0);
        for (size_t i = 0; i < 200; i++) {
            size_t used = a.used_bytes;
            void *p = arena_alloc(&a, i * 7 % 1500);

            if (!p) {
                failed++;
                assert_int_equal(a.used_bytes, used);
                p = arena_alloc(&a, i * 7 % 1500); /* the arena is still good */
                assert_non_null(p);
            }
            memset(p, 1, i * 7 % 1500);
        }
        assert_int_equal(failed, test_allocation_failed());
        arena_deinit(&a);
    }
    FAIL_EACH_ALLOCATION(nth)
    {
        struct arena a;
        char *copy;

        arena_init(&a, 0);
        copy = arena_strndup(&a, "x", 1);
        assert_int_equal(copy == NULL, test_allocation_failed());
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_init_allocates_nothing),
            cmocka_unit_test(test_every_size_is_aligned),
            cmocka_unit_test(test_zero_bytes_is_not_out_of_memory),
            cmocka_unit_test(test_pieces_keep_their_content),
            cmocka_unit_test(test_chunks_double_to_a_cap),
            cmocka_unit_test(test_large_piece_does_not_end_the_chunk),
            cmocka_unit_test(test_limit_is_exact),
            cmocka_unit_test(test_limit_can_be_used_up),
            cmocka_unit_test(test_absurd_sizes),
            cmocka_unit_test(test_strndup),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
