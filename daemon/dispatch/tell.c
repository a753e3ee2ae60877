// SPDX-License-Identifier: Apache-2.0
#include "dispatch/tell.h"

#include "dispatch/hello.h"

#include <errno.h>

/* Output and Log have the same fields. */
struct piece_message {
    struct codec_bytes lease, data;
    uint64_t stream, offset;
    struct codec_time time;
};
static const struct codec_row piece_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct piece_message, lease),
        CODEC_ROW(2, CODEC_UINT, struct piece_message, stream),
        CODEC_ROW(3, CODEC_UINT, struct piece_message, offset),
        CODEC_ROW(4, CODEC_BYTES, struct piece_message, data),
        CODEC_ROW(5, CODEC_TIMESTAMP, struct piece_message, time),
};
static const struct codec_table piece_table = {piece_rows, ARRAY_LEN(piece_rows)};

struct attempt_progress_message {
    struct codec_bytes lease, progress;
};
static const struct codec_row attempt_progress_rows[] = {
        CODEC_ROW(1, CODEC_MESSAGE, struct attempt_progress_message, lease),
        CODEC_ROW(2, CODEC_MESSAGE, struct attempt_progress_message, progress),
};
static const struct codec_table attempt_progress_table = {attempt_progress_rows,
                                                          ARRAY_LEN(attempt_progress_rows)};

struct progress_message {
    uint64_t completed, total;
    struct span message;
};
static const struct codec_row progress_rows[] = {
        CODEC_ROW(1, CODEC_UINT, struct progress_message, completed),
        CODEC_ROW(2, CODEC_UINT, struct progress_message, total),
        CODEC_ROW(3, CODEC_STRING, struct progress_message, message),
};
static const struct codec_table progress_table = {progress_rows, ARRAY_LEN(progress_rows)};

static int read_piece(struct span message, struct tell *ret)
{
    struct piece_message m = {0};
    const char *field;

    if (codec_read(&piece_table, message, &m, &field) != 0 ||
        lease_ref_read(m.lease.data, &ret->lease) != 0 || m.data.data.len > TOLD_PIECE_BYTES ||
        m.stream > TOLD_FROM_LOG)
        return -EBADMSG;
    ret->piece = (struct told_piece){
            .kind = ret->what == TELL_LOG ? TOLD_LOG : TOLD_OUTPUT,
            .stream = m.stream                ? (enum told_stream)m.stream
                      : ret->what == TELL_LOG ? TOLD_FROM_LOG
                                              : TOLD_FROM_OUTPUT,
            .offset = m.offset,
            .data = m.data.data,
            .time = m.time.is_set ? m.time.ns : 0,
    };
    return 0;
}

static int read_progress(struct span message, struct tell *ret)
{
    struct attempt_progress_message m = {0};
    struct progress_message progress = {0};
    const char *field;

    if (codec_read(&attempt_progress_table, message, &m, &field) != 0 ||
        lease_ref_read(m.lease.data, &ret->lease) != 0 ||
        codec_read(&progress_table, m.progress.data, &progress, &field) != 0 ||
        progress.message.len > TOLD_MESSAGE_BYTES)
        return -EBADMSG;
    ret->progress = (struct told_progress){.completed = progress.completed, .total = progress.total};
    ret->message = progress.message;
    return 0;
}

int tell_read(enum tell_what what, struct span message, struct tell *ret)
{
    *ret = (struct tell){.what = what};
    return what == TELL_PROGRESS ? read_progress(message, ret) : read_piece(message, ret);
}

int tell_take(struct engine *e, struct lease *lease, const struct tell *t)
{
    int r = t->what == TELL_PROGRESS ? engine_progress(e, lease, &t->progress, t->message)
                                     : engine_tell(e, lease, &t->piece);

    if (r == ENGINE_E_FLOOD)
        return -EDQUOT;
    return r > 0 ? -EBADMSG : r;
}

struct grpc_status *tell_bad(struct grpc_status *st, const char *field)
{
    hello_bad_field(st, field,
                    "it needs a lease that has started, a known stream, and an offset that leaves no gap "
                    "behind what this attempt has "
                    "said before; at most 64 KiB of data, 1 KiB of a message");
    return st;
}

struct grpc_status *tell_flood(struct grpc_status *st, const char *field)
{
    return status_set(
            st, GRPC_RESOURCE_EXHAUSTED, "TOLD_TOO_MUCH",
            "an attempt goes on with %s long after as much as is kept of it: Welcome says how much that is",
            field);
}
