// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A copy of a store, made while the daemon runs, from any thread or process. The result is a state directory like any
 * other: a daemon can be started on it.
 */
#include "store/store.h"

struct backup_config {
    const char *from, *to; /* state directories; @to must not exist yet */
    const char *vfs;       /* as in struct store_config */
    uint32_t step_pages;   /* copied at a time; 0 = default */
    /* called between steps, when not NULL; other than 0 ends the backup with it, and removes what was copied */
    int (*on_progress)(void *user, uint64_t n_done_pages, uint64_t n_pages);
    void *user;
};

/* backup_run: 0: @to is complete and synced. STORE_E_VERSION, _CORRUPT; -EEXIST, -errno; what on_progress returned.
 * Nothing is left of @to on failure. Blocks until done. */
MUST_CHECK int backup_run(const struct backup_config *config, struct store_problem *problem);
