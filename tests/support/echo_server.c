// SPDX-License-Identifier: Apache-2.0
/* futured-echo: the daemon with the echo service besides its own, for tests and benchmarks. Never installed. */
#include "daemon/app.h"
#include "daemon/config.h"
#include "tests/support/echo.h"

#include <stdio.h>

static void on_loop(struct loop *loop, void *arg)
{
    echo_set_loop(arg, loop);
}

int main(int argc, char *argv[])
{
    struct config *config = NULL;
    struct app_options options = {.on_loop = on_loop};
    struct echo *echo;
    int status = config_main(&config, argc, argv);

    if (status >= 0)
        return status;
    if (echo_new(&echo) < 0) {
        fputs("futured-echo: no memory\n", stderr);
        return 1;
    }
    config->workers = 0; /* it answers by itself and runs no tasks */
    options.config = config;
    options.methods = echo_methods(echo, &options.n_methods);
    options.descriptors = echo_descriptor_set();
    options.arg = echo;
    status = app_run(&options);
    echo_free(echo);
    config_free(config);
    return status;
}
