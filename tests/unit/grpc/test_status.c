// SPDX-License-Identifier: Apache-2.0
/*
 * Texts are cut at characters and made valid; what we encode protobuf-c decodes to the same, and the other way
 * round; damage is refused.
 */
#include "base/utf8.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/status.h"
#include "tests/support/testing.h"

#include <errno.h>

static void test_names(void **state)
{
    assert_string_equal(status_name(GRPC_OK), "OK");
    assert_string_equal(status_name(GRPC_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(status_name((enum grpc_code)17), "UNKNOWN");
    assert_string_equal(status_name((enum grpc_code) - 1), "UNKNOWN");
    for (uint64_t i = 0; i <= 16; i++)
        assert_int_equal(status_code(i), i);
    assert_int_equal(status_code(17), GRPC_UNKNOWN);
    assert_int_equal(status_code(UINT64_MAX), GRPC_UNKNOWN);
}

static void test_set_starts_over(void **state)
{
    struct grpc_status st;

    memset(&st, 0x55, sizeof st);
    status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", "no future %d", 7);
    assert_int_equal(st.code, GRPC_NOT_FOUND);
    assert_string_equal(st.message, "no future 7");
    assert_string_equal(st.reason, "NO_SUCH_FUTURE");
    assert_true(st.retry_delay_ms < 0);
    assert_int_equal(st.n_violations, 0);
    assert_int_equal(st.n_metadata, 0);
    assert_string_equal(st.resource_type, "");
    assert_string_equal(st.resource_name, "");
    assert_string_equal(st.quota_subject, "");
    assert_string_equal(st.quota_description, "");
    assert_string_equal(st.precondition_type, "");
    assert_string_equal(st.precondition_subject, "");
    status_set(&st, GRPC_INTERNAL, st.reason, "again: %s", st.message); /* of itself */
    assert_string_equal(st.message, "again: no future 7");
}

/* A text with a character of each length across the edge: never cut inside one, never longer than it may be. */
static void test_cut_at_a_character(void **state)
{
    static const char *const chars[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x9f"};
    static char text[STATUS_MESSAGE_MAX_BYTES + 16];
    struct grpc_status st;

    for (size_t c = 0; c < ARRAY_LEN(chars); c++)
        for (size_t n = STATUS_MESSAGE_MAX_BYTES - 5; n <= STATUS_MESSAGE_MAX_BYTES + 2; n++) {
            size_t len = strlen(chars[c]), expected;

            memset(text, 'a', n);
            memcpy(text + n, chars[c], len + 1);
            status_set(&st, GRPC_UNKNOWN, "", "%s", text);
            expected =
                    n + len <= STATUS_MESSAGE_MAX_BYTES ? n + len : MIN(n, (size_t)STATUS_MESSAGE_MAX_BYTES);
            assert_int_equal(strlen(st.message), expected);
            assert_memory_equal(st.message, text, expected);
        }
    memset(text, 'k', sizeof text - 1);
    status_set(&st, GRPC_UNKNOWN, text, "x");
    assert_int_equal(strlen(st.reason), sizeof st.reason - 1);
}

static void test_invalid_bytes(void **state)
{
    static const char *const cases[][2] = {
            {"\xff", "?"},
            {"a\xc3", "a?"},
            {"\xc3\xa4\x80z", "\xc3\xa4?z"},
            {"\xed\xa0\x80", "???"}, /* a surrogate */
            {"\xf0\x9f\x90", "???"}, /* cut off */
            {"\xc0\x80", "??"},      /* overlong */
            {"a\xe2\x82zb", "a??zb"},
    };
    struct grpc_status st;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        status_set(&st, GRPC_UNKNOWN, "", "%s", cases[i][0]);
        assert_string_equal(st.message, cases[i][1]);
        status_set_message(&st, span_of_string(cases[i][0]));
        assert_string_equal(st.message, cases[i][1]);
    }
    status_set_message(&st, SPAN_LIT("a\0b"));
    assert_string_equal(st.message, "a");
    status_set_message(&st, (struct span){0});
    assert_string_equal(st.message, "");
}

/* Random bytes: what is kept is always valid and fits. */
static void test_any_bytes(void **state)
{
    struct test_random rnd = {test_seed()};
    struct grpc_status st;
    uint8_t text[1200];

    for (unsigned int round = 0; round < 2000; round++) {
        size_t n = test_random_below(&rnd, sizeof text);

        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)(test_random_below(&rnd, 3) ? 0xe2 + i % 3 * 0xa0 : test_random_next(&rnd));
        status_set_message(&st, (struct span){text, n});
        assert_true(strlen(st.message) <= STATUS_MESSAGE_MAX_BYTES);
        assert_true(utf8_is_valid((uint8_t *)st.message, strlen(st.message)));
    }
}

static void test_rooms_that_are_full(void **state)
{
    struct grpc_status st;

    status_set(&st, GRPC_INVALID_ARGUMENT, "R", "m");
    for (int i = 0; i < 20; i++) {
        status_add_violation(&st, "field", "number %d", i);
        status_add_metadata(&st, "key", "%d", i);
    }
    assert_int_equal(st.n_violations, STATUS_VIOLATIONS_MAX);
    assert_int_equal(st.n_metadata, STATUS_METADATA_MAX);
    assert_string_equal(st.violations[STATUS_VIOLATIONS_MAX - 1].description, "number 7");
    assert_string_equal(st.metadata[STATUS_METADATA_MAX - 1].value, "7");
}

static struct grpc_status full_status(void)
{
    struct grpc_status st;

    status_set(&st, GRPC_RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue of \"%s\" is full",
               "r\xc3\xa9sum\xc3\xa9");
    status_add_metadata(&st, "limit", "%d", 1000);
    status_add_metadata(&st, "empty", "%s", "");
    status_add_violation(&st, "task.function", "no such %s", "function");
    status_add_violation(&st, "task.labels", "too many");
    status_set_retry(&st, 12345);
    status_set_resource(&st, "future", "0190");
    status_set_quota(&st, "principal:a", "no more than 10");
    status_set_precondition(&st, "STATE", "future 0190");
    return st;
}

static const Google__Protobuf__Any *find_detail(const Google__Rpc__Status *st, const char *name)
{
    char url[100];

    snprintf(url, sizeof url, "type.googleapis.com/google.rpc.%s", name);
    for (size_t i = 0; i < st->n_details; i++)
        if (strcmp(st->details[i]->type_url, url) == 0)
            return st->details[i];
    fail_msg("no %s", name);
    return NULL;
}

#define UNPACK(type, any) google__rpc__##type##__unpack(NULL, (any)->value.len, (any)->value.data)

static void test_protobuf_c_reads_it(void **state)
{
    struct grpc_status st = full_status();
    struct buf out = BUF_INIT;
    Google__Rpc__PreconditionFailure *precondition;
    Google__Rpc__ResourceInfo *resource;
    Google__Rpc__QuotaFailure *quota;
    Google__Rpc__BadRequest *bad;
    Google__Rpc__RetryInfo *retry;
    Google__Rpc__ErrorInfo *info;
    Google__Rpc__Status *judge;

    assert_int_equal(status_encode(&st, &out), 0);
    judge = google__rpc__status__unpack(NULL, buf_len(&out), buf_head(&out));
    assert_non_null(judge);
    assert_int_equal(judge->code, 8);
    assert_string_equal(judge->message, st.message);
    assert_int_equal(judge->n_details, 6);
    info = UNPACK(error_info, find_detail(judge, "ErrorInfo"));
    assert_string_equal(info->reason, "QUEUE_FULL");
    assert_string_equal(info->domain, "futured");
    assert_int_equal(info->n_metadata, 2);
    assert_string_equal(info->metadata[0]->key, "limit");
    assert_string_equal(info->metadata[0]->value, "1000");
    assert_string_equal(info->metadata[1]->key, "empty");
    assert_string_equal(info->metadata[1]->value, "");
    retry = UNPACK(retry_info, find_detail(judge, "RetryInfo"));
    assert_int_equal(retry->retry_delay->seconds, 12);
    assert_int_equal(retry->retry_delay->nanos, 345000000);
    bad = UNPACK(bad_request, find_detail(judge, "BadRequest"));
    assert_int_equal(bad->n_field_violations, 2);
    assert_string_equal(bad->field_violations[0]->field, "task.function");
    assert_string_equal(bad->field_violations[0]->description, "no such function");
    assert_string_equal(bad->field_violations[1]->field, "task.labels");
    resource = UNPACK(resource_info, find_detail(judge, "ResourceInfo"));
    assert_string_equal(resource->resource_type, "future");
    assert_string_equal(resource->resource_name, "0190");
    quota = UNPACK(quota_failure, find_detail(judge, "QuotaFailure"));
    assert_int_equal(quota->n_violations, 1);
    assert_string_equal(quota->violations[0]->subject, "principal:a");
    assert_string_equal(quota->violations[0]->description, "no more than 10");
    precondition = UNPACK(precondition_failure, find_detail(judge, "PreconditionFailure"));
    assert_int_equal(precondition->n_violations, 1);
    assert_string_equal(precondition->violations[0]->type, "STATE");
    assert_string_equal(precondition->violations[0]->subject, "future 0190");
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__retry_info__free_unpacked(retry, NULL);
    google__rpc__bad_request__free_unpacked(bad, NULL);
    google__rpc__resource_info__free_unpacked(resource, NULL);
    google__rpc__quota_failure__free_unpacked(quota, NULL);
    google__rpc__precondition_failure__free_unpacked(precondition, NULL);
    google__rpc__status__free_unpacked(judge, NULL);
    buf_deinit(&out);
}

/* protobuf-c packs what it read in the same order and with the same omissions: not a byte may differ. */
static void check_same_bytes(const struct grpc_status *st)
{
    struct buf out = BUF_INIT;
    Google__Rpc__Status *judge;
    uint8_t *again;

    assert_int_equal(buf_append(&out, "kept", 4), 0); /* it appends */
    assert_int_equal(status_encode(st, &out), 0);
    assert_memory_equal(buf_head(&out), "kept", 4);
    buf_consume(&out, 4);
    judge = google__rpc__status__unpack(NULL, buf_len(&out), buf_len(&out) ? buf_head(&out) : NULL);
    assert_non_null(judge);
    assert_int_equal(google__rpc__status__get_packed_size(judge), buf_len(&out));
    again = malloc(buf_len(&out) + 1);
    google__rpc__status__pack(judge, again);
    if (buf_len(&out))
        assert_memory_equal(again, buf_head(&out), buf_len(&out));
    free(again);
    google__rpc__status__free_unpacked(judge, NULL);
    buf_deinit(&out);
}

static void check_equal(const struct grpc_status *a, const struct grpc_status *b)
{
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->message, b->message);
    assert_string_equal(a->reason, b->reason);
    assert_true(a->retry_delay_ms == b->retry_delay_ms);
    assert_int_equal(a->n_violations, b->n_violations);
    for (uint32_t i = 0; i < a->n_violations; i++) {
        assert_string_equal(a->violations[i].field, b->violations[i].field);
        assert_string_equal(a->violations[i].description, b->violations[i].description);
    }
    assert_int_equal(a->n_metadata, b->n_metadata);
    for (uint32_t i = 0; i < a->n_metadata; i++) {
        assert_string_equal(a->metadata[i].key, b->metadata[i].key);
        assert_string_equal(a->metadata[i].value, b->metadata[i].value);
    }
    assert_string_equal(a->resource_type, b->resource_type);
    assert_string_equal(a->resource_name, b->resource_name);
    assert_string_equal(a->quota_subject, b->quota_subject);
    assert_string_equal(a->quota_description, b->quota_description);
    assert_string_equal(a->precondition_type, b->precondition_type);
    assert_string_equal(a->precondition_subject, b->precondition_subject);
}

static void check_round_trip(const struct grpc_status *st)
{
    struct buf out = BUF_INIT;
    struct grpc_status back;

    memset(&back, 0x55, sizeof back);
    check_same_bytes(st);
    assert_int_equal(status_encode(st, &out), 0);
    assert_int_equal(status_decode((struct span){out.data ? buf_head(&out) : NULL, buf_len(&out)}, &back), 0);
    check_equal(&back, st);
    buf_deinit(&out);
}

/* A text of random length and characters for a room of @size bytes. */
static const char *random_text(struct test_random *rnd, char *to, size_t size)
{
    size_t n = test_random_below(rnd, 4) ? test_random_below(rnd, 20) : size - 1;

    for (size_t i = 0; i < n; i++)
        to[i] = (char)(' ' + test_random_below(rnd, 95));
    to[n] = '\0';
    return to;
}

static void test_round_trips(void **state)
{
    struct test_random rnd = {test_seed()};
    struct grpc_status st = full_status();
    char a[1100], b[300];

    check_round_trip(&st);
    status_set(&st, GRPC_OK, "", "%s", "");
    check_round_trip(&st);
    for (unsigned int round = 0; round < 3000; round++) {
        status_set(&st, (enum grpc_code)test_random_below(&rnd, 17), "R", "%s",
                   random_text(&rnd, a, sizeof st.message));
        random_text(&rnd, st.reason + 1, sizeof st.reason - 1);
        for (uint64_t n = test_random_below(&rnd, 9); n > 0; n--)
            status_add_violation(&st, random_text(&rnd, a, 256), "%s", random_text(&rnd, b, 256));
        for (uint64_t n = test_random_below(&rnd, 9); n > 0; n--)
            status_add_metadata(&st, random_text(&rnd, a, 64), "%s", random_text(&rnd, b, 256));
        if (test_random_below(&rnd, 2))
            status_set_retry(&st, (int64_t)(test_random_next(&rnd) >> (1 + test_random_below(&rnd, 63))));
        if (test_random_below(&rnd, 2))
            status_set_resource(&st, random_text(&rnd, a, 64), random_text(&rnd, b, 256));
        if (test_random_below(&rnd, 2))
            status_set_quota(&st, random_text(&rnd, a, 64), random_text(&rnd, b, 256));
        if (test_random_below(&rnd, 2))
            status_set_precondition(&st, random_text(&rnd, a, 64), random_text(&rnd, b, 256));
        check_round_trip(&st);
    }
}

static void test_no_reason_no_details(void **state)
{
    struct grpc_status st = full_status();
    struct buf out = BUF_INIT;
    Google__Rpc__Status *judge;

    st.reason[0] = '\0';
    assert_int_equal(status_encode(&st, &out), 0);
    judge = google__rpc__status__unpack(NULL, buf_len(&out), buf_head(&out));
    assert_int_equal(judge->n_details, 0);
    assert_string_equal(judge->message, st.message);
    google__rpc__status__free_unpacked(judge, NULL);
    buf_deinit(&out);
}

/* Statuses as others may make them: unknown details, more than there is room for, other prefixes. Packed by
 * protobuf-c; its structures want writable strings. */
static void test_decode_of_others(void **state)
{
    static char long_text[400], description[] = "d\xff", other_reason[] = "IGNORED", domain[] = "another";
    static char debug_url[] = "type.googleapis.com/google.rpc.DebugInfo", no_url[] = "google.rpc.RetryInfo";
    static char bad_url[] = "example.org/google.rpc.BadRequest", text[] = "m";
    static char info_url[] = "type.googleapis.com/google.rpc.ErrorInfo";
    static uint8_t no_message[] = {0xff, 0xff, 0xff}, packed[2][8192], all[16384];
    Google__Rpc__BadRequest__FieldViolation v = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *vs[12];
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__Status judge = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any anys[4], *details[4];
    struct grpc_status st;

    memset(long_text, 'l', sizeof long_text - 1);
    v.field = long_text;
    v.description = description;
    v.reason = other_reason;
    for (size_t i = 0; i < ARRAY_LEN(vs); i++)
        vs[i] = &v;
    bad.n_field_violations = ARRAY_LEN(vs);
    bad.field_violations = vs;
    info.reason = long_text;
    info.domain = domain;
    for (size_t i = 0; i < ARRAY_LEN(anys); i++) {
        google__protobuf__any__init(&anys[i]);
        details[i] = &anys[i];
    }
    anys[0].type_url = debug_url;
    anys[0].value = (ProtobufCBinaryData){sizeof no_message, no_message}; /* never looked into */
    anys[1].type_url = bad_url;
    anys[1].value = (ProtobufCBinaryData){google__rpc__bad_request__pack(&bad, packed[0]), packed[0]};
    anys[2].type_url = info_url;
    anys[2].value = (ProtobufCBinaryData){google__rpc__error_info__pack(&info, packed[1]), packed[1]};
    anys[3].type_url = no_url; /* without a slash: no type */
    judge.code = 77;
    judge.message = text;
    judge.n_details = ARRAY_LEN(details);
    judge.details = details;
    assert_int_equal(status_decode((struct span){all, google__rpc__status__pack(&judge, all)}, &st), 0);
    assert_int_equal(st.code, GRPC_UNKNOWN);
    assert_string_equal(st.message, "m");
    assert_int_equal(strlen(st.reason), sizeof st.reason - 1);
    assert_int_equal(st.n_violations, STATUS_VIOLATIONS_MAX);
    assert_int_equal(strlen(st.violations[7].field), STATUS_TEXT_MAX_BYTES - 1);
    assert_string_equal(st.violations[7].description, "d?");
    assert_true(st.retry_delay_ms < 0);
}

static int64_t decode_delay(int64_t seconds, int32_t nanos)
{
    static char url[] = "type.googleapis.com/google.rpc.RetryInfo";
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT, *details[] = {&any};
    Google__Rpc__Status judge = GOOGLE__RPC__STATUS__INIT;
    uint8_t packed[64], all[256];
    struct grpc_status st;

    delay.seconds = seconds;
    delay.nanos = nanos;
    retry.retry_delay = &delay;
    any.type_url = url;
    any.value = (ProtobufCBinaryData){google__rpc__retry_info__pack(&retry, packed), packed};
    judge.n_details = 1;
    judge.details = details;
    assert_int_equal(status_decode((struct span){all, google__rpc__status__pack(&judge, all)}, &st), 0);
    return st.retry_delay_ms;
}

static void test_retry_delays(void **state)
{
    assert_int_equal(decode_delay(0, 0), 0);
    assert_int_equal(decode_delay(1, 999999), 1000);
    assert_int_equal(decode_delay(1, 1000000), 1001);
    assert_int_equal(decode_delay(-1, 0), -1);
    assert_int_equal(decode_delay(0, -1), -1);
    assert_int_equal(decode_delay(-5, 5), -1);
    assert_true(decode_delay(INT64_MAX / 1000, 0) == INT64_MAX / 1000 * 1000);
    assert_int_equal(decode_delay(INT64_MAX / 1000 + 1, 0), -1);
    assert_int_equal(decode_delay(INT64_MAX, 999999999), -1);
}

/* Cut off anywhere it is refused, or it is a whole status with fewer fields; never read beyond its end. */
static void test_damaged(void **state)
{
    struct test_random rnd = {test_seed()};
    struct grpc_status st = full_status(), back;
    struct buf out = BUF_INIT;
    unsigned int n_refused = 0;

    assert_int_equal(status_encode(&st, &out), 0);
    for (size_t n = 0; n < buf_len(&out); n++) {
        uint8_t *cut = malloc(n + 1);
        Google__Rpc__Status *judge;
        int r;

        memcpy(cut, buf_head(&out), n);
        judge = google__rpc__status__unpack(NULL, n, cut);
        r = status_decode((struct span){cut, n}, &back);
        assert_int_equal(r == 0, judge != NULL);
        n_refused += r != 0;
        if (judge)
            google__rpc__status__free_unpacked(judge, NULL);
        free(cut);
    }
    assert_true(n_refused > buf_len(&out) - 10);
    for (unsigned int round = 0; round < 20000; round++) {
        uint8_t *damaged = malloc(buf_len(&out));

        memcpy(damaged, buf_head(&out), buf_len(&out));
        for (uint64_t k = 1 + test_random_below(&rnd, 4); k > 0; k--)
            damaged[test_random_below(&rnd, buf_len(&out))] = (uint8_t)test_random_next(&rnd);
        if (status_decode((struct span){damaged, buf_len(&out)}, &back) == 0 && back.reason[0])
            check_round_trip(&back);
        free(damaged);
    }
    buf_deinit(&out);
}

static void test_no_memory(void **state)
{
    struct grpc_status st = full_status();

    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf out = BUF_INIT;
        int r = status_encode(&st, &out);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(buf_len(&out) == 0, r < 0);
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_names),
            cmocka_unit_test(test_set_starts_over),
            cmocka_unit_test(test_cut_at_a_character),
            cmocka_unit_test(test_invalid_bytes),
            cmocka_unit_test(test_any_bytes),
            cmocka_unit_test(test_rooms_that_are_full),
            cmocka_unit_test(test_protobuf_c_reads_it),
            cmocka_unit_test(test_round_trips),
            cmocka_unit_test(test_no_reason_no_details),
            cmocka_unit_test(test_decode_of_others),
            cmocka_unit_test(test_retry_delays),
            cmocka_unit_test(test_damaged),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
