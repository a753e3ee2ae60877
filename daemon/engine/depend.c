// SPDX-License-Identifier: Apache-2.0
#include "engine/depend.h"

#include "base/mem.h"
#include "engine/place.h"
#include "engine/restore.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <stdio.h>

void depend_set_init(struct depend_set *s)
{
    *s = (struct depend_set){0};
    for (size_t i = 0; i < ARRAY_LEN(s->ended); i++)
        list_init(&s->ended[i]);
    list_init(&s->pinned);
    list_init(&s->gone);
}

uint64_t depend_bytes(const struct depend *depend)
{
    return depend ? sizeof *depend + depend->n * sizeof depend->at[0] + LIMITS_MALLOC_BYTES : 0;
}

uint64_t depend_upstream_bytes(const struct upstream *upstream)
{
    return upstream ? sizeof *upstream + LIMITS_MALLOC_BYTES : 0;
}

void depend_free(struct depend *depend)
{
    if (depend)
        list_del(&depend->gone);
    mem_free(depend);
}

void depend_upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    ASSERT(list_is_empty(&upstream->dependents) && upstream->n_edges == 0);
    list_del(&upstream->ended);
    mem_free(upstream);
}

int depend_is_open(const struct future *f)
{
    return f->rare && f->rare->depend && f->rare->depend->n_open > 0;
}

/* --- making */

static struct depend *depend_new(struct future *f, uint32_t n)
{
    struct depend *d = mem_zalloc(sizeof *d + n * sizeof d->at[0]);

    if (!d)
        return NULL;
    d->future = f;
    d->n = n;
    list_init(&d->gone);
    for (uint32_t i = 0; i < n; i++) {
        d->at[i].depend = d;
        list_init(&d->at[i].of_upstream);
    }
    f->rare->depend = d;
    return d;
}

/* @f can be depended on. It may have ended. */
static int make_upstream(struct engine *e, struct future *f)
{
    struct upstream *u;

    if (f->rare && f->rare->upstream)
        return 0;
    if (!turn_rare(e, f))
        return -ENOMEM;
    u = mem_zalloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    list_init(&u->dependents);
    list_init(&u->ended);
    list_init(&u->pinned);
    u->future = f;
    f->rare->upstream = u;
    limits_charge(&e->account, f->scope, depend_upstream_bytes(u));
    cache_resize(e, f, 0, depend_upstream_bytes(u));
    return 0;
}

int depend_make(struct engine *e, struct future *f, const struct engine_submit *in)
{
    struct depend *d = depend_new(f, in->n_upstreams);

    if (!d)
        return -ENOMEM;
    d->policy = (uint8_t)in->depend_policy;
    d->passes_results = in->passes_results != 0;
    d->n_open = d->n;
    for (uint32_t i = 0; i < d->n; i++) {
        ASSERT(in->durability == DURABILITY_EPHEMERAL || in->upstreams[i]->durability == DURABILITY_DURABLE);
        if (make_upstream(e, in->upstreams[i]) < 0)
            return -ENOMEM;
        d->at[i].upstream = in->upstreams[i];
        d->at[i].id = in->upstreams[i]->id;
    }
    return 0;
}

int depend_restore(struct engine *e, struct future *f, const struct restored *in)
{
    struct depend *d = depend_new(f, in->n_depends);

    if (!d)
        return -ENOMEM;
    d->policy = (uint8_t)in->depend_policy;
    d->passes_results = in->passes_results != 0;
    for (uint32_t i = 0; i < d->n; i++) {
        struct depend_edge *edge = &d->at[i];

        edge->id = in->depends[i].id;
        edge->state = in->depends[i].state;
        if (in->state >= FUTURE_SUCCEEDED)
            continue;
        d->n_open += edge->state == 0;
        if (edge->state == 0 || d->passes_results)
            edge->upstream = engine_find_any(e, &edge->id);
        if (edge->upstream && make_upstream(e, edge->upstream) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* --- tying */

static void note_ended(struct engine *e, struct future *f)
{
    struct upstream *u = f->rare->upstream;

    if (!list_is_empty(&u->dependents) && !list_is_linked(&u->ended))
        list_push_back(&e->depends.ended[f->durability], &u->ended);
}

static void pin(struct engine *e, struct future *f)
{
    struct upstream *u = f->rare->upstream;

    engine_pin(e, f);
    if (u->n_edges++ == 0)
        list_push_back(&e->depends.pinned, &u->pinned);
}

static void unpin(struct engine *e, struct future *f)
{
    struct upstream *u = f->rare->upstream;

    if (--u->n_edges == 0)
        list_del(&u->pinned);
    engine_unpin(e, f);
}

void depend_tie(struct engine *e, struct future *f)
{
    struct depend *d = f->rare->depend;

    for (uint32_t i = 0; i < d->n; i++) {
        struct depend_edge *edge = &d->at[i];

        if (edge->upstream)
            pin(e, edge->upstream);
        if (edge->state != 0)
            continue;
        if (!edge->upstream) {
            if (!list_is_linked(&d->gone))
                list_push_back(&e->depends.gone, &d->gone);
            continue;
        }
        list_push_back(&edge->upstream->rare->upstream->dependents, &edge->of_upstream);
        if (future_is_terminal(edge->upstream))
            note_ended(e, edge->upstream);
    }
}

static void let_go(struct engine *e, struct depend_edge *edge)
{
    struct future *f = TAKE_PTR(edge->upstream);

    list_del(&edge->of_upstream);
    if (f)
        unpin(e, f);
}

void depend_untie(struct engine *e, struct future *f)
{
    struct depend *d = f->rare ? f->rare->depend : NULL;

    for (uint32_t i = 0; d && i < d->n; i++)
        let_go(e, &d->at[i]);
    if (d) {
        d->n_open = 0;
        list_del(&d->gone);
    }
}

void depend_settled(struct engine *e, struct future *f)
{
    depend_untie(e, f);
    if (f->rare->upstream)
        note_ended(e, f);
}

/* --- propagation */

static int is_wrong(const struct depend *d, enum future_state state)
{
    switch ((enum depend_policy)d->policy) {
    case DEPEND_ON_SUCCESS: return state != FUTURE_SUCCEEDED;
    case DEPEND_ON_FAILURE: return state != FUTURE_FAILED && state != FUTURE_CANCELLED;
    case DEPEND_ON_FINISH: break;
    }
    return 0;
}

static struct future_error *wrong_error(const struct depend_edge *edge, uint8_t state)
{
    static const char *const words[] = {[FUTURE_SUCCEEDED] = "succeeded",
                                        [FUTURE_FAILED] = "failed",
                                        [FUTURE_CANCELLED] = "was cancelled",
                                        [DEPEND_GONE] = "is not known any more"};
    char id[ID_TEXT_LEN + 1], text[160];
    int n;

    id_format(&edge->id, id);
    n = snprintf(text, sizeof text, "the future %s, on which it depends, %s", id, words[state]);
    return future_error_new(&(struct future_error){
            .code = 9, /* FAILED_PRECONDITION */
            .reason = REASON_DEPENDENCY_FAILED,
            .message = {(const uint8_t *)text, (size_t)n},
    });
}

/* @edge has another outcome than its dependent needs: that ends. 0, -ENOMEM (nothing changed). */
static int fail(struct engine *e, struct depend_edge *edge, uint8_t state)
{
    struct future *f = edge->depend->future;
    struct outcome *outcome;

    if (turn_reserve(e) < 0)
        return -ENOMEM;
    outcome = turn_outcome(e);
    if (!outcome)
        return -ENOMEM;
    outcome->error = wrong_error(edge, state);
    if (!outcome->error) {
        turn_outcome_free(e, outcome);
        return -ENOMEM;
    }
    edge->state = state;
    place_take(e, f);
    turn_settle(e, f, FUTURE_FAILED, outcome);
    return 0;
}

/* @edge is known to have ended in @state. 0, -ENOMEM (nothing changed). */
static int resolve(struct engine *e, struct depend_edge *edge, uint8_t state)
{
    struct depend *d = edge->depend;

    if (is_wrong(d, (enum future_state)state))
        return fail(e, edge, state);
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    edge->state = state;
    if (d->passes_results)
        list_del(&edge->of_upstream);
    else
        let_go(e, edge);
    if (--d->n_open == 0)
        place_again(e, d->future);
    turn_change(e, d->future);
    return 0;
}

/* Count *budget down by one edge. */
static int may_go_on(struct engine *e, uint32_t *budget)
{
    if (*budget == 0)
        e->depends.is_behind = 1;
    else
        --*budget;
    return !e->depends.is_behind;
}

static void run_gone(struct engine *e, uint32_t *budget)
{
    struct list *l;

    while ((l = list_first(&e->depends.gone))) {
        struct depend *d = LIST_ENTRY(l, struct depend, gone);

        for (uint32_t i = 0; i < d->n && d->n_open > 0; i++) {
            if (d->at[i].state != 0 || d->at[i].upstream)
                continue;
            if (!may_go_on(e, budget))
                return;
            if (resolve(e, &d->at[i], DEPEND_GONE) < 0) {
                e->depends.is_behind = 1;
                return;
            }
        }
        list_del(&d->gone);
    }
}

static void run_ended(struct engine *e, struct list *ended, uint32_t *budget)
{
    struct list *l;

    while ((l = list_first(ended))) {
        struct upstream *u = LIST_ENTRY(l, struct upstream, ended);
        struct future *f = u->future;

        if (f->commit_seq > e->durable_seq && f->durability == DURABILITY_DURABLE)
            return;
        while (!list_is_empty(&u->dependents)) {
            if (!may_go_on(e, budget))
                return;
            if (resolve(e, LIST_ENTRY(list_first(&u->dependents), struct depend_edge, of_upstream),
                        f->state) < 0) {
                e->depends.is_behind = 1;
                return;
            }
        }
        list_del(&u->ended);
    }
}

void depend_run(struct engine *e)
{
    uint32_t budget = STATE_EDGES_PER_TURN;

    e->depends.is_behind = 0;
    run_gone(e, &budget);
    for (size_t i = 0; i < ARRAY_LEN(e->depends.ended); i++)
        run_ended(e, &e->depends.ended[i], &budget);
}

int engine_depend_pinned(const struct engine *e, wall_ns_t now, struct buf *to)
{
    LIST_FOREACH (l, &e->depends.pinned) {
        const struct future *f = LIST_ENTRY(l, struct upstream, pinned)->future;
        uint64_t key = id_key(&f->id);

        if (future_is_terminal(f) && f->durability == DURABILITY_DURABLE && f->outcome->expire_time <= now &&
            buf_append(to, &key, sizeof key) < 0)
            return -ENOMEM;
    }
    return 0;
}
