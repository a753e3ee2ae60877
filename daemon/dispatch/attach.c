// SPDX-License-Identifier: Apache-2.0
/*
 * The Attach stream: what a worker says, in the order of field numbers within one message (workers.proto). A worker that
 * breaks the protocol has its call failed, and a child of the pool is killed for it; what it held goes back. One from elsewhere
 * is known from its Hello on, and loses what it holds when it breaks the protocol, or half-closes.
 */
#include "base/mem.h"
#include "dispatch/finish.h"
#include "dispatch/internal.h"
#include "dispatch/session.h"
#include "dispatch/tell.h"

#include <errno.h>

enum {
    REQUEST_HELLO = 1,
    REQUEST_STARTED = 2,
    REQUEST_PROGRESS = 3,
    REQUEST_OUTPUT = 4,
    REQUEST_LOG = 5,
    REQUEST_PAYLOAD = 6,
    REQUEST_FINISH = 7,
    REQUEST_RELEASE = 8,
    REQUEST_RETURNED = 9,
};
enum {
    RESPONSE_WELCOME = 1,
    RESPONSE_CANCEL_ATTEMPT = 4,
    RESPONSE_RECALL = 5,
    RESPONSE_REFUSED = 6,
    RESPONSE_DRAIN = 7,
};
enum { WELCOME_KEPT = 5, WELCOME_DROPPED = 6 };

struct attach_request {
    struct codec_bytes hello, ready;
    uint32_t started, progress, output, log, payload, finish, release, returned;
};

static const struct codec_row attach_request_rows[] = {
        CODEC_ROW(REQUEST_HELLO, CODEC_MESSAGE, struct attach_request, hello),
        CODEC_ROW(REQUEST_STARTED, CODEC_REPEATED_MESSAGE, struct attach_request, started),
        CODEC_ROW(REQUEST_PROGRESS, CODEC_REPEATED_MESSAGE, struct attach_request, progress),
        CODEC_ROW(REQUEST_OUTPUT, CODEC_REPEATED_MESSAGE, struct attach_request, output),
        CODEC_ROW(REQUEST_LOG, CODEC_REPEATED_MESSAGE, struct attach_request, log),
        CODEC_ROW(REQUEST_PAYLOAD, CODEC_REPEATED_MESSAGE, struct attach_request, payload),
        CODEC_ROW(REQUEST_FINISH, CODEC_REPEATED_MESSAGE, struct attach_request, finish),
        CODEC_ROW(REQUEST_RELEASE, CODEC_REPEATED_MESSAGE, struct attach_request, release),
        CODEC_ROW(REQUEST_RETURNED, CODEC_REPEATED_MESSAGE, struct attach_request, returned),
        CODEC_ROW(10, CODEC_MESSAGE, struct attach_request, ready),
};
static const struct codec_table attach_request_table = {attach_request_rows, ARRAY_LEN(attach_request_rows)};

/* Messages whose only field of interest is `lease = 1`; some have a reason for people. */
struct lease_message {
    struct codec_bytes lease;
    struct span reason;
};
static const struct codec_row lease_message_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct lease_message, lease),
        CODEC_ROW(2, CODEC_STRING, struct lease_message, reason),
};
static const struct codec_table lease_message_table = {lease_message_rows, ARRAY_LEN(lease_message_rows)};

enum { READY_BY_FUNCTION = 2 };
struct ready_message {
    uint64_t credit;
    uint32_t by_function;
};
static const struct codec_row ready_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct ready_message, credit),
        CODEC_ROW(READY_BY_FUNCTION, CODEC_REPEATED_MESSAGE, struct ready_message, by_function),
};
static const struct codec_table ready_table = {ready_rows, ARRAY_LEN(ready_rows)};

int attach_read_lease(struct span message, struct lease_ref *ret)
{
    struct lease_message m = {0};
    const char *field;

    if (codec_read(&lease_message_table, message, &m, &field) != 0 || lease_ref_read(m.lease.data, ret) != 0)
        return -EBADMSG;
    return 0;
}

void attach_put_refused(struct writer *wr, uint32_t number, const struct lease_ref *ref)
{
    struct writer_mark m = writer_begin(wr, number, 64);

    lease_ref_write(wr, 1, ref);
    writer_text(wr, 2, "STALE_LEASE");
    writer_end(wr, m);
}

/* The current lease @ref; NULL: stale or nonsense, which is counted. */
static struct lease *find_lease_of(struct worker *w, const struct lease_ref *ref)
{
    struct lease *lease = NULL;

    if (ref->epoch <= UINT32_MAX)
        lease = engine_lease_find(w->dispatch->engine, w->holder, &ref->id, ref->attempt,
                                  (uint32_t)ref->epoch);
    if (!lease)
        w->n_refused++;
    return lease;
}

/* The same, and read. */
static struct lease *find_lease(struct worker *w, struct span ref_message, struct lease_ref *ret_ref)
{
    *ret_ref = (struct lease_ref){0};
    if (lease_ref_read(ref_message, ret_ref) == 0)
        return find_lease_of(w, ret_ref);
    w->n_refused++;
    return NULL;
}

static struct lease *find_lease_in(struct worker *w, struct span message)
{
    struct lease_ref ref;

    if (attach_read_lease(message, &ref) == 0)
        return find_lease_of(w, &ref);
    w->n_refused++;
    return NULL;
}

/* One message of @wr was written since grpc_call_begin. 0, -ENOMEM. */
static int send(struct worker *w, const struct writer *wr)
{
    if (wr->failed)
        grpc_call_undo(w->call);
    else
        grpc_call_end(w->call);
    return wr->failed;
}

/* Who makes so many mistakes and does not even read our answers is cut off. 0, -ENOMEM, -EBADMSG. */
static int refuse(struct worker *w, const struct lease_ref *ref)
{
    struct buf *out = grpc_call_is_writable(w->call) ? grpc_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);

    if (!out)
        return grpc_call_is_writable(w->call) ? -ENOMEM : -EBADMSG;
    attach_put_refused(&wr, RESPONSE_REFUSED, ref);
    return send(w, &wr);
}

/* ---- Hello */

/* Which of the leases that a worker holds from a lost stream are current is in its Welcome; those are marked, by a pointer to
 * the dispatch. */
static void put_held(struct worker *w, struct writer *wr, const struct hello *hello)
{
    struct wire_reader r = wire_reader(hello->message);
    struct span message;
    struct lease_ref ref;

    while (hello->held_leases && codec_each(&r, HELLO_HELD_LEASES, &message)) {
        struct lease *lease = NULL;

        if (lease_ref_read(message, &ref) != 0)
            continue;
        if (ref.epoch == hello->epoch && ref.epoch == engine_epoch(w->dispatch->engine))
            lease = engine_lease_find(w->dispatch->engine, w->holder, &ref.id, ref.attempt,
                                      (uint32_t)ref.epoch);
        if (lease)
            lease->user = w->dispatch;
        lease_ref_write(wr, lease ? WELCOME_KEPT : WELCOME_DROPPED, &ref);
    }
}

static int send_welcome(struct worker *w, const struct hello *hello)
{
    struct dispatch *d = w->dispatch;
    struct buf *out = grpc_call_begin(w->call);
    struct writer wr = writer_to(out);
    struct writer_mark m;
    char id[32];

    if (!out)
        return -ENOMEM;
    worker_id(w, id);
    m = writer_begin(&wr, RESPONSE_WELCOME, 64);
    writer_text(&wr, 1, id);
    writer_uint(&wr, 2, engine_epoch(d->engine));
    if (hello) {
        writer_duration(&wr, 3, session_heartbeat_ns(w->remote->ttl_ns));
        writer_duration(&wr, 4, w->remote->ttl_ns);
        put_held(w, &wr, hello);
    }
    writer_uint(&wr, 7, d->config.max_message_bytes);
    writer_uint(&wr, 8, d->config.max_result_bytes);
    writer_text(&wr, 9, FUTURED_VERSION);
    writer_uint(&wr, 10, d->config.max_output_bytes);
    writer_uint(&wr, 11, d->config.max_log_bytes);
    writer_end(&wr, m);
    return send(w, &wr);
}

/* After a Welcome: what it does not hold is lost; of what it holds it is told again what it may not have heard. */
static int sort_held(struct worker *w, mono_ns_t now)
{
    int r = 0;

    for (struct list *l = w->holder->leases.prev, *prev = l->prev; r == 0 && l != &w->holder->leases;
         l = prev, prev = l->prev) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease->user != w->dispatch) {
            r = session_lose(w, lease);
            continue;
        }
        lease->user = NULL;
        if (lease->stop != STOP_NOT)
            attach_cancel(w, lease, now);
    }
    return r;
}

/* Nothing more will come for the result in pieces. */
static void drop_payload(struct worker *w)
{
    buf_clear(&w->payload);
    buf_shrink(&w->payload, DISPATCH_CHUNK_BYTES);
    w->payload_lease = (struct lease_ref){0};
}

/* The first message of a worker from elsewhere. 0, -ENOMEM; WORKER_E_BAD: the call has been ended. */
static int on_remote_hello(struct grpc_call *call, struct span message, struct worker **ret)
{
    struct dispatch *d = grpc_call_context(call);
    struct grpc_status st;
    struct hello hello;
    struct worker *w;
    int r;

    if (hello_read(message, HELLO_OF_STREAM, &hello, &st) ||
        session_open(d, call, &hello, WORKER_STREAM, &w, &st)) {
        grpc_call_fail(call, &st);
        return WORKER_E_BAD;
    }
    if (w->call) {
        grpc_call_set_user(w->call, NULL);
        status_set(&st, GRPC_ABORTED, "SESSION_MOVED", "the worker has said hello on another stream");
        grpc_call_fail(w->call, &st);
    }
    w->call = call;
    worker_drop_credit(w);
    drop_payload(w);
    grpc_call_set_user(call, w);
    *ret = w;
    dispatch_tell(w, "worker_attached", (struct span){0}, (struct span){0});
    r = send_welcome(w, &hello);
    if (r == 0)
        r = sort_held(w, grpc_call_now(call));
    if (r == 0 && w->is_draining)
        attach_drain(w, (struct span){0}, 0);
    return r;
}

/* ---- Finish */

static int is_same_lease(const struct lease_ref *a, const struct lease_ref *b)
{
    return a->attempt == b->attempt && a->epoch == b->epoch && id_compare(&a->id, &b->id) == 0;
}

static int on_finish(struct worker *w, struct span message)
{
    struct finish_message m = {0};
    struct finish finish = {0};
    struct lease_ref ref;
    struct lease *lease;
    const char *field;
    int r;

    if (codec_read(&finish_table, message, &m, &field) != 0 || m.result.is_set == m.error.is_set)
        return -EBADMSG;
    lease = find_lease(w, m.lease.data, &ref);
    if (!lease)
        return refuse(w, &ref);
    worker_started(w, lease);
    r = finish_read(&m, is_same_lease(&w->payload_lease, &ref) ? &w->payload : NULL,
                    w->dispatch->config.max_result_bytes, engine_wall(w->dispatch->engine), &finish);
    if (r == 0)
        r = engine_finish(w->dispatch->engine, lease, &finish);
    if (r < 0) {
        finish_drop(&finish);
        return r;
    }
    w->n_finished++;
    if (is_same_lease(&w->payload_lease, &ref))
        drop_payload(w);
    return 0;
}

/* A result beyond DISPATCH_CHUNK_BYTES comes in pieces, one result at a time. */
static int on_payload(struct worker *w, struct span message)
{
    size_t limit = w->dispatch->config.max_result_bytes;
    struct payload_message m = {0};
    struct lease_ref ref;
    const char *field;

    if (codec_read(&payload_table, message, &m, &field) != 0 || m.part != 0 || m.data.data.len == 0 ||
        m.data.data.len > DISPATCH_CHUNK_BYTES)
        return -EBADMSG;
    if (!find_lease(w, m.lease.data, &ref))
        return 0;
    if (m.offset == 0) {
        buf_clear(&w->payload);
        w->payload_lease = ref;
    }
    if (!is_same_lease(&w->payload_lease, &ref) || m.offset != buf_len(&w->payload) ||
        m.data.data.len > limit - buf_len(&w->payload))
        return -EBADMSG;
    return buf_append(&w->payload, m.data.data.p, m.data.data.len);
}

/* ---- the stream */

static int on_started(struct worker *w, struct span message)
{
    struct engine *e = w->dispatch->engine;
    struct lease_ref ref = {0};
    struct lease *lease;

    if (attach_read_lease(message, &ref) < 0) {
        w->n_refused++;
        return 0;
    }
    lease = find_lease_of(w, &ref);
    if (!worker_is_pool(w))
        return lease ? engine_start(e, lease, engine_wall(e)) : refuse(w, &ref);
    if (lease && !worker_started(w, lease))
        return -EBADMSG; /* it says so, but its page does not */
    if (lease)
        worker_recall_unstarted(w, lease);
    return 0;
}

static int on_told(struct worker *w, enum tell_what what, struct span message)
{
    struct lease *lease;
    struct tell t;

    if (tell_read(what, message, &t) < 0)
        return -EBADMSG;
    lease = find_lease_of(w, &t.lease);
    if (!lease)
        return refuse(w, &t.lease);
    worker_started(w, lease);
    return tell_take(w->dispatch->engine, lease, &t);
}

static int on_progress(struct worker *w, struct span message)
{
    return on_told(w, TELL_PROGRESS, message);
}

static int on_output(struct worker *w, struct span message)
{
    return on_told(w, TELL_OUTPUT, message);
}

static int on_log(struct worker *w, struct span message)
{
    return on_told(w, TELL_LOG, message);
}

static int on_given_back(struct worker *w, struct span message)
{
    struct lease *lease = find_lease_in(w, message);

    if (lease && worker_started(w, lease))
        return -EBADMSG; /* what has begun cannot be given back */
    if (lease)
        engine_release(w->dispatch->engine, lease);
    return 0;
}

/* Credit for one function alone, which it serves. */
struct function_credit {
    struct span function;
    uint64_t credit;
};
static const struct codec_row credit_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct function_credit, function),
        CODEC_ROW(2, CODEC_UINT, struct function_credit, credit),
};
static const struct codec_table credit_table = {credit_rows, ARRAY_LEN(credit_rows)};

static int on_credit(struct worker *w, struct span message)
{
    struct function_credit m = {0};
    struct function *f;
    const char *field;

    if (codec_read(&credit_table, message, &m, &field) != 0 ||
        m.credit > WORKER_CREDIT_MAX - worker_credit(w))
        return -EBADMSG;
    f = engine_function_find(w->dispatch->engine, m.function);
    if (!f || !holder_serves(w->holder, f))
        return -EBADMSG;
    return engine_share_credit(w->dispatch->engine, w->holder, f, (uint32_t)m.credit);
}

static int for_each(struct worker *w, struct span message, uint32_t number, uint32_t n,
                    int (*on_item)(struct worker *, struct span))
{
    struct wire_reader r = wire_reader(message);
    struct span item;
    int e = 0;

    while (n && e == 0 && codec_each(&r, number, &item))
        e = on_item(w, item);
    return e;
}

static int on_ready(struct worker *w, struct span message)
{
    struct ready_message m = {0};
    const char *field;

    if (codec_read(&ready_table, message, &m, &field) != 0 || m.credit > WORKER_CREDIT_MAX - worker_credit(w))
        return -EBADMSG;
    w->credit += (uint32_t)m.credit;
    return for_each(w, message, READY_BY_FUNCTION, m.by_function, on_credit);
}

/* @ret_field: what the result is about. */
static int on_parts(struct worker *w, const struct attach_request *m, struct span message,
                    const char **ret_field)
{
    const struct {
        const char *name;
        uint32_t number, n;
        int (*on_item)(struct worker *, struct span);
    } parts[] = {
            {"started", REQUEST_STARTED, m->started, on_started},
            {"progress", REQUEST_PROGRESS, m->progress, on_progress},
            {"output", REQUEST_OUTPUT, m->output, on_output},
            {"log", REQUEST_LOG, m->log, on_log},
            {"payload", REQUEST_PAYLOAD, m->payload, on_payload},
            {"finish", REQUEST_FINISH, m->finish, on_finish},
            {"release", REQUEST_RELEASE, m->release, on_given_back},
            {"returned", REQUEST_RETURNED, m->returned, on_given_back},
    };
    int e = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts) && e == 0; i++) {
        *ret_field = parts[i].name;
        e = for_each(w, message, parts[i].number, parts[i].n, parts[i].on_item);
    }
    if (e == 0 && m->ready.is_set) {
        *ret_field = "ready";
        e = on_ready(w, m->ready.data);
    }
    return e;
}

/* It has broken the rules: its call ends, and with it whatever ties us to one from elsewhere. @w may be NULL, or freed. */
static void cut_off(struct grpc_call *call, struct worker *w, const struct grpc_status *st)
{
    if (!w || worker_is_pool(w)) {
        grpc_call_fail(call, st);
        return;
    }
    dispatch_tell(w, "worker_cut_off", (struct span){0}, span_of_string(st->message));
    session_cut(w, st);
}

static void fail_parts(struct grpc_call *call, struct worker *w, int e, const char *field)
{
    struct grpc_status st;

    if (e == -EBADMSG)
        hello_bad_field(&st, field,
                        "the message breaks the rules of Attach, which are at the top of workers.proto");
    else if (e == -EDQUOT)
        tell_flood(&st, field);
    else
        worker_no_memory(&st);
    if (e == -EBADMSG || e == -EDQUOT)
        cut_off(call, w, &st);
    else
        grpc_call_fail(call, &st); /* one from elsewhere may come again */
}

static void on_message(struct grpc_call *call, struct span message)
{
    struct worker *w = grpc_call_user(call);
    struct attach_request m = {0};
    const char *field = "hello";
    struct grpc_status st;
    int e = 0;

    if (codec_read(&attach_request_table, message, &m, &field) != 0) {
        cut_off(call, w,
                status_set(&st, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", "the message is malformed"));
        return;
    }
    if (!m.hello.is_set && (!w || !w->holder)) {
        status_set(&st, GRPC_FAILED_PRECONDITION, "NO_HELLO", "the first message must hold hello");
        cut_off(call, w, status_set_precondition(&st, "HELLO", "hello"));
        return;
    }
    if (m.hello.is_set && w && worker_hello(w, m.hello.data, &st)) {
        cut_off(call, w, &st);
        return;
    }
    if (m.hello.is_set)
        e = w ? send_welcome(w, NULL) : on_remote_hello(call, m.hello.data, &w);
    if (e == WORKER_E_BAD)
        return;
    w->is_heard = 1;
    w->heard_at = grpc_call_now(call);
    if (w->remote)
        session_heard(w, w->heard_at);
    if (e == 0)
        e = on_parts(w, &m, message, &field);
    if (e < 0)
        fail_parts(call, w, e, field);
    else
        worker_has_room(w);
}

static void on_start(struct grpc_call *call)
{
    int is_pool = grpc_call_peer(call)->is_pool_worker;
    struct worker *w = is_pool ? worker_attach(grpc_call_context(call), call) : NULL;

    grpc_call_set_user(call, w);
    if ((w || !is_pool) && grpc_call_send_headers(call) < 0)
        grpc_call_fail(call, worker_no_memory(&(struct grpc_status){0}));
}

static void on_half_close(struct grpc_call *call)
{
    struct worker *w = grpc_call_user(call);

    if (!w || worker_is_pool(w)) {
        if (w)
            w->has_left = 1;
        grpc_call_finish(call);
        return;
    }
    dispatch_tell(w, "worker_left", (struct span){0}, (struct span){0});
    session_cut(w, NULL);
}

static void on_writable(struct grpc_call *call)
{
    struct worker *w = grpc_call_user(call);

    if (w)
        worker_has_room(w);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    struct worker *w = grpc_call_user(call);

    if (w)
        worker_detach(w);
}

const struct grpc_handler attach_handler = {
        .on_start = on_start,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_writable = on_writable,
        .on_done = on_done,
};

static struct lease_ref ref_of(const struct worker *w, const struct lease *lease)
{
    return (struct lease_ref){
            .id = lease->future->id, .attempt = lease->attempt, .epoch = engine_epoch(w->dispatch->engine)};
}

void attach_put_cancel(struct writer *wr, uint32_t number, const struct worker *w, const struct lease *lease,
                       mono_ns_t now)
{
    const struct future_rare *rare = lease->future->rare;
    struct lease_ref ref = ref_of(w, lease);
    struct writer_mark m = writer_begin(wr, number, 64);

    lease_ref_write(wr, 1, &ref);
    if (lease->stop == STOP_CANCELLED && rare->cancel_requested)
        writer_bytes(wr, 2, SPAN_OF_BYTES(rare->cancel_requested->reason));
    else
        writer_text(
                wr, 2,
                future_reason_text(lease->stop == STOP_TIMEOUT ? REASON_TIMEOUT : REASON_DEADLINE_EXCEEDED));
    writer_duration(wr, 3, MAX(lease->kill_at - now, INT64_C(0)));
    writer_end(wr, m);
}

/* What cannot be said for want of memory is not said: what really happens decides. */
void attach_cancel(struct worker *w, const struct lease *lease, mono_ns_t now)
{
    struct buf *out = w->call ? grpc_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);

    if (!out)
        return;
    attach_put_cancel(&wr, RESPONSE_CANCEL_ATTEMPT, w, lease, now);
    (void)!send(w, &wr);
}

void attach_drain(struct worker *w, struct span why, int64_t timeout_ns)
{
    struct buf *out = w->call ? grpc_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);
    struct writer_mark m;

    if (!out)
        return;
    m = writer_begin(&wr, RESPONSE_DRAIN, 64);
    writer_bytes(&wr, 1, why);
    if (timeout_ns)
        writer_duration(&wr, 2, timeout_ns);
    writer_uint(&wr, 3, w->dispatch->is_draining != 0); /* it is the daemon that ends */
    writer_end(&wr, m);
    (void)!send(w, &wr);
}

void attach_recall(struct worker *w, struct lease *lease)
{
    struct lease_ref ref = ref_of(w, lease);
    struct buf *out = w->call && !lease->user ? grpc_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);
    struct writer_mark m;

    if (!out)
        return;
    m = writer_begin(&wr, RESPONSE_RECALL, 64);
    lease_ref_write(&wr, 1, &ref);
    writer_end(&wr, m);
    if (send(w, &wr) == 0)
        lease->user = w; /* it has been told */
}
