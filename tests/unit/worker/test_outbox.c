// SPDX-License-Identifier: Apache-2.0
/* What the worker says, as the daemon's codec reads it. */
#include "tests/support/loopback.h"
#include "tests/unit/worker/call.h"
#include "worker/outbox.h"

static struct buf heard; /* the messages, one behind the other: one AttachRequest as protobuf has it */
static int n_messages;

static void on_message(struct grpc_call *call, struct span message)
{
    n_messages++;
    assert_int_equal(buf_append(&heard, message.p, message.len), 0);
}

static void on_half_close(struct grpc_call *call)
{
    grpc_call_finish(call);
}

static const struct grpc_handler handler = {.on_message = on_message, .on_half_close = on_half_close};
static const struct grpc_method method = {.path = "/t/Attach", .kind = GRPC_BIDI, .handler = &handler};

struct fixture {
    struct grpc_server *server;
    struct loopback lo;
    struct loopback_call stream;
    struct outbox outbox;
    struct test_call t;
};

static void setup(struct fixture *f)
{
    const struct grpc_server_config config = {.max_message_bytes = (size_t)1024 * 1024};

    n_messages = 0;
    buf_clear(&heard);
    assert_int_equal(grpc_server_new(&f->server, &config), 0);
    assert_int_equal(grpc_server_add(f->server, &method, 1), 0);
    loopback_init(&f->lo, f->server);
    loopback_call(&f->lo, &f->stream, "/t/Attach", 0);
    outbox_init(&f->outbox);
    test_call_init(&f->t);
    test_call_begin(&f->t, SPAN_LIT("argument"), NULL, 1000000);
}

static void teardown(struct fixture *f)
{
    outbox_deinit(&f->outbox);
    test_call_deinit(&f->t);
    loopback_half_close(&f->stream);
    loopback_pump(&f->lo);
    loopback_call_deinit(&f->stream);
    loopback_deinit(&f->lo);
    grpc_server_free(f->server);
}

static void flush(struct fixture *f)
{
    assert_int_equal(outbox_flush(&f->outbox, f->stream.call), 0);
    assert_true(outbox_is_empty(&f->outbox));
    loopback_pump(&f->lo);
}

static struct span all_heard(void)
{
    return (struct span){buf_head(&heard), buf_len(&heard)};
}

/* The @i-th payload of field @number. */
static struct span field_of(uint32_t number, uint32_t i)
{
    struct wire_reader r = wire_reader(all_heard());
    struct span s;

    do
        if (!codec_each(&r, number, &s))
            fail_msg("field %u is not there %u times", number, i + 1);
    while (i--);
    return s;
}

static uint32_t count_of(uint32_t number)
{
    struct wire_reader r = wire_reader(all_heard());
    struct wire_field f;
    uint32_t n = 0;

    while (wire_next(&r, &f) == 0)
        n += f.number == number;
    return n;
}

static uint64_t number_in(struct span message, uint32_t number)
{
    struct wire_reader r = wire_reader(message);
    struct wire_field f;

    while (wire_next(&r, &f) == 0)
        if (f.number == number)
            return f.value;
    return 0;
}

static void read_finish(uint32_t i, struct finish_message *ret)
{
    const char *field;

    *ret = (struct finish_message){0};
    assert_int_equal(codec_read(&finish_table, field_of(7, i), ret, &field), 0);
}

static void test_empty_says_nothing(void **state)
{
    struct fixture f;

    setup(&f);
    assert_true(outbox_is_empty(&f.outbox));
    flush(&f);
    assert_int_equal(n_messages, 0);
    teardown(&f);
}

/* The default options as TaskOptions, field by field. */
static void test_options(void **state)
{
    static const char *const types[] = {"A", "B", NULL};
    struct function items[] = {{.name = "f", .doc = "", .version = ""}};
    struct functions functions = {.items = items, .n_items = 1, .problems = BUF_INIT};
    const struct hello hello = {.name = "n", .session_token = "t", .functions = &functions};
    const struct futured_options cases[] = {
            {.durability = FUTURED_EPHEMERAL,
             .priority = -7,
             .attempt_timeout_ms = 1500,
             .retention_ms = FUTURED_NONE},
            {.on_lost = FUTURED_ON_LOST_FAIL, .retention_ms = 1000},
            {.max_attempts = 3,
             .initial_backoff_ms = 2000,
             .max_backoff_ms = FUTURED_NONE,
             .multiplier = 1.5},
            {.jitter = FUTURED_NONE, .non_retryable_types = types},
            {.jitter = 0.5},
    };
    static const struct span wanted[] = {
            SPAN_LIT("\x08\x02\x10\x0d\x32\x08\x08\x01\x10\x80\xca\xb5\xee\x01\x72\x00"),
            SPAN_LIT("\x40\x02\x72\x02\x08\x01"),
            SPAN_LIT("\x3a\x11\x08\x03\x12\x02\x08\x02\x19\x00\x00\x00\x00\x00\x00\xf8\x3f\x22\x00"),
            SPAN_LIT("\x3a\x0f\x29\x00\x00\x00\x00\x00\x00\x00\x00\x32\x01"
                     "A\x32\x01"
                     "B"),
            SPAN_LIT("\x3a\x09\x29\x00\x00\x00\x00\x00\x00\xe0\x3f"),
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_reader r;
        struct wire_field field;
        struct fixture f;
        int n = 0;

        items[0].options = cases[i];
        items[0].options.size = sizeof cases[i];
        setup(&f);
        outbox_hello(&f.outbox, &hello);
        flush(&f);
        for (r = wire_reader(field_of(1, 0)); wire_next(&r, &field) == 0;) {
            struct wire_reader inner = wire_reader(field.bytes);
            struct wire_field at;

            while (field.number == 3 && wire_next(&inner, &at) == 0) {
                if (at.number != 4)
                    continue;
                n++;
                if (!span_eq(at.bytes, wanted[i]))
                    fail_msg("case %zu", i);
            }
        }
        assert_int_equal(n, 1);
        teardown(&f);
    }
}

static void test_hello(void **state)
{
    static const char *const types[] = {"text/plain", "image/png", NULL};
    struct function items[] = {
            {.name = "one", .doc = "the first", .version = "2.0", .content_types = types},
            {.name = "two", .doc = "", .version = "", .options = {.size = sizeof(struct futured_options)}},
    };
    struct functions functions = {.items = items, .n_items = 2, .problems = BUF_INIT};
    const struct hello hello = {
            .name = "pool-1", .session_token = "0123456789abcdef", .functions = &functions};
    struct wire_reader r;
    struct wire_field field;
    struct fixture f;
    struct span s;
    int n = 0;

    setup(&f);
    assert_int_equal(buf_append(&functions.problems, "the first problem\nthe second\n", 29), 0);
    outbox_hello(&f.outbox, &hello);
    flush(&f);
    s = field_of(1, 0);
    for (r = wire_reader(s); wire_next(&r, &field) == 0;) {
        if (field.number == 1)
            n += span_eq(field.bytes, SPAN_LIT("pool-1"));
        else if (field.number == 2)
            n += span_eq(field.bytes, SPAN_LIT("0123456789abcdef"));
        else if (field.number == 3)
            n += span_eq(field.bytes,
                         SPAN_LIT("\x0a\x03one\x12\x09the first\x1a\x0atext/plain\x1a\x09image/png\x2a\x03"
                                  "2.0")) ||
                 span_eq(field.bytes, SPAN_LIT("\x0a\x03two\x22\x00"));
        else if (field.number == 4)
            n += field.value == 1;
        else if (field.number == 5)
            n += span_eq(field.bytes, SPAN_LIT("\x0a\x0aload_error\x12\x1cthe first problem\nthe second"));
        else if (field.number == 7)
            n += span_eq(field.bytes, SPAN_LIT(FUTURED_VERSION));
        else
            fail_msg("field %u", field.number);
    }
    assert_int_equal(n, 7);
    buf_deinit(&functions.problems);
    teardown(&f);
}

static void test_batch(void **state)
{
    struct lease_ref lease, ref = {.id = id_make(77, 1), .attempt = 4, .epoch = 5};
    struct fixture f;

    setup(&f);
    outbox_started(&f.outbox, &ref);
    outbox_returned(&f.outbox, &ref);
    outbox_release(&f.outbox, &ref, "why");
    assert_int_equal(attempt_host.set_result(&f.t.call, "r", 1), 0);
    outbox_finish(&f.outbox, &f.t.call, 1000);
    outbox_finish(&f.outbox, &f.t.call, 2000);
    assert_int_equal(f.outbox.n_finishes, 2);
    assert_int_equal(f.outbox.started_at, 1000); /* of the oldest */
    f.outbox.ping = 99;
    flush(&f);
    assert_int_equal(n_messages, 1);
    assert_int_equal(f.outbox.n_finishes, 0);
    assert_int_equal(count_of(2), 1);
    assert_int_equal(count_of(7), 2);
    assert_int_equal(count_of(8), 1);
    assert_int_equal(count_of(9), 1);
    assert_int_equal(number_in(field_of(10, 0), 1), 2); /* credit: one for each finish */
    assert_int_equal(number_in(field_of(11, 0), 1), 99);
    for (uint32_t number = 2; number <= 9; number += number == 2 ? 6 : 1) {
        struct wire_reader r = wire_reader(field_of(number, 0));
        struct span s;

        assert_true(codec_each(&r, 1, &s));
        assert_int_equal(lease_ref_read(s, &lease), 0);
        assert_int_equal(lease.attempt, 4);
        assert_int_equal(lease.epoch, 5);
    }
    flush(&f); /* nothing is said twice */
    assert_int_equal(n_messages, 1);
    teardown(&f);
}

static void test_result(void **state)
{
    struct result_message result = {0};
    struct usage_message usage = {0};
    struct finish_message m;
    struct fixture f;
    const char *field;

    setup(&f);
    assert_int_equal(attempt_host.set_result(&f.t.call, "abc", 3), 0);
    assert_int_equal(attempt_host.set_content_type(&f.t.call, "text/x"), 0);
    f.t.call.usage = (struct answer_usage){1500, -1, 2 * NS_PER_S, 4096};
    f.t.call.exit_code = (struct codec_number){0, 1};
    outbox_finish(&f.outbox, &f.t.call, 0);
    flush(&f);
    read_finish(0, &m);
    assert_true(m.result.is_set);
    assert_false(m.error.is_set);
    assert_int_equal(codec_read(&result_table, m.result.data, &result, &field), 0);
    assert_true(span_eq(result.data.data, SPAN_LIT("abc")));
    assert_true(span_eq(result.content_type, SPAN_LIT("text/x")));
    assert_int_equal(result.size_bytes, 3);
    assert_int_equal(codec_read(&usage_table, m.usage.data, &usage, &field), 0);
    assert_int_equal(usage.user_cpu.ns, 1500);
    assert_false(usage.system_cpu.is_set);
    assert_int_equal(usage.wall.ns, 2 * NS_PER_S);
    assert_int_equal(usage.max_rss_bytes.value, 4096);
    assert_true(m.exit_code.is_set);
    assert_int_equal(m.exit_code.value, 0);
    assert_false(m.signal.is_set);
    assert_int_equal(m.chunked, 0);
    teardown(&f);
}

static void test_error(void **state)
{
    struct error_message error = {0};
    struct finish_message m;
    struct fixture f;
    const char *field;

    setup(&f);
    attempt_fail(&f.t.call, "CRASHED", GRPC_INTERNAL, "TYPE", "message %d", 7);
    f.t.call.failure.is_retryable = 1;
    f.t.call.failure.traceback = SPAN_LIT("trace");
    f.t.call.failure.function_reason = SPAN_LIT("reason");
    f.t.call.signal = (struct codec_number){11, 1};
    outbox_finish(&f.outbox, &f.t.call, 0);
    flush(&f);
    read_finish(0, &m);
    assert_false(m.result.is_set);
    assert_int_equal(codec_read(&error_table, m.error.data, &error, &field), 0);
    assert_int_equal(error.code, GRPC_INTERNAL);
    assert_true(span_eq(error.reason, SPAN_LIT("CRASHED")));
    assert_true(span_eq(error.type, SPAN_LIT("TYPE")));
    assert_true(span_eq(error.message, SPAN_LIT("message 7")));
    assert_true(span_eq(error.traceback, SPAN_LIT("trace")));
    assert_true(span_eq(error.function_reason, SPAN_LIT("reason")));
    assert_int_equal(error.retryable, 1);
    assert_int_equal(m.signal.value, 11);
    teardown(&f);
}

static void test_chunks(void **state)
{
    size_t n = 2 * OUTBOX_CHUNK_BYTES + 10;
    struct result_message result = {0};
    struct finish_message m;
    struct fixture f;
    const char *field;
    uint8_t *room;

    setup(&f);
    room = attempt_host.reserve_result(&f.t.call, n);
    for (size_t i = 0; i < n; i++)
        room[i] = (uint8_t)(i % 251);
    assert_int_equal(attempt_host.commit_result(&f.t.call, n), 0);
    assert_int_equal(outbox_send_chunk(&f.t.call, 0, f.stream.call), OUTBOX_CHUNK_BYTES);
    assert_int_equal(outbox_send_chunk(&f.t.call, OUTBOX_CHUNK_BYTES, f.stream.call), OUTBOX_CHUNK_BYTES);
    assert_int_equal(outbox_send_chunk(&f.t.call, 2 * (size_t)OUTBOX_CHUNK_BYTES, f.stream.call), 10);
    outbox_finish(&f.outbox, &f.t.call, 0);
    flush(&f);
    assert_int_equal(n_messages, 4);
    for (uint32_t i = 0; i < 3; i++) {
        struct span piece = field_of(6, i);
        struct wire_reader r = wire_reader(piece);
        struct span data;

        assert_int_equal(number_in(piece, 3), i * (uint32_t)OUTBOX_CHUNK_BYTES);
        assert_true(codec_each(&r, 4, &data));
        assert_memory_equal(data.p, room + i * (size_t)OUTBOX_CHUNK_BYTES, data.len);
    }
    read_finish(0, &m);
    assert_int_equal(m.chunked, 1);
    assert_int_equal(codec_read(&result_table, m.result.data, &result, &field), 0);
    assert_false(result.data.is_set);
    assert_int_equal(result.size_bytes, n);
    teardown(&f);
}

static void test_full(void **state)
{
    struct fixture f;

    setup(&f);
    for (int i = 0; i < OUTBOX_FINISHES - 1; i++)
        outbox_finish(&f.outbox, &f.t.call, 0);
    assert_false(outbox_is_full(&f.outbox));
    outbox_finish(&f.outbox, &f.t.call, 0);
    assert_true(outbox_is_full(&f.outbox));
    flush(&f);
    assert_false(outbox_is_full(&f.outbox));
    assert_non_null(attempt_host.reserve_result(&f.t.call, OUTBOX_BYTES));
    assert_int_equal(attempt_host.commit_result(&f.t.call, OUTBOX_BYTES), 0);
    outbox_finish(&f.outbox, &f.t.call, 0);
    assert_true(outbox_is_full(&f.outbox));
    flush(&f);
    teardown(&f);
}

static void test_without_memory(void **state)
{
    struct lease_ref ref = {.attempt = 1};

    FAIL_EACH_ALLOCATION(nth)
    {
        struct fixture f;
        int r;

        mem_fail_at(0);
        setup(&f);
        mem_fail_at(nth);
        outbox_returned(&f.outbox, &ref);
        outbox_finish(&f.outbox, &f.t.call, 0);
        r = outbox_flush(&f.outbox, f.stream.call);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        mem_fail_at(test_allocation_failed() ? 0 : UINT64_MAX);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty_says_nothing),
            cmocka_unit_test(test_options),
            cmocka_unit_test(test_hello),
            cmocka_unit_test(test_batch),
            cmocka_unit_test(test_result),
            cmocka_unit_test(test_error),
            cmocka_unit_test(test_chunks),
            cmocka_unit_test(test_full),
            cmocka_unit_test(test_without_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    buf_deinit(&heard);
    return failed;
}
