// SPDX-License-Identifier: Apache-2.0
/*
 * futured-floors: what this machine can do without HTTP/2 and without us, so that the other rows of the
 * benchmark are ratios and not only numbers of one machine.
 *
 *   tcp, socketpair   two processes, one message of --size bytes at a time, there and back: a ping-pong
 *   echo              an epoll server process and an epoll client process, length-prefixed messages,
 *                     --connections times --in-flight of them under way
 *
 * Every process is forked here and reaped here; each says nothing but its part of one JSON object.
 */
#include "base/clock.h"
#include "base/err.h"
#include "tests/bench/histogram.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
    SIZE_MAX_BYTES = 65536,
    CONNECTIONS_MAX = 1024,
    IN_FLIGHT_MAX = 1024,
    FLIGHT_MAX_BYTES = 128 * 1024, /* under way on one connection */
    HEAD_BYTES = 4,
    CHUNK_BYTES = 256 * 1024,
};

static size_t size = 100;
static uint32_t n_conns = 8, n_in_flight = 32;
static double duration_s = 2;
static struct histogram times;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "futured-floors: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- sockets */

static void no_delay(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        die("TCP_NODELAY");
}

/* A connected pair of sockets over the loopback interface. */
static void tcp_pair(int fds[static 2])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l < 0 || fds[0] < 0 || bind(l, (const struct sockaddr *)&sa, sizeof sa) < 0 || listen(l, 1) < 0 ||
        getsockname(l, (struct sockaddr *)&sa, &len) < 0 ||
        connect(fds[0], (const struct sockaddr *)&sa, sizeof sa) < 0)
        die("a TCP pair");
    fds[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    if (fds[1] < 0)
        die("accept");
    close(l);
    no_delay(fds[0]);
    no_delay(fds[1]);
}

static void unix_pair(int fds[static 2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        die("socketpair");
}

/* All @n bytes, blocking. 0 = the end came first. */
static int recv_all(int fd, uint8_t *p, size_t n)
{
    while (n) {
        ssize_t got = recv(fd, p, n, 0);

        if (got <= 0)
            return 0;
        p += got;
        n -= (size_t)got;
    }
    return 1;
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

        if (put < 0)
            die("send");
        p += put;
        n -= (size_t)put;
    }
}

/* Run @child(@mine) in a process that dies with this one; it does not hold the other ends open. */
static pid_t start_child(void (*child)(const int *mine, uint32_t n), const int *mine, const int *others,
                         uint32_t n)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint32_t i = 0; i < n; i++)
            close(others[i]);
        child(mine, n);
        _exit(0);
    }
    for (uint32_t i = 0; i < n; i++)
        close(mine[i]);
    return pid;
}

/* Wait for the child's end; its CPU time in seconds. */
static double end_child(pid_t pid)
{
    struct rusage u;
    int status;

    if (wait4(pid, &status, 0, &u) != pid || status != 0)
        die("the other process failed");
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_result(const char *name, mono_ns_t took, double server_cpu_s)
{
    printf("{\"floor\": \"%s\", \"answers\": %" PRIu64 ", \"per_second\": %.0f, \"p50_us\": %.2f, "
           "\"p99_us\": %.2f, \"server_cpu_us\": %.3f}\n",
           name, times.n, (double)times.n / ((double)took / 1e9), histogram_quantile(&times, 0.5) / 1e3,
           histogram_quantile(&times, 0.99) / 1e3, server_cpu_s * 1e6 / (double)times.n);
}

/* --- ping-pong: one message of so many bytes at a time */

static void pong(const int *mine, uint32_t n)
{
    static uint8_t message[SIZE_MAX_BYTES];

    while (recv_all(mine[0], message, size))
        send_all(mine[0], message, size);
}

static void ping_pong(const char *name, void (*pair)(int fds[static 2]))
{
    static uint8_t message[SIZE_MAX_BYTES];
    mono_ns_t begin, sent, end;
    int fds[2];
    pid_t pid;

    pair(fds);
    pid = start_child(pong, &fds[1], &fds[0], 1);
    begin = clock_mono();
    end = clock_add(begin, (int64_t)(duration_s * 1e9));
    for (sent = begin; sent < end;) {
        mono_ns_t got;

        send_all(fds[0], message, size);
        if (!recv_all(fds[0], message, size))
            die("recv");
        got = clock_mono();
        histogram_add(&times, got - sent);
        sent = got;
    }
    close(fds[0]);
    print_result(name, sent - begin, end_child(pid));
}

/* --- echo: length-prefixed messages through epoll. What is under way on one connection fits into its socket
 * buffer (checked in main), so a send may block without a knot. */

struct stream {
    int fd;
    size_t have; /* of in */
    uint8_t in[CHUNK_BYTES];
};

static uint32_t length_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Read once. How many bytes of whole messages stand in front; < 0: the end. */
static ssize_t stream_fill(struct stream *s)
{
    ssize_t got = recv(s->fd, s->in + s->have, sizeof s->in - s->have, MSG_DONTWAIT);
    size_t whole = 0;

    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return -1;
    s->have += (size_t)got;
    while (s->have - whole >= HEAD_BYTES && s->have - whole >= HEAD_BYTES + length_at(s->in + whole))
        whole += HEAD_BYTES + length_at(s->in + whole);
    return (ssize_t)whole;
}

static void stream_drop(struct stream *s, size_t n)
{
    memmove(s->in, s->in + n, s->have - n);
    s->have -= n;
}

static struct stream *streams_new(const int *fds, uint32_t n, int *ret_epoll_fd)
{
    struct stream *streams = calloc(n, sizeof *streams);

    *ret_epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!streams || *ret_epoll_fd < 0)
        die("no memory");
    for (uint32_t i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        streams[i].fd = fds[i];
        if (epoll_ctl(*ret_epoll_fd, EPOLL_CTL_ADD, fds[i], &event) < 0)
            die("epoll");
    }
    return streams;
}

static void echo_server(const int *mine, uint32_t n)
{
    struct epoll_event events[64];
    int epoll_fd;
    struct stream *streams = streams_new(mine, n, &epoll_fd);

    for (;;) {
        int ready = epoll_wait(epoll_fd, events, ARRAY_LEN(events), -1);

        for (int i = 0; i < ready; i++) {
            struct stream *s = &streams[events[i].data.u32];
            ssize_t whole = stream_fill(s);

            if (whole < 0) {
                free(streams);
                close(epoll_fd);
                return;
            }
            send_all(s->fd, s->in, (size_t)whole);
            stream_drop(s, (size_t)whole);
        }
    }
}

/* One connection's messages under way: when each was sent, oldest at head. */
struct flight {
    mono_ns_t since[IN_FLIGHT_MAX];
    uint32_t head;
};

static void flight_turn(struct flight *f, struct stream *s, mono_ns_t now)
{
    ssize_t whole = stream_fill(s);

    if (whole < 0)
        die("the echo server is gone");
    for (size_t at = 0; at < (size_t)whole; at += HEAD_BYTES + size) {
        if (length_at(s->in + at) != size)
            die("a wrong answer");
        histogram_add(&times, now - f->since[f->head]);
        f->since[f->head] = now;
        f->head = (f->head + 1) % n_in_flight;
    }
    send_all(s->fd, s->in, (size_t)whole);
    stream_drop(s, (size_t)whole);
}

static void echo_begin(const struct stream *streams, struct flight *flights)
{
    static uint8_t message[HEAD_BYTES + SIZE_MAX_BYTES];
    mono_ns_t now = clock_mono();

    message[0] = (uint8_t)(size >> 24);
    message[1] = (uint8_t)(size >> 16);
    message[2] = (uint8_t)(size >> 8);
    message[3] = (uint8_t)size;
    for (uint32_t i = 0; i < n_conns; i++)
        for (uint32_t k = 0; k < n_in_flight; k++) {
            flights[i].since[k] = now;
            send_all(streams[i].fd, message, HEAD_BYTES + size);
        }
}

static void echo(void)
{
    int client_fds[CONNECTIONS_MAX], server_fds[CONNECTIONS_MAX], epoll_fd;
    struct flight *flights = calloc(n_conns, sizeof *flights);
    struct epoll_event events[64];
    struct stream *streams;
    mono_ns_t begin, now, end;
    pid_t pid;

    for (uint32_t i = 0; i < n_conns; i++) {
        int fds[2];

        tcp_pair(fds);
        client_fds[i] = fds[0];
        server_fds[i] = fds[1];
    }
    pid = start_child(echo_server, server_fds, client_fds, n_conns);
    streams = streams_new(client_fds, n_conns, &epoll_fd);
    if (!flights)
        die("no memory");
    echo_begin(streams, flights);
    begin = now = clock_mono();
    end = clock_add(begin, (int64_t)(duration_s * 1e9));
    while (now < end) {
        int n = epoll_wait(epoll_fd, events, ARRAY_LEN(events), -1);

        now = clock_mono();
        for (int i = 0; i < n; i++)
            flight_turn(&flights[events[i].data.u32], &streams[events[i].data.u32], now);
    }
    for (uint32_t i = 0; i < n_conns; i++)
        close(client_fds[i]);
    close(epoll_fd);
    print_result("echo", now - begin, end_child(pid));
    free(streams);
    free(flights);
}

/* --- the command line */

static int usage(void)
{
    fputs("futured-floors [OPTION]... tcp|socketpair|echo\n"
          "  --size BYTES     of a message (100)\n"
          "  --duration S     (2)\n"
          "  --connections N  of echo (8)\n"
          "  --in-flight N    of echo, per connection (32)\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"size", 1, NULL, 's'},
                                          {"duration", 1, NULL, 'd'},
                                          {"connections", 1, NULL, 'c'},
                                          {"in-flight", 1, NULL, 'i'},
                                          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
        switch (c) {
        case 's': size = strtoul(optarg, NULL, 10); break;
        case 'd': duration_s = strtod(optarg, NULL); break;
        case 'c': n_conns = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'i': n_in_flight = (uint32_t)strtoul(optarg, NULL, 10); break;
        default: return usage();
        }
    }
    if (optind + 1 != argc || size < 1 || size > SIZE_MAX_BYTES || n_conns < 1 || n_conns > CONNECTIONS_MAX ||
        n_in_flight < 1 || n_in_flight > IN_FLIGHT_MAX ||
        n_in_flight * (HEAD_BYTES + size) > FLIGHT_MAX_BYTES)
        return usage();
    if (strcmp(argv[optind], "tcp") == 0)
        ping_pong("tcp", tcp_pair);
    else if (strcmp(argv[optind], "socketpair") == 0)
        ping_pong("socketpair", unix_pair);
    else if (strcmp(argv[optind], "echo") == 0)
        echo();
    else
        return usage();
    return 0;
}
