// SPDX-License-Identifier: Apache-2.0
/* Progress, Output and Log as they are read; what becomes of them is in test_attach.c and test_report.c. */
#include "dispatch/tell.h"
#include "tests/support/testing.h"

#include <errno.h>

#include <futured/v1/workers.pb-c.h>

static struct buf packed = BUF_INIT;

static struct span pack(const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);

    buf_clear(&packed);
    assert_int_equal(buf_reserve(&packed, n + 1), 0);
    buf_commit(&packed, protobuf_c_message_pack(message, buf_tail(&packed)));
    return (struct span){buf_head(&packed), n};
}

static void test_pieces(void **state)
{
    static uint8_t id[16] = {1}, data[TOLD_PIECE_BYTES + 1];
    Futured__V1__Output m = FUTURED__V1__OUTPUT__INIT;
    Futured__V1__Lease lease = FUTURED__V1__LEASE__INIT;
    struct tell t;

    assert_int_equal(tell_read(TELL_OUTPUT, pack(&m.base), &t), -EBADMSG); /* no lease */
    lease.id = (ProtobufCBinaryData){.len = sizeof id, .data = id};
    lease.attempt = 3;
    m.lease = &lease;
    m.offset = 7;
    m.data = (ProtobufCBinaryData){.len = 2, .data = data};
    assert_int_equal(tell_read(TELL_OUTPUT, pack(&m.base), &t), 0);
    assert_int_equal(t.lease.attempt, 3);
    assert_int_equal(t.piece.kind, TOLD_OUTPUT);
    assert_int_equal(t.piece.stream, TOLD_FROM_OUTPUT);
    assert_int_equal(t.piece.offset, 7);
    assert_int_equal(t.piece.data.len, 2);
    assert_int_equal(tell_read(TELL_LOG, pack(&m.base), &t), 0); /* the same fields */
    assert_int_equal(t.piece.kind, TOLD_LOG);
    assert_int_equal(t.piece.stream, TOLD_FROM_LOG);
    m.stream = FUTURED__V1__STREAM__STREAM_STDERR;
    assert_int_equal(tell_read(TELL_LOG, pack(&m.base), &t), 0);
    assert_int_equal(t.piece.stream, TOLD_FROM_STDERR);
    m.stream = (Futured__V1__Stream)5;
    assert_int_equal(tell_read(TELL_LOG, pack(&m.base), &t), -EBADMSG);
    m.stream = FUTURED__V1__STREAM__STREAM_LOG;
    m.data.len = TOLD_PIECE_BYTES;
    assert_int_equal(tell_read(TELL_LOG, pack(&m.base), &t), 0);
    m.data.len++;
    assert_int_equal(tell_read(TELL_LOG, pack(&m.base), &t), -EBADMSG);
    buf_deinit(&packed);
}

static void test_progress(void **state)
{
    static uint8_t id[16] = {1};
    static char text[TOLD_MESSAGE_BYTES + 2];
    Futured__V1__AttemptProgress m = FUTURED__V1__ATTEMPT_PROGRESS__INIT;
    Futured__V1__Progress progress = FUTURED__V1__PROGRESS__INIT;
    Futured__V1__Lease lease = FUTURED__V1__LEASE__INIT;
    struct tell t;

    lease.id = (ProtobufCBinaryData){.len = sizeof id, .data = id};
    m.lease = &lease;
    m.progress = &progress;
    progress.completed = 5;
    progress.total = 6;
    memset(text, 'x', TOLD_MESSAGE_BYTES);
    progress.message = text;
    assert_int_equal(tell_read(TELL_PROGRESS, pack(&m.base), &t), 0);
    assert_true(t.progress.completed == 5 && t.progress.total == 6 && t.message.len == TOLD_MESSAGE_BYTES);
    text[TOLD_MESSAGE_BYTES] = 'x';
    assert_int_equal(tell_read(TELL_PROGRESS, pack(&m.base), &t), -EBADMSG);
    m.lease = NULL;
    assert_int_equal(tell_read(TELL_PROGRESS, pack(&m.base), &t), -EBADMSG);
    buf_deinit(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pieces),
            cmocka_unit_test(test_progress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
