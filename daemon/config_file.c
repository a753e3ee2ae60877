// SPDX-License-Identifier: Apache-2.0
/*
 * The INI file, by inih. inih calls a reader for each line and a handler for each value, and tells neither of
 * them where it is; so both are ours, and the reader does what inih would do silently:
 *   - a line that does not fit is an error (inih would go on with its rest as a new line)
 *   - so are NUL bytes and what is not UTF-8
 *   - leading blanks are dropped (inih would append an indented line to the value before)
 *   - a section is noted here under its whole name (inih keeps 49 bytes of it), and inih is given [s]
 * What is left to inih is comments, the split at "=" and the trimming. A ";" inside a value is part of it.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "daemon/config_table.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_BYTES = 8192,
    LINE_MAX_BYTES = BUFFER_BYTES - 4 /* \r, \n, NUL and one */,
    SECTION_MAX_BYTES = 300,
    FILES_MAX = 10000,
    PRINCIPALS_MAX = 4096,
    PRINCIPAL_NAME_MAX = 100
};

static const char function_prefix[] = "function.", principal_prefix[] = "principal.";

struct source {
    struct config *c;
    struct config_errors *errors;
    FILE *file;
    const char *path;
    int is_part;
    unsigned int line;
    int r; /* -ENOMEM */

    char section[SECTION_MAX_BYTES];
    const char *table_section;          /* of the table; NULL: what stands here is passed over */
    void *into;                         /* what the section's values are set in */
    unsigned int seen[CONFIG_KEYS_MAX]; /* by key: the line it was set in, 0 = not yet */
    struct config_function *function;   /* the last one of this file */
    struct config_principal *principal; /* likewise */
};

void config_error(struct config_errors *errors, const char *format, ...)
{
    char line[CONFIG_WHY_BYTES + PATH_MAX + SECTION_MAX_BYTES + 256];
    va_list args;
    int n;

    if (++errors->n > CONFIG_ERRORS_MAX)
        return;
    va_start(args, format);
    n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (n < 0 || (size_t)n > sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    if (buf_append(errors->text, line, (size_t)n) < 0)
        errors->is_out_of_memory = 1;
}

#define WRONG(src, format, ...) \
    config_error((src)->errors, "%s:%u: " format, (src)->path, (src)->line __VA_OPT__(, ) __VA_ARGS__)

/* --- sections */

static int is_function_name(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= LIMIT_FUNCTION_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

int config_function_has_attempt_limits(const struct config_function *f)
{
    return f->memory_max_bytes > 0 || f->cpu_time_max_ns > 0 || f->max_result_bytes > 0 ||
           f->open_files > 0 || f->isolate || f->sandbox;
}

static int has_limit(const struct config_function *f)
{
    return f->max_running > 0 || f->max_pending > 0 || f->rate > 0 || config_function_has_attempt_limits(f);
}

/* What belongs to a retry policy that there is not. */
static void check_retry(const struct source *src, const struct config_function *f)
{
    static const char *const parts[] = {"initial_backoff", "multiplier", "max_backoff", "jitter",
                                        "non_retryable_types"};

    for (size_t i = 0; i < ARRAY_LEN(parts) && !f->retry.max_attempts; i++) {
        unsigned int line = src->seen[config_key_find("function", parts[i]) - config_keys];

        if (line)
            config_error(src->errors, "%s:%u: [%s%s] %s: it needs max_attempts beside it", f->file, line,
                         function_prefix, f->name, parts[i]);
    }
}

/* A function that has no command is none, unless it is somebody else's; said where its section began. */
static void end_section(struct source *src)
{
    struct config_function *f = src->function;

    if (src->principal && config_principal_end(src->c, TAKE_PTR(src->principal), src->errors) < 0)
        src->r = -ENOMEM;
    src->function = NULL;
    if (!f)
        return;
    check_retry(src, f);
    if (!f->command && !has_limit(f) && !f->retry.max_attempts && defaults_is_nothing(&f->defaults))
        config_error(src->errors, "%s:%u: [%s%s] command: it is missing; a function needs one", f->file,
                     f->line, function_prefix, f->name);
}

static int add_function(struct source *src, const char *name)
{
    struct config *c = src->c;
    struct config_function *f;

    for (size_t i = 0; i < c->n_functions; i++)
        if (strcmp(c->functions[i].name, name) == 0) {
            WRONG(src, "[%s]: it is at %s:%u already", src->section, c->functions[i].file,
                  c->functions[i].line);
            return 0;
        }
    if (c->n_functions >= c->limits.max_functions) {
        WRONG(src, "[%s]: it is one too many; [limits] functions allows %u", src->section,
              c->limits.max_functions);
        return 0;
    }
    if ((c->n_functions & (c->n_functions - 1)) == 0) { /* a power of two is full */
        f = arena_alloc(&c->arena, MAX(c->n_functions * 2, (size_t)1) * sizeof *f);
        if (!f)
            return -ENOMEM;
        if (c->n_functions)
            memcpy(f, c->functions, c->n_functions * sizeof *f);
        c->functions = f;
    }
    f = &c->functions[c->n_functions];
    *f = (struct config_function){.line = src->line, .defaults = FUNCTION_DEFAULTS_NONE};
    f->name = arena_strndup(&c->arena, name, strlen(name));
    f->file = arena_strndup(&c->arena, src->path, strlen(src->path));
    if (!f->name || !f->file)
        return -ENOMEM;
    c->n_functions++;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char why[CONFIG_WHY_BYTES];

        if (strcmp(key->section, "function") != 0)
            continue;
        src->seen[i] = 0;
        if (key->preset && config_set(key, f, &c->arena, key->preset, why) != 0)
            return -ENOMEM;
    }
    src->function = f;
    src->table_section = "function";
    src->into = f;
    return 0;
}

static int add_principal(struct source *src, const char *name)
{
    struct config *c = src->c;
    struct config_principal *p;

    for (size_t i = 0; i < c->n_principals; i++)
        if (strcmp(c->principals[i].name, name) == 0) {
            WRONG(src, "[%s]: it is at %s:%u already", src->section, c->principals[i].file,
                  c->principals[i].line);
            return 0;
        }
    if (c->n_principals == PRINCIPALS_MAX) {
        WRONG(src, "[%s]: it is one too many; %d are allowed", src->section, PRINCIPALS_MAX);
        return 0;
    }
    if ((c->n_principals & (c->n_principals - 1)) == 0) { /* as for functions */
        p = arena_alloc(&c->arena, MAX(c->n_principals * 2, (size_t)1) * sizeof *p);
        if (!p)
            return -ENOMEM;
        if (c->n_principals)
            memcpy(p, c->principals, c->n_principals * sizeof *p);
        c->principals = p;
    }
    p = &c->principals[c->n_principals];
    *p = (struct config_principal){.line = src->line, .namespace = ""};
    p->name = arena_strndup(&c->arena, name, strlen(name));
    p->file = arena_strndup(&c->arena, src->path, strlen(src->path));
    if (!p->name || !p->file)
        return -ENOMEM;
    c->n_principals++;
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].section, "principal") == 0)
            src->seen[i] = 0;
    src->principal = p;
    src->table_section = "principal";
    src->into = p;
    return 0;
}

static void begin_principal(struct source *src, const char *name)
{
    size_t n = strlen(name);

    if (src->is_part)
        WRONG(src, "[%s]: only [function.NAME] is allowed in a file of functions_directory", src->section);
    else if (n == 0 || n > PRINCIPAL_NAME_MAX ||
             strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") != n)
        WRONG(src, "[%s]: a principal's name has 1 to %d of A-Z a-z 0-9 . _ @ -", src->section,
              PRINCIPAL_NAME_MAX);
    else if (add_principal(src, name) < 0)
        src->r = -ENOMEM;
}

static void begin_section(struct source *src)
{
    end_section(src);
    src->table_section = NULL;
    if (strncmp(src->section, function_prefix, sizeof function_prefix - 1) == 0) {
        const char *name = src->section + sizeof function_prefix - 1;

        if (!is_function_name(name))
            WRONG(src, "[%s]: a function's name has 1 to %d of A-Z a-z 0-9 . _ -", src->section,
                  LIMIT_FUNCTION_NAME_BYTES);
        else if (add_function(src, name) < 0)
            src->r = -ENOMEM;
    } else if (strncmp(src->section, principal_prefix, sizeof principal_prefix - 1) == 0) {
        begin_principal(src, src->section + sizeof principal_prefix - 1);
    } else if (strcmp(src->section, "function") == 0 || strcmp(src->section, "principal") == 0 ||
               !config_section_exists(src->section)) {
        WRONG(src,
              "[%s]: there is no such section; [futured], [limits], [store], [timeouts], [tls], [pool], "
              "[function.NAME] and [principal.NAME] are allowed",
              src->section);
    } else if (src->is_part) {
        WRONG(src, "[%s]: only [function.NAME] is allowed in a file of functions_directory", src->section);
    } else {
        src->table_section = src->section;
        src->into = src->c;
    }
}

/* @line is "[...". */
static void note_section(struct source *src, const char *line)
{
    const char *end = strchr(line, ']');
    size_t n = end ? (size_t)(end - line - 1) : 0;

    src->table_section = NULL;
    if (!end || end[1 + strspn(end + 1, " \t\r\n")] || n == 0) {
        end_section(src);
        WRONG(src, "a section is [NAME], alone on its line");
    } else if (n >= sizeof src->section) {
        end_section(src);
        WRONG(src, "the name of the section is too long");
    } else {
        memcpy(src->section, line + 1, n);
        src->section[n] = '\0';
        begin_section(src);
    }
}

/* --- lines and values */

/* One line into @to without its newline; 0 at the end of the file. *ret_why is what is wrong with it. */
static int read_line(FILE *file, char *to, size_t size, const char **ret_why)
{
    size_t n = 0;
    int c = getc_unlocked(file);

    *ret_why = NULL;
    if (c == EOF)
        return 0;
    for (; c != EOF && c != '\n'; c = getc_unlocked(file)) {
        if (n + 1 >= size)
            *ret_why = "the line is too long";
        else if (c == '\0')
            *ret_why = "there is a NUL byte in the line";
        else
            to[n++] = (char)c;
    }
    to[n] = '\0';
    if (!*ret_why && !utf8_is_valid((const uint8_t *)to, n))
        *ret_why = "the line is not UTF-8";
    return 1;
}

static char *on_line(char *to, int size, void *arg)
{
    struct source *src = arg;
    char line[LINE_MAX_BYTES + 1];
    const char *why, *text = line;

    ASSERT(size >= BUFFER_BYTES);
    if (src->r < 0 || !read_line(src->file, line, sizeof line, &why))
        return NULL;
    if (src->line == 0 && strncmp(line, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        text += 3;
    src->line++;
    text += strspn(text, " \t\r");
    if (why) {
        WRONG(src, "%s; at most %d bytes of UTF-8 are allowed", why, LINE_MAX_BYTES);
        text = "";
    } else if (*text == '[') {
        note_section(src, text);
        text = "[s]";
    }
    snprintf(to, (size_t)size, "%s\n", text);
    return to;
}

/* Whether each value adds one. */
static int is_many(enum config_type type)
{
    return type == CONFIG_ADDRESSES || type == CONFIG_PLUGINS || type == CONFIG_CERTIFICATES ||
           type == CONFIG_TOKENS || type == CONFIG_USERS;
}

static int on_value(void *arg, const char *section, const char *name, const char *value)
{
    struct source *src = arg;
    const struct config_key *key;
    char why[CONFIG_WHY_BYTES];
    size_t i;
    int r;

    if (!*src->section) {
        WRONG(src, "%.100s: a value stands in a section; begin with [futured]", name);
        return 1;
    }
    if (!src->table_section || src->r < 0) /* the section itself was refused */
        return 1;
    key = config_key_find(src->table_section, name);
    if (!key) {
        WRONG(src, "[%s] %.100s: there is no such key; see futured --help", src->section, name);
        return 1;
    }
    i = (size_t)(key - config_keys);
    if (!is_many(key->type) && src->seen[i]) {
        WRONG(src, "[%s] %s: it is in line %u already", src->section, name, src->seen[i]);
        return 1;
    }
    src->seen[i] = src->line;
    r = config_set(key, src->into, &src->c->arena, value, why);
    if (r == CONFIG_E_VALUE) {
        WRONG(src, "[%s] %s: %s", src->section, name, why);
        src->seen[i] = 0; /* it is as if it were not there */
    }
    if (r < 0)
        src->r = r;
    return 1;
}

int config_read_file(struct config *c, const char *path, int is_part, struct config_errors *errors)
{
    struct source src = {.c = c, .errors = errors, .path = path, .is_part = is_part};
    int bad_line;

    src.file = fopen(path, "re");
    if (!src.file) {
        config_error(errors, "%s: cannot be read: %s", path, log_errno_text(errno));
        return 0;
    }
    ini_use_stack = false;
    ini_initial_alloc = BUFFER_BYTES;
    ini_max_line = BUFFER_BYTES;
    ini_allow_realloc = false;
    ini_allow_multiline = false;
    ini_allow_inline_comments = false;
    ini_allow_bom = false;
    ini_allow_no_value = false;
    ini_stop_on_first_error = false;
    bad_line = ini_parse_stream(on_line, &src, on_value, &src);
    if (bad_line > 0)
        config_error(errors, "%s:%d: neither a [section], nor key = value, nor a comment (# or ;)", path,
                     bad_line);
    else if (bad_line < 0)
        src.r = -ENOMEM;
    if (ferror(src.file))
        config_error(errors, "%s: cannot be read: %s", path, log_errno_text(errno));
    fclose(src.file);
    end_section(&src);
    return src.r;
}

/* --- directories */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_part_name(const char *name)
{
    size_t n = strlen(name);

    return *name != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0;
}

/* The paths of the parts, unsorted, in @c's arena. */
static int list_parts(struct config *c, DIR *dir, const char *path, char **names, size_t *ret_n)
{
    const struct dirent *entry;
    size_t n = 0;

    while (n < FILES_MAX && (entry = readdir(dir)) != NULL) {
        char text[PATH_MAX + NAME_MAX + 2];

        if (!is_part_name(entry->d_name))
            continue;
        snprintf(text, sizeof text, "%s/%s", path, entry->d_name);
        names[n] = arena_strndup(&c->arena, text, strlen(text));
        if (!names[n])
            return -ENOMEM;
        n++;
    }
    *ret_n = n;
    return 0;
}

int config_read_directory(struct config *c, const char *path, struct config_errors *errors)
{
    char **names;
    size_t n = 0;
    DIR *dir = opendir(path);
    int r;

    if (!dir) {
        config_error(errors, "[futured] functions_directory: %s cannot be read: %s", path,
                     log_errno_text(errno));
        return 0;
    }
    names = mem_alloc(FILES_MAX * sizeof *names);
    r = names ? list_parts(c, dir, path, names, &n) : -ENOMEM;
    closedir(dir);
    if (n == FILES_MAX)
        config_error(errors, "[futured] functions_directory: %s has %d files or more", path, FILES_MAX);
    if (n)
        qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 0; i < n && r == 0; i++)
        r = config_read_file(c, names[i], 1, errors);
    mem_free(names);
    return r;
}
