// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void err_assert_failed(const char *what, const char *file, int line, const char *func)
{
    fprintf(stderr, "assertion failed: %s (%s:%d, %s)\n", what, file, line, func);
    abort();
}

void err_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
