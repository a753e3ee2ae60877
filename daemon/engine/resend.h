// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Request IDs: a client library makes one for each task and sends it again with the same task when it does not know what
 * became of it. For RESEND_NS the same one, of the same caller in the same namespace, is the same future. The newest RESEND_MAX
 * are known; beyond that the oldest is forgotten sooner.
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
#define RESEND_NS (600 * NS_PER_S)

struct resend {
    struct list by_age;
    uint64_t hash, check;
    struct id id;
    mono_ns_t until;
};

struct resend_set {
    struct table table;
    struct hash_seed seed, check_seed;
    struct slab slab;
    struct list by_age; /* the oldest first */
    struct limits_account *account;
    uint32_t n;
};

void resend_set_init(struct resend_set *s, const struct hash_seed *seed, struct limits_account *account);
void resend_set_deinit(struct resend_set *s);

/* resend_find: the future that @request_id of @scope made, or NULL: that is not known at @now. */
const struct id *resend_find(const struct resend_set *s, const struct scope *scope, struct span request_id,
                             mono_ns_t now);

/* resend_add: @request_id of @scope, which is not known, made @id; known until @until. 0, -ENOMEM. */
MUST_CHECK int resend_add(struct resend_set *s, const struct scope *scope, struct span request_id,
                          const struct id *id, mono_ns_t until);

/* resend_tidy: forget what is too old at @now, @max of them at most. */
void resend_tidy(struct resend_set *s, mono_ns_t now, uint32_t max);

/* resend_bytes: what all of them are charged with. */
uint64_t resend_bytes(const struct resend_set *s);
