// SPDX-License-Identifier: Apache-2.0
/* Command lines, judged by a table, and by /bin/sh itself for random lines that hold nothing but quoting. */
#include "tests/support/testing.h"
#include "worker/words.h"

static void expect(const char *line, const char *const *expected)
{
    struct arena a;
    char **words;
    size_t n = 0;

    arena_init(&a, 0);
    if (words_split(line, &a, &words) != 0)
        fail_msg("cannot split <%s>", line);
    for (; expected[n]; n++) {
        if (!words[n] || strcmp(words[n], expected[n]) != 0)
            fail_msg("<%s>: word %zu is <%s>, not <%s>", line, n, words[n] ? words[n] : "(none)",
                     expected[n]);
    }
    if (words[n])
        fail_msg("<%s>: one word too many: <%s>", line, words[n]);
    arena_deinit(&a);
}

#define EXPECT(line, ...) expect(line, (const char *const[]){__VA_ARGS__, NULL})

static void test_words(void **state)
{
    EXPECT("a", "a");
    EXPECT(" a  b\tc\nd ", "a", "b", "c", "d");
    EXPECT("/usr/bin/convert - -resize 128x128 png:-", "/usr/bin/convert", "-", "-resize", "128x128",
           "png:-");
    EXPECT("'a b' c", "a b", "c");
    EXPECT("'a\\b' \"c\"", "a\\b", "c");
    EXPECT("a'b'\"c\"\\ d", "abc d");
    EXPECT("''", "");
    EXPECT("'' \"\" x", "", "", "x");
    EXPECT("\"a\\\"b\\\\c\\$d\\`e\\nf\"", "a\"b\\c$d`e\\nf");
    EXPECT("\"a\\\nb\"", "ab");
    EXPECT("a\\\nb \\\n c", "ab", "c");
    EXPECT("\\a\\'\\\"\\\\", "a'\"\\");
    EXPECT("'\"' \"'\"", "\"", "'");
    EXPECT("$HOME * ~ # a;b|c&d >e `f` {g} (h) !", "$HOME", "*", "~", "#", "a;b|c&d", ">e", "`f`", "{g}",
           "(h)", "!");
    EXPECT("\xc3\xa4 '\xc3\xb6'", "\xc3\xa4", "\xc3\xb6");
}

static void test_errors(void **state)
{
    static const struct {
        const char *line;
        int error;
    } cases[] = {
            {"", WORDS_E_EMPTY},        {" \t\n", WORDS_E_EMPTY},   {"\\\n", WORDS_E_EMPTY},
            {"'a", WORDS_E_QUOTE},      {"a 'b", WORDS_E_QUOTE},    {"\"a", WORDS_E_QUOTE},
            {"\"a\\\"", WORDS_E_QUOTE}, {"a\\", WORDS_E_BACKSLASH}, {"\"a\\", WORDS_E_QUOTE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        char **words;

        arena_init(&a, 0);
        if (words_split(cases[i].line, &a, &words) != cases[i].error)
            fail_msg("<%s> is not error %d", cases[i].line, cases[i].error);
        assert_string_not_equal(words_error_text(cases[i].error), words_error_text(0));
        arena_deinit(&a);
    }
}

static void test_most_words(void **state)
{
    char line[2 * (WORDS_MAX + 1) + 1];
    struct arena a;
    char **words;

    arena_init(&a, 0);
    for (size_t i = 0; i < WORDS_MAX + 1; i++)
        memcpy(line + 2 * i, "a ", 2);
    line[(size_t)2 * WORDS_MAX] = '\0';
    assert_int_equal(words_split(line, &a, &words), 0);
    assert_string_equal(words[WORDS_MAX - 1], "a");
    assert_null(words[WORDS_MAX]);
    line[(size_t)2 * WORDS_MAX] = 'a';
    line[(size_t)2 * WORDS_MAX + 1] = '\0';
    assert_int_equal(words_split(line, &a, &words), WORDS_E_MANY);
    arena_deinit(&a);
}

/* The shell prints each word in <>. */
static void ask_shell(const char *line, char *said, size_t size)
{
    char command[512];
    size_t n;
    FILE *shell;

    snprintf(command, sizeof command, "printf '<%%s>' %s", line);
    shell = popen(command, "r"); // NOLINT(cert-env33-c): a judge
    assert_non_null(shell);
    n = fread(said, 1, size - 1, shell);
    said[n] = '\0';
    assert_int_equal(pclose(shell), 0);
}

static void test_as_the_shell_does(void **state)
{
    static const char *const parts[] = {
            "a",  "b",       " ",        "  ",       "\\\\",  "\\'",     "\\\"", "\\ ",      "'c d'", "'\\'",
            "''", "\"e f\"", "\"\\\\\"", "\"\\\"\"", "\"'\"", "\"\\q\"", "\\\n", "\"\\\n\"", "\\x"};
    struct test_random random = {test_seed()};

    for (int round = 0; round < 200; round++) {
        char line[256] = "x", said[512], ours[512] = "";
        struct arena a;
        char **words;

        for (uint64_t n = test_random_below(&random, 12); n > 0; n--)
            strcat(line, parts[test_random_below(&random, ARRAY_LEN(parts))]);
        arena_init(&a, 0);
        assert_int_equal(words_split(line, &a, &words), 0);
        for (; *words; words++)
            strcat(strcat(strcat(ours, "<"), *words), ">");
        arena_deinit(&a);
        ask_shell(line, said, sizeof said);
        if (strcmp(said, ours) != 0)
            fail_msg("line <%s>: the shell says %s, we say %s", line, said, ours);
    }
}

static void test_without_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct arena a;
        char **words;
        int r;

        arena_init(&a, 0);
        r = words_split("a b c", &a, &words);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        arena_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_words),          cmocka_unit_test(test_errors),
            cmocka_unit_test(test_most_words),     cmocka_unit_test(test_as_the_shell_does),
            cmocka_unit_test(test_without_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
