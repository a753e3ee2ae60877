// SPDX-License-Identifier: Apache-2.0
/*
 * Requests wait in a list under the lock; the thread does one at a time, and posts it back. A request that nobody
 * wants any more is passed over, so that a client who asks and leaves costs no reads.
 */
#include "store/reader.h"

#include "base/mailbox.h"
#include "base/mem.h"
#include "store/thread.h"

#include <errno.h>

struct reader {
    struct store_view *view; /* the thread's */
    struct mailbox done;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting; /* under lock, as what follows */
    uint32_t n_waiting, max_waiting;
    int is_stopping;
};

static void lock(struct reader *r)
{
    ASSERT(pthread_mutex_lock(&r->lock) == 0);
}

static void unlock(struct reader *r)
{
    ASSERT(pthread_mutex_unlock(&r->lock) == 0);
}

static int read_one(struct reader *reader, struct reader_request *r)
{
    struct store_item *item;
    int result;

    switch (r->kind) {
    case READER_GET:
    case READER_GET_KEY:
        result = r->kind == READER_GET ? store_get(reader->view, &r->id, r->want, &item)
                                       : store_get_key(reader->view, r->namespace, r->key, r->want, &item);
        if (result == 0)
            list_push_back(&r->items, &item->link);
        return result;
    case READER_SCAN:
        r->scan.ret = &r->scanned;
        result = store_scan(reader->view, &r->scan, &r->items);
        if (result != 0)
            store_items_free(&r->items);
        return result;
    case READER_COUNTS: break;
    }
    return store_counts(reader->view, &r->counts);
}

/* The next request, or NULL: none waits. Under lock. *ret_is_wanted: it is to be read. */
static struct reader_request *next(struct reader *reader, int *ret_is_wanted)
{
    struct list *l = list_pop_front(&reader->waiting);
    struct reader_request *r = l ? LIST_ENTRY(l, struct reader_request, link) : NULL;

    if (r) {
        r->is_cancelled |= reader->is_stopping;
        *ret_is_wanted = !r->is_cancelled;
    }
    return r;
}

static void answer(struct reader *reader, struct reader_request *r, int is_wanted)
{
    r->result = is_wanted ? read_one(reader, r) : STORE_E_NOT_FOUND;
    mailbox_post(&reader->done, &r->link);
}

int reader_step(struct reader *reader)
{
    struct reader_request *r;
    int is_wanted;

    lock(reader);
    r = next(reader, &is_wanted);
    unlock(reader);
    if (r)
        answer(reader, r, is_wanted);
    return r != NULL;
}

static void *run(void *arg)
{
    struct reader *reader = arg;
    struct reader_request *r;
    int is_wanted;

    for (;;) {
        lock(reader);
        while (list_is_empty(&reader->waiting) && !reader->is_stopping)
            ASSERT(pthread_cond_wait(&reader->work, &reader->lock) == 0);
        r = next(reader, &is_wanted);
        unlock(reader);
        if (!r)
            return NULL;
        answer(reader, r, is_wanted);
    }
}

static void destroy(struct reader *r)
{
    store_view_close(r->view);
    mailbox_deinit(&r->done);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

int reader_start(struct reader **ret, struct store *s, uint32_t max_waiting)
{
    struct reader *reader = mem_zalloc(sizeof *reader);
    int r;

    if (!reader)
        return -ENOMEM;
    r = mailbox_init(&reader->done);
    if (r < 0) {
        mem_free(reader);
        return r;
    }
    list_init(&reader->waiting);
    reader->max_waiting = max_waiting;
    ASSERT(pthread_mutex_init(&reader->lock, NULL) == 0); /* cannot fail with default attributes on Linux */
    thread_cond_init(&reader->work);
    r = store_view_open(s, &reader->view);
    if (r == 0)
        r = thread_start(&reader->thread, "reader", run, reader);
    if (r != 0) {
        destroy(reader);
        return r;
    }
    *ret = reader;
    return 0;
}

int reader_submit(struct reader *reader, struct reader_request *r)
{
    int is_full;

    list_init(&r->items);
    r->is_cancelled = 0;
    lock(reader);
    is_full = reader->n_waiting >= reader->max_waiting;
    if (!is_full) {
        reader->n_waiting++;
        list_push_back(&reader->waiting, &r->link);
        ASSERT(pthread_cond_signal(&reader->work) == 0);
    }
    unlock(reader);
    return is_full ? READER_E_FULL : 0;
}

void reader_cancel(struct reader *reader, struct reader_request *r)
{
    lock(reader);
    r->is_cancelled = 1;
    unlock(reader);
}

int reader_fd(const struct reader *reader)
{
    return mailbox_fd(&reader->done);
}

void reader_take(struct reader *reader, struct list *requests)
{
    struct list got;
    uint32_t n = 0;

    list_init(&got);
    mailbox_take(&reader->done, &got);
    LIST_FOREACH (l, &got)
        n++;
    lock(reader);
    reader->n_waiting -= n;
    unlock(reader);
    list_splice_back(requests, &got);
}

struct reader *reader_stop(struct reader *reader, struct list *requests)
{
    if (!reader)
        return NULL;
    lock(reader);
    reader->is_stopping = 1;
    ASSERT(pthread_cond_signal(&reader->work) == 0);
    unlock(reader);
    thread_join(reader->thread);
    reader_take(reader, requests);
    destroy(reader);
    return NULL;
}
