// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A child of the pool: a process with a thread or several, each of which is a worker (dispatch_key). They are drained together, and
 * stopped when none of them holds anything; they die together, and what they ran is told apart where it is known who of them
 * has brought that about.
 */
#include "dispatch/worker.h"

/* child_has: @w is a thread of @child. child_is_beside: of the same child as @other. */
static inline int child_has(uint64_t child, const struct worker *w)
{
    return worker_is_pool(w) && dispatch_child(w->key) == child;
}
static inline int child_is_beside(const struct worker *w, const struct worker *other)
{
    return w != other && child_has(dispatch_child(other->key), w);
}

/* child_join: @w is new: what was said of its child before it came holds for it. */
void child_join(struct worker *w);

/* child_is_left: @w has ended its stream in order, and its process goes on for those beside it. */
int child_is_left(const struct worker *w);

/* child_kill: the whole process, for what @w does; those beside it are not at fault. */
void child_kill(struct worker *w, const char *why);
