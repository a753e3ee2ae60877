// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/top_page.h"
#include "tests/support/testing.h"

static const struct top_about about = {.address = "unix:/s",
                                       .version = "1.2",
                                       .store = "none",
                                       .now = 100 * NS_PER_S,
                                       .start = 35 * NS_PER_S};
static struct top_page page; /* large */

static void fill(struct top_model *m)
{
    top_model_init(m);
    for (int i = 0; i < 2; i++) {
        const struct futured_function a = {.name = "alpha",
                                           .succeeded = (uint64_t)(i * 50),
                                           .mean_run_ns = 1500000,
                                           .n_workers = 2},
                                      b = {.name = "beta",
                                           .pending = 3,
                                           .running = 1,
                                           .mean_run_ns = FUTURED_NO_SPAN,
                                           .is_paused = 1};

        top_model_begin(m, i * NS_PER_S);
        assert_int_equal(top_model_function(m, &a), 0);
        assert_int_equal(top_model_function(m, &b), 0);
        top_model_end(m);
    }
    m->running = (struct top_list){
            .n = 1,
            .futures = {{.id = "01a2", .function = "beta", .text = "n=1\n", .time_ns = 98 * NS_PER_S}}};
    m->failed = (struct top_list){.n = 2,
                                  .futures = {{.id = "01a1",
                                               .function = "alpha",
                                               .text = "CRASHED",
                                               .time_ns = 90 * NS_PER_S,
                                               .is_failed = 1},
                                              {.id = "01a0",
                                               .function = "alpha",
                                               .text = "TIMEOUT",
                                               .time_ns = 10 * NS_PER_S,
                                               .is_failed = 1}}};
}

/* The lines of the page, each behind the number of its style. */
static void shows(const char *expect)
{
    static char text[TOP_LINES * 100];
    size_t n = 0;

    for (size_t i = 0; i < page.n; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%d%s\n", (int)page.lines[i].style,
                              page.lines[i].text);
    assert_string_equal(text, expect);
}

static void test_page(void **state)
{
    struct top_ui ui = {.selected = "01a1"};
    struct top_model m;

    fill(&m);
    top_page_make(&page, &m, &ui, &about, 120, 0);
    shows("0futured 1.2 at unix:/s, store none, up 1 m 5 s\n"
          "0pending 3  running 1  done 50.0/s  failed 0/s  workers 0 with 0 slots, 0 crashed\n"
          "1FUNCTION   PENDING   RUNNING    DONE/S  FAILED/S   SUCCEEDED    FAILED  MEAN RUN  WORKERS\n"
          "0alpha            0         0      50.0         0          50         0  1.5 ms          2\n"
          "2beta             3         1         0         0           0         0                  0  "
          "PAUSED\n"
          "0\n"
          "1RUNNING LONGEST                       FUNCTION          FOR        LABELS\n"
          "001a2                                  beta              2 s        n=1\\n\n"
          "0\n"
          "1FAILED LAST                           FUNCTION          AGO        WHY\n"
          "401a1                                  alpha             10 s       CRASHED\n"
          "001a0                                  alpha             1 m 30 s   TIMEOUT\n");
    top_model_deinit(&m);
}

/* On a screen every line is there once, the last one names the keys, and nothing is wider or longer. */
static void test_sizes(void **state)
{
    struct top_ui ui = {0};
    struct top_model m;

    fill(&m);
    for (size_t height = 1; height < 40; height++) {
        for (size_t width = 1; width < 130; width += 7) {
            top_page_make(&page, &m, &ui, &about, width, height);
            assert_int_equal(page.n, height);
            for (size_t i = 0; i < page.n; i++)
                assert_true(strlen(page.lines[i].text) <= width);
            assert_memory_equal(page.lines[height - 1].text, "q quit", MIN(width, (size_t)6));
        }
    }
    top_page_make(&page, &m, &ui, &about, 120, 12);
    shows("0futured 1.2 at unix:/s, store none, up 1 m 5 s\n"
          "0pending 3  running 1  done 50.0/s  failed 0/s  workers 0 with 0 slots, 0 crashed\n"
          "1FUNCTION   PENDING   RUNNING    DONE/S  FAILED/S   SUCCEEDED    FAILED  MEAN RUN  WORKERS\n"
          "0alpha            0         0      50.0         0          50         0  1.5 ms          2\n"
          "0\n"
          "1RUNNING LONGEST                       FUNCTION          FOR        LABELS\n"
          "001a2                                  beta              2 s        n=1\\n\n"
          "0\n"
          "1FAILED LAST                           FUNCTION          AGO        WHY\n"
          "001a1                                  alpha             10 s       CRASHED\n"
          "001a0                                  alpha             1 m 30 s   TIMEOUT\n"
          "3q quit  h help  / filter  s sort  up, down select  c cancel  r retry  (by rate)\n");
    top_model_deinit(&m);
}

static void test_no_daemon(void **state)
{
    const struct top_about nobody = {.address = "unix:/s", .version = ""};
    struct top_ui ui = {.said = "cannot connect"};
    struct top_model m;

    top_model_init(&m);
    top_page_make(&page, &m, &ui, &nobody, 80, 3);
    shows("0unix:/s\n0\n2cannot connect\n");
    top_model_deinit(&m);
}

static void test_select(void **state)
{
    struct top_ui ui = {0};
    struct top_model m;

    fill(&m);
    assert_int_equal(top_page_key(&ui, &m, 'c'), TOP_DRAW);
    assert_string_equal(ui.said, "select a future first, with up and down");
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_DOWN), TOP_DRAW);
    assert_string_equal(ui.said, "");
    assert_string_equal(ui.selected, "01a2");
    assert_int_equal(top_page_key(&ui, &m, 'c'), TOP_CANCEL);
    assert_int_equal(top_page_key(&ui, &m, 'r'), TOP_DRAW);
    assert_string_equal(ui.said, "it has not failed");
    assert_int_equal(top_page_key(&ui, &m, 'j'), TOP_DRAW);
    assert_int_equal(top_page_key(&ui, &m, 'j'), TOP_DRAW);
    assert_int_equal(top_page_key(&ui, &m, 'j'), TOP_DRAW); /* the last one stays */
    assert_string_equal(ui.selected, "01a0");
    assert_int_equal(top_page_key(&ui, &m, 'r'), TOP_RETRY);
    assert_int_equal(top_page_key(&ui, &m, 'c'), TOP_DRAW);
    assert_string_equal(ui.said, "it does not run any more");
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_UP), TOP_DRAW);
    assert_string_equal(ui.selected, "01a1");
    m.failed.n = 0; /* it has gone */
    assert_int_equal(top_page_key(&ui, &m, 'r'), TOP_DRAW);
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_UP), TOP_DRAW);
    assert_string_equal(ui.selected, "01a2");
    top_model_deinit(&m);
}

static void test_keys(void **state)
{
    struct top_ui ui = {0};
    struct top_model m;

    fill(&m);
    assert_int_equal(top_page_key(&ui, &m, 'x'), TOP_NOTHING);
    assert_int_equal(top_page_key(&ui, &m, 's'), TOP_DRAW);
    assert_int_equal(ui.sort, TOP_BY_PENDING);
    for (int i = 0; i < 2; i++)
        assert_int_equal(top_page_key(&ui, &m, 'S'), TOP_DRAW);
    assert_int_equal(ui.sort, TOP_BY_NAME);
    assert_int_equal(top_page_key(&ui, &m, '/'), TOP_DRAW);
    for (const char *c = "betq"; *c; c++)
        assert_int_equal(top_page_key(&ui, &m, *c), TOP_DRAW);
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_BACKSPACE), TOP_DRAW);
    top_page_make(&page, &m, &ui, &about, 100, 8);
    assert_string_equal(page.lines[7].text, "filter: bet_");
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_ENTER), TOP_DRAW);
    top_page_make(&page, &m, &ui, &about, 100, 12);
    assert_string_equal(page.lines[11].text, "filter: bet (Escape ends it)  sorted by name");
    assert_memory_equal(page.lines[3].text, "beta", 4);
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_DOWN), TOP_DRAW);
    assert_string_equal(ui.selected, "01a2"); /* of what is shown */
    assert_int_equal(top_page_key(&ui, &m, TOP_KEY_ESCAPE), TOP_DRAW);
    assert_string_equal(ui.filter, "");
    assert_int_equal(top_page_key(&ui, &m, 'h'), TOP_DRAW);
    top_page_make(&page, &m, &ui, &about, 100, 20);
    assert_string_equal(page.lines[3].text, "q          quit");
    assert_int_equal(top_page_key(&ui, &m, 'x'), TOP_DRAW);
    assert_false(ui.shows_help);
    assert_int_equal(top_page_key(&ui, &m, 'q'), TOP_QUIT);
    top_model_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_page),   cmocka_unit_test(test_sizes), cmocka_unit_test(test_no_daemon),
            cmocka_unit_test(test_select), cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
