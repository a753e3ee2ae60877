// SPDX-License-Identifier: Apache-2.0
#include "worker/plugin.h"

#include "base/limit.h"
#include "base/utf8.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DOC_MAX_BYTES = 4096, NAME_MAX_BYTES = 255 };

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

static int check(const struct plugin *p, const char *path, char why[static PLUGIN_TEXT_BYTES])
{
    const struct futured_plugin *d = p->descriptor;

    if (d->abi != FUTURED_PLUGIN_ABI)
        return bad(why, path, "futured_plugin has ABI %u, this worker has %u", d->abi, FUTURED_PLUGIN_ABI);
    if (d->size < sizeof *d || d->function_size < sizeof *d->functions ||
        d->function_size % _Alignof(struct futured_plugin_function))
        return bad(why, path,
                   "futured_plugin has a size of %zu and functions of %zu bytes, at least %zu and %zu are "
                   "needed",
                   d->size, d->function_size, sizeof *d, sizeof *d->functions);
    if (!d->name || !is_text(d->name, NAME_MAX_BYTES) || (d->version && !is_text(d->version, NAME_MAX_BYTES)))
        return bad(why, path,
                   "futured_plugin has no name, or name or version are over 255 bytes or no UTF-8");
    if (!d->functions || d->n_functions == 0 || d->n_functions > PLUGIN_FUNCTIONS_MAX)
        return bad(why, path, "futured_plugin has %zu functions; 1 to %d are allowed",
                   d->functions ? d->n_functions : 0, PLUGIN_FUNCTIONS_MAX);
    for (size_t i = 0; i < d->n_functions; i++) {
        int r = check_function(plugin_function(p, i), i, path, why);

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
