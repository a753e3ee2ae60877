// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/table.h"
#include "tests/unit/futurectl/written.h"

static const struct table_column columns[] = {{"NAME", 0}, {"N", 1}, {"MORE", 0}};

static void put_row(struct table *t, const char *name, const char *n, const char *more)
{
    fputs(name, table_cell(t, ""));
    fputs(n, table_cell(t, ""));
    fputs(more, table_cell(t, *more ? "\033[32m" : ""));
}

static void test_widths(void **state)
{
    struct written w;
    struct table t;

    written_init(&w);
    table_begin(&t, w.to, columns, ARRAY_LEN(columns));
    put_row(&t, "a", "1", "x");
    put_row(&t, "", "1000", "");
    put_row(&t,
            "gr\xc3\xb6\xc3\x9f"
            "er",
            "", "y");
    put_row(&t, "b", "", "");
    assert_int_equal(table_end(&t), 0);
    written_expect(&w, "NAME       N  MORE\n"
                       "a          1  \033[32mx\033[0m\n"
                       "        1000\n"
                       "gr\xc3\xb6\xc3\x9f"
                       "er        \033[32my\033[0m\n"
                       "b\n");
    table_begin(&t, w.to, columns, ARRAY_LEN(columns));
    assert_int_equal(table_end(&t), 0);
    written_expect(&w, "NAME  N  MORE\n"); /* of nothing there is the head */
    written_deinit(&w);
}

/* More rows than are kept: one head, and a column that widens from then on. */
static void test_batches(void **state)
{
    struct written w;
    struct table t;
    size_t n_lines = 0;

    written_init(&w);
    table_begin(&t, w.to, columns, ARRAY_LEN(columns));
    for (int i = 0; i < 2 * TABLE_BATCH_ROWS + 1; i++)
        put_row(&t, i == TABLE_BATCH_ROWS ? "a long name" : "a", "1", "");
    assert_int_equal(table_end(&t), 0);
    fflush(w.to);
    for (const char *p = w.text; *p; p++)
        n_lines += *p == '\n';
    assert_int_equal(n_lines, 2 * TABLE_BATCH_ROWS + 2);
    assert_memory_equal(w.text, "NAME  N  MORE\na     1\na     1\n", 30);
    written_has(&w, "\na     1\na long name  1\na            1\n");
    written_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_widths), cmocka_unit_test(test_batches)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
