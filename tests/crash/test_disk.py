# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, read-only or broken, under the real daemon.

No room, read-only: what is new answers UNAVAILABLE, reads and what is ephemeral go on, what was on its way is
acknowledged when there is room again, and that is noticed by itself. An I/O error on a write or a sync: nothing is written
any more, reads go on for two seconds, exit 1; the next start has all that was acknowledged. Everywhere a line of the log
says it.
"""
import errno
import os
import resource

import crash_support
import disk
from crash_support import IS_LONG, CrashCase, futures_pb2, grpc
from faults import Faults
from futures_support import FULL, SUCCEEDED, future_pb2, get, run, status_of, submit, what_failed
from power import shim
from server import DEADLINE, NotReady

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
LARGE = 1 << 20  # seventeen of them, and there is a checkpoint


def ephemeral(data):
    return run("echo", data, options=future_pb2.TaskOptions(durability=future_pb2.DURABILITY_EPHEMERAL))


class DiskCase(CrashCase):
    workers = 6
    config = {"store": {"log": "0"}}  # no room that a full disk would leave

    def setUp(self):
        super().setUp()
        self.faults = Faults(self.folder / "faults")
        self.addCleanup(self.faults.close)
        self.n = 0

    def start_faulty(self, **options):
        return self.start_daemon(env=shim(self.state, faults=self.faults.path, log=self.folder / "log"), **options)

    def fill(self, n=30):
        """Futures that are acknowledged: some have ended, two run. One that has ended."""
        for _ in range(n):
            if self.n < 4:
                self.ledger.show(self.futures.Submit(self.new_task("sleep", b"100000")).future)
            f = self.futures.Run(futures_pb2.RunRequest(submit=self.new_task("echo", os.urandom(3000))))
            self.ledger.show(f)
        return f

    def new_task(self, function, argument):
        self.n += 1
        return submit(function, argument, view=FULL, labels={"n": str(self.n)})

    def refused(self, call, request, reason, code=UNAVAILABLE):
        with self.assertRaises(grpc.RpcError) as caught:
            call(request)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertEqual(what_failed(status_of(caught.exception)[0])[1], reason)

    def assert_reads(self, f):
        self.assertEqual(self.futures.Get(get(f.id, FULL)), f)
        self.assertEqual(self.futures.List(futures_pb2.ListRequest(selector=future_pb2.Selector(ids=[f.id]))).futures[0].id,
                         f.id)

    def assert_stalls(self, f, begin, end):
        """begin() makes writing fail, end() lets it go on."""
        begin()
        waiting = [self.futures.Submit.future(self.new_task("echo", b"%d" % i)) for i in range(5)]
        self.server.log.wait("store_stalled")
        self.refused(self.futures.Submit, self.new_task("echo", b"new"), "STORE_STALLED")
        self.refused(self.futures.Annotate, futures_pb2.AnnotateRequest(id=f.id, set_labels={"a": "1"}), "STORE_STALLED")
        self.refused(self.futures.Delete, futures_pb2.DeleteRequest(id=f.id), "STORE_STALLED")
        self.assert_reads(f)
        self.assertEqual(self.futures.Run(ephemeral(b"goes on")).state, SUCCEEDED)
        self.assertFalse(self.server.log.find("store_resumed"))
        end()
        self.server.log.wait("store_resumed")
        n_late = 0
        for call in waiting:
            try:
                self.ledger.show(call.result(DEADLINE).future)
                n_late += 1
            except grpc.RpcError as error:
                self.assertEqual(error.code(), UNAVAILABLE)  # it came after the first had failed
        self.assertGreater(n_late, 0)
        self.fill(5)
        self.assert_all_kept()

    def assert_all_kept(self):
        """By a daemon on a sound disk."""
        if self.server.process.poll() is None:
            self.kill()
        self.forget()
        self.start_daemon()
        self.assert_kept()
        self.assert_nothing(self.ledger.wrong)
        self.kill()
        self.assert_sound()


class Refused(DiskCase):
    """The disk says so at once; it is all as before when it stops."""

    def stalls_with(self, number, suffix=""):
        self.start_faulty()
        f = self.fill()
        self.assert_stalls(f, lambda: self.faults.set(write=number, suffix=suffix), self.faults.clear)
        self.assertGreater(self.faults.n_failed(), 0)

    def test_no_room(self):
        """All that says so is the same to the daemon; the short form takes two at random."""
        kinds = [(errno.ENOSPC, ""), (errno.ENOSPC, "-wal"), (errno.EDQUOT, ""), (errno.EROFS, "")]
        for number, suffix in kinds if IS_LONG else self.chance.sample(kinds, 2):
            print(f"{errno.errorcode[number]} {suffix}")
            self.stalls_with(number, suffix)

    def test_killed_meanwhile(self):
        """What was never acknowledged may be gone; all else is there."""
        self.start_faulty()
        self.fill()
        self.faults.set(write=errno.ENOSPC)
        waiting = self.futures.Submit.future(self.new_task("echo", b"late"))
        self.server.log.wait("store_stalled")
        self.kill()
        with self.assertRaises(grpc.RpcError):
            waiting.result(DEADLINE)
        self.faults.clear()
        self.assert_all_kept()

    def test_stopped_meanwhile(self):
        """SIGTERM ends it, and the log says what could not be written."""
        self.start_faulty()
        self.fill()
        self.faults.set(write=errno.ENOSPC)
        self.futures.Submit.future(self.new_task("echo", b"late"))
        self.server.log.wait("store_stalled")
        self.server.signal()
        self.server.process.wait(DEADLINE)
        self.server.status_wanted = self.server.process.returncode
        self.assertIn(self.server.process.returncode, (0, 1))
        self.server.log.wait("not_committed")
        self.faults.clear()
        self.assert_all_kept()

    def test_at_the_start(self):
        """A start that cannot write says why, and leaves all as it is."""
        self.start_faulty()
        self.fill()
        self.kill()
        self.forget()
        self.faults.set(write=errno.ENOSPC)
        with self.assertRaises(NotReady) as caught:
            self.start_faulty()
        self.assertIn("exit status 1", str(caught.exception))
        self.assertRegex(str(caught.exception), "(store_open_failed|start_failed).*No space left on device")
        self.faults.clear()
        self.start_daemon()
        self.assert_all_kept()

    def test_checkpoint(self):
        """The log cannot be copied: commits go on, and it is copied when there is room."""
        self.start_faulty()
        self.faults.set(write=errno.ENOSPC, suffix="futures.db")
        while self.faults.n_failed() == 0:
            self.ledger.show(self.futures.Run(run("echo", os.urandom(LARGE))))
        self.fill(5)
        self.faults.clear()
        size = (self.state / "futures.db").stat().st_size
        while (self.state / "futures.db").stat().st_size == size:
            self.ledger.show(self.futures.Run(run("echo", os.urandom(LARGE))))
        self.assert_all_kept()

    def test_file_size(self):
        """RLIMIT_FSIZE, by the kernel itself."""
        self.start_daemon()
        f = self.fill()
        pid = self.server.process.pid
        size = (self.state / "futures.db-wal").stat().st_size
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        self.assert_stalls(f, lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1])),
                           lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, before))


class Broken(DiskCase):
    """It is not known what is on disk: only a new process may write again."""

    def breaks_with(self, **faults):
        self.start_faulty()
        f = self.fill()
        self.faults.set(**faults)
        calls = [self.futures.Submit.future(self.new_task("echo", b"%d" % i)) for i in range(5)]
        self.server.log.wait("store_poisoned .*nothing is written any more")
        self.assert_reads(f)
        self.refused(self.futures.Submit, self.new_task("echo", b"new"), "STORE_BROKEN")
        self.faults.clear()  # the next sync would say that all is well
        n_written = len(disk.read_log(self.folder / "log"))
        self.server.process.wait(DEADLINE)
        self.server.status_wanted = 1
        self.assertEqual(self.server.process.returncode, 1)
        self.assertEqual([e[:4] for e in disk.read_log(self.folder / "log")[n_written:]], [], "it has written")
        outcomes = []
        for call in calls:
            with self.assertRaises(grpc.RpcError) as caught:
                call.result(DEADLINE)
            self.assertEqual(caught.exception.code(), UNAVAILABLE)
            self.assertIn(what_failed(status_of(caught.exception)[0])[1], ("UNKNOWN_OUTCOME", "STORE_BROKEN"))
            outcomes.append(what_failed(status_of(caught.exception)[0])[1])
        self.assertIn("UNKNOWN_OUTCOME", outcomes)
        self.assert_all_kept()

    def test_write(self):
        self.breaks_with(write=errno.EIO)

    def test_sync(self):
        self.breaks_with(sync=errno.EIO)

    def test_sync_without_room(self):
        """A file system that allocates late says so only then: what it kept is not known."""
        self.breaks_with(sync=errno.ENOSPC)

    def test_side_file(self):
        self.breaks_with(write=errno.EIO, suffix="-commits")

    def test_checkpoint_sync(self):
        """The log is synced; the database is not: the log must stay."""
        self.start_faulty()
        self.fill()
        self.faults.set(sync=errno.EIO, suffix="futures.db")
        try:
            while True:
                self.ledger.show(self.futures.Run(run("echo", os.urandom(LARGE))))
        except grpc.RpcError as error:
            self.assertEqual(error.code(), UNAVAILABLE)
        self.server.log.wait("store_poisoned")
        self.server.process.wait(DEADLINE)
        self.server.status_wanted = 1
        self.faults.clear()
        self.assert_all_kept()

    def test_read(self):
        """What cannot be read is not NOT_FOUND, and comes back."""
        self.config = {"store": {"cache": "0", "log": "0"}}
        self.start_daemon()
        f = self.fill()
        self.kill()
        self.forget()
        self.start_faulty()
        self.faults.set(read=errno.EIO)
        for found in self.look([f.id] * 3).values():
            self.assertIn(found, (f, UNAVAILABLE, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.INTERNAL))
        self.assertGreater(self.faults.n_failed(), 0)
        self.faults.clear()
        self.assert_reads(f)
        self.assert_all_kept()


if __name__ == "__main__":
    crash_support.main()
