// SPDX-License-Identifier: Apache-2.0
/*
 * Invariants (told_check):
 *  1. the offsets of one kind neither overlap nor leave a gap, from 0 to n_bytes;
 *  2. what the store has not been given is the end of the list, and a fact;
 *  3. no attempt tells before it has started, and none after it has ended.
 */
#include "engine/told.h"

#include "base/mem.h"
#include "engine/restore.h"
#include "engine/state.h"
#include "engine/turn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { NOTE_BYTES = 160 };

const struct told_progress *told_progress(const struct future *f)
{
    const struct told *t = future_told(f);

    return t && t->progress.attempt && f->attempts && f->attempts->number == t->progress.attempt
                   ? &t->progress
                   : NULL;
}

static uint64_t limit_of(const struct engine *e, enum told_kind kind)
{
    return kind == TOLD_LOG ? e->config.limits.max_log_bytes : e->config.limits.max_output_bytes;
}

static uint64_t chunk_bytes(size_t n)
{
    return sizeof(struct told_chunk) + LIMITS_MALLOC_BYTES + sizeof(struct bytes) + n + LIMITS_MALLOC_BYTES;
}

static void charge(struct engine *e, struct future *f, uint64_t bytes)
{
    f->rare->told->charged_bytes += bytes;
    limits_charge(&e->account, f->scope, bytes);
}

/* What @f has told, made if it has not told anything. NULL: no memory. */
static struct told *told_of(struct engine *e, struct future *f)
{
    struct future_rare *rare = turn_rare(e, f);

    if (!rare || rare->told)
        return rare ? rare->told : NULL;
    rare->told = mem_zalloc(sizeof *rare->told);
    if (rare->told)
        charge(e, f, sizeof *rare->told + LIMITS_MALLOC_BYTES);
    return rare->told;
}

struct told *told_free(struct told *t)
{
    if (!t)
        return NULL;
    for (struct told_chunk *c = t->first, *next; c; c = next) {
        next = c->next;
        bytes_unref(c->data);
        mem_free(c);
    }
    bytes_unref(t->progress.message);
    return mem_free(t);
}

/* Behind the others. Takes @chunk. */
static void append(struct told *t, struct told_chunk *chunk)
{
    uint64_t n = chunk->data->len;

    chunk->offset = t->n_bytes[chunk->kind];
    if (t->last)
        t->last->next = chunk;
    else
        t->first = chunk;
    t->last = chunk;
    t->n_chunks++;
    t->n_bytes[chunk->kind] += n;
    t->cost_bytes[chunk->kind] += n + TOLD_PIECE_COST_BYTES;
}

/* One more chunk of @data, with all but its place. NULL: no memory. */
static struct told_chunk *chunk_new(enum told_kind kind, enum told_stream stream, struct span data)
{
    struct told_chunk *c = mem_zalloc(sizeof *c);

    if (c && !(c->data = bytes_dup(data.p, data.len)))
        c = mem_free(c);
    if (c) {
        c->kind = (uint8_t)kind;
        c->stream = (uint8_t)stream;
    }
    return c;
}

static int keep(struct engine *e, struct future *f, enum told_kind kind, enum told_stream stream,
                struct span data, wall_ns_t time)
{
    struct told *t = f->rare->told;
    struct told_chunk *c = chunk_new(kind, stream, data);

    if (!c)
        return -ENOMEM;
    c->attempt = t->attempt;
    c->time = time ? time : e->wall;
    append(t, c);
    t->attempt_cost_bytes[kind] += data.len + TOLD_PIECE_COST_BYTES;
    if (!t->unstored && f->durability == DURABILITY_DURABLE && e->config.has_store)
        t->unstored = c;
    charge(e, f, chunk_bytes(data.len));
    return 0;
}

/* From here on nothing of @kind is kept of this attempt, and its log says so. */
static int cut(struct engine *e, struct future *f, enum told_kind kind, const char *why, uint64_t limit)
{
    struct told *t = f->rare->told;
    char text[NOTE_BYTES];
    int n = snprintf(text, sizeof text, "%s[futured: the %s of attempt %" PRIu32 " is cut here: %s",
                     kind == TOLD_LOG ? "\n" : "", kind == TOLD_LOG ? "log" : "output", t->attempt, why);

    if (limit)
        n += snprintf(text + n, sizeof text - (size_t)n, " %" PRIu64 " bytes", limit);
    n += snprintf(text + n, sizeof text - (size_t)n, "]\n");
    ASSERT((size_t)n < sizeof text);
    if (keep(e, f, TOLD_LOG, TOLD_FROM_LOG, (struct span){(const uint8_t *)text, (size_t)n}, 0) < 0)
        return -ENOMEM;
    t->is_cut[kind] = 1;
    return 0;
}

/* How many bytes of a piece of @n there is room for; *ret_why and *ret_limit: if not for all, why. */
static size_t room_for(const struct engine *e, const struct told *t, enum told_kind kind, size_t n,
                       const char **ret_why, uint64_t *ret_limit)
{
    uint64_t limit = limit_of(e, kind), of_all = limit * TOLD_ATTEMPTS, room, rest;

    room = limit - MIN(limit, t->attempt_cost_bytes[kind]);
    rest = of_all - MIN(of_all, t->cost_bytes[kind]);
    *ret_why = rest < room ? "all attempts of a future may have" : "an attempt may have";
    *ret_limit = rest < room ? of_all : limit;
    room = MIN(room, rest);
    room -= MIN(room, (uint64_t)TOLD_PIECE_COST_BYTES);
    if (e->account.n_bytes + chunk_bytes(n) > e->config.limits.max_memory_bytes) {
        *ret_why = "the memory for futures is full";
        *ret_limit = room = 0;
    }
    return (size_t)MIN(room, (uint64_t)n);
}

/* A new attempt begins with nothing said. */
static void turn_to(struct told *t, uint32_t attempt)
{
    if (t->attempt == attempt)
        return;
    t->attempt = attempt;
    for (int kind = 0; kind < TOLD_KINDS; kind++) {
        t->n_heard[kind] = t->attempt_cost_bytes[kind] = t->flood_bytes[kind] = 0;
        t->is_cut[kind] = 0;
    }
}

/* What is left of @piece when what has been heard before is taken off. */
static struct span news_of(const struct told *t, const struct told_piece *piece)
{
    uint64_t known = t->n_heard[piece->kind] - piece->offset;

    if (known >= piece->data.len)
        return (struct span){0};
    return (struct span){piece->data.p + known, piece->data.len - known};
}

/* As much of @data, which is new, as there is room for. */
static int add_news(struct engine *e, struct future *f, const struct told_piece *piece, struct span data)
{
    uint64_t limit = limit_of(e, piece->kind);
    struct told *t = f->rare->told;
    enum told_kind kind = piece->kind;
    const char *why = NULL;
    size_t room = 0;

    if (limit && !t->is_cut[kind])
        room = room_for(e, t, kind, data.len, &why, &limit);
    if (room && keep(e, f, kind, piece->stream, (struct span){data.p, room}, piece->time) < 0)
        return -ENOMEM;
    t->n_heard[kind] += room;
    if (room == data.len)
        return 0;
    if (why && cut(e, f, kind, why, limit) < 0)
        return -ENOMEM;
    t->n_heard[kind] += data.len - room;
    t->flood_bytes[kind] += data.len - room;
    return 0;
}

int told_add(struct engine *e, struct lease *lease, const struct told_piece *piece)
{
    struct future *f = lease->future;
    uint32_t n_before;
    struct told *t;
    int r;

    if (!lease->is_started)
        return ENGINE_E_NOT_STARTED;
    if (piece->data.len > TOLD_PIECE_BYTES)
        return ENGINE_E_TOLD_WRONG;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    t = told_of(e, f);
    if (!t)
        return -ENOMEM;
    turn_to(t, lease->attempt);
    if (piece->offset > t->n_heard[piece->kind])
        return ENGINE_E_TOLD_WRONG;
    n_before = t->n_chunks;
    r = add_news(e, f, piece, news_of(t, piece));
    if (t->n_chunks != n_before)
        turn_tell(e, f);
    else
        t->flood_bytes[piece->kind] += TOLD_PIECE_COST_BYTES;
    if (r < 0)
        return r;
    return t->flood_bytes[piece->kind] > TOLD_FLOOD_BYTES ? ENGINE_E_FLOOD : 0;
}

int told_set_progress(struct engine *e, struct lease *lease, const struct told_progress *progress,
                      struct span message)
{
    struct future *f = lease->future;
    struct bytes *text = NULL;
    struct told_progress *to;
    struct told *t;

    if (!lease->is_started)
        return ENGINE_E_NOT_STARTED;
    if (message.len > TOLD_MESSAGE_BYTES)
        return ENGINE_E_TOLD_WRONG;
    if (turn_reserve(e) < 0)
        return -ENOMEM;
    t = told_of(e, f);
    if (t && message.len)
        text = bytes_dup(message.p, message.len);
    if (!t || (message.len && !text))
        return -ENOMEM;
    to = &t->progress;
    limits_discharge(&e->account, f->scope, limits_bytes(to->message));
    t->charged_bytes -= limits_bytes(to->message);
    bytes_unref(to->message);
    charge(e, f, limits_bytes(text));
    *to = (struct told_progress){.completed = progress->completed,
                                 .total = progress->total,
                                 .message = text,
                                 .attempt = lease->attempt,
                                 .n = to->n + 1};
    turn_tell(e, f);
    if (UNLIKELY(e->ring.at))
        ring_add(&e->ring, f, RING_PROGRESS, f->state, NULL, e->wall);
    return 0;
}

/* --- what was told before */

static int restore_chunks(struct told *t, const struct restored *in)
{
    for (uint32_t i = 0; i < in->n_chunks; i++) {
        const struct restored_chunk *from = &in->chunks[i];
        struct told_chunk *c = mem_zalloc(sizeof *c);

        if (!c)
            return -ENOMEM;
        *c = (struct told_chunk){.data = bytes_ref(from->data),
                                 .time = from->time,
                                 .attempt = from->attempt,
                                 .kind = from->kind,
                                 .stream = from->stream};
        append(t, c);
        t->charged_bytes += chunk_bytes(c->data->len);
    }
    return 0;
}

/* It is charged with the rest of the future. */
int told_restore(struct engine *e, struct future *f, const struct restored *in)
{
    const struct restored_progress *from = &in->progress;
    struct told *t;

    if (!in->n_chunks && !from->attempt)
        return 0;
    t = f->rare->told = mem_zalloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    t->charged_bytes = sizeof *t + LIMITS_MALLOC_BYTES;
    if (restore_chunks(t, in) < 0)
        return -ENOMEM;
    if (!from->attempt)
        return 0;
    t->progress = (struct told_progress){
            .completed = from->completed, .total = from->total, .attempt = from->attempt, .n = 1};
    if (from->message.len && !(t->progress.message = bytes_dup(from->message.p, from->message.len)))
        return -ENOMEM;
    t->charged_bytes += limits_bytes(t->progress.message);
    return 0;
}

void told_check(const struct future *f)
{
    const struct told *t = f->rare->told;
    uint64_t n_bytes[TOLD_KINDS] = {0},
             charged = sizeof *t + LIMITS_MALLOC_BYTES + limits_bytes(t->progress.message);
    int is_unstored = 0;
    uint32_t n = 0;

    for (const struct told_chunk *c = t->first; c; c = c->next, n++) {
        ASSERT(c->kind < TOLD_KINDS && c->data->len > 0 && c->offset == n_bytes[c->kind]); /* 1 */
        ASSERT(c->attempt > 0 && c->attempt <= f->n_claims && (c->next || c == t->last));
        n_bytes[c->kind] += c->data->len;
        charged += chunk_bytes(c->data->len);
        is_unstored |= c == t->unstored;
    }
    ASSERT(n == t->n_chunks && charged == t->charged_bytes && t->progress.attempt <= f->n_claims);
    for (int kind = 0; kind < TOLD_KINDS; kind++)
        ASSERT(n_bytes[kind] == t->n_bytes[kind]);
    ASSERT(is_unstored == (t->unstored != NULL) && (!t->unstored || f->fact)); /* 2 */
}
