# SPDX-License-Identifier: Apache-2.0
"""The rows of the benchmark about many who wait or follow: what a pair of a call and a future costs the daemon, in CPU from the call to
its answer, and in memory meanwhile. The client is the stock one of Python, which costs more than the daemon, so only the
daemon's own numbers are told."""
import asyncio
import os
import pathlib
import sys

PAIRS = 100_000


class Waiting:
    """@tools: what run has to measure with: Row, running, and the parsed arguments."""

    def __init__(self, tools):
        self.t = tools

    def client(self):
        """The words of the contract, by stubs that the tests make; imported late, so that other rows need no grpc."""
        os.environ["FUTURED_BIN_DIR"] = str(self.t.ARGS.bin)
        sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "integration")]
        import harness
        from futured.v1 import future_pb2, futures_pb2, futures_pb2_grpc, system_pb2, system_pb2_grpc
        return harness.grpc, future_pb2, futures_pb2, futures_pb2_grpc, system_pb2, system_pb2_grpc

    def memory_of(self, daemon):
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def cpu_of(self, daemon):
        fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, n_calls):
        """@n_calls calls of Wait for all of PAIRS / @n_calls futures, of which the last one's end answers them all."""
        def one(daemon):
            grpc, future_pb2, f, stubs, system, system_stubs = self.client()
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 64 << 20)]
            channels = [grpc.insecure_channel(daemon.address, options=options) for _ in range(10)]
            futures = [stubs.FuturesStub(channel) for channel in channels]
            monitor = system_stubs.SystemStub(channels[0])
            n_ids = PAIRS // n_calls

            def edges():
                stats = monitor.GetStats(system.GetStatsRequest(prefix="waiter_edges")).stats
                return next(s.value for s in stats if s.name == "waiter_edges")
            task = f.SubmitRequest(task=future_pb2.Task(function="echo"))
            ids = [r.future.id for r in futures[0].SubmitStream(iter([task] * n_ids))]
            request = f.WaitRequest(selector=future_pb2.Selector(ids=ids), view=future_pb2.VIEW_RESULT)
            before, began = self.memory_of(daemon), self.cpu_of(daemon)
            waits = [futures[i % len(futures)].Wait.future(request) for i in range(n_calls)]
            while edges() < PAIRS:
                pass
            waiting = self.memory_of(daemon)
            cancelled = futures[0].CancelMany(f.CancelManyRequest(selector=future_pb2.Selector(ids=ids)))
            assert cancelled.changed == n_ids
            assert all(wait.result().counts.cancelled == n_ids for wait in waits)
            cpu = self.cpu_of(daemon) - began
            for channel in channels:
                channel.close()
            return {"server_cpu_us": cpu / PAIRS * 1e6, "rss_bytes": (waiting - before) / PAIRS}

        def measure():
            with self.t.running(program="futured", arguments=("--workers", "0")) as daemon:
                return one(daemon)
        return measure

    def completed(self, n_calls):
        """@n_calls calls of AsCompleted for all of PAIRS / @n_calls futures: each gives all of them as they end."""
        async def one(daemon):
            grpc, future_pb2, f, stubs, _, _ = self.client()
            options = [("grpc.use_local_subchannel_pool", 1)]
            channels = [grpc.aio.insecure_channel(daemon.address, options=[*options, ("futured.channel", i)]) for i in range(100)]
            futures = [stubs.FuturesStub(channel) for channel in channels]
            n_ids = PAIRS // n_calls
            task, submit = f.SubmitRequest(task=future_pb2.Task(function="echo")), futures[0].SubmitStream()
            ids = []
            for _ in range(n_ids):
                await submit.write(task)
                ids.append((await submit.read()).future.id)
            await submit.done_writing()
            request = f.AsCompletedRequest(ids=ids, view=future_pb2.VIEW_RESULT)
            before, began = self.memory_of(daemon), self.cpu_of(daemon)
            calls = [futures[i % len(futures)].AsCompleted() for i in range(n_calls)]
            for call in calls:
                await call.write(request)
                await call.done_writing()
            while await self.edges(channels[0]) < PAIRS:
                pass
            waiting = self.memory_of(daemon)
            await futures[0].CancelMany(f.CancelManyRequest(selector=future_pb2.Selector(ids=ids)))
            for call in calls:
                assert sum([1 async for _ in call]) == n_ids
            cpu = self.cpu_of(daemon) - began
            for channel in channels:
                await channel.close()
            return {"server_cpu_us": cpu / PAIRS * 1e6, "rss_bytes": (waiting - before) / PAIRS}

        def measure():
            with self.t.running(program="futured", arguments=("--workers", "0")) as daemon:
                return asyncio.run(one(daemon))
        return measure

    async def edges(self, channel):
        _, _, _, _, system, system_stubs = self.client()
        stats = await system_stubs.SystemStub(channel).GetStats(system.GetStatsRequest(prefix="waiter_edges"))
        return next(s.value for s in stats.stats if s.name == "waiter_edges")

    def followed(self, n_watches):
        """RunStream, while @n_watches Watches look at every event and match none."""
        def measure():
            with self.t.running(program="futured", arguments=("--workers", "2")) as daemon:
                grpc, future_pb2, f, stubs, _, _ = self.client()
                with grpc.insecure_channel(daemon.address) as channel:
                    request = f.WatchRequest(selector=future_pb2.Selector(filter="state = FAILED AND labels.customer = 42"))
                    watches = [stubs.FuturesStub(channel).Watch(request) for _ in range(n_watches)]
                    for watch in watches:
                        assert next(watch).HasField("keepalive")
                    return self.t.tool("futured-load", "--address", daemon.address, "--server-pid", daemon.process.pid,
                                       "--mode", "run-stream", "--connections", 1, "--in-flight", 100, "--duration",
                                       self.t.ARGS.seconds)
        return measure

    def rows(self):
        waits = [self.t.Row(f"Wait {n_calls:,} x {PAIRS // n_calls:,}", self.measure(n_calls)) for n_calls in (10, 10_000)]
        waits += [self.t.Row(f"AsCompleted {n_calls:,} x {PAIRS // n_calls:,}", self.completed(n_calls)) for n_calls in (10, 10_000)]
        return waits + [self.t.Row(f"RunStream 1 x 100, followed by {n}", self.followed(n), ratio=("per_second", "RunStream 1 x 100"))
                        for n in (1, 64)]
