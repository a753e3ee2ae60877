// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A fake's SubmitStream that accepts: it answers in order, and knows a request ID again. Header only.
 *
 *     struct shop shop = SHOP_INIT;
 *     fake->user = &shop; fake->on_request = shop_accept;
 */
#include "grpc/writer.h"
#include "tests/unit/client/fake.h"

#include <futured/v1/futures.pb-c.h>

enum { SHOP_MANY = 1000 };

struct shop {
    char known[SHOP_MANY][64]; /* request IDs; the future of the first is number 0 */
    size_t n_known;
    char asked[SHOP_MANY][64]; /* as they came */
    size_t n_asked;
    size_t answers; /* how many are left to be sent; what is accepted after that is not answered */
    int is_full;    /* refuse what is new */
    enum { SHOP_OPEN, SHOP_TO_LOSE, SHOP_LOST } trouble;
};

#define SHOP_INIT           \
    {                       \
        .answers = SIZE_MAX \
    }

static inline size_t shop_id(size_t number, char id[static 40])
{
    return (size_t)snprintf(id, 40, "0198c2f0-1111-7000-8000-%012zu", number);
}

static inline void shop_accept(struct fake *fake, struct grpc_call *call, struct span message)
{
    Futured__V1__SubmitRequest *r = futured__v1__submit_request__unpack(NULL, message.len, message.p);
    struct shop *shop = fake->user;
    uint8_t future[64], reply[512], *to = reply;
    struct buf status = BUF_INIT;
    struct grpc_status st;
    size_t at = 0;
    int is_known;
    char id[40];

    assert_non_null(r);
    assert_true(shop->n_asked < SHOP_MANY && shop->n_known < SHOP_MANY);
    while (at < shop->n_known && strcmp(shop->known[at], r->request_id))
        at++;
    is_known = at < shop->n_known;
    if (!is_known && !shop->is_full)
        snprintf(shop->known[shop->n_known++], sizeof shop->known[0], "%s", r->request_id);
    snprintf(shop->asked[shop->n_asked++], sizeof shop->asked[0], "%s", r->request_id);
    if (at == shop->n_known) {
        if (status_encode(status_set(&st, GRPC_RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue is full"),
                          &status) == 0)
            to = wire_put_bytes(to, 2, buf_head(&status), buf_len(&status));
    } else {
        uint8_t *end = wire_put_bytes(future, 1, id, shop_id(at, id));

        to = wire_put_bytes(to, 1, future, (size_t)(end - future));
    }
    to = wire_put_bytes(to, 3, r->tag, strlen(r->tag));
    if (is_known)
        to = wire_put_uint(to, 4, 1);
    if (shop->answers) {
        shop->answers -= shop->answers != SIZE_MAX;
        fake_reply(call, reply, (size_t)(to - reply));
    }
    buf_deinit(&status);
    futured__v1__submit_request__free_unpacked(r, NULL);
}

/* shop_trouble: an on_idle: the connection is lost once (SHOP_TO_LOSE), and the next one has answers. */
static inline int shop_trouble(struct fake *fake)
{
    struct shop *shop = fake->user;

    if (shop->trouble == SHOP_TO_LOSE) {
        shop->trouble = SHOP_LOST;
        fake_hang_up(fake);
        return 1;
    }
    if (shop->trouble == SHOP_LOST &&
        (!fake->client->conn || futured_conn_state(fake->client->conn) == FUTURED_CONN_LOST)) {
        shop->trouble = SHOP_OPEN;
        shop->answers = SIZE_MAX;
        fake->client->conn = futured_conn_free(fake->client->conn);
        assert_int_equal(fake_connect(fake), 0);
        return 1;
    }
    return 0;
}
