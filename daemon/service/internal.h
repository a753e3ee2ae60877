// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of the Futures service share, and functions.c; nobody else includes it. */
#include "base/heap.h"
#include "service/caller.h"
#include "service/convert.h"
#include "service/futures.h"
#include "service/idset.h"
#include "service/preload.h"
#include "service/request.h"
#include "service/search.h"
#include "service/waiting.h"

struct futures {
    struct engine *engine;
    size_t max_message_bytes;
    int is_draining, has_store;
    enum futures_refusal refusal;
    struct futures_loader loader; /* with a store */
    struct futures_workers workers;
    struct list preloads; /* of struct preload.link (preload.c) */
    uint32_t n_preloads;
    struct heap timeouts; /* of struct wait_call.timeout */
    struct hash_seed seed;
    struct future *upstreams[LIMIT_DEPENDS_ON]; /* of the request being accepted */
    struct caller_cache callers;
    struct list announcing
            [2]; /* of struct run.announcing, the durable ones in [1]; who is due first at the head */
    struct list waitings; /* of struct waiting.link: all calls that wait for futures */
    struct futures_watches watches;
    struct list quiet; /* of struct watcher.quiet, who was quiet longest at the head */
    struct list feeds; /* of struct feed.link */
    uint32_t n_feeds;
    mono_ns_t feeds_at;   /* when they have their next turn; CLOCK_NEVER: there is nothing for them */
    struct list searches; /* of struct search.link: those that go on */
    uint32_t scan_limit;  /* of what one call may cost that answers with a token where it ends */
    uint32_t search_left; /* of what all of them may cost in this turn */
    struct grpc_method methods[40];
    size_t n_methods;
    const struct grpc_method
            *operations; /* of methods: from here on they are of google.longrunning.Operations */
};

/* The methods' handlers, one per row. */
extern const struct grpc_handler submit_handler, submit_stream_handler, run_handler, run_stream_handler,
        wait_handler, as_completed_handler, watch_handler, list_handler, count_handler, cancel_many_handler,
        delete_many_handler, retry_handler, retry_many_handler, explain_handler;

static inline struct futures *futures_of(const struct grpc_call *call)
{
    return grpc_call_context(call);
}

/* futures_is_operation: whether @call is one of google.longrunning.Operations: what it is told has the form of that. */
static inline int futures_is_operation(const struct grpc_call *call)
{
    return grpc_call_method(call) >= futures_of(call)->operations;
}

/* futures_find_function: the function of that name, or NULL with @call ended. */
struct function *futures_find_function(const struct futures *s, struct grpc_call *call, struct span name);

/* futures_credit: how many more tasks of @fn workers could take now. */
uint64_t futures_credit(const struct futures *s, const struct function *fn);

/* futures_failure: whether @fn cannot be served, and why. */
MUST_CHECK int futures_failure(const struct futures *s, const struct function *fn,
                               struct function_failure *ret);

/* futures_find: the future that a request names by @id, or NULL with @call ended. */
struct future *futures_find(struct grpc_call *call, struct span id);

/* What Cancel, Delete, Wait and List do with their requests, for Operations too; the latter with their further events. */
void futures_do_cancel(struct grpc_call *call, struct span message);
void futures_do_delete(struct grpc_call *call, struct span message);
void wait_do(struct grpc_call *call, struct span message);
void wait_on_writable(struct grpc_call *call);
void wait_on_done(struct grpc_call *call, enum grpc_end end);
void list_do(struct grpc_call *call, struct span message);
void list_on_done(struct grpc_call *call, enum grpc_end end);

/* futures_show: what @call says from now on shows @f, and is held back until that is durable; with NULL it says that there is
 * no such future. 0; < 0: no memory, and the call has been ended. */
MUST_CHECK int futures_show(struct grpc_call *call, struct future *f);
/* futures_show_seq: the same for what commit @seq makes durable. */
MUST_CHECK int futures_show_seq(struct grpc_call *call, uint64_t seq);

/* futures_may_change: whether what has this durability may be changed (or, @is_new, accepted) now. 0; REQUEST_E_BAD. */
MUST_CHECK int futures_may_change(const struct futures *s, enum durability durability, int is_new,
                                  struct grpc_status *st);

/* futures_begin: open a message that shows @f (NULL: no future), for futures_send. 0; < 0: no memory, and the call has been
 * ended. */
MUST_CHECK int futures_begin(struct grpc_call *call, struct future *f, struct writer *ret);

/* futures_reply: answer a unary call with one future under @view, cut so that it fits. */
void futures_reply(struct grpc_call *call, struct future *f, enum view view);

/* futures_room: how many bytes a future may have in a reply with @beside bytes of others. */
size_t futures_room(const struct futures *s, size_t beside);

/* futures_send: end the message begun in @w; a failed one ends the call. */
void futures_send(struct grpc_call *call, const struct writer *w);

/* futures_send_beside: answer a unary call with the message in @page, which @w has written and which waits for commit @seq; a
 * failed one ends the call. Frees @page. */
void futures_send_beside(struct grpc_call *call, const struct writer *w, struct buf *page, uint64_t seq);

/* Accepting one SubmitRequest: validated, then given to the engine. */
struct accepted {
    struct future *future;
    int is_joined;              /* it was there before */
    int is_unknown;             /* the refusal says that there is no such future: shown as well */
    struct future *named;       /* the refusal names it: that is shown as well; NULL = none */
    struct preload_wants wants; /* SUBMIT_E_MISSING: what is to be brought into memory first; borrowed */
    enum view view;
    struct span tag; /* of the request, borrowed */
};
/* submit_accept: @traceparent as submit_traceparent gives it; @how: SUBMIT_WAITING: there must be room for one more who waits,
 * SUBMIT_LOADED: what it wants is in memory, if it is anywhere; SUBMIT_ATTACHED: it is cancelled when its last waiter leaves.
 *   Return: 0; REQUEST_E_BAD (@st says why; ret->tag is set all the same where it could be read); SUBMIT_E_MISSING: again with
 *   SUBMIT_LOADED after preload_all of ret->wants. */
enum { SUBMIT_WAITING = 1, SUBMIT_LOADED = 2, SUBMIT_ATTACHED = 4 };
enum { SUBMIT_E_MISSING = REQUEST_E_BAD + 1 };
MUST_CHECK int submit_accept(struct futures *s, const struct grpc_call *call, struct span request,
                             struct span traceparent, enum view default_view, unsigned how,
                             struct accepted *ret, struct grpc_status *st);

/* submit_may_accept: whether anything new like @in may be accepted at present, of @who (NULL: there are no principals), whose
 * quotas it is charged to. 0; REQUEST_E_BAD. */
MUST_CHECK int submit_may_accept(const struct futures *s, const struct identity *who,
                                 const struct engine_submit *in, struct grpc_status *st);

/* retry_check: what can be said of @options of a retry before it is known of which future. 0; REQUEST_E_BAD.
 * retry_make: the retry of @of, which has failed or was cancelled and has none, for @caller; with @options where they are set.
 *   @is_loaded: as SUBMIT_LOADED.
 *   Return: as submit_accept. ret->is_unknown: it depends on what there is not. */
MUST_CHECK int retry_check(const struct futures *s, const struct codec_bytes *options,
                           struct grpc_status *st);
MUST_CHECK int retry_make(struct futures *s, const struct caller *caller, struct future *of,
                          const struct codec_bytes *options, struct span traceparent, int is_loaded,
                          struct accepted *ret, struct grpc_status *st);

/* submit_fail: end a unary @call that was refused with @st. submit_tag: the tag of an encoded SubmitRequest. */
void submit_fail(struct grpc_call *call, const struct accepted *a, const struct grpc_status *st);
struct span submit_tag(struct span request);

/* submit_traceparent: the trace context in the metadata of @call; NULL: none, or none that the W3C's recommendation knows.
 * Only inside on_start. Owns: the caller. 0, -ENOMEM. */
MUST_CHECK int submit_traceparent(const struct grpc_call *call, struct bytes **ret);

/* run_tick: send the initial metadata of Runs that last; returns when the next one is due. */
mono_ns_t run_tick(struct futures *s, mono_ns_t now);

/* wait_tick: end the Waits whose timeout has come; returns when the next one does. */
mono_ns_t wait_tick(struct futures *s, mono_ns_t now);
