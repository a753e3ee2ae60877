// SPDX-License-Identifier: Apache-2.0
/* A retry: what it has of the one before, that both know each other from one commit on, and that there is one. */
#include "engine/filter.h"
#include "tests/unit/engine/stored.h"

static const struct label red = {SPAN_LIT("color"), SPAN_LIT("red")};

static struct future *failed(struct fixture *x, enum durability durability)
{
    struct engine_submit in = fixture_in(x, NULL);
    struct future *f;

    in.group = SPAN_LIT("g");
    in.durability = durability;
    in.key = SPAN_LIT("k");
    f = fixture_submit(x, &in);
    fixture_fail(x, fixture_start(x));
    assert_int_equal(engine_annotate(x->e, f, labels_new(&red, 1), NULL), 0);
    return f;
}

static int try_retry(struct fixture *x, struct future *of, struct future **ret)
{
    struct engine_submit in = fixture_in(x, bytes_ref(of->task));
    int r;

    in.durability = (enum durability)of->durability;
    r = engine_retry(x->e, of, &in, ret);
    bytes_unref(in.task);
    return r;
}

static struct future *retry(struct fixture *x, struct future *of)
{
    struct future *f = NULL;

    assert_int_equal(try_retry(x, of, &f), 0);
    engine_check(x->e);
    return f;
}

static void assert_is(const struct id *id, const struct future *f)
{
    assert_non_null(id);
    assert_memory_equal(id, &f->id, sizeof *id);
}

static void test_what_it_has(void **state)
{
    struct fixture x;
    struct future *of, *f;
    uint64_t revision;

    fixture_init(&x);
    of = failed(&x, DURABILITY_DURABLE);
    assert_null(future_retried_by(of));
    assert_null(future_retry_of(of));
    revision = of->revision;
    f = retry(&x, of);
    assert_is(future_retry_of(f), of);
    assert_is(future_retried_by(of), f);
    assert_null(future_retried_by(f));
    assert_true(of->revision > revision);
    assert_int_equal(of->state, FUTURE_FAILED);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_ptr_equal(f->task, of->task);
    assert_true(span_eq(future_group(f), SPAN_LIT("g")));
    assert_int_equal(engine_group_size(x.e, x.scope, SPAN_LIT("g")), 2);
    assert_int_equal(future_key(f).len, 0);
    assert_true(span_eq(future_key(of), SPAN_LIT("k")));
    assert_int_equal(f->labels->n, 1);
    assert_true(span_eq(f->labels->at[0].value, SPAN_LIT("red")));
    assert_true(f->labels != of->labels);
    assert_ptr_equal(fixture_claim(&x)->future, f);
    fixture_deinit(&x);
}

/* Once more on the same: no. On the retry, when that has failed: yes. */
static void test_one_each(void **state)
{
    struct fixture x;
    struct future *of, *f, *other = NULL;

    fixture_init(&x);
    of = failed(&x, DURABILITY_DURABLE);
    f = retry(&x, of);
    assert_int_equal(try_retry(&x, of, &other), ENGINE_E_RETRIED);
    assert_int_equal(try_retry(&x, f, &other), ENGINE_E_NOT_FAILED);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    other = retry(&x, f);
    assert_is(future_retried_by(f), other);
    assert_is(future_retry_of(other), f);
    assert_is(future_retried_by(of), f);
    assert_int_equal(engine_delete(x.e, f), 0); /* and neither side keeps the other */
    engine_check(x.e);
    assert_int_equal(try_retry(&x, of, &other), ENGINE_E_RETRIED);
    fixture_deinit(&x);
}

/* Its limits are those of any submission, and what was refused has changed nothing. */
static void test_refused(void **state)
{
    struct fixture x;
    struct future *of, *f = NULL;
    uint64_t revision;

    fixture_init(&x);
    of = failed(&x, DURABILITY_DURABLE);
    revision = of->revision;
    assert_int_equal(engine_configure(x.e, x.fn, &(struct function_limits){.max_pending = 1}), 0);
    fixture_submit(&x, NULL);
    assert_int_equal(try_retry(&x, of, &f), ENGINE_E_FULL_FUNCTION);
    assert_null(future_retried_by(of));
    assert_int_equal(of->revision, revision);
    assert_int_equal(engine_configure(x.e, x.fn, &(struct function_limits){0}), 0);
    x.e->account.limits.max_memory_bytes = x.e->account.n_bytes + 1;
    assert_int_equal(try_retry(&x, of, &f), ENGINE_E_FULL_MEMORY);
    x.e->account.limits.max_memory_bytes = UINT64_MAX;
    retry(&x, of);
    fixture_deinit(&x);
}

static void test_is_one_commit(void **state)
{
    struct effects *effects;
    struct fixture x;
    struct future *of, *f;
    int n_seen = 0;

    stored_init(&x, UINT64_MAX);
    of = failed(&x, DURABILITY_DURABLE);
    stored_turn(&x);
    f = retry(&x, of);
    assert_int_equal(f->commit_seq, of->commit_seq);
    effects = stored_end(&x);
    assert_true(effects->is_commit);
    assert_int_equal(effects->commit_seq, f->commit_seq);
    for (size_t i = 0; i < effects->n_facts; i++)
        n_seen += effects->facts[i] == f || effects->facts[i] == of;
    assert_int_equal(n_seen, 2);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* A commit that the store could not take is the next one's, and still has both. */
static void test_a_commit_put_off(void **state)
{
    struct fixture x;
    struct future *of, *f;

    stored_init(&x, UINT64_MAX);
    of = failed(&x, DURABILITY_DURABLE);
    stored_turn(&x);
    f = retry(&x, of);
    engine_end(x.e);
    engine_defer(x.e);
    stored_begin(&x);
    assert_int_equal(stored_end(&x)->n_facts, 2);
    assert_int_equal(f->commit_seq, of->commit_seq);
    stored_begin(&x);
    fixture_deinit(&x);
}

/* Of an EPHEMERAL one nothing goes to the store. What leaves memory is counted as it has become. */
static void test_in_memory(void **state)
{
    struct fixture x;
    struct future *of, *f;

    stored_init(&x, 0);
    of = failed(&x, DURABILITY_EPHEMERAL);
    f = retry(&x, of);
    assert_int_equal(f->durability, DURABILITY_EPHEMERAL);
    assert_int_equal(stored_end(&x)->n_facts, 0);
    stored_begin(&x);
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT(""), -1), 0);
    assert_int_equal(engine_delete(x.e, of), 0); /* with its key */
    of = failed(&x, DURABILITY_DURABLE);
    retry(&x, of);
    stored_turn(&x); /* what could leave memory has left it, and engine_check has counted */
    stored_turn(&x);
    assert_int_equal(engine_stats(x.e).n_finished_bytes, 0);
    fixture_deinit(&x);
}

static void test_filter(void **state)
{
    struct filter_value v;
    struct fixture x;
    struct future *of, *f;
    struct filter_future is;

    fixture_init(&x);
    of = failed(&x, DURABILITY_DURABLE);
    f = retry(&x, of);
    is = (struct filter_future){.future = of, .now = x.wall};
    assert_int_equal(engine_filter_get(&is, FILTER_RETRIED, (struct span){0}, 0, &v), 1);
    assert_int_equal(v.number, 1);
    assert_int_equal(engine_filter_get(&is, FILTER_RETRY_OF, (struct span){0}, 0, &v), 0);
    is.future = f;
    assert_int_equal(engine_filter_get(&is, FILTER_RETRIED, (struct span){0}, 0, &v), 1);
    assert_int_equal(v.number, 0);
    assert_int_equal(engine_filter_get(&is, FILTER_RETRY_OF, (struct span){0}, 0, &v), 1);
    assert_is(&v.id, of);
    fixture_deinit(&x);
}

static void test_comes_back(void **state)
{
    struct restored in = {
            .id = id_make(500, 1),
            .state = FUTURE_CANCELLED,
            .on_lost = ON_LOST_RETRY,
            .submit_time = T0,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .namespace = SPAN_LIT("ns"),
            .principal = SPAN_LIT("alice"),
            .has_error = 1,
            .error = {.reason = REASON_CANCELLED},
            .end_time = T0,
            .expire_time = T0 + NS_PER_S,
            .retried_by = id_make(600, 1),
            .task = bytes_dup("task", 4),
    };
    struct future *of, *f, *other;
    struct fixture x;

    stored_init(&x, UINT64_MAX);
    assert_int_equal(engine_restore(x.e, &in, &of), 0);
    engine_check(x.e);
    assert_memory_equal(future_retried_by(of), &in.retried_by, sizeof in.retried_by);
    assert_int_equal(try_retry(&x, of, &other), ENGINE_E_RETRIED);
    in.retry_of = in.id;
    in.id = in.retried_by;
    in.retried_by = (struct id){0};
    in.state = FUTURE_PENDING;
    in.has_error = 0;
    assert_int_equal(engine_restore(x.e, &in, &f), 0);
    engine_check(x.e);
    assert_is(future_retry_of(f), of);
    bytes_unref(in.task);
    fixture_deinit(&x);
}

static void test_fails_each_allocation(void **state)
{
    int has_failed = 1, n = 0;

    for (uint64_t nth = 1; has_failed; nth++) {
        struct future *of, *f = NULL;
        struct engine_stats before;
        struct fixture x;
        int r;

        fixture_init(&x);
        of = failed(&x, DURABILITY_DURABLE);
        before = engine_stats(x.e);
        mem_fail_at(nth);
        r = try_retry(&x, of, &f);
        has_failed = test_allocation_failed();
        mem_fail_at(0);
        engine_check(x.e);
        assert_int_equal(r, has_failed ? -ENOMEM : 0);
        if (has_failed) {
            assert_null(future_retried_by(of));
            assert_int_equal(engine_stats(x.e).n_futures, before.n_futures);
            f = retry(&x, of);
            n++;
        }
        assert_is(future_retry_of(f), of);
        fixture_deinit(&x);
    }
    assert_true(n >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_it_has),
            cmocka_unit_test(test_one_each),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_is_one_commit),
            cmocka_unit_test(test_a_commit_put_off),
            cmocka_unit_test(test_in_memory),
            cmocka_unit_test(test_filter),
            cmocka_unit_test(test_comes_back),
            cmocka_unit_test(test_fails_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
