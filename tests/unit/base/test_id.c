// SPDX-License-Identifier: Apache-2.0
/* The layout bit by bit, the text both ways and every way to get it wrong, and the order of keys under a bad
 * clock. */
#include "base/id.h"
#include "tests/support/testing.h"

#include <ctype.h>

static const uint64_t KEY_MAX = (UINT64_C(1) << 60) - 1;

/* The example of RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00, rand_a cc3, rand_b
 * 18c4dc0c0c07398f. */
static void test_rfc_example(void **state)
{
    static const char example[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    struct id id = id_make(UINT64_C(0x017f22e279b0) << 12 | 0xcc3, 0x18c4dc0c0c07398f), parsed;
    char text[ID_TEXT_LEN + 1];

    id_format(&id, text);
    assert_string_equal(text, example);
    assert_int_equal(id_parse(example, strlen(example), &parsed), 0);
    assert_memory_equal(&parsed, &id, sizeof id);
    assert_true(id_key(&parsed) == (UINT64_C(0x017f22e279b0) << 12 | 0xcc3));
}

/* The 128 bits as two words. */
static void read_words(const struct id *id, uint64_t *ret_high, uint64_t *ret_low)
{
    uint64_t high = 0, low = 0;

    for (int i = 0; i < 8; i++) {
        high = high << 8 | id->b[i];
        low = low << 8 | id->b[8 + i];
    }
    *ret_high = high;
    *ret_low = low;
}

/* Each single bit of key and random lands where the layout says, and nowhere else. */
static void test_each_bit_of_the_layout(void **state)
{
    const uint64_t version = UINT64_C(7) << 12, variant = UINT64_C(1) << 63;
    uint64_t high, low;
    struct id id;

    for (unsigned int bit = 0; bit < 60; bit++) {
        id = id_make(UINT64_C(1) << bit, 0);
        read_words(&id, &high, &low);
        assert_true(high == (version | UINT64_C(1) << (bit < 12 ? bit : bit + 4)));
        assert_true(low == variant);
        assert_true(id_key(&id) == UINT64_C(1) << bit);
    }
    for (unsigned int bit = 0; bit < 64; bit++) {
        id = id_make(0, UINT64_C(1) << bit);
        read_words(&id, &high, &low);
        assert_true(high == version);
        assert_true(low ==
                    (variant | (bit < 62 ? UINT64_C(1) << bit : 0))); /* the two top bits are not taken */
        assert_true(id_key(&id) == 0);
    }
    id = id_make(KEY_MAX, UINT64_MAX);
    read_words(&id, &high, &low);
    assert_true(high == 0xffffffffffff7fff);
    assert_true(low == 0xbfffffffffffffff);
    assert_true(id_key(&id) == KEY_MAX);
}

static void test_round_trip(void **state)
{
    struct test_random r = {test_seed()};

    for (int i = 0; i < 100000; i++) {
        uint64_t key = test_random_next(&r) & KEY_MAX;
        struct id id = id_make(key, test_random_next(&r)), parsed;
        char text[ID_TEXT_LEN + 2] = "", upper[ID_TEXT_LEN + 1];

        text[ID_TEXT_LEN + 1] = '!';
        id_format(&id, text);
        assert_int_equal(text[ID_TEXT_LEN + 1], '!');
        assert_int_equal(strlen(text), ID_TEXT_LEN);
        assert_int_equal(strspn(text, "0123456789abcdef-"), ID_TEXT_LEN);
        assert_int_equal(id_parse(text, ID_TEXT_LEN, &parsed), 0);
        assert_memory_equal(&parsed, &id, sizeof id);
        assert_true(id_key(&parsed) == key);
        for (size_t k = 0; k <= ID_TEXT_LEN; k++)
            upper[k] = (char)toupper(text[k]);
        assert_int_equal(id_parse(upper, ID_TEXT_LEN, &parsed), 0);
        assert_memory_equal(&parsed, &id, sizeof id);
    }
}

/* Keys order IDs, whatever is random in them; and text orders as IDs do. */
static void test_order(void **state)
{
    static const uint64_t keys[] = {0,      1,          0xff,       0x100,           0xfff,
                                    0x1000, 0xfffff000, 0xffffffff, (1UL << 60) - 2, (1UL << 60) - 1};
    static const uint64_t randoms[] = {0, 1, UINT64_MAX};

    for (size_t i = 0; i < ARRAY_LEN(keys) * 3; i++) {
        for (size_t k = 0; k < ARRAY_LEN(keys) * 3; k++) {
            struct id a = id_make(keys[i / 3], randoms[i % 3]), b = id_make(keys[k / 3], randoms[k % 3]);
            char text_a[ID_TEXT_LEN + 1], text_b[ID_TEXT_LEN + 1];
            int order = id_compare(&a, &b);

            id_format(&a, text_a);
            id_format(&b, text_b);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            order = strcmp(text_a, text_b);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
}

/* What one byte of the text may be, told apart from the parser: canonical 8-4-4-4-12, version 7, variant 10.
 */
static int may_be(size_t at, unsigned char c)
{
    switch (at) {
    case 8:
    case 13:
    case 18:
    case 23: return c == '-';
    case 14: return c == '7';
    case 19: return c && strchr("89abAB", c) != NULL;
    default: return isxdigit(c) != 0;
    }
}

static void test_every_byte_at_every_place(void **state)
{
    static const char good[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

    for (size_t at = 0; at < ID_TEXT_LEN; at++) {
        for (unsigned int c = 0; c < 256; c++) {
            struct id id, untouched;
            char *text = mem_dup(good, ID_TEXT_LEN); /* without the NUL: nothing is read beyond the length */
            int r;

            assert_non_null(text);
            memset(&id, 0x5a, sizeof id);
            untouched = id;
            text[at] = (char)c;
            r = id_parse(text, ID_TEXT_LEN, &id);
            if (r != (may_be(at, (unsigned char)c) ? 0 : ID_E_SYNTAX))
                fail_msg("byte %02x at %zu: %d", c, at, r);
            if (r)
                assert_memory_equal(&id, &untouched, sizeof id);
            mem_free(text);
        }
    }
}

static void test_every_length(void **state)
{
    static const char long_text[] =
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    struct id id;

    for (size_t n = 0; n < sizeof long_text; n++) {
        char *text = mem_alloc(n + (n == 0));

        assert_non_null(text);
        memcpy(text, long_text, n);
        assert_int_equal(id_parse(text, n, &id), n == ID_TEXT_LEN ? 0 : ID_E_SYNTAX);
        mem_free(text);
    }
    assert_int_equal(id_parse(NULL, 0, &id), ID_E_SYNTAX);
}

static void test_other_ways_to_write_a_uuid(void **state)
{
    static const char *const others[] = {
            "017f22e279b07cc398c4dc0c0c07398f",       "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0", "017f22e2-79b0-7cc3-98c4-dc0c0c0739  ",
            " 017f22e2-79b0-7cc3-98c4-dc0c0c07398",   "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",   "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",   "0x7f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    };
    struct id id;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(id_parse(others[i], strlen(others[i]), &id), ID_E_SYNTAX);
}

static const wall_ns_t NOW = INT64_C(1700000000123) * 1000000 + 456789;

static void test_fresh_key_is_the_millisecond(void **state)
{
    assert_true(id_next_key(0, NOW) == UINT64_C(1700000000123) << 12);
    assert_true(id_next_key(UINT64_C(1700000000122) << 12 | 0xfff, NOW) == UINT64_C(1700000000123) << 12);
    assert_true(id_next_key(1, NOW) == UINT64_C(1700000000123) << 12);
}

/* 10,000 IDs within one millisecond: the counter runs full twice, and the milliseconds run ahead. */
static void test_counter_overflow(void **state)
{
    uint64_t k = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        k = id_next_key(k, NOW);
        assert_true(k >> 12 == UINT64_C(1700000000123) + i / 4096);
        assert_int_equal(k & 0xfff, i % 4096);
    }
    /* the clock catches up: no gap is left, and then the clock leads again */
    assert_true(id_next_key(k, NOW + NS_PER_MS) == k + 1);
    assert_true(id_next_key(k, NOW + 2 * NS_PER_MS) == k + 1);
    assert_true(id_next_key(k, NOW + 3 * NS_PER_MS) == UINT64_C(1700000000126) << 12);
}

static void test_clock_going_back(void **state)
{
    uint64_t k = id_next_key(0, NOW);

    assert_true(id_next_key(k, NOW - NS_PER_S) == k + 1);
    assert_true(id_next_key(k, 0) == k + 1);
    assert_true(id_next_key(k, -1) == k + 1);
    assert_true(id_next_key(k, INT64_MIN) == k + 1);
    assert_true(id_next_key(0, 0) == 1); /* a clock without time: keys all the same, and never 0 */
    assert_true(id_next_key(0, INT64_MIN) == 1);
    assert_true(id_next_key(0, NS_PER_MS - 1) == 1);
    assert_true(id_next_key(0, NS_PER_MS) == 1 << 12);
}

/* Any clock at all: strictly increasing, never behind the clock, and never further ahead of it than needed.
 */
static void test_any_clock(void **state)
{
    struct test_random r = {test_seed()};
    wall_ns_t now = NOW, latest = NOW;
    uint64_t last = 0, n = 0;

    for (int i = 0; i < 200000; i++) {
        uint64_t k;

        switch (test_random_below(&r, 20)) {
        case 0: now += (wall_ns_t)test_random_below(&r, (uint64_t)(5 * NS_PER_S)); break;
        case 1: now -= (wall_ns_t)test_random_below(&r, (uint64_t)(6 * NS_PER_S)); break;
        default: now += (wall_ns_t)test_random_below(&r, 1000); break;
        }
        latest = MAX(latest, now);
        k = id_next_key(last, now);
        n++;
        assert_true(k > last);
        assert_true(k >= (uint64_t)(now / NS_PER_MS) << 12);
        assert_true(k <= ((uint64_t)(latest / NS_PER_MS) << 12) + n);
        last = k;
    }
}

static void test_end_of_the_clock(void **state)
{
    uint64_t k = id_next_key(0, INT64_MAX);
    struct id id = id_make(k, 0);

    assert_true(k == (uint64_t)(INT64_MAX / NS_PER_MS) << 12);
    assert_true(k <= KEY_MAX);
    assert_true(id_key(&id) == k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rfc_example),
            cmocka_unit_test(test_each_bit_of_the_layout),
            cmocka_unit_test(test_round_trip),
            cmocka_unit_test(test_order),
            cmocka_unit_test(test_every_byte_at_every_place),
            cmocka_unit_test(test_every_length),
            cmocka_unit_test(test_other_ways_to_write_a_uuid),
            cmocka_unit_test(test_fresh_key_is_the_millisecond),
            cmocka_unit_test(test_counter_overflow),
            cmocka_unit_test(test_clock_going_back),
            cmocka_unit_test(test_any_clock),
            cmocka_unit_test(test_end_of_the_clock),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
