// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who waits for futures. A waiter is embedded by its owner (a call of Run, RunStream, Wait, AsCompleted or
 * Watch) and tied to futures by edges. Level-triggered: when something happened that may interest it, the
 * waiter is put once into the turn's list of answers (engine.h); its owner then looks at the waiter and
 * pulls what is ready, as far as its peer reads. An edge pins its future against retention until it is
 * dropped.
 */
#include "engine/future.h"

enum waiter_mode {
    WAITER_ALL,             /* ready when every edge's future is terminal */
    WAITER_FIRST_EXCEPTION, /* ... or one of them is FAILED */
    WAITER_COUNT,           /* ready when `wanted` of them are terminal (FIRST_COMPLETED: 1), or all */
    WAITER_EACH,            /* ready whenever `done` is not empty: completion order, each once */
    WAITER_WATCH, /* ready while `done` has edges whose future changed (waiter_seen puts one back) */
};

struct group;

enum { EDGE_JOINED = 1 }; /* cookie of those that engine_wait_joiners ties */

struct edge {
    struct list of_waiter;      /* in its waiter's pending or done list */
    struct edge *next, **pprev; /* in its future's list */
    struct waiter *waiter;
    struct future *future;
    struct bytes *tag; /* the owner's, given back with the future; NULL = none */
    uint32_t cookie;   /* likewise */
};

struct scope;

struct waiter {
    struct list answer; /* in the turn's answers while there is news */
    enum waiter_mode mode;
    uint32_t wanted; /* WAITER_COUNT */
    uint32_t expect; /* members a group must have before ALL may be ready; 0 = as many as there are */
    struct list pending, done;            /* edges; done in completion order, for WATCH those with news */
    uint32_t n_pending, n_done, n_failed; /* edges by their futures: not terminal, terminal, FAILED */
    uint32_t n_missing;                   /* the owner's: IDs that nobody knows; they count as done */
    struct list expecting;                /* in its group's list while members are missing */
    struct group *group;                  /* that group */
    const struct scope *scope;            /* who waits for members: those that it may see */
    struct edge *spare;                   /* for members to come, so that joining cannot fail */
    void *user;
};

/* waiter_init: no edges. The owner must engine_waiter_drop before it frees the memory. */
void waiter_init(struct waiter *w, enum waiter_mode mode, uint32_t wanted, void *user);

/* waiter_is_ready: by mode, as above. A waiter without edges is ready (but EACH and WATCH are not). */
MUST_CHECK int waiter_is_ready(const struct waiter *w);

/* waiter_first_done: the oldest finished edge, or NULL. The edge stays until engine_unwait. */
struct edge *waiter_first_done(const struct waiter *w);

/* waiter_seen: the news of @edge, of a WATCH, have been taken: it leaves `done` until its future changes again. */
void waiter_seen(struct edge *edge);
