// SPDX-License-Identifier: Apache-2.0
#include "worker/words.h"

#include <errno.h>
#include <string.h>

/* Where we are: the rest of the line, and where the next character of a word goes (never ahead of the line: the room
 * for all words together is that of the line). */
struct cursor {
    const char *from;
    char *to;
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static int take_single(struct cursor *c)
{
    while (*c->from && *c->from != '\'')
        *c->to++ = *c->from++;
    if (!*c->from)
        return WORDS_E_QUOTE;
    c->from++;
    return 0;
}

static int take_double(struct cursor *c)
{
    while (*c->from && *c->from != '"') {
        if (*c->from == '\\' && c->from[1] && strchr("\"\\$`\n", c->from[1])) {
            c->from++;
            if (*c->from == '\n') {
                c->from++;
                continue;
            }
        }
        *c->to++ = *c->from++;
    }
    if (!*c->from)
        return WORDS_E_QUOTE;
    c->from++;
    return 0;
}

/* One word, which may be empty by its quotes, up to a blank or the end. */
static int take_word(struct cursor *c)
{
    int r = 0;

    while (r == 0 && *c->from && !is_blank(*c->from)) {
        char ch = *c->from++;

        if (ch == '\'') {
            r = take_single(c);
        } else if (ch == '"') {
            r = take_double(c);
        } else if (ch != '\\') {
            *c->to++ = ch;
        } else if (!*c->from) {
            r = WORDS_E_BACKSLASH;
        } else if (*c->from++ != '\n') {
            *c->to++ = c->from[-1];
        }
    }
    *c->to++ = '\0';
    return r;
}

static void skip_blanks(struct cursor *c)
{
    while (is_blank(*c->from) || (*c->from == '\\' && c->from[1] == '\n'))
        c->from += is_blank(*c->from) ? 1 : 2;
}

int words_split(const char *line, struct arena *a, char ***ret_words)
{
    size_t len = strlen(line), n = 0;
    struct cursor c = {.from = line};
    char **words;

    /* a word of one character and its blank are two; each word needs one more for its end */
    c.to = arena_alloc(a, len + len / 2 + 2);
    words = arena_alloc(a, MIN(len / 2 + 2, (size_t)WORDS_MAX + 1) * sizeof *words);
    if (!c.to || !words)
        return -ENOMEM;
    for (skip_blanks(&c); *c.from; skip_blanks(&c)) {
        int r;

        if (n == WORDS_MAX)
            return WORDS_E_MANY;
        words[n++] = c.to;
        r = take_word(&c);
        if (r != 0)
            return r;
    }
    if (n == 0)
        return WORDS_E_EMPTY;
    words[n] = NULL;
    *ret_words = words;
    return 0;
}

const char *words_error_text(int error)
{
    switch (error) {
    case WORDS_E_QUOTE: return "a quote is not closed";
    case WORDS_E_BACKSLASH: return "a backslash stands at the end";
    case WORDS_E_EMPTY: return "it is empty";
    case WORDS_E_MANY: return "it has too many words";
    default: return "it is good";
    }
}
