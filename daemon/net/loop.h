// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The loop: one thread, one epoll, and the fixed order of a turn:
 *
 *   1  wait (unless work is left), then the events that came: sockets, signals, mailboxes
 *   2  the timers that are due
 *   3  the owner's on_turn (the app drains the engine's effects here)
 *   4  whatever marked itself dirty is flushed, once each (connections: one send)
 *
 * Rules:
 *  1. loop_now is read once a turn, after the wait; everything of the turn sees the same time.
 *  2. A turn is bounded: a timer set to the past inside a timer, and what gets dirty inside a flush, wait for
 *     the next turn, which then does not sleep.
 *  3. Timers, watches and dirty marks are embedded in their owners, who undo them before they go.
 * Thread: all of it belongs to the thread that runs the loop; others use a mailbox.
 */
#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mailbox.h"

struct event;
struct loop;

struct loop_hooks {
    void (*on_wake)(void *arg, mono_ns_t now); /* before the first callback after the wait; or NULL */
    void (*on_turn)(void *arg, mono_ns_t now); /* phase 3; NULL = nothing to do */
    int (*is_pending)(
            void *arg); /* whether on_turn has work left, so that the loop must not sleep; or NULL */
    mono_ns_t (*clock)(void *arg); /* NULL = clock_mono. With another clock timers never end the wait */
    void *arg;
};

struct loop_stats {
    uint64_t n_turns;
    uint64_t n_timers; /* that were due */
    int64_t busy_ns;   /* sum of all turns without the wait */
    int64_t longest_turn_ns;
};

/* loop_new: Owns: the caller, loop_free after all that is embedded elsewhere has been undone. @hooks is copied.
 *   Return: 0, -errno. */
MUST_CHECK int loop_new(struct loop **ret, const struct loop_hooks *hooks);
struct loop *loop_free(struct loop *loop);

/* loop_turn: one turn. 0; -errno (the epoll itself failed: the loop is of no use any more). */
enum loop_wait { LOOP_WAIT, LOOP_NO_WAIT };
MUST_CHECK int loop_turn(struct loop *loop, enum loop_wait wait);

/* loop_run: turns until loop_stop was called; as loop_turn. loop_stop: after this turn. */
MUST_CHECK int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

mono_ns_t loop_now(const struct loop *loop);
struct loop_stats loop_stats_get(const struct loop *loop);

/* A timer: fires once, at or after its time, in the order of time and then of setting. */
struct loop_timer {
    struct heap_item item;
    struct loop *loop; /* NULL = not initialised */
    void (*on_time)(void *arg, mono_ns_t now);
    void *arg;
};

/* loop_timer_init: reserves its place, so that setting cannot fail. 0, -ENOMEM (nothing to undo).
 * loop_timer_deinit: also of a zeroed timer. */
MUST_CHECK int loop_timer_init(struct loop_timer *t, struct loop *loop,
                               void (*on_time)(void *arg, mono_ns_t now), void *arg);
void loop_timer_deinit(struct loop_timer *t);
/* loop_timer_set: fire at @at instead of any earlier setting; CLOCK_NEVER = not at all. */
void loop_timer_set(struct loop_timer *t, mono_ns_t at);
/* loop_timer_at: when it fires, CLOCK_NEVER when it does not. */
mono_ns_t loop_timer_at(const struct loop_timer *t);

/* A watch on a file descriptor, level-triggered. A socket that failed reports what was asked for. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch {
    struct event *events[2]; /* by kind; libevent's, made when first asked for */
    struct loop *loop;       /* NULL = not initialised */
    void (*on_ready)(void *arg, int what);
    void *arg;
    int fd;
    int wanted;
};

/* loop_watch_init: watches nothing yet. loop_watch_deinit: before the descriptor is closed; also of a zeroed
 * watch; allowed inside on_ready. */
void loop_watch_init(struct loop_watch *w, struct loop *loop, int fd, void (*on_ready)(void *arg, int what),
                     void *arg);
void loop_watch_deinit(struct loop_watch *w);
/* loop_watch_set: the kinds to watch for from now on. 0, -errno (what could be set is set). */
MUST_CHECK int loop_watch_set(struct loop_watch *w, int wanted);

/* A signal, delivered as an event of the loop; only one loop of a process may have any. */
struct loop_signal {
    struct event *event; /* NULL = not initialised */
    void (*on_signal)(void *arg, int signo);
    struct loop *loop;
    void *arg;
};
MUST_CHECK int loop_signal_init(struct loop_signal *s, struct loop *loop, int signo,
                                void (*on_signal)(void *arg, int signo), void *arg);
void loop_signal_deinit(struct loop_signal *s);

/* A mailbox: @on_mail gets all messages that wait, oldest first, and takes each out of the list. */
struct loop_mailbox {
    struct loop_watch watch;
    struct mailbox *box;
    void (*on_mail)(void *arg, struct list *messages);
    void *arg;
};
MUST_CHECK int loop_mailbox_init(struct loop_mailbox *m, struct loop *loop, struct mailbox *box,
                                 void (*on_mail)(void *arg, struct list *messages), void *arg);
void loop_mailbox_deinit(struct loop_mailbox *m);

/* A dirty mark: @flush(@arg) is called once at the end of the turn in which it was marked. */
struct loop_dirty {
    struct list link;
    void (*flush)(void *arg, mono_ns_t now);
    void *arg;
};
void loop_dirty_init(struct loop_dirty *d, void (*flush)(void *arg, mono_ns_t now), void *arg);
void loop_mark_dirty(struct loop *loop, struct loop_dirty *d);
/* loop_dirty_deinit: take the mark back, if there is one; also of a zeroed one. */
void loop_dirty_deinit(struct loop_dirty *d);
