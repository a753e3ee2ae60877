// SPDX-License-Identifier: Apache-2.0
/*
 * Watch of a group or a filter: first the snapshots of what matches, by a search over memory and store; then, or already
 * beside it, the events of the engine's ring, each of a future that matches, or did before it. It runs on until the client
 * leaves.
 *
 * A feed is a place in the ring and nothing more: no list of futures, no queue. An event shows its future as it is now, so
 * that one whose future has a later event that will be shown is passed over. Who falls behind the ring is told `lost` and
 * begins anew; who does not read costs nothing meanwhile.
 *
 * What changes while the search is on its way is followed where the search has been; what lies ahead it will meet. So the
 * place in the ring moves on however long that takes. Events have no cursor until all snapshots are sent, which a keepalive
 * with the first cursor tells: who comes back with one has seen them all.
 *
 * The feeds have their turn FEED_GATHER_NS after something happened, and not before the same time after their last one: what
 * begins and ends in between is one event, and asks for one commit. What they may look at in a turn is bounded, for each and
 * in all. A future that left memory before its event was looked at is read from the store; one that was deleted is not shown.
 */
#include "base/mem.h"
#include "engine/filter.h"
#include "service/watcher.h"

#include <errno.h>
#include <inttypes.h>

#define FEED_GATHER_NS (10 * NS_PER_MS)

enum {
    FEED_COST = 5000,   /* of what one feed looks at in a turn ... */
    FEEDS_COST = 10000, /* ... and all of them; one event is 1, and what its filter costs ... */
    FEED_SHOW_COST = 10 /* ... and this where it is shown */
};
enum { KINDS_OF_REVISIONS = 1U << KIND_STATE | 1U << KIND_LABELS };

_Static_assert((int)KIND_STATE == (int)RING_STATE && (int)KIND_PROGRESS == (int)RING_PROGRESS &&
                       (int)KIND_LABELS == (int)RING_LABELS,
               "the same words");

struct feed {
    struct watcher w;
    struct list link; /* in futures.feeds */
    const struct scope *scope;
    struct search_selector selector;
    struct search search; /* for the snapshots */
    struct futures_wish wish;
    uint64_t n_lost;
    uint8_t is_counted;             /* in futures.n_feeds */
    uint8_t is_opening;             /* snapshots are still to be sent */
    uint8_t is_searching;           /* and looked for now */
    uint8_t is_loading;             /* the next event's future is read from the store */
    uint8_t is_stuck;               /* the client does not read */
    uint8_t owes_lost, owes_opened; /* that event is to be sent next; the keepalive that ends the snapshots */
};

static const struct ring *ring_of(const struct feed *feed)
{
    return engine_ring(feed->w.service->engine);
}

/* ---- snapshots */

/* Everything anew, from now. */
static void open_feed(struct feed *feed)
{
    struct futures *s = feed->w.service;

    search_drop(&feed->search);
    feed->w.position = ring_of(feed)->head;
    feed->w.has_cursor = 0;
    feed->is_opening = 1;
    feed->is_searching = feed->owes_opened = 0;
    feed->search.key = 0;
    feed->search.last = engine_last_key(s->engine);
    feed->search.now = engine_wall(s->engine);
}

static int on_hit(struct search *search, const struct search_hit *hit)
{
    struct feed *feed = search->user;

    if (!grpc_call_is_writable(feed->w.waiting.call))
        return SEARCH_STOP;
    watcher_put(&feed->w, EVENT_SNAPSHOT, hit->future, engine_wall(feed->w.service->engine));
    return feed->w.is_over ? -ENOMEM : SEARCH_GO_ON;
}

static void go(struct feed *feed, uint32_t *budget);

static void on_searched(struct search *search, int result)
{
    struct feed *feed = search->user;
    uint32_t budget = FEED_COST;
    struct grpc_status st;

    feed->is_searching = 0;
    if (result) {
        if (!feed->w.is_over)
            watcher_fail(&feed->w, preload_status(&st, result, NULL));
        return;
    }
    if (!search->is_more) {
        feed->is_opening = 0;
        feed->owes_opened = 1;
    }
    go(feed, &budget);
}

static void search_on(struct feed *feed)
{
    search_drop(&feed->search);
    feed->is_searching = 1;
    search_begin(&feed->search);
}

/* Whether the search will meet @f. A group's members that have come back from the store it meets only if they matched when it
 * read them there. */
static int is_ahead(const struct feed *feed, const struct future *f)
{
    uint64_t key = id_key(&f->id);

    return feed->is_opening && key > feed->search.key && key <= feed->search.last &&
           (!feed->selector.group || engine_filter_is_member(f));
}

/* ---- events */

/* Whether @f matches as it is, or as it was @before. */
static int matches(const struct feed *feed, const struct future *f, const struct ring_before *before,
                   uint32_t *budget)
{
    struct filter_future record = {
            .future = f, .now = engine_wall(feed->w.service->engine), .before = before};
    struct filter_subject subject = {engine_filter_get, &record};
    uint32_t cost = 0;
    int is;

    if (!feed->selector.filter)
        return span_eq(future_group(f), SPAN_OF_BYTES(feed->selector.group));
    is = filter_match(feed->selector.filter, &subject, &cost);
    *budget -= MIN(*budget, cost);
    return is;
}

/* Whether a later event will show @f as well. */
static int is_shown_later(const struct feed *feed, const struct future *f, const struct ring_event *event)
{
    if (f->revision == event->revision)
        return 0;
    return (feed->w.kinds & KINDS_OF_REVISIONS) == KINDS_OF_REVISIONS || feed->w.kinds >> f->last_event & 1;
}

static int has_left(const struct feed *feed, const struct future *f, uint64_t number, uint32_t *budget)
{
    struct ring_before before = ring_before(ring_of(feed), number, f, budget);

    return before.state && matches(feed, f, &before, budget);
}

/* Whether @event, of that number, is one of this feed. */
static int is_to_be_shown(const struct feed *feed, const struct future *f, const struct ring_event *event,
                          uint64_t number, uint32_t *budget)
{
    if (!scope_may_see(feed->scope, f->scope) || is_ahead(feed, f))
        return 0;
    if (matches(feed, f, NULL, budget))
        return !is_shown_later(feed, f, event);
    return feed->selector.filter && has_left(feed, f, number, budget);
}

/* What @f has last said of itself, if @event is when it said that. Who has left memory since has ended, and its record has it. */
static void show_progress(struct feed *feed, const struct ring_event *event, uint32_t *budget)
{
    struct future *f = engine_find_any(feed->w.service->engine, &event->id);
    const struct told_progress *p = f ? told_progress(f) : NULL;

    feed->w.position++;
    if (!p || p->n != event->revision || !scope_may_see(feed->scope, f->scope) || is_ahead(feed, f) ||
        !matches(feed, f, NULL, budget))
        return;
    *budget -= MIN(*budget, (uint32_t)FEED_SHOW_COST);
    watcher_put_progress(&feed->w, f, p);
}

static void on_loaded(struct futures_wish *wish, int result, struct future *f)
{
    struct feed *feed = CONTAINER_OF(wish, struct feed, wish);
    uint32_t budget = FEED_COST;
    struct grpc_status st;

    feed->is_loading = 0;
    if (result == FUTURES_E_NOT_FOUND)
        feed->w.position++; /* deleted, or expired */
    else if (result && !feed->w.is_over)
        watcher_fail(&feed->w, preload_status(&st, result, NULL));
    go(feed, &budget);
}

/* The next event's future is where only the store has it. */
static void load(struct feed *feed, const struct id *id, uint32_t *budget)
{
    const struct futures_loader *loader = &feed->w.service->loader;
    struct grpc_status st;
    int r;

    feed->wish.on_loaded = on_loaded;
    feed->is_loading = 1;
    r = loader->load(loader->context, id, &feed->wish);
    if (r == 0)
        return;
    feed->is_loading = 0;
    *budget = 0; /* busy: in the next turn */
    if (r < 0)
        watcher_fail(&feed->w, convert_no_memory(&st));
}

static void look(struct feed *feed, const struct ring_event *event, uint32_t *budget)
{
    struct futures *s = feed->w.service;
    struct future *f;

    --*budget;
    if (event->kind == RING_PROGRESS && feed->w.kinds >> RING_PROGRESS & 1) {
        show_progress(feed, event, budget);
        return;
    }
    f = feed->w.kinds >> event->kind & 1 ? engine_find_any(s->engine, &event->id) : NULL;
    if (!f && feed->w.kinds >> event->kind & 1 && event->durability == DURABILITY_DURABLE &&
        preload_is_missing(s, &event->id)) {
        load(feed, &event->id, budget);
        return;
    }
    feed->w.position++;
    if (!f || !is_to_be_shown(feed, f, event, feed->w.position, budget))
        return;
    *budget -= MIN(*budget, (uint32_t)FEED_SHOW_COST);
    watcher_put(&feed->w, event->kind == RING_LABELS ? EVENT_LABELS : EVENT_STATE, f, event->time);
}

/* What is to be said beside that of futures. 0: nothing. */
static int say(struct feed *feed)
{
    if (feed->w.position < ring_of(feed)->base) {
        feed->n_lost = ring_of(feed)->base - feed->w.position;
        open_feed(feed);
        feed->owes_lost = 1;
    }
    if (feed->owes_lost) {
        feed->owes_lost = 0;
        watcher_put_lost(&feed->w, feed->n_lost);
        return 1;
    }
    if (!feed->owes_opened)
        return 0;
    feed->owes_opened = 0;
    feed->w.has_cursor = 1;
    watcher_put_keepalive(&feed->w);
    return 1;
}

/* As far as the client reads. */
static void go(struct feed *feed, uint32_t *budget)
{
    const struct ring_event *event;

    while (!feed->w.is_over && !feed->is_loading && *budget > 0) {
        feed->is_stuck = !grpc_call_is_writable(feed->w.waiting.call);
        if (feed->is_stuck)
            return;
        if (say(feed))
            continue;
        event = ring_at(ring_of(feed), feed->w.position + 1);
        if (event) {
            look(feed, event, budget);
            continue;
        }
        if (feed->is_opening && !feed->is_searching)
            search_on(feed); /* which comes back here at its end */
        return;
    }
}

static void on_news(struct waiting *waiting)
{
    uint32_t budget = FEED_COST;

    go(CONTAINER_OF(waiting, struct feed, w.waiting), &budget);
}

static int is_behind(const struct feed *feed)
{
    int is_owing = feed->owes_lost || feed->owes_opened || (feed->is_opening && !feed->is_searching);

    return !feed->w.is_over && !feed->is_stuck && !feed->is_loading &&
           (is_owing || feed->w.position != ring_of(feed)->head);
}

static int is_any_behind(const struct futures *s)
{
    LIST_FOREACH (l, &s->feeds)
        if (is_behind(LIST_ENTRY(l, struct feed, link)))
            return 1;
    return 0;
}

mono_ns_t feed_tick(struct futures *s, mono_ns_t now)
{
    uint32_t left = FEEDS_COST;
    struct list turn, *l;

    if (!is_any_behind(s)) {
        s->feeds_at = CLOCK_NEVER;
        return CLOCK_NEVER;
    }
    if (s->feeds_at == CLOCK_NEVER)
        s->feeds_at = clock_add(now, FEED_GATHER_NS);
    if (s->feeds_at > now)
        return s->feeds_at;
    s->feeds_at = clock_add(now, FEED_GATHER_NS);
    list_init(&turn);
    list_splice_back(&turn, &s->feeds);
    while (left > 0 && (l = list_pop_front(&turn))) {
        uint32_t budget = MIN(left, (uint32_t)FEED_COST), before = budget;

        list_push_back(&s->feeds, l);
        go(LIST_ENTRY(l, struct feed, link), &budget);
        left -= before - budget;
    }
    list_splice_back(&turn, &s->feeds); /* who had no turn is first in the next one */
    list_splice_back(&s->feeds, &turn);
    return s->feeds_at;
}

/* ---- the call */

static void free_feed(struct watcher *w)
{
    struct feed *feed = CONTAINER_OF(w, struct feed, w);

    watcher_deinit(w);
    if (feed->is_loading)
        list_del(&feed->wish.link);
    search_drop(&feed->search);
    search_selector_deinit(&feed->selector);
    list_del(&feed->link);
    w->service->n_feeds -= feed->is_counted;
    mem_free(feed);
}

static struct feed *new_feed(struct grpc_call *call, enum view view, unsigned int kinds)
{
    struct feed *feed = mem_zalloc(sizeof *feed);
    struct futures *s = futures_of(call);

    if (!feed)
        return NULL;
    watcher_init(&feed->w, call, on_news, free_feed);
    feed->w.view = view;
    feed->w.kinds = kinds ? kinds : 1U << KIND_STATE | 1U << KIND_PROGRESS | 1U << KIND_LABELS;
    list_init(&feed->link);
    list_push_back(&s->feeds, &feed->link);
    feed->search.service = s;
    feed->search.selector = &feed->selector;
    feed->search.is_bounded = 1;
    feed->search.wants_futures = 1;
    feed->search.budget = UINT64_MAX;
    feed->search.on_hit = on_hit;
    feed->search.on_end = on_searched;
    feed->search.user = feed;
    return feed;
}

/* Where to begin. 0; REQUEST_E_BAD. */
static int begin(struct feed *feed, const struct codec_bytes *message, struct grpc_status *st)
{
    const struct ring *ring = ring_of(feed);
    struct cursor cursor = {0};

    if (request_read_in(&cursor_table, message->data, &cursor, "cursor", st))
        return REQUEST_E_BAD;
    if (message->is_set && cursor.epoch == ring->epoch && cursor.event > ring->head)
        return request_bad_field(st, "cursor.event", "%" PRIu64 " has not happened yet", cursor.event);
    if (message->is_set && cursor.epoch == ring->epoch && cursor.event >= ring->base) {
        feed->w.position = cursor.event;
        feed->w.has_cursor = 1;
        return 0;
    }
    open_feed(feed);
    feed->owes_lost = message->is_set != 0;
    feed->n_lost = cursor.epoch == ring->epoch ? ring->base - cursor.event : 0;
    return 0;
}

static int prepare(struct feed *feed, const struct watch_request *request, struct grpc_status *st)
{
    struct futures *s = feed->w.service;
    const struct caller *caller = caller_of(&s->callers, feed->w.waiting.call);

    if (search_selector_read(&request->selector, engine_wall(s->engine), &feed->selector, st))
        return REQUEST_E_BAD;
    if (!caller || engine_ring_keep(s->engine, s->watches.n_events) < 0) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    feed->scope = feed->search.scope = caller->scope;
    if (begin(feed, &request->cursor, st))
        return REQUEST_E_BAD;
    if (s->n_feeds >= s->watches.max_filter_watches) {
        status_set(st, GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES",
                   "there are %" PRIu32
                   " Watches of groups and filters, as many as [limits] filter_watches allows",
                   s->watches.max_filter_watches);
        status_set_quota(st, "limits.filter_watches", "Watches of groups and filters");
        status_set_retry(st, 1000);
        return REQUEST_E_BAD;
    }
    if (grpc_call_send_headers(feed->w.waiting.call) < 0) {
        convert_no_memory(st);
        return REQUEST_E_BAD;
    }
    feed->is_counted = 1;
    s->n_feeds++;
    return 0;
}

void feed_begin(struct grpc_call *call, const struct watch_request *request, enum view view,
                unsigned int kinds)
{
    struct feed *feed = new_feed(call, view, kinds);
    uint32_t budget = FEED_COST;
    struct grpc_status st;

    if (!feed)
        grpc_call_fail(call, convert_no_memory(&st));
    else if (prepare(feed, request, &st))
        watcher_fail(&feed->w, &st);
    else
        go(feed, &budget);
}
