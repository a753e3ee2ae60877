// SPDX-License-Identifier: Apache-2.0
#include "store/ledger.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

enum { NUMBER_BYTES = 24 };

struct account {
    struct map_item item;
    struct list changed, untold;
    struct bytes *name; /* of the row, with its prefix */
    uint64_t bytes;     /* on disk */
    int64_t added;      /* in this transaction */
    uint64_t told;      /* what to tell; under lock */
};

static const char
        all[] = "SELECT name, value FROM settings WHERE name>='stored.' AND name<'stored/'",
        sum[] = "SELECT coalesce(sum(length(data)), 0) FROM chunk WHERE k=?1",
        put[] = "INSERT OR REPLACE INTO settings(name, value, who, at, why) VALUES(?1, ?2, '', 0, '')",
        drop[] = "DELETE FROM settings WHERE name=?1";

static int no_memory(struct store_problem *problem)
{
    snprintf(problem->text, sizeof problem->text, "no memory");
    return STORE_E_ROLLED_BACK;
}

/* --- accounts */

static void account_free(struct account *a)
{
    bytes_unref(a->name);
    mem_free(a);
}

/* Find or make, by its name in the row. NULL: no memory. */
static struct account *get(struct ledger *l, struct span name)
{
    struct map_item *it = map_find(&l->accounts, name);
    struct account *a;

    if (it)
        return CONTAINER_OF(it, struct account, item);
    a = mem_zalloc(sizeof *a);
    if (!a)
        return NULL;
    list_init(&a->changed);
    list_init(&a->untold);
    a->name = bytes_dup(name.p, name.len);
    if (!a->name || map_insert(&l->accounts, &a->item, SPAN_OF_BYTES(a->name)) != 0) {
        account_free(a);
        return NULL;
    }
    return a;
}

static void tell(struct ledger *l, struct account *a)
{
    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    a->told = a->bytes;
    if (!list_is_linked(&a->untold))
        list_push_back(&l->untold, &a->untold);
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
}

/* With what was added. */
static uint64_t bytes_of(const struct account *a)
{
    return (uint64_t)MAX((int64_t)a->bytes + a->added, (int64_t)0);
}

static int load(struct ledger *l, struct span name, struct span value)
{
    struct account *a = get(l, name);
    char number[NUMBER_BYTES];

    if (!a)
        return -ENOMEM;
    snprintf(number, sizeof number, "%.*s", (int)MIN(value.len, sizeof number - 1),
             value.len ? (const char *)value.p : "");
    a->bytes = MIN(strtoull(number, NULL, 10), (unsigned long long)INT64_MAX);
    tell(l, a);
    return 0;
}

static int load_all(struct ledger *l, struct store_problem *problem)
{
    sqlite3_stmt *stmt = NULL;
    int rc = SQLITE_DONE, r = db_prepare(l->db, all, &stmt, problem);

    while (r == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        if (load(l, db_column(stmt, 0), db_column(stmt, 1)) < 0)
            r = no_memory(problem);
    if (r == 0)
        r = db_error(l->db, rc, problem);
    sqlite3_finalize(stmt);
    return r;
}

int ledger_open(struct ledger *l, sqlite3 *db, struct store_problem *problem)
{
    struct hash_seed seed;
    int r;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return db_errno(problem, "random", errno);
    *l = (struct ledger){.db = db, .is_open = 1};
    map_init(&l->accounts, &seed);
    list_init(&l->changed);
    list_init(&l->untold);
    ASSERT(pthread_mutex_init(&l->lock, NULL) == 0);
    r = db_prepare(db, sum, &l->sum, problem);
    if (r == 0)
        r = db_prepare(db, put, &l->put, problem);
    if (r == 0)
        r = db_prepare(db, drop, &l->drop, problem);
    return r == 0 ? load_all(l, problem) : r;
}

void ledger_close(struct ledger *l)
{
    if (!l->is_open)
        return;
    for (struct map_item *it; (it = map_next(&l->accounts, NULL));) {
        map_remove(&l->accounts, it);
        account_free(CONTAINER_OF(it, struct account, item));
    }
    map_deinit(&l->accounts);
    buf_deinit(&l->name);
    sqlite3_finalize(l->sum);
    sqlite3_finalize(l->put);
    sqlite3_finalize(l->drop);
    pthread_mutex_destroy(&l->lock);
    l->is_open = 0;
}

/* --- a transaction */

static int add(struct ledger *l, struct span principal, struct span slash, struct span namespace,
               int64_t bytes)
{
    struct account *a;

    buf_clear(&l->name);
    if (buf_append(&l->name, LEDGER_PREFIX, sizeof LEDGER_PREFIX - 1) < 0 ||
        buf_append(&l->name, principal.p, principal.len) < 0 ||
        (slash.len && buf_append(&l->name, slash.p, slash.len) < 0) ||
        (namespace.len && buf_append(&l->name, namespace.p, namespace.len) < 0))
        return -ENOMEM;
    a = get(l, (struct span){buf_head(&l->name), buf_len(&l->name)});
    if (!a)
        return -ENOMEM;
    a->added += bytes;
    if (!list_is_linked(&a->changed))
        list_push_back(&l->changed, &a->changed);
    return 0;
}

int ledger_add(struct ledger *l, struct span name, int64_t bytes)
{
    return name.len && bytes ? add(l, name, (struct span){0}, (struct span){0}, bytes) : 0;
}

static int sum_chunks(struct ledger *l, uint64_t k, int64_t *ret, struct store_problem *problem)
{
    int rc, r;

    ASSERT(k <= INT64_MAX && sqlite3_bind_int64(l->sum, 1, (int64_t)k) == SQLITE_OK);
    rc = sqlite3_step(l->sum);
    r = db_error(l->db, rc, problem);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(l->sum, 0) : 0;
    sqlite3_reset(l->sum);
    return r;
}

int ledger_drop(struct ledger *l, uint64_t k, const struct record *record, size_t bytes,
                struct store_problem *problem)
{
    int64_t chunks = 0;
    int r = 0;

    if (LIKELY(!record->principal.len))
        return 0;
    if (record->n_chunks)
        r = sum_chunks(l, k, &chunks, problem);
    bytes += record->task_in_blob ? record->task_bytes : 0;
    bytes += record->data_in_blob ? record->data_bytes : 0;
    if (r == 0 && add(l, record->principal, SPAN_LIT("/"), record->namespace, -(int64_t)bytes - chunks) < 0)
        r = no_memory(problem);
    return r;
}

static int write_row(struct ledger *l, const struct account *a, struct store_problem *problem)
{
    sqlite3_stmt *stmt = bytes_of(a) ? l->put : l->drop;
    char value[NUMBER_BYTES];

    snprintf(value, sizeof value, "%" PRIu64, bytes_of(a));
    ASSERT(sqlite3_bind_text64(stmt, 1, (const char *)a->name->data, a->name->len, SQLITE_STATIC,
                               SQLITE_UTF8) == SQLITE_OK);
    if (stmt == l->put)
        ASSERT(db_bind(stmt, 2, span_of_string(value)) == SQLITE_OK);
    return db_run(stmt, problem);
}

int ledger_write(struct ledger *l, struct store_problem *problem)
{
    int r = 0;

    LIST_FOREACH (it, &l->changed)
        if (r == 0)
            r = write_row(l, LIST_ENTRY(it, struct account, changed), problem);
    return r;
}

void ledger_commit(struct ledger *l)
{
    struct list *it;

    while ((it = list_pop_front(&l->changed))) {
        struct account *a = LIST_ENTRY(it, struct account, changed);

        a->bytes = bytes_of(a);
        a->added = 0;
        tell(l, a);
    }
}

void ledger_rollback(struct ledger *l)
{
    struct list *it;

    while ((it = list_pop_front(&l->changed)))
        LIST_ENTRY(it, struct account, changed)->added = 0;
}

static struct span name_of(const struct account *a)
{
    size_t n = sizeof LEDGER_PREFIX - 1;

    return (struct span){a->name->data + n, a->name->len - n};
}

void ledger_left(const struct ledger *l, void (*fn)(void *user, struct span name, int64_t bytes), void *user)
{
    MAP_FOREACH (it, &l->accounts) {
        const struct account *a = CONTAINER_OF(it, struct account, item);

        if ((int64_t)a->bytes + a->added != 0)
            fn(user, name_of(a), (int64_t)a->bytes + a->added);
    }
}

void ledger_take(struct ledger *l, void (*fn)(void *user, struct span name, uint64_t bytes), void *user)
{
    struct list *it;

    ASSERT(pthread_mutex_lock(&l->lock) == 0);
    while ((it = list_pop_front(&l->untold))) {
        const struct account *a = LIST_ENTRY(it, struct account, untold);

        fn(user, name_of(a), a->told);
    }
    ASSERT(pthread_mutex_unlock(&l->lock) == 0);
}
