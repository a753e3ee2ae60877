#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Functions that do what they should not, as a plugin and as commands: each attempt ends with the error that is due, the
others never notice, the worker is replaced where it has to be, and after FUTURED_ROUNDS rounds (3 here) nothing is left: no
zombie, no descriptor, no process. And beside it the same from CPython's ProcessPoolExecutor."""
import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import pathlib
import signal
import unittest

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import workers_pb2, workers_pb2_grpc

ROUNDS = int(os.environ.get("FUTURED_ROUNDS", "3"))
PLUGIN = harness.BIN.parent / "tests/unit/worker/plugins/wild.so"
KILLED = "the worker was killed by signal {} ({}) while it ran this task"


def has_groups():
    """Whether the memory controller of control groups can be used from here."""
    for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, names, path = line.split(":", 2)
        if "memory" in names.split(",") and os.access(f"/sys/fs/cgroup/memory{path}", os.W_OK):
            return True
    return False  # version 2 needs a delegated subtree, which a test has not


def alive(mark):
    """The processes whose environment has @mark: those of the daemon and all that come from them."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and mark in pathlib.Path("/proc", name, "environ").read_bytes().split(b"\0"):
                found.append(int(name))
        except OSError:  # it has gone meanwhile
            pass
    return found


class Misbehaviour(FuturesCase):
    workers = 5
    n_gates = 0
    functions = {
        "c-segv": {"command": "kill -SEGV $$", "shell": "yes"}, "c-abort": {"command": "kill -ABRT $$", "shell": "yes"},
        "c-forever": {"command": "while :; do :; done", "shell": "yes"},
        "c-deaf": {"command": "trap '' TERM; while :; do :; done", "shell": "yes"},
        "c-stop": {"command": "kill -STOP $$", "shell": "yes"},
        "c-children": {"command": "setsid sleep 1000 & sleep 1000 & exec >&- 2>&-; exit 0", "shell": "yes"},
        "c-flood": "yes", "c-flood-error": {"command": "exec yes >&2", "shell": "yes"},
        "c-closed": {"command": "exec <&- >&- 2>&-; exit 4", "shell": "yes"}, "c-nap": "sleep 1000",
        "c-cpu": {"command": "while :; do :; done", "shell": "yes", "cpu_time_max": "1s"},
        "c-leak": {"command": "tail /dev/zero", "memory_max": "32M"},
        "c-small": {"command": "cat", "max_result": "100"},
        "flood": {"cpu_time_max": "1s"}, "leak": {"memory_max": "64M"}, "sandbox": {"isolate": "yes"},
        "end_alone": {"isolate": "yes"},
        "exit_0": {"isolate": "no", "max_result": "100"}, "echo": {"max_result": "100"},
    }

    def start(self, **options):
        mark = self.folder / "mark"
        self.mark = f"HOME={mark}".encode()
        return super().start(pool={"plugin": PLUGIN}, env={"HOME": str(mark)}, **options)

    def ended(self, function, argument=b"", grace=None, **options):
        """The future, once it has ended: by itself, or cancelled once it runs, with that grace in seconds."""
        id_ = self.submit(function, argument, options=future_pb2.TaskOptions(**options))
        if grace is not None:
            self.until(id_, lambda f: f.state in (RUNNING, *TERMINAL))
            self.futures.Cancel(futures_pb2.CancelRequest(id=id_, grace=seconds(grace)))
        return self.finished(id_)

    def assert_error(self, got, reason, message="", signo=None, exit_code=None):
        last = got.attempts[-1]
        self.assertEqual((got.state, got.error.reason), (FAILED, reason), got.error)
        self.assertIn(message, got.error.message)
        self.assertEqual(last.signal if last.HasField("signal") else None, signo)
        self.assertEqual(last.exit_code if last.HasField("exit_code") else None, exit_code)

    def assert_stopped(self, got, *signals):
        self.assertEqual(got.state, CANCELLED, got)
        self.assertIn(got.attempts[-1].signal, signals)

    # one round of each

    def crashes(self):
        self.assert_error(self.ended("segv"), "CRASHED", KILLED.format(11, "SIGSEGV"), signo=11)
        self.assert_error(self.ended("abort"), "CRASHED", KILLED.format(6, "SIGABRT"), signo=6)
        self.assert_error(self.ended("exit_0"), "CRASHED", "the worker ended with exit code 0", exit_code=0)
        self.assert_error(self.ended("end_thread"), "CRASHED", "the worker ended with exit code 70", exit_code=70)
        self.assert_error(self.ended("end_alone"), "CRASHED", "ended with exit code 70", exit_code=70)
        self.assert_error(self.ended("c-segv"), "CRASHED", "killed by SIGSEGV", signo=11)
        self.assert_error(self.ended("c-abort"), "CRASHED", "killed by SIGABRT", signo=6)

    def loops(self):
        """They loop for ever, are deaf to SIGTERM, stop themselves, sleep: the end of the grace is theirs."""
        for function in ("forever", "deaf", "nap", "stop"):
            self.assert_stopped(self.ended(function, grace=0.05), signal.SIGKILL)
        for function in ("c-deaf", "c-stop"):  # SIGTERM where it came before they had begun
            self.assert_stopped(self.ended(function, grace=0.05), signal.SIGKILL, signal.SIGTERM)
        for function in ("c-forever", "c-nap"):
            self.assert_stopped(self.ended(function, grace=30), signal.SIGTERM)

    def descriptors(self):
        """The stream is gone with what had been done: it runs again, three times, and is given up as lost, whether the worker
        sees it before the function has returned or after."""
        for function in ("close_all", "write_sockets"):
            self.assertEqual(self.ended(function).error.reason, "WORKER_LOST")
        self.assert_error(self.ended("c-closed"), "FUNCTION_ERROR", "exit code 4", exit_code=4)

    def children_left(self):
        self.assertEqual(self.ended("children").result.data, b"left")
        self.assertEqual(self.ended("c-children").state, SUCCEEDED)

    def floods(self):
        self.assertEqual(self.ended("c-flood").error.reason, "RESULT_TOO_LARGE")
        self.assert_stopped(self.ended("c-flood-error", grace=30), signal.SIGTERM)
        got = self.ended("flood")
        self.assert_error(got, "CPU_LIMIT", signo=signal.SIGXCPU)
        self.assertRegex(got.error.traceback[:100], "^.[0-9]+ bytes of standard error before this are left out.\nthere is no end")

    def limits(self):
        for function in ("c-small", "echo"):
            got = self.ended(function, b"x" * 101)
            self.assertEqual((got.state, got.error.reason), (FAILED, "RESULT_TOO_LARGE"))
            self.assertIn("at most 100 are allowed", got.error.message)
            self.assertEqual(self.ended(function, b"x" * 100).result.data, b"x" * 100)
        self.assert_error(self.ended("c-cpu"), "CPU_LIMIT", "used the 1 s of processor time", signo=signal.SIGXCPU)
        self.assertEqual(self.ended("sandbox").result.data, b"ok")

    def memory(self):
        for function, message in (("c-leak", "used the 33554432 bytes"), ("leak", "used the 67108864 bytes")):
            self.assert_error(self.ended(function), "MEMORY_LIMIT", message, signo=9)

    def late(self):
        """attempt_timeout and deadline, by the default grace, side by side."""
        asked = [submit(f, b"", options=future_pb2.TaskOptions(attempt_timeout=seconds(0.05))) for f in ("nap", "c-deaf", "stop")]
        soon = timestamp_pb2.Timestamp()
        soon.GetCurrentTime()
        soon.FromNanoseconds(soon.ToNanoseconds() + 10**9)
        asked.append(submit("deaf", b"", options=future_pb2.TaskOptions(deadline=soon)))
        ids = self.submit_many(asked)
        for id_, reason in zip(ids, ("TIMEOUT", "TIMEOUT", "TIMEOUT", "DEADLINE_EXCEEDED")):
            self.assertEqual(self.finished(id_).error.reason, reason)

    # and that nothing else has noticed

    def neighbours(self):
        """Gates that are held through all of it, and tasks that go on beside."""
        self.n_gates += 1
        gate = self.gate(f"neighbour {self.n_gates}")
        id_ = self.submit("gate", gate.argument)
        gate.started()
        return gate, id_

    def assert_unharmed(self, gate, id_):
        gate.open(b"unharmed")
        self.assert_future(self.finished(id_), succeeded(task("gate", gate.argument), data=b"unharmed", exit_code=0))
        gate.close()

    def assert_clean(self, n_fds):
        """As many workers as there should be, no other child of the daemon, no descriptor more, no zombie anywhere."""
        def is_whole():
            try:
                family = children(self.server.process.pid)
                return (len(family) == self.workers and all(name_of(p) == "futured-worker" for p in family) and
                        all(name_of(p) for worker in family for p in children(worker)))  # of a zombie it is empty
            except OSError:  # one has gone meanwhile
                return False

        self.poll(is_whole, "the pool is complete, and nothing else")
        ids = self.submit_many([submit("which")] * 40)
        for id_ in ids:
            self.assertEqual(self.finished(id_).state, SUCCEEDED)
        self.poll(is_whole, "and stays so")
        self.poll(lambda: self.server.n_fds() <= n_fds, "no descriptor is left")

    def rounds(self, *acts):
        self.pool_pids()
        self.ended("which")
        n_fds = self.server.n_fds() + 2  # of a stream of this test that is not gone yet
        for _ in range(ROUNDS):
            gate, id_ = self.neighbours()
            for act in acts:
                act()
            self.assert_unharmed(gate, id_)
        self.assert_clean(n_fds)
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        self.poll(lambda: not alive(self.mark), "every process is gone")

    def test_crashes(self):
        self.rounds(self.crashes)

    def test_loops(self):
        self.rounds(self.loops)

    def test_descriptors(self):
        self.rounds(self.descriptors)

    def test_children(self):
        self.rounds(self.children_left)

    def test_floods(self):
        self.rounds(self.floods)

    def test_limits(self):
        self.rounds(self.limits)

    @unittest.skipUnless(has_groups(), "there is no control group that can be used")
    def test_memory(self):
        self.rounds(self.memory)

    def test_past_their_time(self):
        self.rounds(self.late)


class Retired(FuturesCase):
    """Workers that end by themselves."""
    workers = 2

    def test_max_tasks(self):
        self.server = self.start(pool={"plugin": PLUGIN, "max_tasks_per_worker": "10"})
        self.futures = self.futures_of(self.server)
        got = [r.finished for r in self.futures.RunStream(iter([run("which")] * 200))]
        self.assertEqual({f.state for f in got}, {SUCCEEDED})
        self.assertEqual({len(f.attempts) for f in got}, {1})
        pids = [f.result.data for f in got]
        self.assertEqual(max(pids.count(p) for p in set(pids)), 10)
        self.assertGreaterEqual(len(set(pids)), 20)
        self.assertEqual(self.server.log.find("workers_die_at_start|worker_killed|warning worker_exited"), [])
        workers = harness.Stub(workers_pb2_grpc.WorkersStub(self.channel()))
        self.assertEqual(workers.ListWorkers(workers_pb2.ListWorkersRequest()).crashed_count, 0)

    def test_max_age(self):
        """Also of one that has nothing to do."""
        self.server = self.start(pool={"plugin": PLUGIN, "max_worker_age": "1s"})
        self.futures = self.futures_of(self.server)
        self.server.log.wait("worker_exited.*exit_code=0", count=4)
        self.assert_serves()


def nap_for(_):
    while True:
        signal.pause()


def same(x):
    return x


class BesideProcessPool(FuturesCase):
    def test_a_worker_is_killed(self):
        """It ends CPython's pool, with all that it had yet to do; ours goes on, with all but what that worker ran."""
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            self.assertEqual(list(pool.map(same, range(10))), list(range(10)))
            naps = [pool.submit(nap_for, i) for i in range(10)]
            os.kill(next(iter(pool._processes)), signal.SIGKILL)
            for nap in naps:
                self.assertIsInstance(nap.exception(DEADLINE), concurrent.futures.process.BrokenProcessPool)
            with self.assertRaises(concurrent.futures.process.BrokenProcessPool):
                pool.submit(same, 1)

        gate, ids = self.occupy()
        more = [self.futures.Run.future(run("echo", b"%d" % i)) for i in range(10)]
        pid = next(p for p in self.worker_pids() if ids[0] in commands(p).values())
        os.kill(pid, signal.SIGKILL)
        self.assertEqual([c.result().result.data for c in more], [b"%d" % i for i in range(10)])
        got = self.finished(ids[0])
        self.assertEqual((got.state, got.error.reason, got.attempts[0].signal), (FAILED, "CRASHED", 9))
        gate.open(b"went on")
        self.assertEqual(self.finished(ids[1]).result.data, b"went on")
        self.assert_serves()


if __name__ == "__main__":
    futures_support.main()
