// SPDX-License-Identifier: Apache-2.0
/*
 * AsCompleted as an iterator. The request side stays open as long as IDs may be added, so the daemon does not
 * end the stream when all is answered; the end is known by counting: n_asked IDs of the user, each answered
 * once. The daemon ignores an ID that was asked for before, so duplicates must not count: asked is a set. Within the client's
 * patience a lost stream is opened again, for those that were not answered.
 */
#include "base/map.h"
#include "base/mem.h"
#include "client/lib/call.h"
#include "client/lib/future.h"
#include "grpc/codec.h"

#include <errno.h>
#include <string.h>

#include <sys/random.h>

enum { AS_COMPLETED_IDS = 1, AS_COMPLETED_VIEW = 2, ASK_MAX = 1000 };

struct asked {
    struct map_item item;
    int is_sent, is_answered;
    char id[];
};

struct futured_completions {
    struct futured_client *client;
    struct futured_call *call; /* NULL: to be opened again */
    enum futured_view view;
    struct map asked;
    size_t n_open; /* asked and not answered */
};

struct completion_box {
    struct futured_completion completion;
    struct futured_future *future; /* owned; completion.future */
    char missing[ID_TEXT_LEN + 1];
};

/* --- asking */

static void free_asked(struct futured_completions *completions, struct map_item *item)
{
    map_remove(&completions->asked, item);
    mem_free(CONTAINER_OF(item, struct asked, item));
}

/* The entry of @id in the set, new or not; NULL: no memory. */
static struct asked *note_asked(struct futured_completions *completions, const char *id)
{
    size_t n = strlen(id);
    struct asked *asked = mem_zalloc(sizeof *asked + n + 1);
    struct span key;
    int r;

    if (!asked)
        return NULL;
    for (size_t i = 0; i < n; i++) /* the daemon answers in lower case */
        asked->id[i] = (char)(id[i] >= 'A' && id[i] <= 'Z' ? id[i] - 'A' + 'a' : id[i]);
    key = (struct span){(const uint8_t *)asked->id, n};
    r = map_insert(&completions->asked, &asked->item, key);
    if (r == 0)
        return asked;
    if (r == MAP_E_EXISTS) {
        struct map_item *item = map_find(&completions->asked, key);

        mem_free(asked);
        return CONTAINER_OF(item, struct asked, item);
    }
    mem_free(asked);
    return NULL;
}

struct ask {
    const char *const *ids;
    size_t n;
    enum futured_view view;
};

static void encode_ask(struct writer *w, const void *arg)
{
    const struct ask *ask = arg;

    for (size_t i = 0; i < ask->n; i++)
        writer_bytes_always(w, AS_COMPLETED_IDS, span_of_string(ask->ids[i]));
    writer_uint(w, AS_COMPLETED_VIEW, (uint64_t)ask->view);
}

/* Send @ids and count those that had not been sent. 0, -ENOMEM: nothing was sent, and it may be tried again. */
static int send_ask(struct futured_completions *completions, const char *const *ids, size_t n_ids)
{
    const struct ask ask = {.ids = ids, .n = n_ids, .view = completions->view};

    for (size_t i = 0; i < n_ids; i++)
        if (!note_asked(completions, ids[i]))
            return -ENOMEM;
    if (futured_call_send(completions->call, encode_ask, &ask) < 0)
        return -ENOMEM;
    MAP_FOREACH (item, &completions->asked) {
        struct asked *asked = CONTAINER_OF(item, struct asked, item);

        completions->n_open += !asked->is_sent;
        asked->is_sent = 1;
    }
    return 0;
}

/* A code, noted in the client. */
static int open_call(struct futured_completions *completions)
{
    return futured_call_new(&completions->call, completions->client, "/futured.v1.Futures/AsCompleted", 0,
                            NULL);
}

/* Whether what ended with @status is the end; else it is opened again later. */
static int is_end(struct futured_completions *completions, const struct grpc_status *status)
{
    if (!futured_client_may_retry(completions->client, status, 1))
        return 1;
    completions->call = futured_call_free(completions->call, 0);
    return 0;
}

/* Ask once more for what was not answered, at most @ASK_MAX a message. 0, -ENOMEM. */
static int ask_again(struct futured_completions *completions)
{
    const char *ids[ASK_MAX];
    struct ask ask = {.ids = ids, .view = completions->view};
    int r = 0;

    MAP_FOREACH (item, &completions->asked) {
        const struct asked *asked = CONTAINER_OF(item, struct asked, item);

        if (asked->is_answered || !asked->is_sent)
            continue;
        ids[ask.n++] = asked->id;
        if (ask.n == ASK_MAX) {
            r = futured_call_send(completions->call, encode_ask, &ask);
            ask.n = 0;
        }
        if (r < 0)
            return r;
    }
    return ask.n ? futured_call_send(completions->call, encode_ask, &ask) : 0;
}

/* Open it again when it is time. FUTURED_OK, or a code. */
static int reopen(struct futured_completions *completions, mono_ns_t until)
{
    struct futured_client *client = completions->client;
    int code;

    if (futured_client_pause(client, until))
        return futured_call_late(client);
    code = open_call(completions);
    if (code)
        return is_end(completions, &client->last.raw) ? code : FUTURED_OK;
    if (ask_again(completions) < 0) {
        completions->call = futured_call_free(completions->call, 0);
        return futured_client_no_memory(client);
    }
    futured_client_poke(client);
    return FUTURED_OK;
}

/* Those that were asked for while there is no stream: they go with the others. 0, -ENOMEM. */
static int note_ask(struct futured_completions *completions, const char *const *ids, size_t n_ids)
{
    for (size_t i = 0; i < n_ids; i++) {
        struct asked *asked = note_asked(completions, ids[i]);

        if (!asked)
            return -ENOMEM;
        completions->n_open += !asked->is_sent;
        asked->is_sent = 1;
    }
    return 0;
}

int futured_completions_add(struct futured_completions *completions, const char *const *ids, size_t n_ids)
{
    if (completions->call && completions->call->is_over)
        (void)!is_end(completions, &completions->call->status);
    if (!completions->call && note_ask(completions, ids, n_ids) < 0)
        return futured_client_no_memory(completions->client);
    if (!completions->call)
        return futured_client_done(completions->client);
    if (completions->call->is_over)
        return futured_client_fail(completions->client, &completions->call->status, "");
    if (n_ids && send_ask(completions, ids, n_ids) < 0)
        return futured_client_no_memory(completions->client);
    return futured_client_done(completions->client);
}

int futured_as_completed(struct futured_client *client, const char *const *ids, size_t n_ids,
                         enum futured_view view, struct futured_completions **ret)
{
    struct futured_completions *completions = mem_zalloc(sizeof *completions);
    struct hash_seed seed = {0};
    int code;

    if (!completions)
        return futured_client_no_memory(client);
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed.k0 = (uint64_t)(uintptr_t)&seed; /* the keys are the user's own: any seed will do */
    map_init(&completions->asked, &seed);
    completions->client = client;
    completions->view = view;
    code = open_call(completions);
    if (code && futured_client_may_retry(client, &client->last.raw, 1))
        code = FUTURED_OK;
    if (code == FUTURED_OK)
        code = futured_completions_add(completions, ids, n_ids);
    if (code) {
        futured_completions_free(completions);
        return code;
    }
    futured_client_poke(client);
    *ret = completions;
    return FUTURED_OK;
}

struct futured_completions *futured_completions_free(struct futured_completions *completions)
{
    struct map_item *item;

    if (!completions)
        return NULL;
    futured_call_free(completions->call, completions->n_open == 0);
    while ((item = map_next(&completions->asked, NULL)))
        free_asked(completions, item);
    map_deinit(&completions->asked);
    return mem_free(completions);
}

/* --- answers */

static int decode_completion(struct span reply, struct completion_box *to)
{
    struct answer {
        struct codec_bytes future;
        struct span missing;
    } answer = {0};
    static const struct codec_row rows[] = {CODEC_ROW(1, CODEC_MESSAGE, struct answer, future),
                                            CODEC_ROW(2, CODEC_STRING, struct answer, missing)};
    const char *field;
    int r;

    if (codec_read(&CODEC_TABLE(rows), reply, &answer, &field))
        return FUTURED_CALL_E_MALFORMED;
    if (answer.future.is_set) {
        r = futured_future_decode(answer.future.data, &to->future);
        to->completion.future = to->future;
        return r;
    }
    if (answer.missing.len >= sizeof to->missing)
        return FUTURED_CALL_E_MALFORMED;
    memcpy(to->missing, answer.missing.p, answer.missing.len);
    to->completion.missing = to->missing;
    return 0;
}

static int take_answer(struct futured_completions *completions, struct span reply,
                       struct futured_completion **ret)
{
    struct completion_box *box = mem_zalloc(sizeof *box);
    struct map_item *item;
    const char *id;
    int r;

    if (!box)
        return -ENOMEM;
    r = decode_completion(reply, box);
    id = box->future ? box->future->id : box->missing;
    item = r ? NULL : map_find(&completions->asked, span_of_string(id));
    if (r == 0 && (!item || CONTAINER_OF(item, struct asked, item)->is_answered))
        r = FUTURED_CALL_E_MALFORMED; /* never asked for, or answered before */
    if (r) {
        futured_completion_free(&box->completion);
        return r;
    }
    CONTAINER_OF(item, struct asked, item)->is_answered = 1;
    completions->n_open--;
    *ret = &box->completion;
    return 0;
}

int futured_completions_next(struct futured_completions *completions, struct futured_completion **ret)
{
    struct futured_client *client = completions->client;
    mono_ns_t until = futured_client_until(client);
    struct span reply;
    int code, r;

    if (completions->n_open == 0) {
        *ret = NULL;
        return futured_client_done(client);
    }
    for (;;) {
        code = completions->call ? FUTURED_OK : reopen(completions, until);
        if (code)
            return code;
        if (!completions->call)
            continue;
        r = futured_call_next(completions->call, until, &reply);
        if (r == FUTURED_CALL_E_LATE)
            return futured_call_late(client);
        if (r == 0)
            break;
        if (completions->call->status.code == GRPC_OK)
            status_set(&completions->call->status, GRPC_INTERNAL, "",
                       "%s ended the stream before its last answer", client->address.text);
        if (is_end(completions, &completions->call->status))
            return futured_client_fail(client, &completions->call->status, "");
    }
    r = take_answer(completions, reply, ret);
    if (r > 0)
        futured_call_break(completions->call);
    else if (r == 0) /* what was no memory is tried again by the next call */
        futured_call_pop(completions->call);
    return futured_call_decoded(client, r);
}

struct futured_completion *futured_completion_free(struct futured_completion *completion)
{
    struct completion_box *box;

    if (!completion)
        return NULL;
    box = CONTAINER_OF(completion, struct completion_box, completion);
    futured_future_free(box->future);
    mem_free(box);
    return NULL;
}
