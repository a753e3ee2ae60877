// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the finished futures of each principal take on disk: records, blobs, output and log; kept with them, in the same
 * transactions. An account is named "PRINCIPAL/NAMESPACE"; who has no name has none. It is a setting, "stored." and that
 * name, with a number as its value, as long as it is not 0.
 *
 *   ledger_add, ledger_drop, ... within a transaction, at its end ledger_write; then ledger_commit or ledger_rollback
 *
 * Thread: the writer's; ledger_take any one.
 */
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "store/db.h"
#include "store/record.h"

#include <pthread.h>

#define LEDGER_PREFIX "stored."

struct ledger {
    sqlite3 *db;
    sqlite3_stmt *sum, *put, *drop;
    struct map accounts;
    struct list changed;  /* since ledger_commit */
    struct buf name;      /* of an account */
    pthread_mutex_t lock; /* of the next, and of what it is about */
    struct list untold;
    int is_open;
};

/* ledger_open: what is on disk. 0; STORE_E_*, -errno. ledger_close: before the database. */
MUST_CHECK int ledger_open(struct ledger *l, sqlite3 *db, struct store_problem *problem);
void ledger_close(struct ledger *l);

/* ledger_add: @bytes more of the account @name, or fewer; it never falls below 0. "" is nobody. 0; -ENOMEM. */
MUST_CHECK int ledger_add(struct ledger *l, struct span name, int64_t bytes);

/* ledger_drop: the finished future @k will be deleted, whose row has @record of @bytes. 0; STORE_E_*. */
MUST_CHECK int ledger_drop(struct ledger *l, uint64_t k, const struct record *record, size_t bytes,
                           struct store_problem *problem);

/* ledger_write: what the transaction has changed goes into it. 0; STORE_E_*. ledger_commit: it is on disk. ledger_rollback: it
 * will not be. */
MUST_CHECK int ledger_write(struct ledger *l, struct store_problem *problem);
void ledger_commit(struct ledger *l);
void ledger_rollback(struct ledger *l);

/* ledger_left: @fn with each account that has another number than what was dropped since ledger_open, and by how much more: with
 * all finished futures dropped those that are wrong. */
void ledger_left(const struct ledger *l, void (*fn)(void *user, struct span name, int64_t bytes), void *user);

/* ledger_take: @fn with each account that has changed on disk since the last call; it must not call back. */
void ledger_take(struct ledger *l, void (*fn)(void *user, struct span name, uint64_t bytes), void *user);
