// SPDX-License-Identifier: Apache-2.0
/*
 * One socket and the gRPC client above it. The session may end in any of recv, send and tick; the calls hear of
 * it from there, the connection becomes LOST at the end of the turn. So `why` is set, or made by
 * futured_conn_why, before the first on_done of a lost connection.
 *
 * In a turn reading comes before writing, and both before the timers: the owner may have stayed away for long,
 * and what waits in the socket must not be taken for silence.
 */
#include "client/lib/conn.h"

#include "base/mem.h"
#include "tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

enum {
    RECV_BYTES = 64 * 1024,
    SEND_BYTES = 256 * 1024, /* of one turn */
    RECVS_A_TURN = 16,
    KEEP_OUT_BYTES = 64 * 1024,
};

#define KEEPALIVE_NS         (30 * NS_PER_S)
#define KEEPALIVE_TIMEOUT_NS (20 * NS_PER_S)
#define BACKLOG_FULL_NS      (10 * NS_PER_MS)

struct futured_conn {
    const struct futured_address *address;
    enum futured_conn_state state;
    int fd;
    struct futured_targets targets;
    uint32_t next_target;
    int last_errno; /* of the last target that failed */
    mono_ns_t connect_until;
    mono_ns_t retry_at; /* a Unix socket with a full backlog: no event says when there is room */
    struct grpc_client *grpc;
    mono_ns_t next_tick;
    struct buf out;   /* what the socket did not take */
    struct tls *tls;  /* NULL: none. While CONNECTING: its handshake goes on */
    struct buf plain; /* with it: what the session has said, on its way into out */
    size_t n_plain;   /* of the session's bytes that are not all in the socket */
    int is_woken;     /* there is output, or a timer moved, since the last turn */
    int has_why;
    struct grpc_status why;
    uint8_t in[RECV_BYTES];
};

/* --- how it ends */

static const char *advice(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such socket; start futured, or say with FUTURED_ADDRESS where it listens";
    case ECONNREFUSED:
        return "nothing listens there; start futured, or say with FUTURED_ADDRESS where it does";
    case EACCES:
    case EPERM: return "this user may not use that socket; its owner, group and mode say who may";
    case ETIMEDOUT: return "nothing answers there; check the address, the network and the firewall";
    default: return "check the address and the network";
    }
}

static void set_why(struct futured_conn *conn, const char *reason, const char *what, const char *detail,
                    const char *hint)
{
    if (conn->has_why)
        return;
    status_set(&conn->why, GRPC_UNAVAILABLE, reason, "%s %s: %s%s%s", what, conn->address->text, detail,
               *hint ? "; " : "", hint);
    conn->has_why = 1;
}

/* The words of h2_session_end_reason that a user of a client can meet. */
static void explain_session(struct futured_conn *conn, const char *end)
{
    static const char lost[] = "lost the connection to";

    if (strcmp(end, "preface_timeout") == 0)
        set_why(conn, "CONNECTION_LOST", "no answer from", "it took the connection and says nothing",
                "is it futured that listens there?");
    else if (strcmp(end, "keepalive_timeout") == 0 || strcmp(end, "write_timeout") == 0)
        set_why(conn, "CONNECTION_LOST", lost, "it has not answered for a while",
                "check the network and the daemon");
    else if (strcmp(end, "peer_goaway") == 0)
        set_why(conn, "CONNECTION_LOST", lost, "the daemon ended it", "it may be stopping; try again");
    else if (strcmp(end, "no_memory") == 0)
        set_why(conn, "NO_MEMORY", lost, "out of memory", "");
    else
        set_why(conn, "CONNECTION_LOST", lost, end, "what answers there may not be futured");
}

const struct grpc_status *futured_conn_why(struct futured_conn *conn)
{
    const char *end;

    if (!conn->has_why && conn->grpc) { /* with it, the session may be half freed */
        end = h2_session_end_reason(grpc_client_session(conn->grpc));
        if (*end)
            explain_session(conn, end);
    }
    return conn->has_why ? &conn->why : NULL;
}

/* From here no call is left. set_why comes first. */
static void lose(struct futured_conn *conn)
{
    ASSERT(conn->has_why);
    if (conn->state == FUTURED_CONN_LOST)
        return;
    conn->state = FUTURED_CONN_LOST;
    err_close(&conn->fd);
    conn->grpc = grpc_client_free(conn->grpc);
    buf_deinit(&conn->out);
    buf_deinit(&conn->plain);
    conn->tls = tls_free(conn->tls);
}

static void lose_socket(struct futured_conn *conn, int error)
{
    (void)futured_conn_why(conn); /* what the session says counts more */
    set_why(conn, "CONNECTION_LOST", "lost the connection to",
            error ? strerror(error) : "the other side closed it",
            "the daemon may have been stopped; try again");
    lose(conn);
}

/* --- connecting */

static int read_sealed(struct futured_conn *conn, mono_ns_t now);

/* The handshake failed, or what was agreed on in it is broken. */
static void fail_tls(struct futured_conn *conn, const char *why)
{
    set_why(conn, conn->state == FUTURED_CONN_OPEN ? "CONNECTION_LOST" : "UNREACHABLE", "no TLS with", why,
            "check the address, the certificates (--tls-ca, --tls-cert, --tls-key) and the daemon's log");
    lose(conn);
}

/* What the handshake has to say. */
static void push_handshake(struct futured_conn *conn)
{
    ssize_t n =
            buf_len(&conn->out) ? send(conn->fd, buf_head(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL) : 0;

    if (n > 0)
        buf_consume(&conn->out, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        lose_socket(conn, errno);
}

static void turn_handshake(struct futured_conn *conn, short revents, mono_ns_t now)
{
    ssize_t n = revents & (POLLIN | POLLHUP | POLLERR) ? recv(conn->fd, conn->in, sizeof conn->in, 0) : -1;
    int r;

    if (n == 0 || (n < 0 && revents & (POLLIN | POLLHUP | POLLERR) && errno != EAGAIN && errno != EINTR)) {
        fail_tls(conn, n == 0 ? "the other side closed the connection" : strerror(errno));
        return;
    }
    tls_feed(conn->tls, conn->in, n > 0 ? (size_t)n : 0);
    r = tls_handshake(conn->tls, &conn->out);
    if (r == TLS_E_FAILED) {
        push_handshake(conn); /* the alert */
        fail_tls(conn, tls_why(conn->tls));
        return;
    }
    push_handshake(conn);
    if (r != 0 || conn->state == FUTURED_CONN_LOST)
        return;
    conn->state = FUTURED_CONN_OPEN;
    conn->is_woken = 1;
    if (read_sealed(conn, now) < 0 && conn->state != FUTURED_CONN_LOST) {
        set_why(conn, "NO_MEMORY", "lost the connection to", "out of memory", "");
        lose(conn);
    }
}

static void fail_connect(struct futured_conn *conn, int error)
{
    set_why(conn, "UNREACHABLE", "cannot connect to", strerror(error), advice(error));
    lose(conn);
}

/* The files are read once for each connection, so that new ones are taken up by it. */
static int begin_tls(struct futured_conn *conn)
{
    const struct tls_config config = {.role = TLS_CLIENT,
                                      .certificate = conn->address->certificate,
                                      .key = conn->address->key,
                                      .ca = conn->address->ca};
    struct tls_context *context;
    char why[TLS_WHY_BYTES];

    if (!config.certificate != !config.key) {
        fail_tls(conn, "a certificate and its key belong together, and one of them is missing");
        return -1;
    }
    if (tls_context_new(&context, &config, why) != 0) {
        fail_tls(conn, why);
        return -1;
    }
    if (tls_new(&conn->tls, context, conn->address->host) < 0)
        fail_tls(conn, "out of memory");
    tls_context_free(context);
    if (!conn->tls)
        return -1;
    if (tls_handshake(conn->tls, &conn->out) == TLS_E_MORE) /* it begins to speak */
        return 0;
    fail_tls(conn, tls_why(conn->tls));
    return -1;
}

static void opened(struct futured_conn *conn)
{
    static const int one = 1;

    /* No delay: a request leaves whole, by one send. Fails on a Unix socket, which has none. */
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->retry_at = CLOCK_NEVER;
    if (conn->address->is_tls && !conn->tls) {
        if (begin_tls(conn) == 0)
            push_handshake(conn);
        return;
    }
    conn->state = FUTURED_CONN_OPEN;
    conn->is_woken = 1;
}

/* Try the targets that are left; at the end of the list it has failed. */
static void connect_next(struct futured_conn *conn, mono_ns_t now)
{
    err_close(&conn->fd);
    conn->retry_at = CLOCK_NEVER;
    for (; conn->next_target < conn->targets.n; conn->next_target++) {
        const struct sockaddr_storage *sa = &conn->targets.items[conn->next_target].sa;

        conn->fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (conn->fd >= 0 &&
            connect(conn->fd, (const struct sockaddr *)sa, conn->targets.items[conn->next_target].len) == 0) {
            opened(conn);
            return;
        }
        if (conn->fd >= 0 && errno == EINPROGRESS) {
            conn->next_target++;
            return;
        }
        conn->last_errno = errno;
        err_close(&conn->fd);
        if (conn->last_errno == EAGAIN && sa->ss_family == AF_UNIX) {
            conn->retry_at = clock_add(now, BACKLOG_FULL_NS);
            return;
        }
    }
    fail_connect(conn, conn->last_errno);
}

static void turn_connecting(struct futured_conn *conn, short revents, mono_ns_t now)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (now >= conn->connect_until) {
        fail_connect(conn, ETIMEDOUT);
        return;
    }
    if (conn->tls) {
        turn_handshake(conn, revents, now);
        return;
    }
    if (conn->fd < 0) {
        if (now >= conn->retry_at)
            connect_next(conn, now);
        return;
    }
    if (!revents)
        return;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0) {
        opened(conn);
        return;
    }
    conn->last_errno = error;
    connect_next(conn, now);
}

/* --- bytes */

/* What was fed goes to the session, decrypted. As h2_session_recv; -ECONNRESET: the connection has been lost. */
static int read_sealed(struct futured_conn *conn, mono_ns_t now)
{
    uint8_t plain[16 * 1024];
    int r = 0;

    while (r == 0) {
        size_t n;
        int e = tls_read(conn->tls, plain, sizeof plain, &n, &conn->out);

        if (e == TLS_E_MORE)
            return 0;
        if (e == TLS_E_CLOSED) {
            lose_socket(conn, 0);
            return -ECONNRESET;
        }
        if (e == TLS_E_FAILED) {
            fail_tls(conn, tls_why(conn->tls));
            return -ECONNRESET;
        }
        r = h2_session_recv(grpc_client_session(conn->grpc), plain, n, now);
    }
    return r;
}

/* What the session has to say, into conn->out. 0, -ENOMEM. */
static int take_output(struct futured_conn *conn, mono_ns_t now)
{
    struct h2_session *session = grpc_client_session(conn->grpc);
    int r;

    if (!conn->tls)
        return h2_session_send(session, &conn->out, SEND_BYTES, now);
    r = h2_session_send(session, &conn->plain, SEND_BYTES, now);
    if (r == 0 && buf_len(&conn->plain))
        r = tls_write(conn->tls, buf_head(&conn->plain), buf_len(&conn->plain), &conn->out) == 0 ? 0
                                                                                                 : -ENOMEM;
    conn->n_plain += buf_len(&conn->plain);
    buf_clear(&conn->plain);
    return r;
}

/* @n bytes of conn->out went into the socket. */
static void tell_sent(struct futured_conn *conn, size_t n, mono_ns_t now)
{
    buf_consume(&conn->out, n);
    if (conn->tls) { /* sealed they are more than the session knows */
        n = buf_len(&conn->out) && conn->n_plain ? MIN(n, conn->n_plain - 1) : conn->n_plain;
        conn->n_plain -= n;
    }
    h2_session_sent(grpc_client_session(conn->grpc), n, now);
}

/* Returns 0, or -1 when the connection is lost. */
static int read_socket(struct futured_conn *conn, mono_ns_t now)
{
    struct h2_session *session = grpc_client_session(conn->grpc);

    for (int i = 0; i < RECVS_A_TURN; i++) {
        ssize_t n = recv(conn->fd, conn->in, sizeof conn->in, 0);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0) {
            lose_socket(conn, n < 0 ? errno : 0);
            return -1;
        }
        if (conn->tls) {
            tls_feed(conn->tls, conn->in, (size_t)n);
            r = read_sealed(conn, now);
            if (r == -ECONNRESET)
                return -1;
        } else {
            r = h2_session_recv(session, conn->in, (size_t)n, now);
        }
        if (r < 0) {
            set_why(conn, "NO_MEMORY", "lost the connection to", "out of memory", "");
            lose(conn);
            return -1;
        }
        if (r == H2_E_OVER || (size_t)n < sizeof conn->in)
            return 0;
    }
    return 0;
}

static int write_socket(struct futured_conn *conn, mono_ns_t now)
{
    for (;;) {
        ssize_t n;

        if (buf_len(&conn->out) < SEND_BYTES && take_output(conn, now) < 0) {
            set_why(conn, "NO_MEMORY", "lost the connection to", "out of memory", "");
            lose(conn);
            return -1;
        }
        if (buf_len(&conn->out) == 0)
            break;
        n = send(conn->fd, buf_head(&conn->out), buf_len(&conn->out), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0) {
            lose_socket(conn, errno);
            return -1;
        }
        tell_sent(conn, (size_t)n, now);
    }
    buf_shrink(&conn->out, KEEP_OUT_BYTES);
    return 0;
}

static void turn_open(struct futured_conn *conn, short revents, mono_ns_t now)
{
    struct h2_session *session = grpc_client_session(conn->grpc);

    if (revents & (POLLIN | POLLHUP | POLLERR) && read_socket(conn, now) < 0)
        return;
    conn->is_woken = 0;
    if (write_socket(conn, now) < 0)
        return;
    conn->next_tick = h2_session_tick(session, now);
    if (h2_session_wants_write(session) && write_socket(conn, now) < 0)
        return;
    if (h2_session_is_over(session) && buf_len(&conn->out) == 0) {
        (void)futured_conn_why(conn);
        set_why(conn, "CONNECTION_LOST", "lost the connection to", "it has ended", "");
        lose(conn);
    }
}

void futured_conn_turn(struct futured_conn *conn, short revents, mono_ns_t now)
{
    if (conn->state == FUTURED_CONN_CONNECTING) {
        turn_connecting(conn, revents, now);
        revents = 0;
    }
    if (conn->state == FUTURED_CONN_OPEN)
        turn_open(conn, revents, now);
    else if (conn->state == FUTURED_CONN_CONNECTING) { /* deadlines of calls run while it connects */
        conn->is_woken = 0;
        conn->next_tick = h2_session_tick(grpc_client_session(conn->grpc), now);
    }
}

/* --- what to wait for */

uint32_t futured_conn_target(const struct futured_conn *conn)
{
    return conn->next_target;
}

int futured_conn_fd(const struct futured_conn *conn)
{
    return conn->fd;
}

short futured_conn_events(const struct futured_conn *conn)
{
    if (conn->state == FUTURED_CONN_CONNECTING && !conn->tls)
        return POLLOUT;
    return buf_len(&conn->out) || conn->is_woken ? POLLIN | POLLOUT : POLLIN;
}

mono_ns_t futured_conn_due(const struct futured_conn *conn)
{
    mono_ns_t due = conn->is_woken ? 0 : conn->next_tick;

    if (conn->state != FUTURED_CONN_CONNECTING)
        return due;
    due = MIN(due, conn->connect_until);
    return MIN(due, conn->retry_at);
}

enum futured_conn_state futured_conn_state(const struct futured_conn *conn)
{
    return conn->state;
}

struct grpc_client *futured_conn_grpc(const struct futured_conn *conn)
{
    return conn->grpc;
}

/* --- birth and death */

static void on_wake(void *arg)
{
    struct futured_conn *conn = arg;

    conn->is_woken = 1;
}

static int new_conn(struct futured_conn **ret, const struct futured_address *address, mono_ns_t now)
{
    const struct grpc_client_config config = {
            .authority = address->is_unix || !*address->text ? "localhost"
                         : address->is_tls                   ? address->text + strlen("tls:")
                                                             : address->text,
            .is_tls = address->is_tls,
            .authorization = address->authorization,
            .max_message_bytes = (size_t)64 * 1024 * 1024, /* the most that the daemon can be told to send */
    };
    struct h2_config h2 = h2_config_client();
    struct futured_conn *conn = mem_zalloc(sizeof *conn);
    int r;

    if (!conn)
        return -ENOMEM;
    h2.keepalive_ns = KEEPALIVE_NS;
    h2.keepalive_timeout_ns = KEEPALIVE_TIMEOUT_NS;
    r = grpc_client_new(&conn->grpc, &config, &h2, now);
    if (r < 0) {
        mem_free(conn);
        return r;
    }
    h2_session_on_wake(grpc_client_session(conn->grpc), on_wake, conn);
    conn->address = address;
    conn->fd = -1;
    conn->connect_until = clock_add(now, FUTURED_CONNECT_TIMEOUT_NS);
    conn->retry_at = CLOCK_NEVER;
    *ret = conn;
    return 0;
}

int futured_conn_new(struct futured_conn **ret, const struct futured_address *address, mono_ns_t now)
{
    const char *why;
    int r = new_conn(ret, address, now);

    if (r < 0)
        return r;
    if (futured_address_resolve(address, &(*ret)->targets, &why)) {
        set_why(*ret, "UNREACHABLE", "cannot connect to", why, "check the name and the network");
        lose(*ret);
        return 0;
    }
    connect_next(*ret, now);
    return 0;
}

int futured_conn_new_fd(struct futured_conn **ret, const struct futured_address *address, int fd,
                        mono_ns_t now)
{
    int r = new_conn(ret, address, now);

    if (r < 0)
        return r;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (*ret)->fd = fd;
    opened(*ret);
    return 0;
}

struct futured_conn *futured_conn_free(struct futured_conn *conn)
{
    if (!conn)
        return NULL;
    set_why(conn, "CONNECTION_LOST", "closed the connection to", "the client was freed", "");
    lose(conn);
    return mem_free(conn);
}
