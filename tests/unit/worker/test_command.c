// SPDX-License-Identifier: Apache-2.0
/* Command functions: pipes that neither side of may block, results, errors and signals as they are told, environment,
 * cancels, and that nothing of a command outlives its attempt. */
#include "tests/unit/worker/call.h"
#include "worker/words.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include <sys/prctl.h>
#include <sys/stat.h>

enum { MAX_RESULT = 4 * 1024 * 1024 };

static const struct pump_limits no_limits;
static struct test_call t;

static void run_bytes(const char *line, int is_shell, struct span argument, const char *const *labels,
                      size_t max)
{
    struct command command;
    struct arena a;

    arena_init(&a, 0);
    assert_int_equal(command_init(&command, &a, line, is_shell), 0);
    test_call_begin(&t, argument, labels, max);
    command_run(&command, &no_limits, NULL, &t.call);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    arena_deinit(&a);
}

static void run(const char *line, const char *argument)
{
    run_bytes(line, 0, span_of_string(argument), NULL, MAX_RESULT);
}

static void run_shell(const char *line, const char *argument)
{
    run_bytes(line, 1, span_of_string(argument), NULL, MAX_RESULT);
}

static void test_argument_and_result(void **state)
{
    run("cat", "hello");
    test_call_expect(&t, "hello");
    assert_true(t.call.exit_code.is_set);
    assert_int_equal(t.call.exit_code.value, 0);
    assert_false(t.call.signal.is_set);
    assert_true(t.call.usage.user_ns >= 0 && t.call.usage.system_ns >= 0);
    run("/usr/bin/tr a-z A-Z", "hello");
    test_call_expect(&t, "HELLO");
    run("cat", "");
    test_call_expect(&t, "");
    run("printf '%s|' 'a  b' \"c\"", "");
    test_call_expect(&t, "a  b|c|");
    run("echo $HOME *", ""); /* no shell: nothing is expanded */
    test_call_expect(&t, "$HOME *\n");
    run_shell("tr a-z A-Z | rev; echo $((1 + 2))", "abc");
    test_call_expect(&t, "CBA3\n");
    run_shell("echo good; echo bad >&2", "");
    test_call_expect(&t, "good\n");
}

static void test_failures(void **state)
{
    run_shell("echo one >&2; echo 'two lines' >&2; exit 3", "");
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code 3: two lines");
    assert_int_equal(t.call.exit_code.value, 3);
    assert_true(span_eq(t.call.failure.traceback, SPAN_LIT("one\ntwo lines\n")));
    run("false", "");
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code 1");
    assert_int_equal(t.call.failure.traceback.len, 0);
    run_shell("echo oops >&2; kill -SEGV $$", "");
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "killed by SIGSEGV");
    assert_true(t.call.signal.is_set);
    assert_int_equal(t.call.signal.value, SIGSEGV);
    assert_false(t.call.exit_code.is_set);
    assert_true(span_eq(t.call.failure.traceback, SPAN_LIT("oops\n")));
    run_shell("kill -KILL $$", "");
    test_call_expect_failure(&t, "CRASHED", GRPC_INTERNAL, "", "killed by SIGKILL");
}

static void test_cannot_run(void **state)
{
    run("/no/such/program -x", "");
    test_call_expect_failure(&t, "", GRPC_NOT_FOUND, "NOT_FOUND",
                             "cannot run /no/such/program: No such file");
    assert_false(t.call.exit_code.is_set || t.call.signal.is_set);
    run("no-such-program-anywhere", "");
    test_call_expect_failure(&t, "", GRPC_NOT_FOUND, "NOT_FOUND",
                             "cannot run no-such-program-anywhere: No such file");
    run("/dev/null", "");
    test_call_expect_failure(&t, "", GRPC_PERMISSION_DENIED, "PERMISSION_DENIED", "cannot run /dev/null: ");
}

static void test_found_by_path(void **state)
{
    char was[4096];

    snprintf(was, sizeof was, "%s", getenv("PATH"));
    assert_int_equal(setenv("PATH", "/no/such:::/usr/bin:/bin", 1), 0);
    run("cat", "found");
    test_call_expect(&t, "found");
    assert_int_equal(setenv("PATH", "/no/such", 1), 0);
    run("cat", "");
    test_call_expect_failure(&t, "", GRPC_NOT_FOUND, "NOT_FOUND", "cannot run cat");
    assert_int_equal(setenv("PATH", was, 1), 0);
}

/* Megabytes both ways, by programs that read all first, write first, or do not read at all. */
static void test_never_blocks(void **state)
{
    size_t n = (size_t)3 * 1024 * 1024;
    uint8_t *bytes = malloc(n);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 7 % 253);
    run_bytes("cat", 0, (struct span){bytes, n}, NULL, MAX_RESULT);
    assert_false(t.call.has_failed);
    assert_int_equal(t.call.n_result, n);
    assert_memory_equal(attempt_result(&t.call).p, bytes, n);

    run_bytes("head -c 1000000 /dev/zero; wc -c", 1, (struct span){bytes, n}, NULL, MAX_RESULT);
    assert_false(t.call.has_failed);
    assert_true(t.call.n_result > 1000000);
    assert_memory_equal(attempt_result(&t.call).p + 1000000, "3145728", 7);

    run_bytes("true", 0, (struct span){bytes, n}, NULL, MAX_RESULT); /* does not read */
    test_call_expect(&t, "");
    run_bytes("exec 0<&-; head -c 200000 /dev/zero >&2; echo end", 1, (struct span){bytes, n}, NULL,
              MAX_RESULT);
    test_call_expect(&t, "end\n");
    run_bytes("exec 1>&-; cat >/dev/null; exit 0", 1, (struct span){bytes, n}, NULL,
              MAX_RESULT); /* closes its output */
    test_call_expect(&t, "");
    free(bytes);
}

static void test_result_too_large(void **state)
{
    run_bytes("head -c 1000 /dev/zero", 0, (struct span){0}, NULL, 1000);
    assert_false(t.call.has_failed);
    assert_int_equal(t.call.n_result, 1000);
    run_bytes("head -c 1001 /dev/zero", 0, (struct span){0}, NULL, 1000);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "",
                             "the result has 1001 bytes or more; at most 1000 are allowed");
    run_bytes("cat /dev/zero", 0, (struct span){0}, NULL, 1000); /* has no end of its own */
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "at most 1000 are allowed");
}

static void test_tail_of_stderr(void **state)
{
    struct span said, note;
    char wanted[128];
    size_t n = 0;

    for (int i = 0; i < 30000; i++)
        n += (size_t)snprintf(wanted, sizeof wanted, "line %d\n", i);
    run_shell("i=0; while [ $i -lt 30000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", "");
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "EXIT_CODE", "exit code 1: line 29999");
    said = t.call.failure.traceback;
    assert_true(said.len <= ATTEMPT_TEXT_MAX_BYTES && said.len > PUMP_STDERR_BYTES / 2);
    note = said;
    note.len = (size_t)((const uint8_t *)memchr(said.p, '\n', said.len) + 1 - said.p);
    snprintf(wanted, sizeof wanted, "(%zu bytes of standard error before this are left out)\n",
             n - (said.len - note.len));
    assert_true(span_eq(note, span_of_string(wanted)));
    assert_memory_equal(said.p + note.len, "line ", 5); /* whole lines */
    assert_memory_equal(said.p + said.len - 11, "line 29999\n", 11);
    run_shell("yes 0123456789 | head -c 131000 >&2; exit 1", ""); /* just as much is kept as is shown */
    said = t.call.failure.traceback;
    assert_non_null(memmem(said.p, said.len, "left out)\n0123456789\n", 21));
    run_shell("printf '\\377 bad' >&2; exit 1", "");
    assert_true(span_eq(t.call.failure.traceback, SPAN_LIT("\xef\xbf\xbd bad")));
}

static void test_environment(void **state)
{
    static const char *const labels[] = {"color",  "red",   "a.b/c-d", "x y", "a_b_c_d",
                                         "hidden", "empty", "",        NULL};

    assert_int_equal(setenv("FUTURED_ID", "forged", 1), 0);
    run_bytes("echo $FUTURED_ID $FUTURED_ATTEMPT $FUTURED_FUNCTION \"$FUTURED_GROUP\" $FUTURED_LABEL_COLOR "
              "\"$FUTURED_LABEL_A_B_C_D\" ${FUTURED_LABEL_EMPTY-none} ${PATH:+path}",
              1, (struct span){0}, labels, MAX_RESULT);
    char expected[256];
    snprintf(expected, sizeof expected, "%s 2 f group 1 red x y path\n", attempt_host.id(&t.call));
    test_call_expect(&t, expected);
    run_bytes("env", 0, (struct span){0}, labels, MAX_RESULT);
    assert_int_equal(unsetenv("FUTURED_ID"), 0);
    struct span all = attempt_result(&t.call);
    assert_null(memmem(all.p, all.len, "hidden", 6));
    assert_null(memmem(all.p, all.len, "forged", 6));
}

/* It keeps the pipes open and ignores what is polite; that its end of the fifo is closed says that it is gone. */
static void test_background_processes_end(void **state)
{
    char fifo[64], c;
    int reader;

    snprintf(fifo, sizeof fifo, "/tmp/futured-command-%d", (int)getpid());
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(setenv("FIFO", fifo, 1), 0);
    run_shell("exec 7>$FIFO; (trap '' TERM HUP INT; exec tail -f /dev/null >/dev/null) & echo answer", "");
    test_call_expect(&t, "answer\n");
    struct pollfd p = {.fd = reader, .events = POLLIN};
    while (read(reader, &c, 1) != 0)
        assert_int_equal(poll(&p, 1, -1), 1);
    close(reader);
    unlink(fifo);
}

/* --- cancels, by another thread, once the command has told that it runs */

struct cancel {
    char fifo[64];
    int64_t grace_ns;
};

static int orders[2], done[2]; /* pipes of struct cancel to the thread, and of a byte back */

static void *cancel(void *arg)
{
    struct cancel c;
    char byte;

    while (read(orders[0], &c, sizeof c) == (ssize_t)sizeof c) {
        int fd = open(c.fifo, O_RDONLY | O_CLOEXEC); /* waits for the writer */

        if (read(fd, &byte, 1) == 1)
            attempt_cancel(&t.call, c.grace_ns);
        close(fd);
        ASSERT(write(done[1], "", 1) == 1);
    }
    return NULL;
}

static void run_cancelled(const char *line, int64_t grace_ns)
{
    struct cancel c = {.grace_ns = grace_ns};
    char byte;

    snprintf(c.fifo, sizeof c.fifo, "/tmp/futured-cancel-%d", (int)getpid());
    unlink(c.fifo);
    assert_int_equal(mkfifo(c.fifo, 0600), 0);
    assert_int_equal(setenv("FIFO", c.fifo, 1), 0);
    assert_int_equal(write(orders[1], &c, sizeof c), sizeof c);
    run_bytes(line, 1, (struct span){0}, NULL, MAX_RESULT);
    assert_int_equal(read(done[0], &byte, 1), 1);
    unlink(c.fifo);
}

static void test_cancel(void **state)
{
    /* without grace: killed */
    run_cancelled("trap '' TERM; echo x >$FIFO; exec tail -f /dev/null", 0);
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "", "cancelled");
    assert_int_equal(t.call.signal.value, SIGKILL);
    /* with: it is asked first */
    run_cancelled("echo x >$FIFO; exec tail -f /dev/null", 3600 * NS_PER_S);
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "", "cancelled");
    assert_int_equal(t.call.signal.value, SIGTERM);
    run_cancelled("trap 'exit 5' TERM; tail -f /dev/null & echo x >$FIFO; wait", 3600 * NS_PER_S);
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "", "cancelled");
    assert_int_equal(t.call.exit_code.value, 5);
    /* and killed when the grace is over */
    run_cancelled("trap '' TERM; echo x >$FIFO; exec tail -f /dev/null", 8 * NS_PER_MS);
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "", "cancelled");
    assert_int_equal(t.call.signal.value, SIGKILL);
}

static void test_result_in_spite_of_a_cancel(void **state)
{
    run_cancelled("trap 'echo all the same; exit 0' TERM; tail -f /dev/null & echo x >$FIFO; wait",
                  3600 * NS_PER_S);
    test_call_expect(&t, "all the same\n");
}

/* In words, and what stands for itself. */
static void test_templates(void **state)
{
    static const char *const labels[] = {"color", "red; rm", NULL};
    char wanted[256];

    run_bytes("printf '<%s>' {argument} {label.color} x{label.none}y {group} {function} {attempt} "
              "{content_type}",
              0, SPAN_LIT("a b'\"$HOME {id}"), labels, MAX_RESULT);
    test_call_expect(&t, "<a b'\"$HOME {id}><red; rm><xy><group 1><f><2><text/plain>");
    run("printf '<%s>' {id}", "x");
    snprintf(wanted, sizeof wanted, "<%s>", attempt_host.id(&t.call));
    test_call_expect(&t, wanted);
    run("printf '<%s>' {{id}} {} {unknown} {print} {{x}}", "x");
    test_call_expect(&t, "<{id}><{}><{unknown}><{print}><{{x}}>");
    run("sh -c 'cat; echo \"$0\"' {argument}", "x"); /* not on standard input as well */
    test_call_expect(&t, "x\n");
    run_shell("cat; echo ' {argument}'", "x"); /* nothing is put into a line of the shell */
    test_call_expect(&t, "x {argument}\n");
    run("true {argument}", "");
    test_call_expect(&t, "");
    run_bytes("true {argument}", 0, SPAN_LIT("a\0b"), NULL, MAX_RESULT);
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT",
                             "{argument} has a NUL byte in it");
    assert_true(t.call.failure.is_retryable < 0);
}

static void test_directory(void **state)
{
    struct command command;
    struct arena a;

    arena_init(&a, 0);
    assert_int_equal(command_init(&command, &a, "pwd", 0), 0);
    command.directory = "/usr/bin";
    test_call_begin(&t, SPAN_LIT(""), NULL, MAX_RESULT);
    command_run(&command, &no_limits, NULL, &t.call);
    test_call_expect(&t, "/usr/bin\n");
    command.directory = "/no/such";
    test_call_begin(&t, SPAN_LIT(""), NULL, MAX_RESULT);
    command_run(&command, &no_limits, NULL, &t.call);
    test_call_expect_failure(&t, "", GRPC_NOT_FOUND, "NOT_FOUND",
                             "cannot enter the directory /no/such: No such file");
    arena_deinit(&a);
}

static void test_init(void **state)
{
    struct command command;
    struct arena a;

    arena_init(&a, 0);
    assert_int_equal(command_init(&command, &a, "echo 'x", 0), WORDS_E_QUOTE);
    assert_int_equal(command_init(&command, &a, "echo 'x", 1), 0); /* the shell's own affair */
    assert_string_equal(command.words[0], "/bin/sh");
    assert_string_equal(command.words[2], "echo 'x");
    assert_null(command.words[3]);
    assert_int_equal(command_init(&command, &a, "{argument} x", 0), COMMAND_E_PROGRAM);
    assert_string_equal(command_error_text(COMMAND_E_PROGRAM), "its program is a template");
    assert_string_equal(command_error_text(WORDS_E_QUOTE), "a quote is not closed");
    arena_deinit(&a);
}

static void test_without_memory(void **state)
{
    struct command command;
    struct arena a;

    arena_init(&a, 0);
    assert_int_equal(command_init(&command, &a, "cat", 0), 0);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct test_call other;

        mem_fail_at(0);
        test_call_init(&other);
        test_call_begin(&other, SPAN_LIT("abc"), NULL, MAX_RESULT);
        mem_fail_at(nth);
        command_run(&command, &no_limits, NULL, &other.call);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        if (!other.call.has_failed)
            test_call_expect(&other, "abc");
        else
            assert_true(test_allocation_failed());
        test_call_deinit(&other);
    }
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_argument_and_result),
            cmocka_unit_test(test_failures),
            cmocka_unit_test(test_cannot_run),
            cmocka_unit_test(test_found_by_path),
            cmocka_unit_test(test_never_blocks),
            cmocka_unit_test(test_result_too_large),
            cmocka_unit_test(test_tail_of_stderr),
            cmocka_unit_test(test_environment),
            cmocka_unit_test(test_background_processes_end),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_result_in_spite_of_a_cancel),
            cmocka_unit_test(test_templates),
            cmocka_unit_test(test_directory),
            cmocka_unit_test(test_init),
            cmocka_unit_test(test_without_memory),
    };
    pthread_t thread;
    int failed;

    signal(SIGPIPE, SIG_IGN); /* as the worker has it */
    ASSERT(pipe(orders) == 0 && pipe(done) == 0 && pthread_create(&thread, NULL, cancel, NULL) == 0);
    test_call_init(&t);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    close(orders[1]);
    pthread_join(thread, NULL);
    return failed;
}
