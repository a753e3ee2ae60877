// SPDX-License-Identifier: Apache-2.0
/*
 * Golden lines, what is escaped, where a value and a line are cut, and the limit of each site. The two clocks
 * are this file's own (the linker takes them instead of clock.c's), so no case depends on when it runs.
 */
#include "base/log.h"
#include "base/utf8.h"
#include "tests/support/testing.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>

static mono_ns_t mono_now = 1000 * NS_PER_S;
static const wall_ns_t WALL_NOW =
        INT64_C(1769860800) * 1000000000 + 7999999; /* 2026-01-31T12:00:00.007999999Z */

mono_ns_t clock_mono(void)
{
    return mono_now;
}

wall_ns_t clock_wall(void)
{
    return WALL_NOW;
}

#define FIELDS(...) \
    ((const struct log_field[]){__VA_ARGS__}), ARRAY_LEN(((const struct log_field[]){__VA_ARGS__}))

/* The value of one field as the line has it. */
static const char *value_of(const char *str)
{
    static char line[4096];
    static const char prefix[] = "2026-01-31T12:00:00.007Z info e k=";
    size_t n = log_format(line, sizeof line, WALL_NOW, LOG_INFO, "e", FIELDS(LOG_STR("k", str)));

    assert_int_equal(n, strlen(line));
    assert_memory_equal(line, prefix, sizeof prefix - 1);
    return line + sizeof prefix - 1;
}

static void test_golden_line(void **state)
{
    char line[256];
    size_t n = log_format(line, sizeof line, WALL_NOW, LOG_WARNING, "worker_lost",
                          FIELDS(LOG_STR("worker", "pool-3"), LOG_NUM("pid", 4711),
                                 LOG_STR("why", "killed by signal 9"), LOG_ERRNO(-EPIPE),
                                 LOG_NUM("low", INT64_MIN), LOG_NUM("high", INT64_MAX)));

    assert_string_equal(line, "2026-01-31T12:00:00.007Z warning worker_lost worker=pool-3 pid=4711 "
                              "why=\"killed by signal 9\" error=\"Broken pipe\" low=-9223372036854775808 "
                              "high=9223372036854775807");
    assert_int_equal(n, strlen(line));

    n = log_format(line, sizeof line, 0, LOG_DEBUG, "start", NULL, 0);
    assert_string_equal(line, "1970-01-01T00:00:00.000Z debug start");
    assert_int_equal(n, strlen(line));
}

static void test_times(void **state)
{
    static const struct {
        wall_ns_t now;
        const char *text;
    } cases[] = {
            {999999, "1970-01-01T00:00:00.000Z"},
            {1000000, "1970-01-01T00:00:00.001Z"},
            {999999999, "1970-01-01T00:00:00.999Z"},
            {-1, "1969-12-31T23:59:59.999Z"},
            {-1000000, "1969-12-31T23:59:59.999Z"},
            {-1000001, "1969-12-31T23:59:59.998Z"},
            {-1000000000, "1969-12-31T23:59:59.000Z"},
            {INT64_C(951827696) * 1000000000, "2000-02-29T12:34:56.000Z"},
            {INT64_MAX, "2262-04-11T23:47:16.854Z"},
            {INT64_MIN, "1677-09-21T00:12:43.145Z"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[64], expect[64];

        log_format(line, sizeof line, cases[i].now, LOG_INFO, "e", NULL, 0);
        snprintf(expect, sizeof expect, "%s info e", cases[i].text);
        assert_string_equal(line, expect);
    }
}

static void test_quoting(void **state)
{
    assert_string_equal(value_of("plain-/._:1"), "plain-/._:1");
    assert_string_equal(value_of(""), "\"\"");
    assert_string_equal(value_of("a b"), "\"a b\"");
    assert_string_equal(value_of("a=b"), "\"a=b\"");
    assert_string_equal(value_of("say \"hi\""), "\"say \\\"hi\\\"\"");
    assert_string_equal(value_of("back\\slash"), "\"back\\\\slash\"");
    assert_string_equal(value_of("two\nlines"), "\"two\\x0alines\"");
    assert_string_equal(value_of("\x1b[31mred"), "\"\\x1b[31mred\"");
}

/* Every character of ASCII alone, and every other byte alone, which is no UTF-8. */
static void test_every_byte(void **state)
{
    for (unsigned int c = 1; c < 256; c++) {
        char str[2] = {(char)c, '\0'}, expect[16];

        if (c < ' ' || c >= 0x7f)
            snprintf(expect, sizeof expect, "\"\\x%02x\"", c);
        else if (c == '"' || c == '\\')
            snprintf(expect, sizeof expect, "\"\\%c\"", c);
        else if (c == ' ' || c == '=')
            snprintf(expect, sizeof expect, "\"%c\"", c);
        else
            snprintf(expect, sizeof expect, "%c", c);
        assert_string_equal(value_of(str), expect);
    }
}

/* UTF-8 stays as it is; what a terminal would obey, or a reader choke on, does not. */
static void test_beyond_ascii(void **state)
{
    assert_string_equal(value_of("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(value_of("\xe2\x82\xac \xf0\x9f\x98\x80"), "\"\xe2\x82\xac \xf0\x9f\x98\x80\"");
    assert_string_equal(value_of("\xc2\x9b"
                                 "31m"),
                        "\"\\xc2\\x9b"
                        "31m\"");                          /* CSI as one character */
    assert_string_equal(value_of("\xc2\xa0"), "\xc2\xa0"); /* the first behind the controls */
    assert_string_equal(value_of("\xc3"), "\"\\xc3\"");    /* cut short */
    assert_string_equal(value_of("\xe2\x82"), "\"\\xe2\\x82\"");
    assert_string_equal(value_of("\xe2\x82y"), "\"\\xe2\\x82y\"");
    assert_string_equal(value_of("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\""); /* a surrogate */
    assert_string_equal(value_of("\xc0\xaf"), "\"\\xc0\\xaf\"");          /* overlong */
}

/* A value has its limit whether it needs quotes or not, counted in its own bytes. */
static void test_long_values_are_cut(void **state)
{
    char str[LOG_VALUE_MAX_BYTES + 10], expect[4 * LOG_VALUE_MAX_BYTES + 10];

    memset(str, 'a', sizeof str);
    str[LOG_VALUE_MAX_BYTES] = '\0';
    assert_string_equal(value_of(str), str); /* just fits */

    memset(str, 'a', sizeof str);
    str[LOG_VALUE_MAX_BYTES + 1] = '\0';
    snprintf(expect, sizeof expect, "%.*s...", LOG_VALUE_MAX_BYTES, str);
    assert_string_equal(value_of(str), expect);

    str[0] = ' ';
    snprintf(expect, sizeof expect, "\"%.*s...\"", LOG_VALUE_MAX_BYTES, str);
    assert_string_equal(value_of(str), expect);

    /* a character that would be cut in two is left out */
    memset(str, 'a', sizeof str);
    memcpy(str + LOG_VALUE_MAX_BYTES - 1, "\xc3\xbc", 3);
    snprintf(expect, sizeof expect, "%.*s...", LOG_VALUE_MAX_BYTES - 1, str);
    assert_string_equal(value_of(str), expect);

    /* the limit holds for what the value has, not for what its escapes take */
    memset(str, '\n', sizeof str);
    str[LOG_VALUE_MAX_BYTES + 1] = '\0';
    assert_int_equal(strlen(value_of(str)), 4 * LOG_VALUE_MAX_BYTES + 5);
}

/* At every size: never beyond it, NUL-terminated, what is there is the beginning of the line, the cut is
 * shown. */
static void test_cut_line(void **state)
{
    char whole[256];
    size_t len = log_format(
            whole, sizeof whole, WALL_NOW, LOG_INFO,
            "gr\xc3\xb6\xc3\x9f"
            "e",
            FIELDS(LOG_STR("a", "\xe2\x82\xac\xe2\x82\xac"), LOG_STR("b", "x y"), LOG_NUM("c", 5)));

    for (size_t size = 1; size <= sizeof whole; size++) {
        char *line = mem_alloc(size); /* exactly, so that a byte too much is seen */
        size_t n, n_same;

        assert_non_null(line);
        n = log_format(
                line, size, WALL_NOW, LOG_INFO,
                "gr\xc3\xb6\xc3\x9f"
                "e",
                FIELDS(LOG_STR("a", "\xe2\x82\xac\xe2\x82\xac"), LOG_STR("b", "x y"), LOG_NUM("c", 5)));
        assert_true(n < size);
        assert_int_equal(strlen(line), n);
        assert_true(utf8_is_valid((const uint8_t *)line, n));
        if (size > len) {
            assert_string_equal(line, whole);
        } else {
            n_same = n - MIN(n, (size_t)3);
            assert_memory_equal(line, whole, n_same);
            assert_string_equal(line + n_same, &"..."[3 - (n - n_same)]);
            assert_true(n + 4 > size - 1); /* no more is lost than a character */
        }
        mem_free(line);
    }
}

static void format_into_nothing(void *arg)
{
    char c;

    log_format(&c, *(size_t *)arg, 0, LOG_INFO, "e", NULL, 0);
}

static void test_no_room_is_a_bug(void **state)
{
    size_t size = 0;

    test_aborts(format_into_nothing, &size, "size > 0");
}

static void test_levels(void **state)
{
    static const struct {
        const char *text;
        enum log_level level;
    } levels[] = {{"error", LOG_ERROR},
                  {"warning", LOG_WARNING},
                  {"notice", LOG_NOTICE},
                  {"info", LOG_INFO},
                  {"debug", LOG_DEBUG}};
    static const char *const wrong[] = {"", "Error", "warn", "info ", "debugg", "7"};
    enum log_level level = LOG_NOTICE;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(log_level_parse(wrong[i], &level), LOG_E_LEVEL);
        assert_int_equal(level, LOG_NOTICE);
    }
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        char line[128], expect[128];

        assert_int_equal(log_level_parse(levels[i].text, &level), 0);
        assert_int_equal(level, levels[i].level);
        log_format(line, sizeof line, WALL_NOW, level, "e", NULL, 0);
        snprintf(expect, sizeof expect, "2026-01-31T12:00:00.007Z %s e", levels[i].text);
        assert_string_equal(line, expect);
    }
}

static void test_errno_text(void **state)
{
    assert_string_equal(log_errno_text(-ENOENT), "No such file or directory");
    assert_string_equal(log_errno_text(ENOENT), "No such file or directory");
    assert_string_equal(log_errno_text(-123456), "unknown error");
    assert_string_equal(log_errno_text(INT_MIN), "unknown error");
}

/* What the sink got last, and how often it was called. */
static char last_line[4096];
static int n_lines;

static void keep_line(enum log_level level, const char *event, const struct log_field *fields,
                      size_t n_fields)
{
    n_lines++;
    log_format(last_line, sizeof last_line, WALL_NOW, level, event, fields, n_fields);
}

static int setup_sink(void **state)
{
    n_lines = 0;
    last_line[0] = '\0';
    mono_now += 10 * NS_PER_S;
    log_configure(LOG_INFO, keep_line);
    return 0;
}

static void test_level_is_a_filter(void **state)
{
    for (unsigned int max = LOG_ERROR; max <= LOG_DEBUG; max++) {
        for (unsigned int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            log_configure((enum log_level)max, keep_line);
            n_lines = 0;
            LOG_EVENT((enum log_level)level, "e");
            assert_int_equal(n_lines, level <= max);
            mono_now += NS_PER_S;
        }
    }
}

static void test_macro(void **state)
{
    LOG_EVENT(LOG_ERROR, "no_fields");
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z error no_fields");
    LOG_EVENT(LOG_NOTICE, "two", LOG_STR("a", "x"), LOG_NUM("b", 3));
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z notice two a=x b=3");
}

static void test_rate_limit(void **state)
{
    struct log_site site = {0}, other = {0};

    for (int i = 0; i < LOG_SITE_BURST + 7; i++)
        log_emit(&site, LOG_INFO, "often", FIELDS(LOG_NUM("i", i)));
    assert_int_equal(n_lines, LOG_SITE_BURST);
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z info often i=19");

    log_emit(&other, LOG_INFO, "other", NULL, 0); /* another site has its own count */
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z info other");

    log_emit(&site, LOG_DEBUG, "often", NULL, 0); /* below the level: neither written nor counted */
    mono_now += NS_PER_S;
    n_lines = 0;
    log_emit(&site, LOG_INFO, "often", FIELDS(LOG_NUM("i", 99)));
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z info often i=99 suppressed=7");
    for (int i = 1; i < LOG_SITE_BURST + 2; i++) {
        log_emit(&site, LOG_INFO, "often", NULL, 0);
        assert_string_equal(last_line, i == 0 ? "" : "2026-01-31T12:00:00.007Z info often"); /* said once */
    }
    assert_int_equal(n_lines, LOG_SITE_BURST);

    mono_now += 100 * NS_PER_S; /* however late the next line is */
    log_emit(&site, LOG_INFO, "often", NULL, 0);
    assert_string_equal(last_line, "2026-01-31T12:00:00.007Z info often suppressed=2");
}

static void test_suppressed_beside_all_fields(void **state)
{
    struct log_field fields[LOG_FIELDS_MAX];
    struct log_site site = {0};

    for (size_t i = 0; i < LOG_FIELDS_MAX; i++)
        fields[i] = LOG_NUM("f", i);
    for (int i = 0; i < LOG_SITE_BURST + 1; i++)
        log_emit(&site, LOG_INFO, "e", fields, LOG_FIELDS_MAX);
    mono_now += NS_PER_S;
    log_emit(&site, LOG_INFO, "e", fields, LOG_FIELDS_MAX);
    assert_non_null(strstr(last_line, " f=14 f=15 suppressed=1"));
}

static void emit_too_many(void *arg)
{
    log_emit(arg, LOG_INFO, "e", (const struct log_field[LOG_FIELDS_MAX + 1]){{.key = "k"}},
             LOG_FIELDS_MAX + 1);
}

static void test_too_many_fields_is_a_bug(void **state)
{
    struct log_site site = {0};

    test_aborts(emit_too_many, &site, "n_fields <= LOG_FIELDS_MAX");
}

/* Threads on one site: not a line too many, and every suppressed one is counted. */
enum { N_THREADS = 4, N_PER_THREAD = 1000 };

static struct log_site shared_site;
static int n_shared_lines, n_shared_suppressed;

static void count_line(enum log_level level, const char *event, const struct log_field *fields,
                       size_t n_fields)
{
    __atomic_fetch_add(&n_shared_lines, 1, __ATOMIC_RELAXED);
    if (n_fields == 2)
        __atomic_fetch_add(&n_shared_suppressed, (int)fields[1].num, __ATOMIC_RELAXED);
}

static void *emit_many(void *arg)
{
    for (int i = 0; i < N_PER_THREAD; i++)
        log_emit(&shared_site, LOG_INFO, "e", FIELDS(LOG_NUM("i", i)));
    return NULL;
}

static void test_threads_on_one_site(void **state)
{
    pthread_t threads[N_THREADS];

    log_configure(LOG_INFO, count_line);
    log_emit(&shared_site, LOG_INFO, "e", FIELDS(LOG_NUM("i", 0))); /* the second has begun: no reset races */
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(n_shared_lines, LOG_SITE_BURST);
    mono_now += NS_PER_S;
    log_emit(&shared_site, LOG_INFO, "e", FIELDS(LOG_NUM("i", 0)));
    assert_int_equal(n_shared_suppressed, 1 + N_THREADS * N_PER_THREAD - LOG_SITE_BURST);
}

/* Through the default sink to fd 2: one line, one write. */
static void test_to_stderr(void **state)
{
    char got[8192], long_value[LOG_VALUE_MAX_BYTES + 1];
    struct log_field fields[LOG_FIELDS_MAX];
    int fds[2], saved;
    ssize_t n;

    memset(long_value, 'v', LOG_VALUE_MAX_BYTES);
    long_value[LOG_VALUE_MAX_BYTES] = '\0';
    for (size_t i = 0; i < LOG_FIELDS_MAX; i++)
        fields[i] = LOG_STR("k", long_value);
    saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_DIRECT), 0); /* packets: a read gets what one write wrote */
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_configure(LOG_INFO, NULL);
    LOG_EVENT(LOG_INFO, "short", LOG_STR("k", "v v"));
    log_to_stderr(LOG_INFO, "long", fields, LOG_FIELDS_MAX);
    dup2(saved, STDERR_FILENO);
    err_close(&saved);
    err_close(&fds[1]);

    n = read(fds[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, "2026-01-31T12:00:00.007Z info short k=\"v v\"\n");
    n = read(fds[0], got, sizeof got - 1);
    assert_int_equal(n, 4096 - 1); /* the longest line that there is; the pipe takes it whole */
    got[n] = '\0';
    assert_string_equal(got + n - 6, "vv...\n");
    assert_int_equal(read(fds[0], got, sizeof got), 0);
    err_close(&fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_golden_line),
            cmocka_unit_test(test_times),
            cmocka_unit_test(test_quoting),
            cmocka_unit_test(test_every_byte),
            cmocka_unit_test(test_beyond_ascii),
            cmocka_unit_test(test_long_values_are_cut),
            cmocka_unit_test(test_cut_line),
            cmocka_unit_test(test_no_room_is_a_bug),
            cmocka_unit_test(test_levels),
            cmocka_unit_test(test_errno_text),
            cmocka_unit_test_setup(test_level_is_a_filter, setup_sink),
            cmocka_unit_test_setup(test_macro, setup_sink),
            cmocka_unit_test_setup(test_rate_limit, setup_sink),
            cmocka_unit_test_setup(test_suppressed_beside_all_fields, setup_sink),
            cmocka_unit_test_setup(test_too_many_fields_is_a_bug, setup_sink),
            cmocka_unit_test_setup(test_threads_on_one_site, setup_sink),
            cmocka_unit_test(test_to_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
