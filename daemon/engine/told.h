// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What attempts tell of themselves before they end: progress, output and log. Part of the door.
 *
 * Output and log are kept as they came, in pieces that are never changed and never dropped before their future: who reads
 * them needs no copy, only a place. An attempt may say as much as limits.max_output_bytes and max_log_bytes, a future
 * TOLD_ATTEMPTS times that; where something is left out a line of the log says so. Of progress only the last counts.
 *
 * Told lazily: with a store it makes no commit by itself for STATE_TOLD_NS, unless it is shown; the revision stays.
 */
#include "engine/future.h"

enum told_kind { TOLD_OUTPUT, TOLD_LOG, TOLD_KINDS };

/* Where a piece came from: as in the contract's enum Stream. */
enum told_stream { TOLD_FROM_OUTPUT = 1, TOLD_FROM_STDOUT, TOLD_FROM_STDERR, TOLD_FROM_LOG };

enum {
    TOLD_PIECE_BYTES = 64 * 1024, /* one piece has at most */
    TOLD_PIECE_COST_BYTES = 64,   /* and counts as so many bytes more */
    TOLD_ATTEMPTS = 4,            /* a future keeps as much as so many attempts may say */
    TOLD_FLOOD_BYTES = 16 << 20,  /* so much beyond its limit an attempt may say for nothing */
    TOLD_MESSAGE_BYTES = 1024,    /* of progress */
};

struct told_chunk {
    struct told_chunk *next; /* in the order in which they came, both kinds */
    struct bytes *data;
    uint64_t offset; /* bytes of this kind before it */
    wall_ns_t time;
    uint32_t attempt;
    uint8_t kind, stream;
};

struct told_progress {
    uint64_t completed, total;
    struct bytes *message; /* NULL = none */
    uint32_t attempt;      /* of whom; 0 = nobody has said anything */
    uint32_t n;            /* how often that was said in this process */
};

struct told {
    struct told_chunk *first, *last;
    struct told_chunk *unstored; /* the first that the store has not been given; NULL = it has them all */
    uint32_t n_chunks;
    uint64_t n_bytes[TOLD_KINDS]; /* kept: the next offset */
    uint64_t cost_bytes[TOLD_KINDS];
    uint64_t charged_bytes;
    struct told_progress progress;

    uint32_t attempt; /* the one that tells, and what it has said: */
    uint64_t n_heard[TOLD_KINDS];
    uint64_t attempt_cost_bytes[TOLD_KINDS]; /* of what is kept */
    uint64_t flood_bytes[TOLD_KINDS];
    uint8_t is_cut[TOLD_KINDS];
};

/* What a worker says. */
struct told_piece {
    enum told_kind kind;
    enum told_stream stream;
    uint64_t offset; /* bytes of this kind that this attempt has said before */
    struct span data;
    wall_ns_t time; /* 0 = now */
};

/* future_told: NULL = nothing was ever told. */
static inline const struct told *future_told(const struct future *f)
{
    return UNLIKELY(f->rare) ? f->rare->told : NULL;
}

/* told_progress: what the newest attempt has last said of itself; NULL = nothing. */
const struct told_progress *told_progress(const struct future *f);

/* ---- for the engine alone */

struct engine;
struct lease;
struct restored;

/* told_add: engine_tell. told_set_progress: engine_progress. told_restore: @f, whose rare part is there, has told before. 0,
 * -ENOMEM and what those say. */
MUST_CHECK int told_add(struct engine *e, struct lease *lease, const struct told_piece *piece);
MUST_CHECK int told_set_progress(struct engine *e, struct lease *lease, const struct told_progress *progress,
                                 struct span message);
MUST_CHECK int told_restore(struct engine *e, struct future *f, const struct restored *in);

/* told_free: NULL is allowed. Returns NULL. */
struct told *told_free(struct told *t);

/* told_bytes: what it is charged with. told_check: its invariants, and that this is right. */
static inline uint64_t told_bytes(const struct told *t)
{
    return t ? t->charged_bytes : 0;
}
void told_check(const struct future *f);

/* told_stored: the store has been given all of it. */
static inline void told_stored(struct future *f)
{
    if (UNLIKELY(f->rare) && UNLIKELY(f->rare->told))
        f->rare->told->unstored = NULL;
}
