// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One RPC of the library, unary or streaming: requests out, replies into a queue, a status at the end. The
 * queue is bounded: above FUTURED_CALL_QUEUE_BYTES the reading of this call stops until it is emptied (the
 * window closes), unless the number of replies is known (max_queued).
 */
#include "base/id.h"
#include "client/lib/client.h"
#include "grpc/writer.h"

enum { FUTURED_CALL_QUEUE_BYTES = 1024 * 1024 };

struct futured_call {
    struct futured_client *client;
    struct grpc_client_call *grpc; /* NULL once it is over */
    struct buf queue;              /* replies, each behind its length */
    uint32_t n_queued;
    uint32_t max_queued;  /* how many replies there can be at a time; 0: any number, bounded by their bytes */
    unsigned is_over : 1; /* status is set */
    unsigned is_detached : 1;
    unsigned is_paused : 1;
    unsigned no_memory : 1;
    unsigned is_flooded : 1;         /* more replies than can be right */
    unsigned is_malformed : 1;       /* futured_call_break */
    char future_id[ID_TEXT_LEN + 1]; /* of the initial metadata `futured-id` */
    struct grpc_status status;
};

/* futured_call_new: open a call to the method @path, which is over by @timeout_ns (<= 0: none); @traceparent: for what is
 *   submitted by it, NULL: none.
 *   Owns:   the caller, futured_call_free.
 *   Return: FUTURED_OK, or a code noted in the client. */
MUST_CHECK int futured_call_new(struct futured_call **ret, struct futured_client *client, const char *path,
                                int64_t timeout_ns, const struct bytes *traceparent);
/* futured_call_free: a call that is not over is cancelled, or left to end by itself where @is_done (all that
 * it was for has come). NULL allowed. */
struct futured_call *futured_call_free(struct futured_call *call, int is_done);

/* futured_call_send: a request, written by @encode into @w. What is sent to a call that is over goes nowhere.
 * 0, -ENOMEM (nothing sent). */
typedef void (*futured_encode_fn)(struct writer *w, const void *arg);
MUST_CHECK int futured_call_send(struct futured_call *call, futured_encode_fn encode, const void *arg);
MUST_CHECK int futured_call_half_close(struct futured_call *call);

/* futured_call_next: wait for a reply; *ret is borrowed until futured_call_pop or the next wait.
 *   Return: 0; FUTURED_CALL_E_OVER (no more come; call->status); FUTURED_CALL_E_LATE (@until has passed). */
enum { FUTURED_CALL_E_OVER = 1, FUTURED_CALL_E_LATE = 2 };
MUST_CHECK int futured_call_next(struct futured_call *call, mono_ns_t until, struct span *ret);
/* futured_call_pop: forget the reply that futured_call_next has answered. */
void futured_call_pop(struct futured_call *call);
/* futured_call_break: what futured_call_next answered makes no sense: nothing more is read, the call ends INTERNAL. */
void futured_call_break(struct futured_call *call);

/* What makes something of a reply: 0; -ENOMEM; FUTURED_CALL_E_MALFORMED. */
enum { FUTURED_CALL_E_MALFORMED = 1 };
typedef int (*futured_decode_fn)(struct span reply, void *ret);

/* futured_call_ended: the code of a call that is over without the answer that was wanted, noted in the client; @future_id:
 * what it has accepted, "" where that stands in the initial metadata or is not known. */
int futured_call_ended(struct futured_call *call, const char *future_id);

/* futured_call_decoded: the code for what a decode function has said of a reply, noted in the client. */
MUST_CHECK int futured_call_decoded(struct futured_client *client, int r);
/* futured_call_late: the code of a wait that was too long, noted in the client. */
int futured_call_late(struct futured_client *client);
