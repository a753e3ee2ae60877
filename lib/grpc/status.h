// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How a call ends: a code, a text, and details that a program can read. On the wire: grpc-status,
 * grpc-message (percent-encoded) and grpc-status-details-bin (a google.rpc.Status with ErrorInfo and what
 * fits: BadRequest, RetryInfo, ResourceInfo, QuotaFailure, PreconditionFailure). The same google.rpc.Status
 * stands inside SubmitResponse and RunResponse, so both encodings are made here.
 */
#include "base/buf.h"
#include "base/bytes.h"

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

enum {
    STATUS_MESSAGE_MAX_BYTES = 1024, /* of the text; longer ones are cut at a character */
    STATUS_TEXT_MAX_BYTES = 256,     /* of any other text within */
    STATUS_VIOLATIONS_MAX = 8,
    STATUS_METADATA_MAX = 8,
};

/* Self-contained (no pointers into a request), so it can be kept and answered later. */
struct grpc_status {
    enum grpc_code code;
    char message[STATUS_MESSAGE_MAX_BYTES + 1];
    char reason[64];        /* ErrorInfo.reason, UPPER_SNAKE; "" = no details at all */
    int64_t retry_delay_ms; /* RetryInfo; < 0 = none */
    uint32_t n_violations;  /* BadRequest.field_violations */
    struct {
        char field[STATUS_TEXT_MAX_BYTES], description[STATUS_TEXT_MAX_BYTES];
    } violations[STATUS_VIOLATIONS_MAX];
    uint32_t n_metadata; /* ErrorInfo.metadata */
    struct {
        char key[64], value[STATUS_TEXT_MAX_BYTES];
    } metadata[STATUS_METADATA_MAX];
    char resource_type[64], resource_name[STATUS_TEXT_MAX_BYTES];            /* ResourceInfo; "" = none */
    char quota_subject[64], quota_description[STATUS_TEXT_MAX_BYTES];        /* QuotaFailure */
    char precondition_type[64], precondition_subject[STATUS_TEXT_MAX_BYTES]; /* PreconditionFailure */
};

/* status_clear: start over with a code alone. Returns @st. */
struct grpc_status *status_clear(struct grpc_status *st, enum grpc_code code);

/* status_set: start over with a code, a reason ("" = none) and a formatted text. Returns @st. */
struct grpc_status *status_set(struct grpc_status *st, enum grpc_code code, const char *reason,
                               const char *format, ...) PRINTF_LIKE(4, 5);

/* Each adds one detail (silently dropped when its room is full) and returns @st. */
struct grpc_status *status_add_violation(struct grpc_status *st, const char *field, const char *format, ...)
        PRINTF_LIKE(3, 4);
struct grpc_status *status_add_metadata(struct grpc_status *st, const char *key, const char *format, ...)
        PRINTF_LIKE(3, 4);
/* status_set_no_memory: an allocation failed and nothing was changed: RESOURCE_EXHAUSTED, OUT_OF_MEMORY, again in a second. */
struct grpc_status *status_set_no_memory(struct grpc_status *st);
struct grpc_status *status_set_retry(struct grpc_status *st, int64_t delay_ms);
struct grpc_status *status_set_resource(struct grpc_status *st, const char *type, const char *name);
struct grpc_status *status_set_quota(struct grpc_status *st, const char *subject, const char *description);
struct grpc_status *status_set_precondition(struct grpc_status *st, const char *type, const char *subject);

/* status_set_message: another text; of any bytes, made valid UTF-8 and cut as all texts are. */
struct grpc_status *status_set_message(struct grpc_status *st, struct span message);

/* status_name: "NOT_FOUND"; an unknown one is "UNKNOWN". */
const char *status_name(enum grpc_code code);

/* status_code: the code of a number from the wire; what is none is GRPC_UNKNOWN. */
enum grpc_code status_code(uint64_t number);

/* status_encode: append the google.rpc.Status to @out. 0, -ENOMEM. */
MUST_CHECK int status_encode(const struct grpc_status *st, struct buf *out);

/* status_decode: read a google.rpc.Status; unknown details are skipped, long texts are cut. @message may
 * not lie in @ret.
 *   Return: 0; STATUS_E_MALFORMED (@ret then holds what could be read). */
enum { STATUS_E_MALFORMED = 1 };
MUST_CHECK int status_decode(struct span message, struct grpc_status *ret);
