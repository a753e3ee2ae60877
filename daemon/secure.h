// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What [tls] says as a context for new connections, which a reload replaces; connections keep the one they began with. */
#include "daemon/config.h"

struct conn_set;
struct tls_context;

struct secure {
    struct conn_set *conns;
    struct tls_context *context; /* NULL: no certificate */
};

/* secure_context_new: read the files. 0 (*ret is NULL where there is no certificate); > 0: @why is a sentence. */
MUST_CHECK int secure_context_new(struct tls_context **ret, const struct config *config, char *why);

/* secure_init: for connections of @conns. 0; -EINVAL (logged); -ENOMEM. Deinit after the connections. */
MUST_CHECK int secure_init(struct secure *s, struct conn_set *conns, const struct config *config);
void secure_deinit(struct secure *s);

/* secure_reload: the files anew, for handshakes that begin from now on; or all stays as it was.
 *   Return: 0; > 0 (@why, of TLS_WHY_BYTES, is a sentence); -ENOMEM. */
MUST_CHECK int secure_reload(struct secure *s, const struct config *config, char *why);
