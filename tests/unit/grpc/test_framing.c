// SPDX-License-Identifier: Apache-2.0
/* The reader of messages: every split of a stream gives the same messages, nothing is stored unchecked, a
 * whole message is not copied. */
#include "grpc/framing.h"
#include "tests/support/testing.h"

enum { N_MESSAGES = 12, LIMIT = 300 };

/* A stream of messages of 0, 1, ..., 250 bytes. */
struct stream {
    uint8_t bytes[2048];
    size_t n;
    size_t lens[N_MESSAGES];
};

static struct stream make_stream(void)
{
    static const size_t lens[N_MESSAGES] = {0, 1, 5, 4, 0, 0, 100, 250, 3, 128, 0, 7};
    struct stream s = {.n = 0};

    for (size_t i = 0; i < N_MESSAGES; i++) {
        framing_put_head(s.bytes + s.n, lens[i]);
        s.n += FRAMING_HEAD_BYTES;
        for (size_t k = 0; k < lens[i]; k++)
            s.bytes[s.n++] = (uint8_t)(i * 31 + k);
        s.lens[i] = lens[i];
    }
    return s;
}

static void check_message(const struct stream *s, size_t i, struct span message)
{
    assert_true(i < N_MESSAGES);
    assert_int_equal(message.len, s->lens[i]);
    for (size_t k = 0; k < message.len; k++)
        assert_int_equal(message.p[k], (uint8_t)(i * 31 + k));
}

/* Take all that @in has; the number of messages seen in all. */
static size_t take_all(struct framing *f, const struct stream *s, struct span in, size_t n_seen)
{
    struct span message;
    int r;

    while ((r = framing_next(f, &in, LIMIT, &message)) == 0)
        check_message(s, n_seen++, message);
    assert_int_equal(r, FRAMING_E_MORE);
    assert_int_equal(in.len, 0);
    return n_seen;
}

static void test_every_chunk_size(void **state)
{
    struct stream s = make_stream();
    struct framing_pool pool = {0};

    for (size_t chunk = 1; chunk <= s.n; chunk++) {
        struct framing f;
        size_t seen = 0;

        framing_init(&f, &pool);
        for (size_t at = 0; at < s.n; at += chunk) {
            size_t n = MIN(chunk, s.n - at);
            uint8_t *piece = malloc(n); /* its end is watched by the address sanitizer */

            memcpy(piece, s.bytes + at, n);
            seen = take_all(&f, &s, (struct span){piece, n}, seen);
            free(piece);
        }
        assert_int_equal(seen, N_MESSAGES);
        assert_int_equal(framing_stored(&f), 0);
        framing_release(&f);
    }
    framing_pool_deinit(&pool);
}

static void test_every_split_in_three(void **state)
{
    struct stream s = make_stream();
    struct framing_pool pool = {0};

    for (size_t a = 0; a <= s.n; a += 3)
        for (size_t b = a; b <= s.n; b += 5) {
            struct framing f;
            size_t seen;

            framing_init(&f, &pool);
            seen = take_all(&f, &s, (struct span){s.bytes, a}, 0);
            seen = take_all(&f, &s, (struct span){s.bytes + a, b - a}, seen);
            seen = take_all(&f, &s, (struct span){s.bytes + b, s.n - b}, seen);
            assert_int_equal(seen, N_MESSAGES);
            framing_release(&f);
        }
    framing_pool_deinit(&pool);
}

static void test_whole_messages_are_not_copied(void **state)
{
    struct stream s = make_stream();
    struct framing_pool pool = {0};
    struct span in = {s.bytes, s.n}, message;
    struct framing f;

    framing_init(&f, &pool);
    mem_fail_at(1); /* no allocation may happen */
    for (size_t i = 0; i < N_MESSAGES; i++) {
        assert_int_equal(framing_next(&f, &in, LIMIT, &message), 0);
        assert_ptr_equal(message.p + message.len, in.p);
        assert_null(f.raw.data);
    }
    assert_int_equal(framing_next(&f, &in, LIMIT, &message), FRAMING_E_MORE);
    assert_true(mem_fail_pending());
    mem_fail_at(0);
}

/* The head of a message that is too large, in any split: refused with its last byte, nothing of the message
 * stored. */
static void test_too_large(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 1, 45, 1, 2, 3, 4, 5}; /* 301 */
    struct framing_pool pool = {0};

    for (size_t split = 0; split < sizeof bytes; split++) {
        struct span in = {bytes, split}, message;
        struct framing f;
        int r;

        framing_init(&f, &pool);
        r = framing_next(&f, &in, LIMIT, &message);
        if (split < FRAMING_HEAD_BYTES) {
            assert_int_equal(r, FRAMING_E_MORE);
            in = (struct span){bytes + split, sizeof bytes - split};
            r = framing_next(&f, &in, LIMIT, &message);
        }
        assert_int_equal(r, FRAMING_E_TOO_LARGE);
        assert_int_equal(f.length, 301);
        assert_true(framing_stored(&f) <= FRAMING_HEAD_BYTES);
        framing_release(&f);
    }
    framing_pool_deinit(&pool);
}

static void test_at_the_limit(void **state)
{
    uint8_t bytes[FRAMING_HEAD_BYTES + LIMIT] = {0};
    struct span in = {bytes, sizeof bytes}, message;
    struct framing_pool pool = {0};
    struct framing f;

    framing_put_head(bytes, LIMIT);
    framing_init(&f, &pool);
    assert_int_equal(framing_next(&f, &in, LIMIT, &message), 0);
    assert_int_equal(message.len, LIMIT);
    in = (struct span){bytes, sizeof bytes};
    assert_int_equal(framing_next(&f, &in, LIMIT - 1, &message), FRAMING_E_TOO_LARGE);
}

static void test_compressed(void **state)
{
    static const uint8_t flags[] = {1, 2, 255};
    struct framing_pool pool = {0};

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const uint8_t bytes[] = {flags[i], 0, 0, 0, 0};
        struct span in = {bytes, sizeof bytes}, message;
        struct framing f;

        framing_init(&f, &pool);
        assert_int_equal(framing_next(&f, &in, LIMIT, &message), FRAMING_E_COMPRESSED);
        assert_int_equal(framing_gather(&f, (struct span){bytes, sizeof bytes}, LIMIT), FRAMING_E_COMPRESSED);
    }
}

/* What is held comes first, then what follows. */
static void test_hold(void **state)
{
    struct stream s = make_stream();
    struct framing_pool pool = {0};

    for (size_t at = 0; at <= s.n; at++) {
        struct framing f;
        size_t seen;

        framing_init(&f, &pool);
        assert_int_equal(framing_hold(&f, (struct span){s.bytes, at / 2}), 0);
        assert_int_equal(framing_hold(&f, (struct span){s.bytes + at / 2, at - at / 2}), 0);
        assert_int_equal(framing_stored(&f), at);
        seen = take_all(&f, &s, (struct span){s.bytes + at, s.n - at}, 0);
        assert_int_equal(seen, N_MESSAGES);
        framing_release(&f);
    }
    framing_pool_deinit(&pool);
}

/* A message was taken out of what is stored, then reading stops: the rest is kept, the message is not. */
static void test_hold_behind_a_lent_message(void **state)
{
    struct stream s = make_stream();
    struct framing_pool pool = {0};
    struct span none = {0}, message;
    struct framing f;

    framing_init(&f, &pool);
    assert_int_equal(framing_hold(&f, (struct span){s.bytes, 50}), 0);
    assert_int_equal(framing_next(&f, &none, LIMIT, &message), 0);
    check_message(&s, 0, message);
    assert_int_equal(framing_next(&f, &none, LIMIT, &message), 0);
    check_message(&s, 1, message);
    assert_int_equal(framing_stored(&f), 50 - 5 - 6);
    assert_int_equal(framing_hold(&f, (struct span){s.bytes + 50, 10}), 0);
    assert_int_equal(framing_stored(&f), 60 - 5 - 6);
    assert_int_equal(take_all(&f, &s, (struct span){s.bytes + 60, s.n - 60}, 2), N_MESSAGES);
    framing_release(&f);
    framing_pool_deinit(&pool);
}

static void test_gather(void **state)
{
    uint8_t bytes[FRAMING_HEAD_BYTES + 20 + 1];
    struct framing_pool pool = {0};

    framing_put_head(bytes, 20);
    memset(bytes + FRAMING_HEAD_BYTES, 7, 21);
    for (size_t chunk = 1; chunk <= 25; chunk++) {
        struct span none = {0}, message;
        struct framing f;

        framing_init(&f, &pool);
        for (size_t at = 0; at < 25; at += chunk)
            assert_int_equal(framing_gather(&f, (struct span){bytes + at, MIN(chunk, 25 - at)}, LIMIT), 0);
        assert_int_equal(framing_gather(&f, (struct span){0}, LIMIT), 0);
        assert_int_equal(framing_gather(&f, (struct span){bytes + 25, 1}, LIMIT), FRAMING_E_EXTRA);
        assert_int_equal(framing_stored(&f), 25);
        assert_int_equal(framing_next(&f, &none, LIMIT, &message), 0);
        assert_int_equal(message.len, 20);
        framing_release(&f);
        assert_int_equal(framing_gather(&f, (struct span){bytes, 26}, LIMIT), FRAMING_E_EXTRA);
        assert_int_equal(framing_gather(&f, (struct span){bytes, 6}, 19), FRAMING_E_TOO_LARGE);
        assert_int_equal(framing_stored(&f), 0);
        framing_release(&f);
    }
    framing_pool_deinit(&pool);
}

/* Buffers go round: a second message in parts allocates nothing; a large buffer is not kept. */
static void test_pool(void **state)
{
    static uint8_t large[FRAMING_POOL_BUF_BYTES + 1000];
    struct framing_pool pool = {0};
    struct framing f[FRAMING_POOL_BUFS + 2];

    for (size_t i = 0; i < ARRAY_LEN(f); i++) {
        framing_init(&f[i], &pool);
        assert_int_equal(framing_hold(&f[i], SPAN_LIT("abc")), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        framing_release(&f[i]);
    assert_int_equal(pool.n, FRAMING_POOL_BUFS);
    mem_fail_at(1);
    assert_int_equal(framing_hold(&f[0], SPAN_LIT("abc")), 0);
    assert_true(mem_fail_pending());
    mem_fail_at(0);
    assert_int_equal(pool.n, FRAMING_POOL_BUFS - 1);
    assert_int_equal(framing_hold(&f[0], (struct span){large, sizeof large}), 0);
    framing_release(&f[0]);
    assert_int_equal(pool.n, FRAMING_POOL_BUFS - 1);
    framing_pool_deinit(&pool);
    assert_int_equal(pool.n, 0);
}

static void test_no_memory(void **state)
{
    struct stream s = make_stream();

    FAIL_EACH_ALLOCATION(nth)
    {
        struct framing_pool pool = {0};
        struct framing f;
        size_t at = 0, seen = 0;
        int r = 0;

        framing_init(&f, &pool);
        while (at < s.n && r >= 0) {
            struct span in = {s.bytes + at, MIN((size_t)7, s.n - at)}, message;

            while ((r = framing_next(&f, &in, LIMIT, &message)) == 0)
                check_message(&s, seen++, message);
            at += 7;
        }
        assert_int_equal(r < 0, test_allocation_failed());
        framing_release(&f);
        framing_pool_deinit(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_chunk_size),
            cmocka_unit_test(test_every_split_in_three),
            cmocka_unit_test(test_whole_messages_are_not_copied),
            cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_at_the_limit),
            cmocka_unit_test(test_compressed),
            cmocka_unit_test(test_hold),
            cmocka_unit_test(test_hold_behind_a_lent_message),
            cmocka_unit_test(test_gather),
            cmocka_unit_test(test_pool),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
