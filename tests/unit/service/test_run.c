// SPDX-License-Identifier: Apache-2.0
/* Run and RunStream: the whole way of a task, what comes back and in which order, and clients that leave or do not read. */
#include "tests/unit/service/harness.h"

static Futured__V1__Future *future(const struct harness *h, const struct loopback_call *c)
{
    return harness_message(h, c, 0, &futured__v1__future__descriptor);
}

static Futured__V1__RunResponse *response(const struct harness *h, const struct loopback_call *c, size_t i)
{
    return harness_message(h, c, i, &futured__v1__run_response__descriptor);
}

/* The value of the initial metadata futured-id, which comes by itself when a Run lasts; "" when it has not come. */
static struct harness_id announced(struct harness *h, const struct loopback_call *c)
{
    static const char name[] = "futured-id: ";
    struct harness_id id = {""};
    char text[512];
    const char *at;

    harness_advance(h, NS_PER_MS);
    assert_true(buf_len(&c->headers) < sizeof text);
    if (buf_len(&c->headers))
        memcpy(text, buf_head(&c->headers), buf_len(&c->headers));
    text[buf_len(&c->headers)] = '\0';
    at = strstr(text, name);
    if (at)
        memcpy(id.text, at + strlen(name), ID_TEXT_LEN);
    return id;
}

static void leave(struct harness *h, struct loopback_call *c)
{
    grpc_client_call_cancel(c->call);
    harness_settle(h);
    assert_true(c->is_done);
    loopback_call_deinit(c);
}

/* --- Run */

static void test_result(void **state)
{
    Futured__V1__Future *f;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' argument: 'abc' } group: 'g' }");
    assert_false(c.is_done);
    id = announced(&h, &c); /* while it waits */
    assert_int_equal(strlen(id.text), ID_TEXT_LEN);
    harness_start(&h, id.text);
    assert_false(c.is_done);
    harness_succeed(&h, id.text, "the result");
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    f = future(&h, &c);
    assert_string_equal(f->id, id.text);
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_SUCCEEDED);
    assert_int_equal(f->result->data.len, 10);
    assert_memory_equal(f->result->data.data, "the result", 10);
    assert_int_equal(f->task->argument.len, 3); /* FULL */
    assert_int_equal(f->n_attempts, 1);
    harness_free(f);
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->n_pins, 0);
    harness_deinit(&h);
}

/* A task that ends at once has its ID in the initial metadata too; one that lasts within a millisecond. */
static void test_announced_late(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    assert_int_equal(buf_len(&c.headers), 0);
    harness_advance(&h, NS_PER_MS - 1);
    assert_int_equal(buf_len(&c.headers), 0);
    harness_advance(&h, 1);
    assert_int_not_equal(buf_len(&c.headers), 0);
    leave(&h, &c);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    leave(&h, &c);
    harness_advance(&h, NS_PER_S);
    harness_deinit(&h);
}

/* The error of a task is data; a cancelled one is an answer too. */
static void test_other_ends(void **state)
{
    Futured__V1__Future *f;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    harness_fail(&h, announced(&h, &c).text, "it did not work");
    assert_int_equal(c.status.code, GRPC_OK);
    f = future(&h, &c);
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_FAILED);
    assert_string_equal(f->error->message, "it did not work");
    harness_free(f);
    loopback_call_deinit(&c);

    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    harness_cancel(&h, announced(&h, &c).text);
    assert_int_equal(c.status.code, GRPC_OK);
    f = future(&h, &c);
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_CANCELLED);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_views(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    for (int view = 0; view <= 4; view++) {
        Futured__V1__Future *f;
        struct loopback_call c;

        harness_unary(&h, &c, "Run", "submit { task { function: 'echo' argument: 'abc' } view: %d }", view);
        harness_succeed(&h, announced(&h, &c).text, "r");
        f = future(&h, &c);
        assert_int_equal(f->task != NULL, view != 1);
        assert_int_equal(f->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 0 || view == 1 || view == 4);
        harness_free(f);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* With cancel_on_disconnect the task ends with its last waiter; and not when it is the daemon that goes. */
static void test_cancel_on_disconnect(void **state)
{
    for (int is_stopping = 0; is_stopping < 2; is_stopping++) {
        struct loopback_call c;
        struct harness_id id;
        struct harness h;

        harness_init(&h, NULL);
        harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } } cancel_on_disconnect: true");
        harness_advance(&h, NS_PER_S);
        id = announced(&h, &c);
        harness_start(&h, id.text);
        if (is_stopping) {
            futures_shutdown(h.futures);
            harness_settle(&h);
            loopback_call_deinit(&c);
        } else {
            leave(&h, &c);
        }
        harness_settle(&h);
        assert_int_equal(harness_find(&h, id.text)->state, FUTURE_RUNNING); /* until the attempt has ended */
        assert_int_equal(harness_find(&h, id.text)->lease->stop, is_stopping ? STOP_NOT : STOP_CANCELLED);
        harness_deinit(&h);
    }
}

/* The submission that makes a future says it: one that joins by the key changes nothing of that. */
static void test_cancel_on_disconnect_and_joining(void **state)
{
    for (int is_said = 0; is_said < 2; is_said++) {
        struct loopback_call c[2];
        struct harness_id id;
        struct harness h;

        harness_init(&h, NULL);
        for (int i = 0; i < 2; i++)
            harness_unary(&h, &c[i], "Run",
                          "submit { task { function: 'echo' options { idempotency_key: 'k' } } } "
                          "cancel_on_disconnect: %s",
                          i != is_said ? "true" : "false");
        harness_advance(&h, NS_PER_S);
        id = announced(&h, &c[1]);
        harness_start(&h, id.text);
        leave(&h, &c[0]);
        assert_int_equal(harness_find(&h, id.text)->lease->stop, STOP_NOT); /* one waits still */
        leave(&h, &c[1]);
        harness_settle(&h);
        assert_int_equal(harness_find(&h, id.text)->lease->stop, is_said ? STOP_CANCELLED : STOP_NOT);
        harness_deinit(&h);
    }
}

static const struct harness_refusal bad_runs[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "submit"},
        {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "submit"},
        {"submit {} submit {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "submit"},
        {"submit {} @2: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "cancel_on_disconnect"},
        {"submit {} @3: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "announce"},
};

static void test_refused(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Run", "submit { ", " }", harness_bad_submits, harness_n_bad_submits);
    harness_refused(&h, "Run", "", "", bad_runs, ARRAY_LEN(bad_runs));
    assert_int_equal(engine_stats(h.engine).n_futures, 0);
    futures_drain(h.futures, 1);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    harness_expect(&c, GRPC_UNAVAILABLE, "DRAINING", NULL);
    assert_string_equal(announced(&h, &c).text, "");
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* The client goes: the task goes on, and nobody waits for it any more. */
static void test_client_leaves(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' } }");
    id = announced(&h, &c);
    harness_start(&h, id.text);
    leave(&h, &c);
    assert_int_equal(harness_find(&h, id.text)->n_pins, 0);
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_RUNNING);
    harness_succeed(&h, id.text, "r");
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_SUCCEEDED);
    harness_deinit(&h);
}

static void test_connection_lost(void **state)
{
    struct loopback other;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_connect(&h, &other);
    loopback_call(&other, &c, "/futured.v1.Futures/Run", 0);
    harness_send(&c, "Run", "submit { task { function: 'echo' } }");
    loopback_half_close(&c);
    harness_settle(&h);
    id = announced(&h, &c);
    harness_start(&h, id.text);
    harness_disconnect(&h, &other);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    harness_succeed(&h, id.text, "r");
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_deadline(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    loopback_call(&h.lo, &c, "/futured.v1.Futures/Run", NS_PER_S);
    harness_send(&c, "Run", "submit { task { function: 'echo' } }");
    loopback_half_close(&c);
    harness_settle(&h);
    id = announced(&h, &c);
    harness_advance(&h, 2 * NS_PER_S);
    assert_int_equal(c.status.code, GRPC_DEADLINE_EXCEEDED);
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->state,
                     FUTURE_PENDING); /* the deadline of the call is not the task's */
    assert_int_equal(harness_find(&h, id.text)->n_pins, 0);
    harness_deinit(&h);
}

static void test_shutdown(void **state)
{
    struct loopback_call run, stream;
    struct harness h;

    harness_init(&h, NULL);
    harness_unary(&h, &run, "Run", "submit { task { function: 'echo' } }");
    harness_call(&h, &stream, "RunStream");
    harness_send(&stream, "RunStream", "submit { task { function: 'echo' } }");
    harness_settle(&h);
    futures_shutdown(h.futures);
    harness_settle(&h);
    assert_int_equal(run.n_messages, 0);
    harness_expect(&run, GRPC_UNAVAILABLE, "STOPPING", NULL);
    harness_expect(&stream, GRPC_UNAVAILABLE, "STOPPING", NULL);
    loopback_call_deinit(&run);
    loopback_call_deinit(&stream);
    harness_deinit(&h);
}

/* No room for another waiter: decided before anything is accepted. */
static void test_full_edges(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    struct loopback_call c[3];
    struct harness h;

    options.limits.max_waiter_edges = 2;
    harness_init(&h, &options);
    for (int i = 0; i < 3; i++)
        harness_unary(&h, &c[i], "Run", "submit { task { function: 'echo' } }");
    harness_expect(&c[2], GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", NULL);
    assert_int_equal(engine_stats(h.engine).n_futures, 2);
    loopback_call_deinit(&c[2]);
    leave(&h, &c[0]);
    harness_unary(&h, &c[2], "Run", "submit { task { function: 'echo' } }"); /* there is room again */
    assert_false(c[2].is_done);
    leave(&h, &c[1]);
    leave(&h, &c[2]);
    harness_deinit(&h);
}

/* Argument and result together exceed a message: the argument is left out first. */
static void test_too_large_together(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    Futured__V1__Future *f;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' argument: x40000 } }");
    harness_succeed_bytes(&h, announced(&h, &c).text, 40000);
    f = future(&h, &c);
    assert_true(f->omitted);
    assert_int_equal(f->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
    assert_int_equal(f->argument_size_bytes, 40000);
    assert_int_equal(f->result->data.len, 40000);
    harness_free(f);
    loopback_call_deinit(&c);

    harness_unary(&h, &c, "Run", "submit { task { function: 'echo' argument: x40000 } }");
    harness_succeed_bytes(&h, announced(&h, &c).text, 65000);
    f = future(&h, &c);
    assert_true(f->omitted);
    assert_int_equal(f->result->content_case, FUTURED__V1__RESULT__CONTENT__NOT_SET);
    assert_int_equal(f->result->size_bytes, 65000);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- RunStream */

/* Submit @n items tagged 0..n-1 on a new stream; their IDs. */
static void run_items(struct harness *h, struct loopback_call *c, struct harness_id *ids, int n)
{
    harness_call(h, c, "RunStream");
    for (int i = 0; i < n; i++)
        harness_send(c, "RunStream", "submit { task { function: 'echo' } tag: '%d' } announce: true", i);
    harness_settle(h);
    assert_int_equal(c->n_messages, n);
    for (int i = 0; i < n; i++) {
        Futured__V1__RunResponse *r = response(h, c, (size_t)i);
        char tag[16];

        snprintf(tag, sizeof tag, "%d", i);
        assert_string_equal(r->tag, tag);
        assert_int_equal(r->answer_case, FUTURED__V1__RUN_RESPONSE__ANSWER_ACCEPTED);
        assert_int_equal(r->accepted->state, FUTURED__V1__STATE__STATE_PENDING);
        assert_int_equal(r->accepted->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET); /* BASIC */
        memcpy(ids[i].text, r->accepted->id, sizeof ids[i].text);
        harness_free(r);
    }
}

static void test_completion_order(void **state)
{
    static const int order[] = {3, 0, 4, 1, 2};
    struct harness_id ids[5];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    run_items(&h, &c, ids, 5);
    for (size_t i = 0; i < 5; i++) {
        Futured__V1__RunResponse *r;
        char tag[16];

        if (i == 3)
            loopback_half_close(&c);
        if (i == 1)
            harness_fail(&h, ids[order[i]].text, "failed");
        else if (i == 2)
            harness_cancel(&h, ids[order[i]].text);
        else
            harness_succeed(&h, ids[order[i]].text, "r");
        assert_int_equal(c.n_messages, 5 + i + 1); /* each at once */
        r = response(&h, &c, 5 + i);
        snprintf(tag, sizeof tag, "%d", order[i]);
        assert_string_equal(r->tag, tag);
        assert_int_equal(r->answer_case, FUTURED__V1__RUN_RESPONSE__ANSWER_FINISHED);
        assert_string_equal(r->finished->id, ids[order[i]].text);
        assert_int_equal(r->finished->state, i == 1   ? FUTURED__V1__STATE__STATE_FAILED
                                             : i == 2 ? FUTURED__V1__STATE__STATE_CANCELLED
                                                      : FUTURED__V1__STATE__STATE_SUCCEEDED);
        harness_free(r);
    }
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_nothing_asked(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "RunStream");
    loopback_half_close(&c);
    harness_settle(&h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 0);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_item_views(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "RunStream");
    for (int view = 0; view <= 4; view++) {
        Futured__V1__RunResponse *accepted, *finished;

        harness_send(&c, "RunStream",
                     "submit { task { function: 'echo' argument: 'a' } view: %d } announce: true", view);
        harness_settle(&h);
        accepted = response(&h, &c, (size_t)view * 2);
        harness_succeed(&h, accepted->accepted->id, "r");
        finished = response(&h, &c, (size_t)view * 2 + 1);
        assert_int_equal(finished->finished->task != NULL, view != 1);
        assert_int_equal(finished->finished->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 0 || view == 1 || view == 4);
        harness_free(accepted);
        harness_free(finished);
    }
    leave(&h, &c);
    harness_deinit(&h);
}

/* A bad item costs its own status. */
static void test_bad_items(void **state)
{
    size_t n_bad = harness_n_bad_submits + ARRAY_LEN(bad_runs);
    Futured__V1__RunResponse *r;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "RunStream");
    for (size_t i = 0; i < n_bad; i++) {
        const struct harness_refusal *bad =
                i < harness_n_bad_submits ? &harness_bad_submits[i] : &bad_runs[i - harness_n_bad_submits];
        struct grpc_status st;
        struct buf b;

        harness_send(&c, "RunStream", i < harness_n_bad_submits ? "submit { %s } announce: true" : "%s",
                     bad->request);
        harness_settle(&h);
        assert_int_equal(c.n_messages, i + 1);
        r = response(&h, &c, i);
        assert_int_equal(r->answer_case, FUTURED__V1__RUN_RESPONSE__ANSWER_STATUS);
        b = judge_pack(&r->status->base);
        assert_int_equal(status_decode(judge_span(&b), &st), 0);
        assert_int_equal(st.code, bad->code);
        assert_string_equal(st.reason, bad->reason);
        buf_deinit(&b);
        harness_free(r);
    }
    harness_send(&c, "RunStream", "submit { task { function: 'echo' options { on_lost: 9 } } tag: 'mine' }");
    harness_settle(&h);
    r = response(&h, &c, n_bad);
    assert_string_equal(r->tag, "mine");
    harness_free(r);
    assert_int_equal(engine_stats(h.engine).n_futures, 0);
    loopback_half_close(&c);
    harness_settle(&h);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_stream_full_edges(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    Futured__V1__RunResponse *r;
    struct loopback_call c;
    struct harness h;

    options.limits.max_waiter_edges = 2;
    harness_init(&h, &options);
    harness_call(&h, &c, "RunStream");
    for (int i = 0; i < 3; i++)
        harness_send(&c, "RunStream", "submit { task { function: 'echo' } tag: '%d' }", i);
    harness_settle(&h);
    assert_int_equal(c.n_messages, 1);
    r = response(&h, &c, 0);
    assert_string_equal(r->tag, "2");
    assert_int_equal(r->answer_case, FUTURED__V1__RUN_RESPONSE__ANSWER_STATUS);
    assert_int_equal(r->status->code, GRPC_RESOURCE_EXHAUSTED);
    harness_free(r);
    assert_int_equal(engine_stats(h.engine).n_futures, 2);
    leave(&h, &c);
    harness_deinit(&h);
}

static void test_stream_left(void **state)
{
    struct harness_id ids[3];
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    run_items(&h, &c, ids, 3);
    harness_start(&h, ids[0].text);
    leave(&h, &c);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    for (int i = 0; i < 3; i++) /* what was accepted goes on */
        harness_succeed(&h, ids[i].text, "r");
    harness_deinit(&h);
}

/* Finish whatever is accepted. */
static void finish_all(struct harness *h)
{
    struct lease *leases[64];
    int n;

    while ((n = engine_claim(h->engine, h->worker, CLOCK_NEVER, ARRAY_LEN(leases), leases)) > 0)
        for (int i = 0; i < n; i++) {
            struct finish f = {.usage = {-1, -1, -1, -1}, .data = bytes_dup("r", 1)};

            assert_int_equal(engine_finish(h->engine, leases[i], &f), 0);
        }
    assert_int_equal(n, 0);
    harness_settle(h);
}

/* A client that sends and does not read: what has finished waits as finished futures, not as bytes, and from a number on
 * it is not credited. Once it reads it gets everything. */
static void test_unread(void **state)
{
    enum { N_FIRST = 100000, N_MORE = 30000 }; /* more than the limit and what the windows hold */
    struct buf one = BUF_INIT;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "RunStream");
    harness_settle(&h);
    grpc_client_call_pause(c.call, 1);
    text_encode(&one, &futured__v1__run_request__descriptor,
                "submit { task { function: 'echo' } view: VIEW_RESULT }");
    for (int i = 0; i < N_FIRST + N_MORE; i++) {
        loopback_send(&c, buf_head(&one), buf_len(&one));
        if (i == N_FIRST - 1) {
            harness_settle(&h);
            assert_int_equal(engine_stats(h.engine).n_accepted, N_FIRST); /* nothing waits to be read yet */
            finish_all(&h);
        }
    }
    loopback_half_close(&c);
    harness_settle(&h);
    finish_all(&h);
    assert_true(engine_stats(h.engine).n_accepted < N_FIRST + N_MORE / 2);
    assert_true(h2_session_pending_bytes(grpc_conn_session(h.lo.conn)) <= H2_STREAM_HIGH_BYTES + 4096);
    assert_int_equal(c.n_messages, 0);

    grpc_client_call_pause(c.call, 0);
    while (!c.is_done) {
        harness_settle(&h);
        finish_all(&h);
    }
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, N_FIRST + N_MORE);
    buf_deinit(&one);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* A stream that is stuck so for a minute ends RESOURCE_EXHAUSTED; what was accepted goes on. */
static void test_stuck(void **state)
{
    struct buf one = BUF_INIT;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "RunStream");
    harness_settle(&h);
    grpc_client_call_pause(c.call, 1);
    text_encode(&one, &futured__v1__run_request__descriptor,
                "submit { task { function: 'echo' labels { key: 'k' value: x1000 } } } announce: true");
    for (int i = 0; i < 8000; i++)
        loopback_send(&c, buf_head(&one), buf_len(&one));
    harness_settle(&h);
    assert_true(engine_stats(h.engine).n_edges > 0);
    harness_advance(&h, (LIMIT_STREAM_STUCK_S - 1) * NS_PER_S);
    assert_true(engine_stats(h.engine).n_edges > 0);
    harness_advance(&h, 2 * NS_PER_S);
    assert_int_equal(engine_stats(h.engine).n_edges, 0);
    assert_true(engine_stats(h.engine).n_futures > 0);
    if (!c.is_done) {
        grpc_client_call_pause(c.call, 0);
        harness_settle(&h);
    }
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_RESOURCE_EXHAUSTED);
    buf_deinit(&one);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- no memory */

static void run_without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id id;

    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Run", "submit { task { function: 'echo' argument: x3000 } tag: 't' }");
    id = announced(h, c);
    if (id.text[0] && !c->is_done)
        harness_succeed(h, id.text, "r");
}

static void run_stream_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_call(h, c, "RunStream");
    for (int i = 0; i < 3; i++)
        harness_send(c, "RunStream",
                     "submit { task { function: 'echo' argument: x3000 } tag: '%d' } announce: true", i);
    loopback_half_close(c);
    harness_settle(h);
    for (;;) {
        struct finish f = {.usage = {-1, -1, -1, -1}};
        struct lease *lease;

        if (engine_claim(h->engine, h->worker, CLOCK_NEVER, 1, &lease) != 1)
            break;
        f.data = bytes_dup("r", 1);
        assert_int_equal(engine_finish(h->engine, lease, &f), 0);
        harness_settle(h);
    }
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(run_without_memory, 8);
    harness_fail_allocations(run_stream_without_memory, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_result),
            cmocka_unit_test(test_announced_late),
            cmocka_unit_test(test_other_ends),
            cmocka_unit_test(test_views),
            cmocka_unit_test(test_cancel_on_disconnect),
            cmocka_unit_test(test_cancel_on_disconnect_and_joining),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_client_leaves),
            cmocka_unit_test(test_connection_lost),
            cmocka_unit_test(test_deadline),
            cmocka_unit_test(test_shutdown),
            cmocka_unit_test(test_full_edges),
            cmocka_unit_test(test_too_large_together),
            cmocka_unit_test(test_completion_order),
            cmocka_unit_test(test_nothing_asked),
            cmocka_unit_test(test_item_views),
            cmocka_unit_test(test_bad_items),
            cmocka_unit_test(test_stream_full_edges),
            cmocka_unit_test(test_stream_left),
            cmocka_unit_test(test_unread),
            cmocka_unit_test(test_stuck),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/run", tests, NULL, NULL);
}
