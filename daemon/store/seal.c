// SPDX-License-Identifier: Apache-2.0
/*
 * The last eight bytes of a page: CRC32C over the page's number (8 bytes, little-endian) and the bytes before them, then
 * the word MARK. SQLite keeps them as they are, so they are zeros in all that it gives us (on_read takes the seal off):
 * eight zeros at the end mean that nobody has sealed the page.
 *
 * A page of zeros is sound: SQLite leaves holes for pages that it does not use yet, and finds out by itself when one of
 * them should not be one.
 */
#include "store/seal.h"

#include "base/mem.h"
#include "store/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK 0x6c616573U /* "seal" */

struct seal {
    sqlite3_vfs vfs;
    sqlite3_vfs *base;
    char name[32];
    _Atomic uint32_t *broken;
};

/* An open database. */
struct file {
    sqlite3_file file;
    struct seal *seal;
    int has_room; /* for seals, as its first page says */
    uint32_t broken;
    sqlite3_file *real; /* behind this */
};

enum {
    PAYLOAD_BYTES = SEAL_PAGE_BYTES - SEAL_BYTES,
    RESERVED_AT = 20, /* in the first page: how many bytes of each SQLite leaves free */
};

static void put_word(uint8_t to[static 4], uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static void make(uint8_t seal[static SEAL_BYTES], const uint8_t *page, uint64_t number)
{
    uint8_t head[8];

    put_word(head, (uint32_t)number);
    put_word(head + 4, (uint32_t)(number >> 32));
    put_word(seal, crc32c(crc32c(0, head, sizeof head), page, PAYLOAD_BYTES));
    put_word(seal + 4, MARK);
}

static int is_page(int n, sqlite3_int64 at)
{
    return n == SEAL_PAGE_BYTES && at % SEAL_PAGE_BYTES == 0;
}

static int is_zero(const uint8_t *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static int is_sound(const uint8_t *page, uint64_t number)
{
    uint8_t seal[SEAL_BYTES];

    make(seal, page, number);
    return memcmp(page + PAYLOAD_BYTES, seal, SEAL_BYTES) == 0 || is_zero(page, SEAL_PAGE_BYTES);
}

/* --- the file */

static struct file *file_of(sqlite3_file *f)
{
    return CONTAINER_OF(f, struct file, file);
}

#define REAL(f) (file_of(f)->real)

/* The beginning of the first page, which SQLite reads before any other; and writes, but in a copy (seal_follow). */
static void see_first(struct file *file, const uint8_t *page, int n)
{
    if (n > RESERVED_AT)
        file->has_room = page[RESERVED_AT] == SEAL_BYTES;
}

static int on_close(sqlite3_file *f)
{
    return REAL(f)->pMethods->xClose(REAL(f));
}

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    int rc = REAL(f)->pMethods->xRead(REAL(f), to, n, at);
    uint64_t number = (uint64_t)at / SEAL_PAGE_BYTES + 1;
    struct file *file = file_of(f);
    uint32_t none = 0;
    uint8_t *page = to;

    if (rc == SQLITE_OK && at == 0)
        see_first(file, page, n);
    if (rc != SQLITE_OK || !is_page(n, at) || !file->has_room)
        return rc;
    if (UNLIKELY(!is_sound(page, number))) {
        file->broken = file->broken ? file->broken : (uint32_t)number;
        atomic_compare_exchange_strong(file->seal->broken, &none, (uint32_t)number);
    }
    memset(page + PAYLOAD_BYTES, 0, SEAL_BYTES);
    return rc;
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    uint8_t page[SEAL_PAGE_BYTES];

    if (at == 0)
        see_first(file_of(f), from, n);
    if (!is_page(n, at) || !file_of(f)->has_room)
        return REAL(f)->pMethods->xWrite(REAL(f), from, n, at);
    memcpy(page, from, PAYLOAD_BYTES);
    make(page + PAYLOAD_BYTES, page, (uint64_t)at / SEAL_PAGE_BYTES + 1);
    return REAL(f)->pMethods->xWrite(REAL(f), page, n, at);
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return REAL(f)->pMethods->xTruncate(REAL(f), size);
}

static int on_sync(sqlite3_file *f, int flags)
{
    return REAL(f)->pMethods->xSync(REAL(f), flags);
}

static int on_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), ret);
}

static int on_lock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xLock(REAL(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int on_check_lock(sqlite3_file *f, int *ret)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), ret);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int on_characteristics(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int on_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, ret);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int on_shm_unmap(sqlite3_file *f, int is_delete)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), is_delete);
}

static const sqlite3_io_methods methods = {
        .iVersion = 2, /* no memory mapping: all that is read passes here */
        .xClose = on_close,
        .xRead = on_read,
        .xWrite = on_write,
        .xTruncate = on_truncate,
        .xSync = on_sync,
        .xFileSize = on_size,
        .xLock = on_lock,
        .xUnlock = on_unlock,
        .xCheckReservedLock = on_check_lock,
        .xFileControl = on_control,
        .xSectorSize = on_sector_size,
        .xDeviceCharacteristics = on_characteristics,
        .xShmMap = on_shm_map,
        .xShmLock = on_shm_lock,
        .xShmBarrier = on_shm_barrier,
        .xShmUnmap = on_shm_unmap,
};

/* --- the VFS */

static sqlite3_vfs *base_of(sqlite3_vfs *vfs)
{
    return CONTAINER_OF(vfs, struct seal, vfs)->base;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
    struct file *file = (struct file *)(void *)f;
    int rc;

    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return base_of(vfs)->xOpen(base_of(vfs), path, f, flags, ret_flags);
    *file = (struct file){.seal = CONTAINER_OF(vfs, struct seal, vfs),
                          .real = (sqlite3_file *)(void *)(file + 1)};
    rc = base_of(vfs)->xOpen(base_of(vfs), path, file->real, flags, ret_flags);
    if (file->real->pMethods)
        file->file.pMethods = &methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    return base_of(vfs)->xDelete(base_of(vfs), path, is_synced);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    return base_of(vfs)->xAccess(base_of(vfs), path, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
    return base_of(vfs)->xFullPathname(base_of(vfs), path, n, ret);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *ret)
{
    return base_of(vfs)->xRandomness(base_of(vfs), n, ret);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return base_of(vfs)->xSleep(base_of(vfs), us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return base_of(vfs)->xCurrentTime(base_of(vfs), ret);
}

static int vfs_time_64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    return base_of(vfs)->xCurrentTimeInt64(base_of(vfs), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
    return base_of(vfs)->xGetLastError(base_of(vfs), n, ret);
}

/* --- the door */

int seal_new(struct seal **ret, const char *base, _Atomic uint32_t *broken)
{
    struct seal *s = mem_zalloc(sizeof *s);

    if (!s)
        return -ENOMEM;
    s->broken = broken;
    s->base = sqlite3_vfs_find(base);
    ASSERT(s->base);
    snprintf(s->name, sizeof s->name, "seal-%p", (void *)s);
    s->vfs = (sqlite3_vfs){
            .iVersion = 2,
            .szOsFile = (int)sizeof(struct file) + s->base->szOsFile,
            .mxPathname = s->base->mxPathname,
            .zName = s->name,
            .xOpen = vfs_open,
            .xDelete = vfs_delete,
            .xAccess = vfs_access,
            .xFullPathname = vfs_full_path,
            .xRandomness = vfs_randomness,
            .xSleep = vfs_sleep,
            .xCurrentTime = vfs_time,
            .xCurrentTimeInt64 = vfs_time_64,
            .xGetLastError = vfs_last_error,
    };
    if (sqlite3_vfs_register(&s->vfs, 0) != SQLITE_OK) {
        mem_free(s);
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

struct seal *seal_free(struct seal *s)
{
    if (!s)
        return NULL;
    sqlite3_vfs_unregister(&s->vfs);
    return mem_free(s);
}

const char *seal_vfs(const struct seal *s)
{
    return s->name;
}

void seal_prepare(sqlite3 *db)
{
    int n = SEAL_BYTES;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &n);
}

static struct file *file_of_db(sqlite3 *db)
{
    sqlite3_file *f = NULL;

    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    return f && f->pMethods == &methods ? file_of(f) : NULL;
}

void seal_follow(sqlite3 *copy, sqlite3 *db)
{
    struct file *to = file_of_db(copy);
    const struct file *from = file_of_db(db);

    if (to && from)
        to->has_room = from->has_room;
}

uint32_t seal_broken(sqlite3 *db)
{
    const struct file *file = file_of_db(db);

    if (!file)
        return 0;
    return file->has_room ? file->broken : 1;
}

/* Whether the first page says that this is a database with room for seals. */
static int has_room(const uint8_t page[static SEAL_PAGE_BYTES])
{
    static const char magic[16] = "SQLite format 3";

    return memcmp(page, magic, sizeof magic) == 0 && page[RESERVED_AT] == SEAL_BYTES;
}

/* Whether @page is to be sealed anew: no seal, or the first page, which every copy has changed. */
static int is_unsealed(const uint8_t page[static SEAL_PAGE_BYTES], off_t at)
{
    uint8_t mark[4];

    put_word(mark, MARK);
    if (is_zero(page + PAYLOAD_BYTES, SEAL_BYTES))
        return !is_zero(page, SEAL_PAGE_BYTES);
    return at == 0 && memcmp(page + PAYLOAD_BYTES + 4, mark, sizeof mark) == 0 && !is_sound(page, 1);
}

/* 1: there is no page at @at. */
static int seal_one(int fd, off_t at)
{
    uint8_t page[SEAL_PAGE_BYTES];
    ssize_t n = pread(fd, page, sizeof page, at);

    if (n < 0)
        return -errno;
    if (n < (ssize_t)sizeof page || (at == 0 && !has_room(page)))
        return 1;
    if (!is_unsealed(page, at))
        return 0;
    make(page + PAYLOAD_BYTES, page, (uint64_t)at / SEAL_PAGE_BYTES + 1);
    n = pwrite(fd, page + PAYLOAD_BYTES, SEAL_BYTES, at + PAYLOAD_BYTES);
    return n == SEAL_BYTES ? 0 : n < 0 ? -errno : -ENOSPC;
}

int seal_unsealed(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    for (off_t at = 0; r == 0; at += SEAL_PAGE_BYTES)
        r = seal_one(fd, at);
    if (r == 1)
        r = fsync(fd) < 0 ? -errno : 0;
    err_close(&fd);
    return r;
}
