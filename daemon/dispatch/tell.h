// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What a worker says of running attempts: AttemptProgress, Output, Log, by Attach and by Renew. */
#include "engine/engine.h"
#include "grpc/messages.h"

enum tell_what { TELL_PROGRESS, TELL_OUTPUT, TELL_LOG };

/* One of these messages; borrowed from it. */
struct tell {
    struct lease_ref lease;
    struct told_piece piece;       /* of output and log */
    struct told_progress progress; /* else: what it says, ... */
    struct span message;           /* ... and this */
    enum tell_what what;
};

/* tell_read: what @message says. 0; -EBADMSG. */
MUST_CHECK int tell_read(enum tell_what what, struct span message, struct tell *ret);

/* tell_take: it holds of the attempt under @lease, which is that of @t. 0; -ENOMEM; -EBADMSG: it breaks the rules; -EDQUOT: it says
 * far too much. */
MUST_CHECK int tell_take(struct engine *e, struct lease *lease, const struct tell *t);

/* tell_bad, tell_flood: the status for these. Return @st. */
struct grpc_status *tell_bad(struct grpc_status *st, const char *field);
struct grpc_status *tell_flood(struct grpc_status *st, const char *field);
