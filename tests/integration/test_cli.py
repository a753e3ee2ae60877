#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl: run, submit, what the daemon says of itself, and the terminal."""
import json
import os
import re
import subprocess

import harness
import openmetrics
from cli_support import UUID, CliCase, plain, sha256, table

from server import BIN, DEADLINE


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


    def test_waits(self):
        """What has to wait for more than its turn says so, and why; the answer is the same."""
        self.ctl("pause", "echo", "--reason", "disk full", err=None)
        paused = self.submit("echo", "x", err="futurectl: ID1 waits (PAUSED): the function is paused: disk full\n")
        self.submit("sha256", "x", "--in", "1h", err="futurectl: ID1 waits (DELAYED) until TIME\n")
        self.submit("sha256", "x", "--at", "2250-01-01T00:00:00Z", err="futurectl: ID1 waits (DELAYED) until TIME\n")
        self.submit("sha256", "x", "--depends-on", paused,
                    err="futurectl: ID1 waits (BLOCKED): it depends on 1 future that has not ended: ID2\n")
        gate = self.submit("gate", "--concurrency-key", "k")
        self.wait_running(gate)
        self.submit("gate", "--concurrency-key", "k", err=(
            "futurectl: ID1 waits (LIMITED): the future ID2 has the same concurrency_key and comes first\n"))
        run = self.start_ctl("run", "echo", "y")
        self.assertEqual(plain(run.stderr.readline()),
                         "futurectl: ID1 waits (PAUSED): the function is paused: disk full\n")
        self.ctl("resume", "echo", err=None)
        self.assertEqual((run.wait(DEADLINE), run.stdout.read(), run.stderr.read()), (0, "y", ""))
        self.assertEqual(self.text("result", paused), "x")

    def test_no_worker(self):
        server = self.start(program="futured", listen=("unix:@s",), arguments=("--workers", "0"), config={"futured": {"store": "none"}})
        self.submit("echo", "x", FUTURED_ADDRESS=server.address,
                    err="futurectl: ID1 waits (NO_WORKER): no worker serves the function\n")

    def test_options(self):
        """Every option of a task, as the record has it."""
        up = self.submit("echo", "up")
        got = self.json("submit", "sha256", "x", "--depends-on", up[:24], "--depend-policy", "finish", "--pass-results",
                        "--in", "90s", "--deadline", "2250-01-01T00:00:00Z", "--attempt-timeout", "2s", "--retries", "2",
                        "--retention", "1h", "--priority", "5", "--key", "k", "--key-policy", "reject", "--concurrency-key",
                        "one", "--fairness-key", "team", "--ephemeral", "--group", "g", err=None)
        self.assertEqual(got["task"]["options"], {
            "durability": "DURABILITY_EPHEMERAL", "priority": 5, "delay": "90s", "deadline": "2250-01-01T00:00:00Z",
            "attempt_timeout": "2s", "retry": {"max_attempts": 3, "multiplier": 0.0, "non_retryable_types": []},
            "on_lost": "ON_LOST_UNSPECIFIED", "depends_on": [up], "depend_policy": "DEPEND_POLICY_ON_FINISH",
            "pass_results": True, "idempotency_key": "k", "key_policy": "KEY_POLICY_REJECT", "retention": "3600s",
            "concurrency_key": "one", "fairness_key": "team"})
        self.submit("sha256", "x", "--durable", status=1, err=None)  # this daemon has no store

    def test_retries(self):
        self.ctl("run", "fail", "no", "--retries", "1", status=1, err=None)
        self.assertEqual(len(self.json("list", "-f", "function = fail")[0]["attempts"]), 2)


class Terminal(CliCase):
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
        self.assertIn(f"{id_}  \033[32mSUCCEEDED\033[0m  sha256    ", self.on_terminal("list"))
        self.assertNotIn("\033", self.on_terminal("list", NO_COLOR="1"))


class Daemon(CliCase):
    def test_workers(self):
        head, *rows = table(self.text("workers")).splitlines()
        self.assertEqual(head, "WORKER  NAME  STATE  SLOTS  RUNNING  RESERVED  FINISHED  AGE  FUNCTIONS")
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertRegex(row, r"\AWORKER  pool-\d+  READY  1  0  0  0  SPAN  echo sleep .* gate\Z")
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

    def test_reload(self):
        self.assertEqual(self.text("reload"), "nothing has changed\n")
        file = self.server.directory / "futured.conf"
        before = file.read_text(encoding="utf-8")
        file.write_text(before.replace("exit 7", "exit 8") + "[store]\ncache = 1M\n[function.more]\ncommand = printf more\n",
                        encoding="utf-8")
        wanted = ("changed     function.exit7.command\n            function.more\nat restart  store.cache\n")
        self.assertEqual(self.text("reload", "--dry-run"), wanted)
        self.assertEqual(json.loads(self.ctl("reload", "--dry-run", "--json")),
                         {"changed": ["function.exit7.command", "function.more"], "needs_restart": ["store.cache"],
                          "plugins": [], "omitted": 0})
        self.ctl("run", "more", status=4, err=None)  # nobody knows it
        self.assertEqual(self.text("reload"), wanted)
        self.assertEqual(self.text("run", "more"), "more")
        file.write_text(before + "[pool]\nthread = 1\n", encoding="utf-8")
        line = len(file.read_text(encoding="utf-8").splitlines())
        self.ctl("reload", status=1, err=(
            "futurectl: nothing has changed, since the configuration is wrong: "
            f"{file}:{line}: [pool] thread: there is no such key; see futured --help\n"))
        self.assertEqual(self.text("run", "more"), "more")

    def test_drain(self):
        gate = self.submit("gate")
        self.wait_running(gate)
        held = "accepts     nothing\nstarts      nothing\nrunning     1\npending     0\n"
        out = self.ctl("drain", "--timeout", "1ms", "--reason", "new disk", status=124).decode()
        self.assertEqual(table(out), table(
            held + "ID  STATE  FUNCTION  AGE  TOOK  LABELS\n" + f"{gate}  RUNNING  gate  1 s\n"))
        self.assertEqual(json.loads(self.ctl("drain", "--timeout", "1ms", "--json", status=124))["running_count"], 1)
        self.ctl("submit", "echo", status=69, err=None)
        drain = self.start_ctl("drain")
        self.open_gate()
        self.assertEqual(drain.wait(DEADLINE), 0)
        self.assertEqual(drain.stdout.read(), held.replace("1\n", "0\n"))
        self.assertEqual(self.text("drain", "--undo"), "accepting and starting tasks\n")
        self.assertEqual(self.text("run", "echo", "x"), "x")
        self.assertEqual(self.text("drain", "--stop-accept"), "accepts     nothing\nstarts      tasks\nrunning     0\npending     0\n")
        self.ctl("drain", "--undo", "--exit", status=2,
                 err="futurectl: --undo excludes --stop-accept, --stop-dispatch and --exit\n")
        self.assertEqual(self.text("drain", "--exit"),
                         "accepts     nothing\nstarts      nothing\nthen        it ends\nrunning     0\npending     0\n")
        self.assertEqual(self.server.wait(), 0)

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
