// SPDX-License-Identifier: Apache-2.0
/* Durations and times, read and written; every day of the calendar. */
#include "tests/unit/filter/sample.h"

static void test_spans(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* < 0: refused */
    } cases[] = {
            {"90s", 90 * NS_PER_S},
            {"2h", 7200 * NS_PER_S},
            {"7d", 7 * 86400 * NS_PER_S},
            {"1h30m", 5400 * NS_PER_S},
            {"1.5s", 1500 * NS_PER_MS},
            {"250ms", 250 * NS_PER_MS},
            {"3us", 3000},
            {"5ns", 5},
            {"0s", 0},
            {"0.25m", 15 * NS_PER_S},
            {"106751d", INT64_C(106751) * 86400 * NS_PER_S},
            {"", -1},
            {"s", -1},
            {"5", -1},
            {"5x", -1},
            {"5 s", -1},
            {"-5s", -1},
            {".5s", -1},
            {"5.s", -1},
            {"1.2.3s", -1},
            {"106752d", -1},
            {"99999999999999999999s", -1},
            {"1h30", -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[FILTER_TIME_TEXT_BYTES];
        int64_t ns = -1;
        int r = filter_value_read_span(span_of_string(cases[i].text), &ns);

        if (r != (cases[i].ns < 0 ? FILTER_E_SYNTAX : 0) || ns != cases[i].ns)
            fail_msg("%s: %d, %" PRId64, cases[i].text, r, ns);
        if (r != 0)
            continue;
        filter_value_print_span(ns, text);
        assert_int_equal(filter_value_read_span(span_of_string(text), &ns), 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t s, ns; /* s < 0: refused */
    } cases[] = {
            {"1970-01-01T00:00:00Z", 0, 0},
            {"1970-01-01", 0, 0},
            {"2000-02-29T12:34:56Z", 951827696, 0},
            {"2026-11-30t02:00:00z", 1796004000, 0},
            {"2026-11-30T02:00:00.25Z", 1796004000, 250000000},
            {"2026-11-30T02:00:00.1234567891Z", 1796004000, 123456789},
            {"2026-11-30T02:00:00+02:00", 1795996800, 0},
            {"2026-11-30T02:00:00-02:30", 1796013000, 0},
            {"1970-01-01T00:00:00+01:00", 0, 0}, /* no time is before */
            {"2261-12-31T23:59:59Z", INT64_C(9214646399), 0},
            {"-2h", NOW / NS_PER_S - 7200, 0},
            {"-1m30s", NOW / NS_PER_S - 90, 0},
            {"-106751d", 0, 0},
            {"2262-01-01", -1, 0},
            {"1969-12-31", -1, 0},
            {"2026-13-01", -1, 0},
            {"2026-00-01", -1, 0},
            {"2026-02-29", -1, 0},
            {"2026-1-1", -1, 0},
            {"2026-11-30T", -1, 0},
            {"2026-11-30T02:00", -1, 0},
            {"2026-11-30T02:00:00", -1, 0},
            {"2026-11-30T24:00:00Z", -1, 0},
            {"2026-11-30T02:60:00Z", -1, 0},
            {"2026-11-30T02:00:00.Z", -1, 0},
            {"2026-11-30T02:00:00Zx", -1, 0},
            {"2026-11-30T02:00:00+24:00", -1, 0},
            {"2026-11-30T02:00:00+0100", -1, 0},
            {"2026-11-30 02:00:00Z", -1, 0},
            {"-", -1, 0},
            {"-2", -1, 0},
            {"", -1, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        wall_ns_t t = -1;
        int r = filter_value_read_time(span_of_string(cases[i].text), NOW, &t);

        if (r != (cases[i].s < 0 ? FILTER_E_SYNTAX : 0) ||
            (r == 0 && t != cases[i].s * NS_PER_S + cases[i].ns))
            fail_msg("%s: %d, %" PRId64, cases[i].text, r, t);
    }
}

/* Day by day, the calendar counts as it should; what is printed is read as the same. */
static void test_every_day(void **state)
{
    int64_t days = 0;

    for (int year = 1970; year <= 2261; year++) {
        for (int month = 1; month <= 12; month++) {
            static const int n_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
            int leap = month == 2 && ((year % 4 == 0 && year % 100) || year % 400 == 0);

            for (int day = 1; day <= n_days[month - 1] + leap; day++, days++) {
                char text[FILTER_TIME_TEXT_BYTES], printed[FILTER_TIME_TEXT_BYTES];
                wall_ns_t t;

                snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, month, day);
                assert_int_equal(filter_value_read_time(span_of_string(text), NOW, &t), 0);
                assert_int_equal(t, days * 86400 * NS_PER_S);
                filter_value_print_time(t, printed);
                assert_string_equal(printed, text);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_spans),
            cmocka_unit_test(test_times),
            cmocka_unit_test(test_every_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
