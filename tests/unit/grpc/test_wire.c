// SPDX-License-Identifier: Apache-2.0
/*
 * The wire format: every boundary of a varint, every wire type, every way to be cut off. Judge besides:
 * protobuf-c, which reads random and damaged bytes as a message without known fields and must see the same
 * fields, or refuse as we do.
 */
#include "google/protobuf/empty.pb-c.h"
#include "grpc/wire.h"
#include "tests/support/testing.h"

/* Read the one field that @p.. holds; it must be all there is. */
static struct wire_field read_one(const uint8_t *p, size_t n)
{
    struct wire_reader r = wire_reader((struct span){p, n});
    struct wire_field f, none;

    assert_int_equal(wire_next(&r, &f), 0);
    assert_ptr_equal(f.raw.p, p);
    assert_int_equal(f.raw.len, n);
    assert_int_equal(wire_next(&r, &none), WIRE_E_END);
    return f;
}

static void check_value(uint64_t v)
{
    uint8_t out[32], *end = wire_put_varint(out, v);
    struct wire_field f;

    assert_int_equal(end - out, wire_varint_len(v));
    end = wire_put_uint(out, 15, v);
    assert_int_equal(end - out, wire_uint_field(15, v));
    f = read_one(out, (size_t)(end - out));
    assert_int_equal(f.number, 15);
    assert_int_equal(f.type, WIRE_VARINT);
    assert_true(f.value == v);
}

static void test_varints(void **state)
{
    check_value(0);
    check_value(UINT64_MAX);
    for (unsigned int bit = 0; bit < 64; bit++) {
        check_value(UINT64_C(1) << bit);
        check_value((UINT64_C(1) << bit) - 1);
        check_value((UINT64_C(1) << bit) + 1);
    }
    for (uint64_t v = 0; v < 70000; v++)
        check_value(v);
}

/* Varints one behind the other, as a packed field has them, cut off everywhere. */
static void test_packed(void **state)
{
    static const uint64_t values[] = {0, 127, 128, 300, UINT64_MAX, 1};
    uint8_t out[64], *end = out;

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        end = wire_put_varint(end, values[i]);
    for (size_t n = 0; n <= (size_t)(end - out); n++) {
        struct wire_reader r = wire_reader((struct span){out, n});
        size_t i = 0;
        uint64_t v;
        int got;

        while ((got = wire_get_varint(&r, &v)) == 0)
            assert_true(v == values[i++]);
        assert_int_equal(got, r.at == r.end ? WIRE_E_END : WIRE_E_MALFORMED);
        assert_true(r.at == r.end || (r.end[-1] & 0x80));
    }
}

static void test_numbers(void **state)
{
    static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, 262143, 262144, 33554431, 33554432, 536870911};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint8_t out[64], *end = wire_put_bytes(out, numbers[i], "abc", 3);
        struct wire_field f = read_one(out, (size_t)(end - out));

        assert_int_equal(end - out, wire_len_field(numbers[i], 3));
        assert_int_equal(f.number, numbers[i]);
        assert_int_equal(f.type, WIRE_BYTES);
        assert_int_equal(f.bytes.len, 3);
        assert_memory_equal(f.bytes.p, "abc", 3);
    }
}

static void test_lengths(void **state)
{
    static uint8_t payload[70000], out[70016];

    for (size_t n = 0; n < sizeof payload; n += n < 300 ? 1 : 997) {
        uint8_t *end = wire_put_bytes(out, 1, payload, n);
        struct wire_field f = read_one(out, (size_t)(end - out));

        assert_int_equal(end - out, wire_len_field(1, n));
        assert_int_equal(f.bytes.len, n);
        assert_ptr_equal(wire_put_len(out, 1, n), out + wire_len_field(1, n) - n);
    }
}

static void test_fixed(void **state)
{
    static const uint8_t f32[] = {0x0d, 0x78, 0x56, 0x34, 0xf2};
    static const uint8_t f64[] = {0x11, 1, 2, 3, 4, 5, 6, 7, 0x88};
    struct wire_field f = read_one(f32, sizeof f32);

    assert_int_equal(f.number, 1);
    assert_int_equal(f.type, WIRE_FIXED32);
    assert_true(f.value == 0xf2345678);
    f = read_one(f64, sizeof f64);
    assert_int_equal(f.number, 2);
    assert_int_equal(f.type, WIRE_FIXED64);
    assert_true(f.value == UINT64_C(0x8807060504030201));
}

static void test_malformed(void **state)
{
#define CASE(text) SPAN_LIT(text)
    const struct span cases[] = {
            CASE("\x00"),                                             /* number 0 */
            CASE("\x07"),                                             /* number 0, type 7 */
            CASE("\x0b"),                                             /* group start */
            CASE("\x0c"),                                             /* group end */
            CASE("\x0e"),                                             /* type 6 */
            CASE("\x0f"),                                             /* type 7 */
            CASE("\x80\x80\x80\x80\x10\x01"),                         /* number 2^29 */
            CASE("\x88\x80\x80\x80\x80\x00\x01"),                     /* a tag of six bytes */
            CASE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* a varint of eleven */
            CASE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),     /* 2^64-1 bytes */
            CASE("\x0a\x01"),                                         /* one byte of none */
            CASE("\x0d\x01\x02\x03"),                                 /* a fixed32 of three */
            CASE("\x09\x01\x02\x03\x04\x05\x06\x07"),                 /* a fixed64 of seven */
    };
#undef CASE

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_reader r = wire_reader(cases[i]);
        struct wire_field f = {.number = 77};

        assert_int_equal(wire_next(&r, &f), WIRE_E_MALFORMED);
        assert_int_equal(f.number, 77); /* untouched on failure */
        assert_ptr_equal(r.at, cases[i].p);
    }
}

static void test_longest_varint(void **state)
{
    static const uint8_t max[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t long_zero[] = {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};

    assert_true(read_one(max, sizeof max).value == UINT64_MAX);
    assert_true(read_one(long_zero, sizeof long_zero).value == 0);
}

/* A message of all types, cut off everywhere: whole fields are read, then END at a boundary, else MALFORMED. */
static void test_cut_off(void **state)
{
    uint8_t out[64], *at = out;
    size_t ends[4];

    at = wire_put_uint(at, 1, 300);
    ends[0] = (size_t)(at - out);
    at = wire_put_bytes(at, 2, "hello", 5);
    ends[1] = (size_t)(at - out);
    memcpy(at, "\x1d\x01\x02\x03\x04", 5);
    at += 5;
    ends[2] = (size_t)(at - out);
    memcpy(at, "\x21\x01\x02\x03\x04\x05\x06\x07\x08", 9);
    at += 9;
    ends[3] = (size_t)(at - out);
    for (size_t n = 0; n <= ends[3]; n++) {
        struct wire_reader r = wire_reader((struct span){out, n});
        struct wire_field f;
        size_t whole = 0;
        int got;

        while ((got = wire_next(&r, &f)) == 0) {
            assert_int_equal(f.number, whole + 1);
            assert_int_equal(r.at - out, ends[whole]);
            whole++;
        }
        if (n == 0 || (whole > 0 && ends[whole - 1] == n))
            assert_int_equal(got, WIRE_E_END);
        else
            assert_int_equal(got, WIRE_E_MALFORMED);
    }
}

/* Whether protobuf-c sees in @p the fields that we see. */
static void check_against_protobuf_c(const uint8_t *p, size_t n)
{
    Google__Protobuf__Empty *judge = google__protobuf__empty__unpack(NULL, n, p);
    struct wire_reader r = wire_reader((struct span){p, n});
    struct wire_field f;
    unsigned int i = 0;
    int got;

    while ((got = wire_next(&r, &f)) == 0) {
        const ProtobufCMessageUnknownField *u;

        if (!judge) {
            i++;
            continue;
        }
        assert_true(i < judge->base.n_unknown_fields);
        u = &judge->base.unknown_fields[i++];
        assert_int_equal(u->tag, f.number);
        assert_int_equal((int)u->wire_type, (int)f.type);
        assert_true(u->len <= f.raw.len); /* without the tag */
        assert_memory_equal(u->data, f.raw.p + f.raw.len - u->len, u->len);
    }
    if (got == WIRE_E_MALFORMED && judge) { /* protobuf-c drops the bits of a tag beyond 32, we refuse it */
        assert_true(r.end - r.at >= WIRE_TAG_MAX && r.at[WIRE_TAG_MAX - 1] > 0xf);
        i = (unsigned int)judge->base.n_unknown_fields;
    } else {
        assert_int_equal(got == WIRE_E_END, judge != NULL);
    }
    if (judge) {
        assert_int_equal(i, judge->base.n_unknown_fields);
        google__protobuf__empty__free_unpacked(judge, NULL);
    }
}

static uint8_t *put_random_field(uint8_t *at, struct test_random *rnd)
{
    uint32_t number = 1 + (uint32_t)(test_random_next(rnd) >> (35 + test_random_below(rnd, 29)));
    uint8_t payload[40];

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)test_random_next(rnd);
    if (test_random_below(rnd, 2))
        return wire_put_uint(at, number, test_random_next(rnd) >> test_random_below(rnd, 64));
    return wire_put_bytes(at, number, payload, test_random_below(rnd, sizeof payload));
}

static void test_same_as_protobuf_c(void **state)
{
    struct test_random rnd = {test_seed()};

    for (unsigned int round = 0; round < 50000; round++) {
        uint8_t out[512], *at = out;
        size_t n;

        for (uint64_t k = test_random_below(&rnd, 6); k > 0; k--)
            at = put_random_field(at, &rnd);
        n = (size_t)(at - out);
        check_against_protobuf_c(out, n);
        if (n == 0)
            continue;
        for (uint64_t k = test_random_below(&rnd, 4); k > 0; k--)
            out[test_random_below(&rnd, n)] = (uint8_t)test_random_next(&rnd);
        check_against_protobuf_c(out, test_random_below(&rnd, n + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_varints),
            cmocka_unit_test(test_packed),
            cmocka_unit_test(test_numbers),
            cmocka_unit_test(test_lengths),
            cmocka_unit_test(test_fixed),
            cmocka_unit_test(test_malformed),
            cmocka_unit_test(test_longest_varint),
            cmocka_unit_test(test_cut_off),
            cmocka_unit_test(test_same_as_protobuf_c),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
