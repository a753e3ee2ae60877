// SPDX-License-Identifier: Apache-2.0
/* Over real sockets; nothing here waits but for what the kernel of this machine does at once. */
#include "client/lib/conn.h"
#include "tests/support/testing.h"

#include <poll.h>

#include <arpa/inet.h>
#include <netinet/in.h>

struct place {
    char dir[40];
    struct futured_address address;
    int listener;
};

static struct futured_address parse(const char *text)
{
    struct futured_address address;
    const char *why;

    assert_int_equal(futured_address_parse(text, &address, &why), 0);
    return address;
}

static void place_init(struct place *p, int backlog)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char text[200];

    snprintf(p->dir, sizeof p->dir, "/tmp/futured-test-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(text, sizeof text, "unix:%s/s", p->dir);
    p->address = parse(text);
    memcpy(sun.sun_path, p->address.path, sizeof sun.sun_path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sun, sizeof sun), 0);
    if (backlog >= 0)
        assert_int_equal(listen(p->listener, backlog), 0);
}

static void place_deinit(struct place *p)
{
    err_close(&p->listener);
    unlink(p->address.path);
    rmdir(p->dir);
}

/* Turn until it is OPEN or LOST. */
static void settle(struct futured_conn *conn)
{
    while (futured_conn_state(conn) == FUTURED_CONN_CONNECTING) {
        struct pollfd fd = {.fd = futured_conn_fd(conn), .events = futured_conn_events(conn)};

        assert_true(poll(&fd, 1, 10000) >= 0);
        futured_conn_turn(conn, fd.revents, clock_mono());
    }
}

static void expect_lost(struct futured_conn *conn, const char *reason, const char *text)
{
    const struct grpc_status *why = futured_conn_why(conn);

    assert_int_equal(futured_conn_state(conn), FUTURED_CONN_LOST);
    assert_null(futured_conn_grpc(conn));
    assert_non_null(why);
    assert_int_equal(why->code, GRPC_UNAVAILABLE);
    assert_string_equal(why->reason, reason);
    if (!strstr(why->message, text))
        fail_msg("`%s` is not in `%s`", text, why->message);
}

static void expect_unreachable(const struct futured_address *address, const char *text)
{
    struct futured_conn *conn;

    assert_int_equal(futured_conn_new(&conn, address, clock_mono()), 0);
    settle(conn);
    expect_lost(conn, "UNREACHABLE", text);
    assert_non_null(strstr(futured_conn_why(conn)->message, address->text));
    futured_conn_free(conn);
}

static void test_unreachable(void **state)
{
    struct futured_address address = parse("unix:/nowhere/at/all");
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    char text[40];
    struct place p;
    int fd;

    expect_unreachable(&address, "No such file or directory; there is no such socket");
    place_init(&p, -1); /* bound, and nobody listens */
    expect_unreachable(&p.address, "Connection refused; nothing listens there");
    place_deinit(&p);
    address = parse("no such host:80");
    expect_unreachable(&address, "check the name");

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(in.sin_port));
    address = parse(text);
    expect_unreachable(&address, "Connection refused; nothing listens there");
    close(fd);
}

/* Time that is only told, not waited for. */
static void test_connect_timeout(void **state)
{
    struct futured_conn *conn, *others[2];
    mono_ns_t now = clock_mono();
    struct place p;

    place_init(&p, 0); /* room for one that nobody accepts */
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(futured_conn_new(&others[i], &p.address, now), 0);
    assert_int_equal(futured_conn_new(&conn, &p.address, now), 0);
    futured_conn_turn(conn, 0, now);
    assert_int_equal(futured_conn_state(conn), FUTURED_CONN_CONNECTING);
    assert_true(futured_conn_due(conn) > now && futured_conn_due(conn) < now + NS_PER_S); /* tries again */
    now += FUTURED_CONNECT_TIMEOUT_NS - 1;
    futured_conn_turn(conn, 0, now);
    assert_int_equal(futured_conn_state(conn), FUTURED_CONN_CONNECTING);
    assert_int_equal(futured_conn_due(conn), now + 1);
    futured_conn_turn(conn, 0, now + 1);
    expect_lost(conn, "UNREACHABLE", "timed out; nothing answers there");
    futured_conn_free(conn);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        futured_conn_free(others[i]);
    place_deinit(&p);
}

/* A full backlog is tried again when there is room. */
static void test_backlog(void **state)
{
    struct futured_conn *conns[3];
    mono_ns_t now = clock_mono();
    struct place p;
    int fd;

    place_init(&p, 0);
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        assert_int_equal(futured_conn_new(&conns[i], &p.address, now), 0);
    assert_int_equal(futured_conn_state(conns[2]), FUTURED_CONN_CONNECTING);
    fd = accept(p.listener, NULL, NULL);
    assert_true(fd >= 0);
    futured_conn_turn(conns[1], 0, now);
    futured_conn_turn(conns[1], 0, futured_conn_due(conns[1]));
    assert_int_equal(futured_conn_state(conns[1]), FUTURED_CONN_OPEN);
    close(fd);
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        futured_conn_free(conns[i]);
    place_deinit(&p);
}

struct fixture {
    struct place place;
    struct futured_conn *conn;
    int peer;
};

static void fixture_init(struct fixture *f)
{
    place_init(&f->place, 5);
    assert_int_equal(futured_conn_new(&f->conn, &f->place.address, clock_mono()), 0);
    settle(f->conn);
    assert_int_equal(futured_conn_state(f->conn), FUTURED_CONN_OPEN);
    assert_null(futured_conn_why(f->conn));
    f->peer = accept(f->place.listener, NULL, NULL);
    assert_true(f->peer >= 0);
}

static void fixture_deinit(struct fixture *f)
{
    futured_conn_free(f->conn);
    err_close(&f->peer);
    place_deinit(&f->place);
}

struct ended {
    int n;
    struct grpc_status status, why;
    struct futured_conn *conn;
};

static void on_message(struct grpc_client_call *call, struct span message)
{
    fail_msg("a message out of nothing");
}

static void on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct ended *ended = grpc_client_call_user(call);
    const struct grpc_status *why = futured_conn_why(ended->conn);

    ended->n++;
    ended->status = *status;
    assert_non_null(why); /* what ends with its connection can say why */
    ended->why = *why;
}

static const struct grpc_client_handler handler = {.on_message = on_message, .on_done = on_done};

static void start_call(struct futured_conn *conn, struct ended *ended)
{
    struct grpc_client_call *call;

    *ended = (struct ended){.conn = conn};
    assert_int_equal(grpc_client_call_new(&call, futured_conn_grpc(conn), "/a.B/C", NULL, &handler, ended,
                                          clock_mono()),
                     0);
}

/* What the peer does ends the call and the connection. */
static void expect_end(struct fixture *f, struct ended *ended, const char *text)
{
    struct pollfd fd = {.fd = futured_conn_fd(f->conn), .events = POLLIN};

    assert_int_equal(poll(&fd, 1, 10000), 1);
    futured_conn_turn(f->conn, fd.revents, clock_mono());
    expect_lost(f->conn, "CONNECTION_LOST", text);
    assert_int_equal(ended->n, 1);
    assert_int_equal(ended->status.code, GRPC_UNAVAILABLE);
    assert_string_equal(ended->why.message, futured_conn_why(f->conn)->message);
}

static void test_peer_closes(void **state)
{
    struct ended ended;
    struct fixture f;

    fixture_init(&f);
    start_call(f.conn, &ended);
    assert_int_equal(futured_conn_due(f.conn), 0); /* there is something to send */
    futured_conn_turn(f.conn, 0, clock_mono());
    err_close(&f.peer);
    expect_end(&f, &ended, "lost the connection to unix:");
    fixture_deinit(&f);
}

static void test_peer_talks_garbage(void **state)
{
    static const char *const garbage[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                          "SSH-2.0-OpenSSH_9.2p1 Debian\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        struct ended ended;
        struct fixture f;

        fixture_init(&f);
        start_call(f.conn, &ended);
        futured_conn_turn(f.conn, 0, clock_mono());
        assert_int_equal(send(f.peer, garbage[i], strlen(garbage[i]), 0), strlen(garbage[i]));
        expect_end(&f, &ended, "what answers there may not be futured");
        fixture_deinit(&f);
    }
}

/* One that takes the connection and says nothing, ever: by the time that is told. */
static void test_peer_is_silent(void **state)
{
    struct ended ended;
    struct fixture f;
    mono_ns_t now = clock_mono();

    fixture_init(&f);
    start_call(f.conn, &ended);
    for (int i = 0; i < 10 && futured_conn_state(f.conn) == FUTURED_CONN_OPEN; i++) {
        futured_conn_turn(f.conn, 0, now);
        if (futured_conn_state(f.conn) == FUTURED_CONN_OPEN)
            now = MAX(now, futured_conn_due(f.conn));
    }
    expect_lost(f.conn, "CONNECTION_LOST", "it took the connection and says nothing");
    assert_int_equal(ended.n, 1);
    fixture_deinit(&f);
}

static void test_free_ends_calls(void **state)
{
    struct ended ended;
    struct fixture f;

    fixture_init(&f);
    start_call(f.conn, &ended);
    f.conn = futured_conn_free(f.conn);
    assert_null(f.conn);
    assert_int_equal(ended.n, 1);
    assert_int_equal(ended.status.code, GRPC_UNAVAILABLE);
    fixture_deinit(&f);
}

static void test_memory(void **state)
{
    struct place p;

    place_init(&p, 128);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct futured_conn *conn = NULL;
        int r = futured_conn_new(&conn, &p.address, clock_mono());

        if (r == 0) {
            futured_conn_turn(conn, 0, clock_mono());
            futured_conn_turn(conn, 0, clock_mono());
            if (test_allocation_failed())
                expect_lost(conn, "NO_MEMORY", "out of memory");
            else
                assert_int_equal(futured_conn_state(conn), FUTURED_CONN_OPEN);
        } else {
            assert_int_equal(r, -ENOMEM);
        }
        futured_conn_free(conn);
    }
    place_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_unreachable),
            cmocka_unit_test(test_connect_timeout),
            cmocka_unit_test(test_backlog),
            cmocka_unit_test(test_peer_closes),
            cmocka_unit_test(test_peer_talks_garbage),
            cmocka_unit_test(test_peer_is_silent),
            cmocka_unit_test(test_free_ends_calls),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
