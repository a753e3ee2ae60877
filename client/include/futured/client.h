// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * libfutured: run functions through futured, the daemon for parallel task execution, and keep each result
 * with the task that it belongs to.
 *
 *     struct futured_client *client = futured_client_new(NULL);
 *     struct futured_request *request = futured_request_new("sha256");
 *     struct futured_future *future;
 *
 *     futured_request_set_argument(request, "hello", 5);
 *     futured_request_add_label(request, "file", "greeting");
 *     if (futured_run(client, request, &future) == FUTURED_OK) {
 *         if (future->result)
 *             fwrite(future->result->data.data, 1, future->result->data.size, stdout);
 *         futured_future_free(future);
 *     } else {
 *         fprintf(stderr, "%s\n", futured_client_status(client)->message);
 *     }
 *     futured_request_free(request);
 *     futured_client_free(client);
 *
 * Calls block, and answer FUTURED_OK or another code of gRPC; futured_client_status then says more. An error
 * of a task is no error of a call: futured_run of a task that fails is FUTURED_OK, and future->error is set.
 *
 * Threads: a client and all that was made with it (pipelines, watches, completions) belong to one thread at a
 * time; different clients are independent. What was answered (futures, pages) is plain memory and belongs to
 * no thread.
 *
 * Structures that the library fills in are read-only. They may become longer in later versions: do not copy
 * or allocate them. In them a string is never NULL ("" where there is none) and NUL-terminated; a time is in
 * nanoseconds since 1970-01-01T00:00:00Z, FUTURED_NO_TIME where there is none; a span is in nanoseconds,
 * FUTURED_NO_SPAN where there is none. The meaning of each field is that of futured/v1/future.proto.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#define FUTURED_API        __attribute__((visibility("default")))
#define FUTURED_MUST_CHECK __attribute__((warn_unused_result))
#else
#define FUTURED_API
#define FUTURED_MUST_CHECK
#endif

#define FUTURED_NO_TIME 0
#define FUTURED_NO_SPAN (-1)

/* How a call ended: the codes of gRPC. A value that is not listed is treated as FUTURED_UNKNOWN. */
enum futured_code {
    FUTURED_AGAIN =
            -1, /* nothing yet, or only started: of a client that does not block alone (futured/async.h) */
    FUTURED_OK = 0,
    FUTURED_CANCELLED = 1,
    FUTURED_UNKNOWN = 2,
    FUTURED_INVALID_ARGUMENT = 3,
    FUTURED_DEADLINE_EXCEEDED = 4, /* the timeout of futured_client_set_timeout has passed */
    FUTURED_NOT_FOUND = 5,
    FUTURED_ALREADY_EXISTS = 6,
    FUTURED_PERMISSION_DENIED = 7,
    FUTURED_RESOURCE_EXHAUSTED = 8, /* a limit of the daemon; or memory here, with reason NO_MEMORY */
    FUTURED_FAILED_PRECONDITION = 9,
    FUTURED_ABORTED = 10,
    FUTURED_OUT_OF_RANGE = 11,
    FUTURED_UNIMPLEMENTED = 12,
    FUTURED_INTERNAL = 13,
    FUTURED_UNAVAILABLE = 14, /* not connected, connection lost (reasons below), or not accepting now */
    FUTURED_DATA_LOSS = 15,
    FUTURED_UNAUTHENTICATED = 16
};

enum futured_state {
    FUTURED_STATE_UNSPECIFIED = 0, /* one that this library does not know */
    FUTURED_STATE_PENDING = 1,
    FUTURED_STATE_RUNNING = 2,
    FUTURED_STATE_SUCCEEDED = 3,
    FUTURED_STATE_FAILED = 4,
    FUTURED_STATE_CANCELLED = 5
};

enum futured_pending_reason {
    FUTURED_PENDING_UNSPECIFIED = 0,
    FUTURED_PENDING_READY = 1,
    FUTURED_PENDING_DELAYED = 2,
    FUTURED_PENDING_BLOCKED = 3,
    FUTURED_PENDING_BACKOFF = 4,
    FUTURED_PENDING_NO_WORKER = 5,
    FUTURED_PENDING_PAUSED = 6,
    FUTURED_PENDING_LIMITED = 7
};

/* How much of a future an answer carries. */
enum futured_view {
    FUTURED_VIEW_DEFAULT = 0, /* FULL for one future, BASIC for many */
    FUTURED_VIEW_RESULT = 1,  /* id, state, revision and outcome */
    FUTURED_VIEW_BASIC = 2,   /* everything but the bytes of argument and result */
    FUTURED_VIEW_TASK = 3,    /* BASIC and the argument */
    FUTURED_VIEW_FULL = 4
};

enum futured_durability { FUTURED_DURABILITY_DEFAULT = 0, FUTURED_DURABLE = 1, FUTURED_EPHEMERAL = 2 };

enum futured_on_lost { FUTURED_ON_LOST_DEFAULT = 0, FUTURED_ON_LOST_RETRY = 1, FUTURED_ON_LOST_FAIL = 2 };

enum futured_depend_policy {
    FUTURED_DEPEND_DEFAULT = 0,
    FUTURED_DEPEND_ON_SUCCESS = 1,
    FUTURED_DEPEND_ON_FINISH = 2,
    FUTURED_DEPEND_ON_FAILURE = 3
};

enum futured_key_policy {
    FUTURED_KEY_DEFAULT = 0,
    FUTURED_KEY_JOIN = 1,
    FUTURED_KEY_JOIN_UNLESS_FAILED = 2,
    FUTURED_KEY_JOIN_WHILE_ACTIVE = 3,
    FUTURED_KEY_REJECT = 4
};

/* The names of the contract ("NOT_FOUND", "SUCCEEDED", "NO_WORKER"); "UNKNOWN" or "UNSPECIFIED" for a number
 * that has none. Any thread; the text lives for ever. */
FUTURED_API const char *futured_code_name(int code);
FUTURED_API const char *futured_state_name(enum futured_state state);
FUTURED_API const char *futured_pending_reason_name(enum futured_pending_reason reason);
/* futured_version: of the library, such as "0.1.0". */
FUTURED_API const char *futured_version(void);

struct futured_bytes {
    const unsigned char *data;
    size_t size;
};

struct futured_label {
    const char *key, *value;
};

/* --- how a call ended */

struct futured_violation {
    const char *field, *description;
};

struct futured_status {
    int code;            /* enum futured_code */
    const char *message; /* for people, one line */
    /* For programs: the daemon's reason, such as NO_SUCH_FUNCTION; or one of this library: BAD_ADDRESS,
     * UNREACHABLE (no connection came about), CONNECTION_LOST (the outcome of the call is not known),
     * NO_MEMORY. "" where there is none. */
    const char *reason;
    int64_t retry_delay_ns; /* try again after that time; FUTURED_NO_SPAN */
    size_t n_violations;    /* fields of the request that are not valid */
    const struct futured_violation *violations;
    size_t n_metadata; /* what else the daemon told a program */
    const struct futured_label *metadata;
    const char *future_id; /* futured_run: the future that was accepted, also where the call failed later */
};

/* --- the client */

struct futured_client;

/* futured_client_new: a client of the daemon at @address, which is `unix:/path`, `127.0.0.1:4740`,
 *   `[::1]:4740`, `host:4740` or `tls:host:4741`. NULL: the environment's FUTURED_ADDRESS, else the socket
 *   $XDG_RUNTIME_DIR/futured/futured.sock or /run/futured/futured.sock, whichever exists.
 *   Connects with the first call, and again with the first one after the connection was lost; repeats a call only
 *   where futured_client_set_patience allows it. A bad address is told by the first call.
 *   Owns: the caller, futured_client_free. NULL: no memory. */
FUTURED_API FUTURED_MUST_CHECK struct futured_client *futured_client_new(const char *address);

/* futured_client_free: closes the connection. What was made with the client must have been freed. NULL is
 * allowed. Returns NULL. */
FUTURED_API struct futured_client *futured_client_free(struct futured_client *client);

/* futured_client_set_timeout: how long each of the following calls may take, connecting included; @timeout_ns
 * <= 0: as long as it takes (at first so). Connecting alone takes 10 s at most. */
FUTURED_API void futured_client_set_timeout(struct futured_client *client, int64_t timeout_ns);

/* futured_client_set_tls: for an address with tls: the PEM files of who may have signed the daemon's certificate (NULL: the
 * system's authorities), and of our own certificate and its key (NULL, both: none). They are read at each connect, whose
 * error says what is wrong with them. The daemon must have the name or number of the address. Return: a code. */
FUTURED_API FUTURED_MUST_CHECK int futured_client_set_tls(struct futured_client *client, const char *ca,
                                                          const char *certificate, const char *key);

/* futured_client_set_token: what says who calls, with every call of connections that are yet to come; copied. It goes over
 * any address, so choose one that nobody listens to. NULL: none. Return: a code (INVALID_ARGUMENT, BAD_TOKEN). */
FUTURED_API FUTURED_MUST_CHECK int futured_client_set_token(struct futured_client *client, const char *token);

/* futured_client_set_traceparent: the W3C trace context that what is submitted or retried from now on belongs to; copied. It
 * stands in the futures, and functions see it; a pipeline has that of its beginning. NULL: none. Return: a code
 * (INVALID_ARGUMENT, BAD_TRACEPARENT). */
FUTURED_API FUTURED_MUST_CHECK int futured_client_set_traceparent(struct futured_client *client,
                                                                  const char *traceparent);

/* futured_client_set_patience: for how long, from the first failure on, the client bears that the daemon is away or takes no
 * calls; 0 (at first): not at all, what fails has failed. Within that time it connects again, with growing pauses (50 ms to
 * 5 s, half of each by chance, not less than what the daemon asks for), and
 *   - repeats calls that ended UNAVAILABLE, but those that may have been done and must not be done twice: futured_delete,
 *     futured_kill_worker, the calls about many, and submissions whose request ID was set to "";
 *   - opens lost streams again, so that each result comes once: futured_completions with what was not answered,
 *     futured_pipeline with what is in flight, futured_watch where it was (see there). A restart of the daemon is no more
 *     than that, for futures that survive it.
 * The timeout of the client holds for all of that together. For calls and streams that begin after it. */
FUTURED_API void futured_client_set_patience(struct futured_client *client, int64_t patience_ns);

/* futured_client_connect: connect now, if there is no connection. Return: a code. */
FUTURED_API FUTURED_MUST_CHECK int futured_client_connect(struct futured_client *client);

/* futured_client_address: as given or found; owned by the client. */
FUTURED_API const char *futured_client_address(const struct futured_client *client);

/* futured_client_status: how the last call on this client ended; valid until the next one. Never NULL. */
FUTURED_API const struct futured_status *futured_client_status(const struct futured_client *client);

/* --- what to run */

/* A task to be, with where and how to file it. Setters copy. Memory that fails in one is told by the call
 * that uses the request (RESOURCE_EXHAUSTED, NO_MEMORY), so they and futured_request_new need no check: a
 * NULL request is one whose memory failed. Limits are checked by the daemon, which names the field. Any thread, one at a
 * time.
 *
 * Sending again is safe. Each request goes out under a request ID, and the daemon answers the same ID with the same future:
 * for 10 minutes, while that has not ended, and for 5 minutes after. The library makes one when the request is first sent
 * (128 bits, of which 96 are random), and keeps it until futured_submit, futured_submit_all or futured_run has answered a
 * future for it: so where a call failed, whatever
 * its code, the same call with the same request is the same task. After that, and after futured_pipeline_put, the request
 * stands for another future of the same task. Between a failure and the second sending do not change it. */
struct futured_request;
struct futured_future;

FUTURED_API struct futured_request *futured_request_new(const char *function);
FUTURED_API struct futured_request *futured_request_free(struct futured_request *request);
FUTURED_API void futured_request_set_argument(struct futured_request *request, const void *data, size_t size);
FUTURED_API void futured_request_set_content_type(struct futured_request *request, const char *content_type);
/* futured_request_add_label: at most 64; of the same key the last one holds. */
FUTURED_API void futured_request_add_label(struct futured_request *request, const char *key,
                                           const char *value);
FUTURED_API void futured_request_set_group(struct futured_request *request, const char *group);
FUTURED_API void futured_request_set_tag(struct futured_request *request, const char *tag);
FUTURED_API void futured_request_set_view(struct futured_request *request, enum futured_view view);
/* futured_request_set_request_id: instead of IDs that the library makes; it stays, so all that is sent with it in
 * that time is one future. NULL: the library makes another one. "": none, for tasks that are never sent again; an ID costs
 * the daemon some 100 bytes for that time, and a tenth of its work for the smallest tasks. */
FUTURED_API void futured_request_set_request_id(struct futured_request *request, const char *request_id);
/* futured_request_on_accepted: have futured_run call @told with the future as it was accepted, before its outcome
 * is waited for: with pending_reason, which says whether it has to wait. @told may make other calls of the client. Not
 * called where the task was refused. */
FUTURED_API void futured_request_on_accepted(struct futured_request *request,
                                             void (*told)(void *arg, const struct futured_future *accepted),
                                             void *arg);
/* futured_request_set_cancel_on_disconnect: futured_run and pipelines: cancel the future when the last who
 * waits for it or watches it by its ID has left. A submission that joins a future changes nothing of that. */
FUTURED_API void futured_request_set_cancel_on_disconnect(struct futured_request *request, int cancel);

FUTURED_API void futured_request_set_durability(struct futured_request *request,
                                                enum futured_durability durability);
FUTURED_API void futured_request_set_priority(struct futured_request *request, int32_t priority);
/* futured_request_set_delay, _not_before: the later call holds. */
FUTURED_API void futured_request_set_delay(struct futured_request *request, int64_t delay_ns);
FUTURED_API void futured_request_set_not_before(struct futured_request *request, int64_t time_ns);
FUTURED_API void futured_request_set_deadline(struct futured_request *request, int64_t time_ns);
FUTURED_API void futured_request_set_attempt_timeout(struct futured_request *request, int64_t timeout_ns);
FUTURED_API void futured_request_set_retention(struct futured_request *request, int64_t retention_ns);
FUTURED_API void futured_request_set_max_attempts(struct futured_request *request, uint32_t max_attempts);
/* futured_request_set_backoff: pauses between attempts; 0 is the daemon's default of each. */
FUTURED_API void futured_request_set_backoff(struct futured_request *request, int64_t initial_ns,
                                             double multiplier, int64_t max_ns);
/* futured_request_set_jitter: the part of each pause that is random, 0 to 1. */
FUTURED_API void futured_request_set_jitter(struct futured_request *request, double jitter);
/* futured_request_add_non_retryable_type: an error of this type, or with this reason of the function, ends the future at once;
 * at most 64. */
FUTURED_API void futured_request_add_non_retryable_type(struct futured_request *request, const char *type);
FUTURED_API void futured_request_set_on_lost(struct futured_request *request, enum futured_on_lost on_lost);
FUTURED_API void futured_request_set_idempotency_key(struct futured_request *request, const char *key,
                                                     enum futured_key_policy policy);
FUTURED_API void futured_request_set_concurrency_key(struct futured_request *request, const char *key);
FUTURED_API void futured_request_set_fairness_key(struct futured_request *request, const char *key);
FUTURED_API void futured_request_add_dependency(struct futured_request *request, const char *id);
FUTURED_API void futured_request_set_depend_policy(struct futured_request *request,
                                                   enum futured_depend_policy policy, int pass_results);

/* --- what was asked, and what came of it */

struct futured_task_options {
    enum futured_durability durability;
    int32_t priority;
    int64_t delay_ns, not_before_ns, deadline_ns; /* span, time, time */
    int64_t attempt_timeout_ns, retention_ns;     /* spans */
    uint32_t max_attempts;                        /* 0: not said */
    int64_t initial_backoff_ns, max_backoff_ns;   /* spans */
    double multiplier;                            /* 0: not said */
    enum futured_on_lost on_lost;
    size_t n_depends_on;
    const char *const *depends_on;
    enum futured_depend_policy depend_policy;
    int pass_results;
    const char *idempotency_key;
    enum futured_key_policy key_policy;
    const char *concurrency_key, *fairness_key;
    double jitter; /* < 0: not said */
    size_t n_non_retryable_types;
    const char *const *non_retryable_types;
};

struct futured_task {
    const char *function;
    struct futured_bytes argument; /* {NULL, 0} where the view leaves it out: future->argument_size */
    const char *content_type;
    size_t n_labels; /* as given at submission, by key */
    const struct futured_label *labels;
    const struct futured_task_options *options; /* as asked; never NULL */
};

struct futured_result {
    struct futured_bytes data; /* {NULL, 0} where the view leaves it out */
    uint64_t size;
    const char *content_type;
};

struct futured_error {
    int code;           /* enum futured_code */
    const char *reason; /* the daemon's: FUNCTION_ERROR, TIMEOUT, CANCELLED, CRASHED, WORKER_LOST, ... */
    const char *type, *message, *traceback;
    const char *function_reason;
    int retryable;
};

struct futured_attempt {
    uint32_t number;
    const char *worker;
    int64_t start_time_ns, end_time_ns;
    const struct futured_error *error; /* NULL: none */
    int has_exit_code, exit_code;
    int has_signal, signal;
    int64_t user_cpu_ns, system_cpu_ns, wall_ns; /* spans */
    int has_max_rss;
    uint64_t max_rss_bytes;
};

struct futured_cancellation {
    int64_t time_ns;
    const char *principal, *reason;
    int64_t grace_ns;
};

struct futured_progress {
    uint64_t completed, total; /* total 0: not known */
    const char *message;
};

/* The record of one accepted task. */
struct futured_future {
    const char *id;
    enum futured_state state;
    uint64_t revision;
    const struct futured_result *result; /* SUCCEEDED, else NULL */
    const struct futured_error *error;   /* FAILED and CANCELLED, else NULL */
    const struct futured_task *task;     /* NULL in the view RESULT */
    enum futured_pending_reason pending_reason;
    int64_t submit_time_ns, start_time_ns, end_time_ns, expire_time_ns;
    size_t n_attempts;
    const struct futured_attempt *const *attempts; /* in order */
    size_t n_labels;                               /* the future's own, by key */
    const struct futured_label *labels;
    const char *group, *tag, *name_space;
    const struct futured_progress *progress;              /* NULL: none */
    const struct futured_cancellation *cancel_requested;  /* NULL: none */
    const struct futured_task_options *effective_options; /* what holds; NULL in the view RESULT */
    int32_t priority;                                     /* what holds now, after changes */
    int64_t not_before_ns, deadline_ns, next_start_time_ns;
    int64_t retention_ns;
    const char *principal, *peer; /* who submitted it */
    const char *traceparent, *retry_of, *retried_by;
    uint64_t argument_size;
    uint64_t output_size,
            log_size; /* of what its attempts have told, as far as it is kept (futured_watch_open_with) */
    int omitted;      /* bytes were left out because the answer had no room: get it singly */
    struct futured_bytes wire; /* the whole record as it came: an encoded futured.v1.Future */
};

/* futured_future_free: a future with all that it points to; not one that is part of something else. NULL is
 * allowed. Returns NULL. */
FUTURED_API struct futured_future *futured_future_free(struct futured_future *future);

/* futured_future_is_done: SUCCEEDED, FAILED or CANCELLED. */
FUTURED_API int futured_future_is_done(const struct futured_future *future);

/* --- calls
 * All: Return a code. On FUTURED_OK *ret is the caller's, to be freed; else it is not touched. */

/* futured_submit: accept a task. Answers once the acceptance is as durable as asked; view BASIC by default. */
FUTURED_API FUTURED_MUST_CHECK int futured_submit(struct futured_client *client,
                                                  struct futured_request *request,
                                                  struct futured_future **ret);

/* futured_submit_all: accept @n tasks in their order, over one stream, and wait for all answers. ret[i] is of requests[i]:
 *   its code, its future or why not; each is the caller's, futured_finished_free. A request that was answered no future, and
 *   all of them where the call failed, stay the same task: the same call again is safe. Of a client that does not block:
 *   FAILED_PRECONDITION; that one has futured_pipeline_new_submit. */
struct futured_finished;
FUTURED_API FUTURED_MUST_CHECK int futured_submit_all(struct futured_client *client,
                                                      struct futured_request *const *requests, size_t n,
                                                      struct futured_finished **ret);

/* futured_run: accept a task and wait for its outcome. When this call fails after the acceptance the task
 * goes on: futured_client_status()->future_id names it. */
FUTURED_API FUTURED_MUST_CHECK int futured_run(struct futured_client *client, struct futured_request *request,
                                               struct futured_future **ret);

/* futured_get: a future as it is now. NOT_FOUND: unknown or expired. */
FUTURED_API FUTURED_MUST_CHECK int futured_get(struct futured_client *client, const char *id,
                                               enum futured_view view, struct futured_future **ret);
/* futured_get_by_key: the future that holds an idempotency key. */
FUTURED_API FUTURED_MUST_CHECK int futured_get_by_key(struct futured_client *client, const char *key,
                                                      enum futured_view view, struct futured_future **ret);

/* futured_cancel: a pending future ends at once, a running one is asked to. @reason may be NULL; @grace_ns < 0
 * is the default. *ret (which may be NULL) is the future after that. */
FUTURED_API FUTURED_MUST_CHECK int futured_cancel(struct futured_client *client, const char *id,
                                                  const char *reason, int64_t grace_ns,
                                                  struct futured_future **ret);

/* futured_retry: the task of a FAILED or CANCELLED future again, as a new future, *ret, with retry_of; again on the same: the
 * retry that exists. */
FUTURED_API FUTURED_MUST_CHECK int futured_retry(struct futured_client *client, const char *id,
                                                 struct futured_future **ret);
/* futured_retry_with: the same with the options of @request (of which nothing else is looked at) in place of all options of the
 * task; durability and idempotency key must not be among them. */
FUTURED_API FUTURED_MUST_CHECK int futured_retry_with(struct futured_client *client, const char *id,
                                                      const struct futured_request *request,
                                                      struct futured_future **ret);

/* futured_delete: forget a finished future now. */
FUTURED_API FUTURED_MUST_CHECK int futured_delete(struct futured_client *client, const char *id);

/* futured_annotate: remove the labels @remove, then set the labels @set. @if_revision: only where the revision
 * is this one, else ABORTED; NULL: whatever it is. *ret may be NULL. */
FUTURED_API FUTURED_MUST_CHECK int futured_annotate(struct futured_client *client, const char *id,
                                                    const struct futured_label *set, size_t n_set,
                                                    const char *const *remove, size_t n_remove,
                                                    const uint64_t *if_revision, struct futured_future **ret);

/* What is to be changed; what is left as FUTURED_RESCHEDULE_OPTIONS_INIT has it stays as it is. */
struct futured_reschedule_options {
    size_t size;
    int has_priority;
    int32_t priority;
    int64_t not_before_ns; /* in the past: now */
    int64_t deadline_ns;
    int clear_deadline; /* remove it */
    int64_t retention_ns;
    const uint64_t *if_revision; /* only where the revision is this one, else ABORTED */
};
#define FUTURED_RESCHEDULE_OPTIONS_INIT                                                       \
    {                                                                                         \
        sizeof(struct futured_reschedule_options), 0, 0, FUTURED_NO_TIME, FUTURED_NO_TIME, 0, \
                FUTURED_NO_SPAN, NULL                                                         \
    }

/* futured_reschedule: change when a future runs, and how long it is kept. *ret may be NULL. */
FUTURED_API FUTURED_MUST_CHECK int futured_reschedule(struct futured_client *client, const char *id,
                                                      const struct futured_reschedule_options *options,
                                                      struct futured_future **ret);

/* Names futures: exactly one of ids, group and filter; the others NULL. Filter "*" is all (docs/filter.md). */
struct futured_selector {
    const char *const *ids;
    size_t n_ids;
    const char *group;
    const char *filter;
};

enum futured_return_when {
    FUTURED_ALL_COMPLETED = 1,
    FUTURED_FIRST_COMPLETED = 2,
    FUTURED_FIRST_EXCEPTION = 3,
    FUTURED_COUNT = 4
};

/* Options grow: start from FUTURED_WAIT_OPTIONS_INIT, which notes the size. */
struct futured_wait_options {
    size_t size;
    enum futured_return_when return_when;
    uint32_t count;     /* for FUTURED_COUNT */
    uint64_t expect;    /* over a group or filter: wait also until it has that many members */
    int64_t timeout_ns; /* < 0: none. 0: how it stands now. Asked again, what is left of it */
    enum futured_view view;
};
#define FUTURED_WAIT_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(struct futured_wait_options), FUTURED_ALL_COMPLETED, 0, 0, -1, FUTURED_VIEW_DEFAULT \
    }

struct futured_waited {
    size_t n_done;
    const struct futured_future *const *done;
    size_t n_not_done;
    const char *const *not_done; /* IDs */
    size_t n_missing;
    const char *const *missing; /* IDs, unknown or expired; they count as done */
    uint64_t pending, running, succeeded, failed, cancelled;
    int timed_out;             /* the timeout of the options ended the wait */
    struct futured_bytes wire; /* an encoded futured.v1.WaitResponse */
};

/* futured_wait: until enough of @selector are done, or the timeout of @options, which is no error. @options
 * NULL: all, without timeout. */
FUTURED_API FUTURED_MUST_CHECK int futured_wait(struct futured_client *client,
                                                const struct futured_selector *selector,
                                                const struct futured_wait_options *options,
                                                struct futured_waited **ret);
FUTURED_API struct futured_waited *futured_waited_free(struct futured_waited *waited);

struct futured_list_options {
    size_t size;
    int ascending;          /* oldest first; else newest first */
    uint32_t page_size;     /* 0: the default, 100 */
    const char *page_token; /* of the page before; NULL: the first page */
    enum futured_view view;
};
#define FUTURED_LIST_OPTIONS_INIT                                             \
    {                                                                         \
        sizeof(struct futured_list_options), 0, 0, NULL, FUTURED_VIEW_DEFAULT \
    }

struct futured_page {
    size_t n_futures;
    const struct futured_future *const *futures;
    const char *next_page_token; /* "": this was the last page. A page may be empty although more follow. */
    struct futured_bytes wire;   /* an encoded futured.v1.ListResponse */
};

/* futured_list: a page of futures, by ID. @options NULL: the defaults. */
FUTURED_API FUTURED_MUST_CHECK int futured_list(struct futured_client *client,
                                                const struct futured_selector *selector,
                                                const struct futured_list_options *options,
                                                struct futured_page **ret);
FUTURED_API struct futured_page *futured_page_free(struct futured_page *page);

struct futured_count_group {
    const char *value; /* "": of those that have none */
    uint64_t count;
    int64_t oldest_age_ns; /* how long ago the oldest was accepted; span */
};

struct futured_count {
    uint64_t count;
    int64_t oldest_age_ns;
    size_t n_groups; /* the largest first, at most 1,000 */
    const struct futured_count_group *groups;
    const char *next_page_token; /* "": all were counted. Else go on with it, and add up */
    struct futured_bytes wire;   /* an encoded futured.v1.CountResponse */
};

/* futured_count: how many there are. @group_by: state, function, pending_reason, reason, worker, principal or labels.KEY;
 * NULL: no groups. @page_token: of the call before; NULL: from the beginning. */
FUTURED_API FUTURED_MUST_CHECK int futured_count(struct futured_client *client,
                                                 const struct futured_selector *selector,
                                                 const char *group_by, const char *page_token,
                                                 struct futured_count **ret);
FUTURED_API struct futured_count *futured_count_free(struct futured_count *count);

struct futured_many_options {
    size_t size;
    int dry_run;            /* only count */
    const char *page_token; /* of the call before; NULL: from the beginning */
    const char *reason;     /* futured_cancel_many alone, as in futured_cancel; so is the grace */
    int64_t grace_ns;
};
#define FUTURED_MANY_OPTIONS_INIT                                           \
    {                                                                       \
        sizeof(struct futured_many_options), 0, NULL, NULL, FUTURED_NO_SPAN \
    }

struct futured_changed {
    uint64_t matched;            /* so many of those that this call looked at are selected */
    uint64_t changed;            /* so many of them were (with dry_run: would be) changed */
    const char *next_page_token; /* "": that was all. Else call again with it */
};

/* futured_cancel_many, _retry_many, _delete_many: what is selected and can be cancelled, retried, deleted; the rest is passed
 * over. A bounded number a call. */
FUTURED_API FUTURED_MUST_CHECK int futured_cancel_many(struct futured_client *client,
                                                       const struct futured_selector *selector,
                                                       const struct futured_many_options *options,
                                                       struct futured_changed **ret);
FUTURED_API FUTURED_MUST_CHECK int futured_retry_many(struct futured_client *client,
                                                      const struct futured_selector *selector,
                                                      const struct futured_many_options *options,
                                                      struct futured_changed **ret);
FUTURED_API FUTURED_MUST_CHECK int futured_delete_many(struct futured_client *client,
                                                       const struct futured_selector *selector,
                                                       const struct futured_many_options *options,
                                                       struct futured_changed **ret);
FUTURED_API struct futured_changed *futured_changed_free(struct futured_changed *changed);

struct futured_explanation {
    const char *id; /* "" where a function was asked for */
    const char *function;
    enum futured_state state;
    enum futured_pending_reason
            pending_reason; /* why it waits; of a function: the one that is next in its queue */
    const char *text;       /* the same in a sentence */
    int has_position, is_estimate;
    uint64_t position;         /* so many of the function start before it */
    uint64_t pending, running; /* of the function */
    uint32_t n_workers;        /* that serve the function */
    uint64_t credit;           /* how many more those would take now */
    int64_t next_start_time_ns;
    size_t n_waits_for;
    const char *const *waits_for; /* IDs */
    const char *limit;            /* that holds it; else "" */
    struct futured_bytes wire;    /* an encoded futured.v1.Explanation */
};

/* futured_explain: why a future is not moving; futured_explain_function: why the queue of a function is not. */
FUTURED_API FUTURED_MUST_CHECK int futured_explain(struct futured_client *client, const char *id,
                                                   struct futured_explanation **ret);
FUTURED_API FUTURED_MUST_CHECK int futured_explain_function(struct futured_client *client,
                                                            const char *function,
                                                            struct futured_explanation **ret);
FUTURED_API struct futured_explanation *futured_explanation_free(struct futured_explanation *explanation);

enum futured_function_kind {
    FUTURED_FUNCTION_PLUGIN = 1,
    FUTURED_FUNCTION_COMMAND = 2,
    FUTURED_FUNCTION_REMOTE = 3
};

struct futured_function {
    const char *name, *doc, *version;
    size_t n_kinds; /* 0: known, and not served at present */
    const enum futured_function_kind *kinds;
    int is_paused;
    const char *pause_reason;
    uint64_t pending, running, succeeded, failed, cancelled;
    uint32_t n_workers;
    int64_t mean_run_ns;                 /* span */
    const struct futured_error *failure; /* why it cannot be served; NULL: all is well */
    struct futured_bytes wire;           /* an encoded futured.v1.FunctionInfo */
    const char *pause_principal;         /* who paused it, and when */
    int64_t pause_time_ns;
    uint32_t max_running; /* the limits that hold; 0: none */
    uint64_t max_pending;
    double rate;
    int64_t limits_time_ns; /* when, by whom and why they were set; NO_TIME: they are those of the configuration */
    const char *limits_principal, *limits_reason;
};

struct futured_functions {
    size_t n_functions;
    const struct futured_function *const *functions; /* by name */
    const char *next_page_token;                     /* "": this was the last page */
};

/* futured_list_functions: a page of functions whose names begin with @prefix (NULL: all). @page_token: of the
 * page before; NULL: the first one. */
FUTURED_API FUTURED_MUST_CHECK int futured_list_functions(struct futured_client *client, const char *prefix,
                                                          const char *page_token,
                                                          struct futured_functions **ret);
FUTURED_API struct futured_functions *futured_functions_free(struct futured_functions *functions);

/* futured_get_function: one function. */
FUTURED_API FUTURED_MUST_CHECK int futured_get_function(struct futured_client *client, const char *function,
                                                        struct futured_function **ret);
/* futured_function_free: one that was answered alone. */
FUTURED_API struct futured_function *futured_function_free(struct futured_function *function);

/* futured_pause_function: start no task of it; what runs goes on, and more is accepted. futured_resume_function: end that.
 * @reason may be NULL, and so may @ret. */
FUTURED_API FUTURED_MUST_CHECK int futured_pause_function(struct futured_client *client, const char *function,
                                                          const char *reason, struct futured_function **ret);
FUTURED_API FUTURED_MUST_CHECK int futured_resume_function(struct futured_client *client,
                                                           const char *function, const char *reason,
                                                           struct futured_function **ret);

/* Limits to set; the others stay as they are. 0 is none. */
struct futured_limits {
    size_t size;
    int has_max_running, has_max_pending, has_rate;
    uint32_t max_running; /* so many run at a time */
    uint64_t max_pending; /* so many may wait; beyond, a submission is refused */
    double rate;          /* so many start a second, on average */
    int reset;            /* instead of all that: back to those of the configuration */
};
#define FUTURED_LIMITS_INIT                                  \
    {                                                        \
        sizeof(struct futured_limits), 0, 0, 0, 0, 0, 0.0, 0 \
    }

/* futured_set_function_limits: @reason may be NULL, and so may @ret. */
FUTURED_API FUTURED_MUST_CHECK int futured_set_function_limits(struct futured_client *client,
                                                               const char *function,
                                                               const struct futured_limits *limits,
                                                               const char *reason,
                                                               struct futured_function **ret);

enum futured_worker_state {
    FUTURED_WORKER_STARTING = 1,
    FUTURED_WORKER_READY = 2,
    FUTURED_WORKER_DRAINING = 3,
    FUTURED_WORKER_DISCONNECTED = 4
};

struct futured_worker_info {
    const char *id, *name, *version;
    enum futured_worker_state state;
    uint32_t pid;     /* of a process of the daemon's pool; 0: none */
    const char *peer; /* of a remote one; else "" */
    size_t n_functions;
    char *const *functions; /* that it serves */
    uint32_t slots, reserved, running;
    uint64_t finished;
    int64_t attach_time_ns, last_seen_time_ns;
    struct futured_bytes wire; /* an encoded futured.v1.WorkerInfo */
};

struct futured_workers {
    size_t n_workers;
    const struct futured_worker_info *const *workers; /* in the order in which they attached */
    uint64_t
            n_crashed; /* processes of the pool that have died other than in order, since the daemon's start */
    const char *next_page_token; /* "": this was the last page */
};

/* futured_list_workers: a page of the workers that are attached and serve @function (NULL: any). @page_token: of the
 * page before; NULL: the first one. */
FUTURED_API FUTURED_MUST_CHECK int futured_list_workers(struct futured_client *client, const char *function,
                                                        const char *page_token, struct futured_workers **ret);
FUTURED_API struct futured_workers *futured_workers_free(struct futured_workers *workers);

/* futured_drain_worker: the worker of that ID finishes what it runs and is given nothing more; of the pool, its whole process.
 * After @timeout_ns (< 0: as long as it takes) it is killed. @reason may be NULL, and so may @ret: the worker as it is now.
 * futured_kill_worker: it ends now, and what it runs is lost. NOT_FOUND: there is none of that ID. */
FUTURED_API FUTURED_MUST_CHECK int futured_drain_worker(struct futured_client *client, const char *worker_id,
                                                        const char *reason, int64_t timeout_ns,
                                                        struct futured_worker_info **ret);
FUTURED_API FUTURED_MUST_CHECK int futured_kill_worker(struct futured_client *client, const char *worker_id,
                                                       const char *reason);
/* futured_worker_info_free: one that was answered alone. */
FUTURED_API struct futured_worker_info *futured_worker_info_free(struct futured_worker_info *worker);

struct futured_stats {
    const char *openmetrics; /* values with their names and meanings, as OpenMetrics text */
    int is_omitted;          /* some had no room: ask with a prefix */
};

/* futured_get_stats: how the daemon does: what has names that begin with @prefix (NULL: all). */
FUTURED_API FUTURED_MUST_CHECK int futured_get_stats(struct futured_client *client, const char *prefix,
                                                     struct futured_stats **ret);
FUTURED_API struct futured_stats *futured_stats_free(struct futured_stats *stats);

struct futured_info {
    const char *version, *store; /* "0.1.0"; "sqlite" or "none" */
    uint64_t epoch;              /* one more at each start */
    int64_t start_time_ns;
    int is_draining;            /* it accepts nothing, or starts nothing */
    uint64_t max_message_bytes; /* the largest message either way */
    uint32_t pid;
    const char *principal;     /* of this client, as the daemon sees it */
    struct futured_bytes wire; /* an encoded futured.v1.GetInfoResponse */
};

/* futured_get_info: what the daemon is, and the limits that hold. */
FUTURED_API FUTURED_MUST_CHECK int futured_get_info(struct futured_client *client, struct futured_info **ret);
FUTURED_API struct futured_info *futured_info_free(struct futured_info *info);

struct futured_reloaded {
    size_t n_changed, n_needs_restart, n_plugins;
    char *const *changed;       /* settings that took effect, such as "pool.workers" */
    char *const *needs_restart; /* settings that take effect at the daemon's next start */
    char *const *plugins;       /* that are loaded anew, because their file is another one */
    struct futured_bytes wire;  /* an encoded futured.v1.ReloadResponse */
};

/* futured_reload: the daemon reads its configuration again; answered when what has changed is in use. With @is_dry_run it only
 * says what would change. FAILED_PRECONDITION: the configuration is wrong, as the status says; nothing has changed. */
FUTURED_API FUTURED_MUST_CHECK int futured_reload(struct futured_client *client, int is_dry_run,
                                                  struct futured_reloaded **ret);
FUTURED_API struct futured_reloaded *futured_reloaded_free(struct futured_reloaded *reloaded);

struct futured_drain_options {
    size_t size;        /* set by FUTURED_DRAIN_OPTIONS_INIT */
    int stop_accept;    /* no submission is accepted any more */
    int stop_dispatch;  /* no task is started any more */
    int exit;           /* both, and the daemon ends */
    int64_t timeout_ns; /* how long to wait for what runs; < 0: the daemon's default, 30 s */
    const char *reason; /* NULL: none */
};
#define FUTURED_DRAIN_OPTIONS_INIT                              \
    {                                                           \
        sizeof(struct futured_drain_options), 0, 0, 0, -1, NULL \
    }

struct futured_drained {
    int stop_accept, stop_dispatch, exit; /* what holds */
    uint64_t running, pending;            /* futures */
    struct futured_bytes wire;            /* an encoded futured.v1.DrainResponse */
};

/* futured_drain: stop the daemon in steps; answered when nothing runs any more, or the time for that is over. futured_resume:
 * undo all of that but an exit. */
FUTURED_API FUTURED_MUST_CHECK int futured_drain(struct futured_client *client,
                                                 const struct futured_drain_options *options,
                                                 struct futured_drained **ret);
FUTURED_API struct futured_drained *futured_drained_free(struct futured_drained *drained);
FUTURED_API FUTURED_MUST_CHECK int futured_resume(struct futured_client *client, const char *reason);

/* futured_ping: whether the daemon takes calls: FUTURED_OK (it is SERVING), UNAVAILABLE (it is not, or not
 * reached). */
FUTURED_API FUTURED_MUST_CHECK int futured_ping(struct futured_client *client);

/* --- streams
 * The timeout of the client bounds each _next and _take. DEADLINE_EXCEEDED from there, and RESOURCE_EXHAUSTED
 * with reason NO_MEMORY, leave the stream as it is, to be asked again; any other code but FUTURED_OK is its end
 * and comes again. (With patience, UNAVAILABLE comes only when that is over.) A client that has streams open must not stay away for minutes: the daemon takes it for
 * dead. */

/* Finished futures in the order of completion. */
struct futured_completions;

struct futured_completion {
    const struct futured_future *future; /* NULL: */
    const char *missing;                 /* this ID is unknown or expired; NULL where future is set */
};

/* futured_as_completed: wait for @ids (at most 10,000 a call); those that are done already come first, each
 * comes once. Owns: the caller, futured_completions_free. Return: a code. */
FUTURED_API FUTURED_MUST_CHECK int futured_as_completed(struct futured_client *client, const char *const *ids,
                                                        size_t n_ids, enum futured_view view,
                                                        struct futured_completions **ret);
/* futured_completions_add: further IDs. */
FUTURED_API FUTURED_MUST_CHECK int futured_completions_add(struct futured_completions *completions,
                                                           const char *const *ids, size_t n_ids);
/* futured_completions_next: the next one; *ret = NULL: all that was asked for has come. */
FUTURED_API FUTURED_MUST_CHECK int futured_completions_next(struct futured_completions *completions,
                                                            struct futured_completion **ret);
FUTURED_API struct futured_completion *futured_completion_free(struct futured_completion *completion);
FUTURED_API struct futured_completions *futured_completions_free(struct futured_completions *completions);

/* Events of futures. */
struct futured_watch;

enum futured_event_kind {
    FUTURED_EVENT_UNKNOWN = 0,
    FUTURED_EVENT_SNAPSHOT = 1,
    FUTURED_EVENT_STATE = 2,
    FUTURED_EVENT_PROGRESS = 3,
    FUTURED_EVENT_OUTPUT = 4,
    FUTURED_EVENT_LOG = 5,
    FUTURED_EVENT_LABELS = 6,
    FUTURED_EVENT_LOST = 7
};

struct futured_chunk {
    uint32_t attempt;
    int stream; /* 1 output, 2 standard output, 3 standard error, 4 log */
    uint64_t offset;
    struct futured_bytes data;
    int64_t time_ns;
};

struct futured_event {
    enum futured_event_kind kind;
    const char *id; /* LOST: of one that is not there any more; "": of no single one */
    int64_t time_ns;
    const struct futured_future *future;     /* SNAPSHOT, STATE, LABELS; else NULL */
    const struct futured_progress *progress; /* PROGRESS, else NULL */
    const struct futured_chunk *chunk;       /* OUTPUT, LOG, else NULL */
    uint64_t n_lost;                         /* LOST: how many, 0 not known */
    struct futured_bytes wire;               /* an encoded futured.v1.FutureEvent */
};

/* futured_watch_open: first a snapshot of each future, then what changes. Over IDs it ends when the last one
 * is done; over a group or filter it goes on. Opened again after a loss, over IDs nothing that was told comes twice, and for one
 * that is not there any more (deleted, or an EPHEMERAL one of a daemon that was restarted) an event LOST comes; over a
 * group or filter it goes on behind the last event, or, where the daemon cannot (it was restarted, or too much has happened),
 * with an event LOST and snapshots. Owns: the caller, futured_watch_free. Return: a code. */
FUTURED_API FUTURED_MUST_CHECK int futured_watch_open(struct futured_client *client,
                                                      const struct futured_selector *selector,
                                                      enum futured_view view, struct futured_watch **ret);
/* The place behind an event, over a group or a filter. */
struct futured_cursor {
    uint64_t epoch, event;
};

/* Options grow: start from FUTURED_WATCH_OPTIONS_INIT, which notes the size. */
struct futured_watch_options {
    size_t size;
    enum futured_view view;
    unsigned int
            kinds; /* bits FUTURED_WATCH_KIND(FUTURED_EVENT_STATE ... _LABELS); 0: the daemon's default */
    uint64_t after_revision; /* over IDs: no snapshot of a future whose revision is not above this */
    uint64_t output_offset, log_offset; /* over IDs: output and log from there on */
    struct futured_cursor cursor;       /* over a group or a filter: go on from there; epoch 0: from now */
};
#define FUTURED_WATCH_OPTIONS_INIT                                              \
    {                                                                           \
        sizeof(struct futured_watch_options), FUTURED_VIEW_DEFAULT, 0, 0, 0, 0, \
        {                                                                       \
            0, 0                                                                \
        }                                                                       \
    }
#define FUTURED_WATCH_KIND(kind) (1U << (kind))

/* futured_watch_open_with: as futured_watch_open; @options NULL: the defaults. */
FUTURED_API FUTURED_MUST_CHECK int futured_watch_open_with(struct futured_client *client,
                                                           const struct futured_selector *selector,
                                                           const struct futured_watch_options *options,
                                                           struct futured_watch **ret);
/* futured_watch_cursor: the place that the watch has come to: over a group or a filter, once all snapshots have come. 1; 0: there
 * is none. */
FUTURED_API int futured_watch_cursor(const struct futured_watch *watch, struct futured_cursor *ret);
/* futured_watch_next: the next event; *ret = NULL: the watch has come to its end. */
FUTURED_API FUTURED_MUST_CHECK int futured_watch_next(struct futured_watch *watch,
                                                      struct futured_event **ret);
FUTURED_API struct futured_event *futured_event_free(struct futured_event *event);
FUTURED_API struct futured_watch *futured_watch_free(struct futured_watch *watch);

/* Many tasks, a bounded number in flight: the fast way.
 *
 *     while (there is more to do or futured_pipeline_in_flight(p)) {
 *         while (there is more to do and not futured_pipeline_is_full(p))
 *             futured_pipeline_put(p, request, my_item);
 *         futured_pipeline_take(p, &finished);     finished->user is my_item, finished->future its record
 *         futured_finished_free(finished);
 *     }
 *
 * It either runs them (futured_pipeline_new: an answer is the finished future, in the order of completion) or submits them
 * (futured_pipeline_new_submit: an answer is the future as accepted, as durable as asked, in the order of the puts).
 */
struct futured_pipeline;

struct futured_finished {
    void *user; /* as given with the request; of futured_submit_all: the request */
    int code;   /* FUTURED_OK: future is set. Else the task was not accepted, or the stream was lost. */
    const struct futured_future *future;
    const struct futured_status *status; /* never NULL */
    /* The request ID that the library made for it. Where the stream was lost, futured_request_set_request_id with it and
     * another put are the same task. "" where the ID was the caller's. */
    const char *request_id;
    int joined; /* submitted: the future existed before: its idempotency key or request ID was known */
};

/* futured_pipeline_new: @max_in_flight requests at a time (0: 256; at most 65536). Nothing is sent yet.
 *   Owns: the caller, futured_pipeline_free. NULL: no memory. */
FUTURED_API FUTURED_MUST_CHECK struct futured_pipeline *futured_pipeline_new(struct futured_client *client,
                                                                             uint32_t max_in_flight);
/* futured_pipeline_new_submit: as futured_pipeline_new; @max_in_flight is of what is not yet accepted. */
FUTURED_API FUTURED_MUST_CHECK struct futured_pipeline *futured_pipeline_new_submit(
        struct futured_client *client, uint32_t max_in_flight);
/* futured_pipeline_free: what is in flight goes on in the daemon, unless it was to be cancelled then. */
FUTURED_API struct futured_pipeline *futured_pipeline_free(struct futured_pipeline *pipeline);

FUTURED_API size_t futured_pipeline_in_flight(const struct futured_pipeline *pipeline);
FUTURED_API int futured_pipeline_is_full(const struct futured_pipeline *pipeline);

/* futured_pipeline_put: one more task. It leaves when some 32 KiB are waiting, with the next take, or with
 *   futured_pipeline_flush. The pipeline uses the tag of the request for itself.
 *   Return: a code; FAILED_PRECONDITION where the pipeline is full (futured_pipeline_is_full). On any but
 *   FUTURED_OK the request is not in flight. */
FUTURED_API FUTURED_MUST_CHECK int futured_pipeline_put(struct futured_pipeline *pipeline,
                                                        struct futured_request *request, void *user);
FUTURED_API FUTURED_MUST_CHECK int futured_pipeline_flush(struct futured_pipeline *pipeline);

/* futured_pipeline_take: wait for the next that finishes; *ret = NULL: nothing is in flight. When the stream
 *   is lost and there is no patience for that, each request in flight comes back with the code of that, and later puts fail with it.
 *   Return: FUTURED_OK; DEADLINE_EXCEEDED; RESOURCE_EXHAUSTED (memory; the request stays in flight). */
FUTURED_API FUTURED_MUST_CHECK int futured_pipeline_take(struct futured_pipeline *pipeline,
                                                         struct futured_finished **ret);
/* futured_finished_free: NULL is allowed. Returns NULL. */
FUTURED_API struct futured_finished *futured_finished_free(struct futured_finished *finished);

#ifdef __cplusplus
}
#endif
