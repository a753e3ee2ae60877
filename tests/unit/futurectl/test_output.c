// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/output.h"
#include "tests/unit/futurectl/written.h"

static void test_init(void **state)
{
    struct output out;
    struct written w;

    written_init(&w);
    output_init(&out, OUTPUT_TEXT, w.to);
    assert_ptr_equal(out.ops, &output_text_ops);
    assert_false(out.is_colour); /* no terminal */
    assert_int_equal(output_close(&out), 0);
    output_init(&out, OUTPUT_JSON, w.to);
    assert_ptr_equal(out.ops, &output_json_ops);
    assert_false(out.is_line);
    output_init(&out, OUTPUT_JSONL, w.to);
    assert_ptr_equal(out.ops, &output_json_ops);
    assert_true(out.is_line);
    out.failed = 1;
    assert_int_equal(output_close(&out), OUTPUT_E_MEMORY);
    written_deinit(&w);
}

static void test_full_disk(void **state)
{
    FILE *full = fopen("/dev/full", "w");
    struct output out;

    assert_non_null(full);
    output_init(&out, OUTPUT_TEXT, full);
    output_fact(&out, "key", "value", "text");
    assert_int_equal(output_close(&out), -ENOSPC);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_init),
            cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
