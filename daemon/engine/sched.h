// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Ready tasks: which one next? Each function has levels, one for each priority that occurs; within a level tasks wait
 * first in, first out. Functions with ready tasks stand in the engine's rotation and take turns: who was served goes to
 * its end. A task that comes back (released, lost) goes to the head of its level, which a lease therefore keeps.
 *
 * The number of priorities is a peer's choice, so levels are found by a map and ordered by a heap. A level without
 * tasks and leases is freed, but for the one used last.
 */
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"

struct future;
struct limits_account;

struct sched {
    struct list rotation; /* of struct ready.rotation: those with ready tasks, next one first */
    struct hash_seed seed;
    struct limits_account *account;
};

/* The ready tasks of one function; embedded in it. */
struct ready {
    struct list rotation;
    struct heap levels;     /* those with tasks, highest priority first */
    struct map by_priority; /* all of them */
    struct level *last;     /* the one used last; NULL = none */
    uint64_t n;             /* tasks */
};

struct level {
    struct heap_item by_rank; /* in ready.levels while it has tasks */
    struct map_item by_priority;
    struct ready *ready;
    struct list futures; /* of struct future.queue */
    int32_t priority;
    uint32_t n_leases; /* tasks that may come back */
};

void sched_init(struct sched *s, const struct hash_seed *seed, struct limits_account *account);
void sched_ready_init(struct sched *s, struct ready *r);

/* sched_ready_deinit: no tasks and no leases may be left. */
void sched_ready_deinit(struct sched *s, struct ready *r);

/* sched_level: the level of @priority, found or made; to be used at once (sched_push) or given up (sched_tidy).
 * 0, -ENOMEM. */
MUST_CHECK int sched_level(struct sched *s, struct ready *r, int32_t priority, struct level **ret);

/* sched_push: @f to the end of @level. sched_remove: take @f, which waits in @r, out. O(log levels). */
void sched_push(struct sched *s, struct level *level, struct future *f);
void sched_remove(struct sched *s, struct ready *r, struct future *f);

/* sched_pop: the best task of @r, out of its queue; its level is kept until sched_return or sched_done. NULL: empty.
 * Does not touch the rotation unless @r is empty now. */
struct future *sched_pop(struct sched *s, struct ready *r, struct level **ret);

/* sched_peek: the task that sched_pop would give; NULL: none. */
struct future *sched_peek(const struct ready *r);

/* sched_return: @f, which came from @level, back to its head. sched_done: it does not come back. */
void sched_return(struct sched *s, struct level *level, struct future *f);
void sched_done(struct sched *s, struct level *level);

/* sched_tidy: free @level if nothing uses it and another was used after it. */
void sched_tidy(struct sched *s, struct level *level);
