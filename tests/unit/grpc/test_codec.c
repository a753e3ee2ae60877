// SPDX-License-Identifier: Apache-2.0
/*
 * The table-driven decoder: every type with its borders, every wrong wire type, what is refused and what is skipped, and a
 * message of everything cut off at every byte. That the tables are those of the contract is test_messages.c's.
 */
#include "base/clock.h"
#include "grpc/codec.h"
#include "tests/support/testing.h"

#include <float.h>

struct all {
    uint64_t uint;
    struct codec_number number;
    int64_t integer, sint;
    double real;
    struct span string;
    struct codec_bytes bytes, message;
    struct codec_time duration, timestamp;
    uint32_t strings, messages;
};

static const struct codec_row rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct all, uint),
        CODEC_ROW(2, CODEC_NUMBER, struct all, number),
        CODEC_ROW(3, CODEC_INT, struct all, integer),
        CODEC_ROW(4, CODEC_SINT, struct all, sint),
        CODEC_ROW(5, CODEC_DOUBLE, struct all, real),
        CODEC_ROW(6, CODEC_STRING, struct all, string),
        CODEC_ROW(7, CODEC_BYTES, struct all, bytes),
        CODEC_ROW(8, CODEC_MESSAGE, struct all, message),
        CODEC_ROW(9, CODEC_DURATION, struct all, duration),
        CODEC_ROW(10, CODEC_TIMESTAMP, struct all, timestamp),
        /* 11 is a hole */
        CODEC_ROW(12, CODEC_REPEATED_STRING, struct all, strings),
        CODEC_ROW(13, CODEC_REPEATED_MESSAGE, struct all, messages),
};
static const struct codec_table table = CODEC_TABLE(rows);

/* A message under construction. */
struct message {
    uint8_t bytes[512];
    size_t n;
};

static void put_uint(struct message *m, uint32_t number, uint64_t v)
{
    m->n = (size_t)(wire_put_uint(m->bytes + m->n, number, v) - m->bytes);
}

static void put_bytes(struct message *m, uint32_t number, const void *p, size_t n)
{
    assert_true(m->n + n + 16 < sizeof m->bytes);
    m->n = (size_t)(wire_put_bytes(m->bytes + m->n, number, p, n) - m->bytes);
}

static void put_fixed(struct message *m, uint32_t number, enum wire_type type, uint64_t v)
{
    uint8_t *at = wire_put_varint(m->bytes + m->n, (uint64_t)number << 3 | type);
    size_t n = type == WIRE_FIXED64 ? 8 : 4;

    memcpy(at, &v, n); /* little-endian, as the machines we build for */
    m->n = (size_t)(at + n - m->bytes);
}

static void put_time(struct message *m, uint32_t number, int64_t seconds, int64_t nanos)
{
    struct message time = {.n = 0};

    put_uint(&time, 1, (uint64_t)seconds);
    put_uint(&time, 2, (uint64_t)nanos);
    put_bytes(m, number, time.bytes, time.n);
}

static int read_message(const struct message *m, struct all *ret, const char **ret_field)
{
    *ret = (struct all){0};
    *ret_field = "untouched";
    return codec_read(&table, (struct span){m->bytes, m->n}, ret, ret_field);
}

static struct all read_well(const struct message *m)
{
    struct all all;
    const char *field;

    assert_int_equal(read_message(m, &all, &field), 0);
    assert_string_equal(field, "untouched");
    return all;
}

static void expect_refused(const struct message *m, int error, const char *name)
{
    struct all all;
    const char *field;

    assert_int_equal(read_message(m, &all, &field), error);
    assert_string_equal(field, name);
}

static void test_nothing(void **state)
{
    struct all all = {.uint = 7, .messages = 3};
    const char *field = "untouched";

    assert_int_equal(codec_read(&table, (struct span){0}, &all, &field), 0);
    assert_int_equal(codec_read(&table, (struct span){(const uint8_t *)"x", 0}, &all, &field), 0);
    assert_int_equal(all.uint, 7);
    assert_int_equal(all.messages, 3);
}

static void test_integers(void **state)
{
    for (unsigned int bit = 0; bit < 64; bit++) {
        const uint64_t values[] = {UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1, ~(UINT64_C(1) << bit)};

        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            uint64_t v = values[i];
            struct message m = {.n = 0};
            struct all all;

            for (uint32_t number = 1; number <= 4; number++)
                put_uint(&m, number, v);
            all = read_well(&m);
            assert_true(all.uint == v);
            assert_true(all.number.is_set && all.number.value == v);
            assert_true((uint64_t)all.integer == v);
            /* zigzag: 0, -1, 1, -2, 2 ... */
            assert_true(all.sint == (v & 1 ? -1 - (int64_t)(v >> 1) : (int64_t)(v >> 1)));
        }
    }
}

static void test_zigzag_ends(void **state)
{
    struct message m = {.n = 0};

    put_uint(&m, 4, UINT64_MAX);
    assert_true(read_well(&m).sint == INT64_MIN);
    m.n = 0;
    put_uint(&m, 4, UINT64_MAX - 1);
    assert_true(read_well(&m).sint == INT64_MAX);
}

static void test_doubles(void **state)
{
    static const double values[] = {0.0, -0.0, 1.5, -2.25, DBL_MAX, -DBL_MIN, 5e-324};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct message m = {.n = 0};
        struct all all;
        uint64_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        put_fixed(&m, 5, WIRE_FIXED64, bits);
        all = read_well(&m);
        assert_memory_equal(&all.real, &values[i], sizeof(double));
    }
}

/* Scalars and strings: the last one wins, as protobuf has it. Presence is told apart from zero. */
static void test_last_wins(void **state)
{
    struct message m = {.n = 0};
    struct all all;

    for (uint64_t v = 3; v-- > 0;) {
        for (uint32_t number = 1; number <= 4; number++)
            put_uint(&m, number, v);
        put_bytes(&m, 6, "xyz", (size_t)v);
    }
    all = read_well(&m);
    assert_int_equal(all.uint, 0);
    assert_true(all.number.is_set && all.number.value == 0);
    assert_int_equal(all.integer, 0);
    assert_int_equal(all.sint, 0);
    assert_int_equal(all.string.len, 0);
    m.n = 0;
    assert_false(read_well(&m).number.is_set);
}

static void test_bytes_and_messages(void **state)
{
    struct message m = {.n = 0};
    struct all all;

    put_bytes(&m, 7, "\xff\x00\xfe", 3); /* any bytes */
    put_bytes(&m, 8, "\x00", 1);         /* not looked into */
    all = read_well(&m);
    assert_true(all.bytes.is_set && all.message.is_set);
    assert_int_equal(all.bytes.data.len, 3);
    assert_memory_equal(all.bytes.data.p, "\xff\x00\xfe", 3);
    assert_ptr_equal(all.bytes.field.p, m.bytes);
    assert_int_equal(all.bytes.field.len, 5);
    assert_ptr_equal(all.message.field.p, m.bytes + 5);
    assert_int_equal(all.message.field.len, 3);
    assert_ptr_equal(all.message.data.p, m.bytes + 7);

    m.n = 0; /* empty is not absent */
    put_bytes(&m, 7, NULL, 0);
    all = read_well(&m);
    assert_true(all.bytes.is_set && all.bytes.data.len == 0);
    assert_false(all.message.is_set);
}

static void test_given_twice(void **state)
{
    static const struct {
        uint32_t number;
        const char *name;
    } cases[] = {{7, "bytes"}, {8, "message"}, {9, "duration"}, {10, "timestamp"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message m = {.n = 0};

        put_bytes(&m, cases[i].number, NULL, 0);
        put_uint(&m, 1, 5);
        read_well(&m);
        put_bytes(&m, cases[i].number, NULL, 0);
        expect_refused(&m, CODEC_E_TWICE, cases[i].name);
    }
}

/* Every field in every wire type that is not its own. */
static void test_wire_types(void **state)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32};

    for (uint32_t number = 1; number < ARRAY_LEN(rows); number++) {
        enum wire_type right = number <= 4 ? WIRE_VARINT : number == 5 ? WIRE_FIXED64 : WIRE_BYTES;

        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            struct message m = {.n = 0};

            put_uint(&m, 1, 1); /* it is not the first field that is wrong */
            if (types[i] == WIRE_VARINT)
                put_uint(&m, number, 0);
            else if (types[i] == WIRE_BYTES)
                put_bytes(&m, number, NULL, 0);
            else
                put_fixed(&m, number, types[i], 0);
            if (types[i] == right || rows[number].type == CODEC_NONE)
                read_well(&m);
            else
                expect_refused(&m, CODEC_E_TYPE, rows[number].name);
        }
    }
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        int is_valid;
    } cases[] = {
            {"plain", 1},
            {"\xc3\xa9", 1},
            {"\xe2\x80\xb0", 1},
            {"\xf0\x9d\x84\x9e", 1},
            {"\xff", 0},
            {"a\x80", 0},
            {"\xc3", 0},
            {"\xc0\xaf", 0},
            {"\xed\xa0\x80", 0},
            {"\xe2\x80", 0},
            {"\xf4\x90\x80\x80", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const uint32_t checked[] = {6, 12}, unchecked[] = {7, 8, 11, 13, 14, 100};
        size_t n = strlen(cases[i].text);

        for (size_t k = 0; k < ARRAY_LEN(checked); k++) {
            struct message m = {.n = 0};

            put_bytes(&m, checked[k], "good", 4);
            put_bytes(&m, checked[k], cases[i].text, n);
            if (cases[i].is_valid)
                read_well(&m);
            else
                expect_refused(&m, CODEC_E_UTF8, rows[checked[k]].name);
        }
        for (size_t k = 0; k < ARRAY_LEN(unchecked); k++) {
            struct message m = {.n = 0};

            put_bytes(&m, unchecked[k], cases[i].text, n);
            read_well(&m);
        }
    }
}

#define OK    0
#define RANGE CODEC_E_RANGE
#define MAX_S (INT64_MAX / NS_PER_S) /* 292 years */

static const struct {
    int64_t seconds, nanos;
    int as_duration, as_timestamp; /* what codec_read says */
} times[] = {
        {0, 0, OK, OK},
        {1, 0, OK, OK},
        {0, 1, OK, OK},
        {0, 999999999, OK, OK},
        {0, 1000000000, RANGE, RANGE},
        {0, INT32_MAX, RANGE, RANGE},
        {0, -1, OK, RANGE}, /* a timestamp's nanos count forward */
        {0, -999999999, OK, RANGE},
        {0, -1000000000, RANGE, RANGE},
        {-1, 0, OK, OK},
        {-1, -1, OK, RANGE},
        {-1, 1, RANGE, OK}, /* a duration's parts have one sign */
        {1, -1, RANGE, RANGE},
        {1, 999999999, OK, OK},
        {MAX_S, 854775807, OK, OK}, /* INT64_MAX ns */
        {MAX_S, 854775808, RANGE, RANGE},
        {MAX_S + 1, 0, RANGE, RANGE},
        {-MAX_S, -854775808, OK, RANGE}, /* INT64_MIN ns */
        {-MAX_S, -854775809, RANGE, RANGE},
        {-MAX_S - 1, 0, RANGE, RANGE},
        {INT64_MAX, 0, RANGE, RANGE},
        {INT64_MIN, 0, RANGE, RANGE},
        {1700000000, 5, OK, OK},
};

static void test_times(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        for (uint32_t number = 9; number <= 10; number++) {
            int expected = number == 9 ? times[i].as_duration : times[i].as_timestamp;
            struct message m = {.n = 0};
            const struct codec_time *t;
            struct all all;

            put_time(&m, number, times[i].seconds, times[i].nanos);
            if (expected) {
                expect_refused(&m, expected, rows[number].name);
                continue;
            }
            all = read_well(&m);
            t = number == 9 ? &all.duration : &all.timestamp;
            assert_true(t->is_set);
            assert_true((__int128)t->ns == (__int128)times[i].seconds * NS_PER_S + times[i].nanos);
        }
    }
}

/* Inside: absent is 0, unknown fields are skipped, the last one wins, nanos is an int32 in ten bytes or five. */
static void test_inside_of_times(void **state)
{
    struct message m = {.n = 0}, inner = {.n = 0};

    put_bytes(&m, 9, NULL, 0);
    assert_true(read_well(&m).duration.is_set);
    assert_int_equal(read_well(&m).duration.ns, 0);

    put_uint(&inner, 1, 9);
    put_uint(&inner, 3, 77);
    put_bytes(&inner, 4, "abc", 3);
    put_uint(&inner, 1, 2);
    put_uint(&inner, 2, (uint32_t)5);
    m.n = 0;
    put_bytes(&m, 10, inner.bytes, inner.n);
    assert_int_equal(read_well(&m).timestamp.ns, 2 * NS_PER_S + 5);

    inner.n = m.n = 0;
    put_uint(&inner, 2, (uint32_t)-7);
    put_bytes(&m, 9, inner.bytes, inner.n);
    assert_int_equal(read_well(&m).duration.ns, -7);

    inner.n = m.n = 0; /* wrong wire type of seconds, of nanos */
    put_bytes(&inner, 1, NULL, 0);
    put_bytes(&m, 9, inner.bytes, inner.n);
    expect_refused(&m, CODEC_E_TYPE, "duration");
    inner.n = m.n = 0;
    put_fixed(&inner, 2, WIRE_FIXED32, 0);
    put_bytes(&m, 10, inner.bytes, inner.n);
    expect_refused(&m, CODEC_E_TYPE, "timestamp");

    m.n = 0; /* cut off inside: the message is well-formed, the field is not */
    put_bytes(&m, 10, "\x08", 1);
    expect_refused(&m, CODEC_E_MALFORMED, "timestamp");
}

static void test_repeated(void **state)
{
    struct message m = {.n = 0};
    struct wire_reader r;
    struct span item;
    struct all all;

    put_bytes(&m, 12, "one", 3);
    put_bytes(&m, 13, "\xff", 1);
    put_bytes(&m, 12, NULL, 0);
    put_uint(&m, 1, 7);
    put_bytes(&m, 12, "three", 5);
    all = read_well(&m);
    assert_int_equal(all.strings, 3);
    assert_int_equal(all.messages, 1);

    r = wire_reader((struct span){m.bytes, m.n});
    assert_int_equal(codec_each(&r, 12, &item), 1);
    assert_true(span_eq(item, SPAN_LIT("one")));
    assert_int_equal(codec_each(&r, 12, &item), 1);
    assert_int_equal(item.len, 0);
    assert_int_equal(codec_each(&r, 12, &item), 1);
    assert_true(span_eq(item, SPAN_LIT("three")));
    assert_int_equal(codec_each(&r, 12, &item), 0);
    assert_int_equal(codec_each(&r, 12, &item), 0);

    r = wire_reader((struct span){m.bytes, m.n});
    assert_int_equal(codec_each(&r, 1, &item), 0); /* not a length-delimited one */
    r = wire_reader((struct span){0});
    assert_int_equal(codec_each(&r, 12, &item), 0);
}

/* Numbers in a hole, behind the table and at the very end of what there may be, in every type. */
static void test_unknown_fields(void **state)
{
    static const uint32_t numbers[] = {11, 14, 15, 2047, 100000, 536870911};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct message m = {.n = 0};
        struct all all;

        put_uint(&m, numbers[i], UINT64_MAX);
        put_bytes(&m, numbers[i], "\xff\xff", 2);
        put_fixed(&m, numbers[i], WIRE_FIXED32, 1);
        put_fixed(&m, numbers[i], WIRE_FIXED64, 1);
        put_bytes(&m, numbers[i], NULL, 0);
        put_uint(&m, 1, 42);
        all = read_well(&m);
        assert_int_equal(all.uint, 42);
        all.uint = 0;
        assert_memory_equal(&all, &(struct all){0}, sizeof all);
    }
}

static void test_malformed(void **state)
{
    static const char *const cases[] = {
            "\x0b",         /* a group begins */
            "\x0c",         /* and ends */
            "\x07",         /* type 7 of number 0 */
            "\x02\x01\x61", /* number 0 */
            "\x32\x05\x61", /* longer than there is */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message m = {.n = 0};

        put_uint(&m, 1, 1);
        memcpy(m.bytes + m.n, cases[i], strlen(cases[i]));
        m.n += strlen(cases[i]);
        expect_refused(&m, CODEC_E_MALFORMED, "");
    }
}

/* Everything, cut off at every byte: at the border of two fields it is a message, elsewhere it is not. */
static void test_cut_off(void **state)
{
    struct message m = {.n = 0}, cut;
    size_t borders[32], n_borders = 0, border = 0;

    for (uint32_t number = 1; number <= 4; number++) {
        put_uint(&m, number, UINT64_MAX >> number);
        borders[n_borders++] = m.n;
    }
    put_fixed(&m, 5, WIRE_FIXED64, 1);
    borders[n_borders++] = m.n;
    for (uint32_t number = 6; number <= 8; number++) {
        put_bytes(&m, number, "payload", 7);
        borders[n_borders++] = m.n;
    }
    put_time(&m, 9, -5, -5);
    borders[n_borders++] = m.n;
    put_time(&m, 10, 5, 5);
    borders[n_borders++] = m.n;
    for (uint32_t number = 11; number <= 15; number++) {
        put_bytes(&m, number, "more", 4);
        borders[n_borders++] = m.n;
        put_fixed(&m, 99, WIRE_FIXED32, number);
        borders[n_borders++] = m.n;
    }
    for (cut = m, cut.n = 0; cut.n <= m.n; cut.n++) {
        uint8_t *exact = mem_alloc(cut.n + 1); /* so that the sanitizer sees a byte too far */
        struct all all = {0};
        const char *field;
        int e;

        assert_non_null(exact);
        memcpy(exact + 1, m.bytes, cut.n);
        e = codec_read(&table, (struct span){exact + 1, cut.n}, &all, &field);
        if (cut.n == 0 || cut.n == borders[border]) {
            border += cut.n > 0;
            assert_int_equal(e, 0);
        } else {
            assert_int_equal(e, CODEC_E_MALFORMED);
            assert_string_equal(field, "");
        }
        mem_free(exact);
    }
    assert_int_equal(border, n_borders);
}

static void test_error_texts(void **state)
{
    for (int a = CODEC_E_MALFORMED; a <= CODEC_E_TWICE; a++)
        for (int b = CODEC_E_MALFORMED; b < a; b++)
            assert_string_not_equal(codec_error_text(a), codec_error_text(b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_integers),
            cmocka_unit_test(test_zigzag_ends),
            cmocka_unit_test(test_doubles),
            cmocka_unit_test(test_last_wins),
            cmocka_unit_test(test_bytes_and_messages),
            cmocka_unit_test(test_given_twice),
            cmocka_unit_test(test_wire_types),
            cmocka_unit_test(test_utf8),
            cmocka_unit_test(test_times),
            cmocka_unit_test(test_inside_of_times),
            cmocka_unit_test(test_repeated),
            cmocka_unit_test(test_unknown_fields),
            cmocka_unit_test(test_malformed),
            cmocka_unit_test(test_cut_off),
            cmocka_unit_test(test_error_texts),
    };

    return cmocka_run_group_tests_name("grpc/codec", tests, NULL, NULL);
}
