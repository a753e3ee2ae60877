// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/output.h"
#include "tests/unit/futurectl/sample_future.h"
#include "tests/unit/futurectl/written.h"

static struct written w;
static struct output out;

static void test_whole(void **state)
{
    struct futured_future *f = sample_future_whole();

    output_future(&out, f);
    written_expect(
            &w,
            "future      0198c2f0-1111-7000-8000-000000000001\n"
            "state       FAILED\n"
            "function    crash\n"
            "argument    11 bytes, text/plain\n"
            "  | hello\n"
            "  | world\n"
            "labels      seen=yes\n"
            "as asked    file=/usr/share/x\n"
            "            n=3\n"
            "group       nightly\n"
            "tag         t1\n"
            "namespace   blue\n"
            "priority    9\n"
            "not before  2026-01-31 12:00:01.000 +0000\n"
            "next start  2026-01-31 12:01:01.500 +0000\n"
            "deadline    2026-02-07 12:01:01.000 +0000\n"
            "durability  ephemeral: lost when the daemon stops\n"
            "attempts    2 at most\n"
            "timeout     1.5 s\n"
            "key         job-1\n"
            "one at once disk\n"
            "depends on  0198c2f0-1111-7000-8000-000000000009\n"
            "submitted   2026-01-31 12:00:00.123 +0000 by alice\n"
            "started     2026-01-31 12:00:01.000 +0000\n"
            "ended       2026-01-31 12:01:01.500 +0000\n"
            "kept until  2026-02-07 12:01:01.000 +0000\n"
            "cancel      asked for at 2026-01-31 12:00:01.000 +0000 by alice: too slow\n"
            "progress    5 of 10, half way\n"
            "attempt 1   started 2026-01-31 12:00:01.000 +0000 on worker pool-3, ran 1.5 s, user 2 ms, "
            "system 2 ms, "
            "3.0 MiB, exit code 1; FUNCTION_ERROR (ValueError): exit code 1\n"
            "attempt 2   started 2026-01-31 12:00:01.000 +0000 on worker pool-3, ran 1 m, killed by SIGSEGV; "
            "CRASHED: the worker died\n"
            "retry of    0198c2f0-1111-7000-8000-000000000000\n"
            "retried by  0198c2f0-1111-7000-8000-000000000002\n"
            "error       CRASHED: the worker died\n");
    futured_future_free(f);
}

static void test_small(void **state)
{
    struct futured_future *f = sample_future_small(FUTURED__V1__STATE__STATE_SUCCEEDED, "out");

    output_future(&out, f);
    written_expect(&w, "future      0198c2f0-1111-7000-8000-000000000005\n"
                       "state       SUCCEEDED\n"
                       "result      3 bytes: out\n");
    futured_future_free(f);
}

static struct futured_bytes bytes(const char *data, size_t n)
{
    return (struct futured_bytes){(const unsigned char *)data, n};
}

static void expect_result(struct futured_bytes data, uint64_t size, const char *type, const char *text)
{
    const struct futured_result result = {.data = data, .size = size, .content_type = type};
    struct futured_future *f = sample_future_small(FUTURED__V1__STATE__STATE_SUCCEEDED, "");
    char all[1000];

    f->result = &result;
    output_future(&out, f);
    snprintf(all, sizeof all,
             "future      0198c2f0-1111-7000-8000-000000000005\nstate       SUCCEEDED\nresult      %s\n",
             text);
    written_expect(&w, all);
    futured_future_free(f);
}

static void test_results(void **state)
{
    char longer[5000];

    memset(longer, 'x', sizeof longer);
    expect_result(bytes("", 0), 0, "", "0 bytes");
    expect_result(bytes("", 0), 77, "", "77 bytes (not in this view)");
    expect_result(bytes("line\n", 5), 5, "text/plain", "5 bytes, text/plain: line\\n");
    expect_result(bytes("a\nb", 3), 3, "", "3 bytes\n  | a\n  | b");
    expect_result(bytes("a\n\nb\n", 5), 5, "", "5 bytes\n  | a\n  | \n  | b");
    expect_result(bytes("\033[31m", 5), 5, "image/\033",
                  "5 bytes, image/\\x1b (binary; `futurectl result 0198c2f0-1111-7000-8000-000000000005` "
                  "writes it)");
    expect_result(bytes(longer, sizeof longer), sizeof longer, "",
                  "4.9 KiB (long; `futurectl result 0198c2f0-1111-7000-8000-000000000005` writes it)");
}

static void test_table(void **state)
{
    struct futured_future *whole = sample_future_whole();
    struct futured_future *small = sample_future_small(FUTURED__V1__STATE__STATE_RUNNING, "");

    output_begin(&out, OUTPUT_FUTURES);
    output_row(&out, whole);
    output_row(&out, small);
    output_end(&out);
    written_expect(&w, "ID                                    STATE      FUNCTION          SUBMITTED         "
                       "             TOOK      "
                       "LABELS\n"
                       "0198c2f0-1111-7000-8000-000000000001  FAILED     crash             2026-01-31 "
                       "12:00:00.123 +0000  1 m       "
                       "seen=yes\n"
                       "0198c2f0-1111-7000-8000-000000000005  RUNNING\n");
    assert_int_equal(out.n_items, 2);
    futured_future_free(whole);
    futured_future_free(small);
}

static void test_line(void **state)
{
    struct futured_error cancelled = {
            .reason = "CANCELLED", .type = "", .message = "", .function_reason = ""};
    struct futured_future *f = sample_future_whole();

    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000001  FAILED CRASHED: the worker died\n");
    futured_future_free(f);
    f = sample_future_small(FUTURED__V1__STATE__STATE_SUCCEEDED, "12345");
    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000005  SUCCEEDED with a result of 5 bytes\n");
    f->state = FUTURED_STATE_CANCELLED;
    f->result = NULL;
    f->error = &cancelled;
    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000005  CANCELLED\n");
    cancelled.message = "too slow";
    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000005  CANCELLED: too slow\n");
    f->state = FUTURED_STATE_PENDING;
    f->pending_reason = FUTURED_PENDING_NO_WORKER;
    f->error = NULL;
    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000005  PENDING (NO_WORKER)\n");
    futured_future_free(f);
}

static void test_workers(void **state)
{
    char *const functions[] = {(char[]){"echo"}, (char[]){"sleep"}};
    struct futured_worker w_1 = {.id = "w-1",
                                 .name = "pool-7",
                                 .version = "",
                                 .state = FUTURED_WORKER_READY,
                                 .peer = "",
                                 .n_functions = 2,
                                 .functions = functions,
                                 .slots = 1,
                                 .running = 2,
                                 .reserved = 3,
                                 .finished = 4,
                                 .attach_time_ns = FUTURED_NO_TIME};

    output_begin(&out, OUTPUT_WORKERS);
    output_worker(&out, &w_1);
    w_1.state = (enum futured_worker_state)99;
    w_1.n_functions = 0;
    output_worker(&out, &w_1);
    output_end(&out);
    written_expect(&w,
                   "WORKER    NAME                  STATE         SLOTS  RUNNING  RESERVED   FINISHED  SINCE"
                   "                          FUNCTIONS\n"
                   "w-1       pool-7                READY             1        2         3          4  "
                   "                               echo sleep\n"
                   "w-1       pool-7                ?                 1        2         3          4  "
                   "                              \n");
}

static void test_functions(void **state)
{
    static const enum futured_function_kind plugin[] = {FUTURED_FUNCTION_PLUGIN},
                                            both[] = {FUTURED_FUNCTION_COMMAND, FUTURED_FUNCTION_REMOTE};
    static const struct futured_error failure = {
            .reason = "CRASHED", .type = "", .function_reason = "", .message = "dlopen: no such file"};
    struct futured_function f = {
            .name = "sha256",
            .doc = "SHA-256 of the argument as 64 hexadecimal characters, in lower case, no newline",
            .n_kinds = 1,
            .kinds = plugin,
            .pause_reason = "",
            .pending = 1,
            .running = 2,
            .succeeded = 3,
            .failed = 4,
            .mean_run_ns = 1500000};

    output_begin(&out, OUTPUT_FUNCTIONS);
    output_function(&out, &f);
    f.n_kinds = 2;
    f.kinds = both;
    f.is_paused = 1;
    f.pause_reason = "disk is full";
    f.mean_run_ns = FUTURED_NO_SPAN;
    output_function(&out, &f);
    f.n_kinds = 0;
    f.failure = &failure;
    output_function(&out, &f);
    output_end(&out);
    written_expect(
            &w,
            "FUNCTION              KIND      PENDING  RUNNING  SUCCEEDED  FAILED  MEAN RUN  WHAT IT DOES\n"
            "sha256                plugin          1        2          3       4  1.5 ms    SHA-256 of the "
            "argument as 64 "
            "hexadecimal characters, in low...\n"
            "sha256                several         1        2          3       4            PAUSED: disk is "
            "full\n"
            "sha256                none            1        2          3       4            NOT SERVED: "
            "CRASHED: dlopen: no "
            "such file\n");
}

static void test_events(void **state)
{
    static const struct futured_progress progress = {.completed = 1, .total = 2, .message = "half\033"};
    static const struct futured_chunk chunk = {
            .attempt = 2, .stream = 3, .data = {(const unsigned char *)"oops\n", 5}};
    struct futured_future *f = sample_future_whole();
    struct futured_event e = {
            .kind = FUTURED_EVENT_STATE, .id = "ID", .time_ns = INT64_C(1769860800123000000), .future = f};

    output_event(&out, &e);
    written_expect(&w, "2026-01-31 12:00:00.123 +0000  ID  FAILED CRASHED: the worker died\n");
    f->state = FUTURED_STATE_RUNNING;
    f->error = NULL;
    e.kind = FUTURED_EVENT_SNAPSHOT;
    e.time_ns = FUTURED_NO_TIME;
    output_event(&out, &e);
    written_expect(&w, "ID  RUNNING attempt 2 (cancel asked for)\n");
    e.kind = FUTURED_EVENT_LABELS;
    output_event(&out, &e);
    written_expect(&w, "ID  labels seen=yes\n");
    e.kind = FUTURED_EVENT_PROGRESS;
    e.progress = &progress;
    output_event(&out, &e);
    written_expect(&w, "ID  progress 1 of 2 half\\x1b\n");
    e.kind = FUTURED_EVENT_LOG;
    e.chunk = &chunk;
    output_event(&out, &e);
    written_expect(&w, "ID  attempt 2 stderr: oops\\n\n");
    e.kind = FUTURED_EVENT_LOST;
    e.id = "";
    e.n_lost = 7;
    output_event(&out, &e);
    written_expect(&w, "  events were lost: 7\n");
    e.kind = FUTURED_EVENT_UNKNOWN;
    output_event(&out, &e);
    written_expect(&w, "  an event that this futurectl does not know\n");
    futured_future_free(f);
}

static void test_waited(void **state)
{
    struct futured_future *f = sample_future_small(FUTURED__V1__STATE__STATE_SUCCEEDED, "12345");
    const struct futured_future *done[] = {f};
    const char *not_done[] = {SAMPLE_ID "6"}, *missing[] = {SAMPLE_ID "7"};
    const struct futured_waited waited = {.n_done = 1,
                                          .done = done,
                                          .n_not_done = 1,
                                          .not_done = not_done,
                                          .n_missing = 1,
                                          .missing = missing};

    output_waited(&out, &waited);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000005  SUCCEEDED with a result of 5 bytes\n"
                       "0198c2f0-1111-7000-8000-000000000006  not done\n"
                       "0198c2f0-1111-7000-8000-000000000007  not found\n");
    output_fact(&out, "key", "value", "what people read");
    written_expect(&w, "what people read\n");
    futured_future_free(f);
}

static void test_colour(void **state)
{
    struct futured_future *f = sample_future_whole();

    out.is_colour = 1;
    output_line(&out, f);
    written_expect(&w,
                   "0198c2f0-1111-7000-8000-000000000001  \033[31mFAILED\033[0m CRASHED: the worker died\n");
    f->state = FUTURED_STATE_PENDING;
    f->error = NULL;
    f->cancel_requested = NULL;
    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000001  PENDING\n");
    futured_future_free(f);
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
    const struct CMUnitTest tests[] = {
            TEST(test_whole),  TEST(test_small),     TEST(test_results), TEST(test_table),
            TEST(test_line),   TEST(test_functions), TEST(test_workers), TEST(test_events),
            TEST(test_waited), TEST(test_colour),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
