# SPDX-License-Identifier: Apache-2.0
"""Options of tasks that a function has by the configuration: they complete what a task does not say, are shown, and hold."""
import durable_support
from durable_support import DurableCase
from futures_support import FAILED, SUCCEEDED, FuturesCase, functions_pb2, future_pb2, get, grpc, run, seconds
from worker_support import Stream, spec, w

EPHEMERAL, DURABLE = future_pb2.DURABILITY_EPHEMERAL, future_pb2.DURABILITY_DURABLE

FUNCTIONS = {
    "twice": {"command": "exit 3", "shell": "yes", "max_attempts": 2, "initial_backoff": "1ms", "jitter": 0,
              "priority": 7, "retention": "9s", "on_lost": "fail"},
    "final": {"command": "exit 3", "shell": "yes", "max_attempts": 5, "non_retryable_types": "Other EXIT_CODE"},
    "slow": {"command": "sleep 1000", "attempt_timeout": "50ms"},
    "echo": {"durability": "ephemeral"},  # a function of the shipped plugin
}


def options(**fields):
    return future_pb2.TaskOptions(**fields)


class Defaults(FuturesCase):
    functions = FUNCTIONS

    def test_they_complete_what_a_task_does_not_say(self):
        f = self.futures.Run(run("twice"))
        self.assertEqual((f.state, len(f.attempts)), (FAILED, 2))
        self.assertEqual(f.effective_options, options(
            durability=EPHEMERAL, priority=7, on_lost=future_pb2.ON_LOST_FAIL, retention=seconds(9),
            retry=future_pb2.RetryPolicy(max_attempts=2, initial_backoff=seconds(0.001), multiplier=2,
                                         max_backoff=seconds(300), jitter=0)))
        self.assertFalse(f.task.HasField("options"))
        self.assertEqual(f.expire_time.ToNanoseconds() - f.end_time.ToNanoseconds(), 9 * 10**9)

    def test_a_task_that_says_otherwise(self):
        f = self.futures.Run(run("twice", options=options(retry=future_pb2.RetryPolicy(max_attempts=1), priority=-1)))
        self.assertEqual((f.state, len(f.attempts), f.schedule.priority), (FAILED, 1, -1))

    def test_types_that_are_final(self):
        f = self.futures.Run(run("final"))
        self.assertEqual((f.state, len(f.attempts), f.error.type), (FAILED, 1, "EXIT_CODE"))

    def test_timeout(self):
        f = self.futures.Run(run("slow"))
        self.assertEqual((f.state, f.error.reason), (FAILED, "TIMEOUT"))

    def test_they_are_shown(self):
        info = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="slow"))
        self.assertEqual(info.spec.default_options, options(attempt_timeout=seconds(0.05)))
        info = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="sha256"))
        self.assertFalse(info.spec.HasField("default_options"))


class Durability(DurableCase):
    def test_a_function_whose_tasks_are_ephemeral(self):
        self.restart(functions=FUNCTIONS)
        f = self.futures.Run(run("echo", b"x"))
        self.assertEqual((f.state, f.effective_options.durability), (SUCCEEDED, EPHEMERAL))
        f = self.futures.Run(run("echo", b"x", options=options(durability=DURABLE)))
        self.assertEqual((f.state, f.effective_options.durability), (SUCCEEDED, DURABLE))

    def test_what_was_accepted_keeps_them(self):
        """The defaults of the day count, also when the daemon then starts with others."""
        self.restart(functions=FUNCTIONS, workers=0)
        id_ = self.submit("twice")
        before = self.futures.Get(get(id_)).effective_options
        self.assertEqual(before.retry.max_attempts, 2)
        self.restart(functions={"twice": "true"}, workers=0)
        self.assertEqual(self.futures.Get(get(id_)).effective_options, before)


class Said(DurableCase):
    """By a worker, in its Hello."""

    functions = {"remote": {"retention": "9s"}}

    def hello(self, **fields):
        stream = Stream(self.channel())
        self.addCleanup(stream.close)
        stream.say(hello=w.Hello(name="py", session_token="a-token-of-a-worker-1", slots=1,
                                 functions=[spec("remote", default_options=options(**fields))]))
        return stream

    def shown(self):
        request = functions_pb2.GetFunctionRequest(function="remote")
        return self.functions_of(self.server).GetFunction(request).spec.default_options

    def test_a_worker_says_them(self):
        stream = self.hello(priority=5, retention=seconds(77), attempt_timeout=seconds(3))
        self.assertTrue(stream.next().HasField("welcome"))
        said = options(priority=5, retention=seconds(9), attempt_timeout=seconds(3))  # the configuration wins
        self.assertEqual(self.shown(), said)
        f = self.futures.Get(get(self.submit("remote")))
        self.assertEqual((f.effective_options.priority, f.effective_options.retention, f.effective_options.attempt_timeout),
                         (5, seconds(9), seconds(3)))
        stream.close()
        self.restart()
        self.assertEqual(self.shown(), said)
        self.assertEqual(self.futures.Get(get(self.submit("remote"))).effective_options.priority, 5)

    def test_wrong_ones(self):
        for field, fields in (("on_lost", {"on_lost": 7}), ("delay", {"delay": seconds(1)}),
                              ("retry.max_attempts", {"retry": future_pb2.RetryPolicy(max_attempts=1001)})):
            with self.subTest(field=field):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.hello(**fields).next()
                self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                self.assertIn(f"hello.functions.default_options.{field}: ", caught.exception.details())
        self.assertEqual(self.shown(), options(retention=seconds(9)))


if __name__ == "__main__":
    durable_support.main()
