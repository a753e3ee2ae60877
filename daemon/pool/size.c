// SPDX-License-Identifier: Apache-2.0
#include "pool/size.h"

#include "base/err.h"

static uint32_t within(const struct size *s, uint64_t n)
{
    return (uint32_t)MIN(MAX(n, (uint64_t)s->limits.min), (uint64_t)s->limits.max);
}

void size_set(struct size *s, const struct size_limits *limits)
{
    s->limits = *limits;
    s->wanted = within(s, s->wanted);
    s->peak = 0;
    s->until = CLOCK_NEVER;
}

static void begin_span(struct size *s, uint64_t needed, mono_ns_t now)
{
    s->peak = within(s, needed);
    s->until = s->wanted > s->limits.min ? clock_add(now, s->limits.idle_ns) : CLOCK_NEVER;
}

mono_ns_t size_look(struct size *s, uint64_t needed, int is_complete, mono_ns_t now)
{
    uint32_t n = within(s, MIN(needed, 2 * (uint64_t)s->wanted));

    s->peak = MAX(s->peak, within(s, needed));
    if (n > s->wanted && is_complete) {
        s->n_grown += n - s->wanted;
        s->wanted = n;
        begin_span(s, needed, now);
    } else if (s->until == CLOCK_NEVER) {
        begin_span(s, needed, now);
    } else if (now >= s->until) {
        n = MIN(s->peak, s->wanted);
        s->n_shrunk += s->wanted - n;
        s->wanted = n;
        begin_span(s, needed, now);
    }
    return s->until;
}
