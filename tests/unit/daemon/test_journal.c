// SPDX-License-Identifier: Apache-2.0
/* Log lines as the journal takes them: names, values, what is cut; and when standard error is the journal. */
#include "daemon/journal.h"
#include "tests/support/testing.h"

#include <fcntl.h>

#include <sys/stat.h>

static void assert_field(const struct journal_line *line, size_t i, const char *expect)
{
    assert_true(i < line->n);
    assert_int_equal(line->iov[i].iov_len, strlen(expect));
    assert_memory_equal(line->iov[i].iov_base, expect, strlen(expect));
}

static void test_fields(void **state)
{
    const struct log_field fields[] = {LOG_STR("peer", "a b"), LOG_NUM("bytes_in", -7), LOG_ERRNO(-2)};
    struct journal_line line;

    journal_format(&line, LOG_WARNING, "connection_closed", fields, ARRAY_LEN(fields));
    assert_int_equal(line.n, 7);
    assert_field(&line, 0,
                 "MESSAGE=connection_closed peer=\"a b\" bytes_in=-7 error=\"No such file or directory\"");
    assert_field(&line, 1, "PRIORITY=4");
    assert_field(&line, 2, "MESSAGE_ID=3a74ee56b7617070fb3ecdbf15205ea5");
    assert_field(&line, 3, "FUTURED_EVENT=connection_closed");
    assert_field(&line, 4, "FUTURED_PEER=a b");
    assert_field(&line, 5, "FUTURED_BYTES_IN=-7");
    assert_field(&line, 6, "FUTURED_ERROR=No such file or directory");
    journal_format(&line, LOG_INFO, "x", NULL, 0);
    assert_int_equal(line.n, 4);
    assert_field(&line, 0, "MESSAGE=x");
}

static void test_known_names(void **state)
{
    const struct log_field fields[] = {LOG_STR("id", "0198"), LOG_STR("function", "sha256"),
                                       LOG_NUM("worker", 3), LOG_STR("functions", "2")};
    struct journal_line line;

    journal_format(&line, LOG_INFO, "x", fields, ARRAY_LEN(fields));
    assert_field(&line, 4, "FUTURE_ID=0198");
    assert_field(&line, 5, "FUNCTION=sha256");
    assert_field(&line, 6, "WORKER=3");
    assert_field(&line, 7, "FUTURED_FUNCTIONS=2");
}

static void test_too_long_is_cut(void **state)
{
    struct log_field fields[LOG_FIELDS_MAX + 10];
    struct journal_line line;
    char text[2 * JOURNAL_FIELD_BYTES];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        fields[i] = LOG_STR("a_very_long_key_that_nobody_would_ever_write_but_who_knows", text);
    journal_format(&line, LOG_INFO, text, fields, ARRAY_LEN(fields));
    assert_int_equal(line.n, JOURNAL_FIELDS_MAX);
    assert_in_range(line.iov[0].iov_len, JOURNAL_MESSAGE_BYTES - 100, JOURNAL_MESSAGE_BYTES - 1);
    for (size_t i = 3; i < line.n; i++)
        assert_int_equal(line.iov[i].iov_len, JOURNAL_FIELD_BYTES - 1);
    assert_memory_equal(line.iov[4].iov_base,
                        "FUTURED_A_VERY_LONG_KEY_THAT_NOBODY_WOULD_EVER_WRITE_BUT_W=xxx", 62);
}

static void test_is_stderr(void **state)
{
    struct stat st;
    char text[100];

    unsetenv("JOURNAL_STREAM");
    assert_false(journal_is_stderr());
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
    setenv("JOURNAL_STREAM", text, 1);
    assert_true(journal_is_stderr());
    snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino + 1);
    setenv("JOURNAL_STREAM", text, 1);
    assert_false(journal_is_stderr());
    setenv("JOURNAL_STREAM", "nonsense", 1);
    assert_false(journal_is_stderr());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fields),
            cmocka_unit_test(test_known_names),
            cmocka_unit_test(test_too_long_is_cut),
            cmocka_unit_test(test_is_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
