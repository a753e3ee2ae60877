// SPDX-License-Identifier: Apache-2.0
#include "worker/attempt.h"

#include "base/text.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

enum { MESSAGE_MAX_BYTES = 1024 }; /* of a text of ours */

int attempt_init(struct futured_call *c, const char *guard_program)
{
    int r;

    memset(c, 0, sizeof *c);
    arena_init(&c->texts, ATTEMPT_ARENA_BYTES);
    guard_init(&c->guard, guard_program);
    c->cancel_fd = sandbox_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    r = telling_init(&c->telling);
    return c->cancel_fd < 0 ? c->cancel_fd : r;
}

void attempt_deinit(struct futured_call *c)
{
    arena_deinit(&c->texts);
    buf_deinit(&c->result);
    err_close(&c->cancel_fd);
    telling_deinit(&c->telling);
    guard_deinit(&c->guard);
}

int attempt_begin(struct futured_call *c, const struct lease_ref *lease, struct span task_bytes,
                  struct span group, struct span traceparent, size_t max_result_bytes)
{
    const char *field;

    c->lease = *lease;
    c->function = "";
    c->task = (struct task){0};
    c->task_bytes = task_bytes;
    c->group = group;
    c->traceparent = traceparent;
    c->max_result_bytes = max_result_bytes;
    c->has_failed = 0;
    c->exit_code = c->signal = (struct codec_number){0};
    c->usage = (struct answer_usage){-1, -1, -1, -1};
    c->id_text[0] = '\0';
    if (LIKELY(codec_read(&task_table, task_bytes, &c->task, &field) == 0))
        return 0;
    attempt_fail(c, "", GRPC_INTERNAL, "", "the task is malformed at %s", field);
    return ATTEMPT_E_MALFORMED;
}

void attempt_end(struct futured_call *c)
{
    arena_deinit(&c->texts);
    c->content_type_text = c->group_text = c->traceparent_text = NULL;
    c->upstreams = NULL;
    c->n_result = 0;
    c->result_type = (struct span){0};
    buf_clear(&c->result);
    buf_shrink(&c->result, ATTEMPT_KEEP_BYTES);
    telling_end(&c->telling);
    if (UNLIKELY(attempt_is_cancelled(c))) {
        eventfd_t n;

        atomic_store_explicit(&c->is_cancelled, 0, memory_order_relaxed);
        (void)eventfd_read(c->cancel_fd, &n);
    }
}

void attempt_cancel(struct futured_call *c, int64_t grace_ns)
{
    atomic_store_explicit(&c->grace_ns, grace_ns, memory_order_relaxed);
    atomic_store_explicit(&c->is_cancelled, 1, memory_order_release);
    (void)eventfd_write(c->cancel_fd, 1);
}

/* --- failing */

static struct span text_of(struct futured_call *c, const char *text, size_t max)
{
    struct span clean = {0}, from = text ? span_of_string(text) : (struct span){0};
    char *copy = NULL;

    if (from.len)
        clean = text_clean(&c->texts, from, max);
    if (clean.len)
        copy = arena_strndup(&c->texts, (const char *)clean.p, clean.len);
    return copy ? (struct span){(const uint8_t *)copy, clean.len} : (struct span){0};
}

int attempt_fail(struct futured_call *c, const char *reason, int code, const char *type, const char *format,
                 ...)
{
    char message[MESSAGE_MAX_BYTES];
    va_list args;

    if (c->has_failed)
        return -1;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    c->has_failed = 1;
    c->failure = (struct answer_failure){.reason = reason, .code = code, .type = span_of_string(type)};
    c->failure.message = text_of(c, message, sizeof message);
    return -1;
}

int attempt_fail_too_large(struct futured_call *c, size_t n)
{
    return attempt_fail(c, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "",
                        "the result has %zu bytes; at most %zu are allowed", n, c->max_result_bytes);
}

static int fail_no_memory(struct futured_call *c)
{
    return attempt_fail(c, "", GRPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "the worker could not allocate memory");
}

static int fail_with(struct futured_call *c, const struct futured_failure *failure)
{
    struct futured_failure f = {0};

    if (c->has_failed)
        return -1;
    memcpy(&f, failure, MIN(failure->size, sizeof f));
    c->has_failed = 1;
    c->failure = (struct answer_failure){
            .reason = "",
            .code = f.code > GRPC_OK && f.code <= GRPC_UNAUTHENTICATED ? f.code : GRPC_UNKNOWN,
            .is_retryable = (f.retryable > 0) - (f.retryable < 0),
            .type = text_of(c, f.type, ATTEMPT_NAME_MAX_BYTES),
            .message = text_of(c, f.message, ATTEMPT_TEXT_MAX_BYTES),
            .traceback = text_of(c, f.traceback, ATTEMPT_TEXT_MAX_BYTES),
            .function_reason = text_of(c, f.reason, ATTEMPT_NAME_MAX_BYTES),
    };
    return -1;
}

static int fail(struct futured_call *c, const char *type, const char *message)
{
    return fail_with(c, &(struct futured_failure){
                                .size = sizeof(struct futured_failure), .type = type, .message = message});
}

/* --- what was asked */

static const void *argument(const struct futured_call *c, size_t *ret_size)
{
    *ret_size = c->task.argument.data.len;
    return c->task.argument.data.len ? (const void *)c->task.argument.data.p : "";
}

/* A NUL-terminated copy of @from, kept in *at. */
static const char *copy_once(struct futured_call *c, const char **at, struct span from)
{
    if (!*at && from.len)
        *at = arena_strndup(&c->texts, (const char *)from.p, from.len);
    return *at ? *at : "";
}

static const char *content_type(struct futured_call *c)
{
    return copy_once(c, &c->content_type_text, c->task.content_type);
}

static const char *group(struct futured_call *c)
{
    return copy_once(c, &c->group_text, c->group);
}

static const char *traceparent(struct futured_call *c)
{
    return copy_once(c, &c->traceparent_text, c->traceparent);
}

static const char *function(struct futured_call *c)
{
    return c->function;
}

static const char *label(struct futured_call *c, const char *key)
{
    struct span wanted = span_of_string(key), k, value;
    struct wire_reader r = wire_reader(c->task_bytes);

    while (task_next_label(&r, TASK_LABELS, &k, &value) > 0)
        if (span_eq(k, wanted))
            return arena_strndup(&c->texts, value.len ? (const char *)value.p : "", value.len);
    return NULL;
}

static const char *id(struct futured_call *c)
{
    if (!c->id_text[0])
        id_format(&c->lease.id, c->id_text);
    return c->id_text;
}

static uint32_t attempt(const struct futured_call *c)
{
    return c->lease.attempt;
}

/* --- what is answered */

static size_t max_result(const struct futured_call *c)
{
    return c->max_result_bytes;
}

static void *reserve_result(struct futured_call *c, size_t size)
{
    size_t has = buf_len(&c->result);

    if (size > c->max_result_bytes) {
        attempt_fail_too_large(c, size);
        return NULL;
    }
    if (size > has || !c->result.data) {
        if (buf_reserve(&c->result, MAX(size - has, (size_t)1)) < 0) {
            fail_no_memory(c);
            return NULL;
        }
        buf_commit(&c->result, size - has);
    }
    return buf_head(&c->result);
}

static int commit_result(struct futured_call *c, size_t size)
{
    if (size > buf_len(&c->result))
        return attempt_fail(c, "", GRPC_INTERNAL, "",
                            "the function committed %zu bytes of %zu that it reserved", size,
                            buf_len(&c->result));
    c->n_result = size;
    return 0;
}

static int set_result(struct futured_call *c, const void *data, size_t size)
{
    void *room = reserve_result(c, size);

    if (!room)
        return -1;
    if (size)
        memmove(room, data, size);
    c->n_result = size;
    return 0;
}

static int set_content_type(struct futured_call *c, const char *type)
{
    size_t n = strlen(type);

    if (n > ATTEMPT_NAME_MAX_BYTES)
        return attempt_fail(c, "", GRPC_INTERNAL, "",
                            "the content type of the result has %zu bytes; at most %d are allowed", n,
                            ATTEMPT_NAME_MAX_BYTES);
    c->result_type = text_of(c, type, ATTEMPT_NAME_MAX_BYTES);
    return 0;
}

static size_t n_upstreams(const struct futured_call *c)
{
    return c->upstreams ? c->upstreams->n : 0;
}

/* NULL: no memory. */
static const char *copy(struct futured_call *c, struct span from)
{
    return from.len ? arena_strndup(&c->texts, (const char *)from.p, from.len) : "";
}

static int upstream(struct futured_call *c, size_t i, struct futured_upstream *ret)
{
    struct futured_upstream out = {.size = sizeof out};
    const struct upstream *u;

    if (i >= n_upstreams(c) || ret->size < offsetof(struct futured_upstream, id) + sizeof ret->id)
        return -1;
    u = &c->upstreams->at[i];
    out.id = copy(c, u->id);
    out.succeeded = u->is_result;
    out.data = u->data.p;
    out.data_size = u->data.len;
    out.content_type = copy(c, u->content_type);
    out.reason = copy(c, u->error.reason);
    out.type = copy(c, u->error.type);
    out.message = copy(c, u->error.message);
    out.function_reason = copy(c, u->error.function_reason);
    out.code = (int)u->error.code;
    if (!out.id || !out.content_type || !out.reason || !out.type || !out.message || !out.function_reason)
        return -1;
    out.size = MIN(ret->size, sizeof out);
    memcpy(ret, &out, out.size);
    return 0;
}

/* --- what is said before the end */

void attempt_log(struct futured_call *c, enum telling_stream stream, struct span text)
{
    (void)!telling_say(&c->telling, TELLING_LOG, stream, text);
}

static int progress(struct futured_call *c, uint64_t completed, uint64_t total, const char *message)
{
    return telling_progress(&c->telling, completed, total, text_of(c, message, TELLING_MESSAGE_BYTES)) < 0
                   ? -1
                   : 0;
}

static int output(struct futured_call *c, const void *data, size_t size)
{
    return telling_say(&c->telling, TELLING_OUTPUT, TELLING_FROM_OUTPUT, (struct span){data, size}) < 0 ? -1
                                                                                                        : 0;
}

static int log_text(struct futured_call *c, const char *text)
{
    struct span s = span_of_string(text);
    int r = telling_say(&c->telling, TELLING_LOG, TELLING_FROM_LOG, s);

    if (r == 0 && s.len && s.p[s.len - 1] != '\n')
        r = telling_say(&c->telling, TELLING_LOG, TELLING_FROM_LOG, span_of_string("\n"));
    return r < 0 ? -1 : 0;
}

const struct futured_host attempt_host = {
        .size = sizeof(struct futured_host),
        .argument = argument,
        .content_type = content_type,
        .function = function,
        .label = label,
        .id = id,
        .attempt = attempt,
        .group = group,
        .traceparent = traceparent,
        .cancelled = attempt_is_cancelled,
        .max_result = max_result,
        .set_result = set_result,
        .reserve_result = reserve_result,
        .commit_result = commit_result,
        .set_content_type = set_content_type,
        .fail = fail,
        .fail_with = fail_with,
        .n_upstreams = n_upstreams,
        .upstream = upstream,
        .progress = progress,
        .output = output,
        .log = log_text,
};
