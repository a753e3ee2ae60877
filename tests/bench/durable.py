# SPDX-License-Identifier: Apache-2.0
"""The durable rows of the benchmark. A row beside a floor measures both in turns, ROUNDS times, so that what else the
machine does meets both: its numbers are medians over the rounds, its ratios medians of the rounds' ratios."""
import contextlib
import os
import pathlib
import random
import shutil
import statistics
import tempfile
import time

ROUNDS = 5
IN_FLIGHT = (1, 16, 64, 256, 1024)
CONNECTIONS = {1: 1, 16: 4, 64: 8, 256: 8, 1024: 16}  # of unary calls; a connection takes 100 at a time at least
FINISHED = 10_000_000
SEARCHED = 1_000_000
# What a Count says -> its filter. None but the last three has to do with a text beside the record.
FILTERS = {
    "all": "*", "state": "state = FAILED", "function": "function != echo", "worker": "worker = nobody",
    "duration": "duration > 1h", "label": "has nobody", "error": "error ~ nothing", "argument": "argument ~ nothing",
    "group": "group = few", "group_unindexed": "NOT group != few",
}
PENDING = 1_000_000


def medians(rounds):
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


class Durable:
    """@tools: what run has to measure with: tool, running, and the parsed arguments."""

    def __init__(self, tools):
        self.t = tools

    # --- ways of measuring

    @property
    def seconds(self):
        return self.t.ARGS.seconds / ROUNDS

    @contextlib.contextmanager
    def directory(self):
        with tempfile.TemporaryDirectory(prefix="futured-bench-") as path:
            yield pathlib.Path(path)

    def store_cost(self, directory, mode, *arguments, cpu=None):
        return self.t.tool("futured-store-cost", directory, mode, *arguments, cpu=cpu)

    def load(self, daemon, mode, *arguments, cpu=None):
        return self.t.tool("futured-load", "--address", daemon.address, "--mode", mode, "--server-pid", daemon.process.pid,
                           *arguments, cpu=cpu)

    def daemon(self, workers, **how):
        return self.t.running(program="futured", store="sqlite", arguments=("--workers", str(workers)), **how)

    # --- the rows

    def rate(self, mode, n):
        """@mode with @n in flight, in turns with the store's statements in a bare loop: with as many tasks a transaction as
        the daemon has had in its own, and with @n. A task that is run is two operations, accepted and finished. And with
        a bare journal of @n operations a sync.

        What the machine allows is the least of three rates. With n in flight no more than n end in the time that such a task takes
        without a store and that of a commit of the loop, one after the other. Where these are many all CPUs are busy without a store
        already, and the loop's CPU comes on top. And the loop's own. `allowed` is that rate as a ratio to
        the loop's, `of_allowed` ours as a ratio to that rate."""
        is_run = mode != "submit-stream"
        connections = CONNECTIONS[n] if mode == "run" else 1
        operations, mix = (2, "task") if is_run else (1, "accept")

        cpus = len(os.sched_getaffinity(0))

        def load(daemon):
            return self.load(daemon, mode, "--connections", connections, "--in-flight", n // connections, "--warmup", 0,
                             "--duration", self.seconds)

        def one_round(daemon, ephemeral, directory):
            def bare(how, what, batch):
                return self.store_cost(directory, how, "--mix", what, "--batch", batch, "--seconds", self.seconds)
            began = self.n_commits(daemon)
            ours = load(daemon)
            tasks = ours["total"] / (self.n_commits(daemon) - began)
            numbers = {name: ours[name] for name in ("per_second", "p50_us", "p99_us", "server_cpu_us", "client_cpu_us")}
            numbers |= {"tasks_a_commit": tasks}
            loop = bare("sqlite", mix, max(1, round(tasks * operations)))
            for name, result in (("bare_sqlite", loop), ("bare_sqlite_of_all", bare("sqlite", mix, n)),
                                 ("journal", bare("journal", mix, n))):
                per_second = result["per_second"] / operations
                numbers |= {f"{name}_per_second": per_second, f"of_{name}": ours["per_second"] / per_second}
            without, bare_rate = load(ephemeral)["per_second"], numbers["bare_sqlite_per_second"]
            allowed = min(n / (n / without + tasks / bare_rate), bare_rate)
            if n > 1:
                allowed = min(allowed, 1 / (1 / without + loop["cpu_us"] * operations / 1e6 / cpus))
            return numbers | {"ephemeral_per_second": without, "allowed": allowed / bare_rate,
                              "of_allowed": ours["per_second"] / allowed}

        def measure():
            workers = 2 if is_run else 0
            with self.directory() as directory, self.daemon(workers) as daemon, self.t.running(
                    program="futured", store="none", arguments=("--workers", str(workers))) as ephemeral:
                for each in (daemon, ephemeral):
                    self.load(each, mode, "--connections", connections, "--in-flight", n // connections, "--warmup", 0,
                              "--duration", 0.2)
                return medians([one_round(daemon, ephemeral, directory) for _ in range(ROUNDS)])
        return measure

    def n_commits(self, daemon):
        """That the daemon has made: the side file of its store says it."""
        content = (daemon.directory / "state/futures.db-commits").read_bytes()
        return int.from_bytes(content[:8], "little")

    def latency(self):
        """One Run at a time and one fdatasync at a time, all on one CPU."""
        cpu = self.t.CPU

        def one_round(daemon, directory):
            ours = self.load(daemon, "run", "--connections", 1, "--in-flight", 1, "--warmup", 0.1, "--duration", self.seconds,
                             cpu=cpu)
            sync = self.store_cost(directory, "journal", "--mix", "once", "--seconds", self.seconds, cpu=cpu)
            return {"per_second": ours["per_second"], "p50_us": ours["p50_us"], "p99_us": ours["p99_us"],
                    "fdatasync_p50_us": sync["p50_us"], "of_fdatasync": ours["p50_us"] / sync["p50_us"]}

        def measure():
            with self.directory() as directory, self.daemon(2, wrapper=("taskset", "-c", str(cpu))) as daemon:
                return medians([one_round(daemon, directory) for _ in range(ROUNDS)])
        return measure

    def recovery(self):
        """PENDING accepted, kill -9, and the time until the next daemon says that it is ready."""
        with self.directory() as directory:
            state = ("--workers", "0", "--state-directory", str(directory / "state"))
            with self.t.killed(program="futured", store="sqlite", arguments=state) as daemon:
                accepted = self.load(daemon, "submit-stream", "--connections", 4, "--in-flight", 1000, "--warmup", 0,
                                     "--count", PENDING)
            began = time.monotonic()
            with self.t.running(program="futured", store="sqlite", arguments=state) as daemon:
                ready = time.monotonic() - began
                return {"per_second": accepted["total"] / ready, "ready_seconds": ready, "recovered": accepted["total"],
                        "rss_bytes": daemon.rss_bytes() / accepted["total"] - 100}

    def get(self, is_cold, connections, in_flight):
        """Each answer is read from the database, once: the daemon has been started anew and every ID is asked for once."""
        n = 300_000

        def measure():
            with self.directory() as directory:
                state = directory / "state"
                ids = self.fill(state, n)
                random.Random(n).shuffle(ids)
                (directory / "ids").write_text("\n".join(ids) + "\n", encoding="ascii")
                for path in state.iterdir():
                    self.into_cache(path, not is_cold)
                with self.t.running(program="futured", store="sqlite",
                                    arguments=("--workers", "0", "--state-directory", str(state))) as daemon:
                    return self.load(daemon, "get", "--connections", connections, "--in-flight", in_flight, "--warmup", 0,
                                     "--duration", min(self.t.ARGS.seconds, 2), "--ids", directory / "ids")
        return measure

    def into_cache(self, path, is_in):
        with open(path, "rb") as file:
            if is_in:
                shutil.copyfileobj(file, open(os.devnull, "wb"), 1 << 20)
                return
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def fill(self, state, n):
        command = [self.t.ARGS.bin / "futured-store-cost", state, "fill", "--mix", "once", "--count", str(n)]
        return self.t.output(command).split()

    def beside_finished(self):
        """SubmitStream into an empty store and into one with FINISHED finished futures, in turns."""
        def accept(daemon):
            return self.load(daemon, "submit-stream", "--connections", 4, "--in-flight", 256, "--warmup", 0.2, "--duration",
                             self.seconds)

        def one_round(empty, full):
            first, second = accept(empty), accept(full)
            return {"per_second": second["per_second"], "p50_us": second["p50_us"], "server_cpu_us": second["server_cpu_us"],
                    "empty_per_second": first["per_second"], "of_empty": second["per_second"] / first["per_second"]}

        with self.directory() as directory:
            room = os.statvfs(directory)
            if room.f_bavail * room.f_frsize < FINISHED * 1000:
                raise self.t.Skip(f"{FINISHED * 1000 >> 30} GiB of room are wanted in {directory}")
            began = time.monotonic()
            self.fill(directory / "state", FINISHED)
            filled = time.monotonic() - began
            with self.daemon(0) as empty, self.t.running(
                    program="futured", store="sqlite",
                    arguments=("--workers", "0", "--state-directory", str(directory / "state"))) as full:
                return {**medians([one_round(empty, full) for _ in range(ROUNDS)]), "fill_seconds": filled}

    def filters(self):
        """Count over SEARCHED finished futures that only the disk has, one in a thousand of them in a group: microseconds a
        future for each filter, seconds for a group by its index and without, and those of a List of its newest 100."""
        with self.directory() as directory:
            state = directory / "state"
            self.fill(state, SEARCHED)
            with self.t.running(program="futured", store="sqlite",
                                arguments=("--workers", "0", "--state-directory", str(state))) as daemon:
                def seconds(*arguments):
                    began = time.monotonic()
                    self.t.output([self.t.ARGS.bin / "futurectl", "--address", daemon.address, *arguments])
                    return time.monotonic() - began

                def count(filter_):
                    return min(seconds("count", "--filter", filter_) for _ in range(3))
                count("*")  # whatever is read for the first time
                took = {name: count(filter_) for name, filter_ in FILTERS.items()}
                listed = {f"list_{name}_seconds": seconds("list", "--limit", "100", "--filter", FILTERS[name])
                          for name in ("group", "group_unindexed")}
                return {f"{name}_us": s * 1e6 / SEARCHED for name, s in took.items() if not name.startswith("group")} | {
                    f"{name}_seconds": s for name, s in took.items() if name.startswith("group")} | listed

    # --- the table

    def rate_row(self, name, mode, n, aim=None):
        Row, Goal = self.t.Row, self.t.Goal
        goals = [Goal("at least 0.8 of the bare SQLite loop with the same batches", lambda r, _: r["of_bare_sqlite"] >= 0.8)]
        if aim and n == IN_FLIGHT[-1]:
            goals.append(Goal(f"aim: {aim:,} a second", lambda r, _: r["per_second"] >= aim, is_aim=True))
        return Row(f"{name} durable, {n} in flight", self.rate(mode, n), goals=tuple(goals),
                   beside=("tasks_a_commit", "of_bare_sqlite", "allowed", "of_allowed", "of_bare_sqlite_of_all", "of_journal"))

    def rows(self):
        Row, Goal = self.t.Row, self.t.Goal
        kinds = (("Run", "run", None), ("RunStream", "run-stream", 50_000), ("SubmitStream", "submit-stream", 100_000))
        rows = [self.rate_row(name, mode, n, aim) for name, mode, aim in kinds for n in IN_FLIGHT]
        rows += [
            Row("Run durable 1 x 1, one CPU", self.latency(), beside=("of_fdatasync",),
                goals=(Goal("p50 of at most 2.5 fdatasyncs", lambda r, _: r["of_fdatasync"] <= 2.5),)),
            Row("1M pending after kill -9", self.recovery, beside=("ready_seconds",),
                goals=(Goal("ready in under 5 s", lambda r, _: r["ready_seconds"] < 5),)),
            Row("Get from disk, warm, 1 x 1", self.get(False, 1, 1)),
            Row("Get from disk, cold, 1 x 1", self.get(True, 1, 1), ratio=("p50_us", "Get from disk, warm, 1 x 1")),
            Row("Get from disk, warm, 8 x 32", self.get(False, 8, 32)),
            Row("Count of 1M finished", self.filters, is_long=True,
                beside=(*(f"{name}_us" for name in FILTERS if not name.startswith("group")), "group_seconds",
                        "group_unindexed_seconds", "list_group_seconds", "list_group_unindexed_seconds")),
            Row("SubmitStream beside 10M finished", self.beside_finished, is_long=True, beside=("of_empty", "fill_seconds"),
                goals=(Goal("at least 0.8 of the rate beside none", lambda r, _: r["of_empty"] >= 0.8),)),
        ]
        return rows
