// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/print.h"
#include "tests/unit/futurectl/written.h"

static struct written w;
static struct output out;

#define TIME_NS INT64_C(1769860800123000000) /* 2026-01-31 12:00:00.123 */

static void test_lines(void **state)
{
    static const struct futured_label labels[] = {{"a", "1"}, {"b", "\033[1m"}};

    print_line(&out, "key", "");
    print_time_line(&out, "key", FUTURED_NO_TIME);
    print_span_line(&out, "key", FUTURED_NO_SPAN);
    print_labels(&out, "key", labels, 0);
    print_change(&out, "key", FUTURED_NO_TIME, "alice", "why");
    print_span(&out, ", ran ", FUTURED_NO_SPAN);
    written_expect(&w, ""); /* what there is not makes no line */
    print_line(&out, "key", "value\n");
    print_time_line(&out, "time", TIME_NS);
    print_span_line(&out, "span", 1500000);
    print_count_line(&out, "count", 0);
    print_labels(&out, "labels", labels, 2);
    written_expect(&w, "key         value\\n\n"
                       "time        2026-01-31 12:00:00.123 +0000\n"
                       "span        1.5 ms\n"
                       "count       0\n"
                       "labels      a=1\n"
                       "            b=\\x1b[1m\n");
}

static void test_change(void **state)
{
    print_change(&out, "paused", TIME_NS, "", "");
    print_change(&out, "paused", TIME_NS, "alice", "");
    print_change(&out, "paused", TIME_NS, "", "disk full");
    print_change(&out, "paused", TIME_NS, "alice", "disk full");
    written_expect(&w, "paused      2026-01-31 12:00:00.123 +0000\n"
                       "paused      2026-01-31 12:00:00.123 +0000 by alice\n"
                       "paused      2026-01-31 12:00:00.123 +0000: disk full\n"
                       "paused      2026-01-31 12:00:00.123 +0000 by alice: disk full\n");
}

static void test_error(void **state)
{
    struct futured_error e = {.reason = "FUNCTION_ERROR", .function_reason = "", .type = "", .message = ""};

    print_error_text(w.to, &e);
    written_expect(&w, "FUNCTION_ERROR");
    e.function_reason = "NO_CHEESE";
    e.type = "ValueError";
    e.message = "out of\tcheese";
    print_error_text(w.to, &e);
    written_expect(&w, "NO_CHEESE (ValueError): out of\\tcheese");
}

static void test_state(void **state)
{
    struct futured_future f = {.state = FUTURED_STATE_PENDING, .pending_reason = FUTURED_PENDING_PAUSED};

    print_state(&out, w.to, &f);
    written_expect(&w, "PENDING (PAUSED)");
    f.pending_reason = FUTURED_PENDING_UNSPECIFIED;
    print_state(&out, w.to, &f);
    written_expect(&w, "PENDING");
    f.state = FUTURED_STATE_FAILED;
    out.is_colour = 1;
    print_state(&out, w.to, &f);
    written_expect(&w, "\033[31mFAILED\033[0m");
    assert_string_equal(print_colour(&out, FUTURED_STATE_FAILED), "\033[31m");
    assert_string_equal(print_colour(&out, FUTURED_STATE_PENDING), "");
    out.is_colour = 0;
    assert_string_equal(print_colour(&out, FUTURED_STATE_FAILED), "");
}

static int setup(void **state)
{
    written_init(&w);
    output_init(&out, OUTPUT_TEXT, w.to);
    return 0;
}

static int teardown(void **state)
{
    written_deinit(&w);
    return 0;
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_lines), TEST(test_change), TEST(test_error),
                                       TEST(test_state)};

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
