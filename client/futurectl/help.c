// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/help.h"

#include <string.h>

static void print_option(FILE *to, const struct option *o)
{
    char head[64], letter[6] = "    ";
    const char *help = o->help, *end;

    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(head, sizeof head, "%s--%s%s%s", letter, o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(to, "  %-32s", head);
    while ((end = strchr(help, '\n'))) {
        fprintf(to, "%.*s\n%34s", (int)(end - help), help, "");
        help = end + 1;
    }
    fprintf(to, "%s\n", help);
}

static void print_options(FILE *to, const struct command *command)
{
    const struct option *o;

    fputs("\nOptions:\n", to);
    for (size_t i = 0; (o = options_each(command, i)); i++)
        print_option(to, o);
}

void help_print_command(FILE *to, const struct command *command)
{
    fprintf(to, "Usage: futurectl %s [OPTION]...%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "",
            command->arguments, command->summary);
    if (*command->text)
        fprintf(to, "\n%s", command->text);
    print_options(to, command);
}

void help_print_program(FILE *to, const struct command *commands, size_t n_commands)
{
    fputs("Usage: futurectl [OPTION]... COMMAND [OPTION]... [ARGUMENT]...\n\n"
          "Run functions through futured and keep each result with its task.\n\nCommands:\n",
          to);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(to, "  %-14s%s\n", commands[i].name, commands[i].summary);
    print_options(to, NULL);
    fputs("\n`futurectl COMMAND --help` says more of a command. An ID may be cut short, to as much of its "
          "beginning\n"
          "as names only one future.\n"
          "\nExit status: 0 ok, 1 the task failed or the daemon refused, 2 usage, 3 cancelled, 4 not found,\n"
          "69 the daemon is not reachable, 124 timed out.\n",
          to);
}
