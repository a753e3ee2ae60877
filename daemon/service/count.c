// SPDX-License-Identifier: Apache-2.0
/*
 * Count: how many futures a selector names, in all and by the values of one property, and how old the oldest is. What only the
 * store has is counted from its record; nothing is loaded for it.
 *
 * A count ends, with a token, at the search's budget or before the value that would be one too many; whoever goes on adds up.
 */
#include "base/map.h"
#include "base/mem.h"
#include "service/internal.h"
#include "service/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_GROUPS_MAX = 1000, COUNT_ROOM_BYTES = 1024 };
enum { COUNT_COUNT = 1, COUNT_GROUPS = 2, COUNT_OLDEST_AGE = 3, COUNT_NEXT_PAGE_TOKEN = 4 };
enum { GROUP_VALUE = 1, GROUP_COUNT = 2, GROUP_OLDEST_AGE = 3 };

struct count_group {
    struct map_item by_value;
    uint64_t n;
    wall_ns_t oldest;
    uint8_t value[];
};

struct counting {
    struct search search;
    struct search_selector selector;
    struct search_token token;
    struct grpc_call *call;
    struct bytes *label; /* of group_by "labels.KEY" */
    enum filter_field field;
    int has_groups;
    struct map map; /* of struct count_group.by_value */
    uint64_t n;
    uint64_t seq;       /* of the commit that what was counted waits for */
    size_t value_bytes; /* of all groups: the reply must have room for them */
    wall_ns_t oldest;
};

/* The value of group_by, "" where there is none. */
static struct span value_of(const struct counting *c, const struct filter_subject *s)
{
    struct filter_value v = {0};
    const char *text;

    if (!s->get(s->record, c->field, SPAN_OF_BYTES(c->label), 0, &v))
        return (struct span){0};
    if (filter_fields[c->field].kind != FILTER_ENUM)
        return v.text;
    text = filter_enum_text(c->field, v.number);
    return text ? span_of_string(text) : (struct span){0};
}

static int find_group(struct counting *c, struct span value, struct count_group **ret)
{
    struct map_item *it = map_find(&c->map, value);
    struct count_group *g;

    if (it) {
        *ret = CONTAINER_OF(it, struct count_group, by_value);
        return 0;
    }
    if (c->map.n == COUNT_GROUPS_MAX ||
        c->value_bytes + value.len + 64 > futures_room(c->search.service, COUNT_ROOM_BYTES))
        return c->map.n ? SEARCH_STOP : -ENOMEM;
    g = mem_zalloc(sizeof *g + value.len);
    if (!g)
        return -ENOMEM;
    if (value.len)
        memcpy(g->value, value.p, value.len);
    g->oldest = CLOCK_NEVER;
    if (map_insert(&c->map, &g->by_value, (struct span){g->value, value.len}) != 0) {
        mem_free(g);
        return -ENOMEM;
    }
    c->value_bytes += value.len + 64;
    *ret = g;
    return 0;
}

static int on_hit(struct search *s, const struct search_hit *hit)
{
    struct counting *c = s->user;
    struct count_group *g = NULL;
    struct filter_value submitted = {0};

    if (c->has_groups) {
        int r = find_group(c, value_of(c, &hit->subject), &g);

        if (r)
            return r;
    }
    (void)!hit->subject.get(hit->subject.record, FILTER_SUBMIT_TIME, (struct span){0}, 0, &submitted);
    c->n++;
    if (hit->future)
        c->seq = MAX(c->seq, engine_shown(s->service->engine, hit->future));
    c->oldest = MIN(c->oldest, submitted.number);
    if (g) {
        g->n++;
        g->oldest = MIN(g->oldest, submitted.number);
    }
    return SEARCH_GO_ON;
}

/* The largest first; of equal ones in the order of values. */
static int compare_groups(const void *a, const void *b)
{
    const struct count_group *x = *(struct count_group *const *)a, *y = *(struct count_group *const *)b;
    size_t n = MIN(x->by_value.key.len, y->by_value.key.len);
    int order;

    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    order = n ? memcmp(x->value, y->value, n) : 0;
    return order ? order
                 : (x->by_value.key.len > y->by_value.key.len) - (x->by_value.key.len < y->by_value.key.len);
}

static void put_age(struct writer *w, uint32_t field, wall_ns_t now, wall_ns_t oldest)
{
    writer_duration(w, field, MAX(now - oldest, INT64_C(0)));
}

static void put_group(struct counting *c, struct writer *w, const struct count_group *g)
{
    struct writer_mark m = writer_begin(w, COUNT_GROUPS, g->by_value.key.len + 32);

    writer_bytes(w, GROUP_VALUE, g->by_value.key);
    writer_uint(w, GROUP_COUNT, g->n);
    put_age(w, GROUP_OLDEST_AGE, engine_wall(c->search.service->engine), g->oldest);
    writer_end(w, m);
}

static int put_groups(struct counting *c, struct writer *w)
{
    struct count_group **sorted;
    uint32_t n = 0;

    if (!c->map.n)
        return 0;
    sorted = mem_alloc(c->map.n * sizeof(struct count_group *));
    if (!sorted)
        return -ENOMEM;
    MAP_FOREACH (it, &c->map)
        sorted[n++] = CONTAINER_OF(it, struct count_group, by_value);
    qsort(sorted, n, sizeof(struct count_group *), compare_groups);
    for (uint32_t i = 0; i < n; i++)
        put_group(c, w, sorted[i]);
    mem_free(sorted);
    return 0;
}

static void put_counts(struct counting *c)
{
    char token[SEARCH_TOKEN_LEN + 1];
    struct buf message = BUF_INIT;
    struct writer w = writer_to(&message);

    writer_uint(&w, COUNT_COUNT, c->n);
    if (put_groups(c, &w) < 0)
        w.failed = 1;
    if (c->n)
        put_age(&w, COUNT_OLDEST_AGE, engine_wall(c->search.service->engine), c->oldest);
    if (c->search.is_more) {
        c->token.key = c->search.key;
        search_token_write(&c->token, token);
        writer_text(&w, COUNT_NEXT_PAGE_TOKEN, token);
    }
    futures_send_beside(c->call, &w, &message, MAX(c->seq, engine_deleted_seq(c->search.service->engine)));
}

static struct counting *counting_free(struct counting *c)
{
    struct map_item *it;

    if (c) {
        while ((it = map_next(&c->map, NULL))) {
            map_remove(&c->map, it);
            mem_free(CONTAINER_OF(it, struct count_group, by_value));
        }
        map_deinit(&c->map);
        bytes_unref(c->label);
        search_drop(&c->search);
        search_selector_deinit(&c->selector);
    }
    return mem_free(c);
}

static void on_end(struct search *s, int result)
{
    struct counting *c = s->user;
    struct grpc_status st;

    grpc_call_set_user(c->call, NULL);
    if (result == 0)
        put_counts(c);
    else
        grpc_call_fail(c->call, preload_status(&st, result, NULL));
    counting_free(c);
}

static int read_group_by(struct counting *c, struct span text, struct grpc_status *st)
{
    static const enum filter_field fields[] = {FILTER_STATE,  FILTER_FUNCTION, FILTER_PENDING_REASON,
                                               FILTER_REASON, FILTER_WORKER,   FILTER_PRINCIPAL};
    struct span prefix = SPAN_LIT("labels.");

    c->has_groups = text.len > 0;
    if (text.len > prefix.len && memcmp(text.p, prefix.p, prefix.len) == 0) {
        c->field = FILTER_LABEL;
        c->search.wants_tasks = 1;
        c->label = bytes_dup(text.p + prefix.len, text.len - prefix.len);
        if (!c->label)
            convert_no_memory(st);
        return c->label ? 0 : REQUEST_E_BAD;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (span_eq(text, span_of_string(filter_fields[fields[i]].name))) {
            c->field = fields[i];
            return 0;
        }
    if (!c->has_groups)
        return 0;
    return request_bad_field(
            st, "group_by",
            "is none of state, function, pending_reason, reason, worker, principal and labels.KEY");
}

static int read_count(const struct count_request *request, struct counting *c, struct grpc_status *st)
{
    c->token = (struct search_token){
            .question = search_token_question(request->selector.data, request->group_by),
            .now = engine_wall(c->search.service->engine),
    };
    if (read_group_by(c, request->group_by, st) ||
        (request->page_token.len && search_token_read(request->page_token, &c->token, st)))
        return REQUEST_E_BAD;
    return search_selector_read(&request->selector, c->token.now, &c->selector, st);
}

static void do_count(struct grpc_call *call, struct span message)
{
    struct futures *service = futures_of(call);
    const struct caller *caller = caller_of(&service->callers, call);
    struct counting *c = caller ? mem_zalloc(sizeof *c) : NULL;
    struct count_request request = {0};
    struct grpc_status st;
    int e = request_read(&count_request_table, message, &request, &st);

    if (!c && e == 0) {
        convert_no_memory(&st);
        e = REQUEST_E_BAD;
    }
    if (e == 0) {
        c->search.service = service;
        map_init(&c->map, &service->seed);
        e = read_count(&request, c, &st);
    }
    if (e) {
        grpc_call_fail(call, &st);
        counting_free(c);
        return;
    }
    c->call = call;
    c->oldest = CLOCK_NEVER;
    c->search.scope = caller->scope;
    c->search.selector = &c->selector;
    c->search.now = c->token.now;
    c->search.key = c->token.key;
    c->search.budget = service->scan_limit;
    c->search.on_hit = on_hit;
    c->search.on_end = on_end;
    c->search.user = c;
    grpc_call_set_user(call, c);
    search_begin(&c->search);
}

static void on_count(struct grpc_call *call, struct span message)
{
    struct count_request request = {0};
    struct grpc_status st;

    if (request_read(&count_request_table, message, &request, &st))
        grpc_call_fail(call, &st);
    else
        preload(call, message, request.selector.data, SELECTOR_IDS, do_count);
}

static void on_count_done(struct grpc_call *call, enum grpc_end end)
{
    preload_drop(call);
    counting_free(grpc_call_user(call));
}

const struct grpc_handler count_handler = {.on_message = on_count, .on_done = on_count_done};
