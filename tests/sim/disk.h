// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The disk of the simulated machine, as the backend behind store.h: what a database would have, in plain arrays, with the
 * records as the very bytes that the codec made. A write is on disk when it has answered 0. One whose sync fails may turn
 * out at the next start to be there, or not to be there; so may one that a crash interrupts.
 */
#include "store/store.h"

struct disk_chunk {
    uint64_t offset;
    wall_ns_t time;
    uint32_t attempt, bytes;
    uint8_t kind, stream;
    uint8_t *data;
};

struct disk_row {
    struct id id;
    uint64_t key;
    int is_done, has_key; /* has_key: key_hash is of the idempotency key that it holds */
    uint64_t key_hash;
    wall_ns_t expire_time;
    uint8_t *record, *task, *data; /* task and data: blobs, or NULL */
    uint32_t record_bytes, task_bytes, data_bytes;
    struct disk_chunk *chunks; /* output and log, in their order */
    uint32_t n_chunks;
};

struct disk_setting {
    char name[64], value[128], who[32], why[32];
    wall_ns_t at;
};

enum { DISK_SETTINGS_MAX = 32 };

/* What is on it: every transaction changes all of this or nothing. */
struct disk_content {
    struct disk_row *rows; /* by key */
    uint32_t n_rows, cap;
    struct disk_setting settings[DISK_SETTINGS_MAX]; /* by name */
    uint32_t n_settings;
    uint64_t key_ceiling;
    uint64_t
            seq; /* `user` of the newest batch that has one: the number of the engine's newest commit in here */
};

/* What goes wrong with the next write. */
enum disk_fault {
    DISK_WELL,
    DISK_FULL, /* rolled back, until it is well again */
    DISK_LOST, /* the sync fails, and nothing of it gets to the disk */
    DISK_TORN, /* the sync fails, but the next start finds it */
};

struct disk {
    struct disk_content content;
    struct disk_content after; /* what the next start finds instead, if has_after */
    int has_after, is_poisoned, is_off;
    enum disk_fault fault;
    int is_unreadable; /* reads fail */
    uint32_t look_max; /* rows that one read looks at */
    uint32_t epoch;
    uint64_t n_commits, n_writes;
    struct store store;
    struct store_view view;
    uint32_t n_views;
};

void disk_init(struct disk *d);
void disk_deinit(struct disk *d);

/* disk_insert: @d is what store_open opens from now on. */
void disk_insert(struct disk *d);

/* disk_off: the power is cut: no write gets to it any more. disk_on: and it is back. */
void disk_off(struct disk *d);
void disk_on(struct disk *d);

/* disk_find: NULL = there is none of that ID. */
const struct disk_row *disk_find(const struct disk *d, const struct id *id);
