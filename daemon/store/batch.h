// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What one turn of the engine wants to have on disk: a list of changes that are committed together, or not at all.
 * Made on the loop's thread, from the engine's facts; handed to the committer; comes back with its result and is
 * freed or used again there. In between nobody but the commit thread touches it.
 *
 * The bytes of all records lie in one buffer. A task or a result of more than BATCH_INLINE_BYTES is not copied: the
 * batch keeps a reference, taken and dropped on the loop's thread.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "engine/future.h"

enum { BATCH_INLINE_BYTES = 2048 };

enum batch_kind {
    BATCH_PUT_LIVE,    /* accepted and not finished: new, or in place of what is there */
    BATCH_FINISH,      /* finished now, for the first time: into done, out of live */
    BATCH_FINISH_NEW,  /* the same of one that was never put: into done */
    BATCH_PUT_DONE,    /* finished before; its record has changed (labels, retention) */
    BATCH_DELETE,      /* forget it, wherever it is */
    BATCH_SETTING,     /* a name and its value, who set it, when and why; or without it */
    BATCH_KEY_CEILING, /* keys up to k may be given out; never goes down */
    BATCH_CHUNK,       /* a piece of output or log, written once */
};

/* A piece of the batch's buffer. */
struct batch_piece {
    uint32_t at, len;
};

/* Which piece it is. */
struct batch_chunk {
    uint64_t offset;
    uint32_t n; /* of those of its future, from 0 */
    uint32_t attempt;
    uint8_t kind, stream; /* enum told_kind, told_stream */
};

struct batch_op {
    enum batch_kind kind;
    uint8_t state; /* FINISH, PUT_DONE: enum future_state */
    uint8_t has_value;
    uint8_t has_key; /* FINISH, PUT_DONE: it holds an idempotency key, ... */
    struct id id;
    uint64_t k;
    uint64_t key_hash; /* ... of this idem_stored_hash */
    wall_ns_t time;    /* FINISH, PUT_DONE: expire_time. SETTING, CHUNK: when */
    struct bytes *task, *data;
    struct batch_piece record, function; /* PUT_*, FINISH */
    struct batch_piece group;            /* FINISH, PUT_DONE: its key of match_group_key; empty = in none */
    union {
        struct {
            struct batch_piece name, value, who, why;
        };
        struct batch_chunk chunk;
        struct { /* FINISH, PUT_DONE: whose account (ledger.h), empty = none; its output and log */
            struct batch_piece owner;
            uint64_t told_bytes;
        };
    };
};

struct batch {
    struct list link;    /* the committer's, then the owner's again */
    uint64_t commit_seq; /* the engine's, of these facts; strictly increasing from batch to batch */
    int result;          /* when it has come back: 0 = durable; STORE_E_ROLLED_BACK, _CORRUPT, _POISONED */
    struct batch_op *ops;
    uint32_t n, cap;
    struct buf bytes;
    uint64_t n_bytes; /* all that will be written, blobs included */
    int is_continued; /* in the next batch: both are in one transaction */
    void *user;       /* the owner's */
};

/* batch_new: empty. Owns: the caller. NULL: no memory. batch_free: drops its references; NULL is allowed; returns
 * NULL. batch_clear: empty again, to be used again; memory of unusual size is given back. Loop's thread. */
MUST_CHECK struct batch *batch_new(void);
struct batch *batch_free(struct batch *b);
void batch_clear(struct batch *b);

/* batch_put: @f as it is now. @kind: PUT_LIVE for one that is not terminal, FINISH the first time that it is (FINISH_NEW:
 *   without PUT_LIVE before it), PUT_DONE after that. The same future twice in one batch is allowed, in the order of what happened.
 *   Return: 0; -ENOMEM; -EMSGSIZE (begin another batch: this one has 1 GiB). It is unchanged then. */
MUST_CHECK int batch_put(struct batch *b, enum batch_kind kind, const struct future *f);

/* batch_chunks: what @f, which has just been put, has told and the store has not been given; all of it behind PUT_DONE. 0, -ENOMEM
 * (some may be there: give up the batch). */
MUST_CHECK int batch_chunks(struct batch *b, const struct future *f);

/* batch_delete: 0, -ENOMEM. batch_key_ceiling: 0, -ENOMEM. */
MUST_CHECK int batch_delete(struct batch *b, const struct id *id);
MUST_CHECK int batch_key_ceiling(struct batch *b, uint64_t k);

/* batch_setting: remember @name = @value; @value NULL: forget it. All are copied. 0, -ENOMEM (unchanged). */
MUST_CHECK int batch_setting(struct batch *b, struct span name, const struct span *value, struct span who,
                             wall_ns_t at, struct span why);

/* batch_span: the bytes of @piece; good until the batch grows. */
static inline struct span batch_span(const struct batch *b, struct batch_piece piece)
{
    return (struct span){piece.len ? buf_head(&b->bytes) + piece.at : NULL, piece.len};
}
