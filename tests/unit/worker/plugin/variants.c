// SPDX-License-Identifier: Apache-2.0
/* Plugins with one thing wrong each: which one is said by the build (see CMakeLists.txt). Does not use the declaration
 * of futured_plugin in the header, so that it can be another size or be missing. */
#define futured_plugin futured_plugin_of_the_header
#include <futured/plugin.h>
#undef futured_plugin

#ifdef UNDEFINED_SYMBOL
int futured_no_such_symbol(void);
#endif

static int run(const struct futured_host *host, struct futured_call *call, void *state)
{
#ifdef UNDEFINED_SYMBOL
    return futured_no_such_symbol();
#else
    return 0;
#endif
}

static const char *const types[] = {"a/1",  "a/2",  "a/3",  "a/4",  "a/5",  "a/6",  "a/7",  "a/8",
                                    "a/9",  "a/10", "a/11", "a/12", "a/13", "a/14", "a/15", "a/16",
#ifdef MANY_CONTENT_TYPES
                                    "a/17",
#endif
                                    NULL};

/* As a later version of the header may have it: members at the end that this worker does not know. */
struct longer_function {
    struct futured_plugin_function known;
    const char *added[3];
};
struct longer_plugin {
    struct futured_plugin_of_the_header known; /* the tag is renamed with the variable */
    const char *added[5];
};

#ifdef BAD_FUNCTION_NAME
#define FIRST_NAME "no good"
#else
#define FIRST_NAME "one"
#endif
#ifdef BAD_DOC
#define FIRST_DOC "\xff"
#else
#define FIRST_DOC "the first"
#endif
#ifdef NO_RUN
#define FIRST_RUN NULL
#else
#define FIRST_RUN run
#endif

static const struct longer_function functions[] = {
        {.known = {.name = FIRST_NAME, .doc = FIRST_DOC, .content_types = types, .run = FIRST_RUN}},
        {.known = {.name = "two", .run = run}, .added = {"x", "y", "z"}},
        {.known = {.name = "three", .run = run}},
};

#ifndef NO_DESCRIPTOR
extern FUTURED_PLUGIN_EXPORT const struct longer_plugin futured_plugin;
const struct longer_plugin futured_plugin = {
        .known =
                {
#ifdef WRONG_ABI
                        .abi = FUTURED_PLUGIN_ABI + 1,
#else
                        .abi = FUTURED_PLUGIN_ABI,
#endif
#ifdef WRONG_SIZE
                        .size = sizeof(struct futured_plugin_of_the_header) - 1,
#else
                        .size = sizeof(struct longer_plugin),
#endif
#ifndef NO_NAME
                        .name = "variants",
#endif
                        .functions = &functions[0].known,
#ifdef WRONG_FUNCTION_SIZE
                        .function_size = sizeof(struct futured_plugin_function) + 1,
#else
                        .function_size = sizeof(struct longer_function),
#endif
#ifndef NO_FUNCTIONS
                        .n_functions = sizeof functions / sizeof functions[0],
#endif
                },
        .added = {"later"},
};
#else
const struct longer_function *futured_something_else(void);
FUTURED_PLUGIN_EXPORT const struct longer_function *futured_something_else(void)
{
    return functions;
}
#endif
