// SPDX-License-Identifier: Apache-2.0
/*
 * List: futures in ID order, by pages. A page token holds the direction, the ID key to go on from and a hash of what was
 * asked, so a token of another question is refused. Between pages anything may happen: a future that matches
 * throughout has one place in ID order and is listed exactly once.
 *
 * With a store the finished futures that are not in memory are read first, as many as make a page, in stretches of ID order;
 * they are pinned until the page is written, which ends where the last stretch ended.
 *
 * Cost: a list of everything looks at what it shows; a group's list walks the ID order and stops after LIST_SCAN_MAX
 * futures with a token, so a page may be short or empty although more follow.
 */
#include "base/arena.h"
#include "base/mem.h"
#include "service/internal.h"
#include "service/preload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_PAGE_DEFAULT = 100,
    LIST_SCAN_MAX = LIMIT_SCAN,
    LIST_RESERVE_BYTES = 256,
    LIST_STRETCHES_MAX = 50
};
enum { LIST_FUTURES = 1, LIST_NEXT_PAGE_TOKEN = 2 };
enum { TOKEN_LEN = 2 + 16 + 16 };

struct listing {
    struct futures *service;
    const struct caller *caller;
    struct selector selector;
    struct span ids; /* the selector's bytes */
    enum view view;
    int is_desc;
    uint64_t key;      /* go on behind this one */
    uint32_t at;       /* of a list by IDs: how many of them are behind us */
    uint64_t question; /* hash of selector and order: ties a token to it */
    uint32_t page_size;
    int has_horizon;  /* beyond ... */
    uint64_t horizon; /* ... this key there may be more than what is in memory */
};

/* A List that reads from the store. */
struct list_call {
    struct futures_stretch stretch;
    struct listing listing;
    struct grpc_call *call;
    struct bytes *message; /* what listing borrows from */
    uint32_t n_stretches, n_pins;
    int is_loading;
    struct future *pins[]; /* room for page_size + FUTURES_STRETCH_MAX */
};

static uint64_t hash_question(const struct list_request *request)
{
    static const struct hash_seed fixed = {0}; /* a token must outlive the process; it keeps no secret */
    uint64_t a = hash_bytes(&fixed, request->selector.data.p, request->selector.data.len);

    return a ^ hash_bytes(&fixed, request->order_by.p, request->order_by.len) * 3;
}

static void format_token(const struct listing *l, char token[static TOKEN_LEN + 1])
{
    snprintf(token, TOKEN_LEN + 1, "1%c%016" PRIx64 "%016" PRIx64, l->is_desc ? 'd' : 'a', l->key,
             l->question);
}

static int read_hex(const uint8_t *p, uint64_t *ret)
{
    uint64_t v = 0;

    for (int i = 0; i < 16; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            v = v << 4 | (uint64_t)(p[i] - '0');
        else if (p[i] >= 'a' && p[i] <= 'f')
            v = v << 4 | (uint64_t)(p[i] - 'a' + 10);
        else
            return -1;
    }
    *ret = v;
    return 0;
}

static int read_token(struct span token, struct listing *l, struct grpc_status *st)
{
    uint64_t question;

    if (token.len != TOKEN_LEN || token.p[0] != '1' || token.p[1] != (l->is_desc ? 'd' : 'a') ||
        read_hex(token.p + 2, &l->key) < 0 || read_hex(token.p + 18, &question) < 0 ||
        question != l->question)
        return request_bad_field(st, "page_token",
                                 "is not one that this daemon gave for the same selector and order_by");
    return 0;
}

static int read_list(struct span message, struct listing *l, struct grpc_status *st)
{
    struct list_request request = {0};

    if (request_read(&list_request_table, message, &request, st) ||
        request_selector(&request.selector, &l->selector, st) ||
        request_view(request.view, VIEW_BASIC, "view", &l->view, st))
        return REQUEST_E_BAD;
    if (l->selector.filter.len && !span_eq(l->selector.filter, SPAN_LIT("*")))
        return request_unbuilt_field(st, "selector.filter");
    if (request.page_size > LIMIT_PAGE_SIZE)
        return request_bad_field(st, "page_size", "is %" PRIu64 "; at most %d are allowed", request.page_size,
                                 LIMIT_PAGE_SIZE);
    if (span_eq(request.order_by, SPAN_LIT("asc")))
        l->is_desc = 0;
    else if (request.order_by.len == 0 || span_eq(request.order_by, SPAN_LIT("desc")))
        l->is_desc = 1;
    else
        return request_bad_field(st, "order_by", "is neither \"asc\" nor \"desc\"");
    l->ids = request.selector.data;
    l->page_size = request.page_size ? (uint32_t)request.page_size : LIST_PAGE_DEFAULT;
    l->question = hash_question(&request);
    l->key = l->is_desc ? UINT64_MAX : 0;
    return request.page_token.len ? read_token(request.page_token, l, st) : 0;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* The future behind l->key in order, or NULL; *ret_more = the scan's budget is used up. */
static struct future *next_future(struct listing *l, uint32_t *budget)
{
    for (;;) {
        struct future *f =
                engine_next(l->service->engine, l->caller->scope, l->key, l->is_desc, budget, &l->key);

        if (l->has_horizon && (f || *budget > 0) &&
            (!f || (l->is_desc ? id_key(&f->id) < l->horizon : id_key(&f->id) > l->horizon))) {
            l->key = l->horizon;
            *budget = 0;
            return NULL;
        }
        if (!f || l->selector.group.len == 0 || span_eq(future_group(f), l->selector.group))
            return f;
    }
}

/* Among the selector's sorted IDs: the nearest behind l->key. */
static struct future *next_of_ids(struct listing *l, const struct id *ids, uint32_t n)
{
    for (; l->at < n; l->at++) {
        const struct id *id = &ids[l->is_desc ? n - 1 - l->at : l->at];
        struct future *f;

        if (l->is_desc ? id_key(id) >= l->key : id_key(id) <= l->key)
            continue;
        f = engine_find(l->service->engine, l->caller->scope, id);
        if (f) {
            l->key = id_key(id);
            return f;
        }
    }
    return NULL;
}

static int read_ids(const struct listing *l, struct arena *arena, struct id **ret, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(l->ids);
    struct span text;
    uint32_t n = 0;

    *ret = arena_alloc(arena, l->selector.ids * sizeof(struct id));
    if (!*ret) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    while (codec_each(&r, SELECTOR_IDS, &text))
        if (request_id(text, "selector.ids", &(*ret)[n++], st))
            return REQUEST_E_BAD;
    qsort(*ret, n, sizeof(struct id), compare_ids);
    return 0;
}

/* Whether there is no room even for BASIC: then the page ends before it, unless it would be empty. */
static int is_least(struct convert_view view)
{
    return view.view == VIEW_RESULT && view.omitted;
}

/* The page into @w's buffer. Returns the commit that it must wait for: that of what is on it, and of what was deleted. */
static uint64_t write_page(struct writer *w, struct listing *l, const struct id *ids)
{
    struct engine *e = l->service->engine;
    size_t room = futures_room(l->service, LIST_RESERVE_BYTES);
    uint64_t seq = engine_deleted_seq(e);
    uint32_t budget = LIST_SCAN_MAX, n = 0;
    char token[TOKEN_LEN + 1];
    struct future *f = NULL;
    int is_more = 0;

    for (;; n++) {
        size_t before_bytes = buf_len(w->out);
        uint64_t before = l->key;
        struct convert_view view;

        f = ids ? next_of_ids(l, ids, l->selector.ids) : next_future(l, &budget);
        if (!f)
            break;
        view = convert_fit(f, l->view, room);
        is_more = n == l->page_size || (n > 0 && is_least(view));
        if (is_more) {
            l->key = before;
            break;
        }
        convert_future_field(w, LIST_FUTURES, f, view);
        room -= MIN(room, buf_len(w->out) - before_bytes);
        seq = MAX(seq, engine_shown(e, f));
    }
    if (is_more || (!f && !ids && budget == 0)) {
        format_token(l, token);
        writer_text(w, LIST_NEXT_PAGE_TOKEN, token);
    }
    return seq;
}

/* What the page waits for is known when it is written, so it is written beside the call. */
static void put_page(struct grpc_call *call, struct listing *l, const struct id *ids)
{
    struct buf page = {0};
    struct writer w = writer_to(&page);
    uint64_t seq = write_page(&w, l, ids);

    if (w.failed)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    else if (futures_show_seq(call, seq) < 0)
        ; /* it has failed */
    else if (grpc_call_send(call, (struct span){buf_head(&page), buf_len(&page)}) < 0)
        grpc_call_fail(call, convert_no_memory(&(struct grpc_status){0}));
    else
        grpc_call_finish(call);
    buf_deinit(&page);
}

static struct list_call *list_call_free(struct list_call *lc)
{
    for (uint32_t i = 0; i < lc->n_pins; i++)
        engine_unpin(lc->listing.service->engine, lc->pins[i]);
    bytes_unref(lc->message);
    return mem_free(lc);
}

static void end_list_call(struct list_call *lc, int result)
{
    struct grpc_call *call = lc->call;
    struct grpc_status st;

    grpc_call_set_user(call, NULL);
    if (result == 0)
        put_page(call, &lc->listing, NULL);
    else
        grpc_call_fail(call, preload_status(&st, result, NULL));
    list_call_free(lc);
}

static void on_stretch(struct futures_stretch *stretch, int result)
{
    struct list_call *lc = CONTAINER_OF(stretch, struct list_call, stretch);
    const struct futures_loader *loader = &lc->listing.service->loader;

    lc->is_loading = 0;
    for (uint32_t i = 0; i < stretch->n_pins; i++)
        lc->pins[lc->n_pins++] = stretch->pins[i];
    lc->listing.horizon = stretch->last;
    lc->listing.has_horizon = !stretch->is_end;
    stretch->key = stretch->last;
    if (result == 0 && !stretch->is_end && lc->n_pins <= lc->listing.page_size &&
        ++lc->n_stretches < LIST_STRETCHES_MAX) {
        result = loader->load_stretch(loader->context, stretch);
        lc->is_loading = result == 0;
    }
    if (!lc->is_loading)
        end_list_call(lc, result);
}

/* @l is copied; it has been read from @message. */
static void list_with_store(struct grpc_call *call, const struct listing *l, struct span message)
{
    const struct futures_loader *loader = &l->service->loader;
    size_t n = (size_t)l->page_size + FUTURES_STRETCH_MAX;
    struct list_call *lc = mem_zalloc(sizeof *lc + n * sizeof(struct future *));
    struct grpc_status st;
    int r = lc ? 0 : -ENOMEM;

    if (r == 0 && !(lc->message = bytes_dup(message.p, message.len)))
        r = -ENOMEM;
    if (r == 0) {
        lc->call = call;
        r = read_list(SPAN_OF_BYTES(lc->message), &lc->listing, &st) ? -ENOMEM : 0; /* as it was */
        lc->listing.service = l->service;
        lc->listing.caller = l->caller;
        lc->stretch.namespace = SPAN_OF_BYTES(l->caller->scope->namespace);
        lc->stretch.group = lc->listing.selector.group;
        lc->stretch.key = lc->listing.key;
        lc->stretch.is_desc = lc->listing.is_desc;
        lc->stretch.on_loaded = on_stretch;
    }
    if (r == 0)
        r = loader->load_stretch(loader->context, &lc->stretch);
    if (r == 0) {
        lc->is_loading = 1;
        grpc_call_set_user(call, lc);
        return;
    }
    if (lc)
        list_call_free(lc);
    grpc_call_fail(call, preload_status(&st, r, NULL));
}

static void do_list(struct grpc_call *call, struct span message)
{
    struct listing l = {.service = futures_of(call)};
    struct arena arena;
    struct id *ids = NULL;
    struct grpc_status st;
    int e;

    arena_init(&arena, 0);
    e = read_list(message, &l, &st);
    if (e == 0 && l.selector.ids)
        e = read_ids(&l, &arena, &ids, &st);
    if (e == 0 && !(l.caller = caller_of(&l.service->callers, call))) {
        convert_no_memory(&st);
        e = REQUEST_E_BAD;
    }
    if (e)
        grpc_call_fail(call, &st);
    else if (!ids && l.service->has_store)
        list_with_store(call, &l, message);
    else
        put_page(call, &l, ids);
    arena_deinit(&arena);
}

static void on_list(struct grpc_call *call, struct span message)
{
    struct list_request request = {0};
    struct grpc_status st;

    if (request_read(&list_request_table, message, &request, &st))
        grpc_call_fail(call, &st);
    else
        preload(call, message, request.selector.data, SELECTOR_IDS, do_list);
}

static void on_list_done(struct grpc_call *call, enum grpc_end end)
{
    struct list_call *lc = grpc_call_user(call);

    preload_drop(call);
    if (!lc)
        return;
    if (lc->is_loading)
        lc->listing.service->loader.forget_stretch(lc->listing.service->loader.context, &lc->stretch);
    list_call_free(lc);
}

const struct grpc_handler list_handler = {.on_message = on_list, .on_done = on_list_done};
