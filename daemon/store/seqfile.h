// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The side file: the number of the newest commit that was synced, written after the sync and never synced itself. When
 * the database has a lower number at the next start, SQLite ended its recovery at a damaged frame of the log, and what
 * was behind it is lost. After a power loss the side file may be older than the database, or torn: that says nothing.
 * Its I/O goes through SQLite's VFS, so that what fails the database's I/O in a test fails this as well.
 */
#include "store/db.h"

#define SEQFILE_NAME DB_NAME "-commits"

struct seqfile {
    sqlite3_file *file; /* NULL: not open */
};

/* seqfile_open: made if it is not there; the database file must be. 0; -ENOMEM; STORE_E_ROLLED_BACK, _POISONED. */
MUST_CHECK int seqfile_open(struct seqfile *f, const char *path, const char *vfs,
                            struct store_problem *problem);
void seqfile_close(struct seqfile *f);

/* seqfile_read: 0 in *ret_seq: it is empty, or says nothing. seqfile_write: 0; STORE_E_POISONED. A full disk is no
 * failure: the old number stays. */
MUST_CHECK int seqfile_read(struct seqfile *f, uint64_t *ret_seq, struct store_problem *problem);
MUST_CHECK int seqfile_write(struct seqfile *f, uint64_t seq, struct store_problem *problem);

/* seqfile_peek: the same number of a store that is not open: 0 if there is none. -errno. */
MUST_CHECK int seqfile_peek(const char *path, uint64_t *ret_seq);
