// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The record of one accepted task. Other rooms read it through const pointers; only the engine writes it, and
 * its state only by future_move. What most futures do not have hangs off `rare`, so that a waiting future
 * stays small.
 *
 * Times: wall clock. Sizes: bytes. All strings: not NUL-terminated.
 */
#include "base/bytes.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/limit.h"
#include "base/list.h"

struct edge;
struct upstream;
struct function;
struct idem;
struct lease;
struct membership;
struct scope;
struct slot;
struct told;

/* Values as in the contract's enum State, so that no table is needed between. */
enum future_state {
    FUTURE_PENDING = 1,
    FUTURE_RUNNING = 2,
    FUTURE_SUCCEEDED = 3,
    FUTURE_FAILED = 4,
    FUTURE_CANCELLED = 5,
};

/* As in the contract's enum PendingReason. */
enum pending_reason {
    PENDING_NONE = 0,
    PENDING_READY = 1,
    PENDING_DELAYED = 2,
    PENDING_BLOCKED = 3,
    PENDING_BACKOFF = 4,
    PENDING_NO_WORKER = 5,
    PENDING_PAUSED = 6,
    PENDING_LIMITED = 7,
};

enum durability { DURABILITY_DURABLE = 1, DURABILITY_EPHEMERAL = 2 };
enum on_lost { ON_LOST_RETRY = 1, ON_LOST_FAIL = 2 };

/* Where a PENDING future without a lease waits (place.h); any other is nowhere. */
enum place {
    PLACE_NONE,
    PLACE_READY,   /* in its function's queue */
    PLACE_ARMED,   /* for its mark to be durable (arm.h) */
    PLACE_DELAYED, /* for its not_before */
    PLACE_BACKOFF, /* for the pause after a failed attempt */
    PLACE_BLOCKED, /* for the futures that it depends on */
    PLACE_PARKED,  /* for a limit */
};

/* on_lost FAIL: whether it is marked as about to start; after a crash nobody knows whether a marked one did. */
enum armed { ARMED_NOT, ARMED_WAITING /* for the mark to be durable */, ARMED_READY };

/* Where the store has it, by what it was told last. */
enum stored { STORED_NOT, STORED_LIVE, STORED_DONE };

/* The daemon's reasons in Error.reason; future_reason_text has the contract's words. */
enum future_reason {
    REASON_NONE,
    REASON_FUNCTION_ERROR,
    REASON_TIMEOUT,
    REASON_CANCELLED,
    REASON_DEADLINE_EXCEEDED,
    REASON_CRASHED,
    REASON_WORKER_LOST,
    REASON_OUTCOME_UNKNOWN,
    REASON_MEMORY_LIMIT,
    REASON_CPU_LIMIT,
    REASON_RESULT_TOO_LARGE,
    REASON_ARGUMENT_TOO_LARGE,
    REASON_DEPENDENCY_FAILED,
    REASON_NO_SUCH_FUNCTION,
    REASON_SHUTDOWN,
};

/* Why an attempt, or a future, failed. One allocation; the spans point behind it. Immutable and counted: an
 * attempt and the future that it ended share one. */
struct future_error {
    uint32_t refs;
    int code; /* google.rpc.Code */
    enum future_reason reason;
    int retryable;
    struct span type, message, traceback, function_reason;
    struct span details; /* repeated google.protobuf.Any, encoded as fields of Error.details; spliced, never
                            read here */
};

struct usage {
    int64_t user_cpu_ns, system_cpu_ns, wall_ns; /* < 0 = not known */
    int64_t max_rss_bytes;                       /* < 0 = not known */
};

struct attempt {
    struct attempt *next; /* the next older one */
    uint32_t number;      /* of its lease: from 1, rising; a claim that was given back unrun leaves a gap */
    uint8_t has_exit_code, has_signal;
    int32_t exit_code, signal;
    struct bytes *worker;           /* its name, shared */
    wall_ns_t start_time, end_time; /* end 0 = still running */
    struct future_error *error;     /* NULL = none */
    struct usage usage;
};

/* How it ended: result, or error. */
struct outcome {
    wall_ns_t end_time, expire_time; /* forgotten after expire_time */
    struct bytes *data;              /* SUCCEEDED: the result; never NULL there */
    struct bytes *content_type;      /* shared; NULL = none */
    struct future_error *error;      /* FAILED, CANCELLED */
    struct list by_end;              /* in the engine's cache, while it may leave memory */
    struct future *future;           /* set while by_end is linked */
};

struct cancel_request {
    wall_ns_t time;
    int64_t grace_ns;                 /* that was asked for first */
    struct bytes *principal, *reason; /* may be NULL */
    struct outcome *outcome;          /* made beforehand, so that the end by cancellation cannot fail */
};

/* When a failed attempt is followed by another. Immutable; one allocation, types and spans point behind it. */
struct retry_policy {
    uint32_t max_attempts; /* that count, at least 1 */
    uint32_t n_types;
    int64_t initial_backoff_ns, max_backoff_ns;
    double multiplier, jitter; /* at least 1; 0 to 1 */
    const struct span *types;  /* of errors, and reasons of functions, that end the future */
};

/* Why an attempt was told to end; of two reasons the later one here counts. */
enum stop { STOP_NOT, STOP_TIMEOUT, STOP_DEADLINE, STOP_CANCELLED };

/* What a future has to do with clocks, for those that have (timing.h). */
struct timing {
    struct future *future;
    struct heap_item wall, mono;    /* what comes next by each clock */
    struct list abandoned;          /* its last waiter has gone, and that ends it */
    wall_ns_t not_before, deadline; /* 0 = none */
    int64_t attempt_timeout_ns;     /* 0 = none */
    struct retry_policy *retry;     /* NULL = never */
    wall_ns_t next_try;             /* when the pause after a failed attempt is over; 0 = there is none */
    mono_ns_t next_try_mono;
    struct outcome *outcome;    /* DEADLINE_EXCEEDED, made beforehand for who has a lease when it comes */
    uint32_t n_counted;         /* failed attempts that count for max_attempts */
    uint8_t is_cancelled_alone; /* when nobody waits for it any more */
};

/* Which outcome of its upstreams lets a dependent start; values as in the contract. */
enum depend_policy { DEPEND_ON_SUCCESS = 1, DEPEND_ON_FINISH, DEPEND_ON_FAILURE };

/* The state of an upstream that is not known any more: the store of an earlier start has lost it. */
enum { DEPEND_GONE = FUTURE_CANCELLED + 1 };

struct depend_edge {
    struct list of_upstream; /* in the list of its upstream while it is open */
    struct future *upstream; /* pinned; NULL: not needed (any more) */
    struct depend *depend;
    struct id id;
    uint8_t state; /* in which the upstream ended, or DEPEND_GONE; 0 = open */
};

/* What a future depends on (depend.h), in the order in which it was said. One allocation. */
struct depend {
    struct future *future;
    struct list gone; /* in the engine's list while an edge has no upstream to come */
    uint8_t policy;
    uint8_t passes_results;
    uint32_t n, n_open;
    struct depend_edge at[];
};

/* What few futures have. */
struct future_rare {
    struct future *future;
    struct timing *timing;      /* NULL = none */
    struct heap_item expiry;    /* retention of its own; keyed by wall time */
    int64_t retention_ns;       /* < 0 = the daemon's default */
    struct bytes *traceparent;  /* NULL = none */
    struct bytes *tag;          /* as submitted; NULL = none */
    struct bytes *fairness_key; /* NULL = the principal */
    struct idem *idem;          /* the key that it holds (idem.h); NULL = none */
    struct depend *depend;      /* what it depends on; NULL = nothing */
    struct upstream *upstream;  /* who depends on it, or did; NULL = nobody */
    struct bytes *request_id;   /* of a DURABLE one, as submitted; NULL = none */
    struct slot *slot;          /* of its concurrency key, until it has ended; NULL = none */
    struct told *told;          /* progress, output and log (told.h); NULL = nothing was told */
    struct heap_item parked;    /* in slot.parked while PARKED */
    struct cancel_request *cancel_requested;
    struct id retry_of, retried_by; /* of key 0 = none; future_retry_of, future_retried_by */
    uint8_t n_losses;               /* attempts lost without fault of the task */
    uint8_t is_custom;              /* its expiry stands in the heap though retention_ns does not say so */
};

/* A label of the future's own copy, once it has been changed by Annotate. Sorted by key; one allocation. */
struct label {
    struct span key, value;
};

struct labels {
    uint32_t n;
    uint32_t bytes; /* of this allocation */
    struct label at[];
};

/* Whether it is in the engine's list of what has changed since the last commit. A lazy one may wait for company: nobody has
 * been shown it. */
enum fact { FACT_NONE, FACT_LAZY, FACT_NOW };

struct future {
    struct id id;
    struct bytes *task;        /* the contract's Task message, exactly as it came */
    struct function *function; /* never NULL */
    struct scope *scope;       /* namespace and principal, never NULL */
    struct membership *group;  /* NULL = none */
    struct list queue;         /* PENDING: its ready queue; terminal: the expiry line; else unlinked */
    struct edge *edges;        /* who waits for or watches it */
    struct lease *lease;       /* reserved for or run by a worker; NULL = neither */
    struct attempt *attempts;  /* newest first */
    struct outcome *outcome;   /* set once, with the terminal state */
    struct labels *labels;     /* NULL = those of the task */
    struct bytes *peer;        /* who submitted, as text, shared by the connection */
    struct future_rare *rare;  /* NULL = nothing rare */
    wall_ns_t submit_time;
    uint64_t revision;
    uint64_t commit_seq;           /* of its last change; shown only when that is durable */
    uint32_t argument_at;          /* the argument's field in task, tag included: offset ... */
    uint32_t argument_field_bytes; /* ... and length; 0 = no argument */
    uint32_t argument_bytes;       /* of the payload alone */
    int32_t priority;
    uint32_t n_claims; /* leases ever made for it: the newest one's number */
    uint32_t n_pins;   /* edges and others that keep it from being forgotten */
    uint8_t state;     /* enum future_state */
    uint8_t durability;
    uint8_t on_lost;
    uint8_t fact;       /* enum fact */
    uint8_t stored;     /* enum stored */
    uint8_t armed;      /* enum armed */
    uint8_t place;      /* enum place */
    uint8_t last_event; /* enum ring_kind of its newest event, while they are kept; 0 = not known */
};

static inline int future_is_terminal(const struct future *f)
{
    return f->state >= FUTURE_SUCCEEDED;
}

/* future_pending_reason: why it waits, PENDING_NONE when it does not. O(1). */
enum pending_reason future_pending_reason(const struct future *f);

/* future_start_time: of the newest attempt; 0 = never started. future_end_time: 0 = not ended. */
wall_ns_t future_start_time(const struct future *f);
wall_ns_t future_end_time(const struct future *f);

/* future_expire_time: when it will be forgotten, 0 while it is not terminal. */
wall_ns_t future_expire_time(const struct future *f);

/* future_function_name, future_namespace, future_principal, future_group: "" spans when there is none. */
struct span future_function_name(const struct future *f);
struct span future_namespace(const struct future *f);
struct span future_principal(const struct future *f);
struct span future_group(const struct future *f);
/* future_key: the idempotency key that it holds; "" for none. */
struct span future_key(const struct future *f);

/* future_retry_of: the ID of the future that it retries; future_retried_by: of the one that retries it, which for both may not be
 * there any more. NULL = none. */
const struct id *future_retry_of(const struct future *f);
const struct id *future_retried_by(const struct future *f);

/* future_reason_text: "CRASHED"; "" for REASON_NONE. */
const char *future_reason_text(enum future_reason reason);
/* future_reason_parse: the reason of that text, REASON_NONE for any other. */
enum future_reason future_reason_parse(struct span text);

/* future_error_new: one allocation with copies of the spans of @from and one reference. NULL: no memory.
 * future_error_unref: drop one, free with the last. NULL is allowed. Returns NULL. */
MUST_CHECK struct future_error *future_error_new(const struct future_error *from);
struct future_error *future_error_ref(struct future_error *error);
struct future_error *future_error_unref(struct future_error *error);

/* future_timing: NULL = none. */
static inline struct timing *future_timing(const struct future *f)
{
    return f->rare ? f->rare->timing : NULL;
}

/* future_has_seldom: whether @rare has more than texts that came with the submission: one test for many, where each would
 * cost something. */
static inline int future_has_seldom(const struct future_rare *rare)
{
    return ((uintptr_t)rare->timing | (uintptr_t)rare->fairness_key | (uintptr_t)rare->idem |
            (uintptr_t)rare->depend | (uintptr_t)rare->upstream | (uintptr_t)rare->slot |
            (uintptr_t)rare->cancel_requested | (uintptr_t)rare->told) != 0;
}

/* retry_policy_new: one allocation with a copy of @from. NULL: no memory. mem_free. */
MUST_CHECK struct retry_policy *retry_policy_new(const struct retry_policy *from);

/* labels_new: one allocation with copies of the @n labels at @from, sorted by key (keys are unique).
 *   Owns:   the caller, until engine_annotate takes it; mem_free.
 *   Return: NULL: no memory. */
MUST_CHECK struct labels *labels_new(const struct label *from, uint32_t n);

/* future_move: the one way from state to state; for the engine alone. An illegal move aborts. */
void future_move(struct future *f, enum future_state to);
