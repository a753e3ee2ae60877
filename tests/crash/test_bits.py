# SPDX-License-Identifier: Apache-2.0
"""Flipped bits in database and log. Whatever is flipped: the daemon does not crash, no future that was acknowledged is
shown with anything else than it had, and none is NOT_FOUND. DATA_LOSS for it is right, so is a refusal to start that says
why, and --check-store says so too.
"""
import collections
import contextlib
import shutil
import signal
import sqlite3

import crash_support
from crash_support import IS_LONG, ROUNDS, CrashCase, futures_pb2, grpc
from futures_support import FULL, status_of, submit, what_failed
from grpc.health.v1 import health_pb2, health_pb2_grpc
from server import NotReady

RIGHT = (grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE)
N_FUTURES = 120  # in the database, and as many in the log
SECTOR, PAGE = 512, 4096


class Bits(CrashCase):
    def test_flips(self):
        self.make_store()
        n = ROUNDS * 3 if IS_LONG else 30
        counts = collections.Counter()
        for i in range(n):
            what = self.damage()
            counts.update(self.judge_damaged(f"flip {i}, {what}"))
        print(f"{n} damages: " + ", ".join(f"{counts[k]} {k}" for k in sorted(counts)) + "; 0 wrong, 0 NOT_FOUND")

    def test_read_only(self):
        """A writer that has read a damaged page writes no more, and the daemon goes on with what it can read."""
        self.make_store()
        with sqlite3.connect(f"file:{self.pristine}/futures.db?mode=ro", uri=True) as db:
            page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name='expiry'").fetchone()[0]
        db.close()
        shutil.rmtree(self.state)
        shutil.copytree(self.pristine, self.state)
        (self.state / "futures.db-wal").unlink()  # it has newer pages
        (self.state / "futures.db-commits").unlink()
        data = bytearray((self.state / "futures.db").read_bytes())
        data[page * PAGE - 100] ^= 4
        (self.state / "futures.db").write_bytes(data)
        self.start_daemon(workers=1)
        with contextlib.suppress(grpc.RpcError):  # its end is written there, if the sweep has not been there before
            self.futures.Run(futures_pb2.RunRequest(submit=submit("echo", b"x")), timeout=60)
        self.server.log.wait("store_corrupt .*page")
        for service in ("", "futured.v1.Futures"):
            got = health_pb2_grpc.HealthStub(self._channels[-1]).Check(health_pb2.HealthCheckRequest(service=service))
            self.assertEqual(got.status, health_pb2.HealthCheckResponse.NOT_SERVING)
        with self.assertRaises(grpc.RpcError) as caught:
            self.futures.Submit(submit("echo", b"new"))
        self.assertEqual(what_failed(status_of(caught.exception)[0])[1], "STORE_BROKEN")
        ids = sorted(self.ledger.known)[:N_FUTURES // 2]  # what came before the log
        self.assert_nothing(self.judge(ids))
        self.assertIsNone(self.server.process.poll())
        self.server.signal(signal.SIGHUP)
        self.server.log.wait("notice reloaded")
        self.stop()
        self.assertIn("\nREADY=1\nSTATUS=The database is damaged: ", self.server.take_notified())

    def make_store(self):
        """Half of it in the database, half in the log alone."""
        self.start_daemon()
        self.fill()
        self.stop()
        self.forget()
        self.start_daemon(workers=0)
        self.fill_pending()
        self.kill()
        self.forget()
        self.start_daemon()
        self.fill()
        self.kill()
        self.forget()
        self.pristine = self.folder / "pristine"
        shutil.copytree(self.state, self.pristine)
        (self.pristine / "futures.db-shm").unlink()
        self.start_daemon(workers=0)
        self.assert_kept()
        self.kill()
        self.forget()

    def fill(self):
        for i in range(N_FUTURES // 2):
            size = 3000 if i % 5 == 0 else self.chance.randrange(300)
            request = submit("echo", self.chance.randbytes(size), view=FULL, labels={"i": str(i)}, group="g")
            self.ledger.show(self.futures.Run(futures_pb2.RunRequest(submit=request)))

    def fill_pending(self):
        for i in range(N_FUTURES // 2):
            size = 3000 if i % 5 == 0 else self.chance.randrange(300)
            request = submit("echo", self.chance.randbytes(size), view=FULL, labels={"i": str(i)})
            self.ledger.show(self.futures.Submit(request).future)

    def damage(self):
        """Make self.state a damaged copy. What has been done to it."""
        shutil.rmtree(self.state)
        shutil.copytree(self.pristine, self.state)
        path = self.state / self.chance.choice(["futures.db", "futures.db", "futures.db-wal"])
        data = bytearray(path.read_bytes())
        kind = self.chance.choice(["a bit", "a bit", "a bit", "bits", "a sector of zeros", "a page of another place"])
        at = self.chance.randrange(len(data))
        if kind == "a bit":
            data[at] ^= 1 << self.chance.randrange(8)
        elif kind == "bits":
            for _ in range(16):
                data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        elif kind == "a sector of zeros":
            at -= at % SECTOR
            data[at:at + SECTOR] = bytes(SECTOR)
        else:
            at -= at % PAGE
            other = self.chance.randrange(len(data) // PAGE) * PAGE
            data[at:at + PAGE] = data[other:other + PAGE]
        path.write_bytes(data)
        return f"{kind} of {path.name} at {at}"

    def judge_damaged(self, what):
        """What came of it, as words to count."""
        status, said = self.check_store()
        self.assertIn(status, (0, 1, 2), f"{what}: {said}")
        try:
            self.start_daemon(workers=0)
        except NotReady as error:
            self.assertIn("exit status 1:", str(error), what)
            self.assertRegex(str(error), "store_open_failed|recovery_failed", what)
            self.assertNotEqual(status, 0, f"{what}: the daemon refuses to start, --check-store has nothing to say")
            self.servers_gone()
            return ["refused to start"]
        words = self.judge_answers(what, status, said)
        self.write_a_little()
        self.end(what)
        return words

    def judge_answers(self, what, status, said):
        n_refused = 0
        for id_, f in self.look(self.ledger.known).items():
            if f in RIGHT:
                n_refused += 1
                continue
            wrong = self.ledger.judge(id_, f)
            self.assertFalse(wrong, f"{what} (--check-store: {said})\n{self.server.log.text()}\n{''.join(wrong)}")
        if n_refused:
            self.assertNotEqual(status, 0, f"{what}: {n_refused} futures are refused, --check-store has nothing to say")
            return ["with DATA_LOSS"]
        return ["without harm" if status == 0 else "harmless, and named by --check-store"]

    def write_a_little(self):
        """Which may end the daemon, in its own way; the old futures are as good as before."""
        for id_ in self.chance.sample(sorted(self.ledger.known), 10):
            for call, request in ((self.futures.Annotate, futures_pb2.AnnotateRequest(id=id_, set_labels={"x": "1"})),
                                  (self.futures.Submit, submit("echo", b"new"))):
                try:
                    call(request)
                except grpc.RpcError as error:
                    self.assertIn(error.code(), RIGHT)

    def end(self, what):
        self.kill()
        if self.server.process.returncode != -9:
            self.assertEqual(self.server.process.returncode, 1, what)
            self.server.status_wanted = 1
        self.forget()

    def servers_gone(self):
        self.forget()


if __name__ == "__main__":
    crash_support.main()
