// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The filter language: one text for RPC, command line and page, compiled once into a small tree that is then asked of many
 * futures. docs/filter.md tells the language, its fields and what they cost.
 *
 *   parse.c  text -> tree        print.c  tree -> the text that is its normal form
 *   match.c  tree x future -> does it match        value.c  durations and times        task.c  the labels of a task
 *
 * What a filter costs is bounded when it is parsed: FILTER_BYTES_MAX of text, FILTER_TERMS_MAX comparisons, FILTER_DEPTH_MAX
 * brackets and NOTs in one another. Where the fields come from is the caller's: struct filter_subject.
 *
 * Immutable once parsed, so any thread may match while somebody holds a reference; the count is of one thread.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/id.h"

enum {
    FILTER_BYTES_MAX = 4096,
    FILTER_TERMS_MAX = 200,
    FILTER_DEPTH_MAX = 32,
    FILTER_COST_BYTES =
            4096, /* so many bytes of text that are searched cost as much as a future that is looked at */
    FILTER_PROBLEM_BYTES = 200,
};

enum filter_field {
    FILTER_ID,
    FILTER_FUNCTION,
    FILTER_STATE,
    FILTER_PENDING_REASON,
    FILTER_GROUP,
    FILTER_TAG,
    FILTER_REASON,
    FILTER_TYPE,
    FILTER_WORKER,
    FILTER_PRINCIPAL,
    FILTER_NAMESPACE,
    FILTER_ATTEMPTS,
    FILTER_PRIORITY,
    FILTER_RETRIED,
    FILTER_RETRY_OF,
    FILTER_IDEMPOTENCY_KEY,
    FILTER_ARGUMENT,
    FILTER_ERROR,
    FILTER_SUBMIT_TIME,
    FILTER_START_TIME,
    FILTER_END_TIME,
    FILTER_DURATION,
    FILTER_QUEUE_TIME,
    FILTER_LABEL, /* with a key */
    FILTER_N_FIELDS,
};

/* What a field's values are, and so what may be said of it. */
enum filter_kind {
    FILTER_TEXT,   /* = != ~ */
    FILTER_UUID,   /* = != ~ and, as they were accepted, < > <= >= */
    FILTER_ENUM,   /* = != */
    FILTER_BOOL,   /* = != */
    FILTER_NUMBER, /* all but ~; so are the following two */
    FILTER_TIME,
    FILTER_SPAN,
    FILTER_KEYED, /* a label: = != ~ as text, the others as numbers */
};

enum filter_op {
    FILTER_EQ,
    FILTER_NE,
    FILTER_CONTAINS,
    FILTER_LT,
    FILTER_GT,
    FILTER_LE,
    FILTER_GE,
    FILTER_HAS
};

enum filter_node_kind { FILTER_ALL, FILTER_TERM, FILTER_AND, FILTER_OR };

struct filter_node {
    uint8_t kind; /* enum filter_node_kind */
    uint8_t is_not;
    uint8_t field, op;    /* of a term */
    uint16_t first, next; /* of AND, OR: the children; 0 ends */
    struct span label;
    struct span text;
    union {
        int64_t number; /* also ns, enum, 0 and 1 */
        struct id id;
        double decimal; /* of a label that is compared as a number */
    };
};

struct filter {
    uint32_t refs;
    uint16_t n_nodes, root;
    uint8_t *text; /* what the spans point into */
    size_t text_len;
    struct filter_node nodes[]; /* 0 is not used */
};

struct filter_problem {
    uint32_t column; /* from 1, in characters */
    char text[FILTER_PROBLEM_BYTES];
};

/* filter_parse: @text, which is UTF-8, with times as "-2h" before @now.
 *   Owns:   the caller: filter_unref.
 *   Return: 0; FILTER_E_SYNTAX (@problem says where and what was expected); -ENOMEM. */
enum filter_error { FILTER_E_SYNTAX = 1 };
MUST_CHECK int filter_parse(struct filter **ret, struct span text, wall_ns_t now,
                            struct filter_problem *problem);

/* filter_unref: NULL is allowed. Returns NULL. */
struct filter *filter_ref(struct filter *f);
struct filter *filter_unref(struct filter *f);

/* filter_print: append the normal form: parsed again it is the same filter. 0, -ENOMEM. */
MUST_CHECK int filter_print(const struct filter *f, struct buf *out);

/* --- asking it */

struct filter_value {
    int64_t number; /* NUMBER, TIME, SPAN, ENUM, BOOL */
    struct span text;
    struct id id;
};

/* The @i-th value of @field of @record (of its label @label); most fields have one. 1; 0: there is none. */
typedef int (*filter_get_fn)(const void *record, enum filter_field field, struct span label, uint32_t i,
                             struct filter_value *ret);

struct filter_subject {
    filter_get_fn get;
    const void *record;
};

/* filter_match: whether @f holds of @s; *cost is raised by 1 and what was searched. What has no value is empty text, equals
 * nothing else and is neither before nor after anything. */
MUST_CHECK int filter_match(const struct filter *f, const struct filter_subject *s, uint32_t *cost);

/* What must be so of all that can match: to look at less. */
struct filter_hints {
    uint8_t states;            /* bits 1 << state of the contract: in one of these */
    uint64_t key_min, key_max; /* of its ID, both inclusive */
    struct span group;         /* in this group; empty: in any, or none */
    int needs_task;            /* the bytes of the task are looked at */
};
struct filter_hints filter_hints(const struct filter *f);

/* --- words */

struct filter_word {
    const char *name;
    enum filter_kind kind;
};
extern const struct filter_word filter_fields[FILTER_N_FIELDS];

/* filter_field_find: the field called @name, but for labels. < 0: there is none. */
MUST_CHECK int filter_field_find(struct span name);

/* filter_enum_text: the contract's name for a value of FILTER_STATE or FILTER_PENDING_REASON; NULL: there is none.
 * filter_enum_find: the other way; < 0: there is none. */
const char *filter_enum_text(enum filter_field field, int64_t value);
MUST_CHECK int64_t filter_enum_find(enum filter_field field, struct span name);
extern const char *const filter_ops[FILTER_HAS + 1];

/* filter_value_read_span: "90s", "1h30m", "1.5d". filter_value_read_time: RFC 3339, a date alone, or "-2h" before @now.
 *   Return: 0; FILTER_E_SYNTAX. */
MUST_CHECK int filter_value_read_span(struct span text, int64_t *ret_ns);
MUST_CHECK int filter_value_read_time(struct span text, wall_ns_t now, wall_ns_t *ret);
enum { FILTER_TIME_TEXT_BYTES = 40 };
/* filter_value_print_span, _time: text that the former read as the same value. @ns >= 0. */
void filter_value_print_span(int64_t ns, char text[static FILTER_TIME_TEXT_BYTES]);
void filter_value_print_time(wall_ns_t t, char text[static FILTER_TIME_TEXT_BYTES]);

/* filter_value_read_decimal: "12", "-1.5", "2e3". 1; 0: it is no number. */
MUST_CHECK int filter_value_read_decimal(struct span text, double *ret);

/* filter_task_label: the value of label @key in an encoded Task of the contract. 1; 0: it has none. */
MUST_CHECK int filter_task_label(struct span task, struct span key, struct span *ret);
