// SPDX-License-Identifier: Apache-2.0
/* What the daemon tells of itself, asked of one that does not know the questions; the answers are judged with the real one, in
 * tests/integration/test_cli.py. */
#include "tests/unit/client/fake.h"

#include <futured/client.h>

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)

static void test_workers(void **state)
{
    struct futured_workers *workers = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_list_workers(fake->client, "echo", "w-1", &workers), FUTURED_UNIMPLEMENTED);
    assert_null(workers);
    assert_null(futured_workers_free(NULL));
}

static void test_stats(void **state)
{
    struct futured_stats *stats = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_get_stats(fake->client, "calls", &stats), FUTURED_UNIMPLEMENTED);
    assert_null(stats);
    assert_null(futured_stats_free(NULL));
}

static void test_info(void **state)
{
    struct futured_info *info = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_get_info(fake->client, &info), FUTURED_UNIMPLEMENTED);
    assert_null(info);
    assert_null(futured_info_free(NULL));
}

static void test_reload_and_drain(void **state)
{
    const struct futured_drain_options options = FUTURED_DRAIN_OPTIONS_INIT;
    struct futured_reloaded *reloaded = NULL;
    struct futured_drained *drained = NULL;
    struct fake *fake = *state;

    assert_int_equal(futured_reload(fake->client, 1, &reloaded), FUTURED_UNIMPLEMENTED);
    assert_null(futured_reloaded_free(reloaded));
    assert_int_equal(futured_drain(fake->client, &options, &drained), FUTURED_UNIMPLEMENTED);
    assert_null(futured_drained_free(drained));
    assert_int_equal(futured_resume(fake->client, NULL), FUTURED_UNIMPLEMENTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_FAKE(test_workers), WITH_FAKE(test_stats), WITH_FAKE(test_info),
                                       WITH_FAKE(test_reload_and_drain)};

    return cmocka_run_group_tests_name("client/system", tests, NULL, NULL);
}
