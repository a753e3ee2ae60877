// SPDX-License-Identifier: Apache-2.0
/* The indexed heap: small cases exhaustively, then long random runs, both against an unsorted array that is
 * searched from end to end. */
#include "base/heap.h"
#include "tests/support/testing.h"

/* One item and what the model knows of it. */
struct entry {
    struct heap_item item;
    int64_t key;
    uint64_t since; /* when it got this key: orders equal keys */
    int is_in;
};

struct model {
    struct heap h;
    struct entry *entries;
    uint32_t n_entries, n_in;
    uint64_t now;
};

static void init(struct model *m, struct entry *entries, uint32_t n)
{
    *m = (struct model){.h = HEAP_INIT, .entries = entries, .n_entries = n};
    memset(entries, 0, n * sizeof *entries);
}

static void set(struct model *m, uint32_t i, int64_t key)
{
    struct entry *e = &m->entries[i];

    assert_int_equal(heap_set(&m->h, &e->item, key), 0);
    if (!e->is_in || e->key != key)
        e->since = m->now++;
    m->n_in += !e->is_in;
    e->is_in = 1;
    e->key = key;
}

static void del(struct model *m, uint32_t i)
{
    struct entry *e = &m->entries[i];

    heap_del(&m->h, &e->item);
    m->n_in -= (uint32_t)e->is_in;
    e->is_in = 0;
}

static struct heap_item *expected_min(const struct model *m)
{
    struct entry *min = NULL;

    for (uint32_t i = 0; i < m->n_entries; i++) {
        struct entry *e = &m->entries[i];

        if (e->is_in && (!min || e->key < min->key || (e->key == min->key && e->since < min->since)))
            min = e;
    }
    return min ? &min->item : NULL;
}

/* The smallest is found, each item knows its place, and no item comes before its parent. */
static void check(const struct model *m)
{
    assert_int_equal(m->h.n, m->n_in);
    assert_ptr_equal(heap_min(&m->h), expected_min(m));
    for (uint32_t i = 0; i < m->n_entries; i++) {
        const struct entry *e = &m->entries[i];

        assert_int_equal(heap_has(&e->item), e->is_in);
        if (e->is_in) {
            assert_int_equal(e->item.key, e->key);
            assert_ptr_equal(m->h.items[e->item.place - 1], &e->item);
        }
    }
    for (uint32_t i = 1; i < m->h.n; i++) {
        const struct heap_item *item = m->h.items[i], *parent = m->h.items[(i - 1) / 2];

        assert_true(parent->key < item->key || (parent->key == item->key && parent->tie < item->tie));
    }
}

/* Take the smallest until nothing is left: each of them the one that the model expects. */
static void drain(struct model *m)
{
    struct heap_item *min;

    while ((min = heap_min(&m->h))) {
        assert_ptr_equal(min, expected_min(m));
        del(m, (uint32_t)(CONTAINER_OF(min, struct entry, item) - m->entries));
    }
    assert_int_equal(m->n_in, 0);
}

static void test_empty(void **state)
{
    struct heap_item item = {0};
    struct heap h = HEAP_INIT;

    assert_null(heap_min(&h));
    heap_del(&h, &item);
    heap_deinit(&h);
    heap_deinit(&h);
}

/* Six items, every combination of three keys: every order and every tie. */
static void test_every_insertion(void **state)
{
    enum { N = 6, N_KEYS = 3 };
    struct entry entries[N];
    struct model m;
    int n_codes = 1;

    for (int i = 0; i < N; i++)
        n_codes *= N_KEYS;
    for (int code = 0; code < n_codes; code++) {
        int left = code;

        init(&m, entries, N);
        for (uint32_t i = 0; i < N; i++, left /= N_KEYS) {
            set(&m, i, left % N_KEYS);
            check(&m);
        }
        drain(&m);
        heap_deinit(&m.h);
    }
}

/* Up to six items in every order of distinct keys; each is then deleted, or moved to each other key. */
static void permute(int64_t *keys, uint32_t n, uint32_t fixed, void (*with)(const int64_t *, uint32_t))
{
    if (fixed == n) {
        with(keys, n);
        return;
    }
    for (uint32_t i = fixed; i < n; i++) {
        int64_t first = keys[i];

        keys[i] = keys[fixed];
        keys[fixed] = first;
        permute(keys, n, fixed + 1, with);
        keys[fixed] = keys[i];
        keys[i] = first;
    }
}

static void change_each(const int64_t *keys, uint32_t n)
{
    struct entry entries[6];
    struct model m;

    for (uint32_t victim = 0; victim < n; victim++) {
        for (int64_t to = -1; to <= 2 * (int64_t)n; to++) { /* -1: delete */
            init(&m, entries, n);
            for (uint32_t i = 0; i < n; i++)
                set(&m, i, keys[i]);
            if (to < 0)
                del(&m, victim);
            else
                set(&m, victim, to);
            check(&m);
            drain(&m);
            heap_deinit(&m.h);
        }
    }
}

static void test_every_change(void **state)
{
    int64_t keys[] = {1, 3, 5, 7, 9, 11};

    for (uint32_t n = 1; n <= ARRAY_LEN(keys); n++)
        permute(keys, n, 0, change_each);
}

static void test_random_against_model(void **state)
{
    enum { N = 200 };
    static struct entry entries[N];
    struct test_random r = {test_seed()};

    for (int round = 0; round < 60; round++) {
        int64_t n_keys = (int64_t)1 << (round % 12); /* many ties, then few */
        uint32_t n = 1 + (uint32_t)test_random_below(&r, N), weight = 1 + (uint32_t)test_random_below(&r, 9);
        struct model m;

        init(&m, entries, n);
        for (int i = 0; i < 2000; i++) {
            uint32_t which = (uint32_t)test_random_below(&r, n);

            if (test_random_below(&r, 10) < weight)
                set(&m, which, (int64_t)test_random_below(&r, (uint64_t)n_keys) - n_keys / 2);
            else
                del(&m, which);
            if (i % 8 == 0)
                check(&m);
            else
                assert_ptr_equal(heap_min(&m.h), expected_min(&m));
        }
        check(&m);
        drain(&m);
        heap_deinit(&m.h);
    }
}

static void test_extreme_keys(void **state)
{
    struct entry entries[4];
    struct model m;

    init(&m, entries, 4);
    set(&m, 0, INT64_MAX);
    set(&m, 1, INT64_MIN);
    set(&m, 2, 0);
    set(&m, 3, INT64_MAX);
    check(&m);
    drain(&m);
    heap_deinit(&m.h);
}

/* Setting the key that an item has already keeps its turn among equals; another key and back loses it. */
static void test_equal_keys_keep_their_order(void **state)
{
    struct heap_item a = {0}, b = {0};
    struct heap h = HEAP_INIT;

    assert_int_equal(heap_set(&h, &a, 5), 0);
    assert_int_equal(heap_set(&h, &b, 5), 0);
    assert_int_equal(heap_set(&h, &a, 5), 0);
    assert_ptr_equal(heap_min(&h), &a);
    assert_int_equal(heap_set(&h, &a, 6), 0);
    assert_int_equal(heap_set(&h, &a, 5), 0);
    assert_ptr_equal(heap_min(&h), &b);
    heap_deinit(&h);
}

static void test_deinit_releases_the_items(void **state)
{
    struct heap_item a = {0}, b = {0};
    struct heap h = HEAP_INIT;

    assert_int_equal(heap_set(&h, &a, 1), 0);
    assert_int_equal(heap_set(&h, &b, 2), 0);
    heap_deinit(&h);
    assert_false(heap_has(&a));
    assert_false(heap_has(&b));
    assert_null(heap_min(&h));
    assert_int_equal(heap_set(&h, &a, 1), 0);
    assert_ptr_equal(heap_min(&h), &a);
    heap_deinit(&h);
}

static void test_reserved_cannot_fail(void **state)
{
    static struct heap_item items[1000];
    struct heap h = HEAP_INIT;

    for (uint32_t n = 1; n <= ARRAY_LEN(items); n = n * 3 + 1) {
        assert_int_equal(heap_reserve(&h, n), 0);
        mem_fail_at(1);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(heap_set(&h, &items[i], (int64_t)n - i), 0);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(heap_set(&h, &items[i], i), 0); /* moving never allocates */
        assert_true(mem_fail_pending());
        mem_fail_at(0);
        heap_deinit(&h);
    }
    assert_int_equal(heap_reserve(&h, 0), 0);
    assert_int_equal(heap_reserve(&h, UINT32_MAX), -ENOMEM);
    assert_int_equal(h.cap, 0);
}

static void test_fail_each_allocation(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct entry entries[100];
        unsigned int n_failed = 0;
        struct model m;

        init(&m, entries, ARRAY_LEN(entries));
        for (uint32_t i = 0; i < ARRAY_LEN(entries); i++) {
            int r = heap_set(&m.h, &entries[i].item, 100 - i);

            if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                assert_false(heap_has(&entries[i].item));
                check(&m);
                n_failed++;
            }
            set(&m, i, 100 - i);
        }
        assert_int_equal(n_failed, test_allocation_failed());
        check(&m);
        heap_deinit(&m.h);
    }
}

static struct heap one, other;
static struct heap_item one_item, other_item;

static void del_from_the_wrong_heap(void *arg)
{
    heap_del(&other, &one_item);
}

static void set_in_the_wrong_heap(void *arg)
{
    (void)!heap_set(&other, &one_item, 7);
}

static void test_wrong_heap_is_a_bug(void **state)
{
    assert_int_equal(heap_set(&one, &one_item, 1), 0);
    test_aborts(del_from_the_wrong_heap, NULL, "assertion failed");
    test_aborts(set_in_the_wrong_heap, NULL, "assertion failed");
    assert_int_equal(heap_set(&other, &other_item, 1), 0);
    test_aborts(del_from_the_wrong_heap, NULL, "assertion failed");
    test_aborts(set_in_the_wrong_heap, NULL, "assertion failed");
    heap_deinit(&one);
    heap_deinit(&other);
}

/* Equal keys come by the tie that they are given. */
static void test_tie(void **state)
{
    static const uint64_t ties[] = {5, 1, 9, 3, 7, 2};
    struct heap_item items[ARRAY_LEN(ties)] = {0};
    struct heap h = HEAP_INIT;
    uint64_t last = 0;

    for (size_t i = 0; i < ARRAY_LEN(ties); i++)
        assert_int_equal(heap_set_tie(&h, &items[i], i == 2 ? -1 : 0, ties[i]), 0);
    assert_ptr_equal(heap_min(&h), &items[2]);
    heap_del(&h, &items[2]);
    while (h.n) {
        assert_true(heap_min(&h)->tie > last);
        last = heap_min(&h)->tie;
        heap_del(&h, heap_min(&h));
    }
    heap_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_every_insertion),
            cmocka_unit_test(test_every_change),
            cmocka_unit_test(test_random_against_model),
            cmocka_unit_test(test_extreme_keys),
            cmocka_unit_test(test_equal_keys_keep_their_order),
            cmocka_unit_test(test_deinit_releases_the_items),
            cmocka_unit_test(test_reserved_cannot_fail),
            cmocka_unit_test(test_fail_each_allocation),
            cmocka_unit_test(test_wrong_heap_is_a_bug),
            cmocka_unit_test(test_tie),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
