// SPDX-License-Identifier: Apache-2.0
/* The side file: what is written is read again, what is torn or damaged says nothing, and what fails is told. */
#include "store/seqfile.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/fixture.h"

#include <fcntl.h>

/* A side file in an otherwise empty directory. */
struct side {
    struct fixture fx;
    char path[128];
    struct seqfile file;
    struct store_problem problem;
};

static void side_init(struct side *s, const char *vfs)
{
    *s = (struct side){0};
    fixture_init(&s->fx, vfs);
    assert_int_equal(mkdir(s->fx.directory, 0700), 0);
    snprintf(s->path, sizeof s->path, "%s/%s", s->fx.directory, SEQFILE_NAME);
}

static int side_try_open(struct side *s)
{
    /* SQLite takes the mode of a journal from its database */
    int fd = open(s->fx.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    err_close(&fd);
    return seqfile_open(&s->file, s->path, s->fx.vfs, &s->problem);
}

static void side_start(struct side *s)
{
    side_init(s, NULL);
    assert_int_equal(side_try_open(s), 0);
}

static void side_end(struct side *s)
{
    seqfile_close(&s->file);
    fixture_empty(s->fx.parent);
}

static uint64_t side_read(struct side *s)
{
    uint64_t seq = 12345;

    assert_int_equal(seqfile_read(&s->file, &seq, &s->problem), 0);
    return seq;
}

static void side_write(struct side *s, uint64_t seq)
{
    assert_int_equal(seqfile_write(&s->file, seq, &s->problem), 0);
}

/* Put @len bytes in place of the file's content, as whoever damages it does. */
static void side_replace(struct side *s, const void *content, size_t len)
{
    int fd = open(s->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), (ssize_t)len);
    err_close(&fd);
}

static size_t side_content(struct side *s, uint8_t content[static 64])
{
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, content, 64);
    assert_true(n >= 0);
    err_close(&fd);
    return (size_t)n;
}

static void test_a_new_file_says_nothing(void **state)
{
    struct side s;
    struct stat st;

    side_start(&s);
    assert_int_equal(side_read(&s), 0);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* as the database */
    side_end(&s);
}

static void test_the_newest_number_is_read(void **state)
{
    static const uint64_t numbers[] = {1, 255, 256, UINT64_C(0x0102030405060708), UINT64_MAX, 2};
    struct side s;

    side_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        side_write(&s, numbers[i]);
        assert_true(side_read(&s) == numbers[i]);
        seqfile_close(&s.file);
        assert_null(s.file.file);
        assert_int_equal(side_try_open(&s), 0); /* what is there is kept */
        assert_true(side_read(&s) == numbers[i]);
    }
    side_end(&s);
}

/* The bytes, so that no later program reads another number in them. */
static void test_the_content(void **state)
{
    static const uint8_t number[] = {8, 7, 6, 5, 4, 3, 2, 1};
    uint8_t content[64];
    struct side s;

    side_start(&s);
    side_write(&s, UINT64_C(0x0102030405060708));
    assert_int_equal(side_content(&s, content), 12);
    assert_memory_equal(content, number, sizeof number);
    side_write(&s, 0x5d); /* CRC32C of eight zeros is another: an empty block is no number */
    side_replace(&s, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    assert_int_equal(side_read(&s), 0);
    side_end(&s);
}

static void test_torn_and_damaged_files_say_nothing(void **state)
{
    uint8_t content[64], damaged[64];
    struct side s;

    side_start(&s);
    side_write(&s, 0x1234567890);
    assert_int_equal(side_content(&s, content), 12);
    for (size_t len = 0; len < 12; len++) {
        side_replace(&s, content, len);
        assert_int_equal(side_read(&s), 0);
    }
    for (size_t bit = 0; bit < 12 * 8; bit++) {
        memcpy(damaged, content, 12);
        damaged[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        side_replace(&s, damaged, 12);
        assert_int_equal(side_read(&s), 0);
    }
    side_replace(&s, content, 12);
    assert_true(side_read(&s) == 0x1234567890);
    side_end(&s);
}

static void test_close_is_for_any_file(void **state)
{
    struct seqfile f = {0};

    seqfile_close(&f);
    assert_null(f.file);
}

static void test_a_file_that_cannot_be_opened(void **state)
{
    struct side s;

    side_init(&s, NULL);
    assert_int_equal(mkdir(s.path, 0700), 0);
    assert_int_equal(side_try_open(&s), STORE_E_ROLLED_BACK); /* it may be better the next time */
    assert_non_null(strstr(s.problem.text, SEQFILE_NAME));
    assert_null(s.file.file);
    side_end(&s);
}

static void test_without_memory(void **state)
{
    struct side s;

    side_init(&s, NULL);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = side_try_open(&s);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(s.file.file == NULL, r != 0);
        seqfile_close(&s.file);
    }
    side_end(&s);
}

/* --- a disk that fails */

static void test_what_fails_is_told(void **state)
{
    struct side s;
    uint64_t seq = 12345;

    side_init(&s, FAULT_VFS);
    fault_set(&(struct fault_plan){.what = FAULT_OPEN, .nth = 1, .n_times = 1, .system_errno = EMFILE});
    assert_int_equal(side_try_open(&s), STORE_E_ROLLED_BACK);
    assert_int_equal(side_try_open(&s), 0);
    fault_set(&(struct fault_plan){.what = FAULT_WRITE, .nth = 2, .n_times = 1, .system_errno = EIO});
    side_write(&s, 7);
    assert_int_equal(seqfile_write(&s.file, 8, &s.problem), STORE_E_POISONED);
    assert_non_null(strstr(s.problem.text, "written"));
    fault_set(&(struct fault_plan){.what = FAULT_READ, .nth = 1, .n_times = 1, .system_errno = EIO});
    assert_int_equal(seqfile_read(&s.file, &seq, &s.problem), STORE_E_POISONED);
    assert_non_null(strstr(s.problem.text, "read"));
    assert_int_equal(seq, 12345);
    assert_int_equal(side_read(&s), 7);
    seqfile_close(&s.file);
    fault_reset();
    side_end(&s);
}

static void test_a_full_disk_is_no_failure(void **state)
{
    struct side s;

    side_init(&s, FAULT_VFS);
    assert_int_equal(side_try_open(&s), 0);
    side_write(&s, 7);
    fault_set(&(struct fault_plan){.what = FAULT_WRITE, .nth = 1, .n_times = 1, .system_errno = ENOSPC});
    side_write(&s, 8);
    assert_true(fault_has_hit());
    assert_int_equal(side_read(&s), 7);
    side_write(&s, 9);
    assert_int_equal(side_read(&s), 9);
    seqfile_close(&s.file);
    fault_reset();
    side_end(&s);
}

/* It is written without a sync: the commit has been synced, and a number that is lost says nothing. */
static void test_it_is_never_synced(void **state)
{
    struct side s;

    side_init(&s, FAULT_VFS);
    assert_int_equal(side_try_open(&s), 0);
    fault_set(&(struct fault_plan){.what = FAULT_SYNC});
    for (uint64_t i = 1; i < 10; i++)
        side_write(&s, i);
    assert_int_equal(fault_count(), 0);
    seqfile_close(&s.file);
    assert_int_equal(fault_count(), 0);
    fault_reset();
    side_end(&s);
}

/* --- a store that is not open */

static void test_peek(void **state)
{
    static const char torn[] = "torn";
    uint64_t seq = 12345;
    struct side s;

    side_init(&s, NULL);
    assert_int_equal(seqfile_peek(s.path, &seq), 0); /* there is none */
    assert_int_equal(seq, 0);
    assert_int_equal(side_try_open(&s), 0);
    side_write(&s, UINT64_C(0x0102030405060708));
    seqfile_close(&s.file);
    assert_int_equal(seqfile_peek(s.path, &seq), 0);
    assert_true(seq == UINT64_C(0x0102030405060708));
    side_replace(&s, torn, sizeof torn);
    assert_int_equal(seqfile_peek(s.path, &seq), 0);
    assert_int_equal(seq, 0);
    assert_int_equal(seqfile_peek(s.fx.directory, &seq), -EISDIR);
    snprintf(s.path, sizeof s.path, "%s/x", s.fx.path); /* below a file */
    assert_int_equal(seqfile_peek(s.path, &seq), -ENOTDIR);
    side_end(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_new_file_says_nothing),
            cmocka_unit_test(test_the_newest_number_is_read),
            cmocka_unit_test(test_the_content),
            cmocka_unit_test(test_torn_and_damaged_files_say_nothing),
            cmocka_unit_test(test_close_is_for_any_file),
            cmocka_unit_test(test_a_file_that_cannot_be_opened),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_what_fails_is_told),
            cmocka_unit_test(test_a_full_disk_is_no_failure),
            cmocka_unit_test(test_it_is_never_synced),
            cmocka_unit_test(test_peek),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
