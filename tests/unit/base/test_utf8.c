// SPDX-License-Identifier: Apache-2.0
/*
 * UTF-8 against a table that knows nothing of ranges of bytes: every scalar value is encoded by the
 * definition (RFC 3629, section 3), and a string is well-formed when it can be cut into such encodings.
 * Exhaustive for strings of up to 3 bytes; for 4 bytes every well-formed character, and every combination of
 * bytes at which a rule changes.
 */
#include "base/utf8.h"
#include "tests/support/testing.h"

/* One bit per string of that many bytes: it is the encoding of one scalar value. */
static uint8_t one_byte[256 / 8], two_bytes[65536 / 8], three_bytes[16777216 / 8];

static void set_bit(uint8_t *bits, uint32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1 << i % 8);
}

static int has_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static int is_surrogate(uint32_t c)
{
    return c >= 0xd800 && c <= 0xdfff;
}

static void fill_tables(void)
{
    for (uint32_t c = 0; c < 0x10000; c++) {
        uint8_t b[4];

        if (is_surrogate(c))
            continue;
        switch (encode(c, b)) {
        case 1: set_bit(one_byte, b[0]); break;
        case 2: set_bit(two_bytes, (uint32_t)b[0] << 8 | b[1]); break;
        default: set_bit(three_bytes, (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2]); break;
        }
    }
}

/* Whether the @n <= 3 bytes in @s (big-endian) can be cut into characters. */
static int expect_valid(uint32_t s, unsigned int n)
{
    switch (n) {
    case 0: return 1;
    case 1: return has_bit(one_byte, s);
    case 2: return has_bit(two_bytes, s) || (has_bit(one_byte, s >> 8) && expect_valid(s & 0xff, 1));
    default:
        return has_bit(three_bytes, s) || (has_bit(one_byte, s >> 16) && expect_valid(s & 0xffff, 2)) ||
               (has_bit(two_bytes, s >> 8) && expect_valid(s & 0xff, 1));
    }
}

static void test_every_string_of_three_bytes(void **state)
{
    assert_true(utf8_is_valid(NULL, 0));
    for (unsigned int n = 0; n <= 3; n++) {
        for (uint32_t s = 0; s < 1U << 8 * n; s++) {
            uint8_t b[3];

            for (unsigned int i = 0; i < n; i++)
                b[i] = (uint8_t)(s >> 8 * (n - 1 - i));
            if (!!utf8_is_valid(b, n) != expect_valid(s, n))
                fail_msg("%u bytes, %06x", n, s);
        }
    }
}

static void test_every_character_of_four_bytes(void **state)
{
    for (uint32_t c = 0x10000; c <= 0x10ffff; c++) {
        uint8_t b[4];

        if (encode(c, b) != 4 || !utf8_is_valid(b, 4) || utf8_is_valid(b, 3) || utf8_is_valid(b, 2) ||
            utf8_is_valid(b, 1))
            fail_msg("U+%06x", c);
    }
}

/* Each lead byte from the last of three with each second byte, and the edges of what may follow. */
static void test_edges_of_four_bytes(void **state)
{
    static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x81, 0xbe, 0xbf, 0xc0, 0xc2, 0xef, 0xf0, 0xff};

    const uint32_t n_edges = ARRAY_LEN(edges), n_tails = n_edges * n_edges;

    for (uint32_t code = 0; code < 17U * 256U * n_tails; code++) {
        uint32_t head = code / n_tails, tail = code % n_tails;
        uint8_t b[4] = {(uint8_t)(0xef + head / 256), (uint8_t)head, edges[tail / n_edges],
                        edges[tail % n_edges]};
        uint32_t three = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
        uint32_t c = (b[0] & 7U) << 18 | (b[1] & 0x3fU) << 12 | (b[2] & 0x3fU) << 6 | (b[3] & 0x3fU);
        uint8_t again[4] = {0};
        int expect = b[0] == 0xef ? expect_valid(three, 3) && expect_valid(b[3], 1)
                                  : c >= 0x10000 && c <= 0x10ffff && encode(c, again) == 4 &&
                                            memcmp(b, again, 4) == 0;

        if (!!utf8_is_valid(b, 4) != expect)
            fail_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
    }
}

struct sample {
    uint8_t b[4];
    size_t n;
    int is_valid; /* among ASCII */
};

static const struct sample samples[] = {
        {{0x7f}, 1, 1},
        {{0x80}, 1, 0},
        {{0xbf}, 1, 0},
        {{0xc2, 0x80}, 2, 1},
        {{0xc1, 0xbf}, 2, 0},
        {{0xdf, 0xbf}, 2, 1},
        {{0xc3}, 1, 0},
        {{0xe0, 0xa0, 0x80}, 3, 1},
        {{0xe0, 0x9f, 0xbf}, 3, 0},
        {{0xe2, 0x82}, 2, 0},
        {{0xed, 0x9f, 0xbf}, 3, 1},
        {{0xed, 0xa0, 0x80}, 3, 0},
        {{0xef, 0xbf, 0xbf}, 3, 1},
        {{0xf0, 0x90, 0x80, 0x80}, 4, 1},
        {{0xf0, 0x8f, 0xbf, 0xbf}, 4, 0},
        {{0xf0, 0x9f, 0x98}, 3, 0},
        {{0xf4, 0x8f, 0xbf, 0xbf}, 4, 1},
        {{0xf4, 0x90, 0x80, 0x80}, 4, 0},
        {{0xf5, 0x80, 0x80, 0x80}, 4, 0},
        {{0xff}, 1, 0},
};

/* Each sample at each place of ASCII of each length around some words, in a piece of exactly its size: eight
 * bytes are looked at at once where they can be, and never one beyond the end. */
static void test_around_the_words(void **state)
{
    for (size_t len = 1; len <= 26; len++) {
        for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
            const struct sample *s = &samples[i];

            for (size_t at = 0; at + s->n <= len; at++) {
                uint8_t *text = mem_alloc(len);

                assert_non_null(text);
                memset(text, 'a', len);
                memcpy(text + at, s->b, s->n);
                if (!!utf8_is_valid(text, len) != s->is_valid)
                    fail_msg("sample %zu at %zu of %zu", i, at, len);
                mem_free(text);
            }
        }
    }
}

/* Every pair of samples, one behind the other: an error in the second is seen behind any first. */
static void test_pairs(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        for (size_t k = 0; k < ARRAY_LEN(samples); k++) {
            const struct sample *a = &samples[i], *b = &samples[k];
            uint8_t text[32];

            for (size_t before = 0; before <= 9; before++) {
                memset(text, 'z', sizeof text);
                memcpy(text + before, a->b, a->n);
                memcpy(text + before + a->n + 1, b->b, b->n); /* with one ASCII character between them */
                assert_int_equal(!!utf8_is_valid(text, sizeof text), a->is_valid && b->is_valid);
            }
        }
    }
}

static void test_cut(void **state)
{
    static const char text[] = "aé‰𝄞"; /* characters of one to four bytes */
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    const uint8_t *p = (const uint8_t *)text;

    for (size_t max = 0; max < ARRAY_LEN(kept); max++) {
        assert_int_equal(utf8_cut(p, strlen(text), max), kept[max]);
        assert_true(utf8_is_valid(p, utf8_cut(p, strlen(text), max)));
    }
    assert_int_equal(utf8_cut(p, strlen(text), SIZE_MAX), 10);
    assert_int_equal(utf8_cut(NULL, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_string_of_three_bytes),
            cmocka_unit_test(test_every_character_of_four_bytes),
            cmocka_unit_test(test_edges_of_four_bytes),
            cmocka_unit_test(test_around_the_words),
            cmocka_unit_test(test_pairs),
            cmocka_unit_test(test_cut),
    };

    fill_tables();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
