// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The half of the daemon that runs tasks, put together: the engine, the Futures and Workers services in front of it, the
 * pool behind it. Once a turn it drains the engine's effects in a fixed order (engine.h). app owns it and gives it
 * its place in the loop.
 */
#include "daemon/config.h"
#include "grpc/server.h"

struct conn_set;
struct executor;
struct loop;

struct executor_config {
    const struct config *config;
    struct loop *loop;
    struct conn_set *conns;     /* where the workers' sockets are served */
    struct grpc_server *server; /* its rows are added here */
    /* The first worker can take work, or there will be none (no workers configured, or they die at start). */
    void (*on_ready)(void *arg);
    /* After executor_drain: no worker runs anything any more. */
    void (*on_drained)(void *arg);
    void *arg;
};

/* executor_new: 0, -errno. Nothing runs before executor_start. */
MUST_CHECK int executor_new(struct executor **ret, const struct executor_config *config);
/* executor_free: after all connections are freed; kills workers that are left. */
struct executor *executor_free(struct executor *x);

/* executor_start: spawn the workers. 0, -errno. */
MUST_CHECK int executor_start(struct executor *x);

/* executor_wake: the loop has waited; the engine learns the time. executor_turn: drain the effects.
 * executor_is_pending: there are effects that the next turn must drain without waiting. */
void executor_wake(struct executor *x, mono_ns_t now);
void executor_turn(struct executor *x, mono_ns_t now);
MUST_CHECK int executor_is_pending(const struct executor *x);

/* executor_drain: accept nothing, hand out nothing; on_drained follows when what runs has ended. */
void executor_drain(struct executor *x);
/* executor_stop: stop the workers, SIGTERM and then SIGKILL. executor_n_workers: processes left. */
void executor_stop(struct executor *x);
uint32_t executor_n_workers(const struct executor *x);
