// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A table for people: columns as wide as what stands in them. Rows are kept until there are TABLE_BATCH_ROWS of them or the
 * table ends; later ones widen a column, never narrow it. What is written into a cell has no newline.
 *
 *     table_begin(&t, stdout, columns, ARRAY_LEN(columns));
 *     fputs("x", table_cell(&t, ""));           cell after cell, row after row
 *     table_end(&t);
 */
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 10, TABLE_BATCH_ROWS = 1000 };

struct table_column {
    const char *head;
    int is_right; /* numbers */
};

struct table {
    FILE *to;
    const struct table_column *columns; /* borrowed */
    size_t n_columns;
    FILE *cells; /* each its colour, its text and a NUL */
    char *text;
    size_t n_text, n_cells;
    size_t widths[TABLE_COLUMNS_MAX];
    int has_head; /* it has been written */
    int failed;   /* no memory */
};

void table_begin(struct table *t, FILE *to, const struct table_column *columns, size_t n_columns);

/* table_cell: begin the next cell, in @colour, an escape sequence or "". Return: where to write it; borrowed until the next
 * call. */
FILE *table_cell(struct table *t, const char *colour);

/* table_end: write what is left, and the heads where nothing was. 0, -ENOMEM (something is missing). */
__attribute__((warn_unused_result)) int table_end(struct table *t);
