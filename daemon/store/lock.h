// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Who may use a state directory: one daemon, or any number of readers that want it at rest. */
#include "store/store.h"

#define LOCK_NAME "lock"

/* lock_take: lock the store in @directory, for this process alone or, @is_shared, together with others who do not
 *   write. Owns: the caller: the descriptor; closing it unlocks.
 *   Return: 0; STORE_E_LOCKED naming the process; -errno (-ENOENT when shared: no daemon has ever been here). */
MUST_CHECK int lock_take(const char *directory, int is_shared, int *ret_fd, struct store_problem *problem);
