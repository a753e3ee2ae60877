// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How one worker process comes to life: its descriptors, its environment, its process group. Decides nothing; pool.c
 * says when.
 */
#include "base/err.h"
#include "base/runpage.h"

#include <sys/types.h>

enum {
    SPAWN_SOCKET_FD = 3,
    SPAWN_PAGE_FD = 4,
    SPAWN_SPEC_FD = 5,
    SPAWN_MORE_FD = 6 /* sockets behind the first */
};

struct spawn_child {
    pid_t pid; /* also its process group */
    int pidfd; /* readable once it has died; -1 where the system has no such thing */
    uint32_t n_threads;
    int sockets[RUNPAGE_PAGES_MAX]; /* the daemon's ends, one for each thread, non-blocking */
    struct runpage *pages;          /* as many, shared with the child; spawn_unmap */
};

/* spawn_worker: run @path with fd 3, 4 and @spec_fd as 5, the sockets of @n_threads behind the first from 6 on, /dev/null as
 * standard input, and our stderr twice.
 *   Owns:   the caller gets all of @ret; @spec_fd stays the caller's.
 *   Return: 0; -errno (nothing runs, nothing is left open). Blocks until the exec has happened. */
MUST_CHECK int spawn_worker(const char *path, int spec_fd, uint32_t n_threads, struct spawn_child *ret);

/* spawn_unmap: give the runpages of a child back; NULL allowed. */
void spawn_unmap(struct runpage *pages, uint32_t n_threads);

/* spawn_environment: those of @from ("NAME=value", NULL at the end) that a worker may see, and a PATH in any case.
 * @to has room for SPAWN_ENVIRONMENT_MAX; the strings are borrowed. */
enum { SPAWN_ENVIRONMENT_MAX = 24 };
void spawn_environment(char *const *from, char *to[static SPAWN_ENVIRONMENT_MAX]);
