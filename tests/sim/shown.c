// SPDX-License-Identifier: Apache-2.0
#include "shown.h"

#include "world.h"

#include <inttypes.h>
#include <string.h>

/* From what the engine has, not from what the model believes. */
static struct shown_future look(const struct future *f)
{
    static const enum model_at states[] = {
            [FUTURE_PENDING] = AT_READY, [FUTURE_RUNNING] = AT_RUNNING,     [FUTURE_SUCCEEDED] = AT_SUCCEEDED,
            [FUTURE_FAILED] = AT_FAILED, [FUTURE_CANCELLED] = AT_CANCELLED,
    };
    struct shown_future s = {.is_shown = 1, .revision = f->revision, .state = states[f->state], .label = -1};

    for (const struct attempt *a = f->attempts; a; a = a->next)
        s.n_attempts++;
    s.end_time = future_end_time(f);
    s.retried_by = future_retried_by(f) ? id_key(future_retried_by(f)) : 0;
    if (f->outcome && f->outcome->error)
        s.reason = f->outcome->error->reason;
    if (f->outcome && f->outcome->data)
        memcpy(&s.result, f->outcome->data->data, sizeof s.result);
    if (f->labels)
        memcpy(&s.label, f->labels->at[0].value.p, sizeof s.label);
    if (future_told(f))
        memcpy(s.n_told, future_told(f)->n_bytes, sizeof s.n_told);
    return s;
}

/* @is may be shown to who has seen @was. */
static void check(const struct shown_future *was, const struct shown_future *is)
{
    /* one that ran may have been taken back, with a worker that was lost by the fault of another task */
    ASSERT(is->revision >= was->revision && is->n_attempts + (was->state == AT_RUNNING) >= was->n_attempts);
    if (is->revision == was->revision)
        ASSERT(is->state == was->state && is->label == was->label && is->n_attempts == was->n_attempts);
    ASSERT(is->n_told[0] >= was->n_told[0] && is->n_told[1] >= was->n_told[1]);
    ASSERT(!was->retried_by || is->retried_by == was->retried_by);
    if (was->state < AT_SUCCEEDED)
        return;
    ASSERT(is->state == was->state && is->result == was->result && is->reason == was->reason);
    ASSERT(is->end_time == was->end_time && is->n_attempts == was->n_attempts);
}

static void give(struct world *w, const struct shown_reply *r)
{
    struct shown_future *seen = &w->shown.futures[r->i];

    if (r->is_deleted) {
        w->shown.is_deleted[r->i] = 1;
        return;
    }
    if (w->shown.is_deleted
                [r->i]) /* it was deleted while it was new; the answer to that did not have to wait */
        return;
    if (seen->is_shown)
        check(seen, &r->future);
    *seen = r->future;
}

static void reply(struct world *w, const struct shown_reply *r)
{
    struct shown *s = &w->shown;

    if (r->seq <= w->durable_seq) {
        give(w, r);
    } else {
        if (s->n_replies == SHOWN_REPLIES) /* this client does not wait */
            memmove(s->replies, s->replies + 1, --s->n_replies * sizeof *r);
        s->replies[s->n_replies++] = *r;
    }
}

void shown_future(struct world *w, int i)
{
    struct future *f = world_future(w, i);
    struct shown_reply r = {.seq = engine_shown(w->e, f), .i = i, .future = look(f)};

    w->model.is_urgent |= r.seq == w->last_seq + 1;
    w->model.futures[i].is_now |=
            w->is_fact[i] || w->model.futures[i].is_changed || w->model.futures[i].is_unnoted;
    reply(w, &r);
}

void shown_deleted(struct world *w, int i)
{
    struct shown_reply r = {.seq = engine_deleted_seq(w->e), .i = i, .is_deleted = 1};

    ASSERT(r.seq == w->deleted_seq);
    reply(w, &r);
}

void shown_release(struct world *w, uint64_t seq)
{
    struct shown *s = &w->shown;
    uint32_t n = 0;

    for (uint32_t k = 0; k < s->n_replies; k++)
        if (s->replies[k].seq <= seq)
            give(w, &s->replies[k]);
        else
            s->replies[n++] = s->replies[k];
    s->n_replies = n;
}

void shown_restart(struct world *w)
{
    struct shown *s = &w->shown;

    s->n_replies = 0;
    for (int i = 0; i < w->model.n_futures; i++) {
        const struct shown_future *seen = &s->futures[i];
        const struct model_future *m = &w->model.futures[i];
        int is_kept = w->model.kept[i].is_stored && !w->model.kept[i].is_deleted;

        if (s->is_deleted[i])
            ASSERT(!is_kept);
        else if (seen->is_shown && m->durability == DURABILITY_DURABLE && !m->is_deleted)
            ASSERT(is_kept && m->revision >= seen->revision && m->n_told[0] >= seen->n_told[0] &&
                   m->n_told[1] >= seen->n_told[1] && (seen->state < AT_SUCCEEDED || m->at == seen->state));
    }
}
