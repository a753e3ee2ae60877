// SPDX-License-Identifier: Apache-2.0
/*
 * What is asserted here is what a database would refuse as damage: a future that finishes twice, or is live and done.
 * Memory of the disk itself is not counted as the daemon's: plain malloc, which never fails here.
 */
#include "disk.h"

#include "base/mem.h"
#include "engine/idem.h"
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct disk *inserted;

/* --- plain storage */

static void *store_bytes(const void *p, size_t n)
{
    void *copy = malloc(n ? n : 1);

    ASSERT(copy);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

static void row_free(struct disk_row *row)
{
    free(row->record);
    free(row->task);
    free(row->data);
    for (uint32_t i = 0; i < row->n_chunks; i++)
        free(row->chunks[i].data);
    free(row->chunks);
}

static void content_free(struct disk_content *c)
{
    for (uint32_t i = 0; i < c->n_rows; i++)
        row_free(&c->rows[i]);
    free(c->rows);
    memset(c, 0, sizeof *c);
}

static void content_copy(struct disk_content *to, const struct disk_content *from)
{
    *to = *from;
    to->cap = MAX(from->n_rows, 1u);
    to->rows = malloc(to->cap * sizeof *to->rows);
    ASSERT(to->rows);
    for (uint32_t i = 0; i < from->n_rows; i++) {
        const struct disk_row *row = &from->rows[i];

        to->rows[i] = *row;
        to->rows[i].record = store_bytes(row->record, row->record_bytes);
        to->rows[i].task = row->task ? store_bytes(row->task, row->task_bytes) : NULL;
        to->rows[i].data = row->data ? store_bytes(row->data, row->data_bytes) : NULL;
        to->rows[i].chunks = store_bytes(row->chunks, row->n_chunks * sizeof *row->chunks);
        for (uint32_t j = 0; j < row->n_chunks; j++)
            to->rows[i].chunks[j].data = store_bytes(row->chunks[j].data, row->chunks[j].bytes);
    }
}

/* The first row whose key is not below @key. */
static uint32_t seek(const struct disk_content *c, uint64_t key)
{
    uint32_t from = 0, to = c->n_rows;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;

        if (c->rows[middle].key < key)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct disk_row *find(const struct disk_content *c, const struct id *id)
{
    uint32_t i = seek(c, id_key(id));

    return i < c->n_rows && memcmp(&c->rows[i].id, id, sizeof *id) == 0 ? &c->rows[i] : NULL;
}

static struct disk_row *insert(struct disk_content *c, const struct id *id)
{
    uint32_t i = seek(c, id_key(id));

    ASSERT(i == c->n_rows || c->rows[i].key != id_key(id)); /* two futures of one key */
    if (c->n_rows == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->rows = realloc(c->rows, c->cap * sizeof *c->rows);
        ASSERT(c->rows);
    }
    memmove(&c->rows[i + 1], &c->rows[i], (c->n_rows - i) * sizeof *c->rows);
    c->n_rows++;
    c->rows[i] = (struct disk_row){.id = *id, .key = id_key(id)};
    return &c->rows[i];
}

static void delete_row(struct disk_content *c, struct disk_row *row)
{
    uint32_t i = (uint32_t)(row - c->rows);

    row_free(row);
    memmove(row, row + 1, (--c->n_rows - i) * sizeof *row);
}

/* --- writing */

static void put_blob(uint8_t **blob, uint32_t *n, const struct bytes *b)
{
    if (!b || *blob) /* written once */
        return;
    *blob = store_bytes(b->data, b->len);
    *n = (uint32_t)b->len;
}

static void put(struct disk_content *c, const struct batch *b, const struct batch_op *op)
{
    struct disk_row *row = find(c, &op->id);
    struct span record = batch_span(b, op->record);

    if (op->kind == BATCH_PUT_LIVE || op->kind == BATCH_FINISH)
        ASSERT(!row || !row->is_done); /* finished before */
    if (op->kind == BATCH_FINISH_NEW)
        ASSERT(!row);
    if (op->kind == BATCH_PUT_DONE)
        ASSERT(!row || row->is_done);
    if (!row)
        row = insert(c, &op->id);
    free(row->record);
    row->record = store_bytes(record.p, record.len);
    row->record_bytes = (uint32_t)record.len;
    row->is_done = op->kind != BATCH_PUT_LIVE;
    row->expire_time = op->time;
    row->has_key = op->has_key;
    row->key_hash = op->key_hash;
    put_blob(&row->task, &row->task_bytes, op->task);
    put_blob(&row->data, &row->data_bytes, op->data);
}

/* Written once, each behind the one before. */
static void put_chunk(struct disk_content *c, const struct batch_op *op)
{
    struct disk_row *row = find(c, &op->id);

    ASSERT(row && op->chunk.n <= row->n_chunks);
    if (op->chunk.n < row->n_chunks)
        return;
    row->chunks = realloc(row->chunks, (row->n_chunks + 1) * sizeof *row->chunks);
    ASSERT(row->chunks);
    row->chunks[row->n_chunks++] = (struct disk_chunk){.offset = op->chunk.offset,
                                                       .time = op->time,
                                                       .attempt = op->chunk.attempt,
                                                       .bytes = op->data->len,
                                                       .kind = op->chunk.kind,
                                                       .stream = op->chunk.stream,
                                                       .data = store_bytes(op->data->data, op->data->len)};
}

static void put_text(char *to, size_t size, struct span text)
{
    ASSERT(text.len < size);
    memset(to, 0, size);
    if (text.len)
        memcpy(to, text.p, text.len);
}

static void put_setting(struct disk_content *c, const struct batch *b, const struct batch_op *op)
{
    struct disk_setting s = {.at = op->time};
    uint32_t i = 0;
    int is_there;

    put_text(s.name, sizeof s.name, batch_span(b, op->name));
    put_text(s.value, sizeof s.value, batch_span(b, op->value));
    put_text(s.who, sizeof s.who, batch_span(b, op->who));
    put_text(s.why, sizeof s.why, batch_span(b, op->why));
    while (i < c->n_settings && strcmp(c->settings[i].name, s.name) < 0)
        i++;
    is_there = i < c->n_settings && strcmp(c->settings[i].name, s.name) == 0;
    if (is_there && !op->has_value) {
        memmove(&c->settings[i], &c->settings[i + 1], (--c->n_settings - i) * sizeof s);
    } else if (op->has_value && !is_there) {
        ASSERT(c->n_settings < DISK_SETTINGS_MAX);
        memmove(&c->settings[i + 1], &c->settings[i], (c->n_settings++ - i) * sizeof s);
    }
    if (op->has_value)
        c->settings[i] = s;
}

static void apply(struct disk_content *c, const struct batch *b)
{
    struct disk_row *row;

    for (uint32_t i = 0; i < b->n; i++) {
        const struct batch_op *op = &b->ops[i];

        switch (op->kind) {
        case BATCH_PUT_LIVE:
        case BATCH_FINISH:
        case BATCH_FINISH_NEW:
        case BATCH_PUT_DONE: put(c, b, op); break;
        case BATCH_CHUNK: put_chunk(c, op); break;
        case BATCH_SETTING: put_setting(c, b, op); break;
        case BATCH_KEY_CEILING: c->key_ceiling = MAX(c->key_ceiling, op->k); break;
        case BATCH_DELETE:
            row = find(c, &op->id);
            if (row)
                delete_row(c, row);
            break;
        }
    }
    if (b->user)
        c->seq = (uint64_t)(uintptr_t)b->user;
}

static struct disk *disk_of(struct store *s)
{
    return CONTAINER_OF(s, struct disk, store);
}

static int refuse(struct store_problem *problem, int r)
{
    snprintf(problem->text, sizeof problem->text, "simulated");
    return r;
}

static int backend_write(struct store *s, struct batch *const *batches, size_t n,
                         struct store_problem *problem)
{
    struct disk *d = disk_of(s);

    d->n_writes++;
    if (d->is_poisoned || d->is_off)
        return refuse(problem, STORE_E_POISONED);
    if (d->fault == DISK_FULL)
        return refuse(problem, STORE_E_ROLLED_BACK);
    if (d->fault == DISK_LOST || d->fault == DISK_TORN) {
        d->is_poisoned = 1;
        d->has_after = d->fault == DISK_TORN;
        if (d->has_after) {
            content_copy(&d->after, &d->content);
            for (size_t i = 0; i < n; i++)
                apply(&d->after, batches[i]);
        }
        return refuse(problem, STORE_E_POISONED);
    }
    for (size_t i = 0; i < n; i++)
        apply(&d->content, batches[i]);
    d->n_commits++;
    return 0;
}

static int is_kept(const struct store_sweep *how, uint64_t key)
{
    for (size_t i = 0; i < how->n_kept; i++)
        if (how->kept[i] == key)
            return 1;
    return 0;
}

static int backend_sweep(struct store *s, const struct store_sweep *how, struct store_swept *ret,
                         struct store_problem *problem)
{
    struct disk *d = disk_of(s);
    struct disk_content *c = &d->content;
    struct store_swept swept = {.next = CLOCK_NEVER};

    if (d->is_poisoned || d->is_off)
        return refuse(problem, STORE_E_POISONED);
    if (d->fault == DISK_FULL)
        return refuse(problem, STORE_E_ROLLED_BACK);
    for (uint32_t i = c->n_rows; i-- > 0;) {
        struct disk_row *row = &c->rows[i];

        if (!row->is_done || swept.n_deleted == how->max)
            continue;
        if (row->expire_time > how->now) {
            swept.next = MIN(swept.next, row->expire_time);
        } else if (is_kept(how, id_key(&row->id))) {
            swept.next = MIN(swept.next, clock_add(how->now, NS_PER_S));
        } else {
            delete_row(c, row);
            swept.n_deleted++;
        }
    }
    if (swept.n_deleted == how->max)
        swept.next = how->now;
    *ret = swept;
    return 0;
}

static int backend_checkpoint(struct store *s, struct store_problem *problem)
{
    return refuse(problem, STORE_E_ROLLED_BACK);
}

static uint64_t backend_wal_bytes(struct store *s)
{
    return 0;
}

/* --- reading */

static int make_chunks(const struct disk_row *row, struct store_item *item)
{
    ASSERT(row->n_chunks == item->record.n_chunks);
    if (row->n_chunks == 0)
        return 0;
    item->chunks = mem_zalloc(row->n_chunks * sizeof *item->chunks);
    if (!item->chunks)
        return -ENOMEM;
    for (uint32_t i = 0; i < row->n_chunks; i++) {
        const struct disk_chunk *c = &row->chunks[i];

        item->chunks[i] = (struct restored_chunk){.data = bytes_dup(c->data, c->bytes),
                                                  .time = c->time,
                                                  .attempt = c->attempt,
                                                  .kind = c->kind,
                                                  .stream = c->stream};
        if (!item->chunks[i].data)
            return -ENOMEM;
    }
    return 0;
}

static int make_item(const struct disk_row *row, uint8_t want, struct store_item **ret)
{
    struct store_item *item = mem_zalloc(sizeof *item + row->record_bytes);
    int r;

    if (!item)
        return -ENOMEM;
    list_init(&item->link);
    item->is_done = row->is_done;
    item->id = row->id;
    memcpy(item->raw, row->record, row->record_bytes);
    r = record_decode(&item->id, (struct span){item->raw, row->record_bytes}, &item->record);
    ASSERT(r == 0 || r == -ENOMEM); /* nobody damages it */
    if (r == 0) {
        ASSERT(item->record.has_outcome == item->is_done);
        ASSERT(!item->record.task_in_blob == !row->task && !item->record.data_in_blob == !row->data);
        ASSERT(!item->is_done || item->record.expire_time == row->expire_time);
    }
    if (r == 0 && want & STORE_WANT_TASK && row->task &&
        !(item->task = bytes_dup(row->task, row->task_bytes)))
        r = -ENOMEM;
    if (r == 0 && want & STORE_WANT_DATA && row->data &&
        !(item->data = bytes_dup(row->data, row->data_bytes)))
        r = -ENOMEM;
    if (r == 0 && want & STORE_WANT_CHUNKS)
        r = make_chunks(row, item);
    if (r != 0) {
        store_item_free(item);
        return r;
    }
    if (item->task)
        item->record.task = SPAN_OF_BYTES(item->task);
    if (item->data)
        item->record.data = SPAN_OF_BYTES(item->data);
    *ret = item;
    return 0;
}

static struct disk *disk_of_view(struct store_view *v)
{
    return CONTAINER_OF(v, struct disk, view);
}

static int backend_get(struct store_view *v, const struct id *id, uint8_t want, struct store_item **ret)
{
    struct disk *d = disk_of_view(v);
    const struct disk_row *row = find(&d->content, id);

    if (d->is_unreadable)
        return -EIO;
    return row ? make_item(row, want, ret) : STORE_E_NOT_FOUND;
}

/* The newest of those that hold it, or held it and have expired. */
static int backend_get_key(struct store_view *v, struct span namespace, struct span key, uint8_t want,
                           struct store_item **ret)
{
    struct disk *d = disk_of_view(v);
    uint64_t hash = idem_stored_hash(namespace, key);

    if (d->is_unreadable)
        return -EIO;
    for (uint32_t i = d->content.n_rows; i-- > 0;) {
        const struct disk_row *row = &d->content.rows[i];
        struct store_item *item;
        int r;

        if (!row->is_done || !row->has_key || row->key_hash != hash)
            continue;
        r = make_item(row, want, &item);
        if (r != 0)
            return r;
        if (span_eq(item->record.namespace, namespace) && span_eq(item->record.key, key)) {
            *ret = item;
            return 0;
        }
        store_item_free(item);
    }
    return STORE_E_NOT_FOUND;
}

static int backend_keys(struct store_view *v, uint64_t *k, uint64_t *hashes, uint32_t max, uint32_t *ret_n)
{
    const struct disk_content *c = &disk_of_view(v)->content;

    *ret_n = 0;
    for (uint32_t i = seek(c, *k + 1); i < c->n_rows && *ret_n < max; i++)
        if (c->rows[i].is_done && c->rows[i].has_key) {
            *k = c->rows[i].key;
            hashes[(*ret_n)++] = c->rows[i].key_hash;
        }
    return 0;
}

/* Whether @record is a member of the group whose key is @group. */
static int is_member(const struct record *record, struct span group, int *ret)
{
    struct buf key = BUF_INIT;
    int r = match_group_key(&key, record->namespace, record->group);

    *ret = r == 0 && record->group.len && span_eq(group, (struct span){buf_head(&key), buf_len(&key)});
    buf_deinit(&key);
    return r;
}

/* 0 with *ret: @row is wanted; without: it is not. */
static int look(const struct disk_row *row, const struct store_scan *scan, uint32_t *cost,
                struct store_item **ret)
{
    struct store_item *item;
    int r = make_item(row, scan->want, &item), is = 1;

    *ret = NULL;
    if (r != 0)
        return r;
    if (scan->group.len)
        r = is_member(&item->record, scan->group, &is);
    if (r == 0 && is && scan->match)
        is = item->result == 0 && match_is_wanted(scan->match, &item->record, cost);
    if (r == 0 && is)
        *ret = item;
    else
        store_item_free(item);
    return r;
}

/* No more than look_max rows are looked at: a real one comes to its end by cost, and by size. */
static int backend_scan(struct store_view *v, const struct store_scan *scan, struct list *items)
{
    struct disk *d = disk_of_view(v);
    const struct disk_content *c = &d->content;
    uint32_t n = 0, n_looked = 0, i = scan->desc ? seek(c, scan->key) : seek(c, scan->key + 1);
    struct store_scanned scanned = {.last = scan->key, .is_end = 1};

    if (d->is_unreadable)
        return -EIO;
    while (scan->desc ? i > 0 : i < c->n_rows) {
        const struct disk_row *row = &c->rows[scan->desc ? i - 1 : i];
        struct store_item *item;
        int r;

        i += scan->desc ? UINT32_MAX : 1;
        if (row->is_done != (scan->place == STORE_DONE))
            continue;
        if (n == scan->limit || n_looked++ == d->look_max) {
            scanned.is_end = 0;
            break;
        }
        r = look(row, scan, &scanned.cost, &item);
        if (r != 0)
            return r;
        scanned.last = row->key;
        if (item)
            list_push_back(items, &item->link);
        n += item != NULL;
    }
    if (scan->ret)
        *scan->ret = scanned;
    return 0;
}

static int backend_settings(struct store_view *v, store_setting_fn fn, void *user)
{
    const struct disk_content *c = &disk_of_view(v)->content;
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < c->n_settings; i++)
        r = fn(user, &(struct store_setting){.name = span_of_string(c->settings[i].name),
                                             .value = span_of_string(c->settings[i].value),
                                             .who = span_of_string(c->settings[i].who),
                                             .why = span_of_string(c->settings[i].why),
                                             .at = c->settings[i].at});
    return r;
}

static int backend_counts(struct store_view *v, struct store_counts *ret)
{
    *ret = (struct store_counts){0};
    return 0;
}

static void backend_view_close(struct store_view *v)
{
    disk_of_view(v)->n_views--;
}

static int backend_view_open(struct store *s, struct store_view **ret)
{
    struct disk *d = disk_of(s);

    d->n_views++;
    *ret = &d->view;
    return 0;
}

static void backend_close(struct store *s)
{
    ASSERT(disk_of(s)->n_views == 0);
}

/* In place of the database. */
int sqlite_open(struct store **ret, const struct store_config *config, struct store_problem *problem)
{
    struct disk *d = inserted;

    if (mem_fail_here())
        return -ENOMEM;
    d->is_poisoned = 0;
    d->content.seq = 0; /* the engine's numbers begin anew */
    d->store.meta = (struct store_meta){
            .epoch = ++d->epoch, .k_ceiling = d->content.key_ceiling, .commits = d->n_commits};
    *ret = &d->store;
    return 0;
}

/* --- from outside */

void disk_init(struct disk *d)
{
    static const struct store_backend backend = {
            .write = backend_write,
            .sweep = backend_sweep,
            .checkpoint = backend_checkpoint,
            .wal_bytes = backend_wal_bytes,
            .view_open = backend_view_open,
            .close = backend_close,
    };
    static const struct store_view_backend view_backend = {
            .get = backend_get,
            .get_key = backend_get_key,
            .keys = backend_keys,
            .scan = backend_scan,
            .settings = backend_settings,
            .counts = backend_counts,
            .close = backend_view_close,
    };

    memset(d, 0, sizeof *d);
    d->look_max = 200;
    d->store.backend = &backend;
    d->view.backend = &view_backend;
}

void disk_deinit(struct disk *d)
{
    content_free(&d->content);
    if (d->has_after)
        content_free(&d->after);
}

void disk_insert(struct disk *d)
{
    inserted = d;
}

void disk_off(struct disk *d)
{
    d->is_off = 1;
}

void disk_on(struct disk *d)
{
    d->is_off = d->is_unreadable = 0;
    d->fault = DISK_WELL;
    if (!d->has_after)
        return;
    content_free(&d->content);
    d->content = d->after;
    memset(&d->after, 0, sizeof d->after);
    d->has_after = 0;
}

const struct disk_row *disk_find(const struct disk *d, const struct id *id)
{
    return find(&d->content, id);
}
