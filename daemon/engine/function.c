// SPDX-License-Identifier: Apache-2.0
#include "engine/function.h"

#include "base/mem.h"
#include "engine/state.h"

#include <errno.h>

void function_set_init(struct function_set *s, const struct hash_seed *seed)
{
    *s = (struct function_set){0};
    map_init(&s->by_name, seed);
}

static void function_free(struct function *f, struct sched *sched)
{
    sched_ready_deinit(sched, &f->ready);
    gate_deinit(&f->gate);
    defaults_deinit(&f->defaults);
    bytes_unref(f->name);
    bytes_unref(f->doc);
    bytes_unref(f->said);
    mem_free(f);
}

void function_set_deinit(struct function_set *s, struct sched *sched)
{
    for (uint32_t i = 0; i < s->n; i++)
        function_free(s->at[i], sched);
    mem_free(s->at);
    map_deinit(&s->by_name);
    *s = (struct function_set){0};
}

struct function *function_find(const struct function_set *s, struct span name)
{
    struct map_item *it;

    if (LIKELY(s->last && span_eq(SPAN_OF_BYTES(s->last->name), name)))
        return s->last;
    it = map_find(&s->by_name, name);
    return it ? CONTAINER_OF(it, struct function, by_name) : NULL;
}

static int reserve(struct function_set *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : 16;
    struct function **at;

    if (s->n < s->cap)
        return 0;
    at = mem_realloc(s->at, cap * sizeof(struct function *));
    if (!at)
        return -1;
    s->at = at;
    s->cap = cap;
    return 0;
}

struct function *function_get(struct function_set *s, struct sched *sched, struct span name, struct span doc,
                              uint32_t max)
{
    struct function *f = function_find(s, name);

    if (f) {
        if (!f->doc && doc.len && !(f->doc = bytes_dup(doc.p, doc.len)))
            return NULL;
        return f;
    }
    if (s->n >= max || reserve(s) < 0)
        return NULL;
    f = mem_zalloc(sizeof *f);
    if (!f)
        return NULL;
    sched_ready_init(sched, &f->ready);
    list_init(&f->work);
    list_init(&f->parked);
    gate_init(&f->gate);
    if (s->is_held) {
        f->gate.closed = GATE_PAUSED;
        sched_hold(&f->ready);
    }
    f->index = s->n;
    f->mean_run_ns = -1;
    f->name = bytes_dup(name.p, name.len);
    f->doc = doc.len ? bytes_dup(doc.p, doc.len) : NULL;
    if (!f->name || (doc.len && !f->doc) ||
        map_insert(&s->by_name, &f->by_name, SPAN_OF_BYTES(f->name)) != 0) {
        function_free(f, sched);
        return NULL;
    }
    s->at[s->n++] = f;
    return f;
}

struct function *engine_function_add(struct engine *e, struct span name, struct span doc)
{
    return function_get(&e->functions, &e->sched, name, doc, e->config.limits.max_functions);
}

int engine_function_describe(struct function *f, enum defaults_source source, struct span doc)
{
    struct bytes *copy = NULL;

    if (source == DEFAULTS_CONFIGURED)
        f->is_described = doc.len > 0;
    if ((source == DEFAULTS_SAID && f->is_described) || span_eq(SPAN_OF_BYTES(f->doc), doc))
        return 0;
    if (doc.len && !(copy = bytes_dup(doc.p, doc.len)))
        return -ENOMEM;
    bytes_unref(f->doc);
    f->doc = copy;
    return 0;
}

struct function *engine_function_find(const struct engine *e, struct span name)
{
    return function_find(&e->functions, name);
}

struct function *engine_function_next(const struct engine *e, const struct function *f)
{
    uint32_t i = f ? f->index + 1 : 0;

    return i < e->functions.n ? e->functions.at[i] : NULL;
}
