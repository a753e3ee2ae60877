// SPDX-License-Identifier: Apache-2.0
/*
 * The Attach stream: what a worker says, in the order of field numbers within one message (workers.proto). A worker that
 * breaks the protocol has its call failed, and a child of the pool is killed for it; what it held goes back.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <stdio.h>

enum {
    REQUEST_HELLO = 1,
    REQUEST_STARTED = 2,
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
};

struct attach_request {
    struct codec_bytes hello, ready;
    uint32_t started, payload, finish, release, returned;
};

static const struct codec_row attach_request_rows[] = {
        CODEC_ROW(REQUEST_HELLO, CODEC_MESSAGE, struct attach_request, hello),
        CODEC_ROW(REQUEST_STARTED, CODEC_REPEATED_MESSAGE, struct attach_request, started),
        CODEC_ROW(REQUEST_PAYLOAD, CODEC_REPEATED_MESSAGE, struct attach_request, payload),
        CODEC_ROW(REQUEST_FINISH, CODEC_REPEATED_MESSAGE, struct attach_request, finish),
        CODEC_ROW(REQUEST_RELEASE, CODEC_REPEATED_MESSAGE, struct attach_request, release),
        CODEC_ROW(REQUEST_RETURNED, CODEC_REPEATED_MESSAGE, struct attach_request, returned),
        CODEC_ROW(10, CODEC_MESSAGE, struct attach_request, ready),
};
static const struct codec_table attach_request_table = {attach_request_rows, ARRAY_LEN(attach_request_rows)};

/* Messages whose only field of interest is `lease = 1`. */
struct lease_message {
    struct codec_bytes lease;
};
static const struct codec_row lease_message_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct lease_message, lease),
};
static const struct codec_table lease_message_table = {lease_message_rows, ARRAY_LEN(lease_message_rows)};

struct payload_message {
    struct codec_bytes lease, data;
    uint64_t part, offset;
};
static const struct codec_row payload_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct payload_message, lease),
        CODEC_ROW(2, CODEC_UINT, struct payload_message, part),
        CODEC_ROW(3, CODEC_UINT, struct payload_message, offset),
        CODEC_ROW(4, CODEC_BYTES, struct payload_message, data),
};
static const struct codec_table payload_table = {payload_rows, ARRAY_LEN(payload_rows)};

struct ready_message {
    uint64_t credit;
    uint32_t by_function;
};
static const struct codec_row ready_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct ready_message, credit),
        CODEC_ROW(2, CODEC_REPEATED_MESSAGE, struct ready_message, by_function),
};
static const struct codec_table ready_table = {ready_rows, ARRAY_LEN(ready_rows)};

/* The current lease that @message names under field 1; NULL: stale or nonsense, which is counted. */
static struct lease *find_lease(struct worker *w, struct span ref_message, struct lease_ref *ret_ref)
{
    struct lease *lease = NULL;

    *ret_ref = (struct lease_ref){0};
    if (lease_ref_read(ref_message, ret_ref) == 0 && ret_ref->epoch <= UINT32_MAX)
        lease = engine_lease_find(w->dispatch->engine, w->holder, &ret_ref->id, ret_ref->attempt,
                                  (uint32_t)ret_ref->epoch);
    if (!lease)
        w->n_refused++;
    return lease;
}

static struct lease *find_lease_in(struct worker *w, struct span message)
{
    struct lease_message m = {0};
    struct lease_ref ref;
    const char *field;

    if (codec_read(&lease_message_table, message, &m, &field) != 0)
        return NULL;
    return find_lease(w, m.lease.data, &ref);
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
    struct writer_mark m;

    if (!out)
        return grpc_call_is_writable(w->call) ? -ENOMEM : -EBADMSG;
    m = writer_begin(&wr, RESPONSE_REFUSED, 64);
    lease_ref_write(&wr, 1, ref);
    writer_text(&wr, 2, "STALE_LEASE");
    writer_end(&wr, m);
    return send(w, &wr);
}

static int send_welcome(struct worker *w)
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
    writer_uint(&wr, 7, d->config.max_message_bytes);
    writer_uint(&wr, 8, d->config.max_result_bytes);
    writer_text(&wr, 9, FUTURED_VERSION);
    writer_end(&wr, m);
    return send(w, &wr);
}

/* ---- Finish */

static struct span cut(struct span text, size_t max)
{
    return (struct span){text.p, utf8_cut(text.p, text.len, max)};
}

/* The details of an Error, as whole fields, into @to; none where they are too many. 0, -ENOMEM. */
static int read_details(struct span message, struct buf *to)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;

    while (wire_next(&r, &f) == 0) {
        if (f.number != ERROR_DETAILS)
            continue;
        if (buf_len(to) + f.raw.len > DISPATCH_TEXT_BYTES) {
            buf_clear(to);
            return 0;
        }
        if (buf_append(to, f.raw.p, f.raw.len) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Whether another attempt could end in another way, where the worker does not say. */
static int may_succeed_later(enum future_reason reason)
{
    return reason == REASON_FUNCTION_ERROR || reason == REASON_CRASHED || reason == REASON_TIMEOUT ||
           reason == REASON_MEMORY_LIMIT || reason == REASON_CPU_LIMIT;
}

/* Shortened where it is too long to be shown with a future. 0, -ENOMEM, -EBADMSG. */
static int read_error(struct span message, int is_final, struct future_error **ret)
{
    struct error_message m = {0};
    struct future_error error = {0};
    struct buf details = BUF_INIT;
    const char *field;

    if (codec_read(&error_table, message, &m, &field) != 0)
        return -EBADMSG;
    error.code = m.code > 0 && m.code <= GRPC_UNAUTHENTICATED ? (int)m.code : GRPC_UNKNOWN;
    error.reason = future_reason_parse(m.reason);
    if (error.reason == REASON_NONE)
        error.reason = REASON_FUNCTION_ERROR;
    error.retryable = m.retryable || (!is_final && may_succeed_later(error.reason));
    error.type = cut(m.type, LIMIT_KEY_BYTES);
    error.message = cut(m.message, DISPATCH_TEXT_BYTES);
    error.traceback = cut(m.traceback, DISPATCH_TEXT_BYTES);
    error.function_reason = cut(m.function_reason, LIMIT_KEY_BYTES);
    *ret = NULL;
    if (m.details == 0 || read_details(message, &details) == 0) {
        error.details = (struct span){buf_head(&details), buf_len(&details)};
        *ret = future_error_new(&error);
    }
    buf_deinit(&details);
    return *ret ? 0 : -ENOMEM;
}

static void read_usage(const struct finish_message *m, struct usage *ret)
{
    struct usage_message usage = {0};
    const char *field;

    *ret = (struct usage){-1, -1, -1, -1};
    if (!m->usage.is_set || codec_read(&usage_table, m->usage.data, &usage, &field) != 0)
        return;
    if (usage.user_cpu.is_set)
        ret->user_cpu_ns = usage.user_cpu.ns;
    if (usage.system_cpu.is_set)
        ret->system_cpu_ns = usage.system_cpu.ns;
    if (usage.wall.is_set)
        ret->wall_ns = usage.wall.ns;
    if (usage.max_rss_bytes.is_set && usage.max_rss_bytes.value <= INT64_MAX)
        ret->max_rss_bytes = (int64_t)usage.max_rss_bytes.value;
}

static struct future_error *too_large(size_t size, size_t limit)
{
    struct future_error error = {.code = GRPC_RESOURCE_EXHAUSTED, .reason = REASON_RESULT_TOO_LARGE};
    char text[128];

    snprintf(text, sizeof text, "the result has %zu bytes; at most %zu are allowed", size, limit);
    error.message = span_of_string(text);
    return future_error_new(&error);
}

static int is_same_lease(const struct lease_ref *a, const struct lease_ref *b)
{
    return a->attempt == b->attempt && a->epoch == b->epoch && id_compare(&a->id, &b->id) == 0;
}

/* Result or error of one Finish into @ret. 0, -ENOMEM, -EBADMSG. */
static int read_outcome(struct worker *w, const struct lease_ref *ref, const struct finish_message *m,
                        struct finish *ret)
{
    struct result_message result = {0};
    size_t limit = w->dispatch->config.max_result_bytes;
    const char *field;

    if (m->error.is_set)
        return read_error(m->error.data, m->final != 0, &ret->error);
    if (codec_read(&result_table, m->result.data, &result, &field) != 0)
        return -EBADMSG;
    if (m->chunked) {
        if (!is_same_lease(&w->payload_lease, ref) || result.size_bytes != buf_len(&w->payload))
            return -EBADMSG;
        ret->data = bytes_dup(buf_head(&w->payload), buf_len(&w->payload));
    } else if (result.data.data.len > limit) {
        ret->error = too_large(result.data.data.len, limit);
        return ret->error ? 0 : -ENOMEM;
    } else {
        ret->data = bytes_dup(result.data.data.p, result.data.data.len);
    }
    result.content_type = cut(result.content_type, LIMIT_CONTENT_TYPE_BYTES);
    if (ret->data && result.content_type.len)
        ret->content_type = bytes_dup(result.content_type.p, result.content_type.len);
    if (!ret->data || (result.content_type.len && !ret->content_type))
        return -ENOMEM;
    return 0;
}

/* Nothing more will come for the result in pieces. */
static void drop_payload(struct worker *w)
{
    buf_clear(&w->payload);
    buf_shrink(&w->payload, DISPATCH_CHUNK_BYTES);
    w->payload_lease = (struct lease_ref){0};
}

static void drop_finish(struct finish *finish)
{
    bytes_unref(finish->data);
    bytes_unref(finish->content_type);
    future_error_unref(finish->error);
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
    read_usage(&m, &finish.usage);
    if (m.exit_code.is_set) {
        finish.has_exit_code = 1;
        finish.exit_code = (int32_t)m.exit_code.value;
    }
    if (m.signal.is_set) {
        finish.has_signal = 1;
        finish.signal = (int32_t)m.signal.value;
    }
    r = read_outcome(w, &ref, &m, &finish);
    if (r == 0)
        r = engine_finish(w->dispatch->engine, lease, &finish);
    if (r < 0) {
        drop_finish(&finish);
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
    struct lease *lease = find_lease_in(w, message);

    if (lease && !worker_started(w, lease))
        return -EBADMSG; /* it says so, but its page does not */
    if (lease)
        worker_recall_unstarted(w, lease);
    return 0;
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

static int on_ready(struct worker *w, struct span message)
{
    struct ready_message m = {0};
    const char *field;

    if (codec_read(&ready_table, message, &m, &field) != 0 || m.credit > WORKER_CREDIT_MAX - w->credit)
        return -EBADMSG;
    if (m.by_function)
        return -EOPNOTSUPP;
    w->credit += (uint32_t)m.credit;
    return 0;
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

static int on_parts(struct worker *w, const struct attach_request *m, struct span message)
{
    int e = for_each(w, message, REQUEST_STARTED, m->started, on_started);

    if (e == 0)
        e = for_each(w, message, REQUEST_PAYLOAD, m->payload, on_payload);
    if (e == 0)
        e = for_each(w, message, REQUEST_FINISH, m->finish, on_finish);
    if (e == 0)
        e = for_each(w, message, REQUEST_RELEASE, m->release, on_given_back);
    if (e == 0)
        e = for_each(w, message, REQUEST_RETURNED, m->returned, on_given_back);
    if (e == 0 && m->ready.is_set)
        e = on_ready(w, m->ready.data);
    return e;
}

static void on_message(struct grpc_call *call, struct span message)
{
    struct worker *w = grpc_call_user(call);
    struct attach_request m = {0};
    struct grpc_status st;
    const char *field;
    int e;

    w->is_heard = 1;
    w->heard_at = grpc_call_now(call);
    if (codec_read(&attach_request_table, message, &m, &field) != 0) {
        grpc_call_fail_code(call, GRPC_INVALID_ARGUMENT, "the message is malformed");
        return;
    }
    if (m.hello.is_set && worker_hello(w, m.hello.data, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    if (!w->holder) {
        grpc_call_fail_code(call, GRPC_FAILED_PRECONDITION, "the first message must hold hello");
        return;
    }
    e = m.hello.is_set ? send_welcome(w) : 0;
    if (e == 0)
        e = on_parts(w, &m, message);
    if (e == -EBADMSG)
        grpc_call_fail_code(call, GRPC_INVALID_ARGUMENT, "the message breaks the rules of Attach");
    else if (e == -EOPNOTSUPP)
        grpc_call_fail_code(call, GRPC_UNIMPLEMENTED, "this version of the daemon has no credit by function");
    else if (e < 0)
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "the daemon could not allocate memory");
    else
        worker_has_room(w);
}

static void on_start(struct grpc_call *call)
{
    struct worker *w = worker_attach(grpc_call_context(call), call);

    grpc_call_set_user(call, w);
    if (w && grpc_call_send_headers(call) < 0)
        grpc_call_fail_code(call, GRPC_RESOURCE_EXHAUSTED, "the daemon could not allocate memory");
}

static void on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
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

/* What cannot be said for want of memory is not said: what really happens decides. */
void attach_cancel(struct worker *w, const struct lease *lease, mono_ns_t now)
{
    const struct future_rare *rare = lease->future->rare;
    struct lease_ref ref = ref_of(w, lease);
    struct buf *out = w->call ? grpc_call_begin(w->call) : NULL;
    struct writer wr = writer_to(out);
    struct writer_mark m;

    if (!out)
        return;
    m = writer_begin(&wr, RESPONSE_CANCEL_ATTEMPT, 64);
    lease_ref_write(&wr, 1, &ref);
    if (lease->stop == STOP_CANCELLED && rare->cancel_requested)
        writer_bytes(&wr, 2, SPAN_OF_BYTES(rare->cancel_requested->reason));
    else
        writer_text(
                &wr, 2,
                future_reason_text(lease->stop == STOP_TIMEOUT ? REASON_TIMEOUT : REASON_DEADLINE_EXCEEDED));
    writer_duration(&wr, 3, MAX(lease->kill_at - now, INT64_C(0)));
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
