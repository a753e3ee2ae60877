// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Futures that come back from the store: at the start all that had not finished, later finished ones that somebody asks
 * for. The rest of the door is engine.h.
 */
#include "engine/engine.h"

struct restored_attempt {
    uint32_t number;
    uint8_t has_exit_code, has_signal, has_error;
    int32_t exit_code, signal;
    wall_ns_t start_time, end_time; /* end 0 = was still running */
    struct usage usage;
    struct span worker;
    struct future_error error; /* copied */
};

struct restored_depend {
    struct id id;
    uint8_t state; /* 0 = open */
};

struct restored_chunk {
    struct bytes *data; /* a reference is taken */
    wall_ns_t time;
    uint32_t attempt;
    uint8_t kind, stream; /* enum told_kind, told_stream */
};

struct restored_progress {
    uint64_t completed, total;
    uint32_t attempt; /* 0 = none */
    struct span message;
};

/* A future as the store has it; all is borrowed. An empty span stands for none. */
struct restored {
    struct id id;
    enum future_state state;
    enum on_lost on_lost;
    uint8_t n_losses;
    uint8_t is_armed;        /* enum armed was not ARMED_NOT */
    uint8_t has_labels;      /* of its own, maybe none */
    uint8_t has_error;       /* FAILED, CANCELLED */
    uint8_t error_is_shared; /* it is that of attempts[0] */
    uint8_t has_cancel;
    int32_t priority;
    uint32_t n_claims;
    uint32_t argument_at, argument_field_bytes, argument_bytes;
    uint64_t revision;
    wall_ns_t submit_time;
    int64_t retention_ns;
    struct span function, namespace, principal, group, peer, tag, traceparent;
    struct id retry_of, retried_by;               /* of key 0 = none */
    struct span key;                              /* that it holds */
    uint32_t content_type_at, content_type_bytes; /* of task; only with a key */
    struct span request_id;
    struct span fairness_key, concurrency_key;
    enum depend_policy depend_policy; /* with n_depends */
    uint8_t passes_results;
    uint8_t is_needed; /* by a dependent: there is room for it */
    uint32_t n_depends;
    const struct restored_depend *depends; /* open ones that are not in memory are gone */
    wall_ns_t cancel_time;
    int64_t cancel_grace_ns;
    struct span cancel_principal, cancel_reason;
    wall_ns_t not_before, deadline, next_try; /* as in struct timing; next_try only of a PENDING one */
    int64_t attempt_timeout_ns;
    uint32_t n_counted;
    uint8_t has_retry;
    struct retry_policy retry; /* copied */
    wall_ns_t end_time, expire_time;
    struct span content_type;
    struct future_error error;
    struct bytes *task, *data; /* a reference is taken on success; data NULL unless SUCCEEDED */
    uint32_t n_labels, n_attempts;
    const struct label *labels;
    const struct restored_attempt *attempts; /* newest first */
    uint32_t n_chunks;
    const struct restored_chunk *chunks; /* of output and log, in their order */
    struct restored_progress progress;
};

/* engine_restore_pause, engine_restore_limits: @fn is paused, or some of its limits are set (FUNCTION_...), since an earlier
 * start. 0, -ENOMEM (nothing changed). */
MUST_CHECK int engine_restore_pause(struct engine *e, struct function *fn, wall_ns_t time, struct span who,
                                    struct span why);
MUST_CHECK int engine_restore_limits(struct engine *e, struct function *fn,
                                     const struct function_limits *limits, unsigned int which, wall_ns_t time,
                                     struct span who, struct span why);

/* engine_restore: make the future again; its ID must not be in memory.
 *   PENDING: to the end of its queue, so that who comes in the order of IDs keeps its place.
 *   RUNNING: lost, as by engine_lose, except that it goes to the end of the queue, in its old place. A reserved one of
 *   on_lost FAIL ends OUTCOME_UNKNOWN, one whose cancellation was asked for CANCELLED.
 *   Terminal: as it was, until it expires or leaves memory again.
 *   Return: 0; ENGINE_E_FULL_FUTURES, _FULL_MEMORY (terminal only: what was accepted is never refused); -ENOMEM. */
MUST_CHECK int engine_restore(struct engine *e, const struct restored *in, struct future **ret);

/* engine_restore_request: a future that is not in memory was made by @request_id, at @submit_time. 0, -ENOMEM. */
MUST_CHECK int engine_restore_request(struct engine *e, struct span namespace, struct span principal,
                                      struct span request_id, const struct id *id, wall_ns_t submit_time);

/* engine_restore_key: a finished future in the store holds a key of this hash (idem_stored_hash); or, engine_restore_keys, they
 * are too many to say which. */
void engine_restore_key(struct engine *e, uint64_t hash);
void engine_restore_keys(struct engine *e);
