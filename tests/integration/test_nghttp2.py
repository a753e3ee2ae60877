#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tools of nghttp2 as clients that know nothing of gRPC: nghttp shows the header blocks, h2load brings load."""
import re
import struct
import subprocess

import harness
from harness import echo_pb2


class Nghttp2(harness.ServerCase):
    def body(self, name, payload):
        message = echo_pb2.EchoRequest(payload=payload).SerializeToString()
        path = self.server.directory / name
        path.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
        return path

    def run_tool(self, *command):
        done = subprocess.run(command, capture_output=True, timeout=harness.DEADLINE, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def nghttp(self, path, *headers, body=None):
        """(name, value) of all header fields that came, in order."""
        arguments = [f"-H{h}" for h in headers] + ([f"--data={body}"] if body else [])
        out = self.run_tool("nghttp", "-nv", "--no-dep", *arguments, f"http://{self.server.address}{path}")
        out = re.sub(rb"\x1b\[[0-9;]*m", b"", out).decode()
        return re.findall(r"recv \(stream_id=\d+\) (:?[^:\s]+): (.*)", out)

    def test_unary(self):
        body = self.body("one", b"nghttp")
        fields = self.nghttp("/futured.test.v1.Echo/Unary", "content-type: application/grpc", "te: trailers", body=body)
        self.assertEqual(dict(fields[:2]), {":status": "200", "content-type": "application/grpc"})
        self.assertIn(("grpc-status", "0"), fields[2:])

    def test_trailers_only(self):
        """An error before any message is one block of headers."""
        body = self.body("one", b"")
        fields = self.nghttp("/no.such/Method", "content-type: application/grpc", "te: trailers", body=body)
        self.assertEqual(fields[0], (":status", "200"))
        self.assertIn(("grpc-status", "12"), fields)
        self.assertEqual([name for name, _ in fields].count(":status"), 1)

    def test_compressed_says_what_is_accepted(self):
        fields = self.nghttp("/futured.test.v1.Echo/Unary", "content-type: application/grpc", "te: trailers",
                             "grpc-encoding: gzip", body=self.body("one", b"x"))
        self.assertIn(("grpc-status", "12"), fields)
        self.assertIn(("grpc-accept-encoding", "identity"), fields)

    def test_not_grpc(self):
        """What is not gRPC is answered in the terms of HTTP."""
        body = self.body("one", b"x")
        for headers in (("content-type: text/plain",), ()):
            fields = self.nghttp("/futured.test.v1.Echo/Unary", *headers, body=body)
            self.assertEqual(fields[0], (":status", "415"))
        fields = self.nghttp("/futured.test.v1.Echo/Unary", "content-type: application/grpc", "te: trailers")  # GET
        self.assertEqual(fields[0], (":status", "405"))
        self.assert_serves()

    def test_load(self):
        body = self.body("load", b"x" * 100)
        out = self.run_tool("h2load", "-n", "20000", "-c", "8", "-m", "32", "-d", body,
                            "-H", "content-type: application/grpc", "-H", "te: trailers",
                            f"http://{self.server.address}/futured.test.v1.Echo/Unary").decode()
        self.assertRegex(out, r"requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored")
        self.assertRegex(out, r"status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx")
        after = self.wait_stats(self.echo(), lambda s: s.open == 0)
        self.assertEqual((after.started, after.answered), (20000, 20000))


if __name__ == "__main__":
    harness.main()
