// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_change.h"

#include "base/mem.h"
#include "daemon/config_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void config_change_deinit(struct config_changes *changes)
{
    buf_deinit(&changes->changed.text);
    buf_deinit(&changes->needs_restart.text);
}

int config_change_add_name(struct config_names *names, const char *format, ...)
{
    char text[512];
    va_list args;

    if (++names->n > CONFIG_NAMES_MAX)
        return 0;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return buf_append(&names->text, text, strlen(text) + 1);
}

/* --- values */

static size_t value_bytes(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL: return sizeof(int);
    case CONFIG_COUNT:
    case CONFIG_SIZE32: return sizeof(uint32_t);
    case CONFIG_COUNT64:
    case CONFIG_SIZE: return sizeof(uint64_t);
    case CONFIG_DEMAND:
    case CONFIG_DURABILITY:
    case CONFIG_SANDBOX:
    case CONFIG_UNKNOWN:
    case CONFIG_VERSION:
    case CONFIG_ON_LOST: return sizeof(uint8_t);
    case CONFIG_LEVEL: return sizeof(enum log_level);
    case CONFIG_FILE:
    case CONFIG_PATH:
    case CONFIG_TEXT: return sizeof(const char *);
    case CONFIG_DECIMAL: return sizeof(double);
    case CONFIG_INTEGER: return sizeof(int32_t);
    case CONFIG_SPAN: return sizeof(int64_t);
    case CONFIG_STORE: return sizeof(enum config_store);
    case CONFIG_CERTIFICATES:
    case CONFIG_TOKENS:
    case CONFIG_USERS:
    case CONFIG_RIGHTS: return sizeof(struct config_list);
    case CONFIG_ADDRESSES:
    case CONFIG_PLUGINS:
        return sizeof(void *) + sizeof(size_t); /* the list and its length lie side by side */
    case CONFIG_TYPES: return 0;
    }
    err_assert_failed("a type of the table", __FILE__, __LINE__, __func__);
}

static int is_same_text(const char *a, const char *b)
{
    return !a || !b ? a == b : strcmp(a, b) == 0;
}

static int are_same_addresses(const struct config *a, const struct config *b)
{
    if (a->n_listen != b->n_listen)
        return 0;
    for (size_t i = 0; i < a->n_listen; i++)
        if (strcmp(a->listen[i].text, b->listen[i].text) != 0)
            return 0;
    return 1;
}

static int are_same_plugins(const struct config *a, const struct config *b)
{
    if (a->n_plugins != b->n_plugins)
        return 0;
    for (size_t i = 0; i < a->n_plugins; i++)
        if (strcmp(a->plugins[i], b->plugins[i]) != 0)
            return 0;
    return 1;
}

static int are_same_lists(const struct config_list *a, const struct config_list *b)
{
    if (a->n != b->n)
        return 0;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->at[i], b->at[i]) != 0)
            return 0;
    return 1;
}

static int are_same_types(const struct retry_policy *a, const struct retry_policy *b)
{
    if (a->n_types != b->n_types)
        return 0;
    for (uint32_t i = 0; i < a->n_types; i++)
        if (!span_eq(a->types[i], b->types[i]))
            return 0;
    return 1;
}

/* Whether @key has the same value in @a and @b, which are a struct config, config_function or config_principal. */
static int is_same(const struct config_key *key, const void *a, const void *b)
{
    const void *at = (const char *)a + key->offset, *bt = (const char *)b + key->offset;
    const char *texts[2];

    switch (key->type) {
    case CONFIG_ADDRESSES: return are_same_addresses(a, b);
    case CONFIG_PLUGINS: return are_same_plugins(a, b);
    case CONFIG_CERTIFICATES:
    case CONFIG_TOKENS:
    case CONFIG_USERS:
    case CONFIG_RIGHTS: return are_same_lists(at, bt);
    case CONFIG_TYPES: return are_same_types(at, bt);
    case CONFIG_FILE:
    case CONFIG_PATH:
    case CONFIG_TEXT:
        memcpy(&texts[0], at, sizeof texts[0]);
        memcpy(&texts[1], bt, sizeof texts[1]);
        return is_same_text(texts[0], texts[1]);
    default: return memcmp(at, bt, value_bytes(key->type)) == 0;
    }
}

static void keep(const struct config_key *key, const struct config *now, struct config *next)
{
    memcpy((char *)next + key->offset, (const char *)now + key->offset, value_bytes(key->type));
}

/* --- functions */

static int by_name(const void *a, const void *b)
{
    const struct config_function *const *fa = a, *const *fb = b;

    return strcmp((*fa)->name, (*fb)->name);
}

/* Those of @c by name; NULL: no memory. */
static const struct config_function **sorted(const struct config *c)
{
    const struct config_function **list =
            mem_alloc((c->n_functions + 1) * sizeof(const struct config_function *));

    if (!list)
        return NULL;
    for (size_t i = 0; i < c->n_functions; i++)
        list[i] = &c->functions[i];
    qsort(list, c->n_functions, sizeof(const struct config_function *), by_name);
    return list;
}

static int compare_function(const struct config_function *now, const struct config_function *next,
                            struct config_names *changed)
{
    int r = 0;

    for (size_t i = 0; i < config_n_keys && r == 0; i++) {
        const struct config_key *key = &config_keys[i];

        if (strcmp(key->section, "function") == 0 && !is_same(key, now, next))
            r = config_change_add_name(changed, "function.%s.%s", now->name, key->name);
    }
    return r;
}

/* @on_pair for each name of either, with what the two say of it; NULL: nothing. Ends at the first that is not 0. */
static int each_pair(const struct config *now, const struct config *next,
                     int (*on_pair)(void *arg, const struct config_function *now,
                                    const struct config_function *next),
                     void *arg)
{
    const struct config_function **a = sorted(now), **b = sorted(next);
    size_t i = 0, k = 0;
    int r = a && b ? 0 : -ENOMEM;

    while (r == 0 && (i < now->n_functions || k < next->n_functions)) {
        int order = i == now->n_functions ? 1 : k == next->n_functions ? -1 : strcmp(a[i]->name, b[k]->name);

        r = on_pair(arg, order <= 0 ? a[i] : NULL, order >= 0 ? b[k] : NULL);
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    mem_free(a);
    mem_free(b);
    return r;
}

static int compare_pair(void *arg, const struct config_function *now, const struct config_function *next)
{
    struct config_names *changed = arg;

    return now && next ? compare_function(now, next, changed)
                       : config_change_add_name(changed, "function.%s", now ? now->name : next->name);
}

struct gone {
    void (*on_gone)(void *arg, const struct config_function *f);
    void *arg;
};

static int find_gone(void *arg, const struct config_function *now, const struct config_function *next)
{
    struct gone *gone = arg;

    if (!next)
        gone->on_gone(gone->arg, now);
    return 0;
}

int config_change_each_gone(const struct config *now, const struct config *next,
                            void (*on_gone)(void *arg, const struct config_function *f), void *arg)
{
    struct gone gone = {on_gone, arg};

    return each_pair(now, next, find_gone, &gone);
}

/* --- principals; there are few */

static const struct config_principal *find_principal(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_principals; i++)
        if (strcmp(c->principals[i].name, name) == 0)
            return &c->principals[i];
    return NULL;
}

static int is_same_principal(const struct config_principal *a, const struct config_principal *b)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].section, "principal") == 0 && !is_same(&config_keys[i], a, b))
            return 0;
    return 1;
}

static int compare_principals(const struct config *now, const struct config *next,
                              struct config_names *changed)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < next->n_principals; i++) {
        const struct config_principal *p = &next->principals[i], *before = find_principal(now, p->name);

        if (!before || !is_same_principal(before, p))
            r = config_change_add_name(changed, "principal.%s", p->name);
    }
    for (size_t i = 0; r == 0 && i < now->n_principals; i++)
        if (!find_principal(next, now->principals[i].name))
            r = config_change_add_name(changed, "principal.%s", now->principals[i].name);
    return r;
}

int config_change(const struct config *now, struct config *next, struct config_changes *ret)
{
    int r = 0;

    *ret = (struct config_changes){0};
    for (size_t i = 0; i < config_n_keys && r == 0; i++) {
        const struct config_key *key = &config_keys[i];

        if (strcmp(key->section, "function") == 0 || strcmp(key->section, "principal") == 0)
            continue;
        if (!is_same(key, now, next))
            r = config_change_add_name(key->needs_restart ? &ret->needs_restart : &ret->changed, "%s.%s",
                                       key->section, key->name);
        if (key->needs_restart)
            keep(key, now, next); /* also the same: @now may go, what it has kept itself is the first one's */
    }
    next->is_listen_default = now->is_listen_default;
    next->is_state_default = now->is_state_default;
    if (r == 0)
        r = each_pair(now, next, compare_pair, &ret->changed);
    return r == 0 ? compare_principals(now, next, &ret->changed) : r;
}
