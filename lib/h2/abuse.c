// SPDX-License-Identifier: Apache-2.0
#include "h2/abuse.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

enum { FRAME_HEAD_BYTES = 9, MAGIC_BYTES = 24 };

static const char *const reasons[ABUSE_KINDS] = {
        [ABUSE_RESETS] = "reset_flood",
        [ABUSE_PROVOKED] = "provoked_reset_flood",
        [ABUSE_PINGS] = "ping_flood",
        [ABUSE_SETTINGS] = "settings_flood",
        [ABUSE_PRIORITIES] = "priority_flood",
        [ABUSE_WINDOWS] = "window_update_flood",
        [ABUSE_EMPTY_DATA] = "empty_data_flood",
};

/* --- buckets */

static void bucket_init(struct abuse_bucket *b, struct h2_rate rate, mono_ns_t now)
{
    b->level = b->full = (int64_t)rate.burst * NS_PER_S; /* 2^32 * 10^9 < 2^63 */
    b->per_second = rate.per_second;
    b->at = now;
}

static int bucket_take(struct abuse_bucket *b, mono_ns_t now)
{
    if (now > b->at) {
        int64_t gain;

        if (__builtin_mul_overflow(now - b->at, (int64_t)b->per_second, &gain) || gain > b->full - b->level)
            b->level = b->full;
        else
            b->level += gain;
        b->at = now;
    }
    if (b->level < NS_PER_S)
        return 0;
    b->level -= NS_PER_S;
    return 1;
}

const char *h2_abuse_charge(struct abuse *a, enum abuse_kind kind, mono_ns_t now)
{
    return LIKELY(bucket_take(&a->buckets[kind], now)) ? NULL : reasons[kind];
}

void h2_abuse_init(struct abuse *a, enum h2_role role, const struct h2_config *config, mono_ns_t now)
{
    *a = (struct abuse){.is_server = role == H2_SERVER, .magic_left = role == H2_SERVER ? MAGIC_BYTES : 0};
    bucket_init(&a->buckets[ABUSE_RESETS], config->resets, now);
    bucket_init(&a->buckets[ABUSE_PROVOKED], config->provoked, now);
    bucket_init(&a->buckets[ABUSE_PINGS], config->pings, now);
    bucket_init(&a->buckets[ABUSE_SETTINGS], config->settings, now);
    bucket_init(&a->buckets[ABUSE_PRIORITIES], config->priorities, now);
    bucket_init(&a->buckets[ABUSE_WINDOWS], config->window_updates, now);
    bucket_init(&a->buckets[ABUSE_EMPTY_DATA], config->empty_data, now);
}

/* --- the scanner */

static const char *on_ping(struct abuse *a, mono_ns_t now)
{
    int32_t *explained = a->flags & NGHTTP2_FLAG_ACK ? &a->acks_owed : &a->pings_explained;

    if (*explained > 0) {
        --*explained;
        return NULL;
    }
    return h2_abuse_charge(a, ABUSE_PINGS, now);
}

static void explain_windows(struct abuse *a)
{
    if (a->windows_explained < ABUSE_WINDOWS_EXPLAINED_MAX)
        a->windows_explained += 2;
}

static void on_block(struct abuse *a, uint32_t id, mono_ns_t now)
{
    a->in_block = 1;
    a->block_at = now;
    a->n_continuations = 0;
    if (!a->is_server)
        return;
    if (id > a->last_id) {
        a->last_id = id;
        explain_windows(a);
    } else {
        a->headers_unexplained++;
    }
}

static const char *on_data(struct abuse *a, uint32_t payload_bytes, mono_ns_t now)
{
    if (payload_bytes > 0) {
        if (a->pings_explained < ABUSE_PINGS_EXPLAINED_MAX)
            a->pings_explained++;
        explain_windows(a); /* who streams sends the windows of what it has read with what it writes */
        return NULL;
    }
    return a->flags & NGHTTP2_FLAG_END_STREAM ? NULL : h2_abuse_charge(a, ABUSE_EMPTY_DATA, now);
}

/* A frame's nine bytes are complete. The switch is the table of what each type costs. */
static const char *on_frame(struct abuse *a, const uint8_t *h, mono_ns_t now)
{
    uint32_t id = ((uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]) & 0x7fffffff;

    a->payload_left = (uint32_t)h[0] << 16 | (uint32_t)h[1] << 8 | h[2];
    a->type = h[3];
    a->flags = h[4];
    switch (a->type) {
    case NGHTTP2_DATA:
        if (a->flags & NGHTTP2_FLAG_PADDED && a->payload_left > 0) {
            a->wants_pad = 1;
            return NULL;
        }
        return on_data(a, a->payload_left, now);
    case NGHTTP2_HEADERS:
    case NGHTTP2_PUSH_PROMISE: on_block(a, id, now); return NULL;
    case NGHTTP2_CONTINUATION:
        return ++a->n_continuations > ABUSE_CONTINUATIONS_MAX ? "continuation_flood" : NULL;
    case NGHTTP2_RST_STREAM: return h2_abuse_charge(a, ABUSE_RESETS, now);
    case NGHTTP2_PING: return on_ping(a, now);
    case NGHTTP2_WINDOW_UPDATE:
        if (a->windows_explained > 0) {
            a->windows_explained--;
            return NULL;
        }
        return h2_abuse_charge(a, ABUSE_WINDOWS, now);
    case NGHTTP2_SETTINGS:
        return a->flags & NGHTTP2_FLAG_ACK ? NULL : h2_abuse_charge(a, ABUSE_SETTINGS, now);
    case NGHTTP2_GOAWAY:
        return h2_abuse_charge(a, ABUSE_SETTINGS, now);        /* makes nghttp2 walk over all streams too */
    default: return h2_abuse_charge(a, ABUSE_PRIORITIES, now); /* PRIORITY, PRIORITY_UPDATE, unknown types */
    }
}

static void on_frame_end(struct abuse *a)
{
    if (a->in_block && a->flags & NGHTTP2_FLAG_END_HEADERS &&
        (a->type == NGHTTP2_HEADERS || a->type == NGHTTP2_CONTINUATION || a->type == NGHTTP2_PUSH_PROMISE))
        a->in_block = 0;
}

const char *h2_abuse_scan(struct abuse *a, const uint8_t *p, size_t n, mono_ns_t now)
{
    const uint8_t *end = p + n;
    const char *reason = NULL;

    while (p < end && !reason) {
        size_t have = (size_t)(end - p);

        if (a->magic_left) {
            uint32_t skip = (uint32_t)MIN(have, (size_t)a->magic_left);

            a->magic_left -= skip;
            p += skip;
            continue;
        }
        if (a->wants_pad) {
            a->wants_pad = 0;
            reason = on_data(a, a->payload_left > 1 + (uint32_t)*p ? a->payload_left - 1 - *p : 0, now);
            continue;
        }
        if (a->payload_left) {
            uint32_t skip = (uint32_t)MIN(have, (size_t)a->payload_left);

            p += skip;
            a->payload_left -= skip;
        } else if (a->n_head == 0 && have >= FRAME_HEAD_BYTES) {
            reason = on_frame(a, p, now);
            p += FRAME_HEAD_BYTES;
        } else {
            a->head[a->n_head++] = *p++;
            if (a->n_head < FRAME_HEAD_BYTES)
                continue;
            a->n_head = 0;
            reason = on_frame(a, a->head, now);
        }
        if (a->payload_left == 0)
            on_frame_end(a);
    }
    return reason;
}

const char *h2_abuse_settle(struct abuse *a, mono_ns_t now)
{
    const char *reason = NULL;

    for (; a->headers_unexplained > 0 && !reason; a->headers_unexplained--)
        reason = h2_abuse_charge(a, ABUSE_PROVOKED, now);
    return reason;
}
