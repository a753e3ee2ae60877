// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/csv.h"

int csv_scan(struct csv_scan *s, const uint8_t *p, size_t n, size_t *ret)
{
    for (; s->n < n; s->n++) {
        if (p[s->n] == '"') {
            s->is_quoted = !s->is_quoted; /* "" is out and in again */
        } else if (p[s->n] == '\n' && !s->is_quoted) {
            *ret = s->n;
            return 0;
        }
    }
    return CSV_E_MORE;
}

/* The end of the field that begins at @at. */
static size_t field_end(struct span record, size_t at)
{
    int is_quoted = 0;

    for (; at < record.len && (is_quoted || record.p[at] != ','); at++)
        if (record.p[at] == '"')
            is_quoted = !is_quoted;
    return at;
}

size_t csv_count(struct span record)
{
    size_t n = 1;

    for (size_t at = field_end(record, 0); at < record.len; at = field_end(record, at + 1))
        n++;
    return n;
}

/* A field without its quotes; what stands behind the closing one belongs to it as it is. */
static struct span unquote(struct span field, uint8_t *to)
{
    int is_quoted = 0;
    size_t n = 0;

    for (size_t i = 0; i < field.len; i++) {
        if (field.p[i] != '"') {
            to[n++] = field.p[i];
        } else if (is_quoted && i + 1 < field.len && field.p[i + 1] == '"') {
            to[n++] = '"';
            i++;
        } else {
            is_quoted = !is_quoted;
        }
    }
    return (struct span){to, n};
}

void csv_split(struct span record, uint8_t *scratch, struct span *fields)
{
    size_t at = 0;

    for (;;) {
        size_t end = field_end(record, at);
        struct span field = {record.p + at, end - at};

        if (field.len && field.p[0] == '"') {
            field = unquote(field, scratch);
            scratch += field.len;
        }
        *fields++ = field;
        if (end == record.len)
            return;
        at = end + 1;
    }
}
