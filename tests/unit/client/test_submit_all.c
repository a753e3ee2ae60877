// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/shop.h"

#include <futured/async.h>

enum { N = 300 }; /* more than are in flight at a time */

static struct futured_request *requests[N];
static struct futured_finished *all[N];

static int setup(void **state)
{
    for (int i = 0; i < N; i++)
        requests[i] = futured_request_new("echo");
    return fake_setup(state);
}

static int teardown(void **state)
{
    for (int i = 0; i < N; i++)
        requests[i] = futured_request_free(requests[i]);
    return fake_teardown(state);
}

/* That all are answered, in order, by the futures from @first on. */
static void expect_all(struct fake *fake, size_t first, int joined)
{
    char id[40];

    assert_int_equal(futured_submit_all(fake->client, requests, N, all), FUTURED_OK);
    assert_int_equal(futured_client_status(fake->client)->code, FUTURED_OK);
    for (size_t i = 0; i < N; i++) {
        shop_id(first + i, id);
        assert_int_equal(all[i]->code, FUTURED_OK);
        assert_ptr_equal(all[i]->user, requests[i]);
        assert_string_equal(all[i]->future->id, id);
        if (joined >= 0)
            assert_int_equal(all[i]->joined, joined);
        all[i] = futured_finished_free(all[i]);
    }
}

static void expect_failure(struct fake *fake, int code)
{
    assert_int_equal(futured_submit_all(fake->client, requests, N, all), code);
    assert_int_equal(futured_client_status(fake->client)->code, code);
    for (size_t i = 0; i < N; i++)
        assert_null(all[i]);
}

static void test_all(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;

    fake->user = &shop;
    fake->on_request = shop_accept;
    assert_int_equal(futured_submit_all(fake->client, requests, 0, NULL), FUTURED_OK);
    assert_int_equal(fake->n_requests, 0);
    expect_all(fake, 0, 0);
    expect_all(fake, N, 0); /* other tasks by then */
    assert_int_equal(shop.n_known, 2 * N);
}

/* One that is refused costs itself, and stays the same task. */
static void test_refused(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;

    fake->user = &shop;
    fake->on_request = shop_accept;
    for (int round = 0; round < 2; round++) {
        shop.is_full = round == 0;
        assert_int_equal(futured_submit_all(fake->client, requests, 1, all), FUTURED_OK);
        assert_int_equal(all[0]->code, round ? FUTURED_OK : FUTURED_RESOURCE_EXHAUSTED);
        assert_string_equal(all[0]->status->reason, round ? "" : "QUEUE_FULL");
        all[0] = futured_finished_free(all[0]);
    }
    assert_string_equal(shop.asked[0], shop.asked[1]);
}

/* What fails in the middle is made again by the same call: what was accepted is not accepted twice. */
static void test_again(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;

    fake->user = &shop;
    fake->on_request = shop_accept;
    fake->on_idle = shop_trouble;
    shop.answers = 100;
    futured_client_set_timeout(fake->client, NS_PER_MS);
    expect_failure(fake, FUTURED_DEADLINE_EXCEEDED);
    futured_client_set_timeout(fake->client, 0);
    shop.answers = 100;
    shop.trouble = SHOP_TO_LOSE;
    expect_failure(fake, FUTURED_UNAVAILABLE);
    assert_string_equal(futured_client_status(fake->client)->reason, "CONNECTION_LOST");
    assert_true(shop_trouble(fake));
    expect_all(fake, 0, -1);
    assert_int_equal(shop.n_known, N);
}

static void test_patience(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;

    fake->user = &shop;
    fake->on_request = shop_accept;
    fake->on_idle = shop_trouble;
    shop.answers = 100;
    shop.trouble = SHOP_TO_LOSE;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    expect_all(fake, 0, -1);
    assert_int_equal(shop.n_known, N);
    assert_true(shop.n_asked > N);
}

/* What can be told before anything is sent. */
static void test_not_begun(void **state)
{
    static const char byte;
    struct fake *fake = *state;

    futured_client_set_nonblocking(fake->client, 1);
    expect_failure(fake, FUTURED_FAILED_PRECONDITION);
    futured_client_set_nonblocking(fake->client, 0);
    futured_request_set_argument(requests[N - 1], &byte, (64U << 20) + 1);
    expect_failure(fake, FUTURED_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(futured_client_status(fake->client)->message, "request 299:"));
    requests[N - 1] = futured_request_free(requests[N - 1]);
    expect_failure(fake, FUTURED_RESOURCE_EXHAUSTED);
    assert_string_equal(futured_client_status(fake->client)->reason, "NO_MEMORY");
    assert_int_equal(fake->n_requests, 0);
}

static void test_memory(void **state)
{
    struct futured_request *three[3];
    struct futured_finished *ret[3];

    for (int i = 0; i < 3; i++)
        three[i] = futured_request_new("echo");
    FAIL_EACH_ALLOCATION(nth)
    {
        struct shop shop = SHOP_INIT;
        struct fake fake;

        if (fake_init(&fake) == 0) {
            fake.user = &shop;
            fake.on_request = shop_accept;
            futured_client_set_timeout(fake.client, 4 * NS_PER_S);
            if (futured_submit_all(fake.client, three, 3, ret) == FUTURED_OK)
                for (int i = 0; i < 3; i++)
                    ret[i] = futured_finished_free(ret[i]);
            else
                assert_true(test_allocation_failed());
        }
        fake_deinit(&fake);
    }
    for (int i = 0; i < 3; i++)
        futured_request_free(three[i]);
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_all),      WITH_FAKE(test_refused),   WITH_FAKE(test_again),
            WITH_FAKE(test_patience), WITH_FAKE(test_not_begun), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
