// SPDX-License-Identifier: Apache-2.0
#include "client/futurectl/cmd_worker.h"

#include "base/mem.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <futured/worker.h>

/* For the handler of signals, which gets nothing else. */
static struct futured_worker *serving;

static void on_signal(int signal_number)
{
    futured_worker_stop(serving);
}

static void on_event(void *arg, enum futured_worker_event event, const char *text)
{
    struct ctl *ctl = arg;

    switch (event) {
    case FUTURED_WORKER_EVENT_ATTACHED: ctl_complain(ctl, "serving as %s", text); break;
    case FUTURED_WORKER_EVENT_LOST: ctl_complain(ctl, "waiting for the daemon: %s", text); break;
    case FUTURED_WORKER_EVENT_DRAINING: ctl_complain(ctl, "taking nothing more: %s", text); break;
    }
}

static int serve(struct ctl *ctl, struct futured_worker *worker)
{
    const struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    const struct futured_status *status;

    serving = worker;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a command that does not read its input */
    if (futured_worker_run(worker) == FUTURED_OK)
        return CTL_OK;
    status = futured_worker_status(worker);
    ctl_complain(ctl, "%s", status->message);
    return ctl_exit_of(status);
}

static int with_worker(struct ctl *ctl, struct process_command *command)
{
    const struct options *o = &ctl->options;
    struct futured_worker *worker = futured_worker_new_as(ctl->client);
    int code;

    if (!worker) {
        ctl_complain(ctl, "out of memory");
        return CTL_FAILED;
    }
    for (size_t i = 0; i < o->n_functions; i++)
        futured_worker_add_function(worker, o->functions[i], process_run, command);
    for (size_t i = 0; i < o->n_labels; i++)
        futured_worker_add_label(worker, o->labels[i].key, o->labels[i].value);
    if (o->name)
        futured_worker_set_name(worker, o->name);
    if (o->slots)
        futured_worker_set_slots(worker, o->slots);
    futured_worker_set_prefetch(worker, 0); /* a process takes longer than a prefetch is worth */
    futured_worker_set_max_tasks(worker, o->count);
    if (o->wait.is_set)
        futured_worker_set_patience(worker, o->wait.ns);
    futured_worker_on_event(worker, on_event, ctl);
    code = serve(ctl, worker);
    futured_worker_free(worker);
    return code;
}

int cmd_worker(struct ctl *ctl)
{
    struct process_command command = {.argv = ctl->options.arguments};
    char *path;
    int code;

    if (ctl->options.n_functions == 0) {
        ctl_complain(ctl, "worker needs --function: the name of what it serves");
        return CTL_USAGE;
    }
    path = process_find(command.argv[0]);
    if (!path) {
        ctl_complain(ctl, "cannot run %s: %s", command.argv[0], strerror(errno));
        return CTL_USAGE;
    }
    command.path = path;
    code = with_worker(ctl, &command);
    mem_free(path);
    return code;
}
