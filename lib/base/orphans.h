// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Processes that come to us when their parents die (PR_SET_CHILD_SUBREAPER): what somebody whom we started has left behind,
 * also where it has left its process group and its session. They are killed; what they leave comes to us in its turn.
 *
 * Thread: the main thread, and all of our own children must be its own.
 */
#include "base/err.h"

#include <stdint.h>

#include <sys/types.h>

enum { ORPHANS_MAX = 1024 }; /* children that are looked at in one sweep */

/* orphans_adopt: from now on they come to this process. 0, -errno. */
MUST_CHECK int orphans_adopt(void);

/* orphans_children: the children of the main thread. How many there are in @pids; 0 too where the system does not say. */
size_t orphans_children(pid_t pids[static ORPHANS_MAX]);

/* orphans_now: the time as @before has it: the kernel's of the start of a process, in its coarse steps. */
uint64_t orphans_now(void);

/* orphans_sweep: kill every child that is not among the @n_known of @known, and reap those that have ended.
 *   @before: only those that were started before then; ORPHANS_OF_ANY_AGE: all.
 *   @is_waiting: wait for their ends, and for those of their children.
 *   Return: how many are still there. */
#define ORPHANS_OF_ANY_AGE UINT64_MAX
size_t orphans_sweep(const pid_t *known, size_t n_known, uint64_t before, int is_waiting);
