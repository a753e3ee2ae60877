// SPDX-License-Identifier: Apache-2.0
/* JSON: each thing is the message it came in, whole; message.h says how. */
#include "client/futurectl/message.h"
#include "client/futurectl/output.h"

#include <futured/v1/functions.pb-c.h>
#include <futured/v1/futures.pb-c.h>
#include <futured/v1/workers.pb-c.h>

/* Takes @json, NULL too. */
static void show(struct output *out, json_t *json)
{
    size_t flags = out->is_line ? JSON_COMPACT : JSON_INDENT(2);

    if (out->is_list && !out->is_line)
        fputs(out->n_items ? ",\n" : "\n", out->to);
    if (!json || json_dumpf(json, out->to, flags) < 0)
        out->failed = 1;
    if (!out->is_list || out->is_line)
        fputc('\n', out->to);
    json_decref(json);
    if (out->is_line)
        fflush(out->to); /* a line is read as it comes */
}

static void show_wire(struct output *out, const ProtobufCMessageDescriptor *descriptor,
                      struct futured_bytes wire)
{
    show(out, message_read_json(descriptor, (struct span){wire.data, wire.size}));
}

static void begin(struct output *out, enum output_list kind)
{
    if (!out->is_line)
        fputc('[', out->to);
}

static void end(struct output *out)
{
    if (!out->is_line)
        fputs(out->n_items ? "\n]\n" : "]\n", out->to);
}

static void future(struct output *out, const struct futured_future *f)
{
    show_wire(out, &futured__v1__future__descriptor, f->wire);
}

static void function(struct output *out, const struct futured_function *f)
{
    show_wire(out, &futured__v1__function_info__descriptor, f->wire);
}

static void worker(struct output *out, const struct futured_worker *w)
{
    show_wire(out, &futured__v1__worker_info__descriptor, w->wire);
}

static void event(struct output *out, const struct futured_event *e)
{
    show_wire(out, &futured__v1__future_event__descriptor, e->wire);
}

static void waited(struct output *out, const struct futured_waited *w)
{
    show_wire(out, &futured__v1__wait_response__descriptor, w->wire);
}

static void fact(struct output *out, const char *key, const char *value, const char *text)
{
    show(out, json_pack("{s:s}", key, value));
}

const struct output_ops output_json_ops = {
        .begin = begin,
        .end = end,
        .future = future,
        .row = future,
        .line = future,
        .function = function,
        .worker = worker,
        .event = event,
        .waited = waited,
        .fact = fact,
};
