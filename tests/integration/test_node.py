#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs node/*.test.js, the tests with gRPC and HTTP/2 for Node as clients, each against a server of its own."""
import os
import shutil
import subprocess

import certs
import harness


class Node(harness.ServerCase):
    listen = ("127.0.0.1:0", "[::1]:0", "unix:@s", "tls:127.0.0.1:0")
    config = {"tls": certs.section()}

    def run_node(self, name):
        node = shutil.which("node")
        self.assertIsNotNone(node, "there is no node: run `./dev deps`")
        if not (harness.HERE / "node_modules/@grpc/grpc-js").exists():
            self.fail("tests/integration/node_modules is not there: run `./dev deps`")
        v4, v6, local, tls = self.server.addresses
        optional = self.start(listen=("tls:127.0.0.1:0",), config={"tls": certs.section(client_certificate="optional")}).address
        done = subprocess.run([*harness.DIE_WITH_PARENT, node, "--test", "--test-reporter=tap",
                               harness.HERE / "node" / name],
                              env={**os.environ, "FUTURED_V4": v4, "FUTURED_V6": v6, "FUTURED_UNIX": local,
                                   "FUTURED_TLS": tls, "FUTURED_TLS_OPTIONAL": optional, "FUTURED_CERTS": str(certs.directory())},
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=5 * harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^# pass [1-9]")
        print(done.stdout)
        self.assert_serves()

    def test_calls(self):
        self.run_node("calls.test.js")

    def test_http2(self):
        self.run_node("http2.test.js")

    def test_tls(self):
        self.run_node("tls.test.js")


if __name__ == "__main__":
    harness.main()
