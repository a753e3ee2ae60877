# SPDX-License-Identifier: Apache-2.0
"""Retry and RetryMany: one more future for the task of one that failed, whatever falls in between."""
import os

os.environ["FUTURED_TEST_STORE"] = "sqlite"
import durable_support  # noqa: E402
from durable_support import DEADLINE, DurableCase, grpc  # noqa: E402
from futures_support import (CANCELLED, FAILED, NO_SUCH_ID, SUCCEEDED, function_error, future_pb2, futures_pb2, get, pending,  # noqa: E402
                             failed, seconds, selector, submit, task)

EPHEMERAL = future_pb2.DURABILITY_EPHEMERAL
PRECONDITION, NOT_FOUND = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND
IS_RETRY = f"retry_of > {NO_SUCH_ID}"


class Retries(DurableCase):
    def retry(self, id_, options=None):
        return self.futures.Retry(futures_pb2.RetryRequest(id=id_, options=options), timeout=DEADLINE)

    def retry_many(self, dry_run=False, options=None, **which):
        """matched, changed, over all pages"""
        matched = changed = 0
        token = ""
        while True:
            r = self.futures.RetryMany(futures_pb2.RetryManyRequest(
                selector=selector(*which.pop("ids", ()), **which), dry_run=dry_run, options=options, page_token=token),
                timeout=DEADLINE)
            matched, changed, token = matched + r.matched, changed + r.changed, r.next_page_token
            if not token:
                return matched, changed

    def count(self, filter_):
        return self.futures.Count(futures_pb2.CountRequest(selector=selector(filter=filter_)), timeout=DEADLINE).count

    def get(self, id_):
        return self.futures.Get(get(id_), timeout=DEADLINE)

    def failed(self, argument=b"no", **fields):
        return self.finished(self.futures.Submit(submit("fail", argument, **fields)).future.id)

    def refused(self, code, reason, id_, options=None):
        with self.assertRaises(grpc.RpcError) as caught:
            self.retry(id_, options)
        self.assert_refused(caught.exception, code, reason)
        return caught.exception

    def test_whole(self):
        """Its labels as they are now, its group; neither key nor tag. The old one says by whom it was retried, and nothing else
        of it has changed."""
        asked = task("fail", b"no", labels={"a": "1", "b": "2"},
                     options=future_pb2.TaskOptions(idempotency_key="k", priority=3))
        old = self.finished(self.futures.Submit(futures_pb2.SubmitRequest(task=asked, group="g", tag="t")).future.id)
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=old.id, set_labels={"a": "3"}, remove_labels=["b"]))
        old = self.get(old.id)
        new = self.retry(old.id)
        shape = dict(group="g", labels={"a": "3"}, priority=3, retry_of=old.id)
        self.assert_future(new, pending(asked, view=future_pb2.VIEW_BASIC, **shape))
        new = self.finished(new.id)
        self.assert_future(new, failed(asked, function_error("no", type_="FAIL"), **shape))
        wanted = future_pb2.Future()
        wanted.CopyFrom(old)
        wanted.retried_by = new.id
        self.assert_message(self.get(old.id), wanted)
        self.assertGreater(self.get(old.id).revision, old.revision)
        self.assertEqual(self.futures.Get(futures_pb2.GetRequest(idempotency_key="k")).id, old.id)
        self.end_sound()

    def test_runs_again(self):
        """What was cancelled before it ran runs now: its start and its deadline are over."""
        id_ = self.submit("echo", b"x", options=future_pb2.TaskOptions(delay=seconds(3600)))
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_))
        done = self.finished(self.retry(id_).id)
        self.assertEqual((done.state, done.result.data, done.retry_of), (SUCCEEDED, b"x", id_))
        for state in (done.id, self.submit("echo", b"y", options=future_pb2.TaskOptions(delay=seconds(3600)))):
            error = self.refused(PRECONDITION, "NOT_FAILED", state)
            self.assertIn(state, error.details())
        self.refused(NOT_FOUND, "NO_SUCH_FUTURE", NO_SUCH_ID)

    def test_options(self):
        old = self.failed(options=future_pb2.TaskOptions(priority=3, concurrency_key="c"))
        options = future_pb2.TaskOptions(retention=seconds(77), on_lost=future_pb2.ON_LOST_FAIL)
        new = self.finished(self.retry(old.id, options).id)
        self.assert_future(new, failed(task("fail", b"no", options=options), function_error("no", type_="FAIL"), retry_of=old.id,
                                       retention=seconds(77), on_lost=future_pb2.ON_LOST_FAIL), retention_ns=77 * 10**9)
        for cache in ("256M", "0"):
            self.restart(cache=cache)
            self.assert_future(self.get(new.id), failed(
                task("fail", b"no", options=options), function_error("no", type_="FAIL"), retry_of=old.id, retention=seconds(77),
                on_lost=future_pb2.ON_LOST_FAIL), retention_ns=77 * 10**9)
            self.assertEqual(self.get(old.id).task.options.concurrency_key, "c")

    def test_once_over_restarts(self):
        """The same answer, whether the two are in memory or on the disk alone, and whether the retry has ended."""
        gate, _ = self.occupy()
        old = self.submit("fail", b"no")
        self.futures.Cancel(futures_pb2.CancelRequest(id=old))
        new = self.retry(old).id
        self.assertEqual(self.retry(old).id, new)
        self.restart()
        self.assertEqual(self.retry(old, future_pb2.TaskOptions(priority=1)).id, new)
        gate.open()
        done = self.finished(new)
        self.assertEqual(done.effective_options.priority, 0)
        for cache in ("256M", "0"):
            self.restart(cache=cache)
            self.assertEqual(self.retry(old).id, new)
            self.assertEqual(self.get(old).retried_by, new)
            self.assertEqual(self.get(new).retry_of, old)
        second = self.retry(new).id
        self.assertNotIn(second, (old, new))
        self.end_sound()

    def test_at_the_same_time(self):
        for cache in ("256M", "0"):
            old = self.failed()
            self.restart(cache=cache)
            stub = self.futures_of(self.server)
            calls = [stub.Retry.future(futures_pb2.RetryRequest(id=old.id), timeout=DEADLINE) for _ in range(20)]
            self.assertEqual(len({c.result().id for c in calls}), 1)
            self.assertEqual(self.count(f"retry_of = {old.id}"), 1)

    def test_the_retry_is_gone(self):
        old = self.failed()
        new = self.finished(self.retry(old.id).id)
        self.futures.Delete(futures_pb2.DeleteRequest(id=new.id))
        for cache in ("256M", "0"):
            error = self.refused(PRECONDITION, "RETRY_GONE", old.id)
            self.assertIn(new.id, error.details())
            self.restart(cache=cache)
        self.refused(PRECONDITION, "RETRY_GONE", old.id)
        self.assertEqual(self.get(old.id).retried_by, new.id)

    def test_ephemeral(self):
        old = self.failed(options=future_pb2.TaskOptions(durability=EPHEMERAL))
        new = self.finished(self.retry(old.id, future_pb2.TaskOptions(priority=2)).id)
        self.assertEqual((new.effective_options.durability, new.retry_of), (EPHEMERAL, old.id))
        self.assertEqual(self.get(old.id).retried_by, new.id)
        self.restart()
        self.refused(NOT_FOUND, "NO_SUCH_FUTURE", old.id)

    def test_depends(self):
        """What the task depends on is taken anew, also from the disk; what is gone is named."""
        up = self.finished(self.submit("echo", b"up"))
        options = future_pb2.TaskOptions(depends_on=[up.id], depend_policy=future_pb2.DEPEND_POLICY_ON_FAILURE)
        old = self.finished(self.submit("echo", b"x", options=options, group="d"))
        self.assertEqual((old.state, old.error.reason), (FAILED, "DEPENDENCY_FAILED"))
        self.restart(cache="0")
        again = self.finished(self.retry(old.id).id)
        self.assertEqual((again.state, again.error.reason), (FAILED, "DEPENDENCY_FAILED"))
        self.restart(cache="0")
        self.assertEqual(self.retry_many(group="d"), (2, 1))
        self.assertEqual(self.count("group = d"), 3)
        self.futures.Delete(futures_pb2.DeleteRequest(id=up.id))
        last = next(iter(self.futures.List(futures_pb2.ListRequest(selector=selector(group="d"))).futures))
        self.finished(last.id)
        error = self.refused(PRECONDITION, "UPSTREAM_GONE", last.id)
        self.assertIn(up.id, error.details())
        self.assertEqual(self.retry_many(group="d"), (3, 0))
        done = self.finished(self.retry(last.id, future_pb2.TaskOptions()).id)
        self.assertEqual((done.state, done.result.data, done.group), (SUCCEEDED, b"x", "d"))

    def test_many(self):
        """By group, by filter and by ID, in memory and on the disk; those that were retried are matched and left alone."""
        n = 40
        ids = self.submit_many(submit("fail", b"no", group="g") for _ in range(n))
        self.submit_many(submit("echo", b"x", group="g") for _ in range(5))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(group="g")), timeout=DEADLINE)
        self.restart(cache="0")
        self.assertEqual(self.retry_many(group="g", dry_run=True), (n + 5, n))
        self.assertEqual(self.count("retried = true"), 0)
        self.assertEqual(self.retry_many(ids=ids[:3]), (3, 3))
        self.assertEqual(self.retry_many(filter="group = g state = FAILED retried = false NOT " + IS_RETRY,
                                         options=future_pb2.TaskOptions(retention=seconds(99))), (n - 3, n - 3))
        self.restart(cache="0")
        self.assertEqual(self.retry_many(ids=ids), (n, 0))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(group="g")), timeout=DEADLINE)
        for cache in ("256M", "0"):
            self.assertEqual(self.count("retried = true"), n)
            self.assertEqual(self.count(IS_RETRY), n)
            self.assertEqual(self.count(f"retry_of = {ids[7]}"), 1)
            self.assertEqual(self.count("retried = false AND state = FAILED"), n)
            self.restart(cache=cache)
        self.end_sound()

    def everything(self):
        found, token = {}, ""
        while True:
            page = self.futures.List(futures_pb2.ListRequest(selector=selector(filter="*"), page_size=1000, page_token=token),
                                     timeout=DEADLINE)
            found.update((f.id, f) for f in page.futures)
            token = page.next_page_token
            if not token:
                return found

    def test_killed(self):
        """After kill -9 in the middle of retries there are both sides of each or neither, and those that were told are there."""
        n, told = 60, {}
        ids = self.submit_many(submit("fail", b"no") for _ in range(n))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(filter="*")), timeout=DEADLINE)
        for i in range(6):  # half of them after the first answer
            stub = self.futures_of(self.server)
            calls = {id_: stub.Retry.future(futures_pb2.RetryRequest(id=id_), timeout=DEADLINE)
                     for id_ in ids[10 * i:10 * i + 10]}
            if i % 2:
                next(iter(calls.values())).result()
            self.kill()
            for id_, call in calls.items():
                if call.exception() is None:
                    told[id_] = call.result().id
            self.restart(cache="0" if i % 3 else "256M")
            found = self.everything()
            self.assertTrue(set(ids) <= set(found))
            retries = {f.retry_of: f.id for f in found.values() if f.retry_of}
            self.assertEqual({f.id: f.retried_by for f in found.values() if f.retried_by}, retries)
            self.assertEqual(len(retries), sum(1 for f in found.values() if f.retry_of))
            self.assertEqual(told, {id_: retries.get(id_) for id_ in told})
        self.assertTrue(told)
        self.assertEqual(self.retry_many(ids=ids)[0], n)
        self.assertEqual(self.count(IS_RETRY), n)
        self.assertEqual({self.get(id_).state for id_ in ids}, {FAILED})
        self.end_sound()

    def test_limits(self):
        """Those of any submission; what is refused has changed nothing."""
        self.restart(functions={"narrow": {"command": "cat", "max_pending": "1"}}, workers=0)
        ids = [self.submit("narrow", b"x")]
        self.futures.Cancel(futures_pb2.CancelRequest(id=ids[0]))
        self.submit("narrow", b"y")
        self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "FUNCTION_QUEUE_FULL", ids[0])
        cancelled = self.get(ids[0])
        self.assertEqual((cancelled.state, cancelled.retried_by), (CANCELLED, ""))


if __name__ == "__main__":
    durable_support.main()
