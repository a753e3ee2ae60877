# SPDX-License-Identifier: Apache-2.0
"""What the integration tests stand on: a server process of their own, stock clients of it, and waiting for events.

Nothing here sleeps. Readiness is the server's READY=1 on a socket of ours (sd_notify), a log line is waited for
until it has been written, a state of the echo service until it was pushed, an end until the process has ended. DEADLINE
bounds each of these waits, so that what hangs fails; no test asserts how long something took.

    class Things(harness.ServerCase):
        def test_one(self):
            self.assertEqual(self.echo().Unary(echo_pb2.EchoRequest(payload=b"x")).payload, b"x")

    if __name__ == "__main__":
        harness.main()

FUTURED_BIN_DIR says which build is tested (ctest sets it; else build/dev/bin of the tree).
"""
import fcntl
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
import grpc  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = pathlib.Path(os.environ.get("FUTURED_BIN_DIR", ROOT / "build/dev/bin"))
DEADLINE = 60.0  # seconds until a wait gives up
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


# --- processes

# Before a command: it goes when this process goes, however that happens. (No preexec_fn, which would run Python in a
# forked copy of a process with threads.)
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]


class Log:
    """The lines of a pipe, kept as they come; a thread reads, wait() waits for one."""

    def __init__(self, pipe):
        self._pipe, self._lines, self._is_over = pipe, [], False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._pipe:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def text(self):
        with self._changed:
            return "\n".join(self._lines)

    def find(self, pattern):
        with self._changed:
            return [line for line in self._lines if re.search(pattern, line)]

    def wait(self, pattern, count=1):
        """The first @count lines that match; AssertionError when the log ends, or DEADLINE comes, without them."""
        end = time.monotonic() + DEADLINE
        with self._changed:
            while True:
                found = [line for line in self._lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[:count]
                if self._is_over or not self._changed.wait(end - time.monotonic()):
                    raise AssertionError(f"the log has no line like {pattern!r}")

    def join(self):
        self._thread.join(DEADLINE)


class NotReady(Exception):
    """The server ended instead of getting ready."""


class Server:
    """A daemon of its own: private directory, private addresses. Ready when the constructor returns."""

    def __init__(self, listen=("127.0.0.1:0",), config=None, program="futured-echo", arguments=(), env=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="futured-test-"))
        self.unix_path = self.directory / "s"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(str(self.directory / "notify"))
        config_file = self.directory / "futured.conf"
        config_file.write_text("".join(
            f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
            for section, keys in (config or {}).items()), encoding="utf-8")
        command = [BIN / program, "--config", config_file, "--state-directory", self.directory / "state",
                   "--port-file", self.directory / "ports"]
        for address in listen:
            command += ["--listen", address.replace("@", str(self.directory) + "/")]
        self.process = subprocess.Popen(
            [*DIE_WITH_PARENT, *command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify"), **(env or {})},
            encoding="utf-8", errors="replace")
        self.log = Log(self.process.stderr)
        self.notified = []
        self._wait_ready()
        ports = [line.split(" ", 1) for line in (self.directory / "ports").read_text(encoding="utf-8").splitlines()]
        # As gRPC writes them, in the order they were asked for.
        self.addresses = [("unix:" if kind == "unix" else "") + where for kind, where in ports]

    def _wait_ready(self):
        pidfd = os.pidfd_open(self.process.pid)
        end = time.monotonic() + DEADLINE
        try:
            while not any("READY=1" in said for said in self.notified):
                ready = select.select([self._notify, pidfd], [], [], max(0, end - time.monotonic()))[0]
                if self._notify in ready:
                    self.notified.append(self._notify.recv(4096).decode())
                elif pidfd in ready:
                    self.process.wait()
                    self.log.join()
                    raise NotReady(f"exit status {self.process.returncode}:\n{self.log.text()}")
                else:
                    raise AssertionError(f"the server is not ready:\n{self.log.text()}")
        except BaseException:
            self.kill()
            self.clean()
            raise
        finally:
            os.close(pidfd)

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def take_notified(self):
        """All that it has told the service manager so far."""
        try:
            while True:
                self.notified.append(self._notify.recv(4096, socket.MSG_DONTWAIT).decode())
        except BlockingIOError:
            return "\n".join(self.notified)

    def signal(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)

    def wait(self):
        """The exit status, once it has ended."""
        status = self.process.wait(DEADLINE)
        self.log.join()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def clean(self):
        self._notify.close()
        self.log.join()
        self.process.stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def rss_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


# --- tests

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
        channel = grpc.insecure_channel(
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
        with grpc.insecure_channel(address or self.server.address,
                                   options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
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
    unittest.main(verbosity=2)
