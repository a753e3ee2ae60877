// SPDX-License-Identifier: Apache-2.0
/* Request IDs: for how long they are known, to whom, and how many. */
#include "engine/resend.h"
#include "tests/unit/engine/fixture.h"

static struct engine_submit sent(struct fixture *x, const char *request_id)
{
    struct engine_submit in = fixture_in(x, NULL);

    in.request_id = span_of_string(request_id);
    return in;
}

static struct future *again(struct fixture *x, const struct engine_submit *in)
{
    struct future *f = NULL;

    assert_int_equal(engine_join(x->e, in, &f), 0);
    return f;
}

static void end(struct fixture *x, struct future *f)
{
    assert_int_equal(engine_cancel(x->e, f, x->scope, (struct span){0}, -1), 0);
    fixture_turn(x);
}

static void test_known_for_ten_minutes(void **state)
{
    struct engine_submit in;
    struct future *f, *other;
    struct fixture x;

    fixture_init(&x);
    in = sent(&x, "r");
    assert_null(again(&x, &in));
    f = fixture_submit(&x, &in);
    assert_ptr_equal(again(&x, &in), f);
    in.scope = engine_scope(x.e, SPAN_LIT("ns"), SPAN_LIT("bob"));
    assert_null(again(&x, &in));
    in.scope = engine_scope(x.e, SPAN_LIT("other"), SPAN_LIT("alice"));
    assert_null(again(&x, &in));
    in.scope = x.scope;
    end(&x, f);
    fixture_pass(&x, RESEND_LOOK_NS);
    assert_ptr_equal(again(&x, &in), f);
    fixture_pass(&x, RESEND_LOOK_NS - 1);
    assert_ptr_equal(again(&x, &in), f);
    x.mono++;
    engine_begin(x.e, x.mono, x.wall);
    assert_null(again(&x, &in));
    assert_int_equal(x.e->resends.n, 0);
    other = fixture_submit(&x, &in);
    assert_ptr_not_equal(other, f);
    assert_ptr_equal(again(&x, &in), other);
    fixture_deinit(&x);
}

/* Who waits for a long task, and loses its connection, sends it again under its ID: however long ago it was accepted. */
static void test_known_while_active(void **state)
{
    struct engine_submit in;
    struct future *f;
    struct fixture x;

    fixture_init(&x);
    in = sent(&x, "r");
    f = fixture_submit(&x, &in);
    for (int i = 0; i < 7; i++) {
        fixture_pass(&x, RESEND_LOOK_NS);
        assert_ptr_equal(again(&x, &in), f);
    }
    fixture_pass(&x, RESEND_LOOK_NS - 1);
    end(&x, f);
    fixture_pass(&x, 1);
    assert_ptr_equal(again(&x, &in), f);
    fixture_pass(&x, RESEND_LOOK_NS - 1); /* and as long after its end */
    assert_ptr_equal(again(&x, &in), f);
    fixture_pass(&x, 1);
    assert_null(again(&x, &in));
    fixture_deinit(&x);
}

/* A request ID outlives what it made: the same again is accepted again. */
static void test_deleted(void **state)
{
    struct engine_submit in;
    struct future *f;
    struct fixture x;

    fixture_init(&x);
    in = sent(&x, "r");
    f = fixture_submit(&x, &in);
    assert_int_equal(engine_cancel(x.e, f, x.scope, (struct span){0}, -1), 0);
    fixture_turn(&x);
    assert_int_equal(engine_delete(x.e, f), 0);
    assert_null(again(&x, &in)); /* what is not there cannot be joined */
    assert_non_null(engine_find_request(x.e, x.scope, SPAN_LIT("r")));
    f = fixture_submit(&x, &in);
    assert_ptr_equal(again(&x, &in), f);
    fixture_deinit(&x);
}

/* Of the first ten, the even ones go on; of the others none. */
static int is_even_of_ten(const void *arg, const struct id *id)
{
    uint64_t i = id_key(id) - 1;

    (void)arg;
    return i < 10 && i % 2 == 0;
}

static int is_known(const struct resend_set *s, const struct scope *scope, uint64_t i)
{
    return !!resend_find(s, scope, (struct span){(const uint8_t *)&i, sizeof i});
}

static void test_bounded(void **state)
{
    struct limits_account account = {0};
    const struct scope *scope;
    struct resend_set s;
    struct fixture x;

    fixture_init(&x);
    scope = x.scope;
    resend_set_init(&s, &x.config.seed, &account, is_even_of_ten, NULL);
    for (uint64_t i = 0; i < RESEND_MAX + 10; i++) {
        struct id id = id_make(i + 1, i);

        assert_int_equal(resend_add(&s, scope, (struct span){(const uint8_t *)&i, sizeof i}, &id, 100), 0);
    }
    assert_int_equal(s.n, RESEND_MAX);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(is_known(&s, scope, i), i >= 15 || (i < 10 && i % 2 == 0));
    assert_true(account.n_bytes == resend_bytes(&s));
    resend_tidy(&s, 100 + RESEND_LOOK_NS, 7);
    assert_int_equal(s.n, RESEND_MAX); /* seven are known to have ended */
    resend_set_deinit(&s);
    assert_true(account.n_bytes == 0);
    fixture_deinit(&x);
}

static int is_always(const void *arg, const struct id *id)
{
    (void)arg, (void)id;
    return 1;
}

/* What has not ended is not forgotten for newer ones, and costs each of them a few looks. */
static void test_all_active(void **state)
{
    struct limits_account account = {0};
    struct resend_set s;
    struct fixture x;

    fixture_init(&x);
    resend_set_init(&s, &x.config.seed, &account, is_always, NULL);
    for (uint64_t i = 0; i < RESEND_MAX + 10; i++) {
        struct id id = id_make(i + 1, i);

        assert_int_equal(resend_add(&s, x.scope, (struct span){(const uint8_t *)&i, sizeof i}, &id, 100), 0);
    }
    assert_int_equal(s.n, RESEND_MAX + 10);
    for (uint64_t i = 0; i < 20; i++)
        assert_true(is_known(&s, x.scope, i));
    resend_set_deinit(&s);
    fixture_deinit(&x);
}

static void test_fail_each_allocation(void **state)
{
    struct fixture x;

    fixture_init(&x);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct limits_account account = {0};
        struct id id = id_make(1, 1);
        struct resend_set s;
        int r;

        resend_set_init(&s, &x.config.seed, &account, is_always, NULL);
        r = resend_add(&s, x.scope, SPAN_LIT("r"), &id, 100);
        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        assert_int_equal(s.n, r == 0);
        resend_set_deinit(&s);
        assert_true(account.n_bytes == 0);
    }
    fixture_deinit(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known_for_ten_minutes),
            cmocka_unit_test(test_known_while_active),
            cmocka_unit_test(test_deleted),
            cmocka_unit_test(test_bounded),
            cmocka_unit_test(test_all_active),
            cmocka_unit_test(test_fail_each_allocation),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
