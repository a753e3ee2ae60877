// SPDX-License-Identifier: Apache-2.0
/* A page that is not what was written is known as such, whatever is wrong with it; one that is sound is not. */
#include "store/db.h"
#include "store/seal.h"
#include "tests/unit/store/sql.h"

#include <fcntl.h>

enum { ROWS = 2000 };

struct world {
    struct fixture fx;
    struct seal *seal;
    _Atomic uint32_t broken;
    sqlite3 *db;
};

static void world_open(struct world *w)
{
    struct store_problem problem;

    w->broken = 0;
    assert_int_equal(seal_new(&w->seal, NULL, &w->broken), 0);
    assert_int_equal(db_open(&w->db, w->fx.path, seal_vfs(w->seal), 0, &problem), 0);
}

static void world_close(struct world *w)
{
    w->db = db_close(w->db, 1);
    w->seal = seal_free(w->seal);
}

static void must(struct world *w, const char *sql)
{
    struct store_problem problem;

    if (db_exec(w->db, sql, &problem) != 0)
        fail_msg("%s: %s", sql, problem.text);
}

static int64_t number(struct world *w, const char *sql)
{
    int64_t n = -1;

    assert_int_equal(db_number(w->db, sql, &n, NULL), 0);
    return n;
}

/* Rows on many pages, some of which have been written twice, and freed, and used again. */
static void world_init(struct world *w, int with_wal)
{
    fixture_init(&w->fx, NULL);
    assert_int_equal(mkdir(w->fx.directory, 0700), 0);
    world_open(w);
    seal_prepare(w->db);
    must(w, with_wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
    must(w, "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB);"
            "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<2000)"
            " INSERT INTO t SELECT i*10, randomblob(150) FROM n;");
    must(w, "DELETE FROM t WHERE k>15000; UPDATE t SET v=randomblob(150) WHERE k%100=0;"
            "WITH RECURSIVE n(i) AS (VALUES(1501) UNION ALL SELECT i+1 FROM n WHERE i<2000)"
            " INSERT INTO t SELECT i*10, randomblob(150) FROM n;");
}

static void world_deinit(struct world *w)
{
    world_close(w);
    fixture_empty(w->fx.parent);
}

static void test_sound(void **state)
{
    for (int with_wal = 0; with_wal < 2; with_wal++) {
        struct world w;

        world_init(&w, with_wal);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(number(&w, "SELECT count(*) FROM t"), ROWS);
            assert_int_equal(
                    number(&w, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
            assert_int_equal(seal_broken(w.db), 0);
            assert_int_equal(w.broken, 0);
            world_close(&w);
            world_open(&w);
        }
        world_deinit(&w);
    }
}

/* Any bit of any page, and a page in the place of another. */
static void test_damage(void **state)
{
    struct world w;
    struct stat st;
    int fd;

    world_init(&w, 1);
    world_close(&w);
    fd = open(w.fx.path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    srand(7);
    for (int i = 0; i < 300; i++) {
        off_t n_pages = st.st_size / SEAL_PAGE_BYTES, page = 1 + rand() % (n_pages - 1);
        uint8_t was[SEAL_PAGE_BYTES], is[SEAL_PAGE_BYTES];

        assert_int_equal(pread(fd, was, sizeof was, page * SEAL_PAGE_BYTES), sizeof was);
        memcpy(is, was, sizeof is);
        if (i % 10 == 0)
            assert_int_equal(pread(fd, is, sizeof is, (page == 1 ? 2 : page - 1) * SEAL_PAGE_BYTES),
                             sizeof is);
        else
            is[(size_t)rand() % sizeof is] ^= (uint8_t)(1 << rand() % 8);
        assert_int_equal(pwrite(fd, is, sizeof is, page * SEAL_PAGE_BYTES), sizeof is);
        world_open(&w);
        sqlite3_exec(w.db, "SELECT sum(length(v)) FROM t", NULL, NULL, NULL);
        sqlite3_exec(w.db, "PRAGMA integrity_check", NULL, NULL, NULL);
        if (w.broken != page + 1 || seal_broken(w.db) != page + 1)
            fail_msg("case %d: page %d is damaged, said is %u", i, (int)page + 1, w.broken);
        world_close(&w);
        assert_int_equal(pwrite(fd, was, sizeof was, page * SEAL_PAGE_BYTES), sizeof was);
    }
    close(fd);
    world_open(&w);
    world_deinit(&w);
}

/* What another program has copied out of the log has no seals; sealed pages keep theirs. */
static void test_copy(void **state)
{
    char copy[128], command[300];
    struct world w;
    sqlite3 *from, *to;
    sqlite3_backup *backup;

    world_init(&w, 1);
    must(&w, "PRAGMA wal_checkpoint(TRUNCATE)");
    must(&w, "PRAGMA wal_autocheckpoint=0; UPDATE t SET v=randomblob(150) WHERE k%70=0");
    snprintf(copy, sizeof copy, "%s/copy.db", w.fx.parent);
    assert_int_equal(sqlite3_open(w.fx.path, &from), SQLITE_OK);
    assert_int_equal(sqlite3_open(copy, &to), SQLITE_OK);
    backup = sqlite3_backup_init(to, "main", from, "main");
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
    sqlite3_close(to);
    sqlite3_close(from);
    world_close(&w);
    snprintf(command, sizeof command, "mv %s %s", copy, w.fx.path);
    assert_int_equal(system(command), 0);

    world_open(&w);
    assert_int_equal(number(&w, "SELECT sum(length(v)) FROM t"), 150 * ROWS);
    assert_true(w.broken > 0);
    world_close(&w);
    assert_int_equal(seal_unsealed(w.fx.path), 0);
    world_open(&w);
    assert_int_equal(number(&w, "SELECT sum(length(v)) FROM t"), 150 * ROWS);
    must(&w, "PRAGMA integrity_check");
    assert_int_equal(w.broken, 0);
    world_deinit(&w);
}

/* One that was made without room is left as it is, and said to be broken. */
static void test_no_room(void **state)
{
    struct stat before, after;
    struct world w;

    fixture_init(&w.fx, NULL);
    assert_int_equal(mkdir(w.fx.directory, 0700), 0);
    sql_run(w.fx.path,
            "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB); INSERT INTO t VALUES(1, randomblob(9000))");
    assert_int_equal(stat(w.fx.path, &before), 0);
    assert_int_equal(seal_unsealed(w.fx.path), 0);
    assert_int_equal(stat(w.fx.path, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    world_open(&w);
    assert_int_equal(number(&w, "SELECT length(v) FROM t"), 9000);
    assert_int_equal(number(&w, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"), 1);
    assert_int_equal(seal_broken(w.db), 1);
    world_deinit(&w);
}

static void test_not_there(void **state)
{
    assert_int_equal(seal_unsealed("/nonexistent/futures.db"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_sound),   cmocka_unit_test(test_damage),    cmocka_unit_test(test_copy),
            cmocka_unit_test(test_no_room), cmocka_unit_test(test_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
