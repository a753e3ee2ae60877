// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The known functions: by name, and by index in the order they became known. A function is never forgotten.
 */
#include "engine/engine.h"

struct function_set {
    struct map by_name;
    struct function **at; /* by index */
    uint32_t n, cap;
    int has_defaults;      /* some function has some, or had */
    int is_held;           /* engine_hold */
    struct function *last; /* tried first: submissions come in runs; who submits sets it */
};

void function_set_init(struct function_set *s, const struct hash_seed *seed);
void function_set_deinit(struct function_set *s, struct sched *sched);

/* function_find: NULL = not known. function_get: find or make; an unset doc is set. NULL: no memory, or @max. */
struct function *function_find(const struct function_set *s, struct span name);
MUST_CHECK struct function *function_get(struct function_set *s, struct sched *sched, struct span name,
                                         struct span doc, uint32_t max);
