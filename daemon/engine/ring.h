// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The newest events of all futures, in the order in which they happened, for who follows many of them at once. Part of the
 * door.
 *
 * What is old makes room for what is new, whoever has read it or not: a slow reader costs nothing, and sees by the numbers
 * that it has missed something. An event names its future, which is looked at as it is now, and tells what must be known of
 * how it was before.
 *
 * Kept from the first engine_ring_keep on; until then a change costs one comparison.
 */
#include "engine/future.h"

struct engine;

/* As in the contract's enum EventKind. */
enum ring_kind { RING_STATE = 1 /* or anything but the following */, RING_PROGRESS = 2, RING_LABELS = 5 };

struct ring_event {
    struct id id;
    uint64_t revision; /* that the future has got with it; of PROGRESS, which gives none: told_progress.n */
    wall_ns_t time;
    struct labels *labels_before; /* of LABELS: NULL = those of the task. The ring's */
    uint8_t kind;                 /* enum ring_kind */
    uint8_t state_before;         /* enum future_state; 0: it was not there */
    uint8_t durability;
};

/* Events are numbered from 1. Read-only outside. */
struct ring {
    struct ring_event *at; /* NULL: they are not kept */
    uint32_t size, next;   /* of at; where the newest one is */
    uint64_t epoch;        /* of the numbers: another at each start of the daemon */
    uint64_t head;         /* number of the newest; 0 = none */
    uint64_t base;         /* of the newest that is not there any more */
    size_t labels_bytes;   /* of all labels_before */
};

enum { RING_LABELS_BYTES = 4 << 20 }; /* of labels_before: beyond, old events go however few they are */

/* engine_ring_keep: from now on the newest @size are there. Again: they are there already. 0, -ENOMEM. */
MUST_CHECK int engine_ring_keep(struct engine *e, uint32_t size);
const struct ring *engine_ring(const struct engine *e);

/* ring_at: the event of that number, good until the engine's next change. NULL: it is gone (at or before base), or has not
 * happened. */
const struct ring_event *ring_at(const struct ring *r, uint64_t number);

/* How a future was before an event. */
struct ring_before {
    int state; /* 0: it was not there */
    const struct labels *labels;
};
/* ring_before: how @f, as it is now, was before the event @number, which is one of it. *budget is counted down by 1 for every
 * 16 events that were looked through for that, and nothing more is looked through where it is 0. */
struct ring_before ring_before(const struct ring *r, uint64_t number, const struct future *f,
                               uint32_t *budget);

/* ring_add, for the engine alone: @f has just changed, and got its revision. Takes @labels_before. ring_deinit: frees it all. */
void ring_add(struct ring *r, struct future *f, enum ring_kind kind, int state_before,
              struct labels *labels_before, wall_ns_t now);
void ring_deinit(struct ring *r);
