// SPDX-License-Identifier: Apache-2.0
/* A filter asks a record what it asks the future that it was made of; who is wanted; scans that look for something. */
#include "engine/filter.h"
#include "store/match.h"
#include "store/view.h"
#include "tests/unit/store/fixture.h"

#define HOUR (3600 * NS_PER_S)

static void assert_same(const struct sample *s)
{
    struct buf bytes = BUF_INIT;
    struct record_place place;
    struct record record;
    const struct span keys[] = {SPAN_LIT("team"), SPAN_LIT("empty"), SPAN_LIT("none")};
    wall_ns_t now = s->future.submit_time + 60 * NS_PER_S;
    struct filter_future future = {.future = &s->future, .now = now};
    struct match_record with_now = {&record, now};

    assert_int_equal(record_encode(&s->future, &bytes, &place), 0);
    assert_int_equal(record_decode(&s->future.id, (struct span){buf_head(&bytes), buf_len(&bytes)}, &record),
                     0);
    for (int field = 0; field < FILTER_N_FIELDS; field++) {
        if (field == FILTER_PENDING_REASON) /* of what waits, and that is in memory */
            continue;
        for (uint32_t i = 0; i < 5; i++) {
            for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
                struct filter_value a = {0}, b = {0};
                int is = engine_filter_get(&future, (enum filter_field)field, keys[k], i, &a);

                if (match_get(&with_now, (enum filter_field)field, keys[k], i, &b) != is ||
                    a.number != b.number || !span_eq(a.text, b.text) ||
                    memcmp(&a.id, &b.id, sizeof a.id) != 0)
                    fail_msg("%s %u: differs", filter_fields[field].name, i);
            }
        }
    }
    record_deinit(&record);
    buf_deinit(&bytes);
}

static void test_as_the_future(void **state)
{
    struct sample *s = sample_full(1);

    assert_same(s);
    sample_retry(s, 1, 1);
    assert_same(s);
    sample_free(s);
    s = sample_plain(2);
    assert_same(s);
    sample_finish(s, sample_bytes("x"), HOUR);
    assert_same(s);
    sample_free(s);
}

static void test_wanted(void **state)
{
    struct sample *s = sample_plain(1);
    struct buf bytes = BUF_INIT;
    struct record_place place;
    struct record record;
    struct filter_problem problem;
    struct match match = {.namespace = future_namespace(&s->future), .now = s->future.submit_time};
    struct filter *yes, *no;
    uint32_t cost = 0;

    sample_finish(s, sample_bytes("x"), HOUR);
    assert_int_equal(record_encode(&s->future, &bytes, &place), 0);
    assert_int_equal(record_decode(&s->future.id, (struct span){buf_head(&bytes), buf_len(&bytes)}, &record),
                     0);
    assert_int_equal(filter_parse(&yes, SPAN_LIT("state = SUCCEEDED"), 0, &problem), 0);
    assert_int_equal(filter_parse(&no, SPAN_LIT("state = FAILED"), 0, &problem), 0);
    assert_true(match_is_wanted(&match, &record, &cost));
    match.filter = yes;
    assert_true(match_is_wanted(&match, &record, &cost));
    assert_int_equal(cost, 1);
    match.filter = no;
    assert_false(match_is_wanted(&match, &record, &cost));
    match.filter = yes;
    match.now = record.expire_time;
    assert_false(match_is_wanted(&match, &record, &cost));
    match.now--;
    assert_true(match_is_wanted(&match, &record, &cost));
    match.namespace = SPAN_LIT("another");
    assert_false(match_is_wanted(&match, &record, &cost));
    filter_unref(yes);
    filter_unref(no);
    record_deinit(&record);
    buf_deinit(&bytes);
    sample_free(s);
}

/* No namespace and group together make the key of others. */
static void test_group_keys(void **state)
{
    static const char *const parts[][2] = {{"", "a"}, {"", "ab"}, {"a", "b"}, {"ab", ""}, {"a", ""}};
    struct buf a = BUF_INIT, b = BUF_INIT;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t j = 0; j < ARRAY_LEN(parts); j++) {
            buf_clear(&a);
            buf_clear(&b);
            assert_int_equal(match_group_key(&a, span_of_string(parts[i][0]), span_of_string(parts[i][1])),
                             0);
            assert_int_equal(match_group_key(&b, span_of_string(parts[j][0]), span_of_string(parts[j][1])),
                             0);
            assert_int_equal(span_eq((struct span){buf_head(&a), buf_len(&a)},
                                     (struct span){buf_head(&b), buf_len(&b)}),
                             i == j);
        }
    buf_deinit(&a);
    buf_deinit(&b);
    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf out = BUF_INIT;
        int r = match_group_key(&out, SPAN_LIT("n"), SPAN_LIT("g"));

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        buf_deinit(&out);
    }
}

enum { N = 30 };

/* Every third in the group; every fifth FAILED in a way, by its function. */
static void fill(struct fixture *fx, struct group *g, struct membership *m)
{
    for (uint32_t i = 0; i < N; i++) {
        struct sample *s = sample_plain(i + 1);

        if (i % 3 == 0) {
            m[i] = (struct membership){.future = &s->future, .group = g};
            s->future.group = &m[i];
        }
        if (i % 5 == 0)
            s->future.priority = 5;
        sample_finish(s, sample_bytes("x"), HOUR);
        fixture_write_one(fx, BATCH_FINISH, s);
        s->future.group = NULL;
        sample_free(s);
    }
}

/* All that a scan with these finds, in pieces; and how often it had to be asked. */
static uint32_t scan_all(struct store_view *v, struct store_scan scan, uint32_t *ret_found)
{
    struct store_scanned scanned;
    uint32_t n_calls = 0;

    *ret_found = 0;
    scan.key = scan.desc ? UINT64_MAX : 0;
    scan.ret = &scanned;
    do {
        struct list items, *l;
        uint64_t last = scan.key;

        list_init(&items);
        assert_int_equal(store_scan(v, &scan, &items), 0);
        while ((l = list_pop_front(&items))) {
            struct store_item *item = LIST_ENTRY(l, struct store_item, link);
            uint64_t key = id_key(&item->id);

            assert_true(scan.desc ? key < last && key >= scanned.last : key > last && key <= scanned.last);
            last = key;
            ++*ret_found;
            store_item_free(item);
        }
        scan.key = scanned.last;
        n_calls++;
    } while (!scanned.is_end);
    return n_calls;
}

static void test_scans(void **state)
{
    struct bytes *name = bytes_dup("g", 1);
    struct group g = {.name = name};
    struct membership m[N];
    struct filter_problem problem;
    struct buf key = BUF_INIT;
    struct filter *filter;
    struct store_view *v;
    struct fixture fx;
    uint32_t found;

    fixture_start(&fx);
    fill(&fx, &g, m);
    assert_int_equal(filter_parse(&filter, SPAN_LIT("priority = 5"), 0, &problem), 0);
    assert_int_equal(match_group_key(&key, (struct span){0}, SPAN_LIT("g")), 0);
    assert_int_equal(view_open(&v, fx.path, NULL), 0);
    for (uint8_t desc = 0; desc < 2; desc++) {
        struct match match = {.filter = filter};
        struct store_scan scan = {.place = STORE_DONE, .limit = 100, .limit_bytes = UINT64_MAX, .desc = desc};
        struct span group = {buf_head(&key), buf_len(&key)};

        assert_int_equal(scan_all(v, scan, &found), 1);
        assert_int_equal(found, N);
        scan.match = &match;
        assert_int_equal(scan_all(v, scan, &found), 1);
        assert_int_equal(found, N / 5);
        scan.limit = 2;
        assert_true(scan_all(v, scan, &found) >= 3);
        assert_int_equal(found, N / 5);
        scan.max_cost = 4;
        assert_true(scan_all(v, scan, &found) >= 5);
        assert_int_equal(found, N / 5);
        scan.group = group;
        assert_true(scan_all(v, scan, &found) >= 1);
        assert_int_equal(found, N / 15);
        match.filter = NULL;
        assert_true(scan_all(v, scan, &found) >= 5);
        assert_int_equal(found, N / 3);
        match.namespace = SPAN_LIT("another");
        (void)scan_all(v, scan, &found);
        assert_int_equal(found, 0);
    }
    store_view_close(v);
    filter_unref(filter);
    buf_deinit(&key);
    fixture_end(&fx);
    bytes_unref(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_as_the_future),
            cmocka_unit_test(test_wanted),
            cmocka_unit_test(test_group_keys),
            cmocka_unit_test(test_scans),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
