// SPDX-License-Identifier: Apache-2.0
/*
 * Clients: each event is one thing that one of them does, done to the engine and then to the model. What a command may
 * answer is known before. As the service does, they leave alone what the store's state keeps from being changed.
 */
#include "base/mem.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int is_here(const struct model_future *f)
{
    return model_is_here(f);
}

static int any_future(struct world *w)
{
    return world_any(w, is_here);
}

static int any_waiter(struct world *w)
{
    int used[MODEL_WAITERS], n = 0;

    for (int k = 0; k < MODEL_WAITERS; k++)
        if (w->model.waiters[k].is_used)
            used[n++] = k;
    return n ? used[world_random(w, (uint64_t)n)] : -1;
}

/* Whether the store's state keeps the service from changing what is like @m. */
static int is_refused(const struct world *w, const struct model_future *m, int is_new)
{
    if (w->refusal == PERSIST_ACCEPTS || m->durability != DURABILITY_DURABLE)
        return 0;
    return is_new || w->refusal == PERSIST_STALLED || w->refusal == PERSIST_BROKEN;
}

static struct span group_name(int group)
{
    static const char *const names[WORLD_GROUPS] = {"red", "green", "blue", "g"};

    return group < 0 ? (struct span){0} : span_of_string(names[group]);
}

static struct span function_name(int k, char name[32])
{
    snprintf(name, 32, "function-%d", k);
    return span_of_string(name);
}

/* --- clients */

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
    };

    if (world_random(w, 4) == 0)
        f.key = 1 + (int)world_random(w, WORLD_KEYS);
    if (world_random(w, 4) == 0)
        plan_again(w, &f);
    if (world_random(w, 10) == 0)
        f.retention_ns = (int64_t)world_random(w, 100) * NS_PER_S;
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
    i = model_submit(&w->model, plan);
    if (key > w->key_ceiling) { /* its ID may be shown when the store knows */
        w->commit_seq[i] = w->last_seq + 1;
        w->model.is_urgent = 1;
    }
    w->must_work[plan->function] = 1;
    world_says(w, "submit %d: function %d, priority %d, group %d%s%s", i, plan->function, plan->priority,
               plan->group, plan->durability == DURABILITY_DURABLE ? "" : ", ephemeral",
               plan->on_lost == ON_LOST_FAIL ? ", once" : "");
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

static void submit_one(struct world *w)
{
    struct model_future plan_ = plan(w);
    struct bytes *task;
    struct future *f = NULL;
    char name[32];
    int is_known = plan_.function < w->model.n_functions, holder = -1, r;
    struct engine_submit in = {
            .scope = w->scopes[plan_.scope],
            .function = function_name(plan_.function, name),
            .group = group_name(plan_.group),
            .priority = plan_.priority,
            .durability = plan_.durability,
            .on_lost = plan_.on_lost,
            .retention_ns = plan_.retention_ns,
            .key = world_key(plan_.key),
            .key_policy = (enum key_policy)(1 + world_random(w, 4)),
    };

    if (w->model.n_futures == MODEL_FUTURES || is_refused(w, &plan_, 1))
        return;
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
    } else if (r == ENGINE_E_NO_KEYS) {
        world_failed(w);
        ASSERT(w->ceiling_seq); /* the store has been asked for more, and has not answered */
    } else if (world_done(w, r)) {
        if (!is_known)
            w->functions[w->model.n_functions++] = f->function;
        if (holder >= 0)
            model_give_up(&w->model, holder);
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

/* The answer to a call that changes @i shows it. What the model knows of it goes before: a commit is told by that. */
static void shown_soon(struct world *w, int i)
{
    world_note(w);
    shown_future(w, i);
}

static void event_cancel(struct world *w)
{
    int i = any_future(w), had_lease;

    if (i < 0 || is_refused(w, &w->model.futures[i], 0))
        return;
    had_lease = model_is_leased(&w->model.futures[i]);
    world_says(w, "cancel %d", i);
    world_fail(w);
    if (!world_done(w, engine_cancel(w->e, world_future(w, i), w->scopes[0], SPAN_LIT("why not"), -1)))
        return;
    if (had_lease && !w->model.futures[i].is_cancel)
        w->must_revoke[i] = 1;
    model_cancel(&w->model, i);
    shown_soon(w, i);
}

static void annotate(struct world *w, int i)
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
        shown_soon(w, i);
    } else {
        mem_free(labels);
    }
}

static void event_annotate(struct world *w)
{
    int i = any_future(w);

    if (i >= 0 && !is_refused(w, &w->model.futures[i], 0))
        annotate(w, i);
}

static void delete (struct world *w, int i)
{
    struct model_future *m = &w->model.futures[i];
    int r;

    world_says(w, "delete %d", i);
    world_fail(w);
    r = engine_delete(w->e, world_future(w, i));
    if (!model_is_terminal(m) || m->n_pins) {
        world_failed(w);
        ASSERT(r == (!model_is_terminal(m) ? ENGINE_E_NOT_TERMINAL : ENGINE_E_PINNED));
        return;
    }
    if (!world_done(w, r))
        return;
    m->is_gone = m->is_deleted = 1;
    m->is_changed = 0;
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
    int i = any_future(w);

    if (i >= 0 && !is_refused(w, &w->model.futures[i], 0))
        delete (w, i);
}

/* --- waiting */

static void wait_for(struct world *w, int n, int i)
{
    int r;

    if (model_n_edges(&w->model.waiters[n]) >= MODEL_EDGES / 2)
        return; /* the rest is for members of a group */
    world_fail(w);
    r = engine_wait(w->e, &w->waiters[n], world_future(w, i), NULL, (uint32_t)i);
    if (r == ENGINE_E_FULL_EDGES) {
        world_failed(w);
        ASSERT(engine_stats(w->e).n_edges == w->config.limits.max_waiter_edges);
    } else if (world_done(w, r)) {
        model_wait(&w->model, n, i);
        world_says(w, "  waiter %d waits for %d", n, i);
    }
}

static void wait_for_group(struct world *w, int n)
{
    int scope = (int)world_random(w, WORLD_SCOPES), group = (int)world_random(w, WORLD_GROUPS), r;
    uint32_t size = model_group_size(&w->model, scope, group), expect = (uint32_t)world_random(w, 6);

    if (world_random(w, 2))
        expect = 0;
    if (size > MODEL_EDGES / 2)
        return;
    world_fail(w);
    r = engine_wait_group(w->e, &w->waiters[n], w->scopes[scope], group_name(group), expect);
    if (r == ENGINE_E_FULL_EDGES) {
        world_failed(w);
        ASSERT(engine_stats(w->e).n_edges + MAX(size, expect) > w->config.limits.max_waiter_edges);
    } else if (world_done(w, r)) {
        model_wait_group(&w->model, n, scope, group, expect);
        world_says(w, "  waiter %d waits for group %d of %u, expects %u", n, group, size, expect);
    }
}

static int free_waiter(const struct world *w)
{
    for (int n = 0; n < MODEL_WAITERS; n++)
        if (!w->model.waiters[n].is_used)
            return n;
    return -1;
}

static void event_wait(struct world *w)
{
    static const enum waiter_mode modes[] = {WAITER_ALL, WAITER_FIRST_EXCEPTION, WAITER_COUNT, WAITER_EACH,
                                             WAITER_WATCH};
    int n = free_waiter(w), i;
    struct model_waiter *m;

    if (n < 0)
        return;
    m = &w->model.waiters[n];
    m->mode = modes[world_random(w, ARRAY_LEN(modes))];
    m->wanted = (uint32_t)world_random(w, 4);
    m->is_used = 1;
    waiter_init(&w->waiters[n], m->mode, m->wanted, NULL);
    world_says(w, "waiter %d, mode %d, wanted %u", n, (int)m->mode, m->wanted);
    if (world_random(w, 4) == 0) {
        wait_for_group(w, n);
        return;
    }
    for (uint64_t k = world_random(w, 6); k > 0; k--)
        if ((i = any_future(w)) >= 0 && (m->mode != WAITER_WATCH || world_future(w, i)->edges == NULL))
            wait_for(w, n, i);
}

/* A stream adds to what it waits for while it reads. */
static void event_wait_more(struct world *w)
{
    int n = any_waiter(w), i = any_future(w);

    if (n >= 0 && i >= 0 && w->model.waiters[n].mode == WAITER_EACH)
        wait_for(w, n, i);
}

/* A client takes some of what is ready, and is gone now and then. */
static void event_pull(struct world *w)
{
    int n = any_waiter(w);
    struct edge *edge;

    if (n < 0)
        return;
    if (world_random(w, 6) == 0) {
        world_says(w, "waiter %d goes away", n);
        clients_drop_waiter(w, n);
        return;
    }
    for (uint64_t k = world_random(w, 3) + 1; k > 0 && (edge = waiter_first_done(&w->waiters[n])); k--) {
        int i = model_find(&w->model, &edge->future->id);

        ASSERT(i >= 0);
        world_says(w, "waiter %d takes %d", n, i);
        if (w->model.waiters[n].mode == WAITER_WATCH && !model_is_terminal(&w->model.futures[i])) {
            waiter_seen(edge);
            model_seen(&w->model, n, i);
        } else {
            engine_unwait(w->e, edge);
            model_unwait(&w->model, n, i);
        }
    }
}

void clients_drop_waiter(struct world *w, int n)
{
    engine_waiter_drop(w->e, &w->waiters[n]);
    model_drop(&w->model, n);
}

/* --- lists: who was there all along is seen exactly once, nobody twice */

static void lister_end(struct world *w, struct lister *l)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (l->was_there[i])
            ASSERT(l->seen[i]);
    l->is_used = 0;
}

static void event_list(struct world *w)
{
    struct lister *l = &w->listers[world_random(w, WORLD_LISTERS)];
    uint32_t budget = 1 + (uint32_t)world_random(w, 10);
    struct future *f;

    if (!l->is_used) {
        memset(l, 0, sizeof *l);
        l->is_used = 1;
        l->scope = (int)world_random(w, WORLD_SCOPES);
        l->is_desc = (int)world_random(w, 2);
        l->key = l->is_desc ? UINT64_MAX : 0;
        for (int i = 0; i < w->model.n_futures; i++)
            l->was_there[i] =
                    model_is_here(&w->model.futures[i]) && w->model.futures[i].scope / 2 == l->scope / 2;
    }
    for (int i = 0; i < w->model.n_futures; i++)
        if (!model_is_here(&w->model.futures[i]))
            l->was_there[i] = 0;
    while ((f = engine_next(w->e, w->scopes[l->scope], l->key, l->is_desc, &budget, &l->key))) {
        int i = model_find(&w->model, &f->id);

        ASSERT(i >= 0 && w->model.futures[i].scope / 2 == l->scope / 2 && !l->seen[i]);
        l->seen[i] = 1;
    }
    if (budget > 0)
        lister_end(w, l);
}

/* --- what only the disk may have */

static int is_durable(const struct model_future *f)
{
    return f->durability == DURABILITY_DURABLE;
}

/* What the loader says that keeps it from @i. */
static void check_unloaded(const struct world *w, int i, int result)
{
    const struct model_future *m = &w->model.futures[i];

    world_says(w, "  %d is not loaded: %d", i, result);
    if (result == FUTURES_E_NOT_FOUND)
        ASSERT(m->is_gone && (m->is_deleted || m->was_due || !m->is_stored));
    else if (result == FUTURES_E_FULL)
        ASSERT(engine_stats(w->e).n_futures >= w->config.limits.max_futures);
    else if (result == FUTURES_E_UNREADABLE)
        ASSERT(!w->is_calm);
    else
        ASSERT(result == -ENOMEM || result == FUTURES_E_BUSY);
}

/* @i has come into memory, or has been there. One that has been forgotten may come back when the clock was set back. */
static void loaded(struct world *w, int i, const struct future *f)
{
    struct model_future *m = &w->model.futures[i];

    if (model_is_here(m))
        return;
    ASSERT(m->is_out && !m->is_deleted && m->expire_time > w->model.wall && world_find(w, i) == f);
    world_says(w, "  %d is loaded", i);
    w->commit_seq[i] = 0;
    model_loaded(&w->model, i);
}

static void on_wish(struct futures_wish *wish, int result, struct future *f)
{
    struct world_wish *mine = CONTAINER_OF(wish, struct world_wish, wish);
    struct world *w = mine->world;
    int i = mine->i;

    mine->is_used = 0;
    world_failed(w);
    if (result != 0) {
        check_unloaded(w, i, result);
        return;
    }
    loaded(w, i, f);
    world_check(w);
    shown_future(w, i);
    if (world_random(w, 4) == 0 && !is_refused(w, &w->model.futures[i], 0))
        annotate(w, i);
    if (world_random(w, 8) == 0 && !is_refused(w, &w->model.futures[i], 0) && !w->is_calm)
        delete (w, i);
}

void clients_get(struct world *w, int i)
{
    struct world_wish *mine = NULL;
    int r;

    if (model_is_here(&w->model.futures[i])) {
        shown_future(w, i);
        return;
    }
    for (int k = 0; k < WORLD_WISHES; k++)
        if (!w->wishes[k].is_used)
            mine = &w->wishes[k];
    if (!w->has_store || !mine)
        return;
    *mine = (struct world_wish){.world = w, .is_used = 1, .i = i};
    mine->wish.on_loaded = on_wish;
    list_init(&mine->wish.link);
    world_says(w, "somebody asks for %d", i);
    world_fail(w);
    r = w->load.load(w->load.context, &w->model.futures[i].id, &mine->wish);
    if (r != FUTURES_E_BUSY && world_done(w, r))
        return;
    world_failed(w);
    mine->is_used = 0;
}

static void event_get(struct world *w)
{
    int i = world_any(w, is_durable);

    if (i >= 0)
        clients_get(w, i);
}

/* Of what was on disk when it was asked for, and still is, all of the stretch is in memory. */
static void check_stretch(struct world *w, const struct world_stretch *s)
{
    const struct futures_stretch *st = &s->stretch;

    for (int i = 0; i < w->model.n_futures; i++) {
        const struct model_future *m = &w->model.futures[i];
        uint64_t key = id_key(&m->id);
        int is_in = st->is_desc ? key < st->key && (st->is_end || key >= st->last)
                                : key > st->key && (st->is_end || key <= st->last);

        if (s->was_kept[i] && is_in && m->scope / 2 == s->scope / 2 && !m->is_gone)
            ASSERT(model_is_here(m));
    }
}

static void on_stretch(struct futures_stretch *stretch, int result)
{
    struct world_stretch *s = CONTAINER_OF(stretch, struct world_stretch, stretch);
    struct world *w = s->world;

    world_failed(w);
    world_says(w, "a stretch of %u: %d", stretch->n, result);
    s->is_loaded = 1;
    for (uint32_t k = 0; k < stretch->n; k++) {
        int i = w->model.n_futures - 1;

        while (memcmp(&w->model.futures[i].id, &stretch->found[k].id, sizeof(struct id)) != 0)
            i--;
        loaded(w, i, stretch->found[k].future);
        w->model.futures[i].n_pins++;
        ASSERT(w->model.futures[i].scope / 2 == s->scope / 2);
    }
    if (result == 0)
        check_stretch(w, s);
    else
        ASSERT(result == -ENOMEM || result == FUTURES_E_BUSY || result == FUTURES_E_FULL ||
               (result == FUTURES_E_UNREADABLE && !w->is_calm));
}

void clients_drop_stretch(struct world *w, struct world_stretch *s)
{
    if (!s->is_used)
        return;
    if (s->stretch.handle)
        w->load.forget_stretch(w->load.context, &s->stretch);
    for (uint32_t k = 0; s->is_loaded && k < s->stretch.n; k++) {
        int i = model_find(&w->model, &s->stretch.found[k].id);

        ASSERT(i >= 0);
        engine_unpin(w->e, s->stretch.found[k].future);
        w->model.futures[i].n_pins--;
    }
    s->is_used = 0;
}

static int is_ended(const struct model_future *f)
{
    return model_is_here(f) && model_is_terminal(f);
}

/* The disk has been read, and before anybody hears of it some of that is not true any more. */
static void change_what_is_read(struct world *w)
{
    if (world_random(w, 2))
        return;
    for (uint64_t k = 0; k < w->machine.n_threads; k++)
        machine_step(&w->machine, k);
    for (uint64_t n = world_random(w, 4); n > 0; n--) {
        int i = world_any(w, is_ended);

        if (i >= 0 && !is_refused(w, &w->model.futures[i], 0))
            annotate(w, i);
        world_check(w);
    }
    for (uint64_t n = w->is_draining ? 0 : world_random(w, 4); n > 0;
         n--) { /* which may even get to the disk */
        world_turn(w, 0, 0);
        world_check(w);
        trouble_commit(w);
    }
}

/* A client lists what has finished; or has seen enough of it. */
static void event_stretch(struct world *w)
{
    struct world_stretch *s = &w->stretches[world_random(w, WORLD_STRETCHES)];
    int i = world_any(w, is_durable), r;

    if (s->is_used) {
        clients_drop_stretch(w, s);
        return;
    }
    *s = (struct world_stretch){.world = w, .is_used = 1, .scope = (int)world_random(w, WORLD_SCOPES)};
    s->stretch.namespace = s->scope / 2 ? SPAN_LIT("prod") : SPAN_LIT("");
    s->stretch.is_desc = (int)world_random(w, 2);
    s->stretch.now = engine_wall(w->e);
    s->stretch.limit = FUTURES_STRETCH_MAX;
    s->stretch.wants_futures = 1;
    s->stretch.on_loaded = on_stretch;
    s->stretch.key = s->stretch.is_desc ? UINT64_MAX : 0;
    if (i >= 0 && world_random(w, 2))
        s->stretch.key = id_key(&w->model.futures[i].id);
    for (int k = 0; k < w->model.n_futures; k++)
        s->was_kept[k] = w->model.kept[k].is_stored && model_is_terminal(&w->model.kept[k]);
    world_says(w, "somebody asks for a stretch%s", s->stretch.is_desc ? ", newest first" : "");
    world_fail(w);
    r = w->load.load_stretch(w->load.context, &s->stretch);
    if (r != FUTURES_E_BUSY && world_done(w, r)) {
        change_what_is_read(w);
        return;
    }
    world_failed(w);
    s->is_used = 0;
}

/* The owner of waiter @n takes a look: what it waits for is shown to it, if it is ready. */
void clients_answer(struct world *w, int n)
{
    const struct model_waiter *m = &w->model.waiters[n];

    for (int k = 0; k < MODEL_EDGES; k++)
        if (m->edges[k].future >= 0 && world_random(w, 3) == 0)
            shown_future(w, m->edges[k].future);
}

const struct world_event clients_events[] = {
        {"submit", event_submit, 0, 1, 4}, /* nothing happens without */
        {"cancel", event_cancel, 0, 1, 0},       {"annotate", event_annotate, 0, 1, 0},
        {"delete", event_delete, 0, 1, 0},       {"wait", event_wait, 0, 1, 0},
        {"wait more", event_wait_more, 0, 1, 0}, {"pull", event_pull, 0, 1, 0},
        {"list", event_list, 0, 1, 0},           {"get", event_get, 0, 1, 0},
        {"stretch", event_stretch, 1, 1, 0},     {NULL, NULL, 0, 0, 0},
};
