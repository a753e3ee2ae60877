// SPDX-License-Identifier: Apache-2.0
#include "grpc/messages.h"

#include <errno.h>
#include <string.h>

static const struct codec_row task_options_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct task_options, durability),
        CODEC_ROW(2, CODEC_SINT, struct task_options, priority),
        CODEC_ROW(3, CODEC_DURATION, struct task_options, delay),
        CODEC_ROW(4, CODEC_TIMESTAMP, struct task_options, not_before),
        CODEC_ROW(5, CODEC_TIMESTAMP, struct task_options, deadline),
        CODEC_ROW(6, CODEC_DURATION, struct task_options, attempt_timeout),
        CODEC_ROW(7, CODEC_MESSAGE, struct task_options, retry),
        CODEC_ROW(8, CODEC_UINT, struct task_options, on_lost),
        CODEC_ROW(TASK_OPTIONS_DEPENDS_ON, CODEC_REPEATED_STRING, struct task_options, depends_on),
        CODEC_ROW(10, CODEC_UINT, struct task_options, depend_policy),
        CODEC_ROW(11, CODEC_UINT, struct task_options, pass_results),
        CODEC_ROW(12, CODEC_STRING, struct task_options, idempotency_key),
        CODEC_ROW(13, CODEC_UINT, struct task_options, key_policy),
        CODEC_ROW(14, CODEC_DURATION, struct task_options, retention),
        CODEC_ROW(15, CODEC_STRING, struct task_options, concurrency_key),
        CODEC_ROW(16, CODEC_STRING, struct task_options, fairness_key),
};
const struct codec_table task_options_table = {task_options_rows, ARRAY_LEN(task_options_rows)};

static const struct codec_row task_rows[] = {
        CODEC_ROW(TASK_FUNCTION, CODEC_STRING, struct task, function),
        CODEC_ROW(TASK_ARGUMENT, CODEC_BYTES, struct task, argument),
        CODEC_ROW(TASK_ARGUMENT_BLOB, CODEC_STRING, struct task, argument_blob),
        CODEC_ROW(TASK_CONTENT_TYPE, CODEC_STRING, struct task, content_type),
        CODEC_ROW(TASK_LABELS, CODEC_REPEATED_MESSAGE, struct task, labels),
        CODEC_ROW(TASK_OPTIONS, CODEC_MESSAGE, struct task, options),
};
const struct codec_table task_table = {task_rows, ARRAY_LEN(task_rows)};

static const struct codec_row submit_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct submit_request, task),
        CODEC_ROW(2, CODEC_STRING, struct submit_request, group),
        CODEC_ROW(3, CODEC_STRING, struct submit_request, tag),
        CODEC_ROW(4, CODEC_STRING, struct submit_request, request_id),
        CODEC_ROW(5, CODEC_UINT, struct submit_request, view),
};
const struct codec_table submit_request_table = {submit_request_rows, ARRAY_LEN(submit_request_rows)};

static const struct codec_row run_request_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct run_request, submit),
        CODEC_ROW(2, CODEC_UINT, struct run_request, cancel_on_disconnect),
        CODEC_ROW(3, CODEC_UINT, struct run_request, announce),
};
const struct codec_table run_request_table = {run_request_rows, ARRAY_LEN(run_request_rows)};

static const struct codec_row result_rows[] = {
        CODEC_ROW(1, CODEC_BYTES, struct result_message, data),
        CODEC_ROW(2, CODEC_STRING, struct result_message, blob),
        CODEC_ROW(3, CODEC_STRING, struct result_message, content_type),
        CODEC_ROW(4, CODEC_UINT, struct result_message, size_bytes),
};
const struct codec_table result_table = {result_rows, ARRAY_LEN(result_rows)};

static const struct codec_row error_rows[] = {
        CODEC_ROW(1, CODEC_INT, struct error_message, code),
        CODEC_ROW(2, CODEC_STRING, struct error_message, reason),
        CODEC_ROW(3, CODEC_STRING, struct error_message, type),
        CODEC_ROW(4, CODEC_STRING, struct error_message, message),
        CODEC_ROW(5, CODEC_STRING, struct error_message, traceback),
        CODEC_ROW(6, CODEC_STRING, struct error_message, function_reason),
        CODEC_ROW(7, CODEC_UINT, struct error_message, retryable),
        CODEC_ROW(ERROR_DETAILS, CODEC_REPEATED_MESSAGE, struct error_message, details),
};
const struct codec_table error_table = {error_rows, ARRAY_LEN(error_rows)};

static const struct codec_row usage_rows[] = {
        CODEC_ROW(1, CODEC_DURATION, struct usage_message, user_cpu),
        CODEC_ROW(2, CODEC_DURATION, struct usage_message, system_cpu),
        CODEC_ROW(3, CODEC_DURATION, struct usage_message, wall),
        CODEC_ROW(4, CODEC_NUMBER, struct usage_message, max_rss_bytes),
};
const struct codec_table usage_table = {usage_rows, ARRAY_LEN(usage_rows)};

static const struct codec_row finish_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct finish_message, lease),
        CODEC_ROW(2, CODEC_MESSAGE, struct finish_message, result),
        CODEC_ROW(3, CODEC_MESSAGE, struct finish_message, error),
        CODEC_ROW(4, CODEC_MESSAGE, struct finish_message, usage),
        CODEC_ROW(5, CODEC_NUMBER, struct finish_message, exit_code),
        CODEC_ROW(6, CODEC_NUMBER, struct finish_message, signal),
        CODEC_ROW(7, CODEC_UINT, struct finish_message, chunked),
        CODEC_ROW(8, CODEC_UINT, struct finish_message, final),
};
const struct codec_table finish_table = {finish_rows, ARRAY_LEN(finish_rows)};

static const struct codec_row assignment_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct assignment_message, lease),
        CODEC_ROW(2, CODEC_MESSAGE, struct assignment_message, task),
        CODEC_ROW(3, CODEC_STRING, struct assignment_message, id),
        CODEC_ROW(4, CODEC_UINT, struct assignment_message, attempt),
        CODEC_ROW(5, CODEC_DURATION, struct assignment_message, attempt_timeout),
        CODEC_ROW(6, CODEC_TIMESTAMP, struct assignment_message, deadline),
        CODEC_ROW(7, CODEC_REPEATED_MESSAGE, struct assignment_message, upstream),
        CODEC_ROW(8, CODEC_STRING, struct assignment_message, traceparent),
        CODEC_ROW(9, CODEC_STRING, struct assignment_message, group),
        CODEC_ROW(10, CODEC_STRING, struct assignment_message, namespace),
        CODEC_ROW(11, CODEC_MESSAGE, struct assignment_message, submitter),
        CODEC_ROW(12, CODEC_UINT, struct assignment_message, task_chunked),
};
const struct codec_table assignment_table = {assignment_rows, ARRAY_LEN(assignment_rows)};

struct label_entry {
    struct span key, value;
};

static const struct codec_row label_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct label_entry, key),
        CODEC_ROW(2, CODEC_STRING, struct label_entry, value),
};
static const struct codec_table label_table = {label_rows, ARRAY_LEN(label_rows)};

int task_next_label(struct wire_reader *r, uint32_t number, struct span *ret_key, struct span *ret_value)
{
    struct label_entry entry = {0};
    const char *field;
    struct span message;

    if (!codec_each(r, number, &message))
        return 0;
    if (codec_read(&label_table, message, &entry, &field) != 0)
        return -EINVAL;
    *ret_key = entry.key;
    *ret_value = entry.value;
    return 1;
}

struct lease_fields {
    struct codec_bytes id;
    uint64_t attempt, epoch;
};

static const struct codec_row lease_rows[] = {
        CODEC_ROW(1, CODEC_BYTES, struct lease_fields, id),
        CODEC_ROW(2, CODEC_UINT, struct lease_fields, attempt),
        CODEC_ROW(3, CODEC_UINT, struct lease_fields, epoch),
};
static const struct codec_table lease_table = {lease_rows, ARRAY_LEN(lease_rows)};

int lease_ref_read(struct span message, struct lease_ref *ret)
{
    struct lease_fields fields = {0};
    const char *field;

    if (codec_read(&lease_table, message, &fields, &field) != 0 || fields.id.data.len != ID_BYTES ||
        fields.attempt > UINT32_MAX)
        return CODEC_E_MALFORMED;
    memcpy(ret->id.b, fields.id.data.p, ID_BYTES);
    ret->attempt = (uint32_t)fields.attempt;
    ret->epoch = fields.epoch;
    return 0;
}

void lease_ref_write(struct writer *w, uint32_t number, const struct lease_ref *lease)
{
    struct writer_mark m = writer_begin(w, number, 32);

    writer_bytes(w, 1, (struct span){lease->id.b, ID_BYTES});
    writer_uint(w, 2, lease->attempt);
    writer_uint(w, 3, lease->epoch);
    writer_end(w, m);
}

static const struct codec_row payload_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct payload_message, lease),
        CODEC_ROW(2, CODEC_UINT, struct payload_message, part),
        CODEC_ROW(3, CODEC_UINT, struct payload_message, offset),
        CODEC_ROW(4, CODEC_BYTES, struct payload_message, data),
};
const struct codec_table payload_table = {payload_rows, ARRAY_LEN(payload_rows)};
