// SPDX-License-Identifier: Apache-2.0
#include "dispatch/steer.h"

#include "dispatch/child.h"
#include "dispatch/claim.h"
#include "dispatch/internal.h"
#include "dispatch/roster.h"
#include "dispatch/session.h"

#include <stdio.h>

enum { DRAINED_WORKER = 1, RESERVE_BYTES = 256 };

struct steer_request {
    struct span worker_id, reason;
    struct codec_time timeout;
};
static const struct codec_row drain_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct steer_request, worker_id),
        CODEC_ROW(2, CODEC_STRING, struct steer_request, reason),
        CODEC_ROW(3, CODEC_DURATION, struct steer_request, timeout),
};
static const struct codec_table drain_table = {drain_rows, ARRAY_LEN(drain_rows)},
                                kill_table = {drain_rows, ARRAY_LEN(drain_rows) - 1};

/* The worker that the request names; NULL: the call has been ended. */
static struct worker *read_request(struct grpc_call *call, const struct codec_table *table,
                                   struct span message, struct steer_request *m)
{
    const struct dispatch *d = grpc_call_context(call);
    struct worker *w = NULL;
    struct grpc_status st;
    uint64_t number;
    char id[32];

    if (claim_read(call, table, message, m) < 0)
        return NULL;
    if (worker_parse_id(m->worker_id, &number) < 0) {
        hello_bad_field(&st, "worker_id", "is no ID of a worker: such as w-17, from ListWorkers");
    } else if (m->reason.len > LIMIT_REASON_BYTES) {
        hello_bad_field(&st, "reason", "has more than 1 KiB");
    } else if (m->timeout.ns < 0) {
        hello_bad_field(&st, "timeout", "must not be negative");
    } else if (!(w = worker_find_number(d, number)) || w->is_dead) {
        snprintf(id, sizeof id, "%.*s", (int)m->worker_id.len, (const char *)m->worker_id.p);
        status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_WORKER", "there is no worker %s, or it has gone", id);
        status_set_resource(&st, "futured.v1.Worker", id);
        w = NULL;
    }
    if (!w)
        grpc_call_fail(call, &st);
    return w;
}

static struct span principal_of(const struct grpc_call *call)
{
    return span_of_string(grpc_call_peer(call)->principal);
}

static void drain(struct worker *w, mono_ns_t now, struct span why, int64_t timeout_ns)
{
    w->is_draining = 1;
    if (timeout_ns)
        w->end_at = MIN(w->end_at, clock_add(now, timeout_ns));
    worker_recall_unstarted(w, NULL);
    if (!worker_is_pool(w))
        attach_drain(w, why, timeout_ns);
}

void steer_drain(struct worker *w, mono_ns_t now, struct span why, int64_t timeout_ns)
{
    drain(w, now, why, timeout_ns);
    LIST_FOREACH (l, &w->dispatch->workers) {
        struct worker *other = LIST_ENTRY(l, struct worker, link);

        if (child_is_beside(other, w)) /* they end with their process */
            drain(other, now, why, timeout_ns);
    }
}

void steer_kill(struct worker *w, const char *why)
{
    struct grpc_status st;

    if (worker_is_pool(w)) {
        child_kill(w, why);
        return;
    }
    status_set(&st, GRPC_ABORTED, "WORKER_KILLED", "%s; what it held is lost", why);
    session_cut(w, &st);
}

static void on_drain(struct grpc_call *call, struct span message)
{
    struct steer_request m = {0};
    struct worker *w = read_request(call, &drain_table, message, &m);
    struct writer wr;

    if (!w)
        return;
    wr = writer_to(roster_show(call, w) == 0 ? grpc_call_begin(call) : NULL);
    if (wr.out) {
        steer_drain(w, grpc_call_now(call), m.reason, m.timeout.ns);
        roster_put(call, &wr, DRAINED_WORKER, w, w->dispatch->config.max_message_bytes - RESERVE_BYTES);
        dispatch_tell(w, "worker_draining", principal_of(call), m.reason);
    }
    if (!wr.out || wr.failed) {
        if (wr.out)
            grpc_call_undo(call);
        grpc_call_fail(call, worker_no_memory(&(struct grpc_status){0}));
        return;
    }
    grpc_call_end(call);
    grpc_call_finish(call);
}

static void on_kill(struct grpc_call *call, struct span message)
{
    struct steer_request m = {0};
    struct worker *w = read_request(call, &kill_table, message, &m);

    if (!w)
        return;
    if (grpc_call_send(call, (struct span){0}) < 0) {
        grpc_call_fail(call, worker_no_memory(&(struct grpc_status){0}));
        return;
    }
    dispatch_tell(w, "worker_killed_by", principal_of(call), m.reason);
    steer_kill(w, "somebody has asked for its end by KillWorker");
    grpc_call_finish(call);
}

const struct grpc_handler steer_drain_handler = {.on_message = on_drain},
                          steer_kill_handler = {.on_message = on_kill};
