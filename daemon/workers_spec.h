// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the pool's workers are told to serve: made of the configuration and the files that it names. */
#include "base/buf.h"
#include "daemon/config.h"
#include "worker/spec.h"

/* workers_spec_program: the path of futured-worker. 0; -errno, and @path is where it was looked for last. */
MUST_CHECK int workers_spec_program(char *path, size_t size);

/* workers_spec_make: into @ret, for spec_seal, what workers of @program are told under @config. 0; -ENOMEM; -E2BIG, which has been
 * logged. */
MUST_CHECK int workers_spec_make(const struct config *config, const char *program, struct buf *ret);

/* workers_spec_changed: the plugins, each with a NUL, that stand in both and whose file has changed. 0, -ENOMEM. */
MUST_CHECK int workers_spec_changed(const struct buf *before, const struct buf *now, struct buf *ret);
