// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes are in a row: the reader of records refuses them or makes something of them that can be used. The
 * input is taken as it is, and once more with the checksum put right, for no input would have the right one by chance;
 * and as a row of expiry.
 */
#include "base/mem.h"
#include "store/crc32c.h"
#include "store/expiry.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct id id = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16}};

/* Touch all of @s, so that the address sanitizer sees a span that points elsewhere. */
static size_t look(struct span s)
{
    size_t sum = 0;

    ASSERT(s.p || s.len == 0);
    for (size_t i = 0; i < s.len; i++)
        sum += s.p[i];
    return sum;
}

static size_t look_error(const struct future_error *e)
{
    ASSERT(e->reason == future_reason_parse(span_of_string(future_reason_text(e->reason))));
    return look(e->type) + look(e->message) + look(e->traceback) + look(e->function_reason) +
           look(e->details);
}

static void use(const struct record *r)
{
    size_t sum = 0;

    ASSERT(r->state >= FUTURE_PENDING && r->state <= FUTURE_CANCELLED);
    ASSERT(r->has_outcome == (r->state >= FUTURE_SUCCEEDED));
    ASSERT(r->has_data == (r->state == FUTURE_SUCCEEDED));
    ASSERT(r->function.len > 0);
    ASSERT((uint64_t)r->argument_at + r->argument_field_bytes <= r->task_bytes);
    ASSERT(r->task_in_blob ? !r->task.p : r->task.len == r->task_bytes);
    ASSERT(r->data_in_blob ? !r->data.p : r->data.len == r->data_bytes);
    sum += look(r->function) + look(r->namespace) + look(r->principal) + look(r->group) + look(r->peer);
    sum += look(r->tag) + look(r->traceparent) + look(r->cancel_principal) + look(r->cancel_reason);
    sum += look(r->content_type) + look(r->task) + look(r->data);
    for (uint32_t i = 0; i < r->n_labels; i++)
        sum += look(r->labels[i].key) + look(r->labels[i].value);
    for (uint32_t i = 0; i < r->n_attempts; i++) {
        sum += look(r->attempts[i].worker);
        if (r->attempts[i].has_error)
            sum += look_error(&r->attempts[i].error);
    }
    if (r->has_error)
        sum += look_error(&r->error);
    ASSERT(!r->error_is_shared || r->attempts[0].has_error);
    ASSERT(sum != SIZE_MAX); /* all of it has been read */
}

static void decode(const uint8_t *bytes, size_t size)
{
    struct record record;

    if (record_decode(&id, (struct span){bytes, size}, &record) == 0) {
        use(&record);
        record_deinit(&record);
    }
}

static void unpack(const uint8_t *data, size_t size)
{
    uint64_t keys[EXPIRY_ROW_KEYS];
    uint32_t n, at = 0;
    struct expiry e = {0};
    struct buf again = BUF_INIT;
    int64_t hour;

    if (expiry_unpack((struct span){data, size}, keys, &n) != 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(i == 0 || keys[i] >= keys[i - 1]);
        ASSERT(expiry_add(&e, keys[i], 0) == 0);
    }
    if (n > 0) { /* there is one way to write it */
        ASSERT(expiry_row(&e, &at, &again, &hour) == 0 && at == n);
        ASSERT(buf_len(&again) == size && memcmp(buf_head(&again), data, size) == 0);
    }
    buf_deinit(&again);
    expiry_deinit(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + 4);
    uint32_t crc = crc32c(crc32c(0, id.b, sizeof id.b), data, size);

    ASSERT(exact);
    decode(data, size);
    if (size)
        memcpy(exact, data, size);
    for (size_t i = 0; i < 4; i++)
        exact[size + i] = (uint8_t)(crc >> (8 * i));
    decode(exact, size + 4);
    free(exact);
    unpack(data, size);
    return 0;
}
