// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/table.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void open_cells(struct table *t)
{
    t->text = NULL;
    t->n_text = t->n_cells = 0;
    t->cells = open_memstream(&t->text, &t->n_text);
    if (!t->cells) {
        t->failed = 1;
        t->cells = fopen("/dev/null", "we"); /* so that whoever writes need not ask */
        ASSERT(t->cells);
    }
}

void table_begin(struct table *t, FILE *to, const struct table_column *columns, size_t n_columns)
{
    ASSERT(n_columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.to = to, .columns = columns, .n_columns = n_columns};
    for (size_t i = 0; i < n_columns; i++)
        t->widths[i] = strlen(columns[i].head);
    open_cells(t);
}

/* The columns that @s takes: its characters, where it is UTF-8. */
static size_t width_of(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

static void pad(struct table *t, size_t n)
{
    for (; n > 0; n--)
        fputc(' ', t->to);
}

/* One cell; blanks before it that a row of empty cells would not need are in *gap. */
static void put(struct table *t, size_t column, const char *colour, const char *text, size_t *gap)
{
    size_t width = width_of(text), rest = t->widths[column] - width;

    if (t->columns[column].is_right)
        *gap += rest;
    if (width) {
        pad(t, *gap);
        fprintf(t->to, "%s%s%s", colour, text, *colour ? "\033[0m" : "");
        *gap = 0;
    }
    *gap += (t->columns[column].is_right ? 0 : rest) + 2;
}

static const char *next(const char *s)
{
    return s + strlen(s) + 1;
}

static void write_out(struct table *t)
{
    const char *at = t->text;
    size_t gap = 0;

    for (size_t i = 0; i < t->n_cells; i++, at = next(next(at)))
        t->widths[i % t->n_columns] = MAX(t->widths[i % t->n_columns], width_of(next(at)));
    for (size_t i = 0; !t->has_head && i < t->n_columns; i++)
        put(t, i, "", t->columns[i].head, &gap);
    if (!t->has_head)
        fputc('\n', t->to);
    t->has_head = 1;
    at = t->text;
    for (size_t i = 0; i < t->n_cells; i++, at = next(next(at))) {
        if (i % t->n_columns == 0)
            gap = 0;
        put(t, i % t->n_columns, at, next(at), &gap);
        if ((i + 1) % t->n_columns == 0)
            fputc('\n', t->to);
    }
}

static void close_cells(struct table *t)
{
    if (t->n_cells)
        fputc('\0', t->cells);
    if (fclose(t->cells) == EOF)
        t->failed = 1;
    if (t->failed)
        t->n_cells = 0;
    write_out(t);
    free(t->text);
    t->cells = NULL;
    t->text = NULL;
}

FILE *table_cell(struct table *t, const char *colour)
{
    if (t->n_cells == t->n_columns * TABLE_BATCH_ROWS) {
        close_cells(t);
        open_cells(t);
    }
    if (t->n_cells++)
        fputc('\0', t->cells);
    fprintf(t->cells, "%s%c", colour, '\0');
    return t->cells;
}

int table_end(struct table *t)
{
    ASSERT(t->n_cells % t->n_columns == 0);
    close_cells(t);
    return t->failed ? -ENOMEM : 0;
}
