// SPDX-License-Identifier: Apache-2.0
/*
 * Listening sockets: every kind of address, what is in the way of one and with which words it is refused, what
 * is left behind, and what happens when connections or descriptors run out.
 */
#include "base/log.h"
#include "daemon/net/listener.h"
#include "h2/session.h"
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { CONNS_MAX = 200 };

static mono_ns_t fake_now;
static struct loop *loop;
static struct conn_set *set;
static struct conn_peer latest; /* that opened */
static char dir[64], path[96];  /* of this test alone */
static char why[LISTENER_WHY_BYTES];

static mono_ns_t fake_clock(void *arg)
{
    return fake_now;
}

static void free_session(void *arg)
{
    h2_session_free(arg);
}

static int on_open(void *arg, const struct conn_peer *peer, mono_ns_t now, struct conn_owner *ret)
{
    static const struct h2_ops ops = {0};
    struct h2_config config = h2_config_server();
    struct h2_session *session;
    int r = h2_session_new(&session, H2_SERVER, &config, &ops, NULL, now);

    if (r < 0)
        return r;
    latest = *peer;
    *ret = (struct conn_owner){.session = session, .free = free_session, .arg = session};
    return 0;
}

static int setup(void **state)
{
    const struct loop_hooks hooks = {.clock = fake_clock};
    const struct conn_set_config config = {.max_conns = CONNS_MAX, .on_open = on_open};

    fake_now = 1000 * NS_PER_S;
    latest = (struct conn_peer){0};
    snprintf(dir, sizeof dir, "/tmp/futured-test-listener-XXXXXX");
    if (!mkdtemp(dir) || loop_new(&loop, &hooks) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/socket", dir);
    return conn_set_new(&set, loop, &config);
}

/* Whatever a listener left in the directory makes this fail. */
static int teardown(void **state)
{
    set = conn_set_free(set);
    loop = loop_free(loop);
    return rmdir(dir);
}

static struct address parse(const char *text)
{
    struct address a;
    const char *wrong;

    assert_int_equal(address_parse(text, &a, &wrong), 0);
    return a;
}

static struct address unix_address(void)
{
    char text[ADDRESS_TEXT_BYTES];

    snprintf(text, sizeof text, "unix:%s", path);
    return parse(text);
}

static int try_listen(struct listener **ret, struct address address)
{
    why[0] = '\0';
    return listener_new(ret, loop, set, &address, address_is_unix(&address) ? CONN_LOCAL : CONN_STRANGER,
                        why);
}

static struct listener *listen_on(struct address address)
{
    struct listener *l = NULL;

    if (try_listen(&l, address) != 0)
        fail_msg("%s", why);
    return l;
}

static int connect_to(const struct address *a)
{
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&a->sa, a->len) < 0 && errno != EINPROGRESS) {
        int r = -errno;

        close(fd);
        return r;
    }
    return fd;
}

static void turn(void)
{
    assert_int_equal(loop_turn(loop, LOOP_NO_WAIT), 0);
}

static uint32_t n_open(void)
{
    return conn_set_stats(set).n_open;
}

static int is_eof(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) == 0;
}

/* --- TCP */

/* The option that a socket of ours has whose peer is @client. */
static int accepted_option(int client, int level, int name)
{
    struct sockaddr_storage mine, theirs;
    socklen_t mine_len = sizeof mine;

    assert_int_equal(getsockname(client, (struct sockaddr *)&mine, &mine_len), 0);
    for (int fd = 3; fd < 1000; fd++) {
        socklen_t len = sizeof theirs, value_len = sizeof(int);
        int value = -1;

        if (getpeername(fd, (struct sockaddr *)&theirs, &len) < 0 || len != mine_len ||
            memcmp(&mine, &theirs, len) != 0)
            continue;
        assert_int_equal(getsockopt(fd, level, name, &value, &value_len), 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        return value;
    }
    fail_msg("nobody has accepted it");
    return -1;
}

static void test_tcp(void **state)
{
    struct listener *l = listen_on(parse("127.0.0.1:0"));
    const struct address *a = listener_address(l);
    char expect[ADDRESS_TEXT_BYTES], bytes[256];
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    int fd;

    assert_int_not_equal(address_port(a), 0); /* the real one */
    snprintf(expect, sizeof expect, "127.0.0.1:%u", address_port(a));
    assert_string_equal(a->text, expect);
    fd = connect_to(a);
    assert_true(fd >= 0);
    turn();
    assert_int_equal(n_open(), 1);
    assert_int_equal(latest.trust, CONN_STRANGER);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    snprintf(expect, sizeof expect, "127.0.0.1:%u", ntohs(sin.sin_port));
    assert_string_equal(latest.address, expect);
    assert_int_equal(accepted_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);

    snprintf(expect, sizeof expect, "127.0.0.1:%u", address_port(a));
    listener_free(l);
    assert_int_equal(n_open(), 1);  /* what was accepted goes on */
    conn_set_abort(set, "stopped"); /* we close first, so the connection keeps the port for a while ... */
    turn();
    turn();
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
    close(fd);
    turn();
    assert_int_equal(n_open(), 0);
    l = listen_on(parse(expect)); /* ... and yet it can be listened on */
    listener_free(l);
}

static void test_tcp6_is_for_itself(void **state)
{
    struct listener *l6 = listen_on(parse("[::]:0")), *l4;
    char text[ADDRESS_TEXT_BYTES];
    struct address a;
    int fd;

    snprintf(text, sizeof text, "0.0.0.0:%u", address_port(listener_address(l6)));
    l4 = listen_on(parse(text)); /* the same port of the other family */
    snprintf(text, sizeof text, "[::1]:%u", address_port(listener_address(l6)));
    a = parse(text);
    fd = connect_to(&a);
    assert_true(fd >= 0);
    turn();
    assert_int_equal(strncmp(latest.address, "[::1]:", 6), 0);
    close(fd);
    listener_free(l6);
    listener_free(l4);
}

static void test_tcp_refused(void **state)
{
    struct listener *l = listen_on(parse("127.0.0.1:0")), *other = NULL;
    char expect[LISTENER_WHY_BYTES];

    assert_int_equal(try_listen(&other, *listener_address(l)), -EADDRINUSE);
    snprintf(
            expect, sizeof expect,
            "cannot listen on %s: Address already in use; another program listens there (ss -ltnp shows it): "
            "stop it or choose another port (0 is any)",
            listener_address(l)->text);
    assert_string_equal(why, expect);
    assert_null(other);
    listener_free(l);

    assert_int_equal(try_listen(&other, parse("192.0.2.1:0")), -EADDRNOTAVAIL);
    assert_string_equal(why,
                        "cannot listen on 192.0.2.1:0: Cannot assign requested address; no interface of this "
                        "machine has that address (ip addr shows them)");
}

/* --- Unix */

static void test_unix(void **state)
{
    struct listener *l = listen_on(unix_address());
    char expect[ADDRESS_TEXT_BYTES];
    struct stat st;
    int fd;

    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    fd = connect_to(listener_address(l));
    assert_true(fd >= 0);
    turn();
    assert_int_equal(n_open(), 1);
    assert_int_equal(latest.trust, CONN_LOCAL);
    snprintf(expect, sizeof expect, "unix:uid=%u,pid=%d", getuid(), (int)getpid());
    assert_string_equal(latest.address, expect);
    close(fd);
    listener_free(l);
    assert_int_equal(access(path, F_OK), -1); /* and teardown sees that the lock is gone too */
}

static void test_unix_twice(void **state)
{
    struct listener *l = listen_on(unix_address()), *other = NULL;
    char expect[LISTENER_WHY_BYTES];
    int fd;

    assert_int_equal(try_listen(&other, unix_address()), -EADDRINUSE);
    snprintf(expect, sizeof expect,
             "cannot listen on unix:%s: another daemon holds %s.lock; stop it or choose another path", path,
             path);
    assert_string_equal(why, expect);
    fd = connect_to(listener_address(l)); /* the first one is not harmed */
    assert_true(fd >= 0);
    close(fd);
    listener_free(l);
}

static int bind_foreign(void)
{
    struct address a = unix_address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&a.sa, a.len), 0);
    return fd;
}

/* What a killed daemon leaves: a socket that nobody listens on, and the lock's file. */
static void test_unix_stale(void **state)
{
    char lock[128];
    struct listener *l;
    int fd;

    close(bind_foreign());
    snprintf(lock, sizeof lock, "%s.lock", path);
    close(open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    l = listen_on(unix_address());
    fd = connect_to(listener_address(l));
    assert_true(fd >= 0);
    turn();
    assert_int_equal(n_open(), 1);
    close(fd);
    listener_free(l);
}

static void test_unix_of_somebody_else(void **state)
{
    struct listener *l = NULL;
    char expect[LISTENER_WHY_BYTES];
    int fd = bind_foreign(), client;
    struct address a = unix_address();

    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(try_listen(&l, a), -EADDRINUSE);
    snprintf(expect, sizeof expect,
             "cannot listen on unix:%s: another process listens there; stop it or choose another path", path);
    assert_string_equal(why, expect);
    client = connect_to(&a); /* it is still there */
    assert_true(client >= 0);
    close(client);
    close(fd);
    assert_int_equal(unlink(path), 0);
}

/* One that cannot even be asked. */
static void test_unix_of_another_kind(void **state)
{
    struct listener *l = NULL;
    char expect[LISTENER_WHY_BYTES];
    struct address a = unix_address();
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&a.sa, a.len), 0);
    assert_int_equal(try_listen(&l, a), -EPROTOTYPE);
    snprintf(expect, sizeof expect,
             "cannot listen on unix:%s: a socket is there and cannot be replaced: Protocol wrong type for "
             "socket",
             path);
    assert_string_equal(why, expect);
    close(fd);
    assert_int_equal(unlink(path), 0);
}

static void test_unix_no_socket(void **state)
{
    struct listener *l = NULL;
    char expect[LISTENER_WHY_BYTES];

    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(try_listen(&l, unix_address()), -EADDRINUSE);
    snprintf(expect, sizeof expect,
             "cannot listen on unix:%s: a file that is no socket is there; remove it or choose another path",
             path);
    assert_string_equal(why, expect);
    assert_int_equal(unlink(path), 0);

    snprintf(path, sizeof path, "%s/missing/socket", dir);
    assert_int_equal(try_listen(&l, unix_address()), -ENOENT);
    snprintf(expect, sizeof expect,
             "cannot listen on unix:%s: cannot create %s.lock: No such file or directory (create the "
             "directory first)",
             path, path);
    assert_string_equal(why, expect);
}

/* The path was given to another socket meanwhile: it is not ours to remove. */
static void test_unix_path_taken_over(void **state)
{
    struct listener *l = listen_on(unix_address());
    int fd;

    assert_int_equal(unlink(path), 0);
    fd = bind_foreign();
    listener_free(l);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    close(fd);
}

/* --- sockets of somebody else */

static struct listener *adopt(int fd, const struct address *a)
{
    struct listener *l = NULL;

    if (listener_adopt(&l, loop, set, fd, a, address_is_unix(a) ? CONN_LOCAL : CONN_STRANGER, why) != 0)
        fail_msg("%s", why);
    return l;
}

/* Who connected before there was a listener is served, and the path stays for the next one. */
static void test_adopt_unix(void **state)
{
    int fd = bind_foreign(), spare, client;
    struct address a = unix_address();
    struct listener *l;

    assert_int_equal(listen(fd, 5), 0);
    client = connect_to(&a);
    assert_true(client >= 0);
    spare = dup(fd); /* the service manager's */
    l = adopt(fd, &a);
    assert_string_equal(listener_address(l)->text, a.text);
    turn();
    assert_int_equal(n_open(), 1);
    assert_int_equal(latest.trust, CONN_LOCAL);
    close(client);
    listener_free(l);
    client = connect_to(&a); /* nobody accepts, and nobody is refused */
    assert_true(client >= 0);
    close(client);
    close(spare);
    assert_int_equal(unlink(path), 0);
}

static void test_adopt_tcp(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM, 0), client; /* blocking, and not close-on-exec */
    struct address a = {0};
    struct listener *l;

    assert_int_equal(bind(fd, (const struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    address_set(&a, (const struct sockaddr *)&sin, len);
    l = adopt(fd, &a);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    client = connect_to(&a);
    assert_true(client >= 0);
    turn();
    assert_int_equal(latest.trust, CONN_STRANGER);
    assert_int_equal(accepted_option(client, IPPROTO_TCP, TCP_NODELAY), 1);
    close(client);
    listener_free(l);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was the listener's */
}

static void test_adopt_refused(void **state)
{
    struct address a = parse("127.0.0.1:1");
    struct listener *l = NULL;

    assert_int_equal(listener_adopt(&l, loop, set, -1, &a, CONN_STRANGER, why), -EBADF);
    assert_string_equal(why, "cannot listen on 127.0.0.1:1: Bad file descriptor");
    assert_null(l);
}

/* --- limits */

static void test_accepts_per_turn(void **state)
{
    struct listener *l = listen_on(unix_address());
    int fds[LISTENER_ACCEPTS_PER_TURN + 10];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = connect_to(listener_address(l));
    turn();
    assert_int_equal(n_open(), LISTENER_ACCEPTS_PER_TURN);
    turn();
    assert_int_equal(n_open(), ARRAY_LEN(fds));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    turn();
    turn();
    turn();
    assert_int_equal(n_open(), 0);
    listener_free(l);
}

static void test_too_many(void **state)
{
    struct listener *l = listen_on(unix_address());
    int fds[CONNS_MAX + 1];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_to(listener_address(l));
        turn();
    }
    assert_int_equal(n_open(), CONNS_MAX);
    assert_int_equal(conn_set_stats(set).n_refused, 1);
    assert_true(is_eof(fds[CONNS_MAX]));
    close(fds[CONNS_MAX]);
    close(fds[0]);
    turn();
    fds[0] = connect_to(listener_address(l)); /* one has gone: there is room again */
    turn();
    assert_int_equal(n_open(), CONNS_MAX);
    for (size_t i = 0; i < CONNS_MAX; i++)
        close(fds[i]);
    listener_free(l);
}

static void test_no_descriptor_left(void **state)
{
    struct listener *l = listen_on(unix_address());
    struct rlimit limit, low;
    int fds[3];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = connect_to(listener_address(l));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)fds[2] + 1; /* all below are taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    turn();
    assert_true(is_eof(fds[0])); /* turned away with the spare descriptor, instead of left waiting */
    assert_int_equal(conn_set_stats(set).n_refused, 1);
    turn();
    turn();
    assert_false(is_eof(fds[1])); /* and now a pause */
    assert_int_equal(n_open(), 0);

    fake_now += LISTENER_PAUSE_MS * NS_PER_MS;
    turn();
    turn();
    assert_true(is_eof(fds[1])); /* still none: the next one is turned away */
    assert_int_equal(conn_set_stats(set).n_refused, 2);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    turn();
    assert_int_equal(n_open(), 0);
    fake_now += LISTENER_PAUSE_MS * NS_PER_MS;
    turn();
    turn();
    assert_int_equal(n_open(), 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    listener_free(l);
}

static void test_each_allocation_fails(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct listener *l = NULL;
        int r = try_listen(&l, unix_address());

        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_true(test_allocation_failed());
            assert_int_equal(strncmp(why, "cannot listen on unix:/", 23), 0);
        }
        listener_free(l);
        assert_int_equal(access(path, F_OK), -1);
    }
}

#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            LISTENER_TEST(test_tcp),
            LISTENER_TEST(test_tcp6_is_for_itself),
            LISTENER_TEST(test_tcp_refused),
            LISTENER_TEST(test_unix),
            LISTENER_TEST(test_unix_twice),
            LISTENER_TEST(test_unix_stale),
            LISTENER_TEST(test_unix_of_somebody_else),
            LISTENER_TEST(test_unix_of_another_kind),
            LISTENER_TEST(test_unix_no_socket),
            LISTENER_TEST(test_unix_path_taken_over),
            LISTENER_TEST(test_adopt_unix),
            LISTENER_TEST(test_adopt_tcp),
            LISTENER_TEST(test_adopt_refused),
            LISTENER_TEST(test_accepts_per_turn),
            LISTENER_TEST(test_too_many),
            LISTENER_TEST(test_no_descriptor_left),
            LISTENER_TEST(test_each_allocation_fails),
    };

    log_configure(LOG_ERROR, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
