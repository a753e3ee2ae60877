// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who may touch the stream: the runner, or, while a task of the runner takes long, the monitor.
 *
 *     runner:   ... baton_lend -> user code -> baton_take ...      a store and a compare-and-swap, for a short task
 *     monitor:  looks every BATON_TICK_NS; a task that it has seen before is long: it takes the baton, calls @serve,
 *               and gives it back when the runner asks for it
 *
 * The word holds the number of the task and the owner, so that the monitor never takes the baton for a task other than
 * the one it has seen. While nothing runs for BATON_IDLE_TICKS the monitor sleeps until the next baton_lend.
 */
#include "base/clock.h"
#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>

#define BATON_TICK_NS (5 * NS_PER_MS)
enum { BATON_IDLE_TICKS = 20 };

struct baton {
    _Atomic uint64_t word; /* number << 2 | owner */
    _Atomic int is_asleep; /* the monitor waits for baton_lend */
    _Atomic int is_wanted; /* the runner waits in baton_take */
    int wake_fd;           /* an eventfd, readable while it is wanted */
    pthread_mutex_t lock;
    pthread_cond_t monitor, runner;
    int is_stopping; /* under lock */
    pthread_t thread;
    void (*serve)(void *arg);
    void *arg;
};

/* baton_init: the caller is the runner and has the baton. @serve(@arg) is called on the monitor's thread with the baton;
 * it must return soon once baton_is_wanted, which baton_fd becomes readable for. 0, -errno.
 * baton_deinit: by the runner, with the baton. */
MUST_CHECK int baton_init(struct baton *b, void (*serve)(void *arg), void *arg);
void baton_deinit(struct baton *b);

/* baton_lend: the runner goes into user code. baton_take: it is back; waits until nobody else has the baton. */
void baton_lend(struct baton *b);
void baton_take(struct baton *b);

static inline int baton_is_wanted(const struct baton *b)
{
    return atomic_load_explicit(&b->is_wanted, memory_order_acquire);
}

static inline int baton_fd(const struct baton *b)
{
    return b->wake_fd;
}
