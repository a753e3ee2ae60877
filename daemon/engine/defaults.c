// SPDX-License-Identifier: Apache-2.0
#include "engine/defaults.h"

#include "base/mem.h"
#include "engine/state.h"

#include <errno.h>

static struct function_defaults *defaults_free(struct function_defaults *d)
{
    if (d)
        mem_free((void *)(uintptr_t)d->retry);
    return mem_free(d);
}

int defaults_is_nothing(const struct function_defaults *d)
{
    return !d->durability && !d->on_lost && !d->priority && d->attempt_timeout_ns < 0 &&
           d->retention_ns < 0 && !d->retry;
}

static int is_same_retry(const struct retry_policy *a, const struct retry_policy *b)
{
    if (!a || !b)
        return a == b;
    if (a->max_attempts != b->max_attempts || a->initial_backoff_ns != b->initial_backoff_ns ||
        a->max_backoff_ns != b->max_backoff_ns || a->multiplier < b->multiplier ||
        a->multiplier > b->multiplier || a->jitter < b->jitter || a->jitter > b->jitter ||
        a->n_types != b->n_types)
        return 0;
    for (uint32_t i = 0; i < a->n_types; i++)
        if (!span_eq(a->types[i], b->types[i]))
            return 0;
    return 1;
}

static int is_same(const struct function_defaults *a, const struct function_defaults *b)
{
    return a->durability == b->durability && a->on_lost == b->on_lost && a->priority == b->priority &&
           a->attempt_timeout_ns == b->attempt_timeout_ns && a->retention_ns == b->retention_ns &&
           is_same_retry(a->retry, b->retry);
}

/* A copy of @from. 0 (*ret NULL: it says nothing), -ENOMEM. */
static int copy(const struct function_defaults *from, struct function_defaults **ret)
{
    struct function_defaults *d;

    *ret = NULL;
    if (defaults_is_nothing(from))
        return 0;
    d = mem_alloc(sizeof *d);
    if (!d)
        return -ENOMEM;
    *d = *from;
    if (from->retry && !(d->retry = retry_policy_new(from->retry))) {
        mem_free(d);
        return -ENOMEM;
    }
    *ret = d;
    return 0;
}

/* @over where that says something, else @under; either may be NULL. */
static struct function_defaults merge(const struct function_defaults *over,
                                      const struct function_defaults *under)
{
    struct function_defaults d = under ? *under : FUNCTION_DEFAULTS_NONE;

    if (!over)
        return d;
    if (over->durability)
        d.durability = over->durability;
    if (over->on_lost)
        d.on_lost = over->on_lost;
    if (over->priority)
        d.priority = over->priority;
    if (over->attempt_timeout_ns >= 0)
        d.attempt_timeout_ns = over->attempt_timeout_ns;
    if (over->retention_ns >= 0)
        d.retention_ns = over->retention_ns;
    if (over->retry)
        d.retry = over->retry;
    return d;
}

void defaults_deinit(struct defaults *d)
{
    defaults_free(d->by_source[DEFAULTS_SAID]);
    defaults_free(d->by_source[DEFAULTS_CONFIGURED]);
    defaults_free(d->all);
    *d = (struct defaults){0};
}

int defaults_set(struct defaults *d, enum defaults_source source, const struct function_defaults *from)
{
    const struct function_defaults *before = d->by_source[source];
    struct function_defaults *said, *all, merged;

    if (is_same(before ? before : &FUNCTION_DEFAULTS_NONE, from))
        return 0;
    merged = source == DEFAULTS_CONFIGURED ? merge(from, d->by_source[DEFAULTS_SAID])
                                           : merge(d->by_source[DEFAULTS_CONFIGURED], from);
    if (copy(from, &said) < 0)
        return -ENOMEM;
    if (copy(&merged, &all) < 0) {
        defaults_free(said);
        return -ENOMEM;
    }
    defaults_free(d->by_source[source]);
    defaults_free(d->all);
    d->by_source[source] = said;
    d->all = all;
    return 1;
}

int engine_defaults_restore(struct engine *e, struct function *f, const struct function_defaults *from)
{
    e->functions.has_defaults = 1;
    return MIN(defaults_set(&f->defaults, DEFAULTS_SAID, from), 0);
}

int engine_defaults(struct engine *e, struct function *f, enum defaults_source source,
                    const struct function_defaults *defaults)
{
    int r = defaults_set(&f->defaults, source, defaults);

    if (r > 0)
        e->functions.has_defaults = 1;
    if (r > 0 && source == DEFAULTS_SAID)
        gate_store(e, f);
    return MIN(r, 0);
}

const struct function_defaults *engine_defaults_find(const struct engine *e, struct span name)
{
    const struct function *f =
            UNLIKELY(e->functions.has_defaults) ? function_find(&e->functions, name) : NULL;

    return f ? f->defaults.all : NULL;
}
