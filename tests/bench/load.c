// SPDX-License-Identifier: Apache-2.0
/*
 * futured-load: one thread that keeps a number of calls in flight on a number of connections and checks every
 * answer: status, content, order. Built on lib/grpc's client and epoll, so that the client costs little
 * beside the server that is measured.
 *
 *   unary   each of the --in-flight slots of a connection has one call open
 *   stream  one call a connection, with --in-flight messages unanswered
 *
 * With --lockstep a connection asks again only when all its questions are answered, so that the server's turns are the
 * same from run to run: for counting instructions. With --ids (mode get) each line of a file names a future to ask for,
 * each once.
 *
 * It warms up, then measures for --duration seconds (or --count answers), then lets what is open finish.
 * Prints one JSON object. A wrong answer or a lost connection ends it with status 1.
 *
 * Who owns what: struct load owns connections, a connection its client, its socket and its slots. Calls belong
 * to the client; a slot is the user of its call until on_done.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "grpc/client.h"
#include "tests/bench/dialect.h"
#include "tests/bench/histogram.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    RECV_BYTES = 256 * 1024,
    SEND_BYTES = 128 * 1024,
    SIZE_MIN = 16,            /* a payload begins with a mark */
    MESSAGE_ROOM_BYTES = 128, /* around the payload */
    ID_TEXT_BYTES = 36,
    CONNECTIONS_MAX = 4096,
    IN_FLIGHT_MAX = 65536,
    SILENCE_MS = 30000, /* without a single answer: something hangs */
};

struct options {
    const char *address;
    const struct dialect *dialect;
    uint32_t connections, in_flight;
    size_t size;
    const char *function;
    double duration_s, warmup_s;
    uint64_t count; /* 0 = by duration */
    int is_lockstep;
    const char *ids; /* path; NULL = none */
    long server_pid; /* 0 = not known */
};

struct load;
struct conn;

/* One message in flight. Unary: one slot a call; stream: what a slot sent is answered before it sends again. */
struct slot {
    struct conn *conn;
    mono_ns_t since;
    uint64_t number;
    int is_answered;
    int is_open; /* of a stream: sent and not answered */
};

struct conn {
    struct load *load;
    uint32_t index;
    int fd;
    int is_blocked; /* waits for EPOLLOUT */
    struct grpc_client *client;
    struct buf out;
    struct slot *slots;
    struct grpc_client_call *stream;
    uint32_t head;   /* of an ordered stream: the slot whose answer comes next */
    uint32_t n_open; /* calls, or messages of the stream, that are not answered */
    uint64_t next_number;
    char last_id[64]; /* of an accepted future: they rise */
};

enum phase { WARMING, MEASURING, ENDING };

struct load {
    struct options o;
    int epoll_fd;
    struct conn *conns;
    uint8_t *in;
    uint8_t *message; /* the request, of which only the head of the payload changes */
    size_t message_bytes, payload_at;
    char *ids; /* ID_TEXT_BYTES each */
    uint64_t n_ids;
    enum phase phase;
    mono_ns_t now, started, ended;
    uint64_t n_answers; /* measured */
    uint64_t n_total;
    double server_cpu_s, client_cpu_s;
    struct histogram times;
};

__attribute__((noreturn)) PRINTF_LIKE(1, 2) static void die(const char *format, ...)
{
    va_list args;

    fputs("futured-load: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* --- CPU */

static double cpu_of_self(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* User and system time of all threads, from /proc/PID/stat; 0 when no process was named. */
static double cpu_of_server(long pid)
{
    unsigned long user, system;
    char path[64], line[1024];
    const char *at;
    FILE *f;

    if (!pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "re");
    if (!f || !fgets(line, sizeof line, f))
        die("%s: %s", path, strerror(errno));
    fclose(f);
    at = strrchr(line, ')'); /* the name in front may hold anything */
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die("%s: cannot be read", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* --- phases */

static void measure_begin(struct load *l)
{
    l->phase = MEASURING;
    l->started = l->now;
    l->server_cpu_s = cpu_of_server(l->o.server_pid);
    l->client_cpu_s = cpu_of_self();
}

static void measure_end(struct load *l)
{
    l->phase = ENDING;
    l->ended = l->now;
    l->server_cpu_s = cpu_of_server(l->o.server_pid) - l->server_cpu_s;
    l->client_cpu_s = cpu_of_self() - l->client_cpu_s;
}

static void answered(struct load *l, const struct slot *s)
{
    l->n_total++;
    if (l->phase != MEASURING)
        return;
    histogram_add(&l->times, l->now - s->since);
    if (++l->n_answers == l->o.count)
        measure_end(l);
}

/* --- calls */

/* What makes a payload unlike all others: where it is waited for, and its number. */
struct mark {
    uint32_t conn, slot;
    uint64_t number;
};

static struct mark mark_of(const struct slot *s)
{
    return (struct mark){s->conn->index, (uint32_t)(s - s->conn->slots), s->number};
}

/* Which future a request asks for: connections take turns. */
static const char *id_of(const struct load *l, const struct slot *s)
{
    uint64_t n = s->number * l->o.connections + s->conn->index;

    if (n >= l->n_ids)
        die("more questions than IDs");
    return l->ids + n * ID_TEXT_BYTES;
}

static struct span make_message(struct load *l, const struct slot *s)
{
    struct mark mark = mark_of(s);

    _Static_assert(sizeof mark == SIZE_MIN, "the smallest payload holds a mark");
    if (l->o.dialect->asks_id)
        memcpy(l->message + l->payload_at, id_of(l, s), ID_TEXT_BYTES);
    else
        memcpy(l->message + l->payload_at, &mark, sizeof mark);
    return (struct span){l->message, l->message_bytes};
}

/* The slot that an answer belongs to; @expected where that is known before. */
static struct slot *check_message(struct conn *c, struct slot *expected, struct span message)
{
    struct load *l = c->load;
    struct span payload = l->o.dialect->read(message);
    struct slot *s = expected;
    struct mark mark, wanted;

    if (!payload.len)
        die("a wrong answer of %zu bytes on connection %u", message.len, c->index);
    if (l->o.dialect->asks_id) {
        if (payload.len != ID_TEXT_BYTES || memcmp(payload.p, id_of(l, s), ID_TEXT_BYTES) != 0)
            die("another future than the one that was asked for");
        return s;
    }
    if (l->o.dialect->gives_id) {
        char id[sizeof c->last_id];

        snprintf(id, sizeof id, "%.*s", (int)payload.len, (const char *)payload.p);
        if (strcmp(id, c->last_id) <= 0)
            die("connection %u: the ID %s does not rise", c->index, id);
        memcpy(c->last_id, id, sizeof id);
        return s;
    }
    if (payload.len != l->o.size)
        die("a payload of %zu bytes came back as one of %zu", l->o.size, payload.len);
    memcpy(&mark, payload.p, sizeof mark);
    if (!s)
        s = mark.slot < l->o.in_flight ? &c->slots[mark.slot] : NULL;
    if (!s)
        die("an answer to a question that was never asked");
    wanted = mark_of(s);
    if (memcmp(&mark, &wanted, sizeof mark) != 0 ||
        memcmp(payload.p + sizeof mark, l->message + l->payload_at + sizeof mark, l->o.size - sizeof mark) !=
                0)
        die("a wrong payload to request %" PRIu64 " of connection %u", s->number, c->index);
    return s;
}

static void unary_start(struct slot *s);

static void unary_on_message(struct grpc_client_call *call, struct span message)
{
    struct slot *s = grpc_client_call_user(call);

    if (s->is_answered)
        die("two answers to one unary call");
    s->is_answered = 1;
    (void)check_message(s->conn, s, message);
}

static void unary_on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct slot *s = grpc_client_call_user(call);

    if (status->code || !s->is_answered)
        die("a call failed: %s %s", status_name(status->code), status->message);
    answered(s->conn->load, s);
    s->conn->n_open--;
    if (s->conn->load->phase == ENDING)
        return;
    if (!s->conn->load->o.is_lockstep)
        unary_start(s);
    else if (s->conn->n_open == 0)
        for (uint32_t i = 0; i < s->conn->load->o.in_flight; i++)
            unary_start(&s->conn->slots[i]);
}

static const struct grpc_client_handler unary_handler = {.on_message = unary_on_message,
                                                         .on_done = unary_on_done};

static void unary_start(struct slot *s)
{
    struct load *l = s->conn->load;
    struct grpc_client_call *call;

    s->since = l->now;
    s->number = s->conn->next_number++;
    s->is_answered = 0;
    if (grpc_client_call_new(&call, s->conn->client, l->o.dialect->path, NULL, &unary_handler, s, l->now) !=
                0 ||
        grpc_client_call_send(call, make_message(l, s)) < 0 || grpc_client_call_half_close(call) < 0)
        die("a call cannot be started (more in flight than the server allows?)");
    s->conn->n_open++;
}

static void stream_send(struct slot *s)
{
    struct conn *c = s->conn;

    s->since = c->load->now;
    s->number = c->next_number++;
    s->is_open = 1;
    if (grpc_client_call_send(c->stream, make_message(c->load, s)) < 0)
        die("no memory");
    c->n_open++;
}

static void stream_on_message(struct grpc_client_call *call, struct span message)
{
    struct conn *c = grpc_client_call_user(call);
    struct load *l = c->load;
    struct slot *s = check_message(c, l->o.dialect->is_ordered ? &c->slots[c->head] : NULL, message);

    if (!s->is_open)
        die("an answer without a question");
    s->is_open = 0;
    answered(l, s);
    c->head = (c->head + 1) % l->o.in_flight;
    c->n_open--;
    if (l->phase == ENDING)
        return;
    if (!l->o.is_lockstep)
        stream_send(s);
    else if (c->n_open == 0)
        for (uint32_t i = 0; i < l->o.in_flight; i++)
            stream_send(&c->slots[i]);
}

static void stream_on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct conn *c = grpc_client_call_user(call);

    if (status->code || c->n_open || c->load->phase != ENDING)
        die("the stream ended: %s %s", status_name(status->code), status->message);
    c->stream = NULL;
}

static const struct grpc_client_handler stream_handler = {.on_message = stream_on_message,
                                                          .on_done = stream_on_done};

static void conn_start(struct conn *c)
{
    struct load *l = c->load;

    if (!l->o.dialect->is_stream) {
        for (uint32_t i = 0; i < l->o.in_flight; i++)
            unary_start(&c->slots[i]);
        return;
    }
    if (grpc_client_call_new(&c->stream, c->client, l->o.dialect->path, NULL, &stream_handler, c, l->now) !=
        0)
        die("the stream cannot be opened");
    for (uint32_t i = 0; i < l->o.in_flight; i++)
        stream_send(&c->slots[i]);
}

/* --- sockets */

/* One call at a time on one connection: its socket blocks, as that of a client that waits for an answer. */
static int is_ping_pong(const struct options *o)
{
    return o->connections == 1 && o->in_flight == 1;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof sa.sun_path)
        die("%s: too long", path);
    memcpy(sa.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

static int connect_tcp(const char *address)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    char host[64];
    int fd, on = 1;

    snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - address) : 0, address);
    if (!colon || inet_pton(AF_INET, host, &sa.sin_addr) != 1)
        die("%s: neither unix:/path nor a.b.c.d:port", address);
    sa.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) < 0)
        die("%s: %s", address, strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        die("TCP_NODELAY: %s", strerror(errno));
    return fd;
}

static void conn_open(struct load *l, uint32_t index)
{
    const struct grpc_client_config config = {.authority = "localhost", .max_message_bytes = 64 << 20};
    const struct h2_config h2 = h2_config_client();
    const struct timeval silence = {.tv_sec = SILENCE_MS / 1000};
    struct conn *c = &l->conns[index];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    *c = (struct conn){.load = l, .index = index};
    c->fd = strncmp(l->o.address, "unix:", 5) == 0 ? connect_unix(l->o.address + 5)
                                                   : connect_tcp(l->o.address);
    if (is_ping_pong(&l->o) ? setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) < 0
                            : fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
        die("a socket: %s", strerror(errno));
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("a socket: %s", strerror(errno));
    c->slots = mem_zalloc(l->o.in_flight * sizeof *c->slots);
    if (!c->slots || grpc_client_new(&c->client, &config, &h2, l->now) < 0)
        die("no memory");
    for (uint32_t i = 0; i < l->o.in_flight; i++)
        c->slots[i].conn = c;
}

static void conn_free(struct conn *c)
{
    grpc_client_free(c->client);
    buf_deinit(&c->out);
    mem_free(c->slots);
    err_close(&c->fd);
}

static void conn_block(struct conn *c, int is_blocked)
{
    struct epoll_event event = {.events = EPOLLIN | (is_blocked ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};

    if (c->is_blocked == is_blocked)
        return;
    c->is_blocked = is_blocked;
    if (epoll_ctl(c->load->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        die("epoll: %s", strerror(errno));
}

static void conn_send(struct conn *c)
{
    struct h2_session *session = grpc_client_session(c->client);
    ssize_t n;

    for (;;) {
        if (!buf_len(&c->out) && h2_session_send(session, &c->out, SEND_BYTES, c->load->now) < 0)
            die("no memory");
        if (!buf_len(&c->out))
            break;
        n = send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            conn_block(c, 1);
            return;
        }
        if (n < 0)
            die("send: %s", strerror(errno));
        buf_consume(&c->out, (size_t)n);
        h2_session_sent(session, (size_t)n, c->load->now);
    }
    conn_block(c, 0);
}

static void conn_recv(struct conn *c)
{
    struct h2_session *session = grpc_client_session(c->client);
    ssize_t n = recv(c->fd, c->load->in, RECV_BYTES, 0);

    if (is_ping_pong(&c->load->o)) {
        if (n < 0 && errno == EAGAIN)
            die("nothing has come for %d s", SILENCE_MS / 1000);
        c->load->now = clock_mono();
    }
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the connection was lost: %s", n < 0 ? strerror(errno) : "closed by the server");
    if (h2_session_recv(session, c->load->in, (size_t)n, c->load->now) != 0)
        die("the session ended: %s", h2_session_end_reason(session));
}

/* --- the run */

static int is_idle(const struct load *l)
{
    for (uint32_t i = 0; i < l->o.connections; i++)
        if (l->conns[i].n_open || l->conns[i].stream)
            return 0;
    return 1;
}

/* What the clock asks for. */
static void phase_step(struct load *l)
{
    if (l->phase == WARMING && l->now >= clock_add(l->started, (int64_t)(l->o.warmup_s * 1e9)))
        measure_begin(l);
    else if (l->phase == MEASURING && !l->o.count &&
             l->now >= clock_add(l->started, (int64_t)(l->o.duration_s * 1e9)))
        measure_end(l);
}

static void half_close_all(struct load *l)
{
    for (uint32_t i = 0; i < l->o.connections; i++) {
        if (l->conns[i].stream && grpc_client_call_half_close(l->conns[i].stream) < 0)
            die("no memory");
        conn_send(&l->conns[i]);
    }
}

/* Which connections can be read or written. The ping-pong needs not to be told: it waits in its read. */
static int wait_ready(struct load *l, struct epoll_event *events, int max)
{
    int n;

    if (is_ping_pong(&l->o)) {
        events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = &l->conns[0]};
        return 1;
    }
    do
        n = epoll_wait(l->epoll_fd, events, max, SILENCE_MS);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        die("nothing has come for %d s", SILENCE_MS / 1000);
    l->now = clock_mono();
    return n;
}

static void run(struct load *l)
{
    struct epoll_event events[256];
    int n, is_closing = 0;

    for (uint32_t i = 0; i < l->o.connections; i++) {
        conn_start(&l->conns[i]);
        conn_send(&l->conns[i]);
    }
    while (l->phase != ENDING || !is_idle(l)) {
        n = wait_ready(l, events, ARRAY_LEN(events));
        phase_step(l);
        for (int i = 0; i < n; i++)
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                conn_recv(events[i].data.ptr);
        for (int i = 0; i < n; i++)
            conn_send(events[i].data.ptr);
        if (l->phase == ENDING && !is_closing) {
            is_closing = 1;
            half_close_all(l);
        }
    }
}

static void print_result(const struct load *l)
{
    double seconds = (double)(l->ended - l->started) / 1e9, n = (double)l->n_answers;

    printf("{\"answers\": %" PRIu64 ", \"total\": %" PRIu64 ", \"seconds\": %.3f, \"per_second\": %.0f, "
           "\"p50_us\": %.2f, \"p99_us\": %.2f, \"client_cpu_us\": %.3f",
           l->n_answers, l->n_total, seconds, n / seconds, histogram_quantile(&l->times, 0.5) / 1e3,
           histogram_quantile(&l->times, 0.99) / 1e3, l->client_cpu_s * 1e6 / n);
    if (l->o.server_pid)
        printf(", \"server_cpu_us\": %.3f", l->server_cpu_s * 1e6 / n);
    puts("}");
}

/* --- the command line */

static void usage(FILE *to)
{
    fprintf(to,
            "futured-load --address unix:/PATH|A.B.C.D:PORT [OPTION]...\n"
            "  --mode MODE           what is asked: %s (echo)\n"
            "  --connections N       (8)\n"
            "  --in-flight N         per connection (32)\n"
            "  --size BYTES          of the payload (100)\n"
            "  --function NAME       of the tasks (echo); it gives its argument back\n"
            "  --warmup SECONDS      (0.5)\n"
            "  --duration SECONDS    (3)\n"
            "  --count N             answers to measure, instead of a duration\n"
            "  --server-pid PID      whose CPU time is reported\n"
            "  --lockstep            ask again when all questions of the connection are answered\n"
            "  --ids FILE            for --mode get: an ID a line\n",
            dialect_names());
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    if (!*text || *end || n < min || n > max)
        die("%s: a number from %" PRIu64 " to %" PRIu64 " is allowed", text, min, max);
    return n;
}

static double seconds(const char *text)
{
    char *end;
    double s = strtod(text, &end);

    if (!*text || *end || !(s >= 0 && s <= 1e6))
        die("%s: seconds are allowed", text);
    return s;
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
            {"address", 1, NULL, 'a'},     {"mode", 1, NULL, 'm'},
            {"connections", 1, NULL, 'c'}, {"in-flight", 1, NULL, 'i'},
            {"size", 1, NULL, 's'},        {"function", 1, NULL, 'f'},
            {"warmup", 1, NULL, 'w'},      {"duration", 1, NULL, 'd'},
            {"count", 1, NULL, 'n'},       {"server-pid", 1, NULL, 'P'},
            {"lockstep", 0, NULL, 'l'},    {"ids", 1, NULL, 'I'},
            {"help", 0, NULL, 'h'},        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
        switch (c) {
        case 'a': o->address = optarg; break;
        case 'm':
            o->dialect = dialect_find(optarg);
            if (!o->dialect)
                die("%s: one of %s is allowed", optarg, dialect_names());
            break;
        case 'c': o->connections = (uint32_t)number(optarg, 1, CONNECTIONS_MAX); break;
        case 'i': o->in_flight = (uint32_t)number(optarg, 1, IN_FLIGHT_MAX); break;
        case 'f': o->function = optarg; break;
        case 's': o->size = number(optarg, SIZE_MIN, 16 << 20); break;
        case 'w': o->warmup_s = seconds(optarg); break;
        case 'd': o->duration_s = seconds(optarg); break;
        case 'n': o->count = number(optarg, 1, UINT64_MAX); break;
        case 'P': o->server_pid = (long)number(optarg, 1, INT32_MAX); break;
        case 'l': o->is_lockstep = 1; break;
        case 'I': o->ids = optarg; break;
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    if (optind != argc || !o->address) {
        usage(stderr);
        return 2;
    }
    if (!o->dialect)
        o->dialect = dialect_find("echo");
    if (o->dialect->asks_id != !!o->ids)
        die("--ids belongs to --mode get");
    return -1;
}

static void read_ids(struct load *l)
{
    FILE *f = fopen(l->o.ids, "re");
    char line[ID_TEXT_BYTES + 2];
    uint64_t cap = 0;

    if (!f)
        die("%s: %s", l->o.ids, strerror(errno));
    while (fgets(line, sizeof line, f)) {
        if (strlen(line) != ID_TEXT_BYTES + 1)
            die("%s: a line is no ID", l->o.ids);
        if (l->n_ids == cap) {
            cap = cap ? cap * 2 : 1024;
            l->ids = mem_realloc(l->ids, cap * ID_TEXT_BYTES);
            if (!l->ids)
                die("no memory");
        }
        memcpy(l->ids + l->n_ids++ * ID_TEXT_BYTES, line, ID_TEXT_BYTES);
    }
    fclose(f);
}

static void load_init(struct load *l)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->conns = mem_zalloc(l->o.connections * sizeof *l->conns);
    l->in = mem_alloc(RECV_BYTES);
    l->message = mem_alloc(l->o.size + strlen(l->o.function) + MESSAGE_ROOM_BYTES);
    if (l->epoll_fd < 0 || !l->conns || !l->in || !l->message)
        die("no memory");
    if (l->o.ids)
        read_ids(l);
    l->message_bytes = l->o.dialect->write(l->message, l->o.function, l->o.size, &l->payload_at);
    l->now = l->started = clock_mono();
    for (uint32_t i = 0; i < l->o.connections; i++)
        conn_open(l, i);
}

static void load_deinit(struct load *l)
{
    for (uint32_t i = 0; i < l->o.connections; i++)
        conn_free(&l->conns[i]);
    err_close(&l->epoll_fd);
    mem_free(l->conns);
    mem_free(l->in);
    mem_free(l->ids);
    mem_free(l->message);
}

int main(int argc, char **argv)
{
    static struct load l;
    int r;

    l.o = (struct options){.connections = 8,
                           .in_flight = 32,
                           .size = 100,
                           .function = "echo",
                           .duration_s = 3,
                           .warmup_s = 0.5};
    r = parse(&l.o, argc, argv);
    if (r >= 0)
        return r;
    load_init(&l);
    run(&l);
    print_result(&l);
    load_deinit(&l);
    return 0;
}
