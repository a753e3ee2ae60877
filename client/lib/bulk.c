// SPDX-License-Identifier: Apache-2.0
/* What is done to all that a selector names, a bounded number a call: count, cancel_many, retry_many, delete_many. */
#include "client/lib/decode.h"
#include "client/lib/retry.h"
#include "client/lib/selector.h"

#include <errno.h>
#include <string.h>

#include <futured/v1/futures.pb-c.h>

#define METHOD(name) "/futured.v1.Futures/" name

/* Field numbers of futured/v1/futures.proto. */
enum {
    COUNT_SELECTOR = 1,
    COUNT_GROUP_BY = 2,
    COUNT_PAGE_TOKEN = 3,

    MANY_SELECTOR = 1,
    MANY_DRY_RUN = 2,
    MANY_PAGE_TOKEN = 3,
    MANY_REASON = 4, /* CancelMany alone */
    MANY_GRACE = 5,
};

/* --- count */

struct count_box {
    struct futured_box box;
    struct futured_count count;
};

struct count_call {
    const struct futured_selector *selector;
    const char *group_by, *page_token;
};

static void encode_count(struct writer *w, const void *arg)
{
    const struct count_call *count = arg;

    futured_selector_write(count->selector, w, COUNT_SELECTOR);
    if (count->group_by)
        writer_text(w, COUNT_GROUP_BY, count->group_by);
    if (count->page_token)
        writer_text(w, COUNT_PAGE_TOKEN, count->page_token);
}

/* 0, -ENOMEM. */
static int fill_count(struct arena *arena, const Futured__V1__CountResponse *from, struct futured_count *to)
{
    struct futured_count_group *groups = futured_box_array(arena, from->n_groups, sizeof *groups);

    if (!groups)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_groups; i++)
        groups[i] = (struct futured_count_group){
                .value = from->groups[i]->value,
                .count = from->groups[i]->count,
                .oldest_age_ns = futured_box_span(from->groups[i]->oldest_age),
        };
    to->count = from->count;
    to->oldest_age_ns = futured_box_span(from->oldest_age);
    to->n_groups = from->n_groups;
    to->groups = groups;
    to->next_page_token = from->next_page_token;
    return 0;
}

static int decode_count(struct span reply, void *ret)
{
    ProtobufCMessage *message;
    struct futured_count *to;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct count_box), &futured__v1__count_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    to = &CONTAINER_OF(box, struct count_box, box)->count;
    r = fill_count(&box->arena, (const Futured__V1__CountResponse *)(const void *)message, to);
    if (r == 0)
        r = futured_box_wire(&box->arena, reply, &to->wire);
    if (r) {
        futured_box_free(box);
        return r;
    }
    *(struct futured_count **)ret = to;
    return 0;
}

int futured_count(struct futured_client *client, const struct futured_selector *selector,
                  const char *group_by, const char *page_token, struct futured_count **ret)
{
    const struct count_call count = {.selector = selector, .group_by = group_by, .page_token = page_token};

    return futured_call_unary(client, METHOD("Count"), encode_count, &count, decode_count, ret);
}

struct futured_count *futured_count_free(struct futured_count *count)
{
    if (count)
        futured_box_free(&CONTAINER_OF(count, struct count_box, count)->box);
    return NULL;
}

/* --- change */

struct many {
    const struct futured_selector *selector;
    struct futured_many_options options;
    int is_cancel; /* it has a reason and a grace */
};

static void encode_many(struct writer *w, const void *arg)
{
    const struct many *many = arg;
    const struct futured_many_options *o = &many->options;

    futured_selector_write(many->selector, w, MANY_SELECTOR);
    writer_uint(w, MANY_DRY_RUN, o->dry_run != 0);
    if (o->page_token)
        writer_text(w, MANY_PAGE_TOKEN, o->page_token);
    if (many->is_cancel && o->reason)
        writer_text(w, MANY_REASON, o->reason);
    if (many->is_cancel && o->grace_ns >= 0)
        writer_duration(w, MANY_GRACE, o->grace_ns);
}

struct changed_box {
    struct futured_box box;
    struct futured_changed changed;
};

/* The three answers have the same fields. */
_Static_assert(sizeof(Futured__V1__CancelManyResponse) == sizeof(Futured__V1__RetryManyResponse) &&
                       sizeof(Futured__V1__CancelManyResponse) == sizeof(Futured__V1__DeleteManyResponse),
               "read as one");

static int decode_changed(struct span reply, void *ret)
{
    const Futured__V1__CancelManyResponse *from;
    ProtobufCMessage *message;
    struct futured_changed *to;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct changed_box), &futured__v1__cancel_many_response__descriptor,
                            reply, &message);

    if (r)
        return r;
    from = (const Futured__V1__CancelManyResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct changed_box, box)->changed;
    *to = (struct futured_changed){
            .matched = from->matched, .changed = from->changed, .next_page_token = from->next_page_token};
    *(struct futured_changed **)ret = to;
    return 0;
}

static int change_many(struct futured_client *client, const char *path, const struct many *call,
                       const struct futured_many_options *options, struct futured_changed **ret)
{
    struct many many = *call;

    many.options = (struct futured_many_options)FUTURED_MANY_OPTIONS_INIT;
    if (options)
        memcpy(&many.options, options, MIN(options->size, sizeof many.options));
    return futured_call_once(client, path, encode_many, &many, decode_changed, ret);
}

int futured_cancel_many(struct futured_client *client, const struct futured_selector *selector,
                        const struct futured_many_options *options, struct futured_changed **ret)
{
    const struct many many = {.selector = selector, .is_cancel = 1};

    return change_many(client, METHOD("CancelMany"), &many, options, ret);
}

int futured_retry_many(struct futured_client *client, const struct futured_selector *selector,
                       const struct futured_many_options *options, struct futured_changed **ret)
{
    const struct many many = {.selector = selector};

    return change_many(client, METHOD("RetryMany"), &many, options, ret);
}

int futured_delete_many(struct futured_client *client, const struct futured_selector *selector,
                        const struct futured_many_options *options, struct futured_changed **ret)
{
    const struct many many = {.selector = selector};

    return change_many(client, METHOD("DeleteMany"), &many, options, ret);
}

struct futured_changed *futured_changed_free(struct futured_changed *changed)
{
    if (changed)
        futured_box_free(&CONTAINER_OF(changed, struct changed_box, changed)->box);
    return NULL;
}
