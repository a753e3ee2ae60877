// SPDX-License-Identifier: Apache-2.0
#include "engine/group.h"

#include "base/mem.h"
#include "engine/limits.h"
#include "engine/scope.h"

#include <errno.h>

struct key {
    const struct realm *realm;
    struct span name;
};

void group_set_init(struct group_set *s, const struct hash_seed *seed, struct limits_account *account)
{
    *s = (struct group_set){.seed = *seed, .account = account};
    table_init(&s->table, seed);
}

void group_set_deinit(struct group_set *s)
{
    ASSERT(s->table.n_items == 0);
    table_deinit(&s->table);
}

static int is_group(const void *item, const void *key)
{
    const struct group *g = item;
    const struct key *k = key;

    return g->realm == k->realm && span_eq(SPAN_OF_BYTES(g->name), k->name);
}

/* Both parts are hashed with the seed; the namespace's part is known already. */
static uint64_t hash_name(const struct group_set *s, const struct realm *realm, struct span name)
{
    return hash_bytes(&s->seed, name.p, name.len) + realm->by_name.hash * 0x9e3779b97f4a7c15U;
}

struct group *group_find(const struct group_set *s, const struct realm *realm, struct span name)
{
    struct key key = {realm, name};

    return table_find(&s->table, hash_name(s, realm, name), is_group, &key);
}

uint64_t group_bytes(const struct group *g)
{
    return sizeof *g + LIMITS_MALLOC_BYTES + limits_bytes(g->name);
}

int group_get(struct group_set *s, const struct realm *realm, struct span name, struct group **ret)
{
    struct group *g = group_find(s, realm, name);

    if (g) {
        *ret = g;
        return 0;
    }
    g = mem_zalloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    g->realm = realm;
    g->hash = hash_name(s, realm, name);
    list_init(&g->members);
    list_init(&g->expecting);
    g->name = bytes_dup(name.p, name.len);
    if (!g->name || table_insert(&s->table, g->hash, g) < 0) {
        bytes_unref(g->name);
        mem_free(g);
        return -ENOMEM;
    }
    s->n_bytes += group_bytes(g);
    limits_charge(s->account, NULL, group_bytes(g));
    *ret = g;
    return 0;
}

void group_name(struct group *g, struct membership *m, struct future *f)
{
    m->future = f;
    m->group = g;
    list_init(&m->of_group);
    g->n_named++;
}

void group_join(struct group *g, struct membership *m, struct future *f)
{
    group_name(g, m, f);
    list_push_back(&g->members, &m->of_group);
    g->n++;
}

void group_leave(struct membership *m)
{
    if (list_is_linked(&m->of_group))
        m->group->n--;
    m->group->n_named--;
    list_del(&m->of_group);
}

void group_tidy(struct group_set *s, struct group *g)
{
    if (g->n_named > 0 || !list_is_empty(&g->expecting))
        return;
    s->n_bytes -= group_bytes(g);
    limits_discharge(s->account, NULL, group_bytes(g));
    table_remove(&s->table, g->hash, g);
    bytes_unref(g->name);
    mem_free(g);
}
