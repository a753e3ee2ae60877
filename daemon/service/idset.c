// SPDX-License-Identifier: Apache-2.0
#include "service/idset.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

enum { IDSET_MIN_SLOTS = 16 };

void idset_init(struct idset *set, const struct hash_seed *seed)
{
    *set = (struct idset){.seed = seed};
}

void idset_deinit(struct idset *set)
{
    mem_free(set->slots);
    idset_init(set, set->seed);
}

/* The slot that holds @id, or the empty one where it belongs. */
static struct id *slot_of(const struct idset *set, const struct id *id)
{
    static const struct id empty;
    uint64_t at = hash_bytes(set->seed, id->b, ID_BYTES);

    for (;; at++) {
        struct id *slot = &set->slots[at & (set->n_slots - 1)];

        if (id_compare(slot, id) == 0 || id_compare(slot, &empty) == 0)
            return slot;
    }
}

static int grow(struct idset *set)
{
    struct idset bigger = *set;

    bigger.n_slots = set->n_slots ? set->n_slots * 2 : IDSET_MIN_SLOTS;
    bigger.slots = mem_zalloc(bigger.n_slots * sizeof(struct id));
    if (!bigger.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < set->n_slots; i++)
        if (set->slots[i].b[6]) /* the version byte of every ID */
            *slot_of(&bigger, &set->slots[i]) = set->slots[i];
    mem_free(set->slots);
    *set = bigger;
    return 0;
}

int idset_add(struct idset *set, const struct id *id)
{
    struct id *slot;

    if (set->n * 2 >= set->n_slots) {
        int r = grow(set);

        if (r < 0)
            return r;
    }
    slot = slot_of(set, id);
    if (slot->b[6])
        return IDSET_E_EXISTS;
    *slot = *id;
    set->n++;
    return 0;
}
