# SPDX-License-Identifier: Apache-2.0
"""The judge can say no: each of its rules goes red on what breaks it, and stays silent on what does not."""
import sys
import unittest

import crash_support  # noqa: F401 (the path to the stubs)
from futures_support import FAILED, PENDING, RUNNING, SUCCEEDED, future_pb2
from ledger import Ledger
import tasks

TAG, ID = "l-1", "01890000-0000-7000-8000-000000000001"


def tag_of(function, ephemeral=False):
    """A tag whose task is of @function."""
    n = 0
    while True:
        request = tasks.request_of(f"l-{n}", "")
        if request.task.function == function and tasks.is_ephemeral(request) == ephemeral and (
                request.task.options.on_lost != future_pb2.ON_LOST_FAIL):
            return request.tag
        n += 1


def future(tag, state=PENDING, revision=1, **fields):
    request = tasks.request_of(tag, "")
    f = future_pb2.Future(id=ID, state=state, revision=revision, task=request.task, group=request.group, tag=tag,
                          labels=request.task.labels, **fields)
    f.submit_time.seconds = 1
    if state != PENDING:
        f.attempts.add(number=1, worker="w").start_time.seconds = 2
    if state == SUCCEEDED:
        f.attempts[0].end_time.seconds = f.end_time.seconds = 3
        f.result.data = request.task.argument
        f.result.size_bytes = len(request.task.argument)
    return f


class Rules(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        self.tag = tag_of("echo")

    def judged(self, *shown, now, will=(), did=()):
        for f in shown:
            self.ledger.show(f)
        self.ledger.take([(0, "will", ID, w) for w in will] + [(0, "did", ID, d) for d in did])
        return [line.split()[0] for line in self.ledger.judge(ID, now)]

    def changed(self, field, value, **fields):
        f = future(self.tag, **fields)
        target = f
        *path, last = field.split(".")
        for part in path:
            target = getattr(target, part)
        if isinstance(value, dict):
            getattr(target, last).clear()
            getattr(target, last).update(value)
        else:
            setattr(target, last, value)
        return f

    def test_right(self):
        done = future(self.tag, SUCCEEDED, 3)
        self.assertEqual(self.judged(future(self.tag), future(self.tag, RUNNING, 2), now=done), [])
        self.assertEqual(self.judged(done, now=done), [])
        self.assertEqual(self.ledger.wrong, [])

    def test_lost(self):
        self.assertEqual(self.judged(future(self.tag), now=None), ["lost"])
        self.assertEqual(self.judged(now=None, will=["delete"]), [])

    def test_deleted(self):
        done = future(self.tag, SUCCEEDED, 3)
        self.assertEqual(self.judged(done, now=done, will=["delete"]), [])
        self.assertEqual(self.judged(now=done, did=["delete"]), ["changed"])

    def test_ephemeral(self):
        f = future(tag_of("echo", ephemeral=True))
        self.assertEqual(self.judged(f, now=None), [])
        self.assertEqual(self.judged(now=f), ["lost"])

    def test_refused(self):
        self.assertEqual(self.judged(future(self.tag), now="UNAVAILABLE"), ["refused"])

    def test_changed(self):
        for field, value in (("task.argument", b"?"), ("group", "?"), ("submit_time.seconds", 7), ("submitter.peer", "?"),
                             ("labels", {"n": "?"}), ("effective_options.priority", 99)):
            with self.subTest(field=field):
                self.setUp()
                self.assertIn("changed", self.judged(future(self.tag), now=self.changed(field, value, revision=2)))
        self.setUp()
        self.assertIn("changed", self.judged(future(self.tag, revision=5), now=future(self.tag, revision=4)))

    def test_cancel(self):
        def cancelled(state, revision, grace=None, reason="r"):
            f = future(self.tag, state, revision)
            f.cancel_requested.reason = reason
            if grace is not None:
                f.cancel_requested.grace.seconds = grace
            return f
        self.assertEqual(self.judged(cancelled(PENDING, 2), now=cancelled(RUNNING, 3, grace=5)), [])
        self.assertEqual(self.judged(cancelled(RUNNING, 3, grace=5), now=cancelled(RUNNING, 4, grace=5)), [])
        for grace in (None, 6):
            self.assertEqual(self.judged(now=cancelled(RUNNING, 5, grace=grace)), ["changed"])
        self.setUp()
        self.assertEqual(self.judged(cancelled(PENDING, 2), now=cancelled(PENDING, 3, reason="other")), ["changed"])
        self.assertEqual(self.judged(now=future(self.tag, PENDING, 4)), ["changed"])

    def test_one_revision(self):
        self.assertEqual(self.judged(future(self.tag), now=self.changed("traceparent", "?")), ["changed", "changed"])

    def test_annotations(self):
        labels = {"n": self.tag, **tasks.request_of(self.tag, "").task.labels}
        one, two, three = ({**labels, "annotated": str(n)} for n in (1, 2, 3))
        shown = self.changed("labels", one, revision=2)
        self.assertIn("changed", self.judged(shown, now=self.changed("labels", labels, revision=3)))
        self.assertEqual(self.judged(now=self.changed("labels", two, revision=3), will=["annotate 2"]), [])
        self.assertIn("changed", self.judged(now=self.changed("labels", three, revision=3)))

    def test_twice(self):
        done, other = future(self.tag, SUCCEEDED, 3), future(self.tag, SUCCEEDED, 3)
        other.end_time.seconds += 1
        self.assertIn("twice", self.judged(done, now=other))
        self.ledger.show(other)
        self.assertEqual(len(self.ledger.wrong), 1)

    def test_back_from_the_end(self):
        self.assertIn("changed", self.judged(future(self.tag, SUCCEEDED, 3), now=future(self.tag, RUNNING, 4)))

    def test_attempts(self):
        again = future(self.tag, RUNNING, 3)
        again.attempts[0].worker = "another"
        self.assertIn("changed", self.judged(future(self.tag, RUNNING, 2), now=again))
        again = future(self.tag, SUCCEEDED, 3)
        again.attempts.add(number=2).end_time.seconds = 4
        self.assertIn("twice", self.judged(now=again))

    def ended(self, tag, state, reason="", message="", n_attempts=1, **fields):
        f = future(tag, state, 3, **fields)
        del f.attempts[:]
        for number in range(n_attempts):
            a = f.attempts.add(number=number + 1, worker="w")
            a.start_time.seconds, a.end_time.seconds, a.error.reason = 2, 3, reason
        f.end_time.seconds = 3
        f.error.reason, f.error.message = reason, message
        return f

    def test_deadline(self):
        for ms, wrong in ((3000, []), (3001, ["wrong"])):
            self.setUp()
            tag = f"{self.tag}@{ms}"
            self.assertEqual(self.judged(future(tag), now=self.ended(tag, FAILED, "DEADLINE_EXCEEDED")), wrong)
        self.setUp()
        self.assertEqual(self.judged(future(self.tag), now=self.ended(self.tag, FAILED, "DEADLINE_EXCEEDED")), ["wrong"])

    def test_dependency(self):
        up = ID[:-1] + "2"
        tag = f"{self.tag}+{up}"
        failed = self.ended(tag, FAILED, "DEPENDENCY_FAILED", f"the future {up}, on which it depends, failed", 0)
        gone = self.ended(tag, FAILED, "DEPENDENCY_FAILED", f"{up} is not known any more", 0)
        self.assertEqual(self.judged(future(tag), now=failed), [])
        self.assertEqual(self.judged(now=gone), ["wrong"])
        for state, now in ((SUCCEEDED, failed), (FAILED, future(tag, RUNNING, 2))):
            self.setUp()
            ended = future(tag_of("echo"), state, 3)
            ended.id = up
            self.assertIn("wrong", self.judged(ended, future(tag), now=now))

    def test_retries(self):
        tag, n = next((r.tag, r.task.options.retry.max_attempts) for r in (
            tasks.request_of(f"r-{i}", "") for i in range(10000))
            if r.task.options.retry.max_attempts > 1 and not tasks.is_ephemeral(r) and not r.task.options.HasField("delay"))
        message = tasks.request_of(tag, "").task.argument.decode()
        for more, wrong in ((-1, ["wrong"]), (0, []), (1, ["wrong"])):
            self.setUp()
            now = self.ended(tag, FAILED, "FUNCTION_ERROR", message, n + more)
            self.assertEqual(self.judged(future(tag), now=now), wrong)

    def test_delay(self):
        tag = next(t for t in (f"d-{i}" for i in range(10000)) if tasks.request_of(t, "").task.options.HasField("delay") and
                   tasks.request_of(t, "").task.function == "echo" and not tasks.is_ephemeral(tasks.request_of(t, "")))
        now = future(tag, SUCCEEDED, 3)
        self.assertEqual(self.judged(future(tag), now=now), [])
        now.attempts[0].start_time.seconds = 1
        self.assertEqual(self.judged(now=now), ["wrong"])

    def test_wrong(self):
        self.ledger.show(future(self.tag))
        self.assertEqual(self.judged(now=self.changed("result.data", b"?", state=SUCCEEDED, revision=2)), ["wrong"])
        failed = future(self.tag, FAILED, 2)
        for reason in ("OUTCOME_UNKNOWN", "WORKER_LOST", "FUNCTION_ERROR"):
            failed.error.reason = reason
            self.assertEqual(self.judged(now=failed), ["wrong"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv, verbosity=2)
