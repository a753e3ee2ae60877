// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/tally.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct futured_count_group no_groups[1];

void tally_init(struct tally *t, int is_grouped)
{
    *t = (struct tally){.total = {.oldest_age_ns = FUTURED_NO_SPAN}, .is_grouped = is_grouped};
}

static void free_value(const char *value)
{
    mem_free((void *)(uintptr_t)value);
}

void tally_deinit(struct tally *t)
{
    for (size_t i = 0; i < t->n; i++)
        free_value(t->groups[i].value);
    mem_free(t->groups);
}

static int64_t older(int64_t a, int64_t b)
{
    return a > b ? a : b; /* that there is none is -1 */
}

static int add_group(struct tally *t, const struct futured_count_group *group)
{
    size_t cap = t->cap ? 2 * t->cap : 16;
    void *more;
    char *value;

    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->groups[i].value, group->value) == 0) {
            t->groups[i].count += group->count;
            t->groups[i].oldest_age_ns = older(t->groups[i].oldest_age_ns, group->oldest_age_ns);
            return 0;
        }
    }
    if (t->n == t->cap) {
        more = mem_realloc(t->groups, cap * sizeof *t->groups);
        if (!more)
            return -ENOMEM;
        t->groups = more;
        t->cap = cap;
    }
    value = mem_strndup(group->value, strlen(group->value));
    if (!value)
        return -ENOMEM;
    t->groups[t->n] = *group;
    t->groups[t->n++].value = value;
    return 0;
}

int tally_add(struct tally *t, const struct futured_count *count)
{
    t->total.count += count->count;
    t->total.oldest_age_ns = older(t->total.oldest_age_ns, count->oldest_age_ns);
    for (size_t i = 0; i < count->n_groups; i++) {
        int r = add_group(t, &count->groups[i]);

        if (r)
            return r;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct futured_count_group *x = a, *y = b;

    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->value, y->value);
}

const struct futured_count *tally_total(struct tally *t)
{
    if (t->n)
        qsort(t->groups, t->n, sizeof *t->groups, compare);
    t->total.n_groups = t->n;
    t->total.groups = t->n ? t->groups : t->is_grouped ? no_groups : NULL;
    t->total.next_page_token = "";
    return &t->total;
}
