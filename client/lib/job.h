// SPDX-License-Identifier: Apache-2.0
#pragma once
/* One attempt that a worker of the library runs: what came, what the function has said, and how it ended. */
#include "attach/answer.h"
#include "attach/inbox.h"
#include "base/arena.h"

#include <stdatomic.h>

#include <futured/worker.h>

struct futured_worker;

struct served { /* a function */
    struct list link;
    const char *name, *doc, *version;
    char **content_types; /* NULL: any */
    size_t n_content_types;
    uint32_t max_running; /* 0 = no limit */
    int has_options;
    struct span default_options; /* TaskOptions */
    futured_function_fn run;
    void *arg;
};

enum told_kind { TOLD_OUTPUT, TOLD_LOG, TOLD_KINDS };

/* What a job has said of a kind, as far as the daemon keeps it: it is said again where it may not have arrived. */
struct told {
    struct buf data, pieces;
    size_t at;         /* the piece ... */
    uint64_t n_sent;   /* ... of the first byte that was not sent on this connection */
    uint64_t n_said;   /* the same of any connection */
    uint64_t n_costly; /* n_said as the daemon counts it */
};

struct futured_job {
    struct list link; /* in one of the worker's lists; its lock guards that, is_lost and what was told */
    struct futured_worker *worker;
    struct item *item; /* NULL once it has ended */
    struct lease_ref lease;
    struct task task;
    const struct served *function; /* NULL: there is no such */
    char id[ID_TEXT_LEN + 1];
    struct arena texts;
    const char *content_type, *group, *traceparent; /* made when asked for */
    struct futured_job_upstream *upstreams;

    int cancel_fd;
    atomic_int is_cancelled;
    int64_t grace_ns; /* set before is_cancelled */
    char cancel_reason[256];

    struct buf result;
    struct span result_type;
    int has_failed;
    struct answer_failure failure;
    struct codec_number exit_code, signal;
    struct answer_usage usage;
    mono_ns_t start_at;
    int64_t start_user_ns, start_system_ns;

    struct told told[TOLD_KINDS];
    uint64_t told_on; /* the connection that it was sent on */
    int is_lost;      /* its lease is not current */
    mono_ns_t told_at;
};

/* futured_job_new: of @item, whose lease and bytes it takes.
 *   Owns:   the caller, futured_job_free; @item too, unless -ENOMEM or -errno (of the eventfd) is answered. */
MUST_CHECK int futured_job_new(struct futured_job **ret, struct futured_worker *worker, struct item *item);
struct futured_job *futured_job_free(struct futured_job *job);

/* futured_job_bytes: what is kept to be told again. */
size_t futured_job_bytes(const struct futured_job *job);

/* futured_job_run: call its function, and see how it went. Not under the worker's lock. */
void futured_job_run(struct futured_job *job);

/* futured_job_cancel: raise the flag; again: no effect. Under the worker's lock. */
void futured_job_cancel(struct futured_job *job, int64_t grace_ns, struct span reason);

/* futured_job_fail_here: it has failed for a reason of ours; the first one counts. Answers -1. */
int futured_job_fail_here(struct futured_job *job, const char *reason, int code, const char *format, ...)
        PRINTF_LIKE(4, 5);
