// SPDX-License-Identifier: Apache-2.0
/*
 * libevent waits and dispatches; the time is ours. Its own timers run on the coarse clock (early or late by up
 * to 4 ms) or cost a timerfd_settime each turn, so all timers stand in one heap, and one timerfd is armed for
 * the earliest. It is armed anew only when a timer comes before what it is armed for: a timer that is moved
 * back all the time (a connection's) costs no system call, and the wake-up for nothing finds nothing due.
 *
 * Invariants:
 *  1. Each initialised timer has a place reserved in the heap (n_timers), so heap_set cannot fail.
 *  2. armed_ns is when the timerfd fires, CLOCK_NEVER when it does not; before a wait it is never later than
 *     the first timer.
 *  3. now is stale from the start of the wait to the first callback after it. Every callback of libevent
 *     comes through one of the trampolines here, which refresh it.
 *
 * libevent allocates through base/mem, so that tests can fail that as well. It is built for one thread
 * (no evthread), because another thread only ever posts to a mailbox.
 */
#include "daemon/net/loop.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <sys/timerfd.h>

struct loop {
    struct event_base *base;
    struct loop_hooks hooks;
    struct heap timers;
    uint32_t n_timers; /* initialised, in the heap or not */
    int timer_fd;
    struct loop_watch timer_watch;
    mono_ns_t armed_ns;
    struct list dirty;
    mono_ns_t now;
    int is_now_stale;
    int is_stopped;
    struct loop_stats stats;
};

static mono_ns_t read_clock(const struct loop *loop)
{
    return loop->hooks.clock ? loop->hooks.clock(loop->hooks.arg) : clock_mono();
}

static void refresh_now(struct loop *loop)
{
    if (!loop->is_now_stale)
        return;
    loop->is_now_stale = 0;
    loop->now = MAX(loop->now, read_clock(loop));
    if (loop->hooks.on_wake)
        loop->hooks.on_wake(loop->hooks.arg, loop->now);
}

/* --- libevent's own needs */

static void *event_alloc(size_t n)
{
    return mem_alloc(n ? n : 1);
}

static void *event_realloc(void *p, size_t n)
{
    return mem_realloc(p, n ? n : 1);
}

static void event_dealloc(void *p)
{
    mem_free(p);
}

static void on_event_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        LOG_EVENT(LOG_WARNING, "libevent", LOG_STR("text", text));
}

__attribute__((noreturn)) static void on_event_fatal(int code)
{
    err_assert_failed("libevent goes on", __FILE__, __LINE__, __func__);
}

static struct event_base *new_base(void)
{
    static int is_set_up;
    struct event_config *config;
    struct event_base *base = NULL;

    if (!is_set_up) {
        event_set_mem_functions(event_alloc, event_realloc, event_dealloc);
        event_set_log_callback(on_event_log);
        event_set_fatal_callback(on_event_fatal);
        is_set_up = 1;
    }
    config = event_config_new();
    if (!config)
        return NULL;
    /* EARLY_CLOSE is what only epoll has */
    if (event_config_require_features(config, EV_FEATURE_EARLY_CLOSE) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* --- the loop */

static void on_timer_fd(void *arg, int what)
{
    struct loop *loop = arg;
    uint64_t n_expired;
    ssize_t r = read(loop->timer_fd, &n_expired, sizeof n_expired);

    ASSERT(r == (ssize_t)sizeof n_expired || errno == EAGAIN);
    loop->armed_ns = CLOCK_NEVER;
}

int loop_new(struct loop **ret, const struct loop_hooks *hooks)
{
    struct loop *loop = mem_zalloc(sizeof *loop);
    int r = -ENOMEM;

    if (!loop)
        return -ENOMEM;
    loop->hooks = *hooks;
    loop->armed_ns = CLOCK_NEVER;
    loop->now = read_clock(loop);
    loop->timer_fd = -1;
    list_init(&loop->dirty);
    loop->base = new_base();
    if (!loop->base)
        goto fail;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_fd < 0) {
        r = -errno;
        goto fail;
    }
    loop_watch_init(&loop->timer_watch, loop, loop->timer_fd, on_timer_fd, loop);
    r = loop_watch_set(&loop->timer_watch, LOOP_READ);
    if (r < 0)
        goto fail;
    *ret = loop;
    return 0;

fail:
    loop_free(loop);
    return r;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    ASSERT(loop->n_timers == 0);
    ASSERT(list_is_empty(&loop->dirty));
    loop_watch_deinit(&loop->timer_watch);
    err_close(&loop->timer_fd);
    if (loop->base)
        event_base_free(loop->base);
    heap_deinit(&loop->timers);
    mem_free(loop);
    return NULL;
}

static void arm_timer(struct loop *loop)
{
    const struct heap_item *first = heap_min(&loop->timers);
    struct itimerspec at = {0};
    mono_ns_t ns;

    if (loop->hooks.clock || !first || first->key >= loop->armed_ns)
        return;
    ns = MAX(first->key, INT64_C(1)); /* 0 would disarm */
    at.it_value.tv_sec = (time_t)(ns / NS_PER_S);
    at.it_value.tv_nsec = (long)(ns % NS_PER_S);
    ASSERT(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    loop->armed_ns = first->key;
}

/* What is set inside, even to the past, waits for the next turn: it gets behind all that are due now (its key is
 * at least now, and equal keys keep the order of setting), so the first of them ends this one. */
static void run_timers(struct loop *loop)
{
    const uint64_t set_inside = loop->timers.next_tie;
    struct heap_item *first;

    while ((first = heap_min(&loop->timers)) && first->key <= loop->now && first->tie < set_inside) {
        struct loop_timer *t = CONTAINER_OF(first, struct loop_timer, item);

        heap_del(&loop->timers, first);
        loop->stats.n_timers++;
        t->on_time(t->arg, loop->now);
    }
}

static void flush_dirty(struct loop *loop)
{
    struct list now_dirty, *l;

    list_init(&now_dirty);
    list_splice_back(&now_dirty, &loop->dirty);
    while ((l = list_pop_front(&now_dirty)) != NULL) {
        struct loop_dirty *d = LIST_ENTRY(l, struct loop_dirty, link);

        d->flush(d->arg, loop->now);
    }
}

static int has_work(const struct loop *loop)
{
    return !list_is_empty(&loop->dirty) ||
           (loop->hooks.is_pending && loop->hooks.is_pending(loop->hooks.arg));
}

int loop_turn(struct loop *loop, enum loop_wait wait)
{
    int flags = EVLOOP_ONCE;
    int64_t turn_ns;

    if (wait == LOOP_NO_WAIT || has_work(loop))
        flags |= EVLOOP_NONBLOCK;
    else
        arm_timer(loop);
    loop->is_now_stale = 1;
    errno = 0;
    if (event_base_loop(loop->base, flags) < 0)
        return errno ? -errno : -EIO;
    refresh_now(loop);
    run_timers(loop);
    if (loop->hooks.on_turn)
        loop->hooks.on_turn(loop->hooks.arg, loop->now);
    flush_dirty(loop);

    turn_ns = read_clock(loop) - loop->now;
    loop->stats.n_turns++;
    loop->stats.busy_ns += turn_ns;
    loop->stats.longest_turn_ns = MAX(loop->stats.longest_turn_ns, turn_ns);
    return 0;
}

int loop_run(struct loop *loop)
{
    loop->is_stopped = 0;
    while (!loop->is_stopped) {
        int r = loop_turn(loop, LOOP_WAIT);

        if (r < 0)
            return r;
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = 1;
}

mono_ns_t loop_now(const struct loop *loop)
{
    return loop->now;
}

struct loop_stats loop_stats_get(const struct loop *loop)
{
    return loop->stats;
}

/* --- timers */

int loop_timer_init(struct loop_timer *t, struct loop *loop, void (*on_time)(void *arg, mono_ns_t now),
                    void *arg)
{
    int r = heap_reserve(&loop->timers, loop->n_timers + 1);

    if (r < 0)
        return r;
    loop->n_timers++;
    *t = (struct loop_timer){.loop = loop, .on_time = on_time, .arg = arg};
    return 0;
}

void loop_timer_deinit(struct loop_timer *t)
{
    if (!t->loop)
        return;
    heap_del(&t->loop->timers, &t->item);
    t->loop->n_timers--;
    t->loop = NULL;
}

void loop_timer_set(struct loop_timer *t, mono_ns_t at)
{
    ASSERT(t->loop);
    if (at == CLOCK_NEVER)
        heap_del(&t->loop->timers, &t->item);
    else
        ASSERT(heap_set(&t->loop->timers, &t->item, MAX(at, t->loop->now)) == 0);
}

mono_ns_t loop_timer_at(const struct loop_timer *t)
{
    return heap_has(&t->item) ? t->item.key : CLOCK_NEVER;
}

/* --- watches */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct loop_watch *w = arg;

    refresh_now(w->loop);
    w->on_ready(w->arg, what & EV_READ ? LOOP_READ : LOOP_WRITE);
}

static const struct {
    int kind;
    short event;
} watch_kinds[] = {{LOOP_READ, EV_READ | EV_PERSIST}, {LOOP_WRITE, EV_WRITE | EV_PERSIST}};

void loop_watch_init(struct loop_watch *w, struct loop *loop, int fd, void (*on_ready)(void *arg, int what),
                     void *arg)
{
    *w = (struct loop_watch){.loop = loop, .on_ready = on_ready, .arg = arg, .fd = fd};
}

static int add_event(struct loop_watch *w, size_t i)
{
    errno = ENOMEM; /* libevent does not always say why */
    if (!w->events[i])
        w->events[i] = event_new(w->loop->base, w->fd, watch_kinds[i].event, on_watch, w);
    if (!w->events[i] || event_add(w->events[i], NULL) < 0)
        return -errno;
    w->wanted |= watch_kinds[i].kind;
    return 0;
}

int loop_watch_set(struct loop_watch *w, int wanted)
{
    ASSERT(w->loop);
    if (LIKELY(w->wanted == wanted))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(watch_kinds); i++) {
        int kind = watch_kinds[i].kind;

        if (w->wanted & ~wanted & kind) {
            event_del(w->events[i]);
            w->wanted &= ~kind;
        } else if (wanted & ~w->wanted & kind) {
            int r = add_event(w, i);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

void loop_watch_deinit(struct loop_watch *w)
{
    if (!w->loop)
        return;
    for (size_t i = 0; i < ARRAY_LEN(w->events); i++)
        if (w->events[i])
            event_free(w->events[i]);
    *w = (struct loop_watch){.fd = -1};
}

/* --- signals */

static void on_event_signal(evutil_socket_t signo, short what, void *arg)
{
    struct loop_signal *s = arg;

    refresh_now(s->loop);
    s->on_signal(s->arg, (int)signo);
}

int loop_signal_init(struct loop_signal *s, struct loop *loop, int signo,
                     void (*on_signal)(void *arg, int signo), void *arg)
{
    *s = (struct loop_signal){.loop = loop, .on_signal = on_signal, .arg = arg};
    s->event = evsignal_new(loop->base, signo, on_event_signal, s);
    errno = ENOMEM;
    if (!s->event || event_add(s->event, NULL) < 0) {
        int r = -errno;

        loop_signal_deinit(s);
        return r;
    }
    return 0;
}

void loop_signal_deinit(struct loop_signal *s)
{
    if (s->event)
        event_free(s->event);
    s->event = NULL;
}

/* --- mailboxes */

static void on_mailbox(void *arg, int what)
{
    struct loop_mailbox *m = arg;
    struct list messages;

    list_init(&messages);
    mailbox_take(m->box, &messages);
    if (list_is_empty(&messages))
        return;
    m->on_mail(m->arg, &messages);
    ASSERT(list_is_empty(&messages));
}

int loop_mailbox_init(struct loop_mailbox *m, struct loop *loop, struct mailbox *box,
                      void (*on_mail)(void *arg, struct list *messages), void *arg)
{
    int r;

    *m = (struct loop_mailbox){.box = box, .on_mail = on_mail, .arg = arg};
    loop_watch_init(&m->watch, loop, mailbox_fd(box), on_mailbox, m);
    r = loop_watch_set(&m->watch, LOOP_READ);
    if (r < 0)
        loop_watch_deinit(&m->watch);
    return r;
}

void loop_mailbox_deinit(struct loop_mailbox *m)
{
    loop_watch_deinit(&m->watch);
}

/* --- dirty marks */

void loop_dirty_init(struct loop_dirty *d, void (*flush)(void *arg, mono_ns_t now), void *arg)
{
    *d = (struct loop_dirty){.flush = flush, .arg = arg};
    list_init(&d->link);
}

void loop_mark_dirty(struct loop *loop, struct loop_dirty *d)
{
    if (!list_is_linked(&d->link))
        list_push_back(&loop->dirty, &d->link);
}

void loop_dirty_deinit(struct loop_dirty *d)
{
    if (d->flush)
        list_del(&d->link);
}
