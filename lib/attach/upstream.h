// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the futures were that a task depends on, as its assignment and the payloads ahead of it say. */
#include "base/buf.h"
#include "grpc/messages.h"

struct upstream {
    struct span id;
    int is_result;
    struct span data, content_type; /* a result */
    struct error_message error;     /* else */
};

struct upstream_list {
    uint32_t n;
    struct upstream at[];
};

/* Where a payload begins in the pieces that came ahead; it ends where the next one begins. */
struct upstream_part {
    uint32_t part; /* as in PayloadChunk */
    size_t at;
};

/* upstream_read: the @n of field @number of @assignment, which has been read before; results that came ahead are found by
 * @parts in @pieces. What is read points into both.
 *   Owns:   the caller: mem_free.
 *   Return: 0; UPSTREAM_E_MALFORMED (also: a payload is missing, or of another length); -ENOMEM. */
enum { UPSTREAM_E_MALFORMED = 1 };
MUST_CHECK int upstream_read(struct span assignment, uint32_t number, uint32_t n, struct span pieces,
                             const struct upstream_part *parts, uint32_t n_parts, struct upstream_list **ret);

/* upstream_part_find: the bytes of payload @part. 0; UPSTREAM_E_MALFORMED: it did not come. */
MUST_CHECK int upstream_part_find(struct span pieces, const struct upstream_part *parts, uint32_t n_parts,
                                  uint32_t part, struct span *ret);

/* upstream_write: one as field @number, for upstream_read. */
void upstream_write(struct writer *w, uint32_t number, const struct upstream *u);
