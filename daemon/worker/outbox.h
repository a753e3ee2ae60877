// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the worker says on the Attach stream, gathered into one AttachRequest until it is flushed.
 *
 * A failed allocation is remembered and comes out of outbox_flush: nothing was lost from the stream, but the worker
 * cannot go on.
 *
 * Thread: whoever holds the baton.
 */
#include "base/clock.h"
#include "grpc/client.h"
#include "worker/attempt.h"
#include "worker/functions.h"

enum {
    OUTBOX_FINISHES = 64,           /* a batch is full with so many ... */
    OUTBOX_BYTES = 32 * 1024,       /* ... or with this */
    OUTBOX_CHUNK_BYTES = 64 * 1024, /* a result of more travels ahead in pieces */
};

struct outbox {
    struct buf fields; /* of the AttachRequest; credit and ping are added last */
    struct writer writer;
    uint32_t n_finishes, credit;
    uint64_t ping;        /* to be answered; 0 = none */
    mono_ns_t started_at; /* of the oldest finish in it */
};

struct hello {
    const char *name, *session_token;
    const struct functions *functions;
};

void outbox_init(struct outbox *o);
void outbox_deinit(struct outbox *o);

void outbox_hello(struct outbox *o, const struct hello *hello);
void outbox_started(struct outbox *o, const struct lease_ref *lease);
void outbox_returned(struct outbox *o, const struct lease_ref *lease);
void outbox_release(struct outbox *o, const struct lease_ref *lease, const char *reason);

/* outbox_finish: how @call ended. A result over OUTBOX_CHUNK_BYTES has been sent by outbox_send_chunk before. */
void outbox_finish(struct outbox *o, const struct futured_call *call, mono_ns_t now);

/* outbox_send_chunk: the piece of @call's result at @offset, as a message of its own.
 *   Return: how many bytes it took; -ENOMEM. */
MUST_CHECK int outbox_send_chunk(const struct futured_call *call, size_t offset,
                                 struct grpc_client_call *stream);

/* outbox_tell: what @call has said before its end, as much as there is room for. Whether there is more. */
int outbox_tell(struct outbox *o, struct futured_call *call);

static inline int outbox_is_empty(const struct outbox *o)
{
    return buf_len(&o->fields) == 0 && o->credit == 0 && o->ping == 0 && !o->writer.failed;
}

static inline int outbox_is_full(const struct outbox *o)
{
    return o->n_finishes >= OUTBOX_FINISHES || buf_len(&o->fields) >= OUTBOX_BYTES;
}

/* outbox_flush: what has gathered becomes one message of @stream. 0, -ENOMEM. */
MUST_CHECK int outbox_flush(struct outbox *o, struct grpc_client_call *stream);
