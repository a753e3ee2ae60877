// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What server.c (events come in) and call.c (answers go out) share: the insides of a connection and of a
 * call. Nobody else includes it.
 */
#include "base/heap.h"
#include "base/list.h"
#include "grpc/framing.h"
#include "grpc/hold.h"
#include "grpc/server.h"

struct grpc_conn {
    struct grpc_server *server;
    struct hold_gate *gate; /* the server's */
    struct h2_session *session;
    struct grpc_peer peer;
    size_t max_message_bytes, max_stored_bytes;
    size_t stored_bytes;             /* sum of the calls' stored */
    size_t held_bytes;               /* sum of what their holds keep */
    struct heap deadlines;           /* of calls that have one and are not over */
    struct list waiting;             /* complete unary requests: no room for replies, or no budget */
    struct list wanting;             /* calls that are told (on_writable) when the session has room again */
    struct list backlog;             /* streaming requests with something to hand over, and no budget */
    const struct h2_header *headers; /* of the call whose on_start runs, else NULL */
    size_t n_headers;
    mono_ns_t tick_at; /* when on_tick wants to be called */
    mono_ns_t turn;    /* what budget is counted for */
    uint32_t budget;   /* messages that may still be handed over in this turn */
    int is_freeing;
    struct framing_pool pool;
    struct buf details, text; /* for building trailers */
    struct buf sink;          /* what is written to a call that is over */
};

enum { CALL_METADATA_MAX = 16 };

/* Initial metadata that waits for the response's header block. */
struct call_metadata {
    uint32_t n;
    struct {
        const char *name;
        char *value;
    } items[CALL_METADATA_MAX];
};

struct grpc_call {
    struct grpc_conn *conn; /* NULL: a stream that was refused before it became a call */
    struct h2_stream *stream;
    const struct grpc_method *method;
    struct grpc_counts *counts; /* NULL: not a call of gRPC */
    void *user;
    const void *who;                /* as the guard says */
    uint64_t proof;                 /* likewise */
    struct list guarded;            /* in the server's, with who */
    struct hold *hold;              /* owned; NULL = what it says goes out at once */
    struct call_metadata *metadata; /* owned; NULL when there is none (left) */
    struct list link;               /* in conn's waiting or backlog */
    struct list wanting;            /* in conn's wanting: it asked to write when the session had no room */
    struct heap_item deadline;
    struct framing framing;
    size_t stored;            /* credited bytes in there, as counted in conn->stored_bytes */
    size_t uncredited;        /* bytes received that h2_stream_consume has not been told */
    size_t begun_at;          /* offset of the head of the begun message in its buffer */
    uint8_t code;             /* enum grpc_code: the status that was said */
    unsigned is_started : 1;  /* on_start has come, on_done is owed */
    unsigned is_over : 1;     /* our status, or a reset, is on its way: nothing more in or out */
    unsigned is_late : 1;     /* by the deadline */
    unsigned is_broken : 1;   /* reset because our memory failed */
    unsigned has_headers : 1; /* the response's header block was submitted */
    unsigned has_begun : 1;
    unsigned is_paused : 1;
    unsigned is_delivering : 1; /* call_read is on the stack */
    unsigned peer_ended : 1;
    unsigned has_half_closed : 1; /* and the handler has been told */
};

/* call_end: the call is over: out of every queue, nothing more is taken or sent. Again: no effect. */
void call_end(struct grpc_call *call);

/* call_fail: as grpc_call_fail with a reason and a formatted text. */
void call_fail(struct grpc_call *call, enum grpc_code code, const char *reason, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* call_count: what is stored of the request has changed. */
void call_count(struct grpc_call *call);

/* call_has_room: whether the session may be given more to send. */
MUST_CHECK int call_has_room(const struct grpc_conn *conn);

/* call_release: send what @call's hold keeps, as far as @seq lets it. */
void call_release(struct grpc_call *call, uint64_t seq);
/* call_abandon: drop what @call's hold keeps, and end it with @status. */
void call_abandon(struct grpc_call *call, const struct grpc_status *status);

/* call_drop_hold: nothing of it will be sent. */
void call_drop_hold(struct grpc_call *call);

/* call_credit: credit what was received, except @held bytes of it. */
void call_credit(struct grpc_call *call, size_t held);

/* call_free_metadata: forget initial metadata that was not sent. */
void call_free_metadata(struct grpc_call *call);

/* server_resume (server.c): pause was taken back: what is held goes on at the next tick. */
void server_resume(struct grpc_call *call);

/* call_is_streaming: whether the request is a stream, handed over message by message. */
static inline int call_is_streaming(const struct grpc_call *call)
{
    return call->method->kind == GRPC_CLIENT_STREAM || call->method->kind == GRPC_BIDI;
}
