# SPDX-License-Identifier: Apache-2.0
"""Power cuts: a daemon whose writes are written down (disk.c) under the oracle's load, images of what the disk may have
at chosen moments of it (disk.py), and a daemon on each image, which must show all that had been shown by then.

What the oracle heard before the next entry of the log was made had been said before it, so it must be in the image.
"""
import math
import os
import shutil

import disk
from crash_support import BIN, CrashCase
from server import NotReady

SHIM = os.environ.get("FUTURED_CRASH_DISK", BIN.parent / "tests/crash/libcrashdisk.so")
SAMPLE = 500  # of what earlier generations left, looked at in each image


def shim(root, **options):
    """The environment that puts disk.c between a daemon and @root."""
    names = {f"FUTURED_DISK_{name.upper()}": str(value) for name, value in options.items()}
    return {"LD_PRELOAD": str(SHIM), "FUTURED_DISK_ROOT": str(root), **names}


class PowerCase(CrashCase):
    config = {"store": {"log": "256K"}}

    def record(self, tag, goal, **options):
        """A daemon under load on self.state until @goal acknowledgements. The disk as it was before, the log of what was
        written since, the oracle's lines."""
        log = self.folder / "log"
        base = disk.Disk(self.state)
        self.start_daemon(env=shim(self.state, log=log, **options))
        oracle = self.load(tag)
        oracle.wait(goal)
        self.kill()
        lines = oracle.end()
        self.forget()
        return base, disk.read_log(log), lines

    def choose(self, entries, n, n_first):
        """@n entries behind which the power goes: behind syncs, inside them, in checkpoints, anywhere; n_first of them
        while the store is being made."""
        ends = [i for i, e in enumerate(entries) if e[1] == disk.SYNC_END]
        begins = [i for i, e in enumerate(entries) if e[1] == disk.SYNC_BEGIN]
        database = {e[2] for e in entries if e[1] in (disk.NAMED, disk.CREATED) and e[5] == b"futures.db"}
        checkpoints = [i for i, e in enumerate(entries) if e[2] in database and e[1] in (disk.WRITE, disk.SYNC_BEGIN)]
        kinds = [k for k in (ends, begins, checkpoints, range(len(entries))) if k]
        chosen = {self.chance.randrange(60) for _ in range(n_first)}
        while len(chosen) < min(n, len(entries)):
            chosen.add(self.chance.choice(self.chance.choice(kinds)))
        return sorted(chosen)

    def cut(self, base, entries, lines, n, n_first=0):
        """Cut the power behind @n entries, and judge each image. Lines of what is wrong; stops at the first image that is.
        self.ledger knows in the end what was shown before the last cut, and the last image is self.state."""
        lines, wrong, at = sorted(lines, key=lambda line: line[0]), [], 0
        older = list(self.ledger.known)
        chosen = set(self.choose(entries, n, n_first))
        for i, entry in enumerate(entries):
            base.add(entry)
            if i not in chosen:
                continue
            now = entries[i + 1][0] if i + 1 < len(entries) else math.inf
            begin = at
            while at < len(lines) and lines[at][0] <= now:
                at += 1
            self.ledger.take(lines[begin:at])
            wrong = self.judge_image(base, older)
            if wrong:
                return [f"power cut behind entry {i} of {len(entries)}: {line}" for line in wrong]
            self.n_cuts += 1
        return self.ledger.wrong

    def judge_image(self, base, older):
        image = self.folder / "image"
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(image, ignore_errors=True)
        habit = base.image(self.state, self.chance)
        shutil.copytree(self.state, image)
        self.habits[habit] = self.habits.get(habit, 0) + 1
        try:
            self.start_daemon(state=image, workers=0)
        except NotReady as error:
            return [f"refused: the daemon does not start on {habit} of what was not synced: {error}"]
        older = self.chance.sample(older, min(SAMPLE, len(older)))
        ids = [*older, *(i for i in self.ledger.known if i not in self.older)]
        wrong = self.judge(ids, is_kept=False)
        if not wrong and self.next_id() <= self.ledger.last_id:
            wrong = ["twice: an ID that was given out before"]
        self.kill()
        self.forget()
        return wrong

    def setUp(self):
        super().setUp()
        self.n_cuts, self.habits, self.older = 0, {}, set()
