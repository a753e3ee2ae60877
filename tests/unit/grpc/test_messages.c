// SPDX-License-Identifier: Apache-2.0
/* Each table against the generated code: random messages, packed by protobuf-c, read by us, compared field by field. */
#include "futured/v1/futures.pb-c.h"
#include "futured/v1/workers.pb-c.h"
#include "grpc/messages.h"
#include "tests/support/judge.h"

enum { ROUNDS = 3000 };

#define TABLE_TEST(name, type, table, descriptor)                             \
    static void name(void **state)                                            \
    {                                                                         \
        struct test_random r = {test_seed()};                                 \
        type ours;                                                            \
                                                                              \
        judge_table(&r, &(table), &(descriptor), &ours, sizeof ours, ROUNDS); \
    }

TABLE_TEST(test_task_options, struct task_options, task_options_table, futured__v1__task_options__descriptor)
TABLE_TEST(test_task, struct task, task_table, futured__v1__task__descriptor)
TABLE_TEST(test_submit_request, struct submit_request, submit_request_table,
           futured__v1__submit_request__descriptor)
TABLE_TEST(test_run_request, struct run_request, run_request_table, futured__v1__run_request__descriptor)
TABLE_TEST(test_result, struct result_message, result_table, futured__v1__result__descriptor)
TABLE_TEST(test_error, struct error_message, error_table, futured__v1__error__descriptor)
TABLE_TEST(test_usage, struct usage_message, usage_table, futured__v1__usage__descriptor)
TABLE_TEST(test_finish, struct finish_message, finish_table, futured__v1__finish__descriptor)
TABLE_TEST(test_assignment, struct assignment_message, assignment_table, futured__v1__assignment__descriptor)

/* A table with a row less would pass the comparison: these have a row for every field. */
static void test_complete(void **state)
{
    const struct {
        const struct codec_table *table;
        const ProtobufCMessageDescriptor *descriptor;
    } cases[] = {
            {&task_options_table, &futured__v1__task_options__descriptor},
            {&task_table, &futured__v1__task__descriptor},
            {&submit_request_table, &futured__v1__submit_request__descriptor},
            {&run_request_table, &futured__v1__run_request__descriptor},
            {&result_table, &futured__v1__result__descriptor},
            {&error_table, &futured__v1__error__descriptor},
            {&usage_table, &futured__v1__usage__descriptor},
            {&finish_table, &futured__v1__finish__descriptor},
            {&assignment_table, &futured__v1__assignment__descriptor},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned int k = 0; k < cases[i].descriptor->n_fields; k++) {
            uint32_t number = cases[i].descriptor->fields[k].id;

            if (number >= cases[i].table->n_rows || cases[i].table->rows[number].type == CODEC_NONE)
                fail_msg("%s: no row for field %u", cases[i].descriptor->name, number);
        }
}

static void test_labels(void **state)
{
    struct test_random rnd = {test_seed()};

    for (unsigned int round = 0; round < ROUNDS; round++) {
        ProtobufCMessage *m = judge_random(&rnd, &futured__v1__task__descriptor, 0, 3);
        const Futured__V1__Task *task = (const Futured__V1__Task *)(const void *)m;
        struct buf packed = judge_pack(m);
        struct wire_reader r = wire_reader(judge_span(&packed));
        struct span key, value;

        for (size_t i = 0; i < task->n_labels; i++) {
            assert_int_equal(task_next_label(&r, TASK_LABELS, &key, &value), 1);
            assert_true(judge_same_text(key, task->labels[i]->key));
            assert_true(judge_same_text(value, task->labels[i]->value));
        }
        assert_int_equal(task_next_label(&r, TASK_LABELS, &key, &value), 0);
        buf_deinit(&packed);
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static int label_of(const char *entry, size_t n, struct span *ret_key, struct span *ret_value)
{
    static uint8_t message[64];
    uint8_t *end = wire_put_bytes(message, 2, entry, n);
    struct wire_reader r = wire_reader((struct span){message, (size_t)(end - message)});

    return task_next_label(&r, 2, ret_key, ret_value);
}

static void test_label_entries(void **state)
{
    static const char *const bad[] = {
            "\x0a\x05k",                /* cut off */
            "\x0a\x01\xff",             /* not UTF-8 */
            "\x12\x01\xff", "\x08\x01", /* a number for a key */
    };
    struct span key, value;

    assert_int_equal(label_of("", 0, &key, &value), 1); /* absent is empty */
    assert_int_equal(key.len + value.len, 0);
    assert_int_equal(label_of("\x12\x01v\x0a\x01k\x18\x05", 8, &key, &value), 1); /* any order, and more */
    assert_true(span_eq(key, SPAN_LIT("k")) && span_eq(value, SPAN_LIT("v")));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        key = SPAN_LIT("before");
        assert_true(label_of(bad[i], strlen(bad[i]), &key, &value) < 0);
        assert_true(span_eq(key, SPAN_LIT("before")));
    }
}

/* --- leases */

static void test_lease_round_trip(void **state)
{
    struct test_random rnd = {test_seed()};

    for (unsigned int round = 0; round < ROUNDS; round++) {
        struct lease_ref in = {.attempt = (uint32_t)judge_random_number(&rnd),
                               .epoch = judge_random_number(&rnd)};
        struct lease_ref out;
        struct buf b = BUF_INIT;
        struct writer w = writer_to(&b);
        Futured__V1__Started *judge;

        for (size_t i = 0; i < ID_BYTES; i++)
            in.id.b[i] = (uint8_t)test_random_next(&rnd);
        lease_ref_write(&w, 1, &in);
        assert_int_equal(w.failed, 0);
        judge = futured__v1__started__unpack(NULL, buf_len(&b), buf_head(&b));
        assert_non_null(judge);
        assert_non_null(judge->lease);
        assert_int_equal(judge->lease->id.len, ID_BYTES);
        assert_memory_equal(judge->lease->id.data, in.id.b, ID_BYTES);
        assert_true(judge->lease->attempt == in.attempt && judge->lease->epoch == in.epoch);

        buf_clear(&b);
        assert_int_equal(buf_reserve(&b, 64), 0);
        buf_commit(&b, futured__v1__lease__pack(judge->lease, buf_tail(&b)));
        assert_int_equal(lease_ref_read(judge_span(&b), &out), 0);
        assert_memory_equal(&out.id, &in.id, sizeof in.id);
        assert_true(out.attempt == in.attempt && out.epoch == in.epoch);
        futured__v1__started__free_unpacked(judge, NULL);
        buf_deinit(&b);
    }
}

static void test_lease_refused(void **state)
{
#define ID16   \
    "\x0a\x10" \
    "0123456789abcdef"
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
            {"", 0}, /* no ID */
            {"\x0a\x0f"
             "0123456789abcde",
             17}, /* 15 bytes */
            {"\x0a\x11"
             "0123456789abcdef0",
             19},                                  /* 17 bytes */
            {ID16 "\x10\x80\x80\x80\x80\x10", 24}, /* attempt 2^32 */
            {ID16 ID16, 36},                       /* twice */
            {ID16 "\x12\x00", 20},                 /* attempt as bytes */
            {ID16 "\x10", 19},                     /* cut off */
    };
    struct lease_ref ref = {.attempt = 77};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(lease_ref_read((struct span){(const uint8_t *)cases[i].bytes, cases[i].n}, &ref),
                         CODEC_E_MALFORMED);
        assert_int_equal(ref.attempt, 77); /* untouched */
    }
    assert_int_equal(lease_ref_read((struct span){(const uint8_t *)ID16, 18}, &ref), 0);
    assert_int_equal(ref.attempt, 0);
    assert_int_equal(ref.epoch, 0);
#undef ID16
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_task_options),
            cmocka_unit_test(test_task),
            cmocka_unit_test(test_submit_request),
            cmocka_unit_test(test_run_request),
            cmocka_unit_test(test_result),
            cmocka_unit_test(test_error),
            cmocka_unit_test(test_usage),
            cmocka_unit_test(test_finish),
            cmocka_unit_test(test_assignment),
            cmocka_unit_test(test_complete),
            cmocka_unit_test(test_labels),
            cmocka_unit_test(test_label_entries),
            cmocka_unit_test(test_lease_round_trip),
            cmocka_unit_test(test_lease_refused),
    };

    test_seed();
    return cmocka_run_group_tests_name("grpc/messages", tests, NULL, NULL);
}
