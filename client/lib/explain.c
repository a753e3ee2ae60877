// SPDX-License-Identifier: Apache-2.0
/* Why a future, or a queue, is not moving. */
#include "client/lib/decode.h"
#include "client/lib/retry.h"

#include <errno.h>

#include <futured/v1/futures.pb-c.h>

/* Field numbers of futured/v1/futures.proto. */
enum { EXPLAIN_ID = 1, EXPLAIN_FUNCTION = 2 };

struct explanation_box {
    struct futured_box box;
    struct futured_explanation explanation;
};

struct subject {
    const char *id, *function;
};

static void encode_explain(struct writer *w, const void *arg)
{
    const struct subject *subject = arg;

    if (subject->id)
        writer_bytes_always(w, EXPLAIN_ID, span_of_string(subject->id));
    else
        writer_bytes_always(w, EXPLAIN_FUNCTION, span_of_string(subject->function));
}

static void fill_explanation(const Futured__V1__Explanation *from, struct futured_explanation *to)
{
    *to = (struct futured_explanation){
            .id = from->id,
            .function = from->function,
            .state = (enum futured_state)from->state,
            .pending_reason = (enum futured_pending_reason)from->pending_reason,
            .text = from->text,
            .has_position =
                    from->position_presence_case == FUTURED__V1__EXPLANATION__POSITION_PRESENCE_POSITION,
            .is_estimate = from->is_estimate,
            .pending = from->pending_count,
            .running = from->running_count,
            .n_workers = from->worker_count,
            .credit = from->credit,
            .next_start_time_ns = futured_box_time(from->next_start_time),
            .n_waits_for = from->n_waits_for,
            .waits_for = (const char *const *)from->waits_for,
            .limit = from->limit,
    };
    if (to->has_position)
        to->position = from->position;
}

static int decode_explanation(struct span reply, void *ret)
{
    struct futured_explanation *to;
    ProtobufCMessage *message;
    struct futured_bytes wire;
    struct futured_box *box;
    int r = futured_box_new(&box, sizeof(struct explanation_box), &futured__v1__explanation__descriptor,
                            reply, &message);

    if (r)
        return r;
    r = futured_box_wire(&box->arena, reply, &wire);
    if (r) {
        futured_box_free(box);
        return r;
    }
    to = &CONTAINER_OF(box, struct explanation_box, box)->explanation;
    fill_explanation((const Futured__V1__Explanation *)(const void *)message, to);
    to->wire = wire;
    *(struct futured_explanation **)ret = to;
    return 0;
}

static int explain(struct futured_client *client, const struct subject *subject,
                   struct futured_explanation **ret)
{
    return futured_call_unary(client, "/futured.v1.Futures/Explain", encode_explain, subject,
                              decode_explanation, ret);
}

int futured_explain(struct futured_client *client, const char *id, struct futured_explanation **ret)
{
    return explain(client, &(struct subject){.id = id}, ret);
}

int futured_explain_function(struct futured_client *client, const char *function,
                             struct futured_explanation **ret)
{
    return explain(client, &(struct subject){.function = function}, ret);
}

struct futured_explanation *futured_explanation_free(struct futured_explanation *explanation)
{
    if (explanation)
        futured_box_free(&CONTAINER_OF(explanation, struct explanation_box, explanation)->box);
    return NULL;
}
