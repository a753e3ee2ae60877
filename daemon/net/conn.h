// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Connections: the bytes of a socket go through an HTTP/2 session and back, and that is all this file knows.
 * Who speaks on a connection (the gRPC server) comes through one callback when it opens, and is freed through
 * another when it closes.
 *
 * Rules:
 *  1. A connection is freed only while dirty marks are flushed or by conn_set_free, so never under a caller.
 *  2. An idle connection holds no buffer: reads and writes share the set's; what a socket does not take waits
 *     in the connection's own, at most CONN_SEND_BYTES and a frame.
 *  3. Reading goes on while output waits (h2/session.h, rule 4); it stops when the session is over.
 *  4. Under TLS nobody speaks on a connection before its handshake is complete. Handshakes have a time limit, so many
 *     steps a turn, and so many at a time: one more ends the one that began first.
 *  5. A peer that half-closes is gone: it gets what is ready, then its calls end as lost.
 */
#include "base/clock.h"
#include "daemon/net/address.h"
#include "daemon/net/loop.h"

struct h2_session;
struct tls;
struct tls_context;
struct conn;
struct conn_set;

enum {
    CONN_RECV_BYTES = 256 * 1024, /* one read, into the buffer that all share */
    CONN_RECVS_PER_TURN = 2,      /* of one connection, before the others get their turn */
    CONN_SEND_BYTES = 128 * 1024, /* one write */
    CONN_HANDSHAKES_PER_TURN = 8, /* steps; one with a signature takes about 0.1 ms (P-256) to 1 ms (RSA) */
    CONN_LINGER_S = 5,            /* for the peer to close after our last byte */
    CONN_SILENT_S = 1,            /* likewise, at a drain that had no answers for it, since its last byte */
    CONN_LINGER_BYTES = 4 * 1024 * 1024, /* read and thrown away meanwhile */
};

/* How far the other end is trusted; decides its flood limits. */
enum conn_trust {
    CONN_STRANGER, /* TCP */
    CONN_LOCAL,    /* a Unix socket: the file's mode let it in */
    CONN_OWN,      /* our own child on a socketpair; not counted against max_conns */
};

struct conn_peer {
    char address[ADDRESS_TEXT_BYTES]; /* "127.0.0.1:50412", "unix:uid=1000,pid=42", "worker:3" */
    enum conn_trust trust;
    uint64_t worker_key; /* of our own child; 0 = none */
    int is_tls;
    const struct tls *tls; /* for on_open; NULL: none */
    int64_t uid, gid;      /* of a Unix socket, by the kernel; -1: not known */
    int fd;                /* for on_open: the socket, which is there as long as the owner is */
};

/* Who speaks on a connection. */
struct conn_owner {
    struct h2_session *session;
    void (*free)(void *arg); /* frees the session as well; from the loop, never inside an event of it */
    void *arg;
};

struct conn_set_config {
    uint32_t max_conns;
    uint32_t max_handshakes; /* > 0; these two of TLS */
    int64_t handshake_timeout_ns;
    /* A connection has come: fill @ret. 0, -errno (the connection is closed at once; -EUSERS: and has said why). */
    int (*on_open)(void *arg, const struct conn_peer *peer, mono_ns_t now, struct conn_owner *ret);
    void (*on_empty)(void *arg); /* the last connection is gone; may be NULL; must free nothing of net */
    void *arg;
};

struct conn_stats {
    uint32_t n_open;
    uint64_t n_opened, n_refused; /* refused: over max_conns, or no descriptor or memory was left */
    uint64_t bytes_in, bytes_out;
    uint64_t bytes_waiting; /* for sockets that take no more now */
    uint32_t n_half_open;   /* in their handshake */
    uint64_t n_handshakes, n_resumed, n_handshakes_failed;
};

/* conn_set_new: Owns: the caller. @config is copied. 0, -ENOMEM. */
MUST_CHECK int conn_set_new(struct conn_set **ret, struct loop *loop, const struct conn_set_config *config);

/* conn_set_free: close every connection now, then free. Not from inside any callback of net or h2. */
struct conn_set *conn_set_free(struct conn_set *set);

/* conn_set_use_tls: what connections with peer.is_tls begin with from now on; borrowed until the next. 0, -ENOMEM. */
MUST_CHECK int conn_set_use_tls(struct conn_set *set, const struct tls_context *tls);

/* conn_set_adopt: make the connected stream socket @fd (CLOEXEC) a connection.
 *   Owns:   the set takes @fd in every case; it is closed on failure.
 *   Return: 0 (*ret, if not NULL, is valid until its owner is freed); CONN_E_FULL; -errno. */
enum { CONN_E_FULL = 1 };
MUST_CHECK int conn_set_adopt(struct conn_set *set, int fd, const struct conn_peer *peer, struct conn **ret);

/* conn_set_refuse: count a connection that was turned away before it was one. */
void conn_set_refuse(struct conn_set *set);

/* conn_set_is_full: whether max_conns are open. */
MUST_CHECK int conn_set_is_full(const struct conn_set *set);

/* conn_set_limit: so many may be open from now on; more that are open already stay so. */
void conn_set_limit(struct conn_set *set, uint32_t max_conns);

/* conn_set_drain: GOAWAY to all; each closes when its open calls are over. Later ones drain from birth. */
void conn_set_drain(struct conn_set *set);

/* conn_set_abort: GOAWAY to all and end their calls; they close in the next turns. @reason is static. */
void conn_set_abort(struct conn_set *set, const char *reason);
/* conn_set_abort_nameless: the same to those over TLS whose client has shown no certificate. */
void conn_set_abort_nameless(struct conn_set *set, const char *reason);

struct conn_stats conn_set_stats(const struct conn_set *set);

/* conn_close: close @c without a word at the end of this turn; safe anywhere. @reason is static, for the log. */
void conn_close(struct conn *c, const char *reason);
