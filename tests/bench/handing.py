# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark about handing tasks to workers: what that costs the daemon and the workers, how long it takes with more
of them, what it adds when a function has limits or a process of its own for each attempt, and whether the prefetch that
the daemon chooses is as good as a fixed one."""
import contextlib
import os
import pathlib
import statistics
import subprocess
import tempfile

WORKERS = (1, 2, 4)
ROUNDS = 5
SHORT_TASKS, FIXED_PREFETCH = 1_000_000, 64

SOURCE = """
#define _GNU_SOURCE
#include <futured/plugin.h>
#include <time.h>
#include <sys/resource.h>

static int echo(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const void *argument = host->argument(call, &n);

    return host->set_result(call, argument, n);
}

/* What the account of an attempt costs, once more: the worker reads the clock of its thread twice for each. */
static int count(const struct futured_host *host, struct futured_call *call, void *state)
{
    struct rusage used;

    getrusage(RUSAGE_THREAD, &used);
    getrusage(RUSAGE_THREAD, &used);
    return echo(host, call, state);
}

static int spin(const struct futured_host *host, struct futured_call *call, void *state)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &to);
    while ((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec < 10000);
    return echo(host, call, state);
}

#define FUNCTION(name, run) {name, NULL, NULL, NULL, run, NULL, NULL}
static const struct futured_plugin_function functions[] = {
    FUNCTION("plain", echo), FUNCTION("spin", spin), FUNCTION("files", echo), FUNCTION("result", echo),
    FUNCTION("memory", echo), FUNCTION("alone", echo),
    FUNCTION("calls", echo), FUNCTION("sandbox", echo), FUNCTION("usage", count)};
const struct futured_plugin futured_plugin = {FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "bench", "1",
                                              functions, sizeof functions[0], sizeof functions / sizeof functions[0]};
"""

# What is said of a function -> its section.
LIMITS = {
    "files": {"open_files": "64"}, "result": {"max_result": "1M"},
    "memory": {"memory_max": "256M", "cpu_time_max": "10s"}, "alone": {"isolate": "yes"}, "calls": {"sandbox": "system-calls"}, "sandbox": {"sandbox": "all"},
}


# and one that is not limited, but reads its usage once more
NAMES = ("plain", *LIMITS, "usage")


class Handing:
    """@tools: what run has to measure with."""

    def __init__(self, tools):
        self.t = tools

    @contextlib.contextmanager
    def daemon(self, workers, **pool):
        with tempfile.TemporaryDirectory(prefix="futured-bench-") as folder:
            source, plugin = pathlib.Path(folder, "bench.c"), pathlib.Path(folder, "bench.so")
            source.write_text(SOURCE, encoding="ascii")
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I", self.t.ROOT / "client/include", "-o", plugin, source],
                           check=True)
            config = {"pool": {"plugin": plugin, **pool}}
            config.update({f"function.{name}": limits for name, limits in LIMITS.items()})
            with self.t.running(program="futured", arguments=("--workers", str(workers)), config=config) as daemon:
                yield daemon

    def load(self, daemon, function, in_flight, *arguments):
        return self.t.tool("futured-load", "--address", daemon.address, "--mode", "run-stream", "--function", function,
                           "--server-pid", daemon.process.pid, "--connections", 1, "--in-flight", in_flight, *arguments)

    def cpu_of_workers(self, daemon):
        pid, ticks = daemon.process.pid, 0
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            fields = pathlib.Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += sum(int(fields[i]) for i in (11, 12, 13, 14))  # with the processes that it has waited for
        return ticks / os.sysconf("SC_CLK_TCK")

    def handed(self, workers, in_flight):
        """Tasks that do nothing: CPU of the daemon and of all workers for each."""
        def measure():
            with self.daemon(workers) as daemon:
                before = self.cpu_of_workers(daemon)
                numbers = self.load(daemon, "plain", in_flight, "--duration", self.t.ARGS.seconds)
                cpu = self.cpu_of_workers(daemon) - before
                return {**numbers, "worker_cpu_us": cpu * 1e6 / numbers["total"]}
        return measure

    def limited(self):
        """What a limit, a process of its own, a sandbox, or the account of its usage costs: the time that a task takes of the only
        worker, in turns with the same function without."""
        rounds = []
        with self.daemon(1) as daemon:
            for _ in range(ROUNDS):
                seconds = ("--duration", max(0.5, self.t.ARGS.seconds / ROUNDS), "--warmup", 0.1)
                rounds.append({name: self.load(daemon, name, 16, *seconds)["per_second"] for name in NAMES})
        return {"per_second": statistics.median(r["plain"] for r in rounds),
                **{f"{name}_us": 1e6 / statistics.median(r[name] for r in rounds) for name in NAMES},
                **{f"{name}_of_plain": statistics.median(r["plain"] / r[name] for r in rounds) for name in NAMES[1:]}}

    def short(self):
        """Tasks of 10 us, in turns with a fixed prefetch."""
        count = ("--warmup", 0, "--count", SHORT_TASKS // ROUNDS)
        rounds = []
        for _ in range(ROUNDS):
            pair = {}
            for name, pool in (("chosen", {}), ("fixed", {"prefetch": str(FIXED_PREFETCH)})):
                with self.daemon(2, **pool) as daemon:
                    pair[name] = self.load(daemon, "spin", 256, *count)["per_second"]
            rounds.append(pair)
        return {"per_second": statistics.median(r["chosen"] for r in rounds),
                "fixed_per_second": statistics.median(r["fixed"] for r in rounds),
                "of_fixed": statistics.median(r["chosen"] / r["fixed"] for r in rounds)}

    def rows(self):
        return [
            *(self.t.Row(f"hand-off 1 x {n}, {workers} worker{'s' * (workers > 1)}", self.handed(workers, n),
                         beside=("worker_cpu_us",)) for n in (1, 100) for workers in WORKERS),
            self.t.Row("functions with limits", self.limited, beside=(*(f"{name}_us" for name in NAMES), *(f"{name}_of_plain" for name in NAMES[1:]))),
            self.t.Row(f"{SHORT_TASKS // 1_000_000}M tasks of 10 us", self.short, beside=("fixed_per_second", "of_fixed"),
                       goals=(self.t.Goal(f"at least 0.9 of the rate with prefetch = {FIXED_PREFETCH}",
                                          lambda r, _: r["of_fixed"] >= 0.9),)),
        ]
