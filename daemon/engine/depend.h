// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Dependencies: a future that waits for others to end (struct depend in future.h). An edge stands between a dependent and
 * one of its upstreams. It is open until the upstream has ended and that is durable; then it is resolved, which is stored with
 * the dependent, and the upstream is not needed any more, unless its outcome is to be passed on. Only what exists can be named, so
 * there are no cycles.
 *
 * Invariants
 *  1. Who is not terminal pins the upstream of each edge that is open, or whose outcome it passes on; who is terminal none.
 *  2. An open edge is in its upstream's list, and an upstream that has ended with such edges is in `ended`. Nothing else
 *     propagates: depend_run takes from there, a bounded number of edges a turn, and what fails by that joins the end.
 *  3. PLACE_BLOCKED <=> PENDING with an open edge.
 */
#include "base/buf.h"
#include "engine/future.h"

struct engine;
struct engine_submit;
struct restored;

/* The other side: off the rare part of who is depended on. */
struct upstream {
    struct list dependents; /* of struct depend_edge.of_upstream: open ones */
    struct list ended;      /* in the set's list of its durability */
    struct list pinned;     /* in the set's list while edges pin it */
    uint32_t n_edges;       /* that do */
    struct future *future;
};

struct depend_set {
    struct list ended[3]; /* of struct upstream.ended, by enum durability, in the order of their ends */
    struct list pinned;   /* of struct upstream.pinned */
    struct list gone;     /* of struct depend.gone: with an edge to what is not known any more */
    int is_behind;        /* there is more to do at once */
};

void depend_set_init(struct depend_set *s);

/* depend_make: what @f, which is being made and has its rare part, needs to depend on in->upstreams; nothing is tied yet.
 * depend_restore: the same for what was stored; terminal ones need no upstream. 0, -ENOMEM. */
MUST_CHECK int depend_make(struct engine *e, struct future *f, const struct engine_submit *in);
MUST_CHECK int depend_restore(struct engine *e, struct future *f, const struct restored *in);

/* depend_tie: @f, which is not terminal, has come to be: from now on it pins its upstreams. */
void depend_tie(struct engine *e, struct future *f);

/* depend_settled: @f, with a rare part, has just ended: it pins nothing any more, and its dependents will hear of it.
 * depend_untie: the first half of that. */
void depend_settled(struct engine *e, struct future *f);
void depend_untie(struct engine *e, struct future *f);

/* depend_run: resolve the edges that can be, at most STATE_EDGES_PER_TURN.
 * depend_has_work: whether there may be any; without it depend_run does nothing. */
void depend_run(struct engine *e);
static inline int depend_has_work(const struct depend_set *s)
{
    return s->is_behind || !list_is_empty(&s->gone) || !list_is_empty(&s->ended[DURABILITY_DURABLE]) ||
           !list_is_empty(&s->ended[DURABILITY_EPHEMERAL]);
}

/* engine_depend_pinned: append the keys of those that have ended, expired before @now, and are kept by who depends on them
 * to @to, as uint64_t. 0, -ENOMEM. */
MUST_CHECK int engine_depend_pinned(const struct engine *e, wall_ns_t now, struct buf *to);

/* depend_free, upstream_free: off the rare part of a future that goes; NULL is allowed. */
void depend_free(struct depend *depend);
void depend_upstream_free(struct upstream *upstream);

/* depend_is_open: whether @f waits for an upstream. depend_bytes, depend_upstream_bytes: what they are charged with. */
int depend_is_open(const struct future *f);
uint64_t depend_bytes(const struct depend *depend);
uint64_t depend_upstream_bytes(const struct upstream *upstream);
