// SPDX-License-Identifier: Apache-2.0
/*
 * Retry: the task of a future that has failed or was cancelled once more, as a new future; retry_make is for RetryMany as well.
 *
 * The task is that of the old one, byte for byte, or with the options of the request in place of its own. What that names may be
 * where only the store has it, and so may the retry that there is already: each is read at most once, and what is not there then
 * is gone.
 */
#include "base/mem.h"
#include "service/depends.h"
#include "service/internal.h"
#include "service/options.h"

/* What has been read for a call. */
enum { HAS_UPSTREAMS = 1, HAS_RETRY = 2 };

/* ---- making one */

/* Whether @options make sense; @may_be_late: of what may have been done before. */
static int check(const struct futures *s, const struct codec_bytes *options, int may_be_late,
                 struct grpc_status *st)
{
    struct engine_submit in = {0}; /* of no function: its defaults are nobody's fault */
    struct schedule_room room;

    if (!options->is_set)
        return 0;
    if (options_read(s, options->data, OPTIONS_OF_RETRY, &room, &in, st))
        return REQUEST_E_BAD;
    return may_be_late ? 0 : schedule_check(&in, OPTIONS_OF_RETRY, st);
}

int retry_check(const struct futures *s, const struct codec_bytes *options, struct grpc_status *st)
{
    return check(s, options, 0, st);
}

/* The task of @of, @task being what it says, with other options. */
static int change_task(const struct futures *s, const struct future *of, const struct task *task,
                       struct span options, struct engine_submit *in, struct grpc_status *st)
{
    struct span raw = SPAN_OF_BYTES(of->task), old = task->options.field;
    size_t at = task->options.is_set ? (size_t)(old.p - raw.p) : raw.len;
    struct buf bytes = BUF_INIT;
    struct writer w = writer_to(&bytes);

    writer_raw(&w, (struct span){raw.p, at});
    writer_raw(&w, (struct span){raw.p + at + old.len, raw.len - at - old.len});
    writer_bytes_always(&w, TASK_OPTIONS, options);
    if (in->argument_at > at)
        in->argument_at -= (uint32_t)old.len;
    in->task = w.failed ? NULL : bytes_dup(buf_head(&bytes), buf_len(&bytes));
    buf_deinit(&bytes);
    if (!in->task) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    if (in->task->len > s->max_message_bytes)
        return request_bad_field(st, "options",
                                 "with them the task would have %u bytes; at most %zu are allowed",
                                 in->task->len, s->max_message_bytes);
    return 0;
}

static int make_task(const struct futures *s, const struct future *of, const struct task *task,
                     const struct codec_bytes *options, struct engine_submit *in, struct grpc_status *st)
{
    in->argument_at = of->argument_at;
    in->argument_field_bytes = of->argument_field_bytes;
    in->argument_bytes = of->argument_bytes;
    if (options->is_set)
        return change_task(s, of, task, options->data, in, st);
    in->task = bytes_ref(of->task);
    return 0;
}

int retry_make(struct futures *s, const struct caller *caller, struct future *of,
               const struct codec_bytes *options, struct span traceparent, int is_loaded,
               struct accepted *ret, struct grpc_status *st)
{
    enum options_owner owner = options->is_set ? OPTIONS_OF_RETRY : OPTIONS_OF_RETRIED;
    struct engine_submit in = {.scope = caller->scope,
                               .peer = caller->address,
                               .traceparent = traceparent,
                               .function = future_function_name(of)};
    struct schedule_room room; /* is filled where it is asked for */
    struct task task = {0};
    const char *field;
    struct span raw;
    int r;

    *ret = (struct accepted){0};
    if (codec_read(&task_table, SPAN_OF_BYTES(of->task), &task, &field) != 0) {
        preload_status(st, FUTURES_E_DATA_LOSS, &of->id);
        return REQUEST_E_BAD;
    }
    if (UNLIKELY(!identity_may_submit(caller->who, in.function)))
        return request_forbidden_function(caller->who, in.function, st);
    raw = options->is_set ? options->data : task.options.data;
    if (options_read(s, raw, owner, &room, &in, st) || schedule_check(&in, owner, st))
        return REQUEST_E_BAD;
    in.durability = (enum durability)of->durability;
    if (in.n_upstreams && s->has_store && !is_loaded && depends_are_missing(s, raw)) {
        ret->wants = (struct preload_wants){.ids = raw, .field = TASK_OPTIONS_DEPENDS_ON, .id = &of->id};
        return SUBMIT_E_MISSING;
    }
    if (submit_may_accept(s, caller->who, &in, st))
        return REQUEST_E_BAD;
    r = in.n_upstreams ? depends_find(s, raw, owner, &in, st) : 0;
    ret->is_unknown = r == DEPENDS_E_UNKNOWN;
    if (r || make_task(s, of, &task, options, &in, st)) {
        bytes_unref(in.task);
        return REQUEST_E_BAD;
    }
    r = engine_retry(s->engine, of, &in, &ret->future);
    bytes_unref(in.task);
    if (r)
        convert_engine_error(st, r, in.function);
    return r ? REQUEST_E_BAD : 0;
}

/* ---- Retry */

static void retry(struct grpc_call *call, struct span message, unsigned has);

static void on_upstreams(struct grpc_call *call, struct span message)
{
    retry(call, message, HAS_UPSTREAMS);
}

static void on_retry_loaded(struct grpc_call *call, struct span message)
{
    retry(call, message, HAS_RETRY);
}

/* The retry @by of @f is the answer, where it is still there. */
static void answer_retried(struct grpc_call *call, struct span message, const struct future *f,
                           const struct id *by, unsigned has)
{
    const struct futures *s = futures_of(call);
    struct future *other = engine_find(s->engine, f->scope, by);
    char of_text[ID_TEXT_LEN + 1], by_text[ID_TEXT_LEN + 1];
    struct grpc_status st;

    if (other) {
        futures_reply(call, other, VIEW_BASIC);
        return;
    }
    if (!(has & HAS_RETRY) && preload_is_missing(s, by)) {
        preload_all(
                call, message,
                &(struct preload_wants){.ids = message, .field = RETRY_ID, .id = by, .run = on_retry_loaded});
        return;
    }
    id_format(&f->id, of_text);
    id_format(by, by_text);
    status_set(&st, GRPC_FAILED_PRECONDITION, "RETRY_GONE",
               "the future %s was retried as %s, which was deleted or whose retention has ended; a future is "
               "retried "
               "once: submit its task",
               of_text, by_text);
    status_add_metadata(&st, "future_id", "%s", by_text);
    status_set_precondition(&st, "RETRIED", of_text);
    if (futures_show(call, NULL) == 0)
        grpc_call_fail(call, &st);
}

static void retry(struct grpc_call *call, struct span message, unsigned has)
{
    const struct bytes *traceparent = grpc_call_user(call);
    struct retry_request request = {0};
    struct futures *s = futures_of(call);
    struct grpc_status st;
    struct accepted a;
    struct future *f;
    int r;

    if (request_read(&retry_request_table, message, &request, &st) || check(s, &request.options, 1, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    f = futures_find(call, request.id);
    if (!f)
        return;
    if (f->state != FUTURE_FAILED && f->state != FUTURE_CANCELLED) {
        grpc_call_fail(call, convert_engine_error(&st, ENGINE_E_NOT_FAILED, request.id));
        return;
    }
    if (future_retried_by(f)) {
        answer_retried(call, message, f, future_retried_by(f), has);
        return;
    }
    r = retry_make(s, caller_of(&s->callers, call), f, &request.options, SPAN_OF_BYTES(traceparent),
                   has & HAS_UPSTREAMS, &a, &st);
    if (r == SUBMIT_E_MISSING) {
        a.wants.run = on_upstreams;
        preload_all(call, message, &a.wants);
    } else if (r) {
        submit_fail(call, &a, &st);
    } else {
        futures_reply(call, a.future, VIEW_BASIC);
    }
}

static void do_retry(struct grpc_call *call, struct span message)
{
    retry(call, message, 0);
}

static void on_start(struct grpc_call *call)
{
    struct bytes *traceparent;

    if (submit_traceparent(call, &traceparent) < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    grpc_call_set_user(call, traceparent);
}

static void on_message(struct grpc_call *call, struct span message)
{
    preload(call, message, message, RETRY_ID, do_retry);
}

static void on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
    bytes_unref(grpc_call_user(call));
}

const struct grpc_handler retry_handler = {
        .on_start = on_start, .on_message = on_message, .on_done = on_done};
