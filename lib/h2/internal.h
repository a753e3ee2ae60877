// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of this room share. Who calls whom:
 *
 *   session.c  recv, send, tick's frame: enter -> nghttp2 or timers -> settle (events go up) -> leave
 *   record.c   nghttp2's callbacks: they write struct event and flags, submit an RST_STREAM at most
 *   stream.c   streams: birth, output, end; everything h2_stream_*
 *   timers.c   the timeouts and h2_session_tick
 *
 * Invariants:
 *  1. s->inside counts recv/send/tick/abort/free on the stack. Events go up only from h2_session_settle, which
 *     never nests; what happens outside asks for it by h2_session_touch.
 *  2. An event holds its stream's address. A stream is given back only by h2_stream_close, which runs when the
 *     events of this turn are all handed over, or for its EV_CLOSE, its last event.
 *  3. A stream that nghttp2 may still name has nghttp2's user data pointing to it; h2_stream_close clears that.
 *  4. s->pending_bytes is the sum of the streams' pending, and not below shut_bytes; s->n_streams the length of
 *     streams + closing.
 *  5. s->now is stale outside; what is stamped there waits in the _fresh lists until the next enter.
 */
#include "base/buf.h"
#include "base/list.h"
#include "h2/abuse.h"
#include "h2/mempool.h"
#include "h2/session.h"

#include <stdalign.h>

#include <nghttp2/nghttp2.h>

enum {
    H2_SLICE_BYTES = 16 * 1024,    /* input between two dispatches */
    H2_SPARE_STREAMS = 64,         /* kept in the free list */
    H2_SPARE_OUT_BYTES = 4 * 1024, /* of output buffer kept with each */
    H2_TRAILERS_INLINE = 2,
    H2_CONTROL_FRAMES_MAX = 8192, /* queued for a peer that does not read, beside four for each stream */
    H2_EVENTS_KEEP = 256,         /* capacities kept between turns */
    H2_FIELDS_KEEP = 512,
};
#define H2_LEAVE_NS  (1 * NS_PER_S)  /* for the answer to the notice that we leave */
#define H2_LINGER_NS (5 * NS_PER_S)  /* for the last bytes of a session that is over */
#define H2_REST_NS   (10 * NS_PER_S) /* without a stream before spare memory is given back */

struct h2_stream {
    struct h2_session *session;
    struct list link;       /* session's streams, closing or spare */
    struct list body_link;  /* session's body or body_fresh */
    struct list write_link; /* session's writing or writing_fresh: while output or our end waits */
    mono_ns_t body_at, write_at;
    struct buf out;    /* flushed bytes first, then what the owner has not flushed */
    size_t pending;    /* flushed */
    size_t unconsumed; /* received, not credited */
    int32_t id;
    uint32_t error;              /* for on_close, once in closing */
    unsigned int announced : 1;  /* the owner knows it */
    unsigned int gone : 1;       /* nghttp2 has closed it */
    unsigned int is_reset : 1;   /* RST_STREAM of ours submitted */
    unsigned int is_closing : 1; /* in closing: no event but on_close any more */
    unsigned int refused : 1;    /* answered 431 by us */
    unsigned int peer_ended : 1; /* END_STREAM received */
    unsigned int ended : 1;      /* END_STREAM sent */
    unsigned int responded : 1;  /* header block submitted */
    unsigned int finishing : 1;  /* our side ends after the buffered output */
    unsigned int deferred : 1;   /* nghttp2 waits for h2_stream_flush */
    unsigned int was_full : 1;   /* on_writable is owed */
    unsigned int expects : 1;    /* body_timeout runs */
    unsigned int got_final : 1;  /* client: the response's header block came */
    unsigned int incremental : 1;
    uint32_t n_trailers;
    nghttp2_nv *trailers; /* to inline_trailers or to one allocation with the bytes behind it */
    nghttp2_nv inline_trailers[H2_TRAILERS_INLINE];
    alignas(max_align_t) unsigned char user[];
};

enum event_kind { EV_HEADERS, EV_DATA, EV_END, EV_WRITABLE, EV_CLOSE, EV_GOAWAY };

struct event {
    struct h2_stream *stream;
    uint8_t kind;
    uint8_t flags;  /* EV_HEADERS: H2_END, H2_TRAILERS, EVENT_TOO_BIG */
    uint32_t n;     /* EV_HEADERS: fields; EV_CLOSE, EV_GOAWAY: the error */
    uint32_t first; /* EV_HEADERS: index of the first field */
    struct span data;
};

enum { EVENT_TOO_BIG = 4 };

struct field_ref {
    nghttp2_rcbuf *name, *value;
};

struct h2_session {
    nghttp2_session *ng;
    struct mempool pool;
    struct abuse abuse;
    struct h2_config config;
    const struct h2_ops *ops;
    void *user;
    void (*wake)(void *arg);
    void *wake_arg;
    enum h2_role role;
    unsigned int inside;
    mono_ns_t now;

    /* ends */
    int failed;             /* sticky -errno: close at once */
    const char *end_reason; /* static; NULL = open */
    const char *drain_reason;
    uint32_t end_error;
    const char *flood;      /* a bucket ran dry inside a callback */
    unsigned int ended : 1; /* GOAWAY submitted, no more events but on_close */
    unsigned int
            draining : 1; /* no new streams of ours; the peer's are over once its requests under way have come */
    unsigned int is_leaving : 1; /* a server's notice is out, the GOAWAY that counts is owed */
    unsigned int is_dead : 1;    /* the peer does not even take the last bytes */

    /* streams */
    struct list streams; /* open */
    struct list closing; /* ended by us, on_close is owed */
    struct list spare;   /* free */
    uint32_t n_streams, n_spare;
    struct h2_stream *last; /* of the latest callback: saves a look-up */
    size_t pending_bytes;
    size_t shut_bytes;      /* of these: behind the windows of single streams, when that was last known */
    unsigned int above : 1; /* there was no room: on_room is owed */

    /* the record of one turn */
    struct event *events;
    uint32_t n_events, cap_events;
    struct h2_header *fields;
    struct field_ref *refs; /* of the same index */
    uint32_t n_fields, cap_fields;
    size_t orphan_bytes; /* received for streams that are gone */
    /* the header block at hand */
    struct h2_stream *block; /* NULL: ignored */
    uint32_t block_first;
    uint32_t block_n, block_bytes; /* as counted, more than recorded when too big */

    /* output of the send at hand */
    struct buf *out;
    size_t out_limit;
    unsigned int paused : 1; /* the limit was reached inside a callback */

    /* timers */
    struct list body, body_fresh, writing, writing_fresh;
    mono_ns_t preface_at;  /* deadline; CLOCK_NEVER once SETTINGS came */
    mono_ns_t received_at; /* of the latest byte */
    mono_ns_t busy_at;     /* latest moment with a stream or a byte */
    mono_ns_t ping_at;     /* of the keepalive PING that waits; CLOCK_NEVER = none */
    size_t handed_bytes;   /* given out by send, not yet reported by sent */
    mono_ns_t handed_at;   /* since when nothing of them moved */
    mono_ns_t ended_at;
    mono_ns_t
            leave_at; /* is_leaving: when an answer to the notice is not waited for any longer; 0 = to be set */
    mono_ns_t owner_at; /* when on_tick wants to be called */
    unsigned int owner_woken : 1;
    unsigned int is_resting : 1; /* spare memory was given back */
};

/* --- session.c */

/* h2_session_end: GOAWAY(@error) with @reason; nothing more is recorded. Streams end in the next settle. */
void h2_session_end(struct h2_session *s, uint32_t error, const char *reason);
/* h2_session_fail: @r (-errno) from now on; the first one stays. Returns it. */
int h2_session_fail(struct h2_session *s, int r);
/* h2_session_touch: something is to be sent, or a timer moved; wakes the owner when nothing of us is running. */
void h2_session_touch(struct h2_session *s);
/* h2_session_enter, h2_session_leave: around everything that lets events go up. h2_session_settle: hand them over. */
void h2_session_enter(struct h2_session *s, mono_ns_t now);
void h2_session_settle(struct h2_session *s);
void h2_session_leave(struct h2_session *s);
/* h2_session_flooded: end the session if @reason is not NULL. */
void h2_session_flooded(struct h2_session *s, const char *reason);
/* h2_session_drain_for: as h2_session_drain, for @reason. on_notice: its notice is in the output, and the
 * PING goes behind it (nghttp2 would send one that was submitted before first; 0, -ENOMEM). h2_session_leave_off: its second step;
 * on_pong: a PING of ours with @payload (8 bytes) was answered. */
void h2_session_drain_for(struct h2_session *s, const char *reason);
MUST_CHECK int h2_session_on_notice(struct h2_session *s);
void h2_session_leave_off(struct h2_session *s);
void h2_session_on_pong(struct h2_session *s, const uint8_t *payload);

static inline int h2_session_is_open(const struct h2_session *s)
{
    return !s->ended && !s->failed;
}

/* --- record.c */

/* h2_record_callbacks: the set of callbacks for nghttp2. 0, -ENOMEM. */
MUST_CHECK int h2_record_callbacks(nghttp2_session_callbacks **ret);
/* h2_record_writable: note that @st has room again. */
int h2_record_writable(struct h2_stream *st);
/* h2_record_clear: forget all events and the fields that belong to whole blocks. */
void h2_record_clear(struct h2_session *s);
/* h2_record_free: forget everything, and the memory. */
void h2_record_free(struct h2_session *s);
/* h2_record_read, the data provider of every stream. */
ssize_t h2_record_read(nghttp2_session *ng, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                       nghttp2_data_source *source, void *user);

/* --- stream.c */

/* h2_stream_new: a stream of @s. NULL: no memory. */
MUST_CHECK struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id);
/* h2_stream_close: on_close(@error) and back to the free list. */
void h2_stream_close(struct h2_stream *st, uint32_t error);
/* h2_stream_refuse: answer 431 and forget the body. */
void h2_stream_refuse(struct h2_stream *st);
/* h2_stream_alive: a frame of its own came, so body_timeout starts again. */
void h2_stream_alive(struct h2_stream *st);
/* h2_stream_progress: @n pending bytes went out. */
void h2_stream_progress(struct h2_stream *st, size_t n);
void h2_stream_free_spare(struct h2_session *s);

/* --- timers.c */

void h2_timers_init(struct h2_session *s);
/* h2_timers_stamp: @s->now is fresh; what was stamped outside starts now. */
void h2_timers_stamp(struct h2_session *s);
