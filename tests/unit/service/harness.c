// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/service/harness.h"

#define START_WALL (INT64_C(1700000000) * NS_PER_S)

static const struct hash_seed seed = {1, 2};
static const char *const served[] = {"echo", "sleep", "fast"};

static void start_engine(struct harness *h, const struct harness_options *options)
{
    struct engine_config config = engine_config_default();

    config.seed = seed;
    config.random = 3;
    config.epoch = 7;
    if (options->limits.max_futures)
        config.limits = options->limits;
    if (options->retention_ns)
        config.ephemeral_retention_ns = options->retention_ns;
    config.accept_unknown_functions = options->accept_unknown_functions;
    assert_int_equal(engine_new(&h->engine, &config), 0);
    engine_begin(h->engine, NS_PER_S, h->wall);
    assert_int_equal(engine_holder_new(h->engine, SPAN_LIT("w-1"), NULL, &h->worker), 0);
    for (size_t i = 0; i < ARRAY_LEN(served); i++) {
        struct function *f = engine_function_add(h->engine, span_of_string(served[i]), (struct span){0});

        assert_non_null(f);
        assert_int_equal(engine_holder_serve(h->engine, h->worker, f), 0);
    }
    assert_non_null(engine_function_add(h->engine, SPAN_LIT("unserved"), SPAN_LIT("nobody runs it")));
}

static uint64_t credit_of(void *context, const struct function *fn)
{
    return fn->n_holders * UINT64_C(3);
}

static void on_change(void *context, const struct function *fn, const char *event, struct span who,
                      struct span why)
{
    struct harness *h = context;

    snprintf(h->logged, sizeof h->logged, "%s %.*s by %.*s: %.*s", event, (int)fn->name->len,
             (const char *)fn->name->data, (int)who.len, (const char *)who.p, (int)why.len,
             why.len ? (const char *)why.p : "");
}

void harness_init(struct harness *h, const struct harness_options *options)
{
    static const struct harness_options none;
    struct grpc_server_config server_config = {.seed = seed};
    const struct grpc_method *methods;
    size_t n;

    if (!options)
        options = &none;
    *h = (struct harness){.wall = START_WALL, .max_message_bytes = options->max_message_bytes};
    if (!h->max_message_bytes)
        h->max_message_bytes = LIMITS_DEFAULT.max_message_bytes;
    server_config.max_message_bytes = h->max_message_bytes;
    start_engine(h, options);
    assert_int_equal(futures_new(&h->futures, h->engine, h->max_message_bytes, &seed), 0);
    assert_int_equal(functions_new(&h->functions, h->futures, &(struct functions_log){on_change, h}), 0);
    futures_know_workers(h->futures, &(struct futures_workers){.credit = credit_of, .context = h});
    assert_int_equal(grpc_server_new(&h->server, &server_config), 0);
    methods = futures_methods(h->futures, &n);
    assert_int_equal(grpc_server_add(h->server, methods, n), 0);
    methods = functions_methods(h->functions, &n);
    assert_int_equal(grpc_server_add(h->server, methods, n), 0);
    harness_connect(h, &h->lo);
    harness_settle(h);
}

/* What the worker still holds goes back. */
static void stop_worker(struct harness *h)
{
    while (h->worker->n_leases > 0)
        assert_int_equal(engine_lose(h->engine, LIST_ENTRY(h->worker->leases.next, struct lease, of_holder)),
                         0);
    h->worker = engine_holder_free(h->engine, h->worker);
}

void harness_deinit(struct harness *h)
{
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            harness_disconnect(h, h->connections[i]);
    assert_int_equal(engine_stats(h->engine).n_edges, 0); /* a call that is over has left nothing behind */
    stop_worker(h);
    engine_check(h->engine);
    functions_free(h->functions);
    futures_free(h->futures);
    engine_free(h->engine);
    grpc_server_free(h->server);
}

void harness_connect(struct harness *h, struct loopback *lo)
{
    size_t i = 0;

    while (h->connections[i])
        assert_true(++i < HARNESS_CONNECTIONS);
    loopback_init(lo, h->server);
    lo->now = h->lo.now;
    h->connections[i] = lo;
}

void harness_disconnect(struct harness *h, struct loopback *lo)
{
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i] == lo)
            h->connections[i] = NULL;
    loopback_deinit(lo);
}

static void take_effects(struct harness *h)
{
    struct effects *effects = engine_end(h->engine);
    struct list *l;

    if (effects->is_commit) {
        engine_durable(h->engine, effects->commit_seq);
        if (!h->holds_back)
            grpc_server_release(h->server, effects->commit_seq);
    }
    while ((l = list_pop_front(&effects->answers)))
        futures_answer(LIST_ENTRY(l, struct waiter, answer));
    while (list_pop_front(&effects->work))
        ;
    while (list_pop_front(&effects->revokes))
        ;
    h->next = MIN(futures_tick(h->futures, h->lo.now), effects->next);
}

static uint64_t fail_nth; /* of harness_fail_allocations */

void harness_arm(struct harness *h)
{
    h->fail_nth = fail_nth;
}

/* Between the two the planned allocation fails. */
static void begin_failing(struct harness *h)
{
    if (h->fail_nth)
        mem_fail_at(h->fail_nth);
}

static void end_failing(struct harness *h)
{
    if (!h->fail_nth)
        return;
    if (!mem_fail_pending()) {
        h->has_failed = 1;
        h->fail_nth = 0;
    }
    mem_fail_at(0);
}

/* What @from has to say, to @to: as loopback_move, but only the server's allocations fail, and a session may have died of
 * that. Returns whether anything happened, or will as soon as it is asked again. */
static size_t move(struct harness *h, struct h2_session *from, struct h2_session *to, int to_server)
{
    struct buf bytes = BUF_INIT;
    mono_ns_t next;
    size_t n;
    int r;

    if (!to_server)
        begin_failing(h);
    next = h2_session_tick(from, h->lo.now);
    r = h2_session_send(from, &bytes, 65536, h->lo.now);
    if (!to_server)
        end_failing(h);
    n = buf_len(&bytes);
    if (r == 0 && n) {
        h2_session_sent(from, n, h->lo.now);
        if (to_server)
            begin_failing(h);
        r = h2_session_recv(to, buf_head(&bytes), n, h->lo.now);
        if (to_server)
            end_failing(h);
    }
    buf_deinit(&bytes);
    return r == 0 && (n > 0 || next <= h->lo.now);
}

size_t harness_turn(struct harness *h)
{
    size_t moved = 0;

    engine_begin(h->engine, h->lo.now, h->wall);
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            moved += move(h, grpc_client_session(h->connections[i]->client),
                          grpc_conn_session(h->connections[i]->conn), 1);
    begin_failing(h);
    take_effects(h);
    end_failing(h);
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            moved += move(h, grpc_conn_session(h->connections[i]->conn),
                          grpc_client_session(h->connections[i]->client), 0);
    return moved;
}

void harness_settle(struct harness *h)
{
    while (harness_turn(h) > 0 || h->next <= h->lo.now)
        ;
    engine_check(h->engine);
}

void harness_fail_allocations(void (*scenario)(struct harness *h, struct loopback_call *c), uint64_t n_min)
{
    int has_failed = 1;

    for (fail_nth = 1; has_failed; fail_nth++) {
        struct loopback_call c, after;
        struct harness h;

        scenario(&h, &c);
        has_failed = h.has_failed;
        h.fail_nth = 0;
        if (!c.is_done) { /* the connection has died of it */
            assert_true(has_failed);
            harness_disconnect(&h, &h.lo);
            h.lo.now = NS_PER_S;
            harness_connect(&h, &h.lo);
            h.lo.now += NS_PER_S;
        } else if (c.status.code != GRPC_OK) {
            assert_true(has_failed);
            assert_true(c.status.code == GRPC_RESOURCE_EXHAUSTED || c.status.code == GRPC_INTERNAL);
        }
        loopback_call_deinit(&c);
        harness_unary(&h, &after, "Submit", "task { function: 'echo' }");
        assert_true(after.is_done);
        assert_int_equal(after.status.code, GRPC_OK);
        loopback_call_deinit(&after);
        harness_deinit(&h);
    }
    assert_true(fail_nth - 2 >= n_min);
}

void harness_advance(struct harness *h, int64_t ns)
{
    h->wall += ns;
    h->lo.now += ns;
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            h->connections[i]->now = h->lo.now;
    harness_settle(h);
}

/* --- calls */

static const ProtobufCMessageDescriptor *request_of(const char *method)
{
    static const struct {
        const char *method;
        const ProtobufCMessageDescriptor *descriptor;
    } requests[] = {
            {"Submit", &futured__v1__submit_request__descriptor},
            {"SubmitStream", &futured__v1__submit_request__descriptor},
            {"Run", &futured__v1__run_request__descriptor},
            {"RunStream", &futured__v1__run_request__descriptor},
            {"Get", &futured__v1__get_request__descriptor},
            {"Wait", &futured__v1__wait_request__descriptor},
            {"AsCompleted", &futured__v1__as_completed_request__descriptor},
            {"Watch", &futured__v1__watch_request__descriptor},
            {"List", &futured__v1__list_request__descriptor},
            {"Count", &futured__v1__count_request__descriptor},
            {"Retry", &futured__v1__retry_request__descriptor},
            {"CancelMany", &futured__v1__cancel_many_request__descriptor},
            {"RetryMany", &futured__v1__retry_many_request__descriptor},
            {"DeleteMany", &futured__v1__delete_many_request__descriptor},
            {"Annotate", &futured__v1__annotate_request__descriptor},
            {"Cancel", &futured__v1__cancel_request__descriptor},
            {"Reschedule", &futured__v1__reschedule_request__descriptor},
            {"Delete", &futured__v1__delete_request__descriptor},
            {"Explain", &futured__v1__explain_request__descriptor},
            {"Functions/ListFunctions", &futured__v1__list_functions_request__descriptor},
            {"Functions/GetFunction", &futured__v1__get_function_request__descriptor},
            {"Functions/PauseFunction", &futured__v1__pause_function_request__descriptor},
            {"Functions/ResumeFunction", &futured__v1__resume_function_request__descriptor},
            {"Functions/SetFunctionLimits", &futured__v1__set_function_limits_request__descriptor},
    };

    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (strcmp(requests[i].method, method) == 0)
            return requests[i].descriptor;
    fail_msg("no method %s", method);
    return NULL;
}

void harness_call(struct harness *h, struct loopback_call *c, const char *method)
{
    char path[128];

    snprintf(path, sizeof path, "/futured.v1.%s%s", strchr(method, '/') ? "" : "Futures/", method);
    loopback_call(&h->lo, c, path, 0);
}

PRINTF_LIKE(3, 0)
static void send_text(struct loopback_call *c, const char *method, const char *format, va_list args)
{
    struct buf request = BUF_INIT;

    text_encode_v(&request, request_of(method), format, args);
    loopback_send(c, buf_head(&request), buf_len(&request));
    buf_deinit(&request);
}

void harness_send(struct loopback_call *c, const char *method, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_text(c, method, format, args);
    va_end(args);
}

void harness_unary(struct harness *h, struct loopback_call *c, const char *method, const char *format, ...)
{
    va_list args;

    harness_call(h, c, method);
    va_start(args, format);
    send_text(c, method, format, args);
    va_end(args);
    loopback_half_close(c);
    harness_settle(h);
}

void *harness_message(const struct harness *h, const struct loopback_call *c, size_t i,
                      const ProtobufCMessageDescriptor *d)
{
    struct span message = loopback_message(c, i);
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, message.len, message.p);

    assert_true(message.len <= h->max_message_bytes);
    assert_non_null(m);
    assert_int_equal(m->n_unknown_fields, 0);
    return m;
}

void harness_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

void harness_expect(const struct loopback_call *c, enum grpc_code code, const char *reason, const char *field)
{
    assert_true(c->is_done);
    if (c->status.code != code)
        fail_msg("%s, not %s: %s", status_name(c->status.code), status_name(code), c->status.message);
    assert_string_equal(c->status.reason, reason);
    assert_int_equal(c->status.n_violations, field ? 1 : 0);
    if (field) {
        assert_string_equal(c->status.violations[0].field, field);
        assert_true(strlen(c->status.violations[0].description) > 0);
        assert_non_null(strstr(c->status.message, field));
    }
    if (code == GRPC_UNAVAILABLE || (code == GRPC_RESOURCE_EXHAUSTED && strcmp(reason, "TOO_MANY_IDS") != 0))
        assert_true(c->status.retry_delay_ms > 0); /* the contract: with RetryInfo */
}

void harness_refused(struct harness *h, const char *method, const char *before, const char *behind,
                     const struct harness_refusal *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct loopback_call c;

        print_message("    %s %.70s\n", method, cases[i].request);
        harness_unary(h, &c, method, "%s%s%s", before, cases[i].request, behind);
        assert_int_equal(c.n_messages, 0);
        harness_expect(&c, cases[i].code, cases[i].reason, cases[i].field);
        loopback_call_deinit(&c);
    }
}

#define INVALID(request_, field_)                                \
    {                                                            \
        request_, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", field_ \
    }
#define UNBUILT(request_, field_)                                   \
    {                                                               \
        request_, GRPC_UNIMPLEMENTED, "UNIMPLEMENTED_FIELD", field_ \
    }
#define TASK(fields)    "task { function: 'echo' " fields " }"
#define OPTIONS(fields) TASK("options { " fields " }")

const struct harness_refusal harness_bad_submits[] = {
        INVALID("", "task"),
        INVALID("@1: 5", "task"),
        INVALID("task {} task {}", "task"),
        INVALID("task {}", "task.function"),
        INVALID("task { function: '' }", "task.function"),
        INVALID("task { function: x256 }", "task.function"),
        INVALID("task { function: 'a b' }", "task.function"),
        INVALID("task { function: 'a/b' }", "task.function"),
        INVALID("task { function: 'é' }", "task.function"),
        INVALID("task { function: #00 }", "task.function"),
        INVALID("task { function: #ff }", "task.function"),
        INVALID("task { @1: 5 }", "task.function"),
        INVALID("@1: #0aff", "task"), /* a task that is cut off */
        {"task { function: 'unknown' }", GRPC_FAILED_PRECONDITION, "NO_SUCH_FUNCTION", NULL},
        INVALID(TASK("argument: 'a' argument: 'b'"), "task.argument"),
        INVALID(TASK("@2: 5"), "task.argument"),
        UNBUILT(TASK("argument_blob: 'x'"), "task.argument_blob"),
        UNBUILT(TASK("argument: 'x' argument_blob: ''"), "task.argument_blob"),
        INVALID(TASK("content_type: x256"), "task.content_type"),
        INVALID(TASK("content_type: #80"), "task.content_type"),
        INVALID(TASK("65 * labels { key: 'k$' }"), "task.labels"),
        INVALID(TASK("2 * labels { key: 'same' }"), "task.labels"),
        INVALID(TASK("labels {}"), "task.labels key"),
        INVALID(TASK("labels { key: x64 }"), "task.labels key"),
        INVALID(TASK("labels { key: 'a b' }"), "task.labels key"),
        INVALID(TASK("labels { key: 'k' value: x1025 }"), "task.labels value"),
        INVALID(TASK("labels { key: 'k' value: #ff }"), "task.labels"),
        INVALID(TASK("@5: #0a05"), "task.labels"),
        INVALID(TASK("@5: 5"), "task.labels"),
        INVALID(TASK("options {} options {}"), "task.options"),
        INVALID(TASK("@6: #08"), "task.options"),
        INVALID(OPTIONS("durability: 3"), "task.options.durability"),
        INVALID(OPTIONS("@1: 'x'"), "task.options.durability"),
        {OPTIONS("durability: DURABILITY_DURABLE"), GRPC_FAILED_PRECONDITION, "NO_STORE", NULL},
        INVALID(OPTIONS("@2: 4294967296"), "task.options.priority"), /* zigzag of 2^31 */
        INVALID(OPTIONS("delay { seconds: -1 }"), "task.options.delay"),
        INVALID(OPTIONS("delay { nanos: 1000000000 }"), "task.options.delay"),
        INVALID(OPTIONS("delay {} delay {}"), "task.options.delay"),
        INVALID(OPTIONS("delay {} not_before {}"), "task.options.delay"),
        INVALID(OPTIONS("not_before { nanos: -1 }"), "task.options.not_before"),
        INVALID(OPTIONS("deadline { nanos: -1 }"), "task.options.deadline"),
        INVALID(OPTIONS("deadline { seconds: 4 } not_before { seconds: 5 }"), "task.options.deadline"),
        INVALID(OPTIONS("deadline { seconds: 4 } delay { seconds: 5 }"), "task.options.deadline"),
        INVALID(OPTIONS("attempt_timeout { nanos: -1 }"), "task.options.attempt_timeout"),
        INVALID(OPTIONS("@7: #08"), "task.options.retry"),
        INVALID(OPTIONS("retry { max_attempts: 1001 }"), "task.options.retry.max_attempts"),
        INVALID(OPTIONS("retry { initial_backoff { nanos: -1 } }"), "task.options.retry.initial_backoff"),
        INVALID(OPTIONS("retry { max_backoff { seconds: -1 } }"), "task.options.retry.max_backoff"),
        INVALID(OPTIONS("@7: #19000000000000e03f"), "task.options.retry.multiplier"), /* 0.5 */
        INVALID(OPTIONS("@7: #19000000000000f07f"), "task.options.retry.multiplier"), /* infinity */
        INVALID(OPTIONS("@7: #19000000000000f87f"), "task.options.retry.multiplier"), /* not a number */
        INVALID(OPTIONS("@7: #29000000000000f0bf"), "task.options.retry.jitter"),     /* -1 */
        INVALID(OPTIONS("@7: #29000000000000f83f"), "task.options.retry.jitter"),     /* 1.5 */
        INVALID(OPTIONS("@7: #29000000000000f87f"), "task.options.retry.jitter"),     /* not a number */
        INVALID(OPTIONS("retry { 65 * non_retryable_types: 'x' }"), "task.options.retry.non_retryable_types"),
        INVALID(OPTIONS("retry { non_retryable_types: x256 }"), "task.options.retry.non_retryable_types"),
        INVALID(OPTIONS("retry { non_retryable_types: '' }"), "task.options.retry.non_retryable_types"),
        INVALID(OPTIONS("on_lost: 3"), "task.options.on_lost"),
        INVALID(OPTIONS("depends_on: 'x'"), "task.options.depends_on"),
        INVALID(OPTIONS("1001 * depends_on: '01890a5d-ac96-774b-bcce-b302099a8057'"),
                "task.options.depends_on"),
        {OPTIONS("depends_on: '01890a5d-ac96-774b-bcce-b302099a8057'"), GRPC_NOT_FOUND, "NO_SUCH_FUTURE",
         NULL},
        INVALID(OPTIONS("depends_on: #ff"), "task.options.depends_on"),
        INVALID(OPTIONS("depend_policy: 4"), "task.options.depend_policy"),
        INVALID(OPTIONS("idempotency_key: x256"), "task.options.idempotency_key"),
        INVALID(OPTIONS("key_policy: 5"), "task.options.key_policy"),
        INVALID(OPTIONS("key_policy: -1"), "task.options.key_policy"),
        INVALID(OPTIONS("retention { seconds: -5 }"), "task.options.retention"),
        INVALID(OPTIONS("retention { seconds: 9223372037 }"), "task.options.retention"),
        INVALID(OPTIONS("concurrency_key: x256"), "task.options.concurrency_key"),
        INVALID(OPTIONS("fairness_key: #ff"), "task.options.fairness_key"),
        INVALID(TASK("") "group: x256", "group"),
        INVALID(TASK("") "group: #ff", "group"),
        INVALID(TASK("") "tag: x256", "tag"),
        INVALID(TASK("") "@3: 5", "tag"),
        INVALID(TASK("") "request_id: x256", "request_id"),
        INVALID(TASK("") "view: 5", "view"),
        INVALID(TASK("") "view: -1", "view"),
};
const size_t harness_n_bad_submits = ARRAY_LEN(harness_bad_submits);

struct harness_id harness_submit(struct harness *h, const char *format, ...)
{
    Futured__V1__SubmitResponse *response;
    struct harness_id id;
    struct loopback_call c;
    va_list args;

    harness_call(h, &c, "Submit");
    va_start(args, format);
    send_text(&c, "Submit", format, args);
    va_end(args);
    loopback_half_close(&c);
    harness_settle(h);
    if (!c.is_done || c.status.code != GRPC_OK)
        fail_msg("Submit: %s: %s", status_name(c.status.code), c.status.message);
    response = harness_message(h, &c, 0, &futured__v1__submit_response__descriptor);
    assert_int_equal(response->answer_case, FUTURED__V1__SUBMIT_RESPONSE__ANSWER_FUTURE);
    assert_int_equal(strlen(response->future->id), ID_TEXT_LEN);
    memcpy(id.text, response->future->id, sizeof id.text);
    harness_free(response);
    loopback_call_deinit(&c);
    return id;
}

/* --- the worker */

struct future *harness_find(const struct harness *h, const char *text)
{
    const struct scope *scope = engine_scope(h->engine, (struct span){0}, (struct span){0});
    struct id id;

    assert_non_null(scope);
    assert_int_equal(id_parse(text, strlen(text), &id), 0);
    return engine_find(h->engine, scope, &id);
}

struct lease *harness_claim(struct harness *h, const char *id)
{
    struct future *f = harness_find(h, id);
    struct lease *others[1024];
    uint32_t n = 0;

    assert_non_null(f);
    while (!f->lease) {
        assert_true(n < ARRAY_LEN(others));
        assert_int_equal(engine_claim(h->engine, h->worker, CLOCK_NEVER, 1, &others[n++]), 1);
    }
    while (n > 0) /* newest first: each goes to the head of its queue */
        if (others[--n]->future != f)
            engine_release(h->engine, others[n]);
    harness_settle(h);
    return f->lease;
}

void harness_start(struct harness *h, const char *id)
{
    assert_int_equal(engine_start(h->engine, harness_claim(h, id), h->wall), 0);
    harness_settle(h);
}

static void finish(struct harness *h, const char *id, struct finish *finish)
{
    struct lease *lease = harness_claim(h, id);

    finish->usage = (struct usage){-1, -1, -1, -1};
    assert_int_equal(engine_start(h->engine, lease, h->wall), 0);
    assert_int_equal(engine_finish(h->engine, lease, finish), 0);
    harness_settle(h);
}

void harness_succeed(struct harness *h, const char *id, const char *result)
{
    struct finish f = {.data = bytes_dup(result, strlen(result))};

    assert_non_null(f.data);
    finish(h, id, &f);
}

void harness_succeed_bytes(struct harness *h, const char *id, size_t n_bytes)
{
    struct finish f = {.data = bytes_new(n_bytes)};

    assert_non_null(f.data);
    memset(f.data->data, 'r', n_bytes);
    finish(h, id, &f);
}

void harness_fail(struct harness *h, const char *id, const char *message)
{
    struct future_error error = {
            .code = GRPC_INTERNAL, .reason = REASON_FUNCTION_ERROR, .message = span_of_string(message)};
    struct finish f = {.error = future_error_new(&error)};

    assert_non_null(f.error);
    finish(h, id, &f);
}

void harness_lose(struct harness *h, const char *id)
{
    assert_int_equal(engine_lose(h->engine, harness_claim(h, id)), 0);
    harness_settle(h);
}

void harness_cancel(struct harness *h, const char *id)
{
    struct loopback_call c;

    harness_unary(h, &c, "Cancel", "id: '%s' reason: 'no longer wanted'", id);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
}
