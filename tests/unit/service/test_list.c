// SPDX-License-Identifier: Apache-2.0
/*
 * List: order, pages that stay stable while futures come and go, tokens of other questions, selectors, and pages that end
 * early because a message is full or a scan was long enough.
 */
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057"

static Futured__V1__ListResponse *list(struct harness *h, const char *format, ...) PRINTF_LIKE(2, 3);

static Futured__V1__ListResponse *list(struct harness *h, const char *format, ...)
{
    Futured__V1__ListResponse *r;
    struct loopback_call c;
    char *text;
    va_list args;

    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    harness_unary(h, &c, "List", "%s", text);
    free(text);
    if (c.status.code != GRPC_OK)
        fail_msg("List: %s", c.status.message);
    r = harness_message(h, &c, 0, &futured__v1__list_response__descriptor);
    loopback_call_deinit(&c);
    return r;
}

static void submit(struct harness *h, struct harness_id *ids, size_t n, const char *group)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = harness_submit(h, "task { function: 'echo' } group: '%s'", group);
}

static void forget(struct harness *h, const char *id)
{
    struct loopback_call c;

    harness_cancel(h, id);
    harness_unary(h, &c, "Delete", "id: '%s'", id);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
}

static void test_order(void **state)
{
    struct harness_id ids[5];
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, 5, "");
    for (int order = 0; order < 3; order++) {
        static const char *const orders[] = {"", "order_by: 'desc'", "order_by: 'asc'"};
        Futured__V1__ListResponse *r = list(&h, "selector { filter: '*' } %s", orders[order]);

        assert_int_equal(r->n_futures, 5);
        for (size_t i = 0; i < 5; i++)
            assert_string_equal(r->futures[i]->id, ids[order == 2 ? i : 4 - i].text);
        assert_string_equal(r->next_page_token, "");
        harness_free(r);
    }
    harness_deinit(&h);
}

static void test_empty(void **state)
{
    Futured__V1__ListResponse *r;
    struct harness h;

    harness_init(&h, NULL);
    r = list(&h, "selector { filter: '*' }");
    assert_int_equal(r->n_futures, 0);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    r = list(&h, "selector { group: 'none' }");
    assert_int_equal(r->n_futures, 0);
    harness_free(r);
    r = list(&h, "selector { ids: '" NOBODY "' }");
    assert_int_equal(r->n_futures, 0);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    harness_deinit(&h);
}

static void test_page_sizes(void **state)
{
    static struct harness_id ids[1100];
    Futured__V1__ListResponse *r;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, ARRAY_LEN(ids), "");
    r = list(&h, "selector { filter: '*' } view: VIEW_RESULT");
    assert_int_equal(r->n_futures, 100); /* the default */
    assert_string_not_equal(r->next_page_token, "");
    harness_free(r);
    r = list(&h, "selector { filter: '*' } view: VIEW_RESULT page_size: 1000");
    assert_int_equal(r->n_futures, 1000);
    harness_free(r);
    r = list(&h, "selector { filter: '*' } view: VIEW_RESULT page_size: 1");
    assert_int_equal(r->n_futures, 1);
    harness_free(r);
    harness_deinit(&h);
}

/* Exactly as many as a page holds: no further page is promised. */
static void test_last_page(void **state)
{
    Futured__V1__ListResponse *r;
    struct harness_id ids[4];
    struct harness h;
    char token[80];

    harness_init(&h, NULL);
    submit(&h, ids, 4, "");
    r = list(&h, "selector { filter: '*' } page_size: 4");
    assert_int_equal(r->n_futures, 4);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    r = list(&h, "selector { filter: '*' } page_size: 2");
    snprintf(token, sizeof token, "%s", r->next_page_token);
    harness_free(r);
    r = list(&h, "selector { filter: '*' } page_size: 2 page_token: '%s'", token);
    assert_int_equal(r->n_futures, 2);
    assert_string_equal(r->futures[0]->id, ids[1].text);
    assert_string_equal(r->next_page_token, "");
    harness_free(r);
    harness_deinit(&h);
}

/* Between pages futures come, end and are deleted; each that is there throughout is listed exactly once, in order. */
static void check_stable(struct test_random *rnd, const char *selector, const char *order, const char *group)
{
    enum { N = 120 };
    static struct harness_id ids[N];
    int n_listed[N] = {0}, is_deleted[N] = {0};
    char token[80] = "", last[ID_TEXT_LEN + 1] = "";
    int is_desc = strcmp(order, "asc") != 0;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, ids, N, group);
    do {
        Futured__V1__ListResponse *r =
                list(&h, "selector { %s } order_by: '%s' page_size: %d page_token: '%s'", selector, order,
                     1 + (int)test_random_below(rnd, 9), token);

        for (size_t i = 0; i < r->n_futures; i++) {
            if (last[0])
                assert_true(is_desc ? strcmp(r->futures[i]->id, last) < 0
                                    : strcmp(r->futures[i]->id, last) > 0);
            memcpy(last, r->futures[i]->id, sizeof last);
            for (int k = 0; k < N; k++)
                n_listed[k] += strcmp(ids[k].text, last) == 0;
        }
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
        for (int k = 0; k < 3; k++) {
            size_t victim = test_random_below(rnd, N);

            if (test_random_below(rnd, 2) && !is_deleted[victim]) {
                forget(&h, ids[victim].text);
                is_deleted[victim] = 1;
            }
            harness_submit(&h, "task { function: 'echo' } group: '%s'", group);
        }
        harness_advance(&h, NS_PER_MS);
        if (is_desc == 0 && strcmp(last, ids[N - 1].text) >= 0)
            break; /* the new ones come behind: it could go on for ever */
    } while (token[0]);
    for (int k = 0; k < N; k++)
        assert_true(n_listed[k] == 1 || (is_deleted[k] && n_listed[k] == 0));
    harness_deinit(&h);
}

static void test_stable(void **state)
{
    struct test_random rnd = {test_seed()};

    for (int i = 0; i < 3; i++) {
        check_stable(&rnd, "filter: '*'", "desc", "");
        check_stable(&rnd, "filter: '*'", "asc", "");
        check_stable(&rnd, "group: 'g'", "desc", "g");
        check_stable(&rnd, "group: 'g'", "asc", "g");
    }
}

static void test_group(void **state)
{
    struct harness_id mine[3], others[3];
    Futured__V1__ListResponse *r;
    struct harness h;

    harness_init(&h, NULL);
    for (int i = 0; i < 3; i++) {
        submit(&h, &mine[i], 1, "mine");
        submit(&h, &others[i], 1, i % 2 ? "" : "mines");
    }
    r = list(&h, "selector { group: 'mine' } order_by: 'asc'");
    assert_int_equal(r->n_futures, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(r->futures[i]->id, mine[i].text);
        assert_string_equal(r->futures[i]->group, "mine");
    }
    harness_free(r);
    harness_deinit(&h);
}

/* By IDs: in ID order whatever the order of the question, each once, without those that nobody knows. */
static void test_ids(void **state)
{
    Futured__V1__ListResponse *r;
    struct harness_id ids[4];
    struct harness h;
    char token[80], forged[ID_TEXT_LEN + 1];

    harness_init(&h, NULL);
    submit(&h, ids, 4, "");
    memcpy(forged, ids[1].text, sizeof forged); /* the same key and other random bits */
    memcpy(forged + 24, "000000000000", 12);
    for (int is_asc = 0; is_asc < 2; is_asc++) {
        char question[512];

        snprintf(question, sizeof question,
                 "selector { ids: '%s' ids: '%s' ids: '" NOBODY "' ids: '%s' ids: '%s' ids: '%s' } order_by: "
                 "'%s' page_size: 2",
                 ids[3].text, forged, ids[0].text, ids[1].text, ids[3].text, is_asc ? "asc" : "desc");
        r = list(&h, "%s", question);
        assert_int_equal(r->n_futures, 2);
        assert_string_equal(r->futures[0]->id, ids[is_asc ? 0 : 3].text);
        assert_string_equal(r->futures[1]->id, ids[1].text);
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
        r = list(&h, "%s page_token: '%s'", question, token);
        assert_int_equal(r->n_futures, 1);
        assert_string_equal(r->futures[0]->id, ids[is_asc ? 3 : 0].text);
        assert_string_equal(r->next_page_token, "");
        harness_free(r);
    }
    harness_deinit(&h);
}

static void test_many_ids(void **state)
{
    Futured__V1__ListResponse *r;
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    submit(&h, &id, 1, "");
    r = list(&h, "selector { 9999 * ids: '01890a5d-ac96-774b-bcce-$' ids: '%s' }", id.text);
    assert_int_equal(r->n_futures, 1);
    assert_string_equal(r->futures[0]->id, id.text);
    harness_free(r);
    harness_deinit(&h);
}

static void test_views(void **state)
{
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' }");
    harness_succeed(&h, id.text, "r");
    for (int view = 0; view <= 4; view++) {
        Futured__V1__ListResponse *r = list(&h, "selector { filter: '*' } view: %d", view);
        const Futured__V1__Future *f = r->futures[0];

        assert_int_equal(f->task != NULL, view != 1);
        if (f->task)
            assert_int_equal(f->task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT, view >= 3);
        assert_int_equal(f->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                         view == 1 || view == 4);
        harness_free(r);
    }
    harness_deinit(&h);
}

/* A page that is full ends early; one future that fills it alone comes with less. All of them come, once. */
static void test_full_pages(void **state)
{
    static const size_t sizes[] = {10, 30000, 60000, 10, 20000, 65000, 50000, 10};
    const struct harness_options options = {.max_message_bytes = 65536};
    struct harness_id ids[ARRAY_LEN(sizes)];
    char token[80] = "";
    size_t n = 0, n_pages = 0;
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        ids[i] = harness_submit(&h, "task { function: 'echo' argument: x%zu }", MIN(sizes[i], (size_t)60000));
        harness_succeed_bytes(&h, ids[i].text, sizes[i]);
    }
    do {
        Futured__V1__ListResponse *r =
                list(&h, "selector { filter: '*' } order_by: 'asc' view: VIEW_FULL page_token: '%s'", token);

        assert_true(r->n_futures > 0);
        for (size_t i = 0; i < r->n_futures; i++, n++) {
            const Futured__V1__Future *f = r->futures[i];

            assert_string_equal(f->id, ids[n].text);
            assert_int_equal(f->result->size_bytes, sizes[n]);
            if (sizes[n] < 1000)
                assert_false(f->omitted);
            else if (sizes[n] > 32000)
                assert_true(f->omitted);
        }
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
        n_pages++;
    } while (token[0]);
    assert_int_equal(n, ARRAY_LEN(sizes));
    assert_in_range(n_pages, 1, ARRAY_LEN(sizes));
    harness_deinit(&h);
}

/* Where not even BASIC has room the page ends early, and nothing of it is left out. */
static void test_full_of_labels(void **state)
{
    enum { N = 20 };
    const struct harness_options options = {.max_message_bytes = 65536};
    struct harness_id ids[N];
    char token[80] = "";
    size_t n = 0, n_pages = 0;
    struct harness h;

    harness_init(&h, &options);
    for (size_t i = 0; i < N; i++)
        ids[i] = harness_submit(&h, "task { function: 'echo' 9 * labels { key: 'k$' value: x1000 } }");
    do {
        Futured__V1__ListResponse *r =
                list(&h, "selector { filter: '*' } order_by: 'asc' page_token: '%s'", token);

        assert_true(r->n_futures > 0);
        for (size_t i = 0; i < r->n_futures; i++, n++) {
            assert_string_equal(r->futures[i]->id, ids[n].text);
            assert_int_equal(r->futures[i]->n_labels, 9);
            assert_false(r->futures[i]->omitted);
        }
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
        n_pages++;
    } while (token[0]);
    assert_int_equal(n, N);
    assert_in_range(n_pages, 7, 10); /* about 18 KiB each */
    harness_deinit(&h);
}

/* A scan that finds nothing for long stops with a token, on an empty page. */
static void test_long_scan(void **state)
{
    enum { N = 4000 };
    struct harness_id id;
    char token[80] = "";
    size_t n = 0, n_pages = 0;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' } tag: 'rare'");
    {
        struct loopback_call c;

        futures_limit_scans(h.futures, 1500);
        harness_call(&h, &c, "SubmitStream");
        for (int i = 0; i < N; i++)
            harness_send(&c, "SubmitStream", "task { function: 'echo' } view: VIEW_RESULT");
        loopback_half_close(&c);
        harness_settle(&h);
        assert_int_equal(c.n_messages, N);
        loopback_call_deinit(&c);
    }
    do {
        Futured__V1__ListResponse *r = list(&h, "selector { filter: 'tag = rare' } page_token: '%s'", token);

        for (size_t i = 0; i < r->n_futures; i++, n++)
            assert_string_equal(r->futures[i]->id, id.text);
        if (n_pages < 2)
            assert_int_equal(r->n_futures, 0);
        snprintf(token, sizeof token, "%s", r->next_page_token);
        harness_free(r);
        n_pages++;
    } while (token[0]);
    assert_int_equal(n, 1);
    assert_int_equal(n_pages, 3);
    harness_deinit(&h);
}

/* --- tokens */

static void test_tokens(void **state)
{
    static const char *const other_questions[] = {
            "selector { filter: '*' } page_size: 2 order_by: 'asc'",
            "selector { filter: '*' } page_size: 2 order_by: 'desc'", /* said or not: another order_by */
            "selector { group: 'g' } page_size: 2",
            "selector { group: 'h' } page_size: 2",
            "selector { ids: '" NOBODY "' } page_size: 2",
    };
    struct harness_refusal bad[16];
    char texts[16][256], token[80];
    Futured__V1__ListResponse *r;
    struct harness_id ids[5];
    struct harness h;
    size_t n = 0;

    harness_init(&h, NULL);
    submit(&h, ids, 5, "g");
    r = list(&h, "selector { filter: '*' } page_size: 2");
    snprintf(token, sizeof token, "%s", r->next_page_token);
    harness_free(r);
    /* the page size may change, and the token can be used again */
    for (int size = 1; size < 3; size++) {
        r = list(&h, "selector { filter: '*' } page_size: %d page_token: '%s'", size, token);
        assert_string_equal(r->futures[0]->id, ids[2].text);
        harness_free(r);
    }
    for (size_t i = 0; i < ARRAY_LEN(other_questions); i++)
        snprintf(texts[n++], sizeof texts[0], "%s page_token: '%s'", other_questions[i], token);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: '%.*s'",
             (int)strlen(token) - 1, token);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: '%s0'", token);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: '1%s'", token + 1);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: '%.10sg%s'", token,
             token + 11);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: '%.10sA%s'", token,
             token + 11);
    snprintf(texts[n++], sizeof texts[0], "selector { filter: '*' } page_token: 'x'");
    for (size_t i = 0; i < n; i++)
        bad[i] = (struct harness_refusal){texts[i], GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_token"};
    harness_refused(&h, "List", "", "", bad, n);
    harness_deinit(&h);
}

static const struct harness_refusal bad_lists[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { ids: 'x' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { 10001 * ids: '" NOBODY "' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.ids"},
        {"selector { group: x256 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.group"},
        {"selector { filter: '*' group: 'g' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector"},
        {"selector { filter: 'state = DONE' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter"},
        {"selector { filter: x4097 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "selector.filter"},
        {"selector { filter: '*' } order_by: 'id'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "order_by"},
        {"selector { filter: '*' } order_by: 'ASC'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "order_by"},
        {"selector { filter: '*' } page_size: 1001", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_size"},
        {"selector { filter: '*' } @3: 4294967297", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_size"},
        {"selector { filter: '*' } @4: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "page_token"},
        {"selector { filter: '*' } view: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "view"},
};

static void test_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "List", "", "", bad_lists, ARRAY_LEN(bad_lists));
    harness_deinit(&h);
}

static void without_memory(struct harness *h, struct loopback_call *c)
{
    struct harness_id ids[20];

    harness_init(h, NULL);
    submit(h, ids, 20, "");
    harness_arm(h);
    harness_unary(h, c, "List", "selector { ids: '%s' ids: '%s' } page_size: 1", ids[0].text, ids[7].text);
}

static void all_without_memory(struct harness *h, struct loopback_call *c)
{
    static struct harness_id ids[60];

    harness_init(h, NULL);
    submit(h, ids, ARRAY_LEN(ids), "");
    harness_arm(h);
    harness_unary(h, c, "List", "selector { filter: '*' } page_size: 50");
}

static void test_no_memory(void **state)
{
    harness_fail_allocations(without_memory, 2);
    harness_fail_allocations(all_without_memory, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_order),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_page_sizes),
            cmocka_unit_test(test_last_page),
            cmocka_unit_test(test_stable),
            cmocka_unit_test(test_group),
            cmocka_unit_test(test_ids),
            cmocka_unit_test(test_many_ids),
            cmocka_unit_test(test_views),
            cmocka_unit_test(test_full_pages),
            cmocka_unit_test(test_full_of_labels),
            cmocka_unit_test(test_long_scan),
            cmocka_unit_test(test_tokens),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_no_memory),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/list", tests, NULL, NULL);
}
