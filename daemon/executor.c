// SPDX-License-Identifier: Apache-2.0
/*
 * The turn, and who knows whom: engine, store, services, dispatch, and the daemon's own workers (workers.h).
 */
#include "daemon/executor.h"

#include "base/cgroup.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/config_change.h"
#include "daemon/loader.h"
#include "daemon/net/conn.h"
#include "daemon/net/loop.h"
#include "daemon/persist.h"
#include "daemon/reloader.h"
#include "daemon/stats.h"
#include "daemon/workers.h"
#include "dispatch/dispatch.h"
#include "engine/engine.h"
#include "engine/right.h"
#include "service/drain.h"
#include "service/functions.h"
#include "service/futures.h"
#include "service/reload.h"
#include "service/system.h"
#include "worker/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRESS_NS NS_PER_S
#define DEFERRED_NS (10 * NS_PER_MS) /* until memory for a commit is looked for again */
#define BROKEN_NS   (2 * NS_PER_S)   /* how long reads go on when the store is broken */

enum {
    RESULT_RESERVE_BYTES = 64 * 1024, /* of a message: what may stand beside a result in it ... */
    RESULT_RESERVE_PART = 4,          /* ... where messages are small only this part */
    POOL_BURST = 5,
};

/* The functions of the plugin that comes with the daemon. */
static const char *const shipped[] = {"echo", "sleep", "sha256", "gzip", "gunzip", "fail"};

struct executor {
    struct executor_config config;
    struct engine *engine;
    struct futures *futures;
    struct functions *functions;
    struct system *system;
    struct drain drain;
    struct reload reload;
    struct reloader_part part;
    struct dispatch *dispatch;
    struct workers *workers;
    struct persist *persist; /* NULL: no store */
    struct loader *loader;   /* likewise */
    struct effects *effects;
    struct loop_timer turn_timer, broken_timer;
    mono_ns_t recover_began, progress_at;
    int is_recovering, is_start_asked, is_started, is_deferred;
    int is_broken; /* nothing is written any more */
    int is_ready, is_draining, is_drained;
    int is_reload_short; /* of memory: not all of the new configuration holds */
};

static void become_ready(struct executor *x)
{
    if (x->is_ready)
        return;
    x->is_ready = 1;
    x->config.on_ready(x->config.arg);
}

static void on_starting(void *arg, int64_t timeout_ns)
{
    const struct executor *x = arg;

    if (!x->is_ready)
        x->config.on_starting(x->config.arg, timeout_ns);
}

/* Clients may ask and submit; tasks wait. */
static void on_throttled(void *arg)
{
    become_ready(arg);
}

static void on_failing(void *arg, int is_failing)
{
    const struct executor *x = arg;

    x->config.on_pool_failing(x->config.arg, is_failing);
}

/* What somebody else said, in a line of the log. */
static void on_worker_told(void *context, const char *event, struct span worker, struct span name,
                           struct span who, struct span why)
{
    char id[32], text[256], by[256], reason[LIMIT_REASON_BYTES + 1];

    snprintf(id, sizeof id, "%.*s", (int)MIN(worker.len, sizeof id - 1), (const char *)worker.p);
    snprintf(text, sizeof text, "%.*s", (int)MIN(name.len, sizeof text - 1),
             name.len ? (const char *)name.p : "");
    snprintf(by, sizeof by, "%.*s", (int)MIN(who.len, sizeof by - 1), who.len ? (const char *)who.p : "");
    snprintf(reason, sizeof reason, "%.*s", (int)MIN(why.len, sizeof reason - 1),
             why.len ? (const char *)why.p : "");
    LOG_EVENT(LOG_INFO, event, LOG_STR("worker", id), LOG_STR("name", text), LOG_STR("principal", by),
              LOG_STR("why", reason));
}

/* ---- the turn */

static void on_turn_timer(void *arg, mono_ns_t now)
{
    /* nothing to do here: executor_turn comes in this same turn of the loop */
}

void executor_wake(struct executor *x, mono_ns_t now)
{
    engine_begin(x->engine, now, clock_wall());
}

/* Without a store whatever the turn changed is as durable as it gets, at once. */
static void commit(struct executor *x)
{
    x->is_deferred = 0;
    if (x->persist) {
        x->is_deferred = persist_commit(x->persist, x->effects) < 0;
    } else if (x->effects->is_commit) {
        engine_durable(x->engine, x->effects->commit_seq);
        grpc_server_release(x->config.server, x->effects->commit_seq);
    }
}

static void recover(struct executor *x, mono_ns_t now);

static void check_drained(struct executor *x)
{
    if (!x->is_draining || x->is_drained || dispatch_n_leases(x->dispatch) > 0)
        return;
    x->is_drained = 1;
    futures_shutdown(x->futures);
    x->config.on_drained(x->config.arg);
}

/* Replies that wait for a commit which will never be. */
static void abandon(struct executor *x)
{
    struct grpc_status st;

    status_set(&st, GRPC_UNAVAILABLE, "UNKNOWN_OUTCOME",
               "the store has failed: whether this is kept is known when the daemon has started again; ask "
               "again then, "
               "with the same idempotency key");
    grpc_server_abandon(x->config.server, status_set_retry(&st, 5000));
}

void executor_turn(struct executor *x, mono_ns_t now)
{
    mono_ns_t next, ladder;
    struct list *l;

    if (x->is_recovering) {
        recover(x, now);
        return;
    }
    if (x->loader) {
        loader_turn(x->loader);
        persist_look(x->persist);
    }
    next = dispatch_tick(x->dispatch, now);
    x->effects = engine_end(x->engine);
    commit(x);
    while ((l = list_pop_front(&x->effects->answers)))
        futures_answer(LIST_ENTRY(l, struct waiter, answer));
    if (x->is_broken)
        abandon(x);
    ladder = dispatch_run(x->dispatch, x->effects, now);
    next = MIN(next, ladder);
    next = MIN(next, workers_look(x->workers, now));
    next = MIN(next, futures_tick(x->futures, now));
    if (x->drain.n_calls)
        next = MIN(next, drain_tick(&x->drain, now));
    reload_tick(&x->reload);
    next = MIN(next, x->effects->next);
    if (x->is_deferred)
        next = MIN(next, clock_add(now, DEFERRED_NS));
    loop_timer_set(&x->turn_timer, next);
    if (!x->is_ready && dispatch_n_ready(x->dispatch) > 0)
        become_ready(x);
    check_drained(x);
}

int executor_is_pending(const struct executor *x)
{
    if (x->is_recovering || (engine_is_urgent(x->engine) && !x->is_deferred))
        return 1;
    return x->effects && (!list_is_empty(&x->effects->answers) || !list_is_empty(&x->effects->work) ||
                          !list_is_empty(&x->effects->revokes));
}

/* ---- the store */

static void on_refusal(void *arg, enum persist_refusal why)
{
    static const enum futures_refusal refusals[] = {
            [PERSIST_ACCEPTS] = FUTURES_ACCEPT, [PERSIST_STALLED] = FUTURES_STALLED,
            [PERSIST_BEHIND] = FUTURES_BEHIND,  [PERSIST_SPACE] = FUTURES_SPACE,
            [PERSIST_BROKEN] = FUTURES_BROKEN,
    };
    struct executor *x = arg;

    futures_refuse(x->futures, refusals[why]);
}

static void on_broken_timer(void *arg, mono_ns_t now)
{
    struct executor *x = arg;

    x->config.on_failed(x->config.arg);
}

/* After a failed write a new process sees what is on disk. A damaged database it would find as damaged: there it is better
 * to go on reading, and to run nothing, since no outcome could be kept. */
static void on_broken(void *arg, int is_corrupt)
{
    struct executor *x = arg;

    x->is_broken = 1;
    if (!is_corrupt) {
        loop_timer_set(&x->broken_timer, clock_add(loop_now(x->config.loop), BROKEN_NS));
        return;
    }
    dispatch_drain(x->dispatch);
    x->config.on_read_only(x->config.arg);
}

static void on_recovering_call(struct grpc_call *call)
{
    struct grpc_status st;

    status_set(&st, GRPC_UNAVAILABLE, "RECOVERING", "the daemon reads what it has stored; try again soon");
    grpc_call_fail(call, status_set_retry(&st, 1000));
}

static const struct grpc_handler recovering_handler = {.on_start = on_recovering_call};
static const struct grpc_method recovering_method = {"/", GRPC_UNARY, &recovering_handler, NULL, RIGHT_NONE};

/* The directories above the default one; whatever is wrong with them is said when the store is opened. */
static void make_parents(const char *path)
{
    char part[4096];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        if ((size_t)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path) >= sizeof part)
            return;
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return;
    }
}

static int open_store(struct executor *x)
{
    const struct config *config = x->config.config;
    const struct persist_config persist = {
            .directory = config->state_directory,
            .accept_loss = config->accept_loss,
            .reserve_bytes = config->reserve_bytes,
            .log_bytes = config->log_bytes,
            .loop = x->config.loop,
            .server = x->config.server,
            .on_refusal = on_refusal,
            .on_broken = on_broken,
            .arg = x,
    };

    if (config->store == CONFIG_STORE_NONE)
        return 0;
    if (config->is_state_default)
        make_parents(config->state_directory);
    return persist_open(&x->persist, &persist);
}

static int begin_recovery(struct executor *x, const struct hash_seed *seed)
{
    struct futures_loader loader;
    int r;

    if (!x->persist)
        return 0;
    r = loader_new(&x->loader, persist_store(x->persist), x->engine, x->config.loop, seed);
    if (r < 0)
        return r;
    loader = loader_interface(x->loader);
    futures_keep(x->futures, &loader);
    x->is_recovering = 1;
    x->recover_began = clock_mono();
    grpc_server_detour(x->config.server, &recovering_method, "grpc.health.v1.Health");
    return persist_begin(x->persist, x->engine);
}

/* One slice of it, as a turn. */
static void recover(struct executor *x, mono_ns_t now)
{
    int is_complete = 0;

    if (persist_recover(x->persist, &is_complete) < 0) {
        x->config.on_failed(x->config.arg);
        return;
    }
    if (is_complete || now >= x->progress_at) {
        x->progress_at = clock_add(now, PROGRESS_NS);
        x->config.on_progress(x->config.arg, persist_n_recovered(x->persist), is_complete);
    }
    if (!is_complete)
        return;
    x->is_recovering = 0;
    grpc_server_detour(x->config.server, NULL, NULL);
    LOG_EVENT(LOG_NOTICE, "recovered", LOG_NUM("futures", persist_n_recovered(x->persist)),
              LOG_NUM("took_ms", (clock_mono() - x->recover_began) / NS_PER_MS),
              LOG_NUM("epoch", persist_meta(x->persist)->epoch));
    if (x->is_start_asked && executor_start(x) < 0)
        x->config.on_failed(x->config.arg);
}

/* ---- starting */

static int new_engine(struct executor *x, struct hash_seed *ret_seed)
{
    struct engine_config config = engine_config_default();

    if (getrandom(ret_seed, sizeof *ret_seed, 0) != (ssize_t)sizeof *ret_seed ||
        getrandom(&config.random, sizeof config.random, 0) != (ssize_t)sizeof config.random)
        return -errno;
    config.limits = x->config.config->limits;
    config.accept_unknown_functions = x->config.config->unknown_functions == 2;
    config.seed = *ret_seed;
    config.epoch = 1; /* without a store nothing of an earlier start is left that it could be told from */
    if (x->persist) {
        config.has_store = 1;
        config.epoch = persist_meta(x->persist)->epoch;
        config.last_key = persist_meta(x->persist)->k_ceiling;
        config.max_finished_bytes = x->config.config->cache_bytes;
    }
    return engine_new(&x->engine, &config);
}

static int add_function(struct executor *x, const char *name, const char *doc, enum function_kind kind)
{
    struct function *f = engine_function_add(x->engine, span_of_string(name), span_of_string(doc));

    if (!f)
        return -ENOMEM;
    f->kinds |= 1U << kind;
    return 0;
}

/* A command, or the limits of a function from elsewhere, which is known from now on. */
static int add_configured(struct executor *x, const struct config_function *c)
{
    const struct function_limits limits = {
            .max_running = c->max_running, .max_pending = c->max_pending, .rate = c->rate};
    struct function *f = engine_function_add(x->engine, span_of_string(c->name), span_of_string(c->doc));
    struct function_defaults defaults = c->defaults;

    if (!f)
        return -ENOMEM;
    defaults.retry = c->retry.max_attempts ? &c->retry : NULL;
    f->kinds &= ~(1U << FUNCTION_COMMAND);
    if (c->command)
        f->kinds |= 1U << FUNCTION_COMMAND;
    if (engine_function_describe(f, DEFAULTS_CONFIGURED, span_of_string(c->doc)) < 0 ||
        engine_defaults(x->engine, f, DEFAULTS_CONFIGURED, &defaults) < 0)
        return -ENOMEM;
    return engine_configure(x->engine, f, &limits);
}

/* It stands no more in the configuration. Its futures stay; where nobody else serves it they wait. */
static void forget_configured(void *arg, const struct config_function *c)
{
    struct executor *x = arg;
    struct function *f = engine_function_find(x->engine, span_of_string(c->name));

    if (!f)
        return;
    f->kinds &= ~(1U << FUNCTION_COMMAND);
    if (engine_function_describe(f, DEFAULTS_CONFIGURED, (struct span){0}) < 0 ||
        engine_defaults(x->engine, f, DEFAULTS_CONFIGURED, &FUNCTION_DEFAULTS_NONE) < 0 ||
        engine_configure(x->engine, f, &(struct function_limits){0}) < 0)
        x->is_reload_short = 1;
}

/* What workers will offer is known from the start, so that a task may be submitted before the first one has said Hello. */
static int add_shipped(struct executor *x)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(shipped); i++)
        r = add_function(x, shipped[i], "", FUNCTION_PLUGIN);
    return r;
}

static int add_functions(struct executor *x)
{
    const struct config *config = x->config.config;
    int r = add_shipped(x);

    for (size_t i = 0; r == 0 && i < config->n_functions; i++)
        r = add_configured(x, &config->functions[i]);
    return r;
}

static int add_rows(struct executor *x, const struct grpc_method *rows, size_t n)
{
    int r = grpc_server_add(x->config.server, rows, n);

    return r > 0 ? -EEXIST : r;
}

static int add_methods(struct executor *x)
{
    const struct grpc_method *rows;
    size_t n;
    int r;

    rows = futures_methods(x->futures, &n);
    r = add_rows(x, rows, n);
    rows = functions_methods(x->functions, &n);
    if (r == 0)
        r = add_rows(x, rows, n);
    rows = dispatch_methods(x->dispatch, &n);
    if (r == 0)
        r = add_rows(x, rows, n);
    rows = drain_methods(&x->drain, &n);
    if (r == 0)
        r = add_rows(x, rows, n);
    rows = system_methods(x->system, &n);
    if (r == 0)
        r = add_rows(x, rows, n);
    rows = reload_methods(&x->reload, &n);
    return r == 0 ? add_rows(x, rows, n) : r;
}

/* ---- what System tells */

static enum daemon_state state_of(void *context)
{
    const struct executor *x = context;
    enum persist_refusal refusal = x->persist ? persist_refuses(x->persist) : PERSIST_ACCEPTS;

    if (x->drain.steps)
        return DAEMON_DRAINING;
    return refusal == PERSIST_STALLED || refusal == PERSIST_BROKEN ? DAEMON_READ_ONLY : DAEMON_SERVING;
}

static uint32_t measure(void *context, const struct identity *who, struct metrics *m)
{
    const struct executor *x = context;
    const struct stats_sources sources = {
            .conns = x->config.conns, .dispatch = x->dispatch, .workers = x->workers, .persist = x->persist};

    if (x->config.on_measure)
        x->config.on_measure(x->config.arg, who, m);
    return stats_measure(&sources, m);
}

/* ---- draining */

static void set_steps(void *context, unsigned int steps, int64_t timeout_ns, struct span who, struct span why)
{
    struct executor *x = context;
    char by[256], reason[LIMIT_REASON_BYTES + 1];

    snprintf(by, sizeof by, "%.*s", (int)MIN(who.len, sizeof by - 1), who.len ? (const char *)who.p : "");
    snprintf(reason, sizeof reason, "%.*s", (int)why.len, why.len ? (const char *)why.p : "");
    LOG_EVENT(LOG_NOTICE, steps ? "drain" : "resume", LOG_NUM("stop_accept", (steps & DRAIN_ACCEPT) != 0),
              LOG_NUM("stop_dispatch", (steps & DRAIN_DISPATCH) != 0),
              LOG_NUM("exit", (steps & DRAIN_EXIT) != 0), LOG_STR("principal", by),
              LOG_STR("reason", reason));
    if (x->is_draining)
        return; /* it ends already */
    futures_drain(x->futures, (steps & DRAIN_ACCEPT) != 0);
    if (steps & DRAIN_DISPATCH)
        dispatch_drain(x->dispatch);
    else if (!x->is_broken)
        dispatch_resume(x->dispatch);
    x->config.on_accepting(x->config.arg, !(steps & DRAIN_ACCEPT));
    if (steps & DRAIN_EXIT)
        x->config.on_exit_asked(x->config.arg, timeout_ns);
}

static uint64_t n_held(void *context)
{
    const struct executor *x = context;

    return dispatch_n_leases(x->dispatch);
}

static int drain_state(void *context)
{
    return (int)state_of(context);
}

static void limit_futures(struct executor *x)
{
    const struct config *config = x->config.config;
    const struct futures_watches watches = {.max_filter_watches = config->limits.max_filter_watches,
                                            .n_events = config->limits.watch_events,
                                            .keepalive_ns = config->watch_keepalive_ns};

    futures_limit_scans(x->futures, config->limits.scan_limit);
    futures_limit_watches(x->futures, &watches);
}

/* ---- reloading */

static int on_reload(void *context, int is_dry, struct span who, struct reload_report *ret)
{
    struct executor *x = context;

    return x->is_draining ? RELOAD_E_EXITS : x->config.on_reload(x->config.arg, is_dry, who, ret);
}

static int is_settled(void *context)
{
    const struct executor *x = context;

    return executor_is_settled(x);
}

int executor_is_settled(const struct executor *x)
{
    return workers_is_settled(x->workers);
}

int executor_is_recovering(const struct executor *x)
{
    return x->is_recovering;
}

/* Which functions plugins have is said by the workers of the next generation. */
static void forget_plugins(struct executor *x)
{
    struct function *f = NULL;

    while ((f = engine_function_next(x->engine, f)))
        f->kinds &= ~(1U << FUNCTION_PLUGIN);
}

static int reload_functions(struct executor *x, const struct config *next)
{
    int r = config_change_each_gone(x->config.config, next, forget_configured, x);

    for (size_t i = 0; r == 0 && i < next->n_functions; i++)
        r = add_configured(x, &next->functions[i]);
    return r;
}

static void apply(void *arg, const struct config *next)
{
    struct executor *x = arg;
    int r;

    engine_set_limits(x->engine, &next->limits);
    system_set_limits(x->system, &next->limits);
    dispatch_set_lease_ttl(x->dispatch, next->lease_ttl_ns);
    x->is_reload_short = 0;
    r = reload_functions(x, next);
    x->config.config = next;
    limit_futures(x);
    if (r == 0 && x->is_started)
        r = workers_configure(x->workers, next);
    if (r > 0) {
        forget_plugins(x);
        r = add_shipped(x);
    }
    if (r < 0 || x->is_reload_short)
        LOG_EVENT(LOG_ERROR, "reload_incomplete", LOG_ERRNO(r < 0 ? r : -ENOMEM),
                  LOG_STR("hint", "reload again"));
    system_reloaded(x->system, clock_wall());
    loop_timer_set(&x->turn_timer, loop_now(x->config.loop));
}

static int find_plugins(void *arg, const struct config *next, struct buf *ret)
{
    const struct executor *x = arg;

    return workers_changed_plugins(x->workers, next, ret);
}

struct reloader_part *executor_part(struct executor *x)
{
    x->part = (struct reloader_part){.apply = apply, .plugins = find_plugins, .arg = x};
    return &x->part;
}

static int new_system(struct executor *x, size_t max_result_bytes)
{
    const struct drain_world world = {
            .steps = set_steps, .n_held = n_held, .state = drain_state, .context = x};
    const struct reload_world reload_world = {.reload = on_reload, .is_settled = is_settled, .context = x};
    const struct system_config config = {
            .limits = x->config.config->limits,
            .max_result_bytes = max_result_bytes,
            .has_store = x->persist != NULL,
            .start_time = clock_wall(),
            .pid = (uint32_t)getpid(),
            .world = {.state = state_of, .measure = measure, .context = x},
            .drain = &x->drain,
    };

    drain_init(&x->drain, x->engine, &world);
    reload_init(&x->reload, &reload_world);
    return system_new(&x->system, x->engine, x->config.server, &config);
}

/* ---- what Functions tells */

static uint64_t credit_of(void *context, const struct function *fn)
{
    const struct executor *x = context;

    return dispatch_credit(x->dispatch, fn);
}

static int failure_of(void *context, const struct function *fn, struct function_failure *ret)
{
    const struct executor *x = context;

    return workers_failure(x->workers, fn, ret);
}

static void on_function_changed(void *context, const struct function *fn, const char *event, struct span who,
                                struct span why)
{
    char name[LIMIT_FUNCTION_NAME_BYTES + 1], by[256], reason[LIMIT_REASON_BYTES + 1];

    snprintf(name, sizeof name, "%.*s", (int)fn->name->len, (const char *)fn->name->data);
    snprintf(by, sizeof by, "%.*s", (int)MIN(who.len, sizeof by - 1), (const char *)who.p);
    snprintf(reason, sizeof reason, "%.*s", (int)why.len, why.len ? (const char *)why.p : "");
    LOG_EVENT(LOG_NOTICE, event, LOG_STR("function", name), LOG_STR("principal", by),
              LOG_STR("reason", reason), LOG_NUM("max_running", fn->gate.limits.max_running),
              LOG_NUM("max_pending", fn->gate.limits.max_pending),
              LOG_NUM("starts_per_1000_s", fn->gate.limits.rate * 1000));
}

int executor_add_address(struct executor *x, const char *text)
{
    return system_add_address(x->system, text);
}

/* ---- the services */

static int say_options(void *context, struct function *f, struct span options, struct grpc_status *st)
{
    const struct executor *x = context;

    return functions_say_options(x->functions, f, options, st);
}

static int new_services(struct executor *x, const struct hash_seed *seed)
{
    size_t max_message = x->config.config->limits.max_message_bytes;
    const struct dispatch_config config = {
            .max_message_bytes = max_message,
            .max_result_bytes =
                    max_message - MIN((size_t)RESULT_RESERVE_BYTES, max_message / RESULT_RESERVE_PART),
            .max_output_bytes = x->config.config->limits.max_output_bytes,
            .max_log_bytes = x->config.config->limits.max_log_bytes,
            .lease_ttl_ns = x->config.config->lease_ttl_ns,
            .prefetch = x->config.config->prefetch,
            .seed = *seed,
            .pool = workers_pool(x->workers),
            .log = {.told = on_worker_told, .context = x},
            .say_options = say_options,
            .context = x,
    };
    const struct functions_log log = {.changed = on_function_changed, .context = x};
    const struct futures_workers workers = {.credit = credit_of, .failure = failure_of, .context = x};
    int r = futures_new(&x->futures, x->engine, max_message, seed);

    if (r == 0)
        limit_futures(x);
    if (r == 0)
        r = functions_new(&x->functions, x->futures, &log);
    if (r == 0)
        futures_know_workers(x->futures, &workers);
    if (r == 0)
        r = dispatch_new(&x->dispatch, x->engine, &config);
    workers_serve(x->workers, x->dispatch);
    if (r == 0)
        r = new_system(x, config.max_result_bytes);
    return r == 0 ? add_methods(x) : r;
}

int executor_new(struct executor **ret, const struct executor_config *config)
{
    struct executor *x = mem_zalloc(sizeof *x);
    const struct workers_config workers = {.loop = config->loop,
                                           .conns = config->conns,
                                           .on_starting = on_starting,
                                           .on_throttled = on_throttled,
                                           .on_failing = on_failing,
                                           .arg = x};
    struct hash_seed seed;
    int r;

    if (!x)
        return -ENOMEM;
    x->config = *config;
    r = workers_new(&x->workers, &workers);
    if (r == 0)
        r = loop_timer_init(&x->turn_timer, config->loop, on_turn_timer, x);
    if (r == 0)
        r = loop_timer_init(&x->broken_timer, config->loop, on_broken_timer, x);
    if (r == 0)
        r = open_store(x);
    if (r == 0)
        r = new_engine(x, &seed);
    if (r == 0)
        r = add_functions(x);
    if (r == 0)
        r = new_services(x, &seed);
    if (r == 0) {
        engine_begin(x->engine, loop_now(config->loop), clock_wall());
        r = begin_recovery(x, &seed);
    }
    if (r < 0) {
        executor_free(x);
        return r;
    }
    *ret = x;
    return 0;
}

/* What has changed since the last commit, be it that attempts have begun or were given up. What was found only in part must
 * not be written. */
static void commit_the_rest(struct executor *x)
{
    const struct effects *effects;

    if (!x->persist || !x->engine || x->is_recovering)
        return;
    engine_begin(x->engine, clock_mono(), clock_wall());
    (void)engine_shown_any(x->engine);
    effects = engine_end(x->engine);
    if (persist_commit(x->persist, effects) < 0)
        LOG_EVENT(LOG_ERROR, "not_committed", LOG_STR("error", "no memory"));
}

struct executor *executor_free(struct executor *x)
{
    if (!x)
        return NULL;
    workers_free(x->workers);
    loop_timer_deinit(&x->turn_timer);
    loop_timer_deinit(&x->broken_timer);
    dispatch_free(x->dispatch);
    system_free(x->system);
    drain_deinit(&x->drain);
    reload_deinit(&x->reload);
    functions_free(x->functions);
    loader_free(x->loader);
    commit_the_rest(x);
    persist_close(x->persist);
    futures_free(x->futures);
    engine_free(x->engine);
    return mem_free(x);
}

int executor_start(struct executor *x)
{
    if (x->is_recovering) {
        x->is_start_asked = 1;
        return 0;
    }
    x->is_started = 1;
    if (x->config.config->workers == 0)
        become_ready(x);
    return workers_configure(x->workers, x->config.config);
}

/* ---- stopping */

void executor_drain(struct executor *x, int64_t timeout_ns)
{
    x->is_draining = 1;
    drain_exit(&x->drain);
    futures_drain(x->futures, 1);
    dispatch_drain(x->dispatch);
    dispatch_leave(x->dispatch, timeout_ns);
    loop_timer_set(&x->turn_timer, loop_now(x->config.loop));
}

void executor_stop(struct executor *x)
{
    workers_stop(x->workers);
}

uint32_t executor_n_workers(const struct executor *x)
{
    return workers_n(x->workers);
}

struct engine *executor_engine(const struct executor *x)
{
    return x->engine;
}
