// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"

#include "base/err.h"
#include "client/futurectl/cmd_change.h"
#include "client/futurectl/cmd_completion.h"
#include "client/futurectl/cmd_daemon.h"
#include "client/futurectl/cmd_function.h"
#include "client/futurectl/cmd_logs.h"
#include "client/futurectl/cmd_many.h"
#include "client/futurectl/cmd_map.h"
#include "client/futurectl/cmd_run.h"
#include "client/futurectl/cmd_show.h"
#include "client/futurectl/cmd_top.h"
#include "client/futurectl/cmd_wait.h"
#include "client/futurectl/cmd_worker.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/help.h"

#include <string.h>

#define TASK_OPTIONS                                                                                         \
    OPTION_ARGUMENT, OPTION_CONTENT_TYPE, OPTION_LABEL, OPTION_GROUP, OPTION_TAG, OPTION_PRIORITY,           \
            OPTION_IN, OPTION_AT, OPTION_DEADLINE, OPTION_ATTEMPT_TIMEOUT, OPTION_RETRIES,                   \
            OPTION_DEPENDS_ON, OPTION_DEPEND_POLICY, OPTION_PASS_RESULTS, OPTION_KEY, OPTION_KEY_POLICY,     \
            OPTION_CONCURRENCY_KEY, OPTION_FAIRNESS_KEY, OPTION_DURABLE, OPTION_EPHEMERAL, OPTION_RETENTION, \
            OPTION_TIMEOUT, OPTION_VIEW
#define SELECT_OPTIONS OPTION_SELECT_GROUP, OPTION_FILTER
#define MANY_OPTIONS   SELECT_OPTIONS, OPTION_YES, OPTION_DRY_RUN

#define ARGUMENT_TEXT                                                                \
    "ARGUMENT is a text; `-` is standard input, @FILE a file; nothing is an empty\n" \
    "argument. Standard input is not read unless asked for.\n"
#define WAITING_TEXT "A task that has to wait for more than its turn is told of on standard error.\n"
#define MANY_TEXT(what)                                                                      \
    "IDs are " what " at once. What --group or --filter select is counted first, and then\n" \
    "asked about at a terminal; elsewhere -y is needed.\n"

const struct command commands[] = {
        {
                .name = "submit",
                .arguments = "FUNCTION [ARGUMENT | - | @FILE]",
                .summary = "Accept a task, print its ID and do not wait",
                .text = ARGUMENT_TEXT WAITING_TEXT
                "\nExamples:\n"
                "  id=$(futurectl submit sha256 @big.iso --label file=big.iso)\n"
                "  futurectl submit report --at 03:00 --retries 3 --key report-of-today\n"
                "  futurectl submit merge --depends-on $a --depends-on $b --pass-results\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 2,
                .options = {TASK_OPTIONS, OPTION_END},
                .run = cmd_run_submit,
        },
        {
                .name = "run",
                .arguments = "FUNCTION [ARGUMENT | - | @FILE]",
                .summary = "Run a function and print its result",
                .text = ARGUMENT_TEXT
                "The result is printed as it is; only on a terminal a newline is added where it\n"
                "has none. With --json the whole record is printed instead.\n" WAITING_TEXT "\nExamples:\n"
                "  futurectl run sha256 hello\n"
                "  futurectl run sha256 - < /etc/passwd\n"
                "  futurectl run gzip @notes.txt -o notes.txt.gz\n"
                "  futurectl run resize @in.png --label customer=42 --timeout 30s > out.png\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 2,
                .options = {TASK_OPTIONS, OPTION_OUTPUT, OPTION_CANCEL_ON_DISCONNECT, OPTION_END},
                .run = cmd_run,
        },
        {
                .name = "map",
                .arguments = "FUNCTION [::: ITEM...]",
                .summary = "Run a function over many items and print the results",
                .text = "Items are the words behind FUNCTION or `:::` (behind which all are items), else "
                        "lines\n"
                        "of standard input; --null and --csv say how else they stand there. In a TEMPLATE "
                        "{}\n"
                        "is the item, {/} without its folders, {.} without its extension, {/.} without "
                        "either,\n"
                        "{//} its folders, {#} its number, {COLUMN} a column of the table.\n"
                        "What is in flight when it is interrupted is cancelled; interrupted twice it leaves "
                        "at\n"
                        "once, and what is in flight goes on. With --group it can be taken up again: "
                        "--resume,\n"
                        "--retry-failed.\n"
                        "Exit status: 1 where an item failed, 3 where one was cancelled, 130 interrupted.\n"
                        "\nExamples:\n"
                        "  futurectl map sha256 --files *.iso --tag\n"
                        "  find . -name '*.png' -print0 | futurectl map resize -0 --files --results out\n"
                        "  futurectl map report --csv --group monthly --resume < customers.csv\n"
                        "  futurectl map mail --csv --argument 'to: {address}' --label who={name} < "
                        "list.csv\n",
                .kind = ARGUMENT_FUNCTION,
                .takes_items = 1,
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_NULL,
                            OPTION_CSV,
                            OPTION_FILES,
                            OPTION_MAP_ARGUMENT,
                            OPTION_CONTENT_TYPE,
                            OPTION_MAP_LABEL,
                            OPTION_GROUP,
                            OPTION_RESUME,
                            OPTION_RETRY_FAILED,
                            OPTION_MAX_IN_FLIGHT,
                            OPTION_KEEP_ORDER,
                            OPTION_MAP_TAG,
                            OPTION_HALT,
                            OPTION_JOBLOG,
                            OPTION_RESULTS,
                            OPTION_PROGRESS,
                            OPTION_INTERVAL,
                            OPTION_MAP_DRY_RUN,
                            OPTION_PRIORITY,
                            OPTION_IN,
                            OPTION_AT,
                            OPTION_DEADLINE,
                            OPTION_ATTEMPT_TIMEOUT,
                            OPTION_RETRIES,
                            OPTION_CONCURRENCY_KEY,
                            OPTION_FAIRNESS_KEY,
                            OPTION_DURABLE,
                            OPTION_EPHEMERAL,
                            OPTION_RETENTION,
                            OPTION_TIMEOUT,
                            OPTION_END},
                .run = cmd_map,
        },
        {
                .name = "wait",
                .arguments = "[ID]...",
                .summary = "Wait until futures are done",
                .text = "Exit status: 1 where one of them failed, 3 where one was cancelled, 4 where one is\n"
                        "unknown, 124 where the time is over.\n"
                        "\nExamples:\n"
                        "  futurectl wait $a $b $c --any\n"
                        "  futurectl wait --group nightly --expect 100 --timeout 1h\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {SELECT_OPTIONS, OPTION_ANY, OPTION_FIRST_EXCEPTION, OPTION_COUNT, OPTION_EXPECT,
                            OPTION_TIMEOUT, OPTION_VIEW, OPTION_END},
                .run = cmd_wait,
        },
        {
                .name = "as-completed",
                .arguments = "ID...",
                .summary = "Print futures as they are done, each once",
                .text = "Those that are done already come first. Exit status as of wait.\n"
                        "\nExamples:\n"
                        "  futurectl as-completed $a $b $c --view full --jsonl | jq -r .result.data_text\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_TIMEOUT, OPTION_VIEW, OPTION_END},
                .run = cmd_wait_as_completed,
        },
        {
                .name = "result",
                .arguments = "ID",
                .summary = "Wait for a future and print its result",
                .text = "The bytes are printed as `futurectl run` prints them. --timeout 0s does not wait.\n"
                        "\nExamples:\n"
                        "  futurectl result $id > out.bin\n"
                        "  futurectl result $id -o out.bin --timeout 5m\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_OUTPUT, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_wait_result,
        },
        {
                .name = "get",
                .arguments = "[ID]...",
                .summary = "Show whole futures: task, labels, attempts, outcome",
                .text = "Examples:\n"
                        "  futurectl get 0198c2f0-1\n"
                        "  futurectl get --key report-of-today\n"
                        "  futurectl get $id --json | jq .attempts\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {OPTION_KEY, OPTION_VIEW, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_get,
        },
        {
                .name = "list",
                .arguments = "[ID]...",
                .summary = "List futures, the newest first",
                .text = "Examples:\n"
                        "  futurectl list --limit 20\n"
                        "  futurectl list -f 'state = FAILED AND end_time > -1h'\n"
                        "  futurectl list --group nightly --limit 0 --jsonl | jq -r .id\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {SELECT_OPTIONS, OPTION_LIMIT, OPTION_OLDEST_FIRST, OPTION_VIEW, OPTION_TIMEOUT,
                            OPTION_END},
                .run = cmd_show_list,
        },
        {
                .name = "count",
                .arguments = "[ID]...",
                .summary = "Count futures, in all or by a field",
                .text = "Examples:\n"
                        "  futurectl count -f 'state = PENDING'\n"
                        "  futurectl count --by state --group nightly\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {SELECT_OPTIONS, OPTION_BY, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_count,
        },
        {
                .name = "watch",
                .arguments = "[ID]...",
                .summary = "Show what happens to futures, until they are done",
                .text = "One line an event. Over a group or a filter it goes on until it is interrupted.\n"
                        "\nExamples:\n"
                        "  futurectl watch $id\n"
                        "  futurectl watch --group nightly --jsonl\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {SELECT_OPTIONS, OPTION_VIEW, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_wait_watch,
        },
        {
                .name = "logs",
                .arguments = "ID",
                .summary = "Print the log of a future, or its output",
                .text = "The bytes as they came, of all attempts that are kept. The log of a command is its "
                        "standard\n"
                        "error; output is what a function hands out before its end.\n"
                        "\nExamples:\n"
                        "  futurectl logs $id --follow\n"
                        "  futurectl logs $id --attempt 2 --stream all --jsonl\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_FOLLOW, OPTION_ATTEMPT, OPTION_STREAM, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_logs,
        },
        {
                .name = "annotate",
                .arguments = "ID [KEY=VALUE]...",
                .summary = "Set and remove labels of a future",
                .text = "Examples:\n"
                        "  futurectl annotate $id reviewed=yes --remove draft\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_REMOVE, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_change_annotate,
        },
        {
                .name = "reschedule",
                .arguments = "ID",
                .summary = "Change when a future runs and how long it is kept",
                .text = "What is not named stays as it is; of a future that is done only the retention "
                        "changes.\n"
                        "\nExamples:\n"
                        "  futurectl reschedule $id --in 0s --priority 10\n"
                        "  futurectl reschedule $id --deadline 18:00 --retention 30d\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_PRIORITY, OPTION_IN, OPTION_AT, OPTION_DEADLINE, OPTION_NO_DEADLINE,
                            OPTION_RETENTION, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_change_reschedule,
        },
        {
                .name = "cancel",
                .arguments = "[ID]...",
                .summary = "Cancel futures: pending ones at once, running ones are asked to end",
                .text = MANY_TEXT("cancelled") "\nExamples:\n"
                                               "  futurectl cancel $id --reason 'not needed any more'\n"
                                               "  futurectl cancel --group nightly --grace 0s -y\n"
                                               "  futurectl cancel -f 'function = resize AND state = "
                                               "PENDING' --dry-run\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {MANY_OPTIONS, OPTION_REASON, OPTION_GRACE, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_many_cancel,
        },
        {
                .name = "retry",
                .arguments = "[ID]...",
                .summary = "Run the tasks of failed or cancelled futures again, as new futures",
                .text = MANY_TEXT("retried") "Again on the same future: the retry that exists.\n"
                                             "\nExamples:\n"
                                             "  futurectl retry $id\n"
                                             "  futurectl retry -f 'state = FAILED AND reason = CRASHED AND "
                                             "retried = false'\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {MANY_OPTIONS, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_many_retry,
        },
        {
                .name = "delete",
                .arguments = "[ID]...",
                .summary = "Forget futures that are done, now",
                .text = MANY_TEXT("deleted") "\nExamples:\n"
                                             "  futurectl delete $id\n"
                                             "  futurectl delete -f 'state = SUCCEEDED AND end_time < -1h'\n",
                .kind = ARGUMENT_ID,
                .min_arguments = 0,
                .max_arguments = -1,
                .options = {MANY_OPTIONS, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_many_delete,
        },
        {
                .name = "explain",
                .arguments = "ID | FUNCTION",
                .summary = "Say why a future, or the queue of a function, is not moving",
                .text = "Examples:\n"
                        "  futurectl explain $id\n"
                        "  futurectl explain sha256\n",
                .kind = ARGUMENT_ID_OR_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_show_explain,
        },
        {
                .name = "functions",
                .arguments = "[PREFIX]",
                .summary = "List the functions that can be run",
                .text = "",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_function_list,
        },
        {
                .name = "workers",
                .arguments = "[FUNCTION]",
                .summary = "List the workers that are attached, and what they do",
                .text = "With FUNCTION only those that serve it.\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_daemon_workers,
        },
        {
                .name = "worker",
                .arguments = "-- COMMAND [ARGUMENT]...",
                .summary = "Serve functions by a command, run once for each task",
                .text = "The task's argument is the command's standard input, its standard output is the "
                        "result, "
                        "its\nstandard error the log. Another exit code than 0, or a signal, is the task's "
                        "error. Cancelled,\nits process group gets SIGTERM, and SIGKILL when the grace is "
                        "nearly "
                        "over. The command sees\nFUTURED_ID, FUTURED_ATTEMPT, FUTURED_FUNCTION, "
                        "FUTURED_GROUP, "
                        "FUTURED_CONTENT_TYPE, a\nFUTURED_LABEL_NAME for each label, and TRACEPARENT; what "
                        "the task depends on is not there.\nOne SIGINT or SIGTERM ends the worker when what "
                        "runs is "
                        "done, a "
                        "second one gives that up. A lost\ndaemon is waited for, without end or as long as "
                        "--wait "
                        "says.\n"
                        "\nExamples:\n"
                        "  futurectl worker --function resize --slots 4 -- convert - -resize 128x128 png:-\n"
                        "  futurectl worker --function count-words -c 1 -- wc -w\n",
                .kind = ARGUMENT_OTHER,
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_FUNCTION, OPTION_SLOTS, OPTION_TASKS, OPTION_NAME, OPTION_LABEL,
                            OPTION_WAIT, OPTION_END},
                .run = cmd_worker,
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
                .kind = ARGUMENT_OTHER,
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_TIMEOUT, OPTION_END},
                .run = cmd_daemon_stats,
        },
        {
                .name = "top",
                .arguments = "[FUNCTION]",
                .summary = "Show what the daemon does, live: rates, queues, what runs long, what fails",
                .text = "On a terminal h names the keys; elsewhere it prints a text each time. With "
                        "FUNCTION\n"
                        "only functions whose names contain it.\n"
                        "\nExamples:\n"
                        "  futurectl top\n"
                        "  futurectl top --count 10 --interval 5s | tee log\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 0,
                .max_arguments = 1,
                .options = {OPTION_INTERVAL, OPTION_TOP_COUNT, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_top,
        },
        {
                .name = "pause",
                .arguments = "FUNCTION",
                .summary = "Start no more tasks of a function; what runs goes on",
                .text = "Submissions are still accepted. Holds over a restart, until `futurectl resume`.\n"
                        "\nExamples:\n"
                        "  futurectl pause resize --reason 'disk full'\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_REASON, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_function_pause,
        },
        {
                .name = "resume",
                .arguments = "FUNCTION",
                .summary = "Start tasks of a function again",
                .text = "",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_REASON, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_function_resume,
        },
        {
                .name = "limits",
                .arguments = "FUNCTION",
                .summary = "Show and set how much of a function runs and waits",
                .text = "What is set here holds over the configuration, and over a restart, until --reset.\n"
                        "\nExamples:\n"
                        "  futurectl limits resize\n"
                        "  futurectl limits resize --max-running 2 --rate 0.5 --reason 'until the new disk "
                        "is in'\n",
                .kind = ARGUMENT_FUNCTION,
                .min_arguments = 1,
                .max_arguments = 1,
                .options = {OPTION_MAX_RUNNING, OPTION_MAX_PENDING, OPTION_RATE, OPTION_RESET, OPTION_REASON,
                            OPTION_TIMEOUT, OPTION_END},
                .run = cmd_function_limits,
        },
        {
                .name = "reload",
                .arguments = "",
                .summary = "Have the daemon read its configuration again",
                .text = "It ends when what has changed is in use. Where the configuration is wrong nothing\n"
                        "changes, and what is wrong is said with file and line.\n"
                        "\nExamples:\n"
                        "  futurectl reload --dry-run\n",
                .kind = ARGUMENT_OTHER,
                .min_arguments = 0,
                .max_arguments = 0,
                .options = {OPTION_DRY_RUN, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_daemon_reload,
        },
        {
                .name = "drain",
                .arguments = "",
                .summary = "Stop the daemon in steps, and wait for what runs",
                .text = "Without --stop-accept, --stop-dispatch or --exit it accepts and starts nothing "
                        "more.\n"
                        "What runs still when the time is over (30s, or --timeout) is listed, with exit "
                        "status\n"
                        "124; the drain holds on until --undo.\n"
                        "\nExamples:\n"
                        "  futurectl drain --timeout 5m --reason 'new disk' && replace-the-disk\n"
                        "  futurectl drain --undo\n",
                .kind = ARGUMENT_OTHER,
                .min_arguments = 0,
                .max_arguments = 0,
                .options = {OPTION_STOP_ACCEPT, OPTION_STOP_DISPATCH, OPTION_EXIT, OPTION_UNDO, OPTION_REASON,
                            OPTION_TIMEOUT, OPTION_END},
                .run = cmd_daemon_drain,
        },
        {
                .name = "ping",
                .arguments = "",
                .summary = "Ask whether the daemon is there and takes calls",
                .text = "Examples:\n"
                        "  futurectl ping --wait 10s && start-what-needs-it\n",
                .kind = ARGUMENT_OTHER,
                .min_arguments = 0,
                .max_arguments = 0,
                .options = {OPTION_WAIT, OPTION_TIMEOUT, OPTION_END},
                .run = cmd_daemon_ping,
        },
        {
                .name = "completion",
                .arguments = "SHELL",
                .summary = "Print the script that completes command lines in bash, zsh or fish",
                .text = "Names of functions and IDs are asked of the daemon.\n"
                        "\nExamples:\n"
                        "  source <(futurectl completion bash)\n"
                        "  source <(futurectl completion zsh)\n"
                        "  futurectl completion fish | source\n",
                .kind = ARGUMENT_SHELL,
                .min_arguments = 1,
                .max_arguments = -1,
                .options = {OPTION_END},
                .run = cmd_completion,
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
        help_print_command(ctl->out.to, o->command);
    else if (o->wants_help)
        help_print_program(ctl->out.to, commands, commands_n);
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
    if (ctl_show_who(ctl, ctl->client) < 0) {
        futured_client_free(ctl->client);
        return CTL_USAGE;
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
