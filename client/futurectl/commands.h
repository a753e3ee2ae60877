// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The commands, and the program as a function. */
#include "client/futurectl/options.h"

#include <stddef.h>

extern const struct command commands[];
extern const size_t commands_n;

/* commands_main: what main does: parse, connect, run, say how it went. @out and @err are the caller's. Return: the
 * exit status. */
int commands_main(int argc, char **argv, FILE *out, FILE *err);
