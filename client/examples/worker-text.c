// SPDX-License-Identifier: Apache-2.0
/*
 * worker-text: serve two functions from a process of its own: `reverse`, and `count-lines`, which tells its progress and can
 * be cancelled. Ends at SIGINT or SIGTERM, when what runs is done.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <futured/worker.h>

static struct futured_worker *worker;

static int reverse(struct futured_job *job, void *arg)
{
    size_t n, i;
    const char *from = (const char *)futured_job_argument(job, &n);
    char *to = (char *)malloc(n + 1);
    int r;

    (void)arg;
    if (!to)
        return futured_job_fail(job, "NO_MEMORY", "no memory for the result");
    for (i = 0; i < n; i++)
        to[i] = from[n - 1 - i];
    r = futured_job_set_result(job, to, n);
    free(to);
    return r;
}

static int count_lines(struct futured_job *job, void *arg)
{
    size_t n, i, n_lines = 0;
    const char *text = (const char *)futured_job_argument(job, &n);
    char result[32];

    (void)arg;
    for (i = 0; i < n; i++) {
        n_lines += text[i] == '\n';
        if (i % 1048576 == 0) { /* sometimes */
            if (futured_job_is_cancelled(job))
                return -1;
            futured_job_progress(job, i, n, NULL);
        }
    }
    futured_job_set_content_type(job, "text/plain");
    return futured_job_set_result(job, result, (size_t)snprintf(result, sizeof result, "%zu", n_lines));
}

static void on_signal(int signal_number)
{
    (void)signal_number;
    futured_worker_stop(worker);
}

static void on_event(void *arg, enum futured_worker_event event, const char *text)
{
    static const char *const names[] = {"", "attached as", "waiting:", "ending:"};

    (void)arg;
    fprintf(stderr, "worker-text: %s %s\n", names[event], text);
}

int main(void)
{
    int code;

    worker = futured_worker_new(NULL);
    if (!worker) {
        fprintf(stderr, "worker-text: out of memory\n");
        return 1;
    }
    futured_worker_add_function(worker, "reverse", reverse, NULL);
    futured_worker_add_function(worker, "count-lines", count_lines, NULL);
    futured_worker_set_slots(worker, 2);
    futured_worker_on_event(worker, on_event, NULL);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    code = futured_worker_run(worker);
    if (code != FUTURED_OK)
        fprintf(stderr, "worker-text: %s\n", futured_worker_status(worker)->message);
    futured_worker_free(worker);
    return code == FUTURED_OK ? 0 : 1;
}
