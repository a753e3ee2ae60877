#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Wait and AsCompleted: every mode, what is unknown, what is given twice, groups that grow, time that passes."""
import queue
import threading

import futures_support
from futures_support import *  # noqa: F403: the words of the contract
from harness import grpc

from futured.v1 import system_pb2, system_pb2_grpc
from google.protobuf import duration_pb2

ALL, FIRST = futures_pb2.RETURN_WHEN_ALL_COMPLETED, futures_pb2.RETURN_WHEN_FIRST_COMPLETED
EXCEPTION, COUNT = futures_pb2.RETURN_WHEN_FIRST_EXCEPTION, futures_pb2.RETURN_WHEN_COUNT
NOW = duration_pb2.Duration()
OTHER_ID = "01890000-0000-7000-8000-000000000001"


def counts(**n):
    return future_pb2.StateCounts(**n)


class WaitCase(FuturesCase):
    def request(self, *ids, group="", **fields):
        return futures_pb2.WaitRequest(selector=selector(*ids, group=group), **fields)

    def wait(self, *ids, **fields):
        return self.futures.Wait(self.request(*ids, **fields))

    def gates(self, n):
        """Names and IDs of @n tasks that run, each until its gate opens."""
        gates = [self.gate(f"gate {i}") for i in range(n)]
        return gates, [self.submit("gate", g.argument) for g in gates]

    def ids(self, answer):
        return [f.id for f in answer.done]


class Wait(WaitCase):
    workers = 3

    def test_whole_answer(self):
        """Done, not done and unknown, each once and in the order asked; what is done as BASIC unless asked otherwise."""
        gate, (held,) = self.occupy(1)
        a, b = self.futures.Run(run("echo", b"a", labels={"k": "v"})), self.futures.Run(run("fail", b"b"))
        self.until(held, lambda f: f.state == RUNNING)
        error = function_error("b", type_="FAIL")
        asked = (NO_SUCH_ID, b.id, held, a.id, b.id, NO_SUCH_ID, OTHER_ID, held)
        got = self.wait(*asked, timeout=NOW)
        self.assert_message(got, futures_pb2.WaitResponse(
            done=[failed(task("fail", b"b"), error, view=BASIC),
                  succeeded(task("echo", b"a", labels={"k": "v"}), data=b"a", view=BASIC)],
            not_done=[held], missing=[NO_SUCH_ID, OTHER_ID], counts=counts(running=1, succeeded=1, failed=1), timed_out=True))
        self.assertEqual(self.ids(got), [b.id, a.id])
        got = self.wait(*asked, timeout=NOW, view=FULL)
        self.assertEqual(list(got.done), [b, a])
        got = self.wait(a.id, view=RESULT)
        self.assert_message(got, futures_pb2.WaitResponse(
            done=[succeeded(task("echo"), data=b"a", view=RESULT)], counts=counts(succeeded=1)))
        gate.open()
        got = self.wait(*asked)
        self.assertEqual((self.ids(got), list(got.not_done), got.timed_out), ([b.id, held, a.id], [], False))
        self.assertEqual(got.counts, counts(succeeded=2, failed=1))

    def test_nothing_known(self):
        got = self.wait(NO_SUCH_ID, OTHER_ID, NO_SUCH_ID)
        self.assertEqual(got, futures_pb2.WaitResponse(missing=[NO_SUCH_ID, OTHER_ID], counts=counts()))

    def test_all_completed(self):
        gates, ids = self.gates(3)
        for when in (0, ALL):
            self.assertTrue(self.wait(*ids, return_when=when, timeout=NOW).timed_out)
        waits = [self.futures.Wait.future(self.request(*ids, return_when=when)) for when in (0, ALL)]
        for i in (2, 0):
            gates[i].open()
            self.finished(ids[i])
            got = self.wait(*ids, timeout=NOW)
            self.assertTrue(got.timed_out)
        self.assertEqual(list(got.not_done), [ids[1]])
        self.assertFalse(any(w.done() for w in waits))
        gates[1].open()
        for w in waits:
            self.assertEqual((self.ids(w.result()), w.result().timed_out), (ids, False))

    def test_first_completed(self):
        gates, ids = self.gates(3)
        wait = self.futures.Wait.future(self.request(*ids, return_when=FIRST))
        gates[1].started()
        gates[1].open()
        got = wait.result()
        self.assertEqual((self.ids(got), list(got.not_done), got.timed_out), ([ids[1]], [ids[0], ids[2]], False))
        self.assertEqual(got.counts.succeeded, 1)
        got = self.wait(*ids, return_when=FIRST)  # is so already
        self.assertEqual(self.ids(got), [ids[1]])
        got = self.wait(ids[0], NO_SUCH_ID, return_when=FIRST)  # what is unknown counts as done
        self.assertEqual((list(got.missing), list(got.not_done), got.timed_out), ([NO_SUCH_ID], [ids[0]], False))

    def test_first_exception(self):
        """A failed one ends it; one that succeeded or was cancelled does not."""
        gate, held = self.occupy(2)
        fine, bad, gone = self.submit("echo"), self.submit("fail"), self.submit("gate", gate.argument)
        self.finished(fine)
        self.finished(bad)
        got = self.wait(held[0], fine, bad, return_when=EXCEPTION)
        self.assertEqual((self.ids(got), list(got.not_done), got.timed_out), ([fine, bad], [held[0]], False))
        got = self.wait(held[0], fine, NO_SUCH_ID, return_when=EXCEPTION, timeout=NOW)
        self.assertTrue(got.timed_out)
        wait = self.futures.Wait.future(self.request(*held, fine, gone, return_when=EXCEPTION))
        gate.open()
        got = wait.result()  # none of them failed: all of them
        self.assertEqual((self.ids(got), got.timed_out), ([*held, fine, gone], False))

    def test_cancelled_is_no_exception(self):
        gate, held = self.occupy()
        gone = self.submit("echo")
        self.futures.Cancel(futures_pb2.CancelRequest(id=gone))
        got = self.wait(held[0], gone, return_when=EXCEPTION, timeout=NOW)
        self.assertEqual((self.ids(got), got.timed_out, got.counts.cancelled), ([gone], True, 1))
        got = self.wait(gone, return_when=EXCEPTION)
        self.assertEqual((self.ids(got), got.timed_out), ([gone], False))
        self.assertEqual(self.ids(self.wait(gone)), [gone])
        gate.open()

    def test_exception_while_it_waits(self):
        gates, ids = self.gates(2)
        bad = self.gate("bad")
        ids.append(self.submit("bad", bad.argument))
        wait = self.futures.Wait.future(self.request(*ids, return_when=EXCEPTION))
        gates[0].started()
        gates[0].open()
        self.finished(ids[0])
        bad.started()
        bad.open()
        got = wait.result()
        self.assertEqual((self.ids(got), list(got.not_done)), ([ids[0], ids[2]], [ids[1]]))
        self.assertEqual(got.counts.failed, 1)

    functions = {"bad": {"command": 'f=$(cat); echo "$FUTURED_ID" >"$f.started"; cat "$f"; exit 1', "shell": "yes"}}

    def test_count(self):
        gates, ids = self.gates(3)
        two = self.futures.Wait.future(self.request(*ids, return_when=COUNT, count=2))
        three = self.futures.Wait.future(self.request(*ids, return_when=COUNT, count=3))
        many = self.futures.Wait.future(self.request(*ids, return_when=COUNT, count=1000))
        same = self.futures.Wait.future(self.request(ids[0], ids[0], ids[1], return_when=COUNT, count=2))
        gates[0].started()
        gates[0].open()
        self.finished(ids[0])
        self.assertEqual(self.ids(self.wait(*ids, return_when=COUNT, count=1)), [ids[0]])
        got = self.wait(ids[0], ids[1], NO_SUCH_ID, return_when=COUNT, count=2)
        self.assertEqual((self.ids(got), list(got.not_done)), ([ids[0]], [ids[1]]))
        self.assertTrue(self.wait(ids[0], ids[0], ids[1], return_when=COUNT, count=2, timeout=NOW).timed_out)
        gates[1].started()
        gates[1].open()
        self.assertEqual(self.ids(two.result()), ids[:2])
        self.assertEqual(self.ids(same.result()), ids[:2])
        self.assertFalse(three.done() or many.done())
        gates[2].open()
        for w in (three, many):  # more than there are is all
            self.assertEqual((self.ids(w.result()), w.result().timed_out), (ids, False))

    def test_timeout(self):
        """No error; what is true at that moment."""
        gate, (held,) = self.occupy(1)
        done = self.futures.Run(run("echo")).id
        for when in (dict(return_when=ALL), dict(return_when=EXCEPTION), dict(return_when=COUNT, count=2)):
            got = self.wait(held, done, timeout=seconds(0.05), **when)
            self.assertEqual((self.ids(got), list(got.not_done), got.timed_out), ([done], [held], True))
        self.assertFalse(self.wait(done, timeout=NOW).timed_out)
        self.assertFalse(self.wait(held, done, return_when=FIRST, timeout=NOW).timed_out)

    def test_deadline_of_the_call(self):
        _, (held,) = self.occupy(1)
        error = self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, self.futures.Wait, self.request(held), timeout=0.2)
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assert_serves()

    def test_many(self):
        ids = self.submit_many(submit("echo") for _ in range(10000))
        got = self.wait(*ids[::-1])
        self.assertEqual(got.counts, counts(succeeded=10000))
        self.assertEqual(self.ids(got), ids[::-1][:len(got.done)], "cut where the message is full, in the order asked")
        self.assertGreater(len(got.done), 1000)
        got = self.wait(*ids, view=RESULT)
        self.assertEqual(self.ids(got), ids)

    def test_many_waiters(self):
        gate, (held,) = self.occupy(1)
        waits = [self.futures.Wait.future(self.request(held)) for _ in range(200)]
        gone = [self.futures.Wait.future(self.request(held)) for _ in range(50)]
        for w in gone:
            w.cancel()
        gate.open()
        self.assertEqual([self.ids(w.result()) for w in waits], [[held]] * 200)
        self.assert_serves()


class Groups(WaitCase):
    def test_once_at_the_call(self):
        """Members at the call, none that join later."""
        gate = self.gate()
        early = [self.futures.Run(run("echo", b"e", group="g")).id for _ in range(3)]
        self.assertEqual(self.futures.Run(run("echo", group="h")).group, "h")
        got = self.wait(group="g")
        self.assert_message(got, futures_pb2.WaitResponse(
            done=[succeeded(task("echo", b"e"), data=b"e", view=BASIC, group="g")] * 3, counts=counts(succeeded=3)))
        self.assertEqual(sorted(self.ids(got)), early)
        self.submit("gate", gate.argument, group="i")
        wait = self.futures.Wait.future(self.request(group="i"))
        self.submit("gate", gate.argument, group="i")
        self.assertFalse(wait.done())
        gate.open()
        self.assertIn(len(wait.result().done), (1, 2))  # the second may have come before the Wait
        self.assertEqual(self.wait(group="nobody"), futures_pb2.WaitResponse(counts=counts()))

    def test_expect(self):
        """Members that another client submits meanwhile are waited for."""
        for when in (ALL, EXCEPTION):
            name = f"expect {when}"
            wait = self.futures.Wait.future(self.request(group=name, expect=20, return_when=when, view=RESULT))
            other = self.futures_of(self.server)
            ids = []
            for i in range(20):
                self.assertFalse(wait.done())
                ids.append(other.Run(run("echo", b"%d" % i, group=name)).id)
            got = wait.result()
            self.assertEqual({f.id: f.result.data for f in got.done}, {i: b"%d" % n for n, i in enumerate(ids)})
            self.assertEqual((list(got.not_done), got.counts, got.timed_out), ([], counts(succeeded=20), False))
            self.assertEqual(len(self.wait(group=name, expect=20).done), 20, "they are there already")
            self.assertTrue(self.wait(group=name, expect=21, timeout=NOW).timed_out)

    def test_expect_counts_members_not_ends(self):
        gate = self.gate()
        wait = self.futures.Wait.future(self.request(group="g", expect=2))
        other = self.futures_of(self.server)
        first = other.Submit(submit("gate", gate.argument, group="g")).future.id
        second = other.Run(run("echo", group="g")).id
        got = self.wait(group="g", expect=2, timeout=NOW)
        self.assertEqual((self.ids(got), list(got.not_done), got.timed_out), ([second], [first], True))
        self.assertFalse(wait.done())
        gate.open()
        self.assertEqual(sorted(self.ids(wait.result())), sorted([first, second]))

    def test_expect_and_first_completed(self):
        """The first one is enough, however many are expected."""
        wait = self.futures.Wait.future(self.request(group="g", expect=100, return_when=FIRST))
        id_ = self.futures_of(self.server).Run(run("echo", group="g")).id
        self.assertEqual(self.ids(wait.result()), [id_])
        wait = self.futures.Wait.future(self.request(group="f", expect=100, return_when=EXCEPTION))
        id_ = self.futures_of(self.server).Run(run("fail", group="f")).id
        self.assertEqual(self.ids(wait.result()), [id_])

    def test_expect_with_many_writers(self):
        wait = self.futures.Wait.future(self.request(group="many", expect=3000))
        writers = [threading.Thread(target=self.write, args=(300,)) for _ in range(10)]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
        got = wait.result()
        self.assertEqual(got.counts, counts(succeeded=3000))
        self.assertEqual(len(got.done), 1000, "listed up to the page limit")
        self.assertEqual(len(set(self.ids(got))), 1000)

    def write(self, n):
        stub = self.futures_of(self.server)
        list(stub.SubmitStream(submit("echo", b"%d" % i, group="many") for i in range(n)))

    def test_members_that_are_gone(self):
        ids = [self.futures.Run(run("echo", group="g")).id for _ in range(3)]
        self.futures.Delete(futures_pb2.DeleteRequest(id=ids[1]))
        got = self.wait(group="g")
        self.assertEqual((sorted(self.ids(got)), got.counts), ([ids[0], ids[2]], counts(succeeded=2)))


class AsCompleted(WaitCase):
    def open(self, stub=None):
        """A stream, and what asks on it."""
        requests = queue.SimpleQueue()
        call = (stub or self.futures).AsCompleted(iter(requests.get, None))
        return call, lambda *ids, view=0: requests.put(futures_pb2.AsCompletedRequest(ids=ids, view=view)), \
            lambda: requests.put(None)

    def test_order_of_completion(self):
        """Those that have ended first, then each as it ends; unknown ones at once; each once."""
        gates, held = self.gates(2)
        for gate in gates:
            gate.started()
        call, ask, end = self.open()
        ask(*held, NO_SUCH_ID, held[0])
        self.assertEqual(next(call), futures_pb2.AsCompletedResponse(missing=NO_SUCH_ID))
        gates[1].open(b"second")
        got = next(call)
        self.assert_message(got, futures_pb2.AsCompletedResponse(
            future=succeeded(task("gate", gates[1].argument), data=b"second", exit_code=0)))
        self.assertEqual(got.future.id, held[1])
        ask(held[1], NO_SUCH_ID)  # asked before
        extra = self.futures.Run(run("fail", b"f")).id
        ask(extra, view=RESULT)
        self.assert_message(next(call), futures_pb2.AsCompletedResponse(
            future=failed(task("fail"), function_error("f", type_="FAIL"), view=RESULT)))
        end()
        gates[0].open()
        self.assertEqual([r.future.id for r in call], [held[0]])

    def test_done_come_first(self):
        gate, (held, *_) = self.occupy(1)
        done = [self.futures.Run(run("echo")).id for _ in range(5)]
        call, ask, end = self.open()
        ask(held, *done)
        end()
        self.assertEqual([next(call).future.id for _ in done], done)
        gate.open()
        self.assertEqual([r.future.id for r in call], [held])

    def test_nothing_asked(self):
        call, _, end = self.open()
        end()
        self.assertEqual(list(call), [])

    def test_half_close_with_nothing_left(self):
        done = self.futures.Run(run("echo")).id
        call, ask, end = self.open()
        ask(done)
        self.assertEqual(next(call).future.id, done)
        ask()
        end()
        self.assertEqual(list(call), [])

    def test_many(self):
        """Asked by one client while another submits; each exactly once."""
        n, ids = 5000, []
        call, ask, end = self.open(self.futures_of(self.server))
        for r in self.futures.SubmitStream(submit("echo", b"%d" % i) for i in range(n)):
            ids.append(r.future.id)
            ask(r.future.id)
        end()
        got = {r.future.id: r.future.result.data for r in call}
        self.assertEqual(got, {id_: b"%d" % i for i, id_ in enumerate(ids)})


class Scale(WaitCase):
    """Many calls for few futures, and few calls for many: 100,000 pairs of a call and a future either way, which is all
    that there may be here. A tenth of it under a sanitizer."""
    workers = 1
    MANY = 1_000 if harness.IS_SANITIZED else 10_000
    EDGES = 10 * MANY

    def setUp(self):
        super().setUp()
        self.server = self.start(limits={"waiter_edges": str(self.EDGES)})
        self.futures = self.futures_of(self.server)
        self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel(self.server.address)))

    def edges(self):
        stats = self.system.GetStats(system_pb2.GetStatsRequest(prefix="waiter_edges")).stats
        return next(int(s.value) for s in stats if s.name == "waiter_edges")

    def held(self, n):
        """@n futures that wait behind a gate."""
        self.gate_, _ = self.occupy(1)
        return self.submit_many(submit("echo", b"%d" % i) for i in range(n))

    def full(self, ids):
        """All pairs are there: one more is refused, and it is not the daemon that suffers."""
        self.poll(lambda: self.edges() == self.EDGES, "all of them wait")
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.futures.Wait, self.request(ids[0]))
        self.assertEqual(what_failed(status_of(error)[0])[1], "TOO_MANY_WAITERS")
        self.assertEqual(self.futures.Get(get(ids[0])).state, PENDING)

    def none_is_left(self, ids):
        self.poll(lambda: self.edges() == 0, "none of them waits")
        self.assertEqual(self.wait(*ids[:10]).counts, counts(succeeded=10))

    def test_few_calls_for_many(self):
        ids = self.held(self.MANY)
        request = self.request(*ids, view=RESULT)
        first = self.futures.Wait.future(self.request(*ids, return_when=COUNT, count=self.MANY - 1, view=RESULT))
        waits = [self.futures.Wait.future(request) for _ in range(4)]
        streams = [self.futures.AsCompleted(iter([futures_pb2.AsCompletedRequest(ids=ids, view=RESULT)])) for _ in range(5)]
        self.full(ids)
        self.gate_.open()
        wanted = {id_: b"%d" % i for i, id_ in enumerate(ids)}
        for stream in streams:
            got = [r.future for r in stream]
            self.assertEqual(len(got), len(ids))
            self.assertEqual({f.id: f.result.data for f in got}, wanted)
        for wait in waits:
            got = wait.result()
            self.assertEqual((got.counts, got.timed_out), (counts(succeeded=self.MANY), False))
            self.assertEqual([(f.id, f.result.data) for f in got.done], list(wanted.items()))
        self.assertGreaterEqual(first.result().counts.succeeded, self.MANY - 1)
        self.none_is_left(ids)

    def test_many_calls_for_few(self):
        ids = self.held(10)
        stubs = [self.futures_of(self.server) for _ in range(10)]  # a connection takes 2,000 calls at a time
        request, one = self.request(*ids, view=RESULT), futures_pb2.AsCompletedRequest(ids=ids, view=RESULT)
        waits = [stub.Wait.future(request) for stub in stubs for _ in range(self.MANY * 9 // 100)]
        streams = [stub.AsCompleted(iter([one])) for stub in stubs for _ in range(self.MANY // 100)]
        self.full(ids)
        self.gate_.open()
        wanted = [(id_, b"%d" % i) for i, id_ in enumerate(ids)]
        for wait in waits:
            got = wait.result()
            self.assertEqual((got.counts, [(f.id, f.result.data) for f in got.done]), (counts(succeeded=10), wanted))
        for stream in streams:
            self.assertEqual([(r.future.id, r.future.result.data) for r in stream], wanted)
        self.none_is_left(ids)

    def test_many_that_leave(self):
        """Clients that go away leave nothing behind."""
        ids = self.held(10)
        stubs = [self.futures_of(self.server) for _ in range(10)]
        waits = [stub.Wait.future(self.request(*ids)) for stub in stubs for _ in range(self.MANY // 10)]
        self.full(ids)
        for wait in waits:
            wait.cancel()
        self.poll(lambda: self.edges() == 0, "none of them waits")
        self.gate_.open()
        self.none_is_left(ids)


if __name__ == "__main__":
    futures_support.main()
