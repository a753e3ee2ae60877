// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How commands show what they found: as text for people, or as JSON for programs. A command says what there is,
 * the output decides how it looks; no command knows which one it has.
 *
 * One thing: output_future and so on. Several of a kind: output_begin, one call each, output_end; text makes a
 * table of them, --json one array, --jsonl a line each.
 */
#include "base/err.h"
#include "client/futurectl/table.h"

#include <stdio.h>

#include <futured/client.h>

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_JSONL };

enum output_list {
    OUTPUT_FUTURES,   /* of output_row */
    OUTPUT_FUNCTIONS, /* of output_function */
    OUTPUT_WORKERS,   /* of output_worker */
    OUTPUT_LINES,     /* of anything else; without a head */
};

struct output;

struct output_ops {
    void (*begin)(struct output *out, enum output_list kind);
    void (*end)(struct output *out);
    void (*future)(struct output *out, const struct futured_future *future); /* whole */
    void (*row)(struct output *out, const struct futured_future *future);    /* in a list of futures */
    void (*line)(struct output *out, const struct futured_future *future);   /* its state in a line */
    void (*function)(struct output *out, const struct futured_function *function);
    void (*function_whole)(struct output *out, const struct futured_function *function);
    void (*worker)(struct output *out, const struct futured_worker_info *worker);
    void (*event)(struct output *out, const struct futured_event *event);
    void (*waited)(struct output *out, const struct futured_waited *waited);
    void (*explanation)(struct output *out, const struct futured_explanation *explanation);
    void (*count)(struct output *out, const struct futured_count *count);
    void (*reloaded)(struct output *out, const struct futured_reloaded *reloaded);
    void (*drained)(struct output *out, const struct futured_drained *drained);
    void (*changed)(struct output *out, const struct futured_changed *changed, const char *text);
    void (*fact)(struct output *out, const char *key, const char *value, const char *text);
};

struct output {
    const struct output_ops *ops;
    FILE *to;
    int is_colour; /* text only, and so is the table */
    struct table table;
    enum output_list kind; /* of the list */
    int is_line;           /* JSON only: one line each */
    int is_list;           /* between begin and end */
    int n_items;
    int failed; /* something could not be shown: memory */
};

extern const struct output_ops output_text_ops, output_json_ops;

/* output_is_colour: whether @to is a terminal that can, and NO_COLOR is not set. */
int output_is_colour(FILE *to);

/* output_init: to @to, which is the caller's. Colour: text, where output_is_colour. */
void output_init(struct output *out, enum output_format format, FILE *to);

/* output_close: what has been written is out. 0; OUTPUT_E_MEMORY; -errno of a write that failed. */
enum { OUTPUT_E_MEMORY = 1 };
MUST_CHECK int output_close(struct output *out);

static inline void output_begin(struct output *out, enum output_list kind)
{
    out->is_list = 1;
    out->n_items = 0;
    out->kind = kind;
    out->ops->begin(out, kind);
}

static inline void output_end(struct output *out)
{
    out->ops->end(out);
    out->is_list = 0;
}

static inline void output_future(struct output *out, const struct futured_future *future)
{
    out->ops->future(out, future);
    out->n_items++;
}

static inline void output_row(struct output *out, const struct futured_future *future)
{
    out->ops->row(out, future);
    out->n_items++;
}

static inline void output_line(struct output *out, const struct futured_future *future)
{
    out->ops->line(out, future);
    out->n_items++;
}

static inline void output_function(struct output *out, const struct futured_function *function)
{
    out->ops->function(out, function);
    out->n_items++;
}

static inline void output_worker(struct output *out, const struct futured_worker_info *worker)
{
    out->ops->worker(out, worker);
    out->n_items++;
}

static inline void output_event(struct output *out, const struct futured_event *event)
{
    out->ops->event(out, event);
    out->n_items++;
}

static inline void output_waited(struct output *out, const struct futured_waited *waited)
{
    out->ops->waited(out, waited);
}

static inline void output_function_whole(struct output *out, const struct futured_function *function)
{
    out->ops->function_whole(out, function);
    out->n_items++;
}

static inline void output_explanation(struct output *out, const struct futured_explanation *explanation)
{
    out->ops->explanation(out, explanation);
    out->n_items++;
}

/* output_count: what all calls together have counted; groups is NULL where none were asked for. */
static inline void output_count(struct output *out, const struct futured_count *count)
{
    out->ops->count(out, count);
    out->n_items++;
}

static inline void output_reloaded(struct output *out, const struct futured_reloaded *reloaded)
{
    out->ops->reloaded(out, reloaded);
    out->n_items++;
}

static inline void output_drained(struct output *out, const struct futured_drained *drained)
{
    out->ops->drained(out, drained);
    out->n_items++;
}

/* output_changed: what all calls together have changed, the line @text for people. */
static inline void output_changed(struct output *out, const struct futured_changed *changed, const char *text)
{
    out->ops->changed(out, changed, text);
    out->n_items++;
}

/* output_fact: what is no message: {KEY: VALUE} in JSON, the line @text for people. */
static inline void output_fact(struct output *out, const char *key, const char *value, const char *text)
{
    out->ops->fact(out, key, value, text);
    out->n_items++;
}
