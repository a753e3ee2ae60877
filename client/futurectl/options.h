// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The command line as tables: every option once, every command with the options it takes. Parsing says what is
 * wrong in one line; nothing is printed here and nothing is done.
 */
#include "client/futurectl/output.h"

#include <stdint.h>

struct ctl;

enum option_id {
    OPTION_END,
    OPTION_ADDRESS,
    OPTION_JSON,
    OPTION_JSONL,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_ANY,
    OPTION_ARGUMENT,
    OPTION_ATTEMPT_TIMEOUT,
    OPTION_CANCEL_ON_DISCONNECT,
    OPTION_CONTENT_TYPE,
    OPTION_COUNT,
    OPTION_DEADLINE,
    OPTION_DELAY,
    OPTION_DEPEND_POLICY,
    OPTION_DEPENDS_ON,
    OPTION_EPHEMERAL,
    OPTION_FIRST_EXCEPTION,
    OPTION_GRACE,
    OPTION_GROUP,
    OPTION_KEY,
    OPTION_KEY_POLICY,
    OPTION_LABEL,
    OPTION_LIMIT,
    OPTION_MAX_ATTEMPTS,
    OPTION_OLDEST_FIRST,
    OPTION_OUTPUT,
    OPTION_PASS_RESULTS,
    OPTION_PRIORITY,
    OPTION_REASON,
    OPTION_REMOVE,
    OPTION_RETENTION,
    OPTION_TAG,
    OPTION_TIMEOUT,
    OPTION_VIEW,
    OPTION_WAIT,
};

enum {
    OPTIONS_LABELS_MAX = 64,
    OPTIONS_LABEL_KEY_BYTES = 64,
    OPTIONS_ERROR_BYTES = 512,
    OPTIONS_DEPENDS_ON_MAX = 1000, /* as the daemon's */
    OPTIONS_PER_COMMAND = 24
};

struct command {
    const char *name;
    const char *arguments;            /* in the usage line */
    const char *summary;              /* one line */
    const char *text;                 /* the rest of the help: what it does, examples */
    int min_arguments, max_arguments; /* max < 0: any number */
    enum option_id
            options[OPTIONS_PER_COMMAND]; /* beside those that every command takes; ends with OPTION_END */
    int (*run)(struct ctl *ctl);
};

/* A span that may not have been said. */
struct option_span {
    int is_set;
    int64_t ns;
};

struct option_label {
    char key[OPTIONS_LABEL_KEY_BYTES]; /* longer ones are refused, as by the daemon */
    const char *value;
};

struct options {
    const struct command *command; /* NULL: none was named */
    const char *address;           /* NULL: the default */
    enum output_format format;
    int wants_help, wants_version;
    char **arguments; /* behind the command; point into argv */
    int n_arguments;

    const char *argument, *content_type, *group, *key, *tag, *reason, *output;
    struct option_label labels[OPTIONS_LABELS_MAX];
    size_t n_labels;
    const char *remove[OPTIONS_LABELS_MAX];
    size_t n_remove;
    const char *depends_on[OPTIONS_DEPENDS_ON_MAX];
    size_t n_depends_on;
    enum futured_depend_policy depend_policy;
    enum futured_key_policy key_policy;
    struct option_span attempt_timeout, deadline, delay, grace, retention, timeout, wait;
    uint32_t count, limit, max_attempts;
    int32_t priority;
    enum futured_view view;
    int is_any, is_first_exception, is_ephemeral, is_oldest_first, cancel_on_disconnect, passes_results;
};

/* options_parse: @argv with @argc words, argv[0] the program. Options may stand before and behind the command and
 *   its arguments, up to `--`. The words of @argv are reordered, as getopt does.
 *   Return: 0; OPTIONS_E_USAGE (@error says what is wrong; ret->command is set where it was known). */
enum { OPTIONS_E_USAGE = 1 };
__attribute__((warn_unused_result)) int options_parse(int argc, char **argv, const struct command *commands,
                                                      size_t n_commands, struct options *ret,
                                                      char error[static OPTIONS_ERROR_BYTES]);

/* options_parse_label: `key=value`, the key of 1 to 63 bytes. 0; OPTIONS_E_USAGE. */
__attribute__((warn_unused_result)) int options_parse_label(const char *text, struct option_label *ret);

/* options_print_help: of one command, and of the program. */
void options_print_help(FILE *to, const struct command *command);
void options_print_commands(FILE *to, const struct command *commands, size_t n_commands);
