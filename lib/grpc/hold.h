// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a call has said but may not send yet, because it shows something that is not durable: messages already framed,
 * with marks of how far each commit sequence lets them go, and the end of the call. A call has a hold only while there
 * is something to keep; then all it says goes there, in order. Used by call.c; released by grpc_server_release.
 */
#include "base/buf.h"
#include "base/list.h"
#include "grpc/status.h"

struct grpc_call;

/* What all holds of a server wait for. */
struct hold_gate {
    uint64_t durable_seq;
    struct list held; /* of struct hold.link */
};

struct hold_mark {
    uint64_t seq; /* durable from here on: ... */
    size_t end;   /* ... bytes up to here (counted from the first byte ever held) may go */
};

struct hold {
    struct list link; /* in the gate's held */
    struct grpc_call *call;
    uint64_t stamp; /* of what is said from now on; never goes down */
    struct buf out;
    size_t n_sent;              /* bytes ever taken out of out */
    struct buf marks;           /* of struct hold_mark, oldest first; seq and end rise */
    struct grpc_status *status; /* owned; the end is this, NULL = OK */
    int is_finished;            /* the end has been said */
};

/* hold_new: empty, stamped. NULL: no memory. hold_free: out of the list too; NULL is allowed; returns NULL. */
MUST_CHECK struct hold *hold_new(struct grpc_call *call, uint64_t stamp);
struct hold *hold_free(struct hold *h);

/* hold_mark: all that has been said so far goes with the current stamp. 0, -ENOMEM. */
MUST_CHECK int hold_mark(struct hold *h);

/* hold_ready: how many bytes of out may go when @seq is durable; 1 = and then nothing is left to wait for. Drops the marks
 * that are reached; *ret_is_reached: whether any was. */
int hold_ready(struct hold *h, uint64_t seq, size_t *ret_bytes, int *ret_is_reached);
