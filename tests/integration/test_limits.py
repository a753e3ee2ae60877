# SPDX-License-Identifier: Apache-2.0
"""Order and limits: turns by fairness key, pause, max_running, max_pending, rate, concurrency keys, and what of it a
kill -9 leaves; why a future waits. No test waits for time to pass but the one about rate, which counts starts."""
import durable_support
from durable_support import DurableCase, grpc
from futures_support import PENDING, RUNNING, SUCCEEDED, FuturesCase, functions_pb2, future_pb2, futures_pb2, get, submit

LIMITED, PAUSED, READY = (future_pb2.PENDING_REASON_LIMITED, future_pb2.PENDING_REASON_PAUSED,
                          future_pb2.PENDING_REASON_READY)


def options(**fields):
    return future_pb2.TaskOptions(**fields)


def limits(function, **fields):
    return functions_pb2.SetFunctionLimitsRequest(function=function, **fields)


def pause(function, reason=""):
    return functions_pb2.PauseFunctionRequest(function=function, reason=reason)


def resume(function):
    return functions_pb2.ResumeFunctionRequest(function=function)


class LimitsCase(FuturesCase):
    def setUp(self):
        super().setUp()
        self.steer = self.functions_of(self.server)

    def explain(self, id_):
        return self.futures.Explain(futures_pb2.ExplainRequest(id=id_))

    def end_all(self, ids):
        for id_ in ids:
            self.finished(id_)

    def info(self, function):
        return self.steer.GetFunction(functions_pb2.GetFunctionRequest(function=function))

    def starts(self, ids):
        """@ids in the order in which they began to run."""
        found = [self.futures.Get(get(id_)) for id_ in ids]
        return sorted(found, key=lambda f: f.start_time.ToNanoseconds())


class Order(LimitsCase):
    workers = 1

    def test_ten_beside_a_thousand(self):
        """Whoever comes with ten tasks waits for one foreign task at most before each of them."""
        self.steer.PauseFunction(pause("echo"))
        self.steer.SetFunctionLimits(limits("echo", max_running=1))
        many = self.submit_many([submit("echo", b"m", options=options(fairness_key="many")) for _ in range(1000)])
        few = self.submit_many([submit("echo", b"f", options=options(fairness_key="few")) for _ in range(10)])
        self.steer.ResumeFunction(resume("echo"))
        self.end_all(many + few)
        keys = [f.task.options.fairness_key for f in self.starts(many + few)]
        self.assertLessEqual(max(i for i, key in enumerate(keys) if key == "few"), 20)

    def test_priority_is_strict(self):
        self.steer.PauseFunction(pause("echo"))
        self.steer.SetFunctionLimits(limits("echo", max_running=1))
        low = self.submit_many([submit("echo", b"l") for _ in range(5)])
        high = self.submit_many([submit("echo", b"h", options=options(priority=1)) for _ in range(5)])
        self.steer.ResumeFunction(resume("echo"))
        self.end_all(low + high)
        self.assertEqual([f.id for f in self.starts(low + high)], high + low)


class Limits(LimitsCase):
    workers = 3

    def test_pause(self):
        info = self.steer.PauseFunction(pause("echo", "tea"))
        self.assertEqual(info.paused.reason, "tea")
        id_ = self.submit("echo", b"x")
        self.assertEqual(self.futures.Get(get(id_)).pending_reason, PAUSED)
        self.assertIn("tea", self.explain(id_).text)
        self.assertEqual(self.info("echo").counts.pending, 1)
        self.assertFalse(self.steer.ResumeFunction(resume("echo")).HasField("paused"))
        self.end_all([id_])

    def test_max_running(self):
        self.steer.SetFunctionLimits(limits("gate", max_running=2))
        gate = self.gate()
        ids = [self.submit("gate", gate.argument) for _ in range(4)]
        self.assertEqual(set(gate.started(2)), set(ids[:2]))
        x = self.explain(ids[2])
        self.assertEqual((x.pending_reason, x.limit, x.position), (LIMITED, "max_running", 0))
        self.assertEqual(self.explain(ids[3]).position, 1)
        for id_ in ids[:2]:  # the daemon hears of a start a little later than we
            self.until(id_, lambda f: f.state == RUNNING)
        self.assertEqual(self.info("gate").counts.running, 2)
        gate.open()
        self.end_all(ids)

    def test_max_pending(self):
        self.steer.PauseFunction(pause("echo"))
        self.steer.SetFunctionLimits(limits("echo", max_pending=2))
        ids = [self.submit("echo", b"x") for _ in range(2)]
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.futures.Submit, submit("echo", b"x"))
        self.assert_refused(error, grpc.StatusCode.RESOURCE_EXHAUSTED, "FUNCTION_QUEUE_FULL")
        self.steer.ResumeFunction(resume("echo"))
        self.end_all(ids)

    def test_concurrency_key(self):
        gate = self.gate()
        first, second = (self.submit("gate", gate.argument, options=options(concurrency_key="account")) for _ in range(2))
        other = self.submit("gate", gate.argument, options=options(concurrency_key="another"))
        self.assertEqual(set(gate.started(2)), {first, other})
        x = self.explain(second)
        self.assertEqual((x.pending_reason, x.limit, list(x.waits_for)), (LIMITED, "concurrency_key", [first]))
        self.futures.Cancel(futures_pb2.CancelRequest(id=first))
        gate.open()
        self.end_all([first, second, other])
        a, b = (self.futures.Get(get(id_)) for id_ in (first, second))
        self.assertEqual(b.state, SUCCEEDED)
        self.assertGreaterEqual(b.start_time.ToNanoseconds(), a.end_time.ToNanoseconds())

    def test_rate(self):
        self.steer.SetFunctionLimits(limits("echo", rate=50))
        ids = self.submit_many([submit("echo", b"x") for _ in range(75)])
        self.end_all(ids)
        starts = sorted(f.start_time.ToNanoseconds() for f in self.starts(ids))
        self.assertGreaterEqual(starts[-1] - starts[0], 0.4e9)  # the first 50 at once, the others at 50 a second

    def test_reset(self):
        self.steer.SetFunctionLimits(limits("limited", max_running=7))
        self.assertEqual(self.info("limited").limits.max_running, 7)
        info = self.steer.SetFunctionLimits(limits("limited", reset=True))
        self.assertEqual((info.limits.max_running, info.limits.max_pending, info.limits.rate), (1, 500, 0.5))

    functions = {"limited": {"command": "/bin/cat", "max_running": "1", "max_pending": "500", "rate": "0.5"}}


class Durable(DurableCase):
    workers = 2

    def test_settings_and_keys_outlive_a_kill(self):
        steer = self.functions_of(self.server)
        steer.PauseFunction(pause("echo", "night"))
        steer.SetFunctionLimits(limits("gate", max_running=2, rate=1000, reason="small"))
        gate = self.gate()
        first, second = (self.submit("gate", gate.argument, options=options(concurrency_key="k")) for _ in range(2))
        self.assertEqual(gate.started(1), [first])
        waiting = self.submit("echo", b"x")
        self.restart()
        steer = self.functions_of(self.server)
        info = steer.GetFunction(functions_pb2.GetFunctionRequest(function="echo"))
        self.assertEqual(info.paused.reason, "night")
        info = steer.GetFunction(functions_pb2.GetFunctionRequest(function="gate"))
        self.assertEqual((info.limits.max_running, info.limits.rate, info.limits_set.reason), (2, 1000, "small"))
        self.assertEqual(self.futures.Get(get(waiting)).pending_reason, PAUSED)
        self.assertEqual(gate.started(2), [first, first])  # it runs again, and the other one still waits for it
        self.assertEqual(self.futures.Get(get(second)).state, PENDING)
        gate.open()
        steer.ResumeFunction(resume("echo"))
        for id_ in (first, second, waiting):
            self.finished(id_)
        self.end_sound()


if __name__ == "__main__":
    durable_support.main()
