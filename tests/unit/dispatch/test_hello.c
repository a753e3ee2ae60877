// SPDX-License-Identifier: Apache-2.0
/* Hello: every field that can be wrong, by who says it; and what is read of it. */
#include "dispatch/hello.h"
#include "futured/v1/workers.pb-c.h"
#include "tests/support/testing.h"
#include "tests/support/text.h"

#define FUNCTION "functions { name: 'f' } "
#define TOKEN    "session_token: 'abcdefghijklmnop' "

static int read_text(enum hello_of of, const char *text, struct grpc_status *st)
{
    struct buf message = BUF_INIT;
    struct hello hello;
    int r;

    text_encode(&message, &futured__v1__hello__descriptor, "%s", text);
    r = hello_read((struct span){buf_head(&message), buf_len(&message)}, of, &hello, st);
    buf_deinit(&message);
    return r;
}

static void expect_bad(enum hello_of of, const char *text, enum grpc_code code, const char *field)
{
    struct grpc_status st;

    if (read_text(of, text, &st) != HELLO_E_BAD)
        fail_msg("taken: %s", text);
    assert_int_equal(st.code, code);
    assert_string_equal(st.violations[0].field, field);
    assert_non_null(strstr(st.message, field));
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
            {TOKEN FUNCTION "slots: 1 name: x256", "hello.name"},
            {TOKEN FUNCTION "slots: 1 version: x256", "hello.version"},
            {TOKEN FUNCTION, "hello.slots"},
            {TOKEN FUNCTION "slots: 1025", "hello.slots"},
            {FUNCTION "slots: 1", "hello.session_token"},
            {FUNCTION "slots: 1 session_token: x15", "hello.session_token"},
            {FUNCTION "slots: 1 session_token: x65", "hello.session_token"},
            {FUNCTION "slots: 1 session_token: 'abcdefgh ijklmno'", "hello.session_token"},
            {FUNCTION "slots: 1 session_token: 'abcdefghijklmnopé'", "hello.session_token"},
            {TOKEN "slots: 1", "hello.functions"},
            {TOKEN "slots: 1 functions {}", "hello.functions"},
            {TOKEN "slots: 1 functions { name: 'f' doc: x4097 }", "hello.functions.doc"},
            {TOKEN "slots: 1 functions { name: 'f' version: x256 }", "hello.functions.version"},
            {TOKEN "slots: 1 functions { name: 'f' 17 * content_types: 'a/b' }",
             "hello.functions.content_types"},
            {TOKEN "slots: 1 functions { name: 'f' content_types: x256 }", "hello.functions.content_types"},
            {TOKEN FUNCTION "slots: 1 held_leases {}", "hello.held_leases"},
            {TOKEN FUNCTION "slots: 1 labels { value: 'v' }", "hello.labels"},
            {TOKEN FUNCTION "slots: 1 labels { key: x64 }", "hello.labels"},
            {TOKEN FUNCTION "slots: 1 labels { key: 'k' value: x1025 }", "hello.labels"},
            {TOKEN FUNCTION "slots: 1 65 * labels { key: 'k$' }", "hello.labels"},
            {TOKEN FUNCTION "slots: 1 labels { key: #ff }", "hello.labels"},
            {TOKEN FUNCTION "slots: 1 @3: 5", "hello.functions"},
            {TOKEN FUNCTION "slots: 1 name: #ff", "hello.name"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_bad(HELLO_OF_STREAM, cases[i].text, GRPC_INVALID_ARGUMENT, cases[i].field);
}

static void test_unbuilt(void **state)
{
    expect_bad(HELLO_OF_CLAIM, TOKEN FUNCTION "namespaces: '' namespaces: 'n'", GRPC_UNIMPLEMENTED,
               "hello.namespaces");
}

/* Children of the pool need no token, Claims no slots. */
static void test_by_whom(void **state)
{
    struct grpc_status st;

    assert_int_equal(read_text(HELLO_OF_POOL, FUNCTION "slots: 1", &st), 0);
    assert_int_equal(read_text(HELLO_OF_POOL, "slots: 1 functions { name: 'f' doc: x5000 }", &st), 0);
    assert_int_equal(read_text(HELLO_OF_CLAIM, TOKEN FUNCTION "namespaces: ''", &st), 0);
    assert_int_equal(read_text(HELLO_OF_STREAM, TOKEN FUNCTION "slots: 1024", &st), 0);
}

static void test_functions(void **state)
{
    struct buf message = BUF_INIT;
    struct hello_function f;
    struct grpc_status st;
    struct wire_reader r;
    struct hello hello;

    text_encode(&message, &futured__v1__hello__descriptor,
                TOKEN
                "functions { name: 'a' doc: 'first' } name: 'w' functions { name: 'b.c_d-E9' } version: '1'");
    assert_int_equal(
            hello_read((struct span){buf_head(&message), buf_len(&message)}, HELLO_OF_CLAIM, &hello, &st), 0);
    assert_int_equal(hello.functions, 2);
    assert_true(span_eq(hello.name, SPAN_LIT("w")));
    r = wire_reader(hello.message);
    assert_int_equal(hello_next_function(&r, &f), 1);
    assert_true(span_eq(f.name, SPAN_LIT("a")));
    assert_true(span_eq(f.doc, SPAN_LIT("first")));
    assert_int_equal(hello_next_function(&r, &f), 1);
    assert_true(span_eq(f.name, SPAN_LIT("b.c_d-E9")));
    assert_int_equal(f.doc.len, 0);
    assert_int_equal(hello_next_function(&r, &f), 0);
    buf_deinit(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bad),
            cmocka_unit_test(test_unbuilt),
            cmocka_unit_test(test_by_whom),
            cmocka_unit_test(test_functions),
    };

    return cmocka_run_group_tests_name("dispatch/hello", tests, NULL, NULL);
}
