// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the unit tests of every room share: cmocka behind the headers it wants, randomness from a printed
 * seed, allocations that fail in turn, and code that must abort. Header only and single-threaded; cmocka's
 * assert_* jump out of the calling function, so a thread reports to the thread that started it and asserts
 * nothing itself.
 *
 * A test program with random cases starts with test_seed() in main, so that its output says how to repeat it.
 */
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/wait.h>

/* cmocka.h wants its own prerequisites before it, so it stands behind the sorted ones */
#include <cmocka.h>

/* A small generator (splitmix64: a counter behind a mixing function); equal seeds, equal numbers. */
struct test_random {
    uint64_t state;
};

static inline uint64_t test_random_next(struct test_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* test_random_below: 0 .. @n - 1; @n > 0. The bias is irrelevant for tests. */
static inline uint64_t test_random_below(struct test_random *r, uint64_t n)
{
    return test_random_next(r) % n;
}

/* test_seed: FUTURED_TEST_SEED from the environment (decimal, or hexadecimal with 0x), else a fixed number.
 * The first call prints it. What is set but no number aborts. */
static inline uint64_t test_seed(void)
{
    static uint64_t seed;
    static int is_known;
    const char *text = getenv("FUTURED_TEST_SEED");
    char *end;

    if (!is_known) {
        seed = text ? strtoull(text, &end, 0) : 20240229;
        ASSERT(!text || (*text && !*end));
        printf("FUTURED_TEST_SEED=%" PRIu64 "\n", seed);
        fflush(stdout);
        is_known = 1;
    }
    return seed;
}

/*
 * FAIL_EACH_ALLOCATION(nth) { ... }: run the block with the first allocation failing, then with the second
 * (@nth = 1, 2, ...), until it runs through without reaching the planned failure. The block starts from
 * nothing, does its operation, and after each run frees everything: the address sanitizer says what leaked.
 * test_allocation_failed() says, after the operation, whether it met the failure. Leave the block by its end
 * or by continue, never by break. An operation that allocates nothing at all fails the test: it would prove
 * nothing.
 *
 *     FAIL_EACH_ALLOCATION(nth)
 *     {
 *         struct thing *t = thing_new();
 *
 *         assert_int_equal(t == NULL, test_allocation_failed());
 *         thing_free(t);
 *     }
 */
#define FAIL_EACH_ALLOCATION(nth) for (uint64_t nth = 1; test_fail_allocation(nth); nth++)

static inline int test_fail_allocation(uint64_t nth)
{
    if (nth > 1 && mem_fail_pending()) { /* the run before this one did not reach it: it was the good one */
        mem_fail_at(0);
        if (nth == 2)
            fail_msg("the block under FAIL_EACH_ALLOCATION allocates nothing");
        return 0;
    }
    if (nth > 100000)
        fail_msg("the block under FAIL_EACH_ALLOCATION allocates without end");
    mem_fail_at(nth);
    return 1;
}

/* test_allocation_failed: whether the planned failure has happened in this run. */
static inline int test_allocation_failed(void)
{
    return !mem_fail_pending();
}

/* test_aborts: assert that @fn(@arg) aborts, and that stderr of the aborted process has @expect in it. Runs
 * it in a forked child, so nothing that it changes is seen; only while the test has a single thread. */
static inline void test_aborts(void (*fn)(void *), void *arg, const char *expect)
{
    static const struct rlimit no_core = {0, 0};
    char said[4096];
    size_t n = 0;
    ssize_t got;
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL); /* cmocka would go on with its next test */
        signal(SIGBUS, SIG_DFL);
        fn(arg);
        _exit(0);
    }
    close(fds[1]);
    while ((got = read(fds[0], said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        fail_msg("did not abort (wait status 0x%x): %s", (unsigned int)status, said);
    if (!strstr(said, expect))
        fail_msg("aborted without \"%s\": %s", expect, said);
}
