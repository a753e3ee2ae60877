// SPDX-License-Identifier: Apache-2.0
/* What each principal's finished futures take: the account says what lies there, whatever came and went. */
#include "store/ledger.h"
#include "tests/unit/store/sql.h"

#define HOUR (3600 * NS_PER_S)
#define ALL                                                   \
    "SELECT (SELECT coalesce(sum(length(rec)), 0) FROM done)" \
    " + (SELECT coalesce(sum(length(data)), 0) FROM blob)"    \
    " + (SELECT coalesce(sum(length(data)), 0) FROM chunk)"

struct seen {
    int n;
    uint64_t bytes;
};

static void on_account(void *user, struct span name, uint64_t bytes)
{
    struct seen *seen = user;

    assert_true(span_eq(name, SPAN_LIT("uid:1000/")));
    seen->n++;
    seen->bytes = bytes;
}

/* The account has changed, and is what the tables have. */
static void assert_account(struct fixture *fx)
{
    struct seen seen = {0};

    store_take_ledger(fx->store, on_account, &seen);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.bytes, sql_number(fx->path, ALL));
    assert_int_equal(seen.bytes ? (int64_t)seen.bytes : -1,
                     sql_number(fx->path,
                                "SELECT cast(value AS INTEGER) FROM settings WHERE name='stored.uid:1000/'"));
}

static void assert_unchanged(struct fixture *fx)
{
    struct seen seen = {0};

    store_take_ledger(fx->store, on_account, &seen);
    assert_int_equal(seen.n, 0);
}

static void delete (struct fixture *fx, const struct sample *s)
{
    struct batch *b = fixture_batch(fx);

    assert_int_equal(batch_delete(b, &s->future.id), 0);
    fixture_write(fx, b);
}

static void sweep(struct fixture *fx, wall_ns_t now)
{
    struct store_swept swept = {0};

    assert_int_equal(
            store_sweep(fx->store, &(struct store_sweep){.now = now, .max = 10}, &swept, &fx->problem), 0);
}

static void test_what_comes_and_goes(void **state)
{
    struct sample *s = sample_plain(1), *told = sample_plain(2), *live = sample_plain(3);
    struct fixture fx;

    fixture_start(&fx);
    fixture_write_one(&fx, BATCH_PUT_LIVE, s);
    fixture_write_one(&fx, BATCH_PUT_LIVE, live);
    assert_unchanged(&fx); /* nothing has finished */
    sample_finish(s, sample_long(3000, 1), HOUR / 2);
    fixture_write_one(&fx, BATCH_FINISH, s);
    fixture_write_one(&fx, BATCH_PUT_DONE, s); /* the same once more */
    delete (&fx, live);
    {
        struct seen seen = {0};

        store_take_ledger(fx.store, on_account, &seen);
        assert_true(seen.bytes > 3000);
    }
    sample_tell(told);
    sample_finish(told, sample_bytes("x"), 3 * HOUR);
    fixture_write_one(&fx, BATCH_FINISH_NEW, told);
    {
        struct seen seen = {0};

        store_take_ledger(fx.store, on_account, &seen);
        assert_int_equal(seen.n, 1);
        assert_int_equal(seen.bytes, sql_number(fx.path, "SELECT sum(length(rec)) FROM done") +
                                             sql_number(fx.path, "SELECT sum(length(data)) FROM chunk") +
                                             3000);
    }
    fixture_close(&fx);
    fixture_open(&fx); /* all are told anew */
    {
        struct seen seen = {0};

        store_take_ledger(fx.store, on_account, &seen);
        assert_int_equal(seen.n, 1);
    }
    told->outcome.expire_time += HOUR;
    fixture_write_one(&fx, BATCH_PUT_DONE, told);
    sweep(&fx, SAMPLE_TIME + HOUR);
    assert_account(&fx);
    delete (&fx, told);
    assert_account(&fx);
    sample_free(s);
    sample_free(told);
    sample_free(live);
    fixture_end(&fx);
}

/* What was rolled back has taken nothing. */
static void test_a_transaction_that_fails(void **state)
{
    struct sample *s = sample_plain(1), *twice = sample_plain(2);
    struct fixture fx;
    struct batch *b;

    fixture_start(&fx);
    sample_finish(s, sample_long(3000, 1), HOUR);
    fixture_write_one(&fx, BATCH_FINISH_NEW, s);
    assert_account(&fx);
    sample_finish(twice, sample_long(3000, 1), HOUR);
    b = fixture_batch(&fx);
    fixture_put(b, BATCH_FINISH_NEW, twice);
    fixture_put(b, BATCH_FINISH_NEW, s);
    assert_int_not_equal(fixture_try_write(&fx, b), 0);
    assert_unchanged(&fx);
    sample_free(s);
    sample_free(twice);
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_comes_and_goes),
            cmocka_unit_test(test_a_transaction_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
