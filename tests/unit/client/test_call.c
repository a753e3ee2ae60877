// SPDX-License-Identifier: Apache-2.0
#include "client/lib/retry.h"
#include "tests/unit/client/fake.h"

#define GET   "/futured.v1.Futures/Get"
#define WATCH "/futured.v1.Futures/Watch"
#define BIDI  "/futured.v1.Futures/RunStream"

static void encode_text(struct writer *w, const void *arg)
{
    writer_text(w, 1, arg);
}

static int decode_text(struct span reply, void *ret)
{
    if (reply.len >= 32)
        return FUTURED_CALL_E_MALFORMED;
    memcpy(ret, reply.p, reply.len);
    ((char *)ret)[reply.len] = '\0';
    return 0;
}

static int unary(struct fake *fake, char text[static 32])
{
    snprintf(text, 32, "untouched");
    return futured_call_unary(fake->client, GET, encode_text, "question", decode_text, text);
}

static void expect_status(const struct fake *fake, int code, const char *reason, const char *text)
{
    const struct futured_status *status = futured_client_status(fake->client);

    assert_int_equal(status->code, code);
    assert_string_equal(status->reason, reason);
    if (!strstr(status->message, text))
        fail_msg("`%s` is not in `%s`", text, status->message);
}

/* --- unary */

static void answer(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "answer", 6);
    grpc_call_finish(call);
}

static void test_unary(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_request = answer;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unary(fake, text), FUTURED_OK);
        assert_string_equal(text, "answer");
        expect_status(fake, FUTURED_OK, "", "");
    }
    assert_int_equal(fake->n_requests, 3);
    assert_int_equal(buf_len(&fake->request), 10);
    assert_memory_equal(buf_head(&fake->request), "\x0a\x08question", 10);
}

static void refuse(struct fake *fake, struct grpc_call *call, struct span message)
{
    struct grpc_status st;

    status_set(&st, GRPC_INVALID_ARGUMENT, "BAD_FIELD", "no good");
    status_add_violation(&st, "task.function", "is empty");
    grpc_call_fail(call, &st);
}

static void test_refused(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_request = refuse;
    assert_int_equal(unary(fake, text), FUTURED_INVALID_ARGUMENT);
    expect_status(fake, FUTURED_INVALID_ARGUMENT, "BAD_FIELD", "no good");
    assert_int_equal(futured_client_status(fake->client)->n_violations, 1);
    assert_string_equal(futured_client_status(fake->client)->violations[0].field, "task.function");
    assert_string_equal(text, "untouched");
    fake->on_request = answer; /* the next one is not touched by that */
    assert_int_equal(unary(fake, text), FUTURED_OK);
    expect_status(fake, FUTURED_OK, "", "");
    assert_int_equal(futured_client_status(fake->client)->n_violations, 0);
}

static void test_unimplemented(void **state)
{
    struct fake *fake = *state;
    char text[32];

    assert_int_equal(futured_call_unary(fake->client, "/futured.v1.Workers/ListWorkers", encode_text, "",
                                        decode_text, text),
                     FUTURED_UNIMPLEMENTED);
    assert_int_equal(futured_call_unary(fake->client, "/no.Such/Method", encode_text, "", decode_text, text),
                     FUTURED_UNIMPLEMENTED);
}

static void answer_nothing(struct fake *fake, struct grpc_call *call, struct span message)
{
    grpc_call_finish(call);
}

static void answer_long(struct fake *fake, struct grpc_call *call, struct span message)
{
    static const char text[64] = "long";

    fake_reply(call, text, sizeof text);
    grpc_call_finish(call);
}

static void answer_twice(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "one", 3);
    fake_reply(call, "two", 3);
    grpc_call_finish(call);
}

static void test_wrong_answers(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_request = answer_nothing;
    assert_int_equal(unary(fake, text), FUTURED_INTERNAL);
    expect_status(fake, FUTURED_INTERNAL, "", "sent no answer");
    fake->on_request = answer_long;
    assert_int_equal(unary(fake, text), FUTURED_INTERNAL);
    expect_status(fake, FUTURED_INTERNAL, "", "cannot be read");
    fake->on_request = answer_twice;
    assert_int_equal(unary(fake, text), FUTURED_INTERNAL);
    expect_status(fake, FUTURED_INTERNAL, "", "more answers than it was asked for");
    fake->on_request = answer;
    assert_int_equal(unary(fake, text), FUTURED_OK);
}

static void start_with_id(struct fake *fake, struct grpc_call *call)
{
    assert_int_equal(grpc_call_add_metadata(call, "futured-id", SPAN_LIT("the-id")), 0);
    assert_int_equal(grpc_call_send_headers(call), 0);
}

static void test_deadline(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_start = start_with_id; /* and never answers */
    futured_client_set_timeout(fake->client, 20 * NS_PER_MS);
    assert_int_equal(unary(fake, text), FUTURED_DEADLINE_EXCEEDED);
    expect_status(fake, FUTURED_DEADLINE_EXCEEDED, "", "unix:/nowhere/fake has not answered");
    assert_string_equal(futured_client_status(fake->client)->future_id, "the-id");
    fake->on_start = NULL;
    fake->on_request = answer;
    futured_client_set_timeout(fake->client, 0);
    assert_int_equal(unary(fake, text), FUTURED_OK);
    assert_string_equal(futured_client_status(fake->client)->future_id, "");
}

static int hang_up(struct fake *fake)
{
    fake_hang_up(fake);
    return 1;
}

static void test_lost(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_idle = hang_up;
    assert_int_equal(unary(fake, text), FUTURED_UNAVAILABLE);
    expect_status(fake, FUTURED_UNAVAILABLE, "CONNECTION_LOST", "lost the connection to unix:/nowhere/fake");
    /* the next call connects anew, by the address */
    assert_int_equal(unary(fake, text), FUTURED_UNAVAILABLE);
    expect_status(fake, FUTURED_UNAVAILABLE, "UNREACHABLE", "cannot connect to unix:/nowhere/fake");
}

static void drain(struct fake *fake, struct grpc_call *call, struct span message)
{
    h2_session_drain(grpc_conn_session(fake->conn));
    answer(fake, call, message);
}

/* The daemon says goodbye and answers what is open. */
static void test_goaway(void **state)
{
    struct fake *fake = *state;
    char text[32];

    fake->on_request = drain;
    assert_int_equal(unary(fake, text), FUTURED_OK);
    assert_string_equal(text, "answer");
    assert_int_equal(unary(fake, text), FUTURED_UNAVAILABLE);
}

static void test_unary_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct fake fake;
        char text[32];

        if (fake_init(&fake) == 0) {
            fake.on_request = answer;
            futured_client_set_timeout(fake.client, 60 * NS_PER_S);
            if (unary(&fake, text) == FUTURED_OK)
                assert_string_equal(text, "answer");
            else
                assert_true(test_allocation_failed());
        }
        fake_deinit(&fake);
    }
}

/* --- streams */

static struct futured_call *open_call(struct fake *fake, const char *path)
{
    struct futured_call *call;

    assert_int_equal(futured_call_new(&call, fake->client, path, 0, NULL), FUTURED_OK);
    assert_int_equal(futured_call_send(call, encode_text, "question"), 0);
    return call;
}

static void three(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "a", 1);
    fake_reply(call, "", 0);
    fake_reply(call, "ccc", 3);
    grpc_call_finish(call);
}

static void test_stream(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call;
    struct span reply;

    fake->on_request = three;
    call = open_call(fake, WATCH);
    assert_int_equal(futured_call_half_close(call), 0);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    assert_int_equal(reply.len, 1);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0); /* the same until it is popped */
    assert_memory_equal(reply.p, "a", 1);
    futured_call_pop(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    assert_int_equal(reply.len, 0);
    futured_call_pop(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    assert_memory_equal(reply.p, "ccc", 3);
    futured_call_pop(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), FUTURED_CALL_E_OVER);
    assert_int_equal(call->status.code, GRPC_OK);
    assert_int_equal(futured_call_send(call, encode_text, "nobody hears"), 0);
    assert_null(futured_call_free(call, 1));
    assert_null(futured_call_free(NULL, 0));
}

static void test_stream_late(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call = open_call(fake, BIDI);
    struct span reply;

    assert_int_equal(futured_call_next(call, clock_mono() + NS_PER_MS, &reply), FUTURED_CALL_E_LATE);
    fake_reply(fake->call, "now", 3); /* and the stream goes on */
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    assert_int_equal(reply.len, 3);
    futured_call_free(call, 0);
    while (fake_turn(fake))
        futured_client_poke(fake->client);
    assert_int_equal(fake->end, GRPC_END_CANCELLED);
    assert_int_equal(fake->n_ended, 1);
}

static void finish(struct fake *fake, struct grpc_call *call)
{
    grpc_call_finish(call);
}

/* A stream that has done its work ends in order, after it was freed. */
static void test_stream_done(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call = open_call(fake, BIDI);
    struct span reply;

    fake->on_half_close = finish;
    assert_int_equal(futured_call_next(call, clock_mono(), &reply), FUTURED_CALL_E_LATE);
    futured_call_free(call, 1);
    for (int i = 0; i < 100 && fake->n_ended == 0; i++) {
        fake_turn(fake);
        futured_conn_turn(fake->client->conn, POLLIN, clock_mono());
    }
    assert_int_equal(fake->n_ended, 1);
    assert_int_equal(fake->end, GRPC_END_ANSWERED);
}

/* More than the queue takes: the rest waits at the daemon, and nothing is lost. */
static void flood(struct fake *fake, struct grpc_call *call)
{
    static char chunk[60000];

    for (size_t i = 0; i < 100; i++) {
        memset(chunk, (int)i, sizeof chunk);
        fake_reply(call, chunk, sizeof chunk);
    }
    grpc_call_finish(call);
}

static void flood_on_request(struct fake *fake, struct grpc_call *call, struct span message)
{
    flood(fake, call);
}

static void test_stream_bounded(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call;
    struct span reply;

    fake->on_request = flood_on_request;
    call = open_call(fake, WATCH);
    assert_int_equal(futured_call_half_close(call), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
        assert_int_equal(reply.len, 60000);
        assert_int_equal(reply.p[59999], i);
        assert_true(buf_len(&call->queue) <= FUTURED_CALL_QUEUE_BYTES + 60004);
        futured_call_pop(call);
        fake_turn(fake); /* as much as it may */
        futured_conn_turn(fake->client->conn, POLLIN, clock_mono());
    }
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), FUTURED_CALL_E_OVER);
    assert_int_equal(call->status.code, GRPC_OK);
    futured_call_free(call, 1);
}

static void test_stream_max_queued(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call;
    struct span reply;

    fake->on_request = three;
    call = open_call(fake, WATCH);
    call->max_queued = 2;
    assert_int_equal(futured_call_half_close(call), 0);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    futured_call_pop(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    futured_call_pop(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), FUTURED_CALL_E_OVER);
    assert_int_equal(call->status.code, GRPC_INTERNAL);
    futured_call_free(call, 0);
}

static void test_stream_break(void **state)
{
    struct fake *fake = *state;
    struct futured_call *call;
    struct span reply;

    fake->on_request = three;
    call = open_call(fake, WATCH);
    assert_int_equal(futured_call_half_close(call), 0);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), 0);
    futured_call_break(call);
    assert_int_equal(futured_call_next(call, CLOCK_NEVER, &reply), FUTURED_CALL_E_OVER);
    assert_int_equal(call->status.code, GRPC_INTERNAL);
    futured_call_free(call, 0);
    assert_int_equal(futured_ping(fake->client),
                     FUTURED_INTERNAL); /* `three` is no health; and we are alive */
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_unary),
            WITH_FAKE(test_refused),
            WITH_FAKE(test_unimplemented),
            WITH_FAKE(test_wrong_answers),
            WITH_FAKE(test_deadline),
            WITH_FAKE(test_lost),
            WITH_FAKE(test_goaway),
            cmocka_unit_test(test_unary_memory),
            WITH_FAKE(test_stream),
            WITH_FAKE(test_stream_late),
            WITH_FAKE(test_stream_done),
            WITH_FAKE(test_stream_bounded),
            WITH_FAKE(test_stream_max_queued),
            WITH_FAKE(test_stream_break),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
