// SPDX-License-Identifier: Apache-2.0
/*
 * The echo service. Owns the counters, and for each call an object with what the call still has to do: a
 * delay, replies to send, the metadata to give back.
 *
 *  1. Every call is counted in on_start and exactly once more in on_done; what the tests wait for is the
 *     counters' change, pushed to those who watch them.
 *  2. Nothing is produced for a client that does not read: ServerStream and Bidi stop at
 *     grpc_call_is_writable and go on in on_writable.
 *
 * lib/grpc calls the handlers on the loop thread. Memory that is short ends the call RESOURCE_EXHAUSTED.
 */
#include "tests/support/echo.h"

#include "base/list.h"
#include "base/mem.h"
#include "daemon/net/loop.h"
#include "engine/right.h"
#include "grpc/metadata.h"
#include "grpc/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX_BYTES = 4096, REPLY_MAX_BYTES = 64 << 20, N_METHODS = 7 };

extern const uint8_t echo_descriptors[], echo_descriptors_end[];

struct stats {
    uint64_t started, open, max_pending_bytes;
    uint64_t ended[GRPC_END_LOST + 1]; /* by enum grpc_end */
};

struct echo {
    struct loop *loop;
    struct grpc_method methods[N_METHODS];
    struct stats stats;
    uint64_t told_pending_bytes; /* the last max_pending_bytes that was pushed for its own sake */
    struct list watchers;        /* struct watcher: open calls of WatchStats */
};

struct watcher {
    struct list link;
    struct grpc_call *call;
    int is_behind; /* the stats changed while it was not writable */
};

/* An open call of the service proper. */
struct state {
    struct loop_timer delay;
    struct grpc_call *call;
    struct buf held;           /* Unary: the payload to answer after the delay */
    uint64_t n_left;           /* ServerStream: replies not sent yet */
    uint64_t count, sum_bytes; /* ClientStream */
    uint32_t reply_bytes;
    int has_ended;
    struct grpc_status status; /* how ServerStream ends, or Unary after the delay */
};

struct request {
    struct span payload;
    uint64_t delay_ms, reply_bytes, headers_first;
    struct span fail;
};

static void note_pending(struct grpc_call *call);

/* --- reading and writing the messages */

static struct span field_text(const struct wire_field *f)
{
    return f->type == WIRE_BYTES ? f->bytes : (struct span){0};
}

/* Failure; false: not protobuf. */
static int read_failure(struct span message, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct span text = {0}, reason = {0}, field = {0};
    uint64_t code = 0, retry_ms = 0;
    struct wire_field f;
    int rc;

    while ((rc = wire_next(&r, &f)) == 0)
        switch (f.number) {
        case 1: code = f.value; break;
        case 2: text = field_text(&f); break;
        case 3: reason = field_text(&f); break;
        case 4: field = field_text(&f); break;
        case 5: retry_ms = f.value; break;
        }
    if (rc != WIRE_E_END)
        return 0;
    status_set(st, (enum grpc_code)code, "", "%.*s", (int)text.len, (const char *)text.p);
    snprintf(st->reason, sizeof st->reason, "%.*s", (int)reason.len, (const char *)reason.p);
    if (field.len)
        status_add_violation(st, "", "%s", st->message);
    if (st->n_violations)
        snprintf(st->violations[0].field, sizeof st->violations[0].field, "%.*s", (int)field.len,
                 (const char *)field.p);
    if (retry_ms)
        status_set_retry(st, (int64_t)retry_ms);
    return 1;
}

/* EchoRequest; false: not protobuf. */
static int read_request(struct span message, struct request *ret)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;
    int rc;

    *ret = (struct request){0};
    while ((rc = wire_next(&r, &f)) == 0)
        switch (f.number) {
        case 1: ret->payload = field_text(&f); break;
        case 2: ret->delay_ms = f.value; break;
        case 3: ret->reply_bytes = f.value; break;
        case 4: ret->fail = field_text(&f); break;
        case 5: ret->headers_first = f.value; break;
        }
    return rc == WIRE_E_END && ret->reply_bytes <= REPLY_MAX_BYTES && ret->delay_ms <= UINT32_MAX;
}

/* Whether @message is a payload and nothing else, in the shortest form: then it is its own answer. */
static int is_plain(struct span message)
{
    size_t len = message.len;

    if (len < 2 || message.p[0] != 0x0a)
        return 0;
    if (message.p[1] < 0x80)
        return len == 2 + (size_t)message.p[1];
    return len > 2 && message.p[2] < 0x80 && message.p[2] > 0 &&
           len == 3 + (size_t)(message.p[1] & 0x7f) + ((size_t)message.p[2] << 7);
}

/* Send EchoResponse: the payload, or @reply_bytes times 'x'. 0, -ENOMEM. */
static int send_response(struct grpc_call *call, struct span payload, size_t reply_bytes)
{
    size_t n = reply_bytes ? reply_bytes : payload.len;
    struct buf *out = grpc_call_begin(call);
    uint8_t *at;

    if (!out || buf_reserve(out, WIRE_TAG_MAX + WIRE_VARINT_MAX + n) < 0) {
        if (out)
            grpc_call_undo(call);
        return -ENOMEM;
    }
    if (n) {
        at = wire_put_len(buf_tail(out), 1, n);
        if (reply_bytes)
            memset(at, 'x', n);
        else
            memcpy(at, payload.p, n);
        buf_commit(out, (size_t)(at + n - buf_tail(out)));
    }
    grpc_call_end(call);
    note_pending(call);
    return 0;
}

static int send_stats(struct grpc_call *call)
{
    const struct echo *e = grpc_call_context(call);
    const struct stats *s = &e->stats;
    const uint64_t values[] = {s->started,
                               s->open,
                               s->ended[GRPC_END_ANSWERED],
                               s->ended[GRPC_END_CANCELLED],
                               s->ended[GRPC_END_DEADLINE],
                               s->ended[GRPC_END_LOST],
                               s->max_pending_bytes};
    uint8_t message[ARRAY_LEN(values) * (WIRE_TAG_MAX + WIRE_VARINT_MAX)], *at = message;

    for (uint32_t i = 0; i < ARRAY_LEN(values); i++)
        at = wire_put_uint(at, i + 1, values[i]);
    return grpc_call_send(call, (struct span){message, (size_t)(at - message)});
}

/* --- how calls end */

static void fail_malformed(struct grpc_call *call)
{
    grpc_call_fail_code(call, GRPC_INVALID_ARGUMENT, "TEST",
                        "the request is malformed, or asks for too much");
}

static void fail_no_memory(struct grpc_call *call)
{
    grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "TEST", "no memory");
}

/* --- the counters and who watches them */

static void watcher_tell(struct watcher *w)
{
    w->is_behind = !grpc_call_is_writable(w->call);
    if (!w->is_behind && send_stats(w->call) < 0)
        w->is_behind = 1;
}

static void stats_changed(struct echo *e)
{
    LIST_FOREACH (l, &e->watchers)
        watcher_tell(LIST_ENTRY(l, struct watcher, link));
}

/* Each doubling is told, so that a test can wait for output to pile up. */
static void note_pending(struct grpc_call *call)
{
    struct echo *e = grpc_call_context(call);
    uint64_t pending = grpc_call_pending(call);

    e->stats.max_pending_bytes = MAX(e->stats.max_pending_bytes, pending);
    if (pending > 2 * e->told_pending_bytes) {
        e->told_pending_bytes = pending;
        stats_changed(e);
    }
}

static void stats_on_message(struct grpc_call *call, struct span message)
{
    if (send_stats(call) < 0)
        fail_no_memory(call);
    else
        grpc_call_finish(call);
}

static void watch_on_message(struct grpc_call *call, struct span message)
{
    struct echo *e = grpc_call_context(call);
    struct watcher *w = mem_zalloc(sizeof *w);

    if (!w) {
        fail_no_memory(call);
        return;
    }
    w->call = call;
    list_push_back(&e->watchers, &w->link);
    grpc_call_set_user(call, w);
    watcher_tell(w);
}

static void watch_on_writable(struct grpc_call *call)
{
    struct watcher *w = grpc_call_user(call);

    if (w && w->is_behind)
        watcher_tell(w);
}

static void watch_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct watcher *w = grpc_call_user(call);

    if (w)
        list_del(&w->link);
    mem_free(w);
}

/* --- the calls that count */

/* The call's object; NULL: no memory, and the call has been ended. */
static struct state *state_of(struct grpc_call *call)
{
    struct state *s = grpc_call_user(call);

    if (s)
        return s;
    s = mem_zalloc(sizeof *s);
    if (!s) {
        fail_no_memory(call);
        return NULL;
    }
    s->call = call;
    grpc_call_set_user(call, s);
    return s;
}

/* Give x-echo and x-echo-bin back as initial metadata. */
static void echo_metadata(struct grpc_call *call)
{
    struct span text = grpc_call_header(call, "x-echo"), base64 = grpc_call_header(call, "x-echo-bin");
    uint8_t bytes[HEADER_MAX_BYTES];
    size_t n;
    int r = 0;

    if (text.p)
        r = grpc_call_add_metadata(call, "x-echo", text);
    if (r == 0 && base64.p && base64.len < sizeof bytes && metadata_base64_decode(base64, bytes, &n) == 0)
        r = grpc_call_add_metadata(call, "x-echo-bin", (struct span){bytes, n});
    if (r < 0)
        fail_no_memory(call);
}

static void count_on_start(struct grpc_call *call)
{
    struct echo *e = grpc_call_context(call);

    e->stats.started++;
    e->stats.open++;
    stats_changed(e);
}

static void unary_on_start(struct grpc_call *call)
{
    echo_metadata(call);
    count_on_start(call);
}

static void count_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct echo *e = grpc_call_context(call);
    struct state *s = grpc_call_user(call);

    if (s) {
        loop_timer_deinit(&s->delay);
        buf_deinit(&s->held);
        mem_free(s);
    }
    e->stats.open--;
    e->stats.ended[end]++;
    stats_changed(e);
}

static void unary_finish(struct grpc_call *call, struct span payload, size_t reply_bytes,
                         const struct grpc_status *status)
{
    if (status->code)
        grpc_call_fail(call, status);
    else if (send_response(call, payload, reply_bytes) < 0)
        fail_no_memory(call);
    else
        grpc_call_finish(call);
}

static void unary_on_time(void *arg, mono_ns_t now)
{
    struct state *s = arg;

    unary_finish(s->call, (struct span){buf_head(&s->held), buf_len(&s->held)}, s->reply_bytes, &s->status);
}

static void unary_delay(struct grpc_call *call, const struct request *request,
                        const struct grpc_status *status)
{
    struct echo *e = grpc_call_context(call);
    struct state *s = state_of(call);

    if (!s)
        return;
    if (buf_append(&s->held, request->payload.p, request->payload.len) < 0 ||
        loop_timer_init(&s->delay, e->loop, unary_on_time, s) < 0) {
        fail_no_memory(call);
        return;
    }
    s->reply_bytes = (uint32_t)request->reply_bytes;
    s->status = *status;
    loop_timer_set(&s->delay, clock_add(loop_now(e->loop), (int64_t)request->delay_ms * NS_PER_MS));
}

static void unary_asked(struct grpc_call *call, struct span message)
{
    struct grpc_status status = {.code = GRPC_OK};
    struct request request;

    if (!read_request(message, &request) || (request.fail.p && !read_failure(request.fail, &status)))
        fail_malformed(call);
    else if (request.headers_first && grpc_call_send_headers(call) < 0)
        fail_no_memory(call);
    else if (request.delay_ms)
        unary_delay(call, &request, &status);
    else
        unary_finish(call, request.payload, request.reply_bytes, &status);
}

static void unary_on_message(struct grpc_call *call, struct span message)
{
    if (!is_plain(message)) {
        unary_asked(call, message);
        return;
    }
    if (grpc_call_send(call, message) < 0)
        fail_no_memory(call);
    else
        grpc_call_finish(call);
}

static void hang_on_message(struct grpc_call *call, struct span message)
{
    struct request request;

    if (!read_request(message, &request))
        fail_malformed(call);
    else if (request.headers_first && grpc_call_send_headers(call) < 0)
        fail_no_memory(call);
}

static void count_on_message(struct grpc_call *call, struct span message)
{
    struct state *s = state_of(call);
    struct request request;

    if (!s)
        return;
    if (!read_request(message, &request)) {
        fail_malformed(call);
        return;
    }
    s->count++;
    s->sum_bytes += request.payload.len;
}

static void count_on_half_close(struct grpc_call *call)
{
    struct state *s = state_of(call);
    uint8_t message[2 * (WIRE_TAG_MAX + WIRE_VARINT_MAX)], *at;

    if (!s)
        return;
    at = wire_put_uint(message, 1, s->count);
    at = wire_put_uint(at, 2, s->sum_bytes);
    if (grpc_call_send(call, (struct span){message, (size_t)(at - message)}) < 0)
        fail_no_memory(call);
    else
        grpc_call_finish(call);
}

static void stream_go_on(struct grpc_call *call)
{
    struct state *s = grpc_call_user(call);

    if (!s || s->has_ended)
        return;
    for (; s->n_left; s->n_left--) {
        if (!grpc_call_is_writable(call))
            return;
        if (send_response(call, SPAN_LIT(""), s->reply_bytes) < 0) {
            s->has_ended = 1;
            fail_no_memory(call);
            return;
        }
    }
    s->has_ended = 1;
    if (s->status.code)
        grpc_call_fail(call, &s->status);
    else
        grpc_call_finish(call);
}

static void stream_on_message(struct grpc_call *call, struct span message)
{
    struct wire_reader r = wire_reader(message);
    struct state *s = state_of(call);
    uint64_t reply_bytes = 0;
    struct wire_field f;
    int rc, is_good = 1;

    if (!s)
        return;
    while ((rc = wire_next(&r, &f)) == 0)
        switch (f.number) {
        case 1: s->n_left = f.value; break;
        case 2: reply_bytes = f.value; break;
        case 3: is_good = read_failure(field_text(&f), &s->status); break;
        }
    if (rc != WIRE_E_END || !is_good || reply_bytes > REPLY_MAX_BYTES) {
        s->has_ended = 1;
        fail_malformed(call);
        return;
    }
    s->reply_bytes = (uint32_t)reply_bytes;
    stream_go_on(call);
}

static void bidi_asked(struct grpc_call *call, struct span message)
{
    struct grpc_status status = {.code = GRPC_OK};
    struct request request;

    if (!read_request(message, &request) || (request.fail.p && !read_failure(request.fail, &status)))
        fail_malformed(call);
    else if (status.code)
        grpc_call_fail(call, &status);
    else if (send_response(call, request.payload, request.reply_bytes) < 0)
        fail_no_memory(call);
}

static void bidi_on_message(struct grpc_call *call, struct span message)
{
    if (!is_plain(message))
        bidi_asked(call, message);
    else if (grpc_call_send(call, message) < 0)
        fail_no_memory(call);
    else
        note_pending(call);
    if (!grpc_call_is_writable(call))
        grpc_call_pause(call, 1);
}

static void bidi_on_writable(struct grpc_call *call)
{
    grpc_call_pause(call, 0);
}

static void bidi_on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

/* --- the table */

static const struct grpc_handler unary_handler = {
        .on_start = unary_on_start, .on_message = unary_on_message, .on_done = count_on_done};
static const struct grpc_handler client_stream_handler = {.on_start = count_on_start,
                                                          .on_message = count_on_message,
                                                          .on_half_close = count_on_half_close,
                                                          .on_done = count_on_done};
static const struct grpc_handler server_stream_handler = {.on_start = count_on_start,
                                                          .on_message = stream_on_message,
                                                          .on_writable = stream_go_on,
                                                          .on_done = count_on_done};
static const struct grpc_handler bidi_handler = {.on_start = count_on_start,
                                                 .on_message = bidi_on_message,
                                                 .on_half_close = bidi_on_half_close,
                                                 .on_writable = bidi_on_writable,
                                                 .on_done = count_on_done};
static const struct grpc_handler hang_handler = {
        .on_start = count_on_start, .on_message = hang_on_message, .on_done = count_on_done};
static const struct grpc_handler stats_handler = {.on_message = stats_on_message};
static const struct grpc_handler watch_handler = {
        .on_message = watch_on_message, .on_writable = watch_on_writable, .on_done = watch_on_done};

int echo_new(struct echo **ret)
{
    struct echo *e = mem_zalloc(sizeof *e);
    const struct grpc_method methods[N_METHODS] = {
            {"/futured.test.v1.Echo/Unary", GRPC_UNARY, &unary_handler, e, RIGHT_KNOWN},
            {"/futured.test.v1.Echo/ClientStream", GRPC_CLIENT_STREAM, &client_stream_handler, e,
             RIGHT_KNOWN},
            {"/futured.test.v1.Echo/ServerStream", GRPC_SERVER_STREAM, &server_stream_handler, e,
             RIGHT_KNOWN},
            {"/futured.test.v1.Echo/Bidi", GRPC_BIDI, &bidi_handler, e, RIGHT_KNOWN},
            {"/futured.test.v1.Echo/Hang", GRPC_UNARY, &hang_handler, e, RIGHT_KNOWN},
            {"/futured.test.v1.Echo/Stats", GRPC_UNARY, &stats_handler, e, RIGHT_KNOWN},
            {"/futured.test.v1.Echo/WatchStats", GRPC_SERVER_STREAM, &watch_handler, e, RIGHT_KNOWN},
    };

    if (!e)
        return -ENOMEM;
    list_init(&e->watchers);
    memcpy(e->methods, methods, sizeof methods);
    *ret = e;
    return 0;
}

struct echo *echo_free(struct echo *e)
{
    if (!e)
        return NULL;
    ASSERT(e->stats.open == 0 && list_is_empty(&e->watchers));
    return mem_free(e);
}

void echo_set_loop(struct echo *e, struct loop *loop)
{
    e->loop = loop;
}

const struct grpc_method *echo_methods(const struct echo *e, size_t *ret_n)
{
    *ret_n = N_METHODS;
    return e->methods;
}

struct span echo_descriptor_set(void)
{
    return (struct span){echo_descriptors, (size_t)(echo_descriptors_end - echo_descriptors)};
}
