// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the daemon reads when it starts: settings, every live future in the order of keys, which idempotency keys finished
 * ones hold, and the finished ones that a caller may send again by its request ID, newest first. In steps, so that the loop
 * can answer health checks between them; nobody writes live futures until it is through.
 */
#include "store/store.h"

struct recover_target {
    /* on_setting, on_record: 0 = go on; anything else ends the recovery with it. @item is on_record's to change (its
     * blobs may be taken) but freed by the caller; with item->result != 0 only its id is known: the future exists,
     * its bytes are lost, it is never run. */
    int (*on_setting)(void *user, const struct store_setting *setting);
    int (*on_record)(void *user, struct store_item *item);
    /* on_key: NULL = not asked for. At most RECOVER_KEYS_MAX, then on_keys_end with whether there are more. on_recent: sound
     * ones whose key is above since, RECOVER_RECENT_MAX at most; NULL = not asked for. */
    void (*on_key)(void *user, uint64_t hash);
    void (*on_keys_end)(void *user, int are_more);
    int (*on_recent)(void *user, const struct store_item *item);
    uint64_t since;
    void *user;
};

enum { RECOVER_KEYS_MAX = 1000000, RECOVER_RECENT_MAX = 100000 };

struct recover {
    struct store_view *view;
    struct recover_target target;
    uint64_t key; /* of the last one */
    uint64_t n_records, n_damaged, n_keys, n_recent;
    enum { RECOVER_LIVE, RECOVER_KEYS, RECOVER_RECENT } stage;
    int is_complete;
};

/* recover_begin: open a view and hand out the settings. 0; STORE_E_*, -errno, the target's. On 0: recover_end. */
MUST_CHECK int recover_begin(struct recover *r, struct store *s, const struct recover_target *target);

/* recover_step: hand out up to @max records (1 .. STORE_SCAN_MAX). is_complete is set when there are no more.
 *   Return: 0; STORE_E_CORRUPT; -errno; the target's. Not to be called again after a failure. */
MUST_CHECK int recover_step(struct recover *r, uint32_t max);
void recover_end(struct recover *r);
