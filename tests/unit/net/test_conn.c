// SPDX-License-Identifier: Apache-2.0
/*
 * Connections against a real HTTP/2 client session at the other end of a socketpair, on a clock of the test's
 * own. The server answers "/N" with N bytes of a pattern, "/hold" never, "/close" by closing the connection
 * from inside the event.
 */
#include "base/log.h"
#include "daemon/net/conn.h"
#include "h2/session.h"
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>

#include <sys/socket.h>

/* --- the server side */

static mono_ns_t fake_now;
static struct loop *loop;
static struct conn_set *set;
static struct h2_config server_config;
static struct conn *latest; /* adopted */
static int open_result;
static unsigned int n_emptied, n_freed;
static unsigned int n_closed;
static uint32_t last_error;
static struct h2_stream *held;

static mono_ns_t fake_clock(void *arg)
{
    return fake_now;
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void answer(struct h2_stream *s, size_t n)
{
    static const struct h2_header ok = {SPAN_LIT(":status"), SPAN_LIT("200")};
    struct buf *out = h2_stream_out(s);

    if (h2_stream_respond(s, &ok, 1, n == 0, 1) < 0 || n == 0)
        return;
    if (buf_reserve(out, n) < 0) {
        h2_stream_reset(s, H2_INTERNAL_ERROR);
        return;
    }
    for (size_t i = 0; i < n; i++)
        buf_tail(out)[i] = pattern(i);
    buf_commit(out, n);
    h2_stream_flush(s);
    if (h2_stream_finish(s, NULL, 0, 1) < 0)
        h2_stream_reset(s, H2_INTERNAL_ERROR);
}

static void server_on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    for (size_t i = 0; i < n; i++) {
        char path[64];

        if (!span_eq(headers[i].name, SPAN_LIT(":path")))
            continue;
        snprintf(path, sizeof path, "%.*s", (int)headers[i].value.len, (const char *)headers[i].value.p);
        if (strcmp(path, "/hold") == 0)
            held = s;
        else if (strcmp(path, "/close") == 0)
            conn_close(latest, "test");
        else
            answer(s, strtoul(path + 1, NULL, 10));
    }
}

static void server_on_data(struct h2_stream *s, struct span data)
{
    h2_stream_consume(s, data.len);
}

static void server_on_end(struct h2_stream *s)
{
}

static void server_on_close(struct h2_stream *s, uint32_t error)
{
    n_closed++;
    last_error = error;
    if (held == s)
        held = NULL;
}

static const struct h2_ops server_ops = {.on_headers = server_on_headers,
                                         .on_data = server_on_data,
                                         .on_end = server_on_end,
                                         .on_close = server_on_close};

static void free_session(void *arg)
{
    n_freed++;
    h2_session_free(arg);
}

static int on_open(void *arg, const struct conn_peer *peer, mono_ns_t now, struct conn_owner *ret)
{
    struct h2_session *session;
    int r = open_result;

    assert_string_equal(peer->address, "test");
    assert_true(now == fake_now);
    if (r == 0)
        r = h2_session_new(&session, H2_SERVER, &server_config, &server_ops, NULL, now);
    if (r < 0)
        return r;
    *ret = (struct conn_owner){.session = session, .free = free_session, .arg = session};
    return 0;
}

static void on_empty(void *arg)
{
    n_emptied++;
}

/* --- the client side */

struct client {
    int fd;
    struct h2_session *session;
    struct buf out; /* not sent yet */
    unsigned int n_answers, n_closed;
    size_t n_bytes;     /* of all answers */
    size_t n_of_stream; /* of the one at hand */
    int is_pattern;
    int is_goaway;
    uint32_t error;
    int is_eof;
};

static void client_on_headers(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags)
{
    struct client *c = h2_session_user(h2_stream_session(s));

    c->n_answers++;
    c->n_of_stream = 0;
}

static void client_on_data(struct h2_stream *s, struct span data)
{
    struct client *c = h2_session_user(h2_stream_session(s));

    for (size_t i = 0; i < data.len; i++)
        c->is_pattern &= data.p[i] == pattern(c->n_of_stream++);
    c->n_bytes += data.len;
    h2_stream_consume(s, data.len);
}

static void client_on_close(struct h2_stream *s, uint32_t error)
{
    struct client *c = h2_session_user(h2_stream_session(s));

    c->n_closed++;
    c->error = error;
}

static void client_on_goaway(void *user, uint32_t error)
{
    struct client *c = user;

    c->is_goaway = 1;
    c->error = error;
}

static const struct h2_ops client_ops = {.on_headers = client_on_headers,
                                         .on_data = client_on_data,
                                         .on_end = server_on_end,
                                         .on_close = client_on_close,
                                         .on_goaway = client_on_goaway};

static int adopt(enum conn_trust trust, int *ret_fd)
{
    struct conn_peer peer = {.address = "test", .trust = trust};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    *ret_fd = fds[1];
    return conn_set_adopt(set, fds[0], &peer, &latest);
}

static struct client connect_client(void)
{
    struct client c = {.is_pattern = 1};

    assert_int_equal(adopt(CONN_LOCAL, &c.fd), 0);
    return c;
}

static void start_client(struct client *c)
{
    struct h2_config config = h2_config_client();

    config.connection_window_bytes = config.stream_window_bytes = 64 * 1024 * 1024;
    assert_int_equal(h2_session_new(&c->session, H2_CLIENT, &config, &client_ops, c, fake_now), 0);
}

static void request(struct client *c, const char *path)
{
    const struct h2_header headers[] = {
            {SPAN_LIT(":method"), SPAN_LIT("GET")},
            {SPAN_LIT(":scheme"), SPAN_LIT("http")},
            {SPAN_LIT(":authority"), SPAN_LIT("test")},
            {SPAN_LIT(":path"), span_of_string(path)},
    };
    struct h2_stream *s;

    assert_int_equal(h2_session_request(c->session, headers, ARRAY_LEN(headers), 1, &s), 0);
}

/* What the session has to send goes into the socket as far as that takes it. */
static void client_send(struct client *c)
{
    ssize_t n;

    if (!buf_len(&c->out))
        assert_int_equal(h2_session_send(c->session, &c->out, 1 << 20, fake_now), 0);
    n = buf_len(&c->out) ? send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_NOSIGNAL) : 0;
    if (n > 0) {
        buf_consume(&c->out, (size_t)n);
        h2_session_sent(c->session, (size_t)n, fake_now);
    }
}

static void client_recv(struct client *c)
{
    static uint8_t in[65536];
    ssize_t n;

    while ((n = recv(c->fd, in, sizeof in, 0)) > 0)
        if (h2_session_recv(c->session, in, (size_t)n, fake_now) < 0)
            fail_msg("the client's session has no memory");
    c->is_eof |= n == 0;
}

static void free_client(struct client *c)
{
    h2_session_free(c->session);
    buf_deinit(&c->out);
    if (c->fd >= 0)
        close(c->fd);
}

static void turn(void)
{
    assert_int_equal(loop_turn(loop, LOOP_NO_WAIT), 0);
}

/* Both sides go on until nothing changes any more. */
static void settle(struct client *c)
{
    uint64_t before, after;

    do {
        before = conn_set_stats(set).bytes_in + conn_set_stats(set).bytes_out;
        client_send(c);
        for (int i = 0; i < 4; i++)
            turn();
        client_recv(c);
        client_send(c);
        for (int i = 0; i < 4; i++)
            turn();
        after = conn_set_stats(set).bytes_in + conn_set_stats(set).bytes_out;
    } while (before != after);
    client_recv(c);
}

/* --- the fixture */

static int setup(void **state)
{
    const struct loop_hooks hooks = {.clock = fake_clock};
    const struct conn_set_config config = {.max_conns = 2, .on_open = on_open, .on_empty = on_empty};

    fake_now = 1000 * NS_PER_S;
    server_config = h2_config_server();
    open_result = 0;
    n_emptied = n_freed = n_closed = 0;
    held = NULL;
    latest = NULL;
    if (loop_new(&loop, &hooks) < 0)
        return -1;
    return conn_set_new(&set, loop, &config);
}

static int teardown(void **state)
{
    set = conn_set_free(set);
    loop = loop_free(loop);
    return 0;
}

/* --- the tests */

static void test_request_and_answer(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/1000");
    settle(&c);
    assert_int_equal(c.n_answers, 1);
    assert_int_equal(c.n_bytes, 1000);
    assert_int_equal(c.n_closed, 1);
    assert_true(c.is_pattern);
    assert_int_equal(conn_set_stats(set).n_open, 1);
    assert_int_equal(conn_set_stats(set).n_opened, 1);
    assert_int_equal(conn_set_stats(set).bytes_waiting, 0);
    assert_int_equal(n_emptied, 0);
    free_client(&c);
    turn();
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    assert_int_equal(n_freed, 1);
    assert_int_equal(n_emptied, 1);
}

/* The server gets the client's bytes one at a time, each with its own turn. */
static void test_bytes_dribbled(void **state)
{
    struct client c = connect_client();
    struct buf all = BUF_INIT;

    start_client(&c);
    request(&c, "/100");
    request(&c, "/200");
    assert_int_equal(h2_session_send(c.session, &all, 1 << 20, fake_now), 0);
    assert_true(buf_len(&all) > 50);
    while (buf_len(&all)) {
        assert_int_equal(send(c.fd, buf_head(&all), 1, 0), 1);
        buf_consume(&all, 1);
        h2_session_sent(c.session, 1, fake_now);
        turn();
        client_recv(&c);
    }
    settle(&c);
    assert_int_equal(c.n_closed, 2);
    assert_int_equal(c.n_bytes, 300);
    assert_true(c.is_pattern);
    buf_deinit(&all);
    free_client(&c);
}

/* What a peer that never reads costs is one write's worth; when it reads at last it gets everything. */
static void test_slow_reader(void **state)
{
    struct client c = connect_client();
    uint64_t sent;

    start_client(&c);
    for (int i = 0; i < 8; i++)
        request(&c, "/1000000");
    client_send(&c);
    for (int i = 0; i < 100; i++)
        turn();
    sent = conn_set_stats(set).bytes_out;
    assert_true(sent > 0 && sent < UINT64_C(8) * 1000000);
    assert_true(conn_set_stats(set).bytes_waiting > 0);
    assert_true(conn_set_stats(set).bytes_waiting <= CONN_SEND_BYTES + 16384 + 9);
    turn();
    assert_true(conn_set_stats(set).bytes_out == sent);

    settle(&c);
    assert_int_equal(c.n_closed, 8);
    assert_int_equal(c.n_bytes, 8 * 1000000);
    assert_int_equal(conn_set_stats(set).bytes_waiting, 0);
    free_client(&c);
}

static void test_write_timeout(void **state)
{
    struct client c;

    server_config.write_timeout_ns = 0;
    c = connect_client();
    start_client(&c);
    for (int i = 0; i < 8; i++)
        request(&c, "/1000000");
    client_send(&c);
    for (int i = 0; i < 100; i++)
        turn();
    fake_now += server_config.keepalive_ns - NS_PER_S; /* just before the PING */
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    free_client(&c);
    turn();
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    assert_int_equal(conn_set_stats(set).bytes_waiting, 0);

    server_config = h2_config_server();
    c = connect_client();
    start_client(&c);
    for (int i = 0; i < 8; i++)
        request(&c, "/1000000");
    client_send(&c);
    for (int i = 0; i < 100; i++)
        turn();
    fake_now += server_config.write_timeout_ns - 1;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    fake_now += 1;
    turn();
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    assert_int_equal(n_closed, 16);
    free_client(&c);
}

static void test_peer_closes(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/hold");
    settle(&c);
    assert_non_null(held);
    free_client(&c);
    turn();
    assert_null(held);
    assert_int_equal(n_closed, 1);
    assert_int_equal(last_error, H2_CANCEL);
    assert_int_equal(n_freed, 1);
    assert_int_equal(n_emptied, 1);
}

/* One that says all it has to say and shuts its side gets the answers that are ready. */
static void test_peer_half_closes(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/1000");
    client_send(&c);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    turn();
    turn();
    client_recv(&c);
    assert_int_equal(c.n_bytes, 1000);
    assert_true(c.is_eof);
    assert_int_equal(n_emptied, 1);
    free_client(&c);
}

static void test_reset(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/1000000");
    request(&c, "/hold");
    client_send(&c);
    turn();
    free_client(&c); /* with unread bytes */
    turn();
    turn();
    assert_int_equal(n_emptied, 1);
    assert_int_equal(n_closed, 2);
}

/* A peer that does not speak HTTP/2 learns why before the connection ends, and may go on babbling a while. */
static void test_last_words_and_lingering(void **state)
{
    struct client c = connect_client();
    char babble[1000];

    start_client(&c);
    memset(babble, 'x', sizeof babble);
    assert_int_equal(send(c.fd, babble, sizeof babble, 0), sizeof babble);
    turn();
    assert_int_equal(n_freed, 1); /* the session; the socket lingers */
    assert_int_equal(conn_set_stats(set).n_open, 1);
    assert_int_equal(n_emptied, 0);
    assert_int_equal(send(c.fd, babble, sizeof babble, 0), sizeof babble);
    turn();
    client_recv(&c);
    assert_true(c.is_goaway);
    assert_int_equal(c.error, H2_PROTOCOL_ERROR);
    assert_true(c.is_eof);
    assert_int_equal(conn_set_stats(set).n_open, 1);
    free_client(&c);
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    assert_int_equal(n_emptied, 1);
}

static void test_lingering_ends(void **state)
{
    char babble[65536];
    struct client c = connect_client();
    size_t sent = 0;

    memset(babble, 'x', sizeof babble);
    assert_int_equal(send(c.fd, babble, 100, 0), 100);
    turn();
    fake_now += CONN_LINGER_S * NS_PER_S - 1;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    fake_now += 1;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    free_client(&c);

    c = connect_client();
    assert_int_equal(send(c.fd, babble, 100, 0), 100);
    turn();
    while (conn_set_stats(set).n_open) {
        ssize_t n = send(c.fd, babble, sizeof babble, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < (size_t)2 * CONN_LINGER_BYTES);
        turn();
    }
    assert_true(sent > CONN_LINGER_BYTES);
    free_client(&c);
}

static void test_drain(void **state)
{
    struct client c = connect_client();
    struct h2_stream *s = NULL;

    start_client(&c);
    request(&c, "/hold");
    settle(&c);
    conn_set_drain(set);
    settle(&c);
    assert_true(c.is_goaway);
    assert_int_equal(c.error, H2_NO_ERROR);
    assert_int_equal(h2_session_request(c.session, NULL, 0, 1, &s), H2_E_REFUSED);
    assert_int_equal(conn_set_stats(set).n_open, 1);
    answer(held, 10); /* from outside of any event: the wake marks the connection */
    turn();
    client_recv(&c);
    assert_int_equal(c.n_bytes, 10);
    client_send(&c);
    turn();
    turn();
    client_recv(&c);
    assert_true(c.is_eof);
    free_client(&c);
    turn();
    assert_int_equal(n_emptied, 1);

    c = connect_client(); /* who comes now is told at once */
    start_client(&c);
    settle(&c);
    assert_true(c.is_goaway);
    assert_true(c.is_eof);
    free_client(&c);
}

/* Whoever had no answer to come is waited for until it has been silent for a while, as idle clients are from the start. */
static void test_drain_of_sleepers(void **state)
{
    static const char pong[] =
            "\0\0\x08\x06\x01\0\0\0\0leaving"; /* nghttp2 says none where it has no stream */
    struct client sleeper = connect_client(), speaker = connect_client();

    start_client(&sleeper);
    start_client(&speaker);
    request(&sleeper, "/10");
    settle(&sleeper);
    settle(&speaker);
    conn_set_drain(set);
    turn();
    fake_now += NS_PER_S - 1;
    turn();
    assert_int_equal(send(speaker.fd, pong, sizeof pong, 0), sizeof pong);
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 2);
    fake_now++;
    turn();
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    client_recv(&sleeper);
    assert_true(sleeper.is_goaway);
    assert_int_equal(sleeper.error, H2_NO_ERROR);
    assert_true(sleeper.is_eof);
    fake_now += CONN_SILENT_S * NS_PER_S - 2;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    fake_now++;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    free_client(&sleeper);
    free_client(&speaker);
}

/* Whoever had one has more time. */
static void test_drain_of_callers(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/hold");
    settle(&c);
    conn_set_drain(set);
    settle(&c);
    answer(held, 10);
    fake_now += CONN_SILENT_S * NS_PER_S;
    turn();
    fake_now += CONN_LINGER_S * NS_PER_S - 1;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 1);
    fake_now++;
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    client_recv(&c);
    assert_int_equal(c.n_bytes, 10);
    free_client(&c);
}

static void test_abort(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/hold");
    settle(&c);
    conn_set_abort(set, "stopped");
    assert_null(held);
    turn();
    client_recv(&c);
    assert_true(c.is_goaway);
    free_client(&c);
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
}

static void test_close_inside_an_event(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/hold");
    request(&c, "/close");
    request(&c, "/1000");
    client_send(&c);
    turn();
    assert_int_equal(conn_set_stats(set).n_open, 0);
    assert_int_equal(n_freed, 1);
    assert_int_equal(n_closed, 3);
    client_recv(&c);
    assert_true(c.is_eof);
    assert_int_equal(c.n_answers, 0);
    free_client(&c);
}

static void test_timeouts(void **state)
{
    struct client c = connect_client();

    turn();
    fake_now += server_config.preface_timeout_ns - 1;
    turn();
    turn();
    assert_int_equal(n_freed, 0);
    fake_now += 1;
    turn();
    turn();
    assert_int_equal(n_freed, 1);
    start_client(&c);
    client_recv(&c);
    assert_true(c.is_goaway && c.is_eof);
    free_client(&c);

    server_config.keepalive_ns = 0;
    c = connect_client();
    start_client(&c);
    request(&c, "/10");
    settle(&c);
    for (int64_t left = server_config.idle_timeout_ns - 1; left > 0; left -= NS_PER_S) {
        fake_now += MIN(left, NS_PER_S);
        turn(); /* the timer comes too early now and then, for times that have moved on */
    }
    assert_int_equal(n_freed, 1);
    fake_now += 1;
    turn(); /* the notice */
    turn();
    assert_int_equal(n_freed, 1);
    fake_now += NS_PER_S; /* that is not answered, and the end */
    turn();
    turn();
    assert_int_equal(n_freed, 2);
    client_recv(&c);
    assert_true(c.is_goaway && c.is_eof);
    free_client(&c);
}

static void test_full(void **state)
{
    char byte;
    int fds[4];

    assert_int_equal(adopt(CONN_STRANGER, &fds[0]), 0);
    assert_false(conn_set_is_full(set));
    assert_int_equal(adopt(CONN_LOCAL, &fds[1]), 0);
    assert_true(conn_set_is_full(set));
    assert_int_equal(adopt(CONN_LOCAL, &fds[2]), CONN_E_FULL);
    assert_int_equal(recv(fds[2], &byte, 1, 0), 0);
    assert_int_equal(adopt(CONN_OWN, &fds[3]), 0); /* our own children are not counted */
    assert_int_equal(conn_set_stats(set).n_refused, 1);
    assert_int_equal(conn_set_stats(set).n_open, 3);
    conn_set_refuse(set);
    assert_int_equal(conn_set_stats(set).n_refused, 2);
    close(fds[0]);
    turn();
    assert_false(conn_set_is_full(set));
    for (size_t i = 1; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void test_open_fails(void **state)
{
    char byte;
    int fd;

    open_result = -EMFILE;
    assert_int_equal(adopt(CONN_LOCAL, &fd), -EMFILE);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(conn_set_stats(set).n_refused, 1);
    assert_int_equal(conn_set_stats(set).n_open, 0);
    turn();
    close(fd);
}

static void test_free_with_open_calls(void **state)
{
    struct client c = connect_client();

    start_client(&c);
    request(&c, "/hold");
    settle(&c);
    request(&c, "/1000000");
    client_send(&c);
    turn();
    set = conn_set_free(set);
    assert_int_equal(n_closed, 2);
    assert_int_equal(n_freed, 1);
    assert_int_equal(n_emptied, 0);
    free_client(&c);
}

/* The client's bytes are made beforehand, so that only the server's allocations fail. */
static void test_each_allocation_of_a_new_connection_fails(void **state)
{
    struct client c = connect_client();
    struct buf all = BUF_INIT;

    start_client(&c);
    for (int i = 0; i < 4; i++)
        request(&c, "/1000000");
    assert_int_equal(h2_session_send(c.session, &all, 1 << 20, fake_now), 0);
    free_client(&c);
    teardown(state);

    FAIL_EACH_ALLOCATION(nth)
    {
        int fd = -1, r = setup(state);

        if (r == 0)
            r = adopt(CONN_LOCAL, &fd);
        if (r == 0) {
            assert_int_equal(send(fd, buf_head(&all), buf_len(&all), 0), buf_len(&all));
            for (int i = 0; i < 10; i++)
                turn();
        }
        if (test_allocation_failed())
            assert_true(r == 0 || r == -1 || r == -ENOMEM);
        else
            assert_true(conn_set_stats(set).bytes_waiting > 0);
        teardown(state);
        if (fd >= 0)
            close(fd);
    }
    buf_deinit(&all);
    assert_int_equal(setup(state), 0);
}

/* Each allocation while a socket is full and gets a little room, again and again. */
static void test_each_allocation_of_a_full_connection_fails(void **state)
{
    teardown(state);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct client c;

        mem_fail_at(0);
        assert_int_equal(setup(state), 0);
        c = connect_client();
        start_client(&c);
        for (int i = 0; i < 4; i++)
            request(&c, "/1000000");
        client_send(&c);
        for (int i = 0; i < 10; i++)
            turn();
        assert_true(conn_set_stats(set).bytes_waiting > 0);
        mem_fail_at(nth);
        for (int i = 0; i < 4; i++) {
            char some[65536];

            assert_true(recv(c.fd, some, sizeof some, 0) > 0);
            turn();
            turn();
        }
        assert_int_equal(conn_set_stats(set).n_open, !test_allocation_failed());
        teardown(state);
        free_client(&c);
    }
    assert_int_equal(setup(state), 0);
}

#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            CONN_TEST(test_request_and_answer),
            CONN_TEST(test_bytes_dribbled),
            CONN_TEST(test_slow_reader),
            CONN_TEST(test_write_timeout),
            CONN_TEST(test_peer_closes),
            CONN_TEST(test_peer_half_closes),
            CONN_TEST(test_reset),
            CONN_TEST(test_last_words_and_lingering),
            CONN_TEST(test_lingering_ends),
            CONN_TEST(test_drain),
            CONN_TEST(test_drain_of_sleepers),
            CONN_TEST(test_drain_of_callers),
            CONN_TEST(test_abort),
            CONN_TEST(test_close_inside_an_event),
            CONN_TEST(test_timeouts),
            CONN_TEST(test_full),
            CONN_TEST(test_open_fails),
            CONN_TEST(test_free_with_open_calls),
            CONN_TEST(test_each_allocation_of_a_new_connection_fails),
            CONN_TEST(test_each_allocation_of_a_full_connection_fails),
    };

    log_configure(LOG_ERROR, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
