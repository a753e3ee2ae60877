// SPDX-License-Identifier: Apache-2.0
/* The page that a worker shares: what is found of each start at each time, a writer interrupted in the
 * middle, and a reader that looks while a writer goes on (the thread sanitizer looks at the same case). */
#include "base/runpage.h"
#include "tests/support/testing.h"

#include <pthread.h>

static const wall_ns_t UNTOUCHED = -7;

/* What is found, with the check that *ret_at is set exactly when it should be: to at_of(key, attempt). */
static wall_ns_t at_of(uint64_t key, uint32_t attempt)
{
    return (wall_ns_t)(key * 1000 + attempt);
}

static enum runpage_state find_from(const struct runpage *page, uint64_t key, uint32_t attempt,
                                    uint64_t *next)
{
    wall_ns_t at = UNTOUCHED;
    enum runpage_state s = runpage_find(page, key, attempt, next, &at);

    assert_true(at == (s == RUNPAGE_UNKNOWN ? UNTOUCHED : at_of(key, attempt)));
    return s;
}

/* Wherever it looks first, it finds the same; and where it has found something, at the first look from then on. */
static enum runpage_state find(const struct runpage *page, uint64_t key, uint32_t attempt)
{
    uint64_t found = 0, last = atomic_load(&page->n_started), next;
    enum runpage_state s = find_from(page, key, attempt, &found);

    /* 13 has no divisor in common with the number of places, so it comes to each */
    for (uint64_t guess = last > 400 ? last - 400 : 0; guess < last + 3; guess += 13) {
        next = guess;
        assert_int_equal(find_from(page, key, attempt, &next), s);
        assert_true(next == (s == RUNPAGE_UNKNOWN ? guess : found));
    }
    next = UINT64_MAX;
    assert_int_equal(find_from(page, key, attempt, &next), s);
    return s;
}

static void start(struct runpage *page, uint64_t key, uint32_t attempt)
{
    runpage_start(page, key, attempt, at_of(key, attempt));
}

static void test_empty(void **state)
{
    struct runpage page = {0};

    assert_int_equal(find(&page, 0, 0), RUNPAGE_UNKNOWN); /* what the bytes of an empty page would match */
    assert_int_equal(find(&page, 1, 1), RUNPAGE_UNKNOWN);
}

static void test_one_attempt(void **state)
{
    struct runpage page = {0};

    start(&page, 5, 1);
    assert_int_equal(find(&page, 5, 1), RUNPAGE_RUNNING);
    assert_int_equal(find(&page, 5, 2), RUNPAGE_UNKNOWN);
    assert_int_equal(find(&page, 6, 1), RUNPAGE_UNKNOWN);
    runpage_finish(&page);
    assert_int_equal(find(&page, 5, 1), RUNPAGE_FINISHED);
    runpage_sent(&page, 1);
    assert_int_equal(find(&page, 5, 1), RUNPAGE_FINISHED);
    start(&page, 5, 2); /* the same future again */
    assert_int_equal(find(&page, 5, 1), RUNPAGE_FINISHED);
    assert_int_equal(find(&page, 5, 2), RUNPAGE_RUNNING);
}

/* Any legal sequence: what is not yet sent is always found, with its state; what was never started is never
 * found. */
static void test_random_against_model(void **state)
{
    struct test_random r = {test_seed()};

    for (int round = 0; round < 8; round++) {
        uint64_t n_started = 0, n_finished = 0, n_sent = 0, weight = 2 + test_random_below(&r, 7);
        struct runpage page = {0};

        for (int i = 0; i < 3000; i++) {
            uint64_t n;

            if (test_random_below(&r, 10) < weight) {
                if (n_started - n_sent < RUNPAGE_STARTS) {
                    n_started++;
                    start(&page, n_started, (uint32_t)(n_started % 3));
                }
            } else if (n_finished < n_started) {
                runpage_finish(&page);
                n_finished++;
            } else {
                n = test_random_below(&r, n_finished - n_sent + 1);
                runpage_sent(&page, n);
                n_sent += n;
            }
            if (n_started - n_sent == RUNPAGE_STARTS && test_random_below(&r, 4) == 0) {
                runpage_sent(&page, n_finished - n_sent);
                n_sent = n_finished;
            }
            assert_int_equal(find(&page, n_started + 1, (uint32_t)((n_started + 1) % 3)), RUNPAGE_UNKNOWN);
            if (i % 40)
                continue;
            for (uint64_t key = n_sent + 1; key <= n_started; key++)
                assert_int_equal(find(&page, key, (uint32_t)(key % 3)),
                                 key <= n_finished ? RUNPAGE_FINISHED : RUNPAGE_RUNNING);
        }
    }
}

static void test_full_page(void **state)
{
    struct runpage page = {0};

    for (uint64_t key = 1; key <= 1000; key++) {
        start(&page, key, 1);
        if (key >= RUNPAGE_STARTS) {
            for (uint64_t k = key - RUNPAGE_STARTS + 1; k <= key; k++)
                assert_int_equal(find(&page, k, 1), k + 100 < key ? RUNPAGE_FINISHED : RUNPAGE_RUNNING);
            runpage_sent(&page, 1);
        }
        if (key > 100)
            runpage_finish(&page);
    }
    assert_int_equal(find(&page, 1, 1), RUNPAGE_UNKNOWN); /* sent long ago, overwritten */
}

/* The worker is stopped between writing an entry and counting it: the attempt has not started, whatever the
 * entry that was there before has become. */
static void test_entry_written_but_not_counted(void **state)
{
    for (uint64_t n = 0; n < 1000; n++) {
        struct runpage page = {0}, next;

        for (uint64_t key = 1; key <= n; key++) {
            start(&page, key, 1);
            runpage_finish(&page);
            runpage_sent(&page, 1);
        }
        next = page;
        start(&next, 5000, 1);
        assert_int_equal(find(&next, 5000, 1), RUNPAGE_RUNNING);
        atomic_store(&next.n_started, n);
        assert_int_equal(find(&next, 5000, 1), RUNPAGE_UNKNOWN);
    }
}

static void start_one(void *page)
{
    start(page, 1, 1);
}

static void finish_one(void *page)
{
    runpage_finish(page);
}

static void send_one(void *page)
{
    runpage_sent(page, 1);
}

static void test_overruns_are_bugs(void **state)
{
    struct runpage page = {0};

    test_aborts(finish_one, &page, "assertion failed");
    for (int i = 0; i < RUNPAGE_STARTS; i++)
        start_one(&page);
    test_aborts(start_one, &page, "RUNPAGE_STARTS");
    test_aborts(send_one, &page, "assertion failed");
    runpage_finish(&page);
    test_aborts(start_one, &page, "RUNPAGE_STARTS");
    runpage_sent(&page, 1);
    start_one(&page);
}

/* Whatever user code has written over the page: an answer, in bounded time, without a read outside the page.
 */
static void test_scribbled_page(void **state)
{
    struct test_random r = {test_seed()};
    struct runpage *page = mem_zalloc(sizeof *page);
    uint64_t next = 0;
    wall_ns_t at;

    assert_non_null(page);
    for (int i = 0; i < 2000; i++) {
        uint64_t words[sizeof *page / 8];

        for (size_t k = 0; k < ARRAY_LEN(words); k++)
            words[k] = i % 3 ? test_random_next(&r) : i % 2 ? UINT64_MAX : 0;
        memcpy(page, words, sizeof words);
        (void)!runpage_find(page, test_random_next(&r), 1, &next, &at);
        (void)!runpage_find(page, UINT64_MAX, UINT32_MAX, &next, &at);
        (void)!runpage_find(page, 0, 0, &next, &at);
        next = test_random_next(&r);
    }
    mem_free(page);
}

enum { N_KEYS = 100000 };

static struct runpage shared;
static _Atomic uint64_t n_begun,
        n_done; /* what the writer says of itself: before it starts, before it finishes */

static void *write_all(void *arg)
{
    for (uint64_t key = 1; key <= N_KEYS; key++) {
        atomic_store(&n_begun, key);
        start(&shared, key, 1);
        atomic_store(&n_done, key);
        runpage_finish(&shared);
        if (key % 16 == 0)
            runpage_sent(&shared, 16);
    }
    return NULL;
}

/* An answer may be old, but never ahead of the writer: what is asked for is what it does just now or next. */
static void test_reader_beside_a_writer(void **state)
{
    uint64_t n_known = 0, n_asked = 0, key, next = 0;
    const char *wrong = NULL;
    pthread_t writer;

    assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
    do {
        wall_ns_t at = UNTOUCHED;
        enum runpage_state s;

        key = atomic_load(&n_begun) + n_asked++ % 3;
        s = runpage_find(&shared, key, 1, &next, &at);
        n_known += s != RUNPAGE_UNKNOWN;
        if (s == RUNPAGE_FINISHED && atomic_load(&n_done) < key)
            wrong = "finished before it was";
        if (s != RUNPAGE_UNKNOWN && atomic_load(&n_begun) < key)
            wrong = "started before it was";
        if (at != (s == RUNPAGE_UNKNOWN ? UNTOUCHED : at_of(key, 1)))
            wrong = "the time of another";
    } while (key < N_KEYS && !wrong);
    assert_int_equal(pthread_join(writer, NULL), 0);
    if (wrong)
        fail_msg("%s", wrong);
    print_message("%" PRIu64 " of %" PRIu64 " known\n", n_known, n_asked);
    assert_int_equal(find(&shared, N_KEYS, 1), RUNPAGE_FINISHED);
}

static void test_loading(void **state)
{
    char long_name[300], text[RUNPAGE_TEXT_BYTES];
    struct runpage page = {0};

    runpage_loading(&page, text);
    assert_string_equal(text, "");
    runpage_load(&page, "/lib/a.so", "");
    runpage_loading(&page, text);
    assert_string_equal(text, "/lib/a.so");
    runpage_load(&page, "/lib/a.so", "one");
    runpage_loading(&page, text);
    assert_string_equal(text, "/lib/a.so, function one");
    runpage_load(&page, "", "");
    runpage_loading(&page, text);
    assert_string_equal(text, "");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    runpage_load(&page, long_name, "");
    runpage_loading(&page, text);
    assert_int_equal(strlen(text), RUNPAGE_TEXT_BYTES - 1);
    memset(page.loading, '\n', sizeof page.loading); /* scribbled */
    runpage_loading(&page, text);
    assert_int_equal(strspn(text, "?"), RUNPAGE_TEXT_BYTES - 1);
}

/* What a worker with several threads leaves behind: who ran something, and who took it down. */
static void test_blame(void **state)
{
    struct runpage page = {0};

    assert_false(runpage_is_running(&page));
    runpage_start(&page, 1, 1, 1);
    assert_true(runpage_is_running(&page));
    assert_false(runpage_is_blamed(&page));
    runpage_blame(&page);
    assert_true(runpage_is_blamed(&page));
    assert_true(runpage_is_running(&page));
    runpage_finish(&page);
    assert_false(runpage_is_running(&page));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_one_attempt),
            cmocka_unit_test(test_random_against_model),
            cmocka_unit_test(test_full_page),
            cmocka_unit_test(test_entry_written_but_not_counted),
            cmocka_unit_test(test_overruns_are_bugs),
            cmocka_unit_test(test_scribbled_page),
            cmocka_unit_test(test_loading),
            cmocka_unit_test(test_blame),
            cmocka_unit_test(test_reader_beside_a_writer),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
