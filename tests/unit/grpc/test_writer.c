// SPDX-License-Identifier: Apache-2.0
/*
 * The writer: each function against bytes known from the format, nested messages with right, too small and too large
 * guesses of their size, and whole random messages of the contract, written by us and read by protobuf-c.
 */
#include "futured/v1/futures.pb-c.h"
#include "futured/v1/workers.pb-c.h"
#include "grpc/writer.h"
#include "tests/support/judge.h"

#define EXPECT(b, lit)                                             \
    do {                                                           \
        assert_int_equal(buf_len(&(b)), sizeof(lit) - 1);          \
        assert_memory_equal(buf_head(&(b)), lit, sizeof(lit) - 1); \
        buf_clear(&(b));                                           \
    } while (0)

static void test_scalars(void **state)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);

    writer_uint(&w, 1, 0); /* proto3 leaves out what is 0 */
    writer_sint(&w, 1, 0);
    assert_int_equal(buf_len(&b), 0);
    writer_uint_always(&w, 1, 0);
    EXPECT(b, "\x08\x00");
    writer_uint(&w, 16, 300);
    EXPECT(b, "\x80\x01\xac\x02");
    writer_uint(&w, 1, UINT64_MAX);
    EXPECT(b, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    writer_int_always(&w, 2, -1);
    EXPECT(b, "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    writer_int_always(&w, 2, 0);
    EXPECT(b, "\x10\x00");
    writer_sint(&w, 3, -1);
    writer_sint(&w, 3, 1);
    writer_sint(&w, 3, -150);
    EXPECT(b, "\x18\x01\x18\x02\x18\xab\x02");
    writer_sint(&w, 3, INT64_MIN);
    EXPECT(b, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    writer_double(&w, 1, 0);
    assert_int_equal(buf_len(&b), 0);
    writer_double(&w, 1, 1.5);
    EXPECT(b, "\x09\0\0\0\0\0\0\xf8\x3f");
    writer_double_always(&w, 2, 0);
    EXPECT(b, "\x11\0\0\0\0\0\0\0\0");
    assert_int_equal(w.failed, 0);
    buf_deinit(&b);
}

static void test_bytes(void **state)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);

    writer_bytes(&w, 1, (struct span){0});
    writer_text(&w, 1, "");
    writer_raw(&w, (struct span){0});
    assert_int_equal(buf_len(&b), 0);
    writer_bytes_always(&w, 1, (struct span){0});
    EXPECT(b, "\x0a\x00");
    writer_bytes(&w, 2, SPAN_LIT("a\0b"));
    EXPECT(b, "\x12\x03"
              "a\0b");
    writer_text(&w, 2, "text");
    EXPECT(b, "\x12\x04text");
    writer_raw(&w, SPAN_LIT("\x08\x01\x12\x00"));
    EXPECT(b, "\x08\x01\x12\x00");
    buf_deinit(&b);
}

static void test_times(void **state)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);

    writer_timestamp(&w, 1, 0); /* no time */
    assert_int_equal(buf_len(&b), 0);
    writer_duration(&w, 1, 0); /* no time at all is a time */
    EXPECT(b, "\x0a\x00");
    writer_timestamp(&w, 1, 2 * NS_PER_S + 5);
    EXPECT(b, "\x0a\x04\x08\x02\x10\x05");
    writer_timestamp(&w, 1, -1); /* nanos count forward: -1 s and 999,999,999 ns */
    EXPECT(b, "\x0a\x11\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\xff\x93\xeb\xdc\x03");
    writer_timestamp(&w, 1, -NS_PER_S);
    EXPECT(b, "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    writer_duration(&w, 1, -5); /* both parts have its sign */
    EXPECT(b, "\x0a\x0b\x10\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    buf_deinit(&b);
}

/* Every time comes back as it was. */
static void test_times_round_trip(void **state)
{
    static const struct codec_row rows[] = {
            {.type = CODEC_NONE},
            {.type = CODEC_DURATION, .offset = 0, .name = "duration"},
            {.type = CODEC_TIMESTAMP, .offset = sizeof(struct codec_time), .name = "timestamp"},
    };
    static const struct codec_table table = CODEC_TABLE(rows);
    struct test_random rnd = {test_seed()};
    struct buf b = BUF_INIT;

    for (unsigned int i = 0; i < 20000; i++) {
        int64_t ns = i == 0 ? INT64_MAX : (int64_t)judge_random_number(&rnd) * (i % 2 ? 1 : -1);
        struct codec_time got[2] = {{0}};
        struct writer w = writer_to(&b);
        const char *field;

        if (ns == INT64_MIN)
            continue; /* its timestamp has no seconds that fit */
        writer_duration(&w, 1, ns);
        writer_timestamp(&w, 2, ns);
        assert_int_equal(codec_read(&table, judge_span(&b), got, &field), 0);
        assert_true(got[0].is_set && got[0].ns == ns);
        assert_true(got[1].is_set == (ns != 0) && got[1].ns == ns);
        buf_clear(&b);
    }
    buf_deinit(&b);
}

/* --- nested messages */

/* A message of @n bytes inside, with a guess of @hint: what comes is what protobuf has, whatever the guess. */
static void check_nested(size_t n, size_t hint)
{
    static uint8_t payload[300000];
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);
    struct wire_reader r;
    struct wire_field f;
    struct writer_mark m;
    size_t before, inner = n > 8 ? n - 8 : n;

    writer_text(&w, 1, "before");
    before = buf_len(&b);
    m = writer_begin(&w, 2, hint);
    for (size_t i = 0; i < inner; i++)
        payload[i] = (uint8_t)(i * 7);
    writer_raw(&w, (struct span){payload, inner});
    writer_raw(&w, (struct span){payload, n - inner}); /* in two pieces */
    writer_end(&w, m);
    writer_text(&w, 3, "behind");
    assert_int_equal(w.failed, 0);

    r = wire_reader((struct span){buf_head(&b) + before, buf_len(&b) - before});
    assert_int_equal(wire_next(&r, &f), 0);
    assert_int_equal(f.number, 2);
    assert_int_equal(f.raw.len, wire_len_field(2, n)); /* the length in as few bytes as can be */
    assert_int_equal(f.bytes.len, n);
    assert_memory_equal(f.bytes.p, payload, inner);
    assert_memory_equal(f.bytes.p + inner, payload, n - inner);
    assert_int_equal(wire_next(&r, &f), 0);
    assert_true(span_eq(f.bytes, SPAN_LIT("behind")));
    assert_int_equal(wire_next(&r, &f), WIRE_E_END);
    assert_memory_equal(buf_head(&b),
                        "\x0a\x06"
                        "before",
                        8);
    buf_deinit(&b);
}

static void test_nested_sizes(void **state)
{
    static const size_t sizes[] = {0,   1,   2,     126,   127,   128,    129,   255,
                                   256, 257, 16383, 16384, 16385, 262143, 300000};
    static const size_t hints[] = {0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435456, SIZE_MAX};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < ARRAY_LEN(hints); k++)
            check_nested(sizes[i], hints[k]);
}

/* In a buffer whose front has been consumed, marks stay right when the buffer moves. */
static void test_nested_in_a_queue(void **state)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);
    static const uint8_t payload[200];

    for (unsigned int round = 0; round < 200; round++) {
        struct writer_mark outer, inner;
        struct wire_reader r;
        struct wire_field f;
        size_t before = buf_len(&b);

        outer = writer_begin(&w, 1, 1);
        inner = writer_begin(&w, 2, 100000);
        writer_raw(&w, (struct span){payload, round});
        writer_end(&w, inner);
        writer_end(&w, outer);
        assert_int_equal(w.failed, 0);
        r = wire_reader((struct span){buf_head(&b) + before, buf_len(&b) - before});
        assert_int_equal(wire_next(&r, &f), 0);
        r = wire_reader(f.bytes);
        assert_int_equal(wire_next(&r, &f), 0);
        assert_int_equal(f.number, 2);
        assert_int_equal(f.bytes.len, round);
        if (round % 3)
            buf_consume(&b, buf_len(&b) / 2);
    }
    buf_deinit(&b);
}

/* --- whole messages */

static void write_message(struct writer *w, const ProtobufCMessage *m, struct test_random *r);

static void write_value(struct writer *w, const ProtobufCFieldDescriptor *f, const void *from, int is_always,
                        struct test_random *r)
{
    const ProtobufCBinaryData *bytes = from;
    struct span span;

    switch (f->type) {
    case PROTOBUF_C_TYPE_SINT32: writer_sint(w, f->id, *(const int32_t *)from); break;
    case PROTOBUF_C_TYPE_SINT64: writer_sint(w, f->id, *(const int64_t *)from); break;
    case PROTOBUF_C_TYPE_STRING:
        span = span_of_string(*(char *const *)from);
        (is_always ? writer_bytes_always : writer_bytes)(w, f->id, span);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        span = (struct span){bytes->data, bytes->len};
        (is_always ? writer_bytes_always : writer_bytes)(w, f->id, span);
        break;
    case PROTOBUF_C_TYPE_MESSAGE: {
        static const size_t hints[] = {0, 20, 128, 20000};
        struct writer_mark mark = writer_begin(w, f->id, hints[test_random_below(r, ARRAY_LEN(hints))]);

        write_message(w, *(ProtobufCMessage *const *)from, r);
        writer_end(w, mark);
        break;
    }
    default: (is_always ? writer_uint_always : writer_uint)(w, f->id, judge_number(f, from));
    }
}

/* @m, by the writer. */
static void write_message(struct writer *w, const ProtobufCMessage *m, struct test_random *r)
{
    for (unsigned int i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const uint8_t *at = judge_member(m, f);

        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            const uint8_t *values;
            size_t n;

            memcpy(&values, at, sizeof values);
            memcpy(&n, (const uint8_t *)m + f->quantifier_offset, sizeof n);
            for (size_t k = 0; k < n; k++)
                write_value(w, f, values + k * judge_value_size(f), 1, r);
        } else if (judge_in_oneof(f)) {
            if (judge_is_case(m, f))
                write_value(w, f, at, 1, r);
        } else if (f->type != PROTOBUF_C_TYPE_MESSAGE || *(ProtobufCMessage *const *)(const void *)at) {
            write_value(w, f, at, 0, r);
        }
    }
}

static void check_messages(const ProtobufCMessageDescriptor *d, unsigned int rounds)
{
    struct test_random rnd = {test_seed()};
    struct buf b = BUF_INIT;

    while (rounds--) {
        ProtobufCMessage *m = judge_random(&rnd, d, JUDGE_NO_DOUBLES, 4);
        struct writer w = writer_to(&b);

        write_message(&w, m, &rnd);
        assert_int_equal(w.failed, 0);
        if (!judge_is_encoding(judge_span(&b), m))
            fail_msg("%s: protobuf-c reads something else", d->name);
        buf_clear(&b);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    buf_deinit(&b);
}

static void test_messages(void **state)
{
    check_messages(&futured__v1__submit_request__descriptor, 2000);
    check_messages(&futured__v1__future__descriptor, 1000);
    check_messages(&futured__v1__attach_response__descriptor, 300);
}

/* --- no memory */

static void test_no_memory(void **state)
{
    struct test_random rnd = {test_seed()};
    ProtobufCMessage *m = judge_random(&rnd, &futured__v1__attach_request__descriptor, JUDGE_NO_DOUBLES, 4);

    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf b = BUF_INIT;
        struct writer w = writer_to(&b);

        write_message(&w, m, &rnd); /* goes on writing after the failure */
        assert_int_equal(w.failed, test_allocation_failed() ? -ENOMEM : 0);
        if (!w.failed)
            assert_true(judge_is_encoding(judge_span(&b), m));
        buf_deinit(&b);
    }
    protobuf_c_message_free_unpacked(m, NULL);
}

/* The failure may come where the length turns out to need one byte more than there is room for. */
static void test_no_memory_for_the_length(void **state)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);
    static const uint8_t payload[4096];
    struct writer_mark m;

    m = writer_begin(&w, 1, 0);
    assert_true(b.cap - b.end >= 128);
    writer_raw(&w, (struct span){payload, b.cap - b.end});
    assert_int_equal(b.cap, b.end);
    mem_fail_at(1);
    writer_end(&w, m);
    assert_true(test_allocation_failed());
    assert_int_equal(w.failed, -ENOMEM);
    mem_fail_at(0);
    writer_uint(&w, 1, 1); /* stays failed */
    assert_int_equal(b.cap, b.end);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_scalars),
            cmocka_unit_test(test_bytes),
            cmocka_unit_test(test_times),
            cmocka_unit_test(test_times_round_trip),
            cmocka_unit_test(test_nested_sizes),
            cmocka_unit_test(test_nested_in_a_queue),
            cmocka_unit_test(test_messages),
            cmocka_unit_test(test_no_memory),
            cmocka_unit_test(test_no_memory_for_the_length),
    };

    test_seed();
    return cmocka_run_group_tests_name("grpc/writer", tests, NULL, NULL);
}
