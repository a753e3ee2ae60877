// SPDX-License-Identifier: Apache-2.0
/* Values in both forms: the very bytes of the text, the messages as protobuf-c reads them; prefixes; where room or memory is
 * short. The text as a whole is judged by a parser in tests/integration/test_system.py. */
#include "futured/v1/system.pb-c.h"
#include "service/metrics.h"
#include "tests/support/testing.h"

#include <float.h>

static void tell(struct metrics *m)
{
    static const double bounds[] = {0.25, 1, 4};
    static const uint64_t counts[] = {1, 2, 0, 3};
    const struct metric_label labels[] = {{"a", span_of_string("x")}, {"b", span_of_string("")}};

    metrics_family(m, METRIC_COUNTER, "calls", NULL, "Calls.");
    metrics_put(m, 5);
    metrics_family(m, METRIC_GAUGE, "wal_bytes", "bytes", "Length.");
    metrics_put_of(m, 1.5, "of", span_of_string("a \"b\" \\ c\nd"));
    metrics_put_labels(m, 9007199254740991.0, labels, 2);
    metrics_put(m, -3);
    metrics_put(m, 1e300);
    metrics_histogram(m, "took_seconds", "seconds", "Times.", bounds, counts, 3, 12.5);
    metrics_end(m);
}

static void test_text(void **state)
{
    static const char wanted[] = "# TYPE futured_calls counter\n"
                                 "# HELP futured_calls Calls.\n"
                                 "futured_calls_total 5\n"
                                 "# TYPE futured_wal_bytes gauge\n"
                                 "# UNIT futured_wal_bytes bytes\n"
                                 "# HELP futured_wal_bytes Length.\n"
                                 "futured_wal_bytes{of=\"a \\\"b\\\" \\\\ c\\nd\"} 1.5\n"
                                 "futured_wal_bytes{a=\"x\",b=\"\"} 9007199254740991\n"
                                 "futured_wal_bytes -3\n"
                                 "futured_wal_bytes 1e+300\n"
                                 "# TYPE futured_took_seconds histogram\n"
                                 "# UNIT futured_took_seconds seconds\n"
                                 "# HELP futured_took_seconds Times.\n"
                                 "futured_took_seconds_bucket{le=\"0.25\"} 1\n"
                                 "futured_took_seconds_bucket{le=\"1.0\"} 3\n"
                                 "futured_took_seconds_bucket{le=\"4.0\"} 3\n"
                                 "futured_took_seconds_bucket{le=\"+Inf\"} 6\n"
                                 "futured_took_seconds_sum 12.5\n"
                                 "futured_took_seconds_count 6\n"
                                 "# EOF\n";
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    struct metrics m = metrics_begin(METRICS_TEXT, &w, (struct span){0}, 1 << 20);

    tell(&m);
    assert_int_equal(w.failed, 0);
    assert_int_equal(m.is_full, 0);
    assert_int_equal(buf_len(&out), sizeof wanted - 1);
    assert_memory_equal(buf_head(&out), wanted, sizeof wanted - 1);
    buf_deinit(&out);
}

static Futured__V1__GetStatsResponse *read_stats(const struct buf *out)
{
    Futured__V1__GetStatsResponse *r =
            futured__v1__get_stats_response__unpack(NULL, buf_len(out), buf_head(out));

    assert_non_null(r);
    return r;
}

static void test_stats(void **state)
{
    static const struct {
        const char *name;
        int kind;
        double value;
        size_t n_labels;
    } wanted[] = {
            {"calls", METRIC_COUNTER, 5, 0},
            {"wal_bytes", METRIC_GAUGE, 1.5, 1},
            {"wal_bytes", METRIC_GAUGE, 9007199254740991.0, 2},
            {"wal_bytes", METRIC_GAUGE, -3, 0},
            {"wal_bytes", METRIC_GAUGE, 1e300, 0},
            {"took_seconds_bucket", METRIC_COUNTER, 1, 1},
            {"took_seconds_bucket", METRIC_COUNTER, 3, 1},
            {"took_seconds_bucket", METRIC_COUNTER, 3, 1},
            {"took_seconds_bucket", METRIC_COUNTER, 6, 1},
            {"took_seconds_sum", METRIC_COUNTER, 12.5, 0},
            {"took_seconds_count", METRIC_COUNTER, 6, 0},
    };
    Futured__V1__GetStatsResponse *r;
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    struct metrics m = metrics_begin(METRICS_STATS, &w, (struct span){0}, 1 << 20);

    tell(&m);
    r = read_stats(&out);
    assert_int_equal(r->n_stats, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_string_equal(r->stats[i]->name, wanted[i].name);
        assert_int_equal(r->stats[i]->kind, wanted[i].kind);
        assert_memory_equal(&r->stats[i]->value, &wanted[i].value, sizeof(double));
        assert_int_equal(r->stats[i]->n_labels, wanted[i].n_labels);
    }
    assert_string_equal(r->stats[1]->labels[0]->key, "of");
    assert_string_equal(r->stats[1]->labels[0]->value, "a \"b\" \\ c\nd");
    assert_string_equal(r->stats[8]->labels[0]->value, "+Inf");
    futured__v1__get_stats_response__free_unpacked(r, NULL);
    buf_deinit(&out);
}

static void test_prefix(void **state)
{
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    struct metrics m = metrics_begin(METRICS_TEXT, &w, SPAN_LIT("calls"), 1 << 20);

    tell(&m);
    assert_int_equal(buf_len(&out), strlen("# TYPE futured_calls counter\n# HELP futured_calls Calls.\n"
                                           "futured_calls_total 5\n# EOF\n"));
    buf_clear(&out);
    m = metrics_begin(METRICS_STATS, &w, SPAN_LIT("took_seconds_and_more"), 1 << 20);
    tell(&m);
    assert_int_equal(buf_len(&out), 0);
    assert_int_equal(m.is_full, 0);
    buf_deinit(&out);
}

/* With any room no more is written than there is; what is left is said; a histogram is never cut. */
static void test_room(void **state)
{
    int n_full = 0;

    for (size_t room = 0; room < 3000; room++)
        for (int form = METRICS_STATS; form <= METRICS_TEXT; form++) {
            struct buf out = BUF_INIT;
            struct writer w = writer_to(&out);
            struct metrics m = metrics_begin((enum metrics_form)form, &w, (struct span){0}, room);

            tell(&m);
            assert_true(buf_len(&out) <= MAX(room, sizeof "# EOF\n" - 1));
            n_full += m.is_full;
            assert_int_equal(buf_append(&out, "", 1), 0);
            if (form == METRICS_TEXT)
                assert_int_equal(!strstr((const char *)buf_head(&out), "_bucket"),
                                 !strstr((const char *)buf_head(&out), "_count 6"));
            buf_deinit(&out);
        }
    assert_in_range(n_full, 2000, 5999);
}

static void test_no_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct buf out = BUF_INIT;
        struct writer w = writer_to(&out);
        struct metrics m = metrics_begin(METRICS_TEXT, &w, (struct span){0}, 1 << 20);

        tell(&m);
        assert_int_equal(w.failed != 0, test_allocation_failed());
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_text), cmocka_unit_test(test_stats),     cmocka_unit_test(test_prefix),
            cmocka_unit_test(test_room), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/metrics", tests, NULL, NULL);
}
