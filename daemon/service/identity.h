// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A principal: who calls, and what it may. The configuration names them (docs/security.md); app finds out which one a call is
 * of, and gives it to the call (grpc_call_who). A call without one is of a daemon that knows no principals: it may all.
 *
 * It lives as long as the daemon, for calls and futures name it; a reload changes what it may.
 */
#include "engine/engine.h"
#include "engine/right.h"
#include "grpc/status.h"

/* What there is a limit to for each; QUOTA_NONE is none of them. */
enum quota {
    QUOTA_NONE,
    QUOTA_CONNECTIONS,
    QUOTA_CALLS,
    QUOTA_FUTURES,
    QUOTA_MEMORY,
    QUOTA_STORED,
    QUOTA_RATE,
    QUOTA_N
};

/* What it may use up, 0 = no limit, and what it has. */
struct identity_quota {
    uint32_t max_connections, max_calls; /* open at a time */
    uint64_t max_futures;                /* of its scope, that have not ended */
    uint64_t max_memory_bytes;           /* of all that it has there */
    uint64_t max_stored_bytes;           /* and of the finished ones, in the store */
    double rate;                         /* new futures a second; at once as many as in one second */
    double left;                         /* of them, at ... */
    wall_ns_t at;                        /* ... 0: all */
    uint32_t n_connections, n_calls;
    uint64_t n_refused[QUOTA_N];
};

struct identity {
    struct span name;
    struct scope *scope;         /* its namespace and its name */
    uint32_t rights;             /* a bit for each enum right */
    const struct span *patterns; /* of functions that it may submit: a name, or with * at its end; borrowed */
    uint32_t n_patterns;         /* 0 = all */
    struct identity_quota *quota; /* NULL = none */
};

/* identity_right: the right of that word ("submit", "read-all"); RIGHT_UNNAMED: there is none. */
enum right identity_right(struct span word);
/* identity_right_word: static. */
const char *identity_right_word(enum right right);

/* identity_may: whether @who has @right. NULL is somebody who is no principal. */
MUST_CHECK int identity_may(const struct identity *who, enum right right);

/* identity_may_submit: whether tasks of @function, by name; NULL: where there are no principals, all. */
MUST_CHECK int identity_may_submit(const struct identity *who, struct span function);

/* identity_spend: one more future of @who, at @now. QUOTA_NONE: it may be made. Else what is used up, and *ret_retry_ms says
 * when to come again. */
MUST_CHECK enum quota identity_spend(const struct identity *who, wall_ns_t now, int64_t *ret_retry_ms);

/* identity_quota_word: its key in the configuration ("max_futures"); static. */
const char *identity_quota_word(enum quota quota);
/* identity_refuse: count that @who, who has quotas, was refused for @quota, and say so in @st. Returns @st. */
struct grpc_status *identity_refuse(const struct identity *who, enum quota quota, int64_t retry_ms,
                                    struct grpc_status *st);
