// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A set of future IDs, open-addressed and seeded: duplicates in a request count once. */
#include "base/hash.h"
#include "base/id.h"

struct idset {
    struct id *slots; /* all-zero = empty; a future ID is never all-zero */
    uint32_t n, n_slots;
    const struct hash_seed *seed; /* borrowed */
};

void idset_init(struct idset *set, const struct hash_seed *seed);
void idset_deinit(struct idset *set);

/* idset_add: 0; IDSET_E_EXISTS; -ENOMEM. O(1). */
enum { IDSET_E_EXISTS = 1 };
MUST_CHECK int idset_add(struct idset *set, const struct id *id);
