// SPDX-License-Identifier: Apache-2.0
/*
 * event-loop TEXT...: the SHA-256 of each text, computed by futured, in a loop of libevent in which other things could go on.
 *
 * All calls are on their way at once, over one connection. A daemon that is away for less than half a minute is waited for.
 */
#include <stdio.h>
#include <stdlib.h>

#include <futured/libevent.h>

struct sum {
    struct app *app;
    const char *text;
    struct futured_future *future; /* the answer goes here */
};

struct app {
    struct event_base *base;
    struct futured_client *client;
    struct futured_libevent loop;
    int n_open, n_bad;
};

static void on_done(void *arg, int code)
{
    struct sum *sum = (struct sum *)arg;
    const struct futured_future *future = code == FUTURED_OK ? sum->future : NULL;

    if (future && future->result) {
        printf("%.*s  %s\n", (int)future->result->data.size, (const char *)future->result->data.data,
               sum->text);
    } else {
        fprintf(stderr, "event-loop: %s: %s\n", sum->text,
                future && future->error ? future->error->message
                                        : futured_client_status(sum->app->client)->message);
        sum->app->n_bad++;
    }
    if (future)
        futured_future_free(sum->future);
    if (--sum->app->n_open == 0)
        event_base_loopbreak(sum->app->base);
}

static void start(struct app *app, struct sum *sum, const char *text)
{
    struct futured_request *request = futured_request_new("sha256");
    size_t n = 0;
    int code;

    while (text[n])
        n++;
    sum->app = app;
    sum->text = text;
    futured_request_set_argument(request, text, n);
    futured_client_async(app->client, on_done, sum);
    code = futured_run(app->client, request, &sum->future);
    futured_request_free(request);
    if (code == FUTURED_AGAIN) {
        app->n_open++;
        return;
    }
    fprintf(stderr, "event-loop: %s\n", futured_client_status(app->client)->message);
    app->n_bad++;
}

int main(int argc, char **argv)
{
    struct app app = {0};
    struct sum *sums = (struct sum *)calloc((size_t)argc, sizeof *sums);
    int i;

    app.base = event_base_new();
    app.client = futured_client_new(NULL);
    if (!sums || !app.base || !app.client ||
        futured_libevent_init(&app.loop, app.base, app.client, NULL, NULL) < 0) {
        fprintf(stderr, "event-loop: out of memory\n");
        return 1;
    }
    futured_client_set_patience(app.client, INT64_C(30000000000));
    for (i = 1; i < argc; i++)
        start(&app, &sums[i], argv[i]);
    futured_libevent_update(&app.loop);
    if (app.n_open)
        event_base_dispatch(app.base);
    futured_libevent_deinit(&app.loop);
    futured_client_free(app.client);
    event_base_free(app.base);
    free(sums);
    return app.n_bad ? 1 : 0;
}
