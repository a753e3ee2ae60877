# SPDX-License-Identifier: Apache-2.0
"""Times and further attempts: delays, deadlines, retries, timeouts, the end of what runs, rescheduling; and all of it
across kill -9. A test waits for what happens, never for time to pass; where a time must not have passed it is far away."""
import time

import durable_support
from durable_support import DEADLINE, DurableCase, grpc
from futures_support import (CANCELLED, FAILED, PENDING, RUNNING, SUCCEEDED, FuturesCase, future_pb2, futures_pb2, get,
                             nanoseconds, run, seconds, selector, submit)
from google.protobuf import timestamp_pb2

READY, DELAYED, BACKOFF = (future_pb2.PENDING_REASON_READY, future_pb2.PENDING_REASON_DELAYED,
                           future_pb2.PENDING_REASON_BACKOFF)
FAR = 3600

# Fails as often as the file beside its argument has too few lines, and adds one.
FLAKY = {"command": 'f=$(cat); n=$(cat "$f" | wc -l); echo x >>"$f"; test $n -ge 2 || { echo "try $n" >&2; exit 3; }; '
                    'echo done', "shell": "yes"}
# Says that it runs, and goes on whatever SIGTERM says.
STUBBORN = {"command": 'trap "" TERM; f=$(cat); echo "$FUTURED_ID" >"$f.started"; exec 9<>"$f"; read x <&9', "shell": "yes"}


def options(**fields):
    return future_pb2.TaskOptions(**fields)


def retry(n, backoff=0.01, **fields):
    return future_pb2.RetryPolicy(max_attempts=n, initial_backoff=seconds(backoff), **fields)


def at(seconds_from_now):
    ns = time.time_ns() + int(seconds_from_now * 10**9)
    return timestamp_pb2.Timestamp(seconds=ns // 10**9, nanos=ns % 10**9)


def cancel(id_, **fields):
    return futures_pb2.CancelRequest(id=id_, **fields)


def reschedule(id_, **fields):
    return futures_pb2.RescheduleRequest(id=id_, **fields)


class ScheduleCase(FuturesCase):
    functions = {"flaky": FLAKY, "stubborn": STUBBORN, "crash": {"command": "kill -SEGV $$", "shell": "yes"}}

    def reasons(self, f):
        return [a.error.reason for a in f.attempts]


class Delays(ScheduleCase):
    def test_delay(self):
        f = self.futures.Run(run("echo", b"x", options=options(delay=seconds(0.2))))
        self.assertEqual(f.state, SUCCEEDED)
        self.assertEqual(nanoseconds(f.schedule.not_before) - nanoseconds(f.submit_time), 200_000_000)
        self.assertGreaterEqual(nanoseconds(f.start_time), nanoseconds(f.schedule.not_before))

    def test_a_delayed_one_waits_and_is_seen(self):
        id_ = self.submit("echo", b"x", options=options(delay=seconds(FAR)))
        f = self.futures.Get(get(id_))
        self.assertEqual((f.state, f.pending_reason), (PENDING, DELAYED))
        self.assertEqual(f.schedule.next_start_time, f.schedule.not_before)
        self.assertEqual(f.effective_options.not_before, f.schedule.not_before)
        self.assertEqual(f.task.options.delay, seconds(FAR))
        self.assertEqual(self.futures.Run(run("echo", b"y")).state, SUCCEEDED)  # it holds nobody up
        self.assertEqual(self.futures.Cancel(cancel(id_)).state, CANCELLED)

    def test_not_before_in_the_past(self):
        f = self.futures.Run(run("echo", b"x", options=options(not_before=at(-60))))
        self.assertEqual(f.state, SUCCEEDED)


class Retries(ScheduleCase):
    def test_until_it_succeeds(self):
        path = self.folder / "flaky"
        path.touch()
        f = self.futures.Run(run("flaky", str(path).encode(), options=options(retry=retry(5))))
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"done\n"))
        self.assertEqual(self.reasons(f), ["FUNCTION_ERROR", "FUNCTION_ERROR", ""])
        self.assertEqual([a.exit_code for a in f.attempts], [3, 3, 0])
        self.assertEqual([a.number for a in f.attempts], [1, 2, 3])
        self.assertEqual(f.effective_options.retry.max_attempts, 5)
        self.assertEqual(f.effective_options.retry.multiplier, 2)
        self.assertEqual(f.effective_options.retry.jitter, 0.2)

    def test_until_there_are_no_more(self):
        f = self.futures.Run(run("fail", b"no", options=options(retry=retry(3))))
        self.assertEqual((f.state, f.error.message), (FAILED, "no"))
        self.assertEqual(self.reasons(f), ["FUNCTION_ERROR"] * 3)
        pauses = [nanoseconds(b.start_time) - nanoseconds(a.end_time) for a, b in zip(f.attempts, f.attempts[1:])]
        self.assertGreaterEqual(pauses[0], 8_000_000)
        self.assertGreaterEqual(pauses[1], 16_000_000)

    def test_crashes_are_retried(self):
        f = self.futures.Run(run("crash", options=options(retry=retry(2))))
        self.assertEqual((f.state, self.reasons(f)), (FAILED, ["CRASHED", "CRASHED"]))

    def test_not_without_a_policy(self):
        self.assertEqual(len(self.futures.Run(run("fail", b"no")).attempts), 1)

    def test_types_that_end_it(self):
        kept = retry(5, non_retryable_types=["EXIT_CODE"])
        path = self.folder / "flaky"
        path.touch()
        f = self.futures.Run(run("flaky", str(path).encode(), options=options(retry=kept)))
        self.assertEqual((f.state, self.reasons(f)), (FAILED, ["FUNCTION_ERROR"]))
        self.assertEqual(f.error.type, "EXIT_CODE")
        self.assertEqual(f.effective_options.retry.non_retryable_types, ["EXIT_CODE"])

    def test_the_pause_is_seen_and_can_be_ended(self):
        id_ = self.submit("fail", b"no", options=options(retry=retry(2, FAR, max_backoff=seconds(FAR))))
        f = self.until(id_, lambda f: f.pending_reason == BACKOFF)
        self.assertEqual((f.state, self.reasons(f)), (PENDING, ["FUNCTION_ERROR"]))
        self.assertGreater(nanoseconds(f.schedule.next_start_time), time.time_ns() + 2000 * 10**9)
        self.futures.Reschedule(reschedule(id_, not_before=at(-1)))
        f = self.finished(id_)
        self.assertEqual((f.state, self.reasons(f)), (FAILED, ["FUNCTION_ERROR"] * 2))

    def test_cancelled_in_its_pause(self):
        id_ = self.submit("fail", b"no", options=options(retry=retry(2, FAR)))
        self.until(id_, lambda f: f.pending_reason == BACKOFF)
        f = self.futures.Cancel(cancel(id_))
        self.assertEqual((f.state, self.reasons(self.finished(id_))), (CANCELLED, ["FUNCTION_ERROR"]))


class Timeouts(ScheduleCase):
    def test_a_command(self):
        """Its worker ends it and goes on."""
        before = self.pool_pids()
        gate = self.gate()
        f = self.futures.Run(run("gate", gate.argument, options=options(attempt_timeout=seconds(0.1))))
        self.assertEqual((f.state, f.error.reason, self.reasons(f)), (FAILED, "TIMEOUT", ["TIMEOUT"]))
        self.assertEqual(f.error.code, 4)
        self.assertTrue(f.attempts[0].HasField("signal_presence") or f.attempts[0].signal, f)
        self.assertEqual(self.worker_pids(), before)
        self.assert_serves()

    def test_a_plugin(self):
        """It sees that it should end."""
        f = self.futures.Run(run("sleep", b"600000", options=options(attempt_timeout=seconds(0.1))))
        self.assertEqual((f.state, f.error.reason), (FAILED, "TIMEOUT"))
        self.assert_serves()

    def test_again_after_a_timeout(self):
        f = self.futures.Run(run("sleep", b"600000", options=options(attempt_timeout=seconds(0.05), retry=retry(2))))
        self.assertEqual((f.state, self.reasons(f)), (FAILED, ["TIMEOUT", "TIMEOUT"]))

    def test_in_time(self):
        f = self.futures.Run(run("echo", b"x", options=options(attempt_timeout=seconds(FAR))))
        self.assertEqual(f.state, SUCCEEDED)
        self.assertEqual(f.effective_options.attempt_timeout, seconds(FAR))


class Deadlines(ScheduleCase):
    def test_of_what_waits(self):
        gate, _ = self.occupy()
        f = self.futures.Run(run("echo", b"x", options=options(deadline=at(0.05))))
        self.assertEqual((f.state, f.error.reason, f.error.code), (FAILED, "DEADLINE_EXCEEDED", 4))
        self.assertEqual(list(f.attempts), [])
        gate.open()

    def test_of_what_runs(self):
        f = self.futures.Run(run("sleep", b"600000", options=options(deadline=at(0.3), retry=retry(5))))
        self.assertEqual((f.state, f.error.reason, self.reasons(f)), (FAILED, "DEADLINE_EXCEEDED", ["DEADLINE_EXCEEDED"]))

    def test_in_the_past(self):
        f = self.futures.Run(run("echo", b"x", options=options(deadline=at(-1))))
        self.assertEqual((f.state, f.error.reason), (FAILED, "DEADLINE_EXCEEDED"))


class Cancels(ScheduleCase):
    def test_a_running_plugin_ends_by_itself(self):
        before = self.pool_pids()
        id_ = self.submit("sleep", b"600000")
        self.until(id_, lambda f: f.state == RUNNING)
        f = self.futures.Cancel(cancel(id_, reason="enough"))
        self.assertIn(f.state, (RUNNING, CANCELLED))
        f = self.finished(id_)
        self.assertEqual((f.state, f.error.reason, f.error.message), (CANCELLED, "CANCELLED", "enough"))
        self.assertEqual(self.reasons(f), ["CANCELLED"])
        self.assertEqual(f.cancel_requested.reason, "enough")
        self.assertEqual(f.cancel_requested.grace, seconds(5))
        self.assertEqual(self.worker_pids(), before)
        self.assert_serves()

    def test_a_running_command(self):
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(cancel(id_))
        f = self.finished(id_)
        self.assertEqual((f.state, self.reasons(f), f.attempts[0].signal), (CANCELLED, ["CANCELLED"], 15))

    def test_a_stubborn_command_is_killed(self):
        before = self.pool_pids()
        gate = self.gate()
        id_ = self.submit("stubborn", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        f = self.futures.Cancel(cancel(id_, grace=seconds(0.2)))
        self.assertEqual(f.state, RUNNING)
        self.assertEqual(f.cancel_requested.grace, seconds(0.2))
        f = self.finished(id_)
        self.assertEqual((f.state, f.attempts[0].signal), (CANCELLED, 9))
        self.assertEqual(self.worker_pids(), before)

    def test_without_grace(self):
        gate = self.gate()
        id_ = self.submit("stubborn", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(cancel(id_, grace=seconds(0)))
        f = self.finished(id_)
        self.assertEqual((f.state, f.attempts[0].signal), (CANCELLED, 9))

    def test_the_second_one_is_in_a_hurry(self):
        gate = self.gate()
        id_ = self.submit("stubborn", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(cancel(id_, reason="first", grace=seconds(FAR)))
        self.futures.Cancel(cancel(id_, reason="second", grace=seconds(0)))
        f = self.finished(id_)
        self.assertEqual((f.state, f.cancel_requested.reason), (CANCELLED, "first"))

    def test_what_finished_first_is_told(self):
        gate = self.gate()
        id_ = self.submit("term_ok", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(cancel(id_))
        f = self.finished(id_)
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"all the same\n"))
        self.assertTrue(f.HasField("cancel_requested"))

    functions = {**ScheduleCase.functions,
                 "term_ok": {"command": 'trap "echo all the same; exit 0" TERM; f=$(cat); exec 9<>"$f"; '
                                        'echo "$FUTURED_ID" >"$f.started"; while :; do read x <&9; done',
                             "shell": "yes"}}


class Disconnects(ScheduleCase):
    def attached(self, id_wanted=True):
        gate = self.gate()
        request = run("gate", gate.argument)
        request.cancel_on_disconnect = True
        call = self.futures.Run.future(request)
        return gate, call, gate.started()[0]

    def test_the_client_goes(self):
        _, call, id_ = self.attached()
        self.until(id_, lambda f: f.state == RUNNING)
        call.cancel()
        f = self.finished(id_)
        self.assertEqual(f.state, CANCELLED)
        self.assertIn("nobody waits", f.cancel_requested.reason)

    def test_another_one_stays(self):
        gate, call, id_ = self.attached()
        wait = self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_)))
        watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(id_)))
        next(watch)  # it is there, whatever has become of the other call
        call.cancel()
        gate.open(b"fine")
        self.assertEqual(wait.result().done[0].state, SUCCEEDED)
        watch.cancel()

    def test_of_a_stream(self):
        gate = self.gate()
        request = run("gate", gate.argument)
        request.cancel_on_disconnect = True
        stream = self.futures.RunStream(iter([request]))
        id_ = gate.started()[0]
        stream.cancel()
        self.assertEqual(self.finished(id_).state, CANCELLED)


class Reschedules(ScheduleCase):
    workers = 1  # which starts one task after the other

    def test_priority(self):
        gate, _ = self.occupy()
        first, second = self.submit("echo", b"1"), self.submit("echo", b"2")
        f = self.futures.Reschedule(reschedule(second, priority=7))
        self.assertEqual((f.schedule.priority, f.task.options.priority), (7, 0))
        gate.open()
        starts = [nanoseconds(self.finished(i).start_time) for i in (second, first)]
        self.assertEqual(starts, sorted(starts))

    def test_times(self):
        id_ = self.submit("echo", b"x", options=options(delay=seconds(FAR), deadline=at(2 * FAR)))
        f = self.futures.Reschedule(reschedule(id_, clear_deadline=True, retention=seconds(77)))
        self.assertFalse(f.schedule.HasField("deadline"))
        self.assertEqual(f.schedule.retention, seconds(77))
        self.futures.Reschedule(reschedule(id_, not_before=at(-5)))
        f = self.finished(id_)
        self.assertEqual(nanoseconds(f.expire_time) - nanoseconds(f.end_time), 77 * 10**9)
        f = self.futures.Reschedule(reschedule(id_, retention=seconds(78)))
        self.assertEqual(nanoseconds(f.expire_time) - nanoseconds(f.end_time), 78 * 10**9)

    def test_refused(self):
        id_ = self.submit("echo", b"x", options=options(delay=seconds(FAR)))
        f = self.futures.Get(get(id_))
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        for request, code, reason, *fields in (
                (reschedule(id_, deadline=at(60)), invalid, "INVALID_FIELD", "deadline"),
                (reschedule(id_, deadline=at(60), clear_deadline=True), invalid, "INVALID_FIELD", "clear_deadline"),
                (reschedule(id_, retention=seconds(-1)), invalid, "INVALID_FIELD", "retention"),
                (reschedule("nonsense", priority=1), invalid, "INVALID_FIELD", "id"),
                (reschedule(id_, priority=1, if_revision=f.revision - 1), grpc.StatusCode.ABORTED, "REVISION_MISMATCH")):
            with self.subTest(reason=reason, fields=fields):
                error = self.assert_fails(code, self.futures.Reschedule, request)
                self.assert_refused(error, code, reason, *fields)
        self.assertEqual(self.futures.Get(get(id_)).revision, f.revision)
        self.futures.Cancel(cancel(id_))
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Reschedule, reschedule(id_, priority=1))
        self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "TERMINAL")


class Restarts(DurableCase):
    """What was asked for is still so after kill -9."""

    functions = {}

    def test_delays_and_deadlines(self):
        far = self.submit("echo", b"far", options=options(delay=seconds(FAR), deadline=at(2 * FAR),
                                                          attempt_timeout=seconds(9), retry=retry(7, 3)))
        near = self.submit("echo", b"near", options=options(delay=seconds(0.5)))
        late = self.submit("echo", b"late", options=options(delay=seconds(3), deadline=at(3.5)))
        before = self.futures.Get(get(far))
        self.restart(workers=0)
        self.assertEqual(self.futures.Get(get(far)), before)
        f = self.finished(late)
        self.assertEqual((f.state, f.error.reason), (FAILED, "DEADLINE_EXCEEDED"))
        self.restart()
        self.assertEqual(self.finished(near).state, SUCCEEDED)
        f = self.futures.Reschedule(reschedule(far, not_before=at(-1)))
        self.restart()
        f = self.finished(far)
        self.assertEqual((f.state, f.effective_options.retry), (SUCCEEDED, before.effective_options.retry))
        self.restart(cache="0")
        self.assertEqual(self.futures.Get(get(far)), f)

    def test_pauses_and_counts(self):
        policy = retry(3, FAR, jitter=0)
        id_ = self.submit("fail", b"no", options=options(retry=policy))
        before = self.until(id_, lambda f: f.pending_reason == BACKOFF)
        self.restart()
        after = self.futures.Get(get(id_))
        self.assertEqual(after, before)
        for n in (2, 3):
            self.futures.Reschedule(reschedule(id_, not_before=at(-1)))
            f = self.until(id_, lambda f, n=n: len(f.attempts) == n and f.attempts[-1].HasField("end_time"))
            self.restart()
        f = self.finished(id_)
        self.assertEqual((f.state, len(f.attempts)), (FAILED, 3))

    def test_a_pause_that_ends_meanwhile(self):
        id_ = self.submit("fail", b"no", options=options(retry=retry(2, 0.5, jitter=0)))
        self.until(id_, lambda f: f.pending_reason == BACKOFF)
        self.restart()
        f = self.finished(id_)
        self.assertEqual((f.state, len(f.attempts)), (FAILED, 2))
        self.assertGreaterEqual(nanoseconds(f.attempts[1].start_time) - nanoseconds(f.attempts[0].end_time), 490_000_000)

    def test_a_cancel_of_what_ran(self):
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(cancel(id_, reason="enough", grace=seconds(FAR)))
        self.restart()
        f = self.finished(id_)
        self.assertEqual((f.state, f.cancel_requested.reason, f.cancel_requested.grace),
                         (CANCELLED, "enough", seconds(FAR)))

    def test_a_timeout_holds_for_the_next_attempt(self):
        gate = self.gate()
        id_ = self.submit("gate", gate.argument, options=options(attempt_timeout=seconds(1)))
        gate.started()
        self.restart()
        f = self.finished(id_)
        self.assertEqual((f.state, f.error.reason), (FAILED, "TIMEOUT"))


if __name__ == "__main__":
    durable_support.main()
