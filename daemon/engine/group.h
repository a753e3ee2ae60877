// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Groups: futures of one namespace under a common name, in the order they joined. A group exists while it has a member
 * or somebody waits for one. Names are a peer's choice and groups may be as many as futures, so they are in a table of
 * their own, hashed by hash_bytes.
 *
 * With a store the finished members may leave memory, and come back when somebody asks for them: they name their group then
 * but are not in its list, which so stays in the order of IDs. The store has an index of them (docs/disk-format.md); who
 * wants all members takes those of the list and, of the others, what the index says.
 */
#include "engine/table.h"
#include "engine/waiter.h"

struct limits_account;
struct realm;

struct group {
    const struct realm *realm;
    uint64_t hash;
    struct list members;   /* of struct membership.of_group, in the order of IDs */
    struct list expecting; /* of struct waiter.expecting */
    uint64_t n;            /* in the list */
    uint64_t n_named;      /* futures that name it, in the list or not */
    struct bytes *name;
};

/* A future's place in its group. */
struct membership {
    struct list of_group; /* not linked: it has come back from the store */
    struct future *future;
    struct group *group;
};

struct group_set {
    struct table table;
    struct hash_seed seed;
    struct limits_account *account;
    uint64_t n_bytes; /* charged for all groups */
};

void group_set_init(struct group_set *s, const struct hash_seed *seed, struct limits_account *account);
void group_set_deinit(struct group_set *s);

/* group_find: NULL = there is none. group_get: find or make; to be used, or given up by group_tidy. 0, -ENOMEM. */
struct group *group_find(const struct group_set *s, const struct realm *realm, struct span name);
MUST_CHECK int group_get(struct group_set *s, const struct realm *realm, struct span name,
                         struct group **ret);

/* group_name: @m is @f's place, outside the list. group_join: the same, and the last of the list. group_leave: it is none any
 * more; the caller tidies. */
void group_name(struct group *g, struct membership *m, struct future *f);
void group_join(struct group *g, struct membership *m, struct future *f);
void group_leave(struct membership *m);

/* group_tidy: free @g if nobody uses it. */
void group_tidy(struct group_set *s, struct group *g);

/* group_bytes: what @g is charged with. */
uint64_t group_bytes(const struct group *g);
