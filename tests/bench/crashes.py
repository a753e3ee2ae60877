# SPDX-License-Identifier: Apache-2.0
"""The rows about functions that crash, and about tasks that take long: through a stock client, because what counts is what
becomes of each task."""
import contextlib
import pathlib
import subprocess
import tempfile
import time

TASKS, CRASH_EVERY, IN_FLIGHT, WORKERS, TOTAL_S = 100_000, 100, 1000, 4, 10

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
        """The futures of tasks, at most @in_flight at a time, and how long it took."""
        from futured.v1 import future_pb2, futures_pb2

        def request(argument):
            task = future_pb2.Task(function=function, argument=argument)
            return futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=task, view=future_pb2.VIEW_BASIC))

        began, ended, done = time.monotonic(), [], 0
        while done < len(arguments):
            part = arguments[done:done + in_flight]
            ended += [r.finished for r in futures.RunStream(iter([request(a) for a in part]))]
            done += len(part)
        return ended, time.monotonic() - began

    def crashing(self, every):
        """TASKS tasks of which each @every-th crashes; each must end as it is due."""
        def measure():
            arguments = [b"x" if every and i % every == every - 1 else b"y" for i in range(TASKS)]
            with self.daemon() as futures:
                ended, took_s = self.run(futures, "crash", arguments, IN_FLIGHT)
            wanted = TASKS // every if every else 0
            crashed = [f for f in ended if f.error.reason == "CRASHED" and f.attempts[-1].signal == 11]
            if len(ended) != TASKS or len(crashed) != wanted or sum(bool(f.error.reason) for f in ended) != wanted:
                raise RuntimeError(f"{len(ended)} tasks ended, {len(crashed)} crashed, not {wanted}")
            return {"per_second": TASKS / took_s, "took_s": took_s}
        return measure

    def long(self):
        """Ten tasks of a second on four workers: three rounds of them."""
        with self.daemon() as futures:
            ended, took_s = self.run(futures, "sleep", [b"1000"] * TOTAL_S, TOTAL_S)
        if any(f.error.reason for f in ended):
            raise RuntimeError("a task has failed")
        return {"per_second": TOTAL_S / took_s, "took_s": took_s}

    def rows(self):
        without = f"{TASKS:,} tasks"
        return [
            self.t.Row(without, self.crashing(0), beside=("took_s",)),
            self.t.Row(f"{without}, 1% crash", self.crashing(CRASH_EVERY), ratio=("per_second", without), beside=("took_s",)),
            self.t.Row("ten tasks of 1 s, four workers", self.long, beside=("took_s",),
                       goals=(self.t.Goal("aim: about 3 s", lambda r, _: r["took_s"] <= 3.5, is_aim=True),)),
        ]
