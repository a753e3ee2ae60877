// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/csv.h"
#include "tests/support/testing.h"

enum { FIELDS_MAX = 8 };

/* @text, which begins with one record, has this record, and these fields, divided by `|`. */
static void splits(const char *text, const char *record, const char *fields)
{
    struct csv_scan scan = {0};
    struct span found[FIELDS_MAX], s;
    uint8_t scratch[100];
    char joined[200] = "";
    size_t end = 0, n;

    for (size_t i = 0; i <= strlen(text); i++) /* byte by byte */
        if (csv_scan(&scan, (const uint8_t *)text, i, &end) == 0)
            break;
    assert_int_equal(end, strlen(record));
    s = (struct span){(const uint8_t *)text, end};
    n = csv_count(s);
    assert_true(n <= FIELDS_MAX);
    csv_split(s, scratch, found);
    for (size_t i = 0; i < n; i++)
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%.*s", i ? "|" : "",
                 (int)found[i].len, (const char *)found[i].p);
    assert_string_equal(joined, fields);
}

static void test_split(void **state)
{
    splits("\n", "", "");
    splits("a\nb\n", "a", "a");
    splits("a,b,c\n", "a,b,c", "a|b|c");
    splits(",\n", ",", "|");
    splits("a,,\n", "a,,", "a||");
    splits("\"a,b\",c\n", "\"a,b\",c", "a,b|c");
    splits("\"say \"\"hi\"\"\",\"\"\n", "\"say \"\"hi\"\"\",\"\"", "say \"hi\"|");
    splits("\"two\nlines\",x\ny\n", "\"two\nlines\",x", "two\nlines|x");
    splits("\"a\"b,c\n", "\"a\"b,c", "ab|c");
    splits("a \"b\",c\n", "a \"b\",c", "a \"b\"|c"); /* quotes inside of a field that has none around it */
}

static void test_more(void **state)
{
    struct csv_scan scan = {0};
    size_t end;

    assert_int_equal(csv_scan(&scan, (const uint8_t *)"a,\"b\n", 5, &end), CSV_E_MORE);
    assert_int_equal(scan.n, 5);
    assert_int_equal(csv_scan(&scan, (const uint8_t *)"a,\"b\n\"\n", 7, &end), 0);
    assert_int_equal(end, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_split), cmocka_unit_test(test_more)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
