// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Who kills a command's process group when the worker itself is killed: a process beside it, in a group of its own, that
 * does nothing but read from a pipe. The worker's end, whatever its cause, closes the pipe. (PR_SET_PDEATHSIG reaches the
 * command but none of its children, and the pool's kill reaches the worker's group only.)
 *
 * Into the pipe goes one pid_t at a time: the group that runs now, 0 for none. The command writes its own before its
 * exec, so that there is no moment in which its children are nobody's.
 */
#include "base/err.h"

#include <sys/types.h>

struct guard {
    const char *program; /* run as `program --guard`; NULL: there is none */
    pid_t pid;
    int fd; /* the pipe; -1: not started */
};

void guard_init(struct guard *g, const char *program);

/* guard_deinit: the guard kills what is noted and ends; waits for it. */
void guard_deinit(struct guard *g);

/* guard_clear: note that no group runs, and start the guard if there is none (any more). The descriptor to which the next
 * command writes its group; -1: there is no guard. */
int guard_clear(struct guard *g);

/* guard_main: what `program --guard` does with the other end of the pipe. Its exit code. */
int guard_main(int fd);
