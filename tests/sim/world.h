// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The engine on virtual time, among clients and workers that do as one seed says. One event at a time; after each the
 * engine checks itself (engine_check) and everything it says is compared with the model.
 */
#include "engine/engine.h"
#include "model.h"

enum { WORLD_SCOPES = 4, WORLD_GROUPS = 4, WORLD_LISTERS = 4, WORLD_OLD_LEASES = 32 };

/* A client that reads a list page by page while everything changes. */
struct lister {
    int is_used, scope, is_desc;
    uint64_t key;
    uint8_t seen[MODEL_FUTURES], was_there[MODEL_FUTURES];
};

/* A lease as a worker remembers it, valid or long not any more. */
struct old_lease {
    struct id id;
    int worker;
    uint32_t number, epoch;
};

struct world {
    uint64_t random, n_events;
    int is_trace;
    struct engine *e;
    struct engine_config config;
    struct model model;
    mono_ns_t mono;
    struct scope *scopes[WORLD_SCOPES]; /* two principals in each of two namespaces */
    struct function *functions[MODEL_FUNCTIONS];
    struct holder *holders[MODEL_WORKERS];
    struct waiter waiters[MODEL_WAITERS];
    struct lister listers[WORLD_LISTERS];
    struct old_lease old_leases[WORLD_OLD_LEASES];
    uint32_t n_old_leases;
    uint8_t is_fact[MODEL_FUTURES], must_revoke[MODEL_FUTURES], must_work[MODEL_FUNCTIONS];
    uint64_t commit_seq[MODEL_FUTURES], last_seq; /* last_seq: handed out */
    int n_steps_back, is_draining, was_busy_between, is_failing;
    uint32_t weights[16];
};

/* world_init: an empty world for @seed. world_step: one event. world_finish: no more trouble; everything that was
 * accepted must come to its end, everything be forgotten, nothing be left. */
void world_init(struct world *w, uint64_t seed, int is_trace);
void world_step(struct world *w);
void world_finish(struct world *w);

/* world_random: below @n. world_says: to the trace. */
uint64_t world_random(struct world *w, uint64_t n);
void world_says(const struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);

/* world_fail: maybe let one of the next allocations fail. world_failed: whether it did; no more failures.
 * world_done: whether a command that answered @r has done its work; -ENOMEM only where an allocation failed. */
void world_fail(struct world *w);
int world_failed(struct world *w);
int world_done(struct world *w, int r);

/* world_future: of model future @i, which the engine must have. */
struct future *world_future(const struct world *w, int i);

/* world_check: the engine against itself and against the model. world_turn: the end of a turn and the begin of the
 * next, @pass_ns later and after a step of the wall clock by @step_ns. */
void world_check(struct world *w);
void world_turn(struct world *w, int64_t pass_ns, int64_t step_ns);

/* actors.c */
enum { ACTOR_EVENTS = 16 };
void actors_event(struct world *w, uint32_t which);
void actors_worker_new(struct world *w, uint32_t serves);
void actors_work_all(struct world *w);
void actors_drop_waiter(struct world *w, int n);
