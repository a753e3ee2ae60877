// SPDX-License-Identifier: Apache-2.0
/*
 * The connection of a worker:
 *
 *     away --connect_at--> connecting --Hello--> asked --Welcome--> attached
 *      ^                       |                   |                   |
 *      +------- lost: a pause, longer each time ---+-------------------+
 *
 * Invariants:
 *  1. What is held (running, told, waiting in the inbox) outlives the connection. The next Hello names all of it, the
 *     Welcome says what is still ours; the rest is cancelled and dropped. After lease_ttl without a connection nothing is.
 *  2. Credit belongs to a connection: what was given on a lost one is gone. So it is computed, never counted up: as much as
 *     slots and prefetch have room for.
 *  3. Nothing but a daemon that refuses this worker, or one that wants it to go, ends the loop; see is_final.
 */
#include "base/mem.h"
#include "client/lib/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_PAUSE_MIN_NS (100 * NS_PER_MS)
#define CONNECT_PAUSE_MAX_NS (10 * NS_PER_S)
#define LEAVE_NS             (5 * NS_PER_S) /* for the daemon to say good-bye */
#define HEARTBEAT_MIN_NS     (10 * NS_PER_MS)

/* --- what comes */

static void on_welcome(void *context, const struct welcome *welcome)
{
    struct futured_worker *w = context;
    struct wire_reader kept = wire_reader(welcome->message), dropped = kept;
    mono_ns_t now = clock_mono();
    struct lease_ref lease;
    char id[64];

    w->is_attached = 1;
    w->epoch = welcome->epoch;
    w->heartbeat_ns =
            welcome->heartbeat_interval.is_set ? MAX(welcome->heartbeat_interval.ns, HEARTBEAT_MIN_NS) : 0;
    w->ttl_ns = welcome->lease_ttl.is_set ? welcome->lease_ttl.ns : 0;
    w->max_result_bytes = (size_t)welcome->max_result_bytes;
    w->max_told_bytes[TOLD_OUTPUT] = welcome->max_output_bytes;
    w->max_told_bytes[TOLD_LOG] = welcome->max_log_bytes;
    w->has_untold = 1;
    w->heartbeat_at = w->heartbeat_ns ? clock_add(now, w->heartbeat_ns) : CLOCK_NEVER;
    w->lost_at = w->patience_until = CLOCK_NEVER;
    futured_backoff_reset(&w->backoff);
    while (welcome->dropped && inbox_next_lease(&dropped, WELCOME_DROPPED, &lease))
        futured_worker_lose(w, &lease);
    while (welcome->kept && inbox_next_lease(&kept, WELCOME_KEPT, &lease)) {
        struct futured_job *job = futured_worker_find(&w->told_jobs, &lease);

        if (job) {
            list_del(&job->link);
            w->n_told--;
            w->told_bytes -= futured_job_bytes(job);
            list_push_back(&w->again, &job->link);
        }
        if (futured_worker_find(&w->running, &lease) || futured_worker_find(&w->again, &lease))
            futured_report_started(w, &lease); /* again: the first time may have been lost */
    }
    pthread_cond_broadcast(&w->work);
    snprintf(id, sizeof id, "%.*s", (int)MIN(welcome->worker_id.len, sizeof id - 1),
             welcome->worker_id.len ? (const char *)welcome->worker_id.p : "");
    futured_worker_tell(w, FUTURED_WORKER_EVENT_ATTACHED, id);
}

static void on_recalled(void *context, const struct lease_ref *lease)
{
    struct futured_worker *w = context;

    w->n_recalled++;
    futured_report_returned(w, lease);
}

static void on_cancel(void *context, const struct lease_ref *lease, int64_t grace_ns, struct span reason)
{
    struct futured_worker *w = context;
    struct futured_job *job = futured_worker_find(&w->running, lease);

    if (job)
        futured_job_cancel(job, grace_ns, reason);
}

static void on_refused(void *context, const struct lease_ref *lease)
{
    futured_worker_lose(context, lease);
}

static void on_drain(void *context, const struct drain *drain)
{
    char why[256];

    snprintf(why, sizeof why, "%.*s", (int)MIN(drain->reason.len, sizeof why - 1),
             drain->reason.len ? (const char *)drain->reason.p : "");
    futured_worker_drain(context, why, drain->come_again != 0);
}

static void on_ping(void *context, uint64_t number)
{
    futured_report_heartbeat(context, number);
}

static struct futured_worker *worker_of(struct grpc_client_call *call)
{
    return grpc_client_call_user(call);
}

static void on_message(struct grpc_client_call *call, struct span message)
{
    struct futured_worker *w = worker_of(call);
    uint32_t before = w->inbox.n_queued, assigned;
    const char *why = "";
    int r;

    if (w->is_broken)
        return;
    w->n_recalled = 0;
    r = inbox_take(&w->inbox, message, &why);
    assigned = w->inbox.n_queued + w->n_recalled - MIN(before, w->inbox.n_queued + w->n_recalled);
    w->credit -= MIN(assigned, w->credit);
    for (uint32_t i = 0; i < MIN(w->inbox.n_queued, w->n_slots); i++)
        pthread_cond_signal(&w->work);
    if (r) {
        w->is_broken = 1;
        status_set(&w->end, GRPC_UNAVAILABLE, r < 0 ? "NO_MEMORY" : "CONNECTION_LOST", "%s: %s",
                   w->address.text, r < 0 ? "this process is out of memory" : why);
    }
}

static void on_done(struct grpc_client_call *call, const struct grpc_status *status)
{
    struct futured_worker *w = worker_of(call);
    const struct grpc_status *why = w->conn ? futured_conn_why(w->conn) : NULL;

    w->call = NULL;
    w->has_ended = 1;
    if (!w->is_broken)
        w->end = why && status->code == GRPC_UNAVAILABLE && !status->reason[0] ? *why : *status;
}

void futured_attach_init(struct futured_worker *w)
{
    w->ops = (struct inbox_ops){.on_welcome = on_welcome,
                                .on_recalled = on_recalled,
                                .on_cancel = on_cancel,
                                .on_refused = on_refused,
                                .on_drain = on_drain,
                                .on_ping = on_ping,
                                .context = w};
}

/* --- away and back */

static void forget_connection(struct futured_worker *w)
{
    w->conn = futured_conn_free(w->conn); /* ends the call */
    w->call = NULL;
    w->is_attached = 0;
    w->has_ended = w->is_broken = 0;
    w->heartbeat_at = CLOCK_NEVER;
    w->n_connections++;
    w->credit = 0;
    inbox_restart(&w->inbox);
    pthread_cond_broadcast(&w->room);
}

static int has_nothing_to_tell(const struct futured_worker *w)
{
    return w->n_running == 0 && list_is_empty(&w->again) && w->inbox.n_queued == 0;
}

/* Whether another try would be answered in the same way. */
static int is_final(enum grpc_code code)
{
    switch (code) {
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_ALREADY_EXISTS:
    case GRPC_PERMISSION_DENIED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_ABORTED:
    case GRPC_UNIMPLEMENTED:
    case GRPC_UNAUTHENTICATED: return 1;
    default: return 0;
    }
}

static void try_again(struct futured_worker *w, const struct grpc_status *why, mono_ns_t now)
{
    int64_t pause = futured_backoff_next(&w->backoff, CONNECT_PAUSE_MIN_NS, CONNECT_PAUSE_MAX_NS);

    if (w->patience_ns >= 0 && w->patience_until == CLOCK_NEVER)
        w->patience_until = clock_add(now, w->patience_ns);
    if (why->retry_delay_ms > 0)
        pause = MAX(pause, MIN(why->retry_delay_ms * NS_PER_MS, CONNECT_PAUSE_MAX_NS));
    w->connect_at = clock_add(now, pause);
    if (w->patience_until != CLOCK_NEVER && w->connect_at > w->patience_until)
        futured_worker_end(w, why);
    else
        futured_worker_tell(w, FUTURED_WORKER_EVENT_LOST, why->message);
}

/* The connection, or the call on it, has ended. */
static void lost(struct futured_worker *w, mono_ns_t now)
{
    struct grpc_status why = w->end;
    const struct grpc_status *of_conn = futured_conn_why(w->conn);

    if (!w->has_ended && !w->is_broken && of_conn)
        why = *of_conn;
    else if (!w->has_ended && w->is_broken && why.code == GRPC_OK)
        status_set(&why, GRPC_UNAVAILABLE, "NO_MEMORY", "this process is out of memory");
    if (w->lost_at == CLOCK_NEVER && w->epoch)
        w->lost_at = now;
    forget_connection(w);
    status_clear(&w->end, GRPC_OK);
    if (w->phase != WORKER_SERVING && (why.code == GRPC_OK || w->phase == WORKER_LEAVING) &&
        !w->comes_again) {
        futured_worker_end(w, NULL);
        return;
    }
    if (w->comes_again) { /* this one is gone: the next one is served again */
        w->comes_again = 0;
        w->phase = WORKER_SERVING;
    }
    if (is_final(why.code)) {
        futured_worker_end(w, &why);
        return;
    }
    if (why.code == GRPC_OK)
        status_set(&why, GRPC_UNAVAILABLE, "", "%s has let this worker go", w->address.text);
    if (w->phase != WORKER_SERVING && has_nothing_to_tell(w) && !w->comes_again)
        futured_worker_end(w, NULL);
    else
        try_again(w, &why, now);
}

static void no_memory(struct futured_worker *w, mono_ns_t now)
{
    struct grpc_status why;

    status_set(&why, GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "this process is out of memory");
    try_again(w, &why, now);
}

static void connect_now(struct futured_worker *w, mono_ns_t now)
{
    static const struct grpc_client_handler handler = {.on_message = on_message, .on_done = on_done};

    if (futured_conn_new(&w->conn, &w->address, now) < 0) {
        w->conn = NULL;
        no_memory(w, now);
        return;
    }
    if (futured_conn_state(w->conn) != FUTURED_CONN_LOST &&
        grpc_client_call_new(&w->call, futured_conn_grpc(w->conn), "/futured.v1.Workers/Attach", NULL,
                             &handler, w, now)) {
        w->call = NULL;
        w->conn = futured_conn_free(w->conn);
        no_memory(w, now);
        return;
    }
    futured_report_hello(w);
}

/* --- what is due */

static void give_credit(struct futured_worker *w)
{
    uint64_t held = (uint64_t)w->n_running + w->inbox.n_queued + w->credit;
    uint64_t room = (uint64_t)w->n_slots + w->n_prefetch, want = room > held ? room - held : 0;

    if (w->max_tasks) {
        uint64_t taken = w->n_taken + w->inbox.n_queued + w->credit;

        want = MIN(want, w->max_tasks > taken ? w->max_tasks - taken : 0);
    }
    if (want == 0)
        return;
    w->credit += (uint32_t)want;
    futured_report_credit(w, (uint32_t)want);
}

static void hand_back(struct futured_worker *w)
{
    for (struct item *item = inbox_pop(&w->inbox); item; item = inbox_pop(&w->inbox)) {
        futured_report_released(w, &item->lease);
        inbox_item_free(item);
    }
}

static void leave(struct futured_worker *w, mono_ns_t now)
{
    hand_back(w);
    if (w->phase != WORKER_DRAINING || !has_nothing_to_tell(w) || !w->call)
        return;
    w->phase = WORKER_LEAVING;
    w->leave_until = clock_add(now, LEAVE_NS);
    if (grpc_client_call_half_close(w->call) < 0)
        w->is_broken = 1;
}

static void serve(struct futured_worker *w, mono_ns_t now)
{
    if (!w->is_attached)
        return;
    if (w->has_untold)
        futured_report_told(w);
    if (w->phase == WORKER_SERVING)
        give_credit(w);
    else
        leave(w, now);
    if (now >= w->heartbeat_at) {
        w->heartbeat_at = clock_add(now, w->heartbeat_ns);
        futured_report_heartbeat(w, 0);
    }
}

/* Nothing that is held counts any more. */
static void expire(struct futured_worker *w, mono_ns_t now)
{
    if (w->lost_at == CLOCK_NEVER || now < clock_add(w->lost_at, w->ttl_ns))
        return;
    w->lost_at = CLOCK_NEVER;
    w->epoch = 0;
    for (struct item *item = inbox_pop(&w->inbox); item; item = inbox_pop(&w->inbox))
        inbox_item_free(item);
    LIST_FOREACH_SAFE (l, &w->running)
        futured_worker_lose(w, &LIST_ENTRY(l, struct futured_job, link)->lease);
    LIST_FOREACH_SAFE (l, &w->again)
        futured_worker_lose(w, &LIST_ENTRY(l, struct futured_job, link)->lease);
    futured_worker_forget(w, now, 1);
}

static int is_lost(const struct futured_worker *w)
{
    return w->has_ended || w->is_broken || futured_conn_state(w->conn) == FUTURED_CONN_LOST;
}

void futured_attach_turn(struct futured_worker *w, short revents, mono_ns_t now)
{
    if (!w->conn && w->phase != WORKER_SERVING && has_nothing_to_tell(w) && !w->comes_again) {
        futured_worker_end(w, NULL);
        return;
    }
    if (w->phase == WORKER_LEAVING && now >= w->leave_until && !w->comes_again) {
        futured_worker_end(w, NULL);
        return;
    }
    if (!w->conn && now >= w->connect_at)
        connect_now(w, now);
    expire(w, now);
    futured_worker_forget(w, now, 0);
    if (!w->conn)
        return;
    futured_conn_turn(w->conn, revents, now);
    for (int is_more = 1; is_more && !is_lost(w); is_more = futured_report_has_more(w)) {
        serve(w, now);
        futured_conn_turn(w->conn, 0, now);
    }
    if (is_lost(w))
        lost(w, now);
    else if (w->is_attached)
        pthread_cond_broadcast(&w->room);
}

mono_ns_t futured_attach_due(const struct futured_worker *w)
{
    mono_ns_t due = CLOCK_NEVER;

    if (w->conn)
        due = MIN(futured_conn_due(w->conn), w->heartbeat_at);
    else
        due = w->connect_at;
    if (w->phase == WORKER_LEAVING)
        due = MIN(due, w->leave_until);
    if (w->lost_at != CLOCK_NEVER)
        due = MIN(due, clock_add(w->lost_at, w->ttl_ns));
    return due;
}
