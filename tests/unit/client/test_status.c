// SPDX-License-Identifier: Apache-2.0
#include "client/lib/status.h"
#include "tests/support/testing.h"

static void test_fill(void **state)
{
    static struct futured_status_box box;

    status_set(&box.raw, GRPC_INVALID_ARGUMENT, "BAD", "no %s", "good");
    status_add_violation(&box.raw, "task.function", "is empty");
    status_add_violation(&box.raw, "group", "is long");
    status_add_metadata(&box.raw, "id", "%d", 7);
    status_set_retry(&box.raw, 1500);
    snprintf(box.future_id, sizeof box.future_id, "some-id");
    assert_int_equal(futured_status_fill(&box), FUTURED_INVALID_ARGUMENT);
    assert_int_equal(box.view.code, FUTURED_INVALID_ARGUMENT);
    assert_string_equal(box.view.message, "no good");
    assert_string_equal(box.view.reason, "BAD");
    assert_int_equal(box.view.n_violations, 2);
    assert_string_equal(box.view.violations[0].field, "task.function");
    assert_string_equal(box.view.violations[1].description, "is long");
    assert_int_equal(box.view.n_metadata, 1);
    assert_string_equal(box.view.metadata[0].key, "id");
    assert_string_equal(box.view.metadata[0].value, "7");
    assert_int_equal(box.view.retry_delay_ns, 1500000000);
    assert_string_equal(box.view.future_id, "some-id");

    status_set(&box.raw, GRPC_OK, "", "%s", "");
    box.future_id[0] = '\0';
    assert_int_equal(futured_status_fill(&box), FUTURED_OK);
    assert_int_equal(box.view.n_violations, 0);
    assert_int_equal(box.view.n_metadata, 0);
    assert_int_equal(box.view.retry_delay_ns, FUTURED_NO_SPAN);
    assert_string_equal(box.view.message, "");
    assert_string_equal(box.view.future_id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
