// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A walk over the futures that a selector names, in the order of their IDs, memory and store as one: what List, Count, the
 * Many calls, Wait and Watch do with a selector. A future that matches throughout is met exactly once, also while it ends or
 * leaves memory.
 *
 * Embedded by its owner. Much work is spread over turns: search_tick goes on. Nothing is kept between calls of a client: who
 * asks again begins behind the key where this one has ended.
 */
#include "service/futures.h"
#include "service/request.h"

struct caller;

/* Which futures, parsed. Exactly one of ids, group and filter was given; a filter that needs a group has it in group too. */
struct search_selector {
    struct filter *filter; /* NULL = all of the group or of the IDs */
    struct bytes *group;   /* NULL = in any */
    struct id *ids;        /* sorted, each once; NULL = not by IDs */
    uint32_t n_ids;
    struct filter_hints hints;
};

/* search_selector_read: @message is the request's field `selector`; times are before @now.
 *   Owns:   the caller: search_selector_deinit, on failure too.
 *   Return: 0; REQUEST_E_BAD (@st says why). */
MUST_CHECK int search_selector_read(const struct codec_bytes *message, wall_ns_t now,
                                    struct search_selector *ret, struct grpc_status *st);
void search_selector_deinit(struct search_selector *s);

struct search_hit {
    struct id id;
    struct future *future; /* NULL: only the store has it, and futures were not wanted */
    struct filter_subject subject;
};

enum search_answer {
    SEARCH_GO_ON = 0,
    SEARCH_STOP = 100 /* this one was not taken; the walk ends before it */
};

struct search {
    struct list link; /* in futures.searches while it goes on by search_tick */
    struct futures *service;
    const struct scope *scope;
    const struct search_selector *selector; /* the owner's, for as long as the search */
    wall_ns_t now;
    uint64_t key;  /* goes on behind it; at the end: where who asks again goes on */
    uint64_t last; /* if is_bounded: no further than this key. Only upwards */
    int is_desc, is_bounded;
    int wants_futures, wants_tasks; /* as of struct futures_stretch */
    uint64_t budget;                /* of what it costs to look, in all */
    /* SEARCH_GO_ON, SEARCH_STOP, or < 0 or FUTURES_E_*, which ends the search so. May change the future, not free others. */
    int (*on_hit)(struct search *s, const struct search_hit *hit);
    /* 0; -ENOMEM; FUTURES_E_*: of the store. is_more: there may be more behind key. The owner may free it. */
    void (*on_end)(struct search *s, int result);
    int is_more;
    void *user;

    struct futures_stretch *stretch; /* the rest is search.c's */
    uint32_t at;                     /* of the stretch, or of the IDs */
    int has_begun, is_loading, has_stretch;
    uint32_t n_turns;
};

enum {
    SEARCH_TURN_COST = 5000, /* of one search in one turn */
};

/* search_begin: the public members are set, from `service` to `user`, and the rest is 0. on_end comes, perhaps before this returns. */
void search_begin(struct search *s);

/* search_drop: nobody wants it any more; on_end does not come. For one that is at its end, or was never begun, too. */
void search_drop(struct search *s);

/* search_still_matches: of one that was met in an earlier turn. */
MUST_CHECK int search_still_matches(const struct search *s, const struct future *f);

/* search_tick: the searches that go on; when to call it again. */
mono_ns_t search_tick(struct futures *service, mono_ns_t now);

/* Page tokens: where to go on, when the first page was asked for, and of which question, so that one of another is refused. */
enum { SEARCH_TOKEN_LEN = 2 + 3 * 16 };
struct search_token {
    uint64_t key, question;
    wall_ns_t now;
    int is_desc;
};
/* search_token_question: of the parts of a request that must stay the same. */
uint64_t search_token_question(struct span selector, struct span other);
void search_token_write(const struct search_token *t, char text[static SEARCH_TOKEN_LEN + 1]);
/* search_token_read: with @ret's question and is_desc as they must be. 0; REQUEST_E_BAD. */
MUST_CHECK int search_token_read(struct span text, struct search_token *ret, struct grpc_status *st);
