// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The items of a map, one by one: words of the command line, or lines, NUL-ended texts or records of a table from a descriptor. What
 * is kept is one read and the item that has not ended yet, whatever the number of items.
 *
 *     r = items_next(&items, &item);        ITEMS_E_WAIT: when the descriptor can be read, items_read, and again
 */
#include "base/buf.h"
#include "client/futurectl/csv.h"

struct item {
    uint64_t seq;     /* the first is 1 */
    struct span text; /* a NUL stands behind it. Of a table: the record as it was read */
    size_t n_fields;  /* of a table: one a column */
    const struct span *fields;
};

enum items_kind { ITEMS_LINES, ITEMS_NULS, ITEMS_TABLE };

struct items {
    enum items_kind kind;
    int fd; /* < 0: words */
    char *const *words;
    size_t n_words, at_word;
    struct buf in;
    struct csv_scan scan;
    int is_end;        /* of the descriptor */
    uint64_t n;        /* items so far */
    uint64_t n_read;   /* bytes */
    struct item *head; /* of a table: its columns; NULL until it has been read */
    char error[160];   /* ITEMS_E_BAD */
};

void items_init_words(struct items *items, char *const *words, size_t n);
/* items_init_fd: from @fd, which stays the caller's. */
void items_init_fd(struct items *items, int fd, enum items_kind kind);
void items_deinit(struct items *items);

/* items_next: the next item, the caller's, for items_free.
 *   Return: 0; ITEMS_E_WAIT (no whole item is there: items_read); ITEMS_E_END; ITEMS_E_BAD (a record has not as many fields as the
 *   head: items->error; *ret is the caller's, and has none); -EFBIG (one is longer than any daemon takes); -ENOMEM. */
enum { ITEMS_E_WAIT = 1, ITEMS_E_END = 2, ITEMS_E_BAD = 3 };
MUST_CHECK int items_next(struct items *items, struct item **ret);

/* items_read: one read(2), which blocks where nothing is there. 0, -errno. */
MUST_CHECK int items_read(struct items *items);

/* items_total: how many there are in all; 0: not known yet. */
uint64_t items_total(const struct items *items);

struct item *items_free(struct item *item);
