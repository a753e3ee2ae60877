// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who takes the process down, where several threads run tasks in it: the daemon has to tell one attempt that crashed from
 * those that only ran beside it. A fatal signal and exit() are noted in the page of the thread that they come from
 * (runpage_blame), and then take their course: how the process ends is as it would be without.
 *
 * Not seen: _exit(), SIGKILL, what a thread that a plugin has started itself does, and signals that a plugin handles. Of a
 * corrupted memory whoever stumbles over it is blamed.
 */
#include "base/err.h"
#include "base/runpage.h"

enum { BLAME_STACK_BYTES = 64 * 1024 };

/* blame_init: from now on. Before foreign code is loaded, whose own handlers then count. 0, -errno. */
MUST_CHECK int blame_init(void);

/* blame_enter: the calling thread runs for @page, and has @stack, aligned as one, for handlers of signals, until
 * blame_leave. */
void blame_enter(struct runpage *page, unsigned char stack[static BLAME_STACK_BYTES]);
void blame_leave(void);

/* blame_note: the calling thread, if it has entered, ends the process now; the first one counts. Safe in handlers of signals. */
void blame_note(void);

/* blame_hold_thread: until blame_release_thread, an end of the calling thread alone (pthread_exit, a cancellation) is an end of the
 * process, noted, with EX_SOFTWARE: nobody would answer for what it runs. 0, -errno. */
MUST_CHECK int blame_hold_thread(void);
void blame_release_thread(void);
