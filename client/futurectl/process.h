// SPDX-License-Identifier: Apache-2.0
#pragma once
/* One process for one job of a worker: the argument goes to its standard input, the result comes from its standard output,
 * what it says on standard error is the log. */
#include <futured/worker.h>

struct process_command {
    const char *path; /* as process_find has found it */
    char *const *argv;
};

/* process_find: the program that @name means: itself where it has a slash, else found along $PATH.
 *   Owns:   the caller: mem_free. NULL: there is none (errno), or no memory. */
char *process_find(const char *name);

/* process_run: a function of a worker; @arg is a struct process_command. Any thread. */
int process_run(struct futured_job *job, void *arg);
