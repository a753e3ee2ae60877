// SPDX-License-Identifier: Apache-2.0
#include "client/lib/address.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#define SOCKET_NAME "futured/futured.sock"
#define SYSTEM_DIR  "/run"

static const char forms[] = "must be unix:/path, 127.0.0.1:4740, [::1]:4740, host:4740 or tls:host:4741";

static int parse_unix(const char *path, struct futured_address *ret, const char **ret_why)
{
    size_t n = strlen(path);

    if (n == 0) {
        *ret_why = "has no path after unix:";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    if (n >= sizeof ret->path) {
        *ret_why = "has a path of more than 107 bytes, which no Unix socket can have";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    memcpy(ret->path, path, n + 1);
    ret->is_unix = 1;
    return 0;
}

static int parse_port(const char *port, struct futured_address *ret, const char **ret_why)
{
    char *end;
    unsigned long n;

    if (strlen(port) >= sizeof ret->port || port[strspn(port, "0123456789")] || !*port) {
        *ret_why = "must end in a port, a number from 1 to 65535";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    n = strtoul(port, &end, 10);
    if (n == 0 || n > UINT16_MAX) {
        *ret_why = "must have a port from 1 to 65535";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    memcpy(ret->port, port, strlen(port) + 1);
    return 0;
}

static int parse_tcp(const char *text, struct futured_address *ret, const char **ret_why)
{
    const char *host = text, *colon = strrchr(text, ':');
    size_t n;

    if (!colon || colon == text) {
        *ret_why = forms;
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    n = (size_t)(colon - text);
    if (*host == '[') {
        if (n < 3 || host[n - 1] != ']') {
            *ret_why = "must have an IPv6 address between brackets, as in [::1]:4740";
            return FUTURED_ADDRESS_E_SYNTAX;
        }
        host++;
        n -= 2;
    } else if (memchr(host, ':', n)) {
        *ret_why = "must have an IPv6 address between brackets, as in [::1]:4740";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    if (n >= sizeof ret->host || memchr(host, '/', n)) {
        *ret_why = forms;
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    memcpy(ret->host, host, n);
    ret->host[n] = '\0';
    return parse_port(colon + 1, ret, ret_why);
}

int futured_address_parse(const char *text, struct futured_address *ret, const char **ret_why)
{
    int r;

    memset(ret, 0, sizeof *ret);
    if (!*text) {
        *ret_why = "is empty: it must be unix:/path, 127.0.0.1:4740, [::1]:4740, host:4740 or tls:host:4741";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    if ((size_t)snprintf(ret->text, sizeof ret->text, "%s", text) >= sizeof ret->text) {
        *ret_why = "is too long";
        return FUTURED_ADDRESS_E_SYNTAX;
    }
    if (strncmp(text, "unix:", 5) == 0)
        r = parse_unix(text + 5, ret, ret_why);
    else if (strncmp(text, "tls:", 4) == 0)
        r = parse_tcp(text + 4, ret, ret_why);
    else
        r = parse_tcp(text, ret, ret_why);
    ret->is_tls = r == 0 && strncmp(text, "tls:", 4) == 0;
    return r;
}

void futured_address_default(char to[static FUTURED_ADDRESS_BYTES])
{
    const char *set = secure_getenv("FUTURED_ADDRESS"), *dir = secure_getenv("XDG_RUNTIME_DIR");

    if (set && *set) {
        snprintf(to, FUTURED_ADDRESS_BYTES, "%s", set);
        return;
    }
    if (dir && *dir) {
        int n = snprintf(to, FUTURED_ADDRESS_BYTES, "unix:%s/" SOCKET_NAME, dir);

        if (n < FUTURED_ADDRESS_BYTES && access(to + strlen("unix:"), F_OK) == 0)
            return;
    }
    snprintf(to, FUTURED_ADDRESS_BYTES, "unix:" SYSTEM_DIR "/" SOCKET_NAME);
}

int futured_address_resolve(const struct futured_address *address, struct futured_targets *ret,
                            const char **ret_why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
    const struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    struct addrinfo *found;
    int r;

    ret->n = 0;
    if (address->is_unix) {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};

        memcpy(sun.sun_path, address->path, sizeof sun.sun_path);
        memset(&ret->items[0].sa, 0, sizeof ret->items[0].sa);
        memcpy(&ret->items[0].sa, &sun, sizeof sun);
        ret->items[0].len = sizeof sun;
        ret->n = 1;
        return 0;
    }
    /* first as a number: AI_ADDRCONFIG would not find 127.0.0.1 on a machine without a network */
    r = getaddrinfo(address->host, address->port, &numeric, &found);
    if (r == EAI_NONAME)
        r = getaddrinfo(address->host, address->port, &hints, &found);
    if (r) {
        *ret_why = gai_strerror(r);
        return FUTURED_ADDRESS_E_NAME;
    }
    for (struct addrinfo *a = found; a && ret->n < FUTURED_TARGETS_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof ret->items[0].sa)
            continue;
        memset(&ret->items[ret->n].sa, 0, sizeof ret->items[0].sa);
        memcpy(&ret->items[ret->n].sa, a->ai_addr, a->ai_addrlen);
        ret->items[ret->n++].len = a->ai_addrlen;
    }
    freeaddrinfo(found);
    if (ret->n == 0) {
        *ret_why = gai_strerror(EAI_NONAME);
        return FUTURED_ADDRESS_E_NAME;
    }
    return 0;
}
