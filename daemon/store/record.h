// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A future as bytes: the record that the tables live and done hold. docs/disk-format.md has the layout.
 *
 *   version, head (what changes in the life of a future), names, attempts, outcome, task as it came, CRC32C
 *
 * The checksum is over the future's id and all of these, so a record under another's id is damaged too. A task or
 * result of more than BATCH_INLINE_BYTES is elsewhere (blob); the record has its length.
 *
 * To change the format:
 *  1. RECORD_VERSION + 1; record_encode writes only the new one.
 *  2. record_decode reads the old one as well for as long as docs/disk-format.md says: it asks the version where
 *     the layouts differ, and gives the new field the value that had been meant.
 *  3. A new golden record in tests/unit/store/test_record.c; the old ones stay and must still decode.
 *  4. A row in docs/disk-format.md.
 */
#include "base/buf.h"
#include "engine/restore.h"

enum { RECORD_VERSION = 1, RECORD_ATTEMPTS_MAX = 100000 };

/* A decoded record. Spans point into the bytes it was read from; an empty one stands for none. */
struct record {
    struct id id;
    uint8_t state, durability, on_lost; /* enums of future.h */
    uint8_t n_losses;
    uint8_t has_labels;      /* the future has labels of its own, maybe none; else those of the task hold */
    uint8_t has_outcome;     /* terminal */
    uint8_t has_data;        /* SUCCEEDED */
    uint8_t has_error;       /* FAILED, CANCELLED */
    uint8_t error_is_shared; /* it is that of attempts[0] */
    uint8_t has_cancel;
    uint8_t is_armed; /* about to start (enum armed of future.h) */
    uint8_t task_in_blob, data_in_blob;
    int32_t priority;
    uint32_t n_claims;
    uint32_t argument_at, argument_field_bytes, argument_bytes;
    uint64_t revision;
    wall_ns_t submit_time;
    int64_t retention_ns; /* < 0 = the daemon's default */
    struct span function, namespace, principal, group, peer, tag, traceparent;
    struct span concurrency_key, fairness_key;    /* of one that has not ended */
    struct id retry_of, retried_by;               /* of key 0 = none */
    struct span key;                              /* idempotency key that it holds */
    uint32_t content_type_at, content_type_bytes; /* of the task; only with a key */
    struct span request_id;
    wall_ns_t cancel_time;
    int64_t cancel_grace_ns;
    struct span cancel_principal, cancel_reason;
    wall_ns_t not_before, deadline, next_try; /* 0 = none */
    int64_t attempt_timeout_ns;               /* 0 = none */
    uint32_t n_counted;
    uint8_t has_retry;
    struct retry_policy retry; /* its types are retry_types */
    struct span *retry_types;
    wall_ns_t end_time, expire_time;
    struct span content_type;
    struct future_error error;
    uint32_t task_bytes, data_bytes;       /* of the whole, wherever it is */
    struct span task, data;                /* empty while in a blob */
    uint8_t depend_policy, passes_results; /* with n_depends */
    uint32_t n_labels, n_attempts, n_depends;
    struct label *labels;
    struct restored_depend *depends;
    struct restored_attempt *attempts; /* newest first; what the engine takes */
    uint32_t n_chunks;                 /* pieces of output and log that lie beside it */
    struct restored_progress progress;
};

/* Where things are in the bytes that record_encode appended. */
struct record_place {
    uint32_t at, len;
    uint32_t function_at;
};

/* record_encode: append @f to @out. @ret_place: offsets from the head of @out.
 *   Return: 0; -ENOMEM; -EMSGSIZE (more than 1 GiB). Nothing is appended on failure. */
MUST_CHECK int record_encode(const struct future *f, struct buf *out, struct record_place *ret_place);

/* record_is_inline: whether @b (NULL is) goes into the record and not into a blob. */
MUST_CHECK int record_is_inline(const struct bytes *b);

/* record_decode: read what record_encode wrote for the future @id.
 *   Owns:   the caller: record_deinit on 0. @ret borrows @bytes.
 *   Return: 0; RECORD_E_DAMAGED (checksum, or not a record); RECORD_E_VERSION (newer than this program); -ENOMEM. */
enum record_error { RECORD_E_DAMAGED = 1, RECORD_E_VERSION };
MUST_CHECK int record_decode(const struct id *id, struct span bytes, struct record *ret);
void record_deinit(struct record *record);
