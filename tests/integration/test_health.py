#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""grpc.health.v1 as stock clients use it, and the client's own health check of a channel."""
import json

import grpc

import harness
from harness import echo_pb2

from grpc.health.v1 import health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICES = ("futured.test.v1.Echo", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection")


def ask(service):
    return health_pb2.HealthCheckRequest(service=service)


class Health(harness.ServerCase):
    def stub(self):
        return health_pb2_grpc.HealthStub(self.channel())

    def test_check(self):
        stub = self.stub()
        for service in ("", *SERVICES):
            self.assertEqual(stub.Check(ask(service), timeout=harness.DEADLINE).status, SERVING, service)

    def test_check_unknown(self):
        stub = self.stub()
        for service in ("futured", "futured.test.v1.Ech", "futured.test.v1.Echo.", "x" * 100000, "Füße"):
            self.assert_fails(grpc.StatusCode.NOT_FOUND, stub.Check, ask(service), timeout=harness.DEADLINE)

    def test_watch(self):
        watches = [self.stub().Watch(ask(service), timeout=harness.DEADLINE) for service in ("", *SERVICES)]
        self.assertEqual([next(w).status for w in watches], [SERVING] * len(watches))
        self.server.signal()
        self.assertEqual([next(w).status for w in watches], [NOT_SERVING] * len(watches))

    def test_watch_unknown(self):
        """It is told so, and its call stays open."""
        watch = self.stub().Watch(ask("no.such.Service"), timeout=harness.DEADLINE)
        self.assertEqual(next(watch).status, SERVICE_UNKNOWN)
        self.assertTrue(watch.is_active())
        watch.cancel()

    def test_many_watchers(self):
        """As many as there may be on some connections; one more is refused, and room comes back."""
        stubs = [self.stub() for _ in range(5)]
        watches = [stubs[i % 5].Watch(ask(""), timeout=harness.DEADLINE) for i in range(4096)]
        for watch in watches:
            self.assertEqual(next(watch).status, SERVING)
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.stub().Watch, ask(""), timeout=harness.DEADLINE)
        self.assertEqual(stubs[0].Check(ask(""), timeout=harness.DEADLINE).status, SERVING)
        watches.pop().cancel()
        again = None
        for _ in range(1000):  # until the server has seen the cancel
            watch = self.stub().Watch(ask(""), timeout=harness.DEADLINE)
            try:
                again = next(watch)
                break
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(again.status, SERVING)

    def test_channel_that_checks_health(self):
        """A client can be told to use a server only while its health says so (round_robin with healthCheckConfig)."""
        def channel(service):
            config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": service}}
            return self.channel(**{"grpc.service_config": json.dumps(config)})

        reply = self.echo(channel(SERVICES[0])).Unary(echo_pb2.EchoRequest(payload=b"healthy"))
        self.assertEqual(reply.payload, b"healthy")
        error = self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.echo(channel("no.such")).Unary,
                                  echo_pb2.EchoRequest())
        self.assertIn("unhealthy", error.details())


if __name__ == "__main__":
    harness.main()
