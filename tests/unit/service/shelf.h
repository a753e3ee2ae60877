// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The harness with a shelf that plays the store: who asks for a future waits until the test answers. */
#include "engine/restore.h"
#include "engine/state.h"
#include "service/preload.h"
#include "tests/unit/service/harness.h"

enum { SHELF = 600 };

/* The store: futures with the keys 1 .. n, and who asks for them. */
struct shelf {
    struct harness h;
    uint32_t n;                         /* on it */
    struct futures_wish *wishes[SHELF]; /* by key; NULL: not asked for */
    uint32_t n_asked, n_asked_ever, n_wishes_max;
    struct futures_wish *key_wish; /* who asks for a key */
    char key[16];
    struct futures_stretch *stretch;
    uint32_t n_stretches;
    int refuse; /* what load answers */
    enum future_state
            state; /* FUTURE_FAILED: in that all on it have ended, but retried_by and upstream; else SUCCEEDED */
    uint64_t retried, retried_by; /* keys; 0 = none */
    uint64_t upstream;            /* the key of what those that have failed depend on; 0 = nothing */
};

static inline struct id shelf_id(uint64_t key)
{
    return id_make(key, key * 77);
}

static inline struct harness_id shelf_text(uint64_t key)
{
    struct harness_id text;
    struct id id = shelf_id(key);

    id_format(&id, text.text);
    return text;
}

static inline int shelf_load(void *context, const struct id *id, struct futures_wish *wish)
{
    struct shelf *s = context;
    uint64_t key = id_key(id);

    if (s->refuse)
        return s->refuse;
    assert_true(key > 0 && key < SHELF && !s->wishes[key]);
    list_init(&wish->link);
    s->wishes[key] = wish;
    s->n_asked++;
    s->n_asked_ever++;
    s->n_wishes_max = MAX(s->n_wishes_max, s->n_asked);
    return 0;
}

static inline int shelf_load_key(void *context, struct span namespace, struct span key,
                                 struct futures_wish *wish)
{
    struct shelf *s = context;

    if (s->refuse)
        return s->refuse;
    assert_null(s->key_wish);
    assert_true(namespace.len == 0 && key.len < sizeof s->key);
    memset(s->key, 0, sizeof s->key);
    memcpy(s->key, key.p, key.len);
    list_init(&wish->link);
    s->key_wish = wish;
    return 0;
}

static inline int shelf_load_stretch(void *context, struct futures_stretch *stretch)
{
    struct shelf *s = context;

    assert_null(s->stretch);
    s->stretch = stretch;
    s->n_stretches++;
    stretch->handle = s->refuse ? NULL : s;
    stretch->n = 0;
    return s->refuse;
}

static inline void shelf_forget_stretch(void *context, struct futures_stretch *stretch)
{
    struct shelf *s = context;

    assert_ptr_equal(stretch->handle, s);
    assert_true(!s->stretch || s->stretch == stretch);
    stretch->handle = NULL;
    s->stretch = NULL;
}

static inline void shelf_init(struct shelf *s, uint32_t n)
{
    const struct futures_loader loader = {.load = shelf_load,
                                          .load_key = shelf_load_key,
                                          .load_stretch = shelf_load_stretch,
                                          .forget_stretch = shelf_forget_stretch,
                                          .context = s};

    memset(s, 0, sizeof *s);
    s->n = n;
    harness_init(&s->h, NULL);
    s->h.holds_back = 1;
    harness_submit(&s->h,
                   "task { function: 'echo' options { durability: 2 } }"); /* keys of the shelf are older */
    futures_keep(s->h.futures, &loader);
}

static inline struct future *shelf_restore(struct shelf *s, uint64_t key)
{
    int is_failed = s->state == FUTURE_FAILED && key != s->upstream && key != s->retried_by;
    struct restored in = {
            .key = s->key_wish ? span_of_string(s->key) : (struct span){0},
            .id = shelf_id(key),
            .state = is_failed ? FUTURE_FAILED : FUTURE_SUCCEEDED,
            .has_error = is_failed != 0,
            .error = {.reason = REASON_FUNCTION_ERROR},
            .on_lost = ON_LOST_RETRY,
            .revision = 1,
            .submit_time = s->h.wall,
            .retention_ns = -1,
            .function = SPAN_LIT("echo"),
            .end_time = s->h.wall,
            .expire_time = s->h.wall + 3600 * NS_PER_S,
            .data = is_failed ? NULL : bytes_dup("r", 1),
    };
    char task[6 + 4 + ID_TEXT_LEN + 1] = "\n\4echo\x32\x26\x4a\x24";
    struct future *f = NULL;

    memcpy(task + 10, shelf_text(s->upstream).text, ID_TEXT_LEN);
    in.task = bytes_dup(task, is_failed && s->upstream ? 10 + ID_TEXT_LEN : 6);
    if (s->retried && key == s->retried)
        in.retried_by = shelf_id(s->retried_by);
    if (s->retried && key == s->retried_by)
        in.retry_of = shelf_id(s->retried);
    assert_int_equal(engine_restore(s->h.engine, &in, &f), 0);
    bytes_unref(in.task);
    bytes_unref(in.data);
    return f;
}

/* Answer who asks for @key: 0: here it is. */
static inline void shelf_answer(struct shelf *s, uint64_t key, int result)
{
    struct futures_wish *wish = s->wishes[key];
    struct future *f = result ? NULL : shelf_restore(s, key);

    assert_non_null(wish);
    s->wishes[key] = NULL;
    s->n_asked--;
    wish->on_loaded(wish, result, f);
}

static inline void shelf_answer_all(struct shelf *s)
{
    while (s->n_asked)
        for (uint64_t key = 1; key < SHELF; key++)
            if (s->wishes[key])
                shelf_answer(s, key, key <= s->n ? 0 : FUTURES_E_NOT_FOUND);
    harness_settle(&s->h);
}

/* All commits so far are on disk. */
static inline void shelf_release(struct shelf *s)
{
    harness_settle(&s->h);
    grpc_server_release(s->h.server, engine_durable_seq(s->h.engine));
    harness_settle(&s->h);
}

/* Give the page's stretch the keys from @from to @to. */
static inline void shelf_answer_stretch(struct shelf *s, uint64_t from, uint64_t to, int is_end)
{
    struct futures_stretch *stretch = s->stretch;

    s->stretch = NULL;
    for (uint64_t key = from; !is_end && key <= to; key++) {
        struct id id = shelf_id(key);
        struct future *f = engine_find_any(s->h.engine, &id);

        f = f ? f : shelf_restore(s, key);
        engine_pin(s->h.engine, f);
        stretch->found[stretch->n++] = (struct futures_found){.id = id, .future = f};
        stretch->last = key;
    }
    stretch->is_end = is_end;
    stretch->on_loaded(stretch, 0);
    harness_settle(&s->h);
}
