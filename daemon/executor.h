// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The half of the daemon that runs tasks, put together: the engine, the Futures and Workers services in front of it, the
 * pool behind it, and with [futured] store the store below it. Once a turn it drains the engine's effects in a fixed order (engine.h). app owns it and gives it
 * its place in the loop.
 */
#include "daemon/config.h"
#include "grpc/server.h"

struct conn_set;
struct executor;
struct identity;
struct loop;
struct metrics;
struct reload_report;
struct reloader_part;

struct executor_config {
    const struct config *config;
    struct loop *loop;
    struct conn_set *conns;     /* where the workers' sockets are served */
    struct grpc_server *server; /* its rows are added here */
    /* The first worker can take work, or there will be none (no workers configured, or they die at start). */
    void (*on_ready)(void *arg);
    /* Until then: workers have been started, which have @timeout_ns to get ready. */
    void (*on_starting)(void *arg, int64_t timeout_ns);
    /* Whether the pool does not serve all that it should has changed. */
    void (*on_pool_failing)(void *arg, int is_failing);
    /* While it recovers, now and then, and at the end: so many futures have come back. */
    void (*on_progress)(void *arg, uint64_t n_recovered, int is_complete);
    /* It cannot go on: end the process, with a failure. */
    void (*on_failed)(void *arg);
    void (*on_read_only)(void *arg); /* the database is damaged: from now on there are only reads */
    /* By System.Drain: whether tasks are accepted has changed. The daemon is to end, and what runs has @timeout_ns for that. */
    void (*on_accepting)(void *arg, int is_accepting);
    void (*on_exit_asked)(void *arg, int64_t timeout_ns);
    /* By System.Reload: as reloader_run. */
    int (*on_reload)(void *arg, int is_dry, struct span who, struct reload_report *ret);
    /* Tell @who, as GetStats does, what the executor does not see. */
    void (*on_measure)(void *arg, const struct identity *who, struct metrics *m);
    /* After executor_drain: no worker runs anything any more. */
    void (*on_drained)(void *arg);
    void *arg;
};

/* executor_new: 0, -errno. Nothing runs before executor_start. */
MUST_CHECK int executor_new(struct executor **ret, const struct executor_config *config);
/* executor_free: after all connections are freed; kills workers that are left. What the store waits for is committed. */
struct executor *executor_free(struct executor *x);

/* executor_start: spawn the workers, when what is stored has come back: until then every call but one of the health service
 * answers UNAVAILABLE. 0, -errno. */
MUST_CHECK int executor_start(struct executor *x);

/* executor_engine: borrowed. */
struct engine *executor_engine(const struct executor *x);

/* executor_add_address: clients are told that the daemon listens there. 0, -ENOMEM. */
MUST_CHECK int executor_add_address(struct executor *x, const char *text);

/* executor_wake: the loop has waited; the engine learns the time. executor_turn: drain the effects.
 * executor_is_pending: there are effects that the next turn must drain without waiting. */
void executor_wake(struct executor *x, mono_ns_t now);
void executor_turn(struct executor *x, mono_ns_t now);
MUST_CHECK int executor_is_pending(const struct executor *x);

/* executor_part: for the reloader. executor_is_settled: what was reloaded is in use, or will not be for now.
 * executor_is_recovering: it is too early for a reload. */
struct reloader_part *executor_part(struct executor *x);
int executor_is_settled(const struct executor *x);
int executor_is_recovering(const struct executor *x);

/* executor_drain: accept nothing, hand out nothing; on_drained follows when what runs has ended, for which it has @timeout_ns. */
void executor_drain(struct executor *x, int64_t timeout_ns);
/* executor_stop: stop the workers, SIGTERM and then SIGKILL. executor_n_workers: processes left. */
void executor_stop(struct executor *x);
uint32_t executor_n_workers(const struct executor *x);
