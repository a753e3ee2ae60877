// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What --help prints: of one command, and of the program. */
#include "client/futurectl/options.h"

void help_print_command(FILE *to, const struct command *command);
void help_print_program(FILE *to, const struct command *commands, size_t n_commands);
