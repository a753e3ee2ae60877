// SPDX-License-Identifier: Apache-2.0
#include "daemon/net/address.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

static const char unix_prefix[] = "unix:", tls_prefix[] = "tls:";

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return ADDRESS_E_SYNTAX;
}

static int parse_unix(const char *path, struct address *a, const char **ret_why)
{
    struct sockaddr_un *sun = (struct sockaddr_un *)&a->sa;

    if (strncmp(path, "///", 3) == 0) /* the other spelling of gRPC: unix:///path */
        path += 2;
    if (*path != '/' || path[1] == '/')
        return refuse(ret_why, "the path of a Unix socket starts with / (unix:/run/futured/futured.sock)");
    if (strlen(path) >= sizeof sun->sun_path)
        return refuse(ret_why, "the path of a Unix socket has at most 107 bytes");
    if (path[strlen(path) - 1] == '/')
        return refuse(ret_why, "the path of a Unix socket names a file, not a directory");
    sun->sun_family = AF_UNIX;
    memcpy(sun->sun_path, path, strlen(path) + 1);
    a->len = sizeof *sun;
    snprintf(a->text, sizeof a->text, "%s%s", unix_prefix, path);
    return 0;
}

static int parse_port(const char *text, uint16_t *ret)
{
    uint32_t port = 0;

    if (!*text || strlen(text) > 5)
        return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        port = port * 10 + (uint32_t)(*text - '0');
    }
    if (port > UINT16_MAX)
        return 0;
    *ret = (uint16_t)port;
    return 1;
}

/* The text between the brackets of an IPv6 address, with the interface after a %. */
static int parse_v6(char *host, struct sockaddr_in6 *sin6)
{
    char *scope = strchr(host, '%');

    if (scope) {
        *scope++ = '\0';
        sin6->sin6_scope_id = if_nametoindex(scope);
        if (!sin6->sin6_scope_id)
            return 0;
    }
    return inet_pton(AF_INET6, host, &sin6->sin6_addr) == 1;
}

static int parse_tcp(const char *text, struct address *a, const char **ret_why)
{
    struct sockaddr_in *sin = (struct sockaddr_in *)&a->sa;
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&a->sa;
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
    uint16_t port;
    size_t n;

    if (!colon)
        return refuse(ret_why, "no port; an address is unix:/path, 127.0.0.1:4740 or [::1]:4740");
    if (!parse_port(colon + 1, &port))
        return refuse(ret_why, "the port is a number from 0 (any) to 65535");
    n = (size_t)(colon - text);
    if (n >= sizeof host)
        return refuse(ret_why, "the host is too long for a numeric address");
    memcpy(host, text, n);
    host[n] = '\0';
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        if (!parse_v6(host + 1, sin6))
            return refuse(ret_why, "no IPv6 address (or no such interface after %) between the brackets");
        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons(port);
        a->len = sizeof *sin6;
    } else if (inet_pton(AF_INET, host, &sin->sin_addr) == 1) {
        sin->sin_family = AF_INET;
        sin->sin_port = htons(port);
        a->len = sizeof *sin;
    } else if (strchr(host, ':')) {
        return refuse(ret_why, "an IPv6 address stands in brackets ([::1]:4740)");
    } else {
        return refuse(ret_why, "the host is a numeric address (127.0.0.1, [::1], or 0.0.0.0 for all of IPv4, "
                               "[::] for all of IPv6); names are not looked up");
    }
    address_set(a, (const struct sockaddr *)&a->sa, a->len);
    return 0;
}

int address_parse(const char *text, struct address *ret, const char **ret_why)
{
    struct address a = {0};
    int r;

    a.is_tls = strncmp(text, tls_prefix, sizeof tls_prefix - 1) == 0;
    if (a.is_tls)
        text += sizeof tls_prefix - 1;
    if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0 && a.is_tls)
        r = refuse(ret_why, "a Unix socket needs no TLS: the kernel says who is at the other end");
    else if (strncmp(text, unix_prefix, sizeof unix_prefix - 1) == 0)
        r = parse_unix(text + sizeof unix_prefix - 1, &a, ret_why);
    else
        r = parse_tcp(text, &a, ret_why);
    if (r == 0)
        *ret = a;
    return r;
}

static void format_tcp(const struct sockaddr *sa, const char *prefix, char text[static ADDRESS_TEXT_BYTES])
{
    const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)sa;
    char host[INET6_ADDRSTRLEN], scope[IF_NAMESIZE] = "";

    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &sin->sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s%s:%u", prefix, host, ntohs(sin->sin_port));
        return;
    }
    inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof host);
    if (sin6->sin6_scope_id && !if_indextoname(sin6->sin6_scope_id, scope))
        snprintf(scope, sizeof scope, "%u", sin6->sin6_scope_id);
    snprintf(text, ADDRESS_TEXT_BYTES, "%s[%s%s%s]:%u", prefix, host, *scope ? "%" : "", scope,
             ntohs(sin6->sin6_port));
}

void address_set(struct address *ret, const struct sockaddr *sa, socklen_t len)
{
    const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)sa;

    ASSERT(len <= sizeof ret->sa);
    if (sa != (const struct sockaddr *)&ret->sa)
        memcpy(&ret->sa, sa, len);
    ret->len = len;
    if (sa->sa_family == AF_UNIX)
        snprintf(ret->text, sizeof ret->text, "%s%s", unix_prefix, sun->sun_path);
    else
        format_tcp(sa, ret->is_tls ? tls_prefix : "", ret->text);
}

int address_is_loopback(const struct address *a)
{
    const struct sockaddr_in *sin = (const struct sockaddr_in *)&a->sa;
    const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)&a->sa;

    switch (a->sa.ss_family) {
    case AF_INET: return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
    default: return 1;
    }
}

const char *address_bare(const struct address *a)
{
    return a->is_tls ? a->text + sizeof tls_prefix - 1 : a->text;
}

void address_of_peer(int fd, const struct sockaddr *sa, socklen_t len, char text[static ADDRESS_TEXT_BYTES],
                     int64_t *ret_uid, int64_t *ret_gid)
{
    struct ucred cred;
    socklen_t cred_len = sizeof cred;

    *ret_uid = *ret_gid = -1;
    if (len >= sizeof(sa_family_t) && (sa->sa_family == AF_INET || sa->sa_family == AF_INET6)) {
        format_tcp(sa, "", text);
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0) {
        snprintf(text, ADDRESS_TEXT_BYTES, "%suid=%u,pid=%d", unix_prefix, cred.uid, (int)cred.pid);
        *ret_uid = cred.uid;
        *ret_gid = cred.gid;
    } else {
        snprintf(text, ADDRESS_TEXT_BYTES, "unknown");
    }
}

const char *address_path(const struct address *a)
{
    ASSERT(address_is_unix(a));
    return ((const struct sockaddr_un *)&a->sa)->sun_path;
}

uint16_t address_port(const struct address *a)
{
    ASSERT(!address_is_unix(a));
    if (a->sa.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
}
