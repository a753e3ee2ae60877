// SPDX-License-Identifier: Apache-2.0
/*
 * What the daemon is, and how it does. Everything is read when somebody asks; nothing is gathered meanwhile but the counters
 * that their owners keep anyway. The walk over the functions is bounded by limits.max_functions.
 */
#include "service/system.h"

#include "base/mem.h"
#include "engine/right.h"
#include "service/caller.h"
#include "service/convert.h"

#include <errno.h>
#include <string.h>

enum { INFO_RESERVE_BYTES = 512, STATS_RESERVE_BYTES = 256, TEXT_HINT_BYTES = 1 << 16 };

struct system {
    struct engine *engine;
    struct grpc_server *server;
    struct system_config config;
    wall_ns_t reload_time;
    struct buf addresses; /* NUL-terminated, one behind the other */
    struct grpc_method methods[2];
};

/* --- GetInfo; the numbers are those of proto/futured/v1/system.proto */

static void put_limits(struct writer *w, const struct system *s)
{
    struct writer_mark m = writer_begin(w, 9, 64);

    writer_uint(w, 1, s->config.limits.max_message_bytes);
    writer_uint(w, 2, LIMIT_LABELS);
    writer_uint(w, 3, LIMIT_LABEL_KEY_BYTES);
    writer_uint(w, 4, LIMIT_LABEL_VALUE_BYTES);
    writer_uint(w, 5, LIMIT_FUNCTION_NAME_BYTES);
    writer_uint(w, 6, LIMIT_KEY_BYTES);
    writer_uint(w, 7, LIMIT_DEPENDS_ON);
    writer_uint(w, 8, LIMIT_SELECTOR_IDS);
    writer_uint(w, 9, LIMIT_PAGE_SIZE);
    writer_uint(w, 10, s->config.limits.max_filter_watches);
    writer_uint(w, 11, s->config.limits.scan_limit);
    writer_uint(w, 12, s->config.max_result_bytes);
    writer_end(w, m);
}

static void put_info(struct writer *w, const struct system *s, const struct grpc_call *call)
{
    const struct identity *who = grpc_call_who(call);
    const char *end = (const char *)buf_head(&s->addresses) + buf_len(&s->addresses);

    writer_text(w, 1, FUTURED_VERSION);
    writer_uint(w, 2, engine_epoch(s->engine));
    writer_timestamp(w, 3, s->config.start_time);
    writer_uint(w, 4, s->config.world.state(s->config.world.context));
    if (s->config.drain)
        drain_put(s->config.drain, w, 5);
    writer_text(w, 6, s->config.has_store ? "sqlite" : "none");
    writer_uint(w, 7, s->config.has_store ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL);
    for (const char *a = (const char *)buf_head(&s->addresses); a < end; a += strlen(a) + 1)
        writer_text(w, 8, a);
    put_limits(w, s);
    writer_bytes(w, 10, caller_name(call));
    if (who)
        writer_bytes(w, 11, SPAN_OF_BYTES(who->scope->namespace));
    writer_timestamp(w, 12, s->reload_time);
    writer_uint(w, 13, s->config.pid);
}

/* The reply begun on @call is complete. */
static void send_reply(struct grpc_call *call, const struct writer *w)
{
    if (w->failed) {
        grpc_call_undo(call);
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static void on_get_info(struct grpc_call *call, struct span message)
{
    static const struct codec_table table = {0};
    struct writer w = {0};
    struct grpc_status st;

    if (request_read(&table, message, NULL, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    w = writer_to(grpc_call_begin(call));
    if (!w.out) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    put_info(&w, grpc_call_context(call), call);
    send_reply(call, &w);
}

/* --- GetStats */

struct get_stats_request {
    struct span prefix;
    uint64_t openmetrics;
};
static const struct codec_row get_stats_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct get_stats_request, prefix),
        CODEC_ROW(2, CODEC_UINT, struct get_stats_request, openmetrics),
};
static const struct codec_table get_stats_table = {get_stats_rows, ARRAY_LEN(get_stats_rows)};

enum { COUNTS = 2, WORKER_COUNT = 4, OPENMETRICS = 5, OMITTED = 6 };

static const char *const state_names[] = {
        [FUTURE_PENDING] = "PENDING", [FUTURE_RUNNING] = "RUNNING",     [FUTURE_SUCCEEDED] = "SUCCEEDED",
        [FUTURE_FAILED] = "FAILED",   [FUTURE_CANCELLED] = "CANCELLED",
};

static void measure_engine(struct metrics *m, const struct system *s)
{
    const struct engine_stats stats = engine_stats(s->engine);
    const struct limits *limits = &s->config.limits;

    metrics_family(m, METRIC_GAUGE, "start_time_seconds", "seconds", "When the daemon started, since 1970.");
    metrics_put(m, (double)s->config.start_time / 1e9);
    metrics_family(m, METRIC_GAUGE, "futures", NULL, "Futures in memory, by state.");
    for (uint32_t i = FUTURE_PENDING; i <= FUTURE_CANCELLED; i++)
        metrics_put_of(m, (double)stats.n_by_state[i], "state", span_of_string(state_names[i]));
    metrics_family(m, METRIC_GAUGE, "futures_limit", NULL, "How many futures may be in memory.");
    metrics_put(m, (double)limits->max_futures);
    metrics_family(m, METRIC_COUNTER, "futures_accepted", NULL, "Tasks that were accepted.");
    metrics_put(m, (double)stats.n_accepted);
    metrics_family(m, METRIC_COUNTER, "futures_forgotten", NULL,
                   "Futures that were deleted, or whose retention ended.");
    metrics_put(m, (double)stats.n_forgotten);
    metrics_family(m, METRIC_COUNTER, "futures_restored", NULL, "Futures that were read from the store.");
    metrics_put(m, (double)stats.n_restored);
    metrics_family(m, METRIC_COUNTER, "futures_evicted", NULL,
                   "Finished futures that only the store has since.");
    metrics_put(m, (double)stats.n_evicted);
    metrics_family(m, METRIC_GAUGE, "futures_memory_bytes", "bytes", "Memory that futures take.");
    metrics_put(m, (double)stats.n_bytes);
    metrics_family(m, METRIC_GAUGE, "futures_memory_limit_bytes", "bytes", "Memory that futures may take.");
    metrics_put(m, (double)limits->max_memory_bytes);
    metrics_family(m, METRIC_GAUGE, "waiter_edges", NULL, "Pairs of a call that waits and a future.");
    metrics_put(m, (double)stats.n_edges);
    metrics_family(m, METRIC_GAUGE, "waiter_edges_limit", NULL, "How many such pairs there may be.");
    metrics_put(m, (double)limits->max_waiter_edges);
    metrics_family(m, METRIC_COUNTER, "finishes_refused", NULL,
                   "Outcomes that came under a lease that was not current.");
    metrics_put(m, (double)stats.n_stale_finishes);
}

static double pending_of(const struct function *f)
{
    return (double)f->n_pending;
}

static double reserved_of(const struct function *f)
{
    return (double)f->n_reserved;
}

static double running_of(const struct function *f)
{
    return (double)f->n_running;
}

static double workers_of(const struct function *f)
{
    return (double)f->n_holders;
}

static void measure_each(struct metrics *m, const struct system *s, const char *name, const char *help,
                         double (*value)(const struct function *f))
{
    metrics_family(m, METRIC_GAUGE, name, NULL, help);
    for (const struct function *f = NULL; (f = engine_function_next(s->engine, f));)
        metrics_put_of(m, value(f), "function", SPAN_OF_BYTES(f->name));
}

static void measure_finished(struct metrics *m, const struct function *f)
{
    const uint64_t n[] = {f->n_succeeded, f->n_failed, f->n_cancelled};

    for (uint32_t i = 0; i < ARRAY_LEN(n); i++) {
        const struct metric_label labels[] = {
                {"function", SPAN_OF_BYTES(f->name)},
                {"state", span_of_string(state_names[FUTURE_SUCCEEDED + i])},
        };

        metrics_put_labels(m, (double)n[i], labels, ARRAY_LEN(labels));
    }
}

static void measure_functions(struct metrics *m, const struct system *s)
{
    const struct function *f = NULL;

    measure_each(m, s, "function_pending",
                 "Futures that wait, those that are reserved for a worker included.", pending_of);
    measure_each(m, s, "function_reserved", "Of those that wait: reserved for a worker.", reserved_of);
    measure_each(m, s, "function_running", "Futures that run.", running_of);
    measure_each(m, s, "function_workers", "Workers that serve it.", workers_of);
    metrics_family(m, METRIC_COUNTER, "function_finished", NULL, "Futures that ended, by state.");
    while ((f = engine_function_next(s->engine, f)))
        measure_finished(m, f);
    metrics_family(m, METRIC_GAUGE, "function_run_mean_seconds", "seconds",
                   "How long its attempts ran lately, on average.");
    while ((f = engine_function_next(s->engine, f)))
        if (f->mean_run_ns >= 0)
            metrics_put_of(m, (double)f->mean_run_ns / 1e9, "function", SPAN_OF_BYTES(f->name));
}

/* The two labels of a method: "futured.v1.Futures" and "Get". */
static void split_path(const char *path, struct metric_label labels[static 2])
{
    const char *slash = *path ? strrchr(path, '/') : path;

    labels[0] = (struct metric_label){"service", {(const uint8_t *)path, 0}};
    labels[1] = (struct metric_label){"method", span_of_string(*path ? slash + 1 : "")};
    if (slash > path)
        labels[0].value = (struct span){(const uint8_t *)path + 1, (size_t)(slash - path) - 1};
}

static uint64_t n_open(const struct grpc_counts *c)
{
    uint64_t n = c->n_begun;

    for (size_t code = 0; code < ARRAY_LEN(c->n_ended); code++)
        n -= c->n_ended[code];
    return n;
}

/* Of methods that were ever called. */
static void measure_calls(struct metrics *m, const struct system *s)
{
    const struct grpc_counts *c;
    struct metric_label labels[3];

    metrics_family(
            m, METRIC_COUNTER, "messages_handled", NULL,
            "Request messages that were handed to their methods, those of the pool's workers included.");
    metrics_put(m, (double)grpc_server_n_messages(s->server));
    metrics_family(m, METRIC_COUNTER, "calls", NULL,
                   "Calls that are over, by method and code; no method: of none that there is.");
    for (size_t i = 0; (c = grpc_server_counts(s->server, i)); i++) {
        split_path(c->path, labels);
        for (uint32_t code = 0; code < ARRAY_LEN(c->n_ended); code++) {
            labels[2] = (struct metric_label){"code", span_of_string(status_name((enum grpc_code)code))};
            if (c->n_ended[code])
                metrics_put_labels(m, (double)c->n_ended[code], labels, 3);
        }
    }
    metrics_family(m, METRIC_GAUGE, "calls_open", NULL, "Calls that are not over, by method.");
    for (size_t i = 0; (c = grpc_server_counts(s->server, i)); i++) {
        split_path(c->path, labels);
        if (c->n_begun)
            metrics_put_labels(m, (double)n_open(c), labels, 2);
    }
}

static void put_counts(struct writer *w, const struct engine_stats *stats)
{
    struct writer_mark m = writer_begin(w, COUNTS, 32);

    for (uint32_t i = FUTURE_PENDING; i <= FUTURE_CANCELLED; i++)
        writer_uint(w, i, stats->n_by_state[i]);
    writer_end(w, m);
}

static void put_stats(struct writer *w, const struct system *s, const struct identity *who,
                      const struct get_stats_request *request)
{
    enum metrics_form form = request->openmetrics ? METRICS_TEXT : METRICS_STATS;
    const struct engine_stats stats = engine_stats(s->engine);
    struct writer_mark text = {0};
    struct metrics m;
    uint32_t n_workers;

    writer_timestamp(w, 1, engine_wall(s->engine));
    put_counts(w, &stats);
    if (form == METRICS_TEXT)
        text = writer_begin(w, OPENMETRICS, TEXT_HINT_BYTES);
    m = metrics_begin(form, w, request->prefix, s->config.limits.max_message_bytes - STATS_RESERVE_BYTES);
    measure_engine(&m, s);
    measure_calls(&m, s);
    n_workers = s->config.world.measure(s->config.world.context, who, &m);
    measure_functions(&m, s); /* there may be many of these */
    metrics_end(&m);
    if (form == METRICS_TEXT)
        writer_end(w, text);
    writer_uint(w, WORKER_COUNT, n_workers);
    writer_uint(w, OMITTED, m.is_full != 0);
}

static void on_get_stats(struct grpc_call *call, struct span message)
{
    struct get_stats_request request = {0};
    struct writer w = {0};
    struct grpc_status st;

    if (request_read(&get_stats_table, message, &request, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    w = writer_to(grpc_call_begin(call));
    if (!w.out) {
        grpc_call_fail(call, convert_no_memory(&st));
        return;
    }
    put_stats(&w, grpc_call_context(call), grpc_call_who(call), &request);
    send_reply(call, &w);
}

/* --- the service */

static const struct grpc_handler get_info_handler = {.on_message = on_get_info},
                                 get_stats_handler = {.on_message = on_get_stats};

int system_new(struct system **ret, struct engine *e, struct grpc_server *server,
               const struct system_config *config)
{
    struct system *s = mem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->engine = e;
    s->server = server;
    s->config = *config;
    s->reload_time = config->start_time;
    s->methods[0] =
            (struct grpc_method){"/futured.v1.System/GetInfo", GRPC_UNARY, &get_info_handler, s, RIGHT_KNOWN};
    s->methods[1] = (struct grpc_method){"/futured.v1.System/GetStats", GRPC_UNARY, &get_stats_handler, s,
                                         RIGHT_READ_ALL};
    *ret = s;
    return 0;
}

struct system *system_free(struct system *s)
{
    if (!s)
        return NULL;
    buf_deinit(&s->addresses);
    return mem_free(s);
}

const struct grpc_method *system_methods(const struct system *s, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(s->methods);
    return s->methods;
}

void system_set_limits(struct system *s, const struct limits *limits)
{
    s->config.limits = *limits;
}

void system_reloaded(struct system *s, wall_ns_t time)
{
    s->reload_time = time;
}

int system_add_address(struct system *s, const char *text)
{
    return buf_append(&s->addresses, text, strlen(text) + 1);
}
