// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a pool worker has started, in a page of memory it shares with the daemon: a start costs a store, no
 * message. The worker writes, the daemon reads: at any time to learn of a start, and after the worker's death
 * to tell the attempt that died (started, not finished) from those whose finish never reached the daemon
 * (finished, not sent) and those never begun.
 *
 * One ring entry per start, in order. n_started >= n_finished >= n_sent; entry i is at starts[i %
 * RUNPAGE_SLOTS] and is written before it is counted. The worker never has more than RUNPAGE_STARTS starts
 * that are not sent, which is less than the slots: an entry that the daemon still asks for is never the one
 * being overwritten. A page has one thread that starts and finishes: a worker with several has a page for each. The daemon
 * trusts nothing in here: user code may have scribbled on it.
 */
#include "base/clock.h"
#include "base/id.h"

#include <stdatomic.h>

enum { RUNPAGE_STARTS = 128, RUNPAGE_SLOTS = 160, RUNPAGE_TEXT_BYTES = 200, RUNPAGE_BYTES = 4096 };
enum { RUNPAGE_PAGES_MAX = 64 }; /* of one process */

struct runpage_start {
    uint64_t key; /* id_key of the future */
    uint32_t attempt;
    uint32_t unused;
    wall_ns_t at;
};

struct runpage {
    _Atomic uint64_t n_started, n_finished, n_sent;
    struct runpage_start starts[RUNPAGE_SLOTS];
    char loading[RUNPAGE_TEXT_BYTES]; /* a text; what of the user's is loaded now */
    _Atomic uint32_t is_blamed; /* read after the process's death only, which orders it behind all stores */
    uint8_t unused[28];
};

_Static_assert(sizeof(struct runpage) == RUNPAGE_BYTES, "a runpage is one page, and several are an array");

/* runpage_start, _finish, _sent: the worker's side: one more attempt begins, ends (the oldest that has not);
 * @n more finishes were handed to the kernel. Starts must not run ahead of sent by RUNPAGE_STARTS. */
void runpage_start(struct runpage *page, uint64_t key, uint32_t attempt, wall_ns_t at);
void runpage_finish(struct runpage *page);
void runpage_sent(struct runpage *page, uint64_t n);

/* runpage_give_up: the worker ends by itself, since nothing that it runs could be told any more: that counts as ended unheard. Thread:
 * any of the worker's, which starts nothing afterwards. */
void runpage_give_up(struct runpage *page);

/* runpage_blame: the worker's side: the process dies by what the thread of this page does. A store: for handlers of signals.
 * runpage_is_blamed: whether that was so. runpage_is_running: whether something has begun and not ended. */
void runpage_blame(struct runpage *page);
int runpage_is_blamed(const struct runpage *page);
int runpage_is_running(const struct runpage *page);

/* runpage_find: whether {key, attempt} has been started as far as the ring remembers, and what became of it. *next: the
 * number of the start to look at first, any; where it was found, the number of the one behind it: who asks for one after
 * the other in the order of their starts does not search.
 *   Return: RUNPAGE_UNKNOWN (not started, or sent long ago), RUNPAGE_RUNNING, RUNPAGE_FINISHED; *ret_at: its
 * start. Thread: any, also while the worker writes. */
enum runpage_state { RUNPAGE_UNKNOWN, RUNPAGE_RUNNING, RUNPAGE_FINISHED };
enum runpage_state runpage_find(const struct runpage *page, uint64_t key, uint32_t attempt, uint64_t *next,
                                wall_ns_t *ret_at);

/* runpage_load: the worker's side: code of the user's is loaded from now on, named by @file and @name (may be ""); with both
 * "" no more. runpage_loading: what a worker that has died was loading, as printable ASCII; "" for nothing. */
void runpage_load(struct runpage *page, const char *file, const char *name);
void runpage_loading(const struct runpage *page, char text[static RUNPAGE_TEXT_BYTES]);
