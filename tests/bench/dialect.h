// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What futured-load says and how it reads the answer. A request is one template of bytes in which only the payload's first
 * 16 bytes change from request to request; an answer either gives the payload back or (accepts) an ID.
 */
#include "base/bytes.h"

struct dialect {
    const char *name;
    const char *path;
    int is_stream;
    int is_ordered; /* answers come in the order of requests (streams) */
    /* Writes the template, for @function, around @payload_bytes into @to (room for payload and function + 128); returns its
     * length, *ret_payload_at. */
    size_t (*write)(uint8_t *to, const char *function, size_t payload_bytes, size_t *ret_payload_at);
    /* The payload in an answer, or the ID of an accepted future. {NULL, 0}: the answer is wrong. */
    struct span (*read)(struct span answer);
    int gives_id; /* read returns an ID, not the payload */
    int asks_id;  /* the payload is the ID of a future, and read returns that of the answer */
};

/* dialect_find: by name, NULL when there is none. dialect_names: for the usage text. */
const struct dialect *dialect_find(const char *name);
const char *dialect_names(void);
