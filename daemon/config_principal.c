// SPDX-License-Identifier: Apache-2.0
/* What a [principal.NAME] names elsewhere: users and groups of the system, and a file with hashes of tokens. */
#include "daemon/config_table.h"
#include "tls/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum { LINE_BYTES = 256, LINES_MAX = 100000, TOKENS_MAX = 10000 };

#define WRONG(errors, p, format, ...)                                           \
    config_error(errors, "%s:%u: [principal.%s] " format, (p)->file, (p)->line, \
                 (p)->name __VA_OPT__(, ) __VA_ARGS__)

/* A number that is written as one. */
static int read_number(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    *ret = (uint32_t)n;
    return !*end && n < UINT32_MAX;
}

static int is_number(const char *text)
{
    return *text >= '0' && *text <= '9';
}

static int find_user(const char *text, uint32_t *ret)
{
    const struct passwd *user = is_number(text) ? NULL : getpwnam(text);

    if (user)
        *ret = user->pw_uid;
    return user || (is_number(text) && read_number(text, ret));
}

int config_principal_group(const char *text, uint32_t *ret)
{
    const struct group *group = is_number(text) ? NULL : getgrnam(text);

    if (group)
        *ret = group->gr_gid;
    return group || (is_number(text) && read_number(text, ret));
}

/* The numbers of @names. NULL: no memory. */
static uint32_t *find_all(struct config *c, const struct config_principal *p, const char *what,
                          const struct config_list *names, int (*find)(const char *text, uint32_t *ret),
                          struct config_errors *errors)
{
    uint32_t *numbers = arena_alloc(&c->arena, (names->n + 1) * sizeof *numbers);

    for (size_t i = 0; numbers && i < names->n; i++)
        if (!find(names->at[i], &numbers[i]))
            WRONG(errors, p, "%s: \"%.100s\": there is no such %s", what, names->at[i], what);
    return numbers;
}

/* One line of a file of tokens, into the list of @p. What it says may be a secret: it is not shown. */
static int take_line(struct config *c, struct config_principal *p, char *line, unsigned int n,
                     struct config_errors *errors)
{
    uint8_t hash[SECRET_BYTES];

    line += strspn(line, " \t");
    line[strcspn(line, " \t\r\n")] = '\0'; /* behind it: as sha256sum has it, or a note */
    if (!*line || *line == '#')
        return 0;
    if (secret_read(line, hash) == 0 && p->tokens.n < TOKENS_MAX)
        return config_list_add(&p->tokens, &c->arena, line, strlen(line));
    WRONG(errors, p, "token_file: %s:%u: %s", p->token_file, n,
          p->tokens.n < TOKENS_MAX
                  ? "a line begins with the SHA-256 of a token, 64 hexadecimal digits, or with #"
                  : "it is one token too many");
    return 0;
}

/* NULL: errno says why. What is no file may be without an end, or keep whoever opens it waiting. */
static FILE *open_tokens(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    FILE *file = NULL;

    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        errno = EINVAL;
    else if (fd >= 0)
        file = fdopen(fd, "r");
    if (!file && fd >= 0)
        close(fd);
    return file;
}

static int read_tokens(struct config *c, struct config_principal *p, struct config_errors *errors)
{
    char line[LINE_BYTES];
    unsigned int n = 0;
    FILE *file = open_tokens(p->token_file);
    int r = 0;

    while (file && r == 0 && fgets(line, sizeof line, file)) {
        if (++n > LINES_MAX || (strlen(line) + 1 == sizeof line && line[sizeof line - 2] != '\n')) {
            WRONG(errors, p, "token_file: %s:%u: the line is too long, or one too many", p->token_file, n);
            break;
        }
        r = take_line(c, p, line, n, errors);
    }
    if (!file || ferror(file))
        WRONG(errors, p, "token_file: %s cannot be read: %s", p->token_file, log_errno_text(errno));
    if (file)
        fclose(file);
    return r;
}

int config_principal_end(struct config *c, struct config_principal *p, struct config_errors *errors)
{
    int r = 0;

    if (!p->users.n && !p->groups.n && !p->certificates.n && !p->tokens.n && !p->token_file)
        WRONG(errors, p, "nobody can be it; give user, group, certificate, token_hash or token_file");
    if (!p->rights.n)
        WRONG(errors, p, "rights: they are missing; without any it may do nothing");
    if (p->token_file)
        r = read_tokens(c, p, errors);
    p->uids = find_all(c, p, "user", &p->users, find_user, errors);
    p->gids = find_all(c, p, "group", &p->groups, config_principal_group, errors);
    return r < 0 || !p->uids || !p->gids ? -ENOMEM : 0;
}
