// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the processes of attempts leave behind outside their groups comes to this process (base/orphans.h), and nothing says
 * whose it was. So with the end of an attempt all of it ends that cannot be of one that still runs: what was started before
 * the oldest of these, and, when none runs, all. What was there before the first of them is spared.
 *
 * Thread: any. A thread that is not the main one has its own children for itself, so only those of the main thread could be
 * taken for left ones: it must not run an attempt while others do.
 */
#include "base/list.h"

#include <stdint.h>

struct leftovers {
    struct list link; /* of those that run, the oldest first */
    uint64_t began;   /* orphans_now */
};

/* leftovers_begin: an attempt starts processes from now on. leftovers_end: and all that it has waited for has ended. */
void leftovers_begin(struct leftovers *l);
void leftovers_end(struct leftovers *l);
