// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a turn does to futures and what it tells the world of it: every change of a future passes here, and is counted,
 * numbered, noted for the store and told to those who wait.
 */
#include "engine/engine.h"

/* turn_reserve: room for one more fact, so that turn_change cannot fail. 0, -ENOMEM. */
MUST_CHECK int turn_reserve(struct engine *e);
/* turn_reserve_some: for @n changes. */
MUST_CHECK int turn_reserve_some(struct engine *e, uint32_t n);

/* turn_promise: room for one more change of @f at any later time, until turn_promise_kept. 0, -ENOMEM. */
MUST_CHECK int turn_promise(struct engine *e, const struct future *f);
void turn_promise_kept(struct engine *e, const struct future *f);

/* turn_change: something of @f has changed. The caller has called turn_reserve. */
void turn_change(struct engine *e, struct future *f);

/* turn_change_lazily: the same; with a store it makes no commit by itself, and is not in one for STATE_LAZY_NS unless it is
 * shown. */
void turn_change_lazily(struct engine *e, struct future *f);

/* turn_tell: an attempt of @f has told something, which leaves the revision as it is. As turn_change_lazily, but it is committed
 * within STATE_TOLD_NS. */
void turn_tell(struct engine *e, struct future *f);

/* turn_relabel: @labels (taken; NULL = those of the task) in place of those of @f, and turn_change. */
void turn_relabel(struct engine *e, struct future *f, struct labels *labels);

/* turn_accept: @f, which is new, is PENDING. As turn_change_lazily, but it is committed within STATE_LAZY_NS. */
void turn_accept(struct engine *e, struct future *f);

/* turn_move: move @f and count it, then turn_change. Not to a terminal state. */
void turn_move(struct engine *e, struct future *f, enum future_state to);

/* turn_settle: the end of @f: state and outcome together, charged, in its line of retention, told. Takes @outcome. */
void turn_settle(struct engine *e, struct future *f, enum future_state to, struct outcome *outcome);

/* turn_work: @fn has ready tasks. turn_revoke: the worker of @lease should stop. */
void turn_work(struct engine *e, struct function *fn);
void turn_revoke(struct engine *e, struct lease *lease);

/* turn_forget: take @f out of everything and free it. Nothing may pin it and no lease may hold it. */
void turn_forget(struct engine *e, struct future *f);

/* turn_delete: turn_forget, and the store is told. 0, -ENOMEM (nothing changed). */
MUST_CHECK int turn_delete(struct engine *e, struct future *f);

/* turn_future_free: @f, which is in no list and no table, and all that hangs off it but its membership. */
void turn_future_free(struct engine *e, struct future *f);

/* turn_count: @f counts as being in its state. turn_uncount: not any more, though it does not leave it. */
void turn_count(struct engine *e, const struct future *f);
void turn_uncount(struct engine *e, const struct future *f);

/* turn_outcome: an empty outcome. NULL: no memory. turn_outcome_free: with its contents; NULL is allowed. */
MUST_CHECK struct outcome *turn_outcome(struct engine *e);
struct outcome *turn_outcome_free(struct engine *e, struct outcome *outcome);

/* turn_rare: the rare part of @f, made if it has none. NULL: no memory. */
MUST_CHECK struct future_rare *turn_rare(struct engine *e, struct future *f);

/* turn_rare_free: with its contents; discharging is the caller's. turn_cancel_free: likewise; NULL is allowed. */
void turn_rare_free(struct engine *e, struct future *f);
struct cancel_request *turn_cancel_free(struct engine *e, struct cancel_request *cancel);

/* turn_begin: forget what is due: the facts handed out last have been drained, so nobody looks at those any more.
 * turn_end: hand out the facts; what comes next. */
void turn_begin(struct engine *e);
void turn_end(struct engine *e);

/* turn_taken, turn_defer: engine.h. */
void turn_taken(struct engine *e);
void turn_defer(struct engine *e);
