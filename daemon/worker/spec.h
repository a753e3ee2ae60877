// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What a worker is to serve, as the daemon tells it: plugins by path and command functions by their command line. Written
 * once by the daemon into a sealed memfd that every worker gets as fd 5; read by each at its start.
 *
 * Format: one protobuf message {version = 1, plugin = 2 (repeated string), command = 3 (repeated {name = 1, line = 2,
 * shell = 3, doc = 4, directory = 5}), limits = 4 (repeated {name = 1, memory_bytes = 2, cpu_seconds = 3, result_bytes = 4,
 * open_files = 5, isolate = 6, sandbox = 7, tmp_bytes = 8}), max_tasks = 5, max_age_ms = 6, stamp = 7 (repeated string: of each plugin; workers do
 * not look at it), threads = 8 (workers count their pages), nice = 9 (zigzag)}. A reader refuses a version that it does not know; fields are only ever added, so the version
 * changes only when an old worker would do wrong by skipping one. Both sides come from one build, but a daemon may be
 * replaced on disk while it runs.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdint.h>

enum {
    SPEC_VERSION = 1,
    SPEC_MAX_BYTES = 4 * 1024 * 1024,
    SPEC_PLUGINS_MAX = 256,
    SPEC_COMMANDS_MAX = 10000,
};

struct spec_command {
    const char *name, *line, *doc, *directory; /* never NULL once read; the last two may be when written */
    int is_shell;                              /* the line is for /bin/sh -c; else split into words here */
};

/* Of a command, or of a plugin's function; 0: none. */
struct spec_limits {
    const char *name;
    uint64_t memory_bytes, cpu_seconds, result_bytes, open_files;
    int is_isolated;      /* in a process of its own, also where no limit asks for that */
    unsigned int sandbox; /* CONFINE_ of base/confine.h */
    uint64_t tmp_bytes;   /* of its private /tmp */
};

struct spec {
    const char **plugins; /* paths */
    const char **
            stamps; /* one for each, which tells whether the file is still the same; NULL = none, when written */
    uint32_t n_plugins;
    struct spec_command *commands;
    uint32_t n_commands;
    struct spec_limits *limits;
    uint32_t n_limits;
    uint64_t max_tasks, max_age_ms; /* of a worker, which then ends; 0: no limit */
    uint64_t n_threads;
    int nice;           /* 0: as the daemon */
    struct arena arena; /* of a spec that was read */
};

/* spec_write: a new sealed, CLOEXEC memfd with @spec in it.
 *   Owns:   the caller gets *ret_fd.
 *   Return: 0; SPEC_E_LIMIT (more than the limits above); -errno. */
enum { SPEC_E_LIMIT = 1, SPEC_E_MALFORMED, SPEC_E_VERSION };
MUST_CHECK int spec_write(const struct spec *spec, int *ret_fd);
/* spec_encode, spec_seal: the two halves of that: the bytes, which are appended to @ret; the memfd with them in it. spec_decode:
 * the same as spec_read, of bytes. */
MUST_CHECK int spec_encode(const struct spec *spec, struct buf *ret);
MUST_CHECK int spec_seal(const struct buf *bytes, int *ret_fd);
MUST_CHECK int spec_decode(struct span bytes, struct spec *ret);

/* spec_read: what spec_write wrote; the file's position is not used, so that workers can share it.
 *   Owns:   on 0 the caller spec_deinits @ret.
 *   Return: 0; SPEC_E_LIMIT; SPEC_E_MALFORMED; SPEC_E_VERSION; -errno. */
MUST_CHECK int spec_read(int fd, struct spec *ret);
void spec_deinit(struct spec *spec);

/* spec_error_text: what a SPEC_E_ result means. */
const char *spec_error_text(int error);
