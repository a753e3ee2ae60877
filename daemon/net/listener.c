// SPDX-License-Identifier: Apache-2.0
/*
 * Each turn accepts at most LISTENER_ACCEPTS_PER_TURN. When descriptors run out, a connection that waits can
 * neither be taken nor turned away, and the listening socket stays readable: so one descriptor is kept spare,
 * given up to take that connection and close it, and then nothing is accepted for LISTENER_PAUSE_MS. The same
 * pause follows when memory ran out.
 */
#include "daemon/net/listener.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

struct listener {
    struct loop *loop;
    struct conn_set *conns;
    struct address address;
    enum conn_trust trust;
    struct loop_watch watch;
    struct loop_timer pause;
    int fd;
    int spare_fd;
    int lock_fd; /* Unix: of PATH.lock */
    dev_t dev;   /* Unix: of the socket's file, 0/0 until it is there */
    ino_t ino;
};

PRINTF_LIKE(3, 4) static int explain(char *why, int r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, LISTENER_WHY_BYTES, format, args);
    va_end(args);
    return r;
}

/* --- accepting */

static void pause_accepting(struct listener *l, int error)
{
    LOG_EVENT(LOG_WARNING, "accept_paused", LOG_STR("address", l->address.text), LOG_ERRNO(error),
              LOG_NUM("pause_ms", LISTENER_PAUSE_MS),
              LOG_STR("hint", "raise LimitNOFILE= or lower [limits] connections"));
    if (loop_watch_set(&l->watch, 0) == 0)
        loop_timer_set(&l->pause, clock_add(loop_now(l->loop), LISTENER_PAUSE_MS * NS_PER_MS));
}

static void on_pause_over(void *arg, mono_ns_t now)
{
    struct listener *l = arg;

    if (l->spare_fd < 0)
        l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop_watch_set(&l->watch, LOOP_READ) < 0)
        loop_timer_set(&l->pause, clock_add(now, LISTENER_PAUSE_MS * NS_PER_MS));
}

/* No descriptor is left: turn one peer away with the spare one, and rest. */
static void turn_away(struct listener *l, int error)
{
    int fd;

    err_close(&l->spare_fd);
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        conn_set_refuse(l->conns);
        err_close(&fd);
    }
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pause_accepting(l, error);
}

/* A descriptor, or -errno. */
static int accept_one(struct listener *l, struct sockaddr_storage *sa, socklen_t *len)
{
    int fd;

    *len = sizeof *sa;
    fd = accept4(l->fd, (struct sockaddr *)sa, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static void open_conn(struct listener *l, int fd, const struct sockaddr_storage *sa, socklen_t len)
{
    struct conn_peer peer = {.trust = l->trust, .is_tls = l->address.is_tls};
    int r;

    address_of_peer(fd, (const struct sockaddr *)sa, len, peer.address, &peer.uid, &peer.gid);
    r = conn_set_adopt(l->conns, fd, &peer, NULL);
    if (r == CONN_E_FULL)
        LOG_EVENT(LOG_WARNING, "connection_refused", LOG_STR("peer", peer.address),
                  LOG_STR("reason", "too_many"), LOG_STR("hint", "raise [limits] connections"));
    else if (r < 0 && r != -EUSERS)
        LOG_EVENT(LOG_WARNING, "connection_refused", LOG_STR("peer", peer.address), LOG_ERRNO(r));
}

static void on_ready(void *arg, int what)
{
    struct listener *l = arg;

    for (int i = 0; i < LISTENER_ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage sa;
        socklen_t len;
        int r = accept_one(l, &sa, &len);

        switch (r) {
        case -EAGAIN: return;
        case -EMFILE:
        case -ENFILE: turn_away(l, r); return;
        case -ENOBUFS:
        case -ENOMEM: pause_accepting(l, r); return;
        default:
            if (r >= 0)
                open_conn(l, r, &sa, len);
            /* any other error is one of the connection that was to be accepted (accept(2)); to the next */
        }
    }
}

/* --- Unix sockets */

/* Hold the lock of the path: 0; -errno explained. The file goes with the listener, so one that was opened may
 * not be the one in the directory any more. */
static int lock_path(struct listener *l, const char *path, char *why)
{
    char lock_path_text[sizeof(struct sockaddr_un) + 8];

    snprintf(lock_path_text, sizeof lock_path_text, "%s.lock", path);
    for (int attempt = 0; attempt < 16; attempt++) {
        struct stat held, there;

        l->lock_fd = open(lock_path_text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (l->lock_fd < 0)
            return explain(why, -errno, "cannot listen on %s: cannot create %s: %s%s", l->address.text,
                           lock_path_text, log_errno_text(-errno),
                           errno == ENOENT ? " (create the directory first)" : "");
        if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0) {
            int r = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;

            err_close(&l->lock_fd);
            if (r == -EADDRINUSE)
                return explain(why, r,
                               "cannot listen on %s: another daemon holds %s; stop it or choose another path",
                               l->address.text, lock_path_text);
            return explain(why, r, "cannot listen on %s: cannot lock %s: %s", l->address.text, lock_path_text,
                           log_errno_text(r));
        }
        if (fstat(l->lock_fd, &held) == 0 && lstat(lock_path_text, &there) == 0 &&
            held.st_dev == there.st_dev && held.st_ino == there.st_ino)
            return 0;
        err_close(&l->lock_fd);
    }
    return explain(why, -EADDRINUSE, "cannot listen on %s: %s keeps changing; is the daemon started twice?",
                   l->address.text, lock_path_text);
}

/* Whether anybody answers on the socket at the address: 0 nobody; -EADDRINUSE; -errno. */
static int probe(const struct address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&a->sa, a->len) == 0 || errno == EAGAIN || errno == EINPROGRESS)
        r = -EADDRINUSE;
    else
        r = errno == ECONNREFUSED || errno == ENOENT ? 0 : -errno;
    err_close(&fd);
    return r;
}

static int clear_path(struct listener *l, const char *path, char *why)
{
    struct stat st;
    int r;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0
                               : explain(why, -errno, "cannot listen on %s: %s", l->address.text,
                                         log_errno_text(-errno));
    if (!S_ISSOCK(st.st_mode))
        return explain(
                why, -EADDRINUSE,
                "cannot listen on %s: a file that is no socket is there; remove it or choose another path",
                l->address.text);
    r = probe(&l->address);
    if (r == -EADDRINUSE)
        return explain(why, r,
                       "cannot listen on %s: another process listens there; stop it or choose another path",
                       l->address.text);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = -errno;
    if (r < 0)
        return explain(why, r, "cannot listen on %s: a socket is there and cannot be replaced: %s",
                       l->address.text, log_errno_text(r));
    return 0;
}

static int bind_unix(struct listener *l, char *why)
{
    const char *path = address_path(&l->address);
    struct stat st;
    int r = lock_path(l, path, why);

    if (r < 0)
        return r;
    r = clear_path(l, path, why);
    if (r < 0)
        return r;
    if (bind(l->fd, (const struct sockaddr *)&l->address.sa, l->address.len) < 0)
        return explain(why, -errno, "cannot listen on %s: %s", l->address.text, log_errno_text(-errno));
    if (lstat(path, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    if (chmod(path, 0660) < 0)
        return explain(why, -errno, "cannot listen on %s: cannot set its mode: %s", l->address.text,
                       log_errno_text(-errno));
    return 0;
}

static void unlink_unix(struct listener *l)
{
    char path[sizeof(struct sockaddr_un) + 8];
    struct stat st;

    if (l->lock_fd < 0)
        return;
    if (l->ino && lstat(address_path(&l->address), &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(address_path(&l->address));
    snprintf(path, sizeof path, "%s.lock", address_path(&l->address));
    unlink(path); /* under the lock: whoever opened it meanwhile sees that it is not the one any more */
    err_close(&l->lock_fd);
}

/* --- TCP */

static const char *tcp_hint(const struct listener *l, int r)
{
    switch (r) {
    case -EADDRINUSE:
        return "; another program listens there (ss -ltnp shows it): stop it or choose another port (0 is "
               "any)";
    case -EADDRNOTAVAIL: return "; no interface of this machine has that address (ip addr shows them)";
    case -EACCES:
        return address_port(&l->address) < 1024 ? "; ports below 1024 need CAP_NET_BIND_SERVICE" : "";
    default: return "";
    }
}

static int bind_tcp(struct listener *l, char *why)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int on = 1, r = 0;

    if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || /* accepted sockets inherit it */
        (l->address.sa.ss_family == AF_INET6 &&
         setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(l->fd, (const struct sockaddr *)&l->address.sa, l->address.len) < 0 ||
        getsockname(l->fd, (struct sockaddr *)&sa, &len) < 0)
        r = -errno;
    if (r < 0)
        return explain(why, r, "cannot listen on %s: %s%s", l->address.text, log_errno_text(r),
                       tcp_hint(l, r));
    address_set(&l->address, (const struct sockaddr *)&sa, len);
    return 0;
}

/* --- birth and death */

/* From now on what comes to the listening socket is accepted. */
static int start(struct listener *l, char *why)
{
    int r;

    l->spare_fd =
            open("/dev/null", O_RDONLY | O_CLOEXEC); /* without it peers wait instead of being refused */
    r = loop_timer_init(&l->pause, l->loop, on_pause_over, l);
    if (r == 0) {
        loop_watch_init(&l->watch, l->loop, l->fd, on_ready, l);
        r = loop_watch_set(&l->watch, LOOP_READ);
    }
    return r < 0 ? explain(why, r, "cannot listen on %s: %s", l->address.text, log_errno_text(r)) : 0;
}

static int open_socket(struct listener *l, char *why)
{
    int r;

    l->fd = socket(l->address.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return explain(why, -errno, "cannot listen on %s: %s", l->address.text, log_errno_text(-errno));
    r = address_is_unix(&l->address) ? bind_unix(l, why) : bind_tcp(l, why);
    if (r < 0)
        return r;
    if (listen(l->fd, LISTENER_BACKLOG) < 0) {
        r = -errno;
        return explain(why, r, "cannot listen on %s: %s%s", l->address.text, log_errno_text(r),
                       address_is_unix(&l->address) ? "" : tcp_hint(l, r));
    }
    return 0;
}

/* Somebody else's socket is as ours would be. */
static int adapt_socket(struct listener *l, char *why)
{
    int flags = fcntl(l->fd, F_GETFL), on = 1;

    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(l->fd, F_SETFD, FD_CLOEXEC) < 0 ||
        (!address_is_unix(&l->address) && setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0))
        return explain(why, -errno, "cannot listen on %s: %s", l->address.text, log_errno_text(-errno));
    return 0;
}

static struct listener *new_listener(struct loop *loop, struct conn_set *conns, const struct address *address,
                                     enum conn_trust trust)
{
    struct listener *l = mem_zalloc(sizeof *l);

    if (!l)
        return NULL;
    l->loop = loop;
    l->conns = conns;
    l->address = *address;
    l->trust = trust;
    l->fd = l->spare_fd = l->lock_fd = -1;
    return l;
}

static int no_memory(const struct address *address, char *why)
{
    return explain(why, -ENOMEM, "cannot listen on %s: no memory", address->text);
}

int listener_new(struct listener **ret, struct loop *loop, struct conn_set *conns,
                 const struct address *address, enum conn_trust trust, char why[static LISTENER_WHY_BYTES])
{
    struct listener *l = new_listener(loop, conns, address, trust);
    int r = l ? open_socket(l, why) : no_memory(address, why);

    if (r == 0)
        r = start(l, why);
    if (r < 0) {
        listener_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

int listener_adopt(struct listener **ret, struct loop *loop, struct conn_set *conns, int fd,
                   const struct address *address, enum conn_trust trust, char why[static LISTENER_WHY_BYTES])
{
    struct listener *l = new_listener(loop, conns, address, trust);
    int r;

    if (!l)
        return no_memory(address, why);
    l->fd = fd;
    r = adapt_socket(l, why);
    if (r == 0)
        r = start(l, why);
    if (r < 0) {
        l->fd = -1; /* it is still the caller's */
        listener_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

int listener_give(const struct listener *l, int64_t gid, char why[static LISTENER_WHY_BYTES])
{
    if (lchown(address_path(&l->address), (uid_t)-1, (gid_t)gid) < 0)
        return explain(why, -errno, "cannot give %s to group %" PRId64 ": %s", l->address.text, gid,
                       log_errno_text(-errno));
    return 0;
}

struct listener *listener_free(struct listener *l)
{
    if (!l)
        return NULL;
    loop_watch_deinit(&l->watch);
    loop_timer_deinit(&l->pause);
    err_close(&l->fd);
    err_close(&l->spare_fd);
    unlink_unix(l);
    mem_free(l);
    return NULL;
}

const struct address *listener_address(const struct listener *l)
{
    return &l->address;
}
