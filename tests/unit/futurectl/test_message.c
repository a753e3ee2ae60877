// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/message.h"
#include "tests/unit/futurectl/sample_future.h"

#include <math.h>

#include <futured/v1/functions.pb-c.h>
#include <futured/v1/futures.pb-c.h>

/* Takes @json. */
static void expect(json_t *json, const char *text)
{
    char *got;

    assert_non_null(json);
    got = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    assert_non_null(got);
    assert_string_equal(got, text);
    free(got);
}

#define TO_JSON(message) message_to_json(&(message)->base)

static void test_defaults(void **state)
{
    Futured__V1__Result result = FUTURED__V1__RESULT__INIT;
    Futured__V1__Attempt attempt = FUTURED__V1__ATTEMPT__INIT;
    Futured__V1__GetRequest get = FUTURED__V1__GET_REQUEST__INIT;

    expect(TO_JSON(&result), "{\"content_type\":\"\",\"size_bytes\":0}");
    expect(TO_JSON(&attempt), "{\"number\":0,\"worker\":\"\"}");
    expect(TO_JSON(&get), "{\"view\":\"VIEW_UNSPECIFIED\"}");
}

static void test_numbers(void **state)
{
    Futured__V1__Attempt attempt = FUTURED__V1__ATTEMPT__INIT;
    Futured__V1__Cursor cursor = FUTURED__V1__CURSOR__INIT;
    Futured__V1__FunctionLimits limits = FUTURED__V1__FUNCTION_LIMITS__INIT;
    Futured__V1__TaskOptions options = FUTURED__V1__TASK_OPTIONS__INIT;
    json_t *json;

    attempt.number = UINT32_MAX;
    attempt.exit_code_presence_case = FUTURED__V1__ATTEMPT__EXIT_CODE_PRESENCE_EXIT_CODE;
    attempt.exit_code = 0;
    attempt.signal_presence_case = FUTURED__V1__ATTEMPT__SIGNAL_PRESENCE_SIGNAL;
    attempt.signal = -1;
    expect(TO_JSON(&attempt), "{\"number\":4294967295,\"worker\":\"\",\"exit_code\":0,\"signal\":-1}");
    cursor.epoch = INT64_MAX;
    cursor.event = UINT64_MAX;
    expect(TO_JSON(&cursor), "{\"epoch\":9223372036854775807,\"event\":1.8446744073709552e19}");
    limits.rate = 2.5;
    expect(TO_JSON(&limits), "{\"max_running\":0,\"max_pending\":0,\"rate\":2.5}");
    limits.rate = NAN;
    expect(TO_JSON(&limits), "{\"max_running\":0,\"max_pending\":0,\"rate\":\"NaN\"}");
    limits.rate = -INFINITY;
    expect(TO_JSON(&limits), "{\"max_running\":0,\"max_pending\":0,\"rate\":\"-Infinity\"}");
    options.priority = INT32_MIN;
    json = TO_JSON(&options);
    assert_int_equal(json_integer_value(json_object_get(json, "priority")), INT32_MIN);
    json_decref(json);
}

static void test_enums(void **state)
{
    Futured__V1__GetRequest get = FUTURED__V1__GET_REQUEST__INIT;
    char id[] = "i";

    get.by_case = FUTURED__V1__GET_REQUEST__BY_ID;
    get.id = id;
    get.view = FUTURED__V1__VIEW__VIEW_FULL;
    expect(TO_JSON(&get), "{\"id\":\"i\",\"view\":\"VIEW_FULL\"}");
    get.view = (Futured__V1__View)99; /* of a later daemon */
    expect(TO_JSON(&get), "{\"id\":\"i\",\"view\":99}");
}

static void expect_bytes(const void *p, size_t n, const char *text)
{
    Futured__V1__Chunk chunk = FUTURED__V1__CHUNK__INIT;
    char all[400];
    union {
        const void *in;
        uint8_t *out;
    } data = {p};

    chunk.data = (ProtobufCBinaryData){.len = n, .data = data.out};
    snprintf(all, sizeof all, "{\"attempt\":0,\"stream\":\"STREAM_UNSPECIFIED\",\"offset\":0,%s}", text);
    expect(TO_JSON(&chunk), all);
}

static void test_bytes(void **state)
{
    expect_bytes(NULL, 0, "\"data\":\"\",\"data_text\":\"\"");
    expect_bytes("f", 1, "\"data\":\"Zg==\",\"data_text\":\"f\"");
    expect_bytes("fo", 2, "\"data\":\"Zm8=\",\"data_text\":\"fo\"");
    expect_bytes("foo", 3, "\"data\":\"Zm9v\",\"data_text\":\"foo\"");
    expect_bytes("foobar", 6, "\"data\":\"Zm9vYmFy\",\"data_text\":\"foobar\"");
    expect_bytes("a\0\n\"", 4, "\"data\":\"YQAKIg==\",\"data_text\":\"a\\u0000\\n\\\"\"");
    expect_bytes("\xff\xfe\xfb", 3, "\"data\":\"//77\"");
    expect_bytes("\xc3\xa4", 2, "\"data\":\"w6Q=\",\"data_text\":\"\xc3\xa4\"");
}

static void test_strings(void **state)
{
    Futured__V1__DeleteRequest request = FUTURED__V1__DELETE_REQUEST__INIT;
    char good[] = "\xc3\xa4\xf0\x9f\x98\x80", bad[] = "a\xff\xc3(\xc3\xa4\xe2\x82";

    request.id = good;
    expect(TO_JSON(&request), "{\"id\":\"\xc3\xa4\xf0\x9f\x98\x80\"}");
    request.id = bad; /* JSON cannot hold it, and the rest is still shown */
    expect(TO_JSON(&request), "{\"id\":\"a?\?(\xc3\xa4?\?\"}");
}

static void expect_time(int64_t seconds, int32_t nanos, const char *text)
{
    Futured__V1__Change change = FUTURED__V1__CHANGE__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char all[200];

    time.seconds = seconds;
    time.nanos = nanos;
    change.time = &time;
    snprintf(all, sizeof all, "{\"time\":\"%s\",\"principal\":\"\",\"reason\":\"\"}", text);
    expect(TO_JSON(&change), all);
}

static void expect_span(int64_t seconds, int32_t nanos, const char *text)
{
    Futured__V1__Usage usage = FUTURED__V1__USAGE__INIT;
    Google__Protobuf__Duration span = GOOGLE__PROTOBUF__DURATION__INIT;
    char all[200];

    span.seconds = seconds;
    span.nanos = nanos;
    usage.wall = &span;
    snprintf(all, sizeof all, "{\"wall\":\"%s\"}", text);
    expect(TO_JSON(&usage), all);
}

static void test_times(void **state)
{
    expect_time(1769860800, 0, "2026-01-31T12:00:00Z");
    expect_time(1769860800, 123000000, "2026-01-31T12:00:00.123Z");
    expect_time(1769860800, 1000, "2026-01-31T12:00:00.000001Z");
    expect_time(1769860800, 1, "2026-01-31T12:00:00.000000001Z");
    expect_time(0, 0, "1970-01-01T00:00:00Z");
    expect_span(0, 0, "0s");
    expect_span(1, 500000000, "1.500s");
    expect_span(-1, -500000000, "-1.500s");
    expect_span(0, -1, "-0.000000001s");
    expect_span(INT64_MIN, 0, "-9223372036854775808s");
}

static void test_lists_and_maps(void **state)
{
    Futured__V1__AnnotateRequest request = FUTURED__V1__ANNOTATE_REQUEST__INIT;
    Futured__V1__AnnotateRequest__SetLabelsEntry a = FUTURED__V1__ANNOTATE_REQUEST__SET_LABELS_ENTRY__INIT,
                                                 b = a, *set[] = {&a, &b};
    Futured__V1__FunctionInfo info = FUTURED__V1__FUNCTION_INFO__INIT;
    Futured__V1__FunctionKind kinds[] = {FUTURED__V1__FUNCTION_KIND__FUNCTION_KIND_PLUGIN,
                                         FUTURED__V1__FUNCTION_KIND__FUNCTION_KIND_REMOTE};
    char id[] = "i", key_a[] = "a", key_b[] = "b", value[] = "1", c[] = "c", *remove[] = {c, c};
    json_t *json;

    a.key = key_a;
    a.value = value;
    b.key = key_b;
    request.id = id;
    request.n_set_labels = 2;
    request.set_labels = set;
    request.n_remove_labels = 2;
    request.remove_labels = remove;
    expect(TO_JSON(&request),
           "{\"id\":\"i\",\"set_labels\":{\"a\":\"1\",\"b\":\"\"},\"remove_labels\":[\"c\",\"c\"]}");
    info.n_kinds = 2;
    info.kinds = kinds;
    json = TO_JSON(&info);
    expect(json_incref(json_object_get(json, "kinds")),
           "[\"FUNCTION_KIND_PLUGIN\",\"FUNCTION_KIND_REMOTE\"]");
    json_decref(json);
}

/* Every field of a record that has all is there, under its name. */
static void expect_every_field(json_t *json, const ProtobufCMessage *message)
{
    for (unsigned int i = 0; i < message->descriptor->n_fields; i++) {
        const char *name = message->descriptor->fields[i].name;

        if (!json_object_get(json, name) && strcmp(name, "result") != 0)
            fail_msg("%s is not shown", name);
    }
}

static void test_whole_record(void **state)
{
    uint8_t wire[SAMPLE_BYTES];
    size_t n = sample_whole(wire);
    Futured__V1__Future *future = futured__v1__future__unpack(NULL, n, wire);
    json_t *json = message_read_json(&futured__v1__future__descriptor, (struct span){wire, n});

    assert_non_null(json);
    expect_every_field(json, &future->base);
    expect(json_incref(json_object_get(json, "cancel_requested")),
           "{\"time\":\"2026-01-31T12:00:01Z\",\"principal\":\"alice\",\"reason\":\"too "
           "slow\",\"grace\":\"1.500s\"}");
    expect(json_incref(json_object_get(json, "schedule")),
           "{\"priority\":9,\"not_before\":\"2026-01-31T12:00:01Z\",\"deadline\":\"2026-02-07T12:01:01Z\","
           "\"retention\":\"1.500s\",\"next_start_time\":\"2026-01-31T12:01:01.500Z\"}");
    json_decref(json);
    futured__v1__future__free_unpacked(future, NULL);
    assert_null(
            message_read_json(&futured__v1__future__descriptor, (struct span){(const uint8_t *)"\xff", 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_defaults),       cmocka_unit_test(test_numbers),
            cmocka_unit_test(test_enums),          cmocka_unit_test(test_bytes),
            cmocka_unit_test(test_strings),        cmocka_unit_test(test_times),
            cmocka_unit_test(test_lists_and_maps), cmocka_unit_test(test_whole_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
