// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The futures that a request names may be where only the store has them: they are brought into memory before it is done. */
#include "base/id.h"
#include "grpc/server.h"

/* preload: @run(@call, @message) when every future whose ID is a field @field of @ids (a part of @message) is in memory, if
 * there is one: at once, or later with a copy; or the call ends with what keeps them from being read. */
void preload(struct grpc_call *call, struct span message, struct span ids, uint32_t field,
             void (*run)(struct grpc_call *call, struct span message));

/* preload_status: the status for what keeps @id (NULL: any) from being read (enum futures_load_error, -ENOMEM). Returns @st. */
struct grpc_status *preload_status(struct grpc_status *st, int result, const struct id *id);

/* preload_drop: @call is over: nothing is run for it any more. To be called from on_done. */
void preload_drop(struct grpc_call *call);
