// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/task.h"

int task_check(struct ctl *ctl)
{
    if (!ctl->options.in.is_set || !ctl->options.at.is_set)
        return CTL_OK;
    ctl_complain(ctl, "--in and --at exclude each other");
    return CTL_USAGE;
}

static void set_times(const struct options *o, struct futured_request *request)
{
    if (o->in.is_set)
        futured_request_set_delay(request, o->in.ns);
    if (o->at.is_set)
        futured_request_set_not_before(request, o->at.t);
    if (o->deadline.is_set)
        futured_request_set_deadline(request, o->deadline.t);
    if (o->attempt_timeout.is_set)
        futured_request_set_attempt_timeout(request, o->attempt_timeout.ns);
    if (o->retention.is_set)
        futured_request_set_retention(request, o->retention.ns);
}

void task_set(const struct options *o, struct futured_request *request)
{
    futured_request_set_content_type(request, o->content_type);
    futured_request_set_group(request, o->group);
    futured_request_set_priority(request, (int32_t)o->priority.n);
    if (o->retries)
        futured_request_set_max_attempts(request, o->retries < UINT32_MAX ? o->retries + 1 : UINT32_MAX);
    futured_request_set_durability(request, o->durability);
    futured_request_set_concurrency_key(request, o->concurrency_key);
    futured_request_set_fairness_key(request, o->fairness_key);
    set_times(o, request);
}
