// SPDX-License-Identifier: Apache-2.0
#include "base/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include <sys/eventfd.h>

int mailbox_init(struct mailbox *box)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    box->event_fd = fd;
    list_init(&box->messages);
    ASSERT(pthread_mutex_init(&box->lock, NULL) == 0); /* cannot fail with default attributes on Linux */
    return 0;
}

void mailbox_deinit(struct mailbox *box)
{
    ASSERT(list_is_empty(&box->messages));
    pthread_mutex_destroy(&box->lock);
    err_close(&box->event_fd);
}

void mailbox_post(struct mailbox *box, struct list *message)
{
    uint64_t one = 1;
    int was_empty;

    ASSERT(pthread_mutex_lock(&box->lock) == 0);
    was_empty = list_is_empty(&box->messages);
    list_push_back(&box->messages, message);
    ASSERT(pthread_mutex_unlock(&box->lock) == 0);
    if (was_empty)
        ASSERT(write(box->event_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

void mailbox_take(struct mailbox *box, struct list *to)
{
    uint64_t count;
    ssize_t r;

    /* the wake-up is cleared first: a post that comes between the two wakes us once more for nothing, never
     * too little */
    r = read(box->event_fd, &count, sizeof count);
    ASSERT(r == (ssize_t)sizeof count || errno == EAGAIN);
    ASSERT(pthread_mutex_lock(&box->lock) == 0);
    list_splice_back(to, &box->messages);
    ASSERT(pthread_mutex_unlock(&box->lock) == 0);
}
