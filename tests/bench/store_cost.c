// SPDX-License-Identifier: Apache-2.0
/*
 * futured-store-cost: what durability costs, and what of it is ours. One way of making operations durable, at so many
 * operations a sync, for so many seconds; prints one JSON object.
 *
 *   journal     the records appended to a file, fdatasync: what the disk allows
 *   sqlite      the store's statements in a loop, nothing else: what SQLite allows, with a checkpoint each time that the log
 *               has the length at which the store has one
 *   committer   the store: futures encoded, a batch handed to the commit thread and waited for; checkpoints in their
 *               thread. Every batch is a transaction, as in the loop above
 *   pipelined   the same with two batches on their way, as the daemon's loop has them: what gathers during a sync may
 *               go into one transaction
 *   fill        so many futures (`accept`: pending, `once`: finished) into the store in DIRECTORY, as fast as it goes;
 *               their IDs to standard output
 *
 * An operation, by --mix: `task` is a task accepted or a task finished, half of them each; `accept` and `once` are
 * accepted only, and finished without having been stored before. Of journal and sqlite only what they do is timed, not
 * how the records are made.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/group.h"
#include "store/committer.h"
#include "store/db.h"
#include "tests/bench/histogram.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

enum {
    ARGUMENT_BYTES = 100,
    TASK_HEAD_BYTES = 8,
    FILL_BATCH = 1000,
    GROUP_EVERY = 1000,
    FILL_WAL_BYTES = 64 << 20,
    LOG_BYTES = 16 << 20, /* then a checkpoint, with the loop as with the store */
    PAGE_BYTES = 4096,
    BATCH_MAX = 65536
};

enum mix { MIX_TASK, MIX_ACCEPT, MIX_ONCE };

struct options {
    const char *directory, *mode;
    enum mix mix;
    uint32_t size; /* operations a sync */
    double seconds;
    uint64_t count; /* fill */
};

/* What a run has done. */
struct result {
    uint64_t n_ops, n_commits;
    mono_ns_t took;
    int64_t cpu_ns;         /* of this process; 0 where threads share the work */
    struct histogram times; /* of the commits */
};

/* Two clocks, read at once. */
struct moment {
    mono_ns_t mono;
    int64_t cpu_ns;
};

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
    struct group group;
    struct membership membership;
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
    a->group.name = bytes_dup("few", 3);
    a->membership.group = &a->group;
    a->outcome.data = bytes_new(ARGUMENT_BYTES);
    a->future = (struct future){
            .task = bytes_new(TASK_HEAD_BYTES + ARGUMENT_BYTES),
            .function = &a->function,
            .scope = &a->scope,
            .durability = DURABILITY_DURABLE,
            .on_lost = ON_LOST_RETRY,
            .argument_at = TASK_HEAD_BYTES - 2,
            .argument_field_bytes = 2 + ARGUMENT_BYTES,
            .argument_bytes = ARGUMENT_BYTES,
    };
    must(a->future.task && a->outcome.data, "memory");
    memcpy(a->future.task->data,
           "\x0a\x04"
           "echo"
           "\x12\x64",
           TASK_HEAD_BYTES); /* Task {function, argument} */
    memset(a->future.task->data + TASK_HEAD_BYTES, 'x', ARGUMENT_BYTES);
    memset(a->outcome.data->data, 'y', ARGUMENT_BYTES);
}

static void actor_deinit(struct actor *a)
{
    bytes_unref(a->function.name);
    bytes_unref(a->scope.namespace);
    bytes_unref(a->scope.principal);
    bytes_unref(a->attempt.worker);
    bytes_unref(a->group.name);
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

/* The @op th operation of a run of tasks: @lag are accepted, then these finish, and so on. */
static void add_task_operation(struct actor *a, struct batch *b, uint64_t op, uint64_t lag)
{
    uint64_t block = op / (2 * lag), in_block = op % (2 * lag);
    uint64_t task = block * lag + in_block % lag;
    int is_finished = in_block >= lag;

    actor_be(a, task + 1, is_finished);
    must(batch_put(b, is_finished ? BATCH_FINISH : BATCH_PUT_LIVE, &a->future) == 0, "batch_put");
}

/* The next @o->size operations, of which @n have been done. */
static void make_batch(struct actor *a, struct batch *b, const struct options *o, uint64_t n)
{
    batch_clear(b);
    for (uint64_t op = n; op < n + o->size; op++) {
        if (o->mix == MIX_TASK) {
            add_task_operation(a, b, op, o->size > 1 ? o->size / 2 : 1);
            continue;
        }
        actor_be(a, op + 1, o->mix == MIX_ONCE);
        must(batch_put(b, o->mix == MIX_ONCE ? BATCH_FINISH_NEW : BATCH_PUT_LIVE, &a->future) == 0,
             "batch_put");
    }
}

static mono_ns_t end_of(const struct options *o)
{
    return clock_add(clock_mono(), (int64_t)(o->seconds * 1e9));
}

static struct moment moment_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (struct moment){clock_mono(), (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec};
}

static void count_commit(struct result *r, uint32_t size, struct moment begin)
{
    struct moment end = moment_now();
    mono_ns_t took = end.mono - begin.mono;

    histogram_add(&r->times, took);
    r->took += took;
    r->cpu_ns += end.cpu_ns - begin.cpu_ns;
    r->n_ops += size;
    r->n_commits++;
}

static void run_journal(const struct options *o, struct result *r)
{
    mono_ns_t end = end_of(o);
    struct batch *b = batch_new();
    char path[4096];
    struct actor a;
    int fd;

    snprintf(path, sizeof path, "%s/journal", o->directory);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    must(fd >= 0 && b, path);
    actor_init(&a);
    while (clock_mono() < end) {
        struct moment begin;
        size_t len;

        make_batch(&a, b, o, r->n_ops);
        len = buf_len(&b->bytes);
        begin = moment_now();
        must(write(fd, buf_head(&b->bytes), len) == (ssize_t)len && fdatasync(fd) == 0, "the journal");
        count_commit(r, o->size, begin);
    }
    err_close(&fd);
    unlink(path);
    batch_free(b);
    actor_deinit(&a);
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
    int is_finished = op->kind != BATCH_PUT_LIVE;
    sqlite3_stmt *put = stmts[is_finished ? DONE : LIVE];

    sqlite3_bind_int64(put, 1, (sqlite3_int64)op->k);
    sqlite3_bind_blob(put, 2, op->id.b, sizeof op->id.b, SQLITE_STATIC);
    sqlite3_bind_blob(put, 3, buf_head(&b->bytes) + op->record.at, (int)op->record.len, SQLITE_STATIC);
    if (is_finished) {
        sqlite3_bind_text(put, 4, "echo", 4, SQLITE_STATIC);
        sqlite3_bind_int(put, 5, op->state);
    }
    step(put);
    if (op->kind == BATCH_FINISH) {
        sqlite3_bind_int64(stmts[DELETE], 1, (sqlite3_int64)op->k);
        step(stmts[DELETE]);
    }
}

/* The batch as one transaction; the row of expiry has as many bytes as ours would. */
static void bare_commit(sqlite3_stmt *const *stmts, const struct batch *b, uint64_t seq)
{
    uint64_t n_finished = 0;

    step(stmts[BEGIN]);
    for (uint32_t i = 0; i < b->n; i++) {
        bare_operation(stmts, b, &b->ops[i]);
        n_finished += b->ops[i].kind != BATCH_PUT_LIVE;
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
    struct store_config config = {.directory = directory, .log_bytes = LOG_BYTES};
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

static sqlite3 *bare_open(const char *state, sqlite3_stmt **stmts)
{
    struct store_problem problem;
    sqlite3 *db = NULL;
    char path[4096];

    snprintf(path, sizeof path, "%s/futures.db", state);
    store_close(open_store(state)); /* it makes the tables */
    must(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK, path);
    must(sqlite3_exec(db,
                      "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=0;"
                      "PRAGMA cache_size=-4096; PRAGMA cache_spill=16384",
                      NULL, NULL, NULL) == SQLITE_OK,
         "PRAGMA");
    must(sqlite3_wal_autocheckpoint(db, LOG_BYTES / PAGE_BYTES) == SQLITE_OK, "checkpoints");
    must(sqlite3_exec(db, "UPDATE meta SET commit_seq=1", NULL, NULL, NULL) == SQLITE_OK &&
                 db_extend_log(db, LOG_BYTES, &problem) == 0,
         "the log");
    for (size_t i = 0; i < N_BARE; i++)
        must(sqlite3_prepare_v3(db, bare_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &stmts[i], NULL) == SQLITE_OK,
             bare_sql[i]);
    return db;
}

static void run_sqlite(const struct options *o, struct result *r)
{
    sqlite3_stmt *stmts[N_BARE];
    struct batch *b = batch_new();
    char state[4000];
    struct actor a;
    mono_ns_t end;
    sqlite3 *db;

    snprintf(state, sizeof state, "%s/bare", o->directory);
    db = bare_open(state, stmts);
    must(b != NULL, "memory");
    actor_init(&a);
    end = end_of(o);
    while (clock_mono() < end) {
        struct moment begin;

        make_batch(&a, b, o, r->n_ops);
        begin = moment_now();
        bare_commit(stmts, b, 1000 + r->n_commits);
        count_commit(r, o->size, begin);
    }
    for (size_t i = 0; i < N_BARE; i++)
        sqlite3_finalize(stmts[i]);
    sqlite3_close(db);
    remove_store(state);
    batch_free(b);
    actor_deinit(&a);
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

static void run_committer(const struct options *o, int n_in_flight, struct result *r)
{
    struct committer_config config = COMMITTER_CONFIG_DEFAULT;
    struct committer_status status;
    struct list free_batches;
    mono_ns_t begin, end;
    struct committer *c;
    char state[4000];
    struct store *s;
    struct actor a;

    snprintf(state, sizeof state, "%s/store", o->directory);
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
    end = end_of(o);
    for (uint64_t seq = 1; clock_mono() < end; seq++) {
        struct batch *b = take(c, &free_batches);

        make_batch(&a, b, o, r->n_ops);
        b->commit_seq = seq;
        committer_submit(c, b);
        r->n_ops += o->size;
    }
    for (int i = 0; i < n_in_flight; i++)
        batch_free(take(c, &free_batches));
    r->took = clock_mono() - begin;
    committer_take(c, &free_batches, &status);
    r->n_commits = status.n_commits;
    committer_stop(c, &free_batches);
    store_close(s);
    remove_store(state);
    actor_deinit(&a);
}

/* --- many futures */

static void write_batch(struct store *s, struct batch *b)
{
    struct store_problem problem;

    must(store_write(s, &b, 1, &problem) == 0, problem.text);
    if (store_wal_bytes(s) > FILL_WAL_BYTES)
        must(store_checkpoint(s, &problem) == 0, problem.text);
}

/* Their keys are those of an hour ago, and below the ceiling from then on. One of GROUP_EVERY is in the group "few". */
static void fill(const struct options *o)
{
    struct store *s = open_store(o->directory);
    struct batch *b = batch_new();
    char text[ID_TEXT_LEN + 1];
    struct actor a;

    actor_init(&a);
    a.k = (uint64_t)((clock_wall() - 3600 * NS_PER_S) / NS_PER_MS) << 12;
    must(b && batch_key_ceiling(b, a.k + o->count + 1) == 0, "memory");
    write_batch(s, b);
    for (uint64_t i = 0; i < o->count;) {
        batch_clear(b);
        for (uint32_t j = 0; j < FILL_BATCH && i < o->count; j++) {
            actor_be(&a, ++i, o->mix == MIX_ONCE);
            a.future.group = i % GROUP_EVERY == 0 ? &a.membership : NULL;
            must(batch_put(b, o->mix == MIX_ONCE ? BATCH_FINISH_NEW : BATCH_PUT_LIVE, &a.future) == 0,
                 "batch_put");
            id_format(&a.future.id, text);
            puts(text);
        }
        write_batch(s, b);
    }
    batch_free(b);
    store_close(s);
    actor_deinit(&a);
}

/* --- the command line */

static int usage(void)
{
    fputs("usage: futured-store-cost DIRECTORY journal|sqlite|committer|pipelined|fill [OPTION]...\n"
          "  --mix task|accept|once   what an operation is (task)\n"
          "  --batch N                operations a sync (1)\n"
          "  --seconds S              (1)\n"
          "  --count N                of fill\n",
          stderr);
    return 2;
}

static int parse_mix(const char *text, enum mix *ret)
{
    static const char *const names[] = {[MIX_TASK] = "task", [MIX_ACCEPT] = "accept", [MIX_ONCE] = "once"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum mix)i;
            return 1;
        }
    return 0;
}

static int parse(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {{"mix", 1, NULL, 'm'},
                                          {"batch", 1, NULL, 'b'},
                                          {"seconds", 1, NULL, 's'},
                                          {"count", 1, NULL, 'n'},
                                          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
        switch (c) {
        case 'm':
            if (!parse_mix(optarg, &o->mix))
                return 0;
            break;
        case 'b': o->size = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 's': o->seconds = strtod(optarg, NULL); break;
        case 'n': o->count = strtoull(optarg, NULL, 10); break;
        default: return 0;
        }
    }
    if (argc - optind != 2 || o->size < 1 || o->size > BATCH_MAX)
        return 0;
    o->directory = argv[optind];
    o->mode = argv[optind + 1];
    return 1;
}

static void print_result(const struct options *o, const struct result *r)
{
    must(r->n_commits > 0, "a single commit in that time");
    printf("{\"mode\": \"%s\", \"batch\": %u, \"operations\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"per_second\": %.0f",
           o->mode, o->size, r->n_ops, r->n_commits, (double)r->n_ops * 1e9 / (double)r->took);
    if (r->times.n)
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f", histogram_quantile(&r->times, 0.5) / 1e3,
               histogram_quantile(&r->times, 0.99) / 1e3);
    if (r->cpu_ns)
        printf(", \"cpu_us\": %.3f", (double)r->cpu_ns / 1e3 / (double)r->n_ops);
    puts("}");
}

int main(int argc, char **argv)
{
    struct options o = {.mix = MIX_TASK, .size = 1, .seconds = 1};
    static struct result r;

    if (!parse(&o, argc, argv))
        return usage();
    if (strcmp(o.mode, "fill") == 0) {
        fill(&o);
        return 0;
    }
    if (strcmp(o.mode, "journal") == 0)
        run_journal(&o, &r);
    else if (strcmp(o.mode, "sqlite") == 0)
        run_sqlite(&o, &r);
    else if (strcmp(o.mode, "committer") == 0)
        run_committer(&o, 1, &r);
    else if (strcmp(o.mode, "pipelined") == 0)
        run_committer(&o, 2, &r);
    else
        return usage();
    print_result(&o, &r);
    return 0;
}
