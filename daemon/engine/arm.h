// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What must not run twice (on_lost FAIL) starts only when its acceptance, and that it is about to start, are durable.
 * The best task of a queue that is such a one is not claimed but armed: marked, out of the queue, its mark a fact. When that
 * is durable it goes back to the head of its queue, where it may be claimed. A daemon that finds the mark at its start
 * cannot know whether the task ran, and says so (OUTCOME_UNKNOWN). An armed task counts as reserved, without a lease.
 * Without a store nothing is armed: nothing would be left of it after a crash.
 */
#include "engine/future.h"

struct engine;

enum { ARM_MAX = 1024 }; /* armed at a time; beyond it their functions wait */

struct arm {
    struct list waiting; /* of struct future.queue, in the order of their marks */
    uint32_t n;
};

void arm_init(struct arm *a);

/* arm_best: @f, the best task of @fn: may it be claimed now? 0 yes; ARM_E_ARMED no, it is out of the queue;
 * ARM_E_FULL no, nor any other of @fn for now; -ENOMEM. */
enum arm_error { ARM_E_ARMED = 1, ARM_E_FULL };
MUST_CHECK int arm_best(struct engine *e, struct function *fn, struct future *f);

/* arm_return: back to their queues with all whose mark commit @durable_seq has. */
void arm_return(struct engine *e, uint64_t durable_seq);

/* arm_remove: take @f, which waits, out. */
void arm_remove(struct engine *e, struct future *f);

/* arm_disarm: @f was claimed and given back: it has not run. */
void arm_disarm(struct engine *e, struct future *f);
