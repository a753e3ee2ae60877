// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * From bytes to the public structs: the generated code unpacks a message into an arena, the public struct is
 * built in the same arena around it, and all of it is freed at once.
 *
 *     struct page_box { struct futured_box box; struct futured_page page; };
 *
 *     r = futured_box_new(&box, sizeof(struct page_box), descriptor, wire, &message);   fill page
 *     futured_box_free(&CONTAINER_OF(page, struct page_box, page)->box);
 */
#include "base/arena.h"
#include "base/bytes.h"

#include <futured/client.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>

struct futured_box {
    struct arena arena;
};

/* futured_box_new: @size zeroed bytes that begin with a struct futured_box, and in its arena @wire unpacked.
 *   Owns:   the caller, futured_box_free. *ret_message lives in the box.
 *   Return: 0; FUTURED_BOX_E_MALFORMED; -ENOMEM. */
enum { FUTURED_BOX_E_MALFORMED = 1 };
MUST_CHECK int futured_box_new(struct futured_box **ret, size_t size,
                               const ProtobufCMessageDescriptor *descriptor, struct span wire,
                               ProtobufCMessage **ret_message);
void futured_box_free(struct futured_box *box);

/* futured_box_array: @n zeroed items of @size bytes; NULL: no memory. */
MUST_CHECK void *futured_box_array(struct arena *arena, size_t n, size_t size);

/* futured_box_wire: a copy of @wire. 0, -ENOMEM. */
MUST_CHECK int futured_box_wire(struct arena *arena, struct span wire, struct futured_bytes *ret);

/* What is absent is FUTURED_NO_TIME, FUTURED_NO_SPAN; what does not fit 64 bits of nanoseconds is the nearest
 * that does. */
int64_t futured_box_time(const Google__Protobuf__Timestamp *t);
int64_t futured_box_span(const Google__Protobuf__Duration *d);
