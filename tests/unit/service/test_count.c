// SPDX-License-Identifier: Apache-2.0
/* Count: in all and by the values of a property, ages, pages, and each invalid field. */
#include "tests/unit/service/harness.h"

static Futured__V1__CountResponse *count(struct harness *h, const char *format, ...) PRINTF_LIKE(2, 3);

static Futured__V1__CountResponse *count(struct harness *h, const char *format, ...)
{
    Futured__V1__CountResponse *r;
    struct loopback_call c;
    char *text;
    va_list args;

    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    harness_unary(h, &c, "Count", "%s", text);
    if (c.status.code != GRPC_OK)
        fail_msg("%s: %s", text, c.status.message);
    free(text);
    r = harness_message(h, &c, 0, &futured__v1__count_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

/* Six futures: two succeeded, one failed, one cancelled, two pending of which one has nobody to run it. */
static void fill(struct harness *h)
{
    struct harness_id ids[6];

    for (int i = 0; i < 6; i++) {
        ids[i] = harness_submit(h, "task { function: '%s' labels { key: 'n' value: '%d' } } group: '%s'",
                                i == 5  ? "unserved"
                                : i % 2 ? "echo"
                                        : "sleep",
                                i % 2, i < 3 ? "g" : "");
        harness_advance(h, NS_PER_S);
    }
    harness_succeed(h, ids[0].text, "r");
    harness_succeed(h, ids[1].text, "r");
    harness_fail(h, ids[2].text, "broken");
    harness_cancel(h, ids[3].text);
}

static void assert_groups(const Futured__V1__CountResponse *r, const char *want)
{
    char text[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < r->n_groups; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%d", i ? " " : "", r->groups[i]->value,
                                (int)r->groups[i]->count);
    assert_string_equal(text, want);
}

static void test_groups(void **state)
{
    static const struct {
        const char *group_by, *groups;
    } cases[] = {
            {"", ""},
            {"state", "PENDING=2 SUCCEEDED=2 CANCELLED=1 FAILED=1"},
            {"function", "sleep=3 echo=2 unserved=1"},
            {"pending_reason", "=4 NO_WORKER=1 READY=1"},
            {"reason", "=4 CANCELLED=1 FUNCTION_ERROR=1"},
            {"worker", "=3 w-1=3"},
            {"principal", "=6"},
            {"labels.n", "0=3 1=3"},
            {"labels.other", "=6"},
    };
    struct harness h;

    harness_init(&h, NULL);
    fill(&h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Futured__V1__CountResponse *r =
                count(&h, "selector { filter: '*' } group_by: '%s'", cases[i].group_by);

        assert_int_equal(r->count, 6);
        if (strcmp(cases[i].group_by, "principal") != 0)
            assert_groups(r, cases[i].groups);
        else
            assert_int_equal(r->n_groups, 1);
        assert_string_equal(r->next_page_token, "");
        harness_free(r);
    }
    harness_deinit(&h);
}

static void test_ages(void **state)
{
    Futured__V1__CountResponse *r;
    struct harness h;

    harness_init(&h, NULL);
    r = count(&h, "selector { filter: '*' } group_by: 'state'");
    assert_int_equal(r->count, 0);
    assert_null(r->oldest_age);
    assert_int_equal(r->n_groups, 0);
    harness_free(r);
    fill(&h);
    r = count(&h, "selector { filter: '*' } group_by: 'state'");
    assert_int_equal(r->oldest_age->seconds, 6);
    assert_int_equal(r->groups[0]->oldest_age->seconds, 2);
    assert_int_equal(r->groups[1]->oldest_age->seconds, 6);
    harness_free(r);
    harness_deinit(&h);
}

static void test_selectors(void **state)
{
    Futured__V1__CountResponse *r;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    fill(&h);
    r = count(&h, "selector { group: 'g' }");
    assert_int_equal(r->count, 3);
    harness_free(r);
    r = count(&h, "selector { filter: 'group = g AND state != FAILED' }");
    assert_int_equal(r->count, 2);
    harness_free(r);
    id = harness_submit(&h, "task { function: 'echo' }");
    r = count(&h, "selector { ids: '%s' ids: '%s' ids: '01890a5d-ac96-774b-bcce-b302099a8057' }", id.text,
              id.text);
    assert_int_equal(r->count, 1);
    harness_free(r);
    harness_deinit(&h);
}

/* More values than a reply may have groups: the count goes on behind the token, and adds up. */
static void test_many_values(void **state)
{
    enum { MANY = 2300 };
    size_t n_groups = 0, n_pages = 0;
    struct loopback_call c;
    char token[80] = "";
    uint64_t n = 0;
    struct harness h;

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    for (int i = 0; i < MANY; i++)
        harness_send(&c, "SubmitStream",
                     "task { function: 'echo' labels { key: 'n' value: '%d' } } view: VIEW_RESULT", i);
    loopback_half_close(&c);
    harness_settle(&h);
    loopback_call_deinit(&c);
    do {
        Futured__V1__CountResponse *r =
                count(&h, "selector { filter: '*' } group_by: 'labels.n' page_token: '%s'", token);

        n += r->count;
        n_groups += r->n_groups;
        n_pages++;
        assert_true(r->n_groups <= 1000);
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
    } while (token[0]);
    assert_int_equal(n, MANY);
    assert_int_equal(n_groups, MANY);
    assert_int_equal(n_pages, 3);
    harness_deinit(&h);
}

static const struct harness_refusal bad_counts[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: 'x' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { group: x256 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.group"},
        {"selector { filter: '*' group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { filter: 'colour = red' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter"},
        {"selector { filter: '*' } group_by: 'id'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "group_by"},
        {"selector { filter: '*' } group_by: 'labels.'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "group_by"},
        {"selector { filter: '*' } page_token: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_token"},
};

static void test_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Count", "", "", bad_counts, ARRAY_LEN(bad_counts));
    harness_deinit(&h);
}

static void without_memory(struct harness *h, struct loopback_call *c)
{
    harness_init(h, NULL);
    fill(h);
    harness_arm(h);
    harness_unary(h, c, "Count", "selector { filter: 'has n AND group != x' } group_by: 'labels.n'");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(without_memory, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_groups),    cmocka_unit_test(test_ages),
            cmocka_unit_test(test_selectors), cmocka_unit_test(test_many_values),
            cmocka_unit_test(test_refused),   cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/count", tests, NULL, NULL);
}
