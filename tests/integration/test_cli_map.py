#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl map: what goes in, what comes out, how it ends and how it is taken up again."""
import json
import pathlib
import re
import signal
import subprocess
import threading

import harness
from cli_support import CliCase, plain, sha256
from server import BIN, DEADLINE


def map_plain(text):
    """As plain; names of groups that map makes, and rates, are made equal."""
    text = re.sub(r"\bmap-\d{8}-\d{6}-\d+\b", "GROUP", plain(text))
    return re.sub(r", [\d.]+/s(, SPAN left)?", ", RATE", text)


def sums(*items):
    return "".join(sha256(i if isinstance(i, bytes) else i.encode()) + "\n" for i in items)


class MapCase(CliCase):
    def map(self, *words, status=0, stdin=b"", err="", **more):
        """Run futurectl map; what it printed, as text."""
        done = subprocess.run([BIN / "futurectl", "map", *words], input=stdin, capture_output=True, timeout=DEADLINE,
                              env=self.environment(**more))
        said = map_plain(done.stderr.decode())
        self.assertEqual(done.returncode, status, f"{words}: {said}")
        if err is not None:
            self.assertEqual(said, err)
        return done.stdout.decode()

    def wait_group(self, group, n):
        """Until @n of the group are running."""
        watch = self.start_ctl("watch", "--group", group, "--jsonl")
        running = set()
        for line in watch.stdout:
            event = json.loads(line)
            future = event.get("snapshot") or event.get("state") or {}
            if future.get("state") == "STATE_RUNNING":
                running.add(event["id"])
            if len(running) == n:
                watch.kill()
                watch.wait()
                return
        self.fail("they never ran")

    def _stop(self, server):
        if not getattr(server, "is_killed", False):
            super()._stop(server)

    def runs(self, group, state=None):
        return int(self.text("count", "-f", f"group = {group}" + (f" AND state = {state}" if state else "")))


class Items(MapCase):
    def test_words(self):
        self.assertEqual(self.map("sha256", "-k", "a", "b", "a"), sums("a", "b", "a"))
        self.assertEqual(self.map("sha256", "-k", ":::", "--keep-order", "-x", ":::"), sums("--keep-order", "-x", ":::"))
        self.assertEqual(self.map("sha256", ":::"), "")
        self.assertEqual(self.map("sha256", ":::", stdin=b"not read"), "")
        self.assertEqual(sorted(self.map("sha256", "a", "b").splitlines()), sorted(sums("a", "b").splitlines()))

    def test_stdin(self):
        self.assertEqual(self.map("sha256", "-k", stdin=b"a b\n\nlast"), sums("a b", "", "last"))
        self.assertEqual(self.map("sha256", "-k", "-0", stdin=b"a\nb\0c"), sums("a\nb", "c"))
        self.assertEqual(self.map("sha256"), "")

    def test_many(self):
        """More than is in flight, more than is read at a time, in order."""
        items = [str(n) for n in range(20000)]
        self.assertEqual(self.map("echo", "-k", stdin="\n".join(items).encode()).split(), items)
        self.assertEqual(sorted(self.map("echo", "-j", "7", stdin="\n".join(items[:3000]).encode()).split(), key=int), items[:3000])

    def test_endless(self):
        """Results come while items still come, and what is kept does not grow with them."""
        for words in ((), ("-k",)):
            self.check_endless(*words)

    def check_endless(self, *words):
        process = subprocess.Popen([BIN / "futurectl", "map", "echo", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.environment())

        def feed(n, line=b"an item\n"):
            """The most memory that it has had, in bytes, when the results of @n more items are there."""
            thread = threading.Thread(target=lambda: (process.stdin.write(line * n), process.stdin.flush()), daemon=True)
            thread.start()
            self.assertTrue(process.stdout.read(n * len(line)) == line * n)
            thread.join()
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)[1]) << 10

        feed(1)
        more = -feed(5_000) + feed(10_000 if harness.IS_SANITIZED else 200_000)
        if not harness.IS_SANITIZED:  # these keep what was freed
            self.assertLess(more, 8 << 20)  # 42 bytes an item
        process.stdin.close()
        self.assertEqual((process.stdout.read(), process.wait(DEADLINE)), (b"", 0))
        process.stdout.close()

    def test_files(self):
        for name, data in (("one", b"1"), ("two words", bytes(100000)), ("empty", b"")):
            (self.directory / name).write_bytes(data)
        (self.directory / "large").write_bytes(bytes(5 << 20))
        paths = [str(self.directory / name) for name in ("one", "two words", "empty", "large", "none")]
        self.assertEqual(self.map("sha256", "--files", "-k", "--group", "g", *paths, str(self.directory), status=1, err=(
            f"futurectl: {paths[3]}: 5.0 MiB are more than the daemon takes: its max_message is 4.0 MiB\n"
            f"futurectl: {paths[4]}: cannot read {paths[4]}: No such file or directory\n"
            f"futurectl: {self.directory}: cannot read {self.directory}: Is a directory\n"
            "futurectl: 6 of 6 done, 3 failed\n"
            "futurectl: with --retry-failed those that failed are run again\n")), sums(b"1", bytes(100000), b""))
        futures = self.json("list", "--group", "g", "--oldest-first")
        self.assertEqual([f["labels"] for f in futures], [{"file": p} for p in paths[:3]])

    def test_table(self):
        rows = b'name,"home town"\nada,"London, ""UK"""\nbob\nzoe,"two\nlines"\n'
        self.assertEqual(self.map("echo", "--csv", "-k", "--group", "g", stdin=rows, status=1, err=(
            "futurectl: bob: it has 1 field, the head has 2\n"
            "futurectl: 3 of 3 done, 1 failed\n"
            "futurectl: with --retry-failed those that failed are run again\n")),
            '{"name":"ada","home town":"London, \\"UK\\""}\n{"name":"zoe","home town":"two\\u000alines"}\n')
        self.assertEqual(self.json("list", "--group", "g", "--view", "task")[0]["task"]["content_type"], "application/json")
        self.assertEqual(self.map("echo", "--csv", "--argument", "{name} lives in {home town}", "--label", "who={name}", "--group", "h",
                                  stdin=b"name,home town\r\nada,London\r\n"), "ada lives in London\n")
        self.assertEqual(self.json("list", "--group", "h")[0]["labels"], {"who": "ada"})
        self.map("echo", "--csv", "--argument", "{nam}", stdin=b"name\nada\n", status=2, err=(
            "futurectl: the table has no column nam, but name\n"))
        (self.directory / "x").write_text("content")
        self.assertEqual(self.map("echo", "--csv", "--files", "--argument", f"{self.directory}/{{path}}", stdin=b"path,n\nx,1\n"), "content\n")

    def test_templates(self):
        self.assertEqual(self.map("echo", "-k", "--argument", "{#}: {/} {//} {.} {/.}", "--label", "name={/}", "--group", "g", ":::",
                                  "/a/b.c", "d"), "1: b.c /a /a/b b\n2: d . d d\n")
        self.assertEqual([f["labels"]["name"] for f in self.json("list", "--group", "g", "--oldest-first")], ["b.c", "d"])
        self.assertEqual(self.map("echo", "-t", "application/json", "--argument", '["{}"]', ":::", 'say "x"'), '["say \\"x\\""]\n')
        self.assertEqual(self.map("echo", "-t", "application/json", ":::", '{"a": 1}'), '{"a": 1}\n')

    def test_wrong(self):
        for words, said in ((("--csv", "x"), "--csv reads standard input, but items are given as well"),
                            (("-0", ":::"), "--null reads standard input, but items are given as well"),
                            (("--csv", "-0"), "--csv and --null exclude each other"),
                            (("--csv", "--files"),
                             "--csv and --files need --argument, such as '{path}', which names the file of a record"),
                            (("--resume",), "--resume needs --group: which group?"),
                            (("--group", "g" * 256), "--group, or the function, is longer than 255 bytes"),
                            (("--joblog", "/nowhere/log"), "cannot write /nowhere/log: No such file or directory")):
            self.map("echo", *words, status=2, err=f"futurectl: {said}\n")
        self.map("no-such-function", "a", "b", status=4, err=(
            'futurectl: no function "no-such-function" was ever configured, nor has a worker ever offered it\n'
            "futurectl: `futurectl functions` lists what there is\n"))
        self.map("echo", "x", status=69, err=None, FUTURED_ADDRESS="unix:/nowhere/s")

    def test_dry_run(self):
        self.assertEqual(self.map("echo", "--dry-run", "--label", "x={}", ":::", "a b", "it's", FUTURED_ADDRESS="unix:/nowhere/s"),
                         "futurectl run echo --argument 'a b' --label x='a b'\n"
                         "futurectl run echo --argument 'it'\\''s' --label x='it'\\''s'\n")
        self.assertEqual(self.map("echo", "--dry-run", "--files", "not there"), "futurectl run echo @'not there'\n")


class Output(MapCase):
    def test_tag(self):
        self.assertEqual(self.map("echo", "-k", "--tag", "--argument", "{}\n{}", "a", "b"), "a\ta\na\ta\nb\tb\nb\tb\n")

    def test_json(self):
        lines = [json.loads(line) for line in self.map("echo", "a", "b", "--jsonl", "-k").splitlines()]
        self.assertEqual([(f["state"], f["task"]["argument_text"], f["result"]["data_text"]) for f in lines],
                         [("STATE_SUCCEEDED", "a", "a"), ("STATE_SUCCEEDED", "b", "b")])
        self.assertEqual([f["state"] for f in json.loads(self.map("fail", "a", "--json", status=1, err=None))], ["STATE_FAILED"])
        self.assertEqual(json.loads(self.map("fail", "--json", ":::")), [])

    def test_failing(self):
        self.assertEqual(self.map("fail", "why", status=1, err=(
            "futurectl: why: ID1 FAILED, FUNCTION_ERROR: why\n"
            "futurectl: 1 of 1 done, 1 failed\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n")), "")
        self.map("echo", "--label", "a b={}", "x", status=1, err=None)  # the daemon refuses the key

    def test_retries(self):
        self.map("fail", "--retries", "1", "--group", "g", "x", status=1, err=None)
        self.assertEqual(len(self.json("list", "--group", "g")[0]["attempts"]), 2)

    def test_options(self):
        """Each item's task has them, as the record says."""
        self.map("echo", "--in", "1ms", "--attempt-timeout", "1m", "--priority", "3", "--concurrency-key", "k", "--fairness-key", "f",
                 "--retention", "1h", "--deadline", "2250-01-01T00:00:00Z", "--ephemeral", "--group", "g", "a", err=None)
        self.map("echo", "--at", "2020-01-01T00:00:00Z", "--group", "h", "a", err=None)
        with_all, with_at = (self.json("list", "--group", group, "--view", "task")[0]["task"]["options"] for group in "gh")
        self.assertEqual(with_at["not_before"], "2020-01-01T00:00:00Z")
        self.assertRegex(with_all.pop("idempotency_key"), "^map/")
        self.assertEqual(with_all, {
            "durability": "DURABILITY_EPHEMERAL", "priority": 3, "delay": "0.001s", "deadline": "2250-01-01T00:00:00Z",
            "attempt_timeout": "60s", "on_lost": "ON_LOST_UNSPECIFIED", "depends_on": [], "depend_policy": "DEPEND_POLICY_UNSPECIFIED",
            "pass_results": False, "key_policy": "KEY_POLICY_JOIN_WHILE_ACTIVE", "retention": "3600s", "concurrency_key": "k",
            "fairness_key": "f"})

    def test_attempt_timeout(self):
        log = self.directory / "log"
        self.map("sleep", "--attempt-timeout", "100ms", "--joblog", log, "--group", "g", "600000", status=1, err=None)
        self.assertEqual(self.json("list", "--group", "g")[0]["error"]["reason"], "TIMEOUT")
        self.assertEqual(log.read_text().splitlines()[1].split("\t")[6], "-1")

    def test_joblog(self):
        log = self.directory / "log"
        self.map("exit7", "--joblog", log, "x", status=1, err=None)
        head, line = log.read_text().splitlines()
        self.assertEqual(head, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand")
        self.assertRegex(line, r"^1\tw-\d+\t\d+\.\d{3}\t +\d+\.\d{3}\t1\t0\t7\t0\texit7 x$")
        self.map("echo", "--joblog", log, "--group", "g", "--resume", "abc")
        self.assertEqual([line.split("\t")[6] for line in log.read_text().splitlines()], ["Exitval", "7", "0"])

    def test_results(self):
        out = self.directory / "out"
        self.assertEqual(self.map("echo", "--results", out, ":::", "a/b"), "a/b\n")
        self.map("fail", "--results", out, ":::", "why", status=1, err=None)
        found = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}
        self.assertEqual(found, {"1/a\\_b/stdout": "a/b", "1/a\\_b/stderr": "", "1/a\\_b/seq": "1\n",
                                 "1/why/stdout": "", "1/why/stderr": "FUNCTION_ERROR: why\n", "1/why/seq": "1\n"})

    def test_progress_lines(self):
        said = self.start_ctl("map", "echo", "--progress", "lines", "--interval", "1ms", *(str(n) for n in range(300)))
        self.assertEqual((len(said.stdout.read().split()), said.wait(DEADLINE)), (300, 0))
        lines = said.stderr.read().splitlines()
        self.assertEqual(lines[-1], "futurectl: 300 of 300 done")
        for line in lines[:-1]:
            self.assertRegex(line, r"^futurectl: \d+ of 300 done(, \d+ in flight)?, [\d.]+/s(, .* left)?$")

    def test_no_space(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BIN / "futurectl", "map", "echo", "x"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment(), check=False, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write the output: No space left on device", done.stderr)


class End(MapCase):
    def test_halt(self):
        self.map("fail", "--halt", "soon,fail=1", "-j1", "a", "b", "c", status=1, err=(
            "futurectl: a: ID1 FAILED, FUNCTION_ERROR: a\n"
            "futurectl: 1 of 3 done, 1 failed\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n"))
        self.map("echo", "--halt", "now,success=1", "-j1", "a", "b", "c", err="futurectl: 1 of 3 done\n")
        self.map("echo", "--halt", "often", "x", status=2, err=None)

    def test_halt_share(self):
        """Of what is done, from the third on."""
        self.map("fail", "--halt", "soon,fail=50%", "-j1", "a", "b", "c", "d", status=1, err=(
            "futurectl: a: ID1 FAILED, FUNCTION_ERROR: a\n"
            "futurectl: b: ID2 FAILED, FUNCTION_ERROR: b\n"
            "futurectl: c: ID3 FAILED, FUNCTION_ERROR: c\n"
            "futurectl: 3 of 4 done, 3 failed\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n"))
        self.map("echo", "--halt", "now,success=50%", "-j1", "a", "b", "c", "d", err="futurectl: 3 of 4 done\n")
        self.map("echo", "--halt", "now,fail=50%", "-j1", "a", "b", "c", "d")

    def start_one(self):
        """A daemon with a function whose calls fail, but for `stay`, which waits at the gate."""
        self.server = self.start(program="futured", listen=("unix:@s",), arguments=("--workers", "2"), config={
            "futured": {"store": "none"},
            "function.one": {"command": f"read x; test $x = stay || exit 3; cat {self.fifo}", "shell": "yes"}})

    def test_halt_soon_waits(self):
        """What runs goes on when another one has failed, and nothing more is submitted."""
        self.start_one()
        process = self.start_ctl("map", "one", "--halt", "soon,fail=1", "-j2", "--progress", "none", "stay", "fail", "fail too")
        self.assertEqual(plain(process.stderr.readline()), "futurectl: fail: ID1 FAILED, FUNCTION_ERROR: exit code 3\n")
        self.open_gate()
        self.assertEqual((process.wait(DEADLINE), process.stdout.read()), (1, "open\n"))
        self.assertEqual(map_plain(process.stderr.read()), (
            "futurectl: 2 of 3 done, 1 failed\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n"))

    def test_halt_now_cancels(self):
        """What runs is cancelled when another one has failed."""
        self.start_one()
        self.map("one", "--halt", "now,fail=1", "--progress", "none", "stay", "fail", status=1, err=(
            "futurectl: fail: ID1 FAILED, FUNCTION_ERROR: exit code 3\n"
            "futurectl: 2 of 2 done, 1 failed, 1 cancelled\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n"))

    def test_cancelled_by_others(self):
        process = self.start_ctl("map", "gate", "--group", "g", "x")
        self.wait_group("g", 1)
        self.ctl("cancel", "--group", "g", "-y", err=None)
        self.assertEqual(process.wait(DEADLINE), 3)
        self.assertEqual(map_plain(process.stderr.read()), (
            "futurectl: x: ID1 CANCELLED\n"
            "futurectl: 1 of 1 done, 1 cancelled\n"))

    def test_timeout(self):
        process = self.start_ctl("map", "gate", "--timeout", "300ms", "x")
        self.assertEqual(process.wait(DEADLINE), 124)
        said = process.stderr.read()
        self.assertEqual(map_plain(said), (
            "futurectl: 0 of 1 done, 1 in flight\n"
            "futurectl: 1 goes on; `futurectl wait --group GROUP` waits for it\n"))
        waiting = self.start_ctl(*re.search(r"`futurectl (.*)`", said)[1].split())
        self.open_gate()
        self.assertEqual(waiting.wait(DEADLINE), 0)

    def test_interrupt(self):
        """Once: nothing more is submitted, what runs is cancelled and waited for."""
        process = self.start_ctl("map", "gate", "--group", "g", "-j2", "a", "b", "c")
        self.wait_group("g", 2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 130)
        self.assertEqual(map_plain(process.stderr.read()), (
            "futurectl: interrupted: what is in flight (2) is cancelled; once more leaves at once\n"
            "futurectl: 2 of 3 done, 2 cancelled\n"
            "futurectl: with --resume only what is not done is run\n"))
        self.assertEqual((self.runs("g"), self.runs("g", "CANCELLED")), (2, 2))
        self.no_gate()
        self.assertEqual(self.map("gate", "--group", "g", "--resume", "a", "b", "c"), "")
        self.assertEqual((self.runs("g"), self.runs("g", "SUCCEEDED")), (5, 3))

    def test_interrupt_twice(self):
        """Twice: it is gone, and what runs goes on."""
        process = self.start_ctl("map", "gate", "--group", "g", "a")
        self.wait_group("g", 1)
        self.server.signal(signal.SIGSTOP)  # so that nothing is cancelled before the second time comes
        self.addCleanup(self.server.signal, signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        self.assertEqual(plain(process.stderr.readline()),
                         "futurectl: interrupted: what is in flight (1) is cancelled; once more leaves at once\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 130)
        self.assertEqual(process.stderr.read(), "futurectl: left; `futurectl wait --group g` waits for what goes on\n")


class Again(MapCase):
    def test_resume(self):
        self.map("echo", "--group", "g", "a", "b")
        self.assertEqual(self.map("echo", "-k", "--group", "g", "--resume", "a", "b", "c"), "a\nb\nc\n")
        self.assertEqual(self.runs("g"), 3)
        self.assertEqual(self.map("echo", "-k", "--group", "g", "a", "b"), "a\nb\n")  # without it they run again
        self.assertEqual(self.runs("g"), 5)
        self.assertEqual(self.map("sha256", "--group", "g", "--resume", "a"), sums("a"))  # another function
        self.assertEqual(self.map("echo", "--group", "h", "--resume", "a"), "a\n")  # another group
        self.assertEqual((self.runs("g"), self.runs("h")), (6, 1))

    def test_retry_failed(self):
        self.map("fail", "--group", "g", "a", "b", status=1, err=None)
        self.map("fail", "--group", "g", "--resume", "a", "b", status=1, err=None)
        self.assertEqual(self.runs("g"), 2)  # they have been run
        self.map("fail", "--group", "g", "--retry-failed", "a", "b", status=1, err=None)
        self.assertEqual(self.runs("g"), 4)
        self.map("echo", "--group", "g", "x")
        self.map("echo", "--group", "g", "--retry-failed", "x")
        self.assertEqual(self.runs("g", "SUCCEEDED"), 1)

    def test_same_item(self):
        """The same item several times is so many tasks, also where they have keys."""
        self.assertEqual(self.map("echo", "--group", "g", "a", "a", "a"), "a\na\na\n")
        self.assertEqual(self.runs("g"), 3)

    def test_daemon_restarts(self):
        """The daemon is killed and comes back: what was in flight is sent again as the same tasks."""
        how = {"program": "futured", "listen": (f"unix:{self.directory}/s",), "store": "sqlite",
               "arguments": ("--workers", "2", "--state-directory", str(self.directory / "state")),
               "config": {"function.gate": {"command": f"cat {self.fifo}"}}}
        self.server = self.start(**how)
        process = self.start_ctl("map", "gate", "--group", "g", "a", "b", "c")
        self.wait_group("g", 2)
        self.server.kill()
        self.server.is_killed = True
        self.assertRegex(process.stderr.readline(), "; trying again$")
        self.no_gate()
        self.server = self.start(**how)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(process.stderr.read(), f"futurectl: {self.server.address} answers again\n")
        self.assertEqual((self.runs("g"), self.runs("g", "SUCCEEDED")), (3, 3))


if __name__ == "__main__":
    harness.main()
