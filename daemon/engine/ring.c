// SPDX-License-Identifier: Apache-2.0
#include "engine/ring.h"

#include "base/mem.h"
#include "engine/state.h"
#include "engine/told.h"

#include <errno.h>

enum { LOOKED_THROUGH = 16 };

static size_t bytes_of(const struct labels *labels)
{
    return labels ? labels->bytes : 0;
}

static void drop_oldest(struct ring *r)
{
    struct ring_event *oldest = &r->at[++r->base % r->size];

    r->labels_bytes -= bytes_of(oldest->labels_before);
    oldest->labels_before = mem_free(oldest->labels_before);
}

void ring_add(struct ring *r, struct future *f, enum ring_kind kind, int state_before,
              struct labels *labels_before, wall_ns_t now)
{
    if (r->head - r->base == r->size)
        drop_oldest(r);
    r->head++;
    r->next = r->next + 1 == r->size ? 0 : r->next + 1; /* head % size */
    r->at[r->next] = (struct ring_event){
            .id = f->id,
            .revision = kind == RING_PROGRESS ? told_progress(f)->n : f->revision,
            .time = now,
            .labels_before = labels_before,
            .kind = (uint8_t)kind,
            .state_before = (uint8_t)state_before,
            .durability = f->durability,
    };
    if (kind != RING_PROGRESS) /* it is not one of the revision */
        f->last_event = (uint8_t)kind;
    r->labels_bytes += bytes_of(labels_before);
    while (UNLIKELY(r->labels_bytes > RING_LABELS_BYTES))
        drop_oldest(r);
}

void ring_deinit(struct ring *r)
{
    while (r->base < r->head)
        drop_oldest(r);
    r->at = mem_free(r->at);
}

const struct ring_event *ring_at(const struct ring *r, uint64_t number)
{
    return number > r->base && number <= r->head ? &r->at[number % r->size] : NULL;
}

/* What the labels were is told by the next event of labels, if there is one. */
struct ring_before ring_before(const struct ring *r, uint64_t number, const struct future *f,
                               uint32_t *budget)
{
    const struct ring_event *event = ring_at(r, number), *next = event;
    struct ring_before before = {event->state_before, f->labels};

    if (f->revision == event->revision && event->kind != RING_LABELS)
        return before;
    for (; next; next = ring_at(r, ++number)) {
        if (next->kind == RING_LABELS && id_compare(&next->id, &event->id) == 0) {
            before.labels = next->labels_before;
            break;
        }
        if (number % LOOKED_THROUGH == 0 && (*budget == 0 || --*budget == 0))
            break;
    }
    return before;
}

const struct ring *engine_ring(const struct engine *e)
{
    return &e->ring;
}

int engine_ring_keep(struct engine *e, uint32_t size)
{
    struct ring *r = &e->ring;

    ASSERT(size > 0);
    if (r->at)
        return 0;
    r->at = mem_alloc(size * sizeof *r->at);
    if (!r->at)
        return -ENOMEM;
    r->size = size;
    /* Without a store nothing counts the starts; two of them are some microseconds apart at least. */
    r->epoch = e->config.has_store ? e->config.epoch : (uint64_t)(e->wall / NS_PER_US);
    return 0;
}
