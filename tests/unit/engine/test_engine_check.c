// SPDX-License-Identifier: Apache-2.0
/* The walk sees what is wrong: each invariant is broken by hand, and the check aborts with its line. */
#include "engine/lease.h"
#include "fixture.h"

struct scene {
    struct fixture x;
    struct future *ready, *reserved, *running, *done, *member;
    struct waiter w;
};

static void scene_init(struct scene *s)
{
    fixture_init(&s->x);
    s->reserved = fixture_submit(&s->x, NULL);
    fixture_claim(&s->x);
    s->running = fixture_submit(&s->x, NULL);
    fixture_start(&s->x);
    s->done = fixture_submit(&s->x, NULL);
    fixture_succeed(&s->x, fixture_start(&s->x));
    s->ready = fixture_submit(&s->x, NULL);
    s->member = fixture_submit_group(&s->x, "g");
    waiter_init(&s->w, WAITER_ALL, 0, NULL);
    assert_int_equal(engine_wait_group(s->x.e, &s->w, s->x.scope, SPAN_LIT("g"), 2), 0);
    engine_check(s->x.e);
}

static void state_without_outcome(struct scene *s)
{
    s->running->state = FUTURE_SUCCEEDED;
}

static void outcome_without_state(struct scene *s)
{
    s->ready->outcome = s->done->outcome;
}

static void in_no_queue(struct scene *s)
{
    list_del(&s->ready->queue);
}

static void in_two_places(struct scene *s)
{
    s->ready->lease = s->running->lease;
}

static void running_without_lease(struct scene *s)
{
    s->running->lease = NULL;
}

static void lease_of_another(struct scene *s)
{
    s->reserved->lease->future = s->ready;
}

static void lease_number(struct scene *s)
{
    s->reserved->lease->attempt++;
}

static void reserved_count(struct scene *s)
{
    s->x.fn->n_reserved++;
}

static void state_count(struct scene *s)
{
    s->x.e->n_by_state[FUTURE_PENDING]--;
}

static void bytes_count(struct scene *s)
{
    s->x.e->account.n_bytes++;
}

static void scope_count(struct scene *s)
{
    s->x.scope->n_live++;
}

static void edge_count(struct scene *s)
{
    s->x.e->account.n_edges++;
}

static void pin_count(struct scene *s)
{
    s->member->n_pins++;
}

static void forgotten_in_the_table(struct scene *s)
{
    table_remove(&s->x.e->table, table_hash_id(&s->x.e->table, &s->done->id), s->done);
}

static void forgotten_in_the_order(struct scene *s)
{
    order_remove(&s->x.e->order, s->done);
}

static void not_in_line(struct scene *s)
{
    list_del(&s->done->queue); /* neither pinned nor waiting to be forgotten */
}

static void group_size(struct scene *s)
{
    s->member->group->group->n++;
}

static void spare_edges(struct scene *s)
{
    s->w.expect = 0;
}

static void facts_count(struct scene *s)
{
    s->ready->fact = FACT_NONE;
}

static void promised_count(struct scene *s)
{
    s->x.e->n_promised++;
}

static void wrong_level(struct scene *s)
{
    s->ready->priority++;
}

static void rotation(struct scene *s)
{
    list_del(&s->x.fn->ready.rotation);
}

static void unfinished_attempt(struct scene *s)
{
    s->done->attempts->end_time = 0;
}

static void accepted_count(struct scene *s)
{
    s->x.e->n_accepted++;
}

struct breakage {
    struct scene *scene;
    void (*fn)(struct scene *s);
};

static void break_and_check(void *arg)
{
    struct breakage *b = arg;

    b->fn(b->scene);
    engine_check(b->scene->x.e);
}

static void test_each_breakage_is_seen(void **state)
{
    static void (*const breakages[])(struct scene *) = {
            state_without_outcome,
            outcome_without_state,
            in_no_queue,
            in_two_places,
            running_without_lease,
            lease_of_another,
            lease_number,
            reserved_count,
            state_count,
            bytes_count,
            scope_count,
            edge_count,
            pin_count,
            forgotten_in_the_table,
            forgotten_in_the_order,
            not_in_line,
            group_size,
            spare_edges,
            facts_count,
            promised_count,
            wrong_level,
            rotation,
            unfinished_attempt,
            accepted_count,
    };
    struct scene s;

    scene_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(breakages); i++) {
        struct breakage b = {&s, breakages[i]};

        test_aborts(break_and_check, &b, "assert");
    }
    engine_check(s.x.e);
    engine_waiter_drop(s.x.e, &s.w);
    fixture_deinit(&s.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_breakage_is_seen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
