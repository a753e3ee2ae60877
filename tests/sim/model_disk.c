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
    struct model_copy *copy = next_copy(m, seq);

    copy->n_functions = m->n_functions;
    for (int k = 0; k < MODEL_FUNCTIONS; k++)
        copy->set[k] = m->functions[k].set;
}

void model_kept(struct model *m, uint64_t seq)
{
    int n = 0;

    for (; n < m->n_copies && m->copies[n].seq <= seq; n++) {
        const struct model_copy *copy = &m->copies[n];

        if (copy->i >= 0) {
            m->kept[copy->i] = copy->future;
        } else {
            m->n_functions_kept = copy->n_functions;
            memcpy(m->set_kept, copy->set, sizeof m->set_kept);
        }
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
    m->futures[i].end_order = 0;
    m->futures[i].join_order = 0; /* it names its group, but is not in the list: the store's index has it */
}

/* What @f depends on and has ended comes back before it, if it is @on_disk. */
static void find_upstreams(struct model *m, struct model_future *f, const uint8_t *on_disk)
{
    for (uint32_t k = 0; k < f->n_depends; k++) {
        struct model_depend *d = &f->depends[k];
        struct model_future *u = &m->futures[d->future];

        if ((d->state != 0 && !f->passes_results) || model_is_here(u))
            continue;
        d->is_gone = !on_disk[d->future];
        if (d->is_gone)
            ASSERT(u->was_due); /* else the disk would have had it */
        else
            model_loaded(m, d->future);
    }
}

/* What a start makes of a future that had not ended; in the order of IDs. */
static void go_on(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];
    int was_running = f->at == AT_RUNNING;

    f->at = AT_NOWHERE;
    if (was_running || (f->is_armed && f->on_lost == ON_LOST_FAIL))
        model_lose_attempt(m, i, 0, was_running ? LOSS_OF_WORKER : LOSS_UNSTARTED);
    else if (f->is_cancel)
        model_end(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        model_place(m, i, 0);
}

/* From a copy, without what only a running daemon knows. */
static void restore(const struct model *m, struct model_future *f, const struct model_future *kept)
{
    struct model_future was = *f;

    *f = *kept;
    f->n_pins = f->n_search_pins = f->n_overdue = 0;
    f->worker = -1;
    f->claim_epoch = was.claim_epoch;
    f->claim_number = was.claim_number;
    f->was_due = model_is_terminal(f) && (was.was_due || f->expire_time <= m->wall);
    f->is_gone = f->was_due;
    f->is_out = model_is_terminal(f);
    f->is_changed = f->is_unnoted = f->is_now = f->is_overdue = f->is_cancelled_alone = 0;
    f->abandoned = f->end_order = 0;
    f->stop = STOP_NOT;
    if (f->next_try <= m->wall || !f->retry.max_attempts)
        f->next_try = 0;
    f->next_try_mono = m->mono + MIN(f->next_try - m->wall, 2 * f->retry.max_backoff_ns);
}

static void restart_functions(struct model *m)
{
    m->n_functions = m->n_functions_kept;
    for (int k = 0; k < MODEL_FUNCTIONS; k++) {
        m->functions[k] = (struct model_function){.set = m->set_kept[k]};
        model_limits_changed(m, k);
    }
    for (int k = 0; k < MODEL_SLOTS; k++)
        m->candidates[k] = -1;
}

void model_restart(struct model *m, const uint8_t *on_disk)
{
    uint8_t is_live[MODEL_FUTURES] = {0};

    memset(m->waiters, 0, sizeof m->waiters);
    memset(m->workers, 0, sizeof m->workers);
    memset(m->must_revoke, 0, sizeof m->must_revoke);
    memset(m->must_work, 0, sizeof m->must_work);
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
    m->n_copies = m->n_rotation = 0;
    m->is_urgent = m->is_all = m->is_staying = 0;
    m->commit_by = m->lazy_by = m->told_by = CLOCK_NEVER;
    for (int i = 0; i < m->n_futures; i++) {
        struct model_future *f = &m->futures[i];

        if (m->kept[i].is_stored && !m->kept[i].is_deleted) {
            restore(m, f, &m->kept[i]);
            is_live[i] = model_is_here(f) != 0;
            f->is_gone |= is_live[i]; /* not yet */
            continue;
        }
        f->is_gone = 1;
        f->is_out = 0;
        f->is_stored = m->kept[i].is_stored;
        f->is_deleted = m->kept[i].is_deleted;
    }
    restart_functions(m);
    for (int i = 0; i < m->n_futures; i++)
        if (is_live[i]) {
            m->futures[i].is_gone = 0;
            find_upstreams(m, &m->futures[i], on_disk);
            model_join(m, i);
            model_tie(m, i);
            go_on(m, i);
        }
}
