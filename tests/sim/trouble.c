// SPDX-License-Identifier: Apache-2.0
/* What happens around the daemon: its threads get on or do not, the disk fails or is slow, the power is cut. */
#include "world.h"

/* Which of @n is next; in some worlds one of them is slow. */
static uint64_t pick(struct world *w, uint64_t n, uint32_t slow)
{
    uint64_t i = world_random(w, n);

    return i == slow && world_random(w, 10) ? (i + 1) % n : i;
}

/* One of the threads does one thing. */
static void event_thread(struct world *w)
{
    world_fail(w);
    machine_step(&w->machine, pick(w, w->machine.n_threads, w->slow_thread));
    world_failed(w);
    model_kept(&w->model, w->disk.content.seq);
}

/* The loop hears of what the threads have done. */
static void event_mail(struct world *w)
{
    world_fail(w);
    machine_mail(&w->machine, pick(w, w->machine.n_watches, w->slow_watch));
    world_failed(w);
}

/* All threads get on, and the engine hears of what is durable, but nobody of what has been read. */
void trouble_commit(struct world *w)
{
    for (uint64_t k = 0; k < w->machine.n_threads; k++)
        machine_step(&w->machine, k);
    model_kept(&w->model, w->disk.content.seq);
    machine_mail(&w->machine, 1); /* the watch of persist.c; that of loader.c was there first */
}

static void settle(struct world *w)
{
    int n = 0;

    for (int round = 0; round < 1000 && n < 2; round++, n++) {
        for (uint64_t k = 0; k < MACHINE_THREADS; k++)
            if (machine_step(&w->machine, k))
                n = 0;
        model_kept(&w->model, w->disk.content.seq);
        for (uint64_t k = 0; k < w->machine.n_watches; k++)
            machine_mail(&w->machine, k);
    }
}

/* Everything that is under way comes to its end. */
static void event_settle(struct world *w)
{
    settle(w);
}

static void event_disk(struct world *w)
{
    static const enum disk_fault faults[] = {DISK_WELL, DISK_WELL, DISK_WELL, DISK_FULL,
                                             DISK_FULL, DISK_LOST, DISK_TORN};

    w->disk.fault = faults[world_random(w, ARRAY_LEN(faults))];
    w->disk.is_unreadable = world_random(w, 4) == 0;
    w->machine.is_space_low = world_random(w, 6) == 0;
    world_says(w, "disk: fault %d%s%s", (int)w->disk.fault, w->disk.is_unreadable ? ", unreadable" : "",
               w->machine.is_space_low ? ", little space" : "");
}

/* The power is not cut all the time; where the store is broken the daemon ends soon. */
static void event_end(struct world *w)
{
    if (!w->is_broken && world_random(w, 30))
        return;
    if (world_random(w, 3))
        boot_crash(w);
    else
        boot_stop(w);
    if (world_random(w, 4) == 0)
        w->machine.wall += (int64_t)world_random(w, 7200) * NS_PER_S - 3600 * NS_PER_S;
    w->machine.mono += (int64_t)world_random(w, 100) * NS_PER_S;
    w->model.wall = w->machine.wall;
    w->model.mono = w->machine.mono;
    boot_start(w);
}

void trouble_settle(struct world *w)
{
    if (w->has_store)
        settle(w);
}

void trouble_end(struct world *w)
{
    w->disk.fault = DISK_WELL;
    w->disk.is_unreadable = w->machine.is_space_low = 0;
    trouble_settle(w);
    w->is_calm = 1;
    if (w->disk.is_poisoned) {
        boot_stop(w);
        boot_start(w);
    }
    world_check(w);
}

const struct world_event trouble_events[] = {
        {"thread", event_thread, 1, 0, 3}, {"mail", event_mail, 1, 0, 3}, {"settle", event_settle, 1, 0, 0},
        {"disk", event_disk, 1, 0, 0},     {"end", event_end, 1, 0, 1},   {NULL, NULL, 0, 0, 0},
};
