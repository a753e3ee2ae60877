// SPDX-License-Identifier: Apache-2.0
/*
 * One directory: the database and its log (SQLite's), the side file with the number of the newest synced commit, and
 * the lock.
 *
 * A write, in the commit thread:
 *   BEGIN IMMEDIATE, the batches' changes, one row of expiry an hour, the commit's number into meta, COMMIT
 *   COMMIT appends the changed pages to the log and syncs it: from here on it is durable
 *   the side file gets the number
 * What may fail, and what is done then:
 *   - anything before COMMIT, or COMMIT without room: ROLLBACK, everything is as before, the caller tries again. If
 *     even ROLLBACK fails, or leaves a transaction open, the store is poisoned.
 *   - the sync in COMMIT, or any I/O error: poisoned. Nothing is written by this process any more, not even by closing:
 *     what the kernel still has in memory may differ from what is on disk, and only a new process sees what is there.
 *   - damage: the same, but the reason is another one (corrupt), and reading what can be read makes sense.
 *   - the side file: no room is no failure; it is a help at the next start, not a promise. Any other error poisons.
 *
 * A checkpoint, in another thread with a connection of its own: PASSIVE passes copy the log into the database beside
 * the writer, until little is left or PASSES are made; then, with the writer's mutex held, RESTART copies the rest and
 * lets the log begin anew. A reader in the way makes that fail, to be tried later; nothing waits for it.
 *
 * Invariants
 *  1. `writer` is held around everything that may write, and around `failed`, which never goes back to 0.
 *  2. A key is in live or in done, never in both; every row of done is named by a row of expiry that is due no later
 *     than its hour. A row of done whose future holds an idempotency key has one of idem, no other k has.
 *  3. The commit's number rises by one each transaction, over the life of the database.
 */
#include "store/sqlite.h"

#include "base/mem.h"
#include "store/chunk.h"
#include "store/db.h"
#include "store/expiry.h"
#include "store/ledger.h"
#include "store/lock.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/seqfile.h"
#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum {
    SEQ_SHIFT = 20, /* expiry.seq = the commit's number and the row's within it */
    PASSES = 8,
    LEFT_PAGES = 256, /* little enough to copy while the writer waits */
    CHECKPOINT_WAIT_MS = 20,
    PAGE_BYTES = 4096,
    LOG_GROWS = 2, /* the log keeps so many times its length from the start, whatever it came to meanwhile */
};
#define DAMAGED_LATER_NS (24 * 3600 * NS_PER_S)
/* SQLite's commit walks through all pages of the cache when a page was split: the few that are written to are enough. What
 * one transaction may change before it is written to the log twice is more. */
#define WRITER_PRAGMAS "PRAGMA journal_mode=WAL; PRAGMA cache_size=-4096; PRAGMA cache_spill=16384"

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    META,
    PUT_LIVE,
    FINISH,
    GET_DONE,
    PUT_DONE,
    DELETE_LIVE,
    DELETE_LIVE_ID,
    DELETE_DONE,
    DELETE_DONE_ID,
    HAS_BLOB,
    PUT_BLOB,
    DELETE_BLOB,
    PUT_CHUNK,
    DELETE_CHUNK,
    PUT_KEY,
    DELETE_KEY,
    PUT_SETTING,
    DELETE_SETTING,
    EXPIRY_FIRST,
    EXPIRY_PUT,
    EXPIRY_DELETE,
    N_STATEMENTS,
};

static const char *const sqls[N_STATEMENTS] = {
        [BEGIN] = "BEGIN IMMEDIATE",
        [COMMIT] = "COMMIT",
        [ROLLBACK] = "ROLLBACK",
        [META] = "UPDATE meta SET commit_seq=?1, k_ceiling=max(k_ceiling, ?2)",
        [PUT_LIVE] = "INSERT OR REPLACE INTO live(k, id, rec) VALUES(?1, ?2, ?3)",
        [FINISH] = "INSERT INTO done(k, id, fn, state, grp, rec) VALUES(?1, ?2, ?4, ?5, ?6, ?3)",
        [GET_DONE] = "SELECT id, rec FROM done WHERE k=?1",
        [PUT_DONE] = "INSERT OR REPLACE INTO done(k, id, fn, state, grp, rec) VALUES(?1, ?2, ?4, ?5, ?6, ?3)",
        [DELETE_LIVE] = "DELETE FROM live WHERE k=?1",
        [DELETE_LIVE_ID] = "DELETE FROM live WHERE k=?1 AND id=?2",
        [DELETE_DONE] = "DELETE FROM done WHERE k=?1",
        [DELETE_DONE_ID] = "DELETE FROM done WHERE k=?1 AND id=?2",
        [HAS_BLOB] = "SELECT 1 FROM blob WHERE k=?1 AND n=?2",
        [PUT_BLOB] = "INSERT INTO blob(k, n, crc, data) VALUES(?1, ?2, ?3, ?4)",
        [DELETE_BLOB] = "DELETE FROM blob WHERE k=?1",
        [PUT_CHUNK] = CHUNK_PUT,
        [DELETE_CHUNK] = "DELETE FROM chunk WHERE k=?1",
        [PUT_KEY] = "INSERT OR REPLACE INTO idem(k, h) VALUES(?1, ?2)",
        [DELETE_KEY] = "DELETE FROM idem WHERE k=?1",
        [PUT_SETTING] =
                "INSERT OR REPLACE INTO settings(name, value, who, at, why) VALUES(?1, ?2, ?3, ?4, ?5)",
        [DELETE_SETTING] = "DELETE FROM settings WHERE name=?1",
        [EXPIRY_FIRST] = "SELECT hour, seq, ks FROM expiry ORDER BY hour, seq LIMIT 1",
        [EXPIRY_PUT] = "INSERT INTO expiry(hour, seq, ks) VALUES(?1, ?2, ?3)",
        [EXPIRY_DELETE] = "DELETE FROM expiry WHERE hour=?1 AND seq=?2",
};

struct sqlite {
    struct store store;
    char path[DB_PATH_BYTES];
    char *vfs; /* NULL = the default one */
    struct seal *seal;
    int lock_fd;
    struct seqfile seqfile;

    pthread_mutex_t writer;
    int failed; /* 0, STORE_E_CORRUPT or STORE_E_POISONED; under writer */
    struct store_problem why;
    sqlite3 *db;
    sqlite3_stmt *stmts[N_STATEMENTS];
    uint64_t commits;
    uint64_t k_ceiling;   /* asked for by the transaction being made */
    struct expiry expiry; /* its finished futures */
    struct buf keys;
    struct ledger ledger; /* whose they are */

    sqlite3 *checkpoint_db;
    _Atomic uint64_t wal_pages;
};

static struct sqlite *sqlite_of(struct store *s)
{
    return CONTAINER_OF(s, struct sqlite, store);
}

static void lock(struct sqlite *s)
{
    ASSERT(pthread_mutex_lock(&s->writer) == 0);
}

static void unlock(struct sqlite *s)
{
    ASSERT(pthread_mutex_unlock(&s->writer) == 0);
}

/* What @r means for the future of the store; under writer. */
static int note(struct sqlite *s, int r, const struct store_problem *problem)
{
    if ((r == STORE_E_CORRUPT || r == STORE_E_POISONED) && !s->failed) {
        s->failed = r;
        s->why = *problem;
        if (s->checkpoint_db)
            sqlite3_interrupt(s->checkpoint_db); /* what it copies was synced before, but enough is enough */
    }
    return r;
}

static int refused(const struct sqlite *s, struct store_problem *problem)
{
    if (s->failed)
        *problem = s->why;
    return s->failed;
}

/* --- one change */

static void bind_number(sqlite3_stmt *stmt, int at, uint64_t v)
{
    ASSERT(v <= INT64_MAX && sqlite3_bind_int64(stmt, at, (int64_t)v) == SQLITE_OK);
}

/* Binding static bytes cannot fail but for what no record reaches: SQLite's largest blob. */
static void bind_span(sqlite3_stmt *stmt, int at, struct span span)
{
    ASSERT(db_bind(stmt, at, span) == SQLITE_OK);
}

static void bind_text(sqlite3_stmt *stmt, int at, struct span text)
{
    const char *p = text.len ? (const char *)text.p : "";

    ASSERT(sqlite3_bind_text64(stmt, at, p, text.len, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
}

static int run_key(struct sqlite *s, enum statement which, uint64_t k, struct store_problem *problem)
{
    bind_number(s->stmts[which], 1, k);
    return db_run(s->stmts[which], problem);
}

static int no_memory(struct store_problem *problem)
{
    snprintf(problem->text, sizeof problem->text, "no memory");
    return STORE_E_ROLLED_BACK;
}

/* Write once: a blob that is there stays as it is. */
static int put_blob(struct sqlite *s, uint64_t k, enum db_blob_number n, const struct bytes *bytes,
                    struct store_problem *problem)
{
    sqlite3_stmt *has = s->stmts[HAS_BLOB], *put = s->stmts[PUT_BLOB];
    int rc;

    if (!bytes)
        return 0;
    bind_number(has, 1, k);
    bind_number(has, 2, n);
    rc = sqlite3_step(has);
    sqlite3_reset(has);
    if (rc != SQLITE_DONE)
        return db_error(s->db, rc, problem);
    bind_number(put, 1, k);
    bind_number(put, 2, n);
    bind_number(put, 3, db_blob_crc(k, n, SPAN_OF_BYTES(bytes)));
    bind_span(put, 4, SPAN_OF_BYTES(bytes));
    return db_run(put, problem);
}

static int put_blobs(struct sqlite *s, const struct batch_op *op, struct store_problem *problem)
{
    int r = put_blob(s, op->k, DB_BLOB_TASK, op->task, problem);

    return r == 0 ? put_blob(s, op->k, DB_BLOB_DATA, op->data, problem) : r;
}

static int put_row(struct sqlite *s, enum statement which, const struct batch *b, const struct batch_op *op,
                   struct store_problem *problem)
{
    sqlite3_stmt *stmt = s->stmts[which];

    bind_number(stmt, 1, op->k);
    bind_span(stmt, 2, (struct span){op->id.b, sizeof op->id.b});
    bind_span(stmt, 3, batch_span(b, op->record));
    if (which != PUT_LIVE) {
        bind_text(stmt, 4, batch_span(b, op->function));
        bind_number(stmt, 5, op->state);
        if (op->group.len)
            bind_span(stmt, 6, batch_span(b, op->group));
        else
            ASSERT(sqlite3_bind_null(stmt, 6) == SQLITE_OK);
    }
    return db_run(stmt, problem);
}

static int put_key(struct sqlite *s, const struct batch_op *op, struct store_problem *problem)
{
    sqlite3_stmt *put = s->stmts[PUT_KEY];

    if (LIKELY(!op->has_key))
        return 0;
    bind_number(put, 1, op->k);
    ASSERT(sqlite3_bind_int64(put, 2, (int64_t)op->key_hash) == SQLITE_OK);
    return db_run(put, problem);
}

static int put_live(struct sqlite *s, const struct batch *b, const struct batch_op *op,
                    struct store_problem *problem)
{
    int r = put_row(s, PUT_LIVE, b, op, problem);

    return r == 0 ? put_blobs(s, op, problem) : r;
}

static int charge(struct sqlite *s, const struct batch *b, const struct batch_op *op, int64_t bytes,
                  struct store_problem *problem)
{
    if (LIKELY(!op->owner.len))
        return 0;
    return ledger_add(&s->ledger, batch_span(b, op->owner), bytes) < 0 ? no_memory(problem) : 0;
}

/* All that @op brings. */
static int64_t bytes_of_op(const struct batch_op *op)
{
    return (int64_t)(op->record.len + (op->task ? op->task->len : 0) + (op->data ? op->data->len : 0) +
                     op->told_bytes);
}

static int finish(struct sqlite *s, const struct batch *b, const struct batch_op *op,
                  struct store_problem *problem)
{
    int r = put_row(s, FINISH, b, op, problem);

    if (r == STORE_E_CORRUPT && (sqlite3_errcode(s->db) & 0xff) == SQLITE_CONSTRAINT)
        snprintf(problem->text, sizeof problem->text, "the future with key %" PRIu64 " finished before",
                 op->k);
    if (r == 0 && op->kind == BATCH_FINISH)
        r = run_key(s, DELETE_LIVE, op->k, problem);
    if (r == 0)
        r = put_blobs(s, op, problem);
    if (r == 0)
        r = put_key(s, op, problem);
    if (r == 0)
        r = charge(s, b, op, bytes_of_op(op), problem);
    if (r == 0 && expiry_add(&s->expiry, op->k, op->time) < 0)
        r = no_memory(problem);
    return r;
}

/* The row of done that is there already: whether expiry names it in time for @op, and whether it has a key. A damaged one
 * is named too, but not known when: it is named once more; and it may have had a key. */
struct before {
    int is_covered, may_have_key, is_there;
    size_t bytes; /* of the record */
};

static int look_before(struct sqlite *s, const struct batch_op *op, struct store_problem *problem,
                       struct before *ret)
{
    sqlite3_stmt *get = s->stmts[GET_DONE];
    struct record record;
    int r, rc, decoded;

    *ret = (struct before){.may_have_key = 1};
    bind_number(get, 1, op->k);
    rc = sqlite3_step(get);
    r = db_error(s->db, rc, problem);
    if (rc == SQLITE_ROW) {
        ret->is_there = 1;
        ret->bytes = db_column(get, 1).len;
        decoded = record_decode(&op->id, db_column(get, 1), &record);
        if (decoded == 0) {
            ret->is_covered = expiry_hour(record.expire_time) <= expiry_hour(op->time);
            ret->may_have_key = record.key.len > 0;
            record_deinit(&record);
        } else if (decoded < 0) {
            r = no_memory(problem);
        }
    }
    sqlite3_reset(get);
    return r;
}

static int put_done(struct sqlite *s, const struct batch *b, const struct batch_op *op,
                    struct store_problem *problem)
{
    struct before before;
    int r = look_before(s, op, problem, &before);

    if (r == 0)
        r = put_row(s, PUT_DONE, b, op, problem);
    if (r == 0)
        r = put_blobs(s, op, problem);
    if (r == 0 && !op->has_key && before.may_have_key) /* it has given it up */
        r = run_key(s, DELETE_KEY, op->k, problem);
    if (r == 0)
        r = put_key(s, op, problem);
    if (r == 0) /* all else is written once */
        r = charge(s, b, op,
                   before.is_there ? (int64_t)op->record.len - (int64_t)before.bytes : bytes_of_op(op),
                   problem);
    if (r == 0 && !before.is_covered && expiry_add(&s->expiry, op->k, op->time) < 0)
        r = no_memory(problem);
    return r;
}

/* A done one that is to be deleted by its id; there may be none. */
static int discharge(struct sqlite *s, const struct batch_op *op, struct store_problem *problem)
{
    sqlite3_stmt *get = s->stmts[GET_DONE];
    struct record record;
    int rc, r, decoded = RECORD_E_DAMAGED;

    if (LIKELY(s->ledger.accounts.n == 0)) /* then none of them is anybody's */
        return 0;
    bind_number(get, 1, op->k);
    rc = sqlite3_step(get);
    r = db_error(s->db, rc, problem);
    if (rc == SQLITE_ROW && span_eq(db_column(get, 0), (struct span){op->id.b, sizeof op->id.b}))
        decoded = record_decode(&op->id, db_column(get, 1), &record);
    if (decoded < 0)
        r = no_memory(problem);
    if (decoded == 0) {
        r = ledger_drop(&s->ledger, op->k, &record, db_column(get, 1).len, problem);
        record_deinit(&record);
    }
    sqlite3_reset(get);
    return r;
}

static int delete_id(struct sqlite *s, const struct batch_op *op, struct store_problem *problem)
{
    static const enum statement which[] = {DELETE_LIVE_ID, DELETE_DONE_ID};
    int n = 0, r = discharge(s, op, problem);

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(which); i++) {
        bind_span(s->stmts[which[i]], 2, (struct span){op->id.b, sizeof op->id.b});
        r = run_key(s, which[i], op->k, problem);
        n += sqlite3_changes(s->db);
    }
    if (r == 0 && n > 0)
        r = run_key(s, DELETE_BLOB, op->k, problem);
    if (r == 0 && n > 0)
        r = run_key(s, DELETE_CHUNK, op->k, problem);
    return r == 0 && n > 0 ? run_key(s, DELETE_KEY, op->k, problem) : r;
}

static int put_setting(struct sqlite *s, const struct batch *b, const struct batch_op *op,
                       struct store_problem *problem)
{
    sqlite3_stmt *stmt = s->stmts[op->has_value ? PUT_SETTING : DELETE_SETTING];

    bind_text(stmt, 1, batch_span(b, op->name));
    if (op->has_value) {
        bind_span(stmt, 2, batch_span(b, op->value));
        bind_text(stmt, 3, batch_span(b, op->who));
        ASSERT(sqlite3_bind_int64(stmt, 4, op->time) == SQLITE_OK);
        bind_text(stmt, 5, batch_span(b, op->why));
    }
    return db_run(stmt, problem);
}

static int apply(struct sqlite *s, const struct batch *b, const struct batch_op *op,
                 struct store_problem *problem)
{
    switch (op->kind) {
    case BATCH_PUT_LIVE: return put_live(s, b, op, problem);
    case BATCH_FINISH:
    case BATCH_FINISH_NEW: return finish(s, b, op, problem);
    case BATCH_PUT_DONE: return put_done(s, b, op, problem);
    case BATCH_DELETE: return delete_id(s, op, problem);
    case BATCH_SETTING: return put_setting(s, b, op, problem);
    case BATCH_CHUNK: chunk_bind(s->stmts[PUT_CHUNK], op); return db_run(s->stmts[PUT_CHUNK], problem);
    case BATCH_KEY_CEILING: break;
    }
    s->k_ceiling = MAX(s->k_ceiling, op->k);
    return 0;
}

/* --- a transaction */

static int begin(struct sqlite *s, struct store_problem *problem)
{
    s->expiry.n = 0;
    s->k_ceiling = 0;
    return db_run(s->stmts[BEGIN], problem);
}

static int write_expiry(struct sqlite *s, uint64_t commit, struct store_problem *problem)
{
    sqlite3_stmt *put = s->stmts[EXPIRY_PUT];
    uint32_t at = 0, n_rows = 0;
    int64_t hour;
    int r;

    expiry_sort(&s->expiry);
    for (;;) {
        buf_clear(&s->keys);
        r = expiry_row(&s->expiry, &at, &s->keys, &hour);
        if (r == EXPIRY_E_END)
            return 0;
        if (r < 0)
            return no_memory(problem);
        bind_number(put, 1, (uint64_t)hour);
        bind_number(put, 2, commit << SEQ_SHIFT | n_rows++);
        bind_span(put, 3, (struct span){buf_head(&s->keys), buf_len(&s->keys)});
        ASSERT(n_rows < 1U << SEQ_SHIFT);
        r = db_run(put, problem);
        if (r != 0)
            return r;
    }
}

/* Whoever has read a page that is not what was written may have looked in the wrong places. */
static int see_pages(const struct sqlite *s, struct store_problem *problem)
{
    uint32_t page = seal_broken(s->db);

    if (page == 0)
        return 0;
    snprintf(problem->text, sizeof problem->text, "page %" PRIu32 " of the database is not what was written",
             page);
    return STORE_E_CORRUPT;
}

/* Commit what has been changed since begin(), or, with @r already set, take it back. */
static int end(struct sqlite *s, int r, struct store_problem *problem)
{
    uint64_t commit = s->commits + 1;
    struct store_problem ignored;

    if (r == 0)
        r = write_expiry(s, commit, problem);
    if (r == 0)
        r = ledger_write(&s->ledger, problem);
    if (r == 0)
        r = see_pages(s, problem);
    if (r == 0) {
        bind_number(s->stmts[META], 1, commit);
        bind_number(s->stmts[META], 2, s->k_ceiling);
        r = db_run(s->stmts[META], problem);
    }
    if (r == 0)
        r = db_run(s->stmts[COMMIT], problem);
    if (!sqlite3_get_autocommit(s->db)) {
        ASSERT(r != 0);
        if (db_run(s->stmts[ROLLBACK], &ignored) != 0 || !sqlite3_get_autocommit(s->db))
            r = STORE_E_POISONED;
    }
    if (r != 0)
        ledger_rollback(&s->ledger);
    if (r == 0) {
        s->commits = commit;
        ledger_commit(&s->ledger);
        r = seqfile_write(&s->seqfile, commit, problem);
    }
    return note(s, r, problem);
}

static int sqlite_write(struct store *store, struct batch *const *batches, size_t n,
                        struct store_problem *problem)
{
    struct sqlite *s = sqlite_of(store);
    int r;

    lock(s);
    r = refused(s, problem);
    if (r == 0) {
        r = begin(s, problem);
        for (size_t i = 0; r == 0 && i < n; i++)
            for (uint32_t j = 0; r == 0 && j < batches[i]->n; j++)
                r = apply(s, batches[i], &batches[i]->ops[j], problem);
        r = end(s, r, problem);
    }
    unlock(s);
    return r;
}

/* --- the sweep */

static int compare_keys(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* When @k, whose expire_time is @expire, is to be looked at again: not after how->now: never. */
static wall_ns_t sweep_again(const struct store_sweep *how, uint64_t k, wall_ns_t expire)
{
    if (expire > how->now || !how->n_kept || !bsearch(&k, how->kept, how->n_kept, sizeof k, compare_keys))
        return expire;
    return clock_add(how->now, 1); /* that is, when this hour is over */
}

/* Delete the future of @k if its time has come. */
static int sweep_key(struct sqlite *s, uint64_t k, const struct store_sweep *how, struct store_swept *swept,
                     struct store_problem *problem)
{
    sqlite3_stmt *get = s->stmts[GET_DONE];
    int rc, r, decoded = RECORD_E_DAMAGED, has_blobs = 0, has_chunks = 0, has_key = 0;
    wall_ns_t expire = 0;
    struct record record;
    struct id id;

    bind_number(get, 1, k);
    rc = sqlite3_step(get);
    r = db_error(s->db, rc, problem);
    if (rc == SQLITE_ROW && db_column(get, 0).len == sizeof id) {
        memcpy(&id, db_column(get, 0).p, sizeof id);
        decoded = record_decode(&id, db_column(get, 1), &record);
    }
    if (rc == SQLITE_ROW && decoded == 0) {
        expire = sweep_again(how, k, record.expire_time);
        has_blobs = record.task_in_blob || record.data_in_blob;
        has_chunks = record.n_chunks > 0;
        has_key = record.key.len > 0;
        if (expire <= how->now)
            r = ledger_drop(&s->ledger, k, &record, db_column(get, 1).len, problem);
        record_deinit(&record);
    }
    sqlite3_reset(get);
    if (r != 0 || rc == SQLITE_DONE)
        return r;
    if (decoded < 0)
        return no_memory(problem);
    if (decoded > 0 || expire > how->now) {
        *(decoded > 0 ? &swept->n_damaged : &swept->n_kept) += 1;
        r = expiry_add(&s->expiry, k, decoded > 0 ? clock_add(how->now, DAMAGED_LATER_NS) : expire);
        return r < 0 ? no_memory(problem) : 0;
    }
    swept->n_deleted++;
    r = run_key(s, DELETE_DONE, k, problem);
    if (r == 0 && has_key)
        r = run_key(s, DELETE_KEY, k, problem);
    if (r == 0 && has_chunks)
        r = run_key(s, DELETE_CHUNK, k, problem);
    return r == 0 && has_blobs ? run_key(s, DELETE_BLOB, k, problem) : r;
}

/* The oldest row of expiry, if it is due, and what it names. *ret_n: keys looked at; 0: nothing is due. */
static int sweep_row(struct sqlite *s, const struct store_sweep *how, struct store_swept *swept,
                     uint32_t *ret_n, struct store_problem *problem)
{
    sqlite3_stmt *first = s->stmts[EXPIRY_FIRST], *delete = s->stmts[EXPIRY_DELETE];
    uint64_t keys[EXPIRY_ROW_KEYS];
    int64_t hour = 0, seq = 0;
    int rc, r, damaged = 0;
    uint32_t n = 0;

    *ret_n = 0;
    rc = sqlite3_step(first);
    r = db_error(s->db, rc, problem);
    swept->next = CLOCK_NEVER;
    if (rc == SQLITE_ROW) {
        hour = sqlite3_column_int64(first, 0);
        seq = sqlite3_column_int64(first, 1);
        swept->next = expiry_due(hour);
        damaged = expiry_unpack(db_column(first, 2), keys, &n);
    }
    sqlite3_reset(first);
    if (r != 0 || rc != SQLITE_ROW || swept->next > how->now)
        return r;
    if (damaged) {
        snprintf(problem->text, sizeof problem->text, "a row of expiry (hour %" PRId64 ") is damaged", hour);
        return STORE_E_CORRUPT;
    }
    ASSERT(sqlite3_bind_int64(delete, 1, hour) == SQLITE_OK &&
           sqlite3_bind_int64(delete, 2, seq) == SQLITE_OK);
    r = db_run(delete, problem);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        r = sweep_key(s, keys[i], how, swept, problem);
    *ret_n = MAX(n, 1U);
    return r;
}

static int sqlite_sweep(struct store *store, const struct store_sweep *how, struct store_swept *ret,
                        struct store_problem *problem)
{
    struct sqlite *s = sqlite_of(store);
    struct store_swept swept = {0};
    uint32_t n = 1, n_all = 0;
    int r;

    lock(s);
    r = refused(s, problem);
    if (r == 0) {
        r = begin(s, problem);
        while (r == 0 && n > 0 && n_all < how->max) {
            r = sweep_row(s, how, &swept, &n, problem);
            n_all += n;
        }
        /* nothing was due: nothing to commit */
        if (r == 0 && n_all == 0)
            r = note(s, db_run(s->stmts[ROLLBACK], problem), problem);
        else
            r = end(s, r, problem);
    }
    unlock(s);
    if (r == 0)
        *ret = swept;
    return r;
}

/* --- the checkpoint */

/* The length of the log after each commit; SQLite calls it with the transaction just ended. */
static int on_wal(void *user, sqlite3 *db, const char *name, int n_pages)
{
    struct sqlite *s = user;

    atomic_store_explicit(&s->wal_pages, (uint64_t)MAX(n_pages, 0), memory_order_relaxed);
    return SQLITE_OK;
}

static uint64_t sqlite_wal_bytes(struct store *store)
{
    struct sqlite *s = sqlite_of(store);

    return atomic_load_explicit(&s->wal_pages, memory_order_relaxed) * PAGE_BYTES;
}

static int copy_log(struct sqlite *s, int mode, int *ret_n_left, struct store_problem *problem)
{
    int n_log = 0, n_copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->checkpoint_db, NULL, mode, &n_log, &n_copied);

    *ret_n_left = n_log - n_copied;
    return db_error(s->checkpoint_db, rc, problem);
}

static int is_refused(struct sqlite *s, struct store_problem *problem)
{
    int r;

    lock(s);
    r = refused(s, problem);
    unlock(s);
    return r;
}

static int sqlite_checkpoint(struct store *store, struct store_problem *problem)
{
    struct sqlite *s = sqlite_of(store);
    int n_left = INT32_MAX, r;

    r = is_refused(s, problem);
    for (int i = 0; r == 0 && i < PASSES && n_left > LEFT_PAGES; i++) {
        r = copy_log(s, SQLITE_CHECKPOINT_PASSIVE, &n_left, problem);
        if (r == 0)
            r = is_refused(s, problem);
    }
    lock(s);
    if (s->failed)
        r = refused(s, problem);
    if (r == 0) {
        r = copy_log(s, SQLITE_CHECKPOINT_RESTART, &n_left, problem);
        if (r == 0)
            atomic_store_explicit(&s->wal_pages, 0, memory_order_relaxed);
    }
    r = note(s, r, problem);
    unlock(s);
    return r;
}

/* A log that a reader has kept from beginning anew is cut when it does, or the file would stay as long as it ever was. */
static int limit_log(const struct sqlite *s, uint64_t bytes, struct store_problem *problem)
{
    char sql[64];

    if (bytes == 0)
        return 0;
    snprintf(sql, sizeof sql, "PRAGMA journal_size_limit=%" PRIu64, LOG_GROWS * bytes);
    return db_exec(s->db, sql, problem);
}

static void sqlite_take_ledger(struct store *store, store_ledger_fn fn, void *user)
{
    ledger_take(&sqlite_of(store)->ledger, fn, user);
}

/* --- open and close */

static int sqlite_view_open(struct store *store, struct store_view **ret)
{
    struct sqlite *s = sqlite_of(store);

    return view_open(ret, s->path, seal_vfs(s->seal));
}

static void sqlite_close(struct store *store)
{
    struct sqlite *s = sqlite_of(store);

    for (size_t i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->stmts[i]);
    ledger_close(&s->ledger);
    db_close(s->checkpoint_db, 0);
    db_close(s->db, !s->failed);
    seqfile_close(&s->seqfile);
    expiry_deinit(&s->expiry);
    buf_deinit(&s->keys);
    pthread_mutex_destroy(&s->writer);
    err_close(&s->lock_fd);
    seal_free(s->seal);
    mem_free(s->vfs);
    mem_free(s);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (fd < 0 || fsync(fd) < 0)
        r = -errno;
    err_close(&fd);
    return r;
}

/* Make the directory if it is not there, and see that it stays; the database is ours alone whatever the umask is. */
static int make_files(struct sqlite *s, const char *directory, struct store_problem *problem)
{
    char parent[DB_PATH_BYTES];
    int fd, r = db_path(s->path, directory, DB_NAME);

    if (r == 0 && mkdir(directory, 0700) == 0) {
        r = db_path(parent, directory, "..");
        if (r == 0)
            r = sync_directory(parent);
    } else if (r == 0 && errno != EEXIST) {
        r = -errno;
    }
    if (r < 0)
        return db_errno(problem, directory, -r);
    r = lock_take(directory, 0, &s->lock_fd, problem);
    if (r != 0)
        return r;
    fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return db_errno(problem, s->path, errno);
    err_close(&fd);
    r = sync_directory(directory);
    return r < 0 ? db_errno(problem, directory, -r) : 0;
}

static void seqfile_path(const struct sqlite *s, char path[static DB_PATH_BYTES + sizeof SEQFILE_NAME])
{
    snprintf(path, DB_PATH_BYTES + sizeof SEQFILE_NAME, "%.*s" SEQFILE_NAME,
             (int)(strlen(s->path) - strlen(DB_NAME)), s->path);
}

/* A database without its side file is a copy that another program has made: what came from the log has no seals there. */
static int seal_copy(const struct sqlite *s, struct store_problem *problem)
{
    char path[DB_PATH_BYTES + sizeof SEQFILE_NAME];
    int r;

    seqfile_path(s, path);
    if (access(path, F_OK) == 0)
        return 0;
    r = seal_unsealed(s->path);
    return r < 0 ? db_errno(problem, s->path, -r) : 0;
}

static int open_database(struct sqlite *s, struct store_problem *problem)
{
    uint32_t version;
    int r = seal_copy(s, problem);

    if (r == 0)
        r = db_open(&s->db, s->path, seal_vfs(s->seal), 0, problem);

    if (r == 0)
        r = schema_find(s->db, &version, problem);
    if (r == 0 && version == 0)
        seal_prepare(s->db);
    if (r == 0)
        r = db_exec(s->db, WRITER_PRAGMAS, problem);
    if (r == 0)
        r = schema_upgrade(s->db, version, problem);
    for (size_t i = 0; r == 0 && i < N_STATEMENTS; i++)
        r = db_prepare(s->db, sqls[i], &s->stmts[i], problem);
    if (r == 0)
        r = db_open(&s->checkpoint_db, s->path, seal_vfs(s->seal), 0, problem);
    if (r == 0)
        sqlite3_busy_timeout(s->checkpoint_db, CHECKPOINT_WAIT_MS);
    return r;
}

static int read_meta(struct sqlite *s, struct store_problem *problem)
{
    int64_t epoch = 0, k_ceiling = 0, commits = 0;
    int r = db_number(s->db, "SELECT epoch FROM meta", &epoch, problem);

    if (r == 0)
        r = db_number(s->db, "SELECT k_ceiling FROM meta", &k_ceiling, problem);
    if (r == 0)
        r = db_number(s->db, "SELECT commit_seq FROM meta", &commits, problem);
    if (r == 0 && (epoch < 0 || epoch >= UINT32_MAX || k_ceiling < 0 || commits < 0)) {
        snprintf(problem->text, sizeof problem->text, "the numbers in meta make no sense");
        r = STORE_E_CORRUPT;
    }
    if (r == 0)
        s->store.meta = (struct store_meta){
                .schema = SCHEMA_VERSION,
                .epoch = (uint32_t)epoch,
                .k_ceiling = (uint64_t)k_ceiling,
                .commits = (uint64_t)commits,
        };
    return r;
}

/* What the side file knows more than the database. */
static int find_lost(struct sqlite *s, int accept, struct store_problem *problem)
{
    char path[DB_PATH_BYTES + sizeof SEQFILE_NAME];
    struct store_meta *meta = &s->store.meta;
    uint64_t seq;
    int r;

    seqfile_path(s, path);
    r = seqfile_open(&s->seqfile, path, s->vfs, problem);
    if (r == 0)
        r = seqfile_read(&s->seqfile, &seq, problem);
    if (r != 0 || seq <= meta->commits)
        return r;
    meta->n_lost = seq - meta->commits;
    if (!accept) {
        snprintf(problem->text, sizeof problem->text,
                 "the database ends at commit %" PRIu64 ", but %" PRIu64 " was synced: %" PRIu64 " are lost",
                 meta->commits, seq, meta->n_lost);
        return STORE_E_LOST;
    }
    meta->commits = seq; /* no number is used for two commits */
    return 0;
}

/* The start is a commit like any other: with it the epoch is on disk, and it is known that writing works. */
static int begin_epoch(struct sqlite *s, struct store_problem *problem)
{
    int r = begin(s, problem);

    s->commits = s->store.meta.commits;
    if (r == 0)
        r = db_exec(s->db, "UPDATE meta SET epoch=epoch+1", problem);
    r = end(s, r, problem);
    s->store.meta.epoch++;
    s->store.meta.commits = s->commits;
    return r;
}

int sqlite_open(struct store **ret, const struct store_config *config, struct store_problem *problem)
{
    static const struct store_backend backend = {
            .write = sqlite_write,
            .sweep = sqlite_sweep,
            .checkpoint = sqlite_checkpoint,
            .wal_bytes = sqlite_wal_bytes,
            .take_ledger = sqlite_take_ledger,
            .view_open = sqlite_view_open,
            .close = sqlite_close,
    };
    struct sqlite *s = mem_zalloc(sizeof *s);
    int r;

    *problem = (struct store_problem){"no memory"};
    if (!s)
        return -ENOMEM;
    s->store.backend = &backend;
    s->lock_fd = -1;
    ASSERT(pthread_mutex_init(&s->writer, NULL) == 0); /* cannot fail with default attributes on Linux */
    s->vfs = config->vfs ? mem_strndup(config->vfs, strlen(config->vfs)) : NULL;
    r = config->vfs && !s->vfs ? -ENOMEM : seal_new(&s->seal, s->vfs, &s->store.broken_page);
    if (r == 0)
        r = make_files(s, config->directory, problem);
    if (r == 0)
        r = open_database(s, problem);
    if (r == 0)
        r = ledger_open(&s->ledger, s->db, problem);
    if (r == 0)
        r = read_meta(s, problem);
    if (r == 0)
        r = find_lost(s, config->accept_loss, problem);
    if (r == 0) {
        sqlite3_wal_hook(s->db, on_wal, s);
        r = begin_epoch(s, problem);
    }
    if (r == 0)
        r = note(s, db_extend_log(s->db, config->log_bytes, problem), problem);
    if (r == 0)
        r = limit_log(s, config->log_bytes, problem);
    if (r != 0) {
        s->failed = s->failed ? s->failed : STORE_E_POISONED; /* closing must not write either */
        sqlite_close(&s->store);
        return r;
    }
    problem->text[0] = '\0';
    *ret = &s->store;
    return 0;
}
