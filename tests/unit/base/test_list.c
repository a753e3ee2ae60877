// SPDX-License-Identifier: Apache-2.0
/* The intrusive list, against an array: every sequence of operations of a small length. */
#include "base/list.h"
#include "tests/support/testing.h"

enum { N_LINKS = 4, N_STEPS = 5 };

struct node {
    int number;
    struct list link;
};

/* A list and, in the same order, what is in it. */
struct model {
    struct list head;
    struct node nodes[N_LINKS];
    int order[N_LINKS], n;
};

static int find(const struct model *m, int number)
{
    for (int i = 0; i < m->n; i++)
        if (m->order[i] == number)
            return i;
    return -1;
}

static void check(const struct model *m)
{
    const struct list *l = m->head.next;

    for (int i = 0; i < m->n; i++, l = l->next) {
        const struct list *link = &m->nodes[m->order[i]].link;

        assert_ptr_equal(l, link);
        assert_ptr_equal(l->next->prev, l);
    }
    assert_ptr_equal(l, &m->head);
    assert_ptr_equal(l->next->prev, l);
    assert_int_equal(list_is_empty(&m->head), m->n == 0);
    assert_ptr_equal(list_first(&m->head), m->n ? &m->nodes[m->order[0]].link : NULL);
    for (int i = 0; i < N_LINKS; i++)
        assert_int_equal(list_is_linked(&m->nodes[i].link), find(m, i) >= 0);
}

static void take_out(struct model *m, int at)
{
    memmove(&m->order[at], &m->order[at + 1], sizeof m->order[0] * (size_t)(m->n - at - 1));
    m->n--;
}

static void push(struct model *m, int number, int at_front)
{
    if (find(m, number) >= 0)
        return;
    if (at_front) {
        list_push_front(&m->head, &m->nodes[number].link);
        memmove(&m->order[1], &m->order[0], sizeof m->order[0] * (size_t)m->n);
        m->order[0] = number;
    } else {
        list_push_back(&m->head, &m->nodes[number].link);
        m->order[m->n] = number;
    }
    m->n++;
}

/* One of 3 * N_LINKS + 1 operations. */
static void step(struct model *m, int op)
{
    int number = op / 3, at = find(m, number);
    struct list *first;

    if (number == N_LINKS) {
        first = list_pop_front(&m->head);
        assert_ptr_equal(first, m->n ? &m->nodes[m->order[0]].link : NULL);
        if (m->n)
            take_out(m, 0);
    } else if (op % 3 == 0) {
        push(m, number, 0);
    } else if (op % 3 == 1) {
        push(m, number, 1);
    } else {
        list_del(&m->nodes[number].link); /* also when it is in no list */
        if (at >= 0)
            take_out(m, at);
    }
}

static void init(struct model *m)
{
    list_init(&m->head);
    m->n = 0;
    for (int i = 0; i < N_LINKS; i++) {
        m->nodes[i].number = i;
        list_init(&m->nodes[i].link);
    }
}

static void test_every_sequence(void **state)
{
    enum { N_OPS = 3 * N_LINKS + 1 };
    long n_sequences = 1;

    for (int i = 0; i < N_STEPS; i++)
        n_sequences *= N_OPS;
    for (long code = 0; code < n_sequences; code++) {
        struct model m;
        long left = code;

        init(&m);
        for (int i = 0; i < N_STEPS; i++, left /= N_OPS)
            step(&m, (int)(left % N_OPS));
        check(&m);
    }
}

/* Every pair of lengths. */
static void test_splice(void **state)
{
    for (int n_to = 0; n_to <= N_LINKS; n_to++) {
        for (int n_from = 0; n_from <= N_LINKS; n_from++) {
            struct model to, from;
            struct list *l;

            init(&to);
            init(&from);
            for (int i = 0; i < n_to; i++)
                push(&to, i, 0);
            for (int i = 0; i < n_from; i++)
                push(&from, i, 0);
            list_splice_back(&to.head, &from.head);
            assert_true(list_is_empty(&from.head));
            assert_ptr_equal(from.head.prev, &from.head);
            l = to.head.prev;
            for (int i = n_to + n_from - 1; i >= 0; i--, l = l->prev)
                assert_ptr_equal(l, i < n_to ? &to.nodes[i].link : &from.nodes[i - n_to].link);
            assert_ptr_equal(l, &to.head);
            for (int i = 0; i < n_to + n_from; i++) {
                l = list_pop_front(&to.head);
                assert_ptr_equal(l, i < n_to ? &to.nodes[i].link : &from.nodes[i - n_to].link);
                assert_false(list_is_linked(l));
            }
            assert_true(list_is_empty(&to.head));
            assert_ptr_equal(to.head.prev, &to.head);
        }
    }
}

static void test_foreach(void **state)
{
    struct model m;
    int seen = 0;

    init(&m);
    LIST_FOREACH (l, &m.head)
        fail_msg("the list is empty");
    for (int i = 0; i < N_LINKS; i++)
        push(&m, i, 0);
    LIST_FOREACH (l, &m.head)
        assert_int_equal(LIST_ENTRY(l, struct node, link)->number, seen++);
    assert_int_equal(seen, N_LINKS);
}

/* Every subset is taken out while walking. */
static void test_foreach_safe(void **state)
{
    for (unsigned int subset = 0; subset < 1U << N_LINKS; subset++) {
        struct model m;
        int seen = 0;

        init(&m);
        for (int i = 0; i < N_LINKS; i++)
            push(&m, i, 0);
        LIST_FOREACH_SAFE (l, &m.head) {
            int number = LIST_ENTRY(l, struct node, link)->number;

            assert_int_equal(number, seen++);
            if (subset >> number & 1) {
                list_del(l);
                take_out(&m, find(&m, number));
                memset(l, 0xee, sizeof *l); /* as if its owner were freed */
                list_init(l);
            }
        }
        assert_int_equal(seen, N_LINKS);
        check(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_every_sequence),
            cmocka_unit_test(test_splice),
            cmocka_unit_test(test_foreach),
            cmocka_unit_test(test_foreach_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
