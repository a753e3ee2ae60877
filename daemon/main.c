// SPDX-License-Identifier: Apache-2.0
#include "daemon/app.h"
#include "daemon/config.h"

int main(int argc, char *argv[])
{
    struct config *config = NULL;
    int status = config_main(&config, argc, argv);

    if (status < 0)
        status = app_run(&(struct app_options){.config = config});
    config_free(config);
    return status;
}
