// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The command line as tables: every option once, every command with the options it takes. Parsing says what is
 * wrong in one line; nothing is printed here and nothing is done.
 */
#include "base/clock.h"
#include "client/futurectl/halt.h"
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
    OPTION_ATTEMPT,
    OPTION_AT,
    OPTION_ATTEMPT_TIMEOUT,
    OPTION_BY,
    OPTION_CANCEL_ON_DISCONNECT,
    OPTION_CONCURRENCY_KEY,
    OPTION_CONTENT_TYPE,
    OPTION_COUNT,
    OPTION_CSV,
    OPTION_DEADLINE,
    OPTION_DEPENDS_ON,
    OPTION_DEPEND_POLICY,
    OPTION_DRY_RUN,
    OPTION_DURABLE,
    OPTION_EPHEMERAL,
    OPTION_EXIT,
    OPTION_EXPECT,
    OPTION_FAIRNESS_KEY,
    OPTION_FILES,
    OPTION_FILTER,
    OPTION_FIRST_EXCEPTION,
    OPTION_FOLLOW,
    OPTION_FUNCTION,
    OPTION_GRACE,
    OPTION_GROUP,
    OPTION_HALT,
    OPTION_IN,
    OPTION_INTERVAL,
    OPTION_JOBLOG,
    OPTION_KEEP_ORDER,
    OPTION_KEY,
    OPTION_KEY_POLICY,
    OPTION_LABEL,
    OPTION_LIMIT,
    OPTION_MAP_ARGUMENT, /* of an item of a map: a template; and so on */
    OPTION_MAP_DRY_RUN,
    OPTION_MAP_LABEL,
    OPTION_MAP_TAG,
    OPTION_MAX_IN_FLIGHT,
    OPTION_MAX_PENDING,
    OPTION_MAX_RUNNING,
    OPTION_NAME,
    OPTION_NO_DEADLINE,
    OPTION_NULL,
    OPTION_OLDEST_FIRST,
    OPTION_OUTPUT,
    OPTION_PASS_RESULTS,
    OPTION_PRIORITY,
    OPTION_PROGRESS,
    OPTION_RATE,
    OPTION_REASON,
    OPTION_REMOVE,
    OPTION_RESET,
    OPTION_RESULTS,
    OPTION_RESUME,
    OPTION_RETENTION,
    OPTION_RETRIES,
    OPTION_RETRY_FAILED,
    OPTION_SELECT_GROUP, /* --group of a command that selects by it */
    OPTION_SLOTS,
    OPTION_STOP_ACCEPT,
    OPTION_STOP_DISPATCH,
    OPTION_STREAM,
    OPTION_TAG,
    OPTION_TASKS, /* --count of the worker */
    OPTION_TIMEOUT,
    OPTION_TLS_CA,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TOKEN_FILE,
    OPTION_TOP_COUNT,
    OPTION_UNDO,
    OPTION_VIEW,
    OPTION_WAIT,
    OPTION_YES,
};

enum {
    OPTIONS_LABELS_MAX = 64,
    OPTIONS_LABEL_KEY_BYTES = 64,
    OPTIONS_ERROR_BYTES = 512,
    OPTIONS_DEPENDS_ON_MAX = 1000, /* as the daemon's */
    OPTIONS_FUNCTIONS_MAX = 256,
    OPTIONS_IN_FLIGHT_MAX = 65536, /* of libfutured */
    OPTIONS_PER_COMMAND = 40
};

struct option {
    enum option_id id;
    char letter; /* 0: none */
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
    const char *const
            *words; /* the values there are, in the order of their enum; ends with NULL. NULL: any */
};

/* What the first argument of a command names. */
enum argument_kind {
    ARGUMENT_OTHER,
    ARGUMENT_FUNCTION,
    ARGUMENT_ID,
    ARGUMENT_ID_OR_FUNCTION,
    ARGUMENT_SHELL
};

struct command {
    const char *name;
    const char *arguments;            /* in the usage line */
    const char *summary;              /* one line */
    const char *text;                 /* the rest of the help: what it does, examples */
    enum argument_kind kind;          /* of the first argument; of IDs: of all */
    int takes_items;                  /* behind `:::` stand its items, and no options */
    int min_arguments, max_arguments; /* max < 0: any number */
    enum option_id
            options[OPTIONS_PER_COMMAND]; /* beside those that every command takes; ends with OPTION_END */
    int (*run)(struct ctl *ctl);
};

/* How a map tells of its progress, in the order of --progress. */
enum option_progress { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_LINES, PROGRESS_NONE };

/* What of an attempt. */
enum option_stream { STREAM_UNSAID, STREAM_OUTPUT, STREAM_LOG, STREAM_ALL };

/* A span that may not have been said; and so a point in time, and a number. */
struct option_span {
    int is_set;
    int64_t ns;
};

struct option_time {
    int is_set;
    wall_ns_t t;
};

struct option_number {
    int is_set;
    int64_t n;
};

struct option_label {
    char key[OPTIONS_LABEL_KEY_BYTES]; /* longer ones are refused, as by the daemon */
    const char *value;
};

struct options {
    const char *tls_ca, *tls_cert, *tls_key, *token_file; /* NULL: not given */
    const struct command *command;                        /* NULL: none was named */
    const char *address;                                  /* NULL: the default */
    enum output_format format;
    int wants_help, wants_version;
    char **arguments; /* behind the command; point into argv */
    int n_arguments;

    const char *argument, *content_type, *group, *filter, *by, *key, *tag, *reason, *output;
    const char *concurrency_key, *fairness_key;
    struct option_label labels[OPTIONS_LABELS_MAX];
    size_t n_labels;
    const char *remove[OPTIONS_LABELS_MAX];
    size_t n_remove;
    const char *functions[OPTIONS_FUNCTIONS_MAX], *name;
    size_t n_functions;
    const char *depends_on[OPTIONS_DEPENDS_ON_MAX];
    size_t n_depends_on;
    enum futured_durability durability;
    enum futured_depend_policy depend_policy;
    enum futured_key_policy key_policy;
    struct option_span attempt_timeout, in, grace, retention, timeout, wait;
    struct option_time at, deadline;
    struct option_number priority, max_running, max_pending;
    double rate; /* < 0: not said */
    uint32_t count, expect, limit, retries, slots, attempt;
    enum option_stream stream;
    int is_following;
    enum futured_view view;
    int is_any, is_first_exception, is_oldest_first, is_dry_run, is_yes, is_reset, is_without_deadline;
    int is_exit, is_stop_accept, is_stop_dispatch, is_undo;
    int cancel_on_disconnect, passes_results;

    struct halt halt;
    const char *joblog, *results;
    enum option_progress progress;
    struct option_span interval;
    uint32_t max_in_flight;
    int has_items; /* `:::` stood there, although perhaps nothing behind it */
    int is_null, is_csv, is_files, keeps_order, tags_items, resumes, retries_failed;
};

/* options_parse: @argv with @argc words, argv[0] the program. Options may stand before and behind the command and
 *   its arguments, up to `--`. The words of @argv are reordered, as getopt does.
 *   Return: 0; OPTIONS_E_USAGE (@error says what is wrong; ret->command is set where it was known). */
enum { OPTIONS_E_USAGE = 1 };
MUST_CHECK int options_parse(int argc, char **argv, const struct command *commands, size_t n_commands,
                             struct options *ret, char error[static OPTIONS_ERROR_BYTES]);

/* options_parse_label: `key=value`, the key of 1 to 63 bytes. 0; OPTIONS_E_USAGE. */
MUST_CHECK int options_parse_label(const char *text, struct option_label *ret);

/* options_find: the option of that name of @command (NULL: of those that every command takes); NULL: there is none. */
const struct option *options_find(const struct command *command, const char *name, size_t n);

/* options_each: option number @at of @command, those that every command takes behind its own; NULL: there are no more. */
const struct option *options_each(const struct command *command, size_t at);
