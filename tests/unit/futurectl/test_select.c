// SPDX-License-Identifier: Apache-2.0
/* What needs no daemon; IDs that are cut short are looked up in tests/integration/test_cli.py. */
#include "client/futurectl/commands.h"
#include "client/futurectl/select.h"
#include "tests/unit/futurectl/written.h"

static void test_bounds(void **state)
{
    static const struct {
        const char *prefix, *least, *greatest;
    } cases[] = {
            {"01a2", "01a20000-0000-7000-8000-000000000000", "01a2ffff-ffff-7fff-bfff-ffffffffffff"},
            {"01A20680-", "01a20680-0000-7000-8000-000000000000", "01a20680-ffff-7fff-bfff-ffffffffffff"},
            {"01a20680-6131-7", "01a20680-6131-7000-8000-000000000000",
             "01a20680-6131-7fff-bfff-ffffffffffff"},
            {"01a20680-6131-7000-9", "01a20680-6131-7000-9000-000000000000",
             "01a20680-6131-7000-9fff-ffffffffffff"},
            {"01a20680-6131-7000-97ed-92cd206d097", "01a20680-6131-7000-97ed-92cd206d0970",
             "01a20680-6131-7000-97ed-92cd206d097f"},
    };
    static const char *const none[] = {"",
                                       "01a",
                                       "nonsense",
                                       "01a20680-6131-4",
                                       "01a20680-6131-7000-c",
                                       "01a206806",
                                       "0-a2",
                                       "01a20680-6131-7000-97ed-92cd206d097c",
                                       "01a20680-6131-7000-97ed-92cd206d097cx"};
    char least[ID_TEXT_LEN + 1], greatest[ID_TEXT_LEN + 1];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(select_bounds(cases[i].prefix, least, greatest), 0);
        assert_string_equal(least, cases[i].least);
        assert_string_equal(greatest, cases[i].greatest);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(select_bounds(none[i], least, greatest), SELECT_E_NO_PREFIX);
}

static struct written err;
static char whole[] = "01a20680-6131-7000-97ed-92cd206d097c", nonsense[] = "nonsense",
            *words[] = {whole, nonsense};

static void test_selection(void **state)
{
    struct ctl ctl = {.err = err.to, .options.command = &commands[0]};
    struct selection s;

    assert_int_equal(select_init(&ctl, "*", &s), CTL_OK);
    assert_string_equal(s.selector.filter, "*");
    assert_true(!s.selector.ids && !s.selector.group);
    select_deinit(&s);
    ctl.options.filter = "state=FAILED";
    assert_int_equal(select_init(&ctl, "*", &s), CTL_OK);
    assert_string_equal(s.selector.filter, "state=FAILED");
    select_deinit(&s);
    ctl.options.filter = NULL;
    ctl.options.group = "g";
    assert_int_equal(select_init(&ctl, NULL, &s), CTL_OK);
    assert_string_equal(s.selector.group, "g");
    assert_null(s.selector.filter);
    select_deinit(&s);
    ctl.options.group = NULL;
    ctl.options.arguments = words;
    ctl.options.n_arguments = 2;
    assert_int_equal(select_init(&ctl, NULL, &s), CTL_OK); /* what is no ID is the daemon's to refuse */
    assert_int_equal(s.selector.n_ids, 2);
    assert_string_equal(s.selector.ids[0], whole);
    assert_string_equal(s.selector.ids[1], nonsense);
    assert_null(s.selector.filter);
    select_deinit(&s);
    written_expect(&err, "");
}

static void test_refused(void **state)
{
    struct ctl ctl = {.err = err.to, .options.command = &commands[0]};
    struct selection s;

    assert_int_equal(select_init(&ctl, NULL, &s), CTL_USAGE);
    select_deinit(&s);
    written_expect(&err, "futurectl: submit needs IDs, --group or --filter\n");
    ctl.options.group = "g";
    ctl.options.filter = "*";
    assert_int_equal(select_init(&ctl, NULL, &s), CTL_USAGE);
    select_deinit(&s);
    written_expect(&err, "futurectl: --group and --filter: give one of them\n");
    ctl.options.arguments = words;
    ctl.options.n_arguments = 1;
    assert_int_equal(select_init(&ctl, "*", &s), CTL_USAGE);
    select_deinit(&s);
    written_expect(&err, "futurectl: IDs and --group and --filter: give one of them\n");
    ctl.options.group = NULL;
    assert_int_equal(select_init(&ctl, "*", &s), CTL_USAGE);
    select_deinit(&s);
    written_expect(&err, "futurectl: IDs and --filter: give one of them\n");
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
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_bounds), TEST(test_selection), TEST(test_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
