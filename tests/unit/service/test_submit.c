// SPDX-License-Identifier: Apache-2.0
/* Submit and SubmitStream: what is accepted and as what, what is refused and why, and a client that does not read. */
#include "tests/unit/service/harness.h"

static Futured__V1__SubmitResponse *response(const struct harness *h, const struct loopback_call *c, size_t i)
{
    return harness_message(h, c, i, &futured__v1__submit_response__descriptor);
}

static const Futured__V1__Future *future_of(const Futured__V1__SubmitResponse *r)
{
    assert_int_equal(r->answer_case, FUTURED__V1__SUBMIT_RESPONSE__ANSWER_FUTURE);
    return r->future;
}

static void test_accepted(void **state)
{
    Futured__V1__SubmitResponse *r;
    const Futured__V1__Future *f;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Submit",
                  "task { function: 'echo' argument: 'abc' content_type: 'text/plain' labels { key: 'a' "
                  "value: 'b' } options { priority: 5 retention { seconds: 9 } on_lost: ON_LOST_FAIL } } "
                  "group: 'g' tag: 't'");
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    r = response(&h, &c, 0);
    f = future_of(r);
    assert_string_equal(r->tag, "t");
    assert_false(r->joined);
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_PENDING);
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_READY);
    assert_string_equal(f->task->function, "echo");
    assert_int_equal(f->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET); /* BASIC */
    assert_int_equal(f->argument_size_bytes, 3);
    assert_string_equal(f->task->content_type, "text/plain");
    assert_int_equal(f->n_labels, 1);
    assert_string_equal(f->group, "g");
    assert_string_equal(f->tag, "t");
    assert_string_equal(f->submitter->peer, "loopback");
    assert_string_equal(f->submitter->principal, "");
    assert_true(f->submit_time->seconds * NS_PER_S == h.wall);
    assert_int_equal(f->effective_options->durability, FUTURED__V1__DURABILITY__DURABILITY_EPHEMERAL);
    assert_int_equal(f->effective_options->priority, 5);
    assert_int_equal(f->effective_options->on_lost, FUTURED__V1__ON_LOST__ON_LOST_FAIL);
    assert_int_equal(f->effective_options->retention->seconds, 9);
    assert_false(f->omitted);
    assert_true(f->revision > 0);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_views(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    for (int view = 0; view <= 4; view++) {
        Futured__V1__SubmitResponse *r;
        struct loopback_call c;

        harness_unary(&h, &c, "Submit", "task { function: 'echo' argument: 'abc' } view: %d", view);
        r = response(&h, &c, 0);
        assert_int_equal(future_of(r)->task != NULL, view != 1);
        if (future_of(r)->task)
            assert_int_equal(future_of(r)->task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT, view >= 3);
        harness_free(r);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* The longest and the most that is allowed. */
static void test_limits(void **state)
{
    static const char *const requests[] = {
            "task { function: 'echo' content_type: x255 } tag: x255 group: x255",
            "task { function: 'echo' 64 * labels { key: 'k$' value: x1024 } }",
            "task { function: 'echo' labels { key: x63 } }",
            "task { function: 'echo' labels { key: 'A.b_c/d-9' value: 'any thing, é' } }",
            "task { function: 'echo' options { delay {} attempt_timeout {} retention {} } }",
            "task { function: 'echo' options { priority: 2147483647 key_policy: 4 depend_policy: 3 } }",
            "task { function: 'echo' options { priority: -2147483648 durability: DURABILITY_EPHEMERAL } }",
            "task { function: 'echo' @77: 'unknown' } @88: 5",
    };
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        harness_submit(&h, "%s", requests[i]);
    harness_deinit(&h);
}

static void test_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Submit", "", "", harness_bad_submits, harness_n_bad_submits);
    assert_int_equal(engine_stats(h.engine).n_futures, 0); /* nothing is left of any of them */
    harness_deinit(&h);
}

static void test_malformed(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "Submit");
    loopback_send(&c, "\x0a", 1);
    loopback_half_close(&c);
    harness_settle(&h);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_unknown_function_accepted(void **state)
{
    const struct harness_options options = {.accept_unknown_functions = 1};
    struct harness_id id;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'not-yet' }");
    assert_int_equal(future_pending_reason(harness_find(&h, id.text)), PENDING_NO_WORKER);
    harness_deinit(&h);
}

static void test_full(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    struct loopback_call c;
    struct harness h;

    options.limits.max_futures = 3;
    harness_init(&h, &options);
    for (int i = 0; i < 3; i++)
        harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Submit", "task { function: 'echo' }");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_FUTURES", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);

    options.limits.max_futures = 1000;
    options.limits.max_memory_bytes = 100000;
    harness_init(&h, &options);
    harness_submit(&h, "task { function: 'echo' argument: x80000 }");
    harness_unary(&h, &c, "Submit", "task { function: 'echo' argument: x80000 }");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_draining(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    futures_drain(h.futures, 1);
    harness_unary(&h, &c, "Submit", "task { function: 'echo' }");
    harness_expect(&c, GRPC_UNAVAILABLE, "DRAINING", NULL);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Get", "id: '%s'", id.text); /* reads go on */
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* An answer that would exceed max_message is cut: the argument goes first. */
static void test_too_large_to_show(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    static const struct {
        int view, has_argument, is_omitted;
    } cases[] = {{4, 0, 1}, {3, 0, 1}, {2, 0, 0}, {1, 0, 0}};
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Futured__V1__SubmitResponse *r;
        struct loopback_call c;

        harness_unary(&h, &c, "Submit", "task { function: 'echo' argument: x65000 } tag: x255 view: %d",
                      cases[i].view);
        r = response(&h, &c, 0); /* which asserts that it fits */
        assert_int_equal(future_of(r)->omitted, cases[i].is_omitted);
        if (future_of(r)->task)
            assert_int_equal(future_of(r)->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
        harness_free(r);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* What is in the task beside the argument may fill a message too. */
static void test_nothing_but_least_fits(void **state)
{
    const struct harness_options options = {.max_message_bytes = 8192};
    Futured__V1__SubmitResponse *r;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    harness_unary(&h, &c, "Submit", "task { function: 'echo' @99: x8100 }");
    r = response(&h, &c, 0);
    assert_true(future_of(r)->omitted);
    assert_null(future_of(r)->task);
    assert_int_equal(future_of(r)->state, FUTURED__V1__STATE__STATE_PENDING);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- trace context */

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_traceparent(void **state)
{
    static const struct {
        const char *header;
        int is_kept;
    } cases[] = {
            {TRACE, 1},
            {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 1},
            {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", 1},
            {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01later", 0},
            {TRACE "-more", 0},
            {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0},
            {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", 0},
            {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", 0},
            {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", 0},
            {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", 0},
            {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0},
            {"", 0},
            {"nonsense", 0},
    };
    static const char *const methods[] = {"Submit", "SubmitStream", "Run", "RunStream"};
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(methods); i++) {
        const char *header = cases[i / ARRAY_LEN(methods)].header, *method = methods[i % ARRAY_LEN(methods)];
        const struct h2_header metadata = {SPAN_LIT("traceparent"), span_of_string(header)};
        const struct grpc_client_call_options options = {.metadata = &metadata, .n_metadata = 1};
        const struct future *f;
        struct loopback_call c;
        uint64_t last = 0;
        uint32_t budget = 10;
        char path[64];

        snprintf(path, sizeof path, "/futured.v1.Futures/%s", method);
        loopback_call_with(&h.lo, &c, path, &options);
        harness_send(&c, method,
                     i % ARRAY_LEN(methods) < 2 ? "task { function: 'echo' }"
                                                : "submit { task { function: 'echo' } }");
        loopback_half_close(&c);
        harness_settle(&h);
        f = engine_next(h.engine, engine_scope(h.engine, (struct span){0}, (struct span){0}), UINT64_MAX, 1,
                        &budget, &last);
        assert_non_null(f);
        if (cases[i / ARRAY_LEN(methods)].is_kept) {
            assert_non_null(f->rare);
            assert_true(span_eq(SPAN_OF_BYTES(f->rare->traceparent), span_of_string(header)));
        } else {
            assert_true(!f->rare || !f->rare->traceparent);
        }
        if (!c.is_done) {
            grpc_client_call_cancel(c.call);
            harness_settle(&h);
        }
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* --- SubmitStream */

static void test_stream(void **state)
{
    struct loopback_call c;
    struct harness h;
    char last[ID_TEXT_LEN + 1] = "";

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    for (int i = 0; i < 300; i++) {
        if (i % 4 == 0)
            harness_send(&c, "SubmitStream", "task { function: 'echo' } tag: '%d'", i);
        else if (i % 4 == 1)
            harness_send(&c, "SubmitStream", "task { function: 'no-such' } tag: '%d'", i);
        else if (i % 4 == 2)
            harness_send(&c, "SubmitStream", "task { function: 'echo' } tag: '%d' view: VIEW_RESULT", i);
        else
            harness_send(&c, "SubmitStream", "task { function: 'echo' labels { key: ' ' } } tag: '%d'", i);
        if (i % 7 == 0)
            harness_settle(&h);
    }
    harness_settle(&h);
    assert_int_equal(c.n_messages, 300);
    assert_false(c.is_done);
    for (int i = 0; i < 300; i++) {
        Futured__V1__SubmitResponse *r = response(&h, &c, (size_t)i);
        char tag[16];

        snprintf(tag, sizeof tag, "%d", i);
        assert_string_equal(r->tag, tag); /* in order */
        if (i % 2 == 0) {
            assert_true(strcmp(future_of(r)->id, last) > 0); /* IDs in the order of acceptance */
            memcpy(last, future_of(r)->id, sizeof last);
            assert_int_equal(future_of(r)->task != NULL, i % 4 == 0);
        } else {
            assert_int_equal(r->answer_case, FUTURED__V1__SUBMIT_RESPONSE__ANSWER_STATUS);
            assert_int_equal(r->status->code, i % 4 == 1 ? GRPC_FAILED_PRECONDITION : GRPC_INVALID_ARGUMENT);
            assert_true(strlen(r->status->message) > 0);
            assert_true(r->status->n_details > 0);
        }
        harness_free(r);
    }
    loopback_half_close(&c);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 300);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Each refusal of Submit is a status of its item here, with the same details, and the stream goes on. */
static void test_stream_refused(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    for (size_t i = 0; i < harness_n_bad_submits; i++)
        harness_send(&c, "SubmitStream", "%s", harness_bad_submits[i].request);
    loopback_send(&c, "\x0a", 1); /* not even a message */
    harness_send(&c, "SubmitStream", "task { function: 'echo' }");
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, harness_n_bad_submits + 2);
    for (size_t i = 0; i < harness_n_bad_submits; i++) {
        Futured__V1__SubmitResponse *r = response(&h, &c, i);
        struct grpc_status st;
        struct buf b;

        assert_int_equal(r->answer_case, FUTURED__V1__SUBMIT_RESPONSE__ANSWER_STATUS);
        b = judge_pack(&r->status->base);
        assert_int_equal(status_decode(judge_span(&b), &st), 0);
        assert_int_equal(st.code, harness_bad_submits[i].code);
        assert_string_equal(st.reason, harness_bad_submits[i].reason);
        if (harness_bad_submits[i].field)
            assert_string_equal(st.violations[0].field, harness_bad_submits[i].field);
        buf_deinit(&b);
        harness_free(r);
    }
    assert_int_equal(engine_stats(h.engine).n_futures, 1);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_stream_draining(void **state)
{
    Futured__V1__SubmitResponse *r;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    harness_send(&c, "SubmitStream", "task { function: 'echo' }");
    harness_settle(&h);
    futures_drain(h.futures, 1);
    harness_send(&c, "SubmitStream", "task { function: 'echo' } tag: 'late'");
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.status.code, GRPC_OK);
    r = response(&h, &c, 1);
    assert_int_equal(r->answer_case, FUTURED__V1__SUBMIT_RESPONSE__ANSWER_STATUS);
    assert_int_equal(r->status->code, GRPC_UNAVAILABLE);
    assert_string_equal(r->tag, "late");
    harness_free(r);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* A client that sends and does not read is credited until so many replies wait, and no further; once it reads it gets
 * every reply, in order. */
static void check_unread(const char *request, uint64_t n_sent, uint64_t n_most, size_t bytes_most)
{
    struct buf one = BUF_INIT;
    struct loopback_call c;
    struct harness h;
    uint64_t n_accepted;

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    harness_settle(&h);
    grpc_client_call_pause(c.call, 1);
    text_encode(&one, &futured__v1__submit_request__descriptor, "%s", request);
    for (uint64_t i = 0; i < n_sent; i++)
        loopback_send(&c, buf_head(&one), buf_len(&one));
    loopback_half_close(&c);
    harness_settle(&h);
    n_accepted = engine_stats(h.engine).n_accepted;
    assert_true(n_accepted < n_sent);         /* it was stopped ... */
    assert_true(n_accepted <= n_most + 8192); /* ... there; what the client's own window holds comes on top */
    assert_true(n_accepted > n_most / 2);
    assert_true(h2_session_pending_bytes(grpc_conn_session(h.lo.conn)) <= bytes_most);
    assert_int_equal(c.n_messages, 0);

    grpc_client_call_pause(c.call, 0);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, n_sent);
    assert_int_equal(engine_stats(h.engine).n_accepted, n_sent);
    buf_deinit(&one);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_unread_replies(void **state)
{
    check_unread("task { function: 'echo' } view: VIEW_RESULT", 120000, LIMIT_STREAM_UNREAD_REPLIES,
                 LIMIT_STREAM_UNREAD_BYTES);
}

static void test_unread_bytes(void **state)
{
    check_unread("task { function: 'echo' labels { key: 'k' value: x1000 } }", 12000,
                 LIMIT_STREAM_UNREAD_BYTES / 2200, LIMIT_STREAM_UNREAD_BYTES + 65536);
}

/* --- no memory */

static void submit_without_memory(struct harness *h, struct loopback_call *c)
{
    const struct h2_header metadata = {SPAN_LIT("traceparent"), SPAN_LIT(TRACE)};
    const struct grpc_client_call_options options = {.metadata = &metadata, .n_metadata = 1};

    harness_init(h, NULL);
    harness_arm(h);
    loopback_call_with(&h->lo, c, "/futured.v1.Futures/Submit", &options);
    harness_send(c, "Submit",
                 "task { function: 'echo' argument: 'x' options { retention { seconds: 5 } } } "
                 "group: 'g' tag: 't'");
    loopback_half_close(c);
    harness_settle(h);
}

static void stream_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_call(h, c, "SubmitStream");
    harness_arm(h);
    for (int i = 0; i < 5; i++)
        harness_send(c, "SubmitStream", "task { function: 'echo' argument: x3000 } tag: '%d'", i);
    loopback_half_close(c);
    harness_settle(h);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(submit_without_memory, 8);
    harness_fail_allocations(stream_without_memory, 5);
}

/* What was accepted once joins, however late it is sent again; a new one that could not start before its deadline is refused. */
static void test_key_joins_late(void **state)
{
    Futured__V1__SubmitResponse *r;
    struct loopback_call c;
    struct harness_id id;
    struct harness h;
    char task[256];

    harness_init(&h, NULL);
    snprintf(task, sizeof task,
             "function: 'echo' options { delay { seconds: 10 } deadline { seconds: %lld } idempotency_key: ",
             (long long)(h.wall / NS_PER_S + 15));
    id = harness_submit(&h, "task { %s 'k' } }", task);
    harness_advance(&h, 8 * NS_PER_S);
    harness_unary(&h, &c, "Submit", "task { %s 'k' } }", task);
    r = response(&h, &c, 0);
    assert_string_equal(future_of(r)->id, id.text);
    assert_true(r->joined);
    harness_free(r);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Submit", "task { %s 'other' } }", task);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "task.options.deadline");
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* The same key and the same task: one future, and every method says so. */
static void test_key_joins(void **state)
{
    static const char *const request =
            "task { function: 'echo' argument: 'a' options { idempotency_key: 'k' } }";
    Futured__V1__SubmitResponse *r;
    Futured__V1__Future *got;
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "%s", request);
    harness_unary(&h, &c, "Submit", "%s tag: 't'", request);
    r = response(&h, &c, 0);
    assert_string_equal(future_of(r)->id, id.text);
    assert_true(r->joined);
    assert_string_equal(r->tag, "t");
    assert_string_equal(future_of(r)->effective_options->idempotency_key, "k");
    harness_free(r);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Run", "submit { %s }", request);
    assert_false(c.is_done);
    harness_succeed(&h, id.text, "result");
    assert_true(c.is_done);
    got = harness_message(&h, &c, 0, &futured__v1__future__descriptor);
    assert_string_equal(got->id, id.text);
    harness_free(got);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Run", "submit { %s }", request); /* one that has ended */
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Get", "idempotency_key: 'k' view: VIEW_RESULT");
    got = harness_message(&h, &c, 0, &futured__v1__future__descriptor);
    assert_string_equal(got->id, id.text);
    harness_free(got);
    loopback_call_deinit(&c);
    assert_int_equal(engine_stats(h.engine).n_accepted, 1);
    harness_deinit(&h);
}

static void test_key_refuses(void **state)
{
    static const struct {
        const char *request, *reason;
    } cases[] = {
            {"task { function: 'echo' argument: 'b' options { idempotency_key: 'k' } }",
             "KEY_OF_ANOTHER_TASK"},
            {"task { function: 'sleep' argument: 'a' options { idempotency_key: 'k' } }",
             "KEY_OF_ANOTHER_TASK"},
            {"task { function: 'echo' argument: 'a' content_type: 'x' options { idempotency_key: 'k' } }",
             "KEY_OF_ANOTHER_TASK"},
            {"task { function: 'echo' argument: 'a' options { idempotency_key: 'k' key_policy: "
             "KEY_POLICY_REJECT } }",
             "KEY_IN_USE"},
    };
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' options { idempotency_key: 'k' } }");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct loopback_call c;

        harness_unary(&h, &c, "Submit", "%s", cases[i].request);
        harness_expect(&c, GRPC_ALREADY_EXISTS, cases[i].reason, NULL);
        assert_non_null(strstr(c.status.message, id.text));
        loopback_call_deinit(&c);
        harness_unary(&h, &c, "Run", "submit { %s }", cases[i].request);
        harness_expect(&c, GRPC_ALREADY_EXISTS, cases[i].reason, NULL);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* The same future, until 10 minutes after its end. */
static void test_request_id_joins(void **state)
{
    Futured__V1__SubmitResponse *r;
    struct loopback_call c;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' } request_id: 'r'");
    for (int i = 0; i < 3; i++) {
        harness_unary(&h, &c, "Submit", "task { function: 'echo' } request_id: 'r'");
        r = response(&h, &c, 0);
        assert_int_equal(strcmp(future_of(r)->id, id.text) == 0, i < 2);
        assert_int_equal(r->joined, i < 2);
        harness_free(r);
        loopback_call_deinit(&c);
        if (i == 1) {
            harness_unary(&h, &c, "Cancel", "id: '%s'", id.text);
            loopback_call_deinit(&c);
        }
        harness_advance(&h, 300 * NS_PER_S);
        harness_advance(&h, 300 * NS_PER_S);
    }
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_accepted),
            cmocka_unit_test(test_views),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_malformed),
            cmocka_unit_test(test_unknown_function_accepted),
            cmocka_unit_test(test_full),
            cmocka_unit_test(test_draining),
            cmocka_unit_test(test_too_large_to_show),
            cmocka_unit_test(test_nothing_but_least_fits),
            cmocka_unit_test(test_traceparent),
            cmocka_unit_test(test_stream),
            cmocka_unit_test(test_stream_refused),
            cmocka_unit_test(test_stream_draining),
            cmocka_unit_test(test_unread_replies),
            cmocka_unit_test(test_unread_bytes),
            cmocka_unit_test(test_no_memory),
            cmocka_unit_test(test_key_joins_late),
            cmocka_unit_test(test_key_joins),
            cmocka_unit_test(test_key_refuses),
            cmocka_unit_test(test_request_id_joins),
    };

    return cmocka_run_group_tests_name("service/submit", tests, NULL, NULL);
}
