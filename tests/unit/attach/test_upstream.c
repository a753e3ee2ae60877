// SPDX-License-Identifier: Apache-2.0
/* Outcomes of upstreams as an assignment says them; how they come together with what came ahead is in test_inbox.c. */
#include "attach/upstream.h"
#include "base/mem.h"
#include "tests/support/testing.h"

#include <errno.h>

static const struct upstream_part parts[] = {{0, 0}, {2, 4}, {3, 4}};
static const struct span pieces = SPAN_LIT("taskthird");

static void test_parts(void **state)
{
    struct span s;

    assert_int_equal(upstream_part_find(pieces, parts, 3, 0, &s), 0);
    assert_true(span_eq(s, SPAN_LIT("task")));
    assert_int_equal(upstream_part_find(pieces, parts, 3, 2, &s), 0);
    assert_int_equal(s.len, 0);
    assert_int_equal(upstream_part_find(pieces, parts, 3, 3, &s), 0);
    assert_true(span_eq(s, SPAN_LIT("third")));
    assert_int_equal(upstream_part_find(pieces, parts, 3, 1, &s), UPSTREAM_E_MALFORMED);
    assert_int_equal(upstream_part_find(pieces, parts, 0, 0, &s), UPSTREAM_E_MALFORMED);
}

static int read_text(const char *bytes, size_t n, uint32_t count, struct upstream_list **ret)
{
    return upstream_read((struct span){(const uint8_t *)bytes, n}, 7, count, pieces, parts, 3, ret);
}

static void test_what_makes_no_sense(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {
            {"\x3a\x00", 2},                                          /* neither result nor error */
            {"\x3a\x04\x12\x00\x1a\x00", 6},                          /* both */
            {"\x3a\x03\x0a\x01\xff", 5},                              /* its ID is no text */
            {"\x3a\x04\x12\x02\x08\x01", 6},                          /* a result of a number */
            {"\x3a\x04\x1a\x00\x20\x01", 6},                          /* an error ahead */
            {"\x3a\x04\x12\x00\x20\x01", 6},                          /* the first ahead: it did not come */
            {"\x3a\x02\x12\x00\x3a\x06\x12\x02\x20\x01\x20\x01", 12}, /* the second, of another length */
    };
    struct upstream_list *list;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(read_text(cases[i].bytes, cases[i].n, 2, &list), UPSTREAM_E_MALFORMED);
}

/* What is written is read as it was. */
static void test_write(void **state)
{
    const struct upstream one = {.id = SPAN_LIT("id-1"),
                                 .is_result = 1,
                                 .data = SPAN_LIT("da\0ta"),
                                 .content_type = SPAN_LIT("a/b")},
                          two = {.id = SPAN_LIT("id-2"),
                                 .error = {.code = 13,
                                           .reason = SPAN_LIT("CRASHED"),
                                           .type = SPAN_LIT("T"),
                                           .message = SPAN_LIT("m"),
                                           .traceback = SPAN_LIT("tb"),
                                           .function_reason = SPAN_LIT("fr"),
                                           .retryable = 1}};
    struct upstream_list *list;
    struct buf bytes = BUF_INIT;
    struct writer w = writer_to(&bytes);

    upstream_write(&w, 7, &one);
    upstream_write(&w, 7, &two);
    assert_int_equal(w.failed, 0);
    assert_int_equal(read_text((const char *)buf_head(&bytes), buf_len(&bytes), 2, &list), 0);
    assert_int_equal(list->n, 2);
    assert_true(list->at[0].is_result && span_eq(list->at[0].id, one.id) &&
                span_eq(list->at[0].data, one.data));
    assert_true(span_eq(list->at[0].content_type, one.content_type));
    assert_true(!list->at[1].is_result && span_eq(list->at[1].id, two.id));
    assert_int_equal(list->at[1].error.code, 13);
    assert_true(span_eq(list->at[1].error.reason, two.error.reason) &&
                span_eq(list->at[1].error.type, two.error.type));
    assert_true(span_eq(list->at[1].error.message, two.error.message) &&
                span_eq(list->at[1].error.traceback, two.error.traceback) &&
                span_eq(list->at[1].error.function_reason, two.error.function_reason) &&
                list->at[1].error.retryable);
    mem_free(list);
    buf_deinit(&bytes);
}

static void test_without_memory(void **state)
{
    static const char bytes[] = "\x3a\x02\x12\x00\x3a\x02\x1a\x00\x3a\x06\x12\x02\x20\x05\x20\x01";

    FAIL_EACH_ALLOCATION(nth)
    {
        struct upstream_list *list = NULL;
        int r = read_text(bytes, sizeof bytes - 1, 3, &list);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (r == 0) {
            assert_int_equal(list->n, 3);
            assert_true(list->at[0].is_result && list->at[0].data.len == 0);
            assert_false(list->at[1].is_result);
            assert_true(span_eq(list->at[2].data, SPAN_LIT("third")));
        }
        mem_free(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_parts),
            cmocka_unit_test(test_what_makes_no_sense),
            cmocka_unit_test(test_write),
            cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
