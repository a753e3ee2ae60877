// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that list, count, cancel and delete by filter and by group, a page at a time, while everything changes: the real walk
 * of service/search.c over memory and the disk, against a look at the whole model. What matched all the time is met exactly once,
 * nothing twice, and nothing that does not match.
 */
#include "base/mem.h"
#include "service/internal.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEARCH_TERMS = 3, SEARCH_PAGE = 8, SEARCH_SCAN = 20000 };

enum what { SEARCH_LIST, SEARCH_COUNT, SEARCH_CANCEL, SEARCH_DELETE };

struct term {
    int is_not, op; /* op: of ops */
    int64_t value;
    enum term_field {
        TERM_STATE,
        TERM_FUNCTION,
        TERM_GROUP,
        TERM_PRIORITY,
        TERM_ATTEMPTS,
        TERM_REASON,
        TERM_PENDING,
        TERM_PRINCIPAL,
        TERM_ID,
        TERM_LABEL,
        TERM_N,
    } field;
};

static const char *const ops[] = {"=", "!=", "<", ">", "<=", ">="};

/* Pages of one walk. */
struct world_search {
    struct world *world;
    int is_used, is_busy; /* a client is at it; a page is on its way */
    struct search search;
    struct search_selector selector;
    enum what what;
    int scope, group, is_or; /* group -1 = any */
    struct term terms[SEARCH_TERMS];
    uint32_t n_terms;
    uint64_t key; /* the next page begins behind it */
    wall_ns_t now;
    uint32_t page_size, n, n_pages;
    int page[SEARCH_PAGE], is_pinned[SEARCH_PAGE];
    uint8_t must[MODEL_FUTURES], seen[MODEL_FUTURES];
};

/* --- filters */

static const char *state_text(int64_t state)
{
    static const char *const texts[] = {"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"};

    return texts[state];
}

static int64_t state_of(const struct model_future *m)
{
    if (m->at < AT_RUNNING)
        return 0;
    return m->at == AT_RUNNING ? 1 : (int64_t)(2 + m->at - AT_SUCCEEDED);
}

static const char *pending_text(int64_t reason)
{
    static const char *const texts[] = {"READY",     "DELAYED", "BLOCKED", "BACKOFF",
                                        "NO_WORKER", "PAUSED",  "LIMITED"};

    return texts[reason - 1];
}

static int compare(int64_t a, int64_t b, int op)
{
    switch (op) {
    case 0: return a == b;
    case 1: return a != b;
    case 2: return a < b;
    case 3: return a > b;
    case 4: return a <= b;
    default: return a >= b;
    }
}

static int term_matches(const struct world *w, const struct term *t, const struct model_future *m)
{
    switch (t->field) {
    case TERM_STATE: return compare(state_of(m), t->value, t->op);
    case TERM_FUNCTION: return compare(m->function, t->value, t->op);
    case TERM_GROUP: return compare(m->group, t->value, t->op);
    case TERM_PRIORITY: return compare(m->priority, t->value, t->op);
    case TERM_ATTEMPTS: return compare(m->n_attempts, t->value, t->op);
    case TERM_REASON: return compare(model_is_terminal(m) ? (int64_t)m->reason : 0, t->value, t->op);
    case TERM_PENDING:
        return compare(m->at < AT_RUNNING ? (int64_t)check_pending_reason(w, m) : 0, t->value, t->op);
    case TERM_PRINCIPAL: return compare(m->scope % 2, t->value, t->op);
    case TERM_ID: return compare(id_compare(&m->id, &w->model.futures[t->value].id), 0, t->op);
    case TERM_LABEL: return m->label >= 0;
    case TERM_N: break;
    }
    ASSERT(0);
}

static int matches(const struct world_search *s, const struct model_future *m)
{
    int is = s->n_terms == 0 || !s->is_or;

    if (m->scope / 2 != s->scope / 2 || (s->group >= 0 && m->group != s->group))
        return 0;
    for (uint32_t k = 0; k < s->n_terms; k++) {
        int one = term_matches(s->world, &s->terms[k], m) != s->terms[k].is_not;

        is = s->is_or ? is || one : is && one;
    }
    return is;
}

static struct term make_term(struct world *w)
{
    static const int n_ops[] = {
            [TERM_STATE] = 2,    [TERM_FUNCTION] = 2, [TERM_GROUP] = 2,   [TERM_PRIORITY] = 6,
            [TERM_ATTEMPTS] = 6, [TERM_REASON] = 2,   [TERM_PENDING] = 2, [TERM_PRINCIPAL] = 2,
            [TERM_ID] = 6,       [TERM_LABEL] = 1};
    struct term t = {.is_not = world_random(w, 4) == 0, .field = (enum term_field)world_random(w, TERM_N)};

    t.op = (int)world_random(w, (uint64_t)n_ops[t.field]);
    switch (t.field) {
    case TERM_STATE: t.value = (int64_t)world_random(w, 5); break;
    case TERM_FUNCTION: t.value = (int64_t)world_random(w, MODEL_FUNCTIONS); break;
    case TERM_GROUP: t.value = (int64_t)world_random(w, WORLD_GROUPS + 1) - 1; break;
    case TERM_PRIORITY: t.value = (int64_t)world_random(w, 5) - 2; break;
    case TERM_ATTEMPTS: t.value = (int64_t)world_random(w, 3); break;
    case TERM_REASON: t.value = (int64_t)world_random(w, REASON_SHUTDOWN + 1); break;
    case TERM_PENDING: t.value = 1 + (int64_t)world_random(w, PENDING_LIMITED); break;
    case TERM_PRINCIPAL: t.value = (int64_t)world_random(w, 2); break;
    case TERM_ID: t.value = (int64_t)world_random(w, (uint64_t)w->model.n_futures); break;
    case TERM_LABEL:
    case TERM_N: break;
    }
    return t;
}

static int print_term(const struct world *w, const struct term *t, char *to, size_t size)
{
    const char *not = t->is_not ? "NOT " : "", *op = ops[t->op];
    struct span group;
    char id[ID_TEXT_LEN + 1];

    switch (t->field) {
    case TERM_STATE: return snprintf(to, size, "%sstate %s %s", not, op, state_text(t->value));
    case TERM_FUNCTION: return snprintf(to, size, "%sfunction %s function-%d", not, op, (int)t->value);
    case TERM_GROUP:
        group = world_group((int)t->value);
        return snprintf(to, size, "%sgroup %s \"%.*s\"", not, op, (int)group.len, (const char *)group.p);
    case TERM_PRIORITY: return snprintf(to, size, "%spriority %s %d", not, op, (int)t->value);
    case TERM_ATTEMPTS: return snprintf(to, size, "%sattempts %s %d", not, op, (int)t->value);
    case TERM_REASON:
        return snprintf(to, size, "%sreason %s \"%s\"", not, op,
                        future_reason_text((enum future_reason)t->value));
    case TERM_PENDING: return snprintf(to, size, "%spending_reason %s %s", not, op, pending_text(t->value));
    case TERM_PRINCIPAL: return snprintf(to, size, "%sprincipal %s %s", not, op, t->value ? "bob" : "alice");
    case TERM_ID:
        id_format(&w->model.futures[t->value].id, id);
        return snprintf(to, size, "%sid %s %s", not, op, id);
    case TERM_LABEL: return snprintf(to, size, "%shas n", not );
    case TERM_N: break;
    }
    ASSERT(0);
}

/* What the client says, as the service would read it. */
static void make_selector(struct world_search *s)
{
    struct world *w = s->world;
    char text[512] = "*";
    size_t n = 0;
    struct filter_problem problem;
    struct span group = s->group < 0 ? (struct span){0} : world_group(s->group);

    for (uint32_t k = 0; k < s->n_terms; k++) {
        if (k > 0)
            n += (size_t)snprintf(text + n, sizeof text - n, s->is_or ? " OR " : " AND ");
        n += (size_t)print_term(w, &s->terms[k], text + n, sizeof text - n);
        ASSERT(n < sizeof text);
    }
    s->selector = (struct search_selector){0};
    ASSERT(filter_parse(&s->selector.filter, span_of_string(text), s->now, &problem) == 0);
    s->selector.hints = filter_hints(s->selector.filter);
    if (!group.len)
        group = s->selector.hints.group;
    if (group.len)
        s->selector.group = bytes_dup(group.p, group.len);
    world_says(w, "somebody walks, %d, scope %d, group %.*s: %s", (int)s->what, s->scope, (int)group.len,
               (const char *)group.p, text);
}

/* --- what is met */

static void forget_page(struct world_search *s)
{
    for (uint32_t k = 0; k < s->n; k++)
        if (s->is_pinned[k])
            engine_unpin(s->world->e, world_future(s->world, s->page[k]));
    s->n = 0;
    searching_look(s->world);
}

static int index_of(const struct world *w, const struct id *id)
{
    int i = w->model.n_futures - 1;

    while (i >= 0 && memcmp(&w->model.futures[i].id, id, sizeof *id) != 0)
        i--;
    ASSERT(i >= 0);
    return i;
}

static void see(struct world_search *s, int i)
{
    ASSERT(!s->seen[i]); /* once */
    s->seen[i] = 1;
}

static int change(struct world_search *s, int i)
{
    struct world *w = s->world;
    struct model_future *m = &w->model.futures[i];

    if (world_refuses(w, m, 0))
        return 0;
    if (s->what == SEARCH_CANCEL)
        return model_is_terminal(m) ? 0 : clients_cancel(w, i);
    clients_delete(w, i);
    return 0;
}

static int on_hit(struct search *search, const struct search_hit *hit)
{
    struct world_search *s = search->user;
    struct world *w = s->world;
    int i = index_of(w, &hit->id);
    const struct model_future *m = &w->model.futures[i];

    searching_look(w);
    ASSERT(!hit->future == !model_is_here(m));
    ASSERT(matches(s, m));
    if (s->n == s->page_size)
        return SEARCH_STOP;
    s->is_pinned[s->n] = hit->future && s->what < SEARCH_CANCEL;
    if (s->is_pinned[s->n])
        engine_pin(w->e, hit->future);
    else if (hit->future && change(s, i) < 0)
        return -ENOMEM;
    world_note(w);
    s->page[s->n++] = i;
    searching_look(w);
    return SEARCH_GO_ON;
}

static void drop(struct world *w, struct world_search *s)
{
    if (!s->is_used)
        return;
    search_drop(&s->search);
    forget_page(s);
    search_selector_deinit(&s->selector);
    s->is_used = s->is_busy = 0;
    searching_look(w);
}

static void end(struct world_search *s)
{
    struct world *w = s->world;

    for (int i = 0; i < w->model.n_futures; i++)
        ASSERT(!s->must[i] || s->seen[i]);
    drop(w, s);
}

/* A page, or a part of it where not all fits into the reply; what does not match any more is left out. */
static void on_end(struct search *search, int result)
{
    struct world_search *s = search->user;
    struct world *w = s->world;
    uint32_t n = s->n;

    world_failed(w);
    searching_look(w);
    world_says(w, "  a page of %u: %d%s", s->n, result, search->is_more ? ", more" : "");
    s->is_busy = 0;
    if (result != 0) { /* and the client asks again */
        ASSERT(result == -ENOMEM || result == FUTURES_E_BUSY || result == FUTURES_E_FULL ||
               (result == FUTURES_E_UNREADABLE && !w->is_calm));
        forget_page(s);
        return;
    }
    if (n > 1 && s->what == SEARCH_LIST && world_random(w, 8) == 0)
        n = 1 + (uint32_t)world_random(w, n - 1);
    for (uint32_t k = 0; k < n; k++)
        if (!s->is_pinned[k] || matches(s, &w->model.futures[s->page[k]])) {
            ASSERT(s->is_pinned[k] == 0 || search_still_matches(search, world_future(w, s->page[k])));
            see(s, s->page[k]);
        }
    s->key = n < s->n ? id_key(&w->model.futures[s->page[n - 1]].id) : search->key;
    n = n < s->n || search->is_more;
    forget_page(s);
    if (!n)
        end(s);
}

/* --- walks */

static void begin(struct world *w, struct world_search *s)
{
    memset(s, 0, sizeof *s);
    s->world = w;
    s->is_used = 1;
    s->what = world_random(w, 3) ? (enum what)world_random(w, 2)
                                 : (enum what)(SEARCH_CANCEL + (int)world_random(w, 2));
    s->scope = (int)world_random(w, WORLD_SCOPES);
    s->group = world_random(w, 3) ? -1 : (int)world_random(w, WORLD_GROUPS);
    s->is_or = (int)world_random(w, 2);
    s->now = w->model.wall;
    s->page_size = 1 + (uint32_t)world_random(w, SEARCH_PAGE);
    if (w->model.n_futures > 0)
        s->n_terms = (uint32_t)world_random(w, SEARCH_TERMS + 1);
    for (uint32_t k = 0; k < s->n_terms; k++)
        s->terms[k] = make_term(w);
    make_selector(s);
    s->search.is_desc = s->what >= SEARCH_CANCEL || world_random(w, 2);
    s->key = s->search.is_desc ? UINT64_MAX : 0;
    memset(s->must, 1, sizeof s->must);
    for (int i = w->model.n_futures; i < MODEL_FUTURES; i++)
        s->must[i] = 0;
    searching_look(w);
}

static void next_page(struct world *w, struct world_search *s)
{
    int is_desc = s->search.is_desc;

    search_drop(&s->search);
    s->search = (struct search){
            .service = w->service,
            .scope = w->scopes[s->scope],
            .selector = &s->selector,
            .now = s->now,
            .key = s->key,
            .is_desc = is_desc,
            .wants_futures = s->what == SEARCH_LIST || s->what == SEARCH_DELETE,
            .budget = 1 + world_random(w, 40),
            .on_hit = on_hit,
            .on_end = on_end,
            .user = s,
    };
    s->is_busy = 1;
    s->n_pages++;
    w->service->search_left = world_random(w, 2) ? SEARCH_SCAN : (uint32_t)world_random(w, 20);
    world_fail(w);
    search_begin(&s->search);
    world_failed(w);
}

static void event_search(struct world *w)
{
    struct world_search *s = &w->searches[world_random(w, WORLD_SEARCHES)];

    if (s->is_used && (s->n_pages > 200 || world_random(w, 20) == 0)) {
        world_says(w, "somebody has seen enough");
        drop(w, s);
        return;
    }
    if (!s->is_used)
        begin(w, s);
    if (!s->is_busy)
        next_page(w, s);
}

void searching_begin(struct world *w)
{
    w->service->engine = w->e;
    w->service->has_store = w->has_store;
    w->service->loader = w->load;
    w->service->search_left = SEARCH_SCAN;
    list_init(&w->service->searches);
}

void searching_init(struct world *w)
{
    w->service = calloc(1, sizeof *w->service);
    w->searches = calloc(WORLD_SEARCHES, sizeof *w->searches);
    ASSERT(w->service && w->searches);
}

void searching_deinit(struct world *w)
{
    free(w->service);
    free(w->searches);
}

void searching_drop_all(struct world *w)
{
    for (int n = 0; n < WORLD_SEARCHES; n++)
        drop(w, &w->searches[n]);
}

void searching_tick(struct world *w)
{
    search_tick(w->service, w->machine.mono);
}

/* Whom searches keep, and have brought into memory. */
static void look_at_pins(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        w->model.futures[i].n_search_pins = 0;
    for (int n = 0; n < WORLD_SEARCHES; n++) {
        const struct world_search *s = &w->searches[n];

        for (uint32_t k = 0; s->is_used && k < s->n; k++)
            w->model.futures[s->page[k]].n_search_pins += (uint32_t)s->is_pinned[k];
        for (uint32_t k = 0; s->is_used && s->search.stretch && k < s->search.stretch->n; k++)
            if (s->search.stretch->found[k].future)
                w->model.futures[index_of(w, &s->search.stretch->found[k].id)].n_search_pins++;
    }
}

void searching_look(struct world *w)
{
    for (int i = 0; i < w->model.n_futures; i++)
        if (w->model.futures[i].is_out && world_find(w, i))
            finding_loaded(w, i);
    look_at_pins(w);
    for (int n = 0; n < WORLD_SEARCHES; n++) {
        struct world_search *s = &w->searches[n];

        for (int i = 0; s->is_used && i < w->model.n_futures; i++) {
            const struct model_future *m = &w->model.futures[i];

            if (s->must[i])
                s->must[i] = !m->is_gone && matches(s, m) &&
                             (!model_is_terminal(m) || m->expire_time > MAX(w->model.wall, s->now));
        }
    }
}

const struct world_event searching_events[] = {
        {"search", event_search, 0, 1, 0},
        {NULL, NULL, 0, 0, 0},
};
