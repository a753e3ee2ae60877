// SPDX-License-Identifier: Apache-2.0
/* The tables: what a new database has, what is not ours, and that an upgrade happens as a whole or not at all. */
#include "store/schema.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/sql.h"

struct base {
    struct fixture fx;
    sqlite3 *db;
    struct store_problem problem;
};

/* An empty database, and a connection to it. */
static void base_start(struct base *b, const char *vfs)
{
    *b = (struct base){0};
    fixture_init(&b->fx, vfs);
    assert_int_equal(mkdir(b->fx.directory, 0700), 0);
    assert_int_equal(db_open(&b->db, b->fx.path, vfs, 0, &b->problem), 0);
}

static void base_end(struct base *b)
{
    b->db = db_close(b->db, 1);
    fixture_empty(b->fx.parent);
}

static void base_run(struct base *b, const char *sql)
{
    if (db_exec(b->db, sql, &b->problem) != 0)
        fail_msg("%s: %s", sql, b->problem.text);
}

static int64_t base_number(struct base *b, const char *sql)
{
    int64_t n = -1;

    if (db_number(b->db, sql, &n, &b->problem) != 0)
        fail_msg("%s: %s", sql, b->problem.text);
    return n;
}

static uint32_t base_version(struct base *b)
{
    uint32_t version = 77;

    assert_int_equal(schema_find(b->db, &version, &b->problem), 0);
    return version;
}

/* All columns and indexes, as one text. */
static char *base_form(struct base *b)
{
    static const char sql[] =
            "SELECT group_concat(line, char(10)) FROM ("
            "SELECT m.type || ' ' || m.name || '.' || coalesce(p.name, '') || ' ' || coalesce(p.type, '') ||"
            " coalesce(p.\"notnull\", '') || coalesce(p.pk, '') AS line FROM sqlite_schema AS m"
            " LEFT JOIN pragma_table_info(m.name) AS p ORDER BY m.type, m.name, p.cid)";
    sqlite3_stmt *stmt;
    char *text;

    assert_int_equal(db_prepare(b->db, sql, &stmt, &b->problem), 0);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    text = strdup((const char *)sqlite3_column_text(stmt, 0));
    assert_non_null(text);
    sqlite3_finalize(stmt);
    return text;
}

/* A database of version 1, as that version has left it. It never changes: later versions start from it. */
static const char *const version_1 =
        "CREATE TABLE meta(schema INTEGER NOT NULL, epoch INTEGER NOT NULL, k_ceiling INTEGER NOT NULL,"
        " commit_seq INTEGER NOT NULL);"
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
        "PRAGMA application_id=1718965348;"
        "INSERT INTO meta VALUES(1, 5, 6, 7);"
        "INSERT INTO settings VALUES('f/echo', 'paused', 'root', 8, 'it smokes');"
        "INSERT INTO live VALUES(1, 'id', 'rec');"
        "INSERT INTO blob VALUES(1, 0, 9, 'data');";

static void test_a_new_database(void **state)
{
    struct base b;

    base_start(&b, NULL);
    assert_int_equal(base_version(&b), 0);
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), 0);
    assert_int_equal(base_version(&b), SCHEMA_VERSION);
    assert_int_equal(base_number(&b, "PRAGMA application_id"), 0x66755464);
    assert_int_equal(base_number(&b, "SELECT count(*) FROM meta"), 1);
    assert_int_equal(base_number(&b, "SELECT epoch + k_ceiling + commit_seq FROM meta"), 0);
    assert_true(sqlite3_get_autocommit(b.db));
    base_end(&b);
}

static void test_version_1_gets_the_form_of_today(void **state)
{
    struct base fresh, old;
    char *want, *got;

    base_start(&fresh, NULL);
    assert_int_equal(schema_upgrade(fresh.db, 0, &fresh.problem), 0);
    base_start(&old, NULL);
    base_run(&old, version_1);
    assert_int_equal(base_version(&old), 1);
    assert_int_equal(schema_upgrade(old.db, 1, &old.problem), 0);
    assert_int_equal(base_version(&old), SCHEMA_VERSION);
    want = base_form(&fresh);
    got = base_form(&old);
    assert_string_equal(got, want);
    assert_int_equal(base_number(&old, "SELECT epoch * 100 + k_ceiling * 10 + commit_seq FROM meta"), 567);
    assert_int_equal(base_number(&old, "SELECT count(*) FROM live JOIN blob USING (k) JOIN settings"), 1);
    free(want);
    free(got);
    base_end(&fresh);
    base_end(&old);
}

static void test_what_the_tables_refuse(void **state)
{
    static const char *const refused[] = {
            "INSERT INTO blob VALUES(1, 0, 1, 'other')",
            "INSERT INTO live VALUES(1, 'id', 'rec')",
            "INSERT INTO live VALUES(2, 'id', NULL)",
            "INSERT INTO settings VALUES('f/echo', 'x', 'x', 1, 'x')",
    };
    struct base b;

    base_start(&b, NULL);
    base_run(&b, version_1);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(db_exec(b.db, refused[i], &b.problem), STORE_E_CORRUPT);
    base_run(&b, "INSERT INTO blob VALUES(1, 1, 1, 'data'), (2, 0, 1, 'data')");
    base_end(&b);
}

static void test_of_the_newest_version_nothing_is_written(void **state)
{
    struct base b;
    int changes;

    base_start(&b, NULL);
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), 0);
    changes = sqlite3_total_changes(b.db);
    assert_int_equal(schema_upgrade(b.db, SCHEMA_VERSION, &b.problem), 0);
    assert_int_equal(sqlite3_total_changes(b.db), changes);
    base_end(&b);
}

static void test_other_versions(void **state)
{
    static const int64_t others[] = {SCHEMA_VERSION + 1, 0, -1, INT64_C(1) << 32, (INT64_C(1) << 32) + 1};
    struct base b;
    char sql[80];
    uint32_t version = 77;

    base_start(&b, NULL);
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        snprintf(sql, sizeof sql, "UPDATE meta SET schema=%" PRId64, others[i]);
        base_run(&b, sql);
        assert_int_equal(schema_find(b.db, &version, &b.problem), STORE_E_VERSION);
        snprintf(sql, sizeof sql, "schema %" PRId64 ",", others[i]);
        assert_non_null(strstr(b.problem.text, sql));
        assert_int_equal(version, 77);
    }
    base_end(&b);
}

static void test_what_is_not_ours(void **state)
{
    static const struct {
        const char *sql;
        int result;
    } others[] = {
            {"CREATE TABLE addresses(name)", STORE_E_VERSION},
            {"CREATE TABLE meta(schema); INSERT INTO meta VALUES(1)", STORE_E_VERSION},
            {"CREATE TABLE addresses(name); PRAGMA application_id=1718965348", STORE_E_CORRUPT},
            {"CREATE TABLE meta(schema); PRAGMA application_id=1718965348", STORE_E_CORRUPT},
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        uint32_t version = 77;
        struct base b;

        base_start(&b, NULL);
        base_run(&b, others[i].sql);
        assert_int_equal(schema_find(b.db, &version, &b.problem), others[i].result);
        assert_true(b.problem.text[0] != '\0');
        assert_int_equal(version, 77);
        base_end(&b);
    }
}

/* --- all or nothing */

static void test_a_failed_upgrade_leaves_nothing(void **state)
{
    struct base b;

    base_start(&b, NULL);
    base_run(&b, "CREATE TABLE expiry(mine)"); /* in the way of the last table */
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), STORE_E_CORRUPT);
    assert_non_null(strstr(b.problem.text, "expiry"));
    assert_true(sqlite3_get_autocommit(b.db));
    assert_int_equal(base_number(&b, "SELECT count(*) FROM sqlite_schema"), 1);
    assert_int_equal(base_number(&b, "PRAGMA application_id"), 0);
    base_run(&b, "DROP TABLE expiry");
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), 0);
    base_end(&b);
}

static void test_somebody_else_is_writing(void **state)
{
    sqlite3 *other;
    struct base b;

    base_start(&b, NULL);
    assert_int_equal(db_open(&other, b.fx.path, NULL, 0, &b.problem), 0);
    assert_int_equal(db_exec(other, "BEGIN IMMEDIATE", &b.problem), 0);
    sqlite3_busy_timeout(b.db, 0);
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), STORE_E_ROLLED_BACK);
    assert_int_equal(db_exec(other, "COMMIT", &b.problem), 0);
    db_close(other, 1);
    assert_int_equal(schema_upgrade(b.db, 0, &b.problem), 0);
    base_end(&b);
}

static void test_each_write_and_sync_fails(void **state)
{
    struct fault_plan plan = {.what = FAULT_WRITE | FAULT_SYNC, .n_times = 1, .system_errno = EIO};
    int is_hit = 1;

    for (plan.nth = 1; is_hit; plan.nth++) {
        struct base b;
        int r;

        base_start(&b, FAULT_VFS);
        fault_set(&plan);
        r = schema_upgrade(b.db, 0, &b.problem);
        is_hit = fault_has_hit();
        assert_int_equal(r, is_hit ? STORE_E_POISONED : 0);
        assert_true(sqlite3_get_autocommit(b.db));
        fault_set(&(struct fault_plan){0});
        db_close(b.db, 0);
        assert_int_equal(db_open(&b.db, b.fx.path, FAULT_VFS, 0, &b.problem), 0);
        assert_int_equal(base_version(&b), is_hit ? 0 : SCHEMA_VERSION);
        assert_int_equal(schema_upgrade(b.db, base_version(&b), &b.problem), 0);
        assert_int_equal(base_version(&b), SCHEMA_VERSION);
        b.db = db_close(b.db, 1);
        fault_reset();
        base_end(&b);
    }
    assert_true(plan.nth > 5);
}

static void upgrade_backwards(void *arg)
{
    struct base *b = arg;

    if (schema_upgrade(b->db, SCHEMA_VERSION + 1, &b->problem) == 0)
        fputs("done", stderr);
}

static void test_nothing_goes_backwards(void **state)
{
    struct base b;

    base_start(&b, NULL);
    test_aborts(upgrade_backwards, &b, "SCHEMA_VERSION");
    base_end(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_new_database),
            cmocka_unit_test(test_version_1_gets_the_form_of_today),
            cmocka_unit_test(test_what_the_tables_refuse),
            cmocka_unit_test(test_of_the_newest_version_nothing_is_written),
            cmocka_unit_test(test_other_versions),
            cmocka_unit_test(test_what_is_not_ours),
            cmocka_unit_test(test_a_failed_upgrade_leaves_nothing),
            cmocka_unit_test(test_somebody_else_is_writing),
            cmocka_unit_test(test_each_write_and_sync_fails),
            cmocka_unit_test(test_nothing_goes_backwards),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
