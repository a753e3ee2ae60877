// SPDX-License-Identifier: Apache-2.0
/*
 * By recursive descent, one function a rule:
 *
 *   filter  = all { "OR" all }
 *   all     = term { ["AND"] term }              AND, said or not, binds closer than OR
 *   term    = { "NOT" } ( "(" filter ")" | field op value | "has" label )
 *
 * A word is a run of characters other than space, brackets, quotes and the characters of operators. NOT is a mark on its
 * term. Depth and terms are counted while parsing, and room for all nodes and all text is made before: a term takes
 * at least four bytes, so that a text has at most so many.
 */
#include "base/limit.h"
#include "base/mem.h"
#include "filter/filter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum token { TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_OP, TOKEN_WORD, TOKEN_STRING, TOKEN_BAD };

enum { TERM_BYTES_MIN = 4, SHOWN_BYTES = 40 };

struct parser {
    struct span text;
    size_t at; /* behind the token */
    enum token token;
    size_t begin;     /* of the token */
    struct span word; /* WORD: as it stands; STRING: without its quotes */
    enum filter_op op;
    wall_ns_t now;
    uint32_t depth, n_terms;
    size_t max_nodes;
    struct filter *filter;
    struct filter_problem *problem;
};

PRINTF_LIKE(3, 4) static int fail(struct parser *p, size_t at, const char *format, ...)
{
    va_list args;

    p->problem->column = 1;
    for (size_t i = 0; i < at; i++)
        p->problem->column += (p->text.p[i] & 0xc0) != 0x80;
    va_start(args, format);
    vsnprintf(p->problem->text, sizeof p->problem->text, format, args);
    va_end(args);
    return FILTER_E_SYNTAX;
}

/* --- tokens */

static int is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int is_word_char(uint8_t c)
{
    return !is_space(c) && c != '(' && c != ')' && c != '"' && c != '=' && c != '!' && c != '~' && c != '<' &&
           c != '>';
}

/* What stands at p->at, with its quotes; into the filter's text, where there is room for it. */
static int read_string(struct parser *p)
{
    uint8_t *to = p->filter->text + p->filter->text_len, *start = to;
    size_t at = p->at + 1;

    for (;; at++) {
        if (at == p->text.len)
            return fail(p, p->begin, "this quote is not closed");
        if (p->text.p[at] == '"')
            break;
        if (p->text.p[at] == '\\') {
            at++;
            if (at == p->text.len || (p->text.p[at] != '"' && p->text.p[at] != '\\'))
                return fail(p, at - 1,
                            "expected \\\" or \\\\: a backslash stands before a quote or another one");
        }
        *to++ = p->text.p[at];
    }
    p->at = at + 1;
    p->word = (struct span){start, (size_t)(to - start)};
    p->filter->text_len += p->word.len;
    return 0;
}

static int read_op(struct parser *p)
{
    size_t left = p->text.len - p->at;

    for (int op = FILTER_GE; op >= FILTER_EQ; op--) { /* the long ones first */
        size_t n = strlen(filter_ops[op]);

        if (n <= left && memcmp(p->text.p + p->at, filter_ops[op], n) == 0) {
            p->op = (enum filter_op)op;
            p->at += n;
            return 0;
        }
    }
    return fail(p, p->at, "expected \"!=\"; \"!\" alone is not an operator, NOT is a word");
}

static int next(struct parser *p)
{
    uint8_t c;

    while (p->at < p->text.len && is_space(p->text.p[p->at]))
        p->at++;
    p->begin = p->at;
    if (p->at == p->text.len) {
        p->token = TOKEN_END;
        return 0;
    }
    c = p->text.p[p->at];
    if (c == '(' || c == ')') {
        p->token = c == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
        p->at++;
        return 0;
    }
    if (c == '"') {
        p->token = TOKEN_STRING;
        return read_string(p);
    }
    if (!is_word_char(c)) {
        p->token = TOKEN_OP;
        return read_op(p);
    }
    p->token = TOKEN_WORD;
    while (p->at < p->text.len && is_word_char(p->text.p[p->at]))
        p->at++;
    p->word = (struct span){p->text.p + p->begin, p->at - p->begin};
    return 0;
}

static int is_word(const struct parser *p, const char *word)
{
    return p->token == TOKEN_WORD && span_eq(p->word, span_of_string(word));
}

static int is_reserved(const struct parser *p)
{
    return is_word(p, "AND") || is_word(p, "OR") || is_word(p, "NOT");
}

/* The token as a message shows it. */
static const char *shown(const struct parser *p, char text[static SHOWN_BYTES + 4])
{
    size_t n = p->at - p->begin;

    if (p->token == TOKEN_END)
        return "the end";
    snprintf(text, SHOWN_BYTES + 4, "\"%.*s\"", (int)MIN(n, (size_t)SHOWN_BYTES),
             (const char *)p->text.p + p->begin);
    return text;
}

/* --- values */

/* A copy of the word in the filter's text; a string is there already. */
static struct span keep(struct parser *p)
{
    struct span kept = p->word;

    if (p->token == TOKEN_WORD) {
        kept.p = p->filter->text + p->filter->text_len;
        memcpy(p->filter->text + p->filter->text_len, p->word.p, p->word.len);
        p->filter->text_len += p->word.len;
    }
    return kept;
}

static int read_integer(struct span text, int64_t *ret)
{
    int is_minus = text.len > 0 && text.p[0] == '-';
    int64_t v = 0;

    if (text.len == (size_t)is_minus)
        return -1;
    for (size_t i = (size_t)is_minus; i < text.len; i++) {
        int digit = text.p[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v)) /* downwards, where there is one more */
            return -1;
    }
    if (!is_minus && v == INT64_MIN)
        return -1;
    *ret = is_minus ? v : -v;
    return 0;
}

static int enum_value(struct parser *p, struct filter_node *n)
{
    char list[FILTER_PROBLEM_BYTES - 60];
    int64_t v = filter_enum_find((enum filter_field)n->field, p->word);
    size_t len = 0;

    if (v > 0) {
        n->number = v;
        return 0;
    }
    list[0] = '\0';
    for (int64_t i = 1; filter_enum_text((enum filter_field)n->field, i); i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i > 1 ? ", " : "",
                                filter_enum_text((enum filter_field)n->field, i));
    return fail(p, p->begin, "expected one of %s", list);
}

static int bool_value(struct parser *p, struct filter_node *n)
{
    n->number = is_word(p, "true");
    if (!n->number && !is_word(p, "false"))
        return fail(p, p->begin, "expected true or false");
    return 0;
}

static int keyed_value(struct parser *p, struct filter_node *n)
{
    if (n->op == FILTER_EQ || n->op == FILTER_NE || n->op == FILTER_CONTAINS) {
        n->text = keep(p);
        return 0;
    }
    if (!filter_value_read_decimal(p->word, &n->decimal))
        return fail(p, p->begin, "expected a number: with %s a label is compared as one", filter_ops[n->op]);
    n->text = keep(p);
    return 0;
}

static int uuid_value(struct parser *p, struct filter_node *n)
{
    if (n->op == FILTER_CONTAINS)
        n->text = keep(p);
    else if (id_parse((const char *)p->word.p, p->word.len, &n->id) != 0)
        return fail(p, p->begin, "expected the ID of a future, a UUID of version 7");
    return 0;
}

static int read_value(struct parser *p, struct filter_node *n)
{
    switch (filter_fields[n->field].kind) {
    case FILTER_TEXT: n->text = keep(p); return 0;
    case FILTER_UUID: return uuid_value(p, n);
    case FILTER_ENUM: return enum_value(p, n);
    case FILTER_BOOL: return bool_value(p, n);
    case FILTER_NUMBER:
        return read_integer(p->word, &n->number) < 0 ? fail(p, p->begin, "expected a whole number") : 0;
    case FILTER_TIME:
        return filter_value_read_time(p->word, p->now, &n->number) != 0
                       ? fail(p, p->begin,
                              "expected a time: 2026-01-31T12:00:00Z, 2026-01-31, or -2h for two hours ago")
                       : 0;
    case FILTER_SPAN:
        return filter_value_read_span(p->word, &n->number) != 0
                       ? fail(p, p->begin, "expected a duration such as 90s, 1h30m or 7d")
                       : 0;
    case FILTER_KEYED: return keyed_value(p, n);
    }
    ASSERT(0 && "a kind of the enum");
}

/* --- terms */

static int check_op(struct parser *p, const struct filter_node *n)
{
    const struct filter_word *field = &filter_fields[n->field];
    int is_order = n->op != FILTER_EQ && n->op != FILTER_NE && n->op != FILTER_CONTAINS;

    switch (field->kind) {
    case FILTER_TEXT:
        if (is_order)
            return fail(p, p->begin, "expected =, != or ~: %s is text", field->name);
        return 0;
    case FILTER_ENUM:
    case FILTER_BOOL:
        if (n->op != FILTER_EQ && n->op != FILTER_NE)
            return fail(p, p->begin, "expected = or != behind %s", field->name);
        return 0;
    case FILTER_NUMBER:
    case FILTER_TIME:
    case FILTER_SPAN:
        if (n->op == FILTER_CONTAINS)
            return fail(p, p->begin, "expected =, !=, <, >, <= or >=: %s is not text", field->name);
        return 0;
    case FILTER_UUID:
    case FILTER_KEYED: return 0;
    }
    ASSERT(0 && "a kind of the enum");
}

static int read_field(struct parser *p, struct filter_node *n)
{
    static const char prefix[] = "labels.";
    size_t n_prefix = sizeof prefix - 1;
    char text[SHOWN_BYTES + 4];
    int field;

    if (p->word.len >= n_prefix && memcmp(p->word.p, prefix, n_prefix) == 0) {
        n->field = FILTER_LABEL;
        p->word = (struct span){p->word.p + n_prefix, p->word.len - n_prefix};
        if (p->word.len == 0 && p->at < p->text.len && p->text.p[p->at] == '"') {
            p->begin = p->at;
            p->token = TOKEN_STRING;
            if (read_string(p) != 0)
                return FILTER_E_SYNTAX;
        }
        if (p->word.len == 0)
            return fail(p, p->at, "expected the key of a label behind \"labels.\"");
        n->label = keep(p);
        return 0;
    }
    field = filter_field_find(p->word);
    if (field < 0 && is_reserved(p))
        return fail(p, p->begin, "expected a field, \"has\" or \"(\", not %s", shown(p, text));
    if (field < 0)
        return fail(p, p->begin,
                    "%s is not a field: expected id, function, state, group, labels.KEY or another of "
                    "docs/filter.md",
                    shown(p, text));
    n->field = (uint8_t)field;
    return 0;
}

static int read_comparison(struct parser *p, struct filter_node *n)
{
    char text[SHOWN_BYTES + 4];
    int r = read_field(p, n);

    if (r == 0)
        r = next(p);
    if (r != 0)
        return r;
    if (p->token != TOKEN_OP)
        return fail(p, p->begin, "expected an operator (= != ~ < > <= >=), not %s", shown(p, text));
    n->op = (uint8_t)p->op;
    r = check_op(p, n);
    if (r == 0)
        r = next(p);
    if (r != 0)
        return r;
    if ((p->token != TOKEN_WORD && p->token != TOKEN_STRING) || is_reserved(p))
        return fail(p, p->begin, "expected a value, not %s; a value that is a keyword stands in quotes",
                    shown(p, text));
    r = read_value(p, n);
    return r == 0 ? next(p) : r;
}

static int read_has(struct parser *p, struct filter_node *n)
{
    char text[SHOWN_BYTES + 4];
    int r = next(p);

    if (r != 0)
        return r;
    if ((p->token != TOKEN_WORD && p->token != TOKEN_STRING) || is_reserved(p) || p->word.len == 0)
        return fail(p, p->begin, "expected the key of a label behind \"has\", not %s", shown(p, text));
    n->field = FILTER_LABEL;
    n->op = FILTER_HAS;
    n->label = keep(p);
    return next(p);
}

static uint16_t add_node(struct parser *p, enum filter_node_kind kind)
{
    uint16_t n = p->filter->n_nodes++;

    ASSERT(n < p->max_nodes);
    p->filter->nodes[n] = (struct filter_node){.kind = (uint8_t)kind};
    return n;
}

static int read_any(struct parser *p, uint16_t *ret);

static int read_group(struct parser *p, uint16_t *ret)
{
    char text[SHOWN_BYTES + 4];
    int r = next(p);

    if (r == 0)
        r = read_any(p, ret);
    if (r != 0)
        return r;
    if (p->token != TOKEN_CLOSE)
        return fail(p, p->begin, "expected \")\", not %s", shown(p, text));
    return next(p);
}

static int read_plain_term(struct parser *p, uint16_t *ret)
{
    char text[SHOWN_BYTES + 4];

    if (p->token == TOKEN_OPEN)
        return read_group(p, ret);
    if (p->token != TOKEN_WORD)
        return fail(p, p->begin, "expected a field, \"has\", NOT or \"(\", not %s", shown(p, text));
    if (++p->n_terms > FILTER_TERMS_MAX)
        return fail(p, p->begin, "expected the end: a filter has at most %d comparisons", FILTER_TERMS_MAX);
    *ret = add_node(p, FILTER_TERM);
    return is_word(p, "has") ? read_has(p, &p->filter->nodes[*ret])
                             : read_comparison(p, &p->filter->nodes[*ret]);
}

static int read_term(struct parser *p, uint16_t *ret)
{
    uint32_t depth = p->depth;
    uint8_t is_not = 0;
    int r = 0;

    while (r == 0 && is_word(p, "NOT")) {
        is_not = !is_not;
        p->depth++;
        r = next(p);
    }
    p->depth += p->token == TOKEN_OPEN;
    if (r == 0 && p->depth > FILTER_DEPTH_MAX)
        r = fail(p, p->begin, "expected less: at most %d brackets and NOTs in one another", FILTER_DEPTH_MAX);
    if (r == 0)
        r = read_plain_term(p, ret);
    p->depth = depth;
    if (r == 0)
        p->filter->nodes[*ret].is_not ^= is_not;
    return r;
}

static int begins_term(const struct parser *p)
{
    return p->token == TOKEN_OPEN || (p->token == TOKEN_WORD && !is_word(p, "OR"));
}

/* Put node @child behind the others of the list whose head *@list is; the list's node is made for the second one. */
static void join(struct parser *p, enum filter_node_kind kind, uint16_t child, uint16_t *list, uint16_t *last)
{
    if (!*last) {
        *list = *last = child;
        return;
    }
    if (*list == *last) { /* only one so far */
        uint16_t first = *list;

        *list = add_node(p, kind);
        p->filter->nodes[*list].first = first;
    }
    p->filter->nodes[*last].next = child;
    *last = child;
}

static int read_all(struct parser *p, uint16_t *ret)
{
    uint16_t child = 0, last = 0;
    int r;

    do {
        r = read_term(p, &child);
        if (r == 0)
            join(p, FILTER_AND, child, ret, &last);
        if (r == 0 && is_word(p, "AND")) {
            r = next(p);
            if (r == 0 && !begins_term(p)) {
                char text[SHOWN_BYTES + 4];

                r = fail(p, p->begin, "expected a term behind AND, not %s", shown(p, text));
            }
        }
    } while (r == 0 && begins_term(p));
    return r;
}

static int read_any(struct parser *p, uint16_t *ret)
{
    uint16_t child = 0, last = 0;
    int r;

    for (;;) {
        r = read_all(p, &child);
        if (r == 0)
            join(p, FILTER_OR, child, ret, &last);
        if (r != 0 || !is_word(p, "OR"))
            return r;
        r = next(p);
        if (r != 0)
            return r;
    }
}

static int parse(struct parser *p)
{
    char text[SHOWN_BYTES + 4];
    int r = next(p);

    if (r == 0 && is_word(p, "*")) {
        p->filter->root = add_node(p, FILTER_ALL);
        r = next(p);
        return r == 0 && p->token != TOKEN_END
                       ? fail(p, p->begin, "expected the end: \"*\", which is all, stands alone")
                       : r;
    }
    if (r == 0)
        r = read_any(p, &p->filter->root);
    if (r == 0 && p->token != TOKEN_END)
        r = fail(p, p->begin, "expected AND, OR or the end, not %s", shown(p, text));
    return r;
}

int filter_parse(struct filter **ret, struct span text, wall_ns_t now, struct filter_problem *problem)
{
    size_t n_terms = MIN(text.len / TERM_BYTES_MIN + 1, (size_t)FILTER_TERMS_MAX), n_nodes = 2 * n_terms + 1;
    struct parser p = {.text = text, .now = now, .problem = problem};
    int r;

    if (text.len > FILTER_BYTES_MAX) {
        problem->column = 1;
        snprintf(problem->text, sizeof problem->text, "expected at most %d bytes, not %zu", FILTER_BYTES_MAX,
                 text.len);
        return FILTER_E_SYNTAX;
    }
    p.filter = mem_zalloc(sizeof *p.filter + n_nodes * sizeof p.filter->nodes[0] + text.len);
    if (!p.filter)
        return -ENOMEM;
    p.max_nodes = n_nodes;
    p.filter->refs = 1;
    p.filter->n_nodes = 1;
    p.filter->text = (uint8_t *)&p.filter->nodes[n_nodes];
    r = parse(&p);
    ASSERT(p.filter->text_len <= text.len);
    if (r != 0) {
        filter_unref(p.filter);
        return r;
    }
    *ret = p.filter;
    return 0;
}
