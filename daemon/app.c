// SPDX-License-Identifier: Apache-2.0
/*
 * Start: log, limits, loop, the service manager's sockets, signals, services, connections, executor with its store,
 * listeners, port file, workers; these when what is stored has been read, during which health says NOT_SERVING and all other calls are refused. Nothing is
 * accepted before everything behind it is there; when the first worker can take work (or there will be none),
 * health says SERVING and the service manager is told.
 *
 * Stop, at the first SIGTERM or SIGINT: health says NOT_SERVING, the listeners close, every connection gets a
 * GOAWAY, the executor hands out no more; open calls and running tasks go on until they are over or [timeouts]
 * drain has passed. A second signal does not wait. Then all is freed in the reverse order of the start: connections before the services that their calls name,
 * the loop last.
 *
 * Each step of the start takes back nothing by itself: app_deinit undoes whatever is there.
 */
#include "daemon/app.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/auth.h"
#include "daemon/executor.h"
#include "daemon/inherited.h"
#include "daemon/journal.h"
#include "daemon/net/conn.h"
#include "daemon/net/listener.h"
#include "daemon/net/loop.h"
#include "daemon/reloader.h"
#include "daemon/secure.h"
#include "daemon/service/health.h"
#include "daemon/service/reflection.h"
#include "daemon/unit.h"
#include "proto/descriptor_set.h"
#include "tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

enum {
    FILES_BESIDE_CONNECTIONS = 64,  /* descriptors of everything else */
    LOCAL_RATE_FACTOR = 10,         /* of the flood limits, for who came through a Unix socket */
    OWN_RATE_FACTOR = 1000,         /* and for our own child */
    WORKER_MESSAGE_BYTES = 8 << 20, /* what a child gathers, and its Hello, do not depend on max_message */
};

#define ANSWER_NS      (NS_PER_S / 2) /* beyond the timeout of a System.Drain, for its answer to arrive */

#define AFTER_DRAIN_NS (NS_PER_S * UNIT_AFTER_DRAIN_S)
#define AFTER_START_NS (15 * NS_PER_S) /* to see that a worker is late, and start the next one */

static const int handled_signals[] = {SIGTERM, SIGINT, SIGHUP};

struct app {
    const struct app_options *options;
    const struct config *config; /* that holds: the reloader's */
    struct reloader reloader;
    struct reloader_part part;
    struct loop *loop;
    struct loop_signal signals[ARRAY_LEN(handled_signals)];
    struct loop_timer drain_timer, watchdog_timer;
    int64_t watchdog_ns;
    struct grpc_server *server;
    struct health *health;
    struct reflection *reflection;
    struct conn_set *conns;
    struct secure secure;
    struct auth *auth;
    struct executor *executor;
    struct inherited inherited; /* sockets that are no listener yet */
    struct listener **listeners;
    size_t n_listeners;
    int has_port_file;
    int is_draining, is_failed, is_read_only;
    int is_reload_asked;     /* before what is stored had come back */
    int is_reloading;        /* the service manager has been told so */
    int is_ready, is_closed; /* closed: nothing is accepted, by System.Drain */
    int64_t exit_timeout_ns; /* the daemon is to end by System.Drain, and its time is not over; else -1 */
};

static const char *first_address(const struct app *app)
{
    return app->n_listeners ? listener_address(app->listeners[0])->text : "nothing";
}

/* What the service manager shows of it from now on, with what else it is told. */
static void tell_status(const struct app *app, const char *with)
{
    if (app->is_draining)
        sd_notifyf(0, "%sSTATUS=Draining", with);
    else if (app->is_read_only)
        sd_notifyf(0, "%sSTATUS=The database is damaged: nothing is accepted, what can be read is read",
                   with);
    else if (app->is_closed)
        sd_notifyf(0, "%sSTATUS=Drained: nothing is accepted", with);
    else if (!app->is_ready)
        sd_notifyf(0, "%sSTATUS=Starting workers", with);
    else
        sd_notifyf(0, "%sSTATUS=Serving on %s%s", with, first_address(app),
                   app->n_listeners > 1 ? " and others" : "");
}

/* A step of the start failed; the place that knows more has said it already. */
static int step_failed(const char *step, int r)
{
    LOG_EVENT(LOG_ERROR, "start_failed", LOG_STR("step", step), LOG_ERRNO(r));
    return r;
}

/* --- stopping */

static void stop_now(struct app *app)
{
    if (app->executor)
        executor_stop(app->executor);
    conn_set_abort(app->conns, "stopped"); /* the GOAWAYs go out at the end of this turn */
    loop_stop(app->loop);
}

static void stop_if_empty(void *arg)
{
    struct app *app = arg;

    if (app->is_draining && conn_set_stats(app->conns).n_open == 0 && executor_n_workers(app->executor) == 0)
        loop_stop(app->loop);
}

static void on_drain_over(void *arg, mono_ns_t now)
{
    struct app *app = arg;

    if (app->exit_timeout_ns >= 0) { /* whoever asked for it by System.Drain is answered in this turn */
        app->exit_timeout_ns = -1;
        loop_timer_set(&app->drain_timer, clock_add(now, ANSWER_NS));
        return;
    }
    LOG_EVENT(LOG_WARNING, "drain_timeout", LOG_NUM("connections", conn_set_stats(app->conns).n_open),
              LOG_STR("hint", "raise [timeouts] drain, and TimeoutStopSec= with it"));
    stop_now(app);
}

static void stop_listening(struct app *app)
{
    for (size_t i = 0; i < app->n_listeners; i++)
        listener_free(app->listeners[i]);
    app->n_listeners = 0;
    app->listeners = mem_free(app->listeners);
}

static void drain(struct app *app, int64_t timeout_ns)
{
    app->is_draining = 1;
    LOG_EVENT(LOG_NOTICE, "draining", LOG_NUM("connections", conn_set_stats(app->conns).n_open),
              LOG_NUM("timeout_ms", timeout_ns / NS_PER_MS));
    sd_notifyf(0, "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=%" PRId64,
               (timeout_ns + AFTER_DRAIN_NS) / NS_PER_US);
    health_shutdown(app->health);
    stop_listening(app);
    conn_set_drain(app->conns);
    executor_drain(app->executor, timeout_ns);
    loop_timer_set(&app->drain_timer, clock_add(loop_now(app->loop), timeout_ns));
    stop_if_empty(app);
}

/* --- reloading */

/* The service manager waits for READY=1 from now on. */
static void tell_reloading(struct app *app)
{
    app->is_reloading = 1;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading", clock_mono() / NS_PER_US);
}

static void tell_reloaded(struct app *app)
{
    if (!app->is_reloading || !executor_is_settled(app->executor))
        return;
    app->is_reloading = 0;
    tell_status(app, "READY=1\n");
}

static int on_reload(void *arg, int is_dry, struct span who, struct reload_report *ret)
{
    struct app *app = arg;

    if (!is_dry)
        tell_reloading(app);
    return reloader_run(&app->reloader, is_dry, who, ret); /* the end of the turn tells that it is done */
}

static void on_hangup(struct app *app)
{
    struct reload_report report = {0};

    if (app->is_draining)
        return;
    app->is_reload_asked = executor_is_recovering(app->executor);
    if (!app->is_reload_asked)
        (void)!on_reload(app, 0, SPAN_LIT("SIGHUP"), &report); /* the log says what came of it */
    reload_report_deinit(&report);
}

/* Certificates that cannot be used must change nothing. */
static int check_certificates(const struct config *next, struct buf *wrong)
{
    char why[TLS_WHY_BYTES], line[TLS_WHY_BYTES + 16];
    struct tls_context *context;
    int r = secure_context_new(&context, next, why), n;

    if (r == 0)
        tls_context_free(context);
    if (r <= 0)
        return r;
    n = snprintf(line, sizeof line, "[tls]: %s\n", why);
    return buf_append(wrong, line, (size_t)n) < 0 ? -ENOMEM : r;
}

/* Every listener stays until the next start, whether @next names it or not, and must be guarded by what @next says. */
static int check_listeners(const struct app *app, const struct config *next, struct buf *wrong)
{
    char why[LISTENER_WHY_BYTES], line[LISTENER_WHY_BYTES + 64];
    int r = 0;

    for (size_t i = 0; i < app->n_listeners; i++) {
        int n;

        if (config_check_address(next, listener_address(app->listeners[i]), why, sizeof why) == 0)
            continue;
        n = snprintf(line, sizeof line, "a socket stays open until the next start: %s\n", why);
        if (buf_append(wrong, line, (size_t)n) < 0)
            return -ENOMEM;
        r = CONFIG_E_INVALID;
    }
    return r;
}

static int prepare(void *arg, const struct config *next, struct buf *wrong)
{
    const struct app *app = arg;
    int r = check_listeners(app, next, wrong);

    return r == 0 ? check_certificates(next, wrong) : r;
}

/* What was prepared may have changed since, and then all stays as it was. */
static void apply_security(struct app *app, const struct config *next)
{
    char why[TLS_WHY_BYTES] = "no memory";

    if (secure_reload(&app->secure, next, why) != 0) {
        LOG_EVENT(LOG_ERROR, "tls_unusable", LOG_STR("text", why));
        return;
    }
    if (auth_reload(app->auth, next) < 0)
        LOG_EVENT(LOG_ERROR, "principals_not_reloaded", LOG_ERRNO(-ENOMEM));
    else if (!next->n_principals && config_needs_certificates(next))
        conn_set_abort_nameless(app->conns, "no_certificate"); /* who came while a token said who calls */
}

static void apply(void *arg, const struct config *next)
{
    struct app *app = arg;

    apply_security(app, next);
    app->config = next;
    log_set_level(next->log_level);
    conn_set_limit(app->conns, next->max_connections);
}

static void on_signal(void *arg, int signo)
{
    struct app *app = arg;

    if (signo == SIGHUP) {
        on_hangup(app);
    } else if (!app->is_draining) {
        drain(app, app->config->drain_timeout_ns);
    } else {
        LOG_EVENT(LOG_NOTICE, "stopping_at_once", LOG_NUM("connections", conn_set_stats(app->conns).n_open));
        stop_now(app);
    }
}

/* What runs has ended, and its answers are on their way: nothing more will come of the rest. */
static void on_drained(void *arg)
{
    struct app *app = arg;

    executor_stop(app->executor);
}

/* --- the turn */

static void on_wake(void *arg, mono_ns_t now)
{
    struct app *app = arg;

    if (app->executor)
        executor_wake(app->executor, now);
}

static void on_turn(void *arg, mono_ns_t now)
{
    struct app *app = arg;

    if (!app->executor)
        return;
    executor_turn(app->executor, now);
    if (app->auth)
        auth_turn(app->auth);
    if (app->is_reload_asked && !executor_is_recovering(app->executor))
        on_hangup(app);
    tell_reloaded(app);
    if (app->exit_timeout_ns >= 0 && !app->is_draining)
        drain(app, app->exit_timeout_ns);
    if (app->is_draining)
        stop_if_empty(app);
}

static int is_pending(void *arg)
{
    struct app *app = arg;

    return app->executor && executor_is_pending(app->executor);
}

/* --- connections */

static struct h2_rate scale(struct h2_rate rate, uint32_t factor)
{
    return (struct h2_rate){rate.burst * factor, rate.per_second * factor};
}

static struct h2_config session_config(const struct app *app, enum conn_trust trust)
{
    struct h2_config h2 = app->config->h2;
    uint32_t factor = trust == CONN_OWN ? OWN_RATE_FACTOR : LOCAL_RATE_FACTOR;

    if (trust == CONN_STRANGER)
        return h2;
    h2.resets = scale(h2.resets, factor);
    h2.provoked = scale(h2.provoked, factor);
    h2.pings = scale(h2.pings, factor);
    h2.settings = scale(h2.settings, factor);
    h2.priorities = scale(h2.priorities, factor);
    h2.window_updates = scale(h2.window_updates, factor);
    h2.empty_data = scale(h2.empty_data, factor);
    if (trust == CONN_OWN) { /* its process is watched, which says more than its silence */
        h2.idle_timeout_ns = 0;
        h2.keepalive_ns = 0;
    }
    return h2;
}

/* Who speaks on a connection. */
struct speaker {
    struct grpc_conn *grpc;
    struct auth_credential *credential;
};

static void free_speaker(void *arg)
{
    struct speaker *speaker = arg;

    grpc_conn_free(speaker->grpc);
    auth_close(speaker->credential);
    mem_free(speaker);
}

static int on_conn_open(void *arg, const struct conn_peer *peer, mono_ns_t now, struct conn_owner *ret)
{
    struct app *app = arg;
    struct h2_config h2 = session_config(app, peer->trust);
    struct grpc_peer grpc_peer = {.is_pool_worker = peer->trust == CONN_OWN, .worker_key = peer->worker_key};
    struct speaker *speaker = mem_zalloc(sizeof *speaker);
    int r;

    if (!speaker)
        return -ENOMEM;
    _Static_assert(sizeof grpc_peer.address >= sizeof peer->address, "an address fits");
    memcpy(grpc_peer.address, peer->address, sizeof peer->address);
    r = auth_open(app->auth, peer, &speaker->credential);
    grpc_peer.credential = speaker->credential;
    if (r == 0)
        r = grpc_conn_new(&speaker->grpc, app->server, &h2, &grpc_peer, now);
    if (r < 0) {
        free_speaker(speaker);
        return r;
    }
    *ret = (struct conn_owner){
            .session = grpc_conn_session(speaker->grpc), .free = free_speaker, .arg = speaker};
    return 0;
}

/* --- starting */

static void start_log(const struct config *config)
{
    log_configure(config->log_level, journal_is_stderr() ? journal_log : NULL);
}

/* As many descriptors as the system lets us have. Fewer than connections may come is worth a word: the rest
 * would be turned away for want of descriptors. */
static void raise_file_limit(const struct config *config)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return;
    }
    if (limit.rlim_cur < (rlim_t)config->max_connections + FILES_BESIDE_CONNECTIONS)
        LOG_EVENT(LOG_WARNING, "few_descriptors", LOG_NUM("limit", limit.rlim_cur),
                  LOG_NUM("connections", config->max_connections),
                  LOG_STR("hint", "raise LimitNOFILE= or lower [limits] connections"));
}

static int start_signals(struct app *app)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a full disk, and the store knows what to do */
    for (size_t i = 0; i < ARRAY_LEN(handled_signals); i++) {
        int r = loop_signal_init(&app->signals[i], app->loop, handled_signals[i], on_signal, app);

        if (r < 0)
            return r;
    }
    return loop_timer_init(&app->drain_timer, app->loop, on_drain_over, app);
}

static int add_methods(struct app *app, const struct grpc_method *methods, size_t n)
{
    int r = grpc_server_add(app->server, methods, n);

    if (r != GRPC_E_EXISTS)
        return r;
    LOG_EVENT(LOG_ERROR, "method_twice", LOG_STR("first_of", methods->path));
    return -EEXIST;
}

static int add_descriptors(struct app *app, struct span set)
{
    int r = reflection_add(app->reflection, set);

    return r == REFLECTION_E_MALFORMED ? -EBADMSG : r;
}

static int start_services(struct app *app)
{
    const struct app_options *options = app->options;
    struct grpc_server_config config = {
            .max_message_bytes = app->config->limits.max_message_bytes,
            .max_worker_message_bytes =
                    MAX(app->config->limits.max_message_bytes, (size_t)WORKER_MESSAGE_BYTES),
            .max_messages_per_recv = app->config->messages_per_turn,
    };
    const struct grpc_method *methods;
    size_t n;
    int r;

    if (getrandom(&config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return -errno;
    r = grpc_server_new(&app->server, &config);
    if (r == 0 && options->n_methods)
        r = add_methods(app, options->methods, options->n_methods);
    if (r == 0)
        r = health_new(&app->health, app->server);
    if (r == 0)
        health_set_pool(app->health, 0);
    if (r == 0)
        r = reflection_new(&app->reflection, app->server);
    if (r == 0)
        r = add_descriptors(app, (struct span){futured_descriptor_set, futured_descriptor_set_bytes});
    if (r == 0 && options->descriptors.len)
        r = add_descriptors(app, options->descriptors);
    if (r < 0)
        return r;
    methods = health_methods(app->health, &n);
    r = add_methods(app, methods, n);
    if (r < 0)
        return r;
    methods = reflection_methods(app->reflection, &n);
    return add_methods(app, methods, n);
}

static int start_conns(struct app *app)
{
    const struct conn_set_config config = {
            .max_conns = app->config->max_connections,
            .max_handshakes = app->config->max_handshakes,
            .handshake_timeout_ns = app->config->handshake_timeout_ns,
            .on_open = on_conn_open,
            .on_empty = stop_if_empty,
            .arg = app,
    };

    int r = conn_set_new(&app->conns, app->loop, &config);

    return r == 0 ? secure_init(&app->secure, app->conns, app->config) : r;
}

static void tell_ready(const struct app *app)
{
    tell_status(app, "READY=1\n");
    LOG_EVENT(LOG_NOTICE, "started", LOG_STR("version", FUTURED_VERSION), LOG_NUM("pid", getpid()),
              LOG_STR("address", first_address(app)));
}

static void show_health(struct app *app)
{
    int is_serving = app->is_ready && !app->is_read_only && !app->is_closed;

    if (!app->is_draining)
        health_set_all(app->health, is_serving ? HEALTH_SERVING : HEALTH_NOT_SERVING);
}

/* Somebody can take work: say so to whoever waits for it. */
static void on_ready(void *arg)
{
    struct app *app = arg;

    if (app->is_draining)
        return;
    app->is_ready = 1;
    show_health(app);
    tell_ready(app);
}

/* The service manager's patience is as long as that of the pool. */
static void on_starting(void *arg, int64_t timeout_ns)
{
    char with[64];

    snprintf(with, sizeof with, "EXTEND_TIMEOUT_USEC=%" PRId64 "\n",
             clock_add(timeout_ns, AFTER_START_NS) / NS_PER_US);
    tell_status(arg, with);
}

static void on_pool_failing(void *arg, int is_failing)
{
    const struct app *app = arg;

    health_set_pool(app->health, is_failing);
}

static void on_accepting(void *arg, int is_accepting)
{
    struct app *app = arg;

    if (app->is_closed == !is_accepting)
        return;
    app->is_closed = !is_accepting;
    tell_status(app, "");
    show_health(app);
}

/* Not at once: it is asked for in the middle of a connection's event. */
static void on_exit_asked(void *arg, int64_t timeout_ns)
{
    struct app *app = arg;

    app->exit_timeout_ns = timeout_ns;
}

/* The service manager is asked for as much time again as passes between two of these, several times over. */
static void on_progress(void *arg, uint64_t n_recovered, int is_complete)
{
    sd_notifyf(0, "STATUS=Recovering: %" PRIu64 " futures\nEXTEND_TIMEOUT_USEC=30000000", n_recovered);
    if (!is_complete)
        LOG_EVENT(LOG_INFO, "recovering", LOG_NUM("futures", n_recovered));
}

static void on_read_only(void *arg)
{
    struct app *app = arg;

    app->is_read_only = 1;
    show_health(app);
    tell_status(app, "");
}

static void on_failed(void *arg)
{
    struct app *app = arg;

    app->is_failed = 1;
    stop_now(app);
}

static void on_measure(void *arg, const struct identity *who, struct metrics *m)
{
    const struct app *app = arg;

    auth_measure(app->auth, who, m);
}

static int start_executor(struct app *app)
{
    const struct executor_config config = {
            .config = app->config,
            .loop = app->loop,
            .conns = app->conns,
            .server = app->server,
            .on_ready = on_ready,
            .on_starting = on_starting,
            .on_pool_failing = on_pool_failing,
            .on_accepting = on_accepting,
            .on_exit_asked = on_exit_asked,
            .on_reload = on_reload,
            .on_drained = on_drained,
            .on_measure = on_measure,
            .on_progress = on_progress,
            .on_failed = on_failed,
            .on_read_only = on_read_only,
            .arg = app,
    };

    int r = executor_new(&app->executor, &config);

    if (r < 0)
        return r;
    app->part = (struct reloader_part){.prepare = prepare, .apply = apply, .arg = app};
    reloader_add(&app->reloader, &app->part);
    reloader_add(&app->reloader, executor_part(app->executor));
    return auth_new(&app->auth, app->config, app->server, executor_engine(app->executor));
}

static int start_workers(struct app *app)
{
    return executor_start(app->executor);
}

/* The default address lies in a directory of the user's, which nobody else makes. */
static void make_directory(const struct address *address)
{
    char path[PATH_MAX];
    char *slash;

    snprintf(path, sizeof path, "%s", address_path(address));
    slash = strrchr(path, '/');
    *slash = '\0';
    if (*path && mkdir(path, 0700) < 0 && errno != EEXIST)
        LOG_EVENT(LOG_WARNING, "no_directory", LOG_STR("path", path), LOG_ERRNO(errno));
}

static int listen_failed(const char *why, int r)
{
    LOG_EVENT(LOG_ERROR, "listen_failed", LOG_STR("text", why));
    return r;
}

/* From the service manager, before there are threads that look at the environment. */
static int take_sockets(struct app *app)
{
    char why[INHERITED_WHY_BYTES];
    int r = inherited_take(&app->inherited, why);

    return r < 0 ? listen_failed(why, r) : 0;
}

/* The default group is given where that is possible; what is asked for must be. */
static int give_socket(const struct app *app, const struct listener *l)
{
    char why[LISTENER_WHY_BYTES];
    int r = app->config->socket_gid < 0 ? 0 : listener_give(l, app->config->socket_gid, why);

    if (r < 0 && app->config->socket_group)
        return listen_failed(why, r);
    if (r < 0)
        LOG_EVENT(LOG_INFO, "socket_group_kept", LOG_STR("text", why));
    return 0;
}

/* One more listener; with @in for a socket that is there already. */
static int add_listener(struct app *app, const struct address *address, struct inherited_socket *in)
{
    enum conn_trust trust = address_is_unix(address) ? CONN_LOCAL : CONN_STRANGER;
    struct listener **l = &app->listeners[app->n_listeners];
    char why[LISTENER_WHY_BYTES];
    int r = config_check_address(app->config, address, why, sizeof why);

    if (r != 0)
        return listen_failed(why, -EPERM);
    r = in ? listener_adopt(l, app->loop, app->conns, in->fd, address, trust, why)
           : listener_new(l, app->loop, app->conns, address, trust, why);
    if (r < 0)
        return listen_failed(why, r);
    if (in)
        in->fd = -1;
    app->n_listeners++;
    if (!in && address_is_unix(address)) {
        r = give_socket(app, *l);
        if (r < 0)
            return r;
    }
    r = executor_add_address(app->executor, listener_address(*l)->text);
    if (r < 0)
        return r;
    LOG_EVENT(LOG_INFO, "listening", LOG_STR("address", listener_address(*l)->text),
              LOG_STR("socket", in ? in->name : "own"));
    return 0;
}

/* An address of the configuration for which there is a socket already is not opened again, and the default address is
 * only for who has no other. */
static int start_listening(struct app *app)
{
    const struct config *config = app->config;
    size_t n_config = config->is_listen_default && app->inherited.n ? 0 : config->n_listen;
    int r = 0;

    app->listeners = mem_zalloc((n_config + app->inherited.n) * sizeof *app->listeners);
    if (!app->listeners)
        return -ENOMEM;
    for (size_t i = 0; i < n_config && r == 0; i++) {
        const struct address *address = &config->listen[i];

        if (config->is_listen_default)
            make_directory(address);
        r = add_listener(app, address, inherited_find(&app->inherited, address));
    }
    for (size_t i = 0; i < app->inherited.n && r == 0; i++) {
        struct inherited_socket *in = &app->inherited.sockets[i];

        if (in->fd >= 0)
            r = add_listener(app, &in->address, in);
    }
    return r;
}

static void on_watchdog(void *arg, mono_ns_t now)
{
    struct app *app = arg;

    sd_notify(0, "WATCHDOG=1");
    loop_timer_set(&app->watchdog_timer, clock_add(now, app->watchdog_ns));
}

/* The service manager wants a sign of life; half of its patience is the usual pace. */
static int start_watchdog(struct app *app)
{
    uint64_t timeout_us;
    int r = loop_timer_init(&app->watchdog_timer, app->loop, on_watchdog, app);

    if (r < 0)
        return r;
    if (sd_watchdog_enabled(0, &timeout_us) > 0) {
        app->watchdog_ns = (int64_t)(timeout_us / 2) * NS_PER_US;
        loop_timer_set(&app->watchdog_timer, clock_add(loop_now(app->loop), app->watchdog_ns));
    }
    return 0;
}

/* --- the port file */

static int write_ports(const struct app *app, FILE *file)
{
    for (size_t i = 0; i < app->n_listeners; i++) {
        const struct address *a = listener_address(app->listeners[i]);

        if (address_is_unix(a))
            fprintf(file, "unix %s\n", address_path(a));
        else
            fprintf(file, "%s %s\n", a->is_tls ? "tls" : "tcp", address_bare(a));
    }
    return fflush(file) == 0 && !ferror(file) ? 0 : -EIO;
}

/* Whoever waits for the file sees all of it or none: it is written beside and renamed. */
static int write_port_file(struct app *app)
{
    const char *path = app->config->port_file;
    char beside[PATH_MAX];
    FILE *file;
    int r;

    if (!path)
        return 0;
    if ((size_t)snprintf(beside, sizeof beside, "%s.%d.new", path, (int)getpid()) >= sizeof beside)
        return -ENAMETOOLONG;
    file = fopen(beside, "wxe");
    if (!file)
        return -errno;
    r = write_ports(app, file);
    fclose(file);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(beside);
    else
        app->has_port_file = 1;
    return r;
}

/* --- the whole */

static const struct {
    const char *name;
    int (*start)(struct app *app);
} steps[] = {
        {"inherited sockets", take_sockets}, {"signals", start_signals},     {"services", start_services},
        {"connections", start_conns},        {"executor", start_executor},   {"listeners", start_listening},
        {"watchdog", start_watchdog},        {"port file", write_port_file}, {"workers", start_workers},
};

static int app_init(struct app *app, const struct app_options *options)
{
    const struct loop_hooks hooks = {
            .on_wake = on_wake, .on_turn = on_turn, .is_pending = is_pending, .arg = app};
    int r;

    *app = (struct app){.options = options, .config = options->config, .exit_timeout_ns = -1};
    reloader_init(&app->reloader, app->config);
    start_log(app->config);
    raise_file_limit(app->config);
    r = loop_new(&app->loop, &hooks);
    if (r < 0)
        return step_failed("loop", r);
    if (options->on_loop)
        options->on_loop(app->loop, options->arg);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        r = steps[i].start(app);
        if (r < 0)
            return step_failed(steps[i].name, r);
    }
    return 0;
}

/* Another signal on the way out must not find the default action in the place of our handler. */
static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(handled_signals); i++)
        sigaddset(&set, handled_signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void app_deinit(struct app *app)
{
    block_signals();
    if (app->has_port_file)
        unlink(app->config->port_file);
    stop_listening(app);
    inherited_deinit(&app->inherited);
    conn_set_free(app->conns);
    secure_deinit(&app->secure);
    auth_free(app->auth);
    executor_free(app->executor);
    reflection_free(app->reflection);
    health_free(app->health);
    grpc_server_free(app->server);
    loop_timer_deinit(&app->watchdog_timer);
    loop_timer_deinit(&app->drain_timer);
    for (size_t i = 0; i < ARRAY_LEN(app->signals); i++)
        loop_signal_deinit(&app->signals[i]);
    loop_free(app->loop);
    reloader_deinit(&app->reloader);
}

int app_run(const struct app_options *options)
{
    struct app app;
    int r = app_init(&app, options);

    if (r == 0) {
        r = loop_run(app.loop);
        if (r < 0)
            LOG_EVENT(LOG_ERROR, "loop_failed", LOG_ERRNO(r));
        else
            LOG_EVENT(LOG_NOTICE, "stopped");
    }
    if (app.is_failed)
        r = -EIO;
    app_deinit(&app);
    return r < 0 ? 1 : 0;
}
