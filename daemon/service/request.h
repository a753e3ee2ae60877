// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The requests of futured.v1.Futures as structs of spans, with their codec tables (the hot ones are in
 * grpc/messages.h). Everything is borrowed from the request's bytes.
 */
#include "grpc/messages.h"
#include "grpc/status.h"

enum view { VIEW_DEFAULT = 0, VIEW_RESULT = 1, VIEW_BASIC = 2, VIEW_TASK = 3, VIEW_FULL = 4 };

struct selector {
    uint32_t ids;
    struct span group, filter;
};
enum { SELECTOR_IDS = 1 };

struct get_request {
    struct span id, idempotency_key;
    uint64_t view;
};

enum return_when {
    RETURN_DEFAULT = 0,
    RETURN_ALL_COMPLETED = 1,
    RETURN_FIRST_COMPLETED = 2,
    RETURN_FIRST_EXCEPTION = 3,
    RETURN_COUNT = 4,
};

struct wait_request {
    struct codec_bytes selector;
    uint64_t return_when, count, expect, view;
    struct codec_time timeout;
};

struct as_completed_request {
    uint32_t ids;
    uint64_t view;
};
enum { AS_COMPLETED_IDS = 1 };

struct watch_request {
    struct codec_bytes selector, cursor;
    uint64_t after_revision, output_offset, log_offset, view;
};
enum { WATCH_KINDS = 4 };

struct cursor {
    uint64_t epoch, event;
};

struct list_request {
    struct codec_bytes selector;
    struct span order_by, page_token;
    uint64_t page_size, view;
};

struct count_request {
    struct codec_bytes selector;
    struct span group_by, page_token;
};

struct cancel_many_request {
    struct codec_bytes selector;
    uint64_t dry_run;
    struct span page_token, reason;
    struct codec_time grace;
};

struct delete_many_request {
    struct codec_bytes selector;
    uint64_t dry_run;
    struct span page_token;
};

struct retry_request {
    struct span id;
    struct codec_bytes options;
};
enum { RETRY_ID = 1 };

struct retry_many_request {
    struct codec_bytes selector;
    uint64_t dry_run;
    struct span page_token;
    struct codec_bytes options;
};

struct annotate_request {
    struct span id;
    uint32_t set_labels, remove_labels;
    struct codec_number if_revision;
};
enum { ANNOTATE_SET = 2, ANNOTATE_REMOVE = 3 };

struct cancel_request_message {
    struct span id, reason;
    struct codec_time grace;
};

struct reschedule_request {
    struct span id;
    struct codec_number priority; /* zigzag */
    struct codec_time not_before, deadline, retention;
    uint64_t clear_deadline;
    struct codec_number if_revision;
};

/* zigzag: what a codec_number of a sint32 says. */
static inline int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct delete_request {
    struct span id;
};

extern const struct codec_table selector_table, get_request_table, wait_request_table,
        as_completed_request_table, watch_request_table, cursor_table, list_request_table,
        count_request_table, cancel_many_request_table, delete_many_request_table, annotate_request_table,
        retry_request_table, retry_many_request_table, cancel_request_table, reschedule_request_table,
        delete_request_table;

/* request_read: decode @message; a failure becomes INVALID_ARGUMENT naming the field.
 *   Return: 0; REQUEST_E_BAD (@ret_status says what). */
enum { REQUEST_E_BAD = 1 };
MUST_CHECK int request_read(const struct codec_table *table, struct span message, void *ret,
                            struct grpc_status *ret_status);
/* request_read_in: the same for the message that is field @parent of the request: "@parent.field" is named. */
MUST_CHECK int request_read_in(const struct codec_table *table, struct span message, void *ret,
                               const char *parent, struct grpc_status *ret_status);

/* request_bad_field: INVALID_ARGUMENT with one field violation, `@field: what`. Returns REQUEST_E_BAD. */
int request_bad_field(struct grpc_status *ret, const char *field, const char *format, ...) PRINTF_LIKE(3, 4);

/* request_bad_in: the same for @field of the message that is @parent of the request. */
int request_bad_in(struct grpc_status *ret, const char *parent, const char *field, const char *format, ...)
        PRINTF_LIKE(4, 5);

/* request_unbuilt_field: UNIMPLEMENTED naming a field whose feature this version does not have. REQUEST_E_BAD. */
int request_unbuilt_field(struct grpc_status *ret, const char *field);

/* request_view: check @value and replace VIEW_UNSPECIFIED by @otherwise. 0; REQUEST_E_BAD. */
MUST_CHECK int request_view(uint64_t value, enum view otherwise, const char *field, enum view *ret,
                            struct grpc_status *ret_status);

/* request_selector: exactly one of ids, group, filter; within the limits. 0; REQUEST_E_BAD. */
MUST_CHECK int request_selector(const struct codec_bytes *message, struct selector *ret,
                                struct grpc_status *ret_status);

/* request_text: @text has 1..@max bytes (0..@max when @may_be_empty) and, where @charset is not NULL, only letters, digits
 * and its characters. 0; REQUEST_E_BAD naming @field. */
MUST_CHECK int request_text(struct span text, size_t max, int may_be_empty, const char *charset,
                            const char *field, struct grpc_status *ret_status);
#define REQUEST_FUNCTION_CHARSET  "._-"
#define REQUEST_LABEL_KEY_CHARSET "._/-"

/* request_id: parse a future ID. 0; REQUEST_E_BAD (malformed: INVALID_ARGUMENT naming @field). */
MUST_CHECK int request_id(struct span text, const char *field, struct id *ret,
                          struct grpc_status *ret_status);

/* request_forbidden_function: @st says that @who may not submit tasks of @function. REQUEST_E_BAD. */
struct identity;
int request_forbidden_function(const struct identity *who, struct span function, struct grpc_status *st);
