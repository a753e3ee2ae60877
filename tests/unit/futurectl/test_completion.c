// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"
#include "client/futurectl/completion.h"
#include "tests/unit/futurectl/written.h"

static struct written w;
static struct completion_live live;
static struct options who;

static void show(void *arg, const char *word, const char *what)
{
    fprintf(w.to, "%s ", word);
}

/* Candidates for the last word of @text, whose words are divided by single blanks. */
static void complete(const char *text)
{
    static char copy[200];
    char *words[20];
    int n = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; p; n++) {
        words[n] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = '\0';
    }
    completion_find(commands, commands_n, words, n, show, NULL, &who, &live);
}

static void offers(const char *text, const char *expect)
{
    complete(text);
    written_expect(&w, expect);
    assert_int_equal(live.kind, ARGUMENT_OTHER);
}

/* Only a daemon knows. */
static void asks(const char *text, enum argument_kind kind, const char *prefix)
{
    complete(text);
    written_expect(&w, "");
    assert_int_equal(live.kind, kind);
    assert_string_equal(live.prefix, prefix);
}

static void test_tables(void **state)
{
    offers("re", "result reschedule retry resume reload ");
    offers("run --pri", "--priority ");
    offers("run sha256 --d", "--deadline --depends-on --depend-policy --durable ");
    offers("wait --gr", "--group ");
    offers("--js", "--json --jsonl ");
    offers("get --view ", "result basic task full ");
    offers("get --view f", "full ");
    offers("get --view=", "--view=result --view=basic --view=task --view=full ");
    offers("count -b pending", "pending_reason ");
    offers("submit F --key-policy join-", "join-unless-failed join-while-active ");
    offers("run sha256 ", ""); /* a text, or a file: the shell's */
    offers("run -o ", "");
    offers("ping ", "");
    offers("completion ", "bash zsh fish ");
    offers("completion bash ", "");
    offers("nonsense", "");
    complete("");
    written_has(&w, "submit run map wait as-completed result get ");
    completion_find(commands, commands_n, NULL, 0, show, NULL, &who, &live);
    written_has(&w, "submit run map wait as-completed result get ");
}

static void test_live(void **state)
{
    asks("run ", ARGUMENT_FUNCTION, "");
    asks("run --timeout 5s sha", ARGUMENT_FUNCTION, "sha");
    asks("run -l a=b --json sha", ARGUMENT_FUNCTION, "sha");
    asks("pause -- gz", ARGUMENT_FUNCTION, "gz");
    asks("run -- -", ARGUMENT_FUNCTION, "-");
    asks("get 01a2", ARGUMENT_ID, "01a2");
    asks("get 01a2 01b", ARGUMENT_ID, "01b");
    offers("result 01a2 01b", ""); /* it takes one */
    assert_null(who.address);
    asks("-a unix:/s run s", ARGUMENT_FUNCTION, "s");
    assert_string_equal(who.address, "unix:/s");
    asks("--address=unix:/s run s", ARGUMENT_FUNCTION, "s");
    assert_string_equal(who.address, "unix:/s");
    asks("run -aunix:/s s", ARGUMENT_FUNCTION, "s");
    assert_string_equal(who.address, "unix:/s");
}

static void test_live_values(void **state)
{
    asks("submit f --depends-on 01a2", ARGUMENT_ID, "01a2");
    assert_string_equal(live.before, "");
    asks("submit f --depends-on=01a2", ARGUMENT_ID, "01a2");
    assert_string_equal(live.before, "--depends-on=");
    asks("worker --function ", ARGUMENT_FUNCTION, "");
    asks("worker --function a --function b", ARGUMENT_FUNCTION, "b");
    asks("explain sha", ARGUMENT_ID_OR_FUNCTION, "sha");
    offers("explain sha256 ", "");
    offers("worker --name ", "");
}

static void test_who(void **state)
{
    asks("--tls-ca A --tls-cert=B run --tls-key C --token-file T s", ARGUMENT_FUNCTION, "s");
    assert_string_equal(who.tls_ca, "A");
    assert_string_equal(who.tls_cert, "B");
    assert_string_equal(who.tls_key, "C");
    assert_string_equal(who.token_file, "T");
}

static void test_scripts(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};

    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        assert_non_null(strstr(completion_script(shells[i]), "completion words -- "));
        assert_non_null(strstr(completion_script(shells[i]), shells[i]));
    }
    assert_null(completion_script("csh"));
}

static int setup(void **state)
{
    written_init(&w);
    who = (struct options){0};
    return 0;
}

static int teardown(void **state)
{
    written_deinit(&w);
    return 0;
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_tables), TEST(test_live), TEST(test_live_values),
                                       TEST(test_who), TEST(test_scripts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
