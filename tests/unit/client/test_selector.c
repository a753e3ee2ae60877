// SPDX-License-Identifier: Apache-2.0
#include "client/lib/selector.h"
#include "tests/support/testing.h"

#include <futured/v1/futures.pb-c.h>

/* The selector of an encoded ListRequest; freed by the caller. */
static Futured__V1__ListRequest *round_trip(const struct futured_selector *selector)
{
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    Futured__V1__ListRequest *list;

    futured_selector_write(selector, &w, 1);
    assert_int_equal(w.failed, 0);
    list = futured__v1__list_request__unpack(NULL, buf_len(&out), buf_head(&out));
    assert_non_null(list);
    assert_non_null(list->selector);
    buf_deinit(&out);
    return list;
}

static void test_write(void **state)
{
    const char *const ids[] = {"a", "b", ""};
    struct futured_selector selector = {ids, 3, NULL, NULL};
    Futured__V1__ListRequest *list = round_trip(&selector);

    assert_int_equal(list->selector->n_ids, 3);
    assert_string_equal(list->selector->ids[1], "b");
    assert_string_equal(list->selector->ids[2], ""); /* for the daemon to refuse */
    assert_string_equal(list->selector->group, "");
    futured__v1__list_request__free_unpacked(list, NULL);

    selector = (struct futured_selector){NULL, 0, "g", NULL};
    list = round_trip(&selector);
    assert_int_equal(list->selector->n_ids, 0);
    assert_string_equal(list->selector->group, "g");
    futured__v1__list_request__free_unpacked(list, NULL);

    selector = (struct futured_selector){NULL, 0, NULL, "*"};
    list = round_trip(&selector);
    assert_string_equal(list->selector->filter, "*");
    futured__v1__list_request__free_unpacked(list, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
