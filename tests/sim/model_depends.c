// SPDX-License-Identifier: Apache-2.0
/* Dependencies: who waits for the end of whom, and what comes of it. */
#include "base/err.h"
#include "model_parts.h"

/* Whether @d, of the unended @f, keeps its upstream from being forgotten. */
static int is_pin(const struct model_future *f, const struct model_depend *d)
{
    return !d->is_gone && (d->state == 0 || f->passes_results);
}

static int has_open_dependents(const struct model *m, int i)
{
    for (int k = 0; k < m->n_futures; k++) {
        const struct model_future *f = &m->futures[k];

        for (uint32_t n = 0; model_is_here(f) && !model_is_terminal(f) && n < f->n_depends; n++)
            if (f->depends[n].future == i && f->depends[n].state == 0 && !f->depends[n].is_gone)
                return 1;
    }
    return 0;
}

static void note_ended(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (model_is_terminal(f) && f->end_order == 0 && has_open_dependents(m, i))
        f->end_order = ++m->next_end;
}

void model_tie(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    for (uint32_t k = 0; k < f->n_depends; k++) {
        struct model_depend *d = &f->depends[k];

        d->order = ++m->next_depend;
        m->futures[d->future].n_pins += (uint32_t)is_pin(f, d);
        if (d->state == 0 && !d->is_gone)
            note_ended(m, d->future);
    }
}

void model_depends_ended(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    for (uint32_t k = 0; k < f->n_depends; k++)
        m->futures[f->depends[k].future].n_pins -= (uint32_t)is_pin(f, &f->depends[k]);
    note_ended(m, i);
}

static int is_wrong(const struct model_future *f, const struct model_depend *d, enum model_at at)
{
    if (f->depend_policy == DEPEND_ON_FINISH)
        return 0;
    if (d->is_gone)
        return 1;
    return f->depend_policy == DEPEND_ON_SUCCESS ? at != AT_SUCCEEDED : at == AT_SUCCEEDED;
}

static void resolve(struct model *m, int i, struct model_depend *d)
{
    static const enum future_state states[] = {[AT_SUCCEEDED] = FUTURE_SUCCEEDED,
                                               [AT_FAILED] = FUTURE_FAILED,
                                               [AT_CANCELLED] = FUTURE_CANCELLED};
    struct model_future *f = &m->futures[i];
    enum model_at at = d->is_gone ? AT_CANCELLED : m->futures[d->future].at;

    if (is_wrong(f, d, at)) {
        f->failed_by = d->future;
        model_take(m, i);
        model_end(m, i, AT_FAILED, 0, REASON_DEPENDENCY_FAILED);
        d->state = d->is_gone ? (enum future_state)DEPEND_GONE : states[at];
        return;
    }
    if (!f->passes_results && !d->is_gone)
        m->futures[d->future].n_pins--;
    d->state = d->is_gone ? (enum future_state)DEPEND_GONE : states[at];
    model_place_again(m, i);
    model_tell(m, i, 0);
}

/* The next edge that can be resolved, in the order in which that is done; NULL: none. */
static struct model_depend *next_gone(struct model *m, int *ret)
{
    struct model_depend *best = NULL;

    for (int i = 0; i < m->n_futures; i++) {
        struct model_future *f = &m->futures[i];

        for (uint32_t k = 0; model_is_here(f) && f->at == AT_BLOCKED && k < f->n_depends; k++)
            if (f->depends[k].is_gone && f->depends[k].state == 0 &&
                (!best || f->depends[k].order < best->order)) {
                best = &f->depends[k];
                *ret = i;
            }
    }
    return best;
}

static struct model_depend *next_of(struct model *m, int upstream, int *ret)
{
    struct model_depend *best = NULL;

    for (int i = 0; i < m->n_futures; i++) {
        struct model_future *f = &m->futures[i];

        for (uint32_t k = 0; model_is_here(f) && f->at == AT_BLOCKED && k < f->n_depends; k++)
            if (f->depends[k].future == upstream && f->depends[k].state == 0 && !f->depends[k].is_gone &&
                (!best || f->depends[k].order < best->order)) {
                best = &f->depends[k];
                *ret = i;
            }
    }
    return best;
}

static int next_ended(const struct model *m, enum durability durability)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (model_is_here(f) && f->end_order && f->durability == durability &&
            (best < 0 || f->end_order < m->futures[best].end_order))
            best = i;
    }
    return best;
}

void model_depend(struct model *m, const uint64_t *commit_seq, uint64_t durable_seq, model_done_fn is_done,
                  const void *arg)
{
    struct model_depend *d;
    int i, u;

    while ((d = next_gone(m, &i))) {
        if (!is_done(arg, i, MODEL_DEPEND + (int)(d - m->futures[i].depends)))
            return;
        resolve(m, i, d);
    }
    for (enum durability durability = DURABILITY_DURABLE; durability <= DURABILITY_EPHEMERAL; durability++)
        while ((u = next_ended(m, durability)) >= 0) {
            if (durability == DURABILITY_DURABLE && (m->futures[u].is_unnoted || commit_seq[u] > durable_seq))
                break;
            while ((d = next_of(m, u, &i))) {
                if (!is_done(arg, i, MODEL_DEPEND + (int)(d - m->futures[i].depends)))
                    return;
                resolve(m, i, d);
            }
            m->futures[u].end_order = 0;
        }
}
