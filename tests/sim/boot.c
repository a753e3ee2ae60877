// SPDX-License-Identifier: Apache-2.0
/*
 * What executor.c does at the start and at the end of the daemon, and what is then so. A crash is a cut of the power: the
 * disk takes nothing any more, and what the daemon still does while it is taken apart has no effect on anything.
 */
#include "daemon/loader.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RING_SIZE = 40 };

static void on_refusal(void *arg, enum persist_refusal why)
{
    struct world *w = arg;

    world_says(w, "  refusal %d", (int)why);
    w->refusal = why;
}

static void on_broken(void *arg, int is_corrupt)
{
    struct world *w = arg;

    ASSERT(!w->is_broken);
    world_says(w, "  the store is broken");
    w->is_broken = 1;
}

/* --- start */

static void take_apart(struct world *w)
{
    w->loader = loader_free(w->loader);
    w->persist = persist_close(w->persist);
    w->e = engine_free(w->e);
    ASSERT(w->machine.n_threads == 0 && w->machine.n_timers == 0 && w->machine.n_watches == 0);
}

static int read_store(struct world *w)
{
    int is_complete = 0, r;

    r = loader_new(&w->loader, persist_store(w->persist), w->e, machine_loop(&w->machine), &w->config.seed);
    if (r < 0)
        return r;
    w->load = loader_interface(w->loader);
    r = persist_begin(w->persist, w->e);
    while (r == 0 && !is_complete)
        r = persist_recover(w->persist, &is_complete);
    return r;
}

static int start(struct world *w)
{
    const struct persist_config config = {
            .directory = "/",
            .reserve_bytes = 10,
            .loop = machine_loop(&w->machine),
            .server = machine_server(&w->machine),
            .on_refusal = on_refusal,
            .on_broken = on_broken,
            .arg = w,
    };
    int r = 0;

    w->refusal = PERSIST_ACCEPTS;
    w->is_broken = 0;
    if (w->has_store)
        r = persist_open(&w->persist, &config);
    if (r < 0)
        return r;
    if (w->has_store) {
        w->config.epoch = persist_meta(w->persist)->epoch;
        w->config.last_key = persist_meta(w->persist)->k_ceiling;
    }
    r = engine_new(&w->e, &w->config);
    if (r < 0)
        return r;
    engine_begin(w->e, w->machine.mono, w->machine.wall);
    r = engine_ring_keep(w->e, RING_SIZE); /* for engine_check */
    if (r < 0)
        return r;
    return w->has_store ? read_store(w) : 0;
}

/* Names come back as settings, tasks bring theirs with them. */
static void find_names(struct world *w)
{
    char name[32];

    memset(w->functions, 0, sizeof w->functions);
    for (int k = 0; k < MODEL_FUNCTIONS; k++) {
        snprintf(name, sizeof name, "function-%d", k);
        w->functions[k] = engine_function_find(w->e, span_of_string(name));
        ASSERT(!w->functions[k] == (k >= w->model.n_functions));
    }
    for (int i = 0; i < WORLD_SCOPES; i++) {
        w->scopes[i] = engine_scope(w->e, i / 2 ? SPAN_LIT("prod") : SPAN_LIT(""),
                                    i % 2 ? SPAN_LIT("bob") : SPAN_LIT("alice"));
        ASSERT(w->scopes[i]);
    }
}

/* The disk has what the model says, and nothing else but what has expired. */
static void check_disk(const struct world *w)
{
    const struct model *m = &w->model;
    uint32_t n = 0;

    for (int i = 0; i < m->n_futures; i++) {
        const struct model_future *k = &m->kept[i];
        const struct disk_row *row = disk_find(&w->disk, &m->futures[i].id);

        if (!k->is_stored || k->is_deleted) {
            ASSERT(!row);
            continue;
        }
        ASSERT(row || m->futures[i].was_due);
        if (row)
            ASSERT(row->is_done == model_is_terminal(k));
        n += row != NULL;
    }
    ASSERT(n == w->disk.content.n_rows);
}

static void restart_model(struct world *w)
{
    struct model *m = &w->model;
    uint8_t on_disk[MODEL_FUTURES];

    for (int i = 0; i < m->n_futures; i++)
        on_disk[i] = disk_find(&w->disk, &m->futures[i].id) != NULL;
    model_restart(m, on_disk);
    memset(w->is_fact, 0, sizeof w->is_fact);
    memset(w->must_forget, 0, sizeof w->must_forget);
    memset(w->commit_seq, 0, sizeof w->commit_seq);
    memset(w->listers, 0, sizeof w->listers);
    w->last_seq = w->durable_seq = w->deleted_seq = 0;
    w->key_ceiling = w->asked_ceiling = w->has_store ? w->disk.content.key_ceiling : UINT64_MAX;
    w->ceiling_seq = 0;
    w->key_floor = 0;
    for (int i = 0; i < m->n_futures; i++)
        if (w->shown.futures[i].is_shown || m->kept[i].is_stored)
            w->key_floor = MAX(w->key_floor, id_key(&m->futures[i].id));
}

void boot_start(struct world *w)
{
    int r;

    w->config.seed = (struct hash_seed){world_random(w, UINT64_MAX), world_random(w, UINT64_MAX)};
    w->config.random = world_random(w, UINT64_MAX);
    for (int n = 0;; n++) {
        if (n < 3)
            world_fail(w);
        r = start(w);
        if (!world_failed(w) && r == 0)
            break;
        ASSERT(n < 4);
        take_apart(w); /* and whoever keeps it running tries again, though it may have come through */
    }
    w->n_starts++;
    world_says(w, "start %u, epoch %u", w->n_starts, w->config.epoch);
    restart_model(w);
    shown_restart(w);
    if (w->has_store)
        check_disk(w);
    find_names(w);
    searching_begin(w);
}

/* --- end */

/* Calls end. */
static void end_calls(struct world *w)
{
    for (int n = 0; n < MODEL_WAITERS; n++)
        if (w->model.waiters[n].is_used)
            waiting_drop(w, n);
    for (int k = 0; k < WORLD_STRETCHES; k++)
        finding_drop(w, &w->stretches[k]);
    for (int k = 0; k < WORLD_WISHES; k++)
        w->wishes[k].is_used = 0;
    searching_drop_all(w);
}

static void end_workers(struct world *w)
{
    for (int k = 0; k < MODEL_WORKERS; k++)
        if (w->model.workers[k].is_used)
            w->holders[k] = engine_holder_free(w->e, w->holders[k]);
}

void boot_stop(struct world *w)
{
    world_says(w, "the daemon is stopped");
    engine_stay(w->e);
    w->model.is_staying = 1;
    for (int i = 0; i < w->model.n_futures; i++)
        while (model_is_leased(&w->model.futures[i]))
            workers_give_up(w, i);
    end_calls(w);
    w->loader = loader_free(w->loader);
    world_check(w);
    world_begin(w);
    (void)engine_shown_any(w->e);
    for (int i = 0; i < w->model.n_futures; i++)
        w->model.is_urgent |= w->is_fact[i];
    w->model.is_all = w->model.is_urgent;
    (void)world_commit(w);
    end_workers(w);
    take_apart(w);
    disk_on(&w->disk);
    model_kept(&w->model, w->disk.content.seq);
}

/* The model is not told of what is done here: what is left is what got to the disk before. */
void boot_crash(struct world *w)
{
    static const enum disk_fault faults[] = {DISK_WELL, DISK_LOST, DISK_TORN};

    world_says(w, "crash");
    if (!w->disk.is_poisoned && world_random(w, 2)) { /* in the middle of a commit, or right behind it */
        w->disk.fault = faults[world_random(w, ARRAY_LEN(faults))];
        machine_step(&w->machine, world_random(w, MACHINE_THREADS));
    }
    disk_off(&w->disk);
    for (int k = 0; k < MODEL_WORKERS; k++)
        while (w->model.workers[k].is_used && w->holders[k]->n_leases > 0) {
            struct lease *lease = LIST_ENTRY(list_first(&w->holders[k]->leases), struct lease, of_holder);

            ASSERT(engine_lose(w->e, lease) == 0);
        }
    end_calls(w);
    end_workers(w);
    take_apart(w);
    disk_on(&w->disk);
    model_kept(&w->model, w->disk.content.seq);
}
