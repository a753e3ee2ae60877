// SPDX-License-Identifier: Apache-2.0
/*
 * hash-files FILE...: the SHA-256 of each file, computed by futured, many at a time.
 *
 * Results come in the order in which they finish. What each line says of a result, its function and its file, is
 * read from the record that came with it, not from anything this program has kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <futured/client.h>

enum { IN_FLIGHT = 64, FILE_MAX = 3 * 1024 * 1024 };

/* Read a whole file; NULL, and a complaint, when that cannot be done. */
static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(FILE_MAX + 1);

    *ret_n = f && data ? fread(data, 1, FILE_MAX + 1, f) : 0;
    if (!f || !data || ferror(f) || *ret_n > FILE_MAX) {
        fprintf(stderr, "hash-files: %s: %s\n", path, *ret_n > FILE_MAX ? "too large" : strerror(errno));
        free(data);
        data = NULL;
    }
    if (f)
        fclose(f);
    return data;
}

/* Put the file into the pipeline; 0 when it is in flight. */
static int put_file(struct futured_client *client, struct futured_pipeline *pipeline, const char *path)
{
    struct futured_request *request;
    size_t n;
    char *data = read_file(path, &n);
    int code;

    if (!data)
        return -1;
    request = futured_request_new("sha256");
    futured_request_set_argument(request, data, n);
    futured_request_add_label(request, "file", path);
    futured_request_set_group(request, "hash-files");
    code = futured_pipeline_put(pipeline, request, NULL);
    futured_request_free(request);
    free(data);
    if (code)
        fprintf(stderr, "hash-files: %s: %s\n", path, futured_client_status(client)->message);
    return code;
}

static const char *label_of(const struct futured_future *future, const char *key)
{
    for (size_t i = 0; i < future->task->n_labels; i++)
        if (strcmp(future->task->labels[i].key, key) == 0)
            return future->task->labels[i].value;
    return "?";
}

/* Print a result with the task that it belongs to; 0 when it is one. */
static int print_result(const struct futured_finished *finished)
{
    const struct futured_future *future = finished->future;

    if (!future) {
        fprintf(stderr, "hash-files: not accepted: %s\n", finished->status->message);
        return 1;
    }
    if (!future->result) {
        fprintf(stderr, "hash-files: %s(%s): %s: %s\n", future->task->function, label_of(future, "file"),
                future->error ? future->error->reason : "", future->error ? future->error->message : "");
        return 1;
    }
    printf("%s %s(%s) = %.*s\n", future->id, future->task->function, label_of(future, "file"),
           (int)future->result->data.size, (const char *)future->result->data.data);
    return 0;
}

/* All files through the pipeline; how many have no result. */
static int hash_all(struct futured_client *client, struct futured_pipeline *pipeline, char **paths, int n)
{
    int n_bad = 0, next = 0;

    while (next < n || futured_pipeline_in_flight(pipeline)) {
        struct futured_finished *finished = NULL;

        while (next < n && !futured_pipeline_is_full(pipeline))
            n_bad += put_file(client, pipeline, paths[next++]) != 0;
        if (futured_pipeline_take(pipeline, &finished)) {
            fprintf(stderr, "hash-files: %s\n", futured_client_status(client)->message);
            return n_bad + n - next + (int)futured_pipeline_in_flight(pipeline);
        }
        if (finished)
            n_bad += print_result(finished);
        futured_finished_free(finished);
    }
    return n_bad;
}

int main(int argc, char **argv)
{
    struct futured_client *client = futured_client_new(NULL);
    struct futured_pipeline *pipeline = client ? futured_pipeline_new(client, IN_FLIGHT) : NULL;
    int status = 1;

    if (!pipeline) {
        fprintf(stderr, "hash-files: out of memory\n");
    } else if (futured_client_connect(client)) {
        fprintf(stderr, "hash-files: %s\n", futured_client_status(client)->message);
        status = 69;
    } else {
        status = hash_all(client, pipeline, argv + 1, argc - 1) ? 1 : 0;
    }
    futured_pipeline_free(pipeline);
    futured_client_free(client);
    return status;
}
