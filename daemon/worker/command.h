// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Functions that are command lines: the argument on standard input, the result from standard output, exit code 0 is
 * success. Each attempt is a process in a group of its own (pump.h).
 */
#include "base/arena.h"
#include "worker/pump.h"

struct command {
    char **words;     /* NULL at the end */
    uint8_t is_shell; /* of /bin/sh */
    uint8_t is_template;
    uint8_t has_argument;  /* as a word: it is not on standard input then */
    const char *directory; /* where it runs; NULL: where we do */
};

/* command_init: from a line; @a has what it needs. A line for the shell has no templates: its environment says as much.
 *   Return: 0; a WORDS_E_ of worker/words.h (never with @is_shell); COMMAND_E_PROGRAM (a template as the program); -ENOMEM. */
enum { COMMAND_E_PROGRAM = 100 };
MUST_CHECK int command_init(struct command *c, struct arena *a, const char *line, int is_shell);

/* command_error_text: what is wrong, for a result > 0. */
const char *command_error_text(int error);

/* command_run: one attempt, to its end; what came of it is in @call. Blocks. @cgroups as in struct pump. */
void command_run(const struct command *c, const struct pump_limits *limits, struct cgroup_home *cgroups,
                 struct futured_call *call);
