// SPDX-License-Identifier: Apache-2.0
/* Reading a record: whatever is damaged is seen, and nothing that is read can break the reader. */
#include "store/crc32c.h"
#include "tests/unit/store/sample.h"

#include <math.h>

static void test_every_flipped_bit_is_seen(void **state)
{
    struct sample *s = sample_timed(7);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    uint8_t *copy = mem_dup(bytes.p, bytes.len);
    struct record got;

    assert_non_null(copy);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(record_decode(&s->future.id, (struct span){copy, bytes.len}, &got),
                         RECORD_E_DAMAGED);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(record_decode(&s->future.id, (struct span){copy, bytes.len}, &got), 0);
    record_deinit(&got);
    mem_free(copy);
    buf_deinit(&out);
    sample_free(s);
}

static void test_every_cut_is_seen(void **state)
{
    struct sample *s = sample_timed(8);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    struct record got;

    for (size_t n = 0; n < bytes.len; n++)
        assert_int_equal(record_decode(&s->future.id, (struct span){bytes.p, n}, &got), RECORD_E_DAMAGED);
    buf_deinit(&out);
    sample_free(s);
}

static void test_a_record_under_another_id_is_damaged(void **state)
{
    struct sample *s = sample_plain(9);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    struct id other = s->future.id;
    struct record got;

    other.b[ID_BYTES - 1] ^= 1;
    assert_int_equal(record_decode(&other, bytes, &got), RECORD_E_DAMAGED);
    buf_deinit(&out);
    sample_free(s);
}

/* Put the checksum right again, as a fault in memory or a bug would have had it. */
static void seal(const struct id *id, uint8_t *bytes, size_t n)
{
    uint32_t crc = crc32c(crc32c(0, id->b, sizeof id->b), bytes, n - 4);

    for (int i = 0; i < 4; i++)
        bytes[n - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
}

static void test_versions(void **state)
{
    struct sample *s = sample_plain(10);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    uint8_t *copy = mem_dup(bytes.p, bytes.len);
    struct record got;

    assert_non_null(copy);
    copy[0] = RECORD_VERSION + 1;
    seal(&s->future.id, copy, bytes.len);
    assert_int_equal(record_decode(&s->future.id, (struct span){copy, bytes.len}, &got), RECORD_E_VERSION);
    copy[0] = 0;
    seal(&s->future.id, copy, bytes.len);
    assert_int_equal(record_decode(&s->future.id, (struct span){copy, bytes.len}, &got), RECORD_E_DAMAGED);
    mem_free(copy);
    buf_deinit(&out);
    sample_free(s);
}

/* Insert the @n bytes at @p into a plain record at @at, in place of @n_gone, with the right checksum. */
static int decode_changed(size_t at, size_t n_gone, const void *p, size_t n)
{
    struct sample *s = sample_plain(10);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    uint8_t changed[200];
    size_t len = bytes.len - n_gone + n;
    struct record got;
    int r;

    assert_true(len <= sizeof changed && at + n_gone <= bytes.len - 4);
    memcpy(changed, bytes.p, at);
    memcpy(changed + at, p, n);
    memcpy(changed + at + n, bytes.p + at + n_gone, bytes.len - at - n_gone);
    seal(&s->future.id, changed, len);
    r = record_decode(&s->future.id, (struct span){changed, len}, &got);
    if (r == 0)
        record_deinit(&got);
    buf_deinit(&out);
    sample_free(s);
    return r;
}

static void test_what_contradicts_itself(void **state)
{
    struct sample *s = sample_plain(10);
    struct buf out = BUF_INIT;
    size_t end = sample_encode(s, &out).len - 4;

    assert_int_equal(decode_changed(3, 1, "\x00", 1), 0); /* the flags as they are */
    assert_int_equal(decode_changed(3, 1, "\x80\x08", 2),
                     RECORD_E_DAMAGED); /* data in a blob, without data */
    assert_int_equal(decode_changed(3, 1, "\x80\x40", 2), RECORD_E_DAMAGED); /* a shared error, without one */
    assert_int_equal(decode_changed(3, 1, "\x80\x10", 2), RECORD_E_DAMAGED); /* a type of no outcome */
    assert_int_equal(decode_changed(3, 1, "\x80\x80\x80\x80\x04", 5),
                     RECORD_E_DAMAGED); /* a flag that there is not */
    assert_int_equal(decode_changed(3, 1, "\x80\x80\x80\x80\x02", 5),
                     RECORD_E_DAMAGED);                                      /* a grace without a cancel */
    assert_int_equal(decode_changed(3, 1, "\x80\x00", 2), RECORD_E_DAMAGED); /* 0 in two bytes */
    assert_int_equal(decode_changed(1, 1, "\x03", 1), RECORD_E_DAMAGED);     /* succeeded, without outcome */
    assert_int_equal(decode_changed(1, 1, "\x06", 1), RECORD_E_DAMAGED);     /* a state that there is not */
    assert_int_equal(decode_changed(2, 1, "\x13", 1), RECORD_E_DAMAGED); /* a durability that there is not */
    assert_int_equal(decode_changed(end, 0, "\x00", 1), RECORD_E_DAMAGED); /* a byte too many */
    assert_int_equal(decode_changed(end - 1, 1, "", 0), RECORD_E_DAMAGED); /* and one too few */
    buf_deinit(&out);
    sample_free(s);
}

/* Of a future that runs the newest attempt has not ended. */
static void test_running_and_ended(void **state)
{
    struct sample *s = sample_plain(10);
    struct buf out = BUF_INIT;
    struct span bytes;
    struct record got;
    uint8_t *copy;

    sample_finish(s, NULL, 0);
    s->future.outcome = NULL;
    s->future.state = FUTURE_PENDING; /* it is to be tried again */
    bytes = sample_encode(s, &out);
    assert_int_equal(record_decode(&s->future.id, bytes, &got), 0);
    record_deinit(&got);
    copy = mem_dup(bytes.p, bytes.len);
    assert_non_null(copy);
    copy[1] = FUTURE_RUNNING;
    seal(&s->future.id, copy, bytes.len);
    assert_int_equal(record_decode(&s->future.id, (struct span){copy, bytes.len}, &got), RECORD_E_DAMAGED);
    mem_free(copy);
    buf_deinit(&out);
    sample_free(s);
}

/* With the right checksum, whatever one byte becomes: refused, or a record that can be used. */
static void test_no_byte_breaks_the_reader(void **state)
{
    struct sample *s = sample_timed(11);
    struct buf out = BUF_INIT;
    struct span bytes = sample_encode(s, &out);
    uint8_t *copy = mem_dup(bytes.p, bytes.len);
    size_t n_refused = 0, n_read = 0;
    struct record got;

    assert_non_null(copy);
    for (size_t i = 0; i < bytes.len - 4; i++) {
        for (unsigned int v = 0; v < 256; v++) {
            copy[i] = (uint8_t)v;
            seal(&s->future.id, copy, bytes.len);
            if (record_decode(&s->future.id, (struct span){copy, bytes.len}, &got) != 0) {
                n_refused++;
                continue;
            }
            n_read++;
            assert_true(got.state >= FUTURE_PENDING && got.state <= FUTURE_CANCELLED);
            assert_true(got.task.len <= bytes.len);
            record_deinit(&got);
        }
        copy[i] = bytes.p[i];
    }
    assert_true(n_refused > 0 && n_read > 0);
    mem_free(copy);
    buf_deinit(&out);
    sample_free(s);
}

/* Times and retries: what no encoder writes, at the places where one has written something else. */
static void test_timing_that_no_encoder_writes(void **state)
{
    static const struct {
        uint32_t max_attempts;
        double multiplier, jitter;
    } bad[] = {{0, 2, 0},        {1, 0.5, 0}, {1, 2, -0.5}, {1, 2, 1.5},
               {1, INFINITY, 0}, {1, NAN, 0}, {1, 2, NAN},  {1001, 2, 0}};
    struct record got;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sample *s = sample_timed(15);
        struct buf out = BUF_INIT;

        s->retry.max_attempts = bad[i].max_attempts;
        s->retry.multiplier = bad[i].multiplier;
        s->retry.jitter = bad[i].jitter;
        assert_int_equal(record_decode(&s->future.id, sample_encode(s, &out), &got), RECORD_E_DAMAGED);
        buf_deinit(&out);
        sample_free(s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_flipped_bit_is_seen),
            cmocka_unit_test(test_every_cut_is_seen),
            cmocka_unit_test(test_a_record_under_another_id_is_damaged),
            cmocka_unit_test(test_versions),
            cmocka_unit_test(test_what_contradicts_itself),
            cmocka_unit_test(test_running_and_ended),
            cmocka_unit_test(test_no_byte_breaks_the_reader),
            cmocka_unit_test(test_timing_that_no_encoder_writes),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
