// SPDX-License-Identifier: Apache-2.0
#include "service/depends.h"

#include "service/internal.h"

int depends_are_missing(const struct futures *s, struct span raw)
{
    struct wire_reader r = wire_reader(raw);
    struct span text;
    struct id id;

    while (codec_each(&r, TASK_OPTIONS_DEPENDS_ON, &text))
        if (id_parse((const char *)text.p, text.len, &id) == 0 && preload_is_missing(s, &id))
            return 1;
    return 0;
}

/* There is no future @id, on which a task depends. */
static int unknown(const struct id *id, struct span text, enum options_owner owner, struct grpc_status *st)
{
    if (owner == OPTIONS_OF_RETRIED) {
        status_set(st, GRPC_FAILED_PRECONDITION, "UPSTREAM_GONE",
                   "the task depends on the future %.*s, which is not there any more; options of the retry "
                   "can say otherwise",
                   (int)text.len, (const char *)text.p);
        convert_precondition(st, "UPSTREAM", text);
    } else {
        convert_not_found(st, id);
    }
    return DEPENDS_E_UNKNOWN;
}

int depends_find(struct futures *s, struct span raw, enum options_owner owner, struct engine_submit *in,
                 struct grpc_status *st)
{
    const char *field = owner == OPTIONS_OF_RETRY ? "options.depends_on" : "task.options.depends_on";
    struct wire_reader r = wire_reader(raw);
    struct span text;
    uint32_t n = 0;
    struct id id;

    while (codec_each(&r, TASK_OPTIONS_DEPENDS_ON, &text)) {
        struct future *f = NULL;

        if (request_id(text, field, &id, st))
            return REQUEST_E_BAD;
        f = engine_find(s->engine, in->scope, &id);
        if (!f)
            return unknown(&id, text, owner, st);
        if (in->durability == DURABILITY_DURABLE && f->durability != DURABILITY_DURABLE) {
            status_set(
                    st, GRPC_FAILED_PRECONDITION, "EPHEMERAL_UPSTREAM",
                    "%s: the future %.*s is EPHEMERAL, and a DURABLE task can depend on DURABLE futures only",
                    field, (int)text.len, (const char *)text.p);
            convert_precondition(st, "EPHEMERAL", text);
            return REQUEST_E_BAD;
        }
        s->upstreams[n++] = f;
    }
    in->upstreams = s->upstreams;
    return 0;
}
