#!/usr/bin/python3
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

import harness
import openmetrics
from server import BIN, DEADLINE, DIE_WITH_PARENT

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"
PLAIN = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0000", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"unix:uid=\d+,pid=\d+", "PEER"),
    (r"\bw-\d+\b", "WORKER"),
    (r"ran [^;\n]*?(?=, killed|, exit|;|$)", "ran SPAN"),
    (r"\(\d+(\.\d+)? (ns|us|ms|s)\)", "(SPAN)"),
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


class CliCase(harness.ServerCase):
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
        })
        self.addCleanup(self.no_gate)

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

    def submit(self, *words):
        return self.text("submit", *words).strip()

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

    def start_ctl(self, *words):
        process = subprocess.Popen([*DIE_WITH_PARENT, BIN / "futurectl", *words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
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


class Run(CliCase):
    def test_argument(self):
        file = self.directory / "file"
        file.write_bytes(b"from a file\0\n")
        self.assertEqual(self.ctl("run", "sha256", "hello"), sha256(b"hello").encode())
        self.assertEqual(self.ctl("run", "echo", "-", stdin=b"from stdin\0\n"), b"from stdin\0\n")
        self.assertEqual(self.ctl("run", "echo", f"@{file}"), b"from a file\0\n")
        self.assertEqual(self.ctl("run", "echo", "--argument", "-", stdin=b"not read"), b"-")
        self.assertEqual(self.ctl("run", "echo", "--argument", f"@{file}"), f"@{file}".encode())
        self.assertEqual(self.ctl("run", "echo", ""), b"")
        every_byte = bytes(range(256)) * 1000
        self.assertEqual(self.ctl("run", "echo", "-", stdin=every_byte), every_byte)

    def test_stdin_is_left_alone(self):
        file = self.directory / "file"
        file.write_bytes(b"for somebody else")
        with open(file, "rb", buffering=0) as f:
            subprocess.run([BIN / "futurectl", "run", "echo"], stdin=f, check=True, capture_output=True,
                           env=self.environment())
            self.assertEqual(f.tell(), 0)

    def test_large(self):
        large = bytes(3 << 20)
        self.assertEqual(self.ctl("run", "echo", "-", stdin=large), large)
        self.ctl("run", "sha256", "-", stdin=bytes(5 << 20), status=1, err=None)

    def test_failing(self):
        self.assertEqual(self.ctl("run", "fail", "out of cheese", status=1, err=(
            "futurectl: ID1 FAILED, FUNCTION_ERROR: out of cheese; `futurectl get ID1` shows the record\n")), b"")
        self.assertEqual(self.ctl("run", "crash", status=1, err=(
            "futurectl: ID1 FAILED, CRASHED: killed by SIGSEGV; `futurectl get ID1` shows the record\n")), b"")
        self.ctl("run", "no-such-function", status=4, err=(
            'futurectl: no function "no-such-function" was ever configured, nor has a worker ever offered it\n'
            "futurectl: `futurectl functions` lists what there is\n"))
        self.assertEqual(self.ctl("run", "sha256", "still here"), sha256(b"still here").encode())

    def test_timeout(self):
        out = self.start_ctl("run", "gate", "--timeout", "300ms")
        self.assertEqual(out.wait(DEADLINE), 124)
        said = out.stderr.read()
        self.assertEqual(plain(said), (
            f"futurectl: {self.server.address} has not answered within the time given\n"
            "futurectl: --timeout gives it more time\n"
            "futurectl: the task was accepted and goes on as ID1; `futurectl result ID1` waits for it\n"))
        self.assertEqual(out.stdout.read(), "")
        id_ = UUID.search(said)[0]
        self.open_gate(b"late")
        self.assertEqual(self.ctl("result", id_), b"late")

    def test_output(self):
        out = self.directory / "out"
        self.assertEqual(self.ctl("run", "sha256", "x", "-o", out), b"")
        self.assertEqual(out.read_text(), sha256(b"x"))
        self.ctl("run", "sha256", "x", "-o", "/nowhere/out", status=1,
                 err="futurectl: cannot write /nowhere/out: No such file or directory\n")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BIN / "futurectl", "run", "sha256", "x"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment(), check=False)
        self.assertEqual((done.returncode, done.stderr),
                         (1, b"futurectl: cannot write the result: No space left on device\n"))

    def test_json(self):
        future = json.loads(self.ctl("run", "echo", "hi", "--json", "--label", "a=1", "--group", "g", "--tag", "t",
                                     "--content-type", "text/plain", "--priority", "-3", "--view", "full"))
        self.assertEqual(future["state"], "STATE_SUCCEEDED")
        self.assertEqual(future["result"], {"data": "aGk=", "data_text": "hi", "content_type": "text/plain",
                                            "size_bytes": 2})
        self.assertEqual(future["task"]["argument_text"], "hi")
        self.assertEqual(future["task"]["labels"], {"a": "1"})
        self.assertEqual((future["group"], future["tag"]), ("g", "t"))
        self.assertEqual(future["task"]["options"]["priority"], -3)
        self.assertEqual(len(future["attempts"]), 1)
        failed = json.loads(self.ctl("run", "fail", "why", "--json", status=1, err=None))
        self.assertEqual((failed["state"], failed["error"]["message"]), ("STATE_FAILED", "why"))


class Terminal(CliCase):
    def on_terminal(self, *words, **more):
        """What futurectl writes when its output is a terminal."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([BIN / "futurectl", *words], stdin=subprocess.DEVNULL, stdout=theirs,
                                   stderr=subprocess.PIPE, env=self.environment(**more))
        os.close(theirs)
        got = b""
        while select.select([ours], [], [], DEADLINE)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            got += part
        os.close(ours)
        process.communicate(timeout=DEADLINE)
        return got.decode().replace("\r\n", "\n")

    def test_newline(self):
        self.assertEqual(self.on_terminal("run", "sha256", "x"), sha256(b"x") + "\n")
        self.assertEqual(self.on_terminal("run", "echo", "with one\n"), "with one\n")

    def test_colour(self):
        id_ = self.submit("sha256", "x")
        self.ctl("wait", id_, err=None)
        green = "state       \033[32mSUCCEEDED\033[0m\n"
        self.assertIn(green, self.on_terminal("get", id_))
        self.assertNotIn("\033", self.on_terminal("get", id_, NO_COLOR="1"))
        self.assertNotIn("\033", self.on_terminal("get", id_, TERM="dumb"))
        self.assertNotIn("\033", self.text("get", id_))
        self.assertNotIn("\033", self.on_terminal("get", id_, "--json"))


class Show(CliCase):
    def test_get(self):
        id_ = self.submit("sha256", "hello", "--label", "file=a b", "--label", "n=1", "--group", "g", "--tag", "t")
        self.ctl("wait", id_)
        self.assertEqual(plain(self.text("get", id_)), (
            "future      ID1\n"
            "state       SUCCEEDED\n"
            "function    sha256\n"
            "argument    5 bytes: hello\n"
            "labels      file=a b\n"
            "            n=1\n"
            "group       g\n"
            "tag         t\n"
            "durability  ephemeral: lost when the daemon stops\n"
            "submitted   TIME by PEER\n"
            "started     TIME\n"
            "ended       TIME\n"
            "kept until  TIME\n"
            "attempt 1   started TIME on worker WORKER, ran SPAN\n"
            f"result      64 bytes: {sha256(b'hello')}\n"))

    def test_get_crashed(self):
        id_ = self.submit("crash")
        self.ctl("wait", id_, status=1)
        self.assertEqual(plain(self.text("get", id_)), (
            "future      ID1\n"
            "state       FAILED\n"
            "function    crash\n"
            "argument    0 bytes\n"
            "durability  ephemeral: lost when the daemon stops\n"
            "submitted   TIME by PEER\n"
            "started     TIME\n"
            "ended       TIME\n"
            "kept until  TIME\n"
            "attempt 1   started TIME on worker WORKER, ran SPAN, killed by SIGSEGV; CRASHED: killed by SIGSEGV\n"
            "error       CRASHED: killed by SIGSEGV\n"))

    def test_get_exit_code(self):
        id_ = self.submit("exit7")
        self.ctl("wait", id_, status=1)
        got = plain(self.text("get", id_))
        self.assertRegex(got, r"attempt 1   started TIME on worker WORKER, ran SPAN, exit code 7; ")
        self.assertEqual(json.loads(self.ctl("get", id_, "--json"))["attempts"][0]["exit_code"], 7)

    def test_get_several(self):
        ids = [self.submit("echo", str(n)) for n in range(2)]
        self.ctl("wait", *ids)
        text = self.text("get", *ids, "--view", "result")
        self.assertEqual(plain(text), (
            "future      ID1\nstate       SUCCEEDED\nresult      1 byte: 0\n\n"
            "future      ID2\nstate       SUCCEEDED\nresult      1 byte: 1\n"))
        got = json.loads(self.ctl("get", *ids, "--json"))
        self.assertEqual([f["id"] for f in got], ids)
        lines = self.text("get", ids[0], NO_SUCH_ID, ids[1], "--jsonl", status=4, err=None).splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], ids)

    def test_get_unknown(self):
        self.ctl("get", NO_SUCH_ID, status=4, err=(
            "futurectl: there is no future ID1: it never existed, was deleted, or its retention has ended\n"))
        self.ctl("get", "nonsense", status=2, err=(
            'futurectl: id: "nonsense" is no future ID: 36 characters, a UUID of version 7\n'))

    def test_list(self):
        ids = [self.submit("echo", str(n), "--group", "g", "--label", f"n={n}") for n in range(3)]
        other = self.submit("sha256", "x")
        self.ctl("wait", *ids, other)
        rows = plain(re.sub(r"( {2})\d[\d.]* (ns|us|ms|s) +", r"\1SPAN  ", self.text("list")))
        self.assertEqual(rows, (
            "ID                                    STATE      FUNCTION          SUBMITTED                      TOOK      LABELS\n"
            "ID1  SUCCEEDED  sha256            TIME  SPAN  \n"
            "ID2  SUCCEEDED  echo              TIME  SPAN  n=2\n"
            "ID3  SUCCEEDED  echo              TIME  SPAN  n=1\n"
            "ID4  SUCCEEDED  echo              TIME  SPAN  n=0\n"))

        def listed(*words, **options):
            return [json.loads(line)["id"] for line in self.text("list", "--jsonl", *words, **options).splitlines()]

        self.assertEqual(listed(), [other, *reversed(ids)])
        self.assertEqual(listed("--oldest-first"), [*ids, other])
        self.assertEqual(listed("--group", "g", "--oldest-first"), ids)
        self.assertEqual(listed("--group", "none"), [])
        self.assertEqual(listed("--limit", "2"), [other, ids[2]])
        self.assertEqual(listed("--limit", "0"), [other, *reversed(ids)])
        self.assertEqual(sorted(listed(ids[0], ids[2])), sorted([ids[0], ids[2]]))
        self.assertEqual([f["id"] for f in json.loads(self.ctl("list", "--json", "--group", "g"))], ids[::-1])
        self.assertEqual(json.loads(self.ctl("list", "--json", "--group", "none")), [])
        self.ctl("list", "--limit", "2", err="futurectl: there are more: --limit N shows so many, --limit 0 all\n")

    def test_list_pages(self):
        """More than a page of the daemon holds: each appears exactly once."""
        n = 1005
        files = [self.directory / f"f{i}" for i in range(n)]
        for file in files:
            file.write_text(file.name)
        subprocess.run([BIN.parent / "client/examples/hash-files", *files], check=True, capture_output=True,
                       env=self.environment(), timeout=DEADLINE)
        lines = self.text("list", "--group", "hash-files", "--limit", "0", "--jsonl").splitlines()
        self.assertEqual((len(lines), len({json.loads(line)["id"] for line in lines})), (n, n))

    def test_functions(self):
        lines = self.text("functions").splitlines()
        self.assertEqual([line.split()[:2] for line in lines], [
            ["FUNCTION", "KIND"], ["crash", "command"], ["echo", "plugin"], ["exit7", "command"], ["fail", "plugin"],
            ["gate", "command"], ["gunzip", "plugin"], ["gzip", "plugin"], ["sha256", "plugin"], ["sleep", "plugin"]])
        self.assertEqual(lines[1], "crash                 command         0        0          0       0            Dies.")
        self.assertEqual([f["spec"]["name"] for f in json.loads(self.ctl("functions", "g", "--json"))],
                         ["gate", "gunzip", "gzip"])


class Wait(CliCase):
    def test_all(self):
        ids = [self.submit("echo", str(n)) for n in range(3)]
        self.assertEqual(sorted(self.text("wait", *ids).splitlines()),
                         sorted(f"{i}  SUCCEEDED with a result of 1 byte" for i in ids))

    def test_exit_status(self):
        good, bad = self.submit("echo", "x"), self.submit("fail", "no")
        self.assertIn(f"{bad}  FAILED FUNCTION_ERROR (FAIL): no\n", self.text("wait", good, bad, status=1))
        self.assertIn(f"{NO_SUCH_ID}  not found\n", self.text("wait", good, NO_SUCH_ID, status=4))
        gate = self.submit("gate")
        self.assertEqual(self.text("wait", good, gate, "--timeout", "100ms", status=124),
                         f"{good}  SUCCEEDED with a result of 1 byte\n{gate}  not done\n")
        self.ctl("wait", "--group", "g", good, status=2, err="futurectl: both IDs and --group: give one of them\n")
        self.ctl("wait", good, "--any", "--count", "1", status=2,
                 err="futurectl: --any, --first-exception and --count exclude each other\n")

    def test_when(self):
        gate, good = self.submit("gate"), self.submit("echo", "x")
        self.assertIn(f"{gate}  not done\n", self.text("wait", gate, good, "--any"))
        self.assertIn(f"{gate}  not done\n", self.text("wait", gate, good, "--count", "1"))
        bad = self.submit("fail", "no")
        self.assertIn(f"{gate}  not done\n", self.text("wait", gate, good, bad, "--first-exception", status=1))
        self.open_gate()
        self.ctl("wait", gate, good, "--count", "2")

    def test_result(self):
        gate = self.submit("gate")
        self.ctl("result", gate, "--timeout", "0s", status=124, err=None)
        waiting = self.start_ctl("result", gate)
        self.open_gate(b"at last")
        self.assertEqual(waiting.wait(DEADLINE), 0)
        self.assertEqual(waiting.stdout.read(), "at last")
        out = self.directory / "out"
        self.assertEqual(self.ctl("result", gate, "-o", out), b"")
        self.assertEqual(out.read_bytes(), b"at last")
        self.ctl("result", NO_SUCH_ID, status=4, err=None)

    def test_watch(self):
        gate = self.submit("gate")
        self.wait_running(gate)
        watch = self.start_ctl("watch", gate)
        first = watch.stdout.readline()
        self.assertEqual(plain(first), "TIME  ID1  RUNNING attempt 1\n")
        self.open_gate(b"12345")
        self.assertEqual(plain(watch.stdout.read()), "TIME  ID1  SUCCEEDED with a result of 5 bytes\n")
        self.assertEqual(watch.wait(DEADLINE), 0)
        self.ctl("watch", NO_SUCH_ID, status=4, err=None)


class Change(CliCase):
    def test_cancel(self):
        gates = [self.submit("gate") for _ in range(2)]  # both workers
        for gate in gates:
            self.wait_running(gate)
        pending = self.submit("gate")
        self.assertEqual(plain(self.text("cancel", pending, "--reason", "too slow")), "ID1  CANCELLED: too slow\n")
        self.ctl("wait", pending, status=3)
        record = json.loads(self.ctl("get", pending, "--json"))
        self.assertEqual((record["state"], record["cancel_requested"]["reason"]), ("STATE_CANCELLED", "too slow"))
        self.ctl("result", pending, status=3, err=None)
        self.open_gate()
        self.ctl("wait", *gates)
        self.assertEqual(self.text("cancel", gates[0], NO_SUCH_ID, status=4, err=None).split()[:2],
                         [gates[0], "SUCCEEDED"])

    def test_annotate(self):
        id_ = self.submit("echo", "x", "--label", "draft=1", "--label", "n=1")
        self.ctl("wait", id_)
        got = self.text("annotate", id_, "seen=yes, twice", "--remove", "draft")
        self.assertIn("labels      n=1\n            seen=yes, twice\nas asked    draft=1\n            n=1\n", got)
        self.assertEqual(json.loads(self.ctl("get", id_, "--json"))["labels"], {"n": "1", "seen": "yes, twice"})
        self.ctl("annotate", id_, "bad key=1", status=2, err=None)

    def test_key(self):
        id_ = self.submit("echo", "x", "--key", "k")
        self.assertEqual(self.submit("echo", "x", "--key", "k"), id_)
        self.assertEqual(self.text("run", "echo", "x", "--key", "k").strip(), "x")
        self.ctl("submit", "echo", "other", "--key", "k", status=1, err=None)
        self.ctl("submit", "echo", "x", "--key", "k", "--key-policy", "reject", status=1, err=None)
        self.assertNotEqual(self.submit("echo", "x", "--key", "k", "--key-policy", "join-while-active"), id_)

    def test_depends_on(self):
        ids = [self.submit("echo", str(n)) for n in range(2)]
        bad = self.submit("fail", "no")
        after = [option for id_ in ids for option in ("--depends-on", id_)]
        self.assertEqual(self.text("run", "echo", "y", *after, "--pass-results").strip(), "y")
        self.ctl("run", "echo", "y", *after, "--depends-on", bad, status=1, err=None)
        self.assertEqual(self.text("run", "echo", "y", "--depends-on", bad, "--depend-policy", "failure").strip(), "y")

    def test_delete(self):
        ids = [self.submit("echo", str(n)) for n in range(2)]
        self.ctl("wait", *ids)
        self.assertEqual(self.text("delete", *ids), "".join(f"{i} deleted\n" for i in ids))
        self.ctl("get", ids[0], status=4, err=None)
        running = self.submit("gate")
        self.ctl("delete", running, status=1, err=None)


class Daemon(CliCase):
    def test_workers(self):
        rows = []
        while len(rows) < 2:  # the daemon is ready with the first; the command paces this
            head, *rows = plain(self.text("workers")).splitlines()
        self.assertRegex(head, r"\AWORKER +NAME +STATE +SLOTS +RUNNING +RESERVED +FINISHED +SINCE +FUNCTIONS\Z")
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertRegex(row, r"\AWORKER +pool-\d+ +READY +1 +0 +0 +0 +TIME +echo sleep .* gate")
        self.text("run", "echo", "x")
        found = json.loads(self.ctl("workers", "echo", "--json"))
        self.assertEqual(sum(int(w.get("finishedCount", w.get("finished_count", 0))) for w in found), 1)
        self.assertEqual(json.loads(self.ctl("workers", "nobodys", "--json")), [])

    def test_stats(self):
        self.text("run", "echo", "x")
        wanted = ("# TYPE futured_futures_accepted counter\n# HELP futured_futures_accepted Tasks that were accepted.\n"
                  "futured_futures_accepted_total 1\n# EOF\n")
        self.assertEqual(self.text("stats", "futures_accepted"), wanted)
        self.assertEqual(json.loads(self.ctl("stats", "futures_accepted", "--json")), {"openmetrics": wanted})
        openmetrics.parse(self.text("stats"))

    def test_ping(self):
        self.assertEqual(plain(self.text("ping")), f"{self.server.address} is serving (SPAN)\n")
        self.assertEqual(json.loads(self.ctl("ping", "--json")), {"serving": self.server.address})
        self.ctl("-a", "unix:/nowhere/s", "ping", status=69, err=None)

    def test_wait_for_it(self):
        """ping --wait before the daemon is there."""
        address = f"unix:{self.directory}/later"
        ping = self.start_ctl("ping", "-a", address, "--wait", "60s")
        self.start(program="futured", listen=(address,), arguments=("--workers", "1"), config={"futured": {"store": "none"}})
        self.assertEqual(ping.wait(DEADLINE), 0)
        self.assertEqual(plain(ping.stdout.read()), f"{address} is serving (SPAN)\n")

    def test_stops_meanwhile(self):
        gate = self.submit("gate")
        self.wait_running(gate)
        watch = self.start_ctl("watch", gate)
        self.assertIn("RUNNING", watch.stdout.readline())
        self.server.signal()
        self.open_gate()
        self.assertIn(watch.wait(DEADLINE), (0, 69))  # the last event, or the end of the daemon, whichever came first
        self.assertEqual(self.server.wait(), 0)
        self.ctl("ping", status=69, err=None)

    def test_address_of_the_user(self):
        """Without an address: the socket of the user's daemon, where there is one."""
        (self.directory / "futured").mkdir()
        (self.directory / "futured/futured.sock").symlink_to(self.server.unix_path)
        environment = self.environment(XDG_RUNTIME_DIR=str(self.directory))
        del environment["FUTURED_ADDRESS"]
        done = subprocess.run([BIN / "futurectl", "ping"], capture_output=True, text=True, check=True, env=environment)
        self.assertEqual(plain(done.stdout), f"unix:{self.directory}/futured/futured.sock is serving (SPAN)\n")


class Example(CliCase):
    def test_hash_files(self):
        """The example of the library: each result names its task, and it is the right one."""
        files = {}
        for n in range(200):
            path = self.directory / f"file {n}"
            path.write_bytes(os.urandom(n * 37 % 5000 + 1))
            files[str(path)] = sha256(path.read_bytes())
        done = subprocess.run([BIN.parent / "client/examples/hash-files", *files], capture_output=True, text=True,
                              check=True, env=self.environment(), timeout=DEADLINE)
        got = re.findall(r"^(\S+) sha256\((.*)\) = (\S+)$", done.stdout, flags=re.M)
        self.assertEqual({path: digest for _, path, digest in got}, files)
        self.assertEqual(len({id_ for id_, _, _ in got}), len(files))
        for id_, path, digest in got[:5]:
            record = json.loads(self.ctl("get", id_, "--json"))
            self.assertEqual(record["labels"], {"file": path})
            self.assertEqual(record["result"]["data_text"], digest)

    def test_hash_files_unreachable(self):
        done = subprocess.run([BIN.parent / "client/examples/hash-files", "x"], capture_output=True, text=True,
                              check=False, env=self.environment(FUTURED_ADDRESS="unix:/nowhere/s"))
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn("cannot connect to unix:/nowhere/s", done.stderr)


if __name__ == "__main__":
    harness.main()
