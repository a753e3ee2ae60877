// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The rows of the table chunk: what attempts have told as output and log. For this room only. */
#include "store/db.h"

#define CHUNK_PUT                                                                       \
    "INSERT OR IGNORE INTO chunk(k, n, kind, attempt, stream, offset, time, crc, data)" \
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
#define CHUNK_GET "SELECT n, kind, attempt, stream, offset, time, crc, data FROM chunk WHERE k=?1 ORDER BY n"

/* chunk_bind: the values of @op, a BATCH_CHUNK, for CHUNK_PUT; its data must stay until that has run. */
void chunk_bind(sqlite3_stmt *put, const struct batch_op *op);

/* chunk_load: all of the future @k, which has @n of them, by @get, a CHUNK_GET.
 *   Owns:   the caller: chunk_free, of *ret_n. NULL with 0 of them.
 *   Return: 0; STORE_E_DATA_LOSS (one is missing, or is not what was written); STORE_E_CORRUPT; -errno. */
MUST_CHECK int chunk_load(sqlite3 *db, sqlite3_stmt *get, uint64_t k, uint32_t n,
                          struct restored_chunk **ret);
/* chunk_bytes: of the data of all. Both take NULL; chunk_free returns it. */
MUST_CHECK uint64_t chunk_bytes(const struct restored_chunk *chunks, uint32_t n);
struct restored_chunk *chunk_free(struct restored_chunk *chunks, uint32_t n);
