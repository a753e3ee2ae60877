// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A connection to the database file: how it is opened, and what its errors mean for the store. For this room only. */
#include "base/clock.h"
#include "store/store.h"

#include <sqlite3.h>

#define DB_NAME "futures.db"

enum { DB_PATH_BYTES = 4096, DB_READ_ONLY = 1 };
enum db_blob_number { DB_BLOB_TASK = 0, DB_BLOB_DATA = 1 }; /* blob.n */

/* db_path: "DIRECTORY/NAME". 0; -ENAMETOOLONG. */
MUST_CHECK int db_path(char path[static DB_PATH_BYTES], const char *directory, const char *name);

/* db_errno: -@system_errno, and @problem says it of @path. */
int db_errno(struct store_problem *problem, const char *path, int system_errno);

/* db_open: @path with the settings of docs/disk-format.md; it is made if it is not there, unless @flags say
 *   DB_READ_ONLY. Not yet read or locked.
 *   Owns:   the caller, db_close. Return: 0; as db_error. */
MUST_CHECK int db_open(sqlite3 **ret, const char *path, const char *vfs, int flags,
                       struct store_problem *problem);

/* db_close: all statements must be finalized. @is_sound: a last connection may move the log into the database;
 * otherwise it is left as it is. NULL is allowed. Returns NULL. */
sqlite3 *db_close(sqlite3 *db, int is_sound);

/* db_exec: run @sql, whatever it answers. db_prepare: a statement to be kept; NULL on failure. db_number: the first
 * column of the first row of @sql. Return: 0; as db_error. */
MUST_CHECK int db_exec(sqlite3 *db, const char *sql, struct store_problem *problem);
MUST_CHECK int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct store_problem *problem);
MUST_CHECK int db_number(sqlite3 *db, const char *sql, int64_t *ret, struct store_problem *problem);

/* db_run: step a statement that answers no rows, and make it ready for the next time. Return: 0; as db_error. */
MUST_CHECK int db_run(sqlite3_stmt *stmt, struct store_problem *problem);

/* db_extend_log: make the write-ahead log of @db, which has written to it, @bytes long; what it holds stays as it is. Its
 * commits then write over what is there, and their syncs need not move the file's length and place as well. No room for
 * that is no failure. Return: 0; as db_error. */
MUST_CHECK int db_extend_log(sqlite3 *db, uint64_t bytes, struct store_problem *problem);

/* db_error: what the result @rc of SQLite means for who writes.
 *   Return: 0 (SQLITE_OK, ROW, DONE); STORE_E_ROLLED_BACK, _CORRUPT, _POISONED; @problem (may be NULL) says which. */
MUST_CHECK int db_error(sqlite3 *db, int rc, struct store_problem *problem);

/* db_read_error: the same for who reads: 0; STORE_E_CORRUPT; -errno. */
MUST_CHECK int db_read_error(sqlite3 *db, int rc);

/* db_blob_crc: what blob.crc must be: over k, n and the bytes, so that no blob can be taken for another. */
uint32_t db_blob_crc(uint64_t k, enum db_blob_number n, struct span data);

/* db_column: column @column as a span; good until the statement is stepped or reset. */
struct span db_column(sqlite3_stmt *stmt, int column);

/* db_bind: give parameter @at the bytes of @s, which must stay until the statement has run. SQLite's result. */
MUST_CHECK int db_bind(sqlite3_stmt *stmt, int at, struct span s);
