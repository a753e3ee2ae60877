// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"
#include "store/check.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/store/sql.h"

struct progress {
    struct fixture *fx;
    uint32_t n_calls, n_written;
    uint32_t write_until; /* one more future after each step, up to so many calls */
    uint32_t stop_at;
};

static void write_one(struct fixture *fx, uint32_t number)
{
    struct sample *s = sample_plain(number);

    fixture_write_one(fx, BATCH_PUT_LIVE, s);
    sample_free(s);
}

static int on_progress(void *user, uint64_t n_done, uint64_t n)
{
    struct progress *p = user;

    assert_true(n_done <= n);
    p->n_calls++;
    if (p->n_calls <= p->write_until)
        write_one(p->fx, 10000 + p->n_written++);
    return p->stop_at && p->n_calls == p->stop_at ? 33 : 0;
}

static void fill(struct fixture *fx, uint32_t n)
{
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = 1; i <= n; i++) {
        struct sample *s = sample_plain(i);

        fixture_put(b, BATCH_PUT_LIVE, s);
        sample_free(s);
    }
    fixture_write(fx, b);
}

static struct backup_config config_of(const struct fixture *fx, struct progress *p, char to[static 90])
{
    snprintf(to, 90, "%s/copy", fx->parent);
    return (struct backup_config){.from = fx->directory,
                                  .to = to,
                                  .vfs = fx->vfs,
                                  .step_pages = 3,
                                  .on_progress = on_progress,
                                  .user = p};
}

/* Start on the copy and count what is there. */
static uint64_t live_in(const struct fixture *fx, const char *directory)
{
    struct fixture copy = *fx;
    uint64_t n;

    snprintf(copy.directory, sizeof copy.directory, "%s", directory);
    fixture_open(&copy);
    n = fixture_counts(&copy).n_live;
    fixture_close(&copy);
    return n;
}

static void assert_sound(const char *directory)
{
    FILE *out = tmpfile();

    assert_non_null(out);
    assert_int_equal(check_store(directory, out), 0);
    fclose(out);
}

static void test_a_copy_is_a_store(void **state)
{
    struct fixture fx;
    struct progress p = {.fx = &fx};
    struct backup_config config;
    struct stat st;
    char to[90];

    fixture_start(&fx);
    fill(&fx, 500);
    config = config_of(&fx, &p, to);
    assert_int_equal(backup_run(&config, &fx.problem), 0);
    assert_true(p.n_calls > 3);
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_sound(to);
    write_one(&fx, 600); /* not in the copy */
    assert_int_equal(live_in(&fx, to), 500);
    assert_sound(to);
    fixture_end(&fx);
}

/* More than SQLite's cache has room for: pages are written before the first one is. */
static void test_a_large_copy(void **state)
{
    struct fixture fx;
    struct progress p = {.fx = &fx};
    struct backup_config config;
    char to[90];

    fixture_start(&fx);
    fill(&fx, 50000);
    config = config_of(&fx, &p, to);
    config.step_pages = 10;
    assert_int_equal(backup_run(&config, &fx.problem), 0);
    assert_true(p.n_calls > 60);
    assert_sound(to);
    assert_int_equal(live_in(&fx, to), 50000);
    fixture_end(&fx);
}

static void test_the_daemon_writes_meanwhile(void **state)
{
    static const uint32_t until[] = {2, 1000000}; /* it ends; it never does */

    for (size_t i = 0; i < ARRAY_LEN(until); i++) {
        struct fixture fx;
        struct progress p = {.fx = &fx, .write_until = until[i]};
        struct backup_config config;
        uint64_t n;
        char to[90];

        fixture_start(&fx);
        fill(&fx, 500);
        config = config_of(&fx, &p, to);
        assert_int_equal(backup_run(&config, &fx.problem), 0);
        assert_sound(to);
        n = live_in(&fx, to);
        assert_true(n >= 500 && n <= 500 + p.n_written);
        assert_true(until[i] > 2 || n == 502);
        assert_int_equal(fixture_counts(&fx).n_live, 500 + p.n_written);
        fixture_end(&fx);
    }
}

static void test_refusals_leave_nothing(void **state)
{
    struct fixture fx;
    struct progress p = {.fx = &fx, .stop_at = 3};
    struct backup_config config;
    char to[90];

    fixture_start(&fx);
    fill(&fx, 500);
    config = config_of(&fx, &p, to);
    assert_int_equal(backup_run(&config, &fx.problem), 33);
    assert_int_equal(access(to, F_OK), -1);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(backup_run(&config, &fx.problem), -EEXIST);
    assert_int_equal(rmdir(to), 0);
    config.from = "/nonexistent";
    assert_int_equal(backup_run(&config, &fx.problem), -ENOENT);
    assert_int_equal(access(to, F_OK), -1);
    fixture_end(&fx);
}

static void test_each_write_fails(void **state)
{
    static const int errors[] = {ENOSPC, EIO};

    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct fault_plan plan = {.what = FAULT_WRITE,
                                  .n_times = UINT64_MAX,
                                  .system_errno = errors[i],
                                  .file = "futures.db"}; /* a full disk may cost the side file */
        int r = -1;

        for (plan.nth = 1; r != 0; plan.nth += 7) {
            struct fixture fx;
            struct progress p = {.fx = &fx};
            struct backup_config config;
            char to[90];

            fixture_init(&fx, FAULT_VFS);
            fixture_open(&fx);
            fill(&fx, 100);
            config = config_of(&fx, &p, to);
            fault_set(&plan);
            r = backup_run(&config, &fx.problem);
            assert_true(r < 0 || !fault_has_hit());
            assert_int_equal(access(to, F_OK), r == 0 ? 0 : -1);
            fault_set(&(struct fault_plan){0});
            write_one(&fx, 600); /* the source does not care */
            fixture_close(&fx);
            fault_reset();
            fixture_end(&fx);
        }
        assert_true(plan.nth > 10);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_copy_is_a_store),
            cmocka_unit_test(test_a_large_copy),
            cmocka_unit_test(test_the_daemon_writes_meanwhile),
            cmocka_unit_test(test_refusals_leave_nothing),
            cmocka_unit_test(test_each_write_fails),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
