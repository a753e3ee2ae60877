// SPDX-License-Identifier: Apache-2.0
#include "daemon/inherited.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* What is wrong with a socket that we cannot accept from; NULL: nothing, and *ret is where it listens. */
static const char *look_at(int fd, struct address *ret)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)&sa;

    if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 || getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return "it is no listening stream socket; use ListenStream= with Accept=no";
    if (sa.ss_family == AF_UNIX && ret->is_tls)
        return "a Unix socket needs no TLS; give it another FileDescriptorName=";
    if (sa.ss_family == AF_UNIX && sun->sun_path[0] != '/')
        return "a Unix socket has a path that begins with /";
    if (sa.ss_family != AF_UNIX && sa.ss_family != AF_INET && sa.ss_family != AF_INET6)
        return "it is neither a Unix socket nor TCP";
    address_set(ret, (const struct sockaddr *)&sa, len);
    return NULL;
}

static void free_names(char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

int inherited_take(struct inherited *ret, char why[static INHERITED_WHY_BYTES])
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names), r = 0;

    *ret = (struct inherited){0};
    if (n < 0) {
        snprintf(why, INHERITED_WHY_BYTES, "the sockets of the service manager cannot be taken: %s",
                 log_errno_text(n));
        return n;
    }
    if (n > INHERITED_MAX) {
        snprintf(why, INHERITED_WHY_BYTES,
                 "the service manager has %d sockets for us; at most %d are allowed", n, INHERITED_MAX);
        free_names(names);
        return -E2BIG;
    }
    for (int i = 0; i < n; i++) {
        struct inherited_socket *s = &ret->sockets[ret->n++];
        const char *wrong;

        s->fd = SD_LISTEN_FDS_START + i;
        snprintf(s->name, sizeof s->name, "%s", names[i]);
        s->address.is_tls = strcmp(s->name, "tls") == 0;
        wrong = look_at(s->fd, &s->address);
        if (wrong && r == 0) {
            snprintf(why, INHERITED_WHY_BYTES, "the socket \"%s\" of the service manager is of no use: %s",
                     s->name, wrong);
            r = -EINVAL;
        }
    }
    free_names(names);
    if (r < 0)
        inherited_deinit(ret);
    return r;
}

void inherited_deinit(struct inherited *in)
{
    for (size_t i = 0; i < in->n; i++)
        err_close(&in->sockets[i].fd);
    in->n = 0;
}

struct inherited_socket *inherited_find(struct inherited *in, const struct address *address)
{
    for (size_t i = 0; i < in->n; i++)
        if (in->sockets[i].fd >= 0 &&
            strcmp(address_bare(&in->sockets[i].address), address_bare(address)) == 0)
            return &in->sockets[i];
    return NULL;
}
