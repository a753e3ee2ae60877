// SPDX-License-Identifier: Apache-2.0
#include "worker/outbox.h"

#include <errno.h>
#include <string.h>

enum { HELLO_NAME = 1, HELLO_TOKEN, HELLO_FUNCTIONS, HELLO_SLOTS, HELLO_LABELS, HELLO_VERSION = 7 };
enum { FUNCTION_NAME = 1, FUNCTION_DOC, FUNCTION_CONTENT_TYPES, FUNCTION_OPTIONS, FUNCTION_VERSION };
enum {
    OPTIONS_DURABILITY = 1,
    OPTIONS_PRIORITY = 2,
    OPTIONS_ATTEMPT_TIMEOUT = 6,
    OPTIONS_RETRY = 7,
    OPTIONS_ON_LOST = 8,
    OPTIONS_RETENTION = 14
};
enum { RETRY_ATTEMPTS = 1, RETRY_INITIAL, RETRY_MULTIPLIER, RETRY_MAX, RETRY_JITTER, RETRY_TYPES };
enum { PROBLEM_MAX_BYTES = 1000 }; /* a label has at most 1 KiB */

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){.fields = BUF_INIT};
    o->writer = writer_to(&o->fields);
}

void outbox_deinit(struct outbox *o)
{
    buf_deinit(&o->fields);
}

/* --- Hello */

static void put_span(struct writer *w, uint32_t number, int64_t ms)
{
    if (ms)
        writer_duration(w, number, ms == FUTURED_NONE ? 0 : ms * NS_PER_MS);
}

static void put_retry(struct writer *w, const struct futured_options *o)
{
    struct writer_mark m;

    if (!o->max_attempts && !o->initial_backoff_ms && !o->max_backoff_ms && o->multiplier == 0 &&
        o->jitter == 0 && !(o->non_retryable_types && *o->non_retryable_types))
        return;
    m = writer_begin(w, OPTIONS_RETRY, 100);
    writer_uint(w, RETRY_ATTEMPTS, o->max_attempts);
    put_span(w, RETRY_INITIAL, o->initial_backoff_ms);
    writer_double(w, RETRY_MULTIPLIER, o->multiplier);
    put_span(w, RETRY_MAX, o->max_backoff_ms);
    if (o->jitter != 0)
        writer_double_always(w, RETRY_JITTER, MAX(o->jitter, 0.0));
    for (const char *const *type = o->non_retryable_types; type && *type; type++)
        writer_text(w, RETRY_TYPES, *type);
    writer_end(w, m);
}

static void put_options(struct writer *w, const struct futured_options *o)
{
    struct writer_mark m = writer_begin(w, FUNCTION_OPTIONS, 100);

    writer_uint(w, OPTIONS_DURABILITY, (uint64_t)o->durability);
    writer_sint(w, OPTIONS_PRIORITY, o->priority);
    put_span(w, OPTIONS_ATTEMPT_TIMEOUT, o->attempt_timeout_ms);
    put_retry(w, o);
    writer_uint(w, OPTIONS_ON_LOST, (uint64_t)o->on_lost);
    put_span(w, OPTIONS_RETENTION, o->retention_ms);
    writer_end(w, m);
}

static void put_function(struct writer *w, const struct function *f)
{
    struct writer_mark m = writer_begin(w, HELLO_FUNCTIONS, 100);

    writer_text(w, FUNCTION_NAME, f->name);
    writer_text(w, FUNCTION_DOC, f->doc);
    for (const char *const *type = f->content_types; type && *type; type++)
        writer_text(w, FUNCTION_CONTENT_TYPES, *type);
    if (f->options.size) /* it says some */
        put_options(w, &f->options);
    writer_text(w, FUNCTION_VERSION, f->version);
    writer_end(w, m);
}

/* The problems, as many as there is room for, for the daemon and for who lists the workers. */
static void put_problems(struct writer *w, const struct functions *f)
{
    struct span text = {buf_head(&f->problems), buf_len(&f->problems)};
    struct writer_mark m;

    if (text.len == 0)
        return;
    text.len = MIN(text.len - 1, (size_t)PROBLEM_MAX_BYTES); /* without the last newline */
    while (text.len && (text.p[text.len] & 0xc0) == 0x80)    /* between characters */
        text.len--;
    m = writer_begin(w, HELLO_LABELS, 100);
    writer_text(w, 1, "load_error");
    writer_bytes(w, 2, text);
    writer_end(w, m);
}

void outbox_hello(struct outbox *o, const struct hello *hello)
{
    struct writer *w = &o->writer;
    struct writer_mark m = writer_begin(w, ATTACH_HELLO, 1000);

    writer_text(w, HELLO_NAME, hello->name);
    writer_text(w, HELLO_TOKEN, hello->session_token);
    for (uint32_t i = 0; i < hello->functions->n_items; i++)
        if (!hello->functions->items[i].is_refused)
            put_function(w, &hello->functions->items[i]);
    writer_uint(w, HELLO_SLOTS, 1);
    put_problems(w, hello->functions);
    writer_text(w, HELLO_VERSION, FUTURED_VERSION);
    writer_end(w, m);
}

/* --- about leases */

static void put_lease(struct outbox *o, uint32_t number, const struct lease_ref *lease, const char *reason)
{
    struct writer_mark m = writer_begin(&o->writer, number, 40);

    lease_ref_write(&o->writer, 1, lease);
    if (reason)
        writer_text(&o->writer, 2, reason);
    writer_end(&o->writer, m);
}

void outbox_started(struct outbox *o, const struct lease_ref *lease)
{
    put_lease(o, ATTACH_STARTED, lease, NULL);
}

void outbox_returned(struct outbox *o, const struct lease_ref *lease)
{
    put_lease(o, ATTACH_RETURNED, lease, NULL);
}

void outbox_release(struct outbox *o, const struct lease_ref *lease, const char *reason)
{
    put_lease(o, ATTACH_RELEASE, lease, reason);
}

/* --- Finish */

void outbox_finish(struct outbox *o, const struct futured_call *call, mono_ns_t now)
{
    const struct answer answer = {
            .lease = &call->lease,
            .failure = call->has_failed ? &call->failure : NULL,
            .result = attempt_result(call),
            .result_type = call->result_type,
            .is_chunked = call->n_result > OUTBOX_CHUNK_BYTES,
            .usage = &call->usage,
            .exit_code = call->exit_code,
            .signal = call->signal,
    };
    struct writer *w = &o->writer;
    struct writer_mark m = writer_begin(w, ATTACH_FINISH, 200);

    if (o->n_finishes++ == 0)
        o->started_at = now;
    o->credit++;
    answer_write(w, &answer);
    writer_end(w, m);
}

int outbox_send_chunk(const struct futured_call *call, size_t offset, struct grpc_client_call *stream)
{
    struct span all = attempt_result(call);
    size_t n = MIN(all.len - offset, (size_t)OUTBOX_CHUNK_BYTES);
    struct buf *out = grpc_client_call_begin(stream);
    struct writer w = writer_to(out);
    struct writer_mark m;

    if (!out)
        return -ENOMEM;
    m = writer_begin(&w, ATTACH_PAYLOAD, n + 64);
    answer_write_piece(&w, &call->lease, offset, (struct span){all.p + offset, n});
    writer_end(&w, m);
    if (w.failed) {
        grpc_client_call_undo(stream);
        return -ENOMEM;
    }
    grpc_client_call_end(stream);
    return (int)n;
}

int outbox_tell(struct outbox *o, struct futured_call *call)
{
    return telling_write(&call->telling, &call->lease, &o->writer, OUTBOX_BYTES);
}

/* --- the batch */

static void put_tail(struct outbox *o)
{
    struct writer *w = &o->writer;
    struct writer_mark m;

    if (o->credit) {
        m = writer_begin(w, ATTACH_READY, 8);
        writer_uint(w, 1, o->credit);
        writer_end(w, m);
    }
    if (o->ping) {
        m = writer_begin(w, ATTACH_HEARTBEAT, 12);
        writer_uint(w, 1, o->ping);
        writer_end(w, m);
    }
}

int outbox_flush(struct outbox *o, struct grpc_client_call *stream)
{
    int r;

    if (outbox_is_empty(o))
        return 0;
    put_tail(o);
    r = o->writer.failed;
    if (r == 0)
        r = grpc_client_call_send(stream, (struct span){buf_head(&o->fields), buf_len(&o->fields)});
    if (r < 0)
        return r;
    buf_clear(&o->fields);
    o->n_finishes = o->credit = 0;
    o->ping = 0;
    return 0;
}
