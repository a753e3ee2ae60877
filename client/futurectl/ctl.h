// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the commands share: the command line, the client, the output, and how things end. */
#include "client/futurectl/options.h"

struct ctl {
    struct options options;
    struct futured_client *client;
    struct output out;
    FILE *err; /* where complaints go */
};

/* Exit statuses of the program, fixed by the contract. */
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1, /* the task failed, or the daemon refused */
    CTL_USAGE = 2,
    CTL_CANCELLED = 3,
    CTL_NOT_FOUND = 4,
    CTL_UNREACHABLE = 69,
    CTL_TIMED_OUT = 124,
    CTL_INTERRUPTED = 130, /* as shells say it of SIGINT */
};

/* ctl_complain: `futurectl: ` and the text, as a line. */
__attribute__((format(printf, 2, 3))) void ctl_complain(struct ctl *ctl, const char *format, ...);

/* ctl_fail: say why the last call of the client failed and what to do, and which exit status that is. */
int ctl_fail(struct ctl *ctl);

/* ctl_exit_of: the exit status that a code of a call stands for. */
int ctl_exit_of(const struct futured_status *status);

/* ctl_outcome: the exit status that a future stands for: CTL_OK, CTL_FAILED, CTL_CANCELLED, CTL_TIMED_OUT (not done).
 * Says on stderr what is not well. */
int ctl_outcome(struct ctl *ctl, const struct futured_future *future);

/* ctl_write_result: the bytes of a result, to -o FILE or to stdout; on a terminal with a newline at the end. */
int ctl_write_result(struct ctl *ctl, struct futured_bytes data);

/* ctl_until: when the time of --timeout is over; CLOCK_NEVER without it. ctl_limit_call: let the next call end then. */
mono_ns_t ctl_until(const struct ctl *ctl);
void ctl_limit_call(struct ctl *ctl, mono_ns_t until);

/* ctl_say_waiting: where @future, just accepted, has to wait for more than its turn, say so on stderr, and why. */
void ctl_say_waiting(struct ctl *ctl, const struct futured_future *future);

/* ctl_show_who: give @client what the command line or the environment says about who calls. 0; -1: complained about. */
MUST_CHECK int ctl_show_who(struct ctl *ctl, struct futured_client *client);
