// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One attempt while it runs: what it was asked, what it answers, whether it was told to end. It is what the plugin
 * interface calls a futured_call; the accessors of that interface are here. A worker has one, used again for each
 * attempt, so that running a small task allocates nothing.
 *
 * Thread: that of the runner; attempt_cancel comes from whoever holds the baton, attempt_is_cancelled from any.
 */
#include "attach/answer.h"
#include "attach/upstream.h"
#include "base/arena.h"
#include "base/buf.h"
#include "client/include/futured/plugin.h"
#include "grpc/messages.h"
#include "grpc/status.h"
#include "worker/guard.h"
#include "worker/telling.h"

#include <stdatomic.h>

enum {
    ATTEMPT_NAME_MAX_BYTES = 255,       /* of a type, a function's reason, a content type */
    ATTEMPT_TEXT_MAX_BYTES = 64 * 1024, /* of a message or a traceback */
    ATTEMPT_KEEP_BYTES = 1024 * 1024,   /* of result memory kept for the next attempt */
    ATTEMPT_ARENA_BYTES = 4 * 1024 * 1024,
};

struct futured_call {
    /* what is asked; borrowed for the attempt */
    struct lease_ref lease;
    const char *function;
    struct task task;
    struct span task_bytes, group, traceparent;
    const struct upstream_list *upstreams; /* NULL: none; whoever has begun the attempt sets it */
    size_t max_result_bytes;

    /* what is answered */
    struct buf result; /* room for the result: what is reserved */
    size_t n_result;   /* of it, what is the result */
    struct span result_type;
    int has_failed;
    struct answer_failure failure;
    struct codec_number exit_code, signal;
    struct answer_usage usage;

    /* told to end */
    _Atomic int is_cancelled;
    _Atomic int64_t grace_ns; /* how long it then has */
    int cancel_fd;            /* an eventfd, readable then */

    struct guard guard; /* of the processes that attempts start */

    struct telling telling; /* what it says before its end */

    struct arena texts;                                            /* of this attempt */
    const char *content_type_text, *group_text, *traceparent_text; /* copies, made when asked for */
    char id_text[ID_TEXT_LEN + 1];
};

/* The plugin interface over struct futured_call. */
extern const struct futured_host attempt_host;

/* attempt_init: @guard_program as guard_init has it. 0, -errno. */
MUST_CHECK int attempt_init(struct futured_call *c, const char *guard_program);
void attempt_deinit(struct futured_call *c);

/* attempt_begin: a new attempt. @task_bytes is a serialized Task.
 *   Return: 0; ATTEMPT_E_MALFORMED (it is none: the attempt has failed). */
enum { ATTEMPT_E_MALFORMED = 1 };
MUST_CHECK int attempt_begin(struct futured_call *c, const struct lease_ref *lease, struct span task_bytes,
                             struct span group, struct span traceparent, size_t max_result_bytes);

/* attempt_end: forget what belonged to the attempt. */
void attempt_end(struct futured_call *c);

/* attempt_fail: the attempt has failed; the first reason counts. @type is kept as it is, @format is for people.
 * Answers -1, as a function would. */
int attempt_fail(struct futured_call *c, const char *reason, int code, const char *type, const char *format,
                 ...) PRINTF_LIKE(5, 6);

/* attempt_fail_too_large: a result of @n bytes is over the limit. -1. */
int attempt_fail_too_large(struct futured_call *c, size_t n);

/* attempt_cancel: tell it to end within @grace_ns. */
void attempt_cancel(struct futured_call *c, int64_t grace_ns);

/* attempt_log: @text, as it came from @stream, goes to its log; without memory it does not. */
void attempt_log(struct futured_call *c, enum telling_stream stream, struct span text);

static inline int attempt_is_cancelled(const struct futured_call *c)
{
    return atomic_load_explicit(&c->is_cancelled, memory_order_acquire);
}

/* attempt_output: all that is in the room for the result, of who writes it as it comes. */
static inline struct span attempt_output(const struct futured_call *c)
{
    return (struct span){buf_head(&c->result), buf_len(&c->result)};
}

static inline struct span attempt_result(const struct futured_call *c)
{
    return (struct span){buf_head(&c->result), c->n_result};
}
