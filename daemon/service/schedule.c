// SPDX-License-Identifier: Apache-2.0
#include "service/schedule.h"

#define INITIAL_BACKOFF_NS NS_PER_S
#define MAX_BACKOFF_NS     (300 * NS_PER_S)
#define MULTIPLIER         2.0
#define JITTER             0.2

struct retry_message {
    uint64_t max_attempts;
    struct codec_time initial_backoff, max_backoff;
    double multiplier, jitter;
    uint32_t non_retryable_types;
};
enum { RETRY_TYPES = 6 };

static const struct codec_row retry_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct retry_message, max_attempts),
        CODEC_ROW(2, CODEC_DURATION, struct retry_message, initial_backoff),
        CODEC_ROW(3, CODEC_DOUBLE, struct retry_message, multiplier),
        CODEC_ROW(4, CODEC_DURATION, struct retry_message, max_backoff),
        CODEC_ROW(5, CODEC_DOUBLE, struct retry_message, jitter),
        CODEC_ROW(RETRY_TYPES, CODEC_REPEATED_STRING, struct retry_message, non_retryable_types),
};
static const struct codec_table retry_table = {retry_rows, ARRAY_LEN(retry_rows)};

static int check_retry(const struct retry_message *m, const char *parent, struct grpc_status *st)
{
    if (m->max_attempts > LIMIT_ATTEMPTS)
        return request_bad_in(st, parent, "max_attempts", "%llu; at most %d are allowed",
                              (unsigned long long)m->max_attempts, LIMIT_ATTEMPTS);
    if (m->initial_backoff.ns < 0)
        return request_bad_in(st, parent, "initial_backoff", "is negative");
    if (m->max_backoff.ns < 0)
        return request_bad_in(st, parent, "max_backoff", "is negative");
    if (m->multiplier != 0 && !(m->multiplier >= 1 && __builtin_isfinite(m->multiplier)))
        return request_bad_in(st, parent, "multiplier", "must be at least 1, and finite");
    if (!(m->jitter >= 0 && m->jitter <= 1))
        return request_bad_in(st, parent, "jitter", "must be from 0 to 1");
    if (m->non_retryable_types > LIMIT_RETRY_TYPES)
        return request_bad_in(st, parent, "non_retryable_types", "%u types; at most %d are allowed",
                              m->non_retryable_types, LIMIT_RETRY_TYPES);
    return 0;
}

const char *schedule_parent(enum options_owner owner)
{
    static const char *const names[] = {
            [OPTIONS_OF_TASK] = "task.options",
            [OPTIONS_OF_FUNCTION] = OPTIONS_FUNCTION_FIELD,
            [OPTIONS_OF_RETRY] = "options",
            [OPTIONS_OF_RETRIED] = "task.options",
    };

    return names[owner];
}

int schedule_read_retry(struct span message, enum options_owner owner, struct schedule_room *room,
                        struct grpc_status *st)
{
    static const char *const names[][2] = {
            [OPTIONS_OF_TASK] = {"task.options.retry", "task.options.retry.non_retryable_types"},
            [OPTIONS_OF_FUNCTION] = {OPTIONS_FUNCTION_FIELD ".retry",
                                     OPTIONS_FUNCTION_FIELD ".retry.non_retryable_types"},
            [OPTIONS_OF_RETRY] = {"options.retry", "options.retry.non_retryable_types"},
            [OPTIONS_OF_RETRIED] = {"task.options.retry", "task.options.retry.non_retryable_types"},
    };
    struct retry_message m = {.jitter = JITTER}; /* 0 is a value */
    struct wire_reader r = wire_reader(message);
    struct retry_policy *p = &room->retry;

    if (request_read_in(&retry_table, message, &m, names[owner][0], st) ||
        check_retry(&m, names[owner][0], st))
        return REQUEST_E_BAD;
    *p = (struct retry_policy){
            .max_attempts = m.max_attempts ? (uint32_t)m.max_attempts : 1,
            .initial_backoff_ns = m.initial_backoff.is_set ? m.initial_backoff.ns : INITIAL_BACKOFF_NS,
            .max_backoff_ns = m.max_backoff.is_set ? m.max_backoff.ns : MAX_BACKOFF_NS,
            .multiplier = m.multiplier != 0 ? m.multiplier : MULTIPLIER,
            .jitter = m.jitter,
            .types = room->types,
    };
    while (codec_each(&r, RETRY_TYPES, &room->types[p->n_types])) {
        if (request_text(room->types[p->n_types], LIMIT_KEY_BYTES, 0, NULL, names[owner][1], st))
            return REQUEST_E_BAD;
        if (++p->n_types == m.non_retryable_types)
            break;
    }
    return 0;
}

int schedule_refuse(enum options_owner owner, struct grpc_status *st)
{
    return request_bad_in(st, schedule_parent(owner), "deadline", "is before the earliest start");
}

int schedule_read(const struct task_options *o, wall_ns_t now, enum options_owner owner,
                  struct schedule_room *room, struct engine_submit *in, struct grpc_status *st)
{
    if (o->delay.is_set && o->delay.ns > 0)
        in->not_before = clock_add(now, o->delay.ns);
    else if (o->not_before.is_set && o->not_before.ns > 0)
        in->not_before = o->not_before.ns;
    if (o->deadline.is_set)
        in->deadline =
                MAX(o->deadline.ns, INT64_C(1)); /* 0 is none, and all of that time has passed anyway */
    in->attempt_timeout_ns = o->attempt_timeout.ns;
    if (!o->retry.is_set)
        return 0;
    in->retry = &room->retry;
    return schedule_read_retry(o->retry.data, owner, room, st);
}
