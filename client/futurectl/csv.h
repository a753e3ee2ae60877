// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Records of a table as text (RFC 4180): fields divided by commas, records by newlines or CR LF; in "quotes" a field may have
 * both, and "" is a quote.
 */
#include "base/bytes.h"

/* Where a search for the end of a record has come to; {0} at its beginning. */
struct csv_scan {
    size_t n; /* bytes looked at */
    int is_quoted;
};

/* csv_scan: look for the newline that ends the record at @p, of which @n bytes are there; more bytes and another call go on
 * where this one stopped. 0: *ret is how many bytes stand before that newline; CSV_E_MORE. */
enum { CSV_E_MORE = 1 };
MUST_CHECK int csv_scan(struct csv_scan *s, const uint8_t *p, size_t n, size_t *ret);

/* csv_count: the fields of @record, which has no newline at its end; at least one. */
size_t csv_count(struct span record);

/* csv_split: the fields of @record into @fields, which has room for csv_count of them; those with quotes are unquoted into
 * @scratch, of record.len bytes. Both must outlive them. */
void csv_split(struct span record, uint8_t *scratch, struct span *fields);
