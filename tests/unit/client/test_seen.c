// SPDX-License-Identifier: Apache-2.0
/* What a watch has told is not told again: revisions, pieces of output, ends. */
#include "client/lib/seen.h"
#include "tests/support/testing.h"

#define A "0198c2f0-1111-7000-8000-00000000000a"
#define B "0198c2f0-1111-7000-8000-00000000000b"

static const struct futured_watch_options defaults = FUTURED_WATCH_OPTIONS_INIT;

static int take_state(struct futured_seen *seen, const char *id, uint64_t revision, enum futured_state state)
{
    const struct futured_future future = {.id = id, .revision = revision, .state = state};
    struct futured_event event = {.kind = FUTURED_EVENT_SNAPSHOT, .id = id, .future = &future};

    return futured_seen_take(seen, &event);
}

/* Where the part that is news begins; -1: none is. */
static int64_t take_output(struct futured_seen *seen, uint64_t offset, size_t size)
{
    static const unsigned char bytes[100];
    struct futured_chunk chunk = {.offset = offset, .data = {bytes, size}};
    struct futured_event event = {.kind = FUTURED_EVENT_OUTPUT, .id = A, .chunk = &chunk};

    if (!futured_seen_take(seen, &event))
        return -1;
    assert_int_equal(event.chunk->offset + event.chunk->data.size, offset + size);
    return (int64_t)event.chunk->offset;
}

static void test_states(void **state)
{
    const char *const ids[] = {"0198C2F0-1111-7000-8000-00000000000A", B, B};
    struct futured_seen *seen = futured_seen_new(ids, 3, &defaults);
    const char *const *open;
    size_t n;

    assert_non_null(seen);
    open = futured_seen_open(seen, &n);
    assert_int_equal(n, 2);
    assert_true(take_state(seen, A, 3, FUTURED_STATE_RUNNING));
    assert_false(take_state(seen, A, 3, FUTURED_STATE_RUNNING));
    assert_true(take_state(seen, A, 4, FUTURED_STATE_SUCCEEDED));
    assert_true(take_state(seen, "somebody else's", 1, FUTURED_STATE_PENDING));
    open = futured_seen_open(seen, &n);
    assert_int_equal(n, 1);
    assert_string_equal(open[0], B);
    futured_seen_free(seen);
}

static void test_output(void **state)
{
    const char *const ids[] = {A};
    struct futured_seen *seen = futured_seen_new(ids, 1, &defaults);

    assert_non_null(seen);
    assert_int_equal(take_output(seen, 0, 10), 0);
    assert_int_equal(take_output(seen, 0, 10), -1);
    assert_int_equal(take_output(seen, 5, 10), 10);
    assert_int_equal(take_output(seen, 20, 10), 20); /* behind a gap */
    assert_int_equal(take_output(seen, 12, 5), -1);
    futured_seen_free(seen);
}

static void use_all(void)
{
    const char *const ids[] = {A, B};

    futured_seen_free(futured_seen_new(ids, 2, &defaults));
}

static void test_memory_fails(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        mem_fail_at(nth);
        use_all();
        if (mem_fail_pending())
            break;
    }
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_states),
            cmocka_unit_test(test_output),
            cmocka_unit_test(test_memory_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
