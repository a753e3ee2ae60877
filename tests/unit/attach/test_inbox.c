// SPDX-License-Identifier: Apache-2.0
/* What the daemon says: the queue and the events that come of it, payloads in pieces, what is refused, and messages of
 * random bytes and with random faults, which must cost nothing but an error. */
#include "attach/inbox.h"
#include "grpc/writer.h"
#include "tests/support/testing.h"

struct heard {
    int n_welcomes, n_recalled, n_cancelled, n_refused, n_drains;
    uint64_t ping, max_result;
    struct lease_ref recalled, cancelled, refused;
    int64_t grace_ns;
};

static void on_welcome(void *context, const struct welcome *welcome)
{
    struct heard *h = context;

    h->n_welcomes++;
    h->max_result = welcome->max_result_bytes;
}

static void on_recalled(void *context, const struct lease_ref *lease)
{
    struct heard *h = context;

    h->n_recalled++;
    h->recalled = *lease;
}

static void on_cancel(void *context, const struct lease_ref *lease, int64_t grace_ns, struct span reason)
{
    struct heard *h = context;

    h->n_cancelled++;
    h->cancelled = *lease;
    h->grace_ns = grace_ns;
}

static void on_refused(void *context, const struct lease_ref *lease)
{
    struct heard *h = context;

    h->n_refused++;
    h->refused = *lease;
}

static void on_drain(void *context, const struct drain *drain)
{
    ((struct heard *)context)->n_drains++;
}

static void on_ping(void *context, uint64_t number)
{
    ((struct heard *)context)->ping = number;
}

static struct heard heard;
static const struct inbox_ops ops = {.on_welcome = on_welcome,
                                     .on_recalled = on_recalled,
                                     .on_cancel = on_cancel,
                                     .on_refused = on_refused,
                                     .on_drain = on_drain,
                                     .on_ping = on_ping,
                                     .context = &heard};

static struct lease_ref lease_of(uint32_t n)
{
    return (struct lease_ref){.id = id_make(1000 + n, n), .attempt = 1, .epoch = 3};
}

static void put_lease(struct writer *w, uint32_t n)
{
    struct lease_ref lease = lease_of(n);

    lease_ref_write(w, 1, &lease);
}

static void put_welcome(struct writer *w, uint64_t max_message)
{
    struct writer_mark m = writer_begin(w, 1, 20);

    writer_uint(w, 2, 3);
    writer_uint(w, 7, max_message);
    writer_uint(w, 8, 500);
    writer_end(w, m);
}

static void put_piece(struct writer *w, uint32_t n, uint64_t part, uint64_t offset, const char *data)
{
    struct writer_mark m = writer_begin(w, 2, 20);

    put_lease(w, n);
    writer_uint(w, 2, part);
    writer_uint(w, 3, offset);
    writer_text(w, 4, data);
    writer_end(w, m);
}

/* One Assign with items @n .. @n + @count - 1, in pieces where @task is NULL. */
static void put_assign(struct writer *w, uint32_t n, uint32_t count, const char *task)
{
    struct writer_mark m = writer_begin(w, 3, 20), item;

    for (uint32_t i = 0; i < count; i++) {
        item = writer_begin(w, 1, 20);
        put_lease(w, n + i);
        if (task)
            writer_bytes_always(w, 2, span_of_string(task));
        writer_text(w, 8, "trace");
        writer_text(w, 9, "group");
        writer_uint(w, 12, task == NULL);
        writer_end(w, item);
    }
    writer_end(w, m);
}

static void put_order(struct writer *w, uint32_t field, uint32_t n, int64_t grace_ns)
{
    struct writer_mark m = writer_begin(w, field, 20);

    put_lease(w, n);
    if (grace_ns)
        writer_duration(w, 3, grace_ns);
    writer_end(w, m);
}

static struct buf message;
static struct writer w;

static void begin(void)
{
    buf_clear(&message);
    w = writer_to(&message);
}

static int take(struct inbox *in, const char **why)
{
    assert_int_equal(w.failed, 0);
    *why = "";
    return inbox_take(in, (struct span){buf_head(&message), buf_len(&message)}, why);
}

static void take_good(struct inbox *in)
{
    const char *why;

    if (take(in, &why) != 0)
        fail_msg("refused: %s", why);
}

static void take_bad(struct inbox *in, const char *expected)
{
    const char *why;

    assert_int_equal(take(in, &why), INBOX_E_BAD);
    assert_string_equal(why, expected);
}

static void start(struct inbox *in)
{
    heard = (struct heard){0};
    inbox_init(in, &ops);
    begin();
    put_welcome(&w, 100);
    take_good(in);
    begin();
}

static void expect_next(struct inbox *in, uint32_t n, const char *task)
{
    struct item *item = inbox_pop(in);
    struct lease_ref lease = lease_of(n);

    assert_non_null(item);
    assert_true(inbox_is_same_lease(&item->lease, &lease));
    if (!span_eq(item->task, span_of_string(task)))
        fail_msg("item %u has <%.*s>, not <%s>", n, (int)item->task.len, (const char *)item->task.p, task);
    inbox_item_free(item);
}

static void test_queue(void **state)
{
    struct inbox in;
    struct item *item;

    start(&in);
    assert_int_equal(heard.n_welcomes, 1);
    assert_int_equal(heard.max_result, 500);
    put_assign(&w, 1, 2, "task");
    take_good(&in);
    begin();
    put_assign(&w, 3, 1, "");
    take_good(&in);
    assert_int_equal(in.n_queued, 3);
    expect_next(&in, 1, "task");
    item = inbox_pop(&in);
    assert_true(span_eq(item->group, SPAN_LIT("group")));
    assert_true(span_eq(item->traceparent, SPAN_LIT("trace")));
    inbox_item_free(item);
    expect_next(&in, 3, "");
    assert_null(inbox_pop(&in));
    assert_int_equal(in.n_queued, 0);
    inbox_deinit(&in);
}

static void test_recall_and_cancel(void **state)
{
    struct lease_ref lease = lease_of(2);
    struct inbox in;

    start(&in);
    put_assign(&w, 1, 4, "t");
    put_order(&w, 5, 2, 0);
    put_order(&w, 5, 9, 0); /* is not here: nothing */
    take_good(&in);
    assert_int_equal(heard.n_recalled, 1);
    assert_true(inbox_is_same_lease(&heard.recalled, &lease));
    begin();
    put_order(&w, 4, 3, NS_PER_S); /* not started: a recall */
    put_order(&w, 4, 7, 2 * NS_PER_S);
    take_good(&in);
    assert_int_equal(heard.n_recalled, 2);
    assert_int_equal(heard.n_cancelled, 1);
    lease = lease_of(7);
    assert_true(inbox_is_same_lease(&heard.cancelled, &lease));
    assert_int_equal(heard.grace_ns, 2 * NS_PER_S);
    begin();
    put_order(&w, 4, 7, 0);
    put_order(&w, 6, 8, 0); /* refused */
    take_good(&in);
    assert_int_equal(heard.n_cancelled, 2);
    assert_int_equal(heard.grace_ns, 0);
    lease = lease_of(8);
    assert_int_equal(heard.n_refused, 1);
    assert_true(inbox_is_same_lease(&heard.refused, &lease));
    expect_next(&in, 1, "t");
    expect_next(&in, 4, "t");
    assert_null(inbox_pop(&in));
    inbox_deinit(&in);
}

static void test_other_attempt_or_epoch_is_another_lease(void **state)
{
    struct lease_ref a = lease_of(1), b = a;

    assert_true(inbox_is_same_lease(&a, &b));
    b.attempt++;
    assert_false(inbox_is_same_lease(&a, &b));
    b = a;
    b.epoch++;
    assert_false(inbox_is_same_lease(&a, &b));
    b = a;
    b.id.b[15]++;
    assert_false(inbox_is_same_lease(&a, &b));
}

static void test_drain_and_ping(void **state)
{
    struct inbox in;
    struct writer_mark m;

    start(&in);
    m = writer_begin(&w, 7, 10);
    writer_text(&w, 1, "why");
    writer_end(&w, m);
    m = writer_begin(&w, 8, 10);
    writer_uint(&w, 1, 77);
    writer_end(&w, m);
    take_good(&in);
    assert_int_equal(heard.n_drains, 1);
    assert_int_equal(heard.ping, 77);
    inbox_deinit(&in);
}

static void test_pieces(void **state)
{
    struct inbox in;

    start(&in);
    put_piece(&w, 1, 0, 0, "one ");
    put_piece(&w, 2, 0, 0, "TWO ");
    put_piece(&w, 1, 0, 4, "more");
    put_piece(&w, 1, 5, 0, "a result of an upstream");
    put_assign(&w, 3, 1, "small");
    take_good(&in);
    begin();
    put_piece(&w, 2, 0, 4, "MORE");
    put_assign(&w, 1, 2, NULL);
    take_good(&in);
    assert_int_equal(in.n_partial, 0);
    expect_next(&in, 3, "small");
    expect_next(&in, 1, "one more");
    expect_next(&in, 2, "TWO MORE");
    inbox_deinit(&in);
}

static void put_upstream(uint32_t number, const char *result, int is_chunked)
{
    struct writer_mark m = writer_begin(&w, 7, 20), r;
    char id[16];

    snprintf(id, sizeof id, "id-%u", number);
    writer_text(&w, 1, id);
    r = writer_begin(&w, result ? 2 : 3, 20);
    if (!result) {
        writer_uint(&w, 1, 5);
        writer_text(&w, 4, "lost");
    } else {
        if (!is_chunked)
            writer_bytes_always(&w, 1, span_of_string(result));
        writer_text(&w, 3, "text");
        writer_uint(&w, 4, strlen(result));
    }
    writer_end(&w, r);
    writer_uint(&w, 4, is_chunked != 0);
    writer_end(&w, m);
}

/* An item whose upstreams are one in place, one ahead, an error, and another ahead. @ahead: what the second says. */
static void put_dependent(uint32_t n, const char *task, const char *ahead)
{
    struct writer_mark m = writer_begin(&w, 3, 20), item = writer_begin(&w, 1, 20);

    put_lease(&w, n);
    if (task)
        writer_bytes_always(&w, 2, span_of_string(task));
    put_upstream(1, "here", 0);
    put_upstream(2, ahead, 1);
    put_upstream(3, NULL, 0);
    put_upstream(4, "fourth", 1);
    writer_uint(&w, 12, task == NULL);
    writer_end(&w, item);
    writer_end(&w, m);
}

static void expect_upstreams(struct inbox *in, const char *task)
{
    struct item *item = inbox_pop(in);
    const struct upstream *u;

    assert_non_null(item);
    assert_true(span_eq(item->task, span_of_string(task)));
    assert_int_equal(item->upstreams->n, 4);
    u = item->upstreams->at;
    assert_true(u[0].is_result && span_eq(u[0].data, SPAN_LIT("here")) && span_eq(u[0].id, SPAN_LIT("id-1")));
    assert_true(u[1].is_result && span_eq(u[1].data, SPAN_LIT("second")));
    assert_true(span_eq(u[1].content_type, SPAN_LIT("text")));
    assert_false(u[2].is_result);
    assert_true(u[2].error.code == 5 && span_eq(u[2].error.message, SPAN_LIT("lost")));
    assert_true(u[3].is_result && span_eq(u[3].data, SPAN_LIT("fourth")));
    inbox_item_free(item);
}

static void test_upstreams(void **state)
{
    struct inbox in;

    start(&in);
    put_piece(&w, 1, 2, 0, "sec");
    put_piece(&w, 2, 0, 0, "big task");
    put_piece(&w, 2, 2, 0, "second");
    put_piece(&w, 1, 2, 3, "ond");
    put_piece(&w, 1, 4, 0, "fourth");
    put_piece(&w, 2, 4, 0, "fourth");
    take_good(&in);
    begin();
    put_dependent(1, "task", "second");
    take_good(&in);
    begin();
    put_dependent(2, NULL, "second");
    take_good(&in);
    assert_int_equal(in.n_partial, 0);
    expect_upstreams(&in, "task");
    expect_upstreams(&in, "big task");
    inbox_deinit(&in);
}

static void test_bad_upstreams(void **state)
{
    struct inbox in;

    start(&in);
    put_piece(&w, 1, 2, 0, "second");
    put_piece(&w, 1, 4, 0, "fourth");
    put_piece(&w, 2, 2, 0, "second");
    take_good(&in);
    begin();
    put_dependent(1, "task", "of another length");
    take_bad(&in, "an assignment without its payload");
    begin();
    put_dependent(2, "task", "second"); /* without the fourth */
    take_bad(&in, "an assignment without its payload");
    begin();
    put_piece(&w, 2, 1, 0, "x");
    take_bad(&in, "payloads out of order");
    begin();
    put_piece(&w, 2, 1001, 0, "x");
    take_bad(&in, "payloads out of order");
    inbox_deinit(&in);
}

static void test_recalled_pieces(void **state)
{
    struct inbox in;

    start(&in);
    put_piece(&w, 1, 0, 0, "one ");
    put_order(&w, 5, 1, 0);
    take_good(&in);
    assert_int_equal(heard.n_recalled, 1);
    assert_int_equal(in.n_partial, 0);
    begin();
    put_piece(&w, 1, 0, 4, "more");
    take_bad(&in, "a payload with a gap, or over max_message_bytes");
    inbox_deinit(&in);
}

static void test_piece_limit(void **state)
{
    static char hundred[101];
    struct inbox in;

    memset(hundred, 'x', 100);
    start(&in);
    put_piece(&w, 1, 0, 0, hundred);
    take_good(&in);
    begin();
    put_piece(&w, 1, 0, 100, "x");
    take_bad(&in, "a payload with a gap, or over max_message_bytes");
    inbox_deinit(&in);
}

static void test_refused(void **state)
{
    struct inbox in;

    inbox_init(&in, &ops);
    begin();
    put_assign(&w, 1, 1, "t");
    take_bad(&in, "no welcome in the first message");
    begin();
    put_welcome(&w, 0);
    take_bad(&in, "a malformed welcome");
    inbox_deinit(&in);

    start(&in);
    put_welcome(&w, 100);
    take_bad(&in, "a second welcome");
    begin();
    put_assign(&w, 1, 1, NULL);
    take_bad(&in, "an assignment without its payload");
    begin();
    writer_bytes(&w, 3, SPAN_LIT("\x0a\x02\x0a\x00")); /* an empty lease */
    take_bad(&in, "a malformed assignment");
    begin();
    writer_bytes(&w, 5, SPAN_LIT(""));
    writer_bytes_always(&w, 5, SPAN_LIT(""));
    take_bad(&in, "a malformed recall or cancel");
    begin();
    writer_bytes(&w, 2, SPAN_LIT("\x08"));
    take_bad(&in, "a malformed piece of a payload");
    begin();
    put_piece(&w, 1, 0, 0, "");
    take_bad(&in, "a malformed piece of a payload");
    begin();
    writer_uint(&w, 3, 7);
    take_bad(&in, "a malformed message");
    assert_null(inbox_pop(&in));
    inbox_deinit(&in);
}

static void test_queue_is_bounded(void **state)
{
    struct inbox in;

    start(&in);
    put_assign(&w, 1, INBOX_QUEUE_MAX, "t");
    take_good(&in);
    begin();
    put_assign(&w, INBOX_QUEUE_MAX + 1, 1, "t");
    take_bad(&in, "more assignments than credit");
    inbox_deinit(&in);
}

/* Good messages with bytes changed, cut off or repeated. */
static void test_faults(void **state)
{
    struct test_random random = {test_seed()};

    for (int round = 0; round < 3000; round++) {
        struct inbox in;

        start(&in);
        for (int i = 0; i < 4; i++) {
            uint8_t copy[2048];
            const char *why;
            size_t n;

            begin();
            put_piece(&w, 1, 0, 0, "piece");
            put_assign(&w, i % 2 ? 1 : 2, i % 2 ? 1 : 2, i % 2 ? NULL : "task");
            put_order(&w, 4, 2, NS_PER_S);
            put_order(&w, 5, 3, 0);
            n = MIN(buf_len(&message), sizeof copy);
            memcpy(copy, buf_head(&message), n);
            for (uint64_t k = test_random_below(&random, 4); k > 0; k--)
                copy[test_random_below(&random, n)] = (uint8_t)test_random_next(&random);
            if (test_random_below(&random, 3) == 0)
                n = test_random_below(&random, n);
            if (inbox_take(&in, (struct span){copy, n}, &why) != 0)
                break;
        }
        inbox_deinit(&in);
    }
}

static void test_without_memory(void **state)
{
    struct inbox in;

    FAIL_EACH_ALLOCATION(nth)
    {
        const char *why;
        int r;

        mem_fail_at(0);
        start(&in);
        put_piece(&w, 1, 0, 0, "one");
        put_assign(&w, 1, 1, NULL);
        mem_fail_at(nth);
        r = take(&in, &why);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        inbox_deinit(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_queue),
            cmocka_unit_test(test_recall_and_cancel),
            cmocka_unit_test(test_other_attempt_or_epoch_is_another_lease),
            cmocka_unit_test(test_drain_and_ping),
            cmocka_unit_test(test_pieces),
            cmocka_unit_test(test_upstreams),
            cmocka_unit_test(test_bad_upstreams),
            cmocka_unit_test(test_recalled_pieces),
            cmocka_unit_test(test_piece_limit),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_queue_is_bounded),
            cmocka_unit_test(test_faults),
            cmocka_unit_test(test_without_memory),
    };
    int failed;

    test_seed();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&message);
    return failed;
}
