// SPDX-License-Identifier: Apache-2.0
/* Clients that change when a task is to run, to end, to be forgotten, and before whom. */
#include "world.h"

static struct engine_reschedule plan(struct world *w, int i)
{
    struct engine_reschedule in = {0};

    if (world_random(w, 2)) {
        in.has_priority = 1;
        in.priority = (int32_t)world_random(w, 5) - 2;
    }
    if (world_random(w, 2)) {
        in.has_not_before = 1;
        in.not_before =
                world_random(w, 3) ? clients_time(w, i) : w->model.wall - (int64_t)world_random(w, NS_PER_S);
    }
    if (world_random(w, 3) == 0) {
        in.has_deadline = 1;
        in.deadline = world_random(w, 4) ? clients_time(w, i) : 0;
    }
    if (world_random(w, 4) == 0 || model_is_terminal(&w->model.futures[i])) {
        in.has_retention = 1;
        in.retention_ns = (int64_t)world_random(w, 200) * NS_PER_S;
    }
    if (model_is_terminal(&w->model.futures[i]) && world_random(w, 8))
        in.has_priority = in.has_not_before = in.has_deadline = 0;
    return in;
}

/* What is wrong with it, apart from memory. */
static int judge(const struct world *w, int i, const struct engine_reschedule *in)
{
    const struct model_future *m = &w->model.futures[i];
    wall_ns_t not_before = in->has_not_before ? in->not_before : m->not_before,
              deadline = in->has_deadline ? in->deadline : m->deadline;

    if (in->if_revision && *in->if_revision != m->revision)
        return ENGINE_E_REVISION;
    if (model_is_terminal(m) && (in->has_priority || in->has_not_before || in->has_deadline))
        return ENGINE_E_TERMINAL;
    return deadline && not_before > w->model.wall && deadline < not_before ? ENGINE_E_TIMES : 0;
}

static void event_reschedule(struct world *w)
{
    int i = world_any_here(w), r, wrong;
    struct engine_reschedule in;
    uint64_t revision;

    if (i < 0 || world_refuses(w, &w->model.futures[i], 0))
        return;
    in = plan(w, i);
    revision = w->model.futures[i].revision - world_random(w, 2);
    if (world_random(w, 4) == 0)
        in.if_revision = &revision;
    wrong = judge(w, i, &in);
    world_says(w, "reschedule %d:%s%s%s%s", i, in.has_priority ? " priority" : "",
               in.has_not_before ? " not_before" : "", in.has_deadline ? " deadline" : "",
               in.has_retention ? " retention" : "");
    world_fail(w);
    r = engine_reschedule(w->e, world_future(w, i), &in);
    if (wrong) {
        world_failed(w);
        ASSERT(r == wrong);
    } else if (world_done(w, r)) {
        model_reschedule(&w->model, i, &in);
        world_shows(w, i);
    }
}

const struct world_event times_events[] = {
        {"reschedule", event_reschedule, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
