// SPDX-License-Identifier: Apache-2.0
/*
 * All of a request's futures that are in memory are pinned for as long as the others are being read, so that they are all
 * there together; PRELOAD_FLIGHT are asked for at a time. The pins go just before the request is run: nothing leaves memory
 * in between. Who holds a key is asked last: that nobody does is true only at the moment when it is found out.
 */
#include "service/preload.h"

#include "base/mem.h"
#include "service/internal.h"

#include <errno.h>
#include <string.h>

enum { PRELOAD_MAX = 1024, PRELOAD_FLIGHT = 32 };

struct preload;

struct wish {
    struct futures_wish wish;
    struct preload *preload; /* NULL: not in use */
    struct id id;
};

struct preload {
    struct list link;
    struct futures *service;
    struct grpc_call *call;
    void (*run)(struct grpc_call *call, struct span message);
    void (*fail)(struct grpc_call *call, struct span message, struct grpc_status *st);
    struct span namespace;
    struct bytes *key; /* still to be asked for; NULL = none */
    struct wish wishes[PRELOAD_FLIGHT];
    uint32_t n_flight;
    int result;      /* the first that went wrong, ... */
    struct id which; /* ... with this one */
    uint32_t n_ids, next;
    uint32_t n_pins;
    struct future **pins; /* room for n_ids */
    struct id *ids;       /* of those that are missing, from next on */
    struct bytes *message;
};

int preload_is_missing(const struct futures *s, const struct id *id)
{
    return s->has_store && id_key(id) <= engine_last_key(s->engine) && !engine_find_any(s->engine, id);
}

static struct preload *preload_free(struct preload *p)
{
    for (uint32_t i = 0; i < p->n_pins; i++)
        engine_unpin(p->service->engine, p->pins[i]);
    if (list_is_linked(&p->link)) {
        list_del(&p->link);
        p->service->n_preloads--;
    }
    mem_free(p->pins);
    mem_free(p->ids);
    bytes_unref(p->message);
    bytes_unref(p->key);
    return mem_free(p);
}

struct grpc_status *preload_status(struct grpc_status *st, int result, const struct id *id)
{
    char text[ID_TEXT_LEN + 1] = "";

    if (id)
        id_format(id, text);
    switch (result) {
    case FUTURES_E_DATA_LOSS:
        status_set(st, GRPC_DATA_LOSS, "DATA_LOSS", "what is stored of the future %s is damaged", text);
        return status_set_resource(st, "futured.v1.Future", text);
    case FUTURES_E_FULL: return convert_engine_error(st, ENGINE_E_FULL_MEMORY, (struct span){0});
    case FUTURES_E_BUSY:
        status_set(st, GRPC_UNAVAILABLE, "STORE_BUSY", "too much is being read from the store");
        return status_set_retry(st, 1000);
    case FUTURES_E_UNREADABLE:
        status_set(st, GRPC_UNAVAILABLE, "STORE_UNREADABLE", "the store cannot be read");
        return status_set_retry(st, 1000);
    default: return convert_no_memory(st);
    }
}

static void fail(struct grpc_call *call, int result, const struct id *id)
{
    struct grpc_status st;

    grpc_call_fail(call, preload_status(&st, result, id));
}

static void end(struct preload *p)
{
    void (*run)(struct grpc_call * call, struct span message) = p->run;
    void (*on_fail)(struct grpc_call *, struct span, struct grpc_status *) = p->fail;
    struct bytes *message = TAKE_PTR(p->message);
    struct grpc_call *call = p->call;
    struct grpc_status st;
    struct id which = p->which;
    int result = p->result;

    preload_free(p);
    if (result && on_fail)
        on_fail(call, SPAN_OF_BYTES(message), preload_status(&st, result, &which));
    else if (result)
        fail(call, result, &which);
    else
        run(call, SPAN_OF_BYTES(message));
    bytes_unref(message);
}

static void note(struct preload *p, int result, const struct id *id)
{
    if (result == 0 || result == FUTURES_E_NOT_FOUND || p->result)
        return;
    p->result = result;
    p->which = *id;
}

static void fill(struct preload *p);

static void on_loaded(struct futures_wish *wish, int result, struct future *f)
{
    struct wish *w = CONTAINER_OF(wish, struct wish, wish);
    struct preload *p = w->preload;

    w->preload = NULL;
    p->n_flight--;
    if (f) {
        engine_pin(p->service->engine, f);
        p->pins[p->n_pins++] = f;
    }
    note(p, result, &w->id);
    fill(p);
}

static struct wish *free_wish(struct preload *p)
{
    for (size_t i = 0; i < PRELOAD_FLIGHT; i++)
        if (!p->wishes[i].preload)
            return &p->wishes[i];
    return NULL;
}

static void ask_key(struct preload *p)
{
    const struct futures_loader *loader = &p->service->loader;
    struct bytes *key = TAKE_PTR(p->key);
    struct wish *w = &p->wishes[0];
    int r;

    w->preload = p;
    w->id = id_make(0, 0);
    w->wish.on_loaded = on_loaded;
    r = loader->load_key(loader->context, p->namespace, SPAN_OF_BYTES(key), &w->wish);
    bytes_unref(key);
    if (r == 0) {
        p->n_flight++;
        return;
    }
    w->preload = NULL;
    note(p, r, &w->id);
}

/* Ask for more; when nothing is left, run. */
static void fill(struct preload *p)
{
    const struct futures_loader *loader = &p->service->loader;

    while (!p->result && p->next < p->n_ids && p->n_flight < PRELOAD_FLIGHT) {
        const struct id *id = &p->ids[p->next++];
        struct wish *w = free_wish(p);
        int r;

        if (!preload_is_missing(p->service, id))
            continue; /* named twice, or loaded for another */
        w->preload = p;
        w->id = *id;
        w->wish.on_loaded = on_loaded;
        r = loader->load(loader->context, id, &w->wish);
        if (r == 0) {
            p->n_flight++;
            continue;
        }
        w->preload = NULL;
        note(p, r, id);
    }
    if (p->n_flight == 0 && p->key && !p->result)
        ask_key(p);
    if (p->n_flight == 0)
        end(p);
}

static void want(struct preload *p, const struct id *id)
{
    struct future *f = engine_find_any(p->service->engine, id);

    if (f) {
        engine_pin(p->service->engine, f);
        p->pins[p->n_pins++] = f;
    } else {
        p->ids[p->n_ids++] = *id;
    }
}

/* Every ID in @ids that can be one; those in memory are pinned. -ENOMEM. */
static int collect(struct preload *p, struct span ids, uint32_t field, uint32_t n)
{
    struct wire_reader r = wire_reader(ids);
    struct span text;

    p->ids = mem_alloc((n + 1) * sizeof *p->ids);
    p->pins = mem_alloc((n + 2) * sizeof(struct future *)); /* that of one more ID, and of a key */
    if (!p->ids || !p->pins)
        return -ENOMEM;
    while (field && codec_each(&r, field, &text)) {
        struct id id;

        if (id_parse((const char *)text.p, text.len, &id) == 0)
            want(p, &id);
    }
    return 0;
}

/* How many there are, and whether one of them is to be read. */
static int needs_reading(const struct futures *s, struct span ids, uint32_t field, uint32_t *ret_n)
{
    struct wire_reader r = wire_reader(ids);
    int needs = 0;
    struct span text;
    struct id id;

    *ret_n = 0;
    while (codec_each(&r, field, &text)) {
        ++*ret_n;
        needs |= id_parse((const char *)text.p, text.len, &id) == 0 && preload_is_missing(s, &id);
    }
    return needs;
}

void preload(struct grpc_call *call, struct span message, struct span ids, uint32_t field,
             void (*run)(struct grpc_call *call, struct span message))
{
    const struct preload_wants wants = {.ids = ids, .field = field, .run = run};
    const struct futures *s = futures_of(call);
    uint32_t n;

    if (s->has_store && needs_reading(s, ids, field, &n) && n <= LIMIT_SELECTOR_IDS)
        preload_all(call, message, &wants);
    else
        run(call, message);
}

static uint32_t count(struct span ids, uint32_t field)
{
    struct wire_reader r = wire_reader(ids);
    struct span text;
    uint32_t n = 0;

    while (field && codec_each(&r, field, &text))
        n++;
    return n;
}

static int make(struct preload *p, struct span message, const struct preload_wants *wants)
{
    p->message = bytes_dup(message.p, message.len);
    if (!p->message || collect(p, wants->ids, wants->field, count(wants->ids, wants->field)) < 0)
        return -ENOMEM;
    if (wants->id)
        want(p, wants->id);
    p->namespace = wants->namespace;
    return wants->key.len && !(p->key = bytes_dup(wants->key.p, wants->key.len)) ? -ENOMEM : 0;
}

static void refuse(struct grpc_call *call, struct span message, const struct preload_wants *wants, int result)
{
    struct grpc_status st;

    if (wants->fail)
        wants->fail(call, message, preload_status(&st, result, NULL));
    else
        fail(call, result, NULL);
}

void preload_all(struct grpc_call *call, struct span message, const struct preload_wants *wants)
{
    struct futures *s = futures_of(call);
    struct preload *p;

    if (s->n_preloads >= PRELOAD_MAX) {
        refuse(call, message, wants, FUTURES_E_BUSY);
        return;
    }
    p = mem_zalloc(sizeof *p);
    if (!p) {
        refuse(call, message, wants, -ENOMEM);
        return;
    }
    p->service = s;
    p->call = call;
    p->run = wants->run;
    p->fail = wants->fail;
    list_init(&p->link);
    list_push_back(&s->preloads, &p->link);
    s->n_preloads++;
    if (make(p, message, wants) < 0)
        p->result = -ENOMEM;
    fill(p);
}

void preload_drop(struct grpc_call *call)
{
    struct futures *s = futures_of(call);

    LIST_FOREACH_SAFE (l, &s->preloads) {
        struct preload *p = LIST_ENTRY(l, struct preload, link);

        if (p->call != call)
            continue;
        for (size_t i = 0; i < PRELOAD_FLIGHT; i++)
            if (p->wishes[i].preload)
                list_del(&p->wishes[i].wish.link);
        preload_free(p);
    }
}
