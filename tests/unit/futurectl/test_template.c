// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/template.h"
#include "tests/support/testing.h"

static const struct span names[] = {{(const uint8_t *)"name", 4}, {(const uint8_t *)"home town", 9}};
static const struct item columns = {.n_fields = 2, .fields = names};
static const struct span values[] = {{(const uint8_t *)"ada \"l\"\n", 8}, {(const uint8_t *)"x\\y", 3}};

static void fills_as(const char *text, const struct item *item, const struct item *head, int is_json,
                     const char *expect)
{
    char error[TEMPLATE_ERROR_BYTES];
    struct buf to = BUF_INIT;
    struct template t;

    assert_int_equal(template_parse(&t, text, head, is_json, error), 0);
    assert_int_equal(template_fill(&t, item, &to), 0);
    assert_int_equal(buf_append(&to, "", 1), 0);
    assert_string_equal((const char *)buf_head(&to), expect);
    buf_deinit(&to);
    template_deinit(&t);
}

static void fills(const char *text, const char *item, const char *expect)
{
    const struct item i = {.seq = 7, .text = span_of_string(item)};

    fills_as(text, &i, NULL, 0, expect);
}

static void test_places(void **state)
{
    fills("", "x", "");
    fills("{}", "x", "x");
    fills("a {} b {} c", "x", "a x b x c");
    fills("{#}: {/} in {//}, {.}, {/.}", "/a/b.c/d.tar.gz", "7: d.tar.gz in /a/b.c, /a/b.c/d.tar, d.tar");
    fills("{/} {//} {.} {/.}", "plain", "plain . plain plain");
    fills("{/} {//} {.} {/.}", "/.rc", ".rc / /.rc .rc");
    fills("{.}", "a.b/c", "a.b/c");
}

static void test_others(void **state)
{
    fills("{", "x", "{");
    fills("} {", "x", "} {");
    fills("{name}", "x", "{name}"); /* there is no table */
    fills("{\"a\": {}}", "1", "{\"a\": 1}");
    fills("{{}}", "1", "{1}");
    fills("${x} {} {y", "1", "${x} 1 {y");
}

static void test_columns(void **state)
{
    const struct item item = {.text = SPAN_LIT("row"), .n_fields = 2, .fields = values};
    char error[TEMPLATE_ERROR_BYTES];
    struct buf to = BUF_INIT;
    struct template t;

    fills_as("{home town}: {name} {}", &item, &columns, 0, "x\\y: ada \"l\"\n row");
    fills_as("{\"n\": \"{name}\"}", &item, &columns, 1, "{\"n\": \"ada \\\"l\\\"\\u000a\"}");
    assert_int_equal(template_parse(&t, "{name} {nane}", &columns, 0, error), TEMPLATE_E_COLUMN);
    assert_string_equal(error, "the table has no column nane, but name, home town");
    assert_int_equal(template_fill_object(&columns, &item, &to), 0);
    assert_int_equal(buf_append(&to, "", 1), 0);
    assert_string_equal((const char *)buf_head(&to),
                        "{\"name\":\"ada \\\"l\\\"\\u000a\",\"home town\":\"x\\\\y\"}");
    buf_deinit(&to);
}

static void test_json(void **state)
{
    const struct item item = {.text = SPAN_LIT("{\"a\":1}")}, bad = {.text = SPAN_LIT("\xff")};
    char error[TEMPLATE_ERROR_BYTES];
    struct buf to = BUF_INIT;
    struct template t;

    fills_as("{}", &item, NULL, 1, "{\"a\":1}"); /* it is the JSON */
    fills_as("[\"{}\"]", &item, NULL, 1, "[\"{\\\"a\\\":1}\"]");
    assert_int_equal(template_parse(&t, "[\"{}\"]", NULL, 1, error), 0);
    assert_int_equal(template_fill(&t, &bad, &to), TEMPLATE_E_TEXT);
    buf_deinit(&to);
    template_deinit(&t);
}

static void test_memory(void **state)
{
    const struct item item = {.text = SPAN_LIT("a\"b")};

    FAIL_EACH_ALLOCATION(nth)
    {
        char error[TEMPLATE_ERROR_BYTES];
        struct buf to = BUF_INIT;
        struct template t;
        int r = template_parse(&t, "x{}", NULL, 1, error);

        if (r == 0)
            r = template_fill(&t, &item, &to);
        assert_true(r == 0 ? buf_len(&to) == 5 : r == -ENOMEM && test_allocation_failed());
        buf_deinit(&to);
        template_deinit(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_places), cmocka_unit_test(test_others), cmocka_unit_test(test_columns),
            cmocka_unit_test(test_json),   cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
