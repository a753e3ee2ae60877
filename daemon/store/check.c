// SPDX-License-Identifier: Apache-2.0
/*
 * What is looked at, in this order: the pages (SQLite's own check), the numbers in meta against the side file, every
 * live record, every finished one with its columns, its place in expiry and its key, that retries and what they retry
 * name each other, blobs and keys that nobody has, and what the ledger says that is there of each principal. A record counts as sound when its checksum, its id and its blobs'
 * checksums are right.
 *
 * The lock is taken as one who only reads, so no daemon can start meanwhile and all that is seen is of one moment.
 */
#include "store/check.h"

#include "base/mem.h"
#include "engine/idem.h"
#include "store/db.h"
#include "store/expiry.h"
#include "store/ledger.h"
#include "store/lock.h"
#include "store/match.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/seqfile.h"
#include "store/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_MAX = 1000, SCAN_BYTES = 64 << 20 };

struct check {
    FILE *out;
    struct seal *seal;
    _Atomic uint32_t broken_page;
    sqlite3 *db;
    struct store_view *view;
    sqlite3_stmt *columns; /* of a finished future */
    struct expiry expiry;  /* all rows, sorted by key */
    struct ledger ledger;  /* what was not found yet of what it says */
    struct buf key;        /* of a group */
    uint64_t k_ceiling;
    uint64_t n_by_state[6]; /* by enum future_state; 0: not readable */
    uint64_t n_chunks;      /* that records know of */
    uint64_t n_problems;
};

PRINTF_LIKE(2, 3) static void found(struct check *c, const char *format, ...)
{
    va_list args;

    if (++c->n_problems > PRINT_MAX)
        return;
    va_start(args, format);
    fputs("problem: ", c->out);
    vfprintf(c->out, format, args);
    fputc('\n', c->out);
    va_end(args);
}

static void found_item(struct check *c, const struct store_item *item, const char *what)
{
    char id[ID_TEXT_LEN + 1];

    id_format(&item->id, id);
    found(c, "%s future %s (key %" PRIu64 "): %s", item->is_done ? "finished" : "live", id, id_key(&item->id),
          what);
}

/* 0; CHECK_E_UNREADABLE: @r says why nothing more can be read. */
static int readable(struct check *c, int r, const char *what)
{
    if (r == 0)
        return 0;
    found(c, "%s: %s", what, store_error_text(r));
    return CHECK_E_UNREADABLE;
}

static int check_pages(struct check *c)
{
    sqlite3_stmt *stmt;
    int rc;

    if (readable(c, db_prepare(c->db, "PRAGMA integrity_check(100)", &stmt, NULL), "the pages") != 0)
        return CHECK_E_UNREADABLE;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        if (text && strcmp(text, "ok") != 0)
            found(c, "pages: %s", text);
    }
    sqlite3_finalize(stmt);
    if (seal_broken(c->db))
        found(c, "pages: %" PRIu32 " is not what was written, and perhaps others", seal_broken(c->db));
    return readable(c, db_read_error(c->db, rc), "the pages");
}

static int number(struct check *c, const char *sql, int64_t *ret)
{
    return readable(c, db_number(c->db, sql, ret, NULL), sql);
}

static int check_meta(struct check *c, const char *directory)
{
    int64_t n, epoch, k_ceiling, commits;
    char path[DB_PATH_BYTES];
    uint64_t seq = 0;

    if (number(c, "SELECT count(*) FROM meta", &n) || number(c, "SELECT epoch FROM meta", &epoch) ||
        number(c, "SELECT k_ceiling FROM meta", &k_ceiling) ||
        number(c, "SELECT commit_seq FROM meta", &commits))
        return CHECK_E_UNREADABLE;
    if (n != 1)
        found(c, "meta has %" PRId64 " rows", n);
    if (epoch < 1 || epoch > UINT32_MAX || k_ceiling < 0 || commits < 1)
        found(c, "meta makes no sense: epoch %" PRId64 ", key ceiling %" PRId64 ", commit %" PRId64, epoch,
              k_ceiling, commits);
    c->k_ceiling = (uint64_t)k_ceiling;
    if (db_path(path, directory, SEQFILE_NAME) == 0 && seqfile_peek(path, &seq) < 0)
        found(c, "%s cannot be read", path);
    if (commits >= 0 && seq > (uint64_t)commits)
        found(c, "%" PRIu64 " commits are lost: the database ends at %" PRId64, seq - (uint64_t)commits,
              commits);
    fprintf(c->out, "schema %d, epoch %" PRId64 ", commit %" PRId64 "\n", (int)SCHEMA_VERSION, epoch,
            commits);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct expiry_entry *x = a, *y = b;

    if (x->k != y->k)
        return x->k < y->k ? -1 : 1;
    return (x->hour > y->hour) - (x->hour < y->hour);
}

static int add_row(struct check *c, int64_t hour, struct span packed)
{
    uint64_t keys[EXPIRY_ROW_KEYS];
    uint32_t n;

    if (hour < 0 || expiry_unpack(packed, keys, &n) != 0) {
        found(c, "a row of expiry (hour %" PRId64 ") is damaged", hour);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        int r = expiry_add(&c->expiry, keys[i], 0);

        if (r < 0)
            return r;
        c->expiry.at[c->expiry.n - 1].hour = hour;
    }
    return 0;
}

static int read_expiry(struct check *c)
{
    sqlite3_stmt *stmt;
    int rc, r = 0;

    if (readable(c, db_prepare(c->db, "SELECT hour, ks FROM expiry", &stmt, NULL), "expiry") != 0)
        return CHECK_E_UNREADABLE;
    while (r == 0 && (rc = sqlite3_step(stmt)) != SQLITE_DONE)
        r = rc == SQLITE_ROW ? add_row(c, sqlite3_column_int64(stmt, 0), db_column(stmt, 1))
                             : db_read_error(c->db, rc);
    sqlite3_finalize(stmt);
    if (c->expiry.n > 1)
        qsort(c->expiry.at, c->expiry.n, sizeof *c->expiry.at, by_key);
    return readable(c, r, "expiry");
}

/* Whether a sweep looks at @k not later than in @hour. */
static int is_swept(const struct check *c, uint64_t k, int64_t hour)
{
    uint32_t low = 0, high = c->expiry.n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (c->expiry.at[middle].k < k)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->expiry.n && c->expiry.at[low].k == k && c->expiry.at[low].hour <= hour;
}

/* @c->columns stands on the row of @item. */
static void check_key(struct check *c, const struct store_item *item)
{
    const struct record *record = &item->record;
    int has = sqlite3_column_type(c->columns, 2) != SQLITE_NULL;

    if (has != (record->key.len > 0))
        found_item(c, item, has ? "idem has a key that it does not hold" : "idem does not have its key");
    else if (has && (uint64_t)sqlite3_column_int64(c->columns, 2) !=
                            idem_stored_hash(record->namespace, record->key))
        found_item(c, item, "idem has another key");
}

/* Without memory for the comparison it counts as equal; reading everything else has needed far more. */
static int has_group(struct check *c, struct span column, const struct record *record)
{
    if (!record->group.len)
        return column.len == 0;
    buf_clear(&c->key);
    return match_group_key(&c->key, record->namespace, record->group) < 0 ||
           span_eq(column, (struct span){buf_head(&c->key), buf_len(&c->key)});
}

/* 0; STORE_E_*, -errno. */
static int check_done(struct check *c, const struct store_item *item)
{
    const struct record *record = &item->record;
    uint64_t k = id_key(&item->id);
    struct store_problem problem;
    int r = 0;

    ASSERT(sqlite3_bind_int64(c->columns, 1, (int64_t)k) == SQLITE_OK);
    if (sqlite3_step(c->columns) != SQLITE_ROW)
        found_item(c, item, "its columns cannot be read");
    else if (!span_eq(db_column(c->columns, 0), record->function) ||
             sqlite3_column_int64(c->columns, 1) != record->state)
        found_item(c, item, "function or state differ between columns and record");
    else if (!has_group(c, db_column(c->columns, 3), record))
        found_item(c, item, "the group differs between column and record");
    else
        check_key(c, item);
    if (sqlite3_data_count(c->columns) > 0)
        r = ledger_drop(&c->ledger, k, record, (size_t)sqlite3_column_int64(c->columns, 4), &problem);
    sqlite3_reset(c->columns);
    /* what was kept beyond its time is looked at again in the hour in which it was */
    if (!is_swept(c, k, MAX(expiry_hour(record->expire_time), expiry_hour(clock_wall()))))
        found_item(c, item, "no row of expiry names it in time");
    return r;
}

/* @other, which is the retry of @item, or what @item retries, says so too, if it is still there. */
static int check_pair(struct check *c, const struct store_item *item, const struct id *other, int is_retry)
{
    struct store_item *it;
    const struct id *back;
    int r;

    if (!id_key(other))
        return 0;
    r = store_get(c->view, other, 0, &it);
    if (r != 0) /* one that is damaged is found by itself */
        return r == STORE_E_NOT_FOUND || r == STORE_E_DATA_LOSS ? 0 : r;
    back = is_retry ? &it->record.retry_of : &it->record.retried_by;
    if (id_compare(back, &item->id) != 0)
        found_item(c, item,
                   is_retry ? "its retry is not one of it" : "what it retries names another retry, or none");
    store_item_free(it);
    return 0;
}

static int check_item(struct check *c, const struct store_item *item)
{
    int r = 0;

    if (item->result != 0) {
        found_item(c, item, store_error_text(item->result));
        c->n_by_state[0]++;
        return 0;
    }
    c->n_by_state[item->record.state]++;
    c->n_chunks += item->record.n_chunks;
    if (c->k_ceiling > 0 && id_key(&item->id) > c->k_ceiling)
        found_item(c, item, "its key is above the ceiling");
    if (item->is_done)
        r = check_done(c, item);
    if (r == 0)
        r = check_pair(c, item, &item->record.retry_of, 0);
    return r == 0 ? check_pair(c, item, &item->record.retried_by, 1) : r;
}

static int check_place(struct check *c, enum store_place place)
{
    struct store_scan scan = {
            .place = place, .limit = STORE_SCAN_MAX, .limit_bytes = SCAN_BYTES, .want = STORE_WANT_ALL};
    struct list items, *l;
    int n;

    list_init(&items);
    do {
        int r = store_scan(c->view, &scan, &items);

        n = 0;
        while (r == 0 && (l = list_pop_front(&items))) {
            struct store_item *item = LIST_ENTRY(l, struct store_item, link);

            r = check_item(c, item);
            scan.key = id_key(&item->id);
            n++;
            store_item_free(item);
        }
        if (r != 0) {
            store_items_free(&items);
            return readable(c, r, place == STORE_LIVE ? "live" : "done");
        }
    } while (n > 0);
    return 0;
}

static int check_sets(struct check *c)
{
    int64_t n_both, n_blobs, n_unowned, n_chunks, n_chunks_unowned, n_keys, n_keys_unowned, n_settings;

    if (number(c, "SELECT count(*) FROM live JOIN done USING (k)", &n_both) ||
        number(c, "SELECT count(*) FROM blob", &n_blobs) ||
        number(c,
               "SELECT count(*) FROM blob WHERE k NOT IN (SELECT k FROM live) AND k NOT IN (SELECT k "
               "FROM "
               "done)",
               &n_unowned) ||
        number(c, "SELECT count(*) FROM chunk", &n_chunks) ||
        number(c,
               "SELECT count(*) FROM chunk WHERE k NOT IN (SELECT k FROM live) AND k NOT IN (SELECT k FROM "
               "done)",
               &n_chunks_unowned) ||
        number(c, "SELECT count(*) FROM idem", &n_keys) ||
        number(c, "SELECT count(*) FROM idem WHERE k NOT IN (SELECT k FROM done)", &n_keys_unowned) ||
        number(c, "SELECT count(*) FROM settings", &n_settings))
        return CHECK_E_UNREADABLE;
    if (n_both > 0)
        found(c, "%" PRId64 " futures are live and finished", n_both);
    if (n_unowned > 0)
        found(c, "%" PRId64 " blobs belong to no future", n_unowned);
    if (n_chunks_unowned > 0)
        found(c, "%" PRId64 " pieces of output or log belong to no future", n_chunks_unowned);
    if (c->n_chunks != (uint64_t)n_chunks - (uint64_t)n_chunks_unowned && !c->n_by_state[0])
        found(c, "%" PRId64 " pieces of output or log are there, and %" PRIu64 " are known",
              n_chunks - n_chunks_unowned, c->n_chunks);
    if (n_keys_unowned > 0)
        found(c, "%" PRId64 " keys in idem belong to no finished future", n_keys_unowned);
    fprintf(c->out,
            "blobs %" PRId64 ", chunks %" PRId64 ", keys %" PRId64 ", settings %" PRId64
            ", named in expiry %" PRIu32 "\n",
            n_blobs, n_chunks, n_keys, n_settings, c->expiry.n);
    return 0;
}

static void found_left(void *user, struct span name, int64_t bytes)
{
    found(user, "the account of %.*s has %" PRId64 " bytes %s than its finished futures take",
          (int)MIN(name.len, (size_t)1024), (const char *)name.p, bytes < 0 ? -bytes : bytes,
          bytes < 0 ? "less" : "more");
}

static int check_all(struct check *c, const char *directory)
{
    int r = check_pages(c);

    if (r == 0)
        r = check_meta(c, directory);
    if (r == 0)
        r = read_expiry(c);
    if (r == 0)
        r = check_place(c, STORE_LIVE);
    if (r == 0)
        r = check_place(c, STORE_DONE);
    if (r == 0)
        r = check_sets(c);
    if (r == 0 && !c->n_by_state[0]) /* whose those are that cannot be read is not known */
        ledger_left(&c->ledger, found_left, c);
    fprintf(c->out,
            "pending %" PRIu64 ", running %" PRIu64 ", succeeded %" PRIu64 ", failed %" PRIu64
            ", cancelled %" PRIu64 ", damaged %" PRIu64 "\n",
            c->n_by_state[FUTURE_PENDING], c->n_by_state[FUTURE_RUNNING], c->n_by_state[FUTURE_SUCCEEDED],
            c->n_by_state[FUTURE_FAILED], c->n_by_state[FUTURE_CANCELLED], c->n_by_state[0]);
    if (c->n_problems > PRINT_MAX)
        fprintf(c->out, "and %" PRIu64 " problems more\n", c->n_problems - PRINT_MAX);
    return r;
}

/* Open what is needed to look. 0, or as db_error and view_open say, with @problem. */
static int open_all(struct check *c, const char *directory, struct store_problem *problem)
{
    char path[DB_PATH_BYTES];
    uint32_t version = 0;
    int r = db_path(path, directory, DB_NAME);

    if (r == 0)
        r = seal_new(&c->seal, NULL, &c->broken_page);
    if (r == 0)
        r = db_open(&c->db, path, seal_vfs(c->seal), DB_READ_ONLY, problem);
    if (r == 0)
        r = schema_find(c->db, &version, problem);
    if (r == 0 && version != SCHEMA_VERSION) {
        snprintf(problem->text, sizeof problem->text, "schema %" PRIu32 " is not checked by this program",
                 version);
        r = STORE_E_VERSION;
    }
    if (r == 0)
        r = db_prepare(c->db,
                       "SELECT fn, state, (SELECT h FROM idem WHERE idem.k=done.k), grp, length(rec) FROM "
                       "done WHERE "
                       "k=?1",
                       &c->columns, problem);
    if (r == 0)
        r = ledger_open(&c->ledger, c->db, problem);
    if (r == 0)
        r = view_open(&c->view, path, seal_vfs(c->seal));
    return r;
}

int check_store(const char *directory, FILE *out)
{
    struct check c = {.out = out};
    struct store_problem problem = {""};
    int fd = -1, r = lock_take(directory, 1, &fd, &problem);

    if (r == 0 || r == -ENOENT) /* a backup on which no daemon has been started has no lock */
        r = open_all(&c, directory, &problem);
    if (r != 0) {
        fprintf(out, "cannot be read: %s\n", problem.text[0] ? problem.text : store_error_text(r));
        r = CHECK_E_UNREADABLE;
    } else {
        r = check_all(&c, directory);
        if (r == 0 && c.n_problems > 0)
            r = CHECK_E_PROBLEMS;
        fprintf(out, "%s\n",
                r == 0                  ? "sound"
                : r == CHECK_E_PROBLEMS ? "not sound"
                                        : "not all could be read");
    }
    store_view_close(c.view);
    sqlite3_finalize(c.columns);
    ledger_close(&c.ledger);
    db_close(c.db, 0);
    seal_free(c.seal);
    expiry_deinit(&c.expiry);
    buf_deinit(&c.key);
    err_close(&fd);
    return r;
}
