// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include "base/child.h"
#include "base/mem.h"
#include "daemon/config_table.h"
#include "daemon/secure.h"
#include "daemon/unit.h"
#include "store/backup.h"
#include "store/check.h"
#include "tls/tls.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 100, EXAMPLE_WIDTH = 98 };

/* The options that are no key of the file. */
enum option {
    OPTION_CONFIG,
    OPTION_PORT_FILE,
    OPTION_ACCEPT_LOSS,
    OPTION_CHECK_CONFIG,
    OPTION_UNIT,
    OPTION_CHECK_STORE,
    OPTION_BACKUP,
    OPTION_VERSION,
    OPTION_HELP
};
static const struct {
    const char *name;
    const char *argument; /* NULL = none */
    const char *doc;
} options[] = {
        [OPTION_CONFIG] = {"config", "FILE", "Read this configuration file. Without it, none is read."},
        [OPTION_PORT_FILE] =
                {"port-file", "FILE",
                 "Once it listens, write one line for each address: tcp 127.0.0.1:4740, or unix /path."},
        [OPTION_ACCEPT_LOSS] = {"accept-loss", NULL,
                                "Start although commits that were acknowledged are missing from the store."},
        [OPTION_CHECK_CONFIG] = {"check-config", NULL,
                                 "Say what is wrong with the configuration, and exit 0 or 1."},
        [OPTION_UNIT] =
                {"unit", "NAME",
                 "With --check-config: also say whether the unit's TimeoutStopSec= is long enough for "
                 "[timeouts] drain."},
        [OPTION_CHECK_STORE] =
                {"check-store", "DIR",
                 "Read the whole store in this state directory, which no daemon may use meanwhile, say what "
                 "is wrong with it, and exit 0, or 1 when something is, or 2 when it cannot be read."},
        [OPTION_BACKUP] = {"backup", "DIR",
                           "Copy the store, which a daemon may be using, into this new state directory, and "
                           "exit 0, or 1 when nothing was copied."},
        [OPTION_VERSION] = {"version", NULL, "Print the version and exit."},
        [OPTION_HELP] = {"help", NULL, "Print this and exit."},
};

/* What the command line asks for. */
struct command_line {
    int argc;
    char *const *argv;
    const char *config_file;
    const char *port_file;
    const char *check_store, *backup; /* NULL: not asked for */
    const char *unit;                 /* NULL: none was named */
    int is_accept_loss, is_check, is_version, is_help;
    struct {
        const struct config_key *key;
        const char *value;
    } settings[64];
    size_t n_settings;
};

/* --- the command line */

/* The value of the option at argv[*i]: behind its "=", or the next word. NULL: there is none. */
static const char *option_value(int argc, char *const argv[], int *i)
{
    const char *eq = strchr(argv[*i], '=');

    if (eq)
        return eq + 1;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

static void take_option(struct command_line *line, enum option option, const char *value)
{
    switch (option) {
    case OPTION_CONFIG: line->config_file = value; break;
    case OPTION_PORT_FILE: line->port_file = value; break;
    case OPTION_ACCEPT_LOSS: line->is_accept_loss = 1; break;
    case OPTION_CHECK_CONFIG: line->is_check = 1; break;
    case OPTION_UNIT: line->unit = value; break;
    case OPTION_CHECK_STORE: line->check_store = value; break;
    case OPTION_BACKUP: line->backup = value; break;
    case OPTION_VERSION: line->is_version = 1; break;
    case OPTION_HELP: line->is_help = 1; break;
    }
}

/* One argument, at argv[*i]. 0: it was wrong, and said so. */
static int read_argument(struct command_line *line, int argc, char *const argv[], int *i,
                         struct config_errors *errors)
{
    const char *word = argv[*i], *value = NULL;
    const struct config_key *key;
    char name[64];
    size_t option = 0, n;

    if (strncmp(word, "--", 2) != 0 || !word[2]) {
        config_error(errors, "%s: options begin with --, and nothing else is taken; see futured --help",
                     word);
        return 0;
    }
    n = strcspn(word + 2, "=");
    snprintf(name, sizeof name, "%.*s", (int)MIN(n, sizeof name - 1), word + 2);
    key = config_key_of_flag(name);
    while (!key && option < ARRAY_LEN(options) && strcmp(options[option].name, name) != 0)
        option++;
    if (!key && option == ARRAY_LEN(options)) {
        config_error(errors, "--%s: there is no such option; see futured --help", name);
        return 0;
    }
    if (key || options[option].argument) {
        value = option_value(argc, argv, i);
        if (!value || !*value) {
            config_error(errors, "--%s: its value is missing: --%s %s", name, name,
                         key ? key->argument : options[option].argument);
            return 0;
        }
    } else if (word[2 + n] == '=') {
        config_error(errors, "--%s: it takes no value", name);
        return 0;
    }
    if (!key) {
        take_option(line, (enum option)option, value);
    } else if (line->n_settings == ARRAY_LEN(line->settings)) {
        config_error(errors, "--%s: at most %zu settings fit the command line; use --config", name,
                     ARRAY_LEN(line->settings));
        return 0;
    } else {
        line->settings[line->n_settings].key = key;
        line->settings[line->n_settings++].value = value;
    }
    return 1;
}

static void read_command_line(struct command_line *line, int argc, char *const argv[],
                              struct config_errors *errors)
{
    *line = (struct command_line){.argc = argc, .argv = argv};
    for (int i = 0; i < argc; i++)
        if (!read_argument(line, argc, argv, &i, errors))
            return; /* what follows may be a value of the unknown */
}

/* --- the parts of a configuration */

static int set_presets(struct config *c)
{
    char why[CONFIG_WHY_BYTES];

    c->h2 = h2_config_server();
    c->limits = LIMITS_DEFAULT;
    c->functions_directory = "";
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        int r;

        if (!key->preset || config_section_is_named(key->section))
            continue;
        r = config_set(key, c, &c->arena, key->preset, why);
        ASSERT(r != CONFIG_E_VALUE);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The command line wins over the file; its addresses replace the file's. */
static int set_settings(struct config *c, struct arena *arena, const struct command_line *line,
                        struct config_errors *errors)
{
    char why[CONFIG_WHY_BYTES];
    int has_listen = 0;

    for (size_t i = 0; i < line->n_settings; i++) {
        const struct config_key *key = line->settings[i].key;
        int r;

        if (key->type == CONFIG_ADDRESSES && !has_listen) {
            c->n_listen = 0;
            has_listen = 1;
        }
        r = config_set(key, c, arena, line->settings[i].value, why);
        if (r == CONFIG_E_VALUE)
            config_error(errors, "--%s: %s", key->flag, why);
        else if (r < 0)
            return r;
    }
    return 0;
}

static uint32_t count_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    return (uint32_t)MAX(CPU_COUNT(&set), 1);
}

/* The first directory of a variable that systemd fills with a list; "" when it is unset. */
static const char *first_directory(const char *variable, char *to, size_t size)
{
    const char *value = getenv(variable);

    snprintf(to, size, "%.*s", value ? (int)strcspn(value, ":") : 0, value ? value : "");
    return to;
}

static int default_listen(struct config *c, struct config_errors *errors)
{
    const struct config_key *key = config_key_find("futured", "listen");
    char directory[4096], text[4096 + 64], why[CONFIG_WHY_BYTES];
    const char *variable = "RUNTIME_DIRECTORY";
    int r;

    if (*first_directory(variable, directory, sizeof directory)) {
        snprintf(text, sizeof text, "unix:%s/futured.sock", directory);
    } else if (*first_directory(variable = "XDG_RUNTIME_DIR", directory, sizeof directory)) {
        snprintf(text, sizeof text, "unix:%s/futured/futured.sock", directory);
    } else {
        config_error(errors,
                     "there is no address to listen on: give --listen ADDR or [futured] listen, or set "
                     "RUNTIME_DIRECTORY or XDG_RUNTIME_DIR");
        return 0;
    }
    c->is_listen_default = 1;
    r = config_set(key, c, &c->arena, text, why);
    if (r == CONFIG_E_VALUE)
        config_error(errors, "the default address made of %s is of no use: %s", variable, why);
    return r < 0 ? r : 0;
}

static int default_state_directory(struct config *c)
{
    char directory[4096], text[4096 + 64];

    if (*first_directory("STATE_DIRECTORY", directory, sizeof directory))
        snprintf(text, sizeof text, "%s", directory);
    else if (*first_directory("XDG_STATE_HOME", directory, sizeof directory))
        snprintf(text, sizeof text, "%s/futured", directory);
    else if (*first_directory("HOME", directory, sizeof directory))
        snprintf(text, sizeof text, "%s/.local/state/futured", directory);
    else
        return 0;
    c->is_state_default = 1;
    c->state_directory = arena_strndup(&c->arena, text, strlen(text));
    return c->state_directory ? 0 : -ENOMEM;
}

/* What is the environment's to say, where nobody else did. Who checks a configuration is not in the daemon's. */
static int set_defaults(struct config *c, const struct command_line *line, struct config_errors *errors)
{
    int r = 0;

    if (!c->n_listen && !line->backup && !line->is_check) /* which listen to nobody */
        r = default_listen(c, errors);
    if (r == 0 && !c->state_directory)
        r = default_state_directory(c);
    if (r == 0 && c->store != CONFIG_STORE_NONE && !c->state_directory && !line->is_check)
        config_error(errors,
                     "there is no directory for the store: give --state-directory DIR or [futured] "
                     "state_directory, or set STATE_DIRECTORY, XDG_STATE_HOME or HOME; or --store none");
    return r;
}

void config_pool_size(const struct config *c, uint32_t *ret_min, uint32_t *ret_max)
{
    *ret_min = c->min_workers ? c->min_workers : c->workers;
    *ret_max = c->max_workers ? c->max_workers : MAX(c->workers, *ret_min);
    if (!c->min_workers)
        *ret_min = MIN(*ret_min, *ret_max);
}

static void check_pool(const struct config *c, struct config_errors *errors)
{
    enum { POOL_SESSIONS_MAX = 4096 }; /* as many as there may be processes */
    uint32_t min, max;

    if (c->workers == 0 && (c->min_workers || c->max_workers))
        config_error(errors, "[pool] workers: 0 is no pool at all, and then `%s` must not be given",
                     c->min_workers ? "min" : "max");
    if (c->max_workers && c->min_workers > c->max_workers)
        config_error(errors, "[pool] min: %u is more than `max`, which is %u", c->min_workers,
                     c->max_workers);
    config_pool_size(c, &min, &max);
    if (max * c->threads > POOL_SESSIONS_MAX)
        config_error(errors,
                     "[pool] threads: %u processes of %u threads are %u; at most %u are allowed in all: have "
                     "fewer "
                     "`workers`, or a smaller `max`",
                     max, c->threads, max * c->threads, POOL_SESSIONS_MAX);
}

/* What a function promises its tasks the daemon must be able to keep. */
static void check_functions(const struct config *c, struct config_errors *errors)
{
    for (size_t i = 0; i < c->n_functions && c->store == CONFIG_STORE_NONE; i++)
        if (c->functions[i].defaults.durability == DURABILITY_DURABLE)
            config_error(errors, "%s:%u: [function.%s] durability: durable needs a store, and there is none",
                         c->functions[i].file, c->functions[i].line, c->functions[i].name);
}

int config_check_address(const struct config *c, const struct address *a, char *why, size_t size)
{
    if (a->is_tls && (!c->tls_certificate || !c->tls_key))
        snprintf(why, size, "%s needs [tls] certificate and key", a->text);
    else if (c->insecure || address_is_loopback(a))
        return 0;
    else if (!a->is_tls)
        snprintf(why, size,
                 "%s: whoever reaches it over the network could read and do everything; listen on tls:%s, on "
                 "127.0.0.1 or [::1], or on a Unix socket; or write insecure = yes",
                 a->text, a->text);
    else if (!c->n_principals && !config_needs_certificates(c))
        snprintf(why, size,
                 "%s: whoever reaches it over the network could do everything; ask clients for certificates "
                 "([tls] "
                 "client_ca), or say who may what ([principal.NAME]); or write insecure = yes",
                 a->text);
    else
        return 0;
    return CONFIG_E_INVALID;
}

/* What a principal keeps where nothing is kept is none. */
static void check_principals(const struct config *c, struct config_errors *errors)
{
    for (size_t i = 0; i < c->n_principals && c->store == CONFIG_STORE_NONE; i++)
        if (c->principals[i].max_stored_bytes)
            config_error(errors, "%s:%u: [principal.%s] max_stored: it needs a store, and there is none",
                         c->principals[i].file, c->principals[i].line, c->principals[i].name);
}

static void find_socket_group(struct config *c, struct config_errors *errors)
{
    uint32_t gid;

    c->socket_gid =
            config_principal_group(c->socket_group ? c->socket_group : "futured", &gid) ? (int64_t)gid : -1;
    if (c->socket_group && c->socket_gid < 0)
        config_error(errors, "[futured] socket_group: \"%.100s\": there is no such group", c->socket_group);
}

static void check_transport(const struct config *c, struct config_errors *errors)
{
    char why[CONFIG_WHY_BYTES];

    if (!c->tls_certificate != !c->tls_key)
        config_error(errors, "[tls] %s: it is missing; a certificate and its key belong together",
                     c->tls_key ? "certificate" : "key");
    for (size_t i = 0; i < c->n_listen; i++)
        if (config_check_address(c, &c->listen[i], why, sizeof why) != 0)
            config_error(errors, "[futured] listen: %s", why);
}

static int load(struct config *c, const struct command_line *line, struct config_errors *errors)
{
    int r = set_presets(c);
    struct config scratch = *c;

    c->workers = count_processors();
    if (r == 0)
        r = set_settings(&scratch, &c->arena, line, errors); /* what is wrong there comes first */
    if (r == 0 && errors->n)
        return CONFIG_E_USAGE;
    if (r == 0 && line->config_file)
        r = config_read_file(c, line->config_file, 0, errors);
    if (r == 0 && *c->functions_directory)
        r = config_read_directory(c, c->functions_directory, errors);
    if (r == 0)
        r = set_settings(c, &c->arena, line, errors);
    if (r == 0) {
        check_pool(c, errors);
        check_functions(c, errors);
        check_principals(c, errors);
    }
    if (r == 0 && !errors->n)
        r = set_defaults(c, line, errors);
    if (r == 0) {
        find_socket_group(c, errors);
        check_transport(c, errors);
    }
    c->argc = line->argc;
    c->argv = line->argv;
    c->accept_loss = line->is_accept_loss;
    if (r == 0 && line->port_file) {
        c->port_file = arena_strndup(&c->arena, line->port_file, strlen(line->port_file));
        if (!c->port_file)
            r = -ENOMEM;
    }
    return r;
}

/* As config_load, for a command line that is read already. */
static int load_new(struct config **ret, const struct command_line *line, struct config_errors *errors)
{
    struct config *c = mem_zalloc(sizeof *c);
    int r;

    if (!c)
        return -ENOMEM;
    arena_init(&c->arena, 0); /* its files are the operator's own */
    r = load(c, line, errors);
    if (r == 0 && errors->is_out_of_memory)
        r = -ENOMEM;
    if (r == 0 && errors->n)
        r = CONFIG_E_INVALID;
    if (r != 0) {
        config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int config_load(struct config **ret, int argc, char *const argv[], struct buf *errors)
{
    struct config_errors list = {.text = errors};
    struct command_line line;

    read_command_line(&line, argc, argv, &list);
    if (list.is_out_of_memory)
        return -ENOMEM;
    if (list.n)
        return CONFIG_E_USAGE;
    return load_new(ret, &line, &list);
}

int config_again(const struct config *c, struct config **ret, struct buf *errors)
{
    return config_load(ret, c->argc, c->argv, errors);
}

struct config *config_free(struct config *c)
{
    if (!c)
        return NULL;
    arena_deinit(&c->arena);
    mem_free(c);
    return NULL;
}

/* --- for a main function */

static void print_errors(const struct config_errors *errors)
{
    const char *at = (const char *)buf_head(errors->text), *end = at + buf_len(errors->text);

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        ASSERT(newline);
        fprintf(stderr, "futured: %.*s\n", (int)(newline - at), at);
        at = newline + 1;
    }
    if (errors->n > CONFIG_ERRORS_MAX)
        fprintf(stderr, "futured: and %u more\n", errors->n - CONFIG_ERRORS_MAX);
}

/* The exit status for what config_load or its parts returned. */
static int report(int r, const struct config_errors *errors)
{
    print_errors(errors);
    if (r == -ENOMEM)
        fprintf(stderr, "futured: no memory to read the configuration\n");
    return r == CONFIG_E_USAGE ? 2 : 1;
}

/* The exit status of --backup. */
static int back_up(const struct config *c, const char *to)
{
    const struct backup_config config = {.from = c->state_directory, .to = to};
    struct store_problem problem;
    int r;

    if (c->store == CONFIG_STORE_NONE) {
        fprintf(stderr, "futured: --backup: with store = none there is nothing to copy\n");
        return 1;
    }
    r = backup_run(&config, &problem);
    if (r != 0)
        fprintf(stderr, "futured: --backup: %s is not copied: %s\n", c->state_directory,
                problem.text[0] ? problem.text : strerror(r < 0 ? -r : EIO));
    else
        printf("copied %s to %s\n", c->state_directory, to);
    return fflush(stdout) == 0 && r == 0 ? 0 : 1;
}

/* What the start would find as well. */
static int check_tls_files(const struct config *c)
{
    struct tls_context *context = NULL;
    char why[TLS_WHY_BYTES];

    if (secure_context_new(&context, c, why) != 0)
        fprintf(stderr, "futured: [tls]: %s\n", why);
    else if (!context)
        return 1;
    return context && !tls_context_free(context);
}

/* Whether the unit is made for this configuration. Where nobody knows it, that is said, and is no error. */
static int check_unit(const struct config *c, const char *unit)
{
    char why[UNIT_WHY_BYTES];
    int r = unit ? unit_check_stop(unit, c->drain_timeout_ns, why) : 0;

    if (r != 0)
        fprintf(stderr, "futured: %s\n", why);
    return r <= 0;
}

/* Whether who calls this may set up what functions ask for; the filter of calls, which needs nobody's leave, is the worker's. */
static int check_sandboxes(const struct config *c)
{
    unsigned int what = 0;
    struct confine confine;
    int r;

    for (size_t i = 0; i < c->n_functions; i++)
        what |= c->functions[i].sandbox & CONFINE_SPACES;
    if (!what)
        return 1;
    confine_init(&confine, what, 1 << 20);
    r = child_try(&confine);
    for (size_t i = 0; r < 0 && i < c->n_functions; i++)
        if (c->functions[i].sandbox & CONFINE_SPACES)
            fprintf(stderr,
                    "futured: %s:%u: [function.%s] sandbox: cannot set up %s: %s; where a unit of systemd "
                    "forbids it, sandbox.conf of its drop-ins allows it\n",
                    c->functions[i].file, c->functions[i].line, c->functions[i].name,
                    confine.failed ? confine.failed : "a process", log_errno_text(r));
    return r == 0;
}

int config_main(struct config **ret, int argc, char *const argv[])
{
    CLEANUP(buf_deinit) struct buf text = BUF_INIT;
    struct config_errors errors = {.text = &text};
    struct command_line line;
    int r;

    read_command_line(&line, argc - 1, argv + 1, &errors);
    if (errors.is_out_of_memory || errors.n)
        return report(errors.n ? CONFIG_E_USAGE : -ENOMEM, &errors);
    if (line.is_help || line.is_version) {
        if (line.is_help)
            config_write_help(stdout);
        else
            printf("futured " FUTURED_VERSION "\n");
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (line.check_store)
        return check_store(line.check_store, stdout);
    r = load_new(ret, &line, &errors);
    if (r != 0)
        return report(r, &errors);
    if (!line.is_check && !line.backup)
        return -1;
    if (line.is_check && (!check_tls_files(*ret) || !check_unit(*ret, line.unit) || !check_sandboxes(*ret))) {
        *ret = config_free(*ret);
        return 1;
    }
    if (line.backup)
        r = back_up(*ret, line.backup);
    else
        r = printf("configuration ok\n") > 0 && fflush(stdout) == 0 ? 0 : 1;
    *ret = config_free(*ret);
    return r;
}

/* --- documentation */

/* @text in lines of at most @width, each after @prefix; the cursor stands behind the first prefix already. */
static void write_wrapped(FILE *to, const char *text, const char *prefix, size_t width)
{
    size_t room = width - strlen(prefix), used = 0;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (used && used + 1 + n > room) {
            fprintf(to, "\n%s", prefix);
            used = 0;
        }
        fprintf(to, "%s%.*s", used ? " " : "", (int)n, text);
        used += (used ? 1 : 0) + n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void write_help_line(FILE *to, const char *left, const char *doc)
{
    char indent[HELP_COLUMN + 1];

    memset(indent, ' ', HELP_COLUMN);
    indent[HELP_COLUMN] = '\0';
    fprintf(to, "%-*s", HELP_COLUMN, left);
    if (strlen(left) >= HELP_COLUMN)
        fprintf(to, "\n%s", indent);
    write_wrapped(to, doc, indent, HELP_WIDTH);
}

static void write_option_help(FILE *to, const char *name, const char *argument, const char *doc)
{
    char left[64];

    snprintf(left, sizeof left, "  --%s%s%s", name, argument ? " " : "", argument ? argument : "");
    write_help_line(to, left, doc);
}

void config_write_help(FILE *to)
{
    const char *section = "";

    fprintf(to, "usage: futured [OPTION]...\n\n"
                "The daemon for futures: it accepts tasks over gRPC, has them run, and keeps what became of "
                "them.\n\n"
                "Options win over the file:\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        write_option_help(to, options[i].name, options[i].argument, options[i].doc);
        if (i != OPTION_CONFIG)
            continue;
        for (size_t k = 0; k < config_n_keys; k++)
            if (config_keys[k].flag)
                write_option_help(to, config_keys[k].flag, config_keys[k].argument, config_keys[k].doc);
    }
    fprintf(to, "\nThe file (INI; comments begin with # or ;) and its defaults:\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char left[64];

        if (strcmp(section, key->section) != 0)
            fprintf(to, "[%s%s]\n", key->section, config_section_is_named(key->section) ? ".NAME" : "");
        section = key->section;
        snprintf(left, sizeof left, "  %s%s%s", key->name, key->preset ? " = " : "",
                 key->preset ? key->preset : "");
        write_help_line(to, left, key->doc);
    }
}

void config_write_example(FILE *to)
{
    const char *section = "";

    fprintf(to, "# SPDX-License-Identifier: Apache-2.0\n"
                "# The configuration of futured. Every key is here, with its default or an example;\n"
                "# `futured --check-config --config FILE` says what is wrong with a file.\n"
                "# Sizes take K, M, G or T; times take ms, s, min, h or d.\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const char *value = key->shipped ? key->shipped : key->preset ? key->preset : key->sample;

        if (strcmp(section, key->section) != 0 && strcmp(key->section, "function") == 0)
            fprintf(to, "\n# A function that is a command, or limits and defaults of another; one such "
                        "section for each.\n"
                        "#[function.NAME]\n");
        else if (strcmp(section, key->section) != 0 && strcmp(key->section, "principal") == 0)
            fprintf(to, "\n# Somebody who may call (docs/security.md); one such section for each. Without "
                        "any, all who can "
                        "connect may\n# do all.\n#[principal.NAME]\n");
        else if (strcmp(section, key->section) != 0)
            fprintf(to, "\n[%s]\n", key->section);
        section = key->section;
        fprintf(to, "# ");
        write_wrapped(to, key->doc, "# ", EXAMPLE_WIDTH);
        fprintf(to, "%s%s =%s%s\n", key->shipped ? "" : "#", key->name, *value ? " " : "", value);
    }
}
