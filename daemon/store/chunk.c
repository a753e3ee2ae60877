// SPDX-License-Identifier: Apache-2.0
#include "store/chunk.h"

#include "base/mem.h"
#include "store/crc32c.h"

#include <errno.h>

enum { PUT_K = 1, PUT_N, PUT_KIND, PUT_ATTEMPT, PUT_STREAM, PUT_OFFSET, PUT_TIME, PUT_CRC, PUT_DATA };
enum { GET_N, GET_KIND, GET_ATTEMPT, GET_STREAM, GET_OFFSET, GET_TIME, GET_CRC, GET_DATA };

/* Over everything, so that no row can be taken for another. */
static uint32_t crc_of(uint64_t k, const struct batch_chunk *c, wall_ns_t time, struct span data)
{
    const uint64_t numbers[] = {k, c->n, c->kind, c->attempt, c->stream, c->offset, (uint64_t)time};
    uint8_t head[sizeof numbers];

    for (size_t i = 0; i < sizeof head; i++)
        head[i] = (uint8_t)(numbers[i / 8] >> (8 * (i % 8)));
    return crc32c(crc32c(0, head, sizeof head), data.p, data.len);
}

static void bind_number(sqlite3_stmt *stmt, int at, int64_t v)
{
    ASSERT(sqlite3_bind_int64(stmt, at, v) == SQLITE_OK);
}

void chunk_bind(sqlite3_stmt *put, const struct batch_op *op)
{
    const struct batch_chunk *c = &op->chunk;

    bind_number(put, PUT_K, (int64_t)op->k);
    bind_number(put, PUT_N, c->n);
    bind_number(put, PUT_KIND, c->kind);
    bind_number(put, PUT_ATTEMPT, c->attempt);
    bind_number(put, PUT_STREAM, c->stream);
    bind_number(put, PUT_OFFSET, (int64_t)c->offset);
    bind_number(put, PUT_TIME, op->time);
    bind_number(put, PUT_CRC, crc_of(op->k, c, op->time, SPAN_OF_BYTES(op->data)));
    ASSERT(db_bind(put, PUT_DATA, SPAN_OF_BYTES(op->data)) == SQLITE_OK);
}

/* The row that @get stands on, which must be the @i-th and begin at the offset of its kind, that moves on. */
static int load(sqlite3_stmt *get, uint64_t k, uint32_t i, uint64_t offsets[static TOLD_KINDS],
                struct restored_chunk *to)
{
    const struct batch_chunk c = {
            .n = (uint32_t)sqlite3_column_int64(get, GET_N),
            .kind = (uint8_t)sqlite3_column_int64(get, GET_KIND),
            .attempt = (uint32_t)sqlite3_column_int64(get, GET_ATTEMPT),
            .stream = (uint8_t)sqlite3_column_int64(get, GET_STREAM),
            .offset = (uint64_t)sqlite3_column_int64(get, GET_OFFSET),
    };
    struct span data = db_column(get, GET_DATA);
    wall_ns_t time = sqlite3_column_int64(get, GET_TIME);

    if (sqlite3_column_int64(get, GET_CRC) != crc_of(k, &c, time, data) || c.n != i || c.kind >= TOLD_KINDS ||
        !data.len || c.offset != offsets[c.kind])
        return STORE_E_DATA_LOSS;
    *to = (struct restored_chunk){.data = bytes_dup(data.p, data.len),
                                  .time = time,
                                  .attempt = c.attempt,
                                  .kind = c.kind,
                                  .stream = c.stream};
    offsets[c.kind] += data.len;
    return to->data ? 0 : -ENOMEM;
}

int chunk_load(sqlite3 *db, sqlite3_stmt *get, uint64_t k, uint32_t n, struct restored_chunk **ret)
{
    struct restored_chunk *chunks = n ? mem_zalloc(n * sizeof *chunks) : NULL;
    uint64_t offsets[TOLD_KINDS] = {0};
    int rc = SQLITE_DONE, r = 0;

    if (!chunks)
        return n ? -ENOMEM : 0;
    bind_number(get, 1, (int64_t)k);
    for (uint32_t i = 0; r == 0 && i <= n; i++) {
        rc = sqlite3_step(get);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            r = db_read_error(db, rc);
        else if ((rc == SQLITE_ROW) != (i < n))
            r = STORE_E_DATA_LOSS;
        else if (rc == SQLITE_ROW)
            r = load(get, k, i, offsets, &chunks[i]);
    }
    sqlite3_reset(get);
    if (r == 0)
        *ret = chunks;
    else
        chunk_free(chunks, n);
    return r;
}

uint64_t chunk_bytes(const struct restored_chunk *chunks, uint32_t n)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; chunks && i < n; i++)
        bytes += chunks[i].data->len;
    return bytes;
}

struct restored_chunk *chunk_free(struct restored_chunk *chunks, uint32_t n)
{
    for (uint32_t i = 0; chunks && i < n; i++)
        bytes_unref(chunks[i].data);
    return mem_free(chunks);
}
