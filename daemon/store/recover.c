// SPDX-License-Identifier: Apache-2.0
#include "store/recover.h"

enum { STEP_BYTES = 16 << 20 };

int recover_begin(struct recover *r, struct store *s, const struct recover_target *target)
{
    int result;

    *r = (struct recover){.target = *target};
    result = store_view_open(s, &r->view);
    if (result != 0)
        return result;
    result = store_settings(r->view, target->on_setting, target->user);
    if (result != 0)
        recover_end(r);
    return result;
}

static int step_live(struct recover *r, uint32_t max, int *ret_is_end)
{
    struct store_scan scan = {
            .place = STORE_LIVE,
            .key = r->key,
            .limit = max,
            .limit_bytes = STEP_BYTES,
            .want = STORE_WANT_TASK | STORE_WANT_CHUNKS,
    };
    struct list items, *l;
    int result;

    list_init(&items);
    result = store_scan(r->view, &scan, &items);
    if (result == 0)
        *ret_is_end = list_is_empty(&items);
    while (result == 0 && (l = list_pop_front(&items))) {
        struct store_item *item = LIST_ENTRY(l, struct store_item, link);

        r->key = id_key(&item->id);
        r->n_records++;
        r->n_damaged += item->result != 0;
        result = r->target.on_record(r->target.user, item);
        store_item_free(item);
    }
    store_items_free(&items);
    return result;
}

static int step_keys(struct recover *r, uint32_t max, int *ret_is_end)
{
    uint64_t hashes[STORE_SCAN_MAX];
    uint32_t n = 0;
    int result = 0;

    if (r->target.on_key && r->n_keys < RECOVER_KEYS_MAX)
        result = store_keys(r->view, &r->key, hashes, max, &n);
    for (uint32_t i = 0; i < n; i++)
        r->target.on_key(r->target.user, hashes[i]);
    r->n_keys += n;
    *ret_is_end = n < max;
    if (result == 0 && *ret_is_end && r->target.on_key)
        r->target.on_keys_end(r->target.user, r->n_keys >= RECOVER_KEYS_MAX);
    return result;
}

static int step_recent(struct recover *r, uint32_t max, int *ret_is_end)
{
    struct store_scan scan = {
            .place = STORE_DONE, .key = r->key, .limit = max, .limit_bytes = STEP_BYTES, .desc = 1};
    struct list items, *l;
    int result = 0;

    list_init(&items);
    *ret_is_end = !r->target.on_recent || r->n_recent >= RECOVER_RECENT_MAX;
    if (!*ret_is_end)
        result = store_scan(r->view, &scan, &items);
    *ret_is_end |= list_is_empty(&items);
    while (result == 0 && !*ret_is_end && (l = list_pop_front(&items))) {
        struct store_item *item = LIST_ENTRY(l, struct store_item, link);

        r->key = id_key(&item->id);
        r->n_recent++;
        if (r->key <= r->target.since)
            *ret_is_end = 1;
        else if (item->result == 0)
            result = r->target.on_recent(r->target.user, item);
        store_item_free(item);
    }
    store_items_free(&items);
    return result;
}

int recover_step(struct recover *r, uint32_t max)
{
    static int (*const steps[])(struct recover *, uint32_t, int *) = {step_live, step_keys, step_recent};
    int is_end = 0, result;

    do {
        result = steps[r->stage](r, max, &is_end);
        if (result == 0 && is_end && r->stage == RECOVER_RECENT)
            r->is_complete = 1;
        else if (result == 0 && is_end)
            r->key = ++r->stage == RECOVER_RECENT ? UINT64_MAX : 0;
    } while (result == 0 && is_end && !r->is_complete);
    return result;
}

void recover_end(struct recover *r)
{
    r->view = store_view_close(r->view);
}
