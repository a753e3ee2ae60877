// SPDX-License-Identifier: Apache-2.0
/* The short methods: Get, Cancel, Annotate, Delete; and what all share: who is NOT_FOUND, drain, shutdown. */
#include "tests/unit/service/harness.h"

#define NOBODY "01890a5d-ac96-774b-bcce-b302099a8057"

static Futured__V1__Future *reply(const struct harness *h, const struct loopback_call *c)
{
    assert_true(c->is_done);
    if (c->status.code != GRPC_OK)
        fail_msg("%s: %s", status_name(c->status.code), c->status.message);
    assert_int_equal(c->n_messages, 1);
    return harness_message(h, c, 0, &futured__v1__future__descriptor);
}

/* --- Get */

static void test_get(void **state)
{
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' }");
    for (int round = 0; round < 2; round++) {
        for (int view = 0; view <= 4; view++) {
            Futured__V1__Future *f;
            struct loopback_call c;

            harness_unary(&h, &c, "Get", "id: '%s' view: %d", id.text, view);
            f = reply(&h, &c);
            assert_string_equal(f->id, id.text);
            assert_int_equal(f->state, round ? FUTURE_SUCCEEDED : FUTURE_PENDING);
            assert_int_equal(f->task != NULL, view != 1);
            if (f->task)
                assert_int_equal(f->task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT,
                                 view == 0 || view >= 3);
            if (round)
                assert_int_equal(f->result->content_case == FUTURED__V1__RESULT__CONTENT_DATA,
                                 view == 0 || view == 1 || view == 4);
            harness_free(f);
            loopback_call_deinit(&c);
        }
        if (!round)
            harness_succeed(&h, id.text, "r");
    }
    harness_deinit(&h);
}

/* Upper case is the same ID. */
static void test_get_upper_case(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    Futured__V1__Future *f;
    struct harness h;
    char upper[ID_TEXT_LEN + 1];

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    for (size_t i = 0; i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)id.text[i]);
    harness_unary(&h, &c, "Get", "id: '%s'", upper);
    f = reply(&h, &c);
    assert_string_equal(f->id, id.text);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static const struct harness_refusal bad_gets[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: ''", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: '01890a5d-ac96-474b-bcce-b302099a8057'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"idempotency_key: 'k'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
        {"idempotency_key: x256", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "idempotency_key"},
        {"id: '01890a5d-ac96-774b-bcce-b302099a8057' idempotency_key: 'k'", GRPC_INVALID_ARGUMENT,
         "INVALID_FIELD", "id"},
        {"id: '" NOBODY "' view: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "view"},
        {"id: '" NOBODY "'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
};

static void test_get_refused(void **state)
{
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Get", "", "", bad_gets, ARRAY_LEN(bad_gets));
    harness_unary(&h, &c, "Get", "id: '" NOBODY "'");
    assert_string_equal(c.status.resource_type, "futured.v1.Future");
    assert_string_equal(c.status.resource_name, NOBODY);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Expired is as if it had never been. */
static void test_expired(void **state)
{
    const struct harness_options options = {.retention_ns = 10 * NS_PER_S};
    Futured__V1__Future *f;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_advance(&h, 100 * NS_PER_S); /* what has not ended does not expire */
    harness_succeed(&h, id.text, "r");
    harness_unary(&h, &c, "Get", "id: '%s'", id.text);
    f = reply(&h, &c);
    assert_true((f->expire_time->seconds - f->end_time->seconds) == 10);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_advance(&h, 11 * NS_PER_S);
    harness_unary(&h, &c, "Get", "id: '%s'", id.text);
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_get_too_large(void **state)
{
    const struct harness_options options = {.max_message_bytes = 65536};
    struct harness_id id;
    struct harness h;

    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' argument: x40000 }");
    harness_succeed_bytes(&h, id.text, 40000);
    for (int view = 1; view <= 4; view++) {
        Futured__V1__Future *f;
        struct loopback_call c;

        harness_unary(&h, &c, "Get", "id: '%s' view: %d", id.text, view);
        f = reply(&h, &c);
        assert_int_equal(f->omitted, view == 4);
        if (view == 4) {
            assert_int_equal(f->result->data.len, 40000);
            assert_int_equal(f->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET);
        }
        harness_free(f);
        loopback_call_deinit(&c);
    }
    harness_deinit(&h);
}

/* --- Cancel */

static void test_cancel(void **state)
{
    Futured__V1__Future *f;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' argument: 'a' }");
    harness_advance(&h, NS_PER_S);
    harness_unary(&h, &c, "Cancel", "id: '%s' reason: 'not needed, é'", id.text);
    f = reply(&h, &c);
    assert_int_equal(f->state, FUTURE_CANCELLED);
    assert_string_equal(f->error->reason, "CANCELLED");
    assert_int_equal(f->error->code, GRPC_CANCELLED);
    assert_string_equal(f->cancel_requested->reason, "not needed, é");
    assert_true(f->cancel_requested->time->seconds * NS_PER_S == h.wall);
    assert_int_equal(f->task->input_case, FUTURED__V1__TASK__INPUT__NOT_SET); /* BASIC */
    harness_free(f);
    loopback_call_deinit(&c);

    harness_unary(&h, &c, "Cancel", "id: '%s' reason: 'again'", id.text); /* terminal: unchanged, no error */
    f = reply(&h, &c);
    assert_string_equal(f->cancel_requested->reason, "not needed, é");
    harness_free(f);
    loopback_call_deinit(&c);

    id = harness_submit(&h, "task { function: 'echo' }");
    harness_succeed(&h, id.text, "r");
    harness_unary(&h, &c, "Cancel", "id: '%s' grace {}", id.text);
    f = reply(&h, &c);
    assert_int_equal(f->state, FUTURE_SUCCEEDED);
    assert_null(f->cancel_requested);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* Reserved: it is asked back, and cancelled when it comes. */
static void test_cancel_reserved(void **state)
{
    Futured__V1__Future *f;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_claim(&h, id.text);
    harness_unary(&h, &c, "Cancel", "id: '%s'", id.text);
    f = reply(&h, &c);
    assert_int_equal(f->state, FUTURE_PENDING);
    assert_non_null(f->cancel_requested);
    harness_free(f);
    loopback_call_deinit(&c);
    engine_release(h.engine, harness_find(&h, id.text)->lease);
    harness_settle(&h);
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_CANCELLED);
    harness_deinit(&h);
}

static void test_cancel_running(void **state)
{
    struct harness_id id;
    Futured__V1__Future *f;
    struct loopback_call c;
    struct harness h;
    struct lease *lease;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_start(&h, id.text);
    harness_unary(&h, &c, "Cancel", "id: '%s' reason: 'why' grace { seconds: 3 }", id.text);
    f = harness_message(&h, &c, 0, &futured__v1__future__descriptor);
    assert_int_equal(f->state, FUTURED__V1__STATE__STATE_RUNNING);
    assert_string_equal(f->cancel_requested->reason, "why");
    assert_int_equal(f->cancel_requested->grace->seconds, 3);
    harness_free(f);
    loopback_call_deinit(&c);
    lease = harness_find(&h, id.text)->lease;
    assert_int_equal(lease->stop, STOP_CANCELLED);
    assert_true(lease->kill_at - lease->term_at == 3 * NS_PER_S / 2);
    harness_deinit(&h);
}

/* What Reschedule changes is seen, in the schedule, and the task is what it was. */
static void test_reschedule(void **state)
{
    struct harness_id id;
    Futured__V1__Future *f;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' options { priority: 1 } }");
    harness_unary(&h, &c, "Reschedule",
                  "id: '%s' priority: -5 not_before { seconds: 9000000000 } deadline { seconds: 9100000000 } "
                  "retention { seconds: 7 }",
                  id.text);
    f = harness_message(&h, &c, 0, &futured__v1__future__descriptor);
    assert_int_equal(f->schedule->priority, -5);
    assert_int_equal(f->schedule->not_before->seconds, 9000000000);
    assert_int_equal(f->schedule->next_start_time->seconds, 9000000000);
    assert_int_equal(f->schedule->deadline->seconds, 9100000000);
    assert_int_equal(f->schedule->retention->seconds, 7);
    assert_int_equal(f->task->options->priority, 1);
    assert_int_equal(f->pending_reason, FUTURED__V1__PENDING_REASON__PENDING_REASON_DELAYED);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Reschedule", "id: '%s' clear_deadline: true", id.text);
    f = harness_message(&h, &c, 0, &futured__v1__future__descriptor);
    assert_null(f->schedule->deadline);
    assert_int_equal(f->schedule->priority, -5); /* what is absent is as it was */
    harness_free(f);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Reschedule", "id: '%s' deadline { seconds: 5 }", id.text);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "deadline");
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Reschedule", "id: '%s' priority: 0 if_revision: 1", id.text);
    harness_expect(&c, GRPC_ABORTED, "REVISION_MISMATCH", NULL);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Cancel", "id: '%s'", id.text);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Reschedule", "id: '%s' priority: 0", id.text);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "TERMINAL", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static const struct harness_refusal bad_reschedules[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: '" NOBODY "' @2: 4294967296", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "priority"},
        {"id: '" NOBODY "' not_before { nanos: -1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "not_before"},
        {"id: '" NOBODY "' deadline {} deadline {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "deadline"},
        {"id: '" NOBODY "' deadline {} clear_deadline: true", GRPC_INVALID_ARGUMENT, "INVALID_FIELD",
         "clear_deadline"},
        {"id: '" NOBODY "' retention { seconds: -1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "retention"},
        {"id: '" NOBODY "' priority: 1", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
};

static const struct harness_refusal bad_cancels[] = {
        {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
        {"id: '" NOBODY "' reason: x1025", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reason"},
        {"id: '" NOBODY "' reason: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "reason"},
        {"id: '" NOBODY "' grace { seconds: -1 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "grace"},
        {"id: '" NOBODY "' grace { nanos: 1000000000 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "grace"},
        {"id: '" NOBODY "' 2 * grace {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "grace"},
        {"id: '" NOBODY "' reason: x1024", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
};

static void test_cancel_refused(void **state)
{
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Cancel", "", "", bad_cancels, ARRAY_LEN(bad_cancels));
    harness_refused(&h, "Reschedule", "", "", bad_reschedules, ARRAY_LEN(bad_reschedules));
    harness_deinit(&h);
}

/* --- Annotate */

/* The labels after one Annotate as "key=value " each, in the order they come. */
static void expect_labels(struct harness *h, const char *id, const char *change, const char *expected)
{
    Futured__V1__Future *f;
    struct loopback_call c;
    char text[4096] = "";
    size_t n = 0;

    harness_unary(h, &c, "Annotate", "id: '%s' %s", id, change);
    f = reply(h, &c);
    for (size_t i = 0; i < f->n_labels; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s ", f->labels[i]->key, f->labels[i]->value);
    assert_string_equal(text, expected);
    assert_true(f->revision == harness_find(h, id)->revision);
    harness_free(f);
    loopback_call_deinit(&c);
}

static void test_annotate(void **state)
{
    struct harness_id id;
    struct harness h;
    uint64_t revision;

    harness_init(&h, NULL);
    id = harness_submit(
            &h, "task { function: 'echo' labels { key: 'b' value: '1' } labels { key: 'a' value: '2' } }");
    revision = harness_find(&h, id.text)->revision;
    expect_labels(&h, id.text, "set_labels { key: 'c' value: '3' }", "a=2 b=1 c=3 ");
    assert_true(harness_find(&h, id.text)->revision > revision);
    expect_labels(&h, id.text, "set_labels { key: 'b' value: '' }", "a=2 b= c=3 ");
    expect_labels(&h, id.text, "remove_labels: 'a' remove_labels: 'not there'", "b= c=3 ");
    expect_labels(&h, id.text, "remove_labels: 'b' set_labels { key: 'b' value: 'new' }", "b=new c=3 ");
    expect_labels(&h, id.text, "set_labels { key: 'd' value: '1' } set_labels { key: 'd' value: '2' }",
                  "b=new c=3 d=2 "); /* the last one wins, as in any map */
    expect_labels(&h, id.text, "", "b=new c=3 d=2 ");
    expect_labels(&h, id.text, "remove_labels: 'b' remove_labels: 'c' remove_labels: 'd'", "");
    harness_succeed(&h, id.text, "r");
    expect_labels(&h, id.text, "set_labels { key: 'late' value: 'x' }", "late=x "); /* terminal or not */
    assert_int_equal(harness_find(&h, id.text)->state, FUTURE_SUCCEEDED);
    harness_deinit(&h);
}

/* The task keeps what was given at submission. */
static void test_annotate_leaves_the_task(void **state)
{
    Futured__V1__Future *f;
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' labels { key: 'a' value: '1' } }");
    harness_unary(&h, &c, "Annotate", "id: '%s' remove_labels: 'a'", id.text);
    f = reply(&h, &c);
    assert_int_equal(f->n_labels, 0);
    assert_int_equal(f->task->n_labels, 1);
    harness_free(f);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_if_revision(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;
    uint64_t revision;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    revision = harness_find(&h, id.text)->revision;
    harness_unary(&h, &c, "Annotate", "id: '%s' set_labels { key: 'a' } if_revision: %" PRIu64, id.text,
                  revision);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Annotate", "id: '%s' set_labels { key: 'b' } if_revision: %" PRIu64, id.text,
                  revision);
    harness_expect(&c, GRPC_ABORTED, "REVISION_MISMATCH", NULL);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Annotate", "id: '%s' set_labels { key: 'b' } if_revision: 0",
                  id.text); /* 0 is a value */
    harness_expect(&c, GRPC_ABORTED, "REVISION_MISMATCH", NULL);
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->labels->n, 1);
    harness_deinit(&h);
}

static void test_annotate_limits(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' 64 * labels { key: 'k$' } }");
    harness_unary(&h, &c, "Annotate", "id: '%s' set_labels { key: 'one-more' }", id.text);
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels");
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Annotate", "id: '%s' 64 * set_labels { key: 'k$' value: 'all of them again' }",
                  id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Annotate",
                  "id: '%s' 64 * remove_labels: 'k$' 64 * set_labels { key: 'n$' value: x1024 }", id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(harness_find(&h, id.text)->labels->n, 64);
    loopback_call_deinit(&c);
    harness_unary(&h, &c, "Annotate", "id: '%s' 64 * set_labels { key: 'm$' }", id.text); /* 128 in all */
    harness_expect(&c, GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels");
    loopback_call_deinit(&c);
    assert_int_equal(harness_find(&h, id.text)->labels->n, 64);
    harness_deinit(&h);
}

static const struct harness_refusal bad_annotates[] = {
        {"65 * set_labels { key: 'k$' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels"},
        {"65 * remove_labels: 'k$'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "remove_labels"},
        {"set_labels {}", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels key"},
        {"set_labels { key: x64 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels key"},
        {"set_labels { key: 'é' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels key"},
        {"set_labels { key: 'k' value: x1025 }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels value"},
        {"set_labels { key: 'k' value: #ff }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels"},
        {"@2: #0a05", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels"},
        {"@2: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "set_labels"},
        {"remove_labels: #ff", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "remove_labels"},
        {"@4: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "if_revision"},
};

static void test_annotate_refused(void **state)
{
    static const struct harness_refusal bad_ids[] = {
            {"set_labels { key: 'a' }", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: '" NOBODY "' set_labels { key: 'a' }", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
    };
    char before[64];
    struct harness_id id;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    snprintf(before, sizeof before, "id: '%s' ", id.text);
    harness_refused(&h, "Annotate", before, "", bad_annotates, ARRAY_LEN(bad_annotates));
    harness_refused(&h, "Annotate", "", "", bad_ids, ARRAY_LEN(bad_ids));
    assert_null(harness_find(&h, id.text)->labels);
    harness_deinit(&h);
}

static void test_annotate_full(void **state)
{
    struct harness_options options = {.limits = LIMITS_DEFAULT};
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    options.limits.max_memory_bytes = 20000;
    harness_init(&h, &options);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Annotate", "id: '%s' 64 * set_labels { key: 'k$' value: x1024 }", id.text);
    harness_expect(&c, GRPC_RESOURCE_EXHAUSTED, "MEMORY_LIMIT", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- Delete */

static void test_delete(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    harness_unary(&h, &c, "Delete", "id: '%s'", id.text);
    harness_expect(&c, GRPC_FAILED_PRECONDITION, "NOT_TERMINAL", NULL);
    loopback_call_deinit(&c);
    harness_succeed(&h, id.text, "r");
    harness_unary(&h, &c, "Delete", "id: '%s'", id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    assert_int_equal(c.n_messages, 1);
    assert_int_equal(loopback_message(&c, 0).len, 0); /* a DeleteResponse */
    loopback_call_deinit(&c);
    assert_null(harness_find(&h, id.text));
    harness_unary(&h, &c, "Delete", "id: '%s'", id.text);
    harness_expect(&c, GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

static void test_delete_refused(void **state)
{
    static const struct harness_refusal bad[] = {
            {"", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: 'x'", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"@1: 5", GRPC_INVALID_ARGUMENT, "INVALID_FIELD", "id"},
            {"id: '" NOBODY "'", GRPC_NOT_FOUND, "NO_SUCH_FUTURE", NULL},
    };
    struct harness h;

    harness_init(&h, NULL);
    harness_refused(&h, "Delete", "", "", bad, ARRAY_LEN(bad));
    harness_deinit(&h);
}

/* --- the daemon stops */

static void test_drain(void **state)
{
    struct harness_id id;
    struct loopback_call c;
    struct harness h;

    harness_init(&h, NULL);
    id = harness_submit(&h, "task { function: 'echo' }");
    futures_drain(h.futures, 1);
    expect_labels(&h, id.text, "set_labels { key: 'a' value: 'b' }", "a=b ");
    harness_cancel(&h, id.text);
    harness_unary(&h, &c, "Delete", "id: '%s'", id.text);
    assert_int_equal(c.status.code, GRPC_OK);
    loopback_call_deinit(&c);
    harness_deinit(&h);
}

/* --- no memory */

static struct harness_id prepared(struct harness *h)
{
    struct harness_id id;

    harness_init(h, NULL);
    id = harness_submit(h, "task { function: 'echo' argument: x3000 labels { key: 'a' } }");
    harness_arm(h);
    return id;
}

static void get_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_unary(h, c, "Get", "id: '%s'", prepared(h).text);
}

static void cancel_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_unary(h, c, "Cancel", "id: '%s' reason: 'why'", prepared(h).text);
}

static void annotate_without_memory(struct harness *h, struct loopback_call *c)
{
    harness_unary(h, c, "Annotate", "id: '%s' set_labels { key: 'b' value: 'c' }", prepared(h).text);
}

static void test_no_memory(void **state)
{
    struct futures *s = NULL;
    const struct hash_seed seed = {5, 6};
    struct harness h;

    harness_fail_allocations(get_without_memory, 1);
    harness_fail_allocations(cancel_without_memory, 3);
    harness_fail_allocations(annotate_without_memory, 2);
    harness_init(&h, NULL);
    FAIL_EACH_ALLOCATION(nth)
    {
        int r = futures_new(&s, h.engine, 65536, &seed);

        assert_int_equal(r, test_allocation_failed() ? -ENOMEM : 0);
        if (!test_allocation_failed())
            assert_null(futures_free(s));
    }
    assert_null(futures_free(NULL));
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_get),
            cmocka_unit_test(test_get_upper_case),
            cmocka_unit_test(test_get_refused),
            cmocka_unit_test(test_expired),
            cmocka_unit_test(test_get_too_large),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_cancel_reserved),
            cmocka_unit_test(test_cancel_running),
            cmocka_unit_test(test_reschedule),
            cmocka_unit_test(test_cancel_refused),
            cmocka_unit_test(test_annotate),
            cmocka_unit_test(test_annotate_leaves_the_task),
            cmocka_unit_test(test_if_revision),
            cmocka_unit_test(test_annotate_limits),
            cmocka_unit_test(test_annotate_refused),
            cmocka_unit_test(test_annotate_full),
            cmocka_unit_test(test_delete),
            cmocka_unit_test(test_delete_refused),
            cmocka_unit_test(test_drain),
            cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("service/futures", tests, NULL, NULL);
}
