// SPDX-License-Identifier: Apache-2.0
/* Waiters: counted by a look at all their edges. */
#include "base/err.h"
#include "model_parts.h"

#include <string.h>

int model_n_edges(const struct model_waiter *w)
{
    int n = 0;

    for (int k = 0; k < MODEL_EDGES; k++)
        n += w->edges[k].future >= 0;
    return n;
}

void model_ends(const struct model *m, const struct model_waiter *w, uint32_t *pending, uint32_t *done,
                uint32_t *failed)
{
    *pending = *done = *failed = 0;
    for (int k = 0; k < MODEL_EDGES; k++) {
        const struct model_future *f;

        if (w->edges[k].future < 0)
            continue;
        f = &m->futures[w->edges[k].future];
        *pending += f->at < AT_SUCCEEDED;
        *done += f->at >= AT_SUCCEEDED;
        *failed += f->at == AT_FAILED;
    }
}

int model_is_ready(const struct model *m, const struct model_waiter *w)
{
    uint32_t pending, done, failed;
    int is_complete;

    model_ends(m, w, &pending, &done, &failed);
    is_complete = pending == 0 && w->to_come == 0;
    if (w->mode == WAITER_ALL)
        return is_complete;
    if (w->mode == WAITER_FIRST_EXCEPTION)
        return is_complete || failed > 0;
    if (w->mode == WAITER_COUNT)
        return is_complete || done >= w->wanted;
    for (int k = 0; k < MODEL_EDGES; k++)
        if (w->edges[k].future >= 0 && w->edges[k].is_news)
            return 1;
    return 0;
}

/* Something of future @i has changed that nobody need know of yet. */
static void note(struct model *m, int i, int is_lazy)
{
    m->futures[i].is_unnoted = 1;
    if (m->futures[i].durability != DURABILITY_DURABLE)
        return;
    if (!is_lazy || !m->has_store)
        m->is_urgent = m->futures[i].is_now = 1;
    else if (m->lazy_by == CLOCK_NEVER)
        m->lazy_by = m->mono + MODEL_LAZY;
}

void model_note(struct model *m, int i, int is_lazy)
{
    m->futures[i].is_changed = 1;
    note(m, i, is_lazy);
}

/* The revision stays. */
void model_said(struct model *m, int i)
{
    note(m, i, 1);
    if (m->futures[i].durability == DURABILITY_DURABLE && m->told_by == CLOCK_NEVER)
        m->told_by = m->mono + MODEL_TOLD;
    model_fire(m, i, 0);
}

void model_speaks(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->told_claim == f->n_claims)
        return;
    f->told_claim = f->n_claims;
    memcpy(f->told_base, f->n_told, sizeof f->told_base);
}

uint8_t model_told(uint32_t task, int kind, uint64_t offset)
{
    return (uint8_t)(task * 31 + (uint32_t)kind * 7 + offset * 13 + offset / 101);
}

/* Those who are tied to future @i, which has changed or come to its end, may be owed an answer. */
void model_fire(struct model *m, int i, int is_end)
{
    for (int n = 0; n < MODEL_WAITERS; n++) {
        struct model_waiter *w = &m->waiters[n];
        int is_tied = 0;

        if (!w->is_used)
            continue;
        for (int k = 0; k < MODEL_EDGES; k++)
            if (w->edges[k].future == i) {
                is_tied = 1;
                if (is_end || w->mode == WAITER_WATCH)
                    w->edges[k].is_news = 1;
            }
        if (is_tied && (is_end || w->mode == WAITER_WATCH) && model_is_ready(m, w))
            w->must_answer = 1;
    }
}

void model_tell(struct model *m, int i, int is_end)
{
    model_note(m, i, 0);
    model_fire(m, i, is_end);
}

void model_wait(struct model *m, int w, int i)
{
    struct model_waiter *waiter = &m->waiters[w];

    for (int k = 0; k < MODEL_EDGES; k++)
        if (waiter->edges[k].future < 0) {
            waiter->edges[k] = (struct model_edge){.future = i, .is_news = model_is_terminal(&m->futures[i])};
            m->futures[i].n_pins++;
            break;
        }
    if (model_is_terminal(&m->futures[i]) && model_is_ready(m, waiter))
        waiter->must_answer = 1;
}

uint32_t model_group_size(const struct model *m, int scope, int group)
{
    uint32_t n = 0;

    for (int i = 0; i < m->n_futures; i++)
        n += model_is_here(&m->futures[i]) && m->futures[i].join_order > 0 && m->futures[i].group == group &&
             m->futures[i].scope / 2 == scope / 2;
    return n;
}

void model_wait_group(struct model *m, int w, int scope, int group, uint32_t expect)
{
    struct model_waiter *waiter = &m->waiters[w];

    waiter->scope = scope;
    waiter->group = group;
    waiter->to_come = expect - MIN(expect, model_group_size(m, scope, group));
    for (int64_t last = 0;;) { /* in the order in which they joined */
        int next = -1;

        for (int i = 0; i < m->n_futures; i++)
            if (model_is_here(&m->futures[i]) && m->futures[i].group == group &&
                m->futures[i].scope / 2 == scope / 2 && m->futures[i].join_order > last &&
                (next < 0 || m->futures[i].join_order < m->futures[next].join_order))
                next = i;
        if (next < 0)
            return;
        last = m->futures[next].join_order;
        model_wait(m, w, next);
    }
}

static int is_waited_for(const struct model *m, int i)
{
    for (int n = 0; n < MODEL_WAITERS; n++)
        for (int k = 0; m->waiters[n].is_used && k < MODEL_EDGES; k++)
            if (m->waiters[n].edges[k].future == i)
                return 1;
    return 0;
}

static void edge_free(struct model *m, struct model_edge *edge)
{
    int i = edge->future;
    struct model_future *f = &m->futures[i];

    f->n_pins--;
    edge->future = -1;
    if (f->is_cancelled_alone && !f->abandoned && !m->is_staying && !model_is_terminal(f) &&
        !is_waited_for(m, i))
        f->abandoned = ++m->next_abandoned;
}

void model_unwait(struct model *m, int w, int i)
{
    for (int k = 0; k < MODEL_EDGES; k++)
        if (m->waiters[w].edges[k].future == i) {
            edge_free(m, &m->waiters[w].edges[k]);
            return;
        }
}

void model_drop(struct model *m, int w)
{
    for (int k = 0; k < MODEL_EDGES; k++)
        if (m->waiters[w].edges[k].future >= 0)
            edge_free(m, &m->waiters[w].edges[k]);
    m->waiters[w].is_used = m->waiters[w].must_answer = 0;
    m->waiters[w].to_come = 0;
}

void model_seen(struct model *m, int w, int i)
{
    for (int k = 0; k < MODEL_EDGES; k++)
        if (m->waiters[w].edges[k].future == i && m->waiters[w].edges[k].is_news) {
            m->waiters[w].edges[k].is_news = 0;
            return;
        }
}
/* @i joins its group; who waits for members gets an edge. */
void model_join(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    f->join_order = ++m->next_join;
    for (int n = 0; n < MODEL_WAITERS; n++) {
        struct model_waiter *w = &m->waiters[n];

        if (!w->is_used || w->to_come == 0 || w->group != f->group || w->scope / 2 != f->scope / 2)
            continue;
        model_wait(m, n, i);
        w->to_come--;
    }
}
