// SPDX-License-Identifier: Apache-2.0
/* The ring of events: what each change leaves there, what makes room, and what a future was like before. */
#include "engine/filter.h"
#include "engine/ring.h"
#include "tests/unit/engine/fixture.h"

static struct labels *one_label(const char *value)
{
    struct label label = {SPAN_LIT("k"), span_of_string(value)};
    struct labels *labels = labels_new(&label, 1);

    assert_non_null(labels);
    return labels;
}

/* The event @number is of @f, with this kind and this state before. */
static void expect(const struct fixture *x, uint64_t number, const struct future *f, enum ring_kind kind,
                   int state_before)
{
    const struct ring_event *event = ring_at(engine_ring(x->e), number);

    assert_non_null(event);
    assert_int_equal(id_compare(&event->id, &f->id), 0);
    assert_int_equal(event->kind, kind);
    assert_int_equal(event->state_before, state_before);
    assert_int_equal(event->time, x->wall);
    assert_int_equal(event->durability, DURABILITY_DURABLE);
}

static void test_life(void **state)
{
    struct fixture x;
    struct future *f;
    const struct ring *ring;

    fixture_init(&x);
    ring = engine_ring(x.e);
    fixture_submit(&x, NULL);
    assert_int_equal(ring->head, 0); /* nobody follows */
    fixture_succeed(&x, fixture_start(&x));
    assert_int_equal(engine_ring_keep(x.e, 16), 0);
    assert_int_equal(ring->head, 0);
    assert_int_equal(ring->epoch, x.wall / NS_PER_US);
    f = fixture_submit(&x, NULL);
    expect(&x, 1, f, RING_STATE, 0);
    assert_int_equal(ring_at(ring, 1)->revision, f->revision);
    fixture_claim(&x);
    assert_int_equal(ring->head, 1); /* reserved: nothing to see */
    assert_int_equal(engine_start(x.e, f->lease, x.wall), 0);
    expect(&x, 2, f, RING_STATE, FUTURE_PENDING);
    assert_int_equal(engine_annotate(x.e, f, one_label("a"), NULL), 0);
    expect(&x, 3, f, RING_LABELS, FUTURE_RUNNING);
    assert_null(ring_at(ring, 3)->labels_before);
    assert_int_equal(f->last_event, RING_LABELS);
    assert_int_equal(engine_annotate(x.e, f, one_label("b"), NULL), 0);
    assert_true(span_eq(ring_at(ring, 4)->labels_before->at[0].value, SPAN_LIT("a")));
    assert_int_equal(engine_cancel(x.e, f, x.scope, SPAN_LIT("why"), -1), 0);
    expect(&x, 5, f, RING_STATE, FUTURE_RUNNING);
    fixture_succeed(&x, f->lease);
    expect(&x, 6, f, RING_STATE, FUTURE_RUNNING);
    assert_int_equal(ring_at(ring, 6)->revision, f->revision);
    assert_int_equal(f->last_event, RING_STATE);
    assert_int_equal(ring->head, 6);
    assert_null(ring_at(ring, 0));
    assert_null(ring_at(ring, 7));
    assert_int_equal(engine_ring_keep(x.e, 1), 0); /* it is there already */
    assert_int_equal(ring->size, 16);
    fixture_deinit(&x);
}

/* With a store the epoch is that of the daemon. */
static void test_epoch(void **state)
{
    struct engine_config config = engine_config_default();
    struct engine *e;

    config.has_store = 1;
    config.epoch = 12;
    assert_int_equal(engine_new(&e, &config), 0);
    assert_int_equal(engine_ring_keep(e, 4), 0);
    assert_int_equal(engine_ring(e)->epoch, 12);
    engine_free(e);
    assert_int_equal(engine_new(&e, &config), 0);
    mem_fail_at(1);
    assert_int_equal(engine_ring_keep(e, 4), -ENOMEM);
    mem_fail_at(0);
    assert_null(engine_ring(e)->at);
    engine_free(e);
}

/* The newest ones stay, by number. */
static void test_room(void **state)
{
    enum { SIZE = 5, N = 23 };
    struct future *all[N];
    struct fixture x;

    fixture_init(&x);
    assert_int_equal(engine_ring_keep(x.e, SIZE), 0);
    for (uint64_t n = 1; n <= N; n++) {
        all[n - 1] = fixture_submit(&x, NULL);
        assert_int_equal(engine_ring(x.e)->head, n);
        assert_int_equal(engine_ring(x.e)->base, n > SIZE ? n - SIZE : 0);
        for (uint64_t i = 1; i <= n; i++) {
            if (i + SIZE <= n)
                assert_null(ring_at(engine_ring(x.e), i));
            else
                expect(&x, i, all[i - 1], RING_STATE, 0);
        }
        engine_check(x.e);
    }
    fixture_deinit(&x);
}

/* Labels that were are kept up to a bound of their own. */
static void test_labels_bound(void **state)
{
    enum { N = 10000 };
    static char value[LIMIT_LABEL_VALUE_BYTES + 1];
    struct fixture x;
    struct future *f;
    size_t most = 0;

    memset(value, 'v', LIMIT_LABEL_VALUE_BYTES);
    fixture_init(&x);
    assert_int_equal(engine_ring_keep(x.e, N), 0);
    f = fixture_submit(&x, NULL);
    for (int i = 0; i < N; i++) {
        assert_int_equal(engine_annotate(x.e, f, one_label(value), NULL), 0);
        assert_true(engine_ring(x.e)->labels_bytes <= RING_LABELS_BYTES);
        most = MAX(most, engine_ring(x.e)->labels_bytes);
    }
    assert_true(most > RING_LABELS_BYTES - 2 * LIMIT_LABEL_VALUE_BYTES);
    assert_true(engine_ring(x.e)->base > 0);
    assert_non_null(ring_at(engine_ring(x.e), N + 1));
    fixture_deinit(&x);
}

/* Whether @text holds of @f as it was before the event @number; 0: as it is. */
static int matches(const struct fixture *x, const struct future *f, const char *text, uint64_t number)
{
    uint32_t budget = UINT32_MAX;
    struct ring_before before;
    struct filter_future record = {.future = f, .now = x->wall};
    struct filter_subject subject = {engine_filter_get, &record};
    struct filter_problem problem;
    struct filter *filter;
    uint32_t cost = 0;
    int is;

    if (number) {
        before = ring_before(engine_ring(x->e), number, f, &budget);
        record.before = &before;
    }
    assert_int_equal(filter_parse(&filter, span_of_string(text), x->wall, &problem), 0);
    is = filter_match(filter, &subject, &cost);
    filter_unref(filter);
    return is;
}

static void test_before(void **state)
{
    struct fixture x;
    struct finish finish = fixture_error("no");
    struct future *f;

    fixture_init(&x);
    assert_int_equal(engine_ring_keep(x.e, 16), 0);
    f = fixture_submit(&x, NULL);
    assert_int_equal(engine_start(x.e, fixture_claim(&x), x.wall), 0);  /* 2 */
    assert_int_equal(engine_annotate(x.e, f, one_label("a"), NULL), 0); /* 3 */
    assert_int_equal(engine_annotate(x.e, f, one_label("b"), NULL), 0); /* 4 */
    assert_int_equal(engine_finish(x.e, f->lease, &finish), 0);         /* 5 */
    assert_true(matches(&x, f, "state = FAILED AND reason = FUNCTION_ERROR AND error = no", 0));
    assert_true(matches(&x, f, "state = PENDING AND function = echo AND NOT has k",
                        2)); /* its labels came later */
    assert_true(matches(&x, f, "state = RUNNING AND NOT has k", 3));
    assert_true(matches(&x, f, "state = RUNNING AND labels.k = a", 4));
    assert_false(matches(&x, f, "labels.k = b", 4));
    assert_true(matches(&x, f, "state = RUNNING AND labels.k = b", 5));
    assert_false(matches(&x, f, "reason = FUNCTION_ERROR", 5)); /* it had not ended */
    assert_false(matches(&x, f, "error = no", 5));
    assert_false(matches(&x, f, "end_time > 1970-01-01", 5));
    assert_true(matches(&x, f, "end_time > 1970-01-01", 0));
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_life),         cmocka_unit_test(test_epoch),  cmocka_unit_test(test_room),
            cmocka_unit_test(test_labels_bound), cmocka_unit_test(test_before),
    };

    return cmocka_run_group_tests_name("engine/ring", tests, NULL, NULL);
}
