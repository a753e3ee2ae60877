// SPDX-License-Identifier: Apache-2.0
/* Queues: nothing but the array itself. */
#include "base/err.h"
#include "model_parts.h"

#include <string.h>

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

void model_queue(struct model *m, struct model_future *who)
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
void model_rotate(struct model *m, int function)
{
    int n = count_ready(m, function), is_in = 0;

    for (int k = 0; k < m->n_rotation; k++)
        is_in |= m->rotation[k] == function;
    if (n > 0 && !is_in)
        m->rotation[m->n_rotation++] = function;
    else if (n == 0 && is_in)
        rotation_remove(m, function);
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
    model_tell(m, i, 0);
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

void model_go_back(struct model *m, int i)
{
    struct model_future *f = &m->futures[i];

    model_queue(m, f);
    model_rotate(m, f->function);
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
        model_go_back(m, last);
    }
}
