// SPDX-License-Identifier: Apache-2.0
/*
 * Two things are kept apart: how many workers there are to be (size.wanted), and what they serve (spec). A new spec makes
 * a new generation of the pool; balance() then sees to it that never fewer workers than are wanted can take work, nor, for
 * longer than it takes, more.
 */
#include "daemon/workers.h"

#include "base/cgroup.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/net/conn.h"
#include "daemon/net/loop.h"
#include "daemon/workers_spec.h"
#include "pool/pool.h"
#include "pool/size.h"
#include "service/functions.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sys/wait.h>

enum { POOL_BURST = 5 };
#define GRACE_NS (5 * NS_PER_S)

struct workers {
    struct workers_config config;
    struct dispatch *dispatch;
    struct pool *pool; /* NULL: none were ever asked for */
    struct loop_watch pool_watch;
    struct loop_timer pool_timer;
    char program[PATH_MAX];           /* "" = not looked for yet */
    char loading[RUNPAGE_TEXT_BYTES]; /* what the worker that died last was loading; "" */
    struct size size;
    uint32_t n_threads, next_threads; /* of each: as in spec, as in next_spec */
    int64_t start_ns;
    uint64_t n_spawned;
    struct failure {
        char text[1024 + RUNPAGE_TEXT_BYTES]; /* "" = all is well */
        int is_death;
        wall_ns_t began_at, at;
    } failure;            /* of the present generation */
    mono_ns_t retry_at;   /* nothing is spawned until then */
    struct buf spec;      /* what workers are told */
    struct buf next_spec; /* and what they are told next, when the present change is over; empty = nothing */
    int spec_fd;
};

/* --- births and deaths */

/* The future that a worker runs, for the log; "" = none. */
struct running {
    char future[ID_TEXT_LEN + 1], function[LIMIT_FUNCTION_NAME_BYTES + 1];
};

static struct running running_of(const struct workers *w, uint64_t key)
{
    const struct future *f = dispatch_running(w->dispatch, key);
    struct running r = {0};

    if (!f)
        return r;
    id_format(&f->id, r.future);
    snprintf(r.function, sizeof r.function, "%.*s", (int)f->function->name->len,
             (const char *)f->function->name->data);
    return r;
}

/* An event of a worker, with what it runs. */
#define LOG_WORKER(level, event, running, ...)                                                     \
    do {                                                                                           \
        static struct log_site site_;                                                              \
        const struct log_field fields_[] = {LOG_STR("future", (running).future),                   \
                                            LOG_STR("function", (running).function), __VA_ARGS__}; \
        size_t skip_ = *(running).future ? 0 : 2;                                                  \
                                                                                                   \
        log_emit(&site_, level, event, fields_ + skip_, ARRAY_LEN(fields_) - skip_);               \
    } while (0)

static void turn(struct workers *w, mono_ns_t now);

static void on_pool_fd(void *arg, int what)
{
    struct workers *w = arg;

    turn(w, loop_now(w->config.loop));
}

static void on_pool_timer(void *arg, mono_ns_t now)
{
    turn(arg, now);
}

static void turn_soon(struct workers *w)
{
    loop_timer_set(&w->pool_timer, loop_now(w->config.loop));
}

static void on_spawn(void *context, uint64_t key, pid_t pid, const int *fds, uint32_t n_threads)
{
    struct workers *w = context;
    struct conn_peer peer = {.trust = CONN_OWN};
    int r = 0;

    w->n_spawned++;
    snprintf(peer.address, sizeof peer.address, "worker:%d", (int)pid);
    LOG_EVENT(LOG_INFO, "worker_started", LOG_NUM("worker", key), LOG_NUM("pid", pid));
    for (uint32_t i = 0; i < n_threads; i++) {
        int adopted;

        peer.worker_key = dispatch_key(key, i);
        adopted = conn_set_adopt(w->config.conns, fds[i], &peer, NULL);
        r = r ? r : adopted;
    }
    if (r == 0)
        return;
    LOG_EVENT(LOG_ERROR, "worker_lost", LOG_NUM("pid", pid), LOG_STR("why", "its socket cannot be served"),
              LOG_ERRNO(r));
    pool_kill(w->pool, key);
}

/* --- why they do not serve */

static void note_failure(struct workers *w, int is_death, struct span text)
{
    wall_ns_t now = clock_wall();

    if (!*w->failure.text) {
        w->failure.began_at = now;
        w->config.on_failing(w->config.arg, 1);
    }
    w->failure.at = now;
    w->failure.is_death = is_death;
    snprintf(w->failure.text, sizeof w->failure.text, "%.*s", (int)text.len, (const char *)text.p);
    for (char *c = w->failure.text; *c; c++)
        *c = *c == '\n' ? ';' : *c;
}

static void no_failure(struct workers *w)
{
    if (*w->failure.text)
        w->config.on_failing(w->config.arg, 0);
    w->failure = (struct failure){0};
    w->retry_at = 0;
}

/* Worker @key has died without being asked to. */
static void note_death(struct workers *w, uint64_t key, int wait_status, const char *when)
{
    char how[128], text[sizeof w->failure.text];

    if (pool_is_overdue(w->pool, key))
        snprintf(how, sizeof how, "was not ready within start_timeout, which is %lld ms",
                 (long long)(w->start_ns / NS_PER_MS));
    else if (WIFSIGNALED(wait_status))
        snprintf(how, sizeof how, "was killed by signal %d (SIG%s)", WTERMSIG(wait_status),
                 sigabbrev_np(WTERMSIG(wait_status)));
    else
        snprintf(how, sizeof how, "ended with exit code %d", WEXITSTATUS(wait_status));
    if (*w->loading)
        snprintf(text, sizeof text, "%s: the worker that was loading it %s", w->loading, how);
    else
        snprintf(text, sizeof text, "a worker %s %s", how, when);
    note_failure(w, 1, span_of_string(text));
}

int workers_failure(const struct workers *w, const struct function *f, struct function_failure *ret)
{
    enum { OF_POOL = 1 << FUNCTION_PLUGIN | 1 << FUNCTION_COMMAND, REMOTE = 1 << FUNCTION_REMOTE };
    mono_ns_t now;
    int n;

    if (LIKELY(!*w->failure.text))
        return 0;
    if (f->n_holders && !(w->failure.is_death && f->kinds & OF_POOL))
        return 0;
    if ((f->kinds & (OF_POOL | REMOTE)) == REMOTE)
        return 0;
    *ret = (struct function_failure){
            .is_death = w->failure.is_death, .began_at = w->failure.began_at, .at = w->failure.at};
    n = snprintf(ret->text, sizeof ret->text, "%s", w->failure.text);
    now = loop_now(w->config.loop);
    if (w->failure.is_death && now < w->retry_at)
        snprintf(ret->text + n, sizeof ret->text - (size_t)n,
                 "; %u have died at their start in a row, and the next one is tried in %lld ms",
                 (unsigned int)pool_counts(w->pool).n_early, (long long)((w->retry_at - now) / NS_PER_MS));
    return 1;
}

static void on_exit_of(void *context, uint64_t key, pid_t pid, int wait_status, int asked)
{
    struct workers *w = context;
    struct running running = running_of(w, key);
    uint32_t n_threads;
    int has_crashed;

    runpage_loading(pool_pages(w->pool, key, &n_threads), w->loading);
    if (*w->loading)
        LOG_EVENT(LOG_ERROR, "worker_died_loading", LOG_NUM("worker", key), LOG_NUM("pid", pid),
                  LOG_STR("plugin", w->loading));
    has_crashed = dispatch_worker_died(w->dispatch, key, wait_status, asked);
    if (WIFSIGNALED(wait_status))
        LOG_WORKER(has_crashed ? LOG_WARNING : LOG_INFO, "worker_killed", running, LOG_NUM("worker", key),
                   LOG_NUM("pid", pid), LOG_NUM("signal", WTERMSIG(wait_status)),
                   LOG_STR("name", strsignal(WTERMSIG(wait_status))));
    else
        LOG_WORKER(has_crashed ? LOG_WARNING : LOG_INFO, "worker_exited", running, LOG_NUM("worker", key),
                   LOG_NUM("pid", pid), LOG_NUM("exit_code", WEXITSTATUS(wait_status)));
    if (!asked && !pool_is_stale(w->pool, key) && (*w->loading || !pool_is_ready(w->pool, key)))
        note_death(w, key, wait_status, "at its start");
}

static void on_throttle(void *context, int last_wait_status, mono_ns_t until)
{
    struct workers *w = context;

    LOG_EVENT(LOG_ERROR, "workers_die_at_start",
              LOG_NUM(WIFSIGNALED(last_wait_status) ? "signal" : "exit_code",
                      WIFSIGNALED(last_wait_status) ? WTERMSIG(last_wait_status)
                                                    : WEXITSTATUS(last_wait_status)),
              LOG_NUM("retry_in_ms", (until - loop_now(w->config.loop)) / NS_PER_MS),
              LOG_STR("hint", *w->loading ? "take the plugin out of [pool] plugin, or mend it"
                                          : "look at what the workers wrote before this line"),
              LOG_STR("plugin", w->loading));
    w->retry_at = until;
    if (!*w->failure.text)
        note_death(w, 0, last_wait_status, "within a second of its start, with nothing to do");
    w->config.on_throttled(w->config.arg);
}

/* --- what dispatch asks */

static const struct runpage *page_of(void *context, uint64_t key)
{
    const struct workers *w = context;
    uint32_t n_threads;
    const struct runpage *pages = pool_pages(w->pool, dispatch_child(key), &n_threads);

    key -= dispatch_key(dispatch_child(key), 0);
    return key < n_threads ? &pages[key] : NULL;
}

static uint32_t pid_of(void *context, uint64_t key)
{
    const struct workers *w = context;

    return (uint32_t)pool_pid(w->pool, key);
}

static void kill_worker(void *context, uint64_t key, const char *why)
{
    struct workers *w = context;
    struct running running = running_of(w, key);

    LOG_WORKER(LOG_WARNING, "worker_kill", running, LOG_NUM("worker", key),
               LOG_NUM("pid", pool_pid(w->pool, key)), LOG_STR("why", why));
    pool_kill(w->pool, key);
}

static void term_worker(void *context, uint64_t key)
{
    struct workers *w = context;
    struct running running = running_of(w, key);

    LOG_WORKER(LOG_INFO, "worker_term", running, LOG_NUM("worker", key),
               LOG_NUM("pid", pool_pid(w->pool, key)), LOG_STR("why", "an attempt does not end"));
    pool_term(w->pool, key);
}

static void stop_worker(void *context, uint64_t key)
{
    struct workers *w = context;

    pool_stop(w->pool, key, loop_now(w->config.loop));
    turn_soon(w);
}

static void worker_is_ready(void *context, uint64_t key, struct span problem)
{
    struct workers *w = context;

    if (problem.len)
        note_failure(w, 0, problem);
    else
        no_failure(w);

    pool_ready(w->pool, key);
    turn_soon(w);
}

struct dispatch_pool workers_pool(struct workers *w)
{
    return (struct dispatch_pool){.page = page_of,
                                  .ready = worker_is_ready,
                                  .kill = kill_worker,
                                  .term = term_worker,
                                  .stop = stop_worker,
                                  .pid = pid_of,
                                  .context = w};
}

/* --- how many */

/* Of those that can go: who holds least. */
static uint64_t choose(const struct workers *w, int is_stale)
{
    uint64_t best = 0, least = UINT64_MAX;

    for (uint64_t key = 0; (key = pool_next(w->pool, key, is_stale));) {
        uint64_t n = dispatch_held(w->dispatch, key);

        if (n < least) {
            least = n;
            best = key;
        }
    }
    return best;
}

static void retire(struct workers *w, uint64_t key, mono_ns_t now)
{
    LOG_EVENT(LOG_INFO, "worker_retired", LOG_NUM("worker", key), LOG_NUM("pid", pool_pid(w->pool, key)));
    pool_retire(w->pool, key);
    if (!dispatch_retire(w->dispatch, key, now))
        pool_stop(w->pool, key, now);
}

/* Whoever is too many goes, the old ones first. */
static void balance(struct workers *w, mono_ns_t now)
{
    struct pool_counts n = pool_counts(w->pool);

    for (uint32_t n_ready = n.n_ready + n.n_stale; n_ready > w->size.wanted; n_ready--)
        retire(w, choose(w, pool_next(w->pool, 0, 1) != 0), now);
}

static int is_replacing(const struct workers *w)
{
    struct pool_counts n = pool_counts(w->pool);

    return n.n_stale > 0 || n.n_starting > 0 || n.n_ready < w->size.wanted;
}

mono_ns_t workers_look(struct workers *w, mono_ns_t now)
{
    uint32_t before = w->size.wanted;
    uint64_t needed;
    mono_ns_t next;

    if (!w->pool || w->size.limits.min == w->size.limits.max)
        return CLOCK_NEVER;
    needed = dispatch_needed(w->dispatch, (uint64_t)w->size.limits.max * w->n_threads);
    next = size_look(&w->size, (needed + w->n_threads - 1) / w->n_threads, !is_replacing(w), now);
    if (w->size.wanted == before)
        return next;
    if (pool_resize(w->pool, w->size.wanted, w->start_ns) < 0) {
        w->size.wanted = before; /* there is no memory for more: that is said again at the next look */
        return next;
    }
    LOG_EVENT(LOG_INFO, w->size.wanted > before ? "pool_grows" : "pool_shrinks", LOG_NUM("from", before),
              LOG_NUM("workers", w->size.wanted));
    turn_soon(w);
    return next;
}

struct workers_stats workers_stats(const struct workers *w)
{
    return (struct workers_stats){.n_min = w->size.limits.min,
                                  .n_max = w->size.limits.max,
                                  .n_wanted = w->size.wanted,
                                  .n_spawned = w->n_spawned,
                                  .n_grown = w->size.n_grown,
                                  .n_shrunk = w->size.n_shrunk};
}

static int is_failing(const struct workers *w)
{
    return pool_counts(w->pool).n_early > 0;
}

/* --- what they serve */

/* Control groups of version 2 have to be made room for before the first worker, even where only a later configuration will have a
 * limit of memory; that there are none matters to who has one. */
static void make_groups(const struct config *config)
{
    char own[CGROUP_OWN_BYTES];
    size_t i = 0;
    int r;

    cgroup_own(own);
    r = cgroup_delegate("/sys/fs/cgroup", own);
    while (i < config->n_functions && !config->functions[i].memory_max_bytes)
        i++;
    if (r < 0 && r != -ENOENT && i < config->n_functions)
        LOG_EVENT(LOG_WARNING, "no_control_groups", LOG_ERRNO(r),
                  LOG_STR("hint", "memory_max limits address space only; the unit needs Delegate=memory and "
                                  "ProtectControlGroups=no"));
}

/* From now on workers are told @spec, which is taken. 0, -errno (as before). */
static int renew(struct workers *w, struct buf *spec, mono_ns_t now)
{
    int fd, r = spec_seal(spec, &fd);

    if (r < 0)
        return r;
    pool_renew(w->pool, fd, w->next_threads, now);
    w->n_threads = w->next_threads;
    no_failure(w);
    err_close(&w->spec_fd);
    w->spec_fd = fd;
    buf_deinit(&w->spec);
    w->spec = *spec;
    *spec = (struct buf)BUF_INIT;
    return 0;
}

static void renew_again(struct workers *w, mono_ns_t now)
{
    int r;

    if (buf_len(&w->next_spec) == 0 || (is_replacing(w) && !is_failing(w)))
        return;
    r = renew(w, &w->next_spec, now);
    if (r < 0) {
        LOG_EVENT(LOG_ERROR, "workers_not_replaced", LOG_ERRNO(r));
        buf_deinit(&w->next_spec);
    }
}

static void turn(struct workers *w, mono_ns_t now)
{
    uint64_t n_before = w->n_spawned;
    mono_ns_t next;

    balance(w, now);
    renew_again(w, now);
    next = pool_turn(w->pool, now);
    if (w->n_spawned != n_before)
        w->config.on_starting(w->config.arg, w->start_ns);
    loop_timer_set(&w->pool_timer, next);
}

static int make_pool(struct workers *w, struct buf *spec)
{
    const struct pool_ops ops = {
            .on_spawn = on_spawn, .on_exit = on_exit_of, .on_throttle = on_throttle, .context = w};
    struct pool_config pool = {.worker_path = w->program,
                               .n_workers = w->size.wanted,
                               .n_threads = w->next_threads,
                               .grace_ns = GRACE_NS,
                               .start_ns = w->start_ns,
                               .burst = POOL_BURST};
    int r = spec_seal(spec, &w->spec_fd);

    if (r < 0)
        return r;
    pool.spec_fd = w->spec_fd;
    r = pool_new(&w->pool, &pool, &ops);
    if (r < 0) {
        err_close(&w->spec_fd);
        return r;
    }
    w->n_threads = w->next_threads;
    w->spec = *spec;
    *spec = (struct buf)BUF_INIT;
    loop_watch_init(&w->pool_watch, w->config.loop, pool_fd(w->pool), on_pool_fd, w);
    return loop_watch_set(&w->pool_watch, LOOP_READ);
}

static int is_same(const struct buf *a, const struct buf *b)
{
    return buf_len(a) == buf_len(b) && memcmp(buf_head(a), buf_head(b), buf_len(a)) == 0;
}

/* Those that there are: more of them or fewer, and new ones (1) where @spec, which is then taken, is not theirs. */
static int change_pool(struct workers *w, struct buf *spec)
{
    int r = pool_resize(w->pool, w->size.wanted, w->start_ns);

    if (r < 0)
        return r;
    buf_deinit(&w->next_spec);
    if (is_same(spec, &w->spec))
        return 0;
    w->next_spec = *spec;
    *spec = (struct buf)BUF_INIT;
    return 1;
}

static int find_program(struct workers *w)
{
    int r = *w->program ? 0 : workers_spec_program(w->program, sizeof w->program);

    if (r < 0) {
        LOG_EVENT(LOG_ERROR, "no_worker_program", LOG_STR("path", w->program), LOG_ERRNO(r));
        w->program[0] = '\0';
    }
    return r;
}

int workers_configure(struct workers *w, const struct config *config)
{
    CLEANUP(buf_deinit) struct buf spec = BUF_INIT;
    struct size_limits limits = {.idle_ns = config->idle_worker_ns};
    const struct size before = w->size;
    const uint32_t threads_before = w->next_threads;
    int64_t start_before = w->start_ns;
    int r;

    if (config->workers == 0 && !w->pool)
        return 0;
    r = find_program(w);
    if (r == 0)
        r = workers_spec_make(config, w->program, &spec);
    if (r < 0)
        return r;
    make_groups(config);
    config_pool_size(config, &limits.min, &limits.max);
    size_set(&w->size, &limits);
    w->start_ns = config->start_timeout_ns;
    w->next_threads = config->threads;
    r = w->pool ? change_pool(w, &spec) : make_pool(w, &spec);
    if (r < 0) {
        w->size = before;
        w->start_ns = start_before;
        w->next_threads = threads_before;
        return r;
    }
    turn_soon(w);
    return r;
}

int workers_changed_plugins(const struct workers *w, const struct config *config, struct buf *ret)
{
    CLEANUP(buf_deinit) struct buf now = BUF_INIT;
    int r;

    if (!w->pool)
        return 0;
    r = workers_spec_make(config, w->program, &now);
    return r < 0 ? r : workers_spec_changed(buf_len(&w->next_spec) ? &w->next_spec : &w->spec, &now, ret);
}

int workers_is_settled(const struct workers *w)
{
    return !w->pool || (buf_len(&w->next_spec) == 0 && (is_failing(w) || !is_replacing(w)));
}

/* --- the whole */

int workers_new(struct workers **ret, const struct workers_config *config)
{
    struct workers *w = mem_zalloc(sizeof *w);
    int r;

    if (!w)
        return -ENOMEM;
    w->config = *config;
    w->spec_fd = -1;
    r = loop_timer_init(&w->pool_timer, config->loop, on_pool_timer, w);
    if (r < 0) {
        workers_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

struct workers *workers_free(struct workers *w)
{
    if (!w)
        return NULL;
    loop_watch_deinit(&w->pool_watch);
    pool_free(w->pool);
    loop_timer_deinit(&w->pool_timer);
    err_close(&w->spec_fd);
    buf_deinit(&w->spec);
    buf_deinit(&w->next_spec);
    return mem_free(w);
}

void workers_serve(struct workers *w, struct dispatch *d)
{
    w->dispatch = d;
}

void workers_stop(struct workers *w)
{
    if (w->pool) {
        pool_stop_all(w->pool, loop_now(w->config.loop));
        turn(w, loop_now(w->config.loop));
    }
}

uint32_t workers_n(const struct workers *w)
{
    return w->pool ? pool_n_alive(w->pool) : 0;
}
