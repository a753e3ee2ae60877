// SPDX-License-Identifier: Apache-2.0
/*
 * Attempts that must end, because they were cancelled or their time is up (lease.stop). The worker is told at once; what runs
 * in it sees that it should end. When half of the grace is over and it has not, the worker's process group gets SIGTERM,
 * and at the end of the grace SIGKILL, which ends the attempt whatever it does. The times are the engine's
 * (lease.term_at, lease.kill_at): this file only keeps them.
 *
 * A command is a process of its own, which its worker ends in time by the same rules; so its worker is killed
 * only if that has failed.
 *
 * A worker from elsewhere cannot be signalled. It has to end the attempt by itself; when the grace, and a little more, is over
 * the lease is taken from it, and what it says under that later is refused.
 */
#include "dispatch/child.h"
#include "dispatch/internal.h"
#include "dispatch/session.h"

mono_ns_t ladder_begin(struct worker *w, struct lease *lease, mono_ns_t now)
{
    attach_cancel(w, lease, now);
    w->ladder_at = MIN(w->ladder_at, lease->term_at); /* which is never after kill_at */
    return w->ladder_at;
}

/* The same of a worker from elsewhere. @lease may be over. */
static mono_ns_t step_remote(struct worker *w, struct lease *lease, mono_ns_t now)
{
    mono_ns_t end_at = clock_add(lease->kill_at, DISPATCH_COMMAND_SLACK_NS);

    if (lease->stop == STOP_NOT || lease->kill_at == CLOCK_NEVER)
        return CLOCK_NEVER;
    if (now < end_at)
        return end_at;
    return session_overdue(w, lease) < 0 ? clock_add(now, DISPATCH_RETRY_NS) : CLOCK_NEVER;
}

/* The step of @lease that is due, if one is. When to look again. */
static mono_ns_t step(struct worker *w, struct lease *lease, mono_ns_t now)
{
    const struct dispatch_pool *pool = &w->dispatch->config.pool;
    int is_command = (lease->future->function->kinds & (WORKER_KIND_PLUGIN | WORKER_KIND_COMMAND)) ==
                     WORKER_KIND_COMMAND;
    mono_ns_t kill_at = lease->kill_at;

    if (lease->stop == STOP_NOT || kill_at == CLOCK_NEVER)
        return CLOCK_NEVER;
    if (is_command)
        kill_at = clock_add(kill_at, DISPATCH_COMMAND_SLACK_NS);
    if (!worker_started(w, lease))
        return clock_add(now, DISPATCH_LADDER_LOOK_NS); /* it comes back, or begins */
    if (now >= kill_at) {
        lease->term_at = lease->kill_at = CLOCK_NEVER;
        child_kill(w, "its attempt does not end");
        return CLOCK_NEVER;
    }
    if (is_command)
        return kill_at;
    if (now >= lease->term_at) {
        lease->term_at = CLOCK_NEVER;
        w->is_culprit = 1; /* should that be the end of the process */
        pool->term(pool->context, dispatch_child(w->key));
    }
    return MIN(lease->term_at, kill_at);
}

mono_ns_t ladder_tick(struct worker *w, mono_ns_t now)
{
    mono_ns_t next = CLOCK_NEVER;

    LIST_FOREACH_SAFE (l, &w->holder->leases) {
        struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);
        mono_ns_t at = worker_is_pool(w) ? step(w, lease, now) : step_remote(w, lease, now);

        next = MIN(next, at);
    }
    w->ladder_at = next;
    return next;
}
