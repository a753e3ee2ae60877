// SPDX-License-Identifier: Apache-2.0
/* The plugin interface over one attempt: what a function sees of its task, how it sets a result or fails, limits, and
 * that nothing of one attempt is seen in the next. */
#include "base/mem.h"
#include "tests/support/testing.h"
#include "worker/attempt.h"

#include <poll.h>

static const struct lease_ref lease = {
        .id = {{0x01, 0x8f, 0, 0, 0, 0, 0x70, 1, 0x80}}, .attempt = 3, .epoch = 9};

static struct span make_task(struct buf *to)
{
    struct writer w = writer_to(to);
    struct writer_mark m;

    writer_text(&w, TASK_FUNCTION, "f");
    writer_text(&w, TASK_ARGUMENT, "argument");
    writer_text(&w, TASK_CONTENT_TYPE, "text/plain");
    for (int i = 0; i < 2; i++) {
        m = writer_begin(&w, TASK_LABELS, 20);
        writer_text(&w, 1, i ? "empty" : "color");
        writer_text(&w, 2, i ? "" : "red");
        writer_end(&w, m);
    }
    assert_int_equal(w.failed, 0);
    return (struct span){buf_head(to), buf_len(to)};
}

static void begin(struct futured_call *c, struct buf *task, size_t max_result)
{
    if (buf_len(task) == 0)
        make_task(task);
    assert_int_equal(attempt_begin(c, &lease, (struct span){buf_head(task), buf_len(task)}, SPAN_LIT("group"),
                                   SPAN_LIT("trace"), max_result),
                     0);
    c->function = "f";
}

static void expect_result(const struct futured_call *c, const char *expected)
{
    struct span s = attempt_result(c);

    assert_false(c->has_failed);
    assert_int_equal(s.len, strlen(expected));
    if (s.len)
        assert_memory_equal(s.p, expected, s.len);
}

static void expect_failure(const struct futured_call *c, const char *reason, int code, const char *message)
{
    assert_true(c->has_failed);
    assert_string_equal(c->failure.reason, reason);
    assert_int_equal(c->failure.code, code);
    if (!span_eq(c->failure.message, span_of_string(message)))
        fail_msg("says <%.*s>, not <%s>", (int)c->failure.message.len, (const char *)c->failure.message.p,
                 message);
}

/* What it depends on, once the attempt has been given it, and not in the next one. */
static void test_upstreams(void **state)
{
    struct futured_upstream u = {.size = sizeof u},
                            older = {.size = offsetof(struct futured_upstream, reason)};
    struct upstream_list *list = mem_zalloc(sizeof *list + 2 * sizeof list->at[0]);
    struct buf task = BUF_INIT;
    struct futured_call c;

    assert_non_null(list);
    list->n = 2;
    list->at[0] = (struct upstream){.id = SPAN_LIT("id-0"),
                                    .is_result = 1,
                                    .data = SPAN_LIT("data"),
                                    .content_type = SPAN_LIT("text")};
    list->at[1] = (struct upstream){.id = SPAN_LIT("id-1")};
    list->at[1].error.code = 5;
    list->at[1].error.reason = SPAN_LIT("TIMEOUT");
    list->at[1].error.message = SPAN_LIT("too long");
    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 100);
    assert_int_equal(attempt_host.n_upstreams(&c), 0);
    assert_int_equal(attempt_host.upstream(&c, 0, &u), -1);
    c.upstreams = list;
    assert_int_equal(attempt_host.n_upstreams(&c), 2);
    assert_int_equal(attempt_host.upstream(&c, 0, &u), 0);
    assert_string_equal(u.id, "id-0");
    assert_true(u.succeeded && u.data_size == 4 && memcmp(u.data, "data", 4) == 0);
    assert_string_equal(u.content_type, "text");
    assert_string_equal(u.reason, "");
    assert_int_equal(attempt_host.upstream(&c, 1, &u), 0);
    assert_false(u.succeeded);
    assert_int_equal(u.code, 5);
    assert_string_equal(u.reason, "TIMEOUT");
    assert_string_equal(u.message, "too long");
    assert_int_equal(attempt_host.upstream(&c, 1, &older), 0); /* a plugin that knows less of it */
    assert_null(older.reason);
    assert_int_equal(attempt_host.upstream(&c, 2, &u), -1);
    older.size = 1;
    assert_int_equal(attempt_host.upstream(&c, 0, &older), -1);
    attempt_end(&c);
    begin(&c, &task, 100);
    assert_int_equal(attempt_host.n_upstreams(&c), 0);
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
    mem_free(list);
}

static void test_what_was_asked(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;
    const char *type;
    size_t n;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 100);
    assert_memory_equal(h->argument(&c, &n), "argument", 8);
    assert_int_equal(n, 8);
    type = h->content_type(&c);
    assert_string_equal(type, "text/plain");
    assert_ptr_equal(h->content_type(&c), type); /* copied once */
    assert_string_equal(h->function(&c), "f");
    assert_string_equal(h->label(&c, "color"), "red");
    assert_string_equal(h->label(&c, "empty"), "");
    assert_null(h->label(&c, "colo"));
    assert_null(h->label(&c, ""));
    assert_string_equal(h->id(&c), "018f0000-0000-7001-8000-000000000000");
    assert_int_equal(h->attempt(&c), 3);
    assert_string_equal(h->group(&c), "group");
    assert_string_equal(h->traceparent(&c), "trace");
    assert_int_equal(h->max_result(&c), 100);
    assert_false(h->cancelled(&c));
    assert_true(h->size == sizeof *h);
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_nothing_was_said(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct futured_call c;
    size_t n = 7;

    assert_int_equal(attempt_init(&c, NULL), 0);
    assert_int_equal(attempt_begin(&c, &lease, (struct span){0}, (struct span){0}, (struct span){0}, 10), 0);
    assert_non_null(h->argument(&c, &n));
    assert_int_equal(n, 0);
    assert_string_equal(h->content_type(&c), "");
    assert_string_equal(h->group(&c), "");
    assert_string_equal(h->traceparent(&c), "");
    assert_null(h->label(&c, "color"));
    expect_result(&c, "");
    attempt_end(&c);
    attempt_deinit(&c);
}

static void test_malformed_task(void **state)
{
    struct futured_call c;

    assert_int_equal(attempt_init(&c, NULL), 0);
    assert_int_equal(
            attempt_begin(&c, &lease, SPAN_LIT("\x0a\x01\xff"), (struct span){0}, (struct span){0}, 10),
            ATTEMPT_E_MALFORMED);
    expect_failure(&c, "", GRPC_INTERNAL, "the task is malformed at function");
    attempt_end(&c);
    attempt_deinit(&c);
}

static void test_results(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;
    char *room;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 100000);
    assert_int_equal(h->set_result(&c, "first", 5), 0);
    expect_result(&c, "first");
    assert_int_equal(h->set_result(&c, "second one", 10), 0); /* the last one counts */
    expect_result(&c, "second one");
    assert_int_equal(h->set_result(&c, NULL, 0), 0);
    expect_result(&c, "");
    attempt_end(&c);

    begin(&c, &task, 100000);
    room = h->reserve_result(&c, 4);
    memcpy(room, "abcdxxxx", 4);
    room = h->reserve_result(&c, 70000); /* may move, keeps what was written */
    memcpy(room + 4, "efxxxx", 2);
    assert_int_equal(h->commit_result(&c, 6), 0);
    expect_result(&c, "abcdef");
    assert_int_equal(h->set_result(&c, attempt_result(&c).p + 2, 3), 0); /* from itself */
    expect_result(&c, "cde");
    attempt_end(&c);

    begin(&c, &task, 0);
    assert_non_null(h->reserve_result(&c, 0));
    assert_int_equal(h->commit_result(&c, 0), 0);
    expect_result(&c, "");
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_result_limit(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 4);
    assert_int_equal(h->set_result(&c, "four", 4), 0);
    assert_int_equal(h->set_result(&c, "fives", 5), -1);
    expect_failure(&c, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED,
                   "the result has 5 bytes; at most 4 are allowed");
    assert_int_equal((h->fail)(&c, "LATER", "does not count"), -1);
    expect_failure(&c, "RESULT_TOO_LARGE", GRPC_RESOURCE_EXHAUSTED,
                   "the result has 5 bytes; at most 4 are allowed");
    attempt_end(&c);

    begin(&c, &task, 4);
    assert_false(c.has_failed);
    assert_null(h->reserve_result(&c, SIZE_MAX));
    assert_true(c.has_failed);
    attempt_end(&c);

    begin(&c, &task, 10);
    assert_non_null(h->reserve_result(&c, 4));
    assert_int_equal(h->commit_result(&c, 5), -1);
    expect_failure(&c, "", GRPC_INTERNAL, "the function committed 5 bytes of 4 that it reserved");
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_content_type(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;
    char type[300];

    memset(type, 'x', sizeof type);
    type[255] = '\0';
    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 4);
    assert_int_equal(h->set_content_type(&c, type), 0);
    assert_int_equal(c.result_type.len, 255);
    type[255] = 'x';
    type[256] = '\0';
    assert_int_equal(h->set_content_type(&c, type), -1);
    assert_true(c.has_failed);
    attempt_end(&c);
    begin(&c, &task, 4);
    assert_int_equal(c.result_type.len, 0);
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_failures(void **state)
{
    struct futured_failure f = {
            .size = sizeof f, .type = "T", .message = "m\xff", .reason = "R", .code = 5, .retryable = 2};
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 4);
    assert_int_equal(h->fail_with(&c, &f), -1);
    expect_failure(&c, "", 5, "m\xef\xbf\xbd");
    assert_true(span_eq(c.failure.type, SPAN_LIT("T")));
    assert_true(span_eq(c.failure.function_reason, SPAN_LIT("R")));
    assert_int_equal(c.failure.traceback.len, 0);
    assert_int_equal(c.failure.is_retryable, 1);
    attempt_end(&c);

    begin(&c, &task, 4);
    assert_int_equal((h->fail)(&c, NULL, NULL), -1);
    expect_failure(&c, "", GRPC_UNKNOWN, "");
    attempt_end(&c);

    /* an older plugin knows fewer members; codes that are none are UNKNOWN */
    begin(&c, &task, 4);
    f.size = offsetof(struct futured_failure, reason);
    h->fail_with(&c, &f);
    assert_int_equal(c.failure.function_reason.len, 0);
    expect_failure(&c, "", GRPC_UNKNOWN, "m\xef\xbf\xbd");
    attempt_end(&c);
    begin(&c, &task, 4);
    f.size = sizeof f;
    f.code = 17;
    h->fail_with(&c, &f);
    assert_int_equal(c.failure.code, GRPC_UNKNOWN);
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_long_texts_are_cut(void **state)
{
    size_t n = (size_t)100 * 1024;
    char *text = malloc(n + 1);
    struct buf task = BUF_INIT;
    struct futured_call c;

    memset(text, 'x', n);
    text[n] = '\0';
    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 4);
    (attempt_host.fail)(&c, text, text);
    assert_int_equal(c.failure.type.len, ATTEMPT_NAME_MAX_BYTES);
    assert_int_equal(c.failure.message.len, ATTEMPT_TEXT_MAX_BYTES);
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
    free(text);
}

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void test_cancel(void **state)
{
    struct buf task = BUF_INIT;
    struct futured_call c;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, 4);
    assert_false(is_readable(c.cancel_fd));
    attempt_cancel(&c, 77);
    assert_true(attempt_host.cancelled(&c));
    assert_true(is_readable(c.cancel_fd));
    assert_int_equal(atomic_load(&c.grace_ns), 77);
    attempt_end(&c);
    begin(&c, &task, 4);
    assert_false(attempt_host.cancelled(&c));
    assert_false(is_readable(c.cancel_fd));
    attempt_end(&c);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_large_memory_is_given_back(void **state)
{
    struct buf task = BUF_INIT;
    struct futured_call c;

    assert_int_equal(attempt_init(&c, NULL), 0);
    begin(&c, &task, SIZE_MAX / 2);
    assert_non_null(attempt_host.reserve_result(&c, 2 * (size_t)ATTEMPT_KEEP_BYTES));
    attempt_end(&c);
    assert_true(c.result.cap <= ATTEMPT_KEEP_BYTES);
    attempt_deinit(&c);
    buf_deinit(&task);
}

static void test_without_memory(void **state)
{
    const struct futured_host *h = &attempt_host;
    struct buf task = BUF_INIT;
    struct futured_call c;

    make_task(&task);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r;

        assert_int_equal(attempt_init(&c, NULL), 0);
        begin(&c, &task, 100000);
        r = h->set_result(&c, "result", 6);
        (void)h->label(&c, "color");
        (void)h->content_type(&c);
        assert_true(r == 0 ? !c.has_failed : c.has_failed);
        if (r < 0)
            assert_true(span_eq(c.failure.type, SPAN_LIT("NO_MEMORY")));
        (h->fail)(&c, "T", "message");
        assert_true(c.has_failed);
        attempt_end(&c);
        attempt_deinit(&c);
    }
    buf_deinit(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_upstreams),
            cmocka_unit_test(test_what_was_asked),
            cmocka_unit_test(test_nothing_was_said),
            cmocka_unit_test(test_malformed_task),
            cmocka_unit_test(test_results),
            cmocka_unit_test(test_result_limit),
            cmocka_unit_test(test_content_type),
            cmocka_unit_test(test_failures),
            cmocka_unit_test(test_long_texts_are_cut),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_large_memory_is_given_back),
            cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
