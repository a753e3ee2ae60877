// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Which name may have been meant. */
#include <stddef.h>

/* A search: start from suggest_for, offer every name, then read `best`, NULL where none is near. */
struct suggest {
    const char *word;
    size_t n; /* of its bytes */
    const char *best;
    size_t distance;
};

struct suggest suggest_for(const char *word, size_t n);
void suggest_offer(struct suggest *s, const char *name);
