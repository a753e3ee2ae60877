// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Ready tasks: which one next? Functions with ready tasks stand in the engine's rotation and take turns: who was served
 * goes to its end. Each function has levels, one for each priority that occurs; the highest with tasks is served. A level
 * has lanes, one for each fairness key that occurs (default: the principal), which take turns as well: deficit
 * round-robin in which every task costs the same, so that one turn is one task. Within a lane tasks wait in the order of
 * their submission. A lane is kept for every task that is somewhere else and may come to it: what comes back goes to its
 * old place, in front of what was submitted later.
 *
 * The number of priorities and of keys is a peer's choice, so levels are found by a map and ordered by a heap, and lanes
 * are found by a table. The first lane of a level is a part of it: where all have one key, nothing is hashed nor
 * allocated for it.
 * A level or lane without tasks, and not kept, is freed, but for the one used last.
 *
 * A function that may not start tasks (gate.h) is held: out of the rotation, its tasks in their places.
 */
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "engine/table.h"

struct future;
struct limits_account;
struct scope;

enum {
    SCHED_OLDER_MAX = 256, /* so many older tasks are stepped over by one that comes back */
    SCHED_LOOK_MAX = 1000, /* sched_position and sched_oldest look at so many lanes, and tasks of one lane */
};

struct sched {
    struct list rotation; /* of struct ready.rotation: those with ready tasks and not held, next one first */
    struct table lanes;   /* all but the first ones of their levels */
    struct hash_seed seed;
    uint64_t n_levels; /* ever */
    struct limits_account *account;
};

/* The ready tasks of one function; embedded in it. */
struct ready {
    struct list rotation;
    struct heap levels;     /* those with tasks, highest priority first */
    struct map by_priority; /* all of them */
    struct lane *last;      /* the one used last; NULL = none */
    uint64_t n;             /* tasks */
    int is_held;
};

struct lane {
    struct level *level;
    struct list futures;       /* of struct future.queue */
    struct list turn;          /* in level.turns while it has tasks */
    const struct scope *scope; /* one whose principal is its key; NULL = not known */
    uint64_t key;              /* hash of namespace and fairness key: two keys with one hash share a lane */
    uint64_t n;                /* tasks */
    uint32_t n_kept;           /* for tasks that are elsewhere now */
    int32_t priority;          /* of its level */
};

struct level {
    struct heap_item by_rank; /* in ready.levels while it has tasks */
    struct map_item by_priority;
    struct ready *ready;
    struct list turns; /* of struct lane.turn, next one first */
    struct lane first;
    uint64_t salt;     /* sets its lanes apart from those of other levels in sched.lanes */
    uint64_t n;        /* tasks */
    uint64_t n_others; /* lanes beside the first one */
    int32_t priority;
};

void sched_init(struct sched *s, const struct hash_seed *seed, struct limits_account *account);
void sched_deinit(struct sched *s);
void sched_ready_init(struct sched *s, struct ready *r);

/* sched_ready_deinit: no tasks may be left, and nothing kept. */
void sched_ready_deinit(struct sched *s, struct ready *r);

/* sched_keep: the lane of @f's priority and fairness key, found or made, and kept for it, until it comes (sched_push,
 * sched_return) or never will (sched_done). Neither may change meanwhile. 0, -ENOMEM (never where it is kept already). */
MUST_CHECK int sched_keep(struct sched *s, struct ready *r, const struct future *f);
int sched_is_kept(const struct sched *s, const struct ready *r, const struct future *f);

/* sched_push: @f to the end of its lane, which is kept for it. sched_return: to its old place there, in front of all that
 * were submitted later. sched_done: it does not come. */
void sched_push(struct sched *s, struct ready *r, struct future *f);
void sched_return(struct sched *s, struct ready *r, struct future *f);
void sched_done(struct sched *s, struct ready *r, const struct future *f);

/* sched_remove: take @f, which waits in @r, out; its lane is not kept. O(log levels). */
void sched_remove(struct sched *s, struct ready *r, struct future *f);

/* sched_pop: the best task of @r, out of its queue; its lane has had its turn, and is kept for it. NULL: empty. Does not
 * touch the rotation unless @r is empty now. sched_set_aside: the same, but that was no turn: it is not run yet. */
struct future *sched_pop(struct sched *s, struct ready *r);
struct future *sched_set_aside(struct sched *s, struct ready *r);

/* sched_peek: the task that sched_pop would give; NULL: none. */
struct future *sched_peek(const struct ready *r);

/* sched_hold: out of the rotation until sched_allow. Both may be said twice. */
void sched_hold(struct ready *r);
void sched_allow(struct sched *s, struct ready *r);

/* sched_position: how many tasks of @r are served before @f, which waits in it, if no more come. Returns whether that is
 * exact; else (more than SCHED_LOOK_MAX of something had to be looked at) it is an estimate. */
int sched_position(struct sched *s, const struct ready *r, const struct future *f, uint64_t *ret);

/* sched_oldest: of the tasks in @r the one that was submitted first, as far as SCHED_LOOK_MAX lanes tell. NULL: empty. */
const struct future *sched_oldest(const struct ready *r);

/* What a level, and a lane that is not its first, are charged with. */
uint64_t sched_level_bytes(void);
uint64_t sched_lane_bytes(void);
