// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The daemon on virtual time, among clients and workers that do as one seed says. Some worlds have a store: then the real
 * committer, reader, record codec, daemon/persist.c and daemon/loader.c run between the engine and a simulated disk
 * (disk.h) on a simulated machine (machine.h), and the daemon is killed and started again. One event at a time; after
 * each the engine checks itself (engine_check), and everything it says is compared with the model.
 *
 *   model     what must be so, in code as plain as can be      clients    what they ask for, event by event
 *   world     the order of things: turns, and what they say    times      when tasks are to run, changed
 *   check     the engine against the model                     limits     functions paused and limited
 *   boot      starts, stops and crashes of the daemon          waiting    clients that wait
 *   trouble   what goes wrong, and what is slow                finding    clients that look for futures
 *   shown     what clients have been shown, and never unsee    workers    what those do
 *
 * To teach it a feature:
 *  1. model.h: fields of struct model_future for what a future then has (they go to the disk and come back by themselves:
 *     model_restart takes a copy of the whole), and the rule, in model.c; what a start does with it in go_on() there.
 *  2. A command or a worker's doing is an event: a function of clients.c or workers.c (or a new file) that does it to the
 *     engine, then to the model, and a line in that file's table. world_fail before a command and world_done after it, so
 *     that memory fails now and then. What is only an option of a submission belongs in plan() of clients.c.
 *  3. check.c: check_future() compares it after each event. If something waits for time: model_wall_timer(), model_mono_timer()
 *     say when, model_time() what then; check_next() of world.c sees that the engine asks to be called.
 *  4. shown.c: what a client may rely on once it has seen it.
 *  5. world_finish() makes everything end without further trouble; so a task that is lost on its way is found there.
 *  6. A planted bug (tests/mutate) that only the new checks catch.
 * Draw random numbers only by world_random: the same seed must always be the same world.
 */
#include "daemon/persist.h"
#include "disk.h"
#include "engine/engine.h"
#include "machine.h"
#include "model.h"
#include "service/futures.h"
#include "shown.h"

struct futures;
struct loader;
struct world_search;

enum {
    WORLD_SCOPES = 4,
    WORLD_GROUPS = 4,
    WORLD_KEYS = 200,
    WORLD_LISTERS = 4,
    WORLD_OLD_LEASES = 32,
    WORLD_WISHES = 16,
    WORLD_STRETCHES = 4,
    WORLD_SEARCHES = 3,
    WORLD_EVENTS = 64,
};

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

/* A client that asks for a future by its ID, which may not be in memory. */
struct world_wish {
    struct world *world;
    struct futures_wish wish;
    int is_used, i;
};

/* A client that asks for a stretch of finished ones. */
struct world_stretch {
    struct world *world;
    struct futures_stretch stretch;
    int is_used, is_loaded, scope;
    uint8_t was_kept[MODEL_FUTURES];
};

/* Something that may happen. */
struct world_event {
    const char *name; /* NULL ends a table */
    void (*run)(struct world *w);
    uint8_t needs_store;
    uint8_t is_between; /* it may also happen while a turn's answers are given */
    uint8_t least;      /* how often at the least, in any world; 0 = maybe never */
};

struct world {
    uint64_t random, n_events;
    int is_trace;
    struct engine *e;
    struct engine_config config;
    struct model model;
    struct machine machine;
    struct scope *scopes[WORLD_SCOPES]; /* two principals in each of two namespaces */
    struct function *functions[MODEL_FUNCTIONS];
    struct holder *holders[MODEL_WORKERS];
    struct waiter waiters[MODEL_WAITERS];
    struct lister listers[WORLD_LISTERS];
    struct old_lease old_leases[WORLD_OLD_LEASES];
    uint32_t n_old_leases;
    uint8_t is_fact[MODEL_FUTURES];
    uint8_t must_forget[MODEL_FUTURES];           /* deleted, and the store has not been told */
    uint64_t commit_seq[MODEL_FUTURES], last_seq; /* last_seq: handed out */
    uint64_t durable_seq, deleted_seq;
    uint32_t pace; /* how fast time passes: 1 hardly ... 7 often a day at once */
    uint32_t wants_times, wants_depends, wants_keys; /* of tasks, in eighths */
    int was_behind; /* the last time that something was due there was no memory for it */
    int n_steps_back, is_draining, was_busy_between, is_failing;
    const struct world_event *events[WORLD_EVENTS];
    uint32_t weights[WORLD_EVENTS], n_kinds, sum;

    /* with a store */
    int has_store, is_calm; /* is_calm: no more trouble */
    struct disk disk;
    struct persist *persist;
    struct loader *loader;
    struct futures_loader load;
    enum persist_refusal refusal;
    int is_broken;
    uint32_t slow_thread, slow_watch;                 /* which seldom gets on; maybe none */
    uint64_t key_ceiling, asked_ceiling, ceiling_seq; /* of keys; with which commit the asked one goes */
    uint64_t key_floor;                               /* no key up to it may be given out again */
    struct world_wish wishes[WORLD_WISHES];
    struct world_stretch stretches[WORLD_STRETCHES];
    struct futures *service; /* as much of it as service/search.c needs */
    struct world_search *searches;
    struct shown shown;
    uint32_t n_starts;
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

/* world_any: one of the futures for which @is answers true, -1 = there is none. */
int world_any(struct world *w, int (*is)(const struct model_future *f));

/* world_any_here: one that is in memory, -1 = there is none. */
int world_any_here(struct world *w);

/* world_refuses: whether the store's state keeps the service from changing what is like @m. world_shows: the answer to a call
 * that changes @i shows it. What the model knows of it goes before: a commit is told by that. */
int world_refuses(const struct world *w, const struct model_future *m, int is_new);
void world_shows(struct world *w, int i);

/* world_group, world_function_name: their names; {NULL, 0} for group -1. */
struct span world_group(int group);
struct span world_function_name(int k, char name[32]);

/* world_key: the idempotency key of that number; {NULL, 0} for 0. */
struct span world_key(int key);

enum { WORLD_REQUEST_BYTES = 16 };

/* world_request: the request ID with which that task is submitted, into @to; {NULL, 0}: with none. */
struct span world_request(uint32_t task, char to[static WORLD_REQUEST_BYTES]);

/* world_future: of model future @i, which the engine must have. world_find: NULL = it has not. */
struct future *world_future(const struct world *w, int i);
struct future *world_find(const struct world *w, int i);

/* world_check: the engine against itself and against the model. check_revision: that of @f, which rises with each change.
 * check_pending_reason: why @m, which is PENDING, waits.
 * world_turn: the end of a turn and the begin of the
 * next, @pass_ns later and after a step of the wall clock by @step_ns. */
void world_check(struct world *w);
enum pending_reason check_pending_reason(const struct world *w, const struct model_future *m);
void check_revision(struct model_future *m, const struct future *f);
void world_turn(struct world *w, int64_t pass_ns, int64_t step_ns);

/* world_begin: the begin of a turn at the time that it is. world_note: what the model has just changed is owed to the store. world_commit: the end of the engine's turn, and its
 * commit handed over; its effects. world_durable: the store has said that everything up to commit @seq is on disk. */
void world_begin(struct world *w);
void world_note(struct world *w);
struct effects *world_commit(struct world *w);
void world_durable(struct world *w, uint64_t seq);

/* What may happen, in a table for each file, and what others need of it. */
extern const struct world_event clients_events[], times_events[], limits_events[], waiting_events[],
        finding_events[], searching_events[], workers_events[], trouble_events[];
wall_ns_t clients_time(struct world *w, int i);
int clients_cancel(struct world *w, int i);
void clients_annotate(struct world *w, int i);
void clients_delete(struct world *w, int i);
void limits_resume(struct world *w, int k);
void limits_check(const struct world *w);
void limits_check_claim(const struct world *w, const struct lease *lease);
void waiting_drop(struct world *w, int n);
void waiting_answer(struct world *w, int n);
void finding_get(struct world *w, int i);
void finding_loaded(struct world *w, int i);
void searching_init(struct world *w);
void searching_deinit(struct world *w);
void searching_begin(struct world *w);
void searching_tick(struct world *w);
void searching_look(struct world *w);
void searching_drop_all(struct world *w);
void finding_drop(struct world *w, struct world_stretch *s);
void workers_new(struct world *w, uint32_t serves);
void workers_work_all(struct world *w);
void workers_give_up(struct world *w, int i);
void trouble_end(struct world *w);
void trouble_settle(struct world *w);
void trouble_commit(struct world *w);

/* boot.c: boot_start: a daemon with what the disk has, or the first one. boot_stop: it ends by itself; boot_crash: the
 * power is cut. */
void boot_start(struct world *w);
void boot_stop(struct world *w);
void boot_crash(struct world *w);
