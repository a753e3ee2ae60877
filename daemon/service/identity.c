// SPDX-License-Identifier: Apache-2.0
#include "service/identity.h"

#include <stdio.h>
#include <string.h>

static const char *const words[] = {
        [RIGHT_SUBMIT] = "submit",     [RIGHT_READ] = "read",     [RIGHT_READ_ALL] = "read-all",
        [RIGHT_ANNOTATE] = "annotate", [RIGHT_CANCEL] = "cancel", [RIGHT_WORKER] = "worker",
        [RIGHT_ADMIN] = "admin",
};

static const char *const quota_words[QUOTA_N] = {
        [QUOTA_NONE] = "none",         [QUOTA_CONNECTIONS] = "max_connections",
        [QUOTA_CALLS] = "max_calls",   [QUOTA_FUTURES] = "max_futures",
        [QUOTA_MEMORY] = "max_memory", [QUOTA_STORED] = "max_stored",
        [QUOTA_RATE] = "rate",
};

enum right identity_right(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i] && span_eq(word, span_of_string(words[i])))
            return (enum right)i;
    return RIGHT_UNNAMED;
}

const char *identity_right_word(enum right right)
{
    return words[right] ? words[right] : "none";
}

int identity_may(const struct identity *who, enum right right)
{
    if (right == RIGHT_NONE)
        return 1;
    if (!who || !who->rights)
        return 0;
    if (right == RIGHT_KNOWN || who->rights & 1U << RIGHT_ADMIN)
        return 1;
    if (right == RIGHT_READ && who->rights & 1U << RIGHT_READ_ALL)
        return 1;
    return right != RIGHT_UNNAMED && who->rights & 1U << right;
}

int identity_may_submit(const struct identity *who, struct span function)
{
    if (LIKELY(!who) || who->n_patterns == 0)
        return 1;
    for (uint32_t i = 0; i < who->n_patterns; i++) {
        struct span p = who->patterns[i];

        if (p.len && p.p[p.len - 1] == '*'
                    ? function.len >= p.len - 1 && memcmp(function.p, p.p, p.len - 1) == 0
                    : span_eq(p, function))
            return 1;
    }
    return 0;
}

enum quota identity_spend(const struct identity *who, wall_ns_t now, int64_t *ret_retry_ms)
{
    struct identity_quota *q = who->quota;
    double burst;

    if (LIKELY(!q))
        return QUOTA_NONE;
    *ret_retry_ms = 1000;
    if (q->max_futures && who->scope->n_live >= q->max_futures)
        return QUOTA_FUTURES;
    if (q->max_memory_bytes && who->scope->n_bytes >= q->max_memory_bytes)
        return QUOTA_MEMORY;
    if (q->max_stored_bytes && who->scope->n_stored_bytes >= q->max_stored_bytes)
        return QUOTA_STORED;
    if (q->rate <= 0)
        return QUOTA_NONE;
    burst = MAX(q->rate, 1.0);
    if (q->at == 0)
        q->left = burst;
    else if (now > q->at)
        q->left = MIN(burst, q->left + (double)(now - q->at) / (double)NS_PER_S * q->rate);
    q->at = now; /* also where the clock was set back */
    if (q->left < 1.0) {
        *ret_retry_ms = (int64_t)MIN((1.0 - q->left) / q->rate * 1000 + 1, 3600000.0);
        return QUOTA_RATE;
    }
    q->left -= 1.0;
    return QUOTA_NONE;
}

const char *identity_quota_word(enum quota quota)
{
    return quota_words[quota];
}

struct grpc_status *identity_refuse(const struct identity *who, enum quota quota, int64_t retry_ms,
                                    struct grpc_status *st)
{
    char subject[STATUS_TEXT_MAX_BYTES];

    who->quota->n_refused[quota]++;
    snprintf(subject, sizeof subject, "principal:%.*s", (int)who->name.len, (const char *)who->name.p);
    status_set(st, GRPC_RESOURCE_EXHAUSTED, "QUOTA", "principal \"%.*s\" has used up its %s",
               (int)who->name.len, (const char *)who->name.p, quota_words[quota]);
    status_set_quota(st, subject, quota_words[quota]);
    status_set_retry(st, retry_ms);
    return st;
}
