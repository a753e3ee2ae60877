// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/text.h"
#include "tests/unit/futurectl/written.h"

#include <time.h>

#define PUT(lit, max) text_put(w.to, SPAN_LIT(lit), max)

static void test_put(void **state)
{
    struct written w;

    written_init(&w);
    PUT("plain \\ \"quoted\" \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 0);
    written_expect(&w, "plain \\ \"quoted\" \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    PUT("a\nb\tc\rd\033[31m\177\0", 0);
    written_expect(&w, "a\\nb\\tc\\x0dd\\x1b[31m\\x7f\\x00");
    PUT("\xc2\x9b"
        "31m",
        0); /* CSI, in UTF-8 */
    written_expect(&w, "\\xc2\\x9b31m");
    PUT("\xff\xc3(\xe2\x82", 0); /* no UTF-8 */
    written_expect(&w, "\\xff\\xc3(\\xe2\\x82");
    PUT("abcdef", 3);
    written_expect(&w, "abc...");
    PUT("abc", 3);
    written_expect(&w, "abc");
    PUT("ab\xe2\x82\xac", 3); /* not in the middle of a character */
    written_expect(&w, "ab...");
    PUT("", 0);
    written_expect(&w, "");
    text_put_string(w.to, "s\n");
    written_expect(&w, "s\\n");
    written_deinit(&w);
}

static void test_is_printable(void **state)
{
    assert_true(text_is_printable(SPAN_LIT("")));
    assert_true(text_is_printable(SPAN_LIT("a\r\n\tb \xc3\xa4")));
    assert_false(text_is_printable(SPAN_LIT("a\0b")));
    assert_false(text_is_printable(SPAN_LIT("\033[0m")));
    assert_false(text_is_printable(SPAN_LIT("\xc2\x80")));
    assert_true(text_is_printable(SPAN_LIT("\xc2\xa0")));
    assert_false(text_is_printable(SPAN_LIT("\xff")));
}

static void expect_time(const char *zone, wall_ns_t t, const char *expect)
{
    char text[TEXT_TIME_BYTES];

    setenv("TZ", zone, 1);
    tzset();
    text_time(t, text);
    assert_string_equal(text, expect);
}

static void test_time(void **state)
{
    expect_time("UTC", 1769860800 * NS_PER_S + 123456789, "2026-01-31 12:00:00.123 +0000");
    expect_time("XYZ-5:30", 1769860800 * NS_PER_S, "2026-01-31 17:30:00.000 +0530");
    expect_time("UTC", 0, "1970-01-01 00:00:00.000 +0000");
    expect_time("UTC", -1, "-1 ns");
    expect_time("UTC", INT64_MAX, "2262-04-11 23:47:16.854 +0000");
}

static void expect_size(uint64_t n, const char *expect)
{
    char text[TEXT_SIZE_BYTES];

    text_size(n, text);
    assert_string_equal(text, expect);
}

static void test_size(void **state)
{
    expect_size(0, "0 bytes");
    expect_size(1, "1 byte");
    expect_size(1023, "1023 bytes");
    expect_size(1024, "1.0 KiB");
    expect_size(1536, "1.5 KiB");
    expect_size(1 << 20, "1.0 MiB");
    expect_size(UINT64_MAX, "16777216.0 TiB");
}

static void test_signal(void **state)
{
    char text[TEXT_SIGNAL_BYTES];

    text_signal(SIGSEGV, text);
    assert_string_equal(text, "SIGSEGV");
    text_signal(12345, text);
    assert_string_equal(text, "signal 12345");
    text_signal(-1, text);
    assert_string_equal(text, "signal -1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_put),  cmocka_unit_test(test_is_printable), cmocka_unit_test(test_time),
            cmocka_unit_test(test_size), cmocka_unit_test(test_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
