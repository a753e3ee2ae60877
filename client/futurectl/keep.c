// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/keep.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

/* One byte of a name; how many characters it takes. */
static size_t escape(uint8_t c, char to[static 2])
{
    static const char special[] = "/\\\t\n", names[] = "_\\tn";
    const char *at = c ? strchr(special, c) : NULL;

    to[0] = '\\';
    to[1] = c ? (at ? names[at - special] : (char)c) : '0';
    if (c && !at)
        to[0] = (char)c;
    return c && !at ? 1 : 2;
}

void keep_name(struct span item, char name[static KEEP_NAME_BYTES + 1])
{
    static const struct hash_seed seed = {0}; /* the same name every time */
    size_t n = 0, is_dots = item.len == 1 || item.len == 2;

    for (size_t i = 0; i < item.len && is_dots; i++)
        is_dots = item.p[i] == '.';
    if (is_dots)
        name[n++] = '\\';
    for (size_t i = 0; i < item.len; i++) {
        char escaped[2];
        size_t more = escape(item.p[i], escaped);

        if (n + more > KEEP_NAME_BYTES) {
            n = KEEP_NAME_BYTES - 17;
            n += (size_t)snprintf(name + n, KEEP_NAME_BYTES + 1 - n, "-%016" PRIx64,
                                  hash_bytes(&seed, item.p, item.len));
            break;
        }
        memcpy(name + n, escaped, more);
        n += more;
    }
    if (n == 0)
        name[n++] = '\\'; /* of the empty item */
    name[n] = '\0';
}

/* A folder below @dir, made where it is not there: its descriptor, -errno. */
static int open_folder(int dir, const char *name)
{
    int fd;

    if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_file(int dir, const char *name, struct span data)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), r = 0;

    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < data.len && r == 0;) {
        ssize_t n = write(fd, data.p + at, data.len - at);

        if (n < 0 && errno != EINTR)
            r = -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    err_close(&fd);
    return r;
}

int keep_put(const char *dir, const struct keep_entry *e)
{
    char name[KEEP_NAME_BYTES + 1], seq[24];
    int top CLEANUP(err_close) = -1, first CLEANUP(err_close) = -1, folder CLEANUP(err_close) = -1, r;

    keep_name(e->item, name);
    top = open_folder(AT_FDCWD, dir);
    first = top < 0 ? top : open_folder(top, "1");
    folder = first < 0 ? first : open_folder(first, name);
    if (folder < 0)
        return folder;
    r = write_file(folder, "stdout", e->result);
    if (r == 0)
        r = write_file(folder, "stderr", e->error);
    if (r == 0)
        r = write_file(folder, "seq",
                       (struct span){(const uint8_t *)seq,
                                     (size_t)snprintf(seq, sizeof seq, "%" PRIu64 "\n", e->seq)});
    return r;
}
