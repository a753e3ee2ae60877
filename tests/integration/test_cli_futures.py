#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl: what shows futures and waits for them."""
import json
import subprocess

import harness
from cli_support import NO_SUCH_ID, CliCase, plain, sha256, table
from server import BIN, DEADLINE


class Logs(CliCase):
    functions = {
        "function.noisy": {"command": "echo first >&2; echo second $(cat) >&2; exit 1", "shell": "yes"},
        "function.gated": {"command": 'echo first >&2; cat "$(cat)"; echo second >&2', "shell": "yes"},  # the gate is its argument
    }

    def test_logs(self):
        id_ = self.submit("noisy", "7")
        self.ctl("wait", id_, status=1)
        for arguments in ((), ("--follow",), ("--stream", "log"), ("--stream", "all"), ("--attempt", "1")):
            self.assertEqual(self.ctl("logs", id_, *arguments), b"first\nsecond 7\n", arguments)
        for arguments in (("--stream", "output"), ("--attempt", "2")):
            self.assertEqual(self.ctl("logs", id_, *arguments), b"", arguments)
        events = [json.loads(line) for line in self.text("logs", id_, "--jsonl").splitlines()]
        self.assertEqual({(e["log"]["attempt"], e["log"]["stream"]) for e in events}, {(1, "STREAM_STDERR")})
        self.assertEqual(self.ctl("logs", NO_SUCH_ID, status=4, err=None), b"")

    def test_follow(self):
        id_ = self.submit("gated", str(self.fifo))
        process = self.start_ctl("logs", id_, "--follow")
        self.assertEqual(process.stdout.readline(), "first\n")
        self.open_gate()
        self.assertEqual((process.stdout.read(), process.wait(DEADLINE)), ("second\n", 0))


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
        self.assertEqual(table(self.text("list")), (
            "ID  STATE  FUNCTION  AGE  TOOK  LABELS\n"
            "ID1  SUCCEEDED  sha256  SPAN  SPAN\n"
            "ID2  SUCCEEDED  echo  SPAN  SPAN  n=2\n"
            "ID3  SUCCEEDED  echo  SPAN  SPAN  n=1\n"
            "ID4  SUCCEEDED  echo  SPAN  SPAN  n=0\n"))

        def listed(*words, **options):
            return [json.loads(line)["id"] for line in self.text("list", "--jsonl", *words, **options).splitlines()]

        self.assertEqual(listed(), [other, *reversed(ids)])
        self.assertEqual(listed("--oldest-first"), [*ids, other])
        self.assertEqual(listed("--group", "g", "--oldest-first"), ids)
        self.assertEqual(listed("--group", "none"), [])
        self.assertEqual(listed("-f", "labels.n >= 1"), [ids[2], ids[1]])
        self.assertEqual(listed("-f", "function = sha256"), [other])
        self.ctl("list", "-f", "functoin = x", status=2, err=None)
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
        self.assertEqual(lines[1], "crash     command        0        0          0       0            Dies.")
        self.assertEqual([f["spec"]["name"] for f in json.loads(self.ctl("functions", "g", "--json"))],
                         ["gate", "gunzip", "gzip"])


    def test_get_by_key(self):
        id_ = self.submit("echo", "x", "--key", "k")
        self.ctl("wait", id_)
        self.assertEqual(plain(self.text("get", "--key", "k", "--view", "result")),
                         "future      ID1\nstate       SUCCEEDED\nresult      1 byte: x\n")
        self.assertEqual(self.json("get", "--key", "k")["id"], id_)
        self.ctl("get", "--key", "other", status=4, err=None)

    def test_prefix(self):
        """An ID may be cut short, wherever one is named."""
        ids = [self.submit("echo", str(n)) for n in range(2)]
        self.ctl("wait", *ids)
        for n, id_ in enumerate(ids):
            short = id_[:-1]
            self.assertEqual(self.text("result", short), str(n))
            self.assertEqual(self.text("result", short.upper()), str(n))
            self.assertEqual(self.json("wait", short)["done"][0]["id"], id_)
        self.ctl("get", ids[0][:4], status=2, err=f"futurectl: more than one future's ID begins with {ids[0][:4]}: ID1 and ID2\n")
        self.ctl("get", "0189-", status=2, err=None)  # no beginning of an ID
        self.ctl("get", "0189", status=4, err="futurectl: there is no future whose ID begins with 0189\n")

    def test_count(self):
        self.ctl("wait", *[self.submit("echo", str(n), "--group", "g") for n in range(3)])
        self.ctl("wait", self.submit("fail", "no"), status=1)
        self.assertEqual(self.text("count"), "4\n")
        self.assertEqual(self.text("count", "--group", "g"), "3\n")
        self.assertEqual(self.text("count", "-f", "state = FAILED"), "1\n")
        self.assertEqual(self.text("count", "-f", "state = RUNNING"), "0\n")
        self.assertEqual(table(self.text("count", "--by", "state")),
                         "VALUE  COUNT  OLDEST\nSUCCEEDED  3  SPAN\nFAILED  1  SPAN\n")
        self.assertEqual(table(self.text("count", "--by", "reason")),
                         "VALUE  COUNT  OLDEST\n-  3  SPAN\nFUNCTION_ERROR  1  SPAN\n")
        self.assertEqual(self.text("count", "--by", "state", "--group", "none"), "VALUE  COUNT  OLDEST\n")
        got = self.json("count", "--by", "function")
        self.assertEqual([(g["value"], g["count"]) for g in got["groups"]], [("echo", 3), ("fail", 1)])
        self.assertEqual((got["count"], got["next_page_token"]), (4, ""))
        self.ctl("count", "--by", "nonsense", status=2, err=None)

    def test_explain(self):
        self.assertEqual(plain(self.text("explain", "echo")), (
            "function    echo\nwhy         nothing waits\npending     0\nrunning     0\nworkers     2\nroom        N\n"))
        self.ctl("pause", "echo", err=None)
        id_ = self.submit("echo", "x", err=None)
        wanted = ("future      ID1\nstate       PENDING (PAUSED)\nfunction    echo\nwhy         the function is paused\n"
                  "before it   0\npending     1\nrunning     0\nworkers     2\nroom        N\n")
        self.assertEqual(plain(self.text("explain", id_)), wanted)
        self.assertEqual(plain(self.text("explain", id_[:24])), wanted)
        self.assertEqual(self.json("explain", id_)["pending_reason"], "PENDING_REASON_PAUSED")
        self.ctl("explain", NO_SUCH_ID, status=4, err=None)
        self.ctl("explain", "no-such-function", status=4, err=None)


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
        self.ctl("wait", "--group", "g", good, status=2, err="futurectl: IDs and --group: give one of them\n")
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

    def test_group(self):
        ids = [self.submit("echo", str(n), "--group", "g") for n in range(2)]
        waiting = self.start_ctl("wait", "--group", "g", "--expect", "3")
        ids.append(self.submit("echo", "2", "--group", "g"))
        self.assertEqual(waiting.wait(DEADLINE), 0)
        self.assertEqual(sorted(waiting.stdout.read().splitlines()),
                         sorted(f"{i}  SUCCEEDED with a result of 1 byte" for i in ids))
        self.assertEqual(len(self.text("wait", "-f", "group = g").splitlines()), 3)

    def test_as_completed(self):
        """In the order of completion; those that are done come first, each once."""
        gate, good, bad = self.submit("gate"), self.submit("echo", "x"), self.submit("fail", "no")
        self.ctl("wait", good, bad, status=1)
        running = self.start_ctl("as-completed", gate, good, bad, good, NO_SUCH_ID)
        first = sorted(running.stdout.readline() for _ in range(3))
        self.assertEqual(first, sorted([f"{good}  SUCCEEDED with a result of 1 byte\n",
                                        f"{bad}  FAILED FUNCTION_ERROR (FAIL): no\n", f"{NO_SUCH_ID}  not found\n"]))
        self.open_gate()
        self.assertEqual(running.stdout.read(), f"{gate}  SUCCEEDED with a result of 4 bytes\n")
        self.assertEqual(running.wait(DEADLINE), 4)
        lines = [json.loads(line) for line in
                 self.text("as-completed", good, NO_SUCH_ID, "--view", "full", "--jsonl", status=4).splitlines()]
        self.assertEqual(sorted(line.get("missing", "") for line in lines), ["", NO_SUCH_ID])
        self.assertEqual([line["result"]["data_text"] for line in lines if "result" in line], ["x"])
        self.ctl("as-completed", bad, status=1)
        waits = self.submit("gate")
        self.assertEqual(self.text("as-completed", waits, good, "--timeout", "300ms", status=124, err=None),
                         f"{good}  SUCCEEDED with a result of 1 byte\n")

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

    def test_watch_group(self):
        """What is there first, then what happens, in the group and nowhere else; it goes on."""
        gate = self.submit("gate", "--group", "g")
        self.wait_running(gate)
        watch = self.start_ctl("watch", "--group", "g")
        self.assertEqual(plain(watch.stdout.readline()), "TIME  ID1  RUNNING attempt 1\n")
        self.open_gate(b"12345")
        self.assertEqual(plain(watch.stdout.readline()), "TIME  ID1  SUCCEEDED with a result of 5 bytes\n")
        self.submit("echo", "x", "--group", "other")
        bad = self.submit("fail", "no", "--group", "g")
        for line in watch.stdout:  # states between may be told, or not
            self.assertIn(bad, line)
            if "FAILED" in line:
                break
        self.assertEqual(plain(line), "TIME  ID1  FAILED FUNCTION_ERROR (FAIL): no\n")
        failed = self.start_ctl("watch", "-f", "state = FAILED", "--jsonl")
        self.assertEqual(json.loads(failed.stdout.readline())["snapshot"]["id"], bad)


if __name__ == "__main__":
    harness.main()
