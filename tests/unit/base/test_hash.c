// SPDX-License-Identifier: Apache-2.0
/*
 * SipHash-1-3 against values computed elsewhere. The vectors that the authors publish are of SipHash-2-4 and
 * do not apply; these came from the Python program below, which gives the published value a129ca6149be45e5 of
 * the worked example (message 00 .. 0e) when called with nc = 2, nf = 4:
 *
 *     M = 2**64 - 1
 *     rot = lambda x, n: ((x << n) | (x >> (64 - n))) & M
 *     def rnd(a, b, c, d):
 *         a = (a + b) & M; b = rot(b, 13) ^ a; a = rot(a, 32)
 *         c = (c + d) & M; d = rot(d, 16) ^ c
 *         a = (a + d) & M; d = rot(d, 21) ^ a
 *         c = (c + b) & M; b = rot(b, 17) ^ c; c = rot(c, 32)
 *         return a, b, c, d
 *     def sip(k0, k1, m, nc=1, nf=3):
 *         v = (k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
 *              k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573)
 *         m += bytes(-(len(m) + 1) % 8) + bytes([len(m) & 255])
 *         for i in range(0, len(m), 8):
 *             w = int.from_bytes(m[i:i + 8], "little")
 *             v = v[:3] + (v[3] ^ w,)
 *             for _ in range(nc): v = rnd(*v)
 *             v = (v[0] ^ w,) + v[1:]
 *         v = (v[0], v[1], v[2] ^ 255, v[3])
 *         for _ in range(nf): v = rnd(*v)
 *         return v[0] ^ v[1] ^ v[2] ^ v[3]
 *
 * The second table is a second witness: CPython 3.11 hashes bytes with SipHash-1-3, with the key 0 under
 * PYTHONHASHSEED=0: PYTHONHASHSEED=0 python3.11 -c 'print(hex(hash(b"futured") & (2**64 - 1)))'.
 */
#include "base/hash.h"
#include "tests/support/testing.h"

/* Of the messages 00, 00 01, 00 01 02, ... by length, under the key 00 01 .. 0f. */
static const uint64_t vectors[] = {
        0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb, 0xcf75576088d38328,
        0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140, 0x369095118d299a8e, 0x25a48eb36c063de4,
        0x79de85ee92ff097f, 0x70c118c1f94dc352, 0x78a384b157b4d9a2, 0x306f760c1229ffa7, 0x605aa111c0f95d34,
        0xd320d86d2a519956, 0xcc4fdd1a7d908b66, 0x9cf2689063dbd80c, 0x8ffc389cb473e63e, 0xf21f9de58d297d1c,
        0xc0dc2f46a6cce040, 0xb992abfe2b45f844, 0x7ffe7b9ba320872e, 0x525a0e7fdae6c123, 0xf464aeb267349c8c,
        0x45cd5928705b0979, 0x3a3e35e3ca9913a5, 0xa91dc74e4ade3b35, 0xfb0bed02ef6cd00d, 0x88d93cb44ab1e1f4,
        0x540f11d643c5e663, 0x2370dd1f8c21d1bc, 0x81157b6c16a7b60d, 0x4d54b9e57a8ff9bf, 0x759f12781f2a753e,
        0xcea1a3bebf186b91, 0x2cf508d3ada26206, 0xb6101c2da3c33057, 0xb3f47496ae3a36a1, 0x626b57547b108392,
        0xc1d2363299e41531, 0x667cc1923f1ad944, 0x65704ffec8138825, 0x24f280d1c28949a6, 0xc2ca1cedfaf8876b,
        0xc2164bfc9f042196, 0xa16e9c9368b1d623, 0x49fb169c8b5114fd, 0x9f3143f8df074c46, 0xc6fdaf2412cc86b3,
        0x7eaf49d10a52098f, 0x1cf313559d292f9a, 0xc44a30dda2f41f12, 0x36fae98943a71ed0, 0x318fb34c73f0bce6,
        0xa27abf3670a7e980, 0xb4bcc0db243c6d75, 0x23f8d852fdb71513, 0x8f035f4da67d8a08, 0xd89cd0e5b7e8f148,
        0xf6f4e6bcf7a644ee, 0xaec59ad80f1837f2, 0xc3b2f6154b6694e0, 0x9d199062b7bbb3a8, 0xf17997ec4b4a6065,
};

static const struct {
    const char *message;
    uint64_t hash;
} cpython[] = {
        {"a", 0x407448d2b89b1813},
        {"futured", 0x0f59d5b84489741b},
        {"12345678", 0x3489982430560a87},
        {"0123456789abcdef", 0x1d42b30f7e060c24},
        {"futured.v1.Futures/SubmitStream", 0xa995fdfd1aa378e2},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "x",
         0x12de6d6e12e5750c},
};

static const struct hash_seed counting = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_vectors(void **state)
{
    uint8_t message[ARRAY_LEN(vectors)];

    for (size_t n = 0; n < ARRAY_LEN(vectors); n++) {
        message[n] = (uint8_t)n;
        if (hash_bytes(&counting, message, n) != vectors[n])
            fail_msg("length %zu: %016" PRIx64, n, hash_bytes(&counting, message, n));
    }
    assert_true(hash_bytes(&counting, NULL, 0) == vectors[0]);
}

static void test_against_cpython(void **state)
{
    const struct hash_seed zero = {0, 0};

    for (size_t i = 0; i < ARRAY_LEN(cpython); i++)
        assert_true(hash_bytes(&zero, cpython[i].message, strlen(cpython[i].message)) == cpython[i].hash);
}

/* In a piece of exactly its size at each offset in a word: nothing is read beyond the end. */
static void test_alignment_and_bounds(void **state)
{
    for (size_t n = 0; n < ARRAY_LEN(vectors); n++) {
        for (size_t offset = 0; offset < 8; offset++) {
            uint8_t *piece = mem_alloc(offset + n + (offset + n == 0));

            assert_non_null(piece);
            for (size_t i = 0; i < n; i++)
                piece[offset + i] = (uint8_t)i;
            assert_true(hash_bytes(&counting, piece + offset, n) == vectors[n]);
            mem_free(piece);
        }
    }
}

/* Each bit of the message, the key and the length changes about half of the result. */
static void check_far(uint64_t a, uint64_t b)
{
    assert_in_range(__builtin_popcountll(a ^ b), 10, 54);
}

static void test_each_bit_counts(void **state)
{
    uint8_t message[40] = {0};

    for (size_t n = 0; n <= sizeof message; n++) {
        uint64_t plain = hash_bytes(&counting, message, n);

        for (size_t bit = 0; bit < 8 * n; bit++) {
            message[bit / 8] = (uint8_t)(1 << bit % 8);
            check_far(plain, hash_bytes(&counting, message, n));
            message[bit / 8] = 0;
        }
        for (unsigned int bit = 0; bit < 64; bit++) {
            struct hash_seed k0 = {counting.k0 ^ UINT64_C(1) << bit, counting.k1};
            struct hash_seed k1 = {counting.k0, counting.k1 ^ UINT64_C(1) << bit};

            check_far(plain, hash_bytes(&k0, message, n));
            check_far(plain, hash_bytes(&k1, message, n));
        }
        if (n)
            check_far(plain, hash_bytes(&counting, message, n - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_vectors),
            cmocka_unit_test(test_against_cpython),
            cmocka_unit_test(test_alignment_and_bounds),
            cmocka_unit_test(test_each_bit_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
