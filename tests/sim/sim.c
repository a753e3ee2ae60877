// SPDX-License-Identifier: Apache-2.0
/*
 *   sim --seed N [--trace]     one seed; --trace prints each event
 *   sim --seeds A..B           all of them, in order
 *   sim --file PATH            the seeds in a file, one a line, with the number of events behind it; # is a comment
 *   sim ... --events N         events for each seed; 500 by default
 *
 * The options may be combined; what is in the file goes first. A seed that fails aborts, and says how to repeat it.
 */
#include "base/log.h"
#include "world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct world world;
static char how_to_repeat[128]; /* written before each seed, because a signal handler may not format */

/* What the daemon logs belongs to the trace. */
static void log_to_trace(enum log_level level, const char *event, const struct log_field *fields,
                         size_t n_fields)
{
    char line[512];

    if (!world.is_trace)
        return;
    log_format(line, sizeof line, world.machine.wall, level, event, fields, n_fields);
    world_says(&world, "  log: %s", line);
}

/* An assertion has failed: the sanitizers and the shell see the abort, a person wants the seed. */
static void on_abort(int sig)
{
    if (write(STDERR_FILENO, how_to_repeat, strlen(how_to_repeat)) < 0)
        _exit(2);
    signal(sig, SIG_DFL);
    raise(sig);
}

static void run(uint64_t seed, uint64_t events, int is_trace)
{
    snprintf(how_to_repeat, sizeof how_to_repeat,
             "sim: seed %" PRIu64 " failed; repeat: sim --seed %" PRIu64 " --events %" PRIu64 " --trace\n",
             seed, seed, events);
    world_init(&world, seed, is_trace);
    while (world.n_events < events)
        world_step(&world);
    world_finish(&world);
}

static uint64_t number(const char *text, char **end)
{
    uint64_t n = strtoull(text, end, 10);

    if (*end == text) {
        fprintf(stderr, "sim: %s is no number\n", text);
        exit(2);
    }
    return n;
}

static uint64_t run_file(const char *path, int is_trace)
{
    FILE *f = fopen(path, "re");
    uint64_t n = 0;
    char line[256];

    if (!f) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof line, f)) {
        uint64_t seed;
        char *end;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        seed = number(line, &end);
        run(seed, number(end, &end), is_trace);
        n++;
    }
    fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    uint64_t first = 1, last = 0, events = 500, n = 0;
    const char *file = NULL;
    int is_trace = 0;
    char *end;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--trace") == 0) {
            is_trace = 1;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0) {
            first = last = number(value, &end);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            first = number(value, &end);
            last = strncmp(end, "..", 2) == 0 ? number(end + 2, &end) : first;
        } else if (strcmp(argv[i], "--events") == 0) {
            events = number(value, &end);
        } else if (strcmp(argv[i], "--file") == 0) {
            file = value;
        } else {
            fprintf(stderr, "usage: %s [--file PATH] [--seed N | --seeds A..B] [--events N] [--trace]\n",
                    argv[0]);
            return 2;
        }
        i++;
    }
    log_configure(LOG_DEBUG, log_to_trace);
    signal(SIGABRT, on_abort);
    if (file)
        n += run_file(file, is_trace);
    for (uint64_t seed = first; seed <= last; seed++, n++)
        run(seed, events, is_trace);
    printf("%" PRIu64 " seeds, all well\n", n);
    return n == 0;
}
