// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A daemon that says what the test tells it, at the other end of a socketpair, in the thread of the test: the
 * library's way to wait is replaced by one that lets the fake run. A wait that nothing could end fails the test
 * instead of hanging. Header only.
 *
 *     fake_init(&fake);                     fake.client is connected to it
 *     fake.on_request = answer;             called with each request message
 *     fake.on_idle = stop;                  called when the library waits and nothing moves
 *     fake_deinit(&fake);
 */
#include "client/lib/client.h"
#include "grpc/server.h"
#include "tests/support/testing.h"

#include <fcntl.h>
#include <poll.h>

#include <sys/socket.h>

struct fake {
    struct futured_client *client;
    struct grpc_server *server;
    struct grpc_conn *conn; /* NULL once it was hung up */
    int fd;
    struct buf out;
    void (*on_start)(struct fake *fake, struct grpc_call *call);
    void (*on_request)(struct fake *fake, struct grpc_call *call, struct span message);
    void (*on_half_close)(struct fake *fake, struct grpc_call *call);
    int (*on_idle)(struct fake *fake); /* returns whether it has done something */
    void *user;
    struct buf request; /* the last one */
    size_t n_requests;
    struct grpc_call *call; /* of the last one; NULL once it is over */
    enum grpc_end end;      /* how the last call that ended did */
    size_t n_ended;
};

static inline struct fake *fake_of(const struct grpc_call *call)
{
    return grpc_call_context(call);
}

static inline void fake_on_start(struct grpc_call *call)
{
    struct fake *fake = fake_of(call);

    if (fake->on_start)
        fake->on_start(fake, call);
}

static inline void fake_on_message(struct grpc_call *call, struct span message)
{
    struct fake *fake = fake_of(call);

    buf_clear(&fake->request);
    if (buf_append(&fake->request, message.p, message.len) < 0) {
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "TEST", "the fake is out of memory");
        return;
    }
    fake->n_requests++;
    fake->call = call;
    if (fake->on_request)
        fake->on_request(fake, call, message);
}

static inline void fake_on_half_close(struct grpc_call *call)
{
    struct fake *fake = fake_of(call);

    if (fake->on_half_close)
        fake->on_half_close(fake, call);
}

static inline void fake_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct fake *fake = fake_of(call);

    if (fake->call == call)
        fake->call = NULL;
    fake->end = end;
    fake->n_ended++;
}

static const struct grpc_handler fake_handler = {.on_start = fake_on_start,
                                                 .on_message = fake_on_message,
                                                 .on_half_close = fake_on_half_close,
                                                 .on_done = fake_on_done};

/* fake_hang_up: close the connection, as a daemon that dies does. */
static inline void fake_hang_up(struct fake *fake)
{
    fake->conn = grpc_conn_free(fake->conn);
    err_close(&fake->fd);
}

/* Read all that came, write all that there is; whether anything moved. */
static inline int fake_turn(struct fake *fake)
{
    struct h2_session *session;
    static uint8_t in[65536];
    int moved = 0, r = 0;
    ssize_t n;

    if (!fake->conn)
        return 0;
    session = grpc_conn_session(fake->conn);
    while (r == 0 && (n = recv(fake->fd, in, sizeof in, MSG_DONTWAIT)) > 0) {
        moved = 1;
        r = h2_session_recv(session, in, (size_t)n, clock_mono());
    }
    if (r >= 0) {
        h2_session_tick(session, clock_mono());
        r = h2_session_send(session, &fake->out, 1 << 20, clock_mono());
    }
    if (r < 0 || (h2_session_is_over(session) && buf_len(&fake->out) == 0)) {
        fake_hang_up(fake);
        return 1;
    }
    n = buf_len(&fake->out)
                ? send(fake->fd, buf_head(&fake->out), buf_len(&fake->out), MSG_DONTWAIT | MSG_NOSIGNAL)
                : 0;
    if (n > 0) {
        moved = 1;
        h2_session_sent(session, (size_t)n, clock_mono());
        buf_consume(&fake->out, (size_t)n);
    }
    return moved;
}

static inline int fake_wait(void *arg, struct pollfd *fd, const struct timespec *timeout)
{
    static const struct timespec now = {0, 0};
    struct fake *fake = arg;

    for (;;) {
        int moved = fake_turn(fake), n = ppoll(fd, 1, &now, NULL);

        if (n)
            return n;
        if (moved || (fake->on_idle && fake->on_idle(fake)))
            continue;
        if (!timeout || timeout->tv_sec > 5)
            fail_msg("the library waits for ever");
        return ppoll(fd, 1, timeout, NULL);
    }
}

/* fake_connect: give the client a connection to this fake, new or again; -ENOMEM. */
static inline int fake_connect(struct fake *fake)
{
    const struct h2_config config = h2_config_server();
    const struct grpc_peer peer = {.address = "fake"};
    int fds[2], r;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    buf_clear(&fake->out);
    fake->fd = fds[1];
    r = grpc_conn_new(&fake->conn, fake->server, &config, &peer, clock_mono());
    if (r == 0)
        r = futured_client_adopt(fake->client, fds[0]);
    if (r < 0) {
        fake_hang_up(fake);
        close(fds[0]);
    }
    return r;
}

/* fake_init: 0, -ENOMEM; fake_deinit in both cases. */
static inline int fake_init(struct fake *fake)
{
    static const struct grpc_server_config config = {.max_message_bytes = 64 << 20};
    static struct grpc_method methods[] = {
            {"/futured.v1.Futures/Submit", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Run", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Get", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Wait", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/List", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Count", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Cancel", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Retry", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Delete", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Annotate", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Reschedule", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/CancelMany", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/RetryMany", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/DeleteMany", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Explain", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/SubmitStream", GRPC_BIDI, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/RunStream", GRPC_BIDI, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/AsCompleted", GRPC_BIDI, &fake_handler, NULL, 0},
            {"/futured.v1.Futures/Watch", GRPC_SERVER_STREAM, &fake_handler, NULL, 0},
            {"/futured.v1.Functions/ListFunctions", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Functions/GetFunction", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Functions/PauseFunction", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Functions/ResumeFunction", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Functions/SetFunctionLimits", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Workers/ListWorkers", GRPC_UNARY, NULL, NULL, 0},
            {"/futured.v1.Workers/DrainWorker", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/futured.v1.Workers/KillWorker", GRPC_UNARY, &fake_handler, NULL, 0},
            {"/grpc.health.v1.Health/Check", GRPC_UNARY, &fake_handler, NULL, 0},
    };
    int r;

    *fake = (struct fake){.fd = -1};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        methods[i].context = fake;
    fake->client = futured_client_new("unix:/nowhere/fake");
    r = fake->client ? grpc_server_new(&fake->server, &config) : -ENOMEM;
    if (r == 0)
        r = grpc_server_add(fake->server, methods, ARRAY_LEN(methods));
    if (r == 0) {
        fake->client->wait = fake_wait;
        fake->client->wait_arg = fake;
        r = fake_connect(fake);
    }
    return r;
}

static inline void fake_deinit(struct fake *fake)
{
    futured_client_free(fake->client);
    fake_hang_up(fake);
    grpc_server_free(fake->server);
    buf_deinit(&fake->out);
    buf_deinit(&fake->request);
}

/* Cmocka's setup and teardown around one. */
static inline int fake_setup(void **state)
{
    struct fake *fake = malloc(sizeof *fake);

    assert_non_null(fake);
    assert_int_equal(fake_init(fake), 0);
    *state = fake;
    return 0;
}

static inline int fake_teardown(void **state)
{
    fake_deinit(*state);
    free(*state);
    return 0;
}

/* fake_reply: send a message made by the generated code; its @pack has written @n bytes at @p. */
static inline void fake_reply(struct grpc_call *call, const void *p, size_t n)
{
    if (grpc_call_send(call, (struct span){p, n}) < 0)
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "TEST", "the fake is out of memory");
}
