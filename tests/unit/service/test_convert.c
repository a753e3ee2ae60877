// SPDX-License-Identifier: Apache-2.0
/*
 * Futures in every state under every view, decoded by protobuf-c and compared field by field with the engine's record;
 * the bounds of their sizes; what is left out when a message has no room; and what becomes of the engine's refusals.
 */
#include "service/convert.h"
#include "tests/unit/service/harness.h"

#define FUTURE(m) ((const Futured__V1__Future *)(const void *)(m))

/* --- comparing */

static void expect_text(const char *got, struct span expected)
{
    assert_int_equal(strlen(got), expected.len);
    if (expected.len)
        assert_memory_equal(got, expected.p, expected.len);
}

static void expect_time(const Google__Protobuf__Timestamp *got, wall_ns_t expected)
{
    assert_int_equal(got != NULL, expected != 0);
    if (got) {
        assert_in_range(got->nanos, 0, 999999999);
        assert_true(got->seconds * NS_PER_S + got->nanos == expected);
    }
}

/* < 0: absent. */
static void expect_duration(const Google__Protobuf__Duration *got, int64_t expected)
{
    assert_int_equal(got != NULL, expected >= 0);
    if (got)
        assert_true(got->seconds * NS_PER_S + got->nanos == expected);
}

static void expect_error(const Futured__V1__Error *got, const struct future_error *expected)
{
    struct buf details = BUF_INIT;

    assert_non_null(got);
    assert_int_equal(got->code, expected->code);
    assert_string_equal(got->reason, future_reason_text(expected->reason));
    expect_text(got->type, expected->type);
    expect_text(got->message, expected->message);
    expect_text(got->traceback, expected->traceback);
    expect_text(got->function_reason, expected->function_reason);
    assert_int_equal(got->retryable, expected->retryable != 0);
    for (size_t i = 0; i < got->n_details; i++) {
        struct buf any = judge_pack(&got->details[i]->base);

        text_put_field(&details, ERROR_DETAILS, judge_span(&any));
        buf_deinit(&any);
    }
    assert_true(span_eq(judge_span(&details), expected->details));
    buf_deinit(&details);
}

static void expect_attempts(const Futured__V1__Future *m, const struct future *f)
{
    const struct attempt *a = f->attempts;

    for (size_t i = m->n_attempts; i > 0; i--, a = a->next) { /* ours: newest first */
        const Futured__V1__Attempt *got = m->attempts[i - 1];

        assert_non_null(a);
        assert_int_equal(got->number, a->number);
        expect_text(got->worker, SPAN_OF_BYTES(a->worker));
        expect_time(got->start_time, a->start_time);
        expect_time(got->end_time, a->end_time);
        assert_int_equal(got->error != NULL, a->error != NULL);
        if (a->error)
            expect_error(got->error, a->error);
        assert_int_equal(got->exit_code_presence_case != 0, a->has_exit_code);
        assert_int_equal(got->exit_code, a->exit_code);
        assert_int_equal(got->signal_presence_case != 0, a->has_signal);
        assert_int_equal(got->signal, a->signal);
        assert_int_equal(got->usage != NULL, a->end_time != 0);
        if (got->usage) {
            expect_duration(got->usage->user_cpu, a->usage.user_cpu_ns);
            expect_duration(got->usage->system_cpu, a->usage.system_cpu_ns);
            expect_duration(got->usage->wall, a->usage.wall_ns);
            assert_int_equal(got->usage->max_rss_bytes_presence_case != 0, a->usage.max_rss_bytes >= 0);
            if (a->usage.max_rss_bytes >= 0)
                assert_int_equal(got->usage->max_rss_bytes, a->usage.max_rss_bytes);
        }
    }
    assert_null(a);
}

/* The task: the bytes as they came, with or without the argument. */
static void expect_task(const Futured__V1__Future *m, const struct future *f, int with_argument)
{
    Futured__V1__Task *task = futured__v1__task__unpack(NULL, f->task->len, f->task->data);

    assert_non_null(m->task);
    assert_non_null(task);
    if (!with_argument && task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT) {
        free(task->argument.data);
        task->argument = (ProtobufCBinaryData){0};
        task->input_case = FUTURED__V1__TASK__INPUT__NOT_SET;
    }
    assert_true(judge_equal(&m->task->base, &task->base));
    futured__v1__task__free_unpacked(task, NULL);
}

static void expect_labels(const Futured__V1__Future *m, const struct future *f)
{
    if (f->labels) {
        assert_int_equal(m->n_labels, f->labels->n);
        for (size_t i = 0; i < m->n_labels; i++) {
            expect_text(m->labels[i]->key, f->labels->at[i].key);
            expect_text(m->labels[i]->value, f->labels->at[i].value);
        }
        return;
    }
    assert_int_equal(m->n_labels, m->task->n_labels);
    for (size_t i = 0; i < m->n_labels; i++) {
        assert_string_equal(m->labels[i]->key, m->task->labels[i]->key);
        assert_string_equal(m->labels[i]->value, m->task->labels[i]->value);
    }
}

static void expect_options(const Futured__V1__Future *m, const struct future *f)
{
    int64_t retention_ns = f->rare ? f->rare->retention_ns : -1;
    const Futured__V1__TaskOptions *o = m->effective_options;

    assert_non_null(o);
    assert_int_equal(o->durability, f->durability);
    assert_int_equal(o->priority, f->priority);
    assert_int_equal(o->on_lost, f->on_lost);
    assert_int_equal(o->retry->max_attempts, 1);
    expect_duration(o->retention, retention_ns);
    assert_non_null(m->schedule);
    assert_int_equal(m->schedule->priority, f->priority);
    expect_duration(m->schedule->retention, retention_ns);
    assert_null(m->schedule->not_before);
    assert_null(m->schedule->deadline);
}

static void expect_rare(const Futured__V1__Future *m, const struct future_rare *rare)
{
    const struct cancel_request *c = rare ? rare->cancel_requested : NULL;

    expect_text(m->traceparent, rare ? SPAN_OF_BYTES(rare->traceparent) : (struct span){0});
    expect_text(m->tag, rare ? SPAN_OF_BYTES(rare->tag) : (struct span){0});
    assert_int_equal(m->cancel_requested != NULL, c != NULL);
    if (c) {
        expect_time(m->cancel_requested->time, c->time);
        expect_text(m->cancel_requested->principal, SPAN_OF_BYTES(c->principal));
        expect_text(m->cancel_requested->reason, SPAN_OF_BYTES(c->reason));
    }
}

static void expect_outcome(const Futured__V1__Future *m, const struct future *f, int with_data)
{
    if (!f->outcome) {
        assert_int_equal(m->outcome_case, FUTURED__V1__FUTURE__OUTCOME__NOT_SET);
    } else if (f->outcome->error) {
        assert_int_equal(m->outcome_case, FUTURED__V1__FUTURE__OUTCOME_ERROR);
        expect_error(m->error, f->outcome->error);
    } else {
        assert_int_equal(m->outcome_case, FUTURED__V1__FUTURE__OUTCOME_RESULT);
        assert_int_equal(m->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA, with_data);
        if (with_data)
            assert_true(span_eq((struct span){m->result->data.data, m->result->data.len},
                                SPAN_OF_BYTES(f->outcome->data)));
        expect_text(m->result->content_type, SPAN_OF_BYTES(f->outcome->content_type));
        assert_int_equal(m->result->size_bytes, f->outcome->data->len);
    }
}

/* Everything that is in RESULT and nothing more. */
static void expect_rest_absent(const Futured__V1__Future *m)
{
    Futured__V1__Future less = FUTURED__V1__FUTURE__INIT;

    less.id = m->id;
    less.state = m->state;
    less.revision = m->revision;
    less.omitted = m->omitted;
    less.outcome_case = m->outcome_case;
    less.result = m->result;
    assert_true(judge_equal(&less.base, &m->base));
}

static void expect_rest(const Futured__V1__Future *m, const struct future *f, int with_argument)
{
    const struct attempt *first = f->attempts;

    while (first && first->next)
        first = first->next;
    expect_task(m, f, with_argument);
    assert_int_equal(m->pending_reason, future_pending_reason(f));
    expect_time(m->submit_time, f->submit_time);
    expect_time(m->start_time, first ? first->start_time : 0); /* the first attempt's */
    expect_time(m->end_time, future_end_time(f));
    expect_time(m->expire_time, future_expire_time(f));
    expect_attempts(m, f);
    expect_labels(m, f);
    expect_text(m->group, future_group(f));
    expect_text(m->namespace_, future_namespace(f));
    expect_options(m, f);
    assert_non_null(m->submitter);
    expect_text(m->submitter->principal, future_principal(f));
    expect_text(m->submitter->peer, SPAN_OF_BYTES(f->peer));
    assert_int_equal(m->argument_size_bytes, f->argument_bytes);
    expect_rare(m, f->rare);
    assert_null(m->progress);
    assert_string_equal(m->retry_of, "");
    assert_string_equal(m->retried_by, "");
}

/* @f under @v: decoded, compared, and within its bound. */
static void check_view(const struct future *f, struct convert_view v)
{
    struct buf b = BUF_INIT;
    struct writer w = writer_to(&b);
    Futured__V1__Future *m;
    char id[ID_TEXT_LEN + 1];
    int is_short = v.view == VIEW_RESULT && v.omitted;

    convert_future(&w, f, v);
    assert_int_equal(w.failed, 0);
    assert_true(buf_len(&b) <= convert_view_size(f, v));
    m = futured__v1__future__unpack(NULL, buf_len(&b), buf_head(&b));
    assert_non_null(m);
    assert_int_equal(m->base.n_unknown_fields, 0);
    id_format(&f->id, id);
    assert_string_equal(m->id, id);
    assert_int_equal(m->state, f->state);
    assert_int_equal(m->revision, f->revision);
    assert_int_equal(m->omitted, v.omitted);
    if (!is_short)
        expect_outcome(m, f, v.view == VIEW_RESULT || v.view == VIEW_FULL);
    if (v.view == VIEW_RESULT)
        expect_rest_absent(m);
    else
        expect_rest(m, f, v.view == VIEW_TASK || (v.view == VIEW_FULL && !v.omitted));
    futured__v1__future__free_unpacked(m, NULL);
    buf_deinit(&b);
}

/* The same as a nested field, with the size that convert_future_field guesses. */
static void check_field(const struct future *f, struct convert_view v)
{
    struct buf b = BUF_INIT, nested = BUF_INIT;
    struct writer w = writer_to(&b), wn = writer_to(&nested);
    struct wire_reader r;
    struct wire_field field;

    convert_future(&w, f, v);
    convert_future_field(&wn, 3, f, v);
    r = wire_reader(judge_span(&nested));
    assert_int_equal(wire_next(&r, &field), 0);
    assert_int_equal(field.number, 3);
    assert_true(r.at == r.end);
    assert_true(span_eq(field.bytes, judge_span(&b)));
    buf_deinit(&b);
    buf_deinit(&nested);
}

static void check(const struct harness *h, const char *id)
{
    static const struct convert_view views[] = {{VIEW_RESULT, 0}, {VIEW_BASIC, 0}, {VIEW_TASK, 0},
                                                {VIEW_FULL, 0},   {VIEW_FULL, 1},  {VIEW_BASIC, 1},
                                                {VIEW_RESULT, 1}};
    const struct future *f = harness_find(h, id);

    assert_non_null(f);
    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        check_view(f, views[i]);
        check_field(f, views[i]);
    }
}

/* --- the states */

#define RICH_TASK                                                                                    \
    "task { labels { key: 'a' value: 'é' } function: 'echo' argument: 'the argument' "              \
    "       content_type: 'text/plain' labels { key: 'b/c' } options { priority: -7 retention { "    \
    "seconds: 5 nanos: 1 } on_lost: ON_LOST_FAIL } @99: 'unknown fields stay' } group: 'the group' " \
    "tag: 'the tag'"

static void test_pending(void **state)
{
    struct harness h;
    struct harness_id id;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    assert_int_equal(future_pending_reason(harness_find(&h, id.text)), PENDING_READY);
    check(&h, id.text);
    id = harness_submit(&h, "task { function: 'unserved' argument: '' }");
    assert_int_equal(future_pending_reason(harness_find(&h, id.text)), PENDING_NO_WORKER);
    check(&h, id.text);
    id = harness_submit(&h, RICH_TASK);
    check(&h, id.text);
    harness_claim(&h, id.text); /* reserved is pending */
    check(&h, id.text);
    harness_deinit(&h);
}

static void test_running(void **state)
{
    struct harness h;
    struct harness_id id;

    harness_init(&h, NULL);
    id = harness_submit(&h, RICH_TASK);
    harness_advance(&h, 1234567);
    harness_start(&h, id.text);
    check(&h, id.text);
    harness_deinit(&h);
}

static void finish(struct harness *h, const char *id, struct finish *finish)
{
    struct lease *lease = harness_claim(h, id);

    assert_int_equal(engine_start(h->engine, lease, h->wall), 0);
    harness_advance(h, 5);
    assert_int_equal(engine_finish(h->engine, lease, finish), 0);
    harness_settle(h);
}

static void test_succeeded(void **state)
{
    static const struct usage usages[] = {{-1, -1, -1, -1}, {0, 0, 0, 0}, {1, -1, 3 * NS_PER_S, 4096}};
    static const size_t sizes[] = {0, 1, 127, 128, 20000, 100000};
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(usages) * ARRAY_LEN(sizes); i++) {
        struct finish f = {.usage = usages[i % ARRAY_LEN(usages)],
                           .data = bytes_new(sizes[i / ARRAY_LEN(usages)])};
        struct harness_id id = harness_submit(&h, RICH_TASK);

        assert_non_null(f.data);
        memset(f.data->data, 0xfe, f.data->len);
        if (i % 2)
            f.content_type = bytes_dup("application/x-result", 20);
        if (i % 4 == 0) {
            f.has_exit_code = 1; /* 0 is a value */
        }
        finish(&h, id.text, &f);
        check(&h, id.text);
    }
    harness_deinit(&h);
}

static void test_failed(void **state)
{
    struct future_error error = {
            .code = GRPC_ABORTED,
            .reason = REASON_MEMORY_LIMIT,
            .retryable = 1,
            .type = SPAN_LIT("ValueError"),
            .message = SPAN_LIT("what happened, in é"),
            .traceback = SPAN_LIT("at line 5\nat line 6\n"),
            .function_reason = SPAN_LIT("MINE"),
    };
    struct buf details = BUF_INIT;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    text_encode(&details, &futured__v1__error__descriptor,
                "details { type_url: 'x/y' value: #00ff } details { type_url: 'x/z' }");
    for (int i = 0; i < 2; i++) {
        struct finish f = {.usage = {-1, -1, -1, -1}, .has_signal = 1, .signal = 11};

        error.details = i ? judge_span(&details) : (struct span){0};
        f.error = future_error_new(&error);
        assert_non_null(f.error);
        id = harness_submit(&h, RICH_TASK);
        finish(&h, id.text, &f);
        assert_int_equal(harness_find(&h, id.text)->state, FUTURE_FAILED);
        check(&h, id.text);
    }
    harness_deinit(&h);
    buf_deinit(&details);
}

static void test_cancelled(void **state)
{
    struct harness h;
    struct harness_id id;

    harness_init(&h, NULL);
    id = harness_submit(&h, RICH_TASK);
    harness_cancel(&h, id.text);
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_CANCELLED);
    check(&h, id.text);

    id = harness_submit(&h, RICH_TASK); /* asked for, while it runs; then it ends with an error */
    harness_start(&h, id.text);
    assert_int_equal(engine_cancel(h.engine, harness_find(&h, id.text), harness_find(&h, id.text)->scope,
                                   SPAN_LIT("enough"), -1),
                     0);
    harness_settle(&h);
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_RUNNING);
    check(&h, id.text);
    harness_fail(&h, id.text, "ended");
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_CANCELLED);
    check(&h, id.text);
    harness_deinit(&h);
}

/* Several attempts: in order, and start_time is the first one's. */
static void test_lost(void **state)
{
    struct harness h;
    struct harness_id id;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: x300 }");
    for (int i = 0; i < 3; i++) {
        harness_advance(&h, NS_PER_S);
        harness_start(&h, id.text);
        harness_advance(&h, NS_PER_S);
        harness_lose(&h, id.text);
        assert_int_equal(harness_find(&h, id.text)->state, FUTURE_PENDING);
        check(&h, id.text);
    }
    harness_succeed(&h, id.text, "at last");
    check(&h, id.text);
    harness_deinit(&h);
}

static void test_annotated(void **state)
{
    struct harness h;
    struct harness_id id;
    struct loopback_call c;

    harness_init(&h, NULL);
    id = harness_submit(&h, RICH_TASK);
    harness_unary(&h, &c, "Annotate",
                  "id: '%s' remove_labels: 'a' 60 * set_labels { key: 'k$' value: x1024 }", id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->labels->n, 61);
    check(&h, id.text);
    harness_unary(&h, &c, "Annotate", "id: '%s' 60 * remove_labels: 'k$' remove_labels: 'b/c'", id.text);
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->labels->n, 0); /* none, and not those of the task */
    check(&h, id.text);
    harness_deinit(&h);
}

/* The argument at the front, in the middle, at the end of the task, empty, large. */
static void test_arguments(void **state)
{
    static const char *const tasks[] = {
            "task { argument: 'first' function: 'echo' }",
            "task { function: 'echo' argument: 'last' }",
            "task { function: 'echo' argument: 'middle' content_type: 'x' }",
            "task { function: 'echo' argument: '' }",
            "task { function: 'echo' argument: x70000 }",
            "task { function: 'echo' @100: 'behind' argument: x128 @1000: 7 }",
    };
    struct harness h;

    harness_init(&h, NULL);
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
        struct harness_id id = harness_submit(&h, "%s", tasks[i]);

        check(&h, id.text);
    }
    harness_deinit(&h);
}

/* Everything as long as it may be: the bound holds. */
static void test_longest(void **state)
{
    struct harness h;
    struct harness_id id;
    struct finish f = {.usage = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
                       .has_exit_code = 1,
                       .exit_code = INT32_MIN,
                       .has_signal = 1,
                       .signal = INT32_MIN};

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' content_type: x255 argument: x20000 64 * labels { "
                            "key: 'keykeykeykeykeykeykeykeykeykeykeykeykeykeykeykeykey$' value: x1024 } "
                            "options { priority: -2147483648 retention { seconds: 9000000000 nanos: "
                            "999999999 } } } group: x255 tag: x255");
    check(&h, id.text);
    harness_start(&h, id.text);
    {
        char reason[LIMIT_REASON_BYTES];

        memset(reason, 'r', sizeof reason);
        assert_int_equal(engine_cancel(h.engine, harness_find(&h, id.text), harness_find(&h, id.text)->scope,
                                       (struct span){(const uint8_t *)reason, sizeof reason}, -1),
                         0);
    }
    check(&h, id.text);
    f.data = bytes_new(100);
    f.content_type = bytes_new(LIMIT_CONTENT_TYPE_BYTES);
    memset(f.data->data, 'd', 100);
    memset(f.content_type->data, 'c', LIMIT_CONTENT_TYPE_BYTES);
    finish(&h, id.text, &f);
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_SUCCEEDED);
    check(&h, id.text);
    harness_deinit(&h);
}

/* --- what fits */

static void check_fit(const struct future *f, enum view view, size_t room)
{
    size_t full = convert_size(f, VIEW_FULL), basic = convert_size(f, VIEW_BASIC);
    struct convert_view v = convert_fit(f, view, room), expected = {VIEW_RESULT, 1};

    if (convert_size(f, view) <= room)
        expected = (struct convert_view){view, 0};
    else if (view == VIEW_FULL && full - f->argument_field_bytes <= room)
        expected = (struct convert_view){VIEW_FULL, 1};
    else if (basic <= room)
        expected = (struct convert_view){VIEW_BASIC, 1};
    assert_int_equal(v.view, expected.view);
    assert_int_equal(v.omitted, expected.omitted);
}

static void test_fit(void **state)
{
    struct harness h;
    struct harness_id ids[3];

    harness_init(&h, NULL);
    ids[0] = harness_submit(&h, "task { function: 'echo' argument: x5000 }");
    ids[1] = harness_submit(&h, "task { function: 'echo' argument: x5000 }");
    ids[2] = harness_submit(&h, "task { function: 'echo' argument: x5000 }");
    harness_succeed_bytes(&h, ids[1].text, 7000);
    harness_fail(&h, ids[2].text, "no");
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        const struct future *f = harness_find(&h, ids[i].text);

        for (int view = VIEW_RESULT; view <= VIEW_FULL; view++) {
            size_t at = convert_size(f, (enum view)view);

            for (size_t room = 0; room < 20000; room += 97)
                check_fit(f, (enum view)view, room);
            check_fit(f, (enum view)view, at);
            check_fit(f, (enum view)view, at - 1);
        }
    }
    harness_deinit(&h);
}

/* The least that is ever sent has a bound, however long the error; the rest of it is cut at a character. */
static void test_least(void **state)
{
    struct buf text = BUF_INIT, b = BUF_INIT;
    struct writer w = writer_to(&b);
    struct convert_view least = {VIEW_RESULT, 1};
    struct finish f = {.usage = {-1, -1, -1, -1}};
    struct future_error error = {.code = GRPC_INTERNAL, .reason = REASON_FUNCTION_ERROR};
    Futured__V1__Future *m;
    struct harness_id id;
    struct harness h;

    for (int i = 0; i < 5000; i++)
        text_put(&text, "字", 3);
    error.type = error.message = error.traceback = error.function_reason = judge_span(&text);
    error.details = (struct span){(const uint8_t *)"\x42\x00", 2};
    f.error = future_error_new(&error);
    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    finish(&h, id.text, &f);
    check(&h, id.text); /* the whole of it in any other view */
    assert_true(convert_view_size(harness_find(&h, id.text), least) <
                4096 - 64); /* the smallest max_message */
    convert_future(&w, harness_find(&h, id.text), least);
    assert_true(buf_len(&b) <= convert_view_size(harness_find(&h, id.text), least));
    m = futured__v1__future__unpack(NULL, buf_len(&b), buf_head(&b));
    assert_non_null(m);
    assert_string_equal(m->error->reason, "FUNCTION_ERROR");
    assert_int_equal(strlen(m->error->type), 255);
    assert_int_equal(strlen(m->error->function_reason), 255);
    assert_int_equal(strlen(m->error->message), 1023); /* 341 characters of three bytes */
    assert_string_equal(m->error->traceback, "");
    assert_int_equal(m->error->n_details, 0);
    futured__v1__future__free_unpacked(m, NULL);
    buf_deinit(&b);
    buf_deinit(&text);
    harness_deinit(&h);
}

/* --- statuses */

static void test_statuses(void **state)
{
    static const struct {
        int error;
        enum grpc_code code;
        const char *reason;
        int has_retry;
    } cases[] = {
            {ENGINE_E_NO_SUCH_FUNCTION, GRPC_FAILED_PRECONDITION, "NO_SUCH_FUNCTION", 0},
            {ENGINE_E_FULL_FUTURES, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_FUTURES", 1},
            {ENGINE_E_FULL_MEMORY, GRPC_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", 1},
            {ENGINE_E_FULL_EDGES, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS", 1},
            {ENGINE_E_NOT_TERMINAL, GRPC_FAILED_PRECONDITION, "NOT_TERMINAL", 0},
            {ENGINE_E_PINNED, GRPC_FAILED_PRECONDITION, "PINNED", 0},
            {ENGINE_E_REVISION, GRPC_ABORTED, "REVISION_MISMATCH", 0},
            {-ENOMEM, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", 1},
    };
    struct id id = id_make(77, 88);
    char text[ID_TEXT_LEN + 1];
    struct grpc_status st;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ptr_equal(convert_engine_error(&st, cases[i].error, SPAN_LIT("the-thing")), &st);
        assert_int_equal(st.code, cases[i].code);
        assert_string_equal(st.reason, cases[i].reason);
        assert_int_equal(st.retry_delay_ms > 0, cases[i].has_retry);
        if (!cases[i].has_retry)
            assert_non_null(strstr(st.message, "the-thing"));
    }
    id_format(&id, text);
    convert_not_found(&st, &id);
    assert_int_equal(st.code, GRPC_NOT_FOUND);
    assert_string_equal(st.resource_type, "futured.v1.Future");
    assert_string_equal(st.resource_name, text);
    assert_non_null(strstr(st.message, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pending),   cmocka_unit_test(test_running),
            cmocka_unit_test(test_succeeded), cmocka_unit_test(test_failed),
            cmocka_unit_test(test_cancelled), cmocka_unit_test(test_lost),
            cmocka_unit_test(test_annotated), cmocka_unit_test(test_arguments),
            cmocka_unit_test(test_longest),   cmocka_unit_test(test_fit),
            cmocka_unit_test(test_least),     cmocka_unit_test(test_statuses),
    };

    return cmocka_run_group_tests_name("service/convert", tests, NULL, NULL);
}
