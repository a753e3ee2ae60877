// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_run.h"

#include "client/futurectl/argument.h"
#include "client/futurectl/select.h"
#include "client/futurectl/task.h"

static int set_dependencies(struct ctl *ctl, struct futured_request *request)
{
    const struct options *o = &ctl->options;
    char text[ID_TEXT_LEN + 1];
    const char *id;

    for (size_t i = 0; i < o->n_depends_on; i++) {
        int code = select_id(ctl, o->depends_on[i], text, &id);

        if (code != CTL_OK)
            return code;
        futured_request_add_dependency(request, id);
    }
    if (o->depend_policy || o->passes_results)
        futured_request_set_depend_policy(request, o->depend_policy, o->passes_results);
    return CTL_OK;
}

static int fill_request(struct ctl *ctl, struct futured_request *request)
{
    const struct options *o = &ctl->options;
    struct buf argument = BUF_INIT;
    int code = argument_read(ctl, &argument);

    if (code == CTL_OK)
        futured_request_set_argument(request, buf_head(&argument), buf_len(&argument));
    buf_deinit(&argument);
    if (code != CTL_OK)
        return code;
    for (size_t i = 0; i < o->n_labels; i++)
        futured_request_add_label(request, o->labels[i].key, o->labels[i].value);
    futured_request_set_tag(request, o->tag);
    futured_request_set_view(request, o->view);
    futured_request_set_cancel_on_disconnect(request, o->cancel_on_disconnect);
    if (o->key)
        futured_request_set_idempotency_key(request, o->key, o->key_policy);
    task_set(o, request);
    return set_dependencies(ctl, request);
}

static int check(struct ctl *ctl)
{
    const struct options *o = &ctl->options;

    if (task_check(ctl) != CTL_OK)
        return CTL_USAGE;
    if (o->key_policy && !o->key)
        ctl_complain(ctl, "--key-policy needs --key");
    else if ((o->depend_policy || o->passes_results) && o->n_depends_on == 0)
        ctl_complain(ctl, "--%s needs --depends-on", o->depend_policy ? "depend-policy" : "pass-results");
    else
        return CTL_OK;
    return CTL_USAGE;
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

static void on_accepted(void *arg, const struct futured_future *accepted)
{
    ctl_say_waiting(arg, accepted);
}

static int run(struct ctl *ctl, struct futured_request *request)
{
    struct futured_future *future;
    int code = fill_request(ctl, request);

    if (code != CTL_OK)
        return code;
    futured_request_on_accepted(request, on_accepted, ctl);
    if (futured_run(ctl->client, request, &future))
        return ctl_fail(ctl);
    code = ctl_outcome(ctl, future);
    if (ctl->options.format != OUTPUT_TEXT)
        output_future(&ctl->out, future);
    else if (code == CTL_OK && future->result)
        code = print_result(ctl, future);
    futured_future_free(future);
    return code;
}

static int submit(struct ctl *ctl, struct futured_request *request)
{
    struct futured_future *future;
    int code = fill_request(ctl, request);

    if (code != CTL_OK)
        return code;
    if (futured_submit(ctl->client, request, &future))
        return ctl_fail(ctl);
    if (ctl->options.format != OUTPUT_TEXT)
        output_future(&ctl->out, future);
    else
        fprintf(ctl->out.to, "%s\n", future->id);
    ctl_say_waiting(ctl, future);
    futured_future_free(future);
    return CTL_OK;
}

static int with_request(struct ctl *ctl, int (*what)(struct ctl *ctl, struct futured_request *request))
{
    struct futured_request *request;
    int code = check(ctl);

    if (code != CTL_OK)
        return code;
    request = futured_request_new(ctl->options.arguments[0]);
    code = what(ctl, request);
    futured_request_free(request);
    return code;
}

int cmd_run(struct ctl *ctl)
{
    return with_request(ctl, run);
}

int cmd_run_submit(struct ctl *ctl)
{
    return with_request(ctl, submit);
}
