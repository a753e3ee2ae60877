// SPDX-License-Identifier: Apache-2.0
/*
 * From the generated struct of a Future to the public one. Strings and bytes stay where the generated code has
 * put them, in the same arena; only the structs around them are new.
 */
#include "client/lib/future.h"

#include "base/mem.h"
#include "grpc/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct future_box {
    struct futured_box box;
    struct futured_future future;
};

/* Both map entries of the contract, {string key = 1; string value = 2}, have this struct. */
_Static_assert(sizeof(Futured__V1__Task__LabelsEntry) == sizeof(Futured__V1__Future__LabelsEntry) &&
                       offsetof(Futured__V1__Task__LabelsEntry, value) ==
                               offsetof(Futured__V1__Future__LabelsEntry, value),
               "label entries look alike");

static int compare_labels(const void *a, const void *b)
{
    const struct futured_label *x = a, *y = b;

    return strcmp(x->key, y->key);
}

static int fill_labels(struct arena *arena, Futured__V1__Future__LabelsEntry *const *from, size_t n,
                       size_t *ret_n, const struct futured_label **ret)
{
    struct futured_label *labels = futured_box_array(arena, n, sizeof *labels);

    if (!labels)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        labels[i] = (struct futured_label){.key = from[i]->key, .value = from[i]->value};
    if (n)
        qsort(labels, n, sizeof *labels, compare_labels);
    *ret_n = n;
    *ret = labels;
    return 0;
}

struct futured_error *futured_future_error(struct arena *arena, const Futured__V1__Error *from)
{
    struct futured_error *to;

    if (!from)
        return NULL;
    to = futured_box_array(arena, 1, sizeof *to);
    if (to)
        *to = (struct futured_error){
                .code = (int)from->code,
                .reason = from->reason,
                .type = from->type,
                .message = from->message,
                .traceback = from->traceback,
                .function_reason = from->function_reason,
                .retryable = from->retryable,
        };
    return to;
}

struct futured_progress *futured_future_progress(struct arena *arena, const Futured__V1__Progress *from)
{
    struct futured_progress *to;

    if (!from)
        return NULL;
    to = futured_box_array(arena, 1, sizeof *to);
    if (to)
        *to = (struct futured_progress){
                .completed = from->completed, .total = from->total, .message = from->message};
    return to;
}

static struct futured_result *new_result(struct arena *arena, const Futured__V1__Result *from)
{
    struct futured_result *to = futured_box_array(arena, 1, sizeof *to);

    if (!to)
        return NULL;
    to->size = from->size_bytes;
    to->content_type = from->content_type;
    if (from->content_case == FUTURED__V1__RESULT__CONTENT_DATA) {
        to->data = (struct futured_bytes){.data = from->data.data, .size = from->data.len};
        if (to->size == 0)
            to->size = from->data.len;
    }
    return to;
}

/* @from NULL: nothing was said. */
static struct futured_task_options *new_options(struct arena *arena, const Futured__V1__TaskOptions *from)
{
    const Futured__V1__TaskOptions none = FUTURED__V1__TASK_OPTIONS__INIT;
    struct futured_task_options *to = futured_box_array(arena, 1, sizeof *to);

    if (!to)
        return NULL;
    if (!from)
        from = &none;
    *to = (struct futured_task_options){
            .durability = (enum futured_durability)from->durability,
            .priority = from->priority,
            .delay_ns = FUTURED_NO_SPAN,
            .deadline_ns = futured_box_time(from->deadline),
            .attempt_timeout_ns = futured_box_span(from->attempt_timeout),
            .retention_ns = futured_box_span(from->retention),
            .initial_backoff_ns = FUTURED_NO_SPAN,
            .max_backoff_ns = FUTURED_NO_SPAN,
            .jitter = -1,
            .on_lost = (enum futured_on_lost)from->on_lost,
            .n_depends_on = from->n_depends_on,
            .depends_on = (const char *const *)from->depends_on,
            .depend_policy = (enum futured_depend_policy)from->depend_policy,
            .pass_results = from->pass_results,
            .idempotency_key = from->idempotency_key,
            .key_policy = (enum futured_key_policy)from->key_policy,
            .concurrency_key = from->concurrency_key,
            .fairness_key = from->fairness_key,
    };
    if (from->start_case == FUTURED__V1__TASK_OPTIONS__START_DELAY)
        to->delay_ns = futured_box_span(from->delay);
    else if (from->start_case == FUTURED__V1__TASK_OPTIONS__START_NOT_BEFORE)
        to->not_before_ns = futured_box_time(from->not_before);
    if (from->retry) {
        to->max_attempts = from->retry->max_attempts;
        to->initial_backoff_ns = futured_box_span(from->retry->initial_backoff);
        to->max_backoff_ns = futured_box_span(from->retry->max_backoff);
        to->multiplier = from->retry->multiplier;
        if (from->retry->jitter_presence_case == FUTURED__V1__RETRY_POLICY__JITTER_PRESENCE_JITTER)
            to->jitter = from->retry->jitter;
        to->n_non_retryable_types = from->retry->n_non_retryable_types;
        to->non_retryable_types = (const char *const *)from->retry->non_retryable_types;
    }
    return to;
}

static struct futured_task *new_task(struct arena *arena, const Futured__V1__Task *from)
{
    struct futured_task *to = futured_box_array(arena, 1, sizeof *to);

    if (!to)
        return NULL;
    to->function = from->function;
    to->content_type = from->content_type;
    if (from->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT)
        to->argument = (struct futured_bytes){.data = from->argument.data, .size = from->argument.len};
    to->options = new_options(arena, from->options);
    if (!to->options || fill_labels(arena, (Futured__V1__Future__LabelsEntry *const *)from->labels,
                                    from->n_labels, &to->n_labels, &to->labels) < 0)
        return NULL;
    return to;
}

static struct futured_attempt *new_attempt(struct arena *arena, const Futured__V1__Attempt *from)
{
    struct futured_attempt *to = futured_box_array(arena, 1, sizeof *to);

    if (!to)
        return NULL;
    *to = (struct futured_attempt){
            .number = from->number,
            .worker = from->worker,
            .start_time_ns = futured_box_time(from->start_time),
            .end_time_ns = futured_box_time(from->end_time),
            .error = futured_future_error(arena, from->error),
            .user_cpu_ns = FUTURED_NO_SPAN,
            .system_cpu_ns = FUTURED_NO_SPAN,
            .wall_ns = FUTURED_NO_SPAN,
    };
    if (from->error && !to->error)
        return NULL;
    if (from->exit_code_presence_case == FUTURED__V1__ATTEMPT__EXIT_CODE_PRESENCE_EXIT_CODE) {
        to->has_exit_code = 1;
        to->exit_code = from->exit_code;
    }
    if (from->signal_presence_case == FUTURED__V1__ATTEMPT__SIGNAL_PRESENCE_SIGNAL) {
        to->has_signal = 1;
        to->signal = from->signal;
    }
    if (from->usage) {
        to->user_cpu_ns = futured_box_span(from->usage->user_cpu);
        to->system_cpu_ns = futured_box_span(from->usage->system_cpu);
        to->wall_ns = futured_box_span(from->usage->wall);
        if (from->usage->max_rss_bytes_presence_case ==
            FUTURED__V1__USAGE__MAX_RSS_BYTES_PRESENCE_MAX_RSS_BYTES) {
            to->has_max_rss = 1;
            to->max_rss_bytes = from->usage->max_rss_bytes;
        }
    }
    return to;
}

static int fill_attempts(struct arena *arena, const Futured__V1__Future *from, struct futured_future *to)
{
    const struct futured_attempt **attempts =
            futured_box_array(arena, from->n_attempts, sizeof(struct futured_attempt *));

    if (!attempts)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_attempts; i++) {
        attempts[i] = new_attempt(arena, from->attempts[i]);
        if (!attempts[i])
            return -ENOMEM;
    }
    to->n_attempts = from->n_attempts;
    to->attempts = attempts;
    return 0;
}

static struct futured_cancellation *new_cancellation(struct arena *arena,
                                                     const Futured__V1__Cancellation *from)
{
    struct futured_cancellation *to = futured_box_array(arena, 1, sizeof *to);

    if (to)
        *to = (struct futured_cancellation){
                .time_ns = futured_box_time(from->time),
                .principal = from->principal,
                .reason = from->reason,
                .grace_ns = futured_box_span(from->grace),
        };
    return to;
}

static enum futured_state state_of(Futured__V1__State state)
{
    return (int)state < 0 || (int)state > (int)FUTURED_STATE_CANCELLED ? FUTURED_STATE_UNSPECIFIED
                                                                       : (enum futured_state)state;
}

/* What needs no memory. */
static void fill_plain(const Futured__V1__Future *from, struct futured_future *to)
{
    *to = (struct futured_future){
            .id = from->id,
            .state = state_of(from->state),
            .revision = from->revision,
            .pending_reason = (enum futured_pending_reason)from->pending_reason,
            .submit_time_ns = futured_box_time(from->submit_time),
            .start_time_ns = futured_box_time(from->start_time),
            .end_time_ns = futured_box_time(from->end_time),
            .expire_time_ns = futured_box_time(from->expire_time),
            .group = from->group,
            .tag = from->tag,
            .name_space = from->namespace_,
            .retention_ns = FUTURED_NO_SPAN,
            .principal = from->submitter ? from->submitter->principal : "",
            .peer = from->submitter ? from->submitter->peer : "",
            .traceparent = from->traceparent,
            .retry_of = from->retry_of,
            .retried_by = from->retried_by,
            .argument_size = from->argument_size_bytes,
            .omitted = from->omitted,
    };
    if (from->schedule) {
        to->priority = from->schedule->priority;
        to->not_before_ns = futured_box_time(from->schedule->not_before);
        to->deadline_ns = futured_box_time(from->schedule->deadline);
        to->next_start_time_ns = futured_box_time(from->schedule->next_start_time);
        to->retention_ns = futured_box_span(from->schedule->retention);
    }
    if (from->task && to->argument_size == 0 && from->task->input_case == FUTURED__V1__TASK__INPUT_ARGUMENT)
        to->argument_size = from->task->argument.len;
}

int futured_future_fill(struct arena *arena, const Futured__V1__Future *from, struct futured_bytes wire,
                        struct futured_future *to)
{
    fill_plain(from, to);
    to->wire = wire;
    if (from->outcome_case == FUTURED__V1__FUTURE__OUTCOME_RESULT) {
        to->result = new_result(arena, from->result);
        if (!to->result)
            return -ENOMEM;
    } else if (from->outcome_case == FUTURED__V1__FUTURE__OUTCOME_ERROR) {
        to->error = futured_future_error(arena, from->error);
        if (!to->error)
            return -ENOMEM;
    }
    if (from->task) {
        to->task = new_task(arena, from->task);
        if (!to->task)
            return -ENOMEM;
    }
    if (from->effective_options) {
        to->effective_options = new_options(arena, from->effective_options);
        if (!to->effective_options)
            return -ENOMEM;
    }
    if (from->cancel_requested) {
        to->cancel_requested = new_cancellation(arena, from->cancel_requested);
        if (!to->cancel_requested)
            return -ENOMEM;
    }
    to->output_size = from->output_size_bytes;
    to->log_size = from->log_size_bytes;
    to->progress = futured_future_progress(arena, from->progress);
    if (from->progress && !to->progress)
        return -ENOMEM;
    if (fill_attempts(arena, from, to) < 0)
        return -ENOMEM;
    return fill_labels(arena, from->labels, from->n_labels, &to->n_labels, &to->labels);
}

int futured_future_list(struct arena *arena, Futured__V1__Future *const *from, size_t n,
                        struct futured_bytes wire, uint32_t number, const struct futured_future *const **ret)
{
    struct futured_future **list = futured_box_array(arena, n, sizeof(struct futured_future *));
    struct wire_reader reader = wire_reader((struct span){wire.data, wire.size});
    struct wire_field field = {0};

    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r;

        do
            r = wire_next(&reader, &field);
        while (r == 0 && field.number != number);
        ASSERT(r == 0); /* the generated code has found as many */
        list[i] = futured_box_array(arena, 1, sizeof *list[i]);
        if (!list[i] ||
            futured_future_fill(arena, from[i], (struct futured_bytes){field.bytes.p, field.bytes.len},
                                list[i]) < 0)
            return -ENOMEM;
    }
    *ret = (const struct futured_future *const *)list;
    return 0;
}

int futured_future_decode(struct span reply, void *ret)
{
    struct futured_bytes wire;
    struct future_box *future;
    struct futured_box *box;
    ProtobufCMessage *message;
    int r = futured_box_new(&box, sizeof *future, &futured__v1__future__descriptor, reply, &message);

    if (r)
        return r;
    future = CONTAINER_OF(box, struct future_box, box);
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r == 0)
        r = futured_future_fill(&box->arena, (const Futured__V1__Future *)(const void *)message, wire,
                                &future->future);
    if (r) {
        futured_box_free(box);
        return r;
    }
    *(struct futured_future **)ret = &future->future;
    return 0;
}

struct futured_future *futured_future_free(struct futured_future *future)
{
    if (future)
        futured_box_free(&CONTAINER_OF(future, struct future_box, future)->box);
    return NULL;
}

int futured_future_is_done(const struct futured_future *future)
{
    return future->state == FUTURED_STATE_SUCCEEDED || future->state == FUTURED_STATE_FAILED ||
           future->state == FUTURED_STATE_CANCELLED;
}
