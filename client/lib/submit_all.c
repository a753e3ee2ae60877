// SPDX-License-Identifier: Apache-2.0
/*
 * Many submissions as one call, on a pipeline of its own. The requests keep their IDs until the call has come to its end, so
 * that a call that fails in the middle can be made again: what was accepted is answered then, not accepted twice.
 */
#include "client/lib/pipeline.h"
#include "client/lib/request.h"

struct answers {
    struct futured_client *client;
    struct futured_request *const *requests;
    size_t n, n_put;
    mono_ns_t until;
    struct futured_finished **items; /* the user of each put is the place in here */
};

/* Before anything is sent: what would be refused here. A code. */
static int check_all(const struct answers *all)
{
    struct grpc_status status;

    if (all->client->is_nonblocking) {
        status_set(
                &status, GRPC_FAILED_PRECONDITION, "",
                "futured_submit_all waits, and the client does not block: use futured_pipeline_new_submit");
        return futured_client_fail(all->client, &status, "");
    }
    for (size_t i = 0; i < all->n; i++) {
        int r = futured_request_check(all->requests[i]);

        if (r < 0)
            return futured_client_no_memory(all->client);
        if (r) {
            status_set(&status, GRPC_RESOURCE_EXHAUSTED, "",
                       "request %zu: the argument is longer than 64 MiB, the most a daemon takes", i);
            return futured_client_fail(all->client, &status, "");
        }
    }
    return FUTURED_OK;
}

static int take_one(struct answers *all, struct futured_pipeline *pipeline)
{
    struct futured_finished *finished;
    const struct grpc_status *lost;
    struct futured_finished **place;
    int code = futured_pipeline_take_by(pipeline, all->until, &finished);

    if (code)
        return code;
    lost = futured_finished_lost(finished);
    if (lost) {
        code = futured_client_fail(all->client, lost, "");
        futured_finished_free(finished);
        return code;
    }
    place = finished->user;
    finished->user = all->requests[place - all->items];
    *place = finished;
    return FUTURED_OK;
}

static int submit_all(struct answers *all, struct futured_pipeline *pipeline)
{
    int code = FUTURED_OK;

    while (code == FUTURED_OK && (all->n_put < all->n || futured_pipeline_in_flight(pipeline))) {
        if (all->n_put == all->n || futured_pipeline_is_full(pipeline)) {
            code = take_one(all, pipeline);
            continue;
        }
        code = futured_pipeline_put_kept(pipeline, all->requests[all->n_put], &all->items[all->n_put]);
        all->n_put += code == FUTURED_OK;
    }
    return code;
}

int futured_submit_all(struct futured_client *client, struct futured_request *const *requests, size_t n,
                       struct futured_finished **ret)
{
    struct answers all = {.client = client, .requests = requests, .n = n, .items = ret};
    struct futured_pipeline *pipeline;
    int code = check_all(&all);

    if (code)
        return code;
    all.until = futured_client_until(client);
    pipeline = futured_pipeline_new_submit(client, 0);
    if (!pipeline)
        return futured_client_no_memory(client);
    for (size_t i = 0; i < n; i++)
        ret[i] = NULL;
    code = submit_all(&all, pipeline);
    futured_pipeline_free(pipeline);
    for (size_t i = 0; i < n; i++) {
        if (code)
            ret[i] = futured_finished_free(ret[i]);
        else if (ret[i]->future)
            futured_request_settle(requests[i]);
    }
    return code ? code : futured_client_done(client);
}
