// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Futures in memory as what a filter (lib/filter) asks, and the walk over those that match. Part of the door.
 *
 * What a member of a group that has come back from the store is found by is the store's index of groups, not this walk: see
 * group.h.
 */
#include "engine/engine.h"
#include "filter/filter.h"

/* A future as struct filter_subject.record: as it is, or, by its state and its labels, as it was before a change. */
struct filter_future {
    const struct future *future;
    wall_ns_t now;
    const struct ring_before *before; /* NULL: as it is. It was there then */
};

/* engine_filter_get: filter_get_fn of a struct filter_future. */
int engine_filter_get(const void *record, enum filter_field field, struct span label, uint32_t i,
                      struct filter_value *ret);

/* Who does not have them yet: how long it ran, has run or was waiting. < 0 = it has not begun to. For who has the times of a
 * future that is not in memory; 0 = none. */
int64_t engine_filter_duration(wall_ns_t start, wall_ns_t end, wall_ns_t now);
int64_t engine_filter_queue_time(wall_ns_t submit, wall_ns_t start, wall_ns_t end, wall_ns_t now);

struct filter_walk {
    const struct scope *scope;   /* its namespace */
    const struct filter *filter; /* NULL = all */
    struct span group;           /* empty = in any, or none */
    wall_ns_t now;
    uint64_t key;   /* go on behind it; moved on to what was looked at last */
    uint64_t until; /* and no further than this one, which is included */
    int is_desc;
};

/* engine_filter_walk: up to @max futures that match, in the order of IDs, into @ret. *budget is counted down by what it
 * costs to look.
 *   Return: how many; with fewer than @max and *budget left there are no more. */
uint32_t engine_filter_walk(const struct engine *e, struct filter_walk *walk, uint32_t *budget,
                            struct future **ret, uint32_t max);

/* engine_filter_is_member: whether the walk over its group finds @f. */
MUST_CHECK int engine_filter_is_member(const struct future *f);
