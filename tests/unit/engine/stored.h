// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The fixture with a store behind it: a commit is taken at once and durable when the test says so. */
#include "engine/restore.h"
#include "tests/unit/engine/fixture.h"

static inline void stored_init(struct fixture *x, uint64_t max_finished_bytes)
{
    *x = (struct fixture){.config = engine_config_default(), .mono = 1000, .wall = T0};
    x->config.seed = (struct hash_seed){test_seed(), ~test_seed()};
    x->config.random = 7;
    x->config.epoch = 3;
    x->config.has_store = 1;
    x->config.last_key = 1000;
    x->config.max_finished_bytes = max_finished_bytes;
    assert_int_equal(engine_new(&x->e, &x->config), 0);
    engine_begin(x->e, x->mono, x->wall);
    x->scope = engine_scope(x->e, SPAN_LIT("ns"), SPAN_LIT("alice"));
    x->fn = engine_function_add(x->e, SPAN_LIT("echo"), SPAN_LIT("says it again"));
    assert_non_null(x->scope);
    assert_non_null(x->fn);
    assert_int_equal(engine_holder_new(x->e, SPAN_LIT("worker-1"), NULL, &x->holder), 0);
    assert_int_equal(engine_holder_serve(x->e, x->holder, x->fn), 0);
}

/* One turn; its commit is handed over. The effects, facts included, are valid until stored_begin. */
static inline struct effects *stored_end(struct fixture *x)
{
    struct effects *effects = engine_end(x->e);

    engine_check(x->e);
    if (effects->is_commit)
        engine_taken(x->e);
    engine_check(x->e);
    return effects;
}

static inline void stored_begin(struct fixture *x)
{
    engine_begin(x->e, ++x->mono, ++x->wall);
    engine_check(x->e);
}

/* One turn whose commit is durable at its end; its number, 0 = there was none. */
static inline uint64_t stored_turn(struct fixture *x)
{
    struct effects *effects = stored_end(x);
    uint64_t seq = effects->is_commit ? effects->commit_seq : 0, ceiling = effects->key_ceiling;

    if (seq)
        engine_durable(x->e, seq);
    if (ceiling)
        engine_key_ceiling(x->e, ceiling);
    stored_begin(x);
    return seq;
}
