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

/* As the first version of the header had it. */
struct first_function {
    const char *name, *doc;
    const char *const *content_types;
    int (*init)(const struct futured_host *host, void **ret_state);
    int (*run)(const struct futured_host *host, struct futured_call *call, void *state);
    void (*fini)(void *state);
};

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

/* All that can be said, and one thing wrong with it where the build says so. */
#define MANY_TYPES "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13"
static const char *const final_types[] = {"ValueError", MANY_TYPES, MANY_TYPES, MANY_TYPES, MANY_TYPES,
#ifdef BAD_OPTIONS_NON_RETRYABLE_TYPES
                                          MANY_TYPES,
#endif
                                          NULL};
static const struct futured_options options = {
        .size = sizeof options,
#ifdef BAD_OPTIONS_DURABILITY
        .durability = FUTURED_EPHEMERAL + 1,
#else
        .durability = FUTURED_EPHEMERAL,
#endif
        .priority = -7,
#ifdef BAD_OPTIONS_ATTEMPT_TIMEOUT_MS
        .attempt_timeout_ms = -1,
#else
        .attempt_timeout_ms = 1500,
#endif
#ifdef BAD_OPTIONS_RETENTION_MS
        .retention_ms = -2,
#else
        .retention_ms = FUTURED_NONE,
#endif
#ifdef BAD_OPTIONS_ON_LOST
        .on_lost = -1,
#else
        .on_lost = FUTURED_ON_LOST_FAIL,
#endif
#ifdef BAD_OPTIONS_MAX_ATTEMPTS
        .max_attempts = 1001,
#else
        .max_attempts = 3,
#endif
#ifdef BAD_OPTIONS_INITIAL_BACKOFF_MS
        .initial_backoff_ms = -2,
#else
        .initial_backoff_ms = 20,
#endif
#ifdef BAD_OPTIONS_MAX_BACKOFF_MS
        .max_backoff_ms = INT64_MAX,
#else
        .max_backoff_ms = FUTURED_NONE,
#endif
#ifdef BAD_OPTIONS_MULTIPLIER
        .multiplier = 0.5,
#else
        .multiplier = 1.5,
#endif
#ifdef BAD_OPTIONS_JITTER
        .jitter = 1.5,
#else
        .jitter = FUTURED_NONE,
#endif
        .non_retryable_types = final_types,
};

static const struct longer_function functions[] = {
        {.known = {.name = FIRST_NAME,
                   .doc = FIRST_DOC,
                   .content_types = types,
                   .run = FIRST_RUN,
                   .options = &options}},
        {.known = {.name = "two", .run = run}, .added = {"x", "y", "z"}},
        {.known = {.name = "three", .run = run}},
};

#ifdef FIRST_VERSION
static const struct first_function first_functions[] = {{.name = "one", .run = run},
                                                        {.name = "two", .run = run}};

extern FUTURED_PLUGIN_EXPORT const struct futured_plugin_of_the_header futured_plugin;
const struct futured_plugin_of_the_header futured_plugin = {
        .abi = FUTURED_PLUGIN_ABI,
        .size = sizeof futured_plugin,
        .name = "first version",
        .functions = (const struct futured_plugin_function *)(const void *)first_functions,
        .function_size = sizeof first_functions[0],
        .n_functions = 2,
};
const struct longer_function *futured_something_else(void);
FUTURED_PLUGIN_EXPORT const struct longer_function *futured_something_else(void)
{
    return functions;
}
#elif !defined NO_DESCRIPTOR
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
