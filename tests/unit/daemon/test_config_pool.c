// SPDX-License-Identifier: Apache-2.0
/* The size of the pool, as the configuration says it. */
#include "daemon/config.h"
#include "tests/support/testing.h"

static char path[] = "/tmp/futured-config-pool-XXXXXX";

static int load(const char *text, struct config **ret, struct buf *errors)
{
    static char config[] = "--config", store[] = "--store", none[] = "none";
    static char *const args[] = {config, path, store, none};
    FILE *file = fopen(path, "w");

    ASSERT(file && fputs("[futured]\nlisten = unix:/run/a.sock\n[pool]\n", file) >= 0);
    ASSERT(fputs(text, file) >= 0 && fclose(file) == 0);
    return config_load(ret, ARRAY_LEN(args), args, errors);
}

static void assert_pool(uint32_t min, uint32_t max, const char *text)
{
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    uint32_t got[2];
    struct config *c;

    assert_int_equal(load(text, &c, &errors), 0);
    config_pool_size(c, &got[0], &got[1]);
    assert_int_equal(got[0], min);
    assert_int_equal(got[1], max);
    config_free(c);
}

static void assert_refused(const char *text, const char *why)
{
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    struct config *c = NULL;

    assert_int_equal(load(text, &c, &errors), CONFIG_E_INVALID);
    assert_null(c);
    assert_int_equal(buf_append(&errors, "", 1), 0);
    assert_string_equal((const char *)buf_head(&errors), why);
}

static void test_of_both(void **state)
{
    assert_pool(0, 0, "workers = 0\n");
    assert_pool(3, 3, "workers = 3\n");
    assert_pool(1, 3, "workers = 3\nmin = 1\n");
    assert_pool(3, 9, "workers = 3\nmax = 9\n");
    assert_pool(2, 2, "workers = 3\nmax = 2\n");
    assert_pool(5, 5, "workers = 3\nmin = 5\n");
    assert_pool(4, 9, "workers = 3\nmin = 4\nmax = 9\nidle = 1ms\n");
}

static void test_of_no_sense(void **state)
{
    assert_refused("workers = 0\nmax = 2\n",
                   "[pool] workers: 0 is no pool at all, and then `max` must not be given\n");
    assert_refused("workers = 0\nmin = 2\n",
                   "[pool] workers: 0 is no pool at all, and then `min` must not be given\n");
    assert_refused("min = 3\nmax = 2\n", "[pool] min: 3 is more than `max`, which is 2\n");
    assert_refused("workers = 2\nmax = 65\nthreads = 64\n",
                   "[pool] threads: 65 processes of 64 threads are 4160; at most 4096 are allowed in all: "
                   "have fewer "
                   "`workers`, or a smaller `max`\n");
}

static void test_threads(void **state)
{
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    char why[512];
    struct config *c;

    assert_int_equal(load("workers = 64\nthreads = 64\nnice = -20\n", &c, &errors), 0);
    assert_int_equal(c->threads, 64);
    assert_int_equal(c->nice, -20);
    config_free(c);
    snprintf(why, sizeof why,
             "%s:4: [pool] threads: \"0\": a whole number from 1 to 64 is allowed\n"
             "%s:5: [pool] nice: \"20\": a whole number from -20 to 19 is allowed\n",
             path, path);
    assert_refused("threads = 0\nnice = 20\n", why);
    snprintf(why, sizeof why,
             "%s:4: [pool] threads: \"65\": a whole number from 1 to 64 is allowed\n"
             "%s:5: [pool] nice: \"-21\": a whole number from -20 to 19 is allowed\n",
             path, path);
    assert_refused("threads = 65\nnice = -21\n", why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_of_both),
            cmocka_unit_test(test_of_no_sense),
            cmocka_unit_test(test_threads),
    };
    int fd = mkstemp(path), r;

    ASSERT(fd >= 0 && close(fd) == 0);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
