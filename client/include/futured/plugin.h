/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUTURED_PLUGIN_H
#define FUTURED_PLUGIN_H
/*
 * Functions for futured, the daemon for parallel task execution, as a shared object:
 *
 *     #include <futured/plugin.h>
 *
 *     static int reverse(const struct futured_host *host, struct futured_call *call, void *state)
 *     {
 *         size_t n;
 *         const char *from = (const char *)host->argument(call, &n);
 *         char *to = (char *)host->reserve_result(call, n);
 *         size_t i;
 *
 *         if (!to)
 *             return -1;
 *         for (i = 0; i < n; i++)
 *             to[i] = from[n - 1 - i];
 *         return host->commit_result(call, n);
 *     }
 *
 *     static const struct futured_plugin_function functions[] = {
 *         {"reverse", "The argument, last byte first.", NULL, NULL, reverse, NULL, NULL},
 *     };
 *     const struct futured_plugin futured_plugin = {
 *         FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "text", "1.0",
 *         functions, sizeof functions[0], sizeof functions / sizeof functions[0],
 *     };
 *
 * Compile with -shared -fPIC; link with nothing of futured.
 *
 * Where it runs: in processes of the daemon's pool (futured-worker), never in the daemon. One process runs many calls, of many
 * submitters. Unless the daemon is configured with [pool] threads, a process has one thread that calls functions, so no two
 * calls run at a time in one process, and what a function keeps in memory is its own. With it run is called by several threads
 * at once, for calls of one function as of different ones, with the same state; init and fini are called once for each
 * process all the same, while no call runs. A call that crashes costs its own attempt; its process is replaced.
 *
 * What a function must leave alone: file descriptors that it has not opened, the handling of SIGTERM, and children that
 * it has not started.
 *
 * Versions: FUTURED_PLUGIN_ABI changes when something that is here changes its meaning or place. Additions go to the end
 * of a structure and are seen by its size: a plugin that wants to run in older hosts asks FUTURED_HOST_HAS before it uses
 * what was added later, and a host takes a plugin whose structures end before what was added. Added so far: n_upstreams
 * and upstream of the host; options of a function; progress, output and log of the host.
 *
 * docs/plugins.md tells more; client/examples has a plugin in C and one in C++.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUTURED_PLUGIN_ABI 1

#ifdef __GNUC__
#define FUTURED_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define FUTURED_PLUGIN_EXPORT
#endif

/* One execution of a task; valid until run returns. */
struct futured_call;

/* Why a call fails. Texts are UTF-8 (other bytes are replaced), may be NULL, and are copied. */
struct futured_failure {
    size_t size;           /* sizeof(struct futured_failure) */
    const char *type;      /* class of the error, such as "ValueError"; at most 255 bytes */
    const char *message;   /* for people */
    const char *reason;    /* the function's own reason, for programs; at most 255 bytes */
    const char *traceback; /* where it happened */
    int code;              /* google.rpc.Code; 0 is UNKNOWN (2) */
    int retryable;         /* 1: another attempt could succeed; 0: not said, which is the same;
                            * -1: it would fail as well, so none is made, whatever the retry policy says */
};

/* What became of a future that the task depends on; see n_upstreams. */
struct futured_upstream {
    size_t size;    /* sizeof(struct futured_upstream), set by who asks */
    const char *id; /* of that future */
    int succeeded;  /* not 0: the result is in data and content_type; 0: the error is in what follows */
    const void *data;
    size_t data_size;
    const char *content_type;
    const char *reason; /* the daemon's: "FUNCTION_ERROR", "CANCELLED", ... */
    const char *type, *message, *function_reason;
    int code; /* google.rpc.Code */
};

/* What the host does for a function. Everything that is returned belongs to the host and is valid until run returns.
 * Strings are never NULL ("" where there is none) unless it is said. Only for the thread that runs the call, but
 * cancelled, which any thread may ask. */
struct futured_host {
    size_t size; /* of this structure in the host */

    /* The task. The bytes of the argument are followed by no NUL. */
    const void *(*argument)(const struct futured_call *call, size_t *ret_size);
    const char *(*content_type)(struct futured_call *call);
    const char *(*function)(struct futured_call *call);
    /* The value of a label of the task; NULL: it has no such label, or there is no memory. */
    const char *(*label)(struct futured_call *call, const char *key);

    /* The future and the attempt. id: 36 characters. attempt: 1 for the first. */
    const char *(*id)(struct futured_call *call);
    uint32_t (*attempt)(const struct futured_call *call);
    const char *(*group)(struct futured_call *call);
    const char *(*traceparent)(struct futured_call *call);

    /* Not 0 once the call should end because its future was cancelled or its time is up. If it then fails, it is taken
     * as cancelled; if it answers all the same, that is its result. */
    int (*cancelled)(const struct futured_call *call);

    /* The result: empty unless one of these sets it; the last one counts. max_result: the most bytes that it may have.
     * set_result copies. reserve_result answers room for @size bytes that still holds what was written into the room
     * reserved before; commit_result says how many of them are the result. Where they cannot (too large, no memory) the
     * call has failed and they answer -1 or NULL; let run return -1 then. */
    size_t (*max_result)(const struct futured_call *call);
    int (*set_result)(struct futured_call *call, const void *data, size_t size);
    void *(*reserve_result)(struct futured_call *call, size_t size);
    int (*commit_result)(struct futured_call *call, size_t size);
    /* The media type of the result; at most 255 bytes. 0, or -1. */
    int (*set_content_type)(struct futured_call *call, const char *content_type);

    /* The call fails, whatever run returns later; the first reason given counts. Both answer -1. */
    int (*fail)(struct futured_call *call, const char *type, const char *message);
    int (*fail_with)(struct futured_call *call, const struct futured_failure *failure);

    /* Where the task was submitted with pass_results: how many futures it depends on, in the order of depends_on, and what
     * became of the @i-th. 0; -1: there is no such, or no memory. */
    size_t (*n_upstreams)(const struct futured_call *call);
    int (*upstream)(struct futured_call *call, size_t i, struct futured_upstream *ret);

    /* What clients see before the call has ended, and keep seeing with its future. 0; -1: no memory, and nothing was said; the
     * call itself goes on as it is. What is said often is gathered and sent a few times a second, and of progress only the last.
     *   progress: units done, and in all (0: not known), of the function's choice; message, UTF-8, may be NULL, at most 1 KiB.
     *   output:   bytes that follow those said before; no part of the result.
     *   log:      a line or some, UTF-8; a newline is put behind where there is none.
     * As much of output and of log is kept as the daemon is configured for ([limits] max_output, max_log); what is beyond it is
     * dropped, and the log says so. */
    int (*progress)(struct futured_call *call, uint64_t completed, uint64_t total, const char *message);
    int (*output)(struct futured_call *call, const void *data, size_t size);
    int (*log)(struct futured_call *call, const char *text);
};

#define FUTURED_HOST_HAS(host, member) \
    ((host)->size >= offsetof(struct futured_host, member) + sizeof((host)->member))

/* Options of the tasks of a function, where they do not say otherwise themselves; they are those of TaskOptions in the
 * contract. What is 0 is not said; FUTURED_NONE says that there is none. Times are in milliseconds, at most 10 years. */
#define FUTURED_NONE (-1)

enum futured_durability { FUTURED_DURABILITY_UNSAID = 0, FUTURED_DURABLE = 1, FUTURED_EPHEMERAL = 2 };
enum futured_on_lost { FUTURED_ON_LOST_UNSAID = 0, FUTURED_ON_LOST_RETRY = 1, FUTURED_ON_LOST_FAIL = 2 };

struct futured_options {
    size_t size; /* sizeof(struct futured_options) */
    enum futured_durability durability;
    int32_t priority;
    int64_t attempt_timeout_ms;
    int64_t retention_ms; /* or FUTURED_NONE: forgotten at its end */
    enum futured_on_lost on_lost;

    /* When a failed attempt is followed by another. */
    uint32_t max_attempts;                      /* at most 1,000 */
    int64_t initial_backoff_ms, max_backoff_ms; /* or FUTURED_NONE: no pause */
    double multiplier;                          /* 1 or more */
    double jitter;                              /* to 1, or FUTURED_NONE: no part of a pause is random */
    const char *const *non_retryable_types; /* at most 64 of at most 255 bytes, NULL at the end; or NULL */
};

struct futured_plugin_function {
    const char *name;                 /* 1-255 characters of [A-Za-z0-9._-] */
    const char *doc;                  /* for people, at most 4 KiB; may be NULL */
    const char *const *content_types; /* of its argument: at most 16, NULL at the end; NULL: any */

    /* Once, before the first call in this process; may be NULL. *ret_state is handed to run and fini. Other than 0: the
     * function is not served by this process, and the worker says so in its log. */
    int (*init)(const struct futured_host *host, void **ret_state);
    /* One call; with [pool] threads several at once. 0: it succeeded, with the result that was set. Other: it failed; without fail or fail_with the
     * message is the number. */
    int (*run)(const struct futured_host *host, struct futured_call *call, void *state);
    /* Once, when the process ends in order; may be NULL. Not after a crash or a kill. */
    void (*fini)(void *state);

    const struct futured_options *options; /* may be NULL */
};

/* A plugin exports one of these under the name futured_plugin. Everything in it must live as long as the process. */
struct futured_plugin {
    uint32_t abi;        /* FUTURED_PLUGIN_ABI */
    size_t size;         /* sizeof(struct futured_plugin) */
    const char *name;    /* for people and the log */
    const char *version; /* at most 255 bytes; may be NULL */
    const struct futured_plugin_function *functions;
    size_t function_size; /* sizeof(struct futured_plugin_function) */
    size_t n_functions;
};

extern FUTURED_PLUGIN_EXPORT const struct futured_plugin futured_plugin;

#ifdef __cplusplus
}
#endif

#endif
