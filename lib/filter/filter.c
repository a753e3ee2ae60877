// SPDX-License-Identifier: Apache-2.0
#include "filter/filter.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

const struct filter_word filter_fields[FILTER_N_FIELDS] = {
        [FILTER_ID] = {"id", FILTER_UUID},
        [FILTER_FUNCTION] = {"function", FILTER_TEXT},
        [FILTER_STATE] = {"state", FILTER_ENUM},
        [FILTER_PENDING_REASON] = {"pending_reason", FILTER_ENUM},
        [FILTER_GROUP] = {"group", FILTER_TEXT},
        [FILTER_TAG] = {"tag", FILTER_TEXT},
        [FILTER_REASON] = {"reason", FILTER_TEXT},
        [FILTER_TYPE] = {"type", FILTER_TEXT},
        [FILTER_WORKER] = {"worker", FILTER_TEXT},
        [FILTER_PRINCIPAL] = {"principal", FILTER_TEXT},
        [FILTER_NAMESPACE] = {"namespace", FILTER_TEXT},
        [FILTER_ATTEMPTS] = {"attempts", FILTER_NUMBER},
        [FILTER_PRIORITY] = {"priority", FILTER_NUMBER},
        [FILTER_RETRIED] = {"retried", FILTER_BOOL},
        [FILTER_RETRY_OF] = {"retry_of", FILTER_UUID},
        [FILTER_IDEMPOTENCY_KEY] = {"idempotency_key", FILTER_TEXT},
        [FILTER_ARGUMENT] = {"argument", FILTER_TEXT},
        [FILTER_ERROR] = {"error", FILTER_TEXT},
        [FILTER_SUBMIT_TIME] = {"submit_time", FILTER_TIME},
        [FILTER_START_TIME] = {"start_time", FILTER_TIME},
        [FILTER_END_TIME] = {"end_time", FILTER_TIME},
        [FILTER_DURATION] = {"duration", FILTER_SPAN},
        [FILTER_QUEUE_TIME] = {"queue_time", FILTER_SPAN},
        [FILTER_LABEL] = {"labels", FILTER_KEYED},
};

const char *const filter_ops[FILTER_HAS + 1] = {
        [FILTER_EQ] = "=", [FILTER_NE] = "!=", [FILTER_CONTAINS] = "~", [FILTER_LT] = "<",
        [FILTER_GT] = ">", [FILTER_LE] = "<=", [FILTER_GE] = ">=",      [FILTER_HAS] = "has",
};

/* By the contract's numbers. */
static const char *const states[] = {NULL, "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"};
static const char *const reasons[] = {NULL,      "READY",     "DELAYED", "BLOCKED",
                                      "BACKOFF", "NO_WORKER", "PAUSED",  "LIMITED"};
enum { STATE_PENDING = 1, STATE_RUNNING = 2, STATE_FAILED = 4, STATE_CANCELLED = 5 };
enum {
    STATES_ALL = 0x3e,
    STATES_ENDED = 0x38,
    STATES_ERROR = 1 << STATE_FAILED | 1 << STATE_CANCELLED,
};

int filter_field_find(struct span name)
{
    for (int i = 0; i < FILTER_LABEL; i++)
        if (span_eq(name, span_of_string(filter_fields[i].name)))
            return i;
    return -1;
}

static const char *const *enum_words(enum filter_field field, int64_t *ret_n)
{
    ASSERT(field == FILTER_STATE || field == FILTER_PENDING_REASON);
    *ret_n = field == FILTER_STATE ? (int64_t)ARRAY_LEN(states) : (int64_t)ARRAY_LEN(reasons);
    return field == FILTER_STATE ? states : reasons;
}

const char *filter_enum_text(enum filter_field field, int64_t value)
{
    int64_t n;
    const char *const *words = enum_words(field, &n);

    return value > 0 && value < n ? words[value] : NULL;
}

int64_t filter_enum_find(enum filter_field field, struct span name)
{
    int64_t n;
    const char *const *words = enum_words(field, &n);

    for (int64_t i = 1; i < n; i++)
        if (strlen(words[i]) == name.len && strncasecmp(words[i], (const char *)name.p, name.len) == 0)
            return i;
    return -1;
}

struct filter *filter_ref(struct filter *f)
{
    if (f)
        f->refs++;
    return f;
}

struct filter *filter_unref(struct filter *f)
{
    if (f) {
        ASSERT(f->refs > 0);
        if (--f->refs == 0)
            mem_free(f);
    }
    return NULL;
}

/* --- hints */

/* In which states a node may hold, and in which it may not hold. */
struct reach {
    uint8_t yes, no;
};

static struct reach reach_of_term(const struct filter_node *n)
{
    struct reach r = {STATES_ALL, STATES_ALL};

    switch (n->field) {
    case FILTER_STATE:
        r.yes = (uint8_t)(1U << n->number);
        r.no = (uint8_t)(STATES_ALL & ~r.yes);
        break;
    case FILTER_PENDING_REASON: r.yes = 1 << STATE_PENDING; break;
    case FILTER_END_TIME: r.yes = STATES_ENDED; break;
    case FILTER_REASON:
    case FILTER_TYPE:
    case FILTER_ERROR:
        if (n->text.len)
            r.yes = STATES_ERROR;
        break;
    default: return r;
    }
    return n->op == FILTER_NE ? (struct reach){r.no, r.yes} : r;
}

static struct reach reach_of(const struct filter *f, const struct filter_node *n)
{
    struct reach r = {STATES_ALL, 0};

    if (n->kind == FILTER_TERM)
        r = reach_of_term(n);
    else if (n->kind == FILTER_OR)
        r = (struct reach){0, STATES_ALL};
    for (uint16_t i = n->kind == FILTER_AND || n->kind == FILTER_OR ? n->first : 0; i; i = f->nodes[i].next) {
        struct reach child = reach_of(f, &f->nodes[i]);

        if (n->kind == FILTER_AND)
            r = (struct reach){r.yes & child.yes, r.no | child.no};
        else
            r = (struct reach){r.yes | child.yes, r.no & child.no};
    }
    return n->is_not ? (struct reach){r.no, r.yes} : r;
}

static void hint_id(const struct filter_node *n, struct filter_hints *h)
{
    uint64_t key = id_key(&n->id);

    if (n->op == FILTER_EQ || n->op == FILTER_GE || n->op == FILTER_GT)
        h->key_min = MAX(h->key_min, key);
    if (n->op == FILTER_EQ || n->op == FILTER_LE || n->op == FILTER_LT)
        h->key_max = MIN(h->key_max, key);
}

/* IDs may run ahead of the clock but are never behind it: what was accepted after a time has a key after it. What was
 * accepted before one may have any key. */
static void hint_time(const struct filter_node *n, struct filter_hints *h)
{
    if ((n->op == FILTER_EQ || n->op == FILTER_GE || n->op == FILTER_GT) && n->number > 0)
        h->key_min = MAX(h->key_min, (uint64_t)(n->number / NS_PER_MS) << 12);
}

/* @n must hold. */
static void hint(const struct filter *f, const struct filter_node *n, struct filter_hints *h)
{
    if (n->is_not)
        return;
    if (n->kind == FILTER_AND)
        for (uint16_t i = n->first; i; i = f->nodes[i].next)
            hint(f, &f->nodes[i], h);
    if (n->kind != FILTER_TERM)
        return;
    if (n->field == FILTER_ID)
        hint_id(n, h);
    else if (n->field == FILTER_SUBMIT_TIME)
        hint_time(n, h);
    else if (n->field == FILTER_GROUP && n->op == FILTER_EQ && n->text.len)
        h->group = n->text;
}

struct filter_hints filter_hints(const struct filter *f)
{
    const struct filter_node *root = &f->nodes[f->root];
    struct filter_hints h = {.states = reach_of(f, root).yes, .key_max = UINT64_MAX};

    hint(f, root, &h);
    for (uint16_t i = 1; i < f->n_nodes; i++) {
        const struct filter_node *n = &f->nodes[i];

        if (n->kind == FILTER_TERM && (n->field == FILTER_LABEL || n->field == FILTER_ARGUMENT))
            h.needs_task = 1;
    }
    return h;
}
