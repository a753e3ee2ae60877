// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include "base/log.h"
#include "base/mem.h"
#include "store/chunk.h"
#include "store/sqlite.h"

int store_open(struct store **ret, const struct store_config *config, struct store_problem *problem)
{
    return sqlite_open(ret, config, problem);
}

struct store *store_close(struct store *s)
{
    if (s)
        s->backend->close(s);
    return NULL;
}

struct store_item *store_item_free(struct store_item *item)
{
    if (!item)
        return NULL;
    ASSERT(!list_is_linked(&item->link));
    record_deinit(&item->record);
    chunk_free(item->chunks, item->record.n_chunks);
    bytes_unref(item->task);
    bytes_unref(item->data);
    return mem_free(item);
}

void store_items_free(struct list *list)
{
    struct list *l;

    while ((l = list_pop_front(list)))
        store_item_free(LIST_ENTRY(l, struct store_item, link));
}

const char *store_error_text(int error)
{
    static const char *const texts[] = {
            [0] = "done",
            [STORE_E_LOCKED] = "another process uses the store",
            [STORE_E_VERSION] = "the store was made by another program, or by a newer version of this one",
            [STORE_E_LOST] = "acknowledged commits are missing from the store",
            [STORE_E_NOT_FOUND] = "there is no such future",
            [STORE_E_DATA_LOSS] = "the stored bytes fail their checksum",
            [STORE_E_CORRUPT] = "the database is damaged",
            [STORE_E_ROLLED_BACK] = "the store could not write, and nothing was changed",
            [STORE_E_POISONED] = "a write failed, and it is not known what is on disk",
    };

    if (error < 0)
        return log_errno_text(error);
    return (size_t)error < ARRAY_LEN(texts) ? texts[error] : "an unknown error";
}
