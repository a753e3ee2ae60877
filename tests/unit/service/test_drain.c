// SPDX-License-Identifier: Apache-2.0
/* Drain and Resume before a world that only notes what is asked of it. */
#include "futured/v1/system.pb-c.h"
#include "service/drain.h"
#include "tests/unit/service/harness.h"

struct scene {
    struct harness h;
    struct drain d;
    unsigned int steps;
    int n_told;
    int64_t timeout_ns;
    uint64_t n_held;
    char why[64];
};

static void on_steps(void *context, unsigned int steps, int64_t timeout_ns, struct span who, struct span why)
{
    struct scene *s = context;

    s->steps = steps;
    s->timeout_ns = timeout_ns;
    s->n_told++;
    snprintf(s->why, sizeof s->why, "%.*s", (int)why.len, why.len ? (const char *)why.p : "");
}

static uint64_t n_held(void *context)
{
    const struct scene *s = context;

    return s->n_held;
}

static int state_of(void *context)
{
    const struct scene *s = context;

    return s->steps ? 3 : 2;
}

static void set_scene(struct scene *s)
{
    const struct drain_world world = {.steps = on_steps, .n_held = n_held, .state = state_of, .context = s};
    const struct grpc_method *rows;
    size_t n;

    *s = (struct scene){.n_held = 0};
    harness_init(&s->h, NULL);
    drain_init(&s->d, s->h.engine, &world);
    rows = drain_methods(&s->d, &n);
    assert_int_equal(n, 2);
    assert_int_equal(grpc_server_add(s->h.server, rows, n), 0);
}

static void end_scene(struct scene *s)
{
    harness_deinit(&s->h);
    drain_deinit(&s->d);
}

static void tick(struct scene *s)
{
    (void)drain_tick(&s->d, s->h.lo.now);
    harness_settle(&s->h);
}

static void call(struct scene *s, struct loopback_call *c, const char *method,
                 const ProtobufCMessageDescriptor *d, const char *request)
{
    struct buf message = BUF_INIT;
    char path[64];

    snprintf(path, sizeof path, "/futured.v1.System/%s", method);
    text_encode(&message, d, "%s", request);
    loopback_call(&s->h.lo, c, path, 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(&s->h);
}

static void ask(struct scene *s, struct loopback_call *c, const char *request)
{
    call(s, c, "Drain", &futured__v1__drain_request__descriptor, request);
}

static Futured__V1__DrainResponse *response(struct scene *s, struct loopback_call *c)
{
    Futured__V1__DrainResponse *r;

    assert_true(c->is_done);
    assert_int_equal(c->status.code, GRPC_OK);
    r = harness_message(&s->h, c, 0, &futured__v1__drain_response__descriptor);
    loopback_call_deinit(c);
    return r;
}

static void test_accept(void **state)
{
    Futured__V1__DrainResponse *r;
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    s.n_held = 5; /* nobody waits for these */
    ask(&s, &c, "stop_accept: true reason: 'maintenance'");
    tick(&s);
    r = response(&s, &c);
    assert_true(r->drain->stop_accept);
    assert_false(r->drain->stop_dispatch || r->drain->exit);
    assert_string_equal(r->drain->reason, "maintenance");
    assert_int_equal(r->drain->time->seconds, s.h.wall / NS_PER_S);
    harness_free(r);
    assert_int_equal(s.steps, DRAIN_ACCEPT);
    assert_string_equal(s.why, "maintenance");
    end_scene(&s);
}

/* It answers when nothing runs any more; or at its timeout, and holds on. */
static void test_dispatch(void **state)
{
    Futured__V1__DrainResponse *r;
    struct loopback_call first, second;
    struct scene s;

    set_scene(&s);
    s.n_held = 1;
    ask(&s, &first, "stop_dispatch: true");
    ask(&s, &second, "stop_dispatch: true timeout { seconds: 2 }");
    assert_true(drain_tick(&s.d, s.h.lo.now) == s.h.lo.now + 2 * NS_PER_S);
    harness_settle(&s.h);
    assert_false(first.is_done || second.is_done);
    s.h.lo.now += 2 * NS_PER_S;
    tick(&s);
    r = response(&s, &second);
    assert_true(r->drain->stop_dispatch);
    harness_free(r);
    assert_false(first.is_done);
    s.n_held = 0;
    tick(&s);
    r = response(&s, &first);
    assert_true(r->drain->stop_dispatch);
    assert_int_equal(s.steps, DRAIN_DISPATCH);
    harness_free(r);
    end_scene(&s);
}

static void test_exit(void **state)
{
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    ask(&s, &c, "exit: true timeout { seconds: 7 }");
    assert_int_equal(s.steps, DRAIN_ACCEPT | DRAIN_DISPATCH | DRAIN_EXIT);
    assert_true(s.timeout_ns == 7 * NS_PER_S);
    tick(&s);
    harness_free(response(&s, &c));
    call(&s, &c, "Resume", &futured__v1__resume_request__descriptor, "");
    assert_int_equal(c.status.code, GRPC_FAILED_PRECONDITION);
    assert_string_equal(c.status.reason, "EXITING");
    loopback_call_deinit(&c);
    end_scene(&s);
}

/* Steps add up, and one Resume takes all of them back. Without any it is no error. */
static void test_resume(void **state)
{
    Futured__V1__ResumeResponse *r;
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    ask(&s, &c, "stop_accept: true");
    tick(&s);
    harness_free(response(&s, &c));
    ask(&s, &c, "stop_dispatch: true");
    assert_true(s.timeout_ns == DRAIN_TIMEOUT_NS);
    tick(&s);
    harness_free(response(&s, &c));
    assert_int_equal(s.steps, DRAIN_ACCEPT | DRAIN_DISPATCH);
    for (int i = 0; i < 2; i++) {
        call(&s, &c, "Resume", &futured__v1__resume_request__descriptor, "reason: 'done'");
        r = harness_message(&s.h, &c, 0, &futured__v1__resume_response__descriptor);
        assert_int_equal(r->state, FUTURED__V1__DAEMON_STATE__DAEMON_STATE_SERVING);
        harness_free(r);
        loopback_call_deinit(&c);
    }
    assert_int_equal(s.steps, 0);
    assert_int_equal(s.n_told, 3);
    assert_string_equal(s.why, "done");
    end_scene(&s);
}

/* Whoever waits is answered when the drain is taken back. */
static void test_resume_of_who_waits(void **state)
{
    Futured__V1__DrainResponse *r;
    struct loopback_call waits, c;
    struct scene s;

    set_scene(&s);
    s.n_held = 1;
    ask(&s, &waits, "stop_dispatch: true");
    call(&s, &c, "Resume", &futured__v1__resume_request__descriptor, "");
    loopback_call_deinit(&c);
    tick(&s);
    r = response(&s, &waits);
    assert_null(r->drain);
    harness_free(r);
    end_scene(&s);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
            {"", "stop_accept"},
            {"reason: 'r'", "stop_accept"},
            {"exit: true timeout { seconds: -1 }", "timeout"},
            {"exit: true timeout { seconds: 86401 }", "timeout"},
            {"exit: true reason: x1025", "reason"},
            {"exit: true reason: #ff", "reason"},
    };
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(&s, &c, cases[i].text);
        assert_int_equal(c.status.code, GRPC_INVALID_ARGUMENT);
        assert_string_equal(c.status.violations[0].field, cases[i].field);
        loopback_call_deinit(&c);
    }
    call(&s, &c, "Resume", &futured__v1__resume_request__descriptor, "reason: x1025");
    assert_string_equal(c.status.violations[0].field, "reason");
    loopback_call_deinit(&c);
    assert_int_equal(s.n_told, 0);
    end_scene(&s);
}

static void test_too_many(void **state)
{
    struct loopback_call c[DRAIN_CALLS_MAX + 1];
    struct scene s;

    set_scene(&s);
    s.n_held = 1;
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        ask(&s, &c[i], "stop_dispatch: true");
    assert_int_equal(c[DRAIN_CALLS_MAX].status.code, GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(c[DRAIN_CALLS_MAX].status.reason, "TOO_MANY_DRAINS");
    s.n_held = 0;
    tick(&s);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        assert_true(c[i].is_done);
        loopback_call_deinit(&c[i]);
    }
    end_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_accept),   cmocka_unit_test(test_dispatch),
            cmocka_unit_test(test_exit),     cmocka_unit_test(test_resume),
            cmocka_unit_test(test_bad),      cmocka_unit_test(test_resume_of_who_waits),
            cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests_name("service/drain", tests, NULL, NULL);
}
