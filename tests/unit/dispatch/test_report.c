// SPDX-License-Identifier: Apache-2.0
/* Renew and Finish: leases kept, starts told, cancels learnt, outcomes; what does not count and what is refused. */
#include "dispatch/claim.h"
#include "dispatch/report.h"
#include "tests/unit/dispatch/harness.h"

#define TOKEN "session_token: 'abcdefghijklmnop' "
#define HELLO "hello { " TOKEN "functions { name: 'echo' } } "

/* A worker with two tasks; they run, unless they are only reserved. */
struct scene {
    struct harness h;
    struct child *w;
    struct future *f, *g;
    char lease[2][128]; /* text of each */
};

static void set_scene_in(struct scene *s, struct harness *h, const char *more)
{
    struct loopback_call c;

    harness_init(h);
    s->f = harness_submit(h, "function: 'echo' argument: 'x'");
    s->g = harness_submit(h, "function: 'echo' argument: 'y'");
    s->w = harness_remote(h);
    harness_call(s->w, &c, "Claim", &futured__v1__claim_request__descriptor, HELLO "max_items: 2 %s", more);
    harness_reply(&c);
    loopback_call_deinit(&c);
    for (int i = 0; i < 2; i++) {
        struct item item = {.id = i ? s->g->id : s->f->id, .attempt = 1, .epoch = HARNESS_EPOCH};

        snprintf(s->lease[i], sizeof s->lease[i], "%s", harness_lease(&item));
    }
}

static void set_scene(struct scene *s, const char *more)
{
    set_scene_in(s, &s->h, more);
}

static Futured__V1__RenewResponse *renew(struct scene *s, const char *more)
{
    Futured__V1__RenewResponse *r;
    struct loopback_call c;
    struct span message;

    harness_call(s->w, &c, "Renew", &futured__v1__renew_request__descriptor, TOKEN "%s", more);
    message = harness_reply(&c);
    r = futured__v1__renew_response__unpack(NULL, message.len, message.p);
    assert_non_null(r);
    loopback_call_deinit(&c);
    return r;
}

/* How many entries a Renew, a Finish with @format and @lease refuses. */
static size_t n_renew_refused(struct scene *s, const char *format, const char *lease)
{
    Futured__V1__RenewResponse *r;
    char text[512];
    size_t n;

    assert_in_range(snprintf(text, sizeof text, "%s %s", format, lease), 1, (int)sizeof text - 1);
    r = renew(s, text);
    n = r->n_refused;
    futured__v1__renew_response__free_unpacked(r, NULL);
    return n;
}

static size_t n_finish_refused(struct scene *s, const char *text)
{
    Futured__V1__FinishResponse *r;
    struct loopback_call c;
    struct span message;
    size_t n;

    harness_call(s->w, &c, "Finish", &futured__v1__finish_request__descriptor, TOKEN "%s", text);
    message = harness_reply(&c);
    r = futured__v1__finish_response__unpack(NULL, message.len, message.p);
    assert_non_null(r);
    n = r->n_refused;
    for (size_t i = 0; i < n; i++)
        assert_string_equal(r->refused[i]->reason, "STALE_LEASE");
    futured__v1__finish_response__free_unpacked(r, NULL);
    loopback_call_deinit(&c);
    return n;
}

static const char *braces(const char *lease)
{
    return strchr(lease, '{');
}

static void test_finish(void **state)
{
    struct scene s;
    char text[512];

    set_scene(&s, "");
    assert_int_equal(s.f->state, FUTURE_RUNNING);
    snprintf(text, sizeof text,
             "finish { %s result { data: 'done' } usage { wall { nanos: 5 } } } finish { %s error { message: "
             "'no' } final: "
             "true }",
             s.lease[0], s.lease[1]);
    assert_int_equal(n_finish_refused(&s, text), 0);
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_memory_equal(s.f->outcome->data->data, "done", 4);
    assert_int_equal(s.g->state, FUTURE_FAILED);
    assert_int_equal(s.g->outcome->error->reason, REASON_FUNCTION_ERROR);
    assert_int_equal(n_finish_refused(&s, text), 2); /* once */
    assert_int_equal(dispatch_stats(s.h.dispatch).n_finished, 2);
    assert_int_equal(dispatch_stats(s.h.dispatch).n_refused, 2);
    harness_deinit(&s.h);
}

/* The others of a call count although one does not. */
static void test_stale(void **state)
{
    struct scene s;
    char text[1024], stale[128];

    set_scene(&s, "");
    snprintf(stale, sizeof stale, "%s", s.lease[1]);
    strstr(stale, "attempt: 1")[9] = '2';
    snprintf(text, sizeof text, "finish { %s result {} } finish { %s result {} }", stale, s.lease[0]);
    assert_int_equal(n_finish_refused(&s, text), 1);
    assert_int_equal(s.f->state, FUTURE_SUCCEEDED);
    assert_int_equal(s.g->state, FUTURE_RUNNING);
    snprintf(stale, sizeof stale, "%s", s.lease[1]);
    strstr(stale, "epoch: 7")[7] = '8';
    snprintf(text, sizeof text, "finish { %s result {} }", stale);
    assert_int_equal(n_finish_refused(&s, text), 1);
    assert_int_equal(s.g->state, FUTURE_RUNNING);
    harness_deinit(&s.h);
}

/* The lease of another worker is none. */
static void test_others_lease(void **state)
{
    struct loopback_call c;
    struct span message;
    Futured__V1__FinishResponse *r;
    struct scene s;

    set_scene(&s, "");
    harness_call(s.w, &c, "Claim", &futured__v1__claim_request__descriptor,
                 "hello { session_token: 'another-another-' functions { name: 'echo' } }");
    harness_reply(&c);
    loopback_call_deinit(&c);
    harness_call(s.w, &c, "Finish", &futured__v1__finish_request__descriptor,
                 "session_token: 'another-another-' finish { %s result {} }", s.lease[0]);
    message = harness_reply(&c);
    r = futured__v1__finish_response__unpack(NULL, message.len, message.p);
    assert_int_equal(r->n_refused, 1);
    futured__v1__finish_response__free_unpacked(r, NULL);
    loopback_call_deinit(&c);
    assert_int_equal(s.f->state, FUTURE_RUNNING);
    harness_deinit(&s.h);
}

/* Only the leases that are named live on. */
static void test_renew(void **state)
{
    struct scene s;

    set_scene(&s, "lease_ttl { seconds: 4 }");
    for (int i = 0; i < 3; i++) {
        harness_advance(&s.h, 3 * NS_PER_S);
        assert_int_equal(n_renew_refused(&s, "leases", braces(s.lease[0])), 0);
    }
    assert_int_equal(s.f->state, FUTURE_RUNNING);
    assert_int_equal(s.g->state, FUTURE_PENDING);
    assert_int_equal(s.g->attempts->error->reason, REASON_WORKER_LOST);
    assert_int_equal(n_renew_refused(&s, "leases", braces(s.lease[1])), 1);
    harness_advance(&s.h, 4 * NS_PER_S);
    assert_int_equal(s.f->state, FUTURE_PENDING);
    harness_deinit(&s.h);
}

static void test_started(void **state)
{
    Futured__V1__RenewResponse *r;
    struct scene s;
    char text[512];

    set_scene(&s, "reserve: true");
    assert_int_equal(s.f->state, FUTURE_PENDING);
    snprintf(text, sizeof text, "started { %s }", s.lease[0]);
    r = renew(&s, text);
    assert_int_equal(r->n_refused, 0);
    assert_int_equal(r->lease_ttl->seconds, 30);
    assert_false(r->draining);
    futured__v1__renew_response__free_unpacked(r, NULL);
    assert_int_equal(s.f->state, FUTURE_RUNNING);
    snprintf(text, sizeof text, "release { %s } release { %s }", s.lease[0], s.lease[1]);
    assert_int_equal(n_finish_refused(&s, text), 0);
    assert_null(s.g->lease);
    assert_null(s.g->attempts);                                         /* nothing has happened */
    assert_int_equal(s.f->attempts->error->reason, REASON_WORKER_LOST); /* it had begun */
    assert_int_equal(s.f->state, FUTURE_PENDING);
    snprintf(text, sizeof text, "started { %s }", s.lease[1]);
    assert_int_equal(n_renew_refused(&s, text, ""), 1);
    harness_deinit(&s.h);
}

/* A cancel is said at each Renew; the attempt is taken from who does not end it. */
static void test_cancel(void **state)
{
    Futured__V1__RenewResponse *r;
    struct scene s;

    set_scene(&s, "");
    assert_int_equal(engine_cancel(s.h.engine, s.f, s.h.scope, SPAN_LIT("enough"), 4 * NS_PER_S), 0);
    harness_settle(&s.h);
    for (int i = 0; i < 2; i++) {
        r = renew(&s, "");
        assert_int_equal(r->n_cancel_attempt, 1);
        assert_memory_equal(r->cancel_attempt[0]->lease->id.data, s.f->id.b, ID_BYTES);
        assert_string_equal(r->cancel_attempt[0]->reason, "enough");
        futured__v1__renew_response__free_unpacked(r, NULL);
    }
    harness_advance(&s.h, 5 * NS_PER_S);
    assert_int_equal(s.f->state, FUTURE_CANCELLED);
    r = renew(&s, "");
    assert_int_equal(r->n_cancel_attempt, 0);
    futured__v1__renew_response__free_unpacked(r, NULL);
    harness_deinit(&s.h);
}

static void test_draining(void **state)
{
    Futured__V1__RenewResponse *r;
    struct scene s;

    set_scene(&s, "");
    dispatch_drain(s.h.dispatch);
    r = renew(&s, "");
    assert_true(r->draining);
    futured__v1__renew_response__free_unpacked(r, NULL);
    harness_deinit(&s.h);
}

static void test_bad(void **state)
{
    static const struct {
        const char *method, *text, *field; /* %s is a lease */
    } cases[] = {
            {"Renew", TOKEN "leases { id: #00 }", "leases"},
            {"Renew", TOKEN "10001 * leases { id: #00112233445566778899aabbccddeeff }", "leases"},
            {"Renew", TOKEN "started {}", "started"},
            {"Renew", "session_token: 'short'", "session_token"},
            {"Renew", TOKEN "@2: 5", "leases"},
            {"Finish", TOKEN "finish { %s }", "finish"},
            {"Finish", TOKEN "finish { result {} }", "finish"},
            {"Finish", TOKEN "finish { %s result {} error {} }", "finish"},
            {"Finish", TOKEN "finish { %s result {} chunked: true }", "finish.chunked"},
            {"Finish", TOKEN "finish { %s result { @1: 5 } }", "finish.result"},
            {"Finish", TOKEN "finish { %s error { message: #ff } }", "finish.error"},
            {"Finish", TOKEN "finish { %s result {} usage { @1: 5 } }", "finish.usage"},
            {"Finish", TOKEN "finish { %s result {} } release {}", "release"},
            {"Finish", TOKEN "release { %s reason: #ff }", "release"},
            {"Finish", "", "session_token"},
    };
    struct loopback_call c;
    struct scene s;

    set_scene(&s, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const ProtobufCMessageDescriptor *request = strcmp(cases[i].method, "Renew") == 0
                                                            ? &futured__v1__renew_request__descriptor
                                                            : &futured__v1__finish_request__descriptor;
        const char *at = strstr(cases[i].text, "%s");
        char text[512];

        if (at)
            snprintf(text, sizeof text, "%.*s%s%s", (int)(at - cases[i].text), cases[i].text, s.lease[0],
                     at + 2);
        else
            snprintf(text, sizeof text, "%s", cases[i].text);
        harness_call(s.w, &c, cases[i].method, request, "%s", text);
        assert_string_equal(c.status.violations[0].field, cases[i].field);
        harness_expect_refused(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", cases[i].field);
        assert_int_equal(s.f->state, FUTURE_RUNNING); /* nothing of it counts */
    }
    harness_call(s.w, &c, "Renew", &futured__v1__renew_request__descriptor, TOKEN "progress {}");
    harness_expect_refused(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "progress");
    harness_call(s.w, &c, "Finish", &futured__v1__finish_request__descriptor,
                 "session_token: 'never-seen-never-seen'");
    assert_string_equal(c.status.precondition_type, "SESSION");
    harness_expect_refused(&c, GRPC_FAILED_PRECONDITION, "NO_SUCH_SESSION", "claim again");
    harness_deinit(&s.h);
}

/* A result that is too large is an error of the attempt, as on a stream. */
static void test_too_large(void **state)
{
    struct loopback_call c;
    struct scene s;

    set_scene(&s, "");
    harness_call(s.w, &c, "Finish", &futured__v1__finish_request__descriptor,
                 TOKEN "finish { %s result { data: x%d } }", s.lease[0], (int)HARNESS_MAX_RESULT + 1);
    harness_reply(&c);
    loopback_call_deinit(&c);
    assert_int_equal(s.f->state, FUTURE_FAILED);
    assert_int_equal(s.f->outcome->error->reason, REASON_RESULT_TOO_LARGE);
    harness_deinit(&s.h);
}

static void scenario(struct harness *h)
{
    struct loopback_call c[2];
    struct scene s;
    char text[512];

    set_scene_in(&s, h, "");
    harness_arm(h);
    snprintf(text, sizeof text, TOKEN "leases %s started { %s }", braces(s.lease[0]), s.lease[1]);
    harness_call(s.w, &c[0], "Renew", &futured__v1__renew_request__descriptor, "%s", text);
    snprintf(text, sizeof text, TOKEN "finish { %s result { data: 'r' } } release { %s }", s.lease[0],
             s.lease[1]);
    harness_call(s.w, &c[1], "Finish", &futured__v1__finish_request__descriptor, "%s", text);
    h->fail_nth = 0;
    harness_hang_up(s.w);
    loopback_call_deinit(&c[0]);
    loopback_call_deinit(&c[1]);
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(scenario, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_finish),       cmocka_unit_test(test_stale),
            cmocka_unit_test(test_others_lease), cmocka_unit_test(test_renew),
            cmocka_unit_test(test_started),      cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_draining),     cmocka_unit_test(test_bad),
            cmocka_unit_test(test_too_large),    cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("dispatch/report", tests, NULL, NULL);
}
