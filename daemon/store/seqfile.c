// SPDX-License-Identifier: Apache-2.0
/* The content: the number in 8 bytes, little-endian, and CRC32C over them in 4. */
#include "store/seqfile.h"

#include "base/mem.h"
#include "store/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { CONTENT_BYTES = 12 };

static int failed(struct store_problem *problem, const char *what, int rc)
{
    snprintf(problem->text, sizeof problem->text, "%s: %s (SQLite %d)", SEQFILE_NAME, what, rc);
    return STORE_E_POISONED;
}

int seqfile_open(struct seqfile *f, const char *path, const char *vfs_name, struct store_problem *problem)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    sqlite3_file *file;
    int rc;

    ASSERT(vfs);
    file = mem_zalloc((size_t)vfs->szOsFile);
    if (!file)
        return -ENOMEM;
    rc = vfs->xOpen(vfs, path, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_JOURNAL,
                    NULL);
    if (rc != SQLITE_OK) {
        if (file->pMethods)
            file->pMethods->xClose(file);
        mem_free(file);
        failed(problem, "cannot be opened", rc);
        return (rc & 0xff) == SQLITE_CANTOPEN ? STORE_E_ROLLED_BACK : STORE_E_POISONED;
    }
    f->file = file;
    return 0;
}

void seqfile_close(struct seqfile *f)
{
    if (!f->file)
        return;
    f->file->pMethods->xClose(f->file);
    f->file = mem_free(f->file);
}

static uint64_t get(const uint8_t *at, int n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | at[n];
    return v;
}

static void put(uint8_t *to, uint64_t v, int n)
{
    for (; n > 0; n--, v >>= 8)
        *to++ = (uint8_t)v;
}

/* 0: it says nothing. */
static uint64_t number_in(const uint8_t content[static CONTENT_BYTES])
{
    return get(content + 8, 4) == crc32c(0, content, 8) ? get(content, 8) : 0;
}

int seqfile_read(struct seqfile *f, uint64_t *ret_seq, struct store_problem *problem)
{
    uint8_t content[CONTENT_BYTES];
    int rc = f->file->pMethods->xRead(f->file, content, sizeof content, 0);

    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        return failed(problem, "cannot be read", rc);
    *ret_seq = rc == SQLITE_OK ? number_in(content) : 0;
    return 0;
}

int seqfile_peek(const char *path, uint64_t *ret_seq)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t content[CONTENT_BYTES];
    ssize_t n;

    *ret_seq = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = pread(fd, content, sizeof content, 0);
    if (n == (ssize_t)sizeof content)
        *ret_seq = number_in(content);
    n = n < 0 ? -errno : 0;
    err_close(&fd);
    return (int)n;
}

int seqfile_write(struct seqfile *f, uint64_t seq, struct store_problem *problem)
{
    uint8_t content[CONTENT_BYTES];
    int rc;

    put(content, seq, 8);
    put(content + 8, crc32c(0, content, 8), 4);
    rc = f->file->pMethods->xWrite(f->file, content, sizeof content, 0);
    return rc == SQLITE_OK || rc == SQLITE_FULL ? 0 : failed(problem, "cannot be written", rc);
}
