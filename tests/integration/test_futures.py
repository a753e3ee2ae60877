#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each method of the Futures service as a stock client sees it: the whole of its answers, where nothing goes wrong."""
import queue
import unittest

import futures_support
import harness
from futures_support import *  # noqa: F403: the words of the contract
from harness import grpc

from futured.v1 import system_pb2, system_pb2_grpc
from grpc.reflection.v1 import reflection_pb2, reflection_pb2_grpc
from google.protobuf import descriptor_pb2

class Accept(FuturesCase):
    def test_submit(self):
        asked = task("echo", b"hello", content_type="text/plain", labels={"customer": "a b", "x/y.z_1-2": ""},
                     options=future_pb2.TaskOptions(priority=-7, on_lost=future_pb2.ON_LOST_FAIL, retention=seconds(90)))
        got = self.futures.Submit(futures_pb2.SubmitRequest(task=asked, group="the group", tag="the tag"))
        wanted = pending(asked, view=BASIC, group="the group", tag="the tag", priority=-7, retention=seconds(90),
                         on_lost=future_pb2.ON_LOST_FAIL)
        self.assert_message(got, futures_pb2.SubmitResponse(future=wanted, tag="the tag"))
        wanted = succeeded(asked, data=b"hello", content_type="text/plain", group="the group", tag="the tag",
                           priority=-7, retention=seconds(90), on_lost=future_pb2.ON_LOST_FAIL)
        self.assert_future(self.finished(got.future.id), wanted, got.future.id, retention_ns=90 * 10**9)

    def test_submit_of_the_least(self):
        got = self.futures.Submit(futures_pb2.SubmitRequest(task=task("echo")))
        self.assert_message(got, futures_pb2.SubmitResponse(future=pending(task("echo"), view=BASIC)))
        self.assert_future(self.finished(got.future.id), succeeded(task("echo")), got.future.id)

    @unittest.skipUnless(STORE == "none", "about a daemon without a store")
    def test_without_a_store(self):
        """What nobody asked to be durable is EPHEMERAL and says so; a promise that cannot be kept is not made."""
        for durability in (future_pb2.DURABILITY_UNSPECIFIED, future_pb2.DURABILITY_EPHEMERAL):
            asked = task("echo", options=future_pb2.TaskOptions(durability=durability))
            got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
            self.assert_future(got, succeeded(asked))
            self.assertEqual(got.effective_options.durability, future_pb2.DURABILITY_EPHEMERAL)
        options = future_pb2.TaskOptions(durability=future_pb2.DURABILITY_DURABLE)
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Submit,
                                  submit("echo", options=options))
        self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NO_STORE")

    def test_bytes_of_the_task_come_back(self):
        """Fields that this version does not know stay in the task."""
        request = submit("echo", b"x").SerializeToString()
        unknown = bytes([0xfa, 0x07, 5]) + b"later"  # field 127
        asked = task("echo", b"x").SerializeToString() + unknown
        request = bytes([0x0a, len(asked)]) + asked
        call = self.channel().unary_unary("/futured.v1.Futures/Submit",
                                          response_deserializer=futures_pb2.SubmitResponse.FromString)
        id_ = call(request, timeout=DEADLINE).future.id
        raw = self.channel().unary_unary("/futured.v1.Futures/Get")(get(id_).SerializeToString(), timeout=DEADLINE)
        self.assertIn(bytes([0x32, len(asked)]) + asked, raw)

    def test_submit_stream(self):
        """One response per request, in their order; what is bad costs its own status."""
        requests = [submit("echo", b"0", tag="a"), submit("nothing", tag="b"), submit("fail", b"2"),
                    submit("echo", tag="d" * 256), submit("echo", b"4", group="g", view=FULL, tag="e"),
                    futures_pb2.SubmitRequest(tag="f")]
        got = list(self.futures.SubmitStream(iter(requests)))
        self.assertEqual([r.WhichOneof("answer") for r in got],
                         ["future", "status", "future", "status", "future", "status"])
        self.assert_message(got[0], futures_pb2.SubmitResponse(future=pending(requests[0].task, view=BASIC, tag="a"),
                                                               tag="a"))
        self.assert_message(got[2], futures_pb2.SubmitResponse(future=pending(requests[2].task, view=BASIC)))
        self.assert_message(got[4], futures_pb2.SubmitResponse(
            future=pending(requests[4].task, view=FULL, group="g", tag="e"), tag="e"))
        self.assertEqual([r.tag for r in got], ["a", "b", "", "", "e", "f"])
        self.assertEqual([what_failed(r.status) for r in got if r.HasField("status")],
                         [(9, "NO_SUCH_FUNCTION", []), (3, "INVALID_FIELD", ["tag"]), (3, "INVALID_FIELD", ["task"])])
        ids = [r.future.id for r in got if r.HasField("future")]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual([self.finished(i).state for i in ids], [SUCCEEDED, FAILED, SUCCEEDED])

    def test_submit_stream_answers_as_it_goes(self):
        requests = queue.SimpleQueue()
        call = self.futures.SubmitStream(iter(requests.get, None))
        for i in range(10):
            requests.put(submit("echo", b"%d" % i, tag=f"{i}"))
            self.assertEqual(next(call).tag, f"{i}")
        requests.put(None)
        self.assertEqual(list(call), [])

    def test_traceparent(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        got = self.futures.Run(run("echo"), metadata=(("traceparent", trace),))
        self.assert_future(got, succeeded(task("echo"), traceparent=trace))
        got = self.futures.Run(run("echo"), metadata=(("traceparent", "nonsense"),))
        self.assert_future(got, succeeded(task("echo")))


class Run(FuturesCase):
    def test_run(self):
        for data in (b"", b"x", bytes(range(256)) * 300):
            asked = task("echo", data, content_type="application/x-test", labels={"a": "1"})
            request = futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked, group="g", tag="t"))
            got, call = self.futures.Run.with_call(request)
            wanted = succeeded(asked, data=data, content_type="application/x-test", group="g", tag="t")
            self.assert_future(got, wanted, dict(call.initial_metadata())["futured-id"])
            self.assert_future(self.futures.Get(get(got.id)), wanted, got.id)

    def test_a_failed_task_is_no_failed_call(self):
        wanted = failed(task("fail", b"so be it"), function_error("so be it", type_="FAIL"))
        got = self.assert_future(self.futures.Run(run("fail", b"so be it")), wanted)
        self.assert_future(self.futures.Get(get(got.id)), wanted, got.id)

    def test_id_comes_before_the_outcome(self):
        gate = self.gate()
        # As a stream of replies, because for a single one this client reads all at once.
        method = self.channel().unary_stream("/futured.v1.Futures/Run", response_deserializer=future_pb2.Future.FromString,
                                             request_serializer=futures_pb2.RunRequest.SerializeToString)
        call = method(run("gate", gate.argument), timeout=DEADLINE)
        id_ = dict(call.initial_metadata())["futured-id"]
        self.assertEqual(gate.started(), [id_])
        got = self.until(id_, lambda f: f.state == RUNNING)
        self.assert_future(got, running(task("gate", gate.argument)), id_)
        gate.open(b"at last")
        wanted = succeeded(task("gate", gate.argument), data=b"at last", exit_code=0)
        self.assert_future(next(call), wanted, id_)
        self.assertEqual(list(call), [])

    def test_run_stream(self):
        """In the order of completion; announced where asked; tags; views; a bad item costs its own status."""
        gate, requests = self.gate(), queue.SimpleQueue()
        call = self.futures.RunStream(iter(requests.get, None))
        requests.put(run("gate", gate.argument, tag="first", announce=True))
        first = next(call)
        self.assert_message(first, futures_pb2.RunResponse(
            accepted=pending(task("gate", gate.argument), view=BASIC, tag="first"), tag="first"))
        gate.started()
        requests.put(run("echo", b"second", tag="second"))
        self.assert_message(next(call), futures_pb2.RunResponse(
            finished=succeeded(task("echo", b"second"), data=b"second", tag="second"), tag="second"))
        requests.put(run("nothing", tag="third", announce=True))
        third = next(call)
        self.assertEqual((third.WhichOneof("answer"), third.tag), ("status", "third"))
        self.assertEqual(what_failed(third.status), (9, "NO_SUCH_FUNCTION", []))
        requests.put(futures_pb2.RunRequest(announce=True))
        self.assertEqual(what_failed(next(call).status), (3, "INVALID_FIELD", ["submit"]))
        requests.put(run("fail", b"f", tag="fourth", view=RESULT, announce=True))
        self.assertEqual(next(call).accepted.state, PENDING)
        self.assert_message(next(call), futures_pb2.RunResponse(
            finished=failed(task("fail"), function_error("f", type_="FAIL"), view=RESULT), tag="fourth"))
        requests.put(None)
        gate.open()
        rest = list(call)
        self.assertEqual([r.finished.id for r in rest], [first.accepted.id])
        self.assert_message(rest[0], futures_pb2.RunResponse(
            finished=succeeded(task("gate", gate.argument), exit_code=0, tag="first"), tag="first"))

    def test_ten_thousand(self):
        """Each result belongs to its own task: argument, label, tag and ID go together."""
        n = 10000
        requests = (run("echo", b"argument %d" % i, tag=f"tag {i}", labels={"number": str(i)}) for i in range(n))
        seen = {}
        for r in self.futures.RunStream(requests):
            f, i = r.finished, int(r.tag.split()[1])
            self.assertNotIn(i, seen)
            seen[i] = f.id
            self.assertEqual((f.task.argument, f.result.data, dict(f.task.labels), dict(f.labels), f.tag, r.tag),
                             (b"argument %d" % i, b"argument %d" % i, {"number": str(i)}, {"number": str(i)},
                              f"tag {i}", f"tag {i}"))
        self.assertEqual(sorted(seen), list(range(n)))
        ids = [seen[i] for i in range(n)]
        self.assertEqual(ids, sorted(set(ids)), "in the order of acceptance")
        for i in range(0, n, 997):
            wanted = succeeded(task("echo", b"argument %d" % i, labels={"number": str(i)}), data=b"argument %d" % i,
                               tag=f"tag {i}")
            self.assert_future(self.futures.Get(get(seen[i])), wanted, seen[i])


class Change(FuturesCase):
    def test_get(self):
        gate = self.gate()
        held, ids = self.occupy()
        asked = task("gate", gate.argument)
        id_ = self.submit("gate", gate.argument)
        self.assert_future(self.futures.Get(get(id_)), pending(asked), id_)
        wanted = task("gate", held.argument)
        self.assert_future(self.until(ids[0], lambda f: f.state == RUNNING), running(wanted), ids[0])
        self.assert_future(self.futures.Get(get(ids[0])), running(wanted), ids[0])
        held.open()
        self.assert_future(self.finished(ids[0]), succeeded(wanted, exit_code=0), ids[0])
        gate.open(b"r")
        self.assert_future(self.finished(id_), succeeded(asked, data=b"r", exit_code=0), id_)
        self.assert_future(self.futures.Get(get(id_)), succeeded(asked, data=b"r", exit_code=0), id_)

    def test_cancel_pending(self):
        gate, _ = self.occupy()
        asked = task("echo", b"never", labels={"k": "v"})
        id_ = self.futures.Submit(futures_pb2.SubmitRequest(task=asked, group="g")).future.id
        waiter = self.futures.Run.future(run("echo", b"never"))
        everything = futures_pb2.ListRequest(selector=selector(filter="*"), page_size=1)
        self.poll(lambda: self.futures.List(everything).futures[0].id != id_, "accepted")
        runs, = self.futures.List(everything).futures
        got = self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="changed my mind"))
        wanted = cancelled(asked, "changed my mind", view=BASIC, group="g")
        self.assert_future(got, wanted, id_)
        again = self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="another reason"))
        self.assertEqual(again, got)
        self.futures.Cancel(futures_pb2.CancelRequest(id=runs.id))
        self.assert_future(waiter.result(), cancelled(task("echo", b"never")), runs.id)
        gate.open()
        self.assert_serves()
        self.assertEqual(self.futures.Get(get(id_, BASIC)), got, "cancelled for good")

    def test_cancel_terminal(self):
        got = self.futures.Run(run("echo", view=BASIC))
        self.assertEqual(self.futures.Cancel(futures_pb2.CancelRequest(id=got.id, reason="too late")), got)

    def test_delete(self):
        kept, gone = self.futures.Run(run("echo", b"kept")), self.futures.Run(run("echo", b"gone"))
        self.assertEqual(self.futures.Delete(futures_pb2.DeleteRequest(id=gone.id)), futures_pb2.DeleteResponse())
        for call, request in ((self.futures.Get, get(gone.id)),
                              (self.futures.Delete, futures_pb2.DeleteRequest(id=gone.id)),
                              (self.futures.Cancel, futures_pb2.CancelRequest(id=gone.id)),
                              (self.futures.Annotate, futures_pb2.AnnotateRequest(id=gone.id)),
                              (self.futures.Watch, futures_pb2.WatchRequest(selector=selector(gone.id)))):
            error = self.assert_fails(grpc.StatusCode.NOT_FOUND, call, request)
            details = self.assert_refused(error, grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE")
            self.assertEqual(details["ResourceInfo"], error_details_pb2.ResourceInfo(
                resource_type="futured.v1.Future", resource_name=gone.id))
        listed = self.futures.List(futures_pb2.ListRequest(selector=selector(filter="*"))).futures
        self.assertEqual([f.id for f in listed], [kept.id])
        waited = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(gone.id, kept.id)))
        self.assertEqual((list(waited.missing), [f.id for f in waited.done]), ([gone.id], [kept.id]))

    def test_delete_what_has_not_ended(self):
        _, (id_, *_) = self.occupy()
        waits = self.submit("echo")
        for i in (id_, waits):
            error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Delete,
                                      futures_pb2.DeleteRequest(id=i))
            self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NOT_TERMINAL")
        self.assertEqual(self.futures.Get(get(waits)).state, PENDING)

    def test_delete_what_is_waited_for(self):
        """A waiter pins its futures; when it has gone they are free."""
        _, (held, *_) = self.occupy(1)
        pinned, waits = [], []

        def try_to_delete():  # a Wait tells nobody that it has begun, so this may come before it
            id_ = self.futures.Run(run("echo")).id
            waits.append(self.futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_, held))))
            deleted = self.futures.Delete.future(futures_pb2.DeleteRequest(id=id_))
            if deleted.exception() is not None:
                pinned.append(id_)
                self.assert_refused(deleted.exception(), grpc.StatusCode.FAILED_PRECONDITION, "PINNED")
            return pinned

        self.poll(try_to_delete, "pinned")
        request = futures_pb2.DeleteRequest(id=pinned[0])
        for wait in waits:
            wait.cancel()
        self.poll(lambda: self.fails_with(self.futures.Delete, request) == grpc.StatusCode.OK, "deleted")
        self.assertEqual(self.fails_with(self.futures.Get, get(pinned[0])), grpc.StatusCode.NOT_FOUND)

    def test_annotate(self):
        gate, _ = self.occupy()
        asked = task("echo", b"x", labels={"a": "1", "b": "2"})
        id_ = self.futures.Submit(futures_pb2.SubmitRequest(task=asked)).future.id

        def annotate(labels=None, remove=(), **fields):
            return self.futures.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels=labels, remove_labels=remove,
                                                                     **fields))

        first = annotate({"b": "3", "c": "\N{SNOWMAN}"}, ["a", "not there"])
        self.assert_future(first, pending(asked, view=BASIC, labels={"b": "3", "c": "\N{SNOWMAN}"}), id_)
        second = annotate({"b": "4"}, ["b"], if_revision=first.revision)
        self.assert_future(second, pending(asked, view=BASIC, labels={"b": "4", "c": "\N{SNOWMAN}"}), id_)
        self.assertGreater(second.revision, first.revision)
        with self.assertRaises(grpc.RpcError) as caught:
            annotate({"never": ""}, if_revision=first.revision)
        self.assert_refused(caught.exception, grpc.StatusCode.ABORTED, "REVISION_MISMATCH")
        self.assertEqual(self.futures.Get(get(id_, BASIC)), second)
        gate.open()
        ended = self.finished(id_)
        self.assert_future(ended, succeeded(asked, data=b"x", labels={"b": "4", "c": "\N{SNOWMAN}"}), id_)
        last = annotate(remove=["b", "c"])
        self.assert_future(last, succeeded(asked, data=b"x", view=BASIC, labels={}), id_)
        self.assertGreater(last.revision, ended.revision)
        self.assertEqual(self.futures.Get(get(id_)).task, asked, "the task has its labels for ever")

    def test_annotate_to_the_limit(self):
        id_ = self.futures.Run(run("echo", labels={f"k{i}": "" for i in range(64)})).id
        error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, self.futures.Annotate,
                                  futures_pb2.AnnotateRequest(id=id_, set_labels={"one-more": ""}))
        self.assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "set_labels")
        request = futures_pb2.AnnotateRequest(id=id_, set_labels={f"l{i}": "x" * 1024 for i in range(64)},
                                              remove_labels=[f"k{i}" for i in range(64)])
        got = self.futures.Annotate(request)
        self.assertEqual(dict(got.labels), {f"l{i}": "x" * 1024 for i in range(64)})


class Listing(FuturesCase):
    def list(self, page_size=0, order_by="", view=0, token="", **select):
        ids = select.pop("ids", ())
        return self.futures.List(futures_pb2.ListRequest(selector=selector(*ids, **select), order_by=order_by, view=view,
                                                         page_size=page_size, page_token=token))

    def pages(self, **question):
        """The IDs of all pages, and the sizes of these."""
        ids, sizes, token = [], [], ""
        while True:
            page = self.list(token=token, **question)
            ids += [f.id for f in page.futures]
            sizes.append(len(page.futures))
            token = page.next_page_token
            if not token:
                return ids, sizes

    def test_whole(self):
        gate, (held, *_) = self.occupy(1)
        a = self.futures.Run(run("echo", b"a", labels={"x": "y"}, group="g"))
        b = self.futures.Run(run("fail", b"b", tag="t"))
        self.until(held, lambda f: f.state == RUNNING)
        wanted = [failed(task("fail", b"b"), function_error("b", type_="FAIL"), view=BASIC, tag="t"),
                  succeeded(task("echo", b"a", labels={"x": "y"}), data=b"a", view=BASIC, group="g"),
                  running(task("gate", gate.argument), view=BASIC)]
        got = self.list(filter="*")
        self.assert_message(got, futures_pb2.ListResponse(futures=wanted))
        self.assertEqual([f.id for f in got.futures], [b.id, a.id, held])
        self.assert_message(self.list(filter="*", order_by="asc"), futures_pb2.ListResponse(futures=wanted[::-1]))
        self.assert_message(self.list(group="g"), futures_pb2.ListResponse(futures=[wanted[1]]))
        self.assert_message(self.list(group="h"), futures_pb2.ListResponse())
        self.assert_message(self.list(ids=[held, b.id]), futures_pb2.ListResponse(futures=[wanted[0], wanted[2]]))

    def test_by_ids(self):
        ids = self.submit_many(submit("echo") for _ in range(10))
        unknown = [NO_SUCH_ID, "ffffffff-ffff-7fff-bfff-ffffffffffff"]
        asked = [*ids[::2], *unknown, ids[4], *ids[::-3]]
        wanted = sorted({*ids[::2], *ids[::-3]})
        self.assertEqual(self.pages(ids=asked, order_by="asc"), (wanted, [len(wanted)]))
        self.assertEqual(self.pages(ids=asked), (wanted[::-1], [len(wanted)]))
        got, sizes = self.pages(ids=asked, page_size=3)
        self.assertEqual((got, sizes), (wanted[::-1], [3, 3, len(wanted) - 6]))
        self.assertEqual(self.pages(ids=unknown), ([], [0]))
        self.assertEqual(self.pages(ids=[ids[3]], page_size=1), ([ids[3]], [1]))

    def test_pages(self):
        ids = self.submit_many(submit("echo", group=("odd" if i % 2 else "even")) for i in range(250))
        for order, wanted in (("", ids[::-1]), ("desc", ids[::-1]), ("asc", ids)):
            self.assertEqual(self.pages(filter="*", order_by=order), (wanted, [100, 100, 50]))
            for size in (1, 7, 249, 250, 1000):
                got, sizes = self.pages(filter="*", order_by=order, page_size=size)
                self.assertEqual(got, wanted)
                self.assertEqual([s for s in sizes[:-1] if s != size], [])
            odd = wanted[0::2] if wanted[0] == ids[249] else wanted[1::2]
            self.assertEqual(self.pages(group="odd", order_by=order, page_size=10)[0], odd)

    def test_whoever_stays_comes_once(self):
        """Between pages others come and go."""
        for order in ("asc", "desc"):
            stays, goes = [], []
            for i in range(90):
                (goes if i % 3 == 0 else stays).append(self.futures.Run(run("echo", group=order)).id)
            seen, token = [], ""
            while True:
                page = self.list(group=order, order_by=order, page_size=7, token=token)
                seen += [f.id for f in page.futures]
                self.submit("echo", group=order)
                for _ in range(min(4, len(goes))):
                    self.futures.Delete(futures_pb2.DeleteRequest(id=goes.pop()))
                token = page.next_page_token
                if not token:
                    break
            self.assertEqual(seen, sorted(set(seen), reverse=order == "desc"))
            self.assertLessEqual(set(stays), set(seen))


class Watching(FuturesCase):
    def event(self, kind, shown):
        return futures_pb2.FutureEvent(id=ID, time=TIME, **{kind: shown})

    def watch(self, id_, **fields):
        return self.futures.Watch(futures_pb2.WatchRequest(selector=selector(id_), **fields))

    def test_a_whole_life(self):
        held, _ = self.occupy()
        gate = self.gate()
        asked = task("gate", gate.argument, labels={"a": "1"})
        id_ = self.futures.Submit(futures_pb2.SubmitRequest(task=asked)).future.id
        watch, brief = self.watch(id_), self.watch(id_, view=RESULT)
        events = [next(watch)]
        self.assert_message(events[-1], self.event("snapshot", pending(asked, view=BASIC)))
        self.assert_message(next(brief), self.event("snapshot", future(asked, PENDING, view=RESULT)))
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels={"b": "2"}))
        events.append(next(watch))
        labels = {"a": "1", "b": "2"}
        self.assert_message(events[-1], self.event("labels", pending(asked, view=BASIC, labels=labels)))
        held.open()
        events.append(next(watch))
        self.assert_message(events[-1], self.event("state", running(asked, view=BASIC, labels=labels)))
        gate.open(b"end")
        events += watch
        self.assertEqual(len(events), 4)
        wanted = succeeded(asked, data=b"end", exit_code=0, view=BASIC, labels=labels)
        self.assert_message(events[-1], self.event("state", wanted))
        self.assertEqual({e.id for e in events}, {id_})
        shown = [getattr(e, e.WhichOneof("event")) for e in events]
        revisions = [f.revision for f in shown]
        self.assertEqual(revisions, sorted(set(revisions)))
        times = [nanoseconds(e.time) for e in events]
        self.assertEqual(times, sorted(times))
        *_, last = brief
        self.assert_message(last, self.event("state", future(asked, SUCCEEDED, view=RESULT, result=future_pb2.Result(
            data=b"end", size_bytes=3))))

    def test_what_has_ended(self):
        """A snapshot and the end; nothing for one who knows it already."""
        got = self.futures.Run(run("echo", b"x"))
        events = list(self.watch(got.id, view=FULL))
        self.assertEqual(len(events), 1)
        self.assert_message(events[0], self.event("snapshot", succeeded(task("echo", b"x"), data=b"x")))
        self.assertEqual(events[0].snapshot, got)
        self.assertEqual(list(self.watch(got.id, after_revision=got.revision)), [])
        self.assertEqual(len(list(self.watch(got.id, after_revision=got.revision - 1))), 1)

    def test_after_revision(self):
        held, _ = self.occupy()
        got = self.futures.Submit(submit("echo")).future
        watch = self.watch(got.id, after_revision=got.revision)
        watch.initial_metadata()
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=got.id, set_labels={"a": ""}))
        self.assertEqual(next(watch).WhichOneof("event"), "labels")
        held.open()
        *_, last = watch
        self.assertEqual((last.WhichOneof("event"), last.state.state), ("state", SUCCEEDED))

    def test_kinds(self):
        """Only what was asked for, beside the snapshot."""
        held, _ = self.occupy()
        id_ = self.submit("echo")
        labels = self.watch(id_, kinds=[futures_pb2.EVENT_KIND_LABELS])
        states = self.watch(id_, kinds=[futures_pb2.EVENT_KIND_STATE, futures_pb2.EVENT_KIND_LOG])
        for watch in (labels, states):
            self.assertEqual(next(watch).WhichOneof("event"), "snapshot")
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels={"a": ""}))
        self.assertEqual(next(labels).WhichOneof("event"), "labels")
        held.open()
        self.assertEqual(list(labels), [])
        kinds = {e.WhichOneof("event") for e in states}
        self.assertEqual(kinds, {"state"})

    def test_many_watchers(self):
        held, (id_, *_) = self.occupy()
        watches = [self.watch(id_) for _ in range(50)]
        for watch in watches:
            next(watch)
        held.open()
        ends = [list(w)[-1] for w in watches]
        self.assertEqual({e.state.state for e in ends}, {SUCCEEDED})
        self.assertEqual(len({e.state.revision for e in ends}), 1)


class Functions(FuturesCase):
    functions = {"cat": "cat", "two.words_and-1": {"command": "cat", "doc": "What it does."}}

    def setUp(self):
        super().setUp()
        self.stub = self.functions_of(self.server)
        system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.version = system.GetInfo(system_pb2.GetInfoRequest()).version  # that of the functions that ship with it

    def info(self, name, doc="", content_types=(), **counts):
        is_command = name == "gate" or name in self.functions
        info = functions_pb2.FunctionInfo(
            spec=functions_pb2.FunctionSpec(name=name, doc=doc, content_types=content_types,
                                            version="" if is_command else self.version), worker_count=2, counts=future_pb2.StateCounts(**counts),
            kinds=[functions_pb2.FUNCTION_KIND_COMMAND if is_command else functions_pb2.FUNCTION_KIND_PLUGIN])
        if counts:
            info.mean_run.SetInParent()
        return info

    def plain(self, got):
        """Without what depends on how far the workers are."""
        for info in getattr(got, "functions", [got]):
            for name in ("credit", "oldest_pending_age", "reserved_count"):
                info.ClearField(name)
        return got

    def wait_workers(self):
        request = functions_pb2.GetFunctionRequest(function="echo")
        self.poll(lambda: self.stub.GetFunction(request).worker_count == self.workers, "the pool is complete")

    def test_all(self):
        self.wait_workers()
        self.futures.Run(run("echo"))
        self.futures.Run(run("fail"))
        wanted = [self.info("cat"), self.info("echo", "The argument back, with its content type.", succeeded=1),
                  self.info("fail", "Fails. Argument: the message of its error.", failed=1), self.info("gate"),
                  self.info("gunzip", "The argument, in gzip format, decompressed.",
                            ["application/gzip", "application/x-gzip", "application/octet-stream"]),
                  self.info("gzip", "The argument compressed in gzip format."),
                  self.info("sha256", "SHA-256 of the argument: 64 lower-case hexadecimal characters."),
                  self.info("sleep", "Wait. Argument: milliseconds as decimal text. The result is empty.",
                            ["text/plain"]),
                  self.info("two.words_and-1", "What it does.")]
        got = self.stub.ListFunctions(functions_pb2.ListFunctionsRequest())
        self.assert_message(self.plain(got), functions_pb2.ListFunctionsResponse(functions=wanted))
        for info in wanted:
            got = self.stub.GetFunction(functions_pb2.GetFunctionRequest(function=info.spec.name))
            self.assert_message(self.plain(got), info)

    def test_counts(self):
        self.wait_workers()
        gate, ids = self.occupy()
        for id_ in ids:
            self.until(id_, lambda f: f.state == RUNNING)
        waits = self.submit("gate", gate.argument)
        self.futures.Cancel(futures_pb2.CancelRequest(id=self.submit("gate", gate.argument)))
        got = self.stub.GetFunction(functions_pb2.GetFunctionRequest(function="gate"))
        wanted = self.info("gate", pending=1, running=2, cancelled=1)
        wanted.ClearField("mean_run")
        self.assert_message(self.plain(got), wanted)
        gate.open()
        for id_ in (*ids, waits):
            self.finished(id_)
        got = self.stub.GetFunction(functions_pb2.GetFunctionRequest(function="gate"))
        self.assert_message(self.plain(got), self.info("gate", succeeded=3, cancelled=1))

    def test_pages(self):
        names, sizes, token = [], [], ""
        while True:
            page = self.stub.ListFunctions(functions_pb2.ListFunctionsRequest(page_size=4, page_token=token))
            names += [f.spec.name for f in page.functions]
            sizes.append(len(page.functions))
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(sizes, [4, 4, 1])
        self.assertEqual(names, ["cat", "echo", "fail", "gate", "gunzip", "gzip", "sha256", "sleep", "two.words_and-1"])
        for prefix, wanted in (("g", ["gate", "gunzip", "gzip"]), ("gz", ["gzip"]), ("nothing", [])):
            page = self.stub.ListFunctions(functions_pb2.ListFunctionsRequest(prefix=prefix))
            self.assertEqual([f.spec.name for f in page.functions], wanted)


class Methods(FuturesCase):
    """Every method of the descriptor set works or says UNIMPLEMENTED; none is forgotten."""

    BUILT = {
        "futured.v1.Futures": {"Submit", "SubmitStream", "Run", "RunStream", "Get", "Wait", "AsCompleted", "Watch", "List", "Count",
                               "Annotate", "Cancel", "Reschedule", "Delete", "Explain", "CancelMany",
                               "DeleteMany", "Retry", "RetryMany"},
        "futured.v1.Functions": {"ListFunctions", "GetFunction", "PauseFunction", "ResumeFunction", "SetFunctionLimits"},
        "futured.v1.Workers": {"Attach", "Claim", "Renew", "Finish", "ListWorkers", "DrainWorker", "KillWorker"},
        "futured.v1.System": {"GetInfo", "GetStats", "Drain", "Resume", "Reload"},
        "google.longrunning.Operations": {"ListOperations", "GetOperation", "CancelOperation", "DeleteOperation",
                                          "WaitOperation"},
        "grpc.health.v1.Health": {"Check", "Watch"},
        "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo"},
        "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo"},
    }

    def services(self):
        """Every service that reflection lists, as a descriptor."""
        stub = reflection_pb2_grpc.ServerReflectionStub(self.channel())
        ask = reflection_pb2.ServerReflectionRequest
        listed, = stub.ServerReflectionInfo(iter([ask(list_services="*")]), timeout=DEADLINE)
        names = [s.name for s in listed.list_services_response.service]
        for name, answer in zip(names, stub.ServerReflectionInfo(
                iter([ask(file_containing_symbol=n) for n in names]), timeout=DEADLINE)):
            files = [descriptor_pb2.FileDescriptorProto.FromString(f)
                     for f in answer.file_descriptor_response.file_descriptor_proto]
            yield name, next(s for f in files for s in f.service if f"{f.package}.{s.name}" == name)

    def call(self, path, method):
        """The code with which it meets an empty message."""
        kind = ("stream_" if method.client_streaming else "unary_") + ("stream" if method.server_streaming else "unary")
        call = getattr(self.channel(), kind)(path)
        request = iter([b""]) if method.client_streaming else b""
        try:
            reply = call(request, timeout=DEADLINE)
            if method.server_streaming:
                next(reply, None)
                reply.cancel()
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return error.code()

    def test_each(self):
        built = {}
        for name, service in self.services():
            built[name] = {m.name for m in service.method
                           if self.call(f"/{name}/{m.name}", m) != grpc.StatusCode.UNIMPLEMENTED}
        self.assertEqual(built, self.BUILT)
        self.assert_serves()

    def test_unknown(self):
        for path in ("/futured.v1.Futures/Guess", "/futured.v1.Guesses/Submit", "/futured.v2.Futures/Submit",
                     "/futured.v1.futures/Submit"):
            method = self.channel().unary_unary(path)
            self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, method, b"", timeout=DEADLINE)
        self.assert_serves()


if __name__ == "__main__":
    futures_support.main()
