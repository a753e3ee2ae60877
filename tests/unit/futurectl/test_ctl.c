// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/ctl.h"
#include "tests/unit/futurectl/written.h"

static struct written out, err;

static struct ctl new_ctl(void)
{
    struct ctl ctl = {.err = err.to};

    output_init(&ctl.out, OUTPUT_TEXT, out.to);
    return ctl;
}

static void test_complain(void **state)
{
    struct ctl ctl = new_ctl();

    ctl_complain(&ctl, "no %s", "good\033[1m\n");
    written_expect(&err, "futurectl: no good\\x1b[1m\\n\n");
}

static void test_exit_of(void **state)
{
    static const struct {
        int code, expect;
    } cases[] = {
            {FUTURED_OK, 0},
            {FUTURED_CANCELLED, 1},
            {FUTURED_INVALID_ARGUMENT, 2},
            {FUTURED_DEADLINE_EXCEEDED, 124},
            {FUTURED_NOT_FOUND, 4},
            {FUTURED_RESOURCE_EXHAUSTED, 1},
            {FUTURED_UNAVAILABLE, 69},
            {FUTURED_INTERNAL, 1},
    };
    struct futured_status status = {.reason = "", .message = ""};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        status.code = cases[i].code;
        assert_int_equal(ctl_exit_of(&status), cases[i].expect);
    }
    status.code = FUTURED_FAILED_PRECONDITION;
    assert_int_equal(ctl_exit_of(&status), 1);
    status.reason = "NO_SUCH_FUNCTION";
    assert_int_equal(ctl_exit_of(&status), 4);
}

static void test_outcome(void **state)
{
    struct futured_error error = {.reason = "CRASHED", .message = "signal 11"};
    struct futured_future future = {.id = "ID", .state = FUTURED_STATE_SUCCEEDED};
    struct ctl ctl = new_ctl();

    assert_int_equal(ctl_outcome(&ctl, &future), CTL_OK);
    written_expect(&err, "");
    future.state = FUTURED_STATE_FAILED;
    future.error = &error;
    assert_int_equal(ctl_outcome(&ctl, &future), CTL_FAILED);
    written_expect(&err, "futurectl: ID FAILED, CRASHED: signal 11; `futurectl get ID` shows the record\n");
    future.state = FUTURED_STATE_CANCELLED;
    error.reason = "CANCELLED";
    error.message = "";
    assert_int_equal(ctl_outcome(&ctl, &future), CTL_CANCELLED);
    written_expect(&err, "futurectl: ID CANCELLED; `futurectl get ID` shows the record\n");
    future.state = FUTURED_STATE_RUNNING;
    future.error = NULL;
    assert_int_equal(ctl_outcome(&ctl, &future), CTL_TIMED_OUT);
    written_expect(&err, "futurectl: ID is still RUNNING; `futurectl wait ID` waits for it\n");
}

static void test_write_result(void **state)
{
    const struct futured_bytes data = {(const unsigned char *)"a\0b", 3}, nothing = {NULL, 0};
    char path[] = "/tmp/futured-test-XXXXXX", got[8];
    struct ctl ctl = new_ctl();
    int fd = mkstemp(path);

    assert_int_equal(ctl_write_result(&ctl, data), CTL_OK);
    assert_int_equal(fflush(out.to), 0);
    assert_int_equal(out.n, 3); /* as it is: this is no terminal */
    assert_memory_equal(out.text, "a\0b", 3);
    assert_int_equal(ctl_write_result(&ctl, nothing), CTL_OK);
    assert_int_equal(out.n, 3);

    assert_int_equal(write(fd, "longer", 6), 6); /* what was there goes */
    ctl.options.output = path;
    assert_int_equal(ctl_write_result(&ctl, data), CTL_OK);
    assert_int_equal(pread(fd, got, sizeof got, 0), 3);
    assert_memory_equal(got, "a\0b", 3);
    close(fd);
    unlink(path);
    ctl.options.output = "/nowhere/at/all";
    assert_int_equal(ctl_write_result(&ctl, data), CTL_FAILED);
    written_expect(&err, "futurectl: cannot write /nowhere/at/all: No such file or directory\n");
    ctl.options.output = "/dev/full";
    assert_int_equal(ctl_write_result(&ctl, data), CTL_FAILED);
    written_expect(&err, "futurectl: cannot write /dev/full: No space left on device\n");
}

static void test_until(void **state)
{
    struct ctl ctl = new_ctl();

    assert_int_equal(ctl_until(&ctl), CLOCK_NEVER);
    ctl_limit_call(&ctl, CLOCK_NEVER); /* needs no client */
    ctl.options.timeout = (struct option_span){1, 3600 * NS_PER_S};
    assert_true(ctl_until(&ctl) > clock_mono());
}

/* What does not wait is not asked about; the rest needs a daemon. */
static void test_not_waiting(void **state)
{
    static const enum futured_state states[] = {FUTURED_STATE_RUNNING, FUTURED_STATE_SUCCEEDED,
                                                FUTURED_STATE_FAILED, FUTURED_STATE_CANCELLED};
    struct ctl ctl = new_ctl();

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        ctl_say_waiting(&ctl, &(struct futured_future){.id = "ID", .state = states[i]});
    written_expect(&err, "");
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
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
            TEST(test_complain),     TEST(test_exit_of), TEST(test_outcome),
            TEST(test_write_result), TEST(test_until),   TEST(test_not_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
