// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Idempotency keys: a name that a task has within its namespace for as long as its future is kept. A key has one holder
 * at most. Whose future has ended may have to give it up to a new one; then it is without a key for good.
 *
 * Keys are a peer's choice and may be as many as futures: a table of their own, under seeded hashes.
 *
 * With a store the holder of a key may be a finished future that is not in memory. Which keys these may be is known by a
 * filter of IDEM_FILTER_BITS, made when the first one leaves: what it does not have need not be looked for on the disk.
 * It forgets nothing before the next start, so it fills in the long run; then it only costs the look.
 */
#include "base/bytes.h"
#include "engine/table.h"

struct engine;
struct engine_submit;
struct future;
struct realm;

enum { IDEM_FILTER_BITS = 1 << 23 };

/* The key of a future, off its rare part. One allocation. */
struct idem {
    struct future *future;
    uint64_t hash;
    uint32_t content_type_at, content_type_bytes; /* of the task: a part of what must be the same */
    uint8_t is_held;                              /* in the table */
    uint8_t len;
    uint8_t text[];
};

struct idem_set {
    struct table table;
    struct hash_seed seed;
    uint64_t *filter; /* NULL: no key left memory yet */
    int is_blind;     /* there was no memory for the filter: any key may be stored */
};

void idem_set_init(struct idem_set *s, const struct hash_seed *seed);
void idem_set_deinit(struct idem_set *s);

/* idem_new: for @f, of namespace @realm; in no table yet. NULL: no memory. idem_free: out of the table, if it is in; NULL is
 * allowed; returns NULL. */
MUST_CHECK struct idem *idem_new(const struct idem_set *s, struct future *f, const struct realm *realm,
                                 struct span key);
struct idem *idem_free(struct idem_set *s, struct idem *idem);

/* idem_span: the text of a key; "" for NULL. idem_bytes: what it is charged with. */
struct span idem_span(const struct idem *idem);
uint64_t idem_bytes(const struct idem *idem);

/* idem_find: who holds @key, NULL: nobody in memory. */
struct idem *idem_find(const struct idem_set *s, const struct realm *realm, struct span key);

/* idem_hold: @idem is the holder from now on; whoever was it before is to idem_leave at once. 0, -ENOMEM.
 * idem_leave: it does not hold its key any more. */
MUST_CHECK int idem_hold(struct idem_set *s, struct idem *idem);
void idem_leave(struct idem_set *s, struct idem *idem);

/* idem_is_same_task: whether @in is of the same function, argument and content type as what @idem names. */
MUST_CHECK int idem_is_same_task(const struct idem *idem, const struct engine_submit *in);

/* idem_stored_hash: of a key as the store has it: the same at every start. idem_note_stored: a key of this hash is, or may
 * from now on be, in the store alone. idem_may_be_stored: whether that was ever said of it. */
uint64_t idem_stored_hash(struct span namespace, struct span key);
void idem_note_stored(struct idem_set *s, uint64_t hash);
MUST_CHECK int idem_may_be_stored(const struct idem_set *s, uint64_t hash);
