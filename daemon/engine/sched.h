// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Ready tasks: which one next? Each function has levels, one for each priority that occurs; within a level tasks wait
 * first in, first out. Functions with ready tasks stand in the engine's rotation and take turns: who was served goes to
 * its end. A task that comes back (released, lost) goes to the head of its level.
 *
 * Whatever may still come to a level (what is leased, what waits for a time or for another future) keeps it, so that
 * becoming ready cannot fail.
 *
 * The number of priorities is a peer's choice, so levels are found by a map and ordered by a heap. A level that has no
 * tasks and is not kept is freed, but for the one used last.
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
    uint32_t n_kept; /* for tasks that are elsewhere now */
};

void sched_init(struct sched *s, const struct hash_seed *seed, struct limits_account *account);
void sched_ready_init(struct sched *s, struct ready *r);

/* sched_ready_deinit: no tasks and no leases may be left. */
void sched_ready_deinit(struct sched *s, struct ready *r);

/* sched_level: the level of @priority, found or made, and kept for one task more, until that comes to it (sched_push,
 * sched_return) or never will (sched_done). 0, -ENOMEM (never where it is there already). */
MUST_CHECK int sched_level(struct sched *s, struct ready *r, int32_t priority, struct level **ret);

/* sched_kept: the level of @priority, which a task keeps. */
struct level *sched_kept(const struct ready *r, int32_t priority);

/* sched_push: @f to the end of @level, which is kept for it. sched_return: to its head. sched_done: it does not come. */
void sched_push(struct sched *s, struct level *level, struct future *f);
void sched_return(struct sched *s, struct level *level, struct future *f);
void sched_done(struct sched *s, struct level *level);

/* sched_remove: take @f, which waits in @r, out; its level is not kept. O(log levels). */
void sched_remove(struct sched *s, struct ready *r, struct future *f);

/* sched_pop: the best task of @r, out of its queue; its level is kept for it. NULL: empty.
 * Does not touch the rotation unless @r is empty now. */
struct future *sched_pop(struct sched *s, struct ready *r, struct level **ret);

/* sched_peek: the task that sched_pop would give; NULL: none. */
struct future *sched_peek(const struct ready *r);
