// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/items.h"

#include "base/limit.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

void items_init_words(struct items *items, char *const *words, size_t n)
{
    *items = (struct items){.fd = -1, .words = words, .n_words = n, .is_end = 1};
}

void items_init_fd(struct items *items, int fd, enum items_kind kind)
{
    *items = (struct items){.fd = fd, .kind = kind};
}

void items_deinit(struct items *items)
{
    buf_deinit(&items->in);
    items->head = items_free(items->head);
}

struct item *items_free(struct item *item)
{
    return mem_free(item);
}

/* One piece of memory: the item, its fields, its text, the fields without quotes. */
static struct item *new_item(struct span text, size_t n_fields)
{
    size_t n = sizeof(struct item) + n_fields * sizeof(struct span);
    struct item *item = mem_alloc(n + text.len + 1 + (n_fields ? text.len : 0));
    struct span *fields;
    uint8_t *copy;

    if (!item)
        return NULL;
    fields = (struct span *)(void *)(item + 1);
    copy = (uint8_t *)item + n;
    if (text.len)
        memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    *item = (struct item){.text = {copy, text.len}, .n_fields = n_fields, .fields = fields};
    if (n_fields)
        csv_split(item->text, copy + text.len + 1, fields);
    return item;
}

static int give(struct items *items, struct span text, size_t n_fields, struct item **ret)
{
    struct item *item = new_item(text, n_fields);

    if (!item)
        return -ENOMEM;
    item->seq = ++items->n;
    *ret = item;
    return 0;
}

static struct span without_cr(struct span line)
{
    return line.len && line.p[line.len - 1] == '\r' ? (struct span){line.p, line.len - 1} : line;
}

/* Where the next item ends: 0, ITEMS_E_WAIT, ITEMS_E_END, -EFBIG. */
static int find_end(struct items *items, struct span *ret)
{
    const uint8_t *p = buf_head(&items->in);
    size_t n = buf_len(&items->in);
    const uint8_t *end;

    if (items->kind == ITEMS_TABLE) {
        if (csv_scan(&items->scan, p, n, &ret->len) == 0) {
            ret->p = p;
            return 0;
        }
    } else if (n > items->scan.n) {
        end = memchr(p + items->scan.n, items->kind == ITEMS_NULS ? '\0' : '\n', n - items->scan.n);
        if (end) {
            *ret = (struct span){p, (size_t)(end - p)};
            return 0;
        }
        items->scan.n = n;
    }
    if (n > LIMIT_MAX_MESSAGE_BYTES)
        return -EFBIG;
    if (!items->is_end)
        return ITEMS_E_WAIT;
    if (n == 0)
        return ITEMS_E_END;
    *ret = (struct span){p, n}; /* the last one has no end of its own */
    return 0;
}

/* The text before the end that was found, and the end, are over. */
static void consume(struct items *items, struct span text)
{
    buf_consume(&items->in, MIN(text.len + 1, buf_len(&items->in)));
    items->scan = (struct csv_scan){0};
}

static int take_head(struct items *items, struct span record)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf}; /* that spreadsheets put before UTF-8 */

    if (record.len >= sizeof mark && memcmp(record.p, mark, sizeof mark) == 0)
        record = (struct span){record.p + sizeof mark, record.len - sizeof mark};
    items->head = new_item(record, csv_count(record));
    return items->head ? 0 : -ENOMEM;
}

static int take_record(struct items *items, struct span record, struct item **ret)
{
    size_t n = csv_count(record);
    int r = give(items, record, n == items->head->n_fields ? n : 0, ret);

    if (r < 0 || n == items->head->n_fields)
        return r;
    snprintf(items->error, sizeof items->error, "it has %zu field%s, the head has %zu", n, n == 1 ? "" : "s",
             items->head->n_fields);
    return ITEMS_E_BAD;
}

static int next_of_table(struct items *items, struct item **ret)
{
    struct span text = {0}, record;
    int r;

    for (;;) {
        int is_item;

        r = find_end(items, &text);
        if (r)
            return r;
        record = without_cr(text);
        is_item = record.len && items->head; /* not the head, nor an empty line */
        if (record.len)
            r = is_item ? take_record(items, record, ret) : take_head(items, record);
        if (r < 0)
            return r;
        consume(items, text);
        if (is_item)
            return r;
    }
}

int items_next(struct items *items, struct item **ret)
{
    struct span text = {0};
    int r;

    if (items->fd < 0)
        return items->at_word < items->n_words
                       ? give(items, span_of_string(items->words[items->at_word++]), 0, ret)
                       : ITEMS_E_END;
    if (items->kind == ITEMS_TABLE)
        return next_of_table(items, ret);
    r = find_end(items, &text);
    if (r)
        return r;
    r = give(items, text, 0, ret);
    if (r == 0)
        consume(items, text);
    return r;
}

int items_read(struct items *items)
{
    ssize_t n;

    if (buf_reserve(&items->in, READ_BYTES) < 0)
        return -ENOMEM;
    n = read(items->fd, buf_tail(&items->in), READ_BYTES);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    buf_commit(&items->in, (size_t)n);
    items->n_read += (uint64_t)n;
    items->is_end = n == 0;
    return 0;
}

uint64_t items_total(const struct items *items)
{
    if (items->fd < 0)
        return items->n_words;
    return items->is_end && buf_len(&items->in) == 0 ? items->n : 0;
}
