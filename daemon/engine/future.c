// SPDX-License-Identifier: Apache-2.0
#include "engine/future.h"

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/group.h"
#include "engine/idem.h"

#include <string.h>

#define BIT(state) (1u << (state))

/* Where a future may go from each state. It begins in none (0), and ends where the row is empty. */
static const uint8_t moves[] = {
        [0] = BIT(FUTURE_PENDING),
        [FUTURE_PENDING] = BIT(FUTURE_RUNNING) | BIT(FUTURE_FAILED) | BIT(FUTURE_CANCELLED),
        [FUTURE_RUNNING] =
                BIT(FUTURE_PENDING) | BIT(FUTURE_SUCCEEDED) | BIT(FUTURE_FAILED) | BIT(FUTURE_CANCELLED),
        [FUTURE_SUCCEEDED] = 0,
        [FUTURE_FAILED] = 0,
        [FUTURE_CANCELLED] = 0,
};

void future_move(struct future *f, enum future_state to)
{
    ASSERT(f->state < ARRAY_LEN(moves));
    ASSERT(to < ARRAY_LEN(moves));
    ASSERT(moves[f->state] & BIT(to));
    f->state = (uint8_t)to;
}

enum pending_reason future_pending_reason(const struct future *f)
{
    static const enum pending_reason reasons_of[] = {
            [PLACE_DELAYED] = PENDING_DELAYED,
            [PLACE_BACKOFF] = PENDING_BACKOFF,
            [PLACE_BLOCKED] = PENDING_BLOCKED,
            [PLACE_PARKED] = PENDING_LIMITED,
    };

    if (f->state != FUTURE_PENDING)
        return PENDING_NONE;
    if (f->place > PLACE_ARMED)
        return reasons_of[f->place];
    if (UNLIKELY(f->function->gate.closed) && f->place == PLACE_READY)
        return f->function->gate.closed & GATE_PAUSED ? PENDING_PAUSED : PENDING_LIMITED;
    return f->function->n_holders > 0 ? PENDING_READY : PENDING_NO_WORKER;
}

wall_ns_t future_start_time(const struct future *f)
{
    return f->attempts ? f->attempts->start_time : 0;
}

wall_ns_t future_end_time(const struct future *f)
{
    return f->outcome ? f->outcome->end_time : 0;
}

wall_ns_t future_expire_time(const struct future *f)
{
    return f->outcome ? f->outcome->expire_time : 0;
}

struct span future_function_name(const struct future *f)
{
    return SPAN_OF_BYTES(f->function->name);
}

struct span future_namespace(const struct future *f)
{
    return SPAN_OF_BYTES(f->scope->namespace);
}

struct span future_principal(const struct future *f)
{
    return SPAN_OF_BYTES(f->scope->principal);
}

struct span future_group(const struct future *f)
{
    return f->group ? SPAN_OF_BYTES(f->group->group->name) : (struct span){0};
}

struct span future_key(const struct future *f)
{
    return idem_span(f->rare ? f->rare->idem : NULL);
}

const struct id *future_retry_of(const struct future *f)
{
    return f->rare && id_key(&f->rare->retry_of) ? &f->rare->retry_of : NULL;
}

const struct id *future_retried_by(const struct future *f)
{
    return f->rare && id_key(&f->rare->retried_by) ? &f->rare->retried_by : NULL;
}

static const char *const reasons[] = {
        [REASON_NONE] = "",
        [REASON_FUNCTION_ERROR] = "FUNCTION_ERROR",
        [REASON_TIMEOUT] = "TIMEOUT",
        [REASON_CANCELLED] = "CANCELLED",
        [REASON_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [REASON_CRASHED] = "CRASHED",
        [REASON_WORKER_LOST] = "WORKER_LOST",
        [REASON_OUTCOME_UNKNOWN] = "OUTCOME_UNKNOWN",
        [REASON_MEMORY_LIMIT] = "MEMORY_LIMIT",
        [REASON_CPU_LIMIT] = "CPU_LIMIT",
        [REASON_RESULT_TOO_LARGE] = "RESULT_TOO_LARGE",
        [REASON_ARGUMENT_TOO_LARGE] = "ARGUMENT_TOO_LARGE",
        [REASON_DEPENDENCY_FAILED] = "DEPENDENCY_FAILED",
        [REASON_NO_SUCH_FUNCTION] = "NO_SUCH_FUNCTION",
        [REASON_SHUTDOWN] = "SHUTDOWN",
};

const char *future_reason_text(enum future_reason reason)
{
    ASSERT(reason < ARRAY_LEN(reasons));
    return reasons[reason];
}

enum future_reason future_reason_parse(struct span text)
{
    for (size_t i = 1; i < ARRAY_LEN(reasons); i++)
        if (span_eq(text, span_of_string(reasons[i])))
            return (enum future_reason)i;
    return REASON_NONE;
}

/* Copy @from to *at and step over it. An empty span stays without an address. */
static struct span put(uint8_t **at, struct span from)
{
    struct span to = {from.len ? *at : NULL, from.len};

    if (from.len)
        memcpy(*at, from.p, from.len);
    *at += from.len;
    return to;
}

struct future_error *future_error_new(const struct future_error *from)
{
    size_t n = from->type.len + from->message.len + from->traceback.len + from->function_reason.len +
               from->details.len;
    struct future_error *error = mem_alloc(sizeof *error + n);
    uint8_t *at;

    if (!error)
        return NULL;
    at = (uint8_t *)(error + 1);
    *error = *from;
    error->refs = 1;
    error->type = put(&at, from->type);
    error->message = put(&at, from->message);
    error->traceback = put(&at, from->traceback);
    error->function_reason = put(&at, from->function_reason);
    error->details = put(&at, from->details);
    return error;
}

struct future_error *future_error_ref(struct future_error *error)
{
    if (error)
        error->refs++;
    return error;
}

struct future_error *future_error_unref(struct future_error *error)
{
    if (error) {
        ASSERT(error->refs > 0);
        if (--error->refs == 0)
            mem_free(error);
    }
    return NULL;
}

struct retry_policy *retry_policy_new(const struct retry_policy *from)
{
    size_t n = sizeof *from + from->n_types * sizeof *from->types;
    struct retry_policy *policy;
    struct span *types;
    uint8_t *at;

    for (uint32_t i = 0; i < from->n_types; i++)
        n += from->types[i].len;
    policy = mem_alloc(n);
    if (!policy)
        return NULL;
    *policy = *from;
    policy->types = types = (struct span *)(policy + 1);
    at = (uint8_t *)&types[from->n_types];
    for (uint32_t i = 0; i < from->n_types; i++)
        types[i] = put(&at, from->types[i]);
    return policy;
}

static int key_compare(struct span a, struct span b)
{
    size_t n = MIN(a.len, b.len);
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

struct labels *labels_new(const struct label *from, uint32_t n)
{
    size_t bytes = sizeof(struct labels) + n * sizeof *from;
    struct labels *labels;
    uint8_t *at;

    for (uint32_t i = 0; i < n; i++)
        bytes += from[i].key.len + from[i].value.len;
    if (bytes > UINT32_MAX)
        return NULL;
    labels = mem_alloc(bytes);
    if (!labels)
        return NULL;
    labels->n = n;
    labels->bytes = (uint32_t)bytes;
    at = (uint8_t *)&labels->at[n];
    for (uint32_t i = 0; i < n; i++) {
        struct label label = {put(&at, from[i].key), put(&at, from[i].value)};
        uint32_t j = i;

        for (; j > 0 && key_compare(labels->at[j - 1].key, label.key) > 0; j--)
            labels->at[j] = labels->at[j - 1];
        labels->at[j] = label;
    }
    return labels;
}
