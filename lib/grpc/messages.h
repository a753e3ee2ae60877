// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The messages of the hot paths (submit, run, assign, finish) as structs of spans, with their codec tables:
 * read by the daemon, by futured-worker and by the client library. Field meanings are in proto/futured/v1.
 * Everything is borrowed from the bytes that were read.
 */
#include "base/id.h"
#include "grpc/codec.h"
#include "grpc/writer.h"

/* Field numbers that bytes are spliced under. */
enum {
    TASK_FUNCTION = 1,
    TASK_ARGUMENT = 2,
    TASK_ARGUMENT_BLOB = 3,
    TASK_CONTENT_TYPE = 4,
    TASK_LABELS = 5,
    TASK_OPTIONS = 6,
};

enum { TASK_OPTIONS_DEPENDS_ON = 9 };

struct task_options {
    uint64_t durability, on_lost, depend_policy, pass_results, key_policy;
    int64_t priority;
    struct codec_time delay, not_before, deadline, attempt_timeout, retention;
    struct codec_bytes retry;
    uint32_t depends_on;
    struct span idempotency_key, concurrency_key, fairness_key;
};
extern const struct codec_table task_options_table;

struct task {
    struct span function, content_type, argument_blob;
    struct codec_bytes argument, options;
    uint32_t labels;
};
extern const struct codec_table task_table;

/* task_next_label: the next label of an encoded Task (or of any message whose labels are field @number).
 *   Return: 1 (*ret_key, *ret_value), 0 (no more), < 0 (an entry is malformed or not UTF-8). */
int task_next_label(struct wire_reader *r, uint32_t number, struct span *ret_key, struct span *ret_value);

struct submit_request {
    struct codec_bytes task;
    struct span group, tag, request_id;
    uint64_t view;
};
extern const struct codec_table submit_request_table;

struct run_request {
    struct codec_bytes submit;
    uint64_t cancel_on_disconnect, announce;
};
extern const struct codec_table run_request_table;

/* A lease on the wire: {id: 16 bytes, attempt, epoch}. */
struct lease_ref {
    struct id id;
    uint32_t attempt;
    uint64_t epoch;
};
/* lease_ref_read: 0; CODEC_E_MALFORMED. lease_ref_write: as field @number. */
MUST_CHECK int lease_ref_read(struct span message, struct lease_ref *ret);
void lease_ref_write(struct writer *w, uint32_t number, const struct lease_ref *lease);

struct result_message {
    struct codec_bytes data;
    struct span blob, content_type;
    uint64_t size_bytes;
};
extern const struct codec_table result_table;

struct error_message {
    int64_t code;
    struct span reason, type, message, traceback, function_reason;
    uint64_t retryable;
    uint32_t details;
};
extern const struct codec_table error_table;
enum { ERROR_DETAILS = 8 };

struct usage_message {
    struct codec_time user_cpu, system_cpu, wall;
    struct codec_number max_rss_bytes;
};
extern const struct codec_table usage_table;

struct finish_message {
    struct codec_bytes lease, result, error, usage;
    struct codec_number exit_code, signal;
    uint64_t chunked, final;
};
extern const struct codec_table finish_table;

struct assignment_message {
    struct codec_bytes lease, task, submitter;
    struct span id, traceparent, group, namespace;
    uint64_t attempt, task_chunked;
    struct codec_time attempt_timeout, deadline;
    uint32_t upstream;
};
extern const struct codec_table assignment_table;

/* A piece of a payload that is too large for one message; the same in both directions. */
struct payload_message {
    struct codec_bytes lease, data;
    uint64_t part, offset;
};
extern const struct codec_table payload_table;
