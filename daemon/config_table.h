// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The rows of the configuration and how their values are read. Only for config*.c and their tests. */
#include "daemon/config.h"

enum config_type {
    CONFIG_ADDRESSES,    /* struct address *, size_t; each value adds one */
    CONFIG_BOOL,         /* int */
    CONFIG_CERTIFICATES, /* struct config_list, each value adds one, as those of the next three */
    CONFIG_TOKENS,
    CONFIG_USERS,      /* names of users, or of groups */
    CONFIG_RIGHTS,     /* the same of words; once */
    CONFIG_COUNT,      /* uint32_t */
    CONFIG_COUNT64,    /* uint64_t */
    CONFIG_DEMAND,     /* uint8_t, 1 is required, 2 is optional */
    CONFIG_DURABILITY, /* uint8_t, enum durability */
    CONFIG_FILE,       /* const char *, absolute; a value without a slash is a credential of systemd */
    CONFIG_LEVEL,      /* enum log_level */
    CONFIG_PATH,       /* const char *, absolute */
    CONFIG_ON_LOST,    /* uint8_t, enum on_lost */
    CONFIG_DECIMAL,    /* double */
    CONFIG_INTEGER,    /* int32_t; min and max are signed, both 0: any */
    CONFIG_PLUGINS,    /* const char **, size_t; each value adds one */
    CONFIG_SANDBOX,    /* uint8_t, a set of CONFINE_ */
    CONFIG_SIZE,       /* uint64_t or size_t, bytes */
    CONFIG_SIZE32,     /* uint32_t, bytes */
    CONFIG_SPAN,       /* int64_t, nanoseconds */
    CONFIG_STORE,      /* enum config_store */
    CONFIG_TEXT,       /* const char * */
    CONFIG_TYPES,      /* the types of a struct retry_policy */
    CONFIG_UNKNOWN,    /* uint8_t, 1 is refuse, 2 is accept */
    CONFIG_VERSION,    /* uint8_t, 1 is TLS 1.2, 2 is 1.3 */
};

enum { CONFIG_WHY_BYTES = 1024, CONFIG_KEYS_MAX = 128 };

struct config_key {
    const char
            *section; /* "function" stands for each [function.NAME], "principal" for each [principal.NAME] */
    const char *name;
    enum config_type type;
    size_t offset; /* in struct config; of those in struct config_function and struct config_principal */
    uint64_t min, max;
    const char *zero;    /* what 0 means for a time; NULL = not allowed */
    const char *preset;  /* the default as it would be written; NULL = none, @doc says what then holds */
    const char *sample;  /* for the example file, where there is no preset */
    const char *shipped; /* instead: the example file has it switched on, with this value */
    const char *flag;    /* the option of the same meaning, without its dashes; NULL = none */
    const char *argument;
    const char *doc;
    int needs_restart; /* it holds from the next start; all others hold from a reload on */
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* config_key_find: the row of [@section] @name, NULL when there is none. */
const struct config_key *config_key_find(const char *section, const char *name);
/* config_key_of_flag: the row with that option, NULL when there is none. */
const struct config_key *config_key_of_flag(const char *flag);
MUST_CHECK int config_section_exists(const char *section);
/* config_section_is_named: whether it stands for each [@section.NAME]. */
MUST_CHECK int config_section_is_named(const char *section);

/* config_set: read @value into the place that @key has in @into.
 *   Owns:   strings are copied into @arena.
 *   Return: 0; CONFIG_E_VALUE (@why says what is wrong and what is allowed); -ENOMEM. */
enum { CONFIG_E_VALUE = 1 };
MUST_CHECK int config_set(const struct config_key *key, void *into, struct arena *arena, const char *value,
                          char why[static CONFIG_WHY_BYTES]);

/* config_file.c: config_error adds one line to @errors (up to CONFIG_ERRORS_MAX of them); config_read_file
 * reads @path into @c; with @is_part only [function.NAME] may stand in it.
 *   Return: 0 (the errors tell); -ENOMEM. */
enum { CONFIG_ERRORS_MAX = 100 };
struct config_errors {
    struct buf *text;
    unsigned int n;
    int is_out_of_memory;
};
PRINTF_LIKE(2, 3) void config_error(struct config_errors *errors, const char *format, ...);

/* config_list_add: a copy of the @n bytes at @value, at the end. 0, -ENOMEM. */
MUST_CHECK int config_list_add(struct config_list *list, struct arena *arena, const char *value, size_t n);

/* config_principal.c: config_principal_end finds what the section of @p names, and reads its file of tokens. 0 (the errors
 * tell); -ENOMEM. config_principal_group: of that name or number; 0: there is none. */
MUST_CHECK int config_principal_end(struct config *c, struct config_principal *p,
                                    struct config_errors *errors);
MUST_CHECK int config_principal_group(const char *text, uint32_t *ret);

MUST_CHECK int config_read_file(struct config *c, const char *path, int is_part,
                                struct config_errors *errors);
/* config_read_directory: every *.conf in @path, in the order of their names, as parts. */
MUST_CHECK int config_read_directory(struct config *c, const char *path, struct config_errors *errors);
