// SPDX-License-Identifier: Apache-2.0
/*
 * Two streams in the order of IDs are merged: the futures in memory, and what the store has of the finished ones, in stretches.
 * What is in both counts as memory's, which is newer. Up to where a stretch reaches (the horizon) both are complete: what ended
 * since the store was read does not leave memory before the stretch is passed (loader.c). Behind it the next stretch is read.
 *
 * Of a group, memory's stream is its list, which members that came back from the store are not in: those are met in the
 * store's stream, as memory has them.
 *
 * A step ends where the turn's share is used up, where the store is asked, or at the end; nothing that points into the engine
 * outlives it, but for pins.
 */
#include "service/search.h"

#include "base/mem.h"
#include "engine/filter.h"
#include "service/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH = 64,
    STRETCH_COST = 2000, /* of what the reader looks at for one stretch */
    STEPS_COST = 20000,  /* of all searches in one turn */
    STATES_ENDED = 1 << FUTURE_SUCCEEDED | 1 << FUTURE_FAILED | 1 << FUTURE_CANCELLED,
};

/* How a step has ended, beside -ENOMEM and FUTURES_E_*. */
enum step { STEP_REACHED = 200, STEP_END, STEP_MORE, STEP_LATER, STEP_LOADING };

/* ---- selectors */

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

static int no_memory(struct grpc_status *st)
{
    convert_no_memory(st);
    return REQUEST_E_BAD;
}

static int read_ids(struct span message, uint32_t n, struct search_selector *ret, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct span text;
    uint32_t i = 0;

    ret->ids = mem_alloc(n * sizeof *ret->ids);
    if (!ret->ids)
        return no_memory(st);
    while (codec_each(&r, SELECTOR_IDS, &text))
        if (request_id(text, "selector.ids", &ret->ids[i++], st))
            return REQUEST_E_BAD;
    qsort(ret->ids, n, sizeof *ret->ids, compare_ids);
    for (i = 0; i < n; i++)
        if (ret->n_ids == 0 || id_compare(&ret->ids[ret->n_ids - 1], &ret->ids[i]) != 0)
            ret->ids[ret->n_ids++] = ret->ids[i];
    return 0;
}

static int read_filter(struct span text, wall_ns_t now, struct search_selector *ret, struct grpc_status *st)
{
    struct filter_problem problem;
    int r = filter_parse(&ret->filter, text, now, &problem);

    if (r < 0)
        return no_memory(st);
    if (r != 0)
        return request_bad_field(st, "selector.filter", "column %" PRIu32 ": %s", problem.column,
                                 problem.text);
    ret->hints = filter_hints(ret->filter);
    return 0;
}

int search_selector_read(const struct codec_bytes *message, wall_ns_t now, struct search_selector *ret,
                         struct grpc_status *st)
{
    struct selector selector;
    struct span group;

    *ret = (struct search_selector){.hints = {.states = UINT8_MAX, .key_max = UINT64_MAX}};
    if (request_selector(message, &selector, st))
        return REQUEST_E_BAD;
    if (selector.ids)
        return read_ids(message->data, selector.ids, ret, st);
    if (selector.filter.len && read_filter(selector.filter, now, ret, st))
        return REQUEST_E_BAD;
    group = selector.group.len ? selector.group : ret->hints.group;
    if (group.len && !(ret->group = bytes_dup(group.p, group.len)))
        return no_memory(st);
    return 0;
}

void search_selector_deinit(struct search_selector *s)
{
    s->filter = filter_unref(s->filter);
    s->group = bytes_unref(s->group);
    s->ids = mem_free(s->ids);
}

/* ---- the two streams */

static uint64_t until_of(const struct search *s)
{
    if (s->is_desc)
        return s->selector->hints.key_min;
    return s->is_bounded ? MIN(s->last, s->selector->hints.key_max) : s->selector->hints.key_max;
}

/* Whether @a comes before @b. */
static int is_before(const struct search *s, uint64_t a, uint64_t b)
{
    return s->is_desc ? a > b : a < b;
}

static int needs_store(const struct search *s)
{
    return s->service->has_store && s->selector->hints.states & STATES_ENDED;
}

static uint64_t horizon_of(const struct search *s)
{
    uint64_t until = until_of(s);

    if (!s->has_stretch || s->stretch->is_end)
        return until;
    return is_before(s, s->stretch->last, until) ? s->stretch->last : until;
}

static void unpin(struct search *s, struct futures_found *found)
{
    struct future *f = TAKE_PTR(found->future);

    if (f)
        engine_unpin(s->service->engine, f);
}

static void drop_stretch(struct search *s)
{
    struct futures_stretch *stretch = s->stretch;

    if (!stretch)
        return;
    if (stretch->handle)
        s->service->loader.forget_stretch(s->service->loader.context, stretch);
    for (uint32_t i = 0; i < stretch->n; i++)
        unpin(s, &stretch->found[i]);
    stretch->n = 0;
    s->at = 0;
    s->has_stretch = s->is_loading = 0;
}

/* Call on_hit; s->key is behind it then, or just before it. */
static int visit(struct search *s, const struct search_hit *hit)
{
    uint64_t key = id_key(&hit->id);
    int r = s->on_hit(s, hit);

    if (r == 0)
        s->key = key;
    else if (r == SEARCH_STOP)
        s->key = s->is_desc ? key + 1 : key - 1;
    return r == SEARCH_STOP ? (int)STEP_MORE : r;
}

static int visit_future(struct search *s, struct future *f)
{
    struct filter_future record = {.future = f, .now = s->now};
    struct search_hit hit = {.id = f->id, .future = f, .subject = {engine_filter_get, &record}};

    return visit(s, &hit);
}

int search_still_matches(const struct search *s, const struct future *f)
{
    struct filter_future record = {.future = f, .now = s->now};
    struct filter_subject subject = {engine_filter_get, &record};
    uint32_t cost = 0;

    return !s->selector->filter || filter_match(s->selector->filter, &subject, &cost);
}

/* Whether one that only the store has, of the namespace, is of the principal that searches. */
static int is_own(const struct search *s, const struct filter_subject *subject)
{
    struct filter_value principal;

    if (!subject->get(subject->record, FILTER_PRINCIPAL, (struct span){0}, 0, &principal))
        principal.text = (struct span){0};
    return span_eq(principal.text, SPAN_OF_BYTES(s->scope->principal));
}

static int visit_found(struct search *s, const struct futures_found *found)
{
    struct search_hit hit = {.id = found->id, .subject = found->subject};
    struct future *f = engine_find_any(s->service->engine, &found->id);

    if (f ? !scope_may_see(s->scope, f->scope) : s->scope->is_confined && !is_own(s, &hit.subject))
        return 0;
    if (!f)
        return s->wants_futures ? 0 : visit(s, &hit);
    if (!s->selector->group || engine_filter_is_member(f) || !search_still_matches(s, f))
        return 0; /* memory's own stream has it, if it still matches */
    return visit_future(s, f);
}

/* What the store has of the one that is visited now, if it is the next: nothing leaves memory before the turn is over, and who
 * is visited may be deleted. */
static void pass_stored(struct search *s, uint64_t key)
{
    if (s->has_stretch && s->at < s->stretch->n && id_key(&s->stretch->found[s->at].id) == key)
        unpin(s, &s->stretch->found[s->at++]);
}

/* What the store has before @key, or up to it. */
static int visit_stored(struct search *s, uint64_t key, int is_included)
{
    int r = 0;

    while (r == 0 && s->has_stretch && s->at < s->stretch->n) {
        struct futures_found *found = &s->stretch->found[s->at];
        uint64_t at = id_key(&found->id);

        if (!is_before(s, at, key) && !(is_included && at == key))
            break;
        s->at++;
        unpin(s, found);
        r = visit_found(s, found);
    }
    return r;
}

/* Both streams up to the horizon. STEP_REACHED, _MORE, _LATER; or an error. */
static int merge(struct search *s, uint32_t *turn)
{
    struct filter_walk walk = {.scope = s->scope,
                               .filter = s->selector->filter,
                               .group = SPAN_OF_BYTES(s->selector->group),
                               .now = s->now,
                               .until = horizon_of(s),
                               .is_desc = s->is_desc};
    struct future *batch[BATCH];

    for (;;) {
        uint32_t may = (uint32_t)MIN((uint64_t)*turn, s->budget), left = may, n;
        int r = 0;

        if (may == 0)
            return s->budget == 0 ? STEP_MORE : STEP_LATER;
        walk.key = s->key;
        n = engine_filter_walk(s->service->engine, &walk, &left, batch, BATCH);
        *turn -= may - left;
        s->budget -= may - left;
        for (uint32_t i = 0; r == 0 && i < n; i++) {
            uint64_t key = id_key(&batch[i]->id);

            r = visit_stored(s, key, 0);
            pass_stored(s, key);
            if (r == 0)
                r = visit_future(s, batch[i]);
        }
        if (r == 0)
            r = n < BATCH && left > 0 ? visit_stored(s, walk.until, 1) : visit_stored(s, walk.key, 1);
        if (r != 0)
            return r;
        s->key = walk.key;
        if (n < BATCH && left > 0) {
            s->key = walk.until;
            return STEP_REACHED;
        }
    }
}

/* ---- steps */

static void on_loaded(struct futures_stretch *stretch, int result);

static int load(struct search *s)
{
    const struct futures_loader *loader = &s->service->loader;
    int r;

    if (!s->stretch) {
        s->stretch = mem_zalloc(sizeof *s->stretch);
        if (!s->stretch)
            return -ENOMEM;
    }
    s->stretch->namespace = SPAN_OF_BYTES(s->scope->namespace);
    s->stretch->group = SPAN_OF_BYTES(s->selector->group);
    s->stretch->filter = s->selector->filter;
    s->stretch->now = s->now;
    s->stretch->key = s->key;
    s->stretch->limit = FUTURES_STRETCH_MAX;
    s->stretch->max_cost = STRETCH_COST;
    s->stretch->is_desc = s->is_desc;
    s->stretch->wants_futures = s->wants_futures;
    s->stretch->wants_tasks = s->wants_tasks;
    s->stretch->on_loaded = on_loaded;
    s->stretch->user = s;
    r = loader->load_stretch(loader->context, s->stretch);
    if (r)
        return r;
    s->is_loading = 1;
    return STEP_LOADING;
}

static int walk(struct search *s, uint32_t *turn)
{
    for (;;) {
        int r;

        if (needs_store(s) && !s->has_stretch)
            return load(s);
        r = merge(s, turn);
        if (r != STEP_REACHED)
            return r;
        if (s->key == until_of(s))
            return STEP_END;
        drop_stretch(s);
        if (s->budget == 0)
            return STEP_MORE;
    }
}

static int walk_ids(struct search *s)
{
    const struct search_selector *selector = s->selector;
    int r = 0;

    for (; r == 0 && s->at < selector->n_ids; s->at++) {
        const struct id *id = &selector->ids[s->is_desc ? selector->n_ids - 1 - s->at : s->at];
        struct future *f;

        if (!is_before(s, s->key, id_key(id)))
            continue;
        f = engine_find(s->service->engine, s->scope, id);
        if (f)
            r = visit_future(s, f);
    }
    return r == 0 ? (int)STEP_END : r;
}

static void step(struct search *s)
{
    uint32_t turn = MIN(s->service->search_left, (uint32_t)SEARCH_TURN_COST), before = turn;
    int r;

    s->n_turns++;
    r = s->selector->ids ? walk_ids(s) : walk(s, &turn);
    s->service->search_left -= before - turn;
    if (r == STEP_LOADING)
        return;
    if (r == STEP_LATER) {
        list_push_back(&s->service->searches, &s->link);
        return;
    }
    drop_stretch(s);
    s->is_more = r == STEP_MORE;
    s->on_end(s, r == STEP_MORE || r == STEP_END ? 0 : r);
}

static void on_loaded(struct futures_stretch *stretch, int result)
{
    struct search *s = stretch->user;

    s->is_loading = 0;
    if (result) {
        drop_stretch(s);
        s->on_end(s, result);
        return;
    }
    s->has_stretch = 1;
    s->at = 0;
    /* Something is left for memory, so that every stretch that was read brings the search on. */
    s->budget = MAX(s->budget - MIN(s->budget, (uint64_t)stretch->cost),
                    MIN(s->budget, (uint64_t)SEARCH_TURN_COST));
    step(s);
}

void search_begin(struct search *s)
{
    const struct filter_hints *hints = &s->selector->hints;

    list_init(&s->link);
    s->has_begun = 1;
    s->stretch = NULL;
    s->at = s->n_turns = 0;
    s->is_loading = s->has_stretch = s->is_more = 0;
    if (s->is_desc && hints->key_max < UINT64_MAX)
        s->key = MIN(s->key, hints->key_max + 1);
    else if (!s->is_desc && hints->key_min > 0)
        s->key = MAX(s->key, hints->key_min - 1);
    step(s);
}

void search_drop(struct search *s)
{
    if (!s->has_begun)
        return;
    list_del(&s->link);
    drop_stretch(s);
    s->stretch = mem_free(s->stretch);
    s->has_begun = 0;
}

mono_ns_t search_tick(struct futures *service, mono_ns_t now)
{
    struct list turn, *l;

    service->search_left = STEPS_COST;
    list_init(&turn);
    list_splice_back(&turn, &service->searches);
    while (service->search_left > 0 && (l = list_pop_front(&turn)))
        step(LIST_ENTRY(l, struct search, link));
    list_splice_back(&turn, &service->searches); /* who had no turn is first in the next one */
    list_splice_back(&service->searches, &turn);
    return list_is_empty(&service->searches) ? CLOCK_NEVER : now;
}

/* ---- tokens */

uint64_t search_token_question(struct span selector, struct span other)
{
    static const struct hash_seed fixed = {0}; /* a token must outlive the process; it keeps no secret */
    uint64_t a = hash_bytes(&fixed, selector.p, selector.len);

    return a ^ hash_bytes(&fixed, other.p, other.len) * 3;
}

void search_token_write(const struct search_token *t, char text[static SEARCH_TOKEN_LEN + 1])
{
    snprintf(text, SEARCH_TOKEN_LEN + 1, "2%c%016" PRIx64 "%016" PRIx64 "%016" PRIx64, t->is_desc ? 'd' : 'a',
             t->key, t->question, (uint64_t)t->now);
}

static int read_hex(const uint8_t *p, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < 16; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            v = v << 4 | (uint64_t)(p[i] - '0');
        else if (p[i] >= 'a' && p[i] <= 'f')
            v = v << 4 | (uint64_t)(p[i] - 'a' + 10);
        else
            return -1;
    }
    *ret = v;
    return 0;
}

int search_token_read(struct span text, struct search_token *t, struct grpc_status *st)
{
    uint64_t key, question, now;

    if (text.len != SEARCH_TOKEN_LEN || text.p[0] != '2' || text.p[1] != (t->is_desc ? 'd' : 'a') ||
        read_hex(text.p + 2, &key) < 0 || read_hex(text.p + 18, &question) < 0 || question != t->question ||
        read_hex(text.p + 34, &now) < 0 || now > INT64_MAX)
        return request_bad_field(st, "page_token", "is not one that this daemon gave for the same request");
    t->key = key;
    t->now = (wall_ns_t)now;
    return 0;
}
