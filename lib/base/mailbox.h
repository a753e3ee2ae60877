// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Messages from other threads to one that sleeps in a loop: a mutex, an intrusive list and an eventfd. The
 * owner polls mailbox_fd for reading and takes everything at once; a sender wakes it only when the box was
 * empty. A message is any object that embeds a list link; it belongs to the sender until posted, to the owner
 * after.
 */
#include "base/list.h"

#include <pthread.h>

struct mailbox {
    pthread_mutex_t lock;
    struct list messages; /* under lock */
    int event_fd;
};

/* mailbox_init: 0, -errno (nothing to deinit).
 * mailbox_deinit: the box must be empty and its senders' threads joined: the last one to post may still be
 * about to write to the fd when its message has already been taken. */
MUST_CHECK int mailbox_init(struct mailbox *box);
void mailbox_deinit(struct mailbox *box);

/* mailbox_post: append @message, wake the owner if the box was empty. Any thread; never fails, holds the
 * lock for a few stores only. */
void mailbox_post(struct mailbox *box, struct list *message);

/* mailbox_take: move all messages, oldest first, to the end of @to and clear the wake-up. Owner's thread. */
void mailbox_take(struct mailbox *box, struct list *to);

static inline int mailbox_fd(const struct mailbox *box)
{
    return box->event_fd;
}
