// SPDX-License-Identifier: Apache-2.0
#pragma once
/* ListWorkers: who is attached, what each serves, holds and has done. */
#include "dispatch/worker.h"
#include "grpc/server.h"

/* roster_handler: of the method's row, whose context is the struct dispatch. */
extern const struct grpc_handler roster_handler;

/* roster_show: @w is about to be put into a reply on @call, which has not begun: what it runs is shown by that. 0, -ENOMEM.
 * roster_put: as a WorkerInfo, as field @number of the reply that @wr writes, in at most about @room bytes: what has no room is
 * left out. */
MUST_CHECK int roster_show(struct grpc_call *call, struct worker *w);
void roster_put(const struct grpc_call *call, struct writer *wr, uint32_t number, const struct worker *w,
                size_t room);
