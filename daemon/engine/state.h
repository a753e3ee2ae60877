// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files behind the door share: the engine itself. Nobody outside this folder includes it.
 */
#include "engine/arm.h"
#include "engine/cache.h"
#include "engine/depend.h"
#include "engine/engine.h"
#include "engine/function.h"
#include "engine/group.h"
#include "engine/idem.h"
#include "engine/limits.h"
#include "engine/order.h"
#include "engine/resend.h"
#include "engine/retention.h"
#include "engine/scope.h"
#include "engine/slab.h"
#include "engine/slot.h"
#include "engine/table.h"
#include "engine/timing.h"
#include "engine/told.h"

enum {
    STATE_FORGET_PER_TURN = 1000,
    STATE_EVICT_PER_TURN = 1000,
    STATE_EDGES_PER_TURN = 1000,        /* of dependencies that are resolved */
    STATE_TIDY_PER_TURN = 1000,         /* request IDs that have become too old */
    STATE_PARK_PER_CLAIM = 1000,        /* tasks that wait for a slot */
    STATE_LOSSES_MAX = 3,               /* a lost task goes back so many times */
    STATE_KEYS_AHEAD = 60 * 1000 << 12, /* keys that are reserved at a time: those of a minute */
};

/* How long an acceptance or a start that nobody has been shown may wait for company in its commit, also while other commits
 * are made. A task that ends before is one row of the store, not two or three. */
#define STATE_LAZY_NS (10 * NS_PER_MS)
/* How long what an attempt tells may wait, where no other commit takes it along. */
#define STATE_TOLD_NS NS_PER_S

/* Durable futures that changed and that no engine_end has handed out yet. */
struct fact_list {
    struct future **at;
    size_t n, cap;
};

/* Deleted futures that the store has. */
struct id_list {
    struct id *at;
    size_t n, cap;
};

struct engine {
    struct engine_config config;
    mono_ns_t mono;
    wall_ns_t wall;

    struct hash_seed id_seed; /* of the generator of IDs: SipHash of a counter */
    uint64_t n_ids;
    uint64_t last_key;  /* of the newest future */
    uint64_t ready_key; /* of ready_id; 0 = none */
    struct id
            ready_id; /* made ahead for the next future, so that its slot in the table is on its way from memory */
    uint64_t asked_ceiling;   /* of keys: the store has been asked for it ... */
    uint64_t durable_ceiling; /* ... and knows this one; without a store UINT64_MAX */
    uint64_t revision;        /* given last */

    struct slab futures, edges, leases, attempts, outcomes, rares, memberships, timings;
    struct table table; /* every future, by ID */
    struct order order; /* every future, in ID order */
    struct scope_set scopes;
    struct function_set functions;
    struct group_set groups;
    struct idem_set idems;
    struct resend_set resends;
    struct depend_set depends;
    struct sched sched;
    struct retention retention;
    struct cache cache;
    struct arm arm;
    struct timing_set timing;
    struct heap opening; /* of struct gate.opens: functions that have started too many tasks of late */
    struct slot_set slots;
    struct limits_account account;

    struct fact_list collected, handed_out;
    size_t n_promised;    /* facts that collected must have room for: turn_promise */
    uint64_t commit_seq;  /* of the facts being collected */
    uint64_t durable_seq; /* everything up to it is durable */
    int is_urgent;        /* somebody waits for the commit that is being collected */
    int is_all;           /* somebody is shown all that is collected */
    mono_ns_t lazy_by;    /* what is lazy goes into a commit from then on; CLOCK_NEVER = nothing is lazy */
    mono_ns_t commit_by;  /* that commit is made then; CLOCK_NEVER = not by itself */
    mono_ns_t told_by;    /* likewise, of what attempts have told */
    struct id_list forgotten;
    uint64_t last_delete_seq;
    struct ring ring;
    struct effects effects;

    uint32_t n_holders;
    uint64_t n_stale_finishes, n_accepted, n_forgotten, n_restored, n_evicted, n_pins;
    uint64_t n_by_state[6];
};
