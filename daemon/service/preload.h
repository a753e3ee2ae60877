// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The futures that a request names may be where only the store has them: they are brought into memory before it is done. */
#include "base/id.h"
#include "grpc/server.h"

/* preload: @run(@call, @message) when every future whose ID is a field @field of @ids (a part of @message) is in memory, if
 * there is one: at once, or later with a copy; or the call ends with what keeps them from being read. */
void preload(struct grpc_call *call, struct span message, struct span ids, uint32_t field,
             void (*run)(struct grpc_call *call, struct span message));

/* What is to be in memory before something is done. */
struct preload_wants {
    struct span ids; /* part of the message: every ID in its fields @field */
    uint32_t field;
    const struct id *id;        /* and this one; NULL = none. Copied */
    struct span namespace, key; /* and who holds this idempotency key; {NULL, 0} = none. The key is copied */
    void (*run)(struct grpc_call *call, struct span message);
    void (*fail)(struct grpc_call *call, struct span message,
                 struct grpc_status *st); /* NULL: the call ends */
};

/* preload_all: as preload, for all of @wants: exactly one of run and fail is called, at once or later, or the call is over
 * before. Whether something that can be read is missing has been asked by the caller: preload_is_missing. */
void preload_all(struct grpc_call *call, struct span message, const struct preload_wants *wants);

/* preload_is_missing: whether @id may be where only the store has it. */
struct futures;
MUST_CHECK int preload_is_missing(const struct futures *s, const struct id *id);

/* preload_status: the status for what keeps @id (NULL: any) from being read (enum futures_load_error, -ENOMEM). Returns @st. */
struct grpc_status *preload_status(struct grpc_status *st, int result, const struct id *id);

/* preload_drop: @call is over: nothing is run for it any more. To be called from on_done. */
void preload_drop(struct grpc_call *call);
