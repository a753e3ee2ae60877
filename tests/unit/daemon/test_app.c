// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon as a whole, in a child process: what it tells the service manager and when, what it writes and
 * takes away again, and how it ends. The tests wait for what it says on NOTIFY_SOCKET, never for time. A
 * method that answers only when its client goes stands for work that goes on.
 */
#include "daemon/app.h"
#include "grpc/client.h"
#include "tests/support/certs.h"
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char dir[64], socket_path[96], port_file[96], log_file[96];
static int notify_fd = -1;
static int passed_fd = -1; /* that the daemon gets, as from a service manager, which calls it passed_name */
static const char *passed_name;
static pid_t daemon_pid;

static int setup(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 120};

    snprintf(dir, sizeof dir, "/tmp/futured-test-app-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/socket", dir);
    snprintf(port_file, sizeof port_file, "%s/ports", dir);
    snprintf(log_file, sizeof log_file, "%s/log", dir);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/notify", dir);
    notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(notify_fd, (const struct sockaddr *)&sun, sizeof sun) < 0 ||
        setsockopt(notify_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return -1;
    passed_name = "grpc";
    setenv("NOTIFY_SOCKET", sun.sun_path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

/* Whatever else the daemon left in the directory makes this fail. */
static int teardown(void **state)
{
    const char *notify = getenv("NOTIFY_SOCKET");

    if (daemon_pid > 0) { /* the test has failed */
        kill(daemon_pid, SIGKILL);
        waitpid(daemon_pid, NULL, 0);
        daemon_pid = 0;
    }
    err_close(&notify_fd);
    err_close(&passed_fd);
    unlink(notify);
    unlink(log_file);
    return rmdir(dir);
}

/* --- the daemon */

static void hold_on_message(struct grpc_call *call, struct span message)
{
}

static const struct grpc_handler hold = {.on_message = hold_on_message};
static const struct grpc_method methods[] = {
        {.path = "/test.Test/Hold", .kind = GRPC_UNARY, .handler = &hold}};

static void run_daemon(int argc, char *const argv[])
{
    struct config *config = NULL;
    char pid[16];
    int log, status;

    if (passed_fd >= 0) {
        snprintf(pid, sizeof pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", passed_name, 1);
        dup2(passed_fd, 3);
    }
    log = open(log_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    status = config_main(&config, argc, argv);
    if (status < 0)
        status = app_run(
                &(struct app_options){.config = config, .methods = methods, .n_methods = ARRAY_LEN(methods)});
    config_free(config);
    exit(status); /* and not _exit: the leak checker looks */
}

static void start(const char *option)
{
    char listen_unix[128], listen_tcp[] = "--listen=127.0.0.1:0", ports[128], extra[128];
    char name[] = "futured", workers[] = "--workers=0", store[] = "--store=none",
         level[] = "--log-level=debug";
    char *const argv[] = {name, workers, store, level, listen_unix, listen_tcp, ports, extra, NULL};

    snprintf(listen_unix, sizeof listen_unix, "--listen=unix:%s", socket_path);
    snprintf(ports, sizeof ports, "--port-file=%s", port_file);
    snprintf(extra, sizeof extra, "%s", option ? option : "");
    fflush(NULL);
    daemon_pid = fork();
    assert_true(daemon_pid >= 0);
    if (daemon_pid == 0)
        run_daemon(option ? 8 : 7, argv);
}

static int exit_status(void)
{
    int status;

    assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
    daemon_pid = 0;
    if (!WIFEXITED(status))
        fail_msg("the daemon ended with wait status 0x%x", (unsigned int)status);
    return WEXITSTATUS(status);
}

/* The next message to the service manager, signs of life aside; a daemon that has ended instead is noticed in the end. */
static void assert_notified(const char *expect)
{
    char text[512];
    ssize_t n;

    do
        n = recv(notify_fd, text, sizeof text - 1, 0);
    while (n == (ssize_t)strlen("WATCHDOG=1") && memcmp(text, "WATCHDOG=1", (size_t)n) == 0 &&
           strcmp(expect, "WATCHDOG=1") != 0);
    if (n < 0)
        fail_msg("nothing was notified instead of \"%s\"", expect);
    text[n] = '\0';
    if (strncmp(text, expect, strlen(expect)) != 0)
        fail_msg("notified \"%s\" instead of \"%s\"", text, expect);
}

static size_t read_text(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);

    assert_true(n >= 0);
    to[n] = '\0';
    close(fd);
    return (size_t)n;
}

static void assert_logged(const char *expect)
{
    char text[65536];

    read_text(log_file, text, sizeof text);
    if (!strstr(text, expect))
        fail_msg("\"%s\" is not in the log:\n%s", expect, text);
}

/* --- a client that waits */

struct client {
    int fd;
    struct grpc_client *grpc;
    struct buf out;
    int is_done, is_goaway;
    struct grpc_status status;
    uint8_t message[16];
    size_t n_message;
};

static void on_message(struct grpc_client_call *call, struct span message)
{
    struct client *c = grpc_client_call_user(call);

    c->n_message = MIN(message.len, sizeof c->message);
    if (c->n_message)
        memcpy(c->message, message.p, c->n_message);
}

static void on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct client *c = grpc_client_call_user(call);

    c->is_done = 1;
    c->status = *status;
}

static const struct grpc_client_handler handler = {.on_message = on_message, .on_done = on_done};

static void connect_client(struct client *c)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct h2_config h2 = h2_config_client();
    struct grpc_client_config config = {.authority = "test", .max_message_bytes = 1000};

    *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", socket_path);
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(grpc_client_new(&c->grpc, &config, &h2, clock_mono()), 0);
}

static struct grpc_client_call *call(struct client *c, const char *path)
{
    struct grpc_client_call_options options = {0};
    struct grpc_client_call *call;

    c->is_done = 0;
    assert_int_equal(grpc_client_call_new(&call, c->grpc, path, &options, &handler, c, clock_mono()), 0);
    assert_int_equal(grpc_client_call_send(call, (struct span){0}), 0);
    assert_int_equal(grpc_client_call_half_close(call), 0);
    return call;
}

/* 0: the daemon has closed the connection; what it said before can still be read. */
static int try_send(struct client *c)
{
    struct h2_session *session = grpc_client_session(c->grpc);
    int is_open = 1;
    size_t n;

    assert_int_equal(h2_session_send(session, &c->out, 1 << 20, clock_mono()), 0);
    n = buf_len(&c->out);
    if (n) {
        ssize_t sent = send(c->fd, buf_head(&c->out), n, MSG_NOSIGNAL);

        is_open = sent >= 0 || (errno != EPIPE && errno != ECONNRESET);
        assert_true(sent == (ssize_t)n || !is_open);
    }
    h2_session_sent(session, n, clock_mono());
    buf_clear(&c->out);
    return is_open;
}

static void client_send(struct client *c)
{
    assert_true(try_send(c));
}

/* One read. 0: the daemon has closed the connection. */
static int client_recv(struct client *c)
{
    uint8_t in[4096];
    ssize_t n = recv(c->fd, in, sizeof in, 0);

    if (n <= 0)
        return 0;
    return h2_session_recv(grpc_client_session(c->grpc), in, (size_t)n, clock_mono()) >= 0;
}

static void wait_done(struct client *c)
{
    client_send(c);
    while (!c->is_done) {
        assert_true(client_recv(c));
        client_send(c);
    }
}

/* What the daemon said last is answered (a PING, say), though it may not be there any more. */
static void wait_closed(struct client *c)
{
    while (client_recv(c))
        (void)try_send(c);
}

static void free_client(struct client *c)
{
    grpc_client_free(c->grpc);
    buf_deinit(&c->out);
    close(c->fd);
}

static void assert_health(struct client *c, uint8_t status)
{
    call(c, "/grpc.health.v1.Health/Check");
    wait_done(c);
    assert_int_equal(c->status.code, GRPC_OK);
    assert_int_equal(c->n_message, 2);
    assert_int_equal(c->message[1], status);
}

/* --- the tests */

static void test_start_and_stop(void **state)
{
    char ports[256], expect[256], *end;
    struct client c;
    struct stat st;

    start(NULL);
    assert_notified("READY=1\nSTATUS=Serving on unix:/tmp/");
    read_text(port_file, ports, sizeof ports);
    snprintf(expect, sizeof expect, "unix %s\ntcp 127.0.0.1:", socket_path);
    assert_int_equal(strncmp(ports, expect, strlen(expect)), 0);
    assert_true(strtoul(ports + strlen(expect), &end, 10) > 0);
    assert_string_equal(end, "\n");
    assert_int_equal(stat(socket_path, &st), 0);

    connect_client(&c);
    assert_health(&c, 1); /* SERVING */
    call(&c, "/test.Test/Nothing");
    wait_done(&c);
    assert_int_equal(c.status.code, GRPC_UNIMPLEMENTED);

    assert_int_equal(kill(daemon_pid, SIGHUP), 0); /* changes nothing */
    assert_notified("RELOADING=1\nMONOTONIC_USEC=");
    assert_notified("READY=1\n");
    assert_health(&c, 1);
    call(&c, "/grpc.health.v1.Health/Watch"); /* a call without end, that must not hold up the drain */
    c.n_message = 0;
    client_send(&c);
    while (!c.n_message)
        assert_true(client_recv(&c));
    assert_int_equal(c.message[1], 1);
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_notified("STOPPING=1\n");
    wait_closed(&c);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_UNAVAILABLE);
    assert_int_equal(c.message[1], 2); /* NOT_SERVING, said before the end */
    assert_int_equal(exit_status(), 0);
    assert_int_equal(access(port_file, F_OK), -1);
    assert_int_equal(access(socket_path, F_OK), -1);
    assert_logged(" notice started ");
    assert_logged(" notice reloaded principal=SIGHUP");
    assert_logged(" notice draining connections=1 timeout_ms=30000");
    assert_logged(" notice stopped");
    free_client(&c);
}

static void test_drain_waits_for_calls(void **state)
{
    struct client c, other;
    struct grpc_client_call *held;
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd;

    start(NULL);
    assert_notified("READY=1\n");
    connect_client(&c);
    connect_client(&other);
    held = call(&c, "/test.Test/Hold");
    assert_health(&c, 1); /* so the held call has come as well */
    assert_health(&other, 1);
    c.is_done = 0;
    assert_int_equal(kill(daemon_pid, SIGINT), 0);
    assert_notified("STOPPING=1\n");
    wait_closed(&other); /* it has nothing open */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", socket_path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sun, sizeof sun), -1); /* nobody new gets in */
    close(fd);
    assert_int_equal(waitpid(daemon_pid, NULL, WNOHANG), 0);
    assert_false(c.is_done);
    grpc_client_call_cancel(held); /* now the last call is over */
    client_send(&c);
    wait_closed(&c);
    assert_int_equal(exit_status(), 0);
    free_client(&c);
    free_client(&other);
}

static void test_second_signal_does_not_wait(void **state)
{
    struct client c;

    start(NULL);
    assert_notified("READY=1\n");
    connect_client(&c);
    call(&c, "/test.Test/Hold");
    assert_health(&c, 1); /* so the held call has come as well */
    c.is_done = 0;
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_notified("STOPPING=1\n");
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_int_equal(exit_status(), 0); /* although nobody reads what it said */
    wait_closed(&c);
    assert_logged(" notice stopping_at_once connections=1");
    free_client(&c);
    assert_true(c.is_done);
}

static void write_config(char *option, size_t size, char *path, size_t path_size, const char *text)
{
    int fd;

    snprintf(path, path_size, "%s/conf", dir);
    snprintf(option, size, "--config=%s", path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_drain_timeout(void **state)
{
    char option[128], path[96];
    struct client c;

    write_config(option, sizeof option, path, sizeof path, "[timeouts]\ndrain = 100ms\n");
    start(option);
    assert_notified("READY=1\n");
    unlink(path);
    connect_client(&c);
    call(&c, "/test.Test/Hold");
    assert_health(&c, 1);
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    wait_closed(&c);
    assert_int_equal(exit_status(), 0);
    assert_logged(" warning drain_timeout connections=1 ");
    free_client(&c);
}

/* The service manager's socket, here at the address of the configuration: who comes while no daemon is there is served by
 * the next one. */
static void test_inherited_socket(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct client c;

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", socket_path);
    passed_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(passed_fd, (const struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(listen(passed_fd, 5), 0);
    for (int round = 0; round < 2; round++) {
        connect_client(&c);
        start(NULL);
        assert_notified("READY=1\nSTATUS=Serving on unix:/tmp/");
        assert_health(&c, 1);
        assert_int_equal(kill(daemon_pid, SIGTERM), 0);
        assert_notified(
                "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=45000000"); /* [timeouts] drain and 15 s */
        wait_closed(&c);
        assert_int_equal(exit_status(), 0);
        assert_logged(" info listening address=unix:/tmp/");
        assert_logged(" socket=grpc\n");
        free_client(&c);
    }
    assert_int_equal(unlink(socket_path), 0);
}

static void test_inherited_of_no_use(void **state)
{
    passed_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    start(NULL);
    assert_int_equal(exit_status(), 1);
    assert_logged(" error listen_failed text=\"the socket \\\"grpc\\\" of the service manager is of no use: "
                  "it is no "
                  "listening stream socket; use ListenStream= with Accept=no\"");
    assert_logged(" error start_failed step=\"inherited sockets\" error=\"Invalid argument\"");
}

/* One that others can reach, as [futured] listen names none; *ret_port: where. */
static void pass_network_socket(const char *name, unsigned int *ret_port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof sin;

    passed_name = name;
    passed_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(passed_fd, (const struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(passed_fd, 5), 0);
    assert_int_equal(getsockname(passed_fd, (struct sockaddr *)&sin, &len), 0);
    *ret_port = ntohs(sin.sin_port);
}

static void test_inherited_plain_and_exposed(void **state)
{
    char expect[128];
    unsigned int port;

    pass_network_socket("grpc", &port);
    start(NULL);
    assert_int_equal(exit_status(), 1);
    snprintf(expect, sizeof expect,
             " error listen_failed text=\"0.0.0.0:%u: whoever reaches it over the network", port);
    assert_logged(expect);
    assert_logged(" error start_failed step=listeners error=\"Operation not permitted\"");
}

/* Called tls it is one of TLS. Without a client_ca a principal guards it, and no reload takes that away while it is open. */
static void test_inherited_tls(void **state)
{
    static const char plain[] = "GET / HTTP/1.1\r\n\r\n";
    struct cert own = cert_new("server", NULL, 30, NULL);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char crt[96], key[96], text[512], option[128], path[96], expect[128], in[64];
    const char *principal;
    unsigned int port;
    int fd;

    snprintf(crt, sizeof crt, "%s/crt", dir);
    snprintf(key, sizeof key, "%s/key", dir);
    cert_write(&own, crt, key);
    cert_free(&own);
    snprintf(text, sizeof text,
             "[tls]\ncertificate = %s\nkey = %s\n[principal.a]\ncertificate = cn:a\nrights = read\n", crt,
             key);
    principal = strstr(text, "[principal");
    pass_network_socket("tls", &port);
    write_config(option, sizeof option, path, sizeof path, text);
    start(option);
    assert_notified("READY=1\n");
    snprintf(expect, sizeof expect, " info listening address=tls:0.0.0.0:%u socket=tls\n", port);
    assert_logged(expect);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sin.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(send(fd, plain, sizeof plain - 1, MSG_NOSIGNAL), sizeof plain - 1);
    while (recv(fd, in, sizeof in, 0) > 0)
        ;
    close(fd);
    assert_logged(" tls_handshake_failed ");

    text[principal - text] = '\0';
    write_config(option, sizeof option, path, sizeof path, text);
    assert_int_equal(kill(daemon_pid, SIGHUP), 0);
    assert_notified("RELOADING=1\n");
    assert_notified("READY=1\n");
    snprintf(expect, sizeof expect,
             " error configuration_wrong text=\"a socket stays open until the next start: tls:0.0.0.0:%u: ",
             port);
    assert_logged(expect);
    assert_logged(" error not_reloaded ");
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_int_equal(exit_status(), 0);
    unlink(crt);
    unlink(key);
    unlink(path);
}

static void test_does_not_start(void **state)
{
    close(open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); /* no socket, so in the way */
    start(NULL);
    assert_int_equal(exit_status(), 1);
    assert_logged(" error listen_failed text=\"cannot listen on unix:/tmp/");
    assert_logged(" error start_failed step=listeners error=\"Address already in use\"");
    assert_int_equal(access(port_file, F_OK), -1);
    assert_int_equal(unlink(socket_path), 0);
}

static void test_port_file_cannot_be_written(void **state)
{
    char option[] = "--port-file=/proc/nothing/ports";

    start(option);
    assert_int_equal(exit_status(), 1);
    assert_logged(" error start_failed step=\"port file\" error=\"No such file or directory\"");
    assert_int_equal(access(socket_path, F_OK), -1);
}

/* The default address is in a directory that nobody else makes. */
static void test_default_address(void **state)
{
    char name[] = "futured", workers[] = "--workers=0", store[] = "--store=none", path[128];
    char *const argv[] = {name, workers, store, NULL};
    struct stat st;

    unsetenv("RUNTIME_DIRECTORY");
    setenv("XDG_RUNTIME_DIR", dir, 1);
    fflush(NULL);
    daemon_pid = fork();
    if (daemon_pid == 0)
        run_daemon(3, argv);
    assert_notified("READY=1\n");
    snprintf(path, sizeof path, "%s/futured/futured.sock", dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_int_equal(exit_status(), 0);
    snprintf(path, sizeof path, "%s/futured", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(rmdir(path), 0);
}

static void test_watchdog(void **state)
{
    setenv("WATCHDOG_USEC", "20000", 1);
    start(NULL);
    assert_notified("READY=1\n");
    for (int i = 0; i < 3; i++)
        assert_notified("WATCHDOG=1");
    assert_int_equal(kill(daemon_pid, SIGKILL), 0);
    assert_int_equal(waitpid(daemon_pid, NULL, 0), daemon_pid);
    daemon_pid = 0;

    unsetenv("WATCHDOG_USEC");
    start(NULL); /* what was killed is in nobody's way */
    assert_notified("READY=1\n");
    assert_int_equal(kill(daemon_pid, SIGTERM), 0);
    assert_int_equal(exit_status(), 0);
}

#define APP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            APP_TEST(test_start_and_stop),
            APP_TEST(test_drain_waits_for_calls),
            APP_TEST(test_second_signal_does_not_wait),
            APP_TEST(test_drain_timeout),
            APP_TEST(test_inherited_socket),
            APP_TEST(test_inherited_of_no_use),
            APP_TEST(test_inherited_plain_and_exposed),
            APP_TEST(test_inherited_tls),
            APP_TEST(test_does_not_start),
            APP_TEST(test_port_file_cannot_be_written),
            APP_TEST(test_default_address),
            APP_TEST(test_watchdog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
