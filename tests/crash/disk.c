// SPDX-License-Identifier: Apache-2.0
/*
 * Between the daemon and the disk: a library for LD_PRELOAD that writes down whatever the daemon does to the files of one
 * directory, and can make it fail. What a power loss at any moment would have left is made of that log by disk.py.
 *
 *   FUTURED_DISK_ROOT          the directory; all else passes through untouched
 *   FUTURED_DISK_LOG           where the log goes (without it nothing is written down)
 *   FUTURED_DISK_FAULTS        a file of struct faults, mapped: who changes it changes what fails, at once
 *   FUTURED_DISK_LIE           syncs answer 0 and do nothing (a planted bug, to see the test go red)
 *   FUTURED_DISK_SYNCHRONOUS   what "synchronous=FULL" becomes on its way to SQLite (likewise)
 *
 * The log: struct entry, and its bytes. A change is written down before it is made, both under one mutex, so the order
 * of entries is the order of changes; a sync is two entries, around it. A file that is made anew under an old name is
 * another file. Not written down: SQLite's -shm, which no start reads; what the daemon's children do, for they do not
 * load this.
 *
 * A way to change files that is not known here ends the process: a log with a gap proves nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum kind { NAMED = 1, CREATED, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, UNLINK };

struct entry {
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint32_t kind, file;
    uint64_t offset, len; /* len bytes follow on NAMED, CREATED (the name) and WRITE */
};

/* Errno of what fails, 0: it does not; only of files whose name ends so. */
struct faults {
    int32_t write, sync, read, open;
    uint32_t n_failed;
    char suffix[44];
};

enum { FDS_MAX = 4096, FILES_MAX = 1024, NAME_BYTES = 64 };

static struct {
    pthread_mutex_t lock;
    const char *root;
    size_t root_len;
    int log_fd, is_lying;
    struct faults *faults;
    uint32_t n_files;
    char names[FILES_MAX][NAME_BYTES]; /* "" = unlinked */
    uint32_t files[FDS_MAX];           /* number + 1 of the open file; 0 = not ours */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1};

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (!real)                     \
    real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

static void die(const char *why)
{
    fprintf(stderr, "disk: %s\n", why);
    abort();
}

static void put(enum kind kind, uint32_t file, uint64_t offset, const void *data, size_t len, size_t n_bytes)
{
    struct timespec now;
    struct entry e = {.kind = (uint32_t)kind, .file = file, .offset = offset, .len = len};
    struct iovec iov[2] = {{&e, sizeof e}, {(void *)(uintptr_t)data, n_bytes}};

    if (disk.log_fd < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    e.time_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
    if (writev(disk.log_fd, iov, 2) != (ssize_t)(sizeof e + n_bytes))
        die("the log cannot be written");
}

static void *map_faults(const char *path)
{
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd < 0 ? NULL : mmap(NULL, sizeof(struct faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (path && (!p || p == MAP_FAILED))
        die("the faults cannot be mapped");
    if (fd >= 0)
        close(fd);
    return p;
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("FUTURED_DISK_LOG");

    if (strcmp(program_invocation_short_name, "futured") != 0)
        return; /* what starts it */
    disk.is_lying = getenv("FUTURED_DISK_LIE") != NULL;
    disk.faults = map_faults(getenv("FUTURED_DISK_FAULTS"));
    if (log)
        disk.log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (log && disk.log_fd < 0)
        die("the log cannot be made");
    disk.root = getenv("FUTURED_DISK_ROOT");
    disk.root_len = disk.root ? strlen(disk.root) : 0;
    unsetenv("LD_PRELOAD"); /* for the children */
}

/* The name of @path within the directory, "." for itself; NULL: not ours. */
static const char *name_of(const char *path)
{
    size_t n = strlen(path);

    if (!disk.root || strncmp(path, disk.root, disk.root_len) != 0)
        return NULL;
    if (path[disk.root_len] == '\0')
        return ".";
    if (path[disk.root_len] != '/' || (n > 4 && strcmp(path + n - 4, "-shm") == 0))
        return NULL;
    return path + disk.root_len + 1;
}

/* The errno that is planted for this, or 0. */
static int fault(const int32_t *which, const char *name)
{
    size_t n = strlen(name), m;

    if (!disk.faults || *which == 0)
        return 0;
    m = strnlen(disk.faults->suffix, sizeof disk.faults->suffix);
    if (m > n || memcmp(name + n - m, disk.faults->suffix, m) != 0)
        return 0;
    disk.faults->n_failed++;
    return *which;
}

#define FAULT(what, name) (disk.faults ? fault(&disk.faults->what, name) : 0)

/* The number of the file; under lock. */
static uint32_t file_of(const char *name, int is_new)
{
    for (uint32_t i = 0; i < disk.n_files && !is_new; i++)
        if (strcmp(disk.names[i], name) == 0)
            return i;
    if (disk.n_files == FILES_MAX || strlen(name) >= NAME_BYTES)
        die("too many files");
    strcpy(disk.names[disk.n_files], name);
    put(is_new ? CREATED : NAMED, disk.n_files, 0, name, strlen(name), strlen(name));
    return disk.n_files++;
}

static int failed(int system_errno)
{
    errno = system_errno;
    return -1;
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    REAL(openat);
    const char *name = name_of(path);
    int fd, e, is_new;

    if (!name)
        return real(dir, path, flags, mode);
    e = FAULT(open, name);
    if (e)
        return failed(e);
    pthread_mutex_lock(&disk.lock);
    is_new = flags & O_CREAT && access(path, F_OK) < 0;
    fd = real(dir, path, flags, mode);
    if (fd >= FDS_MAX)
        die("too many descriptors");
    if (fd >= 0) {
        uint32_t file = file_of(name, is_new);

        disk.files[fd] = file + 1;
        if (flags & O_TRUNC && !is_new)
            put(TRUNCATE, file, 0, NULL, 0, 0);
    }
    pthread_mutex_unlock(&disk.lock);
    return fd;
}

#define MODE(flags)                                       \
    mode_t mode = 0;                                      \
    va_list args;                                         \
    va_start(args, flags);                                \
    if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) \
        mode = va_arg(args, mode_t);                      \
    va_end(args)

int open(const char *path, int flags, ...)
{
    MODE(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE(flags);
    return open_at(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    MODE(flags);
    return open_at(dir, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int close(int fd)
{
    REAL(close);
    if (fd >= 0 && fd < FDS_MAX)
        disk.files[fd] = 0;
    return real(fd);
}

static uint32_t ours(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? disk.files[fd] : 0;
}

static ssize_t write_at(int fd, const void *data, size_t len, off_t offset)
{
    REAL(pwrite);
    uint32_t file = ours(fd);
    ssize_t n;
    int e;

    if (!file)
        return real(fd, data, len, offset);
    e = FAULT(write, disk.names[file - 1]);
    if (e)
        return failed(e);
    pthread_mutex_lock(&disk.lock);
    put(WRITE, file - 1, (uint64_t)offset, data, len, len);
    n = real(fd, data, len, offset);
    if (disk.log_fd >= 0 && n != (ssize_t)len && !disk.faults)
        die("a write came short");
    pthread_mutex_unlock(&disk.lock);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return write_at(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return write_at(fd, data, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
    REAL(write);
    off_t at;
    ssize_t n;

    if (!ours(fd))
        return real(fd, data, len);
    at = lseek(fd, 0, SEEK_CUR);
    n = write_at(fd, data, len, at);
    if (n > 0)
        lseek(fd, at + n, SEEK_SET);
    return n;
}

static int truncate_to(int fd, off_t len)
{
    REAL(ftruncate);
    uint32_t file = ours(fd);
    int r, e;

    if (!file)
        return real(fd, len);
    e = FAULT(write, disk.names[file - 1]);
    if (e)
        return failed(e);
    pthread_mutex_lock(&disk.lock);
    put(TRUNCATE, file - 1, (uint64_t)len, NULL, 0, 0);
    r = real(fd, len);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int ftruncate(int fd, off_t len)
{
    return truncate_to(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return truncate_to(fd, len);
}

static int sync_file(int fd, int (*real)(int))
{
    uint32_t file = ours(fd);
    int r, e;

    if (!file)
        return real(fd);
    e = FAULT(sync, disk.names[file - 1]);
    if (e)
        return failed(e);
    if (disk.is_lying)
        return 0;
    pthread_mutex_lock(&disk.lock);
    put(SYNC_BEGIN, file - 1, 0, NULL, 0, 0);
    pthread_mutex_unlock(&disk.lock);
    r = real(fd);
    pthread_mutex_lock(&disk.lock);
    if (r == 0)
        put(SYNC_END, file - 1, 0, NULL, 0, 0);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_file(fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_file(fd, real);
}

static ssize_t read_at(int fd, void *to, size_t len, off_t offset)
{
    REAL(pread);
    uint32_t file = ours(fd);
    int e = file ? FAULT(read, disk.names[file - 1]) : 0;

    return e ? failed(e) : real(fd, to, len, offset);
}

ssize_t pread(int fd, void *to, size_t len, off_t offset)
{
    return read_at(fd, to, len, offset);
}

ssize_t pread64(int fd, void *to, size_t len, off64_t offset)
{
    return read_at(fd, to, len, offset);
}

int unlink(const char *path)
{
    REAL(unlink);
    const char *name = name_of(path);
    int r;

    if (!name)
        return real(path);
    pthread_mutex_lock(&disk.lock);
    for (uint32_t i = 0; i < disk.n_files; i++)
        if (strcmp(disk.names[i], name) == 0) {
            put(UNLINK, i, 0, NULL, 0, 0);
            disk.names[i][0] = '\0';
        }
    r = real(path);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    if (name_of(from) || name_of(to))
        die("rename is not known here");
    return real(from, to);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    REAL(fallocate);
    if (ours(fd))
        die("fallocate is not known here");
    return real(fd, mode, offset, len);
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    REAL(posix_fallocate);
    if (ours(fd))
        die("posix_fallocate is not known here");
    return real(fd, offset, len);
}

/* SQLite, from which no durability is to be had with another setting: only to be taken off in the self-test. */
struct sqlite3;
int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **), void *arg,
                 char **message);
int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*fn)(void *, int, char **, char **), void *arg,
                 char **message)
{
    static const char full[] = "synchronous=FULL";
    REAL(sqlite3_exec);
    const char *planted = getenv("FUTURED_DISK_SYNCHRONOUS"), *at = planted && sql ? strstr(sql, full) : NULL;
    char *changed;
    int r;

    if (!at)
        return real(db, sql, fn, arg, message);
    if (asprintf(&changed, "%.*ssynchronous=%s%s", (int)(at - sql), sql, planted, at + sizeof full - 1) < 0)
        abort();
    r = real(db, changed, fn, arg, message);
    free(changed);
    return r;
}
