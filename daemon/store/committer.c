// SPDX-License-Identifier: Apache-2.0
/*
 * Group commit.
 *
 * Happy path: the loop's thread hands over one batch a turn. The commit thread takes all that wait (up to GROUP_BYTES),
 * writes them in their order as one transaction, syncs once, and posts each back with result 0. While it syncs the next
 * ones gather; so under load a sync is shared by many turns, and without load a batch waits for its own sync alone.
 * When it has nothing to write and it is time it asks the owner for leave to sweep what has expired, since the owner knows
 * what must be kept; then it does so, a few hundred futures at a time, and looks whether a batch has come after each. After a commit that left the log long it wakes the checkpoint thread.
 *
 * Failure modes, by what store_write says:
 *   rolled back   the group is kept, and nothing behind it is written: the order of commits is the order of submission,
 *                 whatever happens. State STALLED; the owner is woken, refuses new work, and calls committer_retry each
 *                 second (it has the clock). Meanwhile a checkpoint is tried: a log that begins anew needs no room. The
 *                 first success ends it: state RUNNING, the owner is woken again.
 *   corrupt       the group and all that wait, now and later, come back with STORE_E_CORRUPT. The daemon reads on.
 *   poisoned      the same with STORE_E_POISONED. The daemon ends soon.
 * A sweep or a checkpoint that is rolled back is tried again later and told in the status; when it is corrupt or
 * poisoned, so is the whole committer. A stop in STALLED tries once more and then gives the batches back with
 * STORE_E_ROLLED_BACK: they were never acknowledged.
 *
 * What a turn had no room for in one batch is continued in the next ones: they are written together or not at all.
 *
 * Invariants
 *  1. batches come back in the order in which they were submitted, each once.
 *  2. a batch has result 0 only after store_write has said 0 for a transaction with it.
 *  3. states only change RUNNING <-> STALLED -> CORRUPT, POISONED, or RUNNING -> these two.
 * Threads: `lock` guards all but `group`, which is the commit thread's. Nothing blocks under it.
 */
#include "store/committer.h"

#include "base/mailbox.h"
#include "base/mem.h"
#include "store/expiry.h"
#include "store/thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { GROUP_MAX = 1024, GROUP_BYTES = 32 << 20 };
#define SWEEP_AGAIN_NS (60 * NS_PER_S)  /* after one that was rolled back */
#define SWEEP_SLEEP_NS (600 * NS_PER_S) /* the wall clock may have been set */

const double committer_operation_bounds[COMMITTER_BOUNDS] = {1, 4, 16, 64, 256, 1024, 4096};
const double committer_second_bounds[COMMITTER_BOUNDS] = {0.00025, 0.001, 0.004, 0.016, 0.064, 0.256, 1};

struct committer {
    struct store *store;
    struct committer_config config;
    pthread_t commit_thread, checkpoint_thread;
    struct mailbox done; /* batches, and note */

    struct batch *group[GROUP_MAX]; /* the transaction being made, or stalled */
    size_t n_group;

    pthread_mutex_t lock;
    pthread_cond_t work; /* for the commit thread: something below has changed */
    struct list waiting;
    struct list continued; /* the beginning of what comes next; not waiting before its end is here */
    uint64_t last_seq;
    int is_stopping, is_retry;
    int is_sweeping; /* as leave says, which is the commit thread's meanwhile */
    struct store_sweep leave;
    uint64_t *kept; /* of leave */
    wall_ns_t sweep_at;
    struct committer_status status; /* wal_bytes only when it is asked for */
    struct list note;               /* in the mailbox when the state has changed */
    int is_noted;
    pthread_cond_t checkpoint; /* for the checkpoint thread */
    int is_checkpoint, is_checkpoint_stopping;
    uint64_t checkpoint_at; /* length of the log */
};

static void lock(struct committer *c)
{
    ASSERT(pthread_mutex_lock(&c->lock) == 0);
}

static void unlock(struct committer *c)
{
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
}

static void wake(pthread_cond_t *cond)
{
    ASSERT(pthread_cond_signal(cond) == 0);
}

/* --- the state; under lock */

static void tell(struct committer *c)
{
    if (!c->is_noted) {
        c->is_noted = 1;
        mailbox_post(&c->done, &c->note);
    }
}

static void set_state(struct committer *c, enum committer_state state)
{
    if (c->status.state == state)
        return;
    c->status.state = state;
    if (state == COMMITTER_STALLED)
        c->status.n_stalls++;
    tell(c);
}

/* Whether @r is the end of all writing; the state then says so. */
static int is_fatal(struct committer *c, int r, const struct store_problem *problem)
{
    if (r != STORE_E_CORRUPT && r != STORE_E_POISONED)
        return 0;
    c->status.problem = *problem;
    set_state(c, r == STORE_E_CORRUPT ? COMMITTER_CORRUPT : COMMITTER_POISONED);
    wake(&c->work);
    return 1;
}

static int is_writing(const struct committer *c)
{
    return c->status.state == COMMITTER_RUNNING || c->status.state == COMMITTER_STALLED;
}

/* --- commits */

static void group_add(struct committer *c, struct batch *b)
{
    c->group[c->n_group++] = b;
}

/* Take from the waiting ones what goes into one transaction. Under lock. */
static void gather(struct committer *c)
{
    uint64_t bytes = 0;
    struct list *l;

    ASSERT(c->n_group == 0);
    while (c->n_group < GROUP_MAX && (bytes < GROUP_BYTES || c->group[c->n_group - 1]->is_continued) &&
           (l = list_pop_front(&c->waiting))) {
        struct batch *b = LIST_ENTRY(l, struct batch, link);

        bytes += b->n_bytes;
        group_add(c, b);
    }
}

/* The group's batches go back with @result. Under lock. */
static void give_back(struct committer *c, int result)
{
    for (size_t i = 0; i < c->n_group; i++) {
        struct batch *b = c->group[i];

        c->status.n_waiting--;
        c->status.waiting_bytes -= b->n_bytes;
        if (result == 0) {
            c->status.durable_seq = b->commit_seq;
            c->status.n_batches++;
            c->status.n_ops += b->n;
        }
        b->result = result;
        mailbox_post(&c->done, &b->link);
    }
    c->n_group = 0;
}

static void want_checkpoint(struct committer *c)
{
    if (store_wal_bytes(c->store) < c->checkpoint_at)
        return;
    c->is_checkpoint = 1;
    wake(&c->checkpoint);
}

static void count_in(uint64_t counts[static COMMITTER_BOUNDS + 1], const double *bounds, double value)
{
    size_t i = 0;

    while (i < COMMITTER_BOUNDS && value > bounds[i])
        i++;
    counts[i]++;
}

/* The group is on disk. Under lock. */
static void count_commit(struct committer *c, int64_t took_ns)
{
    uint64_t n_ops = 0;

    for (size_t i = 0; i < c->n_group; i++)
        n_ops += c->group[i]->n;
    c->status.n_commits++;
    c->status.commit_ns += took_ns;
    count_in(c->status.n_by_operations, committer_operation_bounds, (double)n_ops);
    count_in(c->status.n_by_seconds, committer_second_bounds, (double)took_ns / 1e9);
}

/* Write the group, which may be a stalled one. */
static void commit(struct committer *c)
{
    mono_ns_t began = clock_mono();
    struct store_problem problem;
    int r = store_write(c->store, c->group, c->n_group, &problem);
    int64_t took_ns = clock_mono() - began;

    lock(c);
    if (r == 0) {
        count_commit(c, took_ns);
        set_state(c, COMMITTER_RUNNING);
        want_checkpoint(c);
        give_back(c, 0);
    } else if (is_fatal(c, r, &problem)) {
        give_back(c, r);
    } else {
        c->status.problem = problem;
        set_state(c, COMMITTER_STALLED);
        c->is_checkpoint = 1; /* a log that begins anew may have the room that is missing */
        wake(&c->checkpoint);
    }
    unlock(c);
}

/* Everything that waits goes back with @result. Under lock. */
static void refuse_all(struct committer *c, int result)
{
    while (c->n_group > 0 || !list_is_empty(&c->waiting)) {
        if (c->n_group == 0)
            gather(c);
        give_back(c, result);
    }
}

/* --- the sweep */

/* Under lock. */
static void end_sweep(struct committer *c, wall_ns_t next)
{
    c->is_sweeping = 0;
    c->status.n_sweeps++;
    c->kept = mem_free(c->kept);
    c->sweep_at = next;
}

static void sweep(struct committer *c)
{
    wall_ns_t now = c->leave.now;
    struct store_swept swept = {.next = now};
    struct store_problem problem;
    int r = store_sweep(c->store, &c->leave, &swept, &problem);

    lock(c);
    if (r == 0) {
        c->status.n_swept += swept.n_deleted;
        c->status.n_damaged += swept.n_damaged;
        if (swept.n_deleted) /* who was at a limit has room again */
            tell(c);
        want_checkpoint(c);
        if (swept.next > now) /* what finishes meanwhile expires with this hour at the earliest */
            end_sweep(c, MIN(swept.next, expiry_due(expiry_hour(now))));
    } else {
        if (!is_fatal(c, r, &problem))
            c->status.problem = problem;
        end_sweep(c, clock_add(now, SWEEP_AGAIN_NS));
    }
    unlock(c);
}

/* Sleep until there is work, or the time of the next sweep. Under lock. */
static void wait_for_work(struct committer *c)
{
    int64_t left_ns = c->status.wants_sweep ? SWEEP_SLEEP_NS : c->sweep_at - c->config.wall();
    mono_ns_t until = clock_add(clock_mono(), MIN(MAX(left_ns, INT64_C(0)), SWEEP_SLEEP_NS));
    struct timespec t = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    int r;

    if (!is_writing(c) || c->status.state == COMMITTER_STALLED)
        r = pthread_cond_wait(&c->work, &c->lock);
    else
        r = pthread_cond_timedwait(&c->work, &c->lock, &t);
    ASSERT(r == 0 || r == ETIMEDOUT);
}

/* What the commit thread does next; under lock. */
enum next { NEXT_WAIT, NEXT_COMMIT, NEXT_ASK /* for leave: done already */, NEXT_SWEEP, NEXT_END };

static enum next next_in_running(struct committer *c)
{
    gather(c);
    if (c->n_group > 0)
        return NEXT_COMMIT;
    if (c->is_stopping)
        return NEXT_END;
    if (c->is_sweeping)
        return NEXT_SWEEP;
    if (c->sweep_at <= c->config.wall() && !c->status.wants_sweep) {
        c->status.wants_sweep = 1;
        tell(c);
        return NEXT_ASK;
    }
    return NEXT_WAIT;
}

static enum next next(struct committer *c)
{
    int is_retry = c->is_retry;

    switch (c->status.state) {
    case COMMITTER_RUNNING: return next_in_running(c);
    case COMMITTER_STALLED:
        c->is_retry = 0;
        if (is_retry)
            return NEXT_COMMIT;
        if (!c->is_stopping)
            return NEXT_WAIT;
        refuse_all(c, STORE_E_ROLLED_BACK);
        return NEXT_END;
    case COMMITTER_CORRUPT: refuse_all(c, STORE_E_CORRUPT); break;
    case COMMITTER_POISONED: refuse_all(c, STORE_E_POISONED); break;
    }
    return c->is_stopping ? NEXT_END : NEXT_WAIT;
}

static void act(struct committer *c, enum next what)
{
    if (what == NEXT_COMMIT)
        commit(c);
    else if (what == NEXT_SWEEP)
        sweep(c);
}

int committer_step(struct committer *c)
{
    enum next what;

    lock(c);
    what = next(c);
    unlock(c);
    act(c, what);
    return what != NEXT_WAIT && what != NEXT_END;
}

static void *run_commits(void *arg)
{
    struct committer *c = arg;
    enum next what;

    for (;;) {
        lock(c);
        while ((what = next(c)) == NEXT_WAIT)
            wait_for_work(c);
        unlock(c);
        if (what == NEXT_END)
            return NULL;
        act(c, what);
    }
}

/* --- checkpoints */

static void *run_checkpoints(void *arg)
{
    struct committer *c = arg;
    struct store_problem problem;
    int r;

    lock(c);
    for (;;) {
        while (!c->is_checkpoint && !c->is_checkpoint_stopping)
            ASSERT(pthread_cond_wait(&c->checkpoint, &c->lock) == 0);
        if (c->is_checkpoint_stopping || !is_writing(c))
            break;
        unlock(c);
        r = store_checkpoint(c->store, &problem);
        lock(c);
        c->is_checkpoint = 0;
        c->checkpoint_at = store_wal_bytes(c->store) + c->config.checkpoint_wal_bytes;
        if (r == 0)
            c->status.n_checkpoints++;
        else if (!is_fatal(c, r, &problem) && c->status.state == COMMITTER_RUNNING)
            c->status.problem = problem;
    }
    unlock(c);
    return NULL;
}

/* --- the owner's side */

static void destroy(struct committer *c)
{
    mailbox_deinit(&c->done);
    pthread_cond_destroy(&c->checkpoint);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->kept);
    mem_free(c);
}

static void stop_commits(struct committer *c)
{
    lock(c);
    ASSERT(list_is_empty(&c->continued));
    c->is_stopping = 1;
    c->is_retry = c->status.state == COMMITTER_STALLED;
    wake(&c->work);
    unlock(c);
    thread_join(c->commit_thread);
}

static void stop_checkpoints(struct committer *c)
{
    lock(c);
    c->is_checkpoint_stopping = 1;
    wake(&c->checkpoint);
    unlock(c);
    thread_join(c->checkpoint_thread);
}

int committer_start(struct committer **ret, struct store *s, const struct committer_config *config)
{
    struct committer *c = mem_zalloc(sizeof *c);
    int r;

    if (!c)
        return -ENOMEM;
    r = mailbox_init(&c->done);
    if (r < 0) {
        mem_free(c);
        return r;
    }
    c->store = s;
    c->config = *config;
    c->checkpoint_at = config->checkpoint_wal_bytes;
    list_init(&c->waiting);
    list_init(&c->continued);
    list_init(&c->note);
    ASSERT(pthread_mutex_init(&c->lock, NULL) == 0); /* cannot fail with default attributes on Linux */
    thread_cond_init(&c->work);
    thread_cond_init(&c->checkpoint);
    r = thread_start(&c->checkpoint_thread, "checkpoint", run_checkpoints, c);
    if (r < 0) {
        destroy(c);
        return r;
    }
    r = thread_start(&c->commit_thread, "commit", run_commits, c);
    if (r < 0) {
        stop_checkpoints(c);
        destroy(c);
        return r;
    }
    *ret = c;
    return 0;
}

void committer_submit(struct committer *c, struct batch *b)
{
    lock(c);
    ASSERT(b->commit_seq > c->last_seq && !c->is_stopping);
    c->last_seq = b->commit_seq;
    c->status.n_waiting++;
    c->status.waiting_bytes += b->n_bytes;
    list_push_back(&c->continued, &b->link);
    if (!b->is_continued) {
        list_splice_back(&c->waiting, &c->continued);
        wake(&c->work);
    }
    unlock(c);
}

int committer_is_full(struct committer *c)
{
    int is_full;

    lock(c);
    is_full = c->status.waiting_bytes > c->config.max_waiting_bytes;
    unlock(c);
    return is_full;
}

int committer_fd(const struct committer *c)
{
    return mailbox_fd(&c->done);
}

void committer_take(struct committer *c, struct list *batches, struct committer_status *ret_status)
{
    struct list got;

    list_init(&got);
    mailbox_take(&c->done, &got);
    lock(c);
    LIST_FOREACH_SAFE (l, &got)
        if (l == &c->note) {
            list_del(l);
            c->is_noted = 0;
        }
    if (ret_status) {
        *ret_status = c->status;
        ret_status->wal_bytes = store_wal_bytes(c->store);
    }
    unlock(c);
    list_splice_back(batches, &got);
}

struct committer_status committer_get_status(struct committer *c)
{
    struct committer_status status;

    lock(c);
    status = c->status;
    unlock(c);
    status.wal_bytes = store_wal_bytes(c->store);
    return status;
}

void committer_retry(struct committer *c)
{
    lock(c);
    c->is_retry = c->status.state == COMMITTER_STALLED;
    wake(&c->work);
    unlock(c);
}

int committer_sweep(struct committer *c, wall_ns_t now, const uint64_t *kept, size_t n)
{
    uint64_t *copy = n ? mem_alloc(n * sizeof *copy) : NULL;

    if (n && !copy)
        return -ENOMEM;
    if (n)
        memcpy(copy, kept, n * sizeof *copy);
    lock(c);
    if (!c->is_sweeping) {
        c->is_sweeping = 1;
        c->status.wants_sweep = 0;
        c->kept = TAKE_PTR(copy);
        c->leave = (struct store_sweep){.now = now, .max = c->config.sweep_max, .kept = c->kept, .n_kept = n};
        wake(&c->work);
    }
    unlock(c);
    mem_free(copy);
    return 0;
}

struct committer *committer_stop(struct committer *c, struct list *batches)
{
    if (!c)
        return NULL;
    stop_commits(c);
    stop_checkpoints(c);
    committer_take(c, batches, NULL);
    destroy(c);
    return NULL;
}
