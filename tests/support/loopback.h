// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A gRPC client and a gRPC server in one thread without a socket: what one session wants to send the other
 * receives, until both are silent. For the unit tests of services; time stands still unless the test moves
 * it. Header only, for use with tests/support/testing.h.
 *
 *     struct loopback lo;
 *     struct loopback_call call;
 *
 *     loopback_init(&lo, server);
 *     loopback_call(&lo, &call, "/pkg.Service/Method", 0);
 *     loopback_send(&call, message, n);
 *     loopback_half_close(&call);
 *     loopback_pump(&lo);                    now call.n_messages, call.is_done, call.status say what came back
 *     loopback_call_deinit(&call);
 *     loopback_deinit(&lo);
 */
#include "base/buf.h"
#include "grpc/client.h"
#include "grpc/server.h"
#include "tests/support/testing.h"

struct loopback {
    struct grpc_conn *conn;
    struct grpc_client *client;
    mono_ns_t now;
};

struct loopback_call {
    struct grpc_client_call *call;
    struct buf received; /* all messages, one behind the other */
    struct buf lens;     /* the length of each, as size_t */
    struct buf headers;  /* initial metadata: "name: value\n" each */
    size_t n_messages;
    int is_done;
    struct grpc_status status;
};

/* loopback_init_as: @peer is whom the server sees. */
static inline void loopback_init_as(struct loopback *lo, struct grpc_server *server,
                                    const struct grpc_peer *peer)
{
    const struct h2_config server_config = h2_config_server(), client_config = h2_config_client();
    const struct grpc_client_config config = {.authority = "test", .max_message_bytes = (size_t)64 << 20};

    *lo = (struct loopback){.now = NS_PER_S};
    assert_int_equal(grpc_conn_new(&lo->conn, server, &server_config, peer, lo->now), 0);
    assert_int_equal(grpc_client_new(&lo->client, &config, &client_config, lo->now), 0);
}

static inline void loopback_init(struct loopback *lo, struct grpc_server *server)
{
    const struct grpc_peer peer = {.address = "loopback"};

    loopback_init_as(lo, server, &peer);
}

/* loopback_deinit: the server's side goes first, so that it learns of open calls as of a lost connection. */
static inline void loopback_deinit(struct loopback *lo)
{
    lo->conn = grpc_conn_free(lo->conn);
    lo->client = grpc_client_free(lo->client);
}

/* Move what @from has to send to @to; the number of bytes. */
static inline size_t loopback_move(struct loopback *lo, struct h2_session *from, struct h2_session *to)
{
    struct buf bytes = BUF_INIT;
    size_t n;

    h2_session_tick(from, lo->now);
    assert_int_equal(h2_session_send(from, &bytes, 65536, lo->now), 0);
    n = buf_len(&bytes);
    if (n) {
        h2_session_sent(from, n, lo->now);
        if (h2_session_recv(to, buf_head(&bytes), n, lo->now) != 0)
            n = 0;
    }
    buf_deinit(&bytes);
    return n;
}

static inline void loopback_pump(struct loopback *lo)
{
    struct h2_session *server = grpc_conn_session(lo->conn), *client = grpc_client_session(lo->client);

    while (loopback_move(lo, client, server) + loopback_move(lo, server, client) > 0)
        ;
}

static inline void loopback_on_message(struct grpc_client_call *call, struct span message)
{
    struct loopback_call *c = grpc_client_call_user(call);

    assert_int_equal(buf_append(&c->received, message.p, message.len), 0);
    assert_int_equal(buf_append(&c->lens, &message.len, sizeof message.len), 0);
    c->n_messages++;
}

static inline void loopback_on_header(struct grpc_client_call *call, struct span name, struct span value)
{
    struct loopback_call *c = grpc_client_call_user(call);
    char line[512];
    int n = snprintf(line, sizeof line, "%.*s: %.*s\n", (int)name.len, (const char *)name.p, (int)value.len,
                     (const char *)value.p);

    assert_in_range(n, 1, (int)sizeof line - 1);
    assert_int_equal(buf_append(&c->headers, line, (size_t)n), 0);
}

static inline void loopback_on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct loopback_call *c = grpc_client_call_user(call);

    c->is_done = 1;
    c->status = *status;
    c->call = NULL;
}

/* loopback_call_with: start a call; @c lives until its on_done (loopback_deinit at the latest). */
static inline void loopback_call_with(struct loopback *lo, struct loopback_call *c, const char *path,
                                      const struct grpc_client_call_options *options)
{
    static const struct grpc_client_handler handler = {
            .on_header = loopback_on_header, .on_message = loopback_on_message, .on_done = loopback_on_done};

    *c = (struct loopback_call){.received = BUF_INIT};
    assert_int_equal(grpc_client_call_new(&c->call, lo->client, path, options, &handler, c, lo->now), 0);
}

static inline void loopback_call(struct loopback *lo, struct loopback_call *c, const char *path,
                                 int64_t timeout_ns)
{
    const struct grpc_client_call_options options = {.timeout_ns = timeout_ns};

    loopback_call_with(lo, c, path, &options);
}

static inline void loopback_call_deinit(struct loopback_call *c)
{
    assert_true(c->is_done);
    buf_deinit(&c->received);
    buf_deinit(&c->lens);
    buf_deinit(&c->headers);
}

static inline void loopback_send(struct loopback_call *c, const void *p, size_t n)
{
    assert_int_equal(grpc_client_call_send(c->call, (struct span){p, n}), 0);
}

static inline void loopback_half_close(struct loopback_call *c)
{
    assert_int_equal(grpc_client_call_half_close(c->call), 0);
}

/* loopback_unary: one whole call with one request. */
static inline void loopback_unary(struct loopback *lo, struct loopback_call *c, const char *path,
                                  const void *p, size_t n)
{
    loopback_call(lo, c, path, 0);
    loopback_send(c, p, n);
    loopback_half_close(c);
    loopback_pump(lo);
}

/* loopback_message: the @i-th message that came back. */
static inline struct span loopback_message(const struct loopback_call *c, size_t i)
{
    struct span message = {0};

    assert_true(i < c->n_messages);
    message.p = buf_len(&c->received) ? buf_head(&c->received) : (const uint8_t *)"";
    for (size_t k = 0; k <= i; k++) {
        message.p += message.len;
        memcpy(&message.len, buf_head(&c->lens) + k * sizeof message.len, sizeof message.len);
    }
    return message;
}
