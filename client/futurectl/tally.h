// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Counts of several calls, added up: by their values, the largest first, what is equal by value. */
#include "base/err.h"

#include <futured/client.h>

struct tally {
    struct futured_count total;
    struct futured_count_group *groups; /* the values are ours */
    size_t n, cap;
    int is_grouped;
};

void tally_init(struct tally *t, int is_grouped);
void tally_deinit(struct tally *t);

/* tally_add: what one call has counted. 0, -ENOMEM. */
MUST_CHECK int tally_add(struct tally *t, const struct futured_count *count);

/* tally_total: all of it; n_groups is 0 and groups NULL where there are no groups. Borrowed. */
const struct futured_count *tally_total(struct tally *t);
