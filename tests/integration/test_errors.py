#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every method against every field that can be wrong, made from the contract's own descriptors: what is no text, has the
wrong wire type, stands twice, is out of range, is no value of its enum. Each is INVALID_ARGUMENT (UNIMPLEMENTED for what
this version does not have) with the details that belong to it, and names the field. What only the meaning of a field
forbids stands in test_futures_bad.py, and for the other services below."""
import futures_support
from futures_support import *  # noqa: F403: the words of the contract
from test_futures_bad import BadCase, bad, field, number

from futured.v1 import system_pb2, workers_pb2
from google.longrunning import operations_pb2
from google.protobuf import descriptor

INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
FD = descriptor.FieldDescriptor
SERVICES = [*futures_pb2.DESCRIPTOR.services_by_name.values(), *functions_pb2.DESCRIPTOR.services_by_name.values(),
            *workers_pb2.DESCRIPTOR.services_by_name.values(), *system_pb2.DESCRIPTOR.services_by_name.values(),
            *operations_pb2.DESCRIPTOR.services_by_name.values()]
STREAMS = {"Attach"}  # no request of a client: what a worker says has tests of its own
# Parts of a Task that the daemon hands on to the worker as they came, and answers that clients send back for nobody to read.
UNREAD = {"futured.v1.AttemptProgress", "futured.v1.Output", "futured.v1.Log"}
DEPTH = 4


def wire_type(f):
    if f.type in (FD.TYPE_STRING, FD.TYPE_BYTES, FD.TYPE_MESSAGE):
        return 2
    return {FD.TYPE_DOUBLE: 1, FD.TYPE_FIXED64: 1, FD.TYPE_FLOAT: 5, FD.TYPE_FIXED32: 5}.get(f.type, 0)


def is_map(f):
    return f.message_type is not None and f.message_type.GetOptions().map_entry


def wrong_values(f):
    """(what is wrong, the bytes of the field)."""
    if wire_type(f) == 2:
        yield "wire type", number(f.number, 5)
    elif f.label != FD.LABEL_REPEATED:  # a repeated number may come packed
        yield "wire type", field(f.number, b"x")
    if f.type == FD.TYPE_STRING:
        yield "UTF-8", field(f.number, b"\xff")
    if f.type == FD.TYPE_ENUM:
        yield "no value", number(f.number, 99)
    if f.message_type is not None and f.label != FD.LABEL_REPEATED:
        yield "twice", field(f.number, b"") * 2
        yield "cut off", field(f.number, b"\x0a\x05x")
        if f.message_type.full_name == "google.protobuf.Duration":
            yield "negative", field(f.number, number(1, 2**64 - 1))
            yield "nanos", field(f.number, number(2, 10**9))
        if f.message_type.full_name == "google.protobuf.Timestamp":
            yield "nanos", field(f.number, number(2, 10**9))
    if is_map(f):
        yield "key", field(f.number, field(1, b"\xff"))
        yield "value", field(f.number, field(1, b"k") + field(2, b"\xff"))


TOKEN = "t" * 16


def valid(kind, id_):
    """A request with what a request of this kind must have, so that nothing else is wrong with it. @id_: of some future."""
    m = kind._concrete_class()
    names = {f.name for f in kind.fields}
    if "task" in names:
        m.task.function = "echo"
    if "submit" in names:
        m.submit.task.function = "echo"
    if "selector" in names:
        m.selector.ids.append(id_)
    if "id" in names:
        m.id = id_
    if "function" in names:
        m.function = "echo"
    if "hello" in names:
        m.hello.session_token = TOKEN
        m.hello.functions.add(name="resize")
    if "session_token" in names:
        m.session_token = TOKEN
    if "worker_id" in names:
        m.worker_id = "w-1"
    if "name" in names:
        m.name = f"futures/{id_}" if len(names) < 4 else "futures"
    return m


def wrong_fields(message, path=(), depth=DEPTH):
    """(path, what is wrong, the bytes of @message, otherwise as it is)."""
    for f in message.DESCRIPTOR.fields:
        here = (*path, f.name)
        rest = type(message)()
        rest.CopyFrom(message)
        for other in f.containing_oneof.fields if f.containing_oneof else [f]:
            rest.ClearField(other.name)
        rest = rest.SerializeToString()
        for what, data in wrong_values(f):
            yield here, what, rest + data
        inner = f.message_type
        if inner is None or is_map(f) or depth == 0 or inner.full_name in UNREAD or inner.full_name.startswith("google.protobuf."):
            continue
        value = inner._concrete_class() if f.label == FD.LABEL_REPEATED else getattr(message, f.name)
        for deeper, what, data in wrong_fields(value, here, depth - 1):
            yield deeper, what, rest + field(f.number, data)


def is_about(violation, path):
    """Whether it names the field, or the message that it is in. The paths of a SubmitRequest do not say what holds it."""
    whole = ".".join(path)
    named = violation.split(" ")[0]
    return any(whole[i:] == named or whole[i:].startswith(named + ".") for i in range(len(whole))
               if i == 0 or whole[i - 1] == ".")


class EveryField(BadCase):
    """One test for each method."""

    def method(self, service, method):
        kind = {(False, False): "unary_unary", (False, True): "unary_stream", (True, False): "stream_unary",
                (True, True): "stream_stream"}[method.client_streaming, method.server_streaming]
        call = getattr(self.channel(), kind)(f"/{service.full_name}/{method.name}")
        return (lambda data, **o: call(iter([data]), **o)) if method.client_streaming else call

    def error_of(self, method, call, data):
        """What came of it, as a google.rpc.Status; None where it was well."""
        try:
            answer = call(data, timeout=DEADLINE)
            answers = list(answer) if hasattr(answer, "__next__") else []
        except grpc.RpcError as error:
            return status_of(error)[0]
        for a in answers:  # a bad item costs its own status
            response = method.output_type._concrete_class.FromString(a)
            if "status" in method.output_type.fields_by_name and response.HasField("status"):
                return response.status
        return None


def _add(service, method):
    def test(self):
        call = self.method(service, method)
        id_, n = self.futures.Run(run("echo", b"on")).id, 0
        for path, what, data in wrong_fields(valid(method.input_type, id_)):
            with self.subTest(field=".".join(path), what=what):
                status = self.error_of(method, call, data)
                self.assertIsNotNone(status, "it was accepted")
                code, reason, fields = what_failed(status)
                self.assertIn(code, (INVALID.value[0], UNIMPLEMENTED.value[0]), status.message)
                if reason == "MALFORMED_MESSAGE":
                    continue
                self.assertIn(reason, ("INVALID_FIELD", "UNIMPLEMENTED_FIELD"))
                self.assertTrue(fields and is_about(fields[0], path), f"it names {fields}: {status.message}")
            n += 1
        self.assertTrue(n or not method.input_type.fields)
        self.assert_serves()
    setattr(EveryField, f"test_{service.name}_{method.name}", test)


for _service in SERVICES:
    for _method in _service.methods:
        if _method.name not in STREAMS:
            _add(_service, _method)


class Meaning(BadCase):
    """What is well-formed and cannot be, of the services that test_futures_bad.py does not know."""

    def test_operations(self):
        o = operations_pb2
        names = ["", "x", "futures/", f"futures/{NO_SUCH_ID}/", NO_SUCH_ID, f"Futures/{NO_SUCH_ID}", f"operations/{NO_SUCH_ID}",
                 f"futures/{NO_SUCH_ID[:-1]}x", f"futures/{NO_SUCH_ID[:-1]}"]
        for name, kind in (("Get", o.GetOperationRequest), ("Wait", o.WaitOperationRequest),
                           ("Cancel", o.CancelOperationRequest), ("Delete", o.DeleteOperationRequest)):
            method = self.channel().unary_unary(f"/google.longrunning.Operations/{name}Operation")
            self.refuse(method, [bad(kind(name=n), "name") for n in names])
            self.refuse(method, [(kind(name=f"futures/{NO_SUCH_ID}"), grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUTURE", ())])

    def test_list_operations(self):
        ask = operations_pb2.ListOperationsRequest
        self.refuse(self.channel().unary_unary("/google.longrunning.Operations/ListOperations"), [
            bad(ask(), "name"), bad(ask(name="operations"), "name"), bad(ask(name="futures", page_size=-1), "page_size"),
            bad(ask(name="futures", page_size=1001), "page_size"), bad(ask(name="futures", page_token="x"), "page_token"),
            bad(ask(name="futures", filter="state ="), "filter"), bad(ask(name="futures", filter="colour = red"), "filter")])

    def test_delete_operation(self):
        gate, (id_, *_) = self.occupy()
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Delete, futures_pb2.DeleteRequest(id=id_))
        details = self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NOT_TERMINAL")
        self.assertEqual([(v.type, v.subject) for v in details["PreconditionFailure"].violations], [("STATE", id_)])
        gate.open()

    def test_workers(self):
        ask = workers_pb2.ListWorkersRequest
        self.refuse(self.raw("ListWorkers", service="Workers"), [
            bad(ask(page_size=1001), "page_size"), bad(ask(page_token="x"), "page_token"), bad(ask(page_token="w-"), "page_token"),
            bad(ask(page_token="w-1x"), "page_token"), bad(ask(function="a b"), "function"), bad(ask(function="f" * 256), "function")])

    def test_details(self):
        """What each of them says, whole."""
        error = self.assert_fails(grpc.StatusCode.NOT_FOUND, self.functions_of(self.server).GetFunction,
                                  functions_pb2.GetFunctionRequest(function="nothing"))
        resource = self.assert_refused(error, grpc.StatusCode.NOT_FOUND, "NO_SUCH_FUNCTION")["ResourceInfo"]
        self.assertEqual((resource.resource_type, resource.resource_name), ("futured.v1.Function", "nothing"))
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Submit, submit("nothing"))
        details = self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NO_SUCH_FUNCTION")
        self.assertEqual(details["ErrorInfo"].metadata, {"function": "nothing"})
        self.assertEqual([(v.type, v.subject) for v in details["PreconditionFailure"].violations], [("FUNCTION", "nothing")])
        server = self.start(limits={"futures": "1"})
        futures = self.futures_of(server)
        futures.Submit(submit("echo"))
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, futures.Submit, submit("echo"))
        details = self.assert_refused(error, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_FUTURES")
        self.assertEqual([v.subject for v in details["QuotaFailure"].violations], ["limits.futures"])

    def test_everywhere(self):
        """What gRPC's own part and the standard services refuse says why as well."""
        def call(path, request=b""):
            return lambda: self.channel().unary_unary(path)(request)
        for reason, code, ask in [
                ("NO_SUCH_SERVICE", UNIMPLEMENTED, call("/futured.v1.Nothing/Get")),
                ("NO_SUCH_METHOD", UNIMPLEMENTED, call("/futured.v1.Futures/Nothing")),
                ("NO_SUCH_SERVICE", grpc.StatusCode.NOT_FOUND, call("/grpc.health.v1.Health/Check", field(1, b"nothing"))),
                ("MALFORMED_MESSAGE", INVALID, call("/grpc.health.v1.Health/Check", b"\xff")),
                ("MALFORMED_MESSAGE", INVALID, call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\xff"))]:
            with self.subTest(reason=reason, code=code):
                with self.assertRaises(grpc.RpcError) as caught:
                    ask()
                self.assert_refused(caught.exception, code, reason)


if __name__ == "__main__":
    futures_support.main()
