// SPDX-License-Identifier: Apache-2.0
/*
 * Health. Owns the statuses and one watcher object for each open Watch.
 *
 *  1. Level-triggered: a watcher remembers what it was last told, so changes that come and go while its
 *     client does not read cost nothing and are not told.
 *  2. A name is never copied: a watcher keeps the name as it stands in the method table, and one that is not
 *     there has no name (rows are only added before the first call, so it never becomes known).
 *  3. A watcher whose call has been ended is in no list; it is freed by on_done, which always comes.
 *
 * app sets statuses; lib/grpc calls the handlers; all on the loop thread.
 */
#include "service/health.h"

#include "base/list.h"
#include "base/mem.h"
#include "engine/right.h"
#include "grpc/codec.h"
#include "grpc/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HEALTH_SERVICE_UNKNOWN = 3 }; /* on the wire only */

/* A service that was set by itself. */
struct health_override {
    struct list link;
    struct span service; /* of the method table */
    enum health_status status;
};

struct health {
    const struct grpc_server *server;
    struct grpc_method methods[2];
    enum health_status whole;    /* the server itself, "" */
    enum health_status services; /* each one that has no override */
    struct list overrides;
    struct list watchers;
    uint32_t n_watchers; /* those that on_done has not freed, listed or not */
    int is_shut_down;
    int has_pool, is_pool_failing;
};

struct watcher {
    struct list link;
    struct grpc_call *call;
    struct span service; /* of the method table; p = NULL: not known */
    int told;            /* 0 = nothing yet */
};

/* The service's part of "/service/method" when it is @name. */
static struct span service_of_method(const struct grpc_method *m, struct span name)
{
    const char *path = m->path + 1, *end = strchr(path, '/');
    struct span service = {(const uint8_t *)path, end ? (size_t)(end - path) : 0};

    return end && span_eq(service, name) ? service : (struct span){0};
}

/* @name as it stands in the method table; p = NULL when it is not there. */
static struct span service_find(const struct health *h, struct span name)
{
    const struct grpc_method *m = NULL;
    struct span service;

    if (!name.len)
        return SPAN_LIT("");
    if (h->has_pool && span_eq(name, SPAN_LIT(HEALTH_POOL)))
        return SPAN_LIT(HEALTH_POOL);
    while ((m = grpc_server_next_method(h->server, m))) {
        service = service_of_method(m, name);
        if (service.p)
            return service;
    }
    return (struct span){0};
}

static struct health_override *override_find(const struct health *h, struct span service)
{
    LIST_FOREACH (l, &h->overrides) {
        struct health_override *o = LIST_ENTRY(l, struct health_override, link);

        if (span_eq(o->service, service))
            return o;
    }
    return NULL;
}

/* The number for the wire. */
static int status_of(const struct health *h, struct span service)
{
    const struct health_override *o;

    if (!service.p)
        return HEALTH_SERVICE_UNKNOWN;
    if (!service.len)
        return (int)h->whole;
    if (h->is_pool_failing && span_eq(service, SPAN_LIT(HEALTH_POOL)))
        return HEALTH_NOT_SERVING;
    o = override_find(h, service);
    return (int)(o ? o->status : h->services);
}

static int send_status(struct grpc_call *call, int status)
{
    uint8_t message[WIRE_TAG_MAX + WIRE_VARINT_MAX];
    const uint8_t *end = wire_put_uint(message, 1, (uint64_t)status);

    return grpc_call_send(call, (struct span){message, (size_t)(end - message)});
}

struct request {
    struct span service;
};
static const struct codec_row request_rows[] = {CODEC_ROW(1, CODEC_STRING, struct request, service)};
static const struct codec_table request_table = {request_rows, ARRAY_LEN(request_rows)};

/* Read the request; false: the call was ended, because it is none. */
static int read_request(struct grpc_call *call, struct span message, struct request *ret)
{
    const char *field;
    int r;

    *ret = (struct request){0};
    r = codec_read(&request_table, message, ret, &field);
    if (r == 0)
        return 1;
    grpc_call_fail_code(call, GRPC_INVALID_ARGUMENT, "MALFORMED_MESSAGE", codec_error_text(r));
    return 0;
}

static void fail_no_memory(struct grpc_call *call)
{
    grpc_call_fail(call, status_set_no_memory(&(struct grpc_status){0}));
}

static void check_on_message(struct grpc_call *call, struct span message)
{
    struct health *h = grpc_call_context(call);
    struct request request;
    struct grpc_status st;
    struct span service;

    if (!read_request(call, message, &request))
        return;
    service = service_find(h, request.service);
    if (!service.p) {
        char name[STATUS_TEXT_MAX_BYTES];

        snprintf(name, sizeof name, "%.*s", (int)MIN(request.service.len, sizeof name),
                 (const char *)request.service.p);
        status_set(&st, GRPC_NOT_FOUND, "NO_SUCH_SERVICE", "no such service");
        grpc_call_fail(call, status_set_resource(&st, "grpc.health.v1.Service", name));
        return;
    }
    if (send_status(call, status_of(h, service)) < 0) {
        fail_no_memory(call);
        return;
    }
    grpc_call_finish(call);
}

/* Tell a watcher how things are, unless it knows or its client does not read. */
static void watcher_tell(const struct health *h, struct watcher *w)
{
    int status = status_of(h, w->service);

    if (status == w->told || !grpc_call_is_writable(w->call))
        return;
    if (send_status(w->call, status) < 0) {
        list_del(&w->link);
        fail_no_memory(w->call);
        return;
    }
    w->told = status;
}

static void watcher_end(const struct health *h, struct watcher *w)
{
    struct grpc_status st;

    watcher_tell(h, w);
    if (!list_is_linked(&w->link))
        return;
    list_del(&w->link);
    grpc_call_fail(w->call, status_set_retry(status_set(&st, GRPC_UNAVAILABLE, "STOPPING",
                                                        "the server is shutting down"),
                                             1000));
}

static void tell_all(struct health *h)
{
    LIST_FOREACH_SAFE (l, &h->watchers)
        watcher_tell(h, LIST_ENTRY(l, struct watcher, link));
}

static void watch_on_message(struct grpc_call *call, struct span message)
{
    struct health *h = grpc_call_context(call);
    struct watcher *w;
    struct request request;
    struct grpc_status st;

    if (!read_request(call, message, &request))
        return;
    if (h->n_watchers >= HEALTH_WATCHERS_MAX) {
        status_set(&st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", "too many watches of health are open");
        status_set_quota(&st, "health.watches", "the watches of health that may be open at once");
        grpc_call_fail(call, status_set_retry(&st, 1000));
        return;
    }
    w = mem_zalloc(sizeof *w);
    if (!w) {
        fail_no_memory(call);
        return;
    }
    w->call = call;
    w->service = service_find(h, request.service);
    list_push_back(&h->watchers, &w->link);
    h->n_watchers++;
    grpc_call_set_user(call, w);
    if (h->is_shut_down)
        watcher_end(h, w);
    else
        watcher_tell(h, w);
}

static void watch_on_writable(struct grpc_call *call)
{
    struct watcher *w = grpc_call_user(call);

    if (w && list_is_linked(&w->link))
        watcher_tell(grpc_call_context(call), w);
}

static void watch_on_done(struct grpc_call *call, enum grpc_end end)
{
    struct health *h = grpc_call_context(call);
    struct watcher *w = grpc_call_user(call);

    if (!w)
        return;
    list_del(&w->link);
    h->n_watchers--;
    mem_free(w);
}

static const struct grpc_handler check_handler = {.on_message = check_on_message};
static const struct grpc_handler watch_handler = {
        .on_message = watch_on_message, .on_writable = watch_on_writable, .on_done = watch_on_done};

int health_new(struct health **ret, const struct grpc_server *server)
{
    struct health *h = mem_zalloc(sizeof *h);

    if (!h)
        return -ENOMEM;
    h->server = server;
    h->whole = h->services = HEALTH_NOT_SERVING;
    list_init(&h->overrides);
    list_init(&h->watchers);
    h->methods[0] =
            (struct grpc_method){"/grpc.health.v1.Health/Check", GRPC_UNARY, &check_handler, h, RIGHT_NONE};
    h->methods[1] = (struct grpc_method){"/grpc.health.v1.Health/Watch", GRPC_SERVER_STREAM, &watch_handler,
                                         h, RIGHT_NONE};
    *ret = h;
    return 0;
}

static void overrides_clear(struct health *h)
{
    struct list *l;

    while ((l = list_pop_front(&h->overrides)))
        mem_free(LIST_ENTRY(l, struct health_override, link));
}

struct health *health_free(struct health *h)
{
    if (!h)
        return NULL;
    ASSERT(h->n_watchers == 0);
    overrides_clear(h);
    return mem_free(h);
}

const struct grpc_method *health_methods(const struct health *h, size_t *ret_n)
{
    *ret_n = ARRAY_LEN(h->methods);
    return h->methods;
}

void health_set_all(struct health *h, enum health_status status)
{
    if (h->is_shut_down)
        return;
    overrides_clear(h);
    h->whole = h->services = status;
    tell_all(h);
}

int health_set(struct health *h, const char *service, enum health_status status)
{
    struct span known = service_find(h, span_of_string(service));
    struct health_override *o;

    if (!known.p)
        return HEALTH_E_UNKNOWN;
    if (h->is_shut_down)
        return 0;
    if (!known.len) {
        h->whole = status;
    } else {
        o = override_find(h, known);
        if (!o) {
            o = mem_zalloc(sizeof *o);
            if (!o)
                return -ENOMEM;
            o->service = known;
            list_push_back(&h->overrides, &o->link);
        }
        o->status = status;
    }
    tell_all(h);
    return 0;
}

void health_set_pool(struct health *h, int is_failing)
{
    h->has_pool = 1;
    if (h->is_shut_down || h->is_pool_failing == is_failing)
        return;
    h->is_pool_failing = is_failing;
    tell_all(h);
}

void health_shutdown(struct health *h)
{
    health_set_all(h, HEALTH_NOT_SERVING);
    h->is_shut_down = 1;
    LIST_FOREACH_SAFE (l, &h->watchers)
        watcher_end(h, LIST_ENTRY(l, struct watcher, link));
}
