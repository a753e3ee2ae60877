#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reflection: a generic client builds everything it needs from the answers, and buf curl, which knows no .proto file,
calls health and echo."""
import base64
import json
import subprocess

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import harness

from google.rpc import error_details_pb2
from grpc.reflection.v1 import reflection_pb2, reflection_pb2_grpc
from grpc.reflection.v1alpha import reflection_pb2 as alpha_pb2, reflection_pb2_grpc as alpha_pb2_grpc

BUF = harness.HERE / "node_modules/.bin/buf"


class Reflection(harness.ServerCase):
    def ask(self, *questions):
        """The answers to @questions (keyword arguments of a request each), asked on one stream of either version."""
        answers = []
        for pb2, stub in ((reflection_pb2, reflection_pb2_grpc.ServerReflectionStub(self.channel())),
                          (alpha_pb2, alpha_pb2_grpc.ServerReflectionStub(self.channel()))):
            requests = [pb2.ServerReflectionRequest(host="h", **q) for q in questions]
            replies = list(stub.ServerReflectionInfo(iter(requests), timeout=harness.DEADLINE))
            self.assertEqual([r.original_request for r in replies], requests)
            answers.append([r.SerializeToString() for r in replies])
        self.assertEqual(answers[0], answers[1], "v1 and v1alpha say the same")
        return [reflection_pb2.ServerReflectionResponse.FromString(a) for a in answers[0]]

    def test_a_client_without_proto_files(self):
        """Find every listed service, load its file and imports into an empty pool, and call a method by that."""
        listed, = self.ask({"list_services": "*"})
        names = [s.name for s in listed.list_services_response.service]
        pool = descriptor_pool.DescriptorPool()
        known = set()
        for answer in self.ask(*({"file_containing_symbol": n} for n in names)):
            files = [descriptor_pb2.FileDescriptorProto.FromString(f)
                     for f in answer.file_descriptor_response.file_descriptor_proto]
            for f in reversed(files):
                self.add(pool, known, {f.name: f for f in files}, f)
        for name in names:
            self.assertEqual(pool.FindServiceByName(name).full_name, name)
        method = pool.FindServiceByName("futured.test.v1.Echo").FindMethodByName("Unary")
        request = message_factory.MessageFactory(pool).GetPrototype(method.input_type)
        reply = message_factory.MessageFactory(pool).GetPrototype(method.output_type)
        call = self.channel().unary_unary(f"/{method.containing_service.full_name}/{method.name}",
                                          request_serializer=request.SerializeToString,
                                          response_deserializer=reply.FromString)
        self.assertEqual(call(request(payload=b"by reflection"), timeout=harness.DEADLINE).payload, b"by reflection")

    def add(self, pool, known, files, file):
        if file.name in known:
            return
        known.add(file.name)
        for name in file.dependency:
            if name in files:
                self.add(pool, known, files, files[name])
        pool.Add(file)

    def test_errors(self):
        answers = self.ask({"file_by_filename": "no/such.proto"}, {"file_containing_symbol": "no.such.Symbol"},
                           {"all_extension_numbers_of_type": "no.such.Type"}, {})
        codes = [a.error_response.error_code for a in answers]
        self.assertEqual(codes, [grpc.StatusCode.NOT_FOUND.value[0]] * 3 + [grpc.StatusCode.INVALID_ARGUMENT.value[0]])

    def test_extension(self):
        number = {"containing_type": "futured.test.v1.EchoRequest", "extension_number": 1}
        answer, types = self.ask({"file_containing_extension": number},
                                 {"all_extension_numbers_of_type": "futured.test.v1.EchoRequest"})
        self.assertEqual(answer.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])
        self.assertEqual(types.all_extension_numbers_response.base_type_name, "futured.test.v1.EchoRequest")


class BufCurl(harness.ServerCase):
    def setUp(self):
        super().setUp()
        if not BUF.exists():
            self.fail(f"{BUF} is not there: run `./dev deps`")

    def curl(self, method, data, *arguments, status=0):
        command = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments, "-d", json.dumps(data),
                   f"http://{self.server.address}/{method}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=harness.DEADLINE,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout if status == 0 else done.stderr)

    def test_health(self):
        self.assertEqual(self.curl("grpc.health.v1.Health/Check", {}), {"status": "SERVING"})
        self.assertEqual(self.curl("grpc.health.v1.Health/Check", {"service": "futured.test.v1.Echo"}),
                         {"status": "SERVING"})

    def test_echo(self):
        payload = base64.b64encode(b"through buf").decode()
        self.assertEqual(self.curl("futured.test.v1.Echo/Unary", {"payload": payload}), {"payload": payload})

    def test_old_reflection(self):
        payload = base64.b64encode(b"alpha").decode()
        reply = self.curl("futured.test.v1.Echo/Unary", {"payload": payload}, "--reflect-protocol", "grpc-v1alpha")
        self.assertEqual(reply, {"payload": payload})

    def test_error(self):
        error = self.curl("grpc.health.v1.Health/Check", {"service": "no.such"}, status=5 * 8)
        self.assertEqual(error["code"], "not_found")

    def test_error_details(self):
        fail = {"code": 3, "message": "no good", "reason": "BAD_SHAPE"}
        error = self.curl("futured.test.v1.Echo/Unary", {"fail": fail}, status=3 * 8)
        self.assertEqual((error["code"], error["message"]), ("invalid_argument", "no good"))
        detail, = error["details"]
        self.assertEqual(detail["type"], "google.rpc.ErrorInfo")
        info = error_details_pb2.ErrorInfo.FromString(base64.b64decode(detail["value"] + "=="))
        self.assertEqual((info.reason, info.domain), ("BAD_SHAPE", "futured"))

    def test_stream(self):
        """Both ways: buf writes the answers one behind the other."""
        payloads = [base64.b64encode(b"%d" % i).decode() for i in range(5)]
        command = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", "@-",
                   f"http://{self.server.address}/futured.test.v1.Echo/Bidi"]
        done = subprocess.run(command, input="".join(json.dumps({"payload": p}) for p in payloads),
                              capture_output=True, encoding="utf-8", timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        decoder, rest, got = json.JSONDecoder(), done.stdout.strip(), []
        while rest:
            reply, end = decoder.raw_decode(rest)
            got.append(reply["payload"])
            rest = rest[end:].strip()
        self.assertEqual(got, payloads)


if __name__ == "__main__":
    harness.main()
