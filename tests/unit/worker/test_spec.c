// SPDX-License-Identifier: Apache-2.0
/* The format of fd 5: what is written is read, by several readers of one description, and everything else is refused. */
#include "grpc/writer.h"
#include "tests/support/testing.h"
#include "worker/spec.h"

#include <fcntl.h>

#include <sys/mman.h>

/* The bytes that version 1 has for a small spec; they change only with the version. */
static const uint8_t golden[] = "\x08\x01"
                                "\x12\x05/a.so"
                                "\x1a\x11\x0a\x03"
                                "cut\x12\x03"
                                "cut\x18\x01\x22\x03"
                                "doc";

static int file_of(const void *p, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    return fd;
}

static void test_round_trip(void **state)
{
    const char *plugins[] = {"/usr/lib/a.so", "b.so"};
    struct spec_command commands[] = {
            {.name = "thumb", .line = "/usr/bin/convert - 'png:-'", .doc = "small", .directory = "/srv"},
            {.name = "upper", .line = "tr a-z A-Z | cat", .is_shell = 1},
            {.name = "empty", .line = ""},
    };
    struct spec_limits limits[] = {
            {.name = "thumb",
             .memory_bytes = 1 << 30,
             .cpu_seconds = 60,
             .result_bytes = 1000,
             .open_files = 64},
            {.name = "echo", .is_isolated = 1, .sandbox = 5, .tmp_bytes = 65536},
    };
    const struct spec spec = {.plugins = plugins,
                              .n_plugins = 2,
                              .commands = commands,
                              .n_commands = 3,
                              .limits = limits,
                              .n_limits = 2,
                              .max_tasks = 100,
                              .max_age_ms = 60000,
                              .n_threads = 4,
                              .nice = -20};
    struct spec read;
    int fd, seals;

    assert_int_equal(spec_write(&spec, &fd), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    seals = fcntl(fd, F_GET_SEALS);
    assert_int_equal(seals, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    for (int i = 0; i < 2; i++) { /* all workers read the same description */
        assert_int_equal(spec_read(fd, &read), 0);
        assert_int_equal(read.n_plugins, 2);
        assert_string_equal(read.plugins[0], "/usr/lib/a.so");
        assert_string_equal(read.plugins[1], "b.so");
        assert_int_equal(read.n_commands, 3);
        for (uint32_t k = 0; k < 3; k++) {
            assert_string_equal(read.commands[k].name, commands[k].name);
            assert_string_equal(read.commands[k].line, commands[k].line);
            assert_string_equal(read.commands[k].doc, commands[k].doc ? commands[k].doc : "");
            assert_string_equal(read.commands[k].directory,
                                commands[k].directory ? commands[k].directory : "");
            assert_int_equal(read.commands[k].is_shell, commands[k].is_shell);
        }
        assert_int_equal(read.n_limits, 2);
        assert_string_equal(read.limits[0].name, "thumb");
        assert_int_equal(read.limits[0].memory_bytes, 1 << 30);
        assert_int_equal(read.limits[0].cpu_seconds, 60);
        assert_int_equal(read.limits[0].result_bytes, 1000);
        assert_int_equal(read.limits[0].open_files, 64);
        assert_false(read.limits[0].is_isolated);
        assert_true(read.limits[1].is_isolated);
        assert_int_equal(read.limits[1].sandbox, 5);
        assert_int_equal(read.limits[1].tmp_bytes, 65536);
        assert_int_equal(read.max_tasks, 100);
        assert_int_equal(read.max_age_ms, 60000);
        assert_int_equal(read.n_threads, 4);
        assert_int_equal(read.nice, -20);
        spec_deinit(&read);
    }
    close(fd);
}

static void test_empty(void **state)
{
    const struct spec spec = {0};
    struct spec read;
    int fd;

    assert_int_equal(spec_write(&spec, &fd), 0);
    assert_int_equal(spec_read(fd, &read), 0);
    assert_int_equal(read.n_plugins + read.n_commands, 0);
    spec_deinit(&read);
    close(fd);
}

static void test_golden(void **state)
{
    const char *plugins[] = {"/a.so"};
    struct spec_command commands[] = {{.name = "cut", .line = "cut", .doc = "doc", .is_shell = 1}};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1, .commands = commands, .n_commands = 1};
    uint8_t bytes[256];
    int fd;

    assert_int_equal(spec_write(&spec, &fd), 0);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof golden - 1);
    assert_memory_equal(bytes, golden, sizeof golden - 1);
    close(fd);
}

static void test_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int error;
    } cases[] = {
            {"", 0, SPEC_E_VERSION},
            {"\x08\x02", 2, SPEC_E_VERSION},
            {"\x08", 1, SPEC_E_MALFORMED},
            {"\x12\xff", 2, SPEC_E_MALFORMED},
            {"\x08\x01\x12\x01\xff", 5, SPEC_E_MALFORMED},
            {"\x08\x01\x1a\x02\x0a\x05", 6, SPEC_E_MALFORMED},
    };
    struct spec read;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = file_of(cases[i].bytes, cases[i].n);

        assert_int_equal(spec_read(fd, &read), cases[i].error);
        assert_string_not_equal(spec_error_text(cases[i].error), spec_error_text(0));
        close(fd);
    }
    assert_int_equal(spec_read(-1, &read), -EBADF);
}

static void test_unknown_fields_are_skipped(void **state)
{
    static const char bytes[] = "\x08\x01\x78\x05\x12\x05/a.so";
    int fd = file_of(bytes, sizeof bytes - 1);
    struct spec read;

    assert_int_equal(spec_read(fd, &read), 0);
    assert_int_equal(read.n_plugins, 1);
    spec_deinit(&read);
    close(fd);
}

static void test_limits(void **state)
{
    static const char *plugins[SPEC_PLUGINS_MAX + 1];
    struct spec spec = {.plugins = plugins, .n_plugins = SPEC_PLUGINS_MAX}, read;
    struct buf bytes = BUF_INIT;
    struct writer w = writer_to(&bytes);
    int fd;

    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        plugins[i] = "p";
    assert_int_equal(spec_write(&spec, &fd), 0);
    assert_int_equal(spec_read(fd, &read), 0);
    assert_int_equal(read.n_plugins, SPEC_PLUGINS_MAX);
    spec_deinit(&read);
    close(fd);
    spec.n_plugins++;
    assert_int_equal(spec_write(&spec, &fd), SPEC_E_LIMIT);

    /* and the reader trusts no writer */
    writer_uint(&w, 1, SPEC_VERSION);
    for (size_t i = 0; i < SPEC_PLUGINS_MAX + 1; i++)
        writer_text(&w, 2, "p");
    fd = file_of(buf_head(&bytes), buf_len(&bytes));
    assert_int_equal(spec_read(fd, &read), SPEC_E_LIMIT);
    close(fd);
    buf_deinit(&bytes);

    fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, SPEC_MAX_BYTES + 1), 0);
    assert_int_equal(spec_read(fd, &read), SPEC_E_LIMIT);
    close(fd);
}

static void test_without_memory(void **state)
{
    const char *plugins[] = {"/a.so"};
    struct spec_command commands[] = {{.name = "cut", .line = "cut", .doc = "doc"}};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1, .commands = commands, .n_commands = 1};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct spec read;
        int fd = -1, r = spec_write(&spec, &fd);

        if (r == 0)
            r = spec_read(fd, &read);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            spec_deinit(&read);
        err_close(&fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_round_trip),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_golden),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_unknown_fields_are_skipped),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
