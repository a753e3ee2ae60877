// SPDX-License-Identifier: Apache-2.0
/* Finished futures leave memory when there is too much of them, and what the store is told meanwhile. */
#include "engine/cache.h"
#include "tests/unit/engine/stored.h"

static struct future *finish_one(struct fixture *x)
{
    struct future *f = fixture_submit(x, NULL);

    fixture_succeed(x, fixture_start(x));
    return f;
}

static int is_there(struct fixture *x, const struct id *id)
{
    return engine_find_any(x->e, id) != NULL;
}

/* Only what is durable goes, oldest first, and no more than needed. */
static void test_oldest_goes(void **state)
{
    struct fixture x;
    struct id ids[3];
    uint64_t each;

    stored_init(&x, UINT64_MAX);
    for (int i = 0; i < 3; i++)
        ids[i] = finish_one(&x)->id;
    each = engine_stats(x.e).n_finished_bytes / 3;
    x.e->config.max_finished_bytes = 2 * each;
    stored_end(&x);
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 3); /* not durable yet */
    engine_durable(x.e, engine_end(x.e)->commit_seq);
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 2);
    assert_int_equal(is_there(&x, &ids[0]), 0);
    assert_int_equal(engine_stats(x.e).n_evicted, 1);
    assert_int_equal(engine_stats(x.e).n_finished_bytes, 2 * each);
    assert_int_equal(engine_end(x.e)->n_forgotten, 0); /* gone from memory, not for good */
    fixture_deinit(&x);
}

static void test_what_is_pinned_stays(void **state)
{
    struct fixture x;
    struct future *f;
    struct id other;

    stored_init(&x, 0);
    f = finish_one(&x);
    engine_pin(x.e, f);
    other = finish_one(&x)->id;
    stored_turn(&x);
    assert_int_equal(is_there(&x, &other), 0);
    assert_int_equal(is_there(&x, &f->id), 1);
    other = f->id;
    engine_unpin(x.e, f);
    stored_turn(&x);
    assert_int_equal(is_there(&x, &other), 0);
    fixture_deinit(&x);
}

/* What only memory has, and what has not ended; but members of groups do. */
static void test_who_never_goes(void **state)
{
    struct engine_submit in;
    struct fixture x;

    stored_init(&x, 0);
    in = fixture_in(&x, NULL);
    in.group = SPAN_LIT("g");
    fixture_submit(&x, &in);
    fixture_succeed(&x, fixture_start(&x));
    in = fixture_in(&x, NULL);
    in.durability = DURABILITY_EPHEMERAL;
    fixture_submit(&x, &in);
    fixture_succeed(&x, fixture_start(&x));
    fixture_submit(&x, NULL);
    stored_turn(&x);
    stored_turn(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 2);
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("g")), 0);
    assert_int_equal(x.e->groups.table.n_items, 0);
    fixture_deinit(&x);
}

/* At most so many a turn; the next turn is asked for. */
static void test_bounded(void **state)
{
    enum { N = STATE_EVICT_PER_TURN + 10 };
    struct effects *effects;
    struct fixture x;

    stored_init(&x, 0);
    for (int i = 0; i < N; i++)
        finish_one(&x);
    effects = stored_end(&x);
    engine_durable(x.e, effects->commit_seq);
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 10);
    assert_int_equal(engine_end(x.e)->next, x.mono);
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 0);
    assert_int_equal(engine_end(x.e)->next, CLOCK_NEVER);
    fixture_deinit(&x);
}

/* Pinned ones do not keep the loop busy. */
static void test_nothing_to_gain(void **state)
{
    struct fixture x;

    stored_init(&x, 0);
    for (int i = 0; i < STATE_EVICT_PER_TURN + 10; i++)
        engine_pin(x.e, finish_one(&x));
    stored_turn(&x);
    assert_true(engine_end(x.e)->next > x.mono);
    assert_int_equal(x.e->cache.is_behind, 0);
    assert_int_equal(engine_stats(x.e).n_futures, STATE_EVICT_PER_TURN + 10);
    while (engine_stats(x.e).n_futures) {
        struct order_place place;
        struct future *f = order_seek(&x.e->order, 0, 0, &place);

        engine_unpin(x.e, f);
        assert_int_equal(engine_delete(x.e, f), 0);
    }
    stored_turn(&x);
    fixture_deinit(&x);
}

static void test_labels_count(void **state)
{
    struct label label = {SPAN_LIT("k"), SPAN_LIT("a long value")};
    struct fixture x;
    struct future *f;
    uint64_t before;

    stored_init(&x, UINT64_MAX);
    f = finish_one(&x);
    before = engine_stats(x.e).n_finished_bytes;
    assert_int_equal(engine_annotate(x.e, f, labels_new(&label, 1), NULL), 0);
    assert_true(engine_stats(x.e).n_finished_bytes > before);
    engine_check(x.e);
    assert_int_equal(engine_annotate(x.e, f, NULL, NULL), 0);
    assert_int_equal(engine_stats(x.e).n_finished_bytes, before);
    fixture_deinit(&x);
}

/* While the disk is read what has changed since the read began stays: what is read of it is too old. */
static void test_kept_while_read(void **state)
{
    struct fixture x;

    stored_init(&x, 0);
    finish_one(&x);
    engine_keep_since(x.e, 0);
    stored_turn(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 1);
    engine_keep_since(x.e, UINT64_MAX);
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 0);
    fixture_deinit(&x);
}

/* ---- what the store is told */

static void test_deleted(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *f;
    struct id id;

    stored_init(&x, UINT64_MAX);
    f = finish_one(&x);
    id = f->id;
    stored_turn(&x);
    assert_int_equal(engine_deleted_seq(x.e), 0);
    assert_int_equal(engine_delete(x.e, f), 0);
    effects = engine_end(x.e);
    assert_int_equal(effects->is_commit, 1);
    assert_int_equal(effects->n_facts, 0);
    assert_int_equal(effects->n_forgotten, 1);
    assert_memory_equal(&effects->forgotten[0], &id, sizeof id);
    assert_int_equal(engine_deleted_seq(x.e), effects->commit_seq);
    engine_taken(x.e);
    stored_begin(&x);
    assert_int_equal(engine_end(x.e)->n_forgotten, 0);
    fixture_deinit(&x);
}

/* Accepted, finished and deleted in one turn: the store hears nothing, but who waits for the commit gets it. */
static void test_deleted_before_it_was_stored(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *f;
    uint64_t seq;

    stored_init(&x, UINT64_MAX);
    stored_turn(&x);
    f = finish_one(&x);
    seq = engine_shown(x.e, f);
    assert_int_equal(engine_delete(x.e, f), 0);
    effects = stored_end(&x);
    assert_int_equal(effects->is_commit, 1);
    assert_int_equal(effects->commit_seq, seq);
    assert_int_equal(effects->n_facts + effects->n_forgotten, 0);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* What has expired the store finds by itself. */
static void test_expired(void **state)
{
    struct engine_submit in;
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    in = fixture_in(&x, NULL);
    in.retention_ns = 10;
    fixture_submit(&x, &in);
    fixture_succeed(&x, fixture_start(&x));
    stored_turn(&x);
    x.wall += 100;
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 0);
    assert_int_equal(stored_end(&x)->is_commit, 0);
    fixture_deinit(&x);
}

/* Its retention is over before its end is durable: what the disk says of it until then is not how it was, so nobody may read
 * that, were the clock set back. */
static void test_expired_before_it_was_durable(void **state)
{
    struct engine_submit in;
    struct fixture x;
    uint64_t seq;

    stored_init(&x, UINT64_MAX);
    in = fixture_in(&x, NULL);
    in.retention_ns = 10;
    fixture_submit(&x, &in);
    stored_turn(&x);
    fixture_succeed(&x, fixture_start(&x));
    seq = stored_end(&x)->commit_seq;
    x.wall += 100;
    stored_begin(&x);
    assert_int_equal(engine_stats(x.e).n_futures, 0);
    assert_int_equal(engine_deleted_seq(x.e), seq);
    fixture_deinit(&x);
}

/* That an attempt has begun waits for the next commit, unless somebody is shown it. */
static void test_started_is_lazy(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *f;
    uint64_t seq;

    stored_init(&x, UINT64_MAX);
    f = fixture_submit(&x, NULL);
    stored_turn(&x);
    fixture_start(&x);
    assert_int_equal(engine_is_urgent(x.e), 0);
    assert_int_equal(stored_end(&x)->is_commit, 0);
    stored_begin(&x);
    seq = engine_shown(x.e, f);
    assert_int_equal(engine_is_urgent(x.e), 1);
    effects = stored_end(&x);
    assert_int_equal(effects->is_commit, 1);
    assert_int_equal(effects->commit_seq, seq);
    assert_int_equal(effects->n_facts, 1);
    stored_begin(&x);
    assert_int_equal(engine_shown(x.e, f), seq);
    assert_int_equal(engine_is_urgent(x.e), 0); /* it is on its way already */
    fixture_deinit(&x);
}

static void test_deferred(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *f, *g, *lazy;
    struct id deleted;
    uint64_t seq, ceiling;

    stored_init(&x, UINT64_MAX);
    f = finish_one(&x);
    effects = stored_end(&x);
    ceiling = effects->key_ceiling;
    assert_true(ceiling > 0);
    engine_durable(x.e, effects->commit_seq);
    stored_begin(&x);
    deleted = f->id;
    assert_int_equal(engine_delete(x.e, f), 0);
    f = fixture_submit(&x, NULL);
    (void)engine_shown(x.e, f);
    lazy = fixture_submit(&x, NULL);
    effects = engine_end(x.e);
    seq = effects->commit_seq;
    assert_int_equal(lazy->commit_seq, seq + 1);
    engine_defer(x.e);
    engine_check(x.e);
    assert_int_equal(lazy->commit_seq, seq);
    assert_int_equal(effects->is_commit, 0);
    assert_int_equal(engine_is_urgent(x.e), 1);
    stored_begin(&x);
    g = fixture_submit(&x, NULL);
    (void)engine_shown(x.e, g);
    effects = engine_end(x.e);
    assert_int_equal(effects->commit_seq, seq);
    assert_int_equal(effects->n_facts, 2);
    assert_int_equal(lazy->fact, FACT_LAZY);
    assert_ptr_equal(effects->facts[0], f);
    assert_ptr_equal(effects->facts[1], g);
    assert_int_equal(effects->n_forgotten, 1);
    assert_memory_equal(&effects->forgotten[0], &deleted, sizeof deleted);
    engine_taken(x.e);
    stored_begin(&x);
    fixture_deinit(&x);
}

static void test_first_and_later_facts(void **state)
{
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    f = fixture_submit(&x, NULL);
    assert_int_equal(engine_fact_is_first(f), 1);
    stored_turn(&x);
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(engine_fact_is_first(f), 1);
    stored_turn(&x);
    assert_int_equal(engine_annotate(x.e, f, NULL, NULL), 0);
    assert_int_equal(engine_fact_is_first(f), 0);
    fixture_deinit(&x);
}

/* ---- keys */

/* The first turn asks; half a minute of keys later it asks again; an idle engine never does. */
static void test_key_ceiling(void **state)
{
    struct effects *effects;
    struct fixture x;
    uint64_t first;

    stored_init(&x, UINT64_MAX);
    effects = stored_end(&x);
    first = effects->key_ceiling;
    assert_true(first > (uint64_t)(x.wall / NS_PER_MS + 50000) << 12);
    engine_key_ceiling(x.e, first);
    stored_begin(&x);
    assert_int_equal(stored_end(&x)->key_ceiling, 0);
    x.wall += 3600 * NS_PER_S;
    stored_begin(&x);
    assert_int_equal(stored_end(&x)->is_commit, 0);
    fixture_deinit(&x);
}

/* Nobody is shown an ID above the ceiling: what only memory has waits for the commit that raises it. */
static void test_key_above_ceiling_is_shown_later(void **state)
{
    struct engine_submit in;
    struct effects *effects;
    struct fixture x;
    struct future *f;

    stored_init(&x, UINT64_MAX);
    in = fixture_in(&x, NULL);
    in.durability = DURABILITY_EPHEMERAL;
    f = fixture_submit(&x, &in);
    assert_true(engine_shown(x.e, f) > 0);
    effects = stored_end(&x);
    assert_int_equal(effects->is_commit, 1);
    assert_int_equal(effects->commit_seq, f->commit_seq);
    assert_true(effects->key_ceiling >= id_key(&f->id));
    engine_key_ceiling(x.e, effects->key_ceiling);
    stored_begin(&x);
    f = fixture_submit(&x, &in);
    assert_int_equal(engine_shown(x.e, f), 0);
    assert_int_equal(stored_end(&x)->is_commit, 0);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* A store that does not answer for as long as there are keys. */
static void test_no_keys(void **state)
{
    struct effects *effects;
    struct future *f = NULL;
    struct fixture x;
    uint64_t ceiling;

    stored_init(&x, UINT64_MAX);
    fixture_submit(&x, NULL);
    effects = stored_end(&x);
    ceiling = effects->key_ceiling;
    x.wall += 59 * NS_PER_S;
    stored_begin(&x);
    fixture_submit(&x, NULL);
    assert_int_equal(stored_end(&x)->key_ceiling, 0); /* asked already */
    x.wall += 2 * NS_PER_S;
    stored_begin(&x);
    assert_int_equal(fixture_try_submit(&x, NULL, &f), ENGINE_E_NO_KEYS);
    engine_key_ceiling(x.e, ceiling);
    fixture_submit(&x, NULL);
    assert_true(stored_end(&x)->key_ceiling > ceiling);
    stored_begin(&x);
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_oldest_goes),
            cmocka_unit_test(test_what_is_pinned_stays),
            cmocka_unit_test(test_who_never_goes),
            cmocka_unit_test(test_bounded),
            cmocka_unit_test(test_nothing_to_gain),
            cmocka_unit_test(test_labels_count),
            cmocka_unit_test(test_deleted),
            cmocka_unit_test(test_deleted_before_it_was_stored),
            cmocka_unit_test(test_expired),
            cmocka_unit_test(test_started_is_lazy),
            cmocka_unit_test(test_expired_before_it_was_durable),
            cmocka_unit_test(test_kept_while_read),
            cmocka_unit_test(test_deferred),
            cmocka_unit_test(test_first_and_later_facts),
            cmocka_unit_test(test_key_ceiling),
            cmocka_unit_test(test_key_above_ceiling_is_shown_later),
            cmocka_unit_test(test_no_keys),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
