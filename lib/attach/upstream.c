// SPDX-License-Identifier: Apache-2.0
#include "attach/upstream.h"

#include "base/mem.h"

#include <errno.h>

struct upstream_message {
    struct span id;
    struct codec_bytes result, error;
    uint64_t chunked;
};
static const struct codec_row upstream_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct upstream_message, id),
        CODEC_ROW(2, CODEC_MESSAGE, struct upstream_message, result),
        CODEC_ROW(3, CODEC_MESSAGE, struct upstream_message, error),
        CODEC_ROW(4, CODEC_UINT, struct upstream_message, chunked),
};
static const struct codec_table upstream_table = {upstream_rows, ARRAY_LEN(upstream_rows)};

int upstream_part_find(struct span pieces, const struct upstream_part *parts, uint32_t n_parts, uint32_t part,
                       struct span *ret)
{
    for (uint32_t i = 0; i < n_parts; i++) {
        size_t end = i + 1 < n_parts ? parts[i + 1].at : pieces.len;

        if (parts[i].part == part) {
            *ret = (struct span){pieces.p + parts[i].at, end - parts[i].at};
            return 0;
        }
    }
    return UPSTREAM_E_MALFORMED;
}

static int read_result(struct span message, struct upstream *u, uint64_t *ret_size)
{
    struct result_message m = {0};
    const char *field;

    if (codec_read(&result_table, message, &m, &field) != 0)
        return UPSTREAM_E_MALFORMED;
    u->is_result = 1;
    u->data = m.data.data;
    u->content_type = m.content_type;
    *ret_size = m.size_bytes;
    return 0;
}

static int read_one(struct span message, struct upstream *u, uint64_t *ret_ahead_bytes)
{
    struct upstream_message m = {0};
    uint64_t size = 0;
    const char *field;

    if (codec_read(&upstream_table, message, &m, &field) != 0 || m.result.is_set == m.error.is_set)
        return UPSTREAM_E_MALFORMED;
    u->id = m.id;
    if (m.error.is_set)
        return codec_read(&error_table, m.error.data, &u->error, &field) == 0 && !m.chunked
                       ? 0
                       : UPSTREAM_E_MALFORMED;
    if (read_result(m.result.data, u, &size) != 0)
        return UPSTREAM_E_MALFORMED;
    *ret_ahead_bytes = m.chunked ? size : UINT64_MAX;
    return 0;
}

int upstream_read(struct span assignment, uint32_t number, uint32_t n, struct span pieces,
                  const struct upstream_part *parts, uint32_t n_parts, struct upstream_list **ret)
{
    struct upstream_list *list = mem_zalloc(sizeof *list + n * sizeof list->at[0]);
    struct wire_reader r = wire_reader(assignment);
    struct span message;
    int e = 0;

    if (!list)
        return -ENOMEM;
    while (e == 0 && list->n < n && codec_each(&r, number, &message)) {
        struct upstream *u = &list->at[list->n++];
        uint64_t ahead = UINT64_MAX;

        e = read_one(message, u, &ahead);
        if (e == 0 && ahead != UINT64_MAX)
            e = upstream_part_find(pieces, parts, n_parts, list->n, &u->data);
        if (e == 0 && ahead != UINT64_MAX && ahead != u->data.len)
            e = UPSTREAM_E_MALFORMED;
    }
    if (e != 0)
        mem_free(list);
    else
        *ret = list;
    return e;
}

static void write_error(struct writer *w, const struct error_message *e)
{
    struct writer_mark m = writer_begin(w, 3, 100);

    if (e->code)
        writer_int_always(w, 1, e->code);
    writer_bytes(w, 2, e->reason);
    writer_bytes(w, 3, e->type);
    writer_bytes(w, 4, e->message);
    writer_bytes(w, 5, e->traceback);
    writer_bytes(w, 6, e->function_reason);
    writer_uint(w, 7, e->retryable);
    writer_end(w, m);
}

void upstream_write(struct writer *w, uint32_t number, const struct upstream *u)
{
    struct writer_mark m = writer_begin(w, number, u->data.len + 100), r;

    writer_bytes(w, 1, u->id);
    if (u->is_result) {
        r = writer_begin(w, 2, u->data.len + 50);
        writer_bytes_always(w, 1, u->data);
        writer_bytes(w, 3, u->content_type);
        writer_uint(w, 4, u->data.len);
        writer_end(w, r);
    } else {
        write_error(w, &u->error);
    }
    writer_end(w, m);
}
