#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl on a terminal: the bar of map, Ctrl-C, and top with its keys. The screen is compared as it is seen."""
import re
import signal
import subprocess

import harness
from cli_support import UUID, CliCase, plain
from server import BIN
from terminal import Terminal


class TerminalCase(CliCase):
    def terminal(self, *words, columns=120, lines=24, **more):
        # TERM: the one that pyte is.
        terminal = Terminal([BIN / "futurectl", *words], self.environment(**{"TERM": "linux", **more}), columns, lines)
        self.addCleanup(terminal.close)
        return terminal

    def seen(self, terminal):
        """What is on the screen, plain, without the empty lines at the end."""
        text = re.sub(r"\bmap-\d{8}-\d{6}-\d+\b", "GROUP", plain(terminal.text().rstrip("\n")))
        return text + "\n"


class Map(TerminalCase):
    def test_bar(self):
        """It is drawn in the width that there is, goes on while nothing ends, and is gone in the end."""
        t = self.terminal("map", "gate", "-j1", "--interval", "10ms", ":::", "a", "b", columns=80)
        t.wait(lambda t: re.search(r"^\[> +\] 0 of 2 done, 1 in flight, 0\.00/s$", t.lines()[0]))
        self.open_gate(b"")
        t.wait(lambda t: re.search(r"^\[=+> +\] 1 of 2 done, 1 in flight, ", t.lines()[0]))
        self.open_gate(b"")
        self.assertEqual(t.end(), 0)
        self.assertEqual(self.seen(t), "\n")

    def test_bar_resized(self):
        t = self.terminal("map", "gate", "--interval", "10ms", ":::", "a", columns=80)
        t.wait(lambda t: t.lines()[0].startswith("[> "))
        t.resize(30, 24)
        t.wait(lambda t: "0 of 1 done, 1 in flight, 0.0" in t.lines())
        self.open_gate(b"")
        self.assertEqual(t.end(), 0)

    def test_results(self):
        """Results and complaints stand in lines of their own, and no bar between them."""
        t = self.terminal("map", "echo", "-k", "--tag", "--argument", "x{#}", "--interval", "1ms", ":::", "a", "b\x1b[2J")
        self.assertEqual(t.end(), 0)
        self.assertEqual([line.split() for line in self.seen(t).splitlines()], [["a", "x1"], ["b\\x1b[2J", "x2"]])
        t = self.terminal("map", "fail", "-j1", ":::", "one", "two")
        self.assertEqual(t.end(), 1)
        self.assertEqual(self.seen(t), (
            "futurectl: one: ID1 FAILED, FUNCTION_ERROR: one\n"
            "futurectl: two: ID2 FAILED, FUNCTION_ERROR: two\n"
            "futurectl: 2 of 2 done, 2 failed\n"
            "futurectl: `futurectl list -f 'group = GROUP AND state = FAILED'` lists those that failed\n"))

    def test_colour(self):
        for more, colour in (({}, "red"), ({"NO_COLOR": "1"}, "default")):
            t = self.terminal("map", "one", "--interval", "1ms", ":::", "fail", "stay", **more)
            t.wait_text("1 of 2 done, 1 failed, 1 in flight")
            self.assertEqual(t.colour("1 failed"), colour)
            self.open_gate(b"")
            self.assertEqual(t.end(), 1)

    def test_interrupt(self):
        t = self.terminal("map", "gate", "--group", "g", ":::", "a")
        t.wait_text("1 in flight")
        t.type("\x03")
        t.wait_text("once more leaves at once")
        self.assertEqual(t.end(), 130)
        self.assertEqual(re.sub(r"\^C", "", self.seen(t)), (
            "futurectl: interrupted: what is in flight (1) is cancelled; once more leaves at once\n"
            "futurectl: 1 of 1 done, 1 cancelled\n"))

    def test_interrupt_twice(self):
        t = self.terminal("map", "gate", "--group", "g", ":::", "a")
        t.wait_text("1 in flight")
        self.server.signal(signal.SIGSTOP)  # so that nothing is cancelled before the second time comes
        self.addCleanup(self.server.signal, signal.SIGCONT)
        t.type("\x03")
        t.wait_text("once more leaves at once")
        t.type("\x03")
        self.assertEqual(t.end(), 130)
        self.assertIn("futurectl: left; `futurectl wait --group g` waits for what goes on\n", self.seen(t))

    def setUp(self):
        super().setUp()
        self.server = self.start(program="futured", listen=("unix:@s",), arguments=("--workers", "2"), config={
            "futured": {"store": "none"},
            "function.gate": {"command": f"cat {self.fifo}"},
            "function.one": {"command": f"read x; test $x = fail && exit 3; cat {self.fifo}", "shell": "yes"}})


class Top(TerminalCase):
    def test_screen(self):
        self.ctl("run", "echo", "x")
        self.ctl("run", "fail", "out of cheese", status=1, err=None)
        id_ = self.submit("gate", "--label", "a=1")
        self.wait_running(id_)
        t = self.terminal("top", "--interval", "20ms")
        t.wait(lambda t: id_ in t.text() and "out of cheese" in t.text() and t.lines()[-1].startswith("q quit"))
        self.assertRegex(t.lines()[0], rf"^futured \S+ at {re.escape(self.server.address)}, store none, up ")
        self.assertRegex(t.text(), rf"\n{id_} +gate +\S+ \S+ +a=1\n")
        self.assertRegex(t.text(), r"\nFAILED LAST .*\n\S+ +fail +\S+ \S+ +FUNCTION_ERROR: out of cheese\n")
        self.assertRegex(t.lines()[-1], r"^q quit  h help ")
        t.type("q")
        self.assertEqual(t.end(), 0)

    def test_keys(self):
        failed = self.submit("fail", "no")
        self.ctl("wait", failed, status=1, err=None)
        running = self.submit("gate")
        self.wait_running(running)
        t = self.terminal("top", "--interval", "20ms")
        t.wait_text(running)
        t.type("s")
        t.wait_text("(by pending)")
        t.type("/")
        t.wait_text("filter: _")
        t.type("gat\r")
        t.wait(lambda t: "filter: gat (Escape" in t.text() and failed not in t.text() and "\necho " not in t.text())
        t.type("\x1b")
        t.wait(lambda t: failed in t.text())
        t.type("h")
        t.wait_text("any key ends it")
        t.type(" ")
        t.wait_text(failed)
        t.type("\x1b[B")
        t.wait(lambda t: running in t.text() and t.is_reverse(running))
        t.type("c")
        t.wait_text(f"{running} is asked to end")
        t.type("j")
        t.wait(lambda t: t.is_reverse(failed))
        t.type("r")
        t.wait_text("retried as ")
        t.type("q")
        self.assertEqual(t.end(), 0)
        self.assertTrue(self.json("get", running)["cancel_requested"])
        self.assertNotEqual(self.json("get", failed)["retried_by"], "")

    def test_resize(self):
        t = self.terminal("top", "--interval", "1h")
        t.wait(lambda t: t.lines()[23].startswith("q quit"))
        t.resize(40, 10)
        t.wait(lambda t: t.lines()[9] == "q quit  h help  / filter  s sort  up, do")
        t.resize(120, 30)
        t.wait(lambda t: t.lines()[29].startswith("q quit  h help  / filter  s sort  up, down select"))
        t.type("\x03")
        self.assertEqual(t.end(), 130)

    def test_daemon_goes(self):
        t = self.terminal("top", "--interval", "20ms")
        t.wait_text("FUNCTION")
        self.server.signal()
        t.wait(lambda t: re.search(r"cannot|gone|lost|connect", t.lines()[-1]))
        t.type("q")
        self.assertEqual(t.end(), 0)

    def test_gives_back(self):
        """The terminal is as it was: the screen before, and echo."""
        t = self.terminal("top", TERM="xterm")
        t.wait_text("FUNCTION")
        t.type("q")
        t.end()
        self.assertIn(b"\x1b[?1049h", t.raw)
        self.assertTrue(t.raw.rindex(b"\x1b[?1049l") > t.raw.rindex(b"\x1b[?1049h"))


class Plain(TerminalCase):
    # Its argument is the gate.
    functions = {"function.late": {"command": 'cat "$(cat)"; exit 1', "shell": "yes"}}

    def test_lists(self):
        """What ran first and failed last is told by these times, not by the order of submission."""
        failed = self.submit("late", str(self.fifo))
        self.wait_running(failed)
        self.ctl("map", "fail", *(str(n) for n in range(30)), status=1, err=None)
        self.open_gate()
        self.ctl("wait", failed, status=1)
        self.ctl("pause", "gate")
        young = self.submit("gate", err=None)
        old = self.submit("late", str(self.fifo))
        self.wait_running(old)
        self.ctl("resume", "gate")
        self.wait_running(young)
        self.assertEqual(UUID.findall(self.text("top", "--count", "1"))[:3], [old, young, failed])

    def test_text(self):
        self.ctl("run", "echo", "x")
        text = plain(self.text("top", "--count", "2", "--interval", "20ms", "echo"))
        block = (r"TIME\n"
                 r"futured \S+ at \S+, store none, up SPAN\n"
                 r"pending 0  running 0  done \S+/s  failed \S+/s  workers 2 with 2 slots, 0 crashed\n"
                 r"FUNCTION +PENDING +RUNNING +DONE/S +FAILED/S +SUCCEEDED +FAILED  MEAN RUN  WORKERS\n"
                 r"echo +0 +0 +\S+ +\S+ +1 +0  SPAN +2\n")
        self.assertRegex(text, f"^{block}\n{block}$")

    def test_dumb(self):
        """A terminal that cannot move its cursor gets plain text."""
        for term in ("no-such-terminal", "dumb"):
            t = self.terminal("top", "--count", "1", TERM=term)
            self.assertEqual(t.end(), 0)
            self.assertIn("FUNCTION", t.text())
            self.assertNotIn(b"\x1b", t.raw)

    def test_wrong(self):
        self.ctl("top", "--json", status=2, err=(
            "futurectl: top is for people; for programs there are `futurectl functions --json` and `futurectl stats`\n"))
        self.ctl("top", status=69, err=None, FUTURED_ADDRESS="unix:/nowhere/s")


if __name__ == "__main__":
    harness.main()
