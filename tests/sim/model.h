// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The reference: what the engine must say, told by code that is as plain as it can be. Futures are entries of one array
 * and never leave it; queues are found by looking at all of them; waiters count by looking at all their edges. Nothing
 * of the engine is used but its public types.
 *
 * With a store it also knows what the disk has: each commit leaves behind how its futures were at that time, and when the
 * disk has it these copies are what a start must find (model_kept, model_restart).
 */
#include "engine/engine.h"

enum { MODEL_FUTURES = 4096, MODEL_WAITERS = 48, MODEL_EDGES = 64, MODEL_FUNCTIONS = 8, MODEL_WORKERS = 16 };

enum model_at {
    AT_READY,
    AT_ARMED /* its mark is on the way to the disk */,
    AT_RESERVED,
    AT_RUNNING,
    AT_SUCCEEDED,
    AT_FAILED,
    AT_CANCELLED
};

struct model_future {
    struct id id;
    uint32_t task, task_bytes;  /* a number that no other has, at both ends of so many bytes */
    int scope, function, group; /* group -1 = none */
    int key;                    /* idempotency key that it holds; 0 = none */
    int32_t priority;
    enum durability durability;
    enum on_lost on_lost;
    int64_t retention_ns; /* of its own, < 0 = default */
    enum model_at at;
    int is_cancel, is_changed;
    int is_now;                    /* it must be in the next commit, whichever that is */
    int is_gone;                   /* forgotten, or lost with the memory of a daemon */
    int is_out, is_stored;         /* only the disk has it; the store has been told of it */
    int is_deleted, was_due;       /* by somebody; its retention has ended, at least for a time */
    int is_armed;                  /* on_lost FAIL: it may be about to start, as far as the disk knows */
    int64_t arm_order, join_order; /* the newest mark; the newest member of its group */
    uint64_t claim_epoch;          /* of the newest claim that ever was, and its number */
    uint32_t claim_number;
    int worker; /* who holds it */
    uint32_t n_claims, n_attempts, n_losses;
    int64_t turn; /* READY: when it is the turn of its scope among those of its function and priority: lower first */
    int label; /* < 0 = as submitted */
    int32_t result;
    uint32_t result_bytes;
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

/* A future as a commit had it. */
struct model_copy {
    uint64_t seq;
    int i; /* < 0: not a future, but how many functions are known */
    int n_functions;
    struct model_future future;
};

struct model {
    wall_ns_t wall;
    mono_ns_t mono;
    mono_ns_t commit_by,
            lazy_by; /* what has changed must be committed then; must be in whatever commit there is */
    int has_store;
    int is_urgent;    /* something has changed that must be committed with this turn */
    int is_all;       /* so must all that has changed */
    int key_taken_by; /* number + 1 of the future that took a key last */
    struct model_future futures[MODEL_FUTURES];
    struct model_future kept[MODEL_FUTURES]; /* as the disk has them, where is_stored is set */
    struct model_copy *copies;               /* on their way to the disk, oldest first */
    int n_copies, cap_copies, n_functions_kept;
    struct model_waiter waiters[MODEL_WAITERS];
    struct model_worker workers[MODEL_WORKERS];
    int n_futures, n_functions;
    int rotation[MODEL_FUNCTIONS], n_rotation; /* functions with ready tasks */
    int64_t next_turn, next_arm, next_join;
};

void model_init(struct model *m);
void model_deinit(struct model *m);

static inline int model_is_terminal(const struct model_future *f)
{
    return f->at >= AT_SUCCEEDED;
}

/* model_is_here: the engine has it in memory. */
static inline int model_is_here(const struct model_future *f)
{
    return !f->is_gone && !f->is_out;
}

static inline int model_is_leased(const struct model_future *f)
{
    return model_is_here(f) && (f->at == AT_RESERVED || f->at == AT_RUNNING);
}

/* model_find: the index of the future with @id that is here, -1 = none. */
int model_find(const struct model *m, const struct id *id);

/* model_submit: a new READY future like @like; its index. Joins its group, which gives edges to those who expect it. */
int model_submit(struct model *m, const struct model_future *like);

/* model_claim: take up to @n tasks (of @max asked for) as @worker, of functions in @eligible; their indexes in order. How
 * many. When @n < *what could be had* the engine ran out of memory there; it may have armed some more of those that
 * @is_armed (else NULL) says it did. */
int model_claim(struct model *m, int worker, uint32_t eligible, int max, int n, const uint8_t *is_armed,
                int *ret);

void model_start(struct model *m, int i);
void model_finish(struct model *m, int i, int is_error, int32_t result, uint32_t result_bytes);
void model_release(struct model *m, int i, int is_disarmed);
void model_lose(struct model *m, int i);
void model_cancel(struct model *m, int i);
void model_annotate(struct model *m, int i, int label);

/* model_holder: who holds @key in the namespace of @scope, as far as anybody knows: here or on the disk alone; -1 = nobody.
 * model_give_up: @i, which has ended, is without its key from now on; the @to th future will have it. */
int model_holder(const struct model *m, int scope, int key);
void model_give_up(struct model *m, int i, int to);

/* model_durable: the engine was told that commits up to @seq are durable; @commit_seq has that of each future. */
void model_durable(struct model *m, const uint64_t *commit_seq, uint64_t seq);

/* model_commit: future @i goes to the disk with commit @seq as it is now; so do the known functions. model_kept: the disk has all up to @seq.
 * model_restart: nothing is left but what the disk has, and what a start makes of that. */
void model_commit(struct model *m, int i, uint64_t seq);
void model_commit_functions(struct model *m, uint64_t seq);
void model_kept(struct model *m, uint64_t seq);
void model_restart(struct model *m);

/* model_out: @i has left memory. model_loaded: it has come back. */
void model_out(struct model *m, int i);
void model_loaded(struct model *m, int i);

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
