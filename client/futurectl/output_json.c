// SPDX-License-Identifier: Apache-2.0
/* JSON: each thing is the message it came in, whole; message.h says how. */
#include "base/clock.h"
#include "client/futurectl/message.h"
#include "client/futurectl/output.h"

#include <futured/v1/functions.pb-c.h>
#include <futured/v1/futures.pb-c.h>
#include <futured/v1/system.pb-c.h>
#include <futured/v1/workers.pb-c.h>
#include <google/protobuf/duration.pb-c.h>

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

static void worker(struct output *out, const struct futured_worker_info *w)
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

static void explanation(struct output *out, const struct futured_explanation *x)
{
    show_wire(out, &futured__v1__explanation__descriptor, x->wire);
}

static void reloaded(struct output *out, const struct futured_reloaded *r)
{
    show_wire(out, &futured__v1__reload_response__descriptor, r->wire);
}

static void drained(struct output *out, const struct futured_drained *d)
{
    show_wire(out, &futured__v1__drain_response__descriptor, d->wire);
}

/* A message of the contract made of what several answers said. */
static void set_age(int64_t age_ns, Google__Protobuf__Duration *to, Google__Protobuf__Duration **field)
{
    if (age_ns < 0)
        return;
    google__protobuf__duration__init(to);
    to->seconds = age_ns / NS_PER_S;
    to->nanos = (int32_t)(age_ns % NS_PER_S);
    *field = to;
}

static json_t *group(const struct futured_count_group *g)
{
    Futured__V1__CountGroup to = FUTURED__V1__COUNT_GROUP__INIT;
    Google__Protobuf__Duration age;
    json_t *json;

    to.count = g->count;
    set_age(g->oldest_age_ns, &age, &to.oldest_age);
    json = message_to_json(&to.base);
    if (json && json_object_set_new(json, "value", json_string(g->value)) < 0) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

static void count(struct output *out, const struct futured_count *c)
{
    Futured__V1__CountResponse to = FUTURED__V1__COUNT_RESPONSE__INIT;
    Google__Protobuf__Duration age;
    json_t *json, *groups;

    to.count = c->count;
    set_age(c->oldest_age_ns, &age, &to.oldest_age);
    json = message_to_json(&to.base);
    groups = json ? json_object_get(json, "groups") : NULL;
    for (size_t i = 0; groups && i < c->n_groups; i++) {
        if (json_array_append_new(groups, group(&c->groups[i])) < 0) {
            json_decref(json);
            json = groups = NULL;
        }
    }
    show(out, json);
}

static void changed(struct output *out, const struct futured_changed *c, const char *text)
{
    Futured__V1__CancelManyResponse to = FUTURED__V1__CANCEL_MANY_RESPONSE__INIT;

    to.matched = c->matched;
    to.changed = c->changed;
    show(out, message_to_json(&to.base));
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
        .function_whole = function,
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
