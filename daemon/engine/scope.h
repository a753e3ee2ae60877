// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Namespaces and principals, interned: two scopes are of one namespace when they have one realm. They live as long as
 * the engine, so there is a limit to how many there may be.
 */
#include "engine/engine.h"

enum { SCOPE_MAX = 65536 };

/* What the scopes of one namespace share. */
struct realm {
    struct map_item by_name;
    struct bytes *namespace;
    struct map scopes; /* by principal */
};

struct scope_set {
    struct map realms;
    uint32_t n; /* scopes */
};

void scope_set_init(struct scope_set *s, const struct hash_seed *seed);
void scope_set_deinit(struct scope_set *s);

/* scope_get: find or make. NULL: no memory, or SCOPE_MAX. */
MUST_CHECK struct scope *scope_get(struct scope_set *s, struct span namespace, struct span principal);
