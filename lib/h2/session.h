// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * HTTP/2 without I/O: bytes in, bytes out, time as an argument. The sole user of nghttp2, and the same for
 * both roles: server (daemon) and client (worker, library, load program).
 *
 *   socket --bytes--> h2_session_recv --events--> struct h2_ops      (the owner above: lib/grpc)
 *   socket <--bytes-- h2_session_send <--buffers-- h2_stream_*       (called by the owner above, at any time)
 *   clock  ---now---> h2_session_tick                                (timeouts; says when it wants to be called)
 *
 * Rules:
 *  1. nghttp2's callbacks only record. Events go up after nghttp2 has returned, so the owner above may call
 *     anything here from inside an event, h2_session_free excepted (h2_session_abort is the way).
 *  2. A stream lives from its on_headers (server) or h2_session_request (client) to the return of its
 *     on_close, which comes exactly once. The owner's object is embedded behind it (stream_user_bytes), zeroed
 *     at birth. After h2_stream_reset no event but on_close comes; what the owner still sends is dropped.
 *  3. Received data is credited to the peer only by h2_stream_consume; what is not consumed closes the
 *     window. What a stream leaves unconsumed is credited to the connection after its on_close.
 *  4. Output waits in the stream's buffer until the windows allow it; above a mark h2_stream_is_writable is 0,
 *     and where h2_session_has_room is 0 the owner above starts no new reply until on_room. What waits for the
 *     windows of single streams does not count there, up to H2_OUTPUT_MAX_BYTES: streams that the peer leaves
 *     unread must not hold up those that it reads.
 *     Reading NEVER stops because output waits: the peer's WINDOW_UPDATE, without which that output would never
 *     leave, comes by the same socket. What a peer may send meanwhile is bounded by the windows, max_streams and
 *     the buckets of rule 5. (h2_session_wants_read is 0 only once the session is over.)
 *  5. Every flood that nghttp2 does not limit is counted in a token bucket here; a bucket run dry ends the
 *     session with GOAWAY(ENHANCE_YOUR_CALM), and h2_session_end_reason names it.
 * Thread: one session, one thread.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"

struct h2_session;
struct h2_stream;

enum h2_role { H2_SERVER, H2_CLIENT };

/* RFC 9113 section 7 */
enum h2_error {
    H2_NO_ERROR = 0x0,
    H2_PROTOCOL_ERROR = 0x1,
    H2_INTERNAL_ERROR = 0x2,
    H2_FLOW_CONTROL_ERROR = 0x3,
    H2_REFUSED_STREAM = 0x7,
    H2_CANCEL = 0x8,
    H2_ENHANCE_YOUR_CALM = 0xb,
    H2_INADEQUATE_SECURITY = 0xc,
};

enum {
    H2_OUTPUT_HIGH_BYTES = 1024 * 1024,     /* of one session: above it no new reply is started */
    H2_OUTPUT_MAX_BYTES = 16 * 1024 * 1024, /* the same, with what waits for the windows of single streams */
    H2_STREAM_HIGH_BYTES = 256 * 1024,      /* of one stream: above it h2_stream_is_writable is 0 ... */
    H2_STREAM_LOW_BYTES = 64 * 1024,        /* ... and at or below it on_writable comes */
    H2_HEADERS_MAX = 128,                   /* header fields of one block */
};

struct h2_header {
    struct span name, value;
};

/* What a peer may do before it is taken for an attack: a token bucket of @burst, refilled at @per_second. */
struct h2_rate {
    uint32_t burst, per_second;
};

struct h2_config {
    uint32_t max_streams;         /* concurrent, opened by the peer; 0 for a client */
    uint32_t stream_window_bytes; /* our receive windows; < 2^31 */
    uint32_t connection_window_bytes;
    uint32_t max_header_list_bytes; /* names + values + 32 each (RFC 9113 section 6.5.2), enforced */
    /* Times; 0 = none. */
    int64_t preface_timeout_ns; /* connection start -> first SETTINGS */
    int64_t headers_timeout_ns; /* first byte of a header block -> its end */
    int64_t body_timeout_ns; /* a stream that is owed a frame and gets none (h2_stream_expect_body): reset */
    int64_t idle_timeout_ns; /* no stream open and no byte: GOAWAY(NO_ERROR) */
    /* A stream's output waits and the window lets nothing out: the stream is reset with ENHANCE_YOUR_CALM, which gRPC
     * clients read as RESOURCE_EXHAUSTED. Bytes given out wait and the
     * socket takes none: the session is dead. */
    int64_t write_timeout_ns;
    int64_t keepalive_ns;         /* silence before a PING of ours */
    int64_t keepalive_timeout_ns; /* PING -> any byte */
    /* What a peer may do; beyond: GOAWAY(ENHANCE_YOUR_CALM) and this end reason. */
    struct h2_rate resets;         /* RST_STREAM, streams refused before our SETTINGS came: reset_flood */
    struct h2_rate provoked;       /* stream errors that make us send RST_STREAM: provoked_reset_flood */
    struct h2_rate pings;          /* beyond one for each DATA frame either way: ping_flood */
    struct h2_rate settings;       /* and GOAWAY: settings_flood */
    struct h2_rate priorities;     /* and frames of unknown types: priority_flood */
    struct h2_rate window_updates; /* beyond two for each DATA frame or stream: window_update_flood */
    struct h2_rate empty_data;     /* DATA without payload and without END_STREAM: empty_data_flood */
    uint32_t stream_user_bytes;    /* of the owner's object behind each stream */
};

/* h2_config_server, h2_config_client: the defaults for each role (a stranger's rates for a server). */
struct h2_config h2_config_server(void);
struct h2_config h2_config_client(void);

enum { H2_END = 1 /* the peer half-closed with this */, H2_TRAILERS = 2 };

/* Events, called from h2_session_recv, _send, _tick, _abort and _free, never from h2_stream_*. */
struct h2_ops {
    /* A whole header block: request, response (1xx are dropped) or trailers. Headers are borrowed until
     * return. @flags: H2_END, H2_TRAILERS. A request beyond max_header_list_bytes or H2_HEADERS_MAX comes with
     * n = 0, has been answered 431 and sends nothing else; other blocks beyond them reset their stream. */
    void (*on_headers)(struct h2_stream *s, const struct h2_header *headers, size_t n, int flags);
    /* Payload, borrowed until return; to be credited by h2_stream_consume, now or later. */
    void (*on_data)(struct h2_stream *s, struct span data);
    /* The peer half-closed by DATA (when it did so by headers, H2_END said it). */
    void (*on_end)(struct h2_stream *s);
    /* The stream can take output again after h2_stream_is_writable was 0. */
    void (*on_writable)(struct h2_stream *s);
    /* The stream is over; the last event. H2_NO_ERROR: in order (a server has ended its side, a client has got
     * the end of the response), never a peer's RST_STREAM(NO_ERROR) in the middle, which is H2_CANCEL at a
     * server and H2_INTERNAL_ERROR at a client. When the session is over, h2_session_end_reason says why. */
    void (*on_close)(struct h2_stream *s, uint32_t error);
    /* Time for the owner's own timers; returns when it wants to be called next (CLOCK_NEVER allowed). */
    mono_ns_t (*on_tick)(void *user, mono_ns_t now);
    /* Client: the server goes away; streams above what it took come with on_close(H2_REFUSED_STREAM). */
    void (*on_goaway)(void *user, uint32_t error);
    /* Output was above H2_OUTPUT_HIGH_BYTES or H2_OUTPUT_MAX_BYTES and has come down by half of the former. From
     * h2_session_recv or _send, or when streams ended; may be NULL. */
    void (*on_room)(void *user);
};

/* h2_session_new: a session with its preface and SETTINGS ready to be sent.
 *   Owns:   the caller, h2_session_free. @ops and @user outlive it. Config is copied.
 *   Return: 0, -ENOMEM. */
MUST_CHECK int h2_session_new(struct h2_session **ret, enum h2_role role, const struct h2_config *config,
                              const struct h2_ops *ops, void *user, mono_ns_t now);

/* h2_session_free: on_close(H2_CANCEL) for every open stream, then free. Not from inside an event. NULL is
 * allowed. */
struct h2_session *h2_session_free(struct h2_session *s);

/* h2_session_on_wake: @wake(@arg) is called when there is output to send, or a timer moved, because of a call
 * that did not come from recv, send or tick. It must only note that (mark dirty). */
void h2_session_on_wake(struct h2_session *s, void (*wake)(void *arg), void *arg);

/* h2_session_recv: take all @n received bytes; events go up before it returns.
 *   Return: 0; H2_E_OVER (ended: send what is left, then close; end_reason says why); -ENOMEM (close at
 * once). */
enum { H2_E_OVER = 1 };
MUST_CHECK int h2_session_recv(struct h2_session *s, const uint8_t *p, size_t n, mono_ns_t now);

/* h2_session_send: append what may be sent now to @out, until it holds about @limit bytes (a frame may exceed
 * it). on_writable and on_close come from here.
 *   Return: 0, -ENOMEM (close at once). */
MUST_CHECK int h2_session_send(struct h2_session *s, struct buf *out, size_t limit, mono_ns_t now);

/* h2_session_sent: @n bytes went into the socket (feeds write_timeout). */
void h2_session_sent(struct h2_session *s, size_t n, mono_ns_t now);

/* h2_session_tick: do what is due. Returns when it wants to be called next, at the latest: ask again after
 * each recv, send, sent and wake. Costs what is due, not what is open. */
mono_ns_t h2_session_tick(struct h2_session *s, mono_ns_t now);

/* h2_session_now: the @now of the latest recv, send, sent or tick (at first of new); what events go by. */
mono_ns_t h2_session_now(const struct h2_session *s);

/* h2_session_wake: the owner above has work for on_tick: calls @wake (inside events too), and the next
 * h2_session_tick calls on_tick whatever time it had asked for. */
void h2_session_wake(struct h2_session *s);

MUST_CHECK int h2_session_wants_read(const struct h2_session *s);
MUST_CHECK int h2_session_wants_write(const struct h2_session *s);
/* h2_session_is_over: nothing more will be read or written; close once the output buffer is empty. */
MUST_CHECK int h2_session_is_over(const struct h2_session *s);
/* h2_session_is_dead: close at once, whatever the output buffer holds: the peer takes nothing (write_timeout,
 * or a few seconds after the session has ended), or memory failed. */
MUST_CHECK int h2_session_is_dead(const struct h2_session *s);

/* h2_session_end_reason: a stable word for the log, "" while open: what h2_session_abort said; a flood of
 * struct h2_config, continuation_flood, ack_flood, output_flood; preface_timeout, headers_timeout, idle_timeout,
 * write_timeout, keepalive_timeout; drained, peer_goaway; bad_preface, protocol_error, compression_error,
 * flow_control_error, frame_size_error, internal_error; no_memory. */
const char *h2_session_end_reason(const struct h2_session *s);

/* h2_session_drain: GOAWAY; streams that are open go on, new ones are refused; over when the last has ended. A server gives
 * notice first, and takes what the peer had begun before it read that. */
void h2_session_drain(struct h2_session *s);

/* h2_session_abort: GOAWAY(@error) now, all streams end with @error (H2_CANCEL for H2_NO_ERROR): at once, or
 * after the event it is called from. @reason is static. */
void h2_session_abort(struct h2_session *s, uint32_t error, const char *reason);

void *h2_session_user(const struct h2_session *s);
uint32_t h2_session_n_streams(const struct h2_session *s);
/* h2_session_pending_bytes: output waiting in streams, not yet taken by h2_session_send. */
size_t h2_session_pending_bytes(const struct h2_session *s);
/* h2_session_has_room: whether the owner above, which holds @held bytes back itself, may start another reply. */
int h2_session_has_room(const struct h2_session *s, size_t held);
/* h2_session_memory_bytes: what the session holds, for accounting: nghttp2, streams, what waits to be sent. */
size_t h2_session_memory_bytes(const struct h2_session *s);

/* h2_session_request (client): open a stream. Headers are copied. @end: no body.
 *   Return: 0; H2_E_REFUSED (draining, over, or the server's stream limit is reached); -ENOMEM. */
enum { H2_E_REFUSED = 2 };
MUST_CHECK int h2_session_request(struct h2_session *s, const struct h2_header *headers, size_t n, int end,
                                  struct h2_stream **ret);

struct h2_session *h2_stream_session(const struct h2_stream *s);
/* h2_stream_user: the owner's stream_user_bytes behind @s; h2_stream_of_user: the way back. */
void *h2_stream_user(struct h2_stream *s);
struct h2_stream *h2_stream_of_user(void *user);
int32_t h2_stream_id(const struct h2_stream *s);

/* h2_stream_respond (server): the response's header block, once. @end: no body, no trailers (trailers-only).
 * Names and values are copied unless @is_static: then each of them lives for ever. 0, -ENOMEM. */
MUST_CHECK int h2_stream_respond(struct h2_stream *s, const struct h2_header *headers, size_t n, int end,
                                 int is_static);

/* h2_stream_out: the stream's output buffer, to be appended to directly; follow with h2_stream_flush. Nothing
 * goes out before that, so what was appended since the last one may be taken back from the end. */
struct buf *h2_stream_out(struct h2_stream *s);
/* h2_stream_flush: tell the session that h2_stream_out has grown. */
void h2_stream_flush(struct h2_stream *s);

/* h2_stream_finish: flush, and after the output end our side, with trailers (server) or plainly (@n = 0). A
 * server's stream whose peer has not half-closed is then reset with NO_ERROR (RFC 9113 section 8.1). Names and
 * values are copied unless @is_static. 0, -ENOMEM. */
MUST_CHECK int h2_stream_finish(struct h2_stream *s, const struct h2_header *trailers, size_t n,
                                int is_static);

/* h2_stream_reset: RST_STREAM now; buffered output is dropped; on_close(@error) follows from the session's
 * call at hand or its next one (H2_CANCEL for H2_NO_ERROR). */
void h2_stream_reset(struct h2_stream *s, uint32_t error);

/* h2_stream_consume: @n received bytes need no room any more: credit the peer. */
void h2_stream_consume(struct h2_stream *s, size_t n);

/* h2_stream_expect_body: whether the owner waits for the peer to send (starts or stops body_timeout). A
 * stream that the peer has just opened expects. Streams whose peer may pause for long (bidi) turn it off. */
void h2_stream_expect_body(struct h2_stream *s, int expects);

/* h2_stream_is_writable: whether the owner should add output; after a 0 on_writable comes. */
MUST_CHECK int h2_stream_is_writable(const struct h2_stream *s);
/* h2_stream_pending: flushed bytes that h2_session_send has not taken. */
size_t h2_stream_pending(const struct h2_stream *s);
