// SPDX-License-Identifier: Apache-2.0
#include "client/lib/request.h"

#include "base/limit.h"
#include "base/mem.h"
#include "client/lib/client.h"
#include "grpc/messages.h"

#include <errno.h>
#include <string.h>

/* Field numbers of futured/v1/future.proto and futures.proto that lib/grpc has no use for. */
enum {
    OPTIONS_DURABILITY = 1,
    OPTIONS_PRIORITY = 2,
    OPTIONS_DELAY = 3,
    OPTIONS_NOT_BEFORE = 4,
    OPTIONS_DEADLINE = 5,
    OPTIONS_ATTEMPT_TIMEOUT = 6,
    OPTIONS_RETRY = 7,
    OPTIONS_ON_LOST = 8,
    OPTIONS_DEPENDS_ON = 9,
    OPTIONS_DEPEND_POLICY = 10,
    OPTIONS_PASS_RESULTS = 11,
    OPTIONS_IDEMPOTENCY_KEY = 12,
    OPTIONS_KEY_POLICY = 13,
    OPTIONS_RETENTION = 14,
    OPTIONS_CONCURRENCY_KEY = 15,
    OPTIONS_FAIRNESS_KEY = 16,

    RETRY_MAX_ATTEMPTS = 1,
    RETRY_INITIAL_BACKOFF = 2,
    RETRY_MULTIPLIER = 3,
    RETRY_MAX_BACKOFF = 4,
    RETRY_JITTER = 5,
    RETRY_NON_RETRYABLE_TYPES = 6,

    MAP_KEY = 1,
    MAP_VALUE = 2,

    SUBMIT_TASK = 1,
    SUBMIT_GROUP = 2,
    SUBMIT_TAG = 3,
    SUBMIT_REQUEST_ID = 4,
    SUBMIT_VIEW = 5,

    RUN_SUBMIT = 1,
    RUN_CANCEL_ON_DISCONNECT = 2,
    RUN_ANNOUNCE = 3,
};

struct text_pair {
    char *key, *value;
};

/* A span that may not have been said. */
struct maybe_ns {
    int64_t ns;
    int is_set;
};

struct texts {
    char **at;
    size_t n, cap;
};

struct futured_request {
    int is_broken;    /* memory failed in a setter */
    int is_too_large; /* the argument */
    char *function, *content_type, *group, *tag, *request_id;
    char made_id[FUTURED_CLIENT_ID_BYTES]; /* instead of request_id, from the first sending on; "": none */
    void (*told)(void *arg, const struct futured_future *accepted);
    void *told_arg;
    struct bytes *argument;
    struct text_pair *labels;
    size_t n_labels, labels_cap;
    struct texts depends_on, non_retryable_types;
    char *idempotency_key, *concurrency_key, *fairness_key;
    enum futured_view view;
    enum futured_durability durability;
    enum futured_on_lost on_lost;
    enum futured_depend_policy depend_policy;
    enum futured_key_policy key_policy;
    int pass_results, cancel_on_disconnect;
    int32_t priority;
    struct maybe_ns delay, attempt_timeout, retention;
    int64_t not_before_ns, deadline_ns;
    uint32_t max_attempts;
    int64_t initial_backoff_ns, max_backoff_ns;
    double multiplier, jitter;
    int has_jitter;
};

/* --- setters */

static void set_text(struct futured_request *request, char **text, const char *to)
{
    char *copy = NULL;

    if (to) {
        copy = mem_strndup(to, strlen(to));
        if (!copy) {
            request->is_broken = 1;
            return;
        }
    }
    mem_free(*text);
    *text = copy;
}

/* Room for one more item of @size bytes; -ENOMEM. */
static int grow(void **items, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap * 2 : 8;
    void *p;

    if (n < *cap)
        return 0;
    p = mem_realloc(*items, more * size);
    if (!p)
        return -ENOMEM;
    *items = p;
    *cap = more;
    return 0;
}

static void add_text(struct futured_request *request, struct texts *texts, const char *text)
{
    void *at = texts->at;
    char *copy = mem_strndup(text, strlen(text));

    if (!copy || grow(&at, texts->n, &texts->cap, sizeof copy) < 0) {
        mem_free(copy);
        request->is_broken = 1;
        return;
    }
    texts->at = at;
    texts->at[texts->n++] = copy;
}

static void free_texts(struct texts *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        mem_free(texts->at[i]);
    mem_free(texts->at);
}

struct futured_request *futured_request_new(const char *function)
{
    struct futured_request *request = mem_zalloc(sizeof *request);

    if (request)
        set_text(request, &request->function, function);
    return request;
}

struct futured_request *futured_request_free(struct futured_request *request)
{
    if (!request)
        return NULL;
    for (size_t i = 0; i < request->n_labels; i++) {
        mem_free(request->labels[i].key);
        mem_free(request->labels[i].value);
    }
    mem_free(request->labels);
    free_texts(&request->depends_on);
    free_texts(&request->non_retryable_types);
    mem_free(request->function);
    mem_free(request->content_type);
    mem_free(request->group);
    mem_free(request->tag);
    mem_free(request->request_id);
    mem_free(request->idempotency_key);
    mem_free(request->concurrency_key);
    mem_free(request->fairness_key);
    bytes_unref(request->argument);
    return mem_free(request);
}

void futured_request_set_argument(struct futured_request *request, const void *data, size_t size)
{
    struct bytes *argument;

    if (!request)
        return;
    request->is_too_large = size > LIMIT_MAX_MESSAGE_BYTES;
    if (request->is_too_large)
        return;
    argument = bytes_dup(data, size);
    if (!argument) {
        request->is_broken = 1;
        return;
    }
    bytes_unref(request->argument);
    request->argument = argument;
}

void futured_request_add_label(struct futured_request *request, const char *key, const char *value)
{
    struct text_pair pair = {0};
    void *labels;

    if (!request)
        return;
    for (size_t i = 0; i < request->n_labels; i++) {
        if (strcmp(request->labels[i].key, key) == 0) {
            set_text(request, &request->labels[i].value, value);
            return;
        }
    }
    labels = request->labels;
    if (grow(&labels, request->n_labels, &request->labels_cap, sizeof pair) < 0) {
        request->is_broken = 1;
        return;
    }
    request->labels = labels;
    pair.key = mem_strndup(key, strlen(key));
    pair.value = mem_strndup(value, strlen(value));
    if (!pair.key || !pair.value) {
        mem_free(pair.key);
        mem_free(pair.value);
        request->is_broken = 1;
        return;
    }
    request->labels[request->n_labels++] = pair;
}

void futured_request_add_dependency(struct futured_request *request, const char *id)
{
    if (request)
        add_text(request, &request->depends_on, id);
}

void futured_request_add_non_retryable_type(struct futured_request *request, const char *type)
{
    if (request)
        add_text(request, &request->non_retryable_types, type);
}

#define SET_TEXT(name)                                                                 \
    void futured_request_set_##name(struct futured_request *request, const char *name) \
    {                                                                                  \
        if (request)                                                                   \
            set_text(request, &request->name, name);                                   \
    }

SET_TEXT(content_type)
SET_TEXT(group)
SET_TEXT(tag)
SET_TEXT(concurrency_key)
SET_TEXT(fairness_key)

void futured_request_set_request_id(struct futured_request *request, const char *request_id)
{
    if (!request)
        return;
    set_text(request, &request->request_id, request_id);
    request->made_id[0] = '\0';
}

void futured_request_on_accepted(struct futured_request *request,
                                 void (*told)(void *arg, const struct futured_future *accepted), void *arg)
{
    if (!request)
        return;
    request->told = told;
    request->told_arg = arg;
}

void futured_request_set_idempotency_key(struct futured_request *request, const char *key,
                                         enum futured_key_policy policy)
{
    if (!request)
        return;
    set_text(request, &request->idempotency_key, key);
    request->key_policy = policy;
}

void futured_request_set_view(struct futured_request *request, enum futured_view view)
{
    if (request)
        request->view = view;
}

void futured_request_set_cancel_on_disconnect(struct futured_request *request, int cancel)
{
    if (request)
        request->cancel_on_disconnect = cancel;
}

void futured_request_set_durability(struct futured_request *request, enum futured_durability durability)
{
    if (request)
        request->durability = durability;
}

void futured_request_set_priority(struct futured_request *request, int32_t priority)
{
    if (request)
        request->priority = priority;
}

void futured_request_set_delay(struct futured_request *request, int64_t delay_ns)
{
    if (!request)
        return;
    request->delay = (struct maybe_ns){delay_ns, 1};
    request->not_before_ns = 0;
}

void futured_request_set_not_before(struct futured_request *request, int64_t time_ns)
{
    if (!request)
        return;
    request->delay = (struct maybe_ns){0};
    request->not_before_ns = time_ns;
}

void futured_request_set_deadline(struct futured_request *request, int64_t time_ns)
{
    if (request)
        request->deadline_ns = time_ns;
}

void futured_request_set_attempt_timeout(struct futured_request *request, int64_t timeout_ns)
{
    if (request)
        request->attempt_timeout = (struct maybe_ns){timeout_ns, 1};
}

void futured_request_set_retention(struct futured_request *request, int64_t retention_ns)
{
    if (request)
        request->retention = (struct maybe_ns){retention_ns, 1};
}

void futured_request_set_max_attempts(struct futured_request *request, uint32_t max_attempts)
{
    if (request)
        request->max_attempts = max_attempts;
}

void futured_request_set_backoff(struct futured_request *request, int64_t initial_ns, double multiplier,
                                 int64_t max_ns)
{
    if (!request)
        return;
    request->initial_backoff_ns = initial_ns;
    request->multiplier = multiplier;
    request->max_backoff_ns = max_ns;
}

void futured_request_set_jitter(struct futured_request *request, double jitter)
{
    if (!request)
        return;
    request->jitter = jitter;
    request->has_jitter = 1;
}

void futured_request_set_on_lost(struct futured_request *request, enum futured_on_lost on_lost)
{
    if (request)
        request->on_lost = on_lost;
}

void futured_request_set_depend_policy(struct futured_request *request, enum futured_depend_policy policy,
                                       int pass_results)
{
    if (!request)
        return;
    request->depend_policy = policy;
    request->pass_results = pass_results;
}

int futured_request_check(const struct futured_request *request)
{
    if (request && request->is_too_large)
        return FUTURED_REQUEST_E_TOO_LARGE;
    return request && !request->is_broken ? 0 : -ENOMEM;
}

int futured_request_identify(struct futured_request *request, struct futured_client *client)
{
    return request->request_id || request->made_id[0] ? 0 : futured_client_fresh_id(client, request->made_id);
}

int futured_request_has_id(const struct futured_request *request)
{
    return request->request_id ? request->request_id[0] != '\0' : request->made_id[0] != '\0';
}

const char *futured_request_made_id(const struct futured_request *request)
{
    return request->made_id;
}

void futured_request_settle(struct futured_request *request)
{
    request->made_id[0] = '\0';
}

int futured_request_wants_told(const struct futured_request *request)
{
    return request->told != NULL;
}

void futured_request_tell(const struct futured_request *request, const struct futured_future *future)
{
    request->told(request->told_arg, future);
}

/* --- writing */

static void write_text(struct writer *w, uint32_t number, const char *text)
{
    if (text)
        writer_text(w, number, text);
}

static void write_span(struct writer *w, uint32_t number, struct maybe_ns span)
{
    if (span.is_set)
        writer_duration(w, number, span.ns);
}

static void write_texts(struct writer *w, uint32_t number, const struct texts *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        writer_bytes_always(w, number, span_of_string(texts->at[i]));
}

static int has_retry(const struct futured_request *request)
{
    return request->max_attempts || request->initial_backoff_ns || request->max_backoff_ns ||
           request->multiplier != 0 || request->has_jitter || request->non_retryable_types.n;
}

static void write_retry(const struct futured_request *request, struct writer *w)
{
    struct writer_mark mark;

    if (!has_retry(request))
        return;
    mark = writer_begin(w, OPTIONS_RETRY, 32);
    writer_uint(w, RETRY_MAX_ATTEMPTS, request->max_attempts);
    if (request->initial_backoff_ns)
        writer_duration(w, RETRY_INITIAL_BACKOFF, request->initial_backoff_ns);
    if (request->multiplier != 0)
        writer_double(w, RETRY_MULTIPLIER, request->multiplier);
    if (request->max_backoff_ns)
        writer_duration(w, RETRY_MAX_BACKOFF, request->max_backoff_ns);
    if (request->has_jitter)
        writer_double_always(w, RETRY_JITTER, request->jitter);
    write_texts(w, RETRY_NON_RETRYABLE_TYPES, &request->non_retryable_types);
    writer_end(w, mark);
}

static int has_options(const struct futured_request *request)
{
    return request->durability || request->priority || request->delay.is_set || request->not_before_ns ||
           request->deadline_ns || request->attempt_timeout.is_set || has_retry(request) ||
           request->on_lost || request->depends_on.n || request->depend_policy || request->pass_results ||
           request->idempotency_key || request->key_policy || request->retention.is_set ||
           request->concurrency_key || request->fairness_key;
}

void futured_request_write_options(const struct futured_request *request, struct writer *w)
{
    writer_uint(w, OPTIONS_DURABILITY, (uint64_t)request->durability);
    if (request->priority)
        writer_sint(w, OPTIONS_PRIORITY, request->priority);
    write_span(w, OPTIONS_DELAY, request->delay);
    writer_timestamp(w, OPTIONS_NOT_BEFORE, request->not_before_ns);
    writer_timestamp(w, OPTIONS_DEADLINE, request->deadline_ns);
    write_span(w, OPTIONS_ATTEMPT_TIMEOUT, request->attempt_timeout);
    write_retry(request, w);
    writer_uint(w, OPTIONS_ON_LOST, (uint64_t)request->on_lost);
    write_texts(w, OPTIONS_DEPENDS_ON, &request->depends_on);
    writer_uint(w, OPTIONS_DEPEND_POLICY, (uint64_t)request->depend_policy);
    writer_uint(w, OPTIONS_PASS_RESULTS, request->pass_results != 0);
    write_text(w, OPTIONS_IDEMPOTENCY_KEY, request->idempotency_key);
    writer_uint(w, OPTIONS_KEY_POLICY, (uint64_t)request->key_policy);
    write_span(w, OPTIONS_RETENTION, request->retention);
    write_text(w, OPTIONS_CONCURRENCY_KEY, request->concurrency_key);
    write_text(w, OPTIONS_FAIRNESS_KEY, request->fairness_key);
}

static void write_options(const struct futured_request *request, struct writer *w)
{
    struct writer_mark mark;

    if (!has_options(request))
        return;
    mark = writer_begin(w, TASK_OPTIONS, 64);
    futured_request_write_options(request, w);
    writer_end(w, mark);
}

static void write_task(const struct futured_request *request, struct writer *w)
{
    size_t n_argument = request->argument ? request->argument->len : 0;
    struct writer_mark mark = writer_begin(w, SUBMIT_TASK, n_argument + 100), label;

    write_text(w, TASK_FUNCTION, request->function);
    if (n_argument)
        writer_bytes(w, TASK_ARGUMENT, SPAN_OF_BYTES(request->argument));
    write_text(w, TASK_CONTENT_TYPE, request->content_type);
    for (size_t i = 0; i < request->n_labels; i++) {
        label = writer_begin(w, TASK_LABELS, 32);
        writer_text(w, MAP_KEY, request->labels[i].key);
        writer_text(w, MAP_VALUE, request->labels[i].value);
        writer_end(w, label);
    }
    write_options(request, w);
    writer_end(w, mark);
}

void futured_request_write_submit(const struct futured_request *request, struct writer *w, const char *tag)
{
    write_task(request, w);
    write_text(w, SUBMIT_GROUP, request->group);
    write_text(w, SUBMIT_TAG, tag ? tag : request->tag);
    writer_text(w, SUBMIT_REQUEST_ID, request->request_id ? request->request_id : request->made_id);
    writer_uint(w, SUBMIT_VIEW, (uint64_t)request->view);
}

void futured_request_write_run(const struct futured_request *request, struct writer *w, const char *tag,
                               int announce)
{
    size_t n_argument = request->argument ? request->argument->len : 0;
    struct writer_mark mark = writer_begin(w, RUN_SUBMIT, n_argument + 200);

    futured_request_write_submit(request, w, tag);
    writer_end(w, mark);
    writer_uint(w, RUN_CANCEL_ON_DISCONNECT, request->cancel_on_disconnect != 0);
    writer_uint(w, RUN_ANNOUNCE, announce != 0);
}
