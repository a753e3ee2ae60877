// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * An engine with one namespace, one caller, one function and one worker, and short ways to bring a future into each
 * state. Time stands still unless a test moves it.
 */
#include "engine/engine.h"
#include "engine/lease.h"
#include "engine/state.h"
#include "tests/support/testing.h"

#define T0 (INT64_C(1700000000) * NS_PER_S)

struct fixture {
    struct engine *e;
    struct engine_config config;
    struct scope *scope;
    struct function *fn;
    struct holder *holder;
    mono_ns_t mono;
    wall_ns_t wall;
};

static inline void fixture_init(struct fixture *x)
{
    *x = (struct fixture){.config = engine_config_default(), .mono = 1000, .wall = T0};
    x->config.seed = (struct hash_seed){test_seed(), ~test_seed()};
    x->config.random = 7;
    assert_int_equal(engine_new(&x->e, &x->config), 0);
    engine_begin(x->e, x->mono, x->wall);
    x->scope = engine_scope(x->e, SPAN_LIT("ns"), SPAN_LIT("alice"));
    x->fn = engine_function_add(x->e, SPAN_LIT("echo"), SPAN_LIT("says it again"));
    assert_non_null(x->scope);
    assert_non_null(x->fn);
    assert_int_equal(engine_holder_new(x->e, SPAN_LIT("worker-1"), NULL, &x->holder), 0);
    assert_int_equal(engine_holder_serve(x->e, x->holder, x->fn), 0);
}

/* Give up all leases, check what is left and free it. */
static inline void fixture_deinit(struct fixture *x)
{
    struct list *l;

    mem_fail_at(0);
    while (x->holder && (l = list_first(&x->holder->leases)))
        assert_int_equal(engine_lose(x->e, LIST_ENTRY(l, struct lease, of_holder)), 0);
    engine_check(x->e);
    engine_holder_free(x->e, x->holder);
    while (list_pop_front(&x->e->effects.answers))
        ;
    assert_null(engine_free(x->e));
}

/* What a plain submission looks like; a test changes what it is about. The task is the caller's. */
static inline struct engine_submit fixture_in(struct fixture *x, struct bytes *task)
{
    return (struct engine_submit){
            .scope = x->scope,
            .function = SPAN_LIT("echo"),
            .task = task,
            .durability = DURABILITY_DURABLE,
            .on_lost = ON_LOST_RETRY,
            .retention_ns = -1,
    };
}

static inline int fixture_try_submit(struct fixture *x, const struct engine_submit *like, struct future **ret)
{
    struct engine_submit in = like ? *like : fixture_in(x, NULL);
    int r;

    if (!in.task)
        in.task = bytes_dup("task", 4);
    else
        bytes_ref(in.task);
    if (!in.task)
        return -ENOMEM;
    r = engine_submit(x->e, &in, ret);
    bytes_unref(in.task);
    return r;
}

static inline struct future *fixture_submit(struct fixture *x, const struct engine_submit *like)
{
    struct future *f = NULL;

    assert_int_equal(fixture_try_submit(x, like, &f), 0);
    return f;
}

static inline struct future *fixture_submit_group(struct fixture *x, const char *group)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.group = span_of_string(group);
    return fixture_submit(x, &in);
}

static inline struct lease *fixture_claim(struct fixture *x)
{
    struct lease *lease = NULL;

    assert_int_equal(engine_claim(x->e, x->holder, CLOCK_NEVER, 1, &lease), 1);
    return lease;
}

static inline struct lease *fixture_start(struct fixture *x)
{
    struct lease *lease = fixture_claim(x);

    assert_int_equal(engine_start(x->e, lease, x->wall), 0);
    return lease;
}

static inline struct finish fixture_result(const char *data)
{
    struct finish finish = {.data = bytes_dup(data, strlen(data)), .usage = {-1, -1, -1, -1}};

    assert_non_null(finish.data);
    return finish;
}

static inline struct finish fixture_error(const char *message)
{
    struct future_error error = {
            .code = 2, .reason = REASON_FUNCTION_ERROR, .message = span_of_string(message)};
    struct finish finish = {.error = future_error_new(&error), .usage = {-1, -1, -1, -1}};

    assert_non_null(finish.error);
    return finish;
}

static inline void fixture_succeed(struct fixture *x, struct lease *lease)
{
    struct finish finish = fixture_result("result");

    assert_int_equal(engine_finish(x->e, lease, &finish), 0);
    assert_null(finish.data);
}

static inline void fixture_fail(struct fixture *x, struct lease *lease)
{
    struct finish finish = fixture_error("no");

    assert_int_equal(engine_finish(x->e, lease, &finish), 0);
    assert_null(finish.error);
}

static inline struct effects *fixture_turn(struct fixture *x)
{
    struct effects *effects = engine_end(x->e);

    engine_check(x->e);
    engine_begin(x->e, x->mono, x->wall);
    return effects;
}

/* Let @ns pass on both clocks and do one turn. */
static inline struct effects *fixture_pass(struct fixture *x, int64_t ns)
{
    x->mono += ns;
    x->wall += ns;
    engine_begin(x->e, x->mono, x->wall);
    return fixture_turn(x);
}

static inline uint32_t list_length(const struct list *head)
{
    uint32_t n = 0;

    LIST_FOREACH (l, head)
        n++;
    return n;
}
