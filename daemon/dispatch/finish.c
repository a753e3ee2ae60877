// SPDX-License-Identifier: Apache-2.0
#include "dispatch/finish.h"

#include "base/utf8.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <stdio.h>

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

/* Result or error of @m into @ret. */
static int read_outcome(const struct finish_message *m, const struct buf *ahead, size_t limit,
                        struct finish *ret)
{
    struct result_message result = {0};
    const char *field;

    if (m->error.is_set)
        return read_error(m->error.data, m->final != 0, &ret->error);
    if (codec_read(&result_table, m->result.data, &result, &field) != 0)
        return -EBADMSG;
    if (m->chunked) {
        if (!ahead || result.size_bytes != buf_len(ahead))
            return -EBADMSG;
        ret->data = bytes_dup(buf_head(ahead), buf_len(ahead));
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

int finish_read(const struct finish_message *m, const struct buf *ahead, size_t max_result_bytes,
                wall_ns_t wall, struct finish *ret)
{
    read_usage(m, &ret->usage);
    if (ret->usage.wall_ns > 0 && ret->usage.wall_ns < wall)
        ret->start_time = wall - ret->usage.wall_ns;
    if (m->exit_code.is_set) {
        ret->has_exit_code = 1;
        ret->exit_code = (int32_t)m->exit_code.value;
    }
    if (m->signal.is_set) {
        ret->has_signal = 1;
        ret->signal = (int32_t)m->signal.value;
    }
    return read_outcome(m, ahead, max_result_bytes, ret);
}

void finish_drop(struct finish *finish)
{
    bytes_unref(finish->data);
    bytes_unref(finish->content_type);
    future_error_unref(finish->error);
}
