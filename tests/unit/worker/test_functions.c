// SPDX-License-Identifier: Apache-2.0
/* What a worker serves: which functions of which plugins and commands are taken, what is told of the others, and the
 * lives of plugins' functions. */
#include "tests/unit/worker/call.h"

#include <fcntl.h>
#include <limits.h>

static char log_path[64];
static struct runpage page;

static struct functions load(const char *const *plugins, uint32_t n_plugins, struct spec_command *commands,
                             uint32_t n_commands, const char *const *folders)
{
    static const char *const none[] = {NULL};
    const char *paths[8];
    const struct spec spec = {
            .plugins = paths, .n_plugins = n_plugins, .commands = commands, .n_commands = n_commands};
    struct functions f;

    for (uint32_t i = 0; i < n_plugins; i++)
        paths[i] = plugins[i];
    assert_int_equal(functions_init(&f, &spec, folders ? folders : none, &page), 0);
    return f;
}

/* A function whose sandbox cannot be set up is not served, and that is said. In this program as `refused`, where nobody may have a user
 * namespace. */
static int load_refused(void)
{
    static const char *const none[] = {NULL};
    struct spec_command commands[] = {{.name = "open", .line = "cat"}, {.name = "shut", .line = "cat"}};
    struct spec_limits limits[] = {{.name = "shut", .sandbox = CONFINE_NETWORK}};
    const struct spec spec = {.commands = commands, .n_commands = 2, .limits = limits, .n_limits = 1};
    struct functions f;
    int is_right;

    if (functions_init(&f, &spec, none, &page) != 0)
        return 1;
    if (buf_append(&f.problems, "", 1) < 0)
        return 1;
    is_right = f.n_problems == 1 && functions_find(&f, SPAN_LIT("open")) &&
               !functions_find(&f, SPAN_LIT("shut")) &&
               strstr((char *)buf_head(&f.problems),
                      "function shut: its sandbox cannot be set up: a user namespace: ");
    functions_deinit(&f);
    return is_right ? 0 : 1;
}

static void test_refused_sandbox(void **state)
{
    static const char limit[] =
            "unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"' sh";
    char self[PATH_MAX] = "", command[2 * PATH_MAX];

    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(command, sizeof command, "%s '%s' refused", system("unshare -Ur true") == 0 ? limit : "", self);
    assert_int_equal(system(command), 0);
}

static void expect_problems(const struct functions *f, uint32_t n, const char *const *texts)
{
    char said[4096];

    snprintf(said, sizeof said, "%.*s", (int)buf_len(&f->problems), n ? (char *)buf_head(&f->problems) : "");
    assert_int_equal(f->n_problems, n);
    for (uint32_t i = 0; i < n; i++)
        if (!strstr(said, texts[i]))
            fail_msg("<%s> is not among <%s>", texts[i], said);
}

static void expect_run(struct functions *f, const char *name, const char *argument, const char *expected)
{
    const struct function *function = functions_find(f, span_of_string(name));
    struct test_call t;

    assert_non_null(function);
    test_call_init(&t);
    test_call_begin(&t, span_of_string(argument), NULL, 1000);
    functions_run(f, function, &t.call);
    test_call_expect(&t, expected);
    test_call_deinit(&t);
}

static void expect_log(const char *expected)
{
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);
    char text[1024];
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    text[n] = '\0';
    assert_string_equal(text, expected);
    err_close(&fd);
    unlink(log_path);
}

static void test_plugin_and_commands(void **state)
{
    static const char *const plugins[] = {TEST_PLUGINS "/variant-LONGER.so"};
    struct spec_command commands[] = {
            {.name = "upper", .line = "tr a-z A-Z", .doc = "upper case"},
            {.name = "shell", .line = "cat; echo $((40 + 2))", .is_shell = 1},
    };
    struct functions f = load(plugins, 1, commands, 2, NULL);

    expect_problems(&f, 0, NULL);
    assert_int_equal(f.n_items, 5);
    assert_string_equal(f.items[0].name, "one");
    assert_string_equal(f.items[0].doc, "the first");
    assert_string_equal(f.items[0].content_types[0], "a/1");
    assert_string_equal(f.items[1].doc, "");
    assert_null(f.items[1].content_types);
    assert_string_equal(f.items[3].name, "upper");
    assert_string_equal(f.items[3].doc, "upper case");
    assert_null(functions_find(&f, SPAN_LIT("four")));
    assert_null(functions_find(&f, SPAN_LIT("")));
    expect_run(&f, "one", "x", "");
    expect_run(&f, "upper", "abc", "ABC");
    expect_run(&f, "shell", "abc", "abc42\n");
    functions_deinit(&f);
}

static void test_lives(void **state)
{
    static const char *const plugins[] = {TEST_PLUGINS "/life.so"};
    static const char *const problems[] = {"life: init of function failing failed (42)\n",
                                           "life: function first is there already\n"};
    struct functions f = load(plugins, 1, NULL, 0, NULL);

    expect_problems(&f, 2, problems);
    assert_int_equal(f.n_items, 2);
    assert_string_equal(f.items[0].version, "1.2");
    expect_run(&f, "first", "", "first"); /* its own state */
    expect_run(&f, "second", "", "second");
    expect_log("init first\ninit failing\ninit second\n");
    functions_deinit(&f);
    expect_log("fini second\nfini first\n");
}

static void test_problems_cost_nothing_else(void **state)
{
    static const char *const plugins[] = {TEST_PLUGINS "/variant-WRONG_ABI.so", "/no/such.so",
                                          TEST_PLUGINS "/variant-LONGER.so"};
    struct spec_command commands[] = {
            {.name = "broken", .line = "a 'b"},
            {.name = "two", .line = "true"},
            {.name = "good", .line = "true"},
    };
    static const char *const problems[] = {
            "variant-WRONG_ABI.so: futured_plugin has ABI 2",
            "/no/such.so: ", "function broken: its command cannot be used: a quote is not closed",
            "function two is there already"};
    struct functions f = load(plugins, 3, commands, 3, NULL);

    expect_problems(&f, 4, problems);
    assert_int_equal(f.n_items, 4);
    assert_non_null(functions_find(&f, SPAN_LIT("two"))->plugin); /* the first one stands */
    expect_run(&f, "good", "", "");
    functions_deinit(&f);
}

static void test_folders(void **state)
{
    static const char *const folders[] = {"/no/such", TEST_PLUGINS, NULL};
    static const char *const plugins[] = {"variant-LONGER.so", "missing.so"};
    static const char *const problems[] = {"missing.so: "};
    struct functions f = load(plugins, 2, NULL, 0, folders);

    expect_problems(&f, 1, problems);
    assert_int_equal(f.n_items, 3);
    functions_deinit(&f);
}

static void test_nothing(void **state)
{
    struct functions f = load(NULL, 0, NULL, 0, NULL);

    assert_int_equal(f.n_items, 0);
    assert_null(functions_find(&f, SPAN_LIT("one")));
    functions_deinit(&f);
}

static void test_without_memory(void **state)
{
    const char *plugins[] = {TEST_PLUGINS "/life.so", "/no/such.so"};
    struct spec_command commands[] = {{.name = "upper", .line = "tr a-z A-Z"}, {.name = "bad", .line = "'"}};
    const struct spec spec = {.plugins = plugins, .n_plugins = 2, .commands = commands, .n_commands = 2};
    static const char *const none[] = {NULL};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct functions f;
        int r = functions_init(&f, &spec, none, &page);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0) {
            assert_int_equal(f.n_items, 3);
            functions_deinit(&f);
        }
    }
    unlink(log_path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_refused_sandbox), cmocka_unit_test(test_plugin_and_commands),
            cmocka_unit_test(test_lives),           cmocka_unit_test(test_problems_cost_nothing_else),
            cmocka_unit_test(test_folders),         cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_without_memory),
    };

    if (argc > 1)
        return load_refused();
    snprintf(log_path, sizeof log_path, "/tmp/futured-life-%d", (int)getpid());
    unlink(log_path);
    setenv("LIFE_LOG", log_path, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
