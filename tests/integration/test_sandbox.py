#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Functions in a sandbox that try to get out, a command and a plugin's: each try gets the error that is due, the same without a
sandbox gets out, nobody beside them notices, and nothing of them is left, however they end. Skipped where the kernel lets
nobody have a user namespace, which unit/base/confine has too, and where the build lies in what a private /tmp hides."""
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract

PLUGINS = harness.BIN.parent / "tests/unit/worker/plugins"
ESCAPE = PLUGINS / "escape"
SKIPPED = 77
# where the test's files are, for who has another /tmp
OUTSIDE = harness.BIN.parent / "tests"
SPACES = {"tcp": "ENETUNREACH", "abstract": "ECONNREFUSED"}
FILES = {"outside": "EROFS"}
CALLS = {"ptrace": "EPERM", "unshare": "EPERM", "clone": "EPERM", "packet": "EPERM", "mount": "EPERM", "remount": "EPERM"}
KINDS = ("escape", "c-escape")


def has_namespaces():
    return subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, check=False).returncode == 0


def read(path):
    """Its bytes; none where its process has gone meanwhile."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


class Sandbox(FuturesCase):
    functions = {
        "escape": {"sandbox": "all", "tmp_max": "1M"},
        "escape-part": {"sandbox": "no-network"},
        "escape-free": {"isolate": "yes"},
        "c-escape": {"command": f"{ESCAPE} {{argument}}", "sandbox": "all", "tmp_max": "1M"},
        "c-escape-part": {"command": f"{ESCAPE} {{argument}}", "sandbox": "no-network"},
        "c-escape-free": {"command": f"{ESCAPE} {{argument}}"},
        "c-hold": {"command": "echo mine >/tmp/futured-test-held; exec tail -f /dev/null",
                   "shell": "yes", "sandbox": "private-tmp", "tmp_max": "1M"},
        "c-join": {"command": "cat $FUTURED_UPSTREAM_DIR/0; ls -A /tmp | wc -l; echo x >$FUTURED_UPSTREAM_DIR/1 || echo no",
                   "shell": "yes", "sandbox": "all", "tmp_max": "1M"},
        "c-where": {"command": "pwd", "directory": "/usr/share", "sandbox": "all"},
        "echo": {"sandbox": "all"}, "c-cat": {"command": "cat", "sandbox": "all"},
        "c-crash": {"command": "kill -SEGV $$", "shell": "yes", "sandbox": "all"},
        "c-leak": {"command": "tail /dev/zero", "memory_max": "32M", "sandbox": "all"},
    }

    def start(self, **options):
        # a leak checker looks at its process by ptrace, which a sandbox refuses
        return super().start(pool={"plugin": PLUGINS / "escape.so"}, env={"LSAN_OPTIONS": "detect_leaks=0"}, **options)

    def setUp(self):
        super().setUp()
        self.outside = pathlib.Path(tempfile.mkdtemp(prefix="sandbox-", dir=OUTSIDE))
        self.addCleanup(subprocess.run, ["rm", "-r", self.outside], check=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.abstract.close)
        self.abstract.bind(f"\0futured-test-{os.getpid()}")
        self.abstract.listen()
        values = {"outside": self.outside, "tcp": self.listener.getsockname()[1], "abstract": f"futured-test-{os.getpid()}",
                  "mount": self.outside, "remount": "/"}
        self.words = {name: f"{name}={value}" for name, value in values.items()}

    def tried(self, function, *names):
        """What came of each."""
        got = self.finished(self.submit(function, " ".join(self.words.get(name, name) for name in names).encode()))
        self.assertEqual(got.state, SUCCEEDED, got.error)
        return dict(line.split() for line in got.result.data.decode().splitlines())

    def test_gets_out_without(self):
        """So that what follows is known to be able to fail."""
        for function in ("escape-free", "c-escape-free"):
            names = ("outside", "tcp", "abstract", "unshare")
            self.assertEqual(self.tried(function, *names), dict.fromkeys(names, "ok"))
            self.assertTrue((self.outside / "escaped").exists())
            (self.outside / "escaped").unlink()

    def test_does_not_get_out(self):
        gate = self.gate()
        held = self.submit("gate", gate.argument)
        self.until(held, lambda f: f.state == RUNNING)
        wanted = {**SPACES, **FILES, **CALLS}
        for function in KINDS:
            self.assertEqual(self.tried(function, *wanted), wanted)
            # its parent's memory: not its user's any more, in its own user namespace
            self.assertEqual(self.tried(function, "memory"), {"memory": "EACCES"})
            # room of its own, for each attempt anew, and no more than it may have
            self.assertEqual(self.tried(function, "tmp", "fill"), {"tmp": "ok", "fill": "ENOSPC"})
            self.assertEqual(self.tried(function, "tmp", "fill"), {"tmp": "ok", "fill": "ENOSPC"})
        self.assertEqual(list(self.outside.iterdir()), [])
        self.assertFalse(pathlib.Path("/tmp/full").exists())
        self.assertEqual(self.futures.Get(futures_pb2.GetRequest(id=held)).state, RUNNING)
        gate.open()
        self.assertEqual(self.finished(held).state, SUCCEEDED)
        self.assertEqual(self.finished(self.submit("echo", b"beside")).result.data, b"beside")

    def test_payloads(self):
        """Both ways through the pipes of such a process, around the size of a piece and at the largest."""
        largest = (4 << 20) - (64 << 10)
        for n in (0, 1, 65535, 65536, 65537, 131072, 131073, largest):
            data = (b"0123456789abcde\n" * (n // 16 + 1))[:n]
            for function in ("echo", "c-cat"):
                got = self.finished(self.submit(function, data))
                self.assertEqual((got.state, got.result.data == data), (SUCCEEDED, True), (function, n, got.error))

    def test_parts(self):
        """One kind of it does not bring the others; capabilities it has none in any case."""
        for function in ("escape-part", "c-escape-part"):
            self.assertEqual(self.tried(function, "outside", "tcp", "mount", "unshare"),
                             {"outside": "ok", "tcp": "ENETUNREACH", "mount": "EPERM", "unshare": "ok"})

    def test_what_it_is_given(self):
        first = self.submit("echo", b"first\n")
        id_ = self.submit("c-join", options=future_pb2.TaskOptions(depends_on=[first], pass_results=True))
        self.assertEqual(self.finished(id_).result.data, b"first\n1\nno\n")
        self.assertEqual(self.finished(self.submit("c-where")).result.data, b"/usr/share\n")

    def test_how_it_ends(self):
        got = self.finished(self.submit("c-crash"))
        self.assertEqual((got.error.reason, got.attempts[-1].signal), ("CRASHED", signal.SIGSEGV))
        self.assertIn(self.finished(self.submit("c-leak")).error.reason, ("MEMORY_LIMIT", "FUNCTION_ERROR"))

    def held(self):
        """The processes of a new c-hold that has its file."""
        self.submit("c-hold")
        return self.poll(self.holders, "a process with a file in its own /tmp")

    def holders(self):
        self.futures.Count(futures_pb2.CountRequest(selector=selector(filter="*")))  # so that it is paced
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and
                read(f"/proc/{name}/root/tmp/futured-test-held") == b"mine\n"]

    def test_nothing_is_left(self):
        """A worker is killed, and another daemon: the file goes with its last process."""
        pids = self.held()
        self.assertFalse(pathlib.Path("/tmp/futured-test-held").exists())
        parent = int(read(f"/proc/{pids[0]}/stat").rsplit(b")", 1)[1].split()[1])
        os.kill(parent, signal.SIGKILL)
        self.wait_gone(pids)
        other = harness.Server(program="futured", arguments=("--workers", "1"), store="none", config={
            "function.c-hold": self.functions["c-hold"]})
        self.addCleanup(other.clean)
        self.addCleanup(other.kill)
        self.futures = self.futures_of(other)
        pids = self.held()
        other.signal(signal.SIGKILL)
        self.wait_gone(pids)
        self.assertFalse(pathlib.Path("/tmp/futured-test-held").exists())

    def test_check_config(self):
        """What cannot be set up is said at the start, with the line: here where nobody may have a user namespace."""
        conf = self.folder / "checked.conf"
        conf.write_text("[function.x]\ncommand = true\nsandbox = no-network system-calls\n", encoding="ascii")
        check = [harness.BIN / "futured", "--check-config", "--config", conf]
        self.assertEqual(subprocess.run(check, capture_output=True, check=False).stdout, b"configuration ok\n")
        none = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"', "sh"]
        got = subprocess.run(none + check, capture_output=True, check=False)
        self.assertEqual(got.returncode, 1)
        self.assertIn(b"checked.conf:1: [function.x] sandbox: cannot set up a user namespace: No space left on device", got.stderr)

    def wait_gone(self, pids):
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            self.addCleanup(os.close, fd)
            self.assertTrue(select.select([fd], [], [], DEADLINE)[0])


if __name__ == "__main__":
    if not has_namespaces():
        print("skipped: no user namespaces here")
        sys.exit(SKIPPED)
    if any(harness.BIN.is_relative_to(hidden) for hidden in ("/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir())):
        print(f"skipped: a private /tmp would hide the build, {harness.BIN.parent}")
        sys.exit(SKIPPED)
    futures_support.main()
