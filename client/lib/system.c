// SPDX-License-Identifier: Apache-2.0
/* The daemon itself: its workers, its statistics; reloading and stopping it. */
#include "client/lib/call.h"
#include "client/lib/decode.h"
#include "client/lib/retry.h"

#include <errno.h>
#include <string.h>

#include <futured/v1/system.pb-c.h>
#include <futured/v1/workers.pb-c.h>

/* Field numbers of futured/v1/workers.proto and system.proto. */
enum {
    WORKERS_PAGE_TOKEN = 2,
    WORKERS_FUNCTION = 3,
    WORKERS_WORKERS = 1,
    STEER_WORKER_ID = 1,
    STEER_REASON = 2,
    STEER_TIMEOUT = 3,
    STATS_PREFIX = 1,
    STATS_OPENMETRICS = 2,
    RELOAD_DRY_RUN = 1,
    DRAIN_STOP_ACCEPT = 1,
    DRAIN_STOP_DISPATCH = 2,
    DRAIN_EXIT = 3,
    DRAIN_TIMEOUT = 4,
    DRAIN_REASON = 5,
    RESUME_REASON = 1,
};

/* --- workers */

struct workers_box {
    struct futured_box box;
    struct futured_workers workers;
};

struct list_workers {
    const char *function, *page_token;
};

static void encode_workers(struct writer *w, const void *arg)
{
    const struct list_workers *list = arg;

    if (list->page_token)
        writer_text(w, WORKERS_PAGE_TOKEN, list->page_token);
    if (list->function)
        writer_text(w, WORKERS_FUNCTION, list->function);
}

static void fill_worker(const Futured__V1__WorkerInfo *from, struct span wire, struct futured_worker_info *to)
{
    *to = (struct futured_worker_info){
            .id = from->id,
            .name = from->name,
            .version = from->version,
            .state = (enum futured_worker_state)from->state,
            .pid = from->pid,
            .peer = from->peer,
            .n_functions = from->n_functions,
            .functions = from->functions,
            .slots = from->slots,
            .reserved = from->reserved_count,
            .running = from->running_count,
            .finished = from->finished_count,
            .attach_time_ns = futured_box_time(from->attach_time),
            .last_seen_time_ns = futured_box_time(from->last_seen_time),
            .wire = {.data = wire.p, .size = wire.len},
    };
}

/* The bytes of the next one: the field 1 of both answers, of which the generated code has found as many. */
static struct span next_worker(struct wire_reader *reader)
{
    struct wire_field field = {0};
    int r;

    do
        r = wire_next(reader, &field);
    while (r == 0 && field.number != WORKERS_WORKERS);
    ASSERT(r == 0);
    return field.bytes;
}

static int fill_workers(struct arena *arena, const Futured__V1__ListWorkersResponse *from,
                        struct futured_bytes wire, struct futured_workers *to)
{
    struct wire_reader reader = wire_reader((struct span){wire.data, wire.size});
    struct futured_worker_info **list =
            futured_box_array(arena, from->n_workers, sizeof(struct futured_worker_info *));

    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_workers; i++) {
        list[i] = futured_box_array(arena, 1, sizeof *list[i]);
        if (!list[i])
            return -ENOMEM;
        fill_worker(from->workers[i], next_worker(&reader), list[i]);
    }
    to->n_workers = from->n_workers;
    to->workers = (const struct futured_worker_info *const *)list;
    to->n_crashed = from->crashed_count;
    to->next_page_token = from->next_page_token;
    return 0;
}

static int decode_workers(struct span reply, void *ret)
{
    ProtobufCMessage *message;
    struct futured_workers *to;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct workers_box), &futured__v1__list_workers_response__descriptor,
                            reply, &message);

    if (r)
        return r;
    to = &CONTAINER_OF(box, struct workers_box, box)->workers;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r == 0)
        r = fill_workers(&box->arena, (const Futured__V1__ListWorkersResponse *)(const void *)message, wire,
                         to);
    if (r) {
        futured_box_free(box);
        return r;
    }
    *(struct futured_workers **)ret = to;
    return 0;
}

int futured_list_workers(struct futured_client *client, const char *function, const char *page_token,
                         struct futured_workers **ret)
{
    const struct list_workers list = {.function = function, .page_token = page_token};

    return futured_call_unary(client, "/futured.v1.Workers/ListWorkers", encode_workers, &list,
                              decode_workers, ret);
}

struct futured_workers *futured_workers_free(struct futured_workers *workers)
{
    if (workers)
        futured_box_free(&CONTAINER_OF(workers, struct workers_box, workers)->box);
    return NULL;
}

struct worker_box {
    struct futured_box box;
    struct futured_worker_info worker;
};

struct steer {
    const char *worker_id, *reason;
    int64_t timeout_ns;
};

static void encode_steer(struct writer *w, const void *arg)
{
    const struct steer *steer = arg;

    writer_text(w, STEER_WORKER_ID, steer->worker_id);
    if (steer->reason)
        writer_text(w, STEER_REASON, steer->reason);
    if (steer->timeout_ns >= 0)
        writer_duration(w, STEER_TIMEOUT, steer->timeout_ns);
}

static int decode_worker(struct span reply, void *ret)
{
    const Futured__V1__DrainWorkerResponse *from;
    ProtobufCMessage *message;
    struct futured_bytes wire;
    struct wire_reader reader;
    struct worker_box *to;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof *to, &futured__v1__drain_worker_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    from = (const Futured__V1__DrainWorkerResponse *)(const void *)message;
    r = from->worker ? futured_box_wire(&box->arena, reply, &wire) : FUTURED_CALL_E_MALFORMED;
    if (r) {
        futured_box_free(box);
        return r;
    }
    to = CONTAINER_OF(box, struct worker_box, box);
    reader = wire_reader((struct span){wire.data, wire.size});
    fill_worker(from->worker, next_worker(&reader), &to->worker);
    *(struct futured_worker_info **)ret = &to->worker;
    return 0;
}

int futured_drain_worker(struct futured_client *client, const char *worker_id, const char *reason,
                         int64_t timeout_ns, struct futured_worker_info **ret)
{
    const struct steer steer = {.worker_id = worker_id, .reason = reason, .timeout_ns = timeout_ns};

    return futured_call_unary(client, "/futured.v1.Workers/DrainWorker", encode_steer, &steer,
                              ret ? decode_worker : NULL, ret);
}

struct futured_worker_info *futured_worker_info_free(struct futured_worker_info *worker)
{
    if (worker)
        futured_box_free(&CONTAINER_OF(worker, struct worker_box, worker)->box);
    return NULL;
}

int futured_kill_worker(struct futured_client *client, const char *worker_id, const char *reason)
{
    const struct steer steer = {.worker_id = worker_id, .reason = reason, .timeout_ns = FUTURED_NO_SPAN};

    return futured_call_once(client, "/futured.v1.Workers/KillWorker", encode_steer, &steer, NULL, NULL);
}

/* --- statistics */

struct stats_box {
    struct futured_box box;
    struct futured_stats stats;
};

static void encode_stats(struct writer *w, const void *arg)
{
    if (arg)
        writer_text(w, STATS_PREFIX, arg);
    writer_uint(w, STATS_OPENMETRICS, 1);
}

static int decode_stats(struct span reply, void *ret)
{
    const Futured__V1__GetStatsResponse *from;
    ProtobufCMessage *message;
    struct futured_box *box;
    struct futured_stats *to;
    int r = futured_box_new(&box, sizeof(struct stats_box), &futured__v1__get_stats_response__descriptor,
                            reply, &message);

    if (r)
        return r;
    from = (const Futured__V1__GetStatsResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct stats_box, box)->stats;
    *to = (struct futured_stats){.openmetrics = from->openmetrics, .is_omitted = from->omitted};
    *(struct futured_stats **)ret = to;
    return 0;
}

int futured_get_stats(struct futured_client *client, const char *prefix, struct futured_stats **ret)
{
    return futured_call_unary(client, "/futured.v1.System/GetStats", encode_stats, prefix, decode_stats, ret);
}

struct futured_stats *futured_stats_free(struct futured_stats *stats)
{
    if (stats)
        futured_box_free(&CONTAINER_OF(stats, struct stats_box, stats)->box);
    return NULL;
}

/* --- what it is */

struct info_box {
    struct futured_box box;
    struct futured_info info;
};

static void encode_nothing(struct writer *w, const void *arg)
{
}

static int decode_info(struct span reply, void *ret)
{
    const Futured__V1__GetInfoResponse *from;
    ProtobufCMessage *message;
    struct futured_bytes wire;
    struct futured_box *box;
    struct futured_info *to;
    int r = futured_box_new(&box, sizeof(struct info_box), &futured__v1__get_info_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r < 0) {
        futured_box_free(box);
        return r;
    }
    from = (const Futured__V1__GetInfoResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct info_box, box)->info;
    *to = (struct futured_info){
            .version = from->version,
            .store = from->store,
            .epoch = from->epoch,
            .start_time_ns = futured_box_time(from->start_time),
            .is_draining = from->drain != NULL,
            .max_message_bytes = from->limits ? from->limits->max_message_bytes : 0,
            .pid = from->pid,
            .principal = from->principal,
            .wire = wire,
    };
    *(struct futured_info **)ret = to;
    return 0;
}

int futured_get_info(struct futured_client *client, struct futured_info **ret)
{
    return futured_call_unary(client, "/futured.v1.System/GetInfo", encode_nothing, NULL, decode_info, ret);
}

struct futured_info *futured_info_free(struct futured_info *info)
{
    if (info)
        futured_box_free(&CONTAINER_OF(info, struct info_box, info)->box);
    return NULL;
}

/* --- reloading */

struct reloaded_box {
    struct futured_box box;
    struct futured_reloaded reloaded;
};

static void encode_reload(struct writer *w, const void *arg)
{
    const int *is_dry_run = arg;

    writer_uint(w, RELOAD_DRY_RUN, *is_dry_run != 0);
}

static int decode_reloaded(struct span reply, void *ret)
{
    const Futured__V1__ReloadResponse *from;
    struct futured_reloaded *to;
    ProtobufCMessage *message;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct reloaded_box), &futured__v1__reload_response__descriptor,
                            reply, &message);

    if (r)
        return r;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r) {
        futured_box_free(box);
        return r;
    }
    from = (const Futured__V1__ReloadResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct reloaded_box, box)->reloaded;
    *to = (struct futured_reloaded){
            .n_changed = from->n_changed,
            .changed = from->changed,
            .n_needs_restart = from->n_needs_restart,
            .needs_restart = from->needs_restart,
            .n_plugins = from->n_plugins,
            .plugins = from->plugins,
            .wire = wire,
    };
    *(struct futured_reloaded **)ret = to;
    return 0;
}

int futured_reload(struct futured_client *client, int is_dry_run, struct futured_reloaded **ret)
{
    return futured_call_unary(client, "/futured.v1.System/Reload", encode_reload, &is_dry_run,
                              decode_reloaded, ret);
}

struct futured_reloaded *futured_reloaded_free(struct futured_reloaded *reloaded)
{
    if (reloaded)
        futured_box_free(&CONTAINER_OF(reloaded, struct reloaded_box, reloaded)->box);
    return NULL;
}

/* --- draining */

struct drained_box {
    struct futured_box box;
    struct futured_drained drained;
};

static void encode_drain(struct writer *w, const void *arg)
{
    const struct futured_drain_options *options = arg;

    writer_uint(w, DRAIN_STOP_ACCEPT, options->stop_accept != 0);
    writer_uint(w, DRAIN_STOP_DISPATCH, options->stop_dispatch != 0);
    writer_uint(w, DRAIN_EXIT, options->exit != 0);
    if (options->timeout_ns >= 0)
        writer_duration(w, DRAIN_TIMEOUT, options->timeout_ns);
    if (options->reason)
        writer_text(w, DRAIN_REASON, options->reason);
}

static int decode_drained(struct span reply, void *ret)
{
    const Futured__V1__DrainResponse *from;
    struct futured_drained *to;
    ProtobufCMessage *message;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct drained_box), &futured__v1__drain_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r) {
        futured_box_free(box);
        return r;
    }
    from = (const Futured__V1__DrainResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct drained_box, box)->drained;
    *to = (struct futured_drained){
            .running = from->running_count, .pending = from->pending_count, .wire = wire};
    if (from->drain) {
        to->stop_accept = from->drain->stop_accept;
        to->stop_dispatch = from->drain->stop_dispatch;
        to->exit = from->drain->exit;
    }
    *(struct futured_drained **)ret = to;
    return 0;
}

int futured_drain(struct futured_client *client, const struct futured_drain_options *options,
                  struct futured_drained **ret)
{
    struct futured_drain_options known = FUTURED_DRAIN_OPTIONS_INIT;

    memcpy(&known, options, MIN(options->size, sizeof known));
    return futured_call_unary(client, "/futured.v1.System/Drain", encode_drain, &known, decode_drained, ret);
}

struct futured_drained *futured_drained_free(struct futured_drained *drained)
{
    if (drained)
        futured_box_free(&CONTAINER_OF(drained, struct drained_box, drained)->box);
    return NULL;
}

static void encode_resume(struct writer *w, const void *arg)
{
    if (arg)
        writer_text(w, RESUME_REASON, arg);
}

static int decode_nothing(struct span reply, void *ret)
{
    return 0;
}

int futured_resume(struct futured_client *client, const char *reason)
{
    return futured_call_unary(client, "/futured.v1.System/Resume", encode_resume, reason, decode_nothing,
                              NULL);
}
