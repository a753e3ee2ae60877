#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""System.GetInfo and GetStats, Workers.ListWorkers: what the daemon says of itself, after a history that is known."""
import os
import signal
import time

import futures_support
import openmetrics
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2, workers_pb2_grpc


class SystemCase(FuturesCase):  # noqa: F405
    def setUp(self):
        super().setUp()
        self.system = self.stub(system_pb2_grpc.SystemStub)
        self.workers_service = self.stub(workers_pb2_grpc.WorkersStub)

    def stub(self, kind):
        return futures_support.harness.Stub(kind(self.channel()))

    def info(self):
        return self.system.GetInfo(system_pb2.GetInfoRequest())

    def stats(self, **fields):
        return self.system.GetStats(system_pb2.GetStatsRequest(**fields))

    def families(self, **fields):
        return openmetrics.parse(self.stats(openmetrics=True, **fields).openmetrics)

    def list_workers(self, **fields):
        return self.workers_service.ListWorkers(workers_pb2.ListWorkersRequest(**fields))

    def ready(self):
        return [w for w in self.list_workers().workers if w.state == workers_pb2.WORKER_STATE_READY]

    def all_ready(self):
        return self.poll(lambda: self.ready() if len(self.ready()) == self.workers else None, "every worker ready")


class Info(SystemCase):
    def test_info(self):
        now = time.time()
        got = self.info()
        self.assertEqual(got.pid, self.server.process.pid)
        self.assertRegex(got.version, r"\A\d+\.\d+\.\d+")
        self.assertAlmostEqual(got.start_time.seconds, now, delta=60)
        self.assertEqual(got.start_time, got.reload_time)
        self.assertEqual(got.state, system_pb2.DAEMON_STATE_SERVING)
        self.assertFalse(got.HasField("drain"))
        self.assertEqual(list(got.addresses), [self.server.address])
        self.assertEqual(got.store, STORE)
        self.assertEqual(got.default_durability, DURABILITY)
        self.assertEqual((got.principal, got.namespace), ("", ""))
        self.assertGreaterEqual(got.epoch, 1)
        limits = got.limits
        self.assertEqual(limits.max_message_bytes, 4 << 20)
        self.assertEqual((limits.max_labels, limits.max_label_key_bytes, limits.max_label_value_bytes), (64, 63, 1024))
        self.assertEqual((limits.max_selector_ids, limits.max_page_size, limits.max_depends_on), (10000, 1000, 1000))
        self.assertLess(limits.max_result_bytes, limits.max_message_bytes)

    def test_limits_are_those_that_hold(self):
        limits = self.info().limits
        ids = [NO_SUCH_ID] * limits.max_selector_ids
        wait = lambda ids: self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids)))  # noqa: E731
        self.assertEqual(list(wait(ids).missing), [NO_SUCH_ID])
        self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, wait, ids + [NO_SUCH_ID])
        labels = {f"k{i}": "v" for i in range(limits.max_labels)}
        self.futures.Submit(submit("echo", labels=labels))
        self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, self.futures.Submit, submit("echo", labels={**labels, "x": ""}))


class Stats(SystemCase):
    def test_history(self):
        gate, ids = self.occupy()
        for id_ in ids:
            self.until(id_, lambda f: f.state == RUNNING)
        waiting = self.submit("sha256", b"x")
        self.futures.Cancel(futures_pb2.CancelRequest(id=self.submit("echo")))
        self.assert_fails(grpc.StatusCode.NOT_FOUND, self.futures.Get, get(NO_SUCH_ID))
        got = self.stats()
        self.assertEqual((got.counts.pending, got.counts.running, got.counts.cancelled), (1, self.workers, 1))
        self.assertEqual(got.worker_count, self.workers)
        gate.open()
        for id_ in [*ids, waiting]:
            self.finished(id_)
        self.futures.Run(run("fail", b"no"))
        got = self.stats()
        self.assertEqual((got.counts.pending, got.counts.running, got.counts.succeeded, got.counts.failed),
                         (0, 0, self.workers + 1, 1))
        families = self.families()
        value = lambda name, *a, **labels: families["futured_" + name].value(*a, **labels)  # noqa: E731
        self.assertEqual(value("futures", state="SUCCEEDED"), self.workers + 1)
        self.assertEqual(value("futures_accepted", "_total"), self.workers + 3)
        self.assertEqual(value("function_finished", "_total", function="gate", state="SUCCEEDED"), self.workers)
        self.assertEqual(value("function_finished", "_total", function="fail", state="FAILED"), 1)
        self.assertEqual(value("function_workers", function="echo"), self.workers)
        self.assertGreater(value("function_run_mean_seconds", function="sha256"), 0)
        service = {"service": "futured.v1.Futures"}
        self.assertEqual(value("calls", "_total", **service, method="Submit", code="OK"), self.workers + 2)
        self.assertEqual(value("calls", "_total", **service, method="Get", code="NOT_FOUND"), 1)
        self.assertEqual(value("calls_open", service="futured.v1.Workers", method="Attach"), self.workers)
        self.assertGreaterEqual(value("messages_handled", "_total"), 2 * self.workers + 3)
        self.assertEqual(value("workers"), self.workers)
        self.assertEqual(value("worker_finishes", "_total"), self.workers + 2)
        self.assertGreaterEqual(value("connections"), self.workers + 1)
        self.assertGreater(value("connection_received_bytes", "_total"), 1000)
        if STORE == "sqlite":
            self.assertEqual(value("store_writable"), 1)
            self.assertGreater(value("store_commit_seconds", "_count"), 0)
            self.assertEqual(value("store_commit_seconds", "_count"), value("store_commit_operations", "_count"))
            self.assertGreater(value("store_commit_operations", "_sum"), self.workers + 3)
            self.assertGreater(value("store_free_bytes"), value("store_reserve_bytes"))
            self.assertGreater(value("store_wal_bytes"), 0)
        else:
            self.assertFalse([name for name in families if "store_" in name])

    def test_both_forms_agree(self):
        """Every statistic stands in both, under its name and kind."""
        self.futures.Run(run("echo"))
        stats = self.stats().stats
        families = self.families()
        names = set()
        for stat in stats:
            self.assertRegex(stat.name, r"\A[a-z][a-z0-9_]*\Z")
            family = families.get("futured_" + stat.name)
            suffix = "_total" if stat.kind == system_pb2.STAT_KIND_COUNTER else ""
            if family is None:  # a part of a histogram
                name, _, suffix = stat.name.rpartition("_")
                family, suffix = families["futured_" + name], "_" + suffix
                self.assertEqual(family.type, "histogram")
            else:
                self.assertEqual(family.type, "counter" if suffix else "gauge")
            self.assertIn((suffix, tuple(sorted(stat.labels.items()))), family.samples)
            names.add(family.name)
        self.assertEqual(names, {f.name for f in families.values() if f.samples})
        self.assertGreater(len(names), 30)

    def test_prefix(self):
        self.assertEqual(set(self.families(prefix="connection_")),
                         {"futured_connection_received_bytes", "futured_connection_sent_bytes",
                          "futured_connection_waiting_bytes"})
        self.assertEqual(self.stats(openmetrics=True, prefix="nothing").openmetrics, "# EOF\n")
        self.assertFalse(self.stats(prefix="nothing").stats)


class Workers(SystemCase):
    def test_list(self):
        workers = self.all_ready()
        self.assertEqual({w.pid for w in workers}, self.worker_pids())
        self.assertEqual(len({w.id for w in workers}), self.workers)
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        ran_by = self.until(id_, lambda f: f.state == RUNNING).attempts[0].worker
        for w in self.list_workers().workers:
            self.assertTrue(w.pool)
            self.assertIn("echo", w.functions)
            self.assertIn("gate", w.functions)
            self.assertEqual(list(w.running_ids), [id_] if w.id == ran_by else [])
            self.assertEqual(w.running_count, w.id == ran_by)
            self.assertGreaterEqual(w.last_seen_time.ToNanoseconds(), w.attach_time.ToNanoseconds())
        gate.open()
        self.finished(id_)
        self.assertEqual(sum(w.finished_count for w in self.list_workers().workers), 1)

    def test_pages(self):
        workers = [w.id for w in self.all_ready()]
        first = self.list_workers(page_size=1)
        second = self.list_workers(page_size=1, page_token=first.next_page_token)
        self.assertEqual([w.id for p in (first, second) for w in p.workers], workers)
        self.assertEqual(second.next_page_token, "")
        self.assertEqual(len(self.list_workers(function="echo").workers), self.workers)
        self.assertFalse(self.list_workers(function="nobodys").workers)

    def test_crash(self):
        before = self.all_ready()
        os.kill(before[0].pid, signal.SIGKILL)

        def others():
            ready = self.ready()
            return ready if len(ready) == self.workers and before[0].id not in {w.id for w in ready} else None
        after = self.poll(others, "another in its place")
        self.assertNotIn(before[0].pid, {w.pid for w in after})
        self.assertEqual(self.list_workers().crashed_count, 1)
        self.assertEqual(self.families(prefix="workers_crashed")["futured_workers_crashed"].value("_total"), 1)


if __name__ == "__main__":
    futures_support.main()
