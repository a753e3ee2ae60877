/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Serve functions of futured from a process of your own, wherever it runs:
 *
 *     static int reverse(struct futured_job *job, void *arg)
 *     {
 *         size_t n;
 *         const char *from = futured_job_argument(job, &n);
 *         char *to = malloc(n + 1);
 *
 *         for (size_t i = 0; i < n; i++)
 *             to[i] = from[n - 1 - i];
 *         futured_job_set_result(job, to, n);
 *         free(to);
 *         return 0;
 *     }
 *
 *     struct futured_worker *worker = futured_worker_new(NULL);
 *
 *     futured_worker_add_function(worker, "reverse", reverse, NULL);
 *     if (futured_worker_run(worker) != FUTURED_OK)
 *         fprintf(stderr, "%s\n", futured_worker_status(worker)->message);
 *     futured_worker_free(worker);
 *
 * What the library does by itself: it connects and says who the worker is, takes as much work as there are slots (and a
 * little more, of functions that take no time), tells starts and ends, keeps its leases by heartbeats while functions run,
 * connects again when the connection or the daemon was lost, with growing pauses, and goes on with what it still holds.
 * An outcome that may have been lost with a connection is told again; where the daemon has given the task to somebody
 * else meanwhile, what runs here is cancelled and its outcome dropped. So a function runs at least once for each attempt
 * that ends; docs/workers.md says more.
 *
 * Threads: one thread sets the worker up and calls futured_worker_run, which does not return until the worker has ended.
 * Meanwhile that thread serves the connection, and the functions run in as many threads as there are slots, started and
 * joined by the library: with more than one slot a function must be able to run beside itself. A job belongs to the thread
 * that its function was called in; other threads may call futured_job_is_cancelled, _progress, _output and _log while the
 * function runs. futured_worker_stop may be called from any thread and from a signal handler.
 *
 * Ownership: what is given is copied. What a job answers belongs to the job and is valid until its function returns.
 */
#include <futured/client.h>

#ifdef __cplusplus
extern "C" {
#endif

struct futured_worker;
struct futured_job; /* one attempt at one task */

/* A function. 0: it succeeded, with the result that was set (empty where none was). Other: it failed; without
 * futured_job_fail the error's message is the number. */
typedef int (*futured_function_fn)(struct futured_job *job, void *arg);

enum { FUTURED_WORKER_MAX_SLOTS = 1024, FUTURED_WORKER_CHUNK_BYTES = 64 * 1024 };

/* --- the worker */

/* futured_worker_new: for the daemon at @address, as for futured_client_new (NULL: the default). Nothing is connected yet.
 *   Owns: the caller, futured_worker_free. NULL: no memory. */
FUTURED_API FUTURED_MUST_CHECK struct futured_worker *futured_worker_new(const char *address);
/* futured_worker_new_as: for the daemon of @client, which has its address, and as whom it is: with its certificates and token
 * (futured_client_set_tls, futured_client_set_token), as they are now. The client is not needed afterwards.
 *   Owns: the caller, futured_worker_free. NULL: no memory. */
FUTURED_API FUTURED_MUST_CHECK struct futured_worker *futured_worker_new_as(
        const struct futured_client *client);
/* futured_worker_free: not while futured_worker_run is running. NULL is allowed. Returns NULL. */
FUTURED_API struct futured_worker *futured_worker_free(struct futured_worker *worker);

/* Setters: before futured_worker_run, by the same thread. Memory that fails, and what the daemon would refuse, is told by
 * futured_worker_run. */

/* futured_worker_set_name: for people, at most 255 bytes. At first: the host and the process, "host:4711". */
FUTURED_API void futured_worker_set_name(struct futured_worker *worker, const char *name);
/* futured_worker_set_version: of the program, at most 255 bytes. At first that of this library. */
FUTURED_API void futured_worker_set_version(struct futured_worker *worker, const char *version);
/* futured_worker_add_label: for people; at most 64. */
FUTURED_API void futured_worker_add_label(struct futured_worker *worker, const char *key, const char *value);
/* futured_worker_set_slots: how many functions run at a time, each in a thread of its own: 1 (at first) to
 * FUTURED_WORKER_MAX_SLOTS. */
FUTURED_API void futured_worker_set_slots(struct futured_worker *worker, uint32_t slots);
/* futured_worker_set_prefetch: how many tasks may wait here beyond the slots: 16 at first, at most 4,000. The daemon makes
 * use of that only for functions of which it has seen that they take less than a millisecond, and asks them back where they
 * would wait. */
FUTURED_API void futured_worker_set_prefetch(struct futured_worker *worker, uint32_t prefetch);
/* futured_worker_set_max_tasks: take so many tasks and then end as by futured_worker_stop. 0 (at first): no limit. */
FUTURED_API void futured_worker_set_max_tasks(struct futured_worker *worker, uint64_t max_tasks);
/* futured_worker_set_patience: give up (UNAVAILABLE) after so long without the daemon. < 0 (at first): never; 0: the first
 * failure to connect ends it. Pauses between attempts grow from 0.1 s to 10 s, half of each by chance. */
FUTURED_API void futured_worker_set_patience(struct futured_worker *worker, int64_t patience_ns);

struct futured_function_options {
    size_t size;                      /* sizeof(struct futured_function_options) */
    const char *doc;                  /* for people, at most 4 KiB; NULL: none */
    const char *version;              /* at most 255 bytes; NULL: none */
    const char *const *content_types; /* of the argument: at most 16, NULL at the end; NULL: any */
    uint32_t max_running; /* so many of its tasks at a time at most; 0: as many as there are slots */
    /* Of its tasks that do not say otherwise: durability, priority, attempt timeout, retry, on_lost and retention as they are
     * set here; none: what was said before is taken back. NULL: that stays. */
    const struct futured_request *default_options;
};
#define FUTURED_FUNCTION_OPTIONS_INIT                                      \
    {                                                                      \
        sizeof(struct futured_function_options), NULL, NULL, NULL, 0, NULL \
    }

/* futured_worker_add_function: serve @name (1-255 characters of [A-Za-z0-9._-]) by @run, which gets @arg.
 * futured_worker_add_function_with: @options may be NULL. */
FUTURED_API void futured_worker_add_function(struct futured_worker *worker, const char *name,
                                             futured_function_fn run, void *arg);
FUTURED_API void futured_worker_add_function_with(struct futured_worker *worker, const char *name,
                                                  futured_function_fn run, void *arg,
                                                  const struct futured_function_options *options);

/* What futured_worker_on_event tells. */
enum futured_worker_event {
    FUTURED_WORKER_EVENT_ATTACHED =
            1,                     /* the daemon gives work; text: the ID that it has given to this worker */
    FUTURED_WORKER_EVENT_LOST = 2, /* no connection, and it is tried again; text: why */
    FUTURED_WORKER_EVENT_DRAINING = 3 /* nothing more is taken; text: who wants it, and why */
};
/* futured_worker_on_event: have @told called, in the thread of futured_worker_run. It may call futured_worker_stop and
 * nothing else of this worker. */
FUTURED_API void futured_worker_on_event(struct futured_worker *worker,
                                         void (*told)(void *arg, enum futured_worker_event event,
                                                      const char *text),
                                         void *arg);

/* futured_worker_run: serve until it is over.
 *   Return: FUTURED_OK: it was stopped, has done its max_tasks, or the daemon has drained it, and all that it ran has been
 *   told. UNAVAILABLE: out of patience. ABORTED: another process came with its name's secret, or it was killed by the
 *   daemon's administrator. Else what the daemon has against it: INVALID_ARGUMENT, PERMISSION_DENIED, ... A daemon that
 *   ends is no reason to return: the worker waits for the next one. Once: a second run is FAILED_PRECONDITION. */
FUTURED_API FUTURED_MUST_CHECK int futured_worker_run(struct futured_worker *worker);

/* futured_worker_stop: take nothing more, finish what runs, tell it, and let futured_worker_run return. Said again: give up
 * what runs as well: it is cancelled here, its outcome is not told, and the daemon has it run again by another worker. Any
 * thread; async-signal-safe. */
FUTURED_API void futured_worker_stop(struct futured_worker *worker);

/* futured_worker_status: how futured_worker_run has ended. Never NULL; owned by the worker. */
FUTURED_API const struct futured_status *futured_worker_status(const struct futured_worker *worker);

/* --- the job: what was asked. Strings are never NULL, but where it is said. */

FUTURED_API const void *futured_job_argument(const struct futured_job *job, size_t *ret_size);
FUTURED_API const char *futured_job_content_type(struct futured_job *job);
FUTURED_API const char *futured_job_function(const struct futured_job *job);
/* futured_job_label: of the task; NULL: there is no such label. */
FUTURED_API const char *futured_job_label(struct futured_job *job, const char *key);
/* futured_job_labels: all of them. NULL: there are none, or no memory. */
FUTURED_API const struct futured_label *futured_job_labels(struct futured_job *job, size_t *ret_n);
FUTURED_API const char *futured_job_id(const struct futured_job *job); /* of the future, 36 characters */
FUTURED_API uint32_t futured_job_attempt(const struct futured_job *job);
FUTURED_API const char *futured_job_group(struct futured_job *job);
FUTURED_API const char *futured_job_traceparent(struct futured_job *job);
/* futured_job_attempt_timeout: span from its start in which it must end, FUTURED_NO_SPAN; the daemon cancels it then.
 * futured_job_deadline: time at which the future fails, FUTURED_NO_TIME. */
FUTURED_API int64_t futured_job_attempt_timeout(const struct futured_job *job);
FUTURED_API int64_t futured_job_deadline(const struct futured_job *job);

/* What became of a future that the task depends on, where it was submitted with pass_results. */
struct futured_job_upstream {
    const char *id;
    int succeeded;             /* not 0: data and content_type; 0: what follows */
    struct futured_bytes data; /* followed by no NUL */
    const char *content_type;
    int code; /* enum futured_code */
    const char *reason, *type, *message, *function_reason;
};
FUTURED_API size_t futured_job_n_upstreams(const struct futured_job *job);
/* futured_job_upstream: the @i-th, in the order of depends_on; NULL: there is none, or no memory. */
FUTURED_API const struct futured_job_upstream *futured_job_upstream(struct futured_job *job, size_t i);

/* --- the job: being cancelled */

/* futured_job_is_cancelled: not 0 once it should end: its future was cancelled, its time is up, its lease was lost, or the
 * worker was stopped twice. If the function then fails, that is taken as cancelled; if it answers all the same, that is its
 * result. Any thread. futured_job_cancel_fd: readable from then on, to poll; owned by the job, not to be read. */
FUTURED_API int futured_job_is_cancelled(const struct futured_job *job);
FUTURED_API int futured_job_cancel_fd(const struct futured_job *job);
/* Once it is cancelled: why, for people, and how long it has to end by itself (0: none). */
FUTURED_API const char *futured_job_cancel_reason(struct futured_job *job);
FUTURED_API int64_t futured_job_cancel_grace(const struct futured_job *job);

/* --- the job: what is told while it runs. 0; -1: in vain, it is cancelled or its lease is lost. */

/* futured_job_progress: @total 0: not known; @message may be NULL. Only the last one counts. */
FUTURED_API int futured_job_progress(struct futured_job *job, uint64_t completed, uint64_t total,
                                     const char *message);

enum futured_stream {
    FUTURED_STREAM_OUTPUT = 1, /* of the function */
    FUTURED_STREAM_STDOUT = 2,
    FUTURED_STREAM_STDERR = 3,
    FUTURED_STREAM_LOG = 4
};
/* futured_job_output, futured_job_log: of any size, and no wait. What the daemon keeps of an attempt, as its configuration
 * says, is kept here too, and said again where a connection was lost; what is beyond that is dropped. -1 also without memory. */
FUTURED_API int futured_job_output(struct futured_job *job, enum futured_stream stream, const void *data,
                                   size_t size);
FUTURED_API int futured_job_log(struct futured_job *job, enum futured_stream stream, const void *data,
                                size_t size);

/* --- the job: its outcome. Each answers 0, or -1 where it could not, and then the job has failed for that reason. */

/* futured_job_set_result: copied; the last one counts. At most futured_job_max_result bytes. */
FUTURED_API int futured_job_set_result(struct futured_job *job, const void *data, size_t size);
FUTURED_API size_t futured_job_max_result(const struct futured_job *job);
/* futured_job_append_result: to what has been set or appended. */
FUTURED_API int futured_job_append_result(struct futured_job *job, const void *data, size_t size);
/* futured_job_set_content_type: the media type of the result; at most 255 bytes. */
FUTURED_API int futured_job_set_content_type(struct futured_job *job, const char *content_type);

/* Why a job fails. Texts are UTF-8 (other bytes are replaced) and may be NULL. */
struct futured_job_failure {
    size_t size;           /* sizeof(struct futured_job_failure) */
    const char *type;      /* class of the error, such as "ValueError"; at most 255 bytes */
    const char *message;   /* for people; at most 64 KiB, as traceback */
    const char *reason;    /* the function's own reason, for programs; at most 255 bytes */
    const char *traceback; /* where it happened */
    int code;              /* enum futured_code; 0 is FUTURED_UNKNOWN */
    int retryable; /* 1: another attempt could succeed; 0: not said; -1: it would fail as well, so none is made,
                            * whatever the retry policy says */
};

/* The job fails, whatever the function returns later; the first reason given counts. Both answer -1. */
FUTURED_API int futured_job_fail(struct futured_job *job, const char *type, const char *message);
FUTURED_API int futured_job_fail_with(struct futured_job *job, const struct futured_job_failure *failure);

/* For functions that run a process: how it ended, and what it used (spans; < 0 and 0 bytes: not known). What is not said is
 * what the thread of the function has used. */
FUTURED_API void futured_job_set_exit_code(struct futured_job *job, int exit_code);
FUTURED_API void futured_job_set_signal(struct futured_job *job, int signal_number);
FUTURED_API void futured_job_set_usage(struct futured_job *job, int64_t user_cpu_ns, int64_t system_cpu_ns,
                                       uint64_t max_rss_bytes);

#ifdef __cplusplus
}
#endif
