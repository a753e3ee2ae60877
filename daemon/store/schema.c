// SPDX-License-Identifier: Apache-2.0
#include "store/schema.h"

#include <inttypes.h>
#include <stdio.h>

#define STRING_(x)     #x
#define STRING(x)      STRING_(x)
#define APPLICATION_ID 1718965348 /* "fuTd" */

/*
 * live and done: an integer key alone, and appended to in its order, measured best. blob has a rowid, and its index on
 * the side, so that large payloads are not in the pages that a search goes through. done_grp has an entry for each finished
 * future with a group, in the order of keys within a group, and none for the others. No further index: each would cost
 * every finished future a page. idem is by k, so that deleting a future needs no key; its own index is for the few that
 * have one.
 */
static const char *const create =
        "CREATE TABLE meta(schema INTEGER NOT NULL, epoch INTEGER NOT NULL, k_ceiling INTEGER NOT NULL,"
        " commit_seq INTEGER NOT NULL);"
        "INSERT INTO meta VALUES(1, 0, 0, 0);"
        "CREATE TABLE settings(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, who TEXT NOT NULL,"
        " at INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE live(k INTEGER PRIMARY KEY, id BLOB NOT NULL, rec BLOB NOT NULL);"
        "CREATE TABLE done(k INTEGER PRIMARY KEY, id BLOB NOT NULL, fn TEXT NOT NULL, state INTEGER NOT NULL,"
        " grp BLOB, rec BLOB NOT NULL);"
        "CREATE INDEX done_grp ON done(grp) WHERE grp IS NOT NULL;"
        "CREATE TABLE blob(k INTEGER NOT NULL, n INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);"
        "CREATE UNIQUE INDEX blob_kn ON blob(k, n);"
        "CREATE TABLE expiry(hour INTEGER NOT NULL, seq INTEGER NOT NULL, ks BLOB NOT NULL,"
        " PRIMARY KEY(hour, seq)) WITHOUT ROWID;"
        "CREATE TABLE idem(k INTEGER PRIMARY KEY, h INTEGER NOT NULL);"
        "CREATE INDEX idem_h ON idem(h);"
        "PRAGMA application_id=" STRING(APPLICATION_ID) ";";

/* Output and log of attempts; as blob, for the same reason. */
static const char *const add_chunk =
        "CREATE TABLE chunk(k INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL,"
        " attempt INTEGER NOT NULL, stream INTEGER NOT NULL, offset INTEGER NOT NULL, time INTEGER NOT NULL,"
        " crc INTEGER NOT NULL, data BLOB NOT NULL);"
        "CREATE UNIQUE INDEX chunk_kn ON chunk(k, n);";

/* steps[v] makes version v + 1 of version v. */
static const char *const steps[SCHEMA_VERSION] = {create, add_chunk};

static int not_ours(struct store_problem *problem, const char *text)
{
    snprintf(problem->text, sizeof problem->text, "%s", text);
    return STORE_E_VERSION;
}

int schema_find(sqlite3 *db, uint32_t *ret_version, struct store_problem *problem)
{
    int64_t n_tables, application, version;
    int r;

    r = db_number(db, "SELECT count(*) FROM sqlite_schema", &n_tables, problem);
    if (r != 0)
        return r;
    if (n_tables == 0) {
        *ret_version = 0;
        return 0;
    }
    r = db_number(db, "PRAGMA application_id", &application, problem);
    if (r != 0)
        return r;
    if (application != APPLICATION_ID)
        return not_ours(problem, "the database has other tables than a store of futures");
    r = db_number(db, "SELECT schema FROM meta", &version, problem);
    if (r != 0)
        return r;
    if (version < 1 || version > SCHEMA_VERSION) {
        snprintf(problem->text, sizeof problem->text,
                 "the store has schema %" PRId64 ", this program knows 1 to %d", version,
                 (int)SCHEMA_VERSION);
        return STORE_E_VERSION;
    }
    *ret_version = (uint32_t)version;
    return 0;
}

int schema_upgrade(sqlite3 *db, uint32_t version, struct store_problem *problem)
{
    char mark[64];
    int r;

    ASSERT(version <= SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return 0;
    r = db_exec(db, "BEGIN IMMEDIATE", problem);
    if (r != 0)
        return r;
    for (; r == 0 && version < SCHEMA_VERSION; version++)
        r = db_exec(db, steps[version], problem);
    snprintf(mark, sizeof mark, "UPDATE meta SET schema=%d", (int)SCHEMA_VERSION);
    if (r == 0)
        r = db_exec(db, mark, problem);
    if (r == 0)
        r = db_exec(db, "COMMIT", problem);
    if (r != 0 && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}
