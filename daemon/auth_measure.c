// SPDX-License-Identifier: Apache-2.0
/* What principals use, for statistics. */
#include "daemon/auth_internal.h"
#include "service/metrics.h"

static uint64_t connections_of(const struct known *k)
{
    return k->quota.n_connections;
}

static uint64_t calls_of(const struct known *k)
{
    return k->quota.n_calls;
}

static uint64_t futures_of(const struct known *k)
{
    return k->identity.scope->n_live;
}

static uint64_t memory_of(const struct known *k)
{
    return k->identity.scope->n_bytes;
}

static uint64_t stored_of(const struct known *k)
{
    return k->identity.scope->n_stored_bytes;
}

/* Whether @who is told of @k, which is a principal now. */
static int is_told(const struct auth *auth, const struct identity *who, const struct known *k)
{
    return k->identity.quota &&
           (!who || who == auth->tables.owner || who->scope->realm == k->identity.scope->realm);
}

static const struct {
    const char *name, *unit, *help;
    uint64_t (*of)(const struct known *k);
} uses[] = {
        {"principal_connections", NULL, "Open connections of a principal.", connections_of},
        {"principal_calls", NULL, "Its open calls.", calls_of},
        {"principal_futures", NULL, "Its futures that have not ended.", futures_of},
        {"principal_memory_bytes", "bytes", "What its futures in memory take.", memory_of},
        {"principal_stored_bytes", "bytes", "What its finished futures take in the store.", stored_of},
};

void auth_measure(const struct auth *auth, const struct identity *who, struct metrics *m)
{
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        metrics_family(m, METRIC_GAUGE, uses[i].name, uses[i].unit, uses[i].help);
        LIST_FOREACH (l, &auth->known) {
            const struct known *k = LIST_ENTRY(l, struct known, link);
            const struct metric_label labels[] = {{"namespace", SPAN_OF_BYTES(k->identity.scope->namespace)},
                                                  {"principal", k->identity.name}};

            if (is_told(auth, who, k))
                metrics_put_labels(m, (double)uses[i].of(k), labels, ARRAY_LEN(labels));
        }
    }
    metrics_family(m, METRIC_COUNTER, "principal_refusals", NULL,
                   "How often a quota of a principal was used up.");
    LIST_FOREACH (l, &auth->known) {
        const struct known *k = LIST_ENTRY(l, struct known, link);

        for (int q = QUOTA_NONE + 1; is_told(auth, who, k) && q < QUOTA_N; q++) {
            const struct metric_label labels[] = {
                    {"namespace", SPAN_OF_BYTES(k->identity.scope->namespace)},
                    {"principal", k->identity.name},
                    {"quota", span_of_string(identity_quota_word((enum quota)q))}};

            metrics_put_labels(m, (double)k->quota.n_refused[q], labels, ARRAY_LEN(labels));
        }
    }
}
