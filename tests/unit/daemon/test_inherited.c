// SPDX-License-Identifier: Apache-2.0
/* Sockets of the service manager: what is taken, what is refused and with which words. Each case is a child that has the
 * descriptors from 3 on and nothing else. */
#include "daemon/inherited.h"
#include "tests/support/testing.h"

#include <fcntl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

static char dir[64], path[96];

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/futured-test-inherited-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/socket", dir);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return rmdir(dir);
}

static int unix_socket(int type, int is_listening)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    unlink(path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sun, sizeof sun), 0);
    if (is_listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static int tcp_socket(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Run @check in a child that inherits @fds under @names; it exits with 0 when all is as it should be. */
static void in_child(const int *fds, int n, const char *names, int (*check)(void))
{
    char text[16];
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int moved[INHERITED_MAX];

        for (int i = 0; i < n; i++)
            moved[i] = fcntl(fds[i], F_DUPFD, 100);
        for (int i = 0; i < n; i++)
            dup2(moved[i], SD_LISTEN_FDS_START + i);
        snprintf(text, sizeof text, "%d", getpid());
        setenv("LISTEN_PID", text, 1);
        snprintf(text, sizeof text, "%d", n);
        setenv("LISTEN_FDS", text, 1);
        setenv("LISTEN_FDNAMES", names, 1);
        _exit(check());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("the child's wait status is 0x%x", (unsigned int)status);
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static int check_two(void)
{
    struct inherited in;
    struct address other = {.text = "unix:/nowhere"}, tls = {.is_tls = 1};
    struct inherited_socket *first;
    char why[INHERITED_WHY_BYTES], expect[ADDRESS_TEXT_BYTES];

    snprintf(expect, sizeof expect, "unix:%s", path);
    if (inherited_take(&in, why) != 0 || in.n != 2 || getenv("LISTEN_FDS"))
        return 1;
    first = inherited_find(&in, &in.sockets[0].address);
    if (first != &in.sockets[0] || first->fd != 3 || strcmp(first->name, "local") != 0 ||
        strcmp(first->address.text, expect) != 0 || !(fcntl(3, F_GETFD) & FD_CLOEXEC))
        return 2;
    if (in.sockets[1].fd != 4 || strcmp(in.sockets[1].name, "tcp") != 0 ||
        strncmp(in.sockets[1].address.text, "127.0.0.1:", 10) != 0 || inherited_find(&in, &other))
        return 3;
    snprintf(tls.text, sizeof tls.text, "tls:%.100s", in.sockets[1].address.text);
    if (inherited_find(&in, &tls) != &in.sockets[1]) /* whether there is TLS is the configuration's to say */
        return 6;
    first->fd = -1; /* taken */
    if (inherited_find(&in, &first->address))
        return 4;
    inherited_deinit(&in);
    return fcntl(3, F_GETFD) >= 0 && fcntl(4, F_GETFD) < 0 ? 0 : 5;
}

static void test_two(void **state)
{
    in_child((const int[]){unix_socket(SOCK_STREAM, 1), tcp_socket()}, 2, "local:tcp", check_two);
}

static int check_refused(void)
{
    struct inherited in;
    char why[INHERITED_WHY_BYTES];

    return inherited_take(&in, why) == -EINVAL && in.n == 0 && fcntl(3, F_GETFD) < 0 &&
                           strcmp(why, "the socket \"x\" of the service manager is of no use: it is no "
                                       "listening stream socket; use ListenStream= with Accept=no") == 0
                   ? 0
                   : 1;
}

static int check_abstract(void)
{
    struct inherited in;
    char why[INHERITED_WHY_BYTES];

    return inherited_take(&in, why) == -EINVAL &&
                           strcmp(why, "the socket \"x\" of the service manager is of no use: a Unix socket "
                                       "has a path that begins with /") == 0
                   ? 0
                   : 1;
}

static void test_refused(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX}; /* autobind */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    in_child((const int[]){unix_socket(SOCK_STREAM, 0)}, 1, "x", check_refused);
    in_child((const int[]){unix_socket(SOCK_DGRAM, 0)}, 1, "x", check_refused);
    in_child((const int[]){open("/dev/null", O_RDONLY)}, 1, "x", check_refused);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sun, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    in_child((const int[]){fd}, 1, "x", check_abstract);
}

static void test_none(void **state)
{
    struct inherited in;
    char why[INHERITED_WHY_BYTES];

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    assert_int_equal(inherited_take(&in, why), 0);
    assert_int_equal(in.n, 0);
}

#define INHERITED_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            INHERITED_TEST(test_two),
            INHERITED_TEST(test_refused),
            INHERITED_TEST(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
