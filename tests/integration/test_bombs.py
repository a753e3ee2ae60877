#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages of protobuf that are made to hurt whoever reads them: deep, huge, repeated, cut off, and text that is none. Each is
refused by name or harmless, costs no more memory than its own bytes, and the daemon's other clients do not notice."""

import futures_support
import harness
import rawh2
import worker_support
from futures_support import *  # noqa: F403: the words of the contract
from harness import grpc

from google.longrunning import operations_pb2
from futured.v1 import system_pb2, workers_pb2
from google.protobuf import descriptor_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MALFORMED = (INVALID, "MALFORMED_MESSAGE", [])
MAX = (4 << 20) - 64  # of one message, but for what stands around a bomb
# Beside the message itself, the reply and what is kept of large buffers.
MEMORY = (300 if harness.IS_SANITIZED else 24) << 20
NOT_TEXT = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\xf4\x90\x80\x80", b"a\xf0\x9f\x92b")
SERVICES = {"futured.v1.Futures": futures_pb2, "futured.v1.Functions": functions_pb2, "futured.v1.Workers": workers_pb2,
            "futured.v1.System": system_pb2, "google.longrunning.Operations": operations_pb2}


def varint(n):
    return rawh2.varint(n)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def fill(piece, size=MAX):
    return piece * (size // len(piece))


def nested(number, size=MAX):
    """As many messages within each other as fit, each in field @number."""
    heads, n = [], 0
    while n < size:
        head = varint(number << 3 | 2) + varint(n)
        heads.append(head)
        n += len(head)
    return b"".join(reversed(heads))


class BombCase(FuturesCase):
    """A daemon that has a client beside, whose task runs through all of it."""

    def setUp(self):
        super().setUp()
        self.held = self.gate("held")
        self.held_id = self.submit("gate", self.held.argument)
        self.held.started()
        self.watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(self.held_id)), timeout=10 * DEADLINE)
        next(self.watch)
        self.futures.Run(run("echo", b"x" * (3 << 20)))  # buffers as large as they get
        self.rss = self.server.rss_bytes()
        self.bombs = self.channel()

    def assert_unharmed(self):
        """Nobody was cut off, nothing is kept, and who waited gets what it waited for."""
        self.assertLess(self.server.rss_bytes() - self.rss, MEMORY)
        self.assertEqual(self.futures.Run(run("echo", b"beside")).result.data, b"beside")
        self.assertEqual(self.server.log.find("connection_closed"), [])
        self.held.open(b"in the end")
        self.assertEqual(list(self.watch)[-1].snapshot.result.data or self.finished(self.held_id).result.data, b"in the end")
        self.assert_serves()

    def outcome(self, path, message, streams=(False, False)):
        """(code, reason, fields) of what becomes of @message; of a stream the status of its item or of the call."""
        kind = "_".join("stream" if s else "unary" for s in streams)
        try:
            call = getattr(self.bombs, kind)(path)(iter([message]) if streams[0] else message, timeout=DEADLINE)
            answer = next(call, b"") if streams[1] else call
            if streams[1]:
                call.cancel()
        except grpc.RpcError as error:
            code, reason, fields = what_failed(status_of(error)[0])
            self.assertEqual(code, error.code().value[0])
            return error.code(), reason, fields
        if path.endswith(("/SubmitStream", "/RunStream")):
            answer = futures_pb2.SubmitResponse.FromString(answer)  # the status has the same number in both
            if answer.HasField("status"):
                code, reason, fields = what_failed(answer.status)
                return next(c for c in grpc.StatusCode if c.value[0] == code), reason, fields
        return grpc.StatusCode.OK, "", []


class Bombs(BombCase):
    def explode(self, *rows):
        for method, message, *wanted in rows:
            with self.subTest(method=method, message=message[:20], size=len(message)):
                self.assertLessEqual(len(message), 4 << 20)
                service = next(s for s, pb2 in SERVICES.items() if method in pb2.DESCRIPTOR.services_by_name[s.rpartition(".")[2]].methods_by_name)
                self.assertEqual(self.outcome(f"/{service}/{method}", message), tuple(wanted))
                self.assertLess(self.server.rss_bytes() - self.rss, MEMORY)
        self.assert_unharmed()

    @staticmethod
    def bad(*fields):
        return INVALID, "INVALID_FIELD", list(fields)

    def test_deep(self):
        """What is no message here is text or bytes, however deep it is; groups are not read at all."""
        labels = task("echo").SerializeToString() + field(5, nested(1, MAX - 100))
        self.explode(
            ("Submit", nested(1), *self.bad("task.function")),
            ("Submit", field(1, labels), *self.bad("task.labels")),
            ("Get", field(1, NO_SUCH_ID.encode()) + nested(15), grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE", []),
            ("Get", fill(b"\x0b"), *MALFORMED), ("Get", b"\x0b" * 100 + b"\x0c" * 100, *MALFORMED),
            ("Submit", field(1, fill(b"\x33")), *self.bad("task")),
            ("Wait", nested(1), INVALID, "INVALID_FIELD", ["selector.ids"]), ("Finish", nested(2), *self.bad("finish")))

    def test_huge_repeated(self):
        """Millions of entries of a field that may have a few: counted, and never kept."""
        label, empty = field(5, field(1, b"k") + field(2, b"v")), varint(5 << 3 | 2) + b"\0"
        echo = task("echo").SerializeToString()
        who = worker_support.hello("a-token-of-a-bomber", "f").SerializeToString()
        options = lambda raw: field(1, echo + field(6, raw))  # noqa: E731
        self.explode(
            ("Submit", field(1, echo + fill(label)), *self.bad("task.labels")), ("Submit", field(1, echo + fill(empty)), *self.bad("task.labels")),
            ("Submit", field(1, echo + b"".join(field(5, field(1, b"key%d" % i)) for i in range(200000))), *self.bad("task.labels")),
            ("Submit", options(fill(b"\x4a\x00")), *self.bad("task.options.depends_on")),
            ("Submit", options(fill(field(9, NO_SUCH_ID.encode()))), *self.bad("task.options.depends_on")),
            ("Submit", options(field(7, fill(field(6, b"x")))), *self.bad("task.options.retry.non_retryable_types")),
            ("Wait", field(1, fill(b"\x0a\x00")), *self.bad("selector.ids")),
            ("Wait", field(1, fill(field(1, NO_SUCH_ID.encode()))), *self.bad("selector.ids")),
            ("Annotate", field(1, NO_SUCH_ID.encode()) + fill(b"\x12\x00"), *self.bad("set_labels")),
            ("Annotate", field(1, NO_SUCH_ID.encode()) + fill(b"\x1a\x00"), *self.bad("remove_labels")),
            ("Claim", field(1, who + fill(b"\x1a\x00")), *self.bad("hello.functions")), ("Claim", field(1, who + fill(b"\x2a\x00")), *self.bad("hello.labels")),
            ("Renew", fill(b"\x12\x00"), *self.bad("leases")), ("Finish", fill(b"\x12\x00"), *self.bad("finish")))

    def test_repeated_singular(self):
        """Of a scalar the last one counts; a message or bytes that come twice are refused."""
        id_ = self.futures.Run(run("echo", b"on")).id
        echo = field(1, task("echo").SerializeToString())
        ok = (grpc.StatusCode.OK, "", [])
        self.explode(
            ("Get", field(1, id_.encode()) + fill(b"\x18\x01"), *ok), ("Get", fill(field(1, b"x")) + field(1, id_.encode()), *ok),
            ("Submit", echo + fill(b"\x12\x01g"), *ok), ("Submit", echo + fill(b"\x12\x01\xff"), *self.bad("group")),
            ("Submit", fill(echo), *self.bad("task")), ("Submit", fill(b"\x0a\x00"), *self.bad("task")),
            ("Submit", field(1, fill(b"\x12\x00")), *self.bad("task.argument")),
            ("Cancel", field(1, id_.encode()) + fill(b"\x1a\x00"), *self.bad("grace")), ("Wait", fill(b"\x0a\x00"), *self.bad("selector")))
        self.assertEqual(self.futures.Count(futures_pb2.CountRequest(selector=selector(group="g"))).count, 1)

    def test_unknown(self):
        """Fields of another version are passed over, millions of them as well, and go nowhere."""
        id_ = field(1, self.futures.Run(run("echo", b"on")).id.encode())
        ok = (grpc.StatusCode.OK, "", [])
        self.explode(("Get", id_ + fill(b"\x78\x00"), *ok), ("Get", id_ + fill(b"\x7a\x00"), *ok), ("GetStats", fill(b"\xf8\x7f\x00"), *ok),
                     ("Get", id_ + fill(b"\x7d\0\0\0\0"), *ok), ("Get", id_ + fill(b"\x79" + bytes(8)), *ok),
                     ("Get", id_ + b"\xf8\xff\xff\xff\x0f\x00", *ok), ("Get", id_ + field(15, bytes(MAX - 100)), *ok))

    def test_lengths_that_lie(self):
        longest = b"\xff" * 9 + b"\x01"
        self.explode(*[("Get", message, *MALFORMED) for message in (
            b"\x0a" + longest, b"\x0a" + varint(2**63), b"\x0a" + varint(2**63 - 1), b"\x0a" + varint(2**32), b"\x0a" + varint(2**31) + b"x",
            b"\x0a\x02x", b"\x0a", b"\x0a" + b"\x80" * 11 + b"\0", fill(b"\x80"), b"\x00\x00", b"\x02\x00", b"\x0e", b"\x0f\0",
            b"\xff\xff\xff\xff\x1f\x00", b"\x09\0\0\0", b"\x0d\0\0", b"\x10" + b"\x80" * 10 + b"\1", b"\x7a" + varint(2**35) + b"x")])

    def test_halves(self):
        """Calls that announce the largest message and send a byte of it cost that byte."""
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            head = b"\0" + (4 << 20).to_bytes(4, "big") + b"\x0a"
            for _ in range(1000):
                stream = raw.open("/futured.v1.Futures/Submit")
                raw.send(rawh2.frame(rawh2.DATA, 0, stream, head))
            raw.send(rawh2.frame(rawh2.PING, 0, 0, b"12345678"))
            raw.wait(lambda f: f[0] == rawh2.PING and f[1] & rawh2.ACK)
            self.assertLess(self.server.rss_bytes() - self.rss, MEMORY)
            self.assertEqual(self.futures.Run(run("echo", b"beside")).result.data, b"beside")
        self.server.log.wait("connection_closed")

    def start(self, **options):  # the end of an honest connection is of interest here
        return super().start(futured={"log_level": "debug"}, **options) if self._testMethodName == "test_halves" else super().start(**options)


class NoText(BombCase):
    """Every field of every request that is text, with bytes that are none: INVALID_ARGUMENT, and the field is named."""

    BASES = {
        "Submit": submit("echo"), "SubmitStream": submit("echo"), "Run": run("echo"), "RunStream": run("echo"),
        "Wait": futures_pb2.WaitRequest(selector=selector(NO_SUCH_ID)), "Watch": futures_pb2.WatchRequest(selector=selector(NO_SUCH_ID)),
        "Claim": workers_pb2.ClaimRequest(hello=workers_pb2.Hello(
            name="n", session_token="a-token-of-nobody", slots=1, functions=[functions_pb2.FunctionSpec(name="f")])),
        "Retry": futures_pb2.RetryRequest(id=NO_SUCH_ID),
    }

    def texts(self, descriptor, base, path=(), depth=0):
        """(path, message) for each text in it: @base, and in that place what is none."""
        for f in descriptor.fields:
            if f.type == f.TYPE_STRING:
                yield (*path, f.name), lambda bad, f=f: base.SerializeToString() + field(f.number, bad)
            elif f.type == f.TYPE_MESSAGE and depth < 4 and not f.message_type.full_name.startswith("google.protobuf."):
                repeated = f.label == f.LABEL_REPEATED
                rest, inner = type(base)(), type(base)()
                rest.CopyFrom(base)
                if repeated:
                    part = getattr(base, f.name)
                    inner = part[0] if len(part) and not f.message_type.GetOptions().map_entry else self.of(f.message_type)
                else:
                    inner = self.of(f.message_type)
                    inner.CopyFrom(getattr(base, f.name))
                    rest.ClearField(f.name)
                for deep, make in self.texts(f.message_type, inner, (*path, f.name), depth + 1):
                    yield deep, lambda bad, f=f, make=make, rest=rest: rest.SerializeToString() + field(f.number, make(bad))

    @staticmethod
    def of(descriptor):
        return descriptor._concrete_class()

    def test_each(self):
        n_fields = 0
        bases = {**self.BASES, "Annotate": futures_pb2.AnnotateRequest(id=self.held_id)}
        for name, pb2 in SERVICES.items():
            for method in pb2.DESCRIPTOR.services_by_name[name.rpartition(".")[2]].methods:
                if name.endswith(".Workers") and method.name == "Attach":
                    continue  # test_hostile_workers.py
                proto = descriptor_pb2.MethodDescriptorProto()
                method.CopyToProto(proto)
                streams = proto.client_streaming, proto.server_streaming
                base = bases.get(method.name, self.of(method.input_type))
                for i, (path, make) in enumerate(self.texts(method.input_type, base)):
                    n_fields += 1
                    with self.subTest(method=method.full_name, path=path):
                        bad = NOT_TEXT[i % len(NOT_TEXT)]
                        self.judge(path, self.outcome(f"/{name}/{method.name}", make(bad), streams))
        self.assertGreater(n_fields, 60)
        self.assert_unharmed()

    def judge(self, path, outcome):
        code, reason, fields = outcome
        self.assertEqual((code, reason), (INVALID, "INVALID_FIELD"), fields)
        self.assertEqual(len(fields), 1)
        self.assertIn(fields[0], ".".join(path))

    def test_each_kind(self):
        """Whatever makes it no text."""
        for bad in NOT_TEXT:
            with self.subTest(bad=bad):
                self.assertEqual(self.outcome("/futured.v1.Futures/Submit", submit("echo").SerializeToString() + field(2, bad)),
                                 (INVALID, "INVALID_FIELD", ["group"]))
        self.assert_unharmed()


if __name__ == "__main__":
    futures_support.main()
