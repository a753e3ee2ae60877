// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The pool: keeps N futured-worker processes alive. It knows processes and no task: it spawns (posix_spawn, never fork),
 * watches by pidfd, kills up a ladder, and spawns again with a rate limit, so that a worker which dies at start is
 * reported and does not spin.
 *
 * A child gets: fd 3 = its end of a stream socketpair (gRPC), fd 4 = a memfd of RUNPAGE_BYTES (its runpage), fd 5 = a
 * sealed memfd with its configuration (functions, plugins; written by app, format in worker/spec.h). The daemon's
 * end of the socketpair goes to whoever on_spawn hands it to.
 * Thread: the loop's. No libevent: the owner watches pool_fd and calls pool_turn.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/runpage.h"

#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

struct pool;

struct pool_ops {
    /* A child runs; take its socket @fd (owned by the callee from here on). */
    void (*on_spawn)(void *context, uint64_t key, pid_t pid, int fd);
    /* A child has been reaped; its runpage is unmapped when this returns. @asked: we killed or stopped it. */
    void (*on_exit)(void *context, uint64_t key, pid_t pid, int wait_status, int asked);
    /* The respawn limit holds: nothing is spawned until @until. For the log and for health. */
    void (*on_throttle)(void *context, int last_wait_status, mono_ns_t until);
    void *context;
};

struct pool_config {
    const char *worker_path; /* of the futured-worker executable */
    uint32_t n_workers;
    int spec_fd;      /* fd 5 of every child; borrowed */
    int64_t grace_ns; /* between SIGTERM and SIGKILL */
    uint32_t burst;   /* early deaths (within a second of their start) in a row before throttling */
};

/* pool_new: nothing is spawned before the first pool_turn. Paths are copied. 0, -errno. */
MUST_CHECK int pool_new(struct pool **ret, const struct pool_config *config, const struct pool_ops *ops);
/* pool_free: all children must have been reaped (pool_n_alive is 0), or they are killed (SIGKILL) and reaped here. */
struct pool *pool_free(struct pool *p);

/* pool_fd: readable when a child has died (an epoll of pidfds). pool_turn: reap, spawn, kill what is due; returns when it
 * wants to be called next. */
int pool_fd(const struct pool *p);
mono_ns_t pool_turn(struct pool *p, mono_ns_t now);

const struct runpage *pool_page(const struct pool *p, uint64_t key);
pid_t pool_pid(const struct pool *p, uint64_t key);

/* pool_kill: SIGKILL to the child's whole process group now. pool_term: SIGTERM to the group. pool_stop: SIGTERM now, SIGKILL after the grace. Unknown
 * keys are ignored. pool_stop_all: the same for all, and nothing is spawned any more. */
void pool_kill(struct pool *p, uint64_t key);
void pool_term(struct pool *p, uint64_t key);
void pool_stop(struct pool *p, uint64_t key, mono_ns_t now);
void pool_stop_all(struct pool *p, mono_ns_t now);
uint32_t pool_n_alive(const struct pool *p);
