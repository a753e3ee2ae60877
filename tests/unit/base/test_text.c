// SPDX-License-Identifier: Apache-2.0
/* Texts of user code: every byte sequence becomes valid UTF-8 within its limit, and what was valid stays as it is. */
#include "base/text.h"
#include "base/utf8.h"
#include "tests/support/testing.h"

static void expect_clean(const char *from, size_t max, const char *expected)
{
    struct arena a;
    struct span s;

    arena_init(&a, 0);
    s = text_clean(&a, span_of_string(from), max);
    if (s.len != strlen(expected) || memcmp(s.len ? (const char *)s.p : "", expected, s.len) != 0)
        fail_msg("<%s> at %zu becomes <%.*s>, not <%s>", from, max, (int)s.len, (const char *)s.p, expected);
    arena_deinit(&a);
}

static void test_clean(void **state)
{
    expect_clean("", 10, "");
    expect_clean("abc", 10, "abc");
    expect_clean("abc", 3, "abc");
    expect_clean("abc", 2, "ab");
    expect_clean("\xc3\xa4\xc3\xb6", 4, "\xc3\xa4\xc3\xb6");
    expect_clean("\xc3\xa4\xc3\xb6", 3, "\xc3\xa4");
    expect_clean("\xc3\xa4", 1, "");
    expect_clean("a\xff"
                 "b",
                 10,
                 "a\xef\xbf\xbd"
                 "b");
    expect_clean("\xe2\x82", 10, "\xef\xbf\xbd\xef\xbf\xbd");                 /* cut off */
    expect_clean("\xed\xa0\x80", 10, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
    expect_clean("\xff\xff\xff", 6, "\xef\xbf\xbd\xef\xbf\xbd");
    expect_clean("a\xff", 3, "a");
    expect_clean("0123456789\xf0\x9f\x98\x80", 10, "0123456789");
    expect_clean("0123456789\xf0\x9f\x98\x80", 12, "0123456789");
}

static void test_any_bytes(void **state)
{
    struct test_random random = {test_seed()};

    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        size_t n = test_random_below(&random, sizeof bytes + 1), max = test_random_below(&random, 40);
        struct arena a;
        struct span s;

        for (size_t i = 0; i < n; i++)
            bytes[i] = test_random_below(&random, 2)
                               ? (uint8_t)test_random_next(&random)
                               : (uint8_t) "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"[test_random_below(&random,
                                                                                                     10)];
        arena_init(&a, 0);
        s = text_clean(&a, (struct span){bytes, n}, max);
        assert_true(s.len <= max && (s.len == 0 || utf8_is_valid(s.p, s.len)));
        if (utf8_is_valid(bytes, n) && n <= max) {
            assert_int_equal(s.len, n);
            assert_true(n == 0 || memcmp(s.p, bytes, n) == 0);
        }
        arena_deinit(&a);
    }
}

static void expect_span(struct span s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    if (s.len)
        assert_memory_equal(s.p, expected, s.len);
}

static void test_tail(void **state)
{
    expect_span(text_tail(span_of_string("abc"), 3), "abc");
    expect_span(text_tail(span_of_string("abcd"), 3), "bcd");
    expect_span(text_tail(span_of_string("one\ntwo\nthree"), 10),
                "two\nthree"); /* "\ntwo\nthree" cut to 10, begun at a line */
    expect_span(text_tail(span_of_string("0123456789\n"), 6),
                "56789\n"); /* a newline in the second half: whole */
    expect_span(text_tail((struct span){0}, 3), "");
}

static void test_last_line(void **state)
{
    expect_span(text_last_line((struct span){0}), "");
    expect_span(text_last_line(span_of_string("")), "");
    expect_span(text_last_line(span_of_string("\n \n")), "");
    expect_span(text_last_line(span_of_string("one")), "one");
    expect_span(text_last_line(span_of_string("one\ntwo")), "two");
    expect_span(text_last_line(span_of_string("one\ntwo \r\n\n \n")), "two");
}

static void test_without_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct arena a;
        struct span s;

        arena_init(&a, 0);
        s = text_clean(&a, SPAN_LIT("\xff"), 10);
        assert_int_equal(s.len, test_allocation_failed() ? 0 : 3);
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_clean),          cmocka_unit_test(test_any_bytes),
            cmocka_unit_test(test_tail),           cmocka_unit_test(test_last_line),
            cmocka_unit_test(test_without_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
