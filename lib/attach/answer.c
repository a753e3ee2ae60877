// SPDX-License-Identifier: Apache-2.0
#include "attach/answer.h"

enum {
    FINISH_LEASE = 1,
    FINISH_RESULT,
    FINISH_ERROR,
    FINISH_USAGE,
    FINISH_EXIT_CODE,
    FINISH_SIGNAL,
    FINISH_CHUNKED,
    FINISH_FINAL
};
enum { RESULT_DATA = 1, RESULT_CONTENT_TYPE = 3, RESULT_SIZE = 4 };
enum {
    ERROR_CODE = 1,
    ERROR_REASON,
    ERROR_TYPE,
    ERROR_MESSAGE,
    ERROR_TRACEBACK,
    ERROR_FUNCTION_REASON,
    ERROR_RETRYABLE
};
enum { USAGE_USER = 1, USAGE_SYSTEM, USAGE_WALL, USAGE_MAX_RSS };
enum { PAYLOAD_LEASE = 1, PAYLOAD_OFFSET = 3, PAYLOAD_DATA = 4 };

static void put_result(struct writer *w, const struct answer *a)
{
    struct writer_mark m = writer_begin(w, FINISH_RESULT, a->is_chunked ? 64 : a->result.len + 64);

    if (!a->is_chunked)
        writer_bytes_always(w, RESULT_DATA, a->result);
    writer_bytes(w, RESULT_CONTENT_TYPE, a->result_type);
    writer_uint(w, RESULT_SIZE, a->result.len);
    writer_end(w, m);
    writer_uint(w, FINISH_CHUNKED, a->is_chunked != 0);
}

static void put_error(struct writer *w, const struct answer_failure *f)
{
    struct writer_mark m = writer_begin(w, FINISH_ERROR, 200);

    writer_uint(w, ERROR_CODE, (uint64_t)f->code);
    writer_text(w, ERROR_REASON, f->reason);
    writer_bytes(w, ERROR_TYPE, f->type);
    writer_bytes(w, ERROR_MESSAGE, f->message);
    writer_bytes(w, ERROR_TRACEBACK, f->traceback);
    writer_bytes(w, ERROR_FUNCTION_REASON, f->function_reason);
    writer_uint(w, ERROR_RETRYABLE, f->is_retryable > 0);
    writer_end(w, m);
    writer_uint(w, FINISH_FINAL, f->is_retryable < 0);
}

static void put_usage(struct writer *w, const struct answer_usage *u)
{
    struct writer_mark m = writer_begin(w, FINISH_USAGE, 40);

    if (u->user_ns >= 0)
        writer_duration(w, USAGE_USER, u->user_ns);
    if (u->system_ns >= 0)
        writer_duration(w, USAGE_SYSTEM, u->system_ns);
    if (u->wall_ns >= 0)
        writer_duration(w, USAGE_WALL, u->wall_ns);
    if (u->max_rss_bytes >= 0)
        writer_uint_always(w, USAGE_MAX_RSS, (uint64_t)u->max_rss_bytes);
    writer_end(w, m);
}

void answer_write(struct writer *w, const struct answer *a)
{
    lease_ref_write(w, FINISH_LEASE, a->lease);
    if (a->failure)
        put_error(w, a->failure);
    else
        put_result(w, a);
    put_usage(w, a->usage);
    if (a->exit_code.is_set)
        writer_int_always(w, FINISH_EXIT_CODE, (int64_t)a->exit_code.value);
    if (a->signal.is_set)
        writer_int_always(w, FINISH_SIGNAL, (int64_t)a->signal.value);
}

void answer_write_piece(struct writer *w, const struct lease_ref *lease, size_t offset, struct span data)
{
    lease_ref_write(w, PAYLOAD_LEASE, lease);
    writer_uint(w, PAYLOAD_OFFSET, offset);
    writer_bytes(w, PAYLOAD_DATA, data);
}
