// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a peer may do before it is taken for an attack. A scanner walks over the frame headers of all that is
 * received, before nghttp2 sees it, because nghttp2 reports neither ignored frames nor frames on closed
 * streams; each frame that costs us more than it costs the peer takes a token from its bucket. Traffic that
 * our own or the peer's DATA explains (acknowledgements of windows, bandwidth probes by PING) is not charged.
 *
 * Invariants: the scanner sees every byte exactly once and in order, so its frame boundaries are nghttp2's.
 * Pure: no memory, no clock. Who calls: session.c (scan, sent_data), record.c (charge, headers_explained).
 */
#include "base/clock.h"
#include "base/err.h"
#include "h2/session.h"

enum {
    ABUSE_CONTINUATIONS_MAX = 16,     /* frames of one header block behind the first */
    ABUSE_PINGS_EXPLAINED_MAX = 1024, /* one for each DATA frame, either way */
    ABUSE_WINDOWS_EXPLAINED_MAX =
            16384, /* two for each DATA frame, either way, and each stream of the peer's */
};

enum abuse_kind {
    ABUSE_RESETS,
    ABUSE_PROVOKED,
    ABUSE_PINGS,
    ABUSE_SETTINGS,
    ABUSE_PRIORITIES,
    ABUSE_WINDOWS,
    ABUSE_EMPTY_DATA,
    ABUSE_KINDS,
};

/* A token bucket that counts in tokens * ns, so that refilling never divides. */
struct abuse_bucket {
    int64_t level, full;
    uint32_t per_second;
    mono_ns_t at; /* refilled up to here */
};

struct abuse {
    struct abuse_bucket buckets[ABUSE_KINDS];
    /* the scanner */
    uint32_t magic_left;   /* of the client's connection preface */
    uint32_t payload_left; /* of the frame at hand */
    uint8_t head[9], n_head;
    uint8_t type, flags;
    uint8_t wants_pad; /* the next byte is the pad length of a DATA frame */
    uint8_t is_server;
    /* the header block at hand */
    uint8_t in_block;
    uint32_t n_continuations;
    mono_ns_t block_at; /* when it began */
    uint32_t last_id;   /* highest stream that the peer has opened */
    /* what is explained */
    int32_t pings_explained, windows_explained;
    int32_t acks_owed;           /* PINGs of ours */
    int32_t headers_unexplained; /* HEADERS on streams opened before; nghttp2 takes back those on open ones */
};

void h2_abuse_init(struct abuse *a, enum h2_role role, const struct h2_config *config, mono_ns_t now);

/* h2_abuse_scan: account for @n received bytes. NULL, or the end reason ("ping_flood") of a bucket run dry. */
MUST_CHECK const char *h2_abuse_scan(struct abuse *a, const uint8_t *p, size_t n, mono_ns_t now);

/* h2_abuse_charge: take one token of @kind. NULL, or the end reason. */
MUST_CHECK const char *h2_abuse_charge(struct abuse *a, enum abuse_kind kind, mono_ns_t now);

/* h2_abuse_settle: charge the HEADERS of this turn that nothing explained. NULL, or the end reason. */
MUST_CHECK const char *h2_abuse_settle(struct abuse *a, mono_ns_t now);

/* h2_abuse_sent_data: one DATA frame of ours went out. */
static inline void h2_abuse_sent_data(struct abuse *a)
{
    if (a->pings_explained < ABUSE_PINGS_EXPLAINED_MAX)
        a->pings_explained++;
    if (a->windows_explained < ABUSE_WINDOWS_EXPLAINED_MAX)
        a->windows_explained += 2;
}

/* h2_abuse_block_since: when the header block at hand began, CLOCK_NEVER when there is none. */
static inline mono_ns_t h2_abuse_block_since(const struct abuse *a)
{
    return a->in_block ? a->block_at : CLOCK_NEVER;
}
