// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Between the engine and the workers: the Workers service's Attach stream, credit, prefetch, leases. Local and remote
 * workers are served alike; what differs is who says that a worker is dead: the pool for its children
 * (dispatch_worker_died), their silence for the others (session.h), of whom some hold no stream but claim (claim.h).
 *
 * Work is claimed from the engine when a worker has room: at most its credit, and more than one per slot only while the
 * function's mean run time is below PREFETCH_MAX_RUN_NS, unless a number is configured. Assign reserves; a pool worker's starts are read from its
 * runpage, a remote one says Started.
 * Thread: the loop's. Includes neither pool nor net: app wires the functions of struct dispatch_pool.
 */
#include "base/runpage.h"
#include "engine/engine.h"
#include "grpc/server.h"

struct dispatch;

/* A child of the pool runs as many tasks at a time as it has threads, and each of these is a worker here, with a stream, a page
 * and a slot of its own. dispatch_key: the key of such a worker, grpc_peer.worker_key; dispatch_child: that of its child, as the
 * pool has it, which is not 0. */
static inline uint64_t dispatch_key(uint64_t child, uint32_t thread)
{
    return child * RUNPAGE_PAGES_MAX + thread;
}
static inline uint64_t dispatch_child(uint64_t key)
{
    return key / RUNPAGE_PAGES_MAX;
}

/* The pool as dispatch sees it. */
struct dispatch_pool {
    /* The memory shared with worker @key; NULL: there is no such; valid until dispatch_worker_died returns. */
    const struct runpage *(*page)(void *context, uint64_t key);
    /* A thread of @child has said Hello: it can take work; @problem: what it could not load, with it or "". May be NULL. */
    void (*ready)(void *context, uint64_t child, struct span problem);
    /* Ask for the process to be killed: it lies, floods, has lost a stream, or does not end an attempt. */
    void (*kill)(void *context, uint64_t child, const char *why);
    /* SIGTERM to its process group: it ends what it runs, hands back the rest and goes. */
    void (*term)(void *context, uint64_t child);
    /* SIGTERM to the process alone, SIGKILL if that does not help: it holds nothing any more. */
    void (*stop)(void *context, uint64_t child);
    /* The process ID. */
    uint32_t (*pid)(void *context, uint64_t child);
    void *context;
};

/* For the log: @event, such as "worker_attached", happened to the worker with the ID @worker and that name; @who wanted it, or
 * nobody did; @why. None of the texts is trusted, nor ends with a NUL. */
struct dispatch_log {
    void (*told)(void *context, const char *event, struct span worker, struct span name, struct span who,
                 struct span why);
    void *context;
};

struct dispatch_config {
    size_t max_message_bytes; /* of an Assign, and what a worker is told */
    size_t max_result_bytes;
    uint64_t max_output_bytes, max_log_bytes; /* that are kept of an attempt; the engine keeps them */
    int64_t lease_ttl_ns;                     /* how long a worker on a stream from elsewhere may be silent */
    uint32_t prefetch; /* so many tasks for each slot, of any function; 0 = what is fast, up to the credit */
    struct hash_seed seed; /* of the table of session tokens */
    struct dispatch_pool pool;
    struct dispatch_log log;
    /* A worker says which options tasks of @f have where these do not say otherwise: an encoded TaskOptions. 0; > 0: @st says
     * why not. */
    int (*say_options)(void *context, struct function *f, struct span options, struct grpc_status *st);
    void *context;
};

/* dispatch_new: 0, -ENOMEM. @e is borrowed. Free after the connections. */
MUST_CHECK int dispatch_new(struct dispatch **ret, struct engine *e, const struct dispatch_config *config);
struct dispatch *dispatch_free(struct dispatch *d);

/* dispatch_methods: the rows of futured.v1.Workers for grpc_server_add; they live as long as @d. */
const struct grpc_method *dispatch_methods(const struct dispatch *d, size_t *ret_n);

/* dispatch_run: give ready work (effects.work) to workers with room, and tell them of revoked leases (effects.revokes).
 * Both lists are empty afterwards. Returns when dispatch_tick is to be called for what must end now. */
mono_ns_t dispatch_run(struct dispatch *d, struct effects *effects, mono_ns_t now);

/* dispatch_worker_died: the pool has reaped @child; @wait_status as waitpid gives it; @asked: it was stopped by us.
 * What its streams still hold is read first; then what it was running fails with CRASHED (signal or exit code named; only
 * lost, without fault, when we had asked), what had finished unheard is lost without fault, the rest goes back. Where it is
 * known which of several that ran is at fault, the others go back as well. Whether that was a crash: one that ended by itself,
 * with 0 and nothing to run, has been told to by its configuration, or by somebody's SIGTERM. */
int dispatch_worker_died(struct dispatch *d, uint64_t child, int wait_status, int asked);

/* dispatch_running: what @child runs, before dispatch_worker_died at the latest: of several threads the one that is at fault;
 * NULL: nothing, or that is not known. */
const struct future *dispatch_running(const struct dispatch *d, uint64_t child);

/* dispatch_retire: @child gets nothing more, gives back what it has not begun, and is stopped when it holds nothing. Whether
 * there is such a worker. dispatch_held: how many tasks it holds. */
MUST_CHECK int dispatch_retire(struct dispatch *d, uint64_t child, mono_ns_t now);
uint32_t dispatch_held(const struct dispatch *d, uint64_t child);

/* dispatch_needed: how many workers of the pool the tasks would keep busy that they hold, and those that wait and could start,
 * of functions that the pool runs; counting ends beyond @enough. O(workers + functions with work). */
uint64_t dispatch_needed(const struct dispatch *d, uint64_t enough);

/* dispatch_set_lease_ttl: of sessions that are opened from now on. */
void dispatch_set_lease_ttl(struct dispatch *d, int64_t ttl_ns);

/* dispatch_tick: once a turn, before the engine's turn ends: bury workers whose streams are drained. Returns when it wants to be
 * called next. */
mono_ns_t dispatch_tick(struct dispatch *d, mono_ns_t now);

/* dispatch_drain: hand out nothing more, and ask back what has not begun. dispatch_resume: as before. */
void dispatch_drain(struct dispatch *d);
void dispatch_resume(struct dispatch *d);
/* dispatch_leave: the daemon ends: tell workers from elsewhere to finish what they run and go, within @timeout_ns. */
void dispatch_leave(struct dispatch *d, int64_t timeout_ns);
/* dispatch_n_leases: attempts that workers still hold. dispatch_n_ready: workers that have said Hello. */
uint64_t dispatch_n_leases(const struct dispatch *d);
uint32_t dispatch_n_ready(const struct dispatch *d);

/* dispatch_credit: how many more tasks of @fn the workers that serve it could take now. O(workers). */
uint64_t dispatch_credit(const struct dispatch *d, const struct function *fn);

/* The workers in numbers. The counters are since the start, of those that are gone too. */
struct dispatch_stats {
    uint32_t n_workers, n_ready;
    uint64_t n_leases;              /* assigned and not finished ... */
    uint64_t n_credit;              /* ... and how many more they would take */
    uint64_t n_attached, n_crashed; /* crashed: processes of the pool (dispatch_worker_died) */
    uint64_t n_finished;            /* attempts that workers have ended */
    uint64_t n_refused;             /* things said under a lease that was not current */
};
struct dispatch_stats dispatch_stats(const struct dispatch *d);
