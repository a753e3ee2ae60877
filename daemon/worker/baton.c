// SPDX-License-Identifier: Apache-2.0
/*
 * Moves of the word, each by one thread only:
 *
 *   RUNNER -> LENT      runner, a store: it alone can leave RUNNER
 *   LENT -> RUNNER      runner, compare-and-swap; fails when the monitor was faster
 *   LENT -> MONITOR     monitor, compare-and-swap on the number that it saw a tick ago
 *   MONITOR -> RUNNER   monitor, under the lock, when it is wanted
 *
 * Sleep: the monitor says is_asleep and then looks at the word once more; the runner changes the word and then looks at
 * is_asleep. Both orders are sequentially consistent, so one of them sees the other.
 */
#include "worker/baton.h"

#include "worker/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>

enum owner { OWNER_RUNNER, OWNER_LENT, OWNER_MONITOR };

static enum owner owner_of(uint64_t word)
{
    return (enum owner)(word & 3);
}

/* --- the runner */

void baton_lend(struct baton *b)
{
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

    ASSERT(owner_of(word) == OWNER_RUNNER);
    atomic_store(&b->word, word + (1 << 2) + OWNER_LENT);
    if (UNLIKELY(atomic_load(&b->is_asleep))) {
        pthread_mutex_lock(&b->lock);
        atomic_store(&b->is_asleep, 0);
        pthread_cond_signal(&b->monitor);
        pthread_mutex_unlock(&b->lock);
    }
}

void baton_take(struct baton *b)
{
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);

    if (LIKELY(owner_of(word) == OWNER_LENT &&
               atomic_compare_exchange_strong(&b->word, &word, word - OWNER_LENT + OWNER_RUNNER)))
        return;
    pthread_mutex_lock(&b->lock);
    if (owner_of(atomic_load(&b->word)) == OWNER_MONITOR) {
        atomic_store(&b->is_wanted, 1);
        (void)eventfd_write(b->wake_fd, 1);
        while (owner_of(atomic_load(&b->word)) == OWNER_MONITOR)
            pthread_cond_wait(&b->runner, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    ASSERT(owner_of(atomic_load(&b->word)) == OWNER_RUNNER);
}

/* --- the monitor */

/* Serve while the task of @word runs, unless it has ended. The lock is held, but not while serving. */
static void take_over(struct baton *b, uint64_t word)
{
    uint64_t mine = word - OWNER_LENT + OWNER_MONITOR;
    eventfd_t n;

    if (!atomic_compare_exchange_strong(&b->word, &word, mine))
        return;
    pthread_mutex_unlock(&b->lock);
    b->serve(b->arg);
    pthread_mutex_lock(&b->lock);
    ASSERT(baton_is_wanted(b));
    (void)eventfd_read(b->wake_fd, &n);
    atomic_store(&b->is_wanted, 0);
    atomic_store(&b->word, mine - OWNER_MONITOR + OWNER_RUNNER);
    pthread_cond_signal(&b->runner);
}

/* Until the next tick, a stop, or, when @is_idle, the next baton_lend. */
static void wait_tick(struct baton *b, int is_idle, uint64_t seen)
{
    struct timespec until;

    if (is_idle) {
        atomic_store(&b->is_asleep, 1);
        while (!b->is_stopping && atomic_load(&b->is_asleep) && atomic_load(&b->word) == seen)
            pthread_cond_wait(&b->monitor, &b->lock);
        atomic_store(&b->is_asleep, 0);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += BATON_TICK_NS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    while (!b->is_stopping && pthread_cond_timedwait(&b->monitor, &b->lock, &until) == 0)
        ;
}

static void *monitor(void *arg)
{
    struct baton *b = arg;
    uint64_t seen = atomic_load(&b->word);
    int n_idle = 0;

    pthread_mutex_lock(&b->lock);
    while (!b->is_stopping) {
        uint64_t word;

        wait_tick(b, n_idle >= BATON_IDLE_TICKS, seen);
        word = atomic_load(&b->word);
        if (word != seen) {
            n_idle = 0;
        } else if (owner_of(word) == OWNER_LENT) {
            take_over(b, word);
            word = atomic_load(&b->word);
        } else {
            n_idle++;
        }
        seen = word;
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- birth and death */

static int init_locks(struct baton *b)
{
    pthread_condattr_t attributes;
    int r = pthread_condattr_init(&attributes);

    if (r != 0)
        return -r;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    r = pthread_mutex_init(&b->lock, NULL);
    if (r == 0) {
        r = pthread_cond_init(&b->monitor, &attributes);
        if (r == 0) {
            r = pthread_cond_init(&b->runner, &attributes);
            if (r != 0)
                pthread_cond_destroy(&b->monitor);
        }
        if (r != 0)
            pthread_mutex_destroy(&b->lock);
    }
    pthread_condattr_destroy(&attributes);
    return -r;
}

static void deinit_locks(struct baton *b)
{
    pthread_cond_destroy(&b->runner);
    pthread_cond_destroy(&b->monitor);
    pthread_mutex_destroy(&b->lock);
}

/* The signals of the process are the runner's: a plugin may use some. */
static int start_monitor(struct baton *b)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&b->thread, NULL, monitor, b);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

int baton_init(struct baton *b, void (*serve)(void *arg), void *arg)
{
    int r;

    *b = (struct baton){.serve = serve, .arg = arg};
    r = init_locks(b);
    if (r < 0)
        return r;
    b->wake_fd = sandbox_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    r = b->wake_fd < 0 ? b->wake_fd : start_monitor(b);
    if (r < 0) {
        err_close(&b->wake_fd);
        deinit_locks(b);
    }
    return r;
}

void baton_deinit(struct baton *b)
{
    ASSERT(owner_of(atomic_load(&b->word)) == OWNER_RUNNER);
    pthread_mutex_lock(&b->lock);
    b->is_stopping = 1;
    pthread_cond_signal(&b->monitor);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    deinit_locks(b);
    err_close(&b->wake_fd);
}
