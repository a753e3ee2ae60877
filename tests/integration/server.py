# SPDX-License-Identifier: Apache-2.0
"""A daemon as a child process: started in a private directory, ready when the constructor returns, its log at hand. For
the integration tests (through harness.py) and the benchmarks.

Nothing here sleeps. Readiness is the server's READY=1 on a socket of ours (sd_notify), a log line is waited for until it
has been written, an end until the process has ended. DEADLINE bounds each wait, so that what hangs fails.

FUTURED_TEST_TLS=1 has every TCP address be one of TLS, with certificates on both sides.
FUTURED_BIN_DIR says which build it is (ctest sets it; else build/dev/bin of the tree).
"""
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import certs

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = pathlib.Path(os.environ.get("FUTURED_BIN_DIR", ROOT / "build/dev/bin"))
IS_TLS = bool(os.environ.get("FUTURED_TEST_TLS"))
DEADLINE = 60.0  # seconds until a wait gives up

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

    def __init__(self, listen=("127.0.0.1:0",), config=None, program="futured-echo", arguments=(), env=None,
                 wrapper=(), store="none"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="futured-test-"))
        self.unix_path = self.directory / "s"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(str(self.directory / "notify"))
        if IS_TLS:
            listen = [address if ":" not in address or address.startswith(("unix:", "tls:")) else f"tls:{address}" for address in listen]
            config = {"tls": certs.section(), **(config or {})}
        config_file = self.directory / "futured.conf"
        config_file.write_text("".join(
            f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
            for section, keys in (config or {}).items()), encoding="utf-8")
        command = [BIN / program, "--config", config_file, "--state-directory", self.directory / "state",
                   "--store", store, "--port-file", self.directory / "ports"]
        for address in listen:
            command += ["--listen", address.replace("@", str(self.directory) + "/")]
        self.process = subprocess.Popen(
            [*DIE_WITH_PARENT, *wrapper, *command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
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
