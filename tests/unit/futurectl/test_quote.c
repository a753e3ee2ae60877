// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/quote.h"
#include "tests/unit/futurectl/written.h"

static void is_quoted(struct span s, const char *expect)
{
    struct written w;

    written_init(&w);
    quote_put(w.to, s);
    written_expect(&w, expect);
    written_deinit(&w);
}

static void test_quote(void **state)
{
    is_quoted(SPAN_LIT("plain-1.txt"), "plain-1.txt");
    is_quoted(SPAN_LIT(""), "''");
    is_quoted(SPAN_LIT("a b"), "'a b'");
    is_quoted(SPAN_LIT("it's"), "'it'\\''s'");
    is_quoted(SPAN_LIT("$(x) ~ *"), "'$(x) ~ *'");
    is_quoted(SPAN_LIT("\xc3\xa9"), "\xc3\xa9");
    is_quoted(SPAN_LIT("a\n\t\x1b'\\\xff\0"), "$'a\\n\\t\\x1b\\'\\\\\\xff\\x00'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quote)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
