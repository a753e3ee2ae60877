// SPDX-License-Identifier: Apache-2.0
/* What a reload changes, key by key: every key of the table is told from itself, and what needs a restart stays. */
#include "daemon/config_change.h"
#include "daemon/config_table.h"
#include "tests/support/testing.h"

#include <fcntl.h>

static char path[64];

static int setup(void **state)
{
    int fd;

    strcpy(path, "/tmp/futured-test-change-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    return unlink(path);
}

static struct config *load(const char *text)
{
    static char config_option[] = "--config", listen_option[] = "--listen=127.0.0.1:1",
                store_option[] = "--state-directory=/tmp/nowhere";
    static char *arguments[] = {config_option, path, listen_option, store_option, NULL};
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    struct config *c = NULL;
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    r = config_load(&c, 4, arguments, &errors);
    if (r != 0)
        fail_msg("%d: %.*s", r, (int)buf_len(&errors), (const char *)buf_head(&errors));
    return c;
}

/* The names, with a blank behind each. */
static void join(const struct config_names *names, char *to, size_t size)
{
    const char *at = (const char *)buf_head(&names->text);

    assert_true(buf_len(&names->text) < size);
    if (buf_len(&names->text))
        memcpy(to, at, buf_len(&names->text));
    for (size_t i = 0; i < buf_len(&names->text); i++)
        if (!to[i])
            to[i] = ' ';
    to[buf_len(&names->text)] = '\0';
}

static void expect(const char *before, const char *after, const char *changed, const char *needs_restart)
{
    struct config *a = load(before), *b = load(after);
    struct config_changes changes;
    char text[4096];

    assert_int_equal(config_change(a, b, &changes), 0);
    join(&changes.changed, text, sizeof text);
    assert_string_equal(text, changed);
    join(&changes.needs_restart, text, sizeof text);
    assert_string_equal(text, needs_restart);
    config_change_deinit(&changes);
    config_free(b);
    config_free(a);
}

static void test_settings(void **state)
{
    expect("", "", "", "");
    expect("[pool]\nworkers = 2\n", "[pool]\nworkers = 3\n", "pool.workers ", "");
    expect("[futured]\nlog_level = debug\n", "", "futured.log_level ", "");
    expect("[pool]\nplugin = a.so\nplugin = b.so\n", "[pool]\nplugin = b.so\nplugin = a.so\n", "pool.plugin ",
           "");
    expect("[store]\ncache = 1M\n[futured]\nmax_message = 1M\n",
           "[store]\ncache = 2M\n[limits]\nmemory = 1G\n", "limits.memory ",
           "futured.max_message store.cache ");
}

static void test_functions(void **state)
{
    expect("[function.b]\ncommand = cat\n[function.a]\ncommand = cat\n",
           "[function.a]\ncommand = cat\n[function.b]\ncommand = cat\n", "", "");
    expect("[function.a]\ncommand = cat\n[function.c]\ncommand = cat\n",
           "[function.b]\ncommand = cat\n[function.c]\ncommand = tac\nshell = yes\n",
           "function.a function.b function.c.command function.c.shell ", "");
    expect("[function.a]\nmax_attempts = 2\nnon_retryable_types = A B\n",
           "[function.a]\nmax_attempts = 2\nnon_retryable_types = A C\n", "function.a.non_retryable_types ",
           "");
}

static void test_principals(void **state)
{
    expect("[principal.a]\nuser = 1000\nrights = read\n[principal.b]\nuser = 1001\nrights = read\n",
           "[principal.b]\nuser = 1001\nrights = read submit\n[principal.c]\nuser = 1000\nrights = read\n",
           "principal.b principal.c principal.a ", "");
}

/* Each key that has a number or a word for an example is told from another value of its own. */
static void test_every_key(void **state)
{
    static const char *const others[] = {
            "1",  "2",  "100", "1000", "required",  "1.2", "1M",    "2M",     "1s",     "2s", "yes",    "no",
            "/a", "/b", "0.5", "fail", "ephemeral", "all", "debug", "accept", "sqlite", "x",  "unix:/a"};

    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        struct config a = {0}, b = {0};
        struct config_function fa = {0}, fb = {0};
        int is_function = strcmp(key->section, "function") == 0, n_set = 0;
        char why[CONFIG_WHY_BYTES];
        struct config_changes changes;

        if (strcmp(key->section, "principal") == 0)
            continue;
        arena_init(&a.arena, 0);
        for (size_t k = 0; k < ARRAY_LEN(others) && n_set == 0; k++)
            n_set += config_set(key, is_function ? (void *)&fb : (void *)&b, &a.arena, others[k], why) == 0;
        if (!n_set)
            fail_msg("no value for [%s] %s", key->section, key->name);
        fa.name = fb.name = "f";
        fa.file = fb.file = "";
        if (is_function) {
            a.functions = &fa;
            b.functions = &fb;
            a.n_functions = b.n_functions = 1;
        }
        assert_int_equal(config_change(&a, &b, &changes), 0);
        if ((int)changes.needs_restart.n != key->needs_restart ||
            (int)changes.changed.n != !key->needs_restart)
            fail_msg("[%s] %s", key->section, key->name);
        config_change_deinit(&changes);
        assert_int_equal(config_change(&a, &b, &changes), 0); /* what needs a restart is as it was */
        assert_int_equal(changes.needs_restart.n, 0);
        config_change_deinit(&changes);
        arena_deinit(&a.arena);
    }
}

/* What needs a restart is the first one's for ever, so those between may go. */
static void test_the_first_one_stays(void **state)
{
    struct config *first = load("[futured]\nsocket_group = 0\n"),
                  *second = load("[futured]\nsocket_group = 0\n"),
                  *third = load("[futured]\nsocket_group = 1\n");
    struct config_changes changes;

    assert_int_equal(config_change(first, second, &changes), 0);
    assert_int_equal(changes.needs_restart.n, 0);
    config_change_deinit(&changes);
    assert_int_equal(config_change(second, third, &changes), 0);
    assert_int_equal(changes.needs_restart.n, 1);
    config_change_deinit(&changes);
    config_free(second);
    assert_ptr_equal(third->socket_group, first->socket_group);
    assert_string_equal(third->socket_group, "0");
    config_free(third);
    config_free(first);
}

static void test_many_are_counted(void **state)
{
    CLEANUP(buf_deinit) struct buf text = BUF_INIT;
    char section[64];
    struct config *a, *b;
    struct config_changes changes;

    for (int i = 0; i < CONFIG_NAMES_MAX + 5; i++) {
        int n = snprintf(section, sizeof section, "[function.f%d]\ncommand = cat\n", i);

        assert_int_equal(buf_append(&text, section, (size_t)n), 0);
    }
    assert_int_equal(buf_append(&text, "", 1), 0);
    a = load("");
    b = load((const char *)buf_head(&text));
    assert_int_equal(config_change(a, b, &changes), 0);
    assert_int_equal(changes.changed.n, CONFIG_NAMES_MAX + 5);
    config_change_deinit(&changes);
    config_free(a);
    config_free(b);
}

static void test_each_allocation_fails(void **state)
{
    struct config *a = load("[function.a]\ncommand = cat\n"), *b = load("[pool]\nworkers = 77\n");

    FAIL_EACH_ALLOCATION(nth)
    {
        struct config_changes changes;
        int r = config_change(a, b, &changes);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        config_change_deinit(&changes);
    }
    config_free(a);
    config_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_settings),
            cmocka_unit_test(test_functions),
            cmocka_unit_test(test_principals),
            cmocka_unit_test(test_every_key),
            cmocka_unit_test(test_the_first_one_stays),
            cmocka_unit_test(test_many_are_counted),
            cmocka_unit_test(test_each_allocation_fails),
    };

    return cmocka_run_group_tests_name("daemon/config_change", tests, setup, teardown);
}
