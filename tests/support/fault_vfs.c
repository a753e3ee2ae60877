// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fault_vfs.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum { SECTOR_BYTES = 512, DISKS_MAX = 64 };

/* A file as the disk has it. */
struct disk {
    char *path;
    uint8_t *synced;
    size_t len;
    int exists; /* its directory entry has been synced */
};

struct file {
    sqlite3_file base;
    sqlite3_file *real;
    struct disk *disk; /* NULL: a temporary file, which no start reads */
    int last_errno;    /* of a planned failure */
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs *real;
    struct fault_plan plan;
    uint64_t n_seen, n_changes, power_at;
    int has_hit, is_power_lost;
    struct disk *disks[DISKS_MAX];
    size_t n_disks;
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    ASSERT(pthread_mutex_lock(&fault.lock) == 0);
}

static void unlock(void)
{
    ASSERT(pthread_mutex_unlock(&fault.lock) == 0);
}

static int is_named(const char *path)
{
    size_t n = path ? strlen(path) : 0, m = fault.plan.file ? strlen(fault.plan.file) : 0;

    return m <= n && (m == 0 || strcmp(path + n - m, fault.plan.file) == 0);
}

/* Whether this operation fails, and with which errno: 0 = it does not. */
static int hit(enum fault_what what, const char *path)
{
    int system_errno = 0;

    lock();
    if (fault.is_power_lost) {
        system_errno = EIO;
    } else if (what & FAULT_CHANGES && ++fault.n_changes == fault.power_at) {
        fault.is_power_lost = 1;
        system_errno = EIO;
    } else if (fault.plan.what & (uint32_t)what && is_named(path)) {
        uint64_t n = ++fault.n_seen;

        if (fault.plan.nth && n >= fault.plan.nth && n - fault.plan.nth < fault.plan.n_times) {
            fault.has_hit = 1;
            system_errno = fault.plan.system_errno;
        }
    }
    unlock();
    if (system_errno)
        errno = system_errno;
    return system_errno;
}

/* --- what the disk has */

static uint8_t *read_all(const char *path, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint8_t *data;

    *ret_len = 0;
    if (fd < 0)
        return NULL;
    ASSERT(fstat(fd, &st) == 0);
    data = malloc((size_t)st.st_size + 1);
    ASSERT(data);
    ASSERT(pread(fd, data, (size_t)st.st_size, 0) == st.st_size);
    *ret_len = (size_t)st.st_size;
    err_close(&fd);
    return data;
}

/* The disk of @path, found or made; what it has at the first look is taken as synced. Under lock. */
static struct disk *disk_of(const char *path)
{
    struct disk *d;

    for (size_t i = 0; i < fault.n_disks; i++)
        if (strcmp(fault.disks[i]->path, path) == 0)
            return fault.disks[i];
    ASSERT(fault.n_disks < DISKS_MAX);
    d = calloc(1, sizeof *d);
    ASSERT(d);
    d->path = strdup(path);
    ASSERT(d->path);
    d->synced = read_all(path, &d->len);
    d->exists = d->synced != NULL;
    fault.disks[fault.n_disks++] = d;
    return d;
}

static void disk_sync(struct disk *d)
{
    lock();
    free(d->synced);
    d->synced = read_all(d->path, &d->len);
    d->exists = 1;
    unlock();
}

static void forget_disks(void)
{
    for (size_t i = 0; i < fault.n_disks; i++) {
        free(fault.disks[i]->path);
        free(fault.disks[i]->synced);
        free(fault.disks[i]);
    }
    fault.n_disks = 0;
}

static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* Write what a disk might have of @d: sector for sector what was synced, or what was written since. */
static void disk_restore(const struct disk *d, enum fault_keep keep, uint64_t *random)
{
    size_t n_now, n, at;
    uint8_t *now = read_all(d->path, &n_now), *out;
    int fd;

    if (!now)
        return;
    if (!d->exists && (keep == FAULT_KEEP_NONE || mix(random) % 2)) {
        unlink(d->path);
        free(now);
        return;
    }
    n = keep == FAULT_KEEP_SOME && mix(random) % 2 ? n_now : d->len;
    out = calloc(1, n + 1);
    ASSERT(out);
    for (at = 0; at < n; at += SECTOR_BYTES) {
        int is_new = keep == FAULT_KEEP_SOME && mix(random) % 2;
        size_t from_len = is_new ? n_now : d->len, want = MIN((size_t)SECTOR_BYTES, n - at);

        if (at < from_len)
            memcpy(out + at, (is_new ? now : d->synced) + at, MIN(want, from_len - at));
    }
    fd = open(d->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, out, n) == (ssize_t)n);
    err_close(&fd);
    free(out);
    free(now);
}

/* --- the file's methods */

static struct file *file_of(sqlite3_file *f)
{
    return (struct file *)(void *)f;
}

#define REAL(f) (file_of(f)->real)

static const char *path_of(sqlite3_file *f)
{
    return file_of(f)->disk ? file_of(f)->disk->path : NULL;
}

static int on_close(sqlite3_file *f)
{
    return REAL(f)->pMethods->xClose(REAL(f));
}

static int on_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return hit(FAULT_READ, path_of(f)) ? SQLITE_IOERR_READ : REAL(f)->pMethods->xRead(REAL(f), to, n, at);
}

static int is_short(void)
{
    int is;

    lock();
    is = fault.plan.is_short;
    unlock();
    return is;
}

static int on_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    int e = hit(FAULT_WRITE, path_of(f));

    if (!e)
        return REAL(f)->pMethods->xWrite(REAL(f), from, n, at);
    if (is_short())
        REAL(f)->pMethods->xWrite(REAL(f), from, n / 2, at);
    errno = file_of(f)->last_errno = e;
    return e == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return hit(FAULT_TRUNCATE, path_of(f)) ? SQLITE_IOERR_TRUNCATE
                                           : REAL(f)->pMethods->xTruncate(REAL(f), size);
}

/* The real disk is not bothered: what is durable is what this disk says. */
static int on_sync(sqlite3_file *f, int flags)
{
    if (hit(FAULT_SYNC, path_of(f)))
        return SQLITE_IOERR_FSYNC;
    if (file_of(f)->disk)
        disk_sync(file_of(f)->disk);
    return SQLITE_OK;
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
    if (op == SQLITE_FCNTL_LAST_ERRNO && file_of(f)->last_errno) {
        *(int *)arg = file_of(f)->last_errno;
        return SQLITE_OK;
    }
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

/* --- the VFS */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
    static const sqlite3_io_methods methods = {
            .iVersion = 2, /* no memory mapping: all I/O passes here */
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
    struct file *file = file_of(f);
    int rc;

    *file = (struct file){.real = (sqlite3_file *)(void *)(file + 1)};
    if (hit(FAULT_OPEN, path))
        return SQLITE_CANTOPEN;
    if (path) { /* before it is made, to know that it was not there */
        lock();
        file->disk = disk_of(path);
        unlock();
    }
    rc = fault.real->xOpen(fault.real, path, file->real, flags, ret_flags);
    if (file->real->pMethods)
        file->base.pMethods = &methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    int rc;

    if (hit(FAULT_DELETE, path))
        return SQLITE_IOERR_DELETE;
    rc = fault.real->xDelete(fault.real, path, is_synced);
    if (rc == SQLITE_OK) {
        struct disk *d;

        lock();
        d = disk_of(path);
        free(d->synced);
        d->synced = NULL;
        d->len = 0;
        d->exists = 0;
        unlock();
    }
    return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    return fault.real->xAccess(fault.real, path, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
    return fault.real->xFullPathname(fault.real, path, n, ret);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *ret)
{
    return fault.real->xRandomness(fault.real, n, ret);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return fault.real->xSleep(fault.real, us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return fault.real->xCurrentTime(fault.real, ret);
}

static int vfs_time_64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    return fault.real->xCurrentTimeInt64(fault.real, ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
    return errno;
}

void fault_install(void)
{
    static sqlite3_vfs vfs = {
            .iVersion = 2,
            .zName = FAULT_VFS,
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

    fault.real = sqlite3_vfs_find(NULL);
    ASSERT(fault.real);
    vfs.szOsFile = (int)sizeof(struct file) + fault.real->szOsFile;
    vfs.mxPathname = fault.real->mxPathname;
    ASSERT(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

void fault_reset(void)
{
    lock();
    fault.plan = (struct fault_plan){0};
    fault.n_seen = fault.n_changes = fault.power_at = 0;
    fault.has_hit = fault.is_power_lost = 0;
    forget_disks();
    unlock();
}

void fault_set(const struct fault_plan *plan)
{
    lock();
    fault.plan = *plan;
    fault.n_seen = 0;
    fault.has_hit = 0;
    unlock();
}

uint64_t fault_count(void)
{
    uint64_t n;

    lock();
    n = fault.n_seen;
    unlock();
    return n;
}

int fault_has_hit(void)
{
    int has_hit;

    lock();
    has_hit = fault.has_hit;
    unlock();
    return has_hit;
}

void fault_power(uint64_t nth)
{
    lock();
    fault.n_changes = 0;
    fault.power_at = nth;
    unlock();
}

int fault_is_power_lost(void)
{
    int is_lost;

    lock();
    is_lost = fault.is_power_lost;
    unlock();
    return is_lost;
}

void fault_power_back(enum fault_keep keep, uint64_t seed)
{
    lock();
    for (size_t i = 0; i < fault.n_disks; i++)
        disk_restore(fault.disks[i], keep, &seed);
    unlock();
    fault_reset();
}
