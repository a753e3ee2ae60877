// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The worker's life on the Attach stream: Hello, tasks one after the other, and the end. See host.c.
 */
#include "base/runpage.h"
#include "worker/functions.h"

enum { HOST_CREDIT = 64, HOST_TEXT_BYTES = 512 };

struct host_config {
    int fd; /* the connected socket; borrowed */
    struct runpage *page;
    int signal_fd; /* readable: finish what runs, hand the rest back, end; -1 = none. Never read */
    struct functions *functions;
    const char *name, *session_token; /* of Hello */
    const char *guard_program;        /* see guard_init; may be NULL */
    uint64_t max_tasks;               /* when the process has run so many it ends in order; 0: no limit */
    _Atomic uint64_t *n_run;          /* that it has run; NULL where there is no limit */
    void (*on_max_tasks)(void);       /* for those who run beside it; may be NULL */
    int64_t max_age_ns;               /* it also ends, when nothing runs, after this; 0: no limit */
    /* The daemon is gone while a task runs; from the monitor's thread. It may end the process. May be NULL. */
    void (*on_gone)(void *context);
    void *context;
};

/* host_run: serve until the end of the stream.
 *   Return: 0 (drained or stopped, in order); HOST_E_GONE (the daemon is); HOST_E_PROTOCOL (it or we broke the rules;
 *           @why says what); -errno. Blocks. */
enum { HOST_E_GONE = 1, HOST_E_PROTOCOL };
MUST_CHECK int host_run(const struct host_config *config, char why[static HOST_TEXT_BYTES]);
