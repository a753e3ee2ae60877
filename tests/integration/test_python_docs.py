#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/python.md: its code is run, block by block, in one process that has the package alone. And the story that futured was written
for, as README.md and client/python/examples/gather.py tell it: every result with its call, at once, from another process, after kill -9
of the daemon."""
import os
import re
import subprocess
import sys

from python_support import *  # noqa: F403: the words of the contract
from python_support import PACKAGE, PythonDurableCase
from server import DIE_WITH_PARENT, ROOT, Log

EXAMPLES = ROOT / "client/python/examples"


class DocsCase(PythonDurableCase):
    def environment(self):
        return {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "FUTURED_ADDRESS": self.server.address}

    def serve(self, path):
        process = subprocess.Popen([*DIE_WITH_PARENT, sys.executable, "-m", "futured.worker", path, "--slots", "4"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", env=self.environment())
        log = Log(process.stderr)
        for cleanup in (process.stderr.close, log.join, process.wait, process.kill):
            self.addCleanup(cleanup)
        log.wait("attached to")

    def python(self, *arguments):
        ran = subprocess.run([sys.executable, *arguments], env=self.environment(), capture_output=True, text=True, timeout=2 * DEADLINE,
                             check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return ran.stdout


class Docs(DocsCase):
    def test_code_of_the_page(self):
        text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
        self.assertGreater(len(blocks), 8)
        program = self.folder / "program.py"
        with open(program, "w", encoding="utf-8") as out:
            for block in blocks:
                if named := re.match(r"# (\w+\.py)\n", block):
                    (self.folder / named[1]).write_text(block, encoding="utf-8")
                else:
                    out.write(block)
        self.serve(self.folder / "functions.py")
        printed = self.python(program).splitlines()
        self.assertRegex(printed[0], r"^[0-9a-f-]{36} resize \['cat.png', 64\] \{'customer': 'ada'\} \{'file': 'cat-64.png', 'quality': 90\}$")


class Story(DocsCase):
    functions = {"word-count": "wc -w"}

    def test_code_of_the_readme(self):
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        self.assertIn("[function.word-count]\ncommand = wc -w\n", text)
        [block] = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
        self.assertIn("unix:/tmp/tour/futured.sock", block)
        printed = self.python("-c", block.replace("unix:/tmp/tour/futured.sock", self.server.address)).splitlines()
        self.assertEqual(len(printed), 2)
        for line, argument, count in zip(printed, ("one two", "three"), (b"2\n", b"1\n")):
            self.assertRegex(line, rf"^[0-9a-f-]{{36}} word-count {argument} {{'customer': 'ada'}} {re.escape(repr(count))}$")

    def test_every_result_with_its_call(self):
        self.serve(EXAMPLES / "functions.py")
        printed = self.python(EXAMPLES / "gather.py", "run")
        lines = printed.splitlines()
        self.assertEqual(len(lines), 15)
        self.assertRegex(lines[0], r"resize\('cat.png', 0\) \{'customer': 'ada', 'seen': 'yes'\} FAILED cat.png cannot be 0 pixels wide$")
        self.assertRegex(lines[-1], r"resize\('sun.png', 512\) \{'customer': 'bob'\} SUCCEEDED \{'file': 'sun-512.png', 'bytes': 786432\}$")
        ids = [line.split()[0] for line in lines]
        self.assertEqual(self.python(EXAMPLES / "gather.py", "show", *ids), printed)
        self.restart()
        self.assertEqual(self.python(EXAMPLES / "gather.py", "show", *reversed(ids)), "\n".join([*reversed(lines), ""]))


if __name__ == "__main__":
    main()
