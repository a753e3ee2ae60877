// SPDX-License-Identifier: Apache-2.0
#include "grpc/writer.h"
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/async.h>
#include <futured/v1/futures.pb-c.h>

static const char *const two_ids[] = {SAMPLE_ID "1", SAMPLE_ID "2"};
static const struct futured_selector two = {two_ids, 2, NULL, NULL};
static uint8_t wire[4 * SAMPLE_BYTES];
static size_t wire_n;

static void answer_wire(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, wire, wire_n);
    grpc_call_finish(call);
}

/* Two futures as the repeated field 1 at the front of `wire`. */
static void put_two_futures(void)
{
    uint8_t one[SAMPLE_BYTES], *to = wire;

    to = wire_put_bytes(to, 1, one,
                        sample_small(SAMPLE_ID "1", FUTURED__V1__STATE__STATE_SUCCEEDED, "x", one));
    to = wire_put_bytes(to, 1, one, sample_whole(one));
    wire_n = (size_t)(to - wire);
}

static void expect_two_futures(const struct futured_future *const *futures, size_t n,
                               struct futured_bytes all)
{
    uint8_t one[SAMPLE_BYTES];
    size_t n_one = sample_whole(one);

    assert_int_equal(n, 2);
    assert_string_equal(futures[0]->id, SAMPLE_ID "1");
    assert_int_equal(futures[0]->result->size, 1);
    assert_string_equal(futures[1]->task->function, "crash");
    assert_int_equal(futures[1]->wire.size, n_one); /* each has its own bytes */
    assert_memory_equal(futures[1]->wire.data, one, n_one);
    assert_int_equal(all.size, wire_n);
    assert_memory_equal(all.data, wire, wire_n);
}

static void test_wait(void **state)
{
    struct futured_wait_options options = FUTURED_WAIT_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_waited *waited;
    Futured__V1__WaitRequest *r;
    uint8_t *to;

    put_two_futures();
    to = wire_put_bytes(wire + wire_n, 2, "later", 5);
    to = wire_put_bytes(to, 3, "gone", 4);
    to = wire_put_bytes(to, 4, "\x08\x01\x10\x02\x18\x03\x20\x04\x28\x05", 10);
    to = wire_put_uint(to, 5, 1);
    wire_n = (size_t)(to - wire);
    fake->on_request = answer_wire;
    options.return_when = FUTURED_COUNT;
    options.count = 2;
    options.expect = 3;
    options.timeout_ns = 0;
    options.view = FUTURED_VIEW_FULL;
    assert_int_equal(futured_wait(fake->client, &two, &options, &waited), FUTURED_OK);
    expect_two_futures(waited->done, waited->n_done, waited->wire);
    assert_int_equal(waited->n_not_done, 1);
    assert_string_equal(waited->not_done[0], "later");
    assert_int_equal(waited->n_missing, 1);
    assert_string_equal(waited->missing[0], "gone");
    assert_int_equal(waited->pending, 1);
    assert_int_equal(waited->running, 2);
    assert_int_equal(waited->succeeded, 3);
    assert_int_equal(waited->failed, 4);
    assert_int_equal(waited->cancelled, 5);
    assert_true(waited->timed_out);
    assert_null(futured_waited_free(waited));
    r = futured__v1__wait_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->selector->n_ids, 2);
    assert_string_equal(r->selector->ids[1], SAMPLE_ID "2");
    assert_int_equal(r->return_when, FUTURED__V1__RETURN_WHEN__RETURN_WHEN_COUNT);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->expect, 3);
    assert_non_null(r->timeout);
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_FULL);
    futured__v1__wait_request__free_unpacked(r, NULL);
    futured_waited_free(NULL);
}

/* Defaults, and the options of an older program, which knew the first two members only. */
static void test_wait_options(void **state)
{
    struct futured_wait_options options = FUTURED_WAIT_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_waited *waited;
    Futured__V1__WaitRequest *r;

    wire_n = 0;
    fake->on_request = answer_wire;
    assert_int_equal(futured_wait(fake->client, &two, NULL, &waited), FUTURED_OK);
    assert_int_equal(waited->n_done + waited->n_missing + waited->n_not_done, 0);
    futured_waited_free(waited);
    r = futured__v1__wait_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->return_when, FUTURED__V1__RETURN_WHEN__RETURN_WHEN_ALL_COMPLETED);
    assert_null(r->timeout);
    futured__v1__wait_request__free_unpacked(r, NULL);

    options.return_when = FUTURED_FIRST_COMPLETED;
    options.timeout_ns = 5; /* behind what this program knows: not read */
    options.size = offsetof(struct futured_wait_options, count);
    assert_int_equal(futured_wait(fake->client, &two, &options, &waited), FUTURED_OK);
    futured_waited_free(waited);
    r = futured__v1__wait_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_int_equal(r->return_when, FUTURED__V1__RETURN_WHEN__RETURN_WHEN_FIRST_COMPLETED);
    assert_null(r->timeout);
    futured__v1__wait_request__free_unpacked(r, NULL);
}

/* The first one is not answered but cut. */
struct cut {
    int is_done;
    int64_t asked_ns[2]; /* how long each was to wait */
};

static void answer_the_second(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__WaitRequest *r = futured__v1__wait_request__unpack(NULL, message.len, message.p);
    struct cut *cut = fake->user;

    assert_non_null(r);
    assert_non_null(r->timeout);
    cut->asked_ns[fake->n_requests - 1] = r->timeout->seconds * NS_PER_S + r->timeout->nanos;
    futured__v1__wait_request__free_unpacked(r, NULL);
    if (fake->n_requests == 2)
        answer_wire(fake, call, message);
}

static int cut_the_first(struct fake *fake)
{
    struct cut *cut = fake->user;

    if (!cut->is_done && fake->n_requests) {
        cut->is_done = 1;
        fake_hang_up(fake);
        return 1;
    }
    if (fake->conn || futured_conn_state(fake->client->conn) != FUTURED_CONN_LOST)
        return 0;
    fake->client->conn = futured_conn_free(fake->client->conn);
    assert_int_equal(fake_connect(fake), 0);
    return 1;
}

static void on_waited(void *arg, int code)
{
    assert_int_equal(code, FUTURED_OK);
}

static void wait_again(struct fake *fake, int64_t timeout_ns, int is_started, struct cut *cut)
{
    struct futured_wait_options options = FUTURED_WAIT_OPTIONS_INIT;
    struct futured_waited *waited;

    wire_n = 0;
    fake->n_requests = 0;
    *cut = (struct cut){0};
    fake->user = cut;
    fake->on_request = answer_the_second;
    fake->on_idle = cut_the_first;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    options.timeout_ns = timeout_ns;
    if (is_started)
        futured_client_async(fake->client, on_waited, NULL);
    assert_int_equal(futured_wait(fake->client, &two, &options, &waited),
                     is_started ? FUTURED_AGAIN : FUTURED_OK);
    while (futured_client_n_async(fake->client)) {
        while (fake_turn(fake) || cut_the_first(fake))
            ;
        futured_client_process(fake->client, FUTURED_WANT_READ);
    }
    futured_waited_free(waited);
    assert_int_equal(fake->n_requests, 2);
}

/* Asked again, it waits for what is left of its time. */
static void test_wait_again(void **state)
{
    struct fake *fake = *state;
    struct cut cut;

    for (int is_started = 0; is_started < 2; is_started++) {
        wait_again(fake, 3600 * NS_PER_S, is_started, &cut);
        assert_true(cut.asked_ns[0] <= 3600 * NS_PER_S && cut.asked_ns[1] < cut.asked_ns[0]);
        wait_again(fake, 1, is_started, &cut); /* which is over by then */
        assert_int_equal(cut.asked_ns[1], 0);
    }
}

static void test_list(void **state)
{
    const struct futured_selector all = {NULL, 0, NULL, "*"};
    struct futured_list_options options = FUTURED_LIST_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_page *page;
    Futured__V1__ListRequest *r;

    put_two_futures();
    wire_n = (size_t)(wire_put_bytes(wire + wire_n, 2, "more", 4) - wire);
    fake->on_request = answer_wire;
    assert_int_equal(futured_list(fake->client, &all, NULL, &page), FUTURED_OK);
    expect_two_futures(page->futures, page->n_futures, page->wire);
    assert_string_equal(page->next_page_token, "more");
    r = futured__v1__list_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->selector->filter, "*");
    assert_string_equal(r->order_by, "");
    assert_int_equal(r->page_size, 0);
    futured__v1__list_request__free_unpacked(r, NULL);

    options.ascending = 1;
    options.page_size = 7;
    options.page_token = page->next_page_token;
    options.view = FUTURED_VIEW_RESULT;
    wire_n = 0;
    futured_page_free(page);
    options.page_token = "token";
    assert_int_equal(futured_list(fake->client, &all, &options, &page), FUTURED_OK);
    assert_int_equal(page->n_futures, 0);
    assert_string_equal(page->next_page_token, "");
    assert_null(futured_page_free(page));
    r = futured__v1__list_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->order_by, "asc");
    assert_int_equal(r->page_size, 7);
    assert_string_equal(r->page_token, "token");
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_RESULT);
    futured__v1__list_request__free_unpacked(r, NULL);
}

static void test_ping(void **state)
{
    struct fake *fake = *state;

    fake->on_request = answer_wire;
    wire_n = (size_t)(wire_put_uint(wire, 1, 1) - wire); /* SERVING */
    assert_int_equal(futured_ping(fake->client), FUTURED_OK);
    wire_n = (size_t)(wire_put_uint(wire, 1, 2) - wire); /* NOT_SERVING */
    assert_int_equal(futured_ping(fake->client), FUTURED_UNAVAILABLE);
    assert_string_equal(futured_client_status(fake->client)->reason, "NOT_SERVING");
    wire_n = 0;
    assert_int_equal(futured_ping(fake->client), FUTURED_UNAVAILABLE);
    wire[0] = 0xff;
    wire_n = 1;
    assert_int_equal(futured_ping(fake->client), FUTURED_INTERNAL);
}

static void test_malformed(void **state)
{
    struct futured_waited *waited = NULL;
    struct futured_page *page = NULL;
    struct fake *fake = *state;

    fake->on_request = answer_wire;
    wire_n = (size_t)(wire_put_bytes(wire, 1, "\xff\xff\xff", 3) - wire);
    assert_int_equal(futured_wait(fake->client, &two, NULL, &waited), FUTURED_INTERNAL);
    assert_int_equal(futured_list(fake->client, &two, NULL, &page), FUTURED_INTERNAL);
    assert_null(waited);
    assert_null(page);
}

static void test_memory(void **state)
{
    put_two_futures();
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_waited *waited = NULL;
        struct futured_page *page = NULL;
        struct fake fake;
        int r = fake_init(&fake);

        fake.on_request = answer_wire;
        if (r == 0) {
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            r = futured_wait(fake.client, &two, NULL, &waited);
        }
        if (r == 0)
            r = futured_list(fake.client, &two, NULL, &page);
        if (r == 0)
            expect_two_futures(page->futures, page->n_futures, page->wire);
        else
            assert_true(test_allocation_failed());
        futured_waited_free(waited);
        futured_page_free(page);
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_wait),          WITH_FAKE(test_wait_options), WITH_FAKE(test_wait_again),
            WITH_FAKE(test_list),          WITH_FAKE(test_ping),         WITH_FAKE(test_malformed),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
