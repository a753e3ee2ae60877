#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""List and Count by filter and group, by a stock client: what is in memory, what only the disk has, and what is there after
kill -9."""
import futures_support
from durable_support import DurableCase
from futures_support import DEADLINE, FuturesCase, Gate, future_pb2, futures_pb2, grpc, run, selector, submit


class SearchCase(FuturesCase):
    functions = {"echo": "cat", "fail": "sh -c \"echo broken >&2; exit 3\""}

    def pages(self, **fields):
        """All pages of a List as one list of IDs."""
        request = futures_pb2.ListRequest(**fields)
        ids = []
        while True:
            page = self.futures.List(request, timeout=DEADLINE)
            ids += [f.id for f in page.futures]
            if not page.next_page_token:
                self.assertEqual(len(ids), len(set(ids)))
                return ids
            request.page_token = page.next_page_token

    def count(self, group_by="", **fields):
        request = futures_pb2.CountRequest(selector=selector(**fields), group_by=group_by)
        n, groups = 0, {}
        while True:
            got = self.futures.Count(request, timeout=DEADLINE)
            n += got.count
            for g in got.groups:
                groups[g.value] = groups.get(g.value, 0) + g.count
            if not got.next_page_token:
                return (n, groups) if group_by else n
            request.page_token = got.next_page_token

    def fill(self):
        """Ten succeeded ones, five of group g; five failed ones of group g."""
        done = {True: [], False: []}
        for i in range(10):
            f = self.futures.Run(run("echo", b"arg %d" % i, labels={"n": str(i), "half": str(i % 2)},
                                     options=future_pb2.TaskOptions(priority=i)), timeout=DEADLINE)
            done[True].append(f.id)
        for i in range(5):
            request = run("fail", b"x")
            request.submit.group = "g"
            done[False].append(self.futures.Run(request, timeout=DEADLINE).id)
            request = run("echo", b"x")
            request.submit.group = "g"
            done[True].append(self.futures.Run(request, timeout=DEADLINE).id)
        return done

    def check_all(self, done):
        every = sorted(done[True] + done[False])
        for page_size in (1, 7, 100):
            self.assertEqual(self.pages(selector=selector(filter="*"), order_by="asc", page_size=page_size), every)
            self.assertEqual(self.pages(selector=selector(filter="*"), page_size=page_size), every[::-1])
            self.assertEqual(self.pages(selector=selector(filter="state = FAILED"), order_by="asc", page_size=page_size),
                             sorted(done[False]))
            self.assertEqual(self.pages(selector=selector(group="g"), order_by="asc", page_size=page_size),
                             sorted(done[False] + done[True][10:]))
        self.assertEqual(self.pages(selector=selector(filter="labels.n >= 3 labels.half = 1"), order_by="asc"),
                         [done[True][i] for i in (3, 5, 7, 9)])
        self.assertEqual(self.pages(selector=selector(filter='argument = "arg 4" OR priority = 9'), order_by="asc"),
                         [done[True][4], done[True][9]])
        self.assertEqual(self.pages(selector=selector(filter="group = g AND state = SUCCEEDED"), order_by="asc"), done[True][10:])
        self.assertEqual(self.pages(selector=selector(filter=f"id > {every[3]} AND id <= {every[5]}"), order_by="asc"), every[4:6])
        self.assertEqual(self.pages(selector=selector(filter="submit_time > -1h NOT has n function = echo"), order_by="asc"),
                         done[True][10:])
        self.assertEqual(self.pages(selector=selector(filter="submit_time < -1h")), [])
        self.assertEqual(self.count(filter="*"), 20)
        self.assertEqual(self.count("state", filter="*"), (20, {"SUCCEEDED": 15, "FAILED": 5}))
        self.assertEqual(self.count("function", group="g"), (10, {"echo": 5, "fail": 5}))
        self.assertEqual(self.count("labels.half", filter="function = echo"), (15, {"": 5, "0": 5, "1": 5}))
        self.assertEqual(self.count(filter="attempts > 1"), 0)


class Search(SearchCase):
    def test_all(self):
        self.check_all(self.fill())
        self.assert_serves()

    def test_live(self):
        gate = Gate(self.folder, "g")
        self.addCleanup(gate.close)
        first = self.futures.Submit(submit("gate", gate.argument), timeout=DEADLINE).future
        gate.started()
        self.assertEqual(self.count(filter="function = gate AND (state = PENDING OR state = RUNNING)"), 1)
        self.assertEqual(self.pages(selector=selector(filter="function = gate")), [first.id])
        gate.open()

    def test_errors(self):
        for text, column in (("state = DONE", 9), ("colour = red", 1), ("state", 6), ("(state = FAILED", 16), ("has", 4)):
            error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, self.futures.List,
                                      futures_pb2.ListRequest(selector=selector(filter=text)), timeout=DEADLINE)
            self.assertIn(f"column {column}: ", error.details())
        self.assert_serves()


class Durable(DurableCase, SearchCase):
    """With nothing kept in memory, and after kill -9."""
    cache = "0"

    def test_all(self):
        done = self.fill()
        self.check_all(done)
        self.restart()
        self.check_all(done)
        more = self.futures.Submit(submit("echo", b"late", group="g"), timeout=DEADLINE).future
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(more.id)), timeout=DEADLINE)
        self.assertEqual(self.count(group="g"), 11)
        self.futures.Delete(futures_pb2.DeleteRequest(id=done[False][0]), timeout=DEADLINE)
        self.assertEqual(self.count("state", group="g"), (10, {"SUCCEEDED": 6, "FAILED": 4}))
        self.restart()
        self.assertEqual(self.count("state", group="g"), (10, {"SUCCEEDED": 6, "FAILED": 4}))

    def wait(self, **fields):
        return self.futures.Wait(futures_pb2.WaitRequest(**fields), timeout=DEADLINE)

    def test_wait(self):
        """Of members, and of what matches, that only the disk has."""
        done = self.fill()
        for _ in range(2):
            got = self.wait(selector=selector(group="g"))
            self.assertEqual((got.counts.succeeded, got.counts.failed, len(got.done)), (5, 5, 10))
            got = self.wait(selector=selector(filter="state = FAILED"), return_when=futures_pb2.RETURN_WHEN_FIRST_EXCEPTION)
            self.assertEqual(sorted(f.id for f in got.done), sorted(done[False]))
            got = self.wait(selector=selector(group="g"), expect=11, timeout=futures_support.seconds(0))
            self.assertTrue(got.timed_out)
            call = self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(group="g"), expect=11), timeout=DEADLINE)
            self.futures.Run(self.member(b"late"), timeout=DEADLINE)
            self.assertEqual(call.result().counts.succeeded, 6)
            self.futures.DeleteMany(futures_pb2.DeleteManyRequest(selector=selector(filter="argument = late")), timeout=DEADLINE)
            self.restart()

    @staticmethod
    def member(argument):
        request = run("echo", argument)
        request.submit.group = "g"
        return request

    def test_many(self):
        self.fill()
        ask = futures_pb2.DeleteManyRequest
        got = self.futures.DeleteMany(ask(selector=selector(group="g"), dry_run=True), timeout=DEADLINE)
        self.assertEqual((got.matched, got.changed), (10, 10))
        got = self.futures.DeleteMany(ask(selector=selector(filter="group = g AND state = FAILED")), timeout=DEADLINE)
        self.assertEqual((got.matched, got.changed), (5, 5))
        self.restart()
        self.assertEqual(self.count("state", filter="*"), (15, {"SUCCEEDED": 15}))
        for _ in range(5):
            self.futures.Submit(submit("gate", b"/nowhere", group="c"), timeout=DEADLINE)
        got = self.futures.CancelMany(futures_pb2.CancelManyRequest(selector=selector(group="c"), reason="no"), timeout=DEADLINE)
        self.assertEqual(got.matched, 5)
        self.restart()
        self.assertEqual(self.wait(selector=selector(group="c")).counts.pending, 0)

    def test_labels_changed(self):
        f = self.futures.Run(run("echo", b"x", labels={"k": "old"}), timeout=DEADLINE)
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=f.id, set_labels={"k": "new"}), timeout=DEADLINE)
        for _ in range(2):
            self.assertEqual(self.pages(selector=selector(filter="labels.k = new")), [f.id])
            self.assertEqual(self.pages(selector=selector(filter="labels.k = old")), [])
            self.restart()


if __name__ == "__main__":
    futures_support.main()
