#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A short way through everything: each kind of call on each kind of socket, health, reflection, the stop. The quick
look after a change, and what runs under the thread sanitizer."""
import harness
from harness import echo_pb2

from grpc.health.v1 import health_pb2, health_pb2_grpc
from grpc.reflection.v1 import reflection_pb2, reflection_pb2_grpc


class Smoke(harness.ServerCase):
    listen = ("127.0.0.1:0", "unix:@s")

    def test_every_kind_of_call(self):
        for address in self.server.addresses:
            echo = self.echo(self.channel(address))
            requests = [echo_pb2.EchoRequest(payload=b"%d" % i * i) for i in range(50)]
            self.assertEqual(echo.Unary(requests[7]).payload, b"7" * 7)
            count = echo.ClientStream(iter(requests))
            self.assertEqual((count.count, count.payload_bytes), (50, sum(len(r.payload) for r in requests)))
            replies = list(echo.ServerStream(echo_pb2.ServerStreamRequest(count=20, reply_bytes=30)))
            self.assertEqual([r.payload for r in replies], [b"x" * 30] * 20)
            self.assertEqual([r.payload for r in echo.Bidi(iter(requests))], [r.payload for r in requests])

    def test_health(self):
        stub = health_pb2_grpc.HealthStub(self.channel())
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=harness.DEADLINE)
        self.assertEqual(reply.status, health_pb2.HealthCheckResponse.SERVING)

    def test_reflection(self):
        stub = reflection_pb2_grpc.ServerReflectionStub(self.channel())
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        reply, = stub.ServerReflectionInfo(iter([request]), timeout=harness.DEADLINE)
        names = {s.name for s in reply.list_services_response.service}
        self.assertLessEqual({"futured.test.v1.Echo", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                              "grpc.reflection.v1alpha.ServerReflection"}, names)


if __name__ == "__main__":
    harness.main()
