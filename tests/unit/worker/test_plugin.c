// SPDX-License-Identifier: Apache-2.0
/* The loader: a good plugin, one built against a later header, and each thing that can be wrong, by what is said of it. */
#include "tests/support/testing.h"
#include "worker/plugin.h"

static void path_of(const char *variant, char *path, size_t size)
{
    snprintf(path, size, "%s/variant-%s.so", TEST_PLUGINS, variant);
}

static void test_good_and_longer(void **state)
{
    char path[512], why[PLUGIN_TEXT_BYTES] = "";
    struct plugin p;

    path_of("LONGER", path, sizeof path);
    if (plugin_open(&p, path, why) != 0)
        fail_msg("%s", why);
    assert_string_equal(p.descriptor->name, "variants");
    assert_int_equal(p.descriptor->n_functions, 3);
    assert_string_equal(plugin_function(&p, 0)->name, "one");
    assert_string_equal(plugin_function(&p, 0)->content_types[15], "a/16");
    assert_string_equal(plugin_function(&p, 1)->name, "two"); /* by the plugin's own stride */
    assert_string_equal(plugin_function(&p, 2)->name, "three");
    plugin_close(&p);
    plugin_close(&p); /* again: nothing */
}

static void test_options(void **state)
{
    char path[512], why[PLUGIN_TEXT_BYTES] = "";
    struct futured_options o;
    struct plugin p;

    path_of("LONGER", path, sizeof path);
    assert_int_equal(plugin_open(&p, path, why), 0);
    o = plugin_options(&p, 0);
    assert_int_equal(o.size, sizeof o);
    assert_int_equal(o.durability, FUTURED_EPHEMERAL);
    assert_int_equal(o.priority, -7);
    assert_int_equal(o.attempt_timeout_ms, 1500);
    assert_int_equal(o.retention_ms, FUTURED_NONE);
    assert_string_equal(o.non_retryable_types[0], "ValueError");
    o = plugin_options(&p, 1);
    assert_int_equal(o.size, 0);
    plugin_close(&p);
}

/* One built against the header before anything was added to it. */
static void test_first_version(void **state)
{
    char path[512], why[PLUGIN_TEXT_BYTES] = "";
    struct plugin p;

    path_of("FIRST_VERSION", path, sizeof path);
    if (plugin_open(&p, path, why) != 0)
        fail_msg("%s", why);
    assert_string_equal(plugin_function(&p, 1)->name, "two");
    assert_int_equal(plugin_options(&p, 0).size, 0);
    assert_int_equal(plugin_options(&p, 1).size, 0);
    plugin_close(&p);
}

static void test_wrong_options(void **state)
{
    static const char *const names[] = {
            "DURABILITY",          "ATTEMPT_TIMEOUT_MS", "RETENTION_MS", "ON_LOST",
            "MAX_ATTEMPTS",        "INITIAL_BACKOFF_MS", "MULTIPLIER",   "JITTER",
            "NON_RETRYABLE_TYPES", "MAX_BACKOFF_MS"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char variant[64], path[512], said[128], why[PLUGIN_TEXT_BYTES] = "";
        struct plugin p;

        snprintf(variant, sizeof variant, "BAD_OPTIONS_%s", names[i]);
        path_of(variant, path, sizeof path);
        assert_int_equal(plugin_open(&p, path, why), PLUGIN_E_BAD);
        snprintf(said, sizeof said, ": %s is not allowed as it is in the options of function one", names[i]);
        for (size_t k = 2; k < 2 + strlen(names[i]); k++)
            said[k] = (char)(said[k] == '_' ? '_' : said[k] + ('a' - 'A'));
        if (!strstr(why, said) || !strstr(why, path))
            fail_msg("%s: <%s> does not say <%s>", variant, why, said);
    }
}

static void test_wrong(void **state)
{
    static const struct {
        const char *variant, *why;
        int error;
    } cases[] = {
            {"WRONG_ABI", "futured_plugin has ABI 2, this worker has 1", PLUGIN_E_BAD},
            {"WRONG_SIZE", "futured_plugin has a size of", PLUGIN_E_BAD},
            {"WRONG_FUNCTION_SIZE", "futured_plugin has a size of", PLUGIN_E_BAD},
            {"NO_NAME", "futured_plugin has no name", PLUGIN_E_BAD},
            {"NO_FUNCTIONS", "futured_plugin has 0 functions", PLUGIN_E_BAD},
            {"BAD_FUNCTION_NAME", "function 0 has no name of", PLUGIN_E_BAD},
            {"NO_RUN", "function one has no run", PLUGIN_E_BAD},
            {"MANY_CONTENT_TYPES", "function one has over 16 content types", PLUGIN_E_BAD},
            {"BAD_DOC", "the doc of function one is", PLUGIN_E_BAD},
            {"NO_DESCRIPTOR", "it exports no symbol futured_plugin", PLUGIN_E_BAD},
            {"UNDEFINED_SYMBOL", "futured_no_such_symbol", PLUGIN_E_LOAD},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[512], why[PLUGIN_TEXT_BYTES] = "";
        struct plugin p;
        int r;

        path_of(cases[i].variant, path, sizeof path);
        r = plugin_open(&p, path, why);
        if (r != cases[i].error)
            fail_msg("%s: %d, not %d (%s)", cases[i].variant, r, cases[i].error, why);
        if (!strstr(why, cases[i].why) || !strstr(why, path))
            fail_msg("%s: <%s> does not name the file and say <%s>", cases[i].variant, why, cases[i].why);
    }
}

static void test_no_such_file(void **state)
{
    char why[PLUGIN_TEXT_BYTES];
    struct plugin p;

    assert_int_equal(plugin_open(&p, "/no/such/plugin.so", why), PLUGIN_E_LOAD);
    assert_non_null(strstr(why, "/no/such/plugin.so"));
    assert_int_equal(plugin_open(&p, "/dev/null", why), PLUGIN_E_LOAD);
    assert_non_null(strstr(why, "/dev/null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_good_and_longer), cmocka_unit_test(test_options),
            cmocka_unit_test(test_first_version),   cmocka_unit_test(test_wrong_options),
            cmocka_unit_test(test_wrong),           cmocka_unit_test(test_no_such_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
