// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/keep.h"
#include "tests/support/testing.h"

static void is_named(struct span item, const char *expect)
{
    char name[KEEP_NAME_BYTES + 1];

    keep_name(item, name);
    assert_string_equal(name, expect);
}

static void test_names(void **state)
{
    is_named(SPAN_LIT("plain"), "plain");
    is_named(SPAN_LIT("a/b\\c\td\ne\0f"), "a\\_b\\\\c\\td\\ne\\0f");
    is_named(SPAN_LIT(""), "\\");
    is_named(SPAN_LIT("."), "\\.");
    is_named(SPAN_LIT(".."), "\\..");
    is_named(SPAN_LIT("..."), "...");
}

/* Two long items that begin alike have different names. */
static void test_long(void **state)
{
    char text[1000], a[KEEP_NAME_BYTES + 1], b[KEEP_NAME_BYTES + 1];

    memset(text, '/', sizeof text);
    keep_name((struct span){(uint8_t *)text, sizeof text}, a);
    keep_name((struct span){(uint8_t *)text, sizeof text - 1}, b);
    assert_true(strlen(a) <= KEEP_NAME_BYTES);
    assert_string_not_equal(a, b);
}

static void reads(const char *dir, const char *file, const char *expect)
{
    char path[200], text[100];
    FILE *f;

    snprintf(path, sizeof path, "%s/1/a\\_b/%s", dir, file);
    f = fopen(path, "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(text, expect);
    unlink(path);
}

static void test_put(void **state)
{
    const struct keep_entry long_one = {.seq = 1,
                                        .item = SPAN_LIT("a/b"),
                                        .result = SPAN_LIT("a longer one")},
                            e = {.seq = 2,
                                 .item = SPAN_LIT("a/b"),
                                 .result = SPAN_LIT("result"),
                                 .error = SPAN_LIT("why")};
    char dir[] = "/tmp/futured-keep-XXXXXX", path[200];

    assert_non_null(mkdtemp(dir));
    assert_int_equal(keep_put(dir, &long_one), 0);
    assert_int_equal(keep_put(dir, &e), 0);
    reads(dir, "stdout", "result");
    reads(dir, "stderr", "why");
    reads(dir, "seq", "2\n");
    snprintf(path, sizeof path, "%s/1/a\\_b", dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/1", dir);
    rmdir(path);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(keep_put("/nowhere/at/all", &e), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_put)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
