// SPDX-License-Identifier: Apache-2.0
/*
 * The table of methods, and the way in: what h2 reports about a stream becomes a call of a handler.
 *
 *   on_headers          method, content-type, timeout, encoding -> row of the table -> on_start
 *   on_data (unary)     the one message is gathered, credited as it is stored
 *   on_end  (unary)     handed over; or into conn->waiting while there is no room for replies or no budget
 *   on_data (streaming) messages handed over as they come; what cannot be (paused, no budget) is held back
 *                       uncredited, so the stream's window bounds it
 *   on_tick             deadlines; a new budget; what waits in waiting and backlog goes on
 *   on_room             waiting goes on
 *   on_close            on_done
 *
 * Invariants:
 *  1. A call is in waiting (unary, server-streaming) or in backlog (client-streaming, bidi) or in neither;
 *     a call that is over is in neither and has no deadline.
 *  2. A handler is called from here only, never from what it calls itself (call.c), and not again once the
 *     call is over, on_done excepted.
 *  3. The budget is counted by turn: a tick starts one, and so does an event at a later time than the last.
 *  4. Credit: a unary request is credited when stored, for its size was checked. Of a streaming one everything
 *     is credited but what is held back: a message in parts keeps flowing, whatever the window.
 */
#include "base/map.h"
#include "base/mem.h"
#include "grpc/call.h"
#include "grpc/metadata.h"

#include <errno.h>
#include <string.h>

enum {
    BACKLOG_SLICE = 16,   /* messages of one stream before the next one in the backlog has its turn */
    STORED_MESSAGES = 16, /* default of max_stored_bytes in messages */
    RETRY_MS = 1000,
};

/* --- the table */

struct row {
    struct map_item item; /* first: a row is found by it */
    const struct grpc_method *method;
    struct grpc_counts counts;
};

/* The rows of one grpc_server_add. */
struct block {
    struct block *next;
    const struct grpc_method *methods;
    size_t n;
    struct row rows[];
};

struct grpc_server {
    struct grpc_server_config config;
    struct map methods;
    struct hold_gate gate;
    struct block *blocks, **last_block;
    struct grpc_counts others;        /* of calls that found no row */
    const struct grpc_method *detour; /* NULL: none */
    const char *detour_but;
    uint64_t n_messages;
    grpc_guard_check *guard; /* NULL: all may call */
    grpc_guard_over *guard_over;
    void *guard_arg;
    struct list guarded; /* calls of which it has told who calls */
};

int grpc_server_new(struct grpc_server **ret, const struct grpc_server_config *config)
{
    struct grpc_server *server = mem_zalloc(sizeof *server);

    if (!server)
        return -ENOMEM;
    server->config = *config;
    list_init(&server->gate.held);
    list_init(&server->guarded);
    map_init(&server->methods, &config->seed);
    server->last_block = &server->blocks;
    server->others.path = "";
    *ret = server;
    return 0;
}

struct grpc_server *grpc_server_free(struct grpc_server *server)
{
    if (!server)
        return NULL;
    map_deinit(&server->methods);
    while (server->blocks) {
        struct block *block = server->blocks;

        server->blocks = block->next;
        mem_free(block);
    }
    return mem_free(server);
}

int grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t n)
{
    struct block *block = mem_zalloc(sizeof *block + n * sizeof block->rows[0]);
    int r = 0;

    if (!block)
        return -ENOMEM;
    block->methods = methods;
    for (; block->n < n; block->n++) {
        struct row *row = &block->rows[block->n];

        row->method = &methods[block->n];
        row->counts.path = row->method->path;
        r = map_insert(&server->methods, &row->item, span_of_string(row->method->path));
        if (r)
            break;
    }
    if (r) {
        while (block->n)
            map_remove(&server->methods, &block->rows[--block->n].item);
        mem_free(block);
        return r == MAP_E_EXISTS ? GRPC_E_EXISTS : r;
    }
    *server->last_block = block;
    server->last_block = &block->next;
    return 0;
}

/* Whether @path is "/@service/...". */
static int is_of_service(const char *path, struct span service)
{
    return strlen(path) > service.len + 1 && path[0] == '/' &&
           memcmp(path + 1, service.p, service.len) == 0 && path[service.len + 1] == '/';
}

int grpc_server_has_service(const struct grpc_server *server, struct span service)
{
    if (service.len == 0)
        return 1;
    for (const struct block *b = server->blocks; b; b = b->next)
        for (size_t i = 0; i < b->n; i++)
            if (is_of_service(b->methods[i].path, service))
                return 1;
    return 0;
}

const struct grpc_method *grpc_server_next_method(const struct grpc_server *server,
                                                  const struct grpc_method *m)
{
    const struct block *b = server->blocks;

    if (m) {
        while (b && !(m >= b->methods && m < b->methods + b->n))
            b = b->next;
        ASSERT(b);
        if (m + 1 < b->methods + b->n)
            return m + 1;
        b = b->next;
    }
    while (b && b->n == 0)
        b = b->next;
    return b ? b->methods : NULL;
}

const struct grpc_counts *grpc_server_counts(const struct grpc_server *server, size_t i)
{
    for (const struct block *b = server->blocks; b; i -= b->n, b = b->next)
        if (i < b->n)
            return &b->rows[i].counts;
    return i == 0 ? &server->others : NULL;
}

uint64_t grpc_server_n_messages(const struct grpc_server *server)
{
    return server->n_messages;
}

/* --- handing over */

static uint32_t full_budget(const struct grpc_conn *conn)
{
    uint32_t n = conn->server->config.max_messages_per_recv;

    return n ? n : UINT32_MAX;
}

/* What may still be handed over; a new turn has begun when the time has moved on. */
static uint32_t budget_left(struct grpc_conn *conn)
{
    mono_ns_t now = h2_session_now(conn->session);

    if (now != conn->turn) {
        conn->turn = now;
        conn->budget = full_budget(conn);
    }
    return conn->budget;
}

static void enqueue(struct list *queue, struct grpc_call *call)
{
    if (!list_is_linked(&call->link))
        list_push_back(queue, &call->link);
    h2_session_wake(call->conn->session);
}

static void fail_too_large(struct grpc_call *call)
{
    struct grpc_status st;
    uint32_t n = call->framing.length;

    status_set(&st, GRPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
               "a message of %u bytes exceeds the limit of %zu bytes", n, call->conn->max_message_bytes);
    status_add_metadata(&st, "size", "%u", n);
    status_add_metadata(&st, "limit", "%zu", call->conn->max_message_bytes);
    grpc_call_fail(call, &st);
}

/* Count what @call has stored; the one that brings the connection over its limit ends. */
static void count_stored(struct grpc_call *call)
{
    struct grpc_conn *conn = call->conn;
    struct grpc_status st;

    call_count(call);
    if (LIKELY(conn->stored_bytes <= conn->max_stored_bytes) || call->is_over)
        return;
    status_set(&st, GRPC_RESOURCE_EXHAUSTED, "CONNECTION_FULL",
               "the incomplete requests of this connection exceed %zu bytes", conn->max_stored_bytes);
    status_add_metadata(&st, "limit", "%zu", conn->max_stored_bytes);
    grpc_call_fail(call, status_set_retry(&st, RETRY_MS));
}

/* The request cannot be read: @r is what framing said. */
static void fail_framing(struct grpc_call *call, int r)
{
    switch (r) {
    case FRAMING_E_TOO_LARGE: fail_too_large(call); return;
    case FRAMING_E_COMPRESSED:
        call_fail(call, GRPC_INTERNAL, "MALFORMED_CALL",
                  "a message has the compressed flag, but there is no grpc-encoding");
        return;
    case FRAMING_E_EXTRA:
        call_fail(call, GRPC_INTERNAL, "MALFORMED_CALL", "a second message in a call that takes one");
        return;
    default: call_fail(call, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the message"); return;
    }
}

/* The request of a unary or server-streaming call is complete. */
static void hand_over(struct grpc_call *call)
{
    struct span none = {0}, message;
    int r = framing_next(&call->framing, &none, call->conn->max_message_bytes, &message);

    if (UNLIKELY(r)) {
        ASSERT(r == FRAMING_E_MORE); /* the rest was checked when it was gathered */
        call_fail(call, GRPC_INTERNAL, "MALFORMED_CALL",
                  framing_stored(&call->framing) ? "the request ends inside a message"
                                                 : "the request ends without a message");
        return;
    }
    call->conn->budget--;
    call->conn->server->n_messages++;
    call->is_delivering = 1;
    call->method->handler->on_message(call, message);
    call->is_delivering = 0;
    framing_release(&call->framing);
    call_count(call);
}

/* What a streaming call is left with when its reading stops: @all says that it came to the end of its data. */
static void settle(struct grpc_call *call, int all)
{
    if (UNLIKELY(call->is_over)) {
        framing_release(&call->framing);
        call_count(call);
        call_credit(call, 0);
        return;
    }
    call_credit(call, all ? 0 : framing_stored(&call->framing));
    if (framing_stored(&call->framing) == 0)
        framing_release(&call->framing);
    count_stored(call);
    if (UNLIKELY(call->is_over))
        return;
    if (all && call->peer_ended && !call->has_half_closed) {
        if (framing_stored(&call->framing)) {
            call_fail(call, GRPC_INTERNAL, "MALFORMED_CALL", "the request ends inside a message");
            return;
        }
        call->has_half_closed = 1;
        call->method->handler->on_half_close(call);
    } else if (!all && !call->is_paused) {
        enqueue(&call->conn->backlog, call);
    }
}

/* Hand over up to @n_max messages out of what is stored and @in; hold back the rest. */
static void call_read(struct grpc_call *call, struct span in, uint32_t n_max)
{
    const struct grpc_handler *handler = call->method->handler;
    struct grpc_conn *conn = call->conn;
    struct span message;
    int r = 0;

    call->is_delivering = 1;
    while (n_max > 0 && !call->is_over && !call->is_paused) {
        r = framing_next(&call->framing, &in, conn->max_message_bytes, &message);
        if (r)
            break;
        n_max--;
        conn->budget--;
        conn->server->n_messages++;
        handler->on_message(call, message);
    }
    if (r == 0 && !call->is_over)
        r = framing_hold(&call->framing, in);
    call->is_delivering = 0;
    if (UNLIKELY(r < 0 || r > FRAMING_E_MORE))
        fail_framing(call, r);
    settle(call, r == FRAMING_E_MORE || (!call->is_paused && framing_stored(&call->framing) == 0));
}

void server_resume(struct grpc_call *call)
{
    if (framing_stored(&call->framing) || (call->peer_ended && !call->has_half_closed))
        enqueue(&call->conn->backlog, call);
}

/* One call of the waiting: 0 when none may go on. */
static int next_waiting(struct grpc_conn *conn)
{
    struct list *l = conn->budget && call_has_room(conn) ? list_pop_front(&conn->waiting) : NULL;

    if (l)
        hand_over(LIST_ENTRY(l, struct grpc_call, link));
    return l != NULL;
}

static int next_backlog(struct grpc_conn *conn)
{
    struct list *l = conn->budget ? list_pop_front(&conn->backlog) : NULL;

    if (l)
        call_read(LIST_ENTRY(l, struct grpc_call, link), (struct span){0},
                  MIN(conn->budget, (uint32_t)BACKLOG_SLICE));
    return l != NULL;
}

/* Go on with what was held back, in turns, as far as the budget goes. */
static void go_on(struct grpc_conn *conn)
{
    int n;

    do {
        n = next_waiting(conn);
        n += next_backlog(conn);
    } while (n);
}

/* --- events of the session */

/* What one request's header block says. */
struct request {
    struct span method, path, content_type, timeout, encoding;
};

static void read_headers(const struct h2_header *headers, size_t n, struct request *ret)
{
    *ret = (struct request){0};
    for (size_t i = 0; i < n; i++) {
        struct span name = headers[i].name, value = headers[i].value;

        if (METADATA_IS(name, ":path"))
            ret->path = value;
        else if (METADATA_IS(name, ":method"))
            ret->method = value;
        else if (METADATA_IS(name, "content-type"))
            ret->content_type = value;
        else if (METADATA_IS(name, "grpc-timeout"))
            ret->timeout = value;
        else if (METADATA_IS(name, "grpc-encoding"))
            ret->encoding = value;
    }
}

/* Not gRPC: a plain HTTP answer, so that no other client takes it for one. */
static void refuse(struct grpc_call *call, const char *http_status)
{
    const struct h2_header headers[] = {{SPAN_LIT(":status"), span_of_string(http_status)}};

    call_end(call);
    if (h2_stream_respond(call->stream, headers, ARRAY_LEN(headers), 1, 0) < 0)
        h2_stream_reset(call->stream, H2_INTERNAL_ERROR);
}

/* Text of a header for a status: as much of it as fits. */
#define SPAN_ARGS(s) (int)MIN((s).len, (size_t)STATUS_TEXT_MAX_BYTES), (const char *)(s).p

void grpc_server_detour(struct grpc_server *server, const struct grpc_method *instead, const char *but)
{
    ASSERT(!instead || instead->handler);
    server->detour = instead;
    server->detour_but = but;
}

void grpc_server_guard(struct grpc_server *server, grpc_guard_check *check, grpc_guard_over *over, void *arg)
{
    server->guard = check;
    server->guard_over = over;
    server->guard_arg = arg;
}

/* Whether the guard has ended @call. */
static int is_turned_away(struct grpc_call *call, const struct h2_header *headers, size_t n)
{
    struct grpc_server *server = call->conn->server;
    struct span authorization = {0};

    if (call->method == server->detour)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (METADATA_IS(headers[i].name, "authorization"))
            authorization = headers[i].value;
    if (server->guard(server->guard_arg, call, authorization) != 0)
        return 1;
    if (call->who)
        list_push_back(&server->guarded, &call->guarded);
    return 0;
}

/* Whether "/service/method" is of @service. */
static int path_is_of(struct span path, const char *service)
{
    size_t n = strlen(service);

    return path.len > n + 1 && memcmp(path.p + 1, service, n) == 0 && path.p[n + 1] == '/';
}

/* Find the row. Returns 0, or after the call has been answered 1. */
static int find_method(struct grpc_call *call, struct span path)
{
    struct grpc_server *server = call->conn->server;
    struct map_item *item = map_find(&server->methods, path);
    struct row *row = item ? CONTAINER_OF(item, struct row, item) : NULL;
    struct span service = path;
    const uint8_t *slash;

    call->counts = row ? &row->counts : &server->others;
    call->counts->n_begun++;
    if (UNLIKELY(server->detour) && !path_is_of(path, server->detour_but)) {
        call->method = server->detour;
        return 0;
    }
    if (LIKELY(row)) {
        call->method = row->method;
        if (LIKELY(call->method->handler))
            return 0;
        call_fail(call, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_METHOD", "method %.*s is not implemented",
                  SPAN_ARGS(path));
        return 1;
    }
    slash = path.len > 1 ? memchr(path.p + 1, '/', path.len - 1) : NULL;
    if (slash)
        service = (struct span){path.p + 1, (size_t)(slash - path.p) - 1};
    if (slash && service.len && grpc_server_has_service(server, service))
        call_fail(call, GRPC_UNIMPLEMENTED, "NO_SUCH_METHOD", "unknown method %.*s", SPAN_ARGS(path));
    else
        call_fail(call, GRPC_UNIMPLEMENTED, "NO_SUCH_SERVICE", "unknown service: %.*s", SPAN_ARGS(path));
    return 1;
}

/* Arm the deadline. Returns 0, or after the call has been answered 1. */
static int set_deadline(struct grpc_call *call, struct span timeout)
{
    struct grpc_conn *conn = call->conn;
    int64_t ns;

    if (metadata_timeout_parse(timeout, &ns)) {
        call_fail(call, GRPC_INTERNAL, "MALFORMED_CALL", "malformed grpc-timeout \"%.*s\"",
                  SPAN_ARGS(timeout));
        return 1;
    }
    if (ns == 0) {
        call_fail(call, GRPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED",
                  "the deadline had passed when the call came");
        return 1;
    }
    if (ns == CLOCK_NEVER)
        return 0;
    if (heap_set(&conn->deadlines, &call->deadline, clock_add(h2_session_now(conn->session), ns)) < 0) {
        call_fail(call, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", "no memory for the call");
        return 1;
    }
    if (call->deadline.key < conn->tick_at)
        h2_session_wake(conn->session);
    return 0;
}

static void start(struct grpc_call *call, const struct h2_header *headers, size_t n)
{
    struct grpc_conn *conn = call->conn;

    call->is_started = 1;
    if (call_is_streaming(call))
        h2_stream_expect_body(call->stream, 0); /* it may send when it likes */
    if (!call->method->handler->on_start)
        return;
    conn->headers = headers;
    conn->n_headers = n;
    call->method->handler->on_start(call);
    conn->headers = NULL;
    conn->n_headers = 0;
}

static void peer_ended(struct grpc_call *call)
{
    struct grpc_conn *conn = call->conn;

    if (call->is_over)
        return;
    call->peer_ended = 1;
    if (call_is_streaming(call)) {
        call_read(call, (struct span){0}, budget_left(conn));
        return;
    }
    if (LIKELY(list_is_empty(&conn->waiting) && budget_left(conn) > 0 && call_has_room(conn)))
        hand_over(call);
    else
        enqueue(&conn->waiting, call);
}

static void on_request(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    struct grpc_conn *conn = h2_session_user(h2_stream_session(s));
    struct grpc_call *call = h2_stream_user(s);
    struct request request;

    call->conn = conn;
    call->stream = s;
    list_init(&call->link);
    list_init(&call->wanting);
    list_init(&call->guarded);
    framing_init(&call->framing, &conn->pool);
    if (n == 0) { /* h2 has answered it */
        call->is_over = 1;
        return;
    }
    read_headers(headers, n, &request);
    if (!METADATA_IS(request.method, "POST")) {
        refuse(call, "405");
        return;
    }
    if (!metadata_is_grpc(request.content_type)) {
        refuse(call, "415");
        return;
    }
    if (find_method(call, request.path))
        return;
    if (request.encoding.len && !METADATA_IS(request.encoding, "identity")) {
        call_fail(call, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_ENCODING",
                  "grpc-encoding \"%.*s\" is not supported", SPAN_ARGS(request.encoding));
        return;
    }
    if (UNLIKELY(conn->server->guard != NULL) && is_turned_away(call, headers, n))
        return;
    if (request.timeout.p && set_deadline(call, request.timeout))
        return;
    start(call, headers, n);
    if (flags & H2_END)
        peer_ended(call);
}

static void on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    if (!(flags & H2_TRAILERS))
        on_request(s, headers, n, flags);
    else if (flags & H2_END) /* gRPC gives trailers of a request no meaning */
        peer_ended(h2_stream_user(s));
}

static void on_data(struct h2_stream *s, struct span data)
{
    struct grpc_call *call = h2_stream_user(s);
    struct grpc_conn *conn = call->conn;
    int r;

    call->uncredited += data.len;
    if (UNLIKELY(call->is_over)) {
        call_credit(call, 0);
    } else if (!call_is_streaming(call)) {
        r = framing_gather(&call->framing, data, conn->max_message_bytes);
        if (UNLIKELY(r))
            fail_framing(call, r);
        call_credit(call, 0);
        count_stored(call);
    } else {
        call_read(call, data, budget_left(conn));
    }
}

static void on_end(struct h2_stream *s)
{
    peer_ended(h2_stream_user(s));
}

static void on_writable(struct h2_stream *s)
{
    struct grpc_call *call = h2_stream_user(s);

    if (call->is_started && !call->is_over && call->method->handler->on_writable)
        call->method->handler->on_writable(call);
}

static enum grpc_end why_over(const struct grpc_call *call, uint32_t error)
{
    const struct grpc_conn *conn = call->conn;

    if (call->is_late)
        return GRPC_END_DEADLINE;
    if (error == H2_NO_ERROR && call->is_over && !call->is_broken)
        return GRPC_END_ANSWERED;
    if (call->is_broken || conn->is_freeing || h2_session_end_reason(conn->session)[0])
        return GRPC_END_LOST;
    return GRPC_END_CANCELLED;
}

/* The code that the client sees. */
static enum grpc_code code_of(const struct grpc_call *call, enum grpc_end end)
{
    switch (end) {
    case GRPC_END_ANSWERED: break;
    case GRPC_END_CANCELLED: return GRPC_CANCELLED;
    case GRPC_END_DEADLINE: return GRPC_DEADLINE_EXCEEDED;
    case GRPC_END_LOST: return call->is_broken ? GRPC_INTERNAL : GRPC_UNAVAILABLE;
    }
    return call->code;
}

static void on_close(struct h2_stream *s, uint32_t error)
{
    struct grpc_call *call = h2_stream_user(s);
    enum grpc_end end;

    if (!call->conn)
        return;
    end = why_over(call, error);
    if (LIKELY(call->counts))
        call->counts->n_ended[code_of(call, end)]++;
    if (UNLIKELY(call->who != NULL)) {
        list_del(&call->guarded);
        call->conn->server->guard_over(call->conn->server->guard_arg, call->who);
    }
    call_end(call);
    call_drop_hold(call);
    call_free_metadata(call);
    if (call->is_started && call->method->handler->on_done)
        call->method->handler->on_done(call, end);
}

/* The deadline has passed. What waits to be sent is worth nothing to a client with the same deadline. */
static void expire(struct grpc_call *call)
{
    struct h2_stream *s = call->stream;

    call->is_late = 1;
    call_drop_hold(call);
    if (h2_stream_pending(s) == 0) {
        call_fail(call, GRPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline has passed");
        return;
    }
    call_end(call);
    h2_stream_reset(s, H2_CANCEL);
}

/* Those that asked to write while there was no room; who finds it used up again asks again, at the end of the line. */
static void tell_wanting(struct grpc_conn *conn)
{
    struct list *l;

    while (call_has_room(conn) && (l = list_pop_front(&conn->wanting))) {
        struct grpc_call *call = LIST_ENTRY(l, struct grpc_call, wanting);

        if (call->method->handler->on_writable)
            call->method->handler->on_writable(call);
    }
}

static mono_ns_t on_tick(void *user, mono_ns_t now)
{
    struct grpc_conn *conn = user;
    struct heap_item *item;

    while ((item = heap_min(&conn->deadlines)) && item->key <= now)
        expire(CONTAINER_OF(item, struct grpc_call, deadline));
    conn->turn = now;
    conn->budget = full_budget(conn);
    go_on(conn);
    tell_wanting(conn);
    item = heap_min(&conn->deadlines);
    conn->tick_at = item ? item->key : CLOCK_NEVER;
    if (conn->budget == 0 && (!list_is_empty(&conn->backlog) || !list_is_empty(&conn->waiting)))
        conn->tick_at = now;
    return conn->tick_at;
}

static void on_room(void *user)
{
    struct grpc_conn *conn = user;

    (void)budget_left(conn);
    go_on(conn);
    tell_wanting(conn);
    if (!list_is_empty(&conn->waiting) && call_has_room(conn))
        h2_session_wake(conn->session);
}

/* --- connections */

static const struct h2_ops server_ops = {
        .on_headers = on_headers,
        .on_data = on_data,
        .on_end = on_end,
        .on_writable = on_writable,
        .on_close = on_close,
        .on_tick = on_tick,
        .on_room = on_room,
};

int grpc_conn_new(struct grpc_conn **ret, struct grpc_server *server, const struct h2_config *config,
                  const struct grpc_peer *peer, mono_ns_t now)
{
    struct grpc_conn *conn = mem_zalloc(sizeof *conn);
    struct h2_config h2 = *config;
    int r;

    if (!conn)
        return -ENOMEM;
    conn->server = server;
    conn->gate = &server->gate;
    conn->peer = *peer;
    conn->max_message_bytes = peer->is_pool_worker && server->config.max_worker_message_bytes
                                      ? server->config.max_worker_message_bytes
                                      : server->config.max_message_bytes;
    conn->max_stored_bytes = server->config.max_stored_bytes ? server->config.max_stored_bytes
                                                             : STORED_MESSAGES * conn->max_message_bytes;
    conn->turn = conn->tick_at = now;
    conn->budget = full_budget(conn);
    list_init(&conn->waiting);
    list_init(&conn->backlog);
    list_init(&conn->wanting);
    h2.stream_user_bytes = sizeof(struct grpc_call);
    r = h2_session_new(&conn->session, H2_SERVER, &h2, &server_ops, conn, now);
    if (r < 0) {
        mem_free(conn);
        return r;
    }
    *ret = conn;
    return 0;
}

struct grpc_conn *grpc_conn_free(struct grpc_conn *conn)
{
    if (!conn)
        return NULL;
    conn->is_freeing = 1;
    h2_session_free(conn->session);
    ASSERT(list_is_empty(&conn->waiting) && list_is_empty(&conn->backlog));
    heap_deinit(&conn->deadlines);
    framing_pool_deinit(&conn->pool);
    buf_deinit(&conn->details);
    buf_deinit(&conn->text);
    buf_deinit(&conn->sink);
    return mem_free(conn);
}

struct h2_session *grpc_conn_session(const struct grpc_conn *conn)
{
    return conn->session;
}

void grpc_server_release(struct grpc_server *server, uint64_t seq)
{
    struct list now;

    server->gate.durable_seq = MAX(server->gate.durable_seq, seq);
    list_init(&now);
    list_splice_back(&now, &server->gate.held);
    while (!list_is_empty(&now)) {
        struct hold *h = LIST_ENTRY(now.next, struct hold, link);

        list_del(&h->link);
        list_push_back(&server->gate.held, &h->link); /* until it has nothing left to wait for */
        call_release(h->call, seq);
    }
}

void grpc_server_review(struct grpc_server *server, grpc_review_fn *may, void *arg)
{
    struct grpc_status st;
    struct list now;

    list_init(&now);
    list_splice_back(&now, &server->guarded);
    while (!list_is_empty(&now)) {
        struct grpc_call *call = LIST_ENTRY(list_pop_front(&now), struct grpc_call, guarded);

        list_push_back(&server->guarded, &call->guarded);
        if (!call->is_over && may(arg, call, call->who, call->proof, &st) != 0)
            grpc_call_fail(call, &st);
    }
}

void grpc_server_abandon(struct grpc_server *server, const struct grpc_status *status)
{
    while (!list_is_empty(&server->gate.held))
        call_abandon(LIST_ENTRY(server->gate.held.next, struct hold, link)->call, status);
}
