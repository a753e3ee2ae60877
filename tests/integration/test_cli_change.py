#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl: what changes futures and functions."""
import json

import harness
from cli_support import NO_SUCH_ID, CliCase, plain


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
        self.ctl("wait", *ids, bad, status=1)
        self.assertEqual(self.text("run", "echo", "y", *after, "--pass-results").strip(), "y")
        self.ctl("run", "echo", "y", *after, "--depends-on", bad, status=1, err=None)
        self.assertEqual(self.text("run", "echo", "y", "--depends-on", bad, "--depend-policy", "failure").strip(), "y")

    def test_delete(self):
        ids = [self.submit("echo", str(n)) for n in range(2)]
        self.ctl("wait", *ids)
        self.assertEqual(self.text("delete", *ids), "".join(f"{i}  deleted\n" for i in ids))
        self.ctl("get", ids[0], status=4, err=None)
        running = self.submit("gate")
        self.ctl("delete", running, status=1, err=None)


    def test_reschedule(self):
        id_ = self.submit("echo", "x", "--in", "1h", err=None)
        self.assertEqual(plain(self.text("reschedule", id_[:24], "--priority", "7", "--deadline", "2250-01-01T00:00:00Z",
                                         "--at", "2249-01-01T00:00:00Z", "--retention", "2h")), (
            "future      ID1\n"
            "state       PENDING (DELAYED)\n"
            "function    echo\n"
            "argument    1 byte (not in this view)\n"
            "priority    7\n"
            "not before  TIME\n"
            "next start  TIME\n"
            "deadline    TIME\n"
            "durability  ephemeral: lost when the daemon stops\n"
            "submitted   TIME by PEER\n"))
        schedule = self.json("reschedule", id_, "--no-deadline")["schedule"]
        self.assertEqual(schedule, {"priority": 7, "not_before": "2249-01-01T00:00:00Z", "retention": "7200s",
                                    "next_start_time": "2249-01-01T00:00:00Z"})
        self.assertEqual(self.json("reschedule", id_, "--priority", "0")["schedule"]["priority"], 0)
        self.ctl("reschedule", id_, "--in", "0s")
        self.assertEqual(self.text("result", id_), "x")
        self.ctl("reschedule", id_, "--priority", "1", status=1, err=None)  # it is done


class Many(CliCase):
    def setUp(self):
        super().setUp()
        self.ctl("pause", "echo", err=None)
        self.waiting = [self.submit("echo", str(n), "--group", "g", err=None) for n in range(3)]
        self.done = self.submit("sha256", "x", "--group", "g")
        self.ctl("wait", self.done)

    def states(self):
        return [f["state"] for f in self.json("list", "--group", "g", "--oldest-first")]

    def test_without_terminal(self):
        self.ctl("cancel", "--group", "g", status=2, err=(
            "futurectl: 3 of 4 futures would be cancelled, and there is no terminal to ask at: -y does it without asking, "
            "--dry-run only counts\n"))
        self.assertEqual(self.states(), ["STATE_PENDING"] * 3 + ["STATE_SUCCEEDED"])

    def test_dry_run(self):
        self.assertEqual(self.text("cancel", "--group", "g", "--dry-run"), "3 of 4 would be cancelled\n")
        self.assertEqual(self.text("delete", "-f", "group = g", "--dry-run", "-y"), "1 of 4 would be deleted\n")
        self.assertEqual(self.text("cancel", *self.waiting, "--dry-run"), "3 of 3 would be cancelled\n")
        self.assertEqual(self.json("cancel", "--group", "g", "--dry-run"),
                         {"matched": 4, "changed": 3, "next_page_token": ""})
        self.assertEqual(self.states(), ["STATE_PENDING"] * 3 + ["STATE_SUCCEEDED"])

    def test_yes(self):
        self.assertEqual(self.text("cancel", "-f", "group = g AND argument = 0", "-y", "--reason", "why"), "1 of 1 cancelled\n")
        self.assertEqual(self.json("get", self.waiting[0])["cancel_requested"]["reason"], "why")
        self.assertEqual(self.json("cancel", "--group", "g", "-y"), {"matched": 4, "changed": 2, "next_page_token": ""})
        self.assertEqual(self.states(), ["STATE_CANCELLED"] * 3 + ["STATE_SUCCEEDED"])
        self.assertEqual(self.text("cancel", "--group", "g"), "0 of 4 cancelled\n")  # nothing to ask about
        self.assertEqual(self.text("delete", "--group", "g", "-y"), "4 of 4 deleted\n")
        self.assertEqual(self.states(), [])
        self.assertEqual(self.text("delete", "--group", "g", "-y"), "0 of 0 deleted\n")

    def test_asked(self):
        question = "3 of 4 futures would be cancelled. Go on? [y/N] "
        self.assertEqual(self.on_terminal("cancel", "--group", "g", answer="n\n", status=1),
                         question + "futurectl: nothing was cancelled\n")
        self.assertEqual(self.on_terminal("cancel", "--group", "g", answer="\n", status=1),
                         question + "futurectl: nothing was cancelled\n")
        self.assertEqual(self.states(), ["STATE_PENDING"] * 3 + ["STATE_SUCCEEDED"])
        self.assertEqual(self.on_terminal("cancel", "--group", "g", answer="y\n", status=0),
                         question + "3 of 4 cancelled\n")
        self.assertEqual(self.states(), ["STATE_CANCELLED"] * 3 + ["STATE_SUCCEEDED"])

    def test_filter(self):
        self.ctl("cancel", "-f", "group g", "-y", status=2, err=None)
        self.ctl("cancel", self.done, "--group", "g", status=2, err="futurectl: IDs and --group: give one of them\n")
        self.ctl("delete", status=2, err="futurectl: delete needs IDs, --group or --filter\n")


class Retry(CliCase):
    def test_one(self):
        """The task again, as a new future that names the old one; again on the same: the retry that exists."""
        good, bad = self.submit("echo", "x"), self.submit("fail", "no", "--label", "n=1", "--group", "g")
        self.ctl("wait", good, bad, status=1)
        new = self.json("retry", bad[:-1])
        self.assertEqual((new["retry_of"], new["task"]["function"], new["labels"], new["group"]), (bad, "fail", {"n": "1"}, "g"))
        self.assertEqual(self.json("get", bad)["retried_by"], new["id"])
        self.ctl("wait", new["id"], status=1)
        self.assertEqual(plain(self.text("retry", bad)), "ID1  FAILED FUNCTION_ERROR (FAIL): no, retry of ID2\n")
        self.assertEqual(self.text("retry", bad).split()[0], new["id"])
        self.assertEqual([f["id"] for f in self.json("retry", bad, bad)], [new["id"]] * 2)
        self.ctl("retry", good, status=1, err=None)
        self.ctl("retry", NO_SUCH_ID, status=4, err=None)

    def test_many(self):
        ids = [self.submit("fail", str(n), "--group", "g") for n in range(2)] + [self.submit("echo", "x", "--group", "g")]
        self.ctl("wait", *ids, status=1)
        self.ctl("retry", "--group", "g", status=2, err=(
            "futurectl: 2 of 3 futures would be retried, and there is no terminal to ask at: -y does it without asking, "
            "--dry-run only counts\n"))
        self.assertEqual(self.text("retry", "--group", "g", "--dry-run"), "2 of 3 would be retried\n")
        self.assertEqual(self.json("retry", "-f", "group = g AND state = FAILED", "-y"),
                         {"matched": 2, "changed": 2, "next_page_token": ""})
        self.ctl("wait", "--group", "g", status=1)
        self.assertEqual(self.text("count", "-f", "group = g AND retried = true"), "2\n")
        self.assertEqual(sorted(f["retry_of"] for f in self.json("list", "--group", "g") if f["retry_of"]),
                         sorted(ids[:2]))


class Function(CliCase):
    def shown(self, *, middle="", limits=("any number", "any number", "any number"), behind="", pending=0):
        return (f"function    echo\nkind        plugin\nwhat        The argument back, with its content type.\n{middle}"
                f"max running {limits[0]}\nmax pending {limits[1]}\nrate        {limits[2]}\n{behind}"
                f"workers     2\npending     {pending}\nrunning     0\n")

    def test_pause(self):
        self.assertEqual(plain(self.text("pause", "echo", "--reason", "disk full")),
                         self.shown(middle="paused      TIME: disk full\n"))
        id_ = self.submit("echo", "x", err=None)
        self.assertIn("PAUSED: disk full\n", self.text("functions", "echo"))
        self.assertEqual(self.json("functions", "echo")[0]["paused"]["reason"], "disk full")
        self.assertEqual(self.text("resume", "echo").splitlines()[3], "max running any number")
        self.assertEqual(self.text("result", id_), "x")
        self.ctl("pause", "no-such-function", status=4, err=None)

    def test_limits(self):
        self.assertEqual(self.text("limits", "echo"), self.shown())
        self.assertEqual(plain(self.text("limits", "echo", "--max-running", "2", "--rate", "0.5", "--reason", "slowly")),
                         self.shown(limits=("2", "any number", "0.5 a second"), behind="limits set  TIME: slowly\n"))
        self.assertEqual(self.json("limits", "echo", "--max-pending", "1", "--rate", "0")["limits"],
                         {"max_running": 2, "max_pending": 1, "rate": 0.0})
        self.ctl("pause", "echo", err=None)
        self.submit("echo", "x", err=None)
        self.submit("echo", "x", status=1, err=None)  # one may wait
        self.ctl("resume", "echo", err=None)
        self.assertEqual(self.text("limits", "echo", "--reset").splitlines()[3:6],
                         ["max running any number", "max pending any number", "rate        any number"])
        self.ctl("limits", "echo", "--reset", "--rate", "1", status=2, err=None)


if __name__ == "__main__":
    harness.main()
