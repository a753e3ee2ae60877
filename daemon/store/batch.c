// SPDX-License-Identifier: Apache-2.0
#include "store/batch.h"

#include "base/mem.h"
#include "engine/idem.h"
#include "engine/told.h"
#include "store/match.h"
#include "store/record.h"

#include <errno.h>

enum { OPS_MIN = 64, OPS_KEEP = 4096, BYTES_KEEP = 1 << 20, OP_COST_BYTES = 64 };

struct batch *batch_new(void)
{
    struct batch *b = mem_zalloc(sizeof *b);

    if (b)
        list_init(&b->link);
    return b;
}

void batch_clear(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        bytes_unref(b->ops[i].task);
        bytes_unref(b->ops[i].data);
    }
    if (b->cap > OPS_KEEP) {
        b->ops = mem_free(b->ops);
        b->cap = 0;
    }
    buf_clear(&b->bytes);
    buf_shrink(&b->bytes, BYTES_KEEP);
    b->n = 0;
    b->n_bytes = 0;
    b->is_continued = 0;
    b->commit_seq = 0;
    b->result = 0;
}

struct batch *batch_free(struct batch *b)
{
    if (!b)
        return NULL;
    batch_clear(b);
    buf_deinit(&b->bytes);
    mem_free(b->ops);
    return mem_free(b);
}

/* The next op, cleared; it counts when it is committed. NULL: no memory. */
static struct batch_op *op_reserve(struct batch *b, enum batch_kind kind)
{
    if (b->n == b->cap) {
        uint32_t cap = MAX(b->cap * 2, (uint32_t)OPS_MIN);
        struct batch_op *ops = mem_realloc(b->ops, cap * sizeof *ops);

        if (!ops)
            return NULL;
        b->ops = ops;
        b->cap = cap;
    }
    b->ops[b->n] = (struct batch_op){.kind = kind};
    return &b->ops[b->n];
}

static void op_commit(struct batch *b, size_t bytes)
{
    b->n++;
    b->n_bytes += OP_COST_BYTES + bytes;
}

/* Whose it is, behind all else. */
static int put_owner(struct batch *b, struct batch_op *op, const struct future *f)
{
    struct span principal = future_principal(f), namespace = future_namespace(f);
    const struct told *told = future_told(f);
    size_t at = buf_len(&b->bytes);

    if (buf_append(&b->bytes, principal.p, principal.len) < 0 || buf_append(&b->bytes, "/", 1) < 0 ||
        (namespace.len && buf_append(&b->bytes, namespace.p, namespace.len) < 0))
        return -ENOMEM;
    op->owner = (struct batch_piece){(uint32_t)at, (uint32_t)(buf_len(&b->bytes) - at)};
    for (int i = 0; told && i < TOLD_KINDS; i++)
        op->told_bytes += told->n_bytes[i];
    return 0;
}

int batch_put(struct batch *b, enum batch_kind kind, const struct future *f)
{
    struct batch_op *op = op_reserve(b, kind);
    struct record_place place;
    size_t blobs = 0, begin = buf_len(&b->bytes);
    int r;

    ASSERT(kind <= BATCH_PUT_DONE);
    ASSERT(future_is_terminal(f) == (kind != BATCH_PUT_LIVE));
    if (!op)
        return -ENOMEM;
    r = record_encode(f, &b->bytes, &place);
    if (r < 0)
        return r;
    if (kind != BATCH_PUT_LIVE && f->group) {
        if (match_group_key(&b->bytes, future_namespace(f), future_group(f)) < 0) {
            b->bytes.end = b->bytes.start + begin;
            return -ENOMEM;
        }
        op->group = (struct batch_piece){place.at + place.len,
                                         (uint32_t)(buf_len(&b->bytes) - place.at - place.len)};
    }
    if (UNLIKELY(future_principal(f).len) && kind != BATCH_PUT_LIVE && put_owner(b, op, f) < 0) {
        b->bytes.end = b->bytes.start + begin;
        return -ENOMEM;
    }
    op->id = f->id;
    op->k = id_key(&f->id);
    op->state = f->state;
    op->time = future_expire_time(f);
    if (UNLIKELY(f->rare && f->rare->idem) && kind != BATCH_PUT_LIVE) {
        op->has_key = 1;
        op->key_hash = idem_stored_hash(future_namespace(f), future_key(f));
    }
    op->record = (struct batch_piece){place.at, place.len};
    op->function = (struct batch_piece){place.function_at, (uint32_t)future_function_name(f).len};
    if (!record_is_inline(f->task)) {
        op->task = bytes_ref(f->task);
        blobs += f->task->len;
    }
    if (f->outcome && !record_is_inline(f->outcome->data)) {
        op->data = bytes_ref(f->outcome->data);
        blobs += f->outcome->data->len;
    }
    op_commit(b, place.len + blobs);
    return 0;
}

int batch_chunks(struct batch *b, const struct future *f)
{
    const struct told *t = future_told(f);
    /* what is finished may have expired and been swept meanwhile: as its blobs are, all is given once more */
    int is_again = b->n > 0 && b->ops[b->n - 1].kind == BATCH_PUT_DONE;
    const struct told_chunk *first = !t ? NULL : is_again ? t->first : t->unstored;
    uint32_t n = 0;

    for (const struct told_chunk *c = first; c; c = c->next)
        n++;
    for (const struct told_chunk *c = first; c; c = c->next, n--) {
        struct batch_op *op = op_reserve(b, BATCH_CHUNK);

        if (!op)
            return -ENOMEM;
        op->id = f->id;
        op->k = id_key(&f->id);
        op->time = c->time;
        op->data = bytes_ref(c->data);
        op->chunk = (struct batch_chunk){.offset = c->offset,
                                         .n = t->n_chunks - n,
                                         .attempt = c->attempt,
                                         .kind = c->kind,
                                         .stream = c->stream};
        op_commit(b, c->data->len);
    }
    return 0;
}

int batch_delete(struct batch *b, const struct id *id)
{
    struct batch_op *op = op_reserve(b, BATCH_DELETE);

    if (!op)
        return -ENOMEM;
    op->id = *id;
    op->k = id_key(id);
    op_commit(b, 0);
    return 0;
}

int batch_key_ceiling(struct batch *b, uint64_t k)
{
    struct batch_op *op = op_reserve(b, BATCH_KEY_CEILING);

    if (!op)
        return -ENOMEM;
    op->k = k;
    op_commit(b, 0);
    return 0;
}

/* The room has been reserved. */
static struct batch_piece append(struct batch *b, struct span s)
{
    struct batch_piece piece = {(uint32_t)buf_len(&b->bytes), (uint32_t)s.len};

    if (s.len)
        ASSERT(buf_append(&b->bytes, s.p, s.len) == 0);
    return piece;
}

int batch_setting(struct batch *b, struct span name, const struct span *value, struct span who, wall_ns_t at,
                  struct span why)
{
    struct batch_op *op = op_reserve(b, BATCH_SETTING);
    struct span none = {0};
    size_t n = name.len + (value ? value->len : 0) + who.len + why.len;

    ASSERT(name.len > 0);
    if (!op || buf_reserve(&b->bytes, n + 1) < 0)
        return -ENOMEM;
    op->has_value = value != NULL;
    op->time = at;
    op->name = append(b, name);
    op->value = append(b, value ? *value : none);
    op->who = append(b, who);
    op->why = append(b, why);
    op_commit(b, n);
    return 0;
}
