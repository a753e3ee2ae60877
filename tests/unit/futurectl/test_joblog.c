// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/joblog.h"
#include "tests/unit/futurectl/written.h"

static const struct futured_attempt good = {.worker = "w-1",
                                            .start_time_ns = 1500000000,
                                            .end_time_ns = 2750000000},
                                    bad = {.worker = "w-2",
                                           .start_time_ns = 1000000000,
                                           .end_time_ns = 1001000000,
                                           .has_exit_code = 1,
                                           .exit_code = 7},
                                    killed = {.worker = "w-2",
                                              .start_time_ns = 1000000000,
                                              .has_signal = 1,
                                              .signal = 9};
static const struct futured_attempt *const goods[] = {&good}, *const bads[] = {&good, &bad},
                                           *const kills[] = {&killed};
static const struct futured_result result = {.size = 64};
static const struct futured_error failed = {.reason = "FUNCTION_ERROR"}, late = {.reason = "TIMEOUT"};

static void test_lines(void **state)
{
    const struct futured_future
            succeeded = {.state = FUTURED_STATE_SUCCEEDED,
                         .result = &result,
                         .n_attempts = 1,
                         .attempts = goods},
            exited = {.state = FUTURED_STATE_FAILED, .error = &failed, .n_attempts = 2, .attempts = bads},
            stopped = {.state = FUTURED_STATE_FAILED, .error = &late, .n_attempts = 1, .attempts = kills};
    struct joblog_entry e = {.seq = 1,
                             .future = &succeeded,
                             .n_sent = 3,
                             .function = "f",
                             .item = SPAN_LIT("a\tb"),
                             .now = 5 * NS_PER_S};
    struct written w;

    written_init(&w);
    joblog_head(w.to);
    written_expect(&w, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n");
    joblog_put(w.to, &e);
    written_expect(&w, "1\tw-1\t1.500\t     1.250\t3\t64\t0\t0\tf a\\tb\n");
    e.future = &exited;
    joblog_put(w.to, &e);
    written_expect(&w, "1\tw-2\t1.000\t     0.001\t3\t0\t7\t0\tf a\\tb\n");
    e.future = &stopped;
    joblog_put(w.to, &e);
    written_expect(&w, "1\tw-2\t1.000\t     0.000\t3\t0\t-1\t9\tf a\\tb\n");
    e.future = NULL;
    joblog_put(w.to, &e);
    written_expect(&w, "1\t-\t5.000\t     0.000\t3\t0\t1\t0\tf a\\tb\n");
    written_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
