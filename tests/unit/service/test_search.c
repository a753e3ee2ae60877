// SPDX-License-Identifier: Apache-2.0
/*
 * The walk over memory and store against a model: a shelf in the test plays the store. While a List or a Count is on its
 * way, and between its pages, futures end, get on the shelf, leave memory and come back; each that matches throughout is met
 * exactly once. And tokens, and what goes wrong.
 */
#include "engine/filter.h"
#include "engine/restore.h"
#include "service/internal.h"
#include "service/search.h"
#include "tests/unit/service/harness.h"

enum { N = 150 };

struct item {
    struct harness_id text;
    struct id id;
    int is_match, is_member; /* of what is asked for; of the group */
    int on_shelf;
    int in_read; /* was on the shelf when the stretch was read */
};

struct world {
    struct harness h;
    struct test_random rnd;
    struct item items[N];
    struct futures_stretch *asked, *held;
    int result; /* of the next stretch */
    uint32_t n_stretches;
};

/* ---- the shelf */

static int shelf_get(const void *record, enum filter_field field, struct span label, uint32_t i,
                     struct filter_value *ret)
{
    const struct item *item = record;

    if (i > 0)
        return 0;
    switch (field) {
    case FILTER_TAG: ret->text = item->is_match ? SPAN_LIT("yes") : SPAN_LIT("no"); return 1;
    case FILTER_STATE: ret->number = FUTURE_SUCCEEDED; return 1;
    case FILTER_GROUP: ret->text = item->is_member ? SPAN_LIT("g") : SPAN_LIT(""); return 1;
    case FILTER_SUBMIT_TIME: ret->number = 1; return 1;
    default: return 0;
    }
}

static int load(void *context, const struct id *id, struct futures_wish *wish)
{
    return FUTURES_E_BUSY;
}

static int load_stretch(void *context, struct futures_stretch *stretch)
{
    struct world *w = context;

    assert_true(!w->asked && !w->held);
    for (int i = 0; i < N; i++)
        w->items[i].in_read = w->items[i].on_shelf;
    w->asked = stretch;
    w->n_stretches++;
    stretch->handle = w;
    stretch->n = 0;
    return 0;
}

static void forget_stretch(void *context, struct futures_stretch *stretch)
{
    struct world *w = context;

    assert_true(stretch->handle == w && (w->asked == stretch || w->held == stretch));
    stretch->handle = NULL;
    w->asked = w->held = NULL;
}

static struct future *restore(struct world *w, const struct item *item)
{
    struct restored in = {
            .id = item->id,
            .state = FUTURE_SUCCEEDED,
            .on_lost = ON_LOST_RETRY,
            .revision = 1,
            .submit_time = w->h.wall,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .group = item->is_member ? SPAN_LIT("g") : SPAN_LIT(""),
            .tag = item->is_match ? SPAN_LIT("yes") : SPAN_LIT("no"),
            .end_time = w->h.wall,
            .expire_time = w->h.wall + 3600 * NS_PER_S,
            .task = bytes_dup("\n\4echo", 6),
            .data = bytes_dup("r", 1),
    };
    struct future *f = NULL;

    assert_int_equal(engine_restore(w->h.engine, &in, &f), 0);
    bytes_unref(in.task);
    bytes_unref(in.data);
    return f;
}

static int is_asked(const struct world *w, const struct futures_stretch *s, const struct item *item)
{
    struct filter_subject subject = {shelf_get, item};
    uint32_t cost = 0;

    if (!item->in_read || (s->group.len && !item->is_member))
        return 0;
    return !s->filter || filter_match(s->filter, &subject, &cost);
}

/* What the shelf had when it was asked, some of it. */
static void answer(struct world *w)
{
    struct futures_stretch *s = w->asked;
    uint32_t max = 1 + (uint32_t)test_random_below(&w->rnd, 20), n_looked = 0;
    int i = s->is_desc ? N - 1 : 0, result = w->result;

    w->asked = NULL;
    w->result = 0;
    if (result) {
        s->handle = NULL;
        s->on_loaded(s, result);
        return;
    }
    w->held = s;
    s->last = s->key;
    for (; i >= 0 && i < N && n_looked < max; i += s->is_desc ? -1 : 1) {
        struct item *item = &w->items[i];
        uint64_t key = id_key(&item->id);

        if ((s->is_desc ? key >= s->key : key <= s->key) || !item->in_read)
            continue;
        n_looked++;
        s->last = key;
        if (!is_asked(w, s, item))
            continue;
        s->found[s->n] = (struct futures_found){.id = item->id, .subject = {shelf_get, item}};
        if (s->wants_futures) {
            struct future *f = engine_find_any(w->h.engine, &item->id);

            f = f ? f : restore(w, item);
            engine_pin(w->h.engine, f);
            s->found[s->n].future = f;
        }
        s->n++;
    }
    s->cost = n_looked;
    s->is_end = i < 0 || i >= N;
    s->on_loaded(s, 0);
}

/* ---- what happens meanwhile */

static void move_one(struct world *w)
{
    struct item *item = &w->items[test_random_below(&w->rnd, N)];
    struct future *f = engine_find_any(w->h.engine, &item->id);

    if (f && f->state == FUTURE_PENDING && test_random_below(&w->rnd, 2)) {
        harness_succeed(&w->h, item->text.text, "r");
    } else if (f && future_is_terminal(f)) {
        item->on_shelf =
                1; /* its commit; memory may let go what is there, but for what is newer than a read under way */
        if (f->n_pins == 0 && (item->in_read || (!w->asked && !w->held)))
            assert_int_equal(engine_delete(w->h.engine, f), 0);
    } else if (!f && test_random_below(&w->rnd, 2)) {
        restore(w, item); /* somebody has asked for it */
    }
}

static void setup(struct world *w)
{
    const struct futures_loader loader = {
            .load = load, .load_stretch = load_stretch, .forget_stretch = forget_stretch, .context = w};

    w->asked = w->held = NULL;
    w->result = 0;
    harness_init(&w->h, NULL);
    for (int i = 0; i < N; i++) {
        struct item *item = &w->items[i];

        *item = (struct item){.is_match = (int)test_random_below(&w->rnd, 2),
                              .is_member = (int)test_random_below(&w->rnd, 2)};
        item->text = harness_submit(
                &w->h, "task { function: 'echo' options { durability: 2 } } tag: '%s' group: '%s'",
                item->is_match ? "yes" : "no", item->is_member ? "g" : "");
        assert_int_equal(id_parse(item->text.text, ID_TEXT_LEN, &item->id), 0);
        harness_advance(&w->h, test_random_below(&w->rnd, 3) ? 0 : NS_PER_MS);
    }
    for (int i = 0; i < 3 * N; i++)
        move_one(w);
    futures_keep(w->h.futures, &loader);
}

/* Until the call is over: stretches come, things move. */
static void settle(struct world *w, const struct loopback_call *c)
{
    while (!c->is_done) {
        for (size_t i = test_random_below(&w->rnd, 6); i > 0; i--)
            move_one(w);
        if (w->asked)
            answer(w);
        harness_settle(&w->h);
        grpc_server_release(w->h.server, engine_durable_seq(w->h.engine)); /* what was moved is a change */
        harness_settle(&w->h);
    }
    assert_true(!w->asked && !w->held);
}

static void note_listed(struct world *w, const Futured__V1__ListResponse *r, int is_desc, int *n_listed,
                        char *last)
{
    for (size_t i = 0; i < r->n_futures; i++) {
        const char *id = r->futures[i]->id;

        if (last[0])
            assert_true(is_desc ? strcmp(id, last) < 0 : strcmp(id, last) > 0);
        memcpy(last, id, ID_TEXT_LEN + 1);
        for (int k = 0; k < N; k++)
            n_listed[k] += strcmp(w->items[k].text.text, id) == 0;
    }
}

static const struct {
    const char *selector;
    int of_matches, of_members;
} questions[] = {
        {"filter: '*'", 0, 0},
        {"filter: 'tag = yes'", 1, 0},
        {"group: 'g'", 0, 1},
        {"filter: 'group = g tag = yes'", 1, 1},
        {"filter: 'group = g OR tag = yes'", 2, 2},
};

static int is_meant(const struct item *item, size_t q)
{
    if (questions[q].of_matches == 2)
        return item->is_match || item->is_member;
    return (!questions[q].of_matches || item->is_match) && (!questions[q].of_members || item->is_member);
}

static void test_pages(void **state)
{
    static struct world w;

    w.rnd.state = test_seed();
    for (size_t round = 0; round < 8 * ARRAY_LEN(questions); round++) {
        size_t q = round % ARRAY_LEN(questions);
        int is_desc = (int)test_random_below(&w.rnd, 2), n_listed[N] = {0};
        char token[80] = "", last[ID_TEXT_LEN + 1] = "";

        setup(&w);
        if (round % 3 == 0)
            futures_limit_scans(w.h.futures, 25);
        do {
            struct loopback_call c;
            Futured__V1__ListResponse *r;

            harness_unary(&w.h, &c, "List", "selector { %s } order_by: '%s' page_size: %d page_token: '%s'",
                          questions[q].selector, is_desc ? "desc" : "asc",
                          1 + (int)test_random_below(&w.rnd, 40), token);
            settle(&w, &c);
            if (c.status.code != GRPC_OK)
                fail_msg("%s: %s", questions[q].selector, c.status.message);
            r = harness_message(&w.h, &c, 0, &futured__v1__list_response__descriptor);
            note_listed(&w, r, is_desc, n_listed, last);
            snprintf(token, sizeof token, "%s", r->next_page_token);
            harness_free(r);
            loopback_call_deinit(&c);
        } while (token[0]);
        for (int k = 0; k < N; k++)
            if (n_listed[k] != is_meant(&w.items[k], q))
                fail_msg("%s: item %d is listed %d times", questions[q].selector, k, n_listed[k]);
        harness_deinit(&w.h);
    }
}

static void test_counts(void **state)
{
    static struct world w;

    w.rnd.state = test_seed();
    for (size_t round = 0; round < 4 * ARRAY_LEN(questions); round++) {
        size_t q = round % ARRAY_LEN(questions);
        uint64_t n = 0, want = 0;
        char token[80] = "";

        setup(&w);
        if (round % 2)
            futures_limit_scans(w.h.futures, 25);
        do {
            struct loopback_call c;
            Futured__V1__CountResponse *r;

            harness_unary(&w.h, &c, "Count", "selector { %s } page_token: '%s'", questions[q].selector,
                          token);
            settle(&w, &c);
            assert_int_equal(c.status.code, GRPC_OK);
            r = harness_message(&w.h, &c, 0, &futured__v1__count_response__descriptor);
            n += r->count;
            snprintf(token, sizeof token, "%s", r->next_page_token);
            harness_free(r);
            loopback_call_deinit(&c);
        } while (token[0]);
        for (int k = 0; k < N; k++)
            want += is_meant(&w.items[k], q) != 0;
        assert_int_equal(n, want);
        harness_deinit(&w.h);
    }
}

/* What cannot have ended is in memory: the store is not asked. */
static void test_live_needs_no_store(void **state)
{
    static struct world w;
    struct loopback_call c;

    w.rnd.state = test_seed();
    setup(&w);
    w.n_stretches = 0;
    harness_unary(&w.h, &c, "Count", "selector { filter: 'state = PENDING OR state = RUNNING' }");
    assert_null(w.asked);
    settle(&w, &c);
    loopback_call_deinit(&c);
    harness_unary(&w.h, &c, "List", "selector { filter: 'pending_reason = READY' }");
    assert_null(w.asked);
    settle(&w, &c);
    loopback_call_deinit(&c);
    assert_int_equal(w.n_stretches, 0);
    harness_deinit(&w.h);
}

/* The store fails: so does the call. The client goes: nobody is told. */
static void test_what_goes_wrong(void **state)
{
    static const struct {
        int result;
        enum grpc_code code;
    } cases[] = {{FUTURES_E_UNREADABLE, GRPC_UNAVAILABLE},
                 {FUTURES_E_BUSY, GRPC_UNAVAILABLE},
                 {FUTURES_E_FULL, GRPC_RESOURCE_EXHAUSTED},
                 {-ENOMEM, GRPC_RESOURCE_EXHAUSTED}};
    static struct world w;
    struct loopback_call c;

    w.rnd.state = test_seed();
    setup(&w);
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        w.result = cases[i / 2].result;
        harness_unary(&w.h, &c, i % 2 ? "Count" : "List", "selector { filter: '*' }");
        assert_non_null(w.asked);
        answer(&w);
        harness_settle(&w.h);
        assert_int_equal(c.status.code, cases[i / 2].code);
        loopback_call_deinit(&c);
    }
    harness_unary(&w.h, &c, "Count", "selector { filter: '*' }");
    assert_non_null(w.asked);
    harness_disconnect(&w.h, &w.h.lo);
    assert_null(w.asked);
    loopback_call_deinit(&c);
    harness_deinit(&w.h);
}

/* More than a turn's share: others have their turn in between. */
static void test_turns(void **state)
{
    enum { MANY = 3 * SEARCH_TURN_COST + 100 };
    struct loopback_call c, count;
    Futured__V1__CountResponse *r;
    struct harness h;
    size_t n_turns = 0;

    harness_init(&h, NULL);
    harness_call(&h, &c, "SubmitStream");
    for (int i = 0; i < MANY; i++)
        harness_send(&c, "SubmitStream", "task { function: 'echo' } view: VIEW_RESULT");
    loopback_half_close(&c);
    harness_settle(&h);
    loopback_call_deinit(&c);
    harness_call(&h, &count, "Count");
    harness_send(&count, "Count", "selector { filter: 'has x OR state = PENDING' }");
    loopback_half_close(&count);
    while (!count.is_done) {
        harness_turn(&h);
        n_turns++;
    }
    assert_in_range(n_turns, 3, 8);
    r = harness_message(&h, &count, 0, &futured__v1__count_response__descriptor);
    assert_int_equal(r->count, MANY);
    harness_free(r);
    loopback_call_deinit(&count);
    harness_call(&h, &count, "Count"); /* and one that is left alone on its way */
    harness_send(&count, "Count", "selector { filter: 'has x' }");
    harness_turn(&h);
    harness_turn(&h);
    assert_false(count.is_done);
    harness_disconnect(&h, &h.lo);
    loopback_call_deinit(&count);
    harness_deinit(&h);
}

/* A daemon's first future joins a group while the store is asked for members that were there before: it is one, not two. */
static void test_first_of_all(void **state)
{
    static struct world w;
    const struct futures_loader loader = {
            .load = load, .load_stretch = load_stretch, .forget_stretch = forget_stretch, .context = &w};
    struct harness_id first, second;
    struct loopback_call c;

    w = (struct world){.rnd.state = test_seed()};
    harness_init(&w.h, NULL);
    futures_keep(w.h.futures, &loader);
    harness_unary(&w.h, &c, "Wait", "selector { group: 'g' } expect: 2");
    assert_non_null(w.asked);
    first = harness_submit(&w.h, "task { function: 'echo' } group: 'g'");
    harness_succeed(&w.h, first.text, "r");
    answer(&w);
    harness_settle(&w.h);
    assert_false(c.is_done);
    second = harness_submit(&w.h, "task { function: 'echo' } group: 'g'");
    harness_succeed(&w.h, second.text, "r");
    harness_settle(&w.h);
    assert_true(c.is_done);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&w.h);
}

static void test_tokens(void **state)
{
    struct search_token t = {.key = 5, .question = 7, .now = 9, .is_desc = 1},
                        back = {.question = 7, .is_desc = 1};
    char text[SEARCH_TOKEN_LEN + 1];
    struct grpc_status st;

    search_token_write(&t, text);
    assert_int_equal(strlen(text), SEARCH_TOKEN_LEN);
    assert_int_equal(search_token_read(span_of_string(text), &back, &st), 0);
    assert_int_equal(back.key, 5);
    assert_int_equal(back.now, 9);
    for (size_t i = 0; i < SEARCH_TOKEN_LEN; i++) {
        char bad[SEARCH_TOKEN_LEN + 1];

        memcpy(bad, text, sizeof bad);
        bad[i] = 'g';
        assert_int_equal(search_token_read(span_of_string(bad), &back, &st), REQUEST_E_BAD);
        assert_int_equal(search_token_read((struct span){(uint8_t *)text, i}, &back, &st), REQUEST_E_BAD);
    }
    back.question = 8;
    assert_int_equal(search_token_read(span_of_string(text), &back, &st), REQUEST_E_BAD);
    back = (struct search_token){.question = 7, .is_desc = 0};
    assert_int_equal(search_token_read(span_of_string(text), &back, &st), REQUEST_E_BAD);
    assert_true(search_token_question(SPAN_LIT("a"), SPAN_LIT("b")) !=
                search_token_question(SPAN_LIT("b"), SPAN_LIT("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_pages),
            cmocka_unit_test(test_counts),
            cmocka_unit_test(test_live_needs_no_store),
            cmocka_unit_test(test_what_goes_wrong),
            cmocka_unit_test(test_turns),
            cmocka_unit_test(test_first_of_all),
            cmocka_unit_test(test_tokens),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/search", tests, NULL, NULL);
}
