// SPDX-License-Identifier: Apache-2.0
/* Where a PENDING future waits, and queues: nothing but the array itself. */
#include "base/err.h"
#include "model_parts.h"

#include <string.h>

static int is_ready(const struct model_future *f, int function)
{
    return model_is_here(f) && f->at == AT_READY && f->function == function;
}

static int count_ready(const struct model *m, int function)
{
    int n = 0;

    for (int i = 0; i < m->n_futures; i++)
        n += is_ready(&m->futures[i], function);
    return n;
}

/* Whether @b is before @a, by priority, by whose turn it is, by the place there. */
static int is_better(const struct model_future *b, const struct model_future *a)
{
    if (b->priority != a->priority)
        return b->priority > a->priority;
    return b->turn != a->turn ? b->turn < a->turn : b->in_lane < a->in_lane;
}

static int best_ready(const struct model *m, int function)
{
    int best = -1;

    for (int i = 0; i < m->n_futures; i++)
        if (is_ready(&m->futures[i], function) && (best < 0 || is_better(&m->futures[i], &m->futures[best])))
            best = i;
    return best;
}

static int is_neighbour(const struct model_future *f, const struct model_future *who)
{
    return f != who && is_ready(f, who->function) && f->priority == who->priority && f->lane == who->lane;
}

/* Lanes with equally good tasks take turns: one that has more, or comes anew, is the last now. */
static void turn_over(struct model *m, const struct model_future *whose)
{
    m->next_turn++;
    for (int i = 0; i < m->n_futures; i++)
        if (is_neighbour(&m->futures[i], whose))
            m->futures[i].turn = m->next_turn;
}

/* To the end of its lane; @is_back: in front of the first that was submitted later. */
static void enter(struct model *m, struct model_future *who, int is_back)
{
    const struct model_future *next = NULL;
    int64_t turn = 0;
    int last = 0;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *f = &m->futures[i];

        if (!is_neighbour(f, who))
            continue;
        turn = f->turn;
        last = MAX(last, f->in_lane);
        if (is_back && f > who && (!next || f->in_lane < next->in_lane))
            next = f;
    }
    who->at = AT_READY;
    who->turn = turn ? turn : ++m->next_turn;
    who->in_lane = next ? next->in_lane : last + 1;
    for (int i = 0; next && i < m->n_futures; i++)
        if (is_neighbour(&m->futures[i], who) && m->futures[i].in_lane >= who->in_lane)
            m->futures[i].in_lane++;
}

static void rotation_remove(struct model *m, int function)
{
    int n = 0;

    for (int k = 0; k < m->n_rotation; k++)
        if (m->rotation[k] != function)
            m->rotation[n++] = m->rotation[k];
    m->n_rotation = n;
}

void model_rotate(struct model *m, int function)
{
    int must_be_in = !m->functions[function].is_closed && count_ready(m, function) > 0, is_in = 0;

    for (int k = 0; k < m->n_rotation; k++)
        is_in |= m->rotation[k] == function;
    if (must_be_in && !is_in)
        m->rotation[m->n_rotation++] = function;
    else if (!must_be_in && is_in)
        rotation_remove(m, function);
}

int model_has_ready(const struct model *m, int function)
{
    return count_ready(m, function) > 0;
}

/* --- places */

static enum model_at belongs(const struct model *m, const struct model_future *f)
{
    for (uint32_t k = 0; k < f->n_depends; k++)
        if (f->depends[k].state == 0)
            return AT_BLOCKED;
    if (f->not_before > m->wall || (f->deadline && f->deadline <= m->wall))
        return AT_DELAYED; /* one whose deadline has come ends soon */
    return f->next_try ? AT_BACKOFF : AT_READY;
}

void model_place(struct model *m, int i, int is_back)
{
    struct model_future *f = &m->futures[i];

    f->at = belongs(m, f);
    if (f->at == AT_READY) {
        enter(m, f, is_back);
        model_rotate(m, f->function);
        m->must_work[f->function] = 1;
    } else if (f->is_armed) { /* it is not about to start any more */
        f->is_armed = 0;
        model_note(m, i, 1);
        model_fire(m, i, 0);
    }
}

void model_take(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];
    enum model_at at = f->at;

    if (at == AT_PARKED)
        f->at = AT_NOWHERE;
    model_slot_leave(m, i);
    f->at = AT_NOWHERE;
    model_rotate(m, f->function);
    if (at == AT_ARMED)
        model_judge(m, f->function);
}

void model_place_again(struct model *m, int i)
{
    enum model_at at = m->futures[i].at, to = belongs(m, &m->futures[i]);

    if (at > AT_BLOCKED || at == AT_ARMED || at == to || (at == AT_PARKED && to == AT_READY))
        return;
    model_take(m, i);
    model_place(m, i, 1);
}

/* --- claims */

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
    model_tell(m, i, 0);
}

static void reserve(struct model *m, int i, int worker)
{
    struct model_future *f = &m->futures[i];

    f->at = AT_RESERVED;
    turn_over(m, f);
    f->worker = worker;
    f->n_claims++;
    f->claimed_at = m->mono;
    f->term_at = f->kill_at = CLOCK_NEVER;
    f->stop = STOP_NOT;
    f->is_past_timeout = f->is_past_deadline = 0;
    model_slot_take(m, i);
    model_start_counts(m, i);
}

/* The best of @function that does not wait for another's slot; who does is parked. -1 = none is left. */
static int best_free(struct model *m, int function)
{
    int i;

    while ((i = best_ready(m, function)) >= 0 && model_slot_holder(m, m->futures[i].slot) >= 0)
        model_slot_park(m, i);
    return i;
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
        int function = mine[0], i = best_free(m, function), must = i >= 0 && must_arm(m, &m->futures[i]);

        if (i >= 0 && (must ? is_armed && !is_armed[i] : got == n))
            break;
        memmove(mine, mine + 1, (size_t)--n_mine * sizeof *mine);
        if (must) {
            arm(m, i);
            n_armed++;
        } else if (i >= 0) {
            reserve(m, i, worker);
            ret[got++] = i;
        }
        model_judge_apart(m, function);
        if (!m->functions[function].is_closed && count_ready(m, function) > 0)
            mine[n_mine++] = function;
    }
    for (int k = 0; k < n_mine; k++)
        m->rotation[m->n_rotation++] = mine[k];
    return got;
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
        m->futures[last].at = AT_NOWHERE;
        model_judge(m, m->futures[last].function);
        model_place(m, last, 1);
    }
}
