// SPDX-License-Identifier: Apache-2.0
#include "filter/filter.h"

#include <string.h>

static int contains(struct span text, struct span part, uint32_t *cost)
{
    *cost += (uint32_t)(text.len / FILTER_COST_BYTES);
    return part.len == 0 || (text.len >= part.len && memmem(text.p, text.len, part.p, part.len));
}

static int holds(enum filter_op op, int order)
{
    switch (op) {
    case FILTER_EQ: return order == 0;
    case FILTER_LT: return order < 0;
    case FILTER_GT: return order > 0;
    case FILTER_LE: return order <= 0;
    case FILTER_GE: return order >= 0;
    case FILTER_NE:
    case FILTER_CONTAINS:
    case FILTER_HAS: break;
    }
    ASSERT(0 && "an operator of order");
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* FILTER_NE has become the opposite of FILTER_EQ. */
static int value_holds(const struct filter_node *n, enum filter_op op, const struct filter_value *v,
                       uint32_t *cost)
{
    char text[ID_TEXT_LEN + 1];
    double decimal;

    switch (filter_fields[n->field].kind) {
    case FILTER_TEXT:
        return op == FILTER_CONTAINS ? contains(v->text, n->text, cost) : span_eq(v->text, n->text);
    case FILTER_UUID:
        if (op != FILTER_CONTAINS)
            return holds(op, id_compare(&v->id, &n->id));
        id_format(&v->id, text);
        return contains((struct span){(const uint8_t *)text, ID_TEXT_LEN}, n->text, cost);
    case FILTER_ENUM:
    case FILTER_BOOL:
    case FILTER_NUMBER:
    case FILTER_TIME:
    case FILTER_SPAN: return holds(op, compare(v->number, n->number));
    case FILTER_KEYED:
        if (op == FILTER_HAS)
            return 1;
        if (op == FILTER_CONTAINS)
            return contains(v->text, n->text, cost);
        if (op == FILTER_EQ)
            return span_eq(v->text, n->text);
        return filter_value_read_decimal(v->text, &decimal) &&
               holds(op, (decimal > n->decimal) - (decimal < n->decimal));
    }
    ASSERT(0 && "a kind of the enum");
}

static int term_holds(const struct filter_node *n, const struct filter_subject *s, uint32_t *cost)
{
    enum filter_op op = n->op == FILTER_NE ? FILTER_EQ : (enum filter_op)n->op;
    enum filter_field field = (enum filter_field)n->field;
    struct filter_value v = {0};
    uint32_t i = 0;
    int is = 0;

    for (; !is && s->get(s->record, field, n->label, i, &v); i++)
        is = value_holds(n, op, &v, cost);
    if (i == 0 && filter_fields[field].kind == FILTER_TEXT) {
        v = (struct filter_value){0};
        is = value_holds(n, op, &v, cost);
    }
    return n->op == FILTER_NE ? !is : is;
}

static int node_holds(const struct filter *f, const struct filter_node *n, const struct filter_subject *s,
                      uint32_t *cost)
{
    int is = 1;

    switch (n->kind) {
    case FILTER_TERM: is = term_holds(n, s, cost); break;
    case FILTER_AND:
        for (uint16_t i = n->first; is && i; i = f->nodes[i].next)
            is = node_holds(f, &f->nodes[i], s, cost);
        break;
    case FILTER_OR:
        is = 0;
        for (uint16_t i = n->first; !is && i; i = f->nodes[i].next)
            is = node_holds(f, &f->nodes[i], s, cost);
        break;
    default: break; /* FILTER_ALL */
    }
    return n->is_not ? !is : is;
}

int filter_match(const struct filter *f, const struct filter_subject *s, uint32_t *cost)
{
    ++*cost;
    return node_holds(f, &f->nodes[f->root], s, cost);
}
