// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The reference: what the engine must say, told by code that is as plain as it can be. Futures are entries of one array
 * and never leave it; queues are found by looking at all of them; waiters count by looking at all their edges. Nothing
 * of the engine is used but its public types.
 *
 *   model.c  the life of a task       _places  where it waits, queues, claims      _times     clocks, retries, Reschedule
 *   _limits  pauses, limits, keys     _depends what waits for the end of others    _waiters   who waits for it
 *   _disk    what is kept, and what a start makes of that                          _parts.h   what they share
 *
 * With a store it also knows what the disk has: each commit leaves behind how its futures were at that time, and when the
 * disk has it these copies are what a start must find (model_kept, model_restart).
 */
#include "engine/engine.h"

enum {
    MODEL_FUTURES = 4096,
    MODEL_WAITERS = 48,
    MODEL_EDGES = 64,
    MODEL_FUNCTIONS = 8,
    MODEL_WORKERS = 16,
    MODEL_SLOT_KEYS = 3,
    MODEL_SLOTS = MODEL_FUNCTIONS * 2 * MODEL_SLOT_KEYS, /* function, namespace, concurrency key */
    MODEL_DEPENDS = 5,
    MODEL_STARTS = 256,
};

enum model_at {
    AT_READY,
    AT_ARMED,   /* its mark is on the way to the disk */
    AT_PARKED,  /* another one has its concurrency key */
    AT_DELAYED, /* it is too early */
    AT_BACKOFF, /* the pause after a failed attempt */
    AT_BLOCKED, /* what it depends on has not ended */
    AT_NOWHERE, /* between two of these */
    AT_RESERVED,
    AT_RUNNING,
    AT_SUCCEEDED,
    AT_FAILED,
    AT_CANCELLED
};

struct model_depend {
    int future;              /* what it depends on */
    enum future_state state; /* in which that ended; 0 = it has not, or it is not known yet */
    int is_gone;             /* it will never be known: the disk had forgotten it at a start */
    int64_t order;           /* newer ones are told later */
};

struct model_future {
    struct id id;
    uint32_t task, task_bytes; /* a number that no other has but its retries, at both ends of so many bytes */
    int scope, function, group; /* group -1 = none */
    int key;                    /* idempotency key that it holds; 0 = none */
    int retry_of, retried_by;   /* whom, and by whom: index + 1; 0 = nobody */
    int32_t priority;
    int lane; /* namespace and fairness key */
    int slot; /* namespace, function and concurrency key; -1 = none */
    enum durability durability;
    enum on_lost on_lost;
    int64_t retention_ns; /* of its own, < 0 = default */
    enum model_at at;
    int is_cancel, is_changed,
            is_unnoted;            /* unnoted: and the world has not seen that it is owed to the store */
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
    int64_t turn; /* READY: when it is the turn of its lane among those of its function and priority: lower first */
    int in_lane; /* READY: its place there: lower first */

    wall_ns_t not_before, deadline; /* 0 = none */
    wall_ns_t ripe_for; /* the not_before that has come, though the clock may have been set back since */
    int64_t attempt_timeout_ns; /* 0 = none */
    struct retry_policy retry;  /* max_attempts 0 = none */
    uint32_t n_counted;         /* attempts that have failed */
    wall_ns_t next_try;         /* when the pause is over; 0 = there is none */
    mono_ns_t next_try_mono;
    int is_cancelled_alone;
    wall_ns_t submit_time, start_time;
    int64_t abandoned; /* its last waiter has gone; newer ones later, 0 = no */
    mono_ns_t claimed_at, started_at, term_at, kill_at;
    uint32_t rate;                         /* under which it was claimed: n_rates of its function, 0 = none */
    enum stop stop;                        /* what its worker was told */
    int is_past_timeout, is_past_deadline; /* and it was told of these */
    int is_overdue;                        /* its deadline came while a worker had it */
    enum future_reason attempt_reason;     /* of the newest attempt that has ended */

    uint32_t n_depends;
    enum depend_policy depend_policy;
    int passes_results;
    struct model_depend depends[MODEL_DEPENDS];
    int failed_by;     /* DEPENDENCY_FAILED: whose outcome was wrong */
    int64_t end_order; /* it has ended, and its dependents are to be told; newer ones later, 0 = no */
    int label;         /* < 0 = as submitted */
    int32_t result;
    uint32_t result_bytes;
    enum future_reason reason;
    wall_ns_t end_time, expire_time;
    uint32_t n_told[2];    /* bytes of output and of log, byte by byte as model_told says */
    uint32_t told_base[2]; /* of them, before its newest attempt told something, which is ... */
    uint32_t told_claim;   /* ... that of this lease; 0 = none has */
    uint64_t progress;     /* of progress_claim, 0 = none */
    uint32_t progress_claim;
    uint32_t n_pins, n_search_pins, n_overdue; /* of pins: those of searches */
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

/* What is known of a function. The first part is what the disk keeps. */
struct model_settings {
    int is_paused;
    unsigned int which; /* limits that are set */
    uint32_t max_running;
    uint64_t max_pending;
    double rate;
    int paused_by, limited_by, why_paused, why_limited; /* scopes; numbers that nothing else has */
    wall_ns_t paused_at, limited_at;
};

struct model_function {
    struct model_settings set;
    int is_closed;                  /* none of its tasks may be claimed */
    int64_t interval_ns;            /* between starts; 0 = no limit */
    uint32_t n_rates;               /* how often that has changed */
    mono_ns_t earned_at, begun_at;  /* when all starts are earned; those alone that have really begun */
    mono_ns_t starts[MODEL_STARTS]; /* under the rate that holds now, oldest first */
    uint32_t n_starts;
};

/* A future as a commit had it; or all functions. */
struct model_copy {
    uint64_t seq;
    int i; /* < 0: not a future, but the functions */
    int n_functions;
    struct model_settings set[MODEL_FUNCTIONS];
    struct model_future future;
};

struct model {
    wall_ns_t wall;
    mono_ns_t mono;
    mono_ns_t commit_by,
            lazy_by, /* what has changed must be committed then; must be in whatever commit there is */
            told_by; /* what has been told must be committed then */
    int has_store;
    int is_staying;   /* nothing is cancelled any more because its waiters leave */
    int is_urgent;    /* something has changed that must be committed with this turn */
    int is_all;       /* so must all that has changed */
    int key_taken_by; /* number + 1 of the future that took a key last */
    struct model_future futures[MODEL_FUTURES];
    struct model_future kept[MODEL_FUTURES]; /* as the disk has them, where is_stored is set */
    struct model_copy *copies;               /* on their way to the disk, oldest first */
    int n_copies, cap_copies, n_functions_kept;
    struct model_function functions[MODEL_FUNCTIONS];
    struct model_settings set_kept[MODEL_FUNCTIONS];
    int candidates[MODEL_SLOTS]; /* who was parked, and stands in its queue again for the slot; -1 = nobody */
    struct model_waiter waiters[MODEL_WAITERS];
    struct model_worker workers[MODEL_WORKERS];
    int n_futures, n_functions;
    int rotation[MODEL_FUNCTIONS], n_rotation; /* functions with ready tasks */
    int64_t next_turn, next_arm, next_join, next_abandoned, next_depend, next_end;
    uint8_t must_revoke[MODEL_FUTURES],
            must_work[MODEL_FUNCTIONS]; /* what the effects of this turn must have */
};

/* model_init: @m, which is all zero. */
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

static inline int model_is_pinned(const struct model_future *f)
{
    return f->n_pins + f->n_search_pins > 0;
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

void model_start(struct model *m, int i, wall_ns_t at);
/* model_told: the byte at @offset of the output (@kind 0) or the log (1) of the future of task @task. model_speaks: its attempt begins
 * to tell, if it has not. model_said: it has told something. */
uint8_t model_told(uint32_t task, int kind, uint64_t offset);
void model_speaks(struct model *m, int i);
void model_said(struct model *m, int i);
struct model_finish {
    enum future_reason reason;   /* REASON_NONE: it succeeded */
    int is_retryable, is_listed; /* listed: among the types that end the future */
    int32_t result;
    uint32_t result_bytes;
    wall_ns_t next_try; /* if another attempt follows; as the engine says, for the pause is random */
    mono_ns_t next_try_mono;
};
void model_finish(struct model *m, int i, const struct model_finish *end);
void model_release(struct model *m, int i, int is_disarmed);
/* model_lose: by itself, or by the fault of another task of the same process, which has crashed, or was killed. UNSTARTED: there
 * may have been no attempt. */
enum model_loss { LOSS_OF_WORKER, LOSS_BY_END, LOSS_BY_CRASH, LOSS_BY_KILL, LOSS_UNSTARTED };
void model_lose(struct model *m, int i, enum model_loss why);
void model_cancel(struct model *m, int i, int64_t grace_ns);
void model_reschedule(struct model *m, int i, const struct engine_reschedule *in);
void model_annotate(struct model *m, int i, int label);

/* model_retry: the one that was submitted last is the retry of @i. */
void model_retry(struct model *m, int i);

/* model_holder: who holds @key in the namespace of @scope, as far as anybody knows: here or on the disk alone; -1 = nobody.
 * model_give_up: @i, which has ended, is without its key from now on; the @to th future will have it. */
int model_holder(const struct model *m, int scope, int key);
void model_give_up(struct model *m, int i, int to);

/* model_durable: the engine was told that commits up to @seq are durable; @commit_seq has that of each future. */
void model_durable(struct model *m, const uint64_t *commit_seq, uint64_t seq);

/* model_commit: future @i goes to the disk with commit @seq as it is now; so do the known functions. model_kept: the disk has all up to @seq.
 * model_restart: nothing is left but what the disk has, and what a start makes of that; @on_disk: finished ones that are there. */
void model_commit(struct model *m, int i, uint64_t seq);
void model_commit_functions(struct model *m, uint64_t seq);
void model_kept(struct model *m, uint64_t seq);
void model_restart(struct model *m, const uint8_t *on_disk);

/* Where the engine had not memory enough for all that was to do, it says how far it came. */
enum { MODEL_DUE, MODEL_ABANDONED, MODEL_DEPEND /* and which one */ };
typedef int (*model_done_fn)(const void *arg, int i, int what);

/* model_time: what the clocks have made due. model_open: who may start tasks again. model_depend: who depends on what has ended
 * hears of it. model_wall_timer, model_mono_timer: when @f is due; CLOCK_NEVER. */
void model_time(struct model *m, model_done_fn is_done, const void *arg);
void model_open(struct model *m);
void model_depend(struct model *m, const uint64_t *commit_seq, uint64_t durable_seq, model_done_fn is_done,
                  const void *arg);
wall_ns_t model_wall_timer(const struct model_future *f);
mono_ns_t model_mono_timer(const struct model_future *f);

/* model_pause_span: between which lengths the pause after the newest attempt must be. */
void model_pause_span(const struct model_future *f, int64_t *ret_min, int64_t *ret_max);

/* model_limits_changed: the settings of @function have changed. model_opens_at: when its rate allows the next start.
 * model_n_claimed, model_n_pending: its tasks that a worker has, or is about to be given; that are PENDING. */
void model_limits_changed(struct model *m, int function);
mono_ns_t model_opens_at(const struct model_function *fn);
uint32_t model_n_claimed(const struct model *m, int function);
uint64_t model_n_pending(const struct model *m, int function);

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
