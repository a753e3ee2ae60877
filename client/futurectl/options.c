// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/options.h"

#include "base/err.h"
#include "client/futurectl/duration.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* --- the table */

static const struct option {
    enum option_id id;
    char letter; /* 0: none */
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
} options[] = {
        {OPTION_ADDRESS, 'a', "address", "ADDRESS",
         "unix:/path, 127.0.0.1:4740, [::1]:4740 or host:4740;\n"
         "default $FUTURED_ADDRESS, else the socket of the user's or\n"
         "of the system's daemon"},
        {OPTION_JSON, 0, "json", NULL, "print JSON: one value, indented"},
        {OPTION_JSONL, 0, "jsonl", NULL, "print JSON: one value a line, as it comes"},
        {OPTION_HELP, 'h', "help", NULL, "print this help"},
        {OPTION_VERSION, 0, "version", NULL, "print the version"},
        {OPTION_ANY, 0, "any", NULL, "until one is done"},
        {OPTION_ARGUMENT, 0, "argument", "TEXT", "the argument, literally: no `-` and no @FILE"},
        {OPTION_ATTEMPT_TIMEOUT, 0, "attempt-timeout", "DURATION", "stop an attempt that runs for longer"},
        {OPTION_CANCEL_ON_DISCONNECT, 0, "cancel-on-disconnect", NULL,
         "cancel the task if futurectl ends before it"},
        {OPTION_CONTENT_TYPE, 't', "content-type", "TYPE",
         "media type of the argument, such as application/json"},
        {OPTION_COUNT, 0, "count", "N", "until N are done"},
        {OPTION_DEADLINE, 0, "deadline", "DURATION", "it fails if it has not ended after that time"},
        {OPTION_DELAY, 0, "delay", "DURATION", "do not start it before that time has passed"},
        {OPTION_DEPEND_POLICY, 0, "depend-policy", "POLICY",
         "start when what it depends on is over by: success (default), finish or failure"},
        {OPTION_DEPENDS_ON, 0, "depends-on", "ID", "start after that future; may be given again for another"},
        {OPTION_EPHEMERAL, 0, "ephemeral", NULL, "keep it in memory only: it does not survive the daemon"},
        {OPTION_FIRST_EXCEPTION, 0, "first-exception", NULL, "until one has failed, or all are done"},
        {OPTION_GRACE, 0, "grace", "DURATION",
         "how long a running attempt has to end by itself (default 5s)"},
        {OPTION_GROUP, 'g', "group", "GROUP", "the group to put it into, or to select by"},
        {OPTION_KEY, 'k', "key", "KEY", "idempotency key: again with the same key answers the same future"},
        {OPTION_KEY_POLICY, 0, "key-policy", "POLICY",
         "where the key is in use: join (default), join-unless-failed, join-while-active or reject"},
        {OPTION_LABEL, 'l', "label", "KEY=VALUE", "a label; may be given again for another"},
        {OPTION_LIMIT, 'n', "limit", "N", "show N at most (default 100; 0: all)"},
        {OPTION_MAX_ATTEMPTS, 0, "max-attempts", "N",
         "how often to try, the first time included (default 1)"},
        {OPTION_OLDEST_FIRST, 0, "oldest-first", NULL, "the oldest first; else the newest"},
        {OPTION_OUTPUT, 'o', "output", "FILE", "write to FILE instead of standard output"},
        {OPTION_PASS_RESULTS, 0, "pass-results", NULL, "hand on the outcomes of what it depends on"},
        {OPTION_PRIORITY, 'p', "priority", "N", "the highest starts first (default 0; may be negative)"},
        {OPTION_REASON, 'r', "reason", "TEXT", "why; kept in the record"},
        {OPTION_REMOVE, 0, "remove", "KEY", "remove that label; may be given again"},
        {OPTION_RETENTION, 0, "retention", "DURATION", "how long to keep the record after its end"},
        {OPTION_TAG, 0, "tag", "TAG", "a mark of your own in the record"},
        {OPTION_TIMEOUT, 0, "timeout", "DURATION", "give up waiting after that time, with exit status 124"},
        {OPTION_VIEW, 0, "view", "VIEW", "how much to ask for: result, basic, task or full"},
        {OPTION_WAIT, 0, "wait", "DURATION", "wait up to that time until it is there and takes calls"},
};

static const enum option_id common[] = {OPTION_ADDRESS, OPTION_JSON, OPTION_JSONL, OPTION_HELP,
                                        OPTION_VERSION};

static const struct option *find_id(enum option_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].id == id)
            return &options[i];
    return NULL;
}

/* --- suggestions */

/* Levenshtein distance of short words; what is longer is far away. */
static size_t distance(const char *a, const char *b, size_t n_b)
{
    enum { MAX = 40 };
    size_t n_a = strlen(a), row[MAX + 1];

    if (n_a > MAX || n_b > MAX)
        return MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]), insert;

            insert = MIN(row[j], row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = MIN(change, insert);
        }
    }
    return row[n_b];
}

/* Remember @name in *best when it is nearer to the @n bytes at @word than what is there. */
static void nearer(const char *name, const char *word, size_t n, const char **best, size_t *best_distance)
{
    size_t d = strncmp(name, word, n) == 0 ? 1 : distance(name, word, n);

    if (d < *best_distance) {
        *best_distance = d;
        *best = name;
    }
}

/* How far a name may be to be worth a suggestion. */
static size_t far(size_t n)
{
    return n < 8 ? 3 : 4;
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
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (common[i] == id)
            return 1;
    for (size_t i = 0; command && command->options[i] != OPTION_END; i++)
        if (command->options[i] == id)
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

static int parse_priority(struct parser *p, const char *text)
{
    int64_t n;
    int r = parse_number(p, "priority", text, INT32_MIN, INT32_MAX, &n);

    if (r == 0)
        p->to->priority = (int32_t)n;
    return r;
}

static int parse_span(struct parser *p, const char *name, const char *text, struct option_span *ret)
{
    int r = duration_parse(text, &ret->ns);

    ret->is_set = r == 0;
    if (r == DURATION_E_RANGE)
        return usage(p, "--%s %s is too long", name, text);
    return r ? usage(p, "--%s takes a time such as 90s, 1.5h, 250ms or 7d, not `%s`", name, text) : 0;
}

static int parse_view(struct parser *p, const char *text)
{
    static const char *const names[] = {"", "result", "basic", "task", "full"};

    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], text) == 0) {
            p->to->view = (enum futured_view)i;
            return 0;
        }
    }
    return usage(p, "--view takes result, basic, task or full, not `%s`", text);
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

static int add_remove(struct parser *p, const char *text)
{
    if (p->to->n_remove == OPTIONS_LABELS_MAX)
        return usage(p, "more than %d labels to remove", OPTIONS_LABELS_MAX);
    p->to->remove[p->to->n_remove++] = text;
    return 0;
}

/* The place of @text among @words, from 1 on; 0: it is none of them. */
static int place_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return (int)i + 1;
    return 0;
}

static int parse_depend_policy(struct parser *p, const char *text)
{
    static const char *const words[] = {"success", "finish", "failure"}; /* in the order of the enum */

    p->to->depend_policy = (enum futured_depend_policy)place_of(text, words, ARRAY_LEN(words));
    return p->to->depend_policy
                   ? 0
                   : usage(p, "--depend-policy takes success, finish or failure, not `%s`", text);
}

static int parse_key_policy(struct parser *p, const char *text)
{
    static const char *const words[] = {"join", "join-unless-failed", "join-while-active", "reject"};

    p->to->key_policy = (enum futured_key_policy)place_of(text, words, ARRAY_LEN(words));
    return p->to->key_policy
                   ? 0
                   : usage(p,
                           "--key-policy takes join, join-unless-failed, join-while-active or reject, "
                           "not `%s`",
                           text);
}

static int add_depends_on(struct parser *p, const char *id)
{
    if (p->to->n_depends_on == OPTIONS_DEPENDS_ON_MAX)
        return usage(p, "--depends-on is given more than %d times", OPTIONS_DEPENDS_ON_MAX);
    p->to->depends_on[p->to->n_depends_on++] = id;
    return 0;
}

static int set_format(struct parser *p, enum output_format format)
{
    if (p->to->format != OUTPUT_TEXT && p->to->format != format)
        return usage(p, "--json and --jsonl exclude each other");
    p->to->format = format;
    return 0;
}

/* One case an option. */
static int set(struct parser *p, const struct option *o, const char *value)
{
    struct options *to = p->to;

    switch (o->id) {
    case OPTION_ADDRESS: to->address = value; return 0;
    case OPTION_JSON: return set_format(p, OUTPUT_JSON);
    case OPTION_JSONL: return set_format(p, OUTPUT_JSONL);
    case OPTION_HELP: to->wants_help = 1; return 0;
    case OPTION_VERSION: to->wants_version = 1; return 0;
    case OPTION_ANY: to->is_any = 1; return 0;
    case OPTION_ARGUMENT: to->argument = value; return 0;
    case OPTION_ATTEMPT_TIMEOUT: return parse_span(p, o->name, value, &to->attempt_timeout);
    case OPTION_CANCEL_ON_DISCONNECT: to->cancel_on_disconnect = 1; return 0;
    case OPTION_CONTENT_TYPE: to->content_type = value; return 0;
    case OPTION_COUNT: return parse_u32(p, o->name, value, 1, &to->count);
    case OPTION_DEADLINE: return parse_span(p, o->name, value, &to->deadline);
    case OPTION_DELAY: return parse_span(p, o->name, value, &to->delay);
    case OPTION_DEPEND_POLICY: return parse_depend_policy(p, value);
    case OPTION_DEPENDS_ON: return add_depends_on(p, value);
    case OPTION_EPHEMERAL: to->is_ephemeral = 1; return 0;
    case OPTION_FIRST_EXCEPTION: to->is_first_exception = 1; return 0;
    case OPTION_GRACE: return parse_span(p, o->name, value, &to->grace);
    case OPTION_GROUP: to->group = value; return 0;
    case OPTION_KEY: to->key = value; return 0;
    case OPTION_KEY_POLICY: return parse_key_policy(p, value);
    case OPTION_LABEL: return add_label(p, value);
    case OPTION_LIMIT: return parse_u32(p, o->name, value, 0, &to->limit);
    case OPTION_MAX_ATTEMPTS: return parse_u32(p, o->name, value, 1, &to->max_attempts);
    case OPTION_OLDEST_FIRST: to->is_oldest_first = 1; return 0;
    case OPTION_OUTPUT: to->output = value; return 0;
    case OPTION_PASS_RESULTS: to->passes_results = 1; return 0;
    case OPTION_PRIORITY: return parse_priority(p, value);
    case OPTION_REASON: to->reason = value; return 0;
    case OPTION_REMOVE: return add_remove(p, value);
    case OPTION_RETENTION: return parse_span(p, o->name, value, &to->retention);
    case OPTION_TAG: to->tag = value; return 0;
    case OPTION_TIMEOUT: return parse_span(p, o->name, value, &to->timeout);
    case OPTION_VIEW: return parse_view(p, value);
    case OPTION_WAIT: return parse_span(p, o->name, value, &to->wait);
    case OPTION_END: break;
    }
    return 0;
}

static int unknown_option(struct parser *p, const char *word, size_t n)
{
    size_t best_distance = far(n);
    const char *best = NULL;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (takes(p->to->command, options[i].id))
            nearer(options[i].name, word, n, &best, &best_distance);
    if (best)
        return usage(p, "there is no option --%.*s; did you mean --%s?", (int)n, word, best);
    return usage(p, "there is no option --%.*s", (int)n, word);
}

static const struct option *find_name(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
            return &options[i];
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].letter == letter)
            return &options[i];
    return NULL;
}

/* Read the option in argv[*at], with its value there or in the next word, and set it; *at is moved behind. */
static int parse_option(struct parser *p, int argc, char *const *argv, int *at, const struct option **ret)
{
    const char *word = argv[*at], *name = word + 2, *value = NULL;
    size_t n = strcspn(name, "=");
    const struct option *o;

    if (word[1] == '-') {
        o = find_name(name, n);
        if (!o)
            return unknown_option(p, name, n);
        if (name[n] == '=')
            value = name + n + 1;
    } else {
        o = find_letter(word[1]);
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
    size_t best_distance = far(strlen(word));
    const char *best = NULL;

    for (size_t i = 0; i < p->n_commands; i++) {
        if (strcmp(p->commands[i].name, word) == 0) {
            p->to->command = &p->commands[i];
            return 0;
        }
        nearer(p->commands[i].name, word, strlen(word), &best, &best_distance);
    }
    if (best)
        return usage(p, "there is no command `%s`; did you mean `%s`?", word, best);
    return usage(p, "there is no command `%s`", word);
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

    *ret = (struct options){.limit = 100};
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
            if (!takes(ret->command, o->id) && !first_foreign)
                first_foreign = o; /* the command may come behind it */
        } else if (!ret->command) {
            r = find_command(&p, argv[i++]);
            if (r)
                return r;
        } else {
            argv[n++] = argv[i++];
        }
        if (ret->command && first_foreign) {
            if (!takes(ret->command, first_foreign->id))
                return usage(&p, "%s takes no --%s", ret->command->name, first_foreign->name);
            first_foreign = NULL;
        }
    }
    ret->arguments = argv + 1;
    ret->n_arguments = n - 1;
    return check_arguments(&p);
}

/* --- help */

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

void options_print_help(FILE *to, const struct command *command)
{
    fprintf(to, "Usage: futurectl %s [OPTION]...%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "",
            command->arguments, command->summary);
    if (*command->text)
        fprintf(to, "\n%s", command->text);
    fputs("\nOptions:\n", to);
    for (size_t i = 0; command->options[i] != OPTION_END; i++)
        print_option(to, find_id(command->options[i]));
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        print_option(to, find_id(common[i]));
}

void options_print_commands(FILE *to, const struct command *commands, size_t n_commands)
{
    fputs("Usage: futurectl [OPTION]... COMMAND [OPTION]... [ARGUMENT]...\n\n"
          "Run functions through futured and keep each result with its task.\n\nCommands:\n",
          to);
    for (size_t i = 0; i < n_commands; i++)
        fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].summary);
    fputs("\nOptions:\n", to);
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        print_option(to, find_id(common[i]));
    fputs("\n`futurectl COMMAND --help` says more of a command.\n"
          "\nExit status: 0 ok, 1 the task failed or the daemon refused, 2 usage, 3 cancelled, 4 not found,\n"
          "69 the daemon is not reachable, 124 timed out.\n",
          to);
}
