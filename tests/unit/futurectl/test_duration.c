// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "client/futurectl/duration.h"
#include "tests/support/testing.h"

static void parses(const char *text, int64_t expect)
{
    int64_t ns = -1;

    if (duration_parse(text, &ns))
        fail_msg("`%s` is refused", text);
    assert_int_equal(ns, expect);
}

static void refuses(const char *text, int expect)
{
    int64_t ns = -1;

    if (duration_parse(text, &ns) != expect)
        fail_msg("`%s` is not refused with %d", text, expect);
    assert_int_equal(ns, -1);
}

static void test_parse(void **state)
{
    parses("0", 0);
    parses("90", 90 * NS_PER_S);
    parses("1.5", 1500 * NS_PER_MS);
    parses("1.5s", 1500 * NS_PER_MS);
    parses("250ms", 250 * NS_PER_MS);
    parses("7us", 7 * NS_PER_US);
    parses("1ns", 1);
    parses("0.000000001s", 1);
    parses("0.0000000001s", 0); /* below what can be said */
    parses("1h30m", 5400 * NS_PER_S);
    parses("30m1h", 5400 * NS_PER_S);
    parses("1.5h", 5400 * NS_PER_S);
    parses("0.1d", 8640 * NS_PER_S);
    parses("7d", INT64_C(7) * 86400 * NS_PER_S);
    parses("106751d", INT64_C(106751) * 86400 * NS_PER_S);
    parses("9223372036s", 9223372036 * NS_PER_S);

    refuses("", DURATION_E_SYNTAX);
    refuses("s", DURATION_E_SYNTAX);
    refuses("-1s", DURATION_E_SYNTAX);
    refuses("+1s", DURATION_E_SYNTAX);
    refuses(" 1s", DURATION_E_SYNTAX);
    refuses("1 s", DURATION_E_SYNTAX);
    refuses("1.s", DURATION_E_SYNTAX);
    refuses(".5s", DURATION_E_SYNTAX);
    refuses("1.2.3s", DURATION_E_SYNTAX);
    refuses("1x", DURATION_E_SYNTAX);
    refuses("1sec", DURATION_E_SYNTAX);
    refuses("1h30", DURATION_E_SYNTAX); /* thirty of what? */
    refuses("1e3", DURATION_E_SYNTAX);
    refuses("106752d", DURATION_E_RANGE);
    refuses("9223372037s", DURATION_E_RANGE);
    refuses("99999999999999999999s", DURATION_E_RANGE);
    refuses("106751d24h", DURATION_E_RANGE);
}

static void formats(int64_t ns, const char *expect)
{
    char text[DURATION_TEXT_BYTES];

    duration_format(ns, text);
    assert_string_equal(text, expect);
}

static void test_format(void **state)
{
    formats(-1, "-");
    formats(0, "0 ns");
    formats(999, "999 ns");
    formats(1000, "1 us");
    formats(1500, "1.5 us");
    formats(1234, "1.23 us");
    formats(12345, "12.3 us");
    formats(123456, "123 us");
    formats(999999, "999 us");
    formats(NS_PER_MS, "1 ms");
    formats(10 * NS_PER_MS, "10 ms");
    formats(1010 * NS_PER_MS, "1.01 s");
    formats(59999 * NS_PER_MS, "59.9 s");
    formats(60 * NS_PER_S, "1 m");
    formats(61 * NS_PER_S, "1 m 1 s");
    formats(3600 * NS_PER_S, "1 h");
    formats(3660 * NS_PER_S, "1 h 1 m");
    formats(3601 * NS_PER_S, "1 h");
    formats(86400 * NS_PER_S, "1 d");
    formats(90000 * NS_PER_S, "1 d 1 h");
    formats(INT64_MAX, "106751 d 23 h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_parse),
            cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
