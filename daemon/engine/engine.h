// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The engine: futures, who runs them and who waits for them. Pure: no I/O, no clock, no thread, no protobuf.
 * This is its only door (future.h and waiter.h are what can be seen through it).
 *
 * A turn:
 *   engine_begin(now)                  the time of everything that follows
 *   submit, claim, start, finish, ...  commands; each decides at once and notes what it caused
 *   engine_end -> struct effects       drained by app (or by the simulator) in this order:
 *       facts, forgotten, key_ceiling, settings
 *                -> the store: what must become durable; they carry effects.commit_seq
 *       answers  -> service: waiters with news
 *       work     -> dispatch: there are ready tasks somebody with credit may claim
 *       revokes  -> dispatch: leases whose worker should stop (lease.stop) or give back (else)
 *       next     -> app: call engine_begin/engine_end again at this time at the latest
 *   engine_durable(seq)                the store says so; without a store app says it at the end of the turn
 *
 * With a store (config.has_store) finished futures leave memory when there are too many bytes of them, and come back by
 * engine_restore (restore.h) when somebody asks; that an attempt has begun does not make a commit by itself; an acceptance
 * that nobody has been shown waits a millisecond at most for more to be committed; and IDs are shown only below a ceiling
 * that the store knows, so that no later start can give them out again.
 *
 * Work is claimed, never pushed. A lease is {id, attempt, epoch}: the attempt fences an older claim, the
 * epoch (new at each start of the daemon) what was assigned before a restart.
 *
 * Invariants (checked by engine_check, which tests and the simulator call after each event):
 *  1. state moves only along the table in future.c; a terminal state never changes; outcome is set exactly
 * with it.
 *  2. PENDING without a lease <=> in exactly one place. RUNNING => has a lease that is started.
 *  3. every lease belongs to one holder and one future; the future points back.
 *  4. counts (per function, scope, state; bytes; edges) equal what a walk finds.
 *  5. a pinned future is never forgotten; a forgotten one leaves nothing behind.
 * Thread: one, the loop's.
 */
#include "base/limit.h"
#include "base/map.h"
#include "engine/defaults.h"
#include "engine/future.h"
#include "engine/gate.h"
#include "engine/ring.h"
#include "engine/sched.h"
#include "engine/told.h"
#include "engine/waiter.h"

struct engine;
struct holder;
struct realm;

struct engine_config {
    struct limits limits;
    struct hash_seed seed; /* of every table */
    uint64_t random;       /* seeds the engine's own generator (IDs) */
    uint32_t epoch;
    int64_t ephemeral_retention_ns, success_retention_ns, failure_retention_ns;
    int accept_unknown_functions;
    int has_store;
    uint64_t last_key;           /* keys up to it may have been given out by earlier starts */
    uint64_t max_finished_bytes; /* with a store: of finished futures that stay in memory */
};

struct engine_config engine_config_default(void);

/* engine_new: Owns: the caller. 0, -ENOMEM. engine_free: no holder and no waiter may be left; frees all
 * futures. */
MUST_CHECK int engine_new(struct engine **ret, const struct engine_config *config);
struct engine *engine_free(struct engine *e);

/* Namespace and principal, interned; lives as long as the engine. */
struct scope {
    struct map_item by_name;
    struct bytes *namespace, *principal;
    struct realm *realm;     /* what all scopes of its namespace share (scope.h) */
    uint64_t n_live;         /* of its futures, those that have not ended */
    uint64_t n_bytes;        /* charged to it */
    uint64_t n_stored_bytes; /* of its finished futures, by the store's count; its owner sets it */
    int is_confined;         /* sees its own futures only */
};
/* scope_may_see: whether futures of @whose are there for @who. */
static inline int scope_may_see(const struct scope *who, const struct scope *whose)
{
    return who->realm == whose->realm && (!who->is_confined || who == whose);
}
/* engine_scope: find or make. NULL: no memory, or as many as there may be (scope.h). */
MUST_CHECK struct scope *engine_scope(struct engine *e, struct span namespace, struct span principal);

/* A name that workers run; remembered for ever once known. Read-only outside. */
struct function {
    struct map_item by_name;
    struct bytes *name, *doc; /* doc may be NULL */
    struct list work;         /* in the turn's work effects */
    struct ready ready;       /* its ready tasks by priority (sched.h) */
    struct gate gate;         /* its pause and limits (gate.h) */
    struct defaults defaults; /* of its tasks (defaults.h) */
    int is_described;         /* doc is what the configuration says */
    struct bytes *said;       /* the owner's, not read here: what else is shown of it; NULL = nothing */
    struct list parked;       /* of struct future.queue: held by a concurrency key, by arrival */
    uint32_t index;           /* dense, for sets of functions */
    uint32_t n_holders;       /* workers that serve it now */
    uint64_t n_pending, n_reserved, n_running;   /* futures by where they are; reserved are PENDING too */
    uint64_t n_waiting;                          /* of the pending: neither ready nor reserved */
    uint64_t n_succeeded, n_failed, n_cancelled; /* ever */
    int64_t mean_run_ns; /* exponential mean of finished attempts (weight 1/8), -1 = none yet */
    uint32_t
            kinds; /* the owner's, not read here: how it is registered, bits 1 << FunctionKind of the contract */
};
/* engine_function_add: make @name known (configuration or a worker's Hello). NULL: no memory or
 * limits.max_functions. */
MUST_CHECK struct function *engine_function_add(struct engine *e, struct span name, struct span doc);
struct function *engine_function_find(const struct engine *e, struct span name);
/* engine_function_next: in the order they became known; NULL starts, NULL ends. */
struct function *engine_function_next(const struct engine *e, const struct function *f);

/* engine_function_describe: what @f does, for people, in place of what was said before; a worker is not heard while the configuration
 * says something. 0, -ENOMEM (as before). */
MUST_CHECK int engine_function_describe(struct function *f, enum defaults_source source, struct span doc);
/* engine_set_limits: those of futures, memory, waiter edges and functions from now on; what is there already stays. */
void engine_set_limits(struct engine *e, const struct limits *limits);

/* engine_configure: the limits of the configuration, which hold where none are set. 0, -ENOMEM (as before). */
MUST_CHECK int engine_configure(struct engine *e, struct function *f, const struct function_limits *limits);
/* engine_pause: no task of @f is claimed until engine_resume; again: the reason is replaced. engine_limit: set those limits
 * that @which says (FUNCTION_...), the others stay as they are; 0: those of the configuration hold again. Who, when and why
 * are kept, and become durable with the turn's commit. 0, -ENOMEM (nothing changed). */
MUST_CHECK int engine_pause(struct engine *e, struct function *f, const struct scope *by, struct span why);
void engine_resume(struct engine *e, struct function *f);
/* engine_hold: while @is_held no task at all is claimed: each function is as if paused, with nobody who says why. */
void engine_hold(struct engine *e, int is_held);
MUST_CHECK int engine_limit(struct engine *e, struct function *f, const struct function_limits *limits,
                            unsigned int which, const struct scope *by, struct span why);

/* engine_defaults: what @source says of the tasks of @f from now on; copied. What a worker says becomes durable with the
 * turn's commit. 0, -ENOMEM (as before). */
MUST_CHECK int engine_defaults(struct engine *e, struct function *f, enum defaults_source source,
                               const struct function_defaults *defaults);

/* engine_oldest: of the futures that wait in the queue of @f, or are held by a concurrency key, the one that was accepted
 * first, as far as is known by looking at a bounded number. NULL: none. */
const struct future *engine_oldest(const struct function *f);

/* engine_begin: also does what time has made due: forgets futures, at most a bounded number of them a turn. Pointers to
 * futures from before are good only where an edge, a lease or the caller's knowledge of its state keeps them. */
void engine_begin(struct engine *e, mono_ns_t mono, wall_ns_t wall);

struct effects {
    struct future **facts; /* durable futures that changed; borrowed until the next engine_begin */
    size_t n_facts;
    uint64_t
            commit_seq; /* of this turn's commit: strictly increasing; without one that of the last, 0 = none */
    int is_commit;      /* the following must become durable (it may be nothing at all, and be waited for) */
    const struct id *forgotten; /* deleted futures that the store has; as long as facts */
    size_t n_forgotten;
    uint64_t key_ceiling; /* keys up to it are about to be given out; 0 = as before */
    struct list answers;  /* of struct waiter.answer; take each out by list_pop_front */
    struct list work;     /* of struct function.work */
    struct list revokes;  /* of struct lease.revoke */
    struct list
            settings; /* of struct gate.new_setting: to be stored with this commit; engine_taken empties it */
    mono_ns_t next;   /* CLOCK_NEVER = nothing is due */
};
struct effects *engine_end(struct engine *e);
void engine_durable(struct engine *e, uint64_t commit_seq);
uint64_t engine_durable_seq(const struct engine *e);

/* With a store, right after an engine_end whose effects are a commit, one of these. engine_taken: the store has it all.
 * engine_defer: it has nothing of it for want of memory: the next turn's commit, of the same number, is this one too. */
void engine_taken(struct engine *e);
void engine_defer(struct engine *e);

/* engine_fact_is_first: whether the store has not been told that @f, a fact, is finished. engine_fact_is_new: whether it
 * has not been told of @f at all. */
MUST_CHECK int engine_fact_is_first(const struct future *f);
MUST_CHECK int engine_fact_is_new(const struct future *f);

/* engine_keep_since: finished futures that changed with a commit after @seq stay in memory; UINT64_MAX: no more. */
void engine_keep_since(struct engine *e, uint64_t seq);

/* engine_last_key: of the newest ID that was ever given out. */
uint64_t engine_last_key(const struct engine *e);

/* engine_key_ceiling: what effects.key_ceiling asked for is durable. */
void engine_key_ceiling(struct engine *e, uint64_t key);

/* engine_shown: @f is about to be shown to somebody: the commit that this must wait for, and which is on its way from now
 * on. engine_deleted_seq: the same for saying that a future is not there. engine_is_urgent: the next turn has a commit. */
uint64_t engine_shown(struct engine *e, struct future *f);
/* engine_shown_any: the same where anything may be shown. */
uint64_t engine_shown_any(struct engine *e);
uint64_t engine_deleted_seq(const struct engine *e);
MUST_CHECK int engine_is_urgent(const struct engine *e);

/* What engine commands answer (> 0); service turns each into a status. */
enum engine_error {
    ENGINE_E_NO_SUCH_FUNCTION = 1,
    ENGINE_E_FULL_FUTURES,
    ENGINE_E_FULL_MEMORY,
    ENGINE_E_FULL_EDGES,
    ENGINE_E_FULL_FUNCTION, /* max_pending */
    ENGINE_E_NOT_FOUND,
    ENGINE_E_NOT_TERMINAL,
    ENGINE_E_PINNED,
    ENGINE_E_REVISION,
    ENGINE_E_STALE_LEASE,
    ENGINE_E_TERMINAL,
    ENGINE_E_TIMES,       /* its deadline would be before its not_before */
    ENGINE_E_NO_KEYS,     /* the store is so far behind that no further ID may be given out */
    ENGINE_E_OTHER_TASK,  /* the idempotency key is that of another task */
    ENGINE_E_KEY_IN_USE,  /* KEY_REJECT: the idempotency key is in use */
    ENGINE_E_NOT_FAILED,  /* it has not ended FAILED or CANCELLED */
    ENGINE_E_RETRIED,     /* it has been retried */
    ENGINE_E_NOT_STARTED, /* who has not started tells nothing */
    ENGINE_E_TOLD_WRONG,  /* it leaves a gap behind what was told before, or is too long */
    ENGINE_E_FLOOD,       /* it goes on and on telling what is not kept */
};

/* What a submission does whose idempotency key is in use by the same task; values as in the contract. */
enum key_policy { KEY_JOIN = 1, KEY_JOIN_UNLESS_FAILED, KEY_JOIN_WHILE_ACTIVE, KEY_REJECT };

struct engine_submit {
    struct scope *scope;
    struct span function;
    struct span group, tag, traceparent; /* {NULL, 0} = none */
    struct span fairness_key;            /* {NULL, 0} = the principal */
    struct span concurrency_key;         /* {NULL, 0} = none */
    struct bytes *task;                  /* a reference is taken on success */
    struct bytes *peer;                  /* likewise; may be NULL */
    uint32_t argument_at, argument_field_bytes, argument_bytes;
    int32_t priority;
    enum durability durability;
    enum on_lost on_lost;
    int64_t retention_ns;             /* < 0 = default */
    wall_ns_t not_before, deadline;   /* 0 = none */
    int64_t attempt_timeout_ns;       /* 0 = none */
    const struct retry_policy *retry; /* copied; NULL = never */
    int is_cancelled_alone;           /* cancelled when it has had waiters and the last one leaves */
    struct span key;                  /* idempotency key; {NULL, 0} = none */
    enum key_policy key_policy;
    uint32_t content_type_at, content_type_bytes; /* of task; only read with a key */
    struct span request_id;                       /* {NULL, 0} = none */
    struct future *const *upstreams; /* what it depends on: DURABLE ones, unless it is EPHEMERAL */
    uint32_t n_upstreams; /* at most LIMIT_DEPENDS_ON; 0 = nothing, and then the next two are not read */
    enum depend_policy depend_policy;
    uint8_t passes_results;        /* their outcomes stay in memory until it has ended */
    const struct future *retry_of; /* this and the next are of engine_retry; NULL = none */
    struct labels *labels;         /* of the future's own; taken on success */
};
/* engine_join: what there is instead of a new future for @in: the one that its request_id made, or that holds its key.
 *   Return: 0 with *ret NULL: nothing, so engine_submit; 0 with *ret: join that; ENGINE_E_OTHER_TASK, _KEY_IN_USE: neither,
 *   and *ret holds the key. O(1). */
MUST_CHECK int engine_join(const struct engine *e, const struct engine_submit *in, struct future **ret);
/* engine_submit: accept a task: a new PENDING future, in its queue. engine_join has found nothing to join: who holds the
 *   key all the same gives it up.
 *   Return: 0; ENGINE_E_NO_SUCH_FUNCTION, _FULL_FUTURES, _FULL_MEMORY, _FULL_FUNCTION, _NO_KEYS; -ENOMEM. Nothing is kept on
 *   failure.
 * O(1). */
MUST_CHECK int engine_submit(struct engine *e, const struct engine_submit *in, struct future **ret);

/* engine_retry: engine_submit of @in, without a key, as the retry of @of: with its group and labels; @in has its namespace and
 * durability. Both know each other from one commit on. A future has one retry in its life.
 *   Return: as engine_submit; ENGINE_E_NOT_FAILED; ENGINE_E_RETRIED: see future_retried_by. */
MUST_CHECK int engine_retry(struct engine *e, struct future *of, const struct engine_submit *in,
                            struct future **ret);

/* engine_find: the future with @id that @scope may see, or NULL. O(1). */
struct future *engine_find(const struct engine *e, const struct scope *scope, const struct id *id);

/* engine_find_key: the future of the namespace that holds the idempotency key, or NULL: none in memory. Whether @scope may see
 * it is for the caller to ask. engine_key_may_be_stored: whether one
 * that is not in memory may hold it. O(1). */
struct future *engine_find_key(const struct engine *e, const struct scope *scope, struct span key);
MUST_CHECK int engine_key_may_be_stored(const struct engine *e, const struct scope *scope, struct span key);

/* engine_find_request: the ID of the future that @request_id of @scope made, as long as that is known (resend.h), or NULL. O(1). */
const struct id *engine_find_request(const struct engine *e, const struct scope *scope,
                                     struct span request_id);

/* engine_find_any: the same as engine_find in any namespace. */
struct future *engine_find_any(const struct engine *e, const struct id *id);

/* engine_pin: @f is not forgotten until engine_unpin. */
void engine_pin(struct engine *e, struct future *f);
void engine_unpin(struct engine *e, struct future *f);

/* engine_next: the future after @key in ID order (before it when @desc), any state, in @scope's namespace, or
 * NULL; looks at no more than *budget futures and counts it down: NULL with *budget 0 means "not found yet",
 * and *ret_key is where to go on. O(log n + looked at). */
struct future *engine_next(const struct engine *e, const struct scope *scope, uint64_t key, int desc,
                           uint32_t *budget, uint64_t *ret_key);

/* engine_group_first, _next: the members of a group in the order they joined. */
struct future *engine_group_first(const struct engine *e, const struct scope *scope, struct span group);
struct future *engine_group_next(const struct future *f);
uint64_t engine_group_size(const struct engine *e, const struct scope *scope, struct span group);

/* How long an attempt that is told to end has for that, unless something else is said. */
#define ENGINE_GRACE_NS (5 * NS_PER_S)

/* engine_cancel: PENDING and unreserved: CANCELLED at once. Reserved or running: noted in cancel_requested
 * and revoked, with @grace_ns to end by itself (< 0: ENGINE_GRACE_NS); what really happens decides. Once more: the shorter
 * grace counts. Terminal: unchanged. @reason and the scope's principal are copied. Return: 0, -ENOMEM. */
MUST_CHECK int engine_cancel(struct engine *e, struct future *f, const struct scope *by, struct span reason,
                             int64_t grace_ns);

/* engine_stay: from now on nothing is cancelled because its waiters leave: it is we who go. */
void engine_stay(struct engine *e);

struct engine_reschedule {
    int has_priority, has_not_before, has_deadline, has_retention;
    int32_t priority;
    wall_ns_t not_before; /* ends a pause after a failed attempt as well */
    wall_ns_t deadline;   /* 0 = none */
    int64_t retention_ns;
    const uint64_t *if_revision; /* NULL = any */
};
/* engine_reschedule: what is asked for holds from now on. A task that a worker has, but has not begun, is asked back where
 * it is to start later.
 *   Return: 0; ENGINE_E_REVISION; ENGINE_E_TERMINAL (of a terminal one only the retention may change); ENGINE_E_TIMES;
 *   -ENOMEM. */
MUST_CHECK int engine_reschedule(struct engine *e, struct future *f, const struct engine_reschedule *in);

/* engine_annotate: put @labels (taken on 0; NULL = those of the task) in place of the future's labels.
 *   Return: 0; ENGINE_E_REVISION (*if_revision given and not the current one); ENGINE_E_FULL_MEMORY; -ENOMEM. */
MUST_CHECK int engine_annotate(struct engine *e, struct future *f, struct labels *labels,
                               const uint64_t *if_revision);

/* engine_delete: forget a terminal future now. 0; ENGINE_E_NOT_TERMINAL; ENGINE_E_PINNED; -ENOMEM. */
MUST_CHECK int engine_delete(struct engine *e, struct future *f);

/* engine_wait: tie @w to @f. A terminal @f is done at once. @tag is referenced; @cookie comes back with it. The
 * same pair twice makes two edges: the caller sees to it that duplicates count once.
 *   Return: 0; ENGINE_E_FULL_EDGES; -ENOMEM. O(1). */
MUST_CHECK int engine_wait(struct engine *e, struct waiter *w, struct future *f, struct bytes *tag,
                           uint32_t cookie);
/* engine_may_wait: whether one more edge may be made, for who must know before it accepts. 0; ENGINE_E_FULL_EDGES. */
MUST_CHECK int engine_may_wait(const struct engine *e);
/* engine_wait_group: tie @w to all members now, and to those who join until it has had @expect (0: none later);
 * of one group at most. The edges of those to come are made, and counted, now.
 *   Return: as engine_wait; nothing is tied on failure. */
MUST_CHECK int engine_wait_group(struct engine *e, struct waiter *w, const struct scope *scope,
                                 struct span group, uint32_t expect);
/* engine_wait_joiners: tie @w to those who join the group from now on, up to @n; their edges are made, and counted, now. For
 * who has to look elsewhere for the members that there are. Once that is known, engine_wait_settle: @n are needed; with 0
 * those that have come are let go. Return: as engine_wait; nothing is tied on failure. */
MUST_CHECK int engine_wait_joiners(struct engine *e, struct waiter *w, const struct scope *scope,
                                   struct span group, uint32_t n);
void engine_wait_settle(struct engine *e, struct waiter *w, uint32_t n);
/* engine_unwait: drop one edge. engine_waiter_drop: drop all of them and take @w out of every list. */
void engine_unwait(struct engine *e, struct edge *edge);
void engine_waiter_drop(struct engine *e, struct waiter *w);

/* A claim on one future. Made by engine_claim, ended by finish, release or the holder's loss. Read-only
 * outside; `user` and `user_at` are the holder's. */
struct lease {
    struct list of_holder;
    struct list revoke; /* in the turn's revokes */
    struct future *future;
    struct holder *holder;
    uint32_t attempt;
    int is_started;
    mono_ns_t claimed_at, started_at;
    enum stop stop;                            /* why it was told to end */
    uint8_t is_past_timeout, is_past_deadline; /* and that has been acted on */
    uint8_t is_of_own;                         /* it took of the credit of its function alone */
    mono_ns_t term_at, kill_at; /* when it must be made to, first gently; CLOCK_NEVER while it need not */
    void *user;
    mono_ns_t user_at; /* likewise */
};

/* A worker as the engine sees it: a name, what it serves, what it holds. */
/* What a holder takes of one function. */
struct holder_share {
    uint32_t max; /* leases at a time; 0 = no limit */
    uint32_t n;   /* that there are */
    uint32_t own; /* credit for this function alone */
};

struct holder {
    struct list leases; /* of struct lease.of_holder, oldest first */
    struct bytes *name;
    uint64_t *serves; /* bit set by function.index */
    uint32_t n_serves_words;
    uint32_t n_leases;
    struct holder_share *shares; /* by function.index; NULL while it takes as much of one as of another */
    uint32_t n_shares;
    uint64_t own;    /* all credit for one function alone */
    uint32_t common; /* where there is any: that for all, of the owner */
    void *user;
};
static inline int holder_serves(const struct holder *h, const struct function *f)
{
    uint32_t word = f->index / 64;

    return word < h->n_serves_words && (h->serves[word] >> (f->index % 64) & 1);
}

/* engine_holder_new: 0, -ENOMEM. engine_holder_serve: add a function to what it serves: 0, -ENOMEM.
 * engine_holder_serve_none: it serves nothing any more; what it holds it keeps. */
MUST_CHECK int engine_holder_new(struct engine *e, struct span name, void *user, struct holder **ret);
MUST_CHECK int engine_holder_serve(struct engine *e, struct holder *h, struct function *f);
void engine_holder_serve_none(struct engine *e, struct holder *h);

/* engine_share_bound: no more than @max leases of @f at a time, 0 = no limit; until engine_holder_serve_none. What is held already
 * stays. engine_share_credit: @n more tasks of @f: where there is such credit a task takes one of that of its function, else
 * one of holder.common, and without either it is not claimed; the owner keeps holder.common, which a claim counts down. 0, -ENOMEM (as
 * before). engine_share_uncredit: it has none for one function alone any more. */
MUST_CHECK int engine_share_bound(struct engine *e, struct holder *h, const struct function *f, uint32_t max);
MUST_CHECK int engine_share_credit(struct engine *e, struct holder *h, struct function *f, uint32_t n);
void engine_share_uncredit(struct holder *h);
/* engine_unclaim: release what has not been sent; holder.common is as before, and so is credit for its function alone. */
void engine_unclaim(struct engine *e, struct lease *lease);
/* holder_room: how many more tasks of @f it would take, credit for all aside. */
static inline uint32_t holder_room(const struct holder *h, const struct function *f)
{
    const struct holder_share *s = f->index < h->n_shares ? &h->shares[f->index] : NULL;

    if (!s || !s->max)
        return UINT32_MAX;
    return s->n < s->max ? s->max - s->n : 0;
}
/* holder_own: credit for @f alone. */
static inline uint32_t holder_own(const struct holder *h, const struct function *f)
{
    return f->index < h->n_shares ? h->shares[f->index].own : 0;
}

/* engine_claim: reserve up to @max ready tasks for @h, functions it serves taking turns, best first within each. Only
 * of functions whose mean run time is known and below @max_run_ns (CLOCK_NEVER: of any). @ret_leases has room for
 * @max. The futures stay PENDING.
 *   Return: how many (>= 0), -ENOMEM (none claimed). O(functions with ready work + claimed). */
MUST_CHECK int engine_claim(struct engine *e, struct holder *h, int64_t max_run_ns, uint32_t max,
                            struct lease **ret_leases);

/* engine_has_work: whether any function has ready tasks that may start; if not, engine_claim finds none for anybody. */
MUST_CHECK int engine_has_work(const struct engine *e);

/* engine_work_next: the functions that have such tasks; NULL starts, NULL ends. engine_n_startable: at most how many of @f. */
const struct function *engine_work_next(const struct engine *e, const struct function *f);
uint64_t engine_n_startable(const struct function *f);

/* engine_lease_find: the current lease {id, attempt, epoch} of @h, or NULL (stale, or not its own: counted).
 */
struct lease *engine_lease_find(struct engine *e, const struct holder *h, const struct id *id,
                                uint32_t attempt, uint32_t epoch);

/* engine_start: the worker really began at @at: RUNNING, the attempt exists. Twice is once. 0, -ENOMEM. */
MUST_CHECK int engine_start(struct engine *e, struct lease *lease, wall_ns_t at);

/* engine_tell: a piece of output or log of the attempt under @lease; copied. What was told before is passed over, what there is no
 * room for is left out, and the log says so.
 *   Return: 0; ENGINE_E_NOT_STARTED, _TOLD_WRONG, _FLOOD: it breaks the rules; -ENOMEM: tell it again. */
MUST_CHECK int engine_tell(struct engine *e, struct lease *lease, const struct told_piece *piece);
/* engine_progress: only completed and total of @progress are looked at; @message, of TOLD_MESSAGE_BYTES at most, is copied. Return:
 * as engine_tell. */
MUST_CHECK int engine_progress(struct engine *e, struct lease *lease, const struct told_progress *progress,
                               struct span message);

/* How an attempt ended, from whoever knows. Exactly one of data and error. */
struct finish {
    struct bytes *data;         /* taken on success */
    struct bytes *content_type; /* taken on success; NULL = none */
    struct future_error *error; /* taken on success */
    int has_exit_code, has_signal;
    int32_t exit_code, signal;
    struct usage usage;
    wall_ns_t start_time; /* used when engine_start was never called for it; 0 = now */
};
/* engine_finish: the attempt under @lease has ended; the lease is gone after 0. A cancelled one that ends
 * with an error becomes CANCELLED, one that succeeded all the same SUCCEEDED. 0, -ENOMEM (lease and finish
 * untouched). */
MUST_CHECK int engine_finish(struct engine *e, struct lease *lease, struct finish *finish);

/* engine_release: not run, back to the head of its queue without an attempt (CANCELLED if that was asked for
 * meanwhile). */
void engine_release(struct engine *e, struct lease *lease);

/* engine_lose: the worker of a started attempt is gone without fault of the task: the attempt is recorded with
 * WORKER_LOST and the task goes back to the head of its queue, three times at most, then it ends
 * FAILED/WORKER_LOST; on_lost FAIL: OUTCOME_UNKNOWN at the first; CANCELLED if that was asked for. An unstarted
 * lease is released. 0, -ENOMEM (nothing changed; call again later).
 * engine_lose_by_end: the same since the daemon ends: the attempt is recorded with SHUTDOWN, and a task that goes back has not
 * lost one of its three times.
 * engine_lose_beside: the same where its worker ran others beside it and one of these is at fault: a task that goes back does
 * so without an attempt, and where the worker was killed for the other one it does not count among its three times. */
MUST_CHECK int engine_lose(struct engine *e, struct lease *lease);
MUST_CHECK int engine_lose_by_end(struct engine *e, struct lease *lease);
MUST_CHECK int engine_lose_beside(struct engine *e, struct lease *lease, int was_killed);

/* engine_holder_free: the worker is gone for good; it must hold no lease any more. Returns NULL. */
struct holder *engine_holder_free(struct engine *e, struct holder *h);

struct engine_stats {
    uint64_t n_futures, n_bytes, n_edges, n_stale_finishes, n_accepted, n_forgotten;
    uint64_t n_restored, n_evicted; /* come from the store; gone to where only the store has them */
    uint64_t n_finished_bytes;      /* of those that may go there */
    uint64_t n_by_state[6];         /* by enum future_state */
    uint64_t table_slots;           /* of the future table */
    uint32_t table_max_moved;       /* most entries that one insert has moved */
    uint64_t table_moved;           /* entries moved in all */
};
struct engine_stats engine_stats(const struct engine *e);
uint64_t engine_epoch(const struct engine *e);
/* engine_wall: the wall time of this turn. */
wall_ns_t engine_wall(const struct engine *e);

/* engine_check: walk everything and assert the invariants. For tests; O(everything). engine_check_most: all but what costs most of
 * that, the slots of its tables. */
void engine_check(const struct engine *e);
void engine_check_most(const struct engine *e);
