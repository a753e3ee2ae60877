// SPDX-License-Identifier: Apache-2.0
/* The names are those of the contract, as the generated code has them. */
#include "tests/support/testing.h"

#include <futured/client.h>
#include <futured/v1/future.pb-c.h>
#include <google/rpc/code.pb-c.h>

static void test_codes(void **state)
{
    for (unsigned int i = 0; i < google__rpc__code__descriptor.n_values; i++) {
        const ProtobufCEnumValue *value = &google__rpc__code__descriptor.values[i];

        assert_string_equal(futured_code_name(value->value), value->name);
    }
    assert_string_equal(futured_code_name(-1), "UNKNOWN");
    assert_string_equal(futured_code_name(17), "UNKNOWN");
}

static void test_states(void **state)
{
    for (unsigned int i = 0; i < futured__v1__state__descriptor.n_values; i++) {
        const ProtobufCEnumValue *value = &futured__v1__state__descriptor.values[i];

        assert_string_equal(futured_state_name((enum futured_state)value->value),
                            value->name + strlen("STATE_"));
    }
    assert_string_equal(futured_state_name((enum futured_state) - 1), "UNSPECIFIED");
    assert_string_equal(futured_state_name((enum futured_state)6), "UNSPECIFIED");
    for (unsigned int i = 0; i < futured__v1__pending_reason__descriptor.n_values; i++) {
        const ProtobufCEnumValue *value = &futured__v1__pending_reason__descriptor.values[i];

        assert_string_equal(futured_pending_reason_name((enum futured_pending_reason)value->value),
                            value->name + strlen("PENDING_REASON_"));
    }
    assert_string_equal(futured_pending_reason_name((enum futured_pending_reason)99), "UNSPECIFIED");
}

static void test_version(void **state)
{
    assert_string_equal(futured_version(), FUTURED_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_codes),
            cmocka_unit_test(test_states),
            cmocka_unit_test(test_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
