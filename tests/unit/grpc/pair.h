// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Two h2 sessions in one thread: what one sends the other receives, in pieces of any size, on a time that
 * only the test moves. On top: a service whose handlers do what a script says and write down what they saw,
 * and the client's calls that do the same. What holds for every call is asserted here, whatever the test.
 */
#include "grpc/client.h"
#include "grpc/server.h"
#include "tests/support/testing.h"

struct pair {
    struct h2_session *client, *server;
    mono_ns_t now;
    size_t chunk; /* bytes of one recv; 0 = all there are */
    int is_deaf;  /* the client takes nothing from its socket */
    int is_over;  /* a session said so */
    uint64_t n_to_client, n_to_server;
};

/* Give @n bytes to @to, piece by piece. */
static inline void pair_feed(struct pair *p, struct h2_session *to, const uint8_t *bytes, size_t n)
{
    size_t chunk = p->chunk ? p->chunk : n;

    for (size_t at = 0; at < n && !p->is_over; at += chunk) {
        size_t take = MIN(chunk, n - at);
        uint8_t *piece = malloc(take); /* spans that outlive an event are caught by the address sanitizer */

        memcpy(piece, bytes + at, take);
        if (h2_session_recv(to, piece, take, p->now) != 0)
            p->is_over = 1;
        free(piece);
    }
}

static inline size_t pair_move(struct pair *p, struct h2_session *from, struct h2_session *to)
{
    struct buf bytes = BUF_INIT;
    size_t n;

    if (h2_session_send(from, &bytes, 65536, p->now) != 0)
        p->is_over = 1;
    n = buf_len(&bytes);
    if (n) {
        h2_session_sent(from, n, p->now);
        pair_feed(p, to, buf_head(&bytes), n);
    }
    buf_deinit(&bytes);
    return n;
}

/* Until nobody has anything to say, and wants to be called at once. */
static inline void pair_pump(struct pair *p)
{
    int is_busy;

    do {
        size_t to_server, to_client;

        is_busy = h2_session_tick(p->client, p->now) <= p->now;
        is_busy |= h2_session_tick(p->server, p->now) <= p->now;
        to_server = pair_move(p, p->client, p->server);
        to_client = p->is_deaf ? 0 : pair_move(p, p->server, p->client);
        p->n_to_server += to_server;
        p->n_to_client += to_client;
        is_busy |= to_server || to_client;
    } while (is_busy && !p->is_over);
}

/* Time passes in silence, then everything that is due happens. */
static inline void pair_sleep(struct pair *p, int64_t ns)
{
    p->now += ns;
    pair_pump(p);
}

/* --- the service: what a handler does at each event, as bits */

enum {
    DO_ECHO = 1, /* at a message: send it back */
    DO_FINISH = 2,
    DO_FAIL = 4, /* NOT_FOUND "no such thing" */
    DO_PAUSE = 8,
    DO_METADATA = 16, /* "x-place" and "x-raw-bin" */
    DO_HEADERS = 32,  /* send initial metadata at once */
    DO_BIG = 64,      /* a reply of script.big_bytes */
    DO_UNDO = 128,    /* begin a reply, write, undo */
    DO_PAUSE_RESUME = 256,
    DO_ABORT = 512,  /* end the whole session */
    DO_BEGIN = 1024, /* begin a reply, write, leave it open for a failure to take back */
};

struct script {
    int start, message, half_close, writable;
    size_t big_bytes;
};

enum { SERVED_MAX = 4096 };

/* One call as its handler saw it. Lives for the whole test. */
struct served {
    struct grpc_call *call; /* NULL after on_done */
    unsigned int n_start, n_messages, n_half_close, n_writable, n_done;
    size_t n_bytes;
    uint32_t sum; /* over the bytes of all messages, in order */
    enum grpc_end end;
    int depth; /* of handlers on the stack: an event of the same call inside one is a bug */
};

struct service {
    struct script script;
    struct served served[SERVED_MAX];
    size_t n_served;
    unsigned int n_messages; /* of all calls */
};

static inline uint32_t sum_bytes(uint32_t sum, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        sum = sum * 31 + s.p[i];
    return sum;
}

static inline void service_send_big(struct grpc_call *call, size_t n)
{
    struct buf *out = grpc_call_begin(call);

    if (!out)
        return;
    if (buf_reserve(out, n) < 0) {
        grpc_call_undo(call);
        return;
    }
    memset(buf_tail(out), 'b', n);
    buf_commit(out, n);
    grpc_call_end(call);
}

static inline void service_do(struct grpc_call *call, int actions, struct span message)
{
    struct service *service = grpc_call_context(call);
    struct grpc_status st;

    if (actions & DO_METADATA) {
        if (grpc_call_add_metadata(call, "x-place", SPAN_LIT("here")) < 0 ||
            grpc_call_add_metadata(call, "x-raw-bin", SPAN_LIT("\x00\xff\x10")) < 0)
            assert_true(test_allocation_failed());
    }
    if ((actions & DO_HEADERS) && grpc_call_send_headers(call) < 0)
        assert_true(test_allocation_failed());
    if (actions & DO_UNDO) {
        struct buf *out = grpc_call_begin(call);

        if (out) {
            if (buf_append(out, "never sent", 10) < 0)
                assert_true(test_allocation_failed());
            grpc_call_undo(call);
        }
    }
    if ((actions & DO_ECHO) && grpc_call_send(call, message) < 0)
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "TEST", "no memory");
    if (actions & DO_BIG)
        service_send_big(call, service->script.big_bytes);
    if (actions & DO_BEGIN) {
        struct buf *out = grpc_call_begin(call);

        assert_non_null(out);
        assert_int_equal(buf_append(out, "never sent", 10), 0);
    }
    if (actions & DO_PAUSE)
        grpc_call_pause(call, 1);
    if (actions & DO_PAUSE_RESUME) {
        grpc_call_pause(call, 1);
        grpc_call_pause(call, 0);
    }
    if (actions & DO_FINISH)
        grpc_call_finish(call);
    if (actions & DO_FAIL) {
        status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_THING", "no such thing: 100%%");
        status_add_metadata(&st, "name", "thing");
        grpc_call_fail(call, &st);
    }
    if (actions & DO_ABORT)
        h2_session_abort(h2_stream_session(h2_stream_of_user(call)), H2_INTERNAL_ERROR, "test");
}

static inline struct served *service_enter(struct grpc_call *call)
{
    struct served *sv = grpc_call_user(call);

    assert_non_null(sv);
    assert_ptr_equal(sv->call, call);
    assert_int_equal(sv->n_start, 1);
    assert_int_equal(sv->n_done, 0);
    assert_int_equal(sv->depth, 0);
    sv->depth++;
    return sv;
}

static inline void service_on_start(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct served *sv = &service->served[service->n_served++];

    assert_true(service->n_served <= SERVED_MAX);
    assert_null(grpc_call_user(call));
    *sv = (struct served){.call = call, .n_start = 1, .depth = 1};
    assert_true(span_eq(grpc_call_header(call, ":path"), span_of_string(grpc_call_method(call)->path)));
    assert_null(grpc_call_header(call, "x-not-there").p);
    grpc_call_set_user(call, sv);
    service_do(call, service->script.start, (struct span){0});
    sv->depth--;
}

static inline void service_on_message(struct grpc_call *call, struct span message)
{
    struct service *service = grpc_call_context(call);
    struct served *sv = service_enter(call);

    assert_int_equal(sv->n_half_close, 0);
    sv->n_messages++;
    service->n_messages++;
    sv->n_bytes += message.len;
    sv->sum = sum_bytes(sv->sum, message);
    service_do(call, service->script.message, message);
    sv->depth--;
}

static inline void service_on_half_close(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct served *sv = service_enter(call);

    assert_int_equal(sv->n_half_close++, 0);
    service_do(call, service->script.half_close, (struct span){0});
    sv->depth--;
}

static inline void service_on_writable(struct grpc_call *call)
{
    struct service *service = grpc_call_context(call);
    struct served *sv = service_enter(call);

    sv->n_writable++;
    service_do(call, service->script.writable, (struct span){0});
    sv->depth--;
}

static inline void service_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct served *sv = service_enter(call);

    sv->n_done++;
    sv->end = end;
    sv->call = NULL;
    /* what a handler does too late has no effect and is no fault */
    assert_int_equal(grpc_call_send(call, SPAN_LIT("late")), 0);
    service_send_big(call, 10);
    assert_true(grpc_call_is_writable(call));
    grpc_call_finish(call);
    grpc_call_pause(call, 0);
    sv->depth--;
}

static const struct grpc_handler service_handler = {
        .on_start = service_on_start,
        .on_message = service_on_message,
        .on_half_close = service_on_half_close,
        .on_writable = service_on_writable,
        .on_done = service_on_done,
};

/* "/t.T/Unary", "/t.T/ClientStream", "/t.T/ServerStream", "/t.T/Bidi", "/t.T/None" (no handler). */
static const char *const kind_paths[] = {"/t.T/Unary", "/t.T/ClientStream", "/t.T/ServerStream", "/t.T/Bidi"};

/* --- the client's side of a call */

struct asked {
    struct grpc_client_call *call; /* NULL after on_done */
    unsigned int n_messages, n_done, n_headers, n_writable;
    size_t n_bytes;
    uint32_t sum;
    char place[16];  /* of "x-place" */
    uint8_t raw[16]; /* of "x-raw-bin" */
    size_t n_raw;
    int cancel_at;   /* cancel inside this event: 'h' header, 'm' message, 'w' writable */
    int pause_after; /* pause inside the message of this number */
    int depth;
    struct grpc_status status;
};

static inline struct asked *asked_enter(struct grpc_client_call *call)
{
    struct asked *a = grpc_client_call_user(call);

    assert_int_equal(a->n_done, 0);
    assert_int_equal(a->depth, 0);
    a->depth++;
    a->call = call;
    return a;
}

static inline void asked_leave(struct asked *a, int event)
{
    if (a->cancel_at == event)
        grpc_client_call_cancel(a->call);
    a->depth--;
}

static inline void asked_on_header(struct grpc_client_call *call, struct span name, struct span value)
{
    struct asked *a = asked_enter(call);

    assert_int_equal(a->n_messages, 0);
    a->n_headers++;
    if (span_eq(name, SPAN_LIT("x-place")))
        snprintf(a->place, sizeof a->place, "%.*s", (int)value.len, (const char *)value.p);
    if (span_eq(name, SPAN_LIT("x-raw-bin"))) {
        assert_true(value.len <= sizeof a->raw);
        a->n_raw = value.len;
        memcpy(a->raw, value.p, value.len);
    }
    asked_leave(a, 'h');
}

static inline void asked_on_message(struct grpc_client_call *call, struct span message)
{
    struct asked *a = asked_enter(call);

    a->n_messages++;
    a->n_bytes += message.len;
    a->sum = sum_bytes(a->sum, message);
    if (a->pause_after && a->n_messages == (unsigned int)a->pause_after)
        grpc_client_call_pause(call, 1);
    asked_leave(a, 'm');
}

static inline void asked_on_writable(struct grpc_client_call *call)
{
    struct asked *a = asked_enter(call);

    a->n_writable++;
    asked_leave(a, 'w');
}

static inline void asked_on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct asked *a = asked_enter(call);

    a->n_done++;
    a->status = *status;
    a->call = NULL;
    assert_int_equal(grpc_client_call_send(call, SPAN_LIT("late")), 0);
    a->depth--;
}

static const struct grpc_client_handler asked_handler = {
        .on_header = asked_on_header,
        .on_message = asked_on_message,
        .on_writable = asked_on_writable,
        .on_done = asked_on_done,
};

/* --- both */

struct world {
    struct pair pair;
    struct service service;
    struct grpc_server *server;
    struct grpc_conn *conn;
    struct grpc_client *client;
    struct grpc_method methods[5];
};

struct world_options {
    size_t max_message_bytes, max_stored_bytes, client_max_message_bytes, chunk;
    uint32_t max_messages_per_recv, max_streams, stream_window_bytes, client_window_bytes;
};

static inline int world_try(struct world *w, const struct world_options *o)
{
    const struct grpc_server_config server_config = {
            .max_message_bytes = o->max_message_bytes ? o->max_message_bytes : (size_t)4 << 20,
            .max_stored_bytes = o->max_stored_bytes,
            .max_messages_per_recv = o->max_messages_per_recv,
    };
    const struct grpc_client_config client_config = {
            .authority = "test",
            .max_message_bytes = o->client_max_message_bytes ? o->client_max_message_bytes : (size_t)64 << 20,
    };
    struct h2_config server_h2 = h2_config_server(), client_h2 = h2_config_client();
    const struct grpc_peer peer = {.address = "memory", .worker_key = 7};

    memset(w, 0, sizeof *w);
    w->pair.now = 1000 * NS_PER_S;
    w->pair.chunk = o->chunk;
    if (o->max_streams)
        server_h2.max_streams = o->max_streams;
    if (o->stream_window_bytes)
        server_h2.stream_window_bytes = o->stream_window_bytes;
    if (o->client_window_bytes)
        client_h2.stream_window_bytes = o->client_window_bytes;
    for (size_t i = 0; i < 4; i++)
        w->methods[i] =
                (struct grpc_method){kind_paths[i], (enum grpc_kind)i, &service_handler, &w->service, 0};
    w->methods[4] = (struct grpc_method){.path = "/t.T/None"};
    if (grpc_server_new(&w->server, &server_config) < 0 ||
        grpc_server_add(w->server, w->methods, ARRAY_LEN(w->methods)) < 0 ||
        grpc_conn_new(&w->conn, w->server, &server_h2, &peer, w->pair.now) < 0 ||
        grpc_client_new(&w->client, &client_config, &client_h2, w->pair.now) < 0)
        return -1;
    w->pair.server = grpc_conn_session(w->conn);
    w->pair.client = grpc_client_session(w->client);
    return 0;
}

static inline void world_init(struct world *w, const struct world_options *o)
{
    static const struct world_options none;

    assert_int_equal(world_try(w, o ? o : &none), 0);
    pair_pump(&w->pair);
    assert_false(w->pair.is_over);
}

/* Every call that was started is done by now, once. */
/* Every call that has begun has ended with one code. */
static inline void world_check_counts(const struct world *w)
{
    const struct grpc_counts *c;

    for (size_t i = 0; (c = grpc_server_counts(w->server, i)); i++) {
        uint64_t n = 0;

        for (size_t code = 0; code < ARRAY_LEN(c->n_ended); code++)
            n += c->n_ended[code];
        assert_int_equal(n, c->n_begun);
    }
}

static inline void world_deinit(struct world *w)
{
    w->conn = grpc_conn_free(w->conn);
    w->client = grpc_client_free(w->client);
    if (w->server)
        world_check_counts(w);
    w->server = grpc_server_free(w->server);
    for (size_t i = 0; i < w->service.n_served; i++)
        assert_int_equal(w->service.served[i].n_done, 1);
}

static inline int world_try_call(struct world *w, struct asked *a, enum grpc_kind kind,
                                 const struct grpc_client_call_options *options)
{
    const struct asked wishes = *a;

    *a = (struct asked){.cancel_at = wishes.cancel_at, .pause_after = wishes.pause_after};
    return grpc_client_call_new(&a->call, w->client, kind_paths[kind], options, &asked_handler, a,
                                w->pair.now);
}

static inline void world_call(struct world *w, struct asked *a, enum grpc_kind kind, int64_t timeout_ns)
{
    const struct grpc_client_call_options options = {.timeout_ns = timeout_ns};

    assert_int_equal(world_try_call(w, a, kind, &options), 0);
}

/* Send @n messages of @len bytes; the sum over all of them. */
static inline uint32_t asked_send(struct asked *a, unsigned int n, size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    uint32_t sum = 0;

    for (unsigned int i = 0; i < n; i++) {
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)(i + k * 7);
        sum = sum_bytes(sum, (struct span){bytes, len});
        assert_int_equal(grpc_client_call_send(a->call, (struct span){bytes, len}), 0);
    }
    free(bytes);
    return sum;
}

static inline void asked_close(struct asked *a)
{
    assert_int_equal(grpc_client_call_half_close(a->call), 0);
}

static inline void asked_expect(const struct asked *a, enum grpc_code code, const char *words)
{
    assert_int_equal(a->n_done, 1);
    if (a->status.code != code || !strstr(a->status.message, words))
        fail_msg("status %s \"%s\", expected %s \"%s\"", status_name(a->status.code), a->status.message,
                 status_name(code), words);
}
