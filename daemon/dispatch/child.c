// SPDX-License-Identifier: Apache-2.0
#include "dispatch/child.h"

#include "dispatch/internal.h"

void child_join(struct worker *w)
{
    LIST_FOREACH (l, &w->dispatch->workers) {
        const struct worker *other = LIST_ENTRY(l, struct worker, link);

        if (!child_is_beside(other, w))
            continue;
        w->is_draining |= other->is_draining;
        w->end_at = MIN(w->end_at, other->end_at);
    }
}

int child_is_left(const struct worker *w)
{
    if (!w->has_left || (w->holder && w->holder->n_leases))
        return 0;
    LIST_FOREACH (l, &w->dispatch->workers) {
        const struct worker *other = LIST_ENTRY(l, struct worker, link);

        if (other->call && child_is_beside(other, w))
            return 1;
    }
    return 0;
}

void child_kill(struct worker *w, const char *why)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;

    w->is_culprit = 1;
    pool->kill(pool->context, dispatch_child(w->key), why);
}
