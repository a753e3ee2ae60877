// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/print.h"
#include "tests/unit/futurectl/sample_future.h"
#include "tests/unit/futurectl/written.h"

static struct written w;
static struct output out;

static void test_whole(void **state)
{
    struct futured_future *f = sample_future_whole();

    print_future(&out, f);
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
            "cancel      2026-01-31 12:00:01.000 +0000 by alice: too slow\n"
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

    print_future(&out, f);
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
    print_future(&out, f);
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
    const struct CMUnitTest tests[] = {TEST(test_whole), TEST(test_small), TEST(test_results)};

    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
