# SPDX-License-Identifier: Apache-2.0
"""futurectl against the real daemon: what it prints is compared whole, with IDs, times and the like made equal."""
import errno
import hashlib
import json
import os
import pathlib
import pty
import re
import select
import subprocess
import tempfile
import termios

import harness
from server import BIN, DEADLINE, DIE_WITH_PARENT

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"
PLAIN = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0000", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"unix:uid=\d+,pid=\d+", "PEER"),
    (r"\bw-\d+\b", "WORKER"),
    (r'"\d+(\.\d+)?s"', '"SPAN"'),
    (r"^room        \d+$", "room        N"),
    (r"ran [^;\n]*?(?=, killed|, exit|;|$)", "ran SPAN"),
    (r"\b\d+(\.\d+)? (ns|us|ms|s|m)( \d+ s)?(?![\w.])", "SPAN"),
]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def plain(text):
    """@text with everything that differs from run to run made equal; the n-th ID is called ID<n>."""
    seen = {}
    text = UUID.sub(lambda m: seen.setdefault(m[0], f"ID{len(seen) + 1}"), text)
    for pattern, name in PLAIN:
        text = re.sub(pattern, name, text, flags=re.M)
    return text


def table(text):
    """A table, plain, with two blanks between columns: how wide they are hangs on how long things took."""
    return re.sub(r" {2,}", "  ", plain(text))


class CliCase(harness.ServerCase):
    functions = {}  # more sections

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="futured-cli-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", self.directory], check=True)
        self.fifo = self.directory / "gate"
        os.mkfifo(self.fifo)
        self.server = self.start(program="futured", listen=("unix:@s",), arguments=("--workers", "2"), config={
            "futured": {"store": "none"},
            "function.crash": {"command": "kill -SEGV $$", "shell": "yes", "doc": "Dies."},
            "function.exit7": {"command": "echo partly; exit 7", "shell": "yes"},
            # Runs until the test has opened the other end; what is written there is the result.
            "function.gate": {"command": f"cat {self.fifo}"},
            **self.functions,
        })
        self.addCleanup(self.no_gate)
        while len(self.text("workers").splitlines()) < 3:  # it is ready with the first; the command paces this
            pass

    def environment(self, **more):
        keep = {k: v for k, v in os.environ.items() if k not in ("XDG_RUNTIME_DIR", "NO_COLOR")}
        return {**keep, "TZ": "UTC", "TERM": "xterm", "LC_ALL": "C.UTF-8", "FUTURED_ADDRESS": self.server.address, **more}

    def ctl(self, *words, status=0, stdin=b"", err="", **more):
        """Run futurectl; it must end with @status and have said @err (plain); what it printed, as bytes."""
        done = subprocess.run([BIN / "futurectl", *words], input=stdin, capture_output=True, timeout=DEADLINE,
                              env=self.environment(**more))
        said = plain(done.stderr.decode())
        self.assertEqual(done.returncode, status, f"{words}: {said}")
        if err is not None:
            self.assertEqual(said, err)
        return done.stdout

    def text(self, *words, **options):
        return self.ctl(*words, **options).decode()

    def submit(self, *words, **options):
        return self.text("submit", *words, **options).strip()

    def json(self, *words, **options):
        return json.loads(self.ctl(*words, "--json", **options))

    def open_gate(self, data=b"open"):
        with open(self.fifo, "wb") as gate:
            gate.write(data)

    def no_gate(self):
        """Whatever still waits, and comes after that, ends."""
        (self.directory / "open").touch()
        fifo = self.directory / "fifo"
        self.fifo.rename(fifo)
        (self.directory / "open").rename(self.fifo)
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            self.assertEqual(error.errno, errno.ENXIO)  # nobody waits

    def start_ctl(self, *words, **more):
        process = subprocess.Popen([*DIE_WITH_PARENT, BIN / "futurectl", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(**more))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_running(self, id_):
        """Until that future is RUNNING."""
        watch = self.start_ctl("watch", id_, "--jsonl")
        for line in watch.stdout:
            event = json.loads(line)
            if (event.get("snapshot") or event.get("state"))["state"] == "STATE_RUNNING":
                watch.kill()
                watch.wait()
                return
        self.fail("it never ran")

    def on_terminal(self, *words, answer=None, status=None, **more):
        """What futurectl writes to a terminal; @answer: all three of its streams are the terminal, and somebody types this."""
        ours, theirs = pty.openpty()
        attributes = termios.tcgetattr(theirs)
        attributes[3] &= ~termios.ECHO  # what is typed ahead would stand anywhere
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
        process = subprocess.Popen([BIN / "futurectl", *words], stdin=theirs if answer else subprocess.DEVNULL, stdout=theirs,
                                   stderr=theirs if answer else subprocess.PIPE, env=self.environment(**more))
        os.close(theirs)
        if answer:
            os.write(ours, answer.encode())
        got = b""
        while select.select([ours], [], [], DEADLINE)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            got += part
        os.close(ours)
        process.communicate(timeout=DEADLINE)
        if status is not None:
            self.assertEqual(process.returncode, status)
        return got.decode().replace("\r\n", "\n")
