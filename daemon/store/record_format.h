// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What writing and reading a record share: the bits that say what is in it, and its bounds. */
enum {
    RECORD_CRC_BYTES = 4,
    RECORD_DEPEND_PASSES = 16,    /* beside the policy of a dependent */
    RECORD_DEPEND_BYTES = 17,     /* of an edge: id and state */
    RECORD_ATTEMPT_BYTES_MIN = 8, /* at most what the shortest attempt takes */
    RECORD_CHUNKS_MAX = 1 << 22,  /* more than the limits of told.h allow */
};

enum flag {
    FLAG_TASK_IN_BLOB = 1 << 0,
    FLAG_LABELS = 1 << 1,
    FLAG_GROUP = 1 << 2,
    FLAG_PEER = 1 << 3,
    FLAG_TAG = 1 << 4,
    FLAG_TRACEPARENT = 1 << 5,
    FLAG_RETENTION = 1 << 6,
    FLAG_CANCEL = 1 << 7,
    FLAG_OUTCOME = 1 << 8,
    FLAG_DATA = 1 << 9,
    FLAG_DATA_IN_BLOB = 1 << 10,
    FLAG_CONTENT_TYPE = 1 << 11,
    FLAG_ERROR = 1 << 12,
    FLAG_ERROR_IS_SHARED = 1 << 13,
    FLAG_ARMED = 1 << 14,
    FLAG_NOT_BEFORE = 1 << 15,
    FLAG_DEADLINE = 1 << 16,
    FLAG_TIMEOUT = 1 << 17,
    FLAG_RETRY = 1 << 18,
    FLAG_BACKOFF = 1 << 19,
    FLAG_DEPENDS = 1 << 20,
    FLAG_KEY = 1 << 21,
    FLAG_RETRY_OF = 1 << 23,
    FLAG_RETRIED_BY = 1 << 24, /* only of FAILED and CANCELLED ones */
    FLAG_CONCURRENCY_KEY = 1 << 25,
    FLAG_FAIRNESS_KEY = 1 << 26,
    FLAG_REQUEST_ID = 1 << 28,
    FLAG_CANCEL_GRACE = 1 << 29, /* another than ENGINE_GRACE_NS */
    FLAG_TOLD = 1 << 30,
    FLAGS_ALL = ((1 << 20) - 1) | FLAG_DEPENDS | FLAG_KEY | FLAG_RETRY_OF | FLAG_RETRIED_BY |
                FLAG_CONCURRENCY_KEY | FLAG_FAIRNESS_KEY | FLAG_REQUEST_ID | FLAG_CANCEL_GRACE | FLAG_TOLD,
};

enum attempt_flag {
    ATTEMPT_ENDED = 1 << 0,
    ATTEMPT_EXIT_CODE = 1 << 1,
    ATTEMPT_SIGNAL = 1 << 2,
    ATTEMPT_ERROR = 1 << 3,
    ATTEMPT_FLAGS_ALL = (1 << 4) - 1,
};
