// SPDX-License-Identifier: Apache-2.0
/* A configuration in the place of another: all parts prepare before one applies, and what is wrong changes nothing. */
#include "base/log.h"
#include "daemon/reloader.h"
#include "tests/support/testing.h"

#include <fcntl.h>

static char path[64], done[256];

struct part {
    struct reloader_part part;
    const char *name;
    int result; /* of its prepare */
};

static void note(const struct part *p, const char *what)
{
    size_t n = strlen(done);

    snprintf(done + n, sizeof done - n, "%s%s ", what, p->name);
}

static int on_prepare(void *arg, const struct config *next, struct buf *wrong)
{
    const struct part *p = arg;

    note(p, "?");
    if (p->result > 0 && buf_append(wrong, "no\nand no\n", 10) < 0)
        return -ENOMEM;
    return p->result;
}

static void on_apply(void *arg, const struct config *next)
{
    note(arg, "!");
}

static void on_abandon(void *arg)
{
    note(arg, "-");
}

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* One run over parts a, b, c; their results; what must come of it, and who must have been asked what. */
static void run(struct reloader *r, struct part parts[static 3], int is_dry, int expect, const char *what,
                struct reload_report *ret)
{
    done[0] = '\0';
    *ret = (struct reload_report){0};
    assert_int_equal(reloader_run(r, is_dry, SPAN_LIT("who"), ret), expect);
    assert_string_equal(done, what);
}

static void test_reload(void **state)
{
    char option[] = "--config", listen[] = "--listen=127.0.0.1:1", store[] = "--store=none";
    char *arguments[] = {option, path, listen, store, NULL};
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    struct part parts[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct reload_report report;
    struct config *first;
    struct reloader r;

    write_file("[pool]\nworkers = 1\n");
    assert_int_equal(config_load(&first, 4, arguments, &errors), 0);
    reloader_init(&r, first);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i].part = (struct reloader_part){
                .prepare = on_prepare, .apply = on_apply, .abandon = on_abandon, .arg = &parts[i]};
        reloader_add(&r, &parts[i].part);
    }
    run(&r, parts, 0, 0, "?a ?b ?c !a !b !c ", &report);
    assert_null(reload_text_next(&report.changed, NULL));
    reload_report_deinit(&report);

    write_file("[pool]\nworkers = 2\n[store]\ncache = 1M\n");
    run(&r, parts, 1, 0, "?a ?b ?c -a -b -c ", &report);
    assert_string_equal(reload_text_next(&report.changed, NULL), "pool.workers");
    assert_string_equal(reload_text_next(&report.needs_restart, NULL), "store.cache");
    reload_report_deinit(&report);
    assert_int_equal(r.config->workers, 1);
    run(&r, parts, 0, 0, "?a ?b ?c !a !b !c ", &report);
    reload_report_deinit(&report);
    assert_int_equal(r.config->workers, 2);
    assert_int_equal(r.config->cache_bytes, first->cache_bytes);

    write_file("[pool]\nworkers = 3\n"); /* one refuses: nothing changes */
    parts[1].result = 1;
    run(&r, parts, 0, RELOAD_E_WRONG, "?a ?b -a ", &report);
    assert_string_equal(reload_text_next(&report.wrong, NULL), "no");
    assert_string_equal(reload_text_next(&report.wrong, reload_text_next(&report.wrong, NULL)), "and no");
    reload_report_deinit(&report);
    parts[1].result = -ENOMEM;
    run(&r, parts, 0, RELOAD_E_MEMORY, "?a ?b -a ", &report);
    reload_report_deinit(&report);
    assert_int_equal(r.config->workers, 2);
    parts[1].result = 0;

    write_file("[pool]\nworkers = many\n"); /* nobody is asked */
    run(&r, parts, 0, RELOAD_E_WRONG, "", &report);
    assert_non_null(strstr(reload_text_next(&report.wrong, NULL), ":2: [pool] workers: \"many\""));
    reload_report_deinit(&report);
    unlink(path);
    run(&r, parts, 0, RELOAD_E_WRONG, "", &report);
    assert_non_null(strstr(reload_text_next(&report.wrong, NULL), "cannot be read"));
    reload_report_deinit(&report);
    assert_int_equal(r.config->workers, 2);
    reloader_deinit(&r);
    config_free(first);
}

static int setup(void **state)
{
    log_configure(LOG_ERROR, NULL);
    snprintf(path, sizeof path, "/tmp/futured-test-reloader-%d", (int)getpid());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reload)};

    return cmocka_run_group_tests_name("daemon/reloader", tests, setup, NULL);
}
