// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Future IDs: UUID version 7 (RFC 9562, section 5.7; rand_a is a counter, section 6.2 method 1). Layout,
 * big-endian: 48 bits of Unix milliseconds, 4 bits version 7, 12 bits counter, 2 bits variant 10, 62 random
 * bits. The leading 60 bits without the version are the key k: strictly increasing over all IDs one daemon
 * ever makes, so k alone orders futures by submission and names one.
 */
#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ID_BYTES = 16, ID_TEXT_LEN = 36 };

struct id {
    uint8_t b[ID_BYTES];
};

/* id_key: the 60 bits that order IDs: milliseconds << 12 | counter. */
static inline uint64_t id_key(const struct id *id)
{
    uint64_t head;

    __builtin_memcpy(&head, id->b, sizeof head);
    head = __builtin_bswap64(head); /* little-endian hosts only, see hash.c */
    return head >> 16 << 12 | (head & 0xfff);
}

/* id_make: the ID with key @key and 62 bits of @random. */
struct id id_make(uint64_t key, uint64_t random);

/* id_next_key: the key to use at @now when @last was used before: never smaller, never equal; on a full
 * counter or a clock that went back the milliseconds run ahead. @last 0 = none. */
uint64_t id_next_key(uint64_t last, wall_ns_t now);

/* id_format: canonical lower-case text, ID_TEXT_LEN characters and a NUL. */
void id_format(const struct id *id, char text[static ID_TEXT_LEN + 1]);

/* id_parse: read canonical text (upper case is accepted).
 *   Return: 0; ID_E_SYNTAX (not 8-4-4-4-12 hex digits, or not version 7 with variant 10). */
enum { ID_E_SYNTAX = 1 };
MUST_CHECK int id_parse(const char *text, size_t len, struct id *ret_id);

/* id_compare: < 0, 0, > 0 in the order of submission. */
int id_compare(const struct id *a, const struct id *b);
