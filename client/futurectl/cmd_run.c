// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_run.h"

#include "base/clock.h"
#include "client/futurectl/argument.h"

/* NULL and *ret_exit when there is nothing to submit. */
static struct futured_request *new_request(struct ctl *ctl, int *ret_exit)
{
    const struct options *o = &ctl->options;
    struct futured_request *request;
    struct buf argument = BUF_INIT;

    *ret_exit = argument_read(ctl, &argument);
    if (*ret_exit != CTL_OK) {
        buf_deinit(&argument);
        return NULL;
    }
    request = futured_request_new(o->arguments[0]);
    futured_request_set_argument(request, buf_head(&argument), buf_len(&argument));
    buf_deinit(&argument);
    for (size_t i = 0; i < o->n_labels; i++)
        futured_request_add_label(request, o->labels[i].key, o->labels[i].value);
    futured_request_set_content_type(request, o->content_type);
    futured_request_set_group(request, o->group);
    futured_request_set_tag(request, o->tag);
    futured_request_set_priority(request, o->priority);
    futured_request_set_max_attempts(request, o->max_attempts);
    futured_request_set_view(request, o->view);
    futured_request_set_cancel_on_disconnect(request, o->cancel_on_disconnect);
    if (o->key)
        futured_request_set_idempotency_key(request, o->key, o->key_policy);
    for (size_t i = 0; i < o->n_depends_on; i++)
        futured_request_add_dependency(request, o->depends_on[i]);
    if (o->depend_policy || o->passes_results)
        futured_request_set_depend_policy(request, o->depend_policy, o->passes_results);
    if (o->is_ephemeral)
        futured_request_set_durability(request, FUTURED_EPHEMERAL);
    if (o->deadline.is_set)
        futured_request_set_deadline(request, clock_add(clock_wall(), o->deadline.ns));
    if (o->delay.is_set)
        futured_request_set_delay(request, o->delay.ns);
    if (o->attempt_timeout.is_set)
        futured_request_set_attempt_timeout(request, o->attempt_timeout.ns);
    if (o->retention.is_set)
        futured_request_set_retention(request, o->retention.ns);
    return request;
}

/* The result of a future that has it, fetched where the answer had no room for it. */
static int print_result(struct ctl *ctl, const struct futured_future *future)
{
    struct futured_future *whole;
    int code;

    if (!future->result->size || future->result->data.size)
        return ctl_write_result(ctl, future->result->data);
    if (futured_get(ctl->client, future->id, FUTURED_VIEW_RESULT, &whole))
        return ctl_fail(ctl);
    code = whole->result ? ctl_write_result(ctl, whole->result->data) : CTL_FAILED;
    futured_future_free(whole);
    return code;
}

int cmd_run(struct ctl *ctl)
{
    struct futured_future *future;
    struct futured_request *request;
    int code;

    request = new_request(ctl, &code);
    if (code != CTL_OK)
        return code;
    if (futured_run(ctl->client, request, &future)) {
        futured_request_free(request);
        return ctl_fail(ctl);
    }
    futured_request_free(request);
    code = ctl_outcome(ctl, future);
    if (ctl->options.format != OUTPUT_TEXT)
        output_future(&ctl->out, future);
    else if (code == CTL_OK && future->result)
        code = print_result(ctl, future);
    futured_future_free(future);
    return code;
}

int cmd_run_submit(struct ctl *ctl)
{
    struct futured_future *future;
    struct futured_request *request;
    int code;

    request = new_request(ctl, &code);
    if (code != CTL_OK)
        return code;
    if (futured_submit(ctl->client, request, &future)) {
        futured_request_free(request);
        return ctl_fail(ctl);
    }
    futured_request_free(request);
    if (ctl->options.format != OUTPUT_TEXT)
        output_future(&ctl->out, future);
    else
        fprintf(ctl->out.to, "%s\n", future->id);
    futured_future_free(future);
    return CTL_OK;
}
