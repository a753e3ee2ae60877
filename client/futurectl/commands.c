// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"

#include "base/err.h"
#include "client/futurectl/cmd_change.h"
#include "client/futurectl/cmd_run.h"
#include "client/futurectl/cmd_show.h"
#include "client/futurectl/cmd_wait.h"
#include "client/futurectl/ctl.h"

#include <string.h>

#define TASK_OPTIONS                                                                                     \
    OPTION_ARGUMENT, OPTION_CONTENT_TYPE, OPTION_LABEL, OPTION_GROUP, OPTION_TAG, OPTION_KEY,            \
            OPTION_PRIORITY, OPTION_DELAY, OPTION_DEADLINE, OPTION_ATTEMPT_TIMEOUT, OPTION_MAX_ATTEMPTS, \
            OPTION_RETENTION, OPTION_EPHEMERAL, OPTION_TIMEOUT, OPTION_VIEW, OPTION_KEY_POLICY,          \
            OPTION_DEPENDS_ON, OPTION_DEPEND_POLICY, OPTION_PASS_RESULTS

#define ARGUMENT_TEXT                                                                \
    "ARGUMENT is a text; `-` is standard input, @FILE a file; nothing is an empty\n" \
    "argument. Standard input is not read unless asked for.\n"

const struct command commands[] = {
        {
                .name = "run",
                .arguments = "FUNCTION [ARGUMENT | - | @FILE]",
                .summary = "Run a function and print its result",
                .text = ARGUMENT_TEXT
                "The result is printed as it is; only on a terminal a newline is added where it\n"
                "has none. With --json the whole record is printed instead.\n"
                "\nExamples:\n"
                "  futurectl run sha256 hello\n"
                "  futurectl run sha256 - < /etc/passwd\n"
                "  futurectl run gzip @notes.txt -o notes.txt.gz\n"
                "  futurectl run resize @in.png --label customer=42 --timeout 30s > out.png\n",
                .min_arguments = 1,
                .max_arguments = 2,
                .options = {TASK_OPTIONS, OPTION_OUTPUT, OPTION_CANCEL_ON_DISCONNECT, OPTION_END},
                .run = cmd_run,
        },
        {
                .name = "submit",
                .arguments = "FUNCTION [ARGUMENT | - | @FILE]",
                .summary = "Accept a task, print its ID and do not wait",
                .text = ARGUMENT_TEXT "\nExamples:\n"
                                      "  id=$(futurectl submit sha256 @big.iso --label file=big.iso)\n"
                                      "  futurectl result $id\n",
                .min_arguments = 1,
                .max_arguments = 2,
                .options = {TASK_OPTIONS, OPTION_END},
                .run = cmd_run_submit,
        },
        {
                .name = "get",
                .arguments = "ID...",
                .summary = "Show whole futures: task, labels, attempts, outcome",
                .text = "Examples:\n"
                        "  futurectl get 0198c2f0-0000-7000-8000-000000000001\n"
                        "  futurectl get $id --json | jq .attempts\n",
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_VIEW, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_get,
        },
        {
                .name = "wait",
                .arguments = "ID...",
                .summary = "Wait until futures are done",
                .text = "Exit status: 1 where one of them failed, 3 where one was cancelled, 4 where one is\n"
                        "unknown, 124 where the time is over.\n"
                        "\nExamples:\n"
                        "  futurectl wait $a $b $c --any\n"
                        "  futurectl wait --group nightly --timeout 1h\n",
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {OPTION_ANY, OPTION_FIRST_EXCEPTION, OPTION_COUNT, OPTION_GROUP, OPTION_TIMEOUT,
                            OPTION_VIEW, OPTION_END},
                .run = cmd_wait,
        },
        {
                .name = "result",
                .arguments = "ID",
                .summary = "Wait for a future and print its result",
                .text = "The bytes are printed as `futurectl run` prints them. --timeout 0s does not wait.\n"
                        "\nExamples:\n"
                        "  futurectl result $id > out.bin\n"
                        "  futurectl result $id -o out.bin --timeout 5m\n",
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_OUTPUT, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_wait_result,
        },
        {
                .name = "list",
                .arguments = "[ID]...",
                .summary = "List futures, the newest first",
                .text = "Examples:\n"
                        "  futurectl list --limit 20\n"
                        "  futurectl list --group nightly --limit 0 --jsonl | jq -r .id\n",
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {OPTION_GROUP, OPTION_LIMIT, OPTION_OLDEST_FIRST, OPTION_VIEW, OPTION_TIMEOUT,
                            OPTION_END},
                .run = cmd_show_list,
        },
        {
                .name = "cancel",
                .arguments = "ID...",
                .summary = "Cancel futures: pending ones at once, running ones are asked to end",
                .text = "Examples:\n"
                        "  futurectl cancel $id --reason 'not needed any more'\n"
                        "  futurectl cancel $id --grace 0s\n",
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_REASON, OPTION_GRACE, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_change_cancel,
        },
        {
                .name = "watch",
                .arguments = "ID...",
                .summary = "Show what happens to futures, until they are done",
                .text = "One line an event. Over a group it goes on until it is interrupted.\n"
                        "\nExamples:\n"
                        "  futurectl watch $id\n"
                        "  futurectl watch --group nightly --jsonl\n",
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {OPTION_GROUP, OPTION_VIEW, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_wait_watch,
        },
        {
                .name = "annotate",
                .arguments = "ID [KEY=VALUE]...",
                .summary = "Set and remove labels of a future",
                .text = "Examples:\n"
                        "  futurectl annotate $id reviewed=yes --remove draft\n",
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_REMOVE, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_change_annotate,
        },
        {
                .name = "delete",
                .arguments = "ID...",
                .summary = "Forget finished futures now",
                .text = "",
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_change_delete,
        },
        {
                .name = "functions",
                .arguments = "[PREFIX]",
                .summary = "List the functions that can be run",
                .text = "",
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_functions,
        },
        {
                .name = "workers",
                .arguments = "[FUNCTION]",
                .summary = "List the workers that are attached, and what they do",
                .text = "With FUNCTION only those that serve it.\n",
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_workers,
        },
        {
                .name = "stats",
                .arguments = "[PREFIX]",
                .summary = "Show how the daemon does, as OpenMetrics text",
                .text = "With PREFIX only what has names that begin with it (without the \"futured_\" "
                        "before).\n"
                        "\nExamples:\n"
                        "  futurectl stats function_\n"
                        "  futurectl stats > /var/lib/prometheus/node-exporter/futured.prom\n",
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_stats,
        },
        {
                .name = "ping",
                .arguments = "",
                .summary = "Ask whether the daemon is there and takes calls",
                .text = "Examples:\n"
                        "  futurectl ping --wait 10s && start-what-needs-it\n",
                .min_arguments = 0,
                .max_arguments = 0,
                .options = {OPTION_WAIT, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_wait_ping,
        },
};

const size_t commands_n = ARRAY_LEN(commands);

static int say_usage(struct ctl *ctl, const char *error)
{
    const struct command *c = ctl->options.command;

    ctl_complain(ctl, "%s", error);
    fprintf(ctl->err, "Try `futurectl %s%s--help`.\n", c ? c->name : "", c ? " " : "");
    return CTL_USAGE;
}

/* What needs no daemon; -1: go on. */
static int run_without_client(struct ctl *ctl)
{
    const struct options *o = &ctl->options;

    if (o->wants_version) {
        fprintf(ctl->out.to, "futurectl %s\n", futured_version());
        return CTL_OK;
    }
    if (o->wants_help && o->command)
        options_print_help(ctl->out.to, o->command);
    else if (o->wants_help)
        options_print_commands(ctl->out.to, commands, commands_n);
    else if (!o->command)
        return say_usage(ctl, "no command given");
    else
        return -1;
    return CTL_OK;
}

static int run_with_client(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    int code;

    ctl->client = futured_client_new(o->address);
    if (!ctl->client) {
        ctl_complain(ctl, "out of memory");
        return CTL_FAILED;
    }
    if (o->timeout.is_set) /* zero would be no timeout */
        futured_client_set_timeout(ctl->client, MAX(o->timeout.ns, INT64_C(1)));
    code = o->command->run(ctl);
    futured_client_free(ctl->client);
    return code;
}

int commands_main(int argc, char **argv, FILE *out, FILE *err)
{
    struct ctl ctl = {.err = err};
    char error[OPTIONS_ERROR_BYTES];
    int code, r = options_parse(argc, argv, commands, commands_n, &ctl.options, error);

    output_init(&ctl.out, ctl.options.format, out);
    if (r)
        return say_usage(&ctl, error);
    code = run_without_client(&ctl);
    if (code < 0)
        code = run_with_client(&ctl);
    r = output_close(&ctl.out);
    if (r == OUTPUT_E_MEMORY)
        ctl_complain(&ctl, "out of memory");
    else if (r < 0)
        ctl_complain(&ctl, "cannot write the output: %s", strerror(-r));
    return r && code == CTL_OK ? CTL_FAILED : code;
}
