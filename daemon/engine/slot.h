// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Concurrency keys: of the tasks of one function and namespace with the same key only one is claimed at a time. It has the
 * key's slot from its claim to the end of its lease: while it is cancelled as well, until the attempt has really ended.
 *
 * Who comes to the head of its queue while another has the slot is parked: out of the queue, with the slot. When the slot
 * is free, the best of the parked (priority, then submission) goes back to its old place in the queue: the candidate. It
 * has no right to the slot: whoever is claimed first takes it, so that priority holds; a candidate that comes too late is
 * parked again. When it leaves the queue without a claim, the next one takes its part, so there is always one.
 *
 * A slot exists as long as a future that has not ended has its key. Memory for parking is made with the future.
 */
#include "base/bytes.h"
#include "base/heap.h"
#include "engine/future.h"
#include "engine/table.h"

struct engine;
struct function;
struct limits_account;
struct realm;

struct slot {
    const struct realm *realm;
    const struct function *function;
    uint64_t hash;
    uint64_t n_users; /* futures with this key that have not ended */
    struct future *holder, *candidate;
    struct heap parked; /* of struct future_rare.parked */
    struct bytes *key;
};

struct slot_set {
    struct table table;
    struct hash_seed seed;
};

void slot_set_init(struct slot_set *s, const struct hash_seed *seed);
void slot_set_deinit(struct slot_set *s);

/* slot_use: the slot of @key for one future more of @fn, found or made. 0, -ENOMEM. slot_drop: for one less: @f, which has
 * ended or does not come to be, has its slot no more. */
MUST_CHECK int slot_use(struct engine *e, struct future *f, struct span key);
void slot_drop(struct engine *e, struct future *f);

/* slot_bytes: what each user of @slot is charged for it. */
uint64_t slot_bytes(const struct slot *slot);

/* slot_is_taken: whether another one has the slot that @f needs. slot_park: @f, which is at the head of its queue. */
static inline int slot_is_taken(const struct future *f)
{
    return UNLIKELY(f->rare) && f->rare->slot && f->rare->slot->holder;
}
void slot_park(struct engine *e, struct function *fn);

/* slot_take: @f, which needs one, has been claimed. slot_give: its lease has ended; the next one becomes the candidate. */
void slot_take(struct future *f);
void slot_give(struct engine *e, struct future *f);

/* slot_leave: @f is taken out of its place: as a parked one, or maybe the candidate. */
void slot_leave(struct engine *e, struct future *f);
