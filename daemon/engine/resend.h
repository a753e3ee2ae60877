// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Request IDs: a client library makes one for each task and sends it again with the same task when it does not know what
 * became of it. The same one, of the same caller in the same namespace, is the same future: while that has not ended, for
 * RESEND_LOOK_NS from then on, and for twice that from its acceptance. An entry is looked at each RESEND_LOOK_NS, and
 * forgotten by the second look that finds its future ended or gone: so nothing is to be done where a future ends.
 *
 * Of those that have ended the newest RESEND_MAX are known, about. With more entries than that each new one has a few of the
 * oldest looked at, and the first that has ended is forgotten at once.
 *
 * What is kept of one is 128 bits under a seed of this start; two that differ are the same with a probability that is no
 * concern.
 */
#include "base/bytes.h"
#include "base/clock.h"
#include "engine/slab.h"
#include "engine/table.h"

struct limits_account;
struct scope;

enum { RESEND_MAX = 1000000 };
#define RESEND_NS      (600 * NS_PER_S)
#define RESEND_LOOK_NS (RESEND_NS / 2)

struct resend {
    struct list by_look;
    uint64_t hash, check;
    struct id id;
    mono_ns_t look_at;
    int has_ended; /* seen so */
};

/* Whether the future @id is there and has not ended. */
typedef int resend_is_active_fn(const void *arg, const struct id *id);

struct resend_set {
    struct table table;
    struct hash_seed seed, check_seed;
    struct slab slab;
    struct list by_look; /* the next one first, but for what was restored */
    struct limits_account *account;
    resend_is_active_fn *is_active;
    const void *is_active_arg;
    uint32_t n;
};

void resend_set_init(struct resend_set *s, const struct hash_seed *seed, struct limits_account *account,
                     resend_is_active_fn *is_active, const void *is_active_arg);
void resend_set_deinit(struct resend_set *s);

/* resend_find: the future that @request_id of @scope made, or NULL: that is not known. */
const struct id *resend_find(const struct resend_set *s, const struct scope *scope, struct span request_id);

/* resend_add: @request_id of @scope made @id, which is active; takes the place of one that made a future that is gone.
 * 0, -ENOMEM. */
MUST_CHECK int resend_add(struct resend_set *s, const struct scope *scope, struct span request_id,
                          const struct id *id, mono_ns_t now);

/* resend_add_ended: the same of one that has ended: known until @until. */
MUST_CHECK int resend_add_ended(struct resend_set *s, const struct scope *scope, struct span request_id,
                                const struct id *id, mono_ns_t until);

/* resend_tidy: look at those whose time it is at @now, @max of them at most. */
void resend_tidy(struct resend_set *s, mono_ns_t now, uint32_t max);

/* resend_bytes: what all of them are charged with. */
uint64_t resend_bytes(const struct resend_set *s);
