// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Functions that are command lines: the argument on standard input, the result from standard output, exit code 0 is
 * success. Each attempt is a process in a group of its own; when it ends, by itself or not, the whole group is killed.
 *
 * A cancelled attempt gets SIGTERM at once (that is how a command is told) and SIGKILL when COMMAND_GRACE_PARTS of its
 * grace are over, so that it has ended when the daemon would put an end to the worker.
 */
#include "base/arena.h"
#include "worker/attempt.h"

enum {
    COMMAND_STDERR_BYTES = 64 * 1024, /* the last ones are kept */
    COMMAND_GRACE_PARTS = 7,          /* eighths */
};

struct command {
    char **words; /* NULL at the end */
};

/* command_init: from a line; @a has what it needs.
 *   Return: 0; a WORDS_E_ of worker/words.h (never with @is_shell); -ENOMEM. */
MUST_CHECK int command_init(struct command *c, struct arena *a, const char *line, int is_shell);

/* command_run: one attempt, to its end; what came of it is in @call. Blocks. */
void command_run(const struct command *c, struct futured_call *call);
