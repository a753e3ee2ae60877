// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/output.h"
#include "tests/unit/futurectl/sample_future.h"
#include "tests/unit/futurectl/written.h"

static struct written w;
static struct output out;

/* Younger than the clock is just now. */
#define AHEAD INT64_MAX

static void test_table(void **state)
{
    struct futured_future *whole = sample_future_whole();
    struct futured_future *small = sample_future_small(FUTURED__V1__STATE__STATE_RUNNING, "");

    whole->submit_time_ns = AHEAD;
    output_begin(&out, OUTPUT_FUTURES);
    output_row(&out, whole);
    output_row(&out, small);
    output_end(&out);
    written_expect(&w, "ID                                    STATE    FUNCTION  AGE   TOOK  LABELS\n"
                       "0198c2f0-1111-7000-8000-000000000001  FAILED   crash     0 ns  1 m   seen=yes\n"
                       "0198c2f0-1111-7000-8000-000000000005  RUNNING\n");
    assert_int_equal(out.n_items, 2);
    out.is_colour = 1;
    output_begin(&out, OUTPUT_FUTURES);
    output_row(&out, small);
    output_end(&out);
    written_expect(&w, "ID                                    STATE    FUNCTION  AGE  TOOK  LABELS\n"
                       "0198c2f0-1111-7000-8000-000000000005  \033[36mRUNNING\033[0m\n");
    futured_future_free(whole);
    futured_future_free(small);
}

static void test_line(void **state)
{
    struct futured_error cancelled = {
            .reason = "CANCELLED", .type = "", .message = "", .function_reason = ""};
    struct futured_future *f = sample_future_whole();

    output_line(&out, f);
    written_expect(&w, "0198c2f0-1111-7000-8000-000000000001  FAILED CRASHED: the worker died, retry of "
                       "0198c2f0-1111-7000-8000-000000000000\n");
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
    struct futured_worker_info w_1 = {.id = "w-1",
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
                                      .attach_time_ns = AHEAD};

    output_begin(&out, OUTPUT_WORKERS);
    output_worker(&out, &w_1);
    w_1.state = (enum futured_worker_state)99;
    w_1.n_functions = 0;
    output_worker(&out, &w_1);
    output_end(&out);
    written_expect(&w, "WORKER  NAME    STATE  SLOTS  RUNNING  RESERVED  FINISHED  AGE   FUNCTIONS\n"
                       "w-1     pool-7  READY      1        2         3         4  0 ns  echo sleep\n"
                       "w-1     pool-7  ?          1        2         3         4  0 ns\n");
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
            "FUNCTION  KIND     PENDING  RUNNING  SUCCEEDED  FAILED  MEAN RUN  WHAT IT DOES\n"
            "sha256    plugin         1        2          3       4  1.5 ms    SHA-256 of the argument as 64 "
            "hexadecimal characters, in low...\n"
            "sha256    several        1        2          3       4            PAUSED: disk is full\n"
            "sha256    none           1        2          3       4            NOT SERVED: CRASHED: dlopen: "
            "no "
            "such file\n");
}

static void test_function_whole(void **state)
{
    static const enum futured_function_kind plugin[] = {FUTURED_FUNCTION_PLUGIN};
    static const struct futured_error failure = {
            .reason = "CRASHED", .type = "", .function_reason = "", .message = "dlopen: no such file"};
    struct futured_function f = {.name = "sha256",
                                 .doc = "",
                                 .n_kinds = 1,
                                 .kinds = plugin,
                                 .pause_reason = "",
                                 .limits_reason = "",
                                 .n_workers = 2,
                                 .pending = 3,
                                 .running = 4};

    output_function_whole(&out, &f);
    written_expect(&w, "function    sha256\n"
                       "kind        plugin\n"
                       "max running any number\n"
                       "max pending any number\n"
                       "rate        any number\n"
                       "workers     2\n"
                       "pending     3\n"
                       "running     4\n");
    f.doc = "A digest.";
    f.failure = &failure;
    f.is_paused = 1;
    f.pause_time_ns = f.limits_time_ns = INT64_C(1769860800123000000);
    f.pause_principal = "alice";
    f.pause_reason = "disk full";
    f.limits_principal = "bob";
    f.limits_reason = "slowly";
    f.max_running = 2;
    f.max_pending = 1000000;
    f.rate = 0.5;
    output_function_whole(&out, &f);
    written_expect(&w, "function    sha256\n"
                       "kind        plugin\n"
                       "what        A digest.\n"
                       "not served  CRASHED: dlopen: no such file\n"
                       "paused      2026-01-31 12:00:00.123 +0000 by alice: disk full\n"
                       "max running 2\n"
                       "max pending 1000000\n"
                       "rate        0.5 a second\n"
                       "limits set  2026-01-31 12:00:00.123 +0000 by bob: slowly\n"
                       "workers     2\n"
                       "pending     3\n"
                       "running     4\n");
}

static void test_explanation(void **state)
{
    static const char *const waits_for[] = {SAMPLE_ID "1", SAMPLE_ID "2"};
    struct futured_explanation x = {.id = "", .function = "f", .text = "nothing waits", .limit = ""};

    output_explanation(&out, &x);
    written_expect(&w, "function    f\nwhy         nothing waits\npending     0\nrunning     0\n"
                       "workers     0\nroom        0\n");
    x.id = SAMPLE_ID "3";
    x.state = FUTURED_STATE_PENDING;
    x.pending_reason = FUTURED_PENDING_LIMITED;
    x.text = "too many";
    x.next_start_time_ns = INT64_C(1769860800123000000);
    x.n_waits_for = 2;
    x.waits_for = waits_for;
    x.limit = "rate";
    x.has_position = x.is_estimate = 1;
    x.position = 5;
    x.pending = 6;
    output_explanation(&out, &x);
    written_expect(&w, "future      " SAMPLE_ID "3\n"
                       "state       PENDING (LIMITED)\n"
                       "function    f\n"
                       "why         too many\n"
                       "next start  2026-01-31 12:00:00.123 +0000\n"
                       "waits for   " SAMPLE_ID "1\n"
                       "            " SAMPLE_ID "2\n"
                       "limit       rate\n"
                       "before it   about 5\n"
                       "pending     6\n"
                       "running     0\n"
                       "workers     0\n"
                       "room        0\n");
}

static void test_counts(void **state)
{
    static const struct futured_count_group groups[] = {{"FAILED", 10, 5000}, {"", 2, FUTURED_NO_SPAN}};
    const struct futured_changed changed = {.matched = 3, .changed = 2};
    struct futured_count count = {.count = 12, .oldest_age_ns = 5000};

    output_count(&out, &count);
    written_expect(&w, "12\n");
    count.groups = groups;
    output_count(&out, &count);
    written_expect(&w, "VALUE  COUNT  OLDEST\n");
    count.n_groups = 2;
    output_count(&out, &count);
    written_expect(&w, "VALUE   COUNT  OLDEST\nFAILED     10  5 us\n-           2\n");
    output_changed(&out, &changed, "2 of 3 cancelled");
    written_expect(&w, "2 of 3 cancelled\n");
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
    f->retry_of = "";
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
            TEST(test_table),          TEST(test_line),        TEST(test_functions), TEST(test_workers),
            TEST(test_function_whole), TEST(test_explanation), TEST(test_counts),    TEST(test_events),
            TEST(test_waited),         TEST(test_colour),
    };

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
