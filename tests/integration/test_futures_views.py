#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What each view shows, by every method that takes one; and that no reply exceeds max_message, nor hides that something
was left out."""
import gzip
import itertools
import queue

import futures_support
from futures_support import *  # noqa: F403: the words of the contract

MIB = 1 << 20
MAX_MESSAGE = 4 * MIB
VIEWS = (0, RESULT, BASIC, TASK, FULL)


class Views(FuturesCase):
    def by_every_method(self, asked, id_, view):
        """The terminal future as each method shows it: (its name, the view that is its default, the future)."""
        f, one = self.futures, selector(id_)
        yield "Get", FULL, f.Get(get(id_, view))
        yield "Wait", BASIC, f.Wait(futures_pb2.WaitRequest(selector=one, view=view)).done[0]
        yield "List", BASIC, f.List(futures_pb2.ListRequest(selector=one, view=view)).futures[0]
        yield "AsCompleted", FULL, next(f.AsCompleted(iter([futures_pb2.AsCompletedRequest(ids=[id_], view=view)]))).future
        yield "Watch", BASIC, next(f.Watch(futures_pb2.WatchRequest(selector=one, view=view))).snapshot
        request = futures_pb2.SubmitRequest(task=asked, view=view)
        yield "Run", FULL, f.Run(futures_pb2.RunRequest(submit=request))
        yield "RunStream", FULL, next(f.RunStream(iter([futures_pb2.RunRequest(submit=request)]))).finished

    def check(self, asked, wanted):
        """@wanted makes the message of a view."""
        id_ = self.futures.Submit(futures_pb2.SubmitRequest(task=asked)).future.id
        self.finished(id_)
        for view in VIEWS:
            for name, default, got in self.by_every_method(asked, id_, view):
                with self.subTest(method=name, view=view):
                    self.assert_future(got, wanted(view or default))

    def test_succeeded(self):
        asked = task("echo", b"argument", content_type="text/x", labels={"a": "b"})
        self.check(asked, lambda view: succeeded(asked, data=b"argument", content_type="text/x", view=view))

    def test_empty(self):
        """An empty result is one, with its presence; an empty argument in the task is as it was given."""
        for asked in (task("echo"), task("echo", b"")):
            self.check(asked, lambda view: succeeded(asked, view=view))

    def test_failed(self):
        """The error is in every view."""
        asked = task("fail", b"a message")
        self.check(asked, lambda view: failed(asked, function_error("a message", type_="FAIL"), view=view))

    def test_accepted(self):
        """BASIC, where nothing else is asked."""
        gate, _ = self.occupy()
        asked = task("echo", b"x" * 1000, labels={"a": "b"})
        for view in VIEWS:
            request = futures_pb2.SubmitRequest(task=asked, view=view)
            with self.subTest(view=view):
                wanted = pending(asked, view=view or BASIC) if view != RESULT else future(asked, PENDING, view=RESULT)
                self.assert_future(self.futures.Submit(request).future, wanted)
                self.assert_future(next(self.futures.SubmitStream(iter([request]))).future, wanted)
                requests = queue.SimpleQueue()
                call = self.futures.RunStream(iter(requests.get, None))
                requests.put(futures_pb2.RunRequest(submit=request, announce=True))
                self.assert_future(next(call).accepted, pending(asked, view=BASIC))
                requests.put(None)
        gate.open()

    def test_running_and_cancelled(self):
        gate, (id_, *_) = self.occupy()
        asked, gone = task("gate", gate.argument), task("echo", b"gone")
        self.until(id_, lambda f: f.state == RUNNING)
        gone_id = self.futures.Submit(futures_pb2.SubmitRequest(task=gone)).future.id
        self.assertEqual(self.futures.Cancel(futures_pb2.CancelRequest(id=gone_id, reason="r")).id, gone_id)
        for view in (BASIC, TASK, FULL):
            self.assert_future(self.futures.Get(get(id_, view)), running(asked, view=view))
            self.assert_future(self.futures.Get(get(gone_id, view)), cancelled(gone, "r", view=view))
        self.assert_future(self.futures.Get(get(id_, RESULT)), future(asked, RUNNING, view=RESULT))
        wanted = cancelled(gone, "r", view=RESULT)
        wanted.ClearField("cancel_requested")
        self.assert_future(self.futures.Get(get(gone_id, RESULT)), wanted)
        gate.open()


class PagesCase(FuturesCase):
    def all_pages(self, select, view, max_message=MAX_MESSAGE, **fields):
        """Every future listed; no page is empty or too large."""
        shown, token = [], ""
        while True:
            page = self.futures.List(futures_pb2.ListRequest(selector=select, view=view, page_token=token, **fields))
            self.assertLessEqual(page.ByteSize(), max_message)
            self.assertTrue(page.futures)
            shown += page.futures
            token = page.next_page_token
            if not token:
                return shown


class Large(PagesCase):
    """What does not fit: the argument goes first, and the answer says so."""

    def setUp(self):
        super().setUp()
        # Nothing larger than max_message can be received here.
        self.futures = self.futures_of(self.server, **{"grpc.max_receive_message_length": MAX_MESSAGE})

    def large(self, letter, n=3 * MIB):
        return (letter * n).encode()

    def cut(self, asked, data, **fields):
        return succeeded(asked, data=data, omitted=True, **fields)

    def test_single_futures(self):
        data = self.large("a")
        asked = task("echo", data, labels={"k": "v"})
        request = futures_pb2.SubmitRequest(task=asked, tag="t")
        got = self.futures.Run(futures_pb2.RunRequest(submit=request))
        self.assert_future(got, self.cut(asked, data, tag="t"))
        self.assertEqual((got.argument_size_bytes, got.result.size_bytes), (3 * MIB, 3 * MIB))
        one = selector(got.id)
        full = [self.futures.Get(get(got.id)), self.futures.Get(get(got.id, FULL)),
                next(self.futures.AsCompleted(iter([futures_pb2.AsCompletedRequest(ids=[got.id])]))).future,
                next(self.futures.Watch(futures_pb2.WatchRequest(selector=one, view=FULL))).snapshot]
        for shown in full:
            self.assertEqual(shown, got)
        stream = next(self.futures.RunStream(iter([futures_pb2.RunRequest(submit=request)])))
        self.assert_message(stream, futures_pb2.RunResponse(finished=self.cut(asked, data, tag="t"), tag="t"))
        self.assert_future(self.futures.Get(get(got.id, TASK)), succeeded(asked, data=data, view=TASK, tag="t"))
        self.assert_future(self.futures.Get(get(got.id, RESULT)), succeeded(asked, data=data, view=RESULT))
        self.assert_future(self.futures.Get(get(got.id, BASIC)), succeeded(asked, data=data, view=BASIC, tag="t"))

    def test_to_the_byte(self):
        """Around the size where both just fit: never too large, never cut without saying so, never cut without need."""
        for n in range(2 * MIB - 8192, 2 * MIB + 1, 1024):
            asked = task("echo", self.large("x", n))
            got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
            self.assertEqual(got.result.data, asked.argument)
            self.assertEqual(got.task.argument, b"" if got.omitted else asked.argument)
            self.assertEqual((got.argument_size_bytes, got.result.size_bytes), (n, n))
            if 2 * n < MAX_MESSAGE - 8192:
                self.assertFalse(got.omitted)
        self.assertTrue(got.omitted)

    def test_as_large_as_a_request_may_be(self):
        """The largest argument that is accepted comes back, whole, one way or the other."""
        asked = task("sha256")
        asked.argument = self.large("y", MAX_MESSAGE - 64)
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
        self.assertEqual((got.state, got.argument_size_bytes, got.result.size_bytes), (SUCCEEDED, MAX_MESSAGE - 64, 64))
        if not got.omitted:
            self.assertEqual(got.task.argument, asked.argument)
        self.assertEqual(len(got.result.data), 64)

    def test_pages(self):
        """The rest of a page comes BASIC and says so, or the page ends early; nobody is lost."""
        asked = [task("echo", self.large(letter)) for letter in "abcde"]
        ids = [self.futures.Submit(futures_pb2.SubmitRequest(task=t, group="g")).future.id for t in asked]
        for i in ids:
            self.finished(i, RESULT)
        for view, select in itertools.product((RESULT, TASK, FULL), (selector(*ids), selector(group="g"))):
            shown = self.all_pages(select, view)
            self.assertEqual([f.id for f in shown], ids[::-1])
            self.judge(shown[::-1], asked, view)

    def test_wait(self):
        asked = [task("echo", self.large(letter)) for letter in "abcde"]
        ids = [self.futures.Submit(futures_pb2.SubmitRequest(task=t, group="g")).future.id for t in asked]
        for view, select in itertools.product((RESULT, TASK, FULL), (selector(*ids), selector(group="g"))):
            got = self.futures.Wait(futures_pb2.WaitRequest(selector=select, view=view))
            self.assertLessEqual(got.ByteSize(), MAX_MESSAGE)
            self.assertEqual(got.counts, future_pb2.StateCounts(succeeded=5))
            self.assertEqual(sorted(f.id for f in got.done), ids)
            order = [ids.index(f.id) for f in got.done]
            self.judge(got.done, [asked[i] for i in order], view)

    def judge(self, shown, asked, view):
        """Each is as the view says, or BASIC and marked; at least one is whole."""
        whole = 0
        for f, t in zip(shown, asked):
            if not f.omitted:
                whole += 1
                group = "" if view == RESULT else "g"
                self.assert_future(f, succeeded(t, data=t.argument, view=view, group=group))
            elif f.result.data:  # FULL without the argument
                self.assert_future(f, self.cut(t, t.argument, view=view, group="g"))
                whole += 1
            elif f.HasField("task"):
                self.assert_future(f, self.cut(t, t.argument, view=BASIC, group="g"))
            else:
                self.fail("less than BASIC where there was room")
        self.assertGreater(whole, 0)

    def test_many_small_ones(self):
        """A page of 1,000 that does not fit ends early, with a token."""
        ids = self.submit_many(submit("echo", b"z" * 8000) for _ in range(1000))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids), view=RESULT))
        seen = self.all_pages(selector(filter="*"), FULL, page_size=1000, order_by="asc")
        self.assertEqual([f.id for f in seen], ids)
        for f in seen:
            if not f.omitted:
                self.assertEqual((f.task.argument, f.result.data), (b"z" * 8000,) * 2)
        self.assertLess(sum(f.omitted for f in seen), 900)


class Configured(PagesCase):
    """Another max_message bounds requests, replies and results, and nothing between daemon and pool."""

    def test_small(self):
        self.server = self.start(futured={"max_message": "16K"})
        self.futures = self.futures_of(self.server, **{"grpc.max_receive_message_length": 16384})
        asked = task("echo", b"x" * 12000)
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
        self.assert_future(got, succeeded(asked, data=asked.argument, omitted=True))
        ids = self.submit_many(submit("echo", b"y" * 3000) for _ in range(20))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids)))
        shown = self.all_pages(selector(*ids), FULL, 16384)
        self.assertEqual([f.id for f in shown], ids[::-1])
        whole = [f for f in shown if not f.omitted]
        self.assertTrue(whole)
        for f in whole:
            self.assert_future(f, succeeded(task("echo", b"y" * 3000), data=b"y" * 3000))
        got = self.futures.Run(run("gunzip", gzip.compress(bytes(MIB))))
        self.assertEqual((got.state, got.error.reason), (FAILED, "RESULT_TOO_LARGE"))

    def test_smallest(self):
        """However small the messages, workers batch as they like."""
        self.server = self.start(futured={"max_message": "4K"})
        self.futures = self.futures_of(self.server, **{"grpc.max_receive_message_length": 4096})
        requests = [run("echo", b"%2000d" % i, tag=str(i), view=RESULT) for i in range(2000)]
        got = {int(r.tag): r.finished.result.data for r in self.futures.RunStream(iter(requests))}
        self.assertEqual(got, {i: b"%2000d" % i for i in range(2000)})
        self.assertEqual(self.server.log.find("worker_failed|worker_exited|worker_killed"), [])


if __name__ == "__main__":
    futures_support.main()
