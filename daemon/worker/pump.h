// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A process that runs one attempt, from its birth to its end: what goes into it and comes out of it, until it has died and
 * nothing of it is left. See pump.c.
 *
 * A cancelled attempt gets SIGTERM at once (that is how a process is told) and SIGKILL when PUMP_GRACE_PARTS of its grace are
 * over, so that it has ended when the daemon would put an end to the worker.
 */
#include "base/cgroup.h"
#include "base/child.h"
#include "worker/attempt.h"

enum {
    PUMP_STDERR_BYTES =
            64 * 1024 -
            100,          /* the last ones are kept; with a note they are not over ATTEMPT_TEXT_MAX_BYTES */
    PUMP_GRACE_PARTS = 7, /* eighths */
};

/* What an attempt may use; 0: no limit. */
struct pump_limits {
    uint64_t memory_bytes; /* of all its processes where there is a control group, else of each */
    uint64_t cpu_seconds;  /* of each of its processes */
    uint64_t result_bytes;
    uint64_t open_files;
    const struct confine *confine; /* its sandbox; NULL: none */
};

/* Why we ended it. */
enum pump_stop { PUMP_NOT_STOPPED, PUMP_CANCELLED, PUMP_TOO_LARGE, PUMP_NO_MEMORY };

struct pump {
    struct futured_call *call;
    const struct pump_limits *limits;
    struct cgroup_home *cgroups; /* where it may have a group of its own; NULL: nowhere */
    struct span to_write;        /* to its standard input, and then this: */
    struct span to_write_next;
    const char *keep; /* a directory that its sandbox leaves visible; NULL */
    int is_plugin; /* it is this program with a function of a plugin: exit codes are none of the function's */
    size_t max_output_bytes;
    void (*on_output)(
            struct futured_call *call); /* more of it has come into call->result; NULL = nobody asks */
    struct child child;
    struct buf err; /* at least the last PUMP_STDERR_BYTES */
    uint64_t n_err; /* all that came */
    enum pump_stop stop;
    mono_ns_t kill_at;
    int status;              /* as wait has it, once it has ended */
    uint64_t n_memory_kills; /* processes that the kernel has killed because of the limit */
};

/* pump_run: to its end. Its standard output goes to call->result, and its usage, exit code and signal to @p->call.
 *   Return: 0; PUMP_E_NOT_STARTED (the attempt has failed). */
enum { PUMP_E_NOT_STARTED = 1 };
MUST_CHECK int pump_run(struct pump *p, const char *path, char *const *argv, char *const *env,
                        const char *directory);
void pump_deinit(struct pump *p);

/* pump_judge: where it did not end by itself with exit code 0, the attempt has failed; what it said on standard error is the
 * traceback. 0: it has not. */
int pump_judge(struct pump *p);
