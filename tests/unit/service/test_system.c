// SPDX-License-Identifier: Apache-2.0
/* GetInfo and GetStats before the real engine; the world is the test's. */
#include "futured/v1/system.pb-c.h"
#include "service/system.h"
#include "tests/unit/service/harness.h"

enum { N_WORKERS = 3 };

static enum daemon_state state_now;

static enum daemon_state say_state(void *context)
{
    return state_now;
}

static uint32_t say_measures(void *context, const struct identity *who, struct metrics *m)
{
    metrics_family(m, METRIC_GAUGE, "of_the_world", NULL, "Said by the world.");
    metrics_put(m, 42);
    return N_WORKERS;
}

static struct system *system_of(struct harness *h, size_t max_message_bytes)
{
    const struct system_config config = {
            .limits = {.max_message_bytes = max_message_bytes,
                       .max_futures = 10,
                       .scan_limit = 1234,
                       .max_filter_watches = 5},
            .max_result_bytes = 4000,
            .has_store = 1,
            .start_time = 17 * NS_PER_S,
            .pid = 4711,
            .world = {.state = say_state, .measure = say_measures},
    };
    const struct grpc_method *methods;
    struct system *s;
    size_t n;

    assert_int_equal(system_new(&s, h->engine, h->server, &config), 0);
    methods = system_methods(s, &n);
    assert_int_equal(n, 2);
    assert_int_equal(grpc_server_add(h->server, methods, n), 0);
    return s;
}

static void ask(struct harness *h, struct loopback_call *c, const char *method,
                const ProtobufCMessageDescriptor *d, const char *request)
{
    struct buf message = BUF_INIT;
    char path[64];

    snprintf(path, sizeof path, "/futured.v1.System/%s", method);
    text_encode(&message, d, "%s", request);
    loopback_call(&h->lo, c, path, 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(h);
}

static Futured__V1__GetInfoResponse *info(struct harness *h)
{
    Futured__V1__GetInfoResponse *r;
    struct loopback_call c;

    ask(h, &c, "GetInfo", &futured__v1__get_info_request__descriptor, "");
    assert_int_equal(c.status.code, GRPC_OK);
    r = harness_message(h, &c, 0, &futured__v1__get_info_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

static Futured__V1__GetStatsResponse *stats(struct harness *h, const char *request)
{
    Futured__V1__GetStatsResponse *r;
    struct loopback_call c;

    ask(h, &c, "GetStats", &futured__v1__get_stats_request__descriptor, request);
    assert_int_equal(c.status.code, GRPC_OK);
    r = harness_message(h, &c, 0, &futured__v1__get_stats_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

static void test_info(void **state)
{
    Futured__V1__GetInfoResponse *r;
    struct system *s;
    struct harness h;

    harness_init(&h, NULL);
    s = system_of(&h, 65536);
    state_now = DAEMON_READ_ONLY;
    assert_int_equal(system_add_address(s, "unix:/run/a"), 0);
    assert_int_equal(system_add_address(s, "127.0.0.1:1"), 0);
    r = info(&h);
    assert_string_equal(r->version, FUTURED_VERSION);
    assert_int_equal(r->epoch, 7);
    assert_int_equal(r->start_time->seconds, 17);
    assert_int_equal(r->reload_time->seconds, 17);
    assert_int_equal(r->state, FUTURED__V1__DAEMON_STATE__DAEMON_STATE_READ_ONLY);
    assert_null(r->drain);
    assert_string_equal(r->store, "sqlite");
    assert_int_equal(r->default_durability, FUTURED__V1__DURABILITY__DURABILITY_DURABLE);
    assert_int_equal(r->n_addresses, 2);
    assert_string_equal(r->addresses[0], "unix:/run/a");
    assert_string_equal(r->addresses[1], "127.0.0.1:1");
    assert_int_equal(r->limits->max_message_bytes, 65536);
    assert_int_equal(r->limits->max_labels, LIMIT_LABELS);
    assert_int_equal(r->limits->max_label_key_bytes, LIMIT_LABEL_KEY_BYTES);
    assert_int_equal(r->limits->max_label_value_bytes, LIMIT_LABEL_VALUE_BYTES);
    assert_int_equal(r->limits->max_function_bytes, LIMIT_FUNCTION_NAME_BYTES);
    assert_int_equal(r->limits->max_key_bytes, LIMIT_KEY_BYTES);
    assert_int_equal(r->limits->max_depends_on, LIMIT_DEPENDS_ON);
    assert_int_equal(r->limits->max_selector_ids, LIMIT_SELECTOR_IDS);
    assert_int_equal(r->limits->max_page_size, LIMIT_PAGE_SIZE);
    assert_int_equal(r->limits->max_filter_watches, 5);
    assert_int_equal(r->limits->scan_limit, 1234);
    assert_int_equal(r->limits->max_result_bytes, 4000);
    assert_string_equal(r->principal, "");
    assert_int_equal(r->pid, 4711);
    harness_free(r);
    harness_deinit(&h);
    system_free(s);
}

/* The value of the statistic @name with these labels, of which each is "key=value"; -1: there is none. */
static double value(const Futured__V1__GetStatsResponse *r, const char *name, const char *a, const char *b,
                    const char *c)
{
    const char *const wanted[] = {a, b, c};

    for (size_t i = 0; i < r->n_stats; i++) {
        const Futured__V1__Stat *s = r->stats[i];
        size_t n = 0;

        for (size_t k = 0; k < s->n_labels; k++) {
            char text[256];

            snprintf(text, sizeof text, "%s=%s", s->labels[k]->key, s->labels[k]->value);
            for (size_t j = 0; j < 3; j++)
                n += wanted[j] && strcmp(wanted[j], text) == 0;
        }
        if (strcmp(s->name, name) == 0 && n == s->n_labels && n == (size_t)(!!a + !!b + !!c))
            return s->value;
    }
    return -1;
}

static void test_stats(void **state)
{
    Futured__V1__GetStatsResponse *r;
    struct loopback_call c;
    struct system *s;
    struct harness h;
    struct harness_id id;

    harness_init(&h, NULL);
    s = system_of(&h, 1 << 20);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_succeed(&h, id.text, "x");
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_start(&h, id.text);
    harness_submit(&h, "task { function: 'sleep' }");
    harness_unary(&h, &c, "Get", "id: '%s'", "01890000-0000-7000-8000-000000000000");
    loopback_call_deinit(&c);
    r = stats(&h, "");
    assert_int_equal(r->time->seconds, h.wall / NS_PER_S);
    assert_int_equal(r->counts->pending, 1);
    assert_int_equal(r->counts->running, 1);
    assert_int_equal(r->counts->succeeded, 1);
    assert_int_equal(r->worker_count, N_WORKERS);
    assert_string_equal(r->openmetrics, "");
    assert_int_equal(r->omitted, 0);
#define VALUE(name, a, b, c, wanted) assert_int_equal((int64_t)value(r, name, a, b, c), wanted)
    VALUE("start_time_seconds", NULL, NULL, NULL, 17);
    VALUE("futures", "state=RUNNING", NULL, NULL, 1);
    VALUE("futures", "state=FAILED", NULL, NULL, 0);
    VALUE("futures_limit", NULL, NULL, NULL, 10);
    VALUE("futures_accepted", NULL, NULL, NULL, 3);
    VALUE("futures_memory_bytes", NULL, NULL, NULL, (int64_t)engine_stats(h.engine).n_bytes);
    VALUE("function_running", "function=echo", NULL, NULL, 1);
    VALUE("function_pending", "function=sleep", NULL, NULL, 1);
    VALUE("function_workers", "function=unserved", NULL, NULL, 0);
    VALUE("function_finished", "function=echo", "state=SUCCEEDED", NULL, 1);
    VALUE("function_finished", "function=echo", "state=CANCELLED", NULL, 0);
    VALUE("function_run_mean_seconds", "function=echo", NULL, NULL, 0);
    VALUE("function_run_mean_seconds", "function=sleep", NULL, NULL, -1); /* not known */
    VALUE("calls", "service=futured.v1.Futures", "method=Submit", "code=OK", 3);
    VALUE("calls", "service=futured.v1.Futures", "method=Get", "code=NOT_FOUND", 1);
    VALUE("calls", "service=futured.v1.Futures", "method=Get", "code=OK", -1); /* there was none */
    VALUE("calls_open", "service=futured.v1.System", "method=GetStats", NULL, 1);
    VALUE("calls_open", "service=futured.v1.Futures", "method=Run", NULL, -1); /* never called */
    VALUE("of_the_world", NULL, NULL, NULL, 42);
    harness_free(r);

    loopback_call(&h.lo, &c, "/nobody.Knows/It", 0);
    loopback_half_close(&c);
    harness_settle(&h);
    loopback_call_deinit(&c);
    r = stats(&h, "prefix: 'calls'");
    VALUE("calls", "service=", "method=", "code=UNIMPLEMENTED", 1);
    VALUE("futures_limit", NULL, NULL, NULL, -1);
    harness_free(r);

    r = stats(&h, "openmetrics: true prefix: 'of_'");
    assert_int_equal(r->n_stats, 0);
    assert_string_equal(r->openmetrics, "# TYPE futured_of_the_world gauge\n"
                                        "# HELP futured_of_the_world Said by the world.\n"
                                        "futured_of_the_world 42\n"
                                        "# EOF\n");
    harness_free(r);
    harness_deinit(&h);
    system_free(s);
}

/* What there is no room for is left out, and said. */
static void test_omitted(void **state)
{
    const struct harness_options options = {.max_message_bytes = 16384};

    for (int is_text = 0; is_text < 2; is_text++) {
        Futured__V1__GetStatsResponse *r;
        struct system *s;
        struct harness h;

        harness_init(&h, &options);
        s = system_of(&h, 16384);
        for (int i = 0; i < 500; i++) {
            char name[32];

            snprintf(name, sizeof name, "f%d", i);
            assert_non_null(engine_function_add(h.engine, span_of_string(name), (struct span){0}));
        }
        r = stats(&h, is_text ? "openmetrics: true" : "");
        assert_true(r->omitted);
        assert_true(is_text ? strlen(r->openmetrics) > 8000 : r->n_stats > 100);
        assert_true(!is_text || strcmp(r->openmetrics + strlen(r->openmetrics) - 6, "# EOF\n") == 0);
        harness_free(r);
        r = stats(&h, "prefix: 'futures'");
        assert_false(r->omitted);
        harness_free(r);
        harness_deinit(&h);
        system_free(s);
    }
}

static void refuse(struct harness *h, const char *method, const ProtobufCMessageDescriptor *d,
                   const char *request, const char *reason, const char *field)
{
    struct loopback_call c;

    ask(h, &c, method, d, request);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, reason, field);
    loopback_call_deinit(&c);
}

static void test_refused(void **state)
{
    struct system *s;
    struct harness h;

    harness_init(&h, NULL);
    s = system_of(&h, 65536);
    refuse(&h, "GetStats", &futured__v1__get_stats_request__descriptor, "prefix: #ff", "INVALID_FIELD",
           "prefix");
    refuse(&h, "GetStats", &futured__v1__get_stats_request__descriptor, "@2: 'x'", "INVALID_FIELD",
           "openmetrics");
    for (int i = 0; i < 2; i++) {
        struct loopback_call c;

        loopback_call(&h.lo, &c, i ? "/futured.v1.System/GetStats" : "/futured.v1.System/GetInfo", 0);
        loopback_send(&c, "\x0a", 1);
        loopback_half_close(&c);
        harness_settle(&h);
        harness_expect(&c, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", NULL);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
    system_free(s);
}

static struct system *failing;

static void prepare(struct harness *h)
{
    system_free(failing);
    harness_init(h, NULL);
    failing = system_of(h, 65536);
    assert_int_equal(system_add_address(failing, "unix:/run/a"), 0);
    harness_arm(h);
}

static void info_without_memory(struct harness *h, struct loopback_call *c)
{
    prepare(h);
    ask(h, c, "GetInfo", &futured__v1__get_info_request__descriptor, "");
}

static void stats_without_memory(struct harness *h, struct loopback_call *c)
{
    prepare(h);
    ask(h, c, "GetStats", &futured__v1__get_stats_request__descriptor, "openmetrics: true");
}

static void test_no_memory(void **state)
{
    const struct system_config config = {0};
    struct system *s;
    struct harness h;

    harness_fail_allocations(info_without_memory, 1);
    harness_fail_allocations(stats_without_memory, 1);
    failing = system_free(failing);
    harness_init(&h, NULL);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = system_new(&s, h.engine, h.server, &config);

        if (r == 0 && system_add_address(s, "unix:/a") < 0)
            r = -ENOMEM;
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0 || nth > 1)
            assert_null(system_free(s));
    }
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_info),    cmocka_unit_test(test_stats),     cmocka_unit_test(test_omitted),
            cmocka_unit_test(test_refused), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/system", tests, NULL, NULL);
}
