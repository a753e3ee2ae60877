// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define ACCEPT_WAIT NS_PER_MS /* so long an acceptance may wait for its commit */
#define MINUTE      (60 * NS_PER_S)
#define HOUR        (60 * MINUTE)

void model_init(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->commit_by = CLOCK_NEVER;
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
}

void model_deinit(struct model *m)
{
    free(m->copies);
}

int model_find(const struct model *m, const struct id *id)
{
    for (int i = m->n_futures - 1; i >= 0; i--)
        if (model_is_here(&m->futures[i]) && memcmp(&m->futures[i].id, id, sizeof *id) == 0)
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

/* Something of future @i has changed that nobody need know of yet. */
static void note(struct model *m, int i, int is_lazy)
{
    m->futures[i].is_changed = 1;
    if (m->futures[i].durability == DURABILITY_DURABLE && (!is_lazy || !m->has_store))
        m->is_urgent = 1;
}

/* Those who are tied to future @i, which has changed or come to its end, may be owed an answer. */
static void fire(struct model *m, int i, int is_end)
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

static void tell(struct model *m, int i, int is_end)
{
    note(m, i, 0);
    fire(m, i, is_end);
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
        n += model_is_here(&m->futures[i]) && m->futures[i].at == AT_READY &&
             m->futures[i].function == function;
    return n;
}

static int best_ready(const struct model *m, int function)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i], *b = best < 0 ? NULL : &m->futures[best];

        if (model_is_here(f) && f->at == AT_READY && f->function == function &&
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

        if (model_is_here(f) && f->at == AT_READY && f->function == whose->function &&
            f->priority == whose->priority && f->scope == whose->scope)
            f->turn = m->next_turn;
    }
}

static void make_ready(struct model *m, struct model_future *who)
{
    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (model_is_here(f) && f->at == AT_READY && f->function == who->function &&
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

/* @i joins its group; who waits for members gets an edge. */
static void join(struct model *m, int i)
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

int model_submit(struct model *m, const struct model_future *like)
{
    int i = m->n_futures++;
    struct model_future *f = &m->futures[i];

    *f = *like;
    make_ready(m, f);
    f->label = -1;
    note(m, i, 1);
    if (f->durability == DURABILITY_DURABLE && m->commit_by == CLOCK_NEVER)
        m->commit_by = m->mono + ACCEPT_WAIT;
    rotation_fix(m, f->function);
    join(m, i);
    return i;
}

/* Whether the disk must know that it is about to start before it may. */
static int must_arm(const struct model *m, const struct model_future *f)
{
    return m->has_store && f->durability == DURABILITY_DURABLE && f->on_lost == ON_LOST_FAIL && !f->is_armed;
}

static void arm(struct model *m, int i)
{
    m->futures[i].at = AT_ARMED;
    m->futures[i].is_armed = 1;
    m->futures[i].arm_order = ++m->next_arm;
    tell(m, i, 0);
}

int model_claim(struct model *m, int worker, uint32_t eligible, int max, int n, const uint8_t *is_armed,
                int *ret)
{
    int mine[MODEL_FUNCTIONS], n_mine = 0, got = 0, n_armed = 0;

    for (int k = 0; k < m->n_rotation && n_mine < max; k++)
        if (eligible >> m->rotation[k] & 1)
            mine[n_mine++] = m->rotation[k];
    for (int k = 0; k < n_mine; k++)
        rotation_remove(m, mine[k]);
    while (n_mine > 0 && got + n_armed < max) {
        int function = mine[0], i = best_ready(m, function), must = must_arm(m, &m->futures[i]);

        if (must ? is_armed && !is_armed[i] : got == n)
            break;
        memmove(mine, mine + 1, (size_t)--n_mine * sizeof *mine);
        if (must) {
            arm(m, i);
            n_armed++;
        } else {
            m->futures[i].at = AT_RESERVED;
            turn_over(m, &m->futures[i]);
            m->futures[i].worker = worker;
            m->futures[i].n_claims++;
            ret[got++] = i;
        }
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

void model_durable(struct model *m, const uint64_t *commit_seq, uint64_t seq)
{
    for (;;) { /* the newest first, because each goes to the head */
        int last = -1;

        for (int i = 0; i < m->n_futures; i++)
            if (model_is_here(&m->futures[i]) && m->futures[i].at == AT_ARMED && commit_seq[i] <= seq &&
                (last < 0 || m->futures[i].arm_order > m->futures[last].arm_order))
                last = i;
        if (last < 0)
            return;
        go_back(m, last);
    }
}

void model_start(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->at == AT_RUNNING)
        return;
    f->at = AT_RUNNING;
    f->n_attempts++;
    note(m, i, 1);
    fire(m, i, 0);
}

void model_finish(struct model *m, int i, int is_error, int32_t result, uint32_t result_bytes)
{
    model_start(m, i);
    m->futures[i].result_bytes = result_bytes;
    if (!is_error)
        finish(m, i, AT_SUCCEEDED, result, REASON_NONE);
    else if (m->futures[i].is_cancel)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        finish(m, i, AT_FAILED, 0, REASON_FUNCTION_ERROR);
}

void model_release(struct model *m, int i, int is_disarmed)
{
    if (m->futures[i].is_cancel) {
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
        return;
    }
    go_back(m, i);
    if (is_disarmed && m->futures[i].is_armed) {
        m->futures[i].is_armed = 0;
        note(m, i, 1);
        fire(m, i, 0);
    }
}

/* Its attempt, or what may have been one, is lost. */
static void lose(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (f->is_cancel)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else if (f->on_lost == ON_LOST_FAIL)
        finish(m, i, AT_FAILED, 0, REASON_OUTCOME_UNKNOWN);
    else if (f->n_losses == 3)
        finish(m, i, AT_FAILED, 0, REASON_WORKER_LOST);
    else {
        f->n_losses++;
        go_back(m, i);
        tell(m, i, 0);
    }
}

void model_lose(struct model *m, int i)
{
    if (m->futures[i].at == AT_RESERVED)
        model_release(m, i, 1);
    else
        lose(m, i);
}

void model_cancel(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    if (model_is_terminal(f) || f->is_cancel)
        return;
    f->is_cancel = 1;
    if (f->at == AT_READY || f->at == AT_ARMED)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    else
        tell(m, i, 0);
}

void model_annotate(struct model *m, int i, int label)
{
    m->futures[i].label = label;
    tell(m, i, 0);
}

/* --- keys */

int model_holder(const struct model *m, int scope, int key)
{
    for (int i = m->n_futures - 1; i >= 0;
         i--) /* the newest: what has expired on the disk has no key any more */
        if (!m->futures[i].is_gone && m->futures[i].key == key && m->futures[i].scope / 2 == scope / 2)
            return i;
    return -1;
}

void model_give_up(struct model *m, int i)
{
    m->futures[i].key = 0;
    tell(m, i, 0);
}

/* --- what the disk has */

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
        lose(m, i);
    else if (f->is_cancel)
        finish(m, i, AT_CANCELLED, 0, REASON_CANCELLED);
    if (model_is_terminal(f))
        return;
    f->is_armed = 0;
    if (f->at != AT_READY)
        make_ready(m, f);
    rotation_fix(m, f->function);
}

void model_restart(struct model *m)
{
    memset(m->waiters, 0, sizeof m->waiters);
    memset(m->workers, 0, sizeof m->workers);
    for (int w = 0; w < MODEL_WAITERS; w++)
        for (int k = 0; k < MODEL_EDGES; k++)
            m->waiters[w].edges[k].future = -1;
    m->n_copies = m->n_rotation = 0;
    m->is_urgent = 0;
    m->commit_by = CLOCK_NEVER;
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
            join(m, i);
            go_on(m, i);
        }
}
