// SPDX-License-Identifier: Apache-2.0
/*
 * What durability costs, and what of it is ours.
 *
 *   futured-store-cost DIRECTORY [OPERATIONS]
 *
 * A task is two operations: accepted, finished. Four ways to make them durable, in one process, one after the other,
 * at so many operations a sync, each line of output being one JSON object:
 *   journal     the records appended to a file, fdatasync: what the disk allows
 *   sqlite      the store's statements in a loop, nothing else: what SQLite allows
 *   committer   the store: futures encoded, a batch handed to the commit thread and waited for; checkpoints in their
 *               thread. Every batch is a transaction, as in the loop above
 *   pipelined   the same with two batches on their way, as the daemon's loop has them: what gathers during a sync may
 *               go into one transaction
 * OPERATIONS (default 100000) bounds each run; small batches do fewer.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "store/committer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum { TASK_BYTES = 100, SYNCS_MAX = 2000 };

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "store-cost: %s failed\n", what);
    exit(1);
}

/* One future that plays them all, one after the other. */
struct actor {
    struct future future;
    struct function function;
    struct scope scope;
    struct attempt attempt;
    struct outcome outcome;
    uint64_t k;
};

static void actor_init(struct actor *a)
{
    *a = (struct actor){.k = (uint64_t)(clock_wall() / NS_PER_MS) << 12};
    a->function.name = bytes_dup("echo", 4);
    a->scope.namespace = bytes_dup("", 0);
    a->scope.principal = bytes_dup("uid:1000", 8);
    a->attempt = (struct attempt){
            .number = 1, .worker = bytes_dup("worker-1", 8), .usage = {1000, 1000, 5000, -1}};
    a->outcome.data = bytes_new(TASK_BYTES);
    a->future = (struct future){
            .task = bytes_new(TASK_BYTES),
            .function = &a->function,
            .scope = &a->scope,
            .durability = DURABILITY_DURABLE,
            .on_lost = ON_LOST_RETRY,
            .argument_bytes = TASK_BYTES,
    };
    must(a->future.task && a->outcome.data, "memory");
    memset(a->future.task->data, 'x', TASK_BYTES);
    memset(a->outcome.data->data, 'y', TASK_BYTES);
}

static void actor_deinit(struct actor *a)
{
    bytes_unref(a->function.name);
    bytes_unref(a->scope.namespace);
    bytes_unref(a->scope.principal);
    bytes_unref(a->attempt.worker);
    bytes_unref(a->outcome.data);
    bytes_unref(a->future.task);
}

/* The @i th task: as it is accepted, or as it has finished. */
static void actor_be(struct actor *a, uint64_t i, int is_finished)
{
    wall_ns_t now = clock_wall();

    a->future.id = id_make(a->k + i, i * UINT64_C(0x9e3779b97f4a7c15));
    a->future.submit_time = now;
    a->future.revision = i;
    a->future.state = is_finished ? FUTURE_SUCCEEDED : FUTURE_PENDING;
    a->attempt.start_time = a->attempt.end_time = now;
    a->outcome.end_time = now;
    a->outcome.expire_time = now + 24 * 3600 * NS_PER_S;
    a->future.attempts = is_finished ? &a->attempt : NULL;
    a->future.outcome = is_finished ? &a->outcome : NULL;
}

/* The @op th operation of a run: @lag tasks are accepted, then these finish, and so on. */
static void add_operation(struct actor *a, struct batch *b, uint64_t op, uint64_t lag)
{
    uint64_t block = op / (2 * lag), in_block = op % (2 * lag);
    uint64_t task = block * lag + in_block % lag;
    int is_finished = in_block >= lag;

    actor_be(a, task + 1, is_finished);
    must(batch_put(b, is_finished ? BATCH_FINISH : BATCH_PUT_LIVE, &a->future) == 0, "batch_put");
}

static uint64_t lag_of(uint32_t size)
{
    return size > 1 ? size / 2 : 1;
}

static uint64_t n_of(uint64_t n_max, uint32_t size)
{
    return MIN(n_max / size, (uint64_t)SYNCS_MAX) * size;
}

static double rate(uint64_t n, mono_ns_t begin)
{
    return (double)n * 1e9 / (double)(clock_mono() - begin);
}

static double run_journal(const char *directory, uint64_t n, uint32_t size)
{
    char path[4096];
    struct actor a;
    struct batch *b = batch_new();
    mono_ns_t begin;
    double result;
    int fd;

    snprintf(path, sizeof path, "%s/journal", directory);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    must(fd >= 0 && b, path);
    actor_init(&a);
    for (uint64_t op = 0; op < n; op++)
        add_operation(&a, b, op, lag_of(size));
    begin = clock_mono();
    for (uint64_t op = 0; op < n; op += size) {
        struct batch_piece first = b->ops[op].record, last = b->ops[op + size - 1].record;
        size_t len = last.at + last.len - first.at;

        must(write(fd, buf_head(&b->bytes) + first.at, len) == (ssize_t)len && fdatasync(fd) == 0,
             "the journal");
    }
    result = rate(n, begin);
    err_close(&fd);
    unlink(path);
    batch_free(b);
    actor_deinit(&a);
    return result;
}

/* --- SQLite alone */

enum bare { BEGIN, LIVE, DONE, DELETE, EXPIRY, META, COMMIT, N_BARE };

static const char *const bare_sql[N_BARE] = {
        [BEGIN] = "BEGIN IMMEDIATE",
        [LIVE] = "INSERT OR REPLACE INTO live(k, id, rec) VALUES(?1, ?2, ?3)",
        [DONE] = "INSERT INTO done(k, id, fn, state, rec) VALUES(?1, ?2, ?4, ?5, ?3)",
        [DELETE] = "DELETE FROM live WHERE k=?1",
        [EXPIRY] = "INSERT INTO expiry(hour, seq, ks) VALUES(?1, ?2, ?3)",
        [META] = "UPDATE meta SET commit_seq=?1, k_ceiling=max(k_ceiling, ?2)",
        [COMMIT] = "COMMIT",
};

static void step(sqlite3_stmt *stmt)
{
    must(sqlite3_step(stmt) == SQLITE_DONE, sqlite3_sql(stmt));
    sqlite3_reset(stmt);
}

static void bare_operation(sqlite3_stmt *const *stmts, const struct batch *b, const struct batch_op *op)
{
    sqlite3_stmt *put = stmts[op->kind == BATCH_FINISH ? DONE : LIVE];

    sqlite3_bind_int64(put, 1, (sqlite3_int64)op->k);
    sqlite3_bind_blob(put, 2, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    sqlite3_bind_blob(put, 3, buf_head(&b->bytes) + op->record.at, (int)op->record.len, SQLITE_STATIC);
    if (op->kind == BATCH_FINISH) {
        sqlite3_bind_text(put, 4, "echo", 4, SQLITE_STATIC);
        sqlite3_bind_int(put, 5, op->state);
    }
    step(put);
    if (op->kind == BATCH_FINISH) {
        sqlite3_bind_int64(stmts[DELETE], 1, (sqlite3_int64)op->k);
        step(stmts[DELETE]);
    }
}

/* One transaction of @size operations; the row of expiry has as many bytes as ours would. */
static void bare_commit(sqlite3_stmt *const *stmts, const struct batch *b, uint64_t at, uint32_t size,
                        uint64_t seq)
{
    uint64_t n_finished = 0;

    step(stmts[BEGIN]);
    for (uint64_t op = at; op < at + size; op++) {
        bare_operation(stmts, b, &b->ops[op]);
        n_finished += b->ops[op].kind == BATCH_FINISH;
    }
    if (n_finished > 0) {
        sqlite3_bind_int64(stmts[EXPIRY], 1, 1);
        sqlite3_bind_int64(stmts[EXPIRY], 2, (sqlite3_int64)seq);
        sqlite3_bind_zeroblob(stmts[EXPIRY], 3, (int)(8 + n_finished));
        step(stmts[EXPIRY]);
    }
    sqlite3_bind_int64(stmts[META], 1, (sqlite3_int64)seq);
    sqlite3_bind_int64(stmts[META], 2, 0);
    step(stmts[META]);
    step(stmts[COMMIT]);
}

static struct store *open_store(const char *directory)
{
    struct store_config config = {.directory = directory};
    struct store_problem problem;
    struct store *s = NULL;

    must(store_open(&s, &config, &problem) == 0, problem.text);
    return s;
}

static void remove_store(const char *directory)
{
    static const char *const names[] = {"futures.db", "futures.db-wal", "futures.db-shm",
                                        "futures.db-commits", "lock"};
    char path[4096];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static double run_sqlite(const char *directory, uint64_t n, uint32_t size)
{
    sqlite3_stmt *stmts[N_BARE];
    struct batch *b = batch_new();
    char state[4000], path[4096];
    struct actor a;
    mono_ns_t begin;
    double result;
    sqlite3 *db = NULL;

    snprintf(state, sizeof state, "%s/bare", directory);
    snprintf(path, sizeof path, "%s/futures.db", state);
    store_close(open_store(state)); /* it makes the tables */
    must(b && sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK,
         path);
    must(sqlite3_exec(db,
                      "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
                      "PRAGMA secure_delete=0; PRAGMA cache_size=-65536",
                      NULL, NULL, NULL) == SQLITE_OK,
         "PRAGMA");
    for (size_t i = 0; i < N_BARE; i++)
        must(sqlite3_prepare_v3(db, bare_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &stmts[i], NULL) == SQLITE_OK,
             bare_sql[i]);
    actor_init(&a);
    for (uint64_t op = 0; op < n; op++)
        add_operation(&a, b, op, lag_of(size));
    begin = clock_mono();
    for (uint64_t op = 0; op < n; op += size)
        bare_commit(stmts, b, op, size, 1000 + op / size);
    result = rate(n, begin);
    for (size_t i = 0; i < N_BARE; i++)
        sqlite3_finalize(stmts[i]);
    sqlite3_close(db);
    remove_store(state);
    batch_free(b);
    actor_deinit(&a);
    return result;
}

/* --- the store */

/* The next batch that is finished or has not been used, waiting for it. */
static struct batch *take(struct committer *c, struct list *free_batches)
{
    struct list *l;

    while (!(l = list_pop_front(free_batches))) {
        struct pollfd p = {.fd = committer_fd(c), .events = POLLIN};

        must(poll(&p, 1, -1) == 1, "poll");
        committer_take(c, free_batches, NULL);
    }
    must(LIST_ENTRY(l, struct batch, link)->result == 0, "a commit");
    return LIST_ENTRY(l, struct batch, link);
}

static double run_committer(const char *directory, uint64_t n, uint32_t size, int n_in_flight,
                            uint64_t *ret_commits)
{
    struct committer_config config = COMMITTER_CONFIG_DEFAULT;
    struct committer_status status;
    struct list free_batches;
    struct committer *c;
    char state[4000];
    struct store *s;
    struct actor a;
    mono_ns_t begin;
    double result;

    snprintf(state, sizeof state, "%s/store", directory);
    list_init(&free_batches);
    s = open_store(state);
    must(committer_start(&c, s, &config) == 0, "committer_start");
    actor_init(&a);
    for (int i = 0; i < n_in_flight; i++) {
        struct batch *b = batch_new();

        must(b != NULL, "memory");
        list_push_back(&free_batches, &b->link);
    }
    begin = clock_mono();
    for (uint64_t op = 0; op < n; op += size) {
        struct batch *b = take(c, &free_batches);

        batch_clear(b);
        for (uint64_t i = op; i < op + size; i++)
            add_operation(&a, b, i, lag_of(size));
        b->commit_seq = 1 + op / size;
        committer_submit(c, b);
    }
    for (int i = 0; i < n_in_flight; i++)
        batch_free(take(c, &free_batches));
    result = rate(n, begin);
    committer_take(c, &free_batches, &status);
    *ret_commits = status.n_commits;
    committer_stop(c, &free_batches);
    store_close(s);
    remove_store(state);
    actor_deinit(&a);
    return result;
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {1, 16, 64, 256, 1024};
    uint64_t n_max = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;

    if (argc < 2 || n_max < 2048) {
        fprintf(stderr, "usage: futured-store-cost DIRECTORY [OPERATIONS, at least 2048]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t n = n_of(n_max, sizes[i]), n_commits, n_pipelined;
        double journal = run_journal(argv[1], n, sizes[i]);
        double sqlite = run_sqlite(argv[1], n, sizes[i]);
        double committer = run_committer(argv[1], n, sizes[i], 1, &n_commits);
        double pipelined = run_committer(argv[1], n, sizes[i], 2, &n_pipelined);

        printf("{\"batch\":%u,\"operations\":%" PRIu64 ",\"commits\":%" PRIu64 ",\"journal_per_s\":%.0f,"
               "\"sqlite_per_s\":%.0f,\"committer_per_s\":%.0f,\"committer_to_sqlite\":%.2f,"
               "\"committer_to_journal\":%.2f,\"pipelined_per_s\":%.0f,\"pipelined_commits\":%" PRIu64 "}\n",
               sizes[i], n, n_commits, journal, sqlite, committer, committer / sqlite, committer / journal,
               pipelined, n_pipelined);
        fflush(stdout);
    }
    return 0;
}
