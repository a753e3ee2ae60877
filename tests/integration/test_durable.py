# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after kill -9 and a start on the same directory; what was shown is unchanged."""
import os
import shutil
import subprocess
import threading

import durable_support
from durable_support import DEADLINE, DurableCase, grpc
from futures_support import (BASIC, CANCELLED, EPHEMERAL_RETENTION_NS, FAILED, FULL, PENDING, RUNNING, SUCCEEDED, future_pb2,
                             futures_pb2, get, nanoseconds, run, selector, submit)
from google.protobuf import duration_pb2
from server import BIN

DURABLE, EPHEMERAL = future_pb2.DURABILITY_DURABLE, future_pb2.DURABILITY_EPHEMERAL
ON_LOST_FAIL = future_pb2.ON_LOST_FAIL
DAY_NS = 24 * 3600 * 10**9


def durable(function, argument=None, options=None, **fields):
    return submit(function, argument, options=future_pb2.TaskOptions(durability=DURABLE, **(options or {})), **fields)


def all_of(stub, page_size=50, **fields):
    """Every future that List shows, over all its pages."""
    found, token = [], ""
    while True:
        page = stub.List(futures_pb2.ListRequest(selector=selector(**fields), page_size=page_size, page_token=token))
        found += page.futures
        token = page.next_page_token
        if not token:
            return found


class Restart(DurableCase):
    def test_everything_comes_back(self):
        """A task with all it may have; its record is the same message before and after."""
        gate, held = self.occupy()
        request = durable("echo", b"x" * 5000, {"priority": 3, "retention": duration_pb2.Duration(seconds=999)},
                          group="g", tag="t", content_type="text/plain", labels={"a": "1", "b": "2"})
        id_ = self.futures.Submit(request, metadata=[
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]).future.id
        self.futures.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels={"c": "3"}, remove_labels=["a"]))
        before = self.futures.Get(get(id_))
        self.assertEqual(before.effective_options.durability, DURABLE)
        self.kill()
        gate.open()
        self.restart(workers=0)
        after = self.futures.Get(get(id_))
        self.assertEqual(after.task, request.task)
        after.pending_reason = before.pending_reason
        self.assertEqual(after, before)
        self.assertEqual({self.futures.Get(get(i)).state for i in held}, {PENDING})

    def test_what_is_told_meanwhile(self):
        """The service manager is asked for more time before READY=1."""
        gate, held = self.occupy()
        self.kill()
        gate.open()
        self.restart(workers=0)
        *before, last = self.server.notified
        self.assertIn(f"STATUS=Recovering: {len(held)} futures\nEXTEND_TIMEOUT_USEC=30000000", before)
        self.assertRegex(last, "^READY=1\n")

    def test_pending_ones_run(self):
        gate, held = self.occupy()
        ids = [self.submit("echo", b"%d" % i) for i in range(100)]
        self.restart()
        gate.open()
        done = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids), view=FULL)).done
        self.assertEqual([f.id for f in done], ids)
        self.assertEqual([f.result.data for f in done], [b"%d" % i for i in range(100)])
        self.assertEqual({f.state for f in done}, {SUCCEEDED})
        self.assertEqual({self.finished(i).state for i in held}, {SUCCEEDED})

    def test_running_ones_run_again(self):
        gate, held = self.occupy()
        seen = [self.until(i, lambda f: f.state == RUNNING) for i in held]
        gate2 = self.gate("again")
        self.restart()
        for before in seen:
            f = self.futures.Get(get(before.id))
            self.assertGreater(f.revision, before.revision)
        self.assertEqual(set(gate.started(2 * len(held))), set(held))
        gate.open(b"late")
        for id_ in held:
            f = self.finished(id_)
            self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"late"))
            self.assertEqual([a.error.reason for a in f.attempts], ["WORKER_LOST", ""])
            self.assertLess(f.attempts[0].number, f.attempts[1].number)
        gate2.open()

    def test_running_ones_of_a_drain(self):
        """What runs when the time of a drain is over runs again, however often: it was the daemon, and counts for nothing."""
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        for n in range(1, 6):
            gate.started(n)
            self.until(id_, lambda f: f.state == RUNNING)
            self.restart(is_clean=True)
        gate.started(6)
        gate.open(b"late")
        f = self.finished(id_)
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"late"))
        self.assertEqual([a.error.reason for a in f.attempts], ["SHUTDOWN"] * 5 + [""])

    def test_outcomes_are_kept(self):
        requests = [run("echo", b"y" * n) for n in (0, 1, 2048, 2049, 300_000)] + [run("fail", b"no")]
        before = [self.futures.Run(r) for r in requests]
        gate, _ = self.occupy()
        cancelled = self.submit("echo", b"z")
        self.futures.Cancel(futures_pb2.CancelRequest(id=cancelled, reason="enough"))
        self.finished(cancelled)  # a worker may have had it in advance: then it gives it back first
        before.append(self.futures.Get(get(cancelled)))
        self.assertEqual([f.state for f in before[-2:]], [FAILED, CANCELLED])
        self.kill()
        gate.open()
        for cache in ("256M", "0"):
            self.restart(cache=cache, workers=0)
            for f in before:
                self.assertEqual(self.futures.Get(get(f.id)), f)
        self.assertEqual(nanoseconds(before[0].expire_time) - nanoseconds(before[0].end_time), DAY_NS)

    def test_ids_and_revisions_rise(self):
        ids, revisions = [], []
        for _ in range(4):
            ids += [self.submit("echo", b"%d" % i) for i in range(20)]
            ephemeral = submit("echo", b"", options=future_pb2.TaskOptions(durability=EPHEMERAL))
            ids += [self.futures.Submit(ephemeral).future.id]
            f = self.finished(ids[-2])
            revisions += [f.revision, self.futures.Annotate(
                futures_pb2.AnnotateRequest(id=ids[0], set_labels={"n": str(len(ids))})).revision]
            self.restart()
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(revisions, sorted(set(revisions)))

    def test_deleted_stays_deleted(self):
        ids = [self.futures.Run(run("echo", b"%d" % i)).id for i in range(20)]
        for id_ in ids[::2]:
            self.futures.Delete(futures_pb2.DeleteRequest(id=id_))
        for _ in range(2):
            codes = [self.fails_with(self.futures.Get, get(i)) for i in ids]
            self.assertEqual(codes, [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OK] * 10)
            self.restart(cache="0")
        self.futures.Delete(futures_pb2.DeleteRequest(id=ids[1]))
        self.assertEqual(self.fails_with(self.futures.Get, get(ids[1])), grpc.StatusCode.NOT_FOUND)
        self.restart()
        self.assertEqual(self.fails_with(self.futures.Get, get(ids[1])), grpc.StatusCode.NOT_FOUND)

    def test_on_lost_fail(self):
        """What has begun, or may have, ends OUTCOME_UNKNOWN; what has not runs."""
        gate = self.gate("once")
        options = {"on_lost": ON_LOST_FAIL}
        ids = [self.futures.Submit(durable("gate", gate.argument, options)).future.id for _ in range(2)]
        self.assertEqual(set(gate.started(2)), set(ids))
        waiting = [self.futures.Submit(durable("echo", b"w", options, tag=str(i))).future.id for i in range(3)]
        self.restart()
        for id_ in ids:
            f = self.finished(id_)
            self.assertEqual((f.state, f.error.reason), (FAILED, "OUTCOME_UNKNOWN"))
        for id_ in waiting:
            self.assertIn(self.finished(id_).error.reason, ("", "OUTCOME_UNKNOWN"))
        gate.open()
        f = self.finished(self.futures.Submit(durable("echo", b"later", options)).future.id)
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"later"))

    def test_ephemeral_is_gone(self):
        options = future_pb2.TaskOptions(durability=EPHEMERAL)
        f = self.futures.Run(futures_pb2.RunRequest(submit=submit("echo", b"", options=options)))
        self.assertEqual(f.effective_options.durability, EPHEMERAL)
        self.assertEqual(nanoseconds(f.expire_time) - nanoseconds(f.end_time), EPHEMERAL_RETENTION_NS)
        self.restart()
        self.assertEqual(self.fails_with(self.futures.Get, get(f.id)), grpc.StatusCode.NOT_FOUND)

    def test_clean_stop(self):
        """Nothing is lost by a stop either, and a running task goes back without its having ended."""
        gate, held = self.occupy()
        ids = [self.submit("echo", b"%d" % i) for i in range(50)]
        self.restart(is_clean=True)
        gate.open()
        done = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids, *held))).done
        self.assertEqual({f.state for f in done}, {SUCCEEDED})
        self.assertEqual(len(done), 52)

    def test_functions_are_remembered(self):
        """A function that is not configured any more is known all the same, and keeps its tasks."""
        self.restart(functions={"once": "/bin/cat"}, workers=0)
        id_ = self.submit("once", b"x")
        self.restart()
        self.assertEqual(self.futures.Get(get(id_)).state, PENDING)
        self.submit("once", b"y")
        self.restart(functions={"once": "/bin/cat"})
        self.assertEqual(self.finished(id_).result.data, b"x")

    def test_locked(self):
        """A second daemon on the same directory does not start."""
        command = [BIN / "futured", "--state-directory", self.folder / "state", "--listen",
                   "127.0.0.1:0"]
        ended = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False, text=True)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("store_open_failed", ended.stderr)
        self.assert_still_serves()

    def assert_still_serves(self):
        self.assertEqual(self.futures.Run(run("echo", b"still")).result.data, b"still")


class FromDisk(DurableCase):
    """No finished future stays in memory: each of these reads."""

    cache = "0"

    def setUp(self):
        super().setUp()
        self.ids = self.submit_many(submit("echo", b"%d" % i, labels={"n": str(i)}) for i in range(500))
        self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*self.ids)))
        self.restart(cache="0")

    def test_get_and_change(self):
        f = self.futures.Get(get(self.ids[7]))
        self.assertEqual((f.result.data, f.task.argument), (b"7", b"7"))
        changed = self.futures.Annotate(futures_pb2.AnnotateRequest(id=f.id, set_labels={"m": "new"}))
        self.assertGreater(changed.revision, f.revision)
        self.assertEqual(self.futures.Get(get(f.id)).labels, {"n": "7", "m": "new"})
        self.assertEqual(self.futures.Cancel(futures_pb2.CancelRequest(id=f.id)).state, SUCCEEDED)
        self.restart()
        self.assertEqual(self.futures.Get(get(f.id)).labels, {"n": "7", "m": "new"})

    def test_wait(self):
        unknown = "01890000-0000-7000-8000-000000000000"
        got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*self.ids, unknown), view=FULL))
        self.assertEqual([f.id for f in got.done], self.ids)
        self.assertEqual([f.result.data for f in got.done], [b"%d" % i for i in range(500)])
        self.assertEqual(list(got.missing), [unknown])

    def test_as_completed(self):
        requests = [futures_pb2.AsCompletedRequest(ids=self.ids[i:i + 60]) for i in range(0, 500, 60)]
        got = list(self.futures.AsCompleted(iter(requests)))
        self.assertEqual(sorted(r.future.id for r in got), self.ids)

    def test_watch(self):
        events = list(self.futures.Watch(futures_pb2.WatchRequest(selector=selector(self.ids[3]), view=FULL)))
        self.assertEqual([e.snapshot.result.data for e in events], [b"3"])

    def test_list(self):
        """In pages of any size, both ways, with those in memory among them; each once."""
        gate, held = self.occupy()
        everything = sorted(self.ids + held)
        for page_size in (1000, 50, 499):
            found = all_of(self.futures, page_size, filter="*")
            self.assertEqual([f.id for f in found], everything[::-1])
        request = futures_pb2.ListRequest(selector=selector(filter="*"), order_by="asc", page_size=10)
        page = self.futures.List(request)
        self.assertEqual([f.id for f in page.futures], everything[:10])
        self.futures.Delete(futures_pb2.DeleteRequest(id=everything[4]))
        self.futures.Delete(futures_pb2.DeleteRequest(id=everything[14]))
        request.page_token = page.next_page_token
        self.assertEqual([f.id for f in self.futures.List(request).futures], everything[10:14] + everything[15:21])
        named = self.futures.List(futures_pb2.ListRequest(selector=selector(*self.ids[:20:3])))
        self.assertEqual([f.id for f in named.futures], [i for i in self.ids[:20:3] if i != everything[4]][::-1])
        gate.open()

    def test_damage(self):
        """A record whose bytes are not what was written is DATA_LOSS, the others are served."""
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        path = next((self.folder / "state").glob("*.db"))
        data = bytearray(path.read_bytes())
        at = data.rindex(b"\x03123")  # the argument in the task
        self.assertEqual(self.check_store()[0], 0)
        data[at + 2] ^= 1
        path.write_bytes(data)
        status, said = self.check_store()
        self.assertEqual(status, 1, said)
        self.assertIn(self.ids[123], said)
        self.server = self.start()
        self.futures = self.futures_of(self.server)
        codes = [self.fails_with(self.futures.Get, get(i)) for i in self.ids]
        self.assertEqual(codes.count(grpc.StatusCode.DATA_LOSS), 1)
        self.assertEqual(codes.count(grpc.StatusCode.OK), 499)


    def check_store(self):
        """The exit status of --check-store, and what it says."""
        ended = subprocess.run([BIN / "futured", "--check-store", self.folder / "state"], capture_output=True,
                               timeout=DEADLINE, check=False, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    def test_check_of_a_store_in_use(self):
        status, said = self.check_store()
        self.assertEqual(status, 2, said)


class Backup(DurableCase):
    def backup(self, source, to):
        """The exit status of --backup, and what it says on stdout and on stderr."""
        ended = subprocess.run([BIN / "futured", "--state-directory", source, "--backup", to], capture_output=True,
                               timeout=DEADLINE, check=False, text=True)
        return ended.returncode, ended.stdout, ended.stderr

    def test_under_load(self):
        """What was acknowledged before the copy began is in it, whole; the daemon writes on; a daemon starts on the copy."""
        state, copy = self.folder / "state", self.folder / "copy"
        gate, held = self.occupy()
        waiting = self.submit("echo", b"waits")
        options = future_pb2.TaskOptions(durability=DURABLE, delay=duration_pb2.Duration(seconds=3600))
        before = [self.futures.Submit(submit("echo", b"%d" % i, options=options)).future for i in range(20)]
        stop, written, during = threading.Event(), threading.Semaphore(0), []

        def write():
            futures = self.futures_of(self.server)
            while not stop.is_set():
                during.append(futures.Submit(submit("echo", b"x" * 2000, options=options)).future)
                written.release()

        def wait_for(n):
            while len(during) < n:
                self.assertTrue(written.acquire(timeout=DEADLINE), "the writers go on")

        writers = [threading.Thread(target=write) for _ in range(3)]
        for w in writers:
            w.start()
        wait_for(300)
        before += during[:250]
        said = self.backup(state, copy)
        wait_for(len(during) + 50)
        stop.set()
        for w in writers:
            w.join()
        self.assertEqual(said, (0, f"copied {state} to {copy}\n", ""))
        gate.open()
        self.assertEqual(self.futures.Wait(futures_pb2.WaitRequest(selector=selector(waiting, *held))).counts.succeeded,
                         1 + len(held))
        ended = subprocess.run([BIN / "futured", "--check-store", copy], capture_output=True, timeout=DEADLINE, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        restored = self.futures_of(self.start(extra=["--state-directory", str(copy)]))
        for f in before:
            self.assertEqual(restored.Get(get(f.id, view=BASIC)), f)
        self.assertEqual(restored.Wait(futures_pb2.WaitRequest(selector=selector(waiting))).counts.succeeded, 1)
        mine = {f.id for f in all_of(restored, 1000, filter="pending_reason = DELAYED")}
        self.assertLessEqual({f.id for f in before}, mine)
        self.assertLess(mine, {f.id for f in before + during}, "what was accepted after the copy is not in it")

    def test_refusals(self):
        state, copy = self.folder / "state", self.folder / "copy"
        copy.mkdir()
        self.assertEqual(self.backup(state, copy), (1, "", f"futured: --backup: {state} is not copied: {copy}: File exists\n"))
        empty = self.folder / "empty"
        empty.mkdir()
        status, _, said = self.backup(empty, self.folder / "new")
        self.assertEqual((status, said), (1, f"futured: --backup: {empty} is not copied: "
                                             f"{empty}/futures.db: No such file or directory\n"))
        self.assertFalse((self.folder / "new").exists())


class Space(DurableCase):
    def test_reserve(self):
        """With less free than the reserve, nothing durable is accepted, and all else goes on."""
        f = self.futures.Run(run("echo", b"x"))
        free = shutil.disk_usage(self.folder).total
        config = self.folder / "low.conf"
        config.write_text(f"[store]\nreserve = {free * 2}\n", encoding="ascii")
        self.restart(extra=["--config", str(config)])
        with self.assertRaises(grpc.RpcError) as caught:
            self.submit("echo", b"y")
        self.assert_refused(caught.exception, grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_SPACE")
        self.assertEqual(self.futures.Get(get(f.id)), f)
        options = future_pb2.TaskOptions(durability=EPHEMERAL)
        self.assertEqual(self.futures.Run(futures_pb2.RunRequest(submit=submit("echo", b"z", options=options))).state,
                         SUCCEEDED)
        self.server.log.wait("store_space_low")


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    durable_support.main()
