// SPDX-License-Identifier: Apache-2.0
/* The record: what is written comes back, and the bytes of old versions stay readable. */
#include "tests/unit/store/sample.h"

/* Encode @s, decode it from bytes of exactly its size, compare. */
static void round_trip(const struct sample *s)
{
    struct buf out = BUF_INIT;
    struct record got;
    struct span bytes;
    uint8_t *exact;

    assert_int_equal(buf_append(&out, "before", 6), 0);
    bytes = sample_encode(s, &out);
    exact = mem_dup(bytes.p, bytes.len);
    assert_non_null(exact);
    assert_int_equal(record_decode(&s->future.id, (struct span){exact, bytes.len}, &got), 0);
    sample_assert(&got, s);
    record_deinit(&got);
    mem_free(exact);
    buf_deinit(&out);
}

static void test_round_trip_plain(void **state)
{
    struct sample *s = sample_plain(1);

    round_trip(s);
    sample_finish(s, sample_bytes("result"), NS_PER_S);
    round_trip(s);
    sample_free(s);
}

static void test_round_trip_failed(void **state)
{
    struct sample *s = sample_plain(2);

    sample_finish(s, NULL, NS_PER_S);
    round_trip(s);
    future_error_unref(s->outcome.error);
    s->outcome.error = sample_error(REASON_WORKER_LOST); /* not that of the attempt */
    round_trip(s);
    sample_free(s);
}

static void test_round_trip_full(void **state)
{
    struct sample *s = sample_full(3);

    round_trip(s);
    mem_free(s->labels);
    s->future.labels = s->labels = labels_new(NULL, 0); /* all removed is not the same as untouched */
    round_trip(s);
    sample_free(s);
}

static void test_round_trip_timed(void **state)
{
    struct sample *s = sample_timed(14);

    round_trip(s);
    s->timing.next_try = 0; /* the pause is over */
    s->retry.n_types = 0;
    round_trip(s);
    s->timing.retry = NULL;
    s->timing.not_before = 0;
    round_trip(s);
    s->timing = (struct timing){.future = &s->future, .deadline = 1};
    round_trip(s);
    sample_free(s);
}

static void test_round_trip_at_the_limit_of_inline(void **state)
{
    for (size_t n = BATCH_INLINE_BYTES - 1; n <= BATCH_INLINE_BYTES + 1; n++) {
        struct sample *s = sample_plain(4);
        struct buf out = BUF_INIT;

        bytes_unref(s->future.task);
        s->future.task = sample_long(n, 1);
        sample_finish(s, sample_long(n, 2), NS_PER_S);
        round_trip(s);
        assert_int_equal(record_is_inline(s->future.task), n <= BATCH_INLINE_BYTES);
        assert_true((sample_encode(s, &out).len > n) == (n <= BATCH_INLINE_BYTES));
        buf_deinit(&out);
        sample_free(s);
    }
    assert_true(record_is_inline(NULL));
}

static void test_round_trip_empty_data(void **state)
{
    struct sample *s = sample_plain(5);

    bytes_unref(s->future.task);
    s->future.task = sample_bytes("");
    s->future.argument_at = s->future.argument_field_bytes = s->future.argument_bytes = 0;
    sample_finish(s, sample_bytes(""), 0);
    round_trip(s);
    sample_free(s);
}

static void test_round_trip_depends(void **state)
{
    for (uint32_t n = 1; n <= LIMIT_DEPENDS_ON;
         n = n < 6 ? n + 1 : LIMIT_DEPENDS_ON + (n == LIMIT_DEPENDS_ON)) {
        struct sample *s = sample_full(3), *plain = sample_plain(4);

        sample_depend(s, n);
        round_trip(s);
        sample_hold_key(s, "k");
        round_trip(s);
        sample_depend(plain, n);
        round_trip(plain);
        sample_free(s);
        sample_free(plain);
    }
}

/* An edge in a state that there is not, more edges than there may be, no policy. */
static void test_bad_depends(void **state)
{
    static const uint8_t states[] = {FUTURE_PENDING, FUTURE_RUNNING, DEPEND_GONE + 1, 255};

    for (size_t i = 0; i < ARRAY_LEN(states) + 2; i++) {
        struct sample *s = sample_plain(1);
        struct buf out = BUF_INIT;
        struct record got;
        struct span bytes;

        sample_depend(s, i == ARRAY_LEN(states) ? LIMIT_DEPENDS_ON + 1 : 2);
        if (i < ARRAY_LEN(states))
            s->rare.depend->at[1].state = states[i];
        if (i > ARRAY_LEN(states))
            s->rare.depend->policy = 0;
        bytes = sample_encode(s, &out);
        assert_int_equal(record_decode(&s->future.id, bytes, &got), RECORD_E_DAMAGED);
        buf_deinit(&out);
        sample_free(s);
    }
}

static void test_round_trip_key(void **state)
{
    struct sample *s = sample_full(3), *plain = sample_plain(4);
    struct buf out = BUF_INIT;
    struct record got;
    struct span bytes;

    sample_hold_key(s, "a key");
    round_trip(s);
    sample_hold_key(plain, "k");
    round_trip(plain);
    plain->rare.idem->content_type_at = plain->future.task->len - 2; /* behind the end */
    bytes = sample_encode(plain, &out);
    assert_int_equal(record_decode(&plain->future.id, bytes, &got), RECORD_E_DAMAGED);
    buf_deinit(&out);
    sample_free(s);
    sample_free(plain);
}

static void test_round_trip_retry(void **state)
{
    struct sample *s = sample_full(3), *plain = sample_plain(4);
    struct buf out = BUF_INIT;
    struct record got;
    struct span bytes;

    sample_retry(s, 1, 1);
    round_trip(s);
    sample_depend(s, 1000);
    sample_hold_key(s, "a key");
    round_trip(s);
    sample_retry(s, 0, 1);
    round_trip(s);
    sample_retry(plain, 1, 0);
    round_trip(plain);
    sample_retry(plain, 0, 1); /* of one that has not failed */
    bytes = sample_encode(plain, &out);
    assert_int_equal(record_decode(&plain->future.id, bytes, &got), RECORD_E_DAMAGED);
    buf_deinit(&out);
    sample_free(s);
    sample_free(plain);
}

static const enum future_reason all_reasons[] = {
        REASON_NONE,
        REASON_FUNCTION_ERROR,
        REASON_TIMEOUT,
        REASON_CANCELLED,
        REASON_DEADLINE_EXCEEDED,
        REASON_CRASHED,
        REASON_WORKER_LOST,
        REASON_OUTCOME_UNKNOWN,
        REASON_MEMORY_LIMIT,
        REASON_CPU_LIMIT,
        REASON_RESULT_TOO_LARGE,
        REASON_ARGUMENT_TOO_LARGE,
        REASON_DEPENDENCY_FAILED,
        REASON_NO_SUCH_FUNCTION,
        REASON_SHUTDOWN,
};

static void test_round_trip_reasons(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(all_reasons); i++) {
        struct sample *s = sample_plain(6);

        sample_finish(s, NULL, NS_PER_S);
        s->outcome.error->reason = all_reasons[i];
        round_trip(s);
        sample_free(s);
    }
}

static int64_t odd_number(struct test_random *r)
{
    uint64_t v = test_random_next(r) >> test_random_below(r, 64);

    return (int64_t)(test_random_below(r, 2) ? v : 0 - v);
}

static void test_round_trip_random_numbers(void **state)
{
    struct test_random r = {test_seed()};

    for (int i = 0; i < 2000; i++) {
        struct sample *s = sample_full((uint32_t)i);

        s->future.revision = (uint64_t)odd_number(&r);
        s->future.submit_time = odd_number(&r);
        s->future.priority = (int32_t)odd_number(&r);
        s->future.n_claims = (uint32_t)odd_number(&r);
        s->rare.retention_ns = MAX(odd_number(&r), INT64_C(-1));
        s->rare.n_losses = (uint8_t)odd_number(&r);
        s->cancel.time = odd_number(&r);
        s->outcome.end_time = odd_number(&r);
        s->outcome.expire_time = odd_number(&r);
        s->attempts[0].start_time = odd_number(&r);
        s->attempts[0].end_time = odd_number(&r) | 1;
        s->attempts[0].exit_code = (int32_t)odd_number(&r);
        s->attempts[1].number = (uint32_t)odd_number(&r);
        s->attempts[1].error->code = (int32_t)odd_number(&r);
        round_trip(s);
        sample_free(s);
    }
}

/* --- golden bytes: what version 1 wrote must be read for ever */

static const char golden_plain_1[] =
        "01011100818080808020404209ee51728618000000060705046563686f00087569643a3130303000"
        "0d0a046563686f120568656c6c6f5b9b99bb";
static const char golden_full_1[] =
        "010522fef301ffffffffffffffffff01808418ee517286180dffffffff0f02060705046563686f07"
        "73746167696e67087569643a3130303000076e696768746c790b756e69783a7069643d373705726f"
        "7720373730302d34626639326633353737623334646136613363653932396430653065343733362d"
        "303066303637616130626139303262372d30310205656d70747900047465616d04626c756580c8af"
        "a025057569643a3008746f6f206c617465030b090108776f726b65722d318298dc93340501020380"
        "8080808080808080011a010943414e43454c4c4544074f534572726f720961206d6573736167650e"
        "6c696e6520310a6c696e6520320a044449534b0442020a000d0402000212000000001a0107435241"
        "53484544074f534572726f720961206d6573736167650e6c696e6520310a6c696e6520320a044449"
        "534b0442020a00000100000600ffffffffffffffff7f81208098dc9334fed5df8a8eebc6f9ce010a"
        "746578742f706c61696e0d0a046563686f120568656c6c6f875d64e0";

static const char golden_key_1[] =
        "0101118080808101818080808020404209ee51728618000000060705046563686f00087569643a31"
        "303030056b65792d31020309726571756573742031000d0a046563686f120568656c6c6f52def11d";

static const char golden_timed_1[] =
        "010522fef3bf8002ffffffffffffffffff01c0c627ee517286180dffffffff0f0206070504656368"
        "6f0773746167696e67087569643a3130303000076e696768746c790b756e69783a7069643d373705"
        "726f7720373730302d34626639326633353737623334646136613363653932396430653065343733"
        "362d303066303637616130626139303262372d30310205656d70747900047465616d04626c756580"
        "c8afa025057569643a3008746f6f206c61746580a8d6b9078080c58bc6d101ffffffffffffffff7f"
        "e80700ffffffffffffffff7f000000000000f83f000000000000d03f020a56616c75654572726f72"
        "0080e0ba84bf030300030b090108776f726b65722d318298dc933405010203808080808080808080"
        "011a010943414e43454c4c4544074f534572726f720961206d6573736167650e6c696e6520310a6c"
        "696e6520320a044449534b0442020a000d0402000212000000001a010743524153484544074f5345"
        "72726f720961206d6573736167650e6c696e6520310a6c696e6520320a044449534b0442020a0000"
        "0100000600ffffffffffffffff7f81208098dc9334fecce5898eebc6f9ce010a746578742f706c61"
        "696e0d0a046563686f120568656c6c6fe0652179";

static const char golden_keyed_1[] =
        "01011180808030848080808020000937ee51728618000000060705046563686f00087569643a3130"
        "3030096163636f756e742d3704626c7565000d0a046563686f120568656c6c6f72ea4d77";

static const char golden_retry_1[] =
        "010522fef3810cffffffffffffffffff01808418ee517286180dffffffff0f02060705046563686f"
        "0773746167696e67087569643a3130303000076e696768746c790b756e69783a7069643d37370572"
        "6f7720373730302d3462663932663335373762333464613661336365393239643065306534373336"
        "2d303066303637616130626139303262372d30310205656d70747900047465616d04626c756580c8"
        "afa025057569643a3008746f6f206c617465019b76daa7ff7fff8000000000000003019b76daa802"
        "770f8000000000000004030b090108776f726b65722d318298dc9334050102038080808080808080"
        "80011a010943414e43454c4c4544074f534572726f720961206d6573736167650e6c696e6520310a"
        "6c696e6520320a044449534b0442020a000d0402000212000000001a010743524153484544074f53"
        "4572726f720961206d6573736167650e6c696e6520310a6c696e6520320a044449534b0442020a00"
        "000100000600ffffffffffffffff7f81208098dc9334fed5df8a8eebc6f9ce010a746578742f706c"
        "61696e0d0a046563686f120568656c6c6f41514067";

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        char two[] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

static void assert_golden(const char *hex, const struct sample *s)
{
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    uint8_t golden[4096];
    struct record got;
    size_t n = from_hex(hex, golden);

    if (n != bytes.len || memcmp(golden, bytes.p, n) != 0) {
        printf("a record of version %d is now: ", RECORD_VERSION);
        for (size_t i = 0; i < bytes.len; i++)
            printf("%02x", bytes.p[i]);
        printf("\n");
        fail_msg("the bytes have changed: see the recipe in record.h");
    }
    assert_int_equal(record_decode(&s->future.id, (struct span){golden, n}, &got), 0);
    sample_assert(&got, s);
    record_deinit(&got);
    buf_deinit(&out);
}

static void test_round_trip_told(void **state)
{
    struct sample *s = sample_plain(9);

    sample_tell(s);
    round_trip(s);
    s->told.n_chunks = 0;
    round_trip(s);
    s->told.n_chunks = 2;
    s->told.progress.attempt = 0;
    round_trip(s);
    sample_free(s);
}

static void test_golden(void **state)
{
    struct sample *plain = sample_plain(1), *full = sample_full(2), *timed = sample_timed(3),
                  *keyed = sample_keyed(4);

    assert_golden(golden_plain_1, plain);
    assert_golden(golden_full_1, full);
    assert_golden(golden_timed_1, timed);
    assert_golden(golden_keyed_1, keyed);
    sample_hold_key(plain, "key-1");
    assert_golden(golden_key_1, plain);
    sample_retry(full, 1, 1);
    assert_golden(golden_retry_1, full);
    sample_free(plain);
    sample_free(full);
    sample_free(timed);
    sample_free(keyed);
}

static void test_without_memory(void **state)
{
    struct sample *s = sample_timed(12);
    struct record_place place = {7, 7, 7};
    struct buf out = BUF_INIT;
    struct record got;
    int r;

    FAIL_EACH_ALLOCATION(nth)
    {
        out = BUF_INIT;
        r = record_encode(&s->future, &out, &place);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_true((buf_len(&out) == 0) == (r != 0));
        if (test_allocation_failed())
            assert_int_equal(place.at, 7);
        buf_deinit(&out);
    }
    sample_encode(s, &out);
    FAIL_EACH_ALLOCATION(nth)
    {
        r = record_decode(&s->future.id, (struct span){buf_head(&out), buf_len(&out)}, &got);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0)
            record_deinit(&got);
    }
    buf_deinit(&out);
    sample_free(s);
}

static void encode_without_outcome(void *sample)
{
    struct sample *s = sample;
    struct record_place place;
    struct buf out = BUF_INIT;

    s->future.state = FUTURE_SUCCEEDED;
    ASSERT(record_encode(&s->future, &out, &place) == 0);
}

static void test_what_could_not_be_read_is_not_written(void **state)
{
    struct sample *s = sample_plain(13);

    test_aborts(encode_without_outcome, s, "future_is_terminal");
    sample_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_round_trip_plain),
            cmocka_unit_test(test_round_trip_failed),
            cmocka_unit_test(test_round_trip_full),
            cmocka_unit_test(test_round_trip_timed),
            cmocka_unit_test(test_round_trip_at_the_limit_of_inline),
            cmocka_unit_test(test_round_trip_empty_data),
            cmocka_unit_test(test_round_trip_retry),
            cmocka_unit_test(test_round_trip_key),
            cmocka_unit_test(test_round_trip_depends),
            cmocka_unit_test(test_bad_depends),
            cmocka_unit_test(test_round_trip_reasons),
            cmocka_unit_test(test_round_trip_random_numbers),
            cmocka_unit_test(test_round_trip_told),
            cmocka_unit_test(test_golden),
            cmocka_unit_test(test_without_memory),
            cmocka_unit_test(test_what_could_not_be_read_is_not_written),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
