// SPDX-License-Identifier: Apache-2.0
/* What a task depends on: found, in the order said; or not there, by whose options name it. With a store: test_retry.c. */
#include "service/depends.h"
#include "service/internal.h"
#include "tests/unit/service/harness.h"

static const char unknown[] = "\x4a\x24"
                              "01000000-0000-7000-8000-000000000000";
static const struct span raw = {(const uint8_t *)unknown, sizeof unknown - 1};

static void test_found(void **state)
{
    struct engine_submit in = {.durability = DURABILITY_EPHEMERAL};
    uint8_t both[2 * 38] = {0x4a, 0x24, [38] = 0x4a, 0x24};
    struct grpc_status st;
    struct harness_id a, b;
    struct harness h;

    harness_init(&h, NULL);
    a = harness_submit(&h, "task { function: 'echo' }");
    b = harness_submit(&h, "task { function: 'echo' }");
    memcpy(both + 2, b.text, ID_TEXT_LEN);
    memcpy(both + 40, a.text, ID_TEXT_LEN);
    in.scope = harness_find(&h, a.text)->scope;
    assert_int_equal(depends_find(h.futures, (struct span){both, sizeof both}, OPTIONS_OF_TASK, &in, &st), 0);
    assert_ptr_equal(in.upstreams[0], harness_find(&h, b.text));
    assert_ptr_equal(in.upstreams[1], harness_find(&h, a.text));
    in.durability = DURABILITY_DURABLE; /* these are not */
    assert_int_equal(depends_find(h.futures, (struct span){both, sizeof both}, OPTIONS_OF_RETRY, &in, &st),
                     REQUEST_E_BAD);
    assert_non_null(strstr(st.message, "options.depends_on: the future "));
    harness_deinit(&h);
}

/* What is named and is not there, by whose options name it. */
static void test_find(void **state)
{
    struct engine_submit in = {.durability = DURABILITY_EPHEMERAL};
    struct grpc_status st;
    struct harness h;

    harness_init(&h, NULL);
    in.scope = engine_scope(h.engine, (struct span){0}, (struct span){0});
    assert_int_equal(depends_find(h.futures, raw, OPTIONS_OF_TASK, &in, &st), DEPENDS_E_UNKNOWN);
    assert_int_equal(st.code, GRPC_NOT_FOUND);
    assert_int_equal(depends_find(h.futures, raw, OPTIONS_OF_RETRY, &in, &st), DEPENDS_E_UNKNOWN);
    assert_int_equal(st.code, GRPC_NOT_FOUND);
    assert_int_equal(depends_find(h.futures, raw, OPTIONS_OF_RETRIED, &in, &st), DEPENDS_E_UNKNOWN);
    assert_int_equal(st.code, GRPC_FAILED_PRECONDITION);
    assert_false(depends_are_missing(h.futures, raw)); /* there is no store where it could be */
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_found),
            cmocka_unit_test(test_find),
    };

    test_seed();
    return cmocka_run_group_tests_name("service/depends", tests, NULL, NULL);
}
