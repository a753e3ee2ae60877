// SPDX-License-Identifier: Apache-2.0
/*
 * Clients: each event is one thing that one of them does, done to the engine and then to the model. What a command may
 * answer is known before. As the service does, they leave alone what the store's state keeps from being changed.
 */
#include "base/mem.h"
#include "world.h"

#include <errno.h>
#include <string.h>

enum { CLIENTS_LANES = 4 }; /* by principal, or another fairness key, in a namespace */

static uint64_t n_alive(const struct world *w)
{
    return engine_stats(w->e).n_futures;
}

/* With the key of one that was there before, rather of one that only the disk has now. */
static void plan_again(struct world *w, struct model_future *f)
{
    const struct model_future *before = NULL;
    int is_out = (int)world_random(w, 2);

    for (int i = w->model.n_futures - 1; i >= 0 && !before; i--)
        if (w->model.futures[i].key && (!is_out || w->model.futures[i].is_out) && world_random(w, 2))
            before = &w->model.futures[i];
    if (!before)
        return;
    f->key = before->key;
    f->scope = before->scope;
    if (before->function < w->model.n_functions && world_random(w, 8))
        f->function = before->function;
}

/* Some time from now, of any order; its last bits are those of the future alone, so no two things are due at once. */
static int64_t some_span(struct world *w)
{
    static const int64_t spans[] = {NS_PER_MS, NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S, 86400 * NS_PER_S};
    int64_t most = spans[world_random(w, MIN(w->pace, (uint32_t)ARRAY_LEN(spans)))];

    return (int64_t)world_random(w, (uint64_t)most) / MODEL_FUTURES * MODEL_FUTURES + MODEL_FUTURES +
           w->model.n_futures;
}

wall_ns_t clients_time(struct world *w, int i)
{
    wall_ns_t at = w->model.wall + some_span(w);

    return at / MODEL_FUTURES * MODEL_FUTURES + i;
}

static void plan_times(struct world *w, struct model_future *f)
{
    static const struct span final[] = {SPAN_LIT("Final")};

    if (world_random(w, 4) == 0)
        f->not_before = clients_time(w, w->model.n_futures);
    if (world_random(w, 4) == 0)
        f->deadline = MAX(clients_time(w, w->model.n_futures), f->not_before + MODEL_FUTURES);
    if (world_random(w, 2) == 0)
        f->attempt_timeout_ns = some_span(w);
    if (world_random(w, 3)) {
        f->retry = (struct retry_policy){
                .max_attempts = 1 + (uint32_t)world_random(w, 5),
                .initial_backoff_ns = some_span(w),
                .multiplier = 1 + (double)world_random(w, 20) / 10,
                .jitter = (double)world_random(w, 11) / 10,
        };
        f->retry.max_backoff_ns = f->retry.initial_backoff_ns + some_span(w);
        f->retry.n_types = (uint32_t)world_random(w, 2);
        f->retry.types = f->retry.n_types ? final : NULL;
    }
    f->is_cancelled_alone = world_random(w, 10) == 0;
}

static void plan_depends(struct world *w, struct model_future *f)
{
    uint32_t n = 1 + (uint32_t)world_random(w, MODEL_DEPENDS);

    for (uint32_t k = 0; k < n; k++) {
        int i = world_any_here(w);
        const struct model_future *u = i < 0 ? NULL : &w->model.futures[i];

        if (u && u->scope / 2 == f->scope / 2 && w->shown.futures[i].is_shown && /* who names it has its ID */
            (u->durability == DURABILITY_DURABLE || f->durability == DURABILITY_EPHEMERAL))
            f->depends[f->n_depends++].future = i;
    }
    f->depend_policy = (enum depend_policy)(1 + world_random(w, 3));
    f->passes_results = (int)world_random(w, 2);
}

/* Whose turn it is among others, and who must not run beside it. */
static void plan_keys(struct world *w, struct model_future *f)
{
    f->lane = f->scope / 2 * CLIENTS_LANES +
              (int)(world_random(w, 3) ? (uint64_t)(f->scope % 2) : world_random(w, CLIENTS_LANES));
    if (world_random(w, 3))
        f->slot = (f->function * 2 + f->scope / 2) * MODEL_SLOT_KEYS +
                  (int)world_random(w, 1 + world_random(w, MODEL_SLOT_KEYS));
}

static struct model_future plan(struct world *w)
{
    struct model_future f = {
            .scope = (int)world_random(w, WORLD_SCOPES),
            .group = (int)world_random(w, 2) ? -1 : (int)world_random(w, WORLD_GROUPS),
            .function = (int)world_random(w, (uint64_t)MIN(w->model.n_functions + 1, (int)MODEL_FUNCTIONS)),
            .priority = world_random(w, 3) ? 0 : (int32_t)world_random(w, 5) - 2,
            .durability = world_random(w, 2) ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL,
            .on_lost = world_random(w, 4) ? ON_LOST_RETRY : ON_LOST_FAIL,
            .retention_ns = -1,
            .worker = -1,
            .slot = -1,
            .failed_by = -1,
    };

    if (world_random(w, 4) == 0)
        f.key = 1 + (int)world_random(w, WORLD_KEYS);
    if (world_random(w, 4) == 0)
        plan_again(w, &f);
    if (world_random(w, 5) == 0)
        f.retention_ns = (int64_t)world_random(w, 100) * NS_PER_S;
    f.lane = f.scope / 2 * CLIENTS_LANES + f.scope % 2;
    if (world_random(w, 8) < w->wants_times)
        plan_times(w, &f);
    if (world_random(w, 8) < w->wants_depends)
        plan_depends(w, &f);
    if (world_random(w, 8) < w->wants_keys)
        plan_keys(w, &f);
    f.task = (uint32_t)w->model.n_futures;
    f.task_bytes = 8 + (uint32_t)world_random(w, world_random(w, 50) ? 40 : 3000);
    return f;
}

static struct bytes *make_task(const struct model_future *m)
{
    struct bytes *task = bytes_new(m->task_bytes);

    memset(task->data, 0, task->len);
    memcpy(task->data, &m->task, sizeof m->task);
    memcpy(task->data + task->len - sizeof m->task, &m->task, sizeof m->task);
    return task;
}

/* The model learns of what was accepted: @f, as @plan says. */
static void accepted(struct world *w, struct model_future *plan, const struct future *f)
{
    uint64_t key = id_key(&f->id);
    int i;

    ASSERT(key > w->key_floor); /* nobody has ever had it */
    w->key_floor = key;
    plan->id = f->id;
    plan->submit_time = f->submit_time;
    i = model_submit(&w->model, plan);
    if (key > w->key_ceiling) { /* its ID may be shown when the store knows */
        w->commit_seq[i] = w->last_seq + 1;
        w->model.is_urgent = 1;
    }
    world_says(w, "submit %d: function %d, priority %d, group %d, lane %d, slot %d, depends %u%s%s%s%s", i,
               plan->function, plan->priority, plan->group, plan->lane, plan->slot, plan->n_depends,
               plan->durability == DURABILITY_DURABLE ? "" : ", ephemeral",
               plan->on_lost == ON_LOST_FAIL ? ", once" : "", plan->not_before ? ", later" : "",
               plan->deadline ? ", deadline" : "");
    if (world_random(w, 2)) /* else somebody waits for its end */
        shown_future(w, i);
}

/* What a submission with the key of @plan finds. Whether it is answered by that, be it with a refusal; else *ret_holder gives
 * its key up to the new one, -1 = there is none. A holder that only the disk has is asked for there first, which is what
 * the service does: here it is enough that the engine says that it may be there. */
static int join(struct world *w, const struct engine_submit *in, const struct model_future *plan,
                int *ret_holder)
{
    int i = *ret_holder = model_holder(&w->model, plan->scope, plan->key), r, is_over;
    const struct model_future *m = i < 0 ? NULL : &w->model.futures[i];
    struct future *f;

    if (m && m->is_out) {
        ASSERT(!engine_find_key(w->e, in->scope, in->key));
        ASSERT(engine_key_may_be_stored(w->e, in->scope, in->key)); /* else it would run twice */
        world_says(w, "the key of %d, which the disk has", i);
        return 1;
    }
    ASSERT(engine_find_key(w->e, in->scope, in->key) == (m ? world_future(w, i) : NULL));
    r = engine_join(w->e, in, &f);
    if (!m) {
        ASSERT(r == 0 && !f);
        return 0;
    }
    if (m->function != plan->function) {
        ASSERT(r == ENGINE_E_OTHER_TASK && f == world_future(w, i));
        return 1;
    }
    if (in->key_policy == KEY_REJECT) {
        ASSERT(r == ENGINE_E_KEY_IN_USE && f == world_future(w, i));
        return 1;
    }
    is_over = in->key_policy == KEY_JOIN_WHILE_ACTIVE    ? model_is_terminal(m)
              : in->key_policy == KEY_JOIN_UNLESS_FAILED ? m->at == AT_FAILED || m->at == AT_CANCELLED
                                                         : 0;
    ASSERT(r == 0 && f == (is_over ? NULL : world_future(w, i)));
    if (f) {
        world_says(w, "joined %d", i);
        shown_future(w, i);
    }
    return f != NULL;
}

static struct span fairness_key(const struct model_future *f)
{
    static const char *const names[CLIENTS_LANES] = {"alice", "bob", "x", "y"};
    int own = f->scope / 2 * CLIENTS_LANES + f->scope % 2;

    return f->lane == own ? (struct span){0} : span_of_string(names[f->lane % CLIENTS_LANES]);
}

static struct span concurrency_key(const struct model_future *f)
{
    static const char *const names[MODEL_SLOT_KEYS] = {"one", "two", "three"};

    return f->slot < 0 ? (struct span){0} : span_of_string(names[f->slot % MODEL_SLOT_KEYS]);
}

static int is_full(const struct world *w, int function)
{
    const struct model_settings *set = &w->model.functions[function].set;

    return set->max_pending && model_n_pending(&w->model, function) >= set->max_pending;
}

static void submit_one(struct world *w)
{
    struct model_future plan_ = plan(w);
    struct future *upstreams[MODEL_DEPENDS];
    struct bytes *task;
    struct future *f = NULL;
    char name[32], request[WORLD_REQUEST_BYTES];
    int is_known = plan_.function < w->model.n_functions, holder = -1, r;
    struct engine_submit in = {
            .scope = w->scopes[plan_.scope],
            .function = world_function_name(plan_.function, name),
            .group = world_group(plan_.group),
            .priority = plan_.priority,
            .durability = plan_.durability,
            .on_lost = plan_.on_lost,
            .retention_ns = plan_.retention_ns,
            .key = world_key(plan_.key),
            .request_id = world_request(plan_.task, request),
            .key_policy = (enum key_policy)(1 + world_random(w, 4)),
            .fairness_key = fairness_key(&plan_),
            .concurrency_key = concurrency_key(&plan_),
            .not_before = plan_.not_before,
            .deadline = plan_.deadline,
            .attempt_timeout_ns = plan_.attempt_timeout_ns,
            .retry = plan_.retry.max_attempts ? &plan_.retry : NULL,
            .is_cancelled_alone = plan_.is_cancelled_alone,
            .upstreams = upstreams,
            .n_upstreams = plan_.n_depends,
            .depend_policy = plan_.depend_policy,
            .passes_results = (uint8_t)plan_.passes_results,
    };

    if (w->model.n_futures == MODEL_FUTURES || world_refuses(w, &plan_, 1))
        return;
    for (uint32_t k = 0; k < plan_.n_depends; k++)
        upstreams[k] = world_future(w, plan_.depends[k].future);
    in.task = task = make_task(&plan_);
    if (world_random(w, 5) == 0)
        in.tag = in.traceparent = SPAN_LIT("00-trace");
    if (plan_.key && join(w, &in, &plan_, &holder)) {
        bytes_unref(task);
        return;
    }
    world_fail(w);
    r = engine_submit(w->e, &in, &f);
    if (n_alive(w) - (r == 0) >= w->config.limits.max_futures) {
        world_failed(w);
        ASSERT(r == ENGINE_E_FULL_FUTURES);
    } else if (!is_known && !w->config.accept_unknown_functions) {
        world_failed(w);
        ASSERT(r == ENGINE_E_NO_SUCH_FUNCTION);
    } else if (is_known && is_full(w, plan_.function)) {
        world_failed(w);
        ASSERT(r == ENGINE_E_FULL_FUNCTION);
    } else if (r == ENGINE_E_NO_KEYS) {
        world_failed(w);
        ASSERT(w->ceiling_seq); /* the store has been asked for more, and has not answered */
    } else if (world_done(w, r)) {
        if (!is_known)
            w->functions[w->model.n_functions++] = f->function;
        if (holder >= 0)
            model_give_up(&w->model, holder, w->model.n_futures);
        accepted(w, &plan_, f);
    }
    if (!is_known && plan_.function == w->model.n_functions && engine_function_find(w->e, in.function))
        w->functions[w->model.n_functions++] =
                engine_function_find(w->e, in.function); /* known all the same */
    bytes_unref(task);
}

static void event_submit(struct world *w)
{
    for (uint64_t n = world_random(w, 4) ? 1 : world_random(w, 12); n > 0; n--)
        submit_one(w);
}

int clients_cancel(struct world *w, int i)
{
    int64_t grace_ns = world_random(w, 2) ? -1 : (int64_t)world_random(w, 20) * NS_PER_S;

    world_says(w, "cancel %d", i);
    world_fail(w);
    if (!world_done(w, engine_cancel(w->e, world_future(w, i), w->scopes[0], SPAN_LIT("why not"), grace_ns)))
        return -1;
    model_cancel(&w->model, i, grace_ns);
    world_shows(w, i);
    return 0;
}

static void event_cancel(struct world *w)
{
    int i = world_any_here(w);

    if (i >= 0 && !world_refuses(w, &w->model.futures[i], 0))
        (void)clients_cancel(w, i);
}

static int may_be_retried(const struct model_future *f)
{
    return model_is_here(f) && (f->at == AT_FAILED || f->at == AT_CANCELLED);
}

/* The task of @i once more; by anybody of its namespace, with other options. */
static void retry(struct world *w, int i)
{
    const struct model_future *m = &w->model.futures[i];
    struct model_future plan_ = {
            .scope = m->scope / 2 * 2 + (int)world_random(w, 2),
            .group = m->group,
            .function = m->function,
            .priority = (int32_t)world_random(w, 3),
            .durability = m->durability,
            .on_lost = world_random(w, 4) ? ON_LOST_RETRY : ON_LOST_FAIL,
            .retention_ns = world_random(w, 4) ? -1 : (int64_t)world_random(w, 100) * NS_PER_S,
            .worker = -1,
            .slot = -1,
            .failed_by = -1,
            .task = m->task,
            .task_bytes = m->task_bytes,
            .retry_of = i + 1,
    };
    struct future *of = world_future(w, i), *f = NULL;
    char name[32];
    struct engine_submit in = {
            .scope = w->scopes[plan_.scope],
            .function = world_function_name(plan_.function, name),
            .task = of->task,
            .priority = plan_.priority,
            .durability = plan_.durability,
            .on_lost = plan_.on_lost,
            .retention_ns = plan_.retention_ns,
    };
    int r;

    plan_.lane = plan_.scope / 2 * CLIENTS_LANES + plan_.scope % 2;
    world_says(w, "retry %d", i);
    world_fail(w);
    r = engine_retry(w->e, of, &in, &f);
    if (!may_be_retried(m) || m->retried_by) {
        world_failed(w);
        ASSERT(r == (may_be_retried(m) ? ENGINE_E_RETRIED : ENGINE_E_NOT_FAILED));
    } else if (n_alive(w) - (r == 0) >= w->config.limits.max_futures) {
        world_failed(w);
        ASSERT(r == ENGINE_E_FULL_FUTURES || r == -ENOMEM); /* the mark of its retry is made first */
    } else if (is_full(w, plan_.function)) {
        world_failed(w);
        ASSERT(r == ENGINE_E_FULL_FUNCTION || r == -ENOMEM);
    } else if (r == ENGINE_E_NO_KEYS) {
        world_failed(w);
        ASSERT(w->ceiling_seq);
    } else if (world_done(w, r)) {
        accepted(w, &plan_, f);
        model_retry(&w->model, i);
        world_shows(w, i);
    }
}

static void event_retry(struct world *w)
{
    int i = world_random(w, 8) ? world_any(w, may_be_retried) : world_any_here(w);

    if (i >= 0 && w->model.n_futures < MODEL_FUTURES && !world_refuses(w, &w->model.futures[i], 1))
        retry(w, i);
}

void clients_annotate(struct world *w, int i)
{
    int32_t value = (int32_t)world_random(w, 1000);
    struct label label = {SPAN_LIT("n"), {(const uint8_t *)&value, sizeof value}};
    uint64_t revision;
    struct labels *labels;
    int r;

    labels = labels_new(&label, 1);
    revision = w->model.futures[i].revision - world_random(w, 2);
    world_says(w, "annotate %d with %d", i, value);
    world_fail(w);
    r = engine_annotate(w->e, world_future(w, i), labels, &revision);
    if (revision != w->model.futures[i].revision) {
        world_failed(w);
        ASSERT(r == ENGINE_E_REVISION);
        mem_free(labels);
    } else if (world_done(w, r)) {
        model_annotate(&w->model, i, value);
        world_shows(w, i);
    } else {
        mem_free(labels);
    }
}

static void event_annotate(struct world *w)
{
    int i = world_any_here(w);

    if (i >= 0 && !world_refuses(w, &w->model.futures[i], 0))
        clients_annotate(w, i);
}

void clients_delete(struct world *w, int i)
{
    struct model_future *m = &w->model.futures[i];
    int r;

    world_says(w, "delete %d", i);
    world_fail(w);
    r = engine_delete(w->e, world_future(w, i));
    if (!model_is_terminal(m) || model_is_pinned(m)) {
        world_failed(w);
        ASSERT(r == (!model_is_terminal(m) ? ENGINE_E_NOT_TERMINAL : ENGINE_E_PINNED));
        return;
    }
    if (!world_done(w, r))
        return;
    m->is_gone = m->is_deleted = 1;
    m->is_changed = m->is_unnoted = m->is_now = 0;
    w->is_fact[i] = 0;
    if (w->has_store && m->is_stored) {
        w->must_forget[i] = 1;
        w->deleted_seq = w->last_seq + 1;
        w->model.is_urgent = 1;
    }
    if (w->has_store)
        shown_deleted(w, i);
}

static void event_delete(struct world *w)
{
    int i = world_any_here(w);

    if (i >= 0 && !world_refuses(w, &w->model.futures[i], 0))
        clients_delete(w, i);
}

const struct world_event clients_events[] = {
        {"submit", event_submit, 0, 1, 4}, /* nothing happens without */
        {"cancel", event_cancel, 0, 1, 0},
        {"annotate", event_annotate, 0, 1, 0},
        {"delete", event_delete, 0, 1, 0},
        {"retry", event_retry, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
