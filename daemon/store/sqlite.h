// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The backend of store.h: one SQLite database in WAL mode, its side file and its lock. */
#include "store/store.h"

/* sqlite_open: as store_open. */
MUST_CHECK int sqlite_open(struct store **ret, const struct store_config *config,
                           struct store_problem *problem);
