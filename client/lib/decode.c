// SPDX-License-Identifier: Apache-2.0
#include "client/lib/decode.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* A message unpacks to more bytes than it has: a peer decides how many. Small messages within a list come to
 * some 20 bytes for each of theirs; what goes far beyond is not an honest answer. */
enum { UNPACK_FACTOR = 64, UNPACK_BYTES = 64 * 1024 };

struct unpacking {
    struct arena *arena;
    int failed; /* an allocation; the generated code does not say why it gave up */
};

static void *unpack_alloc(void *data, size_t n)
{
    struct unpacking *u = data;
    void *p = arena_alloc(u->arena, n);

    u->failed |= !p;
    return p;
}

static void unpack_free(void *data, void *p)
{
    /* the arena frees all at once */
}

int futured_box_new(struct futured_box **ret, size_t size, const ProtobufCMessageDescriptor *descriptor,
                    struct span wire, ProtobufCMessage **ret_message)
{
    struct futured_box *box = mem_zalloc(size);
    struct unpacking unpacking = {0};
    ProtobufCAllocator allocator = {.alloc = unpack_alloc, .free = unpack_free, .allocator_data = &unpacking};
    ProtobufCMessage *message;

    if (!box)
        return -ENOMEM;
    arena_init(&box->arena, wire.len * UNPACK_FACTOR + UNPACK_BYTES);
    unpacking.arena = &box->arena;
    message = protobuf_c_message_unpack(descriptor, &allocator, wire.len, wire.p);
    if (!message) {
        futured_box_free(box);
        return unpacking.failed ? -ENOMEM : FUTURED_BOX_E_MALFORMED;
    }
    *ret = box;
    *ret_message = message;
    return 0;
}

void futured_box_free(struct futured_box *box)
{
    arena_deinit(&box->arena);
    mem_free(box);
}

void *futured_box_array(struct arena *arena, size_t n, size_t size)
{
    void *p = arena_alloc(arena, n * size);

    if (p)
        memset(p, 0, n * size);
    return p;
}

int futured_box_wire(struct arena *arena, struct span wire, struct futured_bytes *ret)
{
    uint8_t *p = arena_alloc(arena, wire.len);

    if (!p)
        return -ENOMEM;
    if (wire.len)
        memcpy(p, wire.p, wire.len);
    *ret = (struct futured_bytes){.data = p, .size = wire.len};
    return 0;
}

static int64_t ns_of(int64_t seconds, int64_t nanos)
{
    int64_t ns;

    if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) || __builtin_add_overflow(ns, nanos, &ns))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

int64_t futured_box_time(const Google__Protobuf__Timestamp *t)
{
    return t ? ns_of(t->seconds, t->nanos) : FUTURED_NO_TIME;
}

int64_t futured_box_span(const Google__Protobuf__Duration *d)
{
    return d ? ns_of(d->seconds, d->nanos) : FUTURED_NO_SPAN;
}
