// SPDX-License-Identifier: Apache-2.0
#include "dispatch/report.h"

#include "base/mem.h"
#include "dispatch/claim.h"
#include "dispatch/finish.h"
#include "dispatch/internal.h"
#include "dispatch/tell.h"

#include <errno.h>

enum { RESERVE_BYTES = 256, CANCEL_BYTES = 128 };

/* One of the entries of a field. @what: its message. */
typedef int report_entry(struct worker *w, struct grpc_call *call, struct writer *wr, struct span what);

static int refuse(struct worker *w, struct writer *wr, uint32_t number, const struct lease_ref *ref)
{
    w->n_refused++;
    attach_put_refused(wr, number, ref);
    return 0;
}

static int no_lease(struct grpc_status *st, const char *field)
{
    return hello_bad_field(st, field, "each entry needs a lease as it was given: id, attempt and epoch");
}

/* Whether @n entries of @field are not too many, and each of them has a lease (@is_lease: is one). */
static int check_entries(struct span message, uint32_t number, uint32_t n, int is_lease, const char *field,
                         struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct lease_ref ref;
    struct span entry;

    if (n > CLAIM_ENTRIES_MAX)
        return hello_bad_field(st, field, "has more than 10,000 entries");
    while (n && codec_each(&r, number, &entry))
        if (is_lease ? lease_ref_read(entry, &ref) != 0 : attach_read_lease(entry, &ref) < 0)
            return no_lease(st, field);
    return 0;
}

/* @on_entry for each; the first that is not 0. */
static int each(struct worker *w, struct grpc_call *call, struct writer *wr, struct span message,
                uint32_t number, uint32_t n, report_entry *on_entry)
{
    struct wire_reader r = wire_reader(message);
    struct span entry;
    int e = 0;

    while (n && e == 0 && codec_each(&r, number, &entry))
        e = on_entry(w, call, wr, entry);
    return e;
}

static struct lease *find(struct worker *w, const struct lease_ref *ref)
{
    if (ref->epoch != engine_epoch(w->dispatch->engine))
        return NULL;
    return engine_lease_find(w->dispatch->engine, w->holder, &ref->id, ref->attempt, (uint32_t)ref->epoch);
}

/* The answer, once all has been done; what it shows is stamped before it begins. */
static void send(struct grpc_call *call, struct buf *answer, const struct writer *wr, int e)
{
    struct grpc_status st;

    if (e == 0 && !wr->failed &&
        grpc_call_send(call, (struct span){buf_head(answer), buf_len(answer)}) == 0) {
        grpc_call_finish(call);
    } else {
        status_set(&st, GRPC_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY",
                   "the daemon could not allocate memory; some may count: say all of it again, what did is "
                   "refused "
                   "then");
        grpc_call_fail(call, status_set_retry(&st, 1000));
    }
    buf_deinit(answer);
}

/* --- Renew */

enum { RENEW_LEASES = 2, RENEW_STARTED = 3 };
enum { RENEWED_TTL = 1, RENEWED_REFUSED = 2, RENEWED_CANCEL = 3, RENEWED_DRAINING = 4 };

struct renew_request {
    struct span session_token;
    uint32_t leases, started, progress, output, log;
};
static const struct codec_row renew_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct renew_request, session_token),
        CODEC_ROW(RENEW_LEASES, CODEC_REPEATED_MESSAGE, struct renew_request, leases),
        CODEC_ROW(RENEW_STARTED, CODEC_REPEATED_MESSAGE, struct renew_request, started),
        CODEC_ROW(4, CODEC_REPEATED_MESSAGE, struct renew_request, progress),
        CODEC_ROW(5, CODEC_REPEATED_MESSAGE, struct renew_request, output),
        CODEC_ROW(6, CODEC_REPEATED_MESSAGE, struct renew_request, log),
};
static const struct codec_table renew_table = {renew_rows, ARRAY_LEN(renew_rows)};

/* Of progress, output and log: number and name of the field. */
static const struct {
    uint32_t number;
    const char *name;
} told_fields[] = {
        [TELL_PROGRESS] = {4, "progress"},
        [TELL_OUTPUT] = {5, "output"},
        [TELL_LOG] = {6, "log"},
};

static int check_told(struct span message, enum tell_what what, uint32_t n, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct span entry;
    struct tell t;

    if (n > CLAIM_ENTRIES_MAX)
        return hello_bad_field(st, told_fields[what].name, "has more than 10,000 entries");
    while (n && codec_each(&r, told_fields[what].number, &entry))
        if (tell_read(what, entry, &t) < 0) {
            tell_bad(st, told_fields[what].name);
            return WORKER_E_BAD;
        }
    return 0;
}

static int tell_entry(struct worker *w, enum tell_what what, struct writer *wr, struct span entry)
{
    struct lease *lease;
    struct tell t;
    int r = tell_read(what, entry, &t);

    if (r < 0)
        return r;
    lease = find(w, &t.lease);
    return lease ? tell_take(w->dispatch->engine, lease, &t) : refuse(w, wr, RENEWED_REFUSED, &t.lease);
}

/* All that is told, in its order; *ret_what: what the result is about. 0, or as tell_take. */
static int take_told(struct worker *w, const struct renew_request *m, struct span message, struct writer *wr,
                     enum tell_what *ret_what)
{
    const uint32_t n[] = {[TELL_PROGRESS] = m->progress, [TELL_OUTPUT] = m->output, [TELL_LOG] = m->log};
    int e = 0;

    for (enum tell_what what = TELL_PROGRESS; e == 0 && what <= TELL_LOG; what++) {
        struct wire_reader r = wire_reader(message);
        struct span entry;

        *ret_what = what;
        while (n[what] && e == 0 && codec_each(&r, told_fields[what].number, &entry))
            e = tell_entry(w, what, wr, entry);
    }
    return e;
}

static int check_renew(const struct renew_request *m, struct span message, struct grpc_status *st)
{
    if (check_entries(message, RENEW_LEASES, m->leases, 1, "leases", st) ||
        check_entries(message, RENEW_STARTED, m->started, 0, "started", st) ||
        check_told(message, TELL_PROGRESS, m->progress, st) ||
        check_told(message, TELL_OUTPUT, m->output, st) || check_told(message, TELL_LOG, m->log, st))
        return WORKER_E_BAD;
    return 0;
}

static int renew_entry(struct worker *w, struct grpc_call *call, struct writer *wr, struct span entry)
{
    struct lease_ref ref;
    struct lease *lease = lease_ref_read(entry, &ref) == 0 ? find(w, &ref) : NULL;

    if (!lease)
        return refuse(w, wr, RENEWED_REFUSED, &ref);
    lease->user_at = clock_add(grpc_call_now(call), w->remote->ttl_ns);
    return 0;
}

static int start_entry(struct worker *w, struct grpc_call *call, struct writer *wr, struct span entry)
{
    struct engine *e = w->dispatch->engine;
    struct lease_ref ref;
    struct lease *lease = attach_read_lease(entry, &ref) == 0 ? find(w, &ref) : NULL;

    return lease ? engine_start(e, lease, engine_wall(e)) : refuse(w, wr, RENEWED_REFUSED, &ref);
}

/* Again and again, until they have ended; what has no room comes with a later one. */
static void put_cancels(const struct worker *w, const struct grpc_call *call, struct writer *wr)
{
    size_t limit = w->dispatch->config.max_message_bytes - RESERVE_BYTES;

    LIST_FOREACH (l, &w->holder->leases) {
        const struct lease *lease = LIST_ENTRY(l, struct lease, of_holder);

        if (lease->stop == STOP_NOT)
            continue;
        if (wr->failed || buf_len(wr->out) + LIMIT_REASON_BYTES + CANCEL_BYTES > limit)
            return;
        attach_put_cancel(wr, RENEWED_CANCEL, w, lease, grpc_call_now(call));
    }
}

static void on_renew(struct grpc_call *call, struct span message)
{
    struct renew_request m = {0};
    struct grpc_status st;
    struct buf answer = BUF_INIT;
    struct writer wr = writer_to(&answer);
    enum tell_what what = TELL_PROGRESS;
    struct worker *w;
    int e;

    if (claim_read(call, &renew_table, message, &m) < 0)
        return;
    if (check_renew(&m, message, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    w = claim_session(call, m.session_token);
    if (!w)
        return;
    writer_duration(&wr, RENEWED_TTL, w->remote->ttl_ns);
    e = each(w, call, &wr, message, RENEW_LEASES, m.leases, renew_entry);
    if (e == 0)
        e = each(w, call, &wr, message, RENEW_STARTED, m.started, start_entry);
    if (e == 0)
        e = take_told(w, &m, message, &wr, &what);
    if (e == -EBADMSG || e == -EDQUOT) { /* what stands before it counts */
        grpc_call_fail(call, e == -EDQUOT ? tell_flood(&st, told_fields[what].name)
                                          : tell_bad(&st, told_fields[what].name));
        buf_deinit(&answer);
        return;
    }
    put_cancels(w, call, &wr);
    writer_uint(&wr, RENEWED_DRAINING, w->is_draining || w->dispatch->is_draining);
    send(call, &answer, &wr, e);
}

const struct grpc_handler report_renew_handler = {.on_message = on_renew};

/* --- Finish */

enum { FINISH_FINISH = 2, FINISH_RELEASE = 3, FINISHED_REFUSED = 1 };

struct finish_request {
    struct span session_token;
    uint32_t finish, release;
};
static const struct codec_row finish_rows[] = {
        CODEC_ROW(1, CODEC_STRING, struct finish_request, session_token),
        CODEC_ROW(FINISH_FINISH, CODEC_REPEATED_MESSAGE, struct finish_request, finish),
        CODEC_ROW(FINISH_RELEASE, CODEC_REPEATED_MESSAGE, struct finish_request, release),
};
static const struct codec_table finish_request_table = {finish_rows, ARRAY_LEN(finish_rows)};

/* As far as can be seen before any of it counts. */
static int check_finish(struct span entry, struct grpc_status *st)
{
    struct finish_message m = {0};
    struct result_message result = {0};
    struct error_message error = {0};
    struct usage_message usage = {0};
    struct lease_ref ref;
    const char *field;

    if (codec_read(&finish_table, entry, &m, &field) != 0)
        return hello_bad_field(st, "finish", "is malformed");
    if (lease_ref_read(m.lease.data, &ref) != 0)
        return no_lease(st, "finish");
    if (m.result.is_set == m.error.is_set)
        return hello_bad_field(st, "finish", "each needs a result or an error");
    if (m.result.is_set && codec_read(&result_table, m.result.data, &result, &field) != 0)
        return hello_bad_field(st, "finish.result", "is malformed");
    if (m.error.is_set && codec_read(&error_table, m.error.data, &error, &field) != 0)
        return hello_bad_field(st, "finish.error", "is malformed");
    if (m.usage.is_set && codec_read(&usage_table, m.usage.data, &usage, &field) != 0)
        return hello_bad_field(st, "finish.usage", "is malformed");
    return m.chunked ? hello_bad_field(st, "finish.chunked",
                                       "there are no pieces here; the data stands in result")
                     : 0;
}

static int check_request(const struct finish_request *m, struct span message, struct grpc_status *st)
{
    struct wire_reader r = wire_reader(message);
    struct span entry;

    if (m->finish > CLAIM_ENTRIES_MAX)
        return hello_bad_field(st, "finish", "has more than 10,000 entries");
    if (check_entries(message, FINISH_RELEASE, m->release, 0, "release", st))
        return WORKER_E_BAD;
    while (m->finish && codec_each(&r, FINISH_FINISH, &entry))
        if (check_finish(entry, st))
            return WORKER_E_BAD;
    return 0;
}

/* That it counted is said when it is on disk. */
static int finish_entry(struct worker *w, struct grpc_call *call, struct writer *wr, struct span entry)
{
    struct engine *e = w->dispatch->engine;
    struct finish_message m = {0};
    struct finish finish = {0};
    struct lease_ref ref;
    struct lease *lease;
    struct future *f;
    const char *field;
    int r = codec_read(&finish_table, entry, &m, &field) == 0 ? 0 : -EBADMSG;

    if (r == 0)
        r = lease_ref_read(m.lease.data, &ref) == 0 ? 0 : -EBADMSG;
    if (r < 0)
        return r;
    lease = find(w, &ref);
    if (!lease)
        return refuse(w, wr, FINISHED_REFUSED, &ref);
    f = lease->future;
    r = finish_read(&m, NULL, w->dispatch->config.max_result_bytes, engine_wall(e), &finish);
    if (r == 0)
        r = engine_finish(e, lease, &finish);
    if (r < 0) {
        finish_drop(&finish);
        return r;
    }
    w->n_finished++;
    return grpc_call_stamp(call, engine_shown(e, f));
}

static int release_entry(struct worker *w, struct grpc_call *call, struct writer *wr, struct span entry)
{
    struct lease_ref ref;
    struct lease *lease = attach_read_lease(entry, &ref) == 0 ? find(w, &ref) : NULL;

    if (!lease)
        return refuse(w, wr, FINISHED_REFUSED, &ref);
    if (!lease->is_started) {
        engine_release(w->dispatch->engine, lease);
        return 0;
    }
    return session_lose(w, lease);
}

static void on_finish(struct grpc_call *call, struct span message)
{
    struct finish_request m = {0};
    struct grpc_status st;
    struct buf answer = BUF_INIT;
    struct writer wr = writer_to(&answer);
    struct worker *w;
    int e;

    if (claim_read(call, &finish_request_table, message, &m) < 0)
        return;
    if (check_request(&m, message, &st)) {
        grpc_call_fail(call, &st);
        return;
    }
    w = claim_session(call, m.session_token);
    if (!w)
        return;
    e = each(w, call, &wr, message, FINISH_FINISH, m.finish, finish_entry);
    if (e == 0)
        e = each(w, call, &wr, message, FINISH_RELEASE, m.release, release_entry);
    send(call, &answer, &wr, e);
}

const struct grpc_handler report_finish_handler = {.on_message = on_finish};
