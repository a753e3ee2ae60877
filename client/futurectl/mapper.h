// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What `futurectl map` does: items become tasks on one RunStream, so many in flight, and results are printed as they come.
 *
 *     items -> job -> in flight -> done -> printed        in flight -> again: the daemon had no room, or the connection was lost
 *
 * Invariants: a job is in one place: the list `again`, in flight, or in the ring of those that wait for their turn to be
 * printed. Jobs in memory are at most max_in_flight, the ring, and one; their arguments at most MAPPER_FLIGHT_BYTES and one more. What was
 * sent keeps its request ID, or its key, until it is done: sent again it is the same future.
 */
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "client/futurectl/ctl.h"
#include "client/futurectl/items.h"
#include "client/futurectl/progress.h"
#include "client/futurectl/template.h"

enum {
    MAPPER_IN_FLIGHT = 256,         /* by default */
    MAPPER_FLIGHT_BYTES = 32 << 20, /* of arguments in flight */
    MAPPER_HELD_BYTES = 64 << 20,   /* of results that wait for their turn */
    MAPPER_WINDOWS = 4, /* so many times max_in_flight may be ahead of the oldest, with --keep-order */
    MAPPER_KEY_BYTES = 64,
    MAPPER_GROUP_BYTES = 255, /* of the contract, and so for a function */
    MAPPER_BATCH = 1024,      /* sent before what has come is looked at */
};

struct job {
    struct item *item;
    struct list link;           /* in `flying` */
    struct job *next;           /* in `again` */
    struct map_item in_keys;    /* while it is in flight */
    char key[MAPPER_KEY_BYTES]; /* "": none */
    char request_id[64];        /* to be sent again with; "": fresh */
    size_t n_bytes;             /* of its argument, while it is in flight */
    int is_in_keys;
    int is_second; /* it joined a future that had been cancelled, and was sent again */
    struct futured_finished *finished;
};

enum mapper_stop { MAPPER_GOES, MAPPER_SOON, MAPPER_NOW, MAPPER_LEAVES };

struct mapper {
    struct ctl *ctl;
    const char *function, *group;
    char made_group[64], group_quoted[2 * MAPPER_GROUP_BYTES + 3]; /* as a word of a filter */
    int is_keyed;                 /* the group is the user's: items have keys */
    char newest[ID_TEXT_LEN + 1]; /* the youngest future of the group before this run; "": none */
    uint64_t max_message_bytes;

    struct items items;
    int has_templates; /* they are read when the columns are known */
    struct template argument, labels[OPTIONS_LABELS_MAX];
    struct futured_request *request;
    struct futured_pipeline *pipeline;
    struct buf text, data; /* of the job that is being sent */

    struct job *again, **again_end;
    size_t n_again;
    struct map keys;    /* of what is in flight */
    struct list flying; /* all that is in flight */
    size_t bytes_in_flight;
    int wants_input; /* the next item has not come yet */
    int is_input_over;

    struct job **ring; /* --keep-order: those done, by their number */
    uint64_t n_window, next_out;
    size_t bytes_held;

    struct progress_counts counts;
    uint64_t n_succeeded, n_failed_there; /* of those that failed: which the daemon knows */
    enum mapper_stop stop;
    int code;           /* that the whole ends with; CTL_OK: what the counts say */
    int is_halted_well; /* --halt ...,success= */
    mono_ns_t until, pause_until, cancel_due;
    mono_ns_t away_since; /* the daemon does not answer; CLOCK_NEVER: it does */
    FILE *joblog;

    /* mapper_show */
    struct progress progress;
    int is_bar, is_lines, is_colour, is_bar_shown, is_line_said;
    mono_ns_t show_due;
};

/* mapper_run: all of it. Return: the exit status. */
int mapper_run(struct mapper *m);

/* mapper_stop: submit no more; with MAPPER_NOW what is in flight is cancelled, with MAPPER_LEAVES not even waited for. */
void mapper_stop(struct mapper *m, enum mapper_stop how);

/* mapper_away: the daemon, or the stream, was not there (@status): pause, and after MAPPER_AWAY_NS give up. mapper_back: it answers. */
#define MAPPER_AWAY_NS (60 * NS_PER_S)
void mapper_away(struct mapper *m, const struct futured_status *status);
void mapper_back(struct mapper *m);

/* --- mapper_submit.c */

/* mapper_submit: send what there is and has room. */
void mapper_submit(struct mapper *m);
/* mapper_submit_can: whether there may be something. */
int mapper_submit_can(const struct mapper *m);
/* mapper_submit_again: @job, which came back, is to be sent once more, not before @pause_ns from now. */
void mapper_submit_again(struct mapper *m, struct job *job, int64_t pause_ns);

/* mapper_submit_forget: @job is not in flight any more. */
void mapper_submit_forget(struct mapper *m, struct job *job);

/* --- mapper_finish.c */

/* mapper_finish: @job is over: @finished, or @why it was never sent, which is the mapper's now. */
void mapper_finish(struct mapper *m, struct job *job, struct futured_finished *finished, char *why);
/* mapper_finish_drop: @job is left as it is. mapper_finish_all: what waits for its turn to be printed is printed. */
void mapper_finish_drop(struct mapper *m, struct job *job);
void mapper_finish_all(struct mapper *m);

/* --- mapper_show.c: the progress on standard error */

void mapper_show_init(struct mapper *m);
/* mapper_show: draw or say it, where it is time. mapper_show_hide: before anything else is written. */
void mapper_show(struct mapper *m);
void mapper_show_hide(struct mapper *m);
/* mapper_show_end: what is to be said when all is over. */
void mapper_show_end(struct mapper *m);
/* mapper_show_item: the beginning of the item, for a message. Borrowed until the next call. */
enum { MAPPER_ITEM_BYTES = 100 };
void mapper_show_item(const struct item *item, char text[static MAPPER_ITEM_BYTES + 4]);

/* --- mapper_wait.c */

/* mapper_wait_init: catch SIGINT, SIGTERM and SIGHUP; the second of them ends the process at once, and says how to come back. 0, -errno. */
MUST_CHECK int mapper_wait_init(struct mapper *m);
void mapper_wait_deinit(void);
/* mapper_wait: until something is to be done: an answer, input, a signal, the time. */
void mapper_wait(struct mapper *m);
/* mapper_wait_is_interrupted: whether a signal has come. */
int mapper_wait_is_interrupted(void);
