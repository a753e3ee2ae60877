// SPDX-License-Identifier: Apache-2.0
/*
 * One batch a turn. Batches are numbered here, because a turn of more than a batch can hold makes several; `user` of the
 * last one is the engine's number, of the others 0, so the engine hears of a turn when all of it is durable.
 *
 * What goes wrong
 *   no memory for a batch     nothing of the turn has been handed over: engine_defer, the next turn's is this one too.
 *   stalled                   the committer keeps everything; a timer asks it to try again each second. Meanwhile the
 *                             service refuses what is new, replies that show what is not durable wait.
 *   corrupt, poisoned         nothing that comes later is handed over, nor said to be durable. The app is told, once.
 *   little space              only the service refuses. Asked once a second while commits go on: statvfs reads no disk.
 *
 * Known functions are settings "function.NAME" with their documentation as value; each start writes them once more,
 * with its first commit. A pause is a setting "pause.NAME", limits that were set are "limits.NAME" with a value such as
 * "max_running=4 rate=0.5", what a worker said of the options of its tasks is "options.NAME" with an encoded TaskOptions;
 * they go with the commit of the turn that changed them. What is in those columns is shown to clients as it stands there.
 */
#include "daemon/persist.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/net/loop.h"
#include "engine/depend.h"
#include "engine/resend.h"
#include "engine/told.h"
#include "grpc/server.h"
#include "service/options.h"
#include "store/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/statvfs.h>

enum { RECOVER_PER_SLICE = 500, SPARE_BATCHES = 4 };
#define SLICE_NS        (10 * NS_PER_MS)
#define FUNCTION_PREFIX "function."
#define PAUSE_PREFIX    "pause."
#define LIMITS_PREFIX   "limits."
#define OPTIONS_PREFIX  "options."

struct persist {
    struct persist_config config;
    struct store *store;
    struct committer *committer;
    struct engine *engine;
    struct loop_watch watch;
    struct loop_timer timer; /* each second: free space, and a stalled store */
    struct recover recover;
    int is_recovering;
    struct list spare; /* of struct batch */
    uint32_t n_spare;
    uint64_t n_batches;            /* number of the newest */
    uint32_t n_functions;          /* of the engine's, that the store knows */
    uint64_t ceiling, ceiling_seq; /* of keys: asked for, and with which commit of the engine's; 0 = none */
    enum committer_state state;
    enum persist_refusal refusal;
    uint64_t free_bytes;
    int is_low; /* free space */
    int has_broken_page;
};

/* ---- opening */

int persist_open(struct persist **ret, const struct persist_config *config)
{
    const struct store_config store = {
            .directory = config->directory,
            .vfs = config->vfs,
            .accept_loss = config->accept_loss,
            .log_bytes = config->log_bytes,
    };
    struct persist *p = mem_zalloc(sizeof *p);
    struct store_problem problem = {""};
    int r;

    if (!p)
        return -ENOMEM;
    p->config = *config;
    list_init(&p->spare);
    r = store_open(&p->store, &store, &problem);
    if (r != 0) {
        LOG_EVENT(LOG_ERROR, "store_open_failed", LOG_STR("directory", config->directory),
                  LOG_STR("error", store_error_text(r)), LOG_STR("text", problem.text),
                  LOG_STR("hint",
                          r == STORE_E_LOST ? "--accept-loss starts all the same" : "see --check-store"));
        mem_free(p);
        return r < 0 ? r : -EIO;
    }
    if (p->store->meta.n_lost)
        LOG_EVENT(LOG_ERROR, "commits_lost", LOG_NUM("n", p->store->meta.n_lost),
                  LOG_STR("text", "accepted as lost"));
    *ret = p;
    return 0;
}

const struct store_meta *persist_meta(const struct persist *p)
{
    return &p->store->meta;
}

struct store *persist_store(const struct persist *p)
{
    return p->store;
}

/* ---- what may be accepted */

static enum persist_refusal refusal_of(const struct persist *p)
{
    switch (p->state) {
    case COMMITTER_STALLED: return PERSIST_STALLED;
    case COMMITTER_CORRUPT:
    case COMMITTER_POISONED: return PERSIST_BROKEN;
    case COMMITTER_RUNNING: break;
    }
    if (p->committer && committer_is_full(p->committer))
        return PERSIST_BEHIND;
    return p->is_low ? PERSIST_SPACE : PERSIST_ACCEPTS;
}

static void judge(struct persist *p)
{
    enum persist_refusal why = refusal_of(p);

    if (why == p->refusal)
        return;
    p->refusal = why;
    if (p->config.on_refusal)
        p->config.on_refusal(p->config.arg, why);
}

static void look_at_space(struct persist *p)
{
    struct statvfs fs;
    int is_low;

    if (statvfs(p->config.directory, &fs) < 0)
        return;
    p->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    is_low = p->free_bytes < p->config.reserve_bytes;
    if (is_low == p->is_low)
        return;
    p->is_low = is_low;
    if (is_low)
        LOG_EVENT(LOG_ERROR, "store_space_low", LOG_STR("directory", p->config.directory),
                  LOG_NUM("free_bytes", p->free_bytes), LOG_NUM("reserve_bytes", p->config.reserve_bytes),
                  LOG_STR("hint", "nothing is accepted until there is room"));
    else
        LOG_EVENT(LOG_NOTICE, "store_space_back", LOG_STR("directory", p->config.directory));
}

static void on_state(struct persist *p, const struct committer_status *status)
{
    if (status->state == p->state)
        return;
    p->state = status->state;
    switch (p->state) {
    case COMMITTER_RUNNING:
        LOG_EVENT(LOG_NOTICE, "store_resumed", LOG_NUM("waiting", status->n_waiting));
        break;
    case COMMITTER_STALLED:
        LOG_EVENT(LOG_ERROR, "store_stalled", LOG_STR("text", status->problem.text),
                  LOG_STR("hint", "nothing is accepted; it is tried again each second"));
        break;
    case COMMITTER_CORRUPT:
    case COMMITTER_POISONED:
        LOG_EVENT(LOG_ERROR, p->state == COMMITTER_CORRUPT ? "store_corrupt" : "store_poisoned",
                  LOG_STR("text", status->problem.text), LOG_STR("hint", "nothing is written any more"));
        if (p->config.on_broken)
            p->config.on_broken(p->config.arg, p->state == COMMITTER_CORRUPT);
        break;
    }
}

/* There is something going on, or to be tried again: in a second, if not already. */
static void arm_timer(struct persist *p)
{
    if (loop_timer_at(&p->timer) == CLOCK_NEVER)
        loop_timer_set(&p->timer, clock_add(loop_now(p->config.loop), NS_PER_S));
}

/* ---- what has been committed */

static void keep_batch(struct persist *p, struct batch *b)
{
    if (p->n_spare == SPARE_BATCHES) {
        batch_free(b);
        return;
    }
    batch_clear(b);
    list_push_back(&p->spare, &b->link);
    p->n_spare++;
}

static void on_durable(struct persist *p, uint64_t seq)
{
    engine_durable(p->engine, seq);
    if (p->ceiling_seq && seq >= p->ceiling_seq) {
        engine_key_ceiling(p->engine, p->ceiling);
        p->ceiling_seq = 0;
    }
    if (p->config.server)
        grpc_server_release(p->config.server, seq);
}

/* "PRINCIPAL/NAMESPACE"; there is no slash in the first. */
static void on_ledger(void *user, struct span name, uint64_t bytes)
{
    struct persist *p = user;
    const uint8_t *slash = memchr(name.p, '/', name.len);
    size_t n = slash ? (size_t)(slash - name.p) : name.len;
    struct span where = slash ? (struct span){slash + 1, name.len - n - 1} : (struct span){0};
    struct scope *scope = engine_scope(p->engine, where, (struct span){name.p, n});

    if (scope)
        scope->n_stored_bytes = bytes;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The store may delete what has expired, but not what is depended on: not before all who do are known. Without memory it
 * goes on asking. */
static void allow_sweep(struct persist *p)
{
    CLEANUP(buf_deinit) struct buf kept = BUF_INIT;
    wall_ns_t now = clock_wall();
    size_t n;

    if (p->is_recovering || engine_depend_pinned(p->engine, now, &kept) < 0)
        return;
    n = buf_len(&kept) / sizeof(uint64_t);
    if (n > 1)
        qsort(buf_head(&kept), n, sizeof(uint64_t), compare_keys);
    (void)!committer_sweep(p->committer, now, (const uint64_t *)(const void *)buf_head(&kept), n);
}

static void on_committed(void *arg, int what)
{
    struct persist *p = arg;
    struct committer_status status;
    struct list batches, *l;
    uint64_t seq = 0;

    list_init(&batches);
    committer_take(p->committer, &batches, &status);
    while ((l = list_pop_front(&batches))) {
        struct batch *b = LIST_ENTRY(l, struct batch, link);

        if (b->result == 0 && b->user)
            seq = (uint64_t)(uintptr_t)b->user;
        keep_batch(p, b);
    }
    store_take_ledger(p->store, on_ledger, p);
    on_state(p, &status);
    if (p->state == COMMITTER_STALLED)
        arm_timer(p);
    if (seq)
        on_durable(p, seq);
    if (status.wants_sweep)
        allow_sweep(p);
    judge(p);
}

static void on_second(void *arg, mono_ns_t now)
{
    struct persist *p = arg;

    if (p->state == COMMITTER_STALLED)
        committer_retry(p->committer);
    look_at_space(p);
    judge(p);
    if (p->is_low || p->state == COMMITTER_STALLED || p->refusal == PERSIST_BEHIND)
        loop_timer_set(&p->timer, clock_add(now, NS_PER_S));
}

/* ---- a turn's commit */

static struct batch *take_batch(struct persist *p)
{
    struct list *l = list_pop_front(&p->spare);

    if (!l)
        return batch_new();
    p->n_spare--;
    return LIST_ENTRY(l, struct batch, link);
}

static enum batch_kind kind_of(const struct future *f)
{
    if (!future_is_terminal(f))
        return BATCH_PUT_LIVE;
    if (engine_fact_is_new(f))
        return BATCH_FINISH_NEW;
    return engine_fact_is_first(f) ? BATCH_FINISH : BATCH_PUT_DONE;
}

/* One more batch at the end of @made. NULL: no memory. */
static struct batch *next_batch(struct persist *p, struct list *made)
{
    struct batch *b = take_batch(p);

    if (b)
        list_push_back(made, &b->link);
    return b;
}

static int put_facts(struct persist *p, const struct effects *effects, struct list *made)
{
    struct batch *b = LIST_ENTRY(made->prev, struct batch, link);

    for (size_t i = 0; i < effects->n_facts; i++) {
        const struct future *f = effects->facts[i];
        int r = batch_put(b, kind_of(f), f);

        if (r == -EMSGSIZE && b->n > 0) { /* it is full */
            b = next_batch(p, made);
            r = b ? batch_put(b, kind_of(f), f) : -ENOMEM;
        }
        if (r == 0 && UNLIKELY(future_told(f)))
            r = batch_chunks(b, f);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct span limits_text(const struct gate *g, char *to, size_t size)
{
    int n = 0;

    *to = '\0';
    if (g->which & FUNCTION_MAX_RUNNING)
        n += snprintf(to + n, size - (size_t)n, "max_running=%" PRIu32 " ", g->set.max_running);
    if (g->which & FUNCTION_MAX_PENDING)
        n += snprintf(to + n, size - (size_t)n, "max_pending=%" PRIu64 " ", g->set.max_pending);
    if (g->which & FUNCTION_RATE)
        n += snprintf(to + n, size - (size_t)n, "rate=%.17g ", g->set.rate);
    ASSERT((size_t)n < size);
    return (struct span){(const uint8_t *)to, (size_t)MAX(n - 1, 0)};
}

/* @value NULL: there is none any more. @change may be NULL. */
static int put_setting(struct batch *b, const char *prefix, const struct function *fn,
                       const struct span *value, const struct change *change)
{
    char name[sizeof FUNCTION_PREFIX + LIMIT_FUNCTION_NAME_BYTES];
    struct span setting = {(const uint8_t *)name, 0};

    setting.len = (size_t)snprintf(name, sizeof name, "%s%.*s", prefix, (int)fn->name->len,
                                   (const char *)fn->name->data);
    return batch_setting(b, setting, value, SPAN_OF_BYTES(change ? change->who : NULL),
                         change ? change->time : 0, SPAN_OF_BYTES(change ? change->why : NULL));
}

static int put_options(struct batch *b, const struct function *fn)
{
    const struct function_defaults *said = fn->defaults.by_source[DEFAULTS_SAID];
    struct buf bytes CLEANUP(buf_deinit) = BUF_INIT;
    struct writer w = writer_to(&bytes);
    struct span value;

    if (!said)
        return put_setting(b, OPTIONS_PREFIX, fn, NULL, NULL);
    options_write_defaults(&w, said);
    value = (struct span){buf_head(&bytes), buf_len(&bytes)};
    return w.failed ? -ENOMEM : put_setting(b, OPTIONS_PREFIX, fn, &value, NULL);
}

static int put_settings(struct batch *b, const struct effects *effects)
{
    char text[128];

    LIST_FOREACH (l, &effects->settings) {
        const struct function *fn = LIST_ENTRY(l, struct function, gate.new_setting);
        const struct gate *g = &fn->gate;
        const struct span yes = SPAN_LIT("yes"), limits = limits_text(g, text, sizeof text);

        if (put_setting(b, PAUSE_PREFIX, fn, g->paused ? &yes : NULL, g->paused) < 0 ||
            put_setting(b, LIMITS_PREFIX, fn, g->limits_set ? &limits : NULL, g->limits_set) < 0 ||
            put_options(b, fn) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int put_functions(struct persist *p, struct batch *b, uint32_t *ret_n)
{
    const struct function *fn = NULL;
    uint32_t n = 0;

    while ((fn = engine_function_next(p->engine, fn))) {
        char name[sizeof FUNCTION_PREFIX + LIMIT_FUNCTION_NAME_BYTES];
        struct span doc = SPAN_OF_BYTES(fn->doc), setting = {(const uint8_t *)name, 0};

        if (n++ < p->n_functions)
            continue;
        setting.len = (size_t)snprintf(name, sizeof name, FUNCTION_PREFIX "%.*s", (int)fn->name->len,
                                       (const char *)fn->name->data);
        if (batch_setting(b, setting, &doc, (struct span){0}, engine_wall(p->engine), (struct span){0}) < 0)
            return -ENOMEM;
    }
    *ret_n = n;
    return 0;
}

static int fill(struct persist *p, const struct effects *effects, struct list *made,
                uint32_t *ret_n_functions)
{
    struct batch *b = next_batch(p, made);

    if (!b || put_functions(p, b, ret_n_functions) < 0 || put_settings(b, effects) < 0)
        return -ENOMEM;
    if (effects->key_ceiling && batch_key_ceiling(b, effects->key_ceiling) < 0)
        return -ENOMEM;
    if (put_facts(p, effects, made) < 0)
        return -ENOMEM;
    b = LIST_ENTRY(made->prev, struct batch, link);
    for (size_t i = 0; i < effects->n_forgotten; i++)
        if (batch_delete(b, &effects->forgotten[i]) < 0)
            return -ENOMEM;
    return 0;
}

int persist_commit(struct persist *p, const struct effects *effects)
{
    uint32_t n_functions = 0;
    struct list made, *l;

    if (!effects->is_commit)
        return 0;
    if (p->refusal == PERSIST_BROKEN) { /* whoever waits for it waits until the end */
        engine_taken(p->engine);
        return 0;
    }
    list_init(&made);
    if (fill(p, effects, &made, &n_functions) < 0) {
        while ((l = list_pop_front(&made)))
            batch_free(LIST_ENTRY(l, struct batch, link));
        engine_defer(p->engine);
        return -ENOMEM;
    }
    p->n_functions = n_functions;
    if (effects->key_ceiling) {
        p->ceiling = effects->key_ceiling;
        p->ceiling_seq = effects->commit_seq;
    }
    while ((l = list_pop_front(&made))) {
        struct batch *b = LIST_ENTRY(l, struct batch, link);

        b->commit_seq = ++p->n_batches;
        b->is_continued = !list_is_empty(&made);
        b->user = b->is_continued ? NULL : (void *)(uintptr_t)effects->commit_seq;
        committer_submit(p->committer, b);
    }
    engine_taken(p->engine);
    arm_timer(p);
    judge(p);
    return 0;
}

enum persist_refusal persist_refuses(const struct persist *p)
{
    return p->refusal;
}

struct persist_status persist_status(const struct persist *p)
{
    return (struct persist_status){
            .committer = committer_get_status(p->committer),
            .free_bytes = p->free_bytes,
            .reserve_bytes = p->config.reserve_bytes,
    };
}

void persist_look(struct persist *p)
{
    if (p->has_broken_page || !p->store->broken_page)
        return;
    p->has_broken_page = 1;
    LOG_EVENT(LOG_ERROR, "store_damaged", LOG_NUM("page", p->store->broken_page),
              LOG_STR("text", "a page of the database is not what was written"),
              LOG_STR("hint",
                      "what is not found is answered with DATA_LOSS; stop the daemon and see --check-store"));
}

/* ---- what was stored */

static int restore_item(struct engine *e, struct store_item *item, int is_needed, struct future **ret)
{
    const struct record *in = &item->record;
    struct bytes *task = in->task_in_blob ? TAKE_PTR(item->task) : bytes_dup(in->task.p, in->task.len);
    struct bytes *data = NULL;
    struct restored restored;
    int r = -ENOMEM;

    if (in->has_data)
        data = in->data_in_blob ? TAKE_PTR(item->data) : bytes_dup(in->data.p, in->data.len);
    if (!task || !data == !!in->has_data)
        goto out;
    restored = (struct restored){
            .id = in->id,
            .state = (enum future_state)in->state,
            .on_lost = (enum on_lost)in->on_lost,
            .n_losses = in->n_losses,
            .is_armed = in->is_armed,
            .has_labels = in->has_labels,
            .has_error = in->has_error,
            .error_is_shared = in->error_is_shared,
            .has_cancel = in->has_cancel,
            .priority = in->priority,
            .n_claims = in->n_claims,
            .argument_at = in->argument_at,
            .argument_field_bytes = in->argument_field_bytes,
            .argument_bytes = in->argument_bytes,
            .revision = in->revision,
            .submit_time = in->submit_time,
            .retention_ns = in->retention_ns,
            .function = in->function,
            .namespace = in->namespace,
            .principal = in->principal,
            .group = in->group,
            .peer = in->peer,
            .tag = in->tag,
            .traceparent = in->traceparent,
            .retry_of = in->retry_of,
            .retried_by = in->retried_by,
            .key = in->key,
            .content_type_at = in->content_type_at,
            .content_type_bytes = in->content_type_bytes,
            .request_id = in->request_id,
            .depend_policy = (enum depend_policy)in->depend_policy,
            .passes_results = in->passes_results,
            .is_needed = is_needed != 0,
            .n_depends = in->n_depends,
            .depends = in->depends,
            .concurrency_key = in->concurrency_key,
            .fairness_key = in->fairness_key,
            .cancel_time = in->cancel_time,
            .cancel_grace_ns = in->cancel_grace_ns,
            .cancel_principal = in->cancel_principal,
            .cancel_reason = in->cancel_reason,
            .not_before = in->not_before,
            .deadline = in->deadline,
            .next_try = in->next_try,
            .attempt_timeout_ns = in->attempt_timeout_ns,
            .n_counted = in->n_counted,
            .has_retry = in->has_retry,
            .retry = in->retry,
            .end_time = in->end_time,
            .expire_time = in->expire_time,
            .content_type = in->content_type,
            .error = in->error,
            .task = task,
            .data = data,
            .n_labels = in->n_labels,
            .n_attempts = in->n_attempts,
            .labels = in->labels,
            .attempts = in->attempts,
            .n_chunks = item->chunks ? in->n_chunks : 0,
            .chunks = item->chunks,
            .progress = in->progress,
    };
    r = engine_restore(e, &restored, ret);
out:
    bytes_unref(task);
    bytes_unref(data);
    return r;
}

int persist_restore(struct engine *e, struct store_item *item, struct future **ret)
{
    return restore_item(e, item, 0, ret);
}

/* What @item depends on and has ended comes back before it: an earlier start may not have lived to tell it of that end. What is
 * not there any more, or damaged, is gone. 0, -errno. */
static int restore_upstreams(struct persist *p, const struct store_item *item)
{
    const struct record *record = &item->record;

    for (uint32_t i = 0; i < record->n_depends; i++) {
        const struct restored_depend *depend = &record->depends[i];
        struct store_item *upstream = NULL;
        struct future *f;
        int r;

        if ((depend->state != 0 && !record->passes_results) || engine_find_any(p->engine, &depend->id))
            continue;
        r = store_get(p->recover.view, &depend->id, STORE_WANT_ALL, &upstream);
        if (r == 0 && upstream->is_done)
            r = restore_item(p->engine, upstream, 1, &f);
        store_item_free(upstream);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The function that the setting @name with @prefix is about, made known with @doc. NULL: another setting, or no room. */
static struct function *function_of(struct persist *p, struct span name, const char *prefix, struct span doc)
{
    size_t n = strlen(prefix);
    struct function *fn;

    if (name.len <= n || memcmp(name.p, prefix, n) != 0)
        return NULL;
    /* more than [limits] functions now allows are left out until a task of theirs comes */
    fn = engine_function_add(p->engine, (struct span){name.p + n, name.len - n}, doc);
    if (!fn)
        LOG_EVENT(LOG_WARNING, "function_forgotten", LOG_STR("hint", "raise [limits] functions"));
    return fn;
}

/* What limits_text wrote. 0; -EBADMSG. */
static int read_limits(struct span value, struct function_limits *ret, unsigned int *ret_which)
{
    char text[128];

    *ret = (struct function_limits){0};
    *ret_which = 0;
    if (value.len >= sizeof text)
        return -EBADMSG;
    memcpy(text, value.p, value.len);
    text[value.len] = '\0';
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest));) {
        char *end = word;

        if (strncmp(word, "max_running=", 12) == 0) {
            unsigned long long n = strtoull(word + 12, &end, 10);

            ret->max_running = (uint32_t)MIN(n, (unsigned long long)UINT32_MAX);
            *ret_which |= FUNCTION_MAX_RUNNING;
        } else if (strncmp(word, "max_pending=", 12) == 0) {
            ret->max_pending = strtoull(word + 12, &end, 10);
            *ret_which |= FUNCTION_MAX_PENDING;
        } else if (strncmp(word, "rate=", 5) == 0) {
            ret->rate = strtod(word + 5, &end);
            *ret_which |= FUNCTION_RATE;
        }
        if (*end || !(ret->rate >= 0))
            return -EBADMSG;
    }
    return *ret_which ? 0 : -EBADMSG;
}

static int restore_options(struct engine *e, struct function *fn, struct span value)
{
    struct function_defaults defaults;
    struct schedule_room room;
    struct grpc_status st;

    if (options_read_defaults(value, 1, &room, &defaults, &st) == 0)
        return engine_defaults_restore(e, fn, &defaults);
    LOG_EVENT(LOG_ERROR, "options_damaged", LOG_STR("hint", "a worker that says them again repairs them"));
    return 0;
}

static int on_setting(void *user, const struct store_setting *setting)
{
    struct persist *p = user;
    struct function_limits limits;
    struct function *fn;
    unsigned int which;

    (void)function_of(p, setting->name, FUNCTION_PREFIX, setting->value);
    fn = function_of(p, setting->name, PAUSE_PREFIX, (struct span){0});
    if (fn)
        return engine_restore_pause(p->engine, fn, setting->at, setting->who, setting->why);
    fn = function_of(p, setting->name, OPTIONS_PREFIX, (struct span){0});
    if (fn)
        return restore_options(p->engine, fn, setting->value);
    fn = function_of(p, setting->name, LIMITS_PREFIX, (struct span){0});
    if (!fn)
        return 0;
    if (read_limits(setting->value, &limits, &which) == 0)
        return engine_restore_limits(p->engine, fn, &limits, which, setting->at, setting->who, setting->why);
    LOG_EVENT(LOG_ERROR, "limits_damaged", LOG_STR("hint", "set the limits of this function again"));
    return 0;
}

static int on_record(void *user, struct store_item *item)
{
    struct persist *p = user;
    char id[ID_TEXT_LEN + 1];
    struct future *f;
    int r;

    if (item->result == 0) {
        r = restore_upstreams(p, item);
        return r == 0 ? persist_restore(p->engine, item, &f) : r;
    }
    id_format(&item->id, id);
    LOG_EVENT(LOG_ERROR, "future_damaged", LOG_STR("id", id),
              LOG_STR("error", store_error_text(item->result)),
              LOG_STR("hint", "it is not run; asking for it answers DATA_LOSS"));
    return 0;
}

static void on_key(void *user, uint64_t hash)
{
    struct persist *p = user;

    engine_restore_key(p->engine, hash);
}

static void on_keys_end(void *user, int are_more)
{
    struct persist *p = user;

    if (are_more)
        engine_restore_keys(p->engine);
}

static int on_recent(void *user, const struct store_item *item)
{
    const struct record *r = &item->record;
    struct persist *p = user;

    return engine_restore_request(p->engine, r->namespace, r->principal, r->request_id, &item->id,
                                  r->submit_time);
}

/* What the store, or the engine, said of the recovery, as a log line and -errno. */
static int recovery_failed(int r)
{
    LOG_EVENT(LOG_ERROR, "recovery_failed", LOG_STR("error", store_error_text(r)));
    return r < 0 ? r : -EIO;
}

int persist_begin(struct persist *p, struct engine *e)
{
    const struct recover_target target = {
            .on_setting = on_setting,
            .on_record = on_record,
            .on_key = on_key,
            .on_keys_end = on_keys_end,
            .on_recent = on_recent,
            .since = (uint64_t)MAX(clock_wall() - RESEND_NS, (int64_t)0) / NS_PER_MS << 12,
            .user = p,
    };
    struct committer_config config = COMMITTER_CONFIG_DEFAULT;
    int r = loop_timer_init(&p->timer, p->config.loop, on_second, p);

    p->engine = e;
    if (r < 0)
        return r;
    r = committer_start(&p->committer, p->store, &config);
    if (r < 0)
        return r;
    loop_watch_init(&p->watch, p->config.loop, committer_fd(p->committer), on_committed, p);
    r = loop_watch_set(&p->watch, LOOP_READ);
    if (r < 0)
        return r;
    store_take_ledger(p->store, on_ledger, p);
    look_at_space(p);
    judge(p);
    if (p->is_low)
        arm_timer(p);
    r = recover_begin(&p->recover, p->store, &target);
    if (r != 0)
        return recovery_failed(r);
    p->is_recovering = 1;
    return 0;
}

int persist_recover(struct persist *p, int *ret_is_complete)
{
    mono_ns_t end = clock_add(clock_mono(), SLICE_NS);
    int r = 0;

    while (r == 0 && !p->recover.is_complete && clock_mono() < end)
        r = recover_step(&p->recover, RECOVER_PER_SLICE);
    if (r != 0)
        return recovery_failed(r);
    *ret_is_complete = p->recover.is_complete;
    if (p->recover.is_complete) {
        recover_end(&p->recover);
        p->is_recovering = 0;
        if (committer_get_status(p->committer).wants_sweep)
            allow_sweep(p);
    }
    return 0;
}

uint64_t persist_n_recovered(const struct persist *p)
{
    return p->recover.n_records - p->recover.n_damaged;
}

/* ---- closing */

struct persist *persist_close(struct persist *p)
{
    struct list batches, *l;

    if (!p)
        return NULL;
    if (p->is_recovering)
        recover_end(&p->recover);
    list_init(&batches);
    loop_watch_deinit(&p->watch);
    loop_timer_deinit(&p->timer);
    if (p->committer)
        committer_stop(p->committer, &batches);
    while ((l = list_pop_front(&batches))) {
        struct batch *b = LIST_ENTRY(l, struct batch, link);

        if (b->result != 0)
            LOG_EVENT(LOG_ERROR, "not_committed", LOG_STR("error", store_error_text(b->result)));
        batch_free(b);
    }
    while ((l = list_pop_front(&p->spare)))
        batch_free(LIST_ENTRY(l, struct batch, link));
    store_close(p->store);
    return mem_free(p);
}
