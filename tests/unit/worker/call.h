// SPDX-License-Identifier: Apache-2.0
#pragma once
/* For the tests that run functions: one attempt with an argument, run by a given function or command. */
#include "tests/support/testing.h"
#include "worker/functions.h"

struct test_call {
    struct futured_call call;
    struct buf task;
};

static inline void test_call_init(struct test_call *t)
{
    t->task = BUF_INIT;
    assert_int_equal(attempt_init(&t->call, NULL), 0);
}

static inline void test_call_deinit(struct test_call *t)
{
    attempt_end(&t->call);
    attempt_deinit(&t->call);
    buf_deinit(&t->task);
}

/* test_call_begin: a new attempt; @labels: key and value in turn, NULL at the end; may be NULL. */
static inline void test_call_begin(struct test_call *t, struct span argument, const char *const *labels,
                                   size_t max_result)
{
    struct lease_ref lease = {.id = id_make(UINT64_C(0x18f000000000001), 1), .attempt = 2, .epoch = 7};
    struct writer w = writer_to(&t->task);

    attempt_end(&t->call);
    buf_clear(&t->task);
    writer_text(&w, TASK_FUNCTION, "f");
    writer_bytes_always(&w, TASK_ARGUMENT, argument);
    writer_text(&w, TASK_CONTENT_TYPE, "text/plain");
    for (; labels && *labels; labels += 2) {
        struct writer_mark m = writer_begin(&w, TASK_LABELS, 100);

        writer_text(&w, 1, labels[0]);
        writer_text(&w, 2, labels[1]);
        writer_end(&w, m);
    }
    assert_int_equal(w.failed, 0);
    assert_int_equal(attempt_begin(&t->call, &lease, (struct span){buf_head(&t->task), buf_len(&t->task)},
                                   SPAN_LIT("group 1"), (struct span){0}, max_result),
                     0);
    t->call.function = "f";
}

static inline void test_call_expect(const struct test_call *t, const char *expected)
{
    struct span s = attempt_result(&t->call);

    if (t->call.has_failed)
        fail_msg("failed: %s: %.*s", t->call.failure.reason, (int)t->call.failure.message.len,
                 (const char *)t->call.failure.message.p);
    if (!span_eq(s, span_of_string(expected)))
        fail_msg("answered <%.*s>, not <%s>", (int)s.len, (const char *)s.p, expected);
}

/* test_call_expect_failure: @type "" is none; @message is part of what is said. */
static inline void test_call_expect_failure(const struct test_call *t, const char *reason, int code,
                                            const char *type, const char *message)
{
    const struct answer_failure *f = &t->call.failure;
    char text[1024];

    if (!t->call.has_failed)
        fail_msg("did not fail, but answered %zu bytes", t->call.n_result);
    snprintf(text, sizeof text, "%.*s", (int)f->message.len,
             f->message.len ? (const char *)f->message.p : "");
    assert_string_equal(f->reason, reason);
    assert_int_equal(f->code, code);
    if (!span_eq(f->type, span_of_string(type)))
        fail_msg("type <%.*s>, not <%s>", (int)f->type.len, (const char *)f->type.p, type);
    if (!strstr(text, message))
        fail_msg("<%s> does not say <%s>", text, message);
}
