// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The addresses that the daemon listens on and the names of those who call, as text and as the kernel wants
 * them. Numeric only: a name would have to be looked up, and the loop never waits for that.
 */
#include "base/err.h"

#include <stdint.h>

#include <sys/socket.h>

enum { ADDRESS_TEXT_BYTES = 128 };

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
    int is_tls;
    char text
            [ADDRESS_TEXT_BYTES]; /* as address_parse takes it: "unix:/path", "127.0.0.1:80", "tls:[::1]:80" */
};

/* address_parse: `unix:/path`, `127.0.0.1:4740`, `[::1]:4740`, `[fe80::1%eth0]:4740`, and `tls:` before a TCP address; port 0
 * is any.
 *   Return: 0; ADDRESS_E_SYNTAX (*ret_why is a static text: what is wrong and what is allowed). */
enum { ADDRESS_E_SYNTAX = 1 };
MUST_CHECK int address_parse(const char *text, struct address *ret, const char **ret_why);

/* address_set: @ret, whose is_tls is set, becomes what the kernel says, such as getsockname after a bind to port 0. */
void address_set(struct address *ret, const struct sockaddr *sa, socklen_t len);

/* address_is_loopback: whether only this machine can connect to it; a Unix address is. address_bare: its text without "tls:". */
MUST_CHECK int address_is_loopback(const struct address *a);
const char *address_bare(const struct address *a);

/* address_of_peer: who is connected to @fd: "127.0.0.1:50412", "[::1]:5000", "unix:uid=1000,pid=42" (what
 * the kernel noted at connect), "unknown" where it does not say. @ret_uid and @ret_gid are -1 but for the third. */
void address_of_peer(int fd, const struct sockaddr *sa, socklen_t len, char text[static ADDRESS_TEXT_BYTES],
                     int64_t *ret_uid, int64_t *ret_gid);

static inline int address_is_unix(const struct address *a)
{
    return a->sa.ss_family == AF_UNIX;
}

/* address_path: of a Unix address, NUL-terminated. address_port: of a TCP address. */
const char *address_path(const struct address *a);
uint16_t address_port(const struct address *a);
