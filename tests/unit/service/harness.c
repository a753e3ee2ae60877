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
    assert_int_equal(functions_new(&h->functions, h->engine, h->max_message_bytes), 0);
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

    if (effects->n_facts)
        engine_durable(h->engine, effects->commit_seq);
    while ((l = list_pop_front(&effects->answers)))
        futures_answer(LIST_ENTRY(l, struct waiter, answer));
    while (list_pop_front(&effects->work))
        ;
    while (list_pop_front(&effects->revokes))
        ;
    h->next = MIN(futures_tick(h->futures, h->lo.now), effects->next);
}

size_t harness_turn(struct harness *h)
{
    size_t moved = 0;

    engine_begin(h->engine, h->lo.now, h->wall);
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            moved += loopback_move(h->connections[i], grpc_client_session(h->connections[i]->client),
                                   grpc_conn_session(h->connections[i]->conn));
    take_effects(h);
    for (size_t i = 0; i < HARNESS_CONNECTIONS; i++)
        if (h->connections[i])
            moved += loopback_move(h->connections[i], grpc_conn_session(h->connections[i]->conn),
                                   grpc_client_session(h->connections[i]->client));
    return moved;
}

void harness_settle(struct harness *h)
{
    while (harness_turn(h) > 0)
        ;
    engine_check(h->engine);
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
            {"Annotate", &futured__v1__annotate_request__descriptor},
            {"Cancel", &futured__v1__cancel_request__descriptor},
            {"Delete", &futured__v1__delete_request__descriptor},
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

    snprintf(path, sizeof path, "/futured.v1.Futures/%s", method);
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
    struct lease *lease;

    assert_non_null(f);
    while (!f->lease)
        assert_int_equal(engine_claim(h->engine, h->worker, CLOCK_NEVER, 1, &lease), 1);
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
