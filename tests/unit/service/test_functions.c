// SPDX-License-Identifier: Apache-2.0
/* What is said of a function, pages by name, pause and limits, and what is refused. */
#include "tests/unit/service/harness.h"

static Futured__V1__FunctionInfo *get(struct harness *h, const char *name)
{
    Futured__V1__FunctionInfo *info;
    struct loopback_call c;

    harness_unary(h, &c, "Functions/GetFunction", "function: '%s'", name);
    if (c.status.code != GRPC_OK)
        fail_msg("%s", c.status.message);
    info = harness_message(h, &c, 0, &futured__v1__function_info__descriptor);
    loopback_call_deinit(&c);
    return info;
}

static Futured__V1__ListFunctionsResponse *list(struct harness *h, const char *request)
{
    Futured__V1__ListFunctionsResponse *r;
    struct loopback_call c;

    harness_unary(h, &c, "Functions/ListFunctions", "%s", request);
    if (c.status.code != GRPC_OK)
        fail_msg("%s", c.status.message);
    r = harness_message(h, &c, 0, &futured__v1__list_functions_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

static void test_info(void **state)
{
    Futured__V1__FunctionInfo *info;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    info = get(&h, "unserved");
    assert_string_equal(info->spec->name, "unserved");
    assert_string_equal(info->spec->doc, "nobody runs it");
    assert_int_equal(info->worker_count, 0);
    assert_null(info->mean_run);
    harness_free(info);

    for (int i = 0; i < 7; i++) {
        id = harness_submit(&h, "task { function: 'echo' }");
        switch (i) {
        case 0:
        case 1: harness_succeed(&h, id.text, "r"); break;
        case 2: harness_fail(&h, id.text, "no"); break;
        case 3: harness_cancel(&h, id.text); break;
        case 4: harness_start(&h, id.text); break;
        default: break;
        }
    }
    info = get(&h, "echo");
    assert_int_equal(info->counts->succeeded, 2);
    assert_int_equal(info->counts->failed, 1);
    assert_int_equal(info->counts->cancelled, 1);
    assert_int_equal(info->counts->running, 1);
    assert_int_equal(info->counts->pending, 2);
    assert_int_equal(info->worker_count, 1);
    assert_non_null(info->mean_run);
    harness_free(info);
    harness_deinit(&h);
}

static void test_list(void **state)
{
    static const char *const names[] = {"echo", "fast", "sleep", "unserved"};
    Futured__V1__ListFunctionsResponse *r;
    struct harness h;
    char request[128] = "page_size: 1";

    harness_init(&h, NULL);
    r = list(&h, "");
    assert_int_equal(r->n_functions, ARRAY_LEN(names));
    for (size_t i = 0; i < r->n_functions; i++)
        assert_string_equal(r->functions[i]->spec->name, names[i]);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) { /* one by one */
        r = list(&h, request);
        assert_int_equal(r->n_functions, 1);
        assert_string_equal(r->functions[0]->spec->name, names[i]);
        assert_int_equal(r->next_page_token[0] == '\0', i + 1 == ARRAY_LEN(names));
        snprintf(request, sizeof request, "page_size: 1 page_token: '%s'", r->next_page_token);
        harness_free(r);
    }
    r = list(&h, "prefix: 's'");
    assert_int_equal(r->n_functions, 1);
    assert_string_equal(r->functions[0]->spec->name, "sleep");
    harness_free(r);
    r = list(&h, "prefix: 'sleeping'");
    assert_int_equal(r->n_functions, 0);
    harness_free(r);
    harness_deinit(&h);
}

/* A page that would exceed a message ends early. */
static void test_full_pages(void **state)
{
    enum { N = 300 };
    const struct harness_options options = {.max_message_bytes = 8192};
    char token[300] = "", doc[1000], last[300] = "";
    size_t n = 0;
    struct harness h;

    harness_init(&h, &options);
    memset(doc, 'd', sizeof doc);
    for (int i = 0; i < N; i++) {
        char name[32];

        snprintf(name, sizeof name, "z%d", i * 7919 % N);
        assert_non_null(engine_function_add(h.engine, span_of_string(name),
                                            (struct span){(const uint8_t *)doc, sizeof doc}));
    }
    do {
        char request[400];
        Futured__V1__ListFunctionsResponse *r;

        snprintf(request, sizeof request, "prefix: 'z' page_size: 1000 page_token: '%s'", token);
        r = list(&h, request); /* which asserts that it fits */
        assert_true(r->n_functions > 0);
        for (size_t i = 0; i < r->n_functions; i++, n++) {
            assert_true(strcmp(r->functions[i]->spec->name, last) > 0);
            snprintf(last, sizeof last, "%s", r->functions[i]->spec->name);
        }
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
    } while (token[0]);
    assert_int_equal(n, N);
    harness_deinit(&h);
}

static Futured__V1__FunctionInfo *steer(struct harness *h, const char *method, const char *request)
{
    Futured__V1__FunctionInfo *info;
    struct loopback_call c;

    harness_unary(h, &c, method, "%s", request);
    if (c.status.code != GRPC_OK)
        fail_msg("%s", c.status.message);
    info = harness_message(h, &c, 0, &futured__v1__function_info__descriptor);
    loopback_call_deinit(&c);
    return info;
}

static void test_pause(void **state)
{
    Futured__V1__FunctionInfo *info;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    info = steer(&h, "Functions/PauseFunction", "function: 'echo' reason: 'so it is'");
    assert_string_equal(info->paused->reason, "so it is");
    assert_non_null(info->paused->time);
    assert_non_null(strstr(h.logged, "function_paused echo by"));
    assert_int_equal(info->credit, 3);
    harness_free(info);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_advance(&h, 5 * NS_PER_S);
    info = get(&h, "echo");
    assert_non_null(info->paused);
    assert_int_equal(info->counts->pending, 1);
    assert_int_equal(info->oldest_pending_age->seconds, 5);
    harness_free(info);
    assert_int_equal(future_pending_reason(harness_find(&h, id.text)), PENDING_PAUSED);
    for (int i = 0; i < 2; i++) { /* twice is no error */
        info = steer(&h, "Functions/ResumeFunction", "function: 'echo' reason: 'enough'");
        assert_null(info->paused);
        harness_free(info);
    }
    assert_non_null(strstr(h.logged, "function_resumed echo by"));
    harness_claim(&h, id.text);
    info = get(&h, "echo");
    assert_int_equal(info->reserved_count, 1);
    assert_null(info->oldest_pending_age);
    harness_free(info);
    harness_deinit(&h);
}

static void test_limits(void **state)
{
    Futured__V1__FunctionInfo *info;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    info = steer(&h, "Functions/SetFunctionLimits",
                 "function: 'echo' max_running: 3 rate: 0.5 reason: 'be gentle'");
    assert_int_equal(info->limits->max_running, 3);
    assert_true(info->limits->rate == 0.5);
    assert_string_equal(info->limits_set->reason, "be gentle");
    harness_free(info);
    info = steer(&h, "Functions/SetFunctionLimits", "function: 'echo' max_pending: 1 rate: 0");
    assert_int_equal(info->limits->max_running, 3);
    assert_int_equal(info->limits->max_pending, 1);
    assert_true(info->limits->rate == 0);
    assert_string_equal(info->limits_set->reason, "");
    harness_free(info);
    harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Submit", "task { function: 'echo' }");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "FUNCTION_QUEUE_FULL", NULL);
    assert_true(c.status.retry_delay_ms > 0);
    assert_string_equal(c.status.quota_subject, "function.max_pending");
    loopback_call_deinit(&c);
    info = steer(&h, "Functions/SetFunctionLimits", "function: 'echo' reset: true");
    assert_null(info->limits);
    assert_null(info->limits_set);
    harness_free(info);
    harness_deinit(&h);
}

static void test_steering_refused(void **state)
{
    static const struct harness_refusal bad[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: 'none'", GRPC_NOT_FOUND, "NO_SUCH_FUNCTION", NULL},
            {"function: 'echo' reason: x1025", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reason"},
    };
    static const struct harness_refusal bad_limits[] = {
            {"function: 'echo'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "max_running"},
            {"function: 'echo' reset: true max_running: 0", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reset"},
            {"function: 'echo' rate: -1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "rate"},
            {"function: 'echo' rate: nan", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "rate"},
            {"function: 'echo' rate: inf", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "rate"},
            {"function: 'echo' @3: 4294967296", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "max_running"},
            {"function: 'none' rate: 1", GRPC_NOT_FOUND, "NO_SUCH_FUNCTION", NULL},
            {"rate: 1", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: 'echo' rate: 1 reason: x1025", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reason"},
    };
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Functions/PauseFunction", "", "", bad, ARRAY_LEN(bad));
    harness_refused(&h, "Functions/ResumeFunction", "", "", bad, ARRAY_LEN(bad));
    harness_refused(&h, "Functions/SetFunctionLimits", "", "", bad_limits, ARRAY_LEN(bad_limits));
    assert_string_equal(h.logged, "");
    assert_null(engine_function_find(h.engine, SPAN_LIT("echo"))->gate.paused);
    harness_deinit(&h);
}

static void pause_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Functions/PauseFunction", "function: 'echo' reason: 'so'");
}

static void limit_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Functions/SetFunctionLimits", "function: 'echo' rate: 5 reason: 'so'");
}

static void test_refused(void **state)
{
    static const struct harness_refusal bad_gets[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: x256", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: 'a b'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "function"},
            {"function: 'unheard-of'", GRPC_NOT_FOUND, "NO_SUCH_FUNCTION", NULL},
    };
    static const struct harness_refusal bad_lists[] = {
            {"page_size: 1001", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_size"},
            {"@1: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_size"},
            {"page_token: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_token"},
            {"prefix: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "prefix"},
    };
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Functions/GetFunction", "", "", bad_gets, ARRAY_LEN(bad_gets));
    harness_refused(&h, "Functions/ListFunctions", "", "", bad_lists, ARRAY_LEN(bad_lists));
    harness_deinit(&h);
}

static void get_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Functions/GetFunction", "function: 'echo'");
}

static void list_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    harness_arm(h);
    harness_unary(h, c, "Functions/ListFunctions", "%s", "");
}

static void test_no_memory(void **state)
{
    struct functions *s;
    struct harness h;

    harness_fail_allocations(get_without_memory, 1);
    harness_fail_allocations(list_without_memory, 2);
    harness_fail_allocations(pause_without_memory, 3);
    harness_fail_allocations(limit_without_memory, 3);
    harness_init(&h, NULL);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = functions_new(&s, h.futures, &(struct functions_log){NULL, NULL});

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (!test_allocation_failed())
            assert_null(functions_free(s));
    }
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_info),       cmocka_unit_test(test_list),
            cmocka_unit_test(test_full_pages), cmocka_unit_test(test_refused),
            cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_pause),
            cmocka_unit_test(test_limits),     cmocka_unit_test(test_steering_refused),
    };

    return cmocka_run_group_tests_name("service/functions", tests, NULL, NULL);
}
