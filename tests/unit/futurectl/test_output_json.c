// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/output.h"
#include "tests/unit/futurectl/sample_future.h"
#include "tests/unit/futurectl/written.h"

#define SMALL_LINE                                                                                     \
    "{\"id\":\"" SAMPLE_ID "5\",\"state\":\"STATE_RUNNING\",\"revision\":7,"                           \
    "\"pending_reason\":\"PENDING_REASON_UNSPECIFIED\",\"attempts\":[],\"labels\":{},\"group\":\"\","  \
    "\"omitted\":false,\"namespace\":\"\",\"traceparent\":\"\",\"retry_of\":\"\",\"retried_by\":\"\"," \
    "\"argument_size_bytes\":0,\"tag\":\"\",\"output_size_bytes\":0,\"log_size_bytes\":0}\n"

static struct written w;
static struct output out;

static void begin_test(enum output_format format)
{
    output_init(&out, format, w.to);
}

static void test_one(void **state)
{
    struct futured_future *f = sample_future_small(FUTURED__V1__STATE__STATE_RUNNING, "");

    begin_test(OUTPUT_JSONL);
    output_future(&out, f);
    written_expect(&w, SMALL_LINE);
    begin_test(OUTPUT_JSON);
    output_future(&out, f);
    written_expect(&w, "{\n"
                       "  \"id\": \"" SAMPLE_ID "5\",\n"
                       "  \"state\": \"STATE_RUNNING\",\n"
                       "  \"revision\": 7,\n"
                       "  \"pending_reason\": \"PENDING_REASON_UNSPECIFIED\",\n"
                       "  \"attempts\": [],\n"
                       "  \"labels\": {},\n"
                       "  \"group\": \"\",\n"
                       "  \"omitted\": false,\n"
                       "  \"namespace\": \"\",\n"
                       "  \"traceparent\": \"\",\n"
                       "  \"retry_of\": \"\",\n"
                       "  \"retried_by\": \"\",\n"
                       "  \"argument_size_bytes\": 0,\n"
                       "  \"tag\": \"\",\n"
                       "  \"output_size_bytes\": 0,\n"
                       "  \"log_size_bytes\": 0\n"
                       "}\n");
    futured_future_free(f);
}

static void test_lists(void **state)
{
    struct futured_future *f = sample_future_small(FUTURED__V1__STATE__STATE_RUNNING, "");

    begin_test(OUTPUT_JSONL);
    output_begin(&out, OUTPUT_FUTURES);
    output_end(&out);
    written_expect(&w, "");
    begin_test(OUTPUT_JSONL);
    output_begin(&out, OUTPUT_FUTURES);
    output_row(&out, f);
    output_line(&out, f);
    output_end(&out);
    written_expect(&w, SMALL_LINE SMALL_LINE);
    begin_test(OUTPUT_JSON);
    output_begin(&out, OUTPUT_FUTURES);
    output_end(&out);
    written_expect(&w, "[]\n");
    begin_test(OUTPUT_JSON);
    output_begin(&out, OUTPUT_LINES);
    output_fact(&out, "deleted", "a", "not shown");
    output_fact(&out, "deleted", "b", "not shown");
    output_end(&out);
    written_expect(&w, "[\n{\n  \"deleted\": \"a\"\n},\n{\n  \"deleted\": \"b\"\n}\n]\n");
    futured_future_free(f);
}

/* What is added up of several answers looks as one of them. */
static void test_sums(void **state)
{
    static const struct futured_count_group groups[] = {{"FAILED", 10, INT64_C(1500000000)}, {"", 2, -1}};
    const struct futured_changed changed = {.matched = 3, .changed = 2};
    struct futured_count count = {.count = 12, .oldest_age_ns = INT64_C(1500000000)};

    begin_test(OUTPUT_JSONL);
    output_count(&out, &count);
    written_expect(&w, "{\"count\":12,\"groups\":[],\"oldest_age\":\"1.500s\",\"next_page_token\":\"\"}\n");
    count.n_groups = 2;
    count.groups = groups;
    output_count(&out, &count);
    written_expect(&w, "{\"count\":12,\"groups\":["
                       "{\"value\":\"FAILED\",\"count\":10,\"oldest_age\":\"1.500s\"},"
                       "{\"value\":\"\",\"count\":2}],"
                       "\"oldest_age\":\"1.500s\",\"next_page_token\":\"\"}\n");
    output_changed(&out, &changed, "not shown");
    written_expect(&w, "{\"matched\":3,\"changed\":2,\"next_page_token\":\"\"}\n");
    assert_int_equal(output_close(&out), 0);
}

/* What cannot be read is no output, and is told. */
static void test_malformed(void **state)
{
    const struct futured_future f = {.wire = {(const unsigned char *)"\xff", 1}};

    begin_test(OUTPUT_JSONL);
    output_future(&out, &f);
    assert_true(out.failed);
    assert_int_equal(output_close(&out), OUTPUT_E_MEMORY);
}

static int setup(void **state)
{
    written_init(&w);
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
    const struct CMUnitTest tests[] = {TEST(test_one), TEST(test_lists), TEST(test_sums),
                                       TEST(test_malformed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
