// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The backend of store.h: one SQLite database in WAL mode, its side file and its lock. */
#include "store/store.h"

#define SQLITE_LOCK_NAME "lock"

/* sqlite_open: as store_open. */
MUST_CHECK int sqlite_open(struct store **ret, const struct store_config *config,
                           struct store_problem *problem);

/* sqlite_lock: lock the store in @directory, for this process alone or, @is_shared, together with others who do not
 *   write. Owns: the caller: the descriptor; closing it unlocks.
 *   Return: 0; STORE_E_LOCKED naming the process; -errno (-ENOENT: no store has ever been here). */
MUST_CHECK int sqlite_lock(const char *directory, int is_shared, int *ret_fd, struct store_problem *problem);
