// SPDX-License-Identifier: Apache-2.0
/*
 * Happy path: pages are copied some at a time, and between two steps nothing is held, so the daemon writes and makes
 * checkpoints as ever. The copy is of the moment of its last step. Then it is synced, gets a side file with the number
 * of its newest commit, and its directory is synced.
 *
 * Who writes meanwhile makes SQLite begin again, and under load that would never end. So after RESTARTS_MAX times one
 * read transaction is held to the end: from then on the log can not be made shorter, and grows by what is written while
 * the rest is copied.
 *
 * Failure: what was copied is removed. The source is only read.
 */
#include "store/backup.h"

#include "store/db.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/seqfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

enum { STEP_PAGES = 1024, RESTARTS_MAX = 3, BUSY_NS = 10 * 1000 * 1000, BUSY_MAX = 1000 };

struct backup {
    const struct backup_config *config;
    struct seal *seal;
    _Atomic uint32_t broken_page;
    sqlite3 *from, *to;
    char from_path[DB_PATH_BYTES], to_path[DB_PATH_BYTES], seq_path[DB_PATH_BYTES];
};

/* What a failure of SQLite means here, where nothing can be poisoned. */
static int of_sqlite(sqlite3 *db, int rc, struct store_problem *problem)
{
    int r = db_error(db, rc, problem);

    if (r == STORE_E_ROLLED_BACK && (rc & 0xff) == SQLITE_FULL)
        return -ENOSPC;
    if (r == STORE_E_ROLLED_BACK || r == STORE_E_POISONED)
        return db_read_error(db, rc);
    return r;
}

static int sync_path(const char *path, int flags, struct store_problem *problem)
{
    int fd = open(path, flags | O_CLOEXEC), r = 0;

    if (fd < 0 || fsync(fd) < 0)
        r = db_errno(problem, path, errno);
    err_close(&fd);
    return r;
}

/* --- copying */

/* Hold what the source is now until the end. */
static int hold(struct backup *b, struct store_problem *problem)
{
    int64_t ignored;
    int r = db_exec(b->from, "BEGIN", problem);

    return r == 0 ? db_number(b->from, "SELECT epoch FROM meta", &ignored, problem) : r;
}

static int copy_pages(struct backup *b, sqlite3_backup *copy, struct store_problem *problem)
{
    int n_pages = b->config->step_pages ? (int)b->config->step_pages : STEP_PAGES;
    int rc, r = 0, last_left = -1, n_restarts = 0, n_busy = 0;

    while (r == 0 && (rc = sqlite3_backup_step(copy, n_pages)) != SQLITE_DONE) {
        int n = sqlite3_backup_pagecount(copy), n_left = sqlite3_backup_remaining(copy);

        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
            nanosleep(&(struct timespec){.tv_nsec = BUSY_NS}, NULL);
            if (++n_busy > BUSY_MAX)
                r = -EBUSY;
            continue;
        }
        if (rc != SQLITE_OK)
            return of_sqlite(b->to, rc, problem);
        n_busy = 0;
        if (last_left >= 0 && n_left >= last_left && ++n_restarts == RESTARTS_MAX)
            r = hold(b, problem);
        last_left = n_left;
        if (r == 0 && b->config->on_progress)
            r = b->config->on_progress(b->config->user, (uint64_t)(n - n_left), (uint64_t)n);
    }
    return r;
}

static int copy_database(struct backup *b, struct store_problem *problem)
{
    sqlite3_backup *copy = sqlite3_backup_init(b->to, "main", b->from, "main");
    int r, rc;

    if (!copy)
        return of_sqlite(b->to, sqlite3_errcode(b->to), problem);
    r = copy_pages(b, copy, problem);
    rc = sqlite3_backup_finish(copy);
    if (r == 0 && b->broken_page) { /* its copy would have a seal that is right */
        snprintf(problem->text, sizeof problem->text,
                 "page %" PRIu32 " of the database is not what was written", b->broken_page);
        return STORE_E_CORRUPT;
    }
    return r == 0 ? of_sqlite(b->to, rc, problem) : r;
}

/* --- the whole */

static int open_both(struct backup *b, struct store_problem *problem)
{
    uint32_t version;
    int r = seal_new(&b->seal, b->config->vfs, &b->broken_page);

    if (r == 0)
        r = db_open(&b->from, b->from_path, seal_vfs(b->seal), DB_READ_ONLY, problem);

    if (r == 0)
        r = schema_find(b->from, &version, problem);
    if (r == 0)
        r = db_open(&b->to, b->to_path, seal_vfs(b->seal), 0, problem);
    if (r == 0) /* synced as a whole, when it is complete */
        r = db_exec(b->to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", problem);
    if (r == 0)
        seal_follow(b->to, b->from);
    return r;
}

/* The copy is there: see that it stays, and give it the number of its newest commit. */
static int complete(struct backup *b, struct store_problem *problem)
{
    struct seqfile seqfile = {NULL};
    int64_t commits = 0;
    int r;

    b->to = db_close(b->to, 1);
    r = db_open(&b->to, b->to_path, seal_vfs(b->seal), 0, problem);
    if (r == 0)
        r = db_number(b->to, "SELECT commit_seq FROM meta", &commits, problem);
    b->to = db_close(b->to, 1);
    if (r == 0)
        r = seqfile_open(&seqfile, b->seq_path, b->config->vfs, problem);
    if (r == 0)
        r = seqfile_write(&seqfile, (uint64_t)commits, problem);
    seqfile_close(&seqfile);
    if (r == 0)
        r = sync_path(b->to_path, O_RDWR, problem);
    if (r == 0)
        r = sync_path(b->seq_path, O_RDWR, problem);
    return r == 0 ? sync_path(b->config->to, O_RDONLY | O_DIRECTORY, problem) : r;
}

static void discard(struct backup *b)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", "-commits"};

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char path[DB_PATH_BYTES + 16];

        snprintf(path, sizeof path, "%s%s", b->to_path, suffixes[i]);
        unlink(path);
    }
    rmdir(b->config->to);
}

static int make_paths(struct backup *b)
{
    int r = db_path(b->from_path, b->config->from, DB_NAME);

    if (r == 0)
        r = db_path(b->to_path, b->config->to, DB_NAME);
    return r == 0 ? db_path(b->seq_path, b->config->to, SEQFILE_NAME) : r;
}

int backup_run(const struct backup_config *config, struct store_problem *problem)
{
    struct backup b = {.config = config};
    int r = make_paths(&b), fd;

    problem->text[0] = '\0';
    if (r < 0)
        return db_errno(problem, config->to, -r);
    if (access(b.from_path, R_OK) < 0)
        return db_errno(problem, b.from_path, errno);
    if (mkdir(config->to, 0700) < 0)
        return db_errno(problem, config->to, errno);
    fd = open(b.to_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    r = fd < 0 ? db_errno(problem, b.to_path, errno) : 0;
    err_close(&fd);
    if (r == 0)
        r = open_both(&b, problem);
    if (r == 0)
        r = copy_database(&b, problem);
    if (r == 0)
        r = complete(&b, problem);
    db_close(b.to, 0);
    db_close(b.from, 0);
    seal_free(b.seal);
    if (r != 0)
        discard(&b);
    if (r == STORE_E_ROLLED_BACK || r == STORE_E_POISONED) /* of opening it: nothing of this is the store's */
        r = -EIO;
    return r;
}
