// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Texts with places for an item, as those of GNU parallel:
 *
 *     {}  the item          {/}  without its folders      {.}  without its extension      {#}  its number
 *     {//}  its folders     {/.}  neither                 {column}  of a table
 *
 * Anything else in braces stands for itself, but the name of a column that there is not.
 */
#include "client/futurectl/items.h"

enum { TEMPLATE_ERROR_BYTES = 200 };

struct template_part;

struct template
{
    struct template_part *parts;
    size_t n;
    int is_json;
};

/* template_parse: @text, borrowed. @columns: of the table; NULL: there is none. @is_json: the whole is JSON, so what is put into it is
 *   escaped as in a string of JSON; not where the item alone is the whole.
 *   Return: 0; TEMPLATE_E_COLUMN (@error says which); -ENOMEM. */
enum { TEMPLATE_E_COLUMN = 1 };
MUST_CHECK int template_parse(struct template *t, const char *text, const struct item *columns, int is_json,
                              char error[static TEMPLATE_ERROR_BYTES]);
void template_deinit(struct template *t);

/* template_fill: append @t, filled with @item. 0; TEMPLATE_E_TEXT (into JSON goes UTF-8 alone); -ENOMEM. */
enum { TEMPLATE_E_TEXT = 2 };
MUST_CHECK int template_fill(const struct template *t, const struct item *item, struct buf *to);

/* template_fill_object: append a record of a table as an object of JSON, its values as texts. As template_fill. */
MUST_CHECK int template_fill_object(const struct item *columns, const struct item *item, struct buf *to);
