// SPDX-License-Identifier: Apache-2.0
/* The byte queue, against a model that keeps one counter: byte k ever appended has a value computed from k,
 * so the content of the buffer is known from how many bytes went in and came out. */
#include "base/buf.h"
#include "tests/support/testing.h"

static uint8_t byte_at(size_t k)
{
    return (uint8_t)(k * 131 + (k >> 8) * 7 + 3);
}

struct model {
    struct buf b;
    size_t n_in, n_out;
    size_t moved_bytes; /* how many bytes were copied or moved to make room */
};

static void check_content(const struct model *m)
{
    const uint8_t *p = buf_head(&m->b);

    assert_int_equal(buf_len(&m->b), m->n_in - m->n_out);
    assert_true(m->b.start <= m->b.end && m->b.end <= m->b.cap);
    for (size_t k = m->n_out; k < m->n_in; k++)
        if (*p++ != byte_at(k))
            fail_msg("byte %zu is wrong", k);
}

/* How the bytes are written: by buf_append, or in place by buf_reserve and buf_commit. */
static void append(struct model *m, size_t n, int in_place)
{
    uint8_t *data = m->b.data, *bytes = NULL;
    size_t start = m->b.start, len = buf_len(&m->b);

    if (in_place) {
        assert_int_equal(buf_reserve(&m->b, n), 0);
        for (size_t i = 0; i < n; i++)
            buf_tail(&m->b)[i] = byte_at(m->n_in + i);
        buf_commit(&m->b, n);
    } else {
        bytes = n ? mem_alloc(n) : NULL;
        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(m->n_in + i);
        assert_int_equal(buf_append(&m->b, bytes, n), 0);
        mem_free(bytes);
    }
    if (m->b.data != data || m->b.start != start)
        m->moved_bytes += len;
    m->n_in += n;
}

static void consume(struct model *m, size_t n)
{
    buf_consume(&m->b, n);
    m->n_out += n;
}

static void test_empty(void **state)
{
    struct buf b = BUF_INIT;

    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_reserve(&b, 0), 0);
    assert_null(b.data);
    assert_ptr_equal(buf_head(&b), buf_tail(&b));
    buf_consume(&b, 0);
    buf_commit(&b, 0);
    buf_clear(&b);
    buf_shrink(&b, 0);
    buf_deinit(&b);
    buf_deinit(&b);
}

/* Every sequence of four appends and consumes with sizes around the first capacity. */
static void test_small_sequences(void **state)
{
    static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 257, 600};
    enum { N = ARRAY_LEN(sizes) };

    for (size_t code = 0; code < (size_t)N * N * N * N; code++) {
        struct model m = {.b = BUF_INIT};

        append(&m, sizes[code % N], code & 1);
        consume(&m, MIN(buf_len(&m.b), sizes[code / N % N]));
        append(&m, sizes[code / N / N % N], code & 2);
        check_content(&m);
        consume(&m, MIN(buf_len(&m.b), sizes[code / N / N / N]));
        append(&m, 200, 0);
        check_content(&m);
        buf_deinit(&m.b);
    }
}

static void test_random_against_model(void **state)
{
    struct test_random r = {test_seed()};

    for (int round = 0; round < 200; round++) {
        struct model m = {.b = BUF_INIT};
        size_t most = (size_t)1 << (round % 14);

        for (int i = 0; i < 300; i++) {
            if (test_random_below(&r, 2))
                append(&m, test_random_below(&r, most), (int)test_random_below(&r, 2));
            else
                consume(&m, MIN(buf_len(&m.b), test_random_below(&r, most)));
            if (i % 20 == 0)
                check_content(&m);
        }
        check_content(&m);
        buf_deinit(&m.b);
    }
}

static void test_consuming_all_resets(void **state)
{
    struct model m = {.b = BUF_INIT};
    uint8_t *data;

    append(&m, 256, 0);
    data = m.b.data;
    for (int i = 0; i < 1000; i++) {
        consume(&m, buf_len(&m.b));
        assert_ptr_equal(buf_tail(&m.b), data);
        append(&m, 1 + (size_t)i % 256, 0);
        assert_ptr_equal(m.b.data, data);
        assert_ptr_equal(buf_head(&m.b), data);
    }
    check_content(&m);
    buf_deinit(&m.b);
}

/* A queue of any length that stays about as long, fed and drained by a little: the bytes that are moved to
 * make room stay in proportion to those that pass through, and the memory to the length. */
static void test_moves_are_amortised(void **state)
{
    for (size_t len = 1; len < 5000; len += 61) {
        for (size_t step = 1; step <= 9; step += 4) {
            struct model m = {.b = BUF_INIT};

            append(&m, len, 0);
            for (int i = 0; i < 20000; i++) {
                append(&m, step, 1);
                consume(&m, step);
            }
            check_content(&m);
            if (m.moved_bytes > 2 * m.n_in)
                fail_msg("length %zu, step %zu: moved %zu of %zu bytes", len, step, m.moved_bytes, m.n_in);
            assert_true(m.b.cap <= MAX(4 * (len + step), (size_t)256));
            buf_deinit(&m.b);
        }
    }
}

static void test_growing_is_amortised(void **state)
{
    struct model m = {.b = BUF_INIT};

    for (int i = 0; i < 1000000; i++)
        append(&m, 1, 1);
    check_content(&m);
    assert_true(m.moved_bytes <= 2 * m.n_in);
    buf_deinit(&m.b);
}

static void test_reserve_is_enough(void **state)
{
    for (size_t n = 0; n < 2000; n++) {
        struct model m = {.b = BUF_INIT};
        uint8_t *tail;

        append(&m, n, 0);
        consume(&m, n / 3);
        assert_int_equal(buf_reserve(&m.b, n), 0);
        tail = buf_tail(&m.b);
        assert_true(m.b.cap - m.b.end >= n);
        append(&m, n, 0); /* does not move what was promised */
        if (n > 1)
            assert_ptr_equal(buf_tail(&m.b), tail + n);
        check_content(&m);
        buf_deinit(&m.b);
    }
}

static void test_shrink(void **state)
{
    struct model m = {.b = BUF_INIT};

    append(&m, 1000, 0);
    buf_shrink(&m.b, 0);
    check_content(&m); /* not empty: kept */
    consume(&m, 1000);
    buf_shrink(&m.b, m.b.cap);
    assert_non_null(m.b.data);
    buf_shrink(&m.b, m.b.cap - 1);
    assert_null(m.b.data);
    assert_int_equal(m.b.cap, 0);
    append(&m, 10, 0);
    check_content(&m);
    buf_deinit(&m.b);
}

static void test_clear_keeps_the_memory(void **state)
{
    struct model m = {.b = BUF_INIT};

    append(&m, 1000, 0);
    buf_clear(&m.b);
    assert_int_equal(buf_len(&m.b), 0);
    assert_int_equal(buf_len(&m.b), 0);
    assert_true(m.b.cap >= 1000);
    m.n_out = m.n_in;
    append(&m, 1000, 0);
    check_content(&m);
    buf_deinit(&m.b);
}

static void test_absurd_sizes(void **state)
{
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    struct model m = {.b = BUF_INIT};

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(absurd); i++) {
            assert_int_equal(buf_reserve(&m.b, absurd[i]), -ENOMEM);
            check_content(&m);
        }
        append(&m, 100, 0);
    }
    buf_deinit(&m.b);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf b = BUF_INIT;
        size_t n_failed = 0;

        for (size_t i = 0; i < 3000; i++) {
            uint8_t byte = byte_at(i);
            struct buf before = b;
            int r = buf_append(&b, &byte, 1);

            if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                assert_memory_equal(&b, &before, sizeof b);
                n_failed++;
                assert_int_equal(buf_append(&b, &byte, 1), 0);
            }
        }
        assert_int_equal(n_failed, test_allocation_failed());
        for (size_t i = 0; i < 3000; i++)
            assert_int_equal(buf_head(&b)[i], byte_at(i));
        buf_deinit(&b);
    }
}

static void commit_too_much(void *arg)
{
    buf_commit(arg, ((struct buf *)arg)->cap - ((struct buf *)arg)->end + 1);
}

static void consume_too_much(void *arg)
{
    buf_consume(arg, buf_len(arg) + 1);
}

static void test_overruns_are_bugs(void **state)
{
    struct model m = {.b = BUF_INIT};

    test_aborts(commit_too_much, &m.b, "n <= b->cap - b->end");
    test_aborts(consume_too_much, &m.b, "n <= buf_len(b)");
    append(&m, 100, 0);
    consume(&m, 1);
    test_aborts(commit_too_much, &m.b, "n <= b->cap - b->end");
    test_aborts(consume_too_much, &m.b, "n <= buf_len(b)");
    buf_deinit(&m.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_small_sequences),
            cmocka_unit_test(test_random_against_model),
            cmocka_unit_test(test_consuming_all_resets),
            cmocka_unit_test(test_moves_are_amortised),
            cmocka_unit_test(test_growing_is_amortised),
            cmocka_unit_test(test_reserve_is_enough),
            cmocka_unit_test(test_shrink),
            cmocka_unit_test(test_clear_keeps_the_memory),
            cmocka_unit_test(test_absurd_sizes),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_overruns_are_bugs),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
