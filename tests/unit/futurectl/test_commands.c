// SPDX-License-Identifier: Apache-2.0
/* The program as a function, as far as it needs no daemon. */
#include "client/futurectl/commands.h"
#include "client/futurectl/ctl.h"
#include "tests/unit/futurectl/written.h"

static struct written out, err;

/* Run with these words behind the program's name; NULL ends them. */
static int run(const char *a, const char *b, const char *c, const char *d)
{
    const char *const words[] = {"futurectl", a, b, c, d, NULL};
    char copies[ARRAY_LEN(words)][100], *argv[ARRAY_LEN(words)] = {NULL};
    int argc = 0;

    for (; words[argc]; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    return commands_main(argc, argv, out.to, err.to);
}

static void test_without_daemon(void **state)
{
    assert_int_equal(run("--version", NULL, NULL, NULL), CTL_OK);
    written_expect(&out, "futurectl " FUTURED_VERSION "\n");
    assert_int_equal(run("--help", NULL, NULL, NULL), CTL_OK);
    written_has(&out, "Usage: futurectl [OPTION]... COMMAND");
    assert_int_equal(run("get", "--help", NULL, NULL), CTL_OK);
    written_has(&out, "Usage: futurectl get [OPTION]... [ID]...");
    assert_int_equal(run("completion", "bash", NULL, NULL), CTL_OK);
    written_has(&out, "complete -o default -F _futurectl futurectl\n");
    assert_int_equal(run("completion", "words", "--", "pi"), CTL_OK);
    written_expect(&out, "ping\tAsk whether the daemon is there and takes calls\n");
    assert_int_equal(run("completion", "words", "--", "run"), CTL_OK);
    written_expect(&out, "run\tRun a function and print its result\n");
    written_expect(&err, "");
}

static void test_usage(void **state)
{
    assert_int_equal(run(NULL, NULL, NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: no command given\nTry `futurectl --help`.\n");
    assert_int_equal(run("gte", "x", NULL, NULL), CTL_USAGE);
    written_expect(&err,
                   "futurectl: there is no command `gte`; did you mean `get`?\nTry `futurectl --help`.\n");
    assert_int_equal(run("get", "--wait", "1s", NULL), CTL_USAGE);
    written_expect(&err, "futurectl: get takes no --wait\nTry `futurectl get --help`.\n");
    assert_int_equal(run("wait", NULL, NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: wait needs IDs, --group or --filter\n");
    assert_int_equal(run("watch", "x", "--group", "g"), CTL_USAGE);
    written_expect(&err, "futurectl: IDs and --group: give one of them\n");
    assert_int_equal(run("annotate", "x", NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: annotate needs KEY=VALUE or --remove KEY, and at most 64 of them\n");
    assert_int_equal(run("annotate", "x", "novalue", NULL), CTL_USAGE);
    written_expect(&err, "futurectl: a label is KEY=VALUE with a key of 1 to 63 characters, not `novalue`\n");
    assert_int_equal(run("get", NULL, NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: get needs IDs or --key\n");
    assert_int_equal(run("get", "x", "--key", "k"), CTL_USAGE);
    written_expect(&err, "futurectl: IDs and --key: give one of them\n");
    assert_int_equal(run("cancel", NULL, NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: cancel needs IDs, --group or --filter\n");
    assert_int_equal(run("delete", "x", "-fy", NULL), CTL_USAGE);
    written_expect(&err, "futurectl: IDs and --filter: give one of them\n");
    assert_int_equal(run("reschedule", "x", NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: reschedule needs --priority, --in, --at, --deadline, --no-deadline or "
                         "--retention\n");
    assert_int_equal(run("reschedule", "x", "--deadline=1h", "--no-deadline"), CTL_USAGE);
    written_expect(&err, "futurectl: --deadline and --no-deadline exclude each other\n");
    assert_int_equal(run("submit", "F", "--in=1h", "--at=12:00"), CTL_USAGE);
    written_expect(&err, "futurectl: --in and --at exclude each other\n");
    assert_int_equal(run("submit", "F", "--key-policy=reject", NULL), CTL_USAGE);
    written_expect(&err, "futurectl: --key-policy needs --key\n");
    assert_int_equal(run("submit", "F", "--pass-results", NULL), CTL_USAGE);
    written_expect(&err, "futurectl: --pass-results needs --depends-on\n");
    assert_int_equal(run("completion", "csh", NULL, NULL), CTL_USAGE);
    written_expect(&err, "futurectl: completion takes bash, zsh or fish, not `csh`\n");
    assert_int_equal(run("run", "F", "x", "--argument=y"), CTL_USAGE);
    written_expect(&err, "futurectl: both --argument and `x`: there is only one argument\n");
    written_expect(&out, "");
}

static void test_unreachable(void **state)
{
    static const char *const commands_of_one[] = {
            "run",   "submit", "get",     "wait",    "result", "cancel", "watch",  "delete", "as-completed",
            "count", "retry",  "explain", "workers", "stats",  "pause",  "resume", "limits"};
    static const char text[] =
            "futurectl: cannot connect to unix:/nowhere/s: No such file or directory; there is no "
            "such socket; start futured, or say with FUTURED_ADDRESS where it listens\n";

    for (size_t i = 0; i < ARRAY_LEN(commands_of_one); i++) {
        assert_int_equal(run(commands_of_one[i], "x", "-aunix:/nowhere/s", NULL), CTL_UNREACHABLE);
        written_expect(&err, text);
    }
    assert_int_equal(run("list", "-aunix:/nowhere/s", "--json", NULL), CTL_UNREACHABLE);
    written_expect(&err, text);
    assert_int_equal(run("functions", "-aunix:/nowhere/s", NULL, NULL), CTL_UNREACHABLE);
    written_expect(&err, text);
    assert_int_equal(run("ping", "-aunix:/nowhere/s", "--wait", "1ms"), CTL_UNREACHABLE);
    written_expect(&err, text);
    written_expect(&out, ""); /* nothing is shown where nothing was answered */
    assert_int_equal(run("ping", "-a", "nonsense", NULL), CTL_USAGE);
    written_expect(&err,
                   "futurectl: the address `nonsense` must be unix:/path, 127.0.0.1:4740, [::1]:4740, "
                   "host:4740 or tls:host:4741\nfuturectl: give another with --address or FUTURED_ADDRESS\n");
}

static int setup(void **state)
{
    written_init(&out);
    written_init(&err);
    return 0;
}

static int teardown(void **state)
{
    written_deinit(&out);
    written_deinit(&err);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_without_daemon, setup, teardown),
            cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
            cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
