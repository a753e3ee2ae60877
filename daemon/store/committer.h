// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The commit thread: batches in, one transaction and one sync for all that wait, the same batches out with their
 * result, in the order in which they came in. The checkpoint thread and the sweep of what has expired belong to it.
 *
 * The owner (the loop's thread) watches committer_fd for reading, and calls committer_take then. What it must do by
 * state is at enum committer_state. The essay with the failure modes is in committer.c.
 */
#include "store/store.h"

struct committer;

enum committer_state {
    COMMITTER_RUNNING,
    COMMITTER_STALLED, /* the oldest transaction was rolled back (disk full, ...). The committer keeps its batches and
                         * all later ones, in order, and tries again at committer_retry: call it each second. New work
                         * is to be refused meanwhile */
    COMMITTER_CORRUPT, /* the database is damaged: every batch comes back with STORE_E_CORRUPT. Reads go on */
    COMMITTER_POISONED, /* every batch comes back with STORE_E_POISONED: end the process soon */
};

struct committer_config {
    uint64_t max_waiting_bytes;    /* committer_is_full above it */
    uint64_t checkpoint_wal_bytes; /* the log length at which a checkpoint begins */
    uint32_t sweep_max;            /* futures looked at between two commits */
    wall_ns_t (*wall)(void);       /* for when to sweep */
};

#define COMMITTER_CONFIG_DEFAULT                                           \
    ((struct committer_config){.max_waiting_bytes = UINT64_C(256) << 20,   \
                               .checkpoint_wal_bytes = UINT64_C(16) << 20, \
                               .sweep_max = 1000,                          \
                               .wall = clock_wall})

/* Upper bounds of the counts in n_by_operations and n_by_seconds; what is above all of them is counted last. */
enum { COMMITTER_BOUNDS = 7 };
extern const double committer_operation_bounds[COMMITTER_BOUNDS], committer_second_bounds[COMMITTER_BOUNDS];

struct committer_status {
    enum committer_state state;
    uint64_t durable_seq; /* commit_seq of the newest durable batch; 0 = none */
    uint64_t n_waiting;   /* batches not durable, the stalled ones included */
    uint64_t waiting_bytes;
    uint64_t n_commits, n_batches, n_ops, n_swept, n_damaged, n_checkpoints, n_stalls;
    uint64_t n_by_operations[COMMITTER_BOUNDS + 1], n_by_seconds[COMMITTER_BOUNDS + 1]; /* of n_commits */
    int64_t commit_ns;                                                                  /* of all of them */
    uint64_t wal_bytes;
    uint64_t n_sweeps;            /* that have been ended */
    int wants_sweep;              /* until it is given leave by committer_sweep */
    struct store_problem problem; /* of the state, or of the last checkpoint or sweep that failed; else "" */
};

/* committer_start: start both threads on @s, which nobody else may write to. Before: store_open; after:
 *   committer_stop, store_close.
 *   Return: 0; -errno. Loop's thread, as all that follows. */
MUST_CHECK int committer_start(struct committer **ret, struct store *s,
                               const struct committer_config *config);

/* committer_submit: hand over @b; it comes back by committer_take. Its commit_seq must be above that of the one
 * before. Never fails, never blocks. */
void committer_submit(struct committer *c, struct batch *b);

/* committer_is_full: whether so much waits that nothing new should be accepted. */
MUST_CHECK int committer_is_full(struct committer *c);

/* committer_fd: readable when there is something to take. */
int committer_fd(const struct committer *c);

/* committer_take: append the batches that are finished, oldest first, to @batches (of struct batch.link), theirs the
 * owner again; *ret_status, if not NULL, is the state at that time. Also called after committer_stop began. */
void committer_take(struct committer *c, struct list *batches, struct committer_status *ret_status);

/* committer_get_status: how it is now. */
struct committer_status committer_get_status(struct committer *c);

/* committer_retry: try a stalled transaction again now. No effect in another state. */
void committer_retry(struct committer *c);

/* committer_sweep: delete what has expired at @now, but for the @n rising keys of @kept, which are copied. To be called when
 * status.wants_sweep says that it is time: only the owner knows what must be kept. While one goes on no other begins.
 *   Return: 0; -ENOMEM. */
MUST_CHECK int committer_sweep(struct committer *c, wall_ns_t now, const uint64_t *kept, size_t n);

/* committer_step: what the commit thread does next: one commit, or one sweep. Only where thread_start starts no thread: the
 * simulator drives the committer with it, one step at a time. Whether there was anything to do. */
int committer_step(struct committer *c);

/* committer_stop: commit what waits (a stalled one is tried once more), end the threads, free @c. All batches that
 * were not taken yet are appended to @batches, with their results. Blocks on the disk. Returns NULL. */
struct committer *committer_stop(struct committer *c, struct list *batches);
