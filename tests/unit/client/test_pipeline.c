// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/sample.h"
#include "tests/unit/client/shop.h"

#include <futured/async.h>

enum { MANY = 1000 };

static struct futured_request *request;
static int items[MANY];

static int group_setup(void **state)
{
    request = futured_request_new("echo");
    futured_request_set_tag(request, "of the user");
    return 0;
}

static int group_teardown(void **state)
{
    futured_request_free(request);
    return 0;
}

/* The outcome of the request with that tag. */
static void send_finished(struct grpc_call *call, const char *tag, const char *data)
{
    uint8_t one[SAMPLE_BYTES], reply[2 * SAMPLE_BYTES], *to = reply;
    size_t n = sample_small(SAMPLE_ID "1", FUTURED__V1__STATE__STATE_SUCCEEDED, data, one);

    to = wire_put_bytes(to, 1, one, n);
    to = wire_put_bytes(to, 4, tag, strlen(tag));
    fake_reply(call, reply, (size_t)(to - reply));
}

static void send_status(struct grpc_call *call, const char *tag, enum grpc_code code)
{
    uint8_t reply[1024], *to = reply;
    struct buf status = BUF_INIT;
    struct grpc_status st;

    if (status_encode(status_set(&st, code, "QUEUE_FULL", "the queue is full"), &status) == 0) {
        to = wire_put_bytes(to, 2, buf_head(&status), buf_len(&status));
        to = wire_put_bytes(to, 4, tag, strlen(tag));
        fake_reply(call, reply, (size_t)(to - reply));
    }
    buf_deinit(&status);
}

static void tag_of(struct span message, char tag[static 16])
{
    Futured__V1__RunRequest *r = futured__v1__run_request__unpack(NULL, message.len, message.p);

    assert_non_null(r);
    assert_string_equal(r->submit->task->function, "echo");
    snprintf(tag, 16, "%s", r->submit->tag);
    futured__v1__run_request__free_unpacked(r, NULL);
}

static void answer_at_once(struct fake *fake, struct grpc_call *call, struct span message)
{
    char tag[16];

    tag_of(message, tag);
    send_finished(call, tag, tag);
}

/* Keeps the tags and answers the newest first, when the library waits. */
static char kept[MANY][16];
static size_t n_kept;

static void keep(struct fake *fake, struct grpc_call *call, struct span message)
{
    tag_of(message, kept[n_kept++]);
}

static int answer_newest(struct fake *fake)
{
    if (n_kept == 0 || !fake->call)
        return 0;
    n_kept--;
    send_finished(fake->call, kept[n_kept], kept[n_kept]);
    return 1;
}

static struct futured_finished *take(struct futured_pipeline *p)
{
    struct futured_finished *f;

    assert_int_equal(futured_pipeline_take(p, &f), FUTURED_OK);
    return f;
}

/* Each request comes back once, with its own item, whatever the order. */
static void run_many(struct fake *fake, uint32_t max_in_flight)
{
    struct futured_pipeline *p = futured_pipeline_new(fake->client, max_in_flight);
    size_t n_put = 0, n_taken = 0;

    memset(items, 0, sizeof items);
    while (n_put < MANY || futured_pipeline_in_flight(p)) {
        struct futured_finished *f;

        while (n_put < MANY && !futured_pipeline_is_full(p)) {
            assert_int_equal(futured_pipeline_put(p, request, &items[n_put]), FUTURED_OK);
            n_put++;
        }
        f = take(p);
        assert_int_equal(f->code, FUTURED_OK);
        assert_int_equal(f->status->code, FUTURED_OK);
        assert_string_equal(f->future->id, SAMPLE_ID "1");
        ++*(int *)f->user;
        assert_null(futured_finished_free(f));
        n_taken++;
    }
    assert_int_equal(n_taken, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(items[i], 1);
    assert_null(take(p));
    assert_null(futured_pipeline_free(p));
}

static void test_many(void **state)
{
    struct fake *fake = *state;

    fake->on_request = answer_at_once;
    run_many(fake, 0);
    run_many(fake, 1);
    fake->on_request = keep;
    fake->on_idle = answer_newest;
    n_kept = 0;
    run_many(fake, 100);
}

static void test_full(void **state)
{
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 2);

    fake->on_request = answer_at_once;
    assert_null(take(p)); /* nothing was put: nothing is waited for */
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
    assert_false(futured_pipeline_is_full(p));
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
    assert_true(futured_pipeline_is_full(p));
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_FAILED_PRECONDITION);
    assert_int_equal(futured_pipeline_in_flight(p), 2);
    assert_int_equal(fake->n_requests, 0);
    assert_int_equal(futured_pipeline_flush(p), FUTURED_OK);
    while (fake_turn(fake))
        ;
    assert_int_equal(fake->n_requests, 2); /* they have left without a take */
    futured_finished_free(take(p));
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
    assert_int_equal(futured_pipeline_put(p, NULL, NULL), FUTURED_RESOURCE_EXHAUSTED);
    futured_pipeline_free(p);
}

static void answer_every_other(struct fake *fake, struct grpc_call *call, struct span message)
{
    char tag[16];

    tag_of(message, tag);
    if (fake->n_requests % 2)
        send_status(call, tag, GRPC_RESOURCE_EXHAUSTED);
    else
        send_finished(call, tag, "x");
}

/* --- sent again */

static char asked[4][64];
static size_t n_asked;

static void keep_id(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__RunRequest *r = futured__v1__run_request__unpack(NULL, message.len, message.p);

    assert_true(n_asked < ARRAY_LEN(asked));
    snprintf(asked[n_asked++], sizeof asked[0], "%s", r->submit->request_id);
    futured__v1__run_request__free_unpacked(r, NULL);
}

/* Each put is a task of its own; what was lost with the stream is sent again as the same one, by the ID that comes back. */
static void test_again(void **state)
{
    struct futured_pipeline *p;
    struct futured_finished *f;
    struct fake *fake = *state;

    n_asked = 0;
    fake->on_request = keep_id;
    for (int round = 0; round < 2; round++) {
        p = futured_pipeline_new(fake->client, 0);
        for (int i = 0; i < 2 - round; i++)
            assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
        assert_int_equal(futured_pipeline_flush(p), FUTURED_OK);
        while (fake_turn(fake))
            ;
        fake_hang_up(fake);
        f = take(p);
        assert_int_equal(f->code, FUTURED_UNAVAILABLE);
        assert_string_equal(f->request_id, round ? "" : asked[0]); /* the caller's own is not told */
        futured_request_set_request_id(request, round ? NULL : f->request_id);
        futured_finished_free(f);
        futured_pipeline_free(p);
        fake->client->conn = futured_conn_free(fake->client->conn);
        assert_int_equal(fake_connect(fake), 0);
    }
    assert_int_equal(n_asked, 3);
    assert_string_not_equal(asked[0], asked[1]);
    assert_string_equal(asked[2], asked[0]);
}

/* A request that was not accepted costs itself only. */
static void test_refused(void **state)
{
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 8);

    fake->on_request = answer_every_other;
    for (int i = 0; i < 8; i++)
        assert_int_equal(futured_pipeline_put(p, request, &items[i]), FUTURED_OK);
    for (int i = 0; i < 8; i++) {
        struct futured_finished *f = take(p);

        assert_ptr_equal(f->user, &items[i]);
        assert_int_equal(f->code, i % 2 ? FUTURED_OK : FUTURED_RESOURCE_EXHAUSTED);
        assert_int_equal(f->status->code, f->code);
        assert_int_equal(f->future != NULL, i % 2);
        assert_string_equal(f->status->reason, i % 2 ? "" : "QUEUE_FULL");
        futured_finished_free(f);
    }
    futured_pipeline_free(p);
}

static int hang_up(struct fake *fake)
{
    fake_hang_up(fake);
    return 1;
}

static int end_stream(struct fake *fake)
{
    if (!fake->call)
        return 0;
    grpc_call_finish(fake->call);
    return 1;
}

/* What is in flight when the stream goes comes back, each with its item. */
static void expect_all_back(struct fake *fake, int code)
{
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 8);
    int seen[5] = {0};

    for (int i = 0; i < 5; i++)
        assert_int_equal(futured_pipeline_put(p, request, &seen[i]), FUTURED_OK);
    for (int i = 0; i < 5; i++) {
        struct futured_finished *f = take(p);

        assert_int_equal(f->code, code);
        assert_int_equal(f->status->code, code);
        assert_null(f->future);
        ++*(int *)f->user;
        futured_finished_free(f);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i], 1);
    assert_null(take(p));
    assert_int_equal(futured_pipeline_put(p, request, NULL), code);
    assert_int_equal(futured_pipeline_in_flight(p), 0);
    futured_pipeline_free(p);
}

static void answer_strange_tag(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_finished(call, fake->user, "x");
}

static void answer_garbage(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "\xff", 1);
}

static void answer_neither(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "\x22\x01\x30", 3); /* tag "0", and no outcome */
}

static void answer_ok_status(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_status(call, "0", GRPC_OK);
}

static void test_stream_ends(void **state)
{
    static char tags[][8] = {"", "7", "8", "65536", "x", "000000"};
    struct fake *fake = *state;

    fake->on_idle = end_stream;
    expect_all_back(fake, FUTURED_UNAVAILABLE);
    fake->on_idle = NULL;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        fake->user = tags[i];
        fake->on_request = answer_strange_tag;
        expect_all_back(fake, FUTURED_INTERNAL);
    }
    fake->on_request = answer_garbage;
    expect_all_back(fake, FUTURED_INTERNAL);
    fake->on_request = answer_neither;
    expect_all_back(fake, FUTURED_INTERNAL);
    fake->on_request = answer_ok_status;
    expect_all_back(fake, FUTURED_INTERNAL);
    fake->on_request = NULL;
    fake->on_idle = hang_up;
    expect_all_back(fake, FUTURED_UNAVAILABLE);
}

static void answer_twice(struct fake *fake, struct grpc_call *call, struct span message)
{
    answer_at_once(fake, call, message);
    answer_at_once(fake, call, message);
}

static void test_answered_twice(void **state)
{
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 4);
    struct futured_finished *f;

    fake->on_request = answer_twice;
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_OK);
    f = take(p);
    assert_int_equal(f->code, FUTURED_OK);
    futured_finished_free(f);
    f = take(p); /* the second answer to the first: nothing of this stream is to be believed */
    assert_int_equal(f->code, FUTURED_INTERNAL);
    futured_finished_free(f);
    futured_pipeline_free(p);
}

static void test_timeout(void **state)
{
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 4);
    struct futured_finished *f;

    n_kept = 0;
    fake->on_request = keep;
    assert_int_equal(futured_pipeline_put(p, request, &items[0]), FUTURED_OK);
    futured_client_set_timeout(fake->client, NS_PER_MS);
    assert_int_equal(futured_pipeline_take(p, &f), FUTURED_DEADLINE_EXCEEDED);
    assert_int_equal(futured_pipeline_in_flight(p), 1);
    fake->on_idle = answer_newest;
    futured_client_set_timeout(fake->client, 0);
    f = take(p);
    assert_ptr_equal(f->user, &items[0]);
    futured_finished_free(f);
    futured_pipeline_free(p);
}

/* Large requests: more than the windows and the flush mark hold. */
static void test_large(void **state)
{
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new(fake->client, 16);
    struct futured_request *large = futured_request_new("echo");
    static char argument[1 << 20];

    futured_request_set_argument(large, argument, sizeof argument);
    fake->on_request = answer_at_once;
    for (int i = 0; i < 16; i++)
        assert_int_equal(futured_pipeline_put(p, large, &items[i]), FUTURED_OK);
    for (int i = 0; i < 16; i++) {
        struct futured_finished *f = take(p);

        assert_int_equal(f->code, FUTURED_OK);
        assert_ptr_equal(f->user, &items[i]);
        futured_finished_free(f);
    }
    futured_request_free(large);
    futured_pipeline_free(p);
}

/* --- submissions */

/* The next answer is the future with that number. */
static void expect_accepted(struct futured_pipeline *p, size_t number, int joined)
{
    struct futured_finished *f = take(p);
    char id[40];

    shop_id(number, id);
    assert_int_equal(f->code, FUTURED_OK);
    assert_ptr_equal(f->user, &items[number]);
    assert_string_equal(f->future->id, id);
    assert_int_equal(f->joined, joined);
    futured_finished_free(f);
}

static void test_submits(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new_submit(fake->client, 3);
    struct futured_finished *f;

    fake->user = &shop;
    fake->on_request = shop_accept;
    for (size_t i = 0; i < 20; i++) {
        if (futured_pipeline_is_full(p))
            expect_accepted(p, i - 3, 0);
        assert_int_equal(futured_pipeline_put(p, request, &items[i]), FUTURED_OK);
    }
    for (size_t i = 17; i < 20; i++)
        expect_accepted(p, i, 0);
    futured_request_set_request_id(request, shop.known[4]); /* it is known */
    assert_int_equal(futured_pipeline_put(p, request, &items[4]), FUTURED_OK);
    expect_accepted(p, 4, 1);
    futured_request_set_request_id(request, NULL);
    shop.is_full = 1;
    assert_int_equal(futured_pipeline_put(p, request, &items[0]), FUTURED_OK);
    f = take(p);
    assert_int_equal(f->code, FUTURED_RESOURCE_EXHAUSTED);
    assert_string_equal(f->status->reason, "QUEUE_FULL");
    assert_null(f->future);
    futured_finished_free(f);
    assert_null(take(p));
    futured_pipeline_free(p);
}

/* After a loss they are sent again in the order of the puts, whatever slots they have; each is one future. */
static void test_submits_again(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new_submit(fake->client, 4);

    fake->user = &shop;
    fake->on_request = shop_accept;
    fake->on_idle = shop_trouble;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    shop.answers = 2;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(futured_pipeline_put(p, request, &items[i]), FUTURED_OK);
    expect_accepted(p, 0, 0);
    expect_accepted(p, 1, 0);
    for (size_t i = 4; i < 6; i++)
        assert_int_equal(futured_pipeline_put(p, request, &items[i]), FUTURED_OK);
    shop.trouble = SHOP_TO_LOSE;
    for (size_t i = 2; i < 6; i++)
        expect_accepted(p, i, 1);
    assert_int_equal(shop.n_known, 6);
    assert_int_equal(shop.n_asked, 10);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(shop.asked[6 + i], shop.known[2 + i]);
    futured_pipeline_free(p);
}

static void test_submits_not_waiting(void **state)
{
    struct shop shop = SHOP_INIT;
    struct fake *fake = *state;
    struct futured_pipeline *p = futured_pipeline_new_submit(fake->client, 4);
    struct futured_finished *f;

    fake->user = &shop;
    fake->on_request = shop_accept;
    futured_client_set_nonblocking(fake->client, 1);
    assert_int_equal(futured_pipeline_put(p, request, &items[0]), FUTURED_OK);
    while (futured_pipeline_take(p, &f) == FUTURED_AGAIN) {
        futured_client_process(fake->client, FUTURED_WANT_READ | FUTURED_WANT_WRITE);
        fake_turn(fake);
    }
    assert_string_equal(f->future->id, "0198c2f0-1111-7000-8000-000000000000");
    futured_finished_free(f);
    futured_pipeline_free(p);
}

static void test_unreachable(void **state)
{
    struct futured_client *client = futured_client_new("unix:/nowhere/at/all");
    struct futured_pipeline *p = futured_pipeline_new(client, 4);

    assert_int_equal(futured_pipeline_put(p, request, NULL), FUTURED_UNAVAILABLE);
    assert_int_equal(futured_pipeline_in_flight(p), 0);
    assert_null(futured_pipeline_free(p));
    assert_null(futured_pipeline_free(NULL));
    assert_null(futured_finished_free(NULL));
    futured_client_free(client);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_pipeline *p = NULL;
        struct futured_finished *f;
        int n_put = 0, n_ok = 0, r;
        struct fake fake;

        r = fake_init(&fake);
        fake.on_request = answer_every_other;
        if (r == 0) {
            futured_client_set_timeout(fake.client, 4 * NS_PER_S);
            p = futured_pipeline_new(fake.client, 4);
        }
        for (int i = 0; p && i < 4; i++)
            n_put += futured_pipeline_put(p, request, &items[i]) == FUTURED_OK;
        for (int i = 0; p && i < 9 && futured_pipeline_in_flight(p); i++) {
            r = futured_pipeline_take(p, &f);
            if (r == FUTURED_OK) {
                n_ok += f->code == FUTURED_OK;
                futured_finished_free(f);
            } else if (r != FUTURED_RESOURCE_EXHAUSTED) {
                break;
            }
        }
        assert_true(test_allocation_failed() || (n_put == 4 && n_ok == 2));
        futured_pipeline_free(p);
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_many),
            WITH_FAKE(test_full),
            WITH_FAKE(test_again),
            WITH_FAKE(test_refused),
            WITH_FAKE(test_stream_ends),
            WITH_FAKE(test_answered_twice),
            WITH_FAKE(test_timeout),
            WITH_FAKE(test_large),
            WITH_FAKE(test_submits),
            WITH_FAKE(test_submits_again),
            WITH_FAKE(test_submits_not_waiting),
            cmocka_unit_test(test_unreachable),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
