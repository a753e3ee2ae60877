// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The server side of gRPC on top of h2: a method table, and calls that go from headers to messages to a
 * status.
 *
 *   h2 events -> grpc_conn (one per session) -> grpc_call (embedded behind its stream) -> struct grpc_handler
 *
 * Rules:
 *  1. on_start comes first and on_done last, each exactly once, for every call that found its method. After
 * on_done nothing may touch the call. A handler that has ended the call (finish, fail) gets on_done later,
 * not inside.
 *  2. A message is checked against its size limit before a byte of it is buffered: RESOURCE_EXHAUSTED.
 *  3. A unary or server-streaming request is handed over whole, and only when the session has room for
 * replies, so a client that does not read costs at most H2_OUTPUT_HIGH_BYTES and one reply, and one that does not read
 * some of its streams at most H2_OUTPUT_MAX_BYTES and one, and still gets its other replies.
 *  4. A streaming request is credited as its messages are handed over; grpc_call_pause stops that.
 *  5. What one connection has sent of requests that are incomplete, and was credited for, is bounded (max_stored_bytes):
 *     beyond, the call that brings more ends RESOURCE_EXHAUSTED. Messages that wait for their turn are not credited, so
 *     the window bounds them.
 *  6. The deadline (grpc-timeout) ends the call with DEADLINE_EXCEEDED here; the handler learns it by
 * on_done.
 */
#include "base/hash.h"
#include "grpc/status.h"
#include "h2/session.h"

struct grpc_server;
struct grpc_conn;
struct grpc_call;

enum grpc_kind { GRPC_UNARY, GRPC_CLIENT_STREAM, GRPC_SERVER_STREAM, GRPC_BIDI };

/* Why a call is over, for on_done. */
enum grpc_end {
    GRPC_END_ANSWERED, /* the status went to the peer's window and socket buffer in order */
    GRPC_END_CANCELLED, /* the client reset the stream, or kept it waiting until h2 did (body, write timeout) */
    GRPC_END_DEADLINE,
    GRPC_END_LOST, /* the connection is gone, or there was no memory for the answer */
};

struct grpc_handler {
    void (*on_start)(struct grpc_call *call); /* may be NULL */
    /* One whole message, borrowed until return. UNARY and SERVER_STREAM: exactly one. */
    void (*on_message)(struct grpc_call *call, struct span message);
    void (*on_half_close)(struct grpc_call *call); /* CLIENT_STREAM and BIDI: no more messages */
    void (*on_writable)(struct grpc_call *call);   /* after grpc_call_is_writable was 0; may be NULL */
    void (*on_done)(struct grpc_call *call, enum grpc_end end); /* may be NULL */
};

struct grpc_method {
    const char *path; /* "/futured.v1.Futures/Get"; lives as long as the server */
    enum grpc_kind kind;
    const struct grpc_handler *handler; /* NULL: known, answers UNIMPLEMENTED */
    void *context;                      /* grpc_call_context; the service */
    uint8_t right; /* what the guard asks of the caller; its owner says what the numbers mean */
};

/* Who is at the other end; filled by the listener's owner, copied into the connection. */
struct grpc_peer {
    char address[128];   /* "127.0.0.1:50412", "unix:uid=1000,pid=4242", "worker:3" */
    char principal[128]; /* "" until there is authentication */
    int is_pool_worker;  /* the daemon's own child on a socketpair */
    uint64_t worker_key; /* of that child; 0 = none */
    void *credential;    /* what the guard knows of the connection; borrowed */
};

struct grpc_server_config {
    size_t max_message_bytes;        /* request messages */
    size_t max_worker_message_bytes; /* the same where the peer is a pool worker; 0 = max_message_bytes */
    size_t max_stored_bytes; /* of one connection: credited, and incomplete or waiting; 0 = 16 messages */
    uint32_t max_messages_per_recv; /* of one connection before others get their turn; 0 = no bound */
    struct hash_seed seed;          /* of the table of paths */
};

/* grpc_server_new: an empty table. Owns: the caller, after all its connections are freed. 0, -ENOMEM. */
MUST_CHECK int grpc_server_new(struct grpc_server **ret, const struct grpc_server_config *config);
struct grpc_server *grpc_server_free(struct grpc_server *server);

/* grpc_server_add: put @n rows into the table; they are borrowed and outlive the server.
 *   Return: 0; GRPC_E_EXISTS (a path twice); -ENOMEM. */
enum { GRPC_E_EXISTS = 1 };
MUST_CHECK int grpc_server_add(struct grpc_server *server, const struct grpc_method *methods, size_t n);

/* grpc_server_has_service: whether any row starts with "/@service/" ("" is the server itself: true). */
MUST_CHECK int grpc_server_has_service(const struct grpc_server *server, struct span service);
/* grpc_server_next_method: iterate over the rows in the order they were added; NULL starts, NULL ends. */
const struct grpc_method *grpc_server_next_method(const struct grpc_server *server,
                                                  const struct grpc_method *m);

/* What became of the calls of one method since the start. Who was reset or lost is counted by what the client sees. */
struct grpc_counts {
    const char *path; /* "" = all calls that found no row */
    uint64_t n_begun;
    uint64_t n_ended[GRPC_UNAUTHENTICATED + 1]; /* by enum grpc_code */
};
/* grpc_server_counts: the @i-th, in the order of the rows, that of no row last; NULL: there are no more. */
const struct grpc_counts *grpc_server_counts(const struct grpc_server *server, size_t i);

/* grpc_server_n_messages: how many request messages were handed to their methods. */
uint64_t grpc_server_n_messages(const struct grpc_server *server);

/* grpc_server_detour: until it is NULL, every call that begins and is not of the service @but ("grpc.health.v1.Health") is one
 * of @instead, whatever it asks for. Both are borrowed. */
void grpc_server_detour(struct grpc_server *server, const struct grpc_method *instead, const char *but);

/* grpc_server_guard: before a call begins, @check is asked with the value of its `authorization` ({NULL, 0}: it has none). It
 * returns 0, and may have told grpc_call_set_who; or ends the call and returns another number. NULL: all may begin. A call
 * that is detoured is not asked for. @over: a call is over, of which @check has told who calls; also when there is no @check
 * any more. */
typedef int grpc_guard_check(void *arg, struct grpc_call *call, struct span authorization);
typedef void grpc_guard_over(void *arg, const void *who);
void grpc_server_guard(struct grpc_server *server, grpc_guard_check *check, grpc_guard_over *over, void *arg);

/* grpc_server_review: ask @may of each open call of which the guard has told who calls. It returns 0; or another number, and
 * the call ends with the status that it has filled in. From the loop, outside of events. */
typedef int grpc_review_fn(void *arg, struct grpc_call *call, const void *who, uint64_t proof,
                           struct grpc_status *ret);
void grpc_server_review(struct grpc_server *server, grpc_review_fn *may, void *arg);

/* grpc_conn_new: a connection with its own h2 session in the server role.
 *   Owns:   the caller; grpc_conn_free frees the session too, after on_done for each call.
 *   Return: 0, -ENOMEM. */
MUST_CHECK int grpc_conn_new(struct grpc_conn **ret, struct grpc_server *server,
                             const struct h2_config *config, const struct grpc_peer *peer, mono_ns_t now);
struct grpc_conn *grpc_conn_free(struct grpc_conn *conn);
struct h2_session *grpc_conn_session(const struct grpc_conn *conn);

/* What a handler asks and says. None of these calls back into the handler. */
void *grpc_call_context(const struct grpc_call *call);
const struct grpc_method *grpc_call_method(const struct grpc_call *call);
const struct grpc_peer *grpc_call_peer(const struct grpc_call *call);
mono_ns_t grpc_call_now(const struct grpc_call *call);      /* of the event being handled */
mono_ns_t grpc_call_deadline(const struct grpc_call *call); /* CLOCK_NEVER = none */
/* The handler's own state; NULL at first. */
void *grpc_call_user(const struct grpc_call *call);
void grpc_call_set_user(struct grpc_call *call, void *user);

/* Who calls, as the guard has found, and @proof, which says to it how; NULL: there is none, or it did not say. */
const void *grpc_call_who(const struct grpc_call *call);
void grpc_call_set_who(struct grpc_call *call, const void *who, uint64_t proof);

/* grpc_call_drain: its connection takes no new calls, and closes when those that are open are over. */
void grpc_call_drain(struct grpc_call *call);

/* grpc_call_header: the value of a request header (lower-case name), {NULL, 0} when absent. Only inside
 * on_start. */
struct span grpc_call_header(const struct grpc_call *call, const char *name);

/* grpc_call_add_metadata: initial metadata, before the first message or status. @name is static, lower-case;
 * a name that ends in -bin is base64-encoded here. 0, -ENOMEM. */
MUST_CHECK int grpc_call_add_metadata(struct grpc_call *call, const char *name, struct span value);
/* grpc_call_send_headers: send the initial metadata now, before any message (they go with the first one
 * otherwise). */
MUST_CHECK int grpc_call_send_headers(struct grpc_call *call);

/* grpc_call_is_writable: whether a reply may be written now, by the stream's window and the session's room. When it
 * is not, on_writable comes once it is. */
MUST_CHECK int grpc_call_is_writable(struct grpc_call *call);
size_t grpc_call_pending(const struct grpc_call *call);

/* grpc_call_begin: start a reply message: append the payload to the returned buffer and nothing else, then
 * grpc_call_end (sends it) or grpc_call_undo (as if never begun). NULL: no memory. One at a time. */
MUST_CHECK struct buf *grpc_call_begin(struct grpc_call *call);
void grpc_call_end(struct grpc_call *call);
void grpc_call_undo(struct grpc_call *call);
/* grpc_call_send: a whole message. 0, -ENOMEM. */
MUST_CHECK int grpc_call_send(struct grpc_call *call, struct span message);

/* grpc_call_stamp: what is said from now on shows what commit @seq makes durable: it is held back, with all that comes after
 * it, until grpc_server_release has been told of @seq. Without effect when that is durable already. Not between
 * grpc_call_begin and _end. 0, -ENOMEM.
 * grpc_server_release: commits up to @seq are durable; sends what waited for that. From the loop, outside of events. */
MUST_CHECK int grpc_call_stamp(struct grpc_call *call, uint64_t seq);
void grpc_server_release(struct grpc_server *server, uint64_t seq);
/* grpc_server_abandon: what is held back will never be durable: none of it is sent, and its calls end with @status. From the
 * loop, outside of events. */
void grpc_server_abandon(struct grpc_server *server, const struct grpc_status *status);

/* grpc_call_finish: status OK. grpc_call_fail: any other; what was sent before still goes out. Both always
 * succeed: where memory fails the stream is reset with INTERNAL_ERROR. */
void grpc_call_finish(struct grpc_call *call);
void grpc_call_fail(struct grpc_call *call, const struct grpc_status *status);
/* grpc_call_fail_code: a status of a code, a reason and a text, without other details. */
void grpc_call_fail_code(struct grpc_call *call, enum grpc_code code, const char *reason,
                         const char *message);

/* grpc_call_pause: stop (1) or go on (0) handing over messages of a streaming request, its half-close too. What
 * waits comes later, never from inside. Other kinds: no effect. */
void grpc_call_pause(struct grpc_call *call, int paused);
