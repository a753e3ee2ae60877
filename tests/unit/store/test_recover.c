// SPDX-License-Identifier: Apache-2.0
#include "store/recover.h"
#include "tests/unit/store/sql.h"

struct seen {
    uint32_t n_settings, n_records, n_damaged;
    uint64_t last_key;
    int stop_at; /* record at which to fail; 0 = none */
    int setting_answer;
    struct bytes *taken;
};

static int on_setting(void *user, const struct store_setting *setting)
{
    struct seen *seen = user;

    seen->n_settings++;
    return seen->setting_answer;
}

static int on_record(void *user, struct store_item *item)
{
    struct seen *seen = user;
    struct sample *s = sample_plain((uint32_t)(id_key(&item->id) - sample_key(0)));

    assert_true(id_key(&item->id) > seen->last_key);
    seen->last_key = id_key(&item->id);
    seen->n_records++;
    if (item->result != 0) {
        seen->n_damaged++;
    } else if (item->task) {
        assert_int_equal(item->record.task.len, item->task->len);
        seen->taken = TAKE_PTR(item->task); /* as the engine does */
    } else {
        sample_assert(&item->record, s);
    }
    sample_free(s);
    return seen->stop_at && (int)seen->n_records == seen->stop_at ? 55 : 0;
}

/* @n live futures; the 7th has a long task, the 9th is damaged. */
static void fill(struct fixture *fx, uint32_t n)
{
    struct span value = SPAN_LIT("v");
    struct batch *b = fixture_batch(fx);

    for (uint32_t i = 1; i <= n; i++) {
        struct sample *s = sample_plain(i);

        if (i == 7) {
            bytes_unref(s->future.task);
            s->future.task = sample_long(10000, 7);
        }
        fixture_put(b, BATCH_PUT_LIVE, s);
        sample_free(s);
    }
    assert_int_equal(batch_setting(b, SPAN_LIT("a"), &value, value, 0, value), 0);
    assert_int_equal(batch_setting(b, SPAN_LIT("b"), &value, value, 0, value), 0);
    fixture_write(fx, b);
    sql_run(fx->path, "UPDATE live SET rec=x'00' WHERE k=(SELECT k FROM live ORDER BY k LIMIT 1 OFFSET 8)");
}

static void test_all_in_order(void **state)
{
    for (uint32_t step = 1; step < 40; step += 6) {
        struct seen seen = {0};
        struct recover_target target = {.on_setting = on_setting, .on_record = on_record, .user = &seen};
        struct recover r;
        struct fixture fx;
        uint32_t n_steps = 0;

        fixture_start(&fx);
        fill(&fx, 30);
        assert_int_equal(recover_begin(&r, fx.store, &target), 0);
        assert_int_equal(seen.n_settings, 2);
        assert_int_equal(seen.n_records, 0);
        while (!r.is_complete) {
            uint32_t before = seen.n_records;

            assert_int_equal(recover_step(&r, step), 0);
            assert_true(seen.n_records - before <= step);
            n_steps++;
        }
        assert_int_equal(n_steps, (30 + step - 1) / step + 1);
        assert_int_equal(seen.n_records, 30);
        assert_int_equal(r.n_records, 30);
        assert_int_equal(seen.n_damaged, 1);
        assert_int_equal(r.n_damaged, 1);
        assert_int_equal(seen.taken->len, 10000);
        assert_int_equal(recover_step(&r, step), 0); /* once more is nothing more */
        assert_int_equal(seen.n_records, 30);
        recover_end(&r);
        bytes_unref(seen.taken);
        fixture_end(&fx);
    }
}

static void test_the_target_may_refuse(void **state)
{
    struct seen seen = {.stop_at = 5};
    struct recover_target target = {.on_setting = on_setting, .on_record = on_record, .user = &seen};
    struct recover r;
    struct fixture fx;

    fixture_start(&fx);
    fill(&fx, 30);
    assert_int_equal(recover_begin(&r, fx.store, &target), 0);
    assert_int_equal(recover_step(&r, 10), 55);
    assert_int_equal(seen.n_records, 5);
    recover_end(&r);
    seen.setting_answer = 66;
    assert_int_equal(recover_begin(&r, fx.store, &target), 66);
    fixture_end(&fx);
}

static void test_an_empty_store(void **state)
{
    struct seen seen = {0};
    struct recover_target target = {.on_setting = on_setting, .on_record = on_record, .user = &seen};
    struct recover r;
    struct fixture fx;

    fixture_start(&fx);
    assert_int_equal(recover_begin(&r, fx.store, &target), 0);
    assert_int_equal(recover_step(&r, 1000), 0);
    assert_true(r.is_complete);
    assert_int_equal(seen.n_settings + seen.n_records, 0);
    recover_end(&r);
    fixture_end(&fx);
}

static void test_without_memory(void **state)
{
    struct fixture fx;

    fixture_start(&fx);
    fill(&fx, 8);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct seen seen = {0};
        struct recover_target target = {.user = &seen};
        struct recover r;
        int result;

        target.on_setting = on_setting;
        target.on_record = on_record;
        result = recover_begin(&r, fx.store, &target);
        if (result == 0) {
            struct store_scan scan = {
                    .place = STORE_LIVE, .limit = 10, .limit_bytes = UINT64_MAX, .want = STORE_WANT_TASK};
            struct list items;

            list_init(&items);
            result = store_scan(r.view, &scan, &items);
            store_items_free(&items);
            recover_end(&r);
        }
        assert_int_equal(result, test_allocation_failed() ? -ENOMEM : 0);
    }
    fixture_end(&fx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_all_in_order),
            cmocka_unit_test(test_the_target_may_refuse),
            cmocka_unit_test(test_an_empty_store),
            cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
