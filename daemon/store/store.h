// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The durable store: what the daemon knows when it starts again. This is its door; behind it stands one backend
 * (sqlite.h), and struct store_backend is what another would have to do.
 *
 * Three kinds of users, each in a thread of its own:
 *   the writer (committer.h)    store_write, store_sweep, in one thread; store_checkpoint in a second one
 *   readers (reader.h, recover.h, check.h)    each with a view of its own: store_view_open
 *   who starts and stops        store_open before, store_close after all the others
 *
 * A future is in exactly one of two places: live (accepted, not finished) or done (finished, until its retention
 * ends). Task and result of more than BATCH_INLINE_BYTES lie beside it as blobs, written once.
 *
 * Once a write or a sync has failed in a way that leaves open what is on disk, the store is poisoned: it never writes
 * again, whoever asks, until the process has been started anew. Reads go on.
 */
#include "store/batch.h"
#include "store/match.h"
#include "store/record.h"

enum store_error {
    STORE_E_LOCKED = 1,  /* another process has the directory */
    STORE_E_VERSION,     /* made by a newer version of the program */
    STORE_E_LOST,        /* commits that were acknowledged are not there */
    STORE_E_NOT_FOUND,   /* no such future */
    STORE_E_DATA_LOSS,   /* there is one, and its bytes are not what was written */
    STORE_E_CORRUPT,     /* the database is damaged: nothing is written any more, what can be read is read */
    STORE_E_ROLLED_BACK, /* nothing was written: disk full, read-only, busy, no memory. May be tried again */
    STORE_E_POISONED,    /* it is not known what is on disk: nothing is written any more */
};

enum { STORE_TEXT_BYTES = 256, STORE_SCAN_MAX = 1000 };

/* Why something failed, for a log line or an operator. Never has payloads in it. */
struct store_problem {
    char text[STORE_TEXT_BYTES];
};

struct store_config {
    const char *directory; /* made, 0700, if it is not there; its parent must be */
    const char *vfs;       /* of SQLite; NULL = the default one (tests plant faults by another) */
    int accept_loss;       /* start although acknowledged commits are missing */
    uint64_t log_bytes;    /* make the write-ahead log so long at once, if there is room; 0 = as it grows */
};

/* What the store says of itself when it has been opened. */
struct store_meta {
    uint32_t schema;
    uint32_t epoch;     /* this start's, already on disk: 1, 2, ... */
    uint64_t k_ceiling; /* no key above it was ever given out: begin behind it */
    uint64_t commits;   /* transactions ever written */
    uint64_t n_lost;    /* of them not there, and accepted as lost by this start */
};

/* One future as it is stored. record's spans point into the item; empty where a blob was not asked for. */
struct store_item {
    struct list link;
    int result; /* 0; STORE_E_DATA_LOSS, _VERSION: its bytes are lost, or not for this program; only the key in id is sure */
    int is_done;
    struct id id;
    struct record record;
    struct bytes *task, *data;     /* the blobs, where there are any; for the taking: TAKE_PTR */
    struct restored_chunk *chunks; /* record.n_chunks of them; NULL where they were not asked for */
    uint8_t raw[];
};

/* store_item_free: with everything in it; NULL is allowed. store_items_free: all of @list. */
struct store_item *store_item_free(struct store_item *item);
void store_items_free(struct list *list);

struct store_setting {
    struct span name, value, who, why;
    wall_ns_t at;
};
typedef int (*store_setting_fn)(void *user, const struct store_setting *setting);

struct store_counts {
    uint64_t n_live;
    uint64_t n_by_state[6]; /* of the done ones, by enum future_state */
};

/* What the finished futures of "PRINCIPAL/NAMESPACE" take on disk. */
typedef void (*store_ledger_fn)(void *user, struct span name, uint64_t bytes);

enum store_place { STORE_LIVE, STORE_DONE };
/* What to load with an item: its blobs, its output and log; everything, for who makes a future of it. */
enum { STORE_WANT_TASK = 1, STORE_WANT_DATA = 2, STORE_WANT_CHUNKS = 4, STORE_WANT_ALL = 7 };

struct store_scan {
    enum store_place place;
    uint64_t
            key; /* go on behind it: keys above it, or below it when desc; the caller starts with 0, UINT64_MAX */
    uint32_t limit;       /* at most so many items; 1 .. STORE_SCAN_MAX */
    uint64_t limit_bytes; /* and no further item when so many bytes are reached */
    uint8_t desc, want;
    /* The rest may all be 0. */
    const struct match *match; /* only what this wants, and nothing that is damaged */
    struct span group;         /* only those with this key of match_group_key; DONE */
    uint32_t max_cost;         /* with match: of looking; 0 = any */
    struct store_scanned *ret; /* how far it came */
};

struct store_scanned {
    uint64_t last; /* all up to this key has been looked at ... */
    int is_end;    /* ... and there is nothing behind it */
    uint32_t cost;
};

/* What a sweep is to do: delete what has expired at @now, looking at about @max futures, but for those of @kept. */
struct store_sweep {
    wall_ns_t now;
    uint32_t max;
    const uint64_t *kept; /* keys, rising */
    size_t n_kept;
};

/* What one sweep did. */
struct store_swept {
    uint32_t n_deleted, n_kept,
            n_damaged; /* kept: their expire_time had moved, or they are to be kept. damaged: cannot be read, tried later */
    wall_ns_t next; /* when to come back: in the past if there is more to do, CLOCK_NEVER */
};

struct store;
struct store_view;

struct store_backend {
    int (*write)(struct store *s, struct batch *const *batches, size_t n, struct store_problem *ret_problem);
    int (*sweep)(struct store *s, const struct store_sweep *how, struct store_swept *ret,
                 struct store_problem *ret_problem);
    int (*checkpoint)(struct store *s, struct store_problem *ret_problem);
    uint64_t (*wal_bytes)(struct store *s);
    void (*take_ledger)(struct store *s, store_ledger_fn fn, void *user); /* NULL: nothing is counted */
    int (*view_open)(struct store *s, struct store_view **ret);
    void (*close)(struct store *s);
};

struct store_view_backend {
    int (*get)(struct store_view *v, const struct id *id, uint8_t want, struct store_item **ret);
    int (*scan)(struct store_view *v, const struct store_scan *scan, struct list *items);
    int (*get_key)(struct store_view *v, struct span namespace, struct span key, uint8_t want,
                   struct store_item **ret);
    int (*keys)(struct store_view *v, uint64_t *k, uint64_t *hashes, uint32_t max, uint32_t *ret_n);
    int (*settings)(struct store_view *v, store_setting_fn fn, void *user);
    int (*counts)(struct store_view *v, struct store_counts *ret);
    void (*close)(struct store_view *v);
};

struct store {
    const struct store_backend *backend;
    struct store_meta meta;       /* as of the opening */
    _Atomic uint32_t broken_page; /* the first page that was not as it had been written; 0 = none */
};

struct store_view {
    const struct store_view_backend *backend;
};

/* store_open: lock the directory, open or make the database, see that nothing is lost, begin the next epoch.
 *   Owns:   the caller: store_close.
 *   Return: 0; STORE_E_LOCKED, _VERSION, _LOST, _CORRUPT, _ROLLED_BACK, _POISONED; -errno; @problem says more on all
 *           but 0. Blocks on the disk. */
MUST_CHECK int store_open(struct store **ret, const struct store_config *config,
                          struct store_problem *problem);

/* store_close: no view may be left, no thread may use it. A store that is not poisoned is left without a journal to
 * replay, if the disk lets it. NULL is allowed. Returns NULL. */
struct store *store_close(struct store *s);

/* store_error_text: "the disk is ..." for people; of an enum store_error or -errno. */
const char *store_error_text(int error);

/* store_write: the @n batches in their order as one transaction, synced: on 0 all of it survives power loss.
 *   Return: 0; STORE_E_ROLLED_BACK (nothing of it is there; try again), _CORRUPT, _POISONED (and ever after).
 *   Thread: the writer's. */
MUST_CHECK static inline int store_write(struct store *s, struct batch *const *batches, size_t n,
                                         struct store_problem *problem)
{
    return s->backend->write(s, batches, n, problem);
}

/* store_sweep: delete futures whose expire_time has come. Return, Thread: as store_write; -ENOMEM, and then nothing is
 * done. */
MUST_CHECK static inline int store_sweep(struct store *s, const struct store_sweep *how,
                                         struct store_swept *ret, struct store_problem *problem)
{
    return s->backend->sweep(s, how, ret, problem);
}

/* store_checkpoint: make the write-ahead log short again. Commits go on meanwhile, but for the last stretch.
 *   Return: as store_write; _ROLLED_BACK: not now (a reader is in the way, disk full), nothing is lost.
 *   Thread: any one. */
MUST_CHECK static inline int store_checkpoint(struct store *s, struct store_problem *problem)
{
    return s->backend->checkpoint(s, problem);
}

/* store_wal_bytes: how long the write-ahead log is. Any thread. */
static inline uint64_t store_wal_bytes(struct store *s)
{
    return s->backend->wal_bytes(s);
}

/* store_take_ledger: @fn with each account that has changed since the last call, at first with all; it must not call the store.
 * Any thread. */
static inline void store_take_ledger(struct store *s, store_ledger_fn fn, void *user)
{
    if (s->backend->take_ledger)
        s->backend->take_ledger(s, fn, user);
}

/* store_view_open: a way to read, for one thread at a time. 0; STORE_E_*, -errno. Before store_close: view_close. */
MUST_CHECK static inline int store_view_open(struct store *s, struct store_view **ret)
{
    return s->backend->view_open(s, ret);
}

/* store_get: the future @id, wherever it is; the whole id is compared.
 *   Owns:   the caller: store_item_free. On DATA_LOSS there is no item.
 *   Return: 0; STORE_E_NOT_FOUND, _DATA_LOSS, _CORRUPT; -errno. Whether it has expired is for the caller to say. */
MUST_CHECK static inline int store_get(struct store_view *v, const struct id *id, uint8_t want,
                                       struct store_item **ret)
{
    return v->backend->get(v, id, want, ret);
}

/* store_get_key: the finished future that holds the idempotency key. Owns, Return: as store_get. */
MUST_CHECK static inline int store_get_key(struct store_view *v, struct span namespace, struct span key,
                                           uint8_t want, struct store_item **ret)
{
    return v->backend->get_key(v, namespace, key, want, ret);
}

/* store_keys: up to @max hashes (idem_stored_hash) of keys that finished futures hold, behind *k, which moves on (begin
 * with 0); fewer: there are no more. 0; STORE_E_CORRUPT; -errno. */
MUST_CHECK static inline int store_keys(struct store_view *v, uint64_t *k, uint64_t *hashes, uint32_t max,
                                        uint32_t *ret_n)
{
    return v->backend->keys(v, k, hashes, max, ret_n);
}

/* store_scan: append items in the order of keys to @items; without a match, fewer than the limits allow: there are no more.
 *   Owns:   the caller: store_items_free, also on failure. Each call is a transaction of its own.
 *   Return: 0; STORE_E_CORRUPT; -errno. A damaged record is an item with its result set. */
MUST_CHECK static inline int store_scan(struct store_view *v, const struct store_scan *scan,
                                        struct list *items)
{
    return v->backend->scan(v, scan, items);
}

/* store_settings: call @fn with each setting, by name; its spans are borrowed. What it returns other than 0 ends it.
 *   Return: 0; STORE_E_CORRUPT; -errno; what @fn returned. */
MUST_CHECK static inline int store_settings(struct store_view *v, store_setting_fn fn, void *user)
{
    return v->backend->settings(v, fn, user);
}

/* store_counts: how many there are; looks at every row, some at a time. 0; STORE_E_CORRUPT; -errno. */
MUST_CHECK static inline int store_counts(struct store_view *v, struct store_counts *ret)
{
    return v->backend->counts(v, ret);
}

/* store_view_close: NULL is allowed. Returns NULL. */
static inline struct store_view *store_view_close(struct store_view *v)
{
    if (v)
        v->backend->close(v);
    return NULL;
}
