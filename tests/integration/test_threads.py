#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Workers with several threads: that these are at work at once in one process, how one attempt that takes the process with it is
told from those beside it, and that draining, reloading and retiring lose nothing."""
import collections
import hashlib
import os
import pathlib
import shutil
import signal
import threading
import time
import unittest

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract
from test_told import Told, watch

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2, workers_pb2_grpc

PLUGIN = harness.BIN.parent / "tests/unit/worker/plugins/threads.so"
THREADS = 4
# A sanitizer would make an exit of a fault, and say so in the log.
SANITIZERS = {f"{name}_OPTIONS": os.environ.get(f"{name}_OPTIONS", "") + ":handle_segv=0:handle_abort=0"
              for name in ("ASAN", "TSAN")}
# In a child after fork the leak sanitizer does not see what other threads of its parent hold.
FORK = "pid" if harness.IS_SANITIZED else "fork_exit"
BESIDE = "; its threads ran 3 others at the time, and it is not known which of them is to blame"


def stat_of(pid, field):
    """A field of proc_pid_stat(5), by its number there; None: it has gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[field - 3]
    except OSError:
        return None


def is_alive(pid):
    return stat_of(pid, 3) not in (None, "Z")


class ThreadsCase(FuturesCase):
    workers = 1
    pool = {}

    def setUp(self):
        super().setUp()
        self.attached = harness.Stub(workers_pb2_grpc.WorkersStub(self.channel()))

    def start(self, **options):
        options.setdefault("env", SANITIZERS)
        return super().start(pool={"plugin": PLUGIN, "threads": THREADS, **self.pool}, **options)

    def listed(self, state=workers_pb2.WORKER_STATE_READY):
        return [w for w in self.attached.ListWorkers(workers_pb2.ListWorkersRequest()).workers if w.state == state]

    def all_listed(self, n=THREADS):
        return self.poll(lambda: len(got := self.listed()) == n and got, f"{n} workers are ready")

    def hold(self, n):
        """So many tasks that run in the process until the gate is opened, and their IDs."""
        gate = self.gate("hold")
        ids = [self.submit("hold", gate.argument) for _ in range(n)]
        self.assertEqual(set(gate.started(n)), set(ids))
        return gate, ids

    def assert_untouched(self, gate, ids, n_started):
        """They have begun again, and there is no trace of the first time."""
        self.assertEqual(set(gate.started(n_started)[-len(ids):]), set(ids))
        gate.open()
        for id_ in ids:
            got = self.finished(id_)
            self.assertEqual((got.state, [a.number for a in got.attempts]), (SUCCEEDED, [n_started // len(ids)]), got)


class Threads(ThreadsCase):
    functions = {
        # a process that has left its family, and tells its ID then
        "leave": {"command": "(setsid sh -c 'echo $$; exec sleep 1000 >&- 2>&-' &) | head -n 1", "shell": "yes"},
        "helped": {"command": "export f=$(cat); (setsid sh -c 'echo $$ >$f.started; exec sleep 1000' >&- 2>&- &); cat $f",
                   "shell": "yes"},
        "cat": "cat", "sha256": {"isolate": "yes"},
    }

    def test_at_once(self):
        workers = self.all_listed()
        pid, = self.worker_pids()
        self.assertEqual({(w.name, w.pid, w.slots) for w in workers}, {(f"pool-{pid}.{i + 1}", pid, 1) for i in range(THREADS)})
        ids = [self.submit("together", b"%d" % THREADS) for _ in range(THREADS)]
        self.assertEqual({self.finished(id_).result.data for id_ in ids}, {b"%d" % pid})
        self.assertEqual(self.futures.Run(run("pid")).result.data, b"%d" % pid)
        self.assertEqual(len({w.id for w in workers}), THREADS)

    def test_commands(self):
        gate, ids = self.occupy(THREADS)
        gate.open(b"done")
        self.assertEqual({self.finished(id_).result.data for id_ in ids}, {b"done"})
        asked = [run(f, b"%d" % n) for n in range(50) for f in ("cat", "sha256")]  # the latter in a process of its own
        got = [r.finished for r in self.futures.RunStream(iter(asked))]
        self.assertEqual({(f.state, len(f.attempts)) for f in got}, {(SUCCEEDED, 1)})
        self.assertEqual(sorted(f.result.data for f in got),
                         sorted(d for n in range(50) for d in (b"%d" % n, hashlib.sha256(b"%d" % n).hexdigest().encode())))
        self.assertEqual(len(self.worker_pids()), 1)

    def test_many(self):
        """All threads at once, through all of a worker."""
        asked = [run(f, b"x" * n, labels={"n": str(n)}) for n in range(100) for f in ("echo", "sha256", "gzip", "pid", FORK)]
        got = [r.finished for r in self.futures.RunStream(iter(asked))]
        self.assertEqual({(f.state, len(f.attempts)) for f in got}, {(SUCCEEDED, 1)})
        gate, ids = self.hold(THREADS - 1)
        self.assertEqual(self.futures.Run(run(FORK)).state, SUCCEEDED)
        got = self.futures.Run(run("fault"))  # nobody was blamed for the child's exit
        self.assertEqual((got.error.reason, got.attempts[0].signal), ("CRASHED", signal.SIGSEGV))
        self.assert_untouched(gate, ids, 2 * len(ids))

    def test_what_commands_leave_behind(self):
        """It ends with the last attempt that it can be of; the helper of a command that runs is left alone."""
        old = self.gate("old")
        old_id = self.submit("helped", old.argument)
        helper = int(old.started()[0])
        left = int(self.futures.Run(run("leave")).result.data)
        self.assertEqual((is_alive(helper), is_alive(left)), (True, True))
        ticks = os.sysconf("SC_CLK_TCK")
        self.poll(lambda: int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks) > int(stat_of(left, 22)), "the clock has gone on")
        young, ids = self.occupy(1)
        old.open()
        self.assertEqual(self.finished(old_id).state, SUCCEEDED)
        self.assertEqual((is_alive(helper), is_alive(left)), (False, False))
        self.until(ids[0], lambda f: f.state == RUNNING)
        left = int(self.futures.Run(run("leave")).result.data)
        young.open()
        self.finished(ids[0])
        self.assertFalse(is_alive(left))


class Deaths(ThreadsCase):
    def check_crash(self, function, **how):
        gate, ids = self.hold(THREADS - 1)
        got = self.futures.Run(run(function))
        message = ("the worker was killed by signal {signal} ({name}) while it ran this task" if "signal" in how else
                   "the worker ended with exit code {exit_code} while it ran this task").format(**how)
        last, = got.attempts
        self.assertEqual((got.error.reason, got.error.message), ("CRASHED", message))
        self.assertEqual(last.signal if "signal" in how else last.exit_code, how.get("signal", how.get("exit_code")))
        self.assert_untouched(gate, ids, 2 * len(ids))

    def test_fault(self):
        self.check_crash("fault", signal=11, name="SIGSEGV")

    @unittest.skipIf(harness.IS_SANITIZED, "their own stacks end elsewhere")
    def test_stack_overflow(self):
        self.check_crash("overflow", signal=11, name="SIGSEGV")

    def test_abort(self):
        self.check_crash("abort", signal=6, name="SIGABRT")

    def test_exit(self):
        self.check_crash("exit_3", exit_code=3)

    def test_end_of_its_thread(self):
        self.check_crash("end_thread", exit_code=70)

    def test_what_was_said(self):
        """What a client was shown of the first time stays, under its number; the number of the attempt goes on."""
        gate, ids = self.hold(1)
        call = self.futures.Watch(watch(*ids))
        told = Told().until(call, lambda t: t.text["log"] == b"held\n")
        self.futures.Run(run("fault"))
        self.assert_untouched(gate, ids, 2)
        told.all(call)
        self.assertEqual([(attempt, data) for _, attempt, _, data in told.chunks], [(1, b"held\n"), (2, b"held\n")])

    def test_alone(self):
        """Who is alone in the process is at fault whatever is noted."""
        got = self.futures.Run(run("vanish"))
        self.assertEqual((got.error.reason, got.error.message),
                         ("CRASHED", "the worker ended with exit code 4 while it ran this task"))

    def test_nobody_is_blamed(self):
        gate, ids = self.hold(THREADS - 1)
        ids.append(self.submit("vanish"))
        for id_ in ids:
            self.assertEqual(self.finished(id_).error.message, "the worker ended with exit code 4 while it ran this task" + BESIDE)
        gate, ids = self.hold_again(THREADS)
        os.kill(*self.worker_pids(), signal.SIGKILL)
        for id_ in ids:
            got = self.finished(id_)
            self.assertEqual((got.error.reason, got.error.message),
                             ("CRASHED", "the worker was killed by signal 9 (SIGKILL) while it ran this task" + BESIDE))

    def hold_again(self, n):
        gate = self.gate("again")
        ids = [self.submit("hold", gate.argument) for _ in range(n)]
        gate.started(n)
        return gate, ids

    def test_timeout(self):
        """The process is killed for the one that does not end; the others do not know."""
        gate, ids = self.hold(THREADS - 1)
        got = self.futures.Run(run("deaf", options=future_pb2.TaskOptions(attempt_timeout=seconds(0.05))))
        self.assertEqual((got.error.reason, got.attempts[0].signal), ("TIMEOUT", signal.SIGKILL))
        self.assert_untouched(gate, ids, 2 * len(ids))

    def test_cancel(self):
        """The same, and oftener than a task may be lost."""
        gate, ids = self.hold(THREADS - 1)
        for i in range(5):
            id_ = self.submit("deaf")
            self.until(id_, lambda f: f.state == RUNNING)
            self.futures.Cancel(futures_pb2.CancelRequest(id=id_, grace=seconds(0.05)))
            self.assertEqual(self.finished(id_).state, CANCELLED)
            self.assertEqual(set(gate.started((i + 2) * len(ids))[-len(ids):]), set(ids))
        self.assert_untouched(gate, ids, 6 * len(ids))

    def test_kill_worker(self):
        gate, ids = self.hold(THREADS)
        worker = next(w for w in self.listed() if ids[0] in w.running_ids)
        self.attached.KillWorker(workers_pb2.KillWorkerRequest(worker_id=worker.id))
        gate.started(2 * THREADS)
        gate.open()
        for id_ in ids:
            got = self.finished(id_)
            self.assertEqual((got.state, len(got.attempts)), (SUCCEEDED, 2 if id_ == ids[0] else 1), got)
        self.assertEqual(self.finished(ids[0]).attempts[0].error.reason, "WORKER_LOST")

    def test_bad_neighbours(self):
        """Crashes under load, as many as a task is forgiven to be lost by."""
        asked = [run("fault" if i % 150 == 149 else "pid") for i in range(500)]
        got = [r.finished for r in self.futures.RunStream(iter(asked))]
        self.assertEqual(collections.Counter((f.state, f.error.reason) for f in got), {(SUCCEEDED, ""): 497, (FAILED, "CRASHED"): 3})


class Ends(ThreadsCase):
    timeouts = {"drain": "30s"}

    def test_stop(self):
        """What runs in all threads is heard of before the daemon ends."""
        gate = self.gate("hold")
        calls = [self.futures.Run.future(run("hold", gate.argument)) for _ in range(THREADS)]
        gate.started(THREADS)
        self.server.signal()
        self.server.log.wait("draining")
        gate.open()
        self.assertEqual({call.result().state for call in calls}, {SUCCEEDED})
        self.assertEqual(self.server.wait(), 0)

    def test_drain_worker(self):
        """Of one is of all in its process."""
        self.all_listed()
        gate, ids = self.hold(2)
        pid, = self.worker_pids()
        self.attached.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=self.listed()[0].id))
        self.assertEqual(len(self.listed(workers_pb2.WORKER_STATE_DRAINING)), THREADS)
        waiting = self.submit("pid")
        gate.open()
        for id_ in ids:
            self.assertEqual((self.finished(id_).result.data, len(self.finished(id_).attempts)), (b"%d" % pid, 1))
        self.assertNotEqual(self.finished(waiting).result.data, b"%d" % pid)
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.server.log.find("worker_killed|worker_grace_over"), [])


class Retired(ThreadsCase):
    pool = {"max_tasks_per_worker": 10}

    def test_max_tasks(self):
        got = [r.finished for r in self.futures.RunStream(iter([run("pid")] * 200))]
        self.assertEqual({(f.state, len(f.attempts)) for f in got}, {(SUCCEEDED, 1)})
        counts = collections.Counter(f.result.data for f in got)
        self.assertLess(max(counts.values()), 10 + THREADS)
        self.assertEqual(self.server.log.find("workers_die_at_start|worker_killed"), [])

    def test_one_runs_on(self):
        """Beside the threads that have ended."""
        gate, (held,) = self.hold(1)
        pid, = self.worker_pids()
        waiting = [self.submit("pid") for _ in range(20)]
        self.poll(lambda: len(self.listed(workers_pb2.WORKER_STATE_DISCONNECTED)) == THREADS - 1, "the others have ended")
        self.until(held, lambda f: f.state == RUNNING)
        gate.open()
        self.assertEqual((self.finished(held).result.data, len(self.finished(held).attempts)), (b"%d" % pid, 1))
        for id_ in waiting:
            got = self.finished(id_)
            self.assertEqual((got.state, len(got.attempts)), (SUCCEEDED, 1))
        self.assertEqual(self.server.log.find("worker_kill"), [])


class Size(ThreadsCase):
    pool = {"max": 3, "idle": "100ms"}

    def test_by_threads(self):
        """So many processes as the waiting tasks need threads."""
        gate, ids = self.hold(THREADS + 1)
        self.assertEqual(len(self.worker_pids()), 2)
        gate.open()
        self.poll(lambda: len(self.worker_pids()) == 1, "one worker is left")
        self.assertEqual({len(self.finished(id_).attempts) for id_ in ids}, {1})


class Reload(ThreadsCase):
    workers = 2

    def start(self):
        config = {"pool": {"workers": self.workers, "plugin": PLUGIN, "threads": 1}, "timeouts": self.timeouts}
        return harness.ServerCase.start(self, program="futured", config=config, store=STORE, env=SANITIZERS)

    def change(self, old, new):
        file = self.server.directory / "futured.conf"
        text = file.read_text(encoding="utf-8")
        self.assertIn(old, text)
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.assertEqual(list(system.Reload(system_pb2.ReloadRequest()).changed), ["pool." + new.partition(" ")[0]])

    def load(self, is_over, got):
        while not is_over.is_set():
            got += [r.finished for r in self.futures.RunStream(iter([run("pid")] * 20))]

    def test_threads(self):
        """Under load, to and fro: nothing is lost or refused."""
        is_over, got = threading.Event(), []
        load = threading.Thread(target=self.load, args=(is_over, got))
        load.start()
        try:
            self.assertEqual({"." in w.name for w in self.all_listed(self.workers)}, {False})
            for n, before in ((THREADS, 1), (2, THREADS), (1, 2), (THREADS, 1)):
                self.change(f"threads = {before}\n", f"threads = {n}\n")
                self.assertEqual({"." in w.name for w in self.all_listed(self.workers * n)}, {n > 1})
        finally:
            is_over.set()
            load.join()
        self.assertTrue(got)
        self.assertEqual({(f.state, len(f.attempts)) for f in got}, {(SUCCEEDED, 1)})
        gate, ids = self.hold(self.workers * THREADS)
        gate.open()
        self.assertEqual({self.finished(id_).state for id_ in ids}, {SUCCEEDED})
        self.assertEqual(self.server.log.find("worker_killed|worker_kill |worker_grace_over|workers_die"), [])


class Nice(ThreadsCase):
    pool = {"nice": 19, "threads": 2}

    def test_nice(self):
        self.all_listed(2)
        pid, = self.worker_pids()
        tasks = os.listdir(f"/proc/{pid}/task")
        self.assertGreater(len(tasks), 2)
        self.assertEqual({stat_of(f"{pid}/task/{t}", 19) for t in tasks}, {"19"})
        self.assertEqual(self.server.log.find("worker_nice_not_set"), [])

    @unittest.skipUnless(shutil.which("setpriv"), "needs setpriv of util-linux")
    def test_not_allowed(self):
        """It is said, with what to do, and the worker works."""
        self.pool = {"nice": -7}
        wrapper = ("setpriv", "--bounding-set=-sys_nice") if os.geteuid() == 0 else ()
        self.server = self.start(wrapper=wrapper)
        self.futures = self.futures_of(self.server)
        self.server.log.wait("worker_nice_not_set .*nice=-7 .*CAP_SYS_NICE")
        self.assert_serves()


if __name__ == "__main__":
    harness.main()
