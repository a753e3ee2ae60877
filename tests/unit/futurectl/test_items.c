// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/items.h"
#include "tests/support/testing.h"

#include <fcntl.h>

/* What a program reads from a pipe. */
struct source {
    struct items items;
    int read, write;
};

static void source_init(struct source *s, enum items_kind kind)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s->read = fds[0];
    s->write = fds[1];
    items_init_fd(&s->items, s->read, kind);
}

static void source_deinit(struct source *s)
{
    items_deinit(&s->items);
    err_close(&s->read);
    err_close(&s->write);
}

static void source_says(struct source *s, const char *text, size_t n)
{
    assert_int_equal(write(s->write, text, n), (ssize_t)n);
    assert_int_equal(items_read(&s->items), 0);
}

static void source_ends(struct source *s)
{
    err_close(&s->write);
    assert_int_equal(items_read(&s->items), 0);
}

static void expect(struct items *items, uint64_t seq, const char *text, size_t n)
{
    struct item *item = NULL;

    assert_int_equal(items_next(items, &item), 0);
    assert_int_equal(item->seq, seq);
    assert_int_equal(item->text.len, n);
    assert_memory_equal(item->text.p, text, n + 1); /* with the NUL behind it */
    items_free(item);
}

static void expect_no(struct items *items, int r)
{
    struct item *item = NULL;

    assert_int_equal(items_next(items, &item), r);
    assert_null(item);
}

static void test_words(void **state)
{
    char one[] = "one", empty[] = "", *words[] = {one, empty};
    struct items items;

    items_init_words(&items, words, 2);
    assert_int_equal(items_total(&items), 2);
    expect(&items, 1, "one", 3);
    expect(&items, 2, "", 0);
    expect_no(&items, ITEMS_E_END);
    items_deinit(&items);
}

static void test_lines(void **state)
{
    struct source s;

    source_init(&s, ITEMS_LINES);
    expect_no(&s.items, ITEMS_E_WAIT);
    source_says(&s, "a\n\nb c", 6);
    expect(&s.items, 1, "a", 1);
    expect(&s.items, 2, "", 0);
    expect_no(&s.items, ITEMS_E_WAIT);
    source_says(&s, "d\ne", 3);
    expect(&s.items, 3, "b cd", 4);
    expect_no(&s.items, ITEMS_E_WAIT);
    assert_int_equal(items_total(&s.items), 0);
    source_ends(&s);
    expect(&s.items, 4, "e", 1);
    expect_no(&s.items, ITEMS_E_END);
    assert_int_equal(items_total(&s.items), 4);
    source_deinit(&s);
}

static void test_nuls(void **state)
{
    struct source s;

    source_init(&s, ITEMS_NULS);
    source_says(&s, "a\nb\0c\0", 6);
    source_ends(&s);
    expect(&s.items, 1, "a\nb", 3);
    expect(&s.items, 2, "c", 1);
    expect_no(&s.items, ITEMS_E_END);
    source_deinit(&s);
}

static void test_table(void **state)
{
    static const char text[] = "\xef\xbb\xbfname,\"home town\"\r\nada,\"London,\nUK\"\r\n\r\nbob\nlast,x";
    struct item *item = NULL;
    struct source s;

    source_init(&s, ITEMS_TABLE);
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        source_says(&s, text + i, 1);
        if (i < 20)
            expect_no(&s.items, ITEMS_E_WAIT);
    }
    source_ends(&s);
    assert_int_equal(items_next(&s.items, &item), 0);
    assert_int_equal(s.items.head->n_fields, 2);
    assert_memory_equal(s.items.head->fields[0].p, "name", 4);
    assert_int_equal(s.items.head->fields[1].len, strlen("home town"));
    assert_int_equal(item->n_fields, 2);
    assert_true(span_eq(item->fields[0], SPAN_LIT("ada")));
    assert_true(span_eq(item->fields[1], SPAN_LIT("London,\nUK")));
    assert_true(span_eq(item->text, SPAN_LIT("ada,\"London,\nUK\"")));
    items_free(item);
    assert_int_equal(items_next(&s.items, &item), ITEMS_E_BAD);
    assert_string_equal(s.items.error, "it has 1 field, the head has 2");
    assert_int_equal(item->seq, 2);
    items_free(item);
    item = NULL;
    assert_int_equal(items_next(&s.items, &item), 0);
    assert_int_equal(item->seq, 3);
    items_free(item);
    expect_no(&s.items, ITEMS_E_END);
    source_deinit(&s);
}

static void test_memory(void **state)
{
    FAIL_EACH_ALLOCATION(nth)
    {
        struct item *item = NULL;
        struct source s;
        int r = 0;

        source_init(&s, ITEMS_TABLE);
        assert_int_equal(write(s.write, "a,b\n1,2\n", 8), 8);
        err_close(&s.write);
        while (r == 0 && !s.items.is_end)
            r = items_read(&s.items);
        if (r == 0)
            r = items_next(&s.items, &item);
        assert_true(r == 0 ? item->n_fields == 2 : r == -ENOMEM && test_allocation_failed());
        items_free(item);
        source_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_words), cmocka_unit_test(test_lines),  cmocka_unit_test(test_nuls),
            cmocka_unit_test(test_table), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
