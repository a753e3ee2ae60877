// SPDX-License-Identifier: Apache-2.0
/* Reading requests: each table against the generated code, and every check with what it says when it fails. */
#include "base/limit.h"
#include "futured/v1/futures.pb-c.h"
#include "service/request.h"
#include "tests/support/judge.h"
#include "tests/support/text.h"

enum { ROUNDS = 2000 };

static void test_tables(void **state)
{
    static const struct {
        const struct codec_table *table;
        const ProtobufCMessageDescriptor *descriptor;
        size_t size;
        uint32_t hole; /* a field without a row */
    } cases[] = {
            {&selector_table, &futured__v1__selector__descriptor, sizeof(struct selector), 0},
            {&get_request_table, &futured__v1__get_request__descriptor, sizeof(struct get_request), 0},
            {&wait_request_table, &futured__v1__wait_request__descriptor, sizeof(struct wait_request), 0},
            {&as_completed_request_table, &futured__v1__as_completed_request__descriptor,
             sizeof(struct as_completed_request), 0},
            {&watch_request_table, &futured__v1__watch_request__descriptor, sizeof(struct watch_request), 4},
            {&list_request_table, &futured__v1__list_request__descriptor, sizeof(struct list_request), 0},
            {&annotate_request_table, &futured__v1__annotate_request__descriptor,
             sizeof(struct annotate_request), 0},
            {&cancel_request_table, &futured__v1__cancel_request__descriptor,
             sizeof(struct cancel_request_message), 0},
            {&delete_request_table, &futured__v1__delete_request__descriptor, sizeof(struct delete_request),
             0},
    };
    struct test_random r = {test_seed()};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const ProtobufCMessageDescriptor *d = cases[i].descriptor;
        uint64_t ours[64];

        assert_true(cases[i].size <= sizeof ours);
        judge_table(&r, cases[i].table, d, ours, cases[i].size, ROUNDS);
        for (unsigned int k = 0; k < d->n_fields; k++) {
            uint32_t number = d->fields[k].id;
            int has_row = number < cases[i].table->n_rows && cases[i].table->rows[number].type != CODEC_NONE;

            assert_int_equal(has_row, number != cases[i].hole);
        }
    }
}

/* The numbers by which fields are walked are those of the contract. */
static void test_numbers(void **state)
{
    static const struct {
        const ProtobufCMessageDescriptor *descriptor;
        const char *name;
        uint32_t number;
    } cases[] = {
            {&futured__v1__selector__descriptor, "ids", SELECTOR_IDS},
            {&futured__v1__as_completed_request__descriptor, "ids", AS_COMPLETED_IDS},
            {&futured__v1__watch_request__descriptor, "kinds", WATCH_KINDS},
            {&futured__v1__annotate_request__descriptor, "set_labels", ANNOTATE_SET},
            {&futured__v1__annotate_request__descriptor, "remove_labels", ANNOTATE_REMOVE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(
                protobuf_c_message_descriptor_get_field_by_name(cases[i].descriptor, cases[i].name)->id,
                cases[i].number);
}

static void expect_violation(const struct grpc_status *st, enum grpc_code code, const char *reason,
                             const char *field)
{
    assert_int_equal(st->code, code);
    assert_string_equal(st->reason, reason);
    assert_int_equal(st->n_violations, 1);
    assert_string_equal(st->violations[0].field, field);
    assert_int_equal(strncmp(st->message, field, strlen(field)), 0);
}

static void test_read(void **state)
{
    struct list_request request = {0};
    struct grpc_status st = {.code = GRPC_OK};
    struct buf b = BUF_INIT;

    text_encode(&b, &futured__v1__list_request__descriptor, "page_size: 7 order_by: 'asc'");
    assert_int_equal(request_read(&list_request_table, judge_span(&b), &request, &st), 0);
    assert_int_equal(request.page_size, 7);

    buf_clear(&b);
    text_encode(&b, &futured__v1__list_request__descriptor, "page_size: 7 @2: 5");
    assert_int_equal(request_read(&list_request_table, judge_span(&b), &request, &st), REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "order_by");
    assert_non_null(strstr(st.message, "wire type"));

    b.end--; /* cut off: no field to name */
    assert_int_equal(request_read(&list_request_table, judge_span(&b), &request, &st), REQUEST_E_BAD);
    assert_int_equal(st.code, GRPC_INVALID_ARGUMENT);
    assert_string_equal(st.reason, "MALFORMED_MESSAGE");
    assert_int_equal(st.n_violations, 0);
    buf_deinit(&b);
}

static void test_read_in(void **state)
{
    struct task_options options = {0};
    struct grpc_status st;

    assert_int_equal(
            request_read_in(&task_options_table, SPAN_LIT("\x10\x0d"), &options, "task.options", &st), 0);
    assert_int_equal(options.priority, -7);
    assert_int_equal(
            request_read_in(&task_options_table, SPAN_LIT("\x12\x00"), &options, "task.options", &st),
            REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "task.options.priority");
    assert_int_equal(request_read_in(&task_options_table, SPAN_LIT("\x12"), &options, "task.options", &st),
                     REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "task.options");
}

static void test_bad_field(void **state)
{
    struct grpc_status st;

    assert_int_equal(request_bad_field(&st, "a.b", "is %d of %s", 5, "them"), REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "a.b");
    assert_string_equal(st.message, "a.b: is 5 of them");
    assert_string_equal(st.violations[0].description, "is 5 of them");
    assert_int_equal(request_unbuilt_field(&st, "a.c"), REQUEST_E_BAD);
    expect_violation(&st, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_FIELD", "a.c");
}

static void test_view(void **state)
{
    static const uint64_t wrong[] = {5, 127, UINT32_MAX, UINT64_MAX, UINT64_MAX - 4};
    struct grpc_status st;
    enum view view = VIEW_DEFAULT;

    for (uint64_t v = 0; v <= 4; v++) {
        assert_int_equal(request_view(v, VIEW_TASK, "view", &view, &st), 0);
        assert_int_equal(view, v ? v : VIEW_TASK);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(request_view(wrong[i], VIEW_TASK, "submit.view", &view, &st), REQUEST_E_BAD);
        expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "submit.view");
    }
    assert_int_equal(view, 4);
}

#define ID_A "01890a5d-ac96-774b-bcce-b302099a8057"

static void test_selector(void **state)
{
    static const struct {
        const char *text, *field; /* NULL: fine */
    } cases[] = {
            {"ids: '" ID_A "'", NULL},
            {"10000 * ids: 'x'", NULL},
            {"group: 'g'", NULL},
            {"group: x255", NULL},
            {"filter: '*'", NULL},
            {"", "selector"},
            {"group: ''", "selector"},
            {"ids: 'x' group: 'g'", "selector"},
            {"ids: 'x' filter: '*'", "selector"},
            {"group: 'g' filter: '*'", "selector"},
            {"10001 * ids: 'x'", "selector.ids"},
            {"group: x256", "selector.group"},
            {"group: #ff", "selector.group"},
            {"ids: #ff", "selector.ids"},
            {"@3: 5", "selector.filter"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = BUF_INIT;
        struct codec_bytes message = {.is_set = 1};
        struct selector selector = {.ids = 99};
        struct grpc_status st;
        int e;

        text_encode(&b, &futured__v1__selector__descriptor, "%s", cases[i].text);
        message.data = judge_span(&b);
        e = request_selector(&message, &selector, &st);
        assert_int_equal(e, cases[i].field ? REQUEST_E_BAD : 0);
        if (cases[i].field)
            expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", cases[i].field);
        else
            assert_int_equal((selector.ids > 0) + (selector.group.len > 0) + (selector.filter.len > 0), 1);
        buf_deinit(&b);
    }
}

static void test_no_selector(void **state)
{
    struct selector selector;
    struct grpc_status st;

    assert_int_equal(request_selector(&(struct codec_bytes){0}, &selector, &st), REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector");
    assert_non_null(strstr(st.message, "empty"));
}

static void test_text(void **state)
{
    static const char allowed[] =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" REQUEST_LABEL_KEY_CHARSET;
    struct grpc_status st;

    for (unsigned int c = 0; c < 256; c++) {
        uint8_t text[2] = {'a', (uint8_t)c};
        int is_allowed = c && strchr(allowed, (int)c);

        assert_int_equal(request_text((struct span){text, 2}, 10, 0, REQUEST_LABEL_KEY_CHARSET, "key", &st),
                         is_allowed ? 0 : REQUEST_E_BAD);
        if (!is_allowed)
            expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "key");
        assert_int_equal(request_text((struct span){text, 2}, 10, 0, NULL, "value", &st), 0);
    }
    assert_int_equal(request_text(SPAN_LIT("a/b"), 10, 0, REQUEST_FUNCTION_CHARSET, "function", &st),
                     REQUEST_E_BAD);
    assert_int_equal(request_text(SPAN_LIT("12345"), 5, 0, NULL, "f", &st), 0);
    assert_int_equal(request_text(SPAN_LIT("123456"), 5, 1, NULL, "f", &st), REQUEST_E_BAD);
    expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "f");
    assert_int_equal(request_text((struct span){0}, 5, 1, "-", "f", &st), 0);
    assert_int_equal(request_text((struct span){0}, 5, 0, "-", "f", &st), REQUEST_E_BAD);
    assert_non_null(strstr(st.message, "required"));
}

static void test_id(void **state)
{
    static const char *const wrong[] = {
            "",
            "x",
            "01890a5d-ac96-774b-bcce-b302099a805",   /* 35 */
            "01890a5d-ac96-774b-bcce-b302099a80577", /* 37 */
            "01890a5d-ac96-474b-bcce-b302099a8057",  /* version 4 */
            "01890a5d-ac96-774b-ccce-b302099a8057",  /* variant 11 */
            "01890a5dac96774bbcceb302099a8057",
            "g1890a5d-ac96-774b-bcce-b302099a8057",
    };
    struct grpc_status st;
    struct id id;

    assert_int_equal(request_id(SPAN_LIT(ID_A), "id", &id, &st), 0);
    assert_int_equal(id.b[0], 1);
    assert_int_equal(id.b[15], 0x57);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(request_id(span_of_string(wrong[i]), "selector.ids", &id, &st), REQUEST_E_BAD);
        expect_violation(&st, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids");
    }
    assert_int_equal(id.b[15], 0x57); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_tables),   cmocka_unit_test(test_numbers),     cmocka_unit_test(test_read),
            cmocka_unit_test(test_read_in),  cmocka_unit_test(test_bad_field),   cmocka_unit_test(test_view),
            cmocka_unit_test(test_selector), cmocka_unit_test(test_no_selector), cmocka_unit_test(test_text),
            cmocka_unit_test(test_id),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/request", tests, NULL, NULL);
}
