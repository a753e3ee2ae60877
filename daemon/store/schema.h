// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The tables, and their version. docs/disk-format.md tells what is in them.
 *
 * To change the schema:
 *  1. SCHEMA_VERSION + 1, and schema.c makes new databases in the new form.
 *  2. schema.c gets a step from the old form to the new one; schema_upgrade runs the steps in one transaction.
 *  3. tests/unit/store/test_schema.c gets a database of the old form.
 *  4. A row in docs/disk-format.md, with the versions of the program that can read it.
 */
#include "store/db.h"

enum { SCHEMA_VERSION = 2 };

/* schema_find: which version the database has; 0: it is empty. Reads only.
 *   Return: 0; STORE_E_VERSION (newer than SCHEMA_VERSION, or not a store of ours); as db_error. */
MUST_CHECK int schema_find(sqlite3 *db, uint32_t *ret_version, struct store_problem *problem);

/* schema_upgrade: bring it from @version, 0 included, to SCHEMA_VERSION. Return: as db_error. */
MUST_CHECK int schema_upgrade(sqlite3 *db, uint32_t version, struct store_problem *problem);
