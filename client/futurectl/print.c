// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/print.h"

#include "client/futurectl/duration.h"
#include "client/futurectl/text.h"

#include <inttypes.h>

enum { KEY_WIDTH = 12 };

static const char *colour_of(enum futured_state state)
{
    switch (state) {
    case FUTURED_STATE_SUCCEEDED: return "\033[32m";
    case FUTURED_STATE_FAILED: return "\033[31m";
    case FUTURED_STATE_CANCELLED: return "\033[33m";
    case FUTURED_STATE_RUNNING: return "\033[36m";
    default: return "";
    }
}

const char *print_colour(const struct output *out, enum futured_state state)
{
    return out->is_colour ? colour_of(state) : "";
}

void print_state(const struct output *out, FILE *to, const struct futured_future *f)
{
    const char *colour = to == out->to ? print_colour(out, f->state) : "";

    fprintf(to, "%s%s%s", colour, futured_state_name(f->state), *colour ? "\033[0m" : "");
    if (f->state == FUTURED_STATE_PENDING && f->pending_reason != FUTURED_PENDING_UNSPECIFIED)
        fprintf(to, " (%s)", futured_pending_reason_name(f->pending_reason));
}

void print_key(struct output *out, const char *key)
{
    fprintf(out->to, "%-*s", KEY_WIDTH, key);
}

void print_line(struct output *out, const char *key, const char *value)
{
    if (!*value)
        return;
    print_key(out, key);
    text_put_string(out->to, value);
    fputc('\n', out->to);
}

void print_time_line(struct output *out, const char *key, int64_t time_ns)
{
    char text[TEXT_TIME_BYTES];

    if (time_ns == FUTURED_NO_TIME)
        return;
    text_time(time_ns, text);
    print_line(out, key, text);
}

void print_span(struct output *out, const char *before, int64_t span_ns)
{
    char text[DURATION_TEXT_BYTES];

    if (span_ns < 0)
        return;
    duration_format(span_ns, text);
    fprintf(out->to, "%s%s", before, text);
}

void print_label(FILE *to, const struct futured_label *label)
{
    text_put_string(to, label->key);
    fputc('=', to);
    text_put_string(to, label->value);
}

void print_labels(struct output *out, const char *key, const struct futured_label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_key(out, i ? "" : key);
        print_label(out->to, &labels[i]);
        fputc('\n', out->to);
    }
}

void print_error_text(FILE *to, const struct futured_error *e)
{
    text_put_string(to, *e->function_reason ? e->function_reason : e->reason);
    if (*e->type) {
        fputs(" (", to);
        text_put_string(to, e->type);
        fputc(')', to);
    }
    if (*e->message) {
        fputs(": ", to);
        text_put_string(to, e->message);
    }
}

void print_span_line(struct output *out, const char *key, int64_t span_ns)
{
    if (span_ns < 0)
        return;
    print_key(out, key);
    print_span(out, "", span_ns);
    fputc('\n', out->to);
}

void print_count_line(struct output *out, const char *key, uint64_t n)
{
    print_key(out, key);
    fprintf(out->to, "%" PRIu64 "\n", n);
}

void print_change(struct output *out, const char *key, int64_t time_ns, const char *principal,
                  const char *reason)
{
    char text[TEXT_TIME_BYTES];

    if (time_ns == FUTURED_NO_TIME)
        return;
    text_time(time_ns, text);
    print_key(out, key);
    fputs(text, out->to);
    if (*principal) {
        fputs(" by ", out->to);
        text_put_string(out->to, principal);
    }
    if (*reason) {
        fputs(": ", out->to);
        text_put_string(out->to, reason);
    }
    fputc('\n', out->to);
}
