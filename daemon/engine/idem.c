// SPDX-License-Identifier: Apache-2.0
#include "engine/idem.h"

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/limits.h"
#include "engine/scope.h"

#include <errno.h>
#include <string.h>

struct wanted {
    const struct realm *realm;
    struct span key;
};

void idem_set_init(struct idem_set *s, const struct hash_seed *seed)
{
    *s = (struct idem_set){.seed = *seed};
    table_init(&s->table, seed);
}

void idem_set_deinit(struct idem_set *s)
{
    ASSERT(s->table.n_items == 0);
    table_deinit(&s->table);
    s->filter = mem_free(s->filter);
}

static uint64_t hash_of(const struct idem_set *s, const struct realm *realm, struct span key)
{
    return hash_bytes(&s->seed, key.p, key.len) + realm->by_name.hash * 0x9e3779b97f4a7c15U;
}

struct idem *idem_new(const struct idem_set *s, struct future *f, const struct realm *realm, struct span key)
{
    struct idem *idem = mem_zalloc(sizeof *idem + key.len);

    ASSERT(key.len > 0 && key.len <= LIMIT_KEY_BYTES);
    if (!idem)
        return NULL;
    idem->future = f;
    idem->hash = hash_of(s, realm, key);
    idem->len = (uint8_t)key.len;
    memcpy(idem->text, key.p, key.len);
    return idem;
}

struct idem *idem_free(struct idem_set *s, struct idem *idem)
{
    if (idem && idem->is_held)
        idem_leave(s, idem);
    return mem_free(idem);
}

struct span idem_span(const struct idem *idem)
{
    return idem ? (struct span){idem->text, idem->len} : (struct span){0};
}

uint64_t idem_bytes(const struct idem *idem)
{
    return idem ? sizeof *idem + idem->len + LIMITS_MALLOC_BYTES + LIMITS_INDEX_BYTES : 0;
}

static int is_wanted(const void *item, const void *key)
{
    const struct idem *idem = item;
    const struct wanted *w = key;

    return idem->future->scope->realm == w->realm && span_eq(idem_span(idem), w->key);
}

struct idem *idem_find(const struct idem_set *s, const struct realm *realm, struct span key)
{
    struct wanted wanted = {realm, key};

    return s->table.n_items ? table_find(&s->table, hash_of(s, realm, key), is_wanted, &wanted) : NULL;
}

int idem_hold(struct idem_set *s, struct idem *idem)
{
    int r = table_insert(&s->table, idem->hash, idem);

    if (r == 0)
        idem->is_held = 1;
    return r;
}

void idem_leave(struct idem_set *s, struct idem *idem)
{
    ASSERT(idem->is_held);
    idem->is_held = 0;
    table_remove(&s->table, idem->hash, idem);
}

static struct span part(const struct bytes *task, uint32_t end, uint32_t n)
{
    return n ? (struct span){task->data + end - n, n} : (struct span){0};
}

int idem_is_same_task(const struct idem *idem, const struct engine_submit *in)
{
    const struct future *f = idem->future;

    return span_eq(future_function_name(f), in->function) &&
           span_eq(part(f->task, f->argument_at + f->argument_field_bytes, f->argument_bytes),
                   part(in->task, in->argument_at + in->argument_field_bytes, in->argument_bytes)) &&
           span_eq(part(f->task, idem->content_type_at + idem->content_type_bytes, idem->content_type_bytes),
                   part(in->task, in->content_type_at + in->content_type_bytes, in->content_type_bytes));
}

/* --- what only the store may have */

uint64_t idem_stored_hash(struct span namespace, struct span key)
{
    static const struct hash_seed seed = {0x6675747572656421, 0x6964656d706f7421};

    return hash_bytes(&seed, key.p, key.len) ^
           (hash_bytes(&seed, namespace.p, namespace.len) * 0x9e3779b97f4a7c15U);
}

/* Each hash has two bits, from halves of it that have nothing to do with each other. */
static uint32_t first_bit(uint64_t hash)
{
    return (uint32_t)(hash % IDEM_FILTER_BITS);
}

static uint32_t second_bit(uint64_t hash)
{
    return (uint32_t)((hash >> 32) % IDEM_FILTER_BITS);
}

static int has_bit(const uint64_t *filter, uint32_t bit)
{
    return (int)(filter[bit / 64] >> (bit % 64) & 1);
}

void idem_note_stored(struct idem_set *s, uint64_t hash)
{
    if (s->is_blind)
        return;
    if (!s->filter && !(s->filter = mem_zalloc(IDEM_FILTER_BITS / 8))) {
        s->is_blind = 1;
        return;
    }
    s->filter[first_bit(hash) / 64] |= UINT64_C(1) << (first_bit(hash) % 64);
    s->filter[second_bit(hash) / 64] |= UINT64_C(1) << (second_bit(hash) % 64);
}

int idem_may_be_stored(const struct idem_set *s, uint64_t hash)
{
    if (s->is_blind)
        return 1;
    return s->filter && has_bit(s->filter, first_bit(hash)) && has_bit(s->filter, second_bit(hash));
}
