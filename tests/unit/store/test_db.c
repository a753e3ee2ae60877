// SPDX-License-Identifier: Apache-2.0
#include "store/db.h"
#include "tests/unit/store/fixture.h"

static void test_what_errors_mean(void **state)
{
    static const struct {
        int rc, write, read;
    } cases[] = {
            {SQLITE_OK, 0, 0},
            {SQLITE_ROW, 0, 0},
            {SQLITE_DONE, 0, 0},
            {SQLITE_FULL, STORE_E_ROLLED_BACK, -EIO},
            {SQLITE_BUSY, STORE_E_ROLLED_BACK, -EBUSY},
            {SQLITE_BUSY_SNAPSHOT, STORE_E_ROLLED_BACK, -EBUSY},
            {SQLITE_LOCKED, STORE_E_ROLLED_BACK, -EBUSY},
            {SQLITE_READONLY, STORE_E_ROLLED_BACK, -EIO},
            {SQLITE_READONLY_DBMOVED, STORE_E_POISONED, -EIO},
            {SQLITE_NOMEM, STORE_E_ROLLED_BACK, -ENOMEM},
            {SQLITE_CANTOPEN, STORE_E_ROLLED_BACK, -EIO},
            {SQLITE_INTERRUPT, STORE_E_ROLLED_BACK, -EIO},
            {SQLITE_IOERR_NOMEM, STORE_E_ROLLED_BACK, -ENOMEM},
            {SQLITE_IOERR_FSYNC, STORE_E_POISONED, -EIO},
            {SQLITE_IOERR_READ, STORE_E_POISONED, -EIO},
            {SQLITE_IOERR_WRITE, STORE_E_POISONED, -EIO}, /* without an errno that says more */
            {SQLITE_IOERR_CORRUPTFS, STORE_E_CORRUPT, STORE_E_CORRUPT},
            {SQLITE_CORRUPT, STORE_E_CORRUPT, STORE_E_CORRUPT},
            {SQLITE_CORRUPT_INDEX, STORE_E_CORRUPT, STORE_E_CORRUPT},
            {SQLITE_NOTADB, STORE_E_CORRUPT, STORE_E_CORRUPT},
            {SQLITE_CONSTRAINT_PRIMARYKEY, STORE_E_CORRUPT, STORE_E_CORRUPT},
            {SQLITE_INTERNAL, STORE_E_POISONED, -EIO},
            {SQLITE_TOOBIG, STORE_E_POISONED, -EIO},
    };
    struct store_problem problem;
    sqlite3 *db;

    assert_int_equal(db_open(&db, ":memory:", NULL, 0, &problem), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        problem.text[0] = '\0';
        assert_int_equal(db_error(db, cases[i].rc, &problem), cases[i].write);
        assert_int_equal(problem.text[0] != '\0', cases[i].write != 0);
        assert_int_equal(db_error(db, cases[i].rc, NULL), cases[i].write);
        assert_int_equal(db_read_error(db, cases[i].rc), cases[i].read);
    }
    db_close(db, 1);
}

static void misuse(void *db)
{
    ASSERT(db_error(db, SQLITE_MISUSE, NULL) == 0);
}

static void test_misuse_is_a_bug(void **state)
{
    struct store_problem problem;
    sqlite3 *db;

    assert_int_equal(db_open(&db, ":memory:", NULL, 0, &problem), 0);
    test_aborts(misuse, db, "SQLITE_MISUSE");
    db_close(db, 1);
}

static void test_settings_of_a_connection(void **state)
{
    static const struct {
        const char *sql;
        int64_t want;
    } settings[] = {{"PRAGMA synchronous", 2},
                    {"PRAGMA wal_autocheckpoint", 0},
                    {"PRAGMA temp_store", 2},
                    {"PRAGMA secure_delete", 0}};
    struct store_problem problem;
    sqlite3 *db;
    int64_t n;

    assert_int_equal(db_open(&db, ":memory:", NULL, 0, &problem), 0);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        assert_int_equal(db_number(db, settings[i].sql, &n, &problem), 0);
        assert_int_equal(n, settings[i].want);
    }
    db_close(db, 1);
}

static void test_spans(void **state)
{
    struct span empty = {0}, text = SPAN_LIT("a\0b");
    struct store_problem problem;
    sqlite3_stmt *stmt;
    sqlite3 *db;

    assert_int_equal(db_open(&db, ":memory:", NULL, 0, &problem), 0);
    assert_int_equal(db_prepare(db, "SELECT ?1, ?2, NULL, typeof(?1)='blob'", &stmt, &problem), 0);
    assert_int_equal(db_bind(stmt, 1, empty), SQLITE_OK);
    assert_int_equal(db_bind(stmt, 2, text), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(db_column(stmt, 0).len, 0);
    assert_null(db_column(stmt, 0).p);
    assert_true(span_eq(db_column(stmt, 1), text));
    assert_int_equal(db_column(stmt, 2).len, 0);
    assert_int_equal(sqlite3_column_int(stmt, 3), 1); /* empty is not NULL */
    sqlite3_finalize(stmt);
    db_close(db, 1);
}

static void test_a_blobs_checksum_is_of_its_place_too(void **state)
{
    struct span data = SPAN_LIT("data");
    uint32_t crc = db_blob_crc(7, DB_BLOB_TASK, data);

    assert_true(crc != db_blob_crc(8, DB_BLOB_TASK, data));
    assert_true(crc != db_blob_crc(7, DB_BLOB_DATA, data));
    assert_true(crc != db_blob_crc(UINT64_C(7) << 32, DB_BLOB_TASK, data));
    assert_true(crc != db_blob_crc(7, DB_BLOB_TASK, SPAN_LIT("dat")));
    assert_int_equal(crc, db_blob_crc(7, DB_BLOB_TASK, data));
}

static void test_failures(void **state)
{
    char path[DB_PATH_BYTES], longest[DB_PATH_BYTES + 1];
    struct store_problem problem = {""};
    sqlite3_stmt *stmt;
    sqlite3 *db = NULL;
    int64_t n;

    memset(longest, 'x', sizeof longest);
    longest[DB_PATH_BYTES] = '\0';
    assert_int_equal(db_path(path, longest, "y"), -ENAMETOOLONG);
    assert_int_equal(db_path(path, "/a", "b"), 0);
    assert_string_equal(path, "/a/b");
    assert_int_equal(db_open(&db, "/nonexistent/futures.db", NULL, 0, &problem), STORE_E_ROLLED_BACK);
    assert_null(db);
    assert_non_null(strstr(problem.text, "No such file or directory"));
    assert_int_equal(db_open(&db, ":memory:", NULL, 0, &problem), 0);
    assert_int_equal(db_prepare(db, "SELECT x FROM y", &stmt, &problem), STORE_E_CORRUPT);
    assert_null(stmt);
    assert_int_equal(db_number(db, "SELECT 1 WHERE 0", &n, &problem), STORE_E_CORRUPT); /* no row */
    assert_int_equal(db_number(db, "SELECT 5", &n, &problem), 0);
    assert_int_equal(n, 5);
    assert_null(db_close(db, 0));
    assert_null(db_close(NULL, 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_errors_mean),
            cmocka_unit_test(test_misuse_is_a_bug),
            cmocka_unit_test(test_settings_of_a_connection),
            cmocka_unit_test(test_spans),
            cmocka_unit_test(test_a_blobs_checksum_is_of_its_place_too),
            cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
