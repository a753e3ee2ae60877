// SPDX-License-Identifier: Apache-2.0
/*
 * The backend and its disk: locks, versions, lost commits, the log, and one short scenario in which every single I/O
 * operation fails once, or is the last one before the power goes.
 */
#include "store/sqlite.h"
#include "store/view.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/sql.h"

#include <fcntl.h>

#define HOUR (3600 * NS_PER_S)

/* --- who may open it */

static void test_one_process_at_a_time(void **state)
{
    struct store *first;
    struct fixture fx;
    char pid[40];

    fixture_start(&fx);
    first = fx.store;
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_LOCKED);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(fx.problem.text, pid));
    fx.store = first;
    fixture_close(&fx);
    fixture_open(&fx);
    fixture_end(&fx);
}

static void test_newer_schema_is_left_alone(void **state)
{
    struct fixture fx;

    fixture_start(&fx);
    fixture_close(&fx);
    sql_run(fx.path, "UPDATE meta SET schema=99, epoch=7");
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_VERSION);
    assert_non_null(strstr(fx.problem.text, "schema 99"));
    assert_non_null(strstr(fx.problem.text, "1 to 2"));
    assert_int_equal(sql_number(fx.path, "SELECT epoch FROM meta"), 7);
    fixture_end(&fx);
}

/* Not even what lies in its log is moved. */
static void test_the_log_of_a_newer_schema_is_left_alone(void **state)
{
    struct stat before, after;
    struct fixture fx;
    char wal[110];
    sqlite3 *db;

    fixture_start(&fx);
    fixture_close(&fx);
    assert_int_equal(sqlite3_open(fx.path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_exec(db, "UPDATE meta SET schema=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    snprintf(wal, sizeof wal, "%s-wal", fx.path);
    assert_int_equal(stat(wal, &before), 0);
    assert_true(before.st_size > 0);
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_VERSION);
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    fixture_end(&fx);
}

static void test_a_foreign_database_is_left_alone(void **state)
{
    struct fixture fx;

    fixture_init(&fx, NULL);
    assert_int_equal(mkdir(fx.directory, 0700), 0);
    sql_run(fx.path, "CREATE TABLE addresses(name)");
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_VERSION);
    assert_int_equal(sql_number(fx.path, "SELECT count(*) FROM sqlite_schema"), 1);
    fixture_end(&fx);
}

static void test_directories_that_cannot_be(void **state)
{
    struct fixture fx;
    int fd;

    fixture_init(&fx, NULL);
    snprintf(fx.directory, sizeof fx.directory, "%s/a/b", fx.parent);
    assert_int_equal(fixture_try_open(&fx, 0), -ENOENT);
    snprintf(fx.directory, sizeof fx.directory, "%s/file", fx.parent);
    fd = open(fx.directory, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    err_close(&fd);
    assert_int_equal(fixture_try_open(&fx, 0), -ENOTDIR);
    assert_non_null(strstr(fx.problem.text, "Not a directory"));
    fixture_end(&fx);
}

static void test_without_memory(void **state)
{
    struct fixture fx;
    int r;

    FAIL_EACH_ALLOCATION(nth)
    {
        fixture_init(&fx, NULL);
        r = fixture_try_open(&fx, 0);
        assert_true(test_allocation_failed() ? r == -ENOMEM || r == STORE_E_ROLLED_BACK : r == 0);
        fixture_end(&fx);
    }
}

/* --- lost commits */

/* A daemon that is killed after its @n th commit: nothing is closed, everything written is there. */
static void live_and_die(struct fixture *fx, uint32_t n)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        fixture_open(fx);
        for (uint32_t i = 1; i <= n; i++)
            fixture_write_one(fx, BATCH_PUT_LIVE, sample_plain(i));
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    err_close(&fd);
}

static void test_killed_and_nothing_lost(void **state)
{
    struct fixture fx;

    fixture_init(&fx, NULL);
    live_and_die(&fx, 5);
    fixture_open(&fx);
    assert_int_equal(fx.store->meta.epoch, 2);
    assert_int_equal(fx.store->meta.n_lost, 0);
    assert_int_equal(fixture_counts(&fx).n_live, 5);
    fixture_end(&fx);
}

static off_t log_length(const struct fixture *fx)
{
    char path[110];
    struct stat st;

    snprintf(path, sizeof path, "%s-wal", fx->path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* The log has its length from the start, and again after a kill; what lies behind its last commit counts for nothing. */
static void test_a_log_of_some_length(void **state)
{
    struct fixture fx;

    fixture_init(&fx, NULL);
    fx.log_bytes = 1 << 20;
    live_and_die(&fx, 5);
    assert_int_equal(log_length(&fx), 1 << 20);
    fx.log_bytes = 3 << 19;
    live_and_die(&fx, 2);
    fixture_open(&fx);
    assert_int_equal(log_length(&fx), 3 << 19);
    assert_int_equal(fx.store->meta.epoch, 3);
    assert_int_equal(fx.store->meta.n_lost, 0);
    assert_int_equal(fixture_counts(&fx).n_live, 5);
    assert_true(store_wal_bytes(fx.store) < 1 << 19);
    fixture_end(&fx);
}

/* It starts all the same, and takes nothing of what room there is. */
static void test_no_room_for_a_long_log(void **state)
{
    struct fault_plan plan = {
            .what = FAULT_WRITE, .n_times = 1, .system_errno = ENOSPC, .is_short = 1, .file = "-wal"};
    struct fixture fx;
    uint64_t n;

    fixture_init(&fx, FAULT_VFS);
    fault_set(&plan);
    fixture_open(&fx);
    n = fault_count();
    fixture_close(&fx);
    fixture_empty(fx.directory);
    fault_reset();
    plan.nth = n;
    fault_set(&plan);
    fixture_open(&fx);
    assert_true(fault_has_hit());
    assert_true(log_length(&fx) < (off_t)fx.log_bytes);
    fixture_close(&fx);
    fault_reset();
    fixture_end(&fx);
}

static void test_lost_commits_are_seen(void **state)
{
    char wal[110];
    struct fixture fx;
    struct stat st;

    fixture_init(&fx, NULL);
    snprintf(wal, sizeof wal, "%s-wal", fx.path);
    live_and_die(&fx, 5);
    assert_int_equal(stat(wal, &st), 0);
    flip(wal, st.st_size - 2000); /* in the last frame: the last commit is not there any more */
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_LOST);
    assert_non_null(strstr(fx.problem.text, "1 are lost"));
    assert_int_equal(fixture_try_open(&fx, 0), STORE_E_LOST); /* looking has changed nothing */
    assert_int_equal(fixture_try_open(&fx, 1), 0);
    assert_int_equal(fx.store->meta.n_lost, 1);
    assert_int_equal(fx.store->meta.commits, 7); /* the number of the lost one is not used again */
    assert_int_equal(fixture_counts(&fx).n_live, 4);
    fixture_close(&fx);
    fixture_open(&fx);
    assert_int_equal(fx.store->meta.n_lost, 0);
    fixture_end(&fx);
}

static void test_a_torn_side_file_says_nothing(void **state)
{
    char side[120];
    struct fixture fx;

    fixture_start(&fx);
    fixture_close(&fx);
    snprintf(side, sizeof side, "%s-commits", fx.path);
    flip(side, 3);
    fixture_open(&fx);
    fixture_end(&fx);
}

/* --- the log */

static void write_some(struct fixture *fx, uint32_t from, uint32_t n)
{
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = from; i < from + n; i++) {
        struct sample *s = sample_plain(i);

        fixture_put(b, BATCH_PUT_LIVE, s);
        sample_free(s);
    }
    fixture_write(fx, b);
}

static void test_checkpoint(void **state)
{
    struct fixture fx;
    uint64_t longest;

    fixture_start(&fx);
    for (uint32_t i = 0; i < 10; i++)
        write_some(&fx, 1 + i * 200, 200);
    longest = store_wal_bytes(fx.store);
    assert_true(longest > 100000);
    assert_int_equal(store_checkpoint(fx.store, &fx.problem), 0);
    assert_int_equal(store_wal_bytes(fx.store), 0);
    write_some(&fx, 5000, 1);
    assert_true(store_wal_bytes(fx.store) > 0 && store_wal_bytes(fx.store) < longest / 4);
    assert_int_equal(fixture_counts(&fx).n_live, 2001);
    fixture_end(&fx);
}

static void test_a_reader_is_in_the_way_of_a_checkpoint(void **state)
{
    struct fixture fx;
    sqlite3 *db;

    fixture_start(&fx);
    write_some(&fx, 1, 10);
    assert_int_equal(sqlite3_open(fx.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM live", NULL, NULL, NULL), SQLITE_OK);
    write_some(&fx, 11, 10);
    assert_int_equal(store_checkpoint(fx.store, &fx.problem), STORE_E_ROLLED_BACK);
    write_some(&fx, 21, 10); /* and nothing else is in its way */
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(store_checkpoint(fx.store, &fx.problem), 0);
    assert_int_equal(fixture_counts(&fx).n_live, 30);
    fixture_end(&fx);
}

/* What a reader made of the file is given back at the log's next beginning, but for twice its own length. */
static void test_a_long_log_is_cut(void **state)
{
    struct fixture fx;
    sqlite3 *db;
    off_t longest;

    fixture_init(&fx, NULL);
    fx.log_bytes = 128 << 10;
    fixture_open(&fx);
    write_some(&fx, 1, 10);
    assert_int_equal(sqlite3_open(fx.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM live", NULL, NULL, NULL), SQLITE_OK);
    for (uint32_t i = 0; i < 10; i++)
        write_some(&fx, 1000 + i * 200, 200);
    longest = log_length(&fx);
    assert_true(longest > 3 * (off_t)fx.log_bytes);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(store_checkpoint(fx.store, &fx.problem), 0);
    write_some(&fx, 5000, 1);
    assert_int_equal(log_length(&fx), 2 * fx.log_bytes);
    assert_int_equal(fixture_counts(&fx).n_live, 2011);
    fixture_end(&fx);
}

static void test_somebody_else_writes(void **state)
{
    struct sample *s = sample_plain(1);
    struct fixture fx;
    struct batch *b;
    sqlite3 *db;

    fixture_start(&fx);
    assert_int_equal(sqlite3_open(fx.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_PUT_LIVE, s);
    assert_int_equal(store_write(fx.store, &b, 1, &fx.problem), STORE_E_ROLLED_BACK);
    fixture_assert_not(&fx, s);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    fixture_write(&fx, b); /* the same batch */
    fixture_assert_has(&fx, s);
    fixture_end(&fx);
    sample_free(s);
}

/* --- every I/O operation fails */

enum { N_SAMPLES = 8, N_STEPS = 9 };

/* The scenario: what each step does to which sample. */
static const struct op {
    int step;
    enum batch_kind kind;
    uint32_t number;
} ops[] = {
        {1, BATCH_PUT_LIVE, 1}, {1, BATCH_PUT_LIVE, 2}, {1, BATCH_PUT_LIVE, 3}, {2, BATCH_FINISH, 1},
        {2, BATCH_PUT_LIVE, 4}, {3, BATCH_PUT_LIVE, 5}, {3, BATCH_DELETE, 1},   {4, BATCH_FINISH, 2},
        {4, BATCH_FINISH, 5},   {5, BATCH_PUT_DONE, 2}, {6, BATCH_PUT_LIVE, 6}, {6, BATCH_FINISH, 6},
        {7, BATCH_PUT_LIVE, 7}, {7, BATCH_DELETE, 3},   {8, BATCH_FINISH, 7},   {8, BATCH_DELETE, 4},
        {9, BATCH_PUT_LIVE, 8}, {9, BATCH_FINISH, 8},
};

/* The sample as the scenario writes it: 5 has a long task, 2 and 7 have a long result. */
static struct sample *scenario_sample(enum batch_kind kind, uint32_t number)
{
    struct sample *s = sample_plain(number);

    if (number == 5) {
        bytes_unref(s->future.task);
        s->future.task = sample_long(30000, 5);
    }
    if (kind == BATCH_FINISH || kind == BATCH_PUT_DONE)
        sample_finish(s, number == 2 || number == 7 ? sample_long(9000, 2) : sample_bytes("ok"), HOUR);
    if (kind == BATCH_PUT_DONE)
        s->future.revision++;
    return s;
}

static struct batch *scenario_batch(struct fixture *fx, int step)
{
    struct batch *b = fixture_batch(fx);

    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct sample *s = scenario_sample(ops[i].kind, ops[i].number);

        if (ops[i].step == step && ops[i].kind == BATCH_DELETE)
            assert_int_equal(batch_delete(b, &s->future.id), 0);
        else if (ops[i].step == step)
            fixture_put(b, ops[i].kind, s);
        sample_free(s);
    }
    return b;
}

/* Whether the store has exactly what it has after @n_steps, every byte of it; seen past the failing disk. */
static int is_after(struct fixture *fx, int n_steps)
{
    struct store_view *v;
    int same = 1;

    assert_int_equal(view_open(&v, fx->path, NULL), 0);
    for (uint32_t number = 1; number <= N_SAMPLES; number++) {
        struct store_item *item = NULL;
        const struct op *last = NULL;
        struct sample *s;
        int r;

        for (size_t i = 0; i < ARRAY_LEN(ops); i++)
            if (ops[i].number == number && ops[i].step <= n_steps)
                last = &ops[i];
        s = scenario_sample(last ? last->kind : BATCH_PUT_LIVE, number);
        r = store_get(v, &s->future.id, STORE_WANT_TASK | STORE_WANT_DATA, &item);
        assert_true(r == 0 || r == STORE_E_NOT_FOUND); /* never damaged */
        if (!last || last->kind == BATCH_DELETE)
            same = same && r == STORE_E_NOT_FOUND;
        else if (r != 0 || item->is_done != (last->kind != BATCH_PUT_LIVE) ||
                 item->record.revision != s->future.revision)
            same = 0;
        else
            sample_assert(&item->record, s);
        store_item_free(item);
        sample_free(s);
    }
    store_view_close(v);
    return same;
}

/* One step as the committer does it: what is rolled back is tried again. What store_write said at last. */
static int run_step(struct fixture *fx, int step)
{
    struct batch *b = scenario_batch(fx, step);
    int r, n_tries = 0;

    while ((r = store_write(fx->store, &b, 1, &fx->problem)) == STORE_E_ROLLED_BACK && ++n_tries < 20)
        assert_true(is_after(fx, step - 1)); /* nothing of it is there */
    if (r == 0) {
        assert_true(is_after(fx, step));
    } else if (r != STORE_E_ROLLED_BACK) {
        assert_int_equal(store_write(fx->store, &b, 1, &fx->problem), r); /* it stays so */
        assert_true(fx->problem.text[0] != '\0');
    }
    batch_free(b);
    return r;
}

struct run {
    int n_acked;    /* steps that were said to be durable */
    int is_unknown; /* the one after them has failed, who knows how */
};

/* The whole life of a store on a disk that may fail anywhere. */
static struct run run_scenario(struct fixture *fx)
{
    struct run run = {0};
    int r = fixture_try_open(fx, 0);

    if (r != 0) {
        assert_true(r == STORE_E_ROLLED_BACK || r == STORE_E_POISONED);
        return run;
    }
    for (int step = 1; step <= N_STEPS; step++) {
        r = run_step(fx, step);
        if (r != 0) {
            run.is_unknown = 1;
            break;
        }
        run.n_acked = step;
        if (step % 3 == 0) {
            r = store_checkpoint(fx->store, &fx->problem);
            if (r == STORE_E_POISONED)
                assert_int_equal(run_step(fx, step + 1), STORE_E_POISONED);
            if (r == STORE_E_POISONED)
                break;
            assert_true(r == 0 || r == STORE_E_ROLLED_BACK);
        }
    }
    fixture_close(fx);
    return run;
}

/* The next start, on a disk that is well again, finds what was acknowledged, and can go on. */
static void assert_survived(struct fixture *fx, const struct run *run)
{
    struct sample *s = sample_plain(99);

    fixture_open(fx);
    if (!is_after(fx, run->n_acked) && !(run->is_unknown && is_after(fx, run->n_acked + 1)))
        fail_msg("%d steps were acknowledged; there is something else", run->n_acked);
    assert_int_equal(sql_number(fx->path, "SELECT count(*) FROM live JOIN done USING (k)"), 0);
    fixture_write_one(fx, BATCH_PUT_LIVE, s);
    fixture_assert_has(fx, s);
    fixture_close(fx);
    sample_free(s);
}

static void fail_each(struct fault_plan plan)
{
    uint64_t n_failed = 0;
    int is_hit = 1;

    for (plan.nth = 1; is_hit; plan.nth++) {
        struct fixture fx;
        struct run run;

        fixture_init(&fx, FAULT_VFS);
        fault_set(&plan);
        run = run_scenario(&fx);
        is_hit = fault_has_hit();
        if (!is_hit)
            assert_int_equal(run.n_acked, N_STEPS);
        n_failed += (uint64_t)is_hit;
        fault_reset();
        assert_survived(&fx, &run);
        fault_reset();
        fixture_end(&fx);
    }
    assert_true(n_failed > 0);
    printf("%" PRIu64 " operations have failed\n", n_failed);
}

static void test_each_write_fails(void **state)
{
    fail_each((struct fault_plan){.what = FAULT_WRITE, .n_times = 1, .system_errno = EIO});
}

static void test_each_write_is_short(void **state)
{
    fail_each((struct fault_plan){.what = FAULT_WRITE, .n_times = 1, .system_errno = EIO, .is_short = 1});
}

static void test_each_sync_fails(void **state)
{
    fail_each((struct fault_plan){.what = FAULT_SYNC, .n_times = 1, .system_errno = EIO});
}

static void test_each_truncation_and_deletion_fails(void **state)
{
    fail_each((struct fault_plan){.what = FAULT_TRUNCATE | FAULT_DELETE, .n_times = 1, .system_errno = EIO});
}

static void test_each_open_fails(void **state)
{
    fail_each((struct fault_plan){.what = FAULT_OPEN, .n_times = 1, .system_errno = EMFILE});
}

/* Full for a while, or for good: whatever was acknowledged stays, and nothing is poisoned. */
static void test_the_disk_is_full_at_each_write(void **state)
{
    static const uint64_t n_times[] = {1, 5};

    for (size_t i = 0; i < ARRAY_LEN(n_times); i++) {
        struct fault_plan plan = {.what = FAULT_WRITE,
                                  .n_times = n_times[i],
                                  .system_errno = ENOSPC,
                                  .file = "-wal",
                                  .is_short = 1};
        int is_hit = 1;

        for (plan.nth = 1; is_hit; plan.nth++) {
            struct fixture fx;
            struct run run;

            fixture_init(&fx, FAULT_VFS);
            fixture_open(&fx);
            fixture_close(&fx);
            fault_set(&plan);
            run = run_scenario(&fx);
            is_hit = fault_has_hit();
            if (run.n_acked > 0) /* else it was the start that had no room */
                assert_int_equal(run.n_acked, N_STEPS);
            fault_reset();
            assert_survived(&fx, &run);
            fault_reset();
            fixture_end(&fx);
        }
        assert_true(plan.nth > 10);
    }
}

static void test_no_room_by_quota(void **state)
{
    static const int full[] = {EDQUOT, EROFS, ENOSPC, EFBIG};

    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        struct fault_plan plan = {
                .what = FAULT_WRITE, .nth = 1, .n_times = UINT64_MAX, .system_errno = full[i]};
        struct sample *s = sample_plain(1);
        struct fixture fx;
        struct batch *b;

        fixture_init(&fx, FAULT_VFS);
        fixture_open(&fx);
        fault_set(&plan);
        b = fixture_batch(&fx);
        fixture_put(b, BATCH_PUT_LIVE, s);
        for (int j = 0; j < 3; j++) {
            int r = store_write(fx.store, &b, 1, &fx.problem);

            if (r != STORE_E_ROLLED_BACK)
                fail_msg("errno %d, try %d: %d: %s", full[i], j, r, fx.problem.text);
        }
        fixture_assert_not(&fx, s); /* reading goes on */
        fault_set(&(struct fault_plan){0});
        fixture_write(&fx, b);
        fixture_assert_has(&fx, s);
        fixture_close(&fx);
        fault_reset();
        fixture_end(&fx);
        sample_free(s);
    }
}

static void lose_power_at_each(enum fault_keep keep, uint64_t seed)
{
    int is_lost = 1;
    uint64_t n;

    for (n = 1; is_lost; n++) {
        struct fixture fx;
        struct run run;

        fixture_init(&fx, FAULT_VFS);
        fault_power(n);
        run = run_scenario(&fx);
        is_lost = fault_is_power_lost();
        if (!is_lost)
            assert_int_equal(run.n_acked, N_STEPS);
        fault_power_back(keep, seed + n);
        assert_survived(&fx, &run);
        fault_reset();
        fixture_end(&fx);
    }
    assert_true(n > 50);
}

static void test_power_goes_at_each_operation(void **state)
{
    lose_power_at_each(FAULT_KEEP_NONE, 0);
}

static void test_power_goes_and_some_sectors_were_written(void **state)
{
    for (uint64_t i = 0; i < 3; i++)
        lose_power_at_each(FAULT_KEEP_SOME, test_seed() + i * 1000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_one_process_at_a_time),
            cmocka_unit_test(test_newer_schema_is_left_alone),
            cmocka_unit_test(test_the_log_of_a_newer_schema_is_left_alone),
            cmocka_unit_test(test_a_foreign_database_is_left_alone),
            cmocka_unit_test(test_directories_that_cannot_be),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_killed_and_nothing_lost),
            cmocka_unit_test(test_a_log_of_some_length),
            cmocka_unit_test(test_no_room_for_a_long_log),
            cmocka_unit_test(test_lost_commits_are_seen),
            cmocka_unit_test(test_a_torn_side_file_says_nothing),
            cmocka_unit_test(test_checkpoint),
            cmocka_unit_test(test_a_reader_is_in_the_way_of_a_checkpoint),
            cmocka_unit_test(test_a_long_log_is_cut),
            cmocka_unit_test(test_somebody_else_writes),
            cmocka_unit_test(test_each_write_fails),
            cmocka_unit_test(test_each_write_is_short),
            cmocka_unit_test(test_each_sync_fails),
            cmocka_unit_test(test_each_truncation_and_deletion_fails),
            cmocka_unit_test(test_each_open_fails),
            cmocka_unit_test(test_the_disk_is_full_at_each_write),
            cmocka_unit_test(test_no_room_by_quota),
            cmocka_unit_test(test_power_goes_at_each_operation),
            cmocka_unit_test(test_power_goes_and_some_sectors_were_written),
    };

    test_seed();
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
