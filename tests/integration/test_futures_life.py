#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Futures outlive their clients and end with their retention or their daemon: a client that is killed, time that runs
out, a stop in the middle of work."""
import os
import queue
import signal
import subprocess
import sys

import futures_support
from futures_support import *  # noqa: F403: the words of the contract
from harness import DIE_WITH_PARENT, grpc

# Runs the task that is on its command line and tells the future's ID as soon as it has one.
CLIENT = """
import os, sys
sys.path[:0] = sys.argv[3:]
import futures_support as s
method = s.grpc.insecure_channel(sys.argv[1]).unary_stream("/futured.v1.Futures/Run",
    request_serializer=s.futures_pb2.RunRequest.SerializeToString, response_deserializer=s.future_pb2.Future.FromString)
call = method(s.run("gate", os.fsencode(sys.argv[2])))
print(dict(call.initial_metadata())["futured-id"], flush=True)
for f in call:
    print(f.id, flush=True)
"""


class Clients(FuturesCase):
    def client(self, gate):
        """A process of its own in the middle of a Run; it, and the future's ID."""
        process = subprocess.Popen([*DIE_WITH_PARENT, sys.executable, "-c", CLIENT, self.server.address, gate.path,
                                    os.path.dirname(os.path.abspath(__file__))], stdout=subprocess.PIPE, encoding="ascii")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        id_ = process.stdout.readline().strip()
        self.assertRegex(id_, UUID7)
        return process, id_

    def test_killed_in_the_middle_of_run(self):
        """The task goes on, and whoever has the ID reads its outcome."""
        gate = self.gate()
        process, id_ = self.client(gate)
        self.assertEqual(gate.started(), [id_])
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        asked = task("gate", gate.argument)
        self.assert_future(self.until(id_, lambda f: f.state == RUNNING), running(asked), id_)
        gate.open(b"nobody waits")
        self.assert_future(self.finished(id_), succeeded(asked, data=b"nobody waits", exit_code=0), id_)

    def test_killed_while_it_is_pending(self):
        held, _ = self.occupy()
        gate = self.gate()
        process, id_ = self.client(gate)
        process.kill()
        process.wait()
        self.assert_future(self.futures.Get(get(id_)), pending(task("gate", gate.argument)), id_)
        gate.open(b"r")
        held.open()
        self.assert_future(self.finished(id_), succeeded(task("gate", gate.argument), data=b"r", exit_code=0), id_)

    def test_cancelled_calls(self):
        """A call that its client cancels, or whose deadline passes, leaves the task alone."""
        gate, _ = self.occupy()
        calls = [self.futures.Run.future(run("echo", b"r", group="g")) for _ in range(20)]
        everything = futures_pb2.ListRequest(selector=selector(group="g"))
        self.poll(lambda: len(self.futures.List(everything).futures) == 20, "accepted")
        for call in calls:
            call.cancel()
        self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.futures.Run, run("echo", b"r", group="g"), timeout=0.2)
        gate.open()
        got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(group="g"), expect=21, view=RESULT))
        self.assertEqual([f.result.data for f in got.done], [b"r"] * 21)

    def test_streams_that_break_off(self):
        """What was accepted goes on."""
        gate, _ = self.occupy()
        requests = queue.SimpleQueue()
        call = self.futures.RunStream(iter(requests.get, None))
        ids = []
        for i in range(50):
            requests.put(run("echo", b"%d" % i, announce=True))
            ids.append(next(call).accepted.id)
        call.cancel()
        requests.put(None)
        gate.open()
        got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids), view=RESULT))
        self.assertEqual([f.result.data for f in got.done], [b"%d" % i for i in range(50)])


class Retention(FuturesCase):
    def gone(self, id_):
        return self.fails_with(self.futures.Get, get(id_)) == grpc.StatusCode.NOT_FOUND

    def test_ends(self):
        """Then the ID is NOT_FOUND, and nothing lists it; what is kept longer stays."""
        asked = task("echo", b"x", labels={"a": "b"}, options=future_pb2.TaskOptions(retention=seconds(1)))
        kept = self.futures.Run(run("echo", b"kept")).id
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked, group="g")))
        self.assert_future(got, succeeded(asked, data=b"x", group="g", retention=seconds(1)), retention_ns=10**9)
        self.poll(lambda: self.gone(got.id), "expired")
        self.assertGreaterEqual(time.time_ns(), nanoseconds(got.expire_time), "not before its time")
        for call, request in ((self.futures.Delete, futures_pb2.DeleteRequest(id=got.id)),
                              (self.futures.Watch, futures_pb2.WatchRequest(selector=selector(got.id))),
                              (self.futures.Annotate, futures_pb2.AnnotateRequest(id=got.id))):
            error = self.assert_fails(grpc.StatusCode.NOT_FOUND, call, request)
            self.assert_refused(error, grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE")
        listed = self.futures.List(futures_pb2.ListRequest(selector=selector(filter="*"))).futures
        self.assertEqual([f.id for f in listed], [kept])
        self.assertEqual(self.futures.Wait(futures_pb2.WaitRequest(selector=selector(got.id))).missing, [got.id])
        self.assertEqual(self.futures.Wait(futures_pb2.WaitRequest(selector=selector(group="g"))).counts.succeeded, 0)

    def test_of_each_outcome(self):
        options = future_pb2.TaskOptions(retention=seconds(0.05))
        failed_id = self.futures.Run(run("fail", options=options)).id
        self.poll(lambda: self.gone(failed_id), "expired")
        self.occupy()
        cancelled_id = self.submit("echo", options=options)
        self.futures.Cancel(futures_pb2.CancelRequest(id=cancelled_id))
        self.poll(lambda: self.gone(cancelled_id), "expired")

    def test_at_once(self):
        """Who waits gets the outcome all the same."""
        asked = task("echo", b"brief", options=future_pb2.TaskOptions(retention=seconds(0)))
        for _ in range(20):
            got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
            self.assert_future(got, succeeded(asked, data=b"brief", retention=seconds(0)), retention_ns=0)
            self.poll(lambda: self.gone(got.id), "expired")

    def test_a_waiter_holds_it(self):
        gate, (held, *_) = self.occupy(1)
        id_ = self.submit("gate", gate.argument, options=future_pb2.TaskOptions(retention=seconds(0)))
        waits = [self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(held, id_), view=FULL))
                 for _ in range(3)]
        self.until(id_, lambda f: f.state == RUNNING)
        other = self.gate("other")
        last = self.submit("gate", other.argument)
        longer = self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_, last), view=FULL))
        self.assertFalse(any(w.done() for w in [*waits, longer]))
        gate.open(b"r")
        for w in waits:
            self.assertEqual([(f.id, f.result.data) for f in w.result().done], [(held, b"r"), (id_, b"r")])
        other.open()
        done = {f.id for f in longer.result().done}
        self.assertEqual(done, {id_, last})
        self.poll(lambda: self.gone(id_), "expired")

    def test_many(self):
        """All go, and the daemon's memory with them."""
        asked = future_pb2.TaskOptions(retention=seconds(0.01))
        for _ in range(3):
            ids = self.submit_many(submit("echo", b"x" * 100, options=asked) for _ in range(5000))
            self.poll(lambda: not self.futures.List(futures_pb2.ListRequest(selector=selector(filter="*"))).futures, "gone")
            self.assertTrue(self.gone(ids[0]) and self.gone(ids[-1]))


class Drain(FuturesCase):
    timeouts = {"drain": "50s"}

    def test_what_runs_is_answered(self):
        """SIGTERM: what runs ends and its Run is answered; what is pending, and what comes, is UNAVAILABLE; exit 0."""
        gate, others = self.gate("runs"), self.gate("others")
        runs = self.futures_of(self.server).Run.future(run("gate", gate.argument))
        waits = self.futures_of(self.server).Run.future(run("gate", others.argument))
        for g in (gate, others):
            g.started()
        pending_runs = [self.futures_of(self.server).Run.future(run("echo", b"never")) for _ in range(5)]
        everything = futures_pb2.ListRequest(selector=selector(filter="*"))
        self.poll(lambda: len(self.futures.List(everything).futures) == 7, "accepted")
        requests, results = queue.SimpleQueue(), queue.SimpleQueue()
        submits = self.futures.SubmitStream(iter(requests.get, None))
        run_items = self.futures_of(self.server).RunStream(iter(results.get, None))
        requests.put(submit("echo", b"before"))
        self.assertTrue(next(submits).HasField("future"))
        results.put(run("echo", announce=True))
        self.assertTrue(next(run_items).HasField("accepted"))
        watch = self.futures_of(self.server).Watch(futures_pb2.WatchRequest(selector=selector(
            self.futures.List(everything).futures[-1].id)))
        next(watch)

        self.server.signal()
        self.server.log.wait("draining")
        for stream, answers in ((requests, submits), (results, run_items)):
            stream.put(submit("echo", b"after") if stream is requests else run("echo", b"after"))
            status = next(answers).status
            self.assertEqual(what_failed(status), (14, "DRAINING", []))
            self.assertGreater(details_of(status)["RetryInfo"].retry_delay.ToNanoseconds(), 0)
        error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.futures_of(self.server).Submit, submit("echo"))
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIsNone(self.server.process.poll())
        self.assertFalse(runs.done() or waits.done() or any(p.done() for p in pending_runs))

        gate.open(b"one")
        others.open(b"two")
        self.assert_future(runs.result(), succeeded(task("gate", gate.argument), data=b"one", exit_code=0))
        self.assert_future(waits.result(), succeeded(task("gate", others.argument), data=b"two", exit_code=0))
        for call in pending_runs:
            error = call.exception()
            details = self.assert_refused(error, grpc.StatusCode.UNAVAILABLE, "STOPPING")
            self.assertGreater(details["RetryInfo"].retry_delay.ToNanoseconds(), 0)
        requests.put(None)
        results.put(None)
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda: run_items)
        self.assertEqual(list(submits), [])
        *_, last = watch
        self.assertEqual(last.state.state, SUCCEEDED)
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(self.server.log.find("drain_timeout"), [])

    def test_waiters_of_what_never_comes(self):
        """Wait, AsCompleted and Watch of pending futures end UNAVAILABLE."""
        gate, _ = self.occupy()
        id_ = self.submit("echo")
        wait = self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_)))
        group = self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(group="g"), expect=1))
        watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(id_)))
        next(watch)
        requests = queue.SimpleQueue()
        completed = self.futures.AsCompleted(iter(requests.get, None))
        requests.put(futures_pb2.AsCompletedRequest(ids=[id_, NO_SUCH_ID]))
        self.assertEqual(next(completed).missing, NO_SUCH_ID)
        self.server.signal()
        self.server.log.wait("draining")
        gate.open()
        for call in (wait, group):
            self.assert_refused(call.exception(), grpc.StatusCode.UNAVAILABLE, "STOPPING")
        for call in (watch, completed):
            error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda c=call: c)
            self.assert_refused(error, grpc.StatusCode.UNAVAILABLE, "STOPPING")
        requests.put(None)
        self.assertEqual(self.server.wait(), 0)

    def test_drain_timeout(self):
        """What runs too long is cut off; nothing hangs, no process stays behind."""
        self.server = self.start(timeouts={"drain": "200ms"})
        self.futures = self.futures_of(self.server)
        gate, ids = self.occupy()
        calls = [self.futures.Run.future(run("echo")) for _ in range(3)]
        pids = self.worker_pids()
        self.assertEqual(len(pids), 2)
        run_by_them = {c: i for p in pids for c, i in commands(p).items()}
        self.assertEqual(sorted(run_by_them.values()), ids)
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(len(self.server.log.find("drain_timeout")), 1)
        for call in calls:
            self.assertIn(call.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))
        for pid in [*pids, *run_by_them]:
            self.poll(lambda p=pid: name_of(p) in (None, ""), f"the end of {pid}")

    def test_killed(self):
        """kill -9 of the daemon takes the pool and its commands with it."""
        self.occupy()
        pids = self.worker_pids()
        pidfds = [os.pidfd_open(p) for p in [*pids, *(c for p in pids for c in children(p))]]
        self.assertGreaterEqual(len(pidfds), 4)
        self.server.process.kill()
        self.server.process.wait()
        for fd in pidfds:
            self.assertTrue(select.select([fd], [], [], DEADLINE)[0], "it outlives the daemon")
            os.close(fd)
        self.server.process.returncode = 0  # as asked


if __name__ == "__main__":
    futures_support.main()
