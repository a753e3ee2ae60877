// SPDX-License-Identifier: Apache-2.0
/*
 * A Future message by view:
 *   RESULT  id, state, revision, outcome
 *   BASIC   everything but the bytes of argument and result (their sizes instead)
 *   TASK    BASIC and the argument
 *   FULL    everything
 * and what is left of them where a message has no room: FULL without the argument, RESULT without the bytes of the result.
 * Field numbers are those of proto/futured/v1/future.proto.
 */
#include "service/convert.h"

#include "base/limit.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FUTURE_ID = 1,
    FUTURE_STATE = 2,
    FUTURE_REVISION = 3,
    FUTURE_RESULT = 4,
    FUTURE_ERROR = 5,
    FUTURE_TASK = 6,
    FUTURE_PENDING_REASON = 7,
    FUTURE_SUBMIT_TIME = 8,
    FUTURE_START_TIME = 9,
    FUTURE_END_TIME = 10,
    FUTURE_ATTEMPTS = 11,
    FUTURE_LABELS = 12,
    FUTURE_GROUP = 13,
    FUTURE_PROGRESS = 14,
    FUTURE_OMITTED = 15,
    FUTURE_NAMESPACE = 16,
    FUTURE_EFFECTIVE_OPTIONS = 17,
    FUTURE_SCHEDULE = 18,
    FUTURE_CANCEL_REQUESTED = 19,
    FUTURE_EXPIRE_TIME = 20,
    FUTURE_SUBMITTER = 21,
    FUTURE_TRACEPARENT = 22,
    FUTURE_RETRY_OF = 23,
    FUTURE_RETRIED_BY = 24,
    FUTURE_ARGUMENT_SIZE = 25,
    FUTURE_TAG = 26,
    FUTURE_OUTPUT_SIZE = 27,
    FUTURE_LOG_SIZE = 28,
};

/* Room for every field of bounded size: ID, times, group, tag, submitter, reasons; for what RESULT has of them; and what
 * is kept of the message of an error where there is little room. */
enum { FIXED_BYTES = 3072, RESULT_BYTES = 128, ATTEMPT_BYTES = 512, SHORT_MESSAGE_BYTES = 1024 };
enum { PROGRESS_BYTES = 64 }; /* beside its message */
enum { SHORT_ERROR_BYTES = 128 + 2 * LIMIT_KEY_BYTES + SHORT_MESSAGE_BYTES };

static size_t error_size(const struct future_error *error)
{
    return error ? 128 + error->type.len + error->message.len + error->traceback.len +
                           error->function_reason.len + error->details.len
                 : 0;
}

static size_t retry_size(const struct timing *t)
{
    size_t n = 0;

    for (uint32_t i = 0; t && t->retry && i < t->retry->n_types; i++)
        n += t->retry->types[i].len + 4;
    return n;
}

static size_t rare_size(const struct future *f)
{
    return 2 * (LIMIT_KEY_BYTES + 4 + ID_TEXT_LEN + 3) +
           (UNLIKELY(f->rare->told) ? PROGRESS_BYTES + TOLD_MESSAGE_BYTES : 0);
}

size_t convert_size(const struct future *f, enum view view)
{
    size_t n = RESULT_BYTES + LIMIT_CONTENT_TYPE_BYTES;

    if (f->outcome) {
        n += error_size(f->outcome->error);
        if (f->outcome->data && (view == VIEW_RESULT || view == VIEW_FULL))
            n += f->outcome->data->len;
    }
    if (view == VIEW_RESULT)
        return n;
    n += FIXED_BYTES + f->task->len + future_key(f).len + (f->rare ? rare_size(f) : 0);
    if (view == VIEW_BASIC)
        n -= f->argument_field_bytes;
    /* the future's own labels: at most as long as the task's unless they were changed */
    n += f->labels ? f->labels->bytes + 16 * (size_t)f->labels->n : f->task->len - f->argument_field_bytes;
    n += retry_size(future_timing(f));
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n += ATTEMPT_BYTES + error_size(a->error);
    return n;
}

size_t convert_view_size(const struct future *f, struct convert_view v)
{
    if (!v.omitted || v.view == VIEW_BASIC)
        return convert_size(f, v.view);
    if (v.view == VIEW_FULL)
        return convert_size(f, VIEW_FULL) - f->argument_field_bytes;
    return RESULT_BYTES + LIMIT_CONTENT_TYPE_BYTES +
           (f->outcome && f->outcome->error ? SHORT_ERROR_BYTES : 0);
}

struct convert_view convert_fit(const struct future *f, enum view view, size_t room)
{
    const struct convert_view less[] = {{VIEW_FULL, 1}, {VIEW_BASIC, 1}, {VIEW_RESULT, 1}};

    if (convert_size(f, view) <= room)
        return (struct convert_view){view, 0};
    for (size_t i = view == VIEW_FULL ? 0 : 1; i < ARRAY_LEN(less); i++)
        if (convert_view_size(f, less[i]) <= room)
            return less[i];
    return less[ARRAY_LEN(less) - 1];
}

void convert_error(struct writer *w, uint32_t number, const struct future_error *error)
{
    struct writer_mark m = writer_begin(w, number, error_size(error));

    writer_uint(w, 1, (uint64_t)error->code);
    writer_text(w, 2, future_reason_text(error->reason));
    writer_bytes(w, 3, error->type);
    writer_bytes(w, 4, error->message);
    writer_bytes(w, 5, error->traceback);
    writer_bytes(w, 6, error->function_reason);
    writer_uint(w, 7, error->retryable != 0);
    writer_raw(w, error->details);
    writer_end(w, m);
}

static struct span cut(struct span text, size_t max)
{
    return (struct span){text.p, utf8_cut(text.p, text.len, max)};
}

/* What of an error always has room. */
static void put_short_error(struct writer *w, const struct future_error *error)
{
    struct future_error less = *error;

    less.type = cut(error->type, LIMIT_KEY_BYTES);
    less.function_reason = cut(error->function_reason, LIMIT_KEY_BYTES);
    less.message = cut(error->message, SHORT_MESSAGE_BYTES);
    less.traceback = less.details = (struct span){0};
    convert_error(w, FUTURE_ERROR, &less);
}

static void put_result(struct writer *w, const struct outcome *o, int with_data)
{
    size_t n = with_data ? o->data->len : 0;
    struct writer_mark m = writer_begin(w, FUTURE_RESULT, n + 16);

    if (with_data)
        writer_bytes_always(w, 1, SPAN_OF_BYTES(o->data));
    writer_bytes(w, 3, SPAN_OF_BYTES(o->content_type));
    writer_uint(w, 4, o->data->len);
    writer_end(w, m);
}

static void put_task(struct writer *w, const struct future *f, int with_argument)
{
    struct writer_mark m;

    if (with_argument || !f->argument_field_bytes) {
        writer_bytes_always(w, FUTURE_TASK, SPAN_OF_BYTES(f->task));
        return;
    }
    m = writer_begin(w, FUTURE_TASK, f->task->len - f->argument_field_bytes);
    writer_raw(w, (struct span){f->task->data, f->argument_at});
    writer_raw(w, (struct span){f->task->data + f->argument_at + f->argument_field_bytes,
                                f->task->len - f->argument_at - f->argument_field_bytes});
    writer_end(w, m);
}

static void put_label(struct writer *w, struct span key, struct span value)
{
    struct writer_mark m = writer_begin(w, FUTURE_LABELS, key.len + value.len + 4);

    writer_bytes(w, 1, key);
    writer_bytes(w, 2, value);
    writer_end(w, m);
}

static void put_labels(struct writer *w, const struct future *f)
{
    struct wire_reader r = wire_reader(SPAN_OF_BYTES(f->task));
    struct span key, value;

    if (f->labels) {
        for (uint32_t i = 0; i < f->labels->n; i++)
            put_label(w, f->labels->at[i].key, f->labels->at[i].value);
        return;
    }
    while (task_next_label(&r, TASK_LABELS, &key, &value) > 0)
        put_label(w, key, value);
}

static void put_usage(struct writer *w, uint32_t number, const struct usage *u)
{
    struct writer_mark m = writer_begin(w, number, 48);

    if (u->user_cpu_ns >= 0)
        writer_duration(w, 1, u->user_cpu_ns);
    if (u->system_cpu_ns >= 0)
        writer_duration(w, 2, u->system_cpu_ns);
    if (u->wall_ns >= 0)
        writer_duration(w, 3, u->wall_ns);
    if (u->max_rss_bytes >= 0)
        writer_uint_always(w, 4, (uint64_t)u->max_rss_bytes);
    writer_end(w, m);
}

static void put_attempt(struct writer *w, const struct attempt *a)
{
    struct writer_mark m = writer_begin(w, FUTURE_ATTEMPTS, 128 + error_size(a->error));

    writer_uint(w, 1, a->number);
    writer_bytes(w, 2, SPAN_OF_BYTES(a->worker));
    writer_timestamp(w, 3, a->start_time);
    writer_timestamp(w, 4, a->end_time);
    if (a->error)
        convert_error(w, 5, a->error);
    if (a->has_exit_code)
        writer_int_always(w, 6, a->exit_code);
    if (a->has_signal)
        writer_int_always(w, 7, a->signal);
    if (a->end_time)
        put_usage(w, 8, &a->usage);
    writer_end(w, m);
}

/* Oldest first, as the contract lists them; the engine links newest first. Attempts are few. */
static void put_attempts(struct writer *w, const struct future *f)
{
    const struct attempt *done = NULL;

    while (done != f->attempts) {
        const struct attempt *a = f->attempts;

        while (a->next != done)
            a = a->next;
        put_attempt(w, a);
        done = a;
    }
}

/* What is given once and for all is where it was given. */
static void put_keys(struct writer *w, const struct future *f)
{
    struct task_options options = {0};
    struct task task = {0};
    const char *field;

    if (codec_read(&task_table, SPAN_OF_BYTES(f->task), &task, &field) != 0 || !task.options.is_set ||
        codec_read(&task_options_table, task.options.data, &options, &field) != 0)
        return;
    writer_bytes(w, 15, options.concurrency_key);
    writer_bytes(w, 16, options.fairness_key);
}

void convert_retry(struct writer *w, uint32_t number, const struct retry_policy *p)
{
    struct writer_mark m = writer_begin(w, number, 64);

    writer_uint(w, 1, p ? p->max_attempts : 1);
    if (p) {
        writer_duration(w, 2, p->initial_backoff_ns);
        writer_double(w, 3, p->multiplier);
        writer_duration(w, 4, p->max_backoff_ns);
        writer_double_always(w, 5, p->jitter);
        for (uint32_t i = 0; i < p->n_types; i++)
            writer_bytes_always(w, 6, p->types[i]);
    }
    writer_end(w, m);
}

static void put_options(struct writer *w, const struct future *f, const struct timing *t)
{
    int64_t retention_ns = f->rare ? f->rare->retention_ns : -1;
    struct writer_mark m = writer_begin(w, FUTURE_EFFECTIVE_OPTIONS, 64);

    writer_uint(w, 1, f->durability);
    writer_sint(w, 2, f->priority);
    if (t) {
        writer_timestamp(w, 4, t->not_before);
        writer_timestamp(w, 5, t->deadline);
        if (t->attempt_timeout_ns)
            writer_duration(w, 6, t->attempt_timeout_ns);
    }
    convert_retry(w, 7, t ? t->retry : NULL);
    writer_uint(w, 8, f->on_lost);
    if (f->rare && f->rare->depend) {
        writer_uint(w, 10, f->rare->depend->policy);
        writer_uint(w, 11, f->rare->depend->passes_results);
    }
    writer_bytes(w, 12, future_key(f));
    if (retention_ns >= 0)
        writer_duration(w, 14, retention_ns);
    if (f->rare)
        put_keys(w, f);
    writer_end(w, m);
}

static void put_schedule(struct writer *w, const struct future *f, const struct timing *t)
{
    int64_t retention_ns = f->rare ? f->rare->retention_ns : -1;
    struct writer_mark m = writer_begin(w, FUTURE_SCHEDULE, 32);

    writer_sint(w, 1, f->priority);
    if (t) {
        writer_timestamp(w, 2, t->not_before);
        writer_timestamp(w, 3, t->deadline);
    }
    if (retention_ns >= 0)
        writer_duration(w, 4, retention_ns);
    if (f->place == PLACE_DELAYED || f->place == PLACE_BACKOFF)
        writer_timestamp(w, 5, f->place == PLACE_DELAYED ? t->not_before : t->next_try);
    writer_end(w, m);
}

/* @id NULL: there is none. */
static void put_id(struct writer *w, uint32_t number, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];

    if (!id)
        return;
    id_format(id, text);
    writer_bytes(w, number, (struct span){(const uint8_t *)text, ID_TEXT_LEN});
}

void convert_progress(struct writer *w, uint32_t number, const struct told_progress *p)
{
    struct writer_mark m = writer_begin(w, number, PROGRESS_BYTES + TOLD_MESSAGE_BYTES);

    writer_uint(w, 1, p->completed);
    writer_uint(w, 2, p->total);
    writer_bytes(w, 3, SPAN_OF_BYTES(p->message));
    writer_end(w, m);
}

static void put_told(struct writer *w, const struct future *f)
{
    const struct told *t = f->rare->told;

    if (told_progress(f))
        convert_progress(w, FUTURE_PROGRESS, told_progress(f));
    writer_uint(w, FUTURE_OUTPUT_SIZE, t->n_bytes[TOLD_OUTPUT]);
    writer_uint(w, FUTURE_LOG_SIZE, t->n_bytes[TOLD_LOG]);
}

static void put_rare(struct writer *w, const struct future *f)
{
    const struct future_rare *rare = f->rare;
    const struct cancel_request *c = rare->cancel_requested;

    if (c) {
        struct writer_mark m = writer_begin(w, FUTURE_CANCEL_REQUESTED, 64);

        writer_timestamp(w, 1, c->time);
        writer_bytes(w, 2, SPAN_OF_BYTES(c->principal));
        writer_bytes(w, 3, SPAN_OF_BYTES(c->reason));
        if (f->attempts) /* there was somebody to tell */
            writer_duration(w, 4, c->grace_ns);
        writer_end(w, m);
    }
    writer_bytes(w, FUTURE_TRACEPARENT, SPAN_OF_BYTES(rare->traceparent));
    writer_bytes(w, FUTURE_TAG, SPAN_OF_BYTES(rare->tag));
    put_id(w, FUTURE_RETRY_OF, future_retry_of(f));
    put_id(w, FUTURE_RETRIED_BY, future_retried_by(f));
    if (UNLIKELY(rare->told))
        put_told(w, f);
}

static void put_submitter(struct writer *w, const struct future *f)
{
    struct writer_mark m = writer_begin(w, FUTURE_SUBMITTER, 64);

    writer_bytes(w, 1, future_principal(f));
    writer_bytes(w, 2, SPAN_OF_BYTES(f->peer));
    writer_end(w, m);
}

static wall_ns_t first_start(const struct future *f)
{
    const struct attempt *a = f->attempts;

    while (a && a->next)
        a = a->next;
    return a ? a->start_time : 0;
}

static void put_outcome(struct writer *w, const struct future *f, struct convert_view v)
{
    int is_short = v.view == VIEW_RESULT && v.omitted;

    if (f->outcome->error && is_short)
        put_short_error(w, f->outcome->error);
    else if (f->outcome->error)
        convert_error(w, FUTURE_ERROR, f->outcome->error);
    else
        put_result(w, f->outcome, !is_short && (v.view == VIEW_RESULT || v.view == VIEW_FULL));
}

void convert_future(struct writer *w, const struct future *f, struct convert_view v)
{
    int with_argument = v.view == VIEW_TASK || (v.view == VIEW_FULL && !v.omitted);

    put_id(w, FUTURE_ID, &f->id);
    writer_uint(w, FUTURE_STATE, f->state);
    writer_uint(w, FUTURE_REVISION, f->revision);
    if (f->outcome)
        put_outcome(w, f, v);
    writer_uint(w, FUTURE_OMITTED, v.omitted != 0);
    if (v.view == VIEW_RESULT)
        return;
    put_task(w, f, with_argument);
    writer_uint(w, FUTURE_PENDING_REASON, future_pending_reason(f));
    writer_timestamp(w, FUTURE_SUBMIT_TIME, f->submit_time);
    writer_timestamp(w, FUTURE_START_TIME, first_start(f));
    writer_timestamp(w, FUTURE_END_TIME, future_end_time(f));
    put_attempts(w, f);
    put_labels(w, f);
    writer_bytes(w, FUTURE_GROUP, future_group(f));
    writer_bytes(w, FUTURE_NAMESPACE, future_namespace(f));
    put_options(w, f, future_timing(f));
    put_schedule(w, f, future_timing(f));
    writer_timestamp(w, FUTURE_EXPIRE_TIME, future_expire_time(f));
    put_submitter(w, f);
    writer_uint(w, FUTURE_ARGUMENT_SIZE, f->argument_bytes);
    if (f->rare)
        put_rare(w, f);
}

void convert_future_field(struct writer *w, uint32_t number, const struct future *f, struct convert_view view)
{
    struct writer_mark m = writer_begin(w, number, convert_view_size(f, view));

    convert_future(w, f, view);
    writer_end(w, m);
}

struct grpc_status *convert_not_found(struct grpc_status *st, const struct id *id)
{
    char text[ID_TEXT_LEN + 1];

    id_format(id, text);
    status_set(st, GRPC_NOT_FOUND, "NO_SUCH_FUTURE",
               "there is no future %s: it never existed, was deleted, or its retention has ended", text);
    return status_set_resource(st, "futured.v1.Future", text);
}

struct grpc_status *convert_no_memory(struct grpc_status *st)
{
    return status_set_no_memory(st);
}

/* A limit that the operator has set is reached. */
static struct grpc_status *full(struct grpc_status *st, const char *reason, const char *setting,
                                const char *text)
{
    status_set_quota(status_set(st, GRPC_RESOURCE_EXHAUSTED, reason, "%s", text), setting, text);
    return status_set_retry(st, 1000);
}

static void to_text(char text[static STATUS_TEXT_MAX_BYTES], struct span s)
{
    snprintf(text, STATUS_TEXT_MAX_BYTES, "%.*s", (int)MIN(s.len, (size_t)STATUS_TEXT_MAX_BYTES - 1),
             s.len ? (const char *)s.p : "");
}

struct grpc_status *convert_precondition(struct grpc_status *st, const char *type, struct span subject)
{
    char text[STATUS_TEXT_MAX_BYTES];

    to_text(text, subject);
    return status_set_precondition(st, type, text);
}

struct grpc_status *convert_resource(struct grpc_status *st, const char *type, struct span name)
{
    char text[STATUS_TEXT_MAX_BYTES];

    to_text(text, name);
    return status_set_resource(st, type, text);
}

struct grpc_status *convert_engine_error(struct grpc_status *st, int error, struct span what)
{
    int n = (int)MIN(what.len, (size_t)255);
    const char *text = what.len ? (const char *)what.p : "";

    switch (error) {
    case ENGINE_E_NO_SUCH_FUNCTION:
        status_set(st, GRPC_FAILED_PRECONDITION, "NO_SUCH_FUNCTION",
                   "no function \"%.*s\" was ever configured, nor has a worker ever offered it", n, text);
        status_add_metadata(st, "function", "%.*s", n, text);
        return convert_precondition(st, "FUNCTION", what);
    case ENGINE_E_FULL_FUTURES:
        return full(st, "TOO_MANY_FUTURES", "limits.futures",
                    "the daemon holds as many futures as [limits] futures allows");
    case ENGINE_E_FULL_MEMORY:
        return full(st, "MEMORY_LIMIT", "limits.memory",
                    "the daemon holds as many bytes as [limits] memory allows");
    case ENGINE_E_FULL_FUNCTION:
        full(st, "FUNCTION_QUEUE_FULL", "function.max_pending",
             "as many futures of this function are pending as its max_pending allows");
        return status_add_metadata(st, "function", "%.*s", n, text);
    case ENGINE_E_NO_KEYS:
        return status_set_retry(status_set(st, GRPC_UNAVAILABLE, "STORE_STALLED",
                                           "the store is so far behind that no new ID may be given out"),
                                1000);
    case ENGINE_E_FULL_EDGES:
        return full(st, "TOO_MANY_WAITERS", "limits.waiter_edges",
                    "as many futures are being waited for as [limits] waiter_edges allows");
    case ENGINE_E_NOT_TERMINAL:
        status_set(st, GRPC_FAILED_PRECONDITION, "NOT_TERMINAL", "future %.*s has not ended; cancel it first",
                   n, text);
        return convert_precondition(st, "STATE", what);
    case ENGINE_E_NOT_FAILED:
        status_set(st, GRPC_FAILED_PRECONDITION, "NOT_FAILED",
                   "future %.*s is neither FAILED nor CANCELLED; only such a one can be retried", n, text);
        return convert_precondition(st, "STATE", what);
    case ENGINE_E_PINNED:
        status_set(st, GRPC_FAILED_PRECONDITION, "PINNED",
                   "future %.*s is being waited for or watched, or another depends on it; try again when "
                   "nobody does",
                   n, text);
        return convert_precondition(st, "PINNED", what);
    case ENGINE_E_OTHER_TASK:
        status_set(st, GRPC_ALREADY_EXISTS, "KEY_OF_ANOTHER_TASK",
                   "task.options.idempotency_key is that of the future %.*s, whose function, argument or "
                   "content "
                   "type is another",
                   n, text);
        status_add_metadata(st, "future_id", "%.*s", n, text);
        return convert_resource(st, "futured.v1.Future", what);
    case ENGINE_E_KEY_IN_USE:
        status_set(st, GRPC_ALREADY_EXISTS, "KEY_IN_USE",
                   "task.options.idempotency_key is in use by the future %.*s, and key_policy is REJECT", n,
                   text);
        status_add_metadata(st, "future_id", "%.*s", n, text);
        return convert_resource(st, "futured.v1.Future", what);
    case ENGINE_E_TERMINAL:
        status_set(st, GRPC_FAILED_PRECONDITION, "TERMINAL",
                   "future %.*s has ended; only its retention can be changed", n, text);
        return convert_precondition(st, "STATE", what);
    case ENGINE_E_TIMES:
        status_set(st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
                   "deadline: would be before the earliest start of future %.*s", n, text);
        return status_add_violation(st, "deadline", "is before not_before");
    case ENGINE_E_REVISION:
        return status_set(st, GRPC_ABORTED, "REVISION_MISMATCH",
                          "future %.*s has another revision than if_revision; read it again", n, text);
    default: return convert_no_memory(st);
    }
}
