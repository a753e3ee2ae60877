// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The reader thread: futures that are no longer in memory are read here, so that the loop never waits for the disk.
 * Requests go in, answers come out in the same order. Each request is one short read transaction; who wants more than
 * STORE_SCAN_MAX futures asks again behind the last key.
 */
#include "store/store.h"

struct reader;

enum reader_kind { READER_GET, READER_GET_KEY, READER_SCAN, READER_COUNTS };

/* A request, embedded by its owner, who leaves it alone until it comes back. */
struct reader_request {
    struct list link; /* the reader's, then the owner's again */
    enum reader_kind kind;
    struct id id;                 /* GET */
    struct span namespace, key;   /* GET_KEY; the owner keeps them */
    uint8_t want;                 /* GET, GET_KEY */
    struct store_scan scan;       /* SCAN; what it borrows stays until it comes back */
    struct store_scanned scanned; /* of it, when result is 0 */
    int is_cancelled; /* by reader_cancel: not done, result STORE_E_NOT_FOUND. Under the reader's lock */
    int result;       /* as of store_get, store_scan, store_counts */
    struct list
            items; /* GET, GET_KEY: one item when result is 0. SCAN: any number; the owner's: store_items_free */
    struct store_counts counts;
};

/* reader_start: a thread with a view of its own. @max_waiting: requests taken but not answered.
 *   Return: 0; STORE_E_*, -errno. Loop's thread, as all that follows. Before store_close: reader_stop. */
MUST_CHECK int reader_start(struct reader **ret, struct store *s, uint32_t max_waiting);

/* reader_submit: 0: @r comes back by reader_take; READER_E_FULL: it was not taken. */
enum reader_error { READER_E_FULL = 1 };
MUST_CHECK int reader_submit(struct reader *reader, struct reader_request *r);

/* reader_cancel: nobody wants the answer to @r any more; it still comes back. */
void reader_cancel(struct reader *reader, struct reader_request *r);

/* reader_fd: readable when there is something to take. reader_take: append what is answered to @requests. */
int reader_fd(const struct reader *reader);
void reader_take(struct reader *reader, struct list *requests);

/* reader_step: what the thread does next: one request. Only where thread_start starts no thread: the simulator drives the
 * reader with it. Whether there was one. */
int reader_step(struct reader *reader);

/* reader_stop: requests that wait come back unread, STORE_E_NOT_FOUND and is_cancelled, with all the answers in
 * @requests. Returns NULL. */
struct reader *reader_stop(struct reader *reader, struct list *requests);
