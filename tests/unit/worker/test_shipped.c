// SPDX-License-Identifier: Apache-2.0
/* The functions that ship: known vectors, the tools of the system as judges, wrong arguments, limits. */
#include "tests/unit/worker/call.h"

enum { MAX_RESULT = 2 * 1024 * 1024 };

static struct functions functions;
static struct test_call t;

static void run_bytes(const char *name, struct span argument, size_t max)
{
    const struct function *f = functions_find(&functions, span_of_string(name));

    assert_non_null(f);
    test_call_begin(&t, argument, NULL, max);
    functions_run(&functions, f, &t.call);
}

static void run(const char *name, const char *argument)
{
    run_bytes(name, span_of_string(argument), MAX_RESULT);
}

static void test_which(void **state)
{
    static const char *const names[] = {"echo", "sleep", "sha256", "gzip", "gunzip", "fail"};

    assert_int_equal(functions.n_problems, 0);
    assert_int_equal(functions.n_items, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_string_equal(functions.items[i].name, names[i]);
        assert_true(strlen(functions.items[i].doc) > 5);
        assert_string_equal(functions.items[i].version, FUTURED_VERSION);
    }
}

static void test_echo(void **state)
{
    run("echo", "hello");
    test_call_expect(&t, "hello");
    assert_true(span_eq(t.call.result_type, SPAN_LIT("text/plain"))); /* as the argument's */
    run("echo", "");
    test_call_expect(&t, "");
    run_bytes("echo", SPAN_LIT("\0\xff"), 2);
    assert_int_equal(t.call.n_result, 2);
    run_bytes("echo", SPAN_LIT("123"), 2);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "has 3 bytes; at most 2");
}

static void test_sleep(void **state)
{
    mono_ns_t before = clock_mono();

    run("sleep", "0");
    test_call_expect(&t, "");
    run("sleep", "25");
    test_call_expect(&t, "");
    assert_true(clock_mono() - before >= 25 * NS_PER_MS);
    test_call_begin(&t, SPAN_LIT("999999999"), NULL, 10); /* eleven days */
    attempt_cancel(&t.call, 0);
    functions_run(&functions, functions_find(&functions, SPAN_LIT("sleep")), &t.call);
    test_call_expect_failure(&t, "CANCELLED", GRPC_CANCELLED, "CANCELLED", "the sleep was cancelled");
}

static void test_sleep_wrong(void **state)
{
    static const char *const wrong[] = {"", "-1", "1.5", " 1", "1 ", "1s", "x", "9999999999", "\xff"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        run("sleep", wrong[i]);
        test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT",
                                 i == ARRAY_LEN(wrong) - 1 ? "\"\xef\xbf\xbd\"" : wrong[i]);
    }
    run("sleep", "a very long text that is no number and that nobody wants to read whole");
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "...\"");
}

static void test_sha256(void **state)
{
    static uint8_t million[1000000];

    run("sha256", "");
    test_call_expect(&t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    run("sha256", "abc");
    test_call_expect(&t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    run("sha256", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    test_call_expect(&t, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof million);
    run_bytes("sha256", (struct span){million, sizeof million}, 64);
    test_call_expect(&t, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    run_bytes("sha256", SPAN_LIT("abc"), 63);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "64 bytes");
}

/* What `command` makes of @in. */
static struct buf judge(const char *command, struct span in)
{
    char name[] = "/tmp/futured-judge-XXXXXX", line[128];
    int fd = mkstemp(name);
    struct buf out = BUF_INIT;
    uint8_t bytes[4096];
    FILE *pipe;
    size_t n;

    assert_true(fd >= 0 && write(fd, in.p, in.len) == (ssize_t)in.len);
    close(fd);
    snprintf(line, sizeof line, "%s <%s", command, name);
    pipe = popen(line, "r"); // NOLINT(cert-env33-c): a judge
    assert_non_null(pipe);
    while ((n = fread(bytes, 1, sizeof bytes, pipe)) > 0)
        assert_int_equal(buf_append(&out, bytes, n), 0);
    assert_int_equal(pclose(pipe), 0);
    unlink(name);
    return out;
}

static struct buf take_result(void)
{
    struct span s = attempt_result(&t.call);
    struct buf b = BUF_INIT;

    assert_false(t.call.has_failed);
    assert_int_equal(buf_append(&b, s.p, s.len), 0);
    return b;
}

#define SPAN_OF(b) ((struct span){buf_head(b), buf_len(b)})

static void test_gzip_and_gunzip(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 900000};
    struct test_random random = {test_seed()};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int is_random = 0; is_random < 2; is_random++) {
            size_t n = sizes[i];
            uint8_t *bytes = malloc(n + 1);
            struct span plain = {bytes, n};
            struct buf zipped, other;

            for (size_t k = 0; k < n; k++)
                bytes[k] = is_random ? (uint8_t)test_random_next(&random) : (uint8_t)(k % 10);
            run_bytes("gzip", plain, MAX_RESULT);
            zipped = take_result();
            assert_true(span_eq(t.call.result_type, SPAN_LIT("application/gzip")));
            other = judge("gzip -dc", SPAN_OF(&zipped)); /* gzip reads ours ... */
            assert_true(span_eq(SPAN_OF(&other), plain) || n == 0);
            buf_deinit(&other);
            run_bytes("gunzip", SPAN_OF(&zipped), MAX_RESULT);
            assert_false(t.call.has_failed);
            assert_true(span_eq(attempt_result(&t.call), plain) || t.call.n_result + n == 0);
            other = judge("gzip -9c", plain); /* ... and we read gzip's */
            run_bytes("gunzip", SPAN_OF(&other), n);
            assert_false(t.call.has_failed);
            assert_true(span_eq(attempt_result(&t.call), plain) || t.call.n_result + n == 0);
            buf_deinit(&other);
            buf_deinit(&zipped);
            free(bytes);
        }
}

static void test_members(void **state)
{
    struct buf all, second;

    run("gzip", "one");
    all = take_result();
    run("gzip", "two");
    second = take_result();
    assert_int_equal(buf_append(&all, buf_head(&second), buf_len(&second)), 0);
    run_bytes("gunzip", SPAN_OF(&all), 100);
    test_call_expect(&t, "onetwo");
    assert_int_equal(buf_append(&all, "x", 1), 0);
    run_bytes("gunzip", SPAN_OF(&all), 100);
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "no gzip data: ");
    buf_deinit(&all);
    buf_deinit(&second);
}

static void test_gunzip_wrong(void **state)
{
    struct buf good;

    run("gunzip", "this is no gzip data");
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT",
                             "the argument is no gzip data: incorrect header check");
    run("gunzip", "");
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "it ends too early");
    run("gzip", "a text to be damaged");
    good = take_result();
    for (size_t n = 0; n < buf_len(&good); n++) { /* cut off anywhere */
        run_bytes("gunzip", (struct span){buf_head(&good), n}, 1000);
        test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "it ends too early");
    }
    buf_head(&good)[buf_len(&good) - 5] ^= 1; /* the checksum */
    run_bytes("gunzip", SPAN_OF(&good), 1000);
    test_call_expect_failure(&t, "", GRPC_INVALID_ARGUMENT, "INVALID_ARGUMENT", "incorrect data check");
    buf_deinit(&good);
}

/* A few bytes that become many stop at the limit. */
static void test_bomb(void **state)
{
    size_t n = (size_t)8 * 1024 * 1024;
    uint8_t *zeros = calloc(1, n);
    struct buf bomb;

    run_bytes("gzip", (struct span){zeros, n}, MAX_RESULT);
    bomb = take_result();
    assert_true(buf_len(&bomb) < 10000);
    run_bytes("gunzip", SPAN_OF(&bomb), n);
    assert_int_equal(t.call.n_result, n);
    run_bytes("gunzip", SPAN_OF(&bomb), n - 1);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "",
                             "at most 8388607 are allowed");
    run_bytes("gunzip", SPAN_OF(&bomb), 0);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "at most 0 are allowed");
    run_bytes("gzip", (struct span){zeros, n}, 100);
    test_call_expect_failure(&t, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED, "", "at most 100 are allowed");
    buf_deinit(&bomb);
    free(zeros);
}

static void test_fail(void **state)
{
    run("fail", "as it was asked");
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "FAIL", "as it was asked");
    run("fail", "");
    test_call_expect_failure(&t, "", GRPC_UNKNOWN, "FAIL", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_which),   cmocka_unit_test(test_echo),
            cmocka_unit_test(test_sleep),   cmocka_unit_test(test_sleep_wrong),
            cmocka_unit_test(test_sha256),  cmocka_unit_test(test_gzip_and_gunzip),
            cmocka_unit_test(test_members), cmocka_unit_test(test_gunzip_wrong),
            cmocka_unit_test(test_bomb),    cmocka_unit_test(test_fail),
    };
    const char *plugins[] = {SHIPPED_PLUGIN};
    const struct spec spec = {.plugins = plugins, .n_plugins = 1};
    static const char *const none[] = {NULL};
    static struct runpage page;
    int failed;

    test_seed();
    ASSERT(functions_init(&functions, &spec, none, &page) == 0);
    test_call_init(&t);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_call_deinit(&t);
    functions_deinit(&functions);
    return failed;
}
