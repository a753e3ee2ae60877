// SPDX-License-Identifier: Apache-2.0
/*
 * What is read is what was durable when the read began; it may be older than what memory has had since. Nothing stale comes
 * into memory, because
 *  1. a read begins when every deletion said so far is durable, and is done again if one was said while it was under way;
 *  2. while a read is under way, nothing leaves memory that has changed since what was durable when it began
 *     (engine_keep_since);
 *  3. what is in memory is never replaced.
 * The reader answers in order, so the oldest read under way is the first of `reads`. A scan counts as under way until who
 * asked for it has been through what it found, which may be some turns later: what ends meanwhile is then found in memory.
 *
 * Many may wish for one ID: it is read once.
 */
#include "daemon/loader.h"

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/net/loop.h"
#include "daemon/persist.h"
#include "store/reader.h"

#include <errno.h>

enum { LOADER_READS_MAX = 1024, LOADER_RUNS_MAX = 10 };
#define SCAN_BYTES (UINT64_C(16) << 20)

/* One request of the reader. */
struct read {
    struct reader_request request;
    struct list link; /* in loader.reads, or in loader.waiting until the deletions are durable */
    uint64_t durable_seq, deleted_seq; /* as they were when it began */
    uint32_t n_runs;
    int is_scan;
};

/* One future, by its ID or by its key. */
struct get {
    struct read read;
    struct map_item by_id;
    struct id id;
    struct bytes *namespace, *key; /* NULL: by ID */
    struct list wishes;            /* of struct futures_wish.link */
};

struct scan {
    struct read read;
    struct match match;
    struct filter *filter;           /* match's, with a reference */
    struct buf group, namespace;     /* what the request borrows */
    struct futures_stretch *stretch; /* NULL: nobody wants it any more */
    int is_held;
    struct match_record records[FUTURES_STRETCH_MAX];
};

struct loader {
    struct engine *engine;
    struct reader *reader;
    struct loop_watch watch;
    struct map gets; /* of struct get.by_id */
    struct list reads, waiting;
    struct list held; /* scans that were answered and not forgotten, the oldest first */
    uint32_t n_reads; /* in all three */
};

static struct read *read_of(struct list *l)
{
    return LIST_ENTRY(l, struct read, link);
}

static void keep_what_changes(struct loader *l)
{
    struct list *read = list_first(&l->reads), *held = list_first(&l->held);
    uint64_t since = read ? read_of(read)->durable_seq : UINT64_MAX;

    engine_keep_since(l->engine, held ? MIN(since, read_of(held)->durable_seq) : since);
}

/* Hand @r to the reader, or let it wait. */
static int begin(struct loader *l, struct read *r)
{
    r->deleted_seq = engine_deleted_seq(l->engine);
    r->durable_seq = engine_durable_seq(l->engine);
    if (r->deleted_seq > r->durable_seq) {
        list_push_back(&l->waiting, &r->link);
        return 0;
    }
    if (reader_submit(l->reader, &r->request) != 0)
        return FUTURES_E_BUSY;
    list_push_back(&l->reads, &r->link);
    keep_what_changes(l);
    return 0;
}

static void get_free(struct loader *l, struct get *g)
{
    if (!g->key)
        map_remove(&l->gets, &g->by_id);
    bytes_unref(g->namespace);
    bytes_unref(g->key);
    store_items_free(&g->read.request.items);
    l->n_reads--;
    mem_free(g);
}

/* Tell all who wish for @g: it is there, unless @result says otherwise, or one of them has deleted it. Of a key they see for
 * themselves who holds it now. */
static void get_end(struct loader *l, struct get *g, int result)
{
    struct list *w;

    while ((w = list_pop_front(&g->wishes))) {
        struct futures_wish *wish = LIST_ENTRY(w, struct futures_wish, link);
        struct future *f = result ? NULL : engine_find_any(l->engine, &g->id);

        wish->on_loaded(wish, result || f || g->key ? result : FUTURES_E_NOT_FOUND, f);
    }
    get_free(l, g);
}

static int result_of(int r)
{
    switch (r) {
    case 0: return 0;
    case STORE_E_NOT_FOUND: return FUTURES_E_NOT_FOUND;
    case STORE_E_DATA_LOSS:
    case STORE_E_CORRUPT: return FUTURES_E_DATA_LOSS;
    case -ENOMEM: return -ENOMEM;
    default: return FUTURES_E_UNREADABLE;
    }
}

/* Into memory with @item, unless it is there or has expired. */
static int take_item(struct loader *l, struct store_item *item, struct future **ret)
{
    int r;

    *ret = engine_find_any(l->engine, &item->id);
    if (*ret)
        return 0;
    if (item->result != 0)
        return FUTURES_E_DATA_LOSS;
    if (!item->is_done) /* it has ended, and its retention too, before the disk knows of either */
        return FUTURES_E_NOT_FOUND;
    if (item->record.expire_time <= engine_wall(l->engine))
        return FUTURES_E_NOT_FOUND;
    r = persist_restore(l->engine, item, ret);
    return r > 0 ? FUTURES_E_FULL : r;
}

static void on_get(struct loader *l, struct get *g)
{
    struct future *f = g->key ? NULL : engine_find_any(l->engine, &g->id);
    struct list *first = list_first(&g->read.request.items);
    int r = result_of(g->read.request.result);

    if (f)
        r = 0;
    else if (r == 0)
        r = first ? take_item(l, LIST_ENTRY(first, struct store_item, link), &f) : FUTURES_E_NOT_FOUND;
    if (f)
        g->id = f->id;
    get_end(l, g, r);
}

static void scan_free(struct loader *l, struct scan *s)
{
    store_items_free(&s->read.request.items);
    filter_unref(s->filter);
    buf_deinit(&s->group);
    buf_deinit(&s->namespace);
    l->n_reads--;
    mem_free(s);
}

/* What nobody else keeps is not read again for the same search: it stays until the search has passed it. */
static void hold(struct loader *l, struct scan *s)
{
    s->is_held = 1;
    list_push_back(&l->held, &s->read.link);
    keep_what_changes(l);
}

/* Expired ones were passed over by the store; damaged ones too, that is said to who asks for one. */
static int find(struct loader *l, struct scan *s, struct store_item *item)
{
    struct futures_stretch *stretch = s->stretch;
    struct futures_found *found = &stretch->found[stretch->n];
    int r = 0;

    if (item->result != 0)
        return 0;
    s->records[stretch->n] = (struct match_record){&item->record, stretch->now};
    *found = (struct futures_found){.id = item->id, .subject = {match_get, &s->records[stretch->n]}};
    if (stretch->wants_futures) {
        r = take_item(l, item, &found->future);
        if (r == FUTURES_E_NOT_FOUND || r == FUTURES_E_DATA_LOSS)
            return 0;
        if (r == 0)
            engine_pin(l->engine, found->future);
    }
    stretch->n += r == 0;
    return r;
}

static void on_scan(struct loader *l, struct scan *s)
{
    struct futures_stretch *stretch = s->stretch;
    int r = result_of(s->read.request.result);

    if (!stretch) {
        scan_free(l, s);
        return;
    }
    LIST_FOREACH (it, &s->read.request.items)
        if (r == 0)
            r = find(l, s, LIST_ENTRY(it, struct store_item, link));
    if (r == 0) {
        stretch->last = s->read.request.scanned.last;
        stretch->is_end = s->read.request.scanned.is_end;
        stretch->cost = s->read.request.scanned.cost;
        hold(l, s);
    } else {
        stretch->handle = NULL;
        scan_free(l, s);
    }
    stretch->on_loaded(stretch, r);
}

static void fail(struct loader *l, struct read *r, int result)
{
    if (r->is_scan) {
        struct scan *s = CONTAINER_OF(r, struct scan, read);
        struct futures_stretch *stretch = s->stretch;

        if (stretch)
            stretch->handle = NULL;
        scan_free(l, s);
        if (stretch)
            stretch->on_loaded(stretch, result);
    } else {
        get_end(l, CONTAINER_OF(r, struct get, read), result);
    }
}

static void again(struct loader *l, struct read *r)
{
    int e = ++r->n_runs < LOADER_RUNS_MAX ? begin(l, r) : FUTURES_E_BUSY;

    if (e)
        fail(l, r, e);
}

static void on_read(void *arg, int what)
{
    struct loader *l = arg;
    struct list requests, *it;

    list_init(&requests);
    reader_take(l->reader, &requests);
    while ((it = list_pop_front(&requests))) {
        struct reader_request *request = LIST_ENTRY(it, struct reader_request, link);
        struct read *r = CONTAINER_OF(request, struct read, request);

        list_del(&r->link);
        if (r->deleted_seq != engine_deleted_seq(l->engine)) {
            store_items_free(&r->request.items);
            again(l, r);
        } else if (r->is_scan) {
            on_scan(l, CONTAINER_OF(r, struct scan, read));
        } else {
            on_get(l, CONTAINER_OF(r, struct get, read));
        }
    }
    keep_what_changes(l);
}

void loader_turn(struct loader *l)
{
    struct list *it;

    while ((it = list_first(&l->waiting)) && read_of(it)->deleted_seq <= engine_durable_seq(l->engine)) {
        struct read *r = read_of(it);
        int e;

        list_del(it);
        e = begin(l, r);
        if (e)
            fail(l, r, e);
    }
}

/* ---- the interface */

static int load(void *context, const struct id *id, struct futures_wish *wish)
{
    struct loader *l = context;
    struct map_item *it = map_find(&l->gets, (struct span){id->b, sizeof id->b});
    struct get *g;
    int r;

    if (it) {
        list_push_back(&CONTAINER_OF(it, struct get, by_id)->wishes, &wish->link);
        return 0;
    }
    if (l->n_reads >= LOADER_READS_MAX)
        return FUTURES_E_BUSY;
    g = mem_zalloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    g->id = *id;
    list_init(&g->wishes);
    list_init(&g->read.link);
    list_init(&g->read.request.items);
    g->read.request.kind = READER_GET;
    g->read.request.id = *id;
    g->read.request.want = STORE_WANT_ALL;
    if (map_insert(&l->gets, &g->by_id, (struct span){g->id.b, sizeof g->id.b}) != 0) {
        mem_free(g);
        return -ENOMEM;
    }
    l->n_reads++;
    r = begin(l, &g->read);
    if (r)
        get_free(l, g);
    else
        list_push_back(&g->wishes, &wish->link);
    return r;
}

/* Two who ask for one key read it twice: that is rare. */
static int load_key(void *context, struct span namespace, struct span key, struct futures_wish *wish)
{
    struct loader *l = context;
    struct get *g;
    int r;

    if (l->n_reads >= LOADER_READS_MAX)
        return FUTURES_E_BUSY;
    g = mem_zalloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    g->namespace = bytes_dup(namespace.p, namespace.len);
    g->key = bytes_dup(key.p, key.len);
    if (!g->namespace || !g->key) {
        bytes_unref(g->namespace);
        bytes_unref(g->key);
        mem_free(g);
        return -ENOMEM;
    }
    list_init(&g->wishes);
    list_init(&g->read.link);
    list_init(&g->read.request.items);
    g->read.request.kind = READER_GET_KEY;
    g->read.request.namespace = SPAN_OF_BYTES(g->namespace);
    g->read.request.key = SPAN_OF_BYTES(g->key);
    g->read.request.want = STORE_WANT_ALL;
    l->n_reads++;
    r = begin(l, &g->read);
    if (r)
        get_free(l, g);
    else
        list_push_back(&g->wishes, &wish->link);
    return r;
}

/* The request, with copies of what it borrows: it may be on its way for longer than who asks is there. */
static int scan_prepare(struct scan *s, const struct futures_stretch *stretch)
{
    s->filter = filter_ref(stretch->filter);
    if ((stretch->namespace.len &&
         buf_append(&s->namespace, stretch->namespace.p, stretch->namespace.len) < 0) ||
        (stretch->group.len && match_group_key(&s->group, stretch->namespace, stretch->group) < 0))
        return -ENOMEM;
    s->match = (struct match){
            .namespace = {buf_head(&s->namespace), buf_len(&s->namespace)},
            .filter = s->filter,
            .now = stretch->now,
            .needs_task = s->filter && filter_hints(s->filter).needs_task,
    };
    s->read.request.scan = (struct store_scan){
            .place = STORE_DONE,
            .key = stretch->key,
            .limit = stretch->limit,
            .limit_bytes = SCAN_BYTES,
            .desc = (uint8_t)(stretch->is_desc != 0),
            .want = (uint8_t)((stretch->wants_futures || stretch->wants_tasks ? STORE_WANT_TASK : 0) |
                              (stretch->wants_futures ? STORE_WANT_DATA | STORE_WANT_CHUNKS : 0)),
            .match = &s->match,
            .group = {buf_head(&s->group), buf_len(&s->group)},
            .max_cost = stretch->max_cost,
    };
    return 0;
}

static int load_stretch(void *context, struct futures_stretch *stretch)
{
    struct loader *l = context;
    struct scan *s;
    int r;

    ASSERT(stretch->limit >= 1 && stretch->limit <= FUTURES_STRETCH_MAX);
    if (l->n_reads >= LOADER_READS_MAX)
        return FUTURES_E_BUSY;
    s = mem_zalloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    s->stretch = stretch;
    s->read.is_scan = 1;
    list_init(&s->read.link);
    list_init(&s->read.request.items);
    s->read.request.kind = READER_SCAN;
    stretch->n = stretch->cost = 0;
    stretch->last = stretch->key;
    l->n_reads++;
    r = scan_prepare(s, stretch);
    if (r == 0)
        r = begin(l, &s->read);
    if (r) {
        scan_free(l, s);
        return r;
    }
    stretch->handle = s;
    return 0;
}

static void forget_stretch(void *context, struct futures_stretch *stretch)
{
    struct scan *s = TAKE_PTR(stretch->handle);
    struct loader *l = context;

    ASSERT(s->stretch == stretch);
    s->stretch = NULL;
    if (s->is_held) {
        list_del(&s->read.link);
        scan_free(l, s);
        keep_what_changes(l);
    } else {
        reader_cancel(l->reader, &s->read.request); /* it comes back all the same */
    }
}

struct futures_loader loader_interface(struct loader *l)
{
    return (struct futures_loader){
            .load = load,
            .load_key = load_key,
            .load_stretch = load_stretch,
            .forget_stretch = forget_stretch,
            .context = l,
    };
}

int loader_new(struct loader **ret, struct store *s, struct engine *e, struct loop *loop,
               const struct hash_seed *seed)
{
    struct loader *l = mem_zalloc(sizeof *l);
    int r;

    if (!l)
        return -ENOMEM;
    l->engine = e;
    list_init(&l->reads);
    list_init(&l->waiting);
    list_init(&l->held);
    map_init(&l->gets, seed);
    r = reader_start(&l->reader, s, LOADER_READS_MAX);
    if (r != 0) {
        mem_free(l);
        return r < 0 ? r : -EIO;
    }
    loop_watch_init(&l->watch, loop, reader_fd(l->reader), on_read, l);
    r = loop_watch_set(&l->watch, LOOP_READ);
    if (r < 0) {
        loader_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void drop(struct loader *l, struct read *r)
{
    if (r->is_scan)
        scan_free(l, CONTAINER_OF(r, struct scan, read));
    else
        get_free(l, CONTAINER_OF(r, struct get, read));
}

struct loader *loader_free(struct loader *l)
{
    struct list requests, *it;

    if (!l)
        return NULL;
    list_init(&requests);
    loop_watch_deinit(&l->watch);
    reader_stop(l->reader, &requests);
    while (list_pop_front(&requests))
        ;
    while ((it = list_pop_front(&l->reads)))
        drop(l, read_of(it));
    while ((it = list_pop_front(&l->waiting)))
        drop(l, read_of(it));
    while ((it = list_pop_front(&l->held)))
        drop(l, read_of(it));
    ASSERT(l->n_reads == 0);
    map_deinit(&l->gets);
    return mem_free(l);
}
