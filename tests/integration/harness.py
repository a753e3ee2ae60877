# SPDX-License-Identifier: Apache-2.0
"""What the integration tests stand on: a server process of their own (server.py), stock clients of it, and waiting for
events.

    class Things(harness.ServerCase):
        def test_one(self):
            self.assertEqual(self.echo().Unary(echo_pb2.EchoRequest(payload=b"x")).payload, b"x")

    if __name__ == "__main__":
        harness.main()

No test sleeps or asserts how long something took: a state of the echo service is waited for until it was pushed, a log
line until it was written. DEADLINE bounds each wait.
"""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

import certs
from server import BIN, DEADLINE, DIE_WITH_PARENT, HERE, IS_TLS, ROOT, Log, NotReady, Server  # noqa: F401

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
import grpc  # noqa: E402

IS_SANITIZED = bool(os.environ.get("FUTURED_SANITIZE"))
# What a server must never say.
BAD_LOG = re.compile(r"Sanitizer|runtime error:|ASSERT|assertion|core dumped", re.I)


# --- stubs

def _make_stubs(out):
    """The Python stubs of the tree's .proto files and of echo.proto; made when there are none or older ones."""
    sources = sorted((ROOT / "proto").rglob("*.proto")) + [ROOT / "tests/support/echo.proto", HERE / "stubs.sh"]
    stamp = out / "stamp"
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and all(s.stat().st_mtime <= stamp.stat().st_mtime for s in sources):
            return
        began = time.time()
        subprocess.run([HERE / "stubs.sh", out / "python"], check=True)
        plugin = shutil.which("grpc_python_plugin")
        subprocess.run(["protoc", "-I", ROOT / "tests/support", f"--python_out={out / 'python'}",
                        f"--plugin=protoc-gen-grpc={plugin}", f"--grpc_out={out / 'python'}", "echo.proto"], check=True)
        stamp.touch()
        os.utime(stamp, (began, began))


_make_stubs(BIN.parent / "tests/stubs")
sys.dont_write_bytecode = True
sys.path.insert(0, str(BIN.parent / "tests/stubs/python"))
import futured_stubs  # noqa: E402,F401
import echo_pb2  # noqa: E402
import echo_pb2_grpc  # noqa: E402


# --- tests

def credentials(who="alice", ca="ca"):
    """What a client under TLS shows (None: nothing) and trusts."""
    return grpc.ssl_channel_credentials(certs.read(f"{ca}.crt"), *((certs.read(f"{who}.key"), certs.read(f"{who}.crt"))
                                                                  if who else ()))


def open_channel(address, options, **others):
    """A channel of the kind that the address wants."""
    if IS_TLS and not address.startswith("unix:"):
        return grpc.secure_channel(address, credentials(), options=options, **others)
    return grpc.insecure_channel(address, options=options, **others)


class ServerCase(unittest.TestCase):
    """Each test has a server; after it the server must stop on SIGTERM with status 0 and have logged nothing bad."""

    listen = ("127.0.0.1:0",)
    config = None
    maxDiff = 2000

    def run(self, result=None):
        self._servers = []
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for server in self._servers:
                print(f"--- log of server {server.process.pid} in {self.id()}\n{server.log.text()}\n---",
                      file=sys.stderr)
        return result

    def setUp(self):
        self.server = self.start(listen=self.listen, config=self.config)

    def start(self, **options):
        server = Server(**options)
        self._servers.append(server)
        self.addCleanup(server.clean)
        self.addCleanup(self._stop, server)
        return server

    def _stop(self, server):
        try:
            if server.process.poll() is None:
                server.signal()
            self.assertEqual(server.wait(), 0, "the server's exit status")
        finally:
            server.kill()
        bad = [line for line in server.log.text().splitlines() if BAD_LOG.search(line)]
        self.assertFalse(bad, "in the server's log")

    def channel(self, address=None, **options):
        """A connection of its own, not one that another channel has open already."""
        channel = open_channel(
            address or self.server.address, compression=options.pop("compression", None),
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
                     ("grpc.max_receive_message_length", 64 << 20), *options.items()])
        self.addCleanup(channel.close)
        return channel

    def echo(self, channel=None):
        """The stub of the echo service; every call without a timeout of its own gets DEADLINE."""
        return Stub(echo_pb2_grpc.EchoStub(channel or self.channel()))

    def assert_serves(self, address=None, **options):
        """A fresh stock client is served."""
        with open_channel(address or self.server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            reply = echo_pb2_grpc.EchoStub(channel).Unary(echo_pb2.EchoRequest(payload=b"still here"), timeout=DEADLINE,
                                                             **options)
        self.assertEqual(reply.payload, b"still here")

    def assert_fails(self, code, call, *arguments, **options):
        """The call ends with this status; returns the error."""
        with self.assertRaises(grpc.RpcError) as caught:
            result = call(*arguments, **options)
            if hasattr(result, "__next__"):
                list(result)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return caught.exception

    def wait_stats(self, stub, predicate):
        """What the echo service has counted, once @predicate holds for it."""
        watch = stub.WatchStats(echo_pb2.StatsRequest())
        last = None
        try:
            for last in watch:
                if predicate(last):
                    return last
        except grpc.RpcError as error:
            raise AssertionError(f"{error.code()} while waiting for the counters; last: {last}") from error
        finally:
            watch.cancel()
        raise AssertionError(f"the counters never came to what was waited for; last: {last}")


class Stub:
    """A stub whose calls have a timeout unless they say otherwise."""

    def __init__(self, stub):
        self._stub = stub

    def __getattr__(self, name):
        return _Bounded(getattr(self._stub, name))


class _Bounded:
    def __init__(self, method):
        self._method = method

    def __call__(self, request, timeout=DEADLINE, **options):
        return self._method(request, timeout=timeout, **options)

    def future(self, request, timeout=DEADLINE, **options):
        return self._method.future(request, timeout=timeout, **options)

    def with_call(self, request, timeout=DEADLINE, **options):
        return self._method.with_call(request, timeout=timeout, **options)


def main():
    """Run the tests of the program. What of them was skipped is told in lines that `./dev test` looks for."""
    result = unittest.main(verbosity=2, exit=False).result
    for test, why in result.skipped:
        print(f"skipped in {pathlib.Path(sys.argv[0]).stem}: {test.id().removeprefix('__main__.')}: {why}")
    sys.exit(not result.wasSuccessful())
