// SPDX-License-Identifier: Apache-2.0
#pragma once
/* DrainWorker and KillWorker: somebody wants a worker to end, when it has finished what it runs or at once. */
#include "dispatch/worker.h"
#include "grpc/server.h"

/* steer_drain_handler, steer_kill_handler: of the rows of the methods, whose context is the dispatch. */
extern const struct grpc_handler steer_drain_handler, steer_kill_handler;

/* steer_drain: it gets nothing more, gives back what it has not begun, and ends when it holds nothing; @timeout_ns (0 = none)
 * later all the same. steer_kill: the process of a child is killed, the session of another is over; @w may be freed. */
void steer_drain(struct worker *w, mono_ns_t now, struct span why, int64_t timeout_ns);
void steer_kill(struct worker *w, const char *why);
