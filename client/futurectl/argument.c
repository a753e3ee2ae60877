// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/argument.h"

#include "base/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

/* 0, -errno, -EFBIG. */
static int read_all(int fd, struct buf *to)
{
    for (;;) {
        ssize_t n;

        if (buf_reserve(to, READ_BYTES) < 0)
            return -ENOMEM;
        n = read(fd, buf_tail(to), READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buf_commit(to, (size_t)n);
        if (buf_len(to) > LIMIT_MAX_MESSAGE_BYTES)
            return -EFBIG;
    }
}

static int read_fd(struct ctl *ctl, int fd, const char *name, struct buf *to)
{
    int r = read_all(fd, to);

    if (r == -EFBIG)
        ctl_complain(ctl, "%s is longer than 64 MiB, which no daemon takes as an argument", name);
    else if (r < 0)
        ctl_complain(ctl, "cannot read %s: %s", name, strerror(-r));
    return r < 0 ? CTL_USAGE : CTL_OK;
}

static int read_file(struct ctl *ctl, const char *path, struct buf *to)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), code;

    if (fd < 0) {
        ctl_complain(ctl, "cannot read %s: %s; --argument takes a text that begins with @", path,
                     strerror(errno));
        return CTL_USAGE;
    }
    code = read_fd(ctl, fd, path, to);
    err_close(&fd);
    return code;
}

int argument_read(struct ctl *ctl, struct buf *to)
{
    const struct options *o = &ctl->options;
    const char *word = o->n_arguments > 1 ? o->arguments[1] : o->argument;

    if (o->n_arguments > 1 && o->argument) {
        ctl_complain(ctl, "both --argument and `%s`: there is only one argument", word);
        return CTL_USAGE;
    }
    if (!word)
        return CTL_OK;
    if (!o->argument && strcmp(word, "-") == 0)
        return read_fd(ctl, STDIN_FILENO, "standard input", to);
    if (!o->argument && word[0] == '@')
        return read_file(ctl, word + 1, to);
    if (buf_append(to, word, strlen(word)) < 0) {
        ctl_complain(ctl, "out of memory");
        return CTL_FAILED;
    }
    return CTL_OK;
}
