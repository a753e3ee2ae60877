#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A pool between `min` and `max`: it grows while work waits and shrinks when that is done, by what the daemon counts and by
the processes that there are; no task notices, and no process is left."""
import os
import re

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2, workers_pb2_grpc

TASKS = 10000
WAVE = 500


class Elastic(FuturesCase):
    workers = 1  # and so the least

    def setUp(self):
        super().setUp()
        self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.attached = harness.Stub(workers_pb2_grpc.WorkersStub(self.channel()))

    def start(self, **options):
        return super().start(pool={"max": 4, "idle": "100ms"}, **options)

    def stats(self):
        got = self.system.GetStats(system_pb2.GetStatsRequest(prefix="pool_workers_")).stats
        return {s.name.removeprefix("pool_workers_"): int(s.value) for s in got}

    def wait_for(self, **wanted):
        self.poll(lambda: wanted.items() <= self.stats().items(), f"the pool has {wanted}")

    def n_listed(self):
        return len(self.attached.ListWorkers(workers_pb2.ListWorkersRequest()).workers)

    def test_grows_and_shrinks(self):
        self.assertEqual(self.stats(), {"wanted": 1, "min": 1, "max": 4, "started": 1, "added": 0, "dropped": 0})
        gate, ids = self.occupy(4)
        self.wait_for(wanted=4, added=3, dropped=0, started=4)
        self.assertEqual((len(self.worker_pids()), self.n_listed()), (4, 4))
        more = self.submit("gate", gate.argument)  # there are no more than four
        self.assertEqual(self.futures.Get(get(more)).state, PENDING)
        gate.open(b"done")
        for id_ in [*ids, more]:
            got = self.finished(id_)
            self.assertEqual((got.state, got.result.data, len(got.attempts)), (SUCCEEDED, b"done", 1))
        self.wait_for(wanted=1, added=3, dropped=3, started=4)
        self.poll(lambda: (len(self.worker_pids()), self.n_listed()) == (1, 1), "one worker is left")
        self.assertEqual(self.server.log.find("worker_killed|worker_grace_over|workers_die_at_start"), [])
        self.assert_serves()

    def test_what_runs_is_left_alone(self):
        """It shrinks around a task that runs."""
        gates = [self.gate(f"gate-{i}") for i in range(4)]
        ids = [self.submit("gate", g.argument) for g in gates]
        for g in gates:
            g.started()
        for g in gates[:3]:
            g.open(b"done")
        self.wait_for(wanted=1, dropped=3)
        self.poll(lambda: len(self.worker_pids()) == 1, "one worker is left")
        self.assertEqual(self.futures.Get(get(ids[3])).state, RUNNING)
        gates[3].open(b"last")
        got = self.finished(ids[3])
        self.assertEqual((got.result.data, len(got.attempts)), (b"last", 1))

    def test_what_the_pool_does_not_run(self):
        """What waits for a worker from elsewhere, or may not start, does not make it grow."""
        functions = self.functions_of(self.server)
        functions.SetFunctionLimits(functions_pb2.SetFunctionLimitsRequest(function="gate", max_running=1))
        gate, ids = self.occupy(1)
        ids += [self.submit("gate", gate.argument) for _ in range(9)]
        gate.open(b"done")
        for id_ in ids:
            self.finished(id_)
        self.assertEqual(self.stats()["added"], 0)

    def test_ten_thousand(self):
        """In waves between which it shrinks; then the daemon ends, and of all the processes none is left."""
        dropped = 0
        for at in range(0, TASKS, WAVE):
            gate = self.gate(f"gate-{at}")
            ids = [self.submit("gate", gate.argument) for _ in range(4)]
            gate.started(4)
            asked = [run("echo", b"%d" % i, tag=str(i)) for i in range(at, at + WAVE)]
            calls = self.futures.RunStream(iter(asked))
            gate.open(b"done")
            got = [r.finished for r in calls]
            self.assertEqual(sorted(int(f.result.data) for f in got), list(range(at, at + WAVE)))
            self.assertEqual({(f.state, len(f.attempts)) for f in got}, {(SUCCEEDED, 1)})
            for id_ in ids:
                self.assertEqual(self.finished(id_).state, SUCCEEDED)
            self.wait_for(wanted=1)
            self.assertGreaterEqual(self.stats()["dropped"], dropped + 3)
            dropped = self.stats()["dropped"]
        self.assertEqual(self.stats()["added"], dropped)
        self.poll(lambda: len(self.worker_pids()) == 1, "one worker is left")
        pids = {int(pid) for pid in re.findall(r"worker_started.*pid=([0-9]+)", self.server.log.text())}
        self.assertGreater(len(pids), 3 * TASKS // WAVE)
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual({pid for pid in pids if os.path.exists(f"/proc/{pid}") and name_of(pid) == "futured-worker"}, set())

    def test_reload(self):
        file = self.server.directory / "futured.conf"
        text = file.read_text(encoding="utf-8")
        gate, ids = self.occupy(4)
        file.write_text(text.replace("max = 4", "min = 2\nmax = 3"), encoding="utf-8")
        self.system.Reload(system_pb2.ReloadRequest())
        self.wait_for(wanted=3, min=2, max=3)
        gate.open(b"done")
        for id_ in ids:
            self.assertEqual(len(self.finished(id_).attempts), 1)
        self.wait_for(wanted=2)
        file.write_text(text.replace("max = 4", "min = 3\nmax = 2"), encoding="utf-8")
        with self.assertRaises(grpc.RpcError) as refused:
            self.system.Reload(system_pb2.ReloadRequest())
        self.assertIn("[pool] min: 3 is more than `max`, which is 2", refused.exception.details())
        self.wait_for(wanted=2, min=2, max=3)


if __name__ == "__main__":
    futures_support.main()
