// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the tests do to a database behind the store's back, and what they see there. */
#include "tests/unit/store/fixture.h"

#include <sqlite3.h>

static inline void sql_run(const char *path, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* The first column of the first row; -1: there is none. */
static inline int64_t sql_number(const char *path, const char *text)
{
    sqlite3_stmt *stmt;
    int64_t v = -1;
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        v = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return v;
}
