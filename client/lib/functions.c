// SPDX-License-Identifier: Apache-2.0
/* The functions that there are, their pauses and their limits. */
#include "client/lib/decode.h"
#include "client/lib/future.h"
#include "client/lib/retry.h"

#include <errno.h>
#include <string.h>

#include <futured/v1/functions.pb-c.h>

#define METHOD(name) "/futured.v1.Functions/" name

/* Field numbers of futured/v1/functions.proto. */
enum {
    FUNCTIONS_PAGE_TOKEN = 2,
    FUNCTIONS_PREFIX = 3,
    FUNCTIONS_FUNCTIONS = 1,

    CHANGE_FUNCTION = 1,
    CHANGE_REASON = 2,
    LIMITS_MAX_RUNNING = 3,
    LIMITS_MAX_PENDING = 4,
    LIMITS_RATE = 5,
    LIMITS_RESET = 6,
};

/* --- what an answer says of one */

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

static void fill_limits(const Futured__V1__FunctionInfo *from, struct futured_function *to)
{
    if (from->limits) {
        to->max_running = from->limits->max_running;
        to->max_pending = from->limits->max_pending;
        to->rate = from->limits->rate;
    }
    to->limits_time_ns = futured_box_time(from->limits_set ? from->limits_set->time : NULL);
    to->limits_principal = text_or_empty(from->limits_set ? from->limits_set->principal : NULL);
    to->limits_reason = text_or_empty(from->limits_set ? from->limits_set->reason : NULL);
}

/* 0, -ENOMEM. */
static int fill_function(struct arena *arena, const Futured__V1__FunctionInfo *from,
                         struct futured_bytes wire, struct futured_function *to)
{
    enum futured_function_kind *kinds = futured_box_array(arena, from->n_kinds, sizeof *kinds);

    if (!kinds)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_kinds; i++)
        kinds[i] = (enum futured_function_kind)from->kinds[i];
    *to = (struct futured_function){
            .name = text_or_empty(from->spec ? from->spec->name : NULL),
            .doc = text_or_empty(from->spec ? from->spec->doc : NULL),
            .version = text_or_empty(from->spec ? from->spec->version : NULL),
            .n_kinds = from->n_kinds,
            .kinds = kinds,
            .is_paused = from->paused != NULL,
            .pause_reason = text_or_empty(from->paused ? from->paused->reason : NULL),
            .pause_principal = text_or_empty(from->paused ? from->paused->principal : NULL),
            .pause_time_ns = futured_box_time(from->paused ? from->paused->time : NULL),
            .n_workers = from->worker_count,
            .mean_run_ns = futured_box_span(from->mean_run),
            .failure = futured_future_error(arena, from->failure),
            .wire = wire,
    };
    if (from->counts) {
        to->pending = from->counts->pending;
        to->running = from->counts->running;
        to->succeeded = from->counts->succeeded;
        to->failed = from->counts->failed;
        to->cancelled = from->counts->cancelled;
    }
    fill_limits(from, to);
    return from->failure && !to->failure ? -ENOMEM : 0;
}

struct function_box {
    struct futured_box box;
    struct futured_function function;
};

static int decode_function(struct span reply, void *ret)
{
    ProtobufCMessage *message;
    struct futured_function *to;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct function_box), &futured__v1__function_info__descriptor, reply,
                            &message);

    if (r)
        return r;
    to = &CONTAINER_OF(box, struct function_box, box)->function;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r == 0)
        r = fill_function(&box->arena, (const Futured__V1__FunctionInfo *)(const void *)message, wire, to);
    if (r) {
        futured_box_free(box);
        return r;
    }
    *(struct futured_function **)ret = to;
    return 0;
}

struct futured_function *futured_function_free(struct futured_function *function)
{
    if (function)
        futured_box_free(&CONTAINER_OF(function, struct function_box, function)->box);
    return NULL;
}

/* --- all of them */

struct functions_box {
    struct futured_box box;
    struct futured_functions functions;
};

struct list_functions {
    const char *prefix, *page_token;
};

static void encode_functions(struct writer *w, const void *arg)
{
    const struct list_functions *list = arg;

    if (list->page_token)
        writer_text(w, FUNCTIONS_PAGE_TOKEN, list->page_token);
    if (list->prefix)
        writer_text(w, FUNCTIONS_PREFIX, list->prefix);
}

static int fill_functions(struct arena *arena, const Futured__V1__ListFunctionsResponse *from,
                          struct futured_bytes wire, struct futured_functions *to)
{
    struct wire_reader reader = wire_reader((struct span){wire.data, wire.size});
    struct futured_function **list =
            futured_box_array(arena, from->n_functions, sizeof(struct futured_function *));
    struct wire_field field = {0};

    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_functions; i++) {
        int r;

        do
            r = wire_next(&reader, &field);
        while (r == 0 && field.number != FUNCTIONS_FUNCTIONS);
        ASSERT(r == 0); /* the generated code has found as many */
        list[i] = futured_box_array(arena, 1, sizeof *list[i]);
        if (!list[i])
            return -ENOMEM;
        r = fill_function(arena, from->functions[i],
                          (struct futured_bytes){.data = field.bytes.p, .size = field.bytes.len}, list[i]);
        if (r)
            return r;
    }
    to->n_functions = from->n_functions;
    to->functions = (const struct futured_function *const *)list;
    to->next_page_token = from->next_page_token;
    return 0;
}

static int decode_functions(struct span reply, void *ret)
{
    ProtobufCMessage *message;
    struct futured_functions *to;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct functions_box),
                            &futured__v1__list_functions_response__descriptor, reply, &message);

    if (r)
        return r;
    to = &CONTAINER_OF(box, struct functions_box, box)->functions;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r == 0)
        r = fill_functions(&box->arena, (const Futured__V1__ListFunctionsResponse *)(const void *)message,
                           wire, to);
    if (r) {
        futured_box_free(box);
        return r;
    }
    *(struct futured_functions **)ret = to;
    return 0;
}

int futured_list_functions(struct futured_client *client, const char *prefix, const char *page_token,
                           struct futured_functions **ret)
{
    const struct list_functions list = {.prefix = prefix, .page_token = page_token};

    return futured_call_unary(client, METHOD("ListFunctions"), encode_functions, &list, decode_functions,
                              ret);
}

struct futured_functions *futured_functions_free(struct futured_functions *functions)
{
    if (functions)
        futured_box_free(&CONTAINER_OF(functions, struct functions_box, functions)->box);
    return NULL;
}

/* --- pauses and limits */

struct change {
    const char *function, *reason;
    const struct futured_limits *limits;
};

static void encode_change(struct writer *w, const void *arg)
{
    const struct change *change = arg;
    const struct futured_limits *l = change->limits;

    writer_text(w, CHANGE_FUNCTION, change->function);
    if (change->reason)
        writer_text(w, CHANGE_REASON, change->reason);
    if (!l)
        return;
    if (l->has_max_running)
        writer_uint_always(w, LIMITS_MAX_RUNNING, l->max_running);
    if (l->has_max_pending)
        writer_uint_always(w, LIMITS_MAX_PENDING, l->max_pending);
    if (l->has_rate)
        writer_double_always(w, LIMITS_RATE, l->rate);
    writer_uint(w, LIMITS_RESET, l->reset != 0);
}

static int change_function(struct futured_client *client, const char *path, const struct change *change,
                           struct futured_function **ret)
{
    return futured_call_unary(client, path, encode_change, change, ret ? decode_function : NULL, ret);
}

int futured_get_function(struct futured_client *client, const char *function, struct futured_function **ret)
{
    return change_function(client, METHOD("GetFunction"), &(struct change){.function = function}, ret);
}

int futured_pause_function(struct futured_client *client, const char *function, const char *reason,
                           struct futured_function **ret)
{
    const struct change change = {.function = function, .reason = reason};

    return change_function(client, METHOD("PauseFunction"), &change, ret);
}

int futured_resume_function(struct futured_client *client, const char *function, const char *reason,
                            struct futured_function **ret)
{
    const struct change change = {.function = function, .reason = reason};

    return change_function(client, METHOD("ResumeFunction"), &change, ret);
}

int futured_set_function_limits(struct futured_client *client, const char *function,
                                const struct futured_limits *limits, const char *reason,
                                struct futured_function **ret)
{
    struct futured_limits known = {0};
    const struct change change = {.function = function, .reason = reason, .limits = &known};

    memcpy(&known, limits, MIN(limits->size, sizeof known));
    return change_function(client, METHOD("SetFunctionLimits"), &change, ret);
}
