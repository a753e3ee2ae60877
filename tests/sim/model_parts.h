// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of the model share. */
#include "model.h"

#define MODEL_LAZY   (10 * NS_PER_MS) /* so long an acceptance or a start may wait for its commit */
#define MODEL_TOLD   NS_PER_S         /* so long what an attempt tells, where there is no other commit */
#define MODEL_MINUTE (60 * NS_PER_S)
#define MODEL_HOUR   (60 * MODEL_MINUTE)

/* model_note: something of future @i has changed that, @is_lazy, nobody need know of yet. model_fire: those who are tied to it
 * may be owed an answer, because it has changed or, @is_end, come to its end. model_tell: both. model_join: @i joins its
 * group; who waits for members gets an edge. */
void model_note(struct model *m, int i, int is_lazy);
void model_fire(struct model *m, int i, int is_end);
void model_tell(struct model *m, int i, int is_end);
void model_join(struct model *m, int i);

/* model_place: @i, in no place, to where it belongs now; @is_back: to its old place in its queue. model_take: out of where it
 * waits. model_place_again: what decides where it waits has changed. */
void model_place(struct model *m, int i, int is_back);
void model_take(struct model *m, int i);
void model_place_again(struct model *m, int i);

/* model_rotate: @function stands in the rotation exactly while it has ready tasks that may be claimed. */
void model_rotate(struct model *m, int function);
int model_has_ready(const struct model *m, int function);

/* model_judge: whether tasks of @function may be claimed is decided anew; model_judge_apart: it is not in the rotation now.
 * model_start_counts: @i was claimed. model_begins: it really runs. model_lease_ended: @i, which was, at that time, is not any more. */
void model_judge(struct model *m, int function);
void model_judge_apart(struct model *m, int function);
void model_start_counts(struct model *m, int i);
void model_begins(struct model *m, int i);
void model_lease_ended(struct model *m, int i, int is_unrun, mono_ns_t claimed_at);

/* model_slot_holder: who has that slot, -1 = nobody. _park: @i, which is the best of its queue, waits for its slot. _take: @i
 * has been claimed. _wake: if nobody has it, the best who waits for it may go for it. _leave: @i is taken out of where it
 * waits. */
int model_slot_holder(const struct model *m, int slot);
void model_slot_park(struct model *m, int i);
void model_slot_take(struct model *m, int i);
void model_slot_wake(struct model *m, int slot);
void model_slot_leave(struct model *m, int i);

/* model_stop: the worker that has @i is told to end. model_may_retry: whether an attempt may follow one that failed so. */
#define MODEL_GRACE (5 * NS_PER_S)
void model_stop(struct model *m, int i, enum stop why, int64_t grace_ns);
int model_may_retry(const struct model *m, const struct model_future *f, int is_retryable, int is_listed);

/* model_tie: @i has come to be: it depends on others now. model_depends_ended: it has ended, and does not any more; who depends
 * on it will hear. */
void model_tie(struct model *m, int i);
void model_depends_ended(struct model *m, int i);

/* model_end: future @i, which is in no place, has ended. model_lose_attempt: its attempt, or what may have been one, is lost;
 * @is_back as of model_place. */
void model_end(struct model *m, int i, enum model_at at, int32_t result, enum future_reason reason);
void model_lose_attempt(struct model *m, int i, int is_back, enum model_loss why);
