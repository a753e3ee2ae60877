# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark about a hostile neighbour: one call after the other of a client, alone and beside one that keeps a
hundred streams of its connection busy, in turns, on a daemon that stays the same."""
import contextlib
import statistics
import subprocess

PAIRS, CALLS, STREAMS = 10, 2000, 100


class Neighbour:
    """@tools: what run has to measure with."""

    def __init__(self, tools):
        self.t = tools

    @contextlib.contextmanager
    def flood(self, daemon, mode):
        """The neighbour, for as long as the block lasts; the victim's warm-up is longer than its start."""
        command = [self.t.ARGS.bin / "futured-load", "--address", daemon.address, "--mode", mode, "--connections", "1",
                   "--in-flight", str(STREAMS), "--warmup", "0", "--duration", "600"]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield
                if process.poll() is not None:
                    raise RuntimeError(f"the neighbour has ended: {process.returncode}")
            finally:
                process.kill()

    def victim(self, daemon, mode):
        return self.t.tool("futured-load", "--address", daemon.address, "--mode", mode, "--connections", 1, "--in-flight", 1,
                           "--warmup", 0.3, "--count", CALLS)

    def measure(self, program, mode):
        def measure():
            pairs = []
            with self.t.running(program=program, arguments=("--workers", "2")) as daemon:
                for _ in range(PAIRS):
                    alone = self.victim(daemon, mode)
                    with self.flood(daemon, mode):
                        pairs.append((alone, self.victim(daemon, mode)))
            median = lambda name, which: statistics.median(pair[which][name] for pair in pairs)  # noqa: E731
            return {"p50_us": median("p50_us", 1), "p99_us": median("p99_us", 1), "alone_p99_us": median("p99_us", 0),
                    "p99_of_alone": statistics.median(beside["p99_us"] / alone["p99_us"] for alone, beside in pairs)}
        return measure

    def rows(self):
        return [self.t.Row("unary 1 x 1 beside a flood", self.measure("futured-echo", "echo"), beside=("alone_p99_us", "p99_of_alone")),
                self.t.Row("Run 1 x 1 beside a flood", self.measure("futured", "run"), beside=("alone_p99_us", "p99_of_alone"))]
