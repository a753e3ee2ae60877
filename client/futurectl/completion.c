// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/completion.h"

#include "base/err.h"

#include <string.h>

/* --- scripts */

static const struct script {
    const char *shell, *text;
} scripts[] = {
        {"bash", "# bash: source <(futurectl completion bash)\n"
                 "_futurectl()\n"
                 "{\n"
                 "    local line=${COMP_LINE:0:COMP_POINT} word words=()\n"
                 "\n"
                 "    read -ra words <<<\"$line\"\n"
                 "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
                 "    COMPREPLY=()\n"
                 "    while IFS=$'\\t' read -r word _; do\n"
                 "        [[ ${words[-1]} == -*=* ]] && word=${word#*=}\n"
                 "        COMPREPLY+=(\"$word\")\n"
                 "    done < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
                 "}\n"
                 "complete -o default -F _futurectl futurectl\n"},
        {"zsh", "#compdef futurectl\n"
                "# zsh: source <(futurectl completion zsh), behind compinit\n"
                "_futurectl()\n"
                "{\n"
                "    local -a found\n"
                "    local word what\n"
                "\n"
                "    while IFS=$'\\t' read -r word what; do\n"
                "        found+=(\"${word//:/\\\\:}${what:+:$what}\")\n"
                "    done < <(\"${words[1]}\" completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
                "    if (( $#found )); then\n"
                "        _describe futurectl found\n"
                "    else\n"
                "        _files\n"
                "    fi\n"
                "}\n"
                "if [[ ${funcstack[1]} == _futurectl ]]; then\n"
                "    _futurectl \"$@\"\n"
                "else\n"
                "    compdef _futurectl futurectl\n"
                "fi\n"},
        {"fish",
         "# fish: futurectl completion fish | source\n"
         "function __futurectl_words\n"
         "    set -l words (commandline -opc) (commandline -ct)\n"
         "    $words[1] completion words -- $words[2..-1] 2>/dev/null\n"
         "end\n"
         "complete -c futurectl -n 'count (__futurectl_words) >/dev/null' -f -a '(__futurectl_words)'\n"},
};

const char *completion_script(const char *shell)
{
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        if (strcmp(scripts[i].shell, shell) == 0)
            return scripts[i].text;
    return NULL;
}

/* --- candidates */

/* The line, as far as it is typed. */
struct line {
    const char *last; /* the word to complete */
    const struct command *command;
    const struct option *value_of; /* the last word is the value of that option */
    struct options *who;
    int n_arguments, only_words;
    completion_fn found;
    void *arg;
};

static void offer(const struct line *line, const char *before, const char *word, const char *what)
{
    char text[300];

    snprintf(text, sizeof text, "%s%s", before, word);
    if (strncmp(text, line->last, strlen(line->last)) == 0)
        line->found(line->arg, text, what);
}

static const struct option *find_letter(const struct command *command, char letter)
{
    const struct option *o;

    for (size_t i = 0; (o = options_each(command, i)); i++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* The option that @word is; @ret_value: what stands in the same word as its value, or NULL. */
static const struct option *read_option(const struct line *line, const char *word, const char **ret_value)
{
    size_t n = strcspn(word, "=");
    const struct option *o;

    *ret_value = NULL;
    if (word[1] != '-') {
        o = find_letter(line->command, word[1]);
        if (o && o->value && word[2])
            *ret_value = word + 2;
        return o;
    }
    if (word[n] == '=')
        *ret_value = word + n + 1;
    return options_find(line->command, word + 2, n - 2);
}

static void read_who(struct options *who, enum option_id id, const char *value)
{
    switch (id) {
    case OPTION_ADDRESS: who->address = value; break;
    case OPTION_TLS_CA: who->tls_ca = value; break;
    case OPTION_TLS_CERT: who->tls_cert = value; break;
    case OPTION_TLS_KEY: who->tls_key = value; break;
    case OPTION_TOKEN_FILE: who->token_file = value; break;
    default: break;
    }
}

/* One word that stands before the last one. */
static void read_word(struct line *line, const struct command *commands, size_t n_commands, const char *word)
{
    const char *value = word;
    const struct option *o = line->value_of;

    line->value_of = NULL;
    if (!o && !line->only_words &&
        (strcmp(word, "--") == 0 ||
         (line->command && line->command->takes_items && strcmp(word, ":::") == 0))) {
        line->only_words = 1;
        return;
    }
    if (!o && !line->only_words && word[0] == '-' && word[1]) {
        o = read_option(line, word, &value);
        if (o && o->value && !value)
            line->value_of = o;
    } else if (!o && line->command) {
        line->n_arguments++;
    } else if (!o) {
        for (size_t i = 0; i < n_commands; i++)
            if (strcmp(commands[i].name, word) == 0)
                line->command = &commands[i];
    }
    if (o)
        read_who(line->who, o->id, value);
}

/* @value: the end of the last word, as far as it is typed. */
static void offer_values(const struct line *line, const struct option *o, const char *value,
                         struct completion_live *live)
{
    snprintf(live->before, sizeof live->before, "%.*s", (int)(value - line->last), line->last);
    live->prefix = value;
    if (o->id == OPTION_DEPENDS_ON)
        live->kind = ARGUMENT_ID;
    if (o->id == OPTION_FUNCTION)
        live->kind = ARGUMENT_FUNCTION;
    for (size_t i = 0; o->words && o->words[i]; i++)
        offer(line, live->before, o->words[i], "");
}

static void offer_options(const struct line *line)
{
    const struct option *o;

    for (size_t i = 0; (o = options_each(line->command, i)); i++) {
        char what[200];

        snprintf(what, sizeof what, "%.*s", (int)strcspn(o->help, "\n"), o->help);
        offer(line, "--", o->name, what);
    }
}

static void offer_arguments(const struct line *line, struct completion_live *live)
{
    const struct command *c = line->command;

    if (line->n_arguments == 0 && c->kind == ARGUMENT_SHELL)
        for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
            offer(line, "", scripts[i].shell, "");
    if (c->kind == ARGUMENT_ID && (c->max_arguments < 0 || line->n_arguments < c->max_arguments))
        live->kind = ARGUMENT_ID;
    if ((c->kind == ARGUMENT_FUNCTION || c->kind == ARGUMENT_ID_OR_FUNCTION) && line->n_arguments == 0)
        live->kind = c->kind;
}

void completion_find(const struct command *commands, size_t n_commands, char *const *words, int n_words,
                     completion_fn found, void *arg, struct options *who, struct completion_live *ret)
{
    struct line line = {.last = n_words ? words[n_words - 1] : "", .who = who, .found = found, .arg = arg};
    const struct option *o;
    const char *value;

    for (int i = 0; i + 1 < n_words; i++)
        read_word(&line, commands, n_commands, words[i]);
    *ret = (struct completion_live){.prefix = line.last};
    if (line.value_of) {
        offer_values(&line, line.value_of, line.last, ret);
    } else if (!line.only_words && line.last[0] == '-') {
        o = line.last[1] == '-' ? read_option(&line, line.last, &value) : NULL;
        if (o && value)
            offer_values(&line, o, value, ret);
        else
            offer_options(&line);
    } else if (line.command) {
        offer_arguments(&line, ret);
    } else {
        for (size_t i = 0; i < n_commands; i++)
            offer(&line, "", commands[i].name, commands[i].summary);
    }
}
