// SPDX-License-Identifier: Apache-2.0
#include "base/limit.h"
#include "client/futurectl/argument.h"
#include "tests/unit/futurectl/written.h"

#include <fcntl.h>

static struct written err;

/* The argument of `run F [word]` with --argument @option. */
static int read_argument(const char *word, const char *option, struct buf *to)
{
    char function[] = "F", copy[200], *words[] = {function, copy};
    struct ctl ctl = {.err = err.to};

    *to = BUF_INIT;
    snprintf(copy, sizeof copy, "%s", word ? word : "");
    ctl.options.arguments = words;
    ctl.options.n_arguments = word ? 2 : 1;
    ctl.options.argument = option;
    return argument_read(&ctl, to);
}

static void expect(const char *word, const char *option, const char *bytes, size_t n)
{
    struct buf got;

    assert_int_equal(read_argument(word, option, &got), CTL_OK);
    assert_int_equal(buf_len(&got), n);
    if (n)
        assert_memory_equal(buf_head(&got), bytes, n);
    buf_deinit(&got);
    written_expect(&err, "");
}

static void test_text(void **state)
{
    expect(NULL, NULL, "", 0);
    expect("", NULL, "", 0);
    expect("hello", NULL, "hello", 5);
    expect(NULL, "-", "-", 1);
    expect(NULL, "@/nowhere", "@/nowhere", 9);
    expect(NULL, "", "", 0);
}

static void write_to(int fd, const void *p, size_t n)
{
    assert_int_equal(write(fd, p, n), n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
}

static void test_input(void **state)
{
    char path[] = "/tmp/futured-test-XXXXXX", at_path[40];
    int fd = mkstemp(path), stdin_before = dup(STDIN_FILENO);

    assert_true(fd >= 0);
    write_to(fd, "bytes\0and\n", 10);
    snprintf(at_path, sizeof at_path, "@%s", path);
    expect(at_path, NULL, "bytes\0and\n", 10);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    expect("-", NULL, "bytes\0and\n", 10);
    expect("-", NULL, "", 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    expect("x", NULL, "x", 1); /* standard input is left alone */
    expect(NULL, NULL, "", 0);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    assert_int_equal(dup2(stdin_before, STDIN_FILENO), STDIN_FILENO);
    close(stdin_before);
    close(fd);
    unlink(path);
}

static void test_errors(void **state)
{
    char path[] = "/tmp/futured-test-XXXXXX", at_path[40], expect_text[200];
    struct buf got;
    int fd;

    assert_int_equal(read_argument("@/nowhere/at/all", NULL, &got), CTL_USAGE);
    buf_deinit(&got);
    written_expect(&err,
                   "futurectl: cannot read /nowhere/at/all: No such file or directory; --argument takes a "
                   "text that begins with @\n");
    assert_int_equal(read_argument("@/tmp", NULL, &got), CTL_USAGE);
    buf_deinit(&got);
    written_expect(&err, "futurectl: cannot read /tmp: Is a directory\n");
    assert_int_equal(read_argument("x", "y", &got), CTL_USAGE);
    buf_deinit(&got);
    written_expect(&err, "futurectl: both --argument and `x`: there is only one argument\n");

    fd = mkstemp(path);
    assert_int_equal(ftruncate(fd, LIMIT_MAX_MESSAGE_BYTES + 1), 0);
    snprintf(at_path, sizeof at_path, "@%s", path);
    assert_int_equal(read_argument(at_path, NULL, &got), CTL_USAGE);
    buf_deinit(&got);
    snprintf(expect_text, sizeof expect_text,
             "futurectl: %s is longer than 64 MiB, which no daemon takes as an argument\n", path);
    written_expect(&err, expect_text);
    close(fd);
    unlink(path);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf got;
        int code = read_argument("hello", NULL, &got);

        assert_int_equal(code, test_allocation_failed() ? CTL_FAILED : CTL_OK);
        buf_deinit(&got);
    }
}

static int setup(void **state)
{
    written_init(&err);
    return 0;
}

static int teardown(void **state)
{
    written_deinit(&err);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_text),
            cmocka_unit_test(test_input),
            cmocka_unit_test(test_errors),
            cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
