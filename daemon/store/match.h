// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Records as what a filter (lib/filter) asks, so that a scan need not make futures of what does not match; and the key of the
 * index of groups.
 */
#include "base/buf.h"
#include "filter/filter.h"
#include "store/record.h"

/* What a scan is after. Borrowed while it runs, by the reader's thread. */
struct match {
    struct span namespace;
    const struct filter *filter; /* NULL = all */
    wall_ns_t now;               /* expired before it: not there */
    int needs_task;              /* its blob must be at hand: filter_hints */
};

/* A record as struct filter_subject.record. */
struct match_record {
    const struct record *record;
    wall_ns_t now;
};

/* match_get: filter_get_fn of a struct match_record. */
int match_get(const void *record, enum filter_field field, struct span label, uint32_t i,
              struct filter_value *ret);

/* match_is_wanted: *cost is raised by what it cost to look. */
MUST_CHECK int match_is_wanted(const struct match *m, const struct record *record, uint32_t *cost);

/* match_group_key: append the bytes of done.grp for @group of @namespace. 0, -ENOMEM (unchanged). */
MUST_CHECK int match_group_key(struct buf *out, struct span namespace, struct span group);
