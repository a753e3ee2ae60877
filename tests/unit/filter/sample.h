// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A record that has every field, and filters of a text. */
#include "filter/filter.h"
#include "tests/support/testing.h"

#define NOW         (INT64_C(1790000000) * NS_PER_S)
#define SAMPLE_ID   "0198c2f0-0000-7000-8000-000000000001"
#define SAMPLE_NEXT "0198c2f0-0000-7001-8000-000000000001"

struct sample {
    int64_t numbers[FILTER_N_FIELDS];
    const char *texts[FILTER_N_FIELDS];
    const char *workers[3];
    const char *label_key, *label_value;
    const char *id;
};

static inline int sample_get(const void *record, enum filter_field field, struct span label, uint32_t i,
                             struct filter_value *ret)
{
    const struct sample *s = record;

    *ret = (struct filter_value){0};
    if (field == FILTER_WORKER) {
        if (i >= ARRAY_LEN(s->workers) || !s->workers[i])
            return 0;
        ret->text = span_of_string(s->workers[i]);
        return 1;
    }
    if (i > 0)
        return 0;
    switch (filter_fields[field].kind) {
    case FILTER_KEYED:
        if (!s->label_key || !span_eq(label, span_of_string(s->label_key)))
            return 0;
        ret->text = span_of_string(s->label_value);
        return 1;
    case FILTER_UUID: return field == FILTER_ID && id_parse(s->id, strlen(s->id), &ret->id) == 0;
    case FILTER_TEXT:
        if (!s->texts[field])
            return 0;
        ret->text = span_of_string(s->texts[field]);
        return 1;
    default: ret->number = s->numbers[field]; return s->numbers[field] >= 0;
    }
}

static inline struct sample sample_new(void)
{
    struct sample s = {
            .workers = {"w-1", "w-2"}, .label_key = "customer", .label_value = "a b", .id = SAMPLE_ID};

    s.texts[FILTER_FUNCTION] = "resize";
    s.texts[FILTER_GROUP] = "nightly";
    s.texts[FILTER_ERROR] = "no such file: x.png";
    s.texts[FILTER_ARGUMENT] = "{\"path\": \"x.png\"}";
    s.numbers[FILTER_STATE] = 4;
    s.numbers[FILTER_ATTEMPTS] = 2;
    s.numbers[FILTER_PRIORITY] = 7;
    s.numbers[FILTER_RETRIED] = 1;
    s.numbers[FILTER_SUBMIT_TIME] = NOW - 3600 * NS_PER_S;
    s.numbers[FILTER_START_TIME] = -1;
    s.numbers[FILTER_END_TIME] = NOW;
    s.numbers[FILTER_DURATION] = 90 * NS_PER_S;
    s.numbers[FILTER_QUEUE_TIME] = -1;
    return s;
}

/* sample_parse: must be well-formed. */
static inline struct filter *sample_parse(const char *text)
{
    struct filter_problem problem = {0};
    struct filter *f;

    if (filter_parse(&f, span_of_string(text), NOW, &problem) != 0)
        fail_msg("%s: column %u: %s", text, problem.column, problem.text);
    return f;
}

static inline int sample_matches(const struct sample *s, const char *text)
{
    struct filter *f = sample_parse(text);
    struct filter_subject subject = {sample_get, s};
    uint32_t cost = 0;
    int is = filter_match(f, &subject, &cost);

    assert_true(cost >= 1);
    filter_unref(f);
    return is;
}
