// SPDX-License-Identifier: Apache-2.0
#include "client/lib/seen.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#include <sys/random.h>

struct entry {
    struct map_item item;
    uint64_t revision, n_output, n_log; /* offsets: what comes next */
    int is_done;
    char *id;
};

struct futured_seen {
    struct map map;
    size_t n;
    const char **open;
    struct entry entries[];
};

struct futured_seen *futured_seen_new(const char *const *ids, size_t n_ids)
{
    struct futured_seen *seen = mem_zalloc(sizeof *seen + n_ids * sizeof seen->entries[0]);
    struct hash_seed seed = {0};

    if (!seen)
        return NULL;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed.k0 = (uint64_t)(uintptr_t)&seed; /* the keys are the user's own: any seed will do */
    map_init(&seen->map, &seed);
    seen->open = mem_zalloc((n_ids + 1) * sizeof *seen->open);
    for (size_t i = 0; seen->open && i < n_ids; i++) {
        struct entry *entry = &seen->entries[seen->n];
        size_t n = strlen(ids[i]);
        int r;

        entry->id = mem_strndup(ids[i], n);
        if (!entry->id)
            return futured_seen_free(seen);
        for (char *c = entry->id; *c; c++) /* the daemon answers in lower case */
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        r = map_insert(&seen->map, &entry->item, (struct span){(const uint8_t *)entry->id, n});
        if (r)
            entry->id = mem_free(entry->id);
        if (r < 0)
            return futured_seen_free(seen);
        seen->n += r == 0;
    }
    return seen->open ? seen : futured_seen_free(seen);
}

struct futured_seen *futured_seen_free(struct futured_seen *seen)
{
    if (!seen)
        return NULL;
    for (size_t i = 0; i < seen->n; i++)
        mem_free(seen->entries[i].id);
    map_deinit(&seen->map);
    mem_free(seen->open);
    return mem_free(seen);
}

static int take_future(struct entry *entry, const struct futured_future *future)
{
    if (entry->revision && future->revision <= entry->revision)
        return 0;
    entry->revision = future->revision;
    entry->is_done = future->state == FUTURED_STATE_SUCCEEDED || future->state == FUTURED_STATE_FAILED ||
                     future->state == FUTURED_STATE_CANCELLED;
    return 1;
}

static int take_chunk(uint64_t *next, const struct futured_chunk *from, struct futured_event *event)
{
    struct futured_chunk *chunk = (struct futured_chunk *)(uintptr_t)from; /* the event is ours */
    uint64_t known = *next > chunk->offset ? *next - chunk->offset : 0;

    if (known >= chunk->data.size && known)
        return 0;
    chunk->data.data += known;
    chunk->data.size -= (size_t)known;
    chunk->offset += known;
    *next = chunk->offset + chunk->data.size;
    event->chunk = chunk;
    return 1;
}

int futured_seen_take(struct futured_seen *seen, struct futured_event *event)
{
    struct map_item *item = map_find(&seen->map, span_of_string(event->id));
    struct entry *entry = item ? CONTAINER_OF(item, struct entry, item) : NULL;

    if (!entry)
        return 1;
    switch (event->kind) {
    case FUTURED_EVENT_SNAPSHOT:
    case FUTURED_EVENT_STATE:
    case FUTURED_EVENT_LABELS: return take_future(entry, event->future);
    case FUTURED_EVENT_OUTPUT: return take_chunk(&entry->n_output, event->chunk, event);
    case FUTURED_EVENT_LOG: return take_chunk(&entry->n_log, event->chunk, event);
    default: return 1;
    }
}

const char *const *futured_seen_open(struct futured_seen *seen, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t i = 0; i < seen->n; i++)
        if (!seen->entries[i].is_done)
            seen->open[(*ret_n)++] = seen->entries[i].id;
    return seen->open;
}
