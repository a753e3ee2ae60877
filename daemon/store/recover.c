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

int recover_step(struct recover *r, uint32_t max)
{
    struct store_scan scan = {
            .place = STORE_LIVE,
            .key = r->key,
            .limit = max,
            .limit_bytes = STEP_BYTES,
            .want = STORE_WANT_TASK,
    };
    struct list items, *l;
    int result;

    list_init(&items);
    result = store_scan(r->view, &scan, &items);
    if (result == 0)
        r->is_complete = list_is_empty(&items);
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

void recover_end(struct recover *r)
{
    r->view = store_view_close(r->view);
}
