// SPDX-License-Identifier: Apache-2.0
/* Text for people: blocks, tables, events. */
#include "client/futurectl/duration.h"
#include "client/futurectl/print.h"
#include "client/futurectl/text.h"

#include <inttypes.h>
#include <string.h>

enum { CELL_BYTES = 60 /* of a table's last cell */ };

/* --- tables */

static const struct table_column future_columns[] = {{"ID", 0},  {"STATE", 0}, {"FUNCTION", 0},
                                                     {"AGE", 0}, {"TOOK", 0},  {"LABELS", 0}};
static const struct table_column function_columns[] = {{"FUNCTION", 0}, {"KIND", 0},        {"PENDING", 1},
                                                       {"RUNNING", 1},  {"SUCCEEDED", 1},   {"FAILED", 1},
                                                       {"MEAN RUN", 0}, {"WHAT IT DOES", 0}};
static const struct table_column worker_columns[] = {{"WORKER", 0},   {"NAME", 0},    {"STATE", 0},
                                                     {"SLOTS", 1},    {"RUNNING", 1}, {"RESERVED", 1},
                                                     {"FINISHED", 1}, {"AGE", 0},     {"FUNCTIONS", 0}};
static const struct table_column count_columns[] = {{"VALUE", 0}, {"COUNT", 1}, {"OLDEST", 0}};

static void begin(struct output *out, enum output_list kind)
{
    switch (kind) {
    case OUTPUT_FUTURES: table_begin(&out->table, out->to, future_columns, ARRAY_LEN(future_columns)); break;
    case OUTPUT_FUNCTIONS:
        table_begin(&out->table, out->to, function_columns, ARRAY_LEN(function_columns));
        break;
    case OUTPUT_WORKERS: table_begin(&out->table, out->to, worker_columns, ARRAY_LEN(worker_columns)); break;
    case OUTPUT_LINES: break;
    }
}

static void end(struct output *out)
{
    if (out->kind != OUTPUT_LINES && table_end(&out->table) < 0)
        out->failed = 1;
}

static void cell_text(struct output *out, const char *s)
{
    text_put_string(table_cell(&out->table, ""), s);
}

static void cell_number(struct output *out, uint64_t n)
{
    fprintf(table_cell(&out->table, ""), "%" PRIu64, n);
}

/* Nothing where there is no such span. */
static void cell_span(struct output *out, int64_t ns)
{
    char text[DURATION_TEXT_BYTES] = "";

    if (ns >= 0)
        duration_format(ns, text);
    cell_text(out, text);
}

/* How long ago that is. */
static void cell_age(struct output *out, int64_t time_ns)
{
    int64_t now = clock_wall();

    cell_span(out, time_ns == FUTURED_NO_TIME ? -1 : now > time_ns ? now - time_ns : 0);
}

static void row(struct output *out, const struct futured_future *f)
{
    int has_run = f->end_time_ns != FUTURED_NO_TIME && f->start_time_ns != FUTURED_NO_TIME;
    FILE *to;

    cell_text(out, f->id);
    print_state(out, table_cell(&out->table, print_colour(out, f->state)), f);
    cell_text(out, f->task ? f->task->function : "");
    cell_age(out, f->submit_time_ns);
    cell_span(out, has_run ? f->end_time_ns - f->start_time_ns : -1);
    to = table_cell(&out->table, "");
    for (size_t i = 0; i < f->n_labels; i++) {
        fputs(i ? " " : "", to);
        print_label(to, &f->labels[i]);
    }
}

static const char *kind_of(const struct futured_function *f)
{
    static const char *const names[] = {"?", "plugin", "command", "remote"};

    if (f->n_kinds == 0)
        return "none";
    if (f->n_kinds > 1)
        return "several";
    return f->kinds[0] < ARRAY_LEN(names) ? names[f->kinds[0]] : names[0];
}

static void function(struct output *out, const struct futured_function *f)
{
    FILE *to;

    cell_text(out, f->name);
    cell_text(out, kind_of(f));
    cell_number(out, f->pending);
    cell_number(out, f->running);
    cell_number(out, f->succeeded);
    cell_number(out, f->failed);
    cell_span(out, f->mean_run_ns);
    to = table_cell(&out->table, "");
    if (f->failure) {
        fputs("NOT SERVED: ", to);
        print_error_text(to, f->failure);
    } else if (f->is_paused) {
        fputs(*f->pause_reason ? "PAUSED: " : "PAUSED", to);
        text_put_string(to, f->pause_reason);
    } else {
        text_put(to, span_of_string(f->doc), CELL_BYTES);
    }
}

static void worker(struct output *out, const struct futured_worker_info *w)
{
    static const char *const states[] = {"", "STARTING", "READY", "DRAINING", "DISCONNECTED"};
    FILE *to;

    cell_text(out, w->id);
    cell_text(out, w->name);
    cell_text(out, (unsigned int)w->state < ARRAY_LEN(states) ? states[w->state] : "?");
    cell_number(out, w->slots);
    cell_number(out, w->running);
    cell_number(out, w->reserved);
    cell_number(out, w->finished);
    cell_age(out, w->attach_time_ns);
    to = table_cell(&out->table, "");
    for (size_t i = 0; i < w->n_functions; i++) {
        fputs(i ? " " : "", to);
        text_put_string(to, w->functions[i]);
    }
}

static void count(struct output *out, const struct futured_count *c)
{
    if (!c->groups) {
        fprintf(out->to, "%" PRIu64 "\n", c->count);
        return;
    }
    table_begin(&out->table, out->to, count_columns, ARRAY_LEN(count_columns));
    for (size_t i = 0; i < c->n_groups; i++) {
        cell_text(out, *c->groups[i].value ? c->groups[i].value : "-");
        cell_number(out, c->groups[i].count);
        cell_span(out, c->groups[i].oldest_age_ns);
    }
    if (table_end(&out->table) < 0)
        out->failed = 1;
}

/* --- events */

static void put_change(struct output *out, const struct futured_future *f)
{
    char size[TEXT_SIZE_BYTES];

    print_state(out, out->to, f);
    if (f->state == FUTURED_STATE_RUNNING && f->n_attempts)
        fprintf(out->to, " attempt %u", f->attempts[f->n_attempts - 1]->number);
    if (f->cancel_requested && !futured_future_is_done(f))
        fputs(" (cancel asked for)", out->to);
    if (f->result) {
        text_size(f->result->size, size);
        fprintf(out->to, " with a result of %s", size);
    }
    if (!f->error)
        return;
    if (strcmp(f->error->reason, futured_state_name(f->state)) != 0) {
        fputc(' ', out->to);
        print_error_text(out->to, f->error);
    } else if (*f->error->message) {
        fputs(": ", out->to);
        text_put_string(out->to, f->error->message);
    }
}

static void put_chunk(struct output *out, const struct futured_event *e)
{
    static const char *const streams[] = {"", "output", "stdout", "stderr", "log"};
    int stream = e->chunk->stream;

    fprintf(out->to, "attempt %u %s: ", e->chunk->attempt,
            stream > 0 && stream < (int)ARRAY_LEN(streams) ? streams[stream]
            : e->kind == FUTURED_EVENT_LOG                 ? "log"
                                                           : "output");
    text_put(out->to, (struct span){e->chunk->data.data, e->chunk->data.size}, 0);
}

static void event(struct output *out, const struct futured_event *e)
{
    char time[TEXT_TIME_BYTES];

    if (e->time_ns != FUTURED_NO_TIME) {
        text_time(e->time_ns, time);
        fprintf(out->to, "%s  ", time);
    }
    text_put_string(out->to, e->id);
    fputs("  ", out->to);
    switch (e->kind) {
    case FUTURED_EVENT_SNAPSHOT:
    case FUTURED_EVENT_STATE: put_change(out, e->future); break;
    case FUTURED_EVENT_LABELS:
        fputs("labels", out->to);
        for (size_t i = 0; i < e->future->n_labels; i++) {
            fputc(' ', out->to);
            print_label(out->to, &e->future->labels[i]);
        }
        break;
    case FUTURED_EVENT_PROGRESS:
        fprintf(out->to, "progress %" PRIu64, e->progress->completed);
        if (e->progress->total)
            fprintf(out->to, " of %" PRIu64, e->progress->total);
        fputc(' ', out->to);
        text_put_string(out->to, e->progress->message);
        break;
    case FUTURED_EVENT_OUTPUT:
    case FUTURED_EVENT_LOG: put_chunk(out, e); break;
    case FUTURED_EVENT_LOST:
        fputs("events were lost", out->to);
        if (e->n_lost)
            fprintf(out->to, ": %" PRIu64, e->n_lost);
        break;
    default: fputs("an event that this futurectl does not know", out->to); break;
    }
    fputc('\n', out->to);
    fflush(out->to); /* one who watches wants to see it now */
}

/* --- blocks */

static void line_limit(struct output *out, const char *key, double limit, const char *unit)
{
    print_key(out, key);
    if (limit > 0)
        fprintf(out->to, "%.12g%s\n", limit, unit);
    else
        fputs("any number\n", out->to);
}

static void function_whole(struct output *out, const struct futured_function *f)
{
    print_line(out, "function", f->name);
    print_line(out, "kind", kind_of(f));
    print_line(out, "what", f->doc);
    if (f->failure) {
        print_key(out, "not served");
        print_error_text(out->to, f->failure);
        fputc('\n', out->to);
    }
    if (f->is_paused)
        print_change(out, "paused", f->pause_time_ns, f->pause_principal, f->pause_reason);
    line_limit(out, "max running", f->max_running, "");
    line_limit(out, "max pending", (double)f->max_pending, "");
    line_limit(out, "rate", f->rate, " a second");
    print_change(out, "limits set", f->limits_time_ns, f->limits_principal, f->limits_reason);
    print_count_line(out, "workers", f->n_workers);
    print_count_line(out, "pending", f->pending);
    print_count_line(out, "running", f->running);
}

static void explanation(struct output *out, const struct futured_explanation *x)
{
    const struct futured_future state = {.state = x->state, .pending_reason = x->pending_reason};

    if (*x->id) {
        print_line(out, "future", x->id);
        print_key(out, "state");
        print_state(out, out->to, &state);
        fputc('\n', out->to);
    }
    print_line(out, "function", x->function);
    print_line(out, "why", x->text);
    print_time_line(out, "next start", x->next_start_time_ns);
    for (size_t i = 0; i < x->n_waits_for; i++)
        print_line(out, i ? "" : "waits for", x->waits_for[i]);
    print_line(out, "limit", x->limit);
    if (x->has_position) {
        print_key(out, "before it");
        fprintf(out->to, "%s%" PRIu64 "\n", x->is_estimate ? "about " : "", x->position);
    }
    print_count_line(out, "pending", x->pending);
    print_count_line(out, "running", x->running);
    print_count_line(out, "workers", x->n_workers);
    print_count_line(out, "room", x->credit);
}

/* --- the daemon */

static void names(struct output *out, const char *key, size_t n, char *const *name)
{
    for (size_t i = 0; i < n; i++)
        print_line(out, i ? "" : key, name[i]);
}

static void reloaded(struct output *out, const struct futured_reloaded *r)
{
    names(out, "changed", r->n_changed, r->changed);
    names(out, "plugin", r->n_plugins, r->plugins);
    names(out, "at restart", r->n_needs_restart, r->needs_restart);
    if (!r->n_changed && !r->n_plugins && !r->n_needs_restart)
        fputs("nothing has changed\n", out->to);
}

static void drained(struct output *out, const struct futured_drained *d)
{
    print_line(out, "accepts", d->stop_accept ? "nothing" : "tasks");
    print_line(out, "starts", d->stop_dispatch ? "nothing" : "tasks");
    print_line(out, "then", d->exit ? "it ends" : "");
    print_count_line(out, "running", d->running);
    print_count_line(out, "pending", d->pending);
}

/* --- the rest */

static void put_id(struct output *out, const char *id, const char *behind)
{
    text_put_string(out->to, id);
    fputs(behind, out->to);
}

static void line(struct output *out, const struct futured_future *f)
{
    put_id(out, f->id, "  ");
    put_change(out, f);
    if (*f->retry_of)
        put_id(out, ", retry of ", f->retry_of);
    fputc('\n', out->to);
    fflush(out->to);
}

static void waited(struct output *out, const struct futured_waited *w)
{
    for (size_t i = 0; i < w->n_done; i++)
        line(out, w->done[i]);
    for (size_t i = 0; i < w->n_not_done; i++)
        put_id(out, w->not_done[i], "  not done\n");
    for (size_t i = 0; i < w->n_missing; i++)
        put_id(out, w->missing[i], "  not found\n");
}

static void changed(struct output *out, const struct futured_changed *c, const char *text)
{
    fprintf(out->to, "%s\n", text);
}

static void fact(struct output *out, const char *key, const char *value, const char *text)
{
    fprintf(out->to, "%s\n", text);
}

const struct output_ops output_text_ops = {
        .begin = begin,
        .end = end,
        .future = print_future,
        .row = row,
        .line = line,
        .function = function,
        .function_whole = function_whole,
        .worker = worker,
        .event = event,
        .waited = waited,
        .explanation = explanation,
        .count = count,
        .reloaded = reloaded,
        .drained = drained,
        .changed = changed,
        .fact = fact,
};
