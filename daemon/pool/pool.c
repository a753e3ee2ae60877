// SPDX-License-Identifier: Apache-2.0
/*
 * One slot a worker. A slot is empty, or holds a child from spawn to reap; what happens to a child in between:
 *
 *   spawned --pool_ready, and 1 s old or has started a task--> proven
 *      |  \
 *      |   `--pool_stop: SIGTERM, kill_at = now + grace--> stopping --kill_at--> SIGKILL to the group
 *      |--not ready in time: SIGKILL to the group; it counts as an early death
 *      |--pool_term: SIGTERM to the group, nothing more
 *      `--pool_kill: SIGKILL to the group
 *   any of these --dies--> the rest of its group is killed, on_exit, the slot is empty; what has left the group comes to us
 *                          and is killed as well
 *
 * A child counts (towards n_workers) unless it is stale or retired: what does not count has another in its place.
 *
 * Throttle: an early death is one of a child of this generation that was not proven and not asked to go. After `burst` of them in a row
 * (n_early; a child that proves itself starts the row again) nothing is spawned for 1 s, then one child is tried; when
 * that one dies early too the time doubles, up to 30 s. A spawn that fails counts as a full row. A child that has started
 * a task is proven however young it is: a task that kills its worker costs its own attempt, and must not stop the others.
 *
 * Invariants:
 *  1. A pid is used only while the child is not reaped: until then neither it nor its group's number is given to others.
 *  2. n_alive is the number of slots with a key; each of them has a pidfd in the epoll set, pages and a pid.
 *  3. Callbacks come from pool_turn only, on_exit before a slot is used again. What they say is the owner's to log; only
 *     what it cannot know is logged here.
 */
#include "pool/pool.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/orphans.h"
#include "pool/spawn.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/wait.h>

enum {
    SPAWNS_PER_TURN = 8, /* each costs about a millisecond of the loop */
    DEATHS_PER_TURN = 64,
    EXIT_NOT_SPAWNED = 127, /* as a shell says it */
};
#define EARLY_NS     NS_PER_S
#define SWEEP_NS     (10 * NS_PER_MS)  /* between looks at what is killed and not yet gone */
#define ASK_NS       (100 * NS_PER_MS) /* between questions after a child without a pidfd */
#define DELAY_MIN_NS NS_PER_S
#define DELAY_MAX_NS (30 * NS_PER_S)

struct slot {
    uint64_t key; /* 0 = empty */
    pid_t pid;
    int pidfd;
    struct runpage *pages; /* of each thread */
    uint32_t n_threads, n_ready;
    mono_ns_t started_at;
    mono_ns_t kill_at;   /* CLOCK_NEVER: not stopping, or killed already */
    uint64_t generation; /* of the pool, when it was spawned */
    unsigned int is_ready : 1;
    unsigned int is_proven : 1;
    unsigned int is_retired : 1;
    unsigned int is_asked : 1; /* to go, by us */
    unsigned int is_stopping : 1;
    unsigned int is_overdue : 1; /* killed, since it was not ready in time */
};

struct pool {
    struct pool_config config;
    struct pool_ops ops;
    char *path;
    struct slot *slots;
    pid_t *known; /* room for their pids */
    uint32_t n_slots;
    uint64_t generation;
    int has_orphans; /* a worker has died: what it left behind may have come to us */
    uint32_t n_alive;
    uint32_t n_early; /* early deaths in a row */
    int epoll_fd;
    int is_stopping; /* nothing is spawned any more */
    uint64_t last_key;
    int64_t delay_ns; /* of the latest throttle, 0 = none since a child proved itself */
    mono_ns_t retry_at;
};

int pool_resize(struct pool *p, uint32_t n_workers, int64_t start_ns)
{
    uint32_t n = MAX(n_workers, 1U) * POOL_ALIVE_FACTOR;
    struct slot *slots;
    pid_t *known;

    if (n > p->n_slots) {
        known = mem_realloc(p->known, n * sizeof *known);
        if (!known)
            return -ENOMEM;
        p->known = known;
        slots = mem_realloc(p->slots, n * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        memset(slots + p->n_slots, 0, (n - p->n_slots) * sizeof *slots);
        p->slots = slots;
        p->n_slots = n;
    }
    p->config.n_workers = n_workers;
    p->config.start_ns = start_ns;
    return 0;
}

int pool_new(struct pool **ret, const struct pool_config *config, const struct pool_ops *ops)
{
    struct sigaction children;
    struct pool *p;
    int r;

    ASSERT(config->spec_fd >= 0 && config->start_ns > 0 && config->burst > 0);
    ASSERT(config->n_threads > 0 && config->n_threads <= RUNPAGE_PAGES_MAX);
    /* where SIGCHLD is ignored (it is inherited so) the kernel reaps our children before we can ask how they ended */
    if (sigaction(SIGCHLD, NULL, &children) == 0 && children.sa_handler == SIG_IGN)
        signal(SIGCHLD, SIG_DFL);
    r = orphans_adopt();
    if (r < 0)
        return r;
    p = mem_zalloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct pool){
            .config = *config, .ops = *ops, .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .generation = 1};
    if (p->epoll_fd < 0) {
        r = -errno;
        pool_free(p);
        return r;
    }
    p->path = mem_strndup(config->worker_path, strlen(config->worker_path));
    if (!p->path || pool_resize(p, config->n_workers, config->start_ns) < 0) {
        pool_free(p);
        return -ENOMEM;
    }
    p->config.worker_path = p->path;
    *ret = p;
    return 0;
}

static int is_current(const struct pool *p, const struct slot *s)
{
    return s->key && s->generation == p->generation;
}

/* Of those that n_workers is about. */
static int is_counted(const struct pool *p, const struct slot *s)
{
    return is_current(p, s) && !s->is_retired;
}

static uint32_t n_counted(const struct pool *p)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n_slots; i++)
        n += is_counted(p, &p->slots[i]) ? 1 : 0;
    return n;
}

static struct slot *slot_find(const struct pool *p, uint64_t key)
{
    for (uint32_t i = 0; key && i < p->n_slots; i++)
        if (p->slots[i].key == key)
            return &p->slots[i];
    return NULL;
}

/* The child and, where they have not left its group, all that it started. */
static void slot_kill_group(const struct slot *s)
{
    kill(-s->pid, SIGKILL);
    kill(s->pid, SIGKILL); /* it may have left its own group; the number is its own until it is reaped here */
}

static void slot_clear(struct pool *p, struct slot *s)
{
    err_close(&s->pidfd); /* which takes it out of the epoll set: it was never duplicated */
    spawn_unmap(s->pages, s->n_threads);
    *s = (struct slot){0};
    p->n_alive--;
}

/* --- the throttle */

static int has_started(const struct slot *s)
{
    for (uint32_t i = 0; i < s->n_threads; i++)
        if (atomic_load_explicit(&s->pages[i].n_started, memory_order_relaxed) > 0)
            return 1;
    return 0;
}

/* Note that @s works, if it does by now. */
static void prove(struct pool *p, struct slot *s, mono_ns_t now)
{
    if (s->is_proven || !s->is_ready || (now - s->started_at < EARLY_NS && !has_started(s)))
        return;
    s->is_proven = 1;
    if (!is_current(p, s))
        return;
    p->n_early = 0;
    p->delay_ns = 0;
    p->retry_at = 0;
}

/* One more early death. Those that were spawned before the throttle began do not prolong it. */
static void count_early(struct pool *p, uint32_t n, int wait_status, mono_ns_t now)
{
    p->n_early = n > UINT_MAX - p->n_early ? UINT_MAX : p->n_early + n;
    if (p->n_early < p->config.burst || now < p->retry_at)
        return;
    p->delay_ns = p->delay_ns ? MIN(2 * p->delay_ns, DELAY_MAX_NS) : DELAY_MIN_NS;
    p->retry_at = clock_add(now, p->delay_ns);
    if (p->ops.on_throttle)
        p->ops.on_throttle(p->ops.context, wait_status, p->retry_at);
}

/* --- deaths */

/* How @s ended, in the form of waitpid; -1 when it has not. */
static int wait_status_of(const struct slot *s, int options)
{
    siginfo_t info = {0};
    int r;

    do
        r = waitid(P_PID, (id_t)s->pid, &info, WEXITED | options);
    while (r < 0 && errno == EINTR);
    ASSERT(r == 0); /* it is our child, and nobody else reaps it */
    if (info.si_pid == 0)
        return -1;
    switch (info.si_code) {
    case CLD_EXITED: return (info.si_status & 0xff) << 8;
    case CLD_DUMPED: return info.si_status | WCOREFLAG;
    default: return info.si_status;
    }
}

static void reap(struct pool *p, struct slot *s, mono_ns_t now)
{
    int status, is_early;

    kill(-s->pid, SIGKILL); /* what it left behind, while the number is still its group's */
    status = wait_status_of(s, WNOHANG);
    if (status < 0)
        return;
    p->has_orphans = 1;
    prove(p, s, now);
    is_early = is_current(p, s) && !s->is_proven && !s->is_asked;
    p->ops.on_exit(p->ops.context, s->key, s->pid, status, s->is_asked);
    slot_clear(p, s);
    if (is_early)
        count_early(p, 1, status, now);
}

/* Without a pidfd nobody tells: ask. What it left behind is only killed once it is dead. */
static void reap_if_dead(struct pool *p, struct slot *s, mono_ns_t now)
{
    siginfo_t info = {0};

    if (waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
        reap(p, s, now);
}

static void reap_all(struct pool *p, mono_ns_t now)
{
    struct epoll_event events[DEATHS_PER_TURN];
    int n = epoll_wait(p->epoll_fd, events, DEATHS_PER_TURN, 0);

    for (int i = 0; i < n; i++) {
        struct slot *s = slot_find(p, events[i].data.u64);

        if (s)
            reap(p, s, now);
    }
}

/* What has left the group of a worker that died comes to us (base/orphans.h), and is killed. When to go on. */
static mono_ns_t sweep(struct pool *p, mono_ns_t now)
{
    size_t n = 0;

    if (!p->has_orphans)
        return CLOCK_NEVER;
    for (uint32_t i = 0; i < p->n_slots; i++)
        if (p->slots[i].key)
            p->known[n++] = p->slots[i].pid;
    p->has_orphans = orphans_sweep(p->known, n, ORPHANS_OF_ANY_AGE, 0) > 0;
    return p->has_orphans ? clock_add(now, SWEEP_NS) : CLOCK_NEVER;
}

/* --- births */

static int spawn_into(struct pool *p, struct slot *s, mono_ns_t now)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct spawn_child child;
    int r;

    r = spawn_worker(p->path, p->config.spec_fd, p->config.n_threads, &child);
    if (r < 0)
        return r;
    *s = (struct slot){
            .key = ++p->last_key,
            .pid = child.pid,
            .pidfd = child.pidfd,
            .pages = child.pages,
            .n_threads = child.n_threads,
            .started_at = now,
            .kill_at = CLOCK_NEVER,
            .generation = p->generation,
    };
    p->n_alive++;
    event.data.u64 = s->key;
    if (s->pidfd >= 0 && epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, s->pidfd, &event) < 0) {
        r = -errno;
        slot_kill_group(s);
        (void)wait_status_of(s, 0);
        slot_clear(p, s);
        for (uint32_t i = 0; i < child.n_threads; i++)
            close(child.sockets[i]);
        return r;
    }
    p->ops.on_spawn(p->ops.context, s->key, s->pid, child.sockets, child.n_threads);
    return 0;
}

/* Whether one more child is wanted, and the throttle allows it: after a full row, one that is not proven at a time. */
static int may_spawn(const struct pool *p, mono_ns_t now)
{
    if (p->is_stopping || n_counted(p) >= p->config.n_workers || now < p->retry_at ||
        p->n_alive >= p->config.n_workers * POOL_ALIVE_FACTOR)
        return 0;
    for (uint32_t i = 0; p->n_early >= p->config.burst && i < p->n_slots; i++)
        if (is_counted(p, &p->slots[i]) && !p->slots[i].is_proven && !p->slots[i].is_asked)
            return 0;
    return 1;
}

/* Fill empty slots. Returns when to go on: @now when there is more to do at once. */
static mono_ns_t spawn_missing(struct pool *p, mono_ns_t now)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->n_slots; i++) {
        int r;

        if (p->slots[i].key)
            continue;
        if (!may_spawn(p, now))
            break;
        if (n++ == SPAWNS_PER_TURN)
            return now;
        r = spawn_into(p, &p->slots[i], now);
        if (r < 0) {
            LOG_EVENT(LOG_ERROR, "worker_not_started", LOG_STR("path", p->path), LOG_ERRNO(r));
            count_early(p, p->config.burst, EXIT_NOT_SPAWNED << 8, now);
        }
    }
    if (p->is_stopping || n_counted(p) >= p->config.n_workers || now >= p->retry_at)
        return CLOCK_NEVER;
    return p->retry_at;
}

/* --- generations */

void pool_renew(struct pool *p, int spec_fd, uint32_t n_threads, mono_ns_t now)
{
    p->config.spec_fd = spec_fd;
    p->config.n_threads = n_threads;
    p->generation++;
    p->n_early = 0;
    p->delay_ns = 0;
    p->retry_at = 0;
    for (uint32_t i = 0; i < p->n_slots; i++)
        if (p->slots[i].key && !p->slots[i].is_ready)
            pool_stop(p, p->slots[i].key, now);
}

void pool_ready(struct pool *p, uint64_t key)
{
    struct slot *s = slot_find(p, key);

    if (s && ++s->n_ready == s->n_threads)
        s->is_ready = 1;
}

void pool_retire(struct pool *p, uint64_t key)
{
    struct slot *s = slot_find(p, key);

    if (s)
        s->is_retired = 1;
}

struct pool_counts pool_counts(const struct pool *p)
{
    struct pool_counts n = {.n_alive = p->n_alive, .n_early = p->n_early};

    for (uint32_t i = 0; i < p->n_slots; i++) {
        const struct slot *s = &p->slots[i];

        if (!s->key || s->is_retired)
            continue;
        if (!is_current(p, s))
            n.n_stale += s->is_ready;
        else if (s->is_ready)
            n.n_ready++;
        else
            n.n_starting++;
    }
    return n;
}

uint64_t pool_next(const struct pool *p, uint64_t key, int is_stale)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < p->n_slots; i++) {
        const struct slot *s = &p->slots[i];

        if (s->key > key && s->is_ready && !s->is_retired && is_current(p, s) == !is_stale &&
            (!next || s->key < next))
            next = s->key;
    }
    return next;
}

int pool_is_ready(const struct pool *p, uint64_t key)
{
    const struct slot *s = slot_find(p, key);

    return s && s->is_ready;
}

int pool_is_stale(const struct pool *p, uint64_t key)
{
    const struct slot *s = slot_find(p, key);

    return s && !is_current(p, s);
}

int pool_is_overdue(const struct pool *p, uint64_t key)
{
    const struct slot *s = slot_find(p, key);

    return s && s->is_overdue;
}

/* --- the kill ladder */

void pool_kill(struct pool *p, uint64_t key)
{
    struct slot *s = slot_find(p, key);

    if (!s)
        return;
    s->is_asked = 1;
    s->kill_at = CLOCK_NEVER;
    slot_kill_group(s);
}

void pool_term(struct pool *p, uint64_t key)
{
    struct slot *s = slot_find(p, key);

    if (!s)
        return;
    s->is_asked = 1;
    kill(-s->pid, SIGTERM);
}

static void slot_stop(const struct pool *p, struct slot *s, mono_ns_t now)
{
    if (s->is_stopping)
        return;
    s->is_stopping = s->is_asked = 1;
    s->kill_at = clock_add(now, p->config.grace_ns);
    kill(s->pid, SIGTERM);
}

void pool_stop(struct pool *p, uint64_t key, mono_ns_t now)
{
    struct slot *s = slot_find(p, key);

    if (s)
        slot_stop(p, s, now);
}

void pool_stop_all(struct pool *p, mono_ns_t now)
{
    p->is_stopping = 1;
    for (uint32_t i = 0; i < p->n_slots; i++)
        if (p->slots[i].key)
            slot_stop(p, &p->slots[i], now);
}

/* What hangs in its start is ended. When to look again. */
static mono_ns_t check_start(const struct pool *p, struct slot *s, mono_ns_t now)
{
    mono_ns_t until = clock_add(s->started_at, p->config.start_ns);

    if (s->is_ready || s->is_asked || s->is_overdue)
        return CLOCK_NEVER;
    if (now < until)
        return until;
    s->is_overdue = 1;
    slot_kill_group(s);
    return CLOCK_NEVER;
}

mono_ns_t pool_turn(struct pool *p, mono_ns_t now)
{
    mono_ns_t next;

    reap_all(p, now);
    for (uint32_t i = 0; i < p->n_slots; i++) {
        if (p->slots[i].key && p->slots[i].pidfd < 0)
            reap_if_dead(p, &p->slots[i], now);
        if (p->slots[i].key)
            prove(p, &p->slots[i], now);
    }
    next = MIN(sweep(p, now), spawn_missing(p, now));
    for (uint32_t i = 0; i < p->n_slots; i++) {
        struct slot *s = &p->slots[i];

        if (!s->key)
            continue;
        if (now >= s->kill_at) {
            s->kill_at = CLOCK_NEVER;
            LOG_EVENT(LOG_WARNING, "worker_grace_over", LOG_NUM("worker", s->key), LOG_NUM("pid", s->pid),
                      LOG_NUM("grace_ms", p->config.grace_ns / NS_PER_MS));
            slot_kill_group(s);
        }
        next = MIN(next, check_start(p, s, now));
        next = MIN(next, s->kill_at);
        if (s->pidfd < 0)
            next = MIN(next, clock_add(now, ASK_NS));
        if (p->n_early && s->is_ready && !s->is_proven)
            next = MIN(next, clock_add(s->started_at, EARLY_NS));
    }
    return next;
}

/* --- what others ask */

int pool_fd(const struct pool *p)
{
    return p->epoll_fd;
}

const struct runpage *pool_pages(const struct pool *p, uint64_t key, uint32_t *ret_n)
{
    const struct slot *s = slot_find(p, key);

    *ret_n = s ? s->n_threads : 0;
    return s ? s->pages : NULL;
}

pid_t pool_pid(const struct pool *p, uint64_t key)
{
    const struct slot *s = slot_find(p, key);

    return s ? s->pid : 0;
}

uint32_t pool_n_alive(const struct pool *p)
{
    return p->n_alive;
}

struct pool *pool_free(struct pool *p)
{
    if (!p)
        return NULL;
    for (uint32_t i = 0; p->slots && i < p->n_slots; i++)
        if (p->slots[i].key)
            slot_kill_group(&p->slots[i]);
    for (uint32_t i = 0; p->slots && i < p->n_slots; i++)
        if (p->slots[i].key) {
            (void)wait_status_of(&p->slots[i], 0);
            slot_clear(p, &p->slots[i]);
            p->has_orphans = 1;
        }
    if (p->has_orphans)
        (void)orphans_sweep(NULL, 0, ORPHANS_OF_ANY_AGE, 1);
    err_close(&p->epoll_fd);
    mem_free(p->slots);
    mem_free(p->known);
    mem_free(p->path);
    return mem_free(p);
}
