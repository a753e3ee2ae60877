// SPDX-License-Identifier: Apache-2.0
/*
 * Any text as a configuration file: each thing that is wrong with it is a line of its own that names a place, or the
 * configuration is whole: every string is there, every number within what the daemon relies on, and nobody from elsewhere
 * is let in unless that was said.
 */
#include "base/utf8.h"
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Would read what the machine has: passed over. */
static const char *const others[] = {"functions_directory", "token_file"};

static size_t look(const char *text)
{
    ASSERT(text && utf8_is_valid((const uint8_t *)text, strlen(text)));
    return strlen(text);
}

static void check_function(const struct config *c, size_t at)
{
    const struct config_function *f = &c->functions[at];

    ASSERT(look(f->name) > 0 && look(f->name) <= LIMIT_FUNCTION_NAME_BYTES && look(f->file) > 0 &&
           f->line > 0);
    ASSERT(f->rate >= 0);
    if (f->doc)
        look(f->doc);
    if (f->command)
        look(f->command);
    for (uint32_t i = 0; i < f->retry.n_types; i++)
        ASSERT(utf8_is_valid(f->retry.types[i].p, f->retry.types[i].len));
    for (size_t i = 0; i < at; i++)
        ASSERT(strcmp(c->functions[i].name, f->name) != 0);
}

static void look_all(const struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        ASSERT(look(list->at[i]) > 0);
}

static void check_principal(const struct config *c, size_t at)
{
    const struct config_principal *p = &c->principals[at];

    ASSERT(look(p->name) > 0 && look(p->file) > 0 && p->line > 0);
    look(p->namespace);
    ASSERT(p->users.n + p->groups.n + p->certificates.n + p->tokens.n > 0 && !p->token_file);
    ASSERT(p->rights.n > 0 && p->uids && p->gids && p->rate >= 0);
    ASSERT(c->store != CONFIG_STORE_NONE || p->max_stored_bytes == 0);
    look_all(&p->users);
    look_all(&p->groups);
    look_all(&p->certificates);
    look_all(&p->tokens);
    look_all(&p->rights);
    for (size_t i = 0; i < at; i++)
        ASSERT(strcmp(c->principals[i].name, p->name) != 0);
}

static void check(const struct config *c)
{
    char why[256];

    ASSERT(c->n_listen > 0);
    for (size_t i = 0; i < c->n_listen; i++)
        ASSERT(config_check_address(c, &c->listen[i], why, sizeof why) == 0);
    ASSERT(c->store == CONFIG_STORE_NONE || look(c->state_directory) > 0);
    ASSERT(c->limits.max_message_bytes > 0 && c->limits.max_futures > 0 && c->max_connections > 0);
    ASSERT(c->drain_timeout_ns >= 0 && c->lease_ttl_ns > 0 && c->start_timeout_ns > 0);
    look(c->functions_directory);
    for (size_t i = 0; i < c->n_plugins; i++)
        look(c->plugins[i]);
    for (size_t i = 0; i < c->n_functions; i++)
        check_function(c, i);
    for (size_t i = 0; i < c->n_principals; i++)
        check_principal(c, i);
}

/* One line or more, each of its own. */
static void check_errors(const struct buf *errors)
{
    const char *text = (const char *)buf_head(errors);
    size_t n = buf_len(errors);

    ASSERT(n > 0 && text[n - 1] == '\n' && text[0] != '\n');
    ASSERT(!memchr(text, '\0', n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char state[] = "--state-directory=/nonexistent";
    char path[64];
    char *argv[] = {path, state};
    struct buf errors = BUF_INIT;
    struct config *c = NULL;
    int fd, r;

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (memmem(data, size, others[i], strlen(others[i])))
            return 0;
    fd = memfd_create("config", MFD_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "--config=/proc/self/fd/%d", fd);
    r = config_load(&c, ARRAY_LEN(argv), argv, &errors);
    ASSERT(r == 0 || r == CONFIG_E_INVALID);
    if (r == 0) {
        check(c);
        config_free(c);
    } else {
        check_errors(&errors);
    }
    buf_deinit(&errors);
    close(fd);
    return 0;
}
