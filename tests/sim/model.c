// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <string.h>

#define MINUTE (60 * NS_PER_S)
#define HOUR   (60 * MINUTE)

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
}

int model_find(const struct model *m, const struct id *id)
{
    for (int i = m->n_futures - 1; i >= 0; i--)
        if (!m->futures[i].is_gone && memcmp(&m->futures[i].id, id, sizeof *id) == 0)
            return i;
    return -1;
}

/* --- waiters */

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

/* Something of future @i has changed, or it has ended: those tied to it may be owed an answer. */
static void tell(struct model *m, int i, int is_end)
{
    m->futures[i].is_changed = 1;
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
        n += !m->futures[i].is_gone && m->futures[i].group == group && m->futures[i].scope / 2 == scope / 2;
    return n;
}

void model_wait_group(struct model *m, int w, int scope, int group, uint32_t expect)
{
    struct model_waiter *waiter = &m->waiters[w];

    waiter->scope = scope;
    waiter->group = group;
    waiter->to_come = expect - MIN(expect, model_group_size(m, scope, group));
    for (int i = 0; i < m->n_futures; i++)
        if (!m->futures[i].is_gone && m->futures[i].group == group && m->futures[i].scope / 2 == scope / 2)
            model_wait(m, w, i);
}

static void edge_free(struct model *m, struct model_edge *edge)
{
    m->futures[edge->future].n_pins--;
    edge->future = -1;
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

/* --- queues: nothing but the array itself */

static int count_ready(const struct model *m, int function)
{
    int n = 0;

    for (int i = 0; i < m->n_futures; i++)
        n += !m->futures[i].is_gone && m->futures[i].at == AT_READY && m->futures[i].function == function;
    return n;
}

static int best_ready(const struct model *m, int function)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i], *b = best < 0 ? NULL : &m->futures[best];

        if (!f->is_gone && f->at == AT_READY && f->function == function &&
            (!b || f->priority > b->priority || (f->priority == b->priority && f->turn < b->turn)))
            best = i; /* of one turn the first: they are in the order of submission */
    }
    return best;
}

/* Scopes with equally good tasks take turns: one that has more, or comes anew, is the last now. */
static void turn_over(struct model *m, const struct model_future *whose)
{
    m->next_turn++;
    for (int i = 0; i < m->n_futures; i++) {
        struct model_future *f = &m->futures[i];

        if (!f->is_gone && f->at == AT_READY && f->function == whose->function &&
            f->priority == whose->priority && f->scope == whose->scope)
            f->turn = m->next_turn;
    }
}

static void make_ready(struct model *m, struct model_future *who)
{
    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (!f->is_gone && f->at == AT_READY && f->function == who->function &&
            f->priority == who->priority && f->scope == who->scope && f != who) {
            who->turn = f->turn;
            who->at = AT_READY;
            return;
        }
    }
    who->at = AT_READY;
    who->turn = ++m->next_turn;
}

static void rotation_remove(struct model *m, int function)
{
    int n = 0;

    for (int k = 0; k < m->n_rotation; k++)
        if (m->rotation[k] != function)
            m->rotation[n++] = m->rotation[k];
    m->n_rotation = n;
}

/* @function stands in the rotation exactly while it has ready tasks. */
static void rotation_fix(struct model *m, int function)
{
    int n = count_ready(m, function), is_in = 0;

    for (int k = 0; k < m->n_rotation; k++)
        is_in |= m->rotation[k] == function;
    if (n > 0 && !is_in)
        m->rotation[m->n_rotation++] = function;
    else if (n == 0 && is_in)
        rotation_remove(m, function);
}

int model_submit(struct model *m, const struct model_future *like)
{
    int i = m->n_futures++;
    struct model_future *f = &m->futures[i];

    *f = *like;
    make_ready(m, f);
    f->label = -1;
    f->is_changed = 1;
    rotation_fix(m, f->function);
    for (int n = 0; n < MODEL_WAITERS; n++) {
        struct model_waiter *w = &m->waiters[n];

        if (!w->is_used || w->to_come == 0 || w->group != f->group || w->scope / 2 != f->scope / 2)
            continue;
        model_wait(m, n, i);
        w->to_come--;
    }
    return i;
}

int model_claim(struct model *m, int worker, uint32_t eligible, int max, int n, int *ret)
{
    int mine[MODEL_FUNCTIONS], n_mine = 0, got = 0;

    for (int k = 0; k < m->n_rotation && n_mine < max; k++)
        if (eligible >> m->rotation[k] & 1)
            mine[n_mine++] = m->rotation[k];
    for (int k = 0; k < n_mine; k++)
        rotation_remove(m, mine[k]);
    while (n_mine > 0 && got < n) {
        int function = mine[0], i = best_ready(m, function);

        memmove(mine, mine + 1, (size_t)--n_mine * sizeof *mine);
        m->futures[i].at = AT_RESERVED;
        turn_over(m, &m->futures[i]);
        m->futures[i].worker = worker;
        m->futures[i].n_claims++;
        ret[got++] = i;
        if (count_ready(m, function) > 0)
            mine[n_mine++] = function;
    }
    for (int k = 0; k < n_mine; k++)
        m->rotation[m->n_rotation++] = mine[k];
    return got;
}

/* --- the life of one task */

static void finish(struct model *m, int i, enum model_at at, int32_t result, enum future_reason reason)
{
    static const int64_t defaults[] = {
            [AT_SUCCEEDED] = 24 * HOUR, [AT_FAILED] = 168 * HOUR, [AT_CANCELLED] = 168 * HOUR};
    struct model_future *f = &m->futures[i];
    int was_ready = f->at == AT_READY;

    f->at = at;
    f->result = result;
    f->reason = reason;
    f->end_time = m->wall;
    f->expire_time = m->wall + (f->retention_ns >= 0                    ? f->retention_ns
                                : f->durability == DURABILITY_EPHEMERAL ? 10 * MINUTE
                                                                        : defaults[at]);
    if (was_ready)
        rotation_fix(m, f->function);
    tell(m, i, 1);
}

static void go_back(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    make_ready(m, f);
    rotation_fix(m, f->function);
}

void model_start(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->at == AT_RUNNING)
        return;
    f->at = AT_RUNNING;
    f->n_attempts++;
    tell(m, i, 0);
}

void model_finish(struct model *m, int i, int is_error, int32_t result)
{
    model_start(m, i);
    if (!is_error)
        finish(m, i, AT_SUCCEEDED, result, REASON_NONE);
    else if (m->futures[i].is_cancel)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        finish(m, i, AT_FAILED, 0, REASON_FUNCTION_ERROR);
}

void model_release(struct model *m, int i)
{
    if (m->futures[i].is_cancel)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        go_back(m, i);
}

void model_lose(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->at == AT_RESERVED) {
        model_release(m, i);
    } else if (f->is_cancel) {
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    } else if (f->on_lost == ON_LOST_FAIL) {
        finish(m, i, AT_FAILED, 0, REASON_OUTCOME_UNKNOWN);
    } else if (f->n_losses == 3) {
        finish(m, i, AT_FAILED, 0, REASON_WORKER_LOST);
    } else {
        f->n_losses++;
        go_back(m, i);
        tell(m, i, 0);
    }
}

void model_cancel(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (model_is_terminal(f) || f->is_cancel)
        return;
    f->is_cancel = 1;
    if (f->at == AT_READY)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        tell(m, i, 0);
}

void model_annotate(struct model *m, int i, int label)
{
    m->futures[i].label = label;
    tell(m, i, 0);
}
