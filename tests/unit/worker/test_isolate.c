// SPDX-License-Identifier: Apache-2.0
/* A plugin's function in a process of its own: what it is asked and answers is as it would be here, and what becomes of its
 * process is told. */
#include "base/orphans.h"
#include "tests/unit/worker/call.h"
#include "worker/isolate.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

enum { MAX_RESULT = 1000000 };

static struct test_call t;
static struct pump_limits limits;

static void run(const char *plugin, const char *function, struct span argument)
{
    test_call_begin(&t, argument, NULL, MAX_RESULT);
    isolate_run(plugin, function, &limits, NULL, &t.call);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the guard, and nobody else */
}

static void test_as_here(void **state)
{
    static uint8_t large[MAX_RESULT];

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7 % 251);
    run(SHIPPED_PLUGIN, "echo", SPAN_LIT("hello"));
    test_call_expect(&t, "hello");
    assert_true(span_eq(t.call.result_type, SPAN_LIT("text/plain")));
    assert_false(t.call.exit_code.is_set || t.call.signal.is_set);
    assert_true(t.call.usage.user_ns >= 0 && t.call.usage.system_ns >= 0);
    run(SHIPPED_PLUGIN, "echo", (struct span){large, sizeof large});
    assert_false(t.call.has_failed);
    assert_int_equal(t.call.n_result, sizeof large);
    assert_memory_equal(attempt_result(&t.call).p, large, sizeof large);
    run(SHIPPED_PLUGIN, "echo", SPAN_LIT(""));
    test_call_expect(&t, "");
    run(SHIPPED_PLUGIN, "fail", SPAN_LIT("so be it"));
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "FAIL", "so be it");
    run(SHIPPED_PLUGIN, "gunzip", SPAN_LIT("no such thing"));
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT",
                             "the argument is no gzip data");
    test_call_begin(&t, SPAN_LIT("12345"), NULL, 4);
    isolate_run(SHIPPED_PLUGIN, "echo", &limits, NULL, &t.call);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "has 5 bytes; at most 4");
}

/* The outcomes of upstreams arrive as they were: a plugin that joins them. */
static void test_upstreams(void **state)
{
    struct upstream_list *list = calloc(1, sizeof *list + 2 * sizeof list->at[0]);

    list->n = 2;
    list->at[0] = (struct upstream){
            .id = SPAN_LIT("a"), .is_result = 1, .data = SPAN_LIT("one"), .content_type = SPAN_LIT("x/y")};
    list->at[1] = (struct upstream){.id = SPAN_LIT("b"), .error = {.code = 5, .reason = SPAN_LIT("TIMEOUT")}};
    test_call_begin(&t, SPAN_LIT(""), NULL, MAX_RESULT);
    t.call.upstreams = list;
    isolate_run(TEST_PLUGINS "/wild.so", "upstreams", &limits, NULL, &t.call);
    test_call_expect(&t, "a:one:x/y;b:TIMEOUT:5;");
    t.call.upstreams = NULL;
    free(list);
}

static void test_deaths(void **state)
{
    static const char wild[] = TEST_PLUGINS "/wild.so";

    run(wild, "segv", SPAN_LIT(""));
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "killed by SIGSEGV");
    assert_int_equal(t.call.signal.value, SIGSEGV);
    run(wild, "abort", SPAN_LIT(""));
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "killed by SIGABRT");
    run(wild, "exit_0", SPAN_LIT(""));
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "its process ended with exit code 0");
    assert_int_equal(t.call.exit_code.value, 0);
    run(wild, "close_all", SPAN_LIT(""));
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "its process ended with exit code 74");
    run(wild, "children", SPAN_LIT("")); /* which do not outlive it */
    test_call_expect(&t, "left");
    run(wild, "hello", SPAN_LIT(""));
    test_call_expect(&t, "hello");
}

static void test_cannot_start(void **state)
{
    run("/no/such.so", "f", SPAN_LIT(""));
    test_call_expect_failure(&t, "", GRPC_UNAVAILABLE, "CANNOT_START", "/no/such.so: cannot open");
    run(SHIPPED_PLUGIN, "f", SPAN_LIT(""));
    test_call_expect_failure(&t, "", GRPC_UNAVAILABLE, "CANNOT_START", "the function is gone");
}

static void test_limits(void **state)
{
    limits.cpu_seconds = 1;
    run(TEST_PLUGINS "/wild.so", "flood", SPAN_LIT("")); /* on its standard output */
    test_call_expect_failure(&t, "CPU_LIMIT", GRPC_RESOURCE_EXHAUSTED, "", "the 1 s of processor time");
    assert_non_null(memmem(t.call.failure.traceback.p, t.call.failure.traceback.len, "there is no end", 15));
    limits.cpu_seconds = 0;
}

static void *cancel(void *arg)
{
    attempt_cancel(&t.call, *(int64_t *)arg);
    return NULL;
}

/* One that asks whether it should end, and one that does not. */
static void test_cancel(void **state)
{
    int64_t graces[] = {3600 * NS_PER_S, 0};

    for (size_t i = 0; i < ARRAY_LEN(graces); i++) {
        pthread_t thread;

        test_call_begin(&t, SPAN_LIT("999999999"), NULL, MAX_RESULT);
        assert_int_equal(pthread_create(&thread, NULL, cancel, &graces[i]), 0);
        isolate_run(i == 0 ? SHIPPED_PLUGIN : TEST_PLUGINS "/wild.so", i == 0 ? "sleep" : "nap", &limits,
                    NULL, &t.call);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(t.call.has_failed);
    }
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "", "because it was cancelled");
}

static void *cancel_once_it_runs(void *fifo)
{
    int fd = open(fifo, O_RDONLY);

    assert_true(fd >= 0);
    close(fd);
    attempt_cancel(&t.call, 3600 * NS_PER_S);
    return NULL;
}

/* What it answers although it was told to end is its result. */
static void test_answer_of_cancelled(void **state)
{
    char folder[] = "/tmp/futured-isolate-XXXXXX", fifo[sizeof folder + 8];
    pthread_t thread;

    assert_non_null(mkdtemp(folder));
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    test_call_begin(&t, span_of_string(fifo), NULL, MAX_RESULT);
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_it_runs, fifo), 0);
    isolate_run(TEST_PLUGINS "/wild.so", "answer_late", &limits, NULL, &t.call);
    assert_int_equal(pthread_join(thread, NULL), 0);
    test_call_expect(&t, "all the same");
    assert_int_equal(unlink(fifo), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_as_here),
            cmocka_unit_test(test_upstreams),
            cmocka_unit_test(test_deaths),
            cmocka_unit_test(test_cannot_start),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_answer_of_cancelled),
    };
    int failed;

    signal(SIGPIPE, SIG_IGN);
    ASSERT(orphans_adopt() == 0);
    test_call_init(&t);
    guard_init(&t.call.guard, WORKER_PATH);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    return failed;
}
