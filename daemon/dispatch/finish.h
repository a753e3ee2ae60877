// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A Finish of the contract as the engine takes it: result or error, usage, how the process ended. */
#include "engine/engine.h"
#include "grpc/messages.h"

/* finish_read: @m has exactly one of result and error. @ahead: what has come of its result in pieces, or NULL. A result of
 * more than @max_result_bytes becomes the error RESULT_TOO_LARGE. @wall: now, from which a start that nobody has told of is
 * reckoned.
 *   Owns:   on any result the caller, who calls finish_drop unless the engine has taken it.
 *   Return: 0; -ENOMEM; -EBADMSG (it contradicts itself). */
MUST_CHECK int finish_read(const struct finish_message *m, const struct buf *ahead, size_t max_result_bytes,
                           wall_ns_t wall, struct finish *ret);
void finish_drop(struct finish *finish);
