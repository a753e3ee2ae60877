// SPDX-License-Identifier: Apache-2.0
/* A plugin that tells of init and fini, has a function whose init fails, and one whose name is there twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <futured/plugin.h>

/* Each function writes what happens to it into the file that LIFE_LOG names. */
static void tell(const char *what, const char *name)
{
    FILE *log = fopen(getenv("LIFE_LOG"), "ae");

    if (log) {
        fprintf(log, "%s %s\n", what, name);
        fclose(log);
    }
}

static char first_state[] = "first", second_state[] = "second";

static int init_first(const struct futured_host *host, void **ret_state)
{
    tell("init", "first");
    *ret_state = first_state;
    return FUTURED_HOST_HAS(host, fail_with) ? 0 : -1;
}

static int init_second(const struct futured_host *host, void **ret_state)
{
    tell("init", "second");
    *ret_state = second_state;
    return 0;
}

static int init_failing(const struct futured_host *host, void **ret_state)
{
    tell("init", "failing");
    return 42;
}

static int run(const struct futured_host *host, struct futured_call *call, void *state)
{
    const char *text = state;

    return host->set_result(call, text, strlen(text));
}

static void fini(void *state)
{
    tell("fini", state);
}

static const struct futured_plugin_function functions[] = {
        {.name = "first", .init = init_first, .run = run, .fini = fini},
        {.name = "failing", .init = init_failing, .run = run, .fini = fini},
        {.name = "second", .init = init_second, .run = run, .fini = fini},
        {.name = "first", .init = init_second, .run = run, .fini = fini},
};

const struct futured_plugin futured_plugin = {.abi = FUTURED_PLUGIN_ABI,
                                              .size = sizeof(struct futured_plugin),
                                              .name = "life",
                                              .version = "1.2",
                                              .functions = functions,
                                              .function_size = sizeof functions[0],
                                              .n_functions = sizeof functions / sizeof functions[0]};
