// SPDX-License-Identifier: Apache-2.0
/*
 * A new future: all that it needs is made out of sight, then it is entered, and only then is it there. What few submissions
 * have is asked for once (needs_rare), so that the others pay nothing for it.
 */
#include "engine/edge.h"
#include "engine/place.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>

/* Make the ID of the next future. Tens of millions of futures have a table that no cache holds: to touch a slot of it
 * costs more than all the rest of a submission, unless the processor was told a submission earlier. */
static void ready_id(struct engine *e)
{
    uint64_t n = e->n_ids++;

    e->ready_key = id_next_key(e->last_key, e->wall);
    e->ready_id = id_make(e->ready_key, hash_bytes(&e->id_seed, &n, sizeof n));
    table_prefetch(&e->table, table_hash_id(&e->table, &e->ready_id));
}

static int has_timing(const struct engine_submit *in)
{
    return in->not_before || in->deadline || in->attempt_timeout_ns || in->retry || in->is_cancelled_alone;
}

static int needs_rare(const struct engine_submit *in)
{
    return has_timing(in) || in->traceparent.len || in->tag.len || in->fairness_key.len ||
           in->concurrency_key.len || in->retention_ns >= 0 || in->key.len || in->n_upstreams ||
           in->retry_of || (in->request_id.len && in->durability == DURABILITY_DURABLE);
}

static int submit_timing(struct engine *e, struct future *f, const struct engine_submit *in)
{
    struct timing *t;

    if (timing_new(e, f) < 0)
        return -ENOMEM;
    t = f->rare->timing;
    t->not_before = in->not_before;
    t->deadline = in->deadline;
    t->attempt_timeout_ns = in->attempt_timeout_ns;
    t->is_cancelled_alone = in->is_cancelled_alone != 0;
    if (in->retry && !(t->retry = retry_policy_new(in->retry)))
        return -ENOMEM;
    return 0;
}

static int submit_key(struct engine *e, struct future *f, const struct engine_submit *in)
{
    struct idem *idem = f->rare->idem = idem_new(&e->idems, f, f->scope->realm, in->key);

    if (!idem)
        return -ENOMEM;
    idem->content_type_at = in->content_type_at;
    idem->content_type_bytes = in->content_type_bytes;
    return 0;
}

/* The parts that few submissions have. What has been made stays with @f when it fails. */
static int submit_rare(struct engine *e, struct future *f, const struct engine_submit *in)
{
    struct future_rare *rare = slab_alloc(&e->rares);

    if (!rare)
        return -ENOMEM;
    *rare = (struct future_rare){.future = f, .retention_ns = -1};
    f->rare = rare;
    if (in->retry_of)
        rare->retry_of = in->retry_of->id;
    if (in->traceparent.len && !(rare->traceparent = bytes_dup(in->traceparent.p, in->traceparent.len)))
        return -ENOMEM;
    if (in->tag.len && !(rare->tag = bytes_dup(in->tag.p, in->tag.len)))
        return -ENOMEM;
    if (in->fairness_key.len && !(rare->fairness_key = bytes_dup(in->fairness_key.p, in->fairness_key.len)))
        return -ENOMEM;
    if (in->concurrency_key.len && slot_use(e, f, in->concurrency_key) < 0)
        return -ENOMEM;
    if (in->retention_ns >= 0) {
        if (retention_reserve(&e->retention) < 0)
            return -ENOMEM;
        rare->retention_ns = in->retention_ns;
    }
    if (in->request_id.len && in->durability == DURABILITY_DURABLE &&
        !(rare->request_id = bytes_dup(in->request_id.p, in->request_id.len)))
        return -ENOMEM;
    if (has_timing(in) && submit_timing(e, f, in) < 0)
        return -ENOMEM;
    if (in->n_upstreams && depend_make(e, f, in) < 0)
        return -ENOMEM;
    return in->key.len ? submit_key(e, f, in) : 0;
}

/* By what else it is known. Last of all: when it fails, the key goes with the rare part. */
static int submit_names(struct engine *e, struct future *f, const struct engine_submit *in)
{
    if (in->key.len && idem_hold(&e->idems, f->rare->idem) < 0)
        return -ENOMEM;
    return in->request_id.len ? resend_add(&e->resends, f->scope, in->request_id, &f->id, e->mono) : 0;
}

/* @f, which has ended, is without its key from now on. */
static void give_up_key(struct engine *e, struct future *f)
{
    uint64_t was = limits_rare(f->rare), is;

    f->rare->idem = idem_free(&e->idems, f->rare->idem);
    is = limits_rare(f->rare);
    limits_discharge(&e->account, f->scope, was - is);
    cache_resize(e, f, was, is);
    turn_change(e, f);
}

static int submit_group(struct engine *e, struct future *f, struct span name)
{
    struct group *g;

    f->group = slab_alloc(&e->memberships);
    if (!f->group)
        return -ENOMEM;
    f->group->group = NULL;
    if (group_get(&e->groups, f->scope->realm, name, &g) < 0)
        return -ENOMEM;
    f->group->group = g;
    return 0;
}

static void submit_undo(struct engine *e, struct future *f)
{
    if (f->group && f->group->group)
        group_tidy(&e->groups, f->group->group);
    slab_free(&e->memberships, f->group);
    turn_rare_free(e, f);
    slab_free(&e->futures, f);
}

/* Everything that @f needs to exist, short of counting it. */
static int submit_make(struct engine *e, struct future *f, const struct engine_submit *in)
{
    if (needs_rare(in) && submit_rare(e, f, in) < 0)
        return -ENOMEM;
    if (in->group.len && submit_group(e, f, in->group) < 0)
        return -ENOMEM;
    if (turn_reserve_some(e, in->key.len || in->retry_of ? 2 : 1) < 0 || place_keep(e, f) < 0)
        return -ENOMEM;
    if (order_append(&e->order, f) < 0) {
        place_drop(e, f);
        return -ENOMEM;
    }
    if (table_insert(&e->table, table_hash_id(&e->table, &f->id), f) < 0) {
        order_remove(&e->order, f);
        place_drop(e, f);
        return -ENOMEM;
    }
    if (LIKELY(!in->key.len && !in->request_id.len) || submit_names(e, f, in) == 0)
        return 0;
    table_remove(&e->table, table_hash_id(&e->table, &f->id), f);
    order_remove(&e->order, f);
    place_drop(e, f);
    return -ENOMEM;
}

static int submit_function(struct engine *e, struct span name, struct function **ret)
{
    struct function *fn = function_find(&e->functions, name);

    if (!fn && !e->config.accept_unknown_functions)
        return ENGINE_E_NO_SUCH_FUNCTION;
    if (!fn && e->functions.n >= e->config.limits.max_functions)
        return ENGINE_E_NO_SUCH_FUNCTION;
    if (!fn && !(fn = engine_function_add(e, name, (struct span){0})))
        return -ENOMEM;
    e->functions.last = *ret = fn;
    return 0;
}

int engine_submit(struct engine *e, const struct engine_submit *in, struct future **ret)
{
    struct function *fn;
    struct future *f, *holder;
    int r;

    ASSERT(in->durability == DURABILITY_DURABLE || in->durability == DURABILITY_EPHEMERAL);
    ASSERT(in->on_lost == ON_LOST_RETRY || in->on_lost == ON_LOST_FAIL);
    ASSERT(!in->key.len || !in->retry_of);
    r = limits_admit(&e->account, sizeof *f + LIMITS_INDEX_BYTES + limits_bytes(in->task) +
                                          limits_labels(in->labels) +
                                          in->n_upstreams * sizeof(struct depend_edge));
    if (r == 0)
        r = submit_function(e, in->function, &fn);
    if (r != 0)
        return r;
    holder = in->key.len ? engine_find_key(e, in->scope, in->key) : NULL;
    ASSERT(!holder || future_is_terminal(holder));
    if (UNLIKELY(fn->gate.limits.max_pending) && fn->n_pending >= fn->gate.limits.max_pending)
        return ENGINE_E_FULL_FUNCTION;
    if (e->ready_key != id_next_key(e->last_key, e->wall))
        ready_id(e);
    if (e->ready_key > e->asked_ceiling && e->asked_ceiling > e->durable_ceiling)
        return ENGINE_E_NO_KEYS;
    f = slab_alloc(&e->futures);
    if (!f)
        return -ENOMEM;
    *f = (struct future){
            .id = e->ready_id,
            .task = in->task,
            .function = fn,
            .scope = in->scope,
            .submit_time = e->wall,
            .labels = in->labels,
            .argument_at = in->argument_at,
            .argument_field_bytes = in->argument_field_bytes,
            .argument_bytes = in->argument_bytes,
            .priority = in->priority,
            .durability = (uint8_t)in->durability,
            .on_lost = (uint8_t)in->on_lost,
    };
    list_init(&f->queue);
    r = submit_make(e, f, in);
    if (r < 0) {
        submit_undo(e, f);
        return r;
    }
    bytes_ref(f->task);
    f->peer = bytes_ref(in->peer);
    limits_charge(&e->account, f->scope, limits_future(f));
    e->account.n_futures++;
    e->n_accepted++;
    e->last_key = e->ready_key;
    ready_id(e);
    turn_accept(e, f);
    if (UNLIKELY(e->last_key > e->durable_ceiling)) { /* its ID is shown when the store knows such keys */
        f->commit_seq = e->commit_seq;
        e->is_urgent = 1;
    }
    if (UNLIKELY(in->n_upstreams))
        depend_tie(e, f);
    place_put(e, f, 0);
    if (f->group)
        edge_join(e, f);
    if (holder) {
        give_up_key(e, holder);
        (void)engine_shown(e, f); /* with it in one commit */
    }
    *ret = f;
    return 0;
}
