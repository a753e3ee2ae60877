// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The pool: keeps N futured-worker processes alive. It knows processes and no task: it spawns (posix_spawn, never fork),
 * watches by pidfd, kills up a ladder, and spawns again with a rate limit, so that a worker which dies or hangs at start is
 * reported and does not spin.
 *
 * Generations: pool_renew makes all children stale. They go on, and N new ones are started beside them; the owner
 * retires an old one when a new one can take its place.
 *
 * A child gets: fd 3 = its end of a stream socketpair (gRPC), fd 4 = a memfd with its runpage, fd 5 = a sealed memfd with its
 * configuration (functions, plugins; written by app, format in worker/spec.h). One with N threads has N pages in fd 4, and the
 * sockets of those behind the first are fd 6 and so on. The daemon's ends of the socketpairs go to whoever on_spawn hands
 * them to.
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
    /* A child runs; take the sockets @fds of its threads (owned by the callee from here on). */
    void (*on_spawn)(void *context, uint64_t key, pid_t pid, const int *fds, uint32_t n_threads);
    /* A child has been reaped; its runpages are unmapped when this returns. @asked: we killed or stopped it. */
    void (*on_exit)(void *context, uint64_t key, pid_t pid, int wait_status, int asked);
    /* The respawn limit holds: nothing is spawned until @until. For the log and for health. */
    void (*on_throttle)(void *context, int last_wait_status, mono_ns_t until);
    void *context;
};

struct pool_config {
    const char *worker_path; /* of the futured-worker executable */
    uint32_t n_workers;      /* 0 = none for now */
    uint32_t n_threads;      /* of each; 1 to RUNPAGE_PAGES_MAX */
    int spec_fd;             /* fd 5 of every child; borrowed */
    int64_t grace_ns;        /* between SIGTERM and SIGKILL */
    int64_t start_ns;        /* from its start to pool_ready; then it is killed */
    uint32_t burst; /* early deaths in a row before throttling: of children that were not ready, or within a
                              * second of their start had begun no task */
};

/* So many processes there may be for each that is wanted, while old ones end: then new ones wait. */
enum { POOL_ALIVE_FACTOR = 4 };

/* pool_new: nothing is spawned before the first pool_turn. Paths are copied. 0, -errno. */
MUST_CHECK int pool_new(struct pool **ret, const struct pool_config *config, const struct pool_ops *ops);
/* pool_free: all children must have been reaped (pool_n_alive is 0), or they are killed (SIGKILL) and reaped here. */
struct pool *pool_free(struct pool *p);

/* pool_fd: readable when a child has died (an epoll of pidfds). pool_turn: reap, spawn, kill what is due; returns when it
 * wants to be called next. */
int pool_fd(const struct pool *p);
mono_ns_t pool_turn(struct pool *p, mono_ns_t now);

/* pool_resize: so many from now on, and so long each has for its start. Those that are too many live until they are retired.
 * 0, -ENOMEM (as before). */
MUST_CHECK int pool_resize(struct pool *p, uint32_t n_workers, int64_t start_ns);
/* pool_renew: all children are stale: who is not ready yet is stopped, the others are counted no more, and new ones get
 * @spec_fd (borrowed) and so many threads. Early deaths so far are forgotten. */
void pool_renew(struct pool *p, int spec_fd, uint32_t n_threads, mono_ns_t now);
/* pool_ready: one more thread of the child has started; it is ready, and can take work, when all have. pool_retire: it is to go, by the owner's hand, and another may take its
 * place at once. Unknown keys are ignored. */
void pool_ready(struct pool *p, uint64_t key);
void pool_retire(struct pool *p, uint64_t key);

struct pool_counts {
    uint32_t n_alive;
    uint32_t n_starting; /* of this generation, not ready */
    uint32_t n_ready;    /* of this generation, not retired */
    uint32_t n_stale;    /* not retired */
    uint32_t n_early;    /* early deaths in a row, since the last pool_renew */
};
struct pool_counts pool_counts(const struct pool *p);
/* pool_next: the child after @key, in the order of their birth, that is ready and not retired; 0 = none; start with 0.
 * @is_stale: of an older generation, else of this one. */
uint64_t pool_next(const struct pool *p, uint64_t key, int is_stale);
/* pool_is_ready: pool_ready was called for each of its threads. pool_is_stale: it is of an older generation. */
int pool_is_ready(const struct pool *p, uint64_t key);
int pool_is_stale(const struct pool *p, uint64_t key);
/* pool_is_overdue: whether it was killed because its start took too long. */
int pool_is_overdue(const struct pool *p, uint64_t key);

/* pool_pages: of all its threads; how many those are; NULL and 0 for unknown keys. */
const struct runpage *pool_pages(const struct pool *p, uint64_t key, uint32_t *ret_n);
pid_t pool_pid(const struct pool *p, uint64_t key);

/* pool_kill: SIGKILL to the child's whole process group now. pool_term: SIGTERM to the group. pool_stop: SIGTERM now, SIGKILL after the grace. Unknown
 * keys are ignored. pool_stop_all: the same for all, and nothing is spawned any more. */
void pool_kill(struct pool *p, uint64_t key);
void pool_term(struct pool *p, uint64_t key);
void pool_stop(struct pool *p, uint64_t key, mono_ns_t now);
void pool_stop_all(struct pool *p, mono_ns_t now);
uint32_t pool_n_alive(const struct pool *p);
