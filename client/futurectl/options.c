// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/options.h"

#include "base/err.h"
#include "client/futurectl/duration.h"
#include "client/futurectl/suggest.h"
#include "client/futurectl/when.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* --- the table */

static const char *const views[] = {"result", "basic", "task", "full", NULL};
static const char *const depend_policies[] = {"success", "finish", "failure", NULL};
static const char *const key_policies[] = {"join", "join-unless-failed", "join-while-active", "reject", NULL};
static const char *const count_fields[] = {"state",  "function",  "pending_reason", "reason",
                                           "worker", "principal", "labels.KEY",     NULL};

static const char *const streams[] = {"output", "log", "all", NULL};

static const char *const progresses[] = {"auto", "bar", "lines", "none", NULL};

static const struct option table[] = {
        {OPTION_ADDRESS, 'a', "address", "ADDRESS",
         "unix:/path, 127.0.0.1:4740, [::1]:4740, host:4740 or\n"
         "tls:host:4741;\n"
         "default $FUTURED_ADDRESS, else the socket of the user's or\n"
         "of the system's daemon",
         NULL},
        {OPTION_JSON, 0, "json", NULL, "print JSON: one value, indented", NULL},
        {OPTION_JSONL, 0, "jsonl", NULL, "print JSON: one value a line, as it comes", NULL},
        {OPTION_HELP, 'h', "help", NULL, "print this help", NULL},
        {OPTION_VERSION, 0, "version", NULL, "print the version", NULL},
        {OPTION_ANY, 0, "any", NULL, "until one is done", NULL},
        {OPTION_ARGUMENT, 0, "argument", "TEXT", "the argument, literally: no `-` and no @FILE", NULL},
        {OPTION_AT, 0, "at", "TIME",
         "do not start it before: 12:00, \"2026-01-31 12:00\",\n"
         "2026-01-31T12:00:00Z",
         NULL},
        {OPTION_ATTEMPT, 0, "attempt", "N", "of that attempt only", NULL},
        {OPTION_ATTEMPT_TIMEOUT, 0, "attempt-timeout", "DURATION", "stop an attempt that runs for longer",
         NULL},
        {OPTION_BY, 'b', "by", "FIELD",
         "count each value of: state, function, pending_reason, reason,\n"
         "worker, principal or labels.KEY",
         count_fields},
        {OPTION_CANCEL_ON_DISCONNECT, 0, "cancel-on-disconnect", NULL,
         "cancel the task if futurectl ends before it", NULL},
        {OPTION_CONCURRENCY_KEY, 0, "concurrency-key", "KEY",
         "of the tasks of the function with this key one runs at a time", NULL},
        {OPTION_CONTENT_TYPE, 't', "content-type", "TYPE",
         "media type of the argument, such as application/json", NULL},
        {OPTION_COUNT, 0, "count", "N", "until N are done", NULL},
        {OPTION_CSV, 0, "csv", NULL,
         "standard input is a table: a line of columns, then an item\n"
         "each; the argument is an object of JSON, or --argument",
         NULL},
        {OPTION_DEADLINE, 0, "deadline", "WHEN",
         "it fails if it has not ended by then: a DURATION from now,\nor a TIME", NULL},
        {OPTION_DEPEND_POLICY, 0, "depend-policy", "POLICY",
         "start when what it depends on is over by: success (default),\nfinish or failure", depend_policies},
        {OPTION_DEPENDS_ON, 0, "depends-on", "ID", "start after that future; may be given again for another",
         NULL},
        {OPTION_DRY_RUN, 0, "dry-run", NULL, "only count what would be changed", NULL},
        {OPTION_DURABLE, 0, "durable", NULL, "keep it on disk (the default of a daemon with a store)", NULL},
        {OPTION_EPHEMERAL, 0, "ephemeral", NULL, "keep it in memory only: it does not survive the daemon",
         NULL},
        {OPTION_EXIT, 0, "exit", NULL, "the daemon ends when nothing runs any more", NULL},
        {OPTION_EXPECT, 0, "expect", "N", "until the group has N members, too", NULL},
        {OPTION_FAIRNESS_KEY, 0, "fairness-key", "KEY",
         "take turns with tasks of other keys (default: who submitted)", NULL},
        {OPTION_FILES, 0, "files", NULL,
         "items are paths: the argument is what is in the file, and its\n"
         "path the label `file`",
         NULL},
        {OPTION_FILTER, 'f', "filter", "FILTER",
         "those that match, such as 'state = FAILED AND end_time > -1h'", NULL},
        {OPTION_FIRST_EXCEPTION, 0, "first-exception", NULL, "until one has failed, or all are done", NULL},
        {OPTION_FOLLOW, 0, "follow", NULL, "go on with what comes, until it is done", NULL},
        {OPTION_FUNCTION, 0, "function", "NAME", "what to serve; may be given again for another", NULL},
        {OPTION_GRACE, 0, "grace", "DURATION", "how long a running attempt has to end by itself (default 5s)",
         NULL},
        {OPTION_GROUP, 'g', "group", "GROUP", "the group to put it into", NULL},
        {OPTION_HALT, 0, "halt", "WHEN,WHAT",
         "end before all is done: now (cancel what runs) or soon, with\n"
         "fail=N, fail=N%, success=N or success=N%; or never",
         NULL},
        {OPTION_IN, 0, "in", "DURATION", "do not start it before that time has passed", NULL},
        {OPTION_INTERVAL, 0, "interval", "DURATION",
         "how often to show something (default: top 1s, map 10s, its\nbar 100ms)", NULL},
        {OPTION_JOBLOG, 0, "joblog", "FILE", "write a line for each item that ends, as GNU parallel does",
         NULL},
        {OPTION_KEEP_ORDER, 'k', "keep-order", NULL, "print results in the order of the items", NULL},
        {OPTION_KEY, 'k', "key", "KEY", "idempotency key: again with the same key is the same future", NULL},
        {OPTION_KEY_POLICY, 0, "key-policy", "POLICY",
         "where the key is in use: join (default), join-unless-failed,\njoin-while-active or reject",
         key_policies},
        {OPTION_LABEL, 'l', "label", "KEY=VALUE", "a label; may be given again for another", NULL},
        {OPTION_LIMIT, 'n', "limit", "N", "show N at most (default 100; 0: all)", NULL},
        {OPTION_MAP_ARGUMENT, 0, "argument", "TEMPLATE",
         "the argument of an item, with {} in place of it (default {})", NULL},
        {OPTION_MAP_DRY_RUN, 0, "dry-run", NULL, "print what would be run, and run nothing", NULL},
        {OPTION_MAP_LABEL, 'l', "label", "KEY=TEMPLATE", "a label; may be given again for another", NULL},
        {OPTION_MAX_IN_FLIGHT, 'j', "max-in-flight", "N", "so many items at a time (default 256)", NULL},
        {OPTION_MAX_PENDING, 0, "max-pending", "N",
         "so many may wait, further submissions are refused; 0: any number", NULL},
        {OPTION_MAX_RUNNING, 0, "max-running", "N", "so many run at a time; 0: any number", NULL},
        {OPTION_NAME, 0, "name", "NAME", "the name of the worker, for people (default host:pid)", NULL},
        {OPTION_NO_DEADLINE, 0, "no-deadline", NULL, "remove the deadline", NULL},
        {OPTION_NULL, '0', "null", NULL, "items of standard input end with a NUL, not with a newline", NULL},
        {OPTION_OLDEST_FIRST, 0, "oldest-first", NULL, "the oldest first; else the newest", NULL},
        {OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE instead of standard output", NULL},
        {OPTION_PASS_RESULTS, 0, "pass-results", NULL, "hand on the outcomes of what it depends on", NULL},
        {OPTION_PRIORITY, 'p', "priority", "N", "the highest starts first (default 0; may be negative)",
         NULL},
        {OPTION_PROGRESS, 0, "progress", "HOW",
         "bar, lines or none (default auto: a bar on a terminal, lines\n"
         "elsewhere)",
         progresses},
        {OPTION_RATE, 0, "rate", "N", "so many start a second, on average; 0: any number", NULL},
        {OPTION_REASON, 'r', "reason", "TEXT", "why; kept in the record", NULL},
        {OPTION_REMOVE, 0, "remove", "KEY", "remove that label; may be given again", NULL},
        {OPTION_RESET, 0, "reset", NULL, "back to the limits of the configuration", NULL},
        {OPTION_RESULTS, 0, "results", "DIR", "keep each result as DIR/1/ITEM/stdout, its error as stderr",
         NULL},
        {OPTION_RESUME, 0, "resume", NULL, "what the group has done already is not run again", NULL},
        {OPTION_RETENTION, 0, "retention", "DURATION", "how long to keep the record after its end", NULL},
        {OPTION_RETRIES, 0, "retries", "N", "how often to try again after a failure (default 0)", NULL},
        {OPTION_RETRY_FAILED, 0, "retry-failed", NULL, "resume, and run again what failed", NULL},
        {OPTION_SELECT_GROUP, 'g', "group", "GROUP", "those of that group", NULL},
        {OPTION_SLOTS, 0, "slots", "N", "run N at a time (default 1)", NULL},
        {OPTION_STOP_ACCEPT, 0, "stop-accept", NULL, "accept no task", NULL},
        {OPTION_STOP_DISPATCH, 0, "stop-dispatch", NULL, "start no task, and wait for those that run", NULL},
        {OPTION_UNDO, 0, "undo", NULL, "end the drain: accept and start tasks again", NULL},
        {OPTION_STREAM, 0, "stream", "STREAM", "output, log (default) or all", streams},
        {OPTION_TAG, 0, "tag", "TAG", "a mark of your own in the record", NULL},
        {OPTION_MAP_TAG, 0, "tag", NULL, "begin each line of a result with the item and a tab", NULL},
        {OPTION_TASKS, 'c', "count", "N", "end after N tasks", NULL},
        {OPTION_TIMEOUT, 0, "timeout", "DURATION", "give up waiting after that time, with exit status 124",
         NULL},
        {OPTION_TOP_COUNT, 0, "count", "N", "show it N times, then end", NULL},
        {OPTION_TLS_CA, 0, "tls-ca", "FILE",
         "who may have signed the daemon's certificate; default\n$FUTURED_TLS_CA, else whom the system "
         "trusts",
         NULL},
        {OPTION_TLS_CERT, 0, "tls-cert", "FILE", "the certificate to show; default $FUTURED_TLS_CERT", NULL},
        {OPTION_TLS_KEY, 0, "tls-key", "FILE", "its key; default $FUTURED_TLS_KEY", NULL},
        {OPTION_TOKEN_FILE, 0, "token-file", "FILE",
         "a file with the token that says who calls;\ndefault $FUTURED_TOKEN_FILE", NULL},
        {OPTION_VIEW, 0, "view", "VIEW", "how much to ask for: result, basic, task or full", views},
        {OPTION_WAIT, 0, "wait", "DURATION", "wait up to that time until it is there and takes calls", NULL},
        {OPTION_YES, 'y', "yes", NULL, "do not ask", NULL},
};

static const enum option_id common[] = {OPTION_ADDRESS, OPTION_TLS_CA,     OPTION_TLS_CERT,
                                        OPTION_TLS_KEY, OPTION_TOKEN_FILE, OPTION_JSON,
                                        OPTION_JSONL,   OPTION_HELP,       OPTION_VERSION};

static const struct option *find_id(enum option_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].id == id)
            return &table[i];
    return NULL;
}

const struct option *options_each(const struct command *command, size_t at)
{
    size_t n = 0;

    while (command && command->options[n] != OPTION_END)
        n++;
    if (at < n)
        return find_id(command->options[at]);
    return at - n < ARRAY_LEN(common) ? find_id(common[at - n]) : NULL;
}

const struct option *options_find(const struct command *command, const char *name, size_t n)
{
    const struct option *o;

    for (size_t i = 0; (o = options_each(command, i)); i++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

/* --- parsing */

struct parser {
    const struct command *commands;
    size_t n_commands;
    struct options *to;
    char *error;
};

__attribute__((format(printf, 2, 3))) static int usage(struct parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->error, OPTIONS_ERROR_BYTES, format, args);
    va_end(args);
    return OPTIONS_E_USAGE;
}

static int takes(const struct command *command, enum option_id id)
{
    const struct option *o;

    for (size_t i = 0; (o = options_each(command, i)); i++)
        if (o->id == id)
            return 1;
    return 0;
}

static int parse_number(struct parser *p, const char *name, const char *text, int64_t min, int64_t max,
                        int64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (end == text || *end || errno || *ret < min || *ret > max)
        return usage(p, "--%s takes a whole number from %lld to %lld, not `%s`", name, (long long)min,
                     (long long)max, text);
    return 0;
}

static int parse_u32(struct parser *p, const char *name, const char *text, int64_t min, uint32_t *ret)
{
    int64_t n;
    int r = parse_number(p, name, text, min, UINT32_MAX, &n);

    if (r == 0)
        *ret = (uint32_t)n;
    return r;
}

static int parse_maybe(struct parser *p, const char *name, const char *text, int64_t min, int64_t max,
                       struct option_number *ret)
{
    ret->is_set = 1;
    return parse_number(p, name, text, min, max, &ret->n);
}

static int parse_in_flight(struct parser *p, const char *name, const char *text)
{
    int64_t n = 0;
    int r = parse_number(p, name, text, 1, OPTIONS_IN_FLIGHT_MAX, &n);

    p->to->max_in_flight = (uint32_t)n;
    return r;
}

static int parse_rate(struct parser *p, const char *text)
{
    char *end;

    p->to->rate = strtod(text, &end);
    if (end == text || *end || !isfinite(p->to->rate) || p->to->rate < 0)
        return usage(p, "--rate takes a number such as 10 or 0.5, not `%s`", text);
    return 0;
}

static int parse_span(struct parser *p, const char *name, const char *text, struct option_span *ret)
{
    int r = duration_parse(text, &ret->ns);

    ret->is_set = r == 0;
    if (r == DURATION_E_RANGE)
        return usage(p, "--%s %s is too long", name, text);
    return r ? usage(p, "--%s takes a time such as 90s, 1.5h, 250ms or 7d, not `%s`", name, text) : 0;
}

static int parse_time(struct parser *p, const char *name, const char *text, struct option_time *ret)
{
    ret->is_set = when_parse(text, clock_wall(), &ret->t) == 0;
    return ret->is_set ? 0
                       : usage(p,
                               "--%s takes a time such as 12:00, \"2026-01-31 12:00\" or "
                               "2026-01-31T12:00:00Z, not `%s`",
                               name, text);
}

static int parse_deadline(struct parser *p, const char *text)
{
    int64_t ns;

    if (duration_parse(text, &ns) != 0)
        return parse_time(p, "deadline", text, &p->to->deadline) == 0
                       ? 0
                       : usage(p,
                               "--deadline takes 90s, 1.5h or 7d, or a time such as 12:00 or "
                               "2026-01-31T12:00:00Z, not `%s`",
                               text);
    p->to->deadline = (struct option_time){1, clock_add(clock_wall(), ns)};
    return 0;
}

int options_parse_label(const char *text, struct option_label *ret)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || (size_t)(equals - text) >= sizeof ret->key)
        return OPTIONS_E_USAGE;
    memcpy(ret->key, text, (size_t)(equals - text));
    ret->key[equals - text] = '\0';
    ret->value = equals + 1;
    return 0;
}

static int add_label(struct parser *p, const char *text)
{
    struct options *to = p->to;

    if (to->n_labels == OPTIONS_LABELS_MAX)
        return usage(p, "more than %d labels", OPTIONS_LABELS_MAX);
    if (options_parse_label(text, &to->labels[to->n_labels]))
        return usage(p, "--label takes KEY=VALUE with a key of 1 to 63 characters, not `%s`", text);
    to->n_labels++;
    return 0;
}

static int add_text(struct parser *p, const char *name, const char *text, const char **list, size_t *n,
                    size_t max)
{
    if (*n == max)
        return usage(p, "--%s is given more than %zu times", name, max);
    list[(*n)++] = text;
    return 0;
}

/* The place of @text among the option's words, from 1 on. */
static int parse_word(struct parser *p, const struct option *o, const char *text, int *ret)
{
    char all[160] = "";

    for (int i = 0; o->words[i]; i++) {
        size_t n = strlen(all);

        if (strcmp(text, o->words[i]) == 0) {
            *ret = i + 1;
            return 0;
        }
        snprintf(all + n, sizeof all - n, "%s%s", i == 0 ? "" : o->words[i + 1] ? ", " : " or ", o->words[i]);
    }
    return usage(p, "--%s takes %s, not `%s`", o->name, all, text);
}

static int set_word(struct parser *p, const struct option *o, const char *text)
{
    int at = 0, r = parse_word(p, o, text, &at);

    if (o->id == OPTION_PROGRESS)
        p->to->progress = at ? (enum option_progress)(at - 1) : PROGRESS_AUTO;
    else if (o->id == OPTION_STREAM)
        p->to->stream = (enum option_stream)at;
    else if (o->id == OPTION_VIEW)
        p->to->view = (enum futured_view)at;
    else if (o->id == OPTION_DEPEND_POLICY)
        p->to->depend_policy = (enum futured_depend_policy)at;
    else
        p->to->key_policy = (enum futured_key_policy)at;
    return r;
}

static int set_format(struct parser *p, enum output_format format)
{
    if (p->to->format != OUTPUT_TEXT && p->to->format != format)
        return usage(p, "--json and --jsonl exclude each other");
    p->to->format = format;
    return 0;
}

static int set_durability(struct parser *p, enum futured_durability durability)
{
    if (p->to->durability && p->to->durability != durability)
        return usage(p, "--durable and --ephemeral exclude each other");
    p->to->durability = durability;
    return 0;
}

static int set_halt(struct parser *p, const char *text)
{
    return halt_parse(text, &p->to->halt) ? usage(p,
                                                  "--halt takes never, or now or soon, a comma, and fail=N, "
                                                  "fail=N%%, success=N or success=N%%, not `%s`",
                                                  text)
                                          : 0;
}

/* One case an option. */
static int set(struct parser *p, const struct option *o, const char *value)
{
    struct options *to = p->to;

    switch (o->id) {
    case OPTION_ADDRESS: to->address = value; return 0;
    case OPTION_TLS_CA: to->tls_ca = value; return 0;
    case OPTION_TLS_CERT: to->tls_cert = value; return 0;
    case OPTION_TLS_KEY: to->tls_key = value; return 0;
    case OPTION_TOKEN_FILE: to->token_file = value; return 0;
    case OPTION_JSON: return set_format(p, OUTPUT_JSON);
    case OPTION_JSONL: return set_format(p, OUTPUT_JSONL);
    case OPTION_HELP: to->wants_help = 1; return 0;
    case OPTION_VERSION: to->wants_version = 1; return 0;
    case OPTION_ANY: to->is_any = 1; return 0;
    case OPTION_ARGUMENT:
    case OPTION_MAP_ARGUMENT: to->argument = value; return 0;
    case OPTION_AT: return parse_time(p, o->name, value, &to->at);
    case OPTION_ATTEMPT_TIMEOUT: return parse_span(p, o->name, value, &to->attempt_timeout);
    case OPTION_BY: to->by = value; return 0;
    case OPTION_CANCEL_ON_DISCONNECT: to->cancel_on_disconnect = 1; return 0;
    case OPTION_CONCURRENCY_KEY: to->concurrency_key = value; return 0;
    case OPTION_CONTENT_TYPE: to->content_type = value; return 0;
    case OPTION_COUNT:
    case OPTION_TASKS:
    case OPTION_TOP_COUNT: return parse_u32(p, o->name, value, 1, &to->count);
    case OPTION_DEADLINE: return parse_deadline(p, value);
    case OPTION_DEPEND_POLICY:
    case OPTION_KEY_POLICY:
    case OPTION_PROGRESS:
    case OPTION_STREAM:
    case OPTION_VIEW: return set_word(p, o, value);
    case OPTION_ATTEMPT: return parse_u32(p, o->name, value, 1, &to->attempt);
    case OPTION_FOLLOW: to->is_following = 1; return 0;
    case OPTION_DEPENDS_ON:
        return add_text(p, o->name, value, to->depends_on, &to->n_depends_on, OPTIONS_DEPENDS_ON_MAX);
    case OPTION_CSV: to->is_csv = 1; return 0;
    case OPTION_DRY_RUN:
    case OPTION_MAP_DRY_RUN: to->is_dry_run = 1; return 0;
    case OPTION_DURABLE: return set_durability(p, FUTURED_DURABLE);
    case OPTION_EPHEMERAL: return set_durability(p, FUTURED_EPHEMERAL);
    case OPTION_EXIT: to->is_exit = 1; return 0;
    case OPTION_EXPECT: return parse_u32(p, o->name, value, 1, &to->expect);
    case OPTION_FAIRNESS_KEY: to->fairness_key = value; return 0;
    case OPTION_FILES: to->is_files = 1; return 0;
    case OPTION_FILTER: to->filter = value; return 0;
    case OPTION_FIRST_EXCEPTION: to->is_first_exception = 1; return 0;
    case OPTION_FUNCTION:
        return add_text(p, o->name, value, to->functions, &to->n_functions, OPTIONS_FUNCTIONS_MAX);
    case OPTION_GRACE: return parse_span(p, o->name, value, &to->grace);
    case OPTION_GROUP:
    case OPTION_SELECT_GROUP: to->group = value; return 0;
    case OPTION_HALT: return set_halt(p, value);
    case OPTION_IN: return parse_span(p, o->name, value, &to->in);
    case OPTION_INTERVAL: return parse_span(p, o->name, value, &to->interval);
    case OPTION_JOBLOG: to->joblog = value; return 0;
    case OPTION_KEEP_ORDER: to->keeps_order = 1; return 0;
    case OPTION_KEY: to->key = value; return 0;
    case OPTION_LABEL:
    case OPTION_MAP_LABEL: return add_label(p, value);
    case OPTION_LIMIT: return parse_u32(p, o->name, value, 0, &to->limit);
    case OPTION_MAP_TAG: to->tags_items = 1; return 0;
    case OPTION_MAX_IN_FLIGHT: return parse_in_flight(p, o->name, value);
    case OPTION_MAX_PENDING: return parse_maybe(p, o->name, value, 0, INT64_MAX, &to->max_pending);
    case OPTION_MAX_RUNNING: return parse_maybe(p, o->name, value, 0, UINT32_MAX, &to->max_running);
    case OPTION_NAME: to->name = value; return 0;
    case OPTION_NO_DEADLINE: to->is_without_deadline = 1; return 0;
    case OPTION_NULL: to->is_null = 1; return 0;
    case OPTION_OLDEST_FIRST: to->is_oldest_first = 1; return 0;
    case OPTION_OUTPUT: to->output = value; return 0;
    case OPTION_PASS_RESULTS: to->passes_results = 1; return 0;
    case OPTION_PRIORITY: return parse_maybe(p, o->name, value, INT32_MIN, INT32_MAX, &to->priority);
    case OPTION_RATE: return parse_rate(p, value);
    case OPTION_REASON: to->reason = value; return 0;
    case OPTION_REMOVE: return add_text(p, o->name, value, to->remove, &to->n_remove, OPTIONS_LABELS_MAX);
    case OPTION_RESET: to->is_reset = 1; return 0;
    case OPTION_RESULTS: to->results = value; return 0;
    case OPTION_RESUME: to->resumes = 1; return 0;
    case OPTION_RETRY_FAILED: to->retries_failed = 1; return 0;
    case OPTION_RETENTION: return parse_span(p, o->name, value, &to->retention);
    case OPTION_RETRIES: return parse_u32(p, o->name, value, 0, &to->retries);
    case OPTION_SLOTS: return parse_u32(p, o->name, value, 1, &to->slots);
    case OPTION_STOP_ACCEPT: to->is_stop_accept = 1; return 0;
    case OPTION_STOP_DISPATCH: to->is_stop_dispatch = 1; return 0;
    case OPTION_TAG: to->tag = value; return 0;
    case OPTION_TIMEOUT: return parse_span(p, o->name, value, &to->timeout);
    case OPTION_UNDO: to->is_undo = 1; return 0;
    case OPTION_WAIT: return parse_span(p, o->name, value, &to->wait);
    case OPTION_YES: to->is_yes = 1; return 0;
    case OPTION_END: break;
    }
    return 0;
}

static int unknown_option(struct parser *p, const char *word, size_t n)
{
    struct suggest s = suggest_for(word, n);
    const struct option *o;

    for (size_t i = 0; (o = options_each(p->to->command, i)); i++)
        suggest_offer(&s, o->name);
    if (s.best)
        return usage(p, "there is no option --%.*s; did you mean --%s?", (int)n, word, s.best);
    return usage(p, "there is no option --%.*s", (int)n, word);
}

/* That of the command, else any, which is refused when the command is known. */
static const struct option *find_name(const struct command *command, const char *name, size_t n)
{
    const struct option *o = options_find(command, name, n);

    for (size_t i = 0; !o && i < ARRAY_LEN(table); i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
            return &table[i];
    return o;
}

static const struct option *find_letter(const struct command *command, char letter)
{
    const struct option *o;

    for (size_t i = 0; (o = options_each(command, i)); i++)
        if (o->letter == letter)
            return o;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].letter == letter)
            return &table[i];
    return NULL;
}

/* Read the option in argv[*at], with its value there or in the next word, and set it; *at is moved behind. */
static int parse_option(struct parser *p, int argc, char *const *argv, int *at, const struct option **ret)
{
    const char *word = argv[*at], *name = word + 2, *value = NULL;
    size_t n = strcspn(name, "=");
    const struct option *o;

    if (word[1] == '-') {
        o = find_name(p->to->command, name, n);
        if (!o)
            return unknown_option(p, name, n);
        if (name[n] == '=')
            value = name + n + 1;
    } else {
        o = find_letter(p->to->command, word[1]);
        if (!o)
            return usage(p, "there is no option -%c", word[1]);
        if (word[2])
            value = word + 2;
    }
    *ret = o;
    ++*at;
    if (!o->value)
        return value ? usage(p, "--%s takes no value", o->name) : set(p, o, "");
    if (!value) {
        if (*at >= argc)
            return usage(p, "--%s needs a value: %s", o->name, o->value);
        value = argv[(*at)++];
    }
    return set(p, o, value);
}

static int is_option(const char *word)
{
    return word[0] == '-' && word[1];
}

/* The command is the first word that is neither an option nor the value of one. */
static int find_command(struct parser *p, const char *word)
{
    struct suggest s = suggest_for(word, strlen(word));

    for (size_t i = 0; i < p->n_commands; i++) {
        if (strcmp(p->commands[i].name, word) == 0) {
            p->to->command = &p->commands[i];
            return 0;
        }
        suggest_offer(&s, p->commands[i].name);
    }
    if (s.best)
        return usage(p, "there is no command `%s`; did you mean `%s`?", word, s.best);
    return usage(p, "there is no command `%s`", word);
}

/* The same option under another meaning: --group of a submission and of a selection. */
static int is_foreign(const struct command *command, const struct option *o)
{
    return !takes(command, o->id) && !options_find(command, o->name, strlen(o->name));
}

static int check_arguments(struct parser *p)
{
    const struct command *c = p->to->command;

    if (!c || p->to->wants_help || p->to->wants_version)
        return 0;
    if (p->to->n_arguments < c->min_arguments)
        return usage(p, "%s needs %s", c->name, c->arguments);
    if (c->max_arguments >= 0 && p->to->n_arguments > c->max_arguments)
        return usage(p, "%s does not take so many arguments: `%s` is too much", c->name,
                     p->to->arguments[c->max_arguments]);
    return 0;
}

int options_parse(int argc, char **argv, const struct command *commands, size_t n_commands,
                  struct options *ret, char error[static OPTIONS_ERROR_BYTES])
{
    struct parser p = {commands, n_commands, ret, error};
    const struct option *o = NULL, *first_foreign = NULL;
    int i = 1, n = 1, only_words = 0, r;

    *ret = (struct options){.limit = 100, .rate = -1};
    error[0] = '\0';
    while (i < argc) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = 1;
            i++;
        } else if (!only_words && is_option(argv[i])) {
            r = parse_option(&p, argc, argv, &i, &o);
            if (r)
                return r;
            ASSERT(o);
            if (!first_foreign && is_foreign(ret->command, o))
                first_foreign = o; /* the command may come behind it */
        } else if (!only_words && ret->command && ret->command->takes_items && strcmp(argv[i], ":::") == 0) {
            only_words = ret->has_items = 1;
            i++;
        } else if (!ret->command) {
            r = find_command(&p, argv[i++]);
            if (r)
                return r;
        } else {
            argv[n++] = argv[i++];
        }
        if (ret->command && first_foreign) {
            if (is_foreign(ret->command, first_foreign))
                return usage(&p, "%s takes no --%s", ret->command->name, first_foreign->name);
            first_foreign = NULL;
        }
    }
    if (n < argc)
        argv[n] = NULL; /* a command line of its own, for who runs it */
    ret->arguments = argv + 1;
    ret->n_arguments = n - 1;
    return check_arguments(&p);
}
