// SPDX-License-Identifier: Apache-2.0
#include "engine/limits.h"

#include "engine/depend.h"
#include "engine/engine.h"
#include "engine/group.h"
#include "engine/idem.h"
#include "engine/slot.h"
#include "engine/told.h"

uint64_t limits_bytes(const struct bytes *b)
{
    return b ? sizeof *b + b->len + LIMITS_MALLOC_BYTES : 0;
}

uint64_t limits_error(const struct future_error *error)
{
    if (!error)
        return 0;
    return sizeof *error + error->type.len + error->message.len + error->traceback.len +
           error->function_reason.len + error->details.len + LIMITS_MALLOC_BYTES;
}

uint64_t limits_attempt(const struct attempt *attempt)
{
    return attempt ? sizeof *attempt + limits_error(attempt->error) : 0;
}

uint64_t limits_outcome(const struct outcome *outcome)
{
    return outcome ? sizeof *outcome + limits_bytes(outcome->data) + limits_bytes(outcome->content_type) +
                             limits_error(outcome->error)
                   : 0;
}

uint64_t limits_labels(const struct labels *labels)
{
    return labels ? labels->bytes + LIMITS_MALLOC_BYTES : 0;
}

uint64_t limits_timing(const struct timing *timing)
{
    uint64_t n = 0;

    if (!timing)
        return 0;
    n = sizeof *timing + limits_outcome(timing->outcome);
    if (timing->retry) {
        n += sizeof *timing->retry + timing->retry->n_types * sizeof *timing->retry->types +
             LIMITS_MALLOC_BYTES;
        for (uint32_t i = 0; i < timing->retry->n_types; i++)
            n += timing->retry->types[i].len;
    }
    return n;
}

/* What even those with a rare part seldom have. */
static uint64_t limits_seldom(const struct future_rare *rare)
{
    const struct cancel_request *cancel = rare->cancel_requested;

    return limits_timing(rare->timing) + limits_bytes(rare->fairness_key) + slot_bytes(rare->slot) +
           idem_bytes(rare->idem) + depend_bytes(rare->depend) + depend_upstream_bytes(rare->upstream) +
           told_bytes(rare->told) +
           (cancel ? sizeof *cancel + LIMITS_MALLOC_BYTES + limits_bytes(cancel->principal) +
                             limits_bytes(cancel->reason) + limits_outcome(cancel->outcome)
                   : 0);
}

uint64_t limits_rare(const struct future_rare *rare)
{
    uint64_t n;

    if (!rare)
        return 0;
    n = sizeof *rare + limits_bytes(rare->traceparent) + limits_bytes(rare->tag) +
        limits_bytes(rare->request_id);
    return UNLIKELY(future_has_seldom(rare)) ? n + limits_seldom(rare) : n;
}

uint64_t limits_future(const struct future *f)
{
    uint64_t n = sizeof *f + LIMITS_INDEX_BYTES + limits_bytes(f->task) + limits_outcome(f->outcome) +
                 limits_labels(f->labels) + limits_rare(f->rare) + (f->group ? sizeof *f->group : 0);

    for (const struct attempt *a = f->attempts; a; a = a->next)
        n += limits_attempt(a);
    return n;
}

int limits_admit(const struct limits_account *a, uint64_t bytes)
{
    if (a->n_futures >= a->limits.max_futures)
        return ENGINE_E_FULL_FUTURES;
    if (a->n_bytes >= a->limits.max_memory_bytes || bytes > a->limits.max_memory_bytes - a->n_bytes)
        return ENGINE_E_FULL_MEMORY;
    return 0;
}

void limits_charge(struct limits_account *a, struct scope *scope, uint64_t bytes)
{
    a->n_bytes += bytes;
    if (scope)
        scope->n_bytes += bytes;
}

void limits_discharge(struct limits_account *a, struct scope *scope, uint64_t bytes)
{
    ASSERT(a->n_bytes >= bytes);
    a->n_bytes -= bytes;
    if (scope) {
        ASSERT(scope->n_bytes >= bytes);
        scope->n_bytes -= bytes;
    }
}

int limits_edges_take(struct limits_account *a, uint64_t n)
{
    if (a->n_edges >= a->limits.max_waiter_edges || n > a->limits.max_waiter_edges - a->n_edges)
        return n ? ENGINE_E_FULL_EDGES : 0;
    a->n_edges += n;
    return 0;
}

void limits_edges_give(struct limits_account *a, uint64_t n)
{
    ASSERT(a->n_edges >= n);
    a->n_edges -= n;
}
