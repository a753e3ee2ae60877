#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md: what stands behind each "$ " there is printed again by the real programs. --write puts it in anew."""
import configparser
import os
import re
import subprocess
import sys

import harness
from cli_support import table
from server import BIN, DEADLINE, ROOT

PAGE = ROOT / "docs/cli.md"
ADDRESS = "unix:/run/futured/futured.sock"
MARK = "\x1e"
WRITE = "--write" in sys.argv


def blocks(text):
    """The console blocks of @text: (where its body begins, where it ends, its commands)."""
    for block in re.finditer(r"```console\n(.*?)```\n", text, re.S):
        yield block.start(1), block.end(1), re.findall(r"^\$ (.*)$", block[1], re.M)


class Page(harness.ServerCase):
    def setUp(self):
        config = configparser.ConfigParser(interpolation=None)
        config.read_string(re.search(r"```ini\n(.*?)```\n", PAGE.read_text(encoding="utf-8"), re.S)[1])
        self.server = self.start(program="futured", listen=("unix:@s",), arguments=("--workers", "2"), store="sqlite",
                                 config={name: dict(config[name]) for name in config.sections()})

    def outputs(self, commands):
        """What the commands of one shell print, one by one."""
        script = "".join(f"printf '{MARK}'\n(exit $status)\n{command}\nstatus=$?\n" for command in commands)
        done = subprocess.run(["bash", "-c", f"exec 2>&1\nstatus=0\n{script}"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=DEADLINE,
                              env={"PATH": f"{BIN}:{os.environ['PATH']}", "FUTURED_ADDRESS": self.server.address, "TZ": "UTC",
                                   "LC_ALL": "C.UTF-8"})
        return done.stdout.replace(self.server.address, ADDRESS).split(MARK)[1:]

    def test_json_table(self):
        """It has every command that has JSON."""
        told = re.search(r"\| command \| value \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE.read_text(encoding="utf-8"))[1]
        told = {word for row in told.splitlines() for word in re.findall(r"[a-z-]+", row.split("|")[1])}
        commands = re.findall(r"^  ([\w-]+) {2,}", self.outputs(["futurectl --help"])[0].partition("Commands:")[2].partition("Options:")[0],
                              re.M)
        self.assertEqual([c for c in commands if c not in told], ["worker", "top", "completion"])

    def test_page(self):
        while len(self.outputs(["futurectl workers"])[0].splitlines()) < 3:  # ready with the first; the command paces this
            pass
        old = PAGE.read_text(encoding="utf-8")
        found = list(blocks(old))
        made = iter(self.outputs([command for _, _, commands in found for command in commands]))
        new, at = "", 0
        for begin, end, commands in found:
            new += old[at:begin] + "".join(f"$ {command}\n{next(made)}" for command in commands)
            at = end
        new += old[at:]
        if WRITE:
            PAGE.write_text(new, encoding="utf-8")
        else:
            self.assertEqual(table(new), table(old))


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--write"]
    harness.main()
