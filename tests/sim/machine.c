// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include "base/heap.h"
#include "base/mem.h"
#include "daemon/net/loop.h"
#include "grpc/server.h"
#include "store/committer.h"
#include "store/reader.h"
#include "store/thread.h"

#include <errno.h>
#include <string.h>

#include <sys/statvfs.h>

static struct machine *machine;

void machine_use(struct machine *m)
{
    machine = m;
}

/* --- the clock */

mono_ns_t clock_mono(void)
{
    return machine->mono;
}

wall_ns_t clock_wall(void)
{
    return machine->wall;
}

/* --- the file system */

int statvfs(const char *path, struct statvfs *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->f_bavail = machine->is_space_low ? 1 : 100;
    ret->f_frsize = 1;
    return 0;
}

/* --- threads: they begin when one is started, and do something when they are told to */

static int step_committer(void *object)
{
    return committer_step(object);
}

static int step_reader(void *object)
{
    return reader_step(object);
}

int thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg)
{
    struct thread *t = &machine->threads[machine->n_threads];

    if (mem_fail_here())
        return -EAGAIN;
    ASSERT(machine->n_threads < MACHINE_THREADS);
    *t = (struct thread){.object = arg};
    if (strcmp(name, "commit") == 0)
        t->step = step_committer;
    else if (strcmp(name, "reader") == 0)
        t->step = step_reader;
    *ret = ++machine->n_threads;
    return 0;
}

/* Its owner has told it to end: it does what it still has to do. */
void thread_join(pthread_t thread)
{
    struct thread *t = &machine->threads[thread - 1];

    while (t->step && t->step(t->object))
        ;
    *t = (struct thread){0};
    while (machine->n_threads > 0 && !machine->threads[machine->n_threads - 1].object)
        machine->n_threads--;
}

void thread_cond_init(pthread_cond_t *cond)
{
    ASSERT(pthread_cond_init(cond, NULL) == 0);
}

int machine_step(struct machine *m, uint64_t i)
{
    struct thread *t = m->n_threads ? &m->threads[i % m->n_threads] : NULL;

    return t && t->step ? t->step(t->object) : 0;
}

/* --- the loop */

struct loop *machine_loop(struct machine *m)
{
    return (struct loop *)m;
}

mono_ns_t loop_now(const struct loop *loop)
{
    return machine->mono;
}

int loop_timer_init(struct loop_timer *t, struct loop *loop, void (*on_time)(void *arg, mono_ns_t now),
                    void *arg)
{
    if (mem_fail_here())
        return -ENOMEM;
    ASSERT(machine->n_timers < MACHINE_TIMERS);
    *t = (struct loop_timer){.loop = loop, .on_time = on_time, .arg = arg};
    t->item.key = CLOCK_NEVER;
    machine->timers[machine->n_timers++] = t;
    return 0;
}

void loop_timer_deinit(struct loop_timer *t)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < machine->n_timers; i++)
        if (machine->timers[i] != t)
            machine->timers[n++] = machine->timers[i];
    machine->n_timers = n;
}

void loop_timer_set(struct loop_timer *t, mono_ns_t at)
{
    t->item.key = at;
}

mono_ns_t loop_timer_at(const struct loop_timer *t)
{
    return t->item.key;
}

void machine_timers(struct machine *m)
{
    for (uint32_t i = 0; i < m->n_timers; i++)
        if (m->timers[i]->item.key <= m->mono) {
            m->timers[i]->item.key = CLOCK_NEVER;
            m->timers[i]->on_time(m->timers[i]->arg, m->mono);
        }
}

void loop_watch_init(struct loop_watch *w, struct loop *loop, int fd, void (*on_ready)(void *arg, int what),
                     void *arg)
{
    *w = (struct loop_watch){.loop = loop, .on_ready = on_ready, .arg = arg, .fd = fd};
}

void loop_watch_deinit(struct loop_watch *w)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < machine->n_watches; i++)
        if (machine->watches[i] != w)
            machine->watches[n++] = machine->watches[i];
    machine->n_watches = n;
}

int loop_watch_set(struct loop_watch *w, int wanted)
{
    if (mem_fail_here())
        return -ENOMEM;
    ASSERT(wanted == LOOP_READ && machine->n_watches < MACHINE_WATCHES);
    machine->watches[machine->n_watches++] = w;
    return 0;
}

void machine_mail(struct machine *m, uint64_t i)
{
    struct loop_watch *w = m->n_watches ? m->watches[i % m->n_watches] : NULL;

    if (w)
        w->on_ready(w->arg, LOOP_READ);
}

/* --- the server */

struct grpc_server *machine_server(struct machine *m)
{
    return (struct grpc_server *)m;
}

void grpc_server_release(struct grpc_server *server, uint64_t seq)
{
    machine->on_release(machine->arg, seq);
}
