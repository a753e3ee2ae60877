// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Where the daemon is: the text that a user gave, what it means, and what the kernel connects to. */
#include "base/err.h"

#include <stdint.h>

#include <sys/socket.h>
#include <sys/un.h>

enum {
    FUTURED_ADDRESS_BYTES = 512,
    FUTURED_HOST_BYTES = 256, /* a name of DNS has 253 characters */
    FUTURED_TARGETS_MAX = 8,
};

struct futured_address {
    char text[FUTURED_ADDRESS_BYTES]; /* as given; cut where it is too long, which is not valid */
    int is_unix, is_tls;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    char host[FUTURED_HOST_BYTES]; /* without brackets */
    char port[6];
    /* What is shown and asked for there; set by the client, NULL: nothing. */
    char *ca, *certificate, *key; /* paths of PEM files, with is_tls */
    char *authorization;          /* "Bearer TOKEN" */
};

/* One or more: a name may have several addresses. */
struct futured_targets {
    uint32_t n;
    struct {
        struct sockaddr_storage sa;
        socklen_t len;
    } items[FUTURED_TARGETS_MAX];
};

/* futured_address_parse: `unix:/path`, `127.0.0.1:4740`, `[::1]:4740`, `host:4740`, `tls:host:4741`.
 *   Return: 0; FUTURED_ADDRESS_E_SYNTAX (*ret_why is a static text; @ret has its text and nothing else). */
enum { FUTURED_ADDRESS_E_SYNTAX = 1 };
MUST_CHECK int futured_address_parse(const char *text, struct futured_address *ret, const char **ret_why);

/* futured_address_default: the text to use when none is given, into @to: the environment's FUTURED_ADDRESS,
 * else the socket of the user's daemon where there is one, else that of the system's. */
void futured_address_default(char to[static FUTURED_ADDRESS_BYTES]);

/* futured_address_resolve: what to connect to, in order. A name is looked up, which blocks.
 *   Return: 0; FUTURED_ADDRESS_E_NAME (*ret_why: a static text of the resolver). */
enum { FUTURED_ADDRESS_E_NAME = 2 };
MUST_CHECK int futured_address_resolve(const struct futured_address *address, struct futured_targets *ret,
                                       const char **ret_why);
