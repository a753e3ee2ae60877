// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The reference: what the engine must say, told by code that is as plain as it can be. Futures are entries of one array
 * and never leave it; queues are found by looking at all of them; waiters count by looking at all their edges. Nothing
 * of the engine is used but its public types.
 */
#include "engine/engine.h"

enum { MODEL_FUTURES = 4096, MODEL_WAITERS = 48, MODEL_EDGES = 64, MODEL_FUNCTIONS = 8, MODEL_WORKERS = 16 };

enum model_at { AT_READY, AT_RESERVED, AT_RUNNING, AT_SUCCEEDED, AT_FAILED, AT_CANCELLED };

struct model_future {
    struct id id;
    int scope, function, group; /* group -1 = none */
    int32_t priority;
    enum durability durability;
    enum on_lost on_lost;
    int64_t retention_ns; /* of its own, < 0 = default */
    enum model_at at;
    int is_cancel, is_gone, is_changed, is_deleted;
    int worker; /* who holds it */
    uint32_t n_claims, n_attempts, n_losses;
    int64_t turn; /* READY: when it is the turn of its scope among those of its function and priority: lower first */
    int label; /* < 0 = as submitted */
    int32_t result;
    enum future_reason reason;
    wall_ns_t end_time, expire_time;
    uint32_t n_pins, n_overdue;
    uint64_t revision;
};

struct model_edge {
    int future;     /* < 0 = free */
    uint32_t value; /* the edge's cookie */
    int is_news;
};

struct model_waiter {
    enum waiter_mode mode;
    uint32_t wanted, to_come; /* to_come: members of its group */
    int is_used;
    int scope, group;
    int must_answer; /* the engine owes an entry in the answers of this turn */
    struct model_edge edges[MODEL_EDGES];
};

struct model_worker {
    int is_used;
    uint32_t serves; /* bits by function */
};

struct model {
    wall_ns_t wall;
    struct model_future futures[MODEL_FUTURES];
    struct model_waiter waiters[MODEL_WAITERS];
    struct model_worker workers[MODEL_WORKERS];
    int n_futures, n_functions;
    int rotation[MODEL_FUNCTIONS], n_rotation; /* functions with ready tasks */
    int64_t next_turn;
};

void model_init(struct model *m);

static inline int model_is_terminal(const struct model_future *f)
{
    return f->at >= AT_SUCCEEDED;
}

/* model_find: the index of the future with @id that is not gone, -1 = none. */
int model_find(const struct model *m, const struct id *id);

/* model_submit: a new READY future like @like; its index. Joins its group, which gives edges to those who expect it. */
int model_submit(struct model *m, const struct model_future *like);

/* model_claim: take up to @n tasks (of @max asked for) as @worker, of functions in @eligible; their indexes in order. How
 * many. When @n < *what could be had* the engine ran out of memory there. */
int model_claim(struct model *m, int worker, uint32_t eligible, int max, int n, int *ret);

void model_start(struct model *m, int i);
void model_finish(struct model *m, int i, int is_error, int32_t result);
void model_release(struct model *m, int i);
void model_lose(struct model *m, int i);
void model_cancel(struct model *m, int i);
void model_annotate(struct model *m, int i, int label);

/* model_wait: one more edge. model_wait_group: to all members, and to those to come. model_unwait: one edge less.
 * model_drop: all of them, and the waiter is free again. */
int model_n_edges(const struct model_waiter *w);
void model_wait(struct model *m, int w, int i);
uint32_t model_group_size(const struct model *m, int scope, int group);
void model_wait_group(struct model *m, int w, int scope, int group, uint32_t expect);
void model_unwait(struct model *m, int w, int i);
void model_drop(struct model *m, int w);
void model_seen(struct model *m, int w, int i);

/* model_is_ready: by the waiter's mode. */
int model_is_ready(const struct model *m, const struct model_waiter *w);

/* model_ends: how many edges of @w have a future that is not terminal, is terminal, has FAILED. */
void model_ends(const struct model *m, const struct model_waiter *w, uint32_t *pending, uint32_t *done,
                uint32_t *failed);
