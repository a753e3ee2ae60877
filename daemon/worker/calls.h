// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The system calls that a function in a sandbox is refused, as a filter for the kernel. The sole user of libseccomp. */
#include "base/arena.h"
#include "base/err.h"

#include <linux/filter.h>

/* calls_filter: the filter, which refuses with EPERM what no computation needs: other processes' memory, namespaces, mounts,
 * modules, clocks, keys, devices of the kernel's, families of sockets but Unix and IP. So are all calls of another architecture.
 *   Owns:   @ret points into @a.
 *   Return: 0; -errno. Blocks for some milliseconds at most: it is compiled. */
MUST_CHECK int calls_filter(struct arena *a, struct sock_fprog *ret);
