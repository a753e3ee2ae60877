# SPDX-License-Identifier: Apache-2.0
"""The rows about functions that crash, and about tasks that take long: through a stock client, because what counts is what
becomes of each task."""
import contextlib
import pathlib
import statistics
import subprocess
import tempfile
import time

TASKS, ROUNDS, CRASH_EVERY, IN_FLIGHT, WORKERS, TOTAL_S = 100_000, 5, 100, 1000, 4, 10

SOURCE = """
#include <futured/plugin.h>
#include <signal.h>

static int crash(const struct futured_host *host, struct futured_call *call, void *state)
{
    size_t n;
    const char *argument = (const char *)host->argument(call, &n);

    if (n == 1 && *argument == 'x')
        raise(SIGSEGV);
    return host->set_result(call, argument, n);
}

static const struct futured_plugin_function functions[] = {{"crash", NULL, NULL, NULL, crash, NULL, NULL}};
const struct futured_plugin futured_plugin = {FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "crash", "1",
                                              functions, sizeof functions[0], 1};
"""


class Crashes:
    """@tools: what run has to measure with."""

    def __init__(self, tools):
        self.t = tools

    @contextlib.contextmanager
    def daemon(self):
        """One with the function crash, and a stub of its Futures."""
        import harness  # makes the stubs, which only these rows need
        from futured.v1 import futures_pb2_grpc

        with tempfile.TemporaryDirectory(prefix="futured-bench-") as folder:
            source, plugin = pathlib.Path(folder, "crash.c"), pathlib.Path(folder, "crash.so")
            source.write_text(SOURCE, encoding="ascii")
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-I", self.t.ROOT / "client/include", "-o", plugin, source],
                           check=True)
            with self.t.running(program="futured", arguments=("--workers", str(WORKERS), "--log-level", "error"),
                                config={"pool": {"plugin": plugin}}) as daemon:
                with harness.grpc.insecure_channel(daemon.address) as channel:
                    yield futures_pb2_grpc.FuturesStub(channel)

    def run(self, futures, function, arguments, in_flight):
        """The futures of tasks in the order of @arguments, at most @in_flight at a time, and how long it took."""
        from futured.v1 import future_pb2, futures_pb2

        def request(i):
            task = future_pb2.Task(function=function, argument=arguments[i])
            return futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=task, tag=str(i), view=future_pb2.VIEW_BASIC))

        began, ended = time.monotonic(), {}
        for at in range(0, len(arguments), in_flight):
            part = range(at, min(at + in_flight, len(arguments)))
            got = {int(r.tag): r.finished for r in futures.RunStream(iter([request(i) for i in part]))}
            if got.keys() != set(part):
                raise RuntimeError(f"{len(got)} of {len(part)} tasks have been answered")
            ended |= got
        return [ended[i] for i in range(len(arguments))], time.monotonic() - began

    def judge(self, i, f, crashes):
        """One that crashes has done so, and no other; what had ended when its worker died may have been lost before."""
        how = [f.error.reason, *((a.error.reason, a.signal) for a in f.attempts[-1:])]
        if how != (["CRASHED", ("CRASHED", 11)] if crashes else ["", ("", 0)]) or \
                any(a.error.reason != "WORKER_LOST" for a in f.attempts[:-1]):
            raise RuntimeError(f"task {i}, which {'crashes' if crashes else 'does not crash'}: {f}")

    def part(self, every):
        """The rate of a part of TASKS, of which each @every-th crashes; 0: none."""
        arguments = [b"x" if every and i % every == every - 1 else b"y" for i in range(TASKS // ROUNDS)]
        with self.daemon() as futures:
            ended, took_s = self.run(futures, "crash", arguments, IN_FLIGHT)
        for i, (f, argument) in enumerate(zip(ended, arguments)):
            self.judge(i, f, argument == b"x")
        return len(ended) / took_s

    def crashing(self):
        """TASKS tasks of which each CRASH_EVERY-th crashes, in turns with as many that do not."""
        rounds = [(self.part(CRASH_EVERY), self.part(0)) for _ in range(ROUNDS)]
        return {"per_second": statistics.median(with_ for with_, _ in rounds),
                "without_per_second": statistics.median(without for _, without in rounds),
                "of_without": statistics.median(with_ / without for with_, without in rounds)}

    def long(self):
        """Ten tasks of a second on four workers: three rounds of them."""
        with self.daemon() as futures:
            ended, took_s = self.run(futures, "sleep", [b"1000"] * TOTAL_S, TOTAL_S)
        if any(f.error.reason for f in ended):
            raise RuntimeError("a task has failed")
        return {"per_second": TOTAL_S / took_s, "took_s": took_s}

    def rows(self):
        return [
            self.t.Row(f"{TASKS:,} tasks, 1% crash", self.crashing, beside=("without_per_second", "of_without")),
            self.t.Row("ten tasks of 1 s, four workers", self.long, beside=("took_s",),
                       goals=(self.t.Goal("three rounds of a second, less than 4 s", lambda r, _: r["took_s"] < 4),)),
        ]
