// SPDX-License-Identifier: Apache-2.0
/*
 * Every call is one transaction: a get sees a future either live or done, never neither. None is kept open longer,
 * because the log cannot be made shorter behind a reader; so counting goes in pieces, and is not of one moment.
 */
#include "store/view.h"

#include "base/mem.h"
#include "engine/idem.h"
#include "store/chunk.h"
#include "store/seal.h"

#include <errno.h>
#include <string.h>

enum { COUNT_STEP = 20000 };

struct view {
    struct store_view view;
    sqlite3 *db;
    sqlite3_stmt *begin, *end, *get_live, *get_done, *get_key, *keys, *blob, *chunks, *settings;
    sqlite3_stmt *scan[2][2]; /* [place][desc] */
    sqlite3_stmt *group[2];   /* [desc] */
    sqlite3_stmt *count[2];   /* [place] */
};

static struct view *view_of(struct store_view *v)
{
    return CONTAINER_OF(v, struct view, view);
}

static const struct {
    size_t at;
    const char *sql;
} statements[] = {
        {offsetof(struct view, begin), "BEGIN"},
        {offsetof(struct view, end), "COMMIT"},
        {offsetof(struct view, get_live), "SELECT k, id, rec FROM live WHERE k=?1"},
        {offsetof(struct view, get_done), "SELECT k, id, rec FROM done WHERE k=?1"},
        {offsetof(struct view, get_key),
         "SELECT done.k, id, rec FROM idem JOIN done USING(k) WHERE h=?1 ORDER BY done.k DESC"},
        {offsetof(struct view, keys), "SELECT k, h FROM idem WHERE k>?1 ORDER BY k LIMIT ?2"},
        {offsetof(struct view, blob), "SELECT crc, data FROM blob WHERE k=?1 AND n=?2"},
        {offsetof(struct view, chunks), CHUNK_GET},
        {offsetof(struct view, settings), "SELECT name, value, who, at, why FROM settings ORDER BY name"},
        {offsetof(struct view, scan[STORE_LIVE][0]),
         "SELECT k, id, rec FROM live WHERE k>?1 ORDER BY k LIMIT ?2"},
        {offsetof(struct view, scan[STORE_LIVE][1]),
         "SELECT k, id, rec FROM live WHERE k<?1 ORDER BY k DESC LIMIT ?2"},
        {offsetof(struct view, scan[STORE_DONE][0]),
         "SELECT k, id, rec FROM done WHERE k>?1 ORDER BY k LIMIT ?2"},
        {offsetof(struct view, scan[STORE_DONE][1]),
         "SELECT k, id, rec FROM done WHERE k<?1 ORDER BY k DESC LIMIT ?2"},
        {offsetof(struct view, group[0]),
         "SELECT k, id, rec FROM done WHERE grp=?3 AND k>?1 ORDER BY k LIMIT ?2"},
        {offsetof(struct view, group[1]),
         "SELECT k, id, rec FROM done WHERE grp=?3 AND k<?1 ORDER BY k DESC LIMIT ?2"},
        {offsetof(struct view, count[STORE_LIVE]), "SELECT k, 0 FROM live WHERE k>?1 ORDER BY k LIMIT ?2"},
        {offsetof(struct view, count[STORE_DONE]),
         "SELECT k, state FROM done WHERE k>?1 ORDER BY k LIMIT ?2"},
};

static sqlite3_stmt **statement(struct view *v, size_t i)
{
    return (sqlite3_stmt **)(void *)((uint8_t *)v + statements[i].at);
}

/* End the call's transaction; the first failure counts. */
static int end(struct view *v, int r)
{
    int rc = SQLITE_OK;

    if (!sqlite3_get_autocommit(v->db)) {
        rc = sqlite3_step(v->end);
        sqlite3_reset(v->end);
    }
    return r != 0 ? r : db_read_error(v->db, rc);
}

static int begin(struct view *v)
{
    int rc = sqlite3_step(v->begin);

    sqlite3_reset(v->begin);
    return db_read_error(v->db, rc);
}

static void bind_key(sqlite3_stmt *stmt, int at, uint64_t k)
{
    ASSERT(sqlite3_bind_int64(stmt, at, (int64_t)MIN(k, (uint64_t)INT64_MAX)) == SQLITE_OK);
}

/* --- items */

/* The blob @n of @k. 0; STORE_E_DATA_LOSS: it is not there, or not what was written; STORE_E_CORRUPT; -errno. */
static int load_blob(struct view *v, uint64_t k, enum db_blob_number n, uint32_t len, struct bytes **ret)
{
    struct bytes *bytes;
    int rc, r = 0;

    bind_key(v->blob, 1, k);
    ASSERT(sqlite3_bind_int(v->blob, 2, (int)n) == SQLITE_OK);
    rc = sqlite3_step(v->blob);
    if (rc == SQLITE_ROW) {
        struct span data = db_column(v->blob, 1);

        if (data.len != len || sqlite3_column_int64(v->blob, 0) != db_blob_crc(k, n, data))
            r = STORE_E_DATA_LOSS;
        else if ((bytes = bytes_dup(data.p, data.len)))
            *ret = bytes;
        else
            r = -ENOMEM;
    } else {
        r = rc == SQLITE_DONE ? STORE_E_DATA_LOSS : db_read_error(v->db, rc);
    }
    sqlite3_reset(v->blob);
    return r;
}

/* What lies beside the record. */
static int load_rest(struct view *v, struct store_item *item, uint8_t want)
{
    uint64_t k = id_key(&item->id);
    struct record *record = &item->record;
    int r = 0;

    if (want & STORE_WANT_TASK && record->task_in_blob)
        r = load_blob(v, k, DB_BLOB_TASK, record->task_bytes, &item->task);
    if (r == 0 && want & STORE_WANT_DATA && record->data_in_blob)
        r = load_blob(v, k, DB_BLOB_DATA, record->data_bytes, &item->data);
    if (r == 0 && want & STORE_WANT_CHUNKS)
        r = chunk_load(v->db, v->chunks, k, record->n_chunks, &item->chunks);
    if (item->task)
        record->task = SPAN_OF_BYTES(item->task);
    if (item->data)
        record->data = SPAN_OF_BYTES(item->data);
    return r;
}

static int decode(struct store_item *item, struct span raw)
{
    switch (record_decode(&item->id, raw, &item->record)) {
    case 0: return item->record.has_outcome == item->is_done ? 0 : STORE_E_DATA_LOSS;
    case RECORD_E_DAMAGED: return STORE_E_DATA_LOSS;
    case RECORD_E_VERSION: return STORE_E_VERSION;
    default: return -ENOMEM;
    }
}

/* The row (k, id, rec) that @stmt stands on. What is wrong with the row itself is the item's result. */
static int make_item(struct view *v, sqlite3_stmt *stmt, int is_done, uint8_t want, struct store_item **ret)
{
    uint64_t k = (uint64_t)sqlite3_column_int64(stmt, 0);
    struct span id = db_column(stmt, 1), rec = db_column(stmt, 2);
    struct store_item *item = mem_zalloc(sizeof *item + rec.len);
    int r = STORE_E_DATA_LOSS;

    if (!item)
        return -ENOMEM;
    list_init(&item->link);
    item->is_done = is_done;
    item->id = id_make(k, 0);
    if (rec.len)
        memcpy(item->raw, rec.p, rec.len);
    if (id.len == sizeof item->id && id_key((const struct id *)id.p) == k) {
        memcpy(&item->id, id.p, sizeof item->id);
        r = decode(item, (struct span){item->raw, rec.len});
    }
    if (r == 0)
        r = load_rest(v, item, want);
    if (r < 0 || r == STORE_E_CORRUPT) {
        store_item_free(item);
        return r;
    }
    item->result = r;
    *ret = item;
    return 0;
}

/* --- the calls */

/* Nothing was found where it should be: it is not there, or a page that is not what was written has led elsewhere. */
static int not_found(const struct view *v)
{
    return seal_broken(v->db) ? STORE_E_DATA_LOSS : STORE_E_NOT_FOUND;
}

/* Look for @id in one table. */
static int get_from(struct view *v, sqlite3_stmt *stmt, int is_done, const struct id *id, uint8_t want,
                    struct store_item **ret)
{
    struct span found;
    int rc, r;

    bind_key(stmt, 1, id_key(id));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        found = db_column(stmt, 1);
        if (found.len == sizeof *id && memcmp(found.p, id, sizeof *id) != 0)
            r = STORE_E_NOT_FOUND;
        else
            r = make_item(v, stmt, is_done, want, ret);
    } else {
        r = rc == SQLITE_DONE ? STORE_E_NOT_FOUND : db_read_error(v->db, rc);
    }
    sqlite3_reset(stmt);
    return r;
}

static int view_get(struct store_view *view, const struct id *id, uint8_t want, struct store_item **ret)
{
    struct view *v = view_of(view);
    struct store_item *item = NULL;
    int r = begin(v);

    if (r == 0)
        r = get_from(v, v->get_live, 0, id, want, &item);
    if (r == STORE_E_NOT_FOUND)
        r = get_from(v, v->get_done, 1, id, want, &item);
    r = end(v, r == STORE_E_NOT_FOUND ? not_found(v) : r);
    if (r == 0)
        r = item->result;
    if (r == 0)
        *ret = item;
    else
        store_item_free(item);
    return r;
}

/* Of one hash there may be others' keys, and, before the sweep has come, those of futures that have expired: the newest
 * is the holder. */
static int view_get_key(struct store_view *view, struct span namespace, struct span key, uint8_t want,
                        struct store_item **ret)
{
    struct view *v = view_of(view);
    int rc = SQLITE_DONE, r = begin(v);

    ASSERT(sqlite3_bind_int64(v->get_key, 1, (int64_t)idem_stored_hash(namespace, key)) == SQLITE_OK);
    while (r == 0 && (rc = sqlite3_step(v->get_key)) != SQLITE_DONE) {
        struct store_item *item = NULL;

        r = rc == SQLITE_ROW ? make_item(v, v->get_key, 1, want, &item) : db_read_error(v->db, rc);
        if (r == 0 && item->result != 0) { /* whether it is the one nobody can tell */
            r = item->result;
        } else if (r == 0 && span_eq(item->record.namespace, namespace) && span_eq(item->record.key, key)) {
            *ret = item;
            break;
        }
        store_item_free(item);
    }
    if (r == 0 && rc == SQLITE_DONE)
        r = not_found(v);
    sqlite3_reset(v->get_key);
    return end(v, r);
}

static int view_keys(struct store_view *view, uint64_t *k, uint64_t *hashes, uint32_t max, uint32_t *ret_n)
{
    struct view *v = view_of(view);
    uint32_t n = 0;
    int rc;

    bind_key(v->keys, 1, *k);
    ASSERT(sqlite3_bind_int64(v->keys, 2, max) == SQLITE_OK);
    while (n < max && (rc = sqlite3_step(v->keys)) == SQLITE_ROW) {
        *k = (uint64_t)sqlite3_column_int64(v->keys, 0);
        hashes[n++] = (uint64_t)sqlite3_column_int64(v->keys, 1);
    }
    *ret_n = n;
    rc = n < max ? db_read_error(v->db, rc) : 0;
    sqlite3_reset(v->keys);
    return rc;
}

/* Whether @id comes behind *key in the order of the scan, and it is the next *key. In a damaged tree it may not, and
 * who goes on behind the last one would go round for ever. */
static int is_behind(const struct id *id, int desc, uint64_t *key)
{
    uint64_t k = id_key(id);
    int is = desc ? k < *key : k > *key;

    *key = k;
    return is;
}

/* Whether the row that @stmt stands on is one that @match wants: looked at where it is, so that a search makes items of what it
 * finds only. */
static int is_wanted(struct view *v, sqlite3_stmt *stmt, const struct match *match, uint32_t *cost, int *ret)
{
    struct span id = db_column(stmt, 1), rec = db_column(stmt, 2);
    struct bytes *task = NULL;
    struct record record;
    int r;

    *ret = 0;
    ++*cost;
    if (id.len != sizeof(struct id))
        return 0;
    r = record_decode((const struct id *)id.p, rec, &record);
    if (r != 0) /* damaged, or of a newer version: it is said to who asks for it */
        return r < 0 ? r : 0;
    if (match->needs_task && record.task_in_blob) {
        r = load_blob(v, id_key(&record.id), DB_BLOB_TASK, record.task_bytes, &task);
        record.task = SPAN_OF_BYTES(task);
    }
    if (r == 0)
        *ret = match_is_wanted(match, &record, cost);
    bytes_unref(task);
    record_deinit(&record);
    return r < 0 || r == STORE_E_CORRUPT ? r : 0;
}

static sqlite3_stmt *scan_statement(struct view *v, const struct store_scan *scan)
{
    sqlite3_stmt *stmt = scan->group.len ? v->group[!!scan->desc] : v->scan[scan->place][!!scan->desc];

    ASSERT(scan->limit >= 1 && scan->limit <= STORE_SCAN_MAX);
    ASSERT(!scan->group.len || scan->place == STORE_DONE);
    bind_key(stmt, 1, scan->key);
    ASSERT(sqlite3_bind_int64(stmt, 2, scan->match ? -1 : (int64_t)scan->limit) == SQLITE_OK);
    if (scan->group.len)
        ASSERT(db_bind(stmt, 3, scan->group) == SQLITE_OK);
    return stmt;
}

/* The row that @stmt stands on, into @items if it is wanted. */
static int take_row(struct view *v, const struct store_scan *scan, sqlite3_stmt *stmt, struct list *items,
                    struct store_scanned *scanned, uint64_t *n_bytes)
{
    struct id k = id_make((uint64_t)sqlite3_column_int64(stmt, 0), 0);
    struct store_item *item;
    int wanted = 1, r = is_behind(&k, scan->desc, &scanned->last) ? 0 : STORE_E_CORRUPT;

    if (r == 0 && scan->match)
        r = is_wanted(v, stmt, scan->match, &scanned->cost, &wanted);
    if (r == 0 && wanted)
        r = make_item(v, stmt, scan->place == STORE_DONE, scan->want, &item);
    if (r == 0 && wanted) {
        list_push_back(items, &item->link);
        *n_bytes += sizeof *item + (uint64_t)sqlite3_column_bytes(stmt, 2) + item->record.task.len +
                    item->record.data.len + chunk_bytes(item->chunks, item->record.n_chunks);
    }
    return r;
}

static int view_scan(struct store_view *view, const struct store_scan *scan, struct list *items)
{
    struct view *v = view_of(view);
    struct store_scanned scanned = {.last = scan->key};
    sqlite3_stmt *stmt = scan_statement(v, scan);
    uint64_t n_bytes = 0;
    uint32_t n = 0;
    int rc, r = begin(v);

    if (r != 0)
        return end(v, r);
    scanned.is_end = !scan->desc && scan->key > INT64_MAX;
    while (r == 0 && !scanned.is_end && n < scan->limit && n_bytes < scan->limit_bytes &&
           (!scan->max_cost || scanned.cost < scan->max_cost)) {
        uint64_t before = n_bytes;

        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
            r = take_row(v, scan, stmt, items, &scanned, &n_bytes);
        else
            r = db_read_error(v->db, rc);
        scanned.is_end = rc == SQLITE_DONE;
        n += n_bytes > before;
    }
    sqlite3_reset(stmt);
    r = end(v, r);
    if (r == 0 && scan->ret)
        *scan->ret = scanned;
    return r;
}

static int view_settings(struct store_view *view, store_setting_fn fn, void *user)
{
    struct view *v = view_of(view);
    int rc, r = 0;

    while (r == 0 && (rc = sqlite3_step(v->settings)) != SQLITE_DONE) {
        struct store_setting setting = {
                .name = db_column(v->settings, 0),
                .value = db_column(v->settings, 1),
                .who = db_column(v->settings, 2),
                .at = sqlite3_column_int64(v->settings, 3),
                .why = db_column(v->settings, 4),
        };

        r = rc == SQLITE_ROW ? fn(user, &setting) : db_read_error(v->db, rc);
    }
    sqlite3_reset(v->settings);
    return r;
}

/* Up to COUNT_STEP rows behind *key. 0; STORE_E_NOT_FOUND: there is none; STORE_E_CORRUPT; -errno. */
static int count_some(struct view *v, enum store_place place, uint64_t *key, struct store_counts *counts)
{
    sqlite3_stmt *stmt = v->count[place];
    int rc, state, n = 0, r = 0;

    bind_key(stmt, 1, *key);
    ASSERT(sqlite3_bind_int(stmt, 2, COUNT_STEP) == SQLITE_OK);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        n++;
        *key = (uint64_t)sqlite3_column_int64(stmt, 0);
        state = sqlite3_column_int(stmt, 1);
        if (place == STORE_LIVE)
            counts->n_live++;
        else if (state >= 0 && (size_t)state < ARRAY_LEN(counts->n_by_state))
            counts->n_by_state[state]++;
        else
            counts->n_by_state[0]++;
    }
    r = db_read_error(v->db, rc);
    sqlite3_reset(stmt);
    return r == 0 && n < COUNT_STEP ? STORE_E_NOT_FOUND : r;
}

static int view_counts(struct store_view *view, struct store_counts *ret)
{
    struct store_counts counts = {0};

    for (int place = STORE_LIVE; place <= STORE_DONE; place++) {
        uint64_t key = 0;
        int r;

        while ((r = count_some(view_of(view), (enum store_place)place, &key, &counts)) == 0)
            ;
        if (r != STORE_E_NOT_FOUND)
            return r;
    }
    *ret = counts;
    return 0;
}

static void view_close(struct store_view *view)
{
    struct view *v = view_of(view);

    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        sqlite3_finalize(*statement(v, i));
    db_close(v->db, 0);
    mem_free(v);
}

int view_open(struct store_view **ret, const char *path, const char *vfs)
{
    static const struct store_view_backend backend = {
            .get = view_get,
            .get_key = view_get_key,
            .keys = view_keys,
            .scan = view_scan,
            .settings = view_settings,
            .counts = view_counts,
            .close = view_close,
    };
    struct view *v = mem_zalloc(sizeof *v);
    int rc;

    if (!v)
        return -ENOMEM;
    v->view.backend = &backend;
    rc = db_open(&v->db, path, vfs, DB_READ_ONLY, NULL);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(statements); i++)
        rc = db_prepare(v->db, statements[i].sql, statement(v, i), NULL);
    if (rc != 0) {
        view_close(&v->view);
        return rc == STORE_E_CORRUPT ? rc : -EIO;
    }
    *ret = &v->view;
    return 0;
}
