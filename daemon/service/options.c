// SPDX-License-Identifier: Apache-2.0
#include "service/options.h"

#include "service/convert.h"

int options_check(const struct task_options *o, enum options_owner owner, int has_store,
                  struct grpc_status *st)
{
    const char *parent = owner == OPTIONS_OF_TASK ? "task.options" : OPTIONS_FUNCTION_FIELD;
    const struct {
        const struct codec_time *span;
        const char *field;
    } spans[] = {
            {&o->delay, "delay"},
            {&o->attempt_timeout, "attempt_timeout"},
            {&o->retention, "retention"},
    };

    if (o->delay.is_set && o->not_before.is_set)
        return request_bad_in(st, parent, "delay", "cannot be given together with not_before");
    if (o->durability > DURABILITY_EPHEMERAL)
        return request_bad_in(st, parent, "durability", "%llu is no Durability: DURABLE 1, EPHEMERAL 2",
                              (unsigned long long)o->durability);
    if (o->on_lost > ON_LOST_FAIL)
        return request_bad_in(st, parent, "on_lost", "%llu is no OnLost: RETRY 1, FAIL 2",
                              (unsigned long long)o->on_lost);
    if (o->depend_policy > 3)
        return request_bad_in(st, parent, "depend_policy",
                              "%llu is no DependPolicy: ON_SUCCESS 1, ON_FINISH 2, ON_FAILURE 3",
                              (unsigned long long)o->depend_policy);
    if (o->key_policy > 4)
        return request_bad_in(
                st, parent, "key_policy",
                "%llu is no KeyPolicy: JOIN 1, JOIN_UNLESS_FAILED 2, JOIN_WHILE_ACTIVE 3, REJECT 4",
                (unsigned long long)o->key_policy);
    if (o->priority < INT32_MIN || o->priority > INT32_MAX)
        return request_bad_in(st, parent, "priority", "does not fit 32 bits");
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        if (spans[i].span->is_set && spans[i].span->ns < 0)
            return request_bad_in(st, parent, spans[i].field, "is negative");
    if (request_text(o->concurrency_key, LIMIT_KEY_BYTES, 1, NULL, "task.options.concurrency_key", st) ||
        request_text(o->fairness_key, LIMIT_KEY_BYTES, 1, NULL, "task.options.fairness_key", st))
        return REQUEST_E_BAD;
    if (o->durability == DURABILITY_DURABLE && !has_store) {
        status_set(st, GRPC_FAILED_PRECONDITION, "NO_STORE",
                   "%s.durability: this daemon keeps futures in memory only (store = none), so it cannot "
                   "promise DURABLE; ask for EPHEMERAL or leave it unspecified",
                   parent);
        status_set_precondition(st, "STORE",
                                owner == OPTIONS_OF_TASK ? "task.options.durability"
                                                         : OPTIONS_FUNCTION_FIELD ".durability");
        return REQUEST_E_BAD;
    }
    return 0;
}

/* What only a task can say of itself. 0; REQUEST_E_BAD. */
static int check_defaults(const struct task_options *o, struct grpc_status *st)
{
    const struct {
        int is_set;
        const char *field;
    } others[] = {
            {o->delay.is_set, "delay"},
            {o->not_before.is_set, "not_before"},
            {o->deadline.is_set, "deadline"},
            {o->depends_on != 0, "depends_on"},
            {o->depend_policy != 0, "depend_policy"},
            {o->pass_results != 0, "pass_results"},
            {o->idempotency_key.len != 0, "idempotency_key"},
            {o->key_policy != 0, "key_policy"},
            {o->concurrency_key.len != 0, "concurrency_key"},
            {o->fairness_key.len != 0, "fairness_key"},
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].is_set)
            return request_bad_in(
                    st, OPTIONS_FUNCTION_FIELD, others[i].field,
                    "cannot be a default; durability, priority, attempt_timeout, retry, on_lost "
                    "and retention can");
    return 0;
}

int options_read_defaults(struct span message, int has_store, struct schedule_room *room,
                          struct function_defaults *ret, struct grpc_status *st)
{
    struct task_options o = {0};

    if (request_read_in(&task_options_table, message, &o, OPTIONS_FUNCTION_FIELD, st) ||
        check_defaults(&o, st) || options_check(&o, OPTIONS_OF_FUNCTION, has_store, st))
        return REQUEST_E_BAD;
    if (o.retry.is_set && schedule_read_retry(o.retry.data, OPTIONS_OF_FUNCTION, room, st))
        return REQUEST_E_BAD;
    *ret = (struct function_defaults){
            .durability = (uint8_t)o.durability,
            .on_lost = (uint8_t)o.on_lost,
            .priority = (int32_t)o.priority,
            .attempt_timeout_ns = o.attempt_timeout.is_set ? o.attempt_timeout.ns : -1,
            .retention_ns = o.retention.is_set ? o.retention.ns : -1,
            .retry = o.retry.is_set ? &room->retry : NULL,
    };
    return 0;
}

void options_write_defaults(struct writer *w, const struct function_defaults *d)
{
    writer_uint(w, 1, d->durability);
    writer_sint(w, 2, d->priority);
    if (d->attempt_timeout_ns >= 0)
        writer_duration(w, 6, d->attempt_timeout_ns);
    if (d->retry)
        convert_retry(w, 7, d->retry);
    writer_uint(w, 8, d->on_lost);
    if (d->retention_ns >= 0)
        writer_duration(w, 14, d->retention_ns);
}

size_t options_defaults_size(const struct function_defaults *d)
{
    size_t n = d ? 160 : 0;

    for (uint32_t i = 0; d && d->retry && i < d->retry->n_types; i++)
        n += d->retry->types[i].len + 4;
    return n;
}

void options_complete(const struct function_defaults *d, const struct task_options *o,
                      struct engine_submit *in)
{
    if (!o->durability && d->durability == DURABILITY_EPHEMERAL) /* DURABLE is the daemon's own default */
        in->durability = DURABILITY_EPHEMERAL;
    if (!o->on_lost && d->on_lost)
        in->on_lost = (enum on_lost)d->on_lost;
    if (!o->priority)
        in->priority = d->priority;
    if (!o->attempt_timeout.is_set && d->attempt_timeout_ns >= 0)
        in->attempt_timeout_ns = d->attempt_timeout_ns;
    if (!o->retention.is_set)
        in->retention_ns = d->retention_ns;
    if (!o->retry.is_set)
        in->retry = d->retry;
}
