// SPDX-License-Identifier: Apache-2.0
#include "client/lib/seen.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#include <sys/random.h>

struct entry {
    struct map_item item;
    uint64_t revision, n_output, n_log; /* offsets: what comes next */
    uint64_t output_bytes, log_bytes;   /* of one that has ended: where they end, of what is asked for */
    int is_ended, is_gone;
    char *id;
};

struct futured_seen {
    struct map map;
    unsigned int kinds;
    enum futured_view view;
    size_t n;
    const char **open;
    struct entry entries[];
};

struct futured_seen *futured_seen_new(const char *const *ids, size_t n_ids,
                                      const struct futured_watch_options *options)
{
    struct futured_seen *seen = mem_zalloc(sizeof *seen + n_ids * sizeof seen->entries[0]);
    struct hash_seed seed = {0};

    if (!seen)
        return NULL;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed.k0 = (uint64_t)(uintptr_t)&seed; /* the keys are the user's own: any seed will do */
    map_init(&seen->map, &seed);
    seen->kinds = options->kinds ? options->kinds : ~0U;
    seen->view = options->view;
    seen->open = mem_zalloc((n_ids + 1) * sizeof *seen->open);
    for (size_t i = 0; seen->open && i < n_ids; i++) {
        struct entry *entry = &seen->entries[seen->n];
        size_t n = strlen(ids[i]);
        int r;

        entry->n_output = options->output_offset;
        entry->n_log = options->log_offset;
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

/* How much of a future that has ended is still told behind its snapshot. */
static uint64_t told_bytes(const struct futured_seen *seen, enum futured_event_kind kind, uint64_t size)
{
    if (!(seen->kinds & FUTURED_WATCH_KIND(kind)))
        return 0;
    return seen->view == FUTURED_VIEW_RESULT ? UINT64_MAX : size; /* which does not say it */
}

/* An event of the end comes behind all that was told, a snapshot before it. */
static int take_future(const struct futured_seen *seen, struct entry *entry,
                       const struct futured_event *event)
{
    const struct futured_future *future = event->future;

    if (entry->revision && future->revision <= entry->revision)
        return 0;
    entry->revision = future->revision;
    entry->is_ended = futured_future_is_done(future);
    if (event->kind == FUTURED_EVENT_SNAPSHOT) {
        entry->output_bytes = told_bytes(seen, FUTURED_EVENT_OUTPUT, future->output_size);
        entry->log_bytes = told_bytes(seen, FUTURED_EVENT_LOG, future->log_size);
    } else {
        entry->output_bytes = entry->log_bytes = 0;
    }
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

static struct entry *find(struct futured_seen *seen, const char *id)
{
    struct map_item *item = map_find(&seen->map, span_of_string(id));

    return item ? CONTAINER_OF(item, struct entry, item) : NULL;
}

int futured_seen_take(struct futured_seen *seen, struct futured_event *event)
{
    struct entry *entry = find(seen, event->id);

    if (!entry)
        return 1;
    switch (event->kind) {
    case FUTURED_EVENT_SNAPSHOT:
    case FUTURED_EVENT_STATE:
    case FUTURED_EVENT_LABELS: return take_future(seen, entry, event);
    case FUTURED_EVENT_OUTPUT: return take_chunk(&entry->n_output, event->chunk, event);
    case FUTURED_EVENT_LOG: return take_chunk(&entry->n_log, event->chunk, event);
    default: return 1;
    }
}

const char *futured_seen_drop(struct futured_seen *seen, const char *id)
{
    struct entry *entry = find(seen, id);

    if (!entry || entry->is_gone)
        return NULL;
    entry->is_gone = 1;
    return entry->id;
}

static int is_told(const struct entry *entry)
{
    return entry->is_gone ||
           (entry->is_ended && entry->n_output >= entry->output_bytes && entry->n_log >= entry->log_bytes);
}

const char *const *futured_seen_open(struct futured_seen *seen, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t i = 0; i < seen->n; i++)
        if (!is_told(&seen->entries[i]))
            seen->open[(*ret_n)++] = seen->entries[i].id;
    return seen->open;
}
