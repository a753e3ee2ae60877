// SPDX-License-Identifier: Apache-2.0
#include "service/options.h"

#include "service/internal.h"

static int check_key(struct span key, const char *parent, const char *field, struct grpc_status *st)
{
    if (LIKELY(key.len <= LIMIT_KEY_BYTES))
        return 0;
    return request_bad_in(st, parent, field, "has %zu bytes; at most %d are allowed", key.len,
                          LIMIT_KEY_BYTES);
}

/* What can be said of @o by itself. 0; REQUEST_E_BAD. */
static int check_options(const struct task_options *o, enum options_owner owner, int has_store,
                         struct grpc_status *st)
{
    const char *parent = schedule_parent(owner);
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
    if (check_key(o->idempotency_key, parent, "idempotency_key", st) ||
        check_key(o->concurrency_key, parent, "concurrency_key", st) ||
        check_key(o->fairness_key, parent, "fairness_key", st))
        return REQUEST_E_BAD;
    if (o->durability == DURABILITY_DURABLE && !has_store) {
        status_set(st, GRPC_FAILED_PRECONDITION, "NO_STORE",
                   "%s.durability: this daemon keeps futures in memory only (store = none), so it cannot "
                   "promise DURABLE; ask for EPHEMERAL or leave it unspecified",
                   parent);
        status_set_precondition(st, "STORE",
                                owner == OPTIONS_OF_FUNCTION ? OPTIONS_FUNCTION_FIELD ".durability"
                                                             : "task.options.durability");
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
        check_defaults(&o, st) || check_options(&o, OPTIONS_OF_FUNCTION, has_store, st))
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

/* ---- all that a task, or a retry, says */

static const char *depends_on_of(enum options_owner owner)
{
    return owner == OPTIONS_OF_RETRY ? "options.depends_on" : "task.options.depends_on";
}

/* The IDs that the task depends on: well-formed, and not too many. */
static int check_depends(const struct task_options *options, struct span raw, enum options_owner owner,
                         struct engine_submit *in, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(raw);
    struct span text;
    struct id id;

    if (options->depends_on > LIMIT_DEPENDS_ON)
        return request_bad_in(st, schedule_parent(owner), "depends_on", "%u IDs; at most %d are allowed",
                              options->depends_on, LIMIT_DEPENDS_ON);
    while (codec_each(&r, TASK_OPTIONS_DEPENDS_ON, &text))
        if (request_id(text, depends_on_of(owner), &id, st))
            return REQUEST_E_BAD;
    in->n_upstreams = options->depends_on;
    in->depend_policy =
            options->depend_policy ? (enum depend_policy)options->depend_policy : DEPEND_ON_SUCCESS;
    in->passes_results = options->pass_results != 0;
    return 0;
}

/* What a retry has from the future that it retries. */
static int check_again(const struct task_options *o, struct grpc_status *st)
{
    if (o->durability)
        return request_bad_field(st, "options.durability",
                                 "a retry has the durability of the future that it retries; leave it out");
    if (o->idempotency_key.len)
        return request_bad_field(st, "options.idempotency_key", "a retry has no key; leave it out");
    if (o->key_policy)
        return request_bad_field(st, "options.key_policy", "a retry has no key; leave it out");
    return 0;
}

/* What @o does not say is put into @in from @d. */
static void complete(const struct function_defaults *d, const struct task_options *o,
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

/* options_read where something is said, by the task or as @defaults. */
static int read_said(const struct futures *s, struct span raw, const struct function_defaults *defaults,
                     enum options_owner owner, struct schedule_room *room, struct engine_submit *in,
                     struct grpc_status *st)
{
    struct task_options options = {0};

    if (raw.p && request_read_in(&task_options_table, raw, &options, schedule_parent(owner), st))
        return REQUEST_E_BAD;
    if (owner == OPTIONS_OF_RETRY && check_again(&options, st))
        return REQUEST_E_BAD;
    if (owner == OPTIONS_OF_RETRIED) {
        options.delay = options.not_before = options.deadline = (struct codec_time){0};
        options.idempotency_key = (struct span){0};
    }
    if (raw.p && (check_options(&options, owner, s->has_store, st) ||
                  schedule_read(&options, engine_wall(s->engine), owner, room, in, st) ||
                  (options.depends_on && check_depends(&options, raw, owner, in, st))))
        return REQUEST_E_BAD;
    in->priority = (int32_t)options.priority;
    in->durability = s->has_store && options.durability != DURABILITY_EPHEMERAL ? DURABILITY_DURABLE
                                                                                : DURABILITY_EPHEMERAL;
    in->on_lost = options.on_lost == ON_LOST_FAIL ? ON_LOST_FAIL : ON_LOST_RETRY;
    in->retention_ns = options.retention.is_set ? options.retention.ns : -1;
    if (defaults)
        complete(defaults, &options, in);
    in->concurrency_key = options.concurrency_key;
    in->fairness_key = options.fairness_key;
    in->key = options.idempotency_key;
    in->key_policy = options.key_policy ? (enum key_policy)options.key_policy : KEY_JOIN;
    return 0;
}

int options_read(const struct futures *s, struct span raw, enum options_owner owner,
                 struct schedule_room *room, struct engine_submit *in, struct grpc_status *st)
{
    const struct function_defaults *defaults = engine_defaults_find(s->engine, in->function);

    if (raw.p || defaults)
        return read_said(s, raw, defaults, owner, room, in, st);
    in->durability = s->has_store ? DURABILITY_DURABLE : DURABILITY_EPHEMERAL;
    in->on_lost = ON_LOST_RETRY;
    in->retention_ns = -1;
    in->key_policy = KEY_JOIN;
    return 0;
}
