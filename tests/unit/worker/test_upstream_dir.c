// SPDX-License-Identifier: Apache-2.0
/* The files that a command finds, and that nothing of them stays. */
#include "base/mem.h"
#include "tests/support/testing.h"
#include "worker/upstream_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

static struct upstream_list *two(void)
{
    struct upstream_list *list = mem_zalloc(sizeof *list + 2 * sizeof list->at[0]);

    assert_non_null(list);
    list->n = 2;
    list->at[0].is_result = 1;
    list->at[0].data = SPAN_LIT("data");
    list->at[1].error.reason = SPAN_LIT("CANCELLED");
    list->at[1].error.message = SPAN_LIT("enough");
    return list;
}

static void expect_file(const char *dir, const char *name, const char *text)
{
    char path[UPSTREAM_DIR_BYTES + 16], got[64] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, sizeof got - 1, file), strlen(text));
    assert_string_equal(got, text);
    fclose(file);
}

static void test_files(void **state)
{
    struct upstream_list *list = two();
    char path[UPSTREAM_DIR_BYTES];
    struct stat st;

    assert_int_equal(upstream_dir_make(list, path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    expect_file(path, "0", "data");
    expect_file(path, "1.error", "CANCELLED: enough\n");
    upstream_dir_remove(path);
    assert_int_equal(stat(path, &st), -1);
    mem_free(list);
}

/* Whatever the command has made of it; what a link points at stays. */
static void test_tree(void **state)
{
    char outside[] = "/tmp/futured-test-XXXXXX", path[UPSTREAM_DIR_BYTES];
    struct upstream_list *list = two();
    struct stat st;
    int dir, fd;

    assert_non_null(mkdtemp(outside));
    assert_int_equal(upstream_dir_make(list, path), 0);
    dir = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkdirat(dir, "a", 0700), 0);
    assert_int_equal(mkdirat(dir, "a/b", 0700), 0);
    fd = openat(dir, "a/b/file", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlinkat(outside, dir, "a/link"), 0);
    assert_int_equal(fchmodat(dir, "a/b", 0, 0), 0);
    close(dir);
    upstream_dir_remove(path);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(rmdir(outside), 0);
    mem_free(list);
}

/* A worker that is gone has left one, one that lives has another. */
static void test_stale(void **state)
{
    char tmp[] = "/tmp/futured-test-XXXXXX", stale[UPSTREAM_DIR_BYTES], path[UPSTREAM_DIR_BYTES];
    struct upstream_list *list = two();
    struct stat st;
    pid_t pid;

    assert_non_null(mkdtemp(tmp));
    setenv("TMPDIR", tmp, 1);
    pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    snprintf(stale, sizeof stale, "%s/futured-upstream-%d-abcdef", tmp, (int)pid);
    assert_int_equal(mkdir(stale, 0700), 0);
    assert_int_equal(upstream_dir_make(list, path), 0);
    upstream_dir_remove_stale();
    assert_int_equal(stat(stale, &st), -1);
    assert_int_equal(stat(path, &st), 0);
    upstream_dir_remove(path);
    assert_int_equal(rmdir(tmp), 0);
    unsetenv("TMPDIR");
    mem_free(list);
}

static void test_nowhere(void **state)
{
    struct upstream_list *list = two();
    char path[UPSTREAM_DIR_BYTES], longer[UPSTREAM_DIR_BYTES + 1];

    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    setenv("TMPDIR", "/nowhere", 1);
    assert_int_equal(upstream_dir_make(list, path), -ENOENT);
    assert_string_equal(path, "");
    upstream_dir_remove_stale();
    setenv("TMPDIR", longer, 1);
    assert_int_equal(upstream_dir_make(list, path), -ENAMETOOLONG);
    unsetenv("TMPDIR");
    upstream_dir_remove("/nowhere");
    mem_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_files),
            cmocka_unit_test(test_tree),
            cmocka_unit_test(test_stale),
            cmocka_unit_test(test_nowhere),
    };

    unsetenv("TMPDIR");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
