// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A store in a directory of its own, and what tests do with it in one line. */
#include "tests/unit/store/sample.h"

#include <ftw.h>
#include <poll.h>

#include <sys/stat.h>

struct fixture {
    char parent[64], directory[80], path[96]; /* path: of the database */
    const char *vfs;
    struct store *store;
    struct store_problem problem;
    uint64_t commit_seq, log_bytes;
};

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void fixture_empty(const char *path)
{
    nftw(path, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A directory for a store, that is not there yet. */
static inline void fixture_init(struct fixture *fx, const char *vfs)
{
    /* a disk that is played needs no real one */
    int is_in_memory = vfs && access("/dev/shm", W_OK) == 0;

    *fx = (struct fixture){.vfs = vfs, .log_bytes = vfs ? 64 << 10 : 0};
    snprintf(fx->parent, sizeof fx->parent, "%s/futured-store-XXXXXX", is_in_memory ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(fx->parent));
    snprintf(fx->directory, sizeof fx->directory, "%s/state", fx->parent);
    snprintf(fx->path, sizeof fx->path, "%s/futures.db", fx->directory);
}

static inline int fixture_try_open(struct fixture *fx, int accept_loss)
{
    struct store_config config = {.directory = fx->directory,
                                  .vfs = fx->vfs,
                                  .accept_loss = accept_loss,
                                  .log_bytes = fx->log_bytes};

    return store_open(&fx->store, &config, &fx->problem);
}

static inline void fixture_open(struct fixture *fx)
{
    int r = fixture_try_open(fx, 0);

    if (r != 0)
        fail_msg("store_open: %d: %s", r, fx->problem.text);
}

static inline void fixture_close(struct fixture *fx)
{
    fx->store = store_close(fx->store);
}

static inline void fixture_start(struct fixture *fx)
{
    fixture_init(fx, NULL);
    fixture_open(fx);
}

static inline void fixture_end(struct fixture *fx)
{
    fixture_close(fx);
    fixture_empty(fx->parent);
}

static inline struct batch *fixture_batch(struct fixture *fx)
{
    struct batch *b = batch_new();

    assert_non_null(b);
    b->commit_seq = ++fx->commit_seq;
    return b;
}

static inline void fixture_put(struct batch *b, enum batch_kind kind, const struct sample *s)
{
    assert_int_equal(batch_put(b, kind, &s->future), 0);
    assert_int_equal(batch_chunks(b, &s->future), 0);
}

/* Write @b as one transaction, free it, say what store_write said. */
static inline int fixture_try_write(struct fixture *fx, struct batch *b)
{
    int r = store_write(fx->store, &b, 1, &fx->problem);

    batch_free(b);
    return r;
}

static inline void fixture_write(struct fixture *fx, struct batch *b)
{
    int r = fixture_try_write(fx, b);

    if (r != 0)
        fail_msg("store_write: %d: %s", r, fx->problem.text);
}

static inline void fixture_write_one(struct fixture *fx, enum batch_kind kind, const struct sample *s)
{
    struct batch *b = fixture_batch(fx);

    fixture_put(b, kind, s);
    fixture_write(fx, b);
}

static inline int fixture_try_get(struct fixture *fx, const struct id *id, struct store_item **ret)
{
    struct store_view *v;
    int r;

    assert_int_equal(store_view_open(fx->store, &v), 0);
    r = store_get(v, id, STORE_WANT_ALL, ret);
    store_view_close(v);
    return r;
}

/* The store has @s as it is, live or done. */
static inline void fixture_assert_has(struct fixture *fx, const struct sample *s)
{
    struct store_item *item = NULL;

    assert_int_equal(fixture_try_get(fx, &s->future.id, &item), 0);
    assert_int_equal(item->is_done, future_is_terminal(&s->future));
    assert_int_equal(item->result, 0);
    sample_assert(&item->record, s);
    sample_assert_chunks(item->chunks, s);
    assert_true(!item->record.task_in_blob || item->record.task.p);
    assert_true(!item->record.data_in_blob || item->record.data.p);
    store_item_free(item);
}

static inline void fixture_assert_not(struct fixture *fx, const struct sample *s)
{
    struct store_item *item;

    assert_int_equal(fixture_try_get(fx, &s->future.id, &item), STORE_E_NOT_FOUND);
}

static inline struct store_counts fixture_counts(struct fixture *fx)
{
    struct store_counts counts = {0};
    struct store_view *v;

    assert_int_equal(store_view_open(fx->store, &v), 0);
    assert_int_equal(store_counts(v, &counts), 0);
    store_view_close(v);
    return counts;
}

/* Wait until @fd is readable: an event, however long it takes; a test that hangs is ended by ctest. */
static inline void fixture_wait(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (poll(&p, 1, -1) != 1)
        ;
}
