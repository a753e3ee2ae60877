// SPDX-License-Identifier: Apache-2.0
/*
 * The labels of a future are, unless they were changed, in its task, which is kept as it came. This reads just that field
 * of it (futured.v1.Task.labels, a map), so that rooms without protobuf can ask for a label. The task was checked when it was
 * accepted; what is malformed all the same ends the search.
 */
#include "filter/filter.h"

enum { TASK_LABELS = 5, ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2, WIRE_FIXED32 = 5 };

struct field {
    uint64_t number;
    struct span bytes; /* of a length-delimited one */
};

/* 0; < 0: malformed. */
static int get_varint(struct span *in, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned int shift = 0; in->len && shift < 64; shift += 7) {
        uint8_t b = *in->p;

        in->p++;
        in->len--;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret = v;
            return 0;
        }
    }
    return -1;
}

/* The next field of @in. 1; 0: none, or malformed. */
static int get_field(struct span *in, struct field *ret)
{
    uint64_t tag, n = 0;

    if (!in->len || get_varint(in, &tag) < 0)
        return 0;
    *ret = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case WIRE_VARINT: return get_varint(in, &n) == 0;
    case WIRE_FIXED64: n = 8; break;
    case WIRE_FIXED32: n = 4; break;
    case WIRE_LEN:
        if (get_varint(in, &n) < 0)
            return 0;
        break;
    default: return 0;
    }
    if (n > in->len)
        return 0;
    ret->bytes = (struct span){in->p, (tag & 7) == WIRE_LEN ? (size_t)n : 0};
    in->p += n;
    in->len -= n;
    return 1;
}

int filter_task_label(struct span task, struct span key, struct span *ret)
{
    struct field f;
    int is_found = 0;

    while (get_field(&task, &f)) {
        struct span entry = f.bytes, name = {0}, value = {0};

        if (f.number != TASK_LABELS)
            continue;
        while (get_field(&entry, &f)) {
            if (f.number == ENTRY_KEY)
                name = f.bytes;
            else if (f.number == ENTRY_VALUE)
                value = f.bytes;
        }
        if (span_eq(name, key)) { /* of two with one key the later one holds, as in any map of protobuf */
            *ret = value;
            is_found = 1;
        }
    }
    return is_found;
}
