// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Hello as a struct of spans: who a worker is and what it serves; checked as a whole, so that what follows can only fail for
 * want of room. */
#include "grpc/messages.h"
#include "grpc/status.h"

enum {
    HELLO_TOKEN_MIN_BYTES = 16,
    HELLO_TOKEN_MAX_BYTES = 64,
    HELLO_SLOTS_MAX = 1024,
    HELLO_FUNCTIONS_MAX = 10000,
    HELLO_TEXT_BYTES = 255, /* name, version */
    HELLO_DOC_BYTES = 4096,
};
enum {
    HELLO_FUNCTIONS = 3,
    HELLO_LABELS = 5,
    HELLO_HELD_LEASES = 6,
    HELLO_CONTENT_TYPES = 3 /* of a function */
};

/* Whose it is: of our own child, on a stream from elsewhere, in a Claim. */
enum hello_of { HELLO_OF_POOL, HELLO_OF_STREAM, HELLO_OF_CLAIM };

struct hello {
    struct span message; /* all of it */
    struct span name, session_token, version;
    uint32_t functions, labels, held_leases, namespaces;
    uint64_t slots, epoch;
};

struct hello_function {
    struct span message; /* all of it */
    struct span name, doc, version;
    struct codec_bytes default_options;
    uint64_t max_running;
    uint32_t content_types;
};

/* hello_read: 0; HELLO_E_BAD (@st says why). Everything is borrowed from @message. */
enum { HELLO_E_BAD = 1 };
MUST_CHECK int hello_read(struct span message, enum hello_of of, struct hello *ret, struct grpc_status *st);

/* hello_is_token: whether it may be a session token. */
MUST_CHECK int hello_is_token(struct span token);

/* hello_next_function: the next one of a Hello that hello_read has taken; start with wire_reader(message). 1, 0 = no more. */
MUST_CHECK int hello_next_function(struct wire_reader *r, struct hello_function *ret);

/* hello_is_function_name: whether it may be one. hello_bad_field: INVALID_ARGUMENT naming @field; HELLO_E_BAD. */
MUST_CHECK int hello_is_function_name(struct span name);
int hello_bad_field(struct grpc_status *st, const char *field, const char *what);
