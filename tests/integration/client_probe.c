// SPDX-License-Identifier: Apache-2.0
/*
 * client-probe ADDRESS PATIENCE_MS TIMEOUT_MS: libfutured in the hand of a test: one command a line on standard input, one
 * line of answer for each. What it links is what is installed: the shared library alone.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <futured/async.h>
#include <futured/worker.h>

enum { LINE_BYTES = 64 * 1024, WORDS_MAX = 1024 };

static struct futured_client *client;
static struct futured_completions *completions;
static struct futured_watch *watch;
static struct futured_pipeline *pipeline, *submits;

static int fail(int code)
{
    const struct futured_status *status = futured_client_status(client);

    printf("%s %s\n", futured_code_name(code), status->reason);
    return code;
}

static void print_future(const struct futured_future *future)
{
    printf("%s %s", future->id, futured_state_name(future->state));
    if (future->result)
        printf(" %.*s", (int)future->result->data.size, (const char *)future->result->data.data);
    printf("\n");
}

static struct futured_request *request_of(char **words)
{
    struct futured_request *request = futured_request_new(words[1]);

    futured_request_set_argument(request, words[2], strlen(words[2]));
    if (words[3])
        futured_request_set_group(request, words[3]);
    return request;
}

static void on_future(char **words)
{
    struct futured_request *request = strcmp(words[0], "get") ? request_of(words) : NULL;
    struct futured_future *future = NULL;
    int code;

    if (strcmp(words[0], "submit") == 0)
        code = futured_submit(client, request, &future);
    else if (strcmp(words[0], "run") == 0)
        code = futured_run(client, request, &future);
    else
        code = futured_get(client, words[1], FUTURED_VIEW_FULL, &future);
    if (code)
        fail(code);
    else
        print_future(future);
    futured_request_free(request);
    if (code == FUTURED_OK)
        futured_future_free(future);
}

/* traceparent VALUE FUNCTION ARGUMENT: submitted as part of that trace; what the future says of it. */
static void on_traceparent(char **words)
{
    struct futured_request *request = request_of(words + 1);
    struct futured_future *future = NULL;
    int code = futured_client_set_traceparent(client, words[1]);

    if (code == FUTURED_OK)
        code = futured_submit(client, request, &future);
    if (code)
        fail(code);
    else
        printf("%s\n", future->traceparent);
    futured_request_free(request);
    futured_future_free(future);
}

/* drain-worker ID, kill-worker ID */
static void on_worker(char **words)
{
    struct futured_worker_info *worker = NULL;
    int code = strcmp(words[0], "kill-worker")
                       ? futured_drain_worker(client, words[1], "the probe", FUTURED_NO_SPAN, &worker)
                       : futured_kill_worker(client, words[1], "the probe");

    if (worker)
        printf("%s %d\n", worker->id, (int)worker->state);
    else
        fail(code);
    futured_worker_info_free(worker);
}

/* retry-with ID TYPE: again, with a jitter of 0.5 and errors of TYPE not retried; what holds then. */
static void on_retry_with(char **words)
{
    struct futured_request *request = futured_request_new(NULL);
    struct futured_future *future = NULL;
    int code;

    futured_request_set_jitter(request, 0.5);
    futured_request_add_non_retryable_type(request, words[2]);
    code = futured_retry_with(client, words[1], request, &future);
    futured_request_free(request);
    if (code) {
        fail(code);
        return;
    }
    printf("%s %g %s\n", future->retry_of, future->effective_options->jitter,
           future->effective_options->non_retryable_types[0]);
    futured_future_free(future);
}

static void on_completed(char **words, int n)
{
    int code = completions
                       ? futured_completions_add(completions, (const char *const *)words + 1, (size_t)n - 1)
                       : futured_as_completed(client, (const char *const *)words + 1, (size_t)n - 1,
                                              FUTURED_VIEW_FULL, &completions);

    fail(code);
}

static void on_next(void)
{
    struct futured_completion *completion = NULL;
    int code = futured_completions_next(completions, &completion);

    if (code)
        fail(code);
    else if (!completion)
        printf("end\n");
    else if (completion->future)
        print_future(completion->future);
    else
        printf("%s missing\n", completion->missing);
    futured_completion_free(completion);
}

static void on_watch(char **words, int n)
{
    struct futured_selector selector = {(const char *const *)words + 1, (size_t)n - 1, NULL, NULL};

    if (strcmp(words[0], "watch-group") == 0)
        selector = (struct futured_selector){NULL, 0, words[1], NULL};
    fail(futured_watch_open(client, &selector, FUTURED_VIEW_FULL, &watch));
}

static void on_event(void)
{
    static const char *const kinds[] = {"unknown", "snapshot", "state",  "progress",
                                        "output",  "log",      "labels", "lost"};
    struct futured_event *event = NULL;
    int code = futured_watch_next(watch, &event);

    if (code)
        fail(code);
    else if (!event)
        printf("end\n");
    else if (event->future)
        printf("%s %s %s\n", kinds[event->kind], event->id, futured_state_name(event->future->state));
    else
        printf("%s %s\n", kinds[event->kind], event->id);
    futured_event_free(event);
}

/* put, take: a pipeline that runs; put-submit, take-submit: one that submits. */
static void on_put(char **words)
{
    int is_submit = strcmp(words[0], "put") != 0;
    struct futured_pipeline **to = is_submit ? &submits : &pipeline;
    struct futured_request *request = request_of(words);
    int code = FUTURED_RESOURCE_EXHAUSTED;

    if (!*to)
        *to = is_submit ? futured_pipeline_new_submit(client, 0) : futured_pipeline_new(client, 0);
    if (*to)
        code = futured_pipeline_put(*to, request, NULL);
    if (code == FUTURED_OK && is_submit)
        code = futured_pipeline_flush(*to);
    fail(code);
    futured_request_free(request);
}

static void print_finished(const struct futured_finished *finished)
{
    if (finished->joined)
        printf("joined ");
    if (finished->future)
        print_future(finished->future);
    else
        printf("%s %s\n", futured_code_name(finished->code), finished->status->reason);
}

static void on_take(char **words)
{
    struct futured_pipeline *from = strcmp(words[0], "take") ? submits : pipeline;
    struct futured_finished *finished = NULL;
    int code = from ? futured_pipeline_take(from, &finished) : FUTURED_OK;

    if (code)
        fail(code);
    else if (!finished)
        printf("end\n");
    else
        print_finished(finished);
    futured_finished_free(finished);
}

/* submit-all FUNCTION ARGUMENT N: so many in one call; the answer to the last. */
static void on_submit_all(char **words)
{
    size_t n = (size_t)atoi(words[3]);
    struct futured_request **requests = calloc(n, sizeof(*requests));
    struct futured_finished **finished = calloc(n, sizeof(*finished));
    int code;

    words[3] = NULL;
    for (size_t i = 0; i < n; i++)
        requests[i] = request_of(words);
    code = futured_submit_all(client, requests, n, finished);
    if (code)
        fail(code);
    else
        print_finished(finished[n - 1]);
    for (size_t i = 0; i < n; i++) {
        futured_finished_free(finished[i]);
        futured_request_free(requests[i]);
    }
    free(finished);
    free(requests);
}

/* --- started, in a loop of its own */

struct started {
    struct futured_future *future;
    int *n_done, *n_well;
};

static void on_done(void *arg, int code)
{
    struct started *s = arg;

    (*s->n_done)++;
    if (code)
        return;
    *s->n_well += s->future->state == FUTURED_STATE_SUCCEEDED;
    futured_future_free(s->future);
}

/* async FUNCTION ARGUMENT N: so many runs at once. */
static void on_async(char **words)
{
    int n = atoi(words[3]), n_done = 0, n_well = 0, n_begun = 0;
    struct started *all = calloc((size_t)n, sizeof *all);
    struct futured_interest interest;

    words[3] = NULL;
    futured_client_set_nonblocking(client, 1);
    for (int i = 0; i < n; i++) {
        struct futured_request *request = request_of(words);

        all[i] = (struct started){NULL, &n_done, &n_well};
        futured_client_async(client, on_done, &all[i]);
        n_begun += futured_run(client, request, &all[i].future) == FUTURED_AGAIN;
        futured_request_free(request);
    }
    while (n_done < n_begun) {
        struct pollfd fd;
        int r;

        futured_client_interest(client, &interest);
        fd = (struct pollfd){interest.fd,
                             (short)((interest.wants & FUTURED_WANT_READ ? POLLIN : 0) |
                                     (interest.wants & FUTURED_WANT_WRITE ? POLLOUT : 0)),
                             0};
        r = poll(&fd, 1,
                 interest.timeout_ns < 0 ? -1
                                         : (int)((interest.timeout_ns + INT64_C(999999)) / INT64_C(1000000)));
        futured_client_process(client, r <= 0 ? 0
                                              : (fd.revents & ~POLLOUT ? FUTURED_WANT_READ : 0) |
                                                        (fd.revents & POLLOUT ? FUTURED_WANT_WRITE : 0));
    }
    futured_client_set_nonblocking(client, 0);
    free(all);
    printf("%d of %d\n", n_well, n);
}

static int serve_once(struct futured_job *job, void *arg)
{
    return futured_job_output(job, FUTURED_STREAM_OUTPUT, "said", 4);
}

/* work ADDRESS FUNCTION [PATIENCE_MS]: a worker that ends after one task; tasks of the function have a priority of 5, if they say none, and
 * one attempt of a minute. */
static void on_work(char **words)
{
    struct futured_worker *worker = futured_worker_new(words[1]);
    struct futured_request *request = futured_request_new(NULL);
    struct futured_function_options options = FUTURED_FUNCTION_OPTIONS_INIT;

    futured_request_set_priority(request, 5);
    futured_request_set_attempt_timeout(request, INT64_C(60000000000));
    futured_request_set_max_attempts(request, 1);
    options.default_options = request;
    futured_worker_add_function_with(worker, words[2], serve_once, NULL, &options);
    futured_request_free(request);
    futured_worker_set_max_tasks(worker, 1);
    if (words[3])
        futured_worker_set_patience(worker, atoll(words[3]) * 1000000);
    printf("%s\n", futured_code_name(futured_worker_run(worker)));
    futured_worker_free(worker);
}

static void on_line(char *line)
{
    char *words[WORDS_MAX + 1] = {NULL};
    int n = 0;

    for (char *word = strtok(line, " \n"); word && n < WORDS_MAX; word = strtok(NULL, " \n"))
        words[n++] = word;
    if (n == 0)
        return;
    if (strcmp(words[0], "completed") == 0)
        on_completed(words, n);
    else if (strcmp(words[0], "next") == 0)
        on_next();
    else if (strncmp(words[0], "watch", 5) == 0)
        on_watch(words, n);
    else if (strcmp(words[0], "event") == 0)
        on_event();
    else if (strncmp(words[0], "put", 3) == 0)
        on_put(words);
    else if (strncmp(words[0], "take", 4) == 0)
        on_take(words);
    else if (strcmp(words[0], "work") == 0)
        on_work(words);
    else if (strcmp(words[0], "submit-all") == 0)
        on_submit_all(words);
    else if (strcmp(words[0], "async") == 0)
        on_async(words);
    else if (strcmp(words[0], "traceparent") == 0)
        on_traceparent(words);
    else if (strstr(words[0], "-worker"))
        on_worker(words);
    else if (strcmp(words[0], "retry-with") == 0)
        on_retry_with(words);
    else if (strcmp(words[0], "delete") == 0)
        fail(futured_delete(client, words[1]));
    else if (strcmp(words[0], "ping") == 0)
        fail(futured_ping(client));
    else if (strcmp(words[0], "why") == 0)
        printf("%s\n", futured_client_status(client)->message);
    else
        on_future(words);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char *line = malloc(LINE_BYTES);

    if (argc != 4 || !line)
        return 64;
    client = futured_client_new(argv[1]);
    futured_client_set_patience(client, atoll(argv[2]) * 1000000);
    futured_client_set_timeout(client, atoll(argv[3]) * 1000000);
    while (fgets(line, LINE_BYTES, stdin))
        on_line(line);
    futured_completions_free(completions);
    futured_watch_free(watch);
    futured_pipeline_free(pipeline);
    futured_pipeline_free(submits);
    futured_client_free(client);
    free(line);
    return 0;
}
