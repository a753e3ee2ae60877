#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs futures.mjs, the tests with gRPC for Node as the client, against a daemon with its pool."""
import os
import shutil
import subprocess

import futures_support
import harness


class Node(futures_support.FuturesCase):
    def test_futures(self):
        node = shutil.which("node")
        self.assertIsNotNone(node, "there is no node: run `./dev deps`")
        if not (harness.HERE / "node_modules/@grpc/grpc-js").exists():
            self.fail("tests/integration/node_modules is not there: run `./dev deps`")
        done = subprocess.run([*harness.DIE_WITH_PARENT, node, "--test", harness.HERE / "futures.mjs"],
                              env={**os.environ, "FUTURED_ADDRESS": self.server.address,
                                   "FUTURED_TEST_STORE": futures_support.STORE},
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                              timeout=5 * harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^# pass [1-9]")
        print(done.stdout)
        self.assert_serves()


if __name__ == "__main__":
    futures_support.main()
