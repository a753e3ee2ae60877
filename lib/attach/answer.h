// SPDX-License-Identifier: Apache-2.0
#pragma once
/* How an attempt has ended, as a worker says it: the fields of a Finish, and the pieces of a large result before it. */
#include "grpc/messages.h"
#include "grpc/writer.h"

/* What every AttachRequest of ours is one of. */
enum attach_field {
    ATTACH_HELLO = 1,
    ATTACH_STARTED,
    ATTACH_PROGRESS,
    ATTACH_OUTPUT,
    ATTACH_LOG,
    ATTACH_PAYLOAD,
    ATTACH_FINISH,
    ATTACH_RELEASE,
    ATTACH_RETURNED,
    ATTACH_READY,
    ATTACH_HEARTBEAT,
};

struct answer_failure {
    const char *reason; /* of the daemon's; "" is FUNCTION_ERROR */
    int code;           /* google.rpc.Code */
    int is_retryable;   /* > 0 said so, 0 not said, < 0 another attempt would fail as well */
    struct span type, message, traceback, function_reason;
};

struct answer_usage {
    int64_t user_ns, system_ns, wall_ns; /* < 0: not known */
    int64_t max_rss_bytes;
};

/* All of it is borrowed. */
struct answer {
    const struct lease_ref *lease;
    const struct answer_failure *failure; /* NULL: it has succeeded, with */
    struct span result, result_type;
    int is_chunked; /* the result has been sent in pieces */
    const struct answer_usage *usage;
    struct codec_number exit_code, signal;
};

/* answer_write: the fields of the Finish. */
void answer_write(struct writer *w, const struct answer *a);

/* answer_write_piece: the fields of a Payload: @data of the result, which lies at @offset in it. */
void answer_write_piece(struct writer *w, const struct lease_ref *lease, size_t offset, struct span data);
