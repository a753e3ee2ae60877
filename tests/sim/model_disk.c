// SPDX-License-Identifier: Apache-2.0
/* What the disk has, and what a start makes of it. */
#include "base/err.h"
#include "model_parts.h"

#include <stdlib.h>
#include <string.h>

static struct model_copy *next_copy(struct model *m, uint64_t seq)
{
    if (m->n_copies == m->cap_copies) {
        m->cap_copies = m->cap_copies ? 2 * m->cap_copies : 256;
        m->copies = realloc(m->copies, (size_t)m->cap_copies * sizeof *m->copies);
        ASSERT(m->copies);
    }
    m->copies[m->n_copies] = (struct model_copy){.seq = seq, .i = -1};
    return &m->copies[m->n_copies++];
}

void model_commit(struct model *m, int i, uint64_t seq)
{
    struct model_copy *copy = next_copy(m, seq);

    m->futures[i].is_stored = 1;
    copy->i = i;
    copy->future = m->futures[i];
}

void model_commit_functions(struct model *m, uint64_t seq)
{
    next_copy(m, seq)->n_functions = m->n_functions;
}

void model_kept(struct model *m, uint64_t seq)
{
    int n = 0;

    while (n < m->n_copies && m->copies[n].seq <= seq) {
        if (m->copies[n].i < 0)
            m->n_functions_kept = m->copies[n].n_functions;
        else
            m->kept[m->copies[n].i] = m->copies[n].future;
        n++;
    }
    m->n_copies -= n;
    if (n > 0)
        memmove(m->copies, m->copies + n, (size_t)m->n_copies * sizeof *m->copies);
}

void model_out(struct model *m, int i)
{
    m->futures[i].is_out = 1;
}

void model_loaded(struct model *m, int i)
{
    /* who had expired, and is back because the clock was set back, may find its key with another */
    if (m->futures[i].is_gone && m->futures[i].key &&
        model_holder(m, m->futures[i].scope, m->futures[i].key) >= 0)
        m->futures[i].key = 0;
    m->futures[i].is_out = m->futures[i].is_gone = 0;
    m->futures[i].n_overdue = 0;
    m->futures[i].join_order = 0; /* it names its group, but is not in the list: the store's index has it */
}

/* What a start makes of a future that had not ended; in the order of IDs. */
static void go_on(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];
    int must_lose = f->at == AT_RUNNING || (f->is_armed && f->on_lost == ON_LOST_FAIL);

    if (must_lose)
        f->at = AT_RUNNING;
    if (must_lose)
        model_lose_attempt(m, i);
    else if (f->is_cancel)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    if (model_is_terminal(f))
        return;
    f->is_armed = 0;
    if (f->at != AT_READY)
        model_queue(m, f);
    model_rotate(m, f->function);
}

void model_restart(struct model *m)
{
    memset(m->waiters, 0, sizeof m->waiters);
    memset(m->workers, 0, sizeof m->workers);
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
    m->n_copies = m->n_rotation = 0;
    m->is_urgent = m->is_all = 0;
    m->commit_by = m->lazy_by = CLOCK_NEVER;
    m->n_functions = m->n_functions_kept;
    for (int i = 0; i < m->n_futures; i++) {
        struct model_future *f = &m->futures[i];
        struct model_future was = *f;

        if (!m->kept[i].is_stored || m->kept[i].is_deleted) {
            f->is_gone = 1;
            f->is_out = 0;
            f->is_stored = m->kept[i].is_stored;
            f->is_deleted = m->kept[i].is_deleted;
            continue;
        }
        *f = m->kept[i];
        f->n_pins = f->n_overdue = 0;
        f->worker = -1;
        f->claim_epoch = was.claim_epoch;
        f->claim_number = was.claim_number;
        f->was_due = model_is_terminal(f) && (was.was_due || f->expire_time <= m->wall);
        f->is_gone = f->was_due;
        f->is_out = model_is_terminal(f);
        f->is_changed = 0;
        if (f->at < AT_RUNNING)
            f->at = AT_ARMED; /* that is, in no queue yet */
    }
    for (int i = 0; i < m->n_futures; i++)
        if (model_is_here(&m->futures[i])) {
            model_join(m, i);
            go_on(m, i);
        }
}
