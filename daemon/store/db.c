// SPDX-License-Identifier: Apache-2.0
/*
 * What a failure means is decided here, for all of the room (law 5 of the architecture):
 *
 *   rolled back   nothing of the transaction is in the database, and SQLite knows it: full, read-only, busy, no memory.
 *                 A write that found no room is here too: what it did write lies behind the end of the log.
 *   corrupt       pages contradict each other, or our own rules (a future finished twice)
 *   poisoned      any other I/O error, a failed sync before all: after it the kernel may have dropped what it could
 *                 not write and will say "synced" the next time. Also whatever is not known here.
 */
#include "store/db.h"

#include "base/log.h"
#include "store/crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 1000, EXTEND_BYTES = 64 * 1024 };

int db_path(char path[static DB_PATH_BYTES], const char *directory, const char *name)
{
    int n = snprintf(path, DB_PATH_BYTES, "%s/%s", directory, name);

    return n < 0 || n >= DB_PATH_BYTES ? -ENAMETOOLONG : 0;
}

int db_errno(struct store_problem *problem, const char *path, int system_errno)
{
    snprintf(problem->text, sizeof problem->text, "%.200s: %s", path, log_errno_text(system_errno));
    return -system_errno;
}

static int is_no_room(int system_errno)
{
    return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EROFS || system_errno == EFBIG;
}

/* Why the last write of this connection failed; sqlite3_system_errno() is not told of what fails in COMMIT. A writer
 * writes its log only, a checkpoint the database only: whichever has an errno is the one. 0: not known. */
static int write_errno(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int e = 0;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods && log->pMethods->xFileControl) /* a journal in memory has none */
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &e);
    if (e == 0)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &e);
    return e;
}

static int of_io_error(sqlite3 *db, int rc)
{
    switch (rc) {
    case SQLITE_IOERR_NOMEM: return STORE_E_ROLLED_BACK;
    case SQLITE_IOERR_WRITE: return is_no_room(write_errno(db)) ? STORE_E_ROLLED_BACK : STORE_E_POISONED;
    case SQLITE_IOERR_SHMSIZE:
    case SQLITE_IOERR_SHMMAP:
    case SQLITE_IOERR_SHMOPEN:
        return is_no_room(sqlite3_system_errno(db)) ? STORE_E_ROLLED_BACK : STORE_E_POISONED;
    case SQLITE_IOERR_CORRUPTFS: return STORE_E_CORRUPT;
    default: return STORE_E_POISONED;
    }
}

static int classify(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return 0;
    case SQLITE_READONLY: return rc == SQLITE_READONLY_DBMOVED ? STORE_E_POISONED : STORE_E_ROLLED_BACK;
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT: return STORE_E_ROLLED_BACK;
    case SQLITE_IOERR: return of_io_error(db, rc);
    case SQLITE_ERROR: /* a table or a column of ours is not there */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return STORE_E_CORRUPT;
    default: ASSERT((rc & 0xff) != SQLITE_MISUSE && (rc & 0xff) != SQLITE_RANGE); return STORE_E_POISONED;
    }
}

int db_error(sqlite3 *db, int rc, struct store_problem *problem)
{
    int is_io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int r = classify(db, rc), system_errno = 0;

    if (r == 0 || !problem)
        return r;
    if (db && is_io)
        system_errno = rc == SQLITE_IOERR_WRITE ? write_errno(db) : sqlite3_system_errno(db);
    if (system_errno)
        snprintf(problem->text, sizeof problem->text, "%s: %s (SQLite %d)", text,
                 log_errno_text(system_errno), rc);
    else
        snprintf(problem->text, sizeof problem->text, "%s (SQLite %d)", text, rc);
    return r;
}

int db_read_error(sqlite3 *db, int rc)
{
    int r = classify(db, rc);

    if (r == 0 || r == STORE_E_CORRUPT)
        return r;
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: return -EBUSY;
    default: return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
    }
}

int db_exec(sqlite3 *db, const char *sql, struct store_problem *problem)
{
    return db_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL), problem);
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct store_problem *problem)
{
    *ret = NULL;
    return db_error(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL), problem);
}

int db_number(sqlite3 *db, const char *sql, int64_t *ret, struct store_problem *problem)
{
    sqlite3_stmt *stmt;
    int rc, r = db_prepare(db, sql, &stmt, problem);

    if (r != 0)
        return r;
    rc = sqlite3_step(stmt);
    r = db_error(db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, problem);
    if (r == 0)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return r;
}

int db_run(sqlite3_stmt *stmt, struct store_problem *problem)
{
    int r = db_error(sqlite3_db_handle(stmt), sqlite3_step(stmt), problem);

    sqlite3_reset(stmt); /* says the same again */
    return r;
}

/* The settings that durability stands on. Those of the file (journal_mode) are set by who makes it. */
static int configure(sqlite3 *db, struct store_problem *problem)
{
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    return db_exec(db,
                   "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
                   "PRAGMA secure_delete=0; PRAGMA trusted_schema=0; PRAGMA cell_size_check=1",
                   problem);
}

int db_open(sqlite3 **ret, const char *path, const char *vfs, int flags, struct store_problem *problem)
{
    int how = flags & DB_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3 *db = NULL;
    int rc, r;

    rc = sqlite3_open_v2(path, &db, how | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    r = db_error(db, rc, problem);
    if (r == 0)
        r = configure(db, problem);
    if (r == 0)
        *ret = db;
    else
        db_close(db, 0);
    return r;
}

/* SQLite's recovery ends at the first frame without the log's salt: zeros behind the last one are no frames. */
static int append_zeros(sqlite3_file *log, sqlite3_int64 from, sqlite3_int64 to)
{
    static const uint8_t zeros[EXTEND_BYTES];
    int rc = SQLITE_OK;

    for (sqlite3_int64 at = from; rc == SQLITE_OK && at < to; at += EXTEND_BYTES)
        rc = log->pMethods->xWrite(log, zeros, (int)MIN(to - at, (sqlite3_int64)EXTEND_BYTES), at);
    return rc == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : rc;
}

int db_extend_log(sqlite3 *db, uint64_t bytes, struct store_problem *problem)
{
    sqlite3_file *log = NULL;
    sqlite3_int64 len = 0;
    int rc, r;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!log || !log->pMethods)
        return 0;
    rc = log->pMethods->xFileSize(log, &len);
    if (rc == SQLITE_OK && len >= (sqlite3_int64)bytes)
        return 0;
    if (rc == SQLITE_OK)
        rc = append_zeros(log, len, (sqlite3_int64)bytes);
    r = db_error(db, rc, problem);
    if (r == STORE_E_ROLLED_BACK) /* the room is for what must be written */
        r = db_error(db, log->pMethods->xTruncate(log, len), problem);
    return r;
}

sqlite3 *db_close(sqlite3 *db, int is_sound)
{
    if (!db)
        return NULL;
    if (!is_sound)
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    ASSERT(sqlite3_close(db) == SQLITE_OK);
    return NULL;
}

struct span db_column(sqlite3_stmt *stmt, int column)
{
    const uint8_t *p = sqlite3_column_blob(stmt, column); /* before the length: SQLite wants it so */
    int n = sqlite3_column_bytes(stmt, column);

    return (struct span){n > 0 ? p : NULL, p && n > 0 ? (size_t)n : 0};
}

int db_bind(sqlite3_stmt *stmt, int at, struct span s)
{
    return s.len ? sqlite3_bind_blob64(stmt, at, s.p, s.len, SQLITE_STATIC)
                 : sqlite3_bind_zeroblob(stmt, at, 0);
}

uint32_t db_blob_crc(uint64_t k, enum db_blob_number n, struct span data)
{
    uint8_t head[9];

    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(k >> (8 * i));
    head[8] = (uint8_t)n;
    return crc32c(crc32c(0, head, sizeof head), data.p, data.len);
}
