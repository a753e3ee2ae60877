// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include "base/utf8.h"

#include <string.h>

static const uint8_t replacement[] = {0xef, 0xbf, 0xbd};

/* How many bytes the well-formed character at @p has; 0: it is none. */
static size_t character_at(const uint8_t *p, size_t n)
{
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (utf8_is_valid(p, len))
            return len;
    return 0;
}

/* The longest prefix of the valid text @s with at most @max bytes that ends between characters. */
static struct span cut(struct span s, size_t max)
{
    if (s.len > max) {
        s.len = max;
        while (s.len && (s.p[s.len] & 0xc0) == 0x80)
            s.len--;
    }
    return s;
}

struct span text_clean(struct arena *a, struct span from, size_t max)
{
    size_t n = 0, at = 0;
    uint8_t *to;

    if (from.len == 0)
        return (struct span){0};
    if (from.len > max + 4) /* enough to see whether the last character is whole */
        from.len = max + 4;
    if (utf8_is_valid(from.p, from.len))
        return cut(from, max);
    to = arena_alloc(a, from.len * sizeof replacement);
    if (!to)
        return (struct span){0};
    while (at < from.len) {
        size_t len = character_at(from.p + at, from.len - at);

        if (len) {
            memcpy(to + n, from.p + at, len);
            n += len;
            at += len;
        } else {
            memcpy(to + n, replacement, sizeof replacement);
            n += sizeof replacement;
            at++;
        }
    }
    return cut((struct span){to, n}, max);
}

struct span text_tail(struct span from, size_t max)
{
    const uint8_t *newline;

    if (from.len <= max)
        return from;
    from = (struct span){from.p + (from.len - max), max};
    newline = memchr(from.p, '\n', from.len / 2);
    if (newline) {
        size_t skipped = (size_t)(newline + 1 - from.p);

        from = (struct span){from.p + skipped, from.len - skipped};
    }
    return from;
}

static int is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct span text_last_line(struct span from)
{
    size_t end = from.len, start;

    while (end && is_space(from.p[end - 1]))
        end--;
    for (start = end; start && from.p[start - 1] != '\n'; start--)
        ;
    return (struct span){from.p ? from.p + start : NULL, end - start};
}
