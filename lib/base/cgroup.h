// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A control group for one attempt: a limit on its memory that the kernel keeps, and says so when it had to. Version 2 where
 * a subtree is delegated to us (Delegate=yes of systemd), version 1 where its memory controller may be used, else none.
 *
 * The daemon makes room once, before it starts workers (a group of version 2 with processes in it has no groups with
 * controllers below); the workers make groups in it, which have names of their pid, and remove those of workers that are gone.
 */
#include "base/err.h"

#include <limits.h>
#include <stdint.h>

enum { CGROUP_PATH_BYTES = PATH_MAX };

struct cgroup_home {
    int version; /* 1, 2; 0: there is none */
    uint32_t n_made;
    char path[CGROUP_PATH_BYTES];
};

struct cgroup {
    int version;  /* 0: not made */
    int procs_fd; /* who writes 0 to it enters */
    char path[CGROUP_PATH_BYTES];
};

/* cgroup_delegate: the daemon's part, which may be done again; @root is /sys/fs/cgroup, @own the text of /proc/self/cgroup.
 * 0; -errno: groups of version 2 cannot be used, and nothing has changed (-ENOENT: there are none with a memory controller;
 * version 1 may be there all the same). */
MUST_CHECK int cgroup_delegate(const char *root, const char *own);

/* cgroup_find: where a worker may make groups; version 0: nowhere. Removes what workers that are gone have left. */
void cgroup_find(struct cgroup_home *ret, const char *root, const char *own);

/* cgroup_own: /proc/self/cgroup; "" where it cannot be read. */
enum { CGROUP_OWN_BYTES = 8192 };
void cgroup_own(char text[static CGROUP_OWN_BYTES]);

/* cgroup_make: a group in @home whose processes have @memory_bytes together, swap included.
 *   Owns:   on 0 the caller cgroup_removes @ret.
 *   Return: 0; -errno. */
MUST_CHECK int cgroup_make(struct cgroup_home *home, uint64_t memory_bytes, struct cgroup *ret);

/* cgroup_n_killed: how many of its processes the kernel has killed because of the limit. */
uint64_t cgroup_n_killed(const struct cgroup *c);

/* cgroup_remove: kill what is in it and remove it; may be called again, and for one that was not made. */
void cgroup_remove(struct cgroup *c);
