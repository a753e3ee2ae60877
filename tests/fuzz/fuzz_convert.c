// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a record of the store says of a future, what clients are told of it is a message that protobuf-c reads, no larger
 * than was promised, in every view and cut to any room. The input is a record without its checksum. What a record cannot
 * hold because it was looked at before it was accepted is passed over: a task that is no Task.
 */
#include "base/mem.h"
#include "daemon/persist.h"
#include "futured/v1/futures.pb-c.h"
#include "service/convert.h"
#include "store/crc32c.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOB_MAX = 1 << 16 };

static const struct id id = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}};
static const struct hash_seed seed = {1, 2};

/* What stands in for the payloads that are in no record. 0; -1: nothing that can be. */
static int fill(struct store_item *item)
{
    static const uint8_t zeros[BLOB_MAX];
    struct record *r = &item->record;

    if (r->task_in_blob || (r->data_in_blob && r->data_bytes > BLOB_MAX))
        return -1; /* a Task without its bytes cannot be made up */
    if (r->data_in_blob && !(item->data = bytes_dup(zeros, r->data_bytes)))
        return -1;
    return 0;
}

/* Whether its task was accepted once; where the argument is in it is as it was found then. */
static int is_task(struct record *r)
{
    Futured__V1__Task *m = futured__v1__task__unpack(NULL, r->task.len, r->task.p);
    struct task task = {0};
    const char *field;

    if (m)
        futured__v1__task__free_unpacked(m, NULL);
    if (!m || codec_read(&task_table, r->task, &task, &field) != 0 || task.argument_blob.p)
        return 0;
    r->argument_at = task.argument.is_set ? (uint32_t)(task.argument.field.p - r->task.p) : 0;
    r->argument_field_bytes = (uint32_t)task.argument.field.len;
    r->argument_bytes = (uint32_t)task.argument.data.len;
    return 1;
}

static int is_details(const struct future_error *error)
{
    Futured__V1__Error *m = futured__v1__error__unpack(NULL, error->details.len, error->details.p);

    if (m)
        futured__v1__error__free_unpacked(m, NULL);
    return m != NULL;
}

/* What a worker said as details of an error was looked at as well. */
static int are_details(const struct record *r)
{
    for (uint32_t i = 0; i < r->n_attempts; i++)
        if (r->attempts[i].has_error && !is_details(&r->attempts[i].error))
            return 0;
    return !r->has_error || is_details(&r->error);
}

static void compare(const struct future *f, const Futured__V1__Future *m, struct convert_view view)
{
    char text[ID_TEXT_LEN + 1];
    size_t n_attempts = 0;

    id_format(&f->id, text);
    ASSERT(strcmp(m->id, text) == 0);
    ASSERT(m->state == (Futured__V1__State)f->state && m->revision == f->revision);
    ASSERT(m->omitted == (view.omitted != 0));
    ASSERT((m->outcome_case == FUTURED__V1__FUTURE__OUTCOME_RESULT) == (f->state == FUTURE_SUCCEEDED));
    ASSERT((m->outcome_case == FUTURED__V1__FUTURE__OUTCOME_ERROR) ==
           (f->state == FUTURE_FAILED || f->state == FUTURE_CANCELLED));
    if (f->state == FUTURE_SUCCEEDED && view.view == VIEW_FULL)
        ASSERT(m->result->data.len == f->outcome->data->len);
    for (const struct attempt *a = f->attempts; a; a = a->next)
        n_attempts++;
    ASSERT(view.view == VIEW_RESULT || m->n_attempts == n_attempts);
}

static void show(const struct future *f, struct convert_view view)
{
    struct buf out = BUF_INIT;
    struct writer w = writer_to(&out);
    Futured__V1__Future *m;

    convert_future(&w, f, view);
    ASSERT(!w.failed && buf_len(&out) <= convert_view_size(f, view));
    m = futured__v1__future__unpack(NULL, buf_len(&out), buf_head(&out));
    ASSERT(m && m->base.n_unknown_fields == 0);
    compare(f, m, view);
    futured__v1__future__free_unpacked(m, NULL);
    buf_deinit(&out);
}

static void show_all(const struct future *f)
{
    for (enum view view = VIEW_RESULT; view <= VIEW_FULL; view++) {
        show(f, (struct convert_view){.view = view});
        for (size_t room = 16; room < (size_t)1 << 20; room *= 4) {
            struct convert_view fit = convert_fit(f, view, room);

            ASSERT(fit.omitted || convert_size(f, view) <= room);
            show(f, fit);
        }
    }
}

static void restore(struct store_item *item)
{
    struct engine_config config = engine_config_default();
    struct engine *e;
    struct future *f;

    config.seed = seed;
    config.has_store = 1;
    config.accept_unknown_functions = 1;
    ASSERT(engine_new(&e, &config) == 0);
    engine_begin(e, NS_PER_S, INT64_C(1790000000) * NS_PER_S);
    if (persist_restore(e, item, &f) == 0)
        show_all(f);
    engine_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 4);
    uint32_t crc = crc32c(crc32c(0, id.b, sizeof id.b), data, size);
    struct store_item item = {0};

    ASSERT(bytes);
    if (size)
        memcpy(bytes, data, size);
    for (size_t i = 0; i < 4; i++)
        bytes[size + i] = (uint8_t)(crc >> (8 * i));
    if (record_decode(&id, (struct span){bytes, size + 4}, &item.record) == 0) {
        if (fill(&item) == 0 && is_task(&item.record) && are_details(&item.record))
            restore(&item);
        bytes_unref(item.data);
        record_deinit(&item.record);
    }
    free(bytes);
    return 0;
}
