// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Between the engine and the store: what the store remembers goes into the engine at the start; what a turn changed goes
 * to the committer as one batch; what has become durable is told to the engine and to the server, which then lets go the
 * replies that waited for it.
 */
#include "engine/engine.h"
#include "engine/restore.h"
#include "store/committer.h"

struct grpc_server;
struct loop;
struct persist;

/* Why nothing new may be accepted. */
enum persist_refusal {
    PERSIST_ACCEPTS,
    PERSIST_STALLED, /* the store cannot write: disk full, read-only; it tries again each second */
    PERSIST_BEHIND,  /* too much waits for the disk */
    PERSIST_SPACE,   /* less than the reserve is free on the file system */
    PERSIST_BROKEN,  /* nothing will be written any more */
};

struct persist_config {
    const char *directory;
    const char *vfs; /* as in struct store_config */
    int accept_loss;
    uint64_t reserve_bytes; /* free space below which nothing is accepted */
    uint64_t log_bytes;     /* as in struct store_config */
    struct loop *loop;
    struct grpc_server *server;                              /* NULL: nobody's replies wait (tests) */
    void (*on_refusal)(void *arg, enum persist_refusal why); /* it has changed */
    void (*on_broken)(
            void *arg,
            int is_corrupt); /* once: nothing is written any more. is_corrupt: the database is damaged,
                                                   * a new process would find it so; else one should take over soon */
    void *arg;
};

/* persist_open: open the store; what is wrong has been logged.
 *   Owns:   the caller: persist_close. Return: 0; -errno (-EIO for what the store says). Blocks on the disk. */
MUST_CHECK int persist_open(struct persist **ret, const struct persist_config *config);
const struct store_meta *persist_meta(const struct persist *p);
struct store *persist_store(const struct persist *p);

/* persist_begin: from now on @e is what is kept. 0, -errno. Then persist_recover until *ret_is_complete: some more of what
 * is stored comes into @e: 0; -errno (logged). Nothing may be committed before that. */
MUST_CHECK int persist_begin(struct persist *p, struct engine *e);
MUST_CHECK int persist_recover(struct persist *p, int *ret_is_complete);
uint64_t persist_n_recovered(const struct persist *p);

/* persist_commit: after engine_end, hand over what the turn's effects say.
 *   Return: 0; -ENOMEM: deferred (engine_defer), to be tried again in a moment. */
MUST_CHECK int persist_commit(struct persist *p, const struct effects *effects);

/* persist_look: a page of the database that somebody has found to be damaged is logged, once. */
void persist_look(struct persist *p);

enum persist_refusal persist_refuses(const struct persist *p);

/* How it does, for statistics. */
struct persist_status {
    struct committer_status committer;
    uint64_t free_bytes, reserve_bytes; /* of the file system; below the reserve nothing is accepted */
};
struct persist_status persist_status(const struct persist *p);

/* persist_close: commit what waits, close the store. The engine is not told any more. NULL is allowed. Returns NULL. */
struct persist *persist_close(struct persist *p);

/* persist_restore: put a stored future into the engine; takes the blobs of @item. Return: as engine_restore. */
MUST_CHECK int persist_restore(struct engine *e, struct store_item *item, struct future **ret);
