#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""System.Drain and Resume: what is refused and what goes on in each step, what GetInfo and health say of it, and how the daemon
ends by it."""
import futures_support
import harness
from futures_support import *  # noqa: F403: the words of the contract
from worker_support import Claiming

from futured.v1 import system_pb2, system_pb2_grpc
from grpc.health.v1 import health_pb2, health_pb2_grpc

DRAINING, SERVING_STATE = system_pb2.DAEMON_STATE_DRAINING, system_pb2.DAEMON_STATE_SERVING
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class StopCase(FuturesCase):
    workers = 1

    def setUp(self):
        super().setUp()
        self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.health = health_pb2_grpc.HealthStub(self.channel())

    def drain(self, **fields):
        return self.system.Drain(system_pb2.DrainRequest(**fields))

    def resume(self):
        return self.system.Resume(system_pb2.ResumeRequest(reason="done"))

    def info(self):
        return self.system.GetInfo(system_pb2.GetInfoRequest())

    def watch_health(self):
        watch = self.health.Watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        self.addCleanup(watch.cancel)
        self.assertEqual(next(watch).status, SERVING)
        return watch

    def running(self):
        """A gate that one task has entered, and the task's ID."""
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        return gate, id_


class Steps(StopCase):
    def test_stop_accept(self):
        """Nothing is accepted; all else goes on, and what was accepted runs."""
        gate, id_ = self.running()
        waiting = self.submit("echo", b"x")
        watch = self.watch_health()
        got = self.drain(stop_accept=True, reason="maintenance")
        self.assertEqual((got.drain.stop_accept, got.drain.stop_dispatch, got.drain.exit), (True, False, False))
        self.assertEqual((got.drain.reason, got.running_count, got.pending_count), ("maintenance", 1, 1))
        self.assertEqual(next(watch).status, NOT_SERVING)
        info = self.info()
        self.assertEqual((info.state, info.drain), (DRAINING, got.drain))
        for call, request in ((self.futures.Submit, submit("echo")), (self.futures.Run, run("echo"))):
            error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, call, request)
            self.assert_refused(error, grpc.StatusCode.UNAVAILABLE, "DRAINING")
        answer, = self.futures.SubmitStream(iter([submit("echo")]))
        self.assertEqual(what_failed(answer.status)[:2], (code_pb2.UNAVAILABLE, "DRAINING"))
        gate.open(b"on")
        self.assertEqual(self.finished(id_).result.data, b"on")
        self.assertEqual(self.finished(waiting).state, SUCCEEDED)
        self.assertEqual(self.resume().state, SERVING_STATE)
        self.assertEqual(next(watch).status, SERVING)
        self.assertFalse(self.info().HasField("drain"))
        self.assert_serves()

    def test_stop_dispatch(self):
        """Nothing begins; what is submitted waits, and begins when that is taken back."""
        gate, id_ = self.running()
        call = self.system.Drain.future(system_pb2.DrainRequest(stop_dispatch=True, timeout=seconds(DEADLINE)))
        self.poll(lambda: self.info().state == DRAINING, "it drains")
        waiting = self.submit("echo", b"x")
        self.assertFalse(call.done())
        gate.open(b"on")
        got = call.result()
        self.assertEqual((got.drain.stop_dispatch, got.running_count, got.pending_count), (True, 0, 1))
        self.assertEqual(self.finished(id_).result.data, b"on")
        f = self.futures.Get(get(waiting))
        self.assertEqual((f.state, f.pending_reason), (PENDING, future_pb2.PENDING_REASON_PAUSED))
        for ask in (futures_pb2.ExplainRequest(id=waiting), futures_pb2.ExplainRequest(function="echo")):
            got = self.futures.Explain(ask)
            self.assertEqual((got.pending_reason, got.credit), (future_pb2.PENDING_REASON_PAUSED, 0))
            self.assertIn("the daemon starts no tasks", got.text)
        claiming = Claiming(self.channel(), "a-token-of-a-worker-1", "echo")
        error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, claiming.claim)
        self.assert_refused(error, grpc.StatusCode.UNAVAILABLE, "DRAINING")
        self.resume()
        self.assertEqual(self.finished(waiting).result.data, b"x")

    def test_timeout(self):
        """The answer comes all the same, and the step holds."""
        gate, _ = self.running()
        got = self.drain(stop_dispatch=True, timeout=seconds(0))
        self.assertEqual((got.running_count, got.drain.stop_dispatch), (1, True))
        self.assertEqual(self.info().state, DRAINING)
        gate.open()
        got = self.drain(stop_accept=True)
        self.assertTrue(got.drain.stop_dispatch and got.drain.stop_accept)
        self.assertEqual(self.resume(), self.resume())  # that nothing holds is no error
        self.assert_serves()


class Exit(StopCase):
    def test_exit(self):
        """What runs ends well; then the call is answered, and the daemon ends."""
        gate, id_ = self.running()
        run_ = self.futures.Run.future(run("gate", gate.argument))
        self.poll(lambda: self.futures.Count(futures_pb2.CountRequest(selector=selector(filter="*"))).count == 2, "both are there")
        call = self.system.Drain.future(system_pb2.DrainRequest(exit=True, timeout=seconds(DEADLINE), reason="the end"))
        self.server.log.wait("draining")
        gate.open(b"on")
        got = call.result()
        self.assertEqual((got.drain.stop_accept, got.drain.stop_dispatch, got.drain.exit), (True, True, True))
        self.assertEqual((got.drain.reason, got.running_count), ("the end", 0))
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(run_.code(), grpc.StatusCode.UNAVAILABLE)  # it had not begun
        self.assertEqual(self.server.log.find("drain_timeout"), [])

    def test_exit_in_time(self):
        """What does not end within the timeout does not hold it up; the call is answered before."""
        self.running()
        got = self.drain(exit=True, timeout=seconds(0.2))
        self.assertEqual((got.drain.exit, got.running_count), (True, 1))
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(len(self.server.log.find("drain_timeout")), 1)


class Details(StopCase):
    def test_bad(self):
        ask = system_pb2.DrainRequest
        for request, field in ((ask(), "stop_accept"), (ask(exit=True, timeout=seconds(86401)), "timeout"),
                               (ask(exit=True, reason="x" * 1025), "reason")):
            error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, self.system.Drain, request)
            self.assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field)
        self.assertEqual(self.info().state, SERVING_STATE)


if __name__ == "__main__":
    futures_support.main()
