// SPDX-License-Identifier: Apache-2.0
/*
 * List: futures in ID order, by pages. What is found is pinned until the page is written, which is in the turn in which the search
 * ends: as the futures are then, without those that do not match any more. Between pages anything may happen: a future that
 * matches throughout has one place in ID order and is listed exactly once.
 *
 * A page may be short or empty although more follow: a search stops at its budget, a reply at its size.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "service/operations.h"
#include "service/preload.h"

#include <errno.h>
#include <inttypes.h>

enum { LIST_PAGE_DEFAULT = 100, LIST_RESERVE_BYTES = 256 };
enum { LIST_FUTURES = 1, LIST_NEXT_PAGE_TOKEN = 2 };

struct listing {
    struct search search;
    struct search_selector selector;
    struct search_token token; /* of this page; then of the next one */
    struct grpc_call *call;
    enum view view;
    uint32_t page_size, n;
    struct future *futures[]; /* pinned; room for page_size */
};

/* Whether there is no room even for BASIC: then the page ends before it, unless it would be empty. */
static int is_least(struct convert_view view)
{
    return view.view == VIEW_RESULT && view.omitted;
}

/* The futures that are found and still match, as far as there is room; how many of l->futures that were. *seq becomes that of the
 * commit that all of it waits for. */
static uint32_t put_futures(struct listing *l, struct writer *w, uint64_t *seq)
{
    struct engine *e = l->search.service->engine;
    size_t room = futures_room(l->search.service, LIST_RESERVE_BYTES);
    uint32_t i, n_put = 0;

    for (i = 0; i < l->n; i++) {
        struct future *f = l->futures[i];
        struct convert_view view = convert_fit(f, l->view, room);
        int is_operation = futures_is_operation(l->call);
        size_t before = buf_len(w->out);

        if (l->search.n_turns > 1 && !search_still_matches(&l->search, f))
            continue;
        if (n_put++ > 0 && (is_operation ? operations_size(f) > room : is_least(view)))
            break;
        if (is_operation)
            operations_put_field(w, LIST_FUTURES, f, room);
        else
            convert_future_field(w, LIST_FUTURES, f, view);
        room -= MIN(room, buf_len(w->out) - before);
        *seq = MAX(*seq, engine_shown(e, f));
    }
    return i;
}

/* What the page waits for is known when it is written, so it is written beside the call. */
static void put_page(struct listing *l)
{
    uint64_t seq = engine_deleted_seq(l->search.service->engine);
    char token[SEARCH_TOKEN_LEN + 1];
    struct buf page = BUF_INIT;
    struct writer w = writer_to(&page);
    uint32_t n = put_futures(l, &w, &seq);

    if (n < l->n || l->search.is_more) {
        l->token.key = n < l->n ? id_key(&l->futures[n - 1]->id) : l->search.key;
        search_token_write(&l->token, token);
        writer_text(&w, LIST_NEXT_PAGE_TOKEN, token);
    }
    futures_send_beside(l->call, &w, &page, seq);
}

static int on_hit(struct search *s, const struct search_hit *hit)
{
    struct listing *l = s->user;

    if (l->n == l->page_size)
        return SEARCH_STOP;
    engine_pin(s->service->engine, hit->future);
    l->futures[l->n++] = hit->future;
    return SEARCH_GO_ON;
}

static struct listing *listing_free(struct listing *l)
{
    if (l) {
        for (uint32_t i = 0; i < l->n; i++)
            engine_unpin(l->search.service->engine, l->futures[i]);
        search_drop(&l->search);
        search_selector_deinit(&l->selector);
    }
    return mem_free(l);
}

static void on_end(struct search *s, int result)
{
    struct listing *l = s->user;
    struct grpc_status st;

    grpc_call_set_user(l->call, NULL);
    if (result == 0)
        put_page(l);
    else
        grpc_call_fail(l->call, preload_status(&st, result, NULL));
    listing_free(l);
}

static int read_order(struct span order_by, int *ret_is_desc, struct grpc_status *st)
{
    *ret_is_desc = !span_eq(order_by, SPAN_LIT("asc"));
    if (*ret_is_desc && order_by.len && !span_eq(order_by, SPAN_LIT("desc")))
        return request_bad_field(st, "order_by", "is neither \"asc\" nor \"desc\"");
    return 0;
}

static int read_list(const struct list_request *request, struct listing *l, struct grpc_status *st)
{
    struct engine *e = l->search.service->engine;
    int is_desc;

    if (read_order(request->order_by, &is_desc, st))
        return REQUEST_E_BAD;
    l->token = (struct search_token){
            .key = is_desc ? UINT64_MAX : 0,
            .question = search_token_question(request->selector.data, request->order_by),
            .now = engine_wall(e),
            .is_desc = is_desc,
    };
    if (request_view(request->view, VIEW_BASIC, "view", &l->view, st) ||
        (request->page_token.len && search_token_read(request->page_token, &l->token, st)))
        return REQUEST_E_BAD;
    return search_selector_read(&request->selector, l->token.now, &l->selector, st);
}

void list_do(struct grpc_call *call, struct span message)
{
    struct futures *service = futures_of(call);
    const struct caller *caller = caller_of(&service->callers, call);
    struct list_request request = {0};
    struct listing *l = NULL;
    struct grpc_status st;
    uint32_t page_size;
    int e = request_read(&list_request_table, message, &request, &st);

    if (e == 0 && request.page_size > LIMIT_PAGE_SIZE)
        e = request_bad_field(&st, "page_size", "is %" PRIu64 "; at most %d are allowed", request.page_size,
                              LIMIT_PAGE_SIZE);
    page_size = request.page_size ? (uint32_t)MIN(request.page_size, (uint64_t)LIMIT_PAGE_SIZE)
                                  : LIST_PAGE_DEFAULT;
    if (e == 0 && (!caller || !(l = mem_zalloc(sizeof *l + page_size * sizeof(struct future *))))) {
        convert_no_memory(&st);
        e = REQUEST_E_BAD;
    }
    if (e == 0) {
        l->search.service = service;
        e = read_list(&request, l, &st);
    }
    if (e) {
        grpc_call_fail(call, &st);
        listing_free(l);
        return;
    }
    l->call = call;
    l->page_size = page_size;
    l->search.scope = caller->scope;
    l->search.selector = &l->selector;
    l->search.now = l->token.now;
    l->search.key = l->token.key;
    l->search.is_desc = l->token.is_desc;
    l->search.wants_futures = 1;
    l->search.budget = service->scan_limit;
    l->search.on_hit = on_hit;
    l->search.on_end = on_end;
    l->search.user = l;
    grpc_call_set_user(call, l);
    search_begin(&l->search);
}

static void on_list(struct grpc_call *call, struct span message)
{
    struct list_request request = {0};
    struct grpc_status st;

    if (request_read(&list_request_table, message, &request, &st))
        grpc_call_fail(call, &st);
    else
        preload(call, message, request.selector.data, SELECTOR_IDS, list_do);
}

void list_on_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
    listing_free(grpc_call_user(call));
}

const struct grpc_handler list_handler = {.on_message = on_list, .on_done = list_on_done};
