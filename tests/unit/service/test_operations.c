// SPDX-License-Identifier: Apache-2.0
/* Operations: a future in the form of an operation, in each state and each amount of room; the requests, and that they do what
 * those of Futures do. */
#include "base/mem.h"
#include "google/longrunning/operations.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "service/operations.h"
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057"

typedef Google__Longrunning__Operation operation;

static void call(struct harness *h, struct loopback_call *c, const char *method, const char *request)
{
    static const ProtobufCMessageDescriptor *const d =
            &google__longrunning__wait_operation_request__descriptor;
    struct buf message = BUF_INIT;
    char path[80];

    /* the others are the same as far as they go */
    snprintf(path, sizeof path, "/google.longrunning.Operations/%sOperation", method);
    text_encode(&message, d, "%s", request);
    loopback_call(&h->lo, c, path, 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(h);
}

typedef Google__Longrunning__ListOperationsResponse list_response;

static void call_list(struct harness *h, struct loopback_call *c, const char *request)
{
    struct buf message = BUF_INIT;

    text_encode(&message, &google__longrunning__list_operations_request__descriptor, "%s", request);
    loopback_call(&h->lo, c, "/google.longrunning.Operations/ListOperations", 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(h);
}

static list_response *list(struct harness *h, const char *request)
{
    struct loopback_call c;
    list_response *r;

    call_list(h, &c, request);
    assert_true(c.is_done);
    if (c.status.code != GRPC_OK)
        fail_msg("%s: %s", status_name(c.status.code), c.status.message);
    r = harness_message(h, &c, 0, &google__longrunning__list_operations_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

static void call_of(struct harness *h, struct loopback_call *c, const char *method, const char *id)
{
    char request[80];

    snprintf(request, sizeof request, "name: 'futures/%s'", id);
    call(h, c, method, request);
}

static operation *reply(const struct harness *h, const struct loopback_call *c)
{
    assert_true(c->is_done);
    if (c->status.code != GRPC_OK)
        fail_msg("%s: %s", status_name(c->status.code), c->status.message);
    assert_int_equal(c->n_messages, 1);
    return harness_message(h, c, 0, &google__longrunning__operation__descriptor);
}

static operation *get(struct harness *h, const char *id)
{
    struct loopback_call c;
    operation *o;
    char name[64];

    call_of(h, &c, "Get", id);
    o = reply(h, &c);
    snprintf(name, sizeof name, "futures/%s", id);
    assert_string_equal(o->name, name);
    loopback_call_deinit(&c);
    return o;
}

/* What is in an Any of this type. */
static void *unpack(const Google__Protobuf__Any *any, const char *type, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m;

    assert_non_null(any);
    assert_int_equal(strncmp(any->type_url, "type.googleapis.com/", 20), 0);
    assert_string_equal(any->type_url + 20, type);
    m = protobuf_c_message_unpack(d, NULL, any->value.len, any->value.data);
    assert_non_null(m);
    assert_int_equal(m->n_unknown_fields, 0);
    return m;
}

static Futured__V1__Future *metadata(const operation *o)
{
    return unpack(o->metadata, "futured.v1.Future", &futured__v1__future__descriptor);
}

static void expect_state(const operation *o, enum future_state state)
{
    Futured__V1__Future *f = metadata(o);

    assert_int_equal(f->state, state);
    assert_true(strlen(o->name) == 44 && strcmp(f->id, o->name + 8) == 0);
    assert_non_null(f->task);
    assert_string_equal(f->task->function, "echo");
    assert_int_equal(f->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
    assert_int_equal(f->omitted, 0);
    assert_int_equal(o->done, state >= FUTURE_SUCCEEDED);
    harness_free(f);
}

/* The worker's error, with everything that one may have. */
static void fail_fully(struct harness *h, const char *id, size_t n_message)
{
    static const char details[] = "\x42\x0f\x0a\x07"
                                  "x.y/A.B\x12\x04"
                                  "data"
                                  "\x42\x03\x0a\x01"
                                  "y";
    char *message = malloc(n_message + 1);
    struct future_error error = {.code = GRPC_OUT_OF_RANGE,
                                 .reason = REASON_FUNCTION_ERROR,
                                 .type = SPAN_LIT("ValueError"),
                                 .traceback = SPAN_LIT("line 1"),
                                 .function_reason = SPAN_LIT("TOO_BIG"),
                                 .details = {(const uint8_t *)details, sizeof details - 1}};
    struct finish finish = {.usage = {-1, -1, -1, -1}};

    memset(message, 'm', n_message);
    error.message = (struct span){(const uint8_t *)message, n_message};
    finish.error = future_error_new(&error);
    assert_non_null(finish.error);
    harness_start(h, id);
    assert_int_equal(engine_finish(h->engine, harness_find(h, id)->lease, &finish), 0);
    harness_settle(h);
    free(message);
}

static void test_states(void **state)
{
    Google__Rpc__ErrorInfo *info;
    Futured__V1__Result *result;
    struct harness_id id;
    struct harness h;
    operation *o;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' }");
    o = get(&h, id.text);
    expect_state(o, FUTURE_PENDING);
    assert_int_equal(o->result_case, GOOGLE__LONGRUNNING__OPERATION__RESULT__NOT_SET);
    harness_free(o);
    harness_start(&h, id.text);
    o = get(&h, id.text);
    expect_state(o, FUTURE_RUNNING);
    harness_free(o);
    harness_succeed(&h, id.text, "r");
    o = get(&h, id.text);
    expect_state(o, FUTURE_SUCCEEDED);
    result = unpack(o->response, "futured.v1.Result", &futured__v1__result__descriptor);
    assert_int_equal(result->data.len, 1);
    assert_int_equal(result->size_bytes, 1);
    harness_free(result);
    harness_free(o);

    id = harness_submit(&h, "task { function: 'echo' }");
    harness_cancel(&h, id.text);
    o = get(&h, id.text);
    expect_state(o, FUTURE_CANCELLED);
    assert_int_equal(o->error->code, GRPC_CANCELLED);
    info = unpack(o->error->details[0], "google.rpc.ErrorInfo", &google__rpc__error_info__descriptor);
    assert_string_equal(info->reason, "CANCELLED");
    assert_string_equal(info->domain, "futured");
    harness_free(info);
    harness_free(o);
    harness_deinit(&h);
}

static void test_error(void **state)
{
    Google__Rpc__ErrorInfo *info;
    struct harness_id id;
    struct harness h;
    operation *o;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    fail_fully(&h, id.text, 3);
    o = get(&h, id.text);
    expect_state(o, FUTURE_FAILED);
    assert_int_equal(o->error->code, GRPC_OUT_OF_RANGE);
    assert_string_equal(o->error->message, "mmm");
    assert_int_equal(o->error->n_details, 3);
    info = unpack(o->error->details[0], "google.rpc.ErrorInfo", &google__rpc__error_info__descriptor);
    assert_string_equal(info->reason, "FUNCTION_ERROR");
    assert_string_equal(info->domain, "futured");
    assert_int_equal(info->n_metadata, 2);
    assert_string_equal(info->metadata[0]->key, "type");
    assert_string_equal(info->metadata[0]->value, "ValueError");
    assert_string_equal(info->metadata[1]->key, "function_reason");
    assert_string_equal(info->metadata[1]->value, "TOO_BIG");
    assert_string_equal(o->error->details[1]->type_url, "x.y/A.B");
    assert_int_equal(o->error->details[1]->value.len, 4);
    assert_string_equal(o->error->details[2]->type_url, "y");
    harness_free(info);
    harness_free(o);
    harness_deinit(&h);
}

/* Whatever room there is, it is kept to, and what is left out is said. */
static void test_room(void **state)
{
    struct harness_id ids[3];
    int n_omitted = 0, n_short = 0;
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = harness_submit(
                &h, "task { function: 'echo' content_type: x250 64 * labels { key: 'k$' value: x50 } }");
    harness_succeed_bytes(&h, ids[0].text, 5000);
    fail_fully(&h, ids[1].text, 5000);
    for (size_t room = 3000; room < 40000; room += 100)
        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
            const struct future *f = harness_find(&h, ids[i].text);
            struct buf out = BUF_INIT;
            struct writer w = writer_to(&out);
            Futured__V1__Future *m;
            operation *o;

            operations_put(&w, f, room);
            assert_true(buf_len(&out) <= room);
            assert_true(buf_len(&out) <= operations_size(f));
            o = google__longrunning__operation__unpack(NULL, buf_len(&out), buf_head(&out));
            assert_non_null(o);
            m = metadata(o);
            if (room >= operations_size(f))
                assert_false(m->omitted);
            n_omitted += m->omitted;
            n_short += i == 1 && strlen(o->error->message) == 512;
            assert_int_equal(o->done, i < 2);
            harness_free(m);
            google__longrunning__operation__free_unpacked(o, NULL);
            buf_deinit(&out);
        }
    assert_in_range(n_omitted, 10, 1000);
    assert_in_range(n_short, 5, 300);
    harness_deinit(&h);
}

static void test_wait(void **state)
{
    struct loopback_call a, b, c, d;
    struct harness_id id;
    char request[120];
    struct harness h;
    operation *o;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    call_of(&h, &a, "Wait", id.text);
    snprintf(request, sizeof request, "name: 'futures/%s' timeout { seconds: 2 }", id.text);
    call(&h, &b, "Wait", request);
    snprintf(request, sizeof request, "name: 'futures/%s' timeout {}", id.text);
    call(&h, &c, "Wait", request);
    assert_false(a.is_done || b.is_done);
    o = reply(&h, &c); /* no time at all: as it is */
    expect_state(o, FUTURE_PENDING);
    harness_free(o);
    harness_advance(&h, 2 * NS_PER_S);
    assert_false(a.is_done);
    o = reply(&h, &b);
    expect_state(o, FUTURE_PENDING);
    harness_free(o);
    harness_succeed(&h, id.text, "r");
    o = reply(&h, &a);
    expect_state(o, FUTURE_SUCCEEDED);
    harness_free(o);
    call_of(&h, &d, "Wait", id.text); /* done already */
    o = reply(&h, &d);
    expect_state(o, FUTURE_SUCCEEDED);
    harness_free(o);
    loopback_call_deinit(&a);
    loopback_call_deinit(&b);
    loopback_call_deinit(&c);
    loopback_call_deinit(&d);
    id = harness_submit(&h, "task { function: 'echo' }");
    call_of(&h, &a, "Wait", id.text);
    harness_disconnect(&h, &h.lo); /* who waits goes: nothing is left behind, says harness_deinit */
    loopback_call_deinit(&a);
    harness_deinit(&h);
}

static void test_list(void **state)
{
    struct harness_id ids[5];
    char request[200];
    struct harness h;
    list_response *r;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = harness_submit(&h, "task { function: '%s' }", i == 2 ? "sleep" : "echo");
    harness_succeed(&h, ids[4].text, "r");
    r = list(&h, "name: 'futures' page_size: 3");
    assert_int_equal(r->n_operations, 3);
    for (size_t i = 0; i < 3; i++) /* the newest first */
        assert_string_equal(r->operations[i]->name + 8, ids[4 - i].text);
    assert_non_null(r->operations[0]->response);
    expect_state(r->operations[0], FUTURE_SUCCEEDED);
    expect_state(r->operations[1], FUTURE_PENDING);
    snprintf(request, sizeof request, "name: 'futures' page_size: 3 page_token: '%s'", r->next_page_token);
    harness_free(r);
    r = list(&h, request);
    assert_int_equal(r->n_operations, 2);
    assert_string_equal(r->operations[1]->name + 8, ids[0].text);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    r = list(&h, "name: 'futures' filter: 'function = sleep'");
    assert_int_equal(r->n_operations, 1);
    assert_string_equal(r->operations[0]->name + 8, ids[2].text);
    harness_free(r);
    harness_deinit(&h);
}

/* A page ends where the message is full, and no operation is cut for it. */
static void test_full_pages(void **state)
{
    enum { N = 20 };
    const struct harness_options options = {.max_message_bytes = 16384};
    char request[200] = "name: 'futures' page_size: 1000";
    size_t n = 0, n_pages = 0;
    struct harness h;

    harness_init(&h, &options);
    for (int i = 0; i < N; i++) {
        struct harness_id id = harness_submit(&h, "task { function: 'echo' }");

        harness_succeed_bytes(&h, id.text, 2000);
    }
    for (int is_more = 1; is_more; n_pages++) {
        list_response *r = list(&h, request);

        for (size_t i = 0; i < r->n_operations; i++, n++) {
            Futured__V1__Result *result =
                    unpack(r->operations[i]->response, "futured.v1.Result", &futured__v1__result__descriptor);

            expect_state(r->operations[i], FUTURE_SUCCEEDED);
            assert_int_equal(result->data.len, 2000);
            harness_free(result);
        }
        is_more = r->next_page_token[0] != 0;
        snprintf(request, sizeof request, "name: 'futures' page_size: 1000 page_token: '%s'",
                 r->next_page_token);
        harness_free(r);
    }
    assert_int_equal(n, N);
    assert_true(n_pages > 3);
    harness_deinit(&h);
}

static void test_bad_lists(void **state)
{
    static const struct {
        const char *request, *field;
    } cases[] = {
            {"", "name"},
            {"name: 'operations'", "name"},
            {"name: 'futures/'", "name"},
            {"name: #ff", "name"},
            {"name: 'futures' page_size: -1", "page_size"},
            {"name: 'futures' page_size: 1001", "page_size"},
            {"name: 'futures' page_token: 'x'", "page_token"},
            {"name: 'futures' filter: 'state ='", "filter"},
            {"name: 'futures' filter: #ff", "filter"},
    };
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("    %s\n", cases[i].request);
        call_list(&h, &c, cases[i].request);
        harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", cases[i].field);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

static void test_cancel_and_delete(void **state)
{
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    call_of(&h, &c, "Delete", id.text);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "NOT_TERMINAL", NULL);
    loopback_call_deinit(&c);
    for (int again = 0; again < 2; again++) {
        call_of(&h, &c, "Cancel", id.text);
        assert_int_equal(c.status.code, GRPC_OK);
        assert_int_equal(c.n_messages, 1);
        assert_int_equal(loopback_message(&c, 0).len, 0); /* google.protobuf.Empty */
        loopback_call_deinit(&c);
        assert_int_equal(harness_find(&h, id.text)->state, FUTURE_CANCELLED);
    }
    call_of(&h, &c, "Delete", id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    assert_int_equal(loopback_message(&c, 0).len, 0);
    loopback_call_deinit(&c);
    assert_null(harness_find(&h, id.text));
    harness_deinit(&h);
}

static void test_refused(void **state)
{
    static const char *const methods[] = {"Get", "Wait", "Cancel", "Delete"};
    static const struct {
        const char *request;
        enum grpc_code code;
        const char *reason, *field;
    } cases[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'futures/'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: '" NOBODY "'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'futures/" NOBODY "/'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'Futures/" NOBODY "'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'futures/x1890a5d-ac96-774b-bcce-b302099a8057'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
             "name"},
            {"name: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "name"},
            {"name: 'futures/" NOBODY "'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
    };
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    for (size_t m = 0; m < ARRAY_LEN(methods); m++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            print_message("    %s %s\n", methods[m], cases[i].request);
            call(&h, &c, methods[m], cases[i].request);
            harness_expect(&c, cases[i].code, cases[i].reason, cases[i].field);
            assert_int_equal(c.n_messages, 0);
            loopback_call_deinit(&c);
        }
    call(&h, &c, "Wait", "name: 'futures/" NOBODY "' timeout { seconds: -1 }");
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "timeout");
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static struct harness_id prepared;

static void get_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    prepared = harness_submit(h, "task { function: 'echo' }");
    harness_succeed(h, prepared.text, "r");
    harness_arm(h);
    call_of(h, c, "Get", prepared.text);
}

static void wait_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    prepared = harness_submit(h, "task { function: 'echo' }");
    harness_arm(h);
    call_of(h, c, "Wait", prepared.text);
    if (!c->is_done)
        harness_succeed(h, prepared.text, "r");
}

static void list_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    prepared = harness_submit(h, "task { function: 'echo' }");
    harness_arm(h);
    call_list(h, c, "name: 'futures' filter: 'state = PENDING'");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(list_without_memory, 3);
    harness_fail_allocations(get_without_memory, 1);
    harness_fail_allocations(wait_without_memory, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_states),
            cmocka_unit_test(test_error),
            cmocka_unit_test(test_room),
            cmocka_unit_test(test_wait),
            cmocka_unit_test(test_cancel_and_delete),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_list),
            cmocka_unit_test(test_full_pages),
            cmocka_unit_test(test_bad_lists),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/operations", tests, NULL, NULL);
}
