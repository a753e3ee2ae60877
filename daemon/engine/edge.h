// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Edges between waiters and futures: tying, untying, and telling waiters what happened.
 */
#include "engine/engine.h"

/* edge_new: an edge that is tied to nothing. NULL: no memory. The caller has counted it (limits_edges_take). */
MUST_CHECK struct edge *edge_new(struct engine *e);

/* edge_tie: @edge now ties @w to @f. The edge is the waiter's, until edge_drop. */
void edge_tie(struct engine *e, struct edge *edge, struct waiter *w, struct future *f, struct bytes *tag,
              uint32_t cookie);

/* edge_drop: untie and free @edge. edge_spare_drop: free the spare ones of @w. */
void edge_drop(struct engine *e, struct edge *edge);
void edge_spare_drop(struct engine *e, struct waiter *w);

/* edge_join: @f becomes a member of its group, which it has a membership of; who waits for members gets an edge. */
void edge_join(struct engine *e, struct future *f);

/* edge_fire: @f has changed, and become terminal just now if @is_end: tell all who are tied to it. O(edges). */
void edge_fire(struct engine *e, struct future *f, int is_end);
