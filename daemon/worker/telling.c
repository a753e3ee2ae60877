// SPDX-License-Identifier: Apache-2.0
/*
 * A frame: four bytes, little-endian: FRAME_MARK and the length of the rest; kind (a byte: enum telling_kind, or FRAME_PROGRESS);
 * stream (a byte); the data, or completed and total (8 bytes each, little-endian) and the message.
 */
#include "worker/telling.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "worker/sandbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

enum { REQUEST_PROGRESS = 3, REQUEST_OUTPUT = 4, REQUEST_LOG = 5 };
enum { PIECE_LEASE = 1, PIECE_STREAM, PIECE_OFFSET, PIECE_DATA, PIECE_TIME };
enum { PROGRESS_LEASE = 1, PROGRESS_PROGRESS };
enum {
    FRAME_HEAD_BYTES = 4,
    FRAME_FIXED_BYTES = 2,
    FRAME_PROGRESS = TELLING_KINDS,
    FRAME_NUMBERS_BYTES = 16
};
enum { KEEP_BYTES = 256 * 1024, BESIDE_BYTES = 80 };
#define FRAME_MARK (UINT32_C(1) << 31)

struct telling_piece {
    uint32_t len;
    uint8_t kind, stream;
    wall_ns_t time;
};

int telling_init(struct telling *t)
{
    *t = (struct telling){.pipe_fd = -1, .pieces = BUF_INIT};
    t->fd = sandbox_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (t->fd < 0)
        return t->fd;
    ASSERT(pthread_mutex_init(&t->lock, NULL) == 0); /* cannot fail with default attributes on Linux */
    return 0;
}

void telling_deinit(struct telling *t)
{
    if (t->fd >= 0)
        pthread_mutex_destroy(&t->lock);
    err_close(&t->fd);
    buf_deinit(&t->pieces);
    for (int kind = 0; kind < TELLING_KINDS; kind++)
        buf_deinit(&t->last[kind].bytes);
}

static void set_news(struct telling *t, int has)
{
    eventfd_t n;

    if (atomic_load_explicit(&t->has_news, memory_order_relaxed) == has)
        return;
    atomic_store_explicit(&t->has_news, has, memory_order_release);
    if (has)
        (void)eventfd_write(t->fd, 1);
    else
        (void)eventfd_read(t->fd, &n);
}

void telling_end(struct telling *t)
{
    if (LIKELY(!t->is_used))
        return;
    buf_clear(&t->pieces);
    buf_shrink(&t->pieces, KEEP_BYTES);
    for (int kind = 0; kind < TELLING_KINDS; kind++)
        buf_clear(&t->last[kind].bytes);
    memset(t->n_said, 0, sizeof t->n_said);
    memset(t->n_taken, 0, sizeof t->n_taken);
    t->has_progress = 0;
    t->is_used = 0;
    set_news(t, 0);
}

/* --- into the pipe */

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            p += written;
            n -= (size_t)written;
        }
    }
    return 0;
}

/* In one write, for who kills it between two. */
static int write_frame(struct telling *t, int kind, int stream, const uint8_t *numbers, struct span data)
{
    uint8_t frame[FRAME_HEAD_BYTES + FRAME_FIXED_BYTES + FRAME_NUMBERS_BYTES + TELLING_PIECE_BYTES];
    size_t n_numbers = numbers ? FRAME_NUMBERS_BYTES : 0, n = FRAME_FIXED_BYTES + n_numbers + data.len;
    uint8_t *to = frame;

    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        *to++ = (uint8_t)((FRAME_MARK | (uint32_t)n) >> 8 * i);
    *to++ = (uint8_t)kind;
    *to++ = (uint8_t)stream;
    if (numbers)
        memcpy(to, numbers, n_numbers);
    if (data.len)
        memcpy(to + n_numbers, data.p, data.len);
    return write_all(t->pipe_fd, frame, FRAME_HEAD_BYTES + n);
}

/* --- said */

/* The newest piece is closed: behind the others. */
static int close_last(struct telling *t, enum telling_kind kind)
{
    struct telling_last *last = &t->last[kind];
    struct telling_piece head = {.len = (uint32_t)buf_len(&last->bytes),
                                 .kind = (uint8_t)kind,
                                 .stream = last->stream,
                                 .time = last->time};

    if (head.len == 0)
        return 0;
    if (buf_reserve(&t->pieces, sizeof head + head.len) < 0)
        return -ENOMEM;
    ASSERT(buf_append(&t->pieces, &head, sizeof head) == 0 &&
           buf_append(&t->pieces, buf_head(&last->bytes), head.len) == 0);
    buf_clear(&last->bytes);
    return 0;
}

static int add(struct telling *t, enum telling_kind kind, enum telling_stream stream, struct span data)
{
    struct telling_last *last = &t->last[kind];

    while (data.len) {
        size_t n;

        if ((last->stream != stream || buf_len(&last->bytes) >= TELLING_PIECE_BYTES) &&
            close_last(t, kind) < 0)
            return -ENOMEM;
        if (buf_len(&last->bytes) == 0) {
            last->stream = (uint8_t)stream;
            last->time = clock_wall();
        }
        n = MIN(data.len, TELLING_PIECE_BYTES - buf_len(&last->bytes));
        if (buf_append(&last->bytes, data.p, n) < 0)
            return -ENOMEM;
        t->n_said[kind] += n;
        data = (struct span){data.p + n, data.len - n};
    }
    return 0;
}

int telling_say(struct telling *t, enum telling_kind kind, enum telling_stream stream, struct span data)
{
    int r = 0;

    for (; t->pipe_fd >= 0 && r == 0 && data.len;) {
        size_t n = MIN(data.len, (size_t)TELLING_PIECE_BYTES);

        r = write_frame(t, (int)kind, (int)stream, NULL, (struct span){data.p, n});
        data = (struct span){data.p + n, data.len - n};
    }
    if (t->max_bytes[kind] == 0 || t->n_said[kind] > t->max_bytes[kind] || data.len == 0)
        return r;
    data.len = MIN(data.len, (size_t)(t->max_bytes[kind] + 1 - t->n_said[kind]));
    t->is_used = 1;
    pthread_mutex_lock(&t->lock);
    r = add(t, kind, stream, data);
    set_news(t, 1);
    pthread_mutex_unlock(&t->lock);
    return r;
}

int telling_progress(struct telling *t, uint64_t completed, uint64_t total, struct span message)
{
    message.len = utf8_cut(message.p, message.len, TELLING_MESSAGE_BYTES);
    if (t->pipe_fd >= 0) {
        uint8_t numbers[FRAME_NUMBERS_BYTES];

        for (int i = 0; i < 8; i++) {
            numbers[i] = (uint8_t)(completed >> 8 * i);
            numbers[8 + i] = (uint8_t)(total >> 8 * i);
        }
        return write_frame(t, FRAME_PROGRESS, 0, numbers, message);
    }
    t->is_used = 1;
    pthread_mutex_lock(&t->lock);
    t->has_progress = 1;
    t->completed = completed;
    t->total = total;
    t->message_bytes = message.len;
    if (message.len)
        memcpy(t->message, message.p, message.len);
    set_news(t, 1);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/* --- taken */

static void write_progress(struct telling *t, const struct lease_ref *lease, struct writer *w)
{
    struct writer_mark m = writer_begin(w, REQUEST_PROGRESS, BESIDE_BYTES + t->message_bytes), inner;

    lease_ref_write(w, PROGRESS_LEASE, lease);
    inner = writer_begin(w, PROGRESS_PROGRESS, 24 + t->message_bytes);
    writer_uint(w, 1, t->completed);
    writer_uint(w, 2, t->total);
    writer_bytes(w, 3, (struct span){(const uint8_t *)t->message, t->message_bytes});
    writer_end(w, inner);
    writer_end(w, m);
    t->has_progress = 0;
}

static void write_piece(struct telling *t, const struct lease_ref *lease, const struct telling_piece *piece,
                        const uint8_t *data, struct writer *w)
{
    struct writer_mark m = writer_begin(w, piece->kind == TELLING_LOG ? REQUEST_LOG : REQUEST_OUTPUT,
                                        BESIDE_BYTES + piece->len);

    lease_ref_write(w, PIECE_LEASE, lease);
    writer_uint(w, PIECE_STREAM, piece->stream);
    writer_uint(w, PIECE_OFFSET, t->n_taken[piece->kind]);
    writer_bytes(w, PIECE_DATA, (struct span){data, piece->len});
    writer_timestamp(w, PIECE_TIME, piece->time);
    writer_end(w, m);
    t->n_taken[piece->kind] += piece->len;
}

int telling_write(struct telling *t, const struct lease_ref *lease, struct writer *w, size_t max_bytes)
{
    int is_more;

    pthread_mutex_lock(&t->lock);
    if (t->has_progress)
        write_progress(t, lease, w);
    if (close_last(t, TELLING_OUTPUT) < 0 || close_last(t, TELLING_LOG) < 0)
        w->failed = -ENOMEM;
    while (buf_len(&t->pieces) && buf_len(w->out) < max_bytes && !w->failed) {
        struct telling_piece piece;

        memcpy(&piece, buf_head(&t->pieces), sizeof piece);
        write_piece(t, lease, &piece, buf_head(&t->pieces) + sizeof piece, w);
        buf_consume(&t->pieces, sizeof piece + piece.len);
    }
    is_more = buf_len(&t->pieces) > 0 && !w->failed;
    set_news(t, is_more);
    pthread_mutex_unlock(&t->lock);
    return is_more;
}

/* --- frames */

static uint64_t get_le(const uint8_t *p, int n)
{
    uint64_t v = 0;

    for (int i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

/* One frame without its length. 0; -EBADMSG. */
static int take_frame(struct telling *t, const uint8_t *p, size_t n)
{
    int kind = p[0], stream = p[1];
    struct span data = {p + FRAME_FIXED_BYTES, n - FRAME_FIXED_BYTES};

    if (kind < TELLING_KINDS && stream >= TELLING_FROM_OUTPUT && stream <= TELLING_FROM_LOG)
        return telling_say(t, (enum telling_kind)kind, (enum telling_stream)stream, data) < 0 ? -ENOMEM : 0;
    if (kind != FRAME_PROGRESS || data.len < FRAME_NUMBERS_BYTES)
        return -EBADMSG;
    if (!utf8_is_valid(data.p + FRAME_NUMBERS_BYTES, data.len - FRAME_NUMBERS_BYTES))
        return -EBADMSG;
    return telling_progress(t, get_le(data.p, 8), get_le(data.p + 8, 8),
                            (struct span){data.p + FRAME_NUMBERS_BYTES, data.len - FRAME_NUMBERS_BYTES});
}

/* What is no frame stays where it is, and is no answer either: it is seen then. */
void telling_take_frames(struct telling *t, struct buf *from)
{
    while (buf_len(from) >= FRAME_HEAD_BYTES) {
        uint32_t head = (uint32_t)get_le(buf_head(from), FRAME_HEAD_BYTES);
        size_t n = head & ~FRAME_MARK;

        if (!(head & FRAME_MARK) || n < FRAME_FIXED_BYTES ||
            n > FRAME_FIXED_BYTES + FRAME_NUMBERS_BYTES + TELLING_PIECE_BYTES ||
            buf_len(from) < FRAME_HEAD_BYTES + n ||
            take_frame(t, buf_head(from) + FRAME_HEAD_BYTES, n) == -EBADMSG)
            return;
        buf_consume(from, FRAME_HEAD_BYTES + n);
    }
}
