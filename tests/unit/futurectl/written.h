// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A stream whose text is compared. Header only. */
#include "tests/support/testing.h"

struct written {
    FILE *to; /* the same as long as it lives */
    char *text;
    size_t n, seen; /* of n */
};

static inline void written_init(struct written *w)
{
    *w = (struct written){0};
    w->to = open_memstream(&w->text, &w->n);
    assert_non_null(w->to);
}

/* written_expect: what has been written since the last time is exactly @expect. */
static inline void written_expect(struct written *w, const char *expect)
{
    const char *text;

    fflush(w->to);
    text = w->text + w->seen;
    w->seen = w->n;
    if (strcmp(text, expect) != 0)
        fail_msg("written:\n%s\nexpected:\n%s", text, expect);
}

/* written_has: @part is somewhere in what has been written since then. */
static inline void written_has(struct written *w, const char *part)
{
    const char *text;

    fflush(w->to);
    text = w->text + w->seen;
    w->seen = w->n;
    if (!strstr(text, part))
        fail_msg("`%s` is not in:\n%s", part, text);
}

static inline void written_deinit(struct written *w)
{
    fclose(w->to);
    free(w->text);
}
