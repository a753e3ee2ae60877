// SPDX-License-Identifier: Apache-2.0
/*
 * A group of few members is walked along its own list, which is in the order of IDs; what was passed before is passed again
 * with every call, so one of many is looked for among all futures: then about one in some hundred is a member, or they are
 * very many.
 */
#include "engine/filter.h"

#include "engine/state.h"

enum { GROUP_WALK_MAX = 5000 };

static wall_ns_t first_start(const struct future *f, int64_t *ret_n)
{
    const struct attempt *a = f->attempts;

    *ret_n = a != NULL;
    while (a && a->next) {
        a = a->next;
        ++*ret_n;
    }
    return a ? a->start_time : 0;
}

int64_t engine_filter_duration(wall_ns_t start, wall_ns_t end, wall_ns_t now)
{
    return start ? MAX((end ? end : now) - start, INT64_C(0)) : -1;
}

int64_t engine_filter_queue_time(wall_ns_t submit, wall_ns_t start, wall_ns_t end, wall_ns_t now)
{
    return MAX((start ? start : end ? end : now) - submit, INT64_C(0));
}

static int state_of(const struct filter_future *s)
{
    return s->before ? s->before->state : s->future->state;
}

/* How it has ended. NULL: it has not. */
static const struct outcome *outcome_of(const struct filter_future *s)
{
    return state_of(s) >= FUTURE_SUCCEEDED ? s->future->outcome : NULL;
}

static int get_text(const struct filter_future *s, enum filter_field field, struct span *ret)
{
    const struct outcome *outcome = outcome_of(s);
    const struct future_error *error = outcome ? outcome->error : NULL;
    const struct future *f = s->future;

    switch (field) {
    case FILTER_FUNCTION: *ret = future_function_name(f); return 1;
    case FILTER_GROUP: *ret = future_group(f); return 1;
    case FILTER_TAG: *ret = f->rare ? SPAN_OF_BYTES(f->rare->tag) : (struct span){0}; return 1;
    case FILTER_REASON:
        *ret = span_of_string(future_reason_text(error ? error->reason : REASON_NONE));
        return 1;
    case FILTER_TYPE: *ret = error ? error->type : (struct span){0}; return 1;
    case FILTER_ERROR: *ret = error ? error->message : (struct span){0}; return 1;
    case FILTER_IDEMPOTENCY_KEY: *ret = future_key(f); return 1;
    case FILTER_PRINCIPAL: *ret = future_principal(f); return 1;
    case FILTER_NAMESPACE: *ret = future_namespace(f); return 1;
    case FILTER_ARGUMENT:
        *ret = (struct span){f->task->data + f->argument_at + f->argument_field_bytes - f->argument_bytes,
                             f->argument_bytes};
        return 1;
    default: return 0;
    }
}

static int get_number(const struct filter_future *s, enum filter_field field, int64_t *ret)
{
    const struct outcome *outcome = outcome_of(s);
    const struct future *f = s->future;
    wall_ns_t start, end = outcome ? outcome->end_time : 0;
    int64_t n;

    switch (field) {
    case FILTER_STATE: *ret = state_of(s); return 1;
    case FILTER_PENDING_REASON: *ret = (int64_t)future_pending_reason(f); return 1;
    case FILTER_PRIORITY: *ret = f->priority; return 1;
    case FILTER_RETRIED: *ret = future_retried_by(f) != NULL; return 1;
    case FILTER_SUBMIT_TIME: *ret = f->submit_time; return 1;
    case FILTER_END_TIME: *ret = end; return end != 0;
    default: break;
    }
    start = first_start(f, &n);
    switch (field) {
    case FILTER_ATTEMPTS: *ret = n; return 1;
    case FILTER_START_TIME: *ret = start; return start != 0;
    case FILTER_DURATION: *ret = engine_filter_duration(start, end, s->now); return *ret >= 0;
    case FILTER_QUEUE_TIME: *ret = engine_filter_queue_time(f->submit_time, start, end, s->now); return 1;
    default: return 0;
    }
}

static int get_worker(const struct future *f, uint32_t i, struct span *ret)
{
    const struct attempt *a = f->attempts;

    for (; a && i > 0; i--)
        a = a->next;
    if (a)
        *ret = SPAN_OF_BYTES(a->worker);
    return a != NULL;
}

static int get_label(const struct filter_future *s, struct span key, struct span *ret)
{
    const struct labels *labels = s->before ? s->before->labels : s->future->labels;

    if (!labels)
        return filter_task_label(SPAN_OF_BYTES(s->future->task), key, ret);
    for (uint32_t i = 0; i < labels->n; i++)
        if (span_eq(labels->at[i].key, key)) {
            *ret = labels->at[i].value;
            return 1;
        }
    return 0;
}

static int get_id(const struct id *id, struct id *ret)
{
    if (id)
        *ret = *id;
    return id != NULL;
}

int engine_filter_get(const void *record, enum filter_field field, struct span label, uint32_t i,
                      struct filter_value *ret)
{
    const struct filter_future *subject = record;
    const struct future *f = subject->future;

    if (field == FILTER_WORKER)
        return get_worker(f, i, &ret->text);
    if (i > 0)
        return 0;
    switch (field) {
    case FILTER_LABEL: return get_label(subject, label, &ret->text);
    case FILTER_ID: ret->id = f->id; return 1;
    case FILTER_RETRY_OF: return get_id(future_retry_of(f), &ret->id);
    default: return get_text(subject, field, &ret->text) || get_number(subject, field, &ret->number);
    }
}

/* --- the walk */

int engine_filter_is_member(const struct future *f)
{
    return f->group && list_is_linked(&f->group->of_group);
}

static int is_beyond(const struct filter_walk *w, uint64_t key)
{
    return w->is_desc ? key < w->until : key > w->until;
}

static int is_behind(const struct filter_walk *w, uint64_t key)
{
    return w->is_desc ? key < w->key : key > w->key;
}

/* Look at @f. */
static int matches(const struct filter_walk *w, const struct future *f, uint32_t *budget)
{
    struct filter_future record = {.future = f, .now = w->now};
    struct filter_subject subject = {engine_filter_get, &record};
    uint32_t cost = 0;
    int is = scope_may_see(w->scope, f->scope);

    if (is && w->filter)
        is = filter_match(w->filter, &subject, &cost);
    *budget -= MIN(*budget, MAX(cost, 1U));
    return is;
}

static uint32_t walk_members(struct filter_walk *w, struct group *g, uint32_t *budget, struct future **ret,
                             uint32_t max)
{
    struct list *l = w->is_desc ? g->members.prev : g->members.next;
    uint32_t n = 0;

    for (; l != &g->members && n<max && * budget> 0; l = w->is_desc ? l->prev : l->next) {
        struct future *f = LIST_ENTRY(l, struct membership, of_group)->future;
        uint64_t key = id_key(&f->id);

        if (!is_behind(w, key))
            continue;
        if (is_beyond(w, key))
            break;
        w->key = key;
        if (matches(w, f, budget))
            ret[n++] = f;
    }
    return n;
}

uint32_t engine_filter_walk(const struct engine *e, struct filter_walk *w, uint32_t *budget,
                            struct future **ret, uint32_t max)
{
    struct group *g = w->group.len ? group_find(&e->groups, w->scope->realm, w->group) : NULL;
    struct order_place place;
    struct future *f;
    uint32_t n = 0;

    if (w->group.len && (!g || g->n <= GROUP_WALK_MAX))
        return g ? walk_members(w, g, budget, ret, max) : 0;
    for (f = order_seek(&e->order, w->key, w->is_desc, &place); f && n<max && * budget> 0;
         f = order_step(&e->order, &place, w->is_desc)) {
        uint64_t key = id_key(&f->id);

        if (is_beyond(w, key))
            break;
        w->key = key;
        if (g && (!engine_filter_is_member(f) || f->group->group != g))
            --*budget;
        else if (matches(w, f, budget))
            ret[n++] = f;
    }
    return n;
}
