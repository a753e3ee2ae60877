// SPDX-License-Identifier: Apache-2.0
#include "engine/retention.h"

#include "base/clock.h"

void retention_init(struct retention *r)
{
    *r = (struct retention){.custom = HEAP_INIT};
    for (uint32_t i = 0; i < RETENTION_LINES; i++)
        list_init(&r->lines[i]);
    list_init(&r->put_off);
}

void retention_deinit(struct retention *r)
{
    ASSERT(r->n_custom == 0 && r->custom.n == 0 && list_is_empty(&r->put_off));
    for (uint32_t i = 0; i < RETENTION_LINES; i++)
        ASSERT(list_is_empty(&r->lines[i]));
    heap_deinit(&r->custom);
}

int retention_reserve(struct retention *r)
{
    int e = heap_reserve(&r->custom, r->n_custom + 1);

    if (e == 0)
        r->n_custom++;
    return e;
}

void retention_unreserve(struct retention *r)
{
    ASSERT(r->n_custom > 0);
    r->n_custom--;
}

static struct future *line_entry(struct list *l)
{
    return LIST_ENTRY(l, struct future, queue);
}

void retention_add(struct retention *r, struct future *f)
{
    struct list *line = NULL;

    if (f->rare && (f->rare->retention_ns >= 0 || f->rare->is_custom)) {
        int e = heap_set(&r->custom, &f->rare->expiry, f->outcome->expire_time);

        ASSERT(e == 0); /* retention_reserve made room */
        return;
    }
    for (uint32_t i = 0; i < RETENTION_LINES; i++) {
        line = &r->lines[i];
        if (list_is_empty(line) || line_entry(line->prev)->outcome->expire_time <= f->outcome->expire_time)
            break;
    }
    r->n_lines = MAX(r->n_lines, (uint32_t)(line - r->lines) + 1);
    list_push_back(line, &f->queue);
}

void retention_remove(struct retention *r, struct future *f)
{
    list_del(&f->queue);
    if (f->rare)
        heap_del(&r->custom, &f->rare->expiry);
}

void retention_unpinned(struct retention *r, struct future *f)
{
    if (!list_is_linked(&f->queue) && !(f->rare && heap_has(&f->rare->expiry)))
        list_push_back(&r->put_off, &f->queue);
}

/* The first of @line, if it may go. What is pinned leaves the line; what is not yet committed, or not due, stays and
 * keeps the rest waiting: those behind it are no older. */
static struct future *line_due(struct list *line, wall_ns_t now, uint32_t *budget)
{
    while (!list_is_empty(line) && *budget > 0) {
        struct future *f = line_entry(line->next);

        if (f->outcome->expire_time > now || f->fact)
            return NULL;
        --*budget;
        if (f->n_pins == 0)
            return f;
        list_del(&f->queue);
    }
    return NULL;
}

static struct future *put_off_due(struct retention *r, wall_ns_t now, uint32_t *budget)
{
    while (!list_is_empty(&r->put_off) && *budget > 0) {
        struct future *f = line_entry(r->put_off.next);

        if (f->fact)
            return NULL;
        --*budget;
        if (f->n_pins == 0 && f->outcome->expire_time <= now)
            return f;
        list_del(&f->queue);
        if (f->n_pins == 0) /* the clock was set back: it is not due any more */
            retention_add(r, f);
    }
    return NULL;
}

static struct future *custom_due(struct retention *r, wall_ns_t now, uint32_t *budget)
{
    struct heap_item *it;

    while ((it = heap_min(&r->custom)) && *budget > 0) {
        struct future *f = CONTAINER_OF(it, struct future_rare, expiry)->future;

        if (f->outcome->expire_time > now || f->fact)
            return NULL;
        --*budget;
        if (f->n_pins == 0)
            return f;
        heap_del(&r->custom, it);
    }
    return NULL;
}

struct future *retention_due(struct retention *r, wall_ns_t now, uint32_t *budget)
{
    struct future *f = NULL;

    if (UNLIKELY(!list_is_empty(&r->put_off)))
        f = put_off_due(r, now, budget);
    if (!f && UNLIKELY(r->custom.n))
        f = custom_due(r, now, budget);
    for (; r->n_lines && list_is_empty(&r->lines[r->n_lines - 1]); r->n_lines--)
        ;
    for (uint32_t i = 0; !f && i < r->n_lines; i++)
        f = line_due(&r->lines[i], now, budget);
    return f;
}

wall_ns_t retention_next(const struct retention *r)
{
    const struct heap_item *it = heap_min(&r->custom);
    wall_ns_t next = it ? it->key : CLOCK_NEVER;

    if (!list_is_empty(&r->put_off))
        return INT64_MIN;
    for (uint32_t i = 0; i < r->n_lines; i++)
        if (!list_is_empty(&r->lines[i]))
            next = MIN(next, line_entry(r->lines[i].next)->outcome->expire_time);
    return next;
}
