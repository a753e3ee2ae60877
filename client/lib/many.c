// SPDX-License-Identifier: Apache-2.0
/* The unary calls that answer many: wait, list; and the question whether the daemon is there. */
#include "client/lib/future.h"
#include "client/lib/retry.h"
#include "client/lib/selector.h"

#include <errno.h>
#include <string.h>

#include <futured/v1/futures.pb-c.h>
#include <grpc/health/v1/health.pb-c.h>

/* Field numbers of futured/v1/futures.proto. */
enum {
    WAIT_SELECTOR = 1,
    WAIT_RETURN_WHEN = 2,
    WAIT_COUNT = 3,
    WAIT_EXPECT = 4,
    WAIT_TIMEOUT = 5,
    WAIT_VIEW = 6,
    WAITED_DONE = 1,

    LIST_SELECTOR = 1,
    LIST_ORDER_BY = 2,
    LIST_PAGE_SIZE = 3,
    LIST_PAGE_TOKEN = 4,
    LIST_VIEW = 5,
    LISTED_FUTURES = 1,
};

/* --- wait */

struct waited_box {
    struct futured_box box;
    struct futured_waited waited;
};

struct wait {
    const struct futured_selector *selector;
    struct futured_wait_options options;
};

static void encode_wait(struct writer *w, const void *arg)
{
    const struct wait *wait = arg;

    futured_selector_write(wait->selector, w, WAIT_SELECTOR);
    writer_uint(w, WAIT_RETURN_WHEN, (uint64_t)wait->options.return_when);
    writer_uint(w, WAIT_COUNT, wait->options.count);
    writer_uint(w, WAIT_EXPECT, wait->options.expect);
    writer_uint(w, WAIT_VIEW, (uint64_t)wait->options.view);
}

static int decode_waited(struct span reply, void *ret)
{
    const Futured__V1__WaitResponse *from;
    ProtobufCMessage *message;
    struct futured_waited *to;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct waited_box), &futured__v1__wait_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    from = (const Futured__V1__WaitResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct waited_box, box)->waited;
    r = futured_box_wire(&box->arena, reply, &to->wire);
    if (r == 0)
        r = futured_future_list(&box->arena, from->done, from->n_done, to->wire, WAITED_DONE, &to->done);
    if (r) {
        futured_box_free(box);
        return r;
    }
    to->n_done = from->n_done;
    to->n_not_done = from->n_not_done;
    to->not_done = (const char *const *)from->not_done;
    to->n_missing = from->n_missing;
    to->missing = (const char *const *)from->missing;
    to->timed_out = from->timed_out;
    if (from->counts) {
        to->pending = from->counts->pending;
        to->running = from->counts->running;
        to->succeeded = from->counts->succeeded;
        to->failed = from->counts->failed;
        to->cancelled = from->counts->cancelled;
    }
    *(struct futured_waited **)ret = to;
    return 0;
}

int futured_wait(struct futured_client *client, const struct futured_selector *selector,
                 const struct futured_wait_options *options, struct futured_waited **ret)
{
    struct wait wait = {.selector = selector, .options = FUTURED_WAIT_OPTIONS_INIT};

    if (options) /* an older program's struct is shorter; what it does not have keeps its default */
        memcpy(&wait.options, options, MIN(options->size, sizeof wait.options));
    if (wait.options.timeout_ns < 0)
        return futured_call_unary(client, "/futured.v1.Futures/Wait", encode_wait, &wait, decode_waited, ret);
    return futured_call_timed(client, "/futured.v1.Futures/Wait", encode_wait, &wait, decode_waited, ret,
                              WAIT_TIMEOUT, wait.options.timeout_ns);
}

struct futured_waited *futured_waited_free(struct futured_waited *waited)
{
    if (waited)
        futured_box_free(&CONTAINER_OF(waited, struct waited_box, waited)->box);
    return NULL;
}

/* --- list */

struct page_box {
    struct futured_box box;
    struct futured_page page;
};

struct list_call {
    const struct futured_selector *selector;
    struct futured_list_options options;
};

static void encode_list(struct writer *w, const void *arg)
{
    const struct list_call *list = arg;

    futured_selector_write(list->selector, w, LIST_SELECTOR);
    if (list->options.ascending)
        writer_text(w, LIST_ORDER_BY, "asc");
    writer_uint(w, LIST_PAGE_SIZE, list->options.page_size);
    if (list->options.page_token)
        writer_text(w, LIST_PAGE_TOKEN, list->options.page_token);
    writer_uint(w, LIST_VIEW, (uint64_t)list->options.view);
}

static int decode_page(struct span reply, void *ret)
{
    const Futured__V1__ListResponse *from;
    ProtobufCMessage *message;
    struct futured_page *to;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct page_box), &futured__v1__list_response__descriptor, reply,
                            &message);

    if (r)
        return r;
    from = (const Futured__V1__ListResponse *)(const void *)message;
    to = &CONTAINER_OF(box, struct page_box, box)->page;
    r = futured_box_wire(&box->arena, reply, &to->wire);
    if (r == 0)
        r = futured_future_list(&box->arena, from->futures, from->n_futures, to->wire, LISTED_FUTURES,
                                &to->futures);
    if (r) {
        futured_box_free(box);
        return r;
    }
    to->n_futures = from->n_futures;
    to->next_page_token = from->next_page_token;
    *(struct futured_page **)ret = to;
    return 0;
}

int futured_list(struct futured_client *client, const struct futured_selector *selector,
                 const struct futured_list_options *options, struct futured_page **ret)
{
    struct list_call list = {.selector = selector, .options = FUTURED_LIST_OPTIONS_INIT};

    if (options)
        memcpy(&list.options, options, MIN(options->size, sizeof list.options));
    return futured_call_unary(client, "/futured.v1.Futures/List", encode_list, &list, decode_page, ret);
}

struct futured_page *futured_page_free(struct futured_page *page)
{
    if (page)
        futured_box_free(&CONTAINER_OF(page, struct page_box, page)->box);
    return NULL;
}

/* --- ping */

static void encode_check(struct writer *w, const void *arg)
{
    /* the empty service is the daemon as a whole */
}

static int decode_check(struct span reply, void *ret)
{
    struct wire_reader reader = wire_reader(reply);
    struct wire_field field;
    int r;

    while ((r = wire_next(&reader, &field)) == 0) {
        if (field.number == 1 && field.type == WIRE_VARINT)
            *(uint64_t *)ret = field.value;
    }
    return r == WIRE_E_END ? 0 : FUTURED_CALL_E_MALFORMED;
}

int futured_ping(struct futured_client *client)
{
    struct grpc_status status;
    uint64_t serving = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN;
    int code = futured_call_unary(client, "/grpc.health.v1.Health/Check", encode_check, NULL, decode_check,
                                  &serving);

    if (code || serving == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
        return code;
    status_set(&status, GRPC_UNAVAILABLE, "NOT_SERVING",
               "%s is there and takes no calls at present: it is starting or stopping", client->address.text);
    return futured_client_fail(client, &status, "");
}
