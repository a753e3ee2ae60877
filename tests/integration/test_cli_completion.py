#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl completion: the scripts in the shells that they are for."""
import os
import shutil
import subprocess
import unittest

import harness
from cli_support import CliCase, sha256
from server import BIN, DEADLINE
from terminal import Terminal

# Complete the line $LINE as bash does when its user presses Tab at the end.
BASH = """
source <(futurectl completion bash)
COMP_LINE=$LINE COMP_POINT=${#LINE}
_futurectl
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh only completes in its editor; what the function would offer there is what it hands to _describe.
ZSH = """
compdef() { :; }
_describe() { print -l -- ${(P)2}; }
_files() { print FILES; }
source <(futurectl completion zsh)
words=("${(@s: :)LINE}")
CURRENT=$#words
_futurectl
"""
FISH = """
futurectl completion fish | source
complete -C "$LINE"
"""


class Completion(CliCase):
    def shell_environment(self, **more):
        return self.environment(HOME=str(self.directory), PATH=f"{BIN}:{os.environ['PATH']}", **more)

    def run_shell(self, shell, script, line):
        done = subprocess.run([shell, *(["-f"] if shell == "zsh" else []), "-c", script], capture_output=True, text=True, check=True,
                              timeout=DEADLINE, env=self.shell_environment(LINE=line))
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_words(self):
        def words(*line):
            return self.text("completion", "words", "--", *line).splitlines()

        self.assertEqual(words("run", "s"), [
            "sha256\tSHA-256 of the argument: 64 lower-case hexadecimal characters.",
            "sleep\tWait. Argument: milliseconds as decimal text. The result is empty."])
        self.assertEqual(words("run", "no-such"), [])
        id_ = self.submit("echo", "x")
        self.ctl("wait", id_)
        self.assertEqual(words("get", ""), [f"{id_}\techo SUCCEEDED"])
        self.assertEqual(words("get", id_[:20]), [f"{id_}\techo SUCCEEDED"])
        self.assertEqual(words("submit", "echo", "--depends-on", id_[:20]), [f"{id_}\techo SUCCEEDED"])
        self.assertEqual(words("submit", "echo", f"--depends-on={id_[:20]}"), [f"--depends-on={id_}\techo SUCCEEDED"])
        self.assertEqual(words("worker", "--function", "ech"), ["echo\tThe argument back, with its content type."])
        self.assertEqual(words("explain", "ech"), ["echo\tThe argument back, with its content type."])
        self.assertEqual(words("explain", id_[:20]), [f"{id_}\techo SUCCEEDED"])
        self.assertEqual(words("-a", "unix:/nowhere/s", "run", ""), [])  # nobody to ask, and nobody to tell
        self.assertEqual(words("pi"), ["ping\tAsk whether the daemon is there and takes calls"])

    def test_bash(self):
        def offered(line):
            return self.run_shell("bash", BASH, line)

        self.assertEqual(offered("futurectl run s"), ["sha256", "sleep"])
        self.assertEqual(offered("futurectl as"), ["as-completed"])
        self.assertEqual(offered("futurectl get --view "), ["result", "basic", "task", "full"])
        self.assertEqual(offered("futurectl get --view=f"), ["full"])  # bash has cut the word at the =
        self.assertEqual(offered("futurectl run sha256 "), [""])  # nothing: bash then offers files

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh here")
    def test_zsh(self):
        self.assertEqual(self.run_shell("zsh", ZSH, "futurectl as"), ["as-completed:Print futures as they are done, each once"])
        self.assertEqual([line.partition(":")[0] for line in self.run_shell("zsh", ZSH, "futurectl run s")], ["sha256", "sleep"])
        self.assertEqual(self.run_shell("zsh", ZSH, "futurectl run sha256 x"), ["FILES"])

    def check_terminal(self, shell, setup):
        """What Tab makes of a line, as it is seen, and that it then runs."""
        id_ = self.submit("echo", "x")
        self.ctl("wait", id_)
        t = Terminal(shell, self.shell_environment(TERM="linux"), 120, 40)
        self.addCleanup(t.close)

        def enter(line, seen):
            t.type(f"{line}\r")
            t.wait(lambda t: f"\n{seen}" in t.text() and t.text().rstrip().endswith("\nready>"))

        enter(f"PS1='ready> '; {setup}", "")
        enter("futurectl run sha\thello", f"ready> futurectl run sha256 hello\n{sha256(b'hello')}\n")
        enter(f"futurectl get {id_[:20]}\t--view=resu\t", f"ready> futurectl get {id_} --view=result\nfuture      {id_}\n")
        t.type("exit 0\r")
        self.assertEqual(t.end(), 0)

    def test_bash_terminal(self):
        self.check_terminal(["bash", "--norc", "--noprofile", "-i"], "source <(futurectl completion bash)")

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh here")
    def test_zsh_terminal(self):
        self.check_terminal(["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source <(futurectl completion zsh)")

    @unittest.skipUnless(shutil.which("fish"), "there is no fish here")
    def test_fish(self):
        self.assertEqual(self.run_shell("fish", FISH, "futurectl as"), ["as-completed\tPrint futures as they are done, each once"])
        self.assertEqual([line.partition("\t")[0] for line in self.run_shell("fish", FISH, "futurectl run s")], ["sha256", "sleep"])


if __name__ == "__main__":
    harness.main()
