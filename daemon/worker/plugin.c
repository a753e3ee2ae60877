// SPDX-License-Identifier: Apache-2.0
#include "worker/plugin.h"

#include "base/limit.h"
#include "base/utf8.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    DOC_MAX_BYTES = 4096,
    NAME_MAX_BYTES = 255,
    ATTEMPTS_MAX = 1000,
    NON_RETRYABLE_MAX = 64,
    MULTIPLIER_MAX = 1000000,
};
#define SPAN_MAX_MS (INT64_C(3650) * 24 * 3600 * 1000)

/* Of the first version of the header. */
#define FUNCTION_MIN_BYTES offsetof(struct futured_plugin_function, options)

PRINTF_LIKE(3, 4)
static int bad(char why[static PLUGIN_TEXT_BYTES], const char *path, const char *format, ...)
{
    int n = snprintf(why, PLUGIN_TEXT_BYTES, "%s: ", path);
    va_list args;

    if (n < 0 || n >= PLUGIN_TEXT_BYTES)
        return PLUGIN_E_BAD;
    va_start(args, format);
    vsnprintf(why + n, PLUGIN_TEXT_BYTES - (size_t)n, format, args);
    va_end(args);
    return PLUGIN_E_BAD;
}

static int is_text(const char *s, size_t max)
{
    size_t n = strnlen(s, max + 1);

    return n <= max && utf8_is_valid((const uint8_t *)s, n);
}

static int is_name(const char *s)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strnlen(s, LIMIT_FUNCTION_NAME_BYTES + 1);

    return n > 0 && n <= LIMIT_FUNCTION_NAME_BYTES && strspn(s, allowed) == n;
}

static int check_function(const struct futured_plugin_function *f, size_t i, const char *path,
                          char why[static PLUGIN_TEXT_BYTES])
{
    size_t n = 0;

    if (!f->name || !is_name(f->name))
        return bad(why, path, "function %zu has no name of 1-255 characters of [A-Za-z0-9._-]", i);
    if (!f->run)
        return bad(why, path, "function %s has no run", f->name);
    if (f->doc && !is_text(f->doc, DOC_MAX_BYTES))
        return bad(why, path, "the doc of function %s is over 4 KiB or no UTF-8", f->name);
    for (; f->content_types && f->content_types[n]; n++)
        if (n == PLUGIN_CONTENT_TYPES_MAX || !is_text(f->content_types[n], LIMIT_CONTENT_TYPE_BYTES))
            return bad(why, path, "function %s has over 16 content types, or a wrong one", f->name);
    return 0;
}

static int is_in(int64_t value, int64_t min, int64_t max)
{
    return value >= min && value <= max;
}

static int check_options(const struct plugin *p, size_t i, const char *path,
                         char why[static PLUGIN_TEXT_BYTES])
{
    const struct futured_options o = plugin_options(p, i);
    const char *name = plugin_function(p, i)->name, *wrong = NULL;
    size_t n = 0;

    if (!is_in(o.durability, FUTURED_DURABILITY_UNSAID, FUTURED_EPHEMERAL))
        wrong = "durability";
    else if (!is_in(o.on_lost, FUTURED_ON_LOST_UNSAID, FUTURED_ON_LOST_FAIL))
        wrong = "on_lost";
    else if (!is_in(o.attempt_timeout_ms, 0, SPAN_MAX_MS))
        wrong = "attempt_timeout_ms";
    else if (!is_in(o.retention_ms, FUTURED_NONE, SPAN_MAX_MS))
        wrong = "retention_ms";
    else if (o.max_attempts > ATTEMPTS_MAX)
        wrong = "max_attempts";
    else if (!is_in(o.initial_backoff_ms, FUTURED_NONE, SPAN_MAX_MS))
        wrong = "initial_backoff_ms";
    else if (!is_in(o.max_backoff_ms, FUTURED_NONE, SPAN_MAX_MS))
        wrong = "max_backoff_ms";
    else if (o.multiplier != 0 && !(o.multiplier >= 1 && o.multiplier <= MULTIPLIER_MAX))
        wrong = "multiplier";
    else if (o.jitter != FUTURED_NONE && !(o.jitter >= 0 && o.jitter <= 1))
        wrong = "jitter";
    for (; o.non_retryable_types && o.non_retryable_types[n]; n++)
        if (n == NON_RETRYABLE_MAX || !is_text(o.non_retryable_types[n], NAME_MAX_BYTES)) {
            wrong = "non_retryable_types";
            break;
        }
    return wrong ? bad(why, path, "%s is not allowed as it is in the options of function %s", wrong, name)
                 : 0;
}

static int check(const struct plugin *p, const char *path, char why[static PLUGIN_TEXT_BYTES])
{
    const struct futured_plugin *d = p->descriptor;

    if (d->abi != FUTURED_PLUGIN_ABI)
        return bad(why, path, "futured_plugin has ABI %u, this worker has %u", d->abi, FUTURED_PLUGIN_ABI);
    if (d->size < sizeof *d || d->function_size < FUNCTION_MIN_BYTES ||
        d->function_size % _Alignof(struct futured_plugin_function))
        return bad(why, path,
                   "futured_plugin has a size of %zu and functions of %zu bytes, at least %zu and %zu are "
                   "needed",
                   d->size, d->function_size, sizeof *d, FUNCTION_MIN_BYTES);
    if (!d->name || !is_text(d->name, NAME_MAX_BYTES) || (d->version && !is_text(d->version, NAME_MAX_BYTES)))
        return bad(why, path,
                   "futured_plugin has no name, or name or version are over 255 bytes or no UTF-8");
    if (!d->functions || d->n_functions == 0 || d->n_functions > PLUGIN_FUNCTIONS_MAX)
        return bad(why, path, "futured_plugin has %zu functions; 1 to %d are allowed",
                   d->functions ? d->n_functions : 0, PLUGIN_FUNCTIONS_MAX);
    for (size_t i = 0; i < d->n_functions; i++) {
        int r = check_function(plugin_function(p, i), i, path, why);

        if (r == 0)
            r = check_options(p, i, path, why);
        if (r != 0)
            return r;
    }
    return 0;
}

int plugin_open(struct plugin *ret, const char *path, char why[static PLUGIN_TEXT_BYTES])
{
    struct plugin p = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    int r;

    if (!p.handle) {
        const char *error = dlerror(); /* names the file, and the symbol or library that is missing */

        snprintf(why, PLUGIN_TEXT_BYTES, "%s%s%s", error && strstr(error, path) ? "" : path,
                 error && strstr(error, path) ? "" : ": ", error ? error : "it cannot be loaded");
        return PLUGIN_E_LOAD;
    }
    p.descriptor = dlsym(p.handle, "futured_plugin");
    r = p.descriptor ? check(&p, path, why) : bad(why, path, "it exports no symbol futured_plugin");
    if (r != 0) {
        plugin_close(&p);
        return r;
    }
    *ret = p;
    return 0;
}

void plugin_close(struct plugin *p)
{
    if (p->handle)
        dlclose(p->handle);
    *p = (struct plugin){0};
}

const struct futured_plugin_function *plugin_function(const struct plugin *p, size_t i)
{
    const char *first = (const char *)p->descriptor->functions;

    return (const void *)(first + i * p->descriptor->function_size);
}

struct futured_options plugin_options(const struct plugin *p, size_t i)
{
    const struct futured_plugin_function *f = plugin_function(p, i);
    struct futured_options options = {0};

    if (p->descriptor->function_size >= FUNCTION_MIN_BYTES + sizeof f->options && f->options)
        memcpy(&options, f->options, MIN(f->options->size, sizeof options));
    return options;
}
