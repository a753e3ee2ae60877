#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Workers that die: the attempt that ran is CRASHED, what was reserved behind it runs elsewhere and once, a new worker
serves, and nobody else notices."""
import collections
import os
import queue
import random
import signal

import futures_support
from futures_support import *  # noqa: F403: the words of the contract

KILLED = future_pb2.Error(code=code_pb2.INTERNAL, reason="CRASHED", retryable=True,
                          message="the worker was killed by signal 9 (SIGKILL) while it ran this task")

# Tells its ID to a file beside it, then waits at the gate that its argument names, if it names one.
LATE = """#!/bin/sh
echo "$FUTURED_ID" >>"$0.log"
f=$(cat)
[ -z "$f" ] || { echo "$FUTURED_ID" >"$f.started"; cat "$f" "$f.result"; }
"""


class CrashCase(FuturesCase):
    def pid_of(self, id_):
        """The worker that runs this command."""
        return next(p for p in self.worker_pids() if id_ in commands(p).values())

    def kill(self, pid, signo=signal.SIGKILL):
        """Its end is over when this returns; what it ran goes with it."""
        gone = [pid, *commands(pid)]
        os.kill(pid, signo)
        for p in gone:
            self.poll(lambda p=p: name_of(p) in (None, ""), f"the end of {p}")

    def wait_workers(self, other_than=()):
        """As many workers as there should be, none of them one of @other_than."""
        def complete():
            pids = self.worker_pids()
            return len(pids) == self.workers and pids.isdisjoint(other_than) and pids

        return self.poll(complete, "the pool is complete")


class Killed(CrashCase):
    def test_while_it_runs(self):
        before = self.wait_workers()
        neighbour = self.gate()
        neighbour_id = self.submit("gate", neighbour.argument)
        neighbour.started()
        call = self.futures.Run.future(run("sleep", b"999999999", labels={"a": "b"}))
        everything = futures_pb2.ListRequest(selector=selector(filter="*"))
        self.poll(lambda: self.futures.List(everything).futures[0].task.function == "sleep", "accepted")
        id_ = self.futures.List(everything).futures[0].id
        asked = task("sleep", b"999999999", labels={"a": "b"})
        self.assert_future(self.until(id_, lambda f: f.state == RUNNING), running(asked), id_)
        pid, = before - {self.pid_of(neighbour_id)}
        self.kill(pid)
        wanted = failed(asked, KILLED, usage=WALL, signo=9)
        self.assert_future(call.result(), wanted, id_)
        self.assert_future(self.futures.Get(get(id_)), wanted, id_)
        after = self.wait_workers({pid})
        self.assertEqual(len(before & after), 1, "one was replaced")
        self.assertEqual(self.futures.Get(get(neighbour_id)).state, RUNNING)
        new = self.gate("new")
        new_id = self.submit("gate", new.argument)
        new.started()
        self.assertEqual(self.pid_of(new_id), (after - before).pop(), "the new one serves")
        for gate, i in ((neighbour, neighbour_id), (new, new_id)):
            gate.open(b"fine")
            self.assert_future(self.finished(i), succeeded(task("gate", gate.argument), data=b"fine", exit_code=0), i)
        said, = self.server.log.wait("worker_killed")
        self.assertRegex(said, f"future={id_} function=sleep worker=.* pid={pid} signal=9")

    def test_idle_ones(self):
        """Nothing ran: nothing is lost, and all are replaced."""
        before = self.wait_workers()
        for pid in before:
            self.kill(pid)
        self.wait_workers(before)
        self.assert_serves()
        said = self.server.log.wait("worker_killed.*signal=9", 2)
        self.assertEqual([len(said), "future=" in "".join(said)], [2, False])

    def test_all_of_them_while_they_run(self):
        before = self.wait_workers()
        gate, ids = self.occupy()
        waits = [self.futures.Run.future(run("echo", b"%d" % i)) for i in range(20)]
        everything = futures_pb2.ListRequest(selector=selector(filter="*"))
        self.poll(lambda: len(self.futures.List(everything).futures) == 22, "accepted")
        for pid in before:
            self.kill(pid)
        for id_ in ids:
            self.assert_future(self.finished(id_), failed(task("gate", gate.argument), KILLED, usage=WALL, signo=9), id_)
        for i, call in enumerate(waits):
            self.assert_future(call.result(), succeeded(task("echo", b"%d" % i), data=b"%d" % i))
        self.wait_workers(before)

    def test_asked_to_end(self):
        """SIGTERM: it finishes what it runs, hands back the rest, and goes; another comes."""
        before = self.wait_workers()
        gate, ids = self.occupy()
        pid = self.pid_of(ids[0])
        os.kill(pid, signal.SIGTERM)
        self.assertIn(pid, self.worker_pids())
        gate.open(b"finished")
        for id_ in ids:
            self.assert_future(self.finished(id_), succeeded(task("gate", gate.argument), data=b"finished", exit_code=0), id_)
        self.wait_workers({pid})
        self.assertEqual(len(self.worker_pids() & before), 1)
        said, = self.server.log.wait(f"worker_exited.*pid={pid}")
        self.assertIn("exit_code=0", said)
        self.assert_serves()


class Reserved(CrashCase):
    """Tasks that are handed to a worker in advance."""

    @property
    def functions(self):
        return {"late": str(self.folder / "late")}

    def learn(self):
        """The daemon learns that `late` is fast, so that it hands its tasks out in advance: there is no such program yet."""
        for r in self.futures.RunStream(iter([run("late")] * 20)):
            self.assertEqual(r.finished.error.type, "NOT_FOUND")
        script = self.folder / "late.new"
        script.write_text(LATE, encoding="ascii")
        script.chmod(0o755)
        script.rename(self.folder / "late")

    def runs(self):
        """How often each task has run."""
        return collections.Counter((self.folder / "late.log").read_text(encoding="ascii").split())

    def check(self, ids, crashed=()):
        """All but @crashed have succeeded at their first attempt, and ran once."""
        for id_ in ids:
            got = self.finished(id_)
            self.assertEqual(len(got.attempts), 1)
            if id_ in crashed:
                self.assert_future(got, failed(got.task, KILLED, usage=WALL, signo=9), id_)
            else:
                self.assert_future(self.first(got), succeeded(got.task, exit_code=0), id_)
        runs = self.runs()
        self.assertEqual({i: runs[i] for i in ids}, {i: 1 for i in ids})

    def first(self, got):
        """Attempts have growing numbers; which, is the daemon's."""
        copy = future_pb2.Future()
        copy.CopyFrom(got)
        copy.attempts[0].number = 1
        return copy

    def test_behind_one_that_is_killed(self):
        self.learn()
        for n in range(5):
            before = self.wait_workers()
            gate = self.gate(f"gate {n}")
            held = [submit("late", gate.argument)] * self.workers
            ids = self.submit_many([*held, *[submit("late")] * 40])
            gate.started(2)
            self.kill(self.pid_of(ids[0]))
            self.finished(ids[0])
            self.check([ids[0], *ids[2:]], ids[:1])
            gate.open()
            self.check(ids, ids[:1])
            self.assertEqual(len(self.wait_workers() & before), 1)

    def test_behind_one_that_takes_long(self):
        """Others run them, though all of them were busy for a while."""
        self.learn()
        long, short = self.gate("long"), self.gate("short")
        ids = self.submit_many([submit("late", long.argument), submit("late", short.argument)])
        for gate in (long, short):
            gate.started()
        for id_ in ids:
            self.until(id_, lambda f: f.state == RUNNING)
        more = self.submit_many([submit("late")] * 300)
        short.open()
        self.check([ids[1], *more])
        self.assertEqual(self.futures.Get(get(ids[0])).state, RUNNING)
        last = self.submit_many([submit("late")] * 100)
        self.check(last)
        long.open()
        self.check(ids)

    def test_cancelled_behind_one(self):
        """Neither runs; whether it was handed out already makes no difference in the end."""
        self.learn()
        gate = self.gate()
        ids = self.submit_many([submit("late", gate.argument)] * 2 + [submit("late")] * 20)
        gate.started(2)
        for id_ in ids[2::2]:
            got = self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="no"))
            self.assertTrue(got.HasField("cancel_requested"))
        gate.open()
        gone = [i for i in ids[2::2] if self.assert_cancelled(i)]
        self.assertEqual(gone, ids[2::2])
        self.check([*ids[:2], *ids[3::2]])
        self.assertEqual(set(self.runs()) & set(gone), set())

    def assert_cancelled(self, id_):
        got = self.finished(id_)
        self.assert_future(got, cancelled(task("late"), "no"), id_)
        return True


class Storm(CrashCase):
    workers = 3
    timeouts = {"drain": "30s"}

    @property
    def functions(self):
        return {"late": str(self.folder / "late")}

    def assert_lost_before(self, f):
        """Every attempt but the last was lost: it had ended, but its worker was killed before it could say so."""
        self.assertEqual([a.error.reason for a in f.attempts[:-1]], ["WORKER_LOST"] * (len(f.attempts) - 1))
        self.assertTrue(f.attempts)

    def test_kills_under_load(self):
        """Each task ends once: it succeeded, having run once, or it was what a killed worker ran."""
        script = self.folder / "late"
        script.write_text(LATE, encoding="ascii")
        script.chmod(0o755)
        n, kills, chance = 400, 4, random.Random(1)
        requests = queue.SimpleQueue()
        for i in range(n):
            requests.put(run("late", b"", tag=str(i), view=FULL))
        requests.put(None)
        got, pids = {}, []
        for r in self.futures.RunStream(iter(requests.get, None)):
            self.assertNotIn(r.tag, got)
            got[r.tag] = r.finished
            if len(got) % (n // (kills + 1)) == 0 and len(pids) < kills:
                pids.append(chance.choice(sorted(self.wait_workers())))
                os.kill(pids[-1], signal.SIGKILL)
        self.assertEqual(len(got), n)
        states = collections.Counter(f.state for f in got.values())
        self.assertLessEqual(states[FAILED], kills)
        self.assertEqual(states[SUCCEEDED] + states[FAILED], n)
        runs = collections.Counter((self.folder / "late.log").read_text(encoding="ascii").split())
        for f in got.values():
            self.assert_lost_before(f)
            if f.state == FAILED:
                self.assertEqual((f.error, f.attempts[-1].error, f.attempts[-1].signal), (KILLED, KILLED, 9))
                self.assertLessEqual(runs[f.id], len(f.attempts))
            else:
                self.assertIn(runs[f.id], range(1, len(f.attempts) + 1))
        self.wait_workers(pids)
        self.assert_serves()

    def test_fast_ones(self):
        """The same with thousands of short tasks on their way."""
        n, kills, chance = 20000, 4, random.Random(2)
        got, n_kills, done = {}, 0, 0
        for r in self.futures.RunStream(run("sha256", b"%d" % i, tag=str(i), view=BASIC) for i in range(n)):
            self.assertNotIn(r.tag, got)
            got[r.tag] = r.finished
            done += 1
            if done % (n // (kills + 1)) == 0 and n_kills < kills:
                n_kills += 1
                os.kill(chance.choice(sorted(self.wait_workers())), signal.SIGKILL)
        self.assertEqual(len(got), n)
        failures = [f for f in got.values() if f.state != SUCCEEDED]
        self.assertLessEqual(len(failures), kills)
        for f in failures:
            self.assertEqual(f.error, KILLED)
        for f in got.values():
            self.assert_lost_before(f)


if __name__ == "__main__":
    futures_support.main()
