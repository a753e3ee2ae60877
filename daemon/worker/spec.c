// SPDX-License-Identifier: Apache-2.0
#include "worker/spec.h"

#include "grpc/codec.h"
#include "grpc/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

enum {
    SPEC_VERSION_FIELD = 1,
    SPEC_PLUGIN,
    SPEC_COMMAND,
    SPEC_LIMITS,
    SPEC_MAX_TASKS,
    SPEC_MAX_AGE,
    SPEC_STAMP,
    SPEC_THREADS,
    SPEC_NICE
};
enum {
    LIMITS_NAME = 1,
    LIMITS_MEMORY,
    LIMITS_CPU,
    LIMITS_RESULT,
    LIMITS_OPEN_FILES,
    LIMITS_ISOLATE,
    LIMITS_SANDBOX,
    LIMITS_TMP
};
enum { COMMAND_NAME = 1, COMMAND_LINE = 2, COMMAND_SHELL = 3, COMMAND_DOC = 4, COMMAND_DIRECTORY = 5 };

struct spec_message {
    uint64_t version, max_tasks, max_age_ms, n_threads;
    int64_t nice;
    uint32_t plugin, command, limits, stamp;
};
static const struct codec_row spec_rows[] = {
        CODEC_ROW(SPEC_VERSION_FIELD, CODEC_UINT, struct spec_message, version),
        CODEC_ROW(SPEC_PLUGIN, CODEC_REPEATED_STRING, struct spec_message, plugin),
        CODEC_ROW(SPEC_COMMAND, CODEC_REPEATED_MESSAGE, struct spec_message, command),
        CODEC_ROW(SPEC_LIMITS, CODEC_REPEATED_MESSAGE, struct spec_message, limits),
        CODEC_ROW(SPEC_MAX_TASKS, CODEC_UINT, struct spec_message, max_tasks),
        CODEC_ROW(SPEC_MAX_AGE, CODEC_UINT, struct spec_message, max_age_ms),
        CODEC_ROW(SPEC_STAMP, CODEC_REPEATED_STRING, struct spec_message, stamp),
        CODEC_ROW(SPEC_THREADS, CODEC_UINT, struct spec_message, n_threads),
        CODEC_ROW(SPEC_NICE, CODEC_SINT, struct spec_message, nice),
};
static const struct codec_table spec_table = {spec_rows, ARRAY_LEN(spec_rows)};

struct command_message {
    struct span name, line, doc, directory;
    uint64_t shell;
};
static const struct codec_row command_rows[] = {
        CODEC_ROW(COMMAND_NAME, CODEC_STRING, struct command_message, name),
        CODEC_ROW(COMMAND_LINE, CODEC_STRING, struct command_message, line),
        CODEC_ROW(COMMAND_SHELL, CODEC_UINT, struct command_message, shell),
        CODEC_ROW(COMMAND_DOC, CODEC_STRING, struct command_message, doc),
        CODEC_ROW(COMMAND_DIRECTORY, CODEC_STRING, struct command_message, directory),
};
static const struct codec_table command_table = {command_rows, ARRAY_LEN(command_rows)};

struct limits_message {
    struct span name;
    uint64_t memory_bytes, cpu_seconds, result_bytes, open_files, isolate, sandbox, tmp_bytes;
};
static const struct codec_row limits_rows[] = {
        CODEC_ROW(LIMITS_NAME, CODEC_STRING, struct limits_message, name),
        CODEC_ROW(LIMITS_MEMORY, CODEC_UINT, struct limits_message, memory_bytes),
        CODEC_ROW(LIMITS_CPU, CODEC_UINT, struct limits_message, cpu_seconds),
        CODEC_ROW(LIMITS_RESULT, CODEC_UINT, struct limits_message, result_bytes),
        CODEC_ROW(LIMITS_OPEN_FILES, CODEC_UINT, struct limits_message, open_files),
        CODEC_ROW(LIMITS_ISOLATE, CODEC_UINT, struct limits_message, isolate),
        CODEC_ROW(LIMITS_SANDBOX, CODEC_UINT, struct limits_message, sandbox),
        CODEC_ROW(LIMITS_TMP, CODEC_UINT, struct limits_message, tmp_bytes),
};
static const struct codec_table limits_table = {limits_rows, ARRAY_LEN(limits_rows)};

const char *spec_error_text(int error)
{
    switch (error) {
    case SPEC_E_LIMIT: return "it names too many functions";
    case SPEC_E_MALFORMED: return "it is malformed";
    case SPEC_E_VERSION: return "it is of another version";
    default: return "it is good";
    }
}

/* --- writing */

static void put_limits(struct writer *w, const struct spec_limits *l)
{
    struct writer_mark m = writer_begin(w, SPEC_LIMITS, 100);

    writer_text(w, LIMITS_NAME, l->name);
    writer_uint(w, LIMITS_MEMORY, l->memory_bytes);
    writer_uint(w, LIMITS_CPU, l->cpu_seconds);
    writer_uint(w, LIMITS_RESULT, l->result_bytes);
    writer_uint(w, LIMITS_OPEN_FILES, l->open_files);
    writer_uint(w, LIMITS_ISOLATE, l->is_isolated != 0);
    writer_uint(w, LIMITS_SANDBOX, l->sandbox);
    writer_uint(w, LIMITS_TMP, l->tmp_bytes);
    writer_end(w, m);
}

static int encode(const struct spec *spec, struct buf *out)
{
    struct writer w = writer_to(out);

    writer_uint(&w, SPEC_VERSION_FIELD, SPEC_VERSION);
    for (uint32_t i = 0; i < spec->n_plugins; i++)
        writer_text(&w, SPEC_PLUGIN, spec->plugins[i]);
    for (uint32_t i = 0; i < spec->n_commands; i++) {
        const struct spec_command *c = &spec->commands[i];
        struct writer_mark m = writer_begin(&w, SPEC_COMMAND, 100);

        writer_text(&w, COMMAND_NAME, c->name);
        writer_text(&w, COMMAND_LINE, c->line);
        writer_uint(&w, COMMAND_SHELL, c->is_shell != 0);
        writer_text(&w, COMMAND_DOC, c->doc ? c->doc : "");
        writer_text(&w, COMMAND_DIRECTORY, c->directory ? c->directory : "");
        writer_end(&w, m);
    }
    for (uint32_t i = 0; i < spec->n_limits; i++)
        put_limits(&w, &spec->limits[i]);
    writer_uint(&w, SPEC_MAX_TASKS, spec->max_tasks);
    writer_uint(&w, SPEC_MAX_AGE, spec->max_age_ms);
    for (uint32_t i = 0; spec->stamps && i < spec->n_plugins; i++)
        writer_bytes_always(&w, SPEC_STAMP, span_of_string(spec->stamps[i]));
    writer_uint(&w, SPEC_THREADS, spec->n_threads);
    writer_sint(&w, SPEC_NICE, spec->nice);
    return w.failed;
}

/* Write @bytes and make them unchangeable. */
static int fill(int fd, const struct buf *bytes)
{
    size_t done = 0;

    while (done < buf_len(bytes)) {
        ssize_t n = write(fd, buf_head(bytes) + done, buf_len(bytes) - done);

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int spec_encode(const struct spec *spec, struct buf *ret)
{
    int r;

    if (spec->n_plugins > SPEC_PLUGINS_MAX || spec->n_commands > SPEC_COMMANDS_MAX ||
        spec->n_limits > SPEC_COMMANDS_MAX)
        return SPEC_E_LIMIT;
    r = encode(spec, ret);
    if (r < 0)
        return r;
    return buf_len(ret) > SPEC_MAX_BYTES ? SPEC_E_LIMIT : 0;
}

int spec_seal(const struct buf *bytes, int *ret_fd)
{
    int fd = memfd_create("futured-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

    if (fd < 0)
        return -errno;
    r = fill(fd, bytes);
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

int spec_write(const struct spec *spec, int *ret_fd)
{
    struct buf bytes CLEANUP(buf_deinit) = BUF_INIT;
    int r = spec_encode(spec, &bytes);

    return r == 0 ? spec_seal(&bytes, ret_fd) : r;
}

/* --- reading */

static const char *text(struct arena *a, struct span s)
{
    return arena_strndup(a, (const char *)s.p, s.len);
}

static int decode_command(struct span message, struct arena *a, struct spec_command *ret)
{
    struct command_message m = {0};
    const char *field;

    if (codec_read(&command_table, message, &m, &field) != 0)
        return SPEC_E_MALFORMED;
    *ret = (struct spec_command){.name = text(a, m.name),
                                 .line = text(a, m.line),
                                 .doc = text(a, m.doc),
                                 .directory = text(a, m.directory),
                                 .is_shell = m.shell != 0};
    return ret->name && ret->line && ret->doc && ret->directory ? 0 : -ENOMEM;
}

static int decode_limits(struct span message, struct arena *a, struct spec_limits *ret)
{
    struct limits_message m = {0};
    const char *field;

    if (codec_read(&limits_table, message, &m, &field) != 0)
        return SPEC_E_MALFORMED;
    *ret = (struct spec_limits){.name = text(a, m.name),
                                .memory_bytes = m.memory_bytes,
                                .cpu_seconds = m.cpu_seconds,
                                .result_bytes = m.result_bytes,
                                .open_files = m.open_files,
                                .is_isolated = m.isolate != 0,
                                .sandbox = (unsigned int)m.sandbox,
                                .tmp_bytes = m.tmp_bytes};
    return ret->name ? 0 : -ENOMEM;
}

static int decode_texts(struct span message, uint32_t number, uint32_t n, struct arena *a, const char ***ret)
{
    struct wire_reader r = wire_reader(message);
    struct span item;

    *ret = arena_alloc(a, (n + 1) * sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (uint32_t i = 0; i < n && codec_each(&r, number, &item); i++) {
        (*ret)[i] = text(a, item);
        if (!(*ret)[i])
            return -ENOMEM;
    }
    return 0;
}

static int decode(struct span message, struct spec *ret)
{
    struct spec_message m = {0};
    struct wire_reader r = wire_reader(message);
    struct span item;
    const char *field;
    int e;

    if (codec_read(&spec_table, message, &m, &field) != 0)
        return SPEC_E_MALFORMED;
    if (m.version != SPEC_VERSION)
        return SPEC_E_VERSION;
    if (m.stamp && m.stamp != m.plugin)
        return SPEC_E_MALFORMED;
    if (m.plugin > SPEC_PLUGINS_MAX || m.command > SPEC_COMMANDS_MAX || m.limits > SPEC_COMMANDS_MAX)
        return SPEC_E_LIMIT;
    ret->commands = arena_alloc(&ret->arena, m.command * sizeof *ret->commands);
    ret->limits = arena_alloc(&ret->arena, m.limits * sizeof *ret->limits);
    if (!ret->commands || !ret->limits)
        return -ENOMEM;
    ret->n_plugins = m.plugin;
    e = decode_texts(message, SPEC_PLUGIN, m.plugin, &ret->arena, &ret->plugins);
    if (e == 0 && m.stamp)
        e = decode_texts(message, SPEC_STAMP, m.stamp, &ret->arena, &ret->stamps);
    if (e != 0)
        return e;
    ret->max_tasks = m.max_tasks;
    ret->max_age_ms = m.max_age_ms;
    ret->n_threads = m.n_threads;
    ret->nice = (int)m.nice;
    while (codec_each(&r, SPEC_COMMAND, &item)) {
        e = decode_command(item, &ret->arena, &ret->commands[ret->n_commands++]);
        if (e != 0)
            return e;
    }
    r = wire_reader(message);
    while (codec_each(&r, SPEC_LIMITS, &item)) {
        e = decode_limits(item, &ret->arena, &ret->limits[ret->n_limits++]);
        if (e != 0)
            return e;
    }
    return 0;
}

static int read_all(int fd, struct buf *ret)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > SPEC_MAX_BYTES)
        return SPEC_E_LIMIT;
    if (buf_reserve(ret, (size_t)st.st_size + 1) < 0)
        return -ENOMEM;
    while (buf_len(ret) < (size_t)st.st_size) {
        ssize_t n = pread(fd, buf_tail(ret), (size_t)st.st_size - buf_len(ret), (off_t)buf_len(ret));

        if (n < 0)
            return -errno;
        if (n == 0)
            return SPEC_E_MALFORMED;
        buf_commit(ret, (size_t)n);
    }
    return 0;
}

int spec_decode(struct span bytes, struct spec *ret)
{
    struct spec spec = {0};
    int r;

    arena_init(&spec.arena, 0); /* everything in it comes from SPEC_MAX_BYTES bytes */
    r = decode(bytes, &spec);
    if (r != 0) {
        spec_deinit(&spec);
        return r;
    }
    *ret = spec;
    return 0;
}

int spec_read(int fd, struct spec *ret)
{
    struct buf bytes CLEANUP(buf_deinit) = BUF_INIT;
    int r = read_all(fd, &bytes);

    return r == 0 ? spec_decode((struct span){buf_head(&bytes), buf_len(&bytes)}, ret) : r;
}

void spec_deinit(struct spec *spec)
{
    arena_deinit(&spec->arena);
    *spec = (struct spec){0};
}
