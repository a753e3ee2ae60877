// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/fake.h"
#include "tests/unit/client/sample.h"

#include <futured/client.h>
#include <futured/v1/futures.pb-c.h>

static const char *const one_id[] = {SAMPLE_ID "1"};
static const struct futured_selector one = {one_id, 1, NULL, NULL};

static void send_event(struct grpc_call *call, Futured__V1__FutureEvent *event)
{
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    uint8_t reply[2 * SAMPLE_BYTES];
    char id[] = SAMPLE_ID "1";

    time.seconds = 5;
    event->id = id;
    event->time = &time;
    fake_reply(call, reply, futured__v1__future_event__pack(event, reply));
}

static void send_all(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__FutureEvent e = FUTURED__V1__FUTURE_EVENT__INIT;
    Futured__V1__Future future = FUTURED__V1__FUTURE__INIT;
    Futured__V1__Progress progress = FUTURED__V1__PROGRESS__INIT;
    Futured__V1__Chunk chunk = FUTURED__V1__CHUNK__INIT;
    Futured__V1__Lost lost = FUTURED__V1__LOST__INIT;
    Futured__V1__Keepalive keepalive = FUTURED__V1__KEEPALIVE__INIT;
    char id[] = SAMPLE_ID "1", text[] = "half", data[] = "line\n";

    future.id = id;
    future.state = FUTURED__V1__STATE__STATE_RUNNING;
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT;
    e.snapshot = &future;
    send_event(call, &e);
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE; /* read over */
    e.keepalive = &keepalive;
    send_event(call, &e);
    progress.completed = 1;
    progress.total = 2;
    progress.message = text;
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_PROGRESS;
    e.progress = &progress;
    send_event(call, &e);
    chunk.attempt = 3;
    chunk.stream = FUTURED__V1__STREAM__STREAM_STDERR;
    chunk.offset = 99;
    chunk.data = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)data};
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_LOG;
    e.log = &chunk;
    send_event(call, &e);
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_OUTPUT;
    e.output = &chunk;
    send_event(call, &e);
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_LABELS;
    e.labels = &future;
    send_event(call, &e);
    lost.events = 4;
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_LOST;
    e.lost = &lost;
    send_event(call, &e);
    future.state = FUTURED__V1__STATE__STATE_SUCCEEDED;
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_STATE;
    e.state = &future;
    send_event(call, &e);
    fake_reply(call, "\xa2\x06\x00", 3); /* field 100: an event of a later daemon */
    grpc_call_finish(call);
}

static struct futured_event *next(struct futured_watch *watch, enum futured_event_kind kind)
{
    struct futured_event *e;

    assert_int_equal(futured_watch_next(watch, &e), FUTURED_OK);
    assert_non_null(e);
    assert_int_equal(e->kind, kind);
    return e;
}

static void test_events(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;
    struct futured_event *e;
    Futured__V1__WatchRequest *r;

    fake->on_request = send_all;
    assert_int_equal(futured_watch_open(fake->client, &one, FUTURED_VIEW_FULL, &watch), FUTURED_OK);
    e = next(watch, FUTURED_EVENT_SNAPSHOT);
    assert_string_equal(e->id, SAMPLE_ID "1");
    assert_int_equal(e->time_ns, INT64_C(5000000000));
    assert_int_equal(e->future->state, FUTURED_STATE_RUNNING);
    assert_true(e->future->wire.size > 38 && e->future->wire.size < e->wire.size);
    assert_null(futured_event_free(e));
    e = next(watch, FUTURED_EVENT_PROGRESS);
    assert_int_equal(e->progress->total, 2);
    assert_string_equal(e->progress->message, "half");
    assert_null(e->future);
    futured_event_free(e);
    e = next(watch, FUTURED_EVENT_LOG);
    assert_int_equal(e->chunk->attempt, 3);
    assert_int_equal(e->chunk->stream, 3);
    assert_int_equal(e->chunk->offset, 99);
    assert_memory_equal(e->chunk->data.data, "line\n", 5);
    futured_event_free(e);
    futured_event_free(next(watch, FUTURED_EVENT_OUTPUT));
    futured_event_free(next(watch, FUTURED_EVENT_LABELS));
    e = next(watch, FUTURED_EVENT_LOST);
    assert_int_equal(e->n_lost, 4);
    futured_event_free(e);
    e = next(watch, FUTURED_EVENT_STATE);
    assert_int_equal(e->future->state, FUTURED_STATE_SUCCEEDED);
    futured_event_free(e);
    futured_event_free(next(watch, FUTURED_EVENT_UNKNOWN));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(futured_watch_next(watch, &e), FUTURED_OK);
        assert_null(e);
    }
    assert_null(futured_watch_free(watch));
    r = futured__v1__watch_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_string_equal(r->selector->ids[0], SAMPLE_ID "1");
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_FULL);
    futured__v1__watch_request__free_unpacked(r, NULL);
    futured_watch_free(NULL);
    futured_event_free(NULL);
}

static void refuse(struct fake *fake, struct grpc_call *call, struct span message)
{
    grpc_call_fail_code(call, GRPC_NOT_FOUND, "TEST", "no such future");
}

static void garbage(struct fake *fake, struct grpc_call *call, struct span message)
{
    fake_reply(call, "\xff", 1);
}

static void end_with_cursor(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__FutureEvent e = FUTURED__V1__FUTURE_EVENT__INIT;
    Futured__V1__Keepalive keepalive = FUTURED__V1__KEEPALIVE__INIT;
    Futured__V1__Cursor cursor = FUTURED__V1__CURSOR__INIT;

    cursor.epoch = 7;
    cursor.event = 8;
    e.cursor = &cursor;
    e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE;
    e.keepalive = &keepalive;
    send_event(call, &e);
    grpc_call_finish(call);
}

/* What is asked for goes out as it is meant; a cursor comes back, also in what is read over. */
static void test_options(void **state)
{
    struct futured_watch_options options = FUTURED_WATCH_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_cursor cursor = {0, 0};
    Futured__V1__WatchRequest *r;
    struct futured_watch *watch;
    struct futured_event *e;

    fake->on_request = end_with_cursor;
    options.kinds = FUTURED_WATCH_KIND(FUTURED_EVENT_OUTPUT) | FUTURED_WATCH_KIND(FUTURED_EVENT_LABELS);
    options.after_revision = 3;
    options.output_offset = 4;
    options.log_offset = 5;
    options.cursor = (struct futured_cursor){1, 2};
    options.view = FUTURED_VIEW_TASK;
    assert_int_equal(futured_watch_open_with(fake->client, &one, &options, &watch), FUTURED_OK);
    assert_int_equal(futured_watch_cursor(watch, &cursor), 1); /* where it begins */
    assert_true(cursor.epoch == 1 && cursor.event == 2);
    assert_int_equal(futured_watch_next(watch, &e), FUTURED_OK);
    assert_null(e);
    assert_int_equal(futured_watch_cursor(watch, &cursor), 1);
    assert_true(cursor.epoch == 7 && cursor.event == 8);
    assert_null(futured_watch_free(watch));
    r = futured__v1__watch_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_non_null(r);
    assert_int_equal(r->n_kinds, 2);
    assert_int_equal(r->kinds[0], FUTURED__V1__EVENT_KIND__EVENT_KIND_OUTPUT);
    assert_int_equal(r->kinds[1], FUTURED__V1__EVENT_KIND__EVENT_KIND_LABELS);
    assert_true(r->after_revision == 3 && r->output_offset == 4 && r->log_offset == 5);
    assert_true(r->cursor && r->cursor->epoch == 1 && r->cursor->event == 2);
    assert_int_equal(r->view, FUTURED__V1__VIEW__VIEW_TASK);
    futured__v1__watch_request__free_unpacked(r, NULL);
}

static void test_errors(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;
    struct futured_event *e;

    fake->on_request = refuse;
    assert_int_equal(futured_watch_open(fake->client, &one, FUTURED_VIEW_DEFAULT, &watch), FUTURED_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(futured_watch_next(watch, &e), FUTURED_NOT_FOUND);
    futured_watch_free(watch);

    fake->on_request = garbage;
    assert_int_equal(futured_watch_open(fake->client, &one, FUTURED_VIEW_DEFAULT, &watch), FUTURED_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(futured_watch_next(watch, &e), FUTURED_INTERNAL);
    futured_watch_free(watch);

    fake->on_request = NULL;
    assert_int_equal(futured_watch_open(fake->client, &one, FUTURED_VIEW_DEFAULT, &watch), FUTURED_OK);
    futured_client_set_timeout(fake->client, NS_PER_MS);
    assert_int_equal(futured_watch_next(watch, &e), FUTURED_DEADLINE_EXCEEDED);
    fake_hang_up(fake);
    assert_int_equal(futured_watch_next(watch, &e), FUTURED_UNAVAILABLE);
    assert_string_equal(futured_client_status(fake->client)->reason, "CONNECTION_LOST");
    futured_watch_free(watch);
}

static void answer_ping(struct fake *fake, struct grpc_call *call, struct span message)
{
    static const uint8_t serving[] = {8, 1};

    if (strcmp(grpc_call_method(call)->path, "/grpc.health.v1.Health/Check") != 0) {
        send_all(fake, call, message);
        return;
    }
    fake_reply(call, serving, sizeof serving);
    grpc_call_finish(call);
}

/* Another call on the same client takes nothing from an open watch. */
static void test_beside_calls(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;

    fake->on_request = answer_ping;
    assert_int_equal(futured_watch_open(fake->client, &one, FUTURED_VIEW_DEFAULT, &watch), FUTURED_OK);
    assert_int_equal(futured_ping(fake->client), FUTURED_OK);
    futured_event_free(next(watch, FUTURED_EVENT_SNAPSHOT));
    assert_int_equal(futured_ping(fake->client), FUTURED_OK);
    futured_event_free(next(watch, FUTURED_EVENT_PROGRESS));
    futured_watch_free(watch); /* before its end */
    assert_int_equal(futured_ping(fake->client), FUTURED_OK);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_watch *watch = NULL;
        struct futured_event *e = NULL;
        int r, n = 0, n_tries = 0;
        struct fake fake;

        r = fake_init(&fake);
        fake.on_request = send_all;
        if (r == 0)
            futured_client_set_timeout(fake.client, 4 * NS_PER_S);
        if (r == 0)
            r = futured_watch_open(fake.client, &one, FUTURED_VIEW_DEFAULT, &watch);
        while (r == 0 && n_tries++ < 12) {
            e = NULL;
            r = futured_watch_next(watch, &e);
            n += e != NULL;
            futured_event_free(e);
            if (r == FUTURED_RESOURCE_EXHAUSTED)
                r = 0;
        }
        assert_true(test_allocation_failed() || n == 8);
        futured_watch_free(watch);
        fake_deinit(&fake);
    }
}

int main(void)
{
#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
            WITH_FAKE(test_events),       WITH_FAKE(test_options),       WITH_FAKE(test_errors),
            WITH_FAKE(test_beside_calls), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
