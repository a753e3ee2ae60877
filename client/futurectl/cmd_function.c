// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_function.h"

#include "client/futurectl/ctl.h"

int cmd_function_list(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_functions *page = NULL, *next;
    int code = CTL_OK;

    do {
        if (futured_list_functions(ctl->client, o->n_arguments ? o->arguments[0] : NULL,
                                   page ? page->next_page_token : NULL, &next)) {
            code = ctl_fail(ctl);
            break;
        }
        if (!page)
            output_begin(&ctl->out, OUTPUT_FUNCTIONS);
        futured_functions_free(page);
        page = next;
        for (size_t i = 0; i < page->n_functions; i++)
            output_function(&ctl->out, page->functions[i]);
    } while (*page->next_page_token);
    if (page)
        output_end(&ctl->out);
    futured_functions_free(page);
    return code;
}

/* Show the function that a call with code @r has answered. */
static int show(struct ctl *ctl, int r, struct futured_function *function)
{
    if (r)
        return ctl_fail(ctl);
    output_function_whole(&ctl->out, function);
    futured_function_free(function);
    return CTL_OK;
}

int cmd_function_pause(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_function *function = NULL;
    int r = futured_pause_function(ctl->client, o->arguments[0], o->reason, &function);

    return show(ctl, r, function);
}

int cmd_function_resume(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_function *function = NULL;
    int r = futured_resume_function(ctl->client, o->arguments[0], o->reason, &function);

    return show(ctl, r, function);
}

/* Without any limit the function is only shown. */
int cmd_function_limits(struct ctl *ctl)
{
    const struct options *o = &ctl->options;
    struct futured_limits limits = FUTURED_LIMITS_INIT;
    struct futured_function *function = NULL;
    int r;

    limits.has_max_running = o->max_running.is_set;
    limits.max_running = (uint32_t)o->max_running.n;
    limits.has_max_pending = o->max_pending.is_set;
    limits.max_pending = (uint64_t)o->max_pending.n;
    limits.has_rate = o->rate >= 0;
    limits.rate = o->rate;
    limits.reset = o->is_reset;
    if (limits.has_max_running || limits.has_max_pending || limits.has_rate || limits.reset)
        r = futured_set_function_limits(ctl->client, o->arguments[0], &limits, o->reason, &function);
    else
        r = futured_get_function(ctl->client, o->arguments[0], &function);
    return show(ctl, r, function);
}
