// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/suggest.h"

#include "base/err.h"

#include <string.h>

/* Levenshtein distance of short words; what is longer is far away. */
static size_t distance(const char *a, const char *b, size_t n_b)
{
    enum { MAX_BYTES = 40 };
    size_t n_a = strlen(a), row[MAX_BYTES + 1];

    if (n_a > MAX_BYTES || n_b > MAX_BYTES)
        return MAX_BYTES;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]), insert;

            insert = MIN(row[j], row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = MIN(change, insert);
        }
    }
    return row[n_b];
}

struct suggest suggest_for(const char *word, size_t n)
{
    return (struct suggest){.word = word, .n = n, .distance = n < 4 ? n : n < 8 ? 3 : 4};
}

void suggest_offer(struct suggest *s, const char *name)
{
    size_t d = s->n > 0 && strncmp(name, s->word, s->n) == 0 ? 1 : distance(name, s->word, s->n);

    if (d < s->distance) {
        s->distance = d;
        s->best = name;
    }
}
