// SPDX-License-Identifier: Apache-2.0
#include "service/waiting.h"

void waiting_init(struct waiting *w, struct list *all, enum waiter_mode mode, uint32_t wanted,
                  struct grpc_call *call, void (*on_news)(struct waiting *w))
{
    waiter_init(&w->waiter, mode, wanted, w);
    list_push_back(all, &w->link);
    w->call = call;
    w->on_news = on_news;
}

void waiting_deinit(struct waiting *w, struct engine *e)
{
    engine_waiter_drop(e, &w->waiter);
    list_del(&w->link);
}

void waiting_pace(struct waiting *w)
{
    grpc_call_pause(w->call, w->waiter.n_done >= LIMIT_STREAM_UNREAD_REPLIES ||
                                     grpc_call_pending(w->call) > LIMIT_STREAM_UNREAD_BYTES);
}
