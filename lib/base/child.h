// SPDX-License-Identifier: Apache-2.0
#pragma once
/* One child process of a worker, with pipes at its standard input, output and error: its birth and its end. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/confine.h"
#include "base/err.h"

#include <stdint.h>

#include <sys/resource.h>
#include <sys/types.h>

struct child {
    pid_t pid;        /* also its process group */
    int pidfd;        /* readable once it has died */
    int in, out, err; /* our ends, non-blocking; -1 once closed */
};

/* What is different from us in it; 0, NULL and -1: nothing. */
struct child_setup {
    const char *directory; /* its working directory */
    int guard_fd;          /* it writes its pid there (guard.h) */
    int cgroup_fd;         /* and "0" there (base/cgroup.h) */
    uint64_t
            cpu_seconds; /* SIGXCPU after so much time of the processor, later SIGKILL; each of its processes */
    uint64_t memory_bytes; /* of address space; likewise */
    uint64_t open_files;
    int is_directory_bad;    /* told: it could not be entered */
    struct confine *confine; /* what it takes away from itself; its @failed is told */
};

/* child_start: run @path (no search) with @argv and @env. It dies with the calling thread, sees no descriptor but its
 * three, and has all signals at their defaults.
 *   Owns:   the caller gets @ret, to be ended by child_reap.
 *   Return: 0; -errno, also where the exec itself failed (-ENOENT, -EACCES, -E2BIG), or what comes before it. */
MUST_CHECK int child_start(const char *path, char *const *argv, char *const *env, struct child_setup *setup,
                           struct child *ret);

/* child_try: whether a child can take away from itself what @confine says: one that does nothing else.
 *   Return: 0; -errno, and where @confine->failed is not NULL it says of what. */
MUST_CHECK int child_try(struct confine *confine);

/* What may be done without waiting. */
struct child_events {
    int is_cancelled, has_room /* in its input */, has_output, has_errors, has_died;
};

/* child_poll: wait until there is something of it, or @cancel_fd (-1: none) is readable, at most until @until.
 *   Return: 0, with nothing in @ret where a signal came or the time has; -errno (-ENOMEM). */
MUST_CHECK int child_poll(const struct child *c, int cancel_fd, mono_ns_t until, struct child_events *ret);

/* child_write: as much of @data to its input as there is room for; @data is what is left then.
 *   Return: 0; -1: it wants no more, and @data is empty. The input stays open. */
int child_write(const struct child *c, struct span *data);

/* child_read: one read of @fd, its output or errors, to @to; closed at its end. How much came. */
size_t child_read(int *fd, void *to, size_t n);

/* child_signal: to its whole group. Before child_reap only. */
void child_signal(const struct child *c, int signal);

/* child_reap: kill its group, wait for it, close all. The wait status; @ret_usage: what it and its own children used.
 * child_max_rss: the most memory of that in bytes; -1: it is not known, since it is not more than we have used ourselves. */
int child_reap(struct child *c, struct rusage *ret_usage);
int64_t child_max_rss(const struct rusage *usage);
