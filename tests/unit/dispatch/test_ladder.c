// SPDX-License-Identifier: Apache-2.0
/* Attempts that must end: told, SIGTERM after half of the grace, SIGKILL after all of it; and what is recorded then. */
#include "dispatch/internal.h"
#include "tests/unit/dispatch/harness.h"

struct scene {
    struct harness h;
    struct child *w;
    struct item *item;
    struct future *f;
};

static void set_scene(struct scene *s, const char *options)
{
    harness_init(&s->h);
    s->w = harness_spawn(&s->h, 5);
    harness_hello(s->w, "slots: 1", 3);
    s->f = harness_submit(&s->h, "function: 'echo' %s", options);
    harness_settle(&s->h);
    s->item = harness_take(s->w);
}

static void start(struct scene *s)
{
    worker_starts(s->w, s->item);
    harness_say(s->w, "started { %s }", harness_lease(s->item));
    harness_settle(&s->h);
    assert_int_equal(s->f->state, FUTURE_RUNNING);
}

static void cancel(struct scene *s, int64_t grace_ns)
{
    assert_int_equal(engine_cancel(s->h.engine, s->f, s->h.scope, SPAN_LIT("enough"), grace_ns), 0);
    harness_settle(&s->h);
}

/* Up to the kill; the death is heard of as one that was asked for. */
static void test_up_the_ladder(void **state)
{
    struct scene s;

    set_scene(&s, "");
    start(&s);
    cancel(&s, 4 * NS_PER_S);
    assert_int_equal(s.w->n_cancels, 1);
    assert_true(s.w->told_grace_ns == 4 * NS_PER_S);
    assert_string_equal(s.w->told_reason, "enough");
    assert_true(s.h.next == s.h.now + 2 * NS_PER_S);
    harness_advance(&s.h, 2 * NS_PER_S - 1);
    assert_int_equal(s.w->n_terms, 0);
    harness_advance(&s.h, 1);
    assert_int_equal(s.w->n_terms, 1);
    assert_int_equal(s.w->n_kills, 0);
    assert_true(s.h.next == s.h.now + 2 * NS_PER_S);
    harness_advance(&s.h, 2 * NS_PER_S);
    assert_int_equal(s.w->n_terms, 1);
    assert_int_equal(s.w->n_kills, 1);
    harness_advance(&s.h, 60 * NS_PER_S);
    assert_int_equal(s.w->n_kills, 1);
    assert_int_equal(s.f->state, FUTURE_RUNNING); /* until it has ended */
    harness_die(s.w, 9, 1);
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_CANCELLED);
    assert_int_equal(s.f->attempts->error->reason, REASON_CANCELLED);
    assert_true(s.f->attempts->has_signal && s.f->attempts->signal == 9);
    harness_deinit(&s.h);
}

static void test_without_grace(void **state)
{
    struct scene s;

    set_scene(&s, "");
    start(&s);
    cancel(&s, 0);
    harness_settle(&s.h);
    assert_int_equal(s.w->n_terms, 0);
    assert_int_equal(s.w->n_kills, 1);
    harness_deinit(&s.h);
}

/* What ends in time is left alone. */
static void test_ends_in_time(void **state)
{
    struct scene s;

    set_scene(&s, "");
    start(&s);
    cancel(&s, 4 * NS_PER_S);
    worker_ends(s.w);
    worker_finishes(s.w, s.item, "error { reason: 'CANCELLED' code: CANCELLED }");
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_CANCELLED);
    harness_advance(&s.h, 10 * NS_PER_S);
    assert_int_equal(s.w->n_terms + s.w->n_kills, 0);
    harness_deinit(&s.h);
}

/* One that has not begun has nothing to be killed for, but may begin all the same. */
static void test_not_begun(void **state)
{
    struct scene s;

    set_scene(&s, "");
    cancel(&s, NS_PER_S);
    harness_advance(&s.h, 5 * NS_PER_S);
    assert_int_equal(s.w->n_terms + s.w->n_kills, 0);
    assert_true(s.h.next == s.h.now + DISPATCH_LADDER_LOOK_NS);
    worker_starts(s.w, s.item);
    harness_advance(&s.h, DISPATCH_LADDER_LOOK_NS);
    assert_int_equal(s.w->n_kills, 1);
    harness_deinit(&s.h);
}

/* Its worker sees to it, and is only killed if it does not. */
static void test_command(void **state)
{
    struct scene s;

    set_scene(&s, "");
    s.f->function->kinds = 1 << 2;
    start(&s);
    cancel(&s, 4 * NS_PER_S);
    harness_advance(&s.h, 4 * NS_PER_S);
    assert_int_equal(s.w->n_terms + s.w->n_kills, 0);
    harness_advance(&s.h, DISPATCH_COMMAND_SLACK_NS);
    assert_int_equal(s.w->n_terms, 0);
    assert_int_equal(s.w->n_kills, 1);
    harness_deinit(&s.h);
}

/* A deadline is said as such, and the attempt's error says the same; the kill is not taken for a loss. */
static void test_deadline(void **state)
{
    struct engine_reschedule in = {.has_deadline = 1};
    struct scene s;

    set_scene(&s, "");
    start(&s);
    in.deadline = s.h.wall;
    assert_int_equal(engine_reschedule(s.h.engine, s.f, &in), 0);
    harness_settle(&s.h);
    assert_int_equal(s.w->n_cancels, 1);
    assert_string_equal(s.w->told_reason, "DEADLINE_EXCEEDED");
    harness_advance(&s.h, ENGINE_GRACE_NS);
    assert_int_equal(s.w->n_kills, 1);
    harness_die(s.w, 9, 1);
    harness_settle(&s.h);
    assert_int_equal(s.f->state, FUTURE_FAILED);
    assert_int_equal(s.f->attempts->error->reason, REASON_DEADLINE_EXCEEDED);
    assert_int_equal(s.f->outcome->error->reason, REASON_DEADLINE_EXCEEDED);
    harness_deinit(&s.h);
}

/* One that is to start later is asked back, and not told to end. */
static void test_asked_back(void **state)
{
    struct engine_reschedule in = {.has_not_before = 1};
    struct scene s;

    set_scene(&s, "");
    in.not_before = s.h.wall + 3600 * NS_PER_S;
    assert_int_equal(engine_reschedule(s.h.engine, s.f, &in), 0);
    harness_settle(&s.h);
    assert_int_equal(s.w->n_cancels, 0);
    assert_int_equal(s.w->n_recalls, 1);
    harness_say(s.w, "returned { %s }", harness_lease(s.item));
    harness_settle(&s.h);
    assert_int_equal(future_pending_reason(s.f), PENDING_DELAYED);
    harness_deinit(&s.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_up_the_ladder), cmocka_unit_test(test_without_grace),
            cmocka_unit_test(test_ends_in_time),  cmocka_unit_test(test_not_begun),
            cmocka_unit_test(test_command),       cmocka_unit_test(test_deadline),
            cmocka_unit_test(test_asked_back),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
