#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad requests: each is refused with its code, its reason and the field it is about; nothing is accepted by the way, and
the daemon serves on."""
import queue

import futures_support
from futures_support import *  # noqa: F403: the words of the contract
from harness import grpc

from google.protobuf import duration_pb2

INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
NOT_FOUND, PRECONDITION = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION
NEGATIVE = duration_pb2.Duration(nanos=-1)
MALFORMED_IDS = ("x", "", "01890000-0000-7000-8000-00000000000", "01890000-0000-7000-8000-0000000000000",
                 "01890000-0000-4000-8000-000000000000", "01890000-0000-7000-c000-000000000000",
                 "0189000000007000800000000000000000000",
                 "01890000-0000-7000-8000-00000000000g", "{1890000-0000-7000-8000-000000000000}", "\N{SNOWMAN}" * 12)


def field(number, payload):
    """A length-delimited field as it goes over the wire."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number(field_number, value):
    return varint(field_number << 3) + varint(value)


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def bad(message, *fields):
    return message, INVALID, "INVALID_FIELD", fields


def unbuilt(message, field_name):
    return message, UNIMPLEMENTED, "UNIMPLEMENTED_FIELD", (field_name,)


def with_options(**options):
    return submit("echo", options=future_pb2.TaskOptions(**options))


def with_raw_options(raw):
    return field(1, task("echo").SerializeToString() + field(6, raw))


def with_label(key, value=""):
    return submit("echo", labels={key: value})


def submissions():
    """(request, code, reason, fields): what Submit, SubmitStream, Run and RunStream refuse alike."""
    options = future_pb2.TaskOptions
    yield bad(futures_pb2.SubmitRequest(), "task")
    for name in ("", "a" * 256, "a b", "a/b", "\N{SNOWMAN}", "echo\0", "echo "):
        yield bad(submit(name), "task.function")
    for name in ("nothing", "a" * 255, "Echo", "."):
        yield submit(name), PRECONDITION, "NO_SUCH_FUNCTION", ()
    yield bad(submit("echo", content_type="t" * 256), "task.content_type")
    yield bad(submit("echo", labels={f"k{i}": "" for i in range(65)}), "task.labels")
    for key in ("", "k" * 64, "a b", "a:b", "\N{SNOWMAN}"):
        yield bad(with_label(key), "task.labels key")
    yield bad(with_label("key", "v" * 1025), "task.labels value")
    yield bad(with_label("key", "\N{SNOWMAN}" * 342), "task.labels value")
    twice = field(5, field(1, b"k") + field(2, b"v"))
    yield bad(field(1, task("echo").SerializeToString() + twice + twice), "task.labels")
    yield bad(field(1, task("echo").SerializeToString() + field(5, field(1, b"k") + field(2, b"\xff"))), "task.labels")
    yield bad(submit("echo", group="g" * 256), "group")
    yield bad(submit("echo", tag="t" * 256), "tag")
    for view in (5, 1000, -1):
        yield bad(submit("echo", view=view), "view")
    for name, value in (("durability", 3), ("on_lost", 3), ("depend_policy", 4), ("key_policy", 5)):
        for wrong in (value, -1, 2**31 - 1):
            yield bad(with_options(**{name: wrong}), f"task.options.{name}")
    for name in ("delay", "attempt_timeout", "retention"):
        for span in (NEGATIVE, duration_pb2.Duration(seconds=-1)):
            yield bad(with_options(**{name: span}), f"task.options.{name}")
        for span in (duration_pb2.Duration(seconds=1, nanos=-1), duration_pb2.Duration(nanos=10**9)):
            yield bad(with_options(**{name: span}), f"task.options.{name}")
    for name in ("not_before", "deadline"):
        yield bad(with_options(**{name: timestamp_pb2.Timestamp(nanos=-1)}), f"task.options.{name}")
    for name, value in (("max_attempts", 1001), ("initial_backoff", NEGATIVE), ("max_backoff", NEGATIVE),
                        ("multiplier", 0.99), ("multiplier", float("nan")), ("multiplier", float("inf")),
                        ("jitter", -0.1), ("jitter", 1.1), ("jitter", float("nan")),
                        ("non_retryable_types", ["x"] * 65), ("non_retryable_types", ["x" * 256]),
                        ("non_retryable_types", [""])):
        yield bad(with_options(retry=future_pb2.RetryPolicy(**{name: value})), f"task.options.retry.{name}")
    yield bad(with_options(not_before=timestamp_pb2.Timestamp(seconds=5), deadline=timestamp_pb2.Timestamp(seconds=4)),
              "task.options.deadline")
    both = options(delay=seconds(1)).SerializeToString() + options(not_before=TIME).SerializeToString()
    yield bad(with_raw_options(both), "task.options.delay")
    yield bad(with_raw_options(number(2, 1 << 33)), "task.options.priority")
    yield bad(futures_pb2.SubmitRequest(task=task("echo"), request_id="r" * 256), "request_id")
    for name in ("idempotency_key", "concurrency_key", "fairness_key"):
        yield bad(with_options(**{name: "k" * 256}), f"task.options.{name}")
    yield bad(with_options(depends_on=["x"]), "task.options.depends_on")
    yield bad(with_options(depends_on=[NO_SUCH_ID] * 1001), "task.options.depends_on")
    yield with_options(depends_on=[NO_SUCH_ID]), grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE", ()
    # what is not there yet says so, by its name
    yield unbuilt(futures_pb2.SubmitRequest(task=future_pb2.Task(function="echo", argument_blob="b")), "task.argument_blob")
    # what is no message, or no text
    for raw, name in ((field(1, field(1, b"\xff")), "task.function"), (field(2, b"\xc0\x80"), "group"),
                      (field(3, b"\xed\xa0\x80"), "tag"), (number(1, 1), "task"), (field(5, b"x"), "view")):
        yield bad(raw, name)
    yield bad(field(1, b"\x0a\x05ab"), "task")
    yield b"\x0a\x05ab", INVALID, "MALFORMED_MESSAGE", ()


class BadCase(FuturesCase):
    def raw(self, name, kind="unary_unary", service="Futures"):
        """The method for requests as bytes."""
        return getattr(self.channel(), kind)(f"/futured.v1.{service}/{name}")

    def refuse(self, method, rows):
        """@method, of bytes, answers each of @rows as the row says."""
        for message, code, reason, fields in rows:
            data = message if isinstance(message, bytes) else message.SerializeToString()
            with self.subTest(message=str(message)[:200]):
                error = self.assert_fails(code, method, data, timeout=DEADLINE)
                self.assert_refused(error, code, reason, *fields)
                self.assertEqual(self.futures.Run(run("echo", b"on")).result.data, b"on")

    def accepted(self):
        """Every future that this daemon has, but those of refuse()."""
        found, token = [], ""
        while True:
            page = self.futures.List(futures_pb2.ListRequest(selector=selector(filter="*"), view=FULL, page_token=token))
            found += [f for f in page.futures if f.task != task("echo", b"on")]
            token = page.next_page_token
            if not token:
                return found


class Submissions(BadCase):
    def test_submit(self):
        self.refuse(self.raw("Submit"), submissions())
        self.assertEqual(self.accepted(), [])
        self.assert_serves()

    def test_run(self):
        rows = [(field(1, r if isinstance(r, bytes) else r.SerializeToString()), *wanted) for r, *wanted in submissions()]
        malformed = [r for r in rows if r[2] == "MALFORMED_MESSAGE"]
        self.refuse(self.raw("Run"), [r for r in rows if r not in malformed])
        self.refuse(self.raw("Run"), [
            bad(b"", "submit"), (b"\x0a\x05ab", INVALID, "MALFORMED_MESSAGE", ())])
        self.assertEqual(self.accepted(), [])
        self.assert_serves()

    def test_streams(self):
        """Each costs its own status, between others that are fine."""
        rows = [(r if isinstance(r, bytes) else r.SerializeToString(), *wanted) for r, *wanted in submissions()]
        malformed = [r for r in rows if r[2] == "MALFORMED_MESSAGE"]
        for name, wrap in (("SubmitStream", lambda r: r), ("RunStream", lambda r: field(1, r))):
            requests, fine = queue.SimpleQueue(), submit("echo", b"on").SerializeToString()
            response = futures_pb2.SubmitResponse if name == "SubmitStream" else futures_pb2.RunResponse
            call = self.raw(name, "stream_stream")(iter(requests.get, None), timeout=DEADLINE)
            for data, code, reason, fields in [r for r in rows if r not in malformed]:
                with self.subTest(method=name, message=data[:100]):
                    requests.put(wrap(data))
                    answer = response.FromString(next(call))
                    self.assertEqual(what_failed(answer.status), (code.value[0], reason, list(fields)))
                    requests.put(wrap(fine))
                    self.assertFalse(response.FromString(next(call)).HasField("status"))
            requests.put(None)
            self.assertEqual(list(call), [])
        self.assertEqual(self.accepted(), [])

    def test_tag_of_a_bad_item(self):
        """It comes back wherever it could be read."""
        requests = [submit("nothing", tag="a"), submit("echo", labels={"": ""}, tag="b"), submit("echo", group="g" * 256, tag="c")]
        self.assertEqual([r.tag for r in self.futures.SubmitStream(iter(requests))], ["a", "b", "c"])

    def test_at_the_limits(self):
        """What is just allowed."""
        asked = task("echo", b"x", content_type="t" * 255, labels={"k" * 63: "v" * 1024, "A.b_c/d-9": "\N{SNOWMAN}" * 341,
                                                                   **{f"k{i}": "" for i in range(62)}},
                     options=future_pb2.TaskOptions(priority=-2**31, delay=seconds(0), attempt_timeout=seconds(0)))
        request = futures_pb2.SubmitRequest(task=asked, group="g" * 255, tag="\N{SNOWMAN}" * 85)
        got = self.futures.Run(futures_pb2.RunRequest(submit=request))
        self.assert_future(got, succeeded(asked, data=b"x", content_type="t" * 255, group="g" * 255,
                                          tag="\N{SNOWMAN}" * 85, priority=-2**31))

    def test_too_large(self):
        """Refused before it is buffered; the connection goes on."""
        request = submit("echo", b"x" * (4 << 20))
        for call, message in ((self.futures.Submit, request), (self.futures.Run, futures_pb2.RunRequest(submit=request)),
                              (self.futures.SubmitStream, iter([request]))):
            error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, call, message)
            details = self.assert_refused(error, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
            self.assertEqual(details["ErrorInfo"].metadata["limit"], str(4 << 20))
            self.assertEqual(self.futures.Run(run("echo", b"on")).result.data, b"on")
        self.assertEqual(self.accepted(), [])


class Others(BadCase):
    def test_ids(self):
        """A malformed ID is INVALID_ARGUMENT, an unknown one NOT_FOUND and never pending."""
        for name, kind, message in (("Get", "unary_unary", futures_pb2.GetRequest),
                                    ("Cancel", "unary_unary", futures_pb2.CancelRequest),
                                    ("Delete", "unary_unary", futures_pb2.DeleteRequest),
                                    ("Retry", "unary_unary", futures_pb2.RetryRequest),
                                    ("Annotate", "unary_unary", futures_pb2.AnnotateRequest)):
            rows = [bad(message(id=i), "id") for i in MALFORMED_IDS]
            rows += [(message(id=i), NOT_FOUND, "NO_SUCH_FUTURE", ())
                     for i in (NO_SUCH_ID, "ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000")]
            self.refuse(self.raw(name, kind), rows)
        self.assert_serves()

    def test_upper_case_is_the_same_id(self):
        got = self.futures.Run(run("echo"))
        self.assertEqual(self.futures.Get(get(got.id.upper())), got)
        waited = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(got.id.upper(), got.id)))
        self.assertEqual([f.id for f in waited.done], [got.id])

    def test_selectors(self):
        one, two = selector(NO_SUCH_ID), selector(NO_SUCH_ID, group="g")
        for name, kind, message in (("Wait", "unary_unary", futures_pb2.WaitRequest),
                                    ("List", "unary_unary", futures_pb2.ListRequest),
                                    ("Watch", "unary_stream", futures_pb2.WatchRequest)):
            rows = [bad(message(), "selector"), bad(message(selector=selector()), "selector"),
                    bad(message(selector=two), "selector"), bad(message(selector=selector(group="g", filter="*")), "selector"),
                    bad(message(selector=selector(group="g" * 256)), "selector.group"),
                    bad(message(selector=selector(*[NO_SUCH_ID] * 10001)), "selector.ids"),
                    bad(message(selector=one, view=5), "view"),
                    bad(field(1, field(2, b"\xff")), "selector.group"), bad(field(1, b"\x0a\x7fx"), "selector")]
            if name != "Watch":  # for which the first is NOT_FOUND already
                rows += [bad(message(selector=selector(NO_SUCH_ID, i)), "selector.ids") for i in MALFORMED_IDS]
            rows += [bad(message(selector=selector(i)), "selector.ids") for i in MALFORMED_IDS]
            rows += [bad(message(selector=selector(filter="state = DONE")), "selector.filter")]
            self.refuse(self.raw(name, kind), rows)
        self.assert_serves()

    def test_get(self):
        self.refuse(self.raw("Get"), [
            bad(get(NO_SUCH_ID, 5), "view"), bad(b"", "id"), bad(field(1, b"\xff"), "id"),
            bad(futures_pb2.GetRequest(idempotency_key="k" * 256), "idempotency_key"),
            (futures_pb2.GetRequest(idempotency_key="k"), grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE", ())])

    def test_wait(self):
        def wait(**fields):
            return futures_pb2.WaitRequest(selector=selector(NO_SUCH_ID), **fields)

        count = futures_pb2.RETURN_WHEN_COUNT
        self.refuse(self.raw("Wait"), [
            bad(wait(return_when=5), "return_when"), bad(wait(return_when=-1), "return_when"),
            bad(wait(return_when=count), "count"), bad(wait(count=1), "count"),
            bad(wait(timeout=NEGATIVE), "timeout"), bad(wait(expect=1), "expect"),
            bad(futures_pb2.WaitRequest(selector=selector(filter="state")), "selector.filter")])

    def test_as_completed(self):
        method = self.raw("AsCompleted", "stream_stream")
        rows = [(futures_pb2.AsCompletedRequest(ids=[i]), "ids") for i in MALFORMED_IDS]
        rows += [(futures_pb2.AsCompletedRequest(ids=[NO_SUCH_ID] * 10001), "ids"), (futures_pb2.AsCompletedRequest(view=5), "view")]
        for message, name in rows:
            with self.subTest(message=str(message)[:100]):
                error = self.assert_fails(INVALID, method, iter([message.SerializeToString()]), timeout=DEADLINE)
                self.assert_refused(error, INVALID, "INVALID_FIELD", name)
        self.assert_serves()

    def test_watch(self):
        def watch(*ids, **fields):
            return futures_pb2.WatchRequest(selector=selector(*ids), **fields)

        self.refuse(self.raw("Watch", "unary_stream"), [
            bad(watch(NO_SUCH_ID, kinds=[0]), "kinds"), bad(watch(NO_SUCH_ID, kinds=[6]), "kinds"),
            bad(watch(NO_SUCH_ID, kinds=[1, -1]), "kinds"), bad(watch(NO_SUCH_ID, cursor=futures_pb2.Cursor(epoch=1)), "cursor"),
            bad(futures_pb2.WatchRequest(selector=selector(group="g"), after_revision=1), "after_revision"),
            bad(futures_pb2.WatchRequest(selector=selector(filter="state")), "selector.filter"),
            bad(field(1, field(2, b"g")) + field(3, b"\x08"), "cursor"),
            bad(field(1, field(2, b"g")) + field(3, field(1, b"x")), "cursor.epoch"),
            (watch(NO_SUCH_ID), NOT_FOUND, "NO_SUCH_FUTURE", ()),
            (watch(NO_SUCH_ID, NO_SUCH_ID), NOT_FOUND, "NO_SUCH_FUTURE", ())])

    def test_list(self):
        def ask(token="", select=selector(filter="*"), **fields):
            return futures_pb2.ListRequest(selector=select, page_token=token, **fields)

        ids = self.submit_many(submit("echo", group="g") for _ in range(5))
        token = self.futures.List(ask(page_size=2)).next_page_token
        asc = self.futures.List(ask(page_size=2, order_by="asc")).next_page_token
        group = self.futures.List(ask(select=selector(group="g"), page_size=2)).next_page_token
        self.assertTrue(token and asc and group)
        self.refuse(self.raw("List"), [
            bad(ask(page_size=1001), "page_size"), bad(ask(page_size=2**32 - 1), "page_size"),
            bad(ask(order_by="up"), "order_by"), bad(ask(order_by="ASC"), "order_by"),
            bad(ask("x"), "page_token"), bad(ask(token + "0"), "page_token"), bad(ask(token[:-1]), "page_token"),
            bad(ask(token.upper()), "page_token"), bad(ask("\N{SNOWMAN}" * 100), "page_token"),
            # of another question
            bad(ask(token, order_by="asc"), "page_token"), bad(ask(asc), "page_token"),
            bad(ask(asc, order_by="desc"), "page_token"), bad(ask(group), "page_token"),
            bad(ask(token, selector(group="g")), "page_token"), bad(ask(token, selector(*ids)), "page_token"),
            bad(ask(group, selector(group="h")), "page_token"), bad(ask(view=5), "view")])
        self.assertEqual([f.id for f in self.futures.List(ask(asc, order_by="asc", page_size=1000)).futures][:3], ids[2:])

    def test_cancel(self):
        def cancel(**fields):
            return futures_pb2.CancelRequest(id=NO_SUCH_ID, **fields)

        self.refuse(self.raw("Cancel"), [bad(cancel(reason="r" * 1025), "reason"), bad(cancel(grace=NEGATIVE), "grace"),
                                         (cancel(reason="r" * 1024), NOT_FOUND, "NO_SUCH_FUTURE", ())])

    def test_retry(self):
        """The options of a retry are named as they stand in its request."""
        def retry(**options):
            return futures_pb2.RetryRequest(id=NO_SUCH_ID, options=future_pb2.TaskOptions(**options))

        def many(**options):
            return futures_pb2.RetryManyRequest(selector=selector(filter="*"), options=future_pb2.TaskOptions(**options))

        wrong = [("durability", future_pb2.DURABILITY_DURABLE), ("idempotency_key", "k"),
                 ("key_policy", future_pb2.KEY_POLICY_JOIN), ("on_lost", 3), ("depend_policy", 4), ("delay", NEGATIVE),
                 ("attempt_timeout", NEGATIVE), ("retention", NEGATIVE), ("concurrency_key", "k" * 256),
                 ("fairness_key", "k" * 256), ("depends_on", ["x"]), ("depends_on", [NO_SUCH_ID] * 1001)]
        for name, request in (("Retry", retry), ("RetryMany", many)):
            self.refuse(self.raw(name), [bad(request(**{field_: value}), f"options.{field_}") for field_, value in wrong])
            self.refuse(self.raw(name), [bad(request(retry=future_pb2.RetryPolicy(max_attempts=1001)), "options.retry.max_attempts")])
        self.refuse(self.raw("Retry"), [(retry(), grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE", ())])

    def test_annotate(self):
        id_ = self.futures.Run(run("echo", b"on", labels={"a": "1"})).id

        def annotate(labels=None, remove=()):
            return futures_pb2.AnnotateRequest(id=id_, set_labels=labels, remove_labels=remove)

        before = self.futures.Get(get(id_))
        self.refuse(self.raw("Annotate"), [
            bad(annotate({f"k{i}": "" for i in range(65)}), "set_labels"),
            bad(annotate({f"k{i}": "" for i in range(64)}), "set_labels"),  # with the one that is there
            bad(annotate(remove=[f"k{i}" for i in range(65)]), "remove_labels"),
            bad(annotate({"": ""}), "set_labels key"), bad(annotate({"k" * 64: ""}), "set_labels key"),
            bad(annotate({"a b": ""}), "set_labels key"), bad(annotate({"k": "v" * 1025}), "set_labels value"),
            bad(annotate().SerializeToString() + field(2, field(1, b"k") + field(2, b"\xff")), "set_labels")])
        self.assertEqual(self.futures.Get(get(id_)), before)

    def test_functions(self):
        self.refuse(self.raw("ListFunctions", service="Functions"),
                    [bad(functions_pb2.ListFunctionsRequest(page_size=1001), "page_size")])
        ask = functions_pb2.GetFunctionRequest
        rows = [bad(ask(function=name), "function") for name in ("", "a" * 256, "a b", "\N{SNOWMAN}")]
        self.refuse(self.raw("GetFunction", service="Functions"),
                    [*rows, (ask(function="nothing"), NOT_FOUND, "NO_SUCH_FUNCTION", ())])


class Full(BadCase):
    """Limits that the operator sets: decided before anything is accepted, and told with a time to come back."""

    def assert_full(self, call, request, reason):
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, call, request)
        details = self.assert_refused(error, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        self.assertGreater(details["RetryInfo"].retry_delay.ToNanoseconds(), 0)

    def test_futures(self):
        self.server = self.start(limits={"futures": "5"})
        self.futures = self.futures_of(self.server)
        ids = [self.futures.Run(run("echo")).id for _ in range(5)]
        for call, request in ((self.futures.Submit, submit("echo")), (self.futures.Run, run("echo"))):
            self.assert_full(call, request, "TOO_MANY_FUTURES")
        got = list(self.futures.SubmitStream(iter([submit("echo")] * 3)))
        self.assertEqual([what_failed(r.status)[1] for r in got], ["TOO_MANY_FUTURES"] * 3)
        self.assertEqual(self.futures.Get(get(ids[0])).state, SUCCEEDED, "reads go on")
        self.futures.Delete(futures_pb2.DeleteRequest(id=ids[0]))
        self.assertEqual(self.futures.Run(run("echo")).state, SUCCEEDED)
        self.assert_full(self.futures.Submit, submit("echo"), "TOO_MANY_FUTURES")

    def test_memory(self):
        self.server = self.start(limits={"memory": "1M"})
        self.futures = self.futures_of(self.server)
        gate = self.gate()
        for _ in range(2):
            self.submit("gate", gate.argument)
        big = submit("echo", b"x" * 100000)
        got = list(self.futures.SubmitStream(iter([big] * 20)))
        n = sum(r.HasField("future") for r in got)
        self.assertIn(n, range(5, 11))
        self.assertEqual({what_failed(r.status)[1] for r in got[n:]}, {"MEMORY_LIMIT"})
        self.assert_full(self.futures.Submit, big, "MEMORY_LIMIT")
        gate.open()
        self.finished(got[0].future.id)
        self.assertEqual(self.futures.Get(get(got[0].future.id)).task.argument, b"x" * 100000)

    def test_waiter_edges(self):
        self.server = self.start(limits={"waiter_edges": "3"})
        self.futures = self.futures_of(self.server)
        gate, held = self.occupy()
        watches = [self.futures.Watch(futures_pb2.WatchRequest(selector=selector(held[0]))) for _ in range(2)]
        for w in watches:
            next(w)
        request = futures_pb2.WaitRequest(selector=selector(*held))
        self.assert_full(self.futures.Wait, request, "TOO_MANY_WAITERS")
        self.assert_full(self.futures.Wait, futures_pb2.WaitRequest(selector=selector(group="g"), expect=2), "TOO_MANY_WAITERS")
        watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(held[1])))
        next(watch)
        self.assert_full(self.futures.Run, run("echo"), "TOO_MANY_WAITERS")
        self.assertEqual(sorted(f.id for f in self.accepted()), held, "nothing was accepted")
        watch.cancel()
        gate.open()
        for w in watches:
            list(w)
        self.poll(lambda: self.fails_with(self.futures.Run, run("echo")) == grpc.StatusCode.OK, "room again")


if __name__ == "__main__":
    futures_support.main()
