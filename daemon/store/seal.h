// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A seal on each page of the database: CRC32C over the page's number and content, in eight bytes at its end that SQLite
 * leaves free. SQLite looks into the pages it reads only so far as it needs to; a key or a pointer of another value makes
 * it look in the wrong place, and find nothing there. With seals it is known that a page is not what was written.
 *
 * A page with a broken seal is handed on all the same, for most of what is on it is sound, and every record has a checksum
 * of its own; but that a page is broken is remembered: where nothing was found, it must not be said that nothing is
 * there, and who has read such a page must not write.
 *
 * It is a VFS of SQLite between it and another one. What is in the log is not sealed: SQLite checks that itself.
 * Thread: seal_new, seal_free by who owns it, before and after all others; the rest from any.
 */
#include "base/err.h"

#include <sqlite3.h>
#include <stdint.h>

enum { SEAL_PAGE_BYTES = 4096, SEAL_BYTES = 8 };

struct seal;

/* seal_new: a VFS over @base (NULL = the default one). The first page with a broken seal that anybody reads is put into
 * *broken. Owns: the caller, seal_free, when no file of it is open. Return: 0, -ENOMEM. */
MUST_CHECK int seal_new(struct seal **ret, const char *base, _Atomic uint32_t *broken);
struct seal *seal_free(struct seal *s);

/* seal_vfs: its name, for sqlite3_open_v2. */
const char *seal_vfs(const struct seal *s);

/* seal_prepare: @db is empty yet: its pages get room for seals. Without effect on one that has pages. */
void seal_prepare(sqlite3 *db);

/* seal_follow: @copy, which is empty, is to become a copy of @db by sqlite3_backup, page by page: seals are put as there, also on
 * pages that SQLite writes before the first one, because they do not fit its cache. */
void seal_follow(sqlite3 *copy, sqlite3 *db);

/* seal_broken: the first page with a broken seal that @db has read; 0: none. 1 also where pages have no room for seals. */
uint32_t seal_broken(sqlite3 *db);

/* seal_unsealed: give the pages of the database @path their seals that have none, as in a copy that another program made;
 * to be called before it is opened. 0, -errno. */
MUST_CHECK int seal_unsealed(const char *path);
