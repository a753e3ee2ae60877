# SPDX-License-Identifier: Apache-2.0
"""kill -9 at the N-th sync, for every N of a short scenario (of every few of them in the short form), by strace: in each
of the daemon's threads that sync. strace counts per thread, so each thread is traced on its own.

    start    the main thread, from its first instruction on: it makes the store; the second start opens one
    commit   the commit thread under load
    checkpoint   the checkpoint thread, while large results make the log long
    end      the main thread at SIGTERM: what waits is committed, the log is copied and removed
"""
import os
import pathlib
import select
import shutil
import subprocess
import sys

import crash_support
from crash_support import DIE_WITH_PARENT, IS_LONG, SKIPPED, CrashCase, futures_pb2, futures_pb2_grpc, grpc
from futures_support import run, submit
from server import DEADLINE, NotReady

CALLS = "fdatasync,fsync"
STEP = 1 if IS_LONG else 5
N_COMMIT, N_CHECKPOINT = (60, 12) if IS_LONG else (11, 2)
LARGE = 1 << 20  # seventeen of them, and there is a checkpoint


def inject(n, *more):
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=KILL:when={n}", *more]


def is_permitted():
    try:
        return subprocess.run([*inject(1), "true"], capture_output=True, timeout=DEADLINE, check=False).returncode == 0
    except FileNotFoundError:
        return False


def thread(pid, name):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text(encoding="ascii").strip() == name:
            return int(task.name)
    raise AssertionError(f"the daemon has no thread {name}")


class Syncs(CrashCase):
    def test_start(self):
        """Each sync of the first start, and of one that finds a log to recover."""
        for is_second in (False, True):
            n = self.chance.randint(1, STEP)
            while self.killed_at_start(n, is_second):
                n += STEP
            self.assertGreater(n, 2, "a start syncs")
            print(f"{'a later' if is_second else 'the first'} start: killed at each sync of {n - 1}, step {STEP}")

    def killed_at_start(self, n, is_second):
        """Whether it was: it is not when the start has fewer than @n syncs."""
        self.forget()
        shutil.rmtree(self.state, ignore_errors=True)
        self.ledger = crash_support.Ledger(str(self.once))
        if is_second:
            self.fill()
            self.kill()
        try:
            self.start_daemon(wrapper=inject(n, "-D", "--"))  # -D: the daemon is our child, strace is not
            was_killed = False
            self.kill()
        except NotReady:
            was_killed = True
        self.forget()
        self.judge_start()
        return was_killed

    def test_end(self):
        n = self.chance.randint(1, 2 if not IS_LONG else 1)
        while True:
            self.forget()
            shutil.rmtree(self.state, ignore_errors=True)
            self.ledger = crash_support.Ledger(str(self.once))
            self.fill()
            with self.traced(self.server.process.pid, n):
                self.server.signal()
                self.server.process.wait(DEADLINE)
            status = self.server.process.returncode
            self.server.status_wanted = status
            self.assertIn(status, (0, -9))
            self.judge_start()
            if status == 0:
                break
            n += 1
        self.assertGreater(n, 1, "an end syncs")
        print(f"the end: killed at each sync of {n - 1}")

    def test_commit(self):
        for n in range(self.chance.randint(1, STEP), N_COMMIT + 1, STEP):
            self.under_load("commit", n)
            self.judge_start()
        print(f"the commit thread: killed at syncs up to {N_COMMIT}, step {STEP}")

    def test_checkpoint(self):
        for n in range(1, N_CHECKPOINT + 1):
            self.under_load("checkpoint", n)
            self.judge_start()
        print(f"the checkpoint thread: killed at each sync up to {N_CHECKPOINT}")

    # the parts

    def fill(self):
        self.start_daemon()
        for i in range(20):
            self.show(self.futures.Run(run("echo", b"%d" % i)))
            self.show(self.futures.Submit(submit("sleep", b"50", view=crash_support.FULL)).future)

    def show(self, f):
        """Tasks of our own have no tag, so the ledger knows of them what was shown, and no more."""
        self.ledger.show(f)

    def traced(self, tid, n):
        """strace on one thread, once it is attached."""
        read, write = os.pipe()
        command = [*DIE_WITH_PARENT, *inject(n, "-p", str(tid))]
        command.remove("-qq")  # it says when it has attached
        process = subprocess.Popen(command, stderr=write)
        os.close(write)
        said = b""
        while b"attached" not in said:
            if not select.select([read], [], [], DEADLINE)[0]:
                raise AssertionError("strace does not attach")
            more = os.read(read, 4096)
            if not more:
                raise AssertionError(f"strace: {said.decode()}")
            said += more
        self.addCleanup(os.close, read)
        return process

    def under_load(self, name, n):
        if self.server is None or self.server.process.poll() is not None:
            self.start_daemon()
        with self.traced(thread(self.server.process.pid, name), n):
            if name == "commit":
                oracle = self.load(f"s{name}-{n}")
                self.ledger.take(oracle.end())
            else:
                self.large_ones()
            self.server.process.wait(DEADLINE)
        self.kill()
        self.forget()

    def large_ones(self):
        """Results of a megabyte each, until it has ended."""
        stub = futures_pb2_grpc.FuturesStub(self._channels[-1])
        try:
            while True:
                f = stub.Run(run("echo", os.urandom(LARGE)), timeout=DEADLINE)
                self.show(f)
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())

    def judge_start(self):
        self.forget()
        self.start_daemon()
        self.assert_kept()
        self.assert_nothing(self.ledger.wrong)
        self.assertGreater(self.next_id(), self.ledger.last_id)


if __name__ == "__main__":
    if not is_permitted():
        print("skipped: strace is not there, or may not trace")
        sys.exit(SKIPPED)
    crash_support.main()
