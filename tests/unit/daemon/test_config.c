// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration: every default, every kind of value, every error text, what wins over what, and that the
 * shipped file is what the table says. With an argument, the program writes that file instead:
 * test_daemon_config systemd/futured.conf
 */
#include "base/confine.h"
#include "daemon/config.h"
#include "daemon/config_table.h"
#include "tests/support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include <sys/stat.h>

static char dir[64], path[96];

static void clear_environment(void)
{
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
}

static int setup(void **state)
{
    clear_environment();
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    setenv("HOME", "/home/b", 1);
    snprintf(dir, sizeof dir, "/tmp/futured-test-config-XXXXXX");
    snprintf(path, sizeof path, "%s", mkdtemp(dir) ? dir : "");
    strncat(path, "/c", 3);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return rmdir(dir);
}

static void write_bytes(const char *name, const char *bytes, size_t n)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static void write_file(const char *text)
{
    write_bytes(path, text, strlen(text));
}

/* What config_load returns for these arguments; *ret_errors is to be freed. */
static int load(struct config **ret, char **ret_errors, int argc, const char *const argv[])
{
    CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
    char *args[64] = {0};
    int r;

    for (int i = 0; i < argc; i++)
        args[i] = strdup(argv[i]);
    r = config_load(ret, argc, args, &errors);
    for (int i = 0; i < argc; i++)
        free(args[i]);
    *ret_errors = calloc(1, buf_len(&errors) + 1);
    if (buf_len(&errors))
        memcpy(*ret_errors, buf_head(&errors), buf_len(&errors));
    return r;
}

#define LOAD(...)                                                      \
    ({                                                                 \
        const char *const args_[] = {__VA_ARGS__ __VA_OPT__(, ) NULL}; \
        load_ok((int)ARRAY_LEN(args_) - 1, args_);                     \
    })

static struct config *load_ok(int argc, const char *const argv[])
{
    struct config *c = NULL;
    char *errors;

    if (load(&c, &errors, argc, argv) != 0)
        fail_msg("%s", errors);
    assert_string_equal(errors, "");
    free(errors);
    return c;
}

/* Loading must fail with @expect: exactly these lines, in which "C:" stands for the file's path and a colon. */
static void assert_errors(int result, const char *expect, int argc, const char *const argv[])
{
    struct config *c = NULL;
    char *errors, full[8192];
    int r = load(&c, &errors, argc, argv);
    size_t n = 0;

    for (const char *at = expect; *at; at++) {
        ASSERT(n + sizeof path < sizeof full);
        if (at[0] == 'C' && at[1] == ':' && (at == expect || at[-1] == '\n' || at[-1] == ' '))
            n += (size_t)snprintf(full + n, sizeof full - n, "%s", path);
        else
            full[n++] = *at;
    }
    full[n] = '\0';
    if (r != result || strcmp(errors, full) != 0)
        fail_msg("returned %d and said:\n%sinstead of %d and:\n%s", r, errors, result, full);
    assert_null(c);
    free(errors);
}

#define ASSERT_FILE_ERRORS(text, expect)                   \
    do {                                                   \
        const char *const args_[] = {"--config", path};    \
        write_file(text);                                  \
        assert_errors(CONFIG_E_INVALID, expect, 2, args_); \
    } while (0)

#define ASSERT_USAGE(expect, ...)                                            \
    do {                                                                     \
        const char *const args_[] = {__VA_ARGS__};                           \
        assert_errors(CONFIG_E_USAGE, expect, (int)ARRAY_LEN(args_), args_); \
    } while (0)

/* --- defaults */

static void assert_h2_equal(const struct h2_config *a, const struct h2_config *b)
{
    assert_int_equal(a->max_streams, b->max_streams);
    assert_int_equal(a->max_header_list_bytes, b->max_header_list_bytes);
    assert_int_equal(a->stream_window_bytes, b->stream_window_bytes);
    assert_int_equal(a->connection_window_bytes, b->connection_window_bytes);
    assert_int_equal(a->preface_timeout_ns, b->preface_timeout_ns);
    assert_int_equal(a->headers_timeout_ns, b->headers_timeout_ns);
    assert_int_equal(a->body_timeout_ns, b->body_timeout_ns);
    assert_int_equal(a->idle_timeout_ns, b->idle_timeout_ns);
    assert_int_equal(a->write_timeout_ns, b->write_timeout_ns);
    assert_int_equal(a->keepalive_ns, b->keepalive_ns);
    assert_int_equal(a->keepalive_timeout_ns, b->keepalive_timeout_ns);
    assert_int_equal(a->resets.burst, b->resets.burst);
}

static void test_defaults(void **state)
{
    struct config *c = LOAD();
    struct h2_config h2 = h2_config_server();
    struct limits limits = LIMITS_DEFAULT;
    cpu_set_t cpus;

    assert_int_equal(c->n_listen, 1);
    assert_string_equal(c->listen[0].text, "unix:/run/user/7/futured/futured.sock");
    assert_true(c->is_listen_default);
    assert_string_equal(c->state_directory, "/home/b/.local/state/futured");
    assert_true(c->is_state_default);
    assert_int_equal(c->store, CONFIG_STORE_SQLITE);
    assert_int_equal(c->cache_bytes, 256 << 20);
    assert_int_equal(c->reserve_bytes, 64 << 20);
    assert_int_equal(c->log_bytes, 16 << 20);
    assert_false(c->accept_loss);
    assert_true(c->log_level == LOG_INFO && c->unknown_functions == 1);
    assert_string_equal(c->functions_directory, "");
    assert_int_equal(c->limits.max_message_bytes, limits.max_message_bytes);
    assert_int_equal(c->limits.max_memory_bytes, limits.max_memory_bytes);
    assert_int_equal(c->limits.max_futures, limits.max_futures);
    assert_int_equal(c->limits.max_waiter_edges, limits.max_waiter_edges);
    assert_int_equal(c->limits.max_functions, limits.max_functions);
    assert_true(c->max_connections == 10000 && c->messages_per_turn == 32);
    assert_h2_equal(&c->h2, &h2);
    assert_true(c->drain_timeout_ns == 30 * NS_PER_S);
    assert_true(c->lease_ttl_ns == 10 * NS_PER_S);
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    assert_int_equal(c->workers, CPU_COUNT(&cpus));
    assert_int_equal(c->n_functions, 0);
    assert_null(c->port_file);
    config_free(c);
    assert_null(config_free(NULL));
}

static void test_default_directories(void **state)
{
    struct config *c;

    setenv("RUNTIME_DIRECTORY", "/run/futured:/run/other", 1); /* a list, as systemd writes it */
    setenv("STATE_DIRECTORY", "/var/lib/futured:/x", 1);
    setenv("XDG_STATE_HOME", "/home/a/state", 1);
    c = LOAD();
    assert_string_equal(c->listen[0].text, "unix:/run/futured/futured.sock");
    assert_string_equal(c->state_directory, "/var/lib/futured");
    config_free(c);

    unsetenv("STATE_DIRECTORY");
    c = LOAD();
    assert_string_equal(c->state_directory, "/home/a/state/futured");
    config_free(c);

    c = LOAD("--listen", "127.0.0.1:1", "--state-directory", "/s");
    assert_int_equal(c->n_listen, 1);
    assert_false(c->is_listen_default);
    assert_string_equal(c->state_directory, "/s");
    assert_false(c->is_state_default);
    config_free(c);

    clear_environment();
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    assert_errors(CONFIG_E_INVALID,
                  "there is no directory for the store: give --state-directory DIR or [futured] "
                  "state_directory, or "
                  "set STATE_DIRECTORY, XDG_STATE_HOME or HOME; or --store none\n",
                  0, NULL);
    unsetenv("XDG_RUNTIME_DIR");
    setenv("HOME", "/home/b", 1);
    assert_errors(CONFIG_E_INVALID,
                  "there is no address to listen on: give --listen ADDR or [futured] listen, or set "
                  "RUNTIME_DIRECTORY or XDG_RUNTIME_DIR\n",
                  0, NULL);
    setenv("XDG_RUNTIME_DIR", "relative", 1);
    assert_errors(CONFIG_E_INVALID,
                  "the default address made of XDG_RUNTIME_DIR is of no use: "
                  "\"unix:relative/futured/futured.sock\": the path of a Unix socket starts with / "
                  "(unix:/run/futured/futured.sock)\n",
                  0, NULL);
}

/* --- values */

static void test_every_key(void **state)
{
    struct config *c;

    write_file("# a comment\n"
               "; another\n"
               "\n"
               "[futured]\n"
               "listen = unix:/run/a.sock\n"
               "listen=127.0.0.1:4740\n"
               "  state_directory   =   /var/lib/x  \r\n"
               "store = none\n"
               "log_level = debug\nunknown_functions = accept\n"
               "max_message = 64M\n"
               "[limits]\n"
               "connections = 1\n"
               "streams_per_connection = 1000000\nmessages_per_turn = 5\n"
               "header_list = 1M\n"
               "memory = 1048576\n"
               "futures = 1000000000\n"
               "waiter_edges = 77\n"
               "functions = 3\n"
               "[timeouts]\n"
               "preface = 100ms\n"
               "headers = 1500ms\n"
               "body = 2min\n"
               "idle = 0\n"
               "write = 1h\n"
               "keepalive = 0\n"
               "keepalive_timeout = 3s\n"
               "drain = 1d\n"
               "lease_ttl = 1min\n"
               "[pool]\n"
               "workers = 0\n"
               "plugin = /usr/lib/a.so\n"
               "plugin = b.so\n"
               "max_tasks_per_worker = 1000\n"
               "max_worker_age = 1h\n"
               "[function.thumb-1.x_Y]\n"
               "command = sh -c \"a ; b # c\"\n"
               "shell = yes\n"
               "doc = makes = things: small; really\n"
               "max_running = 4\n"
               "max_pending = 500000000\n"
               "rate = 0.25\n"
               "memory_max = 1G\n"
               "cpu_time_max = 1500ms\n"
               "max_result = 100K\n"
               "open_files = 64\n"
               "isolate = yes\n"
               "sandbox = no-network  system-calls\ntmp_max = 1M\n"
               "[function.b]\n"
               "command = b\n"
               "[function.c]\n"
               "rate = 7");
    c = LOAD("--config", path);
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(c->listen[0].text, "unix:/run/a.sock");
    assert_string_equal(c->listen[1].text, "127.0.0.1:4740");
    assert_false(c->is_listen_default);
    assert_string_equal(c->state_directory, "/var/lib/x");
    assert_true(c->log_level == LOG_DEBUG && c->unknown_functions == 2);
    assert_int_equal(c->limits.max_message_bytes, 64 << 20);
    assert_int_equal(c->max_connections, 1);
    assert_true(c->h2.max_streams == 1000000 && c->messages_per_turn == 5);
    assert_int_equal(c->h2.max_header_list_bytes, 1 << 20);
    assert_int_equal(c->limits.max_memory_bytes, 1 << 20);
    assert_int_equal(c->limits.max_futures, 1000000000);
    assert_int_equal(c->limits.max_waiter_edges, 77);
    assert_int_equal(c->limits.max_functions, 3);
    assert_true(c->h2.preface_timeout_ns == 100 * NS_PER_MS);
    assert_true(c->h2.headers_timeout_ns == 1500 * NS_PER_MS);
    assert_true(c->h2.body_timeout_ns == 120 * NS_PER_S);
    assert_true(c->h2.idle_timeout_ns == 0);
    assert_true(c->h2.write_timeout_ns == 3600 * NS_PER_S);
    assert_true(c->h2.keepalive_ns == 0);
    assert_true(c->h2.keepalive_timeout_ns == 3 * NS_PER_S);
    assert_true(c->drain_timeout_ns == 86400 * NS_PER_S);
    assert_true(c->lease_ttl_ns == 60 * NS_PER_S);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->max_tasks_per_worker, 1000);
    assert_true(c->max_worker_age_ns == 3600 * NS_PER_S);
    assert_int_equal(c->functions[0].memory_max_bytes, 1 << 30);
    assert_true(c->functions[0].cpu_time_max_ns == 1500 * NS_PER_MS);
    assert_int_equal(c->functions[0].max_result_bytes, 100 * 1024);
    assert_int_equal(c->functions[0].open_files, 64);
    assert_int_equal(c->functions[0].sandbox, CONFINE_NETWORK | CONFINE_CALLS);
    assert_true(c->functions[0].isolate && c->functions[0].tmp_max_bytes == 1 << 20);
    assert_true(config_function_has_attempt_limits(&c->functions[0]));
    assert_false(config_function_has_attempt_limits(&c->functions[1]));
    assert_int_equal(c->n_plugins, 2);
    assert_string_equal(c->plugins[0], "/usr/lib/a.so");
    assert_string_equal(c->plugins[1], "b.so");
    assert_int_equal(c->n_functions, 3);
    assert_int_equal(c->functions[0].max_pending, 500000000);
    assert_true(c->functions[0].rate == 0.25);
    assert_null(c->functions[2].command); /* only the limits of another one */
    assert_true(c->functions[2].rate == 7);
    assert_string_equal(c->functions[0].name, "thumb-1.x_Y");
    assert_string_equal(c->functions[0].command, "sh -c \"a ; b # c\"");
    assert_int_equal(c->functions[0].shell, 1);
    assert_string_equal(c->functions[0].doc, "makes = things: small; really");
    assert_int_equal(c->functions[0].max_running, 4);
    assert_string_equal(c->functions[0].file, path);
    assert_int_equal(c->functions[0].line, 37);
    assert_string_equal(c->functions[1].name, "b");
    assert_string_equal(c->functions[1].doc, "");
    assert_int_equal(c->functions[1].shell, 0);
    assert_int_equal(c->functions[1].max_running, 0);
    config_free(c);
}

/* Defaults of tasks, all of them and none; of whom there is nothing else. */
static void test_defaults_of_tasks(void **state)
{
    const struct config_function *f;
    struct config *c;

    write_file("[function.a]\n"
               "priority = -2147483648\n"
               "attempt_timeout = 90s\n"
               "max_attempts = 1000\n"
               "initial_backoff = 0\n"
               "multiplier = 1.5\n"
               "max_backoff = 1h\n"
               "jitter = 0\n"
               "non_retryable_types = ValueError   x.Y\t z\n"
               "on_lost = fail\n"
               "durability = ephemeral\n"
               "retention = 0\n"
               "[function.b]\n"
               "max_attempts = 2\n"
               "[function.c]\n"
               "command = c\n"
               "attempt_timeout = 0\n"
               "on_lost = retry\n"
               "durability = durable\n");
    c = LOAD("--config", path);
    f = &c->functions[0];
    assert_int_equal(f->defaults.priority, INT32_MIN);
    assert_true(f->defaults.attempt_timeout_ns == 90 * NS_PER_S);
    assert_int_equal(f->retry.max_attempts, 1000);
    assert_true(f->retry.initial_backoff_ns == 0 && f->retry.max_backoff_ns == 3600 * NS_PER_S);
    assert_true(f->retry.multiplier == 1.5 && f->retry.jitter == 0);
    assert_int_equal(f->retry.n_types, 3);
    assert_true(span_eq(f->retry.types[0], SPAN_LIT("ValueError")));
    assert_true(span_eq(f->retry.types[1], SPAN_LIT("x.Y")));
    assert_true(span_eq(f->retry.types[2], SPAN_LIT("z")));
    assert_int_equal(f->defaults.on_lost, ON_LOST_FAIL);
    assert_int_equal(f->defaults.durability, DURABILITY_EPHEMERAL);
    assert_true(f->defaults.retention_ns == 0);
    f = &c->functions[1];
    assert_int_equal(f->retry.max_attempts, 2);
    assert_true(f->retry.initial_backoff_ns == NS_PER_S && f->retry.max_backoff_ns == 300 * NS_PER_S);
    assert_true(f->retry.multiplier == 2 && f->retry.jitter == 0.2);
    assert_int_equal(f->retry.n_types, 0);
    assert_true(defaults_is_nothing(&f->defaults));
    f = &c->functions[2];
    assert_int_equal(f->retry.max_attempts, 0);
    assert_true(f->defaults.attempt_timeout_ns == 0 && f->defaults.retention_ns == -1);
    assert_int_equal(f->defaults.on_lost, ON_LOST_RETRY);
    assert_int_equal(f->defaults.durability, DURABILITY_DURABLE);
    config_free(c);
}

static void test_wrong_defaults_of_tasks(void **state)
{
    ASSERT_FILE_ERRORS("[function.a]\ncommand = a\njitter = 0\n[function.b]\nmax_backoff = 1s\n",
                       "C:3: [function.a] jitter: it needs max_attempts beside it\n"
                       "C:5: [function.b] max_backoff: it needs max_attempts beside it\n"
                       "C:4: [function.b] command: it is missing; a function needs one\n");
    ASSERT_FILE_ERRORS("[futured]\nstore = none\n[function.a]\ncommand = a\ndurability = durable\n",
                       "C:3: [function.a] durability: durable needs a store, and there is none\n");
}

static void test_bool_words(void **state)
{
    static const char *const words[] = {"yes", "true", "on", "1", "no", "false", "off", "0"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        char text[100];
        struct config *c;

        snprintf(text, sizeof text, "[function.f]\ncommand=x\nshell = %s\n", words[i]);
        write_file(text);
        c = LOAD("--config", path);
        assert_int_equal(c->functions[0].shell, i < 4);
        config_free(c);
    }
}

static void test_command_line_wins(void **state)
{
    struct config *c;

    write_file("[futured]\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\nlog_level = error\n[pool]\nworkers = "
               "3\n");
    c = LOAD("--config", path, "--listen", "127.0.0.1:2", "--listen=[::1]:3", "--log-level=warning",
             "--workers", "5", "--port-file", "/p", "--store=none", "--state-directory=/s");
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(c->listen[0].text, "127.0.0.1:2");
    assert_string_equal(c->listen[1].text, "[::1]:3");
    assert_int_equal(c->log_level, LOG_WARNING);
    assert_int_equal(c->workers, 5);
    assert_string_equal(c->port_file, "/p");
    assert_string_equal(c->state_directory, "/s");
    config_free(c);
    c = LOAD("--config", path, "--check-config");
    assert_int_equal(c->n_listen, 2);
    assert_int_equal(c->workers, 3);
    config_free(c);
}

/* --- errors of the file */

static void test_wrong_values(void **state)
{
    static const char size[] = " (bytes, or with K, M, G or T)",
                      span[] = " (a whole number with ms, s, min, h or d)";
    static const struct {
        const char *section, *key, *value, *what;
        const char *how; /* behind what, before " is allowed" */
        const char *more;
    } cases[] = {
            {"futured", "log_level", "loud", "error, warning, notice, info or debug", "", ""},
            {"futured", "store", "postgres", "sqlite (durable) or none (in memory only)", "", ""},
            {"store", "cache", "much", "a size from 0 to 1024T", size, ""},
            {"futured", "max_message", "4k", "a size from 4K to 64M", size, ""},
            {"futured", "max_message", "4095", "a size from 4K to 64M", size, ""},
            {"futured", "max_message", "65M", "a size from 4K to 64M", size, ""},
            {"futured", "max_message", "99999999999999999999", "a size from 4K to 64M", size, ""},
            {"futured", "max_message", "99999999999T", "a size from 4K to 64M", size, ""},
            {"futured", "max_message", "", "a size from 4K to 64M", size, ""},
            {"futured", "state_directory", "var", "an absolute path", "", ", shorter than 4096 bytes"},
            {"limits", "connections", "0", "a whole number from 1 to 1000000", "", ""},
            {"limits", "connections", "1000001", "a whole number from 1 to 1000000", "", ""},
            {"limits", "connections", "-1", "a whole number from 1 to 1000000", "", ""},
            {"limits", "connections", "1 000", "a whole number from 1 to 1000000", "", ""},
            {"limits", "connections", "0x10", "a whole number from 1 to 1000000", "", ""},
            {"limits", "memory", "1P", "a size from 1M to 1024T", size, ""},
            {"timeouts", "preface", "0", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "10", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "1.5s", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "10 s", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "99ms", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "25h", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "10sec", "a time from 100ms to 1d", span, ""},
            {"timeouts", "preface", "999999999999d", "a time from 100ms to 1d", span, ""},
            {"timeouts", "idle", "never", "a time from 1s to 365d", span, ", or 0 for never"},
            {"timeouts", "lease_ttl", "2h", "a time from 1s to 1h", span, ""},
            {"timeouts", "drain", "1ms", "a time from 100ms to 1d", span, ", or 0 for no time at all"},
            {"pool", "workers", "many", "a whole number from 0 to 4096", "", ""},
            {"function.f", "shell", "maybe", "yes or no", "", ""},
            {"function.f", "command", "", "a text of 1 to 4096 bytes", "", ""},
            {"function.f", "max_running", "all", "a whole number from 0 to 1000000", "", ""},
            {"function.f", "rate", "-1", "a number from 0 to 1000000000", "", ""},
            {"function.f", "rate", "1.", "a number from 0 to 1000000000", "", ""},
            {"function.f", "rate", ".5", "a number from 0 to 1000000000", "", ""},
            {"function.f", "rate", "1e3", "a number from 0 to 1000000000", "", ""},
            {"function.f", "rate", "1000000001", "a number from 0 to 1000000000", "", ""},
            {"function.f", "multiplier", "0.9", "a number from 1 to 1000000", "", ""},
            {"function.f", "jitter", "1.1", "a number from 0 to 1", "", ""},
            {"function.f", "max_attempts", "0", "a whole number from 1 to 1000", "", ""},
            {"function.f", "priority", "2147483648", "a whole number from -2147483648 to 2147483647", "", ""},
            {"function.f", "priority", "--1", "a whole number from -2147483648 to 2147483647", "", ""},
            {"function.f", "priority", "1.5", "a whole number from -2147483648 to 2147483647", "", ""},
            {"function.f", "sandbox", "no-network, read-only",
             "all, none, or any of private-tmp, no-network, read-only and system-calls with blanks between",
             "", ""},
            {"function.f", "on_lost", "never", "retry or fail", "", ""},
            {"function.f", "durability", "DURABLE", "durable or ephemeral", "", ""},
            {"function.f", "attempt_timeout", "soon", "a time from 1ms to 365d", span, ", or 0 for none"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int is_function = strncmp(cases[i].section, "function.", 9) == 0;
        int has_command = is_function && strcmp(cases[i].key, "command") != 0;
        char text[256], expect[512];

        snprintf(text, sizeof text, "[%s]\n%s%s = %s\n", cases[i].section, has_command ? "command = c\n" : "",
                 cases[i].key, cases[i].value);
        snprintf(expect, sizeof expect, "C:%d: [%s] %s: \"%s\": %s%s is allowed%s\n", has_command ? 3 : 2,
                 cases[i].section, cases[i].key, cases[i].value, cases[i].what, cases[i].how, cases[i].more);
        if (is_function && !has_command)
            strcat(expect, "C:1: [function.f] command: it is missing; a function needs one\n");
        ASSERT_FILE_ERRORS(text, expect);
    }
}

static void test_wrong_addresses(void **state)
{
    ASSERT_FILE_ERRORS(
            "[futured]\nlisten = localhost:1\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:1\n",
            "C:2: [futured] listen: \"localhost:1\": the host is a numeric address (127.0.0.1, [::1], or "
            "0.0.0.0 for all of IPv4, [::] for all of IPv6); names are not looked up\n"
            "C:4: [futured] listen: \"127.0.0.1:1\": it is there already\n");
}

static void test_wrong_plugins(void **state)
{
    ASSERT_FILE_ERRORS(
            "[pool]\nplugin = lib/a.so\nplugin =\nplugin = a.so\nplugin = a.so\n",
            "C:2: [pool] plugin: \"lib/a.so\": an absolute path is allowed, or the name of a file, shorter "
            "than 4096 bytes\n"
            "C:3: [pool] plugin: \"\": an absolute path is allowed, or the name of a file, shorter than "
            "4096 bytes\n"
            "C:5: [pool] plugin: \"a.so\": it is there already\n");
}

static void test_wrong_lines(void **state)
{
    ASSERT_FILE_ERRORS("workers = 1\n[pool]\nworkers = 2\n",
                       "C:1: workers: a value stands in a section; begin with [futured]\n");
    ASSERT_FILE_ERRORS("[pool]\nworkers\n",
                       "C:2: neither a [section], nor key = value, nor a comment (# or ;)\n");
    ASSERT_FILE_ERRORS("[pool]\nwrokers = 1\n\n[limits]\nworkers = 1\n",
                       "C:2: [pool] wrokers: there is no such key; see futured --help\n"
                       "C:5: [limits] workers: there is no such key; see futured --help\n");
    ASSERT_FILE_ERRORS("[pool]\nworkers = 1\n[limits]\nfunctions=1\n[pool]\nworkers = 1\n",
                       "C:6: [pool] workers: it is in line 2 already\n");
    ASSERT_FILE_ERRORS("[pol]\nworkers = 1\nanything = 2\n[function]\n[]\n[pool\n[pool] x\n",
                       "C:1: [pol]: there is no such section; [futured], [limits], [store], [timeouts], "
                       "[tls], [pool], "
                       "[function.NAME] and [principal.NAME] are allowed\n"
                       "C:4: [function]: there is no such section; [futured], [limits], [store], [timeouts], "
                       "[tls], [pool], "
                       "[function.NAME] and [principal.NAME] are allowed\n"
                       "C:5: a section is [NAME], alone on its line\n"
                       "C:6: a section is [NAME], alone on its line\n"
                       "C:7: a section is [NAME], alone on its line\n");
    /* an indented line is a line of its own, and a comment is one wherever it begins */
    ASSERT_FILE_ERRORS("[futured]\nlog_level = info\n   nothing = 1\n   # a comment\n",
                       "C:3: [futured] nothing: there is no such key; see futured --help\n");
}

static void test_wrong_functions(void **state)
{
    char text[1024], expect[1024], name[300];

    ASSERT_FILE_ERRORS(
            "[function.a]\ncommand = 1\n[function.b]\n[function.a]\ncommand = 2\n[function.a b]\nx = 1\n"
            "[function.]\n[function.c]\ncommand = 1\ncommand = 2\n",
            "C:3: [function.b] command: it is missing; a function needs one\n"
            "C:4: [function.a]: it is at C:1 already\n"
            "C:6: [function.a b]: a function's name has 1 to 255 of A-Z a-z 0-9 . _ -\n"
            "C:8: [function.]: a function's name has 1 to 255 of A-Z a-z 0-9 . _ -\n"
            "C:11: [function.c] command: it is in line 10 already\n");
    ASSERT_FILE_ERRORS("[limits]\nfunctions = 1\n[function.a]\ncommand = 1\n[function.b]\ncommand = 1\n",
                       "C:5: [function.b]: it is one too many; [limits] functions allows 1\n");

    /* names that only differ behind the 49 bytes that the parser keeps */
    memset(name, 'x', sizeof name);
    name[255] = '\0';
    snprintf(text, sizeof text, "[function.%s]\ncommand=1\n[function.%.254sy]\ncommand=1\n", name, name);
    write_file(text);
    config_free(LOAD("--config", path));
    snprintf(text, sizeof text, "[function.%sz]\n", name);
    snprintf(expect, sizeof expect,
             "C:1: [function.%sz]: a function's name has 1 to 255 of A-Z a-z 0-9 . _ -\n", name);
    ASSERT_FILE_ERRORS(text, expect);
}

/* [function.f] with a doc line of @length bytes (blanks, which are trimmed), and @next behind it. */
static void write_long_line(size_t length, const char *next)
{
    char text[20000];
    int n = snprintf(text, sizeof text, "[function.f]\ncommand = x\ndoc=");

    memset(text + n, ' ', length - 4);
    snprintf(text + n + length - 4, 1000, "\n%s", next);
    write_file(text);
}

/* The parser would go on with the rest of a long line as if it were a new one. */
static void test_long_lines(void **state)
{
    enum { LONGEST = 8188 };
    const char *const args[] = {"--config", path};
    char text[8192];
    struct config *c;
    int n;

    write_long_line(LONGEST, "");
    c = LOAD("--config", path);
    assert_string_equal(c->functions[0].doc, "");
    config_free(c);
    for (size_t length = LONGEST + 1; length < LONGEST + 10; length++) {
        write_long_line(length, "shell = maybe\n");
        assert_errors(CONFIG_E_INVALID,
                      "C:3: the line is too long; at most 8188 bytes of UTF-8 are allowed\n"
                      "C:4: [function.f] shell: \"maybe\": yes or no is allowed\n",
                      2, args);
    }
    write_long_line((size_t)2 * LONGEST, "");
    assert_errors(CONFIG_E_INVALID, "C:3: the line is too long; at most 8188 bytes of UTF-8 are allowed\n", 2,
                  args);

    n = snprintf(text, sizeof text, "[function.f]\ncommand = ");
    memset(text + n, 'c', 4097);
    strcpy(text + n + 4097, "\n");
    ASSERT_FILE_ERRORS(
            text, "C:2: [function.f] command: "
                  "\"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
                  "cccccccccccc...\": a text of 1 to 4096 bytes is allowed\n"
                  "C:1: [function.f] command: it is missing; a function needs one\n");
    text[n + 4096] = '\n';
    text[n + 4097] = '\0';
    write_file(text);
    c = LOAD("--config", path);
    assert_int_equal(strlen(c->functions[0].command), 4096);
    config_free(c);
}

static void test_strange_bytes(void **state)
{
    static const char nul[] = "[pool]\nworkers = 1\0 2\n", not_utf8[] = "[pool]\nworkers = \xff\n",
                      bom[] = "\xef\xbb\xbf[pool]\nworkers = 7\n";
    const char *const args[] = {"--config", path};
    struct config *c;

    write_bytes(path, nul, sizeof nul - 1);
    assert_errors(CONFIG_E_INVALID,
                  "C:2: there is a NUL byte in the line; at most 8188 bytes of UTF-8 are allowed\n", 2, args);
    ASSERT_FILE_ERRORS(not_utf8, "C:2: the line is not UTF-8; at most 8188 bytes of UTF-8 are allowed\n");
    write_file(bom);
    c = LOAD("--config", path);
    assert_int_equal(c->workers, 7);
    config_free(c);
    write_file("");
    config_free(LOAD("--config", path));
}

static void test_no_file(void **state)
{
    const char *const missing[] = {"--config", path}, *const folder[] = {"--config", dir};
    char expect[256];

    assert_errors(CONFIG_E_INVALID, "C: cannot be read: No such file or directory\n", 2, missing);
    snprintf(expect, sizeof expect, "%s: cannot be read: Is a directory\n", dir);
    assert_errors(CONFIG_E_INVALID, expect, 2, folder);
}

static void test_many_errors_are_cut(void **state)
{
    char text[CONFIG_ERRORS_MAX * 2 * 10 + 10] = "[pool]\n";
    const char *const args[] = {"--config", path};
    struct config *c = NULL;
    char *errors;
    size_t n = 0;

    for (int i = 0; i < CONFIG_ERRORS_MAX * 2; i++)
        strcat(text, "x = 1\n");
    write_file(text);
    assert_int_equal(load(&c, &errors, 2, args), CONFIG_E_INVALID);
    for (const char *at = errors; (at = strchr(at, '\n')); at++)
        n++;
    assert_int_equal(n, CONFIG_ERRORS_MAX);
    free(errors);
}

/* --- functions_directory */

static void write_part(const char *name, const char *text)
{
    char part[200];

    snprintf(part, sizeof part, "%s/d/%s", dir, name);
    write_bytes(part, text, strlen(text));
}

static void remove_parts(const char *const names[], size_t n)
{
    char part[200];

    for (size_t i = 0; i < n; i++) {
        snprintf(part, sizeof part, "%s/d/%s", dir, names[i]);
        assert_int_equal(unlink(part), 0);
    }
    snprintf(part, sizeof part, "%s/d", dir);
    assert_int_equal(rmdir(part), 0);
}

static void test_functions_directory(void **state)
{
    static const char *const names[] = {"20-b.conf",    "10-a.conf",  "B.conf",
                                        ".hidden.conf", "x.conf.bak", "readme"};
    const char *const args[] = {"--config", path};
    char text[256], expect[1024];
    struct config *c;

    snprintf(text, sizeof text, "%s/d", dir);
    assert_int_equal(mkdir(text, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char part[64];

        snprintf(part, sizeof part, "[function.f%zu]\ncommand = c\n", i);
        write_part(names[i], part);
    }
    snprintf(text, sizeof text, "[futured]\nfunctions_directory = %s/d\n[function.first]\ncommand = c\n",
             dir);
    write_file(text);
    c = LOAD("--config", path);
    assert_int_equal(c->n_functions, 4);
    assert_string_equal(c->functions[0].name, "first");
    assert_string_equal(c->functions[1].name, "f1");
    assert_string_equal(c->functions[2].name, "f0");
    assert_string_equal(c->functions[3].name, "f2");
    config_free(c);

    write_part("10-a.conf", "[pool]\nworkers = 1\n[function.first]\ncommand = d\n");
    snprintf(expect, sizeof expect,
             "%s/d/10-a.conf:1: [pool]: only [function.NAME] is allowed in a file of functions_directory\n"
             "%s/d/10-a.conf:3: [function.first]: it is at %s:3 already\n",
             dir, dir, path);
    assert_errors(CONFIG_E_INVALID, expect, 2, args);
    remove_parts(names, ARRAY_LEN(names));
    snprintf(expect, sizeof expect,
             "[futured] functions_directory: %s/d cannot be read: No such file or directory\n", dir);
    assert_errors(CONFIG_E_INVALID, expect, 2, args);
}

/* --- the command line */

static void test_usage(void **state)
{
    ASSERT_USAGE("--nope: there is no such option; see futured --help\n", "--nope");
    ASSERT_USAGE("--check-store: its value is missing: --check-store DIR\n", "--check-store");
    ASSERT_USAGE("--backup: its value is missing: --backup DIR\n", "--backup");
    ASSERT_USAGE("--list: there is no such option; see futured --help\n", "--list", "127.0.0.1:1");
    ASSERT_USAGE("-v: options begin with --, and nothing else is taken; see futured --help\n", "-v");
    ASSERT_USAGE("file: options begin with --, and nothing else is taken; see futured --help\n", "file");
    ASSERT_USAGE("--: options begin with --, and nothing else is taken; see futured --help\n", "--");
    ASSERT_USAGE("--listen: its value is missing: --listen ADDR\n", "--listen");
    ASSERT_USAGE("--workers: its value is missing: --workers N\n", "--workers=");
    ASSERT_USAGE("--config: its value is missing: --config FILE\n", "--config", "");
    ASSERT_USAGE("--check-config: it takes no value\n", "--check-config=yes");
    ASSERT_USAGE("--workers: \"two\": a whole number from 0 to 4096 is allowed\n", "--workers", "two");
    ASSERT_USAGE("--store: \"memory\": sqlite (durable) or none (in memory only) is allowed\n", "--store",
                 "memory");
    ASSERT_USAGE("--accept-loss: it takes no value\n", "--accept-loss=yes");
    ASSERT_USAGE("--log-level: \"x\": error, warning, notice, info or debug is allowed\n"
                 "--listen: \"1\": no port; an address is unix:/path, 127.0.0.1:4740 or [::1]:4740\n",
                 "--log-level=x", "--listen=1", "--config=/missing");
}

/* --- the program's face: in a child, because it prints */

struct run {
    int status;
    char out[32768], err[16384];
};

static size_t read_back(int fd, char *to, size_t size)
{
    ssize_t n;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    n = read(fd, to, size - 1);
    assert_true(n >= 0);
    to[n] = '\0';
    close(fd);
    return (size_t)n;
}

static void run_main(struct run *run, const char *argument, const char *value)
{
    char *const argv[] = {strdup("futured"), strdup(argument), value ? strdup(value) : NULL};
    int out = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600),
        err = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct config *c = NULL;
        int r;

        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        r = config_main(&c, value ? 3 : 2, argv);
        fflush(NULL);
        _exit(r < 0 ? 100 : r);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    run->status = WEXITSTATUS(status);
    read_back(out, run->out, sizeof run->out);
    read_back(err, run->err, sizeof run->err);
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        free(argv[i]);
}

static void test_main(void **state)
{
    struct run run;
    char argument[128];

    run_main(&run, "--version", NULL);
    assert_int_equal(run.status, 0);
    assert_string_equal(run.out, "futured " FUTURED_VERSION "\n");
    run_main(&run, "--check-config", NULL);
    assert_int_equal(run.status, 0);
    assert_string_equal(run.out, "configuration ok\n");
    run_main(&run, "--listen=127.0.0.1:0", NULL);
    assert_int_equal(run.status, 100); /* run */
    run_main(&run, "--bad", NULL);
    assert_int_equal(run.status, 2);
    assert_string_equal(run.err, "futured: --bad: there is no such option; see futured --help\n");
    assert_string_equal(run.out, "");
    run_main(&run, "--listen=bad", NULL);
    assert_int_equal(run.status, 2);

    write_file("[pool]\nworkers = x\n");
    snprintf(argument, sizeof argument, "--config=%s", path);
    run_main(&run, argument, "--check-config");
    assert_int_equal(run.status, 1);
    assert_string_equal(run.out, "");
    assert_non_null(strstr(run.err, ":2: [pool] workers: \"x\": a whole number from 0 to 4096 is allowed\n"));
    run_main(&run, argument, NULL);
    assert_int_equal(run.status, 1);
}

static void test_help_names_everything(void **state)
{
    struct run run;

    run_main(&run, "--help", NULL);
    assert_int_equal(run.status, 0);
    for (size_t i = 0; i < config_n_keys; i++) {
        char flag[64];

        snprintf(flag, sizeof flag, "\n  %s ", config_keys[i].name);
        if (!strstr(run.out, flag))
            fail_msg("--help does not name the key %s", config_keys[i].name);
        snprintf(flag, sizeof flag, "\n  --%s ", config_keys[i].flag ? config_keys[i].flag : "help");
        if (!strstr(run.out, flag))
            fail_msg("--help does not name %s", flag);
    }
    for (const char *line = run.out; *line; line = strchr(line, '\n') + 1)
        assert_true(strchr(line, '\n') - line <= 100);
}

/* --- the shipped file */

static char *example(size_t *ret_n)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_n);

    assert_non_null(to);
    config_write_example(to);
    assert_int_equal(fclose(to), 0);
    return text;
}

static void test_shipped_file(void **state)
{
    static char shipped[65536];
    size_t n;
    char *text = example(&n);
    int fd = open(FUTURED_SHIPPED_CONFIG, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    read_back(fd, shipped, sizeof shipped);
    if (strcmp(shipped, text) != 0)
        fail_msg("%s is not what the table says; write it by: test_daemon_config %s", FUTURED_SHIPPED_CONFIG,
                 FUTURED_SHIPPED_CONFIG);
    free(text);
}

/* As it is, but for its directory, it is a valid file; and so it is when everything is switched on. */
static void test_shipped_file_is_valid(void **state)
{
    struct config *c;
    size_t n;
    char *text = example(&n), *line;

    line = strstr(text, "\nfunctions_directory");
    assert_non_null(line);
    line[1] = '#';
    write_file(text);
    c = LOAD("--config", path);
    assert_true(c->is_listen_default);
    assert_int_equal(c->n_functions, 0);
    config_free(c);

    for (line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (line[0] == '#' && line[1] != ' ' && strncmp(line, "#unctions_directory", 19) != 0 &&
            strncmp(line, "#token_file", 11) != 0) /* which would have to be there */
            *line = ' ';
    }
    write_file(text);
    c = LOAD("--config", path);
    assert_int_equal(c->n_functions, 1);
    assert_string_equal(c->functions[0].name, "NAME");
    assert_string_equal(c->state_directory, "/var/lib/futured");
    assert_int_equal(c->max_connections, 10000);
    config_free(c);
    free(text);
}

/* --- memory */

static void test_each_allocation_fails(void **state)
{
    char *const argv[] = {strdup("--config"), strdup(path), strdup("--listen=127.0.0.1:1"),
                          strdup("--port-file=/p")};

    write_file("[futured]\nstate_directory = /x\nnonsense = 1\n[function.a]\ncommand = "
               "a\n[function.b]\ncommand = b\n");
    for (int is_good = 0; is_good < 2; is_good++) {
        FAIL_EACH_ALLOCATION(nth)
        {
            CLEANUP(buf_deinit) struct buf errors = BUF_INIT;
            struct config *c = NULL;
            int r = config_load(&c, (int)ARRAY_LEN(argv), argv, &errors);

            assert_int_equal(r, test_allocation_failed() ? -ENOMEM : is_good ? 0 : CONFIG_E_INVALID);
            config_free(c);
        }
        write_file("[futured]\nstate_directory = /x\n[function.a]\ncommand = a\n[function.b]\ncommand = b\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        free(argv[i]);
}

#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
            CONFIG_TEST(test_defaults),
            CONFIG_TEST(test_default_directories),
            CONFIG_TEST(test_every_key),
            CONFIG_TEST(test_defaults_of_tasks),
            CONFIG_TEST(test_wrong_defaults_of_tasks),
            CONFIG_TEST(test_bool_words),
            CONFIG_TEST(test_command_line_wins),
            CONFIG_TEST(test_wrong_values),
            CONFIG_TEST(test_wrong_addresses),
            CONFIG_TEST(test_wrong_plugins),
            CONFIG_TEST(test_wrong_lines),
            CONFIG_TEST(test_wrong_functions),
            CONFIG_TEST(test_long_lines),
            CONFIG_TEST(test_strange_bytes),
            CONFIG_TEST(test_no_file),
            CONFIG_TEST(test_many_errors_are_cut),
            CONFIG_TEST(test_functions_directory),
            CONFIG_TEST(test_usage),
            CONFIG_TEST(test_main),
            CONFIG_TEST(test_help_names_everything),
            CONFIG_TEST(test_shipped_file),
            CONFIG_TEST(test_shipped_file_is_valid),
            CONFIG_TEST(test_each_allocation_fails),
    };

    if (argc == 2) {
        FILE *to = fopen(argv[1], "we");

        if (!to)
            return 1;
        config_write_example(to);
        return fclose(to) == 0 ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
