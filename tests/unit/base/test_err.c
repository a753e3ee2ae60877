// SPDX-License-Identifier: Apache-2.0
/* ASSERT aborts and says what and where; the small macros evaluate their arguments once; fds are closed once.
 */
#include "base/err.h"
#include "tests/support/testing.h"

#include <fcntl.h>

static void assert_small(void *arg)
{
    int x = *(int *)arg;

    ASSERT(x < 3 && "small");
}

static void test_assert(void **state)
{
    int small = 2, large = 3;
    char where[64];

    assert_small(&small);
    test_aborts(assert_small, &large, "assertion failed: x < 3 && \"small\" (");
    test_aborts(assert_small, &large, "test_err.c:");
    snprintf(where, sizeof where, ", assert_small)\n");
    test_aborts(assert_small, &large, where);
}

static void test_assert_evaluates_once(void **state)
{
    int n = 0;

    ASSERT(++n == 1);
    assert_int_equal(n, 1);
}

static void note(int **p)
{
    ++**p;
}

static void test_cleanup(void **state)
{
    int n = 0;

    for (int i = 0; i < 3; i++) {
        CLEANUP(note) int *counter = &n;

        assert_int_equal(*counter, i);
    }
    assert_int_equal(n, 3);
}

static void test_take_ptr(void **state)
{
    int x, *p = &x, *pointers[2] = {&x, &x}, i = 0;

    assert_ptr_equal(TAKE_PTR(p), &x);
    assert_null(p);
    assert_null(TAKE_PTR(p));
    assert_ptr_equal(TAKE_PTR(pointers[i]), &x);
    assert_null(pointers[0]);
    assert_ptr_equal(pointers[1], &x);
}

struct outer {
    char before;
    int member;
};

static void test_container_of(void **state)
{
    struct outer o = {0};
    int *p = &o.member;

    assert_ptr_equal(CONTAINER_OF(p, struct outer, member), &o);
    assert_ptr_equal(CONTAINER_OF(&o.before, struct outer, before), &o);
}

static void test_min_max(void **state)
{
    int a = 1, b = 2;

    assert_int_equal(MIN(a++, b++), 1);
    assert_int_equal(a, 2);
    assert_int_equal(b, 3);
    assert_int_equal(MAX(a++, b++), 3);
    assert_int_equal(a, 3);
    assert_int_equal(b, 4);
    assert_int_equal(MIN(-1, 0), -1);
    assert_int_equal(MAX(-1, 0), 0);
    assert_true(MIN(SIZE_MAX, SIZE_MAX - 1) == SIZE_MAX - 1);
    assert_true(MAX(INT64_MIN, INT64_MAX) == INT64_MAX);
    assert_int_equal(ARRAY_LEN(((int[7]){0})), 7);
}

static void test_close(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;

    assert_true(fd >= 0);
    err_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    assert_int_equal(errno, EBADF);

    /* a second time closes nobody else's fd, though the number is in use again */
    copy = open("/dev/null", O_RDONLY | O_CLOEXEC);
    err_close(&fd);
    assert_int_equal(fd, -1);
    assert_true(fcntl(copy, F_GETFD) >= 0);
    err_close(&copy);

    fd = -7;
    err_close(&fd);
    assert_int_equal(fd, -1);
}

static void test_close_zero(void **state)
{
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 3), fd = 0;

    assert_true(saved > 0);
    err_close(&fd); /* 0 is an fd like any other */
    assert_int_equal(fcntl(0, F_GETFD), -1);
    assert_int_equal(dup2(saved, 0), 0);
    err_close(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_assert),       cmocka_unit_test(test_assert_evaluates_once),
            cmocka_unit_test(test_cleanup),      cmocka_unit_test(test_take_ptr),
            cmocka_unit_test(test_container_of), cmocka_unit_test(test_min_max),
            cmocka_unit_test(test_close),        cmocka_unit_test(test_close_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
