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
    static char id[] = SAMPLE_ID "1"; /* @event keeps it */
    uint8_t reply[2 * SAMPLE_BYTES];

    time.seconds = 5;
    if (!event->id[0])
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

/* --- cut */

/* One event of the future @n: how it stands, or a piece of what it has told. */
static void send_future(struct grpc_call *call, enum futured_event_kind kind, unsigned int n,
                        Futured__V1__State state, uint64_t log_size)
{
    Futured__V1__FutureEvent e = FUTURED__V1__FUTURE_EVENT__INIT;
    Futured__V1__Future future = FUTURED__V1__FUTURE__INIT;

    e.id = future.id = sample_id(n);
    future.state = state;
    future.revision = (uint64_t)state;
    future.log_size_bytes = log_size;
    e.event_case = kind == FUTURED_EVENT_STATE ? FUTURED__V1__FUTURE_EVENT__EVENT_STATE
                                               : FUTURED__V1__FUTURE_EVENT__EVENT_SNAPSHOT;
    e.snapshot = &future;
    send_event(call, &e);
}

static void send_chunk(struct grpc_call *call, enum futured_event_kind kind, uint64_t offset,
                       const char *data)
{
    Futured__V1__FutureEvent e = FUTURED__V1__FUTURE_EVENT__INIT;
    Futured__V1__Chunk chunk = FUTURED__V1__CHUNK__INIT;

    chunk.offset = offset;
    chunk.data = (ProtobufCBinaryData){.len = strlen(data), .data = (uint8_t *)(uintptr_t)data};
    e.event_case = kind == FUTURED_EVENT_LOG ? FUTURED__V1__FUTURE_EVENT__EVENT_LOG
                                             : FUTURED__V1__FUTURE_EVENT__EVENT_OUTPUT;
    e.log = &chunk;
    send_event(call, &e);
}

/* Who waits finds another daemon where the last one has gone. */
static int come_again(struct fake *fake)
{
    if (fake->conn)
        return 0;
    fake->client->conn = futured_conn_free(fake->client->conn);
    assert_int_equal(fake_connect(fake), 0);
    return 1;
}

static struct futured_watch *open_patient(struct fake *fake, const struct futured_selector *selector,
                                          const struct futured_watch_options *options)
{
    struct futured_watch *watch;

    fake->on_idle = come_again;
    futured_client_set_patience(fake->client, 3600 * NS_PER_S);
    assert_int_equal(futured_watch_open_with(fake->client, selector, options, &watch), FUTURED_OK);
    return watch;
}

static void expect_end(struct futured_watch *watch)
{
    struct futured_event *e;

    assert_int_equal(futured_watch_next(watch, &e), FUTURED_OK);
    assert_null(e);
    assert_null(futured_watch_free(watch));
}

static void expect_future(struct futured_watch *watch, enum futured_event_kind kind, unsigned int n,
                          enum futured_state state)
{
    struct futured_event *e = next(watch, kind);

    assert_string_equal(e->id, sample_id(n));
    assert_int_equal(e->future->state, state);
    futured_event_free(e);
}

static void expect_chunk(struct futured_watch *watch, enum futured_event_kind kind, uint64_t offset,
                         const char *data)
{
    struct futured_event *e = next(watch, kind);

    assert_int_equal(e->chunk->offset, offset);
    assert_int_equal(e->chunk->data.size, strlen(data));
    assert_memory_equal(e->chunk->data.data, data, strlen(data));
    futured_event_free(e);
}

/* How many IDs the last request names. */
static size_t n_asked(const struct fake *fake)
{
    Futured__V1__WatchRequest *r =
            futured__v1__watch_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    size_t n;

    assert_non_null(r);
    n = r->selector->n_ids;
    futured__v1__watch_request__free_unpacked(r, NULL);
    return n;
}

/* Of a future that is done the log comes behind its end: with the first connection in two halves, of which one is lost. */
static void send_done(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_future(call, FUTURED_EVENT_SNAPSHOT, 1, FUTURED__V1__STATE__STATE_SUCCEEDED, 5);
    if (fake->n_requests == 1)
        return;
    send_chunk(call, FUTURED_EVENT_LOG, 0, "line\n");
    if (fake->n_requests == 3)
        grpc_call_finish(call);
}

static void test_cut_behind_an_end(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;

    fake->on_request = send_done;
    watch = open_patient(fake, &one, NULL);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_SUCCEEDED);
    fake_hang_up(fake);
    expect_chunk(watch, FUTURED_EVENT_LOG, 0, "line\n");
    fake_hang_up(fake); /* all is told: it is not asked again */
    expect_end(watch);
    assert_int_equal(fake->n_requests, 2);
}

/* A record in the view RESULT does not say how much it has told: then only the end of the stream is one. */
static void send_bare(struct fake *fake, struct grpc_call *call, struct span message)
{
    send_future(call, FUTURED_EVENT_SNAPSHOT, 1, FUTURED__V1__STATE__STATE_SUCCEEDED, 0);
    if (fake->n_requests == 1)
        return;
    send_chunk(call, FUTURED_EVENT_LOG, 0, "line\n");
    grpc_call_finish(call);
}

static void test_cut_behind_a_bare_end(void **state)
{
    struct futured_watch_options options = FUTURED_WATCH_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_watch *watch;

    options.view = FUTURED_VIEW_RESULT;
    fake->on_request = send_bare;
    watch = open_patient(fake, &one, &options);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_SUCCEEDED);
    fake_hang_up(fake);
    expect_chunk(watch, FUTURED_EVENT_LOG, 0, "line\n");
    expect_end(watch);
}

/* What was not asked for is not waited for. */
static void test_cut_of_states_alone(void **state)
{
    struct futured_watch_options options = FUTURED_WATCH_OPTIONS_INIT;
    struct fake *fake = *state;
    struct futured_watch *watch;

    options.kinds = FUTURED_WATCH_KIND(FUTURED_EVENT_STATE);
    fake->on_request = send_done;
    watch = open_patient(fake, &one, &options);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_SUCCEEDED);
    fake_hang_up(fake);
    expect_end(watch);
    assert_int_equal(fake->n_requests, 1);
}

/* The pieces of before again, with others in between and merged in another way. */
static void send_pieces(struct fake *fake, struct grpc_call *call, struct span message)
{
    int is_again = fake->n_requests > 1;

    send_future(call, FUTURED_EVENT_SNAPSHOT, 1, FUTURED__V1__STATE__STATE_RUNNING, 3);
    send_chunk(call, FUTURED_EVENT_LOG, 0, is_again ? "abcde" : "abc");
    send_chunk(call, FUTURED_EVENT_OUTPUT, 0, "xy");
    if (!is_again)
        return;
    send_chunk(call, FUTURED_EVENT_OUTPUT, 2, "z");
    send_chunk(call, FUTURED_EVENT_LOG, 5, "f");
    send_future(call, FUTURED_EVENT_STATE, 1, FUTURED__V1__STATE__STATE_SUCCEEDED, 6);
    grpc_call_finish(call);
}

static void test_cut_in_the_middle(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;

    fake->on_request = send_pieces;
    watch = open_patient(fake, &one, NULL);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_RUNNING);
    expect_chunk(watch, FUTURED_EVENT_LOG, 0, "abc");
    expect_chunk(watch, FUTURED_EVENT_OUTPUT, 0, "xy");
    fake_hang_up(fake);
    expect_chunk(watch, FUTURED_EVENT_LOG, 3, "de");
    expect_chunk(watch, FUTURED_EVENT_OUTPUT, 2, "z");
    expect_chunk(watch, FUTURED_EVENT_LOG, 5, "f");
    expect_future(watch, FUTURED_EVENT_STATE, 1, FUTURED_STATE_SUCCEEDED);
    expect_end(watch);
    assert_int_equal(n_asked(fake), 1);
}

static void send_cursor(struct grpc_call *call, uint64_t epoch, int is_lost)
{
    Futured__V1__FutureEvent e = FUTURED__V1__FUTURE_EVENT__INIT;
    Futured__V1__Keepalive keepalive = FUTURED__V1__KEEPALIVE__INIT;
    Futured__V1__Cursor cursor = FUTURED__V1__CURSOR__INIT;
    Futured__V1__Lost lost = FUTURED__V1__LOST__INIT;

    cursor.epoch = epoch;
    cursor.event = 8;
    lost.events = 4;
    if (is_lost) {
        e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_LOST;
        e.lost = &lost;
    } else {
        e.event_case = FUTURED__V1__FUTURE_EVENT__EVENT_KEEPALIVE;
        e.keepalive = &keepalive;
        e.cursor = &cursor;
    }
    send_event(call, &e);
}

/* Over a group: cut before there is a cursor, and behind one that the daemon has no events for any more. */
static void send_group(struct fake *fake, struct grpc_call *call, struct span message)
{
    if (fake->n_requests == 3)
        send_cursor(call, 0, 1);
    send_future(call, FUTURED_EVENT_SNAPSHOT, 1, FUTURED__V1__STATE__STATE_RUNNING, 0);
    if (fake->n_requests > 1)
        send_cursor(call, fake->n_requests, 0);
    if (fake->n_requests > 1)
        send_future(call, FUTURED_EVENT_STATE, 1, FUTURED__V1__STATE__STATE_SUCCEEDED, 0);
}

static void test_cut_of_a_group(void **state)
{
    static const struct futured_selector group = {NULL, 0, "g", NULL};
    Futured__V1__WatchRequest *r;
    struct fake *fake = *state;
    struct futured_watch *watch;
    struct futured_event *e;

    fake->on_request = send_group;
    watch = open_patient(fake, &group, NULL);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_RUNNING);
    for (uint64_t n_lost = 0; n_lost <= 4; n_lost += 4) {
        fake_hang_up(fake);
        e = next(watch, FUTURED_EVENT_LOST);
        assert_int_equal(e->n_lost, n_lost); /* by the library, which does not know; by the daemon */
        futured_event_free(e);
        expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_RUNNING);
        expect_future(watch, FUTURED_EVENT_STATE, 1, FUTURED_STATE_SUCCEEDED);
    }
    futured_watch_free(watch);
    r = futured__v1__watch_request__unpack(NULL, buf_len(&fake->request), buf_head(&fake->request));
    assert_non_null(r);
    assert_string_equal(r->selector->group, "g");
    assert_true(r->cursor && r->cursor->epoch == 2 && r->cursor->event == 8);
    futured__v1__watch_request__free_unpacked(r, NULL);
}

/* When they are asked for again the first one is not there any more. */
static void forget_first(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__State state =
            fake->n_requests == 1 ? FUTURED__V1__STATE__STATE_RUNNING : FUTURED__V1__STATE__STATE_SUCCEEDED;
    struct grpc_status status;

    if (fake->n_requests == 2) {
        status_set(&status, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", "it was deleted");
        grpc_call_fail(call, status_set_resource(&status, "futured.v1.Future", SAMPLE_ID "1"));
        return;
    }
    for (unsigned int i = fake->n_requests == 1 ? 1 : 2; i <= 2; i++)
        send_future(call, FUTURED_EVENT_SNAPSHOT, i, state, 0);
    if (fake->n_requests == 3)
        grpc_call_finish(call);
}

static void expect_lost(struct futured_watch *watch, const char *id)
{
    struct futured_event *e = next(watch, FUTURED_EVENT_LOST);

    assert_string_equal(e->id, id);
    futured_event_free(e);
}

/* One that is gone costs the others nothing. */
static void test_cut_and_one_is_gone(void **state)
{
    static const char *const ids[] = {SAMPLE_ID "1", SAMPLE_ID "2"};
    static const struct futured_selector two = {ids, 2, NULL, NULL};
    struct fake *fake = *state;
    struct futured_watch *watch;

    fake->on_request = forget_first;
    watch = open_patient(fake, &two, NULL);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_RUNNING);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 2, FUTURED_STATE_RUNNING);
    fake_hang_up(fake);
    expect_lost(watch, SAMPLE_ID "1");
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 2, FUTURED_STATE_SUCCEEDED);
    expect_end(watch);
    assert_int_equal(n_asked(fake), 1);
}

static void test_cut_and_all_are_gone(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;

    fake->on_request = forget_first;
    watch = open_patient(fake, &one, NULL);
    expect_future(watch, FUTURED_EVENT_SNAPSHOT, 1, FUTURED_STATE_RUNNING);
    futured_event_free(next(watch, FUTURED_EVENT_SNAPSHOT)); /* what was not asked for passes */
    fake_hang_up(fake);
    expect_lost(watch, SAMPLE_ID "1");
    expect_end(watch);
    assert_int_equal(fake->n_requests, 2);
}

/* What was never there is an error, with patience too. */
static void test_was_never_there(void **state)
{
    struct fake *fake = *state;
    struct futured_watch *watch;
    struct futured_event *e;

    fake->on_request = refuse;
    watch = open_patient(fake, &one, NULL);
    assert_int_equal(futured_watch_next(watch, &e), FUTURED_NOT_FOUND);
    futured_watch_free(watch);
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
            WITH_FAKE(test_events),
            WITH_FAKE(test_options),
            WITH_FAKE(test_errors),
            WITH_FAKE(test_beside_calls),
            WITH_FAKE(test_cut_behind_an_end),
            WITH_FAKE(test_cut_behind_a_bare_end),
            WITH_FAKE(test_cut_of_states_alone),
            WITH_FAKE(test_cut_in_the_middle),
            WITH_FAKE(test_cut_of_a_group),
            WITH_FAKE(test_cut_and_one_is_gone),
            WITH_FAKE(test_cut_and_all_are_gone),
            WITH_FAKE(test_was_never_there),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
