// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Reading: a connection of its own, and transactions that last as long as one call. For this room only. */
#include "store/db.h"

/* view_open: read the database at @path. Owns: the caller, store_view_close. 0; STORE_E_CORRUPT; -errno. */
MUST_CHECK int view_open(struct store_view **ret, const char *path, const char *vfs);
