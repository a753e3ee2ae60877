// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The contract's limits: what one request may hold. Sizes that an operator may change are in struct limits,
 * filled by the configuration; the rest are constants of the contract.
 */
#include <stddef.h>
#include <stdint.h>

enum {
    LIMIT_LABELS = 64,
    LIMIT_LABEL_KEY_BYTES = 63,      /* [A-Za-z0-9._/-] */
    LIMIT_LABEL_VALUE_BYTES = 1024,  /* UTF-8 */
    LIMIT_FUNCTION_NAME_BYTES = 255, /* [A-Za-z0-9._-] */
    LIMIT_GROUP_BYTES = 255,
    LIMIT_TAG_BYTES = 255,
    LIMIT_KEY_BYTES = 255,
    LIMIT_CONTENT_TYPE_BYTES = 255,
    LIMIT_REASON_BYTES = 1024,
    LIMIT_DEPENDS_ON = 1000,
    LIMIT_ATTEMPTS = 1000,  /* RetryPolicy.max_attempts */
    LIMIT_RETRY_TYPES = 64, /* RetryPolicy.non_retryable_types, of LIMIT_KEY_BYTES each */
    LIMIT_SELECTOR_IDS = 10000,
    LIMIT_PAGE_SIZE = 1000,
    LIMIT_STREAM_UNREAD_REPLIES = 65536,
    LIMIT_STREAM_UNREAD_BYTES = 8 * 1024 * 1024,
    LIMIT_STREAM_STUCK_S = 60,
};

#define LIMIT_MAX_TOLD_BYTES    (UINT64_C(16) << 20)       /* likewise of max_output and max_log */
#define LIMIT_MAX_MESSAGE_BYTES ((size_t)64 * 1024 * 1024) /* the most that max_message may be set to */

struct limits {
    size_t max_message_bytes;    /* of one request or reply */
    uint64_t max_memory_bytes;   /* of all futures held in memory */
    uint64_t max_futures;        /* in memory */
    uint64_t max_waiter_edges;   /* (waiter, future) pairs of Run, Wait, AsCompleted, Watch */
    uint32_t max_functions;      /* known names */
    uint32_t scan_limit;         /* futures that one search looks at before it answers with a token */
    uint32_t max_filter_watches; /* of a group or a filter, at a time */
    uint32_t watch_events;       /* that are kept for them */
    uint64_t max_output_bytes;   /* that are kept of what an attempt hands out before its end; 0 = none */
    uint64_t max_log_bytes;      /* likewise of its log */
};

#define LIMITS_DEFAULT                                               \
    ((struct limits){.max_message_bytes = (size_t)4 * 1024 * 1024,   \
                     .max_memory_bytes = UINT64_C(8) << 30,          \
                     .max_futures = UINT64_C(50) * 1000 * 1000,      \
                     .max_waiter_edges = UINT64_C(10) * 1000 * 1000, \
                     .max_functions = 10000,                         \
                     .scan_limit = 100000,                           \
                     .max_filter_watches = 64,                       \
                     .watch_events = 65536,                          \
                     .max_output_bytes = UINT64_C(256) << 10,        \
                     .max_log_bytes = UINT64_C(256) << 10})
