// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "base/limit.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/futurectl/mapper.h"
#include "client/futurectl/quote.h"
#include "client/futurectl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

enum {
    MESSAGE_REST_BYTES = 1024, /* of a message beside argument and labels: names, keys, options */
    READ_BYTES = 64 * 1024,
    MAX_LABEL_BYTES = 1024, /* of a value, where the daemon has no other limit */
};

/* Why a job is not sent; NULL: no memory even for that. */
PRINTF_LIKE(1, 2) static char *why(const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mem_strndup(text, strlen(text));
}

/* --- templates, which wait for the columns */

static int read_templates(struct mapper *m)
{
    const struct options *o = &m->ctl->options;
    int is_json = o->content_type && strcmp(o->content_type, "application/json") == 0, r;
    char error[TEMPLATE_ERROR_BYTES] = "out of memory";

    r = template_parse(&m->argument, o->argument ? o->argument : "{}", m->items.head, is_json, error);
    for (size_t i = 0; r == 0 && i < o->n_labels; i++)
        r = template_parse(&m->labels[i], o->labels[i].value, m->items.head, 0, error);
    m->has_templates = 1;
    if (r == 0)
        return 0;
    mapper_show_hide(m);
    ctl_complain(m->ctl, "%s", error);
    m->code = r < 0 ? CTL_FAILED : CTL_USAGE;
    mapper_stop(m, MAPPER_SOON);
    return r;
}

/* --- the argument of a job, into m->data */

static char *read_fd(struct mapper *m, int fd, const char *path)
{
    for (;;) {
        ssize_t n;

        if (buf_reserve(&m->data, READ_BYTES) < 0)
            return why("out of memory");
        n = read(fd, buf_tail(&m->data), READ_BYTES);
        if (n < 0 && errno != EINTR)
            return why("cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            return NULL;
        buf_commit(&m->data, n > 0 ? (size_t)n : 0);
        if (buf_len(&m->data) > LIMIT_MAX_MESSAGE_BYTES) /* one that has no size, such as a pipe */
            return why("%s is longer than 64 MiB, which no daemon takes as an argument", path);
    }
}

static char *too_large(const struct mapper *m, uint64_t n)
{
    char size[TEXT_SIZE_BYTES], limit[TEXT_SIZE_BYTES];

    text_size(n, size);
    text_size(m->max_message_bytes, limit);
    return why("%s are more than the daemon takes: its max_message is %s", size, limit);
}

static char *read_file(struct mapper *m)
{
    int fd CLEANUP(err_close) = -1;
    struct stat st;
    char *path;

    if (buf_append(&m->text, "", 1) < 0)
        return why("out of memory");
    path = (char *)buf_head(&m->text);
    if (strlen(path) + 1 != buf_len(&m->text))
        return why("a path has no NUL");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return why("cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return why("cannot read %s: %s", path, strerror(EISDIR));
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > m->max_message_bytes)
        return too_large(m, (uint64_t)st.st_size);
    return read_fd(m, fd, path);
}

static char *fill(const struct mapper *m, const struct template *t, const struct item *item, struct buf *to)
{
    int r;

    buf_clear(to);
    if (t == &m->argument && m->items.head && !m->ctl->options.argument && !m->ctl->options.is_files)
        r = template_fill_object(m->items.head, item, to);
    else
        r = template_fill(t, item, to);
    if (r == TEMPLATE_E_TEXT)
        return why("it is no UTF-8, and goes into JSON");
    return r < 0 ? why("out of memory") : NULL;
}

static char *fill_argument(struct mapper *m, const struct job *job)
{
    char *error;

    buf_clear(&m->data);
    if (!m->ctl->options.is_files)
        return fill(m, &m->argument, job->item, &m->data);
    error = fill(m, &m->argument, job->item, &m->text);
    return error ? error : read_file(m);
}

/* --- its labels, through m->text; *n_bytes grows by what they take */

static int is_label(struct span value)
{
    return utf8_is_valid(value.p, value.len) && !(value.len && memchr(value.p, '\0', value.len));
}

static char *fill_labels(struct mapper *m, const struct job *job, size_t *n_bytes)
{
    const struct options *o = &m->ctl->options;

    if (o->is_files) { /* the text is still the path */
        const char *path = (const char *)buf_head(&m->text);
        size_t n = strlen(path);

        futured_request_add_label(m->request, "file",
                                  n <= MAX_LABEL_BYTES && is_label(span_of_string(path)) ? path : "");
        *n_bytes += n;
    }
    for (size_t i = 0; i < o->n_labels; i++) {
        char *error = fill(m, &m->labels[i], job->item, &m->text);

        if (error)
            return error;
        if (!is_label((struct span){buf_head(&m->text), buf_len(&m->text)}))
            return why("its label %s is no UTF-8 without NULs", o->labels[i].key);
        if (buf_append(&m->text, "", 1) < 0)
            return why("out of memory");
        futured_request_add_label(m->request, o->labels[i].key, (const char *)buf_head(&m->text));
        *n_bytes += buf_len(&m->text) + sizeof o->labels[i].key;
    }
    return NULL;
}

/* --- its key: what the group, the function and the argument are. Two hashes of 64 bits: where two arguments had the same, the
 * daemon compares, and refuses the second */

static void make_key(struct mapper *m, struct job *job)
{
    static const struct hash_seed seeds[] = {{1, 2}, {3, 4}};
    const char *type = m->ctl->options.content_type;
    uint64_t parts[2][4], hash[2];

    for (size_t i = 0; i < ARRAY_LEN(seeds); i++) {
        parts[i][0] = hash_bytes(&seeds[i], m->group, strlen(m->group));
        parts[i][1] = hash_bytes(&seeds[i], m->function, strlen(m->function));
        parts[i][2] = hash_bytes(&seeds[i], type ? type : "", type ? strlen(type) : 0);
        parts[i][3] = hash_bytes(&seeds[i], buf_head(&m->data), buf_len(&m->data));
        hash[i] = hash_bytes(&seeds[i], parts[i], sizeof parts[i]);
    }
    for (unsigned int twin = 1;; twin++) { /* the same item twice in flight is two tasks */
        int n = snprintf(job->key, sizeof job->key, "map/%016" PRIx64 "%016" PRIx64, hash[0], hash[1]);

        if (twin > 1)
            snprintf(job->key + n, sizeof job->key - (size_t)n, "/%u", twin);
        if (!map_find(&m->keys, span_of_string(job->key)))
            return;
    }
}

static char *set_key(struct mapper *m, struct job *job)
{
    const struct options *o = &m->ctl->options;
    enum futured_key_policy policy = FUTURED_KEY_JOIN_WHILE_ACTIVE;

    if (!m->is_keyed)
        return NULL;
    if (!job->key[0])
        make_key(m, job);
    if (o->retries_failed || (o->resumes && job->is_second))
        policy = FUTURED_KEY_JOIN_UNLESS_FAILED;
    else if (o->resumes)
        policy = FUTURED_KEY_JOIN;
    futured_request_set_idempotency_key(m->request, job->key, policy);
    job->is_in_keys = map_insert(&m->keys, &job->in_keys, span_of_string(job->key)) == 0;
    return job->is_in_keys ? NULL : why("out of memory");
}

/* --- sending */

static void print_dry(struct mapper *m, const struct job *job)
{
    FILE *to = m->ctl->out.to;
    const struct options *o = &m->ctl->options;

    fprintf(to, "futurectl run ");
    quote_put(to, span_of_string(m->function));
    if (o->is_files) {
        fputs(" @", to);
        quote_put(to, (struct span){buf_head(&m->text), buf_len(&m->text)});
    } else {
        fputs(" --argument ", to);
        quote_put(to, (struct span){buf_head(&m->data), buf_len(&m->data)});
    }
    for (size_t i = 0; i < o->n_labels; i++) {
        mem_free(fill(m, &m->labels[i], job->item, &m->text));
        fprintf(to, " --label %s=", o->labels[i].key);
        quote_put(to, (struct span){buf_head(&m->text), buf_len(&m->text)});
    }
    fputc('\n', to);
}

static char *prepare(struct mapper *m, struct job *job)
{
    int is_dry = m->ctl->options.is_dry_run, is_path = is_dry && m->ctl->options.is_files;
    size_t n = MESSAGE_REST_BYTES;
    char *error = is_path ? fill(m, &m->argument, job->item, &m->text) : fill_argument(m, job);

    if (error)
        return error;
    if (is_dry) {
        print_dry(m, job);
        return NULL;
    }
    error = fill_labels(m, job, &n);
    if (error)
        return error;
    job->n_bytes = buf_len(&m->data);
    if (job->n_bytes + n > m->max_message_bytes)
        return too_large(m, job->n_bytes);
    futured_request_set_argument(m->request, buf_head(&m->data), buf_len(&m->data));
    futured_request_set_request_id(m->request, job->request_id[0] ? job->request_id : NULL);
    return set_key(m, job);
}

static void put(struct mapper *m, struct job *job)
{
    if (!m->pipeline)
        m->pipeline = futured_pipeline_new(m->ctl->client, m->ctl->options.max_in_flight);
    if (m->pipeline && futured_pipeline_put(m->pipeline, m->request, job) == FUTURED_OK) {
        m->bytes_in_flight += job->n_bytes;
        list_push_back(&m->flying, &job->link);
        return;
    }
    mapper_submit_forget(m, job);
    mapper_away(m, futured_client_status(m->ctl->client));
    mapper_submit_again(m, job, 0);
    /* The connection or its stream is gone: a new one when all that was in flight has come back. */
    if (m->pipeline && futured_pipeline_in_flight(m->pipeline) == 0)
        m->pipeline = futured_pipeline_free(m->pipeline);
}

static void send(struct mapper *m, struct job *job, char *error)
{
    if (!error)
        error = prepare(m, job);
    if (error || m->ctl->options.is_dry_run)
        mapper_finish(m, job, NULL, error);
    else
        put(m, job);
}

void mapper_submit_forget(struct mapper *m, struct job *job)
{
    if (job->is_in_keys)
        map_remove(&m->keys, &job->in_keys);
    list_del(&job->link);
    job->is_in_keys = 0;
    job->n_bytes = 0;
}

void mapper_submit_again(struct mapper *m, struct job *job, int64_t pause_ns)
{
    m->pause_until = MAX(m->pause_until, clock_add(clock_mono(), pause_ns));
    job->next = NULL;
    *m->again_end = job;
    m->again_end = &job->next;
    m->n_again++;
}

/* --- what is next */

static int has_room(const struct mapper *m)
{
    if (m->pipeline && (futured_pipeline_is_full(m->pipeline) || (futured_pipeline_in_flight(m->pipeline) &&
                                                                  m->bytes_in_flight >= MAPPER_FLIGHT_BYTES)))
        return 0;
    return !m->pause_until || clock_mono() >= m->pause_until;
}

/* With --keep-order what is ahead of the oldest is bounded. */
static int has_turn(const struct mapper *m)
{
    return !m->ring || (m->items.n + 1 - m->next_out < m->n_window && m->bytes_held < MAPPER_HELD_BYTES);
}

static struct job *take_again(struct mapper *m)
{
    struct job *job = m->again;

    m->again = job->next;
    if (!m->again)
        m->again_end = &m->again;
    m->n_again--;
    return job;
}

/* The next item as a job; NULL: there is none at present. */
static struct job *take_item(struct mapper *m, char **ret_error)
{
    struct item *item = NULL;
    struct job *job;
    int r = items_next(&m->items, &item);

    *ret_error = r == ITEMS_E_BAD ? why("%s", m->items.error) : NULL;
    if (r == 0 || r == ITEMS_E_BAD) {
        job = mem_zalloc(sizeof *job);
        if (job) {
            job->item = item;
            list_init(&job->link);
        }
        if (job && (m->has_templates || read_templates(m) == 0))
            return job;
        if (job)
            mapper_finish_drop(m, job);
        else
            items_free(item);
        mem_free(*ret_error);
        r = job ? ITEMS_E_END : -ENOMEM;
    }
    m->wants_input = r == ITEMS_E_WAIT;
    m->is_input_over = r != ITEMS_E_WAIT;
    if (r < 0) {
        mapper_show_hide(m);
        ctl_complain(m->ctl,
                     r == -EFBIG ? "item %" PRIu64 " is longer than 64 MiB, which no daemon takes"
                                 : "out of memory",
                     m->items.n + 1);
        m->code = CTL_FAILED;
        mapper_stop(m, MAPPER_SOON);
    }
    return NULL;
}

int mapper_submit_can(const struct mapper *m)
{
    return m->stop == MAPPER_GOES && has_room(m) &&
           (m->again || (!m->is_input_over && !m->wants_input && has_turn(m)));
}

void mapper_submit(struct mapper *m)
{
    for (int n = 0; n < MAPPER_BATCH && mapper_submit_can(m); n++) {
        char *error = NULL;
        struct job *job;

        m->pause_until = 0;
        job = m->again ? take_again(m) : take_item(m, &error);
        if (job)
            send(m, job, error);
    }
}
