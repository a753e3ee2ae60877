// SPDX-License-Identifier: Apache-2.0
/* Calls that are asked again after a loss, and calls that are only started. */
#include "client/lib/retry.h"
#include "tests/unit/client/fake.h"

#include <futured/async.h>

#define GET "/futured.v1.Futures/Get"

enum trouble { NONE, TO_LOSE, LOST, BACK };

static void encode_text(struct writer *w, const void *arg)
{
    writer_text(w, 1, arg);
}

static int decode_length(struct span reply, void *ret)
{
    *(size_t *)ret = reply.len;
    return 0;
}

static void answer(struct fake *fake, struct grpc_call *call, struct span message)
{
    enum trouble *trouble = fake->user;

    if (*trouble == TO_LOSE)
        return;
    fake_reply(call, message.p, message.len);
    grpc_call_finish(call);
}

/* The connection is lost once it has been asked; the next one is there when the client waits for its time. */
static int make_trouble(struct fake *fake)
{
    enum trouble *trouble = fake->user;

    if (*trouble == TO_LOSE && fake->n_requests) {
        *trouble = LOST;
        fake_hang_up(fake);
        return 1;
    }
    if (*trouble == LOST &&
        (!fake->client->conn || futured_conn_state(fake->client->conn) == FUTURED_CONN_LOST)) {
        *trouble = BACK;
        fake->client->conn = futured_conn_free(fake->client->conn);
        assert_int_equal(fake_connect(fake), 0);
        return 1;
    }
    return 0;
}

static void test_asked_again(void **state)
{
    enum trouble trouble = TO_LOSE;
    struct fake *fake = *state;
    size_t n = 0;

    fake->user = &trouble;
    fake->on_request = answer;
    fake->on_idle = make_trouble;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    assert_int_equal(futured_call_unary(fake->client, GET, encode_text, "question", decode_length, &n),
                     FUTURED_OK);
    assert_int_equal(n, 10);
    assert_int_equal(fake->n_requests, 2);
    assert_int_equal(fake->client->trouble_at, CLOCK_NEVER);
}

static void test_not_asked_twice(void **state)
{
    enum trouble trouble = TO_LOSE;
    struct fake *fake = *state;
    size_t n = 0;

    fake->user = &trouble;
    fake->on_request = answer;
    fake->on_idle = make_trouble;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    assert_int_equal(futured_call_once(fake->client, GET, encode_text, "question", decode_length, &n),
                     FUTURED_UNAVAILABLE);
    assert_string_equal(futured_client_status(fake->client)->reason, "CONNECTION_LOST");
    assert_int_equal(fake->n_requests, 1);
}

/* --- started */

struct told {
    size_t n;
    int n_told, code;
};

static void on_done(void *arg, int code)
{
    struct told *told = arg;

    told->n_told++;
    told->code = code;
}

static void start(struct fake *fake, struct told *told)
{
    futured_client_async(fake->client, on_done, told);
    assert_int_equal(futured_call_unary(fake->client, GET, encode_text, "question", decode_length, &told->n),
                     FUTURED_AGAIN);
    assert_int_equal(told->n_told, 0);
}

static void test_started(void **state)
{
    enum trouble trouble = NONE;
    struct futured_interest interest;
    struct fake *fake = *state;
    struct told told[3] = {{0}};
    size_t n = 0;

    fake->user = &trouble;
    fake->on_request = answer;
    futured_client_set_nonblocking(fake->client, 1);
    assert_int_equal(futured_call_unary(fake->client, GET, encode_text, "question", decode_length, &n),
                     FUTURED_FAILED_PRECONDITION);
    for (int i = 0; i < 3; i++)
        start(fake, &told[i]);
    assert_int_equal(futured_client_n_async(fake->client), 3);
    futured_client_async_cancel(fake->client, &told[1]);
    while (futured_client_n_async(fake->client)) {
        futured_client_interest(fake->client, &interest);
        assert_true(interest.fd >= 0);
        while (fake_turn(fake))
            ;
        futured_client_process(fake->client, FUTURED_WANT_READ);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(told[i].n_told, i != 1);
        assert_int_equal(told[i].n, i != 1 ? 10 : 0);
    }
}

static void test_dropped(void **state)
{
    enum trouble trouble = NONE;
    struct fake *fake = *state;
    struct told told = {0};

    fake->user = &trouble;
    start(fake, &told);
    fake->client = futured_client_free(fake->client);
    assert_int_equal(told.n_told, 1);
    assert_int_equal(told.code, FUTURED_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_asked_again, fake_setup, fake_teardown),
            cmocka_unit_test_setup_teardown(test_not_asked_twice, fake_setup, fake_teardown),
            cmocka_unit_test_setup_teardown(test_started, fake_setup, fake_teardown),
            cmocka_unit_test_setup_teardown(test_dropped, fake_setup, fake_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
