// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Where a PENDING future without a lease waits. There is one such place for each (enum place), decided here and nowhere
 * else: BLOCKED while dependencies are open, else DELAYED until its not_before, else BACKOFF until the pause after a failed
 * attempt is over, else READY. From READY the claim takes it, under a lease or ARMED (arm.h) or PARKED (held by a limit).
 *
 * Memory: a future that is not terminal and not READY, leased or not, keeps its lane (sched.h), and what
 * its other places need is made when it gets what may bring it there. So nothing here can fail.
 */
#include "engine/future.h"

struct engine;

/* place_keep: the lane for @f, which has none yet or is about to change its place. 0, -ENOMEM (not where it had one).
 * place_drop: it keeps it no more: it has ended, or does not come to be. */
MUST_CHECK int place_keep(struct engine *e, const struct future *f);
void place_drop(struct engine *e, const struct future *f);

/* place_put: @f, PENDING, without lease and in no place, to where it belongs now, by the lane that is kept for it.
 * @is_back: to its old place in its queue. Where it is ready, work is told. */
void place_put(struct engine *e, struct future *f, int is_back);

/* place_take: @f out of where it waits. It keeps nothing. */
void place_take(struct engine *e, struct future *f);

/* place_again: something that decides where @f waits has changed: it goes to where it belongs now. Nothing happens where
 * it has a lease, is not PENDING, or waits there already. */
void place_again(struct engine *e, struct future *f);
