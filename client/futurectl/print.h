// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the text for people is made of. What comes from strangers (labels, messages, results) passes text_put, so that it can
 * move no cursor and start no escape sequence. A block is lines of `key  value`.
 */
#include "client/futurectl/output.h"

/* print_colour: the escape sequence of a state on a terminal that can; else "". */
const char *print_colour(const struct output *out, enum futured_state state);
/* print_state: `PENDING (PAUSED)`; with its colour where @to is the output and not a cell of its table. */
void print_state(const struct output *out, FILE *to, const struct futured_future *f);

void print_key(struct output *out, const char *key);
/* Lines of a block; a text that is empty, a time and a span that there is not, make none. */
void print_line(struct output *out, const char *key, const char *value);
void print_time_line(struct output *out, const char *key, int64_t time_ns);
void print_span_line(struct output *out, const char *key, int64_t span_ns);
void print_labels(struct output *out, const char *key, const struct futured_label *labels, size_t n);
void print_count_line(struct output *out, const char *key, uint64_t n);
/* print_change: when, by whom and why. */
void print_change(struct output *out, const char *key, int64_t time_ns, const char *principal,
                  const char *reason);

/* print_span: @before and the span, or nothing. */
void print_span(struct output *out, const char *before, int64_t span_ns);
void print_label(FILE *to, const struct futured_label *label);
/* print_error_text: `CRASHED: killed by SIGSEGV`. */
void print_error_text(FILE *to, const struct futured_error *e);

/* print_future: the whole record, as a block. */
void print_future(struct output *out, const struct futured_future *f);
