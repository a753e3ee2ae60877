// SPDX-License-Identifier: Apache-2.0
/* Reload before a world that only notes what is asked of it. */
#include "futured/v1/system.pb-c.h"
#include "service/reload.h"
#include "tests/unit/service/harness.h"

struct scene {
    struct harness h;
    struct reload r;
    int result, is_settled, is_dry, n_told;
    const char *wrong; /* "", or lines, each with a NUL */
    size_t wrong_bytes;
};

static void add(struct buf *to, const char *texts, size_t n)
{
    assert_int_equal(buf_append(to, texts, n), 0);
}

static int on_reload(void *context, int is_dry, struct span who, struct reload_report *ret)
{
    struct scene *s = context;

    s->is_dry = is_dry;
    s->n_told++;
    add(&ret->wrong, s->wrong, s->wrong_bytes);
    add(&ret->changed, "pool.workers\0function.a", 24);
    add(&ret->needs_restart, "store.cache", 12);
    add(&ret->plugins, "/a.so", 6);
    ret->n_omitted = 3;
    return s->result;
}

static int on_is_settled(void *context)
{
    const struct scene *s = context;

    return s->is_settled;
}

static void set_scene(struct scene *s)
{
    const struct reload_world world = {.reload = on_reload, .is_settled = on_is_settled, .context = s};
    const struct grpc_method *rows;
    size_t n;

    *s = (struct scene){.wrong = ""};
    harness_init(&s->h, NULL);
    reload_init(&s->r, &world);
    rows = reload_methods(&s->r, &n);
    assert_int_equal(grpc_server_add(s->h.server, rows, n), 0);
}

static void end_scene(struct scene *s)
{
    harness_deinit(&s->h);
    reload_deinit(&s->r);
}

static void tick(struct scene *s)
{
    reload_tick(&s->r);
    harness_settle(&s->h);
}

static void ask(struct scene *s, struct loopback_call *c, const char *request)
{
    struct buf message = BUF_INIT;

    text_encode(&message, &futured__v1__reload_request__descriptor, "%s", request);
    loopback_call(&s->h.lo, c, "/futured.v1.System/Reload", 0);
    loopback_send(c, buf_head(&message), buf_len(&message));
    loopback_half_close(c);
    buf_deinit(&message);
    harness_settle(&s->h);
}

static void expect_response(struct scene *s, struct loopback_call *c)
{
    Futured__V1__ReloadResponse *r;

    assert_true(c->is_done);
    assert_int_equal(c->status.code, GRPC_OK);
    r = harness_message(&s->h, c, 0, &futured__v1__reload_response__descriptor);
    assert_int_equal(r->n_changed, 2);
    assert_string_equal(r->changed[0], "pool.workers");
    assert_string_equal(r->changed[1], "function.a");
    assert_int_equal(r->n_needs_restart, 1);
    assert_string_equal(r->needs_restart[0], "store.cache");
    assert_int_equal(r->n_plugins, 1);
    assert_string_equal(r->plugins[0], "/a.so");
    assert_int_equal(r->omitted, 3);
    harness_free(r);
    loopback_call_deinit(c);
}

/* All that wait are answered when it is in use; one that only checks, at once. */
static void test_waits(void **state)
{
    struct loopback_call first, second, dry;
    struct scene s;

    set_scene(&s);
    ask(&s, &first, "");
    ask(&s, &second, "");
    tick(&s);
    assert_false(first.is_done || second.is_done);
    assert_false(s.is_dry);
    ask(&s, &dry, "dry_run: true");
    assert_true(s.is_dry);
    expect_response(&s, &dry);
    s.is_settled = 1;
    tick(&s);
    expect_response(&s, &first);
    expect_response(&s, &second);
    assert_int_equal(s.n_told, 3);
    end_scene(&s);
}

static void test_wrong(void **state)
{
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    s.result = RELOAD_E_WRONG;
    s.wrong = "/a.conf:3: no\0/b.conf:4: nor that";
    s.wrong_bytes = 34;
    ask(&s, &c, "");
    assert_string_equal(c.status.message,
                        "nothing has changed, since the configuration is wrong: /a.conf:3: no; "
                        "/b.conf:4: nor that");
    assert_string_equal(c.status.precondition_type, "CONFIGURATION");
    assert_string_equal(c.status.precondition_subject, "/a.conf:3: no");
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "INVALID_CONFIGURATION", NULL);
    loopback_call_deinit(&c);
    end_scene(&s);
}

static void test_refused(void **state)
{
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    s.result = RELOAD_E_EXITS;
    ask(&s, &c, "");
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "EXITING", NULL);
    loopback_call_deinit(&c);
    s.result = RELOAD_E_MEMORY;
    ask(&s, &c, "");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", NULL);
    loopback_call_deinit(&c);
    end_scene(&s);
}

static void test_too_many(void **state)
{
    struct loopback_call calls[RELOAD_CALLS_MAX], c;
    struct scene s;

    set_scene(&s);
    for (int i = 0; i < RELOAD_CALLS_MAX; i++)
        ask(&s, &calls[i], "");
    ask(&s, &c, "");
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_RELOADS", NULL);
    loopback_call_deinit(&c);
    s.is_settled = 1;
    tick(&s);
    for (int i = 0; i < RELOAD_CALLS_MAX; i++)
        expect_response(&s, &calls[i]);
    end_scene(&s);
}

/* Nobody is answered who is gone. */
static void test_disconnect(void **state)
{
    struct loopback_call c;
    struct scene s;

    set_scene(&s);
    ask(&s, &c, "");
    harness_disconnect(&s.h, &s.h.lo);
    assert_int_equal(s.r.n_calls, 0);
    s.is_settled = 1;
    reload_tick(&s.r);
    loopback_call_deinit(&c);
    end_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_waits),      cmocka_unit_test(test_wrong),
            cmocka_unit_test(test_refused),    cmocka_unit_test(test_too_many),
            cmocka_unit_test(test_disconnect),
    };

    return cmocka_run_group_tests_name("service/reload", tests, NULL, NULL);
}
