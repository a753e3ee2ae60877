// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/commands.h"
#include "client/futurectl/options.h"
#include "tests/unit/futurectl/written.h"

enum { WORDS_MAX = 80 };

struct line {
    char text[1024];
    char *argv[WORDS_MAX];
    struct options o;
    char error[OPTIONS_ERROR_BYTES];
};

/* Parse @text, whose words are divided by single blanks. */
static int parse(struct line *l, const char *text)
{
    int argc = 0;

    snprintf(l->text, sizeof l->text, "%s", text);
    l->argv[argc++] = l->text;
    for (char *blank; (blank = strchr(l->argv[argc - 1], ' ')) && argc < WORDS_MAX - 1; argc++) {
        *blank = '\0';
        l->argv[argc] = blank + 1;
    }
    l->argv[argc] = NULL;
    return options_parse(argc, l->argv, commands, commands_n, &l->o, l->error);
}

static void parses(struct line *l, const char *text)
{
    if (parse(l, text))
        fail_msg("`%s`: %s", text, l->error);
}

static void refuses(const char *text, const char *expect)
{
    struct line l;

    if (parse(&l, text) != OPTIONS_E_USAGE)
        fail_msg("`%s` is not refused", text);
    assert_string_equal(l.error, expect);
}

static void test_places(void **state)
{
    static const char *const lines[] = {
            "futurectl --address A run --label x=1 sha256 - --timeout 5s",
            "futurectl run sha256 - -a A -l x=1 --timeout=5s",
            "futurectl -aA --timeout 5s run -lx=1 sha256 -",
            "futurectl --timeout=5s --address=A --label=x=1 run sha256 -",
            "futurectl run --timeout 5s --address A --label x=1 -- sha256 -",
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct line l;

        parses(&l, lines[i]);
        assert_string_equal(l.o.command->name, "run");
        assert_string_equal(l.o.address, "A");
        assert_int_equal(l.o.n_arguments, 2);
        assert_string_equal(l.o.arguments[0], "sha256");
        assert_string_equal(l.o.arguments[1], "-");
        assert_int_equal(l.o.n_labels, 1);
        assert_string_equal(l.o.labels[0].key, "x");
        assert_string_equal(l.o.labels[0].value, "1");
        assert_true(l.o.timeout.is_set);
        assert_int_equal(l.o.timeout.ns, INT64_C(5000000000));
    }
}

static void test_all(void **state)
{
    struct line l;

    parses(&l, "f run F --argument -x --attempt-timeout 1s --cancel-on-disconnect --content-type T "
               "--deadline 3s --in 2s --concurrency-key C --fairness-key F --durable "
               "--group G --key K --label a=b=c --label d= --retries 3 --priority -7 "
               "--retention 4s --tag T2 --view task -o OUT");
    assert_string_equal(l.o.argument, "-x");
    assert_int_equal(l.o.attempt_timeout.ns, INT64_C(1000000000));
    assert_true(l.o.cancel_on_disconnect);
    assert_string_equal(l.o.content_type, "T");
    assert_true(l.o.deadline.is_set && l.o.deadline.t > clock_wall());
    assert_int_equal(l.o.in.ns, INT64_C(2000000000));
    assert_string_equal(l.o.concurrency_key, "C");
    assert_string_equal(l.o.fairness_key, "F");
    assert_int_equal(l.o.durability, FUTURED_DURABLE);
    assert_string_equal(l.o.group, "G");
    assert_string_equal(l.o.key, "K");
    assert_int_equal(l.o.n_labels, 2);
    assert_string_equal(l.o.labels[0].value, "b=c");
    assert_string_equal(l.o.labels[1].value, "");
    assert_int_equal(l.o.retries, 3);
    assert_true(l.o.priority.is_set && l.o.priority.n == -7);
    assert_int_equal(l.o.retention.ns, INT64_C(4000000000));
    assert_string_equal(l.o.tag, "T2");
    assert_int_equal(l.o.view, FUTURED_VIEW_TASK);
    assert_string_equal(l.o.output, "OUT");
    parses(&l, "f submit F --key K --key-policy join-while-active --depends-on A --depends-on B "
               "--depend-policy failure "
               "--pass-results");
    assert_int_equal(l.o.key_policy, FUTURED_KEY_JOIN_WHILE_ACTIVE);
    assert_int_equal(l.o.n_depends_on, 2);
    assert_string_equal(l.o.depends_on[1], "B");
    assert_int_equal(l.o.depend_policy, FUTURED_DEPEND_ON_FAILURE);
    assert_true(l.o.passes_results);
    parses(&l, "f run F --key K --key-policy reject --depend-policy success");
    assert_int_equal(l.o.key_policy, FUTURED_KEY_REJECT);
    assert_int_equal(l.o.depend_policy, FUTURED_DEPEND_ON_SUCCESS);
    parses(&l, "f wait a b --count 2 --any --first-exception");
    assert_int_equal(l.o.count, 2);
    assert_true(l.o.is_any && l.o.is_first_exception);
    parses(&l, "f list --limit 0 --oldest-first --jsonl");
    assert_int_equal(l.o.limit, 0);
    assert_true(l.o.is_oldest_first);
    assert_int_equal(l.o.format, OUTPUT_JSONL);
    parses(&l, "f list --json");
    assert_int_equal(l.o.limit, 100);
    assert_int_equal(l.o.format, OUTPUT_JSON);
    parses(&l, "f cancel x --reason R --grace 0s");
    assert_string_equal(l.o.reason, "R");
    assert_true(l.o.grace.is_set && l.o.grace.ns == 0);
    parses(&l, "f annotate x a=1 --remove b --remove c");
    assert_int_equal(l.o.n_remove, 2);
    assert_string_equal(l.o.remove[1], "c");
    parses(&l, "f submit F --at 2026-01-31T12:00:00Z --deadline 2026-01-31T12:00:01Z --ephemeral");
    assert_true(l.o.at.is_set && l.o.at.t == INT64_C(1769860800000000000));
    assert_true(l.o.deadline.t == INT64_C(1769860801000000000));
    assert_int_equal(l.o.durability, FUTURED_EPHEMERAL);
    parses(&l, "f --group G count --by state");
    assert_string_equal(l.o.group, "G");
    assert_string_equal(l.o.by, "state");
    parses(&l, "f cancel -f state=FAILED -g G -y --dry-run");
    assert_string_equal(l.o.filter, "state=FAILED");
    assert_true(l.o.is_yes && l.o.is_dry_run);
    parses(&l, "f reschedule x --no-deadline --priority 0");
    assert_true(l.o.is_without_deadline && l.o.priority.is_set && l.o.priority.n == 0);
    parses(&l, "f limits F --max-running 0 --max-pending 5 --rate 0.5");
    assert_true(l.o.max_running.is_set && l.o.max_running.n == 0);
    assert_int_equal(l.o.max_pending.n, 5);
    assert_true(l.o.rate == 0.5);
    parses(&l, "f limits F --reset");
    assert_true(l.o.is_reset && l.o.rate < 0 && !l.o.max_running.is_set);
    parses(&l, "f wait -g G --expect 7");
    assert_int_equal(l.o.expect, 7);
    parses(&l, "f ping --wait 10s");
    assert_int_equal(l.o.wait.ns, INT64_C(10000000000));
    parses(&l, "f");
    assert_null(l.o.command);
    parses(&l, "f --version");
    assert_true(l.o.wants_version);
    parses(&l, "f run -h"); /* help needs no arguments */
    assert_true(l.o.wants_help);
    parses(&l, "f run F -- --argument");
    assert_string_equal(l.o.arguments[1], "--argument");
}

static void test_refused(void **state)
{
    char many[2000] = "f run F";

    refuses("f rnu", "there is no command `rnu`; did you mean `run`?");
    refuses("f function", "there is no command `function`; did you mean `functions`?");
    refuses("f xyzzy-xyzzy", "there is no command `xyzzy-xyzzy`");
    refuses("f run --lable x=1 F", "there is no option --lable; did you mean --label?");
    refuses("f run F --xyzzy-xyzzy", "there is no option --xyzzy-xyzzy");
    refuses("f run F --depend-policy no", "--depend-policy takes success, finish or failure, not `no`");
    refuses("f run F --key-policy no",
            "--key-policy takes join, join-unless-failed, join-while-active or reject, not `no`");
    refuses("f run F -z", "there is no option -z");
    refuses("f run F -5", "there is no option -5");
    refuses("f get x --label a=b", "get takes no --label");
    refuses("f --label a=b get x", "get takes no --label");
    refuses("f run", "run needs FUNCTION [ARGUMENT | - | @FILE]");
    refuses("f as-completed", "as-completed needs ID...");
    refuses("f run F --durable --ephemeral", "--durable and --ephemeral exclude each other");
    refuses("f run F --at noon", "--at takes a time such as 12:00, \"2026-01-31 12:00\" or "
                                 "2026-01-31T12:00:00Z, not `noon`");
    refuses("f run F --deadline noon", "--deadline takes 90s, 1.5h or 7d, or a time such as 12:00 or "
                                       "2026-01-31T12:00:00Z, not `noon`");
    refuses("f limits F --rate -1", "--rate takes a number such as 10 or 0.5, not `-1`");
    refuses("f limits F --max-running -1",
            "--max-running takes a whole number from 0 to 4294967295, not `-1`");
    refuses("f count --group-by state", "there is no option --group-by; did you mean --group?");
    refuses("f run F --max-attempts 3", "there is no option --max-attempts");
    refuses("f cancel x --filtre y", "there is no option --filtre; did you mean --filter?");
    refuses("f run a b c", "run does not take so many arguments: `c` is too much");
    refuses("f ping x", "ping does not take so many arguments: `x` is too much");
    refuses("f run F --timeout", "--timeout needs a value: DURATION");
    refuses("f run F -l", "--label needs a value: KEY=VALUE");
    refuses("f run F --timeout 5x", "--timeout takes a time such as 90s, 1.5h, 250ms or 7d, not `5x`");
    refuses("f run F --timeout 999999d", "--timeout 999999d is too long");
    refuses("f run F --json=1", "--json takes no value");
    refuses("f list --json --jsonl", "--json and --jsonl exclude each other");
    refuses("f run F --label x", "--label takes KEY=VALUE with a key of 1 to 63 characters, not `x`");
    refuses("f run F --label =x", "--label takes KEY=VALUE with a key of 1 to 63 characters, not `=x`");
    refuses("f run F --priority 1.5",
            "--priority takes a whole number from -2147483648 to 2147483647, not `1.5`");
    refuses("f run F --priority 2147483648",
            "--priority takes a whole number from -2147483648 to 2147483647, not `2147483648`");
    refuses("f wait x --count 0", "--count takes a whole number from 1 to 4294967295, not `0`");
    refuses("f run F --view all", "--view takes result, basic, task or full, not `all`");
    for (int i = 0; i < 65; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), " -l%d=", i);
    refuses(many, "more than 64 labels");
}

static void test_label(void **state)
{
    struct option_label label;
    char text[80];

    memset(text, 'k', 63);
    snprintf(text + 63, sizeof text - 63, "=v");
    assert_int_equal(options_parse_label(text, &label), 0);
    assert_int_equal(strlen(label.key), 63);
    assert_string_equal(label.value, "v");
    snprintf(text + 63, sizeof text - 63, "k=v");
    assert_int_equal(options_parse_label(text, &label), OPTIONS_E_USAGE);
}

/* Every option of every command is in the table, once; what a command takes is found by its name. */
static void test_each(void **state)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct option *o, *again;

        for (size_t at = 0; (o = options_each(&commands[i], at)); at++) {
            assert_ptr_equal(options_find(&commands[i], o->name, strlen(o->name)), o);
            for (size_t before = 0; before < at; before++) {
                again = options_each(&commands[i], before);
                assert_string_not_equal(again->name, o->name);
                assert_true(!o->letter || again->letter != o->letter);
            }
        }
    }
    assert_null(options_find(NULL, "group", 5));
    assert_string_equal(options_find(NULL, "jsonl", 5)->name, "jsonl");
    assert_null(options_find(&commands[0], "labe", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_places), cmocka_unit_test(test_all),  cmocka_unit_test(test_refused),
            cmocka_unit_test(test_label),  cmocka_unit_test(test_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
