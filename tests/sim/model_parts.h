// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of the model share. */
#include "model.h"

#define MODEL_LAZY   (10 * NS_PER_MS) /* so long an acceptance or a start may wait for its commit */
#define MODEL_MINUTE (60 * NS_PER_S)
#define MODEL_HOUR   (60 * MODEL_MINUTE)

/* model_note: something of future @i has changed that, @is_lazy, nobody need know of yet. model_fire: those who are tied to it
 * may be owed an answer, because it has changed or, @is_end, come to its end. model_tell: both. model_join: @i joins its
 * group; who waits for members gets an edge. */
void model_note(struct model *m, int i, int is_lazy);
void model_fire(struct model *m, int i, int is_end);
void model_tell(struct model *m, int i, int is_end);
void model_join(struct model *m, int i);

/* model_queue: @who is READY from now on. model_rotate: @function stands in the rotation exactly while it has ready tasks.
 * model_go_back: @i is READY again. */
void model_queue(struct model *m, struct model_future *who);
void model_rotate(struct model *m, int function);
void model_go_back(struct model *m, int i);

/* model_end: future @i has ended. model_lose_attempt: its attempt, or what may have been one, is lost. */
void model_end(struct model *m, int i, enum model_at at, int32_t result, enum future_reason reason);
void model_lose_attempt(struct model *m, int i);
