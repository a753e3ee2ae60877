// SPDX-License-Identifier: Apache-2.0
/*
 * One connection: [HANDSHAKING ->] OPEN -> LINGERING -> freed, and from anywhere -> DEAD -> freed.
 *
 *   HANDSHAKING  under TLS, until both sides know each other; there is no session yet. Its steps are dear, so it queues for
 *              them, and the set does only so many a turn
 *   OPEN       bytes go both ways, or the session is over and what it left to say is sent
 *   LINGERING  our side is shut, the session is freed; what still comes is thrown away until the peer closes.
 *              Without this the kernel would answer unread bytes with a reset, and the peer would lose our
 *              last words (a GOAWAY that names its offence, or the answers of a drain). Of a drain that had no answers
 *              for it a peer is only waited for until it has been silent for CONN_SILENT_S: idle clients sleep
 *   DEAD       freed when its dirty mark is flushed
 *
 * Events only read or mark dirty; everything that ends or frees stands in flush_conn, where no event of a
 * session is on the stack. The session has the timeouts; a connection's own is that of lingering.
 */
#include "daemon/net/conn.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "h2/session.h"
#include "tls/tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum conn_state { CONN_HANDSHAKING, CONN_OPEN, CONN_LINGERING, CONN_DEAD };

struct conn {
    struct conn_set *set;
    struct list link;
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_dirty dirty;
    struct conn_owner owner; /* all NULL before OPEN, and from LINGERING on */
    struct tls *tls;         /* NULL: none, and from LINGERING on */
    struct list half_open;   /* in the set's, while HANDSHAKING */
    struct list step;        /* in the set's, while it waits for a step of its handshake */
    size_t n_plain;          /* of the session's bytes that left it and are not all in the socket */
    struct buf out;          /* what the socket did not take */
    struct conn_peer peer;
    enum conn_state state;
    const char *reason; /* of the end, for the log; the first one counts */
    mono_ns_t until;    /* while HANDSHAKING or LINGERING */
    int fd;
    int is_peer_closed;
    size_t n_discarded;
    uint64_t bytes_in, bytes_out;
    mono_ns_t heard_at; /* when the latest bytes came */
    int had_streams;    /* since the drain began */
};

struct conn_set {
    struct loop *loop;
    struct conn_set_config config;
    struct list conns;
    uint8_t *in;                   /* CONN_RECV_BYTES; what is read is consumed before the next read */
    struct buf out;                /* empty between flushes */
    struct buf sealed;             /* likewise: that of a connection with TLS */
    uint8_t *plain;                /* CONN_RECV_BYTES that were decrypted; NULL before TLS is used */
    const struct tls_context *tls; /* of new connections */
    struct list half_open;         /* the oldest at the head */
    struct list steps;             /* who waited longest at the head */
    struct loop_dirty step_dirty;
    uint32_t n_counted; /* towards max_conns */
    int is_draining;
    struct conn_stats stats;
};

/* --- birth and death */

static void kill_conn(struct conn *c, const char *reason)
{
    if (c->state == CONN_DEAD)
        return;
    if (!c->reason)
        c->reason = reason;
    c->state = CONN_DEAD;
    loop_mark_dirty(c->set->loop, &c->dirty);
}

static void free_owner(struct conn *c)
{
    struct conn_owner owner = c->owner;

    c->owner = (struct conn_owner){0};
    if (owner.free)
        owner.free(owner.arg);
    c->tls = tls_free(c->tls);
}

static void leave_handshake(struct conn *c)
{
    if (list_is_linked(&c->half_open)) {
        list_del(&c->half_open);
        c->set->stats.n_half_open--;
    }
    if (list_is_linked(&c->step))
        list_del(&c->step);
}

/* What anybody may do is said for those who look for it, what hints at trouble for all. */
static void log_end(const struct conn *c)
{
    static const char *const usual[] = {"",           "drained", "idle_timeout", "peer_closed", "peer_goaway",
                                        "peer_reset", "stopped"};
    enum log_level level = LOG_INFO;

    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (strcmp(c->reason, usual[i]) == 0)
            level = LOG_DEBUG;
    LOG_EVENT(level, "connection_closed", LOG_STR("peer", c->peer.address), LOG_STR("reason", c->reason),
              LOG_NUM("bytes_in", c->bytes_in), LOG_NUM("bytes_out", c->bytes_out));
}

static void free_conn(struct conn *c)
{
    struct conn_set *set = c->set;

    loop_watch_deinit(&c->watch);
    loop_timer_deinit(&c->timer);
    leave_handshake(c);
    free_owner(c);
    loop_dirty_deinit(&c->dirty); /* after the owner, whose last events may have marked it */
    if (list_is_linked(&c->link)) {
        log_end(c);
        list_del(&c->link);
        set->stats.n_open--;
        if (c->peer.trust != CONN_OWN)
            set->n_counted--;
    }
    set->stats.bytes_waiting -= buf_len(&c->out);
    buf_deinit(&c->out);
    err_close(&c->fd);
    mem_free(c);
}

/* --- out */

/* @n bytes went into the socket, and @n_left of what was to go did not. Sealed they are more than the session knows: it hears
 * of progress, and of the last byte with the last one. */
static void tell_sent(struct conn *c, size_t n, size_t n_left, mono_ns_t now)
{
    if (!c->owner.session)
        return;
    if (c->tls) {
        n = n_left && c->n_plain ? MIN(n, c->n_plain - 1) : c->n_plain;
        c->n_plain -= n;
    }
    h2_session_sent(c->owner.session, n, now);
}

/* One send(2) from @from. 0 (*from may be left over); -errno. */
static int send_some(struct conn *c, struct buf *from, mono_ns_t now)
{
    ssize_t n;

    do
        n = send(c->fd, buf_head(from), buf_len(from), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
    buf_consume(from, (size_t)n);
    c->bytes_out += (uint64_t)n;
    c->set->stats.bytes_out += (uint64_t)n;
    tell_sent(c, (size_t)n, buf_len(from), now);
    return 0;
}

/* What the session has said, encrypted: from the set's `out` to its `sealed`. 0; -ENOMEM. */
static int seal(struct conn *c)
{
    struct buf *out = &c->set->out;
    int r = tls_write(c->tls, buf_head(out), buf_len(out), &c->set->sealed);

    c->n_plain += buf_len(out);
    buf_clear(out);
    buf_shrink(out, (size_t)2 * CONN_SEND_BYTES);
    return r == 0 ? 0 : -ENOMEM;
}

/* What was left over first, then what the session has, into the buffer that all share. */
static int push_bytes(struct conn *c, mono_ns_t now)
{
    struct buf *out = &c->set->out;
    int r;

    if (buf_len(&c->out)) {
        r = send_some(c, &c->out, now);
        if (r < 0 || buf_len(&c->out))
            return r;
        buf_deinit(&c->out);
    }
    r = h2_session_send(c->owner.session, out, CONN_SEND_BYTES, now);
    if (r == 0 && c->tls) {
        r = seal(c);
        out = &c->set->sealed;
    }
    if (r == 0 && buf_len(out))
        r = send_some(c, out, now);
    if (r == 0 && buf_len(out))
        r = buf_append(&c->out, buf_head(out), buf_len(out));
    buf_clear(out);
    buf_shrink(out, (size_t)2 * CONN_SEND_BYTES);
    return r;
}

static int push(struct conn *c, mono_ns_t now)
{
    int r;

    c->set->stats.bytes_waiting -= buf_len(&c->out);
    r = push_bytes(c, now);
    c->set->stats.bytes_waiting += buf_len(&c->out);
    return r;
}

/* The timer only ever moves forward here; when it fires too early, nothing is due and it is set again. */
static void arm(struct conn *c, mono_ns_t at)
{
    if (at < loop_timer_at(&c->timer))
        loop_timer_set(&c->timer, at);
}

static const char *reason_of(int r)
{
    switch (r) {
    case -ENOMEM: return "no_memory";
    case -ECONNRESET:
    case -EPIPE: return "peer_reset";
    case -ETIMEDOUT: return "peer_unreachable";
    case -EUSERS: return "quota";
    default: return "socket_error";
    }
}

/* What the session says of its end, else @otherwise. */
static const char *end_reason(const struct conn *c, const char *otherwise)
{
    const char *reason = h2_session_end_reason(c->owner.session);

    return *reason ? reason : otherwise;
}

static void linger(struct conn *c, const char *reason, mono_ns_t now)
{
    if (!c->reason)
        c->reason = reason;
    c->state = CONN_LINGERING;
    leave_handshake(c);
    if (c->tls) { /* what does not fit the socket now is not worth waiting for */
        tls_close(c->tls, &c->set->sealed);
        (void)!send(c->fd, buf_head(&c->set->sealed), buf_len(&c->set->sealed), MSG_NOSIGNAL | MSG_DONTWAIT);
        buf_clear(&c->set->sealed);
    }
    free_owner(c);
    c->until = c->set->is_draining && !c->had_streams ? clock_add(c->heard_at, CONN_SILENT_S * NS_PER_S)
                                                      : clock_add(now, CONN_LINGER_S * NS_PER_S);
    loop_timer_set(&c->timer, c->until);
    if (shutdown(c->fd, SHUT_WR) < 0)
        kill_conn(c, "peer_reset"); /* ENOTCONN: it is gone already */
}

/* Send, then let time pass; the session may be over after either. */
static void flush_session(struct conn *c, mono_ns_t now)
{
    struct h2_session *session = c->owner.session;
    mono_ns_t next;
    int r;

    if (UNLIKELY(c->set->is_draining) && h2_session_n_streams(session))
        c->had_streams = 1;
    r = push(c, now);
    if (r < 0) {
        kill_conn(c, reason_of(r));
        return;
    }
    next = h2_session_tick(session, now);
    if (c->state != CONN_OPEN) /* somebody above said conn_close */
        return;
    if (h2_session_is_dead(session)) {
        kill_conn(c, end_reason(c, "dead"));
    } else if (c->is_peer_closed) {
        kill_conn(c, end_reason(c, "peer_closed"));
    } else if (h2_session_is_over(session) && !buf_len(&c->out)) {
        linger(c, end_reason(c, "over"), now);
    } else if (next <= now || (h2_session_wants_write(session) && !buf_len(&c->out))) {
        loop_mark_dirty(c->set->loop, &c->dirty); /* not done: go on in the next turn */
    } else {
        arm(c, next);
    }
}

static void watch_conn(struct conn *c)
{
    int wanted = 0;

    if (buf_len(&c->out))
        wanted |= LOOP_WRITE;
    if (c->state != CONN_OPEN || h2_session_wants_read(c->owner.session))
        wanted |= LOOP_READ;
    if (loop_watch_set(&c->watch, wanted) < 0)
        kill_conn(c, "no_memory");
}

static void flush_handshake(struct conn *c, mono_ns_t now)
{
    size_t before = buf_len(&c->out);
    int r = send_some(c, &c->out, now);

    c->set->stats.bytes_waiting -= before - buf_len(&c->out);
    if (r < 0)
        kill_conn(c, reason_of(r));
    else if (!buf_len(&c->out))
        buf_deinit(&c->out);
}

/* The end of a turn in which something happened here. */
static void flush_conn(void *arg, mono_ns_t now)
{
    struct conn *c = arg;
    struct conn_set *set = c->set;

    if (c->state == CONN_HANDSHAKING && buf_len(&c->out))
        flush_handshake(c, now);
    if (c->state == CONN_OPEN)
        flush_session(c, now);
    if (c->state == CONN_LINGERING && c->is_peer_closed)
        kill_conn(c, "peer_closed");
    if (c->state != CONN_DEAD)
        watch_conn(c);
    if (c->state != CONN_DEAD)
        return;
    free_conn(c);
    if (list_is_empty(&set->conns) && set->config.on_empty)
        set->config.on_empty(set->config.arg);
}

/* --- in */

/* One recv(2). Its bytes, 0 when nothing is there (or the end came: noted); whatever else ends @c. */
static size_t receive(struct conn *c)
{
    ssize_t n;

    do
        n = recv(c->fd, c->set->in, CONN_RECV_BYTES, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->heard_at = loop_now(c->set->loop);
        c->bytes_in += (uint64_t)n;
        c->set->stats.bytes_in += (uint64_t)n;
        return (size_t)n;
    }
    if (n == 0)
        c->is_peer_closed = 1;
    else if (errno != EAGAIN)
        kill_conn(c, reason_of(-errno));
    return 0;
}

/* Our memory failed, or the peer broke the rules of TLS; the alert that says so has one chance. */
static void fail_tls(struct conn *c, const char *reason)
{
    LOG_EVENT(LOG_INFO, "tls_failed", LOG_STR("peer", c->peer.address), LOG_STR("text", tls_why(c->tls)));
    if (buf_len(&c->out))
        (void)!send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
    kill_conn(c, reason);
}

/* Decrypt what was fed, into the buffer that all share. 0: it is full; else as tls_read. What TLS itself has to say (keys that
 * change) waits in the connection's buffer, in its place behind what waits there. */
static int unseal(struct conn *c, size_t *ret_n)
{
    size_t n = 0, n_read, before = buf_len(&c->out);
    int r = 0;

    while (r == 0 && n < CONN_RECV_BYTES) {
        r = tls_read(c->tls, c->set->plain + n, CONN_RECV_BYTES - n, &n_read, &c->out);
        if (r == 0)
            n += n_read;
    }
    c->set->stats.bytes_waiting += buf_len(&c->out) - before;
    *ret_n = n;
    return r;
}

/* What was fed goes to the session. As h2_session_recv. */
static int read_sealed(struct conn *c, mono_ns_t now)
{
    int r, e;

    do {
        size_t n;

        e = unseal(c, &n);
        r = n ? h2_session_recv(c->owner.session, c->set->plain, n, now) : 0;
    } while (e == 0 && r == 0);
    if (r == 0 && e == TLS_E_FAILED)
        fail_tls(c, "tls_error");
    if (e == TLS_E_CLOSED)
        c->is_peer_closed = 1;
    return r;
}

static void read_session(struct conn *c)
{
    mono_ns_t now = loop_now(c->set->loop);

    for (int i = 0; i < CONN_RECVS_PER_TURN && h2_session_wants_read(c->owner.session); i++) {
        size_t n = receive(c);
        int r;

        if (!n)
            return;
        if (UNLIKELY(c->tls != NULL)) {
            tls_feed(c->tls, c->set->in, n);
            r = read_sealed(c, now);
        } else {
            r = h2_session_recv(c->owner.session, c->set->in, n, now);
        }
        if (r < 0)
            kill_conn(c, reason_of(r));
        if (r != 0 || n < CONN_RECV_BYTES || c->state != CONN_OPEN)
            return;
    }
}

static void discard(struct conn *c)
{
    c->n_discarded += receive(c);
    if (c->n_discarded > CONN_LINGER_BYTES)
        kill_conn(c, "linger_bytes");
}

static void on_wake(void *arg)
{
    struct conn *c = arg;

    loop_mark_dirty(c->set->loop, &c->dirty);
}

/* Somebody speaks from now on. */
static int open_owner(struct conn *c)
{
    struct conn_set *set = c->set;
    int r;

    c->state = CONN_OPEN;
    c->peer.fd = c->fd;
    r = set->config.on_open(set->config.arg, &c->peer, loop_now(set->loop), &c->owner);
    if (r < 0)
        return r;
    h2_session_on_wake(c->owner.session, on_wake, c);
    if (set->is_draining)
        h2_session_drain(c->owner.session);
    return 0;
}

/* --- the handshake of TLS */

static void want_step(struct conn *c)
{
    if (list_is_linked(&c->step))
        return;
    list_push_back(&c->set->steps, &c->step);
    loop_mark_dirty(c->set->loop, &c->set->step_dirty);
}

/* It is complete. What the peer sent behind it is there already. */
static void begin_session(struct conn *c, mono_ns_t now)
{
    int r;

    leave_handshake(c);
    c->set->stats.n_handshakes++;
    c->set->stats.n_resumed += (uint64_t)tls_is_resumed(c->tls);
    c->peer.tls = c->tls;
    r = open_owner(c);
    c->peer.tls = NULL;
    if (r == 0)
        r = read_sealed(c, now);
    if (r < 0)
        kill_conn(c, reason_of(r));
}

static void refuse_handshake(struct conn *c, mono_ns_t now)
{
    c->set->stats.n_handshakes_failed++;
    LOG_EVENT(LOG_INFO, "tls_handshake_failed", LOG_STR("peer", c->peer.address),
              LOG_STR("text", tls_why(c->tls)));
    linger(c, "tls_handshake", now); /* for the peer to read the alert */
}

static void step(struct conn *c, mono_ns_t now)
{
    struct buf *out = &c->set->sealed;
    size_t n = receive(c);
    int r;

    if (c->state != CONN_HANDSHAKING)
        return;
    tls_feed(c->tls, c->set->in, n);
    r = tls_handshake(c->tls, out);
    if (buf_len(out) && !buf_len(&c->out) && send_some(c, out, now) < 0)
        buf_clear(out); /* reading will say what has become of it */
    if (buf_len(out) && buf_append(&c->out, buf_head(out), buf_len(out)) < 0)
        kill_conn(c, "no_memory");
    else
        c->set->stats.bytes_waiting += buf_len(out);
    buf_clear(out);
    if (c->state != CONN_HANDSHAKING)
        return;
    if (r == 0)
        begin_session(c, now);
    else if (r == TLS_E_FAILED)
        refuse_handshake(c, now);
    else if (c->is_peer_closed)
        kill_conn(c, "peer_closed");
}

/* Once a turn: some of those that wait, in the order in which they came. */
static void flush_steps(void *arg, mono_ns_t now)
{
    struct conn_set *set = arg;
    struct list *l;

    for (int i = 0; i < CONN_HANDSHAKES_PER_TURN && (l = list_pop_front(&set->steps)) != NULL; i++) {
        struct conn *c = LIST_ENTRY(l, struct conn, step);

        step(c, now);
        loop_mark_dirty(set->loop, &c->dirty);
    }
    if (!list_is_empty(&set->steps))
        loop_mark_dirty(set->loop, &set->step_dirty);
}

/* One more; where they are too many the oldest goes, which has had the most time. */
static int begin_handshake(struct conn *c)
{
    struct conn_set *set = c->set;
    int r = set->tls ? tls_new(&c->tls, set->tls, NULL) : -ENOENT;

    if (r < 0)
        return r;
    c->state = CONN_HANDSHAKING;
    c->until = clock_add(loop_now(set->loop), set->config.handshake_timeout_ns);
    loop_timer_set(&c->timer, c->until);
    if (set->stats.n_half_open && set->stats.n_half_open >= set->config.max_handshakes) {
        struct conn *oldest = LIST_ENTRY(list_first(&set->half_open), struct conn, half_open);

        leave_handshake(oldest);
        set->stats.n_handshakes_failed++;
        kill_conn(oldest, "too_many_handshakes");
    }
    list_push_back(&set->half_open, &c->half_open);
    set->stats.n_half_open++;
    return 0;
}

static void on_ready(void *arg, int what)
{
    struct conn *c = arg;

    if (what == LOOP_READ && c->state == CONN_HANDSHAKING)
        want_step(c);
    else if (what == LOOP_READ && c->state == CONN_LINGERING)
        discard(c);
    else if (what == LOOP_READ && c->state == CONN_OPEN)
        read_session(c);
    loop_mark_dirty(c->set->loop, &c->dirty);
}

static void on_time(void *arg, mono_ns_t now)
{
    struct conn *c = arg;

    if (c->state == CONN_HANDSHAKING && now >= c->until) {
        c->set->stats.n_handshakes_failed++;
        kill_conn(c, "handshake_timeout");
    } else if (c->state == CONN_LINGERING && now >= c->until) {
        kill_conn(c, "linger_timeout");
    } else if (c->state == CONN_OPEN) {
        arm(c, h2_session_tick(c->owner.session, now)); /* before the flush: what is due goes out with it */
    }
    loop_mark_dirty(c->set->loop, &c->dirty);
}

/* --- the set */

int conn_set_new(struct conn_set **ret, struct loop *loop, const struct conn_set_config *config)
{
    struct conn_set *set = mem_zalloc(sizeof *set);

    if (!set)
        return -ENOMEM;
    set->in = mem_alloc(CONN_RECV_BYTES);
    if (!set->in) {
        mem_free(set);
        return -ENOMEM;
    }
    set->loop = loop;
    set->config = *config;
    list_init(&set->conns);
    list_init(&set->half_open);
    list_init(&set->steps);
    loop_dirty_init(&set->step_dirty, flush_steps, set);
    *ret = set;
    return 0;
}

struct conn_set *conn_set_free(struct conn_set *set)
{
    struct list *l;

    if (!set)
        return NULL;
    while ((l = list_first(&set->conns)) != NULL) {
        struct conn *c = LIST_ENTRY(l, struct conn, link);

        if (!c->reason)
            c->reason = "stopped";
        free_conn(c);
    }
    loop_dirty_deinit(&set->step_dirty);
    buf_deinit(&set->out);
    buf_deinit(&set->sealed);
    mem_free(set->plain);
    mem_free(set->in);
    mem_free(set);
    return NULL;
}

static int open_conn(struct conn_set *set, struct conn *c)
{
    int r = loop_timer_init(&c->timer, set->loop, on_time, c);

    if (r < 0)
        return r;
    loop_watch_init(&c->watch, set->loop, c->fd, on_ready, c);
    r = loop_watch_set(&c->watch, LOOP_READ);
    if (r < 0)
        return r;
    return c->peer.is_tls ? begin_handshake(c) : open_owner(c);
}

int conn_set_adopt(struct conn_set *set, int fd, const struct conn_peer *peer, struct conn **ret)
{
    struct conn *c;
    int r;

    if (peer->trust != CONN_OWN && conn_set_is_full(set)) {
        conn_set_refuse(set);
        err_close(&fd);
        return CONN_E_FULL;
    }
    c = mem_zalloc(sizeof *c);
    if (!c) {
        conn_set_refuse(set);
        err_close(&fd);
        return -ENOMEM;
    }
    c->set = set;
    c->fd = fd;
    c->heard_at = loop_now(set->loop);
    c->peer = *peer;
    list_init(&c->link);
    list_init(&c->half_open);
    list_init(&c->step);
    loop_dirty_init(&c->dirty, flush_conn, c);
    r = open_conn(set, c);
    if (r < 0) {
        conn_set_refuse(set);
        free_conn(c);
        return r;
    }
    list_push_back(&set->conns, &c->link);
    set->stats.n_open++;
    set->stats.n_opened++;
    if (peer->trust != CONN_OWN)
        set->n_counted++;
    loop_mark_dirty(set->loop, &c->dirty); /* our SETTINGS wait, and the first timeout */
    if (ret)
        *ret = c;
    return 0;
}

int conn_set_use_tls(struct conn_set *set, const struct tls_context *tls)
{
    if (!set->plain)
        set->plain = mem_alloc(CONN_RECV_BYTES);
    if (!set->plain)
        return -ENOMEM;
    set->tls = tls;
    return 0;
}

void conn_set_refuse(struct conn_set *set)
{
    set->stats.n_refused++;
}

int conn_set_is_full(const struct conn_set *set)
{
    return set->n_counted >= set->config.max_conns;
}

void conn_set_limit(struct conn_set *set, uint32_t max_conns)
{
    set->config.max_conns = max_conns;
}

void conn_set_drain(struct conn_set *set)
{
    set->is_draining = 1;
    LIST_FOREACH (l, &set->conns) {
        struct conn *c = LIST_ENTRY(l, struct conn, link);

        if (c->state != CONN_OPEN)
            continue;
        h2_session_drain(c->owner.session);
        loop_mark_dirty(set->loop, &c->dirty);
    }
}

static void abort_conn(struct conn *c, const char *reason)
{
    if (c->state == CONN_HANDSHAKING)
        kill_conn(c, reason);
    if (c->state != CONN_OPEN)
        return;
    h2_session_abort(c->owner.session, H2_NO_ERROR, reason);
    loop_mark_dirty(c->set->loop, &c->dirty);
}

void conn_set_abort(struct conn_set *set, const char *reason)
{
    LIST_FOREACH (l, &set->conns)
        abort_conn(LIST_ENTRY(l, struct conn, link), reason);
}

void conn_set_abort_nameless(struct conn_set *set, const char *reason)
{
    LIST_FOREACH (l, &set->conns) {
        struct conn *c = LIST_ENTRY(l, struct conn, link);

        if (c->tls && !tls_has_peer(c->tls))
            abort_conn(c, reason);
    }
}

struct conn_stats conn_set_stats(const struct conn_set *set)
{
    return set->stats;
}

void conn_close(struct conn *c, const char *reason)
{
    kill_conn(c, reason);
}
