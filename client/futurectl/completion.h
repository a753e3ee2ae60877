// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What may stand at the end of a command line. The scripts of the shells only ask here, so there is one place that knows. */
#include "client/futurectl/options.h"

/* A candidate: what was typed of its word may be a part of it. */
typedef void (*completion_fn)(void *arg, const char *word, const char *what);

/* What the line asks for that only a daemon knows. */
struct completion_live {
    enum argument_kind kind; /* of functions, of IDs; else there is nothing to ask */
    const char *prefix;      /* as far as it was typed */
    char before[80];         /* what stands before it in the same word */
};

/* completion_find: candidates for the last of @words, which stand behind the program's name, from the tables; what is left to
 * ask the daemon for is in *ret. Which daemon, and who asks, is put into @who where the line says it. */
void completion_find(const struct command *commands, size_t n_commands, char *const *words, int n_words,
                     completion_fn found, void *arg, struct options *who, struct completion_live *ret);

/* completion_script: the script of a shell; NULL: there is none. */
const char *completion_script(const char *shell);
