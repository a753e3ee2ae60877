// SPDX-License-Identifier: Apache-2.0
/* The normal form: AND is said, a bracket where there is a list in a list, times and durations as values of one shape. */
#include "filter/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What has failed once stays so. */
struct printer {
    struct buf *out;
    int result;
};

static void put(struct printer *p, const void *text, size_t n)
{
    if (p->result == 0 && n > 0)
        p->result = buf_append(p->out, text, n);
}

static void put_text(struct printer *p, const char *text)
{
    put(p, text, strlen(text));
}

/* In quotes, always: so nobody has to know which words need them. */
static void put_quoted(struct printer *p, struct span s)
{
    put_text(p, "\"");
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            put_text(p, "\\");
        put(p, &s.p[i], 1);
    }
    put_text(p, "\"");
}

static void put_value(struct printer *p, const struct filter_node *n)
{
    char text[ID_TEXT_LEN + FILTER_TIME_TEXT_BYTES];

    switch (filter_fields[n->field].kind) {
    case FILTER_TEXT:
    case FILTER_KEYED: put_quoted(p, n->text); return;
    case FILTER_UUID:
        if (n->op == FILTER_CONTAINS) {
            put_quoted(p, n->text);
            return;
        }
        id_format(&n->id, text);
        break;
    case FILTER_ENUM: put_text(p, filter_enum_text((enum filter_field)n->field, n->number)); return;
    case FILTER_BOOL: put_text(p, n->number ? "true" : "false"); return;
    case FILTER_NUMBER: snprintf(text, sizeof text, "%" PRId64, n->number); break;
    case FILTER_TIME: filter_value_print_time(n->number, text); break;
    case FILTER_SPAN: filter_value_print_span(n->number, text); break;
    }
    put_text(p, text);
}

static void put_term(struct printer *p, const struct filter_node *n)
{
    if (n->op == FILTER_HAS) {
        put_text(p, "has ");
        put_quoted(p, n->label);
        return;
    }
    put_text(p, filter_fields[n->field].name);
    if (n->field == FILTER_LABEL) {
        put_text(p, ".");
        put_quoted(p, n->label);
    }
    put_text(p, " ");
    put_text(p, filter_ops[n->op]);
    put_text(p, " ");
    put_value(p, n);
}

static void put_node(struct printer *p, const struct filter *f, const struct filter_node *n, int is_inner)
{
    int has_brackets = (n->kind == FILTER_AND || n->kind == FILTER_OR) && (is_inner || n->is_not);

    if (n->is_not)
        put_text(p, "NOT ");
    if (n->kind == FILTER_ALL)
        put_text(p, "*");
    if (n->kind == FILTER_TERM)
        put_term(p, n);
    if (has_brackets)
        put_text(p, "(");
    for (uint16_t i = n->kind == FILTER_AND || n->kind == FILTER_OR ? n->first : 0; i; i = f->nodes[i].next) {
        put_node(p, f, &f->nodes[i], 1);
        if (f->nodes[i].next)
            put_text(p, n->kind == FILTER_AND ? " AND " : " OR ");
    }
    if (has_brackets)
        put_text(p, ")");
}

int filter_print(const struct filter *f, struct buf *out)
{
    struct printer p = {.out = out};

    put_node(&p, f, &f->nodes[f->root], 0);
    return p.result;
}
